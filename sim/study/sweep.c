/* Sweep: the file. See sweep.h. */
#include "sim/study/sweep.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/formula.h"
#include "sim/study/key.h"
#include "sim/study/result.h"
#include "sim/study/sweep_inside.h"

#define TOP(field) offsetof(sweep_file, field)

static const es_option sweep_options[] = {
    {.name = "name", .type = ES_OPT_TEXT, .offset = TOP(name), .help = "Of this sweep; absent: the file's name."},
    {.name = "brief", .type = ES_OPT_TEXT, .offset = TOP(brief), .help = "One sentence: the question it answers."},
    {.name = "base", .type = ES_OPT_JSON, .offset = TOP(base), .required = true,
        .help = "The config that all points begin with: a file, or the config itself. Unless it or an axis says otherwise, bounds are off and the observers are those of a run without tables and series."},
    {.name = "axes", .type = ES_OPT_JSON, .offset = TOP(axes), .required = true, .help = "Keys of the config and their values: {\"policy\": [\"lru\", \"lfu\"]}. All combinations are run; the first axis is the slowest."},
    {.name = "design", .type = ES_OPT_JSON, .offset = TOP(design), .help = "Takes points from all ranges at once instead of crossing them."},
    {.name = "constraints", .type = ES_OPT_JSON, .offset = TOP(constraints),
        .help = "List of conditions that a combination must meet, over values of axes and of the base: \"compute.guess_top <= 10 or policy == 'lru'\"."},
    {.name = "replications", .type = ES_OPT_JSON, .offset = TOP(replications), .help = "Runs of each combination with other draws or other traces."},
    {.name = "metrics", .type = ES_OPT_JSON, .offset = TOP(metrics),
        .help = "What is collected: {NAME: FORMULA} over keys of a result, such as \"cache.hits / cache.lookups\"; absent: the usual ones."},
    {.name = "limits", .type = ES_OPT_JSON, .offset = TOP(limits), .help = "What one point may take."},
    {0},
};

static const es_option sweep_replication_options[] = {
    {.name = "count", .type = ES_OPT_INT, .offset = offsetof(sweep_replications, count), .def = 1, .min = 1, .max = 1e6, .help = "So many, each with its own number as the config's replication."},
    {.name = "first", .type = ES_OPT_INT, .offset = offsetof(sweep_replications, first), .min = 0, .max = 0x1p52, .help = "Number of the first."},
    {.name = "vary", .type = ES_OPT_JSON, .offset = offsetof(sweep_replications, vary), .help = "List of keys that get the number too, such as \"trace.source.seed\"."},
    {.name = "traces", .type = ES_OPT_JSON, .offset = offsetof(sweep_replications, traces), .help = "List of traces, each a file or what a config has as trace: every replication runs on each."},
    {0},
};

static const es_option sweep_limit_options[] = {
    {.name = "time", .type = ES_OPT_TIME, .offset = offsetof(es_sweep_limits, time), .min = 0, .max = 0x1p62, .help = "Wall time after which a point is given up; 0: any."},
    {.name = "memory", .type = ES_OPT_BYTES, .offset = offsetof(es_sweep_limits, memory), .min = 0, .max = 0x1p62,
        .help = "Memory that a point may take beside the trace, which all share; 0: any."},
    {0},
};

const es_config_table *es_sweep_table_at(size_t i)
{
    static const es_config_table tables[] = {
        {"sweep", "A file for `expertsim sweep`: many runs of one config.", sweep_options},
        {"sweep.axes.NAME", "An axis; a list is short for an object with values.", sweep_axis_options},
        {"sweep.design", "How points are taken from ranges.", sweep_design_options},
        {"sweep.replications", "Runs of each combination.", sweep_replication_options},
        {"sweep.limits", "What one point may take.", sweep_limit_options},
    };
    return i < sizeof tables / sizeof *tables ? &tables[i] : NULL;
}

/* ---- sections ---- */

/* Bounds are three more runs of each point, tables and series a file of each: only those who ask for them get them. */
static void sweep_fixed(es_sweep *sweep)
{
    if (!cJSON_GetObjectItemCaseSensitive(sweep->base.root, "bounds"))
        sweep->fixed[sweep->fixed_count++] = "bounds=false";
    if (!cJSON_GetObjectItemCaseSensitive(sweep->base.root, "observers"))
        sweep->fixed[sweep->fixed_count++] = "observers=[\"summary\",\"coverage\",\"latency\",\"traffic\",\"memory\"]";
}

