/* Pairs: see pairs.h. */
#include "traces/pairs.h"

#include <stdlib.h>
#include <string.h>

enum { PAIRS_BLOCK = 4096, PAIRS_FOUR = 4 };    /* pairs taken, and looked at, together */

/* Takes pairs of one layer as long as they come. */
static es_code pairs_run(es_pairs *pairs, uint32_t layer, es_err *err)
{
    es_calls *calls = &pairs->calls;
    for (pairs->count = 0;;) {
        const unsigned char *at;
        size_t got, same = 0;
        es_code code = es_bytes_peek(&calls->bytes, PAIRS_BLOCK * ES_PAIR, &at, &got, err);
        if (code)
            return code;
        if (pairs->count + PAIRS_BLOCK > pairs->room) {
            uint64_t room = pairs->room ? 2 * pairs->room : 2 * PAIRS_BLOCK;
            if (!ES_TRACE_RESIZE(pairs->run, room, 1))
                return es_err_nomem(err, "a pass");
            pairs->room = room;
        }
        uint32_t *run = pairs->run + pairs->count;
        for (; same < got / ES_PAIR && es_bytes_u32(at + same * ES_PAIR) == layer; same++)
            run[same] = es_bytes_u32(at + same * ES_PAIR + 4);
        es_bytes_take(&calls->bytes, same * ES_PAIR);
        calls->record += same;
        pairs->count += same;
        if (same < PAIRS_BLOCK)
            return ES_OK;
    }
}

/* A run that is no whole number of rows: the file ends in it, or the width is another. */
static es_code pairs_width(es_pairs *pairs, es_call *call, es_err *err)
{
    es_calls *calls = &pairs->calls;
    const unsigned char *at;
    size_t got;
    const uint32_t k = calls->form.top_k, over = call->ids % k;
    es_code code = es_bytes_peek(&calls->bytes, ES_PAIR, &at, &got, err);
    if (code)
        return code;
    if (got == ES_PAIR || !calls->lenient)
        return es_bytes_fault(&calls->bytes, call->record, call->offset, err, "layer %u lists %u experts, no multiple of the %u of a row%s", call->layer, call->ids, k,
            got == ES_PAIR ? "; --top-k says how many a row has" : ", and the file ends there; --lenient leaves them out");
    es_assume(&calls->notes, "the file is cut: %u experts of its last call are left out", over);
    call->ids -= over;
    return ES_OK;
}

es_code es_pairs_read(es_calls *calls, bool *more, es_err *err)
{
    es_pairs *pairs = (es_pairs *)calls;
    uint32_t longest = 0;
    bool pruned = false;                /* the last layer of this pass is of its last tokens only */
    if (calls->record == 0)
        pairs->pruned = false;
    for (;;) {
        const unsigned char *at;
        size_t got;
        es_code code = es_bytes_peek(&calls->bytes, ES_PAIR, &at, &got, err);
        if (!code && got > 0 && got < ES_PAIR && (code = es_calls_torn(calls, got, ES_PAIR, "a pair of layer and expert", err)) == ES_OK)
            got = 0;
        if (code)
            return code;
        if (got == 0 || (calls->called > 0 && es_bytes_u32(at) <= calls->layer))
            break;
        es_call call = { .layer = es_bytes_u32(at), .record = calls->record, .offset = calls->bytes.offset };
        code = pairs_run(pairs, call.layer, err);
        call.ids = (uint32_t)(pairs->count < UINT32_MAX ? pairs->count : UINT32_MAX);
        if (!code && calls->mode != ES_CALLS_WIDTH && call.ids % calls->form.top_k != 0)
            code = pairs_width(pairs, &call, err);
        if (!code && call.ids == 0)
            break;
        if (!code && calls->called > 0 && call.ids > longest && calls->mode != ES_CALLS_WIDTH)
            code = es_bytes_fault(&calls->bytes, call.record, call.offset, err, "layer %u lists %u experts, more than the %u of the layers before in this pass", call.layer, call.ids, longest);
        longest = call.ids > longest ? call.ids : longest;
        if (!code && calls->mode != ES_CALLS_WIDTH)
            call.first = (longest - call.ids) / calls->form.top_k;    /* a layer that is used for the last tokens only */
        pruned = call.first > 0;
        if (!code)
            code = es_calls_add(calls, &call, (const unsigned char *)pairs->run, ES_IDS_U32, err);
        if (code)
            return code;
    }
    *more = calls->called > 0;
    if (*more)
        calls->doubtful = (pruned && !pairs->pruned) || calls->called == 1;     /* at the end of the file it may be cut: nothing else tells */
    pairs->pruned = pairs->pruned || pruned;
    return *more ? es_calls_end(calls, longest > calls->form.top_k ? ES_PREFILL : ES_DECODE, ES_NO_POSITION, err) : ES_OK;
}

