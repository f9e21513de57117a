/* Chunks: see h5_chunks.h. */
#include "sim/base/h5_chunks.h"

#include <stdbool.h>
#include <stdlib.h>
#include <zlib.h>

enum { CHUNK_FLETCHER = 4, CHUNK_WINDOW = 64 * 1024 };

static es_code chunk_fault(const char *name, const hsize_t *at, const char *what, uint64_t found, uint64_t needs, es_err *err)
{
    return es_err_set(err, ES_EINPUT, "%s: the chunk from row %llu on %s %llu bytes, needs %llu", name, (unsigned long long)at[0], what, (unsigned long long)found,
        (unsigned long long)needs);
}

/* How many bytes deflate made `*length` bytes of: no more than `most` + 1 are counted. False: the stream is damaged. */
static bool chunk_inflated(const unsigned char *from, uint64_t *length, uint64_t most)
{
    unsigned char window[CHUNK_WINDOW];
    z_stream z = {.next_in = (unsigned char *)from, .avail_in = (uInt)*length};     /* zlib only reads it; the input is a chunk, below 4 GB */
    uint64_t made = 0;
    if (inflateInit(&z) != Z_OK)
        return false;
    int state = Z_OK;
    while (state == Z_OK && made <= most) {
        z.next_out = window;
        z.avail_out = sizeof window;
        state = inflate(&z, Z_NO_FLUSH);
        made += sizeof window - z.avail_out;
    }
    inflateEnd(&z);
    *length = made;
    return state == Z_STREAM_END || made > most;
}

/* From the length that is stored to the one that the filters leave. A filter of `mask` was left out when the chunk was written. */
static es_code chunk_lengths(const es_h5_chunks *c, uint64_t length, uint32_t mask, const hsize_t *at, const char *name, es_err *err)
{
    bool stored = true;             /* the bytes in `c->stored` are those of this place of the pipeline */
    for (int i = c->filters; i-- > 0;) {
        if (mask & 1u << i)
            continue;
        if (c->filter[i] == H5Z_FILTER_FLETCHER32) {
            if (length < CHUNK_FLETCHER)
                return chunk_fault(name, at, "has", length, CHUNK_FLETCHER, err);
            length -= CHUNK_FLETCHER;
        } else if (c->filter[i] == H5Z_FILTER_DEFLATE) {
            if (!stored || !chunk_inflated(c->stored, &length, c->bytes + CHUNK_FLETCHER))
                return es_err_set(err, ES_EINPUT, "%s: the chunk from row %llu on is no deflate stream", name, (unsigned long long)at[0]);
        }
        stored = stored && c->filter[i] == H5Z_FILTER_FLETCHER32;
    }
    return length == c->bytes ? ES_OK : chunk_fault(name, at, "has", length, c->bytes, err);
}

static es_code chunk_look(es_h5_chunks *c, hid_t data, const hsize_t *at, const char *name, es_err *err)
{
    hsize_t size = 0;
    uint32_t mask = 0;
    if (H5Dget_chunk_storage_size(data, at, &size) < 0)
        return ES_OK;               /* nothing is stored here: the library puts in the fill value */
    const uint64_t most = compressBound((uLong)c->bytes) + 2 * CHUNK_FLETCHER;
    if (size == 0)
        return ES_OK;
    if (size > most)
        return chunk_fault(name, at, "is stored in", size, c->bytes, err);
    if (size > c->room) {
        unsigned char *larger = realloc(c->stored, (size_t)size);
        if (!larger)
            return es_err_nomem(err, "a chunk");
        c->stored = larger;
        c->room = (size_t)size;
    }
    if (H5Dread_chunk(data, H5P_DEFAULT, at, &mask, c->stored) < 0)
        return es_err_set(err, ES_EINPUT, "%s: the chunk from row %llu on cannot be read", name, (unsigned long long)at[0]);
    return chunk_lengths(c, size, mask, at, name, err);
}

/* The next chunk beside `at` in the same rows; false: there is none. */
static bool chunk_next(const es_h5_chunks *c, const hsize_t *dims, hsize_t *at)
{
    for (int i = c->rank; i-- > 1;) {
        at[i] += c->side[i];
        if (at[i] < dims[i])
            return true;
        at[i] = 0;
    }
    return false;
}

es_code es_h5_chunks_look(es_h5_chunks *c, hid_t data, const hsize_t *dims, hsize_t first, hsize_t end, const char *name, es_err *err)
{
    es_code code = ES_OK;
    if (c->filters == 0 || (first >= c->first && end <= c->end))
        return ES_OK;
    const bool goes_on = first >= c->first && first <= c->end;
    const hsize_t from = goes_on ? c->end : first / c->side[0] * c->side[0];
    hsize_t row = from;             /* where a chunk begins: what was looked at ends with one */
    for (; row < end && code == ES_OK; row += c->side[0]) {
        hsize_t at[H5_RANK_MAX] = {row};
        do
            code = chunk_look(c, data, at, name, err);
        while (code == ES_OK && chunk_next(c, dims, at));
    }
    if (code == ES_OK) {
        c->first = goes_on ? c->first : from;
        c->end = row;
    }
    return code;
}

void es_h5_chunks_free(es_h5_chunks *chunks)
{
    free(chunks->stored);
    *chunks = (es_h5_chunks){0};
}
