/* The plan of a sweep as JSON: what is to be run, in rows and columns. See sweep.h. */
#include <stdlib.h>
#include <string.h>

#include "sim/study/result.h"
#include "sim/study/sweep_inside.h"

/* A column of numbers stays one; all else is text, a part or a list as compact JSON. */
static es_json *plan_value(const es_json *value, bool number)
{
    if (number || cJSON_IsString(value))
        return cJSON_Duplicate(value, true);
    char *text = cJSON_PrintUnformatted(value);
    es_json *json = text ? cJSON_CreateString(text) : NULL;
    cJSON_free(text);
    return json;
}

/* `axis` NULL: of the replications. */
static void plan_column(es_json *columns, const char *name, const char *axis, bool number)
{
    es_json *column = cJSON_CreateObject();
    es_json_add_text(column, "name", name);
    es_json_add_text(column, "axis", axis);
    es_json_add_text(column, "values", number ? "numbers" : "texts");
    if (!cJSON_AddItemToArray(columns, column))
        cJSON_Delete(column);
}

static void plan_columns(const es_sweep *sweep, es_json *columns)
{
    for (size_t a = 0; a < sweep->axes; a++) {
        const sweep_axis *axis = &sweep->axis[a];
        if (axis->labels)
            plan_column(columns, axis->name, axis->name, false);
        for (size_t p = 0; p < axis->paths; p++)
            plan_column(columns, axis->path[p], axis->name, axis->number[p]);
    }
    if (sweep->traces)
        plan_column(columns, "trace", NULL, false);
    if (sweep->replicated)
        plan_column(columns, "replication", NULL, true);
}

static void plan_row(const es_sweep *sweep, const es_sweep_point *point, es_json *row)
{
    cJSON_AddItemToArray(row, cJSON_CreateString(point->id));
    cJSON_AddItemToArray(row, cJSON_CreateNumber(point->number));
    for (size_t a = 0; a < sweep->axes; a++) {
        const sweep_axis *axis = &sweep->axis[a];
        size_t at = sweep_position(sweep, axis, point->combination);
        if (axis->labels)
            cJSON_AddItemToArray(row, cJSON_Duplicate(cJSON_GetArrayItem(axis->labels, (int)at), false));
        for (size_t p = 0; p < axis->paths; p++)
            cJSON_AddItemToArray(row, plan_value(axis->value[at * axis->paths + p], axis->number[p]));
    }
    if (sweep->traces)
        cJSON_AddItemToArray(row, plan_value(cJSON_GetArrayItem(sweep->replications.traces, (int)point->trace), false));
    if (sweep->replicated)
        cJSON_AddItemToArray(row, cJSON_CreateNumber((double)(sweep->replications.first + point->replication)));
}

/* A name may stand for one thing only; one of the usual metrics makes room for an axis. */
static es_json *plan_metrics(const es_sweep *sweep, const es_json *columns)
{
    es_json *metrics = cJSON_Duplicate(sweep->metrics, true);
    const es_json *column;
    cJSON_ArrayForEach(column, columns) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(column, "name"));
        if (metrics && name)
            cJSON_DeleteItemFromObjectCaseSensitive(metrics, name);
    }
    return metrics;
}

es_json *es_sweep_plan(const es_sweep *sweep)
{
    es_json *plan = cJSON_CreateObject();
    es_json_add_text(plan, "name", sweep->file.name);
    es_json_add_text(plan, "brief", sweep->file.brief);
    es_json_add_text(plan, "version", ES_VERSION);
    es_json *counts = es_json_add_object(plan, "counts");
    es_json_add_int(counts, "combinations", (int64_t)sweep->combinations);
    es_json_add_int(counts, "left_out", (int64_t)sweep->left_out);
    es_json_add_int(counts, "replications", sweep->replications.count * (int64_t)(sweep->traces ? sweep->traces : 1));
    es_json_add_int(counts, "alike", (int64_t)sweep->alike);
    es_json_add_int(counts, "traces", (int64_t)sweep->feeds);
    es_json_add_int(counts, "points", (int64_t)sweep->points);
    es_json *columns = es_json_add_array(plan, "columns");
    plan_columns(sweep, columns);
    cJSON_AddItemToObject(plan, "metrics", plan_metrics(sweep, columns));
    es_json_add_bool(plan, "usual_metrics", !sweep->file.metrics);
    es_json *points = es_json_add_array(plan, "points");
    for (size_t i = 0; i < sweep->points; i++) {
        es_json *row = cJSON_CreateArray();
        plan_row(sweep, &sweep->point[i], row);
        if (!cJSON_AddItemToArray(points, row))
            cJSON_Delete(row);
    }
    return plan;
}
