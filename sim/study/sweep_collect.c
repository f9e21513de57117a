/* Collecting a sweep: one row per point, in the order of the plan, as a table of HDF5 and as CSV. See sweep.h. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/file.h"
#include "sim/base/h5.h"
#include "sim/study/formula.h"
#include "sim/study/sweep_inside.h"

enum { COLLECT_SUMMARY = 256 * 1024 * 1024 };

typedef struct collect {
    const sweep_plan *plan;
    es_arena arena;
    es_h5_column *column;       /* id, point, the plan's columns, metrics */
    size_t columns, row_bytes;
    bool *known;                /* [metrics] some result has everything that the formula names */
    const char **unknown;       /* [metrics] the path that none had so far */
    unsigned char *row;
    FILE *csv;
    es_h5 *h5;
    es_h5_data *table;
    sweep_hists *hists;
    bool links;
    size_t missing;
} collect;

/* ---- columns ---- */

static bool collect_whole(const sweep_plan *plan, int at)
{
    const es_json *row;
    bool whole = true;
    cJSON_ArrayForEach(row, plan->points) {
        double value = cJSON_GetArrayItem(row, at)->valuedouble;
        whole = whole && value == floor(value) && fabs(value) < 0x1p53;
    }
    return whole;
}

static size_t collect_width(const sweep_plan *plan, int at)
{
    const es_json *row;
    size_t width = 1;
    cJSON_ArrayForEach(row, plan->points) {
        size_t length = strlen(cJSON_GetArrayItem(row, at)->valuestring);
        width = length > width ? length : width;
    }
    return width;
}

static void collect_column(collect *c, const char *name, es_h5_type type, size_t width, const char *long_name)
{
    c->column[c->columns++] = (es_h5_column){.name = name, .type = type, .offset = c->row_bytes, .width = type == ES_H5_TEXT ? width : 0, .long_name = long_name};
    c->row_bytes += type == ES_H5_TEXT ? (width + 7) / 8 * 8 : 8;
}

static es_code collect_columns(collect *c, es_err *err)
{
    const sweep_plan *plan = c->plan;
    const es_json *entry;
    int at = 2;
    c->column = ES_NEW_ARRAY(&c->arena, 2 + plan->column_count + plan->metric_count, es_h5_column);
    c->known = ES_NEW_ARRAY(&c->arena, plan->metric_count, bool);
    c->unknown = ES_NEW_ARRAY(&c->arena, plan->metric_count, const char *);
    if (!c->column || !c->known || !c->unknown)
        return es_err_nomem(err, "the table");
    collect_column(c, "id", ES_H5_TEXT, ES_SWEEP_ID, "of the result: DIR/points/ID.h5");
    collect_column(c, "point", ES_H5_I64, 0, "number of the combination; its replications share it");
    cJSON_ArrayForEach(entry, plan->columns) {
        bool numbers = strcmp(cJSON_GetObjectItemCaseSensitive(entry, "values")->valuestring, "numbers") == 0;
        es_h5_type type = !numbers ? ES_H5_TEXT : collect_whole(plan, at) ? ES_H5_I64 : ES_H5_F64;
        collect_column(c, cJSON_GetObjectItemCaseSensitive(entry, "name")->valuestring, type, numbers ? 0 : collect_width(plan, at), "value of an axis");
        at++;
    }
    cJSON_ArrayForEach(entry, plan->metrics)
        collect_column(c, entry->string, ES_H5_F64, 0, entry->valuestring);
    c->row = es_arena_alloc(&c->arena, 1, c->row_bytes);
    return c->row ? ES_OK : es_err_nomem(err, "the table");
}

/* ---- one result ---- */

typedef struct collect_look {
    const es_json *report;
    es_json unknown;            /* what stands for null: not a number */
    char missing[128];
} collect_look;

static const es_json *collect_find(void *self, const char *path)
{
    collect_look *look = self;
    const es_json *found = es_json_at(look->report, path);
    if (!found)
        snprintf(look->missing, sizeof look->missing, "%s", path);
    return !found || cJSON_IsNull(found) ? &look->unknown : found;
}

static es_code collect_metrics(collect *c, const es_json *report, es_err *err)
{
    const es_json *metric;
    size_t m = 0, first = 2 + c->plan->column_count;
    cJSON_ArrayForEach(metric, c->plan->metrics) {
        collect_look look = {.report = report, .unknown = {.type = cJSON_Number, .valuedouble = (double)NAN}};
        double value;
        es_code code = es_formula_measure(metric->valuestring, collect_find, &look, &value, err);
        if (code)
            return es_err_at(err, "metrics.%s", metric->string), code;
        memcpy(c->row + c->column[first + m].offset, &value, sizeof value);
        if (!*look.missing)
            c->known[m] = true;
        else if (!c->unknown[m] && !(c->unknown[m] = es_arena_text(&c->arena, look.missing)))
            return es_err_nomem(err, "the table");
        m++;
    }
    return ES_OK;
}

