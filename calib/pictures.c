/* Pictures: see pictures.h. */
#include "calib/pictures.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "calib/contention.h"
#include "calib/expert.h"
#include "calib/fit.h"
#include "plots/plot.h"

enum { PICTURE_GRID = 256, PICTURE_NAME = 64, PICTURE_NOTE = 200, PICTURE_TITLE = 320, PICTURE_QUANTILES = 199, PICTURE_TOKENS = 7 };
#define NORMAL_QUARTILE 0.674489750196082

typedef struct pictures {
    const calib_samples *samples;
    const pictures_ask *ask;
    es_arena arena;
    char note[PICTURE_NOTE];
    size_t written;
    bool drawn;                 /* by gnuplot; false: there is none */
} pictures;

/* A column of numbers that the arena keeps; NULL: no memory. */
static double *column(pictures *p, size_t count)
{
    return ES_NEW_ARRAY(&p->arena, count, double);
}

static es_code picture(pictures *p, const char *row, const char *kind, plot_figure *figure, es_err *err)
{
    char name[PICTURE_NAME];
    const char *what = strcmp(row, "contention") == 0 ? row : strcmp(kind, "time") == 0 ? "fit" : kind;
    snprintf(name, sizeof name, "%.40s-%.20s", row, kind);
    figure->name = name;
    figure->note = p->note;
    figure->formats = (p->ask->svg ? PLOT_SVG : 0u) | (p->ask->png ? PLOT_PNG : 0u);
    if (p->ask->wants && !p->ask->wants(p->ask->self, what, name, figure->title))
        return ES_OK;
    es_code code = plot_write(figure, p->ask->folder, err);
    if (code == ES_OK && (p->drawn || p->written == 0))
        code = plot_draw(name, p->ask->folder, &p->drawn, err);
    p->written++;
    return code;
}

/* ---- a row: time ---- */

/* The medians and their intervals, in seconds. */
static bool sizes_columns(pictures *p, const calib_fit *fit, plot_series *series)
{
    double *x = column(p, fit->sizes), *y = column(p, fit->sizes), *low = column(p, fit->sizes), *high = column(p, fit->sizes);
    if (!x || !y || !low || !high)
        return false;
    for (size_t s = 0; s < fit->sizes; s++) {
        double *sorted = column(p, fit->size[s].count);
        if (!sorted)
            return false;
        memcpy(sorted, fit->size[s].ns, fit->size[s].count * sizeof *sorted);
        gsl_sort(sorted, 1, fit->size[s].count);
        calib_interval interval = calib_median(sorted, fit->size[s].count);
        x[s] = fit->size[s].bytes;
        y[s] = interval.median / 1e9;
        low[s] = interval.low / 1e9;
        high[s] = interval.high / 1e9;
    }
    *series = (plot_series){.label = "median, 95 %", .style = PLOT_RANGES, .x = x, .y = y, .low = low, .high = high, .count = fit->sizes};
    return true;
}

static bool band_columns(pictures *p, const calib_fit *fit, plot_series *series)
{
    double *x = column(p, fit->sizes), *low = column(p, fit->sizes), *high = column(p, fit->sizes);
    if (!x || !low || !high)
        return false;
    for (size_t s = 0; s < fit->sizes; s++) {
        x[s] = fit->size[s].bytes;
        low[s] = fit->band[s].low / 1e9;
        high[s] = fit->band[s].high / 1e9;
    }
    *series = (plot_series){.label = "95 % of resampled fits", .style = PLOT_BAND, .x = x, .low = low, .high = high, .count = fit->resampled ? fit->sizes : 0};
    return true;
}

static bool curve_columns(pictures *p, const calib_fit *fit, plot_series *series)
{
    double *x = column(p, PICTURE_GRID), *y = column(p, PICTURE_GRID), least = fit->size[0].bytes, most = fit->size[fit->sizes - 1].bytes;
    if (!x || !y)
        return false;
    for (size_t i = 0; i < PICTURE_GRID; i++) {
        x[i] = least * pow(most / least, (double)i / (PICTURE_GRID - 1));
        y[i] = curve_ns(&fit->curve, x[i]) / 1e9;
    }
    *series = (plot_series){.label = "fit", .style = PLOT_LINE, .x = x, .y = y, .count = PICTURE_GRID};
    return true;
}

