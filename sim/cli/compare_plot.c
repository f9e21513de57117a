/* Pictures of a comparison: see compare_plot.h. */
#include "sim/cli/compare_plot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plots/plot.h"

enum { PLOT_POINTS_MOST = 200 };        /* of a curve; a point is the mean of as many rows as it takes */

static double plot_number(const es_json *object, const char *key)
{
    const es_json *value = cJSON_GetObjectItemCaseSensitive(object, key);
    return cJSON_IsNumber(value) ? value->valuedouble : (double)NAN;
}

static const char *plot_word(const es_json *object, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, key));
    return text ? text : "";
}

static plot_unit plot_unit_of(const es_json *compared)
{
    const char *unit = plot_word(compared, "metric_unit");
    return strcmp(unit, "s") == 0 ? PLOT_SECONDS : strcmp(unit, "share") == 0 ? PLOT_SHARE : strcmp(unit, "B") == 0 ? PLOT_BYTES : PLOT_NUMBER;
}

/* ---- differences ---- */

typedef struct plot_bars {
    const char *name[PLOT_SERIES];
    double x[PLOT_SERIES], y[PLOT_SERIES], low[PLOT_SERIES], high[PLOT_SERIES];
    size_t count, best;
} plot_bars;

static void bars_candidates(plot_bars *bars, const es_json *compared, const es_json *group)
{
    const bool higher = strcmp(plot_word(compared, "better"), "higher") == 0;
    const es_json *one;
    double most = 0.0;
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(group, "candidates")) {
        const double value = plot_number(one, "cold");
        if (bars->count == PLOT_SERIES)
            break;
        if (bars->count == 0 || (higher ? value > most : value < most)) {
            most = value;
            bars->best = bars->count;
        }
        bars->name[bars->count] = plot_word(one, "name");
        bars->x[bars->count] = (double)bars->count;
        bars->count++;
    }
}

/* A pair has the difference a - b; a bar has its candidate less the best. */
static void bars_pairs(plot_bars *bars, const es_json *group)
{
    const char *best = bars->name[bars->best];
    const es_json *pair;
    cJSON_ArrayForEach(pair, cJSON_GetObjectItemCaseSensitive(group, "pairs")) {
        const bool turned = strcmp(plot_word(pair, "a"), best) == 0;
        const es_json *cold = cJSON_GetObjectItemCaseSensitive(pair, "cold");
        const char *other = plot_word(pair, turned ? "b" : "a");
        if (!turned && strcmp(plot_word(pair, "b"), best) != 0)
            continue;
        for (size_t i = 0; i < bars->count; i++) {
            if (strcmp(bars->name[i], other) != 0)
                continue;
            const double y = plot_number(cold, "difference"), low = plot_number(cold, "low"), high = plot_number(cold, "high");
            bars->y[i] = turned ? -y : y;
            bars->low[i] = isnan(low) ? bars->y[i] : turned ? -high : low;
            bars->high[i] = isnan(high) ? bars->y[i] : turned ? -low : high;
        }
    }
}

static es_code plot_differences(const es_json *compared, const es_json *group, size_t number, const char *dir, bool *drawn, es_err *err)
{
    plot_bars bars = {0};
    char name[32], note[256];
    const char *where = plot_word(group, "where");
    bars_candidates(&bars, compared, group);
    bars_pairs(&bars, group);
    snprintf(name, sizeof name, "compare-%zu", number);
    snprintf(note, sizeof note, "less than %.100s; %.3g %% intervals of paired %ss", bars.name[bars.best], 100.0 * plot_number(compared, "confidence"), plot_word(compared, "unit"));
    const plot_series series = {.style = PLOT_BARS, .x = bars.x, .y = bars.y, .low = bars.low, .high = bars.high, .count = bars.count};
    const plot_figure figure = {.name = name, .title = *where ? where : "Differences from the best", .note = note, .x = {.label = "candidate"},
        .y = {.label = plot_word(compared, "metric"), .unit = plot_unit_of(compared)}, .category = bars.name, .categories = bars.count, .series = &series, .count = 1};
    es_code code = plot_write(&figure, dir, err);
    return code ? code : plot_draw(name, dir, drawn, err);
}

/* ---- warming up ---- */

/* Means over rows, PLOT_POINTS_MOST at most. */
static size_t warm_points(const es_compare_curve *curve, double *x, double *y)
{
    const size_t rows = (curve->count + PLOT_POINTS_MOST - 1) / PLOT_POINTS_MOST;
    size_t points = 0;
    for (size_t i = 0; rows && i + rows <= curve->count; i += rows) {
        double above = 0.0, below = 0.0;
        for (size_t k = i; k < i + rows; k++) {
            above += curve->above[k];
            below += curve->below[k];
        }
        x[points] = (double)i + ((double)rows - 1.0) / 2.0;
        y[points++] = below > 0.0 ? above / below : (double)NAN;
    }
    return points;
}

static es_code plot_warm_up(const es_compare *compare, const es_json *compared, const char *dir, bool *drawn, es_err *err)
{
    es_compare_curve curve;
    plot_series series[PLOT_SERIES] = {{0}};
    double *at = calloc((size_t)PLOT_SERIES * 2 * PLOT_POINTS_MOST, sizeof *at), cut[PLOT_SERIES];
    size_t count = 0, cuts = 0, most = 0;
    if (!at)
        return es_err_nomem(err, "a figure");
    for (; count + 1 < PLOT_SERIES && es_compare_rows(compare, count, &curve); count++) {
        double *x = at + 2 * count * PLOT_POINTS_MOST, *y = x + PLOT_POINTS_MOST;
        series[count] = (plot_series){.label = curve.name, .style = PLOT_LINE, .x = x, .y = y, .count = warm_points(&curve, x, y)};
        most = series[count].count > most ? series[count].count : most;
        if (curve.settled)
            cut[cuts++] = (double)curve.cut;
    }
    series[count++] = (plot_series){.label = "settled (MSER-5)", .style = PLOT_MARKS, .x = cut, .y = cut, .count = cuts};
    const plot_figure figure = {.name = "warm-up", .title = "From cold to warm", .x = {.label = "decode tokens"},
        .y = {.label = plot_word(compared, "metric"), .unit = plot_unit_of(compared)}, .series = series, .count = count};
    es_code code = most > 1 ? plot_write(&figure, dir, err) : ES_OK;
    if (code == ES_OK && most > 1)
        code = plot_draw("warm-up", dir, drawn, err);
    free(at);
    return code;
}

es_code compare_plot(const es_compare *compare, const es_json *compared, const char *dir, bool *drawn, es_err *err)
{
    size_t number = 1;
    es_code code = ES_OK;
    const es_json *group;
    *drawn = true;
    cJSON_ArrayForEach(group, cJSON_GetObjectItemCaseSensitive(compared, "groups"))
        if (code == ES_OK && number <= COMPARE_FIGURES)
            code = plot_differences(compared, group, number++, dir, drawn, err);
    return code ? code : plot_warm_up(compare, compared, dir, drawn, err);
}
