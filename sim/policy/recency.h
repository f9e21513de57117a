/* Recency: what is resident, in order of last use. Shared by the policies that keep such an order.
 *
 * Each bucket (a tier, or a layer's share of it) has a queue of uses, oldest first. A use is written behind the last and never
 * moved: an object's newest entry is known by its `place`, and an entry that is not its object's newest no longer counts.
 *
 *   uses   ... 7 3 9 3 5 7 5 ...       place[3] is the second 3, place[7] the second 7: from oldest to newest 9 3 7 5
 *
 * Victims are read from the front, where entries that no longer count are passed over for good; a full queue is written anew
 * without them. So a use costs two stores, and its entry is read once more later: half of what relinking a list costs.
 * What makes an object young is for the policy to say: it calls recency_use or recency_touch. */
#ifndef ES_POLICY_RECENCY_H
#define ES_POLICY_RECENCY_H

#include "sim/part/policy.h"

enum { RECENCY_NOWHERE = 0 };   /* the place of an object that is in no queue; no use is written there */

typedef struct recency_queue {
    const es_tier_view *tier;
    uint32_t *place;            /* [objects] of its tier: index into `uses` of the newest, or RECENCY_NOWHERE */
    uint32_t first, end;        /* its part of `uses` */
    uint32_t oldest, next;      /* where entries that may count begin; where the next is written */
} recency_queue;

typedef struct recency {
    const es_view *view;
    es_oid *uses;               /* every bucket's queue, side by side */
    recency_queue *queue;       /* [buckets] */
    recency_queue *serving;     /* of the first bucket of the serving tier */
    uint32_t *place;            /* [tiers * objects] */
    uint64_t *stamp;            /* [objects] order of last touch, kept only where demotions need it; else NULL */
    uint64_t clock;
    bool per_layer;
} recency;

static inline void recency_empty(recency *r)
{
    for (size_t i = 0; i < (size_t)r->view->tiers * r->view->objects; i++)
        r->place[i] = RECENCY_NOWHERE;
    for (uint32_t b = 0; b < r->view->buckets; b++)
        r->queue[b].oldest = r->queue[b].next = r->queue[b].first;
}

static inline es_code recency_init(recency *r, const es_site *site, es_err *err)
{
    const es_view *view = r->view = site->view;
    /* four times what can be in a bucket: written anew, at least three of four entries are free, so that is rare */
    uint32_t room = 4 * (view->per_layer ? view->stride : view->objects) + view->stride;
    r->per_layer = view->per_layer;
    r->uses = ES_NEW_ARRAY(site->arena, (size_t)(view->buckets * room) + 1, es_oid);
    r->queue = ES_NEW_ARRAY(site->arena, view->buckets, recency_queue);
    r->place = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * (view->objects + 1), uint32_t);
    if (view->tiers > 2)
        r->stamp = ES_NEW_ARRAY(site->arena, view->objects, uint64_t);
    if (!r->uses || !r->queue || !r->place || (view->tiers > 2 && !r->stamp))
        return es_err_nomem(err, "recency queues");
    for (uint32_t t = 0; t < view->tiers; t++)
        for (uint32_t b = view->tier[t].first_bucket, end = b + (view->per_layer ? view->layers : 1); b < end; b++)
            r->queue[b] = (recency_queue){.tier = &view->tier[t], .place = r->place + (size_t)t * (view->objects + 1), .first = b * room + 1, .end = (b + 1) * room};
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
    return r->place[(size_t)tier * r->view->objects + object] != RECENCY_NOWHERE;
}

static inline bool recency_counts(const recency *r, const recency_queue *q, uint32_t i)
{
    return q->place[r->uses[i]] == i;
}

/* Writes the queue anew from its beginning with only the entries that count. */
static ES_COLD void recency_renew(recency *r, recency_queue *q)
{
    uint32_t to = q->first;
    for (uint32_t i = q->oldest; i < q->next; i++)
        if (recency_counts(r, q, i)) {
            r->uses[to] = r->uses[i];
            q->place[r->uses[to]] = to;
            to++;
        }
    q->oldest = q->first;
    q->next = to;
}

static inline void recency_append(recency *r, recency_queue *q, es_oid object)
{
    if (q->next == q->end)
        recency_renew(r, q);
    r->uses[q->next] = object;
    q->place[object] = q->next++;
}

/* Remembers that the object was used now, and where copies lie in lower tiers too (inclusive tiers) makes those the newest. */
static inline void recency_stamp(recency *r, uint32_t tier, es_oid object)
{
    r->stamp[object] = ++r->clock;
    for (uint32_t t = 0; t < r->view->tiers; t++)
        if (t != tier && recency_has(r, t, object))
            recency_append(r, recency_of(r, t, object), object);
}

