/* Repeat: a layer will want the first few of what it used last (Metal Marlin's prefetcher). */
#include "sim/predict/window.h"

typedef struct repeat {
    window window;
} repeat;

static const es_option repeat_options[] = {
    WINDOW_ANSWER_OPTIONS(repeat, window),
    {0},
};

static es_code repeat_init(void *self, const es_site *site, es_err *err)
{
    window *w = &((repeat *)self)->window;
    w->length = 1;
    return window_init(w, site, err);
}

static void repeat_notify(void *self, const es_fact *fact)
{
    window_hear(&((repeat *)self)->window, fact);
}

static uint32_t repeat_rank(void *self, const es_predict_ask *ask, uint32_t layer)
{
    (void)ask;
    return window_repeat(&((repeat *)self)->window, layer);
}

static uint32_t repeat_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    return window_predict(&((repeat *)self)->window, self, repeat_rank, ask, out, most);
}

const es_predictor es_predictor_repeat = {
    .part = {
        .abi = ES_ABI,
        .name = "repeat",
        .brief = "The first few of what a layer used last, here or carried to the layers ahead (Metal Marlin).",
        .options = repeat_options,
        .size = sizeof(repeat),
        .init = repeat_init,
        .notify = repeat_notify,
        .hears = ES_HEARS(ES_FACT_USE),
    },
    .predict = repeat_predict,
};
