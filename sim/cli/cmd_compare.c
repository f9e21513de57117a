/* expertsim compare: which of several configs, results or points of a sweep is better, and what is noise. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plots/figures.h"
#include "sim/base/file.h"
#include "sim/base/h5.h"
#include "sim/cli/cmd.h"
#include "sim/cli/compare_runs.h"
#include "sim/cli/jobs.h"

enum { COMPARE_BOUNDS = 100 };  /* so many sets of bounds are found unasked */

typedef struct compare_args {
    cmd_words words, sets;
    const char *metric, *unit, *by, *policies, *out, *confidence, *resamples, *seed, *jobs;
    bool json, quiet, bounds, no_bounds;
    es_compare *compare;
    compare_runs runs;          /* of configs */
} compare_args;

/* ---- what a word is ---- */

static bool compare_has(const char *dir, const char *name, es_text *path)
{
    es_text_add(path, "%s/%s", dir, name);
    return !path->failed && access(path->at, F_OK) == 0;
}

/* "NAME=PATH", where PATH is there and the whole is not. */
static const char *compare_named(const char *word, es_text *name)
{
    const char *sign = strchr(word, '=');
    if (!sign || sign == word || access(word, F_OK) == 0)
        return word;
    es_text_put(name, word, (size_t)(sign - word));
    return sign + 1;
}

/* What a result is called that nobody named: its folder, or for other files than result.h5 the file without its end. */
static void compare_stem(const char *path, es_text *name)
{
    const char *end = path + strlen(path), *slash = strrchr(path, '/'), *file = slash ? slash + 1 : path;
    if (strcmp(file, "result.h5") == 0 && slash && slash != path)
        for (end = slash, file = slash; file > path && file[-1] != '/';)
            file--;
    else if (strrchr(file, '.') && strrchr(file, '.') != file)
        end = strrchr(file, '.');
    es_text_put(name, file, (size_t)(end - file));
}

static es_code compare_saved(compare_args *a, const char *path, es_text *name, es_err *err)
{
    if (!name->length)
        compare_stem(path, name);
    return name->failed ? es_err_nomem(err, "the names") : es_compare_result(a->compare, "", name->at, "", path, err);
}

/* ---- configs, which are run ---- */

/* Observers are those of a sweep and the tables; they change nothing of what is simulated. */
static es_code compare_load(const compare_args *a, const char *file, const char *policy, es_config **config, es_err *err)
{
    const char **sets = calloc(a->sets.count + 2, sizeof *sets);
    es_text text = {0};
    size_t count = 0;
    if (!sets)
        return es_err_nomem(err, "the settings");
    for (; count < a->sets.count; count++)
        sets[count] = a->sets.at[count];
    if (policy) {
        es_text_add(&text, "policy=%s", policy);
        sets[count++] = text.at;
    }
    sets[count++] = "observers=[\"summary\",\"coverage\",\"latency\",\"traffic\",\"memory\",{\"name\":\"tables\",\"rows\":1e9}]";
    es_code code = text.failed ? es_err_nomem(err, "the settings") : es_config_load(config, file, sets, count, err);
    es_text_free(&text);
    free(sets);
    return code;
}

static es_code compare_config(compare_args *a, const char *file, const char *given, const char *policy, es_err *err)
{
    es_config *config = NULL;
    es_text name = {0};
    es_code code = compare_load(a, file, policy, &config, err);
    if (code)
        return code;
    if (policy && a->words.count == 1 && !*given)
        es_text_add(&name, "%s", policy);
    else
        es_text_add(&name, "%s%s%s", *given ? given : es_config_name(config), policy ? " " : "", policy ? policy : "");
    const char *path = NULL;
    code = compare_runs_add(&a->runs, config, name.failed ? "" : name.at, &path, err);
    if (code == ES_OK)
        code = es_compare_result(a->compare, "", name.at, "", path, err);
    es_text_free(&name);
    return code;
}

