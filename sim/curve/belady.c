/* Belady: see belady.h. Sizes are gone through in groups that stay in the processor's cache, each group in one walk over the events.
 *
 * The next use of an object is the same for every size, so it is written once per event. A whole hit, the common case, is a comparison of masks
 * and one of farthests; all else is in belady_cache.c. */
#include "sim/curve/belady_cache.h"

#include <string.h>

enum {
    BELADY_GROUP = 96,
    BELADY_RANKS = 8,           /* from so many sizes on ranks of experts are worth being kept */
    BELADY_STACK = 24           /* from so many sizes on one stack for all of them costs less */
};

typedef struct belady_group {
    es_belady_cache *cache;
    uint32_t caches, rows;
    uint64_t ignored;
} belady_group;

/* Where an expert is a bit: most sizes have the whole event, and something that is used later than all of it. */
static void belady_step_words(es_belady_sizes *b, belady_group *g, bool skipped, size_t row)
{
    const uint64_t mask = b->mask[0], least = ((uint64_t)b->last_use + 1) << 32;
    const uint32_t space = b->space, count = b->count;
    for (uint32_t i = 0; i < g->caches; i++) {
        es_belady_cache *c = &g->cache[i];
        uint64_t *counted = skipped ? &g->ignored : c->count + row;
        if (c->reach[space] >= least && (c->resident[space] & mask) == mask)
            *counted += count;
        else
            es_belady_event(b, c, counted);
    }
}

/* With events counted, of decode alone. */
static void belady_step_cover(es_belady_sizes *b, belady_group *g, size_t row)
{
    for (uint32_t i = 0; i < g->caches; i++) {
        es_belady_cache *c = &g->cache[i];
        uint64_t hits = 0;
        es_belady_event(b, c, &hits);
        c->count[row] += hits;
        *c->whole += hits == b->count;
        *c->some += hits > 0;
    }
}

static void belady_step(es_belady_sizes *b, belady_group *g, uint8_t flags)
{
    const size_t row = (flags & ES_EVENT_DECODE ? g->rows : 0) + (g->rows > 1 ? b->space : 0);
    if (b->ask->cover && flags & ES_EVENT_DECODE && !(flags & ES_EVENT_SKIPPED)) {
        belady_step_cover(b, g, row);
        return;
    }
    if (b->ranks && b->last_use != ES_NEVER_USED && b->ask->rule != ES_CURVE_PERSIST) {
        belady_step_words(b, g, flags & ES_EVENT_SKIPPED, row);
        return;
    }
    for (uint32_t c = 0; c < g->caches; c++)
        es_belady_event(b, &g->cache[c], flags & ES_EVENT_SKIPPED ? &g->ignored : g->cache[c].count + row);
}

/* The lookups of an event one after another. */
static void belady_serial(es_belady_sizes *b, belady_group *g, const es_events *events, const uint32_t *next, uint32_t event)
{
    const uint64_t from = events->begin[event];
    b->called = es_events_width(events, event);
    memset(b->call, 0, b->words * sizeof *b->call);
    for (uint32_t i = 0; i < b->called; i++)
        b->call[events->id[from + i] >> 6] |= 1ull << (events->id[from + i] & 63);
    for (uint32_t i = 0; i < b->called; i++) {
        es_belady_begin(b, events->id + from + i, next + from + i, 1, es_events_space(events, event), (uint32_t)(from + i));
        belady_step(b, g, events->flags[event]);
    }
}

static void belady_walk(es_belady_sizes *b, belady_group *g, const es_events *events, const uint32_t *next)
{
    for (uint32_t e = 0; e < events->count; e++) {
        const uint64_t from = events->begin[e];
        for (uint32_t c = 0; b->ask->reset && events->flags[e] & ES_EVENT_FRESH && c < g->caches; c++)
            es_belady_empty(b, &g->cache[c]);
        if (b->serial) {
            belady_serial(b, g, events, next, e);
        } else {
            es_belady_begin(b, events->id + from, next + from, es_events_width(events, e), es_events_space(events, e), e);
            belady_step(b, g, events->flags[e]);
        }
    }
}

/* ---- sizes ---- */

typedef struct belady_job {
    const es_events *events;
    const uint32_t *next;
    const es_curve_ask *ask;
    bool bypass;
    const uint64_t *capacity;   /* [sizes] ascending */
    uint32_t sizes;
    es_hits *hits;
    es_arena *arena;
} belady_job;

