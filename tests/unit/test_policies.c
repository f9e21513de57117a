/* Policies: facts made by hand go in, victims come out. The stage is that of tests/support/policy_stage.h. */
#include "tests/support/policy_stage.h"

extern const es_policy es_policy_lru, es_policy_lfu, es_policy_fifo, es_policy_random, es_policy_static, es_policy_hybrid, es_policy_shift_cache,
    es_policy_prefetched_first, es_policy_multi_factor, es_policy_predictive;

/* ---- what every policy promises ---- */

typedef struct subject {
    const es_policy *policy;
    const char *options;
} subject;

static const subject subjects[] = {
    {&es_policy_lru, NULL}, {&es_policy_lfu, NULL}, {&es_policy_fifo, NULL}, {&es_policy_random, NULL}, {&es_policy_hybrid, NULL},
    {&es_policy_shift_cache, "{\"window\": 2, \"sets\": 16}"}, {&es_policy_prefetched_first, NULL},
    {&es_policy_multi_factor, NULL}, {&es_policy_predictive, NULL},
};

enum { SUBJECTS = sizeof subjects / sizeof *subjects };

static void what_is_pinned_or_not_there_yet_is_never_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options});
        stage_use(&s, "0 1 2 3");
        s.guard[0] = 1u << 0 | 1u << 2;
        stage_set(&s, CACHE, 3, false);             /* its copy has not landed */
        assert_int_equal(stage_victims(&s, (es_need){.units = 4}, out), 1);
        assert_int_equal(out[0], 1);
        s.guard[0] = 0;
        stage_set(&s, CACHE, 3, true);
        assert_int_equal(stage_victims(&s, (es_need){.units = 4}, out), 3);
        stage_close(&s);
    }
}

static void a_need_for_all_names_all_or_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options});
        stage_use(&s, "0 1 2 3");
        s.guard[0] = 1u << 0;
        assert_int_equal(stage_victims(&s, (es_need){.units = 4, .why = ES_GUESS, .all = true}, out), 0);
        assert_int_equal(stage_victims(&s, (es_need){.units = 3, .why = ES_GUESS, .all = true}, out), 3);
        stage_close(&s);
    }
}

static void no_more_is_named_than_is_needed(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options, .unit = {10, 30}});
        stage_use(&s, "0 1 2 3");
        assert_int_equal(stage_victims(&s, (es_need){.units = 11}, out), 2);
        stage_use(&s, "64 65");
        assert_int_equal(stage_victims(&s, (es_need){.units = 1}, out), 1);
        stage_close(&s);
    }
}

static void what_was_named_is_forgotten(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options});
        stage_use(&s, "0 1 2 3");
        assert_int_equal(stage_victims(&s, (es_need){.units = 4}, out), 4);
        assert_int_equal(stage_victims(&s, (es_need){.units = 4}, out), 0);
        stage_use(&s, "2");
        assert_int_equal(stage_victims(&s, (es_need){.units = 4}, out), 1);
        assert_int_equal(out[0], 2);
        stage_close(&s);
    }
}

static void a_layer_with_a_room_of_its_own_gives_up_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options, .per_layer = true});
        stage_use(&s, "0 1");
        stage_use(&s, "64 65");
        assert_int_equal(stage_victims(&s, (es_need){.bucket = 1, .units = 9}, out), 2);
        assert_int_equal(out[0] / STRIDE, 1);
        assert_int_equal(stage_victims(&s, (es_need){.bucket = 0, .units = 9}, out), 2);
        stage_close(&s);
    }
}

static void what_is_used_in_place_is_never_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options});
        stage_use_keeping(&s, "0 1 2", "1");
        assert_int_equal(stage_victims(&s, (es_need){.units = 9}, out), 1);
        assert_int_equal(out[0], 1);
        stage_close(&s);
    }
}

static void a_reset_forgets_all_residents(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options});
        stage_use(&s, "0 1 2");
        memset(s.mask, 0, sizeof s.mask);
        stage_tell(&s, (es_fact){.kind = ES_FACT_RESET});
        assert_int_equal(stage_victims(&s, (es_need){.units = 9}, out), 0);
        stage_use(&s, "1");
        assert_int_equal(stage_victims(&s, (es_need){.units = 9}, out), 1);
        stage_close(&s);
    }
}

static void a_guess_can_leave_once_it_has_landed(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options});
        stage_move(&s, ES_FACT_START_GUESS, 5, HOME, CACHE);
        assert_int_equal(stage_victims(&s, (es_need){.units = 1}, out), 1);
        assert_int_equal(out[0], 5);
        stage_close(&s);
    }
}

