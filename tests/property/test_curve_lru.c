/* Curve LRU: every point of a curve is what a run of that size counts, on random traces, contracts and sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <inttypes.h>

#include "sim/curve/lru.h"
#include "sim/curve/quick.h"
#include "tests/support/scene.h"

/* ---- a random trace under a contract that has a curve ---- */

typedef struct rule_of { es_curve_rule rule; int judge, overflow; } rule_of;

static const rule_of rules[] = {
    {ES_CURVE_WAVES, ES_JUDGE_EVENT, ES_WAVES}, {ES_CURVE_TRIM, ES_JUDGE_EVENT, ES_TRIM}, {ES_CURVE_KEEP_BEST, ES_JUDGE_EVENT, ES_KEEP_BEST},
    {ES_CURVE_PERSIST, ES_JUDGE_EVENT, ES_PERSIST}, {ES_CURVE_SERIALIZED, ES_SERIALIZED, ES_WAVES}, {ES_CURVE_SERIALIZED, ES_SERIALIZED, ES_TRIM},
    {ES_CURVE_SERIALIZED, ES_SERIALIZED, ES_PERSIST}, {ES_CURVE_SERIALIZED, ES_SERIALIZED, ES_KEEP_BEST}, {ES_CURVE_SERIALIZED, ES_SERIALIZED, ES_BYPASS},
    {ES_CURVE_SERIALIZED_PINNED, ES_SERIALIZED_PINNED, ES_WAVES},
};
enum { RULES = sizeof rules / sizeof *rules };

static void plain_machine(scene *s, const rule_of *rule)
{
    s->tiers = 1;
    s->levels = 1;
    s->timed = false;
    s->holds = ES_HOLDS_ALL;
    s->training.steps = ES_TRAIN_NONE;
    s->tier[0] = (scene_tier){.room = 1};
    s->predictor = s->predictor_options = s->dispatcher = s->dispatcher_options = s->policy_options = NULL;
    s->policy = "lru";
    s->watched = s->reported = false;
    s->slices = 1;
    s->contract.unit = s->contract.unit == ES_SLICE ? ES_UNION : s->contract.unit;
    if (s->contract.unit == ES_ID && rule->judge != ES_SERIALIZED)
        s->contract.unit = ES_TOKEN;
    s->contract.judge = rule->judge;
    s->contract.overflow = rule->overflow;
    s->contract.ties = ES_TIES_POLICY;
    s->contract.skip_tokens = s->contract.skip_tokens > 3 ? 0 : s->contract.skip_tokens;
    snprintf(s->quota, sizeof s->quota, "\"floor\"");
}

static void read_events(const scene *s, rig *r, es_events *events, es_arena *arena)
{
    es_events_ask ask = {.by_token = s->contract.unit == ES_TOKEN || s->contract.unit == ES_ID, .ignores_repeats = s->contract.duplicates == ES_IGNORE,
        .shared = s->shared, .skip_tokens = s->contract.skip_tokens};
    assert_int_equal(es_prefill_read(&ask.prefill, s->prefill, NULL), ES_OK);
    r->trace.info.counted = false;      /* the reader counts for itself */
    assert_int_equal(es_events_read(events, r->plan.source, r->plan.source_state, &ask, arena, &r->err), ES_OK);
}

/* What a run of this capacity counts: hits, decode hits, bytes fetched, of which for decode. false: it has nothing to count. */
static bool run_one(const scene *s, int64_t room, bool bytes, int64_t count[4], int64_t lookups[2])
{
    scene now = *s;
    rig r;
    now.tier[0].room = room;
    now.tier[0].bytes = bytes;
    scene_build(&now, &r);
    const bool runs = rig_run(&r) == ES_OK;
    if (!runs && !strstr(r.err.text, "leaves nothing to count"))
        fail_msg("room %" PRId64 ": %s", room, r.err.text);
    if (runs) {
        count[0] = rig_count(&r, "cache.hits");
        count[1] = rig_count(&r, "cache.decode.hits");
        count[2] = rig_count(&r, "cache.fetched_bytes");
        count[3] = rig_count(&r, "cache.decode_fetched_bytes");
        lookups[0] = rig_count(&r, "cache.lookups");
        lookups[1] = rig_count(&r, "cache.decode.lookups");
    }
    rig_close(&r);
    return runs;
}

