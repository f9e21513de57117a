/* Check: what was simulated against what was measured, step by step and operation by operation. See figures_inside.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plots/figures_inside.h"

enum { CHECK_CANDIDATES = 8, CHECK_ENDS = 2, CHECK_OPERATIONS = 16, CHECK_SERIES = 2 + CHECK_CANDIDATES + 1 };
#define CHECK_BAND 0.1

typedef struct check_points {
    double *measured, *simulated;       /* [count] s */
    size_t count;
} check_points;

static es_code check_steps(figures *all, const es_json *candidate, check_points *out, es_err *err)
{
    const es_json *simulated = es_json_at(candidate, "steps.simulated_s"), *measured = es_json_at(candidate, "steps.measured_s");
    const int count = cJSON_GetArraySize(simulated);
    *out = (check_points){figures_column(all, (size_t)count), figures_column(all, (size_t)count), 0};
    if (!out->measured || !out->simulated)
        return es_err_nomem(err, "a figure");
    const es_json *a = simulated ? simulated->child : NULL, *b = measured ? measured->child : NULL;
    for (; a && b; a = a->next, b = b->next)
        if (a->valuedouble > 0.0 && b->valuedouble > 0.0) {
            out->simulated[out->count] = a->valuedouble;
            out->measured[out->count++] = b->valuedouble;
        }
    return ES_OK;
}

/* Mean time of each sort of operation of all candidates, and of a mode's steps by class. */
static es_code check_means(figures *all, const es_json *mode, const char *group, check_points *out, es_err *err)
{
    const es_json *candidate, *one;
    *out = (check_points){figures_column(all, CHECK_CANDIDATES * CHECK_OPERATIONS), figures_column(all, CHECK_CANDIDATES * CHECK_OPERATIONS), 0};
    if (!out->measured || !out->simulated)
        return es_err_nomem(err, "a figure");
    cJSON_ArrayForEach(candidate, cJSON_GetObjectItemCaseSensitive(mode, "candidates"))
        cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(candidate, group)) {
            const double count = figures_number(one, "count"), measured = figures_number(one, "measured_s"), simulated = figures_number(one, "simulated_s");
            if (out->count == CHECK_CANDIDATES * CHECK_OPERATIONS || !(count > 0.0 && measured > 0.0 && simulated > 0.0))
                continue;
            out->measured[out->count] = measured / count;
            out->simulated[out->count++] = simulated / count;
        }
    return ES_OK;
}

static void check_span(const check_points *p, double *least, double *most)
{
    for (size_t i = 0; i < p->count; i++) {
        *least = fmin(*least, fmin(p->measured[i], p->simulated[i]));
        *most = fmax(*most, fmax(p->measured[i], p->simulated[i]));
    }
}

static size_t check_within(const check_points *p)
{
    size_t within = 0;
    for (size_t i = 0; i < p->count; i++)
        within += fabs(p->simulated[i] / p->measured[i] - 1.0) <= CHECK_BAND;
    return within;
}

/* Of the candidates' totals the one farthest from what was measured. */
static const char *check_title(figures *all, const es_json *mode, size_t within, size_t steps)
{
    const es_json *candidate, *worst = NULL;
    es_text title = {0};
    cJSON_ArrayForEach(candidate, cJSON_GetObjectItemCaseSensitive(mode, "candidates"))
        if (!worst || fabs(figures_number(candidate, "bias")) > fabs(figures_number(worst, "bias")))
            worst = candidate;
    es_text_add(&title, "%s: ", figures_word(mode, "mode"));
    figures_begin(&title);
    if (steps > 0) {
        figures_say_share(&title, (double)within / (double)steps);
        es_text_add(&title, " of steps are simulated to within 10 %%; ");
    }
    es_text_add(&title, "the total of %s is off by ", figures_word(worst, "policy"));
    figures_say_share(&title, figures_number(worst, "bias"));
    return figures_keep(all, &title);
}

/* The same points as what the simulation differs by. */
static es_code check_offs(figures *all, const plot_series *points, size_t count, plot_series *out, es_err *err)
{
    for (size_t s = 0; s < count; s++) {
        double *off = figures_column(all, points[s].count);
        if (!off)
            return es_err_nomem(err, "a figure");
        for (size_t i = 0; i < points[s].count; i++)
            off[i] = points[s].y[i] / points[s].x[i] - 1.0;
        out[s] = points[s];
        out[s].y = off;
    }
    return ES_OK;
}

