/* Belady's stack: forced admission at every size at once (Mattson, Gecsei, Slutz and Traiger 1970, for the optimal policy), with whole events
 * instead of single accesses.
 *
 * Larger caches hold what smaller ones hold, so the objects stand on a stack: the cache of size C holds its first C. An event of k objects
 * becomes the top k, the soonest used first. Below, going down, size by size: the cache of size C keeps of what it held the C - k that are used
 * soonest, so what has no place yet is carried along (the pool), and position j gets the soonest of the pool and of who stood there. Each
 * object of the event that is met leaves a hole, which the pool fills; when all have been met the pool is empty and nothing below changes.
 *
 * An entry is next use and object in one number, so that order, ties and "is of this event" (its next use is now) are one comparison. */
#include "sim/curve/belady.h"

typedef struct stack_one {      /* one cache, or the one of a layer */
    uint64_t *entry;            /* [objects] next use << 32 | object, from the top */
    uint32_t height;
} stack_one;

typedef struct stack {
    const es_events *events;
    const uint32_t *next;
    stack_one *one;             /* [caches] */
    uint32_t caches;
    uint64_t *present;          /* [spaces][stride / 64] objects on their stack */
    uint64_t *found;            /* [2][rows][depths] lookups found at a depth */
    uint32_t rows;
    size_t depths;
    uint64_t *whole, *some;     /* [depths] decode events of which the last, the first object is met at a depth; NULL: not counted */
    uint64_t *pool;             /* [stride + 1] the soonest first */
    uint32_t pooled;
    bool keep_best;
} stack;

static inline uint64_t stack_key(uint32_t next, size_t object)
{
    return (uint64_t)next << 32 | object;
}

static inline void stack_drop(stack *s, uint64_t entry)
{
    uint32_t i = s->pooled++;
    for (; i > 0 && s->pool[i - 1] > entry; i--)
        s->pool[i] = s->pool[i - 1];
    s->pool[i] = entry;
}

static inline uint64_t stack_soonest(stack *s)
{
    const uint64_t soonest = s->pool[0];
    s->pooled--;
    for (uint32_t i = 0; i < s->pooled; i++)
        s->pool[i] = s->pool[i + 1];
    return soonest;
}

/* The entry joins the pool and the soonest leaves it; without branches, because which of them that is cannot be foreseen. */
static inline uint64_t stack_pass(uint64_t *pool, uint32_t pooled, uint64_t entry)
{
    const uint64_t first = pool[0];
    const uint64_t soonest = entry < first ? entry : first;
    uint64_t rising = entry < first ? first : entry;
    for (uint32_t i = 1; i < pooled; i++) {
        const uint64_t at = pool[i];
        pool[i - 1] = rising < at ? rising : at;
        rising = rising < at ? at : rising;
    }
    pool[pooled - 1] = rising;
    return soonest;
}

/* How many of the event are on the stack; then all are. */
static uint32_t stack_enter(const stack *s, uint32_t space, const uint16_t *id, uint32_t count)
{
    uint64_t *present = s->present + (size_t)space * (s->events->stride / 64);
    uint32_t known = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t *word = &present[id[i] >> 6], bit = 1ull << (id[i] & 63);
        known += (*word & bit) != 0;
        *word |= bit;
    }
    return known;
}

typedef struct stack_span {     /* where an event's objects were met */
    uint32_t known, first, last;        /* how many were on the stack; depths of the first and the last of them */
} stack_span;

/* One event at time `now`. `found` counts its lookups at each depth. */
static stack_span stack_event(stack *s, stack_one *one, uint32_t space, uint64_t from, uint32_t count, uint32_t now, uint64_t *found)
{
    const uint16_t *id = s->events->id + from;
    const uint32_t known = stack_enter(s, space, id, count);
    const size_t base = (size_t)space * s->events->stride;
    const uint64_t behind = ((uint64_t)now + 1) << 32;      /* of this event is what lies below */
    uint64_t *entry = one->entry;
    uint32_t met = 0, at = 0;
    stack_span span = {.known = known};
    s->pooled = 0;
    if (!s->keep_best) {
        /* the top k becomes the event's, the soonest first; who stood there and is not of it is carried */
        for (; at < count && at < one->height; at++) {
            if (entry[at] >= behind) {
                stack_drop(s, entry[at]);
            } else {
                found[at]++;
                span.first = met++ ? span.first : at;
                span.last = at;
            }
        }
        for (uint32_t i = 0; i < count; i++) {
            const uint64_t key = stack_key(s->next[from + i], base + id[i]);
            uint32_t j = i;
            for (; j > 0 && entry[j - 1] > key; j--)
                entry[j] = entry[j - 1];
            entry[j] = key;
        }
        at = count;
    } else {
        for (uint32_t i = 0; i < count; i++)
            stack_drop(s, stack_key(s->next[from + i], base + id[i]));
    }
    /* as long as some of the event are not met, as many are carried */
    for (; met < known; at++) {
        if (entry[at] < behind) {
            found[at]++;
            span.first = met++ ? span.first : at;
            span.last = at;
            entry[at] = stack_soonest(s);
        } else {
            entry[at] = stack_pass(s->pool, s->pooled, entry[at]);
        }
    }
    /* what was never seen before makes the stack higher */
    for (; s->pooled > 0 && at < one->height; at++)
        entry[at] = stack_pass(s->pool, s->pooled, entry[at]);
    while (s->pooled > 0)
        entry[at++] = stack_soonest(s);
    one->height += count - known;
    return span;
}

