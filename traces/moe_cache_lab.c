/* moe-cache-lab routing-jsonl, versions 1 and 2 (its TRACE_FORMAT.md): a metadata record, then a record per routing event.
 *
 *     {"record_type": "metadata", "format": "moe-cache-lab.routing-jsonl", "format_version": 1, "model_id": "m", "num_experts": 128,
 *      "experts_per_token": 6}
 *     {"record_type": "routing_selection", "phase": "prompt", "token_position": 0, "layer": 0, "selected_experts": [79, 102, ...],
 *      "selected_probabilities": [...]}
 *
 * Order is part of the format and is checked: the prompt layer by layer, then generated tokens one by one. Version 2 has an encoder
 * ("source") before a decoder ("decoder_prompt", "decoder_generated"), each with layers, positions and experts of its own, and events
 * that capacity left without an expert ("assignment_state": "unassigned"). Here the decoder's layers and positions follow the
 * encoder's, and the encoder is one step of its own. */
#include "traces/json_import.h"

#include <string.h>

typedef struct moe_cache_lab { es_row_stream *stream; } moe_cache_lab;

static const char *const lab_names[] = { "record_type", "phase", "token_position", "layer", "selected_experts", "selected_probabilities", "routing_stage",
    "assignment_state", "format", "format_version", "model_id", "num_experts", "experts_per_token", "routing_stages", NULL };
enum { LAB_TYPE, LAB_PHASE, LAB_POSITION, LAB_LAYER, LAB_EXPERTS, LAB_WEIGHTS, LAB_STAGE, LAB_STATE, LAB_FORMAT, LAB_VERSION, LAB_MODEL, LAB_NUM_EXPERTS,
    LAB_PER_TOKEN, LAB_STAGES };

enum { LAB_ENCODER, LAB_DECODER };
static const char *const lab_types[] = { "metadata", "routing_selection", NULL };
static const char *const lab_stages[] = { "encoder", "decoder", NULL };
static const char *const lab_states[] = { "assigned", "unassigned", NULL };
static const char *const lab_phases[] = { "prompt", "generated", "source", "decoder_prompt", "decoder_generated", NULL };
enum { LAB_PROMPT, LAB_GENERATED, LAB_SOURCE, LAB_DECODER_PROMPT, LAB_DECODER_GENERATED };

typedef struct lab_stage { uint32_t experts, top_k; bool declared; } lab_stage;

typedef struct lab_walker {
    es_json_import *in;
    uint32_t version;                   /* 0: the metadata are still to come */
    lab_stage stage[2];
    uint64_t unassigned;
    /* the event before */
    int phase;                          /* below 0: there is none */
    uint32_t layer, position;
    uint32_t encoder_layers, encoder_tokens;
} lab_walker;

typedef struct lab_record { uint32_t got, layer, position, version; int type, phase, stage, state; } lab_record;

/* --- records -------------------------------------------------------------------------------------------------------------------- */

static void lab_profile(lab_walker *walker)
{
    static const char *const names[] = { "routing_stage", "num_experts", "assigned_experts_per_token", NULL };
    es_json_import *in = walker->in;
    lab_stage stage = { .declared = true };
    int which = LAB_ENCODER;
    if (es_json_scan_object(in->scan))
        for (int key; (key = es_json_scan_key(in->scan, names)) >= 0;) {
            if (key == 0)
                which = es_json_import_word(in, lab_stages);
            else
                es_json_import_declared(in, key == 1 ? &stage.experts : &stage.top_k);
        }
    if (which >= 0)
        walker->stage[which] = stage;
}

