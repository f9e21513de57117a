/* imatrix: the importance matrix of llama.cpp as GGUF, of which the number of tokens that each expert saw is read: tensors
 * blk.N.ffn_{gate,up,down,gate_up}_exps.weight.counts, the same for all matrices of a layer. It is no trace, so tokens are drawn that
 * meet the counts (see drawn.h). How many experts a token uses follows from the number of tokens, imatrix.chunk_count times
 * imatrix.chunk_size, unless it is asked for. */
#include "traces/asked.h"
#include "traces/drawn.h"
#include "traces/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMATRIX_CELLS = 1 << 20 };       /* most layers times experts */

typedef struct imatrix {
    es_drawn drawn;                     /* first: it is the reading half of the source */
    es_gguf gguf;
    double *counts;                     /* [layers][experts] */
    uint8_t *there;                     /* [layers] a matrix of the layer was read */
    uint32_t layers, experts;
    uint64_t tokens;                    /* that the counts are of; 0: not known */
    const char *path;
} imatrix;

static es_code imatrix_load(void *self, double *to, es_err *err)
{
    const imatrix *state = self;
    (void)err;
    memcpy(to, state->counts, (size_t)state->layers * state->experts * sizeof *to);
    return ES_OK;
}

static es_code imatrix_again(void *self, es_err *err)
{
    (void)self;
    (void)err;
    return ES_OK;
}

/* Which layer a tensor's counts are of; false: they are of no experts. Beside each NAME.counts stands NAME.in_sum2, sums over the inputs of a matrix, and sometimes
 * NAME.in_sum. */
static bool imatrix_layer(const char *name, uint32_t *layer)
{
    char matrix[16];
    int end = 0;
    if (sscanf(name, "blk.%5u.ffn_%15[a-z_]%n", layer, matrix, &end) != 2 || strcmp(name + end, ".weight.counts") != 0)
        return false;
    return strlen(matrix) > 5 && strcmp(matrix + strlen(matrix) - 5, "_exps") == 0;
}

static es_code imatrix_shape(imatrix *state, es_err *err)
{
    for (uint64_t i = 0; i < state->gguf.tensors; i++) {
        const es_gguf_tensor *tensor = &state->gguf.tensor[i];
        uint32_t layer;
        if (!imatrix_layer(tensor->name, &layer))
            continue;
        if (layer >= ES_TRACE_LAYERS_MAX || tensor->type != ES_GGUF_F32 || tensor->count == 0 || tensor->count > ES_TRACE_EXPERTS_MAX)
            return es_err_set(err, ES_EINPUT, "%s: tensor %s: counts are 32-bit floats, one for each of 1 to %d experts of a layer below %d", state->path, tensor->name, ES_TRACE_EXPERTS_MAX,
                ES_TRACE_LAYERS_MAX);
        if (state->experts != 0 && state->experts != tensor->count)
            return es_err_set(err, ES_EINPUT, "%s: tensor %s has counts of %llu experts, those before of %u", state->path, tensor->name, (unsigned long long)tensor->count, state->experts);
        state->experts = (uint32_t)tensor->count;
        state->layers = layer + 1 > state->layers ? layer + 1 : state->layers;
    }
    if ((uint64_t)state->layers * state->experts > IMATRIX_CELLS)   /* a small file could ask for any amount of memory */
        return es_err_set(err, ES_EINPUT, "%s: counts of %u layers and %u experts are more than any model has", state->path, state->layers, state->experts);
    return state->experts ? ES_OK : es_err_set(err, ES_EINPUT, "%s: has no tensor blk.N.ffn_*_exps.weight.counts: the model has no experts, or the file is no importance matrix", state->path);
}

static es_code imatrix_tensor(imatrix *state, const es_gguf_tensor *tensor, uint32_t layer, es_err *err)
{
    const unsigned char *at;
    double *counts = state->counts + (size_t)layer * state->experts;
    es_code code = es_gguf_read(&state->gguf, tensor, &at, err);
    for (uint32_t e = 0; !code && e < state->experts; e++) {
        float count;
        memcpy(&count, at + e * sizeof count, sizeof count);
        if (!(count >= 0.0f) || count > 1e15f)
            return es_err_set(err, ES_EINPUT, "%s: tensor %s: expert %u: %g is no number of tokens", state->path, tensor->name, e, (double)count);
        if (state->there[layer] && counts[e] != (double)count)
            return es_err_set(err, ES_EINPUT, "%s: tensor %s: expert %u has %g tokens, but %g in another matrix of its layer", state->path, tensor->name, e, (double)count, counts[e]);
        counts[e] = (double)count;
    }
    state->there[layer] = 1;
    return code;
}

