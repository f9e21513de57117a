/* Curve sizes: on every recorded trace, a point of a curve is what a run of that size counts, bit for bit, at 200 random sizes: LRU and Belady, forced
 * and with bypass; per layer and global, by slots and by bytes, event by event and one lookup after the other, with prompts and without, across
 * requests and for each of them.
 *
 * All ways are gone on the first steps of a trace at 200 sizes for LRU each, at 200 spread over them for each kind of Belady; whole traces at 200 sizes
 * of LRU as most people ask for it, and with ways drawn at random. Every draw follows from the trace's name and the number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include <inttypes.h>

#include "sim/base/rng.h"
#include "sim/curve/belady.h"
#include "sim/curve/lru.h"
#include "tests/support/recorded.h"
#include "tests/support/rig.h"

enum { SIZES = 200, WAYS = 32, LAYERS = 64 };

typedef enum sizes_policy { SIZES_LRU, SIZES_BELADY, SIZES_BYPASS } sizes_policy;

typedef struct way {
    bool layer, bytes, serialized, prompts, requests;
} way;

typedef struct sizes_trace {
    const char *name;
    recorded trace;
    const int64_t *bytes;
    bool decodes;               /* some token of it is a decode token */
} sizes_trace;

static way way_of(uint64_t number)
{
    return (way){.layer = number & 1, .bytes = number & 2, .serialized = number & 4, .prompts = number & 8, .requests = number & 16};
}

/* Without prompts there must be something left. */
static bool way_open(const sizes_trace *t, way w)
{
    return w.prompts || t->decodes;
}

static const char *way_name(way w)
{
    static char text[128];
    snprintf(text, sizeof text, "%s, %s, %s, %s, %s", w.layer ? "layer" : "global", w.bytes ? "bytes" : "slots", w.serialized ? "serialized" : "event_atomic",
        w.prompts ? "with prompts" : "decode only", w.requests ? "for each request" : "across requests");
    return text;
}

/* ---- a run ---- */

static void run_one(sizes_trace *t, sizes_policy policy, way w, uint64_t capacity, int64_t count[6])
{
    rig r;
    const uint32_t layers = t->trace.info.layers;
    rig_open(&r, layers, t->trace.info.experts, t->trace.info.top_k, 0, 1);
    memcpy(r.trace.bytes, t->bytes, layers * sizeof *t->bytes);
    t->trace.at = 0;
    r.plan.source = &recorded_source;
    r.plan.source_state = &t->trace;
    r.plan.timed = false;
    r.plan.contract.unit = w.serialized ? ES_ID : ES_UNION;
    r.plan.contract.judge = w.serialized ? ES_SERIALIZED : ES_JUDGE_EVENT;
    r.plan.contract.overflow = ES_WAVES;
    r.plan.contract.scope = w.layer ? ES_PER_LAYER : ES_GLOBAL;
    r.plan.contract.prefill = w.prompts ? "union" : "skip";
    r.plan.contract.reset = w.requests;
    r.plan.contract.quota = rig_json(&r, "\"floor\"");
    rig_tier(&r, "cache", rig_text(&r, "%" PRIu64 "%s", capacity * (w.layer ? layers : 1), w.bytes ? "B" : "slots"), "gpu");
    rig_tier(&r, "host", NULL, NULL);
    rig_link(&r, "host", "cache", NULL);
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, policy == SIZES_LRU ? "lru" : "belady", policy == SIZES_BYPASS ? "{\"bypass\": true}" : NULL, "policy");
    rig_observe(&r, "summary");
    if (rig_run(&r) != ES_OK)
        fail_msg("%s, %s, %" PRIu64 ": %s", t->name, way_name(w), capacity, r.err.text);
    static const char *const names[] = {"cache.hits", "cache.decode.hits", "cache.lookups", "cache.decode.lookups", "cache.fetched_bytes", "cache.decode_fetched_bytes"};
    for (int i = 0; i < 6; i++)
        count[i] = rig_count(&r, names[i]);
    rig_close(&r);
}

/* ---- a curve ---- */

