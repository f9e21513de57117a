/* expertsim trace: looks at traces, and makes them from other formats or by a generator. The command line and its verbs; what they do
 * is in trace_info.c, trace_write.c, trace_fit.c, trace_compose.c and trace_formats.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/cli/trace_args.h"
#include "traces/placed.h"

/* ---- what is said of a file ---- */

es_code trace_number(const char *name, const char *text, uint32_t most, uint32_t *value, es_err *err)
{
    char *end = NULL;
    *value = 0;
    if (!text)
        return ES_OK;
    const unsigned long number = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    if (!end || *end != '\0' || number < 1 || number > most)
        return es_err_set(err, ES_EINPUT, "%s: found \"%s\", needs a whole number from 1 to %u", name, text, most);
    *value = (uint32_t)number;
    return ES_OK;
}

es_code trace_ask(const trace_args *args, const char *path, bool everything, es_source_ask *ask, es_err *err)
{
    *ask = (es_source_ask){.path = path, .weights = everything, .residency = everything, .guesses = everything, .attention = everything, .lenient = args->lenient,
        .places = args->places};
    es_code code = trace_number("--layers", args->layers, 4096, &ask->layers, err);
    if (code == ES_OK)
        code = trace_number("--top-k", args->top_k, 1024, &ask->top_k, err);
    if (code == ES_OK)
        code = trace_number("--experts", args->experts, 65535, &ask->experts, err);
    ask->layer_first = args->axes && strcmp(args->axes, "ltk") == 0;
    if (code == ES_OK && args->axes && !ask->layer_first && strcmp(args->axes, "tlk") != 0)
        code = es_err_set(err, ES_EINPUT, "--axes: found \"%s\", needs tlk ([token][layer][k]) or ltk ([layer][token][k])", args->axes);
    return code;
}

/* The feed's source is read through the map from now on. */
static es_code trace_place(es_feed *feed, const es_source_ask *ask, es_err *err)
{
    es_placed *placed = ES_NEW(&feed->arena, es_placed);
    if (!placed)
        return es_err_nomem(err, "a trace");
    const es_code code = es_placed_over(placed, feed->source, feed->state, ask->places, ask->path, &feed->arena, err);
    feed->source = &es_placed_source;
    feed->state = placed;
    return code;
}

es_code trace_open(const es_source_ask *ask, const char *format, es_feed *feed, es_err *err)
{
    es_source_ask own = *ask;
    if (ask->places) {
        own.experts = 0;                /* of experts, not of places */
        own.places->applied = false;
    }
    es_code code = es_feed_open_file(feed, NULL, ask->path, format, &own, err);
    const es_trace_info *info = code ? NULL : feed->source->info(feed->state);
    if (info && info->layers > 0 && info->experts < own.experts) {     /* more are an error where they stand in the file */
        code = es_err_set(err, ES_EINPUT, "%s: has %u experts in a layer, but %u were asked for (--experts)", ask->path, info->experts, own.experts);
        es_feed_close(feed);
    }
    if (code || !ask->places || ask->places->applied || (code = trace_place(feed, ask, err)) == ES_OK)
        return code;
    es_feed_close(feed);
    return code;
}

/* ---- the verbs ---- */

static const struct trace_verb {
    const char *name;
    es_code (*go)(const trace_args *args, es_err *err);
} trace_verbs[] = {
    {"info", trace_info}, {"check", trace_check}, {"import", trace_import}, {"export", trace_export}, {"generate", trace_generate}, {"fit", trace_fit}, {"compose", trace_compose}, {"formats", trace_formats},
};

enum { TRACE_VERBS = sizeof trace_verbs / sizeof *trace_verbs };

static es_code trace_go(const trace_args *args, es_err *err)
{
    const char *verb = args->words.count ? args->words.at[0] : NULL, *names[TRACE_VERBS];
    for (size_t i = 0; i < TRACE_VERBS; i++) {
        names[i] = trace_verbs[i].name;
        if (verb && strcmp(verb, names[i]) == 0)
            return trace_verbs[i].go(args, err);
    }
    const char *nearest = verb ? es_text_nearest(verb, names, TRACE_VERBS) : NULL;
    if (nearest)
        return es_err_set(err, ES_EINPUT, "there is no trace %s; did you mean \"trace %s\"?", verb, nearest);
    return verb ? cmd_misused(&cmd_trace, err, "there is no trace %s", verb) : cmd_misused(&cmd_trace, err, "what to do with it?");
}

/* The map that --map names, against the experts that --experts says. */
static es_code trace_map(trace_args *args, es_places *places, es_arena *arena, es_err *err)
{
    uint32_t experts = 0;
    if (!args->map)
        return ES_OK;
    es_code code = trace_number("--experts", args->experts, 65535, &experts, err);
    args->places = places;
    if (code == ES_OK && (code = es_places_load(places, args->map, experts, arena, err)) != ES_OK)
        es_err_at(err, "--map");
    return code;
}

