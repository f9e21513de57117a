/* Result: see result.h; result_h5.c writes the file of it. */
#include "sim/study/result.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sim/base/file.h"
#include "sim/base/h5.h"
#include "sim/base/sha256.h"
#include "sim/core/buffers.h"
#include "sim/study/bounds.h"
#include "sim/study/findings.h"

enum { RESULT_FILE = 256 * 1024 * 1024 };

/* ---- making it ---- */

static void result_sha256(const char *text, char hex[65])
{
    es_sha256 sha;
    es_sha256_begin(&sha);
    es_sha256_add(&sha, text, strlen(text));
    es_sha256_hex(&sha, hex);
}

es_code es_result_config_sha256(const es_json *resolved, char hex[65], es_err *err)
{
    char *text = es_json_text(resolved);
    if (!text)
        return es_err_nomem(err, "the result");
    result_sha256(text, hex);
    free(text);
    return ES_OK;
}

/* What the trace says of itself, as JSON where it is JSON. */
static es_code result_trace_origin(es_json *out, const char *provenance, es_err *err)
{
    es_json *json = NULL;
    bool some = provenance && *provenance;
    es_code code = some ? es_json_parse(&json, provenance, strlen(provenance), err) : ES_OK;
    if (!some)
        cJSON_AddNullToObject(out, "provenance");
    else if (code == ES_EINPUT)
        es_json_add_text(out, "provenance", provenance);
    else if (!cJSON_AddItemToObject(out, "provenance", json))
        cJSON_Delete(json);
    return code == ES_EINPUT ? ES_OK : code;
}

/* The experts that were recorded weigh what no precision makes of those of the run (32 bits against 2 are a factor of 16): another model's. */
static bool result_other_model(const es_trace_info *info, const es_plan *plan)
{
    double recorded = 0.0, run = 0.0;
    for (uint32_t l = 0; l < info->layers && info->expert_bytes && plan->expert_bytes; l++) {
        recorded += (double)info->expert_bytes[l];
        run += (double)plan->expert_bytes[l];
    }
    return recorded > 16.0 * run || run > 16.0 * recorded;
}

static es_code result_trace(const es_config *config, const es_plan *plan, es_json *out, es_err *err)
{
    const es_trace_info *info = es_config_trace(config);
    es_json *trace = es_json_add_object(out, "trace");
    es_json_add_text(trace, "path", es_config_trace_path(config));
    es_json_add_text(trace, "format", info->format);
    es_json_add_text(trace, "sha256", info->sha256 && *info->sha256 ? info->sha256 : NULL);
    es_json_add_text(trace, "model", info->model);
    es_json_add_int(trace, "layers", info->layers);
    es_json_add_int(trace, "experts", info->experts);
    es_json_add_int(trace, "top_k", info->top_k);
    es_json_add_int(trace, "requests", (int64_t)info->requests);
    es_json_add_int(trace, "prompt_tokens", (int64_t)info->prompt_tokens);
    es_json_add_int(trace, "decode_tokens", (int64_t)info->decode_tokens);
    es_json_add_int(trace, "accesses", (int64_t)info->accesses);
    es_json_add_int(trace, "missing_cells", (int64_t)info->missing_cells);
    if (info->buffers > 0)
        es_json_add_int(trace, "buffers", info->buffers);
    es_json_add_bool(trace, "synthetic", info->synthetic);
    es_json_add_bool(trace, "uniform", info->uniform);
    es_json_add_bool(trace, "other_model", result_other_model(info, plan));
    return result_trace_origin(trace, info->provenance, err);
}

static es_code result_provenance(const es_config *config, const es_plan *plan, bool oracle, bool closed, es_json *out, es_err *err)
{
    es_json *provenance = es_json_add_object(out, "provenance");
    es_json *copy = cJSON_Duplicate(es_config_resolved(config), true);
    char hex[65];
    if (!provenance || !copy || es_result_config_sha256(copy, hex, err) != ES_OK) {
        cJSON_Delete(copy);
        return es_err_nomem(err, "the result");
    }
    es_json_add_text(provenance, "version", ES_VERSION);
    es_json_add_int(provenance, "seed", (int64_t)plan->seed);
    es_json_add_int(provenance, "replication", (int64_t)plan->replication);
    es_json_add_bool(provenance, "causal", !oracle);
    es_json_add_bool(provenance, "closed_loop", closed);
    es_code code = result_trace(config, plan, provenance, err);
    es_json_add_text(provenance, "config_sha256", hex);
    if (!cJSON_AddItemToObject(provenance, "config", copy)) {
        cJSON_Delete(copy);
        return es_err_nomem(err, "the result");
    }
    copy = cJSON_Duplicate(es_config_input(config), true);
    if (!copy || !cJSON_AddItemToObject(provenance, "input", copy)) {
        cJSON_Delete(copy);
        return es_err_nomem(err, "the result");
    }
    return code;
}

