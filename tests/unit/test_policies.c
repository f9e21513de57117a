/* Policies: facts made by hand go in, victims come out.
 *
 * The stage: 2 layers of 8 experts (objects 0-7 and 64-71), tier `cache` over `dram` over `home`. stage_use tells of an event and
 * makes what it keeps resident; expect_victims asks, compares, and lets what is named go, as the core would. Objects are written
 * as in "0 3 64". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/part/policy.h"

extern const es_policy es_policy_lru, es_policy_lfu, es_policy_fifo, es_policy_random, es_policy_static, es_policy_hybrid, es_policy_shift_cache;

enum { CACHE, DRAM, HOME, TIERS, LAYERS = 2, STRIDE = 64, OBJECTS = LAYERS * STRIDE, WORDS = LAYERS };

typedef struct stage {
    es_arena arena;
    es_view view;
    es_tier_view tier[TIERS];
    uint64_t mask[TIERS][3][WORDS], guard[WORDS], room[TIERS * LAYERS], popularity[OBJECTS];
    int64_t unit[WORDS];
    uint32_t layer_of[WORDS];
    uint64_t index, step;
    const es_policy *policy;
    void *self;
} stage;

typedef struct setting {
    const char *options;        /* JSON; NULL: {} */
    bool per_layer;
    uint64_t room;              /* of each bucket; 0: 4 */
    int64_t unit[LAYERS];       /* 0: 1 */
    const char *uses;           /* popularity: "0 0 3" is two uses of 0, one of 3 */
    uint64_t seed;
} setting;

typedef struct objects {
    es_oid at[64];
    uint32_t count;
} objects;

static objects objects_of(const char *text)
{
    objects o = {.count = 0};
    for (char *end; *text; text = *end ? end + 1 : end)
        o.at[o.count++] = (es_oid)strtoul(text, &end, 10);
    return o;
}

static es_code stage_try(stage *s, const es_policy *policy, setting with, es_err *err)
{
    static const char *const names[] = {"cache", "dram", "home"};
    memset(s, 0, sizeof *s);
    s->policy = policy;
    s->view = (es_view){.layers = LAYERS, .experts = 8, .stride = STRIDE, .variants = 1, .objects = OBJECTS, .words = WORDS, .words_per_layer = 1,
        .tiers = TIERS, .serving = CACHE, .buckets = with.per_layer ? TIERS * LAYERS : TIERS, .per_layer = with.per_layer, .tier = s->tier,
        .layer_of = s->layer_of, .bytes = s->unit, .guard = s->guard, .bucket_room = s->room};
    for (uint32_t w = 0; w < WORDS; w++) {
        s->unit[w] = with.unit[w] ? with.unit[w] : 1;
        s->layer_of[w] = w;
    }
    for (uint32_t t = 0; t < TIERS; t++)
        s->tier[t] = (es_tier_view){.name = names[t], .home = t == HOME, .serving = t == CACHE, .first_bucket = with.per_layer ? t * LAYERS : t,
            .queued = s->mask[t][0], .inbound = s->mask[t][1], .resident = s->mask[t][2], .unit = s->unit};
    for (uint32_t b = 0; b < s->view.buckets; b++)
        s->room[b] = with.room ? with.room : 4;
    objects uses = objects_of(with.uses ? with.uses : "");
    for (uint32_t i = 0; i < uses.count; i++)
        s->popularity[uses.at[i]]++;
    s->self = es_arena_alloc(&s->arena, 1, policy->part.size);
    if (policy->part.options) {
        const char *text = with.options ? with.options : "{}";
        es_json *json;
        assert_int_equal(es_json_parse(&json, text, strlen(text), err), ES_OK);
        es_code code = es_options_parse(policy->part.options, s->self, json, NULL, &s->arena, err);
        cJSON_Delete(json);
        if (code != ES_OK)
            return code;
    }
    es_site site = {.view = &s->view, .arena = &s->arena, .path = "policy", .seed = with.seed,
        .popularity = policy->part.flags & ES_POPULARITY ? s->popularity : NULL};
    return policy->part.init(s->self, &site, err);
}

static void stage_open(stage *s, const es_policy *policy, setting with)
{
    es_err err = {0};
    if (stage_try(s, policy, with, &err) != ES_OK)
        fail_msg("%s", err.text);
}

static void stage_close(stage *s)
{
    es_arena_free(&s->arena);
}

