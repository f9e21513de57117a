/* Noisy oracle: knows what comes and errs as often as it is told to. It answers what a predictor of a given quality would be
 * worth before anybody trains one; its results are labelled non-causal.
 *
 * Each expert that the coming event wants is named with the chance `accuracy`, or with `recall` at the distance in layers; else a
 * wrong one takes its place. Draws depend on the event that is foreseen, not on when it is asked for: asked again nearer to it,
 * what was named is named again, and with a higher recall more of it. */
#include "sim/part/predictor.h"

#include <string.h>

typedef struct noisy {
    double accuracy;
    es_reals recall;
    int64_t extra;
    double right, wrong, spread;
    const es_view *view;
    es_stream named, other, sure;
    uint64_t *taken;            /* [words_per_layer] wanted by the event or named already */
} noisy;

static const es_option noisy_options[] = {
    {.name = "accuracy", .type = ES_OPT_REAL, .offset = offsetof(noisy, accuracy), .def = 0.8, .min = 0, .max = 1,
        .help = "Chance that an expert which will be wanted is named; else a wrong one is named in its place."},
    {.name = "recall", .type = ES_OPT_REALS, .offset = offsetof(noisy, recall), .min = 0, .max = 1,
        .help = "The same chance 1, 2, ... layers ahead, the last value for all beyond; goes before accuracy."},
    {.name = "extra", .type = ES_OPT_INT, .offset = offsetof(noisy, extra), .def = 0, .min = 0, .max = 65535, .unit = "experts",
        .help = "Wrong experts named in addition, behind the others."},
    {.name = "confidence_right", .type = ES_OPT_REAL, .offset = offsetof(noisy, right), .def = 0.8, .min = 0, .max = 1,
        .help = "Mean confidence of right guesses."},
    {.name = "confidence_wrong", .type = ES_OPT_REAL, .offset = offsetof(noisy, wrong), .def = 0.4, .min = 0, .max = 1,
        .help = "Mean confidence of wrong guesses."},
    {.name = "confidence_spread", .type = ES_OPT_REAL, .offset = offsetof(noisy, spread), .def = 0.2, .min = 0, .max = 1,
        .help = "Confidence is uniform within so much of its mean to either side, cut at 0 and 1."},
    {0},
};

static es_code noisy_init(void *self, const es_site *site, es_err *err)
{
    noisy *s = self;
    s->view = site->view;
    s->named = es_stream_of(site->seed, site->replication, site->path, "named");
    s->other = es_stream_of(site->seed, site->replication, site->path, "other");
    s->sure = es_stream_of(site->seed, site->replication, site->path, "sure");
    s->taken = ES_NEW_ARRAY(site->arena, s->view->words_per_layer, uint64_t);
    if (!s->taken)
        return es_err_nomem(err, "a mask of one layer");
    for (size_t i = 0; i < s->recall.count; i++)
        if (!(s->recall.at[i] >= 0.0 && s->recall.at[i] <= 1.0))
            return es_err_set(err, ES_EINPUT, "recall: %g is no chance; each value must lie within 0 and 1", s->recall.at[i]);
    return ES_OK;
}

/* The events [*from, *to) of the layer asked for, in the step asked for; false when it has none there. Layers come in ascending
 * order within a step, so a layer below the one before it begins the next step. */
static bool noisy_coming(const noisy *s, const es_predict_ask *ask, uint64_t *from, uint64_t *to)
{
    const es_future *future = s->view->future;
    uint32_t before = ask->event->layer;
    bool next_step = false;
    for (uint64_t i = ask->event->index + 1; i < future->events; i++) {
        uint32_t layer = future->layer[i];
        if (layer < before || (layer == before && s->view->layers == 1)) {
            if (next_step)
                return false;
            next_step = true;
        }
        before = layer;
        if (next_step != ask->next_step)
            continue;
        if (layer > ask->layer)
            return false;
        if (layer == ask->layer) {
            *from = i++;
            while (s->view->layers > 1 && i < future->events && future->layer[i] == layer)
                i++;
            *to = i;
            return true;
        }
    }
    return false;
}

static float noisy_sure(const noisy *s, double mean, uint64_t event, uint32_t index)
{
    double c = mean + s->spread * (2.0 * es_draw_real(s->sure, event, index, 0, 0) - 1.0);
    return (float)(c < 0.0 ? 0.0 : c > 1.0 ? 1.0 : c);
}

/* An expert that is neither wanted nor named yet, each as likely as the others; false when there is none. */
static bool noisy_wrong(noisy *s, uint64_t event, uint32_t place, uint32_t *index)
{
    uint32_t free_count = s->view->experts;
    for (uint32_t w = 0; w < s->view->words_per_layer; w++)
        free_count -= (uint32_t)__builtin_popcountll(s->taken[w]);
    if (free_count == 0)
        return false;
    uint32_t nth = es_draw_below(s->other, free_count, event, place, 0, 0);
    uint32_t w = 0;
    for (uint32_t here; nth >= (here = 64 - (uint32_t)__builtin_popcountll(s->taken[w])); w++)
        nth -= here;
    uint64_t left = ~s->taken[w];
    for (; nth > 0; nth--)
        left &= left - 1;
    *index = w * 64 + (uint32_t)__builtin_ctzll(left);
    s->taken[w] |= left & -left;
    return true;
}

static uint32_t noisy_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    noisy *s = self;
    const es_future *future = s->view->future;
    const uint32_t base = es_layer_base(s->view, ask->layer);
    uint32_t ahead = ask->layer + (ask->next_step ? s->view->layers : 0) - ask->event->layer;
    uint64_t from, to;
    uint32_t count = 0, place = 0, index;
    if (!noisy_coming(s, ask, &from, &to))
        return 0;
    double chance = s->accuracy;
    if (s->recall.count > 0)
        chance = s->recall.at[ahead - 1 < s->recall.count ? ahead - 1 : s->recall.count - 1];
    memset(s->taken, 0, s->view->words_per_layer * sizeof *s->taken);
    for (uint64_t i = future->first[from]; i < future->first[to]; i++)
        s->taken[future->list[i] >> 6] |= 1ull << (future->list[i] & 63);
    for (uint64_t i = future->first[from]; i < future->first[to] && count < most; i++, place++) {
        bool right = es_draw_real(s->named, from, future->list[i], 0, 0) < chance;
        if (right)
            index = future->list[i];
        else if (!noisy_wrong(s, from, place, &index))
            continue;
        out[count++] = (es_guess){base + index, noisy_sure(s, right ? s->right : s->wrong, from, index)};
    }
    for (int64_t i = 0; i < s->extra && count < most && noisy_wrong(s, from, place, &index); i++, place++)
        out[count++] = (es_guess){base + index, noisy_sure(s, s->wrong, from, index)};
    return count;
}

const es_predictor es_predictor_noisy_oracle = {
    .part = {
        .abi = ES_ABI,
        .name = "noisy_oracle",
        .brief = "Knows what comes and errs as often as it is told to.",
        .options = noisy_options,
        .size = sizeof(noisy),
        .init = noisy_init,
        .flags = ES_ORACLE,
    },
    .predict = noisy_predict,
};
