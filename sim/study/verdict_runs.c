/* The verdict's own runs: see verdict_inside.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/text.h"
#include "sim/part/allocator.h"
#include "sim/study/verdict_inside.h"

#define VERDICT_GIB ((int64_t)1 << 30)

static double verdict_number(const es_json *report, const char *path)
{
    const es_json *value = es_json_at(report, path);
    return cJSON_IsNumber(value) ? value->valuedouble : (double)NAN;
}

size_t verdict_serving(const es_plan *plan)
{
    for (size_t i = 0; i < plan->tier_count; i++)
        if (plan->tiers[i].compute && !plan->tiers[i].home)
            return i;
    return plan->tier_count;
}

/* ---- one run ---- */

/* What the machine is, as its first run says. */
static es_code verdict_facts(verdict_work *w, const es_run *run, const es_json *report, es_err *err)
{
    verdict *v = &w->v;
    const es_view *view = es_run_view(run);
    const es_json *counts = es_json_at(report, "capacity.counts");
    const double capacity = verdict_number(report, "capacity.slots_or_bytes");
    int64_t *unit = ES_NEW_ARRAY(&w->arena, view->layers, int64_t);
    if (!unit)
        return es_err_nomem(err, "a verdict");
    v->in_bytes = cJSON_IsString(counts) && strcmp(counts->valuestring, "bytes") == 0;
    v->capacity = capacity > 0.0 ? (int64_t)capacity : 0;
    for (uint32_t l = 0; l < view->layers; l++)
        unit[l] = view->tier[view->serving].unit[es_layer_base(view, l) >> 6];
    for (uint32_t i = 0; i < view->words; i++)
        w->largest = view->bytes[i] > w->largest ? view->bytes[i] : w->largest;
    for (uint32_t t = 0; t < view->tiers; t++)
        w->levels += view->tier[t].serving;
    v->tier = w->levels == 1 ? w->plan->tiers[view->serving].name : NULL;
    w->unit = unit;
    w->population = (uint64_t)view->spaces * view->population;
    v->everything = capacity >= verdict_number(report, v->in_bytes ? "capacity.population_bytes" : "capacity.objects");
    w->routes = es_run_closed_loop(run);
    return ES_OK;
}

static es_code verdict_read(verdict_work *w, const es_run *run, const es_json *report, verdict_ran *ran, es_err *err)
{
    const es_view *view = es_run_view(run);
    const uint32_t buckets = view->per_layer ? view->layers : 1;
    uint64_t *room = ES_NEW_ARRAY(&w->arena, buckets, uint64_t);
    if (!room)
        return es_err_nomem(err, "a verdict");
    memcpy(room, view->bucket_room + view->tier[view->serving].first_bucket, buckets * sizeof *room);
    *ran = (verdict_ran){.hit_rate = verdict_number(report, "cache.hit_rate"), .total_s = verdict_number(report, "time.total_s"),
        .stall_s = verdict_number(report, "time.stall_s"), .tokens_per_s = verdict_number(report, "time.tokens_per_s"), .room = room};
    return ES_OK;
}

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
    if (code == ES_OK)
        code = verdict_read(w, run, report, ran, err);
    if (code == ES_OK && facts)
        code = verdict_facts(w, run, report, err);
    es_run_free(run);
    cJSON_Delete(report);
    return code;
}

es_code verdict_run_now(verdict_work *w, const es_plan *plan, es_err *err)
{
    const size_t serving = verdict_serving(plan);
    const es_allocator *allocator = serving < plan->tier_count ? (const es_allocator *)(const void *)plan->tiers[serving].allocator.part : NULL;
    w->placed = allocator && allocator->reserve;
    w->v.policy = plan->policy.part ? plan->policy.part->name : "none";
    return verdict_run(w, plan, &w->v.now, true, err);
}

/* ---- one more GiB ---- */

/* A tier's own capacity as the config gives it: in bytes, or, of the others, in slots. false: the text is neither. */
static bool verdict_capacity(const verdict_work *w, const char *text, int64_t *units, bool *bytes)
{
    char *end;
    const double number = strtod(text, &end);
    double value = 0.0;
    *bytes = false;
    *units = (int64_t)number;
    if (!strcmp(end, "slots"))
        return true;
    if (!strcmp(end, "%")) {
        *units = (int64_t)(number / 100.0 * (double)w->population + 1e-9);
        return true;
    }
    *bytes = true;
    if (es_text_quantity(text, ES_UNIT_BYTES, &value, NULL) != ES_OK)
        return false;
    *units = (int64_t)value;
    return true;
}

