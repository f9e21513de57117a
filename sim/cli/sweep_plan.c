/* expertsim sweep plan: what a sweep file would run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/cli/sweep.h"

enum { PLAN_LINES = 40, PLAN_WIDTH = 40, PLAN_COLUMNS = 64 };      /* of the table; the rest is counted, longer texts are cut */

static const char *plan_text(const es_json *value, char buffer[64])
{
    if (cJSON_IsString(value))
        return value->valuestring;
    snprintf(buffer, 64, "%.10g", value ? value->valuedouble : 0.0);
    return buffer;
}

/* A cell of the table: column -1 is the number, -2 the id. */
static const char *plan_cell(const es_json *row, int column, char buffer[64])
{
    return plan_text(cJSON_GetArrayItem(row, column == -2 ? 0 : column == -1 ? 1 : column + 2), buffer);
}

static int64_t plan_count(const es_json *plan, const char *name)
{
    const es_json *value = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(plan, "counts"), name);
    return cJSON_IsNumber(value) ? (int64_t)value->valuedouble : 0;
}

/* The rows that are shown: the first replication of a combination. */
static const es_json *plan_next(const es_json *row, bool replicated)
{
    const es_json *next = row->next;
    while (next && replicated && cJSON_GetArrayItem(next, 1)->valuedouble == cJSON_GetArrayItem(row, 1)->valuedouble)
        next = next->next;
    return next;
}

static int plan_width(const es_json *plan, int column, const char *head, bool replicated)
{
    char buffer[64];
    int width = (int)strlen(head), lines = 0;
    for (const es_json *row = cJSON_GetObjectItemCaseSensitive(plan, "points")->child; row && lines++ < PLAN_LINES; row = plan_next(row, replicated)) {
        int length = (int)strlen(plan_cell(row, column, buffer));
        width = length > width ? length : width;
    }
    return width > PLAN_WIDTH ? PLAN_WIDTH : width;
}

static const char *plan_name(const es_json *columns, int c)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(columns, c), "name"));
}

/* A line per combination. */
static void plan_table(const es_json *plan, int replications, es_text *out)
{
    const es_json *columns = cJSON_GetObjectItemCaseSensitive(plan, "columns"), *row;
    bool replicated = replications > 1;
    int lines = 0, left = 0, width[PLAN_COLUMNS], count = 0;
    for (int c = 0; c < cJSON_GetArraySize(columns) && count < PLAN_COLUMNS - 1; c++)
        if (cJSON_IsString(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(columns, c), "axis")))     /* those of replications stand behind them */
            width[count++] = plan_width(plan, c, plan_name(columns, c), replicated);
    int number = plan_width(plan, -1, "point", replicated);
    es_text_add(out, "\n  %*s", number, "point");
    for (int c = 0; c < count; c++)
        es_text_add(out, "  %-*s", width[c], plan_name(columns, c));
    es_text_add(out, "  %s\n", replicated ? "first id" : "id");
    for (row = cJSON_GetObjectItemCaseSensitive(plan, "points")->child; row; row = plan_next(row, replicated)) {
        char buffer[64];
        if (lines++ >= PLAN_LINES) {
            left++;
            continue;
        }
        es_text_add(out, "  %*s", number, plan_cell(row, -1, buffer));
        for (int c = 0; c < count; c++)
            es_text_add(out, "  %-*.*s", width[c], width[c], plan_cell(row, c, buffer));
        es_text_add(out, "  %s\n", plan_cell(row, -2, buffer));
    }
    if (left)
        es_text_add(out, "  ... and %d more; --json has all of them\n", left);
}

static void plan_head(const es_sweep *sweep, const es_json *plan, es_text *out)
{
    int64_t combinations = plan_count(plan, "combinations"), left_out = plan_count(plan, "left_out"), replications = plan_count(plan, "replications");
    es_text_add(out, "%s%s%s\n  points        ", es_sweep_name(sweep), es_sweep_brief(sweep) ? ": " : "", es_sweep_brief(sweep) ? es_sweep_brief(sweep) : "");
    es_text_count(out, plan_count(plan, "points"));
    es_text_add(out, ": ");
    es_text_count(out, combinations - left_out);
    es_text_add(out, " combination%s", combinations - left_out == 1 ? "" : "s");
    if (replications > 1)
        es_text_add(out, " x %lld replications", (long long)replications);
    es_text_add(out, "\n");
    if (left_out) {
        es_text_add(out, "  left out      ");
        es_text_count(out, left_out);
        es_text_add(out, " of %lld combinations, by constraints\n", (long long)combinations);
    }
    if (plan_count(plan, "alike")) {
        es_text_add(out, "  alike         ");
        es_text_count(out, plan_count(plan, "alike"));
        es_text_add(out, " more would have the same result as one that stands before; they are run once\n");
    }
    es_text_add(out, "  traces        ");
    es_text_count(out, plan_count(plan, "traces"));
    es_text_add(out, "\n");
}

es_code sweep_plan(const sweep_args *args, const char *file, es_err *err)
{
    es_sweep *sweep = NULL;
    es_code code = es_sweep_load(&sweep, file, args->many, err);
    if (code)
        return code;
    es_text text = {0};
    es_json *plan = es_sweep_plan(sweep);
    char *json = plan && args->json ? es_json_text(plan) : NULL;
    if (!plan || (args->json && !json))
        code = es_err_nomem(err, "the plan");
    else if (args->json)
        es_text_add(&text, "%s", json);
    else {
        plan_head(sweep, plan, &text);
        plan_table(plan, (int)plan_count(plan, "replications"), &text);
    }
    free(json);
    cJSON_Delete(plan);
    es_sweep_free(sweep);
    return cmd_print(code, &text, err);
}
