/* Statistics of a paired comparison: a confidence interval for the mean of a series whose neighbours are alike, correction for many
 * comparisons, and where a series has warmed up. Pure arithmetic over arrays; the same input gives the same bytes. */
#ifndef ES_STUDY_COMPARE_STATS_H
#define ES_STUDY_COMPARE_STATS_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/base/rng.h"

enum { ES_BLOCKS_LEAST = 10, ES_BLOCKS_MOST = 10000 };  /* blocks of an interval: with fewer it says nothing, more change nothing */

typedef struct es_resample {
    size_t times;               /* resamples, at least 99 */
    double confidence;          /* 0.95 */
    es_stream stream;           /* of the draws */
} es_resample;

typedef struct es_interval {
    double mean, low, high;     /* low and high are infinite where the resamples set no bound */
    double p;                   /* two-sided, of mean 0; at least 1 / (times + 1) */
    size_t block, blocks;       /* length of a block; blocks in the series */
    const char *none;           /* why there is no interval (p is 1); NULL: there is one */
} es_interval;

/* The interval of the mean of `d` by a studentised circular block bootstrap, symmetric about the mean. Blocks are twice as long as
 * es_block_length says: that length is best for the variance, and coverage wants longer ones (tests/property/test_compare_stats.c). */
es_code es_block_interval(es_interval *out, const double *d, size_t count, const es_resample *how, es_err *err);

/* Both tests of a paired difference `d`, less than 0 where the first is smaller: the interval of its mean and, where there is none because it
 * drifts, that of its signs (+1, 0, -1). `scratch` has room for `count`. Two tests of which the second is asked only where the first is silent: each
 * keeps its level on what it is asked (tests/property/test_compare_stats.c). */
typedef struct es_paired {
    es_interval mean, sign;     /* `sign` is empty unless it was asked */
    bool by_sign;               /* it says more than the mean does, and not the opposite */
    double p;                   /* of the one that speaks */
} es_paired;
es_code es_paired_test(es_paired *out, const double *d, size_t count, const es_resample *how, double *scratch, es_err *err);

/* The block length that estimates the variance of the mean best: Politis and White 2004 for circular blocks, with the correction of
 * Patton, Politis and White 2009. At least 1, at most min(3 sqrt(n), n / 3). */
size_t es_block_length(const double *d, size_t count);

/* Holm's adjustment of `count` p-values: the smallest level of the whole family at which each would be rejected. In the order given. */
es_code es_holm(const double *p, size_t count, double *adjusted, es_err *err);

/* MSER-5 (White 1997; White, Cobb and Spratt 2000): how many values at the beginning are best left out so that the mean of the rest is
 * known best; a multiple of 5. False: the series is shorter than 50, or the best would be to leave out more than half of it, for it has not
 * settled. */
bool es_mser5(const double *x, size_t count, size_t *cut);

#endif