static int by_number(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Sizes of one cache from one expert to somewhat more than everything, ascending; half of them in the lower eighth, where curves are steep. */
static void draw_sizes(const sizes_trace *t, way w, uint64_t seed, uint64_t *size, uint32_t sizes)
{
    const es_trace_info *info = &t->trace.info;
    uint64_t largest = 0, all = 0;
    for (uint32_t l = 0; l < info->layers; l++) {
        largest = (uint64_t)t->bytes[l] > largest ? (uint64_t)t->bytes[l] : largest;
        all += (uint64_t)t->bytes[l] * info->experts;
    }
    const uint64_t least = w.bytes ? largest : 1, most = w.layer ? info->experts * (w.bytes ? largest : 1) : w.bytes ? all : (uint64_t)info->experts * info->layers;
    for (uint32_t i = 0; i < sizes; i++)
        size[i] = least + es_mix(seed ^ i) % (i % 2 ? most + 2 : most / 8 + 1);
    qsort(size, sizes, sizeof *size, by_number);
}

static void curve_of(const sizes_trace *t, sizes_policy policy, way w, const uint64_t *size, uint32_t sizes, es_curve *sum, es_arena *arena)
{
    es_events events;
    es_err err = {0};
    uint32_t *next;
    es_curve curves[LAYERS];
    const es_events_ask ask = {.by_token = w.serialized, .prefill.skip = !w.prompts};
    const es_curve_ask curve = {.rule = w.serialized ? ES_CURVE_SERIALIZED : ES_CURVE_WAVES, .per_layer = w.layer, .reset = w.requests, .capacity = size,
        .sizes = sizes, .bytes = w.bytes ? t->bytes : NULL, .weight = policy == SIZES_LRU ? t->bytes : NULL};
    es_code code = es_events_read(&events, &recorded_source, (void *)(uintptr_t)&t->trace, &ask, arena, &err);
    if (code == ES_OK && policy == SIZES_LRU)
        code = es_curve_lru(&events, &curve, curves, arena, &err);
    else if (code == ES_OK && (code = es_next_use(&events, w.serialized, &next, arena, &err)) == ES_OK)
        code = es_belady(&events, next, &curve, policy == SIZES_BYPASS, curves, NULL, arena, &err);
    if (code == ES_OK)
        code = es_curve_sum(curves, es_curve_count(&events, &curve), sum, arena, &err);
    if (code != ES_OK)
        fail_msg("%s, %s: %s", t->name, way_name(w), err.text);
}

/* Fewer where ES_CASES says so: instrumented runs take long. */
static uint32_t sizes_most(void)
{
    const char *text = getenv("ES_CASES");
    const unsigned long most = text ? strtoul(text, NULL, 10) : SIZES;
    return most < SIZES ? (uint32_t)most : SIZES;
}

/* Point by point; returns how many hits differ from those of the size before, so that a flat curve is noticed. */
static uint32_t check_way(sizes_trace *t, sizes_policy policy, way w, uint64_t seed, uint32_t draws)
{
    const uint32_t sizes = draws < sizes_most() ? draws : sizes_most();
    static const char *const names[] = {"lru", "belady", "belady with bypass"};
    uint64_t size[SIZES];
    es_arena arena = {0};
    es_curve curve;
    uint32_t steps = 0;
    draw_sizes(t, w, seed, size, sizes);
    curve_of(t, policy, w, size, sizes, &curve, &arena);
    for (uint32_t i = 0; i < sizes; i++) {
        int64_t is[6];
        run_one(t, policy, w, size[i], is);
        const bool bytes = policy != SIZES_LRU || (curve.access_bytes - curve.hit_bytes[i] == (uint64_t)is[4] &&
            curve.decode_access_bytes - curve.decode_hit_bytes[i] == (uint64_t)is[5]);
        if ((uint64_t)is[0] != curve.hits[i] || (uint64_t)is[1] != curve.decode_hits[i] || (uint64_t)is[2] != curve.accesses ||
            (uint64_t)is[3] != curve.decode_accesses || !bytes)
            fail_msg("%s, %s, %s, size %" PRIu64 ": the curve has %" PRIu64 " hits, %" PRIu64 " in decode; a run %" PRId64 ", %" PRId64 "%s", t->name, names[policy],
                way_name(w), size[i], curve.hits[i], curve.decode_hits[i], is[0], is[1], bytes ? "" : "; bytes differ");
        steps += i > 0 && curve.hits[i] != curve.hits[i - 1];
    }
    es_arena_free(&arena);
    return steps;
}

/* ---- the traces ---- */

static const struct { const char *folder, *file; uint32_t experts; } files[] = {
    {"gpt-oss-20b-decode", "trace.csv.gz", 32}, {"bigmoeonedge-qwen3-30b-k6", "route.csv.gz", 0}, {"bigmoeonedge-gpt-oss-120b-k2", "route.csv.gz", 0},
    {"deepseek-moe-16b-prefill", "trace.csv.gz", 64}, {"switch-base-8-encoder", "trace.csv.gz", 8},
};
enum { FILES = sizeof files / sizeof *files, TRACES = FILES + 1 };

static uint64_t name_seed(const char *name)
{
    uint64_t seed = 0;
    while (*name)
        seed = es_mix(seed ^ (uint64_t)*name++);
    return seed;
}

static void load_granite(sizes_trace *t)
{
    static const int64_t bytes[LAYERS] = {[0 ... LAYERS - 1] = 1000};
    char path[1024];
    es_err err = {0};
    snprintf(path, sizeof path, "%s/granite-3.0-1b-prompts/moe_expert_trace.json.gz", getenv("EXPERTSIM_TRACES"));
    if (recorded_granite(&t->trace, path, "english_prose", 32, &err) != ES_OK)
        fail_msg("%s", err.text);
    t->name = "granite-3.0-1b-prompts";
    t->bytes = bytes;
}

static void load(sizes_trace *t, uint32_t i)
{
    char path[1024];
    es_err err = {0};
    *t = (sizes_trace){0};
    if (i == FILES) {
        load_granite(t);
    } else {
        t->name = files[i].folder;
        snprintf(path, sizeof path, "%s/%s/%s", getenv("EXPERTSIM_TRACES"), t->name, files[i].file);
        if (!(t->bytes = recorded_load(&t->trace, path, files[i].experts, &err)))
            fail_msg("%s", err.text);
    }
    for (uint32_t token = 0; token < t->trace.first[t->trace.all]; token++)
        t->decodes |= t->trace.token[token].phase == ES_DECODE;
}

enum { FEW = 4000, MANY = 100000 };     /* accesses: of the first steps; of a trace that takes long as a whole */

static void every_way_on_the_first_steps(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < TRACES; i++) {
        sizes_trace t;
        uint32_t ways = 0, steps = 0;
        load(&t, i);
        recorded_cut(&t.trace, FEW);
        if (!t.decodes || t.trace.token[t.trace.first[t.trace.steps] - 1].phase != ES_DECODE)
            t.decodes = false;
        for (uint64_t w = 0; w < WAYS; w++) {
            if (!way_open(&t, way_of(w)))
                continue;
            steps += check_way(&t, SIZES_LRU, way_of(w), name_seed(t.name) + w, SIZES);
            steps += check_way(&t, SIZES_BELADY, way_of(w), name_seed(t.name) + w + 100, SIZES / WAYS + 2);
            steps += check_way(&t, SIZES_BYPASS, way_of(w), name_seed(t.name) + w + 200, SIZES / WAYS + 2);
            ways++;
        }
        assert_true(ways >= WAYS / 2 && (steps > ways * 6 || sizes_most() < SIZES));
        es_arena_free(&t.trace.arena);
    }
}

