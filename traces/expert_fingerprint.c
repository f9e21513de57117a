/* Expert fingerprints, JSON (GPT-OSS-MoE-ExpertFingerprinting): a generation per object, one or a list of them.
 *
 *     [{"full_text": ..., "router_data": [{"token_195": {"layer_0": {"selected_experts": [15, 21], "selected_probs": [0.6, 0.4]}, ...}}, ...]}]
 *
 * The number of a token is its position behind the prompt, which is not recorded. Every object with router_data is a request. */
#include "traces/json_import.h"

#include <string.h>

typedef struct expert_fingerprint { es_row_stream *stream; } expert_fingerprint;

/* The number of a key such as "layer_12". */
static bool finger_number(es_json_import *in, const char *name, const char *prefix, uint32_t *number)
{
    const size_t length = strlen(prefix);
    uint64_t v = 0;
    const char *p = name + (strncmp(name, prefix, length) == 0 ? length : 0);
    for (; p >= name + length && *p >= '0' && *p <= '9' && v < UINT32_MAX; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    *number = (uint32_t)v;
    if (p <= name + length || *p != '\0' || v >= UINT32_MAX)
        return es_json_scan_fault(in->scan, "the key is \"%s\", needs %s and a number", name, prefix);
    return true;
}

static bool finger_layer(es_json_import *in, const char *name)
{
    static const char *const names[] = { "selected_experts", "selected_probs", NULL };
    uint32_t got = 0;
    if (!finger_number(in, name, "layer_", &in->row.layer) || !es_json_scan_object(in->scan))
        return false;
    for (int key; (key = es_json_scan_key(in->scan, names)) >= 0; got |= 1u << key)
        if (key == 0 ? !es_json_import_ids(in) : !es_json_import_weights(in))
            return false;
    return es_json_import_need(in, got, 1, names) && es_json_import_row(in);
}

static bool finger_token(es_json_import *in, const char *name)
{
    const char *layer;
    size_t length;
    if (!finger_number(in, name, "token_", &in->row.position) || !es_json_scan_object(in->scan))
        return false;
    while (es_json_scan_name(in->scan, &layer, &length))
        if (!finger_layer(in, layer))
            return false;
    return !es_json_scan_failed(in->scan);
}

static bool finger_tokens(es_json_import *in)
{
    const char *name;
    size_t length;
    if (!es_json_scan_array(in->scan))
        return false;
    while (es_json_scan_item(in->scan) && es_json_scan_object(in->scan))
        while (es_json_scan_name(in->scan, &name, &length))
            if (!finger_token(in, name))
                return false;
    return !es_json_scan_failed(in->scan);
}

static bool finger_one(es_json_import *in)
{
    static const char *const names[] = { "router_data", NULL };
    const uint64_t before = in->rows;
    uint32_t got = 0;
    if (!es_json_scan_object(in->scan))
        return false;
    for (int key; (key = es_json_scan_key(in->scan, names)) >= 0; got |= 1u << key)
        if (!finger_tokens(in))
            return false;
    in->row.request += in->rows > before;
    return es_json_import_need(in, got, 1, names);
}

static void finger_walk(es_json_import *in)
{
    bool good = true;
    es_assume(&in->notes, "every generation was taken as a request, the number of a token as its position; prompts are not recorded");
    while (good && es_json_scan_more(in->scan)) {
        if (es_json_scan_peek(in->scan) != '[') {
            good = finger_one(in);
        } else if ((good = es_json_scan_array(in->scan)) == true) {
            while (good && es_json_scan_item(in->scan))
                good = finger_one(in);
        }
    }
}

static es_code finger_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const es_json_format format = { .name = "expert_fingerprint", .rules = { .whole_tokens = true, .unit = "row" }, .walk = finger_walk };
    return es_json_import_open(&((expert_fingerprint *)self)->stream, &format, ask, arena, err);
}

/* The text of a generation stands first and may be longer than what is looked at. */
static int finger_sniff(const unsigned char *head, size_t length)
{
    int data = es_json_import_sniff(head, length, 92, (const char *const[]){ "router_data", NULL });
    return data ? data : es_json_import_sniff(head, length, 45, (const char *const[]){ "full_text", NULL });
}

const es_source es_source_expert_fingerprint = {
    .part = { .abi = ES_ABI, .name = "expert_fingerprint", .brief = "Expert fingerprints, JSON: router_data with selected_experts by token and layer.",
              .size = sizeof(expert_fingerprint), .fini = es_stream_fini },
    .sniff = finger_sniff,
    .open = finger_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "the prompt, how many experts there are",
};
