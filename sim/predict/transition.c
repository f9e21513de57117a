/* Transition: counts which expert followed which, and needs no training.
 *
 * Every expert i that the last `layers` layers used, and every one that this layer used for the token before, is a witness: of n
 * times that i was seen there, the layer used e in c. Witnesses are pooled by their odds, for the mean of their frequencies is
 * known to be too timid (Ranjan and Gneiting, 2010):
 *
 *     score(e) = ln m(e) + sum over witnesses of weight * ln((c / m(e) + prior) / (n + prior))
 *
 * with m(e) the layer's frequency of e; `prior` pulls what was seen rarely towards it. `weight` 1 takes witnesses for independent
 * (naive Bayes). A union larger than one token's experts weighs as much as those. Scores order the guesses. The confidence is a
 * relative frequency: of all experts that were given about this chance so far, at this distance, the share that was then wanted. */
#include "sim/predict/recent.h"

#include <math.h>

enum { TRANSITION_BINS = 20, TRANSITION_FOLD = 16 };

typedef struct transition {
    int64_t context, most, half_at;
    bool token;
    double weight, prior, least;
    const es_view *view;
    recent recent;
    uint32_t groups, ahead;     /* kinds of witnesses: layers back, then the token before; distances told apart */
    double width;               /* experts of one token */
    uint32_t *pairs;            /* [groups][layers][experts i][experts e] */
    uint32_t *seen;             /* [groups][layers][experts i] */
    uint32_t *used;             /* [layers][experts] */
    uint32_t *events;           /* [layers] */
    uint8_t *bin;               /* [ahead][layers][experts] of the chance that was told last; asked: whether one was */
    bool *asked;                /* [ahead][layers] */
    uint64_t (*told)[TRANSITION_BINS], (*came)[TRANSITION_BINS];    /* [ahead] */
    double *score, *rarity, *product;   /* [experts] */
    uint16_t *best;             /* [experts] */
} transition;

static const es_option transition_options[] = {
    {.name = "layers", .type = ES_OPT_INT, .offset = offsetof(transition, context), .def = 2, .min = 0, .max = 64, .unit = "layers",
        .help = "Learn from the experts of so many layers before; 0: from none."},
    {.name = "token", .type = ES_OPT_BOOL, .offset = offsetof(transition, token), .def = 1,
        .help = "Learn from the experts that the layer used for the token before."},
    {.name = "most", .type = ES_OPT_INT, .offset = offsetof(transition, most), .def = 0, .min = 0, .max = 65535, .unit = "experts", .tunable = true,
        .help = "Guesses per layer at most; 0: as many as a token uses."},
    {.name = "least", .type = ES_OPT_REAL, .offset = offsetof(transition, least), .def = 0, .min = 0, .max = 1, .tunable = true,
        .help = "Leave out guesses of less confidence."},
    {.name = "weight", .type = ES_OPT_REAL, .offset = offsetof(transition, weight), .def = 0.5, .min = 0, .max = 1,
        .help = "How much each witness counts; 1: as if all were independent."},
    {.name = "prior", .type = ES_OPT_REAL, .offset = offsetof(transition, prior), .def = 4, .min = 0.001, .max = 1e6, .unit = "uses",
        .help = "What is not known yet is taken to have behaved as usual for so many uses."},
    {.name = "half_at", .type = ES_OPT_INT, .offset = offsetof(transition, half_at), .def = 0, .min = 0, .max = 1e9, .unit = "uses",
        .help = "Halve an expert's counts when it has been seen so often, so that new habits win; 0: never."},
    {0},
};