/* The curve's point `i`, of all layers' caches together. */
static void check_point(uint64_t number, const scene *s, const es_curve *curve, uint32_t i, int64_t room, bool bytes)
{
    int64_t count[4], lookups[2];
    if (!run_one(s, room, bytes, count, lookups))
        return;
    const int64_t missed = (int64_t)(curve->access_bytes - curve->hit_bytes[i]), decode = (int64_t)(curve->decode_access_bytes - curve->decode_hit_bytes[i]);
    if ((int64_t)curve->hits[i] != count[0] || (int64_t)curve->decode_hits[i] != count[1] || missed != count[2] || decode != count[3] ||
        (int64_t)curve->accesses != lookups[0] || (int64_t)curve->decode_accesses != lookups[1])
        fail_msg("case %" PRIu64 ", judge %d, overflow %d, scope %d, prefill %s, capacity %" PRIu64 " of %u: hits %" PRIu64 " and %" PRIu64 ", bytes %" PRId64 " and %" PRId64
            "; a run has %" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64, number, s->contract.judge, s->contract.overflow, s->contract.scope, s->prefill,
            curve->capacity[i], s->layers * s->experts, curve->hits[i], curve->decode_hits[i], missed, decode, count[0], count[1], count[2], count[3]);
}

static void sum_of(const es_curve *curves, uint32_t count, es_curve *all, es_arena *arena)
{
    es_err err;
    assert_int_equal(es_curve_sum(curves, count, all, arena, &err), ES_OK);
}

/* What is only quicker gives the same: every number of every curve. */
static void check_means(uint64_t number, const es_events *events, const es_curve_ask *ask, const es_curve *curves, es_arena *arena)
{
    es_err err;
    es_curve other[SCENE_LAYERS];
    es_curve_ask turned = *ask;
    for (turned.means = ES_CURVE_QUICKEST; turned.means <= ES_CURVE_SCALAR; turned.means++) {
        assert_int_equal(es_curve_lru(events, &turned, other, arena, &err), ES_OK);
        for (uint32_t c = 0; c < es_curve_count(events, ask); c++) {
            const es_curve *a = &curves[c], *b = &other[c];
            const size_t size = a->sizes * sizeof *a->hits;
            if (a->sizes != b->sizes || memcmp(a->hits, b->hits, size) != 0 || memcmp(a->decode_hits, b->decode_hits, size) != 0 ||
                memcmp(a->hit_bytes, b->hit_bytes, size) != 0 || memcmp(a->decode_hit_bytes, b->decode_hit_bytes, size) != 0 || a->accesses != b->accesses ||
                a->decode_accesses != b->decode_accesses || a->access_bytes != b->access_bytes || a->decode_access_bytes != b->decode_access_bytes)
                fail_msg("case %" PRIu64 ": curve %u differs between means %d and %d", number, c, (int)ask->means, (int)turned.means);
        }
    }
}

/* ---- slots ---- */

static void every_number_of_slots(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 1500);
    for (uint64_t number = cases.from; number < cases.to; number++) {
        scene s;
        rig r;
        es_arena arena = {0};
        es_events events;
        es_curve curves[SCENE_LAYERS], all;
        const rule_of *rule = &rules[number % RULES];
        scene_draw(&s, scene_seed(&cases, number));
        plain_machine(&s, rule);
        scene_build(&s, &r);
        read_events(&s, &r, &events, &arena);
        const bool per_layer = s.contract.scope == ES_PER_LAYER;
        const es_curve_ask ask = {.rule = rule->rule, .per_layer = per_layer, .reset = s.contract.reset, .weight = s.bytes, .means = number % 3};
        assert_int_equal(es_curve_lru(&events, &ask, curves, &arena, &r.err), ES_OK);
        check_means(number, &events, &ask, curves, &arena);
        sum_of(curves, es_curve_count(&events, &ask), &all, &arena);
        assert_int_equal(all.sizes, es_curve_most(&events, &ask));
        const uint32_t lots = per_layer ? s.layers : 1, step = all.sizes > 24 ? all.sizes / 24 : 1;
        for (uint32_t i = 0; i < all.sizes; i += i < 8 ? 1 : step)
            check_point(number, &s, &all, i, (int64_t)all.capacity[i] * lots, false);
        es_arena_free(&arena);
        rig_close(&r);
    }
}

/* ---- events that are all alike, as quick.h has them ---- */

