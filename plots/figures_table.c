/* Table: the points of a sweep out of its collected table, where the results themselves are not at hand. See figures_inside.h.
 *
 * Which columns are axes the table says itself ("NAME.long_name"); of the metrics those with the usual names are drawn. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plots/figures_inside.h"

enum { TABLE_COLUMNS = 64, TABLE_TEXT = 128, TABLE_NAME = 128, TABLE_ROWS = 1 << 20 };
#define TABLE_BYTES 1e6         /* rooms of so many are bytes: no model has so many experts */

typedef struct table_metric {
    const char *name;
    size_t offset;
} table_metric;

static const table_metric table_metrics[] = {
    {"tokens_per_s", offsetof(figures_point, speed)}, {"latency_mean_s", offsetof(figures_point, latency)}, {"latency_p50_s", offsetof(figures_point, p50)},
    {"latency_p95_s", offsetof(figures_point, p95)}, {"latency_p99_s", offsetof(figures_point, p99)}, {"total_s", offsetof(figures_point, total)},
    {"stall_s", offsetof(figures_point, stall)}, {"room", offsetof(figures_point, room)}, {"decode_hit_rate", offsetof(figures_point, miss)},
};

typedef struct table_names {    /* of all columns that can be read */
    char name[TABLE_COLUMNS][TABLE_NAME];
    es_h5_type type[TABLE_COLUMNS];
    size_t count;
} table_names;

static bool table_met(void *self, const es_h5_column *column)
{
    table_names *n = self;
    if (strlen(column->name) < TABLE_NAME && column->width <= TABLE_TEXT) {
        snprintf(n->name[n->count], TABLE_NAME, "%s", column->name);
        n->type[n->count++] = column->type;
    }
    return n->count < TABLE_COLUMNS;
}

static bool table_is_axis(es_h5 *file, const char *name)
{
    char attribute[TABLE_NAME + 16], *says = NULL;
    snprintf(attribute, sizeof attribute, "%s.long_name", name);
    if (!es_h5_has_attr(file, "/points", attribute) || es_h5_get_text(file, "/points", attribute, &says, NULL) != ES_OK)
        return false;
    const bool axis = strcmp(says, "value of an axis") == 0;
    free(says);
    return axis;
}

/* One column of all rows: numbers as f64, texts in rows of TABLE_TEXT. */
static es_code table_column(figures *all, es_h5 *file, const char *name, bool text, size_t rows, void **out, es_err *err)
{
    const size_t width = text ? TABLE_TEXT : sizeof(double);
    const es_h5_column column = {.name = name, .type = text ? ES_H5_TEXT : ES_H5_F64, .offset = 0, .width = text ? TABLE_TEXT : 0};
    es_h5_data *table = NULL;
    *out = es_arena_alloc(&all->arena, rows, width);
    es_code code = *out ? es_h5_table_open(&table, file, "/points", &column, 1, width, err) : es_err_nomem(err, "a table");
    if (code == ES_OK)
        code = es_h5_table_read(table, 0, rows, *out, err);
    es_h5_data_close(table);
    return code;
}

static es_code table_axis(figures *all, const char *name, const void *column, bool text, es_err *err)
{
    const size_t a = all->axes++;
    all->axis[a] = es_arena_text(&all->arena, name);
    for (size_t i = 0; i < all->points; i++) {
        char word[TABLE_TEXT + 1];
        if (text)
            snprintf(word, sizeof word, "%.*s", TABLE_TEXT, (const char *)column + i * TABLE_TEXT);
        else
            snprintf(word, sizeof word, "%.10g", ((const double *)column)[i]);
        all->point[i].number[a] = text ? (double)NAN : ((const double *)column)[i];
        all->point[i].cell[a] = es_arena_text(&all->arena, word);
        if (!all->point[i].cell[a] || !all->axis[a])
            return es_err_nomem(err, "a table");
    }
    return ES_OK;
}

static void table_values(figures *all, const char *name, const double *column)
{
    for (size_t m = 0; m < sizeof table_metrics / sizeof *table_metrics; m++)
        for (size_t i = 0; i < all->points && strcmp(name, table_metrics[m].name) == 0; i++)
            memcpy((char *)&all->point[i] + table_metrics[m].offset, &column[i], sizeof *column);
    for (size_t i = 0; i < all->points && strcmp(name, "point") == 0; i++)
        all->point[i].combination = (int64_t)column[i];
}

/* What a table does not say is not known. */
static void table_finish(figures *all)
{
    for (size_t i = 0; i < all->points; i++) {
        figures_point *p = &all->point[i];
        p->miss = 1.0 - p->miss;
        p->memory = p->room;
        p->in_bytes = p->room >= TABLE_BYTES;
        for (size_t a = 0; a < all->axes; a++)
            if (strcmp(all->axis[a], "policy") == 0) {
                p->policy = p->cell[a];
                p->causal = strncmp(p->cell[a], "belady", 6) != 0;
            }
    }
}

static es_code table_points(figures *all, const figures_source *source, es_h5 *file, es_err *err)
{
    table_names *names = ES_NEW(&all->arena, table_names);
    es_h5_data *table = NULL;
    es_code code = names ? es_h5_table_each(file, "/points", table_met, names, err) : es_err_nomem(err, "a table");
    if (code == ES_OK)
        code = es_h5_table_open(&table, file, "/points", NULL, 0, 1, err);
    const uint64_t rows = code == ES_OK ? es_h5_data_dims(table)[0] : 0;
    es_h5_data_close(table);
    if (code == ES_OK && (rows == 0 || rows > TABLE_ROWS))
        code = es_err_set(err, ES_EINPUT, "%s: /points: has %llu rows, needs 1 to %d", source->path, (unsigned long long)rows, TABLE_ROWS);
    if (code)
        return code;
    all->point = ES_NEW_ARRAY(&all->arena, rows, figures_point);
    if (!all->point)
        return es_err_nomem(err, "a table");
    all->points = all->point_room = (size_t)rows;
    for (size_t i = 0; i < all->points; i++)
        all->point[i] = (figures_point){.policy = "", .causal = true, .decode = true, .room = NAN, .miss = NAN, .belady_miss = NAN, .speed = NAN, .latency = NAN, .p50 = NAN,
            .p95 = NAN, .p99 = NAN, .total = NAN, .stall = NAN, .never_cache = NAN, .all_resident = NAN, .lower_bound = NAN, .clairvoyant = NAN};
    for (size_t c = 0; c < names->count && code == ES_OK; c++) {
        const bool text = names->type[c] == ES_H5_TEXT, axis = table_is_axis(file, names->name[c]);
        void *column;
        if (text && !axis)
            continue;
        code = table_column(all, file, names->name[c], text, all->points, &column, err);
        if (code == ES_OK && axis && all->axes < FIGURES_AXES)
            code = table_axis(all, names->name[c], column, text, err);
        else if (code == ES_OK && !axis)
            table_values(all, names->name[c], column);
    }
    if (code == ES_OK)
        table_finish(all);
    return code;
}

es_code figures_table(figures *all, const figures_source *source, es_err *err)
{
    es_h5 *file = NULL;
    char *name = NULL;
    es_text note = {0};
    es_code code = es_h5_open(&file, source->path, false, err);
    if (code)
        return code;
    if (es_h5_has_attr(file, "/", "name"))
        es_h5_get_text(file, "/", "name", &name, NULL);
    code = table_points(all, source, file, err);
    es_text_add(&note, "sweep %s; %zu points", name ? name : "", all->points);
    all->note = figures_keep(all, &note);
    free(name);
    es_h5_close(file, NULL);
    return code;
}