static es_code transition_init(void *self, const es_site *site, es_err *err)
{
    transition *s = self;
    const es_view *view = s->view = site->view;
    const size_t layers = view->layers, experts = view->experts;
    if (s->context >= (int64_t)layers)
        s->context = (int64_t)layers - 1;
    s->groups = (uint32_t)s->context + s->token;
    s->ahead = (uint32_t)s->context + 1;
    s->width = view->top_k ? view->top_k : 1;
    s->pairs = ES_NEW_ARRAY(site->arena, s->groups * layers * experts * experts, uint32_t);
    s->seen = ES_NEW_ARRAY(site->arena, s->groups * layers * experts, uint32_t);
    s->used = ES_NEW_ARRAY(site->arena, layers * experts, uint32_t);
    s->events = ES_NEW_ARRAY(site->arena, layers, uint32_t);
    s->bin = ES_NEW_ARRAY(site->arena, s->ahead * layers * experts, uint8_t);
    s->asked = ES_NEW_ARRAY(site->arena, s->ahead * layers, bool);
    s->told = es_arena_alloc(site->arena, s->ahead, sizeof *s->told);
    s->came = es_arena_alloc(site->arena, s->ahead, sizeof *s->came);
    s->score = ES_NEW_ARRAY(site->arena, experts, double);
    s->rarity = ES_NEW_ARRAY(site->arena, experts, double);
    s->product = ES_NEW_ARRAY(site->arena, experts, double);
    s->best = ES_NEW_ARRAY(site->arena, experts, uint16_t);
    if (!s->pairs || !s->seen || !s->used || !s->events || !s->bin || !s->asked || !s->told || !s->came || !s->score || !s->rarity || !s->product || !s->best)
        return es_err_nomem(err, "counts of which expert followed which");
    return recent_init(&s->recent, site, err);
}

/* ---- learning ---- */

/* Whose experts are the witnesses of this kind: the layer so many before, or the same one for the token before. */
static const uint16_t *transition_witnesses(const transition *s, uint32_t group, uint32_t layer, uint32_t *count)
{
    uint32_t back = group < s->context ? group + 1 : s->recent.layers;
    return recent_list(&s->recent, recent_before(&s->recent, layer, back), count);
}

static void transition_halve(uint32_t *total, uint32_t *counts, uint32_t experts)
{
    *total /= 2;
    for (uint32_t e = 0; e < experts; e++)
        counts[e] /= 2;
}

/* One more time that `total` counts, in which these experts were used. */
static void transition_count(const transition *s, uint32_t *total, uint32_t *counts, const uint16_t *list, uint32_t count)
{
    for (uint32_t k = 0; k < count; k++)
        counts[list[k]]++;
    if (++*total == s->half_at)
        transition_halve(total, counts, s->view->experts);
}

static void transition_learn(transition *s, uint32_t layer, const uint16_t *list, uint32_t count)
{
    const size_t experts = s->view->experts;
    for (uint32_t g = 0; g < s->groups; g++) {
        uint32_t witnesses;
        const uint16_t *witness = transition_witnesses(s, g, layer, &witnesses);
        size_t base = ((size_t)g * s->recent.layers + layer) * experts;
        for (uint32_t i = 0; i < witnesses; i++)
            transition_count(s, &s->seen[base + witness[i]], &s->pairs[(base + witness[i]) * experts], list, count);
    }
    transition_count(s, &s->events[layer], &s->used[layer * experts], list, count);
}

/* What was told of this layer, held against what it used. */
static void transition_check(transition *s, uint32_t layer, const uint16_t *list, uint32_t count)
{
    for (uint32_t a = 0; a < s->ahead; a++) {
        size_t at = (size_t)a * s->recent.layers + layer;
        const uint8_t *bin = s->bin + at * s->view->experts;
        const uint64_t *current = es_current_of(s->view, layer);
        if (!s->asked[at])
            continue;
        s->asked[at] = false;
        for (uint32_t e = 0; e < s->view->experts; e++)
            s->told[a][bin[e]] += es_mask_has(current, e);
        for (uint32_t k = 0; k < count; k++)
            s->came[a][bin[list[k]]]++;
    }
}

static void transition_notify(void *self, const es_fact *fact)
{
    transition *s = self;
    const es_event *event = fact->event;
    uint32_t count;
    recent_turn(&s->recent, event);
    const uint16_t *list = recent_joined(&s->recent, event, &count);
    if (!list)
        return;
    transition_check(s, event->layer, list, count);
    transition_learn(s, event->layer, list, count);
    recent_keep(&s->recent, event->layer, list, count);
}

/* ---- predicting ---- */

/* What the witnesses of one kind say is added to the scores. Their ratios are multiplied and the logarithm is taken of a few
 * together: it costs more than all else, and so few of them neither overflow nor vanish. */
