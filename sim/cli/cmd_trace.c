/* expertsim trace: looks at traces, and makes them from other formats or by a generator. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/cli/cmd.h"
#include "sim/cli/trace_check.h"
#include "sim/study/feed.h"
#include "traces/buffers_csv.h"
#include "traces/export.h"
#include "traces/write.h"

typedef struct trace_args {
    cmd_words words, sets;      /* words: the verb, then files */
    const char *out, *format, *model;
    bool json, append;
} trace_args;

/* Everything a file may have. */
static es_source_ask trace_ask(const char *path)
{
    return (es_source_ask){.path = path, .weights = true, .residency = true, .guesses = true, .attention = true};
}

static bool trace_ends(const char *path, const char *end)
{
    size_t a = strlen(path), b = strlen(end);
    return a >= b && strcmp(path + a - b, end) == 0;
}

/* ---- info ---- */

typedef struct trace_counts {   /* what info counts itself: distinct experts per (step, layer) */
    uint64_t events[2], unions[2];      /* by es_phase_of of the step's first token */
} trace_counts;

static void trace_count_layer(const es_trace_info *info, const es_step *step, uint32_t layer, uint64_t *mark, uint64_t stamp, trace_counts *counts)
{
    uint64_t distinct = 0;
    for (uint32_t t = 0; t < step->tokens; t++) {
        const uint16_t *row = step->ids + ((size_t)t * info->layers + layer) * info->top_k;
        for (uint32_t k = 0; k < info->top_k && row[k] != ES_NO_EXPERT; k++) {
            distinct += mark[row[k]] != stamp;
            mark[row[k]] = stamp;
        }
    }
    int phase = step->token[0].phase == ES_DECODE;
    counts->events[phase] += distinct > 0;
    counts->unions[phase] += distinct;
}

static es_code trace_count(const es_feed *feed, trace_counts *counts, es_err *err)
{
    uint64_t *mark = calloc(UINT16_MAX + 1, sizeof *mark), stamp = 0;
    es_code code = mark ? ES_OK : es_err_nomem(err, "a count");
    bool more = true;
    es_step step;
    while (code == ES_OK) {
        code = feed->source->next(feed->state, &step, &more, err);
        if (code || !more)
            break;
        const es_trace_info *info = feed->source->info(feed->state);
        for (uint32_t layer = 0; layer < info->layers; layer++)
            trace_count_layer(info, &step, layer, mark, ++stamp, counts);
    }
    free(mark);
    return code;
}

/* A list by layer, shown by its range. */
static void trace_bytes(es_json *out, const char *name, const int64_t *bytes, uint32_t layers)
{
    if (!bytes || layers == 0) {
        cJSON_AddNullToObject(out, name);
        return;
    }
    int64_t least = bytes[0], most = bytes[0], sum = 0;
    for (uint32_t i = 0; i < layers; i++) {
        least = bytes[i] < least ? bytes[i] : least;
        most = bytes[i] > most ? bytes[i] : most;
        sum += bytes[i];
    }
    es_json *range = es_json_add_object(out, name);
    es_json_add_int(range, "least", least);
    es_json_add_int(range, "most", most);
    es_json_add_int(range, "over_layers", sum);
}

static es_json *trace_info_json(const es_trace_info *info, const trace_counts *counts, const char *path)
{
    es_json *out = cJSON_CreateObject(), *origin = NULL;
    es_json_add_text(out, "path", path);
    es_json_add_text(out, "format", info->format);
    es_json_add_text(out, "model", info->model);
    if (info->buffers > 0)
        es_json_add_int(out, "buffers", info->buffers);
    es_json_add_int(out, "layers", info->layers);
    es_json_add_int(out, "experts", info->experts);
    es_json_add_int(out, "top_k", info->top_k);
    es_json_add_int(out, "requests", (int64_t)info->requests);
    es_json_add_int(out, "steps", (int64_t)info->steps);
    es_json_add_int(out, "prompt_tokens", (int64_t)info->prompt_tokens);
    es_json_add_int(out, "decode_tokens", (int64_t)info->decode_tokens);
    es_json_add_int(out, "accesses", (int64_t)info->accesses);
    es_json_add_int(out, "decode_events", (int64_t)counts->events[ES_DECODE]);
    es_json_add_int(out, "decode_union_accesses", (int64_t)counts->unions[ES_DECODE]);
    es_json_add_int(out, "prefill_union_accesses", (int64_t)counts->unions[ES_PREFILL]);
    es_json_add_int(out, "missing_cells", (int64_t)info->missing_cells);
    es_json_add_int(out, "guesses", info->guesses);
    es_json_add_int(out, "attends", info->attends);
    es_json_add_bool(out, "weights", info->has_weights);
    es_json_add_bool(out, "residency", info->has_residency);
    es_json_add_bool(out, "synthetic", info->synthetic);
    es_json_add_bool(out, "uniform", info->uniform);
    trace_bytes(out, "expert_bytes", info->expert_bytes, info->layers);
    trace_bytes(out, "dense_bytes", info->dense_bytes, info->layers);
    es_json_add_text(out, "sha256", info->sha256 && *info->sha256 ? info->sha256 : NULL);
    if (info->provenance && *info->provenance && es_json_parse(&origin, info->provenance, strlen(info->provenance), NULL) == ES_OK)
        cJSON_AddItemToObject(out, "provenance", origin);
    else
        es_json_add_text(out, "provenance", info->provenance && *info->provenance ? info->provenance : NULL);
    return out;
}

