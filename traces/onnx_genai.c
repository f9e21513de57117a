/* onnx-genai nested JSON: several prompts, each with what its prompt and its generated tokens were routed to.
 *
 *     {"model": "m", "num_layers": 30, "num_experts": 128, "top_k": 6,
 *      "prompts": {"name": {"prompt_len": 6, "prefill": [token][layer][rank], "decode": [step][layer][rank]}, ...}}
 *
 * A prompt is a request, in the order of the file. Keys may stand in any order; generated tokens that come before their prompt are held
 * until it is known how long it is. */
#include "traces/json_hold.h"

typedef struct onnx_genai { es_row_stream *stream; } onnx_genai;

typedef struct onnx_walker {
    es_json_import *in;
    es_json_hold hold;
    uint32_t layers;
    /* the prompt at hand */
    uint32_t length, prompt;            /* declared; there */
    bool declared, begun;
} onnx_walker;

static const char *const onnx_names[] = { "num_layers", "num_experts", "top_k", "model", "prompts", NULL };
enum { ONNX_LAYERS, ONNX_EXPERTS, ONNX_TOP_K, ONNX_MODEL, ONNX_PROMPTS };

/* Tokens of one phase, as they stand. */
static bool onnx_tokens(onnx_walker *walker, uint8_t phase, uint32_t *position)
{
    es_json_import *in = walker->in;
    in->row.phase = phase;
    if (!es_json_scan_array(in->scan))
        return false;
    for (; es_json_scan_item(in->scan); ++*position) {
        in->row.position = *position;
        if (!es_json_import_token(in, &walker->layers))
            return false;
    }
    return !es_json_scan_failed(in->scan);
}

static bool onnx_key(onnx_walker *walker, int key)
{
    es_json_import *in = walker->in;
    uint32_t position = walker->prompt;
    if (key == 0) {
        walker->declared = true;
        return es_json_scan_u32(in->scan, &walker->length);
    }
    if (key == 1) {
        walker->begun = true;
        return onnx_tokens(walker, ES_PREFILL, &walker->prompt);
    }
    return walker->begun ? onnx_tokens(walker, ES_DECODE, &position) : es_json_hold_tokens(in, &walker->hold);
}

static bool onnx_prompt(onnx_walker *walker)
{
    static const char *const names[] = { "prompt_len", "prefill", "decode", NULL };
    es_json_import *in = walker->in;
    uint32_t got = 0;
    walker->length = walker->prompt = 0;
    walker->declared = walker->begun = false;
    es_json_hold_clear(&walker->hold);
    if (!es_json_scan_object(in->scan))
        return false;
    for (int key; (key = es_json_scan_key(in->scan, names)) >= 0; got |= 1u << key)
        if (!onnx_key(walker, key))
            return false;
    if (!es_json_import_need(in, got, 1u << 2, names))
        return false;
    if (walker->declared && walker->begun && walker->length != walker->prompt)
        return es_json_scan_fault(in->scan, "prefill has %u tokens, prompt_len says %u", walker->prompt, walker->length);
    if (walker->layers > 0 && walker->hold.tokens > 0 && walker->hold.layers != walker->layers)
        return es_json_scan_fault(in->scan, "tokens have %u layers, others have %u", walker->hold.layers, walker->layers);
    in->row.phase = ES_DECODE;
    return es_json_hold_give(in, &walker->hold, 0, walker->hold.tokens, walker->begun ? walker->prompt : walker->length);
}

static bool onnx_prompts(onnx_walker *walker)
{
    const char *name;
    size_t length;
    if (!es_json_scan_object(walker->in->scan))
        return false;
    for (; es_json_scan_name(walker->in->scan, &name, &length); walker->in->row.request++)
        if (!onnx_prompt(walker))
            return false;
    return !es_json_scan_failed(walker->in->scan);
}

static void onnx_walk(es_json_import *in)
{
    onnx_walker walker = { .in = in };
    uint32_t got = 0;
    es_assume(&in->notes, "every prompt was taken as a request, its prefill as one step");
    es_assume(&in->notes, "layers are numbered as they stand, from 0: among the layers that have experts");
    bool good = es_json_scan_object(in->scan);
    for (int key; good && (key = es_json_scan_key(in->scan, onnx_names)) >= 0; got |= 1u << key) {
        if (key == ONNX_PROMPTS)
            onnx_prompts(&walker);
        else if (key == ONNX_MODEL)
            es_json_import_model(in);
        else
            es_json_import_declared(in, key == ONNX_LAYERS ? &walker.layers : key == ONNX_EXPERTS ? &in->experts : &in->top_k);
    }
    es_json_import_need(in, got, 1u << ONNX_PROMPTS, onnx_names);
    if (es_json_scan_more(in->scan))
        es_json_scan_fault(in->scan, "more stands behind the trace");
    es_json_hold_free(&walker.hold);
}

static es_code onnx_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const es_json_format format = { .name = "onnx_genai", .rules = { .any_order = true, .whole_tokens = true, .unit = "row" }, .walk = onnx_walk };
    return es_json_import_open(&((onnx_genai *)self)->stream, &format, ask, arena, err);
}

/* Either the shape stands first, as written, or a prompt does. */
static int onnx_sniff(const unsigned char *head, size_t length)
{
    int shape = es_json_import_sniff(head, length, 85, (const char *const[]){ "num_layers", "prompts", NULL });
    return shape ? shape : es_json_import_sniff(head, length, 80, (const char *const[]){ "prompts", "prefill", NULL });
}

const es_source es_source_onnx_genai = {
    .part = { .abi = ES_ABI, .name = "onnx_genai", .brief = "onnx-genai nested JSON: prompts with prefill and decode, [token][layer][rank].", .size = sizeof(onnx_genai),
              .fini = es_stream_fini },
    .sniff = onnx_sniff,
    .open = onnx_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "layer numbers",
};
