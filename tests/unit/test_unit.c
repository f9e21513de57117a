/* Unit: compute slows copies, copies slow compute, each to the nanosecond by hand; a factor of one changes nothing.
 *
 * The machine: copies of 1000 ns over `link`, 400 ns of dense compute before each gate. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "sim/base/rng.h"
#include "tests/support/rig.h"

typedef struct slow {
    const char *link, *gpu, *cpu;   /* slowed_by of each, as JSON; NULL: none */
} slow;

/* One token; layers of `top_k` experts 0, 1, ...; with `guess` expert 0 of layer 1 is guessed at the gate of layer 0. */
static void stage(rig *r, uint32_t layers, uint32_t top_k, bool guess, int expert, slow slowed)
{
    rig_open(r, layers, 4, top_k, guess, 1);
    uint16_t *ids = rig_token(r, 0, ES_DECODE, false);
    for (uint32_t i = 0; i < layers * top_k; i++)
        ids[i] = (uint16_t)(i % top_k);
    if (guess) {
        rig_guess(r)[1] = 0;
        r->plan.predictor = rig_part(r, ES_KIND_PREDICTOR, "recorded", NULL, "predictor");
    }
    rig_plain(r, true, "8slots", "{\"latency\": 0, \"rate\": \"1GB/s\"}", rig_text(r, "{\"dense\": \"400ns\", \"expert\": \"%dns\"}", expert));
    r->channel[0].slowed_by = slowed.link ? rig_json(r, slowed.link) : NULL;
    r->channel[1].slowed_by = slowed.gpu ? rig_json(r, slowed.gpu) : NULL;
    rig_observe(r, "audit");
    rig_observe(r, "digest");
}

static void stage_cpu(rig *r, int expert, slow slowed)
{
    r->tier[1].compute = "cpu";
    es_plan_channel *cpu = rig_channel(r, "cpu", "compute", rig_text(r, "{\"expert\": \"%dns\"}", expert));
    cpu->slowed_by = slowed.cpu ? rig_json(r, slowed.cpu) : NULL;
    r->plan.dispatcher = rig_part(r, ES_KIND_DISPATCHER, "host_compute", "{\"rule\": \"n\", \"count\": 1}", "dispatcher");
}

static void expect_times(rig *r, es_time dense, es_time expert, es_time cpu, es_time stall)
{
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
    const es_times *t = rig_view(r)->times;
    assert_int_equal(t->dense, dense);
    assert_int_equal(t->expert_gpu, expert);
    assert_int_equal(t->expert_cpu, cpu);
    assert_int_equal(t->stall, stall);
    assert_int_equal(t->total, dense + expert + cpu + stall);
    assert_int_equal(r->allocations[0], r->allocations[1]);
    rig_close(r);
}

/* Expert 0 is copied from 400 to 1400 and computed then, while expert 1 is copied. */
static void copies_are_slower_while_the_gpu_computes(void **state)
{
    (void)state;
    rig r;
    stage(&r, 1, 2, false, 300, (slow){0});
    expect_times(&r, 400, 600, 0, 1700);
    /* in 300 ns of compute 150 of the second copy are done; the other 850 go at the full rate: landed at 2550 */
    stage(&r, 1, 2, false, 300, (slow){.link = "{\"gpu\": 0.5}"});
    expect_times(&r, 400, 600, 0, 1850);
    /* the gpu is busy from 1400 to 2100, with expert 0 and the dense part of layer 1; the guess lands at 2100 + 650 */
    stage(&r, 2, 1, true, 300, (slow){.link = "{\"gpu\": 0.5}"});
    expect_times(&r, 800, 600, 0, 1650);
}

static void compute_is_slower_while_a_copy_runs(void **state)
{
    (void)state;
    rig r;
    /* expert 0: 1400 to 2000; expert 1 when it has landed: 2400 to 2700 */
    stage(&r, 1, 2, false, 300, (slow){.gpu = "{\"link\": 0.5}"});
    expect_times(&r, 400, 900, 0, 1400);
    /* expert 0: 500 of 700 are done when the copy ends at 2400, and all at 2600 */
    stage(&r, 1, 2, false, 700, (slow){.gpu = "{\"link\": 0.5}"});
    expect_times(&r, 400, 1900, 0, 1000);
    /* the dense part of layer 1: 2000 to 2600, 200 of it beside the guess that lands at 2400 */
    stage(&r, 2, 1, true, 300, (slow){.gpu = "{\"link\": 0.5}"});
    expect_times(&r, 1000, 900, 0, 1000);
}

