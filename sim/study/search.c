/* Search: see search.h. The points that were run, which method runs them, and what is told. */
#include "sim/study/search.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/formula.h"
#include "sim/study/search_inside.h"

enum { SEARCH_HALVE = 32 };     /* a grid of more points is halved */

/* ---- one point ---- */

typedef struct search_look {
    const es_json *report;
    es_json unknown;
} search_look;

static const es_json *search_path(void *self, const char *path)
{
    search_look *look = self;
    const es_json *found = es_json_at(look->report, path);
    return !found || cJSON_IsNull(found) ? &look->unknown : found;
}

/* Not a number: the report does not say. */
static es_code search_measure(const char *formula, const es_json *report, double *value, es_err *err)
{
    search_look look = {.report = report, .unknown = {.type = cJSON_Number, .valuedouble = (double)NAN}};
    return es_formula_measure(formula, search_path, &look, value, err);
}

static double search_number(const es_json *report, const char *path)
{
    const es_json *value = es_json_at(report, path);
    return cJSON_IsNumber(value) ? value->valuedouble : (double)NAN;
}

/* Bytes of the serving tier; slots where nobody knows what an expert weighs. */
static double search_memory(const es_json *report, bool *bytes)
{
    const char *counts = cJSON_GetStringValue(es_json_at(report, "capacity.counts"));
    const double room = search_number(report, "capacity.slots_or_bytes"), each = search_number(report, "capacity.population_bytes") / search_number(report, "capacity.objects");
    *bytes = (counts && strcmp(counts, "bytes") == 0) || isfinite(each);
    return counts && strcmp(counts, "bytes") == 0 ? room : isfinite(each) ? room * each : room;
}

static es_code search_targets(const search_work *w, search_point *p, const es_json *report, es_err *err)
{
    p->met = true;
    p->margin = (double)INFINITY;
    for (size_t i = 0; i < w->targets; i++) {
        const search_target *t = &w->target[i];
        es_code code = search_measure(t->formula, report, &p->metric[i], err);
        if (code == ES_OK && isnan(p->metric[i]))
            code = es_err_set(err, ES_ECHECK, "the result has no %s; is its clock none, has it no prompts, lacks it an observer?", t->formula);
        if (code)
            return es_err_at(err, "--target %s", t->text), code;
        const double over = t->least ? p->metric[i] - t->value : t->value - p->metric[i], margin = over / (t->value != 0.0 ? fabs(t->value) : 1.0);
        p->met = p->met && (t->strict ? over > 0.0 : over >= 0.0);
        p->margin = margin < p->margin ? margin : p->margin;
    }
    return ES_OK;
}

static es_code search_facts(search_work *w, search_point *p, const es_json *report, es_err *err)
{
    const char *clock = cJSON_GetStringValue(es_json_at(report, "clock"));
    if (!w->against) {
        w->timed = clock && strcmp(clock, "simulated") == 0;
        w->against_name = w->timed ? "latency" : "hit_rate";
        w->against = w->timed ? "time.token_latency_s.mean" : "cache.hit_rate";
    } else if (!w->against_name) {
        w->against_name = w->ask->against;
    }
    w->against_higher = strstr(w->against, "hit") || strstr(w->against, "coverage") || strstr(w->against, "tokens_per_s");
    p->memory = search_memory(report, &w->bytes);
    p->cost = w->ranges ? p->memory : 0.0;
    es_code code = search_measure(w->against, report, &p->against, err);
    if (code == ES_OK && w->cost)
        code = search_measure(w->cost, report, &p->cost, err);
    if (code == ES_OK && isnan(p->cost))
        code = es_err_set(err, ES_ECHECK, "the result has no %s, so nothing can be cheapest", w->cost ? w->cost : "capacity");
    return code ? code : search_targets(w, p, report, err);
}

/* Runs it. A point that cannot be (a cache that is too small for an event, say) is told of; anything else is an error. */
static es_code search_run(search_work *w, search_point *p, es_err *err)
{
    es_text set[SEARCH_AXES] = {{0}};
    const char *sets[SEARCH_AXES];
    es_json *report = NULL;
    es_err said = {0};
    bool whole = true;
    for (size_t i = 0; i < w->axes; i++) {
        search_setting(&w->axis[i], p->at[i], &set[i]);
        sets[i] = set[i].at;
        whole = whole && !set[i].failed;
    }
    es_code code = whole ? w->run->run(w->run->self, sets, w->axes, p->share, &report, &said) : es_err_nomem(&said, "the settings");
    if (code == ES_OK)
        code = search_facts(w, p, report, &said);
    if (code == ES_EINPUT && !report) {
        p->failed = es_arena_text(&w->arena, said.text);
        p->margin = -(double)INFINITY;
        p->cost = p->memory = p->against = (double)NAN;
        if (!w->first.code)
            w->first = said;
        code = p->failed ? ES_OK : es_err_nomem(err, "the points");
    } else if (code && err) {
        *err = said;
        err->code = code == ES_ECHECK ? ES_EINPUT : code;
    }
    cJSON_Delete(report);
    for (size_t i = 0; i < w->axes; i++)
        es_text_free(&set[i]);
    return code == ES_ECHECK ? ES_EINPUT : code;
}

