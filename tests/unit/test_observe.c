/* Observers: facts made by hand go in, numbers come out; and the audit catches each kind of fault that is planted.
 *
 * The stage: 2 layers of 4 experts (objects 0-3 and 64-67, 100 bytes each), tier `cache` of 2 slots over `dram` of 2 over `home`, a link and
 * a gpu. stage_copy does to the masks what the core would do and tells it. */
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
    es_observer_events, es_observer_digest, es_observer_audit;

enum { CACHE, DRAM, HOME, TIERS, WORDS = 2, L1 = 64 };

typedef struct stage {
    es_arena arena;
    es_view view;
    es_tier_view tier[TIERS];
    uint64_t mask[TIERS][4][WORDS], guard[WORDS], room[TIERS];
    int64_t unit[WORDS], bytes[WORDS];
    uint32_t layer_of[WORDS], layer_number[WORDS];
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

static es_code stage_try(stage *s, const es_observer *observer, const char *options, es_err *err)
{
    static const char *const names[] = {"cache", "dram", "home"};
    bool timed = s->view.timed;
    memset(s, 0, sizeof *s);
    s->observer = observer;
    s->view = (es_view){.timed = timed, .layers = 2, .experts = 4, .stride = 64, .variants = 1, .objects = 128, .words = WORDS, .words_per_layer = 1,
        .tiers = TIERS, .serving = CACHE, .buckets = TIERS, .tier = s->tier, .layer_of = s->layer_of, .layer_number = s->layer_number,
        .bytes = s->bytes, .guard = s->guard, .bucket_room = s->room, .channels = 2, .channel = s->channel, .times = &s->times, .tally = &s->tally};
    for (uint32_t w = 0; w < WORDS; w++) {
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

static void stage_open(stage *s, const es_observer *observer, bool timed, const char *options)
{
    es_err err = {0};
    s->view.timed = timed;
    if (stage_try(s, observer, options, &err) != ES_OK)
        fail_msg("%s", err.text);
}

static void stage_close(stage *s)
{
    if (s->observer->part.fini)
        s->observer->part.fini(s->self);
    cJSON_Delete(s->out);
    es_arena_free(&s->arena);
}

static void stage_tell(stage *s, es_fact fact)
{
    size_t calls = s->arena.calls;
    s->view.now = fact.at;
    if (s->observer->part.hears >> fact.kind & 1)
        s->observer->part.notify(s->self, &fact);
    assert_int_equal(s->arena.calls, calls);        /* nothing is allocated once a run has begun */
}

static void stage_span(stage *s, es_fact_kind kind, es_time since, es_time at, uint32_t channel)
{
    stage_tell(s, (es_fact){.kind = kind, .since = since, .at = at, .channel = channel});
}

static void stage_step(stage *s, uint64_t step, es_time since, es_time at, es_phase_of phase, uint32_t tokens, uint32_t request)
{
    stage_tell(s, (es_fact){.kind = ES_FACT_STEP_END, .since = since, .at = at, .from = phase, .to = request, .count = tokens, .step = step});
}

/* The gate of `layer`: what is wanted is looked up in the cache as it is. */
static void stage_gate(stage *s, es_time at, uint32_t layer, uint64_t wanted)
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

static void stage_release(stage *s, es_time at)
{
    stage_tell(s, (es_fact){.kind = ES_FACT_RELEASE, .at = at, .event = &s->event});
}

static void stage_move(stage *s, es_fact_kind kind, es_time at, es_oid object, uint32_t from, uint32_t to, es_why why)
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

static void stage_copy(stage *s, es_fact_kind kind, es_time at, es_oid object)
{
    if (kind == ES_FACT_EVICT)
        stage_move(s, kind, at, object, CACHE, ES_NO_TIER, ES_DEMAND);
    else
        stage_move(s, kind, at, object, HOME, CACHE, kind == ES_FACT_START_GUESS ? ES_GUESS : ES_DEMAND);
}

static void stage_fetch(stage *s, es_time at, es_time landed, es_oid object)
{
    if (s->view.timed)
        stage_copy(s, ES_FACT_QUEUE, at, object);
    stage_copy(s, ES_FACT_START, at, object);
    stage_copy(s, ES_FACT_LAND, landed, object);
}

static void stage_report(stage *s)
{
    cJSON_Delete(s->out);
    s->out = cJSON_CreateObject();
    s->observer->report(s->self, s->out);
}

/* The reported number at a path; NaN for null; a failure when there is no such member. */
static double stage_number(const stage *s, const char *path)
{
    const es_json *found = es_json_at(s->out, path);
    if (!found)
        fail_msg("the report has no %s", path);
    return cJSON_IsNull(found) ? (double)NAN : found->valuedouble;
}

static void expect(const stage *s, const char *path, double expected)
{
    double found = stage_number(s, path);
    if (isnan(expected) ? !isnan(found) : !(fabs(found - expected) <= 1e-12 * fabs(expected)))
        fail_msg("%s is %.17g, expected %.17g", path, found, expected);
}

/* ---- summary ---- */

static void the_summary_adds_up_events_and_quotes_the_tally(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_summary, true, "{}");
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    s.event.counted = true;
    stage_gate(&s, 0, 0, 0x3);                      /* prefill: 2 misses */
    s.tally = (es_counts){.compulsory = 3, .refused = 1, .prefetch_hits = 1, .fetched_bytes = 500, .decode_fetched_bytes = 300, .foreseen = 1};
    s.mask[CACHE][2][0] = 0x7;
    s.mask[CACHE][1][0] = 0x8;
    s.event.phase = ES_DECODE;
    stage_gate(&s, 0, 0, 0xf);                      /* 3 hits, 1 late */
    s.tally.evictions = 5;
    stage_gate(&s, 0, 1, 0x3);                      /* 2 misses, the first warm event */
    s.tier[CACHE].insertions = 6;
    s.times = (es_times){.total = 4000000000, .decode_total = 2000000000, .dense = 1500000000, .stall = 2500000000};
    s.channel[0].wait_ns = 2500000000;
    stage_step(&s, 0, 0, 1, ES_DECODE, 3, 0);
    stage_step(&s, 1, 0, 1, ES_PREFILL, 7, 0);
    stage_report(&s);
    expect(&s, "cache.lookups", 8);
    expect(&s, "cache.hits", 3);
    expect(&s, "cache.late", 1);
    expect(&s, "cache.misses", 4);
    expect(&s, "cache.foreseen", 1);
    expect(&s, "cache.hit_rate", 3.0 / 8);
    expect(&s, "cache.headline_hit_rate", 0.5);
    expect(&s, "cache.decode.lookups", 6);
    expect(&s, "cache.decode.hits", 3);
    expect(&s, "cache.decode.hit_rate", 0.5);
    expect(&s, "cache.prefill.lookups", 2);
    expect(&s, "cache.prefill.hit_rate", 0);
    expect(&s, "cache.assignments", 8);
    expect(&s, "cache.hits_resident", 2);
    expect(&s, "cache.hits_prefetched", 1);
    expect(&s, "cache.misses_compulsory", 3);
    expect(&s, "cache.misses_refused", 1);
    expect(&s, "cache.misses_capacity", 0);
    expect(&s, "cache.fetched_bytes", 500);
    expect(&s, "cache.decode_fetched_bytes", 300);
    expect(&s, "cache.evictions", 5);
    expect(&s, "cache.insertions", 6);
    expect(&s, "cache.warm.lookups", 2);
    expect(&s, "cache.warm.hit_rate", 0);
    expect(&s, "time.tokens_per_s", 1.5);
    expect(&s, "time.total_s", 4);
    expect(&s, "time.stall_s", 2.5);
    expect(&s, "time.attribution.dense", 1.5);
    expect(&s, "time.attribution.wait.pcie", 2.5);
    assert_null(es_json_at(s.out, "time.attribution.wait.gpu"));
    stage_close(&s);
}

static void what_is_not_counted_is_left_out_of_the_summary(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_summary, false, "{}");
    s.view.count_prefill = true;
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    stage_gate(&s, 0, 0, 0x3);
    s.tally = (es_counts){.evictions = 2, .initial_bytes = 50};
    s.tier[CACHE].insertions = 2;
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    s.event.counted = true;
    stage_gate(&s, 0, 0, 0x1);
    s.tally.evictions = 7;
    s.tier[CACHE].insertions = 3;
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    stage_report(&s);
    expect(&s, "cache.lookups", 1);
    expect(&s, "cache.evictions", 5);
    expect(&s, "cache.insertions", 1);
    expect(&s, "cache.initial_bytes", 50);
    expect(&s, "cache.headline_hit_rate", 0);
    expect(&s, "cache.decode.hit_rate", NAN);
    expect(&s, "time.tokens_per_s", NAN);
    expect(&s, "time.attribution", NAN);
    stage_close(&s);
}

/* ---- coverage ---- */

static void coverage_is_of_decode_events_unless_prefill_counts(void **state)
{
    (void)state;
    for (int count = 0; count <= 1; count++) {
        stage s;
        stage_open(&s, &es_observer_coverage, false, "{}");
        s.view.count_prefill = count;
        s.event.counted = true;
        s.mask[CACHE][2][0] = 0x3;
        stage_gate(&s, 0, 0, 0x3);                  /* prefill, perfect */
        s.event.phase = ES_DECODE;
        s.event.step = 1;
        stage_gate(&s, 0, 0, 0x7);                  /* 2 of 3 */
        stage_gate(&s, 0, 1, 0x1);                  /* 0 of 1 */
        s.event.step = 2;
        stage_gate(&s, 0, 0, 0x1);                  /* perfect */
        stage_report(&s);
        expect(&s, "coverage.perfect", 1 + count);
        expect(&s, "coverage.partial", 1);
        expect(&s, "coverage.zero", 1);
        expect(&s, "coverage.events", 3 + count);
        expect(&s, "coverage.mean", (2.0 / 3 + 1 + count) / (3 + count));
        expect(&s, "coverage.token.tokens", 2 + count);
        expect(&s, "coverage.token.perfect", 1 + count);
        expect(&s, "coverage.token.partial", 1);
        expect(&s, "coverage.token.mean", (0.5 + 1 + count) / (2 + count));
        stage_close(&s);
    }
}

static void units_below_the_union_are_joined_into_their_layer(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_coverage, false, "{}");
    static const struct { uint32_t hits, count, row; bool first, last; } units[] = {{2, 2, 0, true, false}, {0, 2, 1, false, false}, {2, 2, 2, false, true}};
    for (size_t i = 0; i < 3; i++) {
        es_event event = {.counted = true, .phase = ES_DECODE, .tokens = 1, .row = units[i].row, .hits = units[i].hits, .count = units[i].count,
            .first = units[i].first, .last = units[i].last};
        stage_tell(&s, (es_fact){.kind = ES_FACT_USE, .event = &event});
    }
    stage_report(&s);
    expect(&s, "coverage.events", 1);
    expect(&s, "coverage.partial", 1);
    expect(&s, "coverage.mean", 4.0 / 6);
    expect(&s, "coverage.token.perfect", 2);
    expect(&s, "coverage.token.zero", 1);
    stage_close(&s);
}