static void stage_tell(stage *s, es_fact fact)
{
    size_t calls = s->arena.calls;
    if (s->policy->part.hears >> fact.kind & 1)
        s->policy->part.notify(s->self, &fact);
    assert_int_equal(s->arena.calls, calls);        /* nothing is allocated once a run has begun */
}

static void stage_set(stage *s, uint32_t tier, es_oid object, bool here)
{
    uint64_t *word = &s->tier[tier].resident[object >> 6], bit = 1ull << (object & 63);
    *word = here ? *word | bit : *word & ~bit;
}

/* An event of one layer; `kept` NULL: all of it stays. */
static void stage_use_keeping(stage *s, const char *wanted, const char *kept)
{
    objects list = objects_of(wanted);
    uint16_t index[64];
    uint64_t want = 0, hit, keep = 0;
    uint32_t layer = list.at[0] / STRIDE;
    for (uint32_t i = 0; i < list.count; i++) {
        index[i] = (uint16_t)(list.at[i] % STRIDE);
        want |= 1ull << index[i];
    }
    objects stay = objects_of(kept ? kept : wanted);
    for (uint32_t i = 0; i < stay.count; i++)
        keep |= 1ull << stay.at[i] % STRIDE;
    hit = want & s->tier[CACHE].resident[layer];
    s->step += layer == 0;
    es_event event = {.index = s->index++, .step = s->step, .layer = layer, .first = true, .last = true, .tokens = 1, .assignments = list.count,
        .base = layer * STRIDE, .count = list.count, .list = index, .touch = index, .word = layer, .words = 1, .mask = &want, .hit = &hit,
        .kept = kept ? &keep : NULL};
    stage_tell(s, (es_fact){.kind = ES_FACT_USE, .event = &event});
    s->tier[CACHE].resident[layer] |= keep;
    stage_tell(s, (es_fact){.kind = ES_FACT_RELEASE, .event = &event});
}

static void stage_use(stage *s, const char *wanted)
{
    stage_use_keeping(s, wanted, NULL);
}

static void stage_move(stage *s, es_fact_kind kind, es_oid object, uint32_t from, uint32_t to)
{
    stage_tell(s, (es_fact){.kind = kind, .objects = &object, .count = 1, .from = from, .to = to});
    if (kind == ES_FACT_LEAVE_LOW)
        stage_set(s, from, object, false);
    else
        stage_set(s, to, object, true);
}

static size_t stage_victims(stage *s, es_need need, es_oid *out)
{
    size_t calls = s->arena.calls, n = s->policy->victims(s->self, &need, out, OBJECTS);
    assert_int_equal(s->arena.calls, calls);
    for (size_t i = 0; i < n; i++) {
        assert_true(es_may_evict(&s->view, out[i], need.tier));
        assert_int_equal(es_bucket_of(&s->view, need.tier, out[i]), need.bucket);
        stage_set(s, need.tier, out[i], false);
    }
    return n;
}

static void expect_need(stage *s, es_need need, const char *expected)
{
    es_oid out[OBJECTS];
    char text[256] = "";
    size_t n = stage_victims(s, need, out);
    for (size_t i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%u", i ? " " : "", out[i]);
    assert_string_equal(text, expected);
}

/* Of the bucket of `of` in the cache. */
static void expect_victims(stage *s, es_oid of, int64_t units, const char *expected)
{
    expect_need(s, (es_need){.tier = CACHE, .bucket = es_bucket_of(&s->view, CACHE, of), .units = units, .why = ES_DEMAND}, expected);
}

/* ---- what every policy promises ---- */

typedef struct subject {
    const es_policy *policy;
    const char *options;
} subject;

static const subject subjects[] = {
    {&es_policy_lru, NULL}, {&es_policy_lfu, NULL}, {&es_policy_fifo, NULL}, {&es_policy_random, NULL}, {&es_policy_hybrid, NULL},
    {&es_policy_shift_cache, "{\"window\": 2, \"sets\": 16}"},
};

enum { SUBJECTS = sizeof subjects / sizeof *subjects };

static void what_is_pinned_or_not_there_yet_is_never_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options});
        stage_use(&s, "0 1 2 3");
        s.guard[0] = 1u << 0 | 1u << 2;
        stage_set(&s, CACHE, 3, false);             /* its copy has not landed */
        assert_int_equal(stage_victims(&s, (es_need){.units = 4}, out), 1);
        assert_int_equal(out[0], 1);
        s.guard[0] = 0;
        stage_set(&s, CACHE, 3, true);
        assert_int_equal(stage_victims(&s, (es_need){.units = 4}, out), 3);
        stage_close(&s);
    }
}

