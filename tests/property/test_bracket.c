/* Bracket: on random machines of every kind no run is faster than the bound that sim/study/bracket.h finds for it, whatever policy,
 * predictor, dispatcher, grace, precision, number of tiers or links it has.
 * Nor is who knows the future.
 *
 * A case that fails prints its number; ES_SEED and ES_CASE run it alone and print its machine. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <inttypes.h>

#include "sim/study/bracket.h"
#include "tests/support/scene.h"

enum { KINDS = 10 };

typedef struct bracket_sum {    /* over all cases */
    uint64_t runs, bounded, trains, tight, copies;
    uint64_t kind[KINDS];       /* of those whose bound is above all compute */
} bracket_sum;

static const char *const bracket_kinds[KINDS] = {"several tiers", "several serving tiers", "grace", "prompts", "pins", "precisions", "matrices", "lanes", "a host unit", "charges"};

static void bracket_scene(scene *s, uint64_t seed, uint64_t number)
{
    scene_draw(s, seed);
    s->timed = true;
    s->watched = s->reported = false;
    if (number % 4 == 0)
        scene_charge(s);
    if (number % 6 == 1)
        scene_precisions(s);
    if (number % 6 == 3)
        scene_pools(s);
    else if (number % 4 < 2)
        scene_tune(s);
}

static void bracket_count(bracket_sum *sum, const scene *s, const rig *r)
{
    const es_policy *policy = (const es_policy *)(const void *)r->plan.policy.part;
    const bool hosts = s->cpu && s->dispatcher && !strcmp(s->dispatcher, "host_compute");
    const bool has[KINDS] = {s->tiers > 1, s->levels > 1, s->tier[0].grace > 0, s->prompt > 0, policy->initial != NULL, s->variants > 1, s->slices > 1,
        s->channel[0].discipline == ES_LANES && s->channel[0].lanes > 1, hosts, s->predict > 0};
    for (size_t i = 0; i < KINDS; i++)
        sum->kind[i] += has[i];
}

static bool bracket_case(const scene_cases *cases, uint64_t number, bracket_sum *sum)
{
    scene s;
    rig r;
    es_bracket bracket;
    es_err err = {0};
    bool sound = true;
    bracket_scene(&s, scene_seed(cases, number), number);
    scene_build(&s, &r);
    if (cases->one)
        rig_print(&r, stdout);
    if (rig_run(&r) == ES_OK) {
        const es_time total = rig_view(&r)->times->total;
        assert_int_equal(es_bracket_find(&bracket, &r.plan, NULL, NULL, &err), ES_OK);
        const bool trains = bracket.no_bound && !strcmp(bracket.no_bound, "steps train");
        const es_time bound = bracket.bound.total_ns;
        sound = trains || (!bracket.no_bound && !bracket.no_schedule && bound <= total && bound <= bracket.least_ns);
        sum->runs++;
        sum->trains += trains;
        sum->tight += !trains && bound * 10 >= total * 9;
        sum->copies += !trains && bound > bracket.bound.compute_ns;
        if (!trains && bound > bracket.bound.compute_ns)
            bracket_count(sum, &s, &r);
        if (!sound || cases->one)
            printf("case %" PRIu64 ": bound %lld (compute %lld, copies %lld), clairvoyant %lld, run %lld; %s; %s\n", number, (long long)bound,
                (long long)bracket.bound.compute_ns, (long long)bracket.bound.link_ns, (long long)bracket.least_ns, (long long)total,
                bracket.no_bound ? bracket.no_bound : "bounded", bracket.no_schedule ? bracket.no_schedule : "scheduled");
    }
    rig_close(&r);
    return sound;
}

/* Every run that does not train has a bound and a clairvoyant, and is not below the bound; nor is the clairvoyant. */
static void no_random_run_is_faster_than_its_bound(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 8000);
    bracket_sum sum = {0};
    uint64_t failed = 0;
    for (uint64_t i = cases.from; i < cases.to; i++)
        failed += !bracket_case(&cases, i, &sum);
    printf("  %" PRIu64 " runs, %" PRIu64 " of them train; %" PRIu64 " bounds are at least 90 %% of the run, %" PRIu64 " are more than compute\n", sum.runs, sum.trains, sum.tight,
        sum.copies);
    for (size_t i = 0; i < KINDS; i++)
        printf("  %6" PRIu64 " of these with %s\n", sum.kind[i], bracket_kinds[i]);
    assert_int_equal(failed, 0);
    for (size_t i = 0; i < KINDS && cases.to - cases.from >= 1000; i++)
        assert_true(sum.kind[i] * 500 > sum.copies);        /* none of them is left out */
}

/* ---- what such runs found ---- */

static es_time tokens_ns(const char *unit, int judge)
{
    rig r;
    rig_open(&r, 1, 4, 2, 0, 3);
    for (int i = 0; i < 3; i++)
        memcpy(rig_token(&r, 0, ES_PREFILL, i > 0), (uint16_t[]){1, (uint16_t)(2 + i % 2)}, 2 * sizeof(uint16_t));
    rig_plain(&r, true, "4slots", "{\"rate\": \"1GB/s\"}", unit);
    r.plan.contract.judge = judge;
    assert_int_equal(rig_run(&r), ES_OK);
    const es_time took = rig_view(&r)->times->expert_gpu;
    rig_close(&r);
    return took;
}

/* An expert of a union serves as many tokens however its event is judged: three times expert 1, twice 2, once 3. */
static void a_union_that_is_judged_one_by_one_computes_as_many_tokens(void **state)
{
    (void)state;
    for (int judge = ES_JUDGE_EVENT; judge <= ES_SERIALIZED_PINNED; judge++)
        assert_int_equal(tokens_ns("{\"expert\": \"1us\", \"token\": \"100ns\"}", judge), 3 * 1000 + 6 * 100);
}

