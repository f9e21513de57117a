/* Store: a copy's life, and the only place where masks and space change.
 *
 *   ABSENT --ask--> QUEUED --lane + room--> INBOUND --done--> RESIDENT --evict--> ABSENT, or to the tier below
 *
 * The state of an object in a tier is three masks of the view: queued, inbound, resident; none is ABSENT. Space is held by
 * INBOUND and RESIDENT. Each change is asserted against the state it starts from. */
#include "sim/core/core.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static inline int64_t *store_used(const es_run *run, es_tier *tier, es_oid object)
{
    return &tier->used[run->view.per_layer ? run->view.layer_of[object >> 6] : 0];
}

static void store_hold(es_run *run, es_tier *tier, es_oid object, int64_t units)
{
    if (tier->ground)
        units = es_place_take(run, tier, object);
    *store_used(run, tier, object) += units;
    tier->held += units;
    if (tier->held > tier->peak)
        tier->peak = tier->held;
}

static void store_give(es_run *run, es_tier *tier, es_oid object)
{
    int64_t units = tier->ground ? es_place_give(run, tier, object) : tier->unit[object >> 6];
    *store_used(run, tier, object) -= units;
    tier->held -= units;
}

void es_store_widen(es_run *run, es_tier *tier, es_oid object, int64_t units)
{
    *store_used(run, tier, object) += units;
    tier->held += units;
    tier->peak = tier->held > tier->peak ? tier->held : tier->peak;
}

void es_store_take(es_run *run, uint32_t t, es_oid object)
{
    es_tier *tier = &run->tier[t];
    size_t w = object >> 6;
    uint64_t bit = es_bit(object);
    assert(!(tier->view->resident[w] & bit) && !(tier->view->inbound[w] & bit));
    tier->view->queued[w] &= ~bit;
    tier->view->inbound[w] |= bit;
    store_hold(run, tier, object, tier->unit[w]);
}

void es_store_land(es_run *run, uint32_t t, es_oid object)
{
    es_tier *tier = &run->tier[t];
    size_t w = object >> 6;
    uint64_t bit = es_bit(object);
    assert(tier->view->inbound[w] & bit);
    tier->view->inbound[w] &= ~bit;
    tier->view->resident[w] |= bit;
    tier->view->insertions++;
}

/* Fewer links, or the link that the config names first. */
static bool store_nearer(const es_tier *to, uint32_t a, uint32_t b)
{
    return to->hops[a] < to->hops[b] || (to->hops[a] == to->hops[b] && to->way[a] < to->way[b]);
}

uint32_t es_store_nearest(const es_run *run, uint32_t to, es_oid object)
{
    uint32_t best = run->home;
    for (uint32_t t = 0; t < run->tiers; t++)
        if (t != to && store_nearer(&run->tier[to], t, best) && es_mask_has(run->tier_view[t].resident, object))
            best = t;
    return best;
}

static void store_drop(es_run *run, es_tier *tier, es_oid object)
{
    size_t w = object >> 6;
    assert(tier->view->resident[w] & es_bit(object));
    tier->view->resident[w] &= ~es_bit(object);
    store_give(run, tier, object);
}

bool es_store_lift(es_run *run, uint32_t from, uint32_t to, es_oid object)
{
    es_tier *tier = &run->tier[from];
    if (!tier->exclusive || tier->home || !es_mask_has(tier->view->resident, object))
        return false;
    store_drop(run, tier, object);
    es_dirty_moved(run, from, to, object);
    es_bus_objects(run, ES_FACT_LEAVE_LOW, ES_TOUCH, &object, 1, from, run->serving);
    return true;
}

void es_store_put_back(es_run *run, uint32_t t, uint32_t to, es_oid object)
{
    es_dirty_moved(run, to, t, object);
    es_tier *tier = &run->tier[t];
    tier->view->resident[object >> 6] |= es_bit(object);
    store_hold(run, tier, object, tier->unit[object >> 6]);
    es_bus_objects(run, ES_FACT_ARRIVE_LOW, ES_TOUCH, &object, 1, t, t);
}

