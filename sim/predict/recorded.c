/* Recorded: the predictions that a real engine made, as they stand in the trace.
 *
 * The guess for a layer are the recorded rows for it of the step's tokens, token by token in rank order; what several tokens
 * foresee is named once, with the confidence of the first. Rows of the next step are not known yet, so there is no guess where
 * the layer asked for wraps around. */
#include "sim/part/predictor.h"

#include <string.h>

typedef struct recorded {
    int64_t first;
    const es_view *view;
    uint32_t row;               /* first row of the layer's first event: units below the union come in parts */
    uint64_t *named;            /* [words_per_layer] */
} recorded;

static const es_option recorded_options[] = {
    {.name = "first", .type = ES_OPT_INT, .offset = offsetof(recorded, first), .def = 0, .min = 0, .max = 65535,
        .help = "Take only so many of each token's predictions, from rank 0 on; 0: all."},
    {0},
};

static es_code recorded_init(void *self, const es_site *site, es_err *err)
{
    recorded *s = self;
    s->view = site->view;
    if (s->view->guesses == 0)
        return es_err_set(err, ES_EINPUT, "the trace has no recorded predictions; `expertsim trace info` tells what it has");
    s->named = ES_NEW_ARRAY(site->arena, s->view->words_per_layer, uint64_t);
    return s->named ? ES_OK : es_err_nomem(err, "a mask of one layer");
}

static void recorded_notify(void *self, const es_fact *fact)
{
    recorded *s = self;
    if (fact->event->first)
        s->row = fact->event->row;
}

static uint32_t recorded_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    const recorded *s = self;
    const es_step *step = ask->event->rows;
    const uint32_t end = ask->event->row + ask->event->tokens;
    const size_t width = s->view->guesses, read = s->first > 0 && (size_t)s->first < width ? (size_t)s->first : width;
    uint32_t count = 0;
    if (ask->next_step || !step->guess)
        return 0;
    memset(s->named, 0, s->view->words_per_layer * sizeof *s->named);
    for (uint32_t row = s->row; row < end; row++) {
        size_t at = ((size_t)row * s->view->layers + ask->layer) * width;
        for (size_t i = at; i < at + read && step->guess[i] != ES_NO_EXPERT; i++) {
            const uint16_t expert = step->guess[i];
            if (expert >= s->view->ids || es_mask_has(s->named, expert))
                continue;
            s->named[expert >> 6] |= 1ull << (expert & 63);
            for (uint32_t m = 0; m < s->view->matrices; m++) {
                if (count == most)
                    return count;
                out[count++] = (es_guess){es_object_of(s->view, ask->layer, expert) + m * s->view->slice, step->guess_confidence ? step->guess_confidence[i] : 1.0f};
            }
        }
    }
    return count;
}

const es_predictor es_predictor_recorded = {
    .part = {
        .abi = ES_ABI,
        .name = "recorded",
        .brief = "The predictions that stand in the trace.",
        .options = recorded_options,
        .size = sizeof(recorded),
        .init = recorded_init,
        .notify = recorded_notify,
        .flags = ES_READS_GUESSES,
        .hears = ES_HEARS(ES_FACT_USE),
    },
    .predict = recorded_predict,
};
