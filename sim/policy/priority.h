/* Priority: the residents of each bucket, the one with the least admission_priority first, without weighing all of them for each victim.
 *
 * A priority falls as time goes by, but all that fall do so at one rate until their freshness is used up. So each bucket has two heaps:
 *
 *   fresh   by base + time of the last use in spans of freshness. Less the time that it is now, that is the priority, or less than it
 *           where the freshness was used up meanwhile: such an expert goes over to `stale` when it is found at the top
 *   stale   by the priority itself, which changes no more before the next use
 *
 * The sum of a fresh one is rounded otherwise than the priority, so all within the rounding are weighed as they are. Among equals the
 * lowest number is first. What may not leave is set aside meanwhile: it is what the event at hand wants and what is on its way. */
#ifndef ES_POLICY_PRIORITY_H
#define ES_POLICY_PRIORITY_H

#include <float.h>

#include "sim/part/policy.h"
#include "sim/policy/admission.h"

typedef struct priority_heap {
    es_oid *at;
    uint32_t count;
} priority_heap;

typedef struct priority {
    const es_view *view;
    const admission_rules *rules;
    const admission_expert *expert;     /* [objects] */
    const double *sure;                 /* [objects] confidence of the last guess */
    priority_heap *heap;                /* [2 * buckets] fresh, stale */
    double *key;                        /* [tiers * objects] */
    uint32_t *place;                    /* [tiers * objects] in its heap, from 1; 0: in none */
    bool *stale;                        /* [tiers * objects] which heap */
    es_oid *aside;                      /* [objects] scratch */
} priority;

static inline es_code priority_init(priority *p, const es_site *site, const admission_rules *rules, const admission_expert *expert, const double *sure, es_err *err)
{
    const es_view *view = site->view;
    const size_t objects = view->objects, room = view->per_layer ? view->stride : objects;
    *p = (priority){.view = view, .rules = rules, .expert = expert, .sure = sure};
    p->heap = ES_NEW_ARRAY(site->arena, 2 * (size_t)view->buckets, priority_heap);
    p->key = ES_NEW_ARRAY(site->arena, view->tiers * objects, double);
    p->place = ES_NEW_ARRAY(site->arena, view->tiers * objects, uint32_t);
    p->stale = ES_NEW_ARRAY(site->arena, view->tiers * objects, bool);
    p->aside = ES_NEW_ARRAY(site->arena, objects, es_oid);
    es_oid *at = ES_NEW_ARRAY(site->arena, 2 * (size_t)view->buckets * room, es_oid);
    if (!p->heap || !p->key || !p->place || !p->stale || !p->aside || !at)
        return es_err_nomem(err, "priorities");
    for (size_t h = 0; h < 2 * (size_t)view->buckets; h++)
        p->heap[h].at = at + h * room;
    return ES_OK;
}

/* ---- heaps of one tier ---- */

typedef struct priority_tier {          /* a tier's part of the tables */
    double *key;
    uint32_t *place;
    bool *stale;
} priority_tier;

static inline priority_tier priority_of(const priority *p, uint32_t tier)
{
    const size_t first = (size_t)tier * p->view->objects;
    return (priority_tier){p->key + first, p->place + first, p->stale + first};
}

static inline bool priority_before(const priority_tier *t, es_oid a, es_oid b)
{
    return t->key[a] < t->key[b] || (t->key[a] == t->key[b] && a < b);
}

static inline void priority_put(priority_heap *h, const priority_tier *t, uint32_t i, es_oid object)
{
    h->at[i] = object;
    t->place[object] = i + 1;
}

/* The object is to stand at `i`, or wherever above or below it belongs. */
static inline void priority_sift(priority_heap *h, const priority_tier *t, uint32_t i, es_oid object)
{
    for (; i > 0 && priority_before(t, object, h->at[(i - 1) / 2]); i = (i - 1) / 2)
        priority_put(h, t, i, h->at[(i - 1) / 2]);
    for (uint32_t low; (low = 2 * i + 1) < h->count; i = low) {
        low += low + 1 < h->count && priority_before(t, h->at[low + 1], h->at[low]);
        if (!priority_before(t, h->at[low], object))
            break;
        priority_put(h, t, i, h->at[low]);
    }
    priority_put(h, t, i, object);
}

static inline priority_heap *priority_heap_of(const priority *p, uint32_t tier, es_oid object, bool stale)
{
    return &p->heap[2 * es_bucket_of(p->view, tier, object) + stale];
}