static void lower_tiers_have_residents_of_their_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options});
        stage_use(&s, "0 1 2");
        assert_int_equal(stage_victims(&s, (es_need){.units = 2}, out), 2);
        stage_move(&s, ES_FACT_ARRIVE_LOW, out[0], CACHE, DRAM);
        stage_move(&s, ES_FACT_ARRIVE_LOW, out[1], CACHE, DRAM);
        es_oid first = out[0], second = out[1];
        stage_move(&s, ES_FACT_LEAVE_LOW, first, DRAM, CACHE);
        assert_int_equal(stage_victims(&s, (es_need){.tier = DRAM, .bucket = DRAM, .units = 9, .why = ES_DEMOTE}, out), 1);
        assert_int_equal(out[0], second);
        stage_close(&s);
    }
}

/* ---- each order ---- */

static void lru_names_the_least_recently_used(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_lru, (setting){0});
    stage_use(&s, "0 1 2 3");
    stage_use(&s, "0 2");
    expect_victims(&s, 0, 3, "1 3 0");
    stage_close(&s);
}

static void lru_places_what_comes_down_by_its_last_use(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_lru, (setting){0});
    stage_use(&s, "0 1 2");
    expect_victims(&s, 0, 3, "0 1 2");
    stage_move(&s, ES_FACT_ARRIVE_LOW, 2, CACHE, DRAM);
    stage_move(&s, ES_FACT_ARRIVE_LOW, 0, CACHE, DRAM);
    stage_move(&s, ES_FACT_ARRIVE_LOW, 1, CACHE, DRAM);
    expect_need(&s, (es_need){.tier = DRAM, .bucket = DRAM, .units = 3}, "0 1 2");
    stage_close(&s);
}

static void fifo_does_not_care_about_use(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_fifo, (setting){0});
    stage_use(&s, "3 1");
    stage_use(&s, "0 1 3");
    stage_use(&s, "3");
    expect_victims(&s, 0, 2, "3 1");
    stage_use(&s, "3");
    expect_victims(&s, 0, 2, "0 3");
    stage_close(&s);
}

static void fifo_counts_a_guess_from_the_start_of_its_copy(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_fifo, (setting){0});
    stage_move(&s, ES_FACT_START_GUESS, 5, HOME, CACHE);
    stage_use(&s, "2");
    stage_use(&s, "5");             /* a hit: it keeps its place */
    expect_victims(&s, 0, 2, "5 2");
    stage_close(&s);
}

static void random_names_each_as_often(void **state)
{
    (void)state;
    uint32_t named[8] = {0};
    for (uint64_t seed = 0; seed < 4000; seed++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, &es_policy_random, (setting){.seed = seed});
        stage_use(&s, "0 1 2 3 4");
        s.guard[0] = 1u << 1;
        stage_victims(&s, (es_need){.units = 1}, out);
        named[out[0]]++;
        stage_close(&s);
    }
    assert_int_equal(named[1], 0);
    for (uint32_t i = 0; i < 5; i++)
        assert_true(i == 1 || (named[i] > 900 && named[i] < 1100));     /* 1000 +- 3.6 standard deviations */
}

static void random_is_the_same_for_a_seed_whatever_other_buckets_draw(void **state)
{
    (void)state;
    stage a, b;
    es_oid from_a[OBJECTS], from_b[OBJECTS];
    stage_open(&a, &es_policy_random, (setting){.seed = 7, .per_layer = true});
    stage_open(&b, &es_policy_random, (setting){.seed = 7, .per_layer = true});
    stage_use(&a, "0 1 2 3 4 5 6 7");
    stage_use(&b, "0 1 2 3 4 5 6 7");
    stage_use(&b, "64 65 66");
    stage_victims(&b, (es_need){.bucket = 1, .units = 2}, from_b);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(stage_victims(&a, (es_need){.units = 2}, from_a), 2);
        assert_int_equal(stage_victims(&b, (es_need){.units = 2}, from_b), 2);
        assert_memory_equal(from_a, from_b, 2 * sizeof *from_a);
    }
    stage_close(&a);
    stage_close(&b);
}

/* ---- pins ---- */

static void expect_initial(stage *s, const char *expected)
{
    es_oid out[OBJECTS];
    char text[256] = "";
    size_t n = s->policy->initial(s->self, CACHE, out, OBJECTS);
    for (size_t i = 0; i < n; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%u", i ? " " : "", out[i]);
        stage_set(s, CACHE, out[i], true);
    }
    assert_string_equal(text, expected);
    assert_int_equal(s->policy->initial(s->self, DRAM, out, OBJECTS), 0);
}

