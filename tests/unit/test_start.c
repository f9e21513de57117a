/* Start: what contract.start puts into the serving tier is there before the first step, in the order of its file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/rig.h"

/* One layer, 6 experts, two slots, one expert per token. */
static void stage(rig *r, bool timed, const char *capacity, const uint16_t *ids, uint32_t tokens)
{
    rig_open(r, 1, 6, 1, 0, tokens);
    for (uint32_t i = 0; i < tokens; i++)
        *rig_token(r, 0, ES_DECODE, false) = ids[i];
    rig_plain(r, timed, capacity, "{\"latency\": 0, \"rate\": \"1GB/s\"}", "{\"dense\": \"50ns\", \"expert\": \"50ns\"}");
    r->plan.contract.start = "warm.csv";
    rig_observe(r, "audit");
    rig_observe(r, "digest");
    rig_observe(r, "summary");
}

static void stage_start(rig *r, es_plan_start *rows, const uint16_t *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
        rows[i] = (es_plan_start){.layer = 0, .expert = ids[i], .line = i + 2};
    r->plan.start = rows;
    r->plan.start_count = count;
}

static void expect_ok(rig *r)
{
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
    assert_int_equal(r->allocations[0], r->allocations[1]);
}

/* 2 and 3 are there. 2 hits and is the newer for lru then; 0 takes the place of 3 (lru, and belady, to which 3 is needed later than 2)
 * or of 2 (fifo). */
static void what_is_there_hits_and_leaves_in_its_order(void **state)
{
    (void)state;
    static const struct { const char *policy; int hits; } cases[] = {{"lru", 3}, {"lfu", 3}, {"fifo", 2}, {"belady", 3}, {"random", 0}, {"shift_cache", 0}};
    static const uint16_t ids[] = {2, 0, 2, 0, 3}, warm[] = {2, 3};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char digest[2][32];
        for (int timed = 0; timed <= 1; timed++) {
            rig r;
            es_plan_start rows[2];
            stage(&r, timed, "2slots", ids, 5);
            stage_start(&r, rows, warm, 2);
            r.plan.policy = rig_part(&r, ES_KIND_POLICY, cases[i].policy, NULL, "policy");
            expect_ok(&r);
            if (cases[i].hits)
                assert_int_equal(rig_count(&r, "cache.hits"), cases[i].hits);
            assert_true(rig_count(&r, "cache.hits") >= 1);
            assert_int_equal(rig_count(&r, "cache.initial_loads"), 2);
            assert_int_equal(rig_count(&r, "cache.initial_bytes"), 0);
            assert_int_equal(rig_count(&r, "cache.misses_compulsory"), 1);     /* 0; the others were there once */
            snprintf(digest[timed], sizeof digest[timed], "%s", rig_said(&r, "digest.decisions"));
            rig_close(&r);
        }
        assert_string_equal(digest[0], digest[1]);
    }
}

static void the_first_of_the_file_leaves_first(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, 2}, warm[][2] = {{2, 3}, {3, 2}};
    for (int i = 0; i <= 1; i++) {
        rig r;
        es_plan_start rows[2];
        stage(&r, false, "2slots", ids, 2);
        r.plan.observer_count = 0;              /* nobody watches: the quick way */
        rig_observe(&r, "summary");
        stage_start(&r, rows, warm[i], 2);
        expect_ok(&r);
        assert_int_equal(rig_count(&r, "cache.hits"), i);
        rig_close(&r);
    }
}

static void pins_come_first_and_are_not_counted_twice(void **state)
{
    (void)state;
    static const uint16_t ids[] = {1, 1, 4}, warm[] = {1, 5};
    rig r;
    es_plan_start rows[2];
    stage(&r, false, "2slots", ids, 3);
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, "hybrid", "{\"pins\": 1}", "policy");
    stage_start(&r, rows, warm, 2);
    expect_ok(&r);
    assert_int_equal(rig_count(&r, "cache.hits"), 2);
    assert_int_equal(rig_count(&r, "cache.initial_loads"), 2);
    rig_close(&r);
}

/* 1 is pinned; 2 and 3 alternate in what is left of two slots: one, or both when the pin stands beside them. */
static void pins_stand_in_the_room_or_beside_it(void **state)
{
    (void)state;
    static const uint16_t ids[] = {1, 2, 3, 1, 2, 3, 1};
    for (int beside = 0; beside <= 1; beside++)
        for (int timed = 0; timed <= 1; timed++) {
            rig r;
            stage(&r, timed, "2slots", ids, 7);
            r.plan.contract.start = "cold";
            r.plan.contract.pins_take_room = !beside;
            r.plan.policy = rig_part(&r, ES_KIND_POLICY, "hybrid", "{\"pins\": 1}", "policy");
            expect_ok(&r);
            assert_int_equal(rig_count(&r, "cache.hits"), beside ? 5 : 3);
            assert_int_equal(rig_count(&r, "cache.evictions"), beside ? 0 : 3);
            assert_int_equal(rig_count(&r, "tiers.cache.capacity"), 2);
            assert_int_equal(rig_count(&r, "tiers.cache.held"), beside ? 3 : 2);
            rig_close(&r);
        }
    /* pins that fill the room leave none for others, unless they stand beside it */
    for (int beside = 0; beside <= 1; beside++) {
        rig r;
        stage(&r, false, "1slots", ids, 7);
        r.plan.contract.start = "cold";
        r.plan.contract.pins_take_room = !beside;
        r.plan.policy = rig_part(&r, ES_KIND_POLICY, "hybrid", "{\"share\": 1}", "policy");
        expect_ok(&r);
        assert_int_equal(rig_count(&r, "cache.hits"), 3);
        assert_int_equal(rig_count(&r, "cache.misses_refused"), beside ? 0 : 4);
        rig_close(&r);
    }
}

static void an_expert_is_all_of_its_matrices(void **state)
{
    (void)state;
    static const uint16_t ids[] = {5}, warm[] = {5};
    rig r;
    es_plan_start rows[1];
    stage(&r, false, "3slots", ids, 1);
    r.plan.contract.unit = ES_SLICE;
    r.plan.slices = 3;
    stage_start(&r, rows, warm, 1);
    expect_ok(&r);
    assert_int_equal(rig_count(&r, "cache.hits"), 3);
    rig_close(&r);
}

static void more_than_fit_is_an_error(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0}, warm[] = {1, 2, 4};
    rig r;
    es_plan_start rows[3];
    stage(&r, false, "2slots", ids, 1);
    stage_start(&r, rows, warm, 3);
    assert_int_equal(rig_run(&r), ES_EINPUT);
    assert_string_equal(r.err.text, "contract.start: warm.csv: line 4: no room is left in tier cache for layer 0 expert 4; its capacity is 2slots");
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_there_hits_and_leaves_in_its_order),
        cmocka_unit_test(the_first_of_the_file_leaves_first),
        cmocka_unit_test(pins_come_first_and_are_not_counted_twice),
        cmocka_unit_test(pins_stand_in_the_room_or_beside_it),
        cmocka_unit_test(an_expert_is_all_of_its_matrices),
        cmocka_unit_test(more_than_fit_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
