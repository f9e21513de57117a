/* JSON lines of our own, for tools that read JSON: what the trace is, then one object per token and layer, in the order of steps.
 *
 *     {"expertsim": "trace", "version": 1, "model": "...", "layers": [1, 2], "experts": 64, "top_k": 6, "guesses": 0[, "expert_bytes": [...], "dense_bytes": [...]]}
 *     {"step": 0, "request": 0, "token": 0, "phase": "P", "layer": 1, "experts": [5, 9][, "weights": [0.5, null], "residency": [0, 1], "guesses": [...], "confidence": [...]]}
 *
 * phase is P (prompt) or D (generated); a weight that is not a number is null. Other members are passed over. */
#include "sim/base/json.h"
#include "traces/asked.h"
#include "traces/log.h"

#include <math.h>
#include <string.h>

typedef struct jsonl { es_row_stream *stream; } jsonl;

typedef struct jsonl_parse {
    bool head;                          /* the first line was read */
    uint32_t top_k, guesses, layers;
    const char *model;
    uint32_t *layer;                    /* [layers] */
    int64_t *expert_bytes, *dense_bytes;
    bool weights, residency;            /* some row has them */
    uint64_t rows;
    uint16_t id[ES_TRACE_TOP_K_MAX], guess[ES_TRACE_TOP_K_MAX];
    float weight[ES_TRACE_TOP_K_MAX], confidence[ES_TRACE_TOP_K_MAX];
    float residence_read[ES_TRACE_TOP_K_MAX];
    uint8_t residence[ES_TRACE_TOP_K_MAX];
} jsonl_parse;

/* A whole number from 0 to `most`. */
static es_code jsonl_whole(const es_json *item, const char *name, double most, double *value, es_err *err)
{
    if (!cJSON_IsNumber(item) || item->valuedouble < 0 || item->valuedouble > most || item->valuedouble != floor(item->valuedouble))
        return es_err_set(err, ES_EINPUT, "%s is %s, needs a whole number from 0 to %.0f", name, item ? es_json_kind(item) : "missing", most);
    *value = item->valuedouble;
    return ES_OK;
}

static es_code jsonl_u32(const es_json *root, const char *name, uint32_t *value, es_err *err)
{
    double number = 0;
    es_code code = jsonl_whole(cJSON_GetObjectItemCaseSensitive(root, name), name, UINT32_MAX - 1.0, &number, err);
    *value = (uint32_t)number;
    return code;
}

/* How long a list is; absent: `absent`. */
static es_code jsonl_list(const es_json *root, const char *name, const es_json **list, uint32_t absent, uint32_t *count, es_err *err)
{
    *list = cJSON_GetObjectItemCaseSensitive(root, name);
    if (*list && !cJSON_IsArray(*list))
        return es_err_set(err, ES_EINPUT, "%s is %s, needs a list", name, es_json_kind(*list));
    *count = *list ? (uint32_t)cJSON_GetArraySize(*list) : absent;
    return ES_OK;
}

static es_code jsonl_ids(const es_json *root, const char *name, uint16_t *ids, uint32_t *count, es_err *err)
{
    const es_json *list, *item;
    es_code code = jsonl_list(root, name, &list, 0, count, err);
    if (!code && *count > ES_TRACE_TOP_K_MAX)
        code = es_err_set(err, ES_EINPUT, "%s has %u entries, more than %d", name, *count, ES_TRACE_TOP_K_MAX);
    uint32_t at = 0;
    if (code)
        return code;
    cJSON_ArrayForEach(item, list) {
        double id = 0;
        if ((code = jsonl_whole(item, name, ES_NO_EXPERT - 1, &id, err)) != ES_OK)
            return code;
        ids[at++] = (uint16_t)id;
    }
    return ES_OK;
}

/* Numbers that go with ids, as many as these; *there: there are any. */
static es_code jsonl_reals(const es_json *root, const char *name, float *values, uint32_t ids, bool *there, es_err *err)
{
    const es_json *list, *item;
    uint32_t count = 0, at = 0;
    es_code code = jsonl_list(root, name, &list, ids, &count, err);
    *there = list != NULL;
    if (!code && count != ids)
        code = es_err_set(err, ES_EINPUT, "%s has %u entries for %u ids", name, count, ids);
    if (code)
        return code;
    cJSON_ArrayForEach(item, list) {
        if (!cJSON_IsNumber(item) && !cJSON_IsNull(item))
            return es_err_set(err, ES_EINPUT, "%s has %s, needs numbers", name, es_json_kind(item));
        values[at++] = cJSON_IsNull(item) ? NAN : (float)item->valuedouble;
    }
    return ES_OK;
}

