/* Bytes: see bytes.h. One buffer, filled behind what is not consumed yet; a record that is larger than it makes it grow. */
#include "traces/bytes.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "sim/base/descriptor.h"

enum {
    BYTES_ROOM = 256 * 1024,            /* stays in the second-level cache between being read and being looked at */
    BYTES_PAGE = 4096
};

es_code es_bytes_open(es_bytes *bytes, const char *path, es_err *err)
{
    struct stat about;
    *bytes = (es_bytes){ .path = path };
    es_code code = es_descriptor_settle(path, err);
    if (code)
        return code;
    if (stat(path, &about) == 0 && S_ISFIFO(about.st_mode))
        return es_err_set(err, ES_EINPUT, "%s: is a named pipe, which gives its bytes once, but this format is read twice; give it as standard input (- < %s)", path, path);
    return es_reader_open(&bytes->reader, path, err);
}

void es_bytes_lenient(es_bytes *bytes, bool lenient)
{
    bytes->asked = true;
    bytes->lenient = lenient;
    es_reader_lenient(bytes->reader, lenient);
}

bool es_bytes_cut(es_bytes *bytes, uint64_t *made)
{
    if (!bytes->cut && bytes->reader)
        bytes->cut = es_reader_cut(bytes->reader, &bytes->made);
    *made = bytes->made;
    return bytes->cut;
}

/* What is held goes where it ends with a page of memory, as all that was read does with a page of the file: processors copy from one to
 * the other up to three times slower where the two begin a few bytes apart. */
static void bytes_align(es_bytes *bytes)
{
    const size_t held = bytes->end - bytes->at, at = (size_t)(0 - (uintptr_t)(bytes->buffer + held)) % BYTES_PAGE;
    if (at != bytes->at && held > 0)
        memmove(bytes->buffer + at, bytes->buffer + bytes->at, held);
    bytes->at = at;
    bytes->end = at + held;
}

/* Makes room behind what is held; a file is trusted with memory only for what it has given, so the buffer doubles. */
static bool bytes_room(es_bytes *bytes)
{
    const size_t held = bytes->end - bytes->at;
    if (held + BYTES_PAGE > bytes->room) {
        size_t room = bytes->room ? 2 * bytes->room : BYTES_ROOM;
        unsigned char *buffer = room < SIZE_MAX / 4 ? realloc(bytes->buffer, room + ES_BYTES_ROOM) : NULL;
        if (!buffer)
            return false;
        bytes->buffer = buffer;
        bytes->room = room;
    }
    bytes_align(bytes);
    return true;
}

es_code es_bytes_peek(es_bytes *bytes, size_t count, const unsigned char **at, size_t *got, es_err *err)
{
    while (bytes->end - bytes->at < count && !bytes->over) {
        size_t more = 0;
        if (!bytes_room(bytes))
            return es_err_nomem(err, "a record of a trace");
        size_t room = bytes->room - bytes->end;
        es_code code = es_reader_read(bytes->reader, bytes->buffer + bytes->end, room, &more, err);
        if (code)
            return code;
        bytes->end += more;
        bytes->over = more < room;
    }
    *at = bytes->buffer + bytes->at;
    *got = bytes->end - bytes->at < count ? bytes->end - bytes->at : count;
    return ES_OK;
}

void es_bytes_take(es_bytes *bytes, size_t count)
{
    bytes->at += count;
    bytes->offset += count;
}

es_code es_bytes_skip(es_bytes *bytes, uint64_t count, es_err *err)
{
    while (count > 0) {
        const unsigned char *at;
        size_t got, part = count < BYTES_ROOM ? (size_t)count : BYTES_ROOM;
        es_code code = es_bytes_peek(bytes, part, &at, &got, err);
        if (code)
            return code;
        es_bytes_take(bytes, got);
        if (got < part)
            return es_err_set(err, ES_EINPUT, "%s: ends at byte %llu, %llu bytes early", bytes->path, (unsigned long long)bytes->offset, (unsigned long long)(count - got));
        count -= part;
    }
    return ES_OK;
}

void es_bytes_sha256(es_bytes *bytes, char hex[65])
{
    bytes->hashed = true;
    es_reader_sha256(bytes->reader, hex);
}

es_code es_bytes_rewind(es_bytes *bytes, es_err *err)
{
    uint64_t made;
    (void)es_bytes_cut(bytes, &made);
    es_reader_close(bytes->reader);
    bytes->reader = NULL;
    bytes->at = bytes->end = 0;
    bytes->offset = 0;
    bytes->over = false;
    es_code code = es_reader_open(&bytes->reader, bytes->path, err);
    if (!code && bytes->asked)
        es_reader_lenient(bytes->reader, bytes->lenient);
    if (!code && bytes->hashed)
        es_reader_unhashed(bytes->reader);
    return code;
}

void es_bytes_close(es_bytes *bytes)
{
    es_reader_close(bytes->reader);
    free(bytes->buffer);
    *bytes = (es_bytes){ .path = bytes->path };
}

es_code es_bytes_fault(const es_bytes *bytes, uint64_t record, uint64_t offset, es_err *err, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return es_err_set(err, ES_EINPUT, "%s: record %llu (byte %llu): %s", bytes->reader ? es_reader_path(bytes->reader) : bytes->path, (unsigned long long)record, (unsigned long long)offset, text);
}

float es_bytes_half(uint16_t half)
{
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    float value = exponent == 0 ? ldexpf((float)fraction, -24) : exponent == 31 ? (fraction ? NAN : INFINITY) : ldexpf((float)(fraction + 1024), exponent - 25);
    return half >> 15 ? -value : value;
}