static es_code trace_exec(int count, char **args, es_err *err)
{
    trace_args trace = {0};
    es_places places;
    es_arena arena = {0};
    const cmd_flag flags[] = {
        {.name = "--set", .letter = "-s", .values = &trace.sets},
        {.name = "--out", .letter = "-o", .value = &trace.out},
        {.name = "--as", .value = &trace.as},
        {.name = "--model", .value = &trace.model},
        {.name = "--layers", .value = &trace.layers},
        {.name = "--top-k", .value = &trace.top_k},
        {.name = "--experts", .value = &trace.experts},
        {.name = "--axes", .value = &trace.axes},
        {.name = "--map", .value = &trace.map},
        {.name = "--like", .value = &trace.like},
        {.name = "--tokens", .value = &trace.tokens},
        {.name = "--batch", .value = &trace.batch},
        {.name = "--budget", .value = &trace.budget},
        {.name = "--window", .value = &trace.window},
        {.name = "--accept", .value = &trace.accept},
        {.name = "--arrive", .value = &trace.arrive},
        {.name = "--seed", .value = &trace.seed},
        {.name = "--lenient", .on = &trace.lenient},
        {.name = "--json", .on = &trace.json},
        {.name = "--append", .on = &trace.append},
        {0},
    };
    es_code code = cmd_parse(flags, count, args, &trace.words, err);
    if (code == ES_OK)
        code = trace_map(&trace, &places, &arena, err);
    if (code == ES_OK)
        code = trace_go(&trace, err);
    es_arena_free(&arena);
    free(trace.words.at);
    free(trace.sets.at);
    return code;
}

const cmd_entry cmd_trace = {
    .name = "trace",
    .usage = "info|check|import|export|generate|fit|compose|formats [FILE]... [options]",
    .brief = "Look at routing traces; make them from other formats or by a generator.",
    .help = "  expertsim trace formats [--json]              all formats: read or written, and what they lack\n"
            "  expertsim trace info FILE... [--json]         what it holds; of several files a list\n"
            "  expertsim trace check FILE... [--json]        reads all of it and says what is wrong, and what would distort a result, against\n"
            "                                                the model that it names, or --model models/shapes/NAME.json; of several files a list\n"
            "  expertsim trace import FILE... -o X.h5        from any known format to the native one; several files follow each other, with\n"
            "                                                their requests numbered on (--append: behind what is there)\n"
            "  expertsim trace export FILE --as FORMAT -o X  to another format; - is standard output, .gz and .zst are compressed\n"
            "  expertsim trace generate -o X.h5 [--set OPTION=VALUE]...   options: expertsim describe synthetic\n"
            "  expertsim trace fit FILE [-o FIT.json] [--json]            estimates what routing like it is drawn from, and how far its curves are off\n"
            "  expertsim trace generate --like FIT.json --tokens N -o X.h5   draws such; --layers, --experts, --top-k for another shape\n"
            "  expertsim trace compose FILE... -o X.h5 [--batch N] [--budget TOKENS] [--arrive STEPS] [--window W] [--accept P] [--seed N]\n"
            "                                                their requests served together: N at once (8), steps of so many tokens at most (no\n"
            "                                                bound), arriving so many steps after each other (0), W tokens verified at once (1),\n"
            "                                                each after the first accepted with probability P (1)\n"
            "\n"
            "  expertsim trace generate buffers_synthetic -o X.csv    a trace of buffers: what is asked of an allocator\n"
            "\n"
            "Without --as an export is what -o is called: neutral CSV for .csv, JSON lines for .jsonl, an array for .npy, native for .h5.\n"
            "\n"
            "A file is known by its content. What that leaves open is assumed, and said; these say it instead:\n"
            "  --as FORMAT    the format of FILE (for export: of what is written)\n"
            "  --layers N     how many MoE layers a token has\n"
            "  --top-k K      how many experts a token uses in a layer\n"
            "  --experts N    experts of a layer (else the highest id and 1)\n"
            "  --axes ORDER   of an array: tlk, [token][layer][k], or ltk, [layer][token][k]\n"
            "  --map FILE     ids are places of a load balancer (physical experts, with replicas): which expert stands in which, [layers][places] as\n"
            "                 .npy or JSON (SGLang's last_physical_to_logical_map, vLLM's physical_to_logical_map)\n"
            "  --lenient      leaves out a last record that is cut short, and of a compressed file that is cut what is behind, and says so; else it is an error\n",
    .exec = trace_exec,
};
