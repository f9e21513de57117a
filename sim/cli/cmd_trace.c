/* expertsim trace: looks at traces, and makes them from other formats or by a generator. The command line and its verbs; what they do
 * is in trace_info.c, trace_write.c and trace_formats.c. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/cli/trace_args.h"

/* ---- what is said of a file ---- */

/* A whole number from 1 to `most`; absent: 0. */
static es_code trace_number(const char *name, const char *text, uint32_t most, uint32_t *value, es_err *err)
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
    *ask = (es_source_ask){.path = path, .weights = everything, .residency = everything, .guesses = everything, .attention = everything, .lenient = args->lenient};
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

es_code trace_open(const trace_args *args, const es_source_ask *ask, es_feed *feed, es_err *err)
{
    return es_feed_open_file(feed, NULL, ask->path, args->as, ask, err);
}

/* ---- the verbs ---- */

static es_code trace_each(const trace_args *args, es_code (*verb)(const trace_args *, const char *, es_err *), es_err *err)
{
    es_code code = args->words.count > 1 ? ES_OK : cmd_misused(&cmd_trace, err, "which file?");
    for (size_t i = 1; i < args->words.count && code == ES_OK; i++)
        code = verb(args, args->words.at[i], err);
    return code;
}

static es_code trace_info_each(const trace_args *args, es_err *err)
{
    return trace_each(args, trace_info, err);
}

static es_code trace_check_each(const trace_args *args, es_err *err)
{
    return trace_each(args, trace_check, err);
}

static const struct trace_verb {
    const char *name;
    es_code (*go)(const trace_args *args, es_err *err);
} trace_verbs[] = {
    {"info", trace_info_each}, {"check", trace_check_each}, {"import", trace_import}, {"export", trace_export}, {"generate", trace_generate}, {"formats", trace_formats},
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

static es_code trace_exec(int count, char **args, es_err *err)
{
    trace_args trace = {0};
    const cmd_flag flags[] = {
        {.name = "--set", .letter = "-s", .values = &trace.sets},
        {.name = "--out", .letter = "-o", .value = &trace.out},
        {.name = "--as", .value = &trace.as},
        {.name = "--layers", .value = &trace.layers},
        {.name = "--top-k", .value = &trace.top_k},
        {.name = "--experts", .value = &trace.experts},
        {.name = "--axes", .value = &trace.axes},
        {.name = "--lenient", .on = &trace.lenient},
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
    .usage = "info|check|import|export|generate|formats [FILE]... [options]",
    .brief = "Look at routing traces; make them from other formats or by a generator.",
    .help = "  expertsim trace formats [--json]              all formats: read or written, and what they lack\n"
            "  expertsim trace info FILE... [--json]         what it holds\n"
            "  expertsim trace check FILE...                 reads all of it and says what is wrong\n"
            "  expertsim trace import FILE... -o X.h5        from any known format to the native one; several files follow each other, with\n"
            "                                                their requests numbered on (--append: behind what is there)\n"
            "  expertsim trace export FILE --as FORMAT -o X  to another format; - is standard output, .gz is compressed\n"
            "  expertsim trace generate -o X.h5 [--set OPTION=VALUE]...   options: expertsim describe synthetic\n"
            "\n"
            "  expertsim trace generate buffers_synthetic -o X.csv    a trace of buffers: what is asked of an allocator\n"
            "\n"
            "Without --as an export is what -o is called: neutral CSV for .csv and .csv.gz, JSON lines for .jsonl, an array for .npy.\n"
            "\n"
            "A file is known by its content. What that leaves open is assumed, and said; these say it instead:\n"
            "  --as FORMAT    the format of FILE (for export: of what is written)\n"
            "  --layers N     how many MoE layers a token has\n"
            "  --top-k K      how many experts a token uses in a layer\n"
            "  --experts N    experts of a layer (else the highest id and 1)\n"
            "  --axes ORDER   of an array: tlk, [token][layer][k], or ltk, [layer][token][k]\n"
            "  --lenient      leaves out a last record that is cut short, and says so; else it is an error\n",
    .exec = trace_exec,
};
