/* Belady: see belady.h. Sizes are gone through in groups that stay in the processor's cache, each group in one walk over the events.
 *
 * The next use of an object is the same for every size, so it is written once per event. A cache remembers the farthest of each space;
 * a use can only move that up (what is used now had the nearest next use of its space), so only a departure makes a space be looked
 * through again. A whole hit, the common case, is a comparison of masks and one of farthests. */
#include "sim/curve/belady.h"

#include <string.h>

enum {
    BELADY_GROUP = 48,
    BELADY_STACK = 24           /* from so many sizes on one stack for all of them costs less */
};

typedef struct belady_cache {   /* one size */
    int64_t room;
    int64_t *used;              /* [buckets] */
    uint64_t *resident;         /* [spaces][words] */
    uint64_t *reach;            /* [spaces] of its farthest: next use << 32 | what became resident first is greater; 0: none, or only of the event at hand */
    uint32_t *farthest;         /* [spaces] object */
    uint32_t top;               /* space of the greatest reach; UINT32_MAX: to be looked for */
    uint32_t *entered;          /* [objects] when it became resident: between equals the first leaves first */
    uint32_t clock;
    uint64_t *count;            /* [2][rows] */
} belady_cache;

typedef struct belady {
    const es_curve_ask *ask;
    bool bypass, serial;
    uint32_t spaces, words, stride;
    uint32_t buckets;           /* caches of each size: one, or one for every space */
    uint32_t *coming;           /* [objects] next use, from the event at hand on */
    /* the event at hand */
    const uint16_t *id;
    const uint32_t *next;       /* of its lookups */
    uint32_t count, space, bucket, now;
    uint64_t *mask;             /* [words] */
    uint64_t *call;             /* [words] serialized: all that were asked for together with it */
    uint32_t called;
    const uint64_t *pinned;     /* `call` or `mask`: what may not leave */
    uint64_t *stay;             /* [words] its misses that are kept */
    uint64_t *guard;            /* [words] its experts that may not leave yet */
    uint32_t last;              /* object of the event that is used last */
    uint32_t last_use;
    bool tied;                  /* another one is used as late */
    uint16_t *order;            /* [stride] its lookups, the soonest used first; equals as they come */
    uint16_t *rank;             /* [stride] scratch */
    uint32_t *claimed;          /* [objects] scratch */
} belady;

static inline int64_t belady_unit(const belady *b, uint32_t space)
{
    return b->ask->bytes ? b->ask->bytes[space] : 1;
}

static inline uint64_t belady_reach(const belady *b, const belady_cache *c, uint32_t object)
{
    return (uint64_t)b->coming[object] << 32 | (UINT32_MAX - c->entered[object]);
}

static inline void belady_offer(const belady *b, belady_cache *c, uint32_t space, uint32_t object)
{
    const uint64_t reach = belady_reach(b, c, object);
    if (reach > c->reach[space]) {
        c->reach[space] = reach;
        c->farthest[space] = object;
        if (c->top != UINT32_MAX && reach > c->reach[c->top])
            c->top = space;
    }
}

/* The reach of a space was looked for anew. */
static inline void belady_retop(belady_cache *c, uint32_t space)
{
    if (c->top == space)
        c->top = UINT32_MAX;
    else if (c->top != UINT32_MAX && c->reach[space] > c->reach[c->top])
        c->top = space;
}

/* Looks a space through, but for the experts in `except`. */
static void belady_look(const belady *b, belady_cache *c, uint32_t space, const uint64_t *except)
{
    const uint64_t *resident = c->resident + (size_t)space * b->words;
    uint32_t best = 0, use = 0;
    bool equal = false;
    for (uint32_t w = 0; w < b->words; w++) {
        const uint32_t *coming = b->coming + (size_t)space * b->stride + w * 64;
        for (uint64_t left = except ? resident[w] & ~except[w] : resident[w]; left; left &= left - 1) {
            const uint32_t bit = (uint32_t)__builtin_ctzll(left);
            equal |= coming[bit] == use;
            best = coming[bit] > use ? w * 64 + bit : best;
            use = coming[bit] > use ? coming[bit] : use;
        }
    }
    c->farthest[space] = space * b->stride + best;
    c->reach[space] = use == 0 ? 0 : belady_reach(b, c, c->farthest[space]);
    belady_retop(c, space);
    if (use == 0 || !equal)
        return;
    for (uint32_t w = 0; w < b->words; w++)
        for (uint64_t left = except ? resident[w] & ~except[w] : resident[w]; left; left &= left - 1)
            belady_offer(b, c, space, space * b->stride + w * 64 + (uint32_t)__builtin_ctzll(left));
}