static bool search_known(const search_work *w, const size_t at[SEARCH_AXES], double share)
{
    for (size_t i = 0; i < w->points; i++)
        if (w->point[i].share == share && memcmp(w->point[i].at, at, w->axes * sizeof *at) == 0)
            return true;
    return false;
}

es_code search_ahead(search_work *w, const size_t (*at)[SEARCH_AXES], size_t points, double share, es_err *err)
{
    es_text *text = w->run->ahead && points > 1 ? calloc(points * w->axes, sizeof *text) : NULL;
    const char **sets = text ? calloc(points * w->axes, sizeof *sets) : NULL;
    size_t count = 0;
    bool whole = sets != NULL;
    for (size_t p = 0; p < points && whole; p++) {
        if (search_known(w, at[p], share))
            continue;
        for (size_t i = 0; i < w->axes; i++, count++) {
            search_setting(&w->axis[i], at[p][i], &text[count]);
            sets[count] = text[count].at;
            whole = whole && !text[count].failed;
        }
    }
    es_code code = whole && count > w->axes ? w->run->ahead(w->run->self, sets, count / w->axes, w->axes, share, err) : ES_OK;    /* without memory each is run by itself */
    for (size_t i = 0; i < count; i++)
        es_text_free(&text[i]);
    free(sets);
    free(text);
    return code;
}

es_code search_try(search_work *w, const size_t *at, double share, size_t *out, es_err *err)
{
    search_point p = {.share = share};
    for (size_t i = 0; i < w->axes; i++)
        p.at[i] = at[i];
    for (*out = 0; *out < w->points; ++*out)
        if (w->point[*out].share == share && memcmp(w->point[*out].at, p.at, sizeof p.at) == 0)
            return ES_OK;
    if (w->points == w->room) {
        const size_t room = w->room ? 2 * w->room : 64;
        search_point *grown = realloc(w->point, room * sizeof *grown);
        if (!grown)
            return es_err_nomem(err, "the points");
        w->point = grown;
        w->room = room;
    }
    es_code code = search_run(w, &p, err);
    if (code == ES_OK)
        w->point[w->points++] = p;
    return code;
}

/* Is a before b where all else is equal: cheaper, or as cheap and earlier in the lists? */
static bool search_before(const search_work *w, const search_point *a, const search_point *b)
{
    if (a->cost != b->cost)
        return a->cost < b->cost;
    for (size_t i = 0; i < w->axes; i++)
        if (a->at[i] != b->at[i])
            return a->at[i] < b->at[i];
    return false;
}

size_t search_best(const search_work *w)
{
    size_t best = w->points;
    for (size_t i = 0; i < w->points; i++) {
        const search_point *p = &w->point[i];
        if (p->share == 1.0 && p->met && !p->failed && (best == w->points || search_before(w, p, &w->point[best])))
            best = i;
    }
    return best;
}

/* ---- the methods ---- */

/* The result with the last value of every axis. */
static es_code search_last(const search_work *w, es_json **report, es_err *err)
{
    es_text set[SEARCH_AXES] = {{0}};
    const char *sets[SEARCH_AXES];
    for (size_t i = 0; i < w->axes; i++) {
        search_setting(&w->axis[i], w->axis[i].count - 1, &set[i]);
        sets[i] = set[i].at ? set[i].at : "";
    }
    es_code code = w->run->run(w->run->self, sets, w->axes, 1.0, report, err);
    for (size_t i = 0; i < w->axes; i++)
        es_text_free(&set[i]);
    return code;
}

/* A capacity without values: from one slot to all experts there are, or the same in bytes by thousandths. */
static es_code search_population(search_work *w, search_axis *axis, es_err *err)
{
    es_json *report = NULL;
    es_code code = search_last(w, &report, err);
    const char *counts = code ? NULL : cJSON_GetStringValue(es_json_at(report, "capacity.counts"));
    const double room = code ? 0.0 : search_number(report, "capacity.slots_or_bytes");
    if (code == ES_OK && !(room >= 1.0))
        code = es_err_set(err, ES_EINPUT, "--over %s: the result does not say how much there is; give values: %s=A..B", axis->path, axis->path);
    if (code == ES_OK) {
        const bool bytes = counts && strcmp(counts, "bytes") == 0;
        axis->suffix = bytes ? "B" : "slots";
        axis->step = bytes ? fmax(1.0, ceil(room / 1000.0)) : 1.0;
        axis->count = (size_t)floor(room / axis->step);
        axis->from = room - axis->step * (double)(axis->count - 1);
        axis->population = false;
    }
    cJSON_Delete(report);
    return code;
}

