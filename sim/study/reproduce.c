/* Reproduce: see reproduce.h. Each experiment is run once per mode and replication; its rows read their values from the reports. */
#include "sim/study/reproduce.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/arena.h"
#include "sim/study/formula.h"
#include "sim/study/key.h"
#include "sim/study/result.h"

static const char *const reproduce_modes[] = {"as_coded", "as_documented"};

enum { REPRODUCE_MODES = 2, REPRODUCE_SETS = 64, REPRODUCE_VARIES = 4 };

typedef struct reproduce {
    const es_reproduce_ask *ask;
    const es_json *claims;
    es_arena arena;
    es_json *rows;              /* of the result */
    size_t experiment, experiments;
} reproduce;

static const char *reproduce_text(const es_json *row, const char *key)
{
    const es_json *value = cJSON_GetObjectItemCaseSensitive(row, key);
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

/* ---- statistics ---- */

static int reproduce_ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Sorts the values. */
static es_json *reproduce_statistics(double *value, size_t n)
{
    es_json *out = cJSON_CreateObject();
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < n; i++)
        sum += value[i];
    double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (value[i] - mean) * (value[i] - mean);
    qsort(value, n, sizeof *value, reproduce_ascending);
    es_json_add_real(out, "mean", mean);
    es_json_add_real(out, "sd", value[0] < value[n - 1] ? sqrt(squares / (double)(n - 1)) : 0.0);    /* alike: not what rounding leaves */
    es_json_add_int(out, "n", (int64_t)n);
    es_json_add_real(out, "median", (value[(n - 1) / 2] + value[n / 2]) / 2.0);
    es_json_add_real(out, "min", value[0]);
    es_json_add_real(out, "max", value[n - 1]);
    return out;
}

static const char *reproduce_verdict(const es_json *claim, const es_json *row, const es_json *coded)
{
    const es_json *claimed = cJSON_GetObjectItemCaseSensitive(claim, "claimed");
    if (cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(claim, "refuted")))
        return "refuted upstream";
    if (!cJSON_IsNumber(claimed))
        return "baseline";
    if (!cJSON_IsObject(coded))
        return "cannot be run";
    const char *statistic = reproduce_text(row, "statistic");
    double centre = es_json_at(coded, statistic ? statistic : "mean")->valuedouble, spread = es_json_at(coded, "sd")->valuedouble;
    double off = fabs(claimed->valuedouble - centre);
    return off <= 2.0 * spread || off <= 0.01 * fabs(centre) ? "reproduced" : "not reproduced";
}

/* ---- one experiment ---- */

/* One run; NULL and *err when it fails. */
static es_json *reproduce_run(const char *path, const char *const *sets, size_t count, es_err *err)
{
    es_config *config = NULL;
    es_json *report = NULL;
    es_code code = es_config_load(&config, path, sets, count, err);
    if (code == ES_OK)
        code = es_result_run(config, NULL, NULL, &report, err);
    es_config_free(config);
    if (code != ES_OK) {
        cJSON_Delete(report);
        return NULL;
    }
    return report;
}

static es_code reproduce_sets(const es_json *experiment, const char *mode, const char **set, size_t *count, es_err *err)
{
    const es_json *list[] = {cJSON_GetObjectItemCaseSensitive(experiment, "set"), cJSON_GetObjectItemCaseSensitive(experiment, mode)}, *one;
    *count = 0;
    set[(*count)++] = "bounds=false";
    for (size_t i = 0; i < 2; i++)
        cJSON_ArrayForEach(one, list[i])
        {
            if (!cJSON_IsString(one) || *count == REPRODUCE_SETS - 1 - REPRODUCE_VARIES)
                return es_err_set(err, ES_EINPUT, "%s: needs at most %d texts \"PATH=VALUE\"", mode, REPRODUCE_SETS - 2 - REPRODUCE_VARIES);
            set[(*count)++] = one->valuestring;
        }
    return ES_OK;
}

/* "replication=NUMBER", and the same for the keys of vary. */
static es_code reproduce_vary(const es_json *experiment, size_t number, char text[][96], const char **set, size_t *count, es_err *err)
{
    const es_json *key;
    size_t n = 0;
    snprintf(text[n], sizeof *text, "replication=%zu", number);
    set[(*count)++] = text[n++];
    cJSON_ArrayForEach(key, cJSON_GetObjectItemCaseSensitive(experiment, "vary"))
    {
        if (!cJSON_IsString(key) || n > REPRODUCE_VARIES || *count == REPRODUCE_SETS)
            return es_err_set(err, ES_EINPUT, "vary: needs at most %d keys", REPRODUCE_VARIES);
        snprintf(text[n], sizeof *text, "%.64s=%zu", key->valuestring, number);
        set[(*count)++] = text[n++];
    }
    return ES_OK;
}