static void a_need_for_all_names_all_or_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options});
        stage_use(&s, "0 1 2 3");
        s.guard[0] = 1u << 0;
        assert_int_equal(stage_victims(&s, (es_need){.units = 4, .why = ES_GUESS, .all = true}, out), 0);
        assert_int_equal(stage_victims(&s, (es_need){.units = 3, .why = ES_GUESS, .all = true}, out), 3);
        stage_close(&s);
    }
}

static void no_more_is_named_than_is_needed(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options, .unit = {10, 30}});
        stage_use(&s, "0 1 2 3");
        assert_int_equal(stage_victims(&s, (es_need){.units = 11}, out), 2);
        stage_use(&s, "64 65");
        assert_int_equal(stage_victims(&s, (es_need){.units = 1}, out), 1);
        stage_close(&s);
    }
}

static void what_was_named_is_forgotten(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options});
        stage_use(&s, "0 1 2 3");
        assert_int_equal(stage_victims(&s, (es_need){.units = 4}, out), 4);
        assert_int_equal(stage_victims(&s, (es_need){.units = 4}, out), 0);
        stage_use(&s, "2");
        assert_int_equal(stage_victims(&s, (es_need){.units = 4}, out), 1);
        assert_int_equal(out[0], 2);
        stage_close(&s);
    }
}

static void a_layer_with_a_room_of_its_own_gives_up_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options, .per_layer = true});
        stage_use(&s, "0 1");
        stage_use(&s, "64 65");
        assert_int_equal(stage_victims(&s, (es_need){.bucket = 1, .units = 9}, out), 2);
        assert_int_equal(out[0] / STRIDE, 1);
        assert_int_equal(stage_victims(&s, (es_need){.bucket = 0, .units = 9}, out), 2);
        stage_close(&s);
    }
}

static void what_is_used_in_place_is_never_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options});
        stage_use_keeping(&s, "0 1 2", "1");
        assert_int_equal(stage_victims(&s, (es_need){.units = 9}, out), 1);
        assert_int_equal(out[0], 1);
        stage_close(&s);
    }
}

static void a_reset_forgets_all_residents(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options});
        stage_use(&s, "0 1 2");
        memset(s.mask, 0, sizeof s.mask);
        stage_tell(&s, (es_fact){.kind = ES_FACT_RESET});
        assert_int_equal(stage_victims(&s, (es_need){.units = 9}, out), 0);
        stage_use(&s, "1");
        assert_int_equal(stage_victims(&s, (es_need){.units = 9}, out), 1);
        stage_close(&s);
    }
}

static void a_guess_can_leave_once_it_has_landed(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options});
        stage_move(&s, ES_FACT_START_GUESS, 5, HOME, CACHE);
        assert_int_equal(stage_victims(&s, (es_need){.units = 1}, out), 1);
        assert_int_equal(out[0], 5);
        stage_close(&s);
    }
}

static void lower_tiers_have_residents_of_their_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < SUBJECTS; i++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, subjects[i].policy, (setting){.options = subjects[i].options});
        stage_use(&s, "0 1 2");
        assert_int_equal(stage_victims(&s, (es_need){.units = 2}, out), 2);
        stage_move(&s, ES_FACT_ARRIVE_LOW, out[0], CACHE, DRAM);
        stage_move(&s, ES_FACT_ARRIVE_LOW, out[1], CACHE, DRAM);
        es_oid first = out[0], second = out[1];
        stage_move(&s, ES_FACT_LEAVE_LOW, first, DRAM, CACHE);
        assert_int_equal(stage_victims(&s, (es_need){.tier = DRAM, .bucket = DRAM, .units = 9, .why = ES_DEMOTE}, out), 1);
        assert_int_equal(out[0], second);
        stage_close(&s);
    }
}

/* ---- each order ---- */

static void lru_names_the_least_recently_used(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_lru, (setting){0});
    stage_use(&s, "0 1 2 3");
    stage_use(&s, "0 2");
    expect_victims(&s, 0, 3, "1 3 0");
    stage_close(&s);
}

static void lru_places_what_comes_down_by_its_last_use(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_lru, (setting){0});
    stage_use(&s, "0 1 2");
    expect_victims(&s, 0, 3, "0 1 2");
    stage_move(&s, ES_FACT_ARRIVE_LOW, 2, CACHE, DRAM);
    stage_move(&s, ES_FACT_ARRIVE_LOW, 0, CACHE, DRAM);
    stage_move(&s, ES_FACT_ARRIVE_LOW, 1, CACHE, DRAM);
    expect_need(&s, (es_need){.tier = DRAM, .bucket = DRAM, .units = 3}, "0 1 2");
    stage_close(&s);
}

