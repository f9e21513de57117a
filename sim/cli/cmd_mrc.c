/* expertsim mrc: hit rates of a trace at every cache size. */
#include <stdio.h>
#include <stdlib.h>

#include "plots/figures.h"
#include "sim/base/file.h"
#include "sim/cli/cmd.h"
#include "sim/cli/mrc_show.h"
#include "sim/cli/progress.h"

typedef struct mrc_args {
    es_mrc_ask ask;
    cmd_words words, sets;
    const char *out, *h5;
    bool json, csv, quiet;
} mrc_args;

static es_code mrc_save(const char *dir, const char *name, const es_text *text, es_err *err)
{
    es_text path = {0};
    es_text_add(&path, "%s/%s", dir, name);
    es_code code = path.failed || text->failed ? es_err_nomem(err, "a file") : es_file_save(path.at, text->at, text->length, err);
    es_text_free(&path);
    return code;
}

/* Of what was kept; where nothing was looked up there is nothing to draw. */
static es_code mrc_figures(const char *dir, es_text *said, es_err *err)
{
    es_text path = {0};
    size_t written = 0;
    bool drawn = true;
    es_text_add(&path, "%s/mrc.json", dir);
    es_code code = path.failed ? es_err_nomem(err, "a path") : figures_draw(path.at, dir, &written, &drawn, err);
    if (code == ES_OK && written > 0 && drawn)
        es_text_add(said, "  figures: %s/miss-ratio.svg and miss-layers.svg, also as .png; each is drawn anew by its .gp\n", dir);
    else if (code == ES_OK && written > 0)
        es_text_add(said, "  figures: there is no gnuplot here; draw them with: cd %s && gnuplot miss-ratio.gp miss-layers.gp\n", dir);
    es_text_free(&path);
    return code;
}

static es_code mrc_keep(const es_mrc *mrc, const char *dir, const es_text *json, const es_text *csv, es_text *said, es_err *err)
{
    es_text path = {0}, layers = {0};
    es_code code = es_file_make_dirs(dir, err);
    es_mrc_layers_csv(mrc, &layers);
    if (code == ES_OK)
        code = mrc_save(dir, "mrc.json", json, err);
    if (code == ES_OK)
        code = mrc_save(dir, "mrc.csv", csv, err);
    if (code == ES_OK)
        code = mrc_save(dir, "mrc-layers.csv", &layers, err);
    es_text_free(&layers);
    es_text_add(&path, "%s/mrc.h5", dir);
    if (code == ES_OK)
        code = path.failed ? es_err_nomem(err, "a path") : es_mrc_h5(mrc, path.at, err);
    es_text_free(&path);
    es_text_add(said, "  all sizes: %s/mrc.json, mrc.csv, mrc-layers.csv and mrc.h5\n", dir);
    return code == ES_OK ? mrc_figures(dir, said, err) : code;
}

static es_code mrc_json(const es_mrc *mrc, es_text *out, es_err *err)
{
    es_json *tree = es_mrc_json(mrc, true);
    char *words = tree ? es_json_text(tree) : NULL;
    es_text_add(out, "%s", words ? words : "");
    es_code code = !words || out->failed ? es_err_nomem(err, "the curves") : ES_OK;
    free(words);
    cJSON_Delete(tree);
    return code;
}

static es_code mrc_tell(const es_mrc *mrc, const mrc_args *args, es_err *err)
{
    es_text json = {0}, csv = {0}, text = {0}, said = {0};
    es_code code = args->json || args->out ? mrc_json(mrc, &json, err) : ES_OK;
    if (args->csv || args->out)
        es_mrc_csv(mrc, &csv);
    if (code == ES_OK && args->h5)
        code = es_mrc_h5(mrc, args->h5, err);
    if (code == ES_OK && args->out)
        code = mrc_keep(mrc, args->out, &json, &csv, &said, err);
    mrc_show_text(mrc, &text);
    es_text_add(&text, "%s", said.at ? said.at : "");
    if (code != ES_OK || !args->quiet || args->json || args->csv)
        code = cmd_print(code, args->json ? &json : args->csv ? &csv : &text, err);
    es_text_free(&json);
    es_text_free(&csv);
    es_text_free(&text);
    es_text_free(&said);
    return code;
}

