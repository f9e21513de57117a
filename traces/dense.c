/* Dense: see dense.h. This half opens: it looks through the array once, block by block, and says what is in it. */
#include "traces/dense_inside.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "traces/asked.h"
#include "traces/assume.h"

/* --- places --------------------------------------------------------------------------------------------------------------------- */

static uint64_t dense_length(const es_dense *dense, es_dense_axis axis)
{
    return axis == ES_DENSE_TOKEN ? dense->form.tokens : axis == ES_DENSE_LAYER ? dense->form.layers : dense->form.top_k;
}

es_code dense_fault(const es_dense *dense, uint64_t i, es_err *err, const char *fmt, ...)
{
    const es_dense_axis *axis = dense->form.axis;
    uint64_t at[ES_DENSE_AXES], rest = i, fast = dense_length(dense, axis[2]), middle = dense_length(dense, axis[1]);
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    at[axis[2]] = rest % fast;
    at[axis[1]] = rest / fast % middle;
    at[axis[0]] = rest / fast / middle;
    return es_bytes_fault(&dense->bytes, at[ES_DENSE_TOKEN], dense->form.header + i * es_ids_size(dense->form.type), err, "token %llu, layer %llu, place %llu: %s",
        (unsigned long long)at[ES_DENSE_TOKEN], (unsigned long long)at[ES_DENSE_LAYER], (unsigned long long)at[ES_DENSE_PLACE], text);
}

static int64_t dense_most(const es_dense *dense)
{
    return (dense->form.experts ? dense->form.experts : ES_TRACE_EXPERTS_MAX) - 1;
}

es_code dense_widen(es_dense *dense, const unsigned char *from, uint64_t first, size_t count, uint16_t *to, bool *empty, es_err *err)
{
    const es_ids_type type = dense->form.type;
    es_ids_range range = es_ids_widen(to, from, type, count);
    for (size_t i = 0; (range.low < -1 || range.high > dense_most(dense)) && i < count; i++) {
        int64_t id = es_ids_number(from, type, i);
        if (id < -1)
            return dense_fault(dense, first + i, err, "%lld is neither an expert nor -1 for none", (long long)id);
        if (id > dense_most(dense))
            return dense_fault(dense, first + i, err, "expert %lld is above %lld, the highest%s", (long long)id, (long long)dense_most(dense), es_trace_places(dense->form.experts > 0));
    }
    if (range.high > (int64_t)dense->highest)
        dense->highest = (uint64_t)range.high;
    *empty = range.low < 0;
    return ES_OK;
}

/* --- which layers route ---------------------------------------------------------------------------------------------------------- */

static bool dense_all(const uint16_t *row, uint32_t k, uint16_t id)
{
    for (uint32_t i = 0; i < k; i++)
        if (row[i] != id)
            return false;
    return true;
}

/* A row of zeros cannot be routing, but is what is left of a buffer for all layers where a dense one writes nothing. */
static void dense_look(es_dense *dense, const uint16_t *ids)
{
    for (uint32_t l = 0; l < dense->form.layers; l++)
        dense->zeros[l] = dense->form.top_k > 1 && dense_all(ids + (size_t)l * dense->form.top_k, dense->form.top_k, 0);
}

static void dense_hole(es_dense_holes *holes, uint64_t token, uint32_t ids)
{
    if (holes->rows++ == 0)
        *holes = (es_dense_holes){ 1, token, ids };
}

void dense_count(es_dense *dense, const uint16_t *ids, uint64_t first, uint64_t tokens, bool empty)
{
    const uint32_t layers = dense->form.layers, k = dense->form.top_k;
    if (first == 0)
        dense_look(dense, ids);
    if (!empty) {
        memset(dense->routes, 1, layers);
        dense->info.accesses += tokens * layers * k;
        return;
    }
    for (uint64_t cell = 0; cell < tokens * layers; cell++) {
        uint32_t count = 0;
        for (uint32_t i = 0; i < k; i++)
            count += ids[cell * k + i] != ES_NO_EXPERT;
        dense->info.accesses += count;
        dense->info.missing_cells += count == 0;
        dense->routes[cell % layers] |= count > 0;
        if (count < k)
            dense_hole(count > 0 ? &dense->fewer[cell % layers] : &dense->none[cell % layers], first + cell / layers, count);
    }
}

