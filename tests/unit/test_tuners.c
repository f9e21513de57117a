/* Tuners of the core's own options: rooms that change while the run goes on, and how many guesses are fetched.
 *
 * The machine of most cases: one layer, an expert per token, copies of 1000 ns, 100 ns of compute; lru. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/rig.h"

/* Experts 0 .. wanted - 1 in turn. */
static void stage(rig *r, bool timed, const char *capacity, uint32_t wanted, uint32_t tokens)
{
    rig_open(r, 1, 8, 1, 0, tokens);
    for (uint32_t i = 0; i < tokens; i++)
        *rig_token(r, 0, ES_DECODE, false) = (uint16_t)(i % wanted);
    rig_plain(r, timed, capacity, "{\"latency\": 0, \"rate\": \"1GB/s\"}", "{\"dense\": \"50ns\", \"expert\": \"50ns\"}");
    r->plan.policy = rig_part(r, ES_KIND_POLICY, "lru", NULL, "policy");
    rig_observe(r, "summary");
    rig_observe(r, "audit");
}

static void tune(rig *r, const char *name, const char *options)
{
    rig_tune(r, rig_part(r, ES_KIND_TUNER, name, options, "tuner"));
}

static void expect_ok(rig *r)
{
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
    assert_int_equal(r->allocations[0], r->allocations[1]);
}

static double knob(const rig *r, const char *path, const char *what)
{
    const es_json *one = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(r->report, "knobs"), path);
    assert_non_null(one);
    return cJSON_GetObjectItemCaseSensitive(one, what)->valuedouble;
}

/* ---- rooms ---- */

/* Four experts in turn in four slots; from step 8 on in two, where lru always misses; from step 16 on in four again. The two that stay
 * when the room shrinks are the newest, so step 8 finds nothing of what it wants. */
static void residents_leave_when_the_room_shrinks_and_come_back_when_it_grows(void **state)
{
    (void)state;
    for (int timed = 0; timed <= 1; timed++) {
        rig r;
        stage(&r, timed, "4slots", 4, 28);
        tune(&r, "schedule", "{\"knob\": \"tiers.cache.share\", \"points\": [{\"step\": 8, \"value\": 0.5}, {\"step\": 16, \"value\": 1}]}");
        expect_ok(&r);
        /* 4 cold; 4 hits; 8 misses; 2 are there at step 16: 2 more misses for those that were driven out, then hits */
        assert_int_equal(rig_count(&r, "cache.misses"), 4 + 8 + 2);
        assert_int_equal(rig_count(&r, "tiers.cache.evictions"), 2 + 8);
        assert_int_equal(rig_count(&r, "tiers.cache.capacity"), 4);
        assert_true(knob(&r, "tiers.cache.share", "turns") == 2);
        rig_close(&r);
    }
}

static void a_share_in_the_config_is_a_smaller_capacity(void **state)
{
    (void)state;
    int64_t misses[2];
    for (int shared = 0; shared <= 1; shared++) {
        rig r;
        stage(&r, true, shared ? "10slots" : "3slots", 4, 28);
        r.tier[0].share = shared ? 0.3 : 1;
        expect_ok(&r);
        misses[shared] = rig_count(&r, "cache.misses");
        assert_int_equal(rig_count(&r, "tiers.cache.capacity"), 3);
        rig_close(&r);
    }
    assert_int_equal(misses[0], misses[1]);
}

/* However small the share: what is pinned stays and one expert has room beside it. */
static void there_is_always_room_for_the_pins_and_one_expert(void **state)
{
    (void)state;
    rig r;
    stage(&r, true, "6slots", 5, 40);
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, "hybrid", "{\"pins\": 2}", "policy");
    tune(&r, "schedule", "{\"knob\": \"tiers.cache.share\", \"points\": [{\"step\": 10, \"value\": 0}]}");
    expect_ok(&r);
    assert_int_equal(rig_view(&r)->bucket_room[0], 3);
    assert_int_equal(rig_count(&r, "tiers.cache.held"), 3);
    assert_int_equal(rig_view(&r)->tier[0].resident[0] & 3, 3);
    rig_close(&r);
}

/* Copies of 10 us: at 10.05 us the first guess of layer 1 starts, which no event wants; at 12.05 us, in step 1, the room shrinks to one.
 * What is resident leaves, the guess keeps its space and lands. */
