/* expertsim rerun: simulates again what a result came from. The same bytes must come out. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/cli/cmd.h"
#include "sim/study/result.h"

/* The trace's path is relative to where the result was made: says so when it is not found here. */
static es_code rerun_where(const es_json *config, const char *dir, es_err *err)
{
    const es_json *path = es_json_at(config, "trace.path");
    if (!cJSON_IsString(path) || access(path->valuestring, R_OK) == 0)
        return ES_OK;
    if (!dir)
        return es_err_set(err, ES_EINPUT, "the trace %s is not here; run it again where the result was made, or give --set trace.path=FILE", path->valuestring);
    return es_err_set(err, ES_EINPUT, "the trace %s is not here; the result was made in %s: run it again there, or give --set trace.path=FILE", path->valuestring, dir);
}

static bool rerun_sets_trace(const cmd_run_args *run)
{
    for (size_t i = 0; i < run->sets.count; i++)
        if (strncmp(run->sets.at[i], "trace", 5) == 0)
            return true;
    return false;
}

es_code cmd_rerun_config(const cmd_run_args *run, const char *path, struct es_config **config, es_err *err)
{
    es_json *tree = NULL, *input = NULL;
    char *dir = NULL;
    es_code code = es_result_config(path, &tree, &input, &dir, err);
    if (code == ES_OK && !rerun_sets_trace(run) && (code = rerun_where(tree, dir, err)) != ES_OK)
        es_err_at(err, "%s", path);
    if (code == ES_OK)
        code = es_config_from(config, tree, path, run->sets.at, run->sets.count, err);
    if (code == ES_OK && input && (code = es_config_inherit(*config, input, err)) != ES_OK)
        es_err_at(err, "%s", path);
    cJSON_Delete(tree);
    cJSON_Delete(input);
    free(dir);
    if (code) {
        es_config_free(*config);
        *config = NULL;
    }
    return code;
}

static es_code rerun_one(const cmd_run_args *run, const char *path, es_err *err)
{
    es_config *config = NULL;
    es_code code = cmd_rerun_config(run, path, &config, err);
    return code ? code : cmd_run_one(run, config, run->out, err);
}

static es_code rerun_exec(int count, char **args, es_err *err)
{
    cmd_run_args run = {0};
    es_code code = cmd_run_parse(&cmd_rerun, &run, count, args, err);
    if (code == ES_OK && run.files.count > 1)
        code = cmd_misused(&cmd_rerun, err, "one result at a time");
    if (code == ES_OK)
        code = rerun_one(&run, run.files.at[0], err);
    cmd_run_free(&run);
    return code;
}

const cmd_entry cmd_rerun = {
    .name = "rerun",
    .usage = "RESULT [--set PATH=VALUE]... [--out DIR] [--timeline FILE [--window WINDOW]] [--json] [--quiet] [--volatile]",
    .brief = "Simulate again what a result.json or result.h5 came from.",
    .help = "The config is the one in the result, with every default it had; the same trace gives the same bytes.\n"
            "Options as for run; with --set it answers \"and if this one thing were different?\"\n",
    .exec = rerun_exec,
};
