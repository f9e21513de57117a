/* Charge: when a predictor is asked, what its guesses, its answers, lookups, victims and reads cost, each to the nanosecond by hand.
 *
 * The machine: copies of 1000 ns over `link`, 400 ns of dense compute before each gate, 300 ns per expert. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "sim/part/predictor.h"
#include "tests/support/rig.h"

enum { LINK, SERIAL, FREE, COSTS };

/* ---- a predictor that says the same of a layer whenever it is asked ---- */

typedef struct teller {
    uint32_t points;
    const char *say[4];         /* by layer: "2:9 1:3", expert 2 with confidence .9, then 1 with .3 */
    const es_view *view;
} teller;

static es_code teller_init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    ((teller *)self)->view = site->view;
    return ES_OK;
}

static uint32_t teller_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    const teller *s = self;
    const char *say = s->say[ask->layer] ? s->say[ask->layer] : "";
    uint32_t count = 0;
    assert_true(s->points >> ask->point & 1);
    for (; *say && count < most; say += say[3] == ' ' ? 4 : 3)
        out[count++] = (es_guess){es_layer_base(s->view, ask->layer) + (es_oid)(say[0] - '0'), (float)(say[2] - '0') / 10};
    return count;
}

static uint32_t teller_asked(const void *self)
{
    return ((const teller *)self)->points;
}

static const es_predictor es_predictor_teller = {
    .part = {.abi = ES_ABI, .name = "teller", .size = sizeof(teller), .init = teller_init},
    .predict = teller_predict,
    .asked = teller_asked,
};

/* ---- the machine ---- */

/* The decode tokens: "0 12|3" is 0 in layer 0, then 1 and 2 in layer 1; the second token wants 3 in layer 0. */
static void stage(rig *r, bool timed, uint32_t layers, const char *capacity, const char *gpu, const char *tokens)
{
    rig_open(r, layers, 8, 2, 2, 4);
    for (uint16_t *at = rig_token(r, 0, ES_DECODE, false), *layer = at; *tokens; tokens++) {
        if (*tokens == '|')
            at = layer = rig_token(r, 0, ES_DECODE, false);
        else if (*tokens == ' ')
            at = layer += 2;
        else
            *at++ = (uint16_t)(*tokens - '0');
    }
    rig_plain(r, timed, capacity, "{\"latency\": 0, \"rate\": \"1GB/s\"}", rig_text(r, "{\"dense\": \"400ns\", \"expert\": \"300ns\"%s}", gpu));
    rig_observe(r, "summary");
    rig_observe(r, "audit");
}

static void tells(rig *r, teller *t, es_point point, int cost)
{
    t->points = 1u << point;
    r->plan.predictor = rig_own(&es_predictor_teller.part, t, "predictor");
    r->plan.compute.guess_cost = cost;
}

static void go(rig *r)
{
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
    assert_int_equal(r->allocations[0], r->allocations[1]);
}

/* The rest of the total is dense and expert compute. */
static void expect_times(rig *r, es_time total, es_time stall, es_time predict, es_time manage, es_time access)
{
    const es_times *t = rig_view(r)->times;
    assert_int_equal(t->total, total);
    assert_int_equal(t->stall, stall);
    assert_int_equal(t->predict, predict);
    assert_int_equal(t->manage, manage);
    assert_int_equal(t->access, access);
    assert_int_equal(t->dense + t->expert_gpu, total - stall - predict - manage - access);
}

static void expect_cache(rig *r, const char *name, int64_t count)
{
    assert_int_equal(rig_count(r, rig_text(r, "cache.%s", name)), count);
}

/* ---- before the lookup ---- */

static void before_its_lookup_a_guess_is_worth_what_its_copy_costs(void **state)
{
    (void)state;
    /* the copy of expert 0 from 400 to 1400, then it hits; or a demand does the same; or it is there at 400 */
    static const es_time total[COSTS] = {1700, 1700, 700};
    for (int cost = 0; cost < COSTS; cost++) {
        rig r;
        teller t = {.say = {"0:9"}};
        stage(&r, true, 1, "4slots", "", "0");
        tells(&r, &t, ES_BEFORE_LOOKUP, cost);
        go(&r);
        expect_times(&r, total[cost], total[cost] - 700, 0, 0, 0);
        expect_cache(&r, "hits", cost != LINK);
        expect_cache(&r, "foreseen", cost == LINK);
        expect_cache(&r, "guess_copies", cost != LINK);
        expect_cache(&r, "hits_prefetched", cost != LINK);
        rig_close(&r);
    }
}

