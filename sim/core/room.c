/* Room: space for a newcomer, and what happens when an event needs more than there is.
 *
 * Victims are collected first, then leave together. A guess, and a demand under overflow `waves`, gets all it needs or nothing;
 * any other demand takes what may leave and then exceeds its bucket until the event ends (trim), until a later event needs the
 * space (persist), or until the best of all stay (keep_best). */
#include "sim/core/state.h"

#include <assert.h>
#include <string.h>

static int64_t *room_used(const es_run *run, uint32_t t, uint32_t bucket)
{
    return &run->tier[t].used[bucket - run->tier[t].view->first_bucket];
}

/* In a lower tier what is being read stays too; and what a guess waits to read stays from other guesses, or two of them could
 * throw each other out of a small tier for ever. */
static uint64_t *room_reading(es_run *run, const es_need *need)
{
    memcpy(run->reading, run->view.guard, run->view.words * sizeof *run->reading);
    for (uint32_t t = 0; t < run->tiers; t++) {
        const es_tier *tier = &run->tier[t];
        for (uint32_t w = 0; t != need->tier && !tier->home && w < run->view.words; w++)
            for (uint64_t coming = tier->view->queued[w] | tier->view->inbound[w]; coming; coming &= coming - 1) {
                const es_xfer *x = &tier->xfer[w * 64 + (es_oid)__builtin_ctzll(coming)];
                bool waits = x->queued && x->kind == ES_CLASS_GUESS && need->why == ES_GUESS;
                if ((x->running || waits) && run->link[x->link].from == need->tier)
                    run->reading[w] |= coming & -coming;
            }
    }
    return run->reading;
}

/* Asks the policy for `units` of the bucket; what it names leaves. Returns what that freed. */
static int64_t room_ask(es_run *run, const es_need *need, bool prefer)
{
    es_tier *tier = &run->tier[need->tier];
    if (prefer)
        es_grace_prefer(run);
    uint64_t *guard = run->view.guard;
    if (run->reading && need->tier != run->serving)
        run->view.guard = room_reading(run, need);
    size_t n = run->policy->victims(run->policy_state, need, tier->victims, run->view.objects);
    run->view.guard = guard;
    if (prefer)
        es_grace_relent(run);
    int64_t freed = tier->uniform ? (int64_t)n * tier->unit[0] : 0;
    for (size_t i = 0; i < n && !tier->uniform; i++)
        freed += tier->unit[tier->victims[i] >> 6];
    if (n > 0)
        es_store_evict(run, need->tier, tier->victims, n, need->why);
    return freed;
}

/* Without those whom grace or a guess holds, then, where they must yield, with them. */
static int64_t room_free(es_run *run, const es_need *need)
{
    if (!run->grace.on || need->tier != run->serving)
        return room_ask(run, need, false);
    int64_t freed = room_ask(run, need, true);
    bool yields = need->why == ES_RELEASE || (need->why == ES_DEMAND && run->grace.yields);
    if (freed >= need->units || !yields)
        return freed;
    es_need rest = *need;
    rest.units -= freed;
    return freed + room_ask(run, &rest, false);
}

es_room es_room_make(es_run *run, uint32_t t, es_oid object, int64_t units, es_why why)
{
    es_tier *tier = &run->tier[t];
    uint32_t bucket = es_bucket_of(&run->view, t, object);
    int64_t room = tier->room[bucket - tier->view->first_bucket];
    int64_t leaving = tier->leaving[bucket - tier->view->first_bucket];
    int64_t lacking = *room_used(run, t, bucket) - leaving + units - room;
    if (lacking <= 0)
        return leaving > 0 && *room_used(run, t, bucket) + units > room ? ES_ROOM_LEAVING : ES_ROOM_OK;
    if (units > room && why != ES_DEMAND)
        return ES_ROOM_NEVER;
    bool one = tier->uniform && lacking <= tier->unit[0];   /* where one victim is enough, all or nothing is no question */
    es_need need = {.tier = t, .bucket = bucket, .units = lacking, .why = why,
        .all = !one && (why != ES_DEMAND || (run->contract->overflow == ES_WAVES && (run->view.timed || run->wanted.waves)))};
    bool enough = room_free(run, &need) >= lacking;
    if (tier->leaving[bucket - tier->view->first_bucket] > 0)
        return ES_ROOM_LEAVING;
    return enough ? ES_ROOM_OK : ES_ROOM_WAIT;
}

void es_room_exceed(es_run *run)
{
    run->tally.overflow_events += !run->exceeded;
    run->exceeded = true;
}

void es_room_trim(es_run *run, const es_event *event)
{
    uint32_t t = run->serving;
    uint32_t bucket = es_bucket_of(&run->view, t, event->base);
    int64_t room = run->tier[t].room[bucket - run->tier[t].view->first_bucket];
    int64_t over = *room_used(run, t, bucket) - room;
    es_need need = {.tier = t, .bucket = bucket, .why = ES_RELEASE};
    /* 1. others first, unless the best of all are to stay */
    if (over > 0 && run->contract->overflow != ES_KEEP_BEST) {
        need.units = over;
        for (uint32_t w = 0; w < event->words; w++)
            run->view.guard[event->word + w] |= event->mask[w];
        over -= room_free(run, &need);
        for (uint32_t w = 0; w < event->words; w++)
            run->view.guard[event->word + w] &= ~event->mask[w];
    }
    /* 2. then the event's own, unless what it touched may stay */
    if (over > 0 && run->contract->overflow != ES_PERSIST) {
        need.units = over;
        room_free(run, &need);
    }
}

bool es_room_exceeds(const es_run *run, const es_event *event, const uint64_t *kept)
{
    const es_tier *tier = &run->tier[run->serving];
    uint32_t b = run->view.per_layer ? event->layer : 0, count = event->count;
    if (kept || run->settled) {
        count = 0;
        for (uint32_t w = 0; w < event->words; w++) {
            uint64_t stays = kept ? kept[w] : event->mask[w];
            count += (uint32_t)__builtin_popcountll(run->settled ? stays & ~run->settled[event->word + w] : stays);
        }
    }
    return count * tier->unit[event->word] > tier->room[b] - tier->settled[b];
}
