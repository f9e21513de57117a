/* Recency: what is resident, in order of last use. Shared by the policies that keep such an order.
 *
 * Each bucket (a tier, or a layer's share of it) has a queue of uses, oldest first. A use is written behind the last and never
 * moved: `place` points to an object's newest, and an entry that is not its object's newest no longer counts.
 *
 *   uses   ... 7 3 9 3 5 7 5 ...       place[3] is the second 3, place[7] the second 7: from oldest to newest 9 3 7 5
 *
 * Victims are read from the front, where entries that no longer count are passed over for good; a full queue is written anew
 * without them. So a use costs two stores, and its entry is read once more later: half of what relinking a list costs.
 * What makes an object young is for the policy to say: it calls recency_use or recency_touch. */
#ifndef ES_POLICY_RECENCY_H
#define ES_POLICY_RECENCY_H

#include "sim/part/policy.h"

typedef struct recency_queue {
    const es_tier_view *tier;
    es_oid **place;             /* [objects] of the tier: the object's newest use in its queue; NULL: in none */
    es_oid *first, *end;        /* its part of `uses`; one more fits behind it */
    es_oid *oldest, *next;      /* where entries that may count begin; where the next is written */
    int64_t least;              /* units that any victim frees */
    size_t idle;                /* entries that searches passed over without being rid of them, since the queue was last renewed */
    uint64_t moves;             /* how often entries were given other places; for who remembers places */
} recency_queue;

typedef struct recency {
    const es_view *view;
    recency_queue *queue;       /* [buckets] */
    recency_queue *serving;     /* of the first bucket of the serving tier */
    es_oid **place;             /* [tiers * (objects + 1)] */
    uint64_t *stamp;            /* [objects] order of last touch, kept only where demotions need it; else NULL */
    uint64_t clock;
    bool per_layer;
} recency;

static inline es_oid **recency_places(const recency *r, uint32_t tier)
{
    return r->place + (size_t)tier * (r->view->objects + 1);
}

static inline void recency_empty(recency *r)
{
    for (size_t i = 0; i < (size_t)r->view->tiers * (r->view->objects + 1); i++)
        r->place[i] = NULL;
    for (uint32_t b = 0; b < r->view->buckets; b++) {
        r->queue[b].oldest = r->queue[b].next = r->queue[b].first;
        r->queue[b].moves++;
    }
}

/* The smallest object of the queue's bucket; layer: whose it is where each has its own. */
static inline int64_t recency_least(const es_view *view, const es_tier_view *tier, uint32_t layer)
{
    uint32_t first = view->per_layer ? layer * view->words_per_layer : 0, end = view->per_layer ? first + view->words_per_layer : view->words;
    int64_t least = tier->unit[first];
    for (uint32_t w = first; w < end; w++)
        least = tier->unit[w] < least ? tier->unit[w] : least;
    return least;
}

static inline es_code recency_init(recency *r, const es_site *site, es_err *err)
{
    const es_view *view = r->view = site->view;
    /* eight times what a bucket can hold: when a queue is written anew, seven of eight entries or more become free, so that is rare */
    size_t room = 8 * (size_t)(view->per_layer ? view->stride : view->objects) + view->stride;
    es_oid *uses = ES_NEW_ARRAY(site->arena, view->buckets * (room + 1), es_oid);
    r->per_layer = view->per_layer;
    r->queue = ES_NEW_ARRAY(site->arena, view->buckets, recency_queue);
    r->place = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * (view->objects + 1), es_oid *);
    if (view->tiers > 2)
        r->stamp = ES_NEW_ARRAY(site->arena, view->objects, uint64_t);
    if (!uses || !r->queue || !r->place || (view->tiers > 2 && !r->stamp))
        return es_err_nomem(err, "recency queues");
    for (uint32_t t = 0; t < view->tiers; t++)
        for (uint32_t l = 0; l < (view->per_layer ? view->layers : 1); l++, uses += room + 1)
            r->queue[view->tier[t].first_bucket + l] = (recency_queue){.tier = &view->tier[t], .place = recency_places(r, t), .first = uses,
                .end = uses + room, .least = recency_least(view, &view->tier[t], l)};
    r->serving = &r->queue[view->tier[view->serving].first_bucket];
    recency_empty(r);
    return ES_OK;
}

