/* Latency: how long a token took, and the first one. Exact nearest-rank quantiles up to `samples` values, a histogram beyond.
 *
 * A token's latency is the duration of its decode step, counted once for each token of the step. The time to the first token is
 * the end of a request's prefill minus its arrival; requests run one after another, so it arrives when its first prefill step
 * begins. A prefill of several steps (contract.prefill tokens, tiles:N) ends with the last of them. */
#include "sim/observe/observe.h"

#include "sim/base/hist.h"

typedef struct latency {
    int64_t samples;
    const es_view *view;
    es_hist token, first;       /* ns */
    bool pending;               /* a prefill goes on: */
    uint32_t request;           /* whose */
    es_time arrival, end;       /* when it began, and the end of its last step so far */
} latency;

static const es_option latency_options[] = {
    {.name = "samples", .type = ES_OPT_INT, .offset = offsetof(latency, samples), .def = 1e7, .min = 0, .max = 1e9,
        .help = "Values kept for exact quantiles; beyond that a histogram with at most 1 % error takes over."},
    {0},
};

static es_code latency_init(void *self, const es_site *site, es_err *err)
{
    latency *s = self;
    s->view = site->view;
    if (!s->view->timed)
        return ES_OK;
    size_t samples = s->view->stream ? 0 : (size_t)s->samples;
    if (!es_hist_init(&s->token, site->arena, samples) || !es_hist_init(&s->first, site->arena, samples))
        return es_err_nomem(err, "latency samples");
    return ES_OK;
}

static void latency_prefill_ended(latency *s)
{
    if (s->pending)
        es_hist_add(&s->first, s->end - s->arrival);
    s->pending = false;
}

static void latency_notify(void *self, const es_fact *fact)
{
    latency *s = self;
    if (!s->view->timed)
        return;
    if (fact->from == ES_DECODE) {
        latency_prefill_ended(s);
        for (uint32_t i = 0; i < fact->count; i++)
            es_hist_add(&s->token, fact->at - fact->since);
        return;
    }
    if (!s->pending || s->request != fact->to) {
        latency_prefill_ended(s);
        s->pending = true;
        s->request = fact->to;
        s->arrival = fact->since;
    }
    s->end = fact->at;
}

static void latency_quantiles(es_hist *hist, es_json *out)
{
    static const struct { const char *name; double q; } rows[] = {{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}};
    bool any = hist->count != 0;
    es_json_add_real(out, "mean", any ? es_hist_mean(hist) / 1e9 : (double)NAN);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        es_json_add_real(out, rows[i].name, any ? observe_seconds(es_hist_quantile(hist, rows[i].q)) : (double)NAN);
    es_json_add_real(out, "max", any ? observe_seconds(hist->max) : (double)NAN);
    observe_count(out, "samples", hist->count);
    es_json_add_bool(out, "exact", hist->exact);
}

static void latency_report(void *self, es_json *out)
{
    latency *s = self;
    es_json *time = observe_object(out, "time");
    latency_prefill_ended(s);   /* the trace may end with a prompt */
    if (s->view->timed)
        latency_quantiles(&s->token, es_json_add_object(time, "token_latency_s"));
    else
        cJSON_AddNullToObject(time, "token_latency_s");
    if (s->view->timed && s->first.count != 0) {
        es_json_add_real(time, "ttft_s", es_hist_mean(&s->first) / 1e9);
        latency_quantiles(&s->first, es_json_add_object(time, "ttft_quantiles_s"));
    } else {
        cJSON_AddNullToObject(time, "ttft_s");
        cJSON_AddNullToObject(time, "ttft_quantiles_s");
    }
    es_json_add_real(time, "prefill_s", s->view->timed ? observe_seconds(s->view->times->prefill_total) : (double)NAN);
}

static void latency_fini(void *self)
{
    latency *s = self;
    es_hist_free(&s->token);
    es_hist_free(&s->first);
}

const es_observer es_observer_latency = {
    .part = {
        .abi = ES_ABI,
        .name = "latency",
        .brief = "Token latency and time to the first token: mean and exact quantiles.",
        .options = latency_options,
        .size = sizeof(latency),
        .init = latency_init,
        .notify = latency_notify,
        .fini = latency_fini,
        .hears = ES_HEARS(ES_FACT_STEP_END),
    },
    .report = latency_report,
};
