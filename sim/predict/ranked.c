/* Ranked: lists every expert of a layer, the surest first, as a model with a score for each of them does.
 *
 * Where the wanted ones stand in the list is either unrelated to what they are, or follows measured shares: the first that the gate
 * takes by one law, the others by another. A law is a list of ranks with the share of cases up to each, straight lines between; a
 * place that is taken already gives way to the next free one. The other places are filled in random order.
 *
 * Confidence depends on rank alone. The first guess is sure or unsure, the few after it fall from there, those behind fall on two
 * lines of their own, with normal noise; the list is sorted afterwards. The defaults are those of a published simulation of a
 * cache for 60 experts, top-4, and the laws what was measured of its model: coverage of all four by the first 5, 10, 15, 20, 30
 * comes out at .18, .31, .35, .39, .51. Draws depend on the event that is foreseen, not on when it is asked for. */
#include "sim/predict/coming.h"

#include <math.h>
#include <gsl/gsl_cdf.h>

enum { RANKED_UNRELATED, RANKED_CALIBRATED };

typedef struct ranked_line {    /* confidence of rank r: max(floor, top - drop * r + noise) */
    double top, drop, noise, floor;
} ranked_line;

typedef struct ranked_law {
    es_reals ranks, shares;
} ranked_law;

typedef struct ranked {
    int placement, point;
    double accuracy, sure, unsure;
    ranked_line near, middle, far;  /* near.top is not used: it is the confidence of the first */
    int64_t near_ranks, middle_ranks, length;
    ranked_law first, others;
    const es_view *view;
    es_stream coin, noise, place, fill;
    double *confidence;         /* [experts] by rank */
    uint16_t *list;             /* [experts] by rank */
    uint16_t *rest;             /* [experts] not yet listed */
} ranked;

static const char *const ranked_placements[] = {"unrelated", "calibrated", NULL};

#define RANKED_REAL(word, field, value, least, text) \
    {.name = word, .type = ES_OPT_REAL, .offset = offsetof(ranked, field), .def = value, .min = least, .max = 1, .help = text}

static const es_option ranked_options[] = {
    {.name = "placement", .type = ES_OPT_ENUM, .offset = offsetof(ranked, placement), .choices = ranked_placements,
        .help = "Whether the wanted ones stand anywhere or by the laws below."},
    RANKED_REAL("accuracy", accuracy, 0.4755, 0, "Chance that the first guess is sure; else it is unsure."),
    RANKED_REAL("sure", sure, 0.85, 0, "Confidence of a sure first guess."),
    RANKED_REAL("unsure", unsure, 0.45, 0, "Confidence of an unsure one."),
    {.name = "near_ranks", .type = ES_OPT_INT, .offset = offsetof(ranked, near_ranks), .def = 4, .min = 1, .max = 65535, .unit = "ranks",
        .help = "The first guess and those whose confidence falls from it."},
    RANKED_REAL("near_drop", near.drop, 0.15, 0, "Fall of their confidence per rank."),
    RANKED_REAL("near_noise", near.noise, 0.05, 0, "Standard deviation of their noise; the first has none."),
    RANKED_REAL("near_floor", near.floor, 0.1, 0, "Their least confidence."),
    {.name = "middle_ranks", .type = ES_OPT_INT, .offset = offsetof(ranked, middle_ranks), .def = 20, .min = 1, .max = 65535, .unit = "ranks",
        .help = "Where the next line ends, counted from the first guess."},
    RANKED_REAL("middle_top", middle.top, 0.6, 0, "Confidence on that line at rank 0."),
    RANKED_REAL("middle_drop", middle.drop, 0.02, 0, "Fall per rank."),
    RANKED_REAL("middle_noise", middle.noise, 0.02, 0, "Standard deviation."),
    RANKED_REAL("middle_floor", middle.floor, 0.05, 0, "Least confidence."),
    RANKED_REAL("far_top", far.top, 0.2, 0, "Confidence on the line of the others at rank 0."),
    RANKED_REAL("far_drop", far.drop, 0.005, 0, "Fall per rank."),
    RANKED_REAL("far_noise", far.noise, 0.01, 0, "Standard deviation."),
    RANKED_REAL("far_floor", far.floor, 0.01, 0, "Least confidence."),
    {.name = "point", .type = ES_OPT_ENUM, .offset = offsetof(ranked, point), .def = ES_AFTER_GATE, .choices = coming_points,
        .help = "When it is asked: for a layer before its own lookup, for the next layer after each gate, or for the next step at the end of one."},
    {.name = "length", .type = ES_OPT_INT, .offset = offsetof(ranked, length), .def = 0, .min = 0, .max = 65535, .unit = "experts",
        .help = "Only so many of the list are named; 0: all."},
    {.name = "first_ranks", .type = ES_OPT_REALS, .offset = offsetof(ranked, first.ranks), .min = 1, .max = 65535,
        .help = "Ranks, from 1 on, of the law for the wanted one that the gate takes first; none: 1, 5, 10, 15, 20, 60."},
    {.name = "first_shares", .type = ES_OPT_REALS, .offset = offsetof(ranked, first.shares), .min = 0, .max = 1,
        .help = "Share of cases up to each of these ranks; none: .4755, .7385, .8743, .9387, .9702, 1."},
    {.name = "other_ranks", .type = ES_OPT_REALS, .offset = offsetof(ranked, others.ranks), .min = 1, .max = 65535,
        .help = "Ranks of the law for the other wanted ones; none: 5, 10, 15, 20, 30, 60."},
    {.name = "other_shares", .type = ES_OPT_REALS, .offset = offsetof(ranked, others.shares), .min = 0, .max = 1,
        .help = "Share of cases up to each of these; none: .6753, .7045, .7174, .7383, .8033, 1."},
    {0},
};

