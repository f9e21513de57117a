/* JSON, reading: see json.h.
 *
 * A text is checked by a small grammar of our own before cJSON makes the tree. cJSON takes more than JSON (a line break inside a
 * text, 007, 1e999, NUL as a blank) and tells only roughly where it stopped; with the check in front every fault has its exact
 * place, and when cJSON still fails it was for memory. */
#include "sim/base/json.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/text.h"

enum {
    JSON_DEPTH = 64,
    JSON_NUMBER = 63,           /* characters; cJSON reads no more of a number */
    JSON_FILE = 64 * 1024 * 1024
};

/* ---- the check ---- */

typedef struct json_reader {
    const char *text, *at, *end;
    es_err *err;
} json_reader;

static es_code reader_fault(const json_reader *reader, const char *fmt, ...) ES_PRINTF(2, 3);

static es_code reader_fault(const json_reader *reader, const char *fmt, ...)
{
    size_t line = 1, column = 1;
    for (const char *p = reader->text; p < reader->at; p++) {
        if (*p == '\n')
            line++, column = 1;
        else if ((*p & 0xc0) != 0x80)       /* columns are characters, not bytes */
            column++;
    }
    char what[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof what, fmt, args);
    va_end(args);
    return es_err_set(reader->err, ES_EINPUT, "line %zu, column %zu: %s", line, column, what);
}

static es_code reader_needs(const json_reader *reader, const char *needs)
{
    if (reader->at == reader->end)
        return reader_fault(reader, "ends here, needs %s", needs);
    unsigned char c = (unsigned char)*reader->at;
    if (c > ' ' && c < 0x7f)
        return reader_fault(reader, "found '%c', needs %s", c, needs);
    return reader_fault(reader, "found byte 0x%02x, needs %s", c, needs);
}

/* The next character that is not blank; -1 at the end. */
static int reader_peek(json_reader *reader)
{
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' || *reader->at == '\t'))
        reader->at++;
    return reader->at < reader->end ? (unsigned char)*reader->at : -1;
}

static size_t reader_digits(json_reader *reader)
{
    const char *first = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        reader->at++;
    return (size_t)(reader->at - first);
}

static bool reader_take(json_reader *reader, const char *any)
{
    if (reader->at == reader->end || *reader->at == '\0' || !strchr(any, *reader->at))
        return false;
    reader->at++;
    return true;
}

static es_code reader_number(json_reader *reader)
{
    const char *first = reader->at;
    reader_take(reader, "-");
    if (!reader_take(reader, "0") && !reader_digits(reader))
        return reader_needs(reader, "a digit");
    if (reader_take(reader, ".") && !reader_digits(reader))
        return reader_needs(reader, "a digit behind the point");
    if (reader_take(reader, "eE")) {
        reader_take(reader, "+-");
        if (!reader_digits(reader))
            return reader_needs(reader, "a digit of the exponent");
    }
    size_t length = (size_t)(reader->at - first);
    char number[JSON_NUMBER + 1] = "";
    if (length <= JSON_NUMBER)
        memcpy(number, first, length);
    reader->at = first;         /* where the number begins is the better place for what follows */
    if (length > JSON_NUMBER)
        return reader_fault(reader, "a number of more than %d characters", JSON_NUMBER);
    if (!isfinite(strtod(number, NULL)))
        return reader_fault(reader, "%s is too large a number", number);
    reader->at += length;
    return ES_OK;
}

/* The code unit of a \uXXXX at p; -1 when there is none. */
static long reader_unit(const json_reader *reader, const char *p)
{
    if (reader->end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    char hex[5] = { p[2], p[3], p[4], p[5], '\0' };
    return strspn(hex, "0123456789abcdefABCDEF") == 4 ? strtol(hex, NULL, 16) : -1;
}

static es_code reader_escape(json_reader *reader)
{
    if (reader->end - reader->at >= 2 && reader->at[1] && strchr("\"\\/bfnrt", reader->at[1])) {
        reader->at += 2;
        return ES_OK;
    }
    long unit = reader_unit(reader, reader->at);
    if (unit < 0)
        return reader_fault(reader, "needs one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\u with four hexadecimal digits");
    if (unit == 0)
        return reader_fault(reader, "\\u0000 cannot be part of a text");
    if (unit < 0xd800 || unit > 0xdfff) {
        reader->at += 6;
        return ES_OK;
    }
    long other = reader_unit(reader, reader->at + 6);
    if (unit > 0xdbff || other < 0xdc00 || other > 0xdfff)
        return reader_fault(reader, "half a surrogate pair");
    reader->at += 12;
    return ES_OK;
}

static es_code reader_string(json_reader *reader)
{
    reader->at++;
    for (;;) {
        if (reader->at == reader->end)
            return reader_fault(reader, "ends inside a text; is a quote missing?");
        unsigned char c = (unsigned char)*reader->at;
        if (c == '"') {
            reader->at++;
            return ES_OK;
        }
        if (c == '\n')
            return reader_fault(reader, "the line ends inside a text; is a quote missing?");
        if (c < ' ')
            return reader_fault(reader, "found byte 0x%02x inside a text; write \\u%04x", c, c);
        if (c == '\\') {
            es_code code = reader_escape(reader);
            if (code)
                return code;
            continue;
        }
        size_t length = es_text_utf8(reader->at, (size_t)(reader->end - reader->at));
        if (length == 0)
            return reader_fault(reader, "byte 0x%02x is not UTF-8", c);
        reader->at += length;
    }
}

static es_code reader_value(json_reader *reader, int depth);

/* An object or an array, which differ in the names and the closing mark. */
static es_code reader_list(json_reader *reader, int depth, char close)
{
    if (depth > JSON_DEPTH)
        return reader_fault(reader, "nested more than %d deep", JSON_DEPTH);
    reader->at++;
    if (reader_peek(reader) == close) {
        reader->at++;
        return ES_OK;
    }
    for (;;) {
        es_code code;
        if (close == '}') {
            if (reader_peek(reader) != '"')
                return reader_needs(reader, "a name in quotes");
            if ((code = reader_string(reader)) != ES_OK)
                return code;
            if (reader_peek(reader) != ':')
                return reader_needs(reader, "':' behind the name");
            reader->at++;
        }
        if ((code = reader_value(reader, depth)) != ES_OK)
            return code;
        int c = reader_peek(reader);
        if (c != ',' && c != close)
            return reader_needs(reader, close == '}' ? "',' or '}'" : "',' or ']'");
        reader->at++;
        if (c == close)
            return ES_OK;
    }
}

static es_code reader_value(json_reader *reader, int depth)
{
    static const char *const words[] = { "true", "false", "null" };
    int c = reader_peek(reader);
    if (c == '{')
        return reader_list(reader, depth + 1, '}');
    if (c == '[')
        return reader_list(reader, depth + 1, ']');
    if (c == '"')
        return reader_string(reader);
    if (c == '-' || (c >= '0' && c <= '9'))
        return reader_number(reader);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t length = strlen(words[i]);
        if ((size_t)(reader->end - reader->at) >= length && memcmp(reader->at, words[i], length) == 0) {
            reader->at += length;
            return ES_OK;
        }
    }
    return reader_needs(reader, "a value");
}

