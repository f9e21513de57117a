/* The statistics of a comparison keep what they promise: intervals cover as often as they say, equals are not ranked, gaps are found.
 *
 * Series are drawn, so the truth is known: noise of a first-order autoregression, alike or of heavy tails, with a mean that is planted. */
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "sim/study/compare_stats.h"

enum { LONGEST = 1000, CANDIDATES = 4, PAIRS = CANDIDATES * (CANDIDATES - 1) / 2, TIMES = 399 };
#define LEVEL 0.95

static size_t cases(size_t usual)
{
    return getenv("ES_CASES") ? usual / 5 : usual;
}

static void noise(gsl_rng *draws, double *out, size_t count, double alike)
{
    double state = gsl_ran_gaussian(draws, 1.0 / sqrt(1.0 - alike * alike));
    for (size_t i = 0; i < count; i++) {
        out[i] = state;
        state = alike * state + gsl_ran_gaussian(draws, 1.0);
    }
}

static es_interval interval(const double *d, size_t count, uint64_t seed)
{
    es_interval in;
    assert_int_equal(es_block_interval(&in, d, count, &(es_resample){TIMES, LEVEL, es_stream_of(seed, 0, "test", "blocks")}, NULL), ES_OK);
    return in;
}

/* As a comparison does it. */
static es_paired paired(const double *d, size_t count, uint64_t seed)
{
    static double scratch[LONGEST];
    es_paired out;
    assert_int_equal(es_paired_test(&out, d, count, &(es_resample){TIMES, LEVEL, es_stream_of(seed, 0, "test", "blocks")}, scratch, NULL), ES_OK);
    return out;
}

/* The share of intervals that hold the true mean, for independent and for dependent units; where there is none nothing is promised. */
static void intervals_cover_the_truth_as_often_as_they_say(void **state)
{
    static const struct { size_t count; double alike; } of[] = {{25, 0.0}, {100, 0.0}, {400, 0.0}, {300, 0.5}, {1000, 0.5}, {1000, 0.8}};
    (void)state;
    gsl_rng *draws = gsl_rng_alloc(gsl_rng_mt19937);
    for (size_t k = 0; k < sizeof of / sizeof *of; k++) {
        const size_t many = cases(1000);
        double d[LONGEST];
        size_t held = 0, given = 0;
        for (size_t i = 0; i < many; i++) {
            noise(draws, d, of[k].count, of[k].alike);
            const es_interval in = interval(d, of[k].count, i);
            given += in.none == NULL;
            held += !in.none && in.low <= 0.0 && in.high >= 0.0;
        }
        const double share = (double)held / (double)given, error = sqrt(LEVEL * (1.0 - LEVEL) / (double)given);
        assert_true(2 * given > many);
        if (share < LEVEL - 3.0 * error || share > LEVEL + 4.0 * error)
            fail_msg("%zu units alike by %g: %.3f of the intervals hold the mean", of[k].count, of[k].alike, share);
    }
    gsl_rng_free(draws);
}

/* How often a family of CANDIDATES ranks some pair, and ranks it the wrong way; candidate c is better by c * gap. */
static void family(gsl_rng *draws, size_t count, double alike, double gap, uint64_t seed, bool ranked[PAIRS], bool wrong[PAIRS])
{
    static double value[CANDIDATES][LONGEST], d[LONGEST];
    double p[PAIRS], holm[PAIRS], mean[PAIRS];
    size_t at = 0;
    for (size_t c = 0; c < CANDIDATES; c++) {
        noise(draws, value[c], count, alike);
        for (size_t i = 0; i < count; i++)
            value[c][i] += gap * (double)c;
    }
    for (size_t a = 0; a < CANDIDATES; a++)
        for (size_t b = a + 1; b < CANDIDATES; b++, at++) {
            for (size_t i = 0; i < count; i++)
                d[i] = value[b][i] - value[a][i];
            const es_paired in = paired(d, count, seed);
            p[at] = in.p;
            mean[at] = in.mean.mean;
        }
    assert_int_equal(es_holm(p, PAIRS, holm, NULL), ES_OK);
    for (size_t i = 0; i < PAIRS; i++) {
        ranked[i] = holm[i] <= 1.0 - LEVEL;
        wrong[i] = ranked[i] && mean[i] < 0.0;
    }
}

