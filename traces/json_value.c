/* JSON values: words, numbers and strings, one at a time or an array at once. See json_scan.h.
 *
 * A value that the window cuts is read again from its first byte once there is more (json_scan_cut); only strings that are passed over
 * or given piece by piece may be longer than the window. */
#include "traces/json_scan_inside.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/text.h"

/* --- numbers -------------------------------------------------------------------------------------------------------------------- */

static bool value_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

/* Behind a number of the grammar that begins at p, or NULL. */
static const char *value_number_end(const char *p)
{
    p += *p == '-';
    if (!value_digit(*p))
        return NULL;
    if (*p++ != '0')
        while (value_digit(*p))
            p++;
    if (*p == '.') {
        if (!value_digit(*++p))
            return NULL;
        while (value_digit(*p))
            p++;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '+' || *p == '-';
        if (!value_digit(*p))
            return NULL;
        while (value_digit(*p))
            p++;
    }
    return p;
}

/* strtod, where the quick way is not sure of the last bit. */
static bool value_f32_slow(const char *p, const char *end, float *value)
{
    char text[JSON_SCAN_NUMBER + 1];
    size_t length = (size_t)(end - p);
    if (length > JSON_SCAN_NUMBER)
        return false;
    memcpy(text, p, length);
    text[length] = '\0';
    *value = (float)strtod(text, NULL);
    return isfinite(*value);
}

/* Behind the bytes that a number may have. */
static const char *value_run(const char *p)
{
    return p + strspn(p, "+-.0123456789eENaIfinty");
}

/* No number stands here, or the file ends inside it. */
static bool value_no_number(es_json_scan *scan, const char *want)
{
    const char *end = value_run(scan->at);
    if (end == scan->end && scan->over)
        scan->at = end;
    return json_scan_expected(scan, want);
}

typedef struct value_decimal { uint64_t digits; int count, power; bool negative; } value_decimal;

/* Takes a number of the grammar apart; behind it, or NULL when it is none. */
static const char *value_decimal_of(const char *p, value_decimal *d)
{
    const char *start = p += (d->negative = *p == '-');
    uint64_t v = 0;
    for (; value_digit(*p); p++)
        v = v * 10 + (uint64_t)(*p - '0');
    d->count = (int)(p - start < 20 ? p - start : 20);
    d->power = 0;
    if (p == start || (*start == '0' && d->count > 1))
        return NULL;
    if (*p == '.') {
        const char *point = ++p;
        for (; value_digit(*p); p++)
            v = v * 10 + (uint64_t)(*p - '0');
        if (p == point)
            return NULL;
        int behind = (int)(p - point < 20 ? p - point : 20);
        d->power = -behind;
        d->count += behind;
    }
    if (*p == 'e' || *p == 'E') {
        bool minus = *++p == '-';
        int power = 0;
        p += *p == '+' || *p == '-';
        if (!value_digit(*p))
            return NULL;
        for (; value_digit(*p); p++)
            power = power < 9999 ? power * 10 + (*p - '0') : power;
        d->power += minus ? -power : power;
    }
    d->digits = v;
    return p;
}

/* A decimal number as the nearest float. Up to 19 digits and a power of ten up to 22 take one operation on doubles: exact when the
 * digits fit 53 bits (Clinger 1990), else wrong by at most two units of a double's last place, which matters to a float only beside the
 * middle between two floats; those, and what is no normal float, go the slow way. */
static const char *value_f32(const char *p, float *value)
{
    static const double power[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22 };
    value_decimal d;
    const char *end = value_decimal_of(p, &d);
    if (!end)
        return NULL;
    if (d.count <= 19 && d.power >= -22 && d.power <= 22) {
        double v = d.power < 0 ? (double)d.digits / power[-d.power] : (double)d.digits * power[d.power];
        uint64_t bits;
        memcpy(&bits, &v, sizeof bits);
        uint32_t low = (uint32_t)bits & 0x1fffffff;
        bool sure = d.digits >> 53 == 0 || low < 0x10000000 - 8 || low > 0x10000000 + 8;
        if (d.digits == 0 || (sure && v > 1e-37 && v < 3e38)) {
            *value = (float)(d.negative ? -v : v);
            return end;
        }
    }
    return value_f32_slow(p, end, value) ? end : NULL;
}