/* A sweep has many configs: they are run by `sweep run`, which goes on where it was stopped. */
static es_code compare_no_sweep(const char *file, es_err *err)
{
    es_json *json = NULL;
    const bool sweep = es_json_load(&json, file, NULL) == ES_OK && cJSON_HasObjectItem(json, "axes");
    cJSON_Delete(json);
    return sweep ? es_err_set(err, ES_EINPUT, "%s: is a sweep; run it and compare its folder: expertsim sweep run %s -o DIR, expertsim compare DIR", file, file) : ES_OK;
}

/* A config by itself, or with each of --policies. */
static es_code compare_configs(compare_args *a, const char *file, const char *given, es_err *err)
{
    es_code code = compare_no_sweep(file, err);
    if (code == ES_OK && !a->policies)
        return compare_config(a, file, given, NULL, err);
    for (const char *word = a->policies; code == ES_OK && word && *word;) {
        size_t length = strcspn(word, ",");
        es_text policy = {0};
        es_text_put(&policy, word, length);
        if (length)
            code = policy.failed ? es_err_nomem(err, "the policies") : compare_config(a, file, given, policy.at, err);
        es_text_free(&policy);
        word += length + (word[length] == ',');
    }
    return code;
}

static es_code compare_word(compare_args *a, const char *word, es_err *err)
{
    es_text name = {0}, plan = {0}, result = {0};
    const char *path = compare_named(word, &name);
    const bool sweep = compare_has(path, "plan.json", &plan), saved = compare_has(path, "result.h5", &result);
    es_code code;
    if (name.failed || plan.failed || result.failed)
        code = es_err_nomem(err, "the names");
    else if (sweep)
        code = es_compare_folder(a->compare, path, a->by, err);
    else if (saved)
        code = compare_saved(a, result.at, &name, err);
    else if (es_h5_is(path))
        code = compare_saved(a, path, &name, err);
    else
        code = compare_configs(a, path, name.at ? name.at : "", err);
    es_text_free(&name);
    es_text_free(&plan);
    es_text_free(&result);
    return code;
}

/* ---- what is told ---- */

static es_code compare_keep(compare_args *a, const char *text, es_err *err)
{
    es_text path = {0}, csv = {0}, compared = {0};
    size_t written = 0;
    bool drawn = true;
    es_text_add(&compared, "%s/compare.json", a->out);
    es_code code = compared.failed ? es_err_nomem(err, "the names") : es_file_make_dirs(a->out, err);
    if (code == ES_OK)
        code = es_file_save(compared.at, text, strlen(text), err);
    es_compare_units(a->compare, &csv);
    es_text_add(&path, "%s/units.csv", a->out);
    if (code == ES_OK)
        code = csv.failed || path.failed ? es_err_nomem(err, "the units") : es_file_save(path.at, csv.at, csv.length, err);
    if (code == ES_OK)
        code = figures_draw(compared.at, a->out, &written, &drawn, err);
    if (code == ES_OK && !drawn && !a->quiet)
        fprintf(stderr, "there is no gnuplot; to draw the figures: cd %s && gnuplot *.gp\n", a->out);
    es_text_free(&path);
    es_text_free(&csv);
    es_text_free(&compared);
    return code;
}

/* Bounds of results that have none, such as the points of a sweep: a few runs for each set of equal ones. */
static es_code compare_bound(compare_args *a, es_err *err)
{
    size_t lacking = 0;
    if (a->no_bounds)
        return ES_OK;
    es_code code = compare_runs_bounds(&a->runs, a->compare, a->bounds ? SIZE_MAX : COMPARE_BOUNDS, &lacking, err);
    if (code == ES_OK && lacking > COMPARE_BOUNDS && !a->bounds && !a->quiet)
        fprintf(stderr, "expertsim: %zu sets of bounds are lacking, some runs each; --bounds finds them\n", lacking);
    return code;
}

static void compare_flag(es_json *command, const char *flag, const char *value)
{
    if (!value)
        return;
    cJSON_AddItemToArray(command, cJSON_CreateString(flag));
    cJSON_AddItemToArray(command, cJSON_CreateString(value));
}

