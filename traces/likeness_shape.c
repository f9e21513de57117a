/* Likeness, of another shape: more or fewer layers, experts and experts of a token, with the same popularity, memory and company. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_cdf.h>

#include "traces/likeness_draw.h"

enum {
    SETTLE_TRIES = 6,
    SETTLE_REQUESTS = 600, SETTLE_TOKENS = 4    /* short ones: what lasts a request is the same for all their tokens */
};

es_code es_likeness_settle(es_likeness *like, es_like_draw *d, uint32_t round, es_err *err)
{
    const uint32_t tokens = SETTLE_REQUESTS * SETTLE_TOKENS, k = like->top_k, width = like->layers * k;
    const double least = 0.5 / tokens;
    double *uses = malloc(d->cells * sizeof *uses);
    uint16_t *row = malloc(width * sizeof *row);
    if (!uses || !row) {
        free(uses);
        free(row);
        return es_err_nomem(err, "a fit");
    }
    for (uint32_t try = 0; try < SETTLE_TRIES; try++) {
        const uint64_t first = ((uint64_t)round * SETTLE_TRIES + try) * SETTLE_REQUESTS + UINT32_MAX;
        memset(uses, 0, d->cells * sizeof *uses);
        for (uint32_t t = 0; t < tokens; t++) {
            es_like_draw_token(d, first + t / SETTLE_TOKENS, t % SETTLE_TOKENS, row);
            for (uint32_t i = 0; i < width; i++)
                uses[i / k * like->experts + row[i]] += 1.0 / tokens;
        }
        for (uint32_t i = 0; i < d->cells; i++) {
            const double drawn = fmin(fmax(uses[i], least), 1.0 - least), wanted = fmin(fmax(like->popularity[i], least), 1.0 - least);
            like->threshold[i] += (0.9 - 0.12 * try) * (gsl_cdf_ugaussian_Qinv(wanted) - gsl_cdf_ugaussian_Qinv(drawn));
        }
    }
    free(uses);
    free(row);
    return ES_OK;
}

/* A layer of the new shape takes after the layer at its depth. An expert takes after one of that layer: each of the old ones once, in a new
 * order, before any a second time; who comes again has some of its factors turned around, so that it keeps other company. */
static void shape_layer(const es_likeness *from, es_likeness *to, uint32_t layer, es_stream stream)
{
    const uint32_t old = (uint32_t)((uint64_t)layer * from->layers / to->layers), had = from->experts;
    const size_t cells = (size_t)to->layers * to->experts, old_cells = (size_t)from->layers * had;
    double sum = 0.0;
    for (uint32_t e = 0; e < to->experts; e++) {
        const uint32_t again = e / had, turn = es_draw_below(stream, had, layer, again, 0, 0);
        const uint32_t source = to->experts == had && to->layers == from->layers ? e : (e + turn) % had;
        const size_t i = (size_t)layer * to->experts + e, j = (size_t)old * had + source;
        sum += to->popularity[i] = from->popularity[j];
        to->threshold[i] = from->threshold[j];
        for (uint32_t f = 0; f < to->factors; f++) {
            const bool turned = again > 0 && (es_draw(stream, layer, e, f, 1) & 1);
            to->loading[f * cells + i] = turned ? -from->loading[f * old_cells + j] : from->loading[f * old_cells + j];
        }
    }
    for (uint32_t e = 0; e < to->experts; e++) {
        double *p = &to->popularity[(size_t)layer * to->experts + e];
        *p = fmin(0.9999, *p * to->top_k / sum);
    }
    memcpy(to->own_memory + (size_t)layer * ES_LIKE_SPANS, from->own_memory + (size_t)old * ES_LIKE_SPANS, ES_LIKE_SPANS * sizeof *to->own_memory);
    to->hold[layer] = from->hold[old];
    for (uint32_t k = 0; k < to->top_k && from->weight_sum; k++)
        to->weight_gap[(size_t)layer * to->top_k + k] = from->weight_gap[(size_t)old * from->top_k + (k < from->top_k ? k : from->top_k - 1)];
    if (from->weight_sum)
        to->weight_sum[layer] = from->weight_sum[old];
}

es_code es_likeness_shape(const es_likeness *from, uint32_t layers, uint32_t experts, uint32_t top_k, es_likeness *to, es_arena *arena, es_err *err)
{
    es_like_draw d;
    const es_stream stream = es_stream_of(1, 0, "like", "shape");
    *to = *from;
    if (layers == from->layers && experts == from->experts && top_k == from->top_k)
        return ES_OK;
    to->layers = layers;
    to->experts = experts;
    to->top_k = top_k;
    to->expert_bytes = to->dense_bytes = NULL;
    es_code code = es_likeness_make(to, arena, err);
    uint32_t *number = code == ES_OK ? ES_NEW_ARRAY(arena, layers, uint32_t) : NULL;
    if (!number)
        return code ? code : es_err_nomem(err, "a generator");
    for (uint32_t l = 0; l < layers; l++) {
        number[l] = layers == from->layers ? from->layer_number[l] : l;
        shape_layer(from, to, l, stream);
    }
    if (!from->weight_sum)
        to->weight_sum = NULL;
    to->layer_number = number;
    to->length = from->length;
    memcpy(to->factor_memory, from->factor_memory, (size_t)to->factors * ES_LIKE_SPANS * sizeof *to->factor_memory);
    code = es_like_draw_init(&d, to, 1, arena, err);
    for (uint32_t round = 0; round < 2 && code == ES_OK; round++)
        code = es_likeness_settle(to, &d, round, err);
    return code;
}
