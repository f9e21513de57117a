/* expertsim calibrate: measures a machine and writes the profile that configs include. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calib/calibrate.h"
#include "calib/fit.h"
#include "calib/pictures.h"
#include "calib/report.h"
#include "calib/save.h"
#include "models/profile.h"
#include "models/shape.h"
#include "sim/base/file.h"
#include "sim/cli/cmd.h"
#include "sim/cli/progress.h"

enum { CALIBRATE_EXPERTS = 32, CALIBRATE_KINDS = 8, CALIBRATE_RESAMPLES = 100000 };

typedef struct calibrate_args {
    cmd_words words, sets, experts, kinds, files;
    const char *backend, *budget, *most, *out, *name, *model, *seed, *plots, *resamples;
    bool quick, quiet, json;
    int count;                  /* as it was called, for the profile */
    char **args;

    calibrate_ask ask;          /* what they mean */
    es_plugins plugins;
    es_json *options;
    int64_t expert[CALIBRATE_EXPERTS];
    report_kind kind[CALIBRATE_KINDS];
    char link[CALIBRATE_KINDS][32];
    report_ask report;
} calibrate_args;

/* ---- what the arguments mean ---- */

static es_code args_quantity(const char *flag, const char *text, es_unit unit, int64_t *out, es_err *err)
{
    double value = 0.0;
    if (!text)
        return ES_OK;
    es_code code = es_text_quantity(text, unit, &value, err);
    if (code == ES_OK && !(value >= 1.0))
        code = es_err_set(err, ES_EINPUT, "\"%s\" must be above 0", text);
    if (code == ES_OK && !(value <= 9e18))
        code = es_err_set(err, ES_EINPUT, "\"%s\" is too much", text);
    *out = (int64_t)value;
    return code ? (es_err_at(err, "%s", flag), code) : ES_OK;
}

static es_code args_whole(const char *flag, const char *text, int64_t most, int64_t *out, es_err *err)
{
    char *end;
    if (!text)
        return ES_OK;
    errno = 0;
    *out = strtoll(text, &end, 10);
    if (*end || end == text || errno || *out < 0 || *out > most)
        return es_err_set(err, ES_EINPUT, "%s: found \"%s\", needs a whole number up to %lld", flag, text, (long long)most);
    return ES_OK;
}

/* KEY=VALUE; what is no JSON is a text. */
static es_code args_set(calibrate_args *a, const char *set, es_err *err)
{
    const char *equals = strchr(set, '=');
    char key[64];
    if (!equals || equals == set || (size_t)(equals - set) >= sizeof key)
        return es_err_set(err, ES_EINPUT, "--set: found \"%s\", needs KEY=VALUE, such as folder=/data", set);
    memcpy(key, set, (size_t)(equals - set));
    key[equals - set] = '\0';
    es_json *value = NULL;
    if (es_json_parse(&value, equals + 1, strlen(equals + 1), NULL) != ES_OK)
        value = cJSON_CreateString(equals + 1);
    return value ? es_json_put(a->options, key, value, err) : es_err_nomem(err, "an option");
}

/* Links are what stands before the point in names of rows. */
static bool is_link(const char *name, size_t length)
{
    bool is = false;
    for (size_t row = 0; row < CALIB_ROWS; row++)
        is |= strcspn(calib_rows[row].name, ".") == length && strncmp(calib_rows[row].name, name, length) == 0;
    return is;
}

static es_code args_kind(calibrate_args *a, const char *text, es_err *err)
{
    const char *equals = strchr(text, '=');
    size_t length = equals ? (size_t)(equals - text) : 0, at = a->report.kinds;
    if (length && !is_link(text, length))
        return es_err_set(err, ES_EINPUT, "--kind: \"%.*s\" is no link that is measured; there are pcie, device, host, disk, dram and others of `expertsim calibrate show`", (int)length, text);
    if (!length || length >= sizeof a->link[0])
        return es_err_set(err, ES_EINPUT, "--kind: found \"%s\", needs LINK=KIND, such as pcie=pcie4_x16", text);
    if (at == CALIBRATE_KINDS)
        return es_err_set(err, ES_EINPUT, "--kind: more than %d of them", CALIBRATE_KINDS);
    memcpy(a->link[at], text, length);
    a->kind[at] = (report_kind){a->link[at], equals + 1};
    a->report.kinds++;
    double most;
    es_code code = es_profile_ceiling(equals + 1, &most, err);
    return code ? (es_err_at(err, "--kind"), code) : ES_OK;
}

static es_code args_expert(calibrate_args *a, int64_t bytes, es_err *err)
{
    if (a->ask.plan.experts == CALIBRATE_EXPERTS)
        return es_err_set(err, ES_EINPUT, "--expert: more than %d sizes", CALIBRATE_EXPERTS);
    a->expert[a->ask.plan.experts++] = bytes;
    return ES_OK;
}

