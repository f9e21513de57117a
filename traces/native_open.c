/* Opening a native trace: everything that can be checked before the first token is read. See native.h. */
#include "traces/native.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/reader.h"
#include "traces/asked.h"

const char *const es_native_path[ES_NATIVE_SETS] = {
    "/tokens/request", "/tokens/position", "/tokens/phase", "/tokens/step", "/ids", "/weights", "/residency", "/guess", "/guess_confidence",
    "/attention/position", "/attention/weight",
};

es_code es_native_fault(const es_native *state, es_native_set set, es_err *err, const char *fmt, ...)
{
    char text[512];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return es_err_set(err, ES_EINPUT, "%s: %s: %s", state->path, es_native_path[set], text);
}

/* --- opening: attributes -------------------------------------------------------------------------------------------------------- */

typedef struct native_number { const char *name; uint64_t least, most; uint64_t value; } native_number;

static es_code native_attribute(const es_native *state, native_number *number, es_err *err)
{
    int64_t value;
    es_code code = es_h5_get_int(state->file, "/", number->name, &value, err);
    if (code)
        return code;
    if (value < 0 || (uint64_t)value < number->least || (uint64_t)value > number->most)
        return es_err_set(err, ES_EINPUT, "%s: attribute %s is %lld, not %llu to %llu", state->path, number->name, (long long)value,
            (unsigned long long)number->least, (unsigned long long)number->most);
    number->value = (uint64_t)value;
    return ES_OK;
}

static es_code native_text(const es_native *state, const char *name, const char **to, es_arena *arena, es_err *err)
{
    char *text;
    es_code code = es_h5_get_text(state->file, "/", name, &text, err);
    if (code)
        return code;
    *to = es_arena_text(arena, text);
    free(text);
    return *to ? ES_OK : es_err_nomem(err, "a trace");
}

static es_code native_kind(const es_native *state, es_err *err)
{
    char *format;
    native_number version = { "version", 1, ES_NATIVE_VERSION, 0 };
    if (!es_h5_has_attr(state->file, "/", "format"))
        return es_err_set(err, ES_EINPUT, "%s: is HDF5, but has no attribute format = \"%s\"", state->path, ES_NATIVE_FORMAT);
    es_code code = es_h5_get_text(state->file, "/", "format", &format, err);
    if (code)
        return code;
    if (strcmp(format, ES_NATIVE_FORMAT) != 0)
        code = es_err_set(err, ES_EINPUT, "%s: attribute format is \"%.64s\", not \"%s\"", state->path, format, ES_NATIVE_FORMAT);
    free(format);
    return code ? code : native_attribute(state, &version, err);
}

static es_code native_shape(es_native *state, es_arena *arena, es_err *err)
{
    es_trace_info *info = &state->info;
    native_number number[] = {
        { "layers", 1, ES_TRACE_LAYERS_MAX, 0 }, { "experts", 1, ES_TRACE_EXPERTS_MAX, 0 }, { "top_k", 1, ES_TRACE_TOP_K_MAX, 0 },
        { "synthetic", 0, 1, 0 }, { "uniform", 0, 1, 0 }, { "tokens", 1, UINT64_MAX / 8, 0 },
    };
    es_code code = native_kind(state, err);
    for (size_t i = 0; !code && i < sizeof number / sizeof number[0]; i++)
        code = native_attribute(state, &number[i], err);
    if (code)
        return code;
    info->layers = (uint32_t)number[0].value;
    info->experts = (uint32_t)number[1].value;
    info->top_k = (uint32_t)number[2].value;
    info->synthetic = number[3].value != 0;
    info->uniform = number[4].value != 0;
    info->format = "native";
    state->tokens = number[5].value;
    state->width = (uint64_t)info->layers * info->top_k;
    code = native_text(state, "model", &info->model, arena, err);
    if (!code)
        code = native_text(state, "provenance", &info->provenance, arena, err);
    if (!code)
        code = native_text(state, "sha256", &info->sha256, arena, err);
    if (!code && (strlen(info->sha256) != 64 || strspn(info->sha256, "0123456789abcdef") != 64))
        code = es_err_set(err, ES_EINPUT, "%s: attribute sha256 is not 64 hexadecimal digits", state->path);
    return code;
}

/* Totals are read after the datasets, whose shapes bound them. */
static es_code native_totals(es_native *state, es_err *err)
{
    es_trace_info *info = &state->info;
    uint64_t cells = state->tokens * info->layers;
    native_number number[] = {
        { "steps", 1, state->tokens, 0 }, { "requests", 1, state->tokens, 0 }, { "prompt_tokens", 0, state->tokens, 0 },
        { "decode_tokens", 0, state->tokens, 0 }, { "accesses", 0, state->tokens * state->width, 0 }, { "missing_cells", 0, cells, 0 },
    };
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++) {
        es_code code = native_attribute(state, &number[i], err);
        if (code)
            return code;
    }
    info->steps = number[0].value;
    info->requests = number[1].value;
    info->prompt_tokens = number[2].value;
    info->decode_tokens = number[3].value;
    info->accesses = number[4].value;
    info->missing_cells = number[5].value;
    info->counted = true;
    if (info->prompt_tokens + info->decode_tokens != state->tokens)
        return es_err_set(err, ES_EINPUT, "%s: attributes prompt_tokens %llu and decode_tokens %llu do not sum to tokens %llu", state->path,
            (unsigned long long)info->prompt_tokens, (unsigned long long)info->decode_tokens, (unsigned long long)state->tokens);
    return ES_OK;
}

