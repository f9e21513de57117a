/* JSON scan: the window, the structure of objects and arrays, and faults. See json_scan.h; the values are in json_value.c.
 *
 * The window ends with a byte 0, which no valid text holds: every loop over bytes stops there by itself, and only then is looked
 * whether the window or the file is at its end. */
#include "traces/json_scan_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- opening -------------------------------------------------------------------------------------------------------------------- */

es_code es_json_scan_open(es_json_scan **out, const char *path, bool lenient, es_err *err)
{
    *out = NULL;
    es_json_scan *scan = calloc(1, sizeof *scan);
    if (!scan)
        return es_err_nomem(err, "a reader of JSON");
    scan->lenient = lenient;
    scan->file = strdup(path);
    scan->window = malloc(JSON_SCAN_WINDOW + 1);
    es_code code = scan->file && scan->window ? es_json_scan_rewind(scan, err) : es_err_nomem(err, "a reader of JSON");
    if (code)
        es_json_scan_close(scan);
    else
        *out = scan;
    return code;
}

es_code es_json_scan_rewind(es_json_scan *scan, es_err *err)
{
    es_reader_close(scan->reader);
    scan->reader = NULL;
    es_code code = es_reader_open(&scan->reader, scan->file, err);
    if (code)
        return code;
    es_reader_lenient(scan->reader, scan->lenient);
    scan->at = scan->end = scan->window;
    scan->window[0] = '\0';
    scan->gone = scan->line = scan->line_at = 0;
    scan->depth = 0;
    scan->over = scan->torn = false;
    scan->err.code = ES_OK;
    if (json_scan_fill(scan) && scan->end - scan->at >= 3 && memcmp(scan->at, "\xef\xbb\xbf", 3) == 0)
        scan->at += 3;                  /* a byte order mark */
    return es_json_scan_end(scan, err);
}

bool es_json_scan_short(const es_json_scan *scan, uint64_t *bytes)
{
    return es_reader_cut(scan->reader, bytes);
}

void es_json_scan_unhashed(es_json_scan *scan)
{
    es_reader_unhashed(scan->reader);
}

void es_json_scan_close(es_json_scan *scan)
{
    if (!scan)
        return;
    es_reader_close(scan->reader);
    free(scan->file);
    free(scan->window);
    free(scan);
}

/* --- faults --------------------------------------------------------------------------------------------------------------------- */

/* What comes behind a fault finds the end of the file, so that every walk ends. */
static void scan_stop(es_json_scan *scan)
{
    scan->at = scan->end = scan->window;
    scan->window[0] = '\0';
    scan->over = true;
}

void es_json_scan_where(const es_json_scan *scan, char *text, size_t room)
{
    size_t used = 0;
    text[0] = '\0';
    for (uint32_t i = 1; i <= scan->depth && used < room; i++) {
        const json_scan_level *level = &scan->level[i];
        int add = 0;
        if (level->array && level->begun)
            add = snprintf(text + used, room - used, "[%llu]", (unsigned long long)level->index);
        else if (!level->array && level->name)
            add = snprintf(text + used, room - used, "%s%s", used ? "." : "", level->name);
        used += (size_t)add;
    }
    if (used >= room && room > 3)
        memcpy(text + room - 4, "...", 4);
}

bool es_json_scan_fault(es_json_scan *scan, const char *fmt, ...)
{
    if (scan->err.code)
        return false;
    char text[512], path[128];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    es_json_scan_where(scan, path, sizeof path);
    unsigned long long column = (unsigned long long)(scan->gone + (uint64_t)(scan->at - scan->window) - scan->line_at + 1);
    es_err_set(&scan->err, ES_EINPUT, "%s: line %llu, column %llu: %s%s%s", es_reader_path(scan->reader), (unsigned long long)scan->line + 1, column, path,
        path[0] ? ": " : "", text);
    scan_stop(scan);
    return false;
}

bool es_json_scan_fault_on(es_json_scan *scan, uint64_t line, const char *fmt, ...)
{
    if (scan->err.code)
        return false;
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    es_err_set(&scan->err, ES_EINPUT, "%s: line %llu: %s", es_reader_path(scan->reader), (unsigned long long)line, text);
    scan_stop(scan);
    return false;
}

bool es_json_scan_nomem(es_json_scan *scan, const char *what)
{
    if (!scan->err.code)
        es_err_nomem(&scan->err, what);
    scan_stop(scan);
    return false;
}

static bool scan_closing(const es_json_scan *scan)
{
    const char *p = scan->end;
    while (p > scan->window && strchr(" \t\r\n", p[-1]) && p[-1] != '\0')
        p--;
    return p > scan->window && (p[-1] == ']' || p[-1] == '}');
}

