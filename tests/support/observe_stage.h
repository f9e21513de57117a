/* Observe stage: an observer alone, told facts by hand.
 *
 * The stage: 2 layers of 4 experts (objects 0-3 and 64-67, 100 bytes each), tier `cache` of 2 slots over `dram` of 2 over `home`, a link and
 * a gpu. stage_copy does to the masks what the core would do and tells it. */
#ifndef ES_TESTS_OBSERVE_STAGE_H
#define ES_TESTS_OBSERVE_STAGE_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "sim/base/file.h"
#include "sim/part/observer.h"

extern const es_observer es_observer_summary, es_observer_coverage, es_observer_latency, es_observer_traffic, es_observer_memory,
    es_observer_events, es_observer_digest, es_observer_audit, es_observer_series, es_observer_occupancy;

enum { CACHE, DRAM, HOME, TIERS, WORDS = 2, L1 = 64 };

typedef struct stage {
    es_arena arena;
    es_view view;
    es_tier_view tier[TIERS];
    uint64_t mask[TIERS][4][WORDS], guard[WORDS], room[TIERS];
    int64_t unit[WORDS], bytes[WORDS];
    uint32_t layer_of[WORDS], layer_number[WORDS];
    uint64_t exists[WORDS];     /* indices of experts: a bit each */
    es_channel_view channel[2];
    es_counts tally;
    es_times times;
    es_event event;
    uint16_t list[8];
    uint64_t wanted, hit, kept;
    const es_observer *observer;
    void *self;
    es_json *out;
} stage;

static inline es_code stage_try(stage *s, const es_observer *observer, const char *options, es_err *err)
{
    static const char *const names[] = {"cache", "dram", "home"};
    bool timed = s->view.timed;
    memset(s, 0, sizeof *s);
    s->observer = observer;
    s->view = (es_view){.timed = timed, .layers = 2, .spaces = 2, .experts = 4, .population = 4, .stride = 64, .slice = 64, .ids = 4, .matrices = 1, .exists = s->exists, .current = s->exists, .variants = 1, .objects = 128, .words = WORDS, .words_per_layer = 1,
        .tiers = TIERS, .serving = CACHE, .buckets = TIERS, .tier = s->tier, .layer_of = s->layer_of, .layer_number = s->layer_number,
        .bytes = s->bytes, .guard = s->guard, .bucket_room = s->room, .channels = 2, .channel = s->channel, .times = &s->times, .tally = &s->tally};
    for (uint32_t w = 0; w < WORDS; w++) {
        s->exists[w] = 0xf;
        s->unit[w] = 1;
        s->bytes[w] = 100;
        s->layer_of[w] = w;
        s->layer_number[w] = w + 3;
    }
    for (uint32_t t = 0; t < TIERS; t++) {
        s->tier[t] = (es_tier_view){.name = names[t], .home = t == HOME, .serving = t == CACHE, .first_bucket = t, .queued = s->mask[t][0], .outbound = s->mask[t][3],
            .inbound = s->mask[t][1], .resident = s->mask[t][2], .unit = s->unit};
        s->room[t] = 2;
    }
    s->channel[0] = (es_channel_view){.name = "pcie", .lanes = 1};
    s->channel[1] = (es_channel_view){.name = "gpu", .lanes = 1, .compute = true};
    s->self = es_arena_alloc(&s->arena, 1, observer->part.size);
    if (observer->part.options) {
        es_json *json;
        assert_int_equal(es_json_parse(&json, options, strlen(options), err), ES_OK);
        es_code code = es_options_parse(observer->part.options, s->self, json, NULL, &s->arena, err);
        cJSON_Delete(json);
        if (code != ES_OK)
            return code;
    }
    es_site site = {.view = &s->view, .arena = &s->arena, .path = "observers.0"};
    return observer->part.init ? observer->part.init(s->self, &site, err) : ES_OK;
}

static inline void stage_open(stage *s, const es_observer *observer, bool timed, const char *options)
{
    es_err err = {0};
    s->view.timed = timed;
    if (stage_try(s, observer, options, &err) != ES_OK)
        fail_msg("%s", err.text);
}

static inline void stage_close(stage *s)
{
    if (s->observer->part.fini)
        s->observer->part.fini(s->self);
    cJSON_Delete(s->out);
    es_arena_free(&s->arena);
}

static inline void stage_tell(stage *s, es_fact fact)
{
    size_t calls = s->arena.calls;
    s->view.now = fact.at;
    if (s->observer->part.hears >> fact.kind & 1)
        s->observer->part.notify(s->self, &fact);
    assert_int_equal(s->arena.calls, calls);        /* nothing is allocated once a run has begun */
}

static inline void stage_span(stage *s, es_fact_kind kind, es_time since, es_time at, uint32_t channel)
{
    stage_tell(s, (es_fact){.kind = kind, .since = since, .at = at, .channel = channel});
}