static void transition_hear(transition *s, uint32_t group, uint32_t layer)
{
    const size_t experts = s->view->experts, base = ((size_t)group * s->recent.layers + layer) * experts;
    uint32_t witnesses;
    const uint16_t *witness = transition_witnesses(s, group, layer, &witnesses);
    double weight = s->weight * (witnesses > s->width ? s->width / witnesses : 1.0);
    for (uint32_t i = 0; i < witnesses;) {
        for (size_t e = 0; e < experts; e++)
            s->product[e] = 1.0;
        for (uint32_t end = i + TRANSITION_FOLD; i < end && i < witnesses; i++) {
            const uint32_t *pairs = s->pairs + (base + witness[i]) * experts;
            double share = 1.0 / (s->seen[base + witness[i]] + s->prior);
            for (size_t e = 0; e < experts; e++)
                s->product[e] *= (pairs[e] * s->rarity[e] + s->prior) * share;
        }
        for (size_t e = 0; e < experts; e++)
            s->score[e] += weight * log(s->product[e]);
    }
}

/* Scores, from how often the layer uses each expert and from the witnesses that are known `ahead` layers before it. */
static void transition_score(transition *s, uint32_t layer, uint32_t ahead)
{
    const size_t experts = s->view->experts;
    const double usual = s->width / (double)s->view->population;
    const uint64_t *current = es_current_of(s->view, layer);
    for (size_t e = 0; e < experts; e++) {
        double often = (s->used[layer * experts + e] + usual) / (s->events[layer] + 1.0);
        s->rarity[e] = 1.0 / often;
        s->score[e] = es_mask_has(current, (es_oid)e) ? log(often) : -INFINITY;
    }
    for (uint32_t g = 0; g < s->groups; g++)
        if (g + 1 >= ahead || g >= s->context)
            transition_hear(s, g, layer);
    for (size_t e = 0; e < experts; e++)        /* equal counts heard in another order are equal */
        s->score[e] = rint(s->score[e] * 0x1p30) * 0x1p-30;
}

/* Round chances such as one half are common while counts are low: they go up, whatever their last bit. */
static uint8_t transition_bin(double chance)
{
    double bin = (chance + 1e-9) * TRANSITION_BINS;
    return (uint8_t)(bin < TRANSITION_BINS ? bin : TRANSITION_BINS - 1);
}

/* Scores become chances that add up to one token's experts, into `product`, which is free again. */
static const double *transition_chances(transition *s)
{
    const uint32_t experts = s->view->experts;
    double most = s->score[0], sum = 0.0;
    for (uint32_t e = 1; e < experts; e++)
        most = s->score[e] > most ? s->score[e] : most;
    for (uint32_t e = 0; e < experts; e++)
        sum += s->product[e] = exp(s->score[e] - most);
    for (uint32_t e = 0; e < experts; e++) {
        double chance = s->product[e] * s->width / sum;
        s->product[e] = chance < 1.0 ? chance : 1.0;
    }
    return s->product;
}

static uint32_t transition_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    transition *s = self;
    const uint32_t experts = s->view->experts, ahead = recent_ahead(&s->recent, ask), a = (ahead < s->ahead ? ahead : s->ahead) - 1;
    const size_t at = (size_t)a * s->recent.layers + ask->layer;
    uint8_t *bin = s->bin + at * experts;
    uint32_t wanted = s->most > 0 ? (uint32_t)s->most : (uint32_t)s->width, count = 0;
    transition_score(s, ask->layer, ahead);
    const double *chance = transition_chances(s);
    for (uint32_t e = 0; e < experts; e++)
        bin[e] = transition_bin(chance[e]);
    s->asked[at] = true;
    wanted = wanted < s->view->population ? wanted : s->view->population;
    wanted = recent_best(s->score, experts, s->best, wanted < most ? wanted : most);
    for (uint32_t i = 0; i < wanted; i++) {
        uint32_t e = s->best[i];
        double sure = ((double)s->came[a][bin[e]] + s->prior * chance[e]) / ((double)s->told[a][bin[e]] + s->prior);
        if (sure >= s->least)
            out[count++] = (es_guess){es_object_now(s->view, ask->layer, e), (float)sure};
    }
    return count;
}

const es_predictor es_predictor_transition = {
    .part = {
        .abi = ES_ABI,
        .name = "transition",
        .brief = "What followed the experts of the layers and the token before, by counts; learns as it goes.",
        .options = transition_options,
        .size = sizeof(transition),
        .init = transition_init,
        .notify = transition_notify,
        .hears = ES_HEARS(ES_FACT_USE),
    },
    .predict = transition_predict,
};
