/* expertsim verdict: is it the policy, the size, the link or compute? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/cli/cmd.h"
#include "sim/cli/progress.h"
#include "sim/study/verdict.h"

static es_code verdict_save(const char *dir, const char *text, es_err *err)
{
    es_text path = {0};
    es_text_add(&path, "%s/verdict.json", dir);
    es_code code = path.failed ? es_err_nomem(err, "a verdict") : es_file_save(path.at, text, strlen(text), err);
    es_text_free(&path);
    return code;
}

static es_code verdict_show(const cmd_run_args *run, const es_json *result, es_err *err)
{
    char *text = es_json_text(result);
    if (!text)
        return es_err_nomem(err, "a verdict");
    es_code code = run->out ? verdict_save(run->out, text, err) : ES_OK;
    const es_json *line;
    if (code == ES_OK && run->json)
        fputs(text, stdout);
    else if (code == ES_OK && !run->quiet)
        cJSON_ArrayForEach(line, es_json_at(result, "sentences")) puts(line->valuestring);
    free(text);
    return code;
}

static es_code verdict_one(const cmd_run_args *run, es_err *err)
{
    es_config *config = NULL;
    es_json *result = NULL;
    progress p;
    es_code code = es_config_load(&config, run->files.at[0], run->sets.at, run->sets.count, err);
    if (code)
        return code;
    const es_progress *told = progress_begin(&p, es_config_name(config), run->quiet);
    code = run->out ? es_file_make_dirs(run->out, err) : ES_OK;
    if (code == ES_OK)
        code = es_verdict_find(config, told, &result, err);
    progress_end(&p);
    if (code == ES_OK)
        code = verdict_show(run, result, err);
    cJSON_Delete(result);
    es_config_free(config);
    return code;
}

static es_code verdict_exec(int count, char **args, es_err *err)
{
    cmd_run_args run = {0};
    es_code code = cmd_run_parse(&cmd_verdict, &run, count, args, err);
    if (code == ES_OK && run.files.count > 1)
        code = cmd_misused(&cmd_verdict, err, "one config at a time");
    if (code == ES_OK)
        code = verdict_one(&run, err);
    cmd_run_free(&run);
    return code;
}

const cmd_entry cmd_verdict = {
    .name = "verdict",
    .usage = "CONFIG [--set PATH=VALUE]... [--out DIR] [--json] [--quiet]",
    .brief = "Say what is to be changed: policy, size, layer split, link, compute, or nothing.",
    .help = "Runs the config, runs it once more for each tier with one GiB more of it, and compares these\n"
            "with who knows the future. docs/verdict.md has the rule that decides and the numbers of --json.\n"
            "\n"
            "  --set PATH=VALUE  change an option for this time, as for run\n"
            "  --out DIR         keep the verdict: DIR/verdict.json\n"
            "  --json            print all numbers as JSON instead of sentences\n"
            "  --quiet           print nothing but errors\n",
    .exec = verdict_exec,
};
