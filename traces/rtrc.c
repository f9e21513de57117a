/* rtrc: RTRC version 1, a head of nine bytes (the letters, version, layers, ids in a row, number of experts in 16 bits), then records: phase
 * (0 prompt, 1 generated), position in 32 bits, layer, and the ids, a byte each. A prompt comes chunk by chunk, in each layer by layer;
 * positions begin again with the next request. */
#include "traces/calls.h"

#include <stdlib.h>
#include <string.h>

enum { RTRC_HEAD = 9, RTRC_FIXED = 6, RTRC_BLOCK = 256 };

typedef struct rtrc {
    es_calls calls;                     /* first: it is the reading half of the source */
    uint8_t phase;                      /* of the pass at hand */
    uint32_t next;                      /* token of it that comes next in its layer */
    uint64_t room;
    uint32_t *position;                 /* [tokens of the pass] */
} rtrc;

static es_code rtrc_head(es_bytes *bytes, es_calls_form *form, es_err *err)
{
    const unsigned char *at;
    size_t got;
    es_code code = es_bytes_peek(bytes, RTRC_HEAD, &at, &got, err);
    if (code)
        return code;
    if (got < 4 || memcmp(at, "RTRC", 4) != 0)
        return es_bytes_fault(bytes, 0, 0, err, "does not begin with RTRC");
    if (got < RTRC_HEAD)
        return es_bytes_fault(bytes, 0, 4, err, "the file ends in its head, which has %d bytes", RTRC_HEAD);
    if (at[4] != 1)
        return es_bytes_fault(bytes, 0, 4, err, "version %u is not 1", at[4]);
    form->layers = at[5];
    form->top_k = at[6];
    form->experts = es_bytes_u16(at + 7);
    if (form->layers == 0 || form->top_k == 0 || form->experts == 0)
        return es_bytes_fault(bytes, 0, 5, err, "%u layers, rows of %u of %u experts: none can be 0", form->layers, form->top_k, form->experts);
    return ES_OK;
}

/* Where in the pass the token of a record is. The first layer says which there are. */
static es_code rtrc_token(rtrc *state, uint32_t layer, uint32_t position, uint32_t *token, es_err *err)
{
    es_calls *calls = &state->calls;
    if (calls->called > 1 || (calls->called == 1 && layer != calls->layer)) {
        uint32_t t = layer == calls->layer ? state->next : 0;
        while (t < calls->tokens && state->position[t] != position)
            t++;
        if (t == calls->tokens)
            return es_bytes_fault(&calls->bytes, calls->record, calls->bytes.offset, err, "layer %u: position %u does not follow those of the layers before in this chunk", layer, position);
        *token = t;
        state->next = t + 1;
        return ES_OK;
    }
    if (calls->called == 0)
        state->next = 0;
    if (state->next > 0 && position != state->position[state->next - 1] + 1)
        return es_bytes_fault(&calls->bytes, calls->record, calls->bytes.offset, err, "layer %u: position %u follows %u in a prompt", layer, position, state->position[state->next - 1]);
    if (state->next == state->room) {
        uint64_t room = state->room ? 2 * state->room : 256;
        if (!ES_TRACE_RESIZE(state->position, room, 1))
            return es_err_nomem(err, "a pass");
        state->room = room;
    }
    *token = state->next;
    state->position[state->next++] = position;
    return ES_OK;
}

/* Does a record belong to the pass at hand? */
static bool rtrc_same(const rtrc *state, uint8_t phase, uint32_t layer, uint32_t position)
{
    const es_calls *calls = &state->calls;
    if (calls->called == 0)
        return true;
    if (phase != state->phase || layer < calls->layer)
        return false;
    if (phase == ES_DECODE)
        return layer > calls->layer && position == state->position[0];
    return layer > calls->layer || position > state->position[state->next - 1];
}

/* Records as far as they were peeked at and are of this pass; *same false: the pass ends before one. */
static es_code rtrc_records(rtrc *state, const unsigned char *at, size_t records, bool *same, es_err *err)
{
    es_calls *calls = &state->calls;
    const uint32_t k = calls->form.top_k;
    for (size_t i = 0; i < records; i++, at += RTRC_FIXED + k) {
        const uint32_t position = es_bytes_u32(at + 1);
        es_call call = { .layer = at[5], .ids = k, .record = calls->record, .offset = calls->bytes.offset };
        *same = rtrc_same(state, at[0], call.layer, position);
        if (!*same)
            return ES_OK;
        if (at[0] > ES_DECODE)
            return es_bytes_fault(&calls->bytes, call.record, call.offset, err, "phase %u is neither 0 (prompt) nor 1 (generated)", at[0]);
        es_code code = rtrc_token(state, call.layer, position, &call.first, err);
        if (!code)
            code = es_calls_add(calls, &call, at + RTRC_FIXED, ES_IDS_U8, err);
        if (code)
            return code;
        state->phase = at[0];
        es_bytes_take(&calls->bytes, RTRC_FIXED + k);
        calls->record++;
    }
    return ES_OK;
}