static es_code sweep_base(es_sweep *sweep, es_err *err)
{
    const es_json *base = sweep->file.base;
    es_code code;
    if (cJSON_IsString(base)) {
        sweep->base_path = es_path_from(&sweep->arena, sweep->path, base->valuestring);
        code = sweep->base_path ? es_tree_load(&sweep->base, sweep->base_path, NULL, 0, err) : es_err_nomem(err, "the sweep");
        if (code)
            return es_err_at(err, "%s: base", sweep->path), code;
    } else if (cJSON_IsObject(base)) {
        sweep->base_path = sweep->path;
        code = es_tree_load_inside(&sweep->base, sweep->path, "base", err);
        if (code)
            return es_err_at(err, "base"), code;
    } else {
        return es_err_set(err, ES_EINPUT, "%s: base: found %s, needs the path of a config, or a config", sweep->path, es_json_kind(base));
    }
    sweep_fixed(sweep);
    return ES_OK;
}

static es_code replication_vary(const es_json *vary, es_err *err)
{
    const es_json *key;
    bool fine = !vary || (cJSON_IsArray(vary) && cJSON_GetArraySize(vary) <= SWEEP_VARY);
    cJSON_ArrayForEach(key, vary) fine = fine && cJSON_IsString(key) && *key->valuestring && strlen(key->valuestring) <= ES_KEY / 4;
    return fine ? ES_OK : es_err_set(err, ES_EINPUT, "vary: needs a list of at most %d keys, such as [\"trace.source.seed\"]", SWEEP_VARY);
}

static es_code replication_traces(es_sweep *sweep, const es_json *traces, es_err *err)
{
    const es_json *trace;
    if (!cJSON_IsArray(traces) || !traces->child)
        return es_err_set(err, ES_EINPUT, "traces: needs a list of at least one trace");
    sweep->trace_set = ES_NEW_ARRAY(&sweep->arena, cJSON_GetArraySize(traces), const char *);
    if (!sweep->trace_set)
        return es_err_nomem(err, "the sweep");
    cJSON_ArrayForEach(trace, traces) {
        es_json *said = cJSON_Duplicate(trace, true);
        es_code code = said ? es_tree_said(&sweep->arena, sweep->path, "trace", &said, err) : es_err_nomem(err, "the sweep");
        char *text = code ? NULL : cJSON_PrintUnformatted(said);
        es_text set = {0};
        es_text_add(&set, "trace=%s", text ? text : "");
        const char *kept = text && !set.failed ? es_arena_text(&sweep->arena, set.at) : NULL;
        cJSON_free(text);
        es_text_free(&set);
        cJSON_Delete(said);
        if (code || !kept)
            return code ? code : es_err_nomem(err, "the sweep");
        sweep->trace_set[sweep->traces++] = kept;
    }
    return ES_OK;
}

static es_code sweep_replicate(es_sweep *sweep, es_err *err)
{
    const es_json *given = sweep->file.replications;
    sweep->replicated = given != NULL;
    es_code code = es_options_parse(sweep_replication_options, &sweep->replications, given, NULL, &sweep->arena, err);
    if (code == ES_OK)
        code = replication_vary(sweep->replications.vary, err);
    if (code == ES_OK && sweep->replications.traces)
        code = replication_traces(sweep, sweep->replications.traces, err);
    return code ? (es_key_at(err, "replications"), code) : ES_OK;
}

/* ---- metrics ---- */

static const struct { const char *name, *formula; } sweep_usual[] = {
    {"hit_rate", "cache.hits / cache.lookups"},
    {"decode_hit_rate", "cache.decode.hits / cache.decode.lookups"},
    {"lookups", "cache.lookups"},
    {"hits", "cache.hits"},
    {"misses", "cache.misses"},
    {"evictions", "cache.evictions"},
    {"fetched_bytes", "cache.fetched_bytes"},
    {"guess_copies", "cache.guess_copies"},
    {"wasted_bytes", "cache.wasted_bytes"},
    {"perfect_coverage", "coverage.perfect / coverage.events"},
    {"tokens_per_s", "time.tokens_per_s"},
    {"latency_mean_s", "time.token_latency_s.mean"},
    {"latency_p50_s", "time.token_latency_s.p50"},
    {"latency_p95_s", "time.token_latency_s.p95"},
    {"latency_p99_s", "time.token_latency_s.p99"},
    {"ttft_s", "time.ttft_s"},
    {"stall_s", "time.stall_s"},
    {"total_s", "time.total_s"},
    {"room", "capacity.slots_or_bytes"},
    {"peak", "capacity.peak"},
};

static const es_json *metric_any(void *self, const char *path)
{
    (void)path;
    return self;
}

/* Would it be a formula if every path led to a number? */
static es_code metric_check(const es_json *formula, es_err *err)
{
    double value;
    es_json any = {.type = cJSON_Number, .valuedouble = 1.5};
    if (!cJSON_IsString(formula))
        return es_err_set(err, ES_EINPUT, "found %s, needs a text such as \"cache.hits / cache.lookups\"", es_json_kind(formula));
    return es_formula_with(formula->valuestring, metric_any, &any, &value, err);
}

