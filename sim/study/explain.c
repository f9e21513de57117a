/* Explain: see explain.h. The run and its causes, sorted. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/text.h"
#include "sim/core/buffers.h"
#include "sim/part/registry.h"
#include "sim/study/explain_inside.h"

double explain_number(const es_json *of, const char *path)
{
    const es_json *value = es_json_at(of, path);
    return cJSON_IsNumber(value) ? value->valuedouble : 0.0;
}

void explain_sorted(es_json *out, const char *name, es_json *list, const char *key)
{
    es_json *sorted = es_json_add_array(out, name);
    while (sorted && list && list->child) {
        es_json *first = list->child, *one;
        cJSON_ArrayForEach(one, list) if (explain_number(one, key) > explain_number(first, key)) first = one;
        cJSON_AddItemToArray(sorted, cJSON_DetachItemViaPointer(list, first));
    }
    cJSON_Delete(list);
}

/* ---- a run ---- */

static es_code explain_run_buffers(const es_plan *plan, const es_progress *progress, explain_ran *ran, es_json *report, es_err *err)
{
    es_json *own = report ? NULL : cJSON_CreateObject();
    es_json *out = report ? report : own;
    es_code code = out ? es_buffers_run(plan, progress, out, err) : es_err_nomem(err, "an explanation");
    *ran = (explain_ran){.total_s = explain_number(out, "time.total_s")};
    cJSON_Delete(own);
    return code;
}

es_code explain_run(const es_plan *plan, const es_progress *progress, explain_ran *ran, es_json *report, es_err *err)
{
    es_run *run = NULL;
    es_code code = plan->source->rewind(plan->source_state, err);
    if (code == ES_OK && plan->buffers)
        return explain_run_buffers(plan, progress, ran, report, err);
    if (code == ES_OK)
        code = es_run_new(&run, plan, err);
    if (code == ES_OK)
        code = es_run_go(run, progress, err);
    if (code == ES_OK) {
        const es_times *times = es_run_view(run)->times;
        *ran = (explain_ran){.total_s = (double)times->total / 1e9, .decode_s = (double)times->decode_total / 1e9};
        code = report ? es_run_report(run, report, err) : ES_OK;
    }
    es_run_free(run);
    return code;
}

/* The plan's observers are replaced by these. */
static es_code explain_observers(explain *x, es_plan *plan, es_err *err)
{
    static const char *const names[] = {"summary", "attribution"};
    enum { COUNT = sizeof names / sizeof *names };
    es_plan_part *row = ES_NEW_ARRAY(&x->arena, COUNT, es_plan_part);
    es_code code = row ? ES_OK : es_err_nomem(err, "an explanation");
    for (size_t i = 0; i < COUNT && code == ES_OK; i++) {
        code = es_part_find(ES_KIND_OBSERVER, names[i], &row[i].part, err);
        void *state = code == ES_OK ? es_arena_alloc(&x->arena, 1, row[i].part->size) : NULL;
        if (code == ES_OK && !state)
            code = es_err_nomem(err, "an explanation");
        if (code)
            break;
        if (row[i].part->options)
            es_options_default(row[i].part->options, state);
        row[i].state = state;
        row[i].path = names[i];
    }
    plan->observers = row;
    plan->observer_count = COUNT;
    return code;
}

/* ---- lists ---- */

typedef struct explain_list {
    es_json *out;
    double whole;
} explain_list;

static es_code explain_add(explain_list *list, const char *name, double seconds, es_err *err)
{
    es_text says = {0};
    if (!(seconds > 0.0))
        return ES_OK;
    explain_says(name, &says);
    es_json *row = cJSON_CreateObject();
    es_json_add_text(row, "cause", name);
    es_json_add_text(row, "says", says.at);
    es_json_add_real(row, "time_s", seconds);
    es_json_add_real(row, "share", seconds / list->whole);
    es_code code = row && !says.failed ? ES_OK : es_err_nomem(err, "an explanation");
    es_text_free(&says);
    if (code || !cJSON_AddItemToArray(list->out, row))
        cJSON_Delete(row);
    return code;
}

/* Every number below `from` is a cause, named by the way to it. */
static es_code explain_walk(explain_list *list, const es_json *from, const char *before, es_err *err)
{
    es_code code = ES_OK;
    const es_json *one;
    cJSON_ArrayForEach(one, from) {
        char name[512];
        snprintf(name, sizeof name, "%s%s%s", before, *before ? "." : "", one->string);
        if (code == ES_OK)
            code = cJSON_IsObject(one) ? explain_walk(list, one, name, err) : explain_add(list, name, one->valuedouble, err);
    }
    return code;
}

static es_code explain_causes(const explain *x, const char *name, const char *path, es_json *out, es_err *err)
{
    explain_list list = {.out = cJSON_CreateArray(), .whole = explain_time(x, &x->ran)};
    es_code code = list.out ? explain_walk(&list, es_json_at(x->report, path), "", err) : es_err_nomem(err, "an explanation");
    explain_sorted(out, name, list.out, "time_s");
    return code;
}

