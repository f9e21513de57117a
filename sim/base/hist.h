/* Samples and their quantiles: exact by sorting up to a limit, beyond it a log-linear integer histogram (<= 1 % relative error).
 * Histograms merge by addition; averaged percentiles are never offered. */
#ifndef ES_BASE_HIST_H
#define ES_BASE_HIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"

typedef struct es_hist {
    int64_t *sample;            /* the first `kept` values, until the limit is passed */
    size_t kept, limit, room;
    uint64_t count;             /* all values ever added */
    double sum;
    int64_t min, max;
    uint32_t *bin;              /* log-linear, 128 bins per power of two; filled once the limit is passed */
    bool exact;                 /* quantiles are exact */
    bool failed;                /* memory ran out; the histogram still counts */
} es_hist;

enum { ES_HIST_BINS = 58 * 128 };

/* Keeps up to `limit` samples exactly (grown in steps by realloc). false: no memory. */
bool es_hist_init(es_hist *hist, es_arena *arena, size_t limit);
void es_hist_add(es_hist *hist, int64_t value);             /* value >= 0 */
/* Nearest rank: sorted[ceil(q * n) - 1]; 0 when empty. Sorts the kept samples in place. */
int64_t es_hist_quantile(es_hist *hist, double q);
/* Between the two samples around place q * (n - 1), in a straight line (Hyndman and Fan's type 7, NumPy's default). Of a histogram: nearest rank. */
double es_hist_quantile_linear(es_hist *hist, double q);
/* The bins that are not empty, by value: false behind the last. `*at` begins as 0. Of exact samples, which it sorts, the same bins are made,
 * so that histograms of different runs add up. */
typedef struct es_hist_part {
    int64_t low, high;          /* values in [low, high) */
    uint64_t count;
} es_hist_part;
bool es_hist_next(es_hist *hist, size_t *at, es_hist_part *part);
double es_hist_mean(const es_hist *hist);
void es_hist_free(es_hist *hist);

#endif
