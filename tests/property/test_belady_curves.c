/* Belady's curves: hit for hit what runs of policy belady count, at random sizes of random traces, under every rule; what the stack says is what
 * sizes say that are gone through one by one; and on tiny traces no sequence of decisions hits more. Static sets likewise are what runs
 * count, and no division over layers hits more than the one that is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <inttypes.h>

#include "sim/curve/belady.h"
#include "sim/curve/split.h"
#include "sim/curve/static.h"
#include "tests/support/scene.h"

/* ---- runs ---- */

/* One cache before home, policy belady, and a rule that a curve knows. */
static es_curve_rule curves_machine(scene *s, bool *bypass)
{
    static const struct { int unit, judge, overflow; es_curve_rule rule; } rules[] = {
        {ES_UNION, ES_JUDGE_EVENT, ES_WAVES, ES_CURVE_WAVES}, {ES_UNION, ES_JUDGE_EVENT, ES_TRIM, ES_CURVE_TRIM},
        {ES_UNION, ES_JUDGE_EVENT, ES_KEEP_BEST, ES_CURVE_KEEP_BEST}, {ES_UNION, ES_JUDGE_EVENT, ES_PERSIST, ES_CURVE_PERSIST},
        {ES_UNION, ES_SERIALIZED, ES_WAVES, ES_CURVE_SERIALIZED}, {ES_UNION, ES_SERIALIZED_PINNED, ES_WAVES, ES_CURVE_SERIALIZED_PINNED},
        {ES_TOKEN, ES_JUDGE_EVENT, ES_WAVES, ES_CURVE_WAVES}, {ES_TOKEN, ES_JUDGE_EVENT, ES_TRIM, ES_CURVE_TRIM},
        {ES_ID, ES_SERIALIZED, ES_TRIM, ES_CURVE_SERIALIZED},
    };
    const uint32_t i = (uint32_t)(es_mix(s->seed ^ 0x72756c65) % (sizeof rules / sizeof *rules));
    s->tiers = s->levels = 1;
    s->timed = s->shared = s->unequal = false;
    s->holds = ES_HOLDS_ALL;
    s->training.steps = ES_TRAIN_NONE;
    s->predictor = s->predictor_options = s->dispatcher = s->dispatcher_options = NULL;
    s->watched = s->reported = false;
    s->slices = 1;
    s->contract.unit = rules[i].unit;
    s->contract.judge = rules[i].judge;
    s->contract.overflow = rules[i].overflow;
    s->contract.ties %= 2;
    s->contract.duplicates = ES_REFRESH;
    s->policy = "belady";
    *bypass = es_mix(s->seed ^ 0x627970617373) & 1;
    s->policy_options = *bypass ? "{\"bypass\": true}" : NULL;
    snprintf(s->quota, sizeof s->quota, "\"floor\"");
    return rules[i].rule;
}

/* Of one cache, in slots, or in bytes of experts that differ. */
static uint64_t curves_room(scene *s, bool bytes, uint64_t slots)
{
    int64_t largest = 0;
    for (uint32_t l = 0; l < s->layers; l++)
        largest = s->bytes[l] > largest ? s->bytes[l] : largest;
    const uint64_t each = bytes ? slots * (uint64_t)largest + es_mix(s->seed) % 300 : slots;
    s->tier[0] = (scene_tier){.room = (int64_t)each * (s->contract.scope == ES_PER_LAYER ? s->layers : 1), .bytes = bytes};
    return each;
}

static es_events_ask curves_events(const scene *s)
{
    es_events_ask ask = {.by_token = s->contract.unit != ES_UNION, .skip_tokens = s->contract.skip_tokens};
    assert_int_equal(es_prefill_read(&ask.prefill, s->prefill, NULL), ES_OK);
    return ask;
}

typedef struct curves_case {
    scene s;
    bool bypass, bytes;
    uint64_t capacity;
    es_curve_ask ask;
    int64_t size[SCENE_LAYERS];
} curves_case;

static void curves_draw(curves_case *c, uint64_t seed)
{
    scene_draw(&c->s, seed);
    const es_curve_rule rule = curves_machine(&c->s, &c->bypass);
    c->bytes = es_mix(seed ^ 0x6279746573) % 3 == 0;
    const bool layer = c->s.contract.scope == ES_PER_LAYER;
    const uint64_t most = (uint64_t)c->s.experts * (layer ? 1 : c->s.layers);
    c->capacity = curves_room(&c->s, c->bytes, 1 + es_mix(seed ^ 0x73697a65) % (es_mix(seed ^ 0x66657773) & 1 ? most : most / 3 + 1));
    memcpy(c->size, c->s.bytes, sizeof c->size);
    c->ask = (es_curve_ask){.rule = rule, .per_layer = layer, .reset = c->s.contract.reset, .capacity = &c->capacity, .sizes = 1,
        .bytes = c->bytes ? c->size : NULL};
}

