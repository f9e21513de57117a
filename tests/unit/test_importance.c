/* Importance: experts that come to matter get a wider precision, and the next use asks for another object. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "sim/part/tuner.h"
#include "tests/support/rig.h"

/* One layer of four experts: 0 and 1 have 2 bits and 100 bytes, 2 and 3 have 8 bits and 400. A byte takes a nanosecond, an expert 50. */
static void stage(rig *r, const char *options, const uint16_t *ids, uint32_t tokens, const float *weights)
{
    static const uint8_t variant[] = {0, 0, 1, 1};
    static const int64_t bytes[] = {100, 400};
    rig_open(r, 1, 4, 1, 0, tokens + 1);
    for (uint32_t i = 0; i < tokens; i++) {
        *rig_token(r, 0, ES_DECODE, false) = ids[i];
        if (weights)
            *rig_weights(r) = weights[i];
    }
    rig_plain(r, true, "2000B", "{\"latency\": 0, \"rate\": \"1GB/s\"}", "{\"dense\": 0, \"expert\": \"50ns\"}");
    r->plan.variants = 2;
    r->plan.bits[0] = 2;
    r->plan.bits[1] = 8;
    r->plan.variant = variant;
    r->plan.variant_bytes = bytes;
    if (options)
        rig_tune(r, rig_part(r, ES_KIND_TUNER, "importance", options, "tuner"));
    rig_observe(r, "summary");
    rig_observe(r, "audit");
    rig_observe(r, "precision");
}

static void expect_ok(rig *r)
{
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
    assert_int_equal(r->allocations[0], r->allocations[1]);
}

static void expect_bits(const rig *r, const char *expected)
{
    const es_view *view = rig_view(r);
    char found[32] = "";
    for (uint32_t e = 0; e < view->ids; e++)
        snprintf(found + strlen(found), sizeof found - strlen(found), "%u", view->bits[es_object_of(view, 0, e) >> 6]);
    assert_string_equal(found, expected);
}

/* Expert 0 arrives at 100 and is used at 100, 150, 200. At 225 it gets the place of expert 2, so the use of 250 fetches 400 bytes. */
static void what_is_used_gets_wider(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, 0, 0, 0, 0};
    rig r;
    stage(&r, "{\"interval\": \"225ns\"}", ids, 5, NULL);
    expect_ok(&r);
    expect_bits(&r, "8228");
    assert_int_equal(rig_count(&r, "cache.misses"), 2);
    assert_int_equal(rig_count(&r, "cache.fetched_bytes"), 500);
    assert_int_equal((int64_t)(es_json_at(r.report, "time.total_s")->valuedouble * 1e9 + 0.5), 100 + 50 + 50 + 50 + 400 + 50 + 50);
    assert_int_equal(rig_count(&r, "precision.reassigned"), 2);
    assert_int_equal(rig_count(&r, "precision.2bit.lookups"), 3);
    assert_int_equal(rig_count(&r, "precision.2bit.hits"), 2);
    assert_int_equal(rig_count(&r, "precision.8bit.lookups"), 2);
    assert_int_equal(rig_count(&r, "precision.8bit.hits"), 1);
    assert_int_equal(rig_count(&r, "precision.8bit.objects"), 2);
    assert_int_equal(rig_count(&r, "precision.8bit.lookup_bytes"), 800);
    assert_true(es_json_at(r.report, "precision.mean_bits")->valuedouble == (3 * 2 + 2 * 8) / 5.0);
    assert_int_equal(rig_count(&r, "capacity.population_bytes"), 2 * 100 + 2 * 400);
    rig_close(&r);
}

/* Without a tuner nothing changes. */
static void without_a_tuner_precisions_stay(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, 0, 0, 2};
    rig r;
    stage(&r, NULL, ids, 4, NULL);
    expect_ok(&r);
    expect_bits(&r, "2288");
    assert_int_equal(rig_count(&r, "precision.reassigned"), 0);
    assert_int_equal(rig_count(&r, "precision.8bit.hits"), 0);
    rig_close(&r);
}

