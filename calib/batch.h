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

typedef struct batch_loggp {
    double o_ns;                /* overhead: the host's, of queueing one copy */
    double g_ns;                /* gap: the least time between two copies, max(g, o) of LogGP; 0: not told from none */
    double G_ns;                /* of one more byte */
    double alpha_ns;            /* of a single copy without its bytes */
    bool resolved;              /* resampled, the gap stays above 0 in 97.5 of 100 cases */
} batch_loggp;

/* From (t(k, n) - t(1, n)) / (k - 1) = g + n * G, as netgauge's, fitted robustly (Hoefler et al., "LogGP in theory and practice",
 * 2009). False: there are not 3 batches beside single copies of their sizes. */
bool batch_loggp_fit(const batch_point *point, size_t count, double issue_ns, batch_loggp *out);

/* False: fewer than 3 points. `point` in any order. */
bool batch_fit(const batch_point *point, size_t count, calib_batch *out);
/* The medians of a series; returns how many. At most SOLVE_ROWS. A median of 0 ns is less than the clock tells. */
size_t batch_medians(const calib_series *series, batch_point *point, double *issue_ns, es_arena *arena);
/* Those of them that are above 0: what can be fitted. */
size_t batch_points(const calib_series *series, batch_point *point, double *issue_ns, es_arena *arena);

#endif
