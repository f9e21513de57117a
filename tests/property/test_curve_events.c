/* Curve events: the decoded trace is event by event what a run's composer makes of the same contract, on random traces; and what a trace
 * that is at fault is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <inttypes.h>

#include "sim/curve/events.h"
#include "sim/part/observer.h"
#include "tests/support/scene.h"

/* ---- an observer that writes every event down ---- */

enum { MOST_EVENTS = 4096, MOST_LOOKUPS = 65536 };

typedef struct witness {
    uint32_t count;
    uint64_t lookups, begin[MOST_EVENTS + 1];
    uint32_t layer[MOST_EVENTS], request[MOST_EVENTS], step[MOST_EVENTS];
    uint8_t flags[MOST_EVENTS];
    uint16_t id[MOST_LOOKUPS], touch[MOST_LOOKUPS], repeats[MOST_LOOKUPS];
} witness;

typedef struct witness_state { witness *at; } witness_state;

static void witness_notify(void *self, const es_fact *fact)
{
    witness *w = ((witness_state *)self)->at;
    const es_event *e = fact->event;
    assert_in_range(w->count, 0, MOST_EVENTS - 1);
    assert_in_range(w->lookups + e->count, 0, MOST_LOOKUPS);
    w->layer[w->count] = e->layer;
    w->request[w->count] = e->request;
    w->step[w->count] = (uint32_t)e->step;
    w->flags[w->count] = (uint8_t)((e->phase == ES_DECODE ? ES_EVENT_DECODE : 0) | (e->counted ? 0 : ES_EVENT_SKIPPED));
    for (uint32_t i = 0; i < e->count; i++) {
        w->id[w->lookups + i] = e->list[i];
        w->touch[w->lookups + i] = e->touch[i];
        w->repeats[w->lookups + i] = (uint16_t)(e->served ? e->served[i] - 1 : 0);
    }
    w->lookups += e->count;
    w->begin[++w->count] = w->lookups;
}

static const es_observer witness_observer = {.part = {.abi = ES_ABI, .name = "witness", .brief = "Writes events down.", .size = sizeof(witness_state),
    .notify = witness_notify, .hears = ES_HEARS(ES_FACT_USE)}};

/* ---- random traces ---- */

static void plain_machine(scene *s)
{
    s->tiers = 1;
    s->levels = 1;
    s->timed = false;
    s->holds = ES_HOLDS_ALL;
    s->training.steps = ES_TRAIN_NONE;
    s->tier[0] = (scene_tier){.room = (int64_t)s->layers * s->experts};
    s->predictor = s->predictor_options = s->dispatcher = s->dispatcher_options = s->policy_options = NULL;
    s->policy = "lru";
    s->watched = s->reported = false;
    s->slices = 1;
    scene_alike(s);
    s->contract.unit = s->contract.unit == ES_TOKEN || s->contract.unit == ES_ID ? ES_TOKEN : ES_UNION;
    s->contract.judge = ES_JUDGE_EVENT;
    s->contract.overflow = ES_TRIM;
    snprintf(s->quota, sizeof s->quota, "\"floor\"");
}

static es_events_ask ask_of(const scene *s)
{
    es_events_ask ask = {.by_token = s->contract.unit == ES_TOKEN, .ignores_repeats = s->contract.duplicates == ES_IGNORE, .shared = s->shared,
        .skip_tokens = s->contract.skip_tokens};
    assert_int_equal(es_prefill_read(&ask.prefill, s->prefill, NULL), ES_OK);
    return ask;
}

static bool same_events(const es_events *events, const witness *w)
{
    bool same = events->count == w->count && events->lookups == w->lookups && events->begin[events->count] == w->lookups;
    for (uint32_t e = 0; same && e < w->count; e++)
        same = events->begin[e] == w->begin[e] && events->layer[e] == w->layer[e] && events->request[e] == w->request[e] && events->step[e] == w->step[e] &&
            (events->flags[e] & ~ES_EVENT_FRESH) == w->flags[e];
    for (uint64_t i = 0; same && i < w->lookups; i++)
        same = events->id[i] == w->id[i] && events->touch[i] == w->touch[i] && (events->repeats ? events->repeats[i] : 0) == w->repeats[i];
    return same;
}

static void check_totals(const es_events *events)
{
    uint64_t accesses = 0, decode = 0;
    uint32_t least = events->count ? UINT32_MAX : 0, widest = 0;
    for (uint32_t e = 0; e < events->count; e++) {
        const uint32_t n = es_events_width(events, e);
        least = n < least ? n : least;
        widest = n > widest ? n : widest;
        accesses += events->flags[e] & ES_EVENT_SKIPPED ? 0 : n;
        decode += (events->flags[e] & (ES_EVENT_SKIPPED | ES_EVENT_DECODE)) == ES_EVENT_DECODE ? n : 0;
        assert_true(events->flags[e] & ES_EVENT_FRESH || (e > 0 && events->request[e] == events->request[e - 1]));
    }
    assert_int_equal(events->accesses, accesses);
    assert_int_equal(events->decode_accesses, decode);
    assert_int_equal(events->least, least);
    assert_int_equal(events->widest, widest);
}