static inline void stage_step(stage *s, uint64_t step, es_time since, es_time at, es_phase_of phase, uint32_t tokens, uint32_t request)
{
    stage_tell(s, (es_fact){.kind = ES_FACT_STEP_END, .since = since, .at = at, .from = phase, .to = request, .count = tokens, .step = step});
}

/* The gate of `layer`: what is wanted is looked up in the cache as it is. */
static inline void stage_gate(stage *s, es_time at, uint32_t layer, uint64_t wanted)
{
    uint64_t index = s->event.index + 1, step = s->event.step;
    uint8_t phase = s->event.phase;
    bool counted = s->event.counted;
    s->wanted = s->kept = wanted;
    s->hit = wanted & s->tier[CACHE].resident[layer];
    s->event = (es_event){.index = index, .step = step, .layer = layer, .phase = phase, .first = true, .last = true, .counted = counted, .tokens = 1,
        .base = layer * 64, .list = s->list, .touch = s->list, .word = layer, .words = 1, .mask = &s->wanted, .hit = &s->hit};
    for (uint64_t left = wanted; left; left &= left - 1)
        s->list[s->event.count++] = (uint16_t)__builtin_ctzll(left);
    s->event.assignments = s->event.count;
    s->event.hits = (uint32_t)__builtin_popcountll(s->hit);
    s->event.late = (uint32_t)__builtin_popcountll(wanted & s->tier[CACHE].inbound[layer]);
    stage_tell(s, (es_fact){.kind = ES_FACT_USE, .at = at, .event = &s->event});
}

static inline void stage_release(stage *s, es_time at)
{
    stage_tell(s, (es_fact){.kind = ES_FACT_RELEASE, .at = at, .event = &s->event});
}

static inline void stage_move(stage *s, es_fact_kind kind, es_time at, es_oid object, uint32_t from, uint32_t to, es_why why)
{
    bool leaves = kind == ES_FACT_EVICT || kind == ES_FACT_LEAVE_LOW;
    uint64_t bit = 1ull << (object & 63);
    es_tier_view *tier = &s->tier[leaves ? from : to];
    size_t w = object >> 6;
    tier->queued[w] &= ~bit;
    tier->inbound[w] &= ~bit;
    tier->resident[w] &= ~bit;
    if (kind == ES_FACT_QUEUE)
        tier->queued[w] |= bit;
    if (kind == ES_FACT_START || kind == ES_FACT_START_GUESS)
        tier->inbound[w] |= bit;
    if (kind == ES_FACT_LAND || kind == ES_FACT_ARRIVE_LOW)
        tier->resident[w] |= bit;
    s->tally.fetched_bytes += kind == ES_FACT_START ? 100 : 0;
    s->tally.guess_bytes += kind == ES_FACT_START_GUESS ? 100 : 0;
    s->tally.evictions += kind == ES_FACT_EVICT;
    s->tier[CACHE].insertions += kind == ES_FACT_LAND;
    stage_tell(s, (es_fact){.kind = kind, .at = at, .since = at, .objects = &object, .count = 1, .from = from, .to = to, .why = why, .bytes = 100,
        .channel = UINT32_MAX});
}

static inline void stage_copy(stage *s, es_fact_kind kind, es_time at, es_oid object)
{
    if (kind == ES_FACT_EVICT)
        stage_move(s, kind, at, object, CACHE, ES_NO_TIER, ES_DEMAND);
    else
        stage_move(s, kind, at, object, HOME, CACHE, kind == ES_FACT_START_GUESS ? ES_GUESS : ES_DEMAND);
}

static inline void stage_fetch(stage *s, es_time at, es_time landed, es_oid object)
{
    if (s->view.timed)
        stage_copy(s, ES_FACT_QUEUE, at, object);
    stage_copy(s, ES_FACT_START, at, object);
    stage_copy(s, ES_FACT_LAND, landed, object);
}

static inline void stage_report(stage *s)
{
    cJSON_Delete(s->out);
    s->out = cJSON_CreateObject();
    s->observer->report(s->self, s->out);
}

/* The reported number at a path; NaN for null; a failure when there is no such member. */
static inline double stage_number(const stage *s, const char *path)
{
    const es_json *found = es_json_at(s->out, path);
    if (!found)
        fail_msg("the report has no %s", path);
    return cJSON_IsNull(found) ? (double)NAN : found->valuedouble;
}

static inline void expect(const stage *s, const char *path, double expected)
{
    double found = stage_number(s, path);
    if (isnan(expected) ? !isnan(found) : !(fabs(found - expected) <= 1e-12 * fabs(expected)))
        fail_msg("%s is %.17g, expected %.17g", path, found, expected);
}

#endif
