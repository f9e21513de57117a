/* Audit of rooms and places: see audit.c. Blocks against one another and against their pools, what is held against the room as it was told. */
#include "sim/observe/audit_inside.h"

#include <inttypes.h>
#include <string.h>

/* ---- places ---- */

/* Moves a block to its place among those before it, by pool and address. */
static void audit_sort(es_oid *placed, uint32_t count, const es_block *block)
{
    const es_oid object = placed[count];
    const es_block *b = &block[object];
    uint32_t low = 0, high = count;
    while (low < high) {
        const uint32_t middle = (low + high) / 2;
        const es_block *m = &block[placed[middle]];
        if (m->pool < b->pool || (m->pool == b->pool && m->at <= b->at))
            low = middle + 1;
        else
            high = middle;
    }
    memmove(placed + low + 1, placed + low, (count - low) * sizeof *placed);
    placed[low] = object;
}

/* What lies in the pools of a bucket, in order; how much. */
static uint32_t audit_placed(audit *s, uint32_t t, uint32_t bucket)
{
    const es_tier_view *tier = &s->view->tier[t];
    uint32_t count = 0;
    for (uint32_t w = 0; w < s->view->words; w++)
        for (uint64_t left = es_bucket_of(s->view, t, w * 64) != bucket ? 0 : tier->resident[w] | tier->inbound[w] | tier->outbound[w]; left; left &= left - 1) {
            const es_oid object = w * 64 + (es_oid)__builtin_ctzll(left);
            if (tier->block[object].pool == ES_NONE_POOL)
                continue;
            s->placed[count] = object;
            audit_sort(s->placed, count++, tier->block);
        }
    return count;
}

static void audit_block(audit *s, uint32_t t, es_oid object, es_oid before)
{
    const es_tier_view *tier = &s->view->tier[t];
    const es_block *b = &tier->block[object], *last = before == ES_NO_OBJECT ? NULL : &tier->block[before];
    const es_pool_view *pool = &tier->pool[es_bucket_of(s->view, t, object) - tier->first_bucket][b->pool];
    s->checks++;
    if (b->at < 0 || b->bytes < tier->unit[object >> 6] || b->at + b->bytes > pool->capacity)
        audit_fault(s, "layer %u expert %u in tier %s lies at %" PRId64 " with %" PRId64 " bytes, expected inside the %" PRId64 " of pool %s",
            s->view->layer_number[s->view->layer_of[object >> 6]], es_expert_of(s->view, object), tier->name, b->at, b->bytes, pool->capacity, pool->name);
    if (!last || last->pool != b->pool || last->at + last->bytes <= b->at)
        return;
    if (s->view->as_coded)
        s->overcommitted++;
    else
        audit_copy_fault(s, t, object, "lies where another copy does", "a block of its own");
}

static void audit_pools(audit *s, uint32_t t, uint32_t b)
{
    const es_tier_view *tier = &s->view->tier[t];
    const uint32_t count = audit_placed(s, t, tier->first_bucket + b);
    for (uint32_t p = 0, i = 0; p < tier->pools; p++) {
        const es_pool_view *pool = &tier->pool[b][p];
        int64_t used = 0;
        for (; i < count && tier->block[s->placed[i]].pool == p; i++) {
            audit_block(s, t, s->placed[i], i > 0 ? s->placed[i - 1] : ES_NO_OBJECT);
            used += tier->block[s->placed[i]].bytes;
        }
        if (used != pool->used && !s->view->as_coded)
            audit_fault(s, "pool %s of tier %s says that %" PRId64 " bytes are used, expected %" PRId64, pool->name, tier->name, pool->used, used);
    }
}

void audit_blocks(audit *s)
{
    for (uint32_t t = 0; t < s->view->tiers; t++)
        for (uint32_t b = 0; s->view->tier[t].block && b < (s->view->per_layer ? s->view->layers : 1); b++)
            audit_pools(s, t, b);
}

/* ---- rooms ---- */