static void fifo_does_not_care_about_use(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_fifo, (setting){0});
    stage_use(&s, "3 1");
    stage_use(&s, "0 1 3");
    stage_use(&s, "3");
    expect_victims(&s, 0, 2, "3 1");
    stage_use(&s, "3");
    expect_victims(&s, 0, 2, "0 3");
    stage_close(&s);
}

static void fifo_counts_a_guess_from_the_start_of_its_copy(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_fifo, (setting){0});
    stage_move(&s, ES_FACT_START_GUESS, 5, HOME, CACHE);
    stage_use(&s, "2");
    stage_use(&s, "5");             /* a hit: it keeps its place */
    expect_victims(&s, 0, 2, "5 2");
    stage_close(&s);
}

static void random_names_each_as_often(void **state)
{
    (void)state;
    uint32_t named[8] = {0};
    for (uint64_t seed = 0; seed < 4000; seed++) {
        stage s;
        es_oid out[OBJECTS];
        stage_open(&s, &es_policy_random, (setting){.seed = seed});
        stage_use(&s, "0 1 2 3 4");
        s.guard[0] = 1u << 1;
        stage_victims(&s, (es_need){.units = 1}, out);
        named[out[0]]++;
        stage_close(&s);
    }
    assert_int_equal(named[1], 0);
    for (uint32_t i = 0; i < 5; i++)
        assert_true(i == 1 || (named[i] > 900 && named[i] < 1100));     /* 1000 +- 3.6 standard deviations */
}

static void random_is_the_same_for_a_seed_whatever_other_buckets_draw(void **state)
{
    (void)state;
    stage a, b;
    es_oid from_a[OBJECTS], from_b[OBJECTS];
    stage_open(&a, &es_policy_random, (setting){.seed = 7, .per_layer = true});
    stage_open(&b, &es_policy_random, (setting){.seed = 7, .per_layer = true});
    stage_use(&a, "0 1 2 3 4 5 6 7");
    stage_use(&b, "0 1 2 3 4 5 6 7");
    stage_use(&b, "64 65 66");
    stage_victims(&b, (es_need){.bucket = 1, .units = 2}, from_b);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(stage_victims(&a, (es_need){.units = 2}, from_a), 2);
        assert_int_equal(stage_victims(&b, (es_need){.units = 2}, from_b), 2);
        assert_memory_equal(from_a, from_b, 2 * sizeof *from_a);
    }
    stage_close(&a);
    stage_close(&b);
}

/* ---- pins ---- */

static void expect_initial(stage *s, const char *expected)
{
    es_oid out[OBJECTS];
    char text[256] = "";
    size_t n = s->policy->initial(s->self, CACHE, out, OBJECTS);
    for (size_t i = 0; i < n; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%u", i ? " " : "", out[i]);
        stage_set(s, CACHE, out[i], true);
    }
    assert_string_equal(text, expected);
    assert_int_equal(s->policy->initial(s->self, DRAM, out, OBJECTS), 0);
}

/* Which of `missing` (all of layer 0) are kept. */
static void expect_admitted(stage *s, const char *missing, const char *expected)
{
    objects ask = objects_of(missing);
    uint16_t index[64];
    bool keep[64];
    char text[256] = "";
    for (uint32_t i = 0; i < ask.count; i++) {
        index[i] = (uint16_t)ask.at[i];
        keep[i] = true;
    }
    es_event event = {.layer = 0, .base = 0, .count = ask.count, .list = index};
    s->policy->admit(s->self, &(es_admit_ask){.event = &event, .missing = index, .count = ask.count, .tier = CACHE}, keep);
    for (uint32_t i = 0; i < ask.count; i++)
        if (keep[i])
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%u", *text ? " " : "", ask.at[i]);
    assert_string_equal(text, expected);
}

static void static_pins_the_most_used_and_lets_nothing_else_in(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_static, (setting){.uses = "5 5 5 64 64 2 2 7 1 66", .room = 4});
    expect_initial(&s, "5 2 64 1");         /* between equals the lowest id; 7 and 66 no longer fit */
    expect_victims(&s, 0, 4, "");
    expect_admitted(&s, "3 7", "");
    stage_close(&s);
}