/* A whole number that is not written in plain digits, 33.0 or 33e0: behind it. NULL: it is none, or perhaps only the beginning of one. */
static const char *value_whole(const char *p, double least, double most, int64_t *value)
{
    char text[JSON_SCAN_NUMBER + 1];
    const char *end = value_number_end(p);
    const size_t length = end ? (size_t)(end - p) : 0;
    if (!end || *end == '\0' || value_digit(*end) || length > JSON_SCAN_NUMBER)
        return NULL;
    memcpy(text, p, length);
    text[length] = '\0';
    const double v = strtod(text, NULL);
    if (!(v >= least && v <= most) || v != floor(v))
        return NULL;
    *value = (int64_t)v;
    return end;
}

bool es_json_scan_f32(es_json_scan *scan, float *value)
{
    json_scan_next(scan);
    for (;;) {
        const char *p = scan->at, *end = strncmp(p, "NaN", 3) == 0 ? p + 3 : value_f32(p, value);
        if (json_scan_cut(scan, end ? end : value_run(p)))
            continue;
        if (!end || end == scan->end)
            return value_no_number(scan, "a number");
        if (*p == 'N')
            *value = NAN;
        scan->at = end;
        return true;
    }
}

bool es_json_scan_u32(es_json_scan *scan, uint32_t *value)
{
    json_scan_next(scan);
    for (;;) {
        const char *p = scan->at;
        uint64_t v = 0;
        for (; value_digit(*p) && v < UINT32_MAX; p++)
            v = v * 10 + (uint64_t)(*p - '0');
        const bool plain = *p != '\0' && *p != '.' && *p != 'e' && *p != 'E';
        if (plain && p > scan->at && v < UINT32_MAX && (*scan->at != '0' || p == scan->at + 1)) {
            scan->at = p;
            *value = (uint32_t)v;
            return true;
        }
        if (json_scan_cut(scan, plain ? p : value_run(scan->at)))
            continue;
        int64_t whole;
        const char *end = plain ? NULL : value_whole(scan->at, 0, UINT32_MAX - 1.0, &whole);
        if (!end)
            return value_no_number(scan, "a whole number from 0 to 4294967294");
        scan->at = end;
        *value = (uint32_t)whole;
        return true;
    }
}

/* --- arrays of numbers ---------------------------------------------------------------------------------------------------------- */

/* Behind a value of an array that is read in one go: at the next value, or behind the array (*more false). p is where the value ended.
 * NULL is a fault. */
static inline __attribute__((always_inline)) const char *value_comma(es_json_scan *scan, const char *p, uint64_t index, bool *more)
{
    scan->at = p;
    char c = json_scan_next(scan);
    *more = c == ',';
    if (c != ',' && c != ']') {
        json_scan_expected_at(scan, index, scan->at, "a comma or ]");
        return NULL;
    }
    scan->at++;
    if (*more && json_scan_next(scan) == '\0') {
        json_scan_expected_at(scan, index + 1, scan->at, "a number");
        return NULL;
    }
    return scan->at;
}

/* Enters an array that is read in one go: at its first value, or behind it when it is empty (*more false). */
static const char *value_enter(es_json_scan *scan, bool *more)
{
    if (json_scan_next(scan) != '[') {
        json_scan_expected(scan, "an array of numbers [...]");
        return NULL;
    }
    scan->at++;
    char c = json_scan_next(scan);
    *more = c != ']';
    if (c == ']')
        scan->at++;
    else if (c == '\0')
        return json_scan_expected(scan, "a number or ]") ? scan->at : NULL;
    return scan->at;
}

