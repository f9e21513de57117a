/* Statistics of a paired comparison: see compare_stats.h.
 *
 * The interval. Let M be a block's mean, m that of the whole series, k the blocks that fit into it.
 *   1. se^2 = mean over all circular blocks of (M - m)^2, times block / n, times k / (k - 1) for what m takes from it.
 *   2. A resample draws k blocks; m* is the mean of their means, se*^2 their sample variance over k; t* = (m* - m) / se*.
 *   3. |m - true mean| / se is taken to be distributed as |t*| is: its quantile gives the interval, the share beyond |m| / se the p-value.
 * Dividing by the resample's own error makes up for few blocks, as Student's t does (Goetze and Kuensch 1996; symmetric: Hall 1988).
 *
 * Signs. Where units are alike over so long a span that there are less than ten blocks, their scatter says nothing of the mean: how large a gap is
 * drifts. Who is ahead may drift less, and then the signs are alike over shorter spans: their mean has an interval of ten blocks and more. Noise
 * that is as much alike has spans in which the other is ahead, so it also takes a lead in every tenth. */
#include "sim/study/compare_stats.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

enum { MSER_BATCH = 5, MSER_LEAST = 10 };       /* values of a batch; batches */

/* ---- block length ---- */

static double stats_covariance(const double *d, size_t count, double mean, size_t lag)
{
    double sum = 0.0;
    for (size_t i = 0; i + lag < count; i++)
        sum += (d[i] - mean) * (d[i + lag] - mean);
    return sum / (double)count;
}

/* The largest lag that matters: behind it, `quiet` autocorrelations in a row are within noise. At least 1. */
static size_t stats_lag(const double *d, size_t count, double mean, double variance, size_t most, size_t quiet)
{
    const double noise = 2.0 * sqrt(log10((double)count) / (double)count);
    size_t still = 0, last = 0;
    for (size_t lag = 1; lag <= most && still < quiet; lag++) {
        if (fabs(stats_covariance(d, count, mean, lag)) / variance < noise) {
            still++;
        } else {
            still = 0;
            last = lag;
        }
    }
    return last ? last : 1;
}

size_t es_block_length(const double *d, size_t count)
{
    if (count < 6)
        return 1;
    const double n = (double)count, mean = gsl_stats_mean(d, 1, count), variance = stats_covariance(d, count, mean, 0);
    if (!(variance > 0.0))
        return 1;
    const double quiet = fmax(5.0, ceil(sqrt(log10(n))));
    const size_t most = (size_t)fmin(ceil(sqrt(n)) + quiet, n - 1.0);
    size_t lag = 2 * stats_lag(d, count, mean, variance, most, (size_t)quiet);
    lag = lag < most ? lag : most;
    double slope = 0.0, power = variance;       /* sums with a flat-top window: of |lag| R(lag); of R(lag) */
    for (size_t k = 1; k <= lag; k++) {
        const double t = (double)k / (double)lag, window = t <= 0.5 ? 1.0 : 2.0 * (1.0 - t), r = stats_covariance(d, count, mean, k);
        slope += 2.0 * window * (double)k * r;
        power += 2.0 * window * r;
    }
    const double longest = ceil(fmin(3.0 * sqrt(n), n / 3.0)), spread = 4.0 / 3.0 * power * power;
    const double best = spread > 0.0 ? cbrt(2.0 * slope * slope / spread) * cbrt(n) : longest;
    return best < longest ? (size_t)fmax(1.0, floor(best + 0.5)) : (size_t)longest;
}

/* ---- interval ---- */

typedef struct stats_blocks {
    const double *mean;         /* [count] less the mean of all: of the block that begins there */
    size_t count, blocks;
    const es_resample *how;
} stats_blocks;

/* Means of all circular blocks less the mean of the series. */
static void stats_means(const double *d, size_t count, size_t block, double mean, double *out)
{
    double sum = 0.0;
    for (size_t i = 0; i < block; i++)
        sum += d[i] - mean;
    for (size_t i = 0; i < count; i++) {
        out[i] = sum / (double)block;
        sum += d[(i + block) % count] - d[i];
    }
}

static double stats_ratio(double deviation, double error)
{
    return error > 0.0 ? fabs(deviation) / error : deviation != 0.0 ? (double)INFINITY : 0.0;
}

/* |t*| of one resample. */
static double stats_draw(const stats_blocks *b, size_t resample)
{
    const double k = (double)b->blocks;
    double sum = 0.0, squares = 0.0;
    for (size_t j = 0; j < b->blocks; j++) {
        const double m = b->mean[es_draw_below(b->how->stream, (uint32_t)b->count, resample, j, 0, 0)];
        sum += m;
        squares += m * m;
    }
    const double mean = sum / k, variance = (squares / k - mean * mean) / (k - 1.0);
    return stats_ratio(mean, variance > 1e-28 * squares ? sqrt(variance) : 0.0);
}

static es_code stats_interval(es_interval *out, const stats_blocks *b, es_err *err)
{
    double *t = malloc(b->how->times * sizeof *t), squares = 0.0;
    if (!t)
        return es_err_nomem(err, "the resamples");
    for (size_t i = 0; i < b->count; i++)
        squares += b->mean[i] * b->mean[i];
    const double n = (double)b->count, k = (double)b->blocks;
    const double error = sqrt(squares / n * (double)out->block / n * k / (k - 1.0)), found = stats_ratio(out->mean, error);
    size_t beyond = 0;
    for (size_t r = 0; r < b->how->times; r++) {
        t[r] = stats_draw(b, r);
        beyond += t[r] >= found;
    }
    gsl_sort(t, 1, b->how->times);
    const double rank = ceil(b->how->confidence * (double)(b->how->times + 1)), last = (double)b->how->times;
    const double reach = error > 0.0 ? t[(size_t)fmin(rank, last) - 1] * error : 0.0;
    out->low = out->mean - reach;
    out->high = out->mean + reach;
    out->p = (1.0 + (double)beyond) / (1.0 + last);
    free(t);
    return ES_OK;
}

