/* q4rt: Q4RT version 1 (regolith), a head of 16 bytes, then for every token and layer its best candidates: as many ids of 16 bits as
 * the head says, then their logits as halves of a float. How many of them are used must be asked for (--top-k); else all count as
 * used. Weights are the softmax of the logits that are kept. */
#include "traces/calls.h"

#include <math.h>
#include <string.h>

enum { Q4RT_HEAD = 16, Q4RT_MOST = 256, Q4RT_EIGHT = 8, HALF_EXPONENT = 0x7c00 };

typedef struct q4rt {
    es_calls calls;                     /* first: it is the reading half of the source */
    uint32_t layers, candidates;
    uint64_t tokens;                    /* promised; 0: no promise */
} q4rt;

static es_code q4rt_head(q4rt *state, es_calls_form *form, const es_source_ask *ask, es_err *err)
{
    es_bytes *bytes = &state->calls.bytes;
    const unsigned char *at;
    size_t got;
    es_code code = es_bytes_peek(bytes, Q4RT_HEAD, &at, &got, err);
    if (code)
        return code;
    if (got < 4 || memcmp(at, "Q4RT", 4) != 0)
        return es_bytes_fault(bytes, 0, 0, err, "does not begin with Q4RT");
    if (got < Q4RT_HEAD)
        return es_bytes_fault(bytes, 0, 4, err, "the file ends in its head, which has %d bytes", Q4RT_HEAD);
    if (es_bytes_u16(at + 4) != 1)
        return es_bytes_fault(bytes, 0, 4, err, "version %u is not 1", es_bytes_u16(at + 4));
    state->layers = form->layers = es_bytes_u16(at + 6);
    form->experts = es_bytes_u16(at + 8);
    state->candidates = es_bytes_u16(at + 10);
    state->tokens = es_bytes_u32(at + 12);
    if (form->layers == 0 || form->experts == 0 || state->candidates == 0 || state->candidates > form->experts || state->candidates > Q4RT_MOST)
        return es_bytes_fault(bytes, 0, 6, err, "%u layers, %u candidates of %u experts: none can be 0, nor candidates above experts or %d", form->layers, state->candidates, form->experts,
            Q4RT_MOST);
    if (ask->top_k > state->candidates)
        return es_bytes_fault(bytes, 0, 10, err, "a row has %u candidates, fewer than the %u that are asked for", state->candidates, ask->top_k);
    form->top_k = ask->top_k ? ask->top_k : state->candidates;
    return ES_OK;
}

/* Do logits fall, and is each a number? Halves are compared as whole numbers, of which the sign turns those below 0 around. */
static bool q4rt_falls(const unsigned char *logits, uint32_t m)
{
    int32_t before = INT32_MAX;
    bool falls = true;
    for (uint32_t i = 0; i < m; i++) {
        const int32_t half = es_bytes_u16(logits + 2 * (size_t)i), order = half >> 15 ? 0x8000 - half : half;
        falls = falls && order <= before && (half & HALF_EXPONENT) != HALF_EXPONENT;
        before = order;
    }
    return falls;
}

typedef int16_t q4rt_eight __attribute__((vector_size(16)));

/* Eight logits at once: all ones where one is no number, or above the one before it where `follows` says that there is one; else what
 * stands before, the last id of the row, is not looked at. A zero below zero counts as below zero here. */
static inline q4rt_eight q4rt_wrong(const unsigned char *logits, q4rt_eight follows)
{
    q4rt_eight half, before;
    memcpy(&half, logits, sizeof half);
    memcpy(&before, logits - 2, sizeof before);
    const q4rt_eight order = half ^ (half >> 15 & INT16_MAX), order_before = before ^ (before >> 15 & INT16_MAX);
    return ((order > order_before) & follows) | ((half & HALF_EXPONENT) == HALF_EXPONENT);
}

