/* Solve: see solve.h. */
#include "calib/solve.h"

#include <gsl/gsl_linalg.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <string.h>

#define BISQUARE 4.685          /* 95 % efficient where nothing is off (Holland and Welsch 1977) */
#define NORMAL_MAD 0.6745       /* median of |z|, z normal */

typedef struct normal_equations {
    double a[SOLVE_TERMS][SOLVE_TERMS], b[SOLVE_TERMS], yy, norm[SOLVE_TERMS];
    size_t terms;
} normal_equations;

static double solve_time(const solve_rows *rows, const double *theta, size_t i)
{
    double ns = 0.0;
    for (size_t j = 0; j < rows->terms; j++)
        ns += theta[j] * rows->term[i][j];
    return ns;
}

/* Rows term / at, right-hand sides 1 + ln(ns / at): the linear problem around the times `at`. */
static void normal_make(normal_equations *eq, const solve_rows *rows, const double *at, const double *weight)
{
    memset(eq, 0, sizeof *eq);
    eq->terms = rows->terms;
    for (size_t i = 0; i < rows->count; i++) {
        double right = 1.0 + log(rows->ns[i] / at[i]), x[SOLVE_TERMS];
        for (size_t j = 0; j < rows->terms; j++)
            x[j] = rows->term[i][j] / at[i];
        eq->yy += weight[i] * right * right;
        for (size_t j = 0; j < rows->terms; j++) {
            eq->b[j] += weight[i] * right * x[j];
            for (size_t k = 0; k <= j; k++)
                eq->a[j][k] += weight[i] * x[j] * x[k];
        }
    }
    for (size_t j = 0; j < rows->terms; j++)
        eq->norm[j] = sqrt(eq->a[j][j]);
    for (size_t j = 0; j < rows->terms; j++) {      /* columns of length 1: terms differ by many powers of ten */
        eq->b[j] /= eq->norm[j] > 0.0 ? eq->norm[j] : 1.0;
        for (size_t k = 0; k <= j; k++)
            eq->a[j][k] /= eq->norm[j] * eq->norm[k] > 0.0 ? eq->norm[j] * eq->norm[k] : 1.0;
    }
}

/* The terms of `mask`; false when they depend on each other. The others are 0. GSL's modified Cholesky, for it takes any matrix, where the plain one
 * calls the error handler of the process. */
static bool normal_solve(const normal_equations *eq, unsigned mask, double *theta)
{
    double matrix[SOLVE_TERMS * SOLVE_TERMS], right[SOLVE_TERMS];
    size_t at[SOLVE_TERMS], order[SOLVE_TERMS], n = 0;
    for (size_t j = 0; j < eq->terms; j++) {
        theta[j] = 0.0;
        if (mask & 1u << j)
            at[n++] = j;
    }
    for (size_t i = 0; i < n; i++) {
        right[i] = eq->b[at[i]];
        for (size_t j = 0; j <= i; j++)
            matrix[i * n + j] = matrix[j * n + i] = eq->a[at[i]][at[j]];
    }
    gsl_matrix_view a = gsl_matrix_view_array(matrix, n, n);
    gsl_vector_view z = gsl_vector_view_array(right, n);
    gsl_permutation pivots = {n, order};
    gsl_linalg_mcholesky_decomp(&a.matrix, &pivots, NULL);
    for (size_t i = 0; i < n; i++)
        if (!(matrix[i * n + i] > 1e-12))
            return false;
    gsl_linalg_mcholesky_svx(&a.matrix, &pivots, &z.vector);
    for (size_t i = 0; i < n; i++)
        theta[at[i]] = right[i] / eq->norm[at[i]];
    return true;
}

/* What is left of the sum of squares. */
static double normal_rest(const normal_equations *eq, const double *theta)
{
    double rest = eq->yy;
    for (size_t j = 0; j < eq->terms; j++)
        rest -= theta[j] * eq->norm[j] * eq->b[j];
    return rest;
}

/* The best theta >= 0: all terms when that has no negative ones, else the best of those subsets that have none. */
static bool normal_bounded(const normal_equations *eq, double *theta)
{
    double best = INFINITY;
    for (unsigned mask = (1u << eq->terms) - 1; mask > 0; mask--) {
        double candidate[SOLVE_TERMS] = {0};
        bool sound = normal_solve(eq, mask, candidate);
        for (size_t j = 0; j < eq->terms && sound; j++)
            sound = candidate[j] >= 0.0;
        double rest = sound ? normal_rest(eq, candidate) : INFINITY;
        if (sound && rest < best) {
            best = rest;
            memcpy(theta, candidate, sizeof candidate);
        }
        if (sound && mask == (1u << eq->terms) - 1)
            break;
    }
    return best < INFINITY;
}

static double bisquare(double residual, double scale)
{
    double u = residual / (BISQUARE * scale);
    return fabs(u) < 1.0 ? (1.0 - u * u) * (1.0 - u * u) : 0.0;
}

double solve_loss(const solve_rows *rows, const double *theta, double scale)
{
    double loss = 0.0, most = BISQUARE * BISQUARE * scale * scale / 3.0;
    for (size_t i = 0; i < rows->count; i++) {
        double u = log(rows->ns[i] / solve_time(rows, theta, i)) / (BISQUARE * scale), rest = 1.0 - u * u;
        loss += fabs(u) < 1.0 ? most * (1.0 - rest * rest * rest) : most;
    }
    return loss;
}

bool solve(const solve_rows *rows, int passes, solve_answer *out)
{
    double at[SOLVE_ROWS], weight[SOLVE_ROWS], off[SOLVE_ROWS];
    if (rows->count < rows->terms || rows->count == 0)
        return false;
    for (size_t i = 0; i < rows->count; i++) {
        at[i] = rows->ns[i];
        weight[i] = 1.0;
    }
    double before = INFINITY;
    for (int pass = 0; pass < passes; pass++) {
        normal_equations eq;
        double theta[SOLVE_TERMS] = {0}, change = 0.0;
        normal_make(&eq, rows, at, weight);
        if (!normal_bounded(&eq, theta))
            return false;
        for (size_t i = 0; i < rows->count; i++) {
            double ns = solve_time(rows, theta, i);
            if (!(ns > 0.0))
                return false;
            change = fmax(change, fabs(ns / at[i] - 1.0));
            at[i] = ns;
            off[i] = fabs(log(rows->ns[i] / ns));
        }
        memcpy(out->theta, theta, sizeof theta);
        double sorted[SOLVE_ROWS];
        memcpy(sorted, off, rows->count * sizeof *sorted);
        out->scale = fmax(SOLVE_LEAST, gsl_stats_median(sorted, 1, rows->count) / NORMAL_MAD);
        for (size_t i = 0; i < rows->count; i++)
            weight[i] = bisquare(off[i], out->scale);
        if (change < 1e-9 || (change >= before && pass > 20))
            break;
        before = change;
    }
    out->loss = solve_loss(rows, out->theta, out->scale);
    return true;
}
