/* Quick, timed: a step of one token in the plainest machine (quick.c) under the simulated clock, with or without a predictor, over
 * one link that carries one copy at a time, demands first. It does what replay.c, channel.c and transfer.c do, in the same order.
 *
 * Nothing can come between the demands of an event, so the calendar has nothing to decide and they are arithmetic: demand i starts
 * when demand i - 1 has landed, its expert is computed when both it and the gpu are there. Guesses go the general way, through
 * queue and calendar; they have the link before the gate and behind the last demand:
 *
 *   dense    guesses land and start until the gate
 *   gate     looked up; what was guessed of the layer is late, foreseen or cancelled; the predictor is asked
 *   copies   a guess in flight lands first, then demand after demand in union order
 *   rest     guesses land and start until the gpu is done
 *   release */
#include "sim/core/quick.h"

/* Guesses land and start, up to `until`; what lands then leaves the link free for who comes at that instant. */
static void timed_guesses(es_run *run, es_time until)
{
    if (run->dirty && run->now < until)
        es_channels_start(run);
    while (es_calendar_holds(&run->calendar, until)) {
        es_due *due = es_calendar_pop(&run->calendar);
        run->now = due->at;
        due->fire(run, due);
        if (run->dirty && run->now < until)
            es_channels_start(run);
    }
}

QUICK_INLINE void timed_until(es_run *run, es_time until)
{
    if (run->dirty | run->chan[run->quick.channel].busy)
        timed_guesses(run, until);
    run->now = until;
}

/* ---- the gate ---- */

/* What is known of the event's experts from guesses. */
QUICK_INLINE void timed_foreseen(es_run *run, uint32_t words)
{
    es_event *e = &run->composer.event;
    const es_tier_view *tier = &run->tier_view[run->serving];
    uint64_t any = 0;
    e->late = e->foreseen = 0;
    for (uint32_t w = 0; w < words; w++) {
        const uint64_t mask = run->quick.mask[w], queued = tier->queued[e->word + w], inbound = tier->inbound[e->word + w];
        e->late += (uint32_t)__builtin_popcountll(mask & inbound);
        e->foreseen += (uint32_t)__builtin_popcountll(mask & queued);
        if (run->fresh[e->word + w] & mask)
            es_store_used_guess(run, e->word + w, mask, run->quick.hit[w]);
        any |= queued;
    }
    run->tally.late += e->late;
    if (any)
        es_channel_gate(run, e);
}

/* Its guesses become demands: those that wait are asked for anew, the one in flight goes on as one. */
static void timed_demanded(es_run *run)
{
    const es_event *e = &run->composer.event;
    const es_tier_view *tier = &run->tier_view[run->serving];
    for (uint32_t w = 0; w < e->words; w++)
        for (uint64_t left = run->quick.mask[w] & tier->queued[e->word + w]; left; left &= left - 1) {
            run->tally.foreseen++;
            es_channel_raise(run, run->serving, e->base + w * 64 + (es_oid)__builtin_ctzll(left));
        }
    for (uint32_t w = 0; w < e->words; w++)
        for (uint64_t left = run->quick.mask[w] & tier->inbound[e->word + w]; left; left &= left - 1)
            es_channel_hurry(run, run->serving, e->base + w * 64 + (es_oid)__builtin_ctzll(left));
}

/* ---- copies ---- */

/* The policy named too little for a demand: under `waves` nothing can go on, under `trim` it is asked once more at the release. */
static ES_COLD void timed_short(es_run *run, es_time now, uint32_t missing)
{
    if (run->code != ES_OK)
        return;
    if (run->contract->overflow == ES_TRIM) {
        es_room_exceed(run);
        return;
    }
    run->now = now;
    run->wanted.count = missing;
    run->composer.layer = run->composer.event.layer;
    es_replay_stuck(run);
}

/* Room for one more. */
QUICK_INLINE void timed_room(es_run *run, int64_t lacking, es_time now, uint32_t missing)
{
    es_quick *q = &run->quick;
    es_tier *tier = &run->tier[run->serving];
    q->need.units = lacking;
    q->need.all = lacking > q->unit && run->contract->overflow == ES_WAVES;
    int64_t gone = quick_evict(run);
    if (run->tally.guess_copies)
        es_store_waste(run, run->serving, q->victim, (size_t)gone);
    gone *= q->unit;
    tier->used[0] -= gone;
    tier->held -= gone;
    if (gone < lacking)
        timed_short(run, now, missing);
}

/* The `missing` experts at hand are copied from `start` on, each asking for room when it starts. The gpu is busy with what it has until
 * `free`; returns when it has computed all. run->now becomes the time of the last landing. */
static es_time timed_copies(es_run *run, uint32_t missing, es_time free)
{
    const es_event *e = &run->composer.event;
    es_quick *q = &run->quick;
    es_tier *tier = &run->tier[run->serving];
    const es_time copy = es_channel_copy_ns(run, q->link, e->base), expert = run->expert_ns[e->layer];
    es_time start = run->now;
    for (const uint16_t *id = e->list; missing; id++) {
        const uint32_t w = *id >> 6;
        const uint64_t bit = q->bit[w][*id];
        if (!(q->missing[w] & bit))
            continue;
        const int64_t lacking = tier->used[0] + q->unit - tier->room[0];
        if (lacking > 0) {
            timed_room(run, lacking, start, missing);
            if (run->code != ES_OK)
                return free;
        }
        tier->used[0] += q->unit;
        tier->held += q->unit;
        missing--;
        tier->view->queued[e->word + w] ^= bit;
        q->resident[e->word + w] |= bit;
        q->queue_ns += start - run->gate;
        q->busy_ns += copy;
        start += copy;
        if (start > free) {
            q->stall_ns += start - free;
            free = start;
        }
        free += expert;
    }
    run->now = start;
    return free;
}

