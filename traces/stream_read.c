/* Stream, its end and the half that gives steps: see stream.h. */
#include "traces/stream_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/assume.h"

/* --- the end of the file -------------------------------------------------------------------------------------------------------- */

/* Has the step at hand a row of the layer? */
static bool stream_has(const es_row_stream *stream, uint32_t layer)
{
    stream_row row = { .layer = UINT16_MAX };
    bool has = false;
    for (size_t at = 0; at < stream->held && !has; at += stream_row_bytes(stream, &row)) {
        memcpy(&row, stream->bytes + at, sizeof row);
        has = row.layer == layer;
    }
    return has;
}

/* Layers behind the last row that the last token lacks and every generated token before it has: how many, and the first. */
static uint32_t stream_torn(const es_row_stream *stream, uint32_t *first)
{
    uint32_t missing = 0;
    const uint64_t before = stream->tally.decode_tokens;
    if (!stream->rules.whole_tokens || stream->back || stream->tokens != 1 || stream->token[0].phase != ES_DECODE)
        return 0;
    for (uint32_t layer = stream->last_layer + 1; layer < stream->layer_room; layer++) {
        const bool usual = before > 0 ? stream->rows_of[ES_DECODE][layer] == before : stream->rows_of[ES_PREFILL][layer] > 0;
        if (usual && !stream_has(stream, layer) && missing++ == 0)
            *first = layer;
    }
    return missing;
}

/* Takes the rows of the step from `at` on out of all that was counted. */
static void stream_uncount(es_row_stream *stream, size_t at)
{
    while (at < stream->held) {
        stream_row row;
        memcpy(&row, stream->bytes + at, sizeof row);
        at += stream_row_bytes(stream, &row);
        stream->rows_of[row.phase == ES_DECODE][row.layer] -= row.count > 0;
        stream->filled -= row.count > 0;
        stream->tally.accesses -= row.count;
    }
}

/* The last row is the only one that is shorter than the others. */
static es_code stream_last_row(es_row_stream *stream, es_text *notes, es_err *err)
{
    const uint32_t count = stream->mixed_count;
    if (!stream->rules.whole_rows || !stream->mixed || stream->tokens == 0 || stream->first_mixed.record != stream->last_record || count >= stream->longest)
        return ES_OK;
    if (!stream->rules.lenient)
        return es_err_set(err, ES_EINPUT, "ends inside the row that begins on %s %llu: expert %u of %u is expected; --lenient leaves the row out", stream->rules.unit,
            (unsigned long long)stream->last_record, count + 1, stream->longest);
    es_assume(notes, "the file ends inside the row that begins on %s %llu, with %u of %u experts; it was left out", stream->rules.unit, (unsigned long long)stream->last_record,
        count, stream->longest);
    stream_uncount(stream, stream->last_at);
    stream->held = stream->last_at;
    stream->rows--;
    stream->tokens -= stream->last_new;
    stream->mixed = false;
    stream->shortest = stream->longest;
    stream_row row = { .layer = 0 };    /* the row before is the last one now */
    for (size_t at = 0; at < stream->held; at += stream_row_bytes(stream, &row))
        memcpy(&row, stream->bytes + at, sizeof row);
    stream->last_layer = row.layer;
    return ES_OK;
}

static void stream_drop(es_row_stream *stream)
{
    stream_uncount(stream, 0);
    stream->tokens = stream->rows = 0;
    stream->held = 0;
}

static es_code stream_last(es_row_stream *stream, es_text *notes, es_err *err)
{
    uint32_t first = 0, missing = stream_torn(stream, &first);
    if (missing == 0)
        return ES_OK;
    const es_token *token = &stream->token[0];
    char more[64] = "";
    if (missing > 1)
        snprintf(more, sizeof more, " and %u more layers", missing - 1);
    if (!stream->rules.lenient)
        return es_err_set(err, ES_EINPUT, "ends inside request %u, token %u, which begins on %s %llu: layer %u%s of it %s missing, which other tokens have; --lenient leaves the token out",
            token->request, token->position, stream->rules.unit, (unsigned long long)stream->record, first, more, missing > 1 ? "are" : "is");
    es_assume(notes, "the file ends inside request %u, token %u (%s %llu): layer %u%s missing; the token was left out", token->request, token->position,
        stream->rules.unit, (unsigned long long)stream->record, first, more);
    stream_drop(stream);
    return ES_OK;
}

