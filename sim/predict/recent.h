/* Recent: what every layer used last, the memory that predictors from past routing share.
 *
 * A layer may be served in several events (units below the union); what it used is known with the last of them. The owner learns
 * between recent_joined, which tells the union, and recent_keep, which puts it in place of the one before. */
#ifndef ES_PREDICT_RECENT_H
#define ES_PREDICT_RECENT_H

#include <string.h>

#include "sim/part/predictor.h"

typedef struct recent {
    const es_view *view;
    uint32_t layers, stride, words;
    uint16_t *list;             /* [layers * stride] in union order */
    uint32_t *count;            /* [layers]; 0: not seen yet */
    uint16_t *part;             /* [stride] union of the parts so far */
    uint32_t part_count;
    uint64_t *mask;             /* [words] in it */
    uint64_t step;              /* of the last event, and its request */
    uint32_t request;
} recent;

static inline es_code recent_init(recent *r, const es_site *site, es_err *err)
{
    const es_view *view = r->view = site->view;
    r->layers = view->layers;
    r->stride = view->stride;
    r->words = view->words_per_layer;
    r->step = UINT64_MAX;
    r->list = ES_NEW_ARRAY(site->arena, (size_t)view->layers * view->stride, uint16_t);
    r->count = ES_NEW_ARRAY(site->arena, view->layers, uint32_t);
    r->part = ES_NEW_ARRAY(site->arena, view->stride, uint16_t);
    r->mask = ES_NEW_ARRAY(site->arena, r->words, uint64_t);
    return r->list && r->count && r->part && r->mask ? ES_OK : es_err_nomem(err, "what every layer used last");
}

/* A step of another request says nothing about this one: its experts are forgotten. */
static inline void recent_turn(recent *r, const es_event *event)
{
    if (event->step == r->step)
        return;
    if (event->request != r->request)
        memset(r->count, 0, r->layers * sizeof *r->count);
    r->step = event->step;
    r->request = event->request;
}

/* With the last event of its layer: the layer's union and its size; NULL before. */
static inline const uint16_t *recent_joined(recent *r, const es_event *event, uint32_t *count)
{
    if (event->first && event->last) {
        *count = event->count;
        return event->list;
    }
    if (event->first) {
        r->part_count = 0;
        memset(r->mask, 0, r->words * sizeof *r->mask);
    }
    for (uint32_t i = 0; i < event->count; i++) {
        uint16_t index = event->list[i];
        uint64_t *word = &r->mask[index >> 6], bit = 1ull << (index & 63);
        if (!(*word & bit))
            r->part[r->part_count++] = index;
        *word |= bit;
    }
    *count = r->part_count;
    return event->last ? r->part : NULL;
}

static inline void recent_keep(recent *r, uint32_t layer, const uint16_t *list, uint32_t count)
{
    memcpy(r->list + (size_t)layer * r->stride, list, count * sizeof *list);
    r->count[layer] = count;
}

static inline const uint16_t *recent_list(const recent *r, uint32_t layer, uint32_t *count)
{
    *count = r->count[layer];
    return r->list + (size_t)layer * r->stride;
}

/* The layer that ran `back` layers before one, in the same step or in the one before it; back <= layers. */
static inline uint32_t recent_before(const recent *r, uint32_t layer, uint32_t back)
{
    return (layer + r->layers - back) % r->layers;
}

/* How many layers ahead of the gate a predictor is asked to look, from 1 on. */
static inline uint32_t recent_ahead(const recent *r, const es_predict_ask *ask)
{
    return ask->layer + (ask->next_step ? r->layers : 0) - ask->event->layer;
}

/* The experts with the highest scores, best first, equals by ascending id, into out[most]; how many there are. */
static inline uint32_t recent_best(const double *score, uint32_t experts, uint16_t *out, uint32_t most)
{
    uint32_t count = 0;
    for (uint32_t e = 0; most > 0 && e < experts; e++) {
        if (count == most && score[out[most - 1]] >= score[e])
            continue;
        uint32_t i = count < most ? count++ : most - 1;
        for (; i > 0 && score[out[i - 1]] < score[e]; i--)
            out[i] = out[i - 1];
        out[i] = (uint16_t)e;
    }
    return count;
}

#endif
