/* Room: space for a newcomer, and what happens when an event needs more than there is.
 *
 * Victims are collected first, then leave together. A guess, and a demand under overflow `waves`, gets all it needs or nothing;
 * any other demand takes what may leave and then exceeds its bucket until the event ends (trim), until a later event needs the
 * space (persist), or until the best of all stay (keep_best). */
#include "sim/core/core.h"

#include <assert.h>
#include <string.h>

static int64_t *room_used(const es_run *run, uint32_t t, uint32_t bucket)
{
    return &run->tier[t].used[bucket - run->tier[t].view->first_bucket];
}

/* In a lower tier what is read from there, or waits to be, stays too: or two guesses could throw each other out of a small tier
 * for ever. Nobody waits for that: what finds no room there goes through it or is dropped. A tier that lets go of what is read keeps nobody. */
static uint64_t *room_reading(es_run *run, uint32_t t)
{
    if (run->tier[t].lets_go) {
        memset(run->reading, 0, run->view.words * sizeof *run->reading);
        return run->reading;
    }
    memcpy(run->reading, run->view.guard, run->view.words * sizeof *run->reading);
    for (uint32_t u = 0; run->view.timed && u < run->tiers; u++) {
        const es_tier *tier = &run->tier[u];
        for (uint32_t w = 0; u != t && !tier->home && w < run->view.words; w++)
            for (uint64_t coming = tier->view->queued[w] | tier->view->inbound[w]; coming; coming &= coming - 1) {
                const es_xfer *x = &tier->xfer[w * 64 + (es_oid)__builtin_ctzll(coming)];
                if ((x->running || x->queued) && run->link[x->link].from == t)
                    run->reading[w] |= coming & -coming;
            }
    }
    return run->reading;
}

static const char *room_policy(const es_run *run, uint32_t t)
{
    return run->tier[t].rank ? run->tier[t].rank->policy->part.name : run->policy->part.name;
}

/* Of a tier whose allocator places, all who would not help stay. */
static uint64_t *room_fenced(es_run *run, uint32_t t, const uint64_t *fenced)
{
    uint64_t *guard = run->tier[t].ground->guard;
    for (uint32_t w = 0; w < run->view.words; w++)
        guard[w] = run->view.guard[w] | fenced[w];
    return guard;
}

static ES_COLD void room_fault(es_run *run, uint32_t t, es_oid object, const char *what)
{
    uint32_t layer = object < run->view.objects ? run->view.layer_number[run->view.layer_of[object >> 6]] : 0;
    if (run->code == ES_OK)
        run->code = es_err_set(run->err, ES_EINTERNAL, "policy %s names layer %u expert %u as a victim in tier %s, but it %s", room_policy(run, t),
            layer, es_expert_of(&run->view, object), run->tier[t].name, what);
    run->stopped = true;
}

ES_COLD void es_room_fault(es_run *run, uint32_t t, es_oid object)
{
    room_fault(run, t, object, "is not there, may not leave now or was named before");
}

static ES_COLD void room_crowd(es_run *run, size_t n)
{
    if (run->code == ES_OK)
        run->code = es_err_set(run->err, ES_EINTERNAL, "policy %s names %zu victims where at most %u were asked for", run->policy->part.name, n, run->view.objects);
    run->stopped = true;
}

/* May the policy name it now? */
static inline bool room_named(es_run *run, const es_need *need, es_oid object)
{
    if (object >= run->view.objects || !es_may_evict(&run->view, object, need->tier)) {
        es_room_fault(run, need->tier, object);
        return false;
    }
    if (run->view.per_layer && es_bucket_of(&run->view, need->tier, object) != need->bucket) {
        room_fault(run, need->tier, object, "belongs to another layer's share");
        return false;
    }
    return true;
}

