/* Results of many capacities from one pass over the trace. See sweep.h, sweep_once.c.
 *
 *   1. The smallest and the largest point are run as all others would be.
 *   2. The events of the trace are decoded once; a curve (sim/curve) says the hits of every capacity, and for LRU a stack says how many events hit
 *      all or none of what they want.
 *   3. Everything that follows is set into a copy of the largest point's report. What a curve does not tell is taken out of it.
 *   4. Made so, the two points that were run must be what their runs said, number for number; otherwise nothing of this is used.
 *
 * A capacity that the widest event does not fit into is run too: there it depends on the order within events. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/curve/belady.h"
#include "sim/curve/lru.h"
#include "sim/curve/stack.h"
#include "sim/part/prefill.h"
#include "sim/study/result.h"
#include "sim/study/sweep_inside.h"

typedef struct curve_point {
    size_t point;               /* of the sweep */
    uint64_t slots;
    bool run;                   /* is run by itself */
    uint32_t at;                /* in the curve */
} curve_point;

typedef struct curve_work {
    const es_sweep *sweep;
    const es_sweep_keep *keep;
    const es_source *source;    /* decoded by the caller; NULL: opened here */
    void *state;
    es_config *config;          /* of the largest point, whose plan says what is common */
    const es_plan *plan;
    const char *tier;
    bool lru;
    int64_t bytes;              /* of an expert */
    curve_point *point;
    size_t count;
    es_json *sample;            /* the largest point's report */
    es_arena arena;
    es_events events;
    es_curve curve;
    uint64_t distinct, decode_events;
    uint64_t *perfect, *some;   /* [sizes] decode events that hit all; that hit something */
} curve_work;

/* ---- what the points are ---- */

static bool curve_slots(const curve_work *w, const es_json *config, uint64_t *slots)
{
    const es_json *tier = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(config, "tiers"), w->tier);
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tier, "capacity"));
    char *end;
    double value = text ? strtod(text, &end) : 0.0, bytes;
    if (!text)
        return false;
    if (strcmp(end, "slots") == 0)
        *slots = (uint64_t)value;
    else if (strcmp(end, "%") == 0)         /* as sim/core/topology.c has it */
        *slots = (uint64_t)(value / 100.0 * (double)w->events.spaces * (double)w->events.experts + 1e-9);
    else if (es_text_quantity(text, ES_UNIT_BYTES, &bytes, NULL) == ES_OK && w->bytes > 0)
        *slots = (uint64_t)((int64_t)bytes / w->bytes);
    else
        return false;
    return true;
}

static int curve_order(const void *a, const void *b)
{
    const curve_point *x = a, *y = b;
    if (x->slots != y->slots)
        return x->slots < y->slots ? -1 : 1;
    return x->point < y->point ? -1 : x->point > y->point;
}

/* Bytes of an expert when all weigh the same; 0: they do not, or nobody says. */
static int64_t curve_bytes(const es_plan *plan, uint32_t layers)
{
    for (uint32_t i = 1; plan->expert_bytes && i < layers; i++)
        if (plan->expert_bytes[i] != plan->expert_bytes[0])
            return -1;
    return plan->expert_bytes && layers ? plan->expert_bytes[0] : 0;
}

static es_code curve_points(curve_work *w, const size_t *points, es_err *err)
{
    es_code code = ES_OK;
    w->point = ES_NEW_ARRAY(&w->arena, w->count, curve_point);
    if (!w->point)
        return es_err_nomem(err, "the points");
    for (size_t i = 0; i < w->count && code == ES_OK; i++) {
        es_config *config = NULL;
        code = es_sweep_config(w->sweep, es_sweep_at(w->sweep, points[i]), &config, err);
        w->point[i].point = points[i];
        if (code == ES_OK && !curve_slots(w, es_config_resolved(config), &w->point[i].slots))
            code = es_err_set(err, ES_ECHECK, "a capacity that is no number of slots");
        es_config_free(config);
    }
    qsort(w->point, w->count, sizeof *w->point, curve_order);
    for (size_t i = 0; i < w->count; i++)
        w->point[i].run = w->point[i].slots < w->events.widest || w->point[i].slots == 0;
    return code;
}

