/* Report: see report.h. */
#include "calib/report.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calib/batch.h"
#include "calib/copied.h"
#include "calib/onto.h"
#include "calib/expert.h"
#include "calib/fit.h"
#include "calib/maxrate.h"
#include "calib/memory.h"
#include "calib/report_tables.h"
#include "calib/save.h"
#include "calib/sharing.h"
#include "calib/solve.h"
#include "models/profile.h"
#include "sim/base/text.h"

#define DISTURBED_SHARE 0.01    /* of the time that went by: half of what a median may be unsure of */
#define DISTURBED_LOAD 0.25     /* processes that run, for each processor */

typedef struct report {
    const calib_samples *samples;
    const report_ask *ask;
    es_json *links, *compute, *skipped;
    es_text *told;
    es_text source;             /* who measured it, when */
    const char *provenance;     /* "measured", of a formula "synthetic" */
    es_arena arena;
    size_t kept;                /* rows of the profile */
} report;

/* ---- small things ---- */

/* To six digits: more are noise, and are read by people. */
static double rounded(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.6g", value);
    return strtod(text, NULL);
}

static void add_reals(es_json *object, const char *key, const double *value, size_t count)
{
    es_json *list = es_json_add_array(object, key);
    for (size_t i = 0; i < count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(value[i]));
}

static void add_interval(es_json *list, const fit_interval *interval)
{
    es_json *pair = cJSON_CreateDoubleArray((const double[]){interval->low, interval->high}, 2);
    cJSON_AddItemToArray(list, pair);
}

static double rate_of(double ns_per_byte)
{
    return ns_per_byte > 0.0 ? fmin(1e9 / ns_per_byte, 1e18) : 1e18;       /* the most a profile takes */
}

/* "pcie.h2d" -> "pcie", "h2d" */
static const char *row_split(const calib_row *row, char link[32])
{
    size_t length = strcspn(row->name, ".");
    memcpy(link, row->name, length);
    link[length] = '\0';
    return row->name + length + 1;
}

static const char *report_kind_of(const report *r, const char *link)
{
    for (size_t i = 0; i < r->ask->kinds; i++)
        if (strcmp(r->ask->kind[i].link, link) == 0)
            return r->ask->kind[i].kind;
    return strcmp(link, "memory") == 0 ? "unified" : strcmp(link, "dram") == 0 ? "dram" : "other";
}

/* ---- a fit ---- */

static void fit_ci(const calib_fit *fit, es_json *out)
{
    es_json *ci = es_json_add_object(out, "ci95");
    add_reals(ci, "alpha_s", (const double[]){fit->alpha.low / 1e9, fit->alpha.high / 1e9}, 2);
    es_json *beta = es_json_add_array(ci, "beta_Bps"), *knee = es_json_add_array(ci, "knee_B");
    for (size_t i = 0; i < fit->curve.pieces; i++) {
        add_interval(beta, &fit->rate[i]);
        if (i > 0)
            add_interval(knee, &fit->knee[i]);
    }
    es_json_add_real(ci, "lag1", rounded(fit->lag1));
    es_json_add_int(ci, "block_rounds", (int64_t)fit->block);
}

static void report_error(es_json *out, double median, double p95, double holdout)
{
    es_json *error = es_json_add_object(out, "error");
    es_json_add_real(error, "median", median);
    es_json_add_real(error, "p95", p95);
    es_json_add_real(error, "holdout_median", isnan(holdout) ? 0.0 : holdout);
}

static int64_t series_largest(const calib_series *series)
{
    int64_t largest = 0;
    for (size_t i = 0; i < series->count; i++)
        largest = series->at[i].bytes > largest ? series->at[i].bytes : largest;
    return largest;
}

