/* Config: the top level of a config. See config.h.
 *
 * Loading resolves the sections in the order of config_options: each reads its part of the tree, fills its rows of the plan and
 * adds what it read, with defaults, to the resolved tree. Planning opens the trace and adds what only the trace knows. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/config_inside.h"
#include "sim/study/key.h"

#define TOP(field) offsetof(config_top, field)

static const char *const config_axes[] = {"tlk", "ltk", NULL};
static const char *const config_clocks[] = {"auto", "none", "simulated", NULL};
enum { CLOCK_AUTO, CLOCK_NONE, CLOCK_SIMULATED };

static const es_option config_options[] = {
    {.name = "name", .type = ES_OPT_TEXT, .offset = TOP(name), .help = "Of this config, for reports; absent: the file's name."},
    {.name = "brief", .type = ES_OPT_TEXT, .offset = TOP(brief), .help = "One sentence shown in the summary."},
    {.name = "about", .type = ES_OPT_TEXT, .offset = TOP(about), .help = "What it stands for and where that comes from; kept with the result."},
    {.name = "plugins", .type = ES_OPT_JSON, .offset = TOP(plugins), .help = "Shared objects that bring more parts: a list of files."},
    {.name = "machine", .type = ES_OPT_JSON, .offset = TOP(machine), .help = "Profile of a machine's links (include one of models/profiles); channels name its flows."},
    {.name = "trace", .type = ES_OPT_JSON, .offset = TOP(trace), .help = "Where the routing comes from."},
    {.name = "model", .type = ES_OPT_JSON, .offset = TOP(model), .help = "What the experts weigh."},
    {.name = "tiers", .type = ES_OPT_JSON, .offset = TOP(tiers), .help = "Memories by name."},
    {.name = "channels", .type = ES_OPT_JSON, .offset = TOP(channels), .help = "Copy engines, disks and compute units by name."},
    {.name = "links", .type = ES_OPT_JSON, .offset = TOP(links), .help = "Ways from tier to tier. An expert comes from where the fewest links lead, of equals by the one named first. Absent: one from the home tier to the serving tier, at no cost."},
    {.name = "catalog", .type = ES_OPT_JSON, .offset = TOP(catalog), .help = "What is one object."},
    {.name = "compute", .type = ES_OPT_JSON, .offset = TOP(compute), .help = "How compute and copies overlap."},
    {.name = "training", .type = ES_OPT_JSON, .offset = TOP(training), .help = "Steps that go back through the layers and update what they used."},
    {.name = "policy", .type = ES_OPT_JSON, .offset = TOP(policy), .help = "Who stays: a policy; absent: lru."},
    {.name = "predictor", .type = ES_OPT_JSON, .offset = TOP(predictor), .help = "Which experts will be wanted soon: a predictor; absent: none, nothing is prefetched."},
    {.name = "dispatcher", .type = ES_OPT_JSON, .offset = TOP(dispatcher), .help = "How a miss is served: a dispatcher; absent: fetch."},
    {.name = "router", .type = ES_OPT_JSON, .offset = TOP(router), .help = "Which experts a token uses: a router; absent: as the trace says."},
    {.name = "tuner", .type = ES_OPT_JSON, .offset = TOP(tuner),
        .help = "Turns tunable options while the run goes on: a tuner, or a list of several; absent: none. Most need clock simulated."},
    {.name = "contract", .type = ES_OPT_JSON, .offset = TOP(contract), .help = "How hits are judged and counted: a preset, or an object with preset and switches."},
    {.name = "clock", .type = ES_OPT_ENUM, .offset = TOP(clock), .choices = config_clocks,
        .help = "none: copies take no time, for hit rates and bytes; simulated: for speed; auto: simulated when links have channels and a compute unit has a timing."},
    {.name = "observers", .type = ES_OPT_JSON, .offset = TOP(observers), .help = "What is reported: a list of observers; absent: summary, coverage, latency, traffic, memory, tables, series."},
    {.name = "bounds", .type = ES_OPT_BOOL, .offset = TOP(bounds), .def = 1, .help = "Report what the best policy, no cache and an unlimited cache would do; it takes three more runs, or six where there are several tiers or links."},
    {.name = "stream", .type = ES_OPT_BOOL, .offset = TOP(stream), .help = "Keep no samples: memory does not grow with the trace, quantiles are within 1 percent."},
    {.name = "seed", .type = ES_OPT_INT, .offset = TOP(seed), .def = 1, .min = 0, .max = 0x1p53 - 1, .help = "Of every draw."},
    {.name = "replication", .type = ES_OPT_INT, .offset = TOP(replication), .min = 0, .max = 0x1p53 - 1, .help = "Another set of draws from the same seed."},
    {.name = "noise", .type = ES_OPT_BOOL, .offset = TOP(noise),
        .help = "Draw the noise that calibration measured, on every channel whose timing is the profile's; false: its medians, each time the same."},
    {.name = "force", .type = ES_OPT_BOOL, .offset = TOP(force), .help = "Accept rates above what a link of its kind can carry."},
    {0},
};

static const es_option config_trace_options[] = {
    {.name = "path", .type = ES_OPT_TEXT, .offset = offsetof(config_trace, path), .help = "File with a trace, relative to the config."},
    {.name = "format", .type = ES_OPT_TEXT, .offset = offsetof(config_trace, format), .help = "Source that reads it; absent: by the file's content."},
    {.name = "source", .type = ES_OPT_JSON, .offset = offsetof(config_trace, source), .help = "Source with options: a generator, or a format that needs some."},
    {.name = "layers", .type = ES_OPT_INT, .offset = offsetof(config_trace, layers), .max = 4096, .help = "MoE layers of a token, where the format does not say; model.experts says how many experts."},
    {.name = "top_k", .type = ES_OPT_INT, .offset = offsetof(config_trace, top_k), .max = 1024, .help = "Experts a token uses in a layer, where the format does not say."},
    {.name = "axes", .type = ES_OPT_ENUM, .offset = offsetof(config_trace, axes), .choices = config_axes, .help = "Order of an array, where the format does not say: token, layer, k, or layer first."},
    {.name = "lenient", .type = ES_OPT_BOOL, .offset = offsetof(config_trace, lenient), .help = "Leave out a last record that is cut short, and say so; else it is an error."},
    {0},
};

/* ---- sections ---- */