static void trace_line(es_text *out, const char *label, uint64_t count, const char *what)
{
    es_text_add(out, "  %-10s ", label);
    es_text_count(out, (int64_t)count);
    es_text_add(out, "%s\n", what);
}

static void trace_info_text(const es_trace_info *info, const trace_counts *counts, const char *path, es_text *out)
{
    es_text_add(out, "%s: %s%s%s\n", path, info->format, info->model && *info->model ? ", " : "", info->model ? info->model : "");
    es_text_add(out, "  %-10s %u layers x %u experts, top-%u\n", "shape", info->layers, info->experts, info->top_k);
    trace_line(out, "requests", info->requests, "");
    trace_line(out, "prompt", info->prompt_tokens, " tokens");
    trace_line(out, "decode", info->decode_tokens, " tokens");
    trace_line(out, "accesses", info->accesses, " experts listed");
    trace_line(out, "unions", counts->unions[ES_DECODE], " distinct experts in the layers of decode steps");
    if (info->expert_bytes && info->layers) {
        int64_t least = info->expert_bytes[0], most = least;
        for (uint32_t i = 0; i < info->layers; i++) {
            least = info->expert_bytes[i] < least ? info->expert_bytes[i] : least;
            most = info->expert_bytes[i] > most ? info->expert_bytes[i] : most;
        }
        es_text_add(out, "  %-10s ", "expert");
        es_text_bytes(out, (double)least);
        if (most > least) {
            es_text_add(out, " to ");
            es_text_bytes(out, (double)most);
        }
        es_text_add(out, "\n");
    } else {
        es_text_add(out, "  %-10s not said; a config needs model.shape or model.expert_bytes for anything in bytes\n", "expert");
    }
    es_text_add(out, "  %-10s ids%s%s%s%s\n", "has", info->has_weights ? ", gate weights" : "", info->has_residency ? ", residency" : "", info->guesses ? ", predictions" : "",
        info->attends ? ", attention" : "");
    if (info->missing_cells)
        trace_line(out, "missing", info->missing_cells, " rows (token, layer)");
    if (info->synthetic)
        es_text_add(out, "  %-10s %s\n", "note", info->uniform ? "synthetic, uniform: hit rates are only capacity / population" : "synthetic: generated, not recorded from a model");
    if (info->sha256 && *info->sha256)
        es_text_add(out, "  %-10s %s\n", "sha256", info->sha256);
}

static void trace_buffers_text(const es_trace_info *info, const char *path, es_text *out)
{
    es_text_add(out, "%s: %s\n", path, info->format);
    trace_line(out, "steps", info->steps, "");
    trace_line(out, "tokens", info->decode_tokens, "");
    trace_line(out, "buffers", info->accesses, " asked for");
    trace_line(out, "at once", info->buffers, " at most");
    if (info->sha256 && *info->sha256)
        es_text_add(out, "  %-10s %s\n", "sha256", info->sha256);
}

static es_code trace_info(const trace_args *args, const char *path, es_err *err)
{
    es_feed feed = {0};
    trace_counts counts = {0};
    es_source_ask ask = {.path = path, .buffers = true};
    es_code code = es_feed_open_file(&feed, NULL, path, args->format, &ask, err);
    if (code == ES_OK && feed.source->info(feed.state)->buffers == 0)
        code = trace_count(&feed, &counts, err);
    if (code == ES_OK) {
        const es_trace_info *info = feed.source->info(feed.state);
        es_text text = {0};
        if (args->json) {
            es_json *json = trace_info_json(info, &counts, path);
            char *words = json ? es_json_text(json) : NULL;
            es_text_add(&text, "%s", words ? words : "");
            free(words);
            cJSON_Delete(json);
        } else if (info->buffers > 0) {
            trace_buffers_text(info, path, &text);
        } else {
            trace_info_text(info, &counts, path, &text);
        }
        code = text.failed || text.length == 0 ? es_err_nomem(err, "the text") : ES_OK;
        if (code == ES_OK)
            fputs(text.at, stdout);
        es_text_free(&text);
    }
    es_feed_close(&feed);
    return code;
}

