/* Quick: a step of one token in the plainest machine: one cache before home over one first-come-first-served link, nobody guesses,
 * refuses, dispatches or holds back, nobody listens to single copies, all objects alike, at most 64 experts. It does what replay.c,
 * fetch.c and channel.c do, in the same order, in a fraction of the instructions; tests/property compares both ways.
 *
 * Without a clock a pure cache simulator spends its time here. With one, nothing can come between the copies of an event, so the
 * calendar has nothing to decide and a layer is arithmetic: copy i starts when copy i - 1 has landed, its expert is computed when
 * both it and the gpu are there.
 *
 * Registers are few and every listener is a call, so what changes lives in es_run and is changed there by single instructions. */
#include "sim/core/row.h"

#define QUICK_INLINE static inline __attribute__((always_inline))

/* One link that one copy uses at a time, at known cost. */
static bool quick_link(const es_run *run)
{
    const es_tier *tier = &run->tier[run->serving];
    if (tier->hops[run->home] != 1 || !run->expert_ns || run->plan->compute.overlap != ES_RESIDENT_FIRST)
        return false;
    const es_link *link = &run->link[tier->way[run->home]];
    const es_chan *chan = &run->chan[link->channel[0]];
    const es_queue many = {.waiting = {[ES_CLASS_DEMAND] = ES_MOST_CHANNELS}};
    for (uint32_t l = 0; l < run->view.layers; l++)
        if (chan->chunk > 0 && chan->chunk < run->bytes[l])
            return false;
    return link->channel_count == 1 && !run->chan[run->gpu].unit && !link->elastic && chan->lanes == 1 && !chan->slows && !chan->timing_varies && chan->timing &&
        (!chan->scheduler->batch || chan->scheduler->batch(chan->scheduler_state, ES_CLASS_DEMAND, &many) <= 1);
}

void es_quick_open(es_run *run)
{
    const es_tier *tier = &run->tier[run->serving];
    int overflow = run->contract->overflow;
    unsigned single = ES_HEARS(ES_FACT_QUEUE) | ES_HEARS(ES_FACT_START) | ES_HEARS(ES_FACT_LAND) | ES_HEARS(ES_FACT_EVICT) |
        ES_HEARS(ES_FACT_STALL) | ES_HEARS(ES_FACT_COMPUTE);
    es_quick *q = &run->quick;
    q->fits = run->tiers == 2 && !run->composer.routes && !run->predictor && !run->decides && !run->grace.on && tier->uniform && !run->view.per_layer &&
        tier->demote == ES_NO_TIER && (overflow == ES_WAVES || overflow == ES_TRIM) && !(run->heard & single) && run->view.words_per_layer == 1 &&
        (int64_t)run->composer.info->top_k * tier->unit[0] <= tier->room[0] && (!run->view.timed || (run->wakes == 0 && quick_link(run)));
    if (!q->fits)
        return;
    q->unit = tier->unit[0];
    q->resident = tier->view->resident;
    q->need = (es_need){.tier = run->serving, .bucket = tier->view->first_bucket, .why = ES_DEMAND, .all = run->view.timed && overflow == ES_WAVES};
    q->victims = run->policy->victims;
    q->victim = tier->victims;
    q->link = tier->way[run->home];
    for (uint32_t i = 0; i < 64; i++)
        q->bit[i] = 1ull << i;
}

/* ---- the event ---- */

/* How many of a row that ends in ES_NO_EXPERT are experts. */
static ES_COLD uint32_t quick_short(const uint16_t *ids, uint32_t n)
{
    while (n > 0 && ids[n - 1] == ES_NO_EXPERT)
        n--;
    return n;
}

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

/* Looks a row up and tells of its use. false: the row is empty, or faulty (run->code). */
QUICK_INLINE bool quick_event(es_run *run, const uint16_t *ids, size_t top_k)
{
    es_event *e = &run->composer.event;
    es_quick *q = &run->quick;
    uint32_t n = (uint32_t)top_k;
    if (ids[top_k - 1] != ES_NO_EXPERT) {
        q->mask = quick_mask(q->bit, ids, n);
    } else {
        n = quick_short(ids, n);
        q->mask = quick_mask(q->bit, ids, n);
        if (n == 0)
            return false;
    }
    q->hit = q->mask & q->resident[e->word];
    if ((uint32_t)__builtin_popcountll(q->mask) != n) {
        quick_twice(run);
        return false;
    }
    e->list = e->touch = ids;
    e->count = e->assignments = n;
    e->hits = (uint32_t)__builtin_popcountll(q->hit);
    for (const es_listener *l = run->hears[ES_FACT_USE]; l->notify; l++)
        l->notify(l->self, &run->use);
    return true;
}