static es_code sweep_measure(es_sweep *sweep, es_err *err)
{
    const es_json *given = sweep->file.metrics, *metric;
    sweep->metrics = given ? cJSON_Duplicate(given, true) : cJSON_CreateObject();
    if (!sweep->metrics)
        return es_err_nomem(err, "the sweep");
    for (size_t i = 0; !given && i < sizeof sweep_usual / sizeof *sweep_usual; i++)
        es_json_add_text(sweep->metrics, sweep_usual[i].name, sweep_usual[i].formula);
    if (!cJSON_IsObject(sweep->metrics) || !sweep->metrics->child)
        return es_err_set(err, ES_EINPUT, "metrics: found %s, needs an object: {\"hit_rate\": \"cache.hits / cache.lookups\"}",
            cJSON_IsObject(given) ? "an empty object" : es_json_kind(given));
    cJSON_ArrayForEach(metric, sweep->metrics) {
        es_code code = metric_check(metric, err);
        if (code)
            return es_err_at(err, "metrics.%s", metric->string), code;
    }
    return ES_OK;
}

/* ---- what would have two meanings ---- */

/* A metric of the file must not share its name with a column of an axis; the usual ones make room. */
static es_code clash_metrics(const es_sweep *sweep, const sweep_axis *axis, es_err *err)
{
    bool taken = axis->labels && cJSON_GetObjectItemCaseSensitive(sweep->metrics, axis->name);
    for (size_t p = 0; p < axis->paths; p++)
        taken = taken || cJSON_GetObjectItemCaseSensitive(sweep->metrics, axis->path[p]);
    if (taken && sweep->file.metrics)
        return es_err_set(err, ES_EINPUT, "metrics: axis %s has a column of the same name as one of them", axis->name);
    return ES_OK;
}

static es_code clash_replications(const es_sweep *sweep, const sweep_axis *axis, es_err *err)
{
    for (size_t p = 0; p < axis->paths; p++) {
        const char *path = axis->path[p];
        const es_json *key;
        bool taken = sweep->replicated && strcmp(path, "replication") == 0;
        taken = taken || (sweep->traces && (strcmp(path, "trace") == 0 || strcmp(path, "trace.path") == 0 || strcmp(path, "trace.source") == 0));
        cJSON_ArrayForEach(key, sweep->replications.vary) taken = taken || strcmp(path, key->valuestring) == 0;
        if (taken)
            return es_err_set(err, ES_EINPUT, "axes.%s: %s takes values from replications already", axis->name, path);
    }
    return ES_OK;
}

static es_code sweep_clashes(const es_sweep *sweep, es_err *err)
{
    es_code code = ES_OK;
    for (size_t a = 0; a < sweep->axes && code == ES_OK; a++)
        if ((code = clash_metrics(sweep, &sweep->axis[a], err)) == ES_OK)
            code = clash_replications(sweep, &sweep->axis[a], err);
    return code;
}

/* ---- loading ---- */

static es_code sweep_stem(es_sweep *sweep, es_err *err)
{
    const char *slash = strrchr(sweep->path, '/');
    char *stem = es_arena_text(&sweep->arena, slash ? slash + 1 : sweep->path);
    char *dot = stem ? strrchr(stem, '.') : NULL;
    if (dot && dot != stem)
        *dot = '\0';
    sweep->file.name = stem;
    return stem ? ES_OK : es_err_nomem(err, "the sweep");
}

static es_code sweep_read(es_sweep *sweep, es_err *err)
{
    if (!cJSON_IsObject(sweep->root))
        return es_err_set(err, ES_EINPUT, "found %s, needs an object with base and axes", es_json_kind(sweep->root));
    es_code code = es_options_parse(sweep_options, &sweep->file, sweep->root, NULL, &sweep->arena, err);
    if (code == ES_OK && !sweep->file.name)
        code = sweep_stem(sweep, err);
    if (code == ES_OK && sweep->file.constraints && !cJSON_IsArray(sweep->file.constraints))
        code = es_err_set(err, ES_EINPUT, "constraints: found %s, needs a list of texts", es_json_kind(sweep->file.constraints));
    if (code == ES_OK && sweep->file.design && (code = es_options_parse(sweep_design_options, &sweep->design, sweep->file.design, NULL, &sweep->arena, err)) != ES_OK)
        es_key_at(err, "design");
    if (code == ES_OK && (code = es_options_parse(sweep_limit_options, &sweep->limits, sweep->file.limits, NULL, &sweep->arena, err)) != ES_OK)
        es_key_at(err, "limits");
    if (code == ES_OK)
        code = sweep_measure(sweep, err);
    if (code == ES_OK)
        code = sweep_replicate(sweep, err);
    if (code == ES_OK)
        code = sweep_axes_read(sweep, err);
    return code ? code : sweep_clashes(sweep, err);
}

