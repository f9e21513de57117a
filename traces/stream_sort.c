/* Stream, rows of any order: see stream.h. The spool has the rows as the file has them; an index of 16 bytes per row is sorted and
 * the rows are copied to a new spool in its order.
 *
 * The sort merges the runs that are there: a file that goes layer by layer has one rising run per layer, so few passes are needed. */
#include "traces/stream_inside.h"

#include <stdlib.h>
#include <string.h>

typedef struct sort_entry { uint64_t key, place; } sort_entry;  /* request << 32 | position; layer << 48 | where the row is in the spool */

enum { SORT_PLACE_BITS = 48 };
#define SORT_PLACE_MOST ((1ull << SORT_PLACE_BITS) - 1)

typedef struct sort {
    const unsigned char *spool;
    uint64_t length;
    sort_entry *entry, *other;
    uint64_t rows, room;
} sort;

static bool sort_before(const sort_entry *a, const sort_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->place >> SORT_PLACE_BITS < b->place >> SORT_PLACE_BITS;
}

/* --- the index ------------------------------------------------------------------------------------------------------------------ */

static es_token sort_token(const sort *s, uint64_t tokens, uint32_t token)
{
    es_token out;
    memcpy(&out, s->spool + tokens + token * sizeof out, sizeof out);
    return out;
}

static es_code sort_index(const es_row_stream *stream, sort *s, es_err *err)
{
    for (uint64_t at = 0; at < s->length;) {
        stream_step head;
        memcpy(&head, s->spool + at, sizeof head);
        const uint64_t tokens = at + sizeof head;
        at = tokens + head.tokens * sizeof(es_token);
        for (uint64_t i = 0; i < head.rows; i++) {
            stream_row row;
            memcpy(&row, s->spool + at, sizeof row);
            const es_token token = sort_token(s, tokens, row.token);
            if (s->rows == s->room) {
                const uint64_t room = s->room ? 2 * s->room : 4096;
                if (!ES_TRACE_RESIZE(s->entry, room, 1))
                    return es_err_nomem(err, "the rows of a trace");
                s->room = room;
            }
            s->entry[s->rows++] = (sort_entry){ (uint64_t)token.request << 32 | token.position, (uint64_t)row.layer << SORT_PLACE_BITS | at };
            at += stream_row_bytes(stream, &row);
        }
    }
    return ES_OK;
}

/* --- merging -------------------------------------------------------------------------------------------------------------------- */

/* The end of the run that begins at `at`. */
static uint64_t sort_run(const sort *s, uint64_t at)
{
    for (at++; at < s->rows && !sort_before(&s->entry[at], &s->entry[at - 1]); at++)
        ;
    return at;
}

static void sort_merge(const sort *s, uint64_t a, uint64_t middle, uint64_t end)
{
    uint64_t b = middle, to = a;
    while (a < middle && b < end)
        s->other[to++] = sort_before(&s->entry[b], &s->entry[a]) ? s->entry[b++] : s->entry[a++];
    memcpy(s->other + to, s->entry + a, (middle - a) * sizeof *s->entry);
    memcpy(s->other + to + (middle - a), s->entry + b, (end - b) * sizeof *s->entry);
}

/* Merges neighbouring runs, two and two, until one is left. */
static es_code sort_entries(sort *s, es_err *err)
{
    if (sort_run(s, 0) == s->rows)
        return ES_OK;
    s->other = malloc(s->rows * sizeof *s->other);
    if (!s->other)
        return es_err_nomem(err, "the rows of a trace");
    for (uint64_t runs = 0; runs != 1;) {
        runs = 0;
        for (uint64_t at = 0; at < s->rows; runs++) {
            const uint64_t middle = sort_run(s, at), end = middle < s->rows ? sort_run(s, middle) : middle;
            sort_merge(s, at, middle, end);
            at = end;
        }
        sort_entry *swap = s->entry;
        s->entry = s->other;
        s->other = swap;
    }
    return ES_OK;
}