static void events_are_those_of_a_run(void **state)
{
    (void)state;
    scene_cases cases = scene_plan(__func__, 4000);
    witness *w = calloc(1, sizeof *w);
    uint64_t repeated = 0, cut = 0;
    assert_non_null(w);
    for (uint64_t i = cases.from; i < cases.to; i++) {
        scene s;
        rig r;
        es_arena arena = {0};
        es_events events;
        scene_draw(&s, scene_seed(&cases, i));
        plain_machine(&s);
        scene_build(&s, &r);
        w->count = 0;
        w->lookups = 0;
        const witness_state told = {w};
        r.plan.observers = r.observer;
        r.observer[r.plan.observer_count++] = rig_own(&witness_observer.part, &told, "observers[9]");
        if (rig_run(&r) != ES_OK && !strstr(r.err.text, "leaves nothing to count"))
            fail_msg("case %" PRIu64 ": %s", i, r.err.text);
        const es_events_ask ask = ask_of(&s);
        if (es_events_read(&events, r.plan.source, r.plan.source_state, &ask, &arena, &r.err) != ES_OK)
            fail_msg("case %" PRIu64 ": %s", i, r.err.text);
        if (!same_events(&events, w))
            fail_msg("case %" PRIu64 ": the events are not those of a run", i);
        check_totals(&events);
        repeated += events.repeats != NULL;
        cut += strcmp(s.prefill, "union") != 0;
        es_arena_free(&arena);
        rig_close(&r);
    }
    free(w);
    assert_true(cases.one || (repeated > 100 && cut > 100));
}

/* ---- faults ---- */

static es_code read_rig(rig *r, es_events *events, es_arena *arena)
{
    return es_events_read(events, r->plan.source, r->plan.source_state, &(es_events_ask){0}, arena, &r->err);
}

static void a_row_that_lists_an_expert_twice_is_named(void **state)
{
    (void)state;
    for (uint32_t together = 0; together < 2; together++) {
        rig r;
        es_arena arena = {0};
        es_events events;
        rig_open(&r, 2, 70, 2, 0, 4);
        for (uint32_t t = 0; t < 2; t++)
            memcpy(rig_token(&r, 7, ES_DECODE, together && t > 0), ((uint16_t[]){0, 1, 69, t == 0 ? 68 : 69}), 4 * sizeof(uint16_t));
        r.trace.info.accesses = 8;
        r.trace.info.decode_tokens = 2;
        assert_int_equal(read_rig(&r, &events, &arena), ES_EINPUT);
        assert_string_equal(r.err.text, "trace: request 7, token 1, layer 1 lists an expert twice; the ids of a row must differ");
        es_arena_free(&arena);
        rig_close(&r);
    }
}

static void a_trace_that_holds_more_than_it_says_is_a_fault(void **state)
{
    (void)state;
    for (uint64_t said = 0; said < 40; said += 3)
        for (uint32_t together = 0; together < 2; together++) {
            rig r;
            es_arena arena = {0};
            es_events events;
            rig_open(&r, 2, 8, 2, 0, 10);
            for (uint16_t t = 0; t < 10; t++)
                memcpy(rig_token(&r, 0, ES_DECODE, together && t % 2), ((uint16_t[]){0, 1, 2, 3 + t % 5}), 4 * sizeof(uint16_t));
            r.trace.info.accesses = said;
            r.trace.info.decode_tokens = said;
            const es_code code = read_rig(&r, &events, &arena);
            assert_int_equal(code, (together ? 25u : 40u) > said ? ES_EINPUT : ES_OK);
            es_arena_free(&arena);
            rig_close(&r);
        }
}

static void a_trace_without_lookups_has_no_events(void **state)
{
    (void)state;
    rig r;
    es_arena arena = {0};
    es_events events;
    rig_open(&r, 2, 8, 2, 0, 2);
    rig_token(&r, 0, ES_DECODE, false);
    assert_int_equal(read_rig(&r, &events, &arena), ES_OK);
    assert_int_equal(events.count, 0);
    assert_int_equal(events.lookups, 0);
    assert_int_equal(events.begin[0], 0);
    assert_int_equal(events.widest, 0);
    assert_int_equal(events.least, 0);
    assert_int_equal(events.steps, 1);
    es_arena_free(&arena);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_those_of_a_run),
        cmocka_unit_test(a_row_that_lists_an_expert_twice_is_named),
        cmocka_unit_test(a_trace_that_holds_more_than_it_says_is_a_fault),
        cmocka_unit_test(a_trace_without_lookups_has_no_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