static es_code stream_layers(es_row_stream *stream, es_err *err)
{
    stream->layer_number = calloc(stream->layer_room + 1, sizeof *stream->layer_number);
    stream->rank = calloc(stream->layer_room + 1, sizeof *stream->rank);
    if (!stream->layer_number || !stream->rank)
        return es_err_nomem(err, "a trace");
    uint32_t layers = 0;
    for (uint32_t i = 0; i < stream->layer_room; i++)
        if (stream->occurs[i]) {
            stream->rank[i] = (uint16_t)layers;
            stream->layer_number[layers++] = i;
        }
    stream->info.layers = layers;
    stream->info.layer_number = stream->layer_number;
    return ES_OK;
}

static es_code stream_shape(es_row_stream *stream, es_err *err)
{
    es_trace_info *info = &stream->info;
    es_code code = stream_layers(stream, err);
    if (code)
        return code;
    if (stream->rules.layers > 0 && info->layers != stream->rules.layers)
        return es_err_set(err, ES_EINPUT, "has rows of %u layers, not of %u as was said", info->layers, stream->rules.layers);
    if (info->experts == 0)
        info->experts = stream->highest_id + 1;
    if (info->top_k == 0)
        info->top_k = stream->longest > 0 ? stream->longest : 1;
    if (stream->guesses == 0)
        info->guesses = stream->guesses = stream->longest_guess;
    const uint64_t tokens = stream->tally.prompt_tokens + stream->tally.decode_tokens;
    stream->tally.missing_cells = tokens * info->layers - stream->filled;
    es_tally_into(&stream->tally, info);
    /* a small file could otherwise ask for any amount of memory: a layer per row, a token per row, one long row */
    const uint64_t cells = tokens * info->layers, wide = info->top_k > stream->guesses ? info->top_k : stream->guesses;
    if (cells > 64 * stream->filled + (1u << 20) || cells * wide > 64 * info->accesses + (1u << 24))
        return es_err_set(err, ES_EINPUT, "%llu rows are too few for %llu tokens of %u layers", (unsigned long long)stream->filled, (unsigned long long)tokens, info->layers);
    return es_trace_check_shape(info, err);
}

/* All tokens of a layer, then of the next: where the last layer is the only one that tokens lack, those behind the last row, the file was cut in it. Where it
 * has the last token it was computed for wanted outputs only. */
static es_code stream_last_layer(const es_row_stream *stream, const es_token *token, es_err *err)
{
    const uint64_t tokens = stream->tally.prompt_tokens + stream->tally.decode_tokens;
    const uint32_t last = stream->last_layer;
    const uint64_t rows = stream->rows_of[ES_PREFILL][last] + stream->rows_of[ES_DECODE][last];
    if (!stream->rules.whole_tokens || stream->rules.lenient || stream->info.missing_cells == 0 || stream->info.missing_cells != tokens - rows)
        return ES_OK;
    if (token->position + 1 >= es_tally_next(&stream->tally, token->request))
        return ES_OK;
    return es_err_set(err, ES_EINPUT, "ends on %s %llu in layer %u, which %llu of %llu tokens lack; --lenient takes them as missing", stream->rules.unit, (unsigned long long)stream->last_record,
        last, (unsigned long long)(tokens - rows), (unsigned long long)tokens);
}

/* The first cell without a row, found by reading up to it. */
static es_code stream_note_missing(es_row_stream *stream, es_text *notes, es_err *err)
{
    const es_trace_info *info = &stream->info;
    es_code code = ES_OK;
    es_step step;
    for (bool more = true, found = false; !code && more && !found;) {
        code = es_stream_next(&stream, &step, &more, err);
        for (uint64_t cell = 0; !code && more && !found && cell < (uint64_t)step.tokens * info->layers; cell++) {
            found = step.ids[cell * info->top_k] == ES_NO_EXPERT;
            const es_token *token = &step.token[cell / info->layers];
            if (found)
                es_assume(notes, "%llu of %llu rows (token, layer) are missing; the first is layer %u of request %u, token %u, a %s token in the step that begins on %s %llu",
                    (unsigned long long)info->missing_cells, (unsigned long long)(info->layers * (info->prompt_tokens + info->decode_tokens)),
                    info->layer_number[cell % info->layers], token->request, token->position, token->phase == ES_PREFILL ? "prompt" : "generated",
                    stream->rules.unit, (unsigned long long)step.record);
        }
    }
    return code ? code : es_stream_rewind(&stream, err);
}

