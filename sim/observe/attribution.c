/* Attribution: every nanosecond of every step belongs to exactly one cause. What a step goes through is told end to end (ES_FACT_CHARGE);
 * what compute stood still for is found by going back along the copies (attribution_walk.c). Summed per token, request and layer, over time
 * and over the run, and beside it the chain of operations that made each step as long as it is, which adds up to the same.
 *
 * A layer ends with the release of its last event; what comes before its dense part (asking a predictor between two steps) is counted to it.
 * That each layer and each step adds up to the time it took is checked, and fails the run. */
#include "sim/observe/attribution_inside.h"
#include "sim/observe/observe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

const char *const attribution_causes[CAUSES_ONCE] = {"dense", "expert_gpu", "expert_cpu", "access", "lookup", "evict", "move", "predict"};
const char *const attribution_waits[WAITS] = {"transfer", "late", "shared", "behind_demand", "behind_guess", "behind_write", "behind_device", "room"};
const char *const attribution_ways[WAYS] = {"demand", "guess", "write", "room"};

static const es_option attribution_options[] = {
    {.name = "rows", .type = ES_OPT_INT, .offset = offsetof(attribution, most), .def = 1e5, .min = 0, .max = 1e9, .unit = "tokens",
        .help = "Most rows kept of the table of tokens, and of requests."},
    {.name = "points", .type = ES_OPT_INT, .offset = offsetof(attribution, points), .def = 256, .min = 2, .max = 1e6,
        .help = "Most points of the curves over time; neighbours are added up where there are more."},
    {0},
};

static es_code attribution_init(void *self, const es_site *site, es_err *err)
{
    attribution *s = self;
    s->view = site->view;
    s->most = s->view->stream ? 0 : s->most;
    s->points -= s->points % 2;
    s->waits = s->view->channels;
    s->width = CAUSES_ONCE + s->waits * WAITS;
    s->columns = s->width + CAUSES_ONCE + s->waits * WAYS;
    s->bin_width = s->bin_left = 1;
    const size_t row = sizeof(attribution_row) + s->columns * sizeof(int64_t);
    s->copy.size = sizeof(attribution_copy);
    s->line.size = s->host.size = sizeof(attribution_span);
    s->tokens.size = s->requests.size = s->bins.size = row;
    int64_t **const sums[] = {&s->now, &s->step, &s->total, &s->decode, &s->bin, &s->slowest};
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
        if (!(*sums[i] = ES_NEW_ARRAY(site->arena, s->columns, int64_t)))
            return es_err_nomem(err, "attribution");
    s->layers = ES_NEW_ARRAY(site->arena, (size_t)s->view->layers * s->width, int64_t);
    return s->layers ? ES_OK : es_err_nomem(err, "attribution");
}

void *attribution_log_add(attribution *s, attribution_log *log)
{
    if (log->count == log->room) {
        const uint64_t room = log->room ? 2 * log->room : 64;
        void *grown = s->failed ? NULL : realloc(log->at, room * log->size);
        if (!grown) {
            s->failed = true;
            return NULL;
        }
        log->at = grown;
        log->room = room;
    }
    return (char *)log->at + log->count++ * log->size;
}

static void attribution_add(int64_t *to, const int64_t *more, uint32_t count)
{
    for (uint32_t c = 0; c < count; c++)
        to[c] += more[c];
}

static int64_t attribution_sum(const int64_t *of, uint32_t count)
{
    int64_t sum = 0;
    for (uint32_t c = 0; c < count; c++)
        sum += of[c];
    return sum;
}

static void attribution_check(attribution *s, const int64_t *of, uint32_t count, es_time took)
{
    const es_time sum = attribution_sum(of, count);
    if (sum != took && s->off++ == 0)
        s->off_by = sum - took;
}

/* ---- a layer ---- */

/* The layer at hand ends at `at`. */
static void attribution_settle(attribution *s, es_time at)
{
    attribution_check(s, s->now, s->width, at - s->settled);
    attribution_add(s->step, s->now, s->width);
    attribution_add(s->layers + (size_t)s->layer * s->width, s->now, s->width);
    memset(s->now, 0, s->width * sizeof *s->now);
    s->settled = at;
}