/* At what is no number in an array that is read in one go: the window ends in it (then p is where it is read again), or a fault. */
static const char *value_again(es_json_scan *scan, uint64_t index, const char *p, const char *want)
{
    scan->at = p;
    if (json_scan_cut(scan, value_run(p)))
        return scan->at;
    const char *end = value_run(p);
    json_scan_expected_at(scan, index, end == scan->end && scan->over ? end : p, want);
    return NULL;
}

static bool value_too_many(es_json_scan *scan, uint32_t most, const char *at)
{
    scan->at = at;
    return es_json_scan_fault(scan, "the array has more than %u numbers", most);
}

/* Behind an id; NULL when there is none, or perhaps only the beginning of one. */
static const char *value_id(const char *p, uint16_t *to)
{
    uint32_t v = (unsigned char)(*p - '0'), first = v, c;
    if (v > 9)
        return NULL;
    for (p++; (c = (unsigned char)(*p - '0')) <= 9; p++) {
        v = v * 10 + c;
        if (first == 0 || v >= UINT16_MAX)
            return NULL;
    }
    *to = (uint16_t)v;
    return *p == '\0' || *p == '.' || *p == 'e' || *p == 'E' ? NULL : p;
}

/* The same for what is not written in plain digits, and with `none` for -1, which becomes UINT16_MAX. */
__attribute__((noinline, cold)) static const char *value_id_other(const char *p, bool none, uint16_t *to)
{
    int64_t id;
    const char *end = value_whole(p, none ? -1 : 0, UINT16_MAX - 1, &id);
    if (end)
        *to = (uint16_t)id;
    return end;
}

static inline __attribute__((always_inline)) bool value_ids(es_json_scan *scan, uint16_t *to, uint32_t most, uint32_t *count, bool none)
{
    bool more;
    uint32_t n = 0;
    const char *p = value_enter(scan, &more);
    while (p && more) {
        if (n == most)
            return value_too_many(scan, most, p);
        const char *end = value_id(p, &to[n]);
        if (!end)
            end = value_id_other(p, none, &to[n]);
        if (!end)
            p = value_again(scan, n, p, none ? "an expert id from 0 to 65534, or -1 for none" : "an expert id from 0 to 65534");
        else if (n++, end[0] == ',' && (value_digit(end[1]) || (end[1] == ' ' && value_digit(end[2]))))
            p = end + (end[1] == ' ' ? 2 : 1);      /* what nearly every comma is followed by */
        else
            p = value_comma(scan, end, n - 1, &more);
    }
    *count = n;
    return p != NULL;
}

bool es_json_scan_ids(es_json_scan *scan, uint16_t *to, uint32_t most, uint32_t *count)
{
    return value_ids(scan, to, most, count, false);
}

bool es_json_scan_places(es_json_scan *scan, uint16_t *to, uint32_t most, uint32_t *count)
{
    return value_ids(scan, to, most, count, true);
}

void json_scan_pass(es_json_scan *scan)
{
    json_scan_level *level = &scan->level[scan->depth];
    uint16_t id;
    while (level->array && level->begun && scan->at[0] == ',') {
        const char *end = value_id(scan->at + (scan->at[1] == ' ' ? 2 : 1), &id);
        if (!end)
            return;
        scan->at = end;
        level->index++;
    }
}

bool es_json_scan_run(es_json_scan *scan, uint16_t *to, uint32_t most, uint32_t *count)
{
    json_scan_level *level = &scan->level[scan->depth];
    uint32_t v;
    for (*count = 0; *count < most; ++*count) {
        const char *p = scan->at + (scan->at[0] == ',' && scan->at[1] == ' ' ? 2 : 1);
        const char *end = level->begun && scan->at[0] == ',' ? value_id(p, &to[*count]) : NULL;
        if (end) {                      /* what nearly every value is */
            scan->at = end;
            level->index++;
            continue;
        }
        if (!es_json_scan_item(scan))
            return !scan->err.code;
        if (!es_json_scan_u32(scan, &v))
            return false;
        if (v >= UINT16_MAX)
            return es_json_scan_fault(scan, "%u is above 65534, the highest expert or layer", v);
        to[*count] = (uint16_t)v;
    }
    return true;
}

