/* expertsim plot: figures of whatever other commands kept. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calib/pictures.h"
#include "calib/save.h"
#include "plots/figures.h"
#include "sim/base/h5.h"
#include "sim/cli/cmd.h"

enum { PLOT_RESAMPLES = 200, PLOT_KINDS_MOST = 64 };

typedef struct plot_args {
    cmd_words paths;
    const char *what, *format, *out;
    bool list, quiet;

    bool svg, png;
    char *split;                /* of --what */
    const char *kind[PLOT_KINDS_MOST];
    size_t kinds;               /* 0: all */
    bool met[PLOT_KINDS_MOST];  /* some figure was of it */
    size_t written;
    bool drawn;
    es_text said;
} plot_args;

/* ---- what the arguments mean ---- */

static es_code args_kind(plot_args *a, const char *word, es_err *err)
{
    const char *names[PLOT_KINDS_MOST], *nearest;
    size_t count = 0;
    for (; figures_kinds[count].name; count++) {
        names[count] = figures_kinds[count].name;
        if (strcmp(word, names[count]) == 0 && a->kinds < PLOT_KINDS_MOST) {
            a->kind[a->kinds++] = names[count];
            return ES_OK;
        }
    }
    nearest = es_text_nearest(word, names, count);
    return es_err_set(err, ES_EINPUT, "--what: there is no figure \"%s\"%s%s%s; `expertsim help plot` lists them", word, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
        nearest ? "\"?" : "");
}

static es_code args_what(plot_args *a, es_err *err)
{
    char *rest = NULL;
    es_code code = ES_OK;
    if (!a->what)
        return ES_OK;
    a->split = strdup(a->what);
    if (!a->split)
        return es_err_nomem(err, "the arguments");
    for (char *word = strtok_r(a->split, ",", &rest); word && code == ES_OK; word = strtok_r(NULL, ",", &rest))
        code = args_kind(a, word, err);
    if (code == ES_OK && a->kinds == 0)
        code = es_err_set(err, ES_EINPUT, "--what: found \"%s\", needs names with commas between, such as latency,stalls", a->what);
    return code;
}

static es_code args_format(plot_args *a, es_err *err)
{
    const char *text = a->format ? a->format : "svg,png";
    a->svg = strcmp(text, "svg") == 0 || strcmp(text, "svg,png") == 0 || strcmp(text, "png,svg") == 0;
    a->png = strcmp(text, "png") == 0 || (a->svg && strcmp(text, "svg") != 0);
    return a->svg || a->png ? ES_OK : es_err_set(err, ES_EINPUT, "--format: found \"%s\", needs svg, png or svg,png", text);
}

/* Is it wanted? */
static bool args_wants(plot_args *a, const char *kind)
{
    bool wanted = a->kinds == 0;
    for (size_t i = 0; i < a->kinds; i++)
        if (strcmp(a->kind[i], kind) == 0)
            wanted = a->met[i] = true;
    return wanted;
}

/* ---- what is told ---- */

static void plot_tell(plot_args *a, const char *name, const char *title)
{
    es_text_add(&a->said, "%-14s %s\n", name, title);
}

/* What cannot be drawn, behind all that can: kinds with one reason on one line. */
static void plot_tell_missing(plot_args *a, const figures *all)
{
    for (size_t i = 0; i < figures_count(all); i++) {
        const char *missing = figures_at(all, i)->missing;
        es_text kinds = {0};
        bool told = !missing;
        for (size_t k = 0; k < figures_count(all) && !told; k++) {
            const figures_entry *other = figures_at(all, k);
            if (!other->missing || strcmp(other->missing, missing) != 0)
                continue;
            told = k < i;
            if (!told && args_wants(a, other->kind))
                es_text_add(&kinds, "%s%s", kinds.length ? ", " : "", other->kind);
        }
        if (!told && kinds.length)
            es_text_add(&a->said, "- %s: %s\n", kinds.at, missing);
        es_text_free(&kinds);
    }
}