/* --- opening: datasets ---------------------------------------------------------------------------------------------------------- */

/* A list with one number per layer; NULL when the file has none. */
static es_code native_list(es_native *state, const char *path, es_h5_type type, size_t size, const void **to, es_arena *arena, es_err *err)
{
    es_h5_data *data;
    if (!es_h5_has(state->file, path))
        return ES_OK;
    es_code code = es_h5_data_open(&data, state->file, path, err);
    if (code)
        return code;
    if (es_h5_data_type(data) != type || es_h5_data_rank(data) != 1 || es_h5_data_dims(data)[0] != state->info.layers) {
        code = es_err_set(err, ES_EINPUT, "%s: %s: is not a list of %u numbers of type %s", state->path, path, state->info.layers, type == ES_H5_U32 ? "u32" : "i64");
    } else {
        void *list = es_arena_alloc(arena, state->info.layers, size);
        *to = list;
        code = list ? es_h5_data_read(data, type, 0, state->info.layers, list, err) : es_err_nomem(err, "a trace");
    }
    es_h5_data_close(data);
    return code;
}

static es_code native_lists(es_native *state, es_arena *arena, es_err *err)
{
    const void *number = NULL, *expert_bytes = NULL, *dense_bytes = NULL;
    es_trace_info *info = &state->info;
    es_code code = native_list(state, "/layer_number", ES_H5_U32, sizeof(uint32_t), &number, arena, err);
    if (!code)
        code = native_list(state, "/expert_bytes", ES_H5_I64, sizeof(int64_t), &expert_bytes, arena, err);
    if (!code)
        code = native_list(state, "/dense_bytes", ES_H5_I64, sizeof(int64_t), &dense_bytes, arena, err);
    if (code)
        return code;
    if (!number)
        return es_err_set(err, ES_EINPUT, "%s: /layer_number: is missing", state->path);
    info->layer_number = number;
    info->expert_bytes = expert_bytes;
    info->dense_bytes = dense_bytes;
    code = es_trace_check_shape(info, err);
    if (code) {
        es_err_at(err, "%s: /layer_number", state->path);
        return code;
    }
    for (uint32_t i = 0; i < info->layers; i++)
        if ((info->expert_bytes && info->expert_bytes[i] < 0) || (info->dense_bytes && info->dense_bytes[i] < 0))
            return es_err_set(err, ES_EINPUT, "%s: %s: layer %u has a negative size", state->path,
                info->expert_bytes && info->expert_bytes[i] < 0 ? "/expert_bytes" : "/dense_bytes", info->layer_number[i]);
    return ES_OK;
}

/* Opens a dataset and checks its type and shape; `width` 0: one number per token. Attention is of the token, all else of its layers. */
static es_code native_set_open(es_native *state, es_native_set set, es_h5_type type, uint64_t width, es_err *err)
{
    static const char *const name[] = { "u8", "u16", "u32", "i32", "i64", "f32", "f64", "text" };
    es_code code = es_h5_data_open(&state->set[set], state->file, es_native_path[set], err);
    if (code)
        return code;
    const es_h5_data *data = state->set[set];
    const uint64_t *dims = es_h5_data_dims(data);
    bool layers = set < ES_NATIVE_ATTENDED;
    int rank = width ? 2 + layers : 1;
    if (es_h5_data_type(data) != type)
        return es_native_fault(state, set, err, "is of type %s, not %s", name[es_h5_data_type(data)], name[type]);
    if (es_h5_data_rank(data) != rank)
        return es_native_fault(state, set, err, "has rank %d, not %d", es_h5_data_rank(data), rank);
    if (dims[0] != state->tokens)
        return es_native_fault(state, set, err, "has %llu rows, but attribute tokens is %llu", (unsigned long long)dims[0], (unsigned long long)state->tokens);
    if (width && !layers && dims[1] != width)
        return es_native_fault(state, set, err, "has rows of %llu, not %llu", (unsigned long long)dims[1], (unsigned long long)width);
    if (width && layers && (dims[1] != state->info.layers || dims[2] != width))
        return es_native_fault(state, set, err, "has rows of %llu x %llu, not %u layers x %llu", (unsigned long long)dims[1], (unsigned long long)dims[2],
            state->info.layers, (unsigned long long)width);
    return ES_OK;
}

