/* Policy stage: one policy, facts made by hand, the victims it names.
 *
 * 2 layers of 8 experts (objects 0-7 and 64-71), tier `cache` over `dram` over `home`. stage_use tells of an event and makes what it
 * keeps resident; expect_victims asks, compares, and lets what is named go, as the core would. Objects are written as in "0 3 64". */
#ifndef TESTS_POLICY_STAGE_H
#define TESTS_POLICY_STAGE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/part/policy.h"

enum { CACHE, DRAM, HOME, TIERS, LAYERS = 2, STRIDE = 64, OBJECTS = LAYERS * STRIDE, WORDS = LAYERS };

typedef struct stage {
    es_arena arena;
    es_view view;
    es_tier_view tier[TIERS];
    uint64_t mask[TIERS][3][WORDS], guard[WORDS], room[TIERS * LAYERS], popularity[OBJECTS];
    int64_t unit[WORDS];
    uint32_t layer_of[WORDS], layer_number[LAYERS];     /* numbers 1, 2 */
    uint64_t exists[WORDS];
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

static inline objects objects_of(const char *text)
{
    objects o = {.count = 0};
    for (char *end; *text; text = *end ? end + 1 : end)
        o.at[o.count++] = (es_oid)strtoul(text, &end, 10);
    return o;
}

static inline es_code stage_try(stage *s, const es_policy *policy, setting with, es_err *err)
{
    static const char *const names[] = {"cache", "dram", "home"};
    memset(s, 0, sizeof *s);
    s->policy = policy;
    s->view = (es_view){.layers = LAYERS, .spaces = LAYERS, .experts = 8, .stride = STRIDE, .ids = 8, .matrices = 1, .slice = STRIDE, .variants = 1, .objects = OBJECTS, .words = WORDS, .words_per_layer = 1,
        .layer_number = s->layer_number, .exists = s->exists, .current = s->exists, .tiers = TIERS, .serving = CACHE, .buckets = with.per_layer ? TIERS * LAYERS : TIERS, .per_layer = with.per_layer, .tier = s->tier,
        .layer_of = s->layer_of, .bytes = s->unit, .guard = s->guard, .bucket_room = s->room};
    for (uint32_t w = 0; w < WORDS; w++) {
        s->unit[w] = with.unit[w] ? with.unit[w] : 1;
        s->layer_of[w] = w;
        s->layer_number[w] = w + 1;
        s->exists[w] = 0xff;
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
    es_json *json = NULL;           /* lives until init is over, as the config does */
    es_code code = ES_OK;
    if (policy->part.options) {
        const char *text = with.options ? with.options : "{}";
        assert_int_equal(es_json_parse(&json, text, strlen(text), err), ES_OK);
        code = es_options_parse(policy->part.options, s->self, json, NULL, &s->arena, err);
    }
    es_site site = {.view = &s->view, .arena = &s->arena, .path = "policy", .seed = with.seed,
        .popularity = policy->part.flags & ES_POPULARITY ? s->popularity : NULL};
    if (code == ES_OK)
        code = policy->part.init(s->self, &site, err);
    cJSON_Delete(json);
    return code;
}

static inline void stage_open(stage *s, const es_policy *policy, setting with)
{
    es_err err = {0};
    if (stage_try(s, policy, with, &err) != ES_OK)
        fail_msg("%s", err.text);
}

static inline void stage_close(stage *s)
{
    es_arena_free(&s->arena);
}

static inline void stage_tell(stage *s, es_fact fact)
{
    size_t calls = s->arena.calls;
    fact.at = s->view.now;
    if (s->policy->part.hears >> fact.kind & 1)
        s->policy->part.notify(s->self, &fact);
    assert_int_equal(s->arena.calls, calls);        /* nothing is allocated once a run has begun */
}

static inline void stage_set(stage *s, uint32_t tier, es_oid object, bool here)
{
    uint64_t *word = &s->tier[tier].resident[object >> 6], bit = 1ull << (object & 63);
    *word = here ? *word | bit : *word & ~bit;
}

/* An event of one layer; `kept` NULL: all of it stays. */
static inline void stage_use_keeping(stage *s, const char *wanted, const char *kept)
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

static inline void stage_use(stage *s, const char *wanted)
{
    stage_use_keeping(s, wanted, NULL);
}

static inline void stage_move(stage *s, es_fact_kind kind, es_oid object, uint32_t from, uint32_t to)
{
    stage_tell(s, (es_fact){.kind = kind, .objects = &object, .count = 1, .from = from, .to = to});
    if (kind == ES_FACT_LEAVE_LOW)
        stage_set(s, from, object, false);
    else
        stage_set(s, to, object, true);
}

static inline size_t stage_victims(stage *s, es_need need, es_oid *out)
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

static inline void expect_need(stage *s, es_need need, const char *expected)
{
    es_oid out[OBJECTS];
    char text[256] = "";
    size_t n = stage_victims(s, need, out);
    for (size_t i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%u", i ? " " : "", out[i]);
    assert_string_equal(text, expected);
}

/* Of the bucket of `of` in the cache. */
static inline void expect_victims(stage *s, es_oid of, int64_t units, const char *expected)
{
    expect_need(s, (es_need){.tier = CACHE, .bucket = es_bucket_of(&s->view, CACHE, of), .units = units, .why = ES_DEMAND}, expected);
}

/* Which of `missing` (all of layer 0) are kept. */
static inline void expect_admitted(stage *s, const char *missing, const char *expected)
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

#endif
