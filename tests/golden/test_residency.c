/* Residency: the engine's own verdict on every routed expert, as both BigMoeOnEdge traces recorded it, lookup by lookup.
 *
 * The observer below stands in for those of the config. The config names `events` all the same: it is what makes the trace's
 * residency be read. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/core/run.h"
#include "sim/study/config.h"

typedef struct verdicts {
    uint64_t lookups, decode_lookups, decode_hits, different;
    bool recorded;
} verdicts;

typedef struct witness {        /* the observer's state is a pointer to what outlives it */
    verdicts *seen;
    const es_view *view;
} witness;

static es_code witness_init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    ((witness *)self)->view = site->view;
    return ES_OK;
}

/* What the engine wrote where the event lists `index` for the first time. */
static uint8_t witness_recorded(const witness *w, const es_event *e, uint16_t index)
{
    const uint32_t k = w->view->top_k;
    for (uint32_t t = e->row; t < e->row + e->tokens; t++) {
        const size_t row = ((size_t)t * w->view->layers + e->layer) * k;
        for (uint32_t i = 0; i < k; i++)
            if (e->rows->ids[row + i] == index)
                return e->rows->residency[row + i];
    }
    return UINT8_MAX;
}

static void witness_notify(void *self, const es_fact *fact)
{
    const witness *w = self;
    const es_event *e = fact->event;
    w->seen->recorded = e->rows->residency != NULL;
    if (!w->seen->recorded)
        return;
    for (uint32_t i = 0; i < e->count; i++) {
        bool hit = es_mask_has(e->hit, e->list[i]);
        w->seen->lookups++;
        w->seen->decode_lookups += e->phase == ES_DECODE;
        w->seen->decode_hits += e->phase == ES_DECODE && hit;
        w->seen->different += witness_recorded(w, e, e->list[i]) != hit;
    }
}

static const es_observer witness_table = {
    .part = {.abi = ES_ABI, .name = "witness", .brief = "Compares hits with the trace's residency.", .size = sizeof(witness), .init = witness_init,
        .notify = witness_notify, .hears = ES_HEARS(ES_FACT_USE)},
};

static verdicts witnessed(const char *folder, const char *capacity, const char *policy)
{
    verdicts seen = {0};
    const witness state = {.seen = &seen};
    const es_plan_part observer = {.part = &witness_table.part, .state = &state, .path = "observers.0"};
    const char *traces = getenv("EXPERTSIM_TRACES");
    char path[1024], room[64], rule[64];
    snprintf(path, sizeof path, "trace.path=%s/%s/route.csv.gz", traces ? traces : "../shared/traces", folder);
    snprintf(room, sizeof room, "tiers.cache.capacity=%s", capacity);
    snprintf(rule, sizeof rule, "policy=%s", policy);
    if (access(path + strlen("trace.path="), R_OK) != 0) {
        print_message("SKIP: there are no real traces at %s\n", path + strlen("trace.path="));
        skip();
    }
    const char *const sets[] = {path, room, rule, "bounds=false", "observers=[{\"name\": \"events\", \"path\": \"/nonexistent/unused\"}]"};
    es_err err = {0};
    es_config *config = NULL;
    const es_plan *plan = NULL;
    es_run *run = NULL;
    if (es_config_load(&config, ES_SOURCE_ROOT "/configs/engines/bigmoeonedge.json", sets, sizeof sets / sizeof *sets, &err) || es_config_plan(config, &plan, &err))
        fail_msg("%s", err.text);
    es_plan mine = *plan;
    mine.observers = &observer;
    mine.observer_count = 1;
    if (es_run_new(&run, &mine, &err) || es_run_go(run, NULL, &err))
        fail_msg("%s", err.text);
    es_run_free(run);
    es_config_free(config);
    return seen;
}

static void every_lookup_of_the_qwen_run_is_reproduced(void **state)
{
    (void)state;
    verdicts seen = witnessed("bigmoeonedge-qwen3-30b-k6", "4000MiB", "lru");
    assert_true(seen.recorded);
    assert_int_equal(seen.decode_lookups, 36864);
    assert_int_equal(seen.decode_hits, 29597);
    assert_true(seen.lookups > seen.decode_lookups);
    assert_int_equal(seen.different, 0);
}

static void every_lookup_of_the_gpt_oss_run_is_reproduced(void **state)
{
    (void)state;
    verdicts seen = witnessed("bigmoeonedge-gpt-oss-120b-k2", "3000MiB", "lru");
    assert_true(seen.recorded);
    assert_int_equal(seen.decode_lookups, 4608);
    assert_int_equal(seen.decode_hits, 2066);
    assert_true(seen.lookups > seen.decode_lookups);
    assert_int_equal(seen.different, 0);
}

static void another_policy_or_size_is_found_out(void **state)
{
    (void)state;
    assert_true(witnessed("bigmoeonedge-qwen3-30b-k6", "4000MiB", "fifo").different > 0);
    assert_true(witnessed("bigmoeonedge-gpt-oss-120b-k2", "2980MiB", "lru").different > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_lookup_of_the_qwen_run_is_reproduced),
        cmocka_unit_test(every_lookup_of_the_gpt_oss_run_is_reproduced),
        cmocka_unit_test(another_policy_or_size_is_found_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
