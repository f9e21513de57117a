/* Events larger than the tier, in places.
 *
 *   waves      its experts come one by one; who finds no place although all that may leave has left lies outside until the event ends
 *   trim       the same at once
 *   keep_best  newcomers drive nobody out. Who finds no free place lies outside until the event ends; then, pool by pool, the policy
 *              names the least of those there and those who wait for the pool, until all who stay have a place. Moving in is paid as a
 *              move within the tier.
 *   bypass     who finds no place among what the pools hold, the event's own hits and pins left out, is read in place
 *   persist    as trim: what lies outside of all pools cannot stay there */
#include "sim/core/place_inside.h"

/* ---- does it fit? ---- */

/* One more object of the event finds its place among what the pools hold when nobody else is there. */
static bool place_counts(const es_run *run, es_ground *g, es_oid object)
{
    const es_tier *tier = &run->tier[run->serving];
    const uint32_t b = es_place_bucket(run, object);
    const es_place_ask ask = es_place_asked(run, tier, object);
    if (!g->allocator->choices) {
        const bool fits = g->count[0] >= tier->unit[object >> 6];
        g->count[0] -= fits ? tier->unit[object >> 6] : 0;
        return fits;
    }
    const uint32_t choices = es_place_choices(g, g->state[b], &ask);
    for (uint32_t i = 0; i < choices; i++) {
        const uint32_t p = g->choice[i];
        const int64_t takes = g->pool[b][p].slot_bytes ? g->pool[b][p].slot_bytes : ask.bytes;
        if (g->count[p] >= takes) {
            g->count[p] -= takes;
            return true;
        }
    }
    return false;
}

/* Where this one lies nobody else can. */
static void place_taken(es_ground *g, es_oid object)
{
    const es_block *block = &g->block[object];
    if (block->pool != ES_NONE_POOL)
        g->count[g->allocator->choices ? block->pool : 0] -= block->bytes;
}

static bool place_settled(const es_run *run, es_oid object)
{
    return run->settled && es_mask_has(run->settled, object) && es_mask_has(run->tier_view[run->serving].resident, object);
}

/* What the pools of the event's bucket hold beside what was put there at the start and stays. */
static void place_count(es_run *run, es_oid object)
{
    es_ground *g = run->tier[run->serving].ground;
    const uint32_t b = es_place_bucket(run, object);
    const es_words words = es_place_words(run, b);
    for (uint32_t p = 0; p < g->pools; p++)
        g->count[p] = g->pool[b][p].capacity;
    if (!g->allocator->choices)
        g->count[0] = es_place_capacity(run->tier[run->serving].view, b);
    for (uint32_t w = words.from; run->settled && w < words.end; w++)
        for (uint64_t left = run->settled[w] & run->tier_view[run->serving].resident[w]; left; left &= left - 1)
            place_taken(g, w * 64 + (es_oid)__builtin_ctzll(left));
}

/* Does it want a place? Pins that bring their own room do not, nor who has been there from the start. */
static bool place_wants(const es_run *run, const es_ground *g, es_oid object)
{
    return !place_settled(run, object) && !(g->beside && es_mask_has(g->beside, object));
}

bool es_place_exceeds(es_run *run, const es_event *event, const uint64_t *kept)
{
    es_ground *g = run->tier[run->serving].ground;
    place_count(run, event->base);
    for (uint32_t i = 0; i < event->count; i++) {
        const es_oid object = es_object(event, event->list[i]);
        if ((!kept || es_mask_has(kept, event->list[i])) && place_wants(run, g, object) && !place_counts(run, g, object))
            return true;
    }
    return false;
}

/* ---- bypass ---- */

void es_place_bypass(es_run *run, const es_event *event, uint32_t misses)
{
    es_ground *g = run->tier[run->serving].ground;
    const es_tier_view *view = &run->tier_view[run->serving];
    place_count(run, event->base);
    for (uint32_t i = 0; i < event->count; i++) {
        const es_oid object = es_object(event, event->list[i]);
        const bool there = es_mask_has(view->resident, object) || es_mask_has(view->inbound, object);
        if (there && place_wants(run, g, object))
            place_taken(g, object);
    }
    for (uint32_t i = 0; i < misses; i++) {
        const es_oid object = es_object(event, run->missing[i]);
        if (run->keep[i] && place_wants(run, g, object) && !place_counts(run, g, object))
            run->keep[i] = false;
    }
}

/* ---- the event ends ---- */

/* Who wants this place: those who have one in the pool, and those who lie outside and would go there first; how many of these. All others
 * are fenced off. */
