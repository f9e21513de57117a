/* Budgets: see budgets.h. The order of use is that of the events' own lists: a use is a place in them, and an object is as old as its last. */
#include "sim/curve/budgets.h"

typedef struct budgets_cache {
    int64_t room, used;
    uint64_t *resident;         /* [words] */
    uint64_t oldest;            /* no use before this place is of a resident */
    uint32_t event;             /* that this place belongs to */
    uint64_t hits[3], bytes[3]; /* prefill, decode, not counted */
} budgets_cache;

typedef struct budgets {
    const es_events *events;
    const es_curve_ask *ask;
    budgets_cache *cache;       /* [sizes] */
    const uint16_t *use;        /* objects in order of use: the events' touch, or id where lookups come one by one */
    uint64_t *last;             /* [objects] place of the last use; UINT64_MAX: none */
    bool *had;                  /* [widest] by place in the event */
    uint32_t words;             /* of resident */
} budgets;

/* The event at hand. */
typedef struct budgets_event {
    uint32_t index, n, base, kind;
    const uint16_t *id;
    int64_t size, weight;
} budgets_event;

static inline bool budgets_has(const budgets_cache *cache, uint32_t object)
{
    return cache->resident[object >> 6] >> (object & 63) & 1;
}

static inline void budgets_drop(budgets_cache *cache, uint32_t object, int64_t size)
{
    cache->resident[object >> 6] &= ~(1ull << (object & 63));
    cache->used -= size;
}

static inline void budgets_enter(budgets_cache *cache, uint32_t object, int64_t size)
{
    cache->resident[object >> 6] |= 1ull << (object & 63);
    cache->used += size;
}

/* The least recently used whose last use stands before `end` leave until `used` is at most `goal`. */
static void budgets_evict(const budgets *b, budgets_cache *cache, int64_t goal, uint64_t end)
{
    const es_events *events = b->events;
    for (; cache->used > goal && cache->oldest < end; cache->oldest++) {
        while (events->begin[cache->event + 1] <= cache->oldest)
            cache->event++;
        const uint32_t object = es_events_base(events, cache->event) + b->use[cache->oldest];
        if (b->last[object] == cache->oldest && budgets_has(cache, object))
            budgets_drop(cache, object, b->ask->bytes[events->layer[cache->event]]);
    }
}

/* More than fits, under waves: the last of those that were there and then those that were not stay, and nothing else. */
static void budgets_waves(const budgets *b, budgets_cache *cache, const budgets_event *e)
{
    int64_t left = cache->room / e->size;
    memset(cache->resident, 0, b->words * sizeof *cache->resident);
    cache->used = 0;
    for (int there = 0; there < 2; there++)
        for (uint32_t i = e->n; i-- > 0 && left > 0;)
            if (b->had[i] == there) {
                budgets_enter(cache, e->base + e->id[i], e->size);
                left--;
            }
}

/* The event's objects are the newest already: before its first use stand the others. */
static void budgets_admit(const budgets *b, budgets_cache *cache, const budgets_event *e)
{
    const uint64_t first = b->events->begin[e->index];
    const es_curve_rule rule = b->ask->rule;
    if (rule == ES_CURVE_WAVES && e->n * e->size > cache->room) {
        budgets_waves(b, cache, e);
        return;
    }
    for (uint32_t i = 0; i < e->n; i++)
        if (!b->had[i])
            budgets_enter(cache, e->base + e->id[i], e->size);
    budgets_evict(b, cache, cache->room, rule == ES_CURVE_KEEP_BEST || rule == ES_CURVE_TRIM ? first + e->n : first);
}

static void budgets_look(const budgets *b, budgets_cache *cache, const budgets_event *e)
{
    uint32_t hits = 0;
    for (uint32_t i = 0; i < e->n; i++) {
        b->had[i] = budgets_has(cache, e->base + e->id[i]);
        hits += b->had[i];
    }
    cache->hits[e->kind] += hits;
    cache->bytes[e->kind] += hits * (uint64_t)e->weight;
    if (hits < e->n || b->ask->rule == ES_CURVE_PERSIST)
        budgets_admit(b, cache, e);
}

static void budgets_look_one(const budgets *b, budgets_cache *cache, const budgets_event *e, uint32_t object, uint64_t place)
{
    const bool had = budgets_has(cache, object);
    cache->hits[e->kind] += had;
    cache->bytes[e->kind] += had ? (uint64_t)e->weight : 0;
    if (had)
        return;
    budgets_enter(cache, object, e->size);
    budgets_evict(b, cache, cache->room, place);
}

/* Is the event looked up one by one there? */
static bool budgets_by_one(const budgets *b, const budgets_cache *cache, const budgets_event *e)
{
    return b->ask->rule == ES_CURVE_SERIALIZED || (b->ask->rule == ES_CURVE_SERIALIZED_PINNED && e->n * e->size > cache->room);
}

