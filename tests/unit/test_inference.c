/* Inference: what an end-to-end run of tokens and layers is made of, each by hand: a batch wants an expert once, copies go in batches at a
 * measured price, guesses may be for several layers ahead, copies pass beside compute, and victims may go a level down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/rig.h"

static void observed(rig *r)
{
    rig_observe(r, "summary");
    rig_observe(r, "audit");
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
}

/* Three tokens of one step want 0 1, 1 2 and 2 0: three experts, each looked up and copied once. */
static void a_batch_wants_an_expert_once(void **state)
{
    static const uint16_t wanted[3][2] = {{0, 1}, {1, 2}, {2, 0}};
    (void)state;
    rig r;
    rig_open(&r, 1, 8, 2, 0, 3);
    for (uint32_t i = 0; i < 3; i++)
        memcpy(rig_token(&r, i, ES_DECODE, i > 0), wanted[i], sizeof wanted[i]);
    rig_plain(&r, true, "8slots", "{\"latency\": \"100ns\"}", "{\"dense\": \"50ns\", \"expert\": \"10ns\", \"token\": \"1ns\"}");
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, "lru", NULL, "policy");
    observed(&r);
    assert_int_equal(rig_count(&r, "cache.assignments"), 6);
    assert_int_equal(rig_count(&r, "cache.lookups"), 3);
    assert_int_equal(rig_count(&r, "cache.misses"), 3);
    assert_int_equal(rig_view(&r)->channel[0].transfers, 3);
    assert_int_equal(rig_view(&r)->times->expert_gpu, 3 * (10 + 2));    /* each serves two tokens */
    rig_close(&r);
}

/* A table with 1000 ns for one copy and 3000 ns for two to four, as seed 001 measured: a batch of two costs as much as one of four. */
static void batches_of_copies_cost_what_was_measured(void **state)
{
    (void)state;
    for (uint16_t misses = 1; misses <= 4; misses++) {
        rig r;
        rig_open(&r, 1, 8, 4, 0, 1);
        uint16_t *ids = rig_token(&r, 0, ES_DECODE, false);
        for (uint16_t i = 0; i < misses; i++)
            ids[i] = i;
        r.trace.bytes[0] = 1000;
        r.plan.timed = true;
        rig_tier(&r, "cache", "8slots", "gpu");
        rig_tier(&r, "host", NULL, NULL);
        rig_channel(&r, "link", "table", "{\"points\": [{\"bytes\": \"1KB\", \"count\": 1, \"time\": \"1us\"}, {\"bytes\": \"1KB\", \"count\": 2, \"time\": \"3us\"}, "
            "{\"bytes\": \"1KB\", \"count\": 4, \"time\": \"3us\"}]}")->scheduler = rig_part(&r, ES_KIND_SCHEDULER, "demand_first", "{\"batch\": 4}", "channels.link.scheduler");
        rig_channel(&r, "gpu", "compute", "{}");
        rig_link(&r, "host", "cache", "[\"link\"]");
        r.plan.policy = rig_part(&r, ES_KIND_POLICY, "lru", NULL, "policy");
        observed(&r);
        assert_int_equal(rig_view(&r)->times->total, misses == 1 ? 1000 : 3000);
        assert_int_equal(rig_view(&r)->channel[0].batches, 1);
        assert_int_equal(rig_view(&r)->channel[0].transfers, misses);
        rig_close(&r);
    }
}

/* Three layers of 100 ns, copies of 150 ns. The second token wants one new expert, in the third layer, and it is guessed: asked one layer
 * ahead, at 200 ns of the token, it lands 50 ns late; asked two ahead, at 100 ns, it is there at the gate, at 300 ns. */