/* What the tier will have; why it will not. */
static const char *verdict_grown(const verdict_work *w, const es_plan_tier *tier, verdict_more *more)
{
    int64_t units = 0;
    bool bytes = false;
    if (cJSON_IsArray(w->plan->contract.quota) && w->v.per_layer)
        return "the quotas of the layers are given one by one";
    if (!verdict_capacity(w, tier->capacity, &units, &bytes))
        return "its capacity is no plain number";
    if (!bytes && !es_config_bytes_known(w->config))
        return "nobody says what an expert weighs";
    more->counts = bytes ? "bytes" : "slots";
    more->capacity = units + (bytes ? VERDICT_GIB : VERDICT_GIB / w->largest);
    return more->capacity == units ? "it is less than one expert" : NULL;
}

static es_code verdict_grow(verdict_work *w, const es_plan *plan, size_t t, verdict_more *more, es_err *err)
{
    *more = (verdict_more){.tier = plan->tiers[t].name};
    more->why = verdict_grown(w, &plan->tiers[t], more);
    if (more->why)
        return ES_OK;
    es_plan_tier *tiers = ES_NEW_ARRAY(&w->arena, plan->tier_count, es_plan_tier);
    char text[48];
    snprintf(text, sizeof text, "%lld%s", (long long)more->capacity, strcmp(more->counts, "bytes") == 0 ? "B" : "slots");
    es_plan bigger = *plan;
    const char *capacity = es_arena_text(&w->arena, text);
    if (!tiers || !capacity)
        return es_err_nomem(err, "a verdict");
    memcpy(tiers, plan->tiers, plan->tier_count * sizeof *tiers);
    tiers[t].capacity = capacity;
    bigger.tiers = tiers;
    return verdict_run(w, &bigger, &more->ran, false, err);
}

/* By time where there is one, else by hits. */
static bool verdict_wins(const verdict_more *a, const verdict_more *b)
{
    if (a->why || b->why)
        return !a->why;
    return isfinite(a->ran.total_s) ? a->ran.total_s < b->ran.total_s : a->ran.hit_rate > b->ran.hit_rate;
}

es_code verdict_run_more(verdict_work *w, const es_plan *plan, es_err *err)
{
    verdict *v = &w->v;
    const size_t serving = verdict_serving(plan);
    verdict_more *more = ES_NEW_ARRAY(&w->arena, plan->tier_count + 1, verdict_more);
    if (!more)
        return es_err_nomem(err, "a verdict");
    v->more = more;
    if (serving == plan->tier_count || v->capacity == 0) {
        v->no_more = "no tier serves within a capacity";
        return ES_OK;
    }
    es_code code = verdict_grow(w, plan, serving, &more[v->mores++], err);
    for (size_t t = 0; t < plan->tier_count && code == ES_OK; t++)
        if (!plan->tiers[t].home && t != serving)
            code = verdict_grow(w, plan, t, &more[v->mores++], err);
    for (uint32_t i = 1; i < v->mores; i++)
        if (verdict_wins(&more[i], &more[v->most]))
            v->most = i;
    v->no_more = more[v->most].why;
    return code;
}

/* ---- another division ---- */

static const char *verdict_undivided(const verdict_work *w, const es_plan *plan)
{
    uint32_t rooms = 0;
    for (size_t t = 0; t < plan->tier_count; t++)
        rooms += !plan->tiers[t].home;
    return w->v.no_curves ? w->v.no_curves
        : w->v.no_split   ? w->v.no_split
        : !w->v.per_layer ? "the layers share their room"
        : rooms > 1       ? "contract.quota goes for all tiers, and the best division is that of one"
                          : NULL;
}

es_code verdict_run_divided(verdict_work *w, const es_plan *plan, es_err *err)
{
    verdict *v = &w->v;
    v->no_divided = verdict_undivided(w, plan);
    if (v->no_divided)
        return ES_OK;
    es_plan divided = *plan;
    es_json *quota = cJSON_CreateArray();
    for (uint32_t l = 0; quota && l < v->layers; l++)
        cJSON_AddItemToArray(quota, cJSON_CreateNumber((double)v->split[l] * (double)w->unit[l]));
    divided.contract.quota = quota;
    es_code code = quota ? verdict_run(w, &divided, &v->divided, false, err) : es_err_nomem(err, "a verdict");
    cJSON_Delete(quota);
    return code;
}
