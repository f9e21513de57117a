/* gguf: see gguf.h. The head is read from front to back; a file that promises more than it has runs into its end. */
#include "traces/gguf.h"

#include <stdlib.h>
#include <string.h>

#include "traces/trace.h"

enum { GGUF_TEXT = 64 * 1024, GGUF_AXES = 8 };
enum { GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_REAL32, GGUF_BOOL, GGUF_STRING, GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_REAL64, GGUF_TYPES };

static const uint8_t gguf_size[GGUF_TYPES] = { 1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8 };

/* The next `count` bytes of the head. */
static es_code gguf_take(es_gguf *gguf, size_t count, const unsigned char **at, es_err *err)
{
    size_t got;
    es_code code = es_bytes_peek(&gguf->bytes, count, at, &got, err);
    if (!code && got < count)
        code = es_err_set(err, ES_EINPUT, "%s: byte %llu: the file ends in its head", gguf->bytes.path, (unsigned long long)(gguf->bytes.offset + got));
    if (!code)
        es_bytes_take(&gguf->bytes, count);
    return code;
}

static es_code gguf_u64(es_gguf *gguf, uint64_t *value, es_err *err)
{
    const unsigned char *at;
    es_code code = gguf_take(gguf, 8, &at, err);
    *value = code ? 0 : es_bytes_u64(at);
    return code;
}

static es_code gguf_u32(es_gguf *gguf, uint32_t *value, es_err *err)
{
    const unsigned char *at;
    es_code code = gguf_take(gguf, 4, &at, err);
    *value = code ? 0 : es_bytes_u32(at);
    return code;
}

static es_code gguf_text(es_gguf *gguf, const char **text, es_arena *arena, es_err *err)
{
    uint64_t length;
    const unsigned char *at;
    es_code code = gguf_u64(gguf, &length, err);
    if (!code && length > GGUF_TEXT)
        code = es_err_set(err, ES_EINPUT, "%s: byte %llu: a name of %llu bytes", gguf->bytes.path, (unsigned long long)gguf->bytes.offset, (unsigned long long)length);
    if (!code)
        code = gguf_take(gguf, length, &at, err);
    if (code)
        return code;
    char *copy = ES_NEW_ARRAY(arena, length + 1, char);
    if (!copy)
        return es_err_nomem(err, "a trace");
    memcpy(copy, at, length);
    *text = copy;
    return ES_OK;
}

static es_code gguf_unknown(const es_gguf *gguf, const char *key, uint32_t type, es_err *err)
{
    return es_err_set(err, ES_EINPUT, "%s: byte %llu: key %.64s has type %u, which there is not", gguf->bytes.path, (unsigned long long)gguf->bytes.offset, key, type);
}

/* Passes over an array; of arrays, as GGUF knows none. */
static es_code gguf_array(es_gguf *gguf, const char *key, es_err *err)
{
    uint32_t type;
    uint64_t count, length;
    es_code code = gguf_u32(gguf, &type, err);
    if (!code)
        code = gguf_u64(gguf, &count, err);
    if (!code && (type >= GGUF_TYPES || type == GGUF_ARRAY || count > UINT64_MAX / 8))
        return gguf_unknown(gguf, key, type, err);
    if (!code && type != GGUF_STRING)
        return es_bytes_skip(&gguf->bytes, count * gguf_size[type], err);
    for (uint64_t i = 0; !code && i < count; i++) {
        code = gguf_u64(gguf, &length, err);
        if (!code)
            code = es_bytes_skip(&gguf->bytes, length, err);
    }
    return code;
}

static es_code gguf_keep(es_gguf *gguf, const char *key, uint64_t value, es_err *err)
{
    if (gguf->values == gguf->room) {
        uint64_t room = gguf->room ? 2 * gguf->room : 16;
        if (!ES_TRACE_RESIZE(gguf->value, room, 1))
            return es_err_nomem(err, "a trace");
        gguf->room = room;
    }
    gguf->value[gguf->values++] = (es_gguf_value){ key, value };
    return ES_OK;
}

static es_code gguf_pair(es_gguf *gguf, es_arena *arena, es_err *err)
{
    const char *key = "";
    uint32_t type;
    uint64_t length;
    const unsigned char *at;
    es_code code = gguf_text(gguf, &key, arena, err);
    if (!code)
        code = gguf_u32(gguf, &type, err);
    if (code)
        return code;
    if (type == GGUF_ARRAY)
        return gguf_array(gguf, key, err);
    if (type == GGUF_STRING) {
        code = gguf_u64(gguf, &length, err);
        return code ? code : es_bytes_skip(&gguf->bytes, length, err);
    }
    if (type >= GGUF_TYPES)
        return gguf_unknown(gguf, key, type, err);
    code = gguf_take(gguf, gguf_size[type], &at, err);
    if (!code && (type == GGUF_U32 || type == GGUF_I32))
        code = gguf_keep(gguf, key, es_bytes_u32(at), err);
    else if (!code && (type == GGUF_U64 || type == GGUF_I64))
        code = gguf_keep(gguf, key, es_bytes_u64(at), err);
    return code;
}