/* The width of a row that only its dataset tells, so that is looked at even when it will not be read. `rank` has it as its last. */
static es_code native_width(es_native *state, es_native_set set, int rank, const char *shape, uint32_t *width, es_err *err)
{
    es_h5_data *data;
    *width = 0;
    if (!es_h5_has(state->file, es_native_path[set]))
        return ES_OK;
    es_code code = es_h5_data_open(&data, state->file, es_native_path[set], err);
    if (code)
        return code;
    uint64_t is = es_h5_data_rank(data) == rank ? es_h5_data_dims(data)[rank - 1] : 0;
    es_h5_data_close(data);
    if (is < 1 || is > ES_TRACE_TOP_K_MAX)
        return es_native_fault(state, set, err, "is not %s[1 to %d]", shape, ES_TRACE_TOP_K_MAX);
    *width = (uint32_t)is;
    return ES_OK;
}

static es_code native_attention(es_native *state, const es_source_ask *ask, es_err *err)
{
    es_code code = native_width(state, ES_NATIVE_ATTENDED, 2, "[tokens]", &state->info.attends, err);
    if (code || state->info.attends == 0 || !ask->attention)
        return code;
    code = native_set_open(state, ES_NATIVE_ATTENDED, ES_H5_U32, state->info.attends, err);
    return code ? code : native_set_open(state, ES_NATIVE_ATTENTION, ES_H5_F32, state->info.attends, err);
}

static es_code native_sets(es_native *state, const es_source_ask *ask, es_err *err)
{
    es_trace_info *info = &state->info;
    es_h5_type id = info->experts <= ES_NATIVE_NARROW ? ES_H5_U8 : ES_H5_U16;
    es_code code = ES_OK;
    for (int set = ES_NATIVE_REQUEST; !code && set <= ES_NATIVE_STEP; set++)
        code = native_set_open(state, (es_native_set)set, set == ES_NATIVE_PHASE ? ES_H5_U8 : ES_H5_U32, 0, err);
    if (!code)
        code = native_set_open(state, ES_NATIVE_IDS, id, info->top_k, err);
    info->has_weights = es_h5_has(state->file, es_native_path[ES_NATIVE_WEIGHTS]);
    info->has_residency = es_h5_has(state->file, es_native_path[ES_NATIVE_RESIDENCY]);
    if (!code && info->has_weights && ask->weights)
        code = native_set_open(state, ES_NATIVE_WEIGHTS, ES_H5_F32, info->top_k, err);
    if (!code && info->has_residency && ask->residency)
        code = native_set_open(state, ES_NATIVE_RESIDENCY, ES_H5_U8, info->top_k, err);
    if (!code)
        code = native_attention(state, ask, err);
    if (!code)
        code = native_width(state, ES_NATIVE_GUESS, 3, "[tokens][layers]", &info->guesses, err);
    if (code || info->guesses == 0 || !ask->guesses)
        return code;
    state->guesses = (uint64_t)info->layers * info->guesses;
    code = native_set_open(state, ES_NATIVE_GUESS, id, info->guesses, err);
    if (!code && es_h5_has(state->file, es_native_path[ES_NATIVE_CONFIDENCE]))
        code = native_set_open(state, ES_NATIVE_CONFIDENCE, ES_H5_F32, info->guesses, err);
    return code;
}

/* Is it HDF5 when it is unpacked? */
static bool native_packed(const char *path)
{
    es_reader *reader = NULL;
    unsigned char head[8];
    size_t got = 0;
    if (es_reader_open(&reader, path, NULL))
        return false;
    const bool read = es_reader_read(reader, head, sizeof head, &got, NULL) == ES_OK;
    es_reader_close(reader);
    return read && got == sizeof head && memcmp(head, ES_NATIVE_MAGIC, sizeof head) == 0;
}

/* HDF5 asks for the name of the file that it opens, which what came through a pipe has not. */
static es_code native_file(es_native *state, const char *path, es_err *err)
{
    const char *name = strcmp(path, "-") == 0 ? "/dev/stdin" : path;
    char *real = realpath(name, NULL);
    const bool nameless = !real && access(name, F_OK) == 0;
    free(real);
    if (nameless)
        return es_err_set(err, ES_EINPUT, "%s: holds HDF5, which is read from a file with a name and not through a pipe; save it to one first", strcmp(path, "-") == 0 ? "standard input" : path);
    if (!es_h5_is(name) && native_packed(name))
        return es_err_set(err, ES_EINPUT, "%s: holds HDF5 in a compressed file, but it is read from any place of one; unpack it first (gunzip, unzstd)", path);
    return es_h5_open(&state->file, name, false, err);
}

es_code es_native_open(es_native *state, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    state->path = es_arena_text(arena, ask->path);
    if (!state->path)
        return es_err_nomem(err, "a trace");
    es_code code = native_file(state, ask->path, err);
    if (!code)
        code = native_shape(state, arena, err);
    const es_trace_info *info = &state->info;
    if (!code && (code = es_asked(ask, &(es_said){ .experts = info->experts, .layers = info->layers, .top_k = info->top_k }, err)) != ES_OK)
        es_err_at(err, "%s", state->path);
    if (!code)
        code = native_lists(state, arena, err);
    if (!code)
        code = native_sets(state, ask, err);
    return code ? code : native_totals(state, err);
}