static es_code config_plugins(es_config *config, es_json *echo, es_err *err)
{
    const es_json *given = config->top.plugins, *path;
    es_json *list = es_json_add_array(echo, "plugins");
    if (!list)
        return es_err_nomem(err, "the config");
    if (given && !cJSON_IsArray(given))
        return es_err_set(err, ES_EINPUT, "plugins: found %s, needs a list of files", es_json_kind(given));
    int i = 0;
    cJSON_ArrayForEach(path, given) {
        es_code code = cJSON_IsString(path) ? es_plugins_load(&config->plugins, path->valuestring, err)
                                            : es_err_set(err, ES_EINPUT, "found %s, needs the path of a file", es_json_kind(path));
        if (code)
            return es_err_at(err, "plugins.%d", i), code;
        cJSON_AddItemToArray(list, cJSON_CreateString(path->valuestring));
        i++;
    }
    return ES_OK;
}

/* The profile stays as it was given: its sources and provenance belong to the result. */
static es_code config_machine(es_config *config, es_json *echo, es_err *err)
{
    const es_json *given = config->top.machine;
    es_json *copy = given ? cJSON_Duplicate(given, true) : cJSON_CreateNull();
    if (!copy || !cJSON_AddItemToObject(echo, "machine", copy)) {
        cJSON_Delete(copy);
        return es_err_nomem(err, "the machine");
    }
    if (!given || cJSON_IsNull(given))
        return ES_OK;
    es_code code = es_profile_parse(&config->machine, given, NULL, &config->arena, err);
    if (code)
        return es_key_at(err, "machine"), code;
    config->has_machine = true;
    return ES_OK;
}