static void the_tokens_of_a_batch_are_covered_one_by_one(void **state)
{
    (void)state;
    for (int known = 0; known <= 1; known++) {
        stage s;
        stage_open(&s, &es_observer_coverage, false, "{}");
        s.view.top_k = known ? 2 : 0;
        const es_token token[] = {{.phase = ES_DECODE}, {.phase = ES_DECODE}, {.phase = ES_PREFILL}};
        const uint16_t ids[] = {0, 1, 0, 1, 2, ES_NO_EXPERT, 0, 2, 3, 3, 3, 3};     /* [token][layer][2] */
        const es_step step = {.tokens = 3, .token = token, .ids = ids};
        static const uint64_t hit[] = {0x3, 0x2};
        for (uint32_t layer = 0; layer < 2; layer++) {
            es_event event = {.counted = true, .phase = ES_DECODE, .tokens = 3, .layer = layer, .hits = 1, .count = 4, .first = true, .last = true,
                .hit = &hit[layer], .rows = &step};
            stage_tell(&s, (es_fact){.kind = ES_FACT_USE, .event = &event});
        }
        stage_report(&s);
        expect(&s, "coverage.events", 2);
        expect(&s, "coverage.token.tokens", known ? 2 : 0);
        expect(&s, "coverage.token.perfect", 0);
        expect(&s, "coverage.token.partial", known ? 1 : 0);    /* token 0: 0 1 | 0 1, hits 0 1 | 1 */
        expect(&s, "coverage.token.zero", known ? 1 : 0);       /* token 1: 2 | 0 2, no hits */
        expect(&s, "coverage.token.mean", known ? 0.75 / 2 : (double)NAN);
        expect(&s, "coverage.token.left_out", known ? 0 : 3);
        stage_close(&s);
    }
}

