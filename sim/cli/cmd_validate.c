/* expertsim validate: what the model says beside what a machine does. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calib/environment.h"
#include "calib/perform.h"
#include "sim/base/file.h"
#include "sim/cli/cmd.h"
#include "sim/cli/progress.h"
#include "sim/study/validate.h"

typedef struct validate_args {
    cmd_words files, sets, options, plugin_files;
    es_plugins plugins;         /* whose probes are known, too */
    const char *backend, *policies, *repeat, *mode, *scale, *out, *timeline;
    bool json, quiet;

    es_validate_ask ask;        /* what they mean */
    const char *policy[ES_VALIDATE_POLICIES];
    char *split;                /* the text of policies, cut at its commas */
    es_json *option;            /* of the backend */
} validate_args;

enum { VALIDATE_TIMELINE = 50000000 };     /* bytes: a tab of a browser holds little more */

/* ---- the folder of the logs ---- */

/* Without --out the logs lie in a folder that is ours alone and goes away. */
static es_code folder_new(const validate_args *a, es_text *folder, es_err *err)
{
    if (a->out) {
        es_text_add(folder, "%s", a->out);
        return *a->out ? es_file_make_dirs(a->out, err) : es_err_set(err, ES_EINPUT, "--out: the name of a folder is empty");
    }
    return es_file_make_scratch("validate", folder, err);
}

static void folder_end(const validate_args *a, const char *folder)
{
    DIR *all = a->out ? NULL : opendir(folder);
    for (struct dirent *one; all && (one = readdir(all)) != NULL;)
        if (one->d_name[0] != '.')
            unlinkat(dirfd(all), one->d_name, 0);
    if (all) {
        closedir(all);
        rmdir(folder);
    }
}

/* ---- the machine ---- */

typedef struct validate_machine {
    const char *backend;
    const es_json *options;
    const es_plugins *plugins;
    const validate_args *args;
    const char *folder;         /* of the logs */
    perform *perform;
} validate_machine;

/* The logs are in memory by now: who interrupts the machine leaves no folder behind. */
static es_code machine_open(void *self, const es_actions *const *logs, size_t count, bool overlapped, es_err *err)
{
    validate_machine *m = self;
    folder_end(m->args, m->folder);
    perform_ask ask = {.backend = m->backend, .options = m->options, .plugins = m->plugins, .logs = logs, .count = count, .overlapped = overlapped, .seed = 1};
    return perform_open(&m->perform, &ask, err);
}

static bool machine_computes(void *self)
{
    return perform_computes(((validate_machine *)self)->perform);
}

static es_code machine_run(void *self, size_t log, es_action_run *run, es_err *err)
{
    return perform_run(((validate_machine *)self)->perform, log, run, err);
}

static void machine_environment(void *self, es_json *out)
{
    validate_machine *m = self;
    es_json_add_text(out, "backend", m->backend);
    environment_add(out);
    perform_environment(m->perform, out);
}

static void machine_close(void *self)
{
    validate_machine *m = self;
    perform_close(m->perform);
    m->perform = NULL;
}

/* ---- what the arguments mean ---- */

static es_code args_policies(validate_args *a, es_err *err)
{
    if (!a->policies)
        return ES_OK;
    if (!(a->split = strdup(a->policies)))
        return es_err_nomem(err, "the policies");
    for (char *at = a->split, *comma; at; at = comma) {
        if ((comma = strchr(at, ',')) != NULL)
            *comma++ = '\0';
        if (!*at)
            return es_err_set(err, ES_EINPUT, "--policies: found \"%s\", needs names with commas between, such as lru,random", a->policies);
        if (a->ask.policy_count == ES_VALIDATE_POLICIES)
            return es_err_set(err, ES_EINPUT, "--policies: more than %d of them", ES_VALIDATE_POLICIES);
        a->policy[a->ask.policy_count++] = at;
    }
    return ES_OK;
}

static es_code args_number(const char *flag, const char *text, double least, double most, double *out, es_err *err)
{
    char *end;
    double value = text ? strtod(text, &end) : *out;
    if (text && (end == text || *end || !(value >= least && value <= most)))
        return es_err_set(err, ES_EINPUT, "%s: found \"%s\", needs a number from %g to %g", flag, text, least, most);
    *out = value;
    return ES_OK;
}