/* The sizes that a model's experts have, in every precision its shape knows. */
static es_code args_model(calibrate_args *a, es_err *err)
{
    es_json *json = NULL;
    es_arena arena = {0};
    es_shape shape;
    if (!a->model)
        return ES_OK;
    es_code code = es_json_load(&json, a->model, err);
    if (code == ES_OK && (code = es_shape_parse(&shape, json, NULL, &arena, err)) != ES_OK)
        es_err_at(err, "%s", a->model);
    for (size_t i = 0; code == ES_OK && i < shape.sizes; i++) {
        int64_t bytes = 0;
        if (es_shape_bytes(&shape, shape.size[i].precision, 0, &bytes, NULL) == ES_OK)
            code = args_expert(a, bytes, err);
    }
    cJSON_Delete(json);
    es_arena_free(&arena);
    return code;
}

static es_code args_mean(calibrate_args *a, es_err *err)
{
    int64_t budget = (a->quick ? 20 : 60) * ES_SECOND, seed = 1, resamples = FIT_RESAMPLES;
    a->options = cJSON_CreateObject();
    es_code code = a->options ? ES_OK : es_err_nomem(err, "the options");
    if (code == ES_OK)
        code = args_quantity("--budget", a->budget, ES_UNIT_TIME, &budget, err);
    if (code == ES_OK)
        code = args_quantity("--most", a->most, ES_UNIT_BYTES, &a->ask.plan.most, err);
    if (code == ES_OK)
        code = args_whole("--seed", a->seed, INT64_MAX, &seed, err);
    if (code == ES_OK)
        code = args_whole("--resamples", a->resamples, CALIBRATE_RESAMPLES, &resamples, err);
    for (size_t i = 0; i < a->sets.count && code == ES_OK; i++)
        code = args_set(a, a->sets.at[i], err);
    for (size_t i = 0; i < a->kinds.count && code == ES_OK; i++)
        code = args_kind(a, a->kinds.at[i], err);
    for (size_t i = 0; i < a->experts.count && code == ES_OK; i++) {
        int64_t bytes = 0;
        if ((code = args_quantity("--expert", a->experts.at[i], ES_UNIT_BYTES, &bytes, err)) == ES_OK)
            code = args_expert(a, bytes, err);
    }
    if (code == ES_OK)
        code = args_model(a, err);
    if (code == ES_OK)
        code = cmd_plugins(&a->plugins, &a->files, err);
    a->ask.plugins = &a->plugins;
    a->ask.backend = a->backend ? a->backend : "host";
    a->ask.options = a->options;
    a->ask.budget = budget;
    a->ask.plan.quick = a->quick;
    a->ask.plan.expert = a->expert;
    a->ask.plan.seed = a->report.seed = (uint64_t)seed;
    a->report.name = a->name;
    a->report.kind = a->kind;
    a->report.resamples = (size_t)resamples;
    return code;
}

/* ---- files ---- */

/* The profile's path with another ending: where the raw samples go. */
static es_code samples_path(const char *profile, es_text *out, es_err *err)
{
    size_t length = strlen(profile);
    if (length < 6 || strcmp(profile + length - 5, ".json") != 0)
        return es_err_set(err, ES_EINPUT, "-o: found \"%s\", needs a name that ends in .json; the samples go beside it with .h5", profile);
    es_text_put(out, profile, length - 5);
    es_text_add(out, ".h5");
    return out->failed ? es_err_nomem(err, "a path") : ES_OK;
}

/* What will be written is found out before it is measured. */
static es_code path_writable(const char *path, es_err *err)
{
    const char *slash = strrchr(path, '/');
    es_text folder = {0};
    es_text_put(&folder, slash ? path : ".", slash ? (size_t)(slash - path) + 1 : 1);
    es_code code = folder.failed ? es_err_nomem(err, "a path") : ES_OK;
    if (code == ES_OK && access(folder.at, W_OK | X_OK) != 0)
        code = es_err_set(err, ES_EINPUT, "%s: cannot be written: %s", path, strerror(errno));
    es_text_free(&folder);
    return code;
}

static es_code profile_save(const es_json *profile, const char *path, es_err *err)
{
    char *text = es_json_text(profile);
    es_code code = text ? es_file_save(path, text, strlen(text), err) : es_err_nomem(err, "a profile");
    free(text);
    return code;
}

