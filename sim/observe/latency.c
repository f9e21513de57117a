/* Latency: how long a token took, and the first one. Exact nearest-rank quantiles up to `samples` values, a histogram beyond.
 *
 * A token's latency is the duration of its decode step, counted once for each token of the step. The time to the first token is
 * the end of a request's prefill minus its arrival; requests run one after another, so it arrives when its first prefill step
 * begins. A prefill of several steps (contract.prefill tokens, tiles:N) ends with the last of them.
 *
 * Saved as /hist/METRIC of result.h5: the bins that are not empty, and beside them the quantiles, which are not read off the bins. */
#include "sim/observe/observe.h"

#include "sim/base/h5.h"
#include "sim/base/hist.h"

enum { LATENCY_NEAREST, LATENCY_LINEAR };

typedef struct latency {
    int64_t samples;
    int percentile;
    const es_view *view;
    es_hist token, first, stall; /* ns; stall: of a decode step, once for each token */
    es_time stalled;            /* view->times->stall at the end of the last step */
    bool pending;               /* a prefill goes on: */
    uint32_t request;           /* whose */
    es_time arrival, end;       /* when it began, and the end of its last step so far */
} latency;

static const char *const latency_percentiles[] = {"nearest_rank", "linear", NULL};

static const es_option latency_options[] = {
    {.name = "samples", .type = ES_OPT_INT, .offset = offsetof(latency, samples), .def = 1e7, .min = 0, .max = 1e9,
        .help = "Values kept for exact quantiles; beyond that a histogram with at most 1 % error takes over."},
    {.name = "percentile", .type = ES_OPT_ENUM, .offset = offsetof(latency, percentile), .choices = latency_percentiles,
        .help = "A quantile is a sample, or lies in a straight line between two (as published simulators have it). Kept histograms have samples."},
    {0},
};

