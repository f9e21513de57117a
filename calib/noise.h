/* Noise: how measured times lie around a curve: T = curve(n) * exp(e) + S.
 *
 * e, the body, is kept as quantiles of its own distribution by class of size, for no formula fits it. S is a stall: the scheduler or
 * a neighbour takes the machine away for milliseconds, whatever runs. Stalls come at a rate per second of operation, so
 * long copies meet more of them, and have quantiles of their own. One lognormal for both would fit neither. */
#ifndef ES_CALIB_NOISE_H
#define ES_CALIB_NOISE_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"

enum { NOISE_CLASSES = 3, NOISE_QUANTILES = 33 };

extern const double noise_class_bytes[NOISE_CLASSES];       /* sizes below it are of the class; the last is infinite */

typedef struct noise_sample {
    double bytes, ns, model;    /* model: what the curve says */
    double median;              /* of its size */
} noise_sample;

typedef struct calib_noise {
    size_t count[NOISE_CLASSES];                            /* samples; 0: the class has none and no quantiles */
    double log_quantile[NOISE_CLASSES][NOISE_QUANTILES];    /* of ln(T / curve), at 0, 1/32 ... 1; stalls are not among them */
    size_t stalls;
    double stall_rate;                                      /* per second of operation by the curve */
    double stall_ns[NOISE_QUANTILES];                       /* lengths, likewise; of at least one */
} calib_noise;

/* A stall is a sample that lies beyond the upper quartile of its class by more than three times the distance of the quartiles, each
 * relative to the median of its size and in logarithms (Tukey's far out): one in 10^6 if they were lognormal. */
es_code noise_fit(calib_noise *noise, const noise_sample *sample, size_t count, es_arena *arena, es_err *err);

#endif