/* ---- check ---- */

static es_code trace_check(const trace_args *args, const char *path, es_err *err)
{
    es_feed feed = {0};
    es_source_ask ask = trace_ask(path);
    es_code code = es_feed_open_file(&feed, NULL, path, args->format, &ask, err);
    if (code == ES_OK)
        code = trace_check_feed(&feed, path, args->model, args->json, err);
    es_feed_close(&feed);
    return code;
}

/* ---- import, export, generate ---- */

/* There is one format of buffers. */
static es_code trace_write_buffers(const trace_args *args, const es_feed *feed, es_err *err)
{
    es_text text = {0};
    const bool out = strcmp(args->out, "-") == 0;
    if (args->append || (!out && !trace_ends(args->out, ".csv")))
        return es_err_set(err, ES_EINPUT, "%s: a trace of buffers is written as a new file .csv, or to -", args->out);
    es_code code = es_buffers_csv(feed->source, feed->state, &text, err);
    if (code == ES_OK && out)
        fputs(text.at, stdout);
    else if (code == ES_OK)
        code = es_file_save(args->out, text.at, text.length, err);
    es_text_free(&text);
    return code;
}

/* Writes what a feed has: neutral CSV when the name says so, else the native format. */
static es_code trace_write(const trace_args *args, const es_feed *feed, const es_source_ask *ask, es_err *err)
{
    if (feed->source->info(feed->state)->buffers > 0)
        return trace_write_buffers(args, feed, err);
    bool csv = strcmp(args->out, "-") == 0 || trace_ends(args->out, ".csv") || trace_ends(args->out, ".csv.gz");
    if (csv && args->append)
        return es_err_set(err, ES_EINPUT, "%s: only native traces can be appended to", args->out);
    return csv ? es_trace_export_csv(args->out, feed->source, feed->state, ask, err) : es_trace_write(args->out, feed->source, feed->state, ask, args->append, err);
}

static es_code trace_copy(const trace_args *args, const char *path, es_err *err)
{
    es_feed feed = {0};
    es_source_ask ask = trace_ask(path);
    if (!args->out)
        return cmd_misused(&cmd_trace, err, "-o FILE says where to write");
    es_code code = es_feed_open_file(&feed, NULL, path, args->format, &ask, err);
    if (code == ES_OK)
        code = trace_write(args, &feed, &ask, err);
    es_feed_close(&feed);
    return code;
}

/* The options of a generator from "NAME=VALUE" settings. */
static es_code trace_settings(const trace_args *args, es_json *options, es_err *err)
{
    for (size_t i = 0; i < args->sets.count; i++) {
        const char *set = args->sets.at[i], *equals = strchr(set, '=');
        char key[256];
        es_json *value = NULL;
        if (!equals || equals == set || (size_t)(equals - set) >= sizeof key)
            return es_err_set(err, ES_EINPUT, "--set: found \"%s\", needs OPTION=VALUE", set);
        snprintf(key, sizeof key, "%.*s", (int)(equals - set), set);
        if (es_json_parse(&value, equals + 1, strlen(equals + 1), NULL) != ES_OK && !(value = cJSON_CreateString(equals + 1)))
            return es_err_nomem(err, "an option");
        es_code code = es_json_put(options, key, value, err);
        if (code)
            return es_err_at(err, "--set"), code;
    }
    return ES_OK;
}