static es_code latency_init(void *self, const es_site *site, es_err *err)
{
    latency *s = self;
    s->view = site->view;
    if (!s->view->timed)
        return ES_OK;
    size_t samples = s->view->stream ? 0 : (size_t)s->samples;
    if (!es_hist_init(&s->token, site->arena, samples) || !es_hist_init(&s->first, site->arena, samples) || !es_hist_init(&s->stall, site->arena, samples))
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
    es_time stall = s->view->times->stall - s->stalled;
    s->stalled += stall;
    if (fact->from == ES_DECODE) {
        latency_prefill_ended(s);
        for (uint32_t i = 0; i < fact->count; i++) {
            es_hist_add(&s->token, fact->at - fact->since);
            es_hist_add(&s->stall, stall);
        }
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

static void latency_quantiles(const latency *s, es_hist *hist, es_json *out)
{
    static const struct { const char *name; double q; } rows[] = {{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}};
    bool any = hist->count != 0;
    es_json_add_real(out, "mean", any ? es_hist_mean(hist) / 1e9 : (double)NAN);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double seconds = s->percentile == LATENCY_LINEAR ? es_hist_quantile_linear(hist, rows[i].q) / 1e9 : observe_seconds(es_hist_quantile(hist, rows[i].q));
        es_json_add_real(out, rows[i].name, any ? seconds : (double)NAN);
    }
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
        latency_quantiles(s, &s->token, es_json_add_object(time, "token_latency_s"));
    else
        cJSON_AddNullToObject(time, "token_latency_s");
    if (s->view->timed && s->first.count != 0) {
        es_json_add_real(time, "ttft_s", es_hist_mean(&s->first) / 1e9);
        latency_quantiles(s, &s->first, es_json_add_object(time, "ttft_quantiles_s"));
    } else {
        cJSON_AddNullToObject(time, "ttft_s");
        cJSON_AddNullToObject(time, "ttft_quantiles_s");
    }
    es_json_add_real(time, "prefill_s", s->view->timed ? observe_seconds(s->view->times->prefill_total) : (double)NAN);
}

/* ---- keeping them ---- */

static es_code latency_save_bins(es_hist *hist, const char *path, es_h5 *file, es_err *err)
{
    static const es_h5_column columns[] = {
        {"low", ES_H5_I64, offsetof(es_hist_part, low), 0, "ns", "smallest value of the bin"},
        {"high", ES_H5_I64, offsetof(es_hist_part, high), 0, "ns", "smallest value above it"},
        {"count", ES_H5_I64, offsetof(es_hist_part, count), 0, "1", "values in the bin"},
    };
    es_h5_data *table = NULL;
    es_hist_part part;
    size_t at = 0;
    const uint64_t most = hist->count < ES_HIST_BINS ? hist->count : ES_HIST_BINS;
    es_code code = es_h5_table_create(&table, file, path, columns, sizeof columns / sizeof *columns, sizeof part, most, err);
    while (code == ES_OK && es_hist_next(hist, &at, &part))
        code = es_h5_table_append(table, 1, &part, err);
    es_h5_data_close(table);
    return code;
}

/* Nanoseconds as they are counted: no rounding stands between these and the samples. */
static es_code latency_save_quantiles(es_hist *hist, const char *path, es_h5 *file, es_err *err)
{
    static const struct { const char *name; double q; } rows[] = {{"p50", 0.50}, {"p90", 0.90}, {"p95", 0.95}, {"p99", 0.99}, {"p999", 0.999}};
    es_code code = es_h5_put_int(file, path, "samples", (int64_t)hist->count, err);
    if (code == ES_OK)
        code = es_h5_put_int(file, path, "exact", hist->exact, err);
    if (code || hist->count == 0)
        return code;
    for (size_t i = 0; i < sizeof rows / sizeof *rows && code == ES_OK; i++)
        code = es_h5_put_int(file, path, rows[i].name, es_hist_quantile(hist, rows[i].q), err);
    if (code == ES_OK)
        code = es_h5_put_int(file, path, "min", hist->min, err);
    if (code == ES_OK)
        code = es_h5_put_int(file, path, "max", hist->max, err);
    return code ? code : es_h5_put_real(file, path, "mean", es_hist_mean(hist), err);
}

static es_code latency_save_one(es_hist *hist, const char *path, const char *long_name, es_h5 *file, es_err *err)
{
    es_code code = latency_save_bins(hist, path, file, err);
    if (code == ES_OK)
        code = latency_save_quantiles(hist, path, file, err);
    if (code == ES_OK)
        code = es_h5_put_text(file, path, "units", "ns", err);
    return code ? code : es_h5_put_text(file, path, "long_name", long_name, err);
}

static es_code latency_save(void *self, es_h5 *file, es_err *err)
{
    latency *s = self;
    es_code code = es_h5_group(file, "/hist", err);
    if (code || !s->view->timed)
        return code;
    if ((code = latency_save_one(&s->token, "/hist/token_latency_ns", "duration of a decode step, once for each of its tokens", file, err)) != ES_OK ||
        (code = latency_save_one(&s->stall, "/hist/token_stall_ns", "of it, compute waited only for weights", file, err)) != ES_OK)
        return code;
    return latency_save_one(&s->first, "/hist/ttft_ns", "time to the first token of a request", file, err);
}

static void latency_fini(void *self)
{
    latency *s = self;
    es_hist_free(&s->token);
    es_hist_free(&s->first);
    es_hist_free(&s->stall);
}

const es_observer es_observer_latency = {
    .part = {
        .abi = ES_ABI,
        .name = "latency",
        .brief = "Token latency and time to the first token: mean and exact quantiles; histograms in result.h5.",
        .options = latency_options,
        .size = sizeof(latency),
        .init = latency_init,
        .notify = latency_notify,
        .fini = latency_fini,
        .hears = ES_HEARS(ES_FACT_STEP_END),
    },
    .report = latency_report,
    .save = latency_save,
};