/* Uses of a layer over tokens, of the layer with the most: the last may have fewer, being computed for few tokens. */
static es_code imatrix_width(imatrix *state, uint32_t *top_k, es_err *err)
{
    double most = 0.0;
    for (uint32_t l = 0; l < state->layers; l++) {
        double sum = 0.0;
        for (uint32_t e = 0; e < state->experts; e++)
            sum += state->counts[(size_t)l * state->experts + e];
        most = sum > most ? sum : most;
    }
    double width = state->tokens ? most / (double)state->tokens : 0.0, whole = floor(width + 0.5);
    if (!(whole >= 1.0 && fabs(width - whole) < 0.005 * whole))
        return es_err_set(err, ES_EINPUT, "%s: %.0f uses in %llu tokens are %.3f in each, no whole number; --top-k must say how many experts a token uses", state->path, most,
            (unsigned long long)state->tokens, width);
    if (whole > (double)state->experts)         /* before the cast: what a damaged file says may fit no integer */
        return es_err_set(err, ES_EINPUT, "%s: %.0f uses of a layer in %llu tokens are %.0f in each, but the layer has %u experts; either counts or tokens are wrong", state->path, most,
            (unsigned long long)state->tokens, whole, state->experts);
    *top_k = (uint32_t)whole;
    es_assume(&state->drawn.notes, "a token uses %u experts: %.0f uses of a layer in %llu tokens", *top_k, most, (unsigned long long)state->tokens);
    return ES_OK;
}

static es_code imatrix_counts(imatrix *state, es_arena *arena, es_err *err)
{
    es_code code = imatrix_shape(state, err);
    if (code)
        return code;
    state->counts = ES_NEW_ARRAY(arena, (size_t)state->layers * state->experts, double);
    state->there = ES_NEW_ARRAY(arena, state->layers, uint8_t);
    if (!state->counts || !state->there)
        return es_err_nomem(err, "a trace");
    for (uint64_t i = 0; !code && i < state->gguf.tensors; i++) {
        uint32_t layer;
        if (imatrix_layer(state->gguf.tensor[i].name, &layer))
            code = imatrix_tensor(state, &state->gguf.tensor[i], layer, err);
    }
    return code ? code : es_gguf_end(&state->gguf, err);
}

static es_code imatrix_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    imatrix *state = self;
    uint64_t chunks, size;
    state->path = ask->path;
    es_code code = es_gguf_open(&state->gguf, ask->path, arena, err);
    if (!code && es_gguf_number(&state->gguf, "imatrix.chunk_count", &chunks) && es_gguf_number(&state->gguf, "imatrix.chunk_size", &size) && size < UINT32_MAX && chunks < UINT32_MAX)
        state->tokens = chunks * size;
    if (!code)
        code = imatrix_counts(state, arena, err);
    es_drawn_form form = { .format = "imatrix", .sha256 = state->gguf.sha256, .path = ask->path, .sets = 1, .layers = state->layers, .experts = state->experts, .top_k = ask->top_k,
        .load = imatrix_load, .again = imatrix_again };
    if (!code && form.top_k == 0)
        code = imatrix_width(state, &form.top_k, err);
    if (!code)
        code = es_drawn_open(&state->drawn, &form, arena, err);
    if (!code && (code = es_asked(ask, &(es_said){ .experts = state->experts, .layers = state->drawn.info.layers }, err)) != ES_OK)
        es_err_at(err, "%s", ask->path);
    return code;
}

static void imatrix_fini(void *self)
{
    es_gguf_close(&((imatrix *)self)->gguf);
    es_drawn_fini(self);
}

static int imatrix_sniff(const unsigned char *head, size_t length)
{
    return length >= 4 && memcmp(head, "GGUF", 4) == 0 ? 70 : 0;    /* models are GGUF too, and are told from it when it is opened */
}

const es_source es_source_imatrix = {
    .part = { .abi = ES_ABI, .name = "imatrix", .brief = "llama.cpp's importance matrix (GGUF): tokens of each expert; tokens are drawn to meet them.", .options = es_drawn_table,
              .size = sizeof(imatrix), .fini = imatrix_fini },
    .lacks = "when an expert was used, phases",
    .sniff = imatrix_sniff,
    .open = imatrix_open,
    .info = es_drawn_info,
    .next = es_drawn_next,
    .rewind = es_drawn_rewind,
};
