/* Results of many capacities from one pass over the trace. See sweep.h, sweep_once.c.
 *
 *   1. The largest point is run as all others would be; so are the smallest that holds the widest event, and the one below it.
 *   2. The events of the trace are decoded once; a curve (sim/curve) says the hits of every capacity, and how many events hit all or none of what
 *      they want: that of Belady by itself, for LRU a stack does, with what small.h knows of caches that an event does not fit into.
 *   3. Everything that follows is set into a copy of the largest point's report. What a curve does not tell is taken out of it.
 *   4. Made so, the points that were run must be what their runs said, number for number; otherwise nothing of this is used. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/curve/belady.h"
#include "sim/curve/lru.h"
#include "sim/curve/small.h"
#include "sim/curve/stack.h"
#include "sim/part/prefill.h"
#include "sim/study/result.h"
#include "sim/study/sweep_inside.h"

typedef struct curve_point {
    size_t point;               /* of the sweep */
    const char *capacity;       /* as the config has it */
    uint64_t slots;
    bool run;                   /* no cache: it is run by itself */
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
    es_json *report;            /* a copy of it, in which a point is told */
    es_arena arena;
    es_events events;
    es_curve curve;
    uint64_t distinct, decode_events;
    uint64_t *perfect, *some;   /* [sizes] decode events that hit all; that hit something */
    uint64_t *wider;            /* [sizes] events that do not fit */
} curve_work;

/* ---- what the points are ---- */

static bool curve_slots(const curve_work *w, const char *text, uint64_t *slots)
{
    char *end;
    const double value = strtod(text, &end);
    double bytes;
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

/* What a point's config has as capacity: mostly its axis says so, and nobody needs the config. */
static es_code curve_capacity(curve_work *w, const es_sweep_point *point, const char **text, es_err *err)
{
    *text = sweep_rooms_text(w->sweep, point, w->tier);
    if (*text)
        return ES_OK;
    es_config *config = NULL;
    es_code code = es_sweep_config(w->sweep, point, &config, err);
    const es_json *tiers = code == ES_OK ? cJSON_GetObjectItemCaseSensitive(es_config_resolved(config), "tiers") : NULL;
    const char *found = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(tiers, w->tier), "capacity"));
    if (code == ES_OK)
        *text = es_arena_text(&w->arena, found ? found : "");
    es_config_free(config);
    return code || *text ? code : es_err_nomem(err, "the points");
}

