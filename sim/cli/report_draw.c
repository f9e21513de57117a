/* The figures of a report: see report_draw.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/file.h"
#include "sim/cli/report_draw.h"

enum { DRAW_SVG = 64 * 1024 * 1024 };   /* the largest that is read back */

/* What is drawn of each kind of result, and worth a line where it is missing. A single run has no curves over capacities, and its shares of
 * the time stand in the page itself. */
static const struct {
    report_kind kind;
    const char *name;
} draw_kinds[] = {
    {REPORT_RUN, "latency"}, {REPORT_RUN, "stalls-time"}, {REPORT_RUN, "coverage"}, {REPORT_RUN, "layers"}, {REPORT_RUN, "residency"}, {REPORT_RUN, "gains"},
    {REPORT_COMPARISON, "differences"}, {REPORT_COMPARISON, "warm-up"}, {REPORT_SWEEP, "miss-ratio"}, {REPORT_SWEEP, "speed"}, {REPORT_SWEEP, "pareto"},
    {REPORT_SWEEP, "latency"}, {REPORT_SWEEP, "stalls"},
};

static bool draw_is_wanted(report_kind kind, const char *name)
{
    for (size_t i = 0; i < sizeof draw_kinds / sizeof *draw_kinds; i++)
        if (draw_kinds[i].kind == kind && strcmp(draw_kinds[i].name, name) == 0)
            return true;
    return false;
}

/* The verdict is a path of its own, from which nothing else is expected. */
static bool draw_is_skipped(const figures_entry *entry, report_kind kind, bool mine, bool verdict)
{
    const bool gains = strcmp(entry->kind, "gains") == 0;
    return !draw_is_wanted(kind, entry->kind) || (entry->missing && (mine ? gains && verdict : true));
}

static const char *draw_asks(const char *kind)
{
    for (const figures_kind *k = figures_kinds; k->name; k++)
        if (strcmp(k->name, kind) == 0)
            return k->asks;
    return NULL;
}

/* FOLDER/NAME.ENDING, removed once it is read. */
static char *draw_take(const char *folder, const char *name, const char *ending, bool read, es_err *err)
{
    es_text path = {0};
    char *text = NULL;
    size_t length;
    es_text_add(&path, "%s/%s.%s", folder, name, ending);
    if (!path.failed && read)
        es_file_load(path.at, DRAW_SVG, &text, &length, err);
    if (!path.failed)
        remove(path.at);
    es_text_free(&path);
    return text;
}

/* What went wrong, without the name of our folder, which differs each time. */
static char *draw_reason(const char *said, const char *folder)
{
    const size_t length = strlen(folder);
    char *reason = strdup(said);
    for (char *at = reason; at && (at = strstr(at, folder)) != NULL;)
        memmove(at, at + length + (at[length] == '/'), strlen(at + length + (at[length] == '/')) + 1);
    return reason;
}

/* Draws one; *there is false where there is no gnuplot. What gnuplot fails at is missing, with what it said. */
static es_code draw_one(const figures *all, size_t i, const char *folder, report_figure *figure, bool *there, es_err *err)
{
    const figures_entry *entry = figures_at(all, i);
    es_err said = {0};
    es_code code = figures_save(all, i, folder, there, &said);
    figure->title = entry->title;
    if (*there)
        figure->svg = draw_take(folder, entry->name, "svg", code == ES_OK, &said);
    draw_take(folder, entry->name, "gp", false, NULL);
    draw_take(folder, entry->name, "dat", false, NULL);
    if (code == ES_OK && (figure->svg || !*there))
        return ES_OK;
    *there = true;
    figure->missing = draw_reason(said.text, folder);
    return figure->missing ? ES_OK : es_err_nomem(err, "a figure");
}

/* `mine`: of what is reported itself. */
static es_code draw_add(report_draw *draw, const figures *all, bool mine, report_kind kind, bool verdict, const char *folder, es_err *err)
{
    report_figure *grown = realloc(draw->figure, (draw->count + figures_count(all) + 1) * sizeof *grown);
    if (!grown)
        return es_err_nomem(err, "the figures");
    draw->figure = grown;
    es_code code = ES_OK;
    for (size_t i = 0; i < figures_count(all) && code == ES_OK && !draw->undrawn.length; i++) {
        const figures_entry *entry = figures_at(all, i);
        report_figure figure = {.asks = draw_asks(entry->kind), .title = entry->kind};
        bool there = true;
        if (draw_is_skipped(entry, kind, mine, verdict))
            continue;
        if (entry->missing)
            code = (figure.missing = strdup(entry->missing)) ? ES_OK : es_err_nomem(err, "the figures");
        else
            code = draw_one(all, i, folder, &figure, &there, err);
        if (!there)
            es_text_add(&draw->undrawn, "There is no gnuplot here, which draws the figures. Install it (Debian: gnuplot-nox; Homebrew: gnuplot) and make the report again.");
        else
            draw->figure[draw->count++] = figure;
    }
    return code;
}

es_code report_draw_all(report_draw *draw, report_kind kind, const char *path, const char *verdict, es_err *err)
{
    const char *const paths[REPORT_SOURCES] = {path, verdict};
    es_text folder = {0};
    es_code code = es_file_make_scratch("report", &folder, err);
    for (size_t i = 0; i < REPORT_SOURCES && code == ES_OK && paths[i]; i++) {
        es_err said = {0};
        const es_code opened = figures_open(&draw->all[i], &(figures_ask){.path = &paths[i], .count = 1, .svg = true}, &said);
        if (opened == ES_OK)
            code = draw_add(draw, draw->all[i], i == 0, kind, verdict != NULL, folder.at, err);
        else if (i == 0)
            es_text_add(&draw->undrawn, "There are no figures: %s", said.text);
    }
    if (folder.at)
        rmdir(folder.at);
    es_text_free(&folder);
    return code == ES_OK && draw->undrawn.failed ? es_err_nomem(err, "the figures") : code;
}

void report_draw_free(report_draw *draw)
{
    for (size_t i = 0; i < draw->count; i++) {
        free((char *)draw->figure[i].svg);
        free((char *)draw->figure[i].missing);
    }
    free(draw->figure);
    es_text_free(&draw->undrawn);
    for (size_t i = 0; i < REPORT_SOURCES; i++)
        figures_free(draw->all[i]);
}