/* A policy names what may leave now, each once; what else it names stays, and the run ends with that error. */
static size_t room_check(es_run *run, const es_need *need, size_t n)
{
    es_oid *victims = run->tier[need->tier].victims;
    size_t good = 0;
    if (n == 1)
        return room_named(run, need, *victims);
    if (n > run->view.objects) {
        room_crowd(run, n);
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        es_oid object = victims[i];
        if (!room_named(run, need, object))
            continue;
        run->view.guard[object >> 6] |= 1ull << (object & 63);
        victims[good++] = object;
    }
    for (size_t i = 0; i < good; i++)
        run->view.guard[victims[i] >> 6] &= ~(1ull << (victims[i] & 63));
    return good;
}

typedef enum room_prefer { ROOM_ALL, ROOM_NO_GRACE, ROOM_NO_PREFERENCE } room_prefer;

/* Asks the policy for `units` of the bucket; what it names leaves. Returns what that freed. */
static int64_t room_ask(es_run *run, const es_need *need, room_prefer prefer, const uint64_t *fenced)
{
    es_tier *tier = &run->tier[need->tier];
    if (prefer != ROOM_ALL)
        es_grace_prefer(run, prefer == ROOM_NO_PREFERENCE);
    uint64_t *guard = run->view.guard;
    if (run->reading && need->tier != run->serving)
        run->view.guard = room_reading(run, need->tier);
    if (fenced)
        run->view.guard = room_fenced(run, need->tier, fenced);
    size_t n = tier->rank ? es_rank_victims(run, tier->rank, need, tier->victims, run->view.objects)
                          : run->policy->victims(run->policy_state, need, tier->victims, run->view.objects);
    n = room_check(run, need, n);
    run->view.guard = guard;
    if (prefer != ROOM_ALL)
        es_grace_relent(run);
    int64_t freed = tier->uniform ? (int64_t)n * tier->unit[0] : 0;
    for (size_t i = 0; i < n && !tier->uniform; i++)
        freed += tier->unit[tier->victims[i] >> 6];
    if (n > 0)
        es_store_evict(run, need->tier, tier->victims, n, need->why);
    return freed;
}

/* Without those whom grace or a guess holds, then, where they must yield, with them. */
int64_t es_room_free(es_run *run, const es_need *need, const uint64_t *fenced)
{
    if (!run->grace.on || need->tier != run->serving)
        return room_ask(run, need, ROOM_ALL, fenced);
    int64_t freed = room_ask(run, need, ROOM_NO_PREFERENCE, fenced);
    bool yields = need->why == ES_RELEASE || need->why == ES_SHRINK || run->grace.yields;
    if (freed >= need->units || need->why == ES_GUESS || (!yields && !run->grace.avoids))
        return freed;
    es_need rest = *need;
    rest.units -= freed;
    return freed + room_ask(run, &rest, yields ? ROOM_ALL : ROOM_NO_GRACE, fenced);
}

es_room es_room_make(es_run *run, uint32_t t, es_oid object, int64_t units, es_why why)
{
    es_tier *tier = &run->tier[t];
    if (tier->ground)
        return es_place_make(run, t, object, why);
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
    bool enough = es_room_free(run, &need, NULL) >= lacking;
    if (tier->leaving[bucket - tier->view->first_bucket] > 0)
        return ES_ROOM_LEAVING;
    return enough ? ES_ROOM_OK : ES_ROOM_WAIT;
}

void es_room_exceed(es_run *run)
{
    run->tally.overflow_events += !run->exceeded;
    run->exceeded = true;
}

