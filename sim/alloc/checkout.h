/* Checkout: N equal heaps that are lent whole, as the published Metal memory pool does it. What it does it does here, oddities included:
 *
 *   - the heap given back last is lent first; no request says how much it needs
 *   - when none is left a temporary heap is made: exhaustion and fallback are counted, always together
 *   - a heap that is given back twice is in the list twice, and is then lent to two at once
 *   - a reset puts the counters to 0 and forgets that heaps are out: the leak reported later (acquired - released) may be negative */
#ifndef ES_ALLOC_CHECKOUT_H
#define ES_ALLOC_CHECKOUT_H

#include "sim/part/allocator.h"

typedef struct checkout {
    uint32_t heaps;
    uint32_t *available;        /* [room] the last is lent next */
    uint32_t count, room;
    uint32_t *out;              /* [heaps] to how many each is lent */
    uint64_t acquired, released, exhausted, fallback;
    uint64_t shared;            /* lent while already out */
    uint64_t lost;              /* given back once too often, and no room in the list */
} checkout;

static inline bool checkout_init(checkout *c, uint32_t heaps, uint32_t room, es_arena *arena)
{
    *c = (checkout){.heaps = heaps, .room = heaps + room, .count = heaps};
    c->available = ES_NEW_ARRAY(arena, c->room, uint32_t);
    c->out = ES_NEW_ARRAY(arena, heaps, uint32_t);
    if (!c->available || !c->out)
        return false;
    for (uint32_t i = 0; i < heaps; i++)
        c->available[i] = i;
    return true;
}

/* *heap is what is lent, or ES_NONE_POOL: a temporary one. false: there is no memory for that; the source then counts the exhaustion,
 * but no heap acquired. */
static inline bool checkout_acquire(checkout *c, bool memory, uint32_t *heap)
{
    *heap = ES_NONE_POOL;
    if (c->count == 0) {
        c->exhausted++;
        c->fallback++;
        c->acquired += memory;
        return memory;
    }
    c->acquired++;
    *heap = c->available[--c->count];
    c->shared += c->out[*heap] > 0;
    c->out[*heap]++;
    return true;
}

static inline void checkout_release(checkout *c, uint32_t heap)
{
    c->released++;
    if (heap == ES_NONE_POOL)
        return;
    if (c->out[heap] > 0)
        c->out[heap]--;
    if (c->count < c->room)
        c->available[c->count++] = heap;
    else
        c->lost++;
}

static inline void checkout_reset(checkout *c)
{
    c->acquired = c->released = c->exhausted = c->fallback = 0;
}

/* Adds up what is reported. */
static inline void checkout_add(checkout *sum, const checkout *c)
{
    sum->heaps += c->heaps;
    sum->count += c->count;
    sum->acquired += c->acquired;
    sum->released += c->released;
    sum->exhausted += c->exhausted;
    sum->fallback += c->fallback;
    sum->shared += c->shared;
}

static inline void checkout_report(const checkout *c, es_json *out)
{
    es_json_add_int(out, "acquired", (int64_t)c->acquired);
    es_json_add_int(out, "released", (int64_t)c->released);
    es_json_add_int(out, "leaked", (int64_t)(c->acquired - c->released));
    es_json_add_int(out, "exhaustion", (int64_t)c->exhausted);
    es_json_add_int(out, "fallback", (int64_t)c->fallback);
    es_json_add_int(out, "available", c->count);
    es_json_add_int(out, "shared", (int64_t)c->shared);
    es_json_add_real(out, "hit_rate", c->acquired ? 1.0 - (double)c->fallback / (double)c->acquired : 0.0);
    es_json_add_real(out, "utilization", 1.0 - (double)c->count / (double)c->heaps);
}

#endif
