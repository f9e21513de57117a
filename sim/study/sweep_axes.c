/* Axes of a sweep: which keys of the config take which values. See sweep_inside.h.
 *
 * An axis is read in two steps: how many values it has (a list, a range, or the design says), and the values, each as the file has it
 * (for tables) and as the config takes it (short forms written out, paths moved, printed as a setting). */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/key.h"
#include "sim/study/sweep_inside.h"

typedef struct axis_given {     /* an axis as the file says it */
    const char *path;
    const es_json *paths, *values, *labels, *from, *to, *step;
    int64_t count;
    int scale;
} axis_given;

#define AXIS(field) offsetof(axis_given, field)

enum { AXIS_LINEAR, AXIS_LOG };

static const char *const axis_scales[] = {"linear", "log", NULL};

const es_option sweep_axis_options[] = {
    {.name = "path", .type = ES_OPT_TEXT, .offset = AXIS(path), .help = "Key of the config that takes the values; absent: the axis's name."},
    {.name = "paths", .type = ES_OPT_JSON, .offset = AXIS(paths), .help = "Several keys that move together: each value is then a list, one entry per key."},
    {.name = "values", .type = ES_OPT_JSON, .offset = AXIS(values), .help = "List of values: numbers, texts (\"4GiB\", \"5%\"), whole parts ({\"name\": \"lfu\", ...})."},
    {.name = "labels", .type = ES_OPT_JSON, .offset = AXIS(labels), .help = "Names of the values for tables, in the same order: a column named as the axis."},
    {.name = "from", .type = ES_OPT_JSON, .offset = AXIS(from), .help = "Where a range begins: a number, or a text with a unit (\"1GiB\", \"5%\", \"16slots\")."},
    {.name = "to", .type = ES_OPT_JSON, .offset = AXIS(to), .help = "Where it ends; the end belongs to it."},
    {.name = "step", .type = ES_OPT_JSON, .offset = AXIS(step), .help = "From value to value; with a count or a design: values are rounded to whole steps from the beginning."},
    {.name = "count", .type = ES_OPT_INT, .offset = AXIS(count), .min = 0, .max = 1e8, .help = "So many values at equal distances, both ends included; 0: as step says."},
    {.name = "scale", .type = ES_OPT_ENUM, .offset = AXIS(scale), .choices = axis_scales, .help = "Equal distances, or equal ratios."},
    {0},
};

/* ---- how many, and over what ---- */

static es_code axis_texts(const es_json *list, const char *name, const char ***out, size_t *count, es_arena *arena, es_err *err)
{
    const es_json *entry;
    *count = 0;
    if (!cJSON_IsArray(list) || !list->child)
        return es_err_set(err, ES_EINPUT, "%s: found %s, needs a list of texts", name, cJSON_IsArray(list) ? "an empty list" : es_json_kind(list));
    *out = ES_NEW_ARRAY(arena, cJSON_GetArraySize(list), const char *);
    if (!*out)
        return es_err_nomem(err, "the sweep");
    cJSON_ArrayForEach(entry, list) {
        if (!cJSON_IsString(entry) || !*entry->valuestring || strlen(entry->valuestring) > ES_KEY / 4)
            return es_err_set(err, ES_EINPUT, "%s: found %s, needs a text of 1 to %d characters", name, es_json_kind(entry), ES_KEY / 4);
        (*out)[(*count)++] = entry->valuestring;
    }
    return ES_OK;
}

static es_code axis_paths(es_sweep *sweep, sweep_axis *axis, const axis_given *given, es_err *err)
{
    if (given->paths && given->path)
        return es_err_set(err, ES_EINPUT, "path: stands beside paths; one of them says what takes the values");
    if (given->paths)
        return axis_texts(given->paths, "paths", &axis->path, &axis->paths, &sweep->arena, err);
    axis->path = ES_NEW_ARRAY(&sweep->arena, 1, const char *);
    if (!axis->path)
        return es_err_nomem(err, "the sweep");
    axis->path[0] = given->path ? given->path : axis->name;
    axis->paths = 1;
    return strlen(axis->path[0]) <= ES_KEY / 4 && strspn(axis->path[0], ".=") == 0
        ? ES_OK : es_err_set(err, ES_EINPUT, "path: \"%.60s\" is no key of a config", axis->path[0]);
}

/* No key may take values from two axes. */
static es_code axis_apart(const es_sweep *sweep, const sweep_axis *axis, es_err *err)
{
    for (size_t p = 0; p < axis->paths; p++)
        for (size_t a = 0; a <= sweep->axes; a++) {
            const sweep_axis *other = &sweep->axis[a];
            for (size_t q = 0; q < other->paths; q++)
                if (!(other == axis && p == q) && strcmp(axis->path[p], other->path[q]) == 0)
                    return es_err_set(err, ES_EINPUT, "%s takes values from axis %s already", axis->path[p], other->name);
        }
    return ES_OK;
}