static void a_guess_further_ahead_is_there_in_time(void **state)
{
    (void)state;
    for (int ahead = 1; ahead <= 2; ahead++) {
        rig r;
        rig_open(&r, 3, 8, 1, 1, 2);
        rig_token(&r, 0, ES_DECODE, false);
        memset(r.trace.ids, 0, 3 * sizeof(uint16_t));
        memcpy(rig_token(&r, 0, ES_DECODE, false), (uint16_t[]){0, 0, 7}, 3 * sizeof(uint16_t));
        rig_guess(&r)[2] = 7;
        rig_plain(&r, true, "8slots", "{\"latency\": \"150ns\"}", "{\"dense\": \"100ns\"}");
        r.plan.policy = rig_part(&r, ES_KIND_POLICY, "lru", NULL, "policy");
        r.plan.predictor = rig_part(&r, ES_KIND_PREDICTOR, "recorded", NULL, "predictor");
        r.plan.compute.lookahead = ahead;
        observed(&r);
        assert_int_equal(rig_count(&r, "cache.late"), ahead == 1);
        assert_int_equal(rig_count(&r, "cache.hits"), ahead == 1 ? 2 : 3);
        assert_int_equal(rig_view(&r)->times->total, 3 * 250 + (ahead == 1 ? 350 : 300));
        rig_close(&r);
    }
}

/* One expert is there, another is copied in 900 ns; each takes 1000 ns. Beside compute the copy costs nothing, before it all of its time. */
static void a_copy_passes_beside_compute(void **state)
{
    (void)state;
    for (int overlap = ES_RESIDENT_FIRST; overlap <= ES_BARRIER; overlap++) {
        rig r;
        rig_open(&r, 1, 8, 2, 0, 2);
        memcpy(rig_token(&r, 0, ES_DECODE, false), (uint16_t[]){0, ES_NO_EXPERT}, 2 * sizeof(uint16_t));
        memcpy(rig_token(&r, 0, ES_DECODE, false), (uint16_t[]){0, 1}, 2 * sizeof(uint16_t));
        rig_plain(&r, true, "8slots", "{\"latency\": \"900ns\"}", "{\"dense\": \"100ns\", \"expert\": \"1us\"}");
        r.plan.policy = rig_part(&r, ES_KIND_POLICY, "lru", NULL, "policy");
        r.plan.compute.overlap = overlap;
        observed(&r);
        const es_time first = 100 + 900 + 1000, second = 100 + (overlap == ES_BARRIER ? 900 : 0) + 2 * 1000;
        assert_int_equal(rig_view(&r)->times->total, first + second);
        assert_int_equal(rig_view(&r)->times->stall, 900 + (overlap == ES_BARRIER ? 900 : 0));
        rig_close(&r);
    }
}

/* Levels of one slot: what leaves the first goes to the second, and from there to the third, where it is found. Dropped it is not. */
static void victims_go_a_level_down(void **state)
{
    (void)state;
    for (int demotes = 0; demotes <= 1; demotes++) {
        rig r;
        rig_open(&r, 1, 8, 1, 0, 9);
        for (uint32_t i = 0; i < 9; i++)
            *rig_token(&r, 0, ES_DECODE, false) = (uint16_t)(i % 3);
        rig_tier(&r, "l1", "1slots", "gpu")->demote = demotes ? "l2" : NULL;
        rig_tier(&r, "l2", "1slots", "gpu")->demote = demotes ? "l3" : NULL;
        rig_tier(&r, "l3", "1slots", "gpu");
        rig_tier(&r, "host", NULL, NULL);
        r.tier[1].exclusive = r.tier[2].exclusive = true;      /* what rises leaves its place to who comes down */
        r.plan.policy = rig_part(&r, ES_KIND_POLICY, "coverage", NULL, "policy");
        observed(&r);
        assert_int_equal(rig_count(&r, "cache.misses"), demotes ? 3 : 9);
        assert_int_equal(rig_count(&r, "tiers.l3.found"), demotes ? 6 : 0);
        assert_int_equal(rig_count(&r, "tiers.l3.risen"), demotes ? 6 : 0);
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_wants_an_expert_once),
        cmocka_unit_test(batches_of_copies_cost_what_was_measured),
        cmocka_unit_test(a_guess_further_ahead_is_there_in_time),
        cmocka_unit_test(a_copy_passes_beside_compute),
        cmocka_unit_test(victims_go_a_level_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