static void serial_guesses_come_one_after_another(void **state)
{
    (void)state;
    rig r;
    teller t = {.say = {"1:9 0:8"}};
    stage(&r, true, 1, "4slots", "", "0");
    tells(&r, &t, ES_BEFORE_LOOKUP, SERIAL);
    go(&r);                                 /* copies 400-1400-2400, expert 0 until 2700 */
    expect_times(&r, 2700, 2000, 0, 0, 0);
    expect_cache(&r, "hits", 1);
    rig_close(&r);
}

/* 1 lands at 1400 and may not leave for another guess, so 0 is dropped and demanded: 1400-2400, expert until 2700. */
static void serial_guesses_without_room_are_dropped(void **state)
{
    (void)state;
    rig r;
    teller t = {.say = {"1:9 0:8"}};
    stage(&r, true, 1, "1slots", "", "0");
    tells(&r, &t, ES_BEFORE_LOOKUP, SERIAL);
    r.plan.compute.protect_guesses = true;
    go(&r);
    expect_times(&r, 2700, 2000, 0, 0, 0);
    expect_cache(&r, "cancelled", 1);
    expect_cache(&r, "guess_copies", 1);
    expect_cache(&r, "misses", 1);
    expect_cache(&r, "evictions", 1);
    rig_close(&r);
}

static void without_a_clock_they_are_all_there(void **state)
{
    (void)state;
    for (int cost = 0; cost < COSTS; cost++) {
        rig r;
        teller t = {.say = {"1:9 0:8"}};
        stage(&r, false, 1, "2slots", "", "0|2|1");        /* 2 drives out 1 (lru) */
        tells(&r, &t, ES_BEFORE_LOOKUP, cost);
        go(&r);
        expect_cache(&r, "hits", 2);
        expect_cache(&r, "misses", 1);
        rig_close(&r);
    }
}

/* Before the last token 1 comes back in place of 0, which was there when the list was made, so 0 comes back too:
 * copies 400-2400, expert until 2700; gate 3100, 2 demanded until 4100, expert until 4400; gate 4800, copies until 6800. */
static void a_guess_is_looked_up_when_its_turn_comes(void **state)
{
    (void)state;
    for (int timed = 0; timed < 2; timed++) {
        rig r;
        teller t = {.say = {"1:9 0:8"}};
        stage(&r, timed, 1, "2slots", "", "0|2|1");
        tells(&r, &t, ES_BEFORE_LOOKUP, SERIAL);
        go(&r);
        if (timed)
            expect_times(&r, 7100, 5000, 0, 0, 0);
        expect_cache(&r, "guess_copies", 4);
        expect_cache(&r, "hits", 2);
        rig_close(&r);
    }
}

/* Asked at the gate of layer 0 for layers 0 and 1: all four come before the lookup. */
static void the_layer_at_hand_is_the_first_of_those_ahead(void **state)
{
    (void)state;
    rig r;
    teller t = {.say = {"0:9", "1:9"}};
    stage(&r, true, 2, "4slots", "", "0 1");
    tells(&r, &t, ES_BEFORE_LOOKUP, SERIAL);
    r.plan.compute.lookahead = 2;
    go(&r);                                 /* gate 400, copies until 2400, expert until 2700, dense until 3100, expert until 3400 */
    expect_times(&r, 3400, 2000, 0, 0, 0);
    expect_cache(&r, "hits", 2);
    rig_close(&r);
}

/* ---- after the gate, at the end of a step ---- */