/* Zeros are counted as ids until it is known that their layer is left out, and rows of -1 as missing. */
static es_code dense_layers(es_dense *dense, uint64_t tokens, es_arena *arena, es_err *err)
{
    const uint32_t layers = dense->form.layers, k = dense->form.top_k;
    es_trace_info *info = &dense->info;
    uint32_t zeros = 0, none = 0;
    dense->kept = ES_NEW_ARRAY(arena, layers, uint32_t);
    if (!dense->kept)
        return es_err_nomem(err, "a trace");
    for (uint32_t l = 0; l < layers; l++) {
        if (dense->zeros[l])
            zeros++;
        else if (!dense->routes[l])
            none++;
        else
            dense->kept[info->layers++] = l;
    }
    info->layer_number = dense->kept;
    if (info->layers == 0)
        return es_err_set(err, ES_EINPUT, "%s: no layer of any token lists an expert", dense->bytes.path);
    info->accesses -= tokens * zeros * k;
    info->missing_cells -= tokens * none;
    if (zeros)
        es_assume(&dense->notes, "%u of %u layers hold only zeros and are left out as dense; the others keep their numbers", zeros, layers);
    if (none)
        es_assume(&dense->notes, "%u of %u layers hold only -1 and are left out as dense; the others keep their numbers", none, layers);
    return ES_OK;
}

/* --- through the array ----------------------------------------------------------------------------------------------------------- */

/* What is left at the end is no whole token. */
static es_code dense_torn(es_dense *dense, uint64_t tokens, size_t left, es_err *err)
{
    const size_t whole = dense_token_bytes(dense);
    unsigned long long at = dense->form.header + tokens * whole;
    bool early = dense->form.tokens != ES_DENSE_OPEN && tokens < dense->form.tokens;
    if (left == 0 && !early)
        return ES_OK;
    if (tokens == 0 || !dense->lenient) {
        if (early)
            return es_bytes_fault(&dense->bytes, tokens, at, err, "the file ends with %zu of %zu bytes of token %llu; the header promises %llu tokens%s", left, whole,
                (unsigned long long)tokens, (unsigned long long)dense->form.tokens, tokens > 0 ? "; --lenient takes those before" : "");
        return es_bytes_fault(&dense->bytes, tokens, at, err, "the file ends with %zu of the %zu bytes of a token (%u layers of %u ids); is that its shape?%s", left, whole,
            dense->form.layers, dense->form.top_k, tokens > 0 ? " --lenient takes those before" : "");
    }
    es_assume(&dense->notes, "the file is cut: %zu bytes of token %llu are left out", left, (unsigned long long)tokens);
    return ES_OK;
}

es_code dense_behind(es_dense *dense, es_err *err)
{
    const unsigned char *at;
    size_t got;
    es_code code = es_bytes_peek(&dense->bytes, 1, &at, &got, err);
    if (!code && got > 0)
        code = es_bytes_fault(&dense->bytes, dense->form.tokens, dense->bytes.offset, err, "bytes follow the array, which ends here");
    return code;
}

static es_code dense_scan(es_dense *dense, uint64_t *tokens, es_err *err)
{
    const size_t whole = dense_token_bytes(dense), numbers = (size_t)dense->form.layers * dense->form.top_k;
    const size_t block = whole > DENSE_BLOCK ? 1 : DENSE_BLOCK / whole;
    uint16_t *ids = malloc(block * numbers * sizeof *ids);
    es_code code = ids ? es_bytes_skip(&dense->bytes, dense->form.header, err) : es_err_nomem(err, "a trace");
    for (*tokens = 0; !code && *tokens < dense->form.tokens;) {
        const unsigned char *at;
        uint64_t want = dense->form.tokens - *tokens < block ? dense->form.tokens - *tokens : block;
        size_t got, count;
        bool empty;
        code = es_bytes_peek(&dense->bytes, want * whole, &at, &got, err);
        if (code)
            break;
        count = got / whole;
        if (count == 0) {
            code = dense_torn(dense, *tokens, got, err);
            es_bytes_take(&dense->bytes, got);
            break;
        }
        if (dense->form.big_endian)
            es_ids_swap(dense->bytes.buffer + dense->bytes.at, es_ids_size(dense->form.type), count * numbers);
        code = dense_widen(dense, at, *tokens * numbers, count * numbers, ids, &empty, err);
        if (code)
            break;
        dense_count(dense, ids, *tokens, count, empty);
        es_bytes_take(&dense->bytes, count * whole);
        *tokens += count;
    }
    free(ids);
    return code || *tokens < dense->form.tokens ? code : dense_behind(dense, err);
}