static void curves_of(const es_events *events, const es_curve_ask *ask, bool bypass, es_curve *sum, es_arena *arena)
{
    uint32_t *next;
    es_err err;
    es_curve *curves = ES_NEW_ARRAY(arena, es_curve_count(events, ask), es_curve);
    assert_non_null(curves);
    if (es_next_use(events, es_curve_serial(ask), &next, arena, &err) != ES_OK || es_belady(events, next, ask, bypass, curves, NULL, arena, &err) != ES_OK)
        fail_msg("%s", err.text);
    assert_int_equal(es_curve_sum(curves, es_curve_count(events, ask), sum, arena, &err), ES_OK);
}

static void a_curve_is_what_runs_count(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 6000);
    uint64_t failed = 0, exceeded = 0;
    for (uint64_t i = cases.from; i < cases.to; i++) {
        curves_case c;
        rig r;
        es_arena arena = {0};
        es_events events;
        es_curve sum;
        curves_draw(&c, scene_seed(&cases, i));
        scene_build(&c.s, &r);
        if (rig_run(&r) != ES_OK) {
            if (!strstr(r.err.text, "leaves nothing to count"))
                fail_msg("case %" PRIu64 ": %s", i, r.err.text);
            rig_close(&r);
            continue;
        }
        const es_events_ask ask = curves_events(&c.s);
        assert_int_equal(es_events_read(&events, r.plan.source, r.plan.source_state, &ask, &arena, &r.err), ES_OK);
        curves_of(&events, &c.ask, c.bypass, &sum, &arena);
        const uint64_t hits = (uint64_t)rig_count(&r, "cache.hits"), decode = (uint64_t)rig_count(&r, "cache.decode.hits");
        const bool same = sum.hits[0] == hits && sum.decode_hits[0] == decode && sum.accesses == (uint64_t)rig_count(&r, "cache.lookups");
        if (!same)
            printf("case %" PRIu64 ": rule %d%s%s%s%s, size %" PRIu64 " of %ux%u: %" PRIu64 " of %" PRIu64 " hits, a run has %" PRIu64 " of %" PRIu64 "\n", i, (int)c.ask.rule,
                c.bypass ? ", bypass" : "", c.ask.per_layer ? ", layers" : "", c.bytes ? ", bytes" : "", c.ask.reset ? ", reset" : "", c.capacity, c.s.layers, c.s.experts,
                sum.hits[0], sum.accesses, hits, (uint64_t)rig_count(&r, "cache.lookups"));
        failed += !same;
        exceeded += !c.bytes && events.widest > c.capacity;
        es_arena_free(&arena);
        rig_close(&r);
    }
    assert_int_equal(failed, 0);
    assert_true(cases.one || exceeded * 20 > cases.to - cases.from);
}

/* ---- many sizes ---- */

static void many_sizes_are_each_what_one_says(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 1500);
    uint64_t stacked = 0;
    for (uint64_t i = cases.from; i < cases.to; i++) {
        curves_case c;
        rig r;
        es_arena arena = {0};
        es_events events;
        es_curve every, one;
        curves_draw(&c, scene_seed(&cases, i));
        scene_build(&c.s, &r);
        if (rig_run(&r) != ES_OK) {     /* after which the rig's trace is complete */
            rig_close(&r);
            continue;
        }
        const es_events_ask ask = curves_events(&c.s);
        if (es_events_read(&events, r.plan.source, r.plan.source_state, &ask, &arena, &r.err) != ES_OK)
            fail_msg("case %" PRIu64 ": %s", i, r.err.text);
        if (events.count > 0) {
            es_curve_ask all = c.ask;
            all.capacity = NULL;
            all.bytes = NULL;
            curves_of(&events, &all, c.bypass, &every, &arena);
            assert_int_equal(every.sizes, es_curve_most(&events, &all));
            for (uint32_t s = 0; s < every.sizes; s += 1 + s / 3) {
                const uint64_t size = s + 1;
                all.capacity = &size;
                all.sizes = 1;
                curves_of(&events, &all, c.bypass, &one, &arena);
                if (one.hits[0] != every.hits[s] || one.decode_hits[0] != every.decode_hits[s])
                    fail_msg("case %" PRIu64 ": rule %d%s: size %" PRIu64 ": %" PRIu64 " hits, alone %" PRIu64, i, (int)all.rule, c.bypass ? ", bypass" : "", size,
                        every.hits[s], one.hits[0]);
            }
            stacked += !c.bypass && every.sizes > events.widest + 24;
        }
        es_arena_free(&arena);
        rig_close(&r);
    }
    assert_true(cases.one || stacked * 15 > cases.to - cases.from);
}

