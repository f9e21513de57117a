/* expertsim explain: why does a run take as long as it does? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/h5.h"
#include "sim/cli/progress.h"
#include "sim/cli/summary.h"
#include "sim/study/explain.h"
#include "sim/study/result.h"

enum { EXPLAIN_CAUSES = 7, EXPLAIN_PATH = 4, EXPLAIN_FREE = 6, EXPLAIN_WIDTH = 52, EXPLAIN_LINE = 120 };

/* ---- in at most 24 lines ---- */

static void explain_pad(es_text *out, size_t from)
{
    while (out->length - from < EXPLAIN_WIDTH)
        es_text_add(out, " ");
}

static void explain_cell(es_text *out, double seconds, double share)
{
    const size_t from = out->length;
    summary_seconds(out, seconds);
    while (out->length - from < 10)
        es_text_add(out, " ");
    summary_percent(out, share, 1.0);
    es_text_add(out, "\n");
}

/* The largest of a list, and what is left. */
static void explain_list(const es_json *list, const char *heading, int most, es_text *out)
{
    const es_json *one;
    const int count = cJSON_GetArraySize(list);
    double seconds = 0.0, share = 0.0;
    int i = 0;
    if (count == 0)
        return;
    es_text_add(out, "  %s\n", heading);
    cJSON_ArrayForEach(one, list) {
        const size_t from = out->length;
        if (i++ >= most - 1 && count > most) {
            seconds += summary_number(one, "time_s");
            share += summary_number(one, "share");
            continue;
        }
        es_text_add(out, "    %s ", summary_text(one, "says"));
        explain_pad(out, from);
        explain_cell(out, summary_number(one, "time_s"), summary_number(one, "share"));
    }
    if (count <= most)
        return;
    const size_t from = out->length;
    es_text_add(out, "    %d others ", count - most + 1);
    explain_pad(out, from);
    explain_cell(out, seconds, share);
}

static void explain_free(const es_json *r, es_text *out)
{
    const es_json *list = cJSON_GetObjectItemCaseSensitive(r, "what_if"), *one;
    const double speed = summary_number(r, "tokens_per_s");
    int i = 0;
    if (cJSON_GetArraySize(list) == 0)
        return;
    es_text_add(out, "  what if (each run once more)\n");
    cJSON_ArrayForEach(one, list) {
        const size_t from = out->length;
        const double gain = summary_number(one, "speedup");
        if (i++ >= EXPLAIN_FREE)
            break;
        es_text_add(out, "    %s ", summary_text(one, "says"));
        explain_pad(out, from);
        if (isfinite(gain))
            es_text_add(out, "x%.2f", gain);
        else
            es_text_add(out, "%s", summary_text(one, "reason") ? summary_text(one, "reason") : "no time at all");
        if (isfinite(gain) && isfinite(speed)) {
            es_text_add(out, gain < 10.0 ? "     " : "    ");
            summary_rate(out, speed * gain);
            es_text_add(out, " tokens/s");
        }
        es_text_add(out, "\n");
    }
}

static void explain_speed(const es_json *r, es_text *out)
{
    const double speed = summary_number(r, "tokens_per_s"), slowest = summary_number(r, "slowest_token.time_s");
    if (isfinite(speed)) {
        summary_label(out, "speed");
        summary_rate(out, speed);
        es_text_add(out, " tokens/s; ");
        summary_seconds(out, summary_number(r, "time_s"));
        es_text_add(out, strcmp(summary_text(r, "of"), "decode") == 0 ? " of decode steps, " : " in all, ");
        summary_seconds(out, summary_number(r, "total_s"));
        es_text_add(out, " with prompts\n");
    }
    if (isfinite(slowest)) {
        summary_label(out, "slowest token");
        es_text_add(out, "%.0f of request %.0f: ", summary_number(r, "slowest_token.index"), summary_number(r, "slowest_token.request"));
        summary_seconds(out, slowest);
        es_text_add(out, ", ");
        summary_seconds(out, summary_number(r, "slowest_token.cause_s"));
        es_text_add(out, " of it %s\n", summary_text(r, "slowest_token.says"));
    }
}

/* The sentence, on two lines where it is long. */
static void explain_verdict(const es_json *r, es_text *out)
{
    const char *said = summary_text(r, "verdict"), *name = summary_text(r, "name");
    const char *verdict = said ? said : "", *rest = strlen(verdict) > EXPLAIN_LINE ? strstr(verdict, "; ") : NULL;
    es_text_add(out, "%s: %.*s\n", name ? name : "?", rest ? (int)(rest - verdict) : (int)strlen(verdict), verdict);
    if (rest)
        es_text_add(out, "  %s\n", rest + 2);
}