/* values[i * runs + r] is that of the i-th row in run r. */
static es_code reproduce_mode(const char *path, const es_json *experiment, const char *mode, es_json *const *row, size_t rows, size_t runs, double *values, es_err *err)
{
    const char *set[REPRODUCE_SETS];
    char number[1 + REPRODUCE_VARIES][96];
    size_t fixed;
    es_code code = reproduce_sets(experiment, mode, set, &fixed, err);
    for (size_t r = 0; r < runs && code == ES_OK; r++) {
        size_t count = fixed;
        if ((code = reproduce_vary(experiment, r, number, set, &count, err)) != ES_OK)
            break;
        es_json *report = reproduce_run(path, set, count, err);
        code = report ? ES_OK : err->code;
        for (size_t i = 0; i < rows && code == ES_OK; i++)
            code = es_formula(reproduce_text(row[i], "value"), report, &values[i * runs + r], err);
        cJSON_Delete(report);
    }
    return code;
}

/* Runs what the rows (all of one experiment) want and adds their statistics under the mode's name. */
static es_code reproduce_experiment(reproduce *p, const char *name, es_json *const *row, size_t rows, es_err *err)
{
    const es_json *experiment = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(p->claims, "experiments"), name);
    const char *config = reproduce_text(experiment, "config");
    const es_json *times = cJSON_GetObjectItemCaseSensitive(experiment, "replications");
    if (!config)
        return es_err_set(err, ES_EINPUT, "experiments.%s: is missing or names no config", name);
    size_t runs = p->ask->replications > 0 ? (size_t)p->ask->replications : cJSON_IsNumber(times) && times->valuedouble >= 1 ? (size_t)times->valuedouble : 1;
    const char *path = es_path_from(&p->arena, p->ask->claims, config);
    double *values = calloc(rows * runs, sizeof *values);
    es_code code = values && path ? ES_OK : es_err_nomem(err, "an experiment");
    for (int m = 0; m < REPRODUCE_MODES && code == ES_OK; m++) {
        if (!cJSON_GetObjectItemCaseSensitive(experiment, reproduce_modes[m]))
            continue;
        code = reproduce_mode(path, experiment, reproduce_modes[m], row, rows, runs, values, err);
        for (size_t i = 0; i < rows && code == ES_OK; i++)
            cJSON_ReplaceItemInObjectCaseSensitive(row[i], reproduce_modes[m], reproduce_statistics(values + i * runs, runs));
    }
    free(values);
    return code == ES_OK ? ES_OK : (es_err_at(err, "experiment %s", name), code);
}

/* ---- all of them ---- */

/* A row of the result, with what is known before anything has run. */
static es_code reproduce_row(reproduce *p, const es_json *claim, size_t number, es_err *err)
{
    static const char *const keys[] = {"seed", "id", "what", "experiment", "value", "statistic", "unit"};
    const char *seed = reproduce_text(claim, "seed");
    if (!seed || !reproduce_text(claim, "id") || !reproduce_text(claim, "value"))
        return es_err_set(err, ES_EINPUT, "rows.%zu: needs texts seed, id and value", number);
    if (p->ask->seed && strcmp(p->ask->seed, seed) != 0)
        return ES_OK;
    es_json *row = cJSON_CreateObject();
    if (!row || !cJSON_AddItemToArray(p->rows, row))
        return es_err_nomem(err, "a row");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (reproduce_text(claim, keys[i]))
            es_json_add_text(row, keys[i], reproduce_text(claim, keys[i]));
    const es_json *claimed = cJSON_GetObjectItemCaseSensitive(claim, "claimed"), *refuted = cJSON_GetObjectItemCaseSensitive(claim, "refuted");
    if (refuted && (!cJSON_IsTrue(refuted) || !cJSON_IsNumber(claimed)))
        return es_err_set(err, ES_EINPUT, "rows.%zu: refuted is true beside a claim, or is left out", number);
    cJSON_AddItemToObject(row, "claimed", cJSON_IsNumber(claimed) ? cJSON_Duplicate(claimed, false) : cJSON_CreateNull());
    for (int m = 0; m < REPRODUCE_MODES; m++)
        cJSON_AddNullToObject(row, reproduce_modes[m]);
    if (reproduce_text(claim, "experiment"))
        return ES_OK;
    double value;
    es_code code = es_formula(reproduce_text(claim, "value"), NULL, &value, err);
    if (code != ES_OK)
        return es_err_at(err, "rows.%zu", number), code;
    cJSON_ReplaceItemInObjectCaseSensitive(row, "as_coded", reproduce_statistics(&value, 1));
    return ES_OK;
}

