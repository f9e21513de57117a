/* Fit: see fit.h. */
#include "calib/fit.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "calib/rounds.h"

enum { FIT_HOLD = 4, FIT_HOLD_LEAST = 8 };      /* every fourth size is held out; with fewer there is nothing to hold */
#define FIT_TICK 0.5            /* ns: half of the last digit of a time */

/* ---- samples by size ---- */

static bool fit_takes(const calib_sample *sample, const fit_ask *ask)
{
    return (ask->count == 0 || sample->count == ask->count) && sample->ns >= 0 && sample->bytes > 0;
}

static fit_size *fit_size_of(calib_fit *fit, double bytes)
{
    size_t at = 0;
    while (at < fit->sizes && fit->size[at].bytes < bytes)
        at++;
    if (at < fit->sizes && fit->size[at].bytes == bytes)
        return &fit->size[at];
    if (fit->sizes == FIT_SIZES)
        return NULL;
    memmove(&fit->size[at + 1], &fit->size[at], (fit->sizes++ - at) * sizeof *fit->size);
    fit->size[at] = (fit_size){.bytes = bytes};
    return &fit->size[at];
}

static es_code fit_group(calib_fit *fit, const calib_series *series, const fit_ask *ask, es_arena *arena, es_err *err)
{
    for (size_t i = 0; i < series->count; i++) {
        fit_size *size = fit_takes(&series->at[i], ask) ? fit_size_of(fit, (double)series->at[i].bytes) : NULL;
        if (size)
            size->count++;
    }
    for (size_t s = 0; s < fit->sizes; s++) {
        fit->size[s].ns = ES_NEW_ARRAY(arena, fit->size[s].count, double);
        fit->size[s].round = ES_NEW_ARRAY(arena, fit->size[s].count, uint32_t);
        if (!fit->size[s].ns || !fit->size[s].round)
            return es_err_nomem(err, "the samples of a fit");
        fit->size[s].count = 0;
    }
    for (size_t i = 0; i < series->count; i++) {
        fit_size *size = fit_takes(&series->at[i], ask) ? fit_size_of(fit, (double)series->at[i].bytes) : NULL;
        if (!size)
            continue;
        size->round[size->count] = series->at[i].round;
        size->ns[size->count++] = fmax((double)series->at[i].ns, FIT_TICK);
    }
    return ES_OK;
}

static es_code fit_medians(calib_fit *fit, es_arena *arena, es_err *err)
{
    for (size_t s = 0; s < fit->sizes; s++) {
        fit_size *size = &fit->size[s];
        double *sorted = ES_NEW_ARRAY(arena, size->count, double);
        if (!sorted)
            return es_err_nomem(err, "the samples of a fit");
        memcpy(sorted, size->ns, size->count * sizeof *sorted);
        gsl_sort(sorted, 1, size->count);
        size->median = gsl_stats_median_from_sorted_data(sorted, 1, size->count);
    }
    return ES_OK;
}

/* What the clock does not tell from nothing has no logarithm: it is counted, and not fitted. */
static void fit_instants(calib_fit *fit)
{
    size_t kept = 0;
    for (size_t s = 0; s < fit->sizes; s++) {
        bool told = fit->size[s].median >= 1.0;
        fit->instant += !told;
        *(told ? &fit->samples : &fit->instant_samples) += fit->size[s].count;
        if (told)
            fit->size[kept++] = fit->size[s];
    }
    fit->sizes = kept;
    for (size_t s = 0; s < kept; s++)
        fit->mean_over_median += gsl_stats_mean(fit->size[s].ns, 1, fit->size[s].count) / fit->size[s].median / (double)kept;
}

static size_t fit_points(const calib_fit *fit, curve_point *point)
{
    for (size_t s = 0; s < fit->sizes; s++)
        point[s] = (curve_point){fit->size[s].bytes, fit->size[s].median};
    return fit->sizes;
}

/* ---- how wrong ---- */

static double fit_off(const calib_curve *curve, const curve_point *point)
{
    return fabs(curve_ns(curve, point->bytes) / point->ns - 1.0);
}

