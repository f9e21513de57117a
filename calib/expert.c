/* Expert: see expert.h. */
#include "calib/expert.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>

static double expert_line(const expert_curve *curve, size_t a, size_t b, double bytes)
{
    double share = (bytes - curve->bytes[a]) / (curve->bytes[b] - curve->bytes[a]);
    return curve->ns[a] + share * (curve->ns[b] - curve->ns[a]);
}

double calib_expert_ns(const expert_curve *curve, double bytes)
{
    size_t high = 1;
    if (curve->sizes == 1)
        return curve->ns[0] * bytes / curve->bytes[0];
    while (high + 1 < curve->sizes && curve->bytes[high] < bytes)
        high++;
    return expert_line(curve, high - 1, high, bytes);
}

/* The numbers of tokens that were measured, ascending. */
static size_t expert_tokens(const calib_series *series, uint32_t tokens[EXPERT_TOKENS])
{
    size_t count = 0;
    for (size_t i = 0; i < series->count; i++) {
        uint32_t value = series->at[i].count;
        size_t at = 0;
        while (at < count && tokens[at] < value)
            at++;
        if (value == 0 || count == EXPERT_TOKENS || (at < count && tokens[at] == value))
            continue;
        for (size_t k = count++; k > at; k--)
            tokens[k] = tokens[k - 1];
        tokens[at] = value;
    }
    return count;
}

static es_code expert_medians(expert_curve *curve, const calib_series *series, uint32_t tokens, es_arena *arena, es_err *err)
{
    calib_fit *sizes = ES_NEW(arena, calib_fit);
    es_code code = sizes ? calib_fit_medians(sizes, series, &(fit_ask){.count = tokens}, arena, err) : es_err_nomem(err, "the medians of an expert");
    *curve = (expert_curve){.tokens = (double)tokens};
    if (code)
        return code;
    for (; curve->sizes < sizes->sizes; curve->sizes++) {
        curve->bytes[curve->sizes] = sizes->size[curve->sizes].bytes;
        curve->ns[curve->sizes] = sizes->size[curve->sizes].median;
    }
    return ES_OK;
}

static void expert_holdout(calib_expert *expert)
{
    double off[EXPERT_TOKENS * FIT_SIZES];
    size_t offs = 0;
    for (size_t i = 0; i < expert->curves; i++) {
        const expert_curve *curve = &expert->curve[i];
        for (size_t s = 1; s + 1 < curve->sizes; s++)
            off[offs++] = fabs(expert_line(curve, s - 1, s + 1, curve->bytes[s]) / curve->ns[s] - 1.0);
    }
    gsl_sort(off, 1, offs);
    expert->error_holdout = offs ? gsl_stats_median_from_sorted_data(off, 1, offs) : NAN;
}

es_code calib_expert_fit(calib_expert *expert, const calib_series *series, es_arena *arena, es_err *err)
{
    uint32_t tokens[EXPERT_TOKENS];
    size_t count = expert_tokens(series, tokens);
    es_code code = ES_OK;
    *expert = (calib_expert){.least_bytes = INFINITY};
    for (size_t i = 0; i < count && code == ES_OK; i++) {
        expert_curve *curve = &expert->curve[expert->curves];
        code = expert_medians(curve, series, tokens[i], arena, err);
        if (code || curve->sizes == 0)
            continue;
        expert->least_bytes = fmin(expert->least_bytes, curve->bytes[0]);
        expert->most_bytes = fmax(expert->most_bytes, curve->bytes[curve->sizes - 1]);
        expert->curves++;
    }
    expert_holdout(expert);
    return code;
}
