/* Simulated time: whole nanoseconds in 64 bits (292 years). Models think in double; es_ns_round is the one place that rounds. */
#ifndef ES_BASE_TIME_H
#define ES_BASE_TIME_H

#include <math.h>
#include <stdint.h>

typedef int64_t es_time;

#define ES_NEVER INT64_MAX
#define ES_SECOND 1000000000LL

/* Nearest nanosecond, halves up: floor(x + 0.5). Negative and NaN give 0, too large gives ES_NEVER. */
static inline es_time es_ns_round(double ns)
{
    if (!(ns > 0.0))
        return 0;
    return ns >= 9.2e18 ? ES_NEVER : (es_time)floor(ns + 0.5);
}

#endif
