/* moe-sim JSONL (its docs/contracts.md): a record per event.
 *
 *     {"request_id": 1, "phase": "prefill", "step_id": 0, "token_position": 0, "layer_id": 0, "expert_ids": [0, 1]}
 *
 * Events are in the order of execution, and events of one step_id that stand together are one step, whoever's they are. The experts of
 * an event are one set: how many there are may differ from event to event. A phase may be "unknown". Expert sizes are in a manifest of
 * their own, which is no part of a trace. */
#include "traces/json_import.h"

typedef struct moe_sim { es_row_stream *stream; } moe_sim;

static const char *const sim_names[] = { "request_id", "phase", "step_id", "token_position", "layer_id", "expert_ids", NULL };
enum { SIM_REQUEST, SIM_PHASE, SIM_STEP, SIM_POSITION, SIM_LAYER, SIM_EXPERTS };
enum { SIM_NEED = 1u << SIM_REQUEST | 1u << SIM_PHASE | 1u << SIM_STEP | 1u << SIM_POSITION | 1u << SIM_LAYER | 1u << SIM_EXPERTS };

static void sim_walk(es_json_import *in)
{
    static const char *const phases[] = { "prefill", "decode", "unknown", NULL };
    uint32_t step = 0, steps = 0, last = 0;
    uint64_t unknown = 0;
    in->any_count = in->may_lack = true;
    while (es_json_scan_more(in->scan) && es_json_scan_object(in->scan)) {
        uint32_t got = 0;
        int phase = 0;
        for (int key; (key = es_json_scan_key(in->scan, sim_names)) >= 0; got |= 1u << key) {
            if (key == SIM_REQUEST)
                es_json_import_request(in);
            else if (key == SIM_PHASE)
                phase = es_json_import_word(in, phases);
            else if (key == SIM_EXPERTS)
                es_json_import_ids(in);
            else
                es_json_scan_u32(in->scan, key == SIM_STEP ? &step : key == SIM_POSITION ? &in->row.position : &in->row.layer);
        }
        if (!es_json_import_need(in, got, SIM_NEED, sim_names))
            break;
        steps += steps == 0 || step != last;
        last = step;
        unknown += phase == 2;
        in->row.step = steps - 1;
        in->row.phase = phase == 0 ? ES_PREFILL : ES_DECODE;
        es_json_import_row(in);
    }
    if (unknown > 0)
        es_assume(&in->notes, "%llu events of unknown phase were taken as generated tokens", (unsigned long long)unknown);
    es_assume(&in->notes, "the experts of an event are a set: they were kept in the order of the file, which says nothing");
}

static es_code sim_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const es_json_format format = { .name = "moe_sim", .rules = { .whole_tokens = true }, .walk = sim_walk };
    return es_json_import_open(&((moe_sim *)self)->stream, &format, ask, arena, err);
}

static int sim_sniff(const unsigned char *head, size_t length)
{
    return es_json_import_sniff(head, length, 92, (const char *const[]){ "token_position", "layer_id", "expert_ids", NULL });
}

const es_source es_source_moe_sim = {
    .part = { .abi = ES_ABI, .name = "moe_sim", .brief = "moe-sim JSONL: expert_ids by request, step, token and layer.", .size = sizeof(moe_sim), .fini = es_stream_fini },
    .sniff = sim_sniff,
    .open = sim_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "weights, how many experts there are",
};