static inline void belady_set(const belady *b, belady_cache *c, uint32_t space, uint32_t object, bool there)
{
    const uint32_t at = object - space * b->stride;
    uint64_t *word = &c->resident[(size_t)space * b->words + at / 64], bit = 1ull << (at & 63);
    *word = there ? *word | bit : *word & ~bit;
    c->used[b->bucket] += there ? belady_unit(b, space) : -belady_unit(b, space);
}

/* The space whose farthest is the farthest of all that may leave; `spaces` where none has any. What is left of a farthest that is
 * used now does not count: it is of the event at hand. */
static inline uint32_t belady_space(const belady *b, belady_cache *c, uint64_t least)
{
    if (b->buckets > 1)
        return c->reach[b->space] >= least ? b->space : b->spaces;
    if (c->top == UINT32_MAX) {
        c->top = 0;
        for (uint32_t s = 1; s < b->spaces; s++)
            c->top = c->reach[s] > c->reach[c->top] ? s : c->top;
    }
    return c->reach[c->top] >= least ? c->top : b->spaces;
}

/* The farthest leaves, but none in `except` of the event's space; `least`: none whose reach is below. UINT32_MAX: there is none. */
static inline uint32_t belady_leave(const belady *b, belady_cache *c, const uint64_t *except, uint64_t least)
{
    const uint32_t space = belady_space(b, c, least);
    if (space == b->spaces)
        return UINT32_MAX;
    const uint32_t object = c->farthest[space];
    belady_set(b, c, space, object, false);
    belady_look(b, c, space, space == b->space ? except : NULL);
    return object;
}

static inline uint64_t belady_others(const belady *b)
{
    return ((uint64_t)b->now + 1) << 32;
}

/* Others leave until the cache takes no more than `most`. */
static void belady_make(const belady *b, belady_cache *c, int64_t most)
{
    while (c->used[b->bucket] > most && belady_leave(b, c, b->pinned, belady_others(b)) != UINT32_MAX)
        ;
}

/* What is resident of the event counts from now on: with bypass those used last first, until what is left cannot be the farthest. */
static inline void belady_count_in(const belady *b, belady_cache *c)
{
    const uint64_t *resident = c->resident + (size_t)b->space * b->words;
    for (uint32_t m = b->bypass ? b->count : 0; m-- > 0;) {
        const uint32_t i = b->order[m], id = b->id[i];
        if (b->next[i] < c->reach[b->space] >> 32)
            return;
        if (resident[id >> 6] >> (id & 63) & 1)
            belady_offer(b, c, b->space, b->space * b->stride + id);
    }
    if (b->bypass)
        return;
    for (uint32_t w = 0; w < b->words; w++)
        for (uint64_t left = resident[w] & b->mask[w]; left; left &= left - 1)
            belady_offer(b, c, b->space, b->space * b->stride + w * 64 + (uint32_t)__builtin_ctzll(left));
}

/* The same where the whole event is resident, as it nearly always is. */
static inline void belady_whole(const belady *b, belady_cache *c)
{
    if (b->tied)
        belady_count_in(b, c);
    else if (b->last_use >= c->reach[b->space] >> 32)
        belady_offer(b, c, b->space, b->last);
}

/* Misses that are to be kept get their place in the order of arrival. */
static inline void belady_note(const belady *b, belady_cache *c)
{
    for (uint32_t i = 0; i < b->count; i++)
        if (b->stay[b->id[i] >> 6] >> (b->id[i] & 63) & 1)
            c->entered[b->space * b->stride + b->id[i]] = ++c->clock;
}

static inline void belady_enter(const belady *b, belady_cache *c, int64_t units)
{
    for (uint32_t w = 0; w < b->words; w++)
        c->resident[(size_t)b->space * b->words + w] |= b->stay[w];
    c->used[b->bucket] += units;
}

/* It stays after all. */
static void belady_return(const belady *b, belady_cache *c, uint32_t object)
{
    belady_set(b, c, object / b->stride, object, true);
    belady_offer(b, c, object / b->stride, object);
}

