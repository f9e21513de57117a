/* Resize: a tier whose share a tuner turns.
 *
 * A new share counts from the next moment at which nothing is pinned, the end of a layer or the begin of a step: an event whose room
 * shrank under it might wait for ever. Then every bucket has its new room, which is told (ES_FACT_ROOM), and what is too much leaves as
 * the policy names it (why SHRINK): dropped, or demoted at the usual price. What is on its way in or out keeps its space until it has
 * arrived, so a tier may be above its room for a while; each later such moment tries again until it is not.
 *
 * However small the share, there is room for what the policy pinned at the start and one expert beside it, or the run could not go on. */
#include "sim/core/core.h"

/* The largest object of the bucket. */
static int64_t resize_largest(const es_run *run, const es_tier *tier, uint32_t bucket)
{
    int64_t largest = 0;
    for (uint32_t w = 0; w < run->view.words; w++)
        if ((!run->view.per_layer || run->view.layer_of[w] == bucket) && tier->unit[w] > largest)
            largest = tier->unit[w];
    return largest;
}

int64_t es_resize_room(const es_run *run, const es_tier *tier, uint32_t bucket, double share)
{
    if (tier->ground)
        return tier->room[bucket];          /* what is laid out has no share */
    const int64_t full = tier->full[bucket], beside = run->view.pins_beside ? tier->settled[bucket] : 0;
    if (share >= 1.0)
        return full + beside;
    int64_t room = (int64_t)(share * (double)full + 1e-9);         /* exact for decimal shares */
    int64_t least = tier->settled[bucket] - beside + resize_largest(run, tier, bucket);
    room = room < least ? least : room;
    return (room < full ? room : full) + beside;
}

/* The bucket has the room of its share from now on; is it another than before? */
static bool resize_bucket(es_run *run, uint32_t t, uint32_t b)
{
    es_tier *tier = &run->tier[t];
    const int64_t before = tier->room[b];
    tier->room[b] = es_resize_room(run, tier, b, tier->share);
    tier->shrinking[b] = tier->used[b] > tier->room[b] && (tier->shrinking[b] || tier->room[b] < before);
    run->bucket_room[tier->view->first_bucket + b] = (uint64_t)tier->room[b];
    return tier->room[b] != before;
}

void es_resize(es_run *run)
{
    const uint32_t buckets = run->view.per_layer ? run->view.layers : 1;
    run->resizing = false;
    for (uint32_t t = 0; t < run->tiers; t++) {
        bool changed = false;
        for (uint32_t b = 0; !run->tier[t].home && b < buckets; b++)
            changed |= resize_bucket(run, t, b);
        if (changed && es_bus_heard(run, ES_FACT_ROOM))
            es_bus_deliver(run, &(es_fact){.kind = ES_FACT_ROOM, .at = run->now, .since = run->now, .from = ES_NO_TIER, .to = t, .channel = ES_NONE,
                .step = run->composer.steps - 1});
    }
    for (uint32_t t = 0; t < run->tiers; t++) {
        es_tier *tier = &run->tier[t];
        for (uint32_t b = 0; b < buckets; b++) {
            if (!tier->shrinking[b])
                continue;
            es_room_shrink(run, t, tier->view->first_bucket + b);
            tier->shrinking[b] = tier->used[b] > tier->room[b];
            run->resizing |= tier->shrinking[b];
        }
    }
    es_channels_unblock(run);
}
