/* Batch: what k copies queued at once cost, and whether that is better than one after another.
 *
 *     t(k, n) = first + k * (each + n / rate)
 *
 * LogGP's parameters for copies (Alexandrov et al. 1995): `each` is max(gap, overhead) of one more copy, n / rate is n * G, and
 * `first` is what is left of latency and overhead. `issue` is the overhead itself, as the host saw it. None is negative. */
#ifndef ES_CALIB_BATCH_H
#define ES_CALIB_BATCH_H

#include <stdbool.h>

#include "calib/sample.h"

typedef struct batch_point {
    double count, bytes, ns;    /* copies; of one copy; of all */
} batch_point;

typedef struct calib_batch {
    double first_ns, each_ns, ns_per_byte, issue_ns;
    double efficiency;          /* k single copies over a batch of k, for the largest k; 1: as fast, NaN: no single copy of that size */
    bool clamped;               /* first would have been negative */
    bool slower;                /* batches cost more than as many single copies */
    double error_median;
} calib_batch;

/* False: fewer than 3 points. `point` in any order. */
bool batch_fit(const batch_point *point, size_t count, calib_batch *out);
/* The medians of a series; returns how many. At most SOLVE_ROWS. */
size_t batch_points(const calib_series *series, batch_point *point, double *issue_ns, es_arena *arena);

#endif