static void equals_are_ranked_in_at_most_one_family_of_twenty(void **state)
{
    static const struct { size_t count; double alike; } of[] = {{20, 0.0}, {100, 0.0}, {300, 0.5}, {200, 0.9}, {500, 0.97}, {1000, 0.99}};
    (void)state;
    gsl_rng *draws = gsl_rng_alloc(gsl_rng_mt19937);
    for (size_t k = 0; k < sizeof of / sizeof *of; k++) {
        const size_t many = cases(400);
        size_t families = 0;
        for (size_t i = 0; i < many; i++) {
            bool ranked[PAIRS], wrong[PAIRS], some = false;
            family(draws, of[k].count, of[k].alike, 0.0, i, ranked, wrong);
            for (size_t j = 0; j < PAIRS; j++)
                some = some || ranked[j];
            families += some;
        }
        if (families * 20 > many)
            fail_msg("%zu units alike by %g: %zu of %zu families rank equals", of[k].count, of[k].alike, families, many);
    }
    gsl_rng_free(draws);
}

/* A gap of 0.6 (and 1.2, 1.8) standard deviations with 100 units, 0.5 with 400 that are alike. */
static void true_gaps_are_found_and_never_turned_round(void **state)
{
    static const struct { size_t count; double alike, gap; } of[] = {{100, 0.0, 0.6}, {400, 0.5, 0.8}};
    (void)state;
    gsl_rng *draws = gsl_rng_alloc(gsl_rng_mt19937);
    for (size_t k = 0; k < sizeof of / sizeof *of; k++) {
        const size_t many = cases(100);
        size_t found = 0;
        for (size_t i = 0; i < many; i++) {
            bool ranked[PAIRS], wrong[PAIRS];
            family(draws, of[k].count, of[k].alike, of[k].gap, i, ranked, wrong);
            for (size_t j = 0; j < PAIRS; j++) {
                found += ranked[j];
                assert_false(wrong[j]);
            }
        }
        if (found * 20 < many * PAIRS * 19)
            fail_msg("%zu units alike by %g: of %zu gaps %zu are found", of[k].count, of[k].alike, many * PAIRS, found);
    }
    gsl_rng_free(draws);
}

/* ---- corners ---- */

static void what_never_differs_is_a_tie_and_what_always_does_is_none(void **state)
{
    double same[50] = {0}, always[50];
    (void)state;
    for (size_t i = 0; i < 50; i++)
        always[i] = 0.25;
    const es_interval tie = interval(same, 50, 1), gap = interval(always, 50, 1);
    assert_true(tie.p == 1.0 && tie.low == 0.0 && tie.high == 0.0);
    assert_true(gap.p == 1.0 / (TIMES + 1) && gap.low == 0.25 && gap.high == 0.25);
}

/* One unit of a hundred: a resample misses it more often than not. */
static void a_single_event_ranks_nobody(void **state)
{
    double d[100] = {[37] = 1.0};
    (void)state;
    const es_interval in = interval(d, 100, 1);
    assert_true(in.p > 0.3);
    assert_true(isinf(in.high));
}

static void few_units_say_nothing(void **state)
{
    const double d[9] = {1, 1, 1, 1, 1, 1, 1, 1, 2};
    (void)state;
    const es_interval in = interval(d, 9, 1);
    assert_true(in.p == 1.0 && in.none && isinf(in.low) && isinf(in.high));
    assert_non_null(interval(d, 0, 1).none);
}

/* Ten tenths that all show it are believed although their neighbours are alike; a drift through zero is not. */
static void a_drift_is_believed_where_every_part_shows_it(void **state)
{
    double up[200], through[200];
    (void)state;
    for (size_t i = 0; i < 200; i++) {
        up[i] = 10.0 + 0.04 * (double)i;
        through[i] = up[i] - 13.0;
    }
    assert_true(interval(up, 200, 1).p < 0.05 && !interval(up, 200, 1).none);
    assert_non_null(interval(through, 200, 1).none);
}

/* How large the gap is drifts tenfold, so that nothing can be said of its mean; that it is one is plain. What is ahead in two thirds of a drift is not. */
static void a_drifting_gap_ranks_by_wins(void **state)
{
    double gap[LONGEST], swap[LONGEST], turned[LONGEST];
    (void)state;
    for (size_t i = 0; i < LONGEST; i++) {
        const double drift = i < 700 ? 1.0 : 10.0;
        gap[i] = i % 97 == 5 ? -0.5 : drift;            /* 1 % are lost, here and there */
        swap[i] = i < 700 ? 1.0 : -0.1;                 /* better at first, worse then */
        turned[i] = i % 97 == 5 ? -1000.0 : drift;      /* most are won by little, few are lost by much */
    }
    const es_paired plain = paired(gap, LONGEST, 1), half = paired(swap, LONGEST, 1), against = paired(turned, LONGEST, 1);
    assert_true(plain.mean.none && plain.by_sign && plain.p == 1.0 / (TIMES + 1) && plain.sign.low > 0.9 && plain.sign.blocks >= ES_BLOCKS_LEAST);
    assert_true(half.mean.none && half.sign.none && !half.by_sign && half.p == 1.0);
    assert_true(!against.by_sign && against.mean.mean < 0.0);
}