enum { ALIKE_LAYERS = 5, ALIKE_EXPERTS = 300, ALIKE_EVENTS = 600, ALIKE_WIDTH = 9 };

typedef struct alike {
    uint16_t id[ALIKE_EVENTS * ALIKE_WIDTH], layer[ALIKE_EVENTS];
    uint64_t begin[ALIKE_EVENTS + 1];
    uint32_t step[ALIKE_EVENTS];
    uint8_t flags[ALIKE_EVENTS];
    int64_t weight[ALIKE_LAYERS];
    es_events events;
} alike;

/* Layers mostly in turn; experts mostly those of the layer's event before. */
static void alike_draw(alike *a, dice *d)
{
    static const uint32_t widths[] = {1, 2, 3, 4, 4, 5, 6, 7, 8, 8, 9}, experts[] = {9, 31, 32, 33, 64, 128, 255, 256, 300};
    const uint32_t layers = 1 + dice_below(d, ALIKE_LAYERS), of = experts[dice_below(d, 9)], n = widths[dice_below(d, 11)], spaces = dice_below(d, 5) ? layers : 1;
    uint16_t before[ALIKE_LAYERS][ALIKE_WIDTH] = {0};
    for (uint32_t e = 0; e < ALIKE_EVENTS; e++) {
        const uint32_t layer = dice_below(d, 10) ? e % layers : dice_below(d, layers);
        bool used[ALIKE_EXPERTS] = {0};
        for (uint32_t i = 0; i < n; i++) {
            uint16_t expert = dice_below(d, 3) ? before[layer][dice_below(d, n)] : (uint16_t)dice_below(d, of);
            while (used[expert])
                expert = (uint16_t)dice_below(d, of);
            used[expert] = true;
            a->id[e * n + i] = expert;
        }
        memcpy(before[layer], a->id + e * n, n * sizeof *a->id);
        a->layer[e] = (uint16_t)layer;
        a->step[e] = e / layers;
        a->begin[e] = (uint64_t)e * n;
        a->flags[e] = (uint8_t)((dice_below(d, 4) ? ES_EVENT_DECODE : 0) | (dice_below(d, 100) ? 0 : ES_EVENT_FRESH) | (dice_below(d, 6) ? 0 : ES_EVENT_SKIPPED));
    }
    a->begin[ALIKE_EVENTS] = (uint64_t)ALIKE_EVENTS * n;
    for (uint32_t l = 0; l < layers; l++)
        a->weight[l] = dice_below(d, 2) ? 100 : 100 + dice_below(d, 50);
    a->events = (es_events){.layers = layers, .experts = of, .spaces = spaces, .stride = (of + 63) / 64 * 64, .objects = spaces * ((of + 63) / 64 * 64),
        .count = ALIKE_EVENTS, .lookups = a->begin[ALIKE_EVENTS], .id = a->id, .touch = a->id, .begin = a->begin, .layer = a->layer, .step = a->step,
        .request = a->step, .flags = a->flags, .least = n, .widest = n};
}

static void all_means_count_the_same(void **state)
{
    (void)state;
    static alike a;
    scene_cases cases = scene_plan(__func__, 600);
    uint64_t quick = 0;
    for (uint64_t number = cases.from; number < cases.to; number++) {
        dice d = {scene_seed(&cases, number), 0};
        es_arena arena = {0};
        es_curve curves[ALIKE_LAYERS];
        es_err err;
        alike_draw(&a, &d);
        const es_curve_ask ask = {.rule = rules[dice_below(&d, dice_below(&d, 4) ? 3 : RULES)].rule, .per_layer = dice_below(&d, 2), .reset = dice_below(&d, 2), .weight = a.weight,
            .means = ES_CURVE_SCALAR};
        assert_int_equal(es_curve_lru(&a.events, &ask, curves, &arena, &err), ES_OK);
        check_means(number, &a.events, &ask, curves, &arena);
        quick += es_quick_fits(&a.events, &(es_curve_ask){.rule = ask.rule, .per_layer = ask.per_layer});
        es_arena_free(&arena);
    }
    if (quick == 0 && !cases.one)
        printf("not on this processor: the quick walk\n");
    else
        assert_true(cases.one || quick * 2 > cases.to - cases.from);
}

/* ---- bytes ---- */

enum { BUDGETS = 12 };

