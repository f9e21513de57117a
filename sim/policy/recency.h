/* Recency: the residents of every bucket as lists, oldest first. Shared by the policies that keep such an order.
 *
 * One circular list per bucket (a tier, or a layer's share of it) with a sentinel: next of the sentinel is the oldest, prev the
 * newest. A node that is in no list is linked to the node `nowhere`, so unlinking needs no test. About 10 instructions per use,
 * 15 per victim. What makes an object young is for the policy to say: it calls recency_use or recency_touch. */
#ifndef ES_POLICY_RECENCY_H
#define ES_POLICY_RECENCY_H

#include "sim/part/policy.h"

typedef struct recency_node {
    uint32_t prev, next;
} recency_node;

typedef struct recency {
    const es_view *view;
    recency_node *node;         /* [tiers * objects] by tier and object, then one sentinel per bucket, then nowhere */
    uint64_t *stamp;            /* [objects] order of last touch, kept only where demotions need it; else NULL */
    uint64_t clock;
    uint32_t sentinels;         /* index of the first */
    uint32_t nowhere;
    uint32_t serving, sentinel; /* of the serving tier: its first node, the sentinel of its first bucket */
} recency;

static inline void recency_empty(recency *r)
{
    for (uint32_t i = 0; i < r->sentinels; i++)
        r->node[i] = (recency_node){r->nowhere, r->nowhere};
    for (uint32_t i = r->sentinels; i <= r->nowhere; i++)
        r->node[i] = (recency_node){i, i};
}

static inline es_code recency_init(recency *r, const es_site *site, es_err *err)
{
    r->view = site->view;
    r->sentinels = r->view->tiers * r->view->objects;
    r->nowhere = r->sentinels + r->view->buckets;
    r->serving = r->view->serving * r->view->objects;
    r->sentinel = r->sentinels + r->view->tier[r->view->serving].first_bucket;
    r->node = ES_NEW_ARRAY(site->arena, r->nowhere + 1, recency_node);
    if (r->view->tiers > 2)
        r->stamp = ES_NEW_ARRAY(site->arena, r->view->objects, uint64_t);
    if (!r->node || (r->view->tiers > 2 && !r->stamp))
        return es_err_nomem(err, "recency lists");
    recency_empty(r);
    return ES_OK;
}

static inline uint32_t recency_sentinel(const recency *r, uint32_t tier, es_oid object)
{
    return r->sentinels + es_bucket_of(r->view, tier, object);
}

static inline void recency_unlink(recency_node *node, uint32_t i)
{
    node[node[i].prev].next = node[i].next;
    node[node[i].next].prev = node[i].prev;
}

/* Puts i before `at` in its list: before the sentinel is newest. */
static inline void recency_link(recency_node *node, uint32_t i, uint32_t at)
{
    uint32_t before = node[at].prev;
    node[i] = (recency_node){before, at};
    node[before].next = i;
    node[at].prev = i;
}

static inline bool recency_has(const recency *r, uint32_t tier, es_oid object)
{
    uint32_t n = tier * r->view->objects + object;
    return r->node[n].next != r->nowhere;
}

/* Remembers that the object was used now, and where copies lie in lower tiers too (inclusive tiers) makes those the newest. */
static inline void recency_stamp(recency *r, uint32_t tier, es_oid object)
{
    r->stamp[object] = ++r->clock;
    for (uint32_t t = 0; t < r->view->tiers; t++)
        if (t != tier && recency_has(r, t, object)) {
            uint32_t n = t * r->view->objects + object;
            recency_unlink(r->node, n);
            recency_link(r->node, n, recency_sentinel(r, t, object));
        }
}

/* The newest of its list from now on, whether it was in it or not. */
static inline void recency_touch(recency *r, uint32_t tier, es_oid object)
{
    uint32_t n = tier * r->view->objects + object;
    recency_unlink(r->node, n);
    recency_link(r->node, n, recency_sentinel(r, tier, object));
    if (r->stamp)
        recency_stamp(r, tier, object);
}