static es_code axis_list(sweep_axis *axis, const es_json *values, es_err *err)
{
    const es_json *value;
    if (!cJSON_IsArray(values) || !values->child)
        return es_err_set(err, ES_EINPUT, "values: found %s, needs a list of at least one value", cJSON_IsArray(values) ? "an empty list" : es_json_kind(values));
    cJSON_ArrayForEach(value, values) {
        if (axis->paths > 1 && (!cJSON_IsArray(value) || (size_t)cJSON_GetArraySize(value) != axis->paths))
            return es_err_set(err, ES_EINPUT, "values.%zu: needs a list of %zu values, one per path", axis->count, axis->paths);
        axis->count++;
    }
    return ES_OK;
}

static es_code axis_range(const es_sweep *sweep, sweep_axis *axis, const axis_given *given, es_err *err)
{
    if (axis->paths > 1)
        return es_err_set(err, ES_EINPUT, "from: a range has one path; several take a list of values");
    es_code code = sweep_range_read(&axis->range, given->from, given->to, given->step, given->count, given->scale == AXIS_LOG, err);
    if (code)
        return code;
    axis->sampled = sweep->file.design != NULL;
    if (axis->sampled && given->count)
        return es_err_set(err, ES_EINPUT, "count: the design says how many values there are");
    if (axis->sampled)
        axis->count = (size_t)sweep->design.points;
    else if ((code = sweep_range_count(&axis->range, &axis->count, err)) != ES_OK)
        return code;
    if (axis->count > ES_SWEEP_MANY && !sweep->many)        /* told before room is taken for them */
        return es_err_set(err, ES_EINPUT, "has %zu values; more than %d need --yes", axis->count, ES_SWEEP_MANY);
    return axis->count ? ES_OK : es_err_set(err, ES_EINPUT, "count: is missing; a range needs a count, a step, or a design");
}

/* ---- values ---- */

/* The value of one path as a table shows it and as a setting says it. Owns `value`. */
static es_code axis_put(es_sweep *sweep, sweep_axis *axis, size_t i, size_t p, es_json *value, es_err *err)
{
    size_t at = i * axis->paths + p;
    if (!value)
        return es_err_nomem(err, "the sweep");
    axis->value[at] = value;
    es_json *said = cJSON_Duplicate(value, true);
    if (!said)
        return es_err_nomem(err, "the sweep");
    es_code code = es_tree_said(&sweep->arena, sweep->path, axis->path[p], &said, err);
    char *text = code ? NULL : cJSON_PrintUnformatted(said);
    cJSON_Delete(said);
    if (code)
        return code;
    es_text set = {0};
    es_text_add(&set, "%s=%s", axis->path[p], text ? text : "");
    axis->set[at] = text && !set.failed ? es_arena_text(&sweep->arena, set.at) : NULL;
    cJSON_free(text);
    es_text_free(&set);
    return axis->set[at] ? ES_OK : es_err_nomem(err, "the sweep");
}

static es_code axis_values(es_sweep *sweep, sweep_axis *axis, const axis_given *given, es_err *err)
{
    es_code code = ES_OK;
    const es_json *value;
    size_t i = 0;
    axis->value = ES_NEW_ARRAY(&sweep->arena, axis->count * axis->paths, es_json *);
    axis->set = ES_NEW_ARRAY(&sweep->arena, axis->count * axis->paths, const char *);
    if (!axis->value || !axis->set)
        return es_err_nomem(err, "the sweep");
    if (axis->sampled)
        return ES_OK;
    for (; !given->values && i < axis->count && code == ES_OK; i++)
        code = axis_put(sweep, axis, i, 0, sweep_range_at(&axis->range, i, axis->count), err);
    cJSON_ArrayForEach(value, given->values) {
        const es_json *one = axis->paths > 1 ? value->child : value;
        for (size_t p = 0; p < axis->paths && code == ES_OK; p++, one = one->next)
            code = axis_put(sweep, axis, i, p, cJSON_Duplicate(one, true), err);
        i++;
    }
    return code;
}

static es_code axis_labels(es_sweep *sweep, sweep_axis *axis, const es_json *labels, es_err *err)
{
    const char **label = NULL;
    size_t count = 0;
    if (!labels)
        return ES_OK;
    es_code code = axis_texts(labels, "labels", &label, &count, &sweep->arena, err);
    axis->labels = labels;
    if (code == ES_OK && (axis->sampled || count != axis->count))
        code = es_err_set(err, ES_EINPUT, "labels: %zu for %zu values; each value needs one", count, axis->count);
    for (size_t p = 0; p < axis->paths && code == ES_OK; p++)
        if (strcmp(axis->path[p], axis->name) == 0)
            code = es_err_set(err, ES_EINPUT, "labels: need a column of their own; give the axis another name, and its key as path");
    return code;
}