/* What makes these numbers again, word by word: without where they are kept, and how they are shown. */
static void compare_command(const compare_args *a, es_json *compared)
{
    es_json *command = es_json_add_array(compared, "command");
    cJSON_AddItemToArray(command, cJSON_CreateString("compare"));
    for (size_t i = 0; i < a->words.count; i++)
        cJSON_AddItemToArray(command, cJSON_CreateString(a->words.at[i]));
    for (size_t i = 0; i < a->sets.count; i++)
        compare_flag(command, "--set", a->sets.at[i]);
    compare_flag(command, "--policies", a->policies);
    compare_flag(command, "--metric", a->metric);
    compare_flag(command, "--unit", a->unit);
    compare_flag(command, "--by", a->by);
    compare_flag(command, "--confidence", a->confidence);
    compare_flag(command, "--resamples", a->resamples);
    compare_flag(command, "--seed", a->seed);
    if (a->bounds || a->no_bounds)
        cJSON_AddItemToArray(command, cJSON_CreateString(a->bounds ? "--bounds" : "--no-bounds"));
}

static es_code compare_tell(compare_args *a, es_err *err)
{
    es_json *compared = NULL;
    es_text text = {0};
    es_code code = es_compare_read(a->compare, err);
    if (code == ES_OK)
        code = compare_bound(a, err);
    if (code == ES_OK)
        code = es_compare_decide(a->compare, &compared, err);
    if (code == ES_OK)
        compare_command(a, compared);
    char *json = code == ES_OK ? es_json_text(compared) : NULL;
    if (code == ES_OK && !json)
        code = es_err_nomem(err, "the comparison");
    if (code == ES_OK && a->out)
        code = compare_keep(a, json, err);
    if (code == ES_OK && a->json)
        fputs(json, stdout);
    else if (code == ES_OK && !a->quiet)
        es_compare_text(compared, &text);
    free(json);
    cJSON_Delete(compared);
    return cmd_print(code, &text, err);
}

/* ---- the command ---- */

static es_code compare_count(const char *text, const char *flag, unsigned long long *value, es_err *err)
{
    char *end = NULL;
    if (!text)
        return ES_OK;
    *value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end)
        return es_err_set(err, ES_EINPUT, "%s: \"%s\" is no whole number", flag, text);
    return ES_OK;
}

static es_code compare_new(compare_args *a, es_err *err)
{
    unsigned long long resamples = 0, seed = 1;
    char *end = NULL;
    double confidence = a->confidence ? strtod(a->confidence, &end) : 0.0;
    es_code code = compare_count(a->resamples, "--resamples", &resamples, err);
    if (code == ES_OK)
        code = compare_count(a->seed, "--seed", &seed, err);
    if (code == ES_OK && a->confidence && (end == a->confidence || *end))
        code = es_err_set(err, ES_EINPUT, "--confidence: \"%s\" is no number; write for example 0.95", a->confidence);
    if (code)
        return code;
    if (a->resamples && resamples == 0)
        return es_err_set(err, ES_EINPUT, "--resamples: 0 are too few");
    return es_compare_new(&a->compare, &(es_compare_ask){.metric = a->metric, .unit = a->unit, .confidence = a->confidence && confidence == 0.0 ? -1.0 : confidence,
        .resamples = (size_t)resamples, .seed = seed}, err);
}

/* Results of configs that nobody wants to keep lie in a folder of their own for a while. */
static void compare_sweep_up(const compare_args *a)
{
    static const char *const names[] = {"result.json", "result.h5"};
    es_text path = {0};
    for (size_t i = 1; i <= a->runs.count; i++) {
        for (size_t n = 0; n <= sizeof names / sizeof *names; n++) {
            es_text_free(&path);
            es_text_add(&path, "%s/%zu%s%s", a->runs.dir, i, n < 2 ? "/" : "", n < 2 ? names[n] : "");
            if (!path.failed)
                remove(path.at);
        }
    }
    es_text_free(&path);
    rmdir(a->runs.dir);
}