static void static_brings_a_pin_back_after_a_reset(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_static, (setting){.uses = "5 5 2"});
    expect_admitted(&s, "5 3 2", "5 2");
    stage_close(&s);
}

static void static_pins_as_many_as_it_is_told(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_static, (setting){.uses = "5 5 5 64 64 2", .options = "{\"count\": 2}"});
    expect_initial(&s, "5 64");
    stage_close(&s);
}

static void static_pins_nothing_that_was_never_used(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_static, (setting){.uses = "3", .room = 100});
    expect_initial(&s, "3");
    stage_close(&s);
}

static void static_keeps_to_each_layers_room(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_static, (setting){.uses = "0 0 0 0 1 1 1 2 2 64", .room = 2, .per_layer = true});
    expect_initial(&s, "0 1 64");
    stage_close(&s);
}

static void static_passes_over_what_is_too_large(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_static, (setting){.uses = "64 64 64 65 65 0", .room = 100, .unit = {10, 60}});
    expect_initial(&s, "64 0");
    stage_close(&s);
}

static void hybrid_never_names_a_pin(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_hybrid, (setting){.uses = "1 1 3 3 5", .options = "{\"pins\": 2, \"share\": 1}"});
    expect_initial(&s, "1 3");
    stage_use(&s, "1 0 3 2");
    stage_use(&s, "0");
    expect_victims(&s, 0, 4, "2 0");
    stage_close(&s);
}

static void hybrid_holds_all_its_limits(void **state)
{
    (void)state;
    static const struct { const char *options, *pinned; } cases[] = {
        {"{\"share\": 1}", "1 3 5 0"},
        {"{\"share\": 1, \"min_uses\": 2}", "1 3 5"},
        {"{\"share\": 0.5}", "1 3"},
        {"{\"share\": 0.74}", "1 3"},
        {"{\"share\": 1, \"pins\": 1}", "1"},
        {"{\"share\": 0}", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage s;
        stage_open(&s, &es_policy_hybrid, (setting){.uses = "1 1 1 3 3 3 5 5 0", .options = cases[i].options});
        expect_initial(&s, cases[i].pinned);
        stage_close(&s);
    }
}

static void hybrid_reads_in_place_where_pins_leave_no_room(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_hybrid, (setting){.uses = "0 1 2 3", .options = "{\"share\": 1}"});
    assert_true(s.policy->admits(s.self));
    expect_admitted(&s, "3 5", "3");
    stage_close(&s);
    stage_open(&s, &es_policy_hybrid, (setting){.uses = "0 1 2 3", .options = "{\"share\": 0.75}"});
    assert_false(s.policy->admits(s.self));
    expect_admitted(&s, "3 5", "3 5");
    stage_close(&s);
}

/* ---- ShiftCache ---- */

/* One token: an event in each layer. */
static void stage_token(stage *s, const char *low, const char *high)
{
    stage_use(s, low);
    stage_use(s, high);
}

static void shift_cache_weighs_habit_before_recency(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_policy_shift_cache, (setting){.options = "{\"window\": 4, \"jsd_reweighting\": false, \"transition_retention\": false}"});
    for (int i = 0; i < 4; i++)
        stage_token(&s, "0", "64");
    stage_token(&s, "1", "65");
    /* 0 and 64: 0.55 and some of the short window; 1 and 65 are only younger, 65 the youngest */
    expect_victims(&s, 0, 2, "1 65");
    stage_close(&s);
}

static void shift_cache_forgets_faster_while_the_routing_shifts(void **state)
{
    (void)state;
    static const struct { const char *options, *victim; } cases[] = {
        {"{\"window\": 4, \"jsd_reweighting\": false, \"transition_retention\": false}", "1"},
        {"{\"window\": 4, \"jsd_reweighting\": true, \"transition_retention\": false}", "0"},
    };
    for (size_t i = 0; i < 2; i++) {
        stage s;
        stage_open(&s, &es_policy_shift_cache, (setting){.options = cases[i].options});
        for (int t = 0; t < 10; t++)
            stage_token(&s, "0", "64");
        for (int t = 0; t < 2; t++)
            stage_token(&s, "1", "65");         /* the score is now 0.31 bits */
        s.guard[1] = UINT64_MAX;                /* between 0 and 1 */
        expect_victims(&s, 0, 1, cases[i].victim);
        stage_close(&s);
    }
}