static es_code explain_lists(const explain *x, es_json *out, es_err *err)
{
    if (x->plan && x->plan->buffers)
        return explain_causes(x, "causes", "time.attribution", out, err);
    es_code code = explain_causes(x, "causes", x->decodes ? "attribution.decode_causes" : "attribution.causes", out, err);
    if (code == ES_OK)
        code = explain_causes(x, "path", x->decodes ? "attribution.decode_path" : "attribution.path", out, err);
    return code;
}

/* ---- all of it ---- */

static es_code explain_slowest(const es_json *slowest, es_json *out, es_err *err)
{
    es_json *copy = cJSON_Duplicate(slowest, true);
    const es_json *cause = es_json_at(copy, "cause");
    es_text says = {0};
    if (!copy || !cJSON_AddItemToObject(out, "slowest_token", copy)) {
        cJSON_Delete(copy);
        return es_err_nomem(err, "an explanation");
    }
    if (cJSON_IsString(cause)) {
        explain_says(cause->valuestring, &says);
        es_json_add_text(copy, "says", says.at);
    }
    const es_code code = says.failed ? es_err_nomem(err, "an explanation") : ES_OK;
    es_text_free(&says);
    return code;
}

static es_code explain_json(explain *x, const char *name, bool what_if, es_json *out, es_err *err)
{
    es_json_add_text(out, "name", name);
    es_json_add_text(out, "verdict", "");
    es_json_add_text(out, "of", x->decodes ? "decode" : "all");
    es_json_add_real(out, "time_s", explain_time(x, &x->ran));
    es_json_add_real(out, "total_s", x->ran.total_s);
    const es_json *speed = es_json_at(x->report, "time.tokens_per_s"), *slowest = es_json_at(x->report, "attribution.slowest_token");
    es_json_add_real(out, "tokens_per_s", cJSON_IsNumber(speed) ? speed->valuedouble : (double)NAN);
    es_code code = explain_lists(x, out, err);
    if (code == ES_OK && slowest)
        code = explain_slowest(slowest, out, err);
    if (code == ES_OK && what_if)
        code = explain_what_if(x, out, err);
    if (code == ES_OK)
        explain_verdict(x, out);
    return code;
}

static es_code explain_all(explain *x, es_config *config, bool what_if, es_json *out, es_err *err)
{
    es_json *report = cJSON_CreateObject();
    es_plan plan = *x->plan;
    x->report = report;
    es_code code = report ? ES_OK : es_err_nomem(err, "an explanation");
    if (code == ES_OK && !plan.buffers)
        code = explain_observers(x, &plan, err);
    if (code == ES_OK)
        code = explain_run(&plan, x->progress, &x->ran, report, err);
    x->decodes = x->ran.decode_s > 0.0;
    if (code == ES_OK && !(explain_time(x, &x->ran) > 0.0))
        code = es_err_set(err, ES_EINPUT, "clock: nothing here takes time, so there is nothing to explain");
    if (code == ES_OK)
        code = explain_json(x, es_config_name(config), what_if, out, err);
    cJSON_Delete(report);
    return code;
}

es_code es_explain_find(es_config *config, bool what_if, const es_progress *progress, es_json **out, es_err *err)
{
    explain x = {.progress = progress};
    *out = NULL;
    es_code code = es_config_plan(config, &x.plan, err);
    if (code == ES_OK && !x.plan->timed && !x.plan->buffers)
        code = es_err_set(err, ES_EINPUT, "clock: is none, under which nothing takes time; explain needs \"simulated\"");
    es_json *result = code == ES_OK ? cJSON_CreateObject() : NULL;
    if (code == ES_OK)
        code = result ? explain_all(&x, config, what_if, result, err) : es_err_nomem(err, "an explanation");
    es_arena_free(&x.arena);
    if (code) {
        es_config_blame(config, err);
        cJSON_Delete(result);
        return code;
    }
    *out = result;
    return ES_OK;
}

/* ---- of what is kept ---- */

/* Of all numbers below, each a whole number of ns told in seconds. */
static double explain_sum_ns(const es_json *of)
{
    double sum = cJSON_IsNumber(of) ? round(of->valuedouble * 1e9) : 0.0;
    for (const es_json *one = cJSON_IsObject(of) ? of->child : NULL; one; one = one->next)
        sum += explain_sum_ns(one);
    return sum;
}

es_code es_explain_kept(const es_json *report, es_json **out, es_err *err)
{
    const es_json *causes = es_json_at(report, "attribution.decode_causes"), *name = es_json_at(report, "name");
    explain x = {.report = report, .ran = {.total_s = explain_number(report, "time.total_s"), .decode_s = explain_sum_ns(causes) / 1e9}};
    *out = NULL;
    x.decodes = x.ran.decode_s > 0.0;
    if (!cJSON_IsObject(causes) || !(explain_time(&x, &x.ran) > 0.0))
        return ES_OK;
    es_json *result = cJSON_CreateObject();
    es_code code = result ? explain_json(&x, cJSON_IsString(name) ? name->valuestring : "", false, result, err) : es_err_nomem(err, "an explanation");
    if (code)
        cJSON_Delete(result);
    else
        *out = result;
    return code;
}
