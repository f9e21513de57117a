/* Places: layers and experts of a run: which hit, which stay, which are used. See figures_inside.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plots/figures_inside.h"

enum { PLACES_RUNS = 8, PLACES_HEATS = 4, PLACES_COLUMNS = 128, PLACES_CELLS = 1 << 22 };

#define PLACES_NEEDS_H5 "needs the result.h5 of a run: `expertsim run --out DIR` keeps it beside result.json"

/* ---- layers ---- */

typedef struct places_layer {
    int64_t layer, lookups, hits;
} places_layer;

static const es_h5_column places_columns[] = {
    {"layer", ES_H5_I64, offsetof(places_layer, layer), 0, NULL, NULL},
    {"lookups", ES_H5_I64, offsetof(places_layer, lookups), 0, NULL, NULL},
    {"hits", ES_H5_I64, offsetof(places_layer, hits), 0, NULL, NULL},
};

/* Count 0: the run kept no tables. */
static es_code places_layers(figures *all, const figures_point *p, plot_series *out, es_err *err)
{
    es_h5 *file = NULL;
    es_h5_data *table = NULL;
    *out = (plot_series){.label = p->label, .style = PLOT_BOTH};
    es_code code = es_h5_open(&file, p->h5, false, err);
    if (code || !es_h5_has(file, "/tables/layers")) {
        es_h5_close(file, NULL);
        return code;
    }
    code = es_h5_table_open(&table, file, "/tables/layers", places_columns, 3, sizeof(places_layer), err);
    const size_t rows = code == ES_OK ? (size_t)es_h5_data_dims(table)[0] : 0;
    places_layer *row = ES_NEW_ARRAY(&all->arena, rows, places_layer);
    double *x = figures_column(all, rows), *y = figures_column(all, rows);
    if (code == ES_OK)
        code = row && x && y ? es_h5_table_read(table, 0, rows, row, err) : es_err_nomem(err, "a table");
    for (size_t i = 0; i < rows && code == ES_OK; i++) {
        x[i] = (double)row[i].layer;
        y[i] = row[i].lookups ? (double)row[i].hits / (double)row[i].lookups : (double)NAN;
    }
    out->x = x;
    out->y = y;
    out->count = code == ES_OK ? rows : 0;
    es_h5_data_close(table);
    es_h5_close(file, NULL);
    return code;
}

/* Of the first run: the layers that hit least and most. */
static const char *places_layers_title(figures *all, const plot_series *s)
{
    size_t least = 0, most = 0;
    es_text title = {0};
    for (size_t i = 1; i < s->count; i++) {
        least = s->y[i] < s->y[least] || isnan(s->y[least]) ? i : least;
        most = s->y[i] > s->y[most] || isnan(s->y[most]) ? i : most;
    }
    es_text_add(&title, "%s: layer %.0f hits ", s->label, s->x[most]);
    figures_say_share(&title, s->y[most]);
    es_text_add(&title, " of its lookups, layer %.0f ", s->x[least]);
    figures_say_share(&title, s->y[least]);
    return figures_keep(all, &title);
}

es_code figures_layers(figures *all, es_err *err)
{
    plot_series series[PLACES_RUNS];
    size_t count = 0, opened = 0;
    es_code code = ES_OK;
    for (size_t i = 0; i < all->points && count < PLACES_RUNS && all->points <= PLACES_RUNS && code == ES_OK; i++) {
        if (!all->point[i].h5)
            continue;
        opened++;
        code = places_layers(all, &all->point[i], &series[count], err);
        count += series[count].count > 0;
    }
    if (code || all->points == 0)
        return code;
    if (count > 0 && series[0].count < 2)
        return figures_lack(all, "layers", err, "the run has one layer");
    if (count == 0)
        return figures_lack(all, "layers", err, "%s", all->points > PLACES_RUNS ? "needs at most 8 runs; give folders of single ones"
            : opened ? "needs the observer tables; without observers of its own a config has it" : PLACES_NEEDS_H5);
    const plot_figure figure = {.title = places_layers_title(all, &series[0]), .note = all->note, .x = {.label = "layer, as the model numbers it"},
        .y = {.label = "hits, of the lookups of a layer", .unit = PLOT_SHARE, .low = 0.0, .high = 1.0}, .series = series, .count = count};
    return figures_add(all, "layers", &figure, err);
}

/* ---- residency ---- */

typedef struct places_grid {    /* layers x experts */
    double *value, *x, *y;
    size_t rows, columns, experts;
} places_grid;