/* The misses that are used soonest take the free room, then the places of residents that are used later than they are. Those leave
 * at once; of unequal sizes too many may have been claimed, and the last of them stay. Returns what the kept take. */
static int64_t belady_admit(belady *b, belady_cache *c, const uint64_t *resident)
{
    const int64_t unit = belady_unit(b, b->space);
    int64_t kept = 0;
    uint32_t claims = 0;
    memset(b->stay, 0, b->words * sizeof *b->stay);
    for (uint32_t m = 0; m < b->count; m++) {
        const uint32_t i = b->order[m];
        if (resident[b->id[i] >> 6] >> (b->id[i] & 63) & 1)
            continue;
        while (b->next[i] != ES_NEVER_USED && c->used[b->bucket] + kept + unit > c->room) {
            const uint32_t left = belady_leave(b, c, b->pinned, ((uint64_t)b->next[i] + 1) << 32);
            if (left == UINT32_MAX)
                break;
            b->claimed[claims++] = left;
        }
        if (c->used[b->bucket] + kept + unit <= c->room) {
            b->stay[b->id[i] >> 6] |= 1ull << (b->id[i] & 63);
            kept += unit;
        }
    }
    while (claims > 0 && (b->ask->rule == ES_CURVE_KEEP_BEST ||
        c->used[b->bucket] + kept + belady_unit(b, b->claimed[claims - 1] / b->stride) <= c->room))
        belady_return(b, c, b->claimed[--claims]);
    return kept;
}

/* The same by slots, where what leaves is what comes: who finds no place ends it, for the others are used later. */
static int64_t belady_admit_slots(belady *b, belady_cache *c, const uint64_t *resident)
{
    int64_t free = c->room - c->used[b->bucket], kept = 0;
    memset(b->stay, 0, b->words * sizeof *b->stay);
    for (uint32_t m = 0; m < b->count; m++) {
        const uint32_t i = b->order[m], id = b->id[i];
        if (resident[id >> 6] >> (id & 63) & 1)
            continue;
        if (free > 0)
            free--;
        else if (b->next[i] == ES_NEVER_USED || belady_leave(b, c, b->pinned, ((uint64_t)b->next[i] + 1) << 32) == UINT32_MAX)
            break;
        b->stay[id >> 6] |= 1ull << (id & 63);
        kept++;
    }
    return kept;
}

/* Room for one miss, out of what may leave, some of the event too: all of it or nothing. */
static bool belady_room(const belady *b, belady_cache *c, int64_t unit)
{
    uint32_t claims = 0;
    belady_look(b, c, b->space, b->guard);
    while (c->used[b->bucket] + unit > c->room) {
        const uint32_t left = belady_leave(b, c, b->guard, 1ull << 32);
        if (left == UINT32_MAX)
            break;
        b->claimed[claims++] = left;
    }
    if (c->used[b->bucket] + unit <= c->room)
        return true;
    while (claims > 0)
        belady_return(b, c, b->claimed[--claims]);
    return false;
}

/* The event needs more than its room: hits are computed first, then each miss as it comes in; each may leave once it is computed, which
 * happens only as far as the next miss needs it. */
static void belady_waves(const belady *b, belady_cache *c)
{
    const int64_t unit = belady_unit(b, b->space);
    uint64_t *resident = c->resident + (size_t)b->space * b->words;
    uint16_t *computed = b->rank;
    uint32_t count = 0, freed = 0;
    memcpy(b->guard, b->mask, b->words * sizeof *b->guard);
    for (uint32_t i = 0; i < b->count; i++)
        if (resident[b->id[i] >> 6] >> (b->id[i] & 63) & 1)
            computed[count++] = b->id[i];
    for (uint32_t i = 0; i < b->count; i++) {
        const uint16_t id = b->id[i];
        if (!(b->stay[id >> 6] >> (id & 63) & 1))
            continue;
        for (; !belady_room(b, c, unit) && freed < count; freed++)
            b->guard[computed[freed] >> 6] &= ~(1ull << (computed[freed] & 63));
        belady_set(b, c, b->space, b->space * b->stride + id, true);
        computed[count++] = id;
    }
    belady_look(b, c, b->space, b->mask);
}

