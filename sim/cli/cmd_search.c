/* expertsim search: the smallest capacity, or the cheapest of anything, that meets a target. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/cli/cmd.h"
#include "sim/cli/jobs.h"
#include "sim/cli/progress.h"
#include "sim/cli/search_store.h"
#include "sim/study/result.h"
#include "sim/study/search.h"
#include "traces/trace.h"

typedef struct search_args {
    cmd_words words, sets, targets, over;
    const char *cost, *against, *method, *points, *out, *jobs;
    bool json, quiet;
    size_t at_once;
    search_store store;         /* results of points that were run before they were asked for */
    progress progress;
    size_t runs;
    char *key;                  /* of the trace that is decoded: what was read of it, and how */
    es_trace *trace, *part;     /* the whole; its beginning, NULL: not in use */
    double share;               /* of `part` */
} search_args;

/* ---- the trace, decoded once for all points that read it alike ---- */

static char *search_key(const es_config *config)
{
    const es_source_ask ask = es_config_ask(config);
    const es_json *resolved = es_config_resolved(config);
    char *trace = cJSON_PrintUnformatted(cJSON_GetObjectItemCaseSensitive(resolved, "trace"));
    es_text key = {0};
    es_text_add(&key, "%s %d%d%d%d%d %u %.0f %.0f", trace ? trace : "", ask.weights, ask.residency, ask.guesses, ask.attention, ask.buffers, ask.experts,
        cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(resolved, "seed")), cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(resolved, "replication")));
    cJSON_free(trace);
    return key.failed ? NULL : key.at;
}

static void search_forget(search_args *a)
{
    es_trace_free(a->part);
    es_trace_free(a->trace);
    free(a->key);
    a->part = a->trace = NULL;
    a->key = NULL;
}

/* The first steps of a trace, a share of all of them, at least one. */
static es_code search_begin(search_args *a, double share, es_err *err)
{
    if (a->part && a->share == share)
        return ES_OK;
    es_trace_free(a->part);
    a->part = NULL;
    es_trace_cursor cursor = {.trace = a->trace};
    const uint64_t all = a->trace->info.steps;
    uint64_t steps = (uint64_t)((double)all * share);
    es_code code = es_trace_new(&a->part, &a->trace->info, err);
    for (steps = steps ? steps : 1; steps > 0 && code == ES_OK; steps--) {
        es_step step;
        bool more;
        code = es_trace_cursor_next(&cursor, &step, &more, err);
        if (code == ES_OK && !more)
            break;
        if (code == ES_OK)
            code = es_trace_append(a->part, &step, err);
    }
    a->share = share;
    return code;
}

/* What a config reads, decoded; *out NULL: it has to read it itself, for it streams, or a plug-in brings its source. */
static es_code search_trace(search_args *a, es_config *config, double share, es_trace **out, es_err *err)
{
    const es_plan *plan = NULL;
    *out = NULL;
    es_code code = es_config_plan(config, &plan, err);
    if (code)
        return code;
    if (plan->stream || plan->buffers || es_config_foreign_sources(config)) {
        return share == 1.0 ? ES_OK : es_err_set(err, ES_EINPUT, "trace: it cannot be cut short, so there is no halving; search with --method grid or bisect");
    }
    char *key = search_key(config);
    if (!key)
        return es_err_nomem(err, "the trace");
    if (a->key && strcmp(a->key, key) == 0) {
        free(key);
    } else {
        search_forget(a);
        a->key = key;
        const es_source_ask ask = es_config_ask(config);
        code = es_trace_load(&a->trace, plan->source, plan->source_state, &ask, err);
        if (code)
            search_forget(a);
    }
    if (code == ES_OK && share < 1.0)
        code = search_begin(a, share, err);
    *out = share < 1.0 ? a->part : a->trace;
    return code;
}

/* ---- one point ---- */

/* Settings of the user, of the point, and of a run that only has to say what is asked: without bounds, tables and series. "config=FILE" is
 * no setting: it says which config. */
static es_code search_load(const search_args *a, const char *const *sets, size_t count, es_config **out, es_err *err)
{
    const char **all = calloc(a->sets.count + count + 2, sizeof *all);
    const char *file = a->words.at[0];
    size_t n = 0;
    if (!all)
        return es_err_nomem(err, "the settings");
    all[n++] = "bounds=false";
    all[n++] = "observers=[\"summary\",\"coverage\",\"latency\",\"traffic\",\"memory\"]";
    for (size_t i = 0; i < a->sets.count; i++)
        all[n++] = a->sets.at[i];
    for (size_t i = 0; i < count; i++) {
        if (strncmp(sets[i], "config=", 7) == 0)
            file = sets[i] + 7;
        else
            all[n++] = sets[i];
    }
    es_code code = es_config_load(out, file, all, n, err);
    free(all);
    return code;
}