static void what_is_on_its_way_is_honoured(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, 2, 8, 1, 3, 3);
    for (uint32_t i = 0; i < 3; i++) {
        *rig_token(&r, 0, ES_DECODE, false) = 0;
        memcpy(rig_guess(&r) + 3, (uint16_t[]){1, 2, 3}, 3 * sizeof(uint16_t));
    }
    rig_plain(&r, true, "4slots", "{\"latency\": \"10us\"}", "{\"dense\": \"50ns\", \"expert\": \"1950ns\"}");
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, "lru", NULL, "policy");
    r.plan.predictor = rig_part(&r, ES_KIND_PREDICTOR, "recorded", NULL, "predictor");
    rig_observe(&r, "summary");
    rig_observe(&r, "audit");
    tune(&r, "schedule", "{\"knob\": \"tiers.cache.share\", \"points\": [{\"step\": 1, \"value\": 0.25}]}");
    expect_ok(&r);
    assert_int_equal(rig_view(&r)->bucket_room[0], 1);
    assert_int_equal(rig_count(&r, "tiers.cache.peak"), 2);
    assert_int_equal(rig_count(&r, "cache.guess_copies"), 3);
    assert_int_equal(rig_count(&r, "cache.misses"), 3);     /* of expert 0: it leaves for the room, later for guesses */
    assert_int_equal(rig_count(&r, "tiers.cache.held"), 1);
    rig_close(&r);
}

/* Who leaves for a smaller room is written back at the usual price, and the run waits for nobody. */
static void a_smaller_room_demotes_by_write_backs(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, 1, 8, 1, 0, 30);
    for (uint32_t i = 0; i < 30; i++)
        *rig_token(&r, 0, ES_DECODE, false) = (uint16_t)(i % 4);
    r.plan.timed = true;
    rig_tier(&r, "cache", "4slots", "gpu")->write_back = true;
    r.tier[0].demote = "dram";
    rig_tier(&r, "dram", "8slots", NULL);
    rig_tier(&r, "home", NULL, NULL);
    rig_channel(&r, "link", "affine", "{\"latency\": 0, \"rate\": \"1GB/s\"}");
    rig_channel(&r, "gpu", "compute", "{\"dense\": \"50ns\", \"expert\": \"50ns\"}");
    rig_link(&r, "home", "cache", "[\"link\"]");
    rig_link(&r, "dram", "cache", "[\"link\"]");
    rig_link(&r, "cache", "dram", "[\"link\"]");
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, "lru", NULL, "policy");
    rig_observe(&r, "summary");
    rig_observe(&r, "audit");
    tune(&r, "schedule", "{\"knob\": \"tiers.cache.share\", \"points\": [{\"step\": 12, \"value\": 0.25}]}");
    expect_ok(&r);
    assert_int_equal(rig_view(&r)->bucket_room[0], 1);
    assert_true(rig_view(&r)->tally->demotions >= 3);
    assert_true(rig_count(&r, "tiers.dram.held") >= 3);
    rig_close(&r);
}

static void a_lower_tier_changes_too(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, 1, 8, 1, 0, 40);
    for (uint32_t i = 0; i < 40; i++)
        *rig_token(&r, 0, ES_DECODE, false) = (uint16_t)(i % 6);
    rig_tier(&r, "cache", "1slots", "gpu")->demote = "dram";
    rig_tier(&r, "dram", "6slots", NULL);
    rig_tier(&r, "home", NULL, NULL);
    rig_link(&r, "home", "cache", NULL);
    rig_link(&r, "dram", "cache", NULL);
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, "lru", NULL, "policy");
    rig_observe(&r, "summary");
    rig_observe(&r, "audit");
    tune(&r, "schedule", "{\"knob\": \"tiers.dram.share\", \"points\": [{\"step\": 20, \"value\": 0.5}]}");
    expect_ok(&r);
    assert_int_equal(rig_view(&r)->bucket_room[1], 3);
    assert_int_equal(rig_count(&r, "tiers.dram.held"), 3);
    rig_close(&r);
}

/* ---- schedule ---- */

/* 8 slots over ten steps down to 2: at step i the room is floor(8 (1 - 0.75 i / 10)). */
static void a_linear_schedule_goes_step_by_step(void **state)
{
    (void)state;
    for (uint32_t steps = 1; steps <= 14; steps++) {
        rig r;
        stage(&r, false, "8slots", 8, steps);
        tune(&r, "schedule", "{\"knob\": \"tiers.cache.share\", \"between\": \"linear\", \"points\": [{\"step\": 0, \"value\": 1}, {\"step\": 10, \"value\": 0.25}]}");
        expect_ok(&r);
        uint32_t i = steps - 1 < 10 ? steps - 1 : 10;
        assert_int_equal(rig_view(&r)->bucket_room[0], (80 - 6 * i) / 10);
        rig_close(&r);
    }
}