/* The newest of its bucket from now on, whether it was in it or not. */
static inline void recency_touch(recency *r, uint32_t tier, es_oid object)
{
    recency_append(r, recency_of(r, tier, object), object);
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
    const uint32_t at = q->next, count = event->count;
    if (event->kept || r->stamp || q->end - at < count) {
        recency_use_each(r, event);
        return;
    }
    q->next = at + count;
    const size_t base = event->base;        /* as wide as an index */
    const uint16_t *touch = event->touch;
    uint32_t *place = q->place;
    es_oid *uses = r->uses + at;
#pragma GCC unroll 4
    for (uint32_t i = 0; i < count; i++) {
        size_t object = base + touch[i];
        place[object] = at + i;
        uses[i] = (es_oid)object;
    }
}

/* Enters the queue behind all that were touched before it: a demoted object brings the time of its last use with it. */
static inline void recency_place(recency *r, uint32_t tier, es_oid object)
{
    recency_queue *q = recency_of(r, tier, object);
    if (q->next == q->end)
        recency_renew(r, q);
    uint32_t i = q->next++;
    for (; i > q->oldest; i--) {
        es_oid before = r->uses[i - 1];
        bool counts = recency_counts(r, q, i - 1);
        if (counts && r->stamp[before] <= r->stamp[object])
            break;
        r->uses[i] = before;
        if (counts)
            q->place[before] = i;
    }
    r->uses[i] = object;
    q->place[object] = i;
}

static inline void recency_forget(recency *r, uint32_t tier, es_oid object)
{
    r->place[(size_t)tier * r->view->objects + object] = RECENCY_NOWHERE;
}

/* es_may_evict, where the tier is at hand already. */
static inline bool recency_may_leave(const es_view *view, const es_tier_view *tier, es_oid object)
{
    size_t w = object >> 6;
    return (tier->resident[w] & ~view->guard[w]) >> (object & 63) & 1;
}

/* Where a search goes on when what is oldest may not leave: that keeps its place, and the next search begins with it. */
static ES_COLD size_t recency_victims_behind(const recency *r, const recency_queue *q, int64_t lacking, const es_oid *first, es_oid *out, const es_oid *last)
{
    for (uint32_t i = q->oldest; i < q->next && lacking > 0 && out < last; i++)
        if (recency_counts(r, q, i) && recency_may_leave(r->view, q->tier, r->uses[i])) {
            lacking -= q->tier->unit[r->uses[i] >> 6];
            *out++ = r->uses[i];
            q->place[r->uses[i]] = RECENCY_NOWHERE;
        }
    return (size_t)(out - first);
}

/* All that is needed or nothing. */
static ES_COLD size_t recency_victims_all(const recency *r, const es_need *need, es_oid *out, size_t most)
{
    const recency_queue *q = &r->queue[need->bucket];
    int64_t lacking = need->units;
    for (uint32_t i = q->oldest; i < q->next && lacking > 0; i++)
        if (recency_counts(r, q, i) && recency_may_leave(r->view, q->tier, r->uses[i]))
            lacking -= q->tier->unit[r->uses[i] >> 6];
    return lacking > 0 ? 0 : recency_victims_behind(r, q, need->units, out, out, out + most);
}

/* es_policy.victims: the oldest that may leave. What seldom happens is left to others: this is run at nearly every miss. */
static inline size_t recency_victims(const recency *r, const es_need *need, es_oid *out, size_t most)
{
    if (need->all)
        return recency_victims_all(r, need, out, most);
    recency_queue *q = &r->queue[need->bucket];
    const uint64_t *resident = q->tier->resident, *guard = r->view->guard;
    const es_oid none = r->view->objects, *first = out, *last = out + most;
    es_oid *uses = r->uses;
    uint32_t *place = q->place;
    int64_t lacking = need->units;
    size_t i = q->oldest;
    uses[q->next] = none;               /* an entry that counts ends the search */
    place[none] = q->next;
    for (;; i++) {
        es_oid object = uses[i];
        if (place[object] != (uint32_t)i)
            continue;
        if (object == none)
            break;
        size_t w = object >> 6;
        if (!((resident[w] & ~guard[w]) >> (object & 63) & 1)) {
            q->oldest = (uint32_t)i;
            return recency_victims_behind(r, q, lacking, first, out, last);
        }
        place[object] = RECENCY_NOWHERE;
        *out++ = object;
        lacking -= q->tier->unit[w];
        if (lacking <= 0)
            break;
        if (out == last)
            break;
    }
    q->oldest = (uint32_t)i;
    return (size_t)(out - first);
}

#endif
