/* Agreement: floor, error, distribution, acceptance and ranking, each against numbers worked out by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "sim/study/agreement.h"

static void near(double got, double want)
{
    if (!(got - want < 1e-12 && want - got < 1e-12))
        fail_msg("got %.17g, want %.17g", got, want);
}

/* Two runs of two steps, 100 and 200, then 125 and 200: |100/125 - 1| = 0.2, |125/100 - 1| = 0.25, and 0 twice. Sorted 0 0 0.2 0.25: the
 * median is 0.1; p95 is at rank 2.85, 0.2 + 0.85 x 0.05. */
static void the_floor_is_of_all_ordered_pairs(void **state)
{
    es_spread floor;
    (void)state;
    assert_true(es_agreement_floor(&(es_repeats){(const int64_t[]){100, 200, 125, 200}, 2, 2}, &floor));
    near(floor.median, 0.1);
    near(floor.p95, 0.2425);
    assert_true(es_agreement_floor(&(es_repeats){(const int64_t[]){100, 200}, 1, 2}, &floor));
    near(floor.median, 0.0);
    near(floor.p95, 0.0);
}

/* The model says 110 and 150: 0.1 and 0.25 off the first run, 0.12 and 0.25 off the second. 0.1 0.12 0.25 0.25. */
static void the_error_is_of_every_run(void **state)
{
    es_spread error;
    (void)state;
    assert_true(es_agreement_error((const int64_t[]){110, 150}, &(es_repeats){(const int64_t[]){100, 200, 125, 200}, 2, 2}, &error));
    near(error.median, 0.185);
    near(error.p95, 0.25);
    near(es_agreement_off(0, 0), 0.0);
    near(es_agreement_off(7, 0), 7.0);
}

/* {1, 2, 3, 4} and {3, 4, 5, 6}: at 2 half of the one and nothing of the other. */
static void the_gap_of_two_distributions(void **state)
{
    const int64_t a[] = {4, 2, 3, 1}, b[] = {6, 5, 4, 3}, far[] = {10, 11, 12};
    (void)state;
    near(es_agreement_ks(a, 4, b, 4), 0.5);
    near(es_agreement_ks(a, 4, a, 4), 0.0);
    near(es_agreement_ks(a, 4, far, 3), 1.0);
    near(es_agreement_ks_critical(200, 200), 0.1358);
}

static void bounds_are_what_they_are_said_to_be(void **state)
{
    const es_agreement good = {.floor = {0.01, 0.05}, .error = {0.05, 0.15}, .bias = -0.03, .worst_class = 0.15, .ks = 0.3, .ks_critical = 0.2, .p50 = -0.05, .p95 = 0.10};
    static const struct { char criterion; bool virtual_machine; es_agreement a; es_acceptance want; } bad[] = {
        {'A', false, {.error = {0.051, 0}}, ES_ACCEPT_FAIL},
        {'A', false, {.error = {0.10, 0}, .floor = {0.08, 0}}, ES_ACCEPT_PASS},         /* 1.25 x the floor */
        {'A', false, {.error = {0.101, 0}, .floor = {0.08, 0}}, ES_ACCEPT_FAIL},
        {'A', false, {.error = {0, 0}, .floor = {0.101, 0}}, ES_ACCEPT_INVALID},
        {'B', false, {.error = {0, 0.151}}, ES_ACCEPT_FAIL},
        {'B', false, {.error = {0, 0.5}, .floor = {0, 0.4}}, ES_ACCEPT_PASS},
        {'C', false, {.bias = -0.031}, ES_ACCEPT_FAIL},
        {'C', true, {.bias = -0.031}, ES_ACCEPT_PASS},
        {'C', true, {.bias = 0.081}, ES_ACCEPT_FAIL},
        {'D', false, {.ks = 0.1, .ks_critical = 0.2, .p50 = 1}, ES_ACCEPT_PASS},
        {'D', false, {.ks = 0.2, .ks_critical = 0.2, .p50 = 0.051}, ES_ACCEPT_FAIL},
        {'D', false, {.ks = 0.2, .ks_critical = 0.2, .p95 = -0.101}, ES_ACCEPT_FAIL},
        {'F', false, {.worst_class = 0.151}, ES_ACCEPT_FAIL},
        {'F', false, {.floor = {0.2, 0}}, ES_ACCEPT_INVALID},
    };
    (void)state;
    for (int k = 0; k < ES_CRITERIA; k++)
        assert_int_equal(es_agreement_judge(&good, es_criteria[k], false), ES_ACCEPT_PASS);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(es_agreement_judge(&bad[i].a, bad[i].criterion, bad[i].virtual_machine), bad[i].want);
}

/* 100, 104, 150 with a spread of 5 %: the first two cannot be told apart, so two pairs count. */
static void only_pairs_that_differ_are_ranked(void **state)
{
    es_ranked row[] = {{100, 90, 0.05}, {104, 80, 0.05}, {150, 85, 0.05}};
    (void)state;
    es_ranking r = es_agreement_rank(row, 3);       /* 90 before 85: inverted; 80 before 85: ordered */
    assert_int_equal(r.pairs, 2);
    assert_int_equal(r.ordered, 1);
    assert_int_equal(r.inverted, 1);
    near(r.tau, 0.0);
    row[2].model = 90;                              /* a tie orders nothing and inverts nothing */
    r = es_agreement_rank(row, 3);
    assert_int_equal(r.ordered, 1);
    assert_int_equal(r.inverted, 0);
    near(r.tau, 0.5);
    row[0].spread = row[1].spread = row[2].spread = 0.6;
    r = es_agreement_rank(row, 3);
    assert_int_equal(r.pairs, 0);
    near(r.tau, 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_floor_is_of_all_ordered_pairs),
        cmocka_unit_test(the_error_is_of_every_run),
        cmocka_unit_test(the_gap_of_two_distributions),
        cmocka_unit_test(bounds_are_what_they_are_said_to_be),
        cmocka_unit_test(only_pairs_that_differ_are_ranked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