/* Units of what is resident in the bucket and not held back. */
static int64_t audit_resident(const audit *s, uint32_t tier, uint32_t bucket)
{
    const es_view *view = s->view;
    int64_t units = 0;
    for (uint32_t w = 0; w < view->words; w++)
        if (es_bucket_of(view, tier, w * 64) == bucket)
            units += __builtin_popcountll(s->tier[tier].mask[RESIDENT][w] & ~view->guard[w]) * view->tier[tier].unit[w];
    return units;
}

void audit_rooms(audit *s)
{
    const es_view *view = s->view;
    for (uint32_t t = 0; t < view->tiers; t++)
        for (uint32_t b = view->tier[t].first_bucket; !view->tier[t].home && b < view->tier[t].first_bucket + (view->per_layer ? view->layers : 1); b++) {
            s->checks++;
            if (view->bucket_room[b] != s->room[b])
                audit_fault(s, "tier %s has room for %" PRIu64 " units, expected %" PRIu64 ", for no change was told", view->tier[t].name, view->bucket_room[b], s->room[b]);
            s->most[b] = s->most[b] > s->room[b] && (uint64_t)s->used[b] > s->room[b] ? (uint64_t)s->used[b] : s->room[b];
            s->above[b] = s->most[b] > s->room[b];
            s->shrinking |= s->above[b];
        }
    s->came = 0;
}

void audit_room(audit *s, const es_fact *fact)
{
    const es_tier_view *tier = &s->view->tier[fact->to];
    if (tier->block) {          /* its allocator rearranges itself at once: what lies where is looked at block by block */
        for (uint32_t b = tier->first_bucket; b < tier->first_bucket + (s->view->per_layer ? s->view->layers : 1); b++)
            s->room[b] = s->most[b] = s->view->bucket_room[b];
        return;
    }
    if (s->pinned)
        audit_fault(s, "tier %s changes while event %" PRIu64 " is at hand, expected it to wait for the release", tier->name, s->event);
    for (uint32_t b = tier->first_bucket; b < tier->first_bucket + (s->view->per_layer ? s->view->layers : 1); b++) {
        const bool shrinks = s->most[b] > s->room[b] || s->view->bucket_room[b] < s->room[b];
        s->room[b] = s->view->bucket_room[b];
        s->most[b] = shrinks && (uint64_t)s->used[b] > s->room[b] ? (uint64_t)s->used[b] : s->room[b];
        s->above[b] = s->most[b] > s->room[b];
        s->shrank |= s->above[b];
    }
    s->shrinking = true;
    s->came = 0;
}

void audit_shrunk(audit *s)
{
    const uint32_t t = s->view->serving, first = s->view->tier[t].first_bucket;
    s->shrinking = false;
    for (uint32_t b = first; !s->view->tier[t].home && b < first + (s->view->per_layer ? s->view->layers : 1); b++) {
        int64_t stay = audit_resident(s, t, b) - s->came;
        s->checks++;
        if (s->most[b] > s->room[b] && stay > (int64_t)s->room[b] && !s->view->as_coded)
            audit_fault(s, "%" PRId64 " units stay in tier %s, expected at most the %" PRIu64 " of its new room", stay, s->view->tier[t].name, s->room[b]);
        if ((uint64_t)s->used[b] <= s->room[b])
            s->most[b] = s->room[b];
    }
}

void audit_settled(audit *s)
{
    const es_view *view = s->view;
    for (uint32_t w = s->word; w < s->word + s->words; w++) {
        uint32_t bucket = es_bucket_of(view, view->serving, w * 64);
        if ((uint64_t)s->used[bucket] > s->room[bucket] && !s->above[bucket] && !view->tier[view->serving].block &&
            (!s->shrank || (uint64_t)audit_resident(s, view->serving, bucket) > s->room[bucket]))     /* or others are on their way out for it */
            audit_fault(s, "event %" PRIu64 " leaves %" PRId64 " units in tier %s, expected at most %" PRIu64 " or an overflow that is counted", s->event,
                s->used[bucket], view->tier[view->serving].name, s->room[bucket]);
    }
}