static es_json *fit_json(const calib_fit *fit, const calib_series *series, es_json *flow)
{
    es_json *out = es_json_add_object(flow, "fit");
    double rate[CURVE_PIECES];
    for (size_t i = 0; i < fit->curve.pieces; i++)
        rate[i] = rate_of(fit->curve.slope[i]);
    es_json_add_text(out, "model", curve_names[fit->curve.family]);
    es_json_add_real(out, "alpha_s", fit->curve.fixed[0] / 1e9);
    if (fit->curve.family == CURVE_JUMP)
        es_json_add_real(out, "alpha_beyond_s", fit->curve.fixed[1] / 1e9);
    add_reals(out, "beta_Bps", rate, fit->curve.pieces);
    add_reals(out, "knee_B", fit->curve.from + 1, fit->curve.pieces - 1);
    es_json_add_real(out, "n_half_B", calib_fit_half(fit));
    if (fit->curve.family_bic != fit->curve.family)
        es_json_add_text(out, "bic_model", curve_names[fit->curve.family_bic]);
    report_error(out, fit->error_median, fit->error_p95, fit->error_holdout);
    if (fit->resampled)
        fit_ci(fit, out);
    report_noise(&fit->noise, out);
    es_json_add_real(out, "mean_over_median", fit->mean_over_median);
    es_json_add_int(out, "samples", (int64_t)fit->samples);
    es_json_add_int(out, "sizes", (int64_t)fit->sizes);
    es_json_add_int(out, "largest_B", series_largest(series));
    es_json_add_text(out, "stop", calib_stop_names[series->stop]);
    es_json_add_int(out, "open", series->open);
    return out;
}

/* ---- what is said ---- */

typedef struct row_told {       /* what decides whether a row may be used */
    const char *name;
    double error, holdout;      /* medians; holdout NaN: nothing was held out */
} row_told;

static void report_skip(report *r, const char *name, const char *why)
{
    es_text_add(r->told, "%s: left out: %s\n", name, why);
    es_json_add_text(r->skipped, name, why);
}

/* Says why not, and what is to be known of it if so. */
static bool report_takes(report *r, const row_told *row)
{
    double error = isnan(row->holdout) ? row->error : row->holdout;
    const char *what = isnan(row->holdout) ? "the sizes" : "sizes held out of the fit";
    if (error > ES_FIT_REFUSED) {
        char why[160];
        snprintf(why, sizeof why, "%s are off by %.1f %% (median), and above %.0f %% nothing should be simulated with it", what, 100.0 * error, 100.0 * ES_FIT_REFUSED);
        report_skip(r, row->name, why);
        return false;
    }
    if (error > ES_FIT_WARNED)
        es_text_add(r->told, "%s: %s are off by %.1f %% (median), above %.0f %%: use it with care\n", row->name, what, 100.0 * error, 100.0 * ES_FIT_WARNED);
    return true;
}

static bool report_takes_fit(report *r, const calib_row *row, const calib_fit *fit)
{
    char why[160];
    if (fit->fitted && fit->instant)
        es_text_add(r->told, "%s: %zu of its %zu sizes took 0 ns, less than the clock tells, and are not in the fit\n", row->name, fit->instant, fit->instant + fit->sizes);
    if (fit->fitted && fit->curve.family_bic != fit->curve.family)
        es_text_add(r->told, "%s: its curve is %s by AICc, %s by BIC: few sizes decide between them\n", row->name, curve_names[fit->curve.family], curve_names[fit->curve.family_bic]);
    if (fit->fitted)
        return report_takes(r, &(row_told){row->name, fit->error_median, fit->error_holdout});
    if (fit->instant)
        snprintf(why, sizeof why, "%zu of its %zu sizes took 0 ns, less than the clock tells; %zu are too few for a fit, 3 are the least", fit->instant,
            fit->instant + fit->sizes, fit->sizes);
    else
        snprintf(why, sizeof why, "%zu sizes are too few for a fit, 3 are the least", fit->sizes);
    report_skip(r, row->name, why);
    return false;
}

/* ---- flows ---- */

static es_json *flow_of(report *r, const calib_row *row, double slope, double fixed)
{
    char link[32];
    const char *name = row_split(row, link);
    es_json *object = cJSON_GetObjectItemCaseSensitive(r->links, link);
    if (!object) {
        object = es_json_add_object(r->links, link);
        es_json_add_text(object, "kind", report_kind_of(r, link));
    }
    es_json *flow = es_json_add_object(object, name);
    es_json_add_quantity(flow, "rate", rounded(rate_of(slope)), ES_UNIT_RATE);
    es_json_add_text(flow, "provenance", r->provenance);
    es_json_add_text(flow, "source", r->source.at);
    es_json_add_quantity(flow, "latency", (double)es_ns_round(fixed), ES_UNIT_TIME);
    es_json_add_text(flow, "latency_provenance", r->provenance);     /* said, for where this is merged over a profile that says another */
    es_json_add_text(flow, "latency_source", r->source.at);
    r->kept++;
    return flow;
}

