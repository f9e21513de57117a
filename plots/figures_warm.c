/* Warm: how the first run of a comparison warms up, candidate beside candidate, from the units.csv beside compare.json. See figures_inside.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plots/figures_inside.h"
#include "sim/base/reader.h"

enum { WARM_CANDIDATES = 24, WARM_BINS = 200 };

typedef struct warm_row {        /* of units.csv: group, run, candidate, row, request, above, below, settled, cut */
    char group[256], run[64], candidate[256];
    double above, below, cut;
    bool settled;
} warm_row;

/* The next field of a line, without its quotes; what is too long is cut. */
static const char *warm_field(const char *at, char *out, size_t room)
{
    const bool quoted = *at == '"';
    size_t length = 0;
    for (at += quoted; *at && (quoted || *at != ','); at++) {
        if (quoted && *at == '"' && *++at != '"')
            break;
        if (length + 1 < room)
            out[length++] = *at;
    }
    out[length] = '\0';
    return *at == ',' ? at + 1 : at;
}

static void warm_read(const char *line, warm_row *row)
{
    char word[64];
    line = warm_field(line, row->group, sizeof row->group);
    line = warm_field(line, row->run, sizeof row->run);
    line = warm_field(line, row->candidate, sizeof row->candidate);
    line = warm_field(line, word, sizeof word);
    line = warm_field(line, word, sizeof word);
    line = warm_field(line, word, sizeof word);
    row->above = strtod(word, NULL);
    line = warm_field(line, word, sizeof word);
    row->below = strtod(word, NULL);
    line = warm_field(line, word, sizeof word);
    row->settled = strcmp(word, "1") == 0;
    warm_field(line, word, sizeof word);
    row->cut = strtod(word, NULL);
}

typedef struct warm_course {
    char group[256], run[64];   /* the first ones: these are drawn */
    const char *name[WARM_CANDIDATES];
    size_t rows[WARM_CANDIDATES], candidates;
    double *above[WARM_CANDIDATES], *below[WARM_CANDIDATES], cut[WARM_CANDIDATES];
    bool settled[WARM_CANDIDATES];
} warm_course;

static size_t warm_candidate(figures *all, warm_course *w, const warm_row *row)
{
    size_t i = 0;
    while (i < w->candidates && strcmp(w->name[i], row->candidate) != 0)
        i++;
    if (i == w->candidates && i < WARM_CANDIDATES) {
        w->name[w->candidates++] = es_arena_text(&all->arena, row->candidate);
        w->settled[i] = row->settled;
        w->cut[i] = row->cut;
    }
    return i;
}

/* Once to count the rows of each candidate, once to keep them. */
static es_code warm_units(figures *all, const char *path, bool keep, warm_course *w, es_err *err)
{
    es_reader *reader = NULL;
    char *line;
    size_t length;
    es_code code = es_reader_open(&reader, path, err);
    while (code == ES_OK && (code = es_reader_line(reader, &line, &length, err)) == ES_OK && line) {
        warm_row row;
        if (es_reader_line_number(reader) == 1)
            continue;
        warm_read(line, &row);
        if (w->candidates == 0) {
            memcpy(w->group, row.group, sizeof w->group);
            memcpy(w->run, row.run, sizeof w->run);
        }
        if (strcmp(w->group, row.group) != 0 || strcmp(w->run, row.run) != 0)
            continue;
        const size_t i = warm_candidate(all, w, &row);
        if (i < WARM_CANDIDATES && keep) {
            w->above[i][w->rows[i]] = row.above;
            w->below[i][w->rows[i]] = row.below;
        }
        if (i < WARM_CANDIDATES)
            w->rows[i]++;
    }
    es_reader_close(reader);
    return code;
}

static es_code warm_course_open(figures *all, const char *path, warm_course *w, es_err *err)
{
    es_code code = warm_units(all, path, false, w, err);
    for (size_t i = 0; i < w->candidates && code == ES_OK; i++) {
        w->above[i] = figures_column(all, w->rows[i]);
        w->below[i] = figures_column(all, w->rows[i]);
        code = w->above[i] && w->below[i] && w->name[i] ? ES_OK : es_err_nomem(err, "a curve");
        w->rows[i] = 0;
    }
    return code ? code : warm_units(all, path, true, w, err);
}

