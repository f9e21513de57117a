/* expertsim trace check: reads all of a trace, says what is wrong with the file, and what about it would distort a result. */
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/shape.h"
#include "sim/cli/trace_check.h"
#include "traces/health.h"
#include "traces/write.h"

#ifndef ES_DATADIR              /* the build says it: where `ninja install` puts shapes */
#define ES_DATADIR "/usr/local/share/expertsim"
#endif

/* ---- the model that a trace names ---- */

/* "Qwen3-30B-A3B" -> "qwen330ba3b" */
static void model_plain(const char *name, char out[256])
{
    size_t n = 0;
    for (; *name && n < 255; name++)
        if (isalnum((unsigned char)*name))
            out[n++] = (char)tolower((unsigned char)*name);
    out[n] = '\0';
}

/* The longest name of a shape in the folder that stands in the trace's name for its model. */
static void model_find(const char *folder, const char *model, es_text *path)
{
    char said[256], one[256];
    size_t longest = 0;
    const char *base = strrchr(model, '/');
    DIR *all = opendir(folder);
    model_plain(base ? base + 1 : model, said);
    for (struct dirent *entry; all && (entry = readdir(all)) != NULL;) {
        const char *end = strstr(entry->d_name, ".json");
        if (!end || end[5])
            continue;
        char stem[256];
        snprintf(stem, sizeof stem, "%.*s", (int)(end - entry->d_name), entry->d_name);
        model_plain(stem, one);
        const size_t length = strlen(one);
        if (length > longest && strstr(said, one)) {
            longest = length;
            path->length = 0;
            es_text_add(path, "%s/%s", folder, entry->d_name);
        }
    }
    if (all)
        closedir(all);
}

static es_code model_load(const char *path, es_arena *arena, es_shape *shape, es_err *err)
{
    es_json *tree = NULL;
    es_code code = es_json_load(&tree, path, err);
    if (code == ES_OK && (code = es_shape_parse(shape, tree, NULL, arena, err)) != ES_OK)
        es_err_at(err, "%s", path);
    cJSON_Delete(tree);
    return code;
}

/* What --model names, or what the trace says of itself; none: nothing is compared. */
static es_code model_of(const char *asked, const char *said, es_arena *arena, es_health_model *model, es_err *err)
{
    es_text path = {0};
    es_shape shape;
    if (asked)
        es_text_add(&path, "%s", asked);
    else if (said && *said)
        model_find("models/shapes", said, &path);
    if (!path.length && said && *said)
        model_find(ES_DATADIR "/models/shapes", said, &path);
    es_code code = path.failed ? es_err_nomem(err, "a path") : ES_OK;
    if (code == ES_OK && path.length && (code = model_load(path.at, arena, &shape, err)) == ES_OK)
        *model = (es_health_model){shape.name, shape.moe_layers, shape.experts, shape.top_k};
    es_text_free(&path);
    return code;
}

/* ---- the pass ---- */

static es_code check_health(es_feed *feed, es_health *health, es_err *err)
{
    es_step step;
    bool more = true;
    es_code code = feed->source->rewind(feed->state, err);
    while (code == ES_OK && (code = feed->source->next(feed->state, &step, &more, err)) == ES_OK && more)
        code = es_health_step(health, &step, err);
    return code ? code : es_health_end(health, err);
}

static void check_text(const es_health *health, const es_tally *counts, const char *path, const char *hex, es_text *out)
{
    es_text_add(out, "%s: %llu steps, %llu tokens, %llu accesses, all in order", path, (unsigned long long)counts->steps,
        (unsigned long long)(counts->prompt_tokens + counts->decode_tokens), (unsigned long long)counts->accesses);
    if (counts->missing_cells)
        es_text_add(out, "; %llu rows (token, layer) are missing", (unsigned long long)counts->missing_cells);
    es_text_add(out, "; content %s\n", hex);
    if (health)
        es_health_text(health, out);
}

static es_json *check_json(const es_health *health, const es_tally *counts, const es_health_model *model, const char *path, const char *hex)
{
    es_json *json = cJSON_CreateObject();
    es_json_add_text(json, "path", path);
    es_json_add_text(json, "model", model->name);
    es_json_add_int(json, "steps", (int64_t)counts->steps);
    es_json_add_int(json, "prompt_tokens", (int64_t)counts->prompt_tokens);
    es_json_add_int(json, "decode_tokens", (int64_t)counts->decode_tokens);
    es_json_add_int(json, "accesses", (int64_t)counts->accesses);
    es_json_add_int(json, "missing_cells", (int64_t)counts->missing_cells);
    es_json_add_text(json, "content", hex);
    if (health)
        es_health_json(health, json);
    return json;
}

es_code trace_check_feed(es_feed *feed, const char *path, const char *model_path, es_json *all, es_err *err)
{
    es_tally counts = {0};
    es_arena arena = {0};
    es_health_model model = {0};
    es_health *health = NULL;
    es_text text = {0};
    char hex[65];
    es_code code = es_trace_check(feed->source, feed->state, &counts, hex, err);
    const es_trace_info *info = feed->source->info(feed->state);
    if (code == ES_OK)
        code = model_of(model_path, info->model, &arena, &model, err);
    if (code == ES_OK)
        code = es_health_new(&health, info, &model, err);
    if (code == ES_OK)
        code = check_health(feed, health, err);
    if (code == ES_OK && all)
        code = cJSON_AddItemToArray(all, check_json(health, &counts, &model, path, hex)) ? ES_OK : es_err_nomem(err, "a report");
    else if (code == ES_OK)
        check_text(health, &counts, path, hex, &text);
    if (code == ES_OK && text.failed)
        code = es_err_nomem(err, "a report");
    if (code == ES_OK && text.at)
        fputs(text.at, stdout);
    es_text_free(&text);
    es_health_free(health);
    es_arena_free(&arena);
    es_tally_free(&counts);
    return code;
}