/* Do the logits of all rows, which stand behind the ids of each? The first ids of each row are put to `to`. */
ES_IDS_INLINE bool q4rt_rows(const unsigned char *at, size_t rows, size_t m, uint16_t *to, size_t k, es_ids_words *seen)
{
    const q4rt_eight all = { -1, -1, -1, -1, -1, -1, -1, -1 }, but_first = { 0, -1, -1, -1, -1, -1, -1, -1 };
    q4rt_eight wrong = { 0 };
    uint64_t lanes[2];
    for (size_t row = 0; row < rows; row++, at += 4 * m, to += k) {
        const unsigned char *logits = at + 2 * m;
        es_ids_row_u16(to, at, k, seen);
        wrong |= q4rt_wrong(logits, but_first);
        for (size_t i = Q4RT_EIGHT; i + Q4RT_EIGHT <= m; i += Q4RT_EIGHT)
            wrong |= q4rt_wrong(logits + 2 * i, all);
        if (m % Q4RT_EIGHT != 0)
            wrong |= q4rt_wrong(logits + 2 * (m - Q4RT_EIGHT), all);
    }
    memcpy(lanes, &wrong, sizeof lanes);
    return (lanes[0] | lanes[1]) == 0;
}

/* The same of rows that have fewer candidates than a register. */
static bool q4rt_few(const unsigned char *at, size_t rows, size_t m, uint16_t *to, size_t k, es_ids_words *seen)
{
    bool falls = true;
    for (size_t row = 0; falls && row < rows; row++, at += 4 * m, to += k) {
        falls = q4rt_falls(at + 2 * m, (uint32_t)m);
        es_ids_row_u16(to, at, k, seen);
    }
    return falls;
}

/* The best `k` of the candidates, best first; equal logits keep their order. */
static es_code q4rt_sort(const q4rt *state, const unsigned char *at, uint32_t layer, uint16_t *ids, float *logits, es_err *err)
{
    const es_calls *calls = &state->calls;
    const uint32_t m = state->candidates, k = calls->form.top_k;
    uint32_t count = 0;
    for (uint32_t i = 0; i < m; i++) {
        const uint16_t id = es_bytes_u16(at + 2 * (size_t)i);
        const float logit = es_bytes_half(es_bytes_u16(at + 2 * ((size_t)m + i)));
        if (!isfinite(logit))
            return es_bytes_fault(&calls->bytes, calls->record, calls->bytes.offset, err, "layer %u, place %u: the logit of expert %u is no finite number", layer, i, id);
        uint32_t to = count < k ? count++ : k;
        for (; to > 0 && logit > logits[to - 1]; to--)
            if (to < k) {
                logits[to] = logits[to - 1];
                ids[to] = ids[to - 1];
            }
        if (to < k) {
            logits[to] = logit;
            ids[to] = id;
        }
    }
    return ES_OK;
}

static void q4rt_softmax(float *weights, uint32_t k)
{
    const float most = weights[0];
    double sum = 0.0;
    for (uint32_t i = 0; i < k; i++)
        sum += weights[i] = expf(weights[i] - most);
    for (uint32_t i = 0; i < k; i++)
        weights[i] = (float)(weights[i] / sum);
}

/* What a row keeps of its candidates, which most often stand in order. */
static es_code q4rt_row(const q4rt *state, const unsigned char *at, uint32_t layer, uint16_t *ids, float *weights, es_err *err)
{
    const uint32_t m = state->candidates, k = state->calls.form.top_k;
    const unsigned char *logits = at + 2 * (size_t)m;
    es_code code = ES_OK;
    if (q4rt_falls(logits, m)) {
        for (uint32_t i = 0; i < k; i++)
            ids[i] = es_bytes_u16(at + 2 * (size_t)i);
        for (uint32_t i = 0; state->calls.weighs && i < k; i++)
            weights[i] = es_bytes_half(es_bytes_u16(logits + 2 * (size_t)i));
    } else {
        code = q4rt_sort(state, at, layer, ids, weights, err);
    }
    if (!code && state->calls.weighs)
        q4rt_softmax(weights, k);
    return code;
}

/* Read so far in this reading. */
static uint64_t q4rt_tokens(const q4rt *state)
{
    return state->calls.record / state->layers;
}