/* Figures in bytes mean nothing when nobody knows what an expert weighs. */
static void result_blank_bytes(es_json *value)
{
    for (es_json *child = value->child, *next; child; child = next) {
        next = child->next;
        const char *name = child->string;
        size_t length = name ? strlen(name) : 0;
        bool bytes = name && strcmp(name, "slots_or_bytes") != 0 && (strstr(name, "bytes_per_") || (length >= 5 && strcmp(name + length - 5, "bytes") == 0));
        if (bytes && cJSON_IsNumber(child)) {
            child->type = (child->type & ~0xff) | cJSON_NULL;
            child->valueint = 0;
            child->valuedouble = 0.0;
        } else {
            result_blank_bytes(child);
        }
    }
}

static es_code result_contract(const es_config *config, es_json *out, es_err *err)
{
    const es_json *resolved = cJSON_GetObjectItemCaseSensitive(es_config_resolved(config), "contract");
    es_text label = {0};
    es_config_contract_label(resolved, &label);
    es_json *contract = es_json_add_object(out, "contract");
    es_json_add_text(contract, "label", label.at);
    bool whole = contract && !label.failed;
    es_text_free(&label);
    return whole ? es_json_merge(contract, resolved, err) : es_err_nomem(err, "the result");
}

/* Pools may be more than the capacity they are cut from (min_pool), or hold more than they are (as coded): then it bounds nothing. */
static bool result_overcommits(const es_json *out)
{
    const es_json *tier;
    cJSON_ArrayForEach(tier, cJSON_GetObjectItemCaseSensitive(out, "tiers")) {
        const es_json *cut = es_json_at(tier, "allocator.configured_bytes"), *room = es_json_at(tier, "capacity"), *peak = es_json_at(tier, "peak");
        if (cut && room && peak && (room->valuedouble > cut->valuedouble || peak->valuedouble > cut->valuedouble))
            return true;
    }
    return false;
}

static es_code result_bounds(const es_config *config, const es_plan *plan, bool closed, const es_progress *progress, es_json *out, es_err *err)
{
    const bool over = result_overcommits(out);
    const char *why = closed ? "the router decides by what is resident; what was recorded bounds nothing"
        : plan->stream       ? "the run streams; bounds need the whole trace"
        : over               ? "the pools hold more than the capacity that they are cut from, so that bounds nothing"
                             : "bounds are off";
    return es_bounds_add(plan, es_config_bounds(config) && !closed && !over, why, progress, out, err);
}

/* Runs and reports; a fault that an observer found (ES_ECHECK) does not keep the rest from being reported. */
static es_code result_report(es_config *config, const es_plan *plan, const es_progress *progress, es_run **kept, es_json *out, es_err *err)
{
    es_run *run = NULL;
    es_code fault = ES_OK;
    es_err found = {0};
    es_code code = es_run_new(&run, plan, err);
    if (code == ES_OK)
        code = es_run_go(run, progress, err);
    if (code == ES_OK) {
        fault = es_run_report(run, out, &found);
        code = fault == ES_ECHECK ? ES_OK : fault;
    }
    bool oracle = run && es_run_oracle(run), closed = run && es_run_closed_loop(run);
    if (kept && code == ES_OK)
        *kept = run;
    else
        es_run_free(run);
    if (code == ES_OK && !es_config_bytes_known(config)) {
        result_blank_bytes(out);
        es_json_add_text(out, "bytes_reason", "neither trace nor config says what an expert weighs; see model.shape and model.expert_bytes");
    }
    if (code == ES_OK)
        code = result_bounds(config, plan, closed, progress, out, err);
    if (code == ES_OK)
        code = result_contract(config, out, err);
    if (code == ES_OK)
        code = result_provenance(config, plan, oracle, closed, out, err);
    if (fault) {
        if (err)
            *err = found;
        return fault;
    }
    return code;
}