bool es_json_scan_floats(es_json_scan *scan, float *to, uint32_t most, uint32_t *count)
{
    bool more;
    uint32_t n = 0;
    const char *p = value_enter(scan, &more);
    while (p && more) {
        float value = NAN;
        if (n == most)
            return value_too_many(scan, most, p);
        const char *end = strncmp(p, "NaN", 3) == 0 ? p + 3 : to ? value_f32(p, &value) : value_number_end(p);
        if (!end || *end == '\0') {
            p = value_again(scan, n, p, "a number");
            continue;
        }
        if (to)
            to[n] = value;
        p = value_comma(scan, end, n++, &more);
    }
    *count = n;
    return p != NULL;
}

/* --- words ---------------------------------------------------------------------------------------------------------------------- */

/* Takes `word` when it stands here. */
static bool value_word(es_json_scan *scan, const char *word)
{
    size_t length = strlen(word);
    json_scan_next(scan);
    if ((size_t)(scan->end - scan->at) < length && memcmp(scan->at, word, (size_t)(scan->end - scan->at)) == 0)
        json_scan_fill(scan);
    size_t left = (size_t)(scan->end - scan->at);
    if (memcmp(scan->at, word, left < length ? left : length) != 0)
        return false;
    scan->at += left < length ? left : length;      /* the end of the file, if it is torn here, is met by what is read next */
    return left > 0;
}

bool es_json_scan_null(es_json_scan *scan)
{
    return json_scan_next(scan) == 'n' && value_word(scan, "null");
}

bool es_json_scan_bool(es_json_scan *scan, bool *value)
{
    *value = value_word(scan, "true");
    return *value || value_word(scan, "false") || json_scan_expected(scan, "true or false");
}

/* --- strings -------------------------------------------------------------------------------------------------------------------- */

