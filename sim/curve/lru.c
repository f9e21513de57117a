/* LRU curves: see lru.h. The pass counts how often each distance occurs; a curve is the running sum of that. */
#include "sim/curve/lru.h"

#include "sim/curve/budgets.h"
#include "sim/curve/narrow.h"
#include "sim/curve/quick.h"
#include "sim/curve/ranks.h"
#include "sim/curve/small.h"
#include "sim/curve/stack.h"

enum { LRU_KINDS = ES_QUICK_KINDS, LRU_IGNORED = 2 };    /* of events: prefill, decode (as ES_EVENT_DECODE), not counted */

typedef enum lru_order { LRU_BLOCKS, LRU_FLAT, LRU_RANKS } lru_order;  /* who keeps recency: a stack with blocks or without, or ranks */

typedef struct lru_cache {
    es_stack stack;
    es_ranks ranks;             /* instead, where the order is LRU_RANKS */
    es_small small;
    es_narrow narrow;
    uint32_t last;              /* persist: lookups of the event before, all of which are there */
    uint64_t *found;            /* [LRU_KINDS][depths] lookups by distance; distance 0: there at any size */
    uint64_t *bytes;            /* the same, what they weigh; NULL where one cache's experts weigh the same */
    int64_t *more, *more_bytes; /* [LRU_KINDS][widest] hits of small.h; of narrow.h all hits at these sizes */
} lru_cache;

typedef struct lru_pass {
    const es_events *events;
    const es_curve_ask *ask;
    lru_cache *cache;           /* [caches] */
    uint32_t caches, depths;
    lru_order order;
    bool small, narrow;         /* caches that events do not fit into are followed; as bytes of a word */
    bool quick;
    uint32_t *depth;            /* [widest] of the event at hand */
} lru_pass;

static inline uint32_t lru_depth(const lru_cache *cache, uint32_t object, lru_order order)
{
    return order == LRU_RANKS ? es_ranks_depth(&cache->ranks, object) : es_stack_depth(&cache->stack, object, order == LRU_FLAT);
}

static inline void lru_use(lru_cache *cache, const uint16_t *index, uint32_t count, uint32_t base, lru_order order)
{
    if (order == LRU_RANKS)
        es_ranks_use(&cache->ranks, index, count);
    else
        es_stack_use(&cache->stack, index, count, base, order == LRU_FLAT);
}

/* ---- one event ---- */

typedef struct lru_event {
    const uint16_t *id, *touch;
    uint32_t index, n, base, kind;
    uint64_t *found;
} lru_event;

static inline void lru_look(const lru_pass *p, lru_cache *cache, const lru_event *e, lru_order order)
{
    for (uint32_t i = 0; i < e->n; i++) {
        const uint32_t depth = lru_depth(cache, e->base + e->id[i], order);
        p->depth[i] = depth;
        e->found[depth]++;
    }
}

/* What the event before touched overshoots and is there at any size. */
static inline void lru_look_persist(const lru_pass *p, lru_cache *cache, const lru_event *e, lru_order order)
{
    for (uint32_t i = 0; i < e->n; i++) {
        const uint32_t depth = lru_depth(cache, e->base + e->id[i], order);
        p->depth[i] = depth <= cache->last ? 0 : depth;
        e->found[p->depth[i]]++;
    }
    cache->last = e->n;
}

/* One by one. */
static inline void lru_look_serial(const lru_pass *p, lru_cache *cache, const lru_event *e, lru_order order)
{
    for (uint32_t i = 0; i < e->n; i++) {
        const uint32_t depth = lru_depth(cache, e->base + e->id[i], order);
        p->depth[i] = depth;
        e->found[depth]++;
        lru_use(cache, e->id + i, 1, e->base, order);
    }
}

/* Where the event fits it is judged as a whole; a cache of fewer slots goes through it one by one. */
static inline void lru_look_pinned(const lru_pass *p, lru_cache *cache, const lru_event *e, lru_order order)
{
    for (uint32_t i = 0; i < e->n; i++)
        p->depth[i] = lru_depth(cache, e->base + e->id[i], order);
    for (uint32_t i = 0; i < e->n; i++) {
        const uint32_t alone = lru_depth(cache, e->base + e->id[i], order);
        if (alone < e->n)
            p->depth[i] = alone;
        else if (p->depth[i] < e->n)
            p->depth[i] = e->n;
        e->found[p->depth[i]]++;
        lru_use(cache, e->id + i, 1, e->base, order);
    }
}