/* After the event: what exceeds the room leaves, as the contract says. */
static void belady_trim(belady *b, belady_cache *c)
{
    const es_curve_rule rule = b->ask->rule;
    if (c->used[b->bucket] > c->room && rule == ES_CURVE_PERSIST) {
        b->pinned = b->mask;
        belady_look(b, c, b->space, b->mask);
        belady_make(b, c, c->room);
        belady_count_in(b, c);
    } else if (c->used[b->bucket] > c->room) {
        while (c->used[b->bucket] > c->room)
            belady_leave(b, c, NULL, 1ull << 32);
    }
}

static void belady_misses(belady *b, belady_cache *c, uint32_t hits)
{
    const es_curve_rule rule = b->ask->rule;
    const int64_t unit = belady_unit(b, b->space);
    const uint64_t *resident = c->resident + (size_t)b->space * b->words;
    int64_t units = (b->count - hits) * unit;
    const bool calls = rule == ES_CURVE_SERIALIZED_PINNED && b->called * unit <= c->room;
    b->pinned = calls ? b->call : b->mask;
    if (calls)
        belady_look(b, c, b->space, b->call);
    for (uint32_t w = 0; w < b->words; w++)
        b->stay[w] = b->mask[w] & ~resident[w];
    if (b->bypass)
        units = b->ask->bytes || rule == ES_CURVE_KEEP_BEST ? belady_admit(b, c, resident) : belady_admit_slots(b, c, resident);
    if (units > 0)
        belady_note(b, c);
    if (rule == ES_CURVE_WAVES && hits * unit + units > c->room) {
        belady_waves(b, c);
        belady_count_in(b, c);
        return;
    }
    if (rule != ES_CURVE_KEEP_BEST)
        belady_make(b, c, c->room - units);
    belady_enter(b, c, units);
    if (calls)
        belady_look(b, c, b->space, NULL);
    else if (units == (b->count - hits) * unit)
        belady_whole(b, c);
    else
        belady_count_in(b, c);
    belady_trim(b, c);
}

static inline void belady_event(belady *b, belady_cache *c, uint64_t *counted)
{
    const uint64_t *resident = c->resident + (size_t)b->space * b->words;
    uint32_t hits = 0;
    if (c->room < belady_unit(b, b->space))
        return;
    for (uint32_t w = 0; w < b->words; w++)
        hits += (uint32_t)__builtin_popcountll(resident[w] & b->mask[w]);
    *counted += hits;
    if (hits < b->count) {
        belady_misses(b, c, hits);
        return;
    }
    belady_whole(b, c);
    if (b->ask->rule == ES_CURVE_PERSIST)
        belady_trim(b, c);
}

/* What is the same for all sizes: the masks of the event, and when its experts are used next. */
static void belady_begin(belady *b, const uint16_t *id, const uint32_t *next, uint32_t count, uint32_t space, uint32_t now)
{
    b->id = id;
    b->next = next;
    b->count = count;
    b->space = space;
    b->bucket = b->buckets > 1 ? space : 0;
    b->now = now;
    b->last_use = 0;
    memset(b->mask, 0, b->words * sizeof *b->mask);
    for (uint32_t i = 0; i < count; i++) {
        b->mask[id[i] >> 6] |= 1ull << (id[i] & 63);
        b->coming[space * b->stride + id[i]] = next[i];
        b->tied = next[i] == b->last_use || (b->tied && next[i] < b->last_use);
        b->last = next[i] > b->last_use ? space * b->stride + id[i] : b->last;
        b->last_use = next[i] > b->last_use ? next[i] : b->last_use;
    }
    for (uint32_t i = 0; b->bypass && i < count; i++) {
        uint32_t j = i;
        for (; j > 0 && next[b->order[j - 1]] > next[i]; j--)
            b->order[j] = b->order[j - 1];
        b->order[j] = (uint16_t)i;
    }
}

static void belady_empty(const belady *b, belady_cache *c)
{
    memset(c->used, 0, b->buckets * sizeof *c->used);
    memset(c->resident, 0, (size_t)b->spaces * b->words * sizeof *c->resident);
    memset(c->reach, 0, b->spaces * sizeof *c->reach);
    c->top = UINT32_MAX;
}

typedef struct belady_group {
    belady_cache *cache;
    uint32_t caches, rows;
    uint64_t ignored;
} belady_group;