/* ---- the optimum ---- */

enum { TINY_OBJECTS = 6, TINY_EVENTS = 42 };

typedef struct tiny {           /* events as masks of at most six experts of one layer */
    uint8_t event[TINY_EVENTS];
    uint32_t events, room;
    es_curve_rule rule;
    bool bypass;
    int8_t best[TINY_EVENTS][1 << TINY_OBJECTS];
} tiny;

static uint32_t tiny_bits(uint32_t mask)
{
    return (uint32_t)__builtin_popcount(mask);
}

/* May the cache hold `after` when it held `before` and the event is over? */
static bool tiny_may(const tiny *t, uint32_t event, uint32_t before, uint32_t after)
{
    const uint32_t hits = before & event, width = tiny_bits(event);
    if (after & ~(before | event))
        return false;
    if (t->rule == ES_CURVE_PERSIST)        /* the event stays, even beyond the room */
        return (after & event) == event && tiny_bits(after) <= (width > t->room ? width : t->room);
    if (tiny_bits(after) > t->room)
        return false;
    if (t->rule == ES_CURVE_KEEP_BEST)
        return true;
    if (width > t->room)                    /* trim: all others have left */
        return (after & ~event) == 0;
    return t->bypass ? (after & hits) == hits : (after & event) == event;
}

/* The most hits from event `at` on, whatever is decided. */
static int tiny_most(tiny *t, uint32_t at, uint32_t held)
{
    if (at == t->events)
        return 0;
    int8_t *best = &t->best[at][held];
    for (uint32_t after = 0, known = *best >= 0; !known && after < 1 << TINY_OBJECTS; after++) {
        const int rest = tiny_may(t, t->event[at], held, after) ? tiny_most(t, at + 1, after) : -1;
        *best = rest > *best ? (int8_t)rest : *best;
    }
    return *best + (int)tiny_bits(held & t->event[at]);
}

/* A rule, and a room that the search knows the meaning of: waves of an event that does not fit are another matter. */
static void tiny_rule(tiny *t, dice *d, uint32_t width)
{
    static const es_curve_rule rules[] = {ES_CURVE_WAVES, ES_CURVE_WAVES, ES_CURVE_TRIM, ES_CURVE_PERSIST, ES_CURVE_KEEP_BEST, ES_CURVE_SERIALIZED,
        ES_CURVE_SERIALIZED_PINNED};
    t->rule = rules[dice_below(d, sizeof rules / sizeof *rules)];
    t->bypass = (t->rule == ES_CURVE_WAVES || t->rule == ES_CURVE_SERIALIZED) && dice_below(d, 2);
    const bool any = t->rule == ES_CURVE_TRIM || t->rule == ES_CURVE_PERSIST || t->rule == ES_CURVE_SERIALIZED || t->rule == ES_CURVE_SERIALIZED_PINNED;
    t->room = (any ? 1 : width) + dice_below(d, any ? width + 2 : 3);
}

/* What the search goes through: where lookups come one by one, each is an event. */
static void tiny_serial(tiny *t, const uint16_t *id, uint64_t lookups)
{
    t->events = (uint32_t)lookups;
    for (uint64_t i = 0; i < lookups; i++)
        t->event[i] = (uint8_t)(1u << id[i]);
}

