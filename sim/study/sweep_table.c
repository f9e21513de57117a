/* All results of a sweep's folder in one piece of JSON, for who shows them. See sweep.h. */
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/h5.h"
#include "sim/study/formula.h"
#include "sim/study/sweep_inside.h"

typedef struct table_look {
    const es_json *report;
    es_json unknown;            /* what stands for what is not there: not a number */
} table_look;

static const es_json *table_find(void *self, const char *path)
{
    table_look *look = self;
    const es_json *found = es_json_at(look->report, path);
    return !found || cJSON_IsNull(found) ? &look->unknown : found;
}

/* Value of every metric, null where the result has not what the formula names. */
static es_code table_metrics(const sweep_plan *plan, const es_json *report, es_json *row, es_err *err)
{
    es_json *values = es_json_add_array(row, "metrics");
    const es_json *metric;
    cJSON_ArrayForEach(metric, plan->metrics) {
        table_look look = {.report = report, .unknown = {.type = cJSON_Number, .valuedouble = (double)NAN}};
        double value;
        es_code code = es_formula_measure(metric->valuestring, table_find, &look, &value, err);
        if (code)
            return es_err_at(err, "metrics.%s", metric->string), code;
        es_json *number = isfinite(value) ? cJSON_CreateNumber(value) : cJSON_CreateNull();
        if (!number || !cJSON_AddItemToArray(values, number)) {
            cJSON_Delete(number);
            return es_err_nomem(err, "the table");
        }
    }
    return ES_OK;
}

static void table_word(const es_json *report, const char *path, const char *name, es_json *row)
{
    const es_json *word = es_json_at(report, path);
    es_json_add_text(row, name, cJSON_IsString(word) ? word->valuestring : NULL);
}

static es_code table_row(const sweep_plan *plan, const es_json *cells, const es_json *report, es_json *row, es_err *err)
{
    const es_json *cell = cells->child->next->next;
    es_json_add_text(row, "id", sweep_row_id(cells));
    es_json_add_int(row, "point", (int64_t)cells->child->next->valuedouble);
    es_json *values = es_json_add_array(row, "values");
    for (; cell; cell = cell->next)
        cJSON_AddItemToArray(values, cJSON_Duplicate(cell, true));
    es_json_add_bool(row, "causal", !cJSON_IsFalse(es_json_at(report, "provenance.causal")));
    table_word(report, "clock", "clock", row);
    table_word(report, "capacity.counts", "counts", row);
    return table_metrics(plan, report, row, err);
}

static es_code table_point(const sweep_plan *plan, const es_json *cells, es_json *rows, es_err *err)
{
    char path[4096];
    es_h5 *file = NULL;
    es_json *report = NULL;
    sweep_point_path(plan->dir, sweep_row_id(cells), ".h5", path, sizeof path);
    if (access(path, F_OK) != 0)
        return ES_OK;
    es_json *row = cJSON_CreateObject();
    es_code code = row && cJSON_AddItemToArray(rows, row) ? es_h5_open(&file, path, false, err) : es_err_nomem(err, "the table");
    if (code)
        return code;
    code = sweep_summary(file, &report, err);
    es_h5_close(file, NULL);
    if (code == ES_OK)
        code = table_row(plan, cells, report, row, err);
    cJSON_Delete(report);
    return code ? es_err_at(err, "%s", path) : ES_OK;
}

es_code es_sweep_table(const char *dir, es_json **out, es_err *err)
{
    sweep_plan plan;
    es_json *status = NULL;
    const es_json *cells;
    *out = NULL;
    es_code code = sweep_plan_open(&plan, dir, err);
    if (code)
        return code;
    code = es_sweep_status(dir, &status, err);
    es_json *table = cJSON_Duplicate(plan.json, true);
    cJSON_DeleteItemFromObjectCaseSensitive(table, "points");
    es_json *rows = es_json_add_array(table, "rows");
    cJSON_ArrayForEach(cells, plan.points)
        if (code == ES_OK)
            code = rows ? table_point(&plan, cells, rows, err) : es_err_nomem(err, "the table");
    es_json *progress = status ? status : cJSON_CreateObject();
    if (code == ES_OK && (!table || !progress || !cJSON_AddItemToObject(table, "status", progress)))
        code = es_err_nomem(err, "the table");
    sweep_plan_close(&plan);
    if (code == ES_OK) {
        *out = table;
        return ES_OK;
    }
    if (!cJSON_GetObjectItemCaseSensitive(table, "status"))
        cJSON_Delete(progress);
    cJSON_Delete(table);
    return code;
}