static void belady_step(belady *b, belady_group *g, uint8_t flags)
{
    const size_t row = (flags & ES_EVENT_DECODE ? g->rows : 0) + (g->rows > 1 ? b->space : 0);
    for (uint32_t c = 0; c < g->caches; c++)
        belady_event(b, &g->cache[c], flags & ES_EVENT_SKIPPED ? &g->ignored : g->cache[c].count + row);
}

/* The lookups of an event one after another. */
static void belady_serial(belady *b, belady_group *g, const es_events *events, const uint32_t *next, uint32_t event)
{
    const uint64_t from = events->begin[event];
    b->called = es_events_width(events, event);
    memset(b->call, 0, b->words * sizeof *b->call);
    for (uint32_t i = 0; i < b->called; i++)
        b->call[events->id[from + i] >> 6] |= 1ull << (events->id[from + i] & 63);
    for (uint32_t i = 0; i < b->called; i++) {
        belady_begin(b, events->id + from + i, next + from + i, 1, es_events_space(events, event), (uint32_t)(from + i));
        belady_step(b, g, events->flags[event]);
    }
}

static void belady_walk(belady *b, belady_group *g, const es_events *events, const uint32_t *next)
{
    for (uint32_t e = 0; e < events->count; e++) {
        const uint64_t from = events->begin[e];
        for (uint32_t c = 0; b->ask->reset && events->flags[e] & ES_EVENT_FRESH && c < g->caches; c++)
            belady_empty(b, &g->cache[c]);
        if (b->serial) {
            belady_serial(b, g, events, next, e);
        } else {
            belady_begin(b, events->id + from, next + from, es_events_width(events, e), es_events_space(events, e), e);
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

static bool belady_new(belady *b, const belady_job *job)
{
    const es_events *events = job->events;
    *b = (belady){.ask = job->ask, .bypass = job->bypass, .serial = es_curve_serial(job->ask), .spaces = events->spaces, .words = events->stride / 64,
        .stride = events->stride, .buckets = job->ask->per_layer ? events->spaces : 1};
    b->coming = ES_NEW_ARRAY(job->arena, events->objects, uint32_t);
    b->mask = ES_NEW_ARRAY(job->arena, b->words, uint64_t);
    b->call = ES_NEW_ARRAY(job->arena, b->words, uint64_t);
    b->stay = ES_NEW_ARRAY(job->arena, b->words, uint64_t);
    b->guard = ES_NEW_ARRAY(job->arena, b->words, uint64_t);
    b->order = ES_NEW_ARRAY(job->arena, b->stride, uint16_t);
    b->rank = ES_NEW_ARRAY(job->arena, b->stride, uint16_t);
    b->claimed = ES_NEW_ARRAY(job->arena, events->objects, uint32_t);
    return b->coming && b->mask && b->call && b->stay && b->guard && b->order && b->rank && b->claimed;
}

static bool belady_new_cache(const belady *b, belady_cache *c, es_arena *arena)
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
    belady b;
    belady_cache cache[BELADY_GROUP] = {0};
    belady_group g = {.cache = cache, .rows = job->hits->rows};
    bool good = belady_new(&b, job);
    for (uint32_t c = 0; good && c < BELADY_GROUP && c < sizes; c++)
        good = belady_new_cache(&b, &cache[c], job->arena);
    if (!good)
        return es_err_nomem(err, "the caches of the optimum");
    for (uint32_t done = 0; done < sizes; done += g.caches) {
        g.caches = sizes - done < BELADY_GROUP ? sizes - done : BELADY_GROUP;
        for (uint32_t c = 0; c < g.caches; c++) {
            belady_empty(&b, &cache[c]);
            cache[c].clock = 0;
            cache[c].room = (int64_t)job->capacity[done + c];
            cache[c].count = job->hits->count + (size_t)(done + c) * 2 * job->hits->rows;
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
        curves[i] = (es_curve){.sizes = job->sizes, .capacity = job->capacity, .hits = hits, .decode_hits = decode};
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
    if (!job.capacity || !hits->count)
        return es_err_nomem(err, "the hits of the optimum");
    const uint32_t apart = belady_apart(&job);
    es_code code = apart > 0 ? belady_sizes(&job, apart, err) : ES_OK;
    if (code == ES_OK && apart < job.sizes)
        code = belady_read(&job, apart, err);
    return code == ES_OK ? belady_answer(&job, curves, err) : code;
}