static void static_pins_the_most_used_and_lets_nothing_else_in(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_static, (setting){.uses = "5 5 5 64 64 2 2 7 1 66", .room = 4});
    expect_initial(&s, "5 2 64 1");         /* between equals the lowest id; 7 and 66 no longer fit */
    expect_victims(&s, 0, 4, "");
    expect_admitted(&s, "3 7", "");
    stage_close(&s);
}

static void static_brings_a_pin_back_after_a_reset(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_static, (setting){.uses = "5 5 2"});
    expect_admitted(&s, "5 3 2", "5 2");
    stage_close(&s);
}

static void static_pins_as_many_as_it_is_told(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_static, (setting){.uses = "5 5 5 64 64 2", .options = "{\"count\": 2}"});
    expect_initial(&s, "5 64");
    stage_close(&s);
}

static void static_pins_nothing_that_was_never_used(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_static, (setting){.uses = "3", .room = 100});
    expect_initial(&s, "3");
    stage_close(&s);
}

static void static_keeps_to_each_layers_room(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_static, (setting){.uses = "0 0 0 0 1 1 1 2 2 64", .room = 2, .per_layer = true});
    expect_initial(&s, "0 1 64");
    stage_close(&s);
}

static void static_passes_over_what_is_too_large(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_static, (setting){.uses = "64 64 64 65 65 0", .room = 100, .unit = {10, 60}});
    expect_initial(&s, "64 0");
    stage_close(&s);
}

static void hybrid_never_names_a_pin(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_hybrid, (setting){.uses = "1 1 3 3 5", .options = "{\"pins\": 2, \"share\": 1}"});
    expect_initial(&s, "1 3");
    stage_use(&s, "1 0 3 2");
    stage_use(&s, "0");
    expect_victims(&s, 0, 4, "2 0");
    stage_close(&s);
}

static void hybrid_holds_all_its_limits(void **state)
{
    (void)state;
    static const struct { const char *options, *pinned; } cases[] = {
        {"{\"share\": 1}", "1 3 5 0"},
        {"{\"share\": 1, \"min_uses\": 2}", "1 3 5"},
        {"{\"share\": 0.5}", "1 3"},
        {"{\"share\": 0.74}", "1 3"},
        {"{\"share\": 1, \"pins\": 1}", "1"},
        {"{\"share\": 0}", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage s;
        stage_open(&s, &es_policy_hybrid, (setting){.uses = "1 1 1 3 3 3 5 5 0", .options = cases[i].options});
        expect_initial(&s, cases[i].pinned);
        stage_close(&s);
    }
}

static void hybrid_reads_in_place_where_pins_leave_no_room(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_hybrid, (setting){.uses = "0 1 2 3", .options = "{\"share\": 1}"});
    assert_true(s.policy->admits(s.self));
    expect_admitted(&s, "3 5", "3");
    stage_close(&s);
    stage_open(&s, &es_policy_hybrid, (setting){.uses = "0 1 2 3", .options = "{\"share\": 0.75}"});
    assert_false(s.policy->admits(s.self));
    expect_admitted(&s, "3 5", "3 5");
    stage_close(&s);
}

/* ---- ShiftCache ---- */

/* One token: an event in each layer. */
static void stage_token(stage *s, const char *low, const char *high)
{
    stage_use(s, low);
    stage_use(s, high);
}

static void shift_cache_weighs_habit_before_recency(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_shift_cache, (setting){.options = "{\"window\": 4, \"jsd_reweighting\": false, \"transition_retention\": false}"});
    for (int i = 0; i < 4; i++)
        stage_token(&s, "0", "64");
    stage_token(&s, "1", "65");
    /* 0 and 64: 0.55 and some of the short window; 1 and 65 are only younger, 65 the youngest */
    expect_victims(&s, 0, 2, "1 65");
    stage_close(&s);
}

static void shift_cache_forgets_faster_while_the_routing_shifts(void **state)
{
    (void)state;
    static const struct { const char *options, *victim; } cases[] = {
        {"{\"window\": 4, \"jsd_reweighting\": false, \"transition_retention\": false}", "1"},
        {"{\"window\": 4, \"jsd_reweighting\": true, \"transition_retention\": false}", "0"},
    };
    for (size_t i = 0; i < 2; i++) {
        stage s;
        stage_open(&s, &es_policy_shift_cache, (setting){.options = cases[i].options});
        for (int t = 0; t < 10; t++)
            stage_token(&s, "0", "64");
        for (int t = 0; t < 2; t++)
            stage_token(&s, "1", "65");         /* the score is now 0.31 bits */
        s.guard[1] = UINT64_MAX;                /* between 0 and 1 */
        expect_victims(&s, 0, 1, cases[i].victim);
        stage_close(&s);
    }
}