static void explain_text(const es_json *r, es_text *out)
{
    explain_verdict(r, out);
    explain_speed(r, out);
    explain_list(cJSON_GetObjectItemCaseSensitive(r, "causes"), "where the time went", EXPLAIN_CAUSES, out);
    explain_list(cJSON_GetObjectItemCaseSensitive(r, "path"), "what made it as long as it is (critical path)", EXPLAIN_PATH, out);
    explain_free(r, out);
}

static es_code explain_show(const cmd_run_args *run, const es_json *result, es_err *err)
{
    char *json = run->json ? es_json_text(result) : NULL;
    es_text text = {0};
    if (run->json && !json)
        return es_err_nomem(err, "an explanation");
    if (json)
        fputs(json, stdout);
    else if (!run->quiet)
        explain_text(result, &text);
    free(json);
    return cmd_print(ES_OK, &text, err);
}

/* ---- a config or a result ---- */

typedef struct explain_from {   /* what is explained: a config; a result as well, or NULL, and where it is */
    es_config *config;
    es_json *result;
    es_text path;
} explain_from;

/* The whole report when the path leads to a result: a file of it, or the folder of `run --out`. */
static es_code explain_result(const cmd_run_args *run, explain_from *from, es_err *err)
{
    es_text_add(&from->path, "%s/result.json", run->files.at[0]);
    if (!from->path.failed && access(from->path.at, F_OK) != 0) {
        es_text_free(&from->path);
        es_text_add(&from->path, "%s", run->files.at[0]);
    }
    if (from->path.failed)
        return es_err_nomem(err, "the names");
    if (es_h5_is(from->path.at))
        return es_result_load(from->path.at, &from->result, err);
    if (es_json_load(&from->result, from->path.at, NULL) == ES_OK && es_json_at(from->result, "provenance.config"))
        return ES_OK;
    cJSON_Delete(from->result);                 /* a config; with a mistake it is named where it is read */
    from->result = NULL;
    return ES_OK;
}

/* A result that has the causes is not run again for them. */
static es_code explain_find(const cmd_run_args *run, bool what_if, explain_from *from, es_json **out, es_err *err)
{
    progress p;
    es_code code = from->result && !what_if && run->sets.count == 0 ? es_explain_kept(from->result, out, err) : ES_OK;
    if (code || *out)
        return code;
    code = from->result ? cmd_rerun_config(run, from->path.at, &from->config, err) : es_config_load(&from->config, from->path.at, run->sets.at, run->sets.count, err);
    if (code)
        return code;
    const es_progress *told = progress_begin(&p, es_config_name(from->config), run->quiet);
    code = es_explain_find(from->config, what_if, told, out, err);
    progress_end(&p);
    return code;
}

static es_code explain_one(const cmd_run_args *run, bool what_if, es_err *err)
{
    explain_from from = {0};
    es_json *explained = NULL;
    es_code code = explain_result(run, &from, err);
    if (code == ES_OK)
        code = explain_find(run, what_if, &from, &explained, err);
    if (code == ES_OK)
        code = explain_show(run, explained, err);
    cJSON_Delete(explained);
    cJSON_Delete(from.result);
    es_config_free(from.config);
    es_text_free(&from.path);
    return code;
}

static es_code explain_exec(int count, char **args, es_err *err)
{
    cmd_run_args run = {0};
    bool what_if = false;
    const cmd_flag flags[] = {
        {.name = "--set", .letter = "-s", .values = &run.sets},
        {.name = "--what-if", .on = &what_if},
        {.name = "--json", .on = &run.json},
        {.name = "--quiet", .letter = "-q", .on = &run.quiet},
        {0},
    };
    es_code code = cmd_parse(flags, count, args, &run.files, err);
    if (code == ES_OK && run.files.count != 1)
        code = cmd_misused(&cmd_explain, err, run.files.count ? "one at a time" : "which config or result?");
    if (code == ES_OK)
        code = explain_one(&run, what_if, err);
    cmd_run_free(&run);
    return code;
}

const cmd_entry cmd_explain = {
    .name = "explain",
    .usage = "CONFIG-or-RESULT [--what-if] [--set PATH=VALUE]... [--json] [--quiet]",
    .brief = "Say why a run takes as long as it does, and what would make it faster.",
    .help = "Runs it (a result, or the folder of one, is run again from what it came from, unless it has the observer attribution) and puts every nanosecond to one cause: compute, waiting for a\n"
            "copy, standing in a queue behind a guess, a demand or a write-back, room, management. Beside that the critical path: the\n"
            "chain of operations that made each token as long as it is. docs/explain.md has the words and the numbers of --json.\n"
            "\n"
            "  --what-if         run it once more for each thing that could be free: each channel, compute, prefetching, write-backs,\n"
            "                    management; how much faster is it then?\n"
            "  --set PATH=VALUE  change an option for this time, as for run\n"
            "  --json            print all numbers as JSON instead of 24 lines\n"
            "  --quiet           print nothing but errors\n",
    .exec = explain_exec,
};