static es_code args_mode(validate_args *a, es_err *err)
{
    static const char *const modes[] = {"serial", "overlapped", "both"};
    const char *mode = a->mode ? a->mode : "both";
    a->ask.serial = strcmp(mode, "overlapped") != 0;
    a->ask.overlapped = strcmp(mode, "serial") != 0;
    for (int i = 0; i < 3; i++)
        if (strcmp(mode, modes[i]) == 0)
            return ES_OK;
    return es_err_set(err, ES_EINPUT, "--mode: found \"%s\", needs serial, overlapped or both", mode);
}

/* KEY=VALUE of the backend; what is no JSON is a text. */
static es_code args_option(validate_args *a, const char *set, es_err *err)
{
    const char *equals = strchr(set, '=');
    char key[64];
    if (!equals || equals == set || (size_t)(equals - set) >= sizeof key)
        return es_err_set(err, ES_EINPUT, "--option: found \"%s\", needs KEY=VALUE, such as folder=/data", set);
    memcpy(key, set, (size_t)(equals - set));
    key[equals - set] = '\0';
    es_json *value = NULL;
    if (es_json_parse(&value, equals + 1, strlen(equals + 1), NULL) != ES_OK)
        value = cJSON_CreateString(equals + 1);
    return value ? es_json_put(a->option, key, value, err) : es_err_nomem(err, "an option");
}

static es_code args_mean(validate_args *a, es_err *err)
{
    double repeat = 5.0, scale = 1.0;
    if (a->files.count != 1)
        return cmd_misused(&cmd_validate, err, a->files.count ? "one config" : "which file?");
    if (!a->backend)
        return cmd_misused(&cmd_validate, err, "--backend is missing: host, cuda or fake");
    es_code code = (a->option = cJSON_CreateObject()) ? args_policies(a, err) : es_err_nomem(err, "the options");
    if (code == ES_OK)
        code = args_number("--repeat", a->repeat, 2.0, ES_VALIDATE_REPEATS, &repeat, err);
    if (code == ES_OK && repeat != floor(repeat))
        code = es_err_set(err, ES_EINPUT, "--repeat: found \"%s\", needs a whole number", a->repeat);
    if (code == ES_OK)
        code = args_number("--scale", a->scale, 1e-6, 1e6, &scale, err);
    if (code == ES_OK)
        code = args_mode(a, err);
    for (size_t i = 0; i < a->options.count && code == ES_OK; i++)
        code = args_option(a, a->options.at[i], err);
    a->ask.config = a->files.at[0];
    a->ask.sets = a->sets.at;
    a->ask.set_count = a->sets.count;
    a->ask.policies = a->policy;
    a->ask.repeat = (size_t)repeat;
    a->ask.scale = scale;
    return code;
}

/* ---- the command ---- */

static void validate_tell(void *self, const char *what, size_t done, size_t of)
{
    progress_say(self, "validate: %s, %zu of %zu performances", what, done, of);
}

static es_code validate_save(const es_json *result, const char *folder, es_err *err)
{
    es_text path = {0};
    char *text = es_json_text(result);
    es_text_add(&path, "%s/validate.json", folder);
    es_code code = text && !path.failed ? es_file_save(path.at, text, strlen(text), err) : es_err_nomem(err, "the result");
    free(text);
    es_text_free(&path);
    return code;
}

static es_code validate_show(const validate_args *a, const es_json *result, es_err *err)
{
    es_text text = {0};
    if (a->json) {
        char *all = es_json_text(result);
        es_text_add(&text, "%s", all ? all : "");
        text.failed |= !all;
        free(all);
    } else if (!a->quiet) {
        es_validate_text(result, &text);
    }
    return cmd_print(ES_OK, &text, err);
}

