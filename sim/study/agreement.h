/* Agreement: how near a model comes to a machine that does not quite agree with itself. Arithmetic only, of times in ns.
 *
 * The floor is what one performance differs from another of the same log: |run_i / run_j - 1| of each step, over all ordered pairs. The error is
 * what the model differs from a performance: |model / run_i - 1| of each step, over all runs, so that a model as good as another performance
 * has an error as large as the floor. */
#ifndef ES_STUDY_AGREEMENT_H
#define ES_STUDY_AGREEMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct es_spread { double median, p95; } es_spread;

typedef struct es_repeats {     /* performances of one log */
    const int64_t *ns;          /* [runs][steps] */
    size_t runs, steps;
} es_repeats;

/* |a / b - 1|; a b of 0 counts as 1 ns, and 0 agrees with 0. */
double es_agreement_off(double a, double b);
/* Sorts the values; linear between ranks, 0 of none. */
es_spread es_agreement_spread(double *value, size_t count);
/* Of each step; false: no memory. With one run there is no floor: 0. */
bool es_agreement_floor(const es_repeats *measured, es_spread *out);
bool es_agreement_error(const int64_t *model, const es_repeats *measured, es_spread *out);
/* Largest gap between the distributions of two samples, 0 to 1; below 0: no memory. */
double es_agreement_ks(const int64_t *a, size_t as, const int64_t *b, size_t bs);
double es_agreement_ks_critical(size_t as, size_t bs);  /* at 5 % */

/* ---- acceptance ---- */

typedef struct es_agreement {
    es_spread floor, error;     /* of steps */
    double bias;                /* model / mean of the totals - 1 */
    double worst_class;         /* of the classes, the |bias| that is largest */
    double ks, ks_critical;
    double p50, p95;            /* quantiles of the model / those of all runs - 1 */
} es_agreement;

typedef enum es_acceptance { ES_ACCEPT_INVALID, ES_ACCEPT_FAIL, ES_ACCEPT_PASS } es_acceptance;
enum { ES_CRITERIA = 5 };                               /* A, B, C, D and F; E is the ranking's */
extern const char es_criteria[ES_CRITERIA + 1];         /* "ABCDF" */
extern const char *const es_acceptance_names[];         /* "invalid", "fail", "pass" */

/* A: median error <= max(5 %, 1.25 x floor); B: p95 <= max(15 %, 1.25 x floor); C: |bias| <= 3 %, on a virtual machine 8 %; D: KS below the
 * critical value, or p50 and p95 within 5 and 10 %; F: no class off by more than 15 %. Invalid where the floor's median is above 10 %. */
es_acceptance es_agreement_judge(const es_agreement *a, char criterion, bool virtual_machine);

/* ---- ranking ---- */

typedef struct es_ranked {
    double measured, model;     /* totals; of several runs the median */
    double spread;              /* of the measured totals: what one differs from another in the median, as a share */
} es_ranked;

typedef struct es_ranking {
    size_t pairs, ordered, inverted;    /* whose measured gap exceeds the larger spread; of them in and against the measured order */
    double tau;                 /* (ordered - inverted) / pairs; 0 where there is no pair */
} es_ranking;

/* Above 0: the model orders the two as measured, below 0: against it; 0: it does not say, or they cannot be told apart (*apart false). */
int es_agreement_order(const es_ranked *a, const es_ranked *b, bool *apart);
es_ranking es_agreement_rank(const es_ranked *row, size_t count);

#endif
