/* Statistics: each figure counted again by its definition, window by window and set by set, on random traces. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/curve/statistics.h"
#include "tests/support/scene.h"

enum { LAYERS = 3, EXPERTS = 8, STEPS = 30, WIDTH = 2 };

typedef struct sample {         /* one row a step and layer; some are empty */
    bool used[STEPS][LAYERS][EXPERTS];
    bool counts[STEPS];
    uint32_t whose[STEPS];
    uint16_t id[STEPS * LAYERS * WIDTH], layer[STEPS * LAYERS];
    uint64_t begin[STEPS * LAYERS + 1];
    uint32_t step[STEPS * LAYERS], request[STEPS * LAYERS];
    uint8_t flags[STEPS * LAYERS];
    es_events events;
} sample;

static void sample_draw(sample *s, uint64_t seed)
{
    dice d = {seed, 0};
    uint32_t e = 0;
    uint64_t at = 0;
    memset(s, 0, sizeof *s);
    for (uint32_t t = 0; t < STEPS; t++) {
        s->counts[t] = dice_below(&d, 6) > 0;
        s->whose[t] = t / 11;
        for (uint32_t l = 0; l < LAYERS; l++) {
            s->begin[e] = at;
            while (at < s->begin[e] + WIDTH) {
                const uint32_t expert = dice_below(&d, 1 + dice_below(&d, EXPERTS));
                if (dice_below(&d, 3) == 0 && at > s->begin[e])
                    break;
                if (!s->used[t][l][expert])
                    s->id[at++] = (uint16_t)expert;
                s->used[t][l][expert] = true;
            }
            s->layer[e] = (uint16_t)l;
            s->step[e] = t;
            s->request[e] = s->whose[t];
            s->flags[e++] = s->counts[t] ? ES_EVENT_DECODE : dice_below(&d, 2) ? 0 : ES_EVENT_DECODE | ES_EVENT_SKIPPED;
        }
    }
    s->begin[e] = at;
    s->events = (es_events){.layers = LAYERS, .experts = EXPERTS, .spaces = LAYERS, .stride = 64, .objects = LAYERS * 64, .count = e, .lookups = at, .id = s->id,
        .touch = s->id, .begin = s->begin, .layer = s->layer, .step = s->step, .request = s->request, .flags = s->flags};
}

static double window_mean(const sample *s, uint32_t w)
{
    uint32_t row[STEPS], rows = 0, windows = 0, sum = 0;
    for (uint32_t t = 0; t < STEPS; t++)
        if (s->counts[t])
            row[rows++] = t;
    for (uint32_t from = 0; from + w <= rows; from++, windows++)
        for (uint32_t o = 0; o < LAYERS * EXPERTS; o++) {
            bool there = false;
            for (uint32_t t = from; t < from + w; t++)
                there |= s->used[row[t]][o / EXPERTS][o % EXPERTS];
            sum += there;
        }
    return windows > 0 ? (double)sum / windows : 0.0;
}

static void working_sets_are_means_over_windows(void **state)
{
    (void)state;
    static sample s;
    for (uint64_t seed = 1; seed <= 500; seed++) {
        double distinct[STEPS + 2];
        es_arena arena = {0};
        sample_draw(&s, seed);
        assert_int_equal(es_working_set(&s.events, STEPS + 2, distinct, &arena, NULL), ES_OK);
        for (uint32_t w = 1; w <= STEPS + 2; w++)
            assert_true(fabs(distinct[w - 1] - window_mean(&s, w)) < 1e-9);
        es_arena_free(&arena);
    }
}

static int by_size(const void *a, const void *b)
{
    return *(const int *)b - *(const int *)a;
}

static void figures_are_what_their_definitions_say(void **state)
{
    (void)state;
    static sample s;
    static const int64_t bytes[LAYERS] = {100, 300, 700};
    for (uint64_t seed = 1; seed <= 500; seed++) {
        es_statistics is;
        es_arena arena = {0};
        int uses[LAYERS * EXPERTS] = {0}, steps = 0, lookups = 0, same = 0, of = 0, pairs = 0;
        double weight = 0.0, entropy = 0.0;
        sample_draw(&s, seed);
        assert_int_equal(es_statistics_read(&s.events, bytes, &is, &arena, NULL), ES_OK);
        for (int t = 0; t < STEPS; t++) {
            const bool follows = t > 0 && s.counts[t] && s.counts[t - 1] && s.whose[t] == s.whose[t - 1];
            steps += s.counts[t];
            pairs += follows ? LAYERS : 0;
            for (int o = 0; s.counts[t] && o < LAYERS * EXPERTS; o++) {
                const bool now = s.used[t][o / EXPERTS][o % EXPERTS];
                lookups += now;
                uses[o] += now;
                weight += now ? (double)bytes[o / EXPERTS] : 0.0;
                of += follows && now;
                same += follows && now && s.used[t - 1][o / EXPERTS][o % EXPERTS];
            }
        }
        for (int l = 0; l < LAYERS; l++) {
            int all = 0;
            for (int i = 0; i < EXPERTS; i++)
                all += uses[l * EXPERTS + i];
            for (int i = 0; i < EXPERTS; i++)
                if (uses[l * EXPERTS + i] > 0)
                    entropy += (double)uses[l * EXPERTS + i] / all * log2((double)all / uses[l * EXPERTS + i]) / LAYERS;
        }
        assert_int_equal(is.steps, steps);
        assert_int_equal(is.lookups, lookups);
        assert_true(fabs(is.cycle - (double)lookups / steps) < 1e-9 && fabs(is.cycle_bytes - weight / steps) < 1e-6);
        assert_true(fabs(is.demand - (double)lookups / (steps * LAYERS)) < 1e-9);
        assert_true(fabs(is.entropy - entropy) < 1e-9);
        assert_true(fabs(is.overlap - (double)same / of) < 1e-9 && fabs(is.turnover - (double)(of - same) / pairs * LAYERS) < 1e-9);
        qsort(uses, LAYERS * EXPERTS, sizeof *uses, by_size);
        assert_true(fabs(is.share[0] - (double)(uses[0] + uses[1]) / lookups) < 1e-9);
        assert_true(fabs(is.share[1] - (double)(uses[0] + uses[1] + uses[2] + uses[3]) / lookups) < 1e-9);
        es_arena_free(&arena);
    }
}

static void the_cliff_is_where_a_curve_leaves_the_share(void **state)
{
    (void)state;
    const uint64_t capacity[] = {1, 2, 4, 8}, hits[] = {0, 0, 1, 50};
    const es_curve curve = {.sizes = 4, .capacity = capacity, .hits = hits, .decode_hits = hits, .accesses = 100, .decode_accesses = 100};
    assert_int_equal(es_curve_cliff(&curve, 0.0), 2);
    assert_int_equal(es_curve_cliff(&curve, 0.01), 4);
    assert_int_equal(es_curve_cliff(&curve, 1.0), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(working_sets_are_means_over_windows),
        cmocka_unit_test(figures_are_what_their_definitions_say),
        cmocka_unit_test(the_cliff_is_where_a_curve_leaves_the_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