static es_json *report_flow(report *r, const calib_row *row, const calib_series *series, const calib_fit *fit)
{
    es_json *flow = flow_of(r, row, fit->curve.slope[fit->curve.pieces - 1], fit->curve.fixed[0]);
    fit_json(fit, series, flow);
    es_json_add_text(flow, "note", row->what);
    return flow;
}

/* Every size took 0 ns. Memory may be free of charge, and then its price is 0; bytes that move take time, and such a clock did not see it. */
static void report_instant(report *r, const calib_row *row, const calib_fit *fit)
{
    char text[192];
    if (row->op == CALIB_ALLOC) {
        es_text_add(r->told, "%s: all %zu samples took 0 ns, less than the clock tells: its price is 0\n", row->name, fit->instant_samples);
        snprintf(text, sizeof text, "%s: less than the clock tells, a price of 0", row->what);
        es_json_add_text(flow_of(r, row, 0.0, 0.0), "note", text);
        return;
    }
    snprintf(text, sizeof text, "all %zu samples took 0 ns, less than the clock tells, which cannot be of %s", fit->instant_samples, row->what);
    report_skip(r, row->name, text);
}

static es_code report_fit(report *r, size_t row, const fit_ask *ask, calib_fit **out, es_err *err)
{
    calib_fit *fit = *out = ES_NEW(&r->arena, calib_fit);
    return fit ? calib_fit_series(fit, &r->samples->row[row], ask, &r->arena, err) : es_err_nomem(err, "a fit");
}

static es_code report_copy(report *r, size_t row, es_json **flow, es_err *err)
{
    calib_fit *fit;
    *flow = NULL;
    es_code code = report_fit(r, row, &(fit_ask){.pages = calib_rows[row].op == CALIB_ALLOC, .count = 1, .resamples = r->ask->resamples, .seed = r->ask->seed}, &fit, err);
    if (code == ES_OK && fit->sizes == 0 && fit->instant)
        report_instant(r, &calib_rows[row], fit);
    else if (code == ES_OK && report_takes_fit(r, &calib_rows[row], fit))
        *flow = report_flow(r, &calib_rows[row], &r->samples->row[row], fit);
    return code;
}

static int point_order(const batch_point *a, const batch_point *b)
{
    return a->count != b->count ? (a->count > b->count) - (a->count < b->count) : (a->bytes > b->bytes) - (a->bytes < b->bytes);
}

static void points_sort(batch_point *point, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        batch_point moved = point[i];
        size_t at = i;
        for (; at > 0 && point_order(&point[at - 1], &moved) > 0; at--)
            point[at] = point[at - 1];
        point[at] = moved;
    }
}

/* What several requests at a time give: rates of one and of all, and one point per size and depth. */
static void report_depths(report *r, size_t row, es_json *flow)
{
    batch_point point[SOLVE_ROWS];
    double issue;
    size_t count = batch_points(&r->samples->row[row], point, &issue, &r->arena);
    points_sort(point, count);
    if (count == 0 || point[count - 1].count <= 1.0)
        return;
    calib_maxrate rates;
    if (maxrate_fit(point, count, &rates)) {
        es_json *out = es_json_add_object(flow, "max_rate");
        es_json_add_int(flow, "lanes", (int64_t)rates.lanes);
        es_json_add_real(out, "alpha_s", rates.alpha_ns / 1e9);
        es_json_add_real(out, "one_Bps", rates.one);
        es_json_add_real(out, "link_Bps", rates.link);
        es_json_add_real(out, "error_median", rates.error_median);
    }
    es_json *points = es_json_add_array(flow, "points");
    for (size_t i = 0; i < count; i++) {
        es_json *object = cJSON_CreateObject();
        cJSON_AddItemToArray(points, object);
        es_json_add_quantity(object, "bytes", point[i].bytes, ES_UNIT_BYTES);
        es_json_add_int(object, "lanes", (int64_t)point[i].count);
        es_json_add_quantity(object, "rate", rounded(point[i].bytes * 1e9 / point[i].ns), ES_UNIT_RATE);
    }
}