static void fit_errors(calib_fit *fit)
{
    curve_point point[FIT_SIZES];
    double off[FIT_SIZES];
    size_t count = fit_points(fit, point);
    for (size_t i = 0; i < count; i++)
        off[i] = fit_off(&fit->curve, &point[i]);
    gsl_sort(off, 1, count);
    fit->error_median = gsl_stats_median_from_sorted_data(off, 1, count);
    fit->error_p95 = gsl_stats_quantile_from_sorted_data(off, 1, count, 0.95);
}

/* The median error of the sizes held out, none of them at an end: a line says little of what lies beyond. */
static double fit_holdout(const calib_fit *fit, unsigned families)
{
    curve_point kept[FIT_SIZES], held[FIT_SIZES];
    double off[FIT_SIZES];
    size_t keeps = 0, holds = 0;
    for (size_t s = 0; s < fit->sizes; s++) {
        curve_point point = {fit->size[s].bytes, fit->size[s].median};
        if (s % FIT_HOLD == FIT_HOLD / 2 && s + 1 < fit->sizes)
            held[holds++] = point;
        else
            kept[keeps++] = point;
    }
    calib_curve curve;
    if (fit->sizes < FIT_HOLD_LEAST || !curve_fit(kept, keeps, families, &curve))
        return NAN;
    for (size_t i = 0; i < holds; i++)
        off[i] = fit_off(&curve, &held[i]);
    gsl_sort(off, 1, holds);
    return gsl_stats_median_from_sorted_data(off, 1, holds);
}

/* ---- how sure ---- */

static fit_interval interval_of(double *value, size_t count)
{
    gsl_sort(value, 1, count);
    return (fit_interval){gsl_stats_quantile_from_sorted_data(value, 1, count, 0.025), gsl_stats_quantile_from_sorted_data(value, 1, count, 0.975)};
}

/* What of a size one round says of the next, over all sizes. A stall counts no more than a factor of e: it is alone. */
static double fit_lag1(const calib_fit *fit)
{
    double along = 0.0, all = 0.0;
    for (size_t s = 0; s < fit->sizes; s++) {
        const fit_size *size = &fit->size[s];
        double before = 0.0;
        for (size_t i = 0; i < size->count; i++) {
            double off = fmax(-1.0, fmin(1.0, log(size->ns[i] / size->median)));
            along += i > 0 && size->round[i] == size->round[i - 1] + 1 ? off * before : 0.0;
            all += off * off;
            before = off;
        }
    }
    return all > 0.0 ? along / all : 0.0;
}

typedef struct fit_draws {      /* what resampling needs */
    es_stream stream;
    uint32_t *times;            /* [rounds] */
    size_t rounds;
    double *scratch;            /* [rounds] */
} fit_draws;

static es_code draws_make(fit_draws *d, calib_fit *fit, uint64_t seed, es_arena *arena, es_err *err)
{
    *d = (fit_draws){.stream = es_stream_of(seed, 0, "calibrate", "resample"), .rounds = 1};
    for (size_t s = 0; s < fit->sizes; s++)
        for (size_t i = 0; i < fit->size[s].count; i++)
            d->rounds = fit->size[s].round[i] >= d->rounds ? fit->size[s].round[i] + 1 : d->rounds;
    d->times = ES_NEW_ARRAY(arena, d->rounds, uint32_t);
    d->scratch = ES_NEW_ARRAY(arena, d->rounds, double);
    fit->lag1 = fit_lag1(fit);
    fit->block = rounds_block(fit->lag1, d->rounds);
    return d->times && d->scratch ? ES_OK : es_err_nomem(err, "the resamples of a fit");
}

/* One resample: the same rounds for all sizes. A size that stopped early and is in none of them keeps its median. */
static bool fit_resample(const calib_fit *fit, const fit_draws *d, uint64_t n, calib_curve *out)
{
    curve_point point[FIT_SIZES];
    rounds_draw(d->stream, n, fit->block, d->times, d->rounds);
    for (size_t s = 0; s < fit->sizes; s++) {
        const fit_size *size = &fit->size[s];
        size_t count = 0;
        for (size_t i = 0; i < size->count; i++)
            for (uint32_t k = 0; k < d->times[size->round[i]] && count < d->rounds; k++)
                d->scratch[count++] = size->ns[i];
        point[s] = (curve_point){size->bytes, count ? gsl_stats_median(d->scratch, 1, count) : size->median};
    }
    return curve_refit(point, fit->sizes, &fit->curve, out);
}

