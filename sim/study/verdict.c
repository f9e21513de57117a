/* Verdict: see verdict.h. Measures; verdict_decide.c judges. */
#include "sim/study/verdict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/text.h"
#include "sim/curve/belady.h"
#include "sim/curve/lru.h"
#include "sim/curve/split.h"
#include "sim/curve/statistics.h"
#include "sim/part/registry.h"
#include "sim/study/bounds.h"
#include "sim/study/verdict_inside.h"

#define VERDICT_GIB ((int64_t)1 << 30)

typedef struct verdict_work {
    es_config *config;
    const es_plan *plan;
    const es_progress *progress;
    es_events events;
    es_arena arena;
    verdict v;
} verdict_work;

/* ---- runs ---- */

static double verdict_number(const es_json *report, const char *path)
{
    const es_json *value = es_json_at(report, path);
    return cJSON_IsNumber(value) ? value->valuedouble : (double)NAN;
}

static size_t verdict_serving(const es_plan *plan)
{
    for (size_t i = 0; i < plan->tier_count; i++)
        if (plan->tiers[i].compute && !plan->tiers[i].home)
            return i;
    return plan->tier_count;
}

static void verdict_facts(verdict *v, const es_json *report)
{
    const es_json *counts = es_json_at(report, "capacity.counts");
    v->in_bytes = cJSON_IsString(counts) && strcmp(counts->valuestring, "bytes") == 0;
    const double capacity = verdict_number(report, "capacity.slots_or_bytes");
    v->capacity = capacity > 0.0 ? (int64_t)capacity : 0;
}

/* `facts`: the first run, which says what the machine is too. */
static es_code verdict_run(verdict_work *w, const es_plan *plan, verdict_ran *ran, bool facts, es_err *err)
{
    es_run *run = NULL;
    es_json *report = cJSON_CreateObject();
    es_code code = report ? plan->source->rewind(plan->source_state, err) : es_err_nomem(err, "a report");
    if (code == ES_OK)
        code = es_run_new(&run, plan, err);
    if (code == ES_OK)
        code = es_run_go(run, w->progress, err);
    if (code == ES_OK)
        code = es_run_report(run, report, err);
    if (code == ES_OK) {
        *ran = (verdict_ran){.hit_rate = verdict_number(report, "cache.hit_rate"), .total_s = verdict_number(report, "time.total_s"),
            .stall_s = verdict_number(report, "time.stall_s"), .tokens_per_s = verdict_number(report, "time.tokens_per_s")};
        if (facts)
            verdict_facts(&w->v, report);
        if (facts && es_run_closed_loop(run))
            w->v.no_curves = "the router decides by what is resident";
    }
    es_run_free(run);
    cJSON_Delete(report);
    return code;
}

/* ---- one more GiB ---- */

static int64_t verdict_largest(const es_plan *plan, uint32_t layers)
{
    int64_t most = 0;
    for (uint32_t i = 0; plan->expert_bytes && i < layers; i++)
        most = plan->expert_bytes[i] > most ? plan->expert_bytes[i] : most;
    return most;
}

static es_code verdict_more(verdict_work *w, const es_plan *plan, es_err *err)
{
    verdict *v = &w->v;
    const size_t serving = verdict_serving(plan);
    const int64_t largest = verdict_largest(plan, w->events.layers);
    v->no_more = serving == plan->tier_count || v->capacity == 0 ? "no tier serves within a capacity"
        : !v->in_bytes && (!largest || !es_config_bytes_known(w->config)) ? "nobody says what an expert weighs"
        : !v->in_bytes && plan->slices ? "slots hold matrices of experts" : NULL;
    if (v->no_more)
        return ES_OK;
    v->capacity_more = v->capacity + (v->in_bytes ? VERDICT_GIB : VERDICT_GIB / largest);
    es_plan_tier *tiers = ES_NEW_ARRAY(&w->arena, plan->tier_count, es_plan_tier);
    char text[48];
    snprintf(text, sizeof text, "%lld%s", (long long)v->capacity_more, v->in_bytes ? "B" : "slots");
    es_plan bigger = *plan;
    const char *capacity = es_arena_text(&w->arena, text);
    if (!tiers || !capacity)
        return es_err_nomem(err, "a verdict");
    memcpy(tiers, plan->tiers, plan->tier_count * sizeof *tiers);
    tiers[serving].capacity = capacity;
    bigger.tiers = tiers;
    return verdict_run(w, &bigger, &v->more, false, err);
}

/* ---- curves ---- */