static es_code config_trace_read(es_config *config, es_json *echo, es_err *err)
{
    config_trace *trace = &config->trace;
    es_code code = es_options_parse(config_trace_options, trace, config->top.trace, NULL, &config->arena, err);
    if (code)
        return es_key_at(err, "trace"), code;
    es_json *out = es_json_add_object(echo, "trace");
    if (!out)
        return es_err_nomem(err, "the config");
    es_json_add_text(out, "path", trace->path);
    es_json_add_text(out, "format", trace->format);
    if (trace->layers > 0)
        es_json_add_int(out, "layers", trace->layers);
    if (trace->top_k > 0)
        es_json_add_int(out, "top_k", trace->top_k);
    if (trace->axes > 0)
        es_json_add_text(out, "axes", config_axes[trace->axes]);
    if (trace->lenient)
        es_json_add_bool(out, "lenient", true);
    code = config_part(config, ES_KIND_SOURCE, trace->source, "trace.source", NULL, &config->source, out, "source", err);
    if (code)
        return code;
    const es_source *source = (const es_source *)config->source.part;
    if (!source && !trace->path)
        return es_err_set(err, ES_EINPUT, "trace.path: is missing; name the file of a trace here or with --set trace.path=FILE, or a generator as trace.source");
    if (source && source->sniff && !trace->path)
        return es_err_set(err, ES_EINPUT, "trace.path: is missing; source %s reads a file", source->part.name);
    if (source && !source->sniff && trace->path)
        return es_err_set(err, ES_EINPUT, "trace.source: %s reads no file, but trace.path names one", source->part.name);
    if (source && trace->format)
        return es_err_set(err, ES_EINPUT, "trace.format: trace.source stands beside it and names a format already");
    return ES_OK;
}

static es_code config_policy(es_config *config, es_json *echo, es_err *err)
{
    return config_part(config, ES_KIND_POLICY, config->top.policy, "policy", "lru", &config->plan.policy, echo, "policy", err);
}

static es_code config_predictor(es_config *config, es_json *echo, es_err *err)
{
    return config_part(config, ES_KIND_PREDICTOR, config->top.predictor, "predictor", NULL, &config->plan.predictor, echo, "predictor", err);
}

static es_code config_dispatcher(es_config *config, es_json *echo, es_err *err)
{
    return config_part(config, ES_KIND_DISPATCHER, config->top.dispatcher, "dispatcher", "fetch", &config->plan.dispatcher, echo, "dispatcher", err);
}

static es_code config_router(es_config *config, es_json *echo, es_err *err)
{
    return config_part(config, ES_KIND_ROUTER, config->top.router, "router", "trace", &config->plan.router, echo, "router", err);
}

static es_code config_tuner(es_config *config, es_json *echo, es_err *err)
{
    const es_json *given = config->top.tuner, *entry;
    es_plan *plan = &config->plan;
    const bool several = cJSON_IsArray(given);
    config->tuners = ES_NEW_ARRAY(&config->arena, several ? cJSON_GetArraySize(given) : 1, es_plan_part);
    es_json *list = several ? es_json_add_array(echo, "tuner") : echo;
    es_code code = ES_OK;
    if (!config->tuners || !list)
        return es_err_nomem(err, "the tuners");
    plan->tuners = config->tuners;
    if (!several) {
        code = config_part(config, ES_KIND_TUNER, given, "tuner", NULL, &config->tuners[0], echo, "tuner", err);
        plan->tuner_count = config->tuners[0].part != NULL;
        return code;
    }
    cJSON_ArrayForEach(entry, given) {
        char key[32];
        snprintf(key, sizeof key, "tuner.%zu", plan->tuner_count);
        code = cJSON_IsNull(entry) ? es_err_set(err, ES_EINPUT, "%s: found null, needs a tuner", key)
                                   : config_part(config, ES_KIND_TUNER, entry, key, NULL, &config->tuners[plan->tuner_count++], list, NULL, err);
        if (code != ES_OK)
            return code;
    }
    return ES_OK;
}