static void stream_note_weights(const es_row_stream *stream, es_text *notes)
{
    if (stream->summed == 0)
        return;
    if (stream->least_sum > 0.99f && stream->most_sum < 1.01f)
        es_assume(notes, "weights of a row sum to 1: renormalised over the experts used");
    else
        es_assume(notes, "weights of a row sum to %.3g to %.3g, as the engine wrote them", (double)stream->least_sum, (double)stream->most_sum);
    if (stream->unordered == 0)
        es_assume(notes, "ids of a row stand by falling weight");
    else
        es_assume(notes, "ids of %llu rows do not stand by falling weight; the first is %s %llu (request %u, token %u, layer %u)", (unsigned long long)stream->unordered,
            stream->rules.unit, (unsigned long long)stream->first_unordered.record, stream->first_unordered.request, stream->first_unordered.position, stream->first_unordered.layer);
}

es_code es_stream_finish(es_row_stream *stream, es_text *notes, es_err *err)
{
    es_code code = stream_last_row(stream, notes, err);
    if (!code)
        code = stream_last(stream, notes, err);
    const es_token token = stream->tokens > 0 ? stream->token[stream->hint] : (es_token){ .request = 0 };     /* of the last row */
    if (!code)
        code = stream_end_step(stream, err);
    if (!code && es_spool_length(stream->spool) == 0)
        code = es_err_set(err, ES_EINPUT, "there are no rows");
    const bool back = stream->back;
    if (!code && back)
        code = stream_sort(stream, err);
    if (!code)
        code = stream_shape(stream, err);
    if (!code && back)
        code = stream_last_layer(stream, &token, err);
    if (!code && stream->mixed)
        es_assume(notes, "rows list %u to %u experts; the first of another length than those before is %s %llu (request %u, token %u, layer %u) with %u", stream->shortest,
            stream->longest, stream->rules.unit, (unsigned long long)stream->first_mixed.record, stream->first_mixed.request, stream->first_mixed.position,
            stream->first_mixed.layer, stream->mixed_count);
    if (!code)
        stream_note_weights(stream, notes);
    if (!code && stream->info.missing_cells > 0)
        code = stream_note_missing(stream, notes, err);
    return code;
}

es_trace_info *es_stream_about(es_row_stream *stream)
{
    return &stream->info;
}

/* --- steps ---------------------------------------------------------------------------------------------------------------------- */

static es_code stream_room(es_row_stream *stream, uint64_t tokens, es_err *err)
{
    const es_trace_info *info = &stream->info;
    const uint64_t cells = tokens * info->layers;
    if (tokens <= stream->given_room)
        return ES_OK;
    bool good = ES_TRACE_RESIZE(stream->given, tokens, 1) && ES_TRACE_RESIZE(stream->ids, cells, info->top_k);
    good = good && (!stream->weighted || ES_TRACE_RESIZE(stream->weights, cells, info->top_k));
    good = good && (!stream->resident || ES_TRACE_RESIZE(stream->residency, cells, info->top_k));
    good = good && (stream->guesses == 0 || ES_TRACE_RESIZE(stream->guess, cells, stream->guesses));
    good = good && (!stream->confident || ES_TRACE_RESIZE(stream->confidence, cells, stream->guesses));
    if (!good)
        return es_err_nomem(err, "a step");
    stream->given_room = tokens;
    return ES_OK;
}

static void stream_empty(es_row_stream *stream, uint64_t tokens)
{
    const es_trace_info *info = &stream->info;
    const uint64_t cells = tokens * info->layers;
    memset(stream->ids, 0xff, cells * info->top_k * sizeof *stream->ids);
    if (stream->weighted)
        memset(stream->weights, 0, cells * info->top_k * sizeof *stream->weights);
    if (stream->resident)
        memset(stream->residency, 0, cells * info->top_k);
    if (stream->guesses > 0)
        memset(stream->guess, 0xff, cells * stream->guesses * sizeof *stream->guess);
    if (stream->confident)
        memset(stream->confidence, 0, cells * stream->guesses * sizeof *stream->confidence);
}