static uint32_t place_rivals(es_run *run, uint32_t t, const es_place_ask *ask)
{
    es_ground *g = run->tier[t].ground;
    const es_tier *tier = &run->tier[t];
    const uint32_t b = es_place_bucket(run, ask->object);
    const es_words words = es_place_words(run, b);
    uint32_t outside = 0;
    for (uint32_t w = words.from; w < words.end; w++) {
        g->fence[w] = 0;
        for (uint64_t left = tier->view->resident[w]; left; left &= left - 1) {
            const es_oid object = w * 64 + (es_oid)__builtin_ctzll(left);
            const es_place_ask other = es_place_asked(run, tier, object);
            const bool beyond = es_mask_has(g->beyond, object);
            bool rival = g->block[object].pool == ask->pool;
            if (beyond)
                rival = es_place_choices(g, g->state[b], &other) > 0 && g->choice[0] == ask->pool;
            else if (g->allocator->helps)
                rival = g->allocator->helps(g->state[b], &g->block[object], ask);
            g->fence[w] |= rival ? 0 : left & -left;
            outside += rival && beyond;
        }
    }
    return outside;
}

/* Are there slots for all who lie outside and stay? Where a pool is not cut into slots, or one may be handed out twice, only trying tells. */
static bool place_roomy(const es_run *run, const es_ground *g, const es_place_ask *ask, uint32_t outside)
{
    const es_pool_view *pool = ask->pool == ES_NONE_POOL ? NULL : &g->pool[es_place_bucket(run, ask->object)][ask->pool];
    if (!pool || !pool->slot_bytes || run->view.as_coded)
        return true;
    return (pool->capacity - pool->used) / pool->slot_bytes >= outside;
}

/* From outside into the place that is ready. */
static void place_move_in(es_run *run, es_tier *tier, es_oid object, int64_t outside)
{
    es_ground *g = tier->ground;
    g->beyond[object >> 6] &= ~es_bit(object);
    g->ready[object >> 6] &= ~es_bit(object);
    g->outside -= outside;
    if (g->block[object].pool == ES_NONE_POOL) {
        g->outside += g->block[object].bytes;   /* where it is allowed to be */
        return;
    }
    es_place_member(run, g, g->block[object].pool)[object >> 6] |= es_bit(object);
    es_store_widen(run, tier, object, g->block[object].bytes);
    g->moves++;
    g->moved_bytes += outside;
    g->unpaid++;
    g->unpaid_bytes += outside;
}

/* The one outside finds a place, or leaves. All who are to leave the pool do so before anybody moves in, so nobody does for nothing.
 * false: nobody may leave. */
static bool place_best(es_run *run, uint32_t t, es_oid object)
{
    es_tier *tier = &run->tier[t];
    es_ground *g = tier->ground;
    const int64_t outside = g->block[object].bytes;
    es_place_ask ask = es_place_asked(run, tier, object);
    if (es_place_choices(g, es_place_state(run, g, object), &ask) == 0)
        return false;
    ask.pool = g->choice[0];
    ask.freed = &g->freed;
    g->freed.pool = ES_NONE_POOL;
    while (es_mask_has(g->beyond, object)) {
        if (place_roomy(run, g, &ask, place_rivals(run, t, &ask)) && es_place_reserve(run, g, &ask)) {
            place_move_in(run, tier, object, outside);
            return true;
        }
        if (es_room_free(run, &(es_need){.tier = t, .bucket = es_bucket_of(&run->view, t, object), .units = 1, .why = ES_RELEASE}, g->fence) == 0)
            return false;
    }
    return true;
}

/* Who lies outside leaves. */
void es_place_trim_tier(es_run *run, uint32_t t)
{
    const es_tier *tier = &run->tier[t];
    es_ground *g = tier->ground;
    for (uint32_t b = 0; b < g->buckets; b++) {
        const es_words words = es_place_words(run, b);
        int64_t units = 0;
        for (uint32_t w = words.from; w < words.end; w++) {
            const uint64_t over = g->beyond[w] & tier->view->resident[w];
            g->fence[w] = tier->view->resident[w] & ~over;
            units += __builtin_popcountll(over) * tier->unit[w];
        }
        if (units > 0)
            es_room_free(run, &(es_need){.tier = t, .bucket = tier->view->first_bucket + b, .units = units, .why = ES_RELEASE}, g->fence);
    }
}

void es_place_trim(es_run *run)
{
    const uint32_t t = run->serving;
    const es_ground *g = run->tier[t].ground;
    bool best = run->contract->overflow == ES_KEEP_BEST;
    for (uint32_t w = 0; best && w < run->view.words; w++)
        for (uint64_t over; best && (over = g->beyond[w] & run->tier_view[t].resident[w]);)
            best = place_best(run, t, w * 64 + (es_oid)__builtin_ctzll(over));
    es_place_trim_tier(run, t);
}