/* ---- known by hand ---- */

/* One expert a token, 1000 bytes each: 3 us from the disk to DRAM, 1 us from there to the cache, 100 ns of compute. */
static void disk_open(rig *r, uint32_t experts, uint32_t tokens, const char *cache, const char *dram)
{
    rig_open(r, 1, experts, 1, 0, tokens);
    for (uint32_t i = 0; i < tokens; i++)
        *rig_token(r, 0, ES_DECODE, false) = (uint16_t)(i % experts);
    rig_plain(r, true, cache, "{\"rate\": \"1GB/s\"}", "{\"expert\": \"100ns\"}");
    r->plan.tier_count = r->plan.link_count = 0;
    rig_tier(r, "cache", cache, "gpu");
    rig_tier(r, "dram", dram, NULL)->exclusive = true;
    r->tier[0].demote = "dram";
    rig_tier(r, "disk", NULL, NULL);
    rig_channel(r, "ssd", "affine", "{\"rate\": \"333333334B/s\"}");
    rig_link(r, "dram", "cache", "[\"link\"]");
    rig_link(r, "disk", "dram", "[\"ssd\"]");
}

static es_bracket disk_bracket(rig *r)
{
    es_bracket bracket;
    assert_int_equal(rig_run(r), ES_OK);
    assert_int_equal(es_bracket_find(&bracket, &r->plan, NULL, NULL, NULL), ES_OK);
    assert_null(bracket.no_schedule);
    assert_true(bracket.foreseen && bracket.bound.total_ns <= bracket.least_ns && bracket.least_ns <= rig_view(r)->times->total);
    return bracket;
}

/* 40 experts, each used once: all come from the disk, one behind the other, and the last is computed. */
static void a_walk_is_bound_by_the_disk(void **state)
{
    (void)state;
    rig r;
    disk_open(&r, 40, 40, "4slots", "4slots");
    const es_bracket b = disk_bracket(&r);
    assert_int_equal(b.bound.link_ns, 40 * 3000);
    assert_int_equal(b.bound.total_ns, 40 * 3000 + 100);
    assert_string_equal(b.from, "disk");
    assert_string_equal(b.to, "dram");
    assert_true(b.least_ns <= 40 * 3000 + 2 * 1100);        /* all but the first hop of the last copy overlaps */
    rig_close(&r);
}

/* A cycle of 4 in 2 + 2 slots: the disk is read 4 times and never again, and of each 4 further uses Belady in 2 slots hits 2. */
static void a_cycle_that_fits_both_tiers_is_bound_by_the_link_between(void **state)
{
    (void)state;
    rig r;
    disk_open(&r, 4, 4 + 300, "2slots", "2slots");
    const es_bracket b = disk_bracket(&r);
    assert_int_equal(b.bound.misses, 4 + 150);
    assert_int_equal(b.bound.link_ns, 154 * 1000);
    assert_string_equal(b.from, "dram");
    assert_string_equal(b.to, "cache");
    rig_close(&r);
}

/* 40 experts, each used once, that a link brings in 3 us or the host computes in 1 us: both at once take 3/4 us for each. */
static void a_host_unit_is_one_more_way_in(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, 1, 40, 1, 0, 40);
    for (uint16_t i = 0; i < 40; i++)
        *rig_token(&r, 0, ES_DECODE, false) = i;
    rig_plain(&r, true, "4slots", "{\"rate\": \"333333334B/s\"}", "{\"expert\": \"100ns\"}");
    r.tier[1].compute = "cpu";
    rig_channel(&r, "cpu", "compute", "{\"expert\": \"1us\"}");
    r.plan.dispatcher = rig_part(&r, ES_KIND_DISPATCHER, "host_compute", "{\"rule\": \"always\"}", "dispatcher");
    const es_bracket b = disk_bracket(&r);
    assert_in_range(b.bound.link_ns, 40 * 750 - 1, 40 * 750);
    assert_true(b.bound.total_ns <= b.least_ns && b.least_ns <= 40 * 1000);
    rig_close(&r);
}

/* Matrices of 600 and 400 bytes in 1000: a cache with room for one expert keeps what it can of each of two that take turns. */
static void matrices_are_kept_in_pieces(void **state)
{
    (void)state;
    rig r;
    static const int64_t matrix[] = {600, 400};
    rig_open(&r, 1, 2, 1, 0, 20);
    for (uint16_t i = 0; i < 20; i++)
        *rig_token(&r, 0, ES_DECODE, false) = i % 2;
    rig_plain(&r, true, "1000B", "{\"rate\": \"1GB/s\"}", "{\"expert\": \"100ns\"}");
    r.plan.slices = 2;
    r.plan.matrix_bytes = matrix;
    r.plan.contract.unit = ES_SLICE;
    const es_bracket b = disk_bracket(&r);
    assert_int_equal(b.bound.link_ns, 2000 + 9 * 1000);     /* 18 further uses, of each pair one expert's worth is kept */
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_random_run_is_faster_than_its_bound),
        cmocka_unit_test(a_union_that_is_judged_one_by_one_computes_as_many_tokens),
        cmocka_unit_test(a_walk_is_bound_by_the_disk),
        cmocka_unit_test(a_cycle_that_fits_both_tiers_is_bound_by_the_link_between),
        cmocka_unit_test(a_host_unit_is_one_more_way_in),
        cmocka_unit_test(matrices_are_kept_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