static void stack_walk(stack *s, const es_curve_ask *ask, uint64_t *ignored)
{
    const es_events *events = s->events;
    for (uint32_t e = 0; e < events->count; e++) {
        const uint32_t space = es_events_space(events, e);
        const uint8_t flags = events->flags[e];
        if (ask->reset && flags & ES_EVENT_FRESH) {
            for (uint32_t c = 0; c < s->caches; c++)
                s->one[c].height = 0;
            for (size_t w = 0; w < events->objects / 64; w++)
                s->present[w] = 0;
        }
        const size_t row = (flags & ES_EVENT_DECODE ? s->rows : 0) + (s->rows > 1 ? space : 0);
        uint64_t *found = flags & ES_EVENT_SKIPPED ? ignored : s->found + row * s->depths;
        stack_one *one = &s->one[s->caches > 1 ? space : 0];
        const uint64_t from = events->begin[e];
        const uint32_t count = (uint32_t)(events->begin[e + 1] - from);
        if (!es_curve_serial(ask)) {
            const stack_span span = stack_event(s, one, space, from, count, e, found);
            if (s->whole && flags & ES_EVENT_DECODE && !(flags & ES_EVENT_SKIPPED) && span.known > 0) {
                s->whole[span.last] += span.known == count;
                s->some[span.first]++;
            }
            continue;
        }
        for (uint32_t i = 0; i < count; i++)
            stack_event(s, one, space, from + i, 1, (uint32_t)(from + i), found);
    }
}

es_code es_belady_stack(const es_events *events, const uint32_t *next, const es_curve_ask *ask, bool by_layer, es_hits *hits, es_arena *arena, es_err *err)
{
    const bool apart = ask->per_layer && events->spaces > 1;
    const size_t depths = apart ? events->experts : events->objects;
    stack s = {.events = events, .next = next, .caches = apart ? events->spaces : 1, .rows = apart || by_layer ? events->spaces : 1, .depths = depths,
        .keep_best = ask->rule == ES_CURVE_KEEP_BEST};
    s.one = ES_NEW_ARRAY(arena, s.caches, stack_one);
    s.present = ES_NEW_ARRAY(arena, events->objects / 64, uint64_t);
    s.found = ES_NEW_ARRAY(arena, 2 * s.rows * depths, uint64_t);
    s.pool = ES_NEW_ARRAY(arena, events->stride + 1, uint64_t);
    uint64_t *ignored = ES_NEW_ARRAY(arena, depths, uint64_t);
    *hits = (es_hits){.sizes = (uint32_t)depths + 1, .rows = s.rows};
    hits->count = ES_NEW_ARRAY(arena, (depths + 1) * 2 * s.rows, uint64_t);
    bool good = s.one && s.present && s.found && s.pool && ignored && hits->count;
    if (good && ask->cover) {
        s.whole = ES_NEW_ARRAY(arena, depths + 1, uint64_t);
        s.some = ES_NEW_ARRAY(arena, depths + 1, uint64_t);
        hits->whole = ES_NEW_ARRAY(arena, depths + 1, uint64_t);
        hits->some = ES_NEW_ARRAY(arena, depths + 1, uint64_t);
        good = s.whole && s.some && hits->whole && hits->some;
    }
    for (uint32_t c = 0; good && c < s.caches; c++)
        good = (s.one[c].entry = ES_NEW_ARRAY(arena, depths, uint64_t)) != NULL;
    if (!good)
        return es_err_nomem(err, "the stack of the optimum");
    stack_walk(&s, ask, ignored);
    /* a cache of size C finds what lies less deep than C */
    for (size_t d = 0; d < depths; d++)
        for (uint32_t r = 0; r < 2 * s.rows; r++)
            hits->count[(d + 1) * 2 * s.rows + r] = hits->count[d * 2 * s.rows + r] + s.found[r * depths + d];
    for (size_t d = 0; s.whole && d < depths; d++) {
        hits->whole[d + 1] = hits->whole[d] + s.whole[d];
        hits->some[d + 1] = hits->some[d] + s.some[d];
    }
    return ES_OK;
}