/* The rows of one experiment are served together. */
static es_code reproduce_experiments(reproduce *p, es_err *err)
{
    const es_json *experiment, *experiments = cJSON_GetObjectItemCaseSensitive(p->claims, "experiments");
    size_t all = (size_t)cJSON_GetArraySize(p->rows);
    es_json **row = ES_NEW_ARRAY(&p->arena, all + 1, es_json *), *one;
    if (!row)
        return es_err_nomem(err, "the rows");
    cJSON_ArrayForEach(experiment, experiments)
    {
        size_t rows = 0;
        cJSON_ArrayForEach(one, p->rows)
        {
            const char *name = reproduce_text(one, "experiment");
            if (name && strcmp(name, experiment->string) == 0)
                row[rows++] = one;
        }
        if (rows == 0)
            continue;
        if (p->ask->tell)
            p->ask->tell(p->ask->self, ++p->experiment, p->experiments, experiment->string);
        es_code code = reproduce_experiment(p, experiment->string, row, rows, err);
        if (code != ES_OK)
            return code;
    }
    return ES_OK;
}

/* How many experiments the rows of the result want; one that does not exist is an error. */
static es_code reproduce_count(reproduce *p, es_err *err)
{
    const es_json *one, *experiment, *experiments = cJSON_GetObjectItemCaseSensitive(p->claims, "experiments");
    cJSON_ArrayForEach(one, p->rows)
    {
        const char *name = reproduce_text(one, "experiment");
        if (name && !cJSON_GetObjectItemCaseSensitive(experiments, name))
            return es_err_set(err, ES_EINPUT, "row %s: there is no experiment \"%s\"", reproduce_text(one, "id"), name);
    }
    cJSON_ArrayForEach(experiment, experiments)
    {
        bool wanted = false;
        cJSON_ArrayForEach(one, p->rows)
            wanted = wanted || (reproduce_text(one, "experiment") && strcmp(reproduce_text(one, "experiment"), experiment->string) == 0);
        p->experiments += wanted;
    }
    return ES_OK;
}

/* Verdicts and notes, last, so that they stand behind the numbers. */
static void reproduce_conclude(reproduce *p)
{
    const es_json *claim;
    es_json *row = p->rows->child;
    cJSON_ArrayForEach(claim, cJSON_GetObjectItemCaseSensitive(p->claims, "rows"))
    {
        if (!row || (p->ask->seed && strcmp(p->ask->seed, reproduce_text(claim, "seed")) != 0))
            continue;
        es_json_add_text(row, "verdict", reproduce_verdict(claim, row, cJSON_GetObjectItemCaseSensitive(row, "as_coded")));
        if (reproduce_text(claim, "note"))
            es_json_add_text(row, "note", reproduce_text(claim, "note"));
        row = row->next;
    }
}

static es_code reproduce_all(reproduce *p, es_err *err)
{
    const es_json *claim, *claims = cJSON_GetObjectItemCaseSensitive(p->claims, "rows");
    size_t number = 0;
    es_code code = ES_OK;
    cJSON_ArrayForEach(claim, claims)
        if ((code = reproduce_row(p, claim, number++, err)) != ES_OK)
            return code;
    if (cJSON_GetArraySize(p->rows) == 0)
        return es_err_set(err, ES_EINPUT, "it has no rows%s%s", p->ask->seed ? " of seed " : "", p->ask->seed ? p->ask->seed : "");
    if ((code = reproduce_count(p, err)) != ES_OK || (code = reproduce_experiments(p, err)) != ES_OK)
        return code;
    reproduce_conclude(p);
    return ES_OK;
}

es_code es_reproduce(const es_reproduce_ask *ask, es_json **out, es_err *err)
{
    es_json *claims = NULL;
    *out = NULL;
    es_code code = es_json_load(&claims, ask->claims, err);
    if (code != ES_OK)
        return code;
    es_json *result = cJSON_CreateObject();
    reproduce p = {.ask = ask, .claims = claims, .rows = result ? es_json_add_array(result, "rows") : NULL};
    code = p.rows ? reproduce_all(&p, err) : es_err_nomem(err, "the rows");
    if (code != ES_OK)
        es_err_at(err, "%s", ask->claims);
    es_arena_free(&p.arena);
    cJSON_Delete(claims);
    if (code == ES_OK)
        *out = result;
    else
        cJSON_Delete(result);
    return code;
}
