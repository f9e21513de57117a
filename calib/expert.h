/* Expert: what computing one costs, by its size and by the tokens it serves.
 *
 *     t(bytes, tokens) = fixed(tokens) + bytes / rate(tokens)
 *
 * A line over sizes for each number of tokens that was measured, so nothing is assumed of how time grows with tokens: kernels go in steps,
 * and where reading the weights stops to be the limit and arithmetic begins shows by itself. Neither term is negative. */
#ifndef ES_CALIB_EXPERT_H
#define ES_CALIB_EXPERT_H

#include "calib/fit.h"

enum { EXPERT_POINTS = 32 };

typedef struct expert_point {
    double tokens, fixed_ns, ns_per_byte;
} expert_point;

typedef struct calib_expert {
    expert_point point[EXPERT_POINTS];  /* ascending by tokens */
    size_t points;
    double least_bytes, most_bytes;     /* sizes that were measured */
    size_t samples;
    double error_median, error_p95;     /* relative, of the medians of all cases */
    double error_holdout;               /* of the middle size of each number of tokens, by the line through the others; NaN: fewer than three sizes */
} calib_expert;

/* Of the samples of one row. No points: there are no samples. With a single size there is no fixed part, as nothing tells it apart. The only
 * error is that there is no memory; it comes from the arena. */
es_code calib_expert_fit(calib_expert *expert, const calib_series *series, es_arena *arena, es_err *err);
double calib_expert_ns(const expert_point *point, double bytes);

#endif
