/* Levels: several serving tiers, as L1, L2 and L3 of one device.
 *
 * The compute unit reads experts from any of them: an object that is resident in one is a hit, counted where it is found first, in the
 * order of the config. Demands arrive in the first. A hit further down rises to the first when the policy wants it there and room can
 * be made without exceeding: inside one memory that is a change of label, so it takes no time. The copy below stays, unless its tier is
 * exclusive. Guesses arrive where the policy places them (guess.c). */
#include "sim/core/core.h"

uint32_t es_levels_lookup(es_run *run)
{
    es_event *e = &run->composer.event;
    const bool every = run->plan->compute.access == ES_ACCESS_EVERY;
    uint32_t hits = 0, late = 0, foreseen = 0;
    for (uint32_t l = 0; l < run->levels; l++)
        run->tier[run->level[l]].touched_bytes = run->tier[run->level[l]].touched = 0;
    for (uint32_t w = 0; w < e->words; w++) {
        const uint32_t word = e->word + w;
        uint64_t hit = 0, inbound = 0, queued = 0;
        for (uint32_t l = 0; l < run->levels; l++) {
            es_tier *tier = &run->tier[run->level[l]];
            const uint64_t here = e->mask[w] & tier->view->resident[word];
            const uint32_t first = (uint32_t)__builtin_popcountll(here & ~hit), all = (uint32_t)__builtin_popcountll(here);
            tier->touched += every ? all : first;
            tier->touched_bytes += (every ? all : first) * run->bytes[word];
            tier->present += all;
            tier->view->found += first;
            hit |= here;
            inbound |= tier->view->inbound[word];
            queued |= tier->view->queued[word];
        }
        run->hit[w] = hit;
        run->coming[w] = e->mask[w] & inbound & ~hit;
        hits += (uint32_t)__builtin_popcountll(hit);
        late += (uint32_t)__builtin_popcountll(run->coming[w]);
        foreseen += (uint32_t)__builtin_popcountll(e->mask[w] & queued & ~inbound & ~hit);
        if (run->predictor)
            es_store_used_guess(run, word, e->mask[w], hit);
    }
    e->hits = hits;
    e->late = late;
    e->foreseen = foreseen;
    run->tally.late += late;
    return e->count - hits - late;
}

/* Brings what is resident in `from` to the first serving tier; false: there is no room. */
static bool levels_lift(es_run *run, uint32_t from, es_oid object)
{
    const uint32_t first = run->serving;
    const bool last = es_store_lifts_last(run, from, first), lifted = !last && es_store_lift(run, from, first, object);
    if (es_room_make(run, first, object, run->tier[first].unit[object >> 6], ES_TOUCH) != ES_ROOM_OK) {
        if (lifted)
            es_store_put_back(run, from, first, object);
        return false;
    }
    if (last)
        es_store_lift(run, from, first, object);
    es_store_take(run, first, object);
    es_bus_objects(run, ES_FACT_START, ES_TOUCH, &object, 1, from, first);
    es_store_land(run, first, object);
    es_bus_objects(run, ES_FACT_LAND, ES_TOUCH, &object, 1, from, first);
    run->tier[from].risen++;
    return true;
}

/* Does the event's object end in the first serving tier? */
static bool levels_rises(es_run *run, es_oid object)
{
    const es_policy *policy = run->policy;
    const es_tier_view *first = &run->tier_view[run->serving];
    if (es_mask_has(first->queued, object)) {   /* a guess would bring it there: that is no longer needed */
        es_channel_raise(run, run->serving, object);
        run->tally.cancelled++;
    }
    for (uint32_t l = 1; l < run->levels; l++) {
        const uint32_t from = run->level[l];
        if (es_mask_has(run->tier_view[from].resident, object))
            return (!policy->rises || policy->rises(run->policy_state, object, from)) && levels_lift(run, from, object);
    }
    return false;                   /* on its way to a lower one: it is used there */
}

void es_levels_rise(es_run *run)
{
    const es_event *e = &run->composer.event;
    const es_tier_view *first = &run->tier_view[run->serving];
    for (uint32_t i = 0; i < e->count; i++) {
        const es_oid object = es_object(e, e->list[i]);
        const uint32_t w = e->list[i] >> 6;
        const uint64_t bit = 1ull << (e->list[i] & 63);
        const bool there = es_mask_has(first->resident, object) || es_mask_has(first->inbound, object);
        if ((e->hit[w] | run->coming[w]) & bit && !there && !levels_rises(run, object))
            run->kept[w] &= ~bit;
    }
}

void es_levels_urge(es_run *run, es_oid object)
{
    for (uint32_t l = 0; l < run->levels; l++)
        if (es_mask_has(run->tier_view[run->level[l]].inbound, object))
            es_channel_hurry(run, run->level[l], object);
}

bool es_levels_raise(es_run *run, es_oid object)
{
    bool raised = false;
    for (uint32_t l = 0; l < run->levels; l++)
        if (es_mask_has(run->tier_view[run->level[l]].queued, object) && run->tier[run->level[l]].xfer[object].kind == ES_CLASS_GUESS) {
            es_channel_raise(run, run->level[l], object);
            raised = true;
        }
    return raised;
}

bool es_levels_passes(es_run *run, const es_xfer *x)
{
    const es_xfer *first = &run->tier[run->serving].xfer[x->object];
    if (!first->queued && !first->running && !first->hopping)
        return false;
    if (x->transient)
        es_channel_hurry(run, run->serving, x->object);     /* a guess that found no room here: now it is waited for further up */
    return first->kind == ES_CLASS_DEMAND;
}
