/* Text: see text.h.
 *
 * A quantity is a decimal number and a suffix. The suffix moves the decimal exponent before the one conversion to double, so
 * "4.35us" is the double nearest to 4350; multiplying 4.35 by 1000 would give 4349.999... Binary suffixes only change the
 * exponent of the double and are exact in any case. */
#include "sim/base/text.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_FIRST = 64,            /* bytes of the first allocation */
    TEXT_WORD = 63,             /* longest name that is compared; no option comes near it */
    TEXT_NUMBER = 63            /* longest number before a suffix */
};

/* ---- a growing string ---- */

/* Makes room for `more` bytes and the terminator. */
static bool text_reserve(es_text *text, size_t more)
{
    if (text->failed || more > SIZE_MAX / 4 - text->length) {
        text->failed = true;
        return false;
    }
    size_t need = text->length + more + 1, room = text->room ? text->room : TEXT_FIRST;
    if (need <= text->room)
        return true;
    while (room < need)
        room *= 2;
    char *at = realloc(text->at, room);
    if (!at) {
        text->failed = true;
        return false;
    }
    text->at = at;
    text->room = room;
    return true;
}

/* Mostly there is room; only where there is none is it said twice. */
void es_text_add(es_text *text, const char *fmt, ...)
{
    va_list args;
    const size_t room = text->failed ? 0 : text->room - text->length;
    va_start(args, fmt);
    int length = vsnprintf(room ? text->at + text->length : NULL, room, fmt, args);
    va_end(args);
    if (length < 0) {
        text->failed = true;
        return;
    }
    if ((size_t)length >= room) {
        if (!text_reserve(text, (size_t)length)) {
            if (room)
                text->at[text->length] = '\0';
            return;
        }
        va_start(args, fmt);
        vsnprintf(text->at + text->length, (size_t)length + 1, fmt, args);
        va_end(args);
    }
    text->length += (size_t)length;
}

void es_text_put(es_text *text, const char *bytes, size_t count)
{
    if (!text_reserve(text, count))
        return;
    if (count)
        memcpy(text->at + text->length, bytes, count);
    text->length += count;
    text->at[text->length] = '\0';
}

void es_text_cut(es_text *text, size_t length)
{
    if (length >= text->length)
        return;
    text->length = length;
    text->at[length] = '\0';
}

void es_text_free(es_text *text)
{
    free(text->at);
    *text = (es_text){0};
}

/* ---- the nearest name ---- */

static bool text_same(char a, char b)
{
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

/* Edits from a to b: one letter more, less or other, or two neighbours swapped (optimal string alignment); letter case is free.
 * Both are at most TEXT_WORD long. */
static size_t text_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    size_t rows[3][TEXT_WORD + 1], *before = rows[0], *above = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b_length; j++)
        before[j] = above[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t least = above[j - 1] + !text_same(a[i - 1], b[j - 1]);
            if (above[j] + 1 < least)
                least = above[j] + 1;
            if (row[j - 1] + 1 < least)
                least = row[j - 1] + 1;
            if (i > 1 && j > 1 && text_same(a[i - 1], b[j - 2]) && text_same(a[i - 2], b[j - 1]) && before[j - 2] + 1 < least)
                least = before[j - 2] + 1;
            row[j] = least;
        }
        size_t *oldest = before;
        before = above, above = row, row = oldest;
    }
    return above[b_length];
}