static es_code jsonl_sizes(const es_log *log, const es_json *root, const char *name, uint32_t layers, int64_t **bytes, es_err *err)
{
    const es_json *list, *item;
    uint32_t count = 0, at = 0;
    es_code code = jsonl_list(root, name, &list, layers, &count, err);
    if (code || !list)
        return code;
    if (count != layers)
        return es_err_set(err, ES_EINPUT, "%s has %u entries for %u layers", name, count, layers);
    *bytes = ES_NEW_ARRAY(log->arena, layers, int64_t);
    if (!*bytes)
        return es_err_nomem(err, "a trace");
    cJSON_ArrayForEach(item, list) {
        double value = 0;
        if ((code = jsonl_whole(item, name, 0x1p53, &value, err)) != ES_OK)
            return code;
        (*bytes)[at++] = (int64_t)value;
    }
    return ES_OK;
}

static es_code jsonl_head(es_log *log, const es_json *root, es_err *err)
{
    jsonl_parse *parse = log->parse;
    const es_json *list, *item;
    uint32_t version = 0, experts = 0, at = 0;
    const char *model = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "model"));
    es_code code = jsonl_u32(root, "version", &version, err);
    if (!code && version != 1)
        code = es_err_set(err, ES_EINPUT, "version is %u, not 1", version);
    if (!code)
        code = jsonl_u32(root, "experts", &experts, err);
    if (!code)
        code = jsonl_u32(root, "top_k", &parse->top_k, err);
    if (!code)
        code = jsonl_u32(root, "guesses", &parse->guesses, err);
    if (!code)
        code = jsonl_list(root, "layers", &list, 0, &parse->layers, err);
    if (!code && (parse->layers == 0 || parse->layers > ES_TRACE_LAYERS_MAX))
        code = es_err_set(err, ES_EINPUT, "layers has %u entries, needs 1 to %d", parse->layers, ES_TRACE_LAYERS_MAX);
    if (code)
        return code;
    parse->layer = ES_NEW_ARRAY(log->arena, parse->layers, uint32_t);
    parse->model = es_arena_text(log->arena, model ? model : "");
    if (!parse->layer || !parse->model)
        return es_err_nomem(err, "a trace");
    cJSON_ArrayForEach(item, list) {
        double value = 0;
        if ((code = jsonl_whole(item, "layers", 65535, &value, err)) != ES_OK)
            return code;
        parse->layer[at++] = (uint32_t)value;
    }
    parse->head = true;
    if (es_asked(log->ask, &(es_said){ .experts = experts, .layers = parse->layers, .top_k = parse->top_k }, err))
        return ES_EINPUT;
    code = jsonl_sizes(log, root, "expert_bytes", parse->layers, &parse->expert_bytes, err);
    if (!code)
        code = jsonl_sizes(log, root, "dense_bytes", parse->layers, &parse->dense_bytes, err);
    return code ? code : es_stream_expect(log->stream, experts, parse->top_k, log->ask->guesses ? parse->guesses : 0, err);
}

/* --- rows as they mostly are ---------------------------------------------------------------------------------------------------- */

enum { ROW_STEP, ROW_REQUEST, ROW_TOKEN, ROW_PHASE, ROW_LAYER, ROW_EXPERTS, ROW_WEIGHTS, ROW_RESIDENCY, ROW_GUESSES, ROW_CONFIDENCE, ROW_KEYS };

static const char *jsonl_blank(const char *p)
{
    while (*p == ' ')
        p++;
    return p;
}

/* Behind "key": *key is which; NULL: it is none of ours, or no key. */
static const char *jsonl_key(const char *p, int *key)
{
    static const char *const name[ROW_KEYS] = { "step", "request", "token", "phase", "layer", "experts", "weights", "residency", "guesses", "confidence" };
    if (*p++ != '"')
        return NULL;
    for (*key = 0; *key < ROW_KEYS; ++*key) {
        const size_t length = strlen(name[*key]);
        if (p[0] == name[*key][0] && strncmp(p, name[*key], length) == 0 && p[length] == '"') {
            p = jsonl_blank(p + length + 1);
            return *p == ':' ? jsonl_blank(p + 1) : NULL;
        }
    }
    return NULL;
}

/* The next of a list: 1 there is one, 0 the list ends, -1 neither. */
static int jsonl_item(const char **p, bool first)
{
    const char *at = jsonl_blank(*p);
    if (*at == ']') {
        *p = at + 1;
        return 0;
    }
    if (!first && *at != ',')
        return -1;
    *p = jsonl_blank(at + !first);
    return 1;
}

