/* Save: see save.h. */
#include "calib/save.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/h5.h"
#include "sim/base/text.h"

enum { SAVE_COLUMNS = 8, SAVE_CHUNK = 1024, SAVE_GROUP = 64, SAVE_PATH = 96, SAVE_MOST = 1 << 24 };

static const struct save_column {
    const char *name;
    size_t offset;
    bool wide;                  /* 64 bits */
} save_columns[SAVE_COLUMNS] = {
    {"bytes", offsetof(calib_sample, bytes), true},       {"count", offsetof(calib_sample, count), false},
    {"ns", offsetof(calib_sample, ns), true},             {"issue_ns", offsetof(calib_sample, issue_ns), true},
    {"host_ns", offsetof(calib_sample, host_ns), true},   {"round", offsetof(calib_sample, round), false},
    {"order", offsetof(calib_sample, order), false},      {"switches", offsetof(calib_sample, switches), false},
};

static int64_t column_get(const struct save_column *column, const calib_sample *sample)
{
    const char *at = (const char *)sample + column->offset;
    return column->wide ? *(const int64_t *)at : (int64_t)*(const uint32_t *)at;
}

static void column_set(const struct save_column *column, calib_sample *sample, int64_t value)
{
    char *at = (char *)sample + column->offset;
    if (column->wide)
        *(int64_t *)at = value;
    else
        *(uint32_t *)at = (uint32_t)value;
}

/* ---- writing ---- */

static es_code save_numbers(es_h5 *file, const char group[SAVE_GROUP], const char *name, const int64_t *values, uint64_t count, es_err *err)
{
    char path[SAVE_PATH];
    snprintf(path, sizeof path, "%s/%s", group, name);
    es_h5_data *data = NULL;
    uint64_t dims[1] = {0};
    es_code code = es_h5_data_create(&data, file, path, ES_H5_I64, 1, dims, SAVE_CHUNK, 6, err);
    if (code == ES_OK)
        code = es_h5_data_append(data, ES_H5_I64, count, values, err);
    es_h5_data_close(data);
    return code;
}

static es_code save_pairs(es_h5 *file, int question, const calib_pairs *pairs, es_err *err)
{
    char group[SAVE_GROUP];
    snprintf(group, sizeof group, "/contention/%s", calib_question_names[question]);
    es_code code = es_h5_group(file, group, err);
    if (code == ES_OK)
        code = save_numbers(file, group, "alone", pairs->alone, pairs->count, err);
    return code ? code : save_numbers(file, group, "together", pairs->together, pairs->count, err);
}

static es_code save_column(es_h5 *file, const char group[SAVE_GROUP], const struct save_column *column, const calib_series *series, int64_t *values, es_err *err)
{
    for (size_t i = 0; i < series->count; i++)
        values[i] = column_get(column, &series->at[i]);
    return save_numbers(file, group, column->name, values, series->count, err);
}

static es_code save_series(es_h5 *file, size_t row, const calib_series *series, es_err *err)
{
    char group[SAVE_GROUP];
    snprintf(group, sizeof group, "/samples/%s", calib_rows[row].name);
    int64_t *values = malloc(series->count * sizeof *values);
    es_code code = values ? es_h5_group(file, group, err) : es_err_nomem(err, "a column of samples");
    for (size_t c = 0; c < SAVE_COLUMNS && code == ES_OK; c++)
        code = save_column(file, group, &save_columns[c], series, values, err);
    if (code == ES_OK)
        code = es_h5_put_text(file, group, "stop", calib_stop_names[series->stop], err);
    if (code == ES_OK)
        code = es_h5_put_int(file, group, "open", series->open, err);
    if (code == ES_OK)
        code = es_h5_put_text(file, group, "what", calib_rows[row].what, err);
    free(values);
    return code;
}

static es_code save_head(es_h5 *file, const calib_samples *samples, es_err *err)
{
    es_text names = {0};
    for (size_t i = 0; i < CALIB_ROWS; i++)
        if (samples->row[i].count)
            es_text_add(&names, "%s%s", names.length ? " " : "", calib_rows[i].name);
    char *environment = es_json_text(samples->environment);
    es_code code = environment && !names.failed ? ES_OK : es_err_nomem(err, "a file of samples");
    if (code == ES_OK)
        code = es_h5_put_text(file, "/", "schema", CALIB_SCHEMA, err);
    if (code == ES_OK)
        code = es_h5_put_text(file, "/", "environment", environment, err);
    if (code == ES_OK)
        code = es_h5_put_text(file, "/", "series", names.at ? names.at : "", err);
    free(environment);
    es_text_free(&names);
    return code;
}