static es_code verdict_events(verdict_work *w, es_err *err)
{
    const es_contract *contract = &w->plan->contract;
    es_events_ask ask = {.by_token = contract->unit == ES_TOKEN || contract->unit == ES_ID, .ignores_repeats = contract->duplicates == ES_IGNORE,
        .shared = w->plan->catalog.key == ES_KEY_EXPERT, .skip_tokens = contract->skip_tokens};
    es_code code = es_prefill_read(&ask.prefill, contract->prefill, err);
    return code ? code : es_events_read(&w->events, w->plan->source, w->plan->source_state, &ask, &w->arena, err);
}

static const char *verdict_why_no_curves(const verdict_work *w)
{
    const es_plan *plan = w->plan;
    const es_contract *contract = &plan->contract;
    const bool trains = plan->training.steps == ES_TRAIN_ALL ||
        (plan->training.steps == ES_TRAIN_AS_TRACED && plan->source->info(plan->source_state)->has_training);
    return w->v.no_curves             ? w->v.no_curves
        : w->v.capacity == 0          ? "no tier serves within a capacity"
        : w->events.count == 0        ? "nothing is looked up"
        : trains                      ? "steps train"
        : plan->slices || plan->variants > 1 ? "experts come in slices or in several precisions"
        : contract->overflow == ES_BYPASS ? "the contract reads in place what does not fit"
        : cJSON_IsArray(contract->quota)  ? "the layers have quotas of their own"
                                      : NULL;
}

static es_curve_rule verdict_rule(const es_contract *contract)
{
    static const es_curve_rule rules[] = {
        [ES_WAVES] = ES_CURVE_WAVES, [ES_TRIM] = ES_CURVE_TRIM, [ES_PERSIST] = ES_CURVE_PERSIST, [ES_KEEP_BEST] = ES_CURVE_KEEP_BEST, [ES_BYPASS] = ES_CURVE_WAVES};
    return contract->judge == ES_SERIALIZED ? ES_CURVE_SERIALIZED : contract->judge == ES_SERIALIZED_PINNED ? ES_CURVE_SERIALIZED_PINNED : rules[contract->overflow];
}

static double verdict_rate(const es_curve *curves, uint32_t count, uint32_t size)
{
    uint64_t hits = 0, accesses = 0;
    for (uint32_t i = 0; i < count; i++) {
        hits += curves[i].hits[size];
        accesses += curves[i].accesses;
    }
    return accesses ? (double)hits / (double)accesses : (double)NAN;
}

/* LRU and Belady at the size that is, and with one GiB more. */
static es_code verdict_two_sizes(verdict_work *w, const es_curve_ask *form, es_err *err)
{
    verdict *v = &w->v;
    const uint32_t share = v->per_layer ? w->events.layers : 1;
    const uint64_t capacity[2] = {(uint64_t)v->capacity / share, (uint64_t)(v->no_more ? v->capacity : v->capacity_more) / share};
    es_curve_ask ask = *form;
    ask.capacity = capacity;
    ask.sizes = capacity[1] > capacity[0] ? 2 : 1;
    if (capacity[0] == 0) {
        v->no_curves = "a layer has less than one unit of capacity";
        return ES_OK;
    }
    const uint32_t count = es_curve_count(&w->events, &ask);
    es_curve *curves = ES_NEW_ARRAY(&w->arena, count, es_curve);
    uint32_t *next = NULL;
    es_code code = curves ? es_curve_lru(&w->events, &ask, curves, &w->arena, err) : es_err_nomem(err, "a verdict");
    if (code)
        return code;
    v->lru = verdict_rate(curves, count, 0);
    v->lru_more = verdict_rate(curves, count, ask.sizes - 1);
    code = es_next_use(&w->events, es_curve_serial(&ask), &next, &w->arena, err);
    if (code == ES_OK)
        code = es_belady(&w->events, next, &ask, true, curves, NULL, &w->arena, err);
    if (code)
        return code;
    v->belady = verdict_rate(curves, count, 0);
    v->belady_more = verdict_rate(curves, count, ask.sizes - 1);
    return ES_OK;
}

