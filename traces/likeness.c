/* Likeness: its arrays, and as JSON. */
#include "traces/likeness.h"

#include <math.h>
#include <string.h>

static const char likeness_format[] = "expertsim-likeness";

es_code es_likeness_make(es_likeness *like, es_arena *arena, es_err *err)
{
    const size_t cells = (size_t)like->layers * like->experts;
    like->popularity = ES_NEW_ARRAY(arena, cells, double);
    like->threshold = ES_NEW_ARRAY(arena, cells, double);
    like->loading = ES_NEW_ARRAY(arena, like->factors * cells, float);
    like->factor_memory = ES_NEW_ARRAY(arena, (size_t)like->factors * ES_LIKE_SPANS, double);
    like->own_memory = ES_NEW_ARRAY(arena, (size_t)like->layers * ES_LIKE_SPANS, double);
    like->hold = ES_NEW_ARRAY(arena, like->layers, double);
    like->weight_gap = ES_NEW_ARRAY(arena, (size_t)like->layers * like->top_k, double);
    like->weight_sum = ES_NEW_ARRAY(arena, like->layers, double);
    like->length = ES_NEW_ARRAY(arena, like->lengths, es_like_length);
    return like->popularity && like->threshold && like->loading && like->factor_memory && like->own_memory && like->hold && like->weight_gap && like->weight_sum && like->length
        ? ES_OK : es_err_nomem(err, "a likeness");
}

/* --- writing -------------------------------------------------------------------------------------------------------------------- */

/* Four digits behind the point: errors of the estimates are greater. */
static es_json *likeness_reals(const double *at, size_t count)
{
    es_json *list = cJSON_CreateArray();
    for (size_t i = 0; i < count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber(round(at[i] * 1e4) / 1e4));
    return list;
}

static es_json *likeness_table(const double *at, size_t rows, size_t columns)
{
    es_json *list = cJSON_CreateArray();
    for (size_t i = 0; i < rows; i++)
        cJSON_AddItemToArray(list, likeness_reals(at + i * columns, columns));
    return list;
}

static es_json *likeness_factor(const es_likeness *like, uint32_t f)
{
    const size_t cells = (size_t)like->layers * like->experts;
    es_json *factor = cJSON_CreateObject(), *loading = es_json_add_array(factor, "loading");
    cJSON_AddItemToObject(factor, "memory", likeness_reals(like->factor_memory + (size_t)f * ES_LIKE_SPANS, ES_LIKE_SPANS));
    for (uint32_t l = 0; l < like->layers; l++) {
        es_json *row = cJSON_CreateArray();
        for (uint32_t e = 0; e < like->experts; e++)
            cJSON_AddItemToArray(row, cJSON_CreateNumber(round((double)like->loading[f * cells + (size_t)l * like->experts + e] * 1e4) / 1e4));
        cJSON_AddItemToArray(loading, row);
    }
    return factor;
}

static void likeness_bytes(es_json *out, const char *key, const int64_t *bytes, uint32_t layers)
{
    es_json *list = bytes ? es_json_add_array(out, key) : NULL;
    for (uint32_t l = 0; list && l < layers; l++)
        cJSON_AddItemToArray(list, cJSON_CreateNumber((double)bytes[l]));
}

bool es_likeness_write(const es_likeness *like, es_json *out)
{
    es_json_add_text(out, "format", likeness_format);
    es_json_add_int(out, "version", 1);
    es_json_add_text(out, "model", like->model ? like->model : "");
    es_json *layers = es_json_add_array(out, "layers"), *spans = es_json_add_array(out, "spans_tokens"), *requests = es_json_add_array(out, "requests");
    for (uint32_t l = 0; l < like->layers; l++)
        cJSON_AddItemToArray(layers, cJSON_CreateNumber(like->layer_number[l]));
    es_json_add_int(out, "experts", like->experts);
    es_json_add_int(out, "top_k", like->top_k);
    likeness_bytes(out, "expert_bytes", like->expert_bytes, like->layers);
    likeness_bytes(out, "dense_bytes", like->dense_bytes, like->layers);
    for (uint32_t s = 0; s < ES_LIKE_SPANS; s++)
        cJSON_AddItemToArray(spans, isfinite(es_like_span[s]) ? cJSON_CreateNumber(es_like_span[s]) : cJSON_CreateNull());
    for (uint32_t i = 0; i < like->lengths; i++)
        cJSON_AddItemToArray(requests, cJSON_CreateIntArray((const int[]){(int)like->length[i].prompt, (int)like->length[i].decode}, 2));
    cJSON_AddItemToObject(out, "popularity", likeness_table(like->popularity, like->layers, like->experts));
    cJSON_AddItemToObject(out, "threshold", likeness_table(like->threshold, like->layers, like->experts));
    cJSON_AddItemToObject(out, "own_memory", likeness_table(like->own_memory, like->layers, ES_LIKE_SPANS));
    if (like->hold[0] > 0.0)
        cJSON_AddItemToObject(out, "hold", likeness_reals(like->hold, like->layers));
    if (like->weight_sum) {
        cJSON_AddItemToObject(out, "weight_gap", likeness_table(like->weight_gap, like->layers, like->top_k));
        cJSON_AddItemToObject(out, "weight_sum", likeness_reals(like->weight_sum, like->layers));
    }
    es_json *factors = es_json_add_array(out, "factors");
    for (uint32_t f = 0; f < like->factors; f++)
        cJSON_AddItemToArray(factors, likeness_factor(like, f));
    return factors != NULL;
}