/* What is used one by one is followed in step with the order of use, the others when all of the event is in it. */
static void budgets_go(const budgets *b, const budgets_event *e)
{
    const uint64_t first = b->events->begin[e->index];
    for (uint32_t i = 0; i < e->n; i++) {
        const uint32_t object = e->base + b->use[first + i];
        b->last[object] = first + i;
        for (uint32_t c = 0; c < b->ask->sizes && budgets_by_one(b, &b->cache[c], e); c++)
            budgets_look_one(b, &b->cache[c], e, object, first + i);
    }
    for (uint32_t c = 0; c < b->ask->sizes; c++)
        if (!budgets_by_one(b, &b->cache[c], e))
            budgets_look(b, &b->cache[c], e);
}

static void budgets_empty(const budgets *b)
{
    for (uint32_t c = 0; c < b->ask->sizes; c++) {
        memset(b->cache[c].resident, 0, b->words * sizeof *b->cache[c].resident);
        b->cache[c].used = 0;
    }
}

static es_code budgets_make(budgets *b, es_arena *arena, es_err *err)
{
    const es_events *events = b->events;
    const es_curve_rule rule = b->ask->rule;
    b->words = events->objects / 64;
    b->use = rule == ES_CURVE_SERIALIZED || rule == ES_CURVE_SERIALIZED_PINNED ? events->id : events->touch;
    b->cache = ES_NEW_ARRAY(arena, b->ask->sizes, budgets_cache);
    b->last = ES_NEW_ARRAY(arena, events->objects, uint64_t);
    b->had = ES_NEW_ARRAY(arena, events->widest, bool);
    bool enough = b->cache && b->last && b->had;
    for (uint32_t c = 0; enough && c < b->ask->sizes; c++) {
        b->cache[c].room = (int64_t)b->ask->capacity[c];
        b->cache[c].resident = ES_NEW_ARRAY(arena, b->words, uint64_t);
        enough = b->cache[c].resident != NULL;
    }
    if (!enough)
        return es_err_nomem(err, "the caches of a curve");
    memset(b->last, 0xff, events->objects * sizeof *b->last);
    return ES_OK;
}

static es_code budgets_curve(const budgets *b, const uint64_t *lookups, const uint64_t *weights, es_curve *out, es_arena *arena, es_err *err)
{
    const uint32_t sizes = b->ask->sizes;
    uint64_t *row[4];
    for (int i = 0; i < 4; i++)
        if (!(row[i] = ES_NEW_ARRAY(arena, sizes, uint64_t)))
            return es_err_nomem(err, "a curve");
    for (uint32_t c = 0; c < sizes; c++) {
        const budgets_cache *cache = &b->cache[c];
        row[0][c] = cache->hits[0] + cache->hits[1];
        row[1][c] = cache->hits[1];
        row[2][c] = cache->bytes[0] + cache->bytes[1];
        row[3][c] = cache->bytes[1];
    }
    *out = (es_curve){.sizes = sizes, .capacity = b->ask->capacity, .hits = row[0], .decode_hits = row[1], .accesses = lookups[0] + lookups[1],
        .decode_accesses = lookups[1]};
    if (b->ask->weight) {
        out->hit_bytes = row[2];
        out->decode_hit_bytes = row[3];
        out->access_bytes = weights[0] + weights[1];
        out->decode_access_bytes = weights[1];
    }
    return ES_OK;
}

es_code es_curve_budgets(const es_events *events, const es_curve_ask *ask, es_curve *out, es_arena *arena, es_err *err)
{
    budgets b = {.events = events, .ask = ask};
    uint64_t lookups[3] = {0}, weights[3] = {0};
    if (!ask->capacity)
        return es_err_set(err, ES_EINPUT, "experts differ in size: a curve over bytes is made for the capacities that are named, not for all");
    es_code code = budgets_make(&b, arena, err);
    for (uint32_t i = 0; code == ES_OK && i < events->count; i++) {
        const uint8_t flags = events->flags[i];
        const uint32_t layer = events->layer[i];
        const budgets_event e = {.index = i, .n = es_events_width(events, i), .base = es_events_base(events, i), .id = events->id + events->begin[i],
            .kind = flags & ES_EVENT_SKIPPED ? 2 : flags & ES_EVENT_DECODE, .size = ask->bytes[layer], .weight = ask->weight ? ask->weight[layer] : 0};
        if (ask->reset && flags & ES_EVENT_FRESH && i > 0)
            budgets_empty(&b);
        lookups[e.kind] += e.n;
        weights[e.kind] += e.n * (uint64_t)e.weight;
        budgets_go(&b, &e);
    }
    return code == ES_OK ? budgets_curve(&b, lookups, weights, out, arena, err) : code;
}