static void collect_values(collect *c, const es_json *cells)
{
    size_t i = 0;
    memset(c->row, 0, c->row_bytes);
    for (const es_json *cell = cells->child; cell; cell = cell->next, i++) {
        unsigned char *to = c->row + c->column[i].offset;
        if (c->column[i].type == ES_H5_TEXT)
            memcpy(to, cell->valuestring, strlen(cell->valuestring));
        else if (c->column[i].type == ES_H5_I64)
            memcpy(to, &(int64_t){(int64_t)cell->valuedouble}, 8);
        else
            memcpy(to, &cell->valuedouble, 8);
    }
}

es_code sweep_summary(es_h5 *result, es_json **report, es_err *err)
{
    char *text = NULL;
    uint64_t length;
    es_code code = es_h5_load_text(result, "/summary", COLLECT_SUMMARY, &text, &length, err);
    if (code == ES_OK)
        code = es_json_parse(report, text, length, err);
    free(text);
    return code;
}

/* ---- CSV ---- */

static void csv_text(FILE *csv, const char *text, size_t length)
{
    bool quoted = false;
    for (size_t i = 0; i < length; i++)
        quoted = quoted || strchr(",\"\r\n", text[i]);
    if (quoted)
        fputc('"', csv);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '"')
            fputc('"', csv);
        fputc(text[i], csv);
    }
    if (quoted)
        fputc('"', csv);
}

/* The shortest text that reads back equal; nothing for what is no number. */
static void csv_number(FILE *csv, double value)
{
    char text[40];
    if (!isfinite(value))
        return;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    fprintf(csv, "%s", text);
}

static void csv_row(const collect *c)
{
    for (size_t i = 0; i < c->columns; i++) {
        const unsigned char *at = c->row + c->column[i].offset;
        int64_t whole;
        double real;
        if (i > 0)
            fputc(',', c->csv);
        memcpy(&whole, at, 8);
        memcpy(&real, at, 8);
        if (c->column[i].type == ES_H5_TEXT)
            csv_text(c->csv, (const char *)at, strnlen((const char *)at, c->column[i].width));
        else if (c->column[i].type == ES_H5_I64)
            fprintf(c->csv, "%lld", (long long)whole);
        else
            csv_number(c->csv, real);
    }
    fputc('\n', c->csv);
}

static void csv_head(const collect *c)
{
    for (size_t i = 0; i < c->columns; i++) {
        if (i > 0)
            fputc(',', c->csv);
        csv_text(c->csv, c->column[i].name, strlen(c->column[i].name));
    }
    fputc('\n', c->csv);
}

/* ---- all of it ---- */

static es_code collect_link(collect *c, const char *id, es_err *err)
{
    char path[64], other[64];
    snprintf(path, sizeof path, "/results/%s", id);
    snprintf(other, sizeof other, "points/%s.h5", id);
    return es_h5_link_outside(c->h5, path, other, "/", err);
}

static es_code collect_point(collect *c, const es_json *cells, es_err *err)
{
    char path[4096];
    es_h5 *result = NULL;
    es_json *report = NULL;
    sweep_point_path(c->plan->dir, sweep_row_id(cells), ".h5", path, sizeof path);
    if (access(path, F_OK) != 0) {
        c->missing++;
        return ES_OK;
    }
    es_code code = es_h5_open(&result, path, false, err);
    if (code)
        return code;
    code = sweep_summary(result, &report, err);
    collect_values(c, cells);
    if (code == ES_OK)
        code = collect_metrics(c, report, err);
    if (code == ES_OK)
        code = sweep_hists_add(c->hists, result, (int64_t)cells->child->next->valuedouble, err);
    es_h5_close(result, NULL);
    cJSON_Delete(report);
    if (code)
        return es_err_at(err, "%s", path), code;
    csv_row(c);
    code = es_h5_table_append(c->table, 1, c->row, err);
    return code == ES_OK && c->links ? collect_link(c, sweep_row_id(cells), err) : code;
}

/* A metric of the file that no result could give is a mistake in its formula, or an observer that is not there. */
static es_code collect_known(const collect *c, es_err *err)
{
    const es_json *metric;
    size_t m = 0;
    cJSON_ArrayForEach(metric, c->plan->metrics) {
        if (!c->known[m] && !c->plan->usual)
            return es_err_set(err, ES_EINPUT, "metrics.%s: no result has %s; docs/results.md lists what there is", metric->string, c->unknown[m] ? c->unknown[m] : "it");
        m++;
    }
    return ES_OK;
}