static void lab_key(lab_walker *walker, lab_record *record, int key)
{
    es_json_import *in = walker->in;
    const char *text;
    size_t length;
    switch (key) {
    case LAB_TYPE:
        record->type = es_json_import_word(in, lab_types);
        break;
    case LAB_PHASE:
        record->phase = es_json_import_word(in, lab_phases);
        break;
    case LAB_POSITION:
        es_json_scan_u32(in->scan, &record->position);
        break;
    case LAB_LAYER:
        es_json_scan_u32(in->scan, &record->layer);
        break;
    case LAB_EXPERTS:
        es_json_import_ids(in);
        break;
    case LAB_WEIGHTS:
        es_json_import_weights(in);
        break;
    case LAB_STAGE:
        record->stage = es_json_import_word(in, lab_stages);
        break;
    case LAB_STATE:
        record->state = es_json_import_word(in, lab_states);
        break;
    case LAB_FORMAT:
        if (es_json_scan_text(in->scan, &text, &length) && strcmp(text, "moe-cache-lab.routing-jsonl") != 0)
            es_json_scan_fault(in->scan, "is \"%.40s\", needs moe-cache-lab.routing-jsonl", text);
        break;
    case LAB_VERSION:
        if (es_json_scan_u32(in->scan, &record->version) && record->version != 1 && record->version != 2)
            es_json_scan_fault(in->scan, "is %u; versions 1 and 2 are what is read", record->version);
        break;
    case LAB_MODEL:
        es_json_import_model(in);
        break;
    case LAB_NUM_EXPERTS:
        es_json_import_declared(in, &in->experts);
        break;
    case LAB_PER_TOKEN:
        es_json_import_declared(in, &in->top_k);
        break;
    default:
        if (es_json_scan_array(in->scan))
            while (es_json_scan_item(in->scan))
                lab_profile(walker);
    }
}

static void lab_metadata(lab_walker *walker, const lab_record *record)
{
    es_json_import *in = walker->in;
    if (!es_json_import_need(in, record->got, 1u << LAB_FORMAT | 1u << LAB_VERSION, lab_names))
        return;
    if (walker->version > 0) {
        es_json_scan_fault(in->scan, "is a second metadata record; a file has one, its first");
        return;
    }
    walker->version = record->version;
    in->any_count = in->may_lack = record->version == 2;
    if (record->version == 2) {
        in->experts = walker->stage[0].experts > walker->stage[1].experts ? walker->stage[0].experts : walker->stage[1].experts;
        in->row.step = 0;
    }
}

/* --- events --------------------------------------------------------------------------------------------------------------------- */

/* Where the event stands behind the one before, as the format has it. */
static bool lab_order(lab_walker *walker, const lab_record *record)
{
    es_json_import *in = walker->in;
    const bool generated = record->phase == LAB_GENERATED || record->phase == LAB_DECODER_GENERATED;
    const uint64_t before = generated ? (uint64_t)walker->position << 32 | walker->layer : (uint64_t)walker->layer << 32 | walker->position;
    const uint64_t now = generated ? (uint64_t)record->position << 32 | record->layer : (uint64_t)record->layer << 32 | record->position;
    if (walker->phase > record->phase)
        return es_json_scan_fault(in->scan, "phase %s comes after phase %s", lab_phases[record->phase], lab_phases[walker->phase]);
    if (walker->phase == record->phase && now <= before)
        return es_json_scan_fault(in->scan, "layer %u of token %u comes after layer %u of token %u; %s", record->layer, record->position, walker->layer, walker->position,
            generated ? "generated tokens stand one after the other, each with its layers in order" : "a prompt stands layer by layer, each with its tokens in order");
    return true;
}

static bool lab_stage_of(lab_walker *walker, const lab_record *record)
{
    es_json_import *in = walker->in;
    const lab_stage *stage = &walker->stage[record->stage];
    if ((record->stage == LAB_ENCODER) != (record->phase == LAB_SOURCE))
        return es_json_scan_fault(in->scan, "phase %s does not belong to the %s", lab_phases[record->phase], lab_stages[record->stage]);
    if (!stage->declared)
        return es_json_scan_fault(in->scan, "the metadata have no routing_stages of the %s", lab_stages[record->stage]);
    if (record->state == 1 && in->row.count > 0)
        return es_json_scan_fault(in->scan, "is unassigned, but lists %u experts", in->row.count);
    if (record->state == 0 && in->row.count != stage->top_k && stage->top_k > 0)
        return es_json_scan_fault(in->scan, "lists %u experts where the file declares %u", in->row.count, stage->top_k);
    for (uint32_t i = 0; i < in->row.count && stage->experts > 0; i++)
        if (in->id[i] >= stage->experts)
            return es_json_scan_fault(in->scan, "expert %u is above %u, the highest of the %s", in->id[i], stage->experts - 1, lab_stages[record->stage]);
    walker->unassigned += record->state == 1;
    return true;
}

