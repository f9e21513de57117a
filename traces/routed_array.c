/* Routed array: see routed_array.h. */
#include "traces/routed_array.h"

#include <stdlib.h>
#include <string.h>

#include "traces/npy_head.h"

/* --- base64 --------------------------------------------------------------------------------------------------------------------- */

enum { BASE64_NONE = 64 };

typedef struct base64 {
    uint8_t digit[256];                 /* of a character, BASE64_NONE where it is none */
    uint32_t bits, held, padding;       /* bits that make no byte yet, how many */
    uint64_t at;                        /* characters read */
} base64;

static void base64_begin(base64 *state)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    *state = (base64){ .bits = 0 };
    memset(state->digit, BASE64_NONE, sizeof state->digit);
    for (uint8_t i = 0; i < 64; i++)
        state->digit[(unsigned char)alphabet[i]] = i;
    state->digit['-'] = 62;
    state->digit['_'] = 63;
}

/* Whole groups of four characters, three bytes each, as far as all are digits: how many characters that are. */
static size_t base64_groups(const base64 *state, const unsigned char *text, size_t length, unsigned char *to)
{
    size_t i = 0;
    for (; i + 4 <= length; i += 4, to += 3) {
        const uint32_t a = state->digit[text[i]], b = state->digit[text[i + 1]], c = state->digit[text[i + 2]], d = state->digit[text[i + 3]];
        if ((a | b | c | d) >= BASE64_NONE)
            break;
        to[0] = (unsigned char)(a << 2 | b >> 4);
        to[1] = (unsigned char)(b << 4 | c >> 2);
        to[2] = (unsigned char)(c << 6 | d);
    }
    return i;
}

/* One character behind the others. */
static bool base64_one(es_json_import *in, base64 *state, unsigned char c, es_routed_array *array)
{
    const uint32_t digit = state->digit[c];
    state->at++;
    if (c == '=' && state->padding < 2) {
        state->padding++;
        return true;
    }
    if (digit == BASE64_NONE || state->padding > 0)
        return es_json_scan_fault(in->scan, "character %llu of the text, with code %u, is not base64", (unsigned long long)state->at, c);
    state->bits = state->bits << 6 | digit;
    state->held += 6;
    if (state->held >= 8) {
        state->held -= 8;
        array->bytes[array->byte_count++] = (unsigned char)(state->bits >> state->held);
    }
    return true;
}

static bool base64_piece(es_json_import *in, base64 *state, const char *piece, size_t length, es_routed_array *array)
{
    const uint64_t need = array->byte_count + length;       /* more than it makes */
    if (need > array->byte_room) {
        const uint64_t room = need > 2 * array->byte_room ? need : 2 * array->byte_room;
        if (!ES_TRACE_RESIZE(array->bytes, room, 1))
            return es_json_scan_nomem(in->scan, "the tokens of a request");
        array->byte_room = room;
    }
    for (size_t i = 0; i < length;) {
        const size_t whole = state->held == 0 && state->padding == 0 ? base64_groups(state, (const unsigned char *)piece + i, length - i, array->bytes + array->byte_count) : 0;
        array->byte_count += whole / 4 * 3;
        state->at += whole;
        i += whole;
        if (i < length && !base64_one(in, state, (unsigned char)piece[i++], array))
            return false;
    }
    return true;
}

static bool array_text(es_json_import *in, es_routed_array *array)
{
    base64 state;
    const char *piece;
    size_t length;
    base64_begin(&state);
    array->flat = true;
    for (bool first = true;; first = false) {
        if (!es_json_scan_piece(in->scan, first, &piece, &length))
            return false;
        if (length == 0)
            return true;
        if (!base64_piece(in, &state, piece, length, array))
            return false;
    }
}

/* --- numbers -------------------------------------------------------------------------------------------------------------------- */

static const char *const array_type[] = { "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64" };   /* by es_ids_type */