/* A trace of buffers: no experts, so no bounds and no contract. */
static es_code result_buffers(es_config *config, const es_plan *plan, const es_progress *progress, es_json *out, es_err *err)
{
    es_code code = es_buffers_run(plan, progress, out, err);
    if (code == ES_OK)
        es_findings_buffers(out);
    return code ? code : result_provenance(config, plan, false, false, out, err);
}

es_code es_result_run(es_config *config, const es_progress *progress, es_run **kept, es_json **out, es_err *err)
{
    if (kept)
        *kept = NULL;
    const es_plan *plan = NULL;
    *out = NULL;
    es_code code = es_config_plan(config, &plan, err);
    if (code)
        return code;
    es_json *result = cJSON_CreateObject();
    if (!result)
        return es_err_nomem(err, "the result");
    es_json_add_text(result, "name", es_config_name(config));
    es_json_add_text(result, "brief", es_config_brief(config));
    es_json_add_text(result, "clock", plan->timed ? "simulated" : "none");
    code = plan->buffers ? result_buffers(config, plan, progress, result, err) : result_report(config, plan, progress, kept, result, err);
    if (code && code != ES_ECHECK) {
        es_config_blame(config, err);
        cJSON_Delete(result);
        return code;
    }
    *out = result;
    return code;
}

void es_result_add_volatile(es_json *result, double wall_s)
{
    es_json *facts = es_json_add_object(result, "volatile");
    time_t now = time(NULL);
    struct tm utc;
    char text[1024];
    if (gmtime_r(&now, &utc) && strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc))
        es_json_add_text(facts, "date", text);
    if (gethostname(text, sizeof text) == 0) {
        text[sizeof text - 1] = '\0';
        es_json_add_text(facts, "host", text);
    }
    if (getcwd(text, sizeof text))
        es_json_add_text(facts, "directory", text);
    es_json_add_real(facts, "wall_s", wall_s);
}

char *es_result_text(const es_json *result, bool with_volatile)
{
    return es_json_text_but(result, with_volatile ? NULL : "volatile");
}

/* ---- keeping it ---- */

/* The library closes a file without waiting for the disk; a name must not lead to what a lost machine never wrote. */
static es_code result_flush(const char *path, es_err *err)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    bool fine = file >= 0 && fsync(file) == 0;
    int why = errno;
    if (file >= 0)
        close(file);
    return fine ? ES_OK : es_err_set(err, ES_EINPUT, "%s: cannot be written: %s", path, strerror(why));
}

/* Written beside its place and renamed, so that a reader sees all of it or none. */
static es_code result_h5(const es_json *result, es_run *run, const char *path, const char *temporary, es_err *err)
{
    es_code code = es_result_write_h5(result, run, temporary, err);
    if (code == ES_OK)
        code = result_flush(temporary, err);
    if (code == ES_OK && rename(temporary, path) != 0)
        code = es_err_set(err, ES_EINPUT, "%s: cannot be replaced: %s", path, strerror(errno));
    if (code)
        unlink(temporary);
    return code;
}

es_code es_result_save(const es_json *result, es_run *run, const char *dir, es_err *err)
{
    es_text json = {0}, h5 = {0}, temporary = {0};
    es_text_add(&json, "%s/result.json", dir);
    es_text_add(&h5, "%s/result.h5", dir);
    es_text_add(&temporary, "%s/result.h5.tmp", dir);
    char *text = es_json_text(result);
    es_code code = text && !json.failed && !h5.failed && !temporary.failed ? es_file_make_dirs(dir, err) : es_err_nomem(err, "the result");
    if (code == ES_OK)
        code = result_h5(result, run, h5.at, temporary.at, err);
    if (code == ES_OK)
        code = es_file_save(json.at, text, strlen(text), err);
    if (code && h5.at)
        unlink(h5.at);                  /* both or none */
    free(text);
    es_text_free(&json);
    es_text_free(&h5);
    es_text_free(&temporary);
    return code;
}

/* ---- reading it back ---- */

#define RESULT_NEEDED "needs a result.json or result.h5 that `expertsim run --out DIR` wrote"

/* A text of result_h5_text that is JSON. */
static es_code result_h5_json(es_h5 *file, const char *path, const char *name, es_json **out, es_err *err)
{
    char *text = NULL;
    uint64_t length;
    es_code code = es_h5_load_text(file, path, RESULT_FILE, &text, &length, err);
    if (code == ES_OK && (code = es_json_parse(out, text, length, err)) != ES_OK)
        es_err_at(err, "%s: %s", name, path);
    free(text);
    return code;
}