/* --- the source ----------------------------------------------------------------------------------------------------------------- */

static es_code dense_shape(es_dense *dense, es_err *err)
{
    const es_dense_form *form = &dense->form;
    if (form->layers == 0 || form->layers > ES_TRACE_LAYERS_MAX)
        return es_err_set(err, ES_EINPUT, "%s: %u layers are not 1 to %d; --layers says how many there are where the format does not", dense->bytes.path, form->layers, ES_TRACE_LAYERS_MAX);
    if (form->top_k == 0 || form->top_k > ES_TRACE_TOP_K_MAX)
        return es_err_set(err, ES_EINPUT, "%s: rows of %u experts are not 1 to %d; --top-k says how many there are where the format does not", dense->bytes.path, form->top_k,
            ES_TRACE_TOP_K_MAX);
    if (form->experts > ES_TRACE_EXPERTS_MAX)
        return es_err_set(err, ES_EINPUT, "%s: %u experts are not 1 to %d", dense->bytes.path, form->experts, ES_TRACE_EXPERTS_MAX);
    if (form->tokens == 0)
        return es_err_set(err, ES_EINPUT, "%s: holds no token", dense->bytes.path);
    return ES_OK;
}

/* How many rows of the layers that route have holes; *first is that with the first. */
static uint64_t dense_holes(const es_dense *dense, const es_dense_holes *holes, uint32_t *first)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < dense->info.layers; i++) {
        const uint32_t l = dense->kept[i];
        if (holes[l].rows > 0 && (rows == 0 || holes[l].first < holes[*first].first))
            *first = l;
        rows += holes[l].rows;
    }
    return rows;
}

static void dense_say_holes(es_dense *dense)
{
    const unsigned long long cells = dense->form.tokens * dense->info.layers;
    uint32_t l = 0;
    uint64_t rows = dense_holes(dense, dense->fewer, &l);
    if (rows > 0)
        es_assume(&dense->notes, "%llu of %llu rows list fewer than %u experts; the first is layer %u of token %llu with %u", (unsigned long long)rows, cells, dense->form.top_k, l,
            (unsigned long long)dense->fewer[l].first, dense->fewer[l].ids);
    rows = dense_holes(dense, dense->none, &l);
    if (rows > 0)
        es_assume(&dense->notes, "%llu of %llu rows (token, layer) are missing; the first is layer %u of token %llu", (unsigned long long)rows, cells, l, (unsigned long long)dense->none[l].first);
}

static void dense_say(es_dense *dense)
{
    if (dense->lens.count)
        es_assume(&dense->notes, "requests are cut by %s", dense->lens.path);
    else
        es_assume(&dense->notes, "all tokens are of one request");
    if (!dense->lens.prompts)
        es_assume(&dense->notes, "nothing says where a prompt ends, so every token is taken as generated, one in a step");
    es_assume(&dense->notes, "layers are numbered by their place in the array");
    es_assume(&dense->notes, "ids of a row are taken as standing in the router's order, the most important first, which the array does not say");
    dense_say_holes(dense);
    if (!dense->form.experts)
        es_assume(&dense->notes, "there are %llu experts, the highest id and one", (unsigned long long)dense->highest + 1);
}