/* ---- runs ---- */

static es_code curve_run(curve_work *w, size_t point, es_json **report, es_err *err)
{
    es_config *config = NULL;
    es_run *run = NULL;
    es_json *result = NULL;
    es_code code = es_sweep_config(w->sweep, es_sweep_at(w->sweep, point), &config, err);
    if (code == ES_OK && w->source) {
        code = w->source->rewind(w->state, err);
        es_config_lend(config, w->source, w->state);
    }
    if (code == ES_OK)
        code = es_result_run(config, NULL, &run, &result, err);
    char *text = code == ES_OK && report ? es_json_text(result) : NULL;
    if (code == ES_OK && report)        /* as it would be read back: whole numbers and others alike */
        code = text ? es_json_parse(report, text, strlen(text), err) : es_err_nomem(err, "a result");
    free(text);
    if (code == ES_OK)
        code = w->keep->keep(w->keep->self, point, result, run, err);
    es_run_free(run);
    cJSON_Delete(result);
    es_config_free(config);
    return code;
}

/* ---- the pass ---- */

/* Decode events by the least capacity that holds all, and anything, of what they want. */
static es_code curve_coverage(curve_work *w, es_err *err)
{
    const es_events *e = &w->events;
    es_stack stack;
    const uint32_t never = e->objects + 1;
    uint64_t *all = ES_NEW_ARRAY(&w->arena, (size_t)never + 1, uint64_t), *some = ES_NEW_ARRAY(&w->arena, (size_t)never + 1, uint64_t);
    if (!all || !some || !es_stack_init(&stack, e->objects, (uint64_t)e->experts * e->spaces, &w->arena))
        return es_err_nomem(err, "a stack");
    const bool flat = stack.block == NULL;
    for (uint32_t i = 0; i < e->count; i++) {
        const uint32_t n = es_events_width(e, i), base = es_events_base(e, i);
        uint32_t least = never, most = 0;
        if (!es_stack_has_room(&stack, n))
            es_stack_renew(&stack);
        for (uint32_t k = 0; k < n; k++) {
            const uint32_t depth = es_stack_depth(&stack, base + e->id[e->begin[i] + k], flat);
            least = depth < least ? depth : least;
            most = depth > most ? depth : most;
            w->distinct += depth == never;
        }
        if (e->flags[i] & ES_EVENT_DECODE) {
            w->decode_events++;
            all[most]++;
            some[least]++;
        }
        es_stack_use(&stack, e->touch + e->begin[i], n, base, flat);
    }
    for (uint32_t i = 0, depth = 0; i < w->curve.sizes; i++) {
        w->perfect[i] = i ? w->perfect[i - 1] : 0;
        w->some[i] = i ? w->some[i - 1] : 0;
        for (; depth <= e->objects && depth <= w->curve.capacity[i]; depth++) {
            w->perfect[i] += all[depth];
            w->some[i] += some[depth];
        }
    }
    return ES_OK;
}

