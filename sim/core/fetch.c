/* Fetch: how the misses of an event are served.
 *
 * Deciding is the same under both clocks: the dispatcher says fetch, compute on the host or skip; the policy says what stays;
 * an event larger than its room under overflow `bypass` keeps what fits. Under `clock: none` serving follows at once:
 *   1. room for all of it: one question to the policy;  2. all of it is resident;  3. what exceeds the room leaves at the release.
 * Events larger than their room under overflow `waves` go one by one, as they would in time. */
#include "sim/core/core.h"

#include <string.h>

static uint32_t fetch_missing(es_run *run)
{
    const es_event *e = &run->composer.event;
    const uint64_t *inbound = es_levels_inbound(run, e);
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->count; i++)
        if (!es_mask_has(e->hit, e->list[i]) && !es_mask_has(inbound, e->list[i]))
            run->missing[n++] = e->list[i];
    return run->missing_count = n;
}

static void fetch_dispatch(es_run *run, uint32_t n)
{
    const es_event *e = &run->composer.event;
    es_serve_ask ask = {.event = e, .missing = run->missing, .count = n, .fetch_ns = run->serve_ns, .cpu_ns = run->serve_ns + run->view.stride,
        .gpu_ns = run->serve_ns + 2 * run->view.stride};
    if (run->view.timed) {
        const es_chan *cpu = run->cpu == ES_NONE ? NULL : &run->chan[run->cpu];
        ask.cpu_free = cpu && cpu->free_at > run->now ? cpu->free_at : run->now;
        for (uint32_t i = 0; i < n; i++) {
            uint32_t served = 1;
            for (uint32_t j = 0; e->served && j < e->count; j++)
                if (e->list[j] == run->missing[i])
                    served = e->served[j];
            es_oid object = es_object(e, run->missing[i]);
            uint32_t from = es_store_source(run, run->serving, object);
            uint32_t link = run->tier[run->serving].way[from];
            run->serve_ns[i] = es_channel_copy_ns(run, link, object);
            run->serve_ns[run->view.stride + i] = cpu ? es_channel_expert_ns(run, run->cpu, object, served) : ES_NEVER;
            run->serve_ns[2 * run->view.stride + i] = es_channel_expert_ns(run, run->gpu, object, served);
            if (i == 0)
                ask.link_free = es_channel_free_at(run, link);
        }
    }
    run->dispatcher->serve(run->dispatcher_state, &ask, run->verdicts);
    for (uint32_t i = 0; i < n; i++) {
        if ((unsigned)run->verdicts[i] > ES_SKIP) {
            run->code = es_err_set(run->err, ES_EINTERNAL, "dispatcher %s gives verdict %d, which there is not", run->dispatcher->part.name, (int)run->verdicts[i]);
            run->stopped = true;
        }
        if (run->cpu == ES_NONE && run->verdicts[i] == ES_HOST_COMPUTE)
            run->verdicts[i] = ES_FETCH;
    }
}

static bool fetch_pinned(const es_run *run, es_oid object)
{
    return run->settled && es_mask_has(run->settled, object);
}

/* What fits beside the event's hits and the pins, whose room is kept whether the event wants them or not. */
static void fetch_bypass(es_run *run, uint32_t n)
{
    const es_event *e = &run->composer.event;
    const es_tier *tier = &run->tier[run->serving];
    const uint32_t b = run->view.per_layer ? e->layer : 0;
    int64_t fits = tier->room[b] - tier->settled[b];
    for (uint32_t i = 0; i < e->count; i++)
        if (!fetch_pinned(run, es_object(e, e->list[i])))
            fits -= tier->unit[e->word + e->list[i] / 64];
    for (uint32_t i = 0; i < n; i++)
        if (!fetch_pinned(run, es_object(e, run->missing[i])))
            fits += tier->unit[e->word + run->missing[i] / 64];
    for (uint32_t i = 0; i < n; i++)
        if (run->keep[i] && !fetch_pinned(run, es_object(e, run->missing[i])) && (fits -= tier->unit[e->word + run->missing[i] / 64]) < 0)
            run->keep[i] = false;
}