/* Both at half from 1400 on: expert 0 until 2000, when 300 of the copy are done. */
static void both_slow_each_other(void **state)
{
    (void)state;
    rig r;
    stage(&r, 1, 2, false, 300, (slow){.link = "{\"gpu\": 0.5}", .gpu = "{\"link\": 0.5}"});
    expect_times(&r, 400, 900, 0, 1700);
}

/* What a copy passes through is busy too, though it queues elsewhere: the link's copies are limited by `root`, which slows the gpu. */
static void a_channel_that_only_limits_a_link_slows_others(void **state)
{
    (void)state;
    for (int slows = 0; slows <= 1; slows++) {
        rig r;
        stage(&r, 1, 2, false, 700, slows ? (slow){.gpu = "{\"root\": 0.5}"} : (slow){0});
        rig_channel(&r, "root", "affine", "{\"rate\": \"1GB/s\"}");
        r.link[0].channels = rig_json(&r, "[\"link\", \"root\"]");
        /* as above: of expert 0's 700 ns from 1400 on 500 are done when the second copy ends at 2400, and all at 2600 */
        expect_times(&r, 400, slows ? 1900 : 1400, 0, slows ? 1000 : 1300);
    }
}

/* Expert 0 on the host from 400 on, expert 1 copied until 1400 and computed for 300. */
static void the_cpu_too(void **state)
{
    (void)state;
    rig r;
    slow slowed = {0};
    stage(&r, 1, 2, false, 300, slowed);
    stage_cpu(&r, 900, slowed);
    expect_times(&r, 400, 300, 0, 1000);
    /* 500 of 900 are done at 1400; the gpu ends at 1700, the cpu at 1800 */
    slowed.cpu = "{\"link\": 0.5}";
    stage(&r, 1, 2, false, 300, slowed);
    stage_cpu(&r, 900, slowed);
    expect_times(&r, 400, 300, 100, 1000);
    /* 300 of the copy are done when the cpu ends at 1000 */
    slowed = (slow){.link = "{\"cpu\": 0.5}"};
    stage(&r, 1, 2, false, 300, slowed);
    stage_cpu(&r, 600, slowed);
    expect_times(&r, 400, 300, 0, 1300);
}

/* ---- at random ---- */

static uint32_t throw(uint64_t seed, uint64_t *at, uint32_t below)
{
    return es_draw_below(seed, below, (*at)++, 0, 0, 0);
}

/* Everything that compute meets: unions, waves, all overlaps, guesses, host compute, chunks, batches, lanes. `factor` NULL: unslowed. */
static void draw(rig *r, uint64_t seed, const char *factor)
{
    enum { LAYERS = 3, EXPERTS = 9, USED = 3, TOKENS = 30 };
    uint64_t at = 0;
    rig_open(r, LAYERS, EXPERTS, USED, 0, TOKENS);
    for (uint32_t t = 0; t < TOKENS; t++) {
        bool prompt = t % 15 < 5;
        uint16_t *ids = rig_token(r, t / 15, prompt ? ES_PREFILL : ES_DECODE, prompt && t % 15 > 0);
        for (uint32_t l = 0; l < LAYERS; l++)
            for (uint32_t i = 0, first = throw(seed, &at, EXPERTS); i < USED; i++)
                ids[l * USED + i] = (uint16_t)((first + i * (1 + l)) % EXPERTS);
    }
    for (uint32_t l = 0; l < LAYERS; l++)
        r->trace.bytes[l] = 600 * (1 + (int64_t)throw(seed, &at, 3));
    rig_plain(r, true, (const char *[]){"5slots", "8slots", "3slots", "6000B"}[throw(seed, &at, 4)], rig_text(r, "{\"latency\": \"%uns\", \"rate\": \"1GB/s\"}", 100 * throw(seed, &at, 3)),
        rig_text(r, "{\"dense\": \"%uns\", \"expert\": \"%uns\", \"token\": \"100ns\"}", 500 * throw(seed, &at, 3), 300 * throw(seed, &at, 4)));
    es_plan_channel *link = &r->channel[0];
    link->discipline = (int)throw(seed, &at, 3);
    link->lanes = 2;
    link->chunk = throw(seed, &at, 3) ? 0 : 500;
    r->plan.compute.overlap = (int)throw(seed, &at, 3);
    r->plan.contract.overflow = (int)throw(seed, &at, 5);
    r->plan.contract.unit = throw(seed, &at, 3) ? ES_UNION : ES_TOKEN;
    if (throw(seed, &at, 2))
        r->plan.predictor = rig_part(r, ES_KIND_PREDICTOR, "previous_token", NULL, "predictor");
    bool cpu = throw(seed, &at, 2);
    if (cpu)
        stage_cpu(r, 700, (slow){0});
    uint32_t who = 1 + throw(seed, &at, 7);
    if (factor && who & 1)
        link->slowed_by = rig_json(r, rig_text(r, cpu ? "{\"gpu\": %s, \"cpu\": %s}" : "{\"gpu\": %s}", factor, factor));
    if (factor && who & 2)
        r->channel[1].slowed_by = rig_json(r, rig_text(r, cpu ? "{\"link\": %s, \"cpu\": %s}" : "{\"link\": %s}", factor, factor));
    if (factor && cpu && who & 4)
        r->channel[2].slowed_by = rig_json(r, rig_text(r, "{\"link\": %s}", factor));
    rig_observe(r, "audit");
    rig_observe(r, "digest");
}