/* --- the steps again ------------------------------------------------------------------------------------------------------------ */

static stream_row sort_row(const sort *s, const sort_entry *e)
{
    stream_row row;
    memcpy(&row, s->spool + (e->place & SORT_PLACE_MOST), sizeof row);
    return row;
}

/* The token of an entry: another one, perhaps in another step. */
static es_code sort_begin(es_row_stream *stream, const sort_entry *e, const stream_row *row, es_err *err)
{
    const es_token token = { (uint32_t)(e->key >> 32), (uint32_t)e->key, row->phase };
    const es_token *last = stream->tokens > 0 ? &stream->token[stream->tokens - 1] : NULL;
    if (last && (last->request != token.request || last->phase != token.phase || token.phase == ES_DECODE)) {
        es_code code = stream_end_step(stream, err);
        if (code)
            return code;
        last = NULL;
    }
    if (!stream_token_room(stream))
        return es_err_nomem(err, "the tokens of a step");
    if (!last)
        stream->record = row->record;
    stream->token[stream->tokens++] = token;
    return ES_OK;
}

static es_code sort_copy(es_row_stream *stream, const sort *s, uint64_t i, es_err *err)
{
    const sort_entry *e = &s->entry[i];
    stream_row row = sort_row(s, e);
    if (i > 0 && e->key == e[-1].key) {
        const stream_row before = sort_row(s, e - 1);
        if (before.layer == row.layer)
            return es_err_set(err, ES_EINPUT, "request %u, token %u, layer %u is listed twice, on %s %llu and on %s %llu", (unsigned)(e->key >> 32), (unsigned)e->key, row.layer,
                stream->rules.unit, (unsigned long long)before.record, stream->rules.unit, (unsigned long long)row.record);
        if (before.phase != row.phase)
            return es_err_set(err, ES_EINPUT, "request %u, token %u is of another phase on %s %llu than on %s %llu", (unsigned)(e->key >> 32), (unsigned)e->key, stream->rules.unit,
                (unsigned long long)before.record, stream->rules.unit, (unsigned long long)row.record);
    } else {
        es_code code = sort_begin(stream, e, &row, err);
        if (code)
            return code;
    }
    const size_t bytes = stream_row_bytes(stream, &row);
    if (!stream_bytes_room(stream, bytes))
        return es_err_nomem(err, "the rows of a step");
    row.token = (uint32_t)(stream->tokens - 1);
    memcpy(stream->bytes + stream->held, &row, sizeof row);
    memcpy(stream->bytes + stream->held + sizeof row, s->spool + (e->place & SORT_PLACE_MOST) + sizeof row, bytes - sizeof row);
    stream->held += bytes;
    stream->rows++;
    return ES_OK;
}

/* Forgets what was counted of tokens and steps, but not of rows. */
static void sort_uncount(es_row_stream *stream)
{
    const uint64_t accesses = stream->tally.accesses;
    es_tally_free(&stream->tally);
    stream->tally.accesses = accesses;
    stream->back = false;
}

es_code stream_sort(es_row_stream *stream, es_err *err)
{
    sort s = { .length = es_spool_length(stream->spool) };
    es_spool *from = stream->spool;
    es_code code = s.length > SORT_PLACE_MOST ? es_err_set(err, ES_EINPUT, "there are more rows than can be sorted") : es_spool_map(from, &s.spool, err);
    if (!code)
        code = sort_index(stream, &s, err);
    if (!code)
        code = sort_entries(&s, err);
    if (!code) {
        free(s.other);
        s.other = NULL;
        sort_uncount(stream);
        code = es_spool_new(&stream->spool, err);
        for (uint64_t i = 0; i < s.rows && !code; i++)
            code = sort_copy(stream, &s, i, err);
        if (!code)
            code = stream_end_step(stream, err);
        es_spool_free(from);
    }
    free(s.entry);
    free(s.other);
    return code;
}