/* --- reading -------------------------------------------------------------------------------------------------------------------- */

static es_code likeness_list(const es_json *list, const char *key, size_t count, double low, double high, double *to, es_err *err)
{
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != (int)count)
        return es_err_set(err, ES_EINPUT, "%s: found %s, needs a list of %zu numbers", key, list ? es_json_kind(list) : "nothing", count);
    const es_json *item;
    cJSON_ArrayForEach(item, list) {
        if (!cJSON_IsNumber(item) || !(item->valuedouble >= low && item->valuedouble <= high))
            return es_err_set(err, ES_EINPUT, "%s: found %s, needs numbers from %g to %g", key, cJSON_IsNumber(item) ? "a number beyond" : es_json_kind(item), low, high);
        *to++ = item->valuedouble;
    }
    return ES_OK;
}

static es_code likeness_rows(const es_json *from, const char *key, size_t rows, size_t columns, double low, double high, double *to, es_err *err)
{
    const es_json *list = cJSON_GetObjectItemCaseSensitive(from, key), *row;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != (int)rows)
        return es_err_set(err, ES_EINPUT, "%s: found %s, needs a list of %zu lists, one per layer", key, list ? es_json_kind(list) : "nothing", rows);
    es_code code = ES_OK;
    cJSON_ArrayForEach(row, list) {
        code = code ? code : likeness_list(row, key, columns, low, high, to, err);
        to += columns;
    }
    return code;
}

static es_code likeness_whole(const es_json *from, const char *key, double most, uint32_t *to, es_err *err)
{
    const es_json *item = cJSON_GetObjectItemCaseSensitive(from, key);
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 1.0 && item->valuedouble <= most && item->valuedouble == floor(item->valuedouble)))
        return es_err_set(err, ES_EINPUT, "%s: found %s, needs a whole number from 1 to %g", key, item ? es_json_kind(item) : "nothing", most);
    *to = (uint32_t)item->valuedouble;
    return ES_OK;
}

/* Layer numbers ascend; bytes are what a config may say. */
static es_code likeness_layers(es_likeness *like, const es_json *from, es_arena *arena, es_err *err)
{
    const es_json *layers = cJSON_GetObjectItemCaseSensitive(from, "layers"), *item;
    const int count = cJSON_IsArray(layers) ? cJSON_GetArraySize(layers) : 0;
    if (count < 1 || count > ES_TRACE_LAYERS_MAX)
        return es_err_set(err, ES_EINPUT, "layers: needs a list of 1 to %d layer numbers", ES_TRACE_LAYERS_MAX);
    uint32_t *number = ES_NEW_ARRAY(arena, count, uint32_t);
    like->layers = 0;
    like->layer_number = number;
    cJSON_ArrayForEach(item, layers) {
        if (!number || !cJSON_IsNumber(item) || !(item->valuedouble >= 0.0 && item->valuedouble <= 4294967294.0)
            || (like->layers > 0 && !(item->valuedouble > number[like->layers - 1])))
            return number ? es_err_set(err, ES_EINPUT, "layers: needs whole numbers that ascend") : es_err_nomem(err, "a likeness");
        number[like->layers++] = (uint32_t)item->valuedouble;
    }
    const char *const keys[] = { "expert_bytes", "dense_bytes" };
    const int64_t **const to[] = { &like->expert_bytes, &like->dense_bytes };
    for (int i = 0; i < 2; i++) {
        const es_json *list = cJSON_GetObjectItemCaseSensitive(from, keys[i]);
        double *real = list ? ES_NEW_ARRAY(arena, count, double) : NULL;
        int64_t *bytes = list ? ES_NEW_ARRAY(arena, count, int64_t) : NULL;
        es_code code = !list ? ES_OK : real && bytes ? likeness_list(list, keys[i], (size_t)count, 0.0, 1e15, real, err) : es_err_nomem(err, "a likeness");
        for (int l = 0; list && code == ES_OK && l < count; l++)
            bytes[l] = (int64_t)real[l];
        if (code)
            return code;
        *to[i] = bytes;
    }
    return ES_OK;
}