/* Four pairs are looked at in two registers, against the layer in every other place of them: what remains are bits of wrong layers and of
 * ids. Where a row ends among them `last` takes what is behind it out. */
ES_IDS_INLINE es_ids_four pairs_rows(const es_calls_block *block, size_t k)
{
    const uint32_t second = k % PAIRS_FOUR > 1 ? UINT32_MAX : 0, third = k % PAIRS_FOUR > 2 ? UINT32_MAX : 0;
    const es_ids_four last[2] = { { UINT32_MAX, UINT32_MAX, second, second }, { third, third, 0, 0 } };
    const unsigned char *at = block->at;
    uint16_t *to = block->ids;
    es_ids_four bits = { 0 };
    for (uint32_t l = 0; l < block->layers; l++, at += k * ES_PAIR, to += k) {
        const es_ids_four layer = { block->layer[l], 0, block->layer[l], 0 };
        for (size_t i = 0; i < k; i += PAIRS_FOUR) {
            es_ids_four a, b;
            memcpy(&a, at + i * ES_PAIR, sizeof a);
            memcpy(&b, at + (i + 2) * ES_PAIR, sizeof b);
            bits |= i + PAIRS_FOUR <= k ? (a ^ layer) | (b ^ layer) : ((a ^ layer) & last[0]) | ((b ^ layer) & last[1]);
            for (size_t j = 0; j < PAIRS_FOUR; j++)
                to[i + j] = (uint16_t)es_bytes_u32(at + (i + j) * ES_PAIR + 4);
        }
    }
    return bits;
}

bool es_pairs_block(es_calls *calls, es_calls_block *block)
{
    const size_t k = calls->form.top_k;
    const es_ids_four bits = k == ES_IDS_EIGHT ? pairs_rows(block, ES_IDS_EIGHT) : pairs_rows(block, k);
    block->bits = bits[1] | bits[3];
    return (bits[0] | bits[2]) == 0 && block->got == block->bytes + ES_PAIR && es_bytes_u32(block->at + block->bytes) < block->layer[block->layers - 1];
}

void es_pairs_fini(void *self)
{
    es_pairs *pairs = self;
    free(pairs->run);
    es_calls_fini(self);
}

int es_pairs_sniff(const unsigned char *pairs, size_t length)
{
    enum { EXPERTS = 4096 };
    uint32_t first = 0, layer = 0, runs = 0;
    size_t run = 0, shortest = SIZE_MAX;
    for (size_t at = 0; at + ES_PAIR <= length; at += ES_PAIR, run++) {
        uint32_t next = es_bytes_u32(pairs + at);
        if (next >= ES_TRACE_LAYERS_MAX || es_bytes_u32(pairs + at + 4) >= EXPERTS)
            return 0;
        if (at == 0)
            first = layer = next;
        if (next == layer)
            continue;
        if (next < layer && next != first)
            return 0;
        shortest = run < shortest ? run : shortest;
        layer = next;
        run = 0;
        runs++;
    }
    return runs > 0 && shortest > 1 ? 40 : 0;
}
