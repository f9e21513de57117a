/* expertsim report: a result as one HTML file for people. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plots/report.h"
#include "sim/base/file.h"
#include "sim/base/h5.h"
#include "sim/cli/cmd.h"
#include "sim/cli/report_draw.h"
#include "sim/study/config.h"
#include "sim/study/result.h"
#include "sim/study/sweep.h"

typedef struct report_args {
    cmd_words words;
    const char *out;
    bool quiet;
    report_ask ask;
    es_json *result, *verdict, *explained;
    es_text folder;             /* that the result lies in */
    es_text beside;             /* the verdict.json there; empty: there is none */
    report_draw draw;
} report_args;

/* ---- what the path is ---- */

static bool report_there(const char *folder, const char *name, es_text *path)
{
    es_text_free(path);
    es_text_add(path, "%s/%s", folder, name);
    return !path->failed && access(path->at, R_OK) == 0;
}

/* The file's folder, as a path; the folder itself where it is one. */
static void report_folder(const char *path, bool file, es_text *folder)
{
    const char *slash = strrchr(path, '/');
    if (!file)
        es_text_add(folder, "%s", path);
    else if (slash)
        es_text_put(folder, path, slash == path ? 1 : (size_t)(slash - path));
    else
        es_text_add(folder, ".");
    while (folder->length > 1 && folder->at[folder->length - 1] == '/')
        folder->at[--folder->length] = '\0';
}

static es_code report_unknown(const char *path, es_err *err)
{
    return es_err_set(err, ES_EINPUT, "%s: is no result; needs what `expertsim run --out`, `expertsim compare --out` or `expertsim sweep run -o` wrote: the folder, result.json,"
        " result.h5 or compare.json", path);
}

/* A file of JSON is what is in it. */
static es_code report_take_json(report_args *a, const char *path, es_err *err)
{
    es_code code = es_json_load(&a->result, path, err);
    if (code)
        return code;
    if (cJSON_IsArray(es_json_at(a->result, "groups")) && es_json_at(a->result, "metric"))
        a->ask.kind = REPORT_COMPARISON;
    else if (cJSON_IsObject(es_json_at(a->result, "provenance")))
        a->ask.kind = REPORT_RUN;
    else
        code = report_unknown(path, err);
    return code;
}

static es_code report_take_folder(report_args *a, const char *folder, es_err *err)
{
    es_text path = {0};
    es_code code;
    if (report_there(folder, "plan.json", &path)) {
        a->ask.kind = REPORT_SWEEP;
        code = es_sweep_table(folder, &a->result, err);
    } else if (report_there(folder, "compare.json", &path) || report_there(folder, "result.json", &path)) {
        code = report_take_json(a, path.at, err);
    } else if (report_there(folder, "result.h5", &path)) {
        code = es_result_load(path.at, &a->result, err);
    } else {
        code = access(folder, F_OK) == 0 ? report_unknown(folder, err) : es_err_set(err, ES_EINPUT, "%s: is not there", folder);
    }
    es_text_free(&path);
    return code;
}

static bool report_is_folder(const char *path)
{
    es_text inside = {0};
    const bool folder = report_there(path, ".", &inside);
    es_text_free(&inside);
    return folder;
}

/* What other commands found of the same config, and the user kept beside the result. */
static es_code report_take_beside(report_args *a, es_err *err)
{
    es_text explained = {0};
    es_code code = report_there(a->folder.at, "explain.json", &explained) ? es_json_load(&a->explained, explained.at, err) : ES_OK;
    es_text_free(&explained);
    if (code == ES_OK && report_there(a->folder.at, "verdict.json", &a->beside))
        return es_json_load(&a->verdict, a->beside.at, err);
    es_text_free(&a->beside);
    return code;
}

