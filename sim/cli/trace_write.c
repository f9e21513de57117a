/* expertsim trace import, export, generate: what makes files. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/cli/trace_args.h"
#include "traces/buffers_csv.h"
#include "traces/export.h"
#include "traces/write.h"

enum { WRITE_ORIGINS = 64 };    /* of so many files the origins are kept one by one */

/* ---- which format ---- */

/* Is the file called as HDF5 files are? */
static bool write_native(const char *out)
{
    const char *end = strrchr(out, '.');
    return end && (strcmp(end, ".h5") == 0 || strcmp(end, ".hdf5") == 0);
}

/* By the name of the format, else by that of the file; NULL: the native one. */
static es_code write_form(const char *as, const char *out, const es_trace_form **form, es_err *err)
{
    const es_trace_form *f;
    *form = NULL;
    if (as && strcmp(as, "native") == 0)
        return ES_OK;
    if (!as) {
        *form = es_trace_form_of(out);
        if (*form || write_native(out))
            return ES_OK;
        return es_err_set(err, ES_EINPUT, "%s: its ending names no format; .csv and .jsonl (with .gz or .zst too), .npy and .h5 do, or --as FORMAT says it", out);
    }
    const char *names[16] = {"native"};
    size_t count = 1;
    es_text all = {0};
    es_text_add(&all, "native");
    for (; (f = es_trace_form_at(count - 1)) != NULL; count++) {
        if (strcmp(f->name, as) == 0)
            *form = f;
        names[count] = f->name;
        es_text_add(&all, ", %s", f->name);
    }
    const char *nearest = es_text_nearest(as, names, count);
    es_code code = *form ? ES_OK : es_err_set(err, ES_EINPUT, "--as: %s cannot be written%s%s%s; these can: %s", as, nearest ? ", did you mean " : "", nearest ? nearest : "",
        nearest ? "?" : "", all.at);
    es_text_free(&all);
    return code;
}

/* There is one format of buffers. */
static es_code write_buffers(const trace_args *args, const es_feed *feed, es_err *err)
{
    es_text text = {0};
    const char *end = strrchr(args->out, '.');
    const bool out = strcmp(args->out, "-") == 0;
    if (args->append || (!out && (!end || strcmp(end, ".csv") != 0)))
        return es_err_set(err, ES_EINPUT, "%s: a trace of buffers is written as a new file .csv, or to -", args->out);
    es_code code = es_buffers_csv(feed->source, feed->state, &text, err);
    if (code == ES_OK && out)
        fputs(text.at, stdout);
    else if (code == ES_OK)
        code = es_file_save(args->out, text.at, text.length, err);
    es_text_free(&text);
    return code;
}

/* A format of ours says all that it holds. */
static bool write_own(const char *format)
{
    return strcmp(format, "native") == 0 || strcmp(format, "csv") == 0 || strcmp(format, "jsonl") == 0;
}

/* What a file was taken for and what was assumed of it, for people. */
static void write_say(const es_feed *feed, const char *path)
{
    const es_trace_info *info = feed->source->info(feed->state);
    if (!info->assumed && write_own(info->format))
        return;
    fprintf(stderr, "%s: read as %s\n", path, info->format);
    for (const char *from = info->assumed ? info->assumed : ""; *from != '\0';) {
        const size_t length = strcspn(from, "\n");
        fputs("  assumed: ", stderr);
        fwrite(from, 1, length, stderr);
        fputc('\n', stderr);
        from += length + (from[length] == '\n');
    }
}

/* ---- one source ---- */

static es_code write_one(const trace_args *args, const es_trace_form *form, const es_feed *feed, const es_source_ask *ask, es_err *err)
{
    if (form && args->append)
        return es_err_set(err, ES_EINPUT, "%s: only native traces can be appended to", args->out);
    if (!form)
        return es_trace_write(args->out, feed->source, feed->state, ask, args->append, err);
    es_text notes = {0};
    es_code code = es_trace_export(form, args->out, feed->source, feed->state, ask, &notes, err);
    for (const char *p = code == ES_OK && notes.length ? notes.at : NULL; p && *p; p += strcspn(p, "\n"), p += *p == '\n')
        fprintf(stderr, "%s: %.*s\n", args->out, (int)strcspn(p, "\n"), p);
    es_text_free(&notes);
    return code;
}

static es_code trace_generated(const trace_args *args, const es_feed *feed, const es_source_ask *ask, es_err *err)
{
    const es_trace_form *form;
    if (feed->source->info(feed->state)->buffers > 0)
        return write_buffers(args, feed, err);
    es_code code = write_form(args->as, args->out, &form, err);
    return code ? code : write_one(args, form, feed, ask, err);
}

es_code trace_export(const trace_args *args, es_err *err)
{
    es_feed feed = {0};
    es_source_ask ask;
    const es_trace_form *form;
    if (args->words.count != 2)
        return cmd_misused(&cmd_trace, err, args->words.count < 2 ? "which file?" : "one file at a time");
    if (!args->out)
        return cmd_misused(&cmd_trace, err, "-o FILE says where to write");
    const char *path = args->words.at[1];
    es_code code = write_form(args->as, args->out, &form, err);
    if (code == ES_OK)
        code = trace_ask(args, path, true, &ask, err);
    if (code == ES_OK)
        code = trace_open(&ask, NULL, &feed, err);
    if (code == ES_OK)
        write_say(&feed, path);
    if (code == ES_OK)
        code = write_one(args, form, &feed, &ask, err);
    es_feed_close(&feed);
    return code;
}

/* ---- several files, one behind the other ---- */

typedef struct write_join {
    es_trace_writer *writer;
    es_json *origins;
    uint64_t files;
} write_join;