static es_code ranked_check_law(const ranked_law *law, const char *name, uint32_t experts, es_err *err)
{
    const es_reals *ranks = &law->ranks, *shares = &law->shares;
    if (ranks->count != shares->count || ranks->count == 0)
        return es_err_set(err, ES_EINPUT, "%s_shares: %zu numbers for %zu ranks; each rank needs one", name, shares->count, ranks->count);
    for (size_t i = 0; i < ranks->count; i++) {
        double rank = ranks->at[i], share = shares->at[i];
        if (!(rank >= 1.0 && rank == floor(rank)) || (i > 0 && rank <= ranks->at[i - 1]))
            return es_err_set(err, ES_EINPUT, "%s_ranks: %g is no rank here; they are whole, from 1 on and ascending", name, rank);
        if (!(share >= 0.0 && share <= 1.0) || (i > 0 && share < shares->at[i - 1]))
            return es_err_set(err, ES_EINPUT, "%s_shares: %g is no share up to a rank; they lie within 0 and 1 and do not fall", name, share);
    }
    if (shares->at[shares->count - 1] != 1.0)
        return es_err_set(err, ES_EINPUT, "%s_shares: end at %g, not at 1, so they are no distribution", name, shares->at[shares->count - 1]);
    if (ranks->at[ranks->count - 1] > experts)
        return es_err_set(err, ES_EINPUT, "%s_ranks: rank %g is beyond the %u experts of a layer", name, ranks->at[ranks->count - 1], experts);
    return ES_OK;
}

/* Top-1, 5, 10, 15, 20 of one target, and what makes all four come out as measured together with it. */
static es_code ranked_laws(ranked *s, es_err *err)
{
    static const double first_ranks[] = {1, 5, 10, 15, 20, 60}, first_shares[] = {.4755, .7385, .8743, .9387, .9702, 1};
    static const double other_ranks[] = {5, 10, 15, 20, 30, 60}, other_shares[] = {.6753, .7045, .7174, .7383, .8033, 1};
    if (s->placement != RANKED_CALIBRATED)
        return ES_OK;
    if (s->first.ranks.count + s->first.shares.count == 0)
        s->first = (ranked_law){{first_ranks, 6}, {first_shares, 6}};
    if (s->others.ranks.count + s->others.shares.count == 0)
        s->others = (ranked_law){{other_ranks, 6}, {other_shares, 6}};
    es_code code = ranked_check_law(&s->first, "first", s->view->population, err);
    return code ? code : ranked_check_law(&s->others, "other", s->view->population, err);
}

static es_code ranked_init(void *self, const es_site *site, es_err *err)
{
    ranked *s = self;
    s->view = site->view;
    s->coin = es_stream_of(site->seed, site->replication, site->path, "coin");
    s->noise = es_stream_of(site->seed, site->replication, site->path, "noise");
    s->place = es_stream_of(site->seed, site->replication, site->path, "place");
    s->fill = es_stream_of(site->seed, site->replication, site->path, "fill");
    if (s->unsure > s->sure)
        return es_err_set(err, ES_EINPUT, "unsure: %g is above sure, %g", s->unsure, s->sure);
    if (s->middle_ranks < s->near_ranks)
        return es_err_set(err, ES_EINPUT, "middle_ranks: %lld is below near_ranks, %lld", (long long)s->middle_ranks, (long long)s->near_ranks);
    s->confidence = ES_NEW_ARRAY(site->arena, s->view->population, double);
    s->list = ES_NEW_ARRAY(site->arena, s->view->population, uint16_t);
    s->rest = ES_NEW_ARRAY(site->arena, s->view->population, uint16_t);
    return s->confidence && s->list && s->rest ? ranked_laws(s, err) : es_err_nomem(err, "a list of the experts of a layer");
}