static const char *jsonl_fast_ids(const char *p, uint16_t *ids, uint32_t *count)
{
    int more = *p++ == '[' ? 1 : -1;
    for (*count = 0; more > 0 && (more = jsonl_item(&p, *count == 0)) > 0; ++*count) {
        uint32_t id = 0;
        p = *count < ES_TRACE_TOP_K_MAX ? es_field_u32(p, &id) : NULL;
        if (!p || id >= ES_NO_EXPERT)
            return NULL;
        ids[*count] = (uint16_t)id;
    }
    return more == 0 ? p : NULL;
}

static const char *jsonl_fast_reals(const char *p, float *values, uint32_t *count)
{
    int more = *p++ == '[' ? 1 : -1;
    for (*count = 0; more > 0 && (more = jsonl_item(&p, *count == 0)) > 0; ++*count) {
        if (*count == ES_TRACE_TOP_K_MAX)
            return NULL;
        values[*count] = NAN;
        if (strncmp(p, "null", 4) == 0)
            p += 4;
        else if ((*p < '0' || *p > '9') || !(p = es_field_f32(p, &values[*count])))
            return NULL;
    }
    return more == 0 ? p : NULL;
}

/* A row of just the members above, each once, as writers write it. False: something else, which the slow way reads or names. */
static bool jsonl_fast(jsonl_parse *parse, const char *p, es_row *row, bool there[3])
{
    uint32_t *number[] = { [ROW_STEP] = &row->step, [ROW_REQUEST] = &row->request, [ROW_TOKEN] = &row->position, [ROW_LAYER] = &row->layer };
    uint32_t met = 0, count[ROW_KEYS] = { 0 };
    if (*p++ != '{')
        return false;
    for (;;) {
        int key = 0;
        p = jsonl_key(jsonl_blank(p), &key);
        if (!p || (met >> key & 1))
            return false;
        met |= 1u << key;
        if (key == ROW_PHASE) {
            row->phase = p[0] == '"' && p[1] == 'P' ? ES_PREFILL : ES_DECODE;
            p = p[0] == '"' && (p[1] == 'P' || p[1] == 'D') && p[2] == '"' ? p + 3 : NULL;
        } else if (key <= ROW_LAYER) {
            p = es_field_u32(p, number[key]);
            if (p && *number[key] == UINT32_MAX)
                return false;
        } else if (key == ROW_EXPERTS || key == ROW_GUESSES) {
            p = jsonl_fast_ids(p, key == ROW_EXPERTS ? parse->id : parse->guess, &count[key]);
        } else {
            p = jsonl_fast_reals(p, key == ROW_WEIGHTS ? parse->weight : key == ROW_RESIDENCY ? parse->residence_read : parse->confidence, &count[key]);
        }
        p = p ? jsonl_blank(p) : NULL;
        if (!p || (*p != ',' && *p != '}'))
            return false;
        if (*p++ == '}')
            break;
    }
    row->count = count[ROW_EXPERTS];
    row->guesses = count[ROW_GUESSES];
    there[0] = met >> ROW_WEIGHTS & 1;
    there[1] = met >> ROW_RESIDENCY & 1;
    there[2] = met >> ROW_CONFIDENCE & 1;
    return *p == '\0' && (met & 0x3f) == 0x3f && (!there[0] || count[ROW_WEIGHTS] == row->count) && (!there[1] || count[ROW_RESIDENCY] == row->count) &&
           (!there[2] || count[ROW_CONFIDENCE] == row->guesses);
}

/* --- rows as they may be -------------------------------------------------------------------------------------------------------- */

static es_code jsonl_numbers(jsonl_parse *parse, const es_json *root, const es_row *row, bool there[3], es_err *err)
{
    es_code code = jsonl_reals(root, "weights", parse->weight, row->count, &there[0], err);
    if (!code)
        code = jsonl_reals(root, "residency", parse->residence_read, row->count, &there[1], err);
    return code ? code : jsonl_reals(root, "confidence", parse->confidence, row->guesses, &there[2], err);
}

/* What the lists of numbers beside the ids hold, once both are read. */
static es_code jsonl_add(es_log *log, es_row *row, const bool there[3], es_err *err)
{
    jsonl_parse *parse = log->parse;
    const bool weights = there[0], residency = there[1];
    for (uint32_t i = 0; i < row->count && residency; i++) {
        const float value = parse->residence_read[i];
        if (!(value == 0.0f || value == 1.0f || value == 2.0f))
            return es_err_set(err, ES_EINPUT, "residency %g is not 0 (miss), 1 (hit) or 2 (prefetched)", (double)value);
        parse->residence[i] = (uint8_t)value;
    }
    if (parse->rows > 0 && (weights != parse->weights || residency != parse->residency))
        return es_err_set(err, ES_EINPUT, "%s %s, unlike the rows before", weights != parse->weights ? "weights" : "residency",
            (weights != parse->weights ? weights : residency) ? "are there" : "are missing");
    if (parse->rows++ == 0) {
        parse->weights = weights;
        parse->residency = residency;
    }
    if (!log->ask->guesses)
        row->guesses = 0;
    row->weights = weights && log->ask->weights ? parse->weight : NULL;
    row->residency = residency && log->ask->residency ? parse->residence : NULL;
    row->guess_confidence = there[2] && row->guesses > 0 ? parse->confidence : NULL;
    return es_stream_add(log->stream, row, err);
}

