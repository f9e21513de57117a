/* Max-rate: see maxrate.h. */
#include "calib/maxrate.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>

#include "calib/solve.h"

enum { MAXRATE_PASSES = 40 };
#define MAXRATE_FULL 0.95

/* Requests below `full` have rates of their own, from there on the link's: with that the times are sums. Terms: alpha, 1 / one, 1 / link. */
static bool maxrate_try(const batch_point *point, size_t count, double full, solve_rows *rows, solve_answer *answer)
{
    bool limited = false;
    *rows = (solve_rows){.count = count < SOLVE_ROWS ? count : SOLVE_ROWS};
    for (size_t i = 0; i < rows->count; i++) {
        bool all = point[i].count >= full;
        limited |= all;
        rows->ns[i] = point[i].ns;
        rows->term[i][0] = 1.0;
        rows->term[i][1] = all ? 0.0 : point[i].bytes / point[i].count;
        rows->term[i][2] = all ? point[i].bytes : 0.0;
    }
    rows->terms = limited ? 3 : 2;
    return solve(rows, MAXRATE_PASSES, answer) && answer->theta[1] > 0.0 && (!limited || answer->theta[2] > 0.0);
}

static double maxrate_ns(const calib_maxrate *m, const batch_point *p)
{
    return m->alpha_ns + p->bytes * 1e9 / fmin(m->link, p->count * m->one);
}

/* Returns the mean error, by which limits are compared: the median would not see the depths of one side. */
static double maxrate_error(calib_maxrate *m, const batch_point *point, size_t count)
{
    double off[SOLVE_ROWS];
    count = count < SOLVE_ROWS ? count : SOLVE_ROWS;
    for (size_t i = 0; i < count; i++)
        off[i] = fabs(maxrate_ns(m, &point[i]) / point[i].ns - 1.0);
    gsl_sort(off, 1, count);
    m->error_median = gsl_stats_median_from_sorted_data(off, 1, count);
    return gsl_stats_mean(off, 1, count);
}

bool maxrate_fit(const batch_point *point, size_t count, calib_maxrate *out)
{
    double least = INFINITY, most = 0.0, best = INFINITY;
    for (size_t i = 0; i < count; i++) {
        least = fmin(least, point[i].count);
        most = fmax(most, point[i].count);
    }
    *out = (calib_maxrate){0};
    if (count < 4 || !(most > least))
        return false;
    for (double full = 2.0 * least; full <= 2.0 * most; full *= 2.0) {
        solve_rows rows;
        solve_answer answer;
        calib_maxrate m = {0};
        if (!maxrate_try(point, count, full, &rows, &answer))
            continue;
        m.alpha_ns = answer.theta[0];
        m.one = 1e9 / answer.theta[1];
        m.link = rows.terms == 3 ? fmax(m.one, 1e9 / answer.theta[2]) : most * m.one;
        double error = maxrate_error(&m, point, count);
        if (error < best) {
            best = error;
            *out = m;
        }
    }
    out->lanes = fmax(1.0, ceil(MAXRATE_FULL * out->link / out->one - 1e-9));
    return best < INFINITY;
}
