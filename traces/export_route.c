/* route_trace v1: see route_trace.c for its lines. It holds requests one at a time, and says residency and a weight of every expert. */
#include "traces/export_inside.h"

#include <math.h>
#include <stdlib.h>

#include "traces/assume.h"

typedef struct route_out {
    es_export *base;
    es_export_look look;
} route_out;

static void route_pair(es_export *base, const char *key, int64_t value)
{
    es_export_word(base, key);
    es_export_number(base, (uint64_t)value);
}

static void route_preamble(es_export *base)
{
    const es_trace_info *info = base->info;
    es_export_word(base, "# route_trace v1\n# model=");
    es_export_word(base, info->model ? info->model : "");
    route_pair(base, " arch=unknown n_layer=", (int64_t)info->layer_number[info->layers - 1] + 1);
    route_pair(base, " n_expert=", info->experts);
    route_pair(base, " n_expert_used=", info->top_k);
    for (uint32_t i = 0; i < info->layers && info->expert_bytes; i++) {
        route_pair(base, "\n# layer=", info->layer_number[i]);
        route_pair(base, " expert_bytes=", info->expert_bytes[i]);
        route_pair(base, " dense_bytes=", info->dense_bytes ? info->dense_bytes[i] : 0);
    }
    es_export_word(base, "\nturn,phase,step,layer,slot,expert,weight,residency,expert_bytes\n");
}

static void route_row(const route_out *out, const es_step *step, uint32_t token, uint32_t layer)
{
    es_export *base = out->base;
    const es_trace_info *info = base->info;
    const uint64_t at = ((uint64_t)token * info->layers + layer) * info->top_k;
    const es_token *t = &step->token[token];
    for (uint32_t k = 0; k < info->top_k && step->ids[at + k] != ES_NO_EXPERT; k++) {
        const uint8_t residency = step->residency ? step->residency[at + k] : 0;
        route_pair(base, "", t->request);
        es_export_word(base, t->phase == ES_PREFILL ? ",0" : ",1");
        route_pair(base, ",", t->position);
        route_pair(base, ",", info->layer_number[layer]);
        route_pair(base, ",", k);
        route_pair(base, ",", step->ids[at + k]);
        es_export_word(base, ",");
        es_export_real(base, step->weights ? step->weights[at + k] : NAN);
        route_pair(base, ",", residency);
        route_pair(base, ",", residency == 0 && info->expert_bytes ? info->expert_bytes[layer] : 0);
        es_export_word(base, "\n");
    }
}

/* A prompt layer by layer, as an engine computes it. A token without any row would not be there. */
static es_code route_step(void *to, const es_step *step, es_err *err)
{
    const route_out *out = to;
    const es_trace_info *info = out->base->info;
    for (uint32_t token = 0; token < step->tokens; token++) {
        bool any = false;
        for (uint32_t layer = 0; layer < info->layers && !any; layer++)
            any = step->ids[((uint64_t)token * info->layers + layer) * info->top_k] != ES_NO_EXPERT;
        if (!any)
            return es_err_set(err, ES_EINPUT, "request %u, token %u has no row, which route_trace cannot hold; --as csv or jsonl can", step->token[token].request,
                step->token[token].position);
    }
    for (uint32_t layer = 0; layer < info->layers; layer++)
        for (uint32_t token = 0; token < step->tokens; token++)
            route_row(out, step, token, layer);
    return ES_OK;
}

static es_code route_can(const route_out *out, es_err *err)
{
    const es_trace_info *info = out->base->info;
    if (!out->look.by_request)
        return es_err_set(err, ES_EINPUT, "route_trace holds one request at a time, a prompt in one step and then a token at a time; --as csv or jsonl holds other steps");
    for (uint32_t layer = 0; layer < info->layers; layer++)
        if (!out->look.occurs[layer])
            return es_err_set(err, ES_EINPUT, "layer %u has no row, which route_trace cannot hold; --as csv or jsonl can", info->layer_number[layer]);
    for (uint32_t layer = 0; layer < info->layers && info->expert_bytes; layer++)
        if (info->expert_bytes[layer] < 0 || (info->dense_bytes && info->dense_bytes[layer] < 0))
            return es_err_set(err, ES_EINPUT, "layer %u has bytes below 0", info->layer_number[layer]);
    return ES_OK;
}

static es_code route_write(es_export *base, es_err *err)
{
    route_out out = { .base = base };
    const es_trace_info *info = base->info;
    es_export_leaves(base, EXPORT_GUESSES | EXPORT_ATTENTION | (info->expert_bytes ? 0 : EXPORT_BYTES));
    if (!info->has_weights)
        es_assume(base->notes, "the trace has no gate weights: they are nan");
    if (!info->has_residency)
        es_assume(base->notes, "the trace has no recorded residency: it is 0 (miss)");
    if (info->expert_bytes && !info->dense_bytes)
        es_assume(base->notes, "the trace does not say what else a layer weighs: dense_bytes is 0");
    es_code code = es_export_look_at(base, &out.look, err);
    if (!code && out.look.lacks > 0 && out.look.last.phase == ES_DECODE)
        es_assume(base->notes, "the last token lacks its last %u of %u rows, which the format cannot tell from a torn file: it may be read with --lenient only, which leaves that token out",
            out.look.lacks, info->layers);
    if (!code)
        code = route_can(&out, err);
    if (!code) {
        route_preamble(base);
        code = es_export_each(base, route_step, &out, err);
    }
    free(out.look.occurs);
    return code;
}

const es_trace_form es_form_route_trace = {
    .name = "route_trace", .brief = "route_trace v1 of BigMoeOnEdge: one line per token, layer and slot.",
    .lacks = "predictions, attention, steps of several requests", .write = route_write,
};
