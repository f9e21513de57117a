/* Max-rate: what several requests at a time take, when each has a rate of its own and all share a link:
 *
 *     t(k, n) = alpha + n / min(link, k * one)        n: bytes of all k together
 *
 * (Gropp, Olson and Samfass 2016 for senders of a node). Of a disk by queue depth, of memory by threads. */
#ifndef ES_CALIB_MAXRATE_H
#define ES_CALIB_MAXRATE_H

#include "calib/batch.h"

typedef struct calib_maxrate {
    double alpha_ns;
    double one, link;           /* bytes per second of one request, of all that there may be */
    double lanes;               /* requests that reach 95 % of the link's rate */
    double error_median;        /* relative, of the points */
} calib_maxrate;

/* `point`: requests at a time, bytes of all of them, time. False: fewer than two depths, or fewer than 4 points. Where no depth has reached a
 * limit, link is what the deepest gives. */
bool maxrate_fit(const batch_point *point, size_t count, calib_maxrate *out);

#endif