static inline recency_queue *recency_of(const recency *r, uint32_t tier, es_oid object)
{
    return &r->queue[es_bucket_of(r->view, tier, object)];
}

/* The queue of the event's bucket in the serving tier. */
static inline recency_queue *recency_of_event(const recency *r, const es_event *event)
{
    return r->per_layer ? r->serving + event->layer : r->serving;
}

static inline bool recency_has(const recency *r, uint32_t tier, es_oid object)
{
    return recency_places(r, tier)[object] != NULL;
}

/* Writes the queue anew from its beginning with only the entries that count. */
static ES_COLD void recency_renew(recency_queue *q)
{
    es_oid *to = q->first;
    for (es_oid *use = q->oldest; use < q->next; use++)
        if (q->place[*use] == use) {
            q->place[*use] = to;
            *to++ = *use;
        }
    q->oldest = q->first;
    q->next = to;
    q->idle = 0;
    q->moves++;
}

static inline void recency_append(recency_queue *q, es_oid object)
{
    if (q->next == q->end)
        recency_renew(q);
    q->place[object] = q->next;
    *q->next++ = object;
}

/* Remembers that the object was used now, and where copies lie in lower tiers too (inclusive tiers) makes those the newest. */
static inline void recency_stamp(recency *r, uint32_t tier, es_oid object)
{
    r->stamp[object] = ++r->clock;
    for (uint32_t t = 0; t < r->view->tiers; t++)
        if (t != tier && recency_has(r, t, object))
            recency_append(recency_of(r, t, object), object);
}

/* The newest of its bucket from now on, whether it was in it or not. */
static inline void recency_touch(recency *r, uint32_t tier, es_oid object)
{
    recency_append(recency_of(r, tier, object), object);
    if (r->stamp)
        recency_stamp(r, tier, object);
}

/* What stays of the event becomes the newest, one by one. */
static ES_COLD void recency_use_each(recency *r, const es_event *event)
{
    for (uint32_t i = 0; i < event->count; i++)
        if (es_event_keeps(event, event->touch[i]))
            recency_touch(r, r->view->serving, event->base + event->touch[i]);
}

/* All of the event become the newest, in its touch order: the loop that a run spends its time in. */
static inline void recency_use(recency *r, const es_event *event)
{
    recency_queue *q = recency_of_event(r, event);
    es_oid *use = q->next;
    const size_t base = event->base, count = event->count;      /* as wide as an index */
    if (event->kept || r->stamp || q->end < use + count) {
        recency_use_each(r, event);
        return;
    }
    q->next = use + count;
    es_oid **place = q->place;
    for (const uint16_t *touch = event->touch, *end = touch + count; touch < end; touch++) {
        size_t object = base + *touch;
        place[object] = use;
        *use++ = (es_oid)object;
    }
}

/* Enters the queue behind all that were touched before it: a demoted object brings the time of its last use with it. */
static inline void recency_place(recency *r, uint32_t tier, es_oid object)
{
    recency_queue *q = recency_of(r, tier, object);
    if (q->next == q->end)
        recency_renew(q);
    es_oid *use = q->next++;
    for (; use > q->oldest; use--) {
        es_oid before = use[-1];
        bool counts = q->place[before] == use - 1;
        if (counts && r->stamp[before] <= r->stamp[object])
            break;
        *use = before;
        if (counts)
            q->place[before] = use;
    }
    *use = object;
    q->place[object] = use;
    q->moves++;
}

static inline void recency_forget(recency *r, uint32_t tier, es_oid object)
{
    recency_places(r, tier)[object] = NULL;
}