/* Makes ids of the bytes from `at` on. */
static bool array_ids(es_json_import *in, es_routed_array *array, uint64_t at, es_ids_type type)
{
    const size_t size = es_ids_size(type);
    const uint64_t count = (array->byte_count - at) / size;
    es_json_hold *hold = &array->hold;
    if ((array->byte_count - at) % size != 0)
        return es_json_scan_fault(in->scan, "the base64 text ends inside an %s: it has %llu bytes", array_type[type], (unsigned long long)(array->byte_count - at));
    hold->held = 0;
    if (count == 0)                 /* an empty text has no bytes to point at */
        return true;
    if (count > hold->room) {
        if (!ES_TRACE_RESIZE(hold->ids, count, 1))
            return es_json_scan_nomem(in->scan, "the tokens of a request");
        hold->room = count;
    }
    const es_ids_range range = es_ids_widen(hold->ids, array->bytes + at, type, (size_t)count);
    for (uint64_t i = 0; i < count && (range.low < -1 || range.high >= ES_NO_EXPERT); i++) {
        const int64_t id = es_ids_number(array->bytes + at, type, (size_t)i);
        if (id < -1 || id >= ES_NO_EXPERT)
            return es_json_scan_fault(in->scan, "number %llu of the base64 text is %lld, needs an expert from 0 to 65534 (or -1)", (unsigned long long)i, (long long)id);
    }
    hold->held = count;
    return true;
}

/* A .npy file: its head says type and shape. */
static bool array_npy(es_json_import *in, es_routed_array *array)
{
    es_npy_head head;
    es_ids_type type;
    es_err err = { 0 };
    if (es_npy_parse(&head, array->bytes, (size_t)array->byte_count, &err) != ES_OK)
        return es_json_scan_fault(in->scan, "%s", err.text);
    if (head.rank != 3 || head.fortran || !es_npy_ids_type(&head, &type))
        return es_json_scan_fault(in->scan, "the .npy file has %u axes, needs three, tokens, layers and rank, of whole numbers in C order", head.rank);
    for (uint32_t i = 0; i < 3; i++)
        if (head.shape[i] > UINT32_MAX)
            return es_json_scan_fault(in->scan, "the .npy file has an axis of %llu", (unsigned long long)head.shape[i]);
    if (head.big_endian)
        es_ids_swap(array->bytes + head.bytes, head.size, (size_t)((array->byte_count - head.bytes) / head.size));
    array->tokens = (uint32_t)head.shape[0];
    array->layers = (uint32_t)head.shape[1];
    array->top_k = (uint32_t)head.shape[2];
    if (!array_ids(in, array, head.bytes, type))
        return false;
    if (array->hold.held > 0 && (array->tokens == 0 || array->layers == 0 || array->top_k == 0))
        return es_json_scan_fault(in->scan, "the shape is of 0 numbers, there are %llu", (unsigned long long)array->hold.held);
    return true;
}

static bool array_numbers(es_json_import *in, es_routed_array *array, es_ids_type type)
{
    if (array->byte_count >= 6 && memcmp(array->bytes, "\x93NUMPY", 6) == 0)
        return array_npy(in, array);
    return array_ids(in, array, 0, type);
}

/* --- an object ------------------------------------------------------------------------------------------------------------------ */

/* [tokens, layers, rank] */
static bool array_lengths(es_json_import *in, es_routed_array *array, uint32_t *count)
{
    uint32_t *const shape[] = { &array->tokens, &array->layers, &array->top_k };
    if (!es_json_scan_array(in->scan))
        return false;
    for (; es_json_scan_item(in->scan); ++*count)
        if (*count == 3 ? !es_json_scan_fault(in->scan, "has more than three numbers, needs tokens, layers and rank") : !es_json_scan_u32(in->scan, shape[*count]))
            return false;
    return !es_json_scan_failed(in->scan);
}