/* What is OUTBOUND holds its room until it has left, unless it is in the tier's write buffer. */
static int64_t *store_leaving(es_run *run, es_tier *tier, es_oid object)
{
    return &tier->leaving[run->view.per_layer ? run->view.layer_of[object >> 6] : 0];
}

/* Out of the write buffer into the tier again, if that can make room. */
static bool store_unspool(es_run *run, uint32_t t, es_oid object)
{
    es_tier *tier = &run->tier[t];
    if (es_room_make(run, t, object, tier->unit[object >> 6], ES_DEMOTE) != ES_ROOM_OK)
        return false;
    es_spool_leave(run, tier, object);
    tier->spool.recalled++;
    store_hold(run, tier, object, tier->unit[object >> 6]);
    return true;
}

/* The copy on its way out of `t` stays after all; a write-back that has begun goes on, and then it is in both. */
static bool store_stay(es_run *run, uint32_t t, es_oid object)
{
    es_tier *tier = &run->tier[t];
    size_t w = object >> 6;
    if (!es_spool_has(tier, object))
        *store_leaving(run, tier, object) -= tier->unit[w];
    else if (!store_unspool(run, t, object))
        return false;
    tier->view->outbound[w] &= ~es_bit(object);
    tier->view->resident[w] |= es_bit(object);
    es_channel_stop_write(run, tier->demote, object);
    es_bus_objects(run, ES_FACT_RECALL, ES_DEMAND, &object, 1, t, tier->demote);
    es_channels_unblock(run);               /* who counted on its space asks again */
    return true;
}

void es_store_recall_at(es_run *run, uint32_t t, es_oid object)
{
    if (!es_mask_has(run->tier_view[t].outbound, object))
        return;
    if (store_stay(run, t, object))
        es_bus_objects(run, ES_FACT_ARRIVE_LOW, ES_TOUCH, &object, 1, t, t);
}

void es_store_recall_low(es_run *run, es_oid object)
{
    for (uint32_t t = 0; t < run->tiers; t++)
        if (t != run->serving)
            es_store_recall_at(run, t, object);
}

/* The victim's data must move before its space is free, or go into the write buffer. */
static void store_write_back(es_run *run, uint32_t from, uint32_t to, es_oid object)
{
    es_tier *tier = &run->tier[from];
    size_t w = object >> 6;
    tier->view->resident[w] &= ~es_bit(object);
    tier->view->outbound[w] |= es_bit(object);
    if (es_spool_enter(run, tier, object))
        store_give(run, tier, object);
    else
        *store_leaving(run, tier, object) += tier->unit[w];
    es_bus_objects(run, ES_FACT_OUTBOUND, ES_DEMAND, &object, 1, from, to);
    es_channel_write_back(run, from, to, object, false);
}

static void store_gone(es_run *run, uint32_t t, es_oid object, uint32_t to)
{
    es_tier *tier = &run->tier[t];
    size_t w = object >> 6;
    tier->view->outbound[w] &= ~es_bit(object);
    if (es_spool_has(tier, object)) {
        es_spool_leave(run, tier, object);
    } else {
        *store_leaving(run, tier, object) -= tier->unit[w];
        store_give(run, tier, object);
    }
    tier->view->evictions++;
    run->tally.evictions++;
    run->tally.demotions += to != ES_NO_TIER && !run->tier[to].home;
    es_bus_objects(run, t == run->serving ? ES_FACT_EVICT : ES_FACT_LEAVE_LOW, ES_DEMAND, &object, 1, t, to);
    if (run->made)
        es_make_left(run, object);
}

void es_store_written(es_run *run, uint32_t t, es_oid object)
{
    const es_tier *tier = &run->tier[t];
    if (!es_mask_has(tier->view->outbound, object))         /* wanted again meanwhile: it stays in both */
        return;
    if (tier->dirty && es_mask_has(tier->dirty, object))    /* and changed, and given up again */
        es_channel_write_back(run, t, tier->demote, object, false);
    else
        store_gone(run, t, object, tier->demote);
}

