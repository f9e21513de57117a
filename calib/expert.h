/* Expert: what computing one costs, by its size and by the tokens it serves: the medians of what was measured, joined by lines.
 *
 * Nothing is assumed of how time grows with tokens or bytes: kernels go in steps, caches make small experts faster, and where reading the
 * weights stops to be the limit and arithmetic begins shows by itself. How good the lines between sizes are is told by leaving sizes out. */
#ifndef ES_CALIB_EXPERT_H
#define ES_CALIB_EXPERT_H

#include "calib/fit.h"

enum { EXPERT_TOKENS = 32 };

typedef struct expert_curve {
    double tokens;
    double bytes[FIT_SIZES], ns[FIT_SIZES];     /* [sizes], ascending; medians */
    size_t sizes;
} expert_curve;

typedef struct calib_expert {
    expert_curve curve[EXPERT_TOKENS];  /* [curves], ascending by tokens */
    size_t curves;
    double least_bytes, most_bytes;     /* sizes that were measured */
    double mean_over_median;            /* of all samples, by their point */
    calib_noise noise;                  /* around the medians */
    double error_holdout;               /* relative: of inner sizes, by the line through their neighbours, the median; NaN: no curve has three sizes */
} calib_expert;

/* Of the samples of one row. No curves: there are no samples. The only error is that there is no memory; what it needs on the way comes from
 * the arena. */
es_code calib_expert_fit(calib_expert *expert, const calib_series *series, es_arena *arena, es_err *err);
/* The line between two sizes of a curve, or beyond its ends through the two nearest. */
double calib_expert_ns(const expert_curve *curve, double bytes);

#endif
