/* A search against all points: on made-up machines whose every answer is known, hundreds of them, it finds what an exhaustive look finds.
 *
 * A machine is a table: tokens per second for each capacity (and a second knob). The result of a run is a report with that number in it. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/base/rng.h"
#include "sim/study/search.h"

enum { MOST = 200, SIDE = 12 };

typedef struct machine {
    double rate[MOST];          /* tokens/s with i + 1 slots */
    size_t count;
    double surface[SIDE][SIDE]; /* with i + 1 slots and knob j */
    bool two;
    double noise;               /* of runs on half of the trace; of shorter ones more */
    size_t least;               /* slots; below it a run is refused */
    uint64_t seed;
    size_t runs;
} machine;

static double drawn(uint64_t seed, uint64_t a, uint64_t b)
{
    return es_draw_real(es_stream_of(seed, 0, "test", "search"), a, b, 0, 0);
}

static unsigned knob(const char *const *sets, size_t count, const char *path)
{
    unsigned value = 0;
    for (size_t i = 0; i < count; i++)
        if (strncmp(sets[i], path, strlen(path)) == 0)
            sscanf(sets[i] + strlen(path), "=%u", &value);
    return value;
}

static es_code machine_run(void *self, const char *const *sets, size_t count, double share, es_json **result, es_err *err)
{
    machine *m = self;
    const unsigned slots = knob(sets, count, "tiers.cache.capacity"), lanes = knob(sets, count, "channels.pcie.lanes");
    m->runs++;
    if (slots < m->least)
        return es_err_set(err, ES_EINPUT, "tiers.cache.capacity: %u slots are too few", slots);
    double rate = m->two ? m->surface[slots - 1][lanes] : m->rate[slots - 1];
    rate *= 1.0 + m->noise * (1.0 / share - 1.0) * (drawn(m->seed, slots, lanes + 100) - 0.5);
    es_json *out = *result = cJSON_CreateObject();
    es_json_add_text(out, "clock", "simulated");
    es_json *time = es_json_add_object(out, "time"), *capacity = es_json_add_object(out, "capacity");
    es_json_add_real(time, "tokens_per_s", rate);
    es_json_add_real(es_json_add_object(time, "token_latency_s"), "mean", 1.0 / rate);
    es_json_add_text(capacity, "counts", "bytes");
    es_json_add_real(capacity, "slots_or_bytes", (double)slots * 1073741824.0);
    return ES_OK;
}

static es_json *search(machine *m, const char *target, const char *over, const char *second, const char *method)
{
    const char *overs[] = {over, second};
    es_json *found = NULL;
    es_err err = {0};
    const es_search_ask ask = {.targets = &target, .target_count = target ? 1 : 0, .over = overs, .over_count = second ? 2 : 1, .method = method, .points = second ? SIDE : 0};
    m->runs = 0;
    if (es_search_find(&ask, &(es_search_run){.run = machine_run, .self = m}, &found, &err) != ES_OK)
        fail_msg("%s", err.text);
    return found;
}

/* Slots of the answer; 0: there is none. */
static unsigned answer(const es_json *found)
{
    const es_json *value = es_json_at(found, "found.values");
    const es_json *slots = cJSON_GetObjectItemCaseSensitive(value, "tiers.cache.capacity");
    return slots ? (unsigned)strtoul(slots->valuestring, NULL, 10) : 0;
}

static void rising(machine *m, uint64_t seed)
{
    double rate = 1.0;
    *m = (machine){.seed = seed};
    m->count = 2 + (size_t)(drawn(seed, 1, 0) * (MOST - 2));
    m->least = drawn(seed, 2, 0) < 0.3 ? (size_t)(drawn(seed, 3, 0) * (double)m->count / 2.0) : 0;
    for (size_t i = 0; i < m->count; i++)
        m->rate[i] = rate += drawn(seed, 10, i) < 0.5 ? 0.0 : drawn(seed, 11, i);
}

static unsigned smallest(const machine *m, double target)
{
    for (size_t i = m->least ? m->least - 1 : 0; i < m->count; i++)
        if (m->rate[i] >= target)
            return (unsigned)i + 1;
    return 0;
}

static void bisection_finds_the_smallest_of_all(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        machine m;
        char target[64], over[64];
        rising(&m, seed);
        const double wanted = m.rate[0] + (m.rate[m.count - 1] * 1.05 - m.rate[0]) * drawn(seed, 4, 0);
        snprintf(target, sizeof target, "tokens_per_s>=%.17g", wanted);
        snprintf(over, sizeof over, "tiers.cache.capacity=1slots..%zuslots", m.count);
        es_json *found = search(&m, target, over, NULL, NULL);
        assert_int_equal(answer(found), smallest(&m, wanted));
        assert_true(cJSON_IsTrue(es_json_at(found, "monotone")));
        assert_true(m.runs <= 2 + 8 + 8 || m.count <= 20);      /* ends, halvings, probes */
        cJSON_Delete(found);
    }
}

/* More is worse beyond the middle: a hump. The grid has every point, so what it finds is the smallest again. */
static void what_is_not_monotone_is_said_and_searched_by_a_grid(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        machine m = {.seed = seed, .count = 30};
        const double top = 5.0 + 20.0 * drawn(seed, 1, 0);
        for (size_t i = 0; i < m.count; i++)
            m.rate[i] = 1000.0 - ((double)i - top) * ((double)i - top);
        es_json *found = search(&m, "tokens_per_s>=990", "tiers.cache.capacity=1slots..30slots", NULL, NULL);
        assert_true(cJSON_IsFalse(es_json_at(found, "monotone")));
        assert_string_equal(es_json_at(found, "method")->valuestring, "grid");
        assert_non_null(strstr(es_json_at(found, "note")->valuestring, "not always better"));
        assert_int_equal(answer(found), smallest(&m, 990.0));
        cJSON_Delete(found);
    }
}