void es_store_give_up(es_run *run, uint32_t t, es_oid object)
{
    if (es_mask_has(run->tier_view[t].outbound, object))    /* else it only went through */
        store_gone(run, t, object, ES_NO_TIER);
    es_channels_unblock(run);
}

void es_store_recall(es_run *run, const es_event *event)
{
    es_tier *tier = &run->tier[run->serving];
    for (uint32_t w = event->word; w < event->word + event->words; w++)
        for (uint64_t left = tier->view->outbound[w] & event->mask[w - event->word]; left; left &= left - 1)
            store_stay(run, run->serving, w * 64 + (es_oid)__builtin_ctzll(left));
}

void es_store_abandon(es_run *run, uint32_t t, es_oid object)
{
    es_tier *tier = &run->tier[t];
    size_t w = object >> 6;
    assert(tier->view->inbound[w] & es_bit(object));
    tier->view->inbound[w] &= ~es_bit(object);
    store_give(run, tier, object);
    if (tier->serving && es_mask_has(run->fresh, object)) {
        run->fresh[w] &= ~es_bit(object);
        run->tally.wasted++;
    }
}

/* Has the lower tier `t` the object, or will it have it by a copy that is on its way? */
static bool store_comes(es_run *run, uint32_t t, es_oid object)
{
    const es_tier_view *tier = &run->tier_view[t];
    const es_xfer *x = run->view.timed ? &run->tier[t].xfer[object] : NULL;
    size_t w = object >> 6;
    if (x && (x->queued || x->running || x->hopping))
        return true;
    if (es_mask_has(tier->outbound, object))
        es_store_recall_low(run, object);
    return (tier->resident[w] | tier->inbound[w] | tier->queued[w]) & es_bit(object);
}

void es_store_arrive(es_run *run, uint32_t from, uint32_t to, es_oid object)
{
    es_tier *low = &run->tier[to];
    low->view->resident[object >> 6] |= es_bit(object);
    low->view->insertions++;
    store_hold(run, low, object, low->unit[object >> 6]);
    es_bus_objects(run, ES_FACT_ARRIVE_LOW, ES_DEMOTE, &object, 1, from, to);
}

/* One victim goes one tier down: what leaves there to make room goes further down or is dropped. */
static void store_demote(es_run *run, uint32_t from, uint32_t to, es_oid object)
{
    es_tier *low = &run->tier[to];
    if (low->home || store_comes(run, to, object))
        return;
    if (es_room_make(run, to, object, low->unit[object >> 6], ES_DEMOTE) != ES_ROOM_OK)
        return;
    es_store_arrive(run, from, to, object);
    run->tally.demotions++;
    if (run->tier[from].write_back != ES_WRITE_NEVER) {
        es_link_count(run, low->way[from], object);
        run->tier[from].written++;
        run->tally.writeback_bytes += run->bytes[object >> 6];
    }
}

/* Is it in another serving tier, or on its way there? */
static bool store_served_beside(const es_run *run, uint32_t t, es_oid object)
{
    for (uint32_t l = 0; l < run->levels; l++) {
        const es_tier_view *tier = &run->tier_view[run->level[l]];
        if (run->level[l] != t && (tier->resident[object >> 6] | tier->inbound[object >> 6]) & es_bit(object))
            return true;
    }
    return false;
}

void es_store_waste(es_run *run, uint32_t t, const es_oid *victims, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        es_oid object = victims[i];
        if (es_mask_has(run->fresh, object) && !store_served_beside(run, t, object)) {
            run->fresh[object >> 6] &= ~es_bit(object);
            run->tally.wasted++;
            run->tally.wasted_bytes += run->bytes[object >> 6];
        }
    }
}

