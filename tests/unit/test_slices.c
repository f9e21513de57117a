/* Slices: with contract.unit slice the objects are matrices, and each weighs what its own kind does, wherever bytes count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/rig.h"

/* Two layers; gate and up are alike, down is larger in the first layer only. */
enum { LAYERS = 2, EXPERTS = 70 };

static const int64_t matrix[] = {100, 100, 100, 100, 300, 100};     /* gate, up, down of layer 0 and 1 */

/* One expert per token in each layer: ids[2 * token + layer]. 70 experts do not fill their words. */
static void stage(rig *r, bool timed, const char *capacity, const uint16_t *ids, uint32_t tokens)
{
    rig_open(r, LAYERS, EXPERTS, 1, 0, tokens);
    for (uint32_t i = 0; i < tokens; i++)
        memcpy(rig_token(r, 0, ES_DECODE, false), ids + (size_t)LAYERS * i, LAYERS * sizeof *ids);
    rig_plain(r, timed, capacity, "{\"latency\": 0, \"rate\": \"1GB/s\"}", "{\"dense\": 0, \"expert\": \"50ns\"}");
    r->trace.bytes[0] = 500;
    r->trace.bytes[1] = 300;
    r->plan.contract.unit = ES_SLICE;
    r->plan.slices = 3;
    r->plan.matrix_bytes = matrix;
    rig_observe(r, "summary");
    rig_observe(r, "audit");
}

static void expect_ok(rig *r)
{
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
    assert_int_equal(r->allocations[0], r->allocations[1]);
}

/* Three tokens of three experts, all of which fit: every matrix is fetched once, whatever the clock. */
static void each_matrix_is_fetched_with_its_own_bytes(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, 69, 65, 1, 0, 69};
    for (int timed = 0; timed <= 1; timed++) {
        rig r;
        stage(&r, timed, "2000B", ids, 3);
        expect_ok(&r);
        assert_int_equal(rig_count(&r, "cache.lookups"), 18);
        assert_int_equal(rig_count(&r, "cache.misses"), 12);
        assert_int_equal(rig_count(&r, "cache.misses_compulsory"), 12);
        assert_int_equal(rig_count(&r, "cache.fetched_bytes"), 2 * 500 + 2 * 300);
        assert_int_equal(rig_count(&r, "cache.evictions"), 0);
        assert_int_equal(rig_count(&r, "capacity.peak"), 1600);
        rig_close(&r);
    }
}

static void capacity_is_told_in_matrices_and_in_their_bytes(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, 0};
    rig r;
    stage(&r, false, "50%", ids, 1);
    expect_ok(&r);
    assert_int_equal(rig_count(&r, "capacity.objects"), LAYERS * EXPERTS * 3);
    assert_int_equal(rig_count(&r, "capacity.slots_or_bytes"), LAYERS * EXPERTS * 3 / 2);
    assert_int_equal(rig_count(&r, "capacity.population_bytes"), EXPERTS * (500 + 300));
    assert_int_equal(rig_count(&r, "capacity.cycle_objects"), LAYERS * 3);
    assert_int_equal(rig_count(&r, "capacity.cycle_bytes"), 500 + 300);
    rig_close(&r);
}

/* Room for 800 bytes. Expert 0 of both layers fills it: 100 100 300 and 100 100 100. Expert 1 of layer 0 needs 500: the three oldest
 * leave, which are just as many bytes; expert 1 of layer 1 needs 300, and the three of layer 1 leave. */
static void room_is_made_for_bytes(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, 0, 1, 1};
    for (int timed = 0; timed <= 1; timed++) {
        rig r;
        stage(&r, timed, "800B", ids, 2);
        expect_ok(&r);
        assert_int_equal(rig_count(&r, "cache.evictions"), 6);
        assert_int_equal(rig_count(&r, "cache.fetched_bytes"), 1600);
        assert_int_equal(rig_count(&r, "capacity.peak"), 800);
        rig_close(&r);
    }
}

/* Room for 500 bytes: layer 1 takes the places of gate, up and down of layer 0, of which 300 bytes are needed: gate and up, the
 * oldest, have 200, so down goes too. */
static void a_large_matrix_frees_more_than_a_small_one(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, 0};
    rig r;
    stage(&r, false, "500B", ids, 1);
    expect_ok(&r);
    assert_int_equal(rig_count(&r, "cache.evictions"), 3);
    assert_int_equal(rig_count(&r, "tiers.cache.held"), 300);
    rig_close(&r);
}

/* An expert of 500 bytes does not fit into 400: under bypass gate and up stay, down is read in place. */
static void bypass_keeps_what_fits(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, ES_NO_EXPERT, 0, ES_NO_EXPERT};
    rig r;
    stage(&r, false, "400B", ids, 2);
    r.plan.contract.overflow = ES_BYPASS;
    expect_ok(&r);
    assert_int_equal(rig_count(&r, "cache.hits"), 2);
    assert_int_equal(rig_count(&r, "cache.misses_refused"), 2);
    assert_int_equal(rig_count(&r, "cache.fetched_bytes"), 500 + 300);
    assert_int_equal(rig_count(&r, "capacity.peak"), 200);
    rig_close(&r);
}

/* At a byte a nanosecond gate and up arrive at 100 and 200, down at 500 and is computed until 550. */
static void a_copy_takes_the_time_of_its_matrix(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, ES_NO_EXPERT};
    rig r;
    stage(&r, true, "2000B", ids, 1);
    expect_ok(&r);
    assert_int_equal((int64_t)(es_json_at(r.report, "time.total_s")->valuedouble * 1e9 + 0.5), 550);
    rig_close(&r);
}

/* Recorded guesses are experts: expert 69 of layer 1 is foreseen and all its matrices come, but not expert 70, which there is not. */
static void a_recorded_guess_is_all_of_its_matrices(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, LAYERS, EXPERTS, 1, 2, 1);
    uint16_t *row = rig_token(&r, 0, ES_DECODE, false), *guess = rig_guess(&r);
    row[0] = 0;
    row[1] = guess[2] = 69;
    guess[3] = 70;
    rig_plain(&r, false, "2000B", "{\"latency\": 0, \"rate\": \"1GB/s\"}", "{\"dense\": 0, \"expert\": \"50ns\"}");
    r.trace.bytes[0] = 500;
    r.trace.bytes[1] = 300;
    r.plan.contract.unit = ES_SLICE;
    r.plan.slices = 3;
    r.plan.matrix_bytes = matrix;
    r.plan.predictor = rig_part(&r, ES_KIND_PREDICTOR, "recorded", NULL, "predictor");
    rig_observe(&r, "summary");
    expect_ok(&r);
    assert_int_equal(rig_count(&r, "cache.hits"), 3);
    assert_int_equal(rig_count(&r, "cache.fetched_bytes"), 500);
    assert_int_equal(rig_count(&r, "cache.guess_bytes"), 300);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_matrix_is_fetched_with_its_own_bytes),
        cmocka_unit_test(capacity_is_told_in_matrices_and_in_their_bytes),
        cmocka_unit_test(room_is_made_for_bytes),
        cmocka_unit_test(a_large_matrix_frees_more_than_a_small_one),
        cmocka_unit_test(bypass_keeps_what_fits),
        cmocka_unit_test(a_copy_takes_the_time_of_its_matrix),
        cmocka_unit_test(a_recorded_guess_is_all_of_its_matrices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