static const unsigned char *stream_take(void *to, const unsigned char *from, size_t bytes)
{
    unsigned char *p = to;
    for (size_t i = 0; i < bytes; i++)
        p[i] = from[i];
    return from + bytes;
}

/* One row into its cell. */
static void stream_unpack(es_row_stream *stream, const stream_row *row, const unsigned char *from)
{
    const es_trace_info *info = &stream->info;
    const uint64_t cell = (uint64_t)row->token * info->layers + stream->rank[row->layer], k = cell * info->top_k, g = cell * stream->guesses;
    if (stream->weighted)
        from = stream_take(stream->weights + k, from, row->count * sizeof *stream->weights);
    if (row->confident)
        from = stream_take(stream->confidence + g, from, row->guesses * sizeof *stream->confidence);
    from = stream_take(stream->ids + k, from, row->count * sizeof *stream->ids);
    if (row->guesses > 0)
        from = stream_take(stream->guess + g, from, row->guesses * sizeof *stream->guess);
    if (stream->resident)
        stream_take(stream->residency + k, from, row->count);
}

static es_code stream_tokens(es_row_stream *stream, uint64_t at, uint64_t tokens, es_err *err)
{
    const uint64_t part_most = ES_SPOOL_VIEW / sizeof(es_token);
    es_code code = ES_OK;
    for (uint64_t done = 0; done < tokens && !code;) {
        const uint64_t part = tokens - done < part_most ? tokens - done : part_most;
        const unsigned char *bytes;
        code = es_spool_view(stream->spool, at + done * sizeof(es_token), part * sizeof(es_token), &bytes, err);
        if (!code)
            memcpy(stream->given + done, bytes, part * sizeof(es_token));
        done += part;
    }
    return code;
}

static es_code stream_rows(es_row_stream *stream, uint64_t at, uint64_t rows, es_err *err)
{
    const uint64_t end = es_spool_length(stream->spool);
    for (uint64_t i = 0; i < rows; i++) {
        const unsigned char *bytes;
        stream_row row;
        es_code code = es_spool_view(stream->spool, at, end - at < STREAM_ROW_MOST ? (size_t)(end - at) : STREAM_ROW_MOST, &bytes, err);
        if (code)
            return code;
        memcpy(&row, bytes, sizeof row);
        stream_unpack(stream, &row, bytes + sizeof row);
        at += stream_row_bytes(stream, &row);
    }
    return ES_OK;
}

const es_trace_info *es_stream_info(void *self)
{
    return &(*(es_row_stream **)self)->info;
}

es_code es_stream_next(void *self, es_step *step, bool *more, es_err *err)
{
    es_row_stream *stream = *(es_row_stream **)self;
    const unsigned char *bytes;
    stream_step head;
    *step = (es_step){ 0 };
    *more = stream->at < es_spool_length(stream->spool);
    if (!*more)
        return ES_OK;
    es_code code = es_spool_view(stream->spool, stream->at, sizeof head, &bytes, err);
    if (code)
        return code;
    memcpy(&head, bytes, sizeof head);
    const uint64_t first = stream->at + sizeof head, rows = first + head.tokens * sizeof(es_token);
    code = stream_room(stream, head.tokens, err);
    if (!code)
        code = stream_tokens(stream, first, head.tokens, err);
    if (code)
        return code;
    stream_empty(stream, head.tokens);
    code = stream_rows(stream, rows, head.rows, err);
    stream->at = rows + head.bytes;
    *step = (es_step){ .tokens = (uint32_t)head.tokens, .token = stream->given, .ids = stream->ids, .weights = stream->weights, .residency = stream->residency,
        .guess = stream->guess, .guess_confidence = stream->confidence, .record = head.record };
    return code;
}

es_code es_stream_rewind(void *self, es_err *err)
{
    (void)err;
    (*(es_row_stream **)self)->at = 0;
    return ES_OK;
}

void es_stream_fini(void *self)
{
    es_stream_free(*(es_row_stream **)self);
    *(es_row_stream **)self = NULL;
}