es_code calib_samples_save(const calib_samples *samples, const char *path, es_err *err)
{
    es_h5 *file = NULL;
    es_code code = es_h5_create(&file, path, err);
    if (code)
        return code;
    code = save_head(file, samples, err);
    for (size_t i = 0; i < CALIB_ROWS && code == ES_OK; i++)
        if (samples->row[i].count)
            code = save_series(file, i, &samples->row[i], err);
    for (int q = 0; q < CALIB_QUESTIONS && code == ES_OK; q++)
        if (samples->pairs[q].count)
            code = save_pairs(file, q, &samples->pairs[q], err);
    es_code closed = es_h5_close(file, code ? NULL : err);
    return code ? code : closed;
}

/* ---- reading ---- */

static es_code load_column(es_h5 *file, const char *group, const struct save_column *column, calib_series *series, es_err *err)
{
    char path[SAVE_PATH];
    snprintf(path, sizeof path, "%s/%s", group, column->name);
    es_h5_data *data = NULL;
    es_code code = es_h5_data_open(&data, file, path, err);
    if (code)
        return code;
    uint64_t count = es_h5_data_rank(data) == 1 ? es_h5_data_dims(data)[0] : 0;
    if (count == 0 || count > SAVE_MOST || (series->at && count != series->count))
        code = es_err_set(err, ES_EINPUT, "%s: has %llu numbers, needs one for each sample, 1 to %d", path, (unsigned long long)count, SAVE_MOST);
    if (code == ES_OK && !series->at && !(series->at = calloc(count, sizeof *series->at)))
        code = es_err_nomem(err, "samples");
    int64_t *values = code == ES_OK ? malloc(count * sizeof *values) : NULL;
    if (code == ES_OK && !values)
        code = es_err_nomem(err, "a column of samples");
    if (code == ES_OK)
        code = es_h5_data_read(data, ES_H5_I64, 0, count, values, err);
    for (uint64_t i = 0; i < count && code == ES_OK; i++) {
        if (values[i] < 0 || (!column->wide && values[i] > UINT32_MAX))
            code = es_err_set(err, ES_EINPUT, "%s: sample %llu is %lld, which cannot be", path, (unsigned long long)i, (long long)values[i]);
        else
            column_set(column, &series->at[i], values[i]);
    }
    if (code == ES_OK)
        series->count = series->room = (size_t)count;
    free(values);
    es_h5_data_close(data);
    return code;
}

static es_code load_stop(es_h5 *file, const char *group, calib_series *series, es_err *err)
{
    char *text = NULL;
    int64_t open = 0;
    es_code code = es_h5_get_text(file, group, "stop", &text, err);
    if (code == ES_OK)
        code = es_h5_get_int(file, group, "open", &open, err);
    series->stop = CALIB_STOPS;
    for (int i = 0; i < CALIB_STOPS && code == ES_OK; i++)
        if (strcmp(text, calib_stop_names[i]) == 0)
            series->stop = i;
    if (code == ES_OK && (series->stop == CALIB_STOPS || open < 0 || open > UINT32_MAX))
        code = es_err_set(err, ES_EINPUT, "%s: stop: \"%s\" is none of precise, stable and budget", group, text);
    series->open = (uint32_t)open;
    free(text);
    return code;
}

/* No measurement has more rounds, and what is fitted is numbered by them. */
static es_code load_rounds(const char *group, const calib_series *series, es_err *err)
{
    for (size_t i = 0; i < series->count; i++)
        if (series->at[i].round >= CALIB_ROUNDS)
            return es_err_set(err, ES_EINPUT, "%s/round: sample %zu is of round %u, needs one below %d", group, i, series->at[i].round, CALIB_ROUNDS);
    return ES_OK;
}

static es_code load_series(es_h5 *file, const char *name, calib_samples *samples, es_err *err)
{
    const calib_row *row = calib_row_find(name);
    if (!row)
        return es_err_set(err, ES_EINPUT, "series: \"%s\" is nothing that is measured", name);
    calib_series *series = &samples->row[row - calib_rows];
    if (series->at)
        return es_err_set(err, ES_EINPUT, "series: %s is there twice", name);
    char group[SAVE_GROUP];
    snprintf(group, sizeof group, "/samples/%s", row->name);
    es_code code = ES_OK;
    for (size_t c = 0; c < SAVE_COLUMNS && code == ES_OK; c++)
        code = load_column(file, group, &save_columns[c], series, err);
    if (code == ES_OK)
        code = load_rounds(group, series, err);
    return code ? code : load_stop(file, group, series, err);
}