/* A late expert is computed when it has landed. */
static es_time timed_late(es_run *run, es_time free)
{
    const es_event *e = &run->composer.event;
    if (run->now > free) {
        run->quick.stall_ns += run->now - free;
        free = run->now;
    }
    return free + run->expert_ns[e->layer];
}

/* All that the event lacks, `missing` and what is late; `free` as in timed_copies. */
static es_time timed_lacking(es_run *run, uint32_t missing, es_time free)
{
    const es_event *e = &run->composer.event;
    if (run->chan[run->quick.channel].busy) {
        /* its end is the only thing that is pending */
        es_due *due = es_calendar_pop(&run->calendar);
        run->now = due->at;
        due->fire(run, due);
        if (e->late)
            free = timed_late(run, free);
    }
    if (missing) {
        free = timed_copies(run, missing, free);
        es_channels_unblock(run);
    }
    return free;
}

/* ---- the layer ---- */

QUICK_INLINE void timed_guard(es_run *run, const uint64_t *mask, uint32_t words)
{
    const es_event *e = &run->composer.event;
    for (uint32_t w = 0; w < words; w++)
        run->view.guard[e->word + w] = mask ? mask[w] : 0;
}

/* What is missing is asked for; returns how much. */
QUICK_INLINE uint32_t timed_miss(es_run *run, uint32_t words)
{
    const es_event *e = &run->composer.event;
    const uint32_t misses = e->count - e->hits - e->late;
    es_quick *q = &run->quick;
    es_tier_view *tier = &run->tier_view[run->serving];
    if (e->foreseen | e->late)
        timed_demanded(run);
    for (uint32_t w = 0; w < words; w++) {
        q->missing[w] = q->mask[w] & ~q->hit[w] & ~tier->inbound[e->word + w];
        tier->queued[e->word + w] |= q->missing[w];
        quick_missed(run, e->word + w, q->missing[w]);
    }
    q->bytes += misses * run->bytes[e->word];
    q->fetched += misses;
    return misses;
}

/* Returns how many have to be copied. */
QUICK_INLINE uint32_t timed_gate(es_run *run, uint32_t words)
{
    const es_event *e = &run->composer.event;
    if (run->predictor)
        timed_foreseen(run, words);
    timed_guard(run, run->quick.mask, words);
    quick_use(run);
    const uint32_t missing = e->hits != e->count ? timed_miss(run, words) : 0;
    if (run->predictor)
        es_guess_ask(run);
    return missing;
}

static inline void timed_peak(es_tier *tier)
{
    if (tier->held > tier->peak)
        tier->peak = tier->held;
}

QUICK_INLINE void timed_release(es_run *run, uint32_t words)
{
    const es_event *e = &run->composer.event;
    run->release.at = run->now;
    timed_guard(run, NULL, words);
    if (run->exceeded) {
        timed_peak(&run->tier[run->serving]);
        es_room_trim(run, e);
        run->exceeded = false;
    }
    es_channels_unblock(run);
    quick_release(run, e->count);
}

QUICK_INLINE void timed_layer(es_run *run, const uint16_t *ids, size_t top_k, uint32_t words)
{
    es_event *e = &run->composer.event;
    timed_until(run, run->now + run->dense_ns);
    run->times.dense += run->dense_ns;
    run->gate = run->use.at = run->use.since = run->release.since = run->now;
    const uint32_t n = es_row_length(ids, (uint32_t)top_k);
    if (n == 0 || !quick_lookup(run, ids, n, words))
        return;
    const uint32_t missing = timed_gate(run, words);
    es_time free = run->now + e->hits * run->expert_ns[e->layer];
    run->times.expert_gpu += e->count * run->expert_ns[e->layer];
    if (e->hits != e->count)
        free = timed_lacking(run, missing, free);
    if (run->code != ES_OK)
        return;
    timed_until(run, free);
    timed_release(run, words);
}

/* What the step's demands did to the channel is brought there at its end, for who looks then. */
static void timed_settle(es_run *run)
{
    const es_quick *q = &run->quick;
    es_channel_view *view = run->chan[q->channel].view;
    timed_peak(&run->tier[run->serving]);
    run->asks += q->fetched;
    run->times.stall += q->stall_ns;
    view->wait_ns += q->stall_ns;
    view->queue_ns += q->queue_ns;
    run->chan[q->channel].depth_area += q->queue_ns;    /* Little: what waits adds up to the waiting */
    view->busy_ns += q->busy_ns;
    view->bytes += q->bytes;
    view->transfers += q->fetched;
    view->batches += q->fetched;
}

QUICK_INLINE void timed_layers(es_run *run, const uint16_t *ids, size_t top_k, uint32_t words)
{
    es_event *e = &run->composer.event;
    for (const uint16_t *end = ids + run->view.layers * top_k; ids < end && run->code == ES_OK; ids += top_k, e->layer++, e->word += words, e->base += 64 * words)
        timed_layer(run, ids, top_k, words);
}

void es_quick_timed(es_run *run, const uint16_t *ids, size_t top_k)
{
    es_quick *q = &run->quick;
    q->queue_ns = q->stall_ns = q->busy_ns = 0;
    run->dense_ns = es_channel_dense_ns(run, 1, run->composer.step.token[run->composer.row].position);
    if (run->view.words_per_layer == 1)
        timed_layers(run, ids, top_k, 1);
    else
        timed_layers(run, ids, top_k, 2);
    run->chan[run->gpu].free_at = run->now;
    timed_settle(run);
}