static es_code rtrc_read(es_calls *calls, bool *more, es_err *err)
{
    rtrc *state = (rtrc *)calls;
    const size_t size = RTRC_FIXED + (size_t)calls->form.top_k;
    es_code code = ES_OK;
    for (bool same = true; !code && same;) {
        const unsigned char *at;
        size_t got;
        code = es_bytes_peek(&calls->bytes, size * RTRC_BLOCK, &at, &got, err);
        if (code || got == 0)
            break;
        if (got >= size) {
            code = rtrc_records(state, at, got / size, &same, err);
        } else {
            code = es_calls_torn(calls, got, size, "a record", err);
            break;
        }
    }
    if (code)
        return code;
    *more = calls->called > 0;
    return *more ? es_calls_end(calls, state->phase, state->position[0], err) : ES_OK;
}

/* Bits that differ from what generated records of one token, a layer each, begin with: phase, position, layer. */
ES_IDS_INLINE uint64_t rtrc_rows(const es_calls_block *block, uint32_t position, size_t k, es_ids_words *seen)
{
    const uint64_t begin = (uint64_t)position << 8 | ES_DECODE;
    const unsigned char *restrict at = block->at;
    const uint16_t *restrict layer = block->layer;
    uint16_t *restrict to = block->ids;
    const uint32_t layers = block->layers;
    es_ids_words all = *seen;
    uint64_t wrong = 0;
    for (uint32_t l = 0; l < layers; l++, at += RTRC_FIXED + k, to += k) {
        wrong |= es_bytes_u64(at) ^ (begin | (uint64_t)layer[l] << 40);
        es_ids_row_u8(to, at + RTRC_FIXED, k, &all);
    }
    *seen = all;
    return wrong << (64 - 8 * RTRC_FIXED);
}

/* A record for each layer, all of one generated token, and then another token's. */
static bool rtrc_block(es_calls *calls, es_calls_block *block)
{
    const size_t k = calls->form.top_k;
    const unsigned char *next = block->at + block->bytes;
    const uint32_t position = es_bytes_u32(block->at + 1), last = block->layer[block->layers - 1];
    es_ids_words seen = { 0 };
    const uint64_t wrong = k == ES_IDS_EIGHT ? rtrc_rows(block, position, ES_IDS_EIGHT, &seen) : rtrc_rows(block, position, k, &seen);
    block->bits = es_ids_words_all(seen);
    block->position = position;
    ((rtrc *)calls)->phase = ES_DECODE;
    return wrong == 0 && (block->got == block->bytes || (block->got == block->bytes + RTRC_FIXED && (next[0] != ES_DECODE || next[5] <= last || es_bytes_u32(next + 1) != position)));
}

static es_code rtrc_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    es_calls *calls = self;
    es_calls_form form = { .format = "rtrc", .header = RTRC_HEAD, .positions = true, .read = rtrc_read, .block = rtrc_block, .call_bytes = RTRC_FIXED, .id_bytes = 1, .ahead = RTRC_FIXED };
    es_code code = es_calls_open(calls, ask, err);
    if (!code)
        code = rtrc_head(&calls->bytes, &form, err);
    es_assume(&calls->notes, "a position that is not above the one before begins the next request");
    return code ? code : es_calls_scan(calls, &form, ask, arena, err);
}

static void rtrc_fini(void *self)
{
    free(((rtrc *)self)->position);
    es_calls_fini(self);
}

static int rtrc_sniff(const unsigned char *head, size_t length)
{
    return length >= 4 && memcmp(head, "RTRC", 4) == 0 ? 100 : 0;
}

const es_source es_source_rtrc = {
    .part = { .abi = ES_ABI, .name = "rtrc", .brief = "RTRC: a record for each token and layer with phase and position, ids of one byte.", .size = sizeof(rtrc), .fini = rtrc_fini },
    .lacks = "requests",
    .sniff = rtrc_sniff,
    .open = rtrc_open,
    .info = es_calls_info,
    .next = es_calls_next,
    .rewind = es_calls_rewind,
};