/* Layer 0 demands 0 until 1400 and computes until 1700; the guess for layer 1 is copied until 2400. */
static void after_the_gate_the_layer_waits_for_serial_guesses(void **state)
{
    (void)state;
    static const struct { es_time total, stall; } want[COSTS] = {
        {2700, 1300},           /* dense until 2100, late until 2400 */
        {3100, 1700},           /* layer 1 begins at 2400 */
        {2400, 1000},           /* there at once */
    };
    for (int cost = 0; cost < COSTS; cost++) {
        rig r;
        teller t = {.say = {"", "0:9"}};
        stage(&r, true, 2, "4slots", "", "0 0");
        tells(&r, &t, ES_AFTER_GATE, cost);
        go(&r);
        expect_times(&r, want[cost].total, want[cost].stall, 0, 0, 0);
        expect_cache(&r, "late", cost == LINK);
        expect_cache(&r, "hits", cost != LINK);
        rig_close(&r);
    }
}

/* Step 1 ends at 1700; the answer is there at 1800, the copy at 2800; dense until 3200, expert until 3500. */
static void a_step_waits_for_serial_guesses_of_the_one_before(void **state)
{
    (void)state;
    rig r;
    teller t = {.say = {"1:9"}};
    stage(&r, true, 1, "4slots", ", \"predict\": \"100ns\"", "0|1");
    tells(&r, &t, ES_STEP_END, SERIAL);
    go(&r);
    expect_times(&r, 3500, 2000, 100, 0, 0);
    expect_cache(&r, "hits", 1);
    rig_close(&r);
}

/* ---- the predictor's own time ---- */

/* Token 2 passes its first gate at 3800: the question until 3900, the copy of its guess until 4900, late by 200 after the question
 * of its second gate, 4600-4700; before, both demands begin at the gate and the question passes within the wait for them. */
static void a_guess_leaves_when_the_answer_is_there(void **state)
{
    (void)state;
    rig r;
    stage(&r, true, 2, "4slots", ", \"predict\": \"100ns\"", "0 0|0 1");
    rig_guess(&r)[2] = 1;
    r.plan.predictor = rig_part(&r, ES_KIND_PREDICTOR, "recorded", NULL, "predictor");
    go(&r);
    expect_times(&r, 5200, 2000, 400, 0, 0);
    expect_cache(&r, "late", 1);
    rig_close(&r);
}

static void a_question_before_the_lookup_delays_it(void **state)
{
    (void)state;
    rig r;
    teller t = {.say = {"0:9"}};
    stage(&r, true, 1, "4slots", ", \"predict\": \"100ns\", \"lookup\": \"50ns\"", "01");
    tells(&r, &t, ES_BEFORE_LOOKUP, SERIAL);
    go(&r);     /* answer 500, copy of 0 until 1500, lookup until 1600, expert 0 until 1900, copy of 1 until 2600, expert until 2900 */
    expect_times(&r, 2900, 1700, 100, 100, 0);
    rig_close(&r);
}

/* ---- lookups, victims, reads ---- */

static void each_lookup_is_paid_before_the_copies(void **state)
{
    (void)state;
    rig r;
    stage(&r, true, 1, "4slots", ", \"lookup\": \"50ns\"", "01");
    go(&r);     /* looked up at 500; copies until 1500 and 2500, experts until 1800 and 2800 */
    expect_times(&r, 2800, 1700, 0, 100, 0);
    rig_close(&r);
}

static void a_victim_is_paid_before_the_next_expert(void **state)
{
    (void)state;
    rig r;
    stage(&r, true, 1, "1slots", ", \"evict\": \"30ns\"", "0|1");
    go(&r);     /* until 1700; gate 2100, copy until 3100, evict until 3130, expert until 3430 */
    expect_times(&r, 3430, 2000, 0, 30, 0);
    rig_close(&r);
}

static void reader(rig *r, int overlap)
{
    stage(r, true, 1, "4slots", "", "0|01");
    r->plan.compute.overlap = overlap;
    r->tier[0].access = rig_part(r, ES_KIND_TIMING, "affine", "{\"rate\": \"10GB/s\"}", "tiers.cache.access");
}

