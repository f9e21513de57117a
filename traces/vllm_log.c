/* vLLM router loggers, JSONL (vLLM-MoE-Logger and its kin, which patch the fused MoE layer): a meta record, then a row per token.
 *
 *     {"type": "meta", "model_id": "m", "layers_logged": [0], "top_k": 4, "num_experts": 32}
 *     {"type": "route", "req_id": "r1", "token_idx": 17, "layer": 0, "topk_ids": [..4..], "topk_weights": [..]}
 *
 * token_idx is the row in one forward pass and begins again with 0 in every pass and layer; req_id counts calls or is constant, so it
 * tells no requests apart: those are made of passes (json_passes.h). A log begins with the passes of start-up profiling and graph
 * capture, thousands of rows that are all the same; passes of several equal rows before the first other one are left out. Weights are
 * the softmax over all experts, as the logger found them. */
#include "traces/json_passes.h"

#include <string.h>

typedef struct vllm_log { es_row_stream *stream; } vllm_log;

static const char *const log_names[] = { "type", "token_idx", "layer", "topk_ids", "topk_weights", "model_id", "top_k", "num_experts", NULL };
enum { LOG_TYPE, LOG_TOKEN, LOG_LAYER, LOG_IDS, LOG_WEIGHTS, LOG_MODEL, LOG_TOP_K, LOG_EXPERTS };

typedef struct log_walker {
    es_json_import *in;
    es_json_passes passes;
    bool started;                       /* a pass of the model's own was met */
    /* the group: rows of one pass and layer. Its first rows wait while they are equal: it may be one of start-up, or one row long */
    uint32_t group, layer;              /* rows so far; its layer */
    bool opens;                         /* it is the first of its pass */
    uint32_t waiting;
    uint64_t line;                      /* of the first row that waits */
    uint16_t ids[ES_TRACE_TOP_K_MAX];
    float weights[ES_TRACE_TOP_K_MAX];
    uint32_t count;
    bool weighted;
    /* the pass */
    bool begun;
    uint32_t pass_layer;                /* its last layer */
    uint64_t dropped;
    uint32_t dropped_groups;
} log_walker;

/* The group's rows begin to be given: it has `rows` of them, or more than one. */
static void log_begin(log_walker *walker, uint32_t rows)
{
    walker->opens = !walker->begun || walker->layer <= walker->pass_layer;
    if (walker->opens) {
        es_json_passes_begin(&walker->passes, rows);
        walker->in->row.step = (uint32_t)walker->passes.passes - 1;
    }
    walker->started = walker->begun = true;
    walker->pass_layer = walker->layer;
}

/* Gives the rows that wait; they are the group's first. */
static bool log_release(log_walker *walker, uint32_t rows)
{
    es_json_import *in = walker->in;
    const uint32_t waiting = walker->waiting;
    log_begin(walker, rows);
    bool good = true;
    for (uint32_t row = 0; row < waiting && good; row++) {
        es_json_passes_row(&walker->passes, row, &in->row);
        in->row.layer = walker->layer;
        in->held_line = walker->line + row;
        good = es_json_import_give(in, walker->ids, walker->weighted ? walker->weights : NULL, walker->count);
    }
    walker->waiting = 0;
    in->held_line = 0;
    return good;
}

/* The end of a group. */
static bool log_close(log_walker *walker)
{
    const uint32_t rows = walker->group;
    es_json_import *in = walker->in;
    walker->group = 0;
    if (rows == 0)
        return true;
    if (walker->waiting > 1 && !walker->started) {
        walker->dropped += walker->waiting;
        walker->dropped_groups++;
        walker->waiting = 0;
        return true;
    }
    if (walker->waiting > 0 && !log_release(walker, rows))
        return false;
    if (!walker->opens && rows != walker->passes.rows)
        return es_json_scan_fault(in->scan, "layer %u has %u tokens, the layer before it in the same pass has %u", walker->layer, rows, walker->passes.rows);
    walker->passes.rows = rows;         /* now it is known how long the pass is */
    return true;
}

static bool log_same(const log_walker *walker)
{
    const es_json_import *in = walker->in;
    return walker->count == in->row.count && memcmp(walker->ids, in->id, in->row.count * sizeof *in->id) == 0;
}

