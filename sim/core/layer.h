/* Layer, inside: what an event needs under either clock. Inline, because replay.c runs it at every event of a run without time. */
#ifndef ES_CORE_LAYER_H
#define ES_CORE_LAYER_H

#include "sim/core/row.h"

/* Goes the call of a serialized_pinned event in waves? What was computed of it may leave then. */
static inline bool layer_call_waves(es_run *run)
{
    return run->contract->overflow == ES_WAVES && es_room_exceeds(run, &run->composer.event, run->composer.call);
}

/* What is protected while the event lasts: all of it, or under serialized_pinned all of its call. */
static inline const uint64_t *layer_pins(es_run *run)
{
    bool call = run->contract->judge == ES_SERIALIZED_PINNED && !layer_call_waves(run);
    return call ? run->composer.call : run->composer.event.mask;
}

static inline void layer_pin(es_run *run)
{
    const es_event *e = &run->composer.event;
    const uint64_t *pins = layer_pins(run);
    run->tally.overflow_events += run->contract->judge == ES_SERIALIZED_PINNED && run->composer.cut == 1 && layer_call_waves(run);
    for (uint32_t w = 0; w < e->words; w++)
        run->view.guard[e->word + w] |= pins[w];
}

static inline void layer_unpin(es_run *run)
{
    const es_event *e = &run->composer.event;
    const uint64_t *pins = layer_pins(run);
    for (uint32_t w = 0; w < e->words; w++)
        run->view.guard[e->word + w] &= ~pins[w];
}

/* Looks the event up; returns its misses, late ones not counted. */
static inline uint32_t layer_lookup(es_run *run)
{
    es_event *e = &run->composer.event;
    es_tier_view *tier = &run->tier_view[run->serving];
    uint32_t hits = 0, late = 0, foreseen = 0;
    if (run->levels > 1)
        return es_levels_lookup(run);
    e->late = e->foreseen = 0;
    if (!run->predictor) {
        for (uint32_t w = 0; w < e->words; w++) {
            uint64_t hit = run->hit[w] = e->mask[w] & tier->resident[e->word + w];
            hits += (uint32_t)__builtin_popcountll(hit);
        }
        e->hits = hits;
        return e->count - hits;
    }
    for (uint32_t w = 0; w < e->words; w++) {
        uint64_t hit = e->mask[w] & tier->resident[e->word + w];
        run->hit[w] = hit;
        hits += (uint32_t)__builtin_popcountll(hit);
        late += (uint32_t)__builtin_popcountll(e->mask[w] & tier->inbound[e->word + w]);
        foreseen += (uint32_t)__builtin_popcountll(e->mask[w] & tier->queued[e->word + w]);
        es_store_used_guess(run, e->word + w, e->mask[w], hit);
    }
    e->hits = hits;
    e->late = late;
    e->foreseen = foreseen;
    run->tally.late += late;
    return e->count - hits - late;
}

#endif
