/* Batch: see batch.h. */
#include "calib/batch.h"

#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>
#include <math.h>
#include <string.h>

#include "calib/solve.h"

enum { BATCH_PASSES = 40 };
#define BATCH_SLOWER 0.98       /* an efficiency below it is no rounding */

static double batch_ns(const calib_batch *b, const batch_point *p)
{
    return b->first_ns + p->count * (b->each_ns + p->bytes * b->ns_per_byte);
}

/* The point of one copy of the same size. */
static const batch_point *batch_single(const batch_point *point, size_t count, double bytes)
{
    for (size_t i = 0; i < count; i++)
        if (point[i].count == 1.0 && point[i].bytes == bytes)
            return &point[i];
    return NULL;
}

/* Of the largest batch, and among these of the largest copies. */
static double batch_efficiency(const batch_point *point, size_t count)
{
    double best = NAN, most = 1.0, bytes = 0.0;
    for (size_t i = 0; i < count; i++) {
        const batch_point *p = &point[i], *one = batch_single(point, count, p->bytes);
        if (one && (p->count > most || (p->count == most && p->count > 1.0 && p->bytes > bytes))) {
            most = p->count;
            bytes = p->bytes;
            best = p->count * one->ns / p->ns;
        }
    }
    return best;
}

bool batch_fit(const batch_point *point, size_t count, calib_batch *out)
{
    solve_rows rows = {.count = count < SOLVE_ROWS ? count : SOLVE_ROWS, .terms = 3};
    solve_answer answer;
    double off[SOLVE_ROWS];
    bool sizes = false;
    *out = (calib_batch){.efficiency = batch_efficiency(point, count)};
    for (size_t i = 0; i < rows.count; i++) {
        rows.ns[i] = point[i].ns;
        rows.term[i][0] = 1.0;
        rows.term[i][1] = point[i].count * point[i].bytes;
        rows.term[i][2] = point[i].count;
        sizes = sizes || point[i].bytes != point[0].bytes;
    }
    rows.terms = sizes ? 3 : 2; /* with one size the gap cannot be told from the bytes */
    if (count < 3 || !solve(&rows, BATCH_PASSES, &answer))
        return false;
    out->first_ns = answer.theta[0];
    out->ns_per_byte = answer.theta[1];
    out->each_ns = sizes ? answer.theta[2] : 0.0;
    out->clamped = out->first_ns <= 0.0;
    out->slower = out->efficiency < BATCH_SLOWER;
    for (size_t i = 0; i < rows.count; i++)
        off[i] = fabs(batch_ns(out, &point[i]) / point[i].ns - 1.0);
    gsl_sort(off, 1, rows.count);
    out->error_median = gsl_stats_median_from_sorted_data(off, 1, rows.count);
    return true;
}

/* ---- LogGP ---- */

enum { LOGGP_RESAMPLES = 200, LOGGP_SEED = 1 };

/* (bytes, time) of one more copy. */
static size_t loggp_gaps(const batch_point *point, size_t count, batch_point *gap)
{
    size_t gaps = 0;
    for (size_t i = 0; i < count && gaps < SOLVE_ROWS; i++) {
        const batch_point *one = point[i].count > 1.0 ? batch_single(point, count, point[i].bytes) : NULL;
        double more = one ? (point[i].ns - one->ns) / (point[i].count - 1.0) : 0.0;
        if (more > 0.0)
            gap[gaps++] = (batch_point){point[i].count, point[i].bytes, more};
    }
    return gaps;
}

/* theta: g, G. `resample` 0: each point once. */
static bool loggp_solve(const batch_point *gap, size_t gaps, uint64_t resample, double theta[2])
{
    solve_rows rows = {.count = gaps, .terms = 2};
    solve_answer answer;
    for (size_t i = 0; i < gaps; i++) {
        const batch_point *p = &gap[resample ? es_draw_below(LOGGP_SEED, (uint32_t)gaps, resample, i, 0, 0) : i];
        rows.ns[i] = p->ns;
        rows.term[i][0] = 1.0;
        rows.term[i][1] = p->bytes;
    }
    if (!solve(&rows, BATCH_PASSES, &answer))
        return false;
    theta[0] = answer.theta[0];
    theta[1] = answer.theta[1];
    return true;
}

bool batch_loggp_fit(const batch_point *point, size_t count, double issue_ns, batch_loggp *out)
{
    batch_point gap[SOLVE_ROWS];
    double theta[2], again[2], alpha[SOLVE_ROWS], resampled[LOGGP_RESAMPLES];
    size_t gaps = loggp_gaps(point, count, gap), singles = 0, n = 0;
    if (gaps < 3 || !loggp_solve(gap, gaps, 0, theta))
        return false;
    for (uint64_t i = 1; i <= LOGGP_RESAMPLES; i++)
        if (loggp_solve(gap, gaps, i, again))
            resampled[n++] = again[0];
    gsl_sort(resampled, 1, n);
    bool resolved = n > 0 && gsl_stats_quantile_from_sorted_data(resampled, 1, n, 0.025) > 0.0;
    for (size_t i = 0; i < count && singles < SOLVE_ROWS; i++)
        if (point[i].count == 1.0)
            alpha[singles++] = fmax(0.0, point[i].ns - theta[1] * point[i].bytes);
    gsl_sort(alpha, 1, singles);
    *out = (batch_loggp){issue_ns, resolved ? theta[0] : 0.0, theta[1], gsl_stats_median_from_sorted_data(alpha, 1, singles), resolved};
    return true;
}

/* ---- points ---- */

size_t batch_medians(const calib_series *series, batch_point *point, double *issue_ns, es_arena *arena)
{
    size_t count = 0;
    double *ns = ES_NEW_ARRAY(arena, series->count, double), *issue = ES_NEW_ARRAY(arena, series->count, double);
    *issue_ns = 0.0;
    if (!ns || !issue)
        return 0;
    for (size_t i = 0; i < series->count; i++) {
        const calib_sample *s = &series->at[i];
        bool known = false;
        for (size_t p = 0; p < count && !known; p++)
            known = point[p].count == (double)s->count && point[p].bytes == (double)s->bytes;
        if (!known && count < SOLVE_ROWS && s->count > 0 && s->bytes > 0)
            point[count++] = (batch_point){(double)s->count, (double)s->bytes, 0.0};
        issue[i] = (double)s->issue_ns / (s->count ? s->count : 1);
    }
    for (size_t p = 0; p < count; p++) {
        size_t n = 0;
        for (size_t i = 0; i < series->count; i++)
            if ((double)series->at[i].count == point[p].count && (double)series->at[i].bytes == point[p].bytes)
                ns[n++] = (double)series->at[i].ns;
        point[p].ns = gsl_stats_median(ns, 1, n);
    }
    if (count)
        *issue_ns = gsl_stats_median(issue, 1, series->count);
    return count;
}

size_t batch_points(const calib_series *series, batch_point *point, double *issue_ns, es_arena *arena)
{
    size_t count = batch_medians(series, point, issue_ns, arena), kept = 0;
    for (size_t i = 0; i < count; i++)
        if (point[i].ns > 0.0)
            point[kept++] = point[i];
    return kept;
}
