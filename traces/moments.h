/* Moments: what estimating a likeness needs of mathematics. */
#ifndef ES_TRACES_MOMENTS_H
#define ES_TRACES_MOMENTS_H

#include <stdint.h>

enum { ES_MOMENTS_GRID = 50, ES_MOMENTS_COLUMNS = 16 };

/* Mean, over thresholds z, of the probability that two standard normals of correlation r are both above z: at[i] for r = i / 50. Those that
 * are not finite are left out. By the one-factor integral, whose error is below 1e-6 here. */
void es_both_above(const double *z, uint32_t count, double at[ES_MOMENTS_GRID]);
/* The correlation at which `both` is met, from 0 to 0.98 (tetrachoric correlation, pooled over the thresholds). */
double es_correlation_of(const double at[ES_MOMENTS_GRID], double both);

/* c >= 0 with sum(c) <= most for which |a c - b| is least, by cyclic descent; a is [rows][columns], of at
 * most ES_MOMENTS_COLUMNS columns. */
void es_nonnegative(const double *a, const double *b, uint32_t rows, uint32_t columns, double most, double *c);

#endif