/* 2 is used four times, 3 twice, 0 three times, 1 five. Copies take 400, 400, 100 and 100 ns, uses 50 each: the thirteenth ends at 1650 and
 * the fourteenth at 1700; the tuner looks at 1680. With a margin of two no one matters enough more, with
 * one of a half 1 takes the place of 3; 0 does not matter more than 2. */
static void only_who_matters_more_by_the_margin(void **state)
{
    (void)state;
    static const uint16_t ids[] = {2, 2, 2, 3, 3, 0, 0, 0, 1, 1, 1, 1, 1};
    static const struct { const char *options, *bits; } cases[] = {
        {"{\"interval\": \"1680ns\", \"margin\": 2}", "2288"}, {"{\"interval\": \"1680ns\", \"margin\": 0.5}", "2882"},
        {"{\"interval\": \"1680ns\", \"margin\": 0}", "2882"}, {"{\"interval\": \"1680ns\", \"margin\": 0, \"most\": 1}", "2882"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig r;
        stage(&r, cases[i].options, ids, 13, NULL);
        *rig_token(&r, 0, ES_DECODE, false) = 2;
        expect_ok(&r);
        expect_bits(&r, cases[i].bits);
        rig_close(&r);
    }
}

/* Expert 1 is used twice with a weight of 0.9, expert 0 twice with 0.2, and one may change. */
static void gate_weights_may_measure_it(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, 0, 1, 1};
    static const float weights[] = {0.2f, 0.2f, 0.9f, 0.9f};
    rig r;
    stage(&r, "{\"interval\": \"370ns\", \"measure\": \"weights\", \"most\": 1}", ids, 4, weights);
    expect_ok(&r);          /* gates at 0, 150, 200, 350; a look at 370 */
    expect_bits(&r, "2828");
    rig_close(&r);
}

static void what_cannot_change_is_refused(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0};
    static const char *const says[] = {"tuner: importance gives experts other precisions, but all have one", "measure: the trace has no gate weights", "so policy belady"};
    for (int i = 0; i < 3; i++) {
        rig r;
        stage(&r, i == 1 ? "{\"measure\": \"weights\"}" : "{}", ids, 1, NULL);
        if (i == 0)
            r.plan.variants = 1;
        if (i == 2)
            r.plan.policy = rig_part(&r, ES_KIND_POLICY, "belady", NULL, "policy");
        assert_int_equal(rig_run(&r), ES_EINPUT);
        if (!strstr(r.err.text, says[i]))
            fail_msg("\"%s\" does not say \"%s\"", r.err.text, says[i]);
        rig_close(&r);
    }
}

/* A tuner that gives a precision there is not. */
static es_time wrong_wake(void *self, es_time now)
{
    (void)self;
    return now + 10;
}

static void wrong_assign(void *self, uint8_t *variant)
{
    (void)self;
    variant[1] = 2;
}

static const es_tuner wrong_tuner = {.part = {.abi = ES_ABI, .name = "wrong", .brief = "Wrong.", .size = 1, .wake = wrong_wake}, .assign = wrong_assign};

static void a_precision_that_is_not_there_ends_the_run(void **state)
{
    (void)state;
    static const uint16_t ids[] = {0, 1};
    rig r;
    stage(&r, NULL, ids, 2, NULL);
    rig_tune(&r, rig_own(&wrong_tuner.part, NULL, "tuner"));
    assert_int_equal(rig_run(&r), ES_EINTERNAL);
    if (!strstr(r.err.text, "tuner wrong gives expert 1 of layer 0 precision number 2, of 2 there are"))
        fail_msg("%s", r.err.text);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_used_gets_wider),
        cmocka_unit_test(without_a_tuner_precisions_stay),
        cmocka_unit_test(only_who_matters_more_by_the_margin),
        cmocka_unit_test(gate_weights_may_measure_it),
        cmocka_unit_test(what_cannot_change_is_refused),
        cmocka_unit_test(a_precision_that_is_not_there_ends_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
