/* Verdict: see verdict.h. What verdict_runs.c has run beside curves and bounds, and all of it as JSON. */
#include "sim/study/verdict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/text.h"
#include "sim/curve/belady.h"
#include "sim/curve/lru.h"
#include "sim/curve/split.h"
#include "sim/curve/statistics.h"
#include "sim/study/bounds.h"
#include "sim/study/curves.h"
#include "sim/study/verdict_inside.h"

/* ---- curves ---- */

static const char *verdict_why_no_curves(const verdict_work *w)
{
    return w->routes           ? "the router decides by what is resident"
        : w->v.capacity == 0   ? "no tier serves within a capacity"
        : w->events.count == 0 ? "nothing is looked up"
        : w->levels > 1        ? "several tiers serve"
        : w->placed            ? "its allocator divides the capacity"
                               : es_curves_none(w->plan);
}

/* Each layer's curve at the capacity of its own cache. */
static double verdict_rate(const es_curve *curves, uint32_t count, const uint64_t *room)
{
    uint64_t hits = 0, accesses = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t size = 0;
        while (curves[i].capacity[size] != room[i])
            size++;
        hits += curves[i].hits[size];
        accesses += curves[i].accesses;
    }
    return accesses ? (double)hits / (double)accesses : (double)NAN;
}

