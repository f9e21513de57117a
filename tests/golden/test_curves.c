/* Curves of recorded routing: LRU and Belady at the sizes of every oracle-*.json, BigMoeOnEdge's at all its budgets, whose experts differ in size, and
 * granite's optimum at all its budgets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <math.h>

#include "sim/base/file.h"
#include "sim/curve/belady.h"
#include "sim/curve/lru.h"
#include "tests/support/recorded.h"

static es_json *read_json(const char *folder, const char *name)
{
    char path[1024], *text;
    size_t length;
    es_json *json = NULL;
    snprintf(path, sizeof path, "%s/%s/%s", getenv("EXPERTSIM_TRACES"), folder, name);
    if (es_file_load(path, 1 << 28, &text, &length, NULL) != ES_OK)
        return NULL;
    assert_int_equal(es_json_parse(&json, text, length, NULL), ES_OK);
    free(text);
    return json;
}

static double number(const es_json *row, const char *name)
{
    const es_json *value = cJSON_GetObjectItem(row, name);
    return cJSON_IsBool(value) ? cJSON_IsTrue(value) : value->valuedouble;
}

static bool is(const es_json *row, const char *name, const char *text)
{
    return strcmp(cJSON_GetObjectItem(row, name)->valuestring, text) == 0;
}

static void open_trace(es_feed *feed, const char *folder, const char *name, uint32_t experts)
{
    char path[1024];
    es_err err = {0};
    snprintf(path, sizeof path, "%s/%s/%s", getenv("EXPERTSIM_TRACES"), folder, name);
    if (es_feed_open_file(feed, NULL, path, NULL, &(es_source_ask){.path = path, .experts = experts}, &err) != ES_OK)
        fail_msg("%s", err.text);
}

/* One curve of all layers, by LRU or by forced Belady. */
static void curve_of(const es_events *events, const es_curve_ask *ask, bool lru, es_curve *all, es_arena *arena)
{
    es_err err = {0};
    uint32_t *next;
    es_curve *curves = ES_NEW_ARRAY(arena, events->layers, es_curve);
    assert_non_null(curves);
    es_code code = lru ? es_curve_lru(events, ask, curves, arena, &err) : es_next_use(events, es_curve_serial(ask), &next, arena, &err);
    if (code == ES_OK && !lru)
        code = es_belady(events, next, ask, false, curves, NULL, arena, &err);
    if (code == ES_OK)
        code = es_curve_sum(curves, es_curve_count(events, ask), all, arena, &err);
    if (code != ES_OK)
        fail_msg("%s", err.text);
}

static void check_oracle(const char *folder, const char *name, uint32_t checked[2])
{
    es_json *oracle = read_json(folder, name);
    const es_json *row;
    es_feed feed = {0};
    es_err err = {0};
    if (!oracle)
        return;
    open_trace(&feed, folder, "trace.csv.gz", (uint32_t)number(cJSON_GetObjectItem(oracle, "check"), "experts"));
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(oracle, "runs"))
    {
        es_arena arena = {0};
        es_events events;
        es_curve all;
        const bool lru = is(row, "policy", "lru");
        if ((!lru && !is(row, "policy", "opt")) || number(row, "capacity") < 1)
            continue;
        const es_events_ask ask = {.by_token = true, .prefill.tile = 1, .skip_tokens = (int64_t)number(row, "skip")};
        assert_int_equal(es_events_read(&events, feed.source, feed.state, &ask, &arena, &err), ES_OK);
        const es_curve_ask curve = {.rule = is(row, "mode", "set") ? ES_CURVE_TRIM : ES_CURVE_SERIALIZED, .per_layer = is(row, "scope", "layer"),
            .reset = number(row, "reset") != 0};
        curve_of(&events, &curve, lru, &all, &arena);
        assert_int_equal(all.accesses, (uint64_t)number(row, "accesses"));
        assert_int_equal(all.hits[(uint32_t)number(row, "capacity") - 1], (uint64_t)number(row, "hits"));
        checked[lru]++;
        es_arena_free(&arena);
    }
    es_feed_close(&feed);
    cJSON_Delete(oracle);
}

static void every_oracle(void **state)
{
    (void)state;
    static const char *const folders[] = {"gpt-oss-20b-decode", "bigmoeonedge-qwen3-30b-k6", "bigmoeonedge-gpt-oss-120b-k2", "deepseek-moe-16b-prefill",
        "switch-base-8-encoder"};
    static const char *const names[] = {"oracle-access.json", "oracle-set.json", "oracle-reset.json"};
    uint32_t checked[2] = {0};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++)
        for (size_t j = 0; j < sizeof names / sizeof *names; j++)
            check_oracle(folders[i], names[j], checked);
    assert_true(checked[true] >= 30 && checked[false] >= 30);
}

