/* Actions: see actions.h. */
#include "sim/study/actions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/json.h"
#include "sim/base/reader.h"

enum { ACTIONS_PAGE = 4096, ACTIONS_MOST = 1 << 24 };

/* ---- one row ---- */

static es_code row_number(const es_json *line, const char *key, double least, double most, double *out, es_err *err)
{
    const es_json *value = cJSON_GetObjectItemCaseSensitive(line, key);
    if (!cJSON_IsNumber(value) || value->valuedouble != floor(value->valuedouble) || value->valuedouble < least || value->valuedouble > most)
        return es_err_set(err, ES_EINPUT, "%s: found %s%s, needs a whole number from %.0f to %.0f", key, value ? "" : "nothing", value ? es_json_kind(value) : "", least, most);
    *out = value->valuedouble;
    return ES_OK;
}

static es_code row_names(const es_json *line, es_action *row, es_err *err)
{
    static const char *const places[] = {"device", "host", "disk"};
    const es_json *op = cJSON_GetObjectItemCaseSensitive(line, "op"), *place = cJSON_GetObjectItemCaseSensitive(line, "place");
    row->op = ES_ACTIONS;
    for (uint8_t i = 0; cJSON_IsString(op) && i < ES_ACTIONS; i++)
        if (strcmp(op->valuestring, es_action_names[i]) == 0)
            row->op = i;
    if (row->op == ES_ACTIONS)
        return es_err_set(err, ES_EINPUT, "op: \"%s\" is none of disk_read, disk_write, h2d, d2h, d2d, h2h, gemm, alloc and free", cJSON_IsString(op) ? op->valuestring : "");
    row->place = row->op < ES_ACTION_QUEUES ? (uint8_t)es_action_ways[row->op].to : ES_PLACES;
    for (uint8_t i = 0; row->op >= ES_ACTION_QUEUES && cJSON_IsString(place) && i < ES_PLACES; i++)
        if (strcmp(place->valuestring, places[i]) == 0)
            row->place = i;
    return row->place < ES_PLACES ? ES_OK : es_err_set(err, ES_EINPUT, "place: needs one of device, host and disk");
}

static es_code row_after(const es_json *line, size_t id, es_action *row, es_err *err)
{
    const es_json *after = cJSON_GetObjectItemCaseSensitive(line, "after"), *one;
    if (!cJSON_IsArray(after) || cJSON_GetArraySize(after) > ES_ACTION_AFTER)
        return es_err_set(err, ES_EINPUT, "after: needs a list of at most %d ids", ES_ACTION_AFTER);
    cJSON_ArrayForEach(one, after) {
        if (!cJSON_IsNumber(one) || !(one->valuedouble >= 0 && one->valuedouble < (double)id))
            return es_err_set(err, ES_EINPUT, "after: %.17g is not below %zu, the row's own id", cJSON_IsNumber(one) ? one->valuedouble : (double)NAN, id);
        row->after[row->afters++] = (uint32_t)one->valuedouble;
    }
    return ES_OK;
}

static es_code row_read(const es_json *line, size_t id, es_action *row, es_err *err)
{
    struct { const char *key; double least, most, value; bool wanted; } number[] = {
        {"id", (double)id, (double)id, 0, true}, {"step", -1, 0x1p53, 0, true}, {"layer", 0, UINT32_MAX, 0, true}, {"expert", 0, UINT32_MAX, 0, true},
        {"slot", 0, ACTIONS_MOST, 0, true}, {"bytes", 1, 0x1p50, 0, true}, {"source", 0, ACTIONS_MOST, 0, false}, {"tokens", 1, UINT32_MAX, 0, false},
    };
    es_code code = row_names(line, row, err);
    number[6].wanted = row->op < ES_ACTION_GEMM;
    number[7].wanted = row->op == ES_ACTION_GEMM;
    for (size_t i = 0; i < sizeof number / sizeof *number && code == ES_OK; i++)
        if (number[i].wanted)
            code = row_number(line, number[i].key, number[i].least, number[i].most, &number[i].value, err);
    if (code)
        return code;
    row->step = (int64_t)number[1].value;
    row->layer = (uint32_t)number[2].value;
    row->expert = (uint32_t)number[3].value;
    row->slot = (uint32_t)number[4].value;
    row->bytes = (int64_t)number[5].value;
    row->source = (uint32_t)number[6].value;
    row->tokens = (uint32_t)number[7].value;
    return row_after(line, id, row, err);
}

/* ---- the log ---- */

static void log_slot(es_actions *log, int place, uint32_t slot, int64_t bytes)
{
    if (slot >= log->slots[place])
        log->slots[place] = slot + 1;
    if (bytes > log->most[place])
        log->most[place] = bytes;
}