/* The bucket is above its room at the end of an event although something may leave: the policy is to name it. */
static ES_COLD void room_blame(es_run *run, const es_event *event, uint32_t bucket, int64_t over)
{
    const es_tier *tier = &run->tier[run->serving];
    uint32_t may = 0;
    for (uint32_t w = 0; w < run->view.words; w++) {
        uint64_t left = tier->view->resident[w] & ~run->view.guard[w];
        if (run->settled)
            left &= ~run->settled[w];
        if (run->contract->overflow == ES_PERSIST && w >= event->word && w < event->word + event->words)
            left &= ~event->mask[w - event->word];
        may += es_bucket_of(&run->view, run->serving, w * 64) == bucket ? (uint32_t)__builtin_popcountll(left) : 0;
    }
    if (may > 0 && !run->view.as_coded && run->code == ES_OK) {
        run->code = es_err_set(run->err, ES_EINTERNAL, "policy %s names no victims: tier %s is %lld %s above its room after event %llu of step %llu, and %u "
            "experts may leave", run->policy->part.name, tier->name, (long long)over, tier->counts, (unsigned long long)event->index,
            (unsigned long long)event->step, may);
        run->stopped = true;
    }
}

/* By how much the bucket is above its room; where that has become smaller, what is on its way out for it counts as gone. */
static int64_t room_over(const es_run *run, uint32_t t, uint32_t bucket)
{
    const es_tier *tier = &run->tier[t];
    const uint32_t b = bucket - tier->view->first_bucket;
    return tier->used[b] - (tier->shrinking[b] ? tier->leaving[b] : 0) - tier->room[b];
}

void es_room_trim(es_run *run, const es_event *event)
{
    uint32_t t = run->serving;
    if (run->tier[t].ground) {
        es_place_trim(run);
        return;
    }
    uint32_t bucket = es_bucket_of(&run->view, t, event->base);
    int64_t over = room_over(run, t, bucket);
    es_need need = {.tier = t, .bucket = bucket, .why = ES_RELEASE};
    /* 1. others first, unless the best of all are to stay */
    if (over > 0 && run->contract->overflow != ES_KEEP_BEST) {
        need.units = over;
        for (uint32_t w = 0; w < event->words; w++)
            run->view.guard[event->word + w] |= event->mask[w];
        over -= es_room_free(run, &need, NULL);
        for (uint32_t w = 0; w < event->words; w++)
            run->view.guard[event->word + w] &= ~event->mask[w];
    }
    /* 2. then the event's own, unless what it touched may stay */
    if (over > 0 && run->contract->overflow != ES_PERSIST) {
        need.units = over;
        over -= es_room_free(run, &need, NULL);
    }
    if (over > 0) {
        run->tally.overflow_events += run->contract->overflow == ES_KEEP_BEST;
        room_blame(run, event, bucket, over);
    }
}

void es_room_shrink(es_run *run, uint32_t t, uint32_t bucket)
{
    int64_t over = room_over(run, t, bucket);
    if (over > 0)
        es_room_free(run, &(es_need){.tier = t, .bucket = bucket, .units = over, .why = ES_SHRINK}, NULL);
}

/* A guess has landed. Where its bucket had to be exceeded meanwhile, and everything that could leave has left, it is one too many. */
void es_room_settle(es_run *run, es_oid object)
{
    uint32_t t = run->serving, bucket = es_bucket_of(&run->view, t, object);
    int64_t over = room_over(run, t, bucket);
    if (over > 0 && !run->exceeded && run->contract->overflow != ES_PERSIST && !run->tier[t].ground)
        es_room_free(run, &(es_need){.tier = t, .bucket = bucket, .units = over, .why = ES_RELEASE}, NULL);
}

bool es_room_exceeds(es_run *run, const es_event *event, const uint64_t *kept)
{
    const es_tier *tier = &run->tier[run->serving];
    if (tier->ground)
        return es_place_exceeds(run, event, kept);
    uint32_t b = run->view.per_layer ? event->layer : 0;
    int64_t units = event->count * tier->unit[event->word];
    if (kept || run->settled || !run->composer.whole) {
        units = 0;
        for (uint32_t w = 0; w < event->words; w++) {
            uint64_t stays = kept ? kept[w] : event->mask[w];
            units += __builtin_popcountll(run->settled ? stays & ~run->settled[event->word + w] : stays) * tier->unit[event->word + w];
        }
    }
    return units > tier->room[b] - tier->settled[b];
}