/* The diagonal and the band around it. */
static es_code check_band(figures *all, double least, double most, bool off, plot_series series[2], es_err *err)
{
    double *x = figures_column(all, CHECK_ENDS), *y = figures_column(all, CHECK_ENDS), *low = figures_column(all, CHECK_ENDS), *high = figures_column(all, CHECK_ENDS);
    if (!x || !y || !low || !high)
        return es_err_nomem(err, "a figure");
    x[0] = least;
    x[1] = most;
    for (size_t i = 0; i < CHECK_ENDS; i++) {
        y[i] = off ? 0.0 : x[i];
        low[i] = off ? -CHECK_BAND : x[i] * (1.0 - CHECK_BAND);
        high[i] = off ? CHECK_BAND : x[i] * (1.0 + CHECK_BAND);
    }
    series[0] = (plot_series){.style = PLOT_BAND, .x = x, .low = low, .high = high, .count = CHECK_ENDS};
    series[1] = (plot_series){.label = "alike, within 10 %", .style = PLOT_LINE, .x = x, .y = y, .count = CHECK_ENDS};
    return ES_OK;
}

/* Both figures of a mode: times against times, and by how much they differ. */
static es_code check_draw(figures *all, const es_json *result, const es_json *mode, const char *title, plot_series *series, size_t count, double least, double most, es_err *err)
{
    plot_series offs[CHECK_SERIES];
    es_text note = {0};
    const char *name = figures_word(mode, "mode");
    es_text_add(&note, "%s; %.0f performances of each policy; a step is the median of them", name, figures_number(result, "repeat"));
    const char *kept = figures_keep(all, &note);
    const plot_axis measured = {.label = "measured", .unit = PLOT_SECONDS, .log = true, .low = least, .high = most};
    const plot_figure times = {.title = title, .note = kept, .x = measured, .y = {.label = "simulated", .unit = PLOT_SECONDS, .log = true, .low = least, .high = most},
        .series = series, .count = count};
    es_code code = check_band(all, least, most, false, series, err);
    if (code == ES_OK)
        code = figures_add(all, "agreement", &times, err);
    if (code == ES_OK)
        code = check_band(all, least, most, true, offs, err);
    if (code == ES_OK)
        code = check_offs(all, series + 2, count - 2, offs + 2, err);
    const plot_figure differences = {.title = title, .note = kept, .x = measured, .y = {.label = "simulated / measured - 1", .unit = PLOT_SHARE}, .series = offs, .count = count};
    return code ? code : figures_add(all, "agreement", &differences, err);
}

static es_code check_mode(figures *all, const es_json *result, const es_json *mode, es_err *err)
{
    plot_series series[CHECK_SERIES];
    size_t count = 2, within = 0, steps = 0;
    double least = INFINITY, most = 0.0;
    const es_json *candidate;
    check_points points;
    es_code code = ES_OK;
    cJSON_ArrayForEach(candidate, cJSON_GetObjectItemCaseSensitive(mode, "candidates")) {
        if (code == ES_OK)
            code = check_steps(all, candidate, &points, err);
        if (code || points.count == 0 || count == 2 + CHECK_CANDIDATES)
            continue;
        es_text label = {0};
        es_text_add(&label, "steps of %s", figures_word(candidate, "policy"));
        series[count++] = (plot_series){.label = figures_keep(all, &label), .style = PLOT_POINTS, .x = points.measured, .y = points.simulated, .count = points.count};
        within += check_within(&points);
        steps += points.count;
        check_span(&points, &least, &most);
    }
    if (code == ES_OK)
        code = check_means(all, mode, "operations", &points, err);
    if (code)
        return code;
    check_span(&points, &least, &most);
    if (points.count > 0)
        series[count++] = (plot_series){.label = "operations, mean of each sort", .style = PLOT_POINTS, .large = true, .x = points.measured, .y = points.simulated, .count = points.count};
    if (count == 2)
        return ES_OK;
    return check_draw(all, result, mode, check_title(all, mode, within, steps), series, count, least / 1.2, most * 1.2, err);
}

es_code figures_agreement(figures *all, es_err *err)
{
    const figures_source *source = figures_of(all, FORM_VALIDATION);
    const es_json *mode;
    es_code code = ES_OK;
    if (!source)
        return ES_OK;
    cJSON_ArrayForEach(mode, cJSON_GetObjectItemCaseSensitive(source->json, "modes"))
        if (code == ES_OK)
            code = check_mode(all, source->json, mode, err);
    return code;
}