static void attribution_span_ends(attribution *s, const es_fact *fact, uint32_t cause)
{
    attribution_span *span = attribution_log_add(s, &s->line);
    if (!span)
        return;
    *span = (attribution_span){fact->since, fact->at, cause, fact->objects ? *fact->objects : ES_NO_OBJECT, fact->channel};
    if (cause < CAUSES_ONCE)
        s->now[cause] += fact->at - fact->since;
    else
        attribution_split(s, span);
}

static void attribution_compute(attribution *s, const es_fact *fact)
{
    const bool dense = *fact->objects == ES_NO_OBJECT;
    if (fact->channel != s->view->gpu) {
        attribution_span *span = attribution_log_add(s, &s->host);
        if (span)
            *span = (attribution_span){fact->since, fact->at, CAUSE_EXPERT_CPU, *fact->objects, fact->channel};
        return;
    }
    if (dense && s->now[CAUSE_DENSE] > 0)           /* the layer before had no event */
        attribution_settle(s, fact->since);
    if (dense)
        s->layer = fact->event->layer;
    attribution_span_ends(s, fact, dense ? CAUSE_DENSE : CAUSE_EXPERT_GPU);
}

static void attribution_charge(attribution *s, const es_fact *fact)
{
    static const attribution_cause causes[ES_CHARGES] = {CAUSE_ACCESS, CAUSE_LOOKUP, CAUSE_EVICT, CAUSE_MOVE, CAUSE_PREDICT, CAUSE_EXPERT_CPU};
    attribution_span_ends(s, fact, causes[fact->count]);
}

static void attribution_copied(attribution *s, const es_fact *fact)
{
    attribution_copy *copy = attribution_log_add(s, &s->copy);
    if (copy)
        *copy = (attribution_copy){fact->since, fact->at, fact->copy->asked, fact->copy->alone, *fact->objects, fact->channel, fact->from, fact->to,
            fact->why, fact->copy->begun};
}

/* ---- a step ---- */

static void attribution_step(attribution *s, const es_fact *fact)
{
    s->copy.count = s->line.count = s->host.count = 0;
    s->began = s->settled = fact->at;
    memset(s->now, 0, s->columns * sizeof *s->now);
    memset(s->step, 0, s->columns * sizeof *s->step);
}

/* A new row of a table; NULL: it is full. */
static attribution_row *attribution_new_row(attribution *s, attribution_log *table, const es_fact *fact)
{
    attribution_row *row = table->count < (uint64_t)s->most ? attribution_log_add(s, table) : NULL;
    if (row) {
        memset(row, 0, table->size);
        *row = (attribution_row){.request = fact->to, .start_ns = fact->since, .end_ns = fact->at};
    }
    return row;
}

static attribution_row *attribution_last(const attribution_log *table)
{
    return table->count ? (attribution_row *)(void *)((char *)table->at + (table->count - 1) * table->size) : NULL;
}

static void attribution_request(attribution *s, const es_fact *fact)
{
    attribution_row *row = attribution_last(&s->requests);
    if ((!row || row->request != fact->to) && !(row = attribution_new_row(s, &s->requests, fact)))
        return;
    *(fact->from == ES_DECODE ? &row->decode_tokens : &row->prompt_tokens) += fact->count;
    row->end_ns = fact->at;
    attribution_add(attribution_values(row), s->step, s->columns);
}

static void attribution_tokens(attribution *s, const es_fact *fact)
{
    const attribution_row *request = attribution_last(&s->requests);
    const int64_t index = request ? request->prompt_tokens + request->decode_tokens - fact->count : 0;
    for (uint32_t i = 0; i < fact->count; i++) {
        attribution_row *row = attribution_new_row(s, &s->tokens, fact);
        if (!row) {
            s->left_out += fact->count - i;
            return;
        }
        row->index = (uint32_t)(index + i);
        row->decode_tokens = 1;
        memcpy(attribution_values(row), s->step, s->columns * sizeof *s->step);
    }
}