/* Fits, writes, and says what came of it. */
static es_code profile_finish(const calibrate_args *a, const calib_samples *samples, const char *raw, es_err *err)
{
    es_json *profile = NULL;
    es_text told = {0}, text = {0};
    es_code code = calib_report(samples, &a->report, &profile, &told, err);
    if (code == ES_OK && a->out)
        code = profile_save(profile, a->out, err);
    if (code == ES_OK && a->plots)
        code = calib_pictures(samples, &(pictures_ask){.folder = a->plots, .resamples = a->report.resamples, .seed = a->report.seed}, &told, err);
    if (code == ES_OK && a->json) {
        char *all = es_json_text(profile);
        es_text_add(&text, "%s", all ? all : "");
        free(all);
    } else if (code == ES_OK && !a->quiet) {
        code = calib_report_table(profile, &text, err);
        if (a->out)
            es_text_add(&text, "\n%s: the profile; a config takes it with \"include\"\n", a->out);
        if (raw)
            es_text_add(&text, "%s: the raw samples; `expertsim calibrate fit %s` fits them again\n", raw, raw);
    }
    if (told.at && (code == ES_OK || code == ES_EINPUT))
        fprintf(stderr, "%s", told.at);
    es_text_free(&told);
    cJSON_Delete(profile);
    return cmd_print(code, &text, err);
}

/* ---- what one can do ---- */

static void calibrate_tell(void *self, const calib_told *told)
{
    if (!told->rounds)
        progress_say(self, "calibrate: %s", told->stage);
    else if (!told->cases || told->left == 0)
        progress_say(self, "calibrate: %s, round %u of %u that are made in any case", told->stage, told->round + 1, told->rounds);
    else
        progress_say(self, "calibrate: %s, round %u, %zu of %zu cases are known well enough, at most %.0f s left", told->stage, told->round + 1, told->done, told->cases,
            (double)told->left / 1e9);
}

/* So that a profile can be made again: the words it was called with, those that need it in quotes. */
static es_code calibrate_called(const calibrate_args *a, es_json *environment, es_err *err)
{
    es_text text = {0};
    es_text_add(&text, "expertsim calibrate");
    for (int i = 0; i < a->count; i++)
        es_text_add(&text, strpbrk(a->args[i], " '\"$\\") ? " \"%s\"" : " %s", a->args[i]);
    es_json_add_text(environment, "command", text.at);
    es_code code = text.failed ? es_err_nomem(err, "the command") : ES_OK;
    es_text_free(&text);
    return code;
}

static es_code calibrate_measure(calibrate_args *a, es_err *err)
{
    calib_samples samples = {0};
    es_text raw = {0};
    progress bar;
    if (!a->out)
        return cmd_misused(&cmd_calibrate, err, "-o is missing: the profile to write");
    es_code code = samples_path(a->out, &raw, err);
    if (code == ES_OK)
        code = path_writable(a->out, err);
    if (code == ES_OK) {
        calib_tell tell = {calibrate_tell, &bar};
        bool shows = progress_begin(&bar, "calibrate", a->quiet) != NULL;
        code = calibrate(&a->ask, shows ? &tell : NULL, &samples, err);
        progress_end(&bar);
    }
    if (code == ES_OK)
        code = calibrate_called(a, samples.environment, err);
    if (code == ES_OK)
        code = calib_samples_save(&samples, raw.at, err);
    if (code == ES_OK)
        code = profile_finish(a, &samples, raw.at, err);
    calib_samples_free(&samples);
    es_text_free(&raw);
    return code;
}

static es_code calibrate_fit(const calibrate_args *a, const char *file, es_err *err)
{
    calib_samples samples;
    es_code code = calib_samples_load(&samples, file, err);
    if (code == ES_OK && (code = profile_finish(a, &samples, NULL, err)) != ES_OK)
        es_err_at(err, "%s", file);
    calib_samples_free(&samples);
    return code;
}

static es_code calibrate_show(const char *file, es_err *err)
{
    es_json *profile = NULL;
    es_text text = {0};
    es_code code = es_json_load(&profile, file, err);
    if (code == ES_OK && (code = calib_report_table(profile, &text, err)) != ES_OK)
        es_err_at(err, "%s", file);
    cJSON_Delete(profile);
    return cmd_print(code, &text, err);
}