static int64_t largest_of(const scene *s)
{
    int64_t largest = 0;
    for (uint32_t l = 0; l < s->layers; l++)
        largest = s->bytes[l] > largest ? s->bytes[l] : largest;
    return largest;
}

static void random_budgets(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 1500);
    uint64_t unequal = 0;
    for (uint64_t number = cases.from; number < cases.to; number++) {
        scene s;
        rig r;
        es_arena arena = {0};
        es_events events;
        es_curve curves[SCENE_LAYERS], all;
        uint64_t capacity[BUDGETS];
        const rule_of *rule = &rules[number % RULES];
        scene_draw(&s, scene_seed(&cases, number));
        plain_machine(&s, rule);
        s.shared = false;
        dice d = {s.seed ^ 1, 0};
        const bool per_layer = s.contract.scope == ES_PER_LAYER;
        const uint32_t lots = per_layer ? s.layers : 1, least = (uint32_t)(rule->overflow == ES_PERSIST && rule->judge == ES_JUDGE_EVENT ? 100 : largest_of(&s));
        for (uint32_t i = 0; i < BUDGETS; i++)
            capacity[i] = (i > 0 ? capacity[i - 1] : least) + dice_below(&d, i < 6 ? 1500 : (uint32_t)largest_of(&s) * s.layers * s.experts / lots / 4);
        scene_build(&s, &r);
        read_events(&s, &r, &events, &arena);
        const es_curve_ask ask = {.rule = rule->rule, .per_layer = per_layer, .reset = s.contract.reset, .bytes = s.bytes, .weight = s.bytes,
            .capacity = capacity, .sizes = BUDGETS, .means = number % 3};
        assert_int_equal(es_curve_lru(&events, &ask, curves, &arena, &r.err), ES_OK);
        check_means(number, &events, &ask, curves, &arena);
        sum_of(curves, es_curve_count(&events, &ask), &all, &arena);
        for (uint32_t i = 0; i < BUDGETS; i++)
            check_point(number, &s, &all, i, (int64_t)capacity[i] * lots, true);
        unequal += es_curve_unequal(&events, &ask);
        es_arena_free(&arena);
        rig_close(&r);
    }
    assert_true(cases.one || unequal > 100);
}

/* Three experts overshoot a room of one. The next event hits one of them, and only then the other two leave: the third event misses. */
static void what_overshoots_leaves_after_the_next_event_even_if_that_hits(void **state)
{
    (void)state;
    static const uint16_t id[] = {0, 1, 2, 0, 1}, layer[3] = {0};
    static const uint64_t begin[] = {0, 3, 4, 5};
    static const uint32_t step[] = {0, 1, 2};
    static const uint8_t flags[] = {ES_EVENT_DECODE, ES_EVENT_DECODE, ES_EVENT_DECODE};
    const int64_t bytes[] = {100, 150};
    const uint64_t capacity[] = {150, 250, 300};
    const es_events events = {.layers = 2, .spaces = 2, .experts = 3, .stride = 64, .objects = 128, .count = 3, .lookups = 5, .id = id, .touch = id, .begin = begin,
        .layer = layer, .step = step, .request = step, .flags = flags, .least = 1, .widest = 3};
    es_arena arena = {0};
    es_curve curve;
    es_err err;
    const es_curve_ask ask = {.rule = ES_CURVE_PERSIST, .bytes = bytes, .capacity = capacity, .sizes = 3};
    assert_int_equal(es_curve_lru(&events, &ask, &curve, &arena, &err), ES_OK);
    assert_int_equal(curve.hits[0], 1);
    assert_int_equal(curve.hits[1], 1);     /* the oldest left: that is the one */
    assert_int_equal(curve.hits[2], 2);
    es_arena_free(&arena);
}

static void all_budgets_of_unequal_sizes_are_refused(void **state)
{
    (void)state;
    es_err err = {0};
    es_curve curve;
    const int64_t bytes[] = {1, 2};
    const es_events events = {.layers = 2, .spaces = 2, .experts = 1, .stride = 64, .objects = 128};
    assert_int_equal(es_curve_lru(&events, &(es_curve_ask){.bytes = bytes}, &curve, NULL, &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "experts differ in size"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_number_of_slots),
        cmocka_unit_test(all_means_count_the_same),
        cmocka_unit_test(random_budgets),
        cmocka_unit_test(what_overshoots_leaves_after_the_next_event_even_if_that_hits),
        cmocka_unit_test(all_budgets_of_unequal_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
