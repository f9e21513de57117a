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

/* ---- local routing consistency ---- */

/* Steps of a window that use the expert, when all of the window are counted and of one request. */
static bool window_counts(const sample *s, uint32_t from, uint32_t length, uint32_t count[LAYERS * EXPERTS])
{
    memset(count, 0, LAYERS * EXPERTS * sizeof *count);
    for (uint32_t t = from; t < from + length; t++) {
        if (t >= STEPS || !s->counts[t] || s->whose[t] != s->whose[from])
            return false;
        for (uint32_t o = 0; o < LAYERS * EXPERTS; o++)
            count[o] += s->used[t][o / EXPERTS][o % EXPERTS];
    }
    return true;
}

/* Experts of the layers [layer, end) by the definition: the best F1 over thresholds, each window taken for itself. */
static double srp_of(const sample *s, uint32_t length, uint32_t layer, uint32_t end)
{
    double best = 0.0;
    for (uint32_t p = 1; p <= length; p++) {
        uint32_t count[LAYERS * EXPERTS], matches = 0, taken = 0, wanted = 0;
        for (uint32_t from = 0; from < STEPS; from++)
            for (uint32_t o = layer * EXPERTS; window_counts(s, from, length, count) && o < end * EXPERTS; o++) {
                wanted += count[o];
                matches += count[o] >= p ? count[o] : 0;
                taken += count[o] >= p ? length : 0;
            }
        const double f1 = taken + wanted > 0 ? 2.0 * matches / (taken + wanted) : 0.0;
        best = f1 > best ? f1 : best;
    }
    return best;
}

/* Lookups of all windows that the `size` most used of each window's experts serve. */
static uint64_t sch_of(const sample *s, uint32_t length, uint32_t layer, uint32_t end, uint32_t size)
{
    uint64_t hits = 0;
    for (uint32_t from = 0; from < STEPS; from++) {
        uint32_t count[LAYERS * EXPERTS];
        if (!window_counts(s, from, length, count))
            continue;
        qsort(count + layer * EXPERTS, (end - layer) * EXPERTS, sizeof *count, by_size);
        for (uint32_t i = 0; i < size; i++)
            hits += count[layer * EXPERTS + i];
    }
    return hits;
}

static void segments_are_what_their_definitions_say(void **state)
{
    (void)state;
    static sample s;
    uint64_t some = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        sample_draw(&s, seed);
        for (uint32_t length = 1; length <= 12; length += 1 + length / 3) {
            es_segments is;
            es_arena arena = {0};
            assert_int_equal(es_segments_read(&s.events, length, &is, &arena, NULL), ES_OK);
            assert_true(fabs(is.srp - srp_of(&s, length, 0, LAYERS)) < 1e-12);
            assert_int_equal(is.lookups, sch_of(&s, length, 0, LAYERS, LAYERS * EXPERTS));
            for (uint32_t c = 1; c <= LAYERS * EXPERTS; c++)
                assert_int_equal(is.hits[c - 1], sch_of(&s, length, 0, LAYERS, c));
            for (uint32_t l = 0; l < LAYERS; l++) {
                assert_true(fabs(is.layer_srp[l] - srp_of(&s, length, l, l + 1)) < 1e-12);
                assert_int_equal(is.layer_lookups[l], sch_of(&s, length, l, l + 1, EXPERTS));
                for (uint32_t c = 1; c <= EXPERTS; c++)
                    assert_int_equal(is.layer_hits[l * EXPERTS + c - 1], sch_of(&s, length, l, l + 1, c));
            }
            some += length > 1 && is.windows > 0 && is.srp < 1.0;
            assert_true(length < 12 || is.windows == 0);
            es_arena_free(&arena);
        }
    }
    assert_true(some > 100);
}

/* One layer of three experts, two of them a step: ab ab ac | ab (another request). */
static const uint16_t four_id[] = {0, 1, 0, 1, 0, 2, 0, 1}, four_layer[4] = {0};
static const uint64_t four_begin[] = {0, 2, 4, 6, 8};
static const uint32_t four_step[] = {0, 1, 2, 3}, four_request[] = {0, 0, 0, 1};
static const uint8_t four_flags[] = {ES_EVENT_DECODE | ES_EVENT_FRESH, ES_EVENT_DECODE, ES_EVENT_DECODE, ES_EVENT_DECODE | ES_EVENT_FRESH};
static const es_events four = {.layers = 1, .experts = 3, .spaces = 1, .stride = 64, .objects = 64, .count = 4, .lookups = 8, .id = four_id, .touch = four_id,
    .begin = four_begin, .layer = four_layer, .step = four_step, .request = four_request, .flags = four_flags, .least = 2, .widest = 2, .accesses = 8,
    .decode_accesses = 8};

/* Windows of two steps: ab ab (a 2, b 2) and ab ac (a 2, b 1, c 1). Of 8 uses the threshold 2 takes three experts, 6 of 6 right: F1 = 12/14; the
 * threshold 1 takes five, 8 of 10 right: 16/18. One expert for each window serves 2 + 2, two serve 4 + 3, three all 8. */
