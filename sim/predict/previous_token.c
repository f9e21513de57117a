/* Previous token: a layer will want what it wanted last time.
 *
 * The guess for a layer is the union of its most recent event, in union order. Where a layer is served in several events (units
 * below the union) they are merged until the last of them. */
#include "sim/predict/recent.h"

typedef struct previous {
    recent recent;
} previous;

static es_code previous_init(void *self, const es_site *site, es_err *err)
{
    return recent_init(&((previous *)self)->recent, site, err);
}

static void previous_notify(void *self, const es_fact *fact)
{
    recent *r = &((previous *)self)->recent;
    uint32_t count;
    const uint16_t *list = recent_joined(r, fact->event, &count);
    if (list)
        recent_keep(r, fact->event->layer, list, count);
}

static uint32_t previous_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    const recent *r = &((previous *)self)->recent;
    uint32_t count;
    const uint16_t *list = recent_list(r, ask->layer, &count);
    count = count < most ? count : most;
    for (uint32_t i = 0; i < count; i++)
        out[i] = (es_guess){es_object_now(r->view, ask->layer, list[i]), 1.0f};
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
