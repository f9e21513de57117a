/* Pairs: see pairs.h. */
#include "traces/pairs.h"

#include <stdlib.h>

enum { PAIRS_BLOCK = 4096 };            /* pairs looked at together */

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
            got == ES_PAIR ? "; --top-k says how many a row has" : ", and the file ends there");
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

bool es_pairs_block(es_calls *calls, es_calls_block *block)
{
    const size_t k = calls->form.top_k;
    const unsigned char *at = block->at;
    uint16_t *to = block->ids;
    uint32_t wrong = 0, over = 0;
    for (uint32_t l = 0; l < block->layers; l++)
        for (size_t i = 0; i < k; i++, at += ES_PAIR) {
            const uint32_t id = es_bytes_u32(at + 4);
            wrong |= es_bytes_u32(at) ^ block->layer[l];
            over |= id;
            *to++ = (uint16_t)id;
        }
    return wrong == 0 && over <= UINT16_MAX && block->got == block->bytes + ES_PAIR && es_bytes_u32(at) < block->layer[block->layers - 1];
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