static void no_sequence_of_decisions_hits_more(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 8000);
    uint64_t below = 0, compared = 0, narrow = 0;
    for (uint64_t i = cases.from; i < cases.to; i++) {
        dice d = {scene_seed(&cases, i), 0};
        const uint32_t width = 1 + dice_below(&d, 3), objects = 3 + dice_below(&d, TINY_OBJECTS - 2);
        tiny t = {.events = 4 + dice_below(&d, TINY_EVENTS / 3 - 3)};
        uint16_t id[TINY_EVENTS], layer[TINY_EVENTS] = {0};
        uint64_t begin[TINY_EVENTS + 1] = {0};
        uint32_t step[TINY_EVENTS] = {0};
        uint8_t flags[TINY_EVENTS];
        tiny_rule(&t, &d, width);
        memset(t.best, -1, sizeof t.best);
        memset(flags, ES_EVENT_DECODE, sizeof flags);
        for (uint32_t e = 0; e < t.events; e++) {
            uint64_t at = begin[e];
            while (tiny_bits(t.event[e]) < width) {
                const uint32_t expert = dice_below(&d, objects);
                if (!(t.event[e] >> expert & 1))
                    id[at++] = (uint16_t)expert;
                t.event[e] |= (uint8_t)(1u << expert);
            }
            begin[e + 1] = at;
        }
        const es_events events = {.layers = 1, .experts = TINY_OBJECTS, .spaces = 1, .stride = 64, .objects = 64, .count = t.events, .lookups = begin[t.events],
            .id = id, .touch = id, .begin = begin, .layer = layer, .step = step, .request = step, .flags = flags, .least = width, .widest = width};
        const uint64_t room = t.room;
        es_arena arena = {0};
        es_curve curve;
        curves_of(&events, &(es_curve_ask){.rule = t.rule, .capacity = &room, .sizes = 1}, t.bypass, &curve, &arena);
        if (t.rule == ES_CURVE_SERIALIZED || (t.rule == ES_CURVE_SERIALIZED_PINNED && width > t.room))
            tiny_serial(&t, id, begin[t.events]);
        const uint64_t most = (uint64_t)tiny_most(&t, 0, 0);
        const bool pinned = t.bypass && width > 1 && t.rule == ES_CURVE_WAVES;
        if (curve.hits[0] > most || (curve.hits[0] < most && !pinned))
            fail_msg("case %" PRIu64 ": rule %d%s, %u slots: %" PRIu64 " hits, the most is %" PRIu64, i, (int)t.rule, t.bypass ? ", bypass" : "", t.room, curve.hits[0], most);
        below += curve.hits[0] < most;
        compared += pinned;
        narrow += t.room < width;
        es_arena_free(&arena);
    }
    printf("bypass with hits pinned: below the most in %" PRIu64 " of %" PRIu64 " cases\n", below, compared);
    assert_true(cases.one || narrow * 20 > cases.to - cases.from);
}

/* ---- static sets ---- */

static void a_static_set_hits_what_runs_count(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 2000);
    uint64_t compared = 0, some = 0;
    for (uint64_t i = cases.from; i < cases.to; i++) {
        curves_case c;
        rig r;
        es_arena arena = {0};
        es_events events;
        es_curve curves[SCENE_LAYERS], sum;
        curves_draw(&c, scene_seed(&cases, i));
        c.s.policy = "static";
        c.s.policy_options = NULL;
        scene_build(&c.s, &r);
        if (rig_run(&r) != ES_OK) {
            rig_close(&r);
            continue;
        }
        const es_events_ask ask = curves_events(&c.s);
        assert_int_equal(es_events_read(&events, r.plan.source, r.plan.source_state, &ask, &arena, &r.err), ES_OK);
        const uint64_t *uses = es_static_uses(&events, &arena);
        assert_non_null(uses);
        assert_int_equal(es_static(&events, uses, &c.ask, curves, &arena, &r.err), ES_OK);
        assert_int_equal(es_curve_sum(curves, es_curve_count(&events, &c.ask), &sum, &arena, &r.err), ES_OK);
        if (sum.hits[0] != (uint64_t)rig_count(&r, "cache.hits") || sum.decode_hits[0] != (uint64_t)rig_count(&r, "cache.decode.hits"))
            fail_msg("case %" PRIu64 ": %" PRIu64 " hits, a run has %" PRId64, i, sum.hits[0], rig_count(&r, "cache.hits"));
        compared++;
        some += sum.decode_hits[0] > 0 && sum.decode_hits[0] < sum.decode_accesses;
        es_arena_free(&arena);
        rig_close(&r);
    }
    assert_true(cases.one || (compared * 4 > 3 * (cases.to - cases.from) && some * 4 > cases.to - cases.from));
}

/* ---- divisions over layers ---- */

static uint64_t division_hits(const es_curve *curve, uint32_t slots)
{
    return slots == 0 ? 0 : curve->decode_hits[slots - 1];
}