/* The capacity divided over layers, each with an LRU cache of its own. */
static es_code verdict_split(verdict_work *w, const es_curve_ask *form, es_err *err)
{
    verdict *v = &w->v;
    const int64_t largest = verdict_largest(w->plan, w->events.layers);
    const uint64_t total = (uint64_t)(v->in_bytes ? v->capacity / (largest ? largest : 1) : v->capacity);
    v->no_split = v->unequal ? "experts differ in size" : w->events.spaces == 1 ? "all layers use the same experts"
        : total < w->events.layers ? "there is less than a slot for each layer" : NULL;
    if (v->no_split)
        return ES_OK;
    es_curve_ask ask = *form;
    ask.per_layer = true;
    ask.bytes = NULL;
    es_curve *curves = ES_NEW_ARRAY(&w->arena, w->events.layers, es_curve);
    es_split split = {0};
    es_code code = curves ? es_curve_lru(&w->events, &ask, curves, &w->arena, err) : es_err_nomem(err, "a verdict");
    if (code == ES_OK)
        code = es_split_slots(curves, w->events.layers, total, false, &split, &w->arena, err);
    if (code)
        return code;
    const double accesses = w->events.accesses ? (double)w->events.accesses : (double)NAN;
    v->split_equal = (double)split.equal / accesses;
    v->split_best = (double)split.best / accesses;
    v->split = split.slots;
    return ES_OK;
}

static es_code verdict_curves(verdict_work *w, es_err *err)
{
    verdict *v = &w->v;
    const es_plan *plan = w->plan;
    for (uint32_t i = 1; plan->expert_bytes && i < w->events.layers; i++)
        v->unequal = v->unequal || (v->in_bytes && plan->expert_bytes[i] != plan->expert_bytes[0]);
    const es_curve_ask ask = {.rule = verdict_rule(&plan->contract), .per_layer = v->per_layer, .reset = plan->contract.reset == 1,
        .bytes = v->in_bytes ? plan->expert_bytes : NULL};
    es_code code = verdict_two_sizes(w, &ask, err);
    return code || v->no_curves ? code : verdict_split(w, &ask, err);
}

/* Slots of one cache against the experts of an event. */
static es_code verdict_demand(verdict_work *w, es_err *err)
{
    verdict *v = &w->v;
    es_statistics statistics = {0};
    es_code code = es_statistics_read(&w->events, NULL, &statistics, &w->arena, err);
    if (code)
        return code;
    double weight = 0.0;
    for (uint32_t i = 0; w->plan->expert_bytes && i < w->events.layers; i++)
        weight += (double)w->plan->expert_bytes[i] / w->events.layers;
    const double units = v->in_bytes ? weight : 1.0;
    v->layers = w->events.layers;
    v->tokens = w->events.tokens;
    v->demand = statistics.demand > 0.0 ? statistics.demand : w->events.count ? (double)w->events.lookups / w->events.count : (double)NAN;
    v->slots = units > 0.0 ? floor((double)v->capacity / units) / (v->per_layer ? w->events.layers : 1) : (double)NAN;
    return ES_OK;
}

static es_code verdict_bracket(verdict_work *w, es_err *err)
{
    verdict *v = &w->v;
    if (!w->plan->timed) {
        v->no_bracket = "clock is none";
        return ES_OK;
    }
    es_code code = es_bracket_find(&v->bracket, w->plan, err);
    v->no_bracket = v->bracket.no_bound ? v->bracket.no_bound : v->bracket.no_schedule;
    return code;
}

/* ---- what is told ---- */

static void verdict_reason(es_json *out, const char *why)
{
    if (why)
        es_json_add_text(out, "reason", why);
}

static void verdict_add_time(const verdict *v, es_json *out)
{
    es_json *time = es_json_add_object(out, "time");
    const bool none = v->no_bracket != NULL;
    es_json_add_real(time, "total_s", v->now.total_s);
    es_json_add_real(time, "stall_s", v->now.stall_s);
    es_json_add_real(time, "tokens_per_s", v->now.tokens_per_s);
    es_json_add_real(time, "lower_bound_s", none ? (double)NAN : verdict_seconds(v->bracket.bound.total_ns));
    es_json_add_real(time, "clairvoyant_s", none ? (double)NAN : verdict_seconds(v->bracket.least_ns));
    es_json_add_real(time, "compute_s", none ? (double)NAN : verdict_seconds(v->bracket.bound.compute_ns));
    es_json_add_real(time, "link_s", none ? (double)NAN : verdict_seconds(v->bracket.bound.link_ns));
    es_json_add_real(time, "gap", none ? (double)NAN : 1.0 - verdict_seconds(v->bracket.least_ns) / v->now.total_s);
    verdict_reason(time, v->no_bracket);
}

