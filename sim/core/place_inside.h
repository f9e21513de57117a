/* Inside tiers whose allocator places: what the files of place share.
 *
 *     place.c         opening, a place for a newcomer, taking it and giving it back
 *     place_hidden.c  copies that lookups do not find, as a published source has it
 *     place_over.c    events larger than the tier
 *     place_report.c  what is reported
 *
 * A bucket is the tier, or a layer's share of it (contract.scope: layer). Each has a state of the allocator, with pools of its own: the
 * masks of a pool are cut into those of its buckets as the objects are, by words. */
#ifndef ES_CORE_PLACE_INSIDE_H
#define ES_CORE_PLACE_INSIDE_H

#include "sim/core/core.h"

typedef struct es_words {       /* of a bucket: from .. end - 1 */
    uint32_t from, end;
} es_words;

static inline es_words es_place_words(const es_run *run, uint32_t bucket)
{
    const uint32_t words = run->view.words_per_layer;
    return run->view.per_layer ? (es_words){bucket * words, (bucket + 1) * words} : (es_words){0, run->view.words};
}

/* Of the tier, from 0. */
static inline uint32_t es_place_bucket(const es_run *run, es_oid object)
{
    return run->view.per_layer ? run->view.layer_of[object >> 6] : 0;
}

static inline void *es_place_state(const es_run *run, const es_ground *g, es_oid object)
{
    return g->state[es_place_bucket(run, object)];
}

/* What a copy takes in the tier: its weights, and the state of the optimizer where the tier keeps it. */
static inline int64_t es_place_bytes(const es_run *run, const es_tier *tier, uint32_t word)
{
    return tier->weight * run->bytes[word];
}

static inline es_place_ask es_place_asked(const es_run *run, const es_tier *tier, es_oid object)
{
    const uint32_t word = object >> 6;
    return (es_place_ask){.bytes = es_place_bytes(run, tier, word), .bits = run->view.bits[word], .pool = ES_NONE_POOL, .object = object, .now = run->now};
}

/* Whom the store has in a pool: its words. */
static inline uint64_t *es_place_member(const es_run *run, const es_ground *g, uint32_t pool)
{
    return g->member + (size_t)pool * run->view.words;
}

static inline int64_t es_place_capacity(const es_tier_view *view, uint32_t bucket)
{
    int64_t capacity = 0;
    for (uint32_t p = 0; p < view->pools; p++)
        capacity += view->pool[bucket][p].capacity;
    return capacity;
}

/* Where the ask may lie, best first, into g->choice: how many. */
uint32_t es_place_choices(es_ground *g, void *state, const es_place_ask *ask);
/* A place without anybody leaving? Then it is ready for the copy. */
bool es_place_reserve(es_run *run, es_ground *g, const es_place_ask *ask);

/* ---- place_hidden.c, where g->hidden ---- */
uint64_t *es_place_hidden(const es_run *run, const es_ground *g, uint32_t pool);        /* who lies in a pool unknown to lookups: its words */
bool es_place_reveal(const es_run *run, es_ground *g, es_oid object, uint32_t pool);    /* true: it was hidden there */
/* Where lookups did not find all that lay in the pool its source names who leaves. Somebody whom they do not find leaves at once (true),
 * from anybody else the fence is lifted, and raised before all others. */
bool es_place_named(es_run *run, uint32_t t, uint32_t bucket, uint32_t pool);
/* They leave although the policy has not named them: it is told as of a lower tier, for its victims it knows itself. */
void es_place_evict(es_run *run, uint32_t t, const es_oid *objects, uint32_t count);

/* ---- place_over.c ---- */
void es_place_trim_tier(es_run *run, uint32_t t);

#endif