static es_code log_add(es_actions *log, const es_action *row, es_err *err)
{
    if (log->count == ACTIONS_MOST)
        return es_err_set(err, ES_EINPUT, "has more than %d rows; a shorter trace will do: trace.source, contract", ACTIONS_MOST);
    if (log->count && row->step < log->at[log->count - 1].step)
        return es_err_set(err, ES_EINPUT, "step: %lld is below %lld, the step before; steps ascend", (long long)row->step, (long long)log->at[log->count - 1].step);
    if (log->count == log->room) {
        size_t room = log->room ? 2 * log->room : 1024;
        es_action *more = realloc(log->at, room * sizeof *more);
        if (!more)
            return es_err_nomem(err, "an action log");
        log->at = more;
        log->room = room;
    }
    log->at[log->count++] = *row;
    log_slot(log, row->place, row->slot, row->bytes);
    if (row->op < ES_ACTION_GEMM)
        log_slot(log, es_action_ways[row->op].from, row->source, row->bytes);
    log->steps = row->step + 1;
    return ES_OK;
}

/* What lies in a slot, as a number that no other expert has: layer and expert. */
static uint64_t expert_name(const es_action *row)
{
    return (uint64_t)row->layer << 32 | row->expert;
}

/* Follows every expert through the slots: a gemm must read the one it names. The source of a first copy holds what is taken from it. */
static es_code log_follow(const es_actions *log, es_err *err)
{
    uint64_t *in[ES_PLACES] = {NULL};
    es_code code = ES_OK;
    for (int p = 0; p < ES_PLACES; p++) {
        in[p] = malloc((log->slots[p] + 1) * sizeof *in[p]);
        if (!in[p])
            code = es_err_nomem(err, "the slots of an action log");
        else
            memset(in[p], 0xff, (log->slots[p] + 1) * sizeof *in[p]);
    }
    for (size_t i = 0; i < log->count && code == ES_OK; i++) {
        const es_action *row = &log->at[i];
        if (row->op >= ES_ACTION_QUEUES)
            continue;
        uint64_t *from = row->op == ES_ACTION_GEMM ? &in[ES_PLACE_DEVICE][row->slot] : &in[es_action_ways[row->op].from][row->source];
        if (*from == UINT64_MAX && row->op != ES_ACTION_GEMM)
            *from = expert_name(row);
        if ((uint32_t)*from != row->expert)
            code = es_err_set(err, ES_EINPUT, "row %zu: %s of expert %u of layer %u from a slot that holds %s", i, es_action_names[row->op], row->expert, row->layer,
                *from == UINT64_MAX ? "nothing" : "another expert");
        in[row->place][row->slot] = *from;
    }
    for (int p = 0; p < ES_PLACES; p++)
        free(in[p]);
    return code;
}

static es_code log_line(es_actions *log, const char *text, size_t length, bool first, es_err *err)
{
    es_json *line = NULL;
    es_action row = {0};
    es_code code = es_json_parse(&line, text, length, err);
    if (code == ES_OK && first) {
        const es_json *schema = cJSON_GetObjectItemCaseSensitive(line, "schema");
        if (!cJSON_IsString(schema) || strcmp(schema->valuestring, "actions/1") != 0)
            code = es_err_set(err, ES_EINPUT, "schema: \"%s\" is unknown, needs \"actions/1\"", cJSON_IsString(schema) ? schema->valuestring : "");
    } else if (code == ES_OK) {
        code = row_read(line, log->count, &row, err);
        if (code == ES_OK)
            code = log_add(log, &row, err);
    }
    cJSON_Delete(line);
    return code;
}

es_code es_actions_load(es_actions *log, const char *path, es_err *err)
{
    es_reader *reader = NULL;
    char *text = NULL;
    size_t length = 0;
    *log = (es_actions){0};
    es_code code = es_reader_open(&reader, path, err);
    if (code)
        return code;
    for (bool first = true;; first = false) {
        code = es_reader_line(reader, &text, &length, err);
        if (code || !text)
            break;
        if ((code = log_line(log, text, length, first, err)) != ES_OK) {
            es_err_at(err, "%s: line %llu", path, (unsigned long long)es_reader_line_number(reader));
            break;
        }
    }
    es_reader_close(reader);
    if (code == ES_OK && log->count == 0)
        code = es_err_set(err, ES_EINPUT, "%s: has no row", path);
    if (code == ES_OK && (code = log_follow(log, err)) != ES_OK)
        es_err_at(err, "%s", path);
    return code;
}

void es_actions_free(es_actions *log)
{
    free(log->at);
    *log = (es_actions){0};
}

void es_actions_scale(es_actions *log, double factor)
{
    for (size_t i = 0; i < log->count; i++)
        log->at[i].bytes = (int64_t)ceil((double)log->at[i].bytes * factor / ACTIONS_PAGE) * ACTIONS_PAGE;
    for (int p = 0; p < ES_PLACES; p++)
        log->most[p] = (int64_t)ceil((double)log->most[p] * factor / ACTIONS_PAGE) * ACTIONS_PAGE;
}