/* ---- latency, traffic, memory ---- */

static void token_latency_counts_a_step_for_each_of_its_tokens(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_latency, true, "{}");
    stage_step(&s, 0, 0, 100, ES_PREFILL, 8, 0);    /* request 0: a prefill of two steps */
    stage_step(&s, 1, 100, 150, ES_PREFILL, 8, 0);
    stage_step(&s, 2, 150, 160, ES_DECODE, 1, 0);
    stage_step(&s, 3, 160, 190, ES_DECODE, 3, 0);
    stage_step(&s, 4, 190, 200, ES_PREFILL, 8, 1);  /* request 1, then request 2 with a prompt only */
    stage_step(&s, 5, 200, 230, ES_PREFILL, 8, 2);
    s.times.prefill_total = 190;
    stage_report(&s);
    expect(&s, "time.token_latency_s.samples", 4);
    expect(&s, "time.token_latency_s.mean", 25e-9);
    expect(&s, "time.token_latency_s.p50", 30e-9);
    expect(&s, "time.token_latency_s.max", 30e-9);
    expect(&s, "time.ttft_quantiles_s.samples", 3);
    expect(&s, "time.ttft_s", (150 + 10 + 30) / 3.0 * 1e-9);
    expect(&s, "time.ttft_quantiles_s.p50", 30e-9);
    expect(&s, "time.ttft_quantiles_s.p99", 150e-9);
    expect(&s, "time.prefill_s", 190e-9);
    stage_report(&s);                               /* asking twice changes nothing */
    expect(&s, "time.ttft_quantiles_s.samples", 3);
    stage_close(&s);
}

static void latency_is_null_where_nothing_is_known(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_latency, false, "{}");
    stage_step(&s, 0, 0, 0, ES_DECODE, 1, 0);
    stage_report(&s);
    expect(&s, "time.token_latency_s", NAN);
    expect(&s, "time.ttft_s", NAN);
    expect(&s, "time.prefill_s", NAN);
    stage_close(&s);
    stage_open(&s, &es_observer_latency, true, "{}");
    stage_step(&s, 0, 0, 7, ES_DECODE, 1, 0);
    stage_report(&s);
    expect(&s, "time.token_latency_s.p99", 7e-9);
    expect(&s, "time.ttft_s", NAN);
    stage_close(&s);
}