static es_code curve_pass(curve_work *w, es_err *err)
{
    uint64_t *capacity = ES_NEW_ARRAY(&w->arena, w->count + 1, uint64_t);
    uint32_t sizes = 0, *next = NULL;
    if (!capacity)
        return es_err_nomem(err, "a curve");
    for (size_t i = 0; i < w->count; i++) {
        if (w->point[i].run)
            continue;
        if (sizes == 0 || capacity[sizes - 1] != w->point[i].slots)
            capacity[sizes++] = w->point[i].slots;
        w->point[i].at = sizes - 1;
    }
    if (sizes == 0)
        return es_err_set(err, ES_ECHECK, "no capacity holds the widest event");
    const es_curve_ask ask = {.rule = ES_CURVE_WAVES, .capacity = capacity, .sizes = sizes};
    w->perfect = ES_NEW_ARRAY(&w->arena, sizes, uint64_t);
    w->some = ES_NEW_ARRAY(&w->arena, sizes, uint64_t);
    if (!w->perfect || !w->some)
        return es_err_nomem(err, "a curve");
    if (w->lru) {
        es_code code = es_curve_lru(&w->events, &ask, &w->curve, &w->arena, err);
        return code ? code : curve_coverage(w, err);
    }
    es_code code = es_next_use(&w->events, false, &next, &w->arena, err);
    if (code == ES_OK)
        code = es_belady(&w->events, next, &ask, false, &w->curve, NULL, &w->arena, err);
    return code ? code : curve_coverage(w, err);
}

/* ---- the report of a capacity ---- */

static void curve_set(es_json *report, const char *object, const char *key, double value)
{
    es_json *of = es_json_at(report, object), *old = cJSON_GetObjectItemCaseSensitive(of, key);
    if (!old || cJSON_IsNull(old))
        return;                     /* what is not known for one is not known for all: bytes, say */
    es_json *fresh = isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull();
    if (!fresh || !cJSON_ReplaceItemInObjectCaseSensitive(of, key, fresh))
        cJSON_Delete(fresh);
}

static void curve_phase(es_json *report, const char *object, double lookups, double hits)
{
    curve_set(report, object, "hits", hits);
    curve_set(report, object, "misses", lookups - hits);
    curve_set(report, object, "hit_rate", hits / lookups);
}

static void curve_cut(es_json *report, const char *object, const char *const *keys)
{
    es_json *of = es_json_at(report, object);
    for (; *keys; keys++)
        cJSON_DeleteItemFromObjectCaseSensitive(of, *keys);
}

static void curve_cache(const curve_work *w, es_json *report, const curve_point *p)
{
    const double lookups = (double)w->curve.accesses, hits = (double)w->curve.hits[p->at], misses = lookups - hits;
    const double decode_lookups = (double)w->curve.decode_accesses, decode_hits = (double)w->curve.decode_hits[p->at];
    const double held = p->slots < w->distinct ? (double)p->slots : (double)w->distinct, bytes = (double)w->bytes;
    curve_phase(report, "cache", lookups, hits);
    curve_phase(report, "cache.decode", decode_lookups, decode_hits);
    curve_phase(report, "cache.prefill", lookups - decode_lookups, hits - decode_hits);
    curve_set(report, "cache", "headline_hit_rate", decode_lookups > 0.0 ? decode_hits / decode_lookups : hits / lookups);
    curve_set(report, "cache", "hits_resident", hits);
    curve_set(report, "cache", "misses_compulsory", (double)w->distinct);
    curve_set(report, "cache", "misses_capacity", misses - (double)w->distinct);
    curve_set(report, "cache", "fetched_bytes", misses * bytes);
    curve_set(report, "cache", "decode_fetched_bytes", (decode_lookups - decode_hits) * bytes);
    curve_set(report, "cache", "insertions", misses);
    curve_set(report, "cache", "evictions", misses - held);
    curve_set(report, "capacity", "residents", held);
    const char *counts = cJSON_GetStringValue(es_json_at(report, "capacity.counts"));
    const bool in_bytes = counts && strcmp(counts, "bytes") == 0;
    curve_set(report, "capacity", "peak", in_bytes ? held * bytes : held);
}