bool json_scan_expected(es_json_scan *scan, const char *want)
{
    if (scan->at == scan->end && scan->over) {
        scan->closing = scan->err.code ? scan->closing : scan_closing(scan);
        scan->torn = scan->torn || !scan->err.code;
        return es_json_scan_fault(scan, "the file ends here, where %s is needed", want);
    }
    char found[25];
    size_t length = 0;
    for (const char *p = scan->at; p < scan->end && length + 1 < sizeof found && (length == 0 || !strchr(",]} \n", *p)); p++)
        found[length++] = *p >= ' ' && *p <= '~' ? *p : '?';
    found[length] = '\0';
    return es_json_scan_fault(scan, "found %s, needs %s", found, want);
}

bool json_scan_expected_at(es_json_scan *scan, uint64_t index, const char *at, const char *want)
{
    if (scan->err.code)
        return false;
    scan->at = at;
    if (scan->depth < ES_JSON_SCAN_DEPTH)
        scan->level[++scan->depth] = (json_scan_level){ .array = true, .begun = true, .index = index };
    return json_scan_expected(scan, want);
}

es_code es_json_scan_end(const es_json_scan *scan, es_err *err)
{
    return scan->err.code ? es_err_set(err, scan->err.code, "%s", scan->err.text) : ES_OK;
}

bool es_json_scan_failed(const es_json_scan *scan)
{
    return scan->err.code != ES_OK;
}

bool es_json_scan_torn(const es_json_scan *scan)
{
    return scan->torn;
}

bool es_json_scan_closing(const es_json_scan *scan)
{
    return scan->torn && scan->closing;
}

uint64_t es_json_scan_line(const es_json_scan *scan)
{
    return scan->line + 1;
}

const char *es_json_scan_path(const es_json_scan *scan)
{
    return es_reader_path(scan->reader);
}

void es_json_scan_sha256(const es_json_scan *scan, char hex[65])
{
    es_reader_sha256(scan->reader, hex);
}

/* --- the window ----------------------------------------------------------------------------------------------------------------- */

bool json_scan_fill(es_json_scan *scan)
{
    size_t held = (size_t)(scan->end - scan->at), got = 0;
    if (scan->over || held == JSON_SCAN_WINDOW)
        return false;
    memmove(scan->window, scan->at, held);
    scan->gone += (uint64_t)(scan->at - scan->window);
    scan->at = scan->window;
    if (es_reader_read(scan->reader, scan->window + held, JSON_SCAN_WINDOW - held, &got, &scan->err)) {
        scan_stop(scan);
        return false;
    }
    scan->over = got < JSON_SCAN_WINDOW - held;
    scan->end = scan->window + held + got;
    scan->window[held + got] = '\0';
    return got > 0;
}

char json_scan_space(es_json_scan *scan)
{
    for (;; scan->at++) {
        char c = *scan->at;
        if (c == '\n') {
            scan->line++;
            scan->line_at = scan->gone + (uint64_t)(scan->at - scan->window) + 1;
        } else if (c == '\0' && scan->at == scan->end) {
            if (!json_scan_fill(scan))
                return '\0';
            scan->at--;
        } else if (c != ' ' && c != '\r' && c != '\t') {
            return c;
        }
    }
}

/* --- structure ------------------------------------------------------------------------------------------------------------------ */

bool es_json_scan_more(es_json_scan *scan)
{
    return json_scan_next(scan) != '\0' || (scan->at < scan->end && json_scan_expected(scan, "a value"));
}

char es_json_scan_peek(es_json_scan *scan)
{
    return json_scan_next(scan);
}

static bool scan_enter(es_json_scan *scan, char open, const char *want)
{
    if (json_scan_next(scan) != open)
        return json_scan_expected(scan, want);
    if (scan->depth == ES_JSON_SCAN_DEPTH)
        return es_json_scan_fault(scan, "%d values lie inside one another, which is the most", ES_JSON_SCAN_DEPTH);
    json_scan_level *level = &scan->level[++scan->depth];
    level->array = open == '[';
    level->begun = false;
    level->hint = 0;
    level->index = level->seen = 0;
    level->name = NULL;
    scan->at++;
    return true;
}

bool es_json_scan_object(es_json_scan *scan)
{
    return scan_enter(scan, '{', "an object {...}");
}

bool es_json_scan_array(es_json_scan *scan)
{
    return scan_enter(scan, '[', "an array [...]");
}