static int value_hex(char c)
{
    return value_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The four digits behind \u, below 0 when they are none. */
static int value_unit(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int digit = value_hex(p[i]);
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

/* One \u escape, perhaps a pair, as UTF-8: how many bytes were read behind the backslash, 0 when it is none. */
static size_t value_unicode(const char *p, char **to)
{
    int v = value_unit(p + 1), low;
    size_t read = 5;
    if (v >= 0xd800 && v < 0xdc00 && p[5] == '\\' && p[6] == 'u' && (low = value_unit(p + 7)) >= 0xdc00 && low < 0xe000) {
        v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
        read = 11;
    }
    if (v <= 0 || (v >= 0xd800 && v < 0xe000))
        return 0;
    int more = v < 0x80 ? 0 : v < 0x800 ? 1 : v < 0x10000 ? 2 : 3;
    static const unsigned char lead[] = { 0, 0xc0, 0xe0, 0xf0 };
    *(*to)++ = (char)(lead[more] | v >> (6 * more));
    while (more-- > 0)
        *(*to)++ = (char)(0x80 | (v >> (6 * more) & 0x3f));
    return read;
}

/* Resolves escapes in place and checks the text, which ends at `end`; the end of what is left, NULL when it is no text. */
static char *value_resolve(char *text, const char *end)
{
    static const char from[] = "\"\\/bfnrt", is[] = "\"\\/\b\f\n\r\t";
    char *to = text;
    for (const char *p = text; p < end;) {
        size_t length = 1;
        if (*p == '\\' && p[1] == 'u') {
            length = value_unicode(p + 1, &to);
            p += length + 1;
        } else if (*p == '\\') {
            const char *which = strchr(from, p[1]);
            length = which ? 2 : 0;
            *to++ = which ? is[which - from] : '\0';
            p += 2;
        } else {
            length = es_text_utf8(p, (size_t)(end - p));
            memmove(to, p, length);
            to += length;
            p += length;
        }
        if (length == 0)
            return NULL;
    }
    *to = '\0';
    return to;
}

bool es_json_scan_text(es_json_scan *scan, const char **text, size_t *length)
{
    if (json_scan_next(scan) != '"')
        return json_scan_expected(scan, "a string in quotes");
    for (;;) {
        const char *p = scan->at + 1;
        while (*p != '"' && (unsigned char)*p >= ' ')
            p += *p == '\\' && p[1] != '\0' ? 2 : 1;
        if (p - scan->at > ES_JSON_SCAN_TEXT)
            return es_json_scan_fault(scan, "the string is longer than %d bytes", ES_JSON_SCAN_TEXT);
        if (*p == '"') {
            char *start = scan->window + (scan->at + 1 - scan->window), *end = value_resolve(start, p);
            if (!end)
                return es_json_scan_fault(scan, "the string is no UTF-8 text, or has an escape that there is none of");
            *text = start;
            *length = (size_t)(end - start);
            scan->at = p + 1;
            return true;
        }
        if (!json_scan_cut(scan, p)) {
            scan->at = p;
            return json_scan_expected(scan, "the rest of a string");
        }
    }
}

bool es_json_scan_piece(es_json_scan *scan, bool first, const char **piece, size_t *length)
{
    if (first && json_scan_next(scan) != '"')
        return json_scan_expected(scan, "a string in quotes");
    scan->at += first;
    if (scan->at == scan->end && !json_scan_fill(scan))
        return json_scan_expected(scan, "the rest of a string");
    const char *quote = memchr(scan->at, '"', (size_t)(scan->end - scan->at));
    *piece = scan->at;
    *length = (size_t)((quote ? quote : scan->end) - scan->at);
    scan->at += *length + (*length == 0);
    return true;
}

/* Eight bytes at a time: does one of them end the run of plain characters? A borrow may say so of the byte above one that does. */
static bool value_plain(const char *p)
{
    const uint64_t ones = 0x0101010101010101ull, high = ones << 7;
    uint64_t v;
    memcpy(&v, p, sizeof v);
    uint64_t quote = v ^ ones * '"', slash = v ^ ones * '\\';
    return (((v - ones * ' ') | (quote - ones) | (slash - ones)) & ~v & high) == 0;
}

/* Passes over a string of any length. */
static bool value_pass(es_json_scan *scan)
{
    for (scan->at++;;) {
        const char *p = scan->at;
        while (scan->end - p >= 8 && value_plain(p))
            p += 8;
        while (*p != '"' && *p != '\\' && (unsigned char)*p >= ' ')
            p++;
        scan->at = p;
        if (*p == '"') {
            scan->at++;
            return true;
        }
        if (scan->end - p < 6 && json_scan_fill(scan))  /* an escape is looked at whole */
            continue;
        if (*p != '\\')
            return json_scan_expected(scan, "the rest of a string");
        if (p[1] == 'u' ? value_unit(p + 2) < 0 : p[1] == '\0' || !strchr("\"\\/bfnrt", p[1])) {
            scan->at = scan->end - p < 6 && (p[1] == 'u' || p[1] == '\0') ? scan->end : p;
            return json_scan_expected(scan, "an escape such as \\n or \\u00e9");
        }
        scan->at += 2;
    }
}

bool json_scan_scalar(es_json_scan *scan)
{
    char c = json_scan_next(scan);
    if (c == '"')
        return value_pass(scan);
    if (c != '-' && !value_digit(c)) {
        static const char *const words[] = { "null", "true", "false", "NaN", "Infinity" };
        for (size_t i = 0; i < sizeof words / sizeof *words; i++)
            if (c == words[i][0] && value_word(scan, words[i]))
                return true;
        return json_scan_expected(scan, "a value");
    }
    for (;;) {
        const char *end = value_number_end(scan->at);
        if (json_scan_cut(scan, end ? end : value_run(scan->at)))
            continue;
        if (!end && value_word(scan, "-Infinity"))
            return true;
        if (!end || (end == scan->end && scan->depth > 0))
            return value_no_number(scan, "a number");
        scan->at = end;
        return true;
    }
}
