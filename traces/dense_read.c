/* Dense, reading: windows of tokens out of the file or out of memory, checked row by row where a block looks wrong. See dense.h. */
#include "traces/dense_inside.h"

#include <stdlib.h>
#include <string.h>

/* --- rows ----------------------------------------------------------------------------------------------------------------------- */

/* Number in the array of place `i` of layer `l` of a token. */
static uint64_t dense_number(const es_dense *dense, uint64_t token, uint32_t l, uint32_t i)
{
    const es_dense_form *form = &dense->form;
    const uint64_t length[ES_DENSE_AXES] = { form->tokens, form->layers, form->top_k }, at[ES_DENSE_AXES] = { token, l, i };
    uint64_t number = 0;
    for (int a = 0; a < ES_DENSE_AXES; a++)
        number = number * length[form->axis[a]] + at[form->axis[a]];
    return number;
}

static es_code dense_row(const es_dense *dense, const uint16_t *row, uint64_t token, uint32_t l, es_err *err)
{
    const uint32_t k = dense->form.top_k, layer = dense->kept[l];
    uint32_t count = 0;
    while (count < k && row[count] != ES_NO_EXPERT)
        count++;
    for (uint32_t i = count; i < k; i++)
        if (row[i] != ES_NO_EXPERT)
            return dense_fault(dense, dense_number(dense, token, layer, i), err, "expert %u stands behind an empty place (-1)", row[i]);
    for (uint32_t i = 1; i < count; i++)
        for (uint32_t j = 0; j < i; j++)
            if (row[i] == row[j])
                return dense_fault(dense, dense_number(dense, token, layer, i), err, "expert %u is listed twice in its row; are the axes, the number of layers and top-k right, "
                    "and are these ids (--as npy) and not counts (--as counts)?", row[i]);
    return ES_OK;
}

es_code dense_rows(es_dense *dense, const uint16_t *ids, uint64_t first, uint64_t tokens, bool empty, es_err *err)
{
    const uint32_t layers = dense->info.layers, k = dense->form.top_k;
    if (!empty && !es_ids_repeat(dense->twice, ids, tokens * layers))
        return ES_OK;
    es_code code = ES_OK;
    for (uint64_t cell = 0; !code && cell < tokens * layers; cell++)
        code = dense_row(dense, ids + cell * k, first + cell / layers, (uint32_t)(cell % layers), err);
    return code;
}

es_code dense_keep(const es_dense *dense, uint16_t *ids, uint64_t first, uint64_t tokens, es_err *err)
{
    const uint32_t layers = dense->form.layers, k = dense->form.top_k;
    uint16_t *to = ids;
    if (dense->info.layers == layers)
        return ES_OK;
    for (uint64_t cell = 0; cell < tokens * layers; cell++) {
        const uint16_t *row = ids + cell * k;
        uint32_t l = (uint32_t)(cell % layers);
        for (uint32_t i = 0; dense->zeros[l] && i < k; i++)
            if (row[i] != 0)
                return dense_fault(dense, dense_number(dense, first + cell / layers, l, i), err, "expert %d, where the first token has a row of zeros as a dense layer has",
                    row[i] == ES_NO_EXPERT ? -1 : row[i]);
        if (!dense->zeros[l] && dense->routes[l]) {
            memmove(to, row, k * sizeof *row);
            to += k;
        }
    }
    return ES_OK;
}

/* --- all of it ------------------------------------------------------------------------------------------------------------------ */

/* From the order of the file to tokens, layers, places. */
static void dense_turn(const es_dense *dense, const uint16_t *from, uint16_t *to)
{
    const es_dense_form *form = &dense->form;
    const uint64_t length[ES_DENSE_AXES] = { form->tokens, form->layers, form->top_k };
    const uint64_t stride[ES_DENSE_AXES] = { (uint64_t)form->layers * form->top_k, form->top_k, 1 };
    const es_dense_axis *axis = form->axis;
    for (uint64_t a = 0; a < length[axis[0]]; a++)
        for (uint64_t b = 0; b < length[axis[1]]; b++)
            for (uint64_t c = 0; c < length[axis[2]]; c++)
                to[a * stride[axis[0]] + b * stride[axis[1]] + c * stride[axis[2]]] = *from++;
}

/* The bytes of the whole array; with an open end there must be as many as make whole tokens. */
static es_code dense_bytes(es_dense *dense, const unsigned char **at, uint64_t *count, es_err *err)
{
    const size_t whole = dense_token_bytes(dense);
    size_t got, want = dense->form.tokens == ES_DENSE_OPEN ? SIZE_MAX / 8 : dense->form.tokens * whole;
    es_code code = es_bytes_skip(&dense->bytes, dense->form.header, err);
    if (!code)
        code = es_bytes_peek(&dense->bytes, want, at, &got, err);
    if (code)
        return code;
    if (dense->form.tokens == ES_DENSE_OPEN && got > 0 && got % whole == 0)
        dense->form.tokens = got / whole;
    if (got != dense->form.tokens * whole)
        return es_err_set(err, ES_EINPUT, "%s: ends at byte %llu, which is not the end of an array of %u layers and rows of %u ids; in this order of axes no part can be left out",
            dense->bytes.path, (unsigned long long)(dense->form.header + got), dense->form.layers, dense->form.top_k);
    *count = dense->form.tokens * dense->form.layers * dense->form.top_k;
    return ES_OK;
}