es_code es_result_load(const char *path, es_json **out, es_err *err)
{
    es_h5 *file = NULL;
    *out = NULL;
    es_code code = es_h5_open(&file, path, false, err);
    if (code)
        return code;
    code = es_h5_has(file, "/summary") ? result_h5_json(file, "/summary", path, out, err)
                                       : es_err_set(err, ES_EINPUT, "%s: /summary: is missing; " RESULT_NEEDED, path);
    es_h5_close(file, NULL);
    return code;
}

static es_json *result_take_input(es_json *result)
{
    return cJSON_DetachItemFromObjectCaseSensitive(cJSON_GetObjectItemCaseSensitive(result, "provenance"), "input");
}

static es_code result_from_h5(const char *path, es_json **config, es_json **input, char **dir, es_err *err)
{
    es_h5 *file = NULL;
    es_json *summary = NULL;
    es_code code = es_h5_open(&file, path, false, err);
    if (code)
        return code;
    if (es_h5_has(file, "/config/resolved"))
        code = result_h5_json(file, "/config/resolved", path, config, err);
    else
        code = es_err_set(err, ES_EINPUT, "%s: /config/resolved: is missing; " RESULT_NEEDED, path);
    if (code == ES_OK && es_h5_has(file, "/summary") && (code = result_h5_json(file, "/summary", path, &summary, err)) == ES_OK)
        *input = result_take_input(summary);
    if (code == ES_OK && es_h5_has_attr(file, "/volatile", "directory"))
        es_h5_get_text(file, "/volatile", "directory", dir, NULL);
    cJSON_Delete(summary);
    es_h5_close(file, NULL);
    return code;
}

static es_code result_from_json(const char *path, es_json **config, es_json **input, char **dir, es_err *err)
{
    es_json *result = NULL;
    es_code code = es_json_load(&result, path, err);
    if (code)
        return code;
    es_json *provenance = cJSON_GetObjectItemCaseSensitive(result, "provenance");
    *config = cJSON_DetachItemFromObjectCaseSensitive(provenance, "config");
    *input = result_take_input(result);
    if (!*config)
        code = es_err_set(err, ES_EINPUT, "%s: provenance.config: is missing; " RESULT_NEEDED, path);
    const char *where = cJSON_GetStringValue(es_json_at(result, "volatile.directory"));
    if (code == ES_OK && where && *where)
        *dir = strdup(where);
    cJSON_Delete(result);
    return code;
}

es_code es_result_config(const char *path, es_json **config, es_json **input, char **dir, es_err *err)
{
    *config = *input = NULL;
    *dir = NULL;
    return es_h5_is(path) ? result_from_h5(path, config, input, dir, err) : result_from_json(path, config, input, dir, err);
}

/* A path that was relative where the result was made. */
static const char *result_found(const char *path, const char *dir, es_text *joined)
{
    if (!path || *path == '/' || !dir || access(path, R_OK) == 0)
        return NULL;
    es_text_add(joined, "trace.path=%s/%s", dir, path);
    return joined->failed ? NULL : joined->at;
}

es_code es_result_bounds(const char *path, es_json **bounds, es_err *err)
{
    es_json *tree = NULL, *input = NULL, *out = cJSON_CreateObject();
    es_config *config = NULL;
    const es_plan *plan = NULL;
    char *dir = NULL;
    es_text joined = {0};
    *bounds = NULL;
    es_code code = out ? es_result_config(path, &tree, &input, &dir, err) : es_err_nomem(err, "the bounds");
    const char *set = code == ES_OK ? result_found(cJSON_GetStringValue(es_json_at(tree, "trace.path")), dir, &joined) : NULL;
    if (code == ES_OK)
        code = es_config_from(&config, tree, path, &set, set != NULL, err);
    if (code == ES_OK)
        code = es_config_plan(config, &plan, err);
    if (code == ES_OK)
        code = es_bounds_add(plan, true, NULL, NULL, out, err);
    if (code == ES_OK)
        *bounds = cJSON_DetachItemFromObjectCaseSensitive(out, "bounds");
    es_config_free(config);
    es_text_free(&joined);
    free(dir);
    cJSON_Delete(out);
    cJSON_Delete(tree);
    cJSON_Delete(input);
    return code;
}
