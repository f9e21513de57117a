/* Prefetched first: guesses that were not used yet leave before all others, and become like others by their first use. */
#include "tests/support/policy_stage.h"

extern const es_policy es_policy_prefetched_first;

/* Used 0 and 64, then guesses 5, 3, 66 in that order. */
static void stage_guesses(stage *s, const char *options)
{
    stage_open(s, &es_policy_prefetched_first, (setting){.options = options});
    stage_use(s, "0 1");
    stage_use(s, "64");
    stage_move(s, ES_FACT_START_GUESS, 5, HOME, CACHE);
    stage_move(s, ES_FACT_START_GUESS, 3, HOME, CACHE);
    stage_move(s, ES_FACT_START_GUESS, 66, HOME, CACHE);
}

static void unused_guesses_leave_before_the_least_recently_used(void **state)
{
    static const struct { const char *options, *order; } cases[] = {
        {NULL, "3 5 66 0 1 64"}, {"{\"first\": \"oldest\"}", "5 3 66 0 1 64"}, {"{\"first\": \"newest\"}", "66 3 5 0 1 64"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage s;
        stage_guesses(&s, cases[i].options);
        expect_victims(&s, 0, 6, cases[i].order);
        stage_close(&s);
    }
}

static void a_guess_that_was_used_is_one_of_the_used(void **state)
{
    (void)state;
    stage s;
    stage_guesses(&s, NULL);
    stage_use(&s, "3 0");
    expect_victims(&s, 0, 3, "5 66 1");
    expect_victims(&s, 0, 3, "64 3 0");
    stage_close(&s);
}

static void guesses_and_used_together_meet_a_need_for_all_or_are_kept(void **state)
{
    (void)state;
    stage s;
    es_oid out[OBJECTS];
    stage_guesses(&s, NULL);
    s.guard[0] = 1u << 3 | 1u << 0;
    assert_int_equal(stage_victims(&s, (es_need){.units = 5, .why = ES_GUESS, .all = true}, out), 0);
    assert_int_equal(stage_victims(&s, (es_need){.units = 4, .why = ES_GUESS, .all = true}, out), 4);
    assert_int_equal(out[0], 5);
    assert_int_equal(out[3], 64);
    s.guard[0] = 0;
    expect_victims(&s, 0, 2, "3 0");
    stage_close(&s);
}

static void a_guess_used_on_its_way_is_no_guess_any_more(void **state)
{
    (void)state;
    stage s;
    stage_guesses(&s, NULL);
    stage_set(&s, CACHE, 3, false);             /* its copy has not landed */
    stage_use(&s, "3");
    expect_victims(&s, 0, 6, "5 66 0 1 64 3");
    stage_close(&s);
}

static void without_caching_nothing_stays_for_having_been_used(void **state)
{
    (void)state;
    stage s;
    stage_guesses(&s, "{\"caching\": false}");
    expect_admitted(&s, "6 7", "");
    stage_use(&s, "5");
    expect_victims(&s, 0, 5, "0 1 64 5 3");
    stage_close(&s);
    stage_open(&s, &es_policy_prefetched_first, (setting){0});
    assert_false(es_policy_prefetched_first.admits(s.self));
    expect_admitted(&s, "6 7", "6 7");
    stage_close(&s);
}

static void without_caching_a_need_for_all_takes_both_kinds_too(void **state)
{
    (void)state;
    stage s;
    es_oid out[OBJECTS];
    stage_guesses(&s, "{\"caching\": false}");
    assert_int_equal(stage_victims(&s, (es_need){.units = 7, .why = ES_GUESS, .all = true}, out), 0);
    assert_int_equal(stage_victims(&s, (es_need){.units = 5, .why = ES_GUESS, .all = true}, out), 5);
    assert_int_equal(out[2], 64);
    assert_int_equal(out[3], 3);
    stage_close(&s);
}

static void a_reset_forgets_unused_guesses_too(void **state)
{
    (void)state;
    stage s;
    es_oid out[OBJECTS];
    stage_guesses(&s, NULL);
    stage_tell(&s, (es_fact){.kind = ES_FACT_RESET});
    assert_int_equal(stage_victims(&s, (es_need){.units = 9}, out), 0);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unused_guesses_leave_before_the_least_recently_used),
        cmocka_unit_test(a_guess_that_was_used_is_one_of_the_used),
        cmocka_unit_test(guesses_and_used_together_meet_a_need_for_all_or_are_kept),
        cmocka_unit_test(a_guess_used_on_its_way_is_no_guess_any_more),
        cmocka_unit_test(without_caching_nothing_stays_for_having_been_used),
        cmocka_unit_test(without_caching_a_need_for_all_takes_both_kinds_too),
        cmocka_unit_test(a_reset_forgets_unused_guesses_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
