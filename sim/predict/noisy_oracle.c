/* Noisy oracle: knows what comes and errs as often as it is told to. It answers what a predictor of a given quality would be
 * worth before anybody trains one; its results are labelled non-causal.
 *
 * Each expert that the coming event wants is named with the chance `accuracy`, or with `recall` at the distance in layers; else a
 * wrong one takes its place. Draws depend on the event that is foreseen, not on when it is asked for: asked again nearer to it,
 * what was named is named again, and with a higher recall more of it.
 *
 * A blind one stands for a model that is right now and then and else knows nothing: what it names in the place of others is drawn
 * from all experts, so it may be right by chance. */
#include "sim/predict/coming.h"

#include <string.h>

typedef struct noisy {
    double accuracy;
    int point;
    es_reals recall;
    int64_t extra, context;
    double right, wrong, spread, spread_wrong;
    bool blind, lucky, normalise, sorted;
    const es_view *view;
    es_stream named, other, sure;
    uint64_t *taken;            /* [words_per_layer] wanted by the event, named already or no object */
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
        .help = "Confidence of right guesses is uniform within so much of its mean to either side, cut at 0 and 1."},
    {.name = "confidence_spread_wrong", .type = ES_OPT_REAL, .offset = offsetof(noisy, spread_wrong), .def = 0.2, .min = 0, .max = 1,
        .help = "The same of wrong guesses."},
    {.name = "blind", .type = ES_OPT_BOOL, .offset = offsetof(noisy, blind), .def = 0,
        .help = "What is named in the place of others, and in addition, is drawn from all experts, so it may be right by chance."},
    {.name = "lucky", .type = ES_OPT_BOOL, .offset = offsetof(noisy, lucky), .def = 0,
        .help = "A first guess that is right by chance has the confidence of a right one; else it has that of a wrong one."},
    {.name = "normalise", .type = ES_OPT_BOOL, .offset = offsetof(noisy, normalise), .def = 0,
        .help = "Confidences of a list add up to 1."},
    {.name = "sorted", .type = ES_OPT_BOOL, .offset = offsetof(noisy, sorted), .def = 0,
        .help = "The list stands in order of confidence; else right ones stand where they would be wanted."},
    {.name = "point", .type = ES_OPT_ENUM, .offset = offsetof(noisy, point), .def = ES_AFTER_GATE, .choices = coming_points,
        .help = "When it is asked: for a layer before its own lookup, for the next layer after each gate, or for the next step at the end of one."},
    {.name = "context", .type = ES_OPT_INT, .offset = offsetof(noisy, context), .def = 0, .min = 0, .max = 65535, .unit = "layers",
        .help = "Layers before the first that is predicted: what the model looks at."},
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

static float noisy_sure(const noisy *s, bool right, uint64_t event, uint32_t index)
{
    double mean = right ? s->right : s->wrong, spread = right ? s->spread : s->spread_wrong;
    double c = mean + spread * (2.0 * es_draw_real(s->sure, event, index, 0, 0) - 1.0);
    return (float)(c < 0.0 ? 0.0 : c > 1.0 ? 1.0 : c);
}

/* An expert that is neither taken nor named yet, each as likely as the others; false when there is none. */
static bool noisy_wrong(noisy *s, uint64_t event, uint32_t place, uint32_t *index)
{
    uint32_t free_count = s->view->stride;
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

static double noisy_chance(const noisy *s, uint32_t distance)
{
    if (s->recall.count == 0)
        return s->accuracy;
    size_t i = distance > 0 ? distance - 1 : 0;
    return s->recall.at[i < s->recall.count ? i : s->recall.count - 1];
}

static bool noisy_wants(const es_future *future, uint64_t from, uint64_t to, uint32_t index)
{
    for (uint64_t i = future->first[from]; i < future->first[to]; i++)
        if (future->list[i] == index)
            return true;
    return false;
}

/* What events [from, to) want, each or another in its place, then what is named in addition. */
static uint32_t noisy_list(noisy *s, uint64_t from, uint64_t to, double chance, uint32_t layer, es_guess *out, uint32_t most)
{
    const es_future *future = s->view->future;
    const uint64_t wanted = future->first[to] - future->first[from], places = wanted + (uint64_t)s->extra;
    uint32_t count = 0, index = 0;
    for (uint32_t w = 0; w < s->view->words_per_layer; w++)
        s->taken[w] = ~es_current_of(s->view, layer)[w];
    for (uint64_t i = future->first[from]; i < future->first[to] && !s->blind; i++)
        s->taken[future->list[i] >> 6] |= 1ull << (future->list[i] & 63);
    for (uint64_t place = 0; place < places && count < most; place++) {
        uint16_t want = place < wanted ? future->list[future->first[from] + place] : ES_NO_EXPERT;
        bool right = want != ES_NO_EXPERT && es_draw_real(s->named, from, want, 0, 0) < chance && !(s->blind && es_mask_has(s->taken, want));
        if (right) {
            index = want;
            s->taken[index >> 6] |= 1ull << (index & 63);
        } else if (!noisy_wrong(s, from, (uint32_t)place, &index)) {
            if (place >= wanted)
                break;                  /* all are named */
            continue;
        }
        bool surely = right || (s->lucky && count == 0 && noisy_wants(future, from, to, index));
        out[count++] = (es_guess){es_object_now(s->view, layer, index), noisy_sure(s, surely, from, index)};
    }
    return count;
}

/* By confidence, the highest first; equal ones stay as they stand. */
static void noisy_sort(es_guess *list, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        es_guess guess = list[i];
        uint32_t at = i;
        for (; at > 0 && list[at - 1].confidence < guess.confidence; at--)
            list[at] = list[at - 1];
        list[at] = guess;
    }
}

static void noisy_normalise(es_guess *list, uint32_t count)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < count; i++)
        sum += (double)list[i].confidence;
    for (uint32_t i = 0; i < count && sum > 0.0; i++)
        list[i].confidence = (float)((double)list[i].confidence / sum);
}

static uint32_t noisy_asked(const void *self)
{
    return 1u << ((const noisy *)self)->point;
}

static uint32_t noisy_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    noisy *s = self;
    uint64_t from, to;
    if (ask->layer < (uint32_t)s->context || !coming_events(s->view, ask, &from, &to))
        return 0;
    uint32_t count = noisy_list(s, from, to, noisy_chance(s, coming_distance(s->view, ask)), ask->layer, out, most);
    if (s->normalise)
        noisy_normalise(out, count);
    if (s->sorted)
        noisy_sort(out, count);
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
    .asked = noisy_asked,
};
