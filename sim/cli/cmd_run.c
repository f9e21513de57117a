/* expertsim run: simulates configs and says what came out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/cli/cmd.h"
#include "sim/cli/progress.h"
#include "sim/study/result.h"

es_code cmd_run_parse(const cmd_entry *cmd, cmd_run_args *run, int count, char **args, es_err *err)
{
    const cmd_flag flags[] = {
        {.name = "--set", .letter = "-s", .values = &run->sets},
        {.name = "--out", .letter = "-o", .value = &run->out},
        {.name = "--timeline", .value = &run->timeline},
        {.name = "--window", .value = &run->window},
        {.name = "--json", .on = &run->json},
        {.name = "--quiet", .letter = "-q", .on = &run->quiet},
        {.name = "--volatile", .on = &run->with_volatile},
        {0},
    };
    es_code code = cmd_parse(flags, count, args, &run->files, err);
    if (code == ES_OK && run->files.count == 0)
        code = cmd_misused(cmd, err, "which file?");
    if (code == ES_OK && run->out && !*run->out)
        code = es_err_set(err, ES_EINPUT, "--out: the name of a folder is empty");
    if (code == ES_OK && run->window && !run->timeline)
        code = es_err_set(err, ES_EINPUT, "--window: says what of the run --timeline FILE draws, which is missing");
    if (code == ES_OK && run->timeline && run->files.count > 1)
        code = es_err_set(err, ES_EINPUT, "--timeline: is of one run, here are %zu configs", run->files.count);
    return code;
}

void cmd_run_free(cmd_run_args *run)
{
    free(run->files.at);
    free(run->sets.at);
}

static es_code run_show(const cmd_run_args *run, const es_json *result, const char *dir, es_err *err)
{
    if (run->json) {
        char *text = es_result_text(result, run->with_volatile);
        if (!text)
            return es_err_nomem(err, "the result");
        fputs(text, stdout);
        free(text);
    } else if (!run->quiet) {
        es_text text = {0};
        cmd_summary(result, dir, &text);
        if (text.failed) {
            es_text_free(&text);
            return es_err_nomem(err, "the summary");
        }
        fputs(text.at, stdout);
        es_text_free(&text);
    }
    return ES_OK;
}

/* --timeline and --window, as the observer that draws. */
static es_code run_timeline(const cmd_run_args *run, es_config *config, es_err *err)
{
    es_json *observer = run->timeline ? cJSON_CreateObject() : NULL;
    if (!run->timeline)
        return ES_OK;
    if (!observer)
        return es_err_nomem(err, "an observer");
    es_json_add_text(observer, "name", "timeline");
    es_json_add_text(observer, "path", run->timeline);
    if (run->window)
        es_json_add_text(observer, "window", run->window);
    es_code code = es_config_observe(config, "--timeline", observer, err);
    cJSON_Delete(observer);
    return code;
}

es_code cmd_run_one(const cmd_run_args *run, struct es_config *config, const char *dir, es_err *err)
{
    progress p;
    es_json *result = NULL;
    es_run *kept = NULL;
    const es_progress *told = progress_begin(&p, es_config_name(config), run->quiet);
    es_code code = dir ? es_file_make_dirs(dir, err) : ES_OK;       /* better known before the run than after it */
    if (code == ES_OK)
        code = run_timeline(run, config, err);
    if (code == ES_OK)
        code = es_result_run(config, told, dir ? &kept : NULL, &result, err);
    progress_end(&p);
    if (code == ES_OK && run->timeline && !es_json_at(result, "timeline"))
        code = es_err_set(err, ES_EINPUT, "--timeline: a trace of buffers has steps and experts no more than it has a timeline");
    es_code shown = ES_OK;
    if (result) {
        es_err other = {0};
        es_result_add_volatile(result, progress_seconds(&p));
        if (dir)
            shown = es_result_save(result, kept, dir, &other);
        if (shown == ES_OK)
            shown = run_show(run, result, dir, &other);
        if (shown && !code)
            *err = other;
    }
    es_run_free(kept);
    cJSON_Delete(result);
    es_config_free(config);
    return code ? code : shown;
}