/* Misses of 1100 ns: 3000 ns lie in the third step, whose end is the first moment at which nothing is pinned. */
static void times_go_by_the_clock(void **state)
{
    (void)state;
    rig r;
    stage(&r, true, "4slots", 4, 9);
    r.trace.bytes[0] = 1000;
    tune(&r, "schedule", "{\"knob\": \"tiers.cache.share\", \"points\": [{\"at\": \"3us\", \"value\": 0.25}, {\"at\": \"6us\", \"value\": 0.75}]}");
    expect_ok(&r);
    assert_int_equal(rig_count(&r, "cache.misses"), 9);    /* in three slots lru misses four in turn as well */
    assert_int_equal(rig_view(&r)->bucket_room[0], 3);
    assert_true(knob(&r, "tiers.cache.share", "turns") == 2);
    rig_close(&r);
}

static void several_tuners_turn_what_is_theirs(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, 1, 8, 1, 3, 20);
    for (uint32_t i = 0; i < 20; i++) {
        *rig_token(&r, 0, ES_DECODE, false) = (uint16_t)(i % 4);
        memcpy(rig_guess(&r), (uint16_t[]){5, 6, 7}, 3 * sizeof(uint16_t));
    }
    rig_plain(&r, true, "6slots", "{\"latency\": \"1us\"}", "{\"dense\": \"50ns\", \"expert\": \"1950ns\"}");
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, "lru", NULL, "policy");
    r.plan.predictor = rig_part(&r, ES_KIND_PREDICTOR, "recorded", NULL, "predictor");
    rig_observe(&r, "summary");
    rig_observe(&r, "audit");
    tune(&r, "schedule", "{\"knob\": \"tiers.cache.share\", \"points\": [{\"step\": 5, \"value\": 0.5}]}");
    tune(&r, "schedule", "{\"knob\": \"compute.guess_confidence\", \"points\": [{\"step\": 10, \"value\": 0.25}]}");
    tune(&r, "schedule", "{\"knob\": \"compute.guess_top\", \"points\": [{\"step\": 0, \"value\": 2}, {\"step\": 15, \"value\": 1}]}");
    expect_ok(&r);
    assert_true(knob(&r, "tiers.cache.share", "last") == 0.5);
    assert_true(knob(&r, "compute.guess_confidence", "last") == 0.25);
    assert_true(knob(&r, "compute.guess_top", "last") == 1 && knob(&r, "compute.guess_top", "turns") == 2);
    rig_close(&r);
}

/* ---- guesses ---- */

/* Three guesses a token, of which the cache has room for all or for none beside what is wanted. */
static void guessing(rig *r, const char *capacity, bool right, const char *options)
{
    enum { TOKENS = 200 };
    rig_open(r, 2, 60, 1, 3, TOKENS);
    for (uint32_t i = 0; i < TOKENS; i++) {
        uint16_t *ids = rig_token(r, 0, ES_DECODE, false), *guess = rig_guess(r) + 3;
        ids[0] = (uint16_t)(i * 7 % 60);
        ids[1] = (uint16_t)(i * 11 % 60);
        for (uint16_t g = 0; g < 3; g++)        /* of the second layer, while the first is computed */
            guess[g] = (uint16_t)((ids[1] + g + !right) % 60);
    }
    rig_plain(r, true, capacity, "{\"latency\": \"100ns\"}", "{\"dense\": \"50ns\", \"expert\": \"1950ns\"}");
    r->plan.policy = rig_part(r, ES_KIND_POLICY, "lru", NULL, "policy");
    r->plan.predictor = rig_part(r, ES_KIND_PREDICTOR, "recorded", NULL, "predictor");
    rig_observe(r, "summary");
    rig_observe(r, "audit");
    tune(r, "pressure", options);
    expect_ok(r);
}

static void under_pressure_wasted_guesses_become_fewer(void **state)
{
    (void)state;
    rig r;
    guessing(&r, "8slots", false, "{\"interval\": \"20us\", \"most\": 3}");
    assert_true(knob(&r, "compute.guess_top", "last") == 1);
    uint64_t few = rig_view(&r)->tally->guess_copies;
    rig_close(&r);
    guessing(&r, "8slots", false, "{\"interval\": \"20us\", \"most\": 3, \"least\": 3}");
    assert_true(knob(&r, "compute.guess_top", "last") == 3);
    assert_true(few < rig_view(&r)->tally->guess_copies);
    rig_close(&r);
}

static void with_room_for_all_there_may_be_more(void **state)
{
    (void)state;
    rig r;
    guessing(&r, "120slots", false, "{\"interval\": \"20us\", \"most\": 3}");
    assert_true(knob(&r, "compute.guess_top", "last") == 3);
    rig_close(&r);
}

