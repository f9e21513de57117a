/* Model: what the objects of a config weigh.
 *
 * Bytes come from, in this order: model.expert_bytes, model.layer_bytes or model.matrix_bytes; the shape at model.precision; the
 * trace itself. Matrices weigh what model.matrix_bytes or the shape say of them, else they are equal parts of the expert. When
 * nobody says and nothing needs to know (slots under clock none), every object weighs 1 and byte figures are left out of the
 * result. */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/reader.h"
#include "sim/study/config_inside.h"
#include "sim/study/key.h"

#define MODEL(field) offsetof(config_model, field)

const es_option config_model_options[] = {
    {.name = "name", .type = ES_OPT_TEXT, .offset = MODEL(name), .help = "Model, for reports; absent: as the shape or the trace says."},
    {.name = "shape", .type = ES_OPT_JSON, .offset = MODEL(shape), .help = "Geometry: a file of models/shapes, or its content."},
    {.name = "precision", .type = ES_OPT_TEXT, .offset = MODEL(precision), .help = "Precision of the experts, as the shape names it: \"mxfp4\", \"q4_k_m\"."},
    {.name = "expert_bytes", .type = ES_OPT_JSON, .offset = MODEL(expert_bytes), .help = "Bytes of one expert: \"12.6MiB\", a number, or a list with one per MoE layer of the trace."},
    {.name = "layer_bytes", .type = ES_OPT_JSON, .offset = MODEL(layer_bytes), .help = "Bytes of one expert by layer, as the model numbers them: a file with lines `layer bytes`, or {\"0\": bytes, ...}."},
    {.name = "matrices", .type = ES_OPT_INT, .offset = MODEL(matrices), .min = 0, .max = 8, .help = "Matrices of an expert, for contract.unit slice, equal parts where nobody says what each weighs; 0: as the shape says, else 3."},
    {.name = "matrix_bytes", .type = ES_OPT_JSON, .offset = MODEL(matrix_bytes), .help = "Bytes of each matrix of an expert, which add up to it: a list of sizes, or of lists with one per MoE layer of the trace."},
    {.name = "experts", .type = ES_OPT_INT, .offset = MODEL(experts), .min = 0, .max = 65535,
        .help = "Experts per layer, where the trace does not say; 0: as the shape says, else the highest id + 1."},
    {.name = "expert_bits", .type = ES_OPT_INT, .offset = MODEL(expert_bits), .def = 16, .min = 1, .max = 64, .unit = "bits",
        .help = "Bits of a weight at which experts weigh what is said of them; catalog.bits goes from there."},
    {0},
};

/* ---- reading ---- */

/* A file's content takes the place of its name, so that a resolved config needs no other file than the trace. */
static es_code model_embed(es_config *config, const char *name, es_json *content, const es_json **field, es_err *err)
{
    es_json *model = cJSON_GetObjectItemCaseSensitive(config->tree.root, "model");
    if (!content || !cJSON_ReplaceItemInObjectCaseSensitive(model, name, content)) {
        cJSON_Delete(content);
        return es_err_nomem(err, "the model");
    }
    *field = content;
    return ES_OK;
}

static es_code model_shape(es_config *config, es_err *err)
{
    const es_json *given = config->model.shape;
    const char *path = cJSON_IsString(given) ? given->valuestring : NULL;
    es_json *file = NULL;
    if (!given)
        return ES_OK;
    if (!path && !cJSON_IsObject(given))
        return es_err_set(err, ES_EINPUT, "found %s, needs the path of a file or an object", es_json_kind(given));
    es_code code = path ? es_json_load(&file, path, err) : ES_OK;
    if (code)
        return code;
    if ((code = es_shape_parse(&config->shape, path ? file : given, NULL, &config->arena, err)) != ES_OK) {
        if (path)
            es_err_at(err, "%s", path);
        cJSON_Delete(file);
        return code;
    }
    config->has_shape = true;
    return path ? model_embed(config, "shape", file, &config->model.shape, err) : ES_OK;
}

/* One line `layer bytes` of a file. */
static es_code model_layer_line(const char *line, es_json *into, es_err *err)
{
    char *end, *rest, key[24];
    errno = 0;
    unsigned long number = strtoul(line, &end, 10);
    long long value = strtoll(end, &rest, 10);
    if (end == line || rest == end || rest[strspn(rest, " \t")] != '\0' || value < 1 || errno || number > UINT32_MAX)
        return es_err_set(err, ES_EINPUT, "found \"%.60s\", needs `layer bytes`", line);
    snprintf(key, sizeof key, "%lu", number);
    if (cJSON_GetObjectItemCaseSensitive(into, key))
        return es_err_set(err, ES_EINPUT, "layer %lu was given before", number);
    es_json_add_int(into, key, value);
    return ES_OK;
}

