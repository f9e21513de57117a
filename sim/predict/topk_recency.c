/* Top-k by recency: a layer will want what it used most in its last tokens, the newest counting most (Metal Marlin's prefetcher).
 *
 *     score(e) = sum over the tokens i steps back that used e of decay^i, + `bonus` when the newest did
 *
 * of equals whoever is met first from the newest token back. The confidence is the score over the largest there can be. */
#include <math.h>

#include "sim/predict/window.h"

typedef struct topk {
    window window;
    double decay, bonus;
    double *weight;             /* [length] decay^i */
} topk;

static const es_option topk_options[] = {
    WINDOW_OPTIONS(topk, window),
    {.name = "decay", .type = ES_OPT_REAL, .offset = offsetof(topk, decay), .def = 0.9, .min = 0, .max = 1,
        .help = "What a use is worth after one more token."},
    {.name = "bonus", .type = ES_OPT_REAL, .offset = offsetof(topk, bonus), .def = 2, .min = 0, .max = 1e6,
        .help = "What a use by the newest token is worth besides."},
    {0},
};

static es_code topk_init(void *self, const es_site *site, es_err *err)
{
    topk *s = self;
    s->weight = ES_NEW_ARRAY(site->arena, (size_t)s->window.length, double);
    if (!s->weight)
        return es_err_nomem(err, "weights of tokens");
    for (int64_t i = 0; i < s->window.length; i++)
        s->weight[i] = pow(s->decay, (double)i);
    return window_init(&s->window, site, err);
}

static void topk_notify(void *self, const es_fact *fact)
{
    window_hear(&((topk *)self)->window, fact);
}

static uint32_t topk_rank(void *self, const es_predict_ask *ask, uint32_t layer)
{
    topk *s = self;
    window *w = &s->window;
    const uint32_t held = window_held(w, layer);
    double whole = s->bonus;
    (void)ask;
    window_clear(w);
    for (uint32_t back = 0; back < held; back++) {
        uint32_t count;
        const uint16_t *list = window_entry(w, layer, back, &count);
        whole += s->weight[back];
        for (uint32_t i = 0; i < count; i++)
            window_add(w, list[i], s->weight[back]);
    }
    if (held > 0) {
        uint32_t count;
        const uint16_t *list = window_entry(w, layer, 0, &count);
        for (uint32_t i = 0; i < count; i++)
            window_add(w, list[i], s->bonus);
    }
    return window_best(w, 0.0, whole);
}

static uint32_t topk_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    return window_predict(&((topk *)self)->window, self, topk_rank, ask, out, most);
}

const es_predictor es_predictor_topk_recency = {
    .part = {
        .abi = ES_ABI,
        .name = "topk_recency",
        .brief = "What a layer used most in its last tokens, recent ones counting more (Metal Marlin's default).",
        .options = topk_options,
        .size = sizeof(topk),
        .init = topk_init,
        .notify = topk_notify,
        .hears = ES_HEARS(ES_FACT_USE),
    },
    .predict = topk_predict,
};
