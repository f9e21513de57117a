/* Series: curves over simulated time that a run kept in its result.h5, read and made coarse enough to be drawn. See figures_series.h. */
#include "plots/figures_series.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { SERIES_ROWS = 1 << 20 };

typedef struct series_point {
    int64_t t_ns, tokens, value;
} series_point;

static const es_h5_column series_columns[] = {
    {"t_ns", ES_H5_I64, offsetof(series_point, t_ns), 0, NULL, NULL},
    {"tokens", ES_H5_I64, offsetof(series_point, tokens), 0, NULL, NULL},
    {"value", ES_H5_I64, offsetof(series_point, value), 0, NULL, NULL},
};

/* Which row each of the bins that are drawn begins with. */
static size_t series_first(size_t bin, size_t bins, size_t rows)
{
    return bin * rows / bins;
}

es_code series_load(figures *all, es_h5 *file, const char *path, bool level, series_curve *out, es_err *err)
{
    es_h5_data *table = NULL;
    *out = (series_curve){.count = 0};
    if (!es_h5_has(file, path))
        return ES_OK;
    es_code code = es_h5_table_open(&table, file, path, series_columns, 3, sizeof(series_point), err);
    if (code)
        return code;
    const size_t rows = es_h5_data_dims(table)[0] < SERIES_ROWS ? (size_t)es_h5_data_dims(table)[0] : SERIES_ROWS;
    const size_t bins = rows < SERIES_BINS ? rows : SERIES_BINS;
    series_point *point = ES_NEW_ARRAY(&all->arena, rows, series_point);
    *out = (series_curve){.end = figures_column(all, bins), .value = figures_column(all, bins), .count = bins};
    code = point && out->end && out->value ? es_h5_table_read(table, 0, rows, point, err) : es_err_nomem(err, "a curve");
    es_h5_data_close(table);
    out->by_tokens = code == ES_OK && rows > 0 && point[rows - 1].t_ns == 0;
    for (size_t b = 0; b < bins && code == ES_OK; b++)
        for (size_t i = series_first(b, bins, rows); i < series_first(b + 1, bins, rows); i++) {
            out->end[b] = out->by_tokens ? (double)point[i].tokens : (double)point[i].t_ns / 1e9;
            out->value[b] = (double)point[i].value + (level ? 0.0 : out->value[b]);
        }
    return code;
}

/* ---- columns of one table ---- */

typedef struct series_names {
    figures *all;
    series_table *table;
    bool failed;
} series_names;

static bool series_cause(void *self, const es_h5_column *column)
{
    series_names *n = self;
    const size_t length = strlen(column->name);
    const bool place = length >= 3 && strcmp(column->name + length - 3, "_ns") == 0, tokens = length >= 7 && strcmp(column->name + length - 7, "_tokens") == 0;
    if (column->type != ES_H5_I64 || place || tokens || strncmp(column->name, "path.", 5) == 0)
        return true;
    if (n->table->count == SERIES_CAUSES)
        return false;
    n->table->name[n->table->count] = es_arena_text(&n->all->arena, column->name);
    n->failed = n->failed || !n->table->name[n->table->count];
    n->table->count++;
    return true;
}

/* One column of the table at a time, and the end of each bin. */
static es_code series_cause_load(figures *all, es_h5 *file, const char *path, size_t c, series_table *out, es_err *err)
{
    const es_h5_column columns[] = {
        {"end_ns", ES_H5_I64, offsetof(series_point, t_ns), 0, NULL, NULL},
        {out->name[c], ES_H5_I64, offsetof(series_point, value), 0, NULL, NULL},
    };
    es_h5_data *table = NULL;
    es_code code = es_h5_table_open(&table, file, path, columns, 2, sizeof(series_point), err);
    if (code)
        return code;
    const size_t rows = es_h5_data_dims(table)[0] < SERIES_ROWS ? (size_t)es_h5_data_dims(table)[0] : SERIES_ROWS;
    out->bins = rows < SERIES_BINS ? rows : SERIES_BINS;
    series_point *point = ES_NEW_ARRAY(&all->arena, rows, series_point);
    out->end = figures_column(all, out->bins);
    out->value[c] = figures_column(all, out->bins);
    code = point && out->end && out->value[c] ? es_h5_table_read(table, 0, rows, point, err) : es_err_nomem(err, "a curve");
    es_h5_data_close(table);
    for (size_t b = 0; b < out->bins && code == ES_OK; b++)
        for (size_t i = series_first(b, out->bins, rows); i < series_first(b + 1, out->bins, rows); i++) {
            out->end[b] = (double)point[i].t_ns / 1e9;
            out->value[c][b] += (double)point[i].value / 1e9;
        }
    return code;
}

es_code series_load_table(figures *all, es_h5 *file, const char *path, series_table *out, es_err *err)
{
    series_names names = {all, out, false};
    *out = (series_table){.count = 0};
    if (!es_h5_has(file, path))
        return ES_OK;
    es_code code = es_h5_table_each(file, path, series_cause, &names, err);
    if (code == ES_OK && names.failed)
        code = es_err_nomem(err, "a curve");
    for (size_t c = 0; c < out->count && code == ES_OK; c++)
        code = series_cause_load(all, file, path, c, out, err);
    return code;
}
