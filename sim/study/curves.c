/* Curves: see curves.h. */
#include "sim/study/curves.h"

#include <string.h>

#include "sim/part/registry.h"
#include "sim/study/bounds.h"

const char *es_curves_none(const es_plan *plan)
{
    const es_contract *contract = &plan->contract;
    const bool trains = plan->training.steps == ES_TRAIN_ALL ||
        (plan->training.steps == ES_TRAIN_AS_TRACED && plan->source->info(plan->source_state)->has_training);
    return trains                             ? "steps train (training.steps none leaves that out)"
        : plan->slices || plan->variants > 1  ? "experts come in slices or in several precisions (contract.unit slice, catalog.bits)"
        : plan->router.part && strcmp(plan->router.part->name, "trace") != 0 ? "a router decides what is used while the run goes on (router)"
        : contract->overflow == ES_BYPASS     ? "what does not fit is read in place (contract.overflow bypass)"
        : contract->duplicates == ES_HIT      ? "repeats inside an event count as hits (contract.duplicates hit)"
        : contract->judge == ES_SERIALIZED_PINNED && contract->overflow != ES_WAVES ? "what is pinned may exceed its room (contract.judge serialized_pinned without waves)"
        : contract->overflow == ES_KEEP_BEST && (contract->judge != ES_JUDGE_EVENT || contract->unit == ES_ID) ?
                                                "ids are judged one by one and the best of them stay (contract.overflow keep_best)"
        : plan->start_count > 0               ? "caches hold something from the start (contract.start)"
                                              : NULL;
}

es_code es_curves_events(const es_plan *plan, es_events *out, es_arena *arena, es_err *err)
{
    const es_contract *contract = &plan->contract;
    es_events_ask ask = {.by_token = contract->unit == ES_TOKEN || contract->unit == ES_ID, .ignores_repeats = contract->duplicates == ES_IGNORE,
        .shared = plan->catalog.key == ES_KEY_EXPERT, .skip_tokens = contract->skip_tokens};
    es_code code = es_prefill_read(&ask.prefill, contract->prefill, err);
    return code ? code : es_events_read(out, plan->source, plan->source_state, &ask, arena, err);
}

/* An event of one id is judged as it is where ids are judged one by one: there is nothing to pin, and no room that it exceeds. */
static es_curve_rule curves_rule(const es_contract *contract)
{
    static const es_curve_rule rules[] = {
        [ES_WAVES] = ES_CURVE_WAVES, [ES_TRIM] = ES_CURVE_TRIM, [ES_PERSIST] = ES_CURVE_PERSIST, [ES_KEEP_BEST] = ES_CURVE_KEEP_BEST, [ES_BYPASS] = ES_CURVE_WAVES};
    if (contract->judge == ES_SERIALIZED_PINNED)
        return ES_CURVE_SERIALIZED_PINNED;
    return contract->judge == ES_SERIALIZED || contract->unit == ES_ID ? ES_CURVE_SERIALIZED : rules[contract->overflow];
}

es_curve_ask es_curves_ask(const es_plan *plan)
{
    return (es_curve_ask){.rule = curves_rule(&plan->contract), .per_layer = plan->contract.scope == ES_PER_LAYER, .reset = plan->contract.reset == 1};
}

/* ---- runs ---- */

/* The tier from which demands are served: the first that computes and is not home. */
static size_t curves_serving(const es_plan *plan)
{
    for (size_t i = 0; i < plan->tier_count; i++)
        if (plan->tiers[i].compute && !plan->tiers[i].home)
            return i;
    return plan->tier_count;
}

static es_code curves_resize(es_plan *plan, const char *capacity, es_arena *arena, es_err *err)
{
    const size_t serving = curves_serving(plan);
    es_plan_tier *tiers = ES_NEW_ARRAY(arena, plan->tier_count, es_plan_tier);
    if (!tiers)
        return es_err_nomem(err, "a run");
    if (serving == plan->tier_count)
        return es_err_set(err, ES_EINPUT, "tiers: none serves within a capacity, so there is no size to change");
    memcpy(tiers, plan->tiers, plan->tier_count * sizeof *tiers);
    tiers[serving].capacity = capacity;
    plan->tiers = tiers;
    return ES_OK;
}

static uint64_t curves_number(const es_json *report, const char *path)
{
    const es_json *value = es_json_at(report, path);
    return cJSON_IsNumber(value) && value->valuedouble > 0.0 ? (uint64_t)value->valuedouble : 0;
}

static void curves_take(const es_json *report, es_curves_ran *out)
{
    const es_json *counts = es_json_at(report, "capacity.counts");
    *out = (es_curves_ran){.lookups = curves_number(report, "cache.lookups"), .hits = curves_number(report, "cache.hits"),
        .decode_lookups = curves_number(report, "cache.decode.lookups"), .decode_hits = curves_number(report, "cache.decode.hits"),
        .capacity = curves_number(report, "capacity.slots_or_bytes"), .in_bytes = cJSON_IsString(counts) && strcmp(counts->valuestring, "bytes") == 0};
}

es_code es_curves_run(const es_plan *plan, const char *capacity, const es_progress *progress, es_curves_ran *out, es_err *err)
{
    es_plan sized = *plan;
    es_arena arena = {0};
    es_run *run = NULL;
    es_json *report = cJSON_CreateObject();
    es_code code = report ? es_bounds_summary(&sized, "mrc.summary", &arena, err) : es_err_nomem(err, "a report");
    if (code == ES_OK && capacity)
        code = curves_resize(&sized, capacity, &arena, err);
    if (code == ES_OK)
        code = plan->source->rewind(plan->source_state, err);
    if (code == ES_OK)
        code = es_run_new(&run, &sized, err);
    if (code == ES_OK)
        code = es_run_go(run, progress, err);
    if (code == ES_OK)
        code = es_run_report(run, report, err);
    if (code == ES_OK)
        curves_take(report, out);
    es_run_free(run);
    cJSON_Delete(report);
    es_arena_free(&arena);
    return code;
}