static void bigmoeonedge_at_all_budgets(void **state)
{
    (void)state;
    static const char *const folders[] = {"bigmoeonedge-qwen3-30b-k6", "bigmoeonedge-gpt-oss-120b-k2"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        es_json *expected = read_json(folders[i], "expected.json");
        const es_json *row;
        es_arena arena = {0};
        es_events events;
        es_feed feed = {0};
        es_err err = {0};
        uint32_t checked = 0;
        assert_non_null(expected);
        open_trace(&feed, folders[i], "route.csv.gz", 0);
        assert_int_equal(es_events_read(&events, feed.source, feed.state, &(es_events_ask){0}, &arena, &err), ES_OK);
        const int64_t *bytes = feed.source->info(feed.state)->expert_bytes;
        cJSON_ArrayForEach(row, cJSON_GetObjectItem(expected, "rows"))
        {
            es_curve curve;
            const bool lru = is(row, "policy", "lru");
            const uint64_t capacity = (uint64_t)(number(row, "budget_mib") * 1048576);
            if (!lru && !is(row, "policy", "belady"))
                continue;
            const es_curve_ask ask = {.rule = ES_CURVE_PERSIST, .bytes = bytes, .weight = bytes, .capacity = &capacity, .sizes = 1};
            curve_of(&events, &ask, lru, &curve, &arena);
            assert_int_equal(curve.hits[0], (uint64_t)number(row, "hits"));
            assert_int_equal(curve.accesses, (uint64_t)number(row, "lookups"));
            assert_int_equal(curve.decode_hits[0], (uint64_t)number(row, "dec_hits"));
            if (lru)
                assert_int_equal(curve.access_bytes - curve.hit_bytes[0], (uint64_t)number(row, "read_bytes"));
            checked++;
        }
        assert_int_equal(checked, 22);
        es_feed_close(&feed);
        es_arena_free(&arena);
        cJSON_Delete(expected);
    }
}

/* Page-ins are misses: of one cache, and of a cache for each layer with its share of the slots, which is rounded (halves to even). */
static void granite_at_all_budgets(void **state)
{
    (void)state;
    recorded trace;
    char path[1024];
    es_arena arena = {0};
    es_events events;
    es_err err = {0};
    es_json *expected = read_json("granite-3.0-1b-prompts", "expected-english_prose.json");
    const es_json *row;
    snprintf(path, sizeof path, "%s/granite-3.0-1b-prompts/moe_expert_trace.json.gz", getenv("EXPERTSIM_TRACES"));
    if (!expected || recorded_granite(&trace, path, "english_prose", 32, &err) != ES_OK)
        fail_msg("%s", err.text);
    assert_int_equal(es_events_read(&events, &recorded_source, &trace, &(es_events_ask){.prefill.skip = true}, &arena, &err), ES_OK);
    uint32_t checked = 0;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(expected, "ratios"))
    {
        static const struct { const char *name; bool lru, layer; } columns[] = {{"lru", true, false}, {"oracle", false, false}, {"equal_lru", true, true},
            {"equal_oracle", false, true}};
        for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
            es_curve curve;
            const double layer = rint(strtod(row->string, NULL) * 32.0);
            const uint64_t capacity = columns[i].layer ? (uint64_t)(layer > 1.0 ? layer : 1.0) : (uint64_t)number(row, "budget");
            const es_curve_ask ask = {.rule = ES_CURVE_TRIM, .per_layer = columns[i].layer, .capacity = &capacity, .sizes = 1};
            curve_of(&events, &ask, columns[i].lru, &curve, &arena);
            assert_int_equal(curve.accesses, (uint64_t)number(row, "accesses"));
            assert_int_equal(curve.accesses - curve.hits[0], (uint64_t)number(cJSON_GetObjectItem(row, "page_ins"), columns[i].name));
            checked++;
        }
    }
    assert_int_equal(checked, 20);
    es_arena_free(&arena);
    es_arena_free(&trace.arena);
    cJSON_Delete(expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_oracle), cmocka_unit_test(bigmoeonedge_at_all_budgets), cmocka_unit_test(granite_at_all_budgets)};
    es_json *there = getenv("EXPERTSIM_TRACES") ? read_json("gpt-oss-20b-decode", "oracle-set.json") : NULL;
    if (!there) {
        puts("SKIP: there are no real traces");
        return 77;
    }
    cJSON_Delete(there);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