static void shift_cache_keeps_what_often_followed(void **state)
{
    (void)state;
    static const struct { const char *options, *victim; } cases[] = {
        {"{\"window\": 7, \"jsd_reweighting\": false, \"transition_retention\": false}", "2"},
        {"{\"window\": 7, \"jsd_reweighting\": false, \"transition_retention\": true}", "1"},
    };
    for (size_t i = 0; i < 2; i++) {
        stage s;
        stage_open(&s, &es_policy_shift_cache, (setting){.options = cases[i].options});
        stage_token(&s, "7", "71");
        for (int t = 0; t < 12; t++) {
            stage_token(&s, "0", "64");
            stage_token(&s, "2", "66");
            stage_token(&s, "1", "65");
        }
        stage_token(&s, "0", "64");
        /* 1 and 2 were used as often in both windows, 2 a little longer ago; but 2 is what follows 0 */
        s.guard[0] = 1u << 0 | 1u << 7;
        s.guard[1] = UINT64_MAX;
        expect_victims(&s, 0, 1, cases[i].victim);
        stage_close(&s);
    }
}

static void shift_cache_moves_once_per_token_even_when_its_last_layer_is_missing(void **state)
{
    (void)state;
    stage a, b;
    es_oid from_a[OBJECTS], from_b[OBJECTS];
    stage_open(&a, &es_policy_shift_cache, (setting){.options = "{\"window\": 2}"});
    stage_open(&b, &es_policy_shift_cache, (setting){.options = "{\"window\": 2}"});
    for (int t = 0; t < 3; t++) {
        stage_use(&a, "0");
        stage_use(&b, "0");
    }
    stage_use(&a, "1");
    stage_use(&b, "1");
    assert_int_equal(stage_victims(&a, (es_need){.units = 1}, from_a), stage_victims(&b, (es_need){.units = 1}, from_b));
    assert_int_equal(from_a[0], 1);
    assert_int_equal(from_b[0], 1);
    stage_close(&a);
    stage_close(&b);
}

static void shift_cache_refuses_thresholds_the_wrong_way_round(void **state)
{
    (void)state;
    stage s;
    es_err err = {0};
    assert_int_equal(stage_try(&s, &es_policy_shift_cache, (setting){.options = "{\"shift_bits\": 0.1, \"rearm_bits\": 0.2}"}, &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "rearm_bits: 0.2 is above shift_bits, 0.1"));
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_pinned_or_not_there_yet_is_never_named),
        cmocka_unit_test(a_need_for_all_names_all_or_nothing),
        cmocka_unit_test(no_more_is_named_than_is_needed),
        cmocka_unit_test(what_was_named_is_forgotten),
        cmocka_unit_test(a_layer_with_a_room_of_its_own_gives_up_its_own),
        cmocka_unit_test(what_is_used_in_place_is_never_named),
        cmocka_unit_test(a_reset_forgets_all_residents),
        cmocka_unit_test(a_guess_can_leave_once_it_has_landed),
        cmocka_unit_test(lower_tiers_have_residents_of_their_own),
        cmocka_unit_test(lru_names_the_least_recently_used),
        cmocka_unit_test(lru_places_what_comes_down_by_its_last_use),
        cmocka_unit_test(fifo_does_not_care_about_use),
        cmocka_unit_test(fifo_counts_a_guess_from_the_start_of_its_copy),
        cmocka_unit_test(random_names_each_as_often),
        cmocka_unit_test(random_is_the_same_for_a_seed_whatever_other_buckets_draw),
        cmocka_unit_test(static_pins_the_most_used_and_lets_nothing_else_in),
        cmocka_unit_test(static_brings_a_pin_back_after_a_reset),
        cmocka_unit_test(static_pins_as_many_as_it_is_told),
        cmocka_unit_test(static_pins_nothing_that_was_never_used),
        cmocka_unit_test(static_keeps_to_each_layers_room),
        cmocka_unit_test(static_passes_over_what_is_too_large),
        cmocka_unit_test(hybrid_never_names_a_pin),
        cmocka_unit_test(hybrid_holds_all_its_limits),
        cmocka_unit_test(hybrid_reads_in_place_where_pins_leave_no_room),
        cmocka_unit_test(shift_cache_weighs_habit_before_recency),
        cmocka_unit_test(shift_cache_forgets_faster_while_the_routing_shifts),
        cmocka_unit_test(shift_cache_keeps_what_often_followed),
        cmocka_unit_test(shift_cache_moves_once_per_token_even_when_its_last_layer_is_missing),
        cmocka_unit_test(shift_cache_refuses_thresholds_the_wrong_way_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