static void a_factor_of_one_changes_nothing(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 600; i++) {
        rig a, b;
        draw(&a, i, NULL);
        draw(&b, i, "1");
        es_code one = rig_run(&a), two = rig_run(&b);
        if (one != ES_OK || two != ES_OK)
            fail_msg("case %u: %s%s", (unsigned)i, a.err.text, b.err.text);
        if (memcmp(rig_view(&a)->times, rig_view(&b)->times, sizeof(es_times)) != 0 || memcmp(rig_view(&a)->tally, rig_view(&b)->tally, sizeof(es_counts)) != 0)
            fail_msg("case %u: %lld ns, with factors of one %lld ns", (unsigned)i, (long long)rig_view(&a)->times->total, (long long)rig_view(&b)->times->total);
        assert_string_equal(rig_said(&a, "digest.decisions"), rig_said(&b, "digest.decisions"));
        rig_close(&a);
        rig_close(&b);
    }
}

/* The audit watches, and nothing that is slowed makes up for it by more than what waits can hide. */
static void what_is_slowed_ends_without_a_fault(void **state)
{
    (void)state;
    uint64_t slower = 0, cases = 600;
    for (uint64_t i = 0; i < cases; i++) {
        rig a, b;
        draw(&a, i, NULL);
        draw(&b, i, (const char *[]){"0.5", "0.3", "0.9"}[i % 3]);
        es_code one = rig_run(&a), two = rig_run(&b);
        if (one != ES_OK || two != ES_OK)
            fail_msg("case %u: %s%s", (unsigned)i, a.err.text, b.err.text);
        assert_int_equal(b.allocations[0], b.allocations[1]);
        slower += rig_view(&b)->times->total > rig_view(&a)->times->total;
        rig_close(&a);
        rig_close(&b);
    }
    assert_true(slower * 2 > cases);
}

/* ---- what is refused ---- */

static void expect_refused(slow slowed, const char *text)
{
    rig r;
    stage(&r, 1, 1, false, 300, slowed);
    if (rig_run(&r) != ES_EINPUT || strcmp(r.err.text, text) != 0)
        fail_msg("is: %s\nwant: %s", r.err.text, text);
    rig_close(&r);
}

static void what_cannot_slow_is_said(void **state)
{
    (void)state;
    expect_refused((slow){.link = "{\"gpu0\": 0.5}"}, "channels.link.slowed_by: there is no channel \"gpu0\"; did you mean \"gpu\"?");
    expect_refused((slow){.gpu = "{\"gpu\": 0.5}"}, "channels.gpu.slowed_by: needs {\"CHANNEL\": factor}, at most 4 others, each factor above 0 and at most 1");
    expect_refused((slow){.link = "{\"gpu\": 2}"}, "channels.link.slowed_by: needs {\"CHANNEL\": factor}, at most 4 others, each factor above 0 and at most 1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_are_slower_while_the_gpu_computes),
        cmocka_unit_test(compute_is_slower_while_a_copy_runs),
        cmocka_unit_test(a_channel_that_only_limits_a_link_slows_others),
        cmocka_unit_test(both_slow_each_other),
        cmocka_unit_test(the_cpu_too),
        cmocka_unit_test(a_factor_of_one_changes_nothing),
        cmocka_unit_test(what_is_slowed_ends_without_a_fault),
        cmocka_unit_test(what_cannot_slow_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