/* "782 ns, then 8.8 GB/s up to 221 KiB and 7.4 GB/s beyond". */
static void curve_says(const calib_curve *curve, es_text *out)
{
    es_text_duration(out, curve->fixed[0]);
    for (size_t i = 0; i < curve->pieces; i++) {
        es_text_add(out, "%s %.3g GB/s", i ? i + 1 < curve->pieces ? "," : " and" : ", then", 1.0 / curve->slope[i]);
        if (i + 1 < curve->pieces && curve->family != CURVE_PAGES) {
            es_text_add(out, " up to ");
            es_text_bytes(out, curve->from[i + 1]);
        } else if (curve->pieces > 1) {
            es_text_add(out, "%s", curve->family != CURVE_PAGES ? " beyond" : i ? " of whole pages" : " of the rest");
        }
    }
}

static es_code picture_time(pictures *p, const calib_row *row, const calib_fit *fit, es_err *err)
{
    plot_series series[4];
    size_t knees = fit->curve.pieces - 1;
    char title[PICTURE_TITLE];
    if (!band_columns(p, fit, &series[0]) || !curve_columns(p, fit, &series[1]) || !sizes_columns(p, fit, &series[2]))
        return es_err_nomem(err, "a picture");
    series[3] = (plot_series){.label = fit->curve.family == CURVE_PAGES ? "page" : "knee", .style = PLOT_MARKS, .x = fit->curve.from + 1, .count = knees};
    es_text says = {0};
    curve_says(&fit->curve, &says);
    snprintf(title, sizeof title, "%.30s, %.60s: %.120s; half of the medians lie within %.2g %% of the fit", row->name, row->what, says.at ? says.at : "?", 100.0 * fit->error_median);
    es_text_free(&says);
    plot_figure figure = {.title = title, .x = {.label = "size", .unit = PLOT_BYTES, .log = true}, .y = {.label = "time", .unit = PLOT_SECONDS, .log = true},
        .series = series, .count = knees ? 4 : 3};
    return picture(p, row->name, "time", &figure, err);
}

/* ---- a row: residuals ---- */

static es_code picture_residuals(pictures *p, const calib_row *row, const calib_fit *fit, es_err *err)
{
    double *x = column(p, fit->sizes), *y = column(p, fit->sizes), *low = column(p, fit->sizes), *high = column(p, fit->sizes);
    char title[PICTURE_TITLE];
    size_t worst = 0;
    if (!x || !y || !low || !high)
        return es_err_nomem(err, "a picture");
    for (size_t s = 0; s < fit->sizes; s++) {
        const fit_size *size = &fit->size[s];
        double *sorted = column(p, size->count), curve = curve_ns(&fit->curve, size->bytes);
        if (!sorted)
            return es_err_nomem(err, "a picture");
        memcpy(sorted, size->ns, size->count * sizeof *sorted);
        gsl_sort(sorted, 1, size->count);
        x[s] = size->bytes;
        y[s] = size->median / curve - 1.0;
        low[s] = gsl_stats_quantile_from_sorted_data(sorted, 1, size->count, 0.25) / curve - 1.0;
        high[s] = gsl_stats_quantile_from_sorted_data(sorted, 1, size->count, 0.75) / curve - 1.0;
        worst = fabs(y[s]) > fabs(y[worst]) ? s : worst;
    }
    double ends[2] = {x[0], x[fit->sizes - 1]}, zero[2] = {0.0, 0.0};
    plot_series series[] = {
        {.label = "the fit", .style = PLOT_LINE, .x = ends, .y = zero, .count = 2},
        {.label = "median, quartiles", .style = PLOT_RANGES, .x = x, .y = y, .low = low, .high = high, .count = fit->sizes},
    };
    es_text where = {0};
    es_text_bytes(&where, x[worst]);
    snprintf(title, sizeof title, "%.30s: medians are off the fit by %.2g %% at most, at %.40s", row->name, 100.0 * fabs(y[worst]), where.at ? where.at : "?");
    es_text_free(&where);
    plot_figure figure = {.title = title, .x = {.label = "size", .unit = PLOT_BYTES, .log = true}, .y = {.label = "measured / fit - 1", .unit = PLOT_SHARE}, .series = series, .count = 2};
    return picture(p, row->name, "residuals", &figure, err);
}