static double ranked_on(const ranked *s, const ranked_line *line, double top, uint64_t event, uint32_t rank)
{
    double uniform = ((double)(es_draw(s->noise, event, rank, 0, 0) >> 12) + 0.5) * 0x1p-52;     /* never 0 or 1 */
    double c = top - line->drop * rank + line->noise * gsl_cdf_ugaussian_Pinv(uniform);
    return c < line->floor ? line->floor : c > 1.0 ? 1.0 : c;
}

/* The highest first. Few stand far from their place, so moving each is quick. */
static void ranked_sort(double *confidence, uint32_t count)
{
    for (uint32_t r = 1; r < count; r++) {
        double c = confidence[r];
        uint32_t at = r;
        for (; at > 0 && confidence[at - 1] < c; at--)
            confidence[at] = confidence[at - 1];
        confidence[at] = c;
    }
}

static void ranked_confidences(ranked *s, uint64_t event)
{
    double first = es_draw_real(s->coin, event, 0, 0, 0) < s->accuracy ? s->sure : s->unsure;
    s->confidence[0] = first;
    for (uint32_t r = 1; r < s->view->population; r++)
        s->confidence[r] = r < s->near_ranks ? ranked_on(s, &s->near, first, event, r) :
            r < s->middle_ranks ? ranked_on(s, &s->middle, s->middle.top, event, r) : ranked_on(s, &s->far, s->far.top, event, r);
    ranked_sort(s->confidence, s->view->population);
}

/* The place, from 0 on, that a draw gives by the law: its inverse, rounded up to the next whole rank. */
static uint32_t ranked_place(const ranked_law *law, double draw)
{
    double rank = 0.0, share = 0.0;
    for (size_t i = 0; i < law->ranks.count; i++) {
        if (draw < law->shares.at[i]) {
            rank = ceil(rank + (draw - share) / (law->shares.at[i] - share) * (law->ranks.at[i] - rank));
            return rank < 1.0 ? 0 : (uint32_t)rank - 1;
        }
        rank = law->ranks.at[i];
        share = law->shares.at[i];
    }
    return (uint32_t)rank - 1;
}

static void ranked_put(ranked *s, const ranked_law *law, uint64_t event, uint16_t index)
{
    uint32_t place = ranked_place(law, es_draw_real(s->place, event, index, 0, 0));
    while (s->list[place] != ES_NO_EXPERT)
        place = place + 1 < s->view->population ? place + 1 : 0;
    s->list[place] = index;
}

static bool ranked_listed(const ranked *s, uint32_t index)
{
    for (uint32_t r = 0; r < s->view->population; r++)
        if (s->list[r] == index)
            return true;
    return false;
}

/* Fills what is free with what is left, all orders alike. */
static void ranked_fill(ranked *s, uint64_t event, const uint64_t *current)
{
    uint32_t left = 0;
    for (uint32_t i = 0; i < s->view->experts; i++)
        if (es_mask_has(current, i) && (s->placement == RANKED_UNRELATED || !ranked_listed(s, i)))
            s->rest[left++] = (uint16_t)i;
    for (uint32_t r = 0; r < s->view->population; r++) {
        if (s->list[r] != ES_NO_EXPERT)
            continue;
        uint32_t take = es_draw_below(s->fill, left, event, r, 0, 0);
        s->list[r] = s->rest[take];
        s->rest[take] = s->rest[--left];
    }
}

static uint32_t ranked_asked(const void *self)
{
    return 1u << ((const ranked *)self)->point;
}

static uint32_t ranked_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    ranked *s = self;
    const es_future *future = s->view->future;
    uint32_t count = s->length > 0 && s->length < s->view->population ? (uint32_t)s->length : s->view->population;
    uint64_t from, to;
    if (!coming_events(s->view, ask, &from, &to))
        return 0;
    for (uint32_t r = 0; r < s->view->population; r++)
        s->list[r] = ES_NO_EXPERT;
    for (uint64_t i = future->first[from]; i < future->first[to] && s->placement == RANKED_CALIBRATED; i++)
        if (!ranked_listed(s, future->list[i]))     /* a layer in parts may list one twice */
            ranked_put(s, i == future->first[from] ? &s->first : &s->others, from, future->list[i]);
    ranked_fill(s, from, es_current_of(s->view, ask->layer));
    ranked_confidences(s, from);
    if (count > most)
        count = most;
    for (uint32_t r = 0; r < count; r++)
        out[r] = (es_guess){es_object_now(s->view, ask->layer, s->list[r]), (float)s->confidence[r]};
    return count;
}

const es_predictor es_predictor_ranked = {
    .part = {
        .abi = ES_ABI,
        .name = "ranked",
        .brief = "Lists every expert, the surest first; the wanted ones stand anywhere or where a measured law puts them.",
        .options = ranked_options,
        .size = sizeof(ranked),
        .init = ranked_init,
        .flags = ES_ORACLE,
    },
    .predict = ranked_predict,
    .asked = ranked_asked,
};