/* Where the series drifts so slowly that ten blocks are not independent, their scatter says too little. What every one of them shows, by half
 * of the mean at least, is believed all the same: noise that correlates over a third of the series does so in less than 5 % of cases. */
static bool stats_steady(const double *d, const es_interval *in)
{
    for (size_t j = 0; j < in->blocks; j++) {
        const double mean = gsl_stats_mean(d + j * in->block, 1, in->block);
        if ((mean > 0.0) != (in->mean > 0.0) || fabs(mean) < 0.5 * fabs(in->mean))
            return false;
    }
    return true;
}

es_code es_block_interval(es_interval *out, const double *d, size_t count, const es_resample *how, es_err *err)
{
    *out = (es_interval){.low = -(double)INFINITY, .high = (double)INFINITY, .p = 1.0, .block = 1, .blocks = count};
    if (count == 0)
        return out->none = "there are no units", ES_OK;
    out->mean = gsl_stats_mean(d, 1, count);
    if (count < ES_BLOCKS_LEAST)
        return out->none = "there are fewer than 10 units", ES_OK;
    const size_t wanted = 2 * es_block_length(d, count), longest = count / ES_BLOCKS_LEAST;
    const size_t many = (count + ES_BLOCKS_MOST - 1) / ES_BLOCKS_MOST, root = (size_t)ceil(cbrt((double)count)), shortest = root > many ? root : many;
    out->block = wanted > longest || shortest > longest ? longest : wanted > shortest ? wanted : shortest;
    out->blocks = count / out->block;
    if (wanted > longest && wanted > 2 && !stats_steady(d, out))
        return out->none = "units are alike over spans of more than a tenth of them", ES_OK;
    double *mean = malloc(count * sizeof *mean);
    if (!mean)
        return es_err_nomem(err, "the resamples");
    stats_means(d, count, out->block, out->mean, mean);
    es_code code = stats_interval(out, &(stats_blocks){.mean = mean, .count = count, .blocks = out->blocks, .how = how}, err);
    free(mean);
    return code;
}

/* ---- a pair ---- */

/* Is it ahead in every tenth, by half of its lead in all of them at least? */
static bool paired_each_tenth(const double *sign, size_t count, double mean)
{
    for (size_t j = 0; j < ES_BLOCKS_LEAST; j++) {
        const size_t from = count * j / ES_BLOCKS_LEAST, to = count * (j + 1) / ES_BLOCKS_LEAST;
        if (gsl_stats_mean(sign + from, 1, to - from) * mean < 0.5 * mean * mean)
            return false;
    }
    return true;
}

es_code es_paired_test(es_paired *out, const double *d, size_t count, const es_resample *how, double *scratch, es_err *err)
{
    *out = (es_paired){0};
    es_code code = es_block_interval(&out->mean, d, count, how, err);
    out->p = out->mean.p;
    if (code || !out->mean.none || count < ES_BLOCKS_LEAST)
        return code;
    for (size_t i = 0; i < count; i++)
        scratch[i] = (d[i] > 0.0) - (d[i] < 0.0);
    code = es_block_interval(&out->sign, scratch, count, how, err);
    out->by_sign = code == ES_OK && !out->sign.none && out->sign.mean * out->mean.mean > 0.0 && paired_each_tenth(scratch, count, out->sign.mean);
    out->p = out->by_sign ? out->sign.p : 1.0;
    return code;
}

/* ---- many comparisons ---- */

es_code es_holm(const double *p, size_t count, double *adjusted, es_err *err)
{
    size_t *order = malloc((count + 1) * sizeof *order);
    double most = 0.0;
    if (!order)
        return es_err_nomem(err, "the pairs");
    gsl_sort_index(order, p, 1, count);
    for (size_t i = 0; i < count; i++) {
        const double scaled = fmin(1.0, p[order[i]] * (double)(count - i));
        most = scaled > most ? scaled : most;
        adjusted[order[i]] = most;
    }
    free(order);
    return ES_OK;
}

/* ---- warming up ---- */

bool es_mser5(const double *x, size_t count, size_t *cut)
{
    const size_t batches = count / MSER_BATCH;
    double sum = 0.0, squares = 0.0, best = (double)INFINITY;
    size_t at = 0;
    *cut = 0;
    if (batches < MSER_LEAST)
        return false;
    const double shift = gsl_stats_mean(x, 1, count);       /* squares of small numbers lose no digits */
    for (size_t left = 1; left <= batches; left++) {        /* from behind: `left` batches are kept */
        const double z = gsl_stats_mean(x + (batches - left) * MSER_BATCH, 1, MSER_BATCH) - shift, k = (double)left;
        sum += z;
        squares += z * z;
        const double error = fmax(0.0, squares - sum * sum / k) / (k * k);
        if (left >= MSER_BATCH && error <= best) {          /* a handful of batches may be alike by chance */
            best = error;
            at = batches - left;
        }
    }
    *cut = at * MSER_BATCH;
    return 2 * at <= batches;
}