static es_code gguf_tensor(es_gguf *gguf, uint64_t *room, es_arena *arena, es_err *err)
{
    es_gguf_tensor tensor = { .count = 1 };
    uint32_t axes;
    es_code code = gguf_text(gguf, &tensor.name, arena, err);
    if (!code)
        code = gguf_u32(gguf, &axes, err);
    if (!code && axes > GGUF_AXES)
        code = es_err_set(err, ES_EINPUT, "%s: tensor %.64s has %u axes", gguf->bytes.path, tensor.name, axes);
    for (uint32_t i = 0; !code && i < axes; i++) {
        uint64_t length;
        code = gguf_u64(gguf, &length, err);
        if (!code && length > 0 && tensor.count > UINT64_MAX / 16 / length)
            code = es_err_set(err, ES_EINPUT, "%s: tensor %.64s is larger than any file", gguf->bytes.path, tensor.name);
        tensor.count *= length;
    }
    if (!code)
        code = gguf_u32(gguf, &tensor.type, err);
    if (!code)
        code = gguf_u64(gguf, &tensor.offset, err);
    if (!code && gguf->tensors == *room) {
        *room = *room ? 2 * *room : 64;
        if (!ES_TRACE_RESIZE(gguf->tensor, *room, 1))
            code = es_err_nomem(err, "a trace");
    }
    if (!code)
        gguf->tensor[gguf->tensors++] = tensor;
    return code;
}

static int gguf_compare(const void *a, const void *b)
{
    const es_gguf_tensor *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static es_code gguf_head(es_gguf *gguf, es_arena *arena, es_err *err)
{
    const unsigned char *at;
    uint32_t version = 0;
    uint64_t tensors = 0, pairs = 0, room = 0, alignment = 32;
    es_code code = gguf_take(gguf, 4, &at, err);
    if (!code && memcmp(at, "GGUF", 4) != 0)
        return es_err_set(err, ES_EINPUT, "%s: byte 0: is no GGUF file", gguf->bytes.path);
    if (!code)
        code = gguf_u32(gguf, &version, err);
    if (!code && version != 2 && version != 3)
        return es_err_set(err, ES_EINPUT, "%s: byte 4: GGUF version %u is not 2 or 3, little endian", gguf->bytes.path, version);
    if (!code)
        code = gguf_u64(gguf, &tensors, err);
    if (!code)
        code = gguf_u64(gguf, &pairs, err);
    for (uint64_t i = 0; !code && i < pairs; i++)
        code = gguf_pair(gguf, arena, err);
    for (uint64_t i = 0; !code && i < tensors; i++)
        code = gguf_tensor(gguf, &room, arena, err);
    if (code)
        return code;
    if (es_gguf_number(gguf, "general.alignment", &alignment) && (alignment == 0 || alignment > 1 << 20 || (alignment & (alignment - 1)) != 0))
        return es_err_set(err, ES_EINPUT, "%s: general.alignment %llu is no power of two up to %d", gguf->bytes.path, (unsigned long long)alignment, 1 << 20);
    if (gguf->tensors > 0)
        qsort(gguf->tensor, gguf->tensors, sizeof *gguf->tensor, gguf_compare);
    gguf->data = (gguf->bytes.offset + alignment - 1) / alignment * alignment;
    return ES_OK;
}

es_code es_gguf_open(es_gguf *gguf, const char *path, es_arena *arena, es_err *err)
{
    es_code code = es_bytes_open(&gguf->bytes, path, err);
    return code ? code : gguf_head(gguf, arena, err);
}

bool es_gguf_number(const es_gguf *gguf, const char *key, uint64_t *value)
{
    for (uint64_t i = 0; i < gguf->values; i++)
        if (strcmp(gguf->value[i].key, key) == 0) {
            *value = gguf->value[i].value;
            return true;
        }
    return false;
}

es_code es_gguf_read(es_gguf *gguf, const es_gguf_tensor *tensor, const unsigned char **at, es_err *err)
{
    const uint64_t size = tensor->count * sizeof(float);
    size_t got;
    if (tensor->offset > UINT64_MAX - gguf->data || gguf->data + tensor->offset < gguf->bytes.offset)
        return es_err_set(err, ES_EINPUT, "%s: tensor %.64s begins at byte %llu of the data, where another one is", gguf->bytes.path, tensor->name, (unsigned long long)tensor->offset);
    es_code code = es_bytes_skip(&gguf->bytes, gguf->data + tensor->offset - gguf->bytes.offset, err);
    if (!code)
        code = es_bytes_peek(&gguf->bytes, size, at, &got, err);
    if (!code && got < size)
        code = es_err_set(err, ES_EINPUT, "%s: byte %llu: the file ends with %zu of the %llu bytes of tensor %.64s", gguf->bytes.path, (unsigned long long)gguf->bytes.offset, got,
            (unsigned long long)size, tensor->name);
    if (!code)
        es_bytes_take(&gguf->bytes, size);
    return code;
}

es_code es_gguf_end(es_gguf *gguf, es_err *err)
{
    for (;;) {
        const unsigned char *at;
        size_t got;
        es_code code = es_bytes_peek(&gguf->bytes, 64 * 1024, &at, &got, err);
        if (code)
            return code;
        if (got == 0)
            break;
        es_bytes_take(&gguf->bytes, got);
    }
    es_bytes_sha256(&gguf->bytes, gguf->sha256);
    return ES_OK;
}

void es_gguf_close(es_gguf *gguf)
{
    es_bytes_close(&gguf->bytes);
    free(gguf->tensor);
    free(gguf->value);
    *gguf = (es_gguf){ 0 };
}