static es_code fit_sureness(calib_fit *fit, const fit_ask *ask, es_arena *arena, es_err *err)
{
    size_t done = 0;
    fit_draws draws = {0};
    double *alpha = ES_NEW_ARRAY(arena, ask->resamples, double);
    double *rate = ES_NEW_ARRAY(arena, ask->resamples * CURVE_PIECES, double), *knee = ES_NEW_ARRAY(arena, ask->resamples * CURVE_PIECES, double);
    double *band = ES_NEW_ARRAY(arena, ask->resamples * fit->sizes, double);
    es_code code = alpha && rate && knee && band ? draws_make(&draws, fit, ask->seed, arena, err) : es_err_nomem(err, "the resamples of a fit");
    for (uint64_t n = 0; n < ask->resamples && code == ES_OK; n++) {
        calib_curve curve;
        if (!fit_resample(fit, &draws, n, &curve))
            continue;
        alpha[done] = curve.fixed[0];
        for (size_t i = 0; i < curve.pieces; i++) {
            rate[i * ask->resamples + done] = 1e9 / fmax(curve.slope[i], 1e-12);
            knee[i * ask->resamples + done] = curve.from[i];
        }
        for (size_t s = 0; s < fit->sizes; s++)
            band[s * ask->resamples + done] = curve_ns(&curve, fit->size[s].bytes);
        done++;
    }
    if (code)
        return code;
    if (done == 0)
        return ES_OK;
    fit->resampled = true;
    fit->alpha = interval_of(alpha, done);
    for (size_t i = 0; i < fit->curve.pieces; i++) {
        fit->rate[i] = interval_of(rate + i * ask->resamples, done);
        fit->knee[i] = interval_of(knee + i * ask->resamples, done);
    }
    for (size_t s = 0; s < fit->sizes; s++)
        fit->band[s] = interval_of(band + s * ask->resamples, done);
    return ES_OK;
}

/* ---- all of it ---- */

static es_code fit_noise(calib_fit *fit, es_arena *arena, es_err *err)
{
    noise_sample *sample = ES_NEW_ARRAY(arena, fit->samples, noise_sample);
    size_t count = 0;
    if (!sample)
        return es_err_nomem(err, "the noise of a fit");
    for (size_t s = 0; s < fit->sizes; s++)
        for (size_t i = 0; i < fit->size[s].count; i++)
            sample[count++] = (noise_sample){fit->size[s].bytes, fit->size[s].ns[i], curve_ns(&fit->curve, fit->size[s].bytes), fit->size[s].median};
    return noise_fit(&fit->noise, sample, count, arena, err);
}

es_code calib_fit_medians(calib_fit *fit, const calib_series *series, const fit_ask *ask, es_arena *arena, es_err *err)
{
    *fit = (calib_fit){.error_holdout = NAN};
    es_code code = fit_group(fit, series, ask, arena, err);
    if (code == ES_OK)
        code = fit_medians(fit, arena, err);
    if (code == ES_OK)
        fit_instants(fit);
    return code;
}

es_code calib_fit_series(calib_fit *fit, const calib_series *series, const fit_ask *ask, es_arena *arena, es_err *err)
{
    curve_point point[FIT_SIZES];
    const unsigned families = ask->pages ? CURVE_ANY : CURVE_BY_SIZE;
    es_code code = calib_fit_medians(fit, series, ask, arena, err);
    if (code || !(fit->fitted = curve_fit(point, fit_points(fit, point), families, &fit->curve)))
        return code;
    fit_errors(fit);
    fit->error_holdout = fit_holdout(fit, families);
    code = fit_noise(fit, arena, err);
    return code || ask->resamples == 0 ? code : fit_sureness(fit, ask, arena, err);
}

double calib_fit_half(const calib_fit *fit)
{
    /* A time that hardly grows has no half: what is beyond 2^53 bytes is beyond what a profile takes. */
    return fit->curve.slope[0] > 0.0 ? fmin(fit->curve.fixed[0] / fit->curve.slope[0], 0x1p53) : 0.0;
}