static es_code compare_go(compare_args *a, es_err *err)
{
    es_text kept = {0};
    es_code code = ES_OK;
    if (a->out)
        es_text_add(&kept, "%s/runs", a->out);
    else
        code = es_file_make_scratch("compare", &kept, err);
    if (code == ES_OK && kept.failed)
        code = es_err_nomem(err, "a path");
    a->runs = (compare_runs){.dir = code == ES_OK ? kept.at : NULL, .quiet = a->quiet || a->json};
    if (code == ES_OK)
        code = jobs_count(a->jobs, &a->runs.at_once, err);
    if (code == ES_OK)
        code = compare_new(a, err);
    for (size_t i = 0; i < a->words.count && code == ES_OK; i++)
        code = compare_word(a, a->words.at[i], err);
    if (code == ES_OK)
        code = compare_runs_go(&a->runs, err);
    if (code == ES_OK)
        code = compare_tell(a, err);
    es_compare_free(a->compare);
    if (!a->out && a->runs.dir)
        compare_sweep_up(a);
    compare_runs_free(&a->runs);
    es_text_free(&kept);
    return code;
}

static es_code compare_exec(int count, char **args, es_err *err)
{
    compare_args a = {0};
    const cmd_flag flags[] = {
        {.name = "--metric", .letter = "-m", .value = &a.metric},
        {.name = "--unit", .value = &a.unit},
        {.name = "--by", .value = &a.by},
        {.name = "--policies", .value = &a.policies},
        {.name = "--set", .letter = "-s", .values = &a.sets},
        {.name = "--confidence", .value = &a.confidence},
        {.name = "--resamples", .value = &a.resamples},
        {.name = "--seed", .value = &a.seed},
        {.name = "--bounds", .on = &a.bounds},
        {.name = "--no-bounds", .on = &a.no_bounds},
        {.name = "--jobs", .letter = "-j", .value = &a.jobs},
        {.name = "--out", .letter = "-o", .value = &a.out},
        {.name = "--json", .on = &a.json},
        {.name = "--quiet", .letter = "-q", .on = &a.quiet},
        {0},
    };
    es_code code = cmd_parse(flags, count, args, &a.words, err);
    if (code == ES_OK && a.words.count == 0)
        code = cmd_misused(&cmd_compare, err, "what is to be compared?");
    if (code == ES_OK && a.out && !*a.out)
        code = es_err_set(err, ES_EINPUT, "--out: the name of a folder is empty");
    if (code == ES_OK)
        code = compare_go(&a, err);
    free(a.words.at);
    free(a.sets.at);
    return code;
}

const cmd_entry cmd_compare = {
    .name = "compare",
    .usage = "CONFIG...|RESULT...|DIR [options]",
    .brief = "Say which policy, machine or size is better, and what is noise.",
    .help = "A CONFIG is run; a RESULT is what `run --out` wrote (its folder or result.h5); DIR is the folder of a sweep.\n"
            "All replay the same requests, so they are compared unit by unit; what could be noise is a tie and is not ranked.\n"
            "NAME=CONFIG and NAME=RESULT name them. docs/compare.md says what the numbers mean.\n"
            "\n"
            "  --policies LIST   run each config with each of these: lru,lfu,belady\n"
            "  --set PATH=VALUE  change an option of the configs for this time, as for run\n"
            "  --metric NAME     latency (absent: this, or hit_rate under clock none), hit_rate, tokens_per_s, ttft, stall, fetched\n"
            "  --unit UNIT       token, request or run; absent: runs or requests where there are 20, otherwise tokens\n"
            "  --by AXIS         of a sweep: whose values are compared, for each combination of the others; absent: the first\n"
            "  --confidence C    of intervals, and of all pairs together; absent: 0.95\n"
            "  --resamples N     of the bootstrap; absent: 4999\n"
            "  --seed N          of the resamples; absent: 1\n"
            "  --bounds          find the bounds of results that have none, however many runs that takes; absent: of up to 100 sets\n"
            "  --no-bounds       leave them out\n"
            "  --jobs N          so many runs at once; absent: one on each processor\n"
            "  --out DIR         keep compare.json, units.csv, the pictures, and the results of configs in DIR/runs\n"
            "  --json            print all numbers as JSON instead of tables\n"
            "  --quiet           print nothing but errors\n",
    .exec = compare_exec,
};