static void shift_cache_keeps_what_often_followed(void **state)
{
    (void)state;
    static const struct { const char *options, *victim; } cases[] = {
        {"{\"window\": 7, \"jsd_reweighting\": false, \"transition_retention\": false}", "2"},
        {"{\"window\": 7, \"jsd_reweighting\": false, \"transition_retention\": true}", "1"},
    };
    for (size_t i = 0; i < 2; i++) {
        stage s;
        stage_open(&s, &es_policy_shift_cache, (setting){.options = cases[i].options});
        stage_token(&s, "7", "71");
        for (int t = 0; t < 12; t++) {
            stage_token(&s, "0", "64");
            stage_token(&s, "2", "66");
            stage_token(&s, "1", "65");
        }
        stage_token(&s, "0", "64");
        /* 1 and 2 were used as often in both windows, 2 a little longer ago; but 2 is what follows 0 */
        s.guard[0] = 1u << 0 | 1u << 7;
        s.guard[1] = UINT64_MAX;
        expect_victims(&s, 0, 1, cases[i].victim);
        stage_close(&s);
    }
}

static void shift_cache_moves_once_per_token_even_when_its_last_layer_is_missing(void **state)
{
    (void)state;
    stage a, b;
    es_oid from_a[OBJECTS], from_b[OBJECTS];
    stage_open(&a, &es_policy_shift_cache, (setting){.options = "{\"window\": 2}"});
    stage_open(&b, &es_policy_shift_cache, (setting){.options = "{\"window\": 2}"});
    for (int t = 0; t < 3; t++) {
        stage_use(&a, "0");
        stage_use(&b, "0");
    }
    stage_use(&a, "1");
    stage_use(&b, "1");
    assert_int_equal(stage_victims(&a, (es_need){.units = 1}, from_a), stage_victims(&b, (es_need){.units = 1}, from_b));
    assert_int_equal(from_a[0], 1);
    assert_int_equal(from_b[0], 1);
    stage_close(&a);
    stage_close(&b);
}

static void shift_cache_refuses_thresholds_the_wrong_way_round(void **state)
{
    (void)state;
    stage s;
    es_err err = {0};
    assert_int_equal(stage_try(&s, &es_policy_shift_cache, (setting){.options = "{\"shift_bits\": 0.1, \"rearm_bits\": 0.2}"}, &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "rearm_bits: 0.2 is above shift_bits, 0.1"));
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_pinned_or_not_there_yet_is_never_named),
        cmocka_unit_test(a_need_for_all_names_all_or_nothing),
        cmocka_unit_test(no_more_is_named_than_is_needed),
        cmocka_unit_test(what_was_named_is_forgotten),
        cmocka_unit_test(a_layer_with_a_room_of_its_own_gives_up_its_own),
        cmocka_unit_test(what_is_used_in_place_is_never_named),
        cmocka_unit_test(a_reset_forgets_all_residents),
        cmocka_unit_test(a_guess_can_leave_once_it_has_landed),
        cmocka_unit_test(lower_tiers_have_residents_of_their_own),
        cmocka_unit_test(lru_names_the_least_recently_used),
        cmocka_unit_test(lru_places_what_comes_down_by_its_last_use),
        cmocka_unit_test(fifo_does_not_care_about_use),
        cmocka_unit_test(fifo_counts_a_guess_from_the_start_of_its_copy),
        cmocka_unit_test(random_names_each_as_often),
        cmocka_unit_test(random_is_the_same_for_a_seed_whatever_other_buckets_draw),
        cmocka_unit_test(static_pins_the_most_used_and_lets_nothing_else_in),
        cmocka_unit_test(static_brings_a_pin_back_after_a_reset),
        cmocka_unit_test(static_pins_as_many_as_it_is_told),
        cmocka_unit_test(static_pins_nothing_that_was_never_used),
        cmocka_unit_test(static_keeps_to_each_layers_room),
        cmocka_unit_test(static_passes_over_what_is_too_large),
        cmocka_unit_test(hybrid_never_names_a_pin),
        cmocka_unit_test(hybrid_holds_all_its_limits),
        cmocka_unit_test(hybrid_reads_in_place_where_pins_leave_no_room),
        cmocka_unit_test(shift_cache_weighs_habit_before_recency),
        cmocka_unit_test(shift_cache_forgets_faster_while_the_routing_shifts),
        cmocka_unit_test(shift_cache_keeps_what_often_followed),
        cmocka_unit_test(shift_cache_moves_once_per_token_even_when_its_last_layer_is_missing),
        cmocka_unit_test(shift_cache_refuses_thresholds_the_wrong_way_round),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