static bool belady_new(es_belady_sizes *b, const belady_job *job, uint32_t sizes)
{
    const es_events *events = job->events;
    *b = (es_belady_sizes){.ask = job->ask, .bypass = job->bypass, .serial = es_curve_serial(job->ask), .spaces = events->spaces, .words = events->stride / 64,
        .stride = events->stride, .experts = events->experts, .buckets = job->ask->per_layer ? events->spaces : 1};
    b->coming = ES_NEW_ARRAY(job->arena, events->objects, uint32_t);
    b->mask = ES_NEW_ARRAY(job->arena, b->words, uint64_t);
    b->call = ES_NEW_ARRAY(job->arena, b->words, uint64_t);
    b->stay = ES_NEW_ARRAY(job->arena, b->words, uint64_t);
    b->guard = ES_NEW_ARRAY(job->arena, b->words, uint64_t);
    b->order = ES_NEW_ARRAY(job->arena, b->stride, uint16_t);
    b->rank = ES_NEW_ARRAY(job->arena, b->stride, uint16_t);
    b->claimed = ES_NEW_ARRAY(job->arena, events->objects, uint32_t);
    const bool ranked = b->words == 1 && sizes >= BELADY_RANKS;
    b->ranks = ranked ? ES_NEW_ARRAY(job->arena, events->spaces, es_belady_ranks) : NULL;
    if (ranked && !b->ranks)
        return false;
    for (uint32_t r = 0; b->ranks && r < events->spaces * ES_BELADY_BITS; r++) {
        b->ranks[r / ES_BELADY_BITS].expert[r % ES_BELADY_BITS] = (uint8_t)(r % ES_BELADY_BITS);
        b->ranks[r / ES_BELADY_BITS].upto[r % ES_BELADY_BITS] = ~0ull >> (ES_BELADY_BITS - 1 - r % ES_BELADY_BITS);
    }
    const es_curve_rule rule = job->ask->rule;
    b->simple = b->ranks && b->bypass && !job->ask->bytes && (rule == ES_CURVE_WAVES || rule == ES_CURVE_TRIM || rule == ES_CURVE_SERIALIZED);
    return b->coming && b->mask && b->call && b->stay && b->guard && b->order && b->rank && b->claimed;
}

static bool belady_new_cache(const es_belady_sizes *b, es_belady_cache *c, es_arena *arena)
{
    c->used = ES_NEW_ARRAY(arena, b->buckets, int64_t);
    c->resident = ES_NEW_ARRAY(arena, (size_t)b->spaces * b->words, uint64_t);
    c->reach = ES_NEW_ARRAY(arena, b->spaces, uint64_t);
    c->farthest = ES_NEW_ARRAY(arena, b->spaces, uint32_t);
    c->entered = ES_NEW_ARRAY(arena, (size_t)b->spaces * b->stride, uint32_t);
    return c->used && c->resident && c->reach && c->farthest && c->entered;
}

/* The first `sizes` of the capacities, so many at a time as stay in the cache of the processor. */
static es_code belady_sizes(const belady_job *job, uint32_t sizes, es_err *err)
{
    es_belady_sizes b;
    es_belady_cache cache[BELADY_GROUP] = {0};
    belady_group g = {.cache = cache, .rows = job->hits->rows};
    bool good = belady_new(&b, job, sizes);
    for (uint32_t c = 0; good && c < BELADY_GROUP && c < sizes; c++)
        good = belady_new_cache(&b, &cache[c], job->arena);
    if (!good)
        return es_err_nomem(err, "the caches of the optimum");
    for (uint32_t done = 0; done < sizes; done += g.caches) {
        g.caches = sizes - done < BELADY_GROUP ? sizes - done : BELADY_GROUP;
        for (uint32_t c = 0; c < g.caches; c++) {
            es_belady_empty(&b, &cache[c]);
            cache[c].clock = 0;
            cache[c].room = (int64_t)job->capacity[done + c];
            cache[c].count = job->hits->count + (size_t)(done + c) * 2 * job->hits->rows;
            cache[c].whole = job->ask->cover ? job->hits->whole + done + c : NULL;
            cache[c].some = job->ask->cover ? job->hits->some + done + c : NULL;
        }
        belady_walk(&b, &g, job->events, job->next);
    }
    return ES_OK;
}

