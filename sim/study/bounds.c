/* Bounds: see bounds.h. Each is a run of the same plan with a few rows replaced. */
#include "sim/study/bounds.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/part/allocator.h"
#include "sim/part/registry.h"
#include "sim/study/bracket.h"

/* ---- two policies that only serve here ---- */

typedef struct bounds_policy {
    const es_view *view;
} bounds_policy;

static es_code bounds_init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    ((bounds_policy *)self)->view = site->view;
    return ES_OK;
}

static size_t bounds_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    (void)self, (void)need, (void)out, (void)most;
    return 0;                   /* nothing is ever short of room */
}

static void bounds_never(void *self, const es_admit_ask *ask, bool *keep)
{
    (void)self;
    memset(keep, 0, ask->count * sizeof *keep);
}

static size_t bounds_all(void *self, uint32_t tier, es_oid *out, size_t most)
{
    const es_view *view = ((bounds_policy *)self)->view;
    size_t count = 0;
    if (tier != view->serving)
        return 0;
    for (uint32_t space = 0; space < view->spaces; space++)
        for (uint32_t i = 0; i < view->experts && count < most; i++)
            if (es_mask_has(view->current, space * view->stride + i))
                out[count++] = space * view->stride + i;
    return count;
}

static const es_policy bounds_never_policy = {
    .part = {.abi = ES_ABI, .name = "never", .brief = "Keeps nothing.", .size = sizeof(bounds_policy), .init = bounds_init},
    .victims = bounds_victims,
    .admit = bounds_never,
};

static const es_policy bounds_all_policy = {
    .part = {.abi = ES_ABI, .name = "all", .brief = "Holds everything.", .size = sizeof(bounds_policy), .init = bounds_init},
    .victims = bounds_victims,
    .initial = bounds_all,
};

/* ---- one run ---- */

typedef struct bounds_found {
    double hits, decode_hits;   /* below 0: the report does not say */
    double total_s;
} bounds_found;

static double bounds_number(const es_json *report, const char *path)
{
    const es_json *value = es_json_at(report, path);
    return cJSON_IsNumber(value) ? value->valuedouble : -1.0;
}

static es_code bounds_run(const es_plan *plan, const es_progress *progress, bounds_found *found, es_err *err)
{
    es_run *run = NULL;
    es_json *report = cJSON_CreateObject();
    es_code code = report ? plan->source->rewind(plan->source_state, err) : es_err_nomem(err, "a report");
    if (code == ES_OK)
        code = es_run_new(&run, plan, err);
    if (code == ES_OK)
        code = es_run_go(run, progress, err);
    if (code == ES_OK)
        code = es_run_report(run, report, err);
    if (code == ES_OK) {
        found->hits = bounds_number(report, "cache.hits");
        found->decode_hits = bounds_number(report, "cache.decode.hits");
        found->total_s = (double)es_run_view(run)->times->total / 1e9;
    }
    es_run_free(run);
    cJSON_Delete(report);
    return code;
}

es_code es_bounds_summary(es_plan *plan, const char *path, es_arena *arena, es_err *err)
{
    es_plan_part *summary = ES_NEW(arena, es_plan_part);
    es_code code = summary ? es_part_find(ES_KIND_OBSERVER, "summary", &summary->part, err) : es_err_nomem(err, path);
    if (code)
        return code;
    void *state = es_arena_alloc(arena, 1, summary->part->size);
    if (!state)
        return es_err_nomem(err, path);
    es_options_default(summary->part->options, state);
    summary->state = state;
    summary->path = path;
    plan->observers = summary;
    plan->observer_count = 1;
    return ES_OK;
}

/* The plan with what all bounds have in common: no guesses, every miss fetched, only hits counted. */
static es_code bounds_plan(const es_plan *plan, es_plan *bound, es_arena *arena, es_err *err)
{
    *bound = *plan;
    bound->predictor = bound->dispatcher = (es_plan_part){0};
    bound->tuners = NULL;
    bound->tuner_count = 0;
    es_plan_tier *tiers = ES_NEW_ARRAY(arena, plan->tier_count, es_plan_tier);
    if (!tiers)
        return es_err_nomem(err, "a bound");
    for (size_t i = 0; i < plan->tier_count; i++) {
        const es_allocator *allocator = (const es_allocator *)(const void *)plan->tiers[i].allocator.part;
        tiers[i] = plan->tiers[i];
        if (plan->tuner_count > 0)
            tiers[i].share = 1.0;           /* the most that a tuner may give them */
        if (allocator && allocator->reserve)    /* nobody can do better than without pools and pieces */
            tiers[i].allocator = tiers[i].moves = (es_plan_part){0};
    }
    bound->tiers = tiers;
    return es_bounds_summary(bound, "bounds.summary", arena, err);
}

/* The tier from which demands are served: the first that computes and is not home. */
static size_t bounds_serving(const es_plan *plan)
{
    for (size_t i = 0; i < plan->tier_count; i++)
        if (plan->tiers[i].compute && !plan->tiers[i].home)
            return i;
    return plan->tier_count;
}