static int verdict_order(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The capacities of all caches, as they are and with one GiB more, each once, ascending. */
static es_code verdict_capacities(verdict_work *w, es_curve_ask *ask, const uint64_t *room, const uint64_t *room_more, uint32_t count, es_err *err)
{
    uint64_t *all = ES_NEW_ARRAY(&w->arena, 2 * (size_t)count, uint64_t);
    if (!all)
        return es_err_nomem(err, "a verdict");
    memcpy(all, room, count * sizeof *all);
    memcpy(all + count, room_more, count * sizeof *all);
    qsort(all, 2 * (size_t)count, sizeof *all, verdict_order);
    ask->capacity = all;
    for (uint32_t i = 0; i < 2 * count; i++)
        if (ask->sizes == 0 || all[i] != all[ask->sizes - 1])
            all[ask->sizes++] = all[i];
    if (all[0] == 0)
        w->v.no_curves = "a layer has less than one unit of capacity";
    return ES_OK;
}

/* LRU and Belady at the size that is, and with one GiB more. */
static es_code verdict_two_sizes(verdict_work *w, const es_curve_ask *form, es_err *err)
{
    verdict *v = &w->v;
    const bool more = v->mores > 0 && !v->more[0].why;
    const uint64_t *room = v->now.room, *room_more = more ? v->more[0].ran.room : room;
    es_curve_ask ask = *form;
    const uint32_t count = es_curve_count(&w->events, &ask);
    es_curve *curves = ES_NEW_ARRAY(&w->arena, count, es_curve);
    uint32_t *next = NULL;
    es_code code = curves ? verdict_capacities(w, &ask, room, room_more, count, err) : es_err_nomem(err, "a verdict");
    if (code || v->no_curves)
        return code;
    code = es_curve_lru(&w->events, &ask, curves, &w->arena, err);
    if (code)
        return code;
    v->lru = verdict_rate(curves, count, room);
    v->lru_more = more ? verdict_rate(curves, count, room_more) : (double)NAN;
    code = es_next_use(&w->events, es_curve_serial(&ask), &next, &w->arena, err);
    if (code == ES_OK)
        code = es_belady(&w->events, next, &ask, true, curves, NULL, &w->arena, err);
    if (code)
        return code;
    v->belady = verdict_rate(curves, count, room);
    v->belady_more = more ? verdict_rate(curves, count, room_more) : (double)NAN;
    return ES_OK;
}

/* The best division in which each layer gets a slot or more, or no run could have it: what further slots add to the first one is divided. */
static es_code verdict_divide(verdict_work *w, const es_curve *curves, uint64_t total, es_split *split, es_err *err)
{
    const uint32_t layers = w->events.layers, further = curves[0].sizes - 1;
    es_curve *rest = ES_NEW_ARRAY(&w->arena, layers, es_curve);
    uint64_t *hits = ES_NEW_ARRAY(&w->arena, (size_t)layers * further, uint64_t);
    uint32_t *slots = ES_NEW_ARRAY(&w->arena, layers, uint32_t);
    uint64_t first = 0;
    if (!rest || !hits || !slots)
        return es_err_nomem(err, "a verdict");
    for (uint32_t l = 0; l < layers; l++, hits += further) {
        for (uint32_t s = 0; s < further; s++)
            hits[s] = curves[l].hits[s + 1] > curves[l].hits[0] ? curves[l].hits[s + 1] - curves[l].hits[0] : 0;
        rest[l] = (es_curve){.sizes = further, .capacity = curves[l].capacity, .hits = hits};
        first += curves[l].hits[0];
    }
    es_code code = further ? es_split_slots(rest, layers, total - layers, false, split, &w->arena, err) : ES_OK;
    for (uint32_t l = 0; l < layers && code == ES_OK; l++)
        slots[l] = 1 + (further ? split->slots[l] : 0);
    split->best += first;
    split->slots = slots;
    return code;
}

/* Hits when each layer gets the same, what is left over going to the first. */
static uint64_t verdict_equal(const es_curve *curves, uint32_t layers, uint64_t total)
{
    uint64_t hits = 0;
    for (uint32_t l = 0; l < layers; l++) {
        const uint64_t slots = total / layers + (l < total % layers);
        hits += curves[l].hits[(slots < curves[l].sizes ? slots : curves[l].sizes) - 1];
    }
    return hits;
}

/* The capacity divided over layers, each with an LRU cache of its own. */
static es_code verdict_split(verdict_work *w, const es_curve_ask *form, es_err *err)
{
    verdict *v = &w->v;
    uint64_t total = 0;
    for (uint32_t b = 0; b < (v->per_layer ? w->events.layers : 1); b++)
        total += v->now.room[b];
    total /= (uint64_t)w->unit[0];
    v->no_split = v->unequal ? "experts differ in size" : w->events.spaces == 1 ? "all layers use the same experts"
        : total < w->events.layers ? "there is less than a slot for each layer" : NULL;
    if (v->no_split)
        return ES_OK;
    es_curve_ask ask = *form;
    ask.per_layer = true;
    ask.bytes = NULL;
    es_curve *curves = ES_NEW_ARRAY(&w->arena, w->events.layers, es_curve);
    es_split best = {0};
    es_code code = curves ? es_curve_lru(&w->events, &ask, curves, &w->arena, err) : es_err_nomem(err, "a verdict");
    if (code == ES_OK)
        code = verdict_divide(w, curves, total, &best, err);
    if (code)
        return code;
    const double accesses = w->events.accesses ? (double)w->events.accesses : (double)NAN;
    v->split_equal = (double)verdict_equal(curves, w->events.layers, total) / accesses;
    v->split_best = (double)best.best / accesses;
    v->split = best.slots;
    v->split_total = total;
    return ES_OK;
}

static es_code verdict_curves(verdict_work *w, es_err *err)
{
    verdict *v = &w->v;
    for (uint32_t i = 1; i < w->events.layers; i++)
        v->unequal = v->unequal || w->unit[i] != w->unit[0];
    es_curve_ask ask = es_curves_ask(w->plan);
    ask.bytes = v->in_bytes ? w->unit : NULL;
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
    v->demand = w->routes ? (double)NAN : statistics.demand > 0.0 ? statistics.demand : w->events.count ? (double)w->events.lookups / w->events.count : (double)NAN;
    v->cycle = w->routes ? (double)NAN : statistics.cycle;
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
    es_code code = es_bracket_find(&v->bracket, w->plan, &w->events, w->progress, err);
    v->no_bracket = v->bracket.no_bound ? v->bracket.no_bound : v->bracket.no_schedule;
    v->clairvoyant_s = fmin(verdict_seconds(v->bracket.least_ns), v->now.total_s);      /* who knows the future could also do as the run did */
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
    es_json_add_real(time, "clairvoyant_s", none ? (double)NAN : v->clairvoyant_s);
    es_json_add_real(time, "compute_s", none ? (double)NAN : verdict_seconds(v->bracket.bound.compute_ns));
    es_json_add_real(time, "link_s", none ? (double)NAN : verdict_seconds(v->bracket.bound.link_ns));
    es_json_add_text(time, "link_from", v->bracket.from);
    es_json_add_text(time, "link_to", v->bracket.to);
    es_json_add_real(time, "gap", none ? (double)NAN : 1.0 - v->clairvoyant_s / v->now.total_s);
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

static void verdict_add_ran(const verdict_more *more, es_json *out)
{
    const bool none = more->why != NULL;
    es_json_add_text(out, "tier", more->tier);
    if (none)
        cJSON_AddNullToObject(out, "capacity");
    else
        es_json_add_int(out, "capacity", more->capacity);
    es_json_add_real(out, "hit_rate", none ? (double)NAN : more->ran.hit_rate);
    es_json_add_real(out, "total_s", none ? (double)NAN : more->ran.total_s);
    es_json_add_real(out, "tokens_per_s", none ? (double)NAN : more->ran.tokens_per_s);
    verdict_reason(out, more->why);
}

/* One more GiB where it serves, and in each of the other tiers. */
static void verdict_add_more(const verdict *v, es_json *out)
{
    es_json *more = es_json_add_object(out, "one_more_gib");
    if (v->mores == 0) {
        verdict_add_ran(&(verdict_more){.why = v->no_more}, more);
        return;
    }
    const bool curves = !v->more[0].why && !v->no_curves;
    verdict_add_ran(&v->more[0], more);
    es_json_add_real(more, "lru", curves ? v->lru_more : (double)NAN);
    es_json_add_real(more, v->unequal ? "belady_uniform" : "belady", curves ? v->belady_more : (double)NAN);
    es_json *others = es_json_add_array(more, "others");
    for (uint32_t i = 1; i < v->mores; i++) {
        es_json *one = cJSON_CreateObject();
        verdict_add_ran(&v->more[i], one);
        cJSON_AddItemToArray(others, one);
    }
}

static void verdict_add_size(const verdict *v, es_json *out)
{
    es_json *size = es_json_add_object(out, "size");
    es_json_add_int(size, "capacity", v->capacity);
    es_json_add_text(size, "counts", v->in_bytes ? "bytes" : "slots");
    es_json_add_real(size, "slots", v->slots);
    es_json_add_real(size, "demand", v->demand);
    es_json_add_real(size, "ratio", v->slots / v->demand);
    es_json_add_real(size, "cycle", v->cycle);
    verdict_add_more(v, out);
}

static void verdict_add_split(const verdict *v, es_json *out)
{
    es_json *split = es_json_add_object(out, "layer_split");
    const char *why = v->no_curves ? v->no_curves : v->no_split;
    es_json_add_real(split, "equal", why ? (double)NAN : v->split_equal);
    es_json_add_real(split, "best", why ? (double)NAN : v->split_best);
    es_json_add_int(split, "total", why ? 0 : (int64_t)v->split_total);
    es_json *slots = why ? NULL : es_json_add_array(split, "slots");
    for (uint32_t i = 0; slots && i < v->layers; i++)
        cJSON_AddItemToArray(slots, cJSON_CreateNumber(v->split[i]));
    const bool ran = !v->no_divided;
    es_json_add_real(split, "hit_rate", ran ? v->divided.hit_rate : (double)NAN);
    es_json_add_real(split, "total_s", ran ? v->divided.total_s : (double)NAN);
    es_json_add_real(split, "tokens_per_s", ran ? v->divided.tokens_per_s : (double)NAN);
    verdict_reason(split, v->no_divided);
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
        code = verdict_run_now(w, &plan, err);
    if (code == ES_OK)
        code = es_curves_events(w->plan, &w->events, &w->arena, err);
    if (code == ES_OK)
        code = verdict_demand(w, err);
    if (code == ES_OK)
        code = verdict_run_more(w, &plan, err);
    if (code == ES_OK && !(v->no_curves = verdict_why_no_curves(w)))
        code = verdict_curves(w, err);
    if (code == ES_OK)
        code = verdict_run_divided(w, &plan, err);
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