void es_fetch_decide(es_run *run, uint32_t misses)
{
    es_event *e = &run->composer.event;
    const es_tier *tier = &run->tier[run->serving];
    bool bypass = run->contract->overflow == ES_BYPASS && es_room_exceeds(run, e, NULL);
    run->missing_count = 0;
    if (run->levels == 1 && (misses == 0 || !(run->admits || bypass || (run->dispatcher && run->dispatcher->serve))))
        return;
    uint32_t n = fetch_missing(run);
    memset(run->verdicts, 0, n * sizeof *run->verdicts);
    memset(run->keep, true, n * sizeof *run->keep);
    if (n > 0 && run->dispatcher && run->dispatcher->serve)
        fetch_dispatch(run, n);
    uint32_t b = run->view.per_layer ? e->layer : 0;
    if (n > 0 && run->admits) {
        es_admit_ask ask = {.event = e, .missing = run->missing, .count = n, .tier = run->serving, .free_units = tier->room[b] - tier->used[b]};
        run->policy->admit(run->policy_state, &ask, run->keep);
    }
    if (bypass && tier->ground)
        es_place_bypass(run, e, n);
    else if (bypass)
        fetch_bypass(run, n);
    run->tally.overflow_events += bypass;
    memcpy(run->kept, e->mask, e->words * sizeof *run->kept);
    for (uint32_t i = 0; i < n; i++) {
        if (run->verdicts[i] != ES_FETCH)
            run->keep[i] = false;
        if (!run->keep[i]) {
            run->kept[run->missing[i] >> 6] &= ~(1ull << (run->missing[i] & 63));
            run->tally.refused += run->verdicts[i] == ES_FETCH;
        }
    }
    e->kept = run->kept;
}

/* ---- clock none ---- */

/* Of matrices or several precisions, which differ in size: of all misses but those that the dispatcher did not fetch. */
static ES_COLD int64_t fetch_bytes(const es_run *run)
{
    const es_event *e = &run->composer.event;
    int64_t bytes = es_event_sum(e, e->mask, run->bytes) - es_event_sum(e, e->hit, run->bytes);
    for (uint32_t i = 0; i < run->missing_count; i++)
        if (run->verdicts[i] != ES_FETCH)
            bytes -= run->bytes[e->word + run->missing[i] / 64];
    return bytes;
}

static inline void fetch_count(es_run *run, uint32_t fetched)
{
    es_event *e = &run->composer.event;
    if (!e->counted)
        return;
    int64_t bytes = run->composer.whole ? fetched * run->bytes[e->word] : fetch_bytes(run);
    run->tally.fetched_bytes += bytes;
    run->tally.decode_fetched_bytes += e->phase == ES_DECODE ? bytes : 0;
    for (uint32_t w = 0; w < e->words; w++) {
        uint64_t *seen = &run->seen[e->word + w], missed = e->mask[w] & ~e->hit[w];
        if (missed & ~*seen) {
            run->tally.compulsory += (uint64_t)__builtin_popcountll(missed & ~*seen);
            *seen |= missed;
        }
    }
}

uint32_t es_fetch_near(es_run *run, uint32_t to, es_oid object, es_why why)
{
    uint32_t from = es_store_source(run, to, object);
    while (run->tier[to].hops[from] > 1) {
        const uint32_t link = run->tier[to].way[from];
        uint32_t next = run->link[link].to;
        es_link_count(run, link, object);
        if (es_room_make(run, next, object, run->tier[next].unit[object >> 6], ES_DEMOTE) == ES_ROOM_OK) {
            es_store_lift(run, from, next, object);
            es_store_take(run, next, object);
            es_bus_objects(run, ES_FACT_START, why, &object, 1, from, next);
            if (why == ES_GUESS && run->tier[next].serving) {
                run->fresh[object >> 6] |= es_bit(object);
                run->tally.guess_copies++;
                run->tally.guess_bytes += run->bytes[object >> 6];
            }
            es_store_land(run, next, object);
            es_bus_objects(run, ES_FACT_LAND, why, &object, 1, from, next);
            es_bus_objects(run, ES_FACT_ARRIVE_LOW, why, &object, 1, from, next);
        }
        from = next;
    }
    return from;
}

/* One object arrives in an instant, from wherever it is nearest. */
static void fetch_one(es_run *run, es_oid object)
{
    const uint32_t found = es_store_source(run, run->serving, object);
    run->tier_view[found].found++;
    es_rank_used(run, found, object);
    es_ahead_found(run, found, object);
    uint32_t from = es_fetch_near(run, run->serving, object, ES_DEMAND);
    es_link_count(run, run->tier[run->serving].way[from], object);
    es_store_lift(run, from, run->serving, object);
    run->in_hand = object;
    if (run->contract->overflow == ES_KEEP_BEST)
        run->exceeded = true;
    else if (es_room_make(run, run->serving, object, run->tier[run->serving].unit[object >> 6], ES_DEMAND) != ES_ROOM_OK)
        es_room_exceed(run);
    run->in_hand = ES_NO_OBJECT;
    es_store_take(run, run->serving, object);
    es_bus_objects(run, ES_FACT_START, ES_DEMAND, &object, 1, from, run->serving);
    es_store_land(run, run->serving, object);
    es_bus_objects(run, ES_FACT_LAND, ES_DEMAND, &object, 1, from, run->serving);
    if (run->composer.backward)
        es_train_update(run, object);
}