/* Simulated when there is something to simulate: links over channels or a cost of allocation, and a compute unit with a timing. */
static es_code config_clock(es_config *config, es_json *echo, es_err *err)
{
    (void)err;
    bool copies = false, compute = false;
    for (size_t i = 0; i < config->plan.link_count; i++)
        copies = copies || cJSON_GetArraySize(config->links[i].channels) > 0;
    for (size_t i = 0; i < config->plan.tier_count; i++)
        copies = copies || config->tiers[i].allocation.part;
    for (size_t i = 0; i < config->plan.channel_count; i++)
        compute = compute || (config->channel_extra[i].compute && config->channels[i].timing.part);
    config->plan.timed = config->top.clock == CLOCK_AUTO ? copies && compute : config->top.clock == CLOCK_SIMULATED;
    es_json_add_text(echo, "clock", config_clocks[config->plan.timed ? CLOCK_SIMULATED : CLOCK_NONE]);
    return ES_OK;
}

static const struct {
    const char *name;
    es_code (*read)(es_config *config, es_json *echo, es_err *err);
} config_sections[] = {
    {"plugins", config_plugins},
    {"machine", config_machine},
    {"trace", config_trace_read},
    {"model", config_model_read},
    {"tiers", config_tiers},
    {"channels", config_channels},
    {"links", config_links},
    {"catalog", config_catalog},
    {"compute", config_compute},
    {"training", config_training},
    {"policy", config_policy},
    {"predictor", config_predictor},
    {"dispatcher", config_dispatcher},
    {"router", config_router},
    {"tuner", config_tuner},
    {"contract", config_contract},
    {"clock", config_clock},
    {"observers", config_observers},
};

/* ---- loading ---- */

/* "configs/quickstart.json" -> "quickstart" */
static char *config_stem(es_config *config)
{
    const char *file = config->tree.file, *slash = strrchr(file, '/');
    char *stem = es_arena_text(&config->arena, slash ? slash + 1 : file);
    char *dot = stem ? strrchr(stem, '.') : NULL;
    if (dot && dot != stem)
        *dot = '\0';
    return stem;
}

static es_code config_section(es_config *config, const es_option *row, es_err *err)
{
    for (size_t i = 0; i < sizeof config_sections / sizeof *config_sections; i++)
        if (strcmp(config_sections[i].name, row->name) == 0)
            return config_sections[i].read(config, config->resolved, err);
    const es_option rows[] = {*row, {0}};
    es_options_echo(rows, &config->top, config->resolved);
    return ES_OK;
}

static es_code config_resolve(es_config *config, es_err *err)
{
    config->resolved = cJSON_CreateObject();
    if (!config->resolved)
        return es_err_nomem(err, "the config");
    es_code code = es_options_parse(config_options, &config->top, config->tree.root, NULL, &config->arena, err);
    if (code)
        return code;
    if (!config->top.name && !(config->top.name = config_stem(config)))
        return es_err_nomem(err, "the config");
    for (const es_option *row = config_options; row->name && code == ES_OK; row++)
        code = config_section(config, row, err);
    return code;
}

/* Reads the tree when it could be loaded; gives the config, or frees it. */
static es_code config_finish(es_config *config, es_code code, es_config **out, es_err *err)
{
    if (code == ES_OK && (code = config_resolve(config, err)) != ES_OK)
        es_tree_blame(&config->tree, err);
    if (code) {
        es_config_free(config);
        return code;
    }
    *out = config;
    return ES_OK;
}

es_code es_config_load(es_config **out, const char *path, const char *const *sets, size_t set_count, es_err *err)
{
    *out = NULL;
    es_config *config = calloc(1, sizeof *config);
    if (!config)
        return es_err_nomem(err, "the config");
    return config_finish(config, es_tree_load(&config->tree, path, sets, set_count, err), out, err);
}