/* Keeps the row at hand as the one that waits. */
static void log_wait(log_walker *walker)
{
    es_json_import *in = walker->in;
    memcpy(walker->ids, in->id, in->row.count * sizeof *in->id);
    memcpy(walker->weights, in->weight, in->weights * sizeof *in->weight);
    walker->count = in->row.count;
    walker->weighted = in->listed && in->weights > 0;
    walker->waiting = 1;
    walker->line = es_json_scan_line(in->scan);
    es_json_import_drop(in);
}

/* A row behind the first of its group. */
static bool log_next(log_walker *walker, uint32_t token)
{
    es_json_import *in = walker->in;
    if (walker->waiting > 0 && !walker->started && log_same(walker)) {
        walker->waiting++;
        es_json_import_drop(in);
        return true;
    }
    const es_json_list list = es_json_import_list(in);
    if (walker->waiting > 0 && !log_release(walker, 2))
        return false;
    es_json_import_relist(in, list);
    in->row.layer = walker->layer;
    es_json_passes_row(&walker->passes, token, &in->row);
    return es_json_import_row(in);
}

static bool log_row(log_walker *walker, uint32_t token, uint32_t layer)
{
    es_json_import *in = walker->in;
    const es_json_list list = es_json_import_list(in);
    if (list.listed && list.weights > 0 && list.weights != list.count)
        return es_json_scan_fault(in->scan, "lists %u weights for %u experts", list.weights, list.count);
    if (token == 0 && !log_close(walker))
        return false;
    if (token != walker->group || (token > 0 && layer != walker->layer))
        return es_json_scan_fault(in->scan, "token_idx %u of layer %u comes where %u%s is expected", token, layer, walker->group, walker->group ? " or 0" : "");
    es_json_import_relist(in, list);
    walker->layer = layer;
    walker->group++;
    if (token > 0)
        return log_next(walker, token);
    log_wait(walker);
    return true;
}

static void log_walk(es_json_import *in)
{
    log_walker walker = { .in = in };
    static const char *const types[] = { "meta", "route", NULL };
    es_json_passes_note(&in->notes);
    while (es_json_scan_more(in->scan) && es_json_scan_object(in->scan)) {
        uint32_t got = 0, token = 0, layer = 0;
        int type = 0;
        for (int key; (key = es_json_scan_key(in->scan, log_names)) >= 0; got |= 1u << key) {
            if (key == LOG_TYPE)
                type = es_json_import_word(in, types);
            else if (key == LOG_TOKEN || key == LOG_LAYER)
                es_json_scan_u32(in->scan, key == LOG_TOKEN ? &token : &layer);
            else if (key == LOG_IDS)
                es_json_import_ids(in);
            else if (key == LOG_WEIGHTS)
                es_json_import_weights(in);
            else if (key == LOG_MODEL)
                es_json_import_model(in);
            else
                es_json_import_declared(in, key == LOG_TOP_K ? &in->top_k : &in->experts);
        }
        if (es_json_import_need(in, got, 1u << LOG_TYPE, log_names) && type == 1 &&
            es_json_import_need(in, got, 1u << LOG_TOKEN | 1u << LOG_LAYER | 1u << LOG_IDS, log_names))
            log_row(&walker, token, layer);
    }
    log_close(&walker);
    if (walker.dropped > 0)
        es_assume(&in->notes, "%llu rows of %u passes of start-up, each of equal rows, were left out at the beginning", (unsigned long long)walker.dropped, walker.dropped_groups);
}

static es_code log_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const es_json_format format = { .name = "vllm_log", .rules = { .whole_tokens = true }, .walk = log_walk };
    return es_json_import_open(&((vllm_log *)self)->stream, &format, ask, arena, err);
}

static int log_sniff(const unsigned char *head, size_t length)
{
    int route = es_json_import_sniff(head, length, 92, (const char *const[]){ "type", "token_idx", "topk_ids", NULL });
    return route ? route : es_json_import_sniff(head, length, 90, (const char *const[]){ "type", "layers_logged", NULL });
}

const es_source es_source_vllm_log = {
    .part = { .abi = ES_ABI, .name = "vllm_log", .brief = "vLLM router loggers, JSONL: a meta record, then topk_ids a row of a forward pass.", .size = sizeof(vllm_log),
              .fini = es_stream_fini },
    .sniff = log_sniff,
    .open = log_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "requests, phases",
};