bool es_json_scan_item(es_json_scan *scan)
{
    json_scan_level *level = &scan->level[scan->depth];
    char c = json_scan_next(scan);
    if (c == ']') {
        scan->at++;
        scan->depth--;
        return false;
    }
    if (level->begun) {
        if (c != ',')
            return json_scan_expected(scan, "a comma or ]");
        scan->at++;
        level->index++;
        c = json_scan_next(scan);
    }
    level->begun = true;
    return (c != '\0' && c != ']' && c != ',') || json_scan_expected(scan, "a value");
}

/* At the next key of an object, whose quote is not read yet; false behind the object. */
static bool scan_member(es_json_scan *scan)
{
    json_scan_level *level = &scan->level[scan->depth];
    char c = json_scan_next(scan);
    if (c == '}') {
        scan->at++;
        scan->depth--;
        return false;
    }
    if (level->begun) {
        level->name = NULL;
        if (c != ',')
            return json_scan_expected(scan, "a comma or }");
        scan->at++;
        c = json_scan_next(scan);
    }
    level->begun = true;
    return c == '"' || json_scan_expected(scan, "a key in quotes");
}

static bool scan_colon(es_json_scan *scan)
{
    if (json_scan_next(scan) != ':')
        return json_scan_expected(scan, "a colon");
    scan->at++;
    return true;
}

/* Reads a key and keeps it in the level, or the beginning of it: the colon behind it may lie in the next window. */
static bool scan_name(es_json_scan *scan, const char **name, size_t *length)
{
    json_scan_level *level = &scan->level[scan->depth];
    const char *text;
    if (!es_json_scan_text(scan, &text, length))
        return false;
    size_t kept = *length < sizeof level->text ? *length : sizeof level->text - 1;
    memcpy(level->text, text, kept);
    level->text[kept] = '\0';
    level->name = *name = level->text;
    return true;
}

/* Is it `name` that stands here in quotes? Then it is read. A key that the window cuts is left to the slow way. */
static bool scan_is(es_json_scan *scan, const char *name)
{
    const char *p = scan->at + 1;
    while (*name != '\0' && *p == *name) {
        p++;
        name++;
    }
    if (*name != '\0' || *p != '"')
        return false;
    scan->at = p + 1;
    return true;
}

/* The number of the key that stands here, which is read; the count of names when it is none of them. */
static uint32_t scan_which(es_json_scan *scan, const char *const *names, uint32_t hint)
{
    if (names[hint] && scan_is(scan, names[hint]))
        return hint;
    uint32_t i = 0;
    while (names[i] && !scan_is(scan, names[i]))
        i++;
    const char *text;
    size_t length;
    if (names[i] || !scan_name(scan, &text, &length))
        return i;
    for (uint32_t j = 0; j < i; j++)    /* with escapes, or cut by the window */
        if (strlen(names[j]) == length && strcmp(names[j], text) == 0)
            return j;
    return i;
}

int es_json_scan_key(es_json_scan *scan, const char *const *names)
{
    while (scan_member(scan)) {
        json_scan_level *level = &scan->level[scan->depth];
        uint32_t which = scan_which(scan, names, level->hint);
        if (names[which])
            level->name = names[which];
        if (!scan_colon(scan))
            return -1;
        if (!names[which]) {
            if (!es_json_scan_skip(scan))
                return -1;
            continue;
        }
        if (level->seen >> which & 1) {
            es_json_scan_fault(scan, "this key is there twice");
            return -1;
        }
        level->seen |= 1ull << which;
        level->hint = which + 1;
        return (int)which;
    }
    return -1;
}

bool es_json_scan_name(es_json_scan *scan, const char **name, size_t *length)
{
    return scan_member(scan) && scan_name(scan, name, length) && scan_colon(scan);
}

/* At another value of the object or array that is open; what it is called does not matter. */
static bool scan_another(es_json_scan *scan)
{
    if (scan->level[scan->depth].array)
        return es_json_scan_item(scan);
    return scan_member(scan) && json_scan_scalar(scan) && scan_colon(scan);
}

bool es_json_scan_skip(es_json_scan *scan)
{
    uint32_t depth = scan->depth;
    do {
        char c = json_scan_next(scan);
        if (c == '{' || c == '[') {
            if (!scan_enter(scan, c, ""))
                return false;
        } else if (!json_scan_scalar(scan)) {
            return false;
        }
        if (scan->depth > depth)
            json_scan_pass(scan);
        while (scan->depth > depth && !scan_another(scan))
            if (scan->err.code)
                return false;
    } while (scan->depth > depth);
    return true;
}