static void traffic_is_per_channel_and_per_token(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_traffic, true, "");
    s.channel[0].lanes = 2;
    s.channel[0].busy_ns = 1000000000;
    s.channel[0].bytes = 4000;
    s.times.total = 2000000000;
    s.tally.decode_fetched_bytes = 3000;
    s.tally.guess_bytes = 100;
    s.tally.wasted_bytes = 25;
    stage_step(&s, 0, 0, 0, ES_DECODE, 4, 0);
    stage_report(&s);
    expect(&s, "channels.pcie.busy_fraction", 0.25);
    expect(&s, "channels.pcie.mean_bytes_per_s", 2000);
    expect(&s, "traffic.bytes_per_decode_token", 750);
    expect(&s, "traffic.wasted_fraction", 0.25);
    stage_close(&s);
    stage_open(&s, &es_observer_traffic, false, "");
    stage_report(&s);
    expect(&s, "channels", NAN);
    expect(&s, "traffic.bytes_per_decode_token", NAN);
    stage_close(&s);
}

static void memory_tells_turnover_and_the_age_of_residents(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_memory, false, "");
    s.mask[CACHE][2][1] = 0x4;                      /* there from the start */
    stage_gate(&s, 0, 0, 0x1);
    stage_copy(&s, ES_FACT_START, 0, 0);
    stage_copy(&s, ES_FACT_LAND, 0, 0);
    stage_release(&s, 0);
    stage_step(&s, 0, 0, 0, ES_DECODE, 1, 0);
    s.event.step = 9;
    stage_gate(&s, 0, 0, 0x1);
    stage_release(&s, 0);
    stage_copy(&s, ES_FACT_START_GUESS, 0, L1);
    stage_copy(&s, ES_FACT_LAND, 0, L1);
    stage_step(&s, 9, 0, 0, ES_DECODE, 1, 0);
    s.tally.evictions = 3;
    stage_report(&s);
    expect(&s, "capacity.turnover_per_token", 1.5);
    expect(&s, "capacity.residents", 3);
    expect(&s, "capacity.resident_age_steps", (10 + 9 + 0) / 3.0);
    stage_close(&s);
}

/* ---- digest ---- */

static const char *digest_of(stage *s, const char *which)
{
    stage_report(s);
    return es_json_at(s->out, which)->valuestring;
}

static void decisions_do_not_depend_on_grouping_interleaving_or_time(void **state)
{
    (void)state;
    static const es_oid in[] = {1, 2, 65}, out[] = {3, 66};
    stage a, b, c;
    stage_open(&a, &es_observer_digest, true, "");
    stage_open(&b, &es_observer_digest, true, "");
    stage_open(&c, &es_observer_digest, true, "");
    stage_tell(&a, (es_fact){.kind = ES_FACT_EVICT, .objects = out, .count = 2, .from = CACHE});
    stage_tell(&a, (es_fact){.kind = ES_FACT_START, .objects = in, .count = 3, .to = CACHE});
    for (uint32_t i = 0; i < 3; i++) {
        stage_tell(&b, (es_fact){.kind = i == 1 ? ES_FACT_START_GUESS : ES_FACT_START, .at = i * 10, .objects = &in[i], .count = 1, .to = CACHE});
        if (i < 2)
            stage_tell(&b, (es_fact){.kind = ES_FACT_EVICT, .at = i * 10, .objects = &out[i], .count = 1, .from = CACHE});
    }
    stage_tell(&c, (es_fact){.kind = ES_FACT_EVICT, .objects = out, .count = 2, .from = CACHE});
    stage_tell(&c, (es_fact){.kind = ES_FACT_START, .objects = in, .count = 2, .to = CACHE});
    stage_tell(&c, (es_fact){.kind = ES_FACT_START, .objects = &in[2], .count = 1, .to = DRAM});
    assert_string_equal(digest_of(&a, "digest.decisions"), digest_of(&b, "digest.decisions"));
    assert_string_not_equal(digest_of(&a, "digest.decisions"), digest_of(&c, "digest.decisions"));
    assert_string_not_equal(digest_of(&a, "digest.facts"), digest_of(&b, "digest.facts"));
    assert_int_equal(strlen(digest_of(&a, "digest.facts")), 16);
    stage_close(&a);
    stage_close(&b);
    stage_close(&c);
}

/* ---- events ---- */