/* The most hits of any division, all of them tried. */
static uint64_t division_most(const es_curve *curves, uint32_t layers, uint32_t left)
{
    uint64_t most = 0;
    for (uint32_t s = 0; layers > 0 && s <= left && s <= curves->sizes; s++) {
        const uint64_t hits = division_hits(curves, s) + division_most(curves + 1, layers - 1, left - s);
        most = hits > most ? hits : most;
    }
    return most;
}

static void no_division_hits_more(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 3000);
    uint64_t gained = 0;
    for (uint64_t i = cases.from; i < cases.to; i++) {
        enum { LAYERS = 4, SIZES = 6 };
        dice d = {scene_seed(&cases, i), 0};
        es_arena arena = {0};
        es_split split;
        es_err err;
        uint64_t hits[LAYERS][SIZES], used = 0, found = 0;
        es_curve curves[LAYERS];
        for (uint32_t l = 0; l < LAYERS; l++) {
            for (uint32_t s = 0; s < SIZES; s++)
                hits[l][s] = (s ? hits[l][s - 1] : 0) + (dice_below(&d, 3) ? 0 : dice_below(&d, 100));
            curves[l] = (es_curve){.sizes = SIZES, .hits = hits[l], .decode_hits = hits[l]};
        }
        const uint32_t total = dice_below(&d, LAYERS * SIZES + 4);
        assert_int_equal(es_split_slots(curves, LAYERS, total, true, &split, &arena, &err), ES_OK);
        for (uint32_t l = 0; l < LAYERS; l++) {
            used += split.slots[l];
            found += division_hits(&curves[l], split.slots[l]);
        }
        assert_int_equal(split.best, division_most(curves, LAYERS, total));
        assert_int_equal(split.best, found);
        assert_true(used <= total && split.equal <= split.best);
        gained += split.best > split.equal;
        es_arena_free(&arena);
    }
    assert_true(cases.one || gained * 6 > cases.to - cases.from);
}

/* ---- in bytes ---- */

/* The most hits of any division in bytes, all of them tried. */
static uint64_t bytes_most(const es_curve *curves, const int64_t *bytes, uint32_t layers, uint64_t left)
{
    uint64_t most = 0;
    for (uint32_t s = 0; layers > 0 && s <= curves->sizes && s * (uint64_t)*bytes <= left; s++) {
        const uint64_t hits = division_hits(curves, s) + bytes_most(curves + 1, bytes + 1, layers - 1, left - s * (uint64_t)*bytes);
        most = hits > most ? hits : most;
    }
    return most;
}

static void no_division_in_bytes_hits_more(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 2000);
    uint64_t gained = 0, several = 0;
    for (uint64_t i = cases.from; i < cases.to; i++) {
        enum { LAYERS = 5, SIZES = 5 };
        dice d = {scene_seed(&cases, i), 0};
        es_arena arena = {0};
        es_split_bytes split;
        es_err err;
        uint64_t hits[LAYERS][SIZES], all = 0, used = 0, found = 0;
        es_curve curves[LAYERS];
        int64_t bytes[LAYERS], kinds[] = {7 + dice_below(&d, 40), 7 + dice_below(&d, 40), 7 + dice_below(&d, 40), 7 + dice_below(&d, 40)};
        const uint32_t of = 1 + dice_below(&d, 4);
        for (uint32_t l = 0; l < LAYERS; l++) {
            for (uint32_t s = 0; s < SIZES; s++)
                hits[l][s] = (s ? hits[l][s - 1] : 0) + (dice_below(&d, 3) ? 0 : dice_below(&d, 100));
            curves[l] = (es_curve){.sizes = SIZES, .hits = hits[l], .decode_hits = hits[l]};
            bytes[l] = kinds[dice_below(&d, of)];
            all += (uint64_t)bytes[l] * SIZES;
        }
        const uint64_t total = dice_below(&d, (uint32_t)all + 20);
        assert_int_equal(es_split_in_bytes(curves, LAYERS, bytes, total, true, &split, &arena, &err), ES_OK);
        for (uint32_t l = 0; l < LAYERS; l++) {
            used += split.slots[l] * (uint64_t)bytes[l];
            found += division_hits(&curves[l], split.slots[l]);
        }
        assert_int_equal(split.best, bytes_most(curves, bytes, LAYERS, total));
        assert_true(split.best == found && split.best == split.bound && used <= total && split.equal <= split.best);
        gained += split.best > split.equal;
        several += of > 2;
        es_arena_free(&arena);
    }
    assert_true(cases.one || (gained * 2 > cases.to - cases.from && several * 3 > cases.to - cases.from));
}