static void verdict_add_hits(const verdict *v, es_json *out)
{
    es_json *hits = es_json_add_object(out, "hit_rate");
    const bool none = v->no_curves != NULL;
    es_json_add_real(hits, "achieved", v->now.hit_rate);
    es_json_add_real(hits, "lru", none ? (double)NAN : v->lru);
    es_json_add_real(hits, v->unequal ? "belady_uniform" : "belady", none ? (double)NAN : v->belady);
    verdict_reason(hits, v->no_curves);
}

static void verdict_add_size(const verdict *v, es_json *out)
{
    es_json *size = es_json_add_object(out, "size"), *more = es_json_add_object(out, "one_more_gib");
    es_json_add_int(size, "capacity", v->capacity);
    es_json_add_text(size, "counts", v->in_bytes ? "bytes" : "slots");
    es_json_add_real(size, "slots", v->slots);
    es_json_add_real(size, "demand", v->demand);
    es_json_add_real(size, "ratio", v->slots / v->demand);
    const bool none = v->no_more != NULL, curves = !none && !v->no_curves;
    es_json_add_real(more, "hit_rate", none ? (double)NAN : v->more.hit_rate);
    es_json_add_real(more, "lru", curves ? v->lru_more : (double)NAN);
    es_json_add_real(more, v->unequal ? "belady_uniform" : "belady", curves ? v->belady_more : (double)NAN);
    es_json_add_real(more, "total_s", none ? (double)NAN : v->more.total_s);
    es_json_add_real(more, "tokens_per_s", none ? (double)NAN : v->more.tokens_per_s);
    verdict_reason(more, v->no_more);
}

static void verdict_add_split(const verdict *v, es_json *out)
{
    es_json *split = es_json_add_object(out, "layer_split");
    const char *why = v->no_curves ? v->no_curves : v->no_split;
    es_json_add_real(split, "equal", why ? (double)NAN : v->split_equal);
    es_json_add_real(split, "best", why ? (double)NAN : v->split_best);
    es_json *slots = why ? NULL : es_json_add_array(split, "slots");
    for (uint32_t i = 0; slots && i < v->layers; i++)
        cJSON_AddItemToArray(slots, cJSON_CreateNumber(v->split[i]));
    verdict_reason(split, why);
}

static es_json *verdict_json(const verdict_work *w)
{
    const verdict *v = &w->v;
    es_json *out = cJSON_CreateObject();
    es_json_add_text(out, "name", es_config_name(w->config));
    es_json_add_text(out, "verdict", v->verdict);
    es_json_add_text(out, "decided_by", v->by);
    es_json *gain = es_json_add_object(out, "gain");
    es_json_add_real(gain, "policy", v->gain_policy);
    es_json_add_real(gain, "size", v->gain_size);
    es_json_add_real(gain, "layer_split", v->gain_split);
    verdict_add_time(v, out);
    verdict_add_hits(v, out);
    verdict_add_size(v, out);
    verdict_add_split(v, out);
    es_json_add_int(out, "tokens", (int64_t)v->tokens);
    verdict_say(v, es_json_add_array(out, "sentences"));
    return out;
}

/* ---- all of it ---- */

static es_code verdict_measure(verdict_work *w, es_err *err)
{
    verdict *v = &w->v;
    es_plan plan = *w->plan;
    es_code code = es_bounds_summary(&plan, "verdict.summary", &w->arena, err);
    if (code == ES_OK)
        code = verdict_run(w, &plan, &v->now, true, err);
    if (code == ES_OK)
        code = verdict_events(w, err);
    if (code == ES_OK)
        code = verdict_demand(w, err);
    if (code == ES_OK)
        code = verdict_more(w, &plan, err);
    if (code == ES_OK && !(v->no_curves = verdict_why_no_curves(w)))
        code = verdict_curves(w, err);
    return code ? code : verdict_bracket(w, err);
}

es_code es_verdict_find(es_config *config, const es_progress *progress, es_json **out, es_err *err)
{
    verdict_work w = {.config = config, .progress = progress};
    *out = NULL;
    es_code code = es_config_plan(config, &w.plan, err);
    if (code)
        return code;
    if (w.plan->buffers)
        return es_err_set(err, ES_EINPUT, "%s: trace: is one of buffers; a verdict needs one of experts", es_config_name(config));
    w.v.per_layer = w.plan->contract.scope == ES_PER_LAYER;
    code = verdict_measure(&w, err);
    if (code == ES_OK) {
        verdict_decide(&w.v);
        *out = verdict_json(&w);
    } else {
        es_config_blame(config, err);
    }
    es_arena_free(&w.arena);
    return code;
}