/* `room`: capacity.slots_or_bytes, as the config says it. */
static es_json *curve_report(const curve_work *w, const curve_point *p, double room)
{
    static const char *const cache[] = {"warm", NULL}, *const coverage[] = {"mean", "token", NULL}, *const unknown[] = {"perfect", "partial", "zero", "mean", "token", NULL},
        *const capacity[] = {"turnover_per_token", "resident_age_steps", "beyond_population", NULL}, *const traffic[] = {"bytes_per_decode_token", NULL}, *const whole[] = {"tiers", NULL};
    es_json *report = cJSON_Duplicate(w->sample, true);
    if (!report)
        return NULL;
    curve_cache(w, report, p);
    curve_set(report, "capacity", "slots_or_bytes", room);
    curve_set(report, "coverage", "perfect", (double)w->perfect[p->at]);
    curve_set(report, "coverage", "zero", (double)(w->decode_events - w->some[p->at]));
    curve_set(report, "coverage", "partial", (double)(w->some[p->at] - w->perfect[p->at]));
    curve_cut(report, "cache", cache);
    curve_cut(report, "coverage", w->lru ? coverage : unknown);
    curve_cut(report, "capacity", capacity);
    curve_cut(report, "traffic", traffic);
    for (const char *const *key = whole; *key; key++)
        cJSON_DeleteItemFromObjectCaseSensitive(report, *key);
    es_json_add_bool(report, "one_pass", true);
    return report;
}

/* The config of this point, as a run of it would be told. */
static es_code curve_provenance(es_json *report, const es_config *config, es_err *err)
{
    es_json *of = cJSON_GetObjectItemCaseSensitive(report, "provenance");
    es_json *resolved = cJSON_Duplicate(es_config_resolved(config), true), *input = cJSON_Duplicate(es_config_input(config), true);
    char hex[65];
    es_code code = resolved && input ? es_result_config_sha256(resolved, hex, err) : es_err_nomem(err, "a result");
    if (code == ES_OK && cJSON_ReplaceItemInObjectCaseSensitive(of, "config", resolved))
        resolved = NULL;
    if (code == ES_OK && cJSON_ReplaceItemInObjectCaseSensitive(of, "input", input))
        input = NULL;
    es_json *text = code == ES_OK ? cJSON_CreateString(hex) : NULL;
    if (text && !cJSON_ReplaceItemInObjectCaseSensitive(of, "config_sha256", text))
        cJSON_Delete(text);
    const bool whole = code != ES_OK || (!resolved && !input && text);
    cJSON_Delete(resolved);
    cJSON_Delete(input);
    return whole ? code : es_err_nomem(err, "a result");
}

/* ---- does it say what a run says? ---- */

/* All numbers that the first has are in the second, and the same. */
static bool curve_same(const es_json *made, const es_json *ran)
{
    for (const es_json *one = made->child; one; one = one->next) {
        const es_json *other = cJSON_GetObjectItemCaseSensitive(ran, one->string);
        if (strcmp(one->string, "one_pass") == 0)
            continue;
        if (!other || (cJSON_IsObject(one) ? !curve_same(one, other) : !cJSON_Compare(one, other, true)))
            return false;
    }
    return true;
}

static es_code curve_check(const curve_work *w, const curve_point *p, const es_json *ran, es_err *err)
{
    static const char *const sections[] = {"cache", "coverage", "capacity", "traffic", "time"};
    const es_json *room = es_json_at(ran, "capacity.slots_or_bytes");
    es_json *made = cJSON_IsNumber(room) ? curve_report(w, p, room->valuedouble) : NULL;
    bool same = made != NULL;
    for (size_t i = 0; i < sizeof sections / sizeof *sections && same; i++) {
        const es_json *mine = cJSON_GetObjectItemCaseSensitive(made, sections[i]), *other = cJSON_GetObjectItemCaseSensitive(ran, sections[i]);
        same = (!mine && !other) || (mine && other && (cJSON_IsNull(mine) ? cJSON_IsNull(other) : curve_same(mine, other)));
    }
    cJSON_Delete(made);
    return same ? ES_OK : es_err_set(err, ES_ECHECK, "a curve says otherwise than the run of %llu slots", (unsigned long long)p->slots);
}

/* ---- all of it ---- */