static es_code model_layer_file(const char *path, es_json *into, es_err *err)
{
    es_reader *reader = NULL;
    es_code code = es_reader_open(&reader, path, err);
    if (code)
        return code;
    char *line = NULL;
    size_t length = 0;
    while ((code = es_reader_line(reader, &line, &length, err)) == ES_OK && line) {
        if (line[strspn(line, " \t")] == '\0' || *line == '#')
            continue;
        if ((code = model_layer_line(line, into, err)) != ES_OK) {
            es_err_at(err, "%s: line %llu", path, (unsigned long long)es_reader_line_number(reader));
            break;
        }
    }
    es_reader_close(reader);
    return code;
}

static es_code model_layers(es_config *config, es_err *err)
{
    const es_json *given = config->model.layer_bytes;
    if (!given || cJSON_IsObject(given))
        return ES_OK;
    if (!cJSON_IsString(given))
        return es_err_set(err, ES_EINPUT, "found %s, needs a file with lines `layer bytes` or an object {\"0\": bytes, ...}", es_json_kind(given));
    es_json *layers = cJSON_CreateObject();
    es_code code = layers ? model_layer_file(given->valuestring, layers, err) : es_err_nomem(err, "the model");
    if (code) {
        cJSON_Delete(layers);
        return code;
    }
    return model_embed(config, "layer_bytes", layers, &config->model.layer_bytes, err);
}

/* Sizes of matrices add up to that of the expert, so nothing else may give it, and say how many matrices there are. */
static es_code model_matrices(config_model *model, es_err *err)
{
    const int count = cJSON_IsArray(model->matrix_bytes) ? cJSON_GetArraySize(model->matrix_bytes) : 0;
    if (count < 1 || count > 8)
        return es_err_set(err, ES_EINPUT, "needs a list with the bytes of 1 to 8 matrices");
    if (model->expert_bytes || model->layer_bytes)
        return es_err_set(err, ES_EINPUT, "%s stands beside it; one of them must go", model->expert_bytes ? "expert_bytes" : "layer_bytes");
    if (model->matrices && model->matrices != count)
        return es_err_set(err, ES_EINPUT, "has %d entries, model.matrices is %lld", count, (long long)model->matrices);
    return ES_OK;
}

es_code config_model_read(es_config *config, es_json *echo, es_err *err)
{
    config_model *model = &config->model;
    es_code code = es_options_parse(config_model_options, model, config->top.model, NULL, &config->arena, err);
    if (code)
        return es_key_at(err, "model"), code;
    if (cJSON_IsNull(model->shape))
        model->shape = NULL;
    if (cJSON_IsNull(model->expert_bytes))
        model->expert_bytes = NULL;
    if (cJSON_IsNull(model->layer_bytes))
        model->layer_bytes = NULL;
    if (cJSON_IsNull(model->matrix_bytes))
        model->matrix_bytes = NULL;
    if (model->matrix_bytes && (code = model_matrices(model, err)) != ES_OK)
        return es_key_at(err, "model.matrix_bytes"), code;
    if (model->expert_bytes && model->layer_bytes)
        return es_err_set(err, ES_EINPUT, "model.layer_bytes: expert_bytes stands beside it; one of them must go");
    if ((code = model_shape(config, err)) != ES_OK)
        return cJSON_IsString(model->shape) ? es_err_at(err, "model.shape") : es_key_at(err, "model.shape"), code;
    if ((code = model_layers(config, err)) != ES_OK)
        return es_err_at(err, "model.layer_bytes"), code;
    es_json *out = es_json_add_object(echo, "model");
    if (!out)
        return es_err_nomem(err, "the config");
    es_options_echo(config_model_options, model, out);
    const es_shape_size *size = NULL;
    if (config->has_shape && model->precision && (code = es_shape_size_of(&config->shape, model->precision, &size, err)) != ES_OK)
        return es_key_at(err, "model.precision"), code;
    return ES_OK;
}

/* ---- bytes ---- */

es_code config_size(const es_json *value, int64_t *bytes, es_err *err)
{
    double found = 0.0;
    if (cJSON_IsString(value)) {
        es_code code = es_text_quantity(value->valuestring, ES_UNIT_BYTES, &found, err);
        if (code)
            return code;
    } else if (cJSON_IsNumber(value)) {
        found = value->valuedouble;
    } else {
        return es_err_set(err, ES_EINPUT, "found %s, needs a number of bytes or a text such as \"12.6MiB\"", es_json_kind(value));
    }
    if (!(found >= 1.0 && found <= 0x1p53))
        return es_err_set(err, ES_EINPUT, "%.15g is no size of an expert in bytes; it is 1 to 2^53", found);
    *bytes = (int64_t)(found + 0.5);
    return ES_OK;
}