/* Replaces the capacity of the serving tier. */
static es_code bounds_capacity(es_plan *bound, const char *capacity, double share, es_arena *arena, es_err *err)
{
    size_t serving = bounds_serving(bound);
    es_plan_tier *tiers = ES_NEW_ARRAY(arena, bound->tier_count, es_plan_tier);
    if (!tiers)
        return es_err_nomem(err, "a bound");
    memcpy(tiers, bound->tiers, bound->tier_count * sizeof *tiers);
    bound->tiers = tiers;
    if (serving == bound->tier_count)
        return ES_OK;
    tiers[serving].capacity = capacity;
    tiers[serving].share = share;
    tiers[serving].allocator = tiers[serving].moves = (es_plan_part){0};
    return ES_OK;
}

/* ---- belady ---- */

/* Smallest size when sizes differ and the serving tier counts bytes; 0: Belady is optimal there. */
static int64_t bounds_smallest(const es_plan *plan)
{
    size_t serving = bounds_serving(plan);
    const char *capacity = serving < plan->tier_count ? plan->tiers[serving].capacity : NULL;
    if (!plan->expert_bytes || !capacity || !*capacity || capacity[strlen(capacity) - 1] != 'B')
        return 0;
    const es_trace_info *info = plan->source->info(plan->source_state);
    const bool apart = plan->slices > 1 && (plan->matrix_bytes || plan->variant_bytes);
    const int64_t *bytes = plan->variant_bytes ? plan->variant_bytes : apart ? plan->matrix_bytes : plan->expert_bytes;
    const size_t sizes = (size_t)info->layers * (apart ? plan->slices : 1) * (plan->variant_bytes ? plan->variants : 1);
    int64_t least = bytes[0];
    bool differ = false;
    for (size_t i = 1; i < sizes; i++) {
        differ = differ || bytes[i] != bytes[0];
        least = bytes[i] < least ? bytes[i] : least;
    }
    return differ ? least : 0;
}

/* As many slots as the smallest object would fit. */
static es_code bounds_slots(es_plan *bound, int64_t smallest, es_arena *arena, es_err *err)
{
    double bytes = 0.0;
    es_code code = es_text_quantity(bound->tiers[bounds_serving(bound)].capacity, ES_UNIT_BYTES, &bytes, err);
    char text[48];
    snprintf(text, sizeof text, "%lldslots", (long long)(bytes / (double)smallest));
    const char *kept = es_arena_text(arena, text);
    if (code == ES_OK && !kept)
        code = es_err_nomem(err, "a bound");
    return code ? code : bounds_capacity(bound, kept, bound->tiers[bounds_serving(bound)].share, arena, err);
}

static es_code bounds_belady(const es_plan *plan, int64_t smallest, const es_progress *progress, bounds_found *found, es_arena *arena, es_err *err)
{
    es_plan bound;
    const es_part *belady = NULL;
    es_code code = bounds_plan(plan, &bound, arena, err);
    if (code == ES_OK)
        code = es_part_find(ES_KIND_POLICY, "belady", &belady, err);
    if (code == ES_OK && smallest)
        code = bounds_slots(&bound, smallest, arena, err);
    if (code)
        return code;
    void *state = es_arena_alloc(arena, 1, belady->size);
    if (!state)
        return es_err_nomem(err, "a bound");
    es_options_default(belady->options, state);
    /* Only with bypass it is a bound: being forced to keep what comes in costs hits. */
    const es_option *bypass = es_options_find(belady->options, "bypass");
    if (bypass && bypass->type == ES_OPT_BOOL)
        *(bool *)((char *)state + bypass->offset) = true;
    bound.policy = (es_plan_part){.part = belady, .state = state, .path = "policy"};
    bound.timed = false;
    return bounds_run(&bound, progress, found, err);
}

/* ---- times ---- */

static es_code bounds_timed(const es_plan *plan, const es_policy *policy, const es_progress *progress, bounds_found *found, es_arena *arena, es_err *err)
{
    es_plan bound;
    es_code code = bounds_plan(plan, &bound, arena, err);
    if (code == ES_OK && policy->initial) {
        bound.contract.pins = 1;        /* it is there; how it came is not part of the bound */
        bound.contract.scope = ES_GLOBAL;
        bound.contract.reset = 0;
        code = bounds_capacity(&bound, "100%", 1.0, arena, err);
    }
    bound.start_count = 0;
    bounds_policy *state = ES_NEW(arena, bounds_policy);
    if (code == ES_OK && !state)
        code = es_err_nomem(err, "a bound");
    bound.policy = (es_plan_part){.part = &policy->part, .state = state, .path = "policy"};
    return code ? code : bounds_run(&bound, progress, found, err);
}

/* ---- what cannot be had ---- */

