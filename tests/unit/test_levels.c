/* Levels: several serving tiers by hand, and where the policy `coverage` puts guesses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/rig.h"

/* Two layers of four experts, one wanted each; two recorded guesses for the second layer. One slot in each of three levels. */
static void levels_open(rig *r, const char *options)
{
    rig_open(r, 2, 4, 1, 2, 4);
    rig_tier(r, "l1", "1slots", "gpu");
    rig_tier(r, "l2", "1slots", "gpu");
    rig_tier(r, "l3", "1slots", "gpu");
    rig_tier(r, "host", NULL, NULL);
    rig_channel(r, "gpu", "compute", "{\"dense\": \"100ns\", \"expert\": \"10ns\"}");
    r->plan.policy = rig_part(r, ES_KIND_POLICY, "coverage", options, "policy");
    r->plan.predictor = rig_part(r, ES_KIND_PREDICTOR, "recorded", NULL, "predictor");
    rig_observe(r, "summary");
    rig_observe(r, "audit");
}

static void levels_token(rig *r, uint16_t first, uint16_t second, const uint16_t *guess, const float *sure)
{
    uint16_t *ids = rig_token(r, 0, ES_DECODE, false);
    ids[0] = first;
    ids[1] = second;
    float *confidence = r->trace.confidence + (rig_guess(r) - r->trace.guess);
    for (uint32_t i = 0; i < 2; i++) {
        rig_guess(r)[2 + i] = guess[i];
        confidence[2 + i] = sure[i];
    }
}

/*  token 0   layer 0 wants 0, a miss; guesses of layer 1: 1 is sure enough for L2, 2 for L3
 *            layer 1 wants 1, in L2: it rises to L1, where 0 of layer 0 leaves
 *  token 1   layer 0 wants 0, a miss; the levels are full, so thresholds have risen to 0.75 and 0.35; 2 is sure enough for L2, where 1 leaves,
 *            though it is in L3
 *            layer 1 wants 2, in L2 and L3: counted in L2 */
static void guesses_go_where_they_are_sure_enough(void **state)
{
    (void)state;
    rig r;
    levels_open(&r, NULL);
    levels_token(&r, 0, 1, (uint16_t[]){1, 2}, (float[]){0.8f, 0.5f});
    levels_token(&r, 0, 2, (uint16_t[]){2, 3}, (float[]){0.8f, 0.34f});
    assert_int_equal(rig_run(&r), ES_OK);
    assert_int_equal(rig_count(&r, "cache.lookups"), 4);
    assert_int_equal(rig_count(&r, "cache.hits"), 2);
    assert_int_equal(rig_count(&r, "cache.guess_copies"), 3);
    assert_int_equal(rig_count(&r, "tiers.l1.found"), 0);
    assert_int_equal(rig_count(&r, "tiers.l2.found"), 2);
    assert_int_equal(rig_count(&r, "tiers.l3.found"), 0);
    assert_int_equal(rig_count(&r, "tiers.l3.present"), 1);
    assert_int_equal(rig_count(&r, "tiers.l2.risen"), 2);
    assert_int_equal(rig_count(&r, "tiers.l1.evictions"), 3);
    assert_int_equal(rig_count(&r, "tiers.l2.evictions"), 1);
    assert_int_equal(rig_count(&r, "tiers.l3.evictions"), 0);
    assert_int_equal(rig_count(&r, "capacity.slots_or_bytes"), 3);
    rig_close(&r);
}

static void what_is_not_promoted_is_used_where_it_is(void **state)
{
    (void)state;
    rig r;
    levels_open(&r, "{\"promotes\": false}");
    levels_token(&r, 0, 1, (uint16_t[]){1, 2}, (float[]){0.8f, 0.5f});
    levels_token(&r, 0, 1, (uint16_t[]){1, 2}, (float[]){0.1f, 0.1f});
    assert_int_equal(rig_run(&r), ES_OK);
    assert_int_equal(rig_count(&r, "cache.hits"), 3);
    assert_int_equal(rig_count(&r, "tiers.l1.found"), 1);      /* 0 stays in L1 */
    assert_int_equal(rig_count(&r, "tiers.l2.found"), 2);
    assert_int_equal(rig_count(&r, "tiers.l2.risen"), 0);
    rig_close(&r);
}

/* As documented nothing is below L1 twice. */
static void one_copy_below_the_first_level(void **state)
{
    (void)state;
    rig r;
    levels_open(&r, "{\"mode\": \"as_documented\"}");
    levels_token(&r, 0, 1, (uint16_t[]){1, 2}, (float[]){0.8f, 0.5f});
    levels_token(&r, 0, 2, (uint16_t[]){2, 3}, (float[]){0.8f, 0.1f});
    assert_int_equal(rig_run(&r), ES_OK);
    assert_int_equal(rig_count(&r, "cache.guess_copies"), 2);
    assert_int_equal(rig_count(&r, "tiers.l3.found"), 1);
    rig_close(&r);
}