static bool sweep_sets(const es_sweep *sweep, const char *key)
{
    for (size_t a = 0; a < sweep->axes; a++)
        for (size_t p = 0; p < sweep->axis[a].paths; p++)
            if (strcmp(sweep->axis[a].path[p], key) == 0)
                return true;
    return false;
}

/* A tier has any name, so a slip in one would be a tier that nothing ever comes to: axes are over those of the base, or make a whole one. */
static es_code sweep_found_tier(const es_sweep *sweep, const char *path, es_err *err)
{
    enum { NAMES = 64 };
    static const char group[] = "tiers.";
    const es_json *tiers = cJSON_GetObjectItemCaseSensitive(sweep->base.root, "tiers"), *tier;
    const char *names[NAMES];
    char whole[ES_KEY];
    size_t count = 0;
    const size_t length = strncmp(path, group, sizeof group - 1) == 0 ? strcspn(path + sizeof group - 1, ".") : 0;
    if (length == 0 || path[sizeof group - 1 + length] != '.' || !cJSON_IsObject(tiers))
        return ES_OK;
    snprintf(whole, sizeof whole, "%.*s", (int)(sizeof group - 1 + length), path);
    cJSON_ArrayForEach(tier, tiers)
        if (count < NAMES)
            names[count++] = tier->string;
    if (es_json_at(sweep->base.root, whole) || sweep_sets(sweep, "tiers") || sweep_sets(sweep, whole))
        return ES_OK;
    const char *nearest = es_text_nearest(whole + sizeof group - 1, names, count);
    return es_err_set(err, ES_EINPUT, "the base has no %s; it has tiers.%s%s", whole, nearest ? nearest : count ? names[0] : "", count > 1 && !nearest ? " and others" : "");
}

static es_code sweep_found(const es_sweep *sweep, es_err *err)
{
    es_code code = ES_OK;
    for (size_t a = 0; a < sweep->axes && code == ES_OK; a++)
        for (size_t p = 0; p < sweep->axis[a].paths && code == ES_OK; p++)
            if ((code = sweep_found_tier(sweep, sweep->axis[a].path[p], err)) != ES_OK)
                es_key_at(err, "%s: axes.%s", sweep->path, sweep->axis[a].name);
    return code;
}

es_code es_sweep_load(es_sweep **out, const char *file, bool many, es_err *err)
{
    *out = NULL;
    es_sweep *sweep = calloc(1, sizeof *sweep);
    if (!sweep)
        return es_err_nomem(err, "the sweep");
    sweep->many = many;
    sweep->path = es_arena_text(&sweep->arena, file);
    es_code code = sweep->path ? es_json_load(&sweep->root, file, err) : es_err_nomem(err, "the sweep");
    if (code == ES_OK && (code = sweep_read(sweep, err)) != ES_OK)
        es_err_at(err, "%s", file);
    if (code == ES_OK)
        code = sweep_base(sweep, err);
    if (code == ES_OK)
        code = sweep_found(sweep, err);
    if (code == ES_OK)
        code = sweep_points_make(sweep, err);
    if (code)
        es_sweep_free(sweep);
    else
        *out = sweep;
    return code;
}

void es_sweep_free(es_sweep *sweep)
{
    if (!sweep)
        return;
    for (size_t a = 0; a < ES_SWEEP_AXES; a++)
        for (size_t i = 0; sweep->axis[a].value && i < sweep->axis[a].count * sweep->axis[a].paths; i++)
            cJSON_Delete(sweep->axis[a].value[i]);
    cJSON_Delete(sweep->metrics);
    cJSON_Delete(sweep->root);
    es_tree_free(&sweep->base);
    free(sweep->digest);
    free(sweep->point);
    es_arena_free(&sweep->arena);
    free(sweep);
}

const char *es_sweep_name(const es_sweep *sweep)
{
    return sweep->file.name;
}

const char *es_sweep_brief(const es_sweep *sweep)
{
    return sweep->file.brief;
}

es_sweep_limits es_sweep_limits_of(const es_sweep *sweep)
{
    return sweep->limits;
}

size_t es_sweep_count(const es_sweep *sweep)
{
    return sweep->points;
}

const es_sweep_point *es_sweep_at(const es_sweep *sweep, size_t i)
{
    return &sweep->point[i];
}

size_t es_sweep_feeds(const es_sweep *sweep)
{
    return sweep->feeds;
}