/* ---- batches and experts ---- */

static void batch_json(const calib_batch *batch, double issue, es_json *out)
{
    es_json_add_real(out, "first_s", batch->first_ns / 1e9);
    es_json_add_real(out, "each_s", batch->each_ns / 1e9);
    es_json_add_real(out, "beta_Bps", rate_of(batch->ns_per_byte));
    es_json_add_real(out, "issue_s", issue / 1e9);
    es_json_add_real(out, "efficiency", isnan(batch->efficiency) ? 0.0 : batch->efficiency);
    es_json_add_bool(out, "slower", batch->slower);
}

static void report_batch(report *r, size_t row)
{
    batch_point point[SOLVE_ROWS];
    calib_batch batch;
    double issue;
    size_t count = batch_points(&r->samples->row[row], point, &issue, &r->arena);
    char link[32], path[64];
    row_split(&calib_rows[row], link);
    snprintf(path, sizeof path, "%s.h2d.fit", link);
    es_json *fit = es_json_at(r->links, path);
    if (!batch_fit(point, count, &batch))
        return;
    if (fit)
        batch_json(&batch, issue, es_json_add_object(fit, "batch"));
    if (batch.slower)
        es_text_add(r->told, "%s: batching is slower than single copies (efficiency %.2f)%s\n", calib_rows[row].name, batch.efficiency,
            batch.clamped ? "; its fixed time would be below 0 and is held there" : "");
}

static void expert_points(const calib_expert *expert, es_json *object)
{
    es_json *points = es_json_add_array(object, "points");
    for (size_t i = 0; i < expert->curves; i++)
        for (size_t k = 0; k < expert->curve[i].sizes; k++) {
            es_json *point = cJSON_CreateObject();
            cJSON_AddItemToArray(points, point);
            es_json_add_int(point, "tokens", (int64_t)expert->curve[i].tokens);
            es_json_add_quantity(point, "bytes", expert->curve[i].bytes[k], ES_UNIT_BYTES);
            es_json_add_quantity(point, "time", fmax(1.0, (double)es_ns_round(expert->curve[i].ns[k])), ES_UNIT_TIME);
        }
}

/* For those who want three numbers: of one token the line through the largest and the smallest expert, and what a token more costs of the
 * largest, by the upper half. */
static void expert_summary(const calib_expert *expert, es_json *object)
{
    const expert_curve *first = &expert->curve[0], *middle = &expert->curve[expert->curves / 2], *last = &expert->curve[expert->curves - 1];
    double least = expert->least_bytes, most = expert->most_bytes, high = calib_expert_ns(first, most), slope = high / most;
    if (most > least)
        slope = fmin(slope, (high - calib_expert_ns(first, least)) / (most - least));
    slope = slope > 0.0 ? slope : high / most;
    double rise = last > middle ? (calib_expert_ns(last, most) - calib_expert_ns(middle, most)) / (last->tokens - middle->tokens) : 0.0;
    es_json_add_quantity(object, "expert_bytes", most, ES_UNIT_BYTES);
    es_json_add_quantity(object, "rate", rounded(rate_of(slope)), ES_UNIT_RATE);
    es_json_add_quantity(object, "fixed", fmax(0.0, (double)es_ns_round(high - slope * most)), ES_UNIT_TIME);
    es_json_add_quantity(object, "per_token", fmax(0.0, (double)es_ns_round(rise)), ES_UNIT_TIME);
}