/* Token 2 passes its gate at 2100 and finds 0, which is 100 ns to read; 1 lands at 3100. */
static void hits_are_read_before_the_first_expert(void **state)
{
    (void)state;
    rig r;
    reader(&r, ES_RESIDENT_FIRST);
    go(&r);     /* read until 2200, expert 0 until 2500, 1 from 3100 to 3400 */
    expect_times(&r, 3400, 1600, 0, 0, 100);
    rig_close(&r);
    reader(&r, ES_BARRIER);
    go(&r);     /* read 3100-3200, experts until 3500 and 3800 */
    expect_times(&r, 3800, 2000, 0, 0, 100);
    rig_close(&r);
}

/* While a copy runs the gpu does half: read 2100-2300, expert 0 until 2900, 1 from 3100 to 3400. */
static void a_slowed_gpu_reads_and_predicts_slower(void **state)
{
    (void)state;
    rig r;
    reader(&r, ES_RESIDENT_FIRST);
    r.channel[1].slowed_by = rig_json(&r, "{\"link\": 0.5}");
    go(&r);
    expect_times(&r, 3400, 1200, 0, 0, 200);
    rig_close(&r);
    /* question 400-600, expert 1400-1700; question 2100-2200, expert until 2500 */
    teller t = {.say = {""}};
    stage(&r, true, 1, "4slots", ", \"predict\": \"100ns\"", "0|0");
    tells(&r, &t, ES_AFTER_GATE, SERIAL);
    r.channel[1].slowed_by = rig_json(&r, "{\"link\": 0.5}");
    go(&r);
    expect_times(&r, 2500, 800, 300, 0, 0);
    rig_close(&r);
}

static void a_tier_that_nobody_reads_has_no_access(void **state)
{
    (void)state;
    rig r;
    stage(&r, true, 1, "4slots", "", "0");
    r.tier[1].access = rig_part(&r, ES_KIND_TIMING, "constant", "{\"time\": \"1us\"}", "tiers.host.access");
    assert_int_equal(rig_run(&r), ES_EINPUT);
    assert_string_equal(r.err.text, "tiers.host.access: events do not read from host, which has no compute unit");
    rig_close(&r);
}

/* ---- how many guesses ---- */

static uint64_t fetched(int64_t top, double confidence)
{
    rig r;
    teller t = {.say = {"", "1:2 2:8 3:9 4:8 5:5"}};
    stage(&r, false, 2, "8slots", "", "0 0");
    tells(&r, &t, ES_AFTER_GATE, LINK);
    r.plan.compute.guess_top = top;
    r.plan.compute.guess_confidence = confidence;
    go(&r);
    uint64_t mask = rig_view(&r)->tier[0].resident[1] & ~1ull;
    rig_close(&r);
    return mask;
}

static void only_the_surest_are_fetched(void **state)
{
    (void)state;
    assert_int_equal(fetched(0, 0), 0x3e);
    assert_int_equal(fetched(2, 0), 0xc);           /* 3, and of two alike the first */
    assert_int_equal(fetched(9, 0), 0x3e);
    assert_int_equal(fetched(0, .5), 0x3c);         /* just as sure is sure enough */
    assert_int_equal(fetched(2, .85), 0x8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_its_lookup_a_guess_is_worth_what_its_copy_costs),
        cmocka_unit_test(serial_guesses_come_one_after_another),
        cmocka_unit_test(serial_guesses_without_room_are_dropped),
        cmocka_unit_test(without_a_clock_they_are_all_there),
        cmocka_unit_test(a_guess_is_looked_up_when_its_turn_comes),
        cmocka_unit_test(the_layer_at_hand_is_the_first_of_those_ahead),
        cmocka_unit_test(after_the_gate_the_layer_waits_for_serial_guesses),
        cmocka_unit_test(a_step_waits_for_serial_guesses_of_the_one_before),
        cmocka_unit_test(a_guess_leaves_when_the_answer_is_there),
        cmocka_unit_test(a_question_before_the_lookup_delays_it),
        cmocka_unit_test(each_lookup_is_paid_before_the_copies),
        cmocka_unit_test(a_victim_is_paid_before_the_next_expert),
        cmocka_unit_test(hits_are_read_before_the_first_expert),
        cmocka_unit_test(a_slowed_gpu_reads_and_predicts_slower),
        cmocka_unit_test(a_tier_that_nobody_reads_has_no_access),
        cmocka_unit_test(only_the_surest_are_fetched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
