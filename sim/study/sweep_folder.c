/* A folder of a sweep, read back: its plan, what is done and what failed. See sweep.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/file.h"
#include "sim/study/sweep_inside.h"

enum { FOLDER_REASON = 65536 };         /* most that is read of a reason */

void sweep_point_path(const char *dir, const char *id, const char *suffix, char *path, size_t room)
{
    snprintf(path, room, "%s/points/%s%s", dir, id, suffix);
}

/* ---- the plan ---- */

const char *sweep_row_id(const es_json *row)
{
    return row->child->valuestring;
}

static bool plan_row_fits(const sweep_plan *plan, const es_json *row)
{
    const es_json *cell = cJSON_IsArray(row) ? row->child : NULL, *column = plan->columns->child;
    bool fits = cJSON_IsString(cell) && strlen(cell->valuestring) == ES_SWEEP_ID && strspn(cell->valuestring, "0123456789abcdef") == ES_SWEEP_ID;
    cell = fits ? cell->next : NULL;
    fits = fits && cJSON_IsNumber(cell) && cell->valuedouble >= 0;
    for (cell = fits ? cell->next : NULL; fits && column; column = column->next, cell = cell->next) {
        const char *values = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(column, "values"));
        fits = cell && (strcmp(values, "numbers") == 0 ? cJSON_IsNumber(cell) : cJSON_IsString(cell));
        if (!fits)
            break;
    }
    return fits && !cell;
}

static bool plan_fits(sweep_plan *plan)
{
    const es_json *entry;
    plan->name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(plan->json, "name"));
    plan->columns = cJSON_GetObjectItemCaseSensitive(plan->json, "columns");
    plan->metrics = cJSON_GetObjectItemCaseSensitive(plan->json, "metrics");
    plan->points = cJSON_GetObjectItemCaseSensitive(plan->json, "points");
    plan->usual = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(plan->json, "usual_metrics"));
    if (!plan->name || !cJSON_IsArray(plan->columns) || !cJSON_IsObject(plan->metrics) || !cJSON_IsArray(plan->points) || !plan->points->child)
        return false;
    bool fits = true;
    cJSON_ArrayForEach(entry, plan->columns) {
        const es_json *name = cJSON_GetObjectItemCaseSensitive(entry, "name"), *values = cJSON_GetObjectItemCaseSensitive(entry, "values");
        fits = fits && cJSON_IsString(name) && cJSON_IsString(values);
        plan->column_count++;
    }
    cJSON_ArrayForEach(entry, plan->metrics) {
        fits = fits && cJSON_IsString(entry);
        plan->metric_count++;
    }
    cJSON_ArrayForEach(entry, plan->points) {
        fits = fits && plan_row_fits(plan, entry);
        plan->count++;
    }
    return fits;
}

es_code sweep_plan_open(sweep_plan *plan, const char *dir, es_err *err)
{
    char path[4096];
    *plan = (sweep_plan){.dir = dir};
    snprintf(path, sizeof path, "%s/plan.json", dir);
    if (access(path, F_OK) != 0)
        return es_err_set(err, ES_EINPUT, "%s: has no plan.json; needs a folder that `expertsim sweep run FILE -o DIR` wrote", dir);
    es_code code = es_json_load(&plan->json, path, err);
    if (code == ES_OK && !plan_fits(plan))
        code = es_err_set(err, ES_EINPUT, "%s: is no plan as `expertsim sweep run` writes it; run the sweep again, which writes it anew", path);
    if (code)
        sweep_plan_close(plan);
    return code;
}

void sweep_plan_close(sweep_plan *plan)
{
    cJSON_Delete(plan->json);
    *plan = (sweep_plan){0};
}

/* ---- status ---- */

/* "policy=lru, tiers.cache.capacity=5%" */
static void status_what(const sweep_plan *plan, const es_json *row, es_text *out)
{
    const es_json *cell = row->child->next->next, *column = plan->columns->child;
    for (; column; column = column->next, cell = cell->next) {
        es_text_add(out, "%s%s=", out->length ? ", " : "", cJSON_GetObjectItemCaseSensitive(column, "name")->valuestring);
        if (cJSON_IsString(cell))
            es_text_add(out, "%s", cell->valuestring);
        else
            es_text_add(out, "%.10g", cell->valuedouble);
    }
}

/* The reason is the first line of the file, what the point said is the rest. */
static es_code status_failed(const sweep_plan *plan, const es_json *row, const char *path, es_json *failed, es_err *err)
{
    char *text = NULL;
    size_t length;
    es_code code = es_file_load(path, FOLDER_REASON, &text, &length, err);
    if (code)
        return code;
    es_json *entry = cJSON_CreateObject();
    es_text what = {0};
    char *rest = text + strcspn(text, "\n");
    if (*rest)
        *rest++ = '\0';
    status_what(plan, row, &what);
    es_json_add_text(entry, "id", sweep_row_id(row));
    es_json_add_text(entry, "what", what.at ? what.at : "");
    es_json_add_text(entry, "reason", text);
    es_json_add_text(entry, "said", rest);
    es_text_free(&what);
    free(text);
    if (entry && cJSON_AddItemToArray(failed, entry))
        return ES_OK;
    cJSON_Delete(entry);
    return es_err_nomem(err, "the status");
}

es_code es_sweep_status(const char *dir, es_json **out, es_err *err)
{
    sweep_plan plan;
    const es_json *row;
    *out = NULL;
    es_code code = sweep_plan_open(&plan, dir, err);
    if (code)
        return code;
    size_t done = 0;
    es_json *status = cJSON_CreateObject(), *failed = cJSON_CreateArray();
    cJSON_ArrayForEach(row, plan.points) {
        char path[4096];
        sweep_point_path(dir, sweep_row_id(row), ".h5", path, sizeof path);
        bool there = access(path, F_OK) == 0;
        done += there;
        sweep_point_path(dir, sweep_row_id(row), ".err", path, sizeof path);
        if (!there && code == ES_OK && access(path, F_OK) == 0)
            code = status_failed(&plan, row, path, failed, err);
    }
    es_json_add_text(status, "name", plan.name);
    es_json_add_int(status, "points", (int64_t)plan.count);
    es_json_add_int(status, "done", (int64_t)done);
    es_json_add_int(status, "left", (int64_t)plan.count - (int64_t)done - cJSON_GetArraySize(failed));
    if (!status || !cJSON_AddItemToObject(status, "failed", failed)) {
        cJSON_Delete(failed);
        code = code ? code : es_err_nomem(err, "the status");
    }
    sweep_plan_close(&plan);
    if (code == ES_OK)
        *out = status;
    else
        cJSON_Delete(status);
    return code;
}