static es_code likeness_lengths(es_likeness *like, const es_json *from, es_err *err)
{
    const es_json *list = cJSON_GetObjectItemCaseSensitive(from, "requests"), *item;
    uint32_t i = 0;
    cJSON_ArrayForEach(item, list) {
        double pair[2];
        es_code code = likeness_list(item, "requests", 2, 0.0, 1e9, pair, err);
        if (code == ES_OK && !(pair[0] + pair[1] >= 1.0))
            code = es_err_set(err, ES_EINPUT, "requests: a request of no token");
        if (code)
            return code;
        like->length[i++] = (es_like_length){ (uint32_t)pair[0], (uint32_t)pair[1] };
    }
    return ES_OK;
}

static es_code likeness_factors(es_likeness *like, const es_json *list, es_arena *arena, es_err *err)
{
    const size_t cells = (size_t)like->layers * like->experts;
    double *loading = ES_NEW_ARRAY(arena, cells, double);
    const es_json *factor;
    uint32_t f = 0;
    es_code code = loading ? ES_OK : es_err_nomem(err, "a likeness");
    cJSON_ArrayForEach(factor, list) {
        if (code == ES_OK)
            code = likeness_list(cJSON_GetObjectItemCaseSensitive(factor, "memory"), "factors.memory", ES_LIKE_SPANS, 0.0, 1.0,
                like->factor_memory + (size_t)f * ES_LIKE_SPANS, err);
        if (code == ES_OK)
            code = likeness_rows(factor, "loading", like->layers, like->experts, -1.0, 1.0, loading, err);
        for (size_t i = 0; i < cells && code == ES_OK; i++)
            like->loading[f * cells + i] = (float)loading[i];
        f++;
    }
    return code;
}

es_code es_likeness_read(es_likeness *like, const es_json *from, es_arena *arena, es_err *err)
{
    const es_json *format = cJSON_GetObjectItemCaseSensitive(from, "format"), *version = cJSON_GetObjectItemCaseSensitive(from, "version");
    const es_json *factors = cJSON_GetObjectItemCaseSensitive(from, "factors"), *requests = cJSON_GetObjectItemCaseSensitive(from, "requests");
    *like = (es_likeness){0};
    if (!cJSON_IsString(format) || strcmp(format->valuestring, likeness_format) != 0 || !cJSON_IsNumber(version) || version->valuedouble != 1.0)
        return es_err_set(err, ES_EINPUT, "is not what `expertsim trace fit` writes: format \"%s\", version 1", likeness_format);
    es_code code = likeness_layers(like, from, arena, err);
    if (code == ES_OK)
        code = likeness_whole(from, "experts", ES_TRACE_EXPERTS_MAX, &like->experts, err);
    if (code == ES_OK)
        code = likeness_whole(from, "top_k", fmin(ES_TRACE_TOP_K_MAX, like->experts), &like->top_k, err);
    if (code)
        return code;
    if (!cJSON_IsArray(factors) || cJSON_GetArraySize(factors) > ES_LIKE_FACTORS || !cJSON_IsArray(requests) || cJSON_GetArraySize(requests) < 1
        || cJSON_GetArraySize(requests) > ES_LIKE_LENGTHS)
        return es_err_set(err, ES_EINPUT, "factors, requests: need lists of at most %d and of 1 to %d", ES_LIKE_FACTORS, ES_LIKE_LENGTHS);
    like->factors = (uint32_t)cJSON_GetArraySize(factors);
    like->lengths = (uint32_t)cJSON_GetArraySize(requests);
    const es_json *model = cJSON_GetObjectItemCaseSensitive(from, "model"), *weights = cJSON_GetObjectItemCaseSensitive(from, "weight_sum"),
        *hold = cJSON_GetObjectItemCaseSensitive(from, "hold");
    like->model = es_arena_text(arena, cJSON_IsString(model) ? model->valuestring : "");
    code = like->model ? es_likeness_make(like, arena, err) : es_err_nomem(err, "a likeness");
    if (code == ES_OK)
        code = likeness_lengths(like, from, err);
    if (code == ES_OK)
        code = likeness_rows(from, "popularity", like->layers, like->experts, 0.0, 1.0, like->popularity, err);
    if (code == ES_OK)
        code = likeness_rows(from, "threshold", like->layers, like->experts, -100.0, 100.0, like->threshold, err);
    if (code == ES_OK)
        code = likeness_rows(from, "own_memory", like->layers, ES_LIKE_SPANS, 0.0, 1.0, like->own_memory, err);
    if (code == ES_OK && hold)
        code = likeness_list(hold, "hold", like->layers, 0.0, 0.9999, like->hold, err);
    if (code == ES_OK && weights)
        code = likeness_rows(from, "weight_gap", like->layers, like->top_k, 0.0, 100.0, like->weight_gap, err);
    if (code == ES_OK && weights)
        code = likeness_list(weights, "weight_sum", like->layers, 1e-9, 1e9, like->weight_sum, err);
    if (!weights)
        like->weight_sum = NULL;
    return code == ES_OK ? likeness_factors(like, factors, arena, err) : code;
}
