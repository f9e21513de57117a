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

typedef struct expert_noise {   /* what lies around the medians */
    noise_sample *sample;       /* as many as the series has */
    size_t count, points;
    double ratios;              /* sum over points of mean over median */
} expert_noise;

static es_code expert_medians(expert_curve *curve, const calib_series *series, uint32_t tokens, expert_noise *around, es_arena *arena, es_err *err)
{
    calib_fit *sizes = ES_NEW(arena, calib_fit);
    es_code code = sizes ? calib_fit_medians(sizes, series, &(fit_ask){.count = tokens}, arena, err) : es_err_nomem(err, "the medians of an expert");
    *curve = (expert_curve){.tokens = (double)tokens};
    if (code)
        return code;
    for (; curve->sizes < sizes->sizes; curve->sizes++) {
        const fit_size *size = &sizes->size[curve->sizes];
        curve->bytes[curve->sizes] = size->bytes;
        curve->ns[curve->sizes] = size->median;
        for (size_t i = 0; i < size->count; i++)
            around->sample[around->count++] = (noise_sample){size->bytes, size->ns[i], size->median, size->median};
    }
    around->points += sizes->sizes;
    around->ratios += sizes->mean_over_median * (double)sizes->sizes;
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
    expert_noise around = {.sample = ES_NEW_ARRAY(arena, series->count, noise_sample)};
    es_code code = around.sample ? ES_OK : es_err_nomem(err, "the noise of an expert");
    *expert = (calib_expert){.least_bytes = INFINITY, .error_holdout = NAN};
    for (size_t i = 0; i < count && code == ES_OK; i++) {
        expert_curve *curve = &expert->curve[expert->curves];
        code = expert_medians(curve, series, tokens[i], &around, arena, err);
        if (code || curve->sizes == 0)
            continue;
        expert->least_bytes = fmin(expert->least_bytes, curve->bytes[0]);
        expert->most_bytes = fmax(expert->most_bytes, curve->bytes[curve->sizes - 1]);
        expert->curves++;
    }
    if (code || around.count == 0)
        return code;
    expert_holdout(expert);
    expert->mean_over_median = around.ratios / (double)around.points;
    return noise_fit(&expert->noise, around.sample, around.count, arena, err);
}
