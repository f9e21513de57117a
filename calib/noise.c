/* Noise: see noise.h. */
#include "calib/noise.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>

const double noise_class_bytes[NOISE_CLASSES] = {65536.0, 4194304.0, INFINITY};

#define FENCE 3.0

static size_t noise_class(double bytes)
{
    size_t class = 0;
    while (bytes >= noise_class_bytes[class])
        class++;
    return class;
}

/* The logarithm of ns / median above which a sample of each class is a stall. */
static void noise_fences(const noise_sample *sample, size_t count, double *value, double fence[NOISE_CLASSES])
{
    for (size_t class = 0; class < NOISE_CLASSES; class++) {
        size_t n = 0;
        for (size_t i = 0; i < count; i++)
            if (noise_class(sample[i].bytes) == class)
                value[n++] = log(sample[i].ns / sample[i].median);
        fence[class] = INFINITY;
        if (n == 0)
            continue;
        gsl_sort(value, 1, n);
        double low = gsl_stats_quantile_from_sorted_data(value, 1, n, 0.25), high = gsl_stats_quantile_from_sorted_data(value, 1, n, 0.75);
        fence[class] = high + FENCE * (high - low);
    }
}

static void noise_quantiles(double *value, size_t count, double out[NOISE_QUANTILES])
{
    gsl_sort(value, 1, count);
    for (size_t q = 0; q < NOISE_QUANTILES; q++)
        out[q] = gsl_stats_quantile_from_sorted_data(value, 1, count, (double)q / (NOISE_QUANTILES - 1));
    for (size_t q = 1; q < NOISE_QUANTILES; q++)    /* interpolating between equal values may round down */
        out[q] = fmax(out[q], out[q - 1]);
}

/* It also adds as much as the operation takes by its median, or a tenth of a millisecond: without noise the fence is at the
 * median, and the clock's last digit would be a stall. */
static bool noise_stalls(const noise_sample *s, const double *fence)
{
    return log(s->ns / s->median) > fence[noise_class(s->bytes)] && s->ns - s->median > fmin(s->median, 1e5);
}

es_code noise_fit(calib_noise *noise, const noise_sample *sample, size_t count, es_arena *arena, es_err *err)
{
    double *value = ES_NEW_ARRAY(arena, count, double), fence[NOISE_CLASSES], seconds = 0.0;
    *noise = (calib_noise){0};
    if (!value)
        return es_err_nomem(err, "the noise of a fit");
    noise_fences(sample, count, value, fence);
    for (size_t class = 0; class < NOISE_CLASSES; class++) {
        for (size_t i = 0; i < count; i++)
            if (noise_class(sample[i].bytes) == class && !noise_stalls(&sample[i], fence))
                value[noise->count[class]++] = log(sample[i].ns / sample[i].model);
        if (noise->count[class])
            noise_quantiles(value, noise->count[class], noise->log_quantile[class]);
    }
    for (size_t i = 0; i < count; i++) {
        seconds += sample[i].model / 1e9;
        if (noise_stalls(&sample[i], fence))
            value[noise->stalls++] = sample[i].ns - sample[i].median;
    }
    if (noise->stalls) {
        noise_quantiles(value, noise->stalls, noise->stall_ns);
        noise->stall_rate = (double)noise->stalls / seconds;
    }
    return ES_OK;
}