static es_code jsonl_row(es_log *log, const es_json *root, es_err *err)
{
    jsonl_parse *parse = log->parse;
    const char *phase = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(root, "phase"));
    es_row row = { .ids = parse->id, .guess = parse->guess, .record = log->record };
    bool there[3] = { false, false, false };
    const struct { const char *name; uint32_t *value; } number[] = { { "step", &row.step }, { "request", &row.request }, { "token", &row.position }, { "layer", &row.layer } };
    es_code code = ES_OK;
    for (size_t i = 0; i < sizeof number / sizeof number[0] && !code; i++)
        code = jsonl_u32(root, number[i].name, number[i].value, err);
    if (!code && (!phase || (strcmp(phase, "P") != 0 && strcmp(phase, "D") != 0)))
        code = es_err_set(err, ES_EINPUT, "phase is %s%s%s, needs \"P\" (prompt) or \"D\" (generated)", phase ? "\"" : "", phase ? phase : "missing", phase ? "\"" : "");
    row.phase = phase && phase[0] == 'P' ? ES_PREFILL : ES_DECODE;
    if (!code)
        code = jsonl_ids(root, "experts", parse->id, &row.count, err);
    if (!code)
        code = jsonl_ids(root, "guesses", parse->guess, &row.guesses, err);
    if (!code)
        code = jsonl_numbers(parse, root, &row, there, err);
    return code ? code : jsonl_add(log, &row, there, err);
}

static es_code jsonl_line(es_log *log, char *line, size_t length, es_err *err)
{
    jsonl_parse *parse = log->parse;
    es_row row = { .ids = parse->id, .guess = parse->guess, .record = log->record };
    bool there[3];
    es_json *root = NULL;
    if (parse->head && jsonl_fast(parse, line, &row, there))
        return jsonl_add(log, &row, there, err);
    es_code code = es_json_parse(&root, line, length, err);
    if (!code && !cJSON_IsObject(root))
        code = es_err_set(err, ES_EINPUT, "is %s, needs an object", es_json_kind(root));
    if (!code)
        code = parse->head ? jsonl_row(log, root, err) : jsonl_head(log, root, err);
    cJSON_Delete(root);
    return code;
}

/* The layers of the head are those that occur; the writer sees to it. */
static es_code jsonl_about(es_log *log, es_trace_info *info, es_err *err)
{
    const jsonl_parse *parse = log->parse;
    if (info->layers != parse->layers || memcmp(info->layer_number, parse->layer, parse->layers * sizeof *parse->layer) != 0)
        return es_err_set(err, ES_EINPUT, "has rows of %u layers that are not the %u of its first line", info->layers, parse->layers);
    info->model = parse->model;
    info->expert_bytes = parse->expert_bytes;
    info->dense_bytes = parse->dense_bytes;
    info->has_weights = parse->weights;
    info->has_residency = parse->residency;
    info->guesses = parse->guesses;
    return ES_OK;
}

static const es_log_format jsonl_log = {
    .name = "jsonl", .expected = "an object with step, request, token, phase, layer and experts", .parse_bytes = sizeof(jsonl_parse), .line = jsonl_line, .about = jsonl_about,
    .rules = { .carried = true, .whole_tokens = true },
};

static es_code jsonl_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    return es_log_open(&jsonl_log, &((jsonl *)self)->stream, ask, arena, err);
}

static int jsonl_sniff(const unsigned char *head, size_t length)
{
    static const char *const begin[] = { "{\"expertsim\":\"trace\"", "{\"expertsim\": \"trace\"" };
    for (int i = 0; i < 2; i++)
        if (length >= strlen(begin[i]) && memcmp(head, begin[i], strlen(begin[i])) == 0)
            return 100;
    return 0;
}

const es_source es_source_jsonl = {
    .part = { .abi = ES_ABI, .name = "jsonl", .brief = "JSON lines: what the trace is, then one object per token and layer.", .size = sizeof(jsonl), .fini = es_stream_fini },
    .sniff = jsonl_sniff,
    .open = jsonl_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "attended positions",
};
