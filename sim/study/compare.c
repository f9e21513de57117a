/* Compare: see compare.h. Who is compared with whom, and where their results lie. */
#include "sim/study/compare.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/study/compare_inside.h"
#include "sim/study/sweep_inside.h"

enum { COMPARE_RESAMPLES = 4999, COMPARE_RESAMPLES_LEAST = 99, COMPARE_RESAMPLES_MOST = 999999 };

/* ---- what is asked ---- */

static es_code compare_ask_metric(es_compare *c, es_err *err)
{
    const char *names[16];
    size_t count = 0;
    for (const compare_metric *m; (m = compare_metric_at(count)) != NULL; count++) {
        names[count] = m->name;
        if (c->ask.metric && strcmp(c->ask.metric, m->name) == 0)
            c->metric = m;
    }
    if (!c->ask.metric || c->metric)
        return ES_OK;
    const char *nearest = es_text_nearest(c->ask.metric, names, count);
    return es_err_set(err, ES_EINPUT, "there is no metric \"%s\"%s%s%s", c->ask.metric, nearest ? "; did you mean \"" : "", nearest ? nearest : "; `expertsim help compare` lists them",
        nearest ? "\"?" : "");
}

static es_code compare_ask_rest(const es_compare *c, es_err *err)
{
    const es_compare_ask *ask = &c->ask;
    if (ask->unit && strcmp(ask->unit, "token") != 0 && strcmp(ask->unit, "request") != 0 && strcmp(ask->unit, "run") != 0)
        return es_err_set(err, ES_EINPUT, "there is no unit \"%s\"; there are token, request and run", ask->unit);
    if (!(ask->confidence >= 0.5) || ask->confidence > 0.999)
        return es_err_set(err, ES_EINPUT, "a confidence of %g is not within 0.5 and 0.999", ask->confidence);
    if (ask->resamples < COMPARE_RESAMPLES_LEAST || ask->resamples > COMPARE_RESAMPLES_MOST)
        return es_err_set(err, ES_EINPUT, "%zu resamples are not within %d and %d", ask->resamples, COMPARE_RESAMPLES_LEAST, COMPARE_RESAMPLES_MOST);
    return ES_OK;
}

es_code es_compare_new(es_compare **out, const es_compare_ask *ask, es_err *err)
{
    es_compare *c = *out = calloc(1, sizeof *c);
    if (!c)
        return es_err_nomem(err, "the comparison");
    c->ask = *ask;
    c->ask.confidence = ask->confidence > 0.0 ? ask->confidence : 0.95;
    c->ask.resamples = ask->resamples ? ask->resamples : COMPARE_RESAMPLES;
    es_code code = compare_ask_metric(c, err);
    if (code == ES_OK)
        code = compare_ask_rest(c, err);
    if (code) {
        es_compare_free(c);
        *out = NULL;
    }
    return code;
}

void es_compare_free(es_compare *c)
{
    if (!c)
        return;
    for (size_t g = 0; g < c->groups; g++) {
        compare_group *group = &c->group[g];
        for (size_t i = 0; i < group->candidates * group->room; i++) {
            cJSON_Delete(group->cell[i].facts);
            free(group->cell[i].above);
            free(group->cell[i].below);
            free(group->cell[i].request);
        }
        free(group->cell);
        free(group->candidate);
        free(group->run);
    }
    free(c->group);
    free(c->lack);
    es_arena_free(&c->arena);
    free(c);
}

/* ---- names ---- */

/* The place of a name in a list that grows; `count` when there is no memory. */
static size_t compare_name(es_compare *c, const char ***list, size_t *count, const char *name)
{
    for (size_t i = *count; i-- > 0;)           /* those that came last are asked for most */
        if (strcmp((*list)[i], name) == 0)
            return i;
    const char **grown = realloc(*list, (*count + 1) * sizeof *grown);
    if (!grown)
        return *count;
    *list = grown;
    grown[*count] = es_arena_text(&c->arena, name);
    return grown[*count] ? (*count)++ : *count;
}

static compare_group *compare_group_of(es_compare *c, const char *name)
{
    for (size_t i = c->groups; i-- > 0;)
        if (strcmp(c->group[i].name, name) == 0)
            return &c->group[i];
    compare_group *grown = realloc(c->group, (c->groups + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    c->group = grown;
    grown[c->groups] = (compare_group){.name = es_arena_text(&c->arena, name)};
    return grown[c->groups].name ? &grown[c->groups++] : NULL;
}

/* Cells for `candidates` and `runs`; what is there keeps its place. */
static bool compare_room(compare_group *g, size_t before, size_t candidates, size_t runs)
{
    size_t room = g->room;
    while (room < runs)
        room = room ? 2 * room : 1;
    if (room == g->room && candidates == before)
        return true;
    compare_cell *cell = calloc(candidates * room, sizeof *cell);
    for (size_t k = 0; cell && k < before; k++)
        for (size_t r = 0; r < g->room; r++)
            cell[k * room + r] = *compare_at(g, k, r);
    if (cell) {
        free(g->cell);
        g->cell = cell;
        g->room = room;
    }
    return cell != NULL;
}

es_code es_compare_result(es_compare *c, const char *group, const char *candidate, const char *run, const char *path, es_err *err)
{
    compare_group *g = compare_group_of(c, group);
    if (!g)
        return es_err_nomem(err, "the comparison");
    const size_t before = g->candidates;
    const size_t k = compare_name(c, &g->candidate, &g->candidates, candidate), r = k < g->candidates ? compare_name(c, &g->run, &g->runs, run) : 0;
    if (k == g->candidates || r == g->runs || !compare_room(g, before, g->candidates, g->runs)) {
        g->candidates = before;
        return es_err_nomem(err, "the comparison");
    }
    compare_cell *cell = compare_at(g, k, r);
    if (cell->path)
        return es_err_set(err, ES_EINPUT, "%s and %s are both \"%s\"; name them: NAME=%s", cell->path, path, candidate, path);
    cell->path = es_arena_text(&c->arena, path);
    return cell->path ? ES_OK : es_err_nomem(err, "the comparison");
}

/* ---- the folder of a sweep ---- */

typedef enum folder_role { FOLDER_CANDIDATE, FOLDER_GROUP, FOLDER_RUN } folder_role;

/* Columns of an axis with labels: the first, which has them, says it all. */
static folder_role folder_role_of(const es_json *column, const char *by)
{
    const char *axis = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(column, "axis"));
    return !axis ? FOLDER_RUN : strcmp(axis, by) == 0 ? FOLDER_CANDIDATE : FOLDER_GROUP;
}

static const char *folder_text(const es_json *column, const char *key)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(column, key));
    return text ? text : "";
}