static es_code picture_qq(pictures *p, const calib_row *row, const calib_fit *fit, es_err *err)
{
    double *off = column(p, fit->samples), *x = column(p, PICTURE_QUANTILES), *y = column(p, PICTURE_QUANTILES);
    size_t count = 0;
    char title[160];
    if (!off || !x || !y)
        return es_err_nomem(err, "a picture");
    for (size_t s = 0; s < fit->sizes; s++)
        for (size_t i = 0; i < fit->size[s].count; i++)
            off[count++] = log(fit->size[s].ns[i] / curve_ns(&fit->curve, fit->size[s].bytes));
    gsl_sort(off, 1, count);
    for (size_t q = 0; q < PICTURE_QUANTILES; q++) {
        double share = ((double)q + 0.5) / PICTURE_QUANTILES;
        x[q] = gsl_cdf_ugaussian_Pinv(share);
        y[q] = gsl_stats_quantile_from_sorted_data(off, 1, count, share);
    }
    double low = gsl_stats_quantile_from_sorted_data(off, 1, count, 0.25), high = gsl_stats_quantile_from_sorted_data(off, 1, count, 0.75);
    double slope = (high - low) / (2.0 * NORMAL_QUARTILE), ends[2] = {x[0], x[PICTURE_QUANTILES - 1]};
    double line[2] = {0.5 * (low + high) + slope * ends[0], 0.5 * (low + high) + slope * ends[1]};
    plot_series series[] = {
        {.label = "normal, of the same quartiles", .style = PLOT_LINE, .x = ends, .y = line, .count = 2},
        {.label = "measured", .style = PLOT_POINTS, .x = x, .y = y, .count = PICTURE_QUANTILES},
    };
    snprintf(title, sizeof title, "%.30s: 1 sample in 100 takes %.3gx what the fit says, or more", row->name,
        exp(gsl_stats_quantile_from_sorted_data(off, 1, count, 0.99)));
    plot_figure figure = {.title = title, .x = {.label = "normal quantile"}, .y = {.label = "ln(measured / fit)"}, .series = series, .count = 2};
    return picture(p, row->name, "qq", &figure, err);
}

/* ---- an expert ---- */

static bool expert_columns(pictures *p, const expert_curve *curve, plot_series *series)
{
    double *x = column(p, curve->sizes), *y = column(p, curve->sizes);
    char *label = es_arena_alloc(&p->arena, 32, 1);
    if (!x || !y || !label)
        return false;
    for (size_t s = 0; s < curve->sizes; s++) {
        x[s] = curve->bytes[s];
        y[s] = curve->ns[s] / 1e9;
    }
    snprintf(label, 32, "%.0f token%s", curve->tokens, curve->tokens == 1.0 ? "" : "s");
    *series = (plot_series){.label = label, .style = PLOT_BOTH, .x = x, .y = y, .count = curve->sizes};
    return true;
}

static es_code picture_expert(pictures *p, size_t row, es_err *err)
{
    plot_series series[PICTURE_TOKENS];
    char title[160];
    calib_expert *expert = ES_NEW(&p->arena, calib_expert);
    es_code code = expert ? calib_expert_fit(expert, &p->samples->row[row], &p->arena, err) : es_err_nomem(err, "a picture");
    if (code || expert->curves == 0)
        return code;
    size_t shown = expert->curves < PICTURE_TOKENS ? expert->curves : PICTURE_TOKENS;
    for (size_t i = 0; i < shown; i++)
        if (!expert_columns(p, &expert->curve[shown > 1 ? i * (expert->curves - 1) / (shown - 1) : 0], &series[i]))
            return es_err_nomem(err, "a picture");
    snprintf(title, sizeof title, "%.30s: %.60s, medians by its size and the tokens it serves", calib_rows[row].name, calib_rows[row].what);
    plot_figure figure = {.title = title, .x = {.label = "size", .unit = PLOT_BYTES, .log = true}, .y = {.label = "time", .unit = PLOT_SECONDS, .log = true},
        .series = series, .count = shown};
    return picture(p, calib_rows[row].name, "time", &figure, err);
}