static es_code mrc_checked(mrc_args *args, es_err *err)
{
    if (args->words.count > 1)
        return cmd_misused(&cmd_mrc, err, "one trace at a time");
    if (args->words.count == 0 && !args->ask.config)
        return cmd_misused(&cmd_mrc, err, "which trace?");
    if (args->json && args->csv)
        return es_err_set(err, ES_EINPUT, "--json and --csv both go to standard output; --out DIR writes both");
    if ((args->out && !*args->out) || (args->h5 && !*args->h5))
        return es_err_set(err, ES_EINPUT, "%s is empty", args->h5 && !*args->h5 ? "--h5: the name of a file" : "--out: the name of a folder");
    args->ask.path = args->words.count ? args->words.at[0] : NULL;
    args->ask.sets = args->sets.at;
    args->ask.set_count = args->sets.count;
    return ES_OK;
}

static es_code mrc_parse(mrc_args *args, int count, char **words, es_err *err)
{
    es_mrc_ask *ask = &args->ask;
    const cmd_flag flags[] = {{.name = "--policies", .value = &ask->policies}, {.name = "--scope", .value = &ask->scope},
        {.name = "--contract", .value = &ask->contract}, {.name = "--sizes", .value = &ask->sizes}, {.name = "--phase", .value = &ask->phase},
        {.name = "--reset", .value = &ask->reset}, {.name = "--prefill", .value = &ask->prefill}, {.name = "--config", .value = &ask->config},
        {.name = "--set", .letter = "-s", .values = &args->sets}, {.name = "--model", .value = &ask->model}, {.name = "--precision", .value = &ask->precision},
        {.name = "--calibrate-on", .value = &ask->calibrate}, {.name = "--json", .on = &args->json}, {.name = "--csv", .on = &args->csv},
        {.name = "--h5", .value = &args->h5}, {.name = "--out", .letter = "-o", .value = &args->out}, {.name = "--quiet", .letter = "-q", .on = &args->quiet}, {0}};
    es_code code = cmd_parse(flags, count, words, &args->words, err);
    return code ? code : mrc_checked(args, err);
}

static es_code mrc_exec(int count, char **words, es_err *err)
{
    es_mrc mrc = {0};
    mrc_args args = {0};
    progress p;
    es_code code = mrc_parse(&args, count, words, err);
    if (code == ES_OK) {
        const es_progress *told = progress_begin(&p, "mrc", args.quiet);
        code = es_mrc_make(&mrc, &args.ask, told, err);
        progress_end(&p);
    }
    if (code == ES_OK)
        code = mrc_tell(&mrc, &args, err);
    es_mrc_free(&mrc);
    free(args.words.at);
    free(args.sets.at);
    return code;
}

const cmd_entry cmd_mrc = {
    .name = "mrc",
    .usage = "TRACE|--config FILE [--policies LIST] [--sizes LIST] [--scope global|layer] [--contract NAME] [--phase decode|all] [--reset request] "
             "[--prefill HOW] [--model FILE] [--calibrate-on TRACE] [--set PATH=VALUE]... [--json|--csv] [--h5 FILE] [--out DIR]",
    .brief = "Hit rates of a trace at every cache size.",
    .help = "  --config FILE     the config's trace, contract, model and phase, and its policy at its capacity; a TRACE beside it takes its trace's place\n"
            "  --policies LIST   curves: lru, belady, belady_bypass, static, static_frozen; by runs: any policy of `expertsim list policy`\n"
            "                    (default: lru,belady,static)\n"
            "  --sizes LIST      8,16,50% or 4GiB,25%: slots or bytes of one cache, or a share of its experts\n"
            "                    (default: every size; 12 of them for a policy that has to be run)\n"
            "  --scope           global: one cache; layer: one for each layer, capacities are one layer's\n"
            "  --contract NAME   event_atomic, serialized, keep_best, after_batch      --reset request   empty caches at each request\n"
            "  --prefill HOW     union, tokens, tiles:N, skip                          --phase           which lookups hits count\n"
            "  --model FILE      what an expert weighs: models/shapes/NAME.json, and --precision NAME where it has several\n"
            "  --calibrate-on T  static_frozen: the set that another trace of the model chooses, judged on this one\n"
            "  --set PATH=VALUE  change an option of the config, or of what stands in its place\n"
            "  --json, --csv     print everything as JSON, the rows as CSV             --h5 FILE         write all of it as HDF5\n"
            "  --out DIR         mrc.json, mrc.csv, mrc-layers.csv, mrc.h5 and figures, drawn by gnuplot where there is one\n"
            "\n"
            "Counts are those of `expertsim run` with clock none. docs/curves.md says what the numbers mean.\n",
    .exec = mrc_exec,
};