/* 100 dense, then the miss copies for nothing and is computed; reads of L2 cost 7, of L3 9. */
static void each_level_has_its_price(void **state)
{
    (void)state;
    rig r;
    levels_open(&r, NULL);
    r.plan.timed = true;
    r.plan.compute.guess_cost = ES_GUESS_FREE;
    r.tier[1].access = rig_part(&r, ES_KIND_TIMING, "constant", "{\"time\": \"7ns\"}", "tiers.l2.access");
    r.tier[2].access = rig_part(&r, ES_KIND_TIMING, "constant", "{\"time\": \"9ns\"}", "tiers.l3.access");
    rig_channel(&r, "link", "constant", "{\"time\": \"50ns\"}");
    for (uint32_t t = 0; t < 3; t++)
        rig_link(&r, "host", r.tier[t].name, "[\"link\"]");
    levels_token(&r, 0, 1, (uint16_t[]){1, 2}, (float[]){0.8f, 0.5f});
    levels_token(&r, 0, 2, (uint16_t[]){2, 3}, (float[]){0.8f, 0.34f});
    r.plan.compute.access = ES_ACCESS_EVERY;
    assert_int_equal(rig_run(&r), ES_OK);
    /* 100 + 50 + 10; 100 + 7 + 10; 100 + 50 + 10; 100 + 7 + 9 + 10 */
    assert_int_equal(rig_view(&r)->times->total, 160 + 117 + 160 + 126);
    assert_int_equal(rig_view(&r)->times->access, 23);
    rig_close(&r);
}

static void thresholds_must_not_cross(void **state)
{
    (void)state;
    rig r;
    levels_open(&r, "{\"l2_threshold\": 0.2}");
    levels_token(&r, 0, 1, (uint16_t[]){1, 2}, (float[]){0.8f, 0.5f});
    assert_int_equal(rig_run(&r), ES_EINPUT);
    assert_string_equal(r.err.text, "policy: l3_threshold: 0.3 is above l2_threshold, 0.2; the third level is for guesses that are less sure");
    rig_close(&r);
}

/* What leaves the first of two serving tiers is written home although it is there unchanged; the other one only serves. */
static void the_first_of_several_writes_back(void **state)
{
    static const struct { int rule; int64_t written; } rows[] = {{ES_WRITE_ALWAYS, 2}, {ES_WRITE_DIRTY, 0}};
    (void)state;
    for (int i = 0; i < 4; i++) {
        rig r;
        rig_open(&r, 1, 4, 1, 0, 4);
        r.plan.timed = i & 1;
        es_plan_tier *l1 = rig_tier(&r, "l1", "1slots", "gpu");
        l1->demote = "host";
        l1->write_back = rows[i / 2].rule;
        rig_tier(&r, "l2", "2slots", "gpu");
        rig_tier(&r, "host", NULL, NULL);
        rig_channel(&r, "up", "affine", "{\"rate\": \"1GB/s\"}");
        rig_channel(&r, "down", "affine", "{\"rate\": \"1GB/s\"}");
        rig_channel(&r, "gpu", "compute", "{\"expert\": \"100ns\"}");
        rig_link(&r, "host", "l1", "[\"up\"]");
        rig_link(&r, "host", "l2", "[\"up\"]");
        rig_link(&r, "l1", "host", "[\"down\"]");
        rig_observe(&r, "summary");
        rig_observe(&r, "audit");
        for (uint16_t t = 0; t < 3; t++)
            rig_token(&r, 0, ES_DECODE, false)[0] = t % 2;
        if (rig_run(&r) != ES_OK)
            fail_msg("%s", r.err.text);
        assert_int_equal(rig_count(&r, "cache.misses"), 3);
        assert_int_equal(rig_count(&r, "links.l1-host.operations"), rows[i / 2].written);
        if (r.plan.timed)       /* each victim's way down stands before the copy that takes its place */
            assert_int_equal(rig_view(&r)->times->total, 3 * 1100 + rows[i / 2].written * 1000);
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guesses_go_where_they_are_sure_enough),
        cmocka_unit_test(what_is_not_promoted_is_used_where_it_is),
        cmocka_unit_test(one_copy_below_the_first_level),
        cmocka_unit_test(each_level_has_its_price),
        cmocka_unit_test(thresholds_must_not_cross),
        cmocka_unit_test(the_first_of_several_writes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