static es_code curve_open(curve_work *w, size_t point, es_err *err)
{
    es_events_ask mine = {0};
    es_code code = es_sweep_config(w->sweep, es_sweep_at(w->sweep, point), &w->config, err);
    if (code == ES_OK && w->source)
        es_config_lend(w->config, w->source, w->state);
    if (code == ES_OK)
        code = es_config_plan(w->config, &w->plan, err);
    if (code == ES_OK)
        code = es_prefill_read(&mine.prefill, w->plan->contract.prefill, err);
    if (code == ES_OK)
        code = es_events_read(&w->events, w->plan->source, w->plan->source_state, &mine, &w->arena, err);
    if (code)
        return code;
    const es_json *resolved = es_config_resolved(w->config);
    w->tier = sweep_once_tier(resolved);
    w->lru = strcmp(es_json_at(resolved, "policy.name")->valuestring, "lru") == 0;
    w->bytes = curve_bytes(w->plan, w->events.layers);
    return w->bytes < 0 || w->plan->source->info(w->plan->source_state)->has_training ? es_err_set(err, ES_ECHECK, "experts differ in size, or steps train") : ES_OK;
}

static double curve_room(const curve_work *w, const es_config *config, const curve_point *p)
{
    const es_json *tier = cJSON_GetObjectItemCaseSensitive(es_json_at(es_config_resolved(config), "tiers"), w->tier);
    double bytes;
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(tier, "capacity"));
    return text && es_text_quantity(text, ES_UNIT_BYTES, &bytes, NULL) == ES_OK ? floor(bytes) : (double)p->slots;
}

static es_code curve_make(curve_work *w, const curve_point *p, es_err *err)
{
    es_config *config = NULL;
    es_json *report = NULL;
    es_code code = es_sweep_config(w->sweep, es_sweep_at(w->sweep, p->point), &config, err);
    if (code == ES_OK)
        code = (report = curve_report(w, p, curve_room(w, config, p))) ? curve_provenance(report, config, err) : es_err_nomem(err, "a result");
    if (code == ES_OK)
        code = w->keep->keep(w->keep->self, p->point, report, NULL, err);
    cJSON_Delete(report);
    es_config_free(config);
    return code;
}

static es_code curve_ends(curve_work *w, size_t *first, size_t *last, es_err *err)
{
    es_json *low = NULL;
    for (*first = 0; w->point[*first].run; ++*first) {
    }
    *last = w->count - 1;
    es_code code = curve_run(w, w->point[*last].point, &w->sample, err);
    if (code == ES_OK && *first < *last)
        code = curve_run(w, w->point[*first].point, &low, err);
    if (code == ES_OK)
        code = curve_check(w, &w->point[*last], w->sample, err);
    if (code == ES_OK && low)
        code = curve_check(w, &w->point[*first], low, err);
    cJSON_Delete(low);
    return code;
}

static es_code curve_all(curve_work *w, const size_t *points, es_err *err)
{
    size_t first, last;
    es_code code = curve_open(w, points[0], err);
    if (code == ES_OK)
        code = curve_points(w, points, err);
    if (code == ES_OK)
        code = curve_pass(w, err);
    if (code == ES_OK)
        code = curve_ends(w, &first, &last, err);
    for (size_t i = 0; i < w->count && code == ES_OK; i++) {
        if (w->point[i].run)
            code = curve_run(w, w->point[i].point, NULL, err);
        else if (i != first && i != last)
            code = curve_make(w, &w->point[i], err);
    }
    return code;
}

es_code es_sweep_once(const es_sweep *sweep, const size_t *points, size_t count, const es_source *source, void *state, const es_sweep_keep *keep, es_err *err)
{
    curve_work w = {.sweep = sweep, .keep = keep, .source = source, .state = state, .count = count};
    es_code code = curve_all(&w, points, err);
    cJSON_Delete(w.sample);
    es_config_free(w.config);
    es_arena_free(&w.arena);
    return code;
}