static es_code calibrate_do(calibrate_args *a, es_err *err)
{
    const char *verb = a->words.count ? a->words.at[0] : NULL, *file = a->words.count > 1 ? a->words.at[1] : NULL;
    static const char *const verbs[] = {"fit", "show"};
    if (!verb)
        return calibrate_measure(a, err);
    if (strcmp(verb, "fit") != 0 && strcmp(verb, "show") != 0) {
        const char *near = es_text_nearest(verb, verbs, 2);
        return cmd_misused(&cmd_calibrate, err, "\"%s\" is neither fit nor show%s%s%s", verb, near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
    }
    if (!file || a->words.count > 2)
        return cmd_misused(&cmd_calibrate, err, "%s takes one file", verb);
    const bool shows = strcmp(verb, "show") == 0;
    if (a->backend || a->budget || a->quick || a->most || a->model || a->experts.count || a->sets.count || (shows && (a->out || a->plots || a->kinds.count || a->resamples)))
        return cmd_misused(&cmd_calibrate, err, "%s measures nothing: an option that says %s has no place there", verb, shows ? "what to measure, fit or write" : "what to measure");
    return strcmp(verb, "fit") == 0 ? calibrate_fit(a, file, err) : calibrate_show(file, err);
}

static es_code calibrate_exec(int count, char **args, es_err *err)
{
    calibrate_args a = {.count = count, .args = args};
    const cmd_flag flags[] = {
        {.name = "--backend", .value = &a.backend}, {.name = "--plugin", .values = &a.files}, {.name = "--budget", .value = &a.budget}, {.name = "--quick", .on = &a.quick},
        {.name = "--out", .letter = "-o", .value = &a.out}, {.name = "--set", .letter = "-s", .values = &a.sets}, {.name = "--most", .value = &a.most},
        {.name = "--expert", .values = &a.experts}, {.name = "--model", .value = &a.model}, {.name = "--kind", .values = &a.kinds},
        {.name = "--name", .value = &a.name}, {.name = "--seed", .value = &a.seed}, {.name = "--plots", .value = &a.plots}, {.name = "--resamples", .value = &a.resamples}, {.name = "--json", .on = &a.json},
        {.name = "--quiet", .letter = "-q", .on = &a.quiet}, {0},
    };
    es_code code = cmd_parse(flags, count, args, &a.words, err);
    if (code == ES_OK)
        code = args_mean(&a, err);
    if (code == ES_OK)
        code = calibrate_do(&a, err);
    cJSON_Delete(a.options);
    es_plugins_free(&a.plugins);
    free(a.words.at);
    free(a.sets.at);
    free(a.experts.at);
    free(a.kinds.at);
    free(a.files.at);
    return code;
}

const cmd_entry cmd_calibrate = {
    .name = "calibrate",
    .usage = "[--backend NAME] [--budget 60s] [--quick] -o PROFILE.json | fit SAMPLES.h5 [-o PROFILE.json] | show PROFILE.json",
    .brief = "Measure this machine and write the profile that configs include.",
    .help = "  --backend NAME    what is measured: host (default: this machine's memory, processor and disk), cuda (its\n"
            "                    first NVIDIA GPU), metal (the GPU of this Mac) or fake (a formula);\n"
            "                    `expertsim list probe` shows all, `expertsim describe host` their options\n"
            "  --plugin FILE.so  a probe of your own, for --backend; docs/tutorial-probe.md; may be repeated\n"
            "  --budget TIME     of measuring, 60s by default, 20s with --quick; what is not stable by then is named. Memory is filled before, and\n"
            "                    what runs beside what and three rounds of all sizes are measured in any case: with less than that, longer\n"
            "  --quick           fewer and smaller sizes\n"
            "  -o PROFILE.json   what to write; the raw samples go to PROFILE.h5\n"
            "  --expert SIZE     also measure copies and experts of this size (27MiB); may be repeated\n"
            "  --model FILE      also those of a model's experts, in every precision: models/shapes/NAME.json\n"
            "  --most SIZE       the largest copy; by default 256MiB (between pinned memory and a card up to 1GiB, as memory allows), 16MiB with\n"
            "                    --quick, or the largest --expert up to 512MiB\n"
            "  --kind LINK=KIND  what a link is physically (pcie=pcie4_x16): faster than that is refused\n"
            "  --set KEY=VALUE   an option of the backend: folder=/data is where the disk is measured\n"
            "  --name TEXT       of the machine; its processor's by default\n"
            "  --resamples N     of the rounds, for the intervals of fits; 400 by default, 0: none\n"
            "  --plots FOLDER    figures of what was measured and fitted, drawn by gnuplot where there is one\n"
            "  --seed N          of the order and the bytes; 1 by default\n"
            "  --json, --quiet   print the profile, or nothing\n"
            "\n"
            "  fit SAMPLES.h5    fits raw samples again, writes -o PROFILE.json and draws --plots when given\n"
            "  show PROFILE.json its flows, compute units and memories, as a table\n"
            "\n"
            "Sizes that the fit did not see tell its error: above 8 % there is a warning, above 15 % the flow is left out.\n"
            "Exit code 3 when the device or its library is absent, 5 when copied bytes were wrong or nothing could be fitted.\n",
    .exec = calibrate_exec,
};
