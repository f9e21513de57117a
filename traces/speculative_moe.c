/* Speculative-moe profiler, JSONL (Mixtral under hooks): a record per token and layer.
 *
 *     {"dataset": "gsm8k", "problem_id": 3, "layer": 0, "experts": [7, 0], "gating_probs": [0.80, 0.20], "token_idx": 17}
 *
 * A problem is a request. The profiler takes out rows whose weights are exactly [0.5, 0.5] and numbers the rest anew, so layers may be
 * out of step by some tokens, and the last tokens lack layers. Rows may stand in any order. */
#include "traces/json_import.h"

#include <stdio.h>
#include <string.h>

typedef struct speculative_moe { es_row_stream *stream; } speculative_moe;

static const char *const spec_names[] = { "problem_id", "layer", "experts", "gating_probs", "token_idx", "dataset", NULL };
enum { SPEC_PROBLEM, SPEC_LAYER, SPEC_EXPERTS, SPEC_WEIGHTS, SPEC_TOKEN, SPEC_DATASET };

typedef struct spec_name { char text[256]; } spec_name;

/* A name or a number as text. */
static void spec_text(es_json_import *in, spec_name *name)
{
    const char *text = "";
    size_t length = 0;
    uint32_t number;
    if (es_json_scan_peek(in->scan) != '"') {
        if (es_json_scan_u32(in->scan, &number))
            snprintf(name->text, sizeof name->text, "%u", number);
    } else if (es_json_scan_text(in->scan, &text, &length)) {
        if (length >= sizeof name->text)
            es_json_scan_fault(in->scan, "is longer than %zu bytes", sizeof name->text - 1);
        else
            memcpy(name->text, text, length + 1);
    }
}

static void spec_walk(es_json_import *in)
{
    in->may_lack = true;
    es_assume(&in->notes, "phases are not said: every token was taken as a generated one, a problem of a data set as a request");
    es_assume(&in->notes, "the profiler takes out rows of equal weights and numbers the rest anew: layers may be out of step by some tokens");
    while (es_json_scan_more(in->scan) && es_json_scan_object(in->scan)) {
        spec_name dataset = { "" }, problem = { "" };
        char name[2 * sizeof dataset.text + 2];
        uint32_t got = 0;
        for (int key; (key = es_json_scan_key(in->scan, spec_names)) >= 0; got |= 1u << key) {
            if (key == SPEC_PROBLEM || key == SPEC_DATASET)
                spec_text(in, key == SPEC_PROBLEM ? &problem : &dataset);
            else if (key == SPEC_LAYER || key == SPEC_TOKEN)
                es_json_scan_u32(in->scan, key == SPEC_LAYER ? &in->row.layer : &in->row.position);
            else if (key == SPEC_EXPERTS)
                es_json_import_ids(in);
            else
                es_json_import_weights(in);
        }
        int length = snprintf(name, sizeof name, "%s/%s", dataset.text, problem.text);
        if (es_json_import_need(in, got, 1u << SPEC_PROBLEM | 1u << SPEC_LAYER | 1u << SPEC_EXPERTS | 1u << SPEC_TOKEN, spec_names) &&
            es_json_import_named(in, name, (size_t)length))
            es_json_import_row(in);
    }
}

static es_code spec_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    static const es_json_format format = { .name = "speculative_moe", .rules = { .any_order = true }, .walk = spec_walk };
    return es_json_import_open(&((speculative_moe *)self)->stream, &format, ask, arena, err);
}

static int spec_sniff(const unsigned char *head, size_t length)
{
    return es_json_import_sniff(head, length, 92, (const char *const[]){ "problem_id", "experts", "token_idx", NULL });
}

const es_source es_source_speculative_moe = {
    .part = { .abi = ES_ABI, .name = "speculative_moe", .brief = "Speculative-moe profiler, JSONL: experts and gating_probs by problem, layer and token.",
              .size = sizeof(speculative_moe), .fini = es_stream_fini },
    .sniff = spec_sniff,
    .open = spec_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "phases, how many experts there are",
};