/* A share of signs is a mean like any other: its interval holds the true one as often as it says, whatever drifts in their sizes. */
static void signs_of_a_drift_cover_the_truth(void **state)
{
    (void)state;
    gsl_rng *draws = gsl_rng_alloc(gsl_rng_mt19937);
    const size_t many = cases(600);
    size_t held = 0, given = 0;
    for (size_t i = 0; i < many; i++) {
        double d[LONGEST], size = 1.0;
        for (size_t k = 0; k < LONGEST; k++) {
            size *= k % 250 == 0 ? exp(gsl_ran_gaussian(draws, 1.5)) : 1.0;         /* four requests, each of its own size */
            d[k] = size * (gsl_ran_flat(draws, 0.0, 1.0) < 0.6 ? 1.0 : -1.0);
        }
        es_paired in = paired(d, LONGEST, i);
        if (!in.mean.none || in.sign.none)
            continue;
        given++;
        held += in.sign.low <= 0.2 && in.sign.high >= 0.2;
    }
    const double share = given ? (double)held / (double)given : 1.0;
    if (given > 100 && share < LEVEL - 4.0 * sqrt(LEVEL * (1.0 - LEVEL) / (double)given))
        fail_msg("%.3f of %zu intervals of signs hold the share", share, given);
    gsl_rng_free(draws);
}

static void blocks_are_as_long_as_units_are_alike(void **state)
{
    double d[LONGEST];
    size_t last = 0;
    (void)state;
    gsl_rng *draws = gsl_rng_alloc(gsl_rng_mt19937);
    for (int k = 0; k < 3; k++) {
        static const double alike[] = {0.0, 0.5, 0.9};
        size_t sum = 0;
        for (size_t i = 0; i < 50; i++) {
            noise(draws, d, LONGEST, alike[k]);
            sum += es_block_length(d, LONGEST);
        }
        assert_true(sum > last);
        last = sum;
    }
    assert_true(last <= 50 * 95);       /* 3 sqrt(1000) */
    gsl_rng_free(draws);
}

/* Worked by hand: 0.01 * 4, 0.02 * 3, max(0.06, 0.03 * 2), 0.2 * 1. */
static void holm_multiplies_by_what_is_left(void **state)
{
    const double p[] = {0.2, 0.01, 0.03, 0.02}, want[] = {0.2, 0.04, 0.06, 0.06};
    double got[4];
    (void)state;
    assert_int_equal(es_holm(p, 4, got, NULL), ES_OK);
    for (int i = 0; i < 4; i++)
        assert_true(fabs(got[i] - want[i]) < 1e-15);
}

static void a_transient_is_cut_and_a_trend_never_settles(void **state)
{
    double x[200], trend[200];
    size_t cut;
    (void)state;
    for (size_t i = 0; i < 200; i++) {
        x[i] = (i < 40 ? 10.0 : 1.0) + (i % 2 ? 0.1 : -0.1);
        trend[i] = (double)i;
    }
    assert_true(es_mser5(x, 200, &cut));
    assert_int_equal(cut, 40);
    assert_false(es_mser5(trend, 200, &cut));
    assert_false(es_mser5(x, 49, &cut));
    assert_true(es_mser5(x + 40, 160, &cut));
    assert_int_equal(cut, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(intervals_cover_the_truth_as_often_as_they_say),
        cmocka_unit_test(equals_are_ranked_in_at_most_one_family_of_twenty),
        cmocka_unit_test(true_gaps_are_found_and_never_turned_round),
        cmocka_unit_test(what_never_differs_is_a_tie_and_what_always_does_is_none),
        cmocka_unit_test(a_single_event_ranks_nobody),
        cmocka_unit_test(few_units_say_nothing),
        cmocka_unit_test(a_drift_is_believed_where_every_part_shows_it),
        cmocka_unit_test(a_drifting_gap_ranks_by_wins),
        cmocka_unit_test(signs_of_a_drift_cover_the_truth),
        cmocka_unit_test(blocks_are_as_long_as_units_are_alike),
        cmocka_unit_test(holm_multiplies_by_what_is_left),
        cmocka_unit_test(a_transient_is_cut_and_a_trend_never_settles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