static void plot_tell_end(plot_args *a)
{
    if (a->list || a->quiet || a->written == 0)
        return;
    es_text_add(&a->said, "%zu figures in %s: %s%s%s, and what they are drawn from: .gp and .dat\n", a->written, a->out, a->svg ? "svg" : "", a->svg && a->png ? ", " : "",
        a->png ? "png" : "");
    if (!a->drawn)
        es_text_add(&a->said, "There is no gnuplot here, so these are data and scripts; where it is: cd %s && for f in *.gp; do gnuplot $f; done\n", a->out);
}

/* ---- results ---- */

/* What was asked for by name has to be there, before anything is drawn. */
static es_code plot_wanted(const plot_args *a, const figures *all, es_err *err)
{
    for (size_t k = 0; k < a->kinds; k++) {
        const char *missing = NULL;
        bool there = false;
        for (size_t i = 0; i < figures_count(all); i++)
            if (strcmp(figures_at(all, i)->kind, a->kind[k]) == 0) {
                there = there || !figures_at(all, i)->missing;
                missing = figures_at(all, i)->missing;
            }
        if (!there)
            return es_err_set(err, ES_EINPUT, "%s: %s", a->kind[k], missing ? missing : "there is none");
    }
    return ES_OK;
}

static es_code plot_results(plot_args *a, es_err *err)
{
    figures *all = NULL;
    es_code code = figures_open(&all, &(figures_ask){.path = a->paths.at, .count = a->paths.count, .svg = a->svg, .png = a->png}, err);
    if (code == ES_OK && !a->list)
        code = plot_wanted(a, all, err);
    for (size_t i = 0; code == ES_OK && i < figures_count(all); i++) {
        const figures_entry *entry = figures_at(all, i);
        if (!args_wants(a, entry->kind) || entry->missing)
            continue;
        plot_tell(a, entry->name, entry->title);
        if (!a->list)
            code = figures_save(all, i, a->out, &a->drawn, err);
        a->written++;
    }
    if (code == ES_OK && a->list)
        plot_tell_missing(a, all);
    figures_free(all);
    return code;
}

/* ---- raw samples of a calibration ---- */

/* Samples are drawn row by row as they are fitted; whether a figure is wanted is asked before each. */
static bool samples_wants(void *self, const char *kind, const char *name, const char *title)
{
    plot_args *a = self;
    if (!args_wants(a, kind))
        return false;
    plot_tell(a, name, title);
    a->written++;
    return !a->list;
}

static es_code plot_samples(plot_args *a, const char *path, es_err *err)
{
    calib_samples samples;
    es_text told = {0};
    es_code code = calib_samples_load(&samples, path, err);
    if (code == ES_OK)
        code = calib_pictures(&samples, &(pictures_ask){.folder = a->out, .resamples = PLOT_RESAMPLES, .seed = 1, .svg = a->svg, .png = a->png, .wants = samples_wants, .self = a}, &told, err);
    a->drawn = told.length == 0;
    calib_samples_free(&samples);
    es_text_free(&told);
    return code;
}

static bool samples_are(const char *path)
{
    es_h5 *file = NULL;
    bool are = es_h5_is(path) && es_h5_open(&file, path, false, NULL) == ES_OK && es_h5_has(file, "/samples");
    es_h5_close(file, NULL);
    return are;
}

/* The samples that are given, or that lie beside a profile; NULL: neither. free() it. */
static char *samples_of(const char *path)
{
    const size_t length = strlen(path);
    char *beside = strdup(path);
    if (beside && length > 5 && strcmp(beside + length - 5, ".json") == 0)
        memcpy(beside + length - 5, ".h5", 4);
    if (beside && samples_are(beside))
        return beside;
    free(beside);
    return NULL;
}

/* ---- the command ---- */