es_code dense_load(es_dense *dense, es_err *err)
{
    const unsigned char *at;
    uint64_t count = 0;
    bool empty;
    es_code code = dense_bytes(dense, &at, &count, err);
    if (code)
        return code;
    uint16_t *flat = malloc(count * sizeof *flat);
    if (!flat || !(dense->ids = malloc(count * sizeof *dense->ids)))
        code = es_err_nomem(err, "a trace");
    if (!code && dense->form.big_endian)
        es_ids_swap(dense->bytes.buffer + dense->bytes.at, es_ids_size(dense->form.type), count);
    if (!code)
        code = dense_widen(dense, at, 0, count, flat, &empty, err);
    if (!code) {
        dense_turn(dense, flat, dense->ids);
        dense_count(dense, dense->ids, 0, dense->form.tokens, empty);
        es_bytes_take(&dense->bytes, dense->form.tokens * dense_token_bytes(dense));
        code = dense_behind(dense, err);
    }
    free(flat);
    return code;
}

/* --- windows -------------------------------------------------------------------------------------------------------------------- */

/* The window begins with the token `at`; what it holds behind that already is kept. */
static es_code dense_fill(es_dense *dense, es_err *err)
{
    const size_t row = (size_t)dense->info.layers * dense->form.top_k, whole = dense_token_bytes(dense), numbers = whole / es_ids_size(dense->form.type);
    uint64_t held = dense->first + dense->count - dense->at, left = dense->form.tokens - dense->at - held, more = dense->room - held;
    memmove(dense->ids, dense->ids + (dense->at - dense->first) * row, held * row * sizeof *dense->ids);
    dense->first = dense->at;
    dense->count = held;
    more = more < left ? more : left;
    /* rows of the file may be longer than those that are kept: they are read where there is room for them */
    while (more > 0) {
        const unsigned char *at;
        uint64_t part = more < dense->block ? more : dense->block;
        size_t got;
        bool empty;
        es_code code = es_bytes_peek(&dense->bytes, part * whole, &at, &got, err);
        if (!code && got < part * whole)
            code = es_err_set(err, ES_EINPUT, "%s: became shorter while it was read", dense->bytes.path);
        if (!code && dense->form.big_endian)
            es_ids_swap(dense->bytes.buffer + dense->bytes.at, es_ids_size(dense->form.type), part * numbers);
        uint16_t *to = dense->ids + dense->count * row;
        uint64_t first = dense->first + dense->count;
        if (!code)
            code = dense_widen(dense, at, first * numbers, part * numbers, to, &empty, err);
        if (!code)
            code = dense_keep(dense, to, first, part, err);
        if (!code)
            code = dense_rows(dense, to, first, part, empty, err);
        if (code)
            return code;
        es_bytes_take(&dense->bytes, part * whole);
        dense->count += part;
        more -= part;
    }
    return ES_OK;
}

const es_trace_info *es_dense_info(void *self)
{
    return &((es_dense *)self)->info;
}

es_code es_dense_next(void *self, es_step *step, bool *more, es_err *err)
{
    es_dense *dense = self;
    *step = (es_step){ 0 };
    *more = dense->at < dense->form.tokens;
    if (!*more)
        return ES_OK;
    uint32_t tokens = es_lens_step(&dense->lens, &dense->place, dense->form.tokens - dense->at);
    if (!dense->whole && dense->at + tokens > dense->first + dense->count) {
        es_code code = dense_fill(dense, err);
        if (code)
            return code;
    }
    es_lens_tokens(&dense->lens, &dense->place, dense->token, tokens);
    step->tokens = tokens;
    step->token = dense->token;
    step->ids = dense->ids + (dense->at - dense->first) * dense->info.layers * dense->form.top_k;
    step->record = dense->at;
    dense->at += tokens;
    return ES_OK;
}

es_code es_dense_rewind(void *self, es_err *err)
{
    es_dense *dense = self;
    dense->first = dense->count = dense->at = 0;
    dense->place = (es_lens_place){ 0, 0 };
    if (dense->whole)
        return ES_OK;
    es_code code = es_bytes_rewind(&dense->bytes, err);
    return code ? code : es_bytes_skip(&dense->bytes, dense->form.header, err);
}

void es_dense_fini(void *self)
{
    es_dense *dense = self;
    es_bytes_close(&dense->bytes);
    es_lens_free(&dense->lens);
    es_text_free(&dense->notes);
    free(dense->ids);
    free(dense->token);
}
