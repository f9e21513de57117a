/* trace compose: requests of several traces, served together as one engine would (traces/compose.h). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/cli/trace_args.h"
#include "traces/compose.h"
#include "traces/write.h"

enum { COMPOSE_BATCH = 8 };

typedef struct compose_had {    /* a file, beside its routing */
    bool weights, residency, guesses, attention;
} compose_had;

/* A number from 0 to `most` of a flag; absent: `other`. */
static es_code compose_real(const char *name, const char *text, double most, double other, double *value, es_err *err)
{
    char *end = NULL;
    *value = other;
    if (!text)
        return ES_OK;
    *value = strtod(text, &end);
    if (end == text || *end != '\0' || !(*value >= 0.0 && *value <= most))
        return es_err_set(err, ES_EINPUT, "%s: found \"%s\", needs a number from 0 to %g", name, text, most);
    return ES_OK;
}

static es_code compose_ask(const trace_args *args, es_compose_ask *ask, es_err *err)
{
    double seed = 1.0;
    *ask = (es_compose_ask){0};
    es_code code = trace_number("--batch", args->batch, 1000000, &ask->batch, err);
    if (code == ES_OK)
        code = trace_number("--budget", args->budget, UINT32_MAX, &ask->budget, err);
    if (code == ES_OK)
        code = trace_number("--window", args->window, 1024, &ask->window, err);
    if (code == ES_OK)
        code = compose_real("--accept", args->accept, 1.0, 1.0, &ask->accept, err);
    if (code == ES_OK)
        code = compose_real("--arrive", args->arrive, 1e9, 0.0, &ask->gap, err);
    if (code == ES_OK)
        code = compose_real("--seed", args->seed, 9e15, 1.0, &seed, err);
    ask->batch = ask->batch ? ask->batch : COMPOSE_BATCH;
    ask->window = ask->window ? ask->window : 1;
    ask->seed = (uint64_t)seed;
    return code;
}

/* From which traces, and how: all it takes to make it again. */
static char *compose_origin(const trace_args *args, es_trace *const *traces, uint32_t count, const es_compose_ask *ask)
{
    es_json *note = cJSON_CreateObject(), *how = es_json_add_object(note, "composed"), *from = es_json_add_array(note, "from");
    es_json_add_int(how, "batch", ask->batch);
    es_json_add_int(how, "budget", ask->budget);
    es_json_add_int(how, "window", ask->window);
    es_json_add_real(how, "accept", ask->accept);
    es_json_add_real(how, "arrive", ask->gap);
    es_json_add_int(how, "seed", (int64_t)ask->seed);
    for (uint32_t i = 0; i < count; i++) {
        es_json *one = cJSON_CreateObject();
        es_json_add_text(one, "file", args->words.at[i + 1]);
        es_json_add_text(one, "sha256", traces[i]->info.sha256 ? traces[i]->info.sha256 : "");
        cJSON_AddItemToArray(from, one);
    }
    char *text = es_json_text(note);
    cJSON_Delete(note);
    return text;
}

static es_code compose_write(const trace_args *args, es_compose *compose, const char *origin, es_err *err)
{
    const es_source_ask ask = {.weights = true};
    const es_trace_info info = es_trace_writer_shape(es_compose_source.info(compose), &ask);
    es_trace_writer *writer = NULL;
    es_code code = es_trace_writer_open(&writer, args->out, &info, err);
    if (code)
        return code;
    es_trace_writer_origin(writer, origin);
    code = es_trace_writer_source(writer, &es_compose_source, compose, &ask, err);
    const es_code closed = es_trace_writer_close(writer, code == ES_OK, code ? NULL : err);
    return code ? code : closed;
}

static void compose_say(const char *path, const es_compose_counts *n)
{
    const double listed = n->listed > 0 ? (double)n->listed : 1.0;
    printf("%s: %llu requests in %llu steps of %.1f tokens (%llu at most)\n"
           "  %llu experts listed, %llu distinct in the layers of their steps (%.1f %%)\n"
           "  the others repeat: %.1f %% what the same request used in the step, %.1f %% what another one used\n",
        path, (unsigned long long)n->requests, (unsigned long long)n->steps, n->steps ? (double)n->tokens / (double)n->steps : 0.0, (unsigned long long)n->most_tokens,
        (unsigned long long)n->listed, (unsigned long long)n->distinct, 100.0 * (double)n->distinct / listed, 100.0 * (double)n->within / listed,
        100.0 * (double)n->across / listed);
}

/* What a file has and the composed one has not. */
static void compose_say_lost(const char *path, const compose_had *had, bool weights)
{
    const struct { bool lost; const char *what; } all[] = {
        {had->weights && !weights, "weights, which another file lacks"}, {had->residency, "residency"}, {had->guesses, "predictions"}, {had->attention, "attention"},
    };
    bool some = false;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].lost)
            printf("%s%s%s%s", some ? "" : "  left out of ", some ? "" : path, some ? ", " : ": ", all[i].what);
        some |= all[i].lost;
    }
    if (some)
        printf("\n");
}

static es_code compose_load(const trace_args *args, const char *path, es_trace **out, compose_had *had, es_err *err)
{
    es_feed feed = {0};
    es_source_ask ask;
    es_code code = trace_ask(args, path, false, &ask, err);
    ask.weights = true;
    if (code == ES_OK)
        code = trace_open(&ask, args->as, &feed, err);
    const es_trace_info *info = code ? NULL : feed.source->info(feed.state);
    if (info)
        *had = (compose_had){info->has_weights, info->has_residency, info->guesses > 0, info->attends > 0};
    if (code == ES_OK)
        code = es_trace_load(out, feed.source, feed.state, &ask, err);
    es_feed_close(&feed);
    return code;
}

es_code trace_compose(const trace_args *args, es_err *err)
{
    const uint32_t count = args->words.count > 1 ? (uint32_t)args->words.count - 1 : 0;
    es_trace **traces = calloc(count + 1, sizeof *traces);
    compose_had *had = calloc(count + 1, sizeof *had);
    es_compose *compose = NULL;
    es_compose_ask ask;
    char *origin = NULL;
    es_code code = count > 0 && args->out ? compose_ask(args, &ask, err) : cmd_misused(&cmd_trace, err, count ? "-o FILE says where to write" : "which files?");
    if (code == ES_OK && !(traces && had))
        code = es_err_nomem(err, "a batch");
    for (uint32_t i = 0; i < count && code == ES_OK; i++)
        code = compose_load(args, args->words.at[i + 1], &traces[i], &had[i], err);
    if (code == ES_OK)
        code = es_compose_new(&compose, traces, count, &ask, err);
    if (code == ES_OK && !(origin = compose_origin(args, traces, count, &ask)))
        code = es_err_nomem(err, "a batch");
    if (code == ES_OK)
        code = compose_write(args, compose, origin, err);
    if (code == ES_OK) {
        const es_compose_counts counts = es_compose_count(compose);
        compose_say(args->out, &counts);
        for (uint32_t i = 0; i < count; i++)
            compose_say_lost(args->words.at[i + 1], &had[i], es_compose_source.info(compose)->has_weights);
    }
    es_compose_free(compose);
    for (uint32_t i = 0; traces && i < count; i++)
        es_trace_free(traces[i]);
    free(traces);
    free(had);
    free(origin);
    return code;
}
