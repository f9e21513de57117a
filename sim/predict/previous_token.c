/* Previous token: a layer will want what it wanted last time.
 *
 * The guess for a layer is the union of its most recent event, in union order. Where a layer is served in several events (units
 * below the union) they are merged until the last of them. */
#include "sim/part/predictor.h"

#include <string.h>

typedef struct previous {
    const es_view *view;
    uint16_t *list;             /* [layers * stride] */
    uint32_t *count;            /* [layers] */
    uint64_t *mask;             /* [words_per_layer] in the list of the layer whose events are being merged */
} previous;

static es_code previous_init(void *self, const es_site *site, es_err *err)
{
    previous *s = self;
    s->view = site->view;
    s->list = ES_NEW_ARRAY(site->arena, (size_t)s->view->layers * s->view->stride, uint16_t);
    s->count = ES_NEW_ARRAY(site->arena, s->view->layers, uint32_t);
    s->mask = ES_NEW_ARRAY(site->arena, s->view->words_per_layer, uint64_t);
    return s->list && s->count && s->mask ? ES_OK : es_err_nomem(err, "what every layer wanted last");
}

static void previous_merge(previous *s, const es_event *event)
{
    uint16_t *list = s->list + (size_t)event->layer * s->view->stride;
    uint32_t *count = &s->count[event->layer];
    if (event->first) {
        *count = 0;
        memset(s->mask, 0, s->view->words_per_layer * sizeof *s->mask);
    }
    for (uint32_t i = 0; i < event->count; i++) {
        uint16_t index = event->list[i];
        uint64_t *word = &s->mask[index >> 6], bit = 1ull << (index & 63);
        if (!(*word & bit))
            list[(*count)++] = index;
        *word |= bit;
    }
}

static void previous_notify(void *self, const es_fact *fact)
{
    previous *s = self;
    const es_event *event = fact->event;
    if (event->first && event->last) {
        memcpy(s->list + (size_t)event->layer * s->view->stride, event->list, event->count * sizeof *event->list);
        s->count[event->layer] = event->count;
    } else {
        previous_merge(s, event);
    }
}

static uint32_t previous_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    const previous *s = self;
    const uint16_t *list = s->list + (size_t)ask->layer * s->view->stride;
    uint32_t count = s->count[ask->layer] < most ? s->count[ask->layer] : most;
    for (uint32_t i = 0; i < count; i++)
        out[i] = (es_guess){es_layer_base(s->view, ask->layer) + list[i], 1.0f};
    return count;
}

const es_predictor es_predictor_previous_token = {
    .part = {
        .abi = ES_ABI,
        .name = "previous_token",
        .brief = "A layer will want what it wanted last time.",
        .size = sizeof(previous),
        .init = previous_init,
        .notify = previous_notify,
        .hears = ES_HEARS(ES_FACT_USE),
    },
    .predict = previous_predict,
};
