/* Agreement: see agreement.h. */
#include "sim/study/agreement.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char es_criteria[ES_CRITERIA + 1] = "ABCDF";
const char *const es_acceptance_names[] = {"invalid", "fail", "pass", NULL};

double es_agreement_off(double a, double b)
{
    return fabs(a - b) / fmax(b, 1.0);
}

static int agreement_ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double agreement_quantile(const double *sorted, size_t count, double p)
{
    double at = p * (double)(count - 1);
    size_t below = (size_t)at;
    return below + 1 < count ? sorted[below] + (at - (double)below) * (sorted[below + 1] - sorted[below]) : sorted[count - 1];
}

es_spread es_agreement_spread(double *value, size_t count)
{
    if (count == 0)
        return (es_spread){0, 0};
    qsort(value, count, sizeof *value, agreement_ascending);
    return (es_spread){agreement_quantile(value, count, 0.5), agreement_quantile(value, count, 0.95)};
}

bool es_agreement_floor(const es_repeats *measured, es_spread *out)
{
    size_t count = 0;
    double *off = malloc((measured->runs * measured->runs * measured->steps + 1) * sizeof *off);
    if (!off)
        return false;
    for (size_t i = 0; i < measured->runs; i++)
        for (size_t j = 0; j < measured->runs; j++)
            for (size_t s = 0; s < measured->steps && i != j; s++)
                off[count++] = es_agreement_off((double)measured->ns[i * measured->steps + s], (double)measured->ns[j * measured->steps + s]);
    *out = es_agreement_spread(off, count);
    free(off);
    return true;
}

bool es_agreement_error(const int64_t *model, const es_repeats *measured, es_spread *out)
{
    const size_t count = measured->runs * measured->steps;
    double *off = malloc((count + 1) * sizeof *off);
    if (!off)
        return false;
    for (size_t i = 0; i < count; i++)
        off[i] = es_agreement_off((double)model[i % measured->steps], (double)measured->ns[i]);
    *out = es_agreement_spread(off, count);
    free(off);
    return true;
}

/* ---- distributions ---- */

static int agreement_earlier(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

double es_agreement_ks(const int64_t *a, size_t as, const int64_t *b, size_t bs)
{
    double most = 0.0;
    int64_t *both = malloc((as + bs + 1) * sizeof *both);
    if (!both)
        return -1.0;
    int64_t *x = both, *y = both + as;
    memcpy(x, a, as * sizeof *x);
    memcpy(y, b, bs * sizeof *y);
    qsort(x, as, sizeof *x, agreement_earlier);
    qsort(y, bs, sizeof *y, agreement_earlier);
    for (size_t i = 0, j = 0; i < as && j < bs;) {
        const int64_t at = x[i] < y[j] ? x[i] : y[j];
        while (i < as && x[i] == at)
            i++;
        while (j < bs && y[j] == at)
            j++;
        most = fmax(most, fabs((double)i / (double)as - (double)j / (double)bs));
    }
    free(both);
    return most;
}

double es_agreement_ks_critical(size_t as, size_t bs)
{
    return as && bs ? 1.358 * sqrt((double)(as + bs) / ((double)as * (double)bs)) : 1.0;
}

/* ---- acceptance ---- */

static bool agreement_meets(const es_agreement *a, char criterion, bool virtual_machine)
{
    switch (criterion) {
    case 'A':
        return a->error.median <= fmax(0.05, 1.25 * a->floor.median);
    case 'B':
        return a->error.p95 <= fmax(0.15, 1.25 * a->floor.p95);
    case 'C':
        return fabs(a->bias) <= (virtual_machine ? 0.08 : 0.03);
    case 'D':
        return a->ks < a->ks_critical || (fabs(a->p50) <= 0.05 && fabs(a->p95) <= 0.10);
    default:
        return a->worst_class <= 0.15;
    }
}

es_acceptance es_agreement_judge(const es_agreement *a, char criterion, bool virtual_machine)
{
    if (a->floor.median > 0.10)
        return ES_ACCEPT_INVALID;
    return agreement_meets(a, criterion, virtual_machine) ? ES_ACCEPT_PASS : ES_ACCEPT_FAIL;
}

/* ---- ranking ---- */

int es_agreement_order(const es_ranked *a, const es_ranked *b, bool *apart)
{
    const double low = fmin(a->measured, b->measured), high = fmax(a->measured, b->measured);
    *apart = es_agreement_off(high, low) > fmax(a->spread, b->spread);
    if (!*apart || a->model == b->model)
        return 0;
    return (a->model < b->model) == (a->measured < b->measured) ? 1 : -1;
}

es_ranking es_agreement_rank(const es_ranked *row, size_t count)
{
    es_ranking r = {0};
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count; j++) {
            bool apart;
            const int order = es_agreement_order(&row[i], &row[j], &apart);
            r.pairs += apart;
            r.ordered += order > 0;
            r.inverted += order < 0;
        }
    r.tau = r.pairs ? ((double)r.ordered - (double)r.inverted) / (double)r.pairs : 0.0;
    return r;
}