es_code es_config_from(es_config **out, const es_json *tree, const char *from, const char *const *sets, size_t set_count, es_err *err)
{
    *out = NULL;
    es_config *config = calloc(1, sizeof *config);
    if (!config)
        return es_err_nomem(err, "the config");
    return config_finish(config, es_tree_adopt(&config->tree, tree, from, sets, set_count, err), out, err);
}

void es_config_free(es_config *config)
{
    if (!config)
        return;
    es_feed_close(&config->feed);
    cJSON_Delete(config->resolved);
    es_tree_free(&config->tree);
    es_arena_free(&config->arena);
    es_plugins_free(&config->plugins);      /* last: the feed's source may be one of theirs */
    free(config);
}

const es_json *es_config_resolved(const es_config *config)
{
    return config->resolved;
}

const es_json *es_config_input(const es_config *config)
{
    return config->tree.input;
}

es_code es_config_inherit(es_config *config, const es_json *input, es_err *err)
{
    return es_tree_inherit(&config->tree, input, err);
}

const char *es_config_name(const es_config *config)
{
    return config->top.name;
}

const char *es_config_brief(const es_config *config)
{
    return config->top.brief;
}

bool es_config_bounds(const es_config *config)
{
    return config->top.bounds && !config->top.stream;
}

bool es_config_noise_known(const es_config *config)
{
    return config->noise_known;
}

bool es_config_bytes_known(const es_config *config)
{
    return config->bytes_known;
}

const char *es_config_trace_path(const es_config *config)
{
    return config->trace.path;
}

const es_trace_info *es_config_trace(const es_config *config)
{
    return config->plan.source ? config->plan.source->info(config->plan.source_state) : NULL;
}

/* ---- planning ---- */

/* Does some part read this of a step? (ES_READS_...) */
static bool config_reads(const es_config *config, unsigned flag)
{
    const es_plan *plan = &config->plan;
    const es_plan_part *parts[] = {&plan->policy, &plan->predictor, &plan->dispatcher, &plan->router};
    bool reads = false;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        reads |= parts[i]->part && parts[i]->part->flags & flag;
    for (size_t i = 0; i < plan->tuner_count; i++)
        reads |= (plan->tuners[i].part->flags & flag) != 0;
    for (size_t i = 0; i < plan->observer_count; i++)
        reads |= (plan->observers[i].part->flags & flag) != 0;
    return reads;
}

es_source_ask es_config_ask(const es_config *config)
{
    return (es_source_ask){
        .path = config->trace.path,
        .weights = config_reads(config, ES_READS_WEIGHTS),
        .guesses = config_reads(config, ES_READS_GUESSES),
        .residency = config_reads(config, ES_READS_RESIDENCY),
        .buffers = true,
        .attention = config_reads(config, ES_READS_ATTENTION),
        .experts = config->model.experts ? (uint32_t)config->model.experts : config->has_shape ? (uint32_t)config->shape.experts : 0,
        .layers = (uint32_t)config->trace.layers,
        .top_k = (uint32_t)config->trace.top_k,
        .layer_first = config->trace.axes == 1,
        .lenient = config->trace.lenient,
    };
}

bool es_config_foreign_sources(const es_config *config)
{
    for (size_t p = 0; p < config->plugins.count; p++)
        for (size_t e = 0; e < config->plugins.plugin[p]->count; e++)
            if (config->plugins.plugin[p]->entries[e].kind == ES_KIND_SOURCE)
                return true;
    return false;
}

void es_config_lend(es_config *config, const es_source *source, void *state)
{
    config->plan.source = source;
    config->plan.source_state = state;
}

static es_code config_open(es_config *config, es_err *err)
{
    const es_source *source = (const es_source *)config->source.part;
    es_source_ask ask = es_config_ask(config);
    es_code code = ES_OK;
    if (config->plan.source)        /* lent */
        return ES_OK;
    if (!source && (code = es_feed_find(&config->plugins, config->trace.path, config->trace.format, &source, err)) != ES_OK)
        return es_err_at(err, config->trace.format ? "trace.format" : "trace.path"), code;
    code = es_feed_open(&config->feed, source, config->source.state, &ask, err);
    if (code)
        return es_err_at(err, config->trace.path ? "trace.path" : "trace.source"), code;
    config->plan.source = config->feed.source;
    config->plan.source_state = config->feed.state;
    return ES_OK;
}