/* model.expert_bytes: one for all layers, or a list. */
static es_code bytes_given(const es_json *value, const es_trace_info *info, int64_t *bytes, es_err *err)
{
    bool list = cJSON_IsArray(value);
    if (list && (uint32_t)cJSON_GetArraySize(value) != info->layers)
        return es_err_set(err, ES_EINPUT, "has %d entries, the trace has %u MoE layers", cJSON_GetArraySize(value), info->layers);
    const es_json *entry = list ? value->child : value;
    for (uint32_t layer = 0; layer < info->layers; layer++) {
        es_code code = config_size(entry, &bytes[layer], err);
        if (code && list)
            es_key_at(err, "%u", layer);
        if (code)
            return code;
        if (list)
            entry = entry->next;
    }
    return ES_OK;
}

/* model.layer_bytes: by the model's own layer numbers, of which it may know more than the trace uses. */
static es_code bytes_layers(const es_json *given, const es_trace_info *info, int64_t *bytes, es_err *err)
{
    for (uint32_t i = 0; i < info->layers; i++) {
        char key[24];
        snprintf(key, sizeof key, "%u", info->layer_number[i]);
        const es_json *value = cJSON_GetObjectItemCaseSensitive(given, key);
        if (!value)
            return es_err_set(err, ES_EINPUT, "says nothing of layer %s of the trace", key);
        es_code code = config_size(value, &bytes[i], err);
        if (code)
            return es_key_at(err, "%s", key), code;
    }
    return ES_OK;
}

/* The MoE layer of the shape that a layer of the trace is: by ordinal when both have as many, else by number, where a shape may
 * have dense layers first. */
static es_code bytes_shape_layer(const es_config *config, const es_trace_info *info, uint32_t layer, int64_t *at, es_err *err)
{
    const es_shape *shape = &config->shape;
    int64_t dense = shape->layers - shape->moe_layers, number = info->layer_number[layer];
    *at = (int64_t)info->layers == shape->moe_layers ? (int64_t)layer : number < shape->moe_layers ? number : number - dense;
    if (*at < 0 || *at >= shape->moe_layers)
        return es_err_set(err, ES_EINPUT, "%s has %lld MoE layers, the trace has a layer %u", shape->name, (long long)shape->moe_layers, info->layer_number[layer]);
    return ES_OK;
}

static es_code bytes_shape(const es_config *config, const es_trace_info *info, int64_t *bytes, es_err *err)
{
    for (uint32_t layer = 0; layer < info->layers; layer++) {
        int64_t at = 0;
        es_code code = bytes_shape_layer(config, info, layer, &at, err);
        if (code == ES_OK)
            code = es_shape_bytes(&config->shape, config->model.precision, at, &bytes[layer], err);
        if (code)
            return code;
    }
    return ES_OK;
}

/* What cannot do without bytes; left empty when nothing. */
static void bytes_needed(const es_config *config, es_text *why)
{
    for (size_t i = 0; i < config->plan.tier_count; i++) {
        const es_plan_tier *tier = &config->tiers[i];
        size_t length = tier->capacity ? strlen(tier->capacity) : 0;
        if (length && tier->capacity[length - 1] == 'B') {
            es_text_add(why, "tiers.%s.capacity is %s", tier->name, tier->capacity);
            return;
        }
    }
    if (config->plan.timed)
        es_text_add(why, "copies take time by their bytes");
}

/* Nobody said: fine when nobody needs to know. */
static es_code bytes_unknown(const es_config *config, es_err *err)
{
    es_text why = {0};
    es_code code = ES_OK;
    bytes_needed(config, &why);
    if (why.length && config->has_shape)
        code = es_err_set(err, ES_EINPUT, "model.precision: is missing; %s, and %s is known in several", why.at, config->shape.name);
    else if (why.length)
        code = es_err_set(err, ES_EINPUT,
            "model.expert_bytes: is missing; %s, and the trace does not say what an expert weighs; model.shape with model.precision would do too", why.at);
    es_text_free(&why);
    return code;
}

/* Is it the shape that says what an expert weighs? */
static bool bytes_by_shape(const es_config *config)
{
    const config_model *model = &config->model;
    return config->has_shape && model->precision && !model->expert_bytes && !model->layer_bytes && !model->matrix_bytes;
}