static es_code curve_points(curve_work *w, const size_t *points, es_err *err)
{
    es_code code = ES_OK;
    w->point = ES_NEW_ARRAY(&w->arena, w->count, curve_point);
    if (!w->point)
        return es_err_nomem(err, "the points");
    for (size_t i = 0; i < w->count && code == ES_OK; i++) {
        curve_point *p = &w->point[i];
        p->point = points[i];
        code = curve_capacity(w, es_sweep_at(w->sweep, points[i]), &p->capacity, err);
        if (code == ES_OK && !curve_slots(w, p->capacity, &p->slots))
            code = es_err_set(err, ES_ECHECK, "a capacity that is no number of slots");
    }
    qsort(w->point, w->count, sizeof *w->point, curve_order);
    for (size_t i = 0; i < w->count; i++)
        w->point[i].run = w->point[i].slots == 0;
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

typedef struct curve_cover {    /* what is counted on the way, by slots */
    es_stack stack;
    es_small small;
    uint32_t *depth;            /* [widest] of an event's objects */
    uint64_t *all, *some;       /* [objects + 2] decode events by the least capacity that holds all, anything, of what they want */
    int64_t *more;              /* [widest] of one event: hits that the stack does not know of, less those that are none */
    int64_t *all_more, *some_more;      /* [widest] events that this makes perfect; that it makes hit something */
    uint64_t *width;            /* [widest + 1] events */
} curve_cover;

static bool cover_new(curve_cover *c, curve_work *w)
{
    const es_events *e = &w->events;
    const size_t sizes = (size_t)e->objects + 2, widest = (size_t)e->widest + 1;
    c->all = ES_NEW_ARRAY(&w->arena, sizes, uint64_t);
    c->some = ES_NEW_ARRAY(&w->arena, sizes, uint64_t);
    c->depth = ES_NEW_ARRAY(&w->arena, widest, uint32_t);
    c->width = ES_NEW_ARRAY(&w->arena, widest, uint64_t);
    c->more = ES_NEW_ARRAY(&w->arena, widest, int64_t);
    c->all_more = ES_NEW_ARRAY(&w->arena, widest, int64_t);
    c->some_more = ES_NEW_ARRAY(&w->arena, widest, int64_t);
    return c->all && c->some && c->depth && c->width && c->more && c->all_more && c->some_more && es_stack_init(&c->stack, e->objects, (uint64_t)e->experts * e->spaces, &w->arena)
        && (e->widest < 2 || es_small_init(&c->small, e->widest - 1, e->experts, &w->arena));
}

static void cover_event(curve_cover *c, curve_work *w, uint32_t i)
{
    const es_events *e = &w->events;
    const uint32_t n = es_events_width(e, i), base = es_events_base(e, i), never = e->objects + 1;
    const bool decode = e->flags[i] & ES_EVENT_DECODE, flat = c->stack.block == NULL;
    uint32_t least = never, most = 0;
    if (!es_stack_has_room(&c->stack, n))
        es_stack_renew(&c->stack);
    for (uint32_t k = 0; k < n; k++) {
        const uint32_t depth = c->depth[k] = es_stack_depth(&c->stack, base + e->id[e->begin[i] + k], flat);
        least = depth < least ? depth : least;
        most = depth > most ? depth : most;
        w->distinct += depth == never;
    }
    if (e->widest > 1)
        es_small_event(&c->small, e, i, c->depth, c->more, NULL, 0);
    for (uint32_t slots = 1; slots < e->widest; slots++) {
        if (c->more[slots] == 0)
            continue;
        int64_t hits = c->more[slots];
        for (uint32_t k = 0; k < n; k++)
            hits += c->depth[k] <= slots;
        c->all_more[slots] += decode * ((hits == n) - (most <= slots));
        c->some_more[slots] += decode * ((hits > 0) - (least <= slots));
        c->more[slots] = 0;
    }
    c->width[n]++;
    w->decode_events += decode;
    c->all[most] += decode;
    c->some[least] += decode;
    es_stack_use(&c->stack, e->touch + e->begin[i], n, base, flat);
}

static es_code curve_coverage(curve_work *w, es_err *err)
{
    const es_events *e = &w->events;
    curve_cover c = {0};
    if (!cover_new(&c, w))
        return es_err_nomem(err, "a stack");
    for (uint32_t i = 0; i < e->count; i++)
        cover_event(&c, w, i);
    for (uint32_t i = 0, depth = 0; i < w->curve.sizes; i++) {
        const uint64_t slots = w->curve.capacity[i];
        w->perfect[i] = i ? w->perfect[i - 1] : 0;
        w->some[i] = i ? w->some[i - 1] : 0;
        for (; depth <= e->objects && depth <= slots; depth++) {
            w->perfect[i] += c.all[depth];
            w->some[i] += c.some[depth];
        }
        for (uint64_t n = slots + 1; n <= e->widest; n++)
            w->wider[i] += c.width[n];
    }
    for (uint32_t i = 0; i < w->curve.sizes && w->curve.capacity[i] < e->widest; i++) {     /* now that no sum goes on from them */
        w->perfect[i] += (uint64_t)c.all_more[w->curve.capacity[i]];
        w->some[i] += (uint64_t)c.some_more[w->curve.capacity[i]];
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
        return es_err_set(err, ES_ECHECK, "no capacity holds anything");
    const es_curve_ask ask = {.rule = ES_CURVE_WAVES, .capacity = capacity, .sizes = sizes, .cover = !w->lru};
    w->perfect = ES_NEW_ARRAY(&w->arena, sizes, uint64_t);
    w->some = ES_NEW_ARRAY(&w->arena, sizes, uint64_t);
    w->wider = ES_NEW_ARRAY(&w->arena, sizes, uint64_t);
    if (!w->perfect || !w->some || !w->wider)
        return es_err_nomem(err, "a curve");
    if (w->lru) {
        es_code code = es_curve_lru(&w->events, &ask, &w->curve, &w->arena, err);
        return code ? code : curve_coverage(w, err);
    }
    es_code code = es_next_use(&w->events, false, &next, &w->arena, err);
    if (code == ES_OK)
        code = es_belady(&w->events, next, &ask, false, &w->curve, NULL, &w->arena, err);
    if (code == ES_OK)
        code = curve_coverage(w, err);
    for (uint32_t i = 0; i < sizes && code == ES_OK; i++) {     /* the stack was that of LRU */
        w->perfect[i] = w->curve.whole[i];
        w->some[i] = w->curve.some[i];
    }
    return code;
}

/* ---- the report of a capacity ---- */

/* One report is set anew for every capacity: a value is null where it is not known for one, for then it is for none (bytes, say). */
static void curve_set(es_json *report, const char *object, const char *key, double value)
{
    es_json *of = cJSON_GetObjectItemCaseSensitive(es_json_at(report, object), key);
    if (cJSON_IsNumber(of))
        cJSON_SetNumberHelper(of, value);
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
    curve_set(report, "cache", "overflow_events", (double)w->wider[p->at]);
    curve_set(report, "capacity", "residents", held);
    const char *counts = cJSON_GetStringValue(es_json_at(report, "capacity.counts"));
    const bool in_bytes = counts && strcmp(counts, "bytes") == 0;
    curve_set(report, "capacity", "peak", in_bytes ? held * bytes : held);
}

/* What no curve tells is taken out of a copy of the largest point's report. */
static es_json *curve_report(const curve_work *w)
{
    static const char *const cache[] = {"warm", NULL}, *const coverage[] = {"mean", "token", NULL},
        *const capacity[] = {"turnover_per_token", "resident_age_steps", "beyond_population", NULL}, *const traffic[] = {"bytes_per_decode_token", NULL};
    es_json *report = cJSON_Duplicate(w->sample, true);
    if (!report)
        return NULL;
    curve_cut(report, "cache", cache);
    curve_cut(report, "coverage", coverage);
    curve_cut(report, "capacity", capacity);
    curve_cut(report, "traffic", traffic);
    cJSON_DeleteItemFromObjectCaseSensitive(report, "tiers");
    es_json_add_bool(report, "one_pass", true);
    return report;
}

/* `room`: capacity.slots_or_bytes, as the config says it. */
static void curve_fill(const curve_work *w, es_json *report, const curve_point *p, double room)
{
    curve_cache(w, report, p);
    curve_set(report, "capacity", "slots_or_bytes", room);
    curve_set(report, "coverage", "perfect", (double)w->perfect[p->at]);
    curve_set(report, "coverage", "zero", (double)(w->decode_events - w->some[p->at]));
    curve_set(report, "coverage", "partial", (double)(w->some[p->at] - w->perfect[p->at]));
}

/* The config of this point, as a run of it would be told: but for the capacity it is that of the sample. */
static es_code curve_provenance(const curve_work *w, es_json *report, const curve_point *p, es_err *err)
{
    es_json *of = cJSON_GetObjectItemCaseSensitive(report, "provenance"), *config = cJSON_GetObjectItemCaseSensitive(of, "config");
    es_json *tier = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(config, "tiers"), w->tier);
    es_json *sha = cJSON_GetObjectItemCaseSensitive(of, "config_sha256"), *sets = cJSON_CreateArray(), *said;
    const es_json *base = cJSON_GetObjectItemCaseSensitive(w->sweep->base.input, "sets");
    sweep_settings mine;
    const size_t count = sweep_settings_of(w->sweep, es_sweep_at(w->sweep, p->point), &mine);
    char hex[65];
    bool fine = sets && cJSON_SetValuestring(cJSON_GetObjectItemCaseSensitive(tier, "capacity"), p->capacity);
    cJSON_ArrayForEach(said, base) fine = fine && cJSON_AddItemToArray(sets, cJSON_Duplicate(said, false));
    for (size_t i = 0; i < count; i++)
        fine = fine && cJSON_AddItemToArray(sets, cJSON_CreateString(mine.set[i]));
    if (!fine || !cJSON_ReplaceItemInObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(of, "input"), "sets", sets)) {
        cJSON_Delete(sets);
        return es_err_nomem(err, "a result");
    }
    es_code code = es_result_config_sha256(config, hex, err);
    return code || cJSON_SetValuestring(sha, hex) ? code : es_err_nomem(err, "a result");
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
    es_json *made = cJSON_IsNumber(room) ? w->report : NULL;
    bool same = made != NULL;
    if (same)
        curve_fill(w, made, p, room->valuedouble);
    for (size_t i = 0; i < sizeof sections / sizeof *sections && same; i++) {
        const es_json *mine = cJSON_GetObjectItemCaseSensitive(made, sections[i]), *other = cJSON_GetObjectItemCaseSensitive(ran, sections[i]);
        same = (!mine && !other) || (mine && other && (cJSON_IsNull(mine) ? cJSON_IsNull(other) : curve_same(mine, other)));
    }
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

static es_code curve_make(curve_work *w, const curve_point *p, es_err *err)
{
    double bytes;
    const double room = es_text_quantity(p->capacity, ES_UNIT_BYTES, &bytes, NULL) == ES_OK ? floor(bytes) : (double)p->slots;
    curve_fill(w, w->report, p, room);
    es_code code = curve_provenance(w, w->report, p, err);
    return code ? code : w->keep->keep(w->keep->self, p->point, w->report, NULL, err);
}

/* Runs a point and looks whether it is what would be made. */
static es_code curve_ask_run(curve_work *w, const curve_point *p, es_err *err)
{
    es_json *ran = NULL;
    es_code code = curve_run(w, p->point, &ran, err);
    if (code == ES_OK && !w->sample) {
        w->sample = ran;
        w->report = curve_report(w);
        code = w->report ? curve_check(w, p, ran, err) : es_err_nomem(err, "a result");
        return code;
    }
    if (code == ES_OK)
        code = curve_check(w, p, ran, err);
    cJSON_Delete(ran);
    return code;
}

static es_code curve_all(curve_work *w, const size_t *points, es_err *err)
{
    es_code code = curve_open(w, points[0], err);
    if (code == ES_OK)
        code = curve_points(w, points, err);
    if (code == ES_OK)
        code = curve_pass(w, err);
    if (code)
        return code;
    const size_t last = w->count - 1;
    size_t fits = 0;            /* the smallest that no event overflows; the one below it is the largest that some event does */
    while (fits < last && w->point[fits].slots < w->events.widest)
        fits++;
    const size_t below = fits > 0 && !w->point[fits - 1].run ? fits - 1 : fits;
    code = curve_ask_run(w, &w->point[last], err);
    if (code == ES_OK && fits < last)
        code = curve_ask_run(w, &w->point[fits], err);
    if (code == ES_OK && below < fits)
        code = curve_ask_run(w, &w->point[below], err);
    for (size_t i = 0; i < w->count && code == ES_OK; i++) {
        if (w->point[i].run)
            code = curve_run(w, w->point[i].point, NULL, err);
        else if (i != last && i != fits && i != below)
            code = curve_make(w, &w->point[i], err);
    }
    return code;
}

es_code es_sweep_once(const es_sweep *sweep, const size_t *points, size_t count, const es_source *source, void *state, const es_sweep_keep *keep, es_err *err)
{
    curve_work w = {.sweep = sweep, .keep = keep, .source = source, .state = state, .count = count};
    es_code code = curve_all(&w, points, err);
    cJSON_Delete(w.sample);
    cJSON_Delete(w.report);
    es_config_free(w.config);
    es_arena_free(&w.arena);
    return code;
}
