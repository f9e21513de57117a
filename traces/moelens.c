/* MoELens JSON: a prompt per file, or a list of them, layer by layer.
 *
 *     {"layers": [{"layer": 0, "is_dense": true, "tokens": []},
 *                 {"layer": 1, "is_dense": false, "tokens": [{"token_index": 0, "top_experts": [3, 5], "top_weights": [0.6, 0.4], "all_probs": [..]}, ...]}]}
 *
 * A prompt is a request and all of it one step. A layer whose number stands behind its tokens has the number of its place. */
#include "traces/json_import.h"

typedef struct moelens { es_row_stream *stream; } moelens;

static const char *const lens_layer_names[] = { "layer", "is_dense", "tokens", NULL };
static const char *const lens_token_names[] = { "token_index", "top_experts", "top_weights", NULL };
static const char *const lens_names[] = { "layers", "model", "model_name", NULL };

static bool lens_token(es_json_import *in)
{
    uint32_t got = 0;
    if (!es_json_scan_object(in->scan))
        return false;
    for (int key; (key = es_json_scan_key(in->scan, lens_token_names)) >= 0; got |= 1u << key) {
        if (key == 0)
            es_json_scan_u32(in->scan, &in->row.position);
        else if (key == 1)
            es_json_import_ids(in);
        else
            es_json_import_weights(in);
    }
    return es_json_import_need(in, got, 3, lens_token_names) && es_json_import_row(in);
}

static bool lens_tokens(es_json_import *in, uint32_t *tokens)
{
    *tokens = 0;
    if (es_json_scan_null(in->scan))
        return true;
    if (!es_json_scan_array(in->scan))
        return false;
    for (; es_json_scan_item(in->scan); ++*tokens)
        if (!lens_token(in))
            return false;
    return !es_json_scan_failed(in->scan);
}

/* The file ends in a layer of a prompt. */
static void lens_torn(es_json_import *in, uint32_t number, uint32_t place, uint32_t tokens, uint32_t length)
{
    if (!es_json_scan_torn(in->scan))
        return;
    es_assume(&in->notes, "the file ends in layer %u, number %u of the list of request %u, with %u of %u tokens of it; the layers behind it are missing for all tokens of that prompt, "
        "and nothing says how many they are: --layers N refuses another number", number, place, in->row.request, tokens, length > 0 ? length : tokens);
}

static bool lens_layer(es_json_import *in, uint32_t place, uint32_t *length)
{
    uint32_t got = 0, number = place, tokens = 0;
    bool dense = false;
    if (!es_json_scan_object(in->scan))
        return false;
    for (int key; (key = es_json_scan_key(in->scan, lens_layer_names)) >= 0; got |= 1u << key) {
        in->row.layer = number;
        if (key == 0 ? !es_json_scan_u32(in->scan, &number) : key == 1 ? !es_json_scan_bool(in->scan, &dense) : !lens_tokens(in, &tokens))
            return lens_torn(in, number, place, tokens, *length), false;
        if (key == 0 && got >> 2 & 1 && number != place)
            return es_json_scan_fault(in->scan, "layer %u is number %u of the list, and is named behind its tokens; it must stand before them", number, place);
    }
    if (es_json_scan_failed(in->scan))
        return lens_torn(in, number, place, tokens, *length), false;
    if (dense && tokens > 0)
        return es_json_scan_fault(in->scan, "layer %u is dense, but %u tokens of it are routed", number, tokens);
    if (!dense && *length > 0 && tokens != *length && !in->ask->lenient)
        return es_json_scan_fault(in->scan, "layer %u has %u tokens, the layers before it have %u", number, tokens, *length);
    *length = tokens > 0 ? tokens : *length;
    return true;
}

static bool lens_prompt(es_json_import *in)
{
    uint32_t got = 0, place = 0, length = 0;
    if (!es_json_scan_object(in->scan))
        return false;
    for (int key; (key = es_json_scan_key(in->scan, lens_names)) >= 0; got |= 1u << key) {
        if (key > 0)
            es_json_import_model(in);
        else if (es_json_scan_array(in->scan))
            for (; es_json_scan_item(in->scan); place++)
                if (!lens_layer(in, place, &length))
                    return false;
        if (es_json_scan_torn(in->scan) && place > 0)
            es_assume(&in->notes, "the file ends behind %u layers of request %u; whether others stood behind them nothing says: --layers N refuses another number", place, in->row.request);
    }
    return es_json_import_need(in, got, 1, lens_names);
}

static void lens_walk(es_json_import *in)
{
    bool good = true;
    in->row.phase = ES_PREFILL;
    es_assume(&in->notes, "every file, or member of the list, was taken as a request, all of it prompt");
    while (good && es_json_scan_more(in->scan)) {
        if (es_json_scan_peek(in->scan) != '[') {
            good = lens_prompt(in);
            in->row.request++;
        } else if ((good = es_json_scan_array(in->scan)) == true) {
            for (; good && es_json_scan_item(in->scan); in->row.request++)
                good = lens_prompt(in);
        }
    }
}

static es_code lens_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const es_json_format format = { .name = "moelens", .rules = { .unit = "row" }, .walk = lens_walk };
    return es_json_import_open(&((moelens *)self)->stream, &format, ask, arena, err);
}

static int lens_sniff(const unsigned char *head, size_t length)
{
    int tokens = es_json_import_sniff(head, length, 90, (const char *const[]){ "layers", "top_experts", NULL });
    return tokens ? tokens : es_json_import_sniff(head, length, 85, (const char *const[]){ "layers", "is_dense", NULL });
}

const es_source es_source_moelens = {
    .part = { .abi = ES_ABI, .name = "moelens", .brief = "MoELens JSON: top_experts and top_weights by layer and token of a prompt.", .size = sizeof(moelens), .fini = es_stream_fini },
    .sniff = lens_sniff,
    .open = lens_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "generated tokens, how many experts there are",
};