static es_code validate_go(validate_args *a, es_err *err)
{
    es_text folder = {0};
    es_json *result = NULL;
    progress bar;
    validate_machine performer = {.backend = a->backend, .options = a->option, .plugins = &a->plugins, .args = a};
    const es_validate_machine machine = {&performer, machine_open, machine_computes, machine_run, machine_environment, machine_close};
    es_code code = folder_new(a, &folder, err);
    if (code == ES_OK) {
        const bool shows = progress_begin(&bar, "validate", a->quiet || a->json) != NULL;
        a->ask.folder = performer.folder = folder.at;
        a->ask.timeline = a->timeline;
        a->ask.timeline_limit = VALIDATE_TIMELINE;
        a->ask.machine = &machine;
        a->ask.tell = shows ? validate_tell : NULL;
        a->ask.tell_self = &bar;
        const environment_span span = environment_begin();
        code = es_validate(&a->ask, &result, err);
        if (code == ES_OK && strcmp(a->backend, "fake") != 0)      /* whose time is not this machine's */
            environment_end(&span, cJSON_GetObjectItemCaseSensitive(result, "environment"));
        progress_end(&bar);
        folder_end(a, folder.at);
    }
    if (code == ES_OK && a->out)
        code = validate_save(result, a->out, err);
    if (code == ES_OK)
        code = validate_show(a, result, err);
    if (code == ES_OK)
        code = es_validate_verdict(result, err);
    cJSON_Delete(result);
    es_text_free(&folder);
    return code;
}

static es_code validate_exec(int count, char **args, es_err *err)
{
    validate_args a = {0};
    const cmd_flag flags[] = {
        {.name = "--backend", .value = &a.backend}, {.name = "--plugin", .values = &a.plugin_files}, {.name = "--policies", .value = &a.policies}, {.name = "--repeat", .value = &a.repeat},
        {.name = "--mode", .value = &a.mode}, {.name = "--scale", .value = &a.scale}, {.name = "--set", .letter = "-s", .values = &a.sets},
        {.name = "--option", .values = &a.options}, {.name = "--out", .letter = "-o", .value = &a.out}, {.name = "--timeline", .value = &a.timeline}, {.name = "--json", .on = &a.json},
        {.name = "--quiet", .letter = "-q", .on = &a.quiet}, {0},
    };
    es_code code = cmd_parse(flags, count, args, &a.files, err);
    if (code == ES_OK)
        code = args_mean(&a, err);
    if (code == ES_OK)
        code = cmd_plugins(&a.plugins, &a.plugin_files, err);
    if (code == ES_OK)
        code = validate_go(&a, err);
    cJSON_Delete(a.option);
    es_plugins_free(&a.plugins);
    free(a.plugin_files.at);
    free(a.split);
    free(a.files.at);
    free(a.sets.at);
    free(a.options.at);
    return code;
}

const cmd_entry cmd_validate = {
    .name = "validate",
    .usage = "CONFIG --backend NAME [--policies A,B] [--repeat 5] [--mode serial|overlapped|both] [--scale X] [--json] [--out DIR] [--timeline FILE]",
    .brief = "Hold the model against a machine: perform what policies decide, and compare.",
    .help = "Each policy decides without a clock; what it decided is performed on the machine, all policies in turns, and timed by the\n"
            "config's channels. Beside every error stands what the machine differs from itself.\n"
            "\n"
            "  --backend NAME    what performs: host, cuda or fake; `expertsim list probe`\n"
            "  --plugin FILE.so  a probe of your own, for --backend; docs/tutorial-probe.md; may be repeated\n"
            "  --policies A,B    up to 8 to compare and rank; otherwise the config's own\n"
            "  --repeat N        performances of each, 5 by default; one more goes before and does not count\n"
            "  --mode MODE       serial (one thing after another), overlapped (a queue for each way), or both, the default\n"
            "  --scale X         all experts X times as large, where the machine has not the memory\n"
            "  --set PATH=VALUE  change an option of the config\n"
            "  --option KEY=VALUE  an option of the backend: folder=/data is where the disk is\n"
            "  --out DIR         keep the action logs and DIR/validate.json\n"
            "  --timeline FILE   draw the last performance beside what the model says of it; ui.perfetto.dev opens it\n"
            "  --json, --quiet   print the result as JSON, or nothing\n"
            "\n"
            "A median error, B its p95, C bias of the total, D distribution, E ranking, F classes of steps; docs/validation.md has the bounds.\n"
            "Exit code 5 when one of them is not met; where the machine differs from itself by more than 10 % they are invalid, not failed.\n",
    .exec = validate_exec,
};
