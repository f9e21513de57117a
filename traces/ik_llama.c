/* ik_llama.cpp routing log, NDJSON: records of type meta and model, then one per token and layer, and an end.
 *
 *     {"type": "route", "batch_index": 0, "pos": 5, "input_token_id": 17, "layer": 3, "n_expert": 64,
 *      "selected": [{"expert": 7, "selection_score": 1.2, "weight": 0.6}, ...]}
 *     {"type": "end", "complete": true}
 *
 * The expert of an entry is called expert, expert_id or id. A batch goes layer by layer; batch_index is the token's row in it. A batch
 * of several tokens is taken as a piece of a prompt, one of a single token as generated; a batch that goes back in position begins a
 * request. Prompt tokens may lack the last layer, of which llama.cpp computes only what it outputs. Without the end the log is torn. */
#include "traces/json_import.h"

#include <stdlib.h>
#include <string.h>

typedef struct ik_llama { es_row_stream *stream; } ik_llama;

static const char *const ik_names[] = { "type", "pos", "layer", "n_expert", "selected", "complete", "model", "n_expert_used", NULL };
enum { IK_TYPE, IK_POSITION, IK_LAYER, IK_EXPERTS, IK_SELECTED, IK_COMPLETE, IK_MODEL, IK_USED };
static const char *const ik_types[] = { "meta", "model", "route", "end", NULL };
enum { IK_META, IK_MODEL_TYPE, IK_ROUTE, IK_END };

typedef struct ik_walker {
    es_json_import *in;
    /* the first row of a batch waits for the second, which shows whether the batch has several tokens */
    uint16_t ids[ES_TRACE_TOP_K_MAX];
    float weights[ES_TRACE_TOP_K_MAX];
    uint32_t count, waiting_layer, waiting_position;
    uint64_t line;
    bool waiting, weighted;
    bool begun, ended, complete;
    uint32_t layer, position;           /* of the row before */
    uint32_t first;                     /* position of the batch's first row */
} ik_walker;

/* One entry of "selected". */
static bool ik_entry(es_json_import *in)
{
    static const char *const names[] = { "expert", "expert_id", "id", "weight", NULL };
    uint32_t id;
    float weight;
    bool named = false;
    if (es_json_scan_peek(in->scan) != '{')
        return es_json_scan_u32(in->scan, &id) && es_json_import_id(in, id);
    if (!es_json_scan_object(in->scan))
        return false;
    for (int key; (key = es_json_scan_key(in->scan, names)) >= 0;) {
        if (key == 3 ? !es_json_scan_f32(in->scan, &weight) || !es_json_import_weight(in, weight) : !es_json_scan_u32(in->scan, &id))
            return false;
        named = named || key < 3;
    }
    if (es_json_scan_failed(in->scan))
        return false;
    return named ? es_json_import_id(in, id) : es_json_scan_fault(in->scan, "names no expert: the key \"expert\" is missing");
}

static void ik_selected(es_json_import *in)
{
    if (es_json_scan_array(in->scan))
        while (es_json_scan_item(in->scan))
            if (!ik_entry(in))
                return;
}

/* Gives the row that waits, now that its batch is known. */
static bool ik_release(ik_walker *walker, uint8_t phase)
{
    es_json_import *in = walker->in;
    in->row.phase = phase;
    if (!walker->waiting)
        return true;
    walker->waiting = false;
    in->row.layer = walker->waiting_layer;
    in->row.position = walker->waiting_position;
    in->held_line = walker->line;
    bool good = es_json_import_give(in, walker->ids, walker->weighted ? walker->weights : NULL, walker->count);
    in->held_line = 0;
    return good;
}

/* The first row of a batch; the batch before had at least this row. */
static bool ik_begin(ik_walker *walker, uint32_t position, uint32_t layer)
{
    es_json_import *in = walker->in;
    const uint32_t count = in->row.count;
    if (in->listed && in->weights != count)
        return es_json_scan_fault(in->scan, "lists %u weights for %u experts", in->weights, count);
    const bool weighted = in->listed;
    es_json_import_drop(in);
    if (!ik_release(walker, ES_DECODE))
        return false;
    in->row.request += walker->begun && position <= walker->first;
    memcpy(walker->ids, in->id, count * sizeof *in->id);
    memcpy(walker->weights, in->weight, count * sizeof *in->weight);
    walker->count = count;
    walker->weighted = weighted;
    walker->waiting = walker->begun = true;
    walker->waiting_layer = layer;
    walker->waiting_position = walker->first = position;
    walker->line = es_json_scan_line(in->scan);
    return true;
}