/* Means of as many rows as it takes to have no more than WARM_BINS points. */
static es_code warm_course_curve(figures *all, const warm_course *w, size_t i, plot_series *out, es_err *err)
{
    const size_t of = (w->rows[i] + WARM_BINS - 1) / WARM_BINS;
    double *x = figures_column(all, WARM_BINS), *y = figures_column(all, WARM_BINS);
    size_t points = 0;
    if (!x || !y)
        return es_err_nomem(err, "a curve");
    for (size_t r = 0; of > 0 && r + of <= w->rows[i]; r += of) {
        double above = 0.0, below = 0.0;
        for (size_t k = r; k < r + of; k++) {
            above += w->above[i][k];
            below += w->below[i][k];
        }
        x[points] = (double)r + 0.5 * ((double)of - 1.0);
        y[points++] = below > 0.0 ? above / below : (double)NAN;
    }
    *out = (plot_series){.label = w->name[i], .style = PLOT_LINE, .x = x, .y = y, .count = points};
    return ES_OK;
}

static const char *warm_course_title(figures *all, const warm_course *w, const char *unit)
{
    es_text title = {0};
    for (size_t i = 0; i < w->candidates && i < 4; i++) {
        es_text_add(&title, "%s%s ", i ? "; " : "", w->name[i]);
        if (w->settled[i])
            es_text_add(&title, "is warm after %.0f %ss", w->cut[i], unit);
        else
            es_text_add(&title, "does not settle");
    }
    return figures_keep(all, &title);
}

static es_code warm_course_draw(figures *all, const es_json *compared, const warm_course *w, es_err *err)
{
    plot_series series[WARM_CANDIDATES + 1];
    double *cut = figures_column(all, w->candidates);
    size_t cuts = 0;
    es_code code = cut ? ES_OK : es_err_nomem(err, "a curve");
    const char *unit = strcmp(figures_word(compared, "unit"), "request") == 0 ? "request" : "token";
    for (size_t i = 0; i < w->candidates && code == ES_OK; i++) {
        code = warm_course_curve(all, w, i, &series[i], err);
        if (w->settled[i] && code == ES_OK)
            cut[cuts++] = w->cut[i];
    }
    if (code)
        return code;
    series[w->candidates] = (plot_series){.label = "settled (MSER-5)", .style = PLOT_MARKS, .x = cut, .y = cut, .count = cuts};
    const plot_figure figure = {.title = warm_course_title(all, w, unit), .note = "the first run", .x = {.label = strcmp(unit, "token") == 0 ? "decode token" : "request"},
        .y = {.label = figures_word(compared, "metric"), .unit = figures_unit(compared)}, .series = series, .count = w->candidates + (cuts > 0)};
    return figures_add(all, "warm-up", &figure, err);
}

es_code figures_warm_up(figures *all, es_err *err)
{
    const figures_source *source = figures_of(all, FORM_COMPARE);
    const char *slash = source ? strrchr(source->path, '/') : NULL;
    warm_course *w = ES_NEW(&all->arena, warm_course);
    es_text path = {0};
    es_reader *there = NULL;
    if (!source)
        return ES_OK;
    es_text_put(&path, slash ? source->path : ".", slash ? (size_t)(slash - source->path) : 1);
    es_text_add(&path, "/units.csv");
    const char *units = figures_keep(all, &path);
    const bool missing = es_reader_open(&there, units, NULL) != ES_OK;
    es_reader_close(there);
    if (missing || !w)
        return w ? ES_OK : es_err_nomem(err, "a curve");
    es_code code = warm_course_open(all, units, w, err);
    for (size_t i = 0; i < w->candidates && code == ES_OK; i++)
        if (w->rows[i] < 2)
            return figures_lack(all, "warm-up", err, "needs at least two rows of each candidate in units.csv");
    return code || w->candidates == 0 ? code : warm_course_draw(all, source->json, w, err);
}
