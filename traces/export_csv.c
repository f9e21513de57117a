/* Neutral CSV: see csv.c for its columns and its three forms. The plainest that loses nothing is written. */
#include "traces/export_inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/assume.h"

typedef enum csv_form { CSV_BY_REQUEST, CSV_BATCHED, CSV_BOTH } csv_form;

typedef struct csv_out {
    es_export *base;
    es_export_look look;
    csv_form form;
    uint64_t step;
} csv_out;

static void csv_names(csv_out *out, char letter, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char name[EXPORT_FIELD];
        int length = snprintf(name, sizeof name, ",%c%u", letter, i);
        es_export_text(out->base, name, (size_t)length);
    }
}

static void csv_header(csv_out *out)
{
    static const char *const begin[] = { "request_id,token_index,phase,layer", "step,batch_pos,phase,layer", "step,request_id,token_index,phase,layer" };
    const es_trace_info *info = out->base->info;
    es_export_text(out->base, begin[out->form], strlen(begin[out->form]));
    csv_names(out, 'e', info->top_k);
    csv_names(out, 'w', out->base->ask.weights && info->has_weights ? info->top_k : 0);
    csv_names(out, 'r', out->base->ask.residency && info->has_residency ? info->top_k : 0);
    csv_names(out, 'g', out->base->ask.guesses ? info->guesses : 0);
    csv_names(out, 'c', out->base->ask.guesses && out->look.confidence ? info->guesses : 0);
    es_export_text(out->base, "\n", 1);
}

/* --- rows ----------------------------------------------------------------------------------------------------------------------- */

static void csv_key(csv_out *out, const es_token *token)
{
    if (out->form == CSV_BOTH) {
        es_export_number(out->base, out->step);
        es_export_text(out->base, ",", 1);
    }
    es_export_number(out->base, out->form == CSV_BATCHED ? token->position : token->request);
    es_export_text(out->base, ",", 1);
    es_export_number(out->base, out->form == CSV_BATCHED ? token->request : token->position);
}

static void csv_ids(csv_out *out, const uint16_t *ids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        es_export_text(out->base, ",", 1);
        if (ids[i] != ES_NO_EXPERT)
            es_export_number(out->base, ids[i]);
    }
}

/* Numbers that go with ids; those of empty places are empty. */
static void csv_reals(csv_out *out, const uint16_t *ids, const float *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        es_export_text(out->base, ",", 1);
        if (ids[i] != ES_NO_EXPERT)
            es_export_real(out->base, values[i]);
    }
}

static void csv_row(void *to, const es_step *step, uint32_t token, uint32_t layer)
{
    csv_out *out = to;
    const es_trace_info *info = out->base->info;
    uint64_t cell = (uint64_t)token * info->layers + layer;
    uint32_t k = info->top_k, g = info->guesses;
    const uint16_t *ids = step->ids + cell * k;
    csv_key(out, &step->token[token]);
    es_export_text(out->base, step->token[token].phase == ES_PREFILL ? ",P," : ",D,", 3);
    es_export_number(out->base, info->layer_number[layer]);
    csv_ids(out, ids, k);
    if (out->base->ask.weights && step->weights)
        csv_reals(out, ids, step->weights + cell * k, k);
    for (uint32_t i = 0; out->base->ask.residency && step->residency && i < k; i++) {
        es_export_text(out->base, ",", 1);
        if (ids[i] != ES_NO_EXPERT)
            es_export_number(out->base, step->residency[cell * k + i]);
    }
    if (out->base->ask.guesses && step->guess)
        csv_ids(out, step->guess + cell * g, g);
    if (out->base->ask.guesses && step->guess_confidence)
        csv_reals(out, step->guess + cell * g, step->guess_confidence + cell * g, g);
    es_export_text(out->base, "\n", 1);
}

static es_code csv_step(void *to, const es_step *step, es_err *err)
{
    csv_out *out = to;
    (void)err;
    es_export_rows(out->base, &out->look, step, csv_row, out);
    out->step++;
    return ES_OK;
}

static es_code csv_write(es_export *base, es_err *err)
{
    csv_out out = { .base = base };
    es_export_leaves(base, EXPORT_ATTENTION | EXPORT_BYTES | EXPORT_MODEL);
    es_code code = es_export_look_at(base, &out.look, err);
    if (!code && out.look.highest + 1 < base->info->experts)
        es_assume(base->notes, "the number of experts, %u, cannot be held by the format, and no id is above %u: --experts %u gives it back", base->info->experts, out.look.highest,
            base->info->experts);
    out.form = out.look.by_request ? CSV_BY_REQUEST : out.look.batched ? CSV_BATCHED : CSV_BOTH;
    if (!code) {
        csv_header(&out);
        code = es_export_each(base, csv_step, &out, err);
    }
    free(out.look.occurs);
    return code;
}

const es_trace_form es_form_csv = {
    .name = "csv", .brief = "Neutral CSV: one row per token and layer.", .lacks = "bytes of experts, the model's name, attention, experts that no token uses", .ending = ".csv", .write = csv_write,
};