static es_code dense_describe(es_dense *dense, uint64_t tokens, es_arena *arena, es_err *err)
{
    es_trace_info *info = &dense->info;
    const es_lens *lens = &dense->lens;
    uint64_t bytes;
    char hex[65];
    if (tokens == 0)
        return es_err_set(err, ES_EINPUT, "%s: holds no token", dense->bytes.path);
    if (lens->count && lens->tokens != tokens)
        return es_err_set(err, ES_EINPUT, "%s: its requests have %llu tokens together, the array has %llu", lens->path, (unsigned long long)lens->tokens, (unsigned long long)tokens);
    es_code code = dense_layers(dense, tokens, arena, err);
    if (code)
        return code;
    info->experts = dense->form.experts ? dense->form.experts : (uint32_t)dense->highest + 1;
    info->top_k = dense->form.top_k;
    info->model = "";
    info->requests = lens->count ? lens->count : 1;
    info->prompt_tokens = lens->prompt_tokens;
    info->decode_tokens = tokens - lens->prompt_tokens;
    info->steps = lens->prompts + info->decode_tokens;
    info->counted = true;
    dense->form.tokens = tokens;
    dense_say(dense);
    if (es_bytes_cut(&dense->bytes, &bytes))
        es_assume_cut(&dense->notes, bytes);
    es_bytes_sha256(&dense->bytes, hex);
    return es_imported_as(info, dense->form.format, hex, &dense->notes, arena, err);
}

/* Tokens that are held together: those of a block, or the longest prompt, which is one step. */
static es_code dense_window(es_dense *dense, es_err *err)
{
    const size_t whole = dense_token_bytes(dense);
    const uint32_t dropped = dense->form.layers - dense->info.layers, longest = dense->lens.longest_prompt;
    dense->block = whole > DENSE_BLOCK ? 1 : DENSE_BLOCK / whole;
    dense->room = dense->block > longest ? dense->block : longest;
    if (dense->room > dense->form.tokens)
        dense->room = dense->form.tokens;
    /* a block comes with the layers that are left out, which may not fit behind what is there */
    uint64_t cells = (dense->room * dense->info.layers + dense->block * dropped) * dense->form.top_k;
    bool good = ES_TRACE_RESIZE(dense->token, longest > 1 ? longest : 1, 1) && (dense->whole || ES_TRACE_RESIZE(dense->ids, cells, 1));
    return good ? ES_OK : es_err_nomem(err, "the window of a trace");
}

es_code es_dense_open(es_dense *dense, const es_dense_form *form, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    uint64_t tokens = 0;
    dense->form = *form;
    dense->bytes.path = ask->path;
    dense->lenient = ask->lenient;
    dense->whole = form->axis[0] != ES_DENSE_TOKEN || form->axis[1] != ES_DENSE_LAYER;
    if (dense->form.experts == 0)
        dense->form.experts = ask->experts;
    const es_said said = { .experts = form->experts, .layers = form->layers, .top_k = form->top_k, .array = true };
    es_code code = es_asked(ask, &said, err);
    if (code)
        return es_err_at(err, "%s: the array", ask->path), code;
    code = dense_shape(dense, err);
    if (!code)
        code = es_lens_load(&dense->lens, ask->path, err);
    if (dense->form.experts == 0)
        dense->form.experts = dense->lens.experts;
    if (!code)
        code = es_bytes_open(&dense->bytes, ask->path, err);
    if (code)
        return code;
    es_bytes_lenient(&dense->bytes, ask->lenient);
    dense->zeros = ES_NEW_ARRAY(arena, form->layers, uint8_t);
    dense->routes = ES_NEW_ARRAY(arena, form->layers, uint8_t);
    dense->none = ES_NEW_ARRAY(arena, form->layers, es_dense_holes);
    dense->fewer = ES_NEW_ARRAY(arena, form->layers, es_dense_holes);
    dense->twice = ES_NEW(arena, es_ids_twice);
    if (!dense->zeros || !dense->routes || !dense->none || !dense->fewer || !dense->twice)
        return es_err_nomem(err, "a trace");
    es_ids_twice_init(dense->twice, form->top_k);
    code = dense->whole ? dense_load(dense, err) : dense_scan(dense, &tokens, err);
    if (!code)
        code = dense_describe(dense, dense->whole ? dense->form.tokens : tokens, arena, err);
    if (!code)
        code = dense_window(dense, err);
    if (!code && dense->whole && (code = dense_keep(dense, dense->ids, 0, dense->form.tokens, err)) == ES_OK)
        code = dense_rows(dense, dense->ids, 0, dense->form.tokens, dense->info.missing_cells > 0 || dense->info.accesses < dense->form.tokens * dense->info.layers * form->top_k, err);
    return code ? code : es_dense_rewind(dense, err);
}