QUICK_INLINE void quick_release(es_run *run)
{
    for (const es_listener *l = run->hears[ES_FACT_RELEASE]; l->notify; l++)
        l->notify(l->self, &run->release);
    run->composer.event.index++;
    run->composer.event.at += run->composer.event.count;
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

static ES_COLD void quick_fault(es_run *run)
{
    if (run->code == ES_OK)
        run->code = es_err_set(run->err, ES_EINTERNAL, "policy %s names too few victims, or one that is not there or may not leave, after event %llu of step %llu",
            run->policy->part.name, (unsigned long long)run->composer.event.index, (unsigned long long)run->composer.event.step);
}

QUICK_INLINE void quick_count(es_run *run, uint32_t layer, uint32_t misses)
{
    es_quick *q = &run->quick;
    uint64_t first = q->mask & ~q->hit & ~run->seen[layer];
    if (first)
        quick_first(run, layer, first);
    q->fetched += misses;
    q->bytes += misses * run->bytes[layer];
}

/* Room for what is lacking: victims leave. */
QUICK_INLINE void quick_room(es_run *run)
{
    es_quick *q = &run->quick;
    q->need.units = -q->spare * q->unit - q->rest;
    size_t gone = q->victims(run->policy_state, &q->need, q->victim, run->view.objects);
    run->tally.evictions += gone;
    uint64_t *resident = q->resident;
    for (const es_oid *v = q->victim, *end = v + gone; v < end; v++)
        resident[*v >> 6] &= ~1ull << (*v & 63) | ~1ull >> (-*v & 63);      /* all but one bit: a rotation */
    if ((q->spare += (int64_t)gone) < 0)
        quick_fault(run);
}

/* Without a clock: room for all that is missing, then all of it is there. No register lives across the question for victims. */
QUICK_INLINE void quick_fetch(es_run *run, uint32_t layer, uint32_t misses)
{
    es_quick *q = &run->quick;
    quick_count(run, layer, misses);
    if ((q->spare -= misses) < 0) {
        uint64_t *guard = &run->view.guard[layer];
        *guard = q->mask;
        quick_room(run);
        *guard = 0;
    }
    q->resident[run->composer.event.layer] |= q->mask;
}

/* With a clock: copy by copy in union order, each asking for room when it starts. The gpu is busy with the hits until `free`;
 * returns when it has computed all. */
static es_time quick_copies(es_run *run, uint32_t layer, uint32_t misses, es_time free)
{
    es_quick *q = &run->quick;
    const es_time copy = q->copy_ns, expert = run->expert_ns[layer];
    uint64_t *queued = &run->tier_view[run->serving].queued[layer], *resident = &q->resident[layer];
    es_time start = run->now;
    quick_count(run, layer, misses);
    run->view.guard[layer] = q->mask;
    *queued = q->mask & ~q->hit;
    for (const uint16_t *id = run->composer.event.list; *queued; id++) {
        uint64_t bit = q->bit[*id];
        if (!(*queued & bit))
            continue;
        if (--q->spare < 0)
            quick_room(run);
        *queued ^= bit;
        *resident |= bit;
        q->queue_ns += start - run->now;
        start += copy;
        if (start > free) {
            q->stall_ns += start - free;
            free = start;
        }
        free += expert;
    }
    run->view.guard[layer] = 0;
    q->busy_ns += misses * copy;
    return free;
}

/* ---- the step ---- */

/* Inlined for the usual numbers of experts per token, whose loops then fall away. */
QUICK_INLINE void quick_events(es_run *run, const uint16_t *ids, size_t top_k)
{
    es_event *e = &run->composer.event;
    for (const uint16_t *end = ids + run->view.layers * top_k; ids < end; ids += top_k, e->layer++, e->word++, e->base += 64) {
        if (quick_event(run, ids, top_k)) {
            if (e->hits != e->count)
                quick_fetch(run, e->layer, e->count - e->hits);
            quick_release(run);
        } else if (run->code != ES_OK) {
            return;
        }
    }
}

/* The cost of a copy is that of the layer's experts; nearly always the same as in the layer before. */
static es_time quick_copy_ns(es_run *run, uint32_t layer)
{
    es_quick *q = &run->quick;
    if (q->copy_bytes != run->bytes[layer]) {
        q->copy_bytes = run->bytes[layer];
        q->copy_ns = es_channel_copy_ns(run, q->link, layer * run->view.stride);
    }
    return q->copy_ns;
}

static void quick_timed_events(es_run *run, const uint16_t *ids, size_t top_k)
{
    es_event *e = &run->composer.event;
    const es_time dense = run->dense_ns = es_channel_dense_ns(run, 1, run->composer.step.token[run->composer.row].position);
    for (const uint16_t *end = ids + run->view.layers * top_k; ids < end; ids += top_k, e->layer++, e->word++, e->base += 64) {
        run->now += dense;
        run->times.dense += dense;
        run->gate = run->use.at = run->use.since = run->release.since = run->now;
        if (quick_event(run, ids, top_k)) {
            es_time free = run->now + e->hits * run->expert_ns[e->layer];
            run->times.expert_gpu += e->count * run->expert_ns[e->layer];
            if (e->hits != e->count) {
                quick_copy_ns(run, e->layer);
                free = quick_copies(run, e->layer, e->count - e->hits, free);
            }
            run->now = run->release.at = free;
            quick_release(run);
        }
        if (run->code != ES_OK)
            return;
    }
    run->chan[run->gpu].free_at = run->now;
}

/* What a step changed in its tier, its channel and the tally is brought there at its end, for who looks then. */
static void quick_settle(es_run *run, es_tier *tier, uint64_t evictions)
{
    es_quick *q = &run->quick;
    tier->used[0] = tier->held = tier->room[0] - q->spare * q->unit - q->rest;
    if (tier->held > tier->peak)
        tier->peak = tier->held;
    tier->view->evictions += run->tally.evictions - evictions;
    tier->view->insertions += q->fetched;
    run->tier_view[run->home].found += q->fetched;
    if (run->composer.event.counted) {
        run->tally.fetched_bytes += q->bytes;
        run->tally.decode_fetched_bytes += run->composer.event.phase == ES_DECODE ? q->bytes : 0;
    }
    if (!run->view.timed)
        return;
    es_chan *chan = &run->chan[run->link[q->link].channel[0]];
    run->asks += q->fetched;
    run->times.stall += q->stall_ns;
    chan->view->wait_ns += q->stall_ns;
    chan->view->queue_ns += q->queue_ns;
    chan->depth_area += q->queue_ns;    /* Little: what waits adds up to the waiting */
    chan->depth_since = run->now;
    chan->view->busy_ns += q->busy_ns;
    chan->view->bytes += q->bytes;
    chan->view->transfers += q->fetched;
    chan->view->batches += q->fetched;
}

void es_quick_step(es_run *run)
{
    es_composer *c = &run->composer;
    es_event *e = &c->event;
    es_quick *q = &run->quick;
    es_tier *tier = &run->tier[run->serving];
    const uint32_t top_k = c->info->top_k;
    const uint16_t *ids = c->step.ids + (size_t)c->row * c->info->layers * top_k;
    const uint64_t evictions = run->tally.evictions;
    const int64_t spare = tier->room[0] - tier->used[0];
    q->spare = spare / q->unit;
    q->rest = spare % q->unit;
    q->fetched = 0;
    q->bytes = 0;
    q->queue_ns = q->stall_ns = q->busy_ns = 0;

    es_composer_layer(run, 0);
    e->mask = &q->mask;
    e->hit = &q->hit;
    e->served = e->repeats = NULL;
    e->tokens = 1;
    e->row = c->row;
    e->last = true;
    e->late = e->foreseen = 0;
    e->index = c->events;
    e->at = c->positions;
    run->use.step = run->release.step = e->step;
    if (run->view.timed)
        quick_timed_events(run, ids, top_k);
    else if (top_k == 4)
        quick_events(run, ids, 4);
    else if (top_k == 6)
        quick_events(run, ids, 6);
    else if (top_k == 8)
        quick_events(run, ids, 8);
    else
        quick_events(run, ids, top_k);
    c->events = e->index;
    c->positions = e->at;
    quick_settle(run, tier, evictions);
}