static double search_size(const search_work *w)
{
    double size = 1.0;
    for (size_t i = 0; i < w->axes; i++)
        size *= (double)(w->axis[i].range && w->axis[i].count > w->ask->points ? w->ask->points : w->axis[i].count);
    return size;
}

static es_code search_go(search_work *w, es_err *err)
{
    es_code code = ES_OK;
    for (size_t i = 0; i < w->axes && code == ES_OK; i++)
        if (w->axis[i].population)
            code = search_population(w, &w->axis[i], err);
    if (code)
        return code;
    const double size = search_size(w);
    w->method = w->ask->method ? w->ask->method : w->targets && w->ranges == 1 ? "bisect" : w->targets && size > SEARCH_HALVE ? "halving" : "grid";
    if (strcmp(w->method, "bisect") != 0 && size > SEARCH_GRID_MOST)
        return es_err_set(err, ES_EINPUT, "--over: a grid of them has %.3g points; more than %d are too many, take fewer values or --points", size, SEARCH_GRID_MOST);
    code = *w->method == 'b' ? search_bisect(w, err) : *w->method == 'h' ? search_halve(w, err) : search_grid(w, err);
    bool some = false;
    for (size_t i = 0; i < w->points; i++)
        some = some || !w->point[i].failed;
    if (code == ES_OK && !some) {
        if (err)
            *err = w->first;
        return w->first.code;
    }
    return code;
}

/* ---- what is told ---- */

static void search_add_asked(const search_work *w, es_json *out)
{
    es_json *targets = es_json_add_array(out, "targets"), *over = es_json_add_array(out, "over");
    for (size_t i = 0; i < w->targets; i++)
        cJSON_AddItemToArray(targets, cJSON_CreateString(w->target[i].text));
    for (size_t i = 0; i < w->axes; i++) {
        es_json *one = cJSON_CreateObject();
        es_text first = {0}, last = {0};
        search_value(&w->axis[i], 0, &first);
        search_value(&w->axis[i], w->axis[i].count - 1, &last);
        es_json_add_text(one, "path", w->axis[i].path);
        es_json_add_int(one, "values", (int64_t)w->axis[i].count);
        es_json_add_text(one, "first", first.at);
        es_json_add_text(one, "last", last.at);
        es_json_add_bool(one, "range", w->axis[i].range);
        es_text_free(&first);
        es_text_free(&last);
        if (!cJSON_AddItemToArray(over, one))
            cJSON_Delete(one);
    }
}

static void search_add_found(const search_work *w, es_json *out)
{
    const size_t best = search_best(w);
    if (w->targets == 0)
        return;
    if (best < w->points)
        search_tell(w, &w->point[best], es_json_add_object(out, "found"));
    else
        cJSON_AddNullToObject(out, "found");
}

static es_json *search_json(const search_work *w)
{
    es_json *out = cJSON_CreateObject();
    size_t whole = 0;
    for (size_t i = 0; i < w->points; i++)
        whole += w->point[i].share == 1.0;
    search_add_asked(w, out);
    es_json_add_text(out, "method", w->method);
    if (w->monotone >= 0)
        es_json_add_bool(out, "monotone", w->monotone == 1);
    else
        cJSON_AddNullToObject(out, "monotone");
    es_json_add_text(out, "note", w->note);
    es_json_add_int(out, "runs", (int64_t)whole);
    es_json_add_int(out, "short_runs", (int64_t)(w->points - whole));
    es_json_add_text(out, "cost", w->cost ? w->ask->cost : w->ranges ? w->bytes ? "memory in bytes" : "memory in slots" : "order of the values");
    search_add_found(w, out);
    search_front(w, out);
    es_json *points = es_json_add_array(out, "points");
    for (size_t i = 0; i < w->points; i++) {
        es_json *one = cJSON_CreateObject();
        search_tell(w, &w->point[i], one);
        if (!cJSON_AddItemToArray(points, one))
            cJSON_Delete(one);
    }
    return out;
}

es_code es_search_find(const es_search_ask *ask, const es_search_run *run, es_json **out, es_err *err)
{
    es_search_ask mine = *ask;
    search_work w = {.ask = &mine, .run = run, .monotone = -1};
    mine.points = ask->points ? ask->points : SEARCH_GRID;
    *out = NULL;
    es_code code = mine.points < 2 ? es_err_set(err, ES_EINPUT, "--points: a grid needs two points of a range at least") : search_read(&w, err);
    if (code == ES_OK)
        code = search_go(&w, err);
    if (code == ES_OK && !(*out = search_json(&w)))
        code = es_err_nomem(err, "what was found");
    free(w.point);
    es_arena_free(&w.arena);
    return code;
}