/* Remembers where a file's steps come from. */
static void write_origin(write_join *join, const es_trace_info *info)
{
    es_json *origin = NULL;
    join->files++;
    if (cJSON_GetArraySize(join->origins) >= WRITE_ORIGINS)
        return;
    if (!info->provenance || es_json_parse(&origin, info->provenance, strlen(info->provenance), NULL) != ES_OK)
        origin = cJSON_CreateObject();
    if (!cJSON_HasObjectItem(origin, "sha256"))
        es_json_add_text(origin, "sha256", info->sha256);
    cJSON_AddItemToArray(join->origins, origin);
}

static es_code write_join_file(const trace_args *args, write_join *join, const char *path, es_err *err)
{
    es_feed feed = {0};
    es_source_ask ask;
    es_code code = trace_ask(args, path, true, &ask, err);
    if (code == ES_OK)
        code = trace_open(&ask, args->as, &feed, err);
    if (code == ES_OK) {
        const es_trace_info *info = feed.source->info(feed.state), shape = es_trace_writer_shape(info, &ask);
        write_say(&feed, path);
        if (!join->writer)
            code = args->append ? es_trace_writer_append(&join->writer, args->out, &shape, err) : es_trace_writer_open(&join->writer, args->out, &shape, err);
        if (code == ES_OK && (code = es_trace_writer_source(join->writer, feed.source, feed.state, &ask, err)) != ES_OK && strncmp(err->text, path, strlen(path)) != 0)
            es_err_at(err, "%s", path); /* what the writer finds; a source names its file */
        if (code == ES_OK)
            write_origin(join, info);
    }
    es_feed_close(&feed);
    return code;
}

/* Several files make one trace; with --append what was there keeps its origin. */
static es_code write_joined(const trace_args *args, es_err *err)
{
    write_join join = {.origins = cJSON_CreateArray()};
    es_code code = join.origins ? ES_OK : es_err_nomem(err, "a trace");
    for (size_t i = 1; i < args->words.count && code == ES_OK; i++)
        code = write_join_file(args, &join, args->words.at[i], err);
    if (code == ES_OK && !args->append && join.files > 1) {
        es_json *all = cJSON_CreateObject();
        es_json_add_int(all, "joined", (int64_t)join.files);
        cJSON_AddItemToObject(all, "of", join.origins);
        join.origins = NULL;
        char *text = es_json_text(all);
        if (text)
            es_trace_writer_origin(join.writer, text);
        free(text);
        cJSON_Delete(all);
    }
    cJSON_Delete(join.origins);
    if (!join.writer)
        return code;
    es_code closed = es_trace_writer_close(join.writer, code == ES_OK, code ? NULL : err);
    return code ? code : closed;
}

es_code trace_import(const trace_args *args, es_err *err)
{
    if (args->words.count < 2)
        return cmd_misused(&cmd_trace, err, "which file?");
    if (!args->out)
        return cmd_misused(&cmd_trace, err, "-o FILE says where to write");
    const es_trace_form *form = es_trace_form_of(args->out);
    if (!form)
        return write_joined(args, err);
    return es_err_set(err, ES_EINPUT, "%s: import writes the native format, into a .h5; `expertsim trace export` writes %s", args->out, form->name);
}

/* ---- generators ---- */

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

/* A whole number, 1e8 as well as 100000000; no text: 0. */
static es_code like_number(const char *flag, const char *text, double most, double *value, es_err *err)
{
    char *end = NULL;
    *value = 0.0;
    if (!text)
        return ES_OK;
    *value = strtod(text, &end);
    if (end == text || *end != '\0' || !(*value >= 1.0 && *value <= most) || *value != floor(*value))
        return es_err_set(err, ES_EINPUT, "%s: found \"%s\", needs a whole number from 1 to %.0f", flag, text, most);
    return ES_OK;
}

/* --like FIT.json --tokens N, and the shape, as options of the generator. */
static es_code trace_like(const trace_args *args, es_json *options, es_err *err)
{
    const struct { const char *option, *flag, *value; double most; } said[] = {{"tokens", "--tokens", args->tokens, 1e11},
        {"layers", "--layers", args->layers, 4096}, {"experts", "--experts", args->experts, 65535}, {"top_k", "--top-k", args->top_k, 1024}};
    es_code code = es_json_put(options, "file", cJSON_CreateString(args->like), err);
    for (size_t i = 0; i < sizeof said / sizeof *said && code == ES_OK; i++) {
        double number = 0.0;
        code = like_number(said[i].flag, said[i].value, said[i].most, &number, err);
        if (code == ES_OK && said[i].value)
            code = es_json_put(options, said[i].option, cJSON_CreateNumber(number), err);
    }
    return code;
}

es_code trace_generate(const trace_args *args, es_err *err)
{
    const char *name = args->words.count > 1 ? args->words.at[1] : args->like ? "like" : "synthetic";
    const es_part *part = NULL;
    es_arena arena = {0};
    es_feed feed = {0};
    es_json *options = cJSON_CreateObject();
    es_source_ask ask = {.weights = true, .residency = true, .guesses = true, .attention = true, .buffers = true};
    if (!args->out) {
        cJSON_Delete(options);
        return cmd_misused(&cmd_trace, err, "-o FILE says where to write");
    }
    es_code code = options ? es_part_find(ES_KIND_SOURCE, name, &part, err) : es_err_nomem(err, "a generator");
    if (code == ES_OK && ((const es_source *)part)->sniff)
        code = es_err_set(err, ES_EINPUT, "%s reads files; a generator is needed, such as synthetic", name);
    if (code == ES_OK && args->like)
        code = trace_like(args, options, err);
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
        code = trace_generated(args, &feed, &ask, err);
    es_feed_close(&feed);
    cJSON_Delete(options);
    es_arena_free(&arena);
    return code;
}