static es_code axis_read(es_sweep *sweep, sweep_axis *axis, const es_json *given, es_err *err)
{
    axis_given g = {0};
    es_code code = ES_OK;
    es_json *list = NULL;
    if (cJSON_IsArray(given)) {                 /* short for {"values": [...]} */
        list = cJSON_CreateObject();
        if (!list || !cJSON_AddItemReferenceToObject(list, "values", (es_json *)(uintptr_t)given))
            code = es_err_nomem(err, "the sweep");
    } else if (!cJSON_IsObject(given)) {
        code = es_err_set(err, ES_EINPUT, "found %s, needs a list of values or an object", es_json_kind(given));
    }
    if (code == ES_OK)
        code = es_options_parse(sweep_axis_options, &g, list ? list : given, NULL, &sweep->arena, err);
    if (code == ES_OK && !g.values == !(g.from || g.to))
        code = es_err_set(err, ES_EINPUT, "values: %s", g.values ? "stand beside a range; an axis has one of them" : "are missing, and so is a range (from, to)");
    if (code == ES_OK)
        code = axis_paths(sweep, axis, &g, err);
    if (code == ES_OK)
        code = axis_apart(sweep, axis, err);
    if (code == ES_OK)
        code = g.values ? axis_list(axis, g.values, err) : axis_range(sweep, axis, &g, err);
    if (code == ES_OK)
        code = axis_values(sweep, axis, &g, err);
    if (code == ES_OK)
        code = axis_labels(sweep, axis, g.labels, err);
    cJSON_Delete(list);
    return code;
}

/* ---- all of them ---- */

/* Every sampled axis takes its column of the design. */
static es_code axes_sample(es_sweep *sweep, es_err *err)
{
    size_t dimensions = 0, d = 0, points = (size_t)sweep->design.points;
    for (size_t a = 0; a < sweep->axes; a++)
        dimensions += sweep->axis[a].sampled;
    if (dimensions == 0)
        return es_err_set(err, ES_EINPUT, "design: there is no range to take points from; give an axis from and to");
    double *u = calloc(points * dimensions, sizeof *u);
    es_code code = u ? sweep_design_fill(&sweep->design, dimensions, u, err) : es_err_nomem(err, "the design");
    if (code)
        es_err_at(err, "design");
    for (size_t a = 0; a < sweep->axes && code == ES_OK; a++) {
        sweep_axis *axis = &sweep->axis[a];
        for (size_t i = 0; axis->sampled && i < points && code == ES_OK; i++)
            code = axis_put(sweep, axis, i, 0, sweep_range_share(&axis->range, u[i * dimensions + d]), err);
        d += axis->sampled;
    }
    free(u);
    return code;
}

/* Each axis turns by itself; the sampled ones turn together, in the place of the first. */
static void axes_wheels(es_sweep *sweep)
{
    size_t sampled = SIZE_MAX;
    for (size_t a = 0; a < sweep->axes; a++) {
        sweep_axis *axis = &sweep->axis[a];
        bool joins = axis->sampled && sampled != SIZE_MAX;
        axis->wheel = joins ? sampled : sweep->wheels;
        if (axis->sampled)
            sampled = axis->wheel;
        if (!joins)
            sweep->wheel[sweep->wheels++] = axis->count;
    }
}

/* Which paths take nothing but numbers. */
static es_code axes_numbers(es_sweep *sweep, es_err *err)
{
    for (size_t a = 0; a < sweep->axes; a++) {
        sweep_axis *axis = &sweep->axis[a];
        axis->number = ES_NEW_ARRAY(&sweep->arena, axis->paths, bool);
        if (!axis->number)
            return es_err_nomem(err, "the sweep");
        for (size_t p = 0; p < axis->paths; p++) {
            axis->number[p] = true;
            for (size_t i = 0; i < axis->count; i++)
                axis->number[p] = axis->number[p] && cJSON_IsNumber(axis->value[i * axis->paths + p]);
        }
    }
    return ES_OK;
}

es_code sweep_axes_read(es_sweep *sweep, es_err *err)
{
    const es_json *given;
    size_t paths = 0;
    if (!cJSON_IsObject(sweep->file.axes))
        return es_err_set(err, ES_EINPUT, "axes: found %s, needs an object: {\"policy\": [\"lru\", \"lfu\"], ...}", es_json_kind(sweep->file.axes));
    cJSON_ArrayForEach(given, sweep->file.axes) {
        if (sweep->axes == ES_SWEEP_AXES)
            return es_err_set(err, ES_EINPUT, "axes: there are more than %d", ES_SWEEP_AXES);
        sweep_axis *axis = &sweep->axis[sweep->axes];
        axis->name = given->string;
        es_code code = axis_read(sweep, axis, given, err);
        if (code)
            return es_key_at(err, "axes.%s", axis->name), code;
        sweep->axes++;
        if ((paths += axis->paths) > ES_SWEEP_PATHS)
            return es_err_set(err, ES_EINPUT, "axes: they have more than %d paths together", ES_SWEEP_PATHS);
    }
    if (sweep->axes == 0)
        return es_err_set(err, ES_EINPUT, "axes: there is none; without one it is a run");
    es_code code = sweep->file.design ? axes_sample(sweep, err) : ES_OK;
    axes_wheels(sweep);
    return code ? code : axes_numbers(sweep, err);
}