/* model.matrix_bytes: what each matrix weighs; an expert weighs all of them. */
static es_code bytes_matrices(es_config *config, const es_trace_info *info, int64_t *bytes, es_err *err)
{
    int64_t *matrix = ES_NEW_ARRAY(&config->arena, (size_t)cJSON_GetArraySize(config->model.matrix_bytes) * info->layers, int64_t);
    uint32_t place = 0;
    if (!matrix)
        return es_err_nomem(err, "the matrices of an expert");
    config->plan.matrix_bytes = matrix;
    for (const es_json *entry = config->model.matrix_bytes->child; entry; entry = entry->next, place++, matrix += info->layers) {
        es_code code = bytes_given(entry, info, matrix, err);
        if (code)
            return es_key_at(err, "%u", place), code;
        for (uint32_t layer = 0; layer < info->layers; layer++)
            bytes[layer] += matrix[layer];
    }
    return ES_OK;
}

/* The same of a shape that knows its matrices apart, at the precision whose experts were taken. */
static es_code bytes_shape_matrices(es_config *config, const es_trace_info *info, const es_shape_size *size, es_err *err)
{
    const es_shape *shape = &config->shape;
    int64_t *matrix = ES_NEW_ARRAY(&config->arena, (size_t)shape->matrices * info->layers, int64_t);
    if (!matrix)
        return es_err_nomem(err, "the matrices of an expert");
    config->plan.matrix_bytes = matrix;
    for (uint32_t layer = 0; layer < info->layers; layer++) {
        int64_t at = 0;
        es_code code = bytes_shape_layer(config, info, layer, &at, err);
        if (code)
            return es_key_at(err, "model.shape"), code;
        for (int64_t m = 0; m < shape->matrices; m++)
            matrix[m * info->layers + layer] = size->matrix[m * shape->moe_layers + at];
    }
    return ES_OK;
}

/* Cuts experts into their matrices. Where nobody says what these weigh they are equal parts, each rounded up to a whole byte. */
static es_code bytes_slices(es_config *config, const es_trace_info *info, int64_t *bytes, es_err *err)
{
    const config_model *model = &config->model;
    const es_shape_size *size = NULL;
    const int64_t slices = model->matrix_bytes ? cJSON_GetArraySize(model->matrix_bytes) : model->matrices ? model->matrices :
        config->has_shape ? config->shape.matrices : 3;
    config->plan.slices = (uint32_t)slices;
    if (config->plan.matrix_bytes)
        return ES_OK;
    es_code code = bytes_by_shape(config) ? es_shape_size_of(&config->shape, model->precision, &size, err) : ES_OK;
    if (code)
        return es_key_at(err, "model.precision"), code;
    if (size && size->matrix && slices == config->shape.matrices)
        return bytes_shape_matrices(config, info, size, err);
    for (uint32_t layer = 0; bytes && layer < info->layers; layer++)
        bytes[layer] += (slices - bytes[layer] % slices) % slices;
    return ES_OK;
}

/* Who says what the layers weigh; `*said` false: nobody. */
static es_code bytes_say(es_config *config, const es_trace_info *info, int64_t *bytes, bool *said, es_err *err)
{
    const config_model *model = &config->model;
    const char *key = "model.shape";
    es_code code = ES_OK;
    *said = true;
    if (model->expert_bytes) {
        key = "model.expert_bytes";
        code = bytes_given(model->expert_bytes, info, bytes, err);
    } else if (model->layer_bytes) {
        key = "model.layer_bytes";
        code = bytes_layers(model->layer_bytes, info, bytes, err);
    } else if (model->matrix_bytes) {
        key = "model.matrix_bytes";
        code = bytes_matrices(config, info, bytes, err);
    } else if (bytes_by_shape(config)) {
        code = bytes_shape(config, info, bytes, err);
    } else if (info->expert_bytes) {
        memcpy(bytes, info->expert_bytes, info->layers * sizeof *bytes);
    } else {
        *said = false;
    }
    if (code)
        es_key_at(err, "%s", key);
    return code;
}

es_code config_bytes(es_config *config, es_err *err)
{
    const es_trace_info *info = es_config_trace(config);
    int64_t *bytes = ES_NEW_ARRAY(&config->arena, info->layers, int64_t);
    if (!bytes)
        return es_err_nomem(err, "the model");
    if (config->has_shape && info->experts > config->shape.experts)
        return es_err_set(err, ES_EINPUT, "model.shape: %s has %lld experts per layer, the trace has %u", config->shape.name, (long long)config->shape.experts, info->experts);
    es_code code = bytes_say(config, info, bytes, &config->bytes_known, err);
    if (code == ES_OK && !config->bytes_known)
        code = bytes_unknown(config, err);
    if (code)
        return code;
    config->plan.expert_bytes = config->bytes_known ? bytes : NULL;
    if (config->plan.contract.unit == ES_SLICE)
        return bytes_slices(config, info, config->bytes_known ? bytes : NULL, err);
    return ES_OK;
}