/* Only some of the event stay: those become the newest one by one. */
static ES_COLD void recency_use_kept(recency *r, const es_event *event)
{
    for (uint32_t i = 0; i < event->count; i++)
        if (es_event_keeps(event, event->touch[i]))
            recency_touch(r, r->view->serving, event->base + event->touch[i]);
}

/* All of the event become the newest, in its touch order: the loop that a run spends its time in. Each is taken out of its place
 * and put behind the one before; the sentinel learns of the last only at the end. */
static inline void recency_use(recency *r, const es_event *event)
{
    if (event->kept || r->stamp) {
        recency_use_kept(r, event);
        return;
    }
    const uint32_t first = r->serving + event->base;
    const uint32_t sentinel = r->view->per_layer ? r->sentinel + event->layer : r->sentinel;
    const uint16_t *touch = event->touch, *end = touch + event->count;
    recency_node *node = r->node, *own = node + first;
    uint32_t newest = node[sentinel].prev;
    do {
        uint32_t n = first + *touch;
        if (n == newest)
            continue;
        recency_node *mine = own + *touch;
        uint32_t prev = mine->prev, next = mine->next;
        node[prev].next = next;
        node[next].prev = prev;
        node[newest].next = n;
        mine->prev = newest;
        newest = n;
    } while (++touch < end);
    node[newest].next = sentinel;
    node[sentinel].prev = newest;
}

/* Enters the list behind all that were touched before it: a demoted object brings the time of its last use with it. */
static inline void recency_place(recency *r, uint32_t tier, es_oid object)
{
    uint32_t first = tier * r->view->objects;
    uint32_t sentinel = recency_sentinel(r, tier, object), at = sentinel;
    while (r->node[at].prev != sentinel && r->stamp[r->node[at].prev - first] > r->stamp[object])
        at = r->node[at].prev;
    recency_link(r->node, first + object, at);
}

static inline void recency_forget(recency *r, uint32_t tier, es_oid object)
{
    uint32_t n = tier * r->view->objects + object;
    recency_unlink(r->node, n);
    r->node[n] = (recency_node){r->nowhere, r->nowhere};
}

/* Would what may leave now be enough? */
static ES_COLD bool recency_enough(const recency *r, const es_need *need)
{
    const int64_t *unit = r->view->tier[need->tier].unit;
    uint32_t first = need->tier * r->view->objects, sentinel = r->sentinels + need->bucket;
    int64_t freed = 0;
    for (uint32_t n = r->node[sentinel].next; n != sentinel && freed < need->units; n = r->node[n].next)
        freed += es_may_evict(r->view, n - first, need->tier) ? unit[(n - first) >> 6] : 0;
    return freed >= need->units;
}

/* es_policy.victims: the oldest that may leave. Those that may not are linked to each other across the gaps. */
static inline size_t recency_victims(recency *r, const es_need *need, es_oid *out, size_t most)
{
    if (need->all && !recency_enough(r, need))
        return 0;
    const es_view *view = r->view;
    const int64_t *unit = view->tier[need->tier].unit;
    const uint64_t *resident = view->tier[need->tier].resident, *guard = view->guard;
    const recency_node gone = {r->nowhere, r->nowhere};
    uint32_t first = need->tier * view->objects, sentinel = r->sentinels + need->bucket, stays = sentinel;
    recency_node *node = r->node;
    size_t count = 0;
    int64_t lacking = need->units;
    uint32_t n = node[sentinel].next;
    while (n != sentinel && lacking > 0 && count < most) {
        es_oid object = n - first;
        uint32_t next = node[n].next, w = object >> 6;
        if ((resident[w] & ~guard[w]) >> (object & 63) & 1) {
            out[count++] = object;
            lacking -= unit[w];
            node[n] = gone;
        } else {
            node[stays].next = n;
            node[n].prev = stays;
            stays = n;
        }
        n = next;
    }
    node[stays].next = n;
    node[n].prev = stays;
    return count;
}

#endif
