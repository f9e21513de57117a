/* Perfetto: see perfetto.h. zlib writes plain files too. */
#include "sim/base/perfetto.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "sim/base/file.h"

enum { PERFETTO_LINE = 4096, PERFETTO_BUFFER = 128 * 1024 };

struct es_perfetto {
    gzFile file;
    es_file_target target;
    char line[PERFETTO_LINE];   /* the event at hand */
    size_t length;
    bool any, args;             /* an event was written; the one at hand has an argument */
    bool other;                 /* what stands behind the events has begun */
    bool begun;                 /* something was drawn: not only names */
    uint64_t arrows;
    int64_t bytes;
    bool failed;
    int fault;                  /* errno of the first write that failed; 0: zlib gave none */
};

/* ---- the file ---- */

static void perfetto_free(es_perfetto *p)
{
    if (p->file)
        gzclose(p->file);
    es_file_target_free(&p->target);
    free(p);
}

static void perfetto_write(es_perfetto *p, const char *text, size_t length)
{
    if (!p->failed && length > 0 && gzwrite(p->file, text, (unsigned)length) != (int)length) {
        p->failed = true;
        p->fault = errno;
    }
    p->bytes += (int64_t)length;
}

es_code es_perfetto_open(es_perfetto **out, const char *path, es_err *err)
{
    static const char head[] = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";
    const size_t length = strlen(path);
    const bool packed = length > 3 && strcmp(path + length - 3, ".gz") == 0;
    *out = NULL;
    if (length == 0)
        return es_err_set(err, ES_EINPUT, "the timeline needs a file name");
    es_perfetto *p = calloc(1, sizeof *p);
    es_code code = p ? es_file_target_find(&p->target, path, err) : es_err_nomem(err, "a timeline");
    errno = 0;
    if (!code && !(p->file = gzopen(p->target.name, packed ? "wb6" : "wbT")))
        code = es_err_set(err, ES_EINPUT, "cannot write \"%s\": %s", p->target.name, strerror(errno ? errno : ENOMEM));
    if (code) {
        if (p)
            perfetto_free(p);
        return code;
    }
    gzbuffer(p->file, PERFETTO_BUFFER);
    perfetto_write(p, head, sizeof head - 1);
    *out = p;
    return ES_OK;
}

/* ---- the event at hand ---- */

static void line_add(es_perfetto *p, const char *fmt, ...) ES_PRINTF(2, 3);

/* What does not fit is left out; only names from a config could be so long, and those are cut in line_text. */
static void line_add(es_perfetto *p, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    const int count = vsnprintf(p->line + p->length, sizeof p->line - p->length, fmt, args);
    va_end(args);
    if (count > 0 && (size_t)count < sizeof p->line - p->length)
        p->length += (size_t)count;
}

/* A JSON string; what is long is cut, between two characters. */
static void line_text(es_perfetto *p, const char *text)
{
    line_add(p, "\"");
    for (int i = 0; text[i] && (i < 200 || ((unsigned char)text[i] & 0xc0) == 0x80); i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            line_add(p, "\\%c", c);
        else if (c < 0x20)
            line_add(p, "\\u%04x", c);
        else
            line_add(p, "%c", c);
    }
    line_add(p, "\"");
}

/* In microseconds. The importer multiplies by 1000 and cuts off, so where the nearest double lies below the nanosecond a tenth of one is
 * added: else neighbours would overlap by a nanosecond. */
static void line_time(es_perfetto *p, const char *key, es_time ns)
{
    const es_time us = ns / 1000, rest = ns % 1000;
    const bool below = (es_time)((double)ns / 1000.0 * 1000.0) != ns;
    line_add(p, ",\"%s\":%" PRId64, key, us);
    if (rest)
        line_add(p, below ? ".%03d1" : ".%03d", (int)rest);
}

static void line_begin(es_perfetto *p)
{
    p->length = 0;
    p->args = false;
    line_add(p, p->any ? ",\n" : "\n");
    p->any = true;
}

void es_perfetto_begin(es_perfetto *p, const es_perfetto_event *event, const char *name, ...)
{
    char text[256];
    va_list args;
    va_start(args, name);
    vsnprintf(text, sizeof text, name, args);
    va_end(args);
    p->begun = true;
    line_begin(p);
    line_add(p, "{\"ph\":\"%c\",\"pid\":%u,\"tid\":%u", event->phase, event->process, event->track);
    line_time(p, "ts", event->at);
    if (event->phase == 'X')
        line_time(p, "dur", event->took);
    if (event->phase == 'i')
        line_add(p, ",\"s\":\"t\"");
    if (event->category)
        line_add(p, ",\"cat\":\"%s\"", event->category);
    line_add(p, ",\"name\":");
    line_text(p, text);
}

