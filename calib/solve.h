/* Solve: the one regression behind all fits. Times are sums of terms that are never negative (a latency, bytes over a rate),
 *
 *     t(i) = sum over j of theta(j) * term(i, j),  theta >= 0
 *
 * fitted in logarithms, for times reach from microseconds to seconds and an absolute fit sees only the largest (it gave a latency of
 * -202 us and 17 000 % error at 4 KiB), and robustly, for some sizes are off by a factor (Tukey's bisquare, reweighted until
 * it stands). Gauss and Newton's step makes each pass a weighted linear problem, and with so few terms the bound is
 * kept by trying which of them are zero; GSL's multifit_nlinear knows neither the bound nor a robust loss. */
#ifndef ES_CALIB_SOLVE_H
#define ES_CALIB_SOLVE_H

#include <stdbool.h>
#include <stddef.h>

enum { SOLVE_TERMS = 4, SOLVE_ROWS = 128 };

typedef struct solve_rows {
    double term[SOLVE_ROWS][SOLVE_TERMS];
    double ns[SOLVE_ROWS];      /* above 0 */
    size_t count, terms;
} solve_rows;

typedef struct solve_answer {
    double theta[SOLVE_TERMS];
    double scale;               /* robust deviation of the log residuals, at least SOLVE_LEAST */
    double loss;                /* sum of their squares, large ones bounded as the weights are */
} solve_answer;

/* A thousandth: differences below it are the clock's. */
#define SOLVE_LEAST 1e-3

/* False when nothing fits: fewer rows than terms, or no term that is not zero. `passes` 1 is plain relative least squares. */
bool solve(const solve_rows *rows, int passes, solve_answer *out);
/* The bounded sum of squares of an answer under a given scale: what answers with other terms are compared by. */
double solve_loss(const solve_rows *rows, const double *theta, double scale);

#endif