/* ---- two at once ---- */

/* Eight copies take eight times as long, and what waits for another takes as long as that: neither is slowed. */
static bool question_interferes(const char *name)
{
    return !strstr(name, "_streams_") && !strstr(name, "_waiting");
}

static es_code picture_contention(pictures *p, es_err *err)
{
    const char *category[CALIB_QUESTIONS];
    double x[CALIB_QUESTIONS], y[CALIB_QUESTIONS], low[CALIB_QUESTIONS], high[CALIB_QUESTIONS];
    size_t count = 0, worst = 0;
    for (int q = 0; q < CALIB_QUESTIONS; q++) {
        contention_answer answer = contention_of(p->samples, (calib_question)q);
        if (!answer.asked || !question_interferes(calib_question_names[q]))
            continue;
        category[count] = calib_question_names[q];
        x[count] = (double)count;
        y[count] = answer.together.median / answer.alone.median;
        low[count] = answer.together.low / answer.alone.median;
        high[count] = answer.together.high / answer.alone.median;
        worst = y[count] > y[worst] ? count : worst;
        count++;
    }
    if (count == 0)
        return ES_OK;
    plot_series series[] = {{.label = "median, 95 %", .style = PLOT_BARS, .x = x, .y = y, .low = low, .high = high, .count = count}};
    char title[PICTURE_TITLE];
    snprintf(title, sizeof title, "Two at once: up to %.3gx as long as alone (%.40s); behind, across and first are a small copy's share of a large one's time", y[worst], category[worst]);
    plot_figure figure = {.title = title, .x = {.label = "question"},
        .y = {.label = "time beside another / alone", .unit = PLOT_SHARE}, .category = category, .categories = count, .series = series, .count = 1};
    return picture(p, "contention", "time", &figure, err);
}

/* ---- all of it ---- */

static es_code picture_row(pictures *p, size_t row, es_err *err)
{
    calib_fit *fit = ES_NEW(&p->arena, calib_fit);
    es_code code = fit ? ES_OK : es_err_nomem(err, "a picture");
    if (code == ES_OK)
        code = calib_fit_series(fit, &p->samples->row[row], &(fit_ask){.pages = calib_rows[row].op == CALIB_ALLOC, .count = 1, .resamples = p->ask->resamples, .seed = p->ask->seed}, &p->arena, err);
    if (code || !fit->fitted)
        return code;
    code = picture_time(p, &calib_rows[row], fit, err);
    if (code == ES_OK)
        code = picture_residuals(p, &calib_rows[row], fit, err);
    return code ? code : picture_qq(p, &calib_rows[row], fit, err);
}

static bool row_is_curve(const calib_row *row)
{
    return row->op == CALIB_COPY || row->op == CALIB_ALLOC || row->op == CALIB_READ || row->op == CALIB_WRITE || row->op == CALIB_SEEN || row->op == CALIB_MOVE || row->op == CALIB_FETCH;
}

es_code calib_pictures(const calib_samples *samples, const pictures_ask *ask, es_text *told, es_err *err)
{
    pictures p = {.samples = samples, .ask = ask};
    const es_json *device = es_json_at(samples->environment, "device"), *date = es_json_at(samples->environment, "date");
    es_code code = ES_OK;
    snprintf(p.note, sizeof p.note, "%.100s, %.60s", cJSON_IsString(device) ? device->valuestring : "a machine", cJSON_IsString(date) ? date->valuestring : "date unknown");
    for (size_t row = 0; row < CALIB_ROWS && code == ES_OK; row++) {
        if (samples->row[row].count == 0)
            continue;
        if (row_is_curve(&calib_rows[row]))
            code = picture_row(&p, row, err);
        else if (calib_rows[row].op == CALIB_EXPERT && calib_rows[row].part != CALIB_FADED)
            code = picture_expert(&p, row, err);
    }
    if (code == ES_OK)
        code = picture_contention(&p, err);
    if (code == ES_OK && p.written && !p.drawn)
        es_text_add(told, "%s: gnuplot is not on the PATH, so these are data and scripts; where it is, `cd %s && gnuplot *.gp` draws them\n", ask->folder, ask->folder);
    es_arena_free(&p.arena);
    return code;
}