/* Belady is best over all uses; hits are counted on the way forward only, and who gives up those of the way back can have more of them. */
static const char *bounds_why_no_belady(const es_plan *plan)
{
    const int steps = plan->training.steps;
    const bool trains = steps == ES_TRAIN_ALL || (steps == ES_TRAIN_AS_TRACED && plan->source->info(plan->source_state)->has_training);
    return trains ? "steps train: Belady would be best over forward and backward uses together, hits are counted of forward ones" : NULL;
}

/* Where home holds nothing there is no store to fetch from, and who keeps nothing makes every use anew. */
static const char *bounds_why_no_never(const es_plan *plan)
{
    for (size_t i = 0; i < plan->tier_count; i++)
        if (plan->tiers[i].home && plan->tiers[i].holds == ES_HOLDS_NOTHING)
            return "home holds nothing: what is not kept is lost, and cannot be fetched";
    return NULL;
}

/* ---- the report ---- */

static void bounds_null(es_json *out, es_json *reasons, const char *name, const char *why)
{
    cJSON_AddNullToObject(out, name);
    es_json_add_text(reasons, name, why);
}

static void bounds_add_belady(const es_plan *plan, const es_progress *progress, es_json *out, es_json *reasons, es_arena *arena)
{
    es_err err = {0};
    bounds_found found = {.hits = -1.0};
    if (bounds_why_no_belady(plan)) {
        bounds_null(out, reasons, "belady_hits", bounds_why_no_belady(plan));
        return;
    }
    int64_t smallest = bounds_smallest(plan);
    es_code code = bounds_belady(plan, smallest, progress, &found, arena, &err);
    const char *why = code ? err.text : found.hits < 0 ? "the observer summary reports no hits" : NULL;
    if (smallest)
        bounds_null(out, reasons, "belady_hits", "experts differ in size: Belady is not optimal then; see belady_uniform_hits");
    const char *name = smallest ? "belady_uniform_hits" : "belady_hits";
    if (why)
        bounds_null(out, reasons, name, why);
    else
        es_json_add_int(out, name, (int64_t)found.hits);
    const char *decode = smallest ? "belady_uniform_decode_hits" : "belady_decode_hits";
    if (!why && found.decode_hits >= 0)
        es_json_add_int(out, decode, (int64_t)found.decode_hits);
}

static void bounds_add_time(const es_plan *plan, const es_policy *policy, const char *name, const es_progress *progress, es_json *out, es_json *reasons, es_arena *arena)
{
    es_err err = {0};
    bounds_found found = {0};
    const char *why = !plan->timed ? "clock is none" : policy == &bounds_never_policy ? bounds_why_no_never(plan) : NULL;
    if (why)
        bounds_null(out, reasons, name, why);
    else if (bounds_timed(plan, policy, progress, &found, arena, &err) != ES_OK)
        bounds_null(out, reasons, name, err.text);
    else
        es_json_add_real(out, name, found.total_s);
}

/* What the best could be, from both sides. */
static void bounds_add_bracket(const es_plan *plan, es_json *out, es_json *reasons)
{
    es_err err = {0};
    es_bracket bracket = {0};
    if (!plan->timed || es_bracket_find(&bracket, plan, &err) != ES_OK)
        bracket.no_bound = bracket.no_schedule = plan->timed ? err.text : "clock is none";
    if (bracket.no_bound)
        bounds_null(out, reasons, "lower_bound_s", bracket.no_bound);
    else
        es_json_add_real(out, "lower_bound_s", (double)bracket.bound.total_ns / 1e9);
    if (bracket.no_schedule)
        bounds_null(out, reasons, "clairvoyant_s", bracket.no_schedule);
    else
        es_json_add_real(out, "clairvoyant_s", (double)bracket.least_ns / 1e9);
}

es_code es_bounds_add(const es_plan *plan, bool on, const char *why_off, const es_progress *progress, es_json *out, es_err *err)
{
    static const char *const names[] = {"belady_hits", "never_cache_s", "all_resident_s", "lower_bound_s", "clairvoyant_s"};
    es_json *bounds = es_json_add_object(out, "bounds"), *reasons = cJSON_CreateObject();
    es_arena arena = {0};
    if (!bounds || !reasons) {
        cJSON_Delete(reasons);
        return es_err_nomem(err, "the bounds");
    }
    if (on) {
        bounds_add_belady(plan, progress, bounds, reasons, &arena);
        bounds_add_time(plan, &bounds_never_policy, "never_cache_s", progress, bounds, reasons, &arena);
        bounds_add_time(plan, &bounds_all_policy, "all_resident_s", progress, bounds, reasons, &arena);
        bounds_add_bracket(plan, bounds, reasons);
    } else {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++)
            bounds_null(bounds, reasons, names[i], why_off);
    }
    es_arena_free(&arena);
    if (reasons->child && cJSON_AddItemToObject(bounds, "reason", reasons))
        return ES_OK;
    cJSON_Delete(reasons);
    return ES_OK;
}
