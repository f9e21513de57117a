/* Importance: gives the experts that matter most the widest precision, and goes on doing so while the run does.
 *
 * How much an expert matters is how often its layer used it, or the gate weight it had then; what was before counts `decay` times as
 * much with every wake. At a wake an expert of a narrow precision and one of a wider change places when the first matters more, by
 * `margin` at least: the most important of the narrow with the least important of the wide. So each layer keeps its numbers of experts
 * at each precision (catalog.bits), and only who has which changes. A change costs nothing by itself: the next use asks for another
 * object, which is seldom there. */
#include <math.h>

#include "sim/part/tuner.h"

enum { IMPORTANCE_USES, IMPORTANCE_WEIGHTS };

typedef struct importance {
    int64_t interval_ns, most;
    double decay, margin;
    int measure;
    const es_view *view;
    double *score;              /* [spaces][ids] */
} importance;

static const char *const importance_measures[] = {"uses", "weights", NULL};

static const es_option importance_options[] = {
    {.name = "interval", .type = ES_OPT_TIME, .offset = offsetof(importance, interval_ns), .def = 1e9, .min = 1, .max = 1e18, .help = "Time from one look to the next."},
    {.name = "decay", .type = ES_OPT_REAL, .offset = offsetof(importance, decay), .def = 0.9, .min = 0, .max = 1, .help = "What was before the last look counts so much less with each."},
    {.name = "margin", .type = ES_OPT_REAL, .offset = offsetof(importance, margin), .def = 0.1, .min = 0, .max = 1e6, .help = "Two experts change places only when one matters by so large a share more."},
    {.name = "most", .type = ES_OPT_INT, .offset = offsetof(importance, most), .def = 0, .min = 0, .max = 65535, .unit = "experts", .help = "Only so many of each layer get a wider precision at a look; 0: all that should."},
    {.name = "measure", .type = ES_OPT_ENUM, .offset = offsetof(importance, measure), .choices = importance_measures, .help = "What makes an expert important: its uses, or the sum of its gate weights."},
    {0},
};

static es_code importance_init(void *self, const es_site *site, es_err *err)
{
    importance *s = self;
    s->view = site->view;
    if (s->measure == IMPORTANCE_WEIGHTS && !s->view->weights)
        return es_err_set(err, ES_EINPUT, "measure: the trace has no gate weights; use \"uses\"");
    if (s->measure == IMPORTANCE_WEIGHTS && s->view->top_k == 0)
        return es_err_set(err, ES_EINPUT, "measure: with contract.unit \"slice\" gate weights are not those of the objects; use \"uses\"");
    s->score = ES_NEW_ARRAY(site->arena, (size_t)s->view->spaces * s->view->ids, double);
    return s->score ? ES_OK : es_err_nomem(err, "importance");
}

/* ---- how much they matter ---- */

static void importance_use(importance *s, const es_event *event, double *score)
{
    for (uint32_t i = 0; i < event->count; i++)
        if (event->list[i] / s->view->slice % s->view->matrices == 0)
            score[es_expert_of(s->view, event->list[i])] += event->served ? event->served[i] : 1;
}

static void importance_weigh(const importance *s, const es_event *event, double *score)
{
    const es_step *rows = event->rows;
    const uint32_t width = s->view->top_k;
    if (!rows || !rows->weights || !event->first)
        return;                 /* an event below the union is a part of what the first has seen */
    for (uint32_t row = event->row; row < event->row + event->tokens; row++) {
        const size_t at = ((size_t)row * s->view->layers + event->layer) * width;
        for (uint32_t k = 0; k < width && rows->ids[at + k] != ES_NO_EXPERT; k++)
            score[rows->ids[at + k]] += isnan(rows->weights[at + k]) ? 0.0 : (double)rows->weights[at + k];
    }
}

static void importance_notify(void *self, const es_fact *fact)
{
    importance *s = self;
    const es_event *event = fact->event;
    double *score = s->score + (s->view->spaces == 1 ? 0 : (size_t)event->layer * s->view->ids);
    if (s->measure == IMPORTANCE_WEIGHTS)
        importance_weigh(s, event, score);
    else
        importance_use(s, event, score);
}

static es_time importance_wake(void *self, es_time now)
{
    return now + ((importance *)self)->interval_ns;
}

/* ---- who changes places ---- */

/* The precisions by width, the widest first. */
static void importance_widths(const es_view *view, uint32_t *order)
{
    for (uint32_t v = 0; v < view->variants; v++) {
        uint32_t at = v;
        for (; at > 0 && es_bits_of(view, order[at - 1]) < es_bits_of(view, v); at--)
            order[at] = order[at - 1];
        order[at] = v;
    }
}

/* Of the experts of a space at this precision the most or least important, the first of equals; view->ids: there is none. */
static uint32_t importance_extreme(const importance *s, uint32_t space, const uint8_t *variant, uint32_t of, bool most)
{
    const double *score = s->score + (size_t)space * s->view->ids;
    uint32_t best = s->view->ids;
    for (uint32_t e = 0; e < s->view->ids; e++)
        if (variant[e] == of && (best == s->view->ids || (most ? score[e] > score[best] : score[e] < score[best])))
            best = e;
    return best;
}

/* Swaps between two precisions of a space until nobody gains by it or `left` is used up. */
static void importance_swap(importance *s, uint32_t space, uint8_t *variant, uint32_t wide, uint32_t narrow, uint32_t *left)
{
    const double *score = s->score + (size_t)space * s->view->ids;
    for (; *left > 0; (*left)--) {
        const uint32_t up = importance_extreme(s, space, variant, narrow, true), down = importance_extreme(s, space, variant, wide, false);
        if (up == s->view->ids || down == s->view->ids || !(score[up] > score[down] * (1.0 + s->margin)))
            return;
        variant[up] = (uint8_t)wide;
        variant[down] = (uint8_t)narrow;
    }
}

static void importance_assign(void *self, uint8_t *variant)
{
    importance *s = self;
    uint32_t order[256];
    importance_widths(s->view, order);
    for (uint32_t space = 0; space < s->view->spaces; space++) {
        uint8_t *row = variant + (size_t)space * s->view->ids;
        uint32_t left = s->most > 0 ? (uint32_t)s->most : UINT32_MAX;
        for (uint32_t wide = 0; wide < s->view->variants; wide++)
            for (uint32_t narrow = s->view->variants; --narrow > wide;)
                importance_swap(s, space, row, order[wide], order[narrow], &left);
    }
    for (size_t e = 0; e < (size_t)s->view->spaces * s->view->ids; e++)
        s->score[e] *= s->decay;
}

const es_tuner es_tuner_importance = {
    .part = {
        .abi = ES_ABI,
        .name = "importance",
        .brief = "The experts that matter most have the widest precision, as the run goes on.",
        .options = importance_options,
        .size = sizeof(importance),
        .init = importance_init,
        .notify = importance_notify,
        .wake = importance_wake,
        .flags = ES_READS_WEIGHTS,
        .hears = ES_HEARS(ES_FACT_USE),
    },
    .assign = importance_assign,
};