/* A lost hit here and there does not frighten it. */
static void a_dip_of_a_hundredth_is_no_hump(void **state)
{
    machine m = {.count = 100};
    (void)state;
    for (size_t i = 0; i < m.count; i++)
        m.rate[i] = (double)i + (i % 7 == 3 ? -0.9 : 0.0);
    es_json *found = search(&m, "tokens_per_s>=50", "tiers.cache.capacity=1slots..100slots", NULL, NULL);
    assert_true(cJSON_IsTrue(es_json_at(found, "monotone")));
    assert_int_equal(answer(found), smallest(&m, 50.0));
    cJSON_Delete(found);
}

/* Two knobs, runs on part of the trace that are off: the same answer as from all points, for a part of the full runs. */
static void halving_finds_the_cheapest_of_the_grid(void **state)
{
    size_t full = 0;
    (void)state;
    for (uint64_t seed = 0; seed < 100; seed++) {
        machine m = {.seed = seed, .two = true, .noise = 0.02};
        for (size_t i = 0; i < SIDE; i++)
            for (size_t j = 0; j < SIDE; j++)
                m.surface[i][j] = 10.0 * log(2.0 + (double)i) * (1.0 + 0.2 * sqrt((double)j)) * (1.0 + 0.02 * drawn(seed, i, j));
        char target[64];
        snprintf(target, sizeof target, "tokens_per_s>=%.17g", 12.0 + 30.0 * drawn(seed, 1000, 0));
        es_json *all = search(&m, target, "tiers.cache.capacity=1slots..12slots", "channels.pcie.lanes=0..11", "grid");
        es_json *found = search(&m, target, "tiers.cache.capacity=1slots..12slots", "channels.pcie.lanes=0..11", NULL);
        assert_string_equal(es_json_at(found, "method")->valuestring, "halving");
        assert_true(cJSON_Compare(es_json_at(all, "found.values"), es_json_at(found, "found.values"), true));
        full += (size_t)es_json_at(found, "runs")->valuedouble;
        cJSON_Delete(all);
        cJSON_Delete(found);
    }
    assert_true(full < 100 * SIDE * SIDE / 3);
}

/* ---- the front ---- */

static void the_front_has_all_that_nothing_beats_and_its_knee(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        machine m;
        char over[64];
        rising(&m, seed);
        m.count = m.count < 17 ? m.count : 17;
        m.least = 0;
        for (size_t i = 0; i < m.count; i++)
            m.rate[i] = 1.0 + drawn(seed, 20, i);               /* no order at all */
        snprintf(over, sizeof over, "tiers.cache.capacity=1slots..%zuslots", m.count);
        es_json *found = search(&m, NULL, over, NULL, NULL);
        const es_json *points = es_json_at(found, "front.points"), *one;
        size_t want = 0;
        double best = 0.0;
        for (size_t i = 0; i < m.count; i++)
            if (m.rate[i] > best) {
                one = cJSON_GetArrayItem(points, (int)want++);
                best = m.rate[i];
                assert_true(one && fabs(es_json_at(one, "against")->valuedouble - 1.0 / best) < 1e-15);
                assert_true(es_json_at(one, "memory")->valuedouble == (double)(i + 1) * 1073741824.0);
            }
        assert_int_equal(cJSON_GetArraySize(points), want);
        cJSON_Delete(found);
    }
}

/* Latencies 16 8 4 3 2: the third point is farthest below the line; from it one GiB more buys 1 s, from the first 8 s. */
static void the_knee_and_the_worth_of_a_gib_by_hand(void **state)
{
    machine m = {.count = 5, .rate = {1.0 / 16, 1.0 / 8, 1.0 / 4, 1.0 / 3, 1.0 / 2}};
    static const double worth[] = {-8, -4, -1, -1};
    (void)state;
    es_json *found = search(&m, NULL, "tiers.cache.capacity=1slots..5slots", NULL, NULL);
    const es_json *points = es_json_at(found, "front.points");
    assert_int_equal(cJSON_GetArraySize(points), 5);
    for (int i = 0; i < 5; i++) {
        const es_json *one = cJSON_GetArrayItem(points, i);
        assert_int_equal(cJSON_IsTrue(es_json_at(one, "knee")), i == 2);
        if (i < 4)
            assert_true(fabs(es_json_at(one, "per_gib")->valuedouble - worth[i]) < 1e-12);
        else
            assert_true(cJSON_IsNull(es_json_at(one, "per_gib")));
    }
    cJSON_Delete(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bisection_finds_the_smallest_of_all),
        cmocka_unit_test(what_is_not_monotone_is_said_and_searched_by_a_grid),
        cmocka_unit_test(a_dip_of_a_hundredth_is_no_hump),
        cmocka_unit_test(halving_finds_the_cheapest_of_the_grid),
        cmocka_unit_test(the_front_has_all_that_nothing_beats_and_its_knee),
        cmocka_unit_test(the_knee_and_the_worth_of_a_gib_by_hand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