static es_code report_expert(report *r, size_t row, es_err *err)
{
    const calib_series *series = &r->samples->row[row];
    calib_expert *expert = ES_NEW(&r->arena, calib_expert);
    es_code code = expert ? calib_expert_fit(expert, series, &r->arena, err) : es_err_nomem(err, "the medians of an expert");
    if (code == ES_OK && expert->curves == 0)
        report_skip(r, calib_rows[row].name, "all samples took 0 ns, less than the clock tells, which cannot be of computing");
    if (code || expert->curves == 0)
        return code;
    row_told told = {calib_rows[row].name, 0.0, expert->error_holdout};
    if (!report_takes(r, &told))
        return ES_OK;
    char unit[32], note[192];
    row_split(&calib_rows[row], unit);
    es_json *object = es_json_add_object(r->compute, unit);
    expert_summary(expert, object);
    expert_points(expert, object);
    if (!isnan(expert->error_holdout))
        es_json_add_real(es_json_add_object(object, "error"), "holdout_median", expert->error_holdout);
    report_noise(&expert->noise, object);
    es_json_add_real(object, "mean_over_median", expert->mean_over_median);
    es_json_add_text(object, "provenance", r->provenance);
    es_json_add_text(object, "source", r->source.at);
    snprintf(note, sizeof note, "Experts of %.3g to %.3g MiB, %d wide, %s. Rate and fixed time: %.0f token.", expert->least_bytes / 0x1p20, expert->most_bytes / 0x1p20,
        CALIB_HIDDEN, calib_rows[row].which == ES_WEIGHTS_FP32 ? "up and down, 4 bytes a weight" : "gate, up and down", expert->curve[0].tokens);
    es_json_add_text(object, "note", note);
    r->kept++;
    return ES_OK;
}

/* ---- all of it ---- */

static es_code report_row(report *r, size_t row, es_err *err)
{
    es_json *flow = NULL;
    es_code code = ES_OK;
    if (r->samples->row[row].count == 0)
        return ES_OK;
    switch (calib_rows[row].op) {
    case CALIB_COPY:
    case CALIB_FETCH:
    case CALIB_ALLOC:
    case CALIB_SEEN:
        return report_copy(r, row, &flow, err);
    case CALIB_READ:
    case CALIB_WRITE:
    case CALIB_MOVE:
        if ((code = report_copy(r, row, &flow, err)) == ES_OK && flow)
            report_depths(r, row, flow);
        return code;
    case CALIB_BATCH:
        if (calib_rows[row].which == ES_FORM_COPIES)
            report_batch(r, row);
        return ES_OK;
    case CALIB_EXPERT:
        return calib_rows[row].part ? ES_OK : report_expert(r, row, err);
    case CALIB_GET:
    case CALIB_RESIDE:          /* all of them together: memory.h */
    case CALIB_ONTO:            /* beside the flow that is there by then: onto.h */
        return ES_OK;
    case CALIB_PRICE:
    case CALIB_LAUNCH:
        return ES_OK;           /* tables, of all rows at once */
    }
    return code;
}

/* All in one line: on a short budget they are many. */
static void report_unstable(report *r)
{
    bool some = false;
    for (size_t row = 0; row < CALIB_ROWS; row++) {
        const calib_series *series = &r->samples->row[row];
        if (series->open)
            es_text_add(r->told, "%s%s (%u)", some ? ", " : "unstable: the budget ended before so many of their sizes were known to 2 %: ", calib_rows[row].name, series->open);
        some |= series->open > 0;
    }
    if (some)
        es_text_add(r->told, "; a larger --budget helps, or a quieter machine\n");
}

static es_code report_memory(report *r, es_json *machine, es_err *err)
{
    bool kept = false;
    es_code code = memory_report(r->samples, &(memory_origin){r->provenance, r->source.at}, machine, r->told, &kept, err);
    r->kept += kept;
    return code;
}

static const char *report_text(const es_json *environment, const char *key, const char *otherwise)
{
    const es_json *value = cJSON_GetObjectItemCaseSensitive(environment, key);
    return cJSON_IsString(value) ? value->valuestring : otherwise;
}

/* NaN where it is not there. */
static double report_number(const es_json *environment, const char *key)
{
    const es_json *value = cJSON_GetObjectItemCaseSensitive(environment, key);
    return cJSON_IsNumber(value) ? value->valuedouble : NAN;
}

