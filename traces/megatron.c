/* Megatron-LM RouterTracer JSONL (megatron/core/transformer/moe/router_trace.py, pull request 5220), one file per rank:
 *
 *     {"step": 0, "stage": "pre_dispatch", "block": "decoder", "layer": 3, "rank": 0, "num_tokens": 2, "topk": 2, "top_indices": [[12, 45], ...]}
 *
 * A record has all tokens of a pass in one layer. In inference a step is a pass, in training it may have several (microbatches): a layer
 * that is there already begins another. Records of multi-token prediction ("mtp") share layer numbers with the model and are passed
 * over, as are the side files of hidden states and logits. Requests are made of passes (json_passes.h). */
#include "traces/json_hold.h"
#include "traces/json_passes.h"

#include <string.h>

typedef struct megatron { es_row_stream *stream; } megatron;

static const char *const mega_names[] = { "step", "block", "layer", "rank", "num_tokens", "topk", "top_indices", "mtp_idx", NULL };
enum { MEGA_STEP, MEGA_BLOCK, MEGA_LAYER, MEGA_RANK, MEGA_TOKENS, MEGA_TOP_K, MEGA_INDICES, MEGA_MTP };

typedef struct mega_walker {
    es_json_import *in;
    es_json_hold hold;
    es_json_passes passes;
    uint32_t step, layer, rank;         /* of the record before */
    bool begun;
    uint64_t mtp;
} mega_walker;

typedef struct mega_record { uint32_t got, value[MEGA_INDICES]; bool mtp; } mega_record;

static void mega_read(mega_walker *walker, mega_record *record)
{
    es_json_import *in = walker->in;
    const char *text;
    size_t length;
    es_json_hold_clear(&walker->hold);
    for (int key; (key = es_json_scan_key(in->scan, mega_names)) >= 0; record->got |= 1u << key) {
        if (key == MEGA_INDICES)
            es_json_hold_rows(in, &walker->hold);
        else if (key == MEGA_BLOCK)
            record->mtp = es_json_scan_text(in->scan, &text, &length) && (record->mtp || strcmp(text, "mtp") == 0);
        else if (key == MEGA_MTP)
            record->mtp = !es_json_scan_null(in->scan) && es_json_scan_skip(in->scan);
        else
            es_json_scan_u32(in->scan, &record->value[key]);
    }
}

static bool mega_check(const mega_walker *walker, const mega_record *record)
{
    es_json_import *in = walker->in;
    const uint32_t need = 1u << MEGA_STEP | 1u << MEGA_LAYER | 1u << MEGA_INDICES;
    const uint32_t *value = record->value;
    if (!es_json_import_need(in, record->got, need, mega_names))
        return false;
    if (record->got >> MEGA_TOKENS & 1 && value[MEGA_TOKENS] != walker->hold.tokens)
        return es_json_scan_fault(in->scan, "top_indices has %u rows, num_tokens says %u", walker->hold.tokens, value[MEGA_TOKENS]);
    if (record->got >> MEGA_TOP_K & 1 && walker->hold.tokens > 0 && value[MEGA_TOP_K] != walker->hold.top_k)
        return es_json_scan_fault(in->scan, "top_indices lists %u experts, topk says %u", walker->hold.top_k, value[MEGA_TOP_K]);
    if (walker->begun && value[MEGA_RANK] != walker->rank)
        return es_json_scan_fault(in->scan, "is of rank %u, the records before are of rank %u; every rank has a file of its own", value[MEGA_RANK], walker->rank);
    if (walker->begun && value[MEGA_STEP] < walker->step)
        return es_json_scan_fault(in->scan, "step %u comes after step %u", value[MEGA_STEP], walker->step);
    return true;
}

static void mega_record_of(mega_walker *walker, const mega_record *record)
{
    es_json_import *in = walker->in;
    const uint32_t step = record->value[MEGA_STEP], layer = record->value[MEGA_LAYER];
    if (!mega_check(walker, record) || walker->hold.tokens == 0)
        return;
    if (!walker->begun || step != walker->step || layer <= walker->layer) {
        es_json_passes_begin(&walker->passes, walker->hold.tokens);
        in->row.step = (uint32_t)walker->passes.passes - 1;
    } else if (walker->hold.tokens != walker->passes.rows) {
        es_json_scan_fault(in->scan, "layer %u of step %u has %u tokens, layer %u has %u", layer, step, walker->hold.tokens, walker->layer, walker->passes.rows);
        return;
    }
    walker->begun = true;
    walker->step = step;
    walker->layer = in->row.layer = layer;
    walker->rank = record->value[MEGA_RANK];
    for (uint32_t row = 0; row < walker->hold.tokens; row++) {
        es_json_passes_row(&walker->passes, row, &in->row);
        if (!es_json_import_give(in, walker->hold.ids + (uint64_t)row * walker->hold.top_k, NULL, walker->hold.top_k))
            return;
    }
}

static void mega_walk(es_json_import *in)
{
    mega_walker walker = { .in = in };
    es_json_passes_note(&in->notes);
    es_assume(&in->notes, "nothing is said of training: every pass was taken as forward only; ids that come from a routing map ascend, so their order says nothing");
    while (es_json_scan_more(in->scan) && es_json_scan_object(in->scan)) {
        mega_record record = { 0 };
        mega_read(&walker, &record);
        if (record.mtp)
            walker.mtp++;
        else
            mega_record_of(&walker, &record);
    }
    if (walker.mtp > 0)
        es_assume(&in->notes, "%llu records of multi-token prediction (mtp) were left out", (unsigned long long)walker.mtp);
    es_json_hold_free(&walker.hold);
}

static es_code mega_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const es_json_format format = { .name = "megatron", .rules = { .whole_tokens = true }, .walk = mega_walk };
    return es_json_import_open(&((megatron *)self)->stream, &format, ask, arena, err);
}

/* Its keys all stand before the list. */
static int mega_sniff(const unsigned char *head, size_t length)
{
    return es_json_import_sniff(head, length, 95, (const char *const[]){ "step", "layer", "rank", "top_indices", NULL });
}

const es_source es_source_megatron = {
    .part = { .abi = ES_ABI, .name = "megatron", .brief = "Megatron-LM RouterTracer JSONL of one rank: all tokens of a pass and layer a line.", .size = sizeof(megatron),
              .fini = es_stream_fini },
    .sniff = mega_sniff,
    .open = mega_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "requests, phases, weights, how many experts there are",
};