/* One right guess in one: none is wasted, so it rises again although the cache is full. */
static void guesses_that_are_used_become_more_under_pressure(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, 2, 60, 1, 1, 200);
    for (uint32_t i = 0; i < 200; i++) {
        uint16_t *ids = rig_token(&r, 0, ES_DECODE, false);
        ids[0] = (uint16_t)(i * 7 % 60);
        rig_guess(&r)[1] = ids[1] = (uint16_t)(i * 11 % 60);
    }
    rig_plain(&r, true, "8slots", "{\"latency\": \"100ns\"}", "{\"dense\": \"50ns\", \"expert\": \"1950ns\"}");
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, "lru", NULL, "policy");
    r.plan.predictor = rig_part(&r, ES_KIND_PREDICTOR, "recorded", NULL, "predictor");
    r.plan.compute.guess_top = 1;
    rig_observe(&r, "audit");
    tune(&r, "pressure", "{\"interval\": \"20us\", \"most\": 5}");
    expect_ok(&r);
    assert_true(knob(&r, "compute.guess_top", "last") == 5);
    rig_close(&r);
}

/* ---- what is refused ---- */

static void what_cannot_be_scheduled_is_said(void **state)
{
    (void)state;
    static const struct { bool timed; const char *name, *options, *fault; } cases[] = {
        {false, "schedule", "{\"knob\": \"tiers.host.share\", \"points\": []}", "tuner: knob: no part of this run has a tunable option tiers.host.share"},
        {false, "schedule", "{\"knob\": \"tiers.cache.share\", \"points\": []}",
            "tuner: points: needs a list of at least one point, such as [{\"step\": 100, \"value\": 0.5}]"},
        {false, "schedule", "{\"knob\": \"tiers.cache.share\", \"points\": [{\"step\": 1}]}",
            "tuner: points.0: needs {\"step\": number, \"value\": ...} or {\"at\": time, \"value\": ...}"},
        {false, "schedule", "{\"knob\": \"tiers.cache.share\", \"points\": [{\"value\": 1}]}", "tuner: points.0: needs either a step or a time `at`"},
        {true, "schedule", "{\"knob\": \"tiers.cache.share\", \"points\": [{\"step\": 1, \"value\": 1}, {\"at\": \"1s\", \"value\": 1}]}",
            "tuner: points.1: is a time where those before are steps; all must be alike"},
        {true, "schedule", "{\"knob\": \"tiers.cache.share\", \"points\": [{\"step\": 4, \"value\": 1}, {\"step\": 4, \"value\": 1}]}",
            "tuner: points.1: is not behind the point before it; they must come one after another"},
        {true, "schedule", "{\"knob\": \"tiers.cache.share\", \"points\": [{\"step\": 4, \"value\": 1.5}]}", "tuner: points.0: value: 1.5 is above 1, the most it may be"},
        {true, "schedule", "{\"knob\": \"tiers.cache.share\", \"points\": [{\"step\": -4, \"value\": 1}]}", "tuner: points.0: step: -4 is below 0, the least it may be"},
        {false, "schedule", "{\"knob\": \"tiers.cache.share\", \"points\": [{\"at\": \"1s\", \"value\": 1}]}",
            "tuner: points: times need clock \"simulated\"; under clock \"none\" give steps"},
        {true, "pressure", "{}", "tuner: knob: no part of this run has a tunable option compute.guess_top"},
        {true, "pressure", "{\"least\": 4, \"most\": 2}", "tuner: least: 4 is above most, 2"},
        {true, "pressure", "{\"frugal\": 0.9}", "tuner: frugal: 0.9 is above wasteful, 0.6"},
        {false, "pressure", "{}", "tuner: pressure needs clock \"simulated\"; under clock \"none\" no time passes and it would never wake"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig r;
        stage(&r, cases[i].timed, "4slots", 4, 4);
        tune(&r, cases[i].name, cases[i].options);
        if (rig_run(&r) == ES_OK || strcmp(r.err.text, cases[i].fault) != 0)
            fail_msg("is: %s\nwant: %s", r.err.text, cases[i].fault);
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(residents_leave_when_the_room_shrinks_and_come_back_when_it_grows),
        cmocka_unit_test(a_share_in_the_config_is_a_smaller_capacity),
        cmocka_unit_test(there_is_always_room_for_the_pins_and_one_expert),
        cmocka_unit_test(what_is_on_its_way_is_honoured),
        cmocka_unit_test(a_smaller_room_demotes_by_write_backs),
        cmocka_unit_test(a_lower_tier_changes_too),
        cmocka_unit_test(a_linear_schedule_goes_step_by_step),
        cmocka_unit_test(times_go_by_the_clock),
        cmocka_unit_test(several_tuners_turn_what_is_theirs),
        cmocka_unit_test(under_pressure_wasted_guesses_become_fewer),
        cmocka_unit_test(with_room_for_all_there_may_be_more),
        cmocka_unit_test(guesses_that_are_used_become_more_under_pressure),
        cmocka_unit_test(what_cannot_be_scheduled_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
