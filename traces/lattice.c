/* Lattice JSONL, as the lattice inference engine logs its router: a record per token and layer.
 *
 *     {"layer_idx": 0, "token_idx": 0, "selected_ids": [33, 50], "gate_weights": [0.36, 0.19]}
 *
 * Other fields are passed over, and blank lines. Rows may stand in any order. Nothing is said of phases and requests. */
#include "traces/json_import.h"

typedef struct lattice { es_row_stream *stream; } lattice;

static const char *const lattice_names[] = { "layer_idx", "token_idx", "selected_ids", "gate_weights", NULL };
enum { LATTICE_LAYER, LATTICE_TOKEN, LATTICE_IDS, LATTICE_WEIGHTS };

static void lattice_walk(es_json_import *in)
{
    es_assume(&in->notes, "phases are not said: every token was taken as a generated one of one request");
    es_assume(&in->notes, "layer_idx was taken as the model's own layer number");
    while (es_json_scan_more(in->scan) && es_json_scan_object(in->scan)) {
        uint32_t got = 0;
        for (int key; (key = es_json_scan_key(in->scan, lattice_names)) >= 0; got |= 1u << key) {
            if (key == LATTICE_LAYER)
                es_json_scan_u32(in->scan, &in->row.layer);
            else if (key == LATTICE_TOKEN)
                es_json_scan_u32(in->scan, &in->row.position);
            else if (key == LATTICE_IDS)
                es_json_import_ids(in);
            else
                es_json_import_weights(in);
        }
        if (es_json_import_need(in, got, 1u << LATTICE_LAYER | 1u << LATTICE_TOKEN | 1u << LATTICE_IDS, lattice_names))
            es_json_import_row(in);
    }
}

static es_code lattice_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const es_json_format format = { .name = "lattice", .rules = { .any_order = true, .whole_tokens = true }, .walk = lattice_walk };
    return es_json_import_open(&((lattice *)self)->stream, &format, ask, arena, err);
}

static int lattice_sniff(const unsigned char *head, size_t length)
{
    return es_json_import_sniff(head, length, 90, (const char *const[]){ "layer_idx", "token_idx", "selected_ids", NULL });
}

const es_source es_source_lattice = {
    .part = { .abi = ES_ABI, .name = "lattice", .brief = "Lattice JSONL: layer_idx, token_idx, selected_ids and gate_weights a line.", .size = sizeof(lattice),
              .fini = es_stream_fini },
    .sniff = lattice_sniff,
    .open = lattice_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "requests, phases, how many experts there are",
};