static es_code collect_head(collect *c, es_err *err)
{
    const es_json *brief = cJSON_GetObjectItemCaseSensitive(c->plan->json, "brief"), *version = cJSON_GetObjectItemCaseSensitive(c->plan->json, "version");
    es_code code = es_h5_put_text(c->h5, "/", "format", "expertsim-sweep", err);
    if (code == ES_OK)
        code = es_h5_put_text(c->h5, "/", "name", c->plan->name, err);
    if (code == ES_OK)
        code = es_h5_put_text(c->h5, "/", "brief", cJSON_IsString(brief) ? brief->valuestring : "", err);
    return code ? code : es_h5_put_text(c->h5, "/", "version", cJSON_IsString(version) ? version->valuestring : "", err);
}

static es_code collect_all(collect *c, bool some, es_err *err)
{
    const es_json *cells;
    es_code code = collect_columns(c, err);
    if (code == ES_OK)
        code = collect_head(c, err);
    if (code == ES_OK)
        code = es_h5_table_create(&c->table, c->h5, "/points", c->column, c->columns, c->row_bytes, c->plan->count, err);
    if (code == ES_OK)
        code = sweep_hists_new(&c->hists, c->h5, err);
    if (code == ES_OK)
        csv_head(c);
    cJSON_ArrayForEach(cells, c->plan->points)
        if (code == ES_OK)
            code = collect_point(c, cells, err);
    if (code == ES_OK)
        code = sweep_hists_end(c->hists, err);
    if (code == ES_OK && (c->missing == c->plan->count || (c->missing && !some)))
        code = es_err_set(err, ES_EINPUT, "%s: %zu of %zu points are not there; run the sweep again%s", c->plan->dir, c->missing, c->plan->count,
            c->missing < c->plan->count ? ", or take what there is with --partial" : "");
    if (code == ES_OK)
        code = collect_known(c, err);
    es_h5_data_close(c->table);
    sweep_hists_free(c->hists);
    return code;
}

/* Is the file to lie in the folder of the sweep? Then links to results can be relative to it. */
static bool collect_in(const char *dir, const char *file)
{
    const char *slash = strrchr(file, '/');
    es_text folder = {0};
    es_text_put(&folder, slash ? file : "./", slash ? (size_t)(slash - file) + 1 : 2);
    char *real = folder.failed ? NULL : realpath(folder.at, NULL), *mine = realpath(dir, NULL);
    bool in = real && mine && strcmp(real, mine) == 0;
    es_text_free(&folder);
    free(real);
    free(mine);
    return in;
}

static es_code collect_write(collect *c, const char *h5, const char *csv, bool some, es_err *err)
{
    es_code code = es_h5_create(&c->h5, h5, err);
    if (code)
        return code;
    c->csv = fopen(csv, "wb");
    code = c->csv ? collect_all(c, some, err) : es_err_set(err, ES_EINPUT, "%s: cannot be written: %s", csv, strerror(errno));
    es_code closed = es_h5_close(c->h5, code ? NULL : err);
    code = code ? code : closed;
    bool lost = c->csv && (fflush(c->csv) != 0 || ferror(c->csv) || fsync(fileno(c->csv)) != 0);
    if (c->csv && fclose(c->csv) != 0)
        lost = true;
    return code == ES_OK && lost ? es_err_set(err, ES_EINPUT, "%s: cannot be written: %s", csv, strerror(errno)) : code;
}

es_code es_sweep_collect(const char *dir, const char *h5, const char *csv, bool some, es_err *err)
{
    sweep_plan plan;
    es_code code = sweep_plan_open(&plan, dir, err);
    if (code)
        return code;
    collect c = {.plan = &plan, .links = collect_in(dir, h5)};
    es_file_target table[2] = {0};
    code = es_file_target_find(&table[0], h5, err);
    if (code == ES_OK)
        code = es_file_target_find(&table[1], csv, err);
    if (code == ES_OK)
        code = collect_write(&c, table[0].name, table[1].name, some, err);
    for (int i = 0; i < 2 && code == ES_OK; i++)
        code = es_file_target_keep(&table[i], err);
    for (int i = 0; i < 2; i++) {
        if (code && table[i].name)
            es_file_target_drop(&table[i]);
        es_file_target_free(&table[i]);
    }
    es_arena_free(&c.arena);
    sweep_plan_close(&plan);
    return code;
}