const char *es_text_nearest(const char *word, const char *const *candidates, size_t count)
{
    size_t length = strlen(word);
    if (length > TEXT_WORD)
        return NULL;
    /* A third of the letters may be wrong: beyond that two names rather look alike by chance. */
    size_t least = (length + 1) / 3 + 1;
    const char *nearest = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t other = strlen(candidates[i]);
        size_t distance = other > TEXT_WORD ? least : text_distance(word, length, candidates[i], other);
        if (distance < least) {
            least = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}

/* ---- quantities ---- */

typedef struct text_suffix {    /* stands for 10^ten * 2^two */
    const char *name;
    int ten, two;
} text_suffix;

static const text_suffix text_bytes[] = {
    { "B", 0, 0 }, { "KB", 3, 0 }, { "KiB", 0, 10 }, { "MB", 6, 0 }, { "MiB", 0, 20 }, { "GB", 9, 0 }, { "GiB", 0, 30 },
    { "TB", 12, 0 }, { "TiB", 0, 40 }, { 0 },
};

static const text_suffix text_times[] = {
    { "ns", 0, 0 }, { "us", 3, 0 }, { "ms", 6, 0 }, { "s", 9, 0 }, { 0 },
};

typedef struct text_kind {
    const char *noun, *example;
    const text_suffix *suffixes;
    const char *per;            /* written behind every suffix */
} text_kind;

static const text_kind text_kinds[] = {
    [ES_UNIT_BYTES] = { "size", "24GiB", text_bytes, "" },
    [ES_UNIT_TIME] = { "time", "3.4ms", text_times, "" },
    [ES_UNIT_RATE] = { "rate", "12GB/s", text_bytes, "/s" },
};

static const text_suffix *text_suffix_find(const text_kind *kind, const char *word)
{
    for (const text_suffix *s = kind->suffixes; s->name; s++) {
        size_t length = strlen(s->name);
        if (strncmp(word, s->name, length) == 0 && strcmp(word + length, kind->per) == 0)
            return s;
    }
    return NULL;
}

static bool text_is_suffix(const char *word)
{
    return text_suffix_find(&text_kinds[ES_UNIT_BYTES], word) || text_suffix_find(&text_kinds[ES_UNIT_TIME], word) ||
        text_suffix_find(&text_kinds[ES_UNIT_RATE], word);
}

static size_t text_digits(const char *text)
{
    return strspn(text, "0123456789");
}

/* Length of the number at the start: -12, 3.4, .5, 1e+20; 0 when there is none. strtod would also take "inf", "0x1p3" and blanks. */
static size_t text_number(const char *text)
{
    const char *at = text + (*text == '-');
    size_t whole = text_digits(at), part = at[whole] == '.' ? text_digits(at + whole + 1) : 0;
    if (whole + part == 0)
        return 0;
    at += whole + (at[whole] == '.') + part;
    if (*at == 'e') {
        const char *power = at + 1 + (at[1] == '+' || at[1] == '-');
        if (text_digits(power))
            at = power + text_digits(power);
    }
    return (size_t)(at - text);
}

/* The value of a number of at most TEXT_NUMBER characters with a suffix; infinite when it is too large. */
static double text_value(const char *number, size_t length, const text_suffix *suffix)
{
    const char *e = memchr(number, 'e', length);
    long ten = e ? strtol(e + 1, NULL, 10) : 0;
    ten = ten > 9999 ? 9999 : ten < -9999 ? -9999 : ten;
    char exact[TEXT_NUMBER + 16];
    snprintf(exact, sizeof exact, "%.*se%ld", (int)(e ? e - number : (ptrdiff_t)length), number, ten + suffix->ten);
    return ldexp(strtod(exact, NULL), suffix->two);
}

/* "12GB" as a rate lacks the right unit; "12Gb/s" has none at all, and then all the units are named. */
static es_code text_no_unit(const char *text, const char *word, const text_kind *kind, es_err *err)
{
    es_text units = {0};
    if (*word && !text_is_suffix(word)) {
        for (const text_suffix *s = kind->suffixes; s->name; s++)
            es_text_add(&units, "%s%s%s", units.length ? ", " : " (", s->name, kind->per);
        es_text_add(&units, ")");
    }
    es_code code = es_err_set(err, ES_EINPUT, "\"%s\" has no unit of a %s%s; write for example \"%s\"", text, kind->noun,
        units.at ? units.at : "", kind->example);
    es_text_free(&units);
    return code;
}

es_code es_text_quantity(const char *text, es_unit unit, double *value, es_err *err)
{
    const text_kind *kind = &text_kinds[unit];
    const text_suffix none = { "", 0, 0 };
    size_t length = text_number(text);
    if (length == 0)
        return es_err_set(err, ES_EINPUT, "\"%s\" is not a %s; write for example \"%s\"", text, kind->noun, kind->example);
    if (length > TEXT_NUMBER)
        return es_err_set(err, ES_EINPUT, "\"%s\" has more than %d characters before the unit", text, TEXT_NUMBER);
    const char *word = text + length + strspn(text + length, " ");
    const text_suffix *suffix = text_suffix_find(kind, word);
    if (!suffix && *word == '\0' && text_value(text, length, &none) == 0.0)
        suffix = &none;         /* nothing is nothing in every unit */
    if (!suffix)
        return text_no_unit(text, word, kind, err);
    double got = text_value(text, length, suffix);
    if (!isfinite(got))
        return es_err_set(err, ES_EINPUT, "\"%s\" is too large a %s", text, kind->noun);
    *value = got;
    return ES_OK;
}

/* Among the suffixes of which there is at least one (100ms, not 0.1s) the shortest text that reads back equal; the smaller unit
 * when two are as short. The base unit always qualifies: 17 digits give any double. */
void es_text_unit(es_text *out, double value, es_unit unit)
{
    const text_kind *kind = &text_kinds[unit];
    if (value == 0.0 || !isfinite(value)) {
        es_text_add(out, "%g", value + 0.0);    /* + 0.0: no "-0" */
        return;
    }
    char best[64] = "";
    for (const text_suffix *s = kind->suffixes; s->name; s++) {
        double number = value / text_value("1", 1, s);
        if (fabs(number) < 1.0 && s != kind->suffixes)
            break;
        for (int digits = 15; digits <= 17; digits++) {
            char text[64];
            int length = snprintf(text, sizeof text, "%.*g", digits, number);
            if (text_value(text, (size_t)length, s) != value)
                continue;
            snprintf(text + length, sizeof text - (size_t)length, "%s%s", s->name, kind->per);
            if (!*best || strlen(text) < strlen(best))
                memcpy(best, text, sizeof best);
            break;
        }
    }
    es_text_add(out, "%s", best);
}

/* ---- for people ---- */

/* Three digits in the largest unit of which there is at least one after rounding; whole numbers without a fraction. */
static void text_scaled(es_text *out, double value, double step, const char *const *units)
{
    while (fabs(value) >= step - 0.5 && units[1]) {
        value /= step;
        units++;
    }
    double size = fabs(value);
    int decimals = size >= 99.95 || value == floor(value) ? 0 : size >= 9.995 ? 1 : 2;
    es_text_add(out, "%.*f %s", decimals, value, *units);
}

void es_text_bytes(es_text *out, double bytes)
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", NULL };
    text_scaled(out, bytes, 1024.0, units);
}

void es_text_duration(es_text *out, double ns)
{
    static const char *const units[] = { "ns", "us", "ms", "s", NULL };
    text_scaled(out, ns, 1000.0, units);
}

void es_text_count(es_text *out, int64_t count)
{
    /* The magnitude is unsigned because INT64_MIN has no positive counterpart. */
    uint64_t size = count < 0 ? 0 - (uint64_t)count : (uint64_t)count;
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRIu64, size);
    if (count < 0)
        es_text_put(out, "-", 1);
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            es_text_put(out, ",", 1);
        es_text_put(out, digits + i, 1);
    }
}

size_t es_text_utf8(const char *p, size_t left)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    unsigned char c = (unsigned char)*p;
    size_t length = c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 0;
    if (length > left)
        return 0;
    uint32_t code = c & (0x7fu >> length);
    for (size_t i = 1; i < length; i++) {
        if (((unsigned char)p[i] & 0xc0) != 0x80)
            return 0;
        code = code << 6 | ((unsigned char)p[i] & 0x3fu);
    }
    return length > 1 && (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) ? 0 : length;
}
