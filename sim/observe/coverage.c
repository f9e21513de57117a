/* Coverage: how often everything that was needed was there. Perfect: all of an event's objects hit at the gate; zero: none did.
 *
 * An event here is a layer of a step: units below the union (a token's row, one id) are joined until the last of their layer.
 * A token is covered over all its layers: perfect when each of its experts hit. For a step of one token the events say so
 * themselves; for a union of several the rows are looked up in the hit mask, for which the width of a row must be known
 * (the view's top_k). Where it is not, and where single ids are cut from a union, such tokens are counted as left out. */
#include "sim/observe/observe.h"

enum { COVERAGE_ROWS = 65536 };     /* tokens of one step that are told apart; the rest are left out and counted */

typedef struct coverage_sum {
    uint64_t perfect, partial, zero;
    double ratios;              /* of hits, added up */
} coverage_sum;

typedef struct coverage_part {
    uint32_t hits, count;
} coverage_part;

typedef struct coverage {
    const es_view *view;
    coverage_sum events, tokens;
    coverage_part event;        /* the units of this layer so far */
    coverage_part *row;         /* [COVERAGE_ROWS] the tokens of this step so far */
    uint32_t rows, left;        /* of this step: rows in use, tokens left out */
    uint64_t step, left_out;
} coverage;

static es_code coverage_init(void *self, const es_site *site, es_err *err)
{
    coverage *s = self;
    s->view = site->view;
    s->row = ES_NEW_ARRAY(site->arena, COVERAGE_ROWS, coverage_part);
    return s->row ? ES_OK : es_err_nomem(err, "coverage of tokens");
}

static inline void coverage_add(coverage_sum *sum, coverage_part part)
{
    if (part.hits == part.count)
        sum->perfect++;
    else if (part.hits == 0)
        sum->zero++;
    else
        sum->partial++;
    sum->ratios += (double)part.hits / part.count;
}

static void coverage_step_ended(coverage *s)
{
    for (uint32_t i = 0; i < s->rows; i++) {
        if (s->row[i].count != 0)
            coverage_add(&s->tokens, s->row[i]);
        s->row[i] = (coverage_part){0};
    }
    s->rows = 0;
    s->left_out += s->left;
    s->left = 0;
}

/* A union of several tokens: each row's experts are looked up in the event's hits. */
static void coverage_rows(coverage *s, const es_event *event)
{
    const es_step *step = event->rows;
    size_t width = (size_t)s->view->top_k;
    bool whole = event->first && event->last;   /* an id cut from a union belongs to several tokens */
    uint32_t known = width == 0 || !step || !whole || event->row >= COVERAGE_ROWS ? 0 : COVERAGE_ROWS - event->row;
    uint32_t count = event->tokens < known ? event->tokens : known;
    if (s->left < event->tokens - count)
        s->left = event->tokens - count;
    for (uint32_t i = 0; i < count; i++) {
        size_t row = event->row + i;
        if (step->token[row].phase == ES_PREFILL && !s->view->count_prefill)
            continue;
        const uint16_t *ids = step->ids + (row * s->view->layers + event->layer) * width;
        for (size_t k = 0; k < width && ids[k] != ES_NO_EXPERT; k++) {
            s->row[row].count++;
            s->row[row].hits += es_mask_has(event->hit, es_event_index(s->view, event, ids[k]));
        }
    }
    if (count != 0 && s->rows < event->row + count)
        s->rows = event->row + count;
}

/* One unit of several in its layer. */
static void coverage_join(coverage *s, const es_event *event)
{
    if (event->first)
        s->event = (coverage_part){0};
    s->event.hits += event->hits;
    s->event.count += event->count;
    if (event->last)
        coverage_add(&s->events, s->event);
}

static void coverage_notify(void *self, const es_fact *fact)
{
    coverage *s = self;
    const es_event *event = fact->event;
    if (!event->counted || event->count == 0 || (event->phase == ES_PREFILL && !s->view->count_prefill))
        return;
    if (event->first && event->last)
        coverage_add(&s->events, (coverage_part){event->hits, event->count});
    else
        coverage_join(s, event);
    if (event->step != s->step) {
        coverage_step_ended(s);
        s->step = event->step;
    }
    if (event->tokens != 1 || event->row >= COVERAGE_ROWS) {
        coverage_rows(s, event);
        return;
    }
    coverage_part *row = &s->row[event->row];
    row->hits += event->hits;
    row->count += event->count;
    if (s->rows <= event->row)
        s->rows = event->row + 1;
}

static void coverage_sum_report(const coverage_sum *sum, const char *what, es_json *out)
{
    uint64_t all = sum->perfect + sum->partial + sum->zero;
    observe_count(out, "perfect", sum->perfect);
    observe_count(out, "partial", sum->partial);
    observe_count(out, "zero", sum->zero);
    es_json_add_real(out, "mean", observe_ratio(sum->ratios, (double)all));
    observe_count(out, what, all);
}

static void coverage_report(void *self, es_json *out)
{
    coverage *s = self;
    coverage_step_ended(s);     /* the last step */
    es_json *members = observe_object(out, "coverage");
    coverage_sum_report(&s->events, "events", members);
    es_json *token = es_json_add_object(members, "token");
    coverage_sum_report(&s->tokens, "tokens", token);
    observe_count(token, "left_out", s->left_out);
}

const es_observer es_observer_coverage = {
    .part = {
        .abi = ES_ABI,
        .name = "coverage",
        .brief = "How often all, some or none of what an event or a token needed was resident.",
        .size = sizeof(coverage),
        .init = coverage_init,
        .notify = coverage_notify,
        .hears = ES_HEARS(ES_FACT_USE),
    },
    .report = coverage_report,
};