static void attribution_slowest(attribution *s, const es_fact *fact)
{
    const attribution_row *request = attribution_last(&s->requests);
    if (fact->at - fact->since <= s->slowest_row.end_ns - s->slowest_row.start_ns)
        return;
    s->slowest_row = (attribution_row){.request = fact->to, .start_ns = fact->since, .end_ns = fact->at,
        .index = request && request->request == fact->to ? (uint32_t)(request->prompt_tokens + request->decode_tokens - 1) : 0};
    memcpy(s->slowest, s->step, s->columns * sizeof *s->step);
}

static void attribution_step_ended(attribution *s, const es_fact *fact)
{
    if (fact->at > s->settled)
        attribution_settle(s, fact->at);
    attribution_chain(s, fact->at, s->step);
    attribution_check(s, s->step, s->width, fact->at - fact->since);
    attribution_check(s, s->step + s->width, s->columns - s->width, fact->at - fact->since);
    attribution_add(s->total, s->step, s->columns);
    if (fact->from == ES_DECODE)
        attribution_add(s->decode, s->step, s->columns);
    attribution_request(s, fact);
    if (fact->from == ES_DECODE) {
        attribution_tokens(s, fact);
        attribution_slowest(s, fact);
    }
    attribution_bins_add(s, fact);
}

static void attribution_notify(void *self, const es_fact *fact)
{
    attribution *s = self;
    if (!s->view->timed)
        return;
    switch (fact->kind) {
    case ES_FACT_STEP:
        attribution_step(s, fact);
        break;
    case ES_FACT_COMPUTE:
        attribution_compute(s, fact);
        break;
    case ES_FACT_STALL:
        attribution_span_ends(s, fact, CAUSES_ONCE);
        break;
    case ES_FACT_CHARGE:
        attribution_charge(s, fact);
        break;
    case ES_FACT_COPY:
        attribution_copied(s, fact);
        break;
    case ES_FACT_RELEASE:
        s->layer = fact->event->layer;              /* a dense part that takes no time is not told */
        if (fact->event->last)
            attribution_settle(s, fact->at);
        break;
    case ES_FACT_STEP_END:
        attribution_step_ended(s, fact);
        break;
    default:
        attribution_bins_end(s);
        break;
    }
}

static es_code attribution_verdict(void *self, es_err *err)
{
    const attribution *s = self;
    if (s->failed)
        return es_err_nomem(err, "attribution");
    return s->off == 0 ? ES_OK : es_err_set(err, ES_ECHECK, "attribution: %" PRIu64 " layers or steps do not add up to the time they took, the first by %" PRId64
        " ns; please report it", s->off, s->off_by);
}

static void attribution_fini(void *self)
{
    attribution *s = self;
    attribution_log *const logs[] = {&s->copy, &s->line, &s->host, &s->tokens, &s->requests, &s->bins};
    for (size_t i = 0; i < sizeof logs / sizeof *logs; i++)
        free(logs[i]->at);
}

const es_observer es_observer_attribution = {
    .part = {
        .abi = ES_ABI,
        .name = "attribution",
        .brief = "Every nanosecond to one cause, per token, layer, request and over time; the chain of operations behind each token.",
        .options = attribution_options,
        .size = sizeof(attribution),
        .init = attribution_init,
        .notify = attribution_notify,
        .fini = attribution_fini,
        .hears = ES_HEARS(ES_FACT_STEP) | ES_HEARS(ES_FACT_RELEASE) | ES_HEARS(ES_FACT_COMPUTE) | ES_HEARS(ES_FACT_STALL) | ES_HEARS(ES_FACT_COPY) |
            ES_HEARS(ES_FACT_CHARGE) | ES_HEARS(ES_FACT_STEP_END) | ES_HEARS(ES_FACT_END),
    },
    .report = attribution_report,
    .save = attribution_save,
    .verdict = attribution_verdict,
};