static void segments_of_four_steps_by_hand(void **state)
{
    (void)state;
    es_segments is;
    es_arena arena = {0};
    assert_int_equal(es_segments_read(&four, 2, &is, &arena, NULL), ES_OK);
    assert_int_equal(is.windows, 2);
    assert_int_equal(is.lookups, 8);
    assert_true(is.srp == 16.0 / 18.0 && is.layer_srp[0] == is.srp);
    assert_int_equal(is.hits[0], 4);
    assert_int_equal(is.hits[1], 7);
    assert_int_equal(is.hits[2], 8);
    assert_int_equal(es_segments_read(&four, 4, &is, &arena, NULL), ES_OK);
    assert_true(is.windows == 0 && is.srp == 0.0 && is.lookups == 0 && is.hits[2] == 0);
    es_arena_free(&arena);
}

/* ---- reuse distances, overlap of layers ---- */

/* a b a b a c a b: after the first uses 2 2 2, 2 (c is between), 3 (a c a: with itself c, a, b). */
static void reuse_distances_by_hand(void **state)
{
    (void)state;
    es_reuse is;
    es_arena arena = {0};
    assert_int_equal(es_reuse_read(&four, false, &is, &arena, NULL), ES_OK);
    assert_int_equal(is.first, 3);
    assert_int_equal(is.count[0], 0);
    assert_int_equal(is.count[1], 4);
    assert_int_equal(is.count[2], 1);
    assert_int_equal(is.buckets, 3);
    es_arena_free(&arena);
}

/* Distinct objects from the lookup before `at` back to the object's own use; 0: there was none. `layer`: of that one alone, or LAYERS. */
static uint32_t reuse_distance(const sample *s, uint32_t event, uint64_t at, uint32_t layer)
{
    bool seen[LAYERS * EXPERTS] = {0};
    uint32_t distinct = 0;
    for (uint32_t e = event; e < s->events.count; e--)      /* below 0 it wraps */
        for (uint64_t i = s->begin[e + 1]; i-- > s->begin[e];) {
            const uint32_t object = (uint32_t)s->layer[e] * EXPERTS + s->id[i];
            if (i >= at || (layer < LAYERS && s->layer[e] != layer))
                continue;
            distinct += !seen[object];
            seen[object] = true;
            if (object == (uint32_t)s->layer[event] * EXPERTS + s->id[at])
                return distinct;
        }
    return 0;
}

static void reuse_distances_are_counted_one_by_one(void **state)
{
    (void)state;
    static sample s;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        es_reuse is[LAYERS + 1], want[LAYERS + 1] = {0};
        es_arena arena = {0};
        sample_draw(&s, seed);
        s.events.widest = WIDTH;
        for (uint32_t e = 0; e < s.events.count; e++)
            for (uint64_t i = s.begin[e]; s.flags[e] == ES_EVENT_DECODE && i < s.begin[e + 1]; i++)
                for (uint32_t r = 0; r < 2; r++) {
                    es_reuse *to = &want[r ? s.layer[e] : LAYERS];
                    const uint32_t distance = reuse_distance(&s, e, i, r ? s.layer[e] : LAYERS);
                    uint32_t bucket = 0;
                    while (1u << bucket < distance)
                        bucket++;
                    to->first += distance == 0;
                    to->count[bucket] += distance > 0;
                }
        assert_int_equal(es_reuse_read(&s.events, true, is, &arena, NULL), ES_OK);
        assert_int_equal(es_reuse_read(&s.events, false, &is[LAYERS], &arena, NULL), ES_OK);
        for (uint32_t r = 0; r <= LAYERS; r++) {
            assert_int_equal(is[r].first, want[r].first);
            assert_memory_equal(is[r].count, want[r].count, sizeof want[r].count);
        }
        es_arena_free(&arena);
    }
}

static void layers_overlap_in_the_numbers_that_both_use(void **state)
{
    (void)state;
    static sample s;
    for (uint64_t seed = 1; seed <= 200; seed++) {
        double is[LAYERS], whole;
        uint32_t same[LAYERS] = {0}, of[LAYERS] = {0};
        es_arena arena = {0};
        sample_draw(&s, seed);
        for (uint32_t t = 0; t < STEPS; t++)
            for (uint32_t o = EXPERTS; s.counts[t] && o < LAYERS * EXPERTS; o++) {
                of[o / EXPERTS] += s.used[t][o / EXPERTS][o % EXPERTS];
                same[o / EXPERTS] += s.used[t][o / EXPERTS][o % EXPERTS] && s.used[t][o / EXPERTS - 1][o % EXPERTS];
            }
        assert_int_equal(es_layer_overlap(&s.events, is, &whole, &arena, NULL), ES_OK);
        assert_true(is[0] == 0.0 && fabs(whole - (double)(same[1] + same[2]) / (of[1] + of[2])) < 1e-12);
        assert_true(fabs(is[1] - (double)same[1] / of[1]) < 1e-12 && fabs(is[2] - (double)same[2] / of[2]) < 1e-12);
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
        cmocka_unit_test(segments_are_what_their_definitions_say),
        cmocka_unit_test(segments_of_four_steps_by_hand),
        cmocka_unit_test(reuse_distances_by_hand),
        cmocka_unit_test(reuse_distances_are_counted_one_by_one),
        cmocka_unit_test(layers_overlap_in_the_numbers_that_both_use),
        cmocka_unit_test(the_cliff_is_where_a_curve_leaves_the_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