/* Is there another token? The head may promise how many there are. */
static es_code q4rt_more(q4rt *state, size_t got, size_t want, bool *more, es_err *err)
{
    es_calls *calls = &state->calls;
    *more = got == want;
    if (state->tokens > 0 && q4rt_tokens(state) == state->tokens) {
        *more = false;
        return got > 0 ? es_bytes_fault(&calls->bytes, calls->record, calls->bytes.offset, err, "bytes follow the %llu tokens that the head promises", (unsigned long long)state->tokens) : ES_OK;
    }
    if (got == want || (got == 0 && state->tokens == 0))
        return ES_OK;
    return es_calls_torn(calls, got, want, state->tokens > 0 ? "a token, of which the head promises more" : "a token", err);
}

static es_code q4rt_read(es_calls *calls, bool *more, es_err *err)
{
    q4rt *state = (q4rt *)calls;
    const size_t row = 4 * (size_t)state->candidates, whole = row * state->layers;
    const unsigned char *at;
    uint16_t ids[Q4RT_MOST];
    float weights[Q4RT_MOST];
    size_t got;
    es_code code = es_bytes_peek(&calls->bytes, whole, &at, &got, err);
    if (!code)
        code = q4rt_more(state, got, whole, more, err);
    if (code || !*more)
        return code;
    for (uint32_t layer = 0; layer < state->layers; layer++) {
        es_call call = { .layer = layer, .ids = calls->form.top_k, .record = calls->record, .offset = calls->bytes.offset, .weights = weights };
        code = q4rt_row(state, at + layer * row, layer, ids, weights, err);
        if (!code)
            code = es_calls_add(calls, &call, (const unsigned char *)ids, ES_IDS_U16, err);
        if (code)
            return code;
        es_bytes_take(&calls->bytes, row);
        calls->record++;
    }
    return es_calls_end(calls, ES_DECODE, ES_NO_POSITION, err);
}

/* A token whose candidates stand in order, when no weights are wanted. */
static bool q4rt_block(es_calls *calls, es_calls_block *block)
{
    q4rt *state = (q4rt *)calls;
    const size_t m = state->candidates, k = calls->form.top_k;
    const size_t rows = block->layers;
    bool falls = !calls->weighs && rows == state->layers && (state->tokens == 0 || q4rt_tokens(state) < state->tokens);
    es_ids_words seen = { 0 };
    if (falls && m < Q4RT_EIGHT)
        falls = q4rt_few(block->at, rows, m, block->ids, k, &seen);
    else if (falls && m == Q4RT_EIGHT && k == Q4RT_EIGHT)
        falls = q4rt_rows(block->at, rows, Q4RT_EIGHT, block->ids, Q4RT_EIGHT, &seen);
    else if (falls)
        falls = q4rt_rows(block->at, rows, m, block->ids, k, &seen);
    block->bits = es_ids_words_all(seen);
    return falls;
}

static es_code q4rt_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    q4rt *state = self;
    es_calls *calls = self;
    es_calls_form form = { .format = "q4rt", .header = Q4RT_HEAD, .positions = true, .weights = true, .read = q4rt_read, .block = q4rt_block };
    es_code code = es_calls_open(calls, ask, err);
    if (!code)
        code = q4rt_head(state, &form, ask, err);
    if (code)
        return code;
    form.call_bytes = 4 * state->candidates;
    es_assume(&calls->notes, "every token is taken as generated, and all are of one request");
    es_assume(&calls->notes, "weights are the softmax of the logits of a row");
    if (ask->top_k == 0)
        es_assume(&calls->notes, "all %u candidates of a row are taken as used; --top-k says how many are", state->candidates);
    else if (ask->top_k < state->candidates)
        es_assume(&calls->notes, "the %u best of %u candidates of a row are kept", ask->top_k, state->candidates);
    return es_calls_scan(calls, &form, ask, arena, err);
}

static int q4rt_sniff(const unsigned char *head, size_t length)
{
    return length >= 4 && memcmp(head, "Q4RT", 4) == 0 ? 100 : 0;
}

const es_source es_source_q4rt = {
    .part = { .abi = ES_ABI, .name = "q4rt", .brief = "Q4RT: for each token and layer the best candidates with their logits.", .size = sizeof(q4rt), .fini = es_calls_fini },
    .lacks = "requests, phases, how many candidates are used",
    .sniff = q4rt_sniff,
    .open = q4rt_open,
    .info = es_calls_info,
    .next = es_calls_next,
    .rewind = es_calls_rewind,
};
