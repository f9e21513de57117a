/* Moments: see moments.h. */
#include "traces/moments.h"

#include <math.h>

enum { MOMENTS_POINTS = 81, MOMENTS_ROUNDS = 4000 };

static double moments_tail(double x)
{
    return 0.5 * erfc(x * 0.70710678118654752);
}

void es_both_above(const double *z, uint32_t count, double at[ES_MOMENTS_GRID])
{
    for (int g = 0; g < ES_MOMENTS_GRID; g++) {
        const double r = g / (double)ES_MOMENTS_GRID, common = sqrt(r), rest = sqrt(1.0 - r);
        double sum = 0.0, used = 0.0;
        for (uint32_t i = 0; i < count; i++) {
            if (!isfinite(z[i]))
                continue;
            used += 1.0;
            for (int p = 0; p < MOMENTS_POINTS; p++) {
                const double x = -6.0 + 12.0 * p / (MOMENTS_POINTS - 1), above = moments_tail((z[i] - common * x) / rest);
                sum += above * above * exp(-0.5 * x * x);
            }
        }
        at[g] = used > 0.0 ? sum / used * (12.0 / (MOMENTS_POINTS - 1)) * 0.39894228040143268 : 0.0;
    }
}

double es_correlation_of(const double at[ES_MOMENTS_GRID], double both)
{
    int g = 1;
    if (!(both > at[0]))
        return 0.0;
    while (g < ES_MOMENTS_GRID - 1 && at[g] < both)
        g++;
    const double part = at[g] > at[g - 1] ? (both - at[g - 1]) / (at[g] - at[g - 1]) : 0.0;
    return (g - 1 + (part < 1.0 ? part : 1.0)) / ES_MOMENTS_GRID;
}

void es_nonnegative(const double *a, const double *b, uint32_t rows, uint32_t columns, double most, double *c)
{
    double square[ES_MOMENTS_COLUMNS][ES_MOMENTS_COLUMNS], product[ES_MOMENTS_COLUMNS], sum = 0.0;
    for (uint32_t i = 0; i < columns; i++) {
        c[i] = product[i] = 0.0;
        for (uint32_t row = 0; row < rows; row++)
            product[i] += a[row * columns + i] * b[row];
        for (uint32_t j = 0; j < columns; j++) {
            square[i][j] = 0.0;
            for (uint32_t row = 0; row < rows; row++)
                square[i][j] += a[row * columns + i] * a[row * columns + j];
        }
    }
    for (int round = 0; round < MOMENTS_ROUNDS; round++) {
        double moved = 0.0;
        for (uint32_t i = 0; i < columns; i++) {
            double up = product[i];
            for (uint32_t j = 0; j < columns; j++)
                up -= j == i ? 0.0 : square[i][j] * c[j];
            const double next = square[i][i] > 0.0 && up > 0.0 ? up / square[i][i] : 0.0;
            moved += fabs(next - c[i]);
            c[i] = next;
        }
        if (moved < 1e-9)
            break;
    }
    for (uint32_t i = 0; i < columns; i++)
        sum += c[i];
    for (uint32_t i = 0; i < columns && sum > most; i++)
        c[i] *= most / sum;
}