/* Neighbours are averaged where there are more columns than can be seen. Rows 0: it is not there. */
static es_code places_load(figures *all, es_h5 *file, const char *path, places_grid *g, es_err *err)
{
    es_h5_data *data = NULL;
    *g = (places_grid){.rows = 0};
    if (!es_h5_has(file, path))
        return ES_OK;
    es_code code = es_h5_data_open(&data, file, path, err);
    if (code)
        return code;
    const uint64_t *dims = es_h5_data_dims(data);
    if (es_h5_data_rank(data) != 2 || dims[0] == 0 || dims[1] == 0 || dims[0] > PLACES_CELLS / dims[1]) {
        es_h5_data_close(data);
        return es_err_set(err, ES_EINPUT, "%s: is no table of layers x experts", path);
    }
    const size_t rows = (size_t)dims[0], experts = (size_t)dims[1], of = (experts + PLACES_COLUMNS - 1) / PLACES_COLUMNS, columns = (experts + of - 1) / of;
    double *cell = figures_column(all, rows * experts);
    *g = (places_grid){figures_column(all, rows * columns), figures_column(all, columns), figures_column(all, rows), rows, columns, experts};
    code = cell && g->value && g->x && g->y ? es_h5_data_read(data, ES_H5_F64, 0, rows, cell, err) : es_err_nomem(err, "a heat map");
    es_h5_data_close(data);
    for (size_t c = 0; c < columns && code == ES_OK; c++)
        g->x[c] = (double)(c * of) + 0.5 * (double)(of - 1);
    for (size_t r = 0; r < rows && code == ES_OK; r++) {
        g->y[r] = (double)r;
        for (size_t c = 0; c < columns; c++) {
            const size_t end = (c + 1) * of < experts ? (c + 1) * of : experts;
            for (size_t e = c * of; e < end; e++)
                g->value[r * columns + c] += cell[r * experts + e] / (double)(end - c * of);
        }
    }
    return code;
}

static const char *places_residency_title(figures *all, const places_grid *g)
{
    size_t always = 0, never = 0, cells = g->rows * g->columns;
    es_text title = {0};
    for (size_t i = 0; i < cells; i++) {
        always += g->value[i] >= 0.9;
        never += g->value[i] <= 0.1;
    }
    figures_say_share(&title, (double)always / (double)cells);
    es_text_add(&title, " of the experts stay (there in 9 of 10 steps or more), ");
    figures_say_share(&title, (double)never / (double)cells);
    es_text_add(&title, " hardly ever are there (1 in 10 or less)");
    return figures_keep(all, &title);
}

static int places_descending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x > y ? -1 : x < y;
}

static const char *places_uses_title(figures *all, const places_grid *g)
{
    const size_t cells = g->rows * g->columns, tenth = (cells + 9) / 10;
    double *sorted = figures_column(all, cells), top = 0.0, sum = 0.0;
    es_text title = {0};
    if (!sorted)
        return "";
    memcpy(sorted, g->value, cells * sizeof *sorted);
    qsort(sorted, cells, sizeof *sorted, places_descending);
    for (size_t i = 0; i < cells; i++) {
        sum += sorted[i];
        top += i < tenth ? sorted[i] : 0.0;
    }
    es_text_add(&title, "The most used tenth of the experts take ");
    figures_say_share(&title, sum > 0.0 ? top / sum : 0.0);
    es_text_add(&title, " of all lookups");
    return figures_keep(all, &title);
}

static es_code places_heat(figures *all, const figures_point *p, const places_grid *g, const char *title, const char *value, es_err *err)
{
    es_text note = {0};
    es_text_add(&note, "%s; %s%s", p->label, all->note, g->columns < g->experts ? "; a cell is the mean of neighbours" : "");
    const plot_heat heat = {.title = title, .note = figures_keep(all, &note), .x_label = "expert of its layer", .y_label = "layer, in the trace's order", .value_label = value,
        .x = g->x, .y = g->y, .value = g->value, .columns = g->columns, .rows = g->rows};
    return figures_add_heat(all, "residency", &heat, err);
}

static es_code places_residency(figures *all, const figures_point *p, es_err *err)
{
    es_h5 *file = NULL;
    places_grid there, used = {.rows = 0};
    es_code code = es_h5_open(&file, p->h5, false, err);
    if (code == ES_OK)
        code = places_load(all, file, "/occupancy/resident", &there, err);
    if (code == ES_OK)
        code = places_load(all, file, "/occupancy/uses", &used, err);
    es_h5_close(file, NULL);
    if (code == ES_OK && there.rows > 0)
        code = places_heat(all, p, &there, places_residency_title(all, &there), "steps in which it is there, %", err);
    if (code || used.rows == 0)
        return code;
    const char *title = places_uses_title(all, &used);
    double most = 0.0;
    for (size_t i = 0; i < used.rows * used.columns; i++)
        most = fmax(most, used.value[i]);
    for (size_t i = 0; i < used.rows * used.columns && most > 0.0; i++)
        used.value[i] /= most;
    return places_heat(all, p, &used, title, "lookups, % of those of the most used", err);
}

es_code figures_residency(figures *all, es_err *err)
{
    const size_t before = all->drawings;
    size_t opened = 0;
    es_code code = ES_OK;
    for (size_t i = 0; i < all->points && opened < PLACES_HEATS && code == ES_OK; i++) {
        if (!all->point[i].h5)
            continue;
        opened++;
        code = places_residency(all, &all->point[i], err);
    }
    if (code || all->points == 0 || all->drawings > before)
        return code;
    return figures_lack(all, "residency", err, "%s", opened ? "needs the observer occupancy: run again with --set 'observers=[\"summary\", \"coverage\", \"latency\", \"traffic\", \"memory\", "
        "\"tables\", \"series\", \"occupancy\"]'"
        : PLACES_NEEDS_H5);
}