/* Their copies are gone; what becomes of the data is for the caller. */
static void store_vanish(es_run *run, uint32_t t, const es_oid *victims, size_t count, es_why why, uint32_t to)
{
    es_tier *tier = &run->tier[t];
    if (tier->uniform && !run->view.per_layer) {
        uint64_t *resident = tier->view->resident;
        for (size_t i = 0; i < count; i++) {
            assert(es_mask_has(resident, victims[i]));
            resident[victims[i] >> 6] &= ~es_bit(victims[i]);
        }
        int64_t units = (int64_t)count * tier->unit[0];
        tier->used[0] -= units;
        tier->held -= units;
    } else {
        for (size_t i = 0; i < count; i++)
            store_drop(run, tier, victims[i]);
    }
    tier->view->evictions += count;
    run->tally.evictions += count;
    es_bus_objects(run, t == run->serving ? ES_FACT_EVICT : ES_FACT_LEAVE_LOW, why, victims, (uint32_t)count, t, to);
}

/* They leave for `to`, or for nowhere, without a transfer. */
static void store_leave(es_run *run, uint32_t t, const es_oid *victims, size_t count, es_why why, uint32_t to)
{
    store_vanish(run, t, victims, count, why, to);
    for (size_t i = 0; i < count && to != ES_NO_TIER; i++)
        store_demote(run, t, to, victims[i]);
    for (size_t i = 0; i < count && run->tier[t].dirty; i++)
        es_dirty_left(run, t, to, victims[i]);
    for (size_t i = 0; i < count && run->made; i++)
        es_make_left(run, victims[i]);
}

/* Without a clock, and where an overshoot must leave at once. */
static void store_write_now(es_run *run, uint32_t t, es_oid object, es_why why)
{
    if (!es_dirty_must(run, t, object)) {
        store_leave(run, t, &object, 1, why, run->tier[t].write_back == ES_WRITE_DIRTY ? ES_NO_TIER : run->tier[t].demote);
        return;
    }
    store_vanish(run, t, &object, 1, why, run->tier[t].demote);
    run->tally.demotions += !run->tier[run->tier[t].demote].home;
    es_dirty_copied(run, t, object);
}

/* A transfer, after which its room is free; nothing to wait for where nothing needs to be written, or what is on its way there takes
 * the change with it. */
static void store_write_in_time(es_run *run, uint32_t t, es_oid object, es_why why)
{
    const es_tier *tier = &run->tier[t];
    const uint32_t to = tier->demote;
    const es_xfer *x = &run->tier[to].xfer[object];
    const bool busy = x->running || x->queued || x->hopping;
    const bool ours = busy && x->kind == ES_CLASS_WRITE && run->link[x->link].from == t;
    const bool writes = x->running && ours;         /* since before it was wanted again */
    const bool must = es_dirty_must(run, t, object);
    if (!must && (tier->write_back == ES_WRITE_DIRTY || run->tier[to].home))
        store_leave(run, t, &object, 1, why, ES_NO_TIER);
    else if (must ? busy && !ours : !writes && store_comes(run, to, object))
        store_leave(run, t, &object, 1, why, to);
    else
        store_write_back(run, t, to, object);
}

/* Who was to read the copy from `t` has it in hand. */
static void store_let_go(es_run *run, uint32_t t, es_oid object)
{
    for (uint32_t u = 0; u < run->tiers; u++) {
        es_xfer *x = &run->tier[u].xfer[object];
        x->passing |= x->queued && x->kind != ES_CLASS_WRITE && run->link[x->link].from == t;
    }
}

void es_store_evict(es_run *run, uint32_t t, const es_oid *victims, size_t count, es_why why)
{
    const es_tier *tier = &run->tier[t];
    for (size_t i = 0; i < count && tier->lets_go && run->view.timed; i++)
        store_let_go(run, t, victims[i]);
    if (run->predictor && tier->serving)
        es_store_waste(run, t, victims, count);
    if (tier->write_back == ES_WRITE_NEVER) {
        store_leave(run, t, victims, count, why, tier->demote);
        return;
    }
    for (size_t i = 0; i < count; i++)
        if (run->view.timed && why != ES_RELEASE)
            store_write_in_time(run, t, victims[i], why);
        else
            store_write_now(run, t, victims[i], why);
}

void es_store_used_guess(es_run *run, uint32_t word, uint64_t wanted, uint64_t hits)
{
    run->tally.prefetch_hits += (uint64_t)__builtin_popcountll(run->fresh[word] & hits);
    run->fresh[word] &= ~wanted;
}