static inline void lru_weigh(const lru_pass *p, lru_cache *cache, const lru_event *e)
{
    uint64_t *bytes = cache->bytes + (size_t)e->kind * p->depths;
    for (uint32_t i = 0; i < e->n; i++)
        bytes[p->depth[i]] += (uint64_t)p->ask->weight[p->events->layer[e->index]];
}

static void lru_small(const lru_pass *p, lru_cache *cache, const lru_event *e)
{
    const size_t row = (size_t)e->kind * p->events->widest;
    es_small_event(&cache->small, p->events, e->index, p->depth, cache->more + row, cache->more_bytes ? cache->more_bytes + row : NULL,
        p->ask->weight ? p->ask->weight[p->events->layer[e->index]] : 0);
}

static inline void lru_narrow(const lru_pass *p, lru_cache *cache, const lru_event *e)
{
    /* with the usual widths as constants the loops fall away */
    uint64_t hits = e->n == 4 ? es_narrow_event(&cache->narrow, p->depth, 4) : e->n == 8 ? es_narrow_event(&cache->narrow, p->depth, 8)
        : es_narrow_event(&cache->narrow, p->depth, e->n);
    const size_t row = (size_t)e->kind * e->n;
    for (uint32_t c = 1; c < e->n; c++, hits >>= 8) {
        cache->more[row + c] += (int64_t)(hits & 0xff);
        if (cache->more_bytes)
            cache->more_bytes[row + c] += (int64_t)(hits & 0xff) * p->ask->weight[p->events->layer[e->index]];
    }
}

static inline __attribute__((always_inline)) void lru_one(const lru_pass *p, lru_cache *cache, const lru_event *e, es_curve_rule rule, lru_order order)
{
    if (order != LRU_RANKS && !es_stack_has_room(&cache->stack, e->n))
        es_stack_renew(&cache->stack);
    if (rule == ES_CURVE_SERIALIZED)
        lru_look_serial(p, cache, e, order);
    else if (rule == ES_CURVE_SERIALIZED_PINNED)
        lru_look_pinned(p, cache, e, order);
    else if (rule == ES_CURVE_PERSIST)
        lru_look_persist(p, cache, e, order);
    else
        lru_look(p, cache, e, order);
    if (cache->bytes)
        lru_weigh(p, cache, e);
    if (p->narrow)
        lru_narrow(p, cache, e);
    else if (p->small)
        lru_small(p, cache, e);
    if (rule != ES_CURVE_SERIALIZED && rule != ES_CURVE_SERIALIZED_PINNED)
        lru_use(cache, e->touch, e->n, e->base, order);
}

static void lru_empty(const lru_pass *p)
{
    for (uint32_t c = 0; c < p->caches; c++) {
        if (p->order == LRU_RANKS)
            es_ranks_empty(&p->cache[c].ranks);
        else
            es_stack_empty(&p->cache[c].stack);
        p->cache[c].last = 0;
        p->cache[c].narrow = (es_narrow){0};
        if (p->small && !p->narrow)
            es_small_empty(&p->cache[c].small);
    }
}

/* ---- all events ---- */

static inline uint32_t lru_kind(uint8_t flags)
{
    return flags & ES_EVENT_SKIPPED ? LRU_IGNORED : flags & ES_EVENT_DECODE;
}

/* Inlined for each way that most traces go, so that nothing is asked twice. */
static inline __attribute__((always_inline)) void lru_walk(const lru_pass *p, es_curve_rule rule, bool per_layer, lru_order order)
{
    const es_events *events = p->events;
    for (uint32_t i = 0; i < events->count; i++) {
        const uint8_t flags = events->flags[i];
        const uint64_t begin = events->begin[i];
        lru_cache *cache = &p->cache[per_layer ? events->layer[i] : 0];
        lru_event e = {.id = events->id + begin, .touch = events->touch + begin, .index = i, .n = (uint32_t)(events->begin[i + 1] - begin),
            .base = per_layer ? 0 : es_events_base(events, i), .kind = lru_kind(flags)};
        e.found = cache->found + (size_t)e.kind * p->depths;
        if (p->ask->reset && flags & ES_EVENT_FRESH && i > 0)
            lru_empty(p);
        lru_one(p, cache, &e, rule, order);
    }
}

