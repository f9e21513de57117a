/* Spool: see spool.h.
 *
 * One buffer serves both halves. While a spool is short it holds everything; in a file's case it gathers what is to be written, and
 * for reading a window of the file. */
#include "traces/spool.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "sim/base/descriptor.h"

struct es_spool {
    unsigned char *buffer;
    size_t room, held;          /* of the buffer: bytes that are not in the file (all of them when there is none) */
    int file;                   /* -1: none yet */
    uint64_t written;           /* bytes of the file */
    unsigned char *window;      /* [ES_SPOOL_VIEW] bytes window_at .. window_at + window_held of the file */
    uint64_t window_at;
    size_t window_held;
    void *map;                  /* of the whole file */
};

es_code es_spool_new(es_spool **out, es_err *err)
{
    es_spool *spool = calloc(1, sizeof *spool);
    *out = spool;
    if (!spool)
        return es_err_nomem(err, "a spool");
    spool->file = -1;
    return ES_OK;
}

void es_spool_free(es_spool *spool)
{
    if (!spool)
        return;
    if (spool->map)
        munmap(spool->map, (size_t)spool->written);
    if (spool->file >= 0)
        close(spool->file);
    free(spool->buffer);
    free(spool->window);
    free(spool);
}

uint64_t es_spool_length(const es_spool *spool)
{
    return spool->written + spool->held;
}

/* --- writing -------------------------------------------------------------------------------------------------------------------- */

static es_code spool_write(es_spool *spool, const unsigned char *bytes, size_t count, es_err *err)
{
    while (count > 0) {
        ssize_t wrote = pwrite(spool->file, bytes, count, (off_t)spool->written);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return es_err_set(err, ES_EINPUT, "the scratch file for a long trace cannot be written: %s; TMPDIR names another folder", strerror(wrote < 0 ? errno : ENOSPC));
        spool->written += (uint64_t)wrote;
        bytes += wrote;
        count -= (size_t)wrote;
    }
    return ES_OK;
}

static es_code spool_flush(es_spool *spool, es_err *err)
{
    es_code code = spool->file < 0 ? es_descriptor_scratch(&spool->file, "a trace that is too long to keep in memory", err) : ES_OK;
    if (!code)
        code = spool_write(spool, spool->buffer, spool->held, err);
    if (!code)
        spool->held = 0;
    return code;
}

static es_code spool_grow(es_spool *spool, size_t count, es_err *err)
{
    size_t room = spool->room ? spool->room : 64 * 1024;
    while (room < spool->held + count)
        room *= 2;
    unsigned char *more = realloc(spool->buffer, room);
    if (!more)
        return es_err_nomem(err, "a spool");
    spool->buffer = more;
    spool->room = room;
    return ES_OK;
}

es_code es_spool_add(es_spool *spool, const void *bytes, size_t count, es_err *err)
{
    es_code code = ES_OK;
    if (spool->room - spool->held < count) {
        if (spool->held + count > ES_SPOOL_MEMORY || spool->file >= 0)
            code = spool_flush(spool, err);
        if (!code && count > ES_SPOOL_MEMORY)       /* one piece that is longer than all we would keep */
            return spool_write(spool, bytes, count, err);
        if (!code && spool->room - spool->held < count)
            code = spool_grow(spool, count, err);
        if (code)
            return code;
    }
    memcpy(spool->buffer + spool->held, bytes, count);
    spool->held += count;
    return ES_OK;
}

/* --- reading -------------------------------------------------------------------------------------------------------------------- */

static es_code spool_read(const es_spool *spool, uint64_t at, unsigned char *to, size_t count, es_err *err)
{
    while (count > 0) {
        ssize_t got = pread(spool->file, to, count, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return es_err_set(err, ES_EINPUT, "the scratch file for a long trace cannot be read: %s", got < 0 ? strerror(errno) : "it was cut short");
        at += (uint64_t)got;
        to += got;
        count -= (size_t)got;
    }
    return ES_OK;
}

es_code es_spool_view(es_spool *spool, uint64_t at, size_t count, const unsigned char **bytes, es_err *err)
{
    es_code code = ES_OK;
    if (spool->file < 0) {
        *bytes = spool->buffer + at;
        return ES_OK;
    }
    if (at >= spool->window_at && at + count <= spool->window_at + spool->window_held) {
        *bytes = spool->window + (at - spool->window_at);
        return ES_OK;
    }
    if (spool->held > 0)
        code = spool_flush(spool, err);
    if (!code && !spool->window && !(spool->window = malloc(ES_SPOOL_VIEW)))
        code = es_err_nomem(err, "a spool");
    if (code)
        return code;
    size_t held = spool->written - at < ES_SPOOL_VIEW ? (size_t)(spool->written - at) : ES_SPOOL_VIEW;
    spool->window_at = at;
    spool->window_held = 0;
    code = spool_read(spool, at, spool->window, held, err);
    if (!code)
        spool->window_held = held;
    *bytes = spool->window;
    return code;
}

es_code es_spool_map(es_spool *spool, const unsigned char **bytes, es_err *err)
{
    if (spool->file < 0) {
        *bytes = spool->buffer;
        return ES_OK;
    }
    es_code code = spool->held > 0 ? spool_flush(spool, err) : ES_OK;
    if (code)
        return code;
    spool->map = mmap(NULL, (size_t)spool->written, PROT_READ, MAP_SHARED, spool->file, 0);
    if (spool->map == MAP_FAILED) {
        spool->map = NULL;
        return es_err_set(err, ES_EINPUT, "the scratch file for a long trace cannot be read: %s", strerror(errno));
    }
    *bytes = spool->map;
    return ES_OK;
}