/* Version 2: steps are counted, and what the decoder has comes behind what the encoder has. */
static void lab_place(lab_walker *walker, const lab_record *record)
{
    es_row *row = &walker->in->row;
    const bool generated = record->phase == LAB_DECODER_GENERATED;
    if (record->stage == LAB_ENCODER) {
        walker->encoder_layers = record->layer + 1;
        walker->encoder_tokens = record->position + 1 > walker->encoder_tokens ? record->position + 1 : walker->encoder_tokens;
        return;
    }
    if (walker->phase >= 0 && (walker->phase != record->phase || (generated && walker->position != record->position)))
        row->step++;
    row->layer += walker->encoder_layers;
    row->position += walker->encoder_tokens;
}

static void lab_event(lab_walker *walker, const lab_record *record)
{
    const uint32_t first = 1u << LAB_PHASE | 1u << LAB_POSITION | 1u << LAB_LAYER | 1u << LAB_EXPERTS, second = 1u << LAB_STAGE | 1u << LAB_STATE;
    es_json_import *in = walker->in;
    if (walker->version == 0) {
        es_json_scan_fault(in->scan, "an event comes before the metadata record, which is a file's first");
        return;
    }
    if (!es_json_import_need(in, record->got, walker->version == 2 ? first | second : first, lab_names))
        return;
    if ((walker->version == 2) != (record->phase >= LAB_SOURCE)) {
        es_json_scan_fault(in->scan, "phase %s does not belong to version %u", lab_phases[record->phase], walker->version);
        return;
    }
    in->row.layer = record->layer;
    in->row.position = record->position;
    in->row.phase = record->phase == LAB_GENERATED || record->phase == LAB_DECODER_GENERATED ? ES_DECODE : ES_PREFILL;
    if (!lab_order(walker, record) || (walker->version == 2 && !lab_stage_of(walker, record)))
        return;
    if (walker->version == 2)
        lab_place(walker, record);
    walker->phase = record->phase;
    walker->layer = record->layer;
    walker->position = record->position;
    es_json_import_row(in);
}

static void lab_walk(es_json_import *in)
{
    lab_walker walker = { .in = in, .phase = -1 };
    while (es_json_scan_more(in->scan) && es_json_scan_object(in->scan)) {
        lab_record record = { 0 };
        for (int key; (key = es_json_scan_key(in->scan, lab_names)) >= 0; record.got |= 1u << key)
            lab_key(&walker, &record, key);
        if (!es_json_import_need(in, record.got, 1u << LAB_TYPE, lab_names))
            return;
        if (record.type == 0)
            lab_metadata(&walker, &record);
        else
            lab_event(&walker, &record);
    }
    es_assume(&in->notes, "the file is one request; layers are the model's own numbers");
    if (walker.encoder_layers > 0)
        es_assume(&in->notes, "layer L of the decoder is numbered L + %u, token T of it T + %u: the encoder's come before", walker.encoder_layers, walker.encoder_tokens);
    if (walker.unassigned > 0)
        es_assume(&in->notes, "%llu events that capacity left without an expert are missing cells", (unsigned long long)walker.unassigned);
}

static es_code lab_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const es_json_format format = { .name = "moe_cache_lab", .rules = { .whole_tokens = true }, .walk = lab_walk };
    return es_json_import_open(&((moe_cache_lab *)self)->stream, &format, ask, arena, err);
}

static int lab_sniff(const unsigned char *head, size_t length)
{
    return es_json_import_sniff(head, length, 98, (const char *const[]){ "record_type", "moe-cache-lab.routing-jsonl", NULL });
}

const es_source es_source_moe_cache_lab = {
    .part = { .abi = ES_ABI, .name = "moe_cache_lab", .brief = "moe-cache-lab routing-jsonl, versions 1 and 2: a metadata record, then one per token and layer.",
              .size = sizeof(moe_cache_lab), .fini = es_stream_fini },
    .sniff = lab_sniff,
    .open = lab_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
};
