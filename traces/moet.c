/* MOET: the word 0x54454f4d, the number of experts and of experts in a row (32 bits each), then frames: layer, number of tokens and the
 * ids of these tokens, all of 32 bits. A frame is a call; a layer that does not rise begins the next pass (see calls.h). */
#include "traces/calls.h"

#include <string.h>

enum { MOET_HEAD = 12, MOET_FRAME = 8 };
static const uint32_t moet_magic = 0x54454f4d;

static es_code moet_head(es_bytes *bytes, es_calls_form *form, es_err *err)
{
    const unsigned char *at;
    size_t got;
    es_code code = es_bytes_peek(bytes, MOET_HEAD, &at, &got, err);
    if (code)
        return code;
    if (got < 4 || es_bytes_u32(at) != moet_magic)
        return es_bytes_fault(bytes, 0, 0, err, "does not begin with MOET");
    if (got < MOET_HEAD)
        return es_bytes_fault(bytes, 0, 4, err, "the file ends in its head, which has %d bytes", MOET_HEAD);
    form->experts = es_bytes_u32(at + 4);
    form->top_k = es_bytes_u32(at + 8);
    if (form->experts == 0 || form->top_k == 0 || form->top_k > form->experts)
        return es_bytes_fault(bytes, 0, 4, err, "%u experts, %u of them in a row: neither can be 0, nor a row have more than there are", form->experts, form->top_k);
    return ES_OK;
}

/* The frame at hand, when it is of this pass; *got 0: it is not, or there is none. */
static es_code moet_frame(es_calls *calls, es_call *call, const unsigned char **at, size_t *got, es_err *err)
{
    const uint32_t k = calls->form.top_k;
    es_code code = es_bytes_peek(&calls->bytes, MOET_FRAME, at, got, err);
    if (code || *got == 0)
        return code;
    if (*got < MOET_FRAME) {
        code = es_calls_torn(calls, *got, MOET_FRAME, "a frame's layer and number of tokens", err);
        *got = 0;
        return code;
    }
    uint32_t tokens = es_bytes_u32(*at + 4);
    *call = (es_call){ .layer = es_bytes_u32(*at), .record = calls->record, .offset = calls->bytes.offset };
    if (calls->called > 0 && call->layer <= calls->layer) {
        *got = 0;
        return ES_OK;
    }
    if (tokens == 0 || tokens > UINT32_MAX / 16 / k)
        return es_bytes_fault(&calls->bytes, call->record, call->offset + 4, err, "layer %u: a frame of %u tokens", call->layer, tokens);
    if (calls->called > 0 && tokens > calls->tokens)
        return es_bytes_fault(&calls->bytes, call->record, call->offset + 4, err, "layer %u has %u tokens, more than the %u of the layers before in this pass", call->layer, tokens, calls->tokens);
    call->first = calls->called > 0 ? calls->tokens - tokens : 0;     /* of the last tokens only, as where only they are computed on */
    call->ids = tokens * k;
    const size_t want = MOET_FRAME + sizeof(uint32_t) * (size_t)call->ids;
    code = es_bytes_peek(&calls->bytes, want, at, got, err);
    if (!code && *got < want) {
        code = es_calls_torn(calls, *got, want, "a frame", err);
        es_bytes_take(&calls->bytes, *got);
        *got = 0;
    }
    return code;
}

static es_code moet_read(es_calls *calls, bool *more, es_err *err)
{
    for (;;) {
        es_call call;
        const unsigned char *at;
        size_t got;
        es_code code = moet_frame(calls, &call, &at, &got, err);
        if (code)
            return code;
        if (got == 0)
            break;
        code = es_calls_add(calls, &call, at + MOET_FRAME, ES_IDS_I32, err);
        if (code)
            return code;
        es_bytes_take(&calls->bytes, got);
        calls->record++;
    }
    *more = calls->called > 0;
    return *more ? es_calls_end(calls, calls->tokens > 1 ? ES_PREFILL : ES_DECODE, ES_NO_POSITION, err) : ES_OK;
}

/* Bits that differ from what frames of one token begin with; those of their ids go to *seen. */
ES_IDS_INLINE uint64_t moet_rows(const es_calls_block *block, size_t k, es_ids_bits *seen)
{
    const unsigned char *at = block->at;
    uint16_t *to = block->ids;
    uint64_t wrong = 0;
    for (uint32_t l = 0; l < block->layers; l++, at += MOET_FRAME + 4 * k, to += k) {
        wrong |= es_bytes_u64(at) ^ ((uint64_t)1 << 32 | block->layer[l]);
        es_ids_row_u32(to, at + MOET_FRAME, k, seen);
    }
    return wrong;
}

/* Frames of one token, layer by layer as before, and then one that begins again. */
static bool moet_block(es_calls *calls, es_calls_block *block)
{
    const size_t k = calls->form.top_k;
    const unsigned char *next = block->at + block->bytes;
    es_ids_bits seen = es_ids_bits_of(k);
    const uint64_t wrong = k == ES_IDS_EIGHT ? moet_rows(block, ES_IDS_EIGHT, &seen) : moet_rows(block, k, &seen);
    const bool begins = block->got == block->bytes || (block->got == block->bytes + MOET_FRAME && es_bytes_u32(next) <= block->layer[block->layers - 1]);
    block->bits = es_ids_bits_all(&seen);
    return wrong == 0 && begins;
}

static es_code moet_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    es_calls *calls = self;
    es_calls_form form = { .format = "moet", .header = MOET_HEAD, .read = moet_read, .block = moet_block, .call_bytes = MOET_FRAME, .id_bytes = sizeof(uint32_t), .ahead = MOET_FRAME };
    es_code code = es_calls_open(calls, ask, err);
    if (!code)
        code = moet_head(&calls->bytes, &form, err);
    return code ? code : es_calls_scan(calls, &form, ask, arena, err);
}

static int moet_sniff(const unsigned char *head, size_t length)
{
    return length >= 4 && es_bytes_u32(head) == moet_magic ? 100 : 0;
}

const es_source es_source_moet = {
    .part = { .abi = ES_ABI, .name = "moet", .brief = "MOET: frames of one layer and some tokens, ids of 32 bits.", .size = sizeof(es_calls), .fini = es_calls_fini },
    .lacks = "requests, phases, positions",
    .sniff = moet_sniff,
    .open = moet_open,
    .info = es_calls_info,
    .next = es_calls_next,
    .rewind = es_calls_rewind,
};
