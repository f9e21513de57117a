/* Pins: the most used experts of a calibration trace, as many as the options and the room of each bucket allow. */
#ifndef ES_POLICY_PINS_H
#define ES_POLICY_PINS_H

#include <stdlib.h>

#include "sim/part/policy.h"

typedef struct pins_rule {      /* all of it holds */
    uint64_t most;              /* 0: no limit */
    uint64_t min_uses;          /* in the calibration trace; at least 1: what was never used is not pinned */
    double share;               /* of each bucket's room */
} pins_rule;

typedef struct pins {
    uint64_t *mask;             /* [words] */
    es_oid *list;               /* [count] the most used first, between equals the lowest id */
    size_t count;
    int64_t *left;              /* [buckets] units of the serving tier that the pins leave to others */
} pins;

typedef struct pins_use {
    uint64_t uses;
    es_oid object;
} pins_use;

static inline int pins_order(const void *a, const void *b)
{
    const pins_use *x = a, *y = b;
    if (x->uses != y->uses)
        return x->uses > y->uses ? -1 : 1;
    return x->object < y->object ? -1 : x->object > y->object;
}

/* Goes through the experts from the most used on; one that no longer fits its bucket is passed over, a smaller one may follow. */
static inline es_code pins_choose(pins *p, const es_site *site, const pins_rule *rule, es_err *err)
{
    const es_view *view = site->view;
    const es_tier_view *tier = &view->tier[view->serving];
    p->mask = ES_NEW_ARRAY(site->arena, view->words, uint64_t);
    p->list = ES_NEW_ARRAY(site->arena, view->objects, es_oid);
    p->left = ES_NEW_ARRAY(site->arena, view->buckets, int64_t);
    int64_t *quota = ES_NEW_ARRAY(site->arena, view->buckets, int64_t);
    pins_use *use = ES_NEW_ARRAY(site->arena, view->objects, pins_use);
    if (!p->mask || !p->list || !p->left || !quota || !use)
        return es_err_nomem(err, "pins");
    if (!site->popularity)
        return es_err_set(err, ES_EINTERNAL, "pins need the uses of a calibration trace, and there are none");
    for (uint32_t b = 0; b < view->buckets; b++) {
        p->left[b] = (int64_t)view->bucket_room[b];
        quota[b] = rule->share < 1.0 ? (int64_t)(rule->share * (double)view->bucket_room[b]) : p->left[b];
    }
    size_t known = 0;
    for (es_oid o = 0; o < view->objects; o++)
        if (site->popularity[o] > 0 && site->popularity[o] >= rule->min_uses)
            use[known++] = (pins_use){site->popularity[o], o};
    qsort(use, known, sizeof *use, pins_order);
    for (size_t i = 0; i < known && (rule->most == 0 || p->count < rule->most); i++) {
        es_oid object = use[i].object;
        uint32_t b = es_bucket_of(view, view->serving, object);
        int64_t unit = tier->unit[object >> 6];
        if (unit > quota[b])
            continue;
        quota[b] -= unit;
        p->left[b] -= view->pins_beside ? 0 : unit;
        p->mask[object >> 6] |= 1ull << (object & 63);
        p->list[p->count++] = object;
    }
    return ES_OK;
}

/* es_policy.initial: the serving tier holds the pins. */
static inline size_t pins_initial(const pins *p, const es_view *view, uint32_t tier, es_oid *out, size_t most)
{
    size_t count = tier != view->serving ? 0 : p->count < most ? p->count : most;
    for (size_t i = 0; i < count; i++)
        out[i] = p->list[i];
    return count;
}

#endif