static void lru_walk_any(const lru_pass *p)
{
    const bool per_layer = p->ask->per_layer;
    const es_curve_rule rule = p->ask->rule;
    const bool plain = rule == ES_CURVE_WAVES || rule == ES_CURVE_TRIM || rule == ES_CURVE_KEEP_BEST;
    if (plain && p->order == LRU_RANKS)
        lru_walk(p, ES_CURVE_WAVES, true, LRU_RANKS);
    else if (plain && p->order == LRU_BLOCKS && !per_layer)
        lru_walk(p, ES_CURVE_WAVES, false, LRU_BLOCKS);
    else
        lru_walk(p, rule, per_layer, p->order);
}

/* The same counts by quick.h. */
static es_code lru_quick(const lru_pass *p, es_arena *arena, es_err *err)
{
    es_quick_cache *caches = ES_NEW_ARRAY(arena, p->caches, es_quick_cache);
    for (uint32_t c = 0; caches && c < p->caches; c++) {
        const lru_cache *cache = &p->cache[c];
        caches[c] = (es_quick_cache){.found = cache->found, .bytes = cache->bytes, .more = cache->more, .more_bytes = cache->more_bytes};
    }
    return caches ? es_quick_lru(p->events, p->ask, caches, p->depths, arena, err) : es_err_nomem(err, "an LRU curve");
}

/* Recency of one cache for so many objects. false: no memory. */
static bool lru_make_order(lru_pass *p, lru_cache *cache, uint32_t objects, es_arena *arena)
{
    if (p->quick)
        return true;
    if (p->order == LRU_RANKS)
        return es_ranks_init(&cache->ranks, objects, arena);
    if (!es_stack_init(&cache->stack, objects, es_curve_most(p->events, p->ask), arena))
        return false;
    p->order = cache->stack.block ? LRU_BLOCKS : LRU_FLAT;
    return true;
}

/* Do the experts of one cache weigh differently? */
static bool lru_weighs(const lru_pass *p)
{
    const int64_t *weight = p->ask->weight;
    for (uint32_t l = 1; weight && !p->ask->per_layer && l < p->events->layers; l++)
        if (weight[l] != weight[0])
            return true;
    return false;
}

static es_code lru_make(lru_pass *p, es_arena *arena, es_err *err)
{
    const es_events *events = p->events;
    const es_curve_ask *ask = p->ask;
    const uint32_t objects = ask->per_layer ? events->experts : events->objects;
    const size_t small = (size_t)LRU_KINDS * events->widest;
    const bool weighs = lru_weighs(p);
    p->caches = es_curve_count(events, ask);
    p->order = ask->per_layer && objects <= ES_RANKS_MOST && ask->means != ES_CURVE_SCALAR ? LRU_RANKS : LRU_BLOCKS;
    p->depths = (p->order == LRU_RANKS ? ES_RANKS_MOST : objects) + 2;
    p->small = ask->rule == ES_CURVE_WAVES && events->widest > 1;
    p->narrow = p->small && es_narrow_fits(events) && ask->means != ES_CURVE_SCALAR;
    p->quick = es_quick_fits(events, ask);
    p->cache = ES_NEW_ARRAY(arena, p->caches, lru_cache);
    p->depth = ES_NEW_ARRAY(arena, events->widest + 1, uint32_t);
    bool enough = p->cache && p->depth;
    for (uint32_t c = 0; enough && c < p->caches; c++) {
        lru_cache *cache = &p->cache[c];
        cache->found = ES_NEW_ARRAY(arena, (size_t)LRU_KINDS * p->depths, uint64_t);
        cache->bytes = weighs ? ES_NEW_ARRAY(arena, (size_t)LRU_KINDS * p->depths, uint64_t) : NULL;
        enough = lru_make_order(p, cache, objects, arena) && cache->found && (cache->bytes || !weighs);
        if (!enough || !p->small)
            continue;
        cache->more = ES_NEW_ARRAY(arena, small, int64_t);
        cache->more_bytes = weighs ? ES_NEW_ARRAY(arena, small, int64_t) : NULL;
        enough = (p->narrow || es_small_init(&cache->small, events->widest - 1, events->experts, arena)) && cache->more && (cache->more_bytes || !weighs);
    }
    return enough ? ES_OK : es_err_nomem(err, "the stack of an LRU curve");
}

/* ---- the curves ---- */