/* The most uses of any set of the objects from `at` on. */
static uint64_t set_most(const uint64_t *uses, const int64_t *bytes, uint32_t at, uint32_t objects, uint32_t experts, uint64_t left)
{
    if (at == objects)
        return 0;
    const uint64_t without = set_most(uses, bytes, at + 1, objects, experts, left), cost = (uint64_t)bytes[at / experts];
    const uint64_t with = cost <= left ? uses[at / experts * 64 + at % experts] + set_most(uses, bytes, at + 1, objects, experts, left - cost) : 0;
    return with > without ? with : without;
}

static void no_static_set_in_bytes_is_used_more(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 600);
    uint64_t beyond = 0;
    for (uint64_t i = cases.from; i < cases.to; i++) {
        enum { LAYERS = 4, EXPERTS = 3 };
        dice d = {scene_seed(&cases, i), 0};
        es_arena arena = {0};
        es_err err;
        uint64_t uses[LAYERS * 64] = {0}, capacity[3];
        int64_t bytes[LAYERS];
        es_static_best best[3];
        const es_events events = {.layers = LAYERS, .spaces = LAYERS, .experts = EXPERTS, .stride = 64, .objects = LAYERS * 64};
        for (uint32_t l = 0; l < LAYERS; l++) {
            bytes[l] = l > 0 && dice_below(&d, 2) ? bytes[0] : 10 + dice_below(&d, 30);
            for (uint32_t e = 0; e < EXPERTS; e++)
                uses[l * 64 + e] = dice_below(&d, 5) ? dice_below(&d, 200) : 0;
        }
        for (uint32_t c = 0; c < 3; c++)
            capacity[c] = dice_below(&d, 200);
        assert_int_equal(es_static_bytes(&events, uses, bytes, capacity, 3, best, &arena, &err), ES_OK);
        for (uint32_t c = 0; c < 3; c++) {
            const uint64_t most = set_most(uses, bytes, 0, LAYERS * EXPERTS, EXPERTS, capacity[c]);
            assert_int_equal(best[c].uses, most);
            assert_int_equal(best[c].bound, most);
            assert_true(best[c].bytes <= capacity[c]);
            beyond += best[c].objects > 1;
        }
        es_arena_free(&arena);
    }
    assert_true(cases.one || beyond > cases.to - cases.from);
}

/* Many sizes, and few tries: what is found is less than the bound, which is never less than what more tries find. */
static void a_search_that_is_given_up_says_a_bound(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 300);
    uint64_t open = 0;
    for (uint64_t i = cases.from; i < cases.to; i++) {
        enum { GROUPS = 5, MOST = 6 };
        dice d = {scene_seed(&cases, i), 0};
        es_arena arena = {0};
        es_err err;
        es_groups few, all;
        es_group group[GROUPS];
        uint64_t value[GROUPS][MOST + 1];
        for (uint32_t g = 0; g < GROUPS; g++) {
            value[g][0] = 0;
            for (uint32_t n = 1; n <= MOST; n++)
                value[g][n] = value[g][n - 1] + dice_below(&d, 50);
            group[g] = (es_group){.cost = 11 + dice_below(&d, 50), .most = MOST, .value = value[g]};
        }
        const uint64_t capacity = dice_below(&d, 900);
        assert_int_equal(es_groups_best(group, GROUPS, capacity, 12, &few, &arena, &err), ES_OK);
        assert_int_equal(es_groups_best(group, GROUPS, capacity, UINT64_MAX, &all, &arena, &err), ES_OK);
        assert_int_equal(all.bound, all.value);
        assert_true(few.value <= all.value && all.value <= few.bound);
        open += few.value < few.bound;
        es_arena_free(&arena);
    }
    assert_true(cases.one || open * 2 > cases.to - cases.from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_curve_is_what_runs_count),
        cmocka_unit_test(many_sizes_are_each_what_one_says),
        cmocka_unit_test(no_sequence_of_decisions_hits_more),
        cmocka_unit_test(a_static_set_hits_what_runs_count),
        cmocka_unit_test(no_division_hits_more),
        cmocka_unit_test(no_division_in_bytes_hits_more),
        cmocka_unit_test(no_static_set_in_bytes_is_used_more),
        cmocka_unit_test(a_search_that_is_given_up_says_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
