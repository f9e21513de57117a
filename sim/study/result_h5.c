/* Result: the file result.h5, written. See result.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/file.h"
#include "sim/base/h5.h"
#include "sim/study/result.h"

static const char *result_member(const es_json *result, const char *path)
{
    const es_json *value = es_json_at(result, path);
    return cJSON_IsString(value) ? value->valuestring : "";
}

enum {
    RESULT_MORE = 512,          /* bytes */
    RESULT_DEFLATE = 1,         /* of texts: more takes three times as long for a tenth */
    RESULT_LIKE = 256 * 1024 * 1024
};

/* Text of any length, as bytes; an attribute ends at 64 KiB. In one chunk, with room for the numbers of another result (es_result_write_like). */
static es_code result_h5_text(es_h5 *file, const char *path, const char *text, const char *long_name, es_err *err)
{
    es_h5_data *data = NULL;
    uint64_t dims[1] = {0}, length = strlen(text);
    es_code code = es_h5_data_create(&data, file, path, ES_H5_U8, 1, dims, length + RESULT_MORE, RESULT_DEFLATE, err);
    if (code)
        return code;
    code = es_h5_data_append(data, ES_H5_U8, length, text, err);
    es_h5_data_close(data);
    if (code == ES_OK)
        code = es_h5_put_text(file, path, "long_name", long_name, err);
    return code ? code : es_h5_put_text(file, path, "units", "UTF-8", err);
}

/* The settings, each on a line. */
static es_code result_sets(const es_json *result, es_text *sets, es_err *err)
{
    const es_json *one;
    cJSON_ArrayForEach(one, es_json_at(result, "provenance.input.sets")) es_text_add(sets, "%s\n", cJSON_IsString(one) ? one->valuestring : "");
    return sets->failed ? es_err_nomem(err, "the result") : ES_OK;
}

/* What the user wrote, file by file, in the order in which they were read; without settings, no `sets`. */
static es_code result_h5_input(es_h5 *file, const es_json *result, es_err *err)
{
    const es_json *input = es_json_at(result, "provenance.input"), *one;
    es_code code = es_h5_group(file, "/config/files", err);
    int i = 0;
    cJSON_ArrayForEach(one, cJSON_GetObjectItemCaseSensitive(input, "files")) {
        char path[64];
        snprintf(path, sizeof path, "/config/files/%d", i++);
        if (code == ES_OK)
            code = result_h5_text(file, path, result_member(one, "text"), "config file as it was given", err);
        if (code == ES_OK)
            code = es_h5_put_text(file, path, "path", result_member(one, "path"), err);
    }
    es_text sets = {0};
    if (code == ES_OK)
        code = result_sets(result, &sets, err);
    if (code == ES_OK && sets.length > 0)
        code = result_h5_text(file, "/config/sets", sets.at, "settings of the command line, each on a line", err);
    es_text_free(&sets);
    return code;
}

/* A copy of the machine's profile, with its sources; nothing when the config has none. */
static es_code result_h5_calibration(es_h5 *file, const es_json *result, es_err *err)
{
    const es_json *machine = es_json_at(result, "provenance.config.machine");
    es_code code = es_h5_group(file, "/calibration", err);
    if (code || !cJSON_IsObject(machine))
        return code;
    char *text = es_json_text(machine);
    code = text ? result_h5_text(file, "/calibration/machine", text, "profile of the machine, JSON", err) : es_err_nomem(err, "the result");
    free(text);
    return code;
}

static es_code result_h5_provenance(es_h5 *file, const es_json *result, es_err *err)
{
    static const struct {
        const char *name, *path;
    } texts[] = {
        {"name", "name"},
        {"version", "provenance.version"},
        {"config_sha256", "provenance.config_sha256"},
        {"trace_path", "provenance.trace.path"},
        {"trace_sha256", "provenance.trace.sha256"},
        {"contract", "contract.label"},
    };
    es_code code = ES_OK;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && code == ES_OK; i++)
        code = es_h5_put_text(file, "/", texts[i].name, result_member(result, texts[i].path), err);
    const es_json *seed = es_json_at(result, "provenance.seed"), *causal = es_json_at(result, "provenance.causal");
    const es_json *closed = es_json_at(result, "provenance.closed_loop");
    if (code == ES_OK)
        code = es_h5_put_int(file, "/", "seed", seed ? (int64_t)seed->valuedouble : 0, err);
    if (code == ES_OK)
        code = es_h5_put_int(file, "/", "causal", cJSON_IsTrue(causal), err);
    return code ? code : es_h5_put_int(file, "/", "closed_loop", cJSON_IsTrue(closed), err);
}