static es_code report_take(report_args *a, const char *path, es_err *err)
{
    const bool folder = report_is_folder(path) || access(path, F_OK) != 0;
    report_folder(path, !folder, &a->folder);
    es_code code = a->folder.failed ? es_err_nomem(err, "a path") : folder ? report_take_folder(a, a->folder.at, err)
        : es_h5_is(path)                                                   ? es_result_load(path, &a->result, err)
                                                                           : report_take_json(a, path, err);
    return code || a->ask.kind != REPORT_RUN ? code : report_take_beside(a, err);
}

/* ---- the page ---- */

/* What a switch of the contract means, from the table that describes it. */
static const char *report_meaning(const char *key)
{
    const es_config_table *table;
    for (size_t i = 0; (table = es_config_table_at(i)) != NULL; i++)
        if (strcmp(table->key, "contract") == 0) {
            const es_option *option = es_options_find(table->options, key);
            return option ? option->help : NULL;
        }
    return NULL;
}

static es_code report_save(const report_args *a, const es_text *page, es_err *err)
{
    es_text path = {0};
    if (a->out && strcmp(a->out, "-") == 0) {
        fwrite(page->at, 1, page->length, stdout);
        return ES_OK;
    }
    es_text_add(&path, "%s%s", a->out ? a->out : a->folder.at, a->out ? "" : "/report.html");
    es_code code = path.failed ? es_err_nomem(err, "a path") : es_file_save(path.at, page->at, page->length, err);
    if (code == ES_OK && !a->quiet)
        printf("%s\n", path.at);
    es_text_free(&path);
    return code;
}

static es_code report_go(report_args *a, const char *path, es_err *err)
{
    es_text page = {0};
    es_code code = report_take(a, path, err);
    if (code == ES_OK)
        code = report_draw_all(&a->draw, a->ask.kind, path, a->beside.at, err);
    if (code == ES_OK) {
        a->ask.figure = a->draw.figure;
        a->ask.figures = a->draw.count;
        a->ask.undrawn = a->draw.undrawn.at;
        a->ask.result = a->result;
        a->ask.verdict = a->verdict;
        a->ask.explained = a->explained;
        a->ask.path = path;
        a->ask.meaning = report_meaning;
        report_write(&a->ask, &page);
        code = page.failed ? es_err_nomem(err, "the report") : report_save(a, &page, err);
    }
    es_text_free(&page);
    cJSON_Delete(a->result);
    cJSON_Delete(a->verdict);
    cJSON_Delete(a->explained);
    es_text_free(&a->folder);
    es_text_free(&a->beside);
    report_draw_free(&a->draw);
    return code;
}

static es_code report_exec(int count, char **args, es_err *err)
{
    report_args a = {0};
    const cmd_flag flags[] = {
        {.name = "--out", .letter = "-o", .value = &a.out},
        {.name = "--quiet", .letter = "-q", .on = &a.quiet},
        {0},
    };
    es_code code = cmd_parse(flags, count, args, &a.words, err);
    if (code == ES_OK && a.words.count != 1)
        code = cmd_misused(&cmd_report, err, a.words.count ? "one result at a time" : "which result?");
    if (code == ES_OK && a.out && !*a.out)
        code = es_err_set(err, ES_EINPUT, "--out: the name of a file is empty");
    if (code == ES_OK)
        code = report_go(&a, a.words.at[0], err);
    free(a.words.at);
    return code;
}

const cmd_entry cmd_report = {
    .name = "report",
    .usage = "RESULT [--out FILE] [--quiet]",
    .brief = "Make one HTML file of a result: what it means, figures, all numbers, how to make it again.",
    .help = "RESULT is what `run --out`, `compare --out` or `sweep run -o` wrote: the folder, result.json, result.h5 or\n"
            "compare.json. A verdict.json (`verdict --out`) and explain.json (`explain --json`) beside a result are part of its\n"
            "report. The file takes nothing from the network and shows the same to everyone it is sent to. gnuplot draws the\n"
            "figures; without it they are left out, and a line says so. docs/report.md says what stands where.\n"
            "\n"
            "  --out FILE        the file; absent: report.html beside the result; - is standard output\n"
            "  --quiet           print nothing but errors\n",
    .exec = report_exec,
};