static es_code load_pair(es_h5 *file, const char group[SAVE_GROUP], const char *name, int64_t *values, uint32_t *count, es_err *err)
{
    char path[SAVE_PATH];
    snprintf(path, sizeof path, "%s/%s", group, name);
    es_h5_data *data = NULL;
    es_code code = es_h5_data_open(&data, file, path, err);
    if (code)
        return code;
    uint64_t found = es_h5_data_rank(data) == 1 ? es_h5_data_dims(data)[0] : 0;
    if (found == 0 || found > CALIB_PAIRS || (*count && found != *count))
        code = es_err_set(err, ES_EINPUT, "%s: has %llu numbers, needs 1 to %d, as many alone as together", path, (unsigned long long)found, CALIB_PAIRS);
    if (code == ES_OK)
        code = es_h5_data_read(data, ES_H5_I64, 0, found, values, err);
    for (uint64_t i = 0; code == ES_OK && i < found; i++)
        if (values[i] <= 0)
            code = es_err_set(err, ES_EINPUT, "%s: time %llu is %lld, which cannot be", path, (unsigned long long)i, (long long)values[i]);
    if (code == ES_OK)
        *count = (uint32_t)found;
    es_h5_data_close(data);
    return code;
}

static es_code load_pairs(es_h5 *file, calib_samples *samples, es_err *err)
{
    es_code code = ES_OK;
    for (int q = 0; q < CALIB_QUESTIONS && code == ES_OK; q++) {
        char group[SAVE_GROUP];
        calib_pairs *pairs = &samples->pairs[q];
        snprintf(group, sizeof group, "/contention/%s", calib_question_names[q]);
        if (!es_h5_has(file, group))
            continue;
        code = load_pair(file, group, "alone", pairs->alone, &pairs->count, err);
        if (code == ES_OK)
            code = load_pair(file, group, "together", pairs->together, &pairs->count, err);
    }
    return code;
}

static es_code load_environment(es_h5 *file, calib_samples *samples, es_err *err)
{
    char *text = NULL;
    es_code code = es_h5_get_text(file, "/", "environment", &text, err);
    if (code == ES_OK && (code = es_json_parse(&samples->environment, text, strlen(text), err)) != ES_OK)
        es_err_at(err, "environment");
    if (code == ES_OK && !cJSON_IsObject(samples->environment))
        code = es_err_set(err, ES_EINPUT, "environment: found %s, needs an object", es_json_kind(samples->environment));
    free(text);
    return code;
}

static es_code load_file(es_h5 *file, calib_samples *samples, es_err *err)
{
    char *schema = NULL, *names = NULL;
    if (!es_h5_has_attr(file, "/", "schema"))
        return es_err_set(err, ES_EINPUT, "has no schema; needs a file that `expertsim calibrate` wrote");
    es_code code = es_h5_get_text(file, "/", "schema", &schema, err);
    if (code == ES_OK && strcmp(schema, CALIB_SCHEMA) != 0)
        code = es_err_set(err, ES_EINPUT, "schema: \"%s\" is unknown, needs \"%s\"", schema, CALIB_SCHEMA);
    if (code == ES_OK)
        code = load_environment(file, samples, err);
    if (code == ES_OK)
        code = es_h5_get_text(file, "/", "series", &names, err);
    char *rest = NULL;
    for (char *name = code == ES_OK ? strtok_r(names, " ", &rest) : NULL; name && code == ES_OK; name = strtok_r(NULL, " ", &rest))
        code = load_series(file, name, samples, err);
    if (code == ES_OK)
        code = load_pairs(file, samples, err);
    free(schema);
    free(names);
    return code;
}

es_code calib_samples_load(calib_samples *samples, const char *path, es_err *err)
{
    *samples = (calib_samples){0};
    es_h5 *file = NULL;
    es_code code = es_h5_open(&file, path, false, err);
    if (code)
        return code;
    if ((code = load_file(file, samples, err)) != ES_OK)
        es_err_at(err, "%s", path);
    es_h5_close(file, NULL);
    return code;
}