static es_code reader_all(json_reader *reader)
{
    es_code code = reader_value(reader, 0);
    if (code == ES_OK && reader_peek(reader) != -1)
        return reader_needs(reader, "nothing behind the value");
    return code;
}

static int json_by_name(const void *a, const void *b)
{
    return strcmp((*(es_json *const *)a)->string, (*(es_json *const *)b)->string);
}

/* The name that two members share, NULL when there is none. By sorting, so that a large object costs no square. */
static es_code json_twice(const es_json *object, const char **twice, es_err *err)
{
    size_t count = 0;
    const es_json *member;
    cJSON_ArrayForEach(member, object)
        count++;
    *twice = NULL;
    if (count < 2)
        return ES_OK;
    const es_json **members = malloc(count * sizeof *members);
    if (!members)
        return es_err_nomem(err, "a JSON value");
    size_t i = 0;
    cJSON_ArrayForEach(member, object)
        members[i++] = member;
    qsort(members, count, sizeof *members, json_by_name);
    for (i = 1; i < count && !*twice; i++)
        if (json_by_name(&members[i - 1], &members[i]) == 0)
            *twice = members[i]->string;
    free(members);
    return ES_OK;
}

/* Refuses an object in which a name is given twice. `where` is the nearest name above, NULL at the root. */
static es_code json_distinct(const es_json *value, const char *where, es_err *err)
{
    const char *twice = NULL;
    es_code code = cJSON_IsObject(value) ? json_twice(value, &twice, err) : ES_OK;
    if (twice && where)
        return es_err_set(err, ES_EINPUT, "\"%s\" is given twice in \"%s\"", twice, where);
    if (twice)
        return es_err_set(err, ES_EINPUT, "\"%s\" is given twice", twice);
    const es_json *child;
    cJSON_ArrayForEach(child, value) {
        if (code)
            return code;
        code = json_distinct(child, child->string ? child->string : where, err);
    }
    return code;
}

es_code es_json_parse(es_json **out, const char *text, size_t length, es_err *err)
{
    *out = NULL;
    size_t mark = length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;    /* the byte order mark some editors write */
    json_reader reader = { text + mark, text + mark, text + length, err };
    es_code code = reader_all(&reader);
    if (code)
        return code;
    es_json *value = cJSON_ParseWithLength(text + mark, length - mark);
    if (!value)
        return es_err_nomem(err, "a JSON value");
    code = json_distinct(value, NULL, err);
    if (code)
        cJSON_Delete(value);
    else
        *out = value;
    return code;
}

/* ---- a file ---- */

static es_code json_read(es_text *text, FILE *file, es_err *err)
{
    char piece[16384];
    for (size_t count; (count = fread(piece, 1, sizeof piece, file)) > 0;) {
        if (text->length + count > JSON_FILE)
            return es_err_set(err, ES_EINPUT, "is larger than %d MiB", JSON_FILE >> 20);
        es_text_put(text, piece, count);
    }
    if (ferror(file))
        return es_err_set(err, ES_EINPUT, "cannot read: %s", strerror(errno));
    return text->failed ? es_err_nomem(err, "the file") : ES_OK;
}

es_code es_json_load(es_json **out, const char *path, es_err *err)
{
    char *text = NULL;
    es_code code = es_json_load_text(out, &text, path, err);
    free(text);
    return code;
}

es_code es_json_load_text(es_json **out, char **kept, const char *path, es_err *err)
{
    *out = NULL;
    *kept = NULL;
    es_code code;
    es_text text = {0};
    FILE *file = fopen(path, "rb");
    if (!file) {
        code = es_err_set(err, ES_EINPUT, "cannot open: %s", strerror(errno));
    } else {
        code = json_read(&text, file, err);
        fclose(file);
        if (code == ES_OK)
            code = es_json_parse(out, text.at ? text.at : "", text.length, err);
    }
    if (code) {
        es_text_free(&text);
        return es_err_at(err, "%s", path), code;
    }
    *kept = text.at;
    return ES_OK;
}
