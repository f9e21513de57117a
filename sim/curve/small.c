/* Small: see small.h. */
#include "sim/curve/small.h"

enum { SMALL_IN_STEP = UINT32_MAX };

bool es_small_init(es_small *small, uint32_t most, uint32_t experts, es_arena *arena)
{
    const uint32_t words = (experts + 63) / 64;
    *small = (es_small){.most = most, .words = words};
    small->size = ES_NEW_ARRAY(arena, (size_t)most + 1, es_small_size);
    small->mask = ES_NEW_ARRAY(arena, ((size_t)most + 1) * words, uint64_t);
    small->wanted = ES_NEW_ARRAY(arena, words, uint64_t);
    small->had = ES_NEW_ARRAY(arena, experts, bool);
    if (!small->size || !small->mask || !small->wanted || !small->had)
        return false;
    small->upto = most;
    es_small_empty(small);
    return true;
}

void es_small_empty(es_small *small)
{
    for (uint32_t c = 1; c <= small->upto; c++)
        small->size[c].event = SMALL_IN_STEP;
    small->upto = 0;
    small->last = UINT32_MAX;
    small->plain = false;
}

static uint64_t *small_mask(const es_small *small, uint32_t c)
{
    return small->mask + (size_t)c * small->words;
}

static inline bool small_has(const uint64_t *mask, uint32_t expert)
{
    return mask[expert >> 6] >> (expert & 63) & 1;
}

/* How many of the event's objects stood at most so deep. */
static uint32_t small_within(const uint32_t *depth, uint32_t n, uint32_t most)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < n; i++)
        count += depth[i] <= most;
    return count;
}

/* The last c of those that were there and then those that were not, in the order of the event, stay. */
static void small_keep(es_small *small, const es_events *events, uint32_t e, uint32_t c, const bool *had)
{
    const uint16_t *id = events->id + events->begin[e];
    const uint32_t n = es_events_width(events, e);
    uint64_t *mask = small_mask(small, c);
    uint32_t left = c;
    memset(mask, 0, small->words * sizeof *mask);
    for (int there = 0; there < 2; there++)
        for (uint32_t i = n; i-- > 0 && left > 0;)
            if ((had && had[i]) == there) {
                mask[id[i] >> 6] |= 1ull << (id[i] & 63);
                left--;
            }
    small->size[c] = (es_small_size){.event = e, .left = c};
}

/* The event fits: what is left of the earlier one makes room for it, the least recently used first. */
static void small_fit(es_small *small, const es_events *events, uint32_t c, bool same, const uint32_t *depth, uint32_t n)
{
    es_small_size *size = &small->size[c];
    uint64_t *mask = small_mask(small, c);
    size->newest += n - small_within(depth, n, size->newest);
    if (same) {
        size->left = 0;
        for (uint32_t w = 0; w < small->words; w++) {
            mask[w] &= ~small->wanted[w];
            size->left += (uint32_t)__builtin_popcountll(mask[w]);
        }
    }
    const uint16_t *touch = events->touch + events->begin[size->event];
    while (size->left > 0 && size->newest + size->left > c) {
        const uint16_t id = touch[size->cursor++];
        size->left -= small_has(mask, id);
        mask[id >> 6] &= ~(1ull << (id & 63));
    }
    if (size->left == 0)
        size->event = SMALL_IN_STEP;
}

/* Which of the event were in the cache of c slots; returns how many. */
static uint32_t small_hits(const es_small *small, uint32_t c, bool same, const uint16_t *id, const uint32_t *depth, uint32_t n)
{
    const es_small_size *size = &small->size[c];
    const uint64_t *mask = small_mask(small, c);
    const bool in_step = size->event == SMALL_IN_STEP;
    const uint32_t newest = in_step ? c : size->newest;
    uint32_t hits = 0;
    for (uint32_t i = 0; i < n; i++) {
        small->had[i] = depth[i] <= newest || (!in_step && same && small_has(mask, id[i]));
        hits += small->had[i];
    }
    return hits;
}

/* Nothing of the event was in any cache that it does not fit into, and none but these is out of step. */
static bool small_is_plain(const es_small *small, const es_events *events, const uint32_t *depth, uint32_t n)
{
    const uint32_t before = small->last == UINT32_MAX ? 0 : es_events_width(events, small->last);
    if (small->upto + 1 > n || (small->upto > 0 && small->upto + 1 != before))
        return false;
    for (uint32_t i = 0; i < n; i++)
        if (depth[i] <= before || depth[i] < n)
            return false;
    return true;
}

void es_small_event(es_small *small, const es_events *events, uint32_t e, const uint32_t *depth, int64_t *more, int64_t *more_bytes, int64_t weight)
{
    const uint32_t n = es_events_width(events, e), base = es_events_base(events, e);
    const uint16_t *id = events->id + events->begin[e];
    const bool plain = small_is_plain(small, events, depth, n);
    for (uint32_t c = 1; small->plain && !plain && c <= small->upto; c++)
        small_keep(small, events, small->last, c, NULL);
    small->plain = plain;
    small->last = e;
    if (plain) {
        small->upto = n - 1;
        return;
    }
    const uint32_t top = small->upto > n - 1 ? small->upto : n - 1;
    memset(small->wanted, 0, small->words * sizeof *small->wanted);
    for (uint32_t i = 0; i < n; i++)
        small->wanted[id[i] >> 6] |= 1ull << (id[i] & 63);
    small->upto = 0;
    for (uint32_t c = 1; c <= top; c++) {
        es_small_size *size = &small->size[c];
        const bool in_step = size->event == SMALL_IN_STEP;
        if (in_step && n <= c)
            continue;
        const bool same = !in_step && es_events_base(events, size->event) == base;
        const int64_t hits = small_hits(small, c, same, id, depth, n), counted = small_within(depth, n, c);
        more[c] += hits - counted;
        if (more_bytes)
            more_bytes[c] += (hits - counted) * weight;
        if (c < n)
            small_keep(small, events, e, c, small->had);
        else
            small_fit(small, events, c, same, depth, n);
        small->upto = size->event == SMALL_IN_STEP ? small->upto : c;
    }
}