static void whole_traces(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < TRACES; i++) {
        sizes_trace t;
        uint32_t steps = 0;
        load(&t, i);
        const bool many = recorded_cut(&t.trace, UINT64_MAX) > MANY;
        steps += check_way(&t, SIZES_LRU, (way){.prompts = true}, name_seed(t.name), SIZES);
        steps += check_way(&t, SIZES_LRU, (way){.prompts = true, .layer = true}, name_seed(t.name) + 1, SIZES / 2);
        for (uint64_t draw = 0; draw < (many ? 6 : WAYS); draw++) {
            const way w = way_of(es_mix(name_seed(t.name) ^ draw) % WAYS);
            for (sizes_policy p = SIZES_LRU; p <= SIZES_BYPASS && way_open(&t, w); p++)
                steps += check_way(&t, p, w, name_seed(t.name) + 300 * draw + p, many ? 1 : SIZES / WAYS + 2);
        }
        assert_true(steps > 5 || sizes_most() < SIZES);
        es_arena_free(&t.trace.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_way_on_the_first_steps), cmocka_unit_test(whole_traces)};
    char path[1024];
    snprintf(path, sizeof path, "%s/gpt-oss-20b-decode/trace.csv.gz", getenv("EXPERTSIM_TRACES") ? getenv("EXPERTSIM_TRACES") : "");
    FILE *there = fopen(path, "rb");
    if (!there) {
        puts("SKIP: there are no real traces");
        return 77;
    }
    fclose(there);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