static es_code search_simulate(search_args *a, const char *const *sets, size_t count, double share, es_json **result, es_err *err)
{
    es_config *config = NULL, *again = NULL;
    es_trace *trace = NULL;
    *result = NULL;
    es_code code = search_load(a, sets, count, &config, err);
    if (code == ES_OK)
        code = search_trace(a, config, share, &trace, err);
    if (code == ES_OK && trace) {           /* a plan has its source for good: the config is read once more */
        es_trace_cursor cursor = {.trace = trace};
        code = search_load(a, sets, count, &again, err);
        if (code == ES_OK) {
            es_config_lend(again, &es_trace_source, &cursor);
            code = es_result_run(again, NULL, NULL, result, err);
        }
    } else if (code == ES_OK) {
        code = es_result_run(config, NULL, NULL, result, err);
    }
    es_config_free(again);
    es_config_free(config);
    return code;
}

static es_code search_run(void *self, const char *const *sets, size_t count, double share, es_json **result, es_err *err)
{
    search_args *a = self;
    a->runs++;
    if (a->progress.name)
        progress_say(&a->progress, "%s: run %zu, %s", a->progress.name, a->runs, count ? sets[0] : "");
    es_code code;
    return search_store_take(&a->store, sets, count, share, result, &code, err) ? code : search_simulate(a, sets, count, share, result, err);
}

/* ---- points that will be asked for ---- */

typedef struct search_some {
    search_args *args;
    const char *const *sets;    /* [points][count] */
    size_t count;
    const size_t *point;        /* [jobs] which of them */
    double share;
} search_some;

static es_code search_job(void *self, size_t job, es_err *err)
{
    const search_some *some = self;
    const char *const *sets = some->sets + some->point[job] * some->count;
    es_json *result = NULL;
    es_err said = {0};
    es_code code = search_simulate(some->args, sets, some->count, some->share, &result, &said);
    code = search_store_put(&some->args->store, sets, some->count, some->share, result, code, &said, err);
    cJSON_Delete(result);
    return code;
}

/* The trace is decoded here, so that all processes have it; those that read another one decode it themselves. */
static es_code search_ahead(void *self, const char *const *sets, size_t points, size_t count, double share, es_err *err)
{
    search_args *a = self;
    if (a->at_once < 2)
        return ES_OK;
    size_t *point = calloc(points, sizeof *point), jobs = 0;
    es_config *config = NULL;
    es_trace *trace = NULL;
    es_code code = point ? ES_OK : es_err_nomem(err, "the points");
    for (size_t i = 0; i < points && code == ES_OK; i++) {
        bool fresh;
        code = search_store_expect(&a->store, sets + i * count, count, share, &fresh, err);
        if (fresh)
            point[jobs++] = i;
    }
    if (code == ES_OK && search_load(a, sets, count, &config, NULL) == ES_OK)
        search_trace(a, config, share, &trace, NULL);       /* what is wrong with it each point will say */
    es_config_free(config);
    if (a->progress.name)
        progress_say(&a->progress, "%s: %zu runs, %zu at once", a->progress.name, jobs, a->at_once);
    search_some some = {.args = a, .sets = sets, .count = count, .point = point, .share = share};
    if (code == ES_OK)
        code = jobs_run(&(jobs_owner){.work = search_job, .self = &some}, jobs, a->at_once, err);
    free(point);
    return code;
}

/* ---- the command ---- */

static es_code search_show(const search_args *a, const es_json *found, es_err *err)
{
    char *json = es_json_text(found);
    es_text text = {0}, path = {0};
    es_code code = json ? ES_OK : es_err_nomem(err, "what was found");
    es_text_add(&path, "%s/search.json", a->out ? a->out : "");
    if (code == ES_OK && a->out)
        code = path.failed ? es_err_nomem(err, "the names") : es_file_make_dirs(a->out, err);
    if (code == ES_OK && a->out)
        code = es_file_save(path.at, json, strlen(json), err);
    if (code == ES_OK && a->json)
        fputs(json, stdout);
    else if (code == ES_OK && !a->quiet)
        es_search_text(found, &text);
    free(json);
    es_text_free(&path);
    return cmd_print(code, &text, err);
}

/* Several configs are an axis of their own, the slowest: cheapest first, as they were given. */
static es_code search_configs(const search_args *a, es_text *axis, es_err *err)
{
    es_text_add(axis, "config=");
    for (size_t i = 0; i < a->words.count; i++) {
        if (strpbrk(a->words.at[i], ",[]{}\""))
            return es_err_set(err, ES_EINPUT, "%s: of several configs none may have , [ ] { } or \" in its name", a->words.at[i]);
        es_text_add(axis, "%s%s", i ? "," : "", a->words.at[i]);
    }
    return axis->failed ? es_err_nomem(err, "the configs") : ES_OK;
}