/* The axis that `by` means: its name, or that of one of its columns. */
static const char *folder_axis(const sweep_plan *plan, const char *by, es_err *err)
{
    const es_json *column;
    const char *names[2 * ES_SWEEP_PATHS];
    size_t count = 0;
    cJSON_ArrayForEach(column, plan->columns) {
        const char *axis = folder_text(column, "axis"), *name = folder_text(column, "name");
        if (*axis && (!by || strcmp(by, axis) == 0 || strcmp(by, name) == 0))
            return axis;
        if (*axis && count < 2 * ES_SWEEP_PATHS)
            names[count++] = name;
    }
    const char *nearest = by ? es_text_nearest(by, names, count) : NULL;
    es_err_set(err, ES_EINPUT, "%s: has no axis \"%s\"%s%s%s", plan->dir, by ? by : "", nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
    return NULL;
}

/* What the columns of a role have in this row: "lru", or "tiers.cache.capacity=5%, seed=3". */
static void folder_name(const sweep_plan *plan, const es_json *row, const char *by, folder_role role, es_text *out)
{
    const es_json *cell = row->child->next->next, *column = plan->columns->child;
    const char *told = "";              /* the axis whose labels said it */
    for (; column; column = column->next, cell = cell->next) {
        const char *name = folder_text(column, "name"), *axis = folder_text(column, "axis");
        if (folder_role_of(column, by) != role || (*axis && strcmp(told, axis) == 0))
            continue;
        told = strcmp(name, axis) == 0 ? axis : told;
        es_text_add(out, "%s", out->length ? ", " : "");
        if (role != FOLDER_CANDIDATE || strcmp(name, axis) != 0)
            es_text_add(out, "%s=", name);
        if (cJSON_IsString(cell))
            es_text_add(out, "%s", cell->valuestring);
        else
            es_text_add(out, "%.10g", cell->valuedouble);
    }
    es_text_add(out, "%s", "");
}

static es_code folder_row(es_compare *c, const sweep_plan *plan, const es_json *row, const char *by, es_err *err)
{
    char path[4096];
    es_text name[3] = {{0}};
    sweep_point_path(plan->dir, sweep_row_id(row), ".h5", path, sizeof path);
    if (access(path, F_OK) != 0)
        return ES_OK;
    for (int role = FOLDER_CANDIDATE; role <= FOLDER_RUN; role++)
        folder_name(plan, row, by, (folder_role)role, &name[role]);
    bool failed = name[0].failed || name[1].failed || name[2].failed;
    es_code code = failed ? es_err_nomem(err, "the comparison")
                          : es_compare_result(c, name[FOLDER_GROUP].at, name[FOLDER_CANDIDATE].at, name[FOLDER_RUN].at, path, err);
    for (size_t i = 0; i < 3; i++)
        es_text_free(&name[i]);
    return code;
}

es_code es_compare_folder(es_compare *c, const char *dir, const char *by, es_err *err)
{
    sweep_plan plan;
    const es_json *row;
    es_code code = sweep_plan_open(&plan, dir, err);
    if (code)
        return code;
    const char *axis = folder_axis(&plan, by, err);
    code = axis ? ES_OK : ES_EINPUT;
    cJSON_ArrayForEach(row, plan.points)
        if (code == ES_OK)
            code = folder_row(c, &plan, row, axis, err);
    if (code == ES_OK && c->groups == 0)
        code = es_err_set(err, ES_EINPUT, "%s: has no results yet; run the sweep first", dir);
    sweep_plan_close(&plan);
    return code;
}

/* ---- the whole ---- */

es_code es_compare_read(es_compare *c, es_err *err)
{
    es_code code = c->read ? ES_OK : compare_read(c, err);
    c->read = c->read || code == ES_OK;
    return code;
}

es_code es_compare_decide(es_compare *c, es_json **out, es_err *err)
{
    *out = NULL;
    es_code code = es_compare_read(c, err);
    es_json *json = code == ES_OK ? cJSON_CreateObject() : NULL;
    if (code == ES_OK)
        code = json ? compare_json(c, json, err) : es_err_nomem(err, "the comparison");
    if (code)
        cJSON_Delete(json);
    else
        *out = json;
    return code;
}

bool es_compare_metric_at(size_t i, const char **name, const char **brief)
{
    const compare_metric *m = compare_metric_at(i);
    if (m) {
        *name = m->name;
        *brief = m->brief;
    }
    return m != NULL;
}
