/* Expert: see expert.h. */
#include "calib/expert.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>

#include "calib/solve.h"

enum { EXPERT_PASSES = 40 };

typedef struct expert_errors {
    double off[EXPERT_POINTS * FIT_SIZES], held[EXPERT_POINTS];
    size_t offs, helds;
} expert_errors;

double calib_expert_ns(const expert_point *point, double bytes)
{
    return point->fixed_ns + bytes * point->ns_per_byte;
}

/* The numbers of tokens that were measured, ascending. */
static size_t expert_tokens(const calib_series *series, uint32_t tokens[EXPERT_POINTS])
{
    size_t count = 0;
    for (size_t i = 0; i < series->count; i++) {
        uint32_t value = series->at[i].count;
        size_t at = 0;
        while (at < count && tokens[at] < value)
            at++;
        if (value == 0 || count == EXPERT_POINTS || (at < count && tokens[at] == value))
            continue;
        for (size_t k = count++; k > at; k--)
            tokens[k] = tokens[k - 1];
        tokens[at] = value;
    }
    return count;
}

/* The line through all sizes but `without`. */
static bool expert_line(const calib_fit *sizes, size_t without, expert_point *point)
{
    solve_rows rows = {.terms = 2};
    solve_answer answer;
    for (size_t s = 0; s < sizes->sizes; s++)
        if (s != without) {
            rows.ns[rows.count] = sizes->size[s].median;
            rows.term[rows.count][0] = sizes->size[s].bytes;
            rows.term[rows.count++][1] = 1.0;
        }
    rows.terms = rows.count > 1 ? 2 : 1;
    if (!solve(&rows, EXPERT_PASSES, &answer))
        return false;
    point->ns_per_byte = answer.theta[0];
    point->fixed_ns = rows.terms > 1 ? answer.theta[1] : 0.0;
    return true;
}

static void expert_off(const calib_fit *sizes, const expert_point *point, expert_errors *errors)
{
    expert_point without;
    size_t middle = sizes->sizes / 2;
    for (size_t s = 0; s < sizes->sizes; s++)
        errors->off[errors->offs++] = fabs(calib_expert_ns(point, sizes->size[s].bytes) / sizes->size[s].median - 1.0);
    if (sizes->sizes >= 3 && expert_line(sizes, middle, &without))
        errors->held[errors->helds++] = fabs(calib_expert_ns(&without, sizes->size[middle].bytes) / sizes->size[middle].median - 1.0);
}

static void expert_errors_take(calib_expert *expert, expert_errors *errors)
{
    gsl_sort(errors->off, 1, errors->offs);
    gsl_sort(errors->held, 1, errors->helds);
    expert->error_median = gsl_stats_median_from_sorted_data(errors->off, 1, errors->offs);
    expert->error_p95 = gsl_stats_quantile_from_sorted_data(errors->off, 1, errors->offs, 0.95);
    expert->error_holdout = errors->helds ? gsl_stats_median_from_sorted_data(errors->held, 1, errors->helds) : NAN;
}

es_code calib_expert_fit(calib_expert *expert, const calib_series *series, es_arena *arena, es_err *err)
{
    uint32_t tokens[EXPERT_POINTS];
    size_t count = expert_tokens(series, tokens);
    calib_fit *sizes = ES_NEW(arena, calib_fit);
    expert_errors *errors = ES_NEW(arena, expert_errors);
    *expert = (calib_expert){.error_holdout = NAN};
    if (!sizes || !errors)
        return es_err_nomem(err, "the fit of an expert");
    for (size_t i = 0; i < count; i++) {
        expert_point point = {.tokens = (double)tokens[i]};
        es_code code = calib_fit_medians(sizes, series, &(fit_ask){.count = tokens[i]}, arena, err);
        if (code)
            return code;
        if (sizes->sizes == 0 || !expert_line(sizes, FIT_SIZES, &point))
            continue;
        expert->point[expert->points++] = point;
        expert->samples += sizes->samples;
        expert->least_bytes = sizes->size[0].bytes;
        expert->most_bytes = sizes->size[sizes->sizes - 1].bytes;
        expert_off(sizes, &point, errors);
    }
    if (expert->points)
        expert_errors_take(expert, errors);
    return ES_OK;
}