static bool ik_row(ik_walker *walker, uint32_t position, uint32_t layer)
{
    es_json_import *in = walker->in;
    const bool same = walker->begun && layer == walker->layer && position > walker->position, next = walker->begun && layer > walker->layer;
    const bool begins = !same && !next;
    walker->layer = layer;
    walker->position = position;
    if (begins)
        return ik_begin(walker, position, layer);
    if (walker->waiting) {
        const es_json_list list = es_json_import_list(in);
        if (!ik_release(walker, same ? ES_PREFILL : ES_DECODE))
            return false;
        es_json_import_relist(in, list);
    }
    in->row.layer = layer;
    in->row.position = position;
    return es_json_import_row(in);
}

static void ik_record(ik_walker *walker)
{
    es_json_import *in = walker->in;
    uint32_t got = 0, position = 0, layer = 0;
    int type = -1;
    for (int key; (key = es_json_scan_key(in->scan, ik_names)) >= 0; got |= 1u << key) {
        if (key == IK_TYPE)
            type = es_json_import_word(in, ik_types);
        else if (key == IK_POSITION || key == IK_LAYER)
            es_json_scan_u32(in->scan, key == IK_POSITION ? &position : &layer);
        else if (key == IK_EXPERTS || key == IK_USED)
            es_json_import_declared(in, key == IK_EXPERTS ? &in->experts : &in->top_k);
        else if (key == IK_SELECTED)
            ik_selected(in);
        else if (key == IK_COMPLETE)
            es_json_scan_bool(in->scan, &walker->complete);
        else if (es_json_scan_peek(in->scan) == '"')
            es_json_import_model(in);
        else
            es_json_scan_skip(in->scan);
    }
    if (!es_json_import_need(in, got, 1u << IK_TYPE, ik_names))
        return;
    if (walker->ended)
        es_json_scan_fault(in->scan, "a record stands behind the end");
    walker->ended = type == IK_END;
    if (type == IK_ROUTE && es_json_import_need(in, got, 1u << IK_POSITION | 1u << IK_LAYER | 1u << IK_SELECTED, ik_names))
        ik_row(walker, position, layer);
}

static void ik_walk(es_json_import *in)
{
    ik_walker *walker = ES_NEW(in->arena, ik_walker);
    if (!walker) {
        es_json_scan_nomem(in->scan, "a trace");
        return;
    }
    walker->in = in;
    in->may_lack = true;
    while (es_json_scan_more(in->scan) && es_json_scan_object(in->scan))
        ik_record(walker);
    ik_release(walker, ES_DECODE);
    es_assume(&in->notes, "a batch of several tokens was taken as prompt, one of a single token as generated, going back in position as the beginning of another request");
    if (!walker->ended && !in->ask->lenient)
        es_json_scan_fault(in->scan, "the file has no end record, so it is cut; --lenient takes what is there");
    else if (!walker->ended)
        es_assume(&in->notes, "the end record is missing: the log is cut");
    else if (!walker->complete)
        es_assume(&in->notes, "the log says of itself that it is not complete");
}

static es_code ik_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const es_json_format format = { .name = "ik_llama", .rules = { .whole_tokens = true }, .walk = ik_walk };
    return es_json_import_open(&((ik_llama *)self)->stream, &format, ask, arena, err);
}

static int ik_sniff(const unsigned char *head, size_t length)
{
    return es_json_import_sniff(head, length, 92, (const char *const[]){ "type", "selected", "pos", NULL });
}

const es_source es_source_ik_llama = {
    .part = { .abi = ES_ABI, .name = "ik_llama", .brief = "ik_llama.cpp routing log, NDJSON: route records with selected experts, and an end.", .size = sizeof(ik_llama),
              .fini = es_stream_fini },
    .sniff = ik_sniff,
    .open = ik_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "requests, phases",
};