/* Hits of prefill and decode at so many slots: running sums, and what small.h adds. */
static void lru_sums(const lru_pass *p, const uint64_t *found, const int64_t *more, uint64_t *sum)
{
    for (uint32_t kind = 0; kind < LRU_IGNORED; kind++) {
        const uint64_t *row = found + (size_t)kind * p->depths;
        uint64_t *to = sum + (size_t)kind * p->depths, hits = 0;
        for (uint32_t c = 0; c < p->depths; c++) {
            hits += row[c];
            to[c] = hits;
            if (more && c > 0 && c < p->events->widest)
                to[c] = (p->narrow ? 0 : hits) + (uint64_t)more[(size_t)kind * p->events->widest + c];
        }
    }
}

/* The slots that a capacity is; more than there are objects change nothing, and the last distance stands for what was never used. */
static uint32_t lru_slots(const lru_pass *p, uint64_t capacity, int64_t unit)
{
    const uint64_t slots = capacity / (uint64_t)unit;
    return slots < p->depths - 2 ? (uint32_t)slots : p->depths - 2;
}

/* One curve out of running sums, each lookup of them times `each`. */
static es_code lru_take(const lru_pass *p, const es_curve *curve, const uint64_t *sum, int64_t unit, uint64_t each, const uint64_t **hits,
    const uint64_t **decode, uint64_t *all, uint64_t *all_decode, es_arena *arena, es_err *err)
{
    uint64_t *to = ES_NEW_ARRAY(arena, curve->sizes, uint64_t), *to_decode = ES_NEW_ARRAY(arena, curve->sizes, uint64_t);
    if (!to || !to_decode)
        return es_err_nomem(err, "a curve");
    for (uint32_t i = 0; i < curve->sizes; i++) {
        const uint32_t slots = lru_slots(p, curve->capacity[i], unit);
        to_decode[i] = sum[p->depths + slots] * each;
        to[i] = sum[slots] * each + to_decode[i];
    }
    *hits = to;
    *decode = to_decode;
    *all_decode = sum[2 * p->depths - 1] * each;
    *all = sum[p->depths - 1] * each + *all_decode;
    return ES_OK;
}

static es_code lru_curve(const lru_pass *p, uint32_t c, const uint64_t *capacity, uint32_t sizes, uint64_t *sum, es_curve *out, es_arena *arena, es_err *err)
{
    const es_curve_ask *ask = p->ask;
    const lru_cache *cache = &p->cache[c];
    const int64_t unit = ask->bytes ? ask->bytes[c] : 1;
    *out = (es_curve){.sizes = sizes, .capacity = capacity};
    lru_sums(p, cache->found, cache->more, sum);
    es_code code = lru_take(p, out, sum, unit, 1, &out->hits, &out->decode_hits, &out->accesses, &out->decode_accesses, arena, err);
    if (code != ES_OK || !ask->weight)
        return code;
    if (cache->bytes)
        lru_sums(p, cache->bytes, cache->more_bytes, sum);
    return lru_take(p, out, sum, unit, cache->bytes ? 1 : (uint64_t)ask->weight[c], &out->hit_bytes, &out->decode_hit_bytes, &out->access_bytes,
        &out->decode_access_bytes, arena, err);
}

bool es_curve_unequal(const es_events *events, const es_curve_ask *ask)
{
    for (uint32_t l = 1; ask->bytes && !ask->per_layer && l < events->layers; l++)
        if (ask->bytes[l] != ask->bytes[0])
            return true;
    return false;
}

es_code es_curve_lru(const es_events *events, const es_curve_ask *ask, es_curve *out, es_arena *arena, es_err *err)
{
    lru_pass p = {.events = events, .ask = ask};
    uint32_t sizes;
    if (es_curve_unequal(events, ask))
        return es_curve_budgets(events, ask, out, arena, err);
    const uint64_t *capacity = es_curve_capacities(events, ask, &sizes, arena);
    es_code code = capacity ? lru_make(&p, arena, err) : es_err_nomem(err, "a curve");
    uint64_t *sum = code == ES_OK ? ES_NEW_ARRAY(arena, 2 * (size_t)p.depths, uint64_t) : NULL;
    if (code != ES_OK || !sum)
        return code != ES_OK ? code : es_err_nomem(err, "a curve");
    if (p.quick)
        code = lru_quick(&p, arena, err);
    else
        lru_walk_any(&p);
    for (uint32_t c = 0; c < p.caches && code == ES_OK; c++)
        code = lru_curve(&p, c, capacity, sizes, sum, &out[c], arena, err);
    return code;
}