static inline void priority_leave(priority *p, uint32_t tier, es_oid object)
{
    const priority_tier t = priority_of(p, tier);
    priority_heap *h = priority_heap_of(p, tier, object, t.stale[object]);
    const uint32_t i = t.place[object];
    if (i == 0)
        return;
    const es_oid last = h->at[--h->count];
    t.place[object] = 0;
    if (last != object)
        priority_sift(h, &t, i - 1, last);
}

/* Is its freshness used up? The same sum as in admission_priority, or the two might not agree. */
static inline bool priority_is_stale(const priority *p, es_oid object, es_time now)
{
    const admission_expert *e = &p->expert[object];
    return e->uses == 0 || !(p->rules->fresh - (double)admission_age(e, now) / (double)p->rules->fresh_span_ns > 0.0);
}

static inline void priority_insert(priority *p, uint32_t tier, es_oid object)
{
    const priority_tier t = priority_of(p, tier);
    priority_heap *h = priority_heap_of(p, tier, object, t.stale[object]);
    priority_sift(h, &t, h->count++, object);
}

/* The object is in the tier from now on; or it was, and what is known of it has changed. */
static inline void priority_enter(priority *p, uint32_t tier, es_oid object, es_time now)
{
    const priority_tier t = priority_of(p, tier);
    const admission_expert *e = &p->expert[object];
    priority_leave(p, tier, object);
    t.stale[object] = priority_is_stale(p, object, now);
    t.key[object] = admission_priority(p->rules, e, p->sure[object], now);
    if (!t.stale[object])
        t.key[object] += (double)now / (double)p->rules->fresh_span_ns;
    priority_insert(p, tier, object);
}

/* It was used: the same wherever it is. */
static inline void priority_used(priority *p, es_oid object, es_time now)
{
    for (uint32_t tier = 0; tier < p->view->tiers; tier++)
        if (priority_of(p, tier).place[object] != 0)
            priority_enter(p, tier, object, now);
}

static inline void priority_empty(priority *p)
{
    for (size_t i = 0; i < (size_t)p->view->tiers * p->view->objects; i++)
        p->place[i] = 0;
    for (uint32_t h = 0; h < 2 * p->view->buckets; h++)
        p->heap[h].count = 0;
}

/* ---- the least ---- */

typedef struct priority_search {
    priority *p;
    const es_need *need;
    es_time now;
    es_oid least;               /* so far */
    double lowest;
    uint32_t aside;
} priority_search;

static inline void priority_weigh(priority_search *s, es_oid object)
{
    priority *p = s->p;
    priority_leave(p, s->need->tier, object);
    p->aside[s->aside++] = object;
    if (!es_may_evict(p->view, object, s->need->tier))
        return;
    const double weight = admission_priority(p->rules, &p->expert[object], p->sure[object], s->now);
    if (s->least != ES_NO_OBJECT && (weight > s->lowest || (weight == s->lowest && object > s->least)))
        return;
    s->least = object;
    s->lowest = weight;
}

/* Takes the resident with the least priority that may leave out of the bucket; ES_NO_OBJECT: there is none. */
static inline es_oid priority_take(priority *p, const es_need *need, es_time now)
{
    const priority_tier t = priority_of(p, need->tier);
    priority_heap *fresh = &p->heap[2 * need->bucket], *stale = fresh + 1;
    priority_search s = {p, need, now, ES_NO_OBJECT, 0.0, 0};
    const double time = (double)now / (double)p->rules->fresh_span_ns, rounding = 16 * DBL_EPSILON * (2.0 + time);
    while (fresh->count > 0) {
        const es_oid first = fresh->at[0];
        if (s.least != ES_NO_OBJECT && t.key[first] - time - rounding > s.lowest)
            break;
        if (priority_is_stale(p, first, now))
            priority_enter(p, need->tier, first, now);
        else
            priority_weigh(&s, first);
    }
    while (stale->count > 0) {
        const es_oid first = stale->at[0];
        if (s.least != ES_NO_OBJECT && (t.key[first] > s.lowest || (t.key[first] == s.lowest && first > s.least)))
            break;
        priority_weigh(&s, first);
    }
    while (s.aside > 0) {
        const es_oid object = p->aside[--s.aside];
        if (object != s.least)
            priority_insert(p, need->tier, object);
    }
    return s.least;
}

#endif