static void line_key(es_perfetto *p, const char *key)
{
    line_add(p, p->args ? ",\"%s\":" : ",\"args\":{\"%s\":", key);
    p->args = true;
}

void es_perfetto_int(es_perfetto *p, const char *key, int64_t value)
{
    line_key(p, key);
    line_add(p, "%" PRId64, value);
}

void es_perfetto_text(es_perfetto *p, const char *key, const char *value)
{
    line_key(p, key);
    line_text(p, value);
}

void es_perfetto_end(es_perfetto *p)
{
    line_add(p, p->args ? "}}" : "}");
    perfetto_write(p, p->line, p->length);
}

/* ---- names and arrows ---- */

static void perfetto_meta(es_perfetto *p, uint32_t process, uint32_t track, const char *what, const char *key, const char *text)
{
    line_begin(p);
    line_add(p, "{\"ph\":\"M\",\"pid\":%u,\"tid\":%u,\"name\":\"%s\"", process, track, what);
    if (text)
        es_perfetto_text(p, key, text);
    else
        es_perfetto_int(p, key, track);
    es_perfetto_end(p);
}

void es_perfetto_process(es_perfetto *p, uint32_t process, const char *name)
{
    perfetto_meta(p, process, process, "process_name", "name", name);
    perfetto_meta(p, process, process, "process_sort_index", "sort_index", NULL);
}

void es_perfetto_track(es_perfetto *p, uint32_t process, uint32_t track, const char *name)
{
    perfetto_meta(p, process, track, "thread_name", "name", name);
    perfetto_meta(p, process, track, "thread_sort_index", "sort_index", NULL);
}

static void perfetto_arrow_end(es_perfetto *p, char phase, uint32_t process, const char *name, uint32_t track, es_time at)
{
    line_begin(p);
    line_add(p, "{\"ph\":\"%c\",\"pid\":%u,\"tid\":%u", phase, process, track);
    line_time(p, "ts", at);
    line_add(p, ",\"cat\":\"arrow\",\"name\":\"%s\",\"id\":%" PRIu64 "%s", name, p->arrows, phase == 'f' ? ",\"bp\":\"e\"" : "");
    es_perfetto_end(p);
}

void es_perfetto_arrow(es_perfetto *p, uint32_t process, const char *name, uint32_t from, es_time left, uint32_t to, es_time arrived)
{
    p->arrows++;
    perfetto_arrow_end(p, 's', process, name, from, left);
    perfetto_arrow_end(p, 'f', process, name, to, arrived);
}

/* ---- the end ---- */

int64_t es_perfetto_bytes(const es_perfetto *p)
{
    return p->bytes;
}

void es_perfetto_other(es_perfetto *p)
{
    static const char end[] = "\n],\"otherData\":{";
    perfetto_write(p, end, sizeof end - 1);
    p->length = 0;
    p->args = false;
    p->other = true;
}

/* The arguments stand as `,"args":{"a":1,"b":2`: what is behind the brace are the members. */
static void perfetto_members(es_perfetto *p)
{
    const char *brace = p->length ? memchr(p->line, '{', p->length) : NULL;
    if (brace)
        perfetto_write(p, brace + 1, p->length - (size_t)(brace + 1 - p->line));
}

es_code es_perfetto_close(es_perfetto *p, bool whole, es_err *err)
{
    if (!p)
        return ES_OK;
    if (!p->other)
        es_perfetto_other(p);
    perfetto_members(p);
    perfetto_write(p, "}}\n", 3);
    errno = 0;
    if (gzclose(p->file) != Z_OK && !p->failed) {
        p->failed = true;
        p->fault = errno;
    }
    p->file = NULL;
    es_code code = ES_OK;
    if (whole && !p->failed && es_file_target_keep(&p->target, NULL)) {
        p->failed = true;
        p->fault = errno;
    }
    if (whole && p->failed)
        code = es_err_set(err, ES_EINPUT, "the timeline \"%s\" could not be written: %s", p->target.path, strerror(p->fault ? p->fault : EIO));
    if (!p->begun || (whole && p->failed))
        es_file_target_drop(&p->target);
    perfetto_free(p);
    return code;
}
