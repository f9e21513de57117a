/* expertsim trace info, check: what a trace holds, and whether it is right. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/cli/trace_args.h"
#include "sim/cli/trace_check.h"
#include "traces/write.h"

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

/* One text for each line. */
static void trace_lines(es_json *out, const char *name, const char *text)
{
    es_json *list = text && *text ? es_json_add_array(out, name) : NULL;
    es_text line = {0};
    for (const char *p = list ? text : NULL; p && *p; p += strcspn(p, "\n"), p += *p == '\n') {
        line.length = 0;
        es_text_add(&line, "%.*s", (int)strcspn(p, "\n"), p);
        cJSON_AddItemToArray(list, cJSON_CreateString(line.at ? line.at : ""));
    }
    es_text_free(&line);
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
    trace_lines(out, "assumed", info->assumed);
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
    for (const char *p = info->assumed; p && *p; p += strcspn(p, "\n"), p += *p == '\n')
        es_text_add(out, "  %-10s %.*s\n", "assumed", (int)strcspn(p, "\n"), p);
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

/* What it holds, as text or as one more of `all`. */
static es_code trace_info_say(const es_trace_info *info, const trace_counts *counts, const char *path, es_json *all, es_err *err)
{
    es_text text = {0};
    if (all)
        return cJSON_AddItemToArray(all, trace_info_json(info, counts, path)) ? ES_OK : es_err_nomem(err, "the text");
    if (info->buffers > 0)
        trace_buffers_text(info, path, &text);
    else
        trace_info_text(info, counts, path, &text);
    es_code code = text.failed || text.length == 0 ? es_err_nomem(err, "the text") : ES_OK;
    if (code == ES_OK)
        fputs(text.at, stdout);
    es_text_free(&text);
    return code;
}

/* All is read that an import reads, for what is assumed of a file follows from that; a native file has it written down. */
static es_code trace_info_file(const trace_args *args, const char *path, es_json *all, es_err *err)
{
    es_feed feed = {0};
    trace_counts counts = {0};
    es_source_ask ask;
    const es_source *source = NULL;
    es_code code = es_feed_find(NULL, path, args->as, &source, err);
    if (code == ES_OK)
        code = trace_ask(args, path, strcmp(source->part.name, "native") != 0, &ask, err);
    ask.buffers = true;
    if (code == ES_OK)
        code = trace_open(&ask, args->as, &feed, err);
    if (code == ES_OK && feed.source->info(feed.state)->buffers == 0)
        code = trace_count(&feed, &counts, err);
    if (code == ES_OK)
        code = trace_info_say(feed.source->info(feed.state), &counts, path, all, err);
    es_feed_close(&feed);
    return code;
}

/* One object, or a list of those of several files. */
static es_code trace_print(const es_json *all, es_err *err)
{
    char *words = es_json_text(cJSON_GetArraySize(all) == 1 ? cJSON_GetArrayItem(all, 0) : all);
    if (!words)
        return es_err_nomem(err, "the text");
    fputs(words, stdout);
    free(words);
    return ES_OK;
}

/* Each file after the other; `all` takes them with --json. */
static es_code trace_each(const trace_args *args, es_code (*file)(const trace_args *args, const char *path, es_json *all, es_err *err), es_err *err)
{
    es_json *all = args->json ? cJSON_CreateArray() : NULL;
    es_code code = args->words.count < 2 ? cmd_misused(&cmd_trace, err, "which file?") : args->json && !all ? es_err_nomem(err, "the text") : ES_OK;
    for (size_t i = 1; i < args->words.count && code == ES_OK; i++)
        code = file(args, args->words.at[i], all, err);
    if (code == ES_OK && all)
        code = trace_print(all, err);
    cJSON_Delete(all);
    return code;
}

es_code trace_info(const trace_args *args, es_err *err)
{
    return trace_each(args, trace_info_file, err);
}

/* ---- check ---- */

static es_code trace_check_file(const trace_args *args, const char *path, es_json *all, es_err *err)
{
    es_feed feed = {0};
    es_source_ask ask;
    es_code code = trace_ask(args, path, true, &ask, err);
    if (code == ES_OK)
        code = trace_open(&ask, args->as, &feed, err);
    if (code == ES_OK)
        code = trace_check_feed(&feed, path, args->model, all, err);
    es_feed_close(&feed);
    return code;
}

es_code trace_check(const trace_args *args, es_err *err)
{
    return trace_each(args, trace_check_file, err);
}
