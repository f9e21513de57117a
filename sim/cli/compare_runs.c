/* The runs of a comparison: see compare_runs.h. What a process finds it leaves in a file. */
#include "sim/cli/compare_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/file.h"
#include "sim/cli/jobs.h"
#include "sim/cli/progress.h"
#include "sim/study/result.h"

/* ---- configs ---- */

es_code compare_runs_add(compare_runs *runs, es_config *config, const char *name, const char **path, es_err *err)
{
    compare_run *grown = realloc(runs->run, (runs->count + 1) * sizeof *grown);
    es_text dir = {0};
    if (grown) {
        runs->run = grown;
        grown[runs->count] = (compare_run){.config = config, .name = strdup(name)};
        es_text_add(&dir, "%s/%zu/result.h5", runs->dir, runs->count + 1);
        grown[runs->count].dir = dir.at;
        runs->count++;
    } else {
        es_config_free(config);
    }
    if (!grown || dir.failed || !runs->run[runs->count - 1].name)
        return es_err_nomem(err, "the runs");
    *path = dir.at;
    return ES_OK;
}

static es_code runs_one(void *self, size_t job, es_err *err)
{
    const compare_runs *runs = self;
    compare_run *one = &runs->run[job];
    progress p;
    es_run *kept = NULL;
    es_json *result = NULL;
    es_text dir = {0};
    es_text_put(&dir, one->dir, strlen(one->dir) - strlen("/result.h5"));
    es_code code = dir.failed ? es_err_nomem(err, "the names") : es_file_make_dirs(dir.at, err);
    const es_progress *told = progress_begin(&p, one->name, runs->quiet);
    if (code == ES_OK)
        code = es_result_run(one->config, told, &kept, &result, err);
    progress_end(&p);
    if (code == ES_OK) {
        es_result_add_volatile(result, progress_seconds(&p));
        code = es_result_save(result, kept, dir.at, err);
    }
    es_run_free(kept);
    cJSON_Delete(result);
    es_text_free(&dir);
    es_config_free(one->config);        /* with its trace */
    one->config = NULL;
    return code;
}

es_code compare_runs_go(compare_runs *runs, es_err *err)
{
    return jobs_run(&(jobs_owner){.work = runs_one, .self = runs}, runs->count, runs->at_once, err);
}

/* ---- bounds ---- */

static void runs_bounds_path(const compare_runs *runs, size_t i, es_text *path)
{
    es_text_add(path, "%s/bounds-%zu.json", runs->dir, i + 1);
}

/* That there are none (its trace may be gone by now) is no reason not to compare: it is told. */
static es_code runs_bound(void *self, size_t job, es_err *err)
{
    const compare_runs *runs = self;
    es_json *bounds = NULL;
    es_text path = {0};
    es_err why = {0};
    runs_bounds_path(runs, job, &path);
    if (es_result_bounds(es_compare_lacking(runs->compare, job), &bounds, &why) != ES_OK && (bounds = cJSON_CreateObject()) != NULL)
        es_json_add_text(bounds, "failed", why.text);
    char *text = bounds ? es_json_text(bounds) : NULL;
    es_code code = text && !path.failed ? es_file_save(path.at, text, strlen(text), err) : es_err_nomem(err, "the bounds");
    free(text);
    es_text_free(&path);
    cJSON_Delete(bounds);
    return code;
}

/* What was found of one set; takes the file away. */
static es_code runs_take(compare_runs *runs, size_t i, es_err *err)
{
    es_json *bounds = NULL;
    es_text path = {0};
    runs_bounds_path(runs, i, &path);
    es_code code = path.failed ? es_err_nomem(err, "the bounds") : es_json_load(&bounds, path.at, err);
    if (code == ES_OK)
        es_compare_bounds(runs->compare, i, bounds);
    if (path.at)
        unlink(path.at);
    es_text_free(&path);
    cJSON_Delete(bounds);
    return code;
}

es_code compare_runs_bounds(compare_runs *runs, es_compare *compare, size_t most, size_t *lacking, es_err *err)
{
    for (*lacking = 0; es_compare_lacking(compare, *lacking);)
        ++*lacking;
    if (*lacking == 0 || *lacking > most)
        return ES_OK;
    runs->compare = compare;
    es_code code = es_file_make_dirs(runs->dir, err);
    if (code == ES_OK)
        code = jobs_run(&(jobs_owner){.work = runs_bound, .self = runs}, *lacking, runs->at_once, err);
    for (size_t i = 0, count = *lacking; i < count; i++) {
        es_code taken = runs_take(runs, i, code ? NULL : err);
        code = code ? code : taken;
    }
    return code;
}

/* ---- ending ---- */

void compare_runs_free(compare_runs *runs)
{
    for (size_t i = 0; i < runs->count; i++) {
        es_config_free(runs->run[i].config);
        free(runs->run[i].name);
        free(runs->run[i].dir);
    }
    free(runs->run);
}
