/* History: a layer will want what it used most often in its last tokens, all counting alike (Metal Marlin's prefetcher).
 *
 * An expert with less than `floor` of all uses is left out; when that leaves nobody, the first of what the layer used last are named.
 * Of equals whoever is met first from the newest token back. The confidence is the share of the tokens that used it. */
#include "sim/predict/window.h"

typedef struct history {
    window window;
    double floor;
} history;

static const es_option history_options[] = {
    WINDOW_OPTIONS(history, window),
    {.name = "floor", .type = ES_OPT_REAL, .offset = offsetof(history, floor), .def = 0.05, .min = 0, .max = 1,
        .help = "Share of the uses in the window that an expert needs."},
    {0},
};

static es_code history_init(void *self, const es_site *site, es_err *err)
{
    return window_init(&((history *)self)->window, site, err);
}

static void history_notify(void *self, const es_fact *fact)
{
    window_hear(&((history *)self)->window, fact);
}

/* n uses of all are the share when n / all is, as it is computed there: floor * all could round the other way. */
static double history_least(const history *s, uint32_t all)
{
    uint32_t n = (uint32_t)(s->floor * all);
    n -= n > 0;
    while ((double)n / all < s->floor)
        n++;
    return n;
}

static uint32_t history_rank(void *self, const es_predict_ask *ask, uint32_t layer)
{
    history *s = self;
    window *w = &s->window;
    const uint32_t held = window_held(w, layer);
    uint32_t all = 0;
    (void)ask;
    window_clear(w);
    for (uint32_t back = 0; back < held; back++) {
        uint32_t count;
        const uint16_t *list = window_entry(w, layer, back, &count);
        all += count;
        for (uint32_t i = 0; i < count; i++)
            window_add(w, list[i], 1.0);
    }
    const uint32_t named = all > 0 ? window_best(w, history_least(s, all), held) : 0;
    return named > 0 ? named : window_repeat(w, layer);
}

static uint32_t history_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    return window_predict(&((history *)self)->window, self, history_rank, ask, out, most);
}

const es_predictor es_predictor_history = {
    .part = {
        .abi = ES_ABI,
        .name = "history",
        .brief = "What a layer used most often in its last tokens, with a share that is worth it (Metal Marlin).",
        .options = history_options,
        .size = sizeof(history),
        .init = history_init,
        .notify = history_notify,
        .hears = ES_HEARS(ES_FACT_USE),
    },
    .predict = history_predict,
};