static es_code plot_go(plot_args *a, es_err *err)
{
    char *samples = a->paths.count == 1 ? samples_of(a->paths.at[0]) : NULL;
    a->drawn = true;
    const bool samples_given = samples != NULL;
    es_code code = samples ? plot_samples(a, samples, err) : plot_results(a, err);
    free(samples);
    for (size_t i = 0; i < a->kinds && code == ES_OK && samples_given; i++)
        if (!a->met[i])
            code = es_err_set(err, ES_EINPUT, "%s: the samples have nothing for it; --list shows what there is", a->kind[i]);
    if (code == ES_OK && a->written == 0 && !a->list)
        code = es_err_set(err, ES_EINPUT, "%s: there is nothing to be drawn of it; --list says what is missing", a->paths.at[0]);
    plot_tell_end(a);
    if (a->quiet && !a->list) {
        es_text_free(&a->said);
        return code;
    }
    return cmd_print(code, &a->said, err);
}

static es_code plot_exec(int count, char **args, es_err *err)
{
    plot_args a = {.out = "figures"};
    const cmd_flag flags[] = {
        {.name = "--what", .letter = "-w", .value = &a.what}, {.name = "--list", .letter = "-l", .on = &a.list}, {.name = "--out", .letter = "-o", .value = &a.out},
        {.name = "--format", .value = &a.format}, {.name = "--quiet", .letter = "-q", .on = &a.quiet}, {0},
    };
    es_code code = cmd_parse(flags, count, args, &a.paths, err);
    if (code == ES_OK && a.paths.count == 0)
        code = cmd_misused(&cmd_plot, err, "which result?");
    if (code == ES_OK)
        code = args_what(&a, err);
    if (code == ES_OK)
        code = args_format(&a, err);
    if (code == ES_OK && !*a.out)
        code = es_err_set(err, ES_EINPUT, "--out: the name of a folder is empty");
    if (code == ES_OK)
        code = plot_go(&a, err);
    free(a.split);
    free(a.paths.at);
    return code;
}

const cmd_entry cmd_plot = {
    .name = "plot",
    .usage = "RESULT... [--what NAME,...] [--list] [--out FOLDER] [--format svg,png]",
    .brief = "Draw figures of a result: a run or several, a sweep, curves, a comparison, a profile ...",
    .help = "A RESULT is what another command kept: result.json, result.h5 or the folder of both (run --out), the folder of a sweep or its\n"
            "collected table, compare.json, mrc.json, search.json, verdict.json, validate.json, a machine's profile or its raw samples. Several runs\n"
            "are set beside each other; LABEL=PATH names one.\n"
            "\n"
            "  --what NAME,...   these figures only; absent: all that the result can give\n"
            "  --list            say which these are, with what they show, and what is missing for the others; draws nothing\n"
            "  --out FOLDER      where they go; absent: figures\n"
            "  --format svg,png  one of them, or both (the default)\n"
            "  --quiet           print nothing but errors\n"
            "\n"
            "  miss-ratio        misses against capacity, with Belady; miss-layers: of each layer\n"
            "  speed             tokens per second against capacity, with 95 % bands over replications\n"
            "  pareto            memory against time: the front and its knee\n"
            "  latency           distribution of token times\n"
            "  stalls            where the time went; stalls-time: in the course of the run\n"
            "  coverage          hits, complete layers and turned thresholds in the course of the run\n"
            "  layers, residency hits by layer; which experts stay and which are used\n"
            "  differences, warm-up, gains, agreement    of compare, verdict and validate\n"
            "  fit, residuals, qq, contention            of calibrate\n"
            "\n"
            "Each figure is NAME.svg and NAME.png, drawn by gnuplot from NAME.gp and NAME.dat, which may be edited: gnuplot NAME.gp draws them anew.\n"
            "Where there is no gnuplot data and scripts stay, and a line says how to draw them. docs/plots.md shows them all.\n",
    .exec = plot_exec,
};