static void a_log_gets_its_name_when_the_run_has_ended(void **state)
{
    (void)state;
    char folder[] = "/tmp/es_observe_XXXXXX", path[64], options[128];
    assert_non_null(mkdtemp(folder));
    for (int jsonl = 0; jsonl <= 1; jsonl++) {
        stage s;
        es_err err = {0};
        snprintf(path, sizeof path, "%s/log", folder);
        snprintf(options, sizeof options, "{\"path\": \"%s\", \"limit\": 5, \"format\": \"%s\"}", path, jsonl ? "jsonl" : "csv");
        stage_open(&s, &es_observer_events, true, options);
        stage_tell(&s, (es_fact){.kind = ES_FACT_STEP, .step = 4});
        stage_gate(&s, 10, 1, 0x3);
        stage_tell(&s, (es_fact){.kind = ES_FACT_EVICT, .at = 20, .objects = (const es_oid[]){2, L1 + 1}, .count = 2, .from = CACHE, .to = DRAM});
        stage_span(&s, ES_FACT_STALL, 20, 30, 0);
        stage_release(&s, 30);
        stage_tell(&s, (es_fact){.kind = ES_FACT_END, .at = 30});
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(s.observer->verdict(s.self, &err), ES_OK);
        stage_report(&s);
        expect(&s, "events.lines", 5);
        expect(&s, "events.left_out", 2);
        char *text;
        size_t length;
        assert_int_equal(es_file_load(path, 4096, &text, &length, &err), ES_OK);
        assert_string_equal(text, jsonl ?
            "{\"t_ns\":0,\"kind\":\"step\",\"step\":4}\n"
            "{\"t_ns\":10,\"kind\":\"use\",\"step\":0,\"layer\":4,\"count\":2}\n"
            "{\"t_ns\":20,\"kind\":\"evict\",\"layer\":3,\"expert\":2,\"from\":\"cache\",\"to\":\"dram\",\"why\":\"demand\",\"bytes\":100,\"count\":1}\n"
            "{\"t_ns\":20,\"kind\":\"evict\",\"layer\":4,\"expert\":1,\"from\":\"cache\",\"to\":\"dram\",\"why\":\"demand\",\"bytes\":100,\"count\":1}\n"
            "{\"t_ns\":30,\"kind\":\"stall\",\"channel\":\"pcie\",\"since_ns\":20}\n" :
            "t_ns,kind,step,layer,expert,from,to,channel,why,since_ns,bytes,count\n"
            "0,step,4,,,,,,,,,\n"
            "10,use,0,4,,,,,,,,2\n"
            "20,evict,,3,2,cache,dram,,demand,,100,1\n"
            "20,evict,,4,1,cache,dram,,demand,,100,1\n"
            "30,stall,,,,,,pcie,,20,,\n");
        free(text);
        stage_close(&s);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void a_log_of_a_failed_run_does_not_get_its_name(void **state)
{
    (void)state;
    char folder[] = "/tmp/es_observe_XXXXXX", path[64], partial[72], options[128];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(partial, sizeof partial, "%s.tmp", path);
    snprintf(options, sizeof options, "{\"path\": \"%s\"}", path);
    stage s;
    stage_open(&s, &es_observer_events, true, options);
    stage_close(&s);                                /* the run never began: nothing is left */
    stage_open(&s, &es_observer_events, true, options);
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    stage_close(&s);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(unlink(partial), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_log_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    stage s;
    es_err err = {0};
    assert_int_equal(stage_try(&s, &es_observer_events, "{\"path\": \"/no/such/folder/log\"}", &err), ES_EINPUT);
    assert_string_equal(err.text, "path: cannot write \"/no/such/folder/log.tmp\": No such file or directory");
    stage_close(&s);
    assert_int_equal(stage_try(&s, &es_observer_events, "{\"path\": \"\"}", &err), ES_EINPUT);
    stage_close(&s);
}

/* ---- audit ---- */

typedef enum plant {
    NOTHING, QUEUED_TWICE, STARTED_UNASKED, LANDED_TWICE, PINNED_LEAVES, NEGATIVE, BACKWARDS, NEVER_LANDS, BYTES, WRONG_BYTES, GUESS_BYTES, EXCEEDS,
    GUESS_EXCEEDS, MASK, HIT, LATE, LITTLE, SUM, BUSY, STALL, STEPS, NOT_RELEASED, RELEASED_TWICE, ARRIVES, NO_TIER, NO_OBJECT
} plant;

/* Two steps' worth of a run that is right but for what is planted: layer 0 wants 1 and 2, layer 1 wants 3 of its own, for which 1 leaves. */
static void audit_play(stage *s, plant p)
{
    s->event.counted = true;
    stage_tell(s, (es_fact){.kind = ES_FACT_STEP});
    stage_gate(s, 100, 0, 0x6);
    stage_copy(s, ES_FACT_QUEUE, 100, 1);
    if (p == QUEUED_TWICE)
        stage_copy(s, ES_FACT_QUEUE, 100, 1);
    if (p != STARTED_UNASKED)
        stage_copy(s, ES_FACT_QUEUE, 100, 2);
    stage_copy(s, ES_FACT_START, 100, 1);
    stage_copy(s, ES_FACT_LAND, 110, 1);
    if (p == LANDED_TWICE)
        stage_copy(s, ES_FACT_LAND, 110, 1);
    stage_span(s, ES_FACT_STALL, 100, 110, 0);
    if (p == PINNED_LEAVES)
        stage_copy(s, ES_FACT_EVICT, 110, 1);
    if (p == WRONG_BYTES)
        stage_tell(s, (es_fact){.kind = ES_FACT_START, .at = 110, .objects = (const es_oid[]){2}, .count = 1, .from = HOME, .to = CACHE, .bytes = 99});
    else
        stage_copy(s, ES_FACT_START, 110, 2);
    if (p != NEVER_LANDS)
        stage_copy(s, ES_FACT_LAND, 120, 2);
    if (p != NOT_RELEASED)
        stage_release(s, p == BACKWARDS ? 90 : 130);
    if (p == RELEASED_TWICE)
        stage_release(s, 130);
    if (p == MASK)
        s->mask[CACHE][0][1] |= 2;
    if (p == NEGATIVE)
        s->unit[0] = 5;
    if (p == GUESS_EXCEEDS) {
        stage_copy(s, ES_FACT_QUEUE, 130, L1);
        stage_copy(s, ES_FACT_START_GUESS, 130, L1);
    }
    if (p == ARRIVES)
        stage_move(s, ES_FACT_ARRIVE_LOW, 130, 0, CACHE, DRAM, ES_DEMOTE);
    if (p == NO_TIER)
        stage_tell(s, (es_fact){.kind = ES_FACT_LAND, .at = 130, .objects = (const es_oid[]){2}, .count = 1, .to = 7});
    if (p == NO_OBJECT)
        stage_tell(s, (es_fact){.kind = ES_FACT_LAND, .at = 130, .objects = (const es_oid[]){128}, .count = 1, .to = CACHE});
    if (p == HIT)
        s->mask[CACHE][2][1] |= 8;
    if (p == LATE)
        s->mask[CACHE][1][1] |= 8;
    stage_gate(s, 200, 1, 0x8);
    if (p != EXCEEDS)
        stage_copy(s, ES_FACT_EVICT, 200, 1);
    stage_fetch(s, 200, 210, L1 + 3);
    stage_span(s, ES_FACT_STALL, 200, 210, 0);
    stage_release(s, 220);
    s->times = (es_times){.total = 220, .dense = 150 + (p == SUM), .expert_gpu = 50, .stall = 20 + (p == STALL)};
    s->channel[0].busy_ns = p == BUSY ? 230 : 30;
    s->channel[0].wait_ns = 20;
    s->channel[0].queue_ns = 10;
    s->channel[0].depth_area = p == LITTLE ? 11 : 10;
    s->tally.fetched_bytes += p == BYTES;
    s->tally.guess_bytes += p == GUESS_BYTES;
    stage_step(s, 0, p == STEPS, 220, ES_DECODE, 1, 0);
    stage_tell(s, (es_fact){.kind = ES_FACT_END, .at = 220});
}

static void expect_verdict(stage *s, const char *fault)
{
    es_err err = {0};
    es_code code = s->observer->verdict(s->self, &err);
    stage_report(s);
    if (!fault) {
        if (code != ES_OK)
            fail_msg("%s", err.text);
        expect(s, "audit.faults", 0);
        assert_true(stage_number(s, "audit.checks") > 0);
        expect(s, "audit.first_fault", NAN);
        return;
    }
    assert_int_equal(code, ES_ECHECK);
    if (!strstr(err.text, fault))
        fail_msg("is: %s\nwant: ... %s ...", err.text, fault);
    assert_true(stage_number(s, "audit.faults") > 0);
}

static void each_planted_fault_is_caught(void **state)
{
    (void)state;
    static const struct { plant plant; const char *fault; } cases[] = {
        {NOTHING, NULL},
        {QUEUED_TWICE, "at 100 ns, queue: layer 3 expert 1 in tier cache queued, expected absent"},
        {STARTED_UNASKED, "at 110 ns, start: layer 3 expert 2 in tier cache absent, expected queued"},
        {LANDED_TWICE, "at 110 ns, land: layer 3 expert 1 in tier cache resident, expected inbound"},
        {PINNED_LEAVES, "at 110 ns, evict: layer 3 expert 1 in tier cache leaves while pinned by the event at hand"},
        {NEGATIVE, "at 200 ns, evict: tier cache holds -3 units, expected 0 or more"},
        {BACKWARDS, "release is told at 90 ns, expected no earlier time"},
        {NEVER_LANDS, "at 130 ns, release: layer 3 expert 2 in tier cache has not landed by the release of its event"},
        {BYTES, "fetched bytes are 301, expected 300 to 300"},
        {WRONG_BYTES, "1 objects carry 99 bytes, expected 100"},
        {GUESS_BYTES, "bytes of guesses is 1, expected 0"},
        {EXCEEDS, "at 220 ns, release: event 2 leaves 3 units in tier cache, expected at most 2 or an overflow that is counted"},
        {GUESS_EXCEEDS, "at 130 ns, start_guess: tier cache holds 3 units, expected at most 2"},
        {MASK, "at 220 ns, release: layer 4 expert 1 in tier cache is in the mask of what is, expected queued"},
        {HIT, "at 200 ns, use: event 2 hits 0000000000000008 in mask word 1, expected 0000000000000000"},
        {LATE, "event 2 says 1 wanted, 0 hits, 1 late, expected 1, 0, 0"},
        {LITTLE, "the area under a queue (Little's law) is 11, expected 10"},
        {SUM, "the sum of the attribution is 221, expected 220"},
        {BUSY, "channel pcie was busy for 230 ns, expected at most 1 lanes of 220 ns"},
        {STALL, "the stalled time is 21, expected 20"},
        {STEPS, "the total time is 220, expected 219"},
        {NOT_RELEASED, "event 2 is at its gate, expected the release of event 1 before"},
        {RELEASED_TWICE, "event 1 is released, expected the one whose gate was passed last (1)"},
        {ARRIVES, "layer 3 expert 0 in tier dram arrives by demotion, expected it to have left the tier above"},
        {NO_TIER, "tier 7, expected below 3"},
        {NO_OBJECT, "object 128, expected below 128"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage s;
        stage_open(&s, &es_observer_audit, true, "{}");
        audit_play(&s, cases[i].plant);
        expect_verdict(&s, cases[i].fault);
        stage_close(&s);
    }
}

/* An event of three in a cache of two. */
static void overflow_play(stage *s, bool announced, bool waves, es_time computed)
{
    s->event.counted = true;
    stage_tell(s, (es_fact){.kind = ES_FACT_STEP});
    stage_gate(s, 0, 0, 0x7);
    s->tally.overflow_events += announced && waves;
    for (es_oid o = 0; o < 3; o++)
        stage_copy(s, ES_FACT_QUEUE, 0, o);
    for (es_oid o = 0; o < 3; o++) {
        if (o == 2 && waves)
            stage_copy(s, ES_FACT_EVICT, 20, 0);
        stage_copy(s, ES_FACT_START, o * 10, o);
        stage_copy(s, ES_FACT_LAND, o * 10 + 10, o);
        stage_tell(s, (es_fact){.kind = ES_FACT_COMPUTE, .since = computed - 5, .at = computed, .objects = &o, .count = 1, .channel = 1});
    }
    s->tally.overflow_events += announced && !waves;
    if (!waves)
        stage_move(s, ES_FACT_EVICT, 40, 0, CACHE, ES_NO_TIER, ES_RELEASE);
    stage_release(s, 40);
    expect_verdict(s, NULL);
}

static void an_overflow_that_is_counted_is_legal(void **state)
{
    (void)state;
    stage s;
    for (int waves = 0; waves <= 1; waves++) {
        stage_open(&s, &es_observer_audit, true, "{}");
        overflow_play(&s, true, waves, 20);
        stage_close(&s);
    }
    stage_open(&s, &es_observer_audit, true, "{}");
    s.view.as_coded = true;
    overflow_play(&s, false, false, 20);            /* a part that overcommits as coded is reported instead */
    expect(&s, "audit.overcommitted", 1);
    stage_close(&s);
}

static void in_waves_nothing_leaves_while_it_is_computed(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_audit, true, "{}");
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    stage_gate(&s, 0, 0, 0x7);
    s.tally.overflow_events++;
    stage_fetch(&s, 0, 10, 0);
    stage_tell(&s, (es_fact){.kind = ES_FACT_COMPUTE, .since = 10, .at = 30, .objects = (const es_oid[]){0}, .count = 1, .channel = 1});
    stage_copy(&s, ES_FACT_EVICT, 20, 0);
    expect_verdict(&s, "leaves while it is computed");
    stage_close(&s);
}

static void a_late_guess_must_land_before_the_release(void **state)
{
    (void)state;
    for (int lands = 0; lands <= 1; lands++) {
        stage s;
        stage_open(&s, &es_observer_audit, true, "{}");
        s.mask[CACHE][2][0] = 0x1;
        stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
        stage_gate(&s, 0, 0, 0x1);
        stage_copy(&s, ES_FACT_QUEUE, 0, L1);
        stage_copy(&s, ES_FACT_START_GUESS, 0, L1);
        stage_release(&s, 5);
        stage_gate(&s, 10, 1, 0x1);
        if (lands)
            stage_copy(&s, ES_FACT_LAND, 20, L1);
        stage_release(&s, 30);
        expect_verdict(&s, lands ? NULL : "at 30 ns, release: layer 4 expert 0 in tier cache has not landed by the release of its event");
        stage_close(&s);
    }
}

static void foreseen_guesses_demotions_and_resets_are_legal(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_audit, true, "{}");
    s.mask[CACHE][2][0] = 0x3;                      /* initial contents: told before the first step, then taken as they are */
    stage_tell(&s, (es_fact){.kind = ES_FACT_START, .why = ES_INITIAL, .objects = (const es_oid[]){0, 1}, .count = 2, .to = CACHE});
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    stage_gate(&s, 0, 0, 0x1);
    stage_copy(&s, ES_FACT_QUEUE, 0, L1);
    stage_copy(&s, ES_FACT_QUEUE, 0, L1 + 1);
    stage_release(&s, 5);
    stage_copy(&s, ES_FACT_CANCEL, 10, L1 + 1);     /* it dies */
    stage_gate(&s, 10, 1, 0x1);
    stage_copy(&s, ES_FACT_CANCEL, 10, L1);         /* foreseen: asked anew */
    stage_copy(&s, ES_FACT_QUEUE, 10, L1);
    stage_move(&s, ES_FACT_EVICT, 10, 1, CACHE, DRAM, ES_DEMAND);
    stage_move(&s, ES_FACT_ARRIVE_LOW, 10, 1, CACHE, DRAM, ES_DEMOTE);
    stage_copy(&s, ES_FACT_START, 10, L1);
    stage_copy(&s, ES_FACT_LAND, 20, L1);
    stage_release(&s, 30);
    stage_gate(&s, 40, 0, 0x2);
    stage_copy(&s, ES_FACT_QUEUE, 40, 1);
    stage_copy(&s, ES_FACT_EVICT, 40, L1);
    stage_move(&s, ES_FACT_LEAVE_LOW, 40, 1, DRAM, CACHE, ES_TOUCH);
    stage_copy(&s, ES_FACT_START, 40, 1);
    stage_copy(&s, ES_FACT_LAND, 50, 1);
    stage_release(&s, 60);
    memset(s.mask[CACHE], 0, sizeof s.mask[CACHE]);
    stage_tell(&s, (es_fact){.kind = ES_FACT_RESET, .at = 60});
    stage_gate(&s, 70, 0, 0x2);
    stage_fetch(&s, 70, 80, 1);
    stage_release(&s, 90);
    expect_verdict(&s, NULL);
    stage_close(&s);
}

static void what_is_read_in_place_has_no_life_in_the_tier(void **state)
{
    (void)state;
    stage s;
    static const uint64_t keep = 0x1, none = 0, wanted = 0x3;
    stage_open(&s, &es_observer_audit, true, "{}");
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    s.event = (es_event){.index = 1, .counted = true, .count = 2, .word = 0, .words = 1, .mask = &wanted, .hit = &none, .kept = &keep, .list = s.list};
    stage_tell(&s, (es_fact){.kind = ES_FACT_USE, .event = &s.event});
    stage_fetch(&s, 0, 10, 0);
    stage_tell(&s, (es_fact){.kind = ES_FACT_QUEUE, .at = 10, .objects = (const es_oid[]){1}, .count = 1, .to = CACHE});
    stage_tell(&s, (es_fact){.kind = ES_FACT_START, .at = 10, .objects = (const es_oid[]){1}, .count = 1, .to = CACHE, .bytes = 100});
    s.tally.fetched_bytes += 100;
    stage_release(&s, 20);
    stage_step(&s, 0, 0, 20, ES_DECODE, 1, 0);
    s.times = (es_times){.total = 20, .dense = 20};
    stage_tell(&s, (es_fact){.kind = ES_FACT_END, .at = 20});
    expect_verdict(&s, NULL);
    stage_close(&s);
}

static void without_a_clock_copies_start_unasked(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_audit, false, "{}");
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    s.event.counted = true;
    stage_gate(&s, 0, 0, 0x3);
    stage_fetch(&s, 0, 0, 0);
    stage_fetch(&s, 0, 0, 1);
    stage_release(&s, 0);
    stage_gate(&s, 0, 1, 0x1);
    stage_copy(&s, ES_FACT_EVICT, 0, 0);
    stage_fetch(&s, 0, 0, L1);
    stage_release(&s, 0);
    stage_tell(&s, (es_fact){.kind = ES_FACT_END});
    expect_verdict(&s, NULL);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_summary_adds_up_events_and_quotes_the_tally),
        cmocka_unit_test(what_is_not_counted_is_left_out_of_the_summary),
        cmocka_unit_test(coverage_is_of_decode_events_unless_prefill_counts),
        cmocka_unit_test(units_below_the_union_are_joined_into_their_layer),
        cmocka_unit_test(the_tokens_of_a_batch_are_covered_one_by_one),
        cmocka_unit_test(token_latency_counts_a_step_for_each_of_its_tokens),
        cmocka_unit_test(latency_is_null_where_nothing_is_known),
        cmocka_unit_test(traffic_is_per_channel_and_per_token),
        cmocka_unit_test(memory_tells_turnover_and_the_age_of_residents),
        cmocka_unit_test(decisions_do_not_depend_on_grouping_interleaving_or_time),
        cmocka_unit_test(a_log_gets_its_name_when_the_run_has_ended),
        cmocka_unit_test(a_log_of_a_failed_run_does_not_get_its_name),
        cmocka_unit_test(a_log_that_cannot_be_written_is_an_error),
        cmocka_unit_test(each_planted_fault_is_caught),
        cmocka_unit_test(an_overflow_that_is_counted_is_legal),
        cmocka_unit_test(in_waves_nothing_leaves_while_it_is_computed),
        cmocka_unit_test(a_late_guess_must_land_before_the_release),
        cmocka_unit_test(foreseen_guesses_demotions_and_resets_are_legal),
        cmocka_unit_test(what_is_read_in_place_has_no_life_in_the_tier),
        cmocka_unit_test(without_a_clock_copies_start_unasked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