static es_code config_plan(es_config *config, es_err *err)
{
    es_plan *plan = &config->plan;
    plan->name = config->top.name;
    plan->seed = (uint64_t)config->top.seed;
    plan->replication = (uint64_t)config->top.replication;
    plan->stream = config->top.stream;
    es_code code = config_open(config, err);
    if (code == ES_OK && es_config_trace(config)->buffers > 0) {
        plan->buffers = config->bytes_known = true;     /* each request says its bytes */
        return ES_OK;
    }
    if (code == ES_OK)
        code = config_bytes(config, err);
    if (code == ES_OK)
        code = config_precision(config, err);
    if (code == ES_OK)
        code = config_start(config, err);
    es_plan_part *parts[] = {&plan->policy, &plan->predictor, &plan->dispatcher, &plan->router};
    for (size_t i = 0; i < sizeof parts / sizeof *parts && code == ES_OK; i++)
        code = config_popularity(config, parts[i], err);
    return code;
}

es_code es_config_plan(es_config *config, const es_plan **out, es_err *err)
{
    if (!config->planned) {
        es_code code = config_plan(config, err);
        if (code)
            return es_tree_blame(&config->tree, err), code;
        config->planned = true;
    }
    *out = &config->plan;
    return ES_OK;
}

es_code es_config_blame(const es_config *config, es_err *err)
{
    return es_tree_blame(&config->tree, err);
}

/* ---- the tables ---- */

const es_config_table *es_config_table_at(size_t i)
{
    static const es_config_table tables[] = {
        {"", "The top level of a config.", config_options},
        {"trace", "Where the routing comes from: a file, or a generator.", config_trace_options},
        {"model", "What the experts weigh. Explicit bytes go before the shape's, those before the trace's own.", config_model_options},
        {"tiers.NAME", "A memory.", es_tier_options},
        {"tiers.NAME", "Its parts.", config_tier_more},
        {"channels.NAME", "The contended thing: a copy engine, a disk, a compute unit.", es_channel_options},
        {"channels.NAME", "Its parts and what it is.", config_channel_more},
        {"links.N", "A way from one tier to another.", es_link_options},
        {"catalog", "What is one object.", es_catalog_options},
        {"compute", "How compute and copies overlap.", es_compute_options},
        {"training", "Steps that go back through the layers and update what they used.", es_training_options},
        {"contract", "The switches in which replay tools differ. Presets: event_atomic (the defaults), after_batch, keep_best, serialized.", es_contract_options},
    };
    return i < sizeof tables / sizeof *tables ? &tables[i] : NULL;
}

bool es_config_part_at(const char *key, es_kind *kind)
{
    static const struct {
        const char *key;
        es_kind kind;
    } places[] = {
        {"policy", ES_KIND_POLICY},
        {"predictor", ES_KIND_PREDICTOR},
        {"dispatcher", ES_KIND_DISPATCHER},
        {"router", ES_KIND_ROUTER},
        {"tuner", ES_KIND_TUNER},
        {"observers", ES_KIND_OBSERVER},
        {"trace.source", ES_KIND_SOURCE},
        {"tiers.NAME.allocator", ES_KIND_ALLOCATOR},
        {"tiers.NAME.allocation", ES_KIND_TIMING},
        {"tiers.NAME.policy", ES_KIND_POLICY},
        {"tiers.NAME.access", ES_KIND_TIMING},
        {"tiers.NAME.moves", ES_KIND_TIMING},
        {"channels.NAME.timing", ES_KIND_TIMING},
        {"channels.NAME.scheduler", ES_KIND_SCHEDULER},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (strcmp(places[i].key, key) == 0) {
            *kind = places[i].kind;
            return true;
        }
    return false;
}
