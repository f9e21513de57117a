/* StrataMoE RouterTrace v2: one JSON object, recorded or generated.
 *
 *     {"version": 2, "source": {"kind": "synthetic", ...}, "scenario": "domain-shift", "seed": 1, "tokens": 6, "layers": 30,
 *      "expertsPerLayer": 128, "topK": 6, "selections": [token][layer][rank]}
 *
 * Keys may stand in any order; what is declared is held against what is there. Nothing is said of phases. */
#include "traces/json_import.h"

#include <string.h>

typedef struct stratamoe { es_row_stream *stream; } stratamoe;

static const char *const strata_names[] = { "version", "tokens", "layers", "expertsPerLayer", "topK", "selections", "source", "model", NULL };
enum { STRATA_VERSION, STRATA_TOKENS, STRATA_LAYERS, STRATA_EXPERTS, STRATA_TOP_K, STRATA_SELECTIONS, STRATA_SOURCE, STRATA_MODEL };

typedef struct strata_walker { es_json_import *in; uint32_t tokens, layers; } strata_walker;

static void strata_source(es_json_import *in)
{
    static const char *const names[] = { "kind", NULL };
    const char *kind;
    size_t length;
    if (es_json_scan_object(in->scan))
        while (es_json_scan_key(in->scan, names) >= 0)
            if (es_json_scan_text(in->scan, &kind, &length))
                in->synthetic = strcmp(kind, "synthetic") == 0;
}

static void strata_selections(strata_walker *walker)
{
    es_json_import *in = walker->in;
    uint32_t tokens = 0;
    if (!es_json_scan_array(in->scan))
        return;
    for (; es_json_scan_item(in->scan); tokens++) {
        in->row.position = tokens;
        es_json_import_token(in, &walker->layers);
    }
    if (walker->tokens > 0 && tokens != walker->tokens)
        es_json_scan_fault(in->scan, "has %u tokens, the file declares %u", tokens, walker->tokens);
    walker->tokens = tokens;
}

static void strata_key(strata_walker *walker, int key)
{
    es_json_import *in = walker->in;
    uint32_t version = 0;
    switch (key) {
    case STRATA_VERSION:
        if (es_json_scan_u32(in->scan, &version) && version != 2)
            es_json_scan_fault(in->scan, "is %u; version 2 is what is read", version);
        break;
    case STRATA_TOKENS:
        es_json_import_declared(in, &walker->tokens);
        break;
    case STRATA_LAYERS:
        es_json_import_declared(in, &walker->layers);
        break;
    case STRATA_EXPERTS:
        es_json_import_declared(in, &in->experts);
        break;
    case STRATA_TOP_K:
        es_json_import_declared(in, &in->top_k);
        break;
    case STRATA_SELECTIONS:
        strata_selections(walker);
        break;
    case STRATA_SOURCE:
        strata_source(in);
        break;
    default:
        es_json_import_model(in);
    }
}

static void strata_walk(es_json_import *in)
{
    strata_walker walker = { .in = in };
    uint32_t got = 0;
    es_assume(&in->notes, "phases are not said: every token was taken as a generated one of one request");
    es_assume(&in->notes, "layers are numbered as they stand, from 0: among the layers that have experts");
    if (!es_json_scan_object(in->scan))
        return;
    for (int key; (key = es_json_scan_key(in->scan, strata_names)) >= 0; got |= 1u << key)
        strata_key(&walker, key);
    es_json_import_need(in, got, 1u << STRATA_VERSION | 1u << STRATA_SELECTIONS, strata_names);
    if (es_json_scan_more(in->scan))
        es_json_scan_fault(in->scan, "more stands behind the trace");
}

static es_code strata_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const es_json_format format = { .name = "stratamoe", .rules = { .whole_tokens = true, .unit = "row" }, .walk = strata_walk };
    return es_json_import_open(&((stratamoe *)self)->stream, &format, ask, arena, err);
}

/* "selections" alone may stand too far behind. */
static int strata_sniff(const unsigned char *head, size_t length)
{
    return es_json_import_sniff(head, length, 90, (const char *const[]){ "version", "expertsPerLayer", "topK", NULL });
}

const es_source es_source_stratamoe = {
    .part = { .abi = ES_ABI, .name = "stratamoe", .brief = "StrataMoE RouterTrace v2: one JSON object with selections[token][layer][rank].", .size = sizeof(stratamoe),
              .fini = es_stream_fini },
    .sniff = strata_sniff,
    .open = strata_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "requests, phases, layer numbers",
};