/* The event needs more than its room: hits are computed first, in union order, then each miss as it lands; each may leave once
 * it is computed, which happens only as far as the next miss needs it. */
static void fetch_waves(es_run *run)
{
    const es_event *e = &run->composer.event;
    const es_tier *tier = &run->tier[run->serving];
    uint16_t *computed = run->missing;          /* in order of compute; those before `freed` may leave */
    uint32_t count = 0, freed = 0;
    uint64_t *guard = run->view.guard + e->word;
    run->tally.overflow_events++;
    run->wanted.waves = true;
    for (uint32_t i = 0; i < e->count; i++)
        if (es_mask_has(e->hit, e->list[i]))
            computed[count++] = e->list[i];
    for (uint32_t i = 0; i < e->count; i++) {
        uint16_t index = e->list[i];
        if (es_mask_has(e->hit, index) || !es_event_keeps(e, index))
            continue;
        es_oid object = es_object(e, index);
        while (es_room_make(run, run->serving, object, tier->unit[object >> 6], ES_DEMAND) != ES_ROOM_OK && freed < count) {
            guard[computed[freed] >> 6] &= ~(1ull << (computed[freed] & 63));
            freed++;
        }
        fetch_one(run, object);
        computed[count++] = index;
    }
    run->wanted.waves = false;
}

/* What stays of the misses, and how many. */
static inline uint32_t fetch_stay(es_run *run, const es_event *e)
{
    uint32_t keep = 0;
    for (uint32_t w = 0; w < e->words; w++) {
        run->stay[w] = (e->kept ? e->kept[w] : e->mask[w]) & ~e->hit[w];
        keep += (uint32_t)__builtin_popcountll(run->stay[w]);
    }
    return keep;
}

static void fetch_tell(es_run *run, const es_event *e)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->count; i++)
        if (es_mask_has(run->stay, e->list[i]))
            run->moved[n++] = es_object(e, e->list[i]);
    es_bus_objects(run, ES_FACT_START, ES_DEMAND, run->moved, n, run->home, run->serving);
    es_bus_objects(run, ES_FACT_LAND, ES_DEMAND, run->moved, n, run->home, run->serving);
}

void es_fetch_instant(es_run *run, uint32_t misses)
{
    es_event *e = &run->composer.event;
    es_tier *tier = &run->tier[run->serving];
    uint32_t keep = misses, fetched = misses;
    if (run->decides) {
        keep = fetch_stay(run, e);
        for (uint32_t i = 0; i < run->missing_count; i++)
            fetched -= run->verdicts[i] != ES_FETCH;
    } else {
        for (uint32_t w = 0; w < e->words; w++)
            run->stay[w] = e->mask[w] & ~e->hit[w];
    }
    fetch_count(run, fetched);
    if (run->contract->overflow == ES_WAVES && es_room_exceeds(run, e, e->kept)) {
        fetch_waves(run);
        return;
    }
    if (run->singly || tier->ground) {
        for (uint32_t i = 0; i < e->count; i++)
            if (es_mask_has(run->stay, e->list[i]))
                fetch_one(run, es_object(e, e->list[i]));
        return;
    }
    if (keep == 0)
        return;
    uint32_t bucket = run->view.per_layer ? e->layer : 0;
    int64_t units = run->composer.whole ? keep * tier->unit[e->word] : es_event_sum(e, run->stay, tier->unit);
    /* 1. */
    if (run->contract->overflow == ES_KEEP_BEST)
        run->exceeded = true;
    else if (tier->used[bucket] + units > tier->room[bucket] && es_room_make(run, run->serving, e->base, units, ES_DEMAND) != ES_ROOM_OK)
        es_room_exceed(run);
    /* 2. */
    tier->used[bucket] += units;
    tier->held += units;
    if (tier->held > tier->peak)
        tier->peak = tier->held;
    for (uint32_t w = 0; w < e->words; w++)
        tier->view->resident[e->word + w] |= run->stay[w];
    tier->view->insertions += keep;
    run->tier_view[run->home].found += keep;
    if (es_bus_heard(run, ES_FACT_START) || es_bus_heard(run, ES_FACT_LAND))
        fetch_tell(run, e);
}