static es_code trace_generate(const trace_args *args, const char *name, es_err *err)
{
    const es_part *part = NULL;
    es_arena arena = {0};
    es_feed feed = {0};
    es_json *options = cJSON_CreateObject();
    es_source_ask ask = trace_ask(NULL);
    ask.buffers = true;
    if (!args->out) {
        cJSON_Delete(options);
        return cmd_misused(&cmd_trace, err, "-o FILE says where to write");
    }
    es_code code = options ? es_part_find(ES_KIND_SOURCE, name, &part, err) : es_err_nomem(err, "a generator");
    if (code == ES_OK && ((const es_source *)part)->sniff)
        code = es_err_set(err, ES_EINPUT, "%s reads files; a generator is needed, such as synthetic", name);
    if (code == ES_OK)
        code = trace_settings(args, options, err);
    void *state = code == ES_OK ? es_arena_alloc(&arena, 1, part->size) : NULL;
    if (code == ES_OK && !state)
        code = es_err_nomem(err, "a generator");
    if (code == ES_OK && (code = es_options_parse(part->options, state, options, NULL, &arena, err)) != ES_OK)
        es_err_at(err, "--set");
    if (code == ES_OK)
        code = es_feed_open(&feed, (const es_source *)part, state, &ask, err);
    if (code == ES_OK)
        code = trace_write(args, &feed, &ask, err);
    es_feed_close(&feed);
    cJSON_Delete(options);
    es_arena_free(&arena);
    return code;
}

/* ---- the verbs ---- */

static es_code trace_none(const trace_args *args, const char *path, es_err *err)
{
    (void)args;
    static const char *const verbs[] = {"info", "check", "import", "export", "generate"};
    const char *nearest = path ? es_text_nearest(path, verbs, sizeof verbs / sizeof *verbs) : NULL;
    if (nearest)
        return es_err_set(err, ES_EINPUT, "there is no trace %s; did you mean \"trace %s\"?", path, nearest);
    return cmd_misused(&cmd_trace, err, path ? "there is no trace %s" : "what to do with it?", path);
}

static es_code trace_each(const trace_args *args, es_code (*verb)(const trace_args *, const char *, es_err *), es_err *err)
{
    es_code code = args->words.count > 1 ? ES_OK : cmd_misused(&cmd_trace, err, "which file?");
    for (size_t i = 1; i < args->words.count && code == ES_OK; i++)
        code = verb(args, args->words.at[i], err);
    return code;
}

static es_code trace_go(const trace_args *args, es_err *err)
{
    const char *verb = args->words.count ? args->words.at[0] : NULL;
    if (!verb)
        return trace_none(args, NULL, err);
    if (strcmp(verb, "info") == 0)
        return trace_each(args, trace_info, err);
    if (strcmp(verb, "check") == 0)
        return trace_each(args, trace_check, err);
    if (strcmp(verb, "import") == 0 || strcmp(verb, "export") == 0)
        return args->words.count > 2 ? cmd_misused(&cmd_trace, err, "one file at a time") : trace_each(args, trace_copy, err);
    if (strcmp(verb, "generate") == 0)
        return trace_generate(args, args->words.count > 1 ? args->words.at[1] : "synthetic", err);
    return trace_none(args, verb, err);
}

static es_code trace_exec(int count, char **args, es_err *err)
{
    trace_args trace = {0};
    const cmd_flag flags[] = {
        {.name = "--set", .letter = "-s", .values = &trace.sets},
        {.name = "--out", .letter = "-o", .value = &trace.out},
        {.name = "--format", .letter = "-f", .value = &trace.format},
        {.name = "--model", .value = &trace.model},
        {.name = "--json", .on = &trace.json},
        {.name = "--append", .on = &trace.append},
        {0},
    };
    es_code code = cmd_parse(flags, count, args, &trace.words, err);
    if (code == ES_OK)
        code = trace_go(&trace, err);
    free(trace.words.at);
    free(trace.sets.at);
    return code;
}

const cmd_entry cmd_trace = {
    .name = "trace",
    .usage = "info|check|import|export|generate [FILE]... [options]",
    .brief = "Look at routing traces; make them from other formats or by a generator.",
    .help = "  expertsim trace info FILE... [--json]         what it holds\n"
            "  expertsim trace check FILE... [--json]        reads all of it and says what is wrong, and what would distort a result; against\n"
            "                                                the model that it names, or --model models/shapes/NAME.json\n"
            "  expertsim trace import FILE -o X.h5           from any known format to the native one (--append: behind what is there)\n"
            "  expertsim trace export FILE -o X.csv[.gz]     to neutral CSV; - is standard output\n"
            "  expertsim trace generate -o X.h5 [--set OPTION=VALUE]...   options: expertsim describe synthetic\n"
            "\n"
            "  expertsim trace generate buffers_synthetic -o X.csv    a trace of buffers: what is asked of an allocator\n"
            "\n"
            "What -o is called decides what is written: neutral CSV for .csv and .csv.gz, the native format for any other name.\n"
            "\n"
            "  --format NAME  the format of FILE, where its content does not tell: expertsim list source\n",
    .exec = trace_exec,
};
