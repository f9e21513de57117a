/* JSON lines: see jsonl.c for what stands in them. All that a trace has but attention; the same rows as in neutral CSV. */
#include "traces/export_inside.h"

#include <math.h>
#include <stdlib.h>

typedef struct jsonl_out {
    es_export *base;
    es_export_look look;
    uint64_t step;
} jsonl_out;

static void jsonl_number(es_export *base, const char *key, uint64_t value)
{
    es_export_word(base, key);
    es_export_number(base, value);
}

static void jsonl_bytes(es_export *base, const char *key, const int64_t *bytes)
{
    for (uint32_t i = 0; bytes && i < base->info->layers; i++)
        jsonl_number(base, i ? "," : key, (uint64_t)bytes[i]);
    if (bytes)
        es_export_word(base, "]");
}

static void jsonl_head(es_export *base)
{
    const es_trace_info *info = base->info;
    es_export_word(base, "{\"expertsim\":\"trace\",\"version\":1,\"model\":");
    es_export_quoted(base, info->model ? info->model : "");
    for (uint32_t i = 0; i < info->layers; i++)
        jsonl_number(base, i ? "," : ",\"layers\":[", info->layer_number[i]);
    jsonl_number(base, "],\"experts\":", info->experts);
    jsonl_number(base, ",\"top_k\":", info->top_k);
    jsonl_number(base, ",\"guesses\":", base->ask.guesses ? info->guesses : 0);
    jsonl_bytes(base, ",\"expert_bytes\":[", info->expert_bytes);
    jsonl_bytes(base, ",\"dense_bytes\":[", info->dense_bytes);
    es_export_word(base, "}\n");
}

static uint32_t jsonl_count(const uint16_t *ids, uint32_t width)
{
    uint32_t count = 0;
    while (count < width && ids[count] != ES_NO_EXPERT)
        count++;
    return count;
}

static void jsonl_ids(es_export *base, const char *key, const uint16_t *ids, uint32_t count)
{
    es_export_word(base, key);
    for (uint32_t i = 0; i < count; i++)
        jsonl_number(base, i ? "," : "", ids[i]);
    es_export_word(base, "]");
}

/* What is not a number is null. */
static void jsonl_reals(es_export *base, const char *key, const float *values, uint32_t count)
{
    es_export_word(base, key);
    for (uint32_t i = 0; i < count; i++) {
        if (i)
            es_export_word(base, ",");
        if (isfinite(values[i]))
            es_export_real(base, values[i]);
        else
            es_export_word(base, "null");
    }
    es_export_word(base, "]");
}

static void jsonl_row(void *to, const es_step *step, uint32_t token, uint32_t layer)
{
    const jsonl_out *out = to;
    es_export *base = out->base;
    const es_trace_info *info = base->info;
    const uint64_t cell = (uint64_t)token * info->layers + layer, k = cell * info->top_k, g = cell * info->guesses;
    const uint32_t count = jsonl_count(step->ids + k, info->top_k);
    jsonl_number(base, "{\"step\":", out->step);
    jsonl_number(base, ",\"request\":", step->token[token].request);
    jsonl_number(base, ",\"token\":", step->token[token].position);
    es_export_word(base, step->token[token].phase == ES_PREFILL ? ",\"phase\":\"P\"" : ",\"phase\":\"D\"");
    jsonl_number(base, ",\"layer\":", info->layer_number[layer]);
    jsonl_ids(base, ",\"experts\":[", step->ids + k, count);
    if (base->ask.weights && step->weights)
        jsonl_reals(base, ",\"weights\":[", step->weights + k, count);
    for (uint32_t i = 0; base->ask.residency && step->residency && i < count; i++)
        jsonl_number(base, i ? "," : ",\"residency\":[", step->residency[k + i]);
    if (base->ask.residency && step->residency)
        es_export_word(base, count ? "]" : ",\"residency\":[]");
    if (base->ask.guesses && step->guess) {
        const uint32_t guesses = jsonl_count(step->guess + g, info->guesses);
        jsonl_ids(base, ",\"guesses\":[", step->guess + g, guesses);
        if (step->guess_confidence)
            jsonl_reals(base, ",\"confidence\":[", step->guess_confidence + g, guesses);
    }
    es_export_word(base, "}\n");
}

static es_code jsonl_step(void *to, const es_step *step, es_err *err)
{
    jsonl_out *out = to;
    (void)err;
    es_export_rows(out->base, &out->look, step, jsonl_row, out);
    out->step++;
    return ES_OK;
}

static es_code jsonl_write(es_export *base, es_err *err)
{
    jsonl_out out = { .base = base };
    es_export_leaves(base, EXPORT_ATTENTION);
    es_code code = es_export_look_at(base, &out.look, err);
    if (!code) {
        jsonl_head(base);
        code = es_export_each(base, jsonl_step, &out, err);
    }
    free(out.look.occurs);
    return code;
}

const es_trace_form es_form_jsonl = {
    .name = "jsonl", .brief = "JSON lines: what the trace is, then one object per token and layer.", .lacks = "attended positions", .ending = ".jsonl", .write = jsonl_write,
};