/* How many of the capacities, the smallest, a stack does not answer for. */
static uint32_t belady_apart(const belady_job *job)
{
    const es_curve_rule rule = job->ask->rule;
    const bool any = rule == ES_CURVE_TRIM || rule == ES_CURVE_KEEP_BEST || rule == ES_CURVE_SERIALIZED;
    uint32_t below = 0;
    if (job->bypass || job->ask->bytes || rule == ES_CURVE_SERIALIZED_PINNED)
        return job->sizes;
    while (!any && below < job->sizes && job->capacity[below] < job->events->widest)
        below++;
    return job->sizes - below < BELADY_STACK ? job->sizes : below;
}

/* The rows of the capacities from `first` on, off one stack. */
static es_code belady_read(const belady_job *job, uint32_t first, es_err *err)
{
    es_hits all;
    const size_t row = 2 * job->hits->rows;
    es_code code = es_belady_stack(job->events, job->next, job->ask, job->hits->rows > 1, &all, job->arena, err);
    for (uint32_t i = first; code == ES_OK && i < job->sizes; i++) {
        const uint64_t size = job->capacity[i] < all.sizes ? job->capacity[i] : all.sizes - 1;
        memcpy(job->hits->count + i * row, all.count + size * row, row * sizeof *all.count);
        if (job->ask->cover) {
            job->hits->whole[i] = all.whole[size];
            job->hits->some[i] = all.some[size];
        }
    }
    return code;
}

/* What was counted, as curves: one of all rows, or one of each. */
static es_code belady_answer(const belady_job *job, es_curve *curves, es_err *err)
{
    const es_events *events = job->events;
    const uint32_t count = es_curve_count(events, job->ask), rows = job->hits->rows;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t *hits = ES_NEW_ARRAY(job->arena, job->sizes, uint64_t), *decode = ES_NEW_ARRAY(job->arena, job->sizes, uint64_t);
        if (!hits || !decode)
            return es_err_nomem(err, "a curve");
        for (uint32_t s = 0; s < job->sizes; s++) {
            for (uint32_t r = count > 1 ? i : 0; r < (count > 1 ? i + 1 : rows); r++) {
                decode[s] += es_hits_row(job->hits, s, true)[r];
                hits[s] += es_hits_row(job->hits, s, false)[r] + es_hits_row(job->hits, s, true)[r];
            }
        }
        curves[i] = (es_curve){.sizes = job->sizes, .capacity = job->capacity, .hits = hits, .decode_hits = decode, .whole = job->hits->whole, .some = job->hits->some};
    }
    for (uint32_t e = 0; e < events->count; e++) {
        const uint32_t width = events->flags[e] & ES_EVENT_SKIPPED ? 0 : es_events_width(events, e);
        curves[count > 1 ? events->layer[e] : 0].accesses += width;
        curves[count > 1 ? events->layer[e] : 0].decode_accesses += events->flags[e] & ES_EVENT_DECODE ? width : 0;
    }
    return ES_OK;
}

es_code es_belady(const es_events *events, const uint32_t *next, const es_curve_ask *ask, bool bypass, es_curve *curves, es_hits *layers, es_arena *arena,
    es_err *err)
{
    es_hits own, *hits = layers ? layers : &own;
    belady_job job = {.events = events, .next = next, .ask = ask, .bypass = bypass, .hits = hits, .arena = arena};
    job.capacity = es_curve_capacities(events, ask, &job.sizes, arena);
    *hits = (es_hits){.sizes = job.sizes, .rows = ask->per_layer || layers ? events->spaces : 1};
    hits->count = ES_NEW_ARRAY(arena, (size_t)job.sizes * 2 * hits->rows, uint64_t);
    if (ask->cover) {
        hits->whole = ES_NEW_ARRAY(arena, job.sizes, uint64_t);
        hits->some = ES_NEW_ARRAY(arena, job.sizes, uint64_t);
    }
    if (!job.capacity || !hits->count || (ask->cover && (!hits->whole || !hits->some)))
        return es_err_nomem(err, "the hits of the optimum");
    const uint32_t apart = belady_apart(&job);
    es_code code = apart > 0 ? belady_sizes(&job, apart, err) : ES_OK;
    if (code == ES_OK && apart < job.sizes)
        code = belady_read(&job, apart, err);
    return code == ES_OK ? belady_answer(&job, curves, err) : code;
}