/* A config's name is any text, here it is a folder's: it must not lead elsewhere. */
static void run_folder_name(const char *name, es_text *out)
{
    for (const char *c = name; *c; c++)
        es_text_add(out, "%c", *c == '/' || (*c == '.' && c == name) ? '_' : *c);
}

/* Where the i-th of several results goes: DIR, or DIR/NAME when there are several, or DIR/NAME-3 when the name was there before. */
static char *run_dir(const cmd_run_args *run, const es_config *config, size_t i, char **dirs)
{
    es_text dir = {0};
    if (!run->out)
        return NULL;
    es_text_add(&dir, "%s", run->out);
    if (run->files.count > 1) {
        es_text_add(&dir, "/");
        run_folder_name(es_config_name(config), &dir);
    }
    for (size_t k = 0; k < i && dir.at; k++)
        if (dirs[k] && strcmp(dirs[k], dir.at) == 0) {
            es_text_add(&dir, "-%zu", i + 1);
            break;
        }
    return dir.at;
}

typedef struct run_list {       /* of each config given */
    es_config **config;
    char **dir;
} run_list;

/* All are read before the first one runs: a mistake in the last should not cost the time of the others. */
static es_code run_load(const cmd_run_args *run, run_list *list, es_err *err)
{
    es_code code = ES_OK;
    for (size_t i = 0; i < run->files.count && code == ES_OK; i++) {
        code = es_config_load(&list->config[i], run->files.at[i], run->sets.at, run->sets.count, err);
        if (code == ES_OK)
            list->dir[i] = run_dir(run, list->config[i], i, list->dir);
    }
    return code;
}

static es_code run_each(const cmd_run_args *run, run_list *list, es_err *err)
{
    es_code code = ES_OK;
    for (size_t i = 0; i < run->files.count && code == ES_OK; i++) {
        if (i > 0 && !run->json && !run->quiet)
            putchar('\n');
        es_config *config = list->config[i];
        list->config[i] = NULL;
        code = cmd_run_one(run, config, list->dir[i], err);
    }
    return code;
}

static es_code run_exec(int count, char **args, es_err *err)
{
    cmd_run_args run = {0};
    run_list list = {0};
    es_code code = cmd_run_parse(&cmd_run, &run, count, args, err);
    if (code == ES_OK) {
        list.config = calloc(run.files.count, sizeof *list.config);
        list.dir = calloc(run.files.count, sizeof *list.dir);
        code = list.config && list.dir ? run_load(&run, &list, err) : es_err_nomem(err, "the configs");
    }
    if (code == ES_OK)
        code = run_each(&run, &list, err);
    for (size_t i = 0; i < run.files.count; i++) {
        if (list.config)
            es_config_free(list.config[i]);
        if (list.dir)
            free(list.dir[i]);
    }
    free(list.config);
    free(list.dir);
    cmd_run_free(&run);
    return code;
}

const cmd_entry cmd_run = {
    .name = "run",
    .usage = "CONFIG... [--set PATH=VALUE]... [--out DIR] [--timeline FILE [--window WINDOW]] [--json] [--quiet] [--volatile]",
    .brief = "Simulate a config: how fast, how many hits, where the time went.",
    .help = "A config is a JSON file that names a trace, a machine and a policy; configs/quickstart.json is a first one to copy.\n"
            "Several configs run one after another.\n"
            "\n"
            "  --set PATH=VALUE  change an option for this time: --set policy=lfu --set tiers.cache.capacity=8GiB\n"
            "                    (what there is to set: expertsim describe, expertsim list)\n"
            "  --out DIR         keep the result: DIR/result.json and DIR/result.h5 (DIR/NAME/ for several configs)\n"
            "  --timeline FILE   draw what happened when, to be opened in ui.perfetto.dev; a name ending in .gz is compressed\n"
            "  --window WINDOW   of the run only this: 1ms..3ms, steps=100..120, tokens=500..510 or requests=3\n"
            "  --json            print the whole result as JSON instead of the summary\n"
            "  --volatile        with --json: date, host and wall time too\n"
            "  --quiet           print nothing but errors\n",
    .exec = run_exec,
};