static bool array_object(es_json_import *in, es_routed_array *array)
{
    static const char *const names[] = { "data", "shape", "dtype", "start", NULL };
    static const struct { const char *name; es_ids_type type; } types[] = {
        { "int32", ES_IDS_I32 }, { "<i4", ES_IDS_I32 }, { "torch.int32", ES_IDS_I32 }, { "int16", ES_IDS_I16 }, { "<i2", ES_IDS_I16 }, { "torch.int16", ES_IDS_I16 },
        { "uint8", ES_IDS_U8 }, { "|u1", ES_IDS_U8 }, { "torch.uint8", ES_IDS_U8 }, { "uint16", ES_IDS_U16 }, { "<u2", ES_IDS_U16 }, { "int64", ES_IDS_I64 }, { "<i8", ES_IDS_I64 },
        { "torch.int64", ES_IDS_I64 },
    };
    enum { TYPES = sizeof types / sizeof *types };
    const char *words[TYPES + 1] = { NULL };
    uint32_t got = 0, lengths = 0;
    int type = 0;
    for (size_t i = 0; i < TYPES; i++)
        words[i] = types[i].name;
    if (!es_json_scan_object(in->scan))
        return false;
    for (int key; (key = es_json_scan_key(in->scan, names)) >= 0; got |= 1u << key) {
        if (key == 0 ? !array_text(in, array) : key == 1 ? !array_lengths(in, array, &lengths) : key == 3 ? !es_json_scan_u32(in->scan, &array->start) : false)
            return false;
        if (key == 2 && (type = es_json_import_word(in, words)) < 0)
            return false;
    }
    if (!es_json_import_need(in, got, 3, names))
        return false;
    if (lengths != 3)
        return es_json_scan_fault(in->scan, "shape has %u numbers, needs tokens, layers and rank", lengths);
    return array_numbers(in, array, types[type].type);
}

/* --- all of it ------------------------------------------------------------------------------------------------------------------ */

bool es_routed_array_any(const es_routed_array *array)
{
    return array->flat || array->hold.tokens > 0;
}

bool es_routed_array_read(es_json_import *in, es_routed_array *array)
{
    const char c = es_json_scan_peek(in->scan);
    es_json_hold_here(in, &array->hold);
    array->hold.none = true;
    if (c == '"')
        return array_text(in, array) && array_numbers(in, array, ES_IDS_I32);
    return c == '{' ? array_object(in, array) : es_json_hold_tokens(in, &array->hold);
}

bool es_routed_array_shape(es_json_import *in, es_routed_array *array, uint64_t tokens, uint32_t layers, uint32_t top_k)
{
    const uint64_t held = array->hold.held;
    uint64_t l = array->layers ? array->layers : layers, k = array->top_k ? array->top_k : top_k;
    const bool empty = array->tokens == 0 || array->layers == 0 || array->top_k == 0;      /* or there is no shape */
    tokens = array->tokens ? array->tokens : tokens;
    if (!array->flat || (held == 0 && empty))
        return true;
    if (l == 0 && k > 0 && tokens > 0)
        l = held / tokens / k;
    if (k == 0 && l > 0 && tokens > 0)
        k = held / tokens / l;
    if ((l == 0 || k == 0) && (in->ask->layers == 0 || in->ask->top_k == 0))
        return es_json_scan_fault(in->scan, "%llu numbers without a shape: how many layers and experts per token they are of must be given as --layers and --top-k", (unsigned long long)held);
    if (array->tokens > 0 && held != tokens * l * k)
        return es_json_scan_fault(in->scan, "the shape is of %llu numbers, there are %llu", (unsigned long long)(tokens * l * k), (unsigned long long)held);
    if (l == 0 || k == 0 || l > ES_TRACE_LAYERS_MAX || k > ES_TRACE_TOP_K_MAX || held % (l * k) != 0)
        return es_json_scan_fault(in->scan, "%llu numbers are no whole tokens of %llu layers with %llu experts each", (unsigned long long)held, (unsigned long long)l, (unsigned long long)k);
    array->hold.tokens = (uint32_t)(held / (l * k));
    array->hold.layers = (uint32_t)l;
    array->hold.top_k = (uint32_t)k;
    array->flat = false;
    return true;
}

void es_routed_array_clear(es_routed_array *array)
{
    es_json_hold_clear(&array->hold);
    *array = (es_routed_array){ .hold = array->hold, .bytes = array->bytes, .byte_room = array->byte_room };
}

void es_routed_array_free(es_routed_array *array)
{
    es_json_hold_free(&array->hold);
    free(array->bytes);
    *array = (es_routed_array){ 0 };
}
