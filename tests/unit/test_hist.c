/* Histogram: exact below the limit, within a hundredth above it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "sim/base/hist.h"
#include "sim/base/rng.h"

static void an_empty_histogram_answers_zero(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_hist hist;
    assert_true(es_hist_init(&hist, &arena, 10));
    assert_int_equal(es_hist_quantile(&hist, 0.5), 0);
    assert_true(es_hist_mean(&hist) == 0.0);
    es_hist_free(&hist);
    es_arena_free(&arena);
}

static void quantiles_are_nearest_rank_and_exact_below_the_limit(void **state)
{
    (void)state;
    static const struct { double q; int64_t value; } expect[] = {
        { 0.0, 1 }, { 0.005, 1 }, { 0.01, 1 }, { 0.07, 7 }, { 0.5, 50 }, { 0.501, 51 }, { 0.95, 95 }, { 0.99, 99 }, { 1.0, 100 },
    };
    es_arena arena = { 0 };
    es_hist hist;
    assert_true(es_hist_init(&hist, &arena, 100));
    for (int64_t v = 100; v >= 1; v--)
        es_hist_add(&hist, v);
    for (size_t i = 0; i < sizeof expect / sizeof expect[0]; i++)
        assert_int_equal(es_hist_quantile(&hist, expect[i].q), expect[i].value);
    assert_true(hist.exact);
    assert_true(es_hist_mean(&hist) == 50.5);
    es_hist_free(&hist);
    es_arena_free(&arena);
}

static void samples_may_be_added_after_a_quantile_was_asked(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_hist hist;
    assert_true(es_hist_init(&hist, &arena, 100000));
    for (int64_t v = 5000; v > 0; v--) {
        es_hist_add(&hist, v);
        if (v % 1000 == 0)
            assert_int_equal(es_hist_quantile(&hist, 1.0), 5000);
    }
    assert_int_equal(es_hist_quantile(&hist, 0.5), 2500);
    es_hist_free(&hist);
    es_arena_free(&arena);
}

static void beyond_the_limit_quantiles_err_by_less_than_a_hundredth(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_hist rough, exact;
    assert_true(es_hist_init(&rough, &arena, 1000));
    assert_true(es_hist_init(&exact, &arena, 1000000));
    for (uint64_t i = 0; i < 50000; i++) {
        int64_t v = (int64_t)(es_draw(1, i, 0, 0, 0) >> (1 + i % 60));
        es_hist_add(&rough, v);
        es_hist_add(&exact, v);
    }
    assert_false(rough.exact);
    assert_true(exact.exact);
    for (int i = 0; i <= 1000; i++) {
        int64_t is = es_hist_quantile(&rough, i / 1000.0), want = es_hist_quantile(&exact, i / 1000.0);
        assert_true(fabs((double)is - (double)want) <= 0.01 * (double)want);
    }
    assert_int_equal(es_hist_quantile(&rough, 1.0), exact.max);
    assert_true(es_hist_mean(&rough) == es_hist_mean(&exact));
    es_hist_free(&rough);
    es_hist_free(&exact);
    es_arena_free(&arena);
}

static void a_limit_of_zero_and_the_largest_value_are_fine(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_hist hist;
    assert_true(es_hist_init(&hist, &arena, 0));
    es_hist_add(&hist, INT64_MAX);
    es_hist_add(&hist, 127);
    es_hist_add(&hist, 0);
    assert_int_equal(es_hist_quantile(&hist, 0.0), 0);
    assert_int_equal(es_hist_quantile(&hist, 0.5), 127);
    assert_int_equal(es_hist_quantile(&hist, 1.0), INT64_MAX);
    assert_false(hist.failed);
    es_hist_free(&hist);
    es_arena_free(&arena);
}

/* The bins of a histogram that kept its samples and of one that did not are the same, so results of both kinds add up. */
static void the_bins_are_the_same_whether_samples_were_kept_or_not(void **state)
{
    (void)state;
    static const int64_t values[] = {INT64_MAX, 0, 127, 128, 1000000, 1000001, 300, 301, 0};
    es_arena arena = { 0 };
    es_hist exact, rough;
    assert_true(es_hist_init(&exact, &arena, 100) && es_hist_init(&rough, &arena, 0));
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        es_hist_add(&exact, values[i]);
        es_hist_add(&rough, values[i]);
    }
    size_t a = 0, b = 0;
    uint64_t count = 0;
    int64_t above = 0;
    es_hist_part x, y;
    while (es_hist_next(&exact, &a, &x)) {
        assert_true(es_hist_next(&rough, &b, &y));
        assert_true(x.low == y.low && x.high == y.high && x.count == y.count);
        assert_true(x.low >= above && x.high > x.low && (x.high - x.low) <= x.low / 128 + 1);
        above = x.high;
        count += x.count;
    }
    assert_false(es_hist_next(&rough, &b, &y));
    assert_int_equal(count, sizeof values / sizeof *values);
    assert_int_equal(above, INT64_MAX);
    es_hist_free(&exact);
    es_hist_free(&rough);
    es_arena_free(&arena);
}

static void a_linear_quantile_lies_between_two_samples(void **state)
{
    (void)state;
    es_arena arena = {0};
    es_hist hist;
    assert_true(es_hist_init(&hist, &arena, 100));
    for (int64_t v = 4; v >= 1; v--)
        es_hist_add(&hist, 10 * v);
    assert_true(es_hist_quantile_linear(&hist, 0.0) == 10.0);
    assert_true(es_hist_quantile_linear(&hist, 0.5) == 25.0);
    assert_true(es_hist_quantile_linear(&hist, 0.25) == 17.5);
    assert_true(es_hist_quantile_linear(&hist, 1.0) == 40.0);
    assert_int_equal(es_hist_quantile(&hist, 0.5), 20);
    es_hist_free(&hist);
    es_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_linear_quantile_lies_between_two_samples),
        cmocka_unit_test(an_empty_histogram_answers_zero),
        cmocka_unit_test(quantiles_are_nearest_rank_and_exact_below_the_limit),
        cmocka_unit_test(samples_may_be_added_after_a_quantile_was_asked),
        cmocka_unit_test(beyond_the_limit_quantiles_err_by_less_than_a_hundredth),
        cmocka_unit_test(a_limit_of_zero_and_the_largest_value_are_fine),
        cmocka_unit_test(the_bins_are_the_same_whether_samples_were_kept_or_not),
    };
    return cmocka_run_group_tests_name("hist", tests, NULL, NULL);
}
