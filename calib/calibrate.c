/* Calibrate: see calibrate.h. */
#include "calib/calibrate.h"

#include <stdlib.h>

#include "calib/bench.h"
#include "calib/contention.h"
#include "calib/environment.h"

enum { CALIBRATE_LARGE = 16 << 20 };    /* enough to outlast what starts threads and events */

/* What the questions take counts to the budget. */
static es_code calibrate_contention(calib_bench *bench, const calibrate_ask *ask, int64_t most, es_time *left, const calib_tell *tell, calib_samples *samples, es_err *err)
{
    es_time start = bench->probe->now(bench->self);
    const contention_ask asked = {most < CALIBRATE_LARGE ? most : CALIBRATE_LARGE, ask->plan.experts ? ask->plan.expert[0] : 0, ask->plan.quick ? CALIB_PAIRS / 2 : CALIB_PAIRS};
    es_code code = contention_measure(bench, &asked, tell, samples, err);
    *left -= bench->probe->now(bench->self) - start;
    return code;
}

static int sizes_order(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* What the profile has seen, so that a validation can say what it has not: no trace, no policy, no cache, and these sizes. */
static es_code calibrate_seen(const calib_plan *plan, es_json *environment, es_arena *arena, es_err *err)
{
    es_json *seen = es_json_add_object(environment, "calibrated_on");
    int64_t *bytes = ES_NEW_ARRAY(arena, plan->count, int64_t);
    static const char *const nothing[] = {"trace", "policy", "cache"};
    for (size_t i = 0; seen && i < sizeof nothing / sizeof *nothing; i++)
        es_json_add_text(seen, nothing[i], "none");
    es_json *sizes = bytes && seen ? es_json_add_array(seen, "size") : NULL;
    if (!sizes)
        return es_err_nomem(err, "the environment");
    for (size_t i = 0; i < plan->count; i++)
        bytes[i] = plan->at[i].bytes;
    qsort(bytes, plan->count, sizeof *bytes, sizes_order);
    for (size_t i = 0; i < plan->count; i++)
        if (i == 0 || bytes[i] != bytes[i - 1])
            cJSON_AddItemToArray(sizes, cJSON_CreateNumber((double)bytes[i]));
    return ES_OK;
}

/* Rows that this machine cannot measure and others of its kind could, each with the reason. */
static es_code calibrate_skipped(const es_probe *probe, void *self, unsigned can, es_json *environment, es_err *err)
{
    es_json *skipped = es_json_add_object(environment, "skipped");
    for (size_t row = 0; row < CALIB_ROWS && skipped && probe->why; row++) {
        unsigned missing = calib_rows[row].needs & ~can;
        const char *why = NULL;
        for (; missing && !why; missing &= missing - 1)
            why = probe->why(self, missing & -missing);
        if (why && *why)
            es_json_add_text(skipped, calib_rows[row].name, why);
    }
    if (skipped && !probe->wait)
        es_json_add_text(skipped, "handover", "its streams cannot wait for each other");
    return skipped ? ES_OK : es_err_nomem(err, "the environment");
}

/* Experts that are larger than any copy, or than most. */
static void calibrate_large(const calib_plan *plan, const calibrate_ask *ask, es_json *skipped)
{
    for (size_t i = 0; i < ask->plan.experts; i++) {
        es_text name = {0}, why = {0};
        if (ask->plan.expert[i] <= plan->largest)
            continue;
        es_text_add(&name, "an expert of ");
        es_text_bytes(&name, (double)ask->plan.expert[i]);
        const bool some = ask->plan.expert[i] <= plan->pinned;
        es_text_add(&why, some ? "only copies between pinned memory and the device are larger than " : "no copy is larger than ");
        es_text_bytes(&why, (double)(some ? plan->largest : plan->pinned));
        es_text_add(&why, "; --most says otherwise, as far as the memory goes");
        if (name.at && why.at && !cJSON_HasObjectItem(skipped, name.at))
            es_json_add_text(skipped, name.at, why.at);
        es_text_free(&name);
        es_text_free(&why);
    }
}

static es_code calibrate_on(const es_probe *probe, void *self, const calibrate_ask *ask, const calib_tell *tell, calib_samples *samples, es_arena *arena, es_err *err)
{
    calib_plan plan = {0};
    calib_bench *bench = NULL;
    es_probe_facts facts = probe->facts(self);
    es_time left = ask->budget;
    const environment_span span = environment_begin();
    es_code code = calib_plan_make(&plan, &ask->plan, &facts, arena, err);
    if (code == ES_OK)
        code = calibrate_seen(&plan, samples->environment, arena, err);
    if (code == ES_OK)
        code = calibrate_skipped(probe, self, facts.can, samples->environment, err);
    if (code == ES_OK)
        calibrate_large(&plan, ask, es_json_at(samples->environment, "skipped"));
    if (code == ES_OK && tell)
        tell->call(tell->self, &(calib_told){.stage = "filling memory"});
    if (code == ES_OK)
        code = calib_bench_open(&bench, probe, self, &plan, ask->plan.seed, err);
    if (code == ES_OK)
        code = calibrate_contention(bench, ask, plan.largest / 2, &left, tell, samples, err);
    if (code == ES_OK)
        code = calib_measure(bench, &plan, left, tell, samples, err);
    calib_bench_close(bench);
    es_json_add_text(samples->environment, "device", facts.device);
    if (probe->environment)
        probe->environment(self, samples->environment);
    environment_end(&span, samples->environment);
    return code;
}

es_code calibrate(const calibrate_ask *ask, const calib_tell *tell, calib_samples *samples, es_err *err)
{
    es_arena arena = {0};
    const es_part *part = NULL;
    *samples = (calib_samples){.environment = cJSON_CreateObject()};
    if (!samples->environment)
        return es_err_nomem(err, "a calibration");
    es_code code = es_plugins_find(ask->plugins, ES_KIND_PROBE, ask->backend, &part, err);
    if (code)
        return code;
    const es_probe *probe = (const es_probe *)part;
    void *self = es_arena_alloc(&arena, 1, part->size);
    es_site site = {.arena = &arena, .path = "calibrate", .seed = ask->plan.seed};
    es_json_add_text(samples->environment, "backend", part->name);
    environment_add(samples->environment);
    code = self ? es_options_parse(part->options, self, ask->options, NULL, &arena, err) : es_err_nomem(err, "a probe");
    if (code == ES_OK) {
        code = part->init ? part->init(self, &site, err) : ES_OK;
        if (code == ES_OK)
            code = calibrate_on(probe, self, ask, tell, samples, &arena, err);
        if (part->fini)
            part->fini(self);   /* also what an init that failed half way has opened */
    }
    es_arena_free(&arena);
    return code ? (es_err_at(err, "%s", ask->backend), code) : ES_OK;
}
