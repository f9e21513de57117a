/* Quick, inside: the event of one token as quick.c (without a clock) and quick_timed.c (with one) walk it. Inline: both spend their
 * time here. Registers are few and every listener is a call, so what changes lives in es_run and is changed there by single
 * instructions. */
#ifndef ES_CORE_QUICK_H
#define ES_CORE_QUICK_H

#include "sim/core/row.h"

#define QUICK_INLINE static inline __attribute__((always_inline))

/* The layers of a step under the simulated clock; quick.c has begun it and ends it. */
void es_quick_timed(es_run *run, const uint16_t *ids, size_t top_k);

/* ---- the event ---- */

/* The ids as bits. From a table: that takes two instructions per id, a shift takes four. */
QUICK_INLINE uint64_t quick_mask(const uint64_t bit[64], const uint16_t *ids, uint32_t n)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; i < n; i++)
        mask |= bit[ids[i]];
    return mask;
}

static ES_COLD void quick_twice(es_run *run)
{
    run->composer.layer = run->composer.event.layer;
    es_composer_fault(run, run->composer.row);
}

/* Looks up a row of n experts. false: one is listed twice (run->code). */
QUICK_INLINE bool quick_lookup(es_run *run, const uint16_t *ids, uint32_t n)
{
    es_event *e = &run->composer.event;
    es_quick *q = &run->quick;
    q->mask = quick_mask(q->bit, ids, n);
    q->hit = q->mask & q->resident[e->word];
    if ((uint32_t)__builtin_popcountll(q->mask) != n) {
        quick_twice(run);
        return false;
    }
    e->list = e->touch = ids;
    e->count = e->assignments = n;
    e->hits = (uint32_t)__builtin_popcountll(q->hit);
    return true;
}

QUICK_INLINE void quick_use(es_run *run)
{
    for (const es_listener *l = run->hears[ES_FACT_USE]; l->notify; l++)
        l->notify(l->self, &run->use);
}

QUICK_INLINE void quick_release(es_run *run, uint32_t n)
{
    if (es_bus_heard(run, ES_FACT_RELEASE))
        for (const es_listener *l = run->hears[ES_FACT_RELEASE]; l->notify; l++)
            l->notify(l->self, &run->release);
    run->composer.event.index++;
    run->composer.event.at += n;
}

/* ---- its misses ---- */

/* Misses that are the first use of an expert. */
static ES_COLD void quick_first(es_run *run, uint32_t layer, uint64_t first)
{
    if (!run->composer.event.counted)
        return;
    run->tally.compulsory += (uint64_t)__builtin_popcountll(first);
    run->seen[layer] |= first;
}

QUICK_INLINE void quick_count(es_run *run, uint32_t layer, uint64_t missing, uint32_t misses)
{
    uint64_t first = missing & ~run->seen[layer];
    if (first)
        quick_first(run, layer, first);
    run->quick.bytes += misses * run->bytes[layer];
}

/* The policy named an expert that it may not name: the first of the event's own that left, or `object`. */
static ES_COLD void quick_wrong(es_run *run, const es_oid *object)
{
    const es_event *e = &run->composer.event;
    uint64_t left = run->view.guard[e->word] & run->quick.hit & ~run->quick.resident[e->word];
    es_room_fault(run, run->serving, left ? e->base + (es_oid)__builtin_ctzll(left) : *object);
}

/* What the policy names leaves; returns how many. */
QUICK_INLINE int64_t quick_evict(es_run *run)
{
    es_quick *q = &run->quick;
    uint64_t *resident = q->resident;
    const size_t gone = q->victims(run->policy_state, &q->need, q->victim, run->view.objects), objects = run->view.objects;
    for (const es_oid *v = q->victim, *end = v + gone; v < end; v++) {
        const size_t object = *v;
        const uint64_t bit = q->bit[object & 63];
        if (object >= objects || !(resident[object >> 6] & bit)) {
            quick_wrong(run, v);
            return 0;
        }
        resident[object >> 6] ^= bit;
    }
    run->tally.evictions += gone;
    return (int64_t)gone;
}

#endif