/* Why it is noisy, where the system knows. Others' processes and the host of a virtual machine call for different remedies. */
static void report_disturbed(report *r, const es_json *environment)
{
    const double steal = report_number(environment, "steal_s"), elapsed = report_number(environment, "elapsed_s");
    const double load = report_number(environment, "load_before"), processors = report_number(environment, "processors");
    if (strcmp(r->provenance, "measured") != 0)
        return;
    if (steal > DISTURBED_SHARE * elapsed)
        es_text_add(r->told, "disturbed: the host of this virtual machine took %.2g s of %.3g s from its processors (steal): no option keeps that out, a calmer hour does\n", steal, elapsed);
    if (load > DISTURBED_LOAD * processors && strcmp(report_text(environment, "priority", ""), "real time") != 0)
        es_text_add(r->told, "disturbed: other processes ran before it began (load %.1f, %.0f processors): `chrt -f 10 expertsim calibrate ...` goes before them\n", load, processors);
}

/* What this machine could not measure was known before anything was. */
static void report_missing(report *r)
{
    const es_json *row;
    cJSON_ArrayForEach(row, r->skipped)
        if (cJSON_IsString(row))
            es_text_add(r->told, "%s: not measured: %s\n", row->string, row->valuestring);
}

/* The reader is the judge: what it would refuse is not written. */
static es_code report_check(const es_json *profile, es_arena *arena, es_err *err)
{
    es_profile parsed;
    return es_profile_parse(&parsed, cJSON_GetObjectItemCaseSensitive(profile, "machine"), NULL, arena, err);
}

es_code calib_report(const calib_samples *samples, const report_ask *ask, es_json **out, es_text *told, es_err *err)
{
    report r = {.samples = samples, .ask = ask, .told = told};
    const es_json *environment = samples->environment;
    es_json *profile = *out = cJSON_CreateObject(), *machine = profile ? es_json_add_object(profile, "machine") : NULL;
    if (!machine)
        return es_err_nomem(err, "a profile");
    const char *backend = report_text(environment, "backend", "unknown");
    r.provenance = strcmp(backend, "fake") == 0 ? "synthetic" : "measured";
    es_json_add_text(machine, "name", ask->name ? ask->name : report_text(environment, strcmp(backend, "host") == 0 ? "cpu" : "device", backend));
    es_json_add_text(machine, "description", "Measured by `expertsim calibrate`; the raw samples are beside it. Seconds, bytes and bytes per second.");
    es_json_add_text(machine, "schema", CALIB_SCHEMA);
    const char *unverified = report_text(environment, "unverified", NULL);
    if (unverified) {
        es_json_add_text(machine, "unverified", unverified);
        es_text_add(told, "unverified: %s\n", unverified);
    }
    es_json *kept = cJSON_Duplicate(environment, true);
    cJSON_AddItemToObject(machine, "environment", kept);
    r.skipped = cJSON_DetachItemFromObjectCaseSensitive(kept, "skipped");
    if (!r.skipped)
        r.skipped = cJSON_CreateObject();
    report_missing(&r);
    report_disturbed(&r, environment);
    report_unstable(&r);
    es_text_add(&r.source, "expertsim calibrate --backend %s, %s", backend, report_text(environment, "date", "date unknown"));
    r.links = es_json_add_object(machine, "links");
    r.compute = es_json_add_object(machine, "compute");
    es_code code = r.links && r.compute && r.skipped && !r.source.failed ? ES_OK : es_err_nomem(err, "a profile");
    for (size_t row = 0; row < CALIB_ROWS && code == ES_OK; row++)
        code = report_row(&r, row, err);
    if (code == ES_OK)
        code = report_tables(samples, machine, &r.arena, err);
    sharing_report(samples, machine, told);
    if (code == ES_OK)
        code = copied_report(samples, machine, told, err);
    if (code == ES_OK)
        onto_report(samples, machine);
    cJSON_AddItemToObject(machine, "skipped", r.skipped);
    if (code == ES_OK)
        code = report_memory(&r, machine, err);
    if (code == ES_OK && r.kept == 0)
        code = es_err_set(err, ES_ECHECK, "no row could be fitted: %s", told->at ? told->at : "there are no samples");
    if (code == ES_OK)
        code = report_check(profile, &r.arena, err);
    es_text_free(&r.source);
    es_arena_free(&r.arena);
    if (code) {
        cJSON_Delete(profile);
        *out = NULL;
    }
    return code;
}