/* The policy has forgotten everything, but a guess on its way will land: it is told again. */
static void store_retell(es_run *run)
{
    const es_tier_view *tier = &run->tier_view[run->serving];
    uint32_t count = 0;
    for (uint32_t w = 0; w < run->view.words; w++)
        for (uint64_t left = tier->inbound[w]; left; left &= left - 1)
            run->moved[count++] = w * 64 + (es_oid)__builtin_ctzll(left);
    if (count > 0 && run->policy->part.hears >> ES_FACT_START_GUESS & 1)
        run->policy->part.notify(run->policy_state, &(es_fact){.kind = ES_FACT_START_GUESS, .why = ES_GUESS, .at = run->now, .since = run->now,
            .objects = run->moved, .count = count, .from = run->home, .to = run->serving, .channel = ES_NONE, .step = run->composer.steps});
}

void es_store_reset(es_run *run)
{
    for (uint32_t t = 0; t < run->tiers; t++) {
        es_tier *tier = &run->tier[t];
        if (tier->home)
            continue;
        for (uint32_t w = 0; w < run->view.words; w++)
            for (uint64_t left = tier->view->resident[w]; left; left &= left - 1) {
                store_drop(run, tier, w * 64 + (es_oid)__builtin_ctzll(left));
                es_dirty_left(run, t, ES_NO_TIER, w * 64 + (es_oid)__builtin_ctzll(left));
            }
        if (tier->ground)
            es_place_reset(run, tier);
    }
    memset(run->fresh, 0, run->view.words * sizeof *run->fresh);
    es_channels_unblock(run);
    es_bus_deliver(run, &(es_fact){.kind = ES_FACT_RESET, .at = run->now, .since = run->now, .from = ES_NO_TIER, .to = ES_NO_TIER,
        .channel = ES_NONE, .step = run->composer.steps});
    store_retell(run);
}

static void store_place(es_run *run, uint32_t t, es_oid object)
{
    es_store_take(run, t, object);
    es_store_land(run, t, object);
    run->settled[object >> 6] |= es_bit(object);
    run->tier[t].settled[run->view.per_layer ? run->view.layer_of[object >> 6] : 0] += run->tier[t].unit[object >> 6];
    run->tally.initial_loads++;
    if (run->contract->pins == 0)
        run->tally.initial_bytes += run->bytes[object >> 6];
}

es_code es_store_initial(es_run *run, es_err *err)
{
    es_tier *tier = &run->tier[run->serving];
    if (!run->policy->initial)
        return ES_OK;
    run->settled = es_new_mask(run);
    ES_NEED(run->settled, "pins");
    size_t named = run->policy->initial(run->policy_state, run->serving, tier->victims, run->view.objects), n = 0;
    for (size_t i = 0; i < named; i++) {
        es_oid object = tier->victims[i];
        if (object >= run->view.objects || !es_mask_has(run->view.exists, object) || es_mask_has(tier->view->resident, object))
            return es_err_set(err, ES_EINTERNAL, "policy %s: initial names object %u twice or out of range", run->policy->part.name, object);
        if (tier->ground && !es_place_beside(run, run->serving, object) && !es_place_free(run, run->serving, object))
            continue;           /* its pool is full: it comes when it is wanted */
        tier->victims[n++] = object;
        store_place(run, run->serving, object);
        uint32_t bucket = run->view.per_layer ? run->view.layer_of[object >> 6] : 0;
        if (tier->used[bucket] > tier->room[bucket])
            return es_err_set(err, ES_EINTERNAL, "policy %s: initial names more than tier %s has room for", run->policy->part.name, tier->name);
    }
    es_bus_objects(run, ES_FACT_START, ES_INITIAL, tier->victims, (uint32_t)n, run->home, run->serving);
    es_bus_objects(run, ES_FACT_LAND, ES_INITIAL, tier->victims, (uint32_t)n, run->home, run->serving);
    return ES_OK;
}