/* Everything but use, where a demoted object keeps its age. */
static ES_COLD void recency_moved(recency *r, const es_fact *fact)
{
    if (fact->kind == ES_FACT_RESET)
        recency_empty(r);
    for (uint32_t i = 0; i < fact->count; i++)
        if (fact->kind == ES_FACT_START_GUESS)
            recency_touch(r, fact->to, fact->objects[i]);
        else if (fact->kind == ES_FACT_ARRIVE_LOW)
            recency_place(r, fact->to, fact->objects[i]);
        else if (fact->kind == ES_FACT_LEAVE_LOW)
            recency_forget(r, fact->from, fact->objects[i]);
}

static inline bool recency_may_leave(const es_view *view, const es_tier_view *tier, es_oid object)
{
    size_t w = object >> 6;
    return (tier->resident[w] & ~view->guard[w]) >> (object & 63) & 1;
}

/* Where a search goes on when the oldest may not leave: that keeps its place, and the next search begins with it. What no longer
 * counts behind it is passed over each time; when that has cost as much as writing the queue anew, it is written anew. */
static ES_COLD size_t recency_victims_behind(const es_view *view, recency_queue *q, int64_t lacking, const es_oid *first, es_oid *out, const es_oid *last)
{
    for (const es_oid *use = q->oldest; use < q->next && lacking > 0 && out < last; use++) {
        if (q->place[*use] != use) {
            q->idle++;
        } else if (recency_may_leave(view, q->tier, *use)) {
            lacking -= q->tier->unit[*use >> 6];
            q->place[*use] = NULL;
            *out++ = *use;
        }
    }
    if (q->idle > (size_t)(q->next - q->oldest))
        recency_renew(q);
    return (size_t)(out - first);
}

/* All that is needed or nothing, where one victim may not be enough. */
static ES_COLD size_t recency_victims_all(const recency *r, const es_need *need, es_oid *out, size_t most)
{
    recency_queue *q = &r->queue[need->bucket];
    int64_t lacking = need->units;
    while (q->oldest < q->next && q->place[*q->oldest] != q->oldest)
        q->oldest++;
    for (const es_oid *use = q->oldest; use < q->next && lacking > 0; use++)
        if (q->place[*use] == use && recency_may_leave(r->view, q->tier, *use))
            lacking -= q->tier->unit[*use >> 6];
    return lacking > 0 ? 0 : recency_victims_behind(r->view, q, need->units, out, out, out + most);
}

/* Is there as much in the bucket that may leave? */
static inline bool recency_enough(const es_view *view, const es_need *need)
{
    const es_tier_view *tier = &view->tier[need->tier];
    int64_t units = 0;
    for (uint32_t w = 0; w < view->words; w++)
        if (es_bucket_of(view, need->tier, w * 64) == need->bucket)
            units += __builtin_popcountll(tier->resident[w] & ~view->guard[w]) * tier->unit[w];
    return units >= need->units;
}

/* es_policy.victims: the oldest that may leave. What seldom happens is left to others, because this runs at nearly every miss. */
static inline size_t recency_victims(const recency *r, const es_need *need, es_oid *out, size_t most)
{
    recency_queue *q = &r->queue[need->bucket];
    if (need->all && need->units > q->least)
        return recency_victims_all(r, need, out, most);
    const uint64_t *resident = q->tier->resident, *guard = r->view->guard;
    const int64_t *unit = q->tier->unit;
    const es_oid *first = out, *last = out + most, *end = q->next;
    es_oid **place = q->place, *use = q->oldest;
    int64_t lacking = need->units;
    *q->next = r->view->objects;        /* no object, but an entry that counts: it ends the search */
    place[r->view->objects] = q->next;
    for (;; use++) {
        es_oid object = *use;
        if (place[object] != use)
            continue;
        if (use == end)
            break;
        size_t w = object >> 6;
        if (!((resident[w] & ~guard[w]) >> (object & 63) & 1)) {
            q->oldest = use;
            return recency_victims_behind(r->view, q, lacking, first, out, last);
        }
        place[object] = NULL;
        *out++ = object;
        lacking -= unit[w];
        if (lacking <= 0)
            break;
        if (out == last)
            break;
    }
    q->oldest = use;
    return (size_t)(out - first);
}

#endif
