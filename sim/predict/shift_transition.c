/* Shift transition: the prefetch half of ShiftCache (the policy half is sim/policy/shift_cache.c).
 *
 * Once per token, when all its layers are done, the experts that most often followed this token's sets are fetched: those seen
 * at least `min_count` times and not resident, the most often seen first, then the lowest id, `most` of them. It wants to be
 * asked at the end of a step; asked after the last gate it answers as if the last event's misses had been served. */
#include "sim/base/transition.h"
#include "sim/part/predictor.h"

typedef struct shift_transition {
    int64_t most, min_count, sets;
    double near;
    const es_view *view;
    es_transition transitions;
} shift_transition;

static const es_option shift_transition_options[] = {
    {.name = "most", .type = ES_OPT_INT, .offset = offsetof(shift_transition, most), .def = 2, .min = 0, .max = 4096, .unit = "experts",
        .help = "Prefetches per token at most."},
    {.name = "min_count", .type = ES_OPT_INT, .offset = offsetof(shift_transition, min_count), .def = 2, .min = 1, .max = 1e9,
        .help = "How often a transition must have been seen to be trusted."},
    {.name = "near", .type = ES_OPT_REAL, .offset = offsetof(shift_transition, near), .def = 0.8, .min = 0, .max = 1,
        .help = "Targets with at least this part of the largest count of their set are foreseen."},
    {.name = "sets", .type = ES_OPT_INT, .offset = offsetof(shift_transition, sets), .def = 16384, .min = 1, .max = 1 << 24, .unit = "sets",
        .help = "How many different sets, over all layers, are remembered."},
    {0},
};

static es_code shift_transition_init(void *self, const es_site *site, es_err *err)
{
    shift_transition *s = self;
    s->view = site->view;
    return es_transition_init(&s->transitions, site->arena, site->view->words / site->view->words_per_layer, site->view->words_per_layer, (uint32_t)s->sets, err);
}

static void shift_transition_notify(void *self, const es_fact *fact)
{
    shift_transition *s = self;
    const es_event *event = fact->event;
    if (es_transition_over(&s->transitions, event->step))
        es_transition_fold(&s->transitions, s->near);
    es_transition_add(&s->transitions, event->step, event->word / event->words, event->mask);
}

/* Puts the object into out[count], largest count first; offered by ascending id, so equals stay in that order. */
static uint32_t shift_transition_offer(const es_transition *t, es_guess *out, uint32_t count, uint32_t most, es_oid object)
{
    const uint32_t foreseen = es_transition_foreseen(t, object);
    if (count == most && es_transition_foreseen(t, out[most - 1].object) >= foreseen)
        return count;
    uint32_t i = count < most ? count++ : most - 1;
    for (; i > 0 && es_transition_foreseen(t, out[i - 1].object) < foreseen; i--)
        out[i] = out[i - 1];
    out[i].object = object;
    return count;
}

static uint32_t shift_transition_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    shift_transition *s = self;
    es_transition *t = &s->transitions;
    const es_view *view = s->view;
    const es_tier_view *tier = &view->tier[view->serving];
    const es_event *event = ask->point == ES_STEP_END ? NULL : ask->event;
    uint32_t count = 0;
    if (event && (!ask->next_step || ask->layer != 0 || event->layer != view->layers - 1))
        return 0;
    if (t->open)
        es_transition_fold(t, s->near);
    if (s->most < most)
        most = (uint32_t)s->most;
    if (most == 0)
        return 0;
    for (uint32_t w = 0; w < view->words; w++) {
        uint64_t here = tier->resident[w] | tier->inbound[w];
        if (event && w >= event->word && w < event->word + event->words)
            here |= event->mask[w - event->word];
        for (uint32_t i = 0; i < 64; i++) {
            es_oid object = w * 64 + i;
            if (es_transition_foreseen(t, object) >= s->min_count && !(here >> i & 1))
                count = shift_transition_offer(t, out, count, most, object);
        }
    }
    for (uint32_t i = 0; i < count; i++)
        out[i].confidence = (float)es_transition_foreseen(t, out[i].object) / (float)t->most;
    return count;
}

const es_predictor es_predictor_shift_transition = {
    .part = {
        .abi = ES_ABI,
        .name = "shift_transition",
        .brief = "What most often followed this token's experts, a few per token (ShiftCache's prefetch).",
        .options = shift_transition_options,
        .size = sizeof(shift_transition),
        .init = shift_transition_init,
        .notify = shift_transition_notify,
        .hears = ES_HEARS(ES_FACT_USE),
    },
    .predict = shift_transition_predict,
    .points = 1u << ES_STEP_END,
};