static es_code search_go(search_args *a, es_err *err)
{
    es_text configs = {0};
    es_json *found = NULL;
    char *end = NULL;
    const long points = a->points ? strtol(a->points, &end, 10) : 0;
    const char **over = calloc(a->over.count + 1, sizeof *over);
    size_t count = 0;
    es_code code = over ? jobs_count(a->jobs, &a->at_once, err) : es_err_nomem(err, "the axes");
    if (code == ES_OK && a->points && (end == a->points || *end || points < 2 || points > 100000))
        code = es_err_set(err, ES_EINPUT, "--points: \"%s\" is not a number from 2 to 100000", a->points);
    if (code == ES_OK && a->words.count > 1)
        code = search_configs(a, &configs, err);
    if (code == ES_OK && configs.at)
        over[count++] = configs.at;
    for (size_t i = 0; i < a->over.count && code == ES_OK; i++)
        over[count++] = a->over.at[i];
    if (code == ES_OK) {
        const es_search_ask ask = {.targets = a->targets.at, .target_count = a->targets.count, .over = over, .over_count = count, .cost = a->cost,
            .against = a->against, .method = a->method, .points = (size_t)points};
        if (!progress_begin(&a->progress, "search", a->quiet || a->json))
            a->progress.name = NULL;
        code = es_search_find(&ask, &(es_search_run){.run = search_run, .ahead = search_ahead, .self = a}, &found, err);
        progress_end(&a->progress);
    }
    if (code == ES_OK)
        code = search_show(a, found, err);
    cJSON_Delete(found);
    search_store_free(&a->store);
    search_forget(a);
    es_text_free(&configs);
    free(over);
    return code;
}

static es_code search_exec(int count, char **args, es_err *err)
{
    search_args a = {0};
    const cmd_flag flags[] = {
        {.name = "--target", .letter = "-t", .values = &a.targets},
        {.name = "--over", .values = &a.over},
        {.name = "--set", .letter = "-s", .values = &a.sets},
        {.name = "--cost", .value = &a.cost},
        {.name = "--against", .value = &a.against},
        {.name = "--method", .value = &a.method},
        {.name = "--points", .value = &a.points},
        {.name = "--jobs", .letter = "-j", .value = &a.jobs},
        {.name = "--out", .letter = "-o", .value = &a.out},
        {.name = "--json", .on = &a.json},
        {.name = "--quiet", .letter = "-q", .on = &a.quiet},
        {0},
    };
    es_code code = cmd_parse(flags, count, args, &a.words, err);
    if (code == ES_OK && a.words.count == 0)
        code = cmd_misused(&cmd_search, err, "which config?");
    if (code == ES_OK && a.out && !*a.out)
        code = es_err_set(err, ES_EINPUT, "--out: the name of a folder is empty");
    if (code == ES_OK)
        code = search_go(&a, err);
    free(a.words.at);
    free(a.sets.at);
    free(a.targets.at);
    free(a.over.at);
    return code;
}

const cmd_entry cmd_search = {
    .name = "search",
    .usage = "CONFIG... --target TARGET... --over AXIS... [options]",
    .brief = "Find the smallest capacity, or the cheapest machine, that meets a target.",
    .help = "expertsim search configs/quickstart.json --target \"tokens_per_s>=70\" --over tiers.cache.capacity\n"
            "Without a target it says what memory buys: the front of memory against latency. docs/search.md says how it searches.\n"
            "\n"
            "  --target TARGET   METRIC>=VALUE or METRIC<=VALUE; several must hold together. Metrics: tokens_per_s, latency, latency_p50,\n"
            "                    latency_p95, latency_p99, ttft, ttft_p95, stall, total, hit_rate, decode_hit_rate, perfect_coverage, or a\n"
            "                    formula over keys of a result; values: 20, 80%, 50ms, 4GiB\n"
            "  --over AXIS       PATH=A..B or PATH=A..B/STEP, a range; PATH=V,V,V, a list, cheapest first; a capacity's path alone. Several\n"
            "                    configs are a list too, cheapest first\n"
            "  --cost FORMULA    what is to be small, price for that of the machine's profile; absent: memory of the serving tier, then the order of lists\n"
            "  --against METRIC  what the front sets against memory; absent: latency (hit_rate under clock none)\n"
            "  --method NAME     bisect, halving (several ranges), grid (all points); absent: by what is searched\n"
            "  --points N        values of each range in a grid; absent: 17\n"
            "  --set PATH=VALUE  change an option for this time, as for run\n"
            "  --jobs N          so many runs at once; absent: one on each processor\n"
            "  --out DIR         keep all numbers: DIR/search.json\n"
            "  --json            print all numbers as JSON\n"
            "  --quiet           print nothing but errors\n",
    .exec = search_exec,
};