static es_code result_h5_volatile(es_h5 *file, const es_json *result, es_err *err)
{
    es_code code = es_h5_group(file, "/volatile", err);
    const es_json *fact;
    cJSON_ArrayForEach(fact, cJSON_GetObjectItemCaseSensitive(result, "volatile")) {
        if (code)
            break;
        code = cJSON_IsString(fact) ? es_h5_put_text(file, "/volatile", fact->string, fact->valuestring, err)
                                    : es_h5_put_real(file, "/volatile", fact->string, fact->valuedouble, err);
    }
    return code;
}

static es_code result_h5_fill(es_h5 *file, const es_json *result, es_run *run, es_err *err)
{
    char *config = es_json_text(es_json_at(result, "provenance.config")), *summary = es_result_text(result, false);
    es_code code = config && summary ? es_h5_group(file, "/config", err) : es_err_nomem(err, "the result");
    if (code == ES_OK)
        code = result_h5_provenance(file, result, err);
    if (code == ES_OK)
        code = result_h5_text(file, "/config/resolved", config, "config with every default, JSON", err);
    if (code == ES_OK)
        code = result_h5_input(file, result, err);
    if (code == ES_OK)
        code = result_h5_calibration(file, result, err);
    if (code == ES_OK)
        code = result_h5_text(file, "/summary", summary, "result.json without its volatile part", err);
    if (code == ES_OK)
        code = result_h5_volatile(file, result, err);
    if (code == ES_OK && run)
        code = es_run_save(run, file, err);
    free(config);
    free(summary);
    return code;
}

es_code es_result_write_h5(const es_json *result, es_run *run, const char *path, es_err *err)
{
    es_h5 *file = NULL;
    es_code code = es_h5_create(&file, path, err);
    if (code)
        return code;
    code = result_h5_fill(file, result, run, err);
    es_code closed = es_h5_close(file, code ? NULL : err);
    return code ? code : closed;
}

/* ---- results that differ in a few texts ---- */

static es_code like_text(es_h5 *file, const char *path, const char *text, es_err *err)
{
    es_h5_data *data = NULL;
    es_code code = es_h5_data_open(&data, file, path, err);
    if (code == ES_OK)
        code = es_h5_data_replace(data, ES_H5_U8, strlen(text), text, err);
    es_h5_data_close(data);
    return code;
}

/* What is not the same in two results of configs that differ in one option, if neither was run for itself. */
static es_code like_change(es_h5 *file, const es_json *result, es_err *err)
{
    char *config = es_json_text(es_json_at(result, "provenance.config")), *summary = es_result_text(result, false);
    es_text sets = {0};
    es_code code = config && summary ? result_sets(result, &sets, err) : es_err_nomem(err, "the result");
    if (code == ES_OK)
        code = es_h5_put_text(file, "/", "config_sha256", result_member(result, "provenance.config_sha256"), err);
    if (code == ES_OK)
        code = like_text(file, "/config/resolved", config, err);
    if (code == ES_OK && sets.length > 0)
        code = like_text(file, "/config/sets", sets.at, err);
    if (code == ES_OK)
        code = like_text(file, "/summary", summary, err);
    es_text_free(&sets);
    free(config);
    free(summary);
    return code;
}

static es_code like_copy(const es_result_like *like, const char *path, es_err *err)
{
    FILE *file = fopen(path, "wb");
    bool fine = file && fwrite(like->bytes, 1, like->length, file) == like->length;
    fine = file && fclose(file) == 0 && fine;
    return fine ? ES_OK : es_err_set(err, ES_EINPUT, "%s: cannot be written: %s", path, strerror(errno));
}

es_code es_result_write_like(es_result_like *like, const es_json *result, const char *path, es_err *err)
{
    es_h5 *file = NULL;
    if (!like->bytes) {
        es_code code = es_result_write_h5(result, NULL, path, err);
        return code ? code : es_file_load(path, RESULT_LIKE, &like->bytes, &like->length, err);
    }
    es_code code = like_copy(like, path, err);
    if (code == ES_OK)
        code = es_h5_open(&file, path, true, err);
    if (code)
        return code;
    code = like_change(file, result, err);
    es_code closed = es_h5_close(file, code ? NULL : err);
    return code ? code : closed;
}

void es_result_like_free(es_result_like *like)
{
    free(like->bytes);
    *like = (es_result_like){0};
}
