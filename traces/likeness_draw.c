/* Likeness, drawn: see likeness_draw.h. */
#include "traces/likeness_draw.h"

#include <math.h>
#include <string.h>

const double es_like_span[ES_LIKE_SPANS] = { 0, 1.5, 3, 6, 12, 24, 48, 96, 200, INFINITY };

enum { DRAW_FACTOR, DRAW_FACTOR_ANEW, DRAW_OWN, DRAW_OWN_ANEW, DRAW_WEIGHT, DRAW_PURPOSES, DRAW_HOLD = DRAW_PURPOSES + 2 * ES_LIKE_SPANS };

es_code es_like_draw_init(es_like_draw *d, const es_likeness *like, uint64_t seed, es_arena *arena, es_err *err)
{
    const uint32_t cells = like->layers * like->experts, most = cells > like->factors ? cells : like->factors;
    *d = (es_like_draw){ .like = like, .cells = cells, .stream = es_stream_of(seed, 0, "like", "scores") };
    d->factor = ES_NEW_ARRAY(arena, (size_t)ES_LIKE_SPANS * like->factors, float);
    d->own = ES_NEW_ARRAY(arena, (size_t)ES_LIKE_SPANS * cells, float);
    d->common = ES_NEW_ARRAY(arena, like->factors, float);
    d->score = ES_NEW_ARRAY(arena, cells, float);
    d->anew = ES_NEW_ARRAY(arena, cells, float);
    d->noise = ES_NEW_ARRAY(arena, most, float);
    d->held = ES_NEW_ARRAY(arena, cells, float);
    if (!d->held || !d->factor || !d->own || !d->common || !d->score || !d->anew || !d->noise)
        return es_err_nomem(err, "a generator");
    es_like_draw_again(d);
    return ES_OK;
}

double es_like_left(uint32_t span, uint32_t distance)
{
    if (es_like_span[span] == 0.0)
        return distance == 1 ? 0.5 : 0.0;
    return exp(-(double)distance / es_like_span[span]);
}

static double draw_sum(const double *share)
{
    double sum = 0.0;
    for (uint32_t s = 0; s < ES_LIKE_SPANS; s++)
        sum += share[s];
    return sum;
}

/* Is there a layer whose scores have a component of this span? */
static bool draw_used(const es_likeness *like, uint32_t s)
{
    for (uint32_t l = 0; l < like->layers; l++)
        if (like->own_memory[(size_t)l * ES_LIKE_SPANS + s] > 0.0)
            return true;
    return false;
}

void es_like_draw_again(es_like_draw *d)
{
    const es_likeness *like = d->like;
    for (uint32_t s = 0; s < ES_LIKE_SPANS; s++)
        d->used[s] = draw_used(like, s);
    d->holds = false;
    for (uint32_t l = 0; l < like->layers; l++)
        d->holds = d->holds || like->hold[l] > 0.0;
    for (uint32_t i = 0; i < d->cells; i++) {
        double left = 1.0 - draw_sum(like->own_memory + (size_t)(i / like->experts) * ES_LIKE_SPANS);
        for (uint32_t f = 0; f < like->factors; f++)
            left -= (double)like->loading[(size_t)f * d->cells + i] * (double)like->loading[(size_t)f * d->cells + i];
        d->anew[i] = left > 0.0 ? (float)sqrt(left) : 0.0f;
    }
}

/* Nearly normal numbers, mean 0, variance 1: four uniform ones of 8 bits, summed, two of them from one draw. The largest is 3.45; all that is
 * fitted is fitted with these same numbers. */
static void draw_normals(es_stream stream, uint32_t count, float *out)
{
    const uint64_t even = 0x00ff00ff00ff00ffu;
    for (uint32_t i = 0; i < count; i += 2) {
        const uint64_t bits = es_mix(stream ^ i), pairs = (bits & even) + (bits >> 8 & even), sums = pairs + (pairs >> 16);
        out[i] = (float)((int32_t)(sums & 0xffff) - 510) * (1.0f / 147.79941f);
        if (i + 1 < count)
            out[i + 1] = (float)((int32_t)(sums >> 32 & 0xffff) - 510) * (1.0f / 147.79941f);
    }
}

static es_stream draw_stream(const es_like_draw *d, uint64_t request, uint64_t position, uint64_t purpose)
{
    return es_mix(es_mix(es_mix(d->stream ^ request) ^ position) ^ purpose);
}

/* What lasts a request is drawn with its first token. */
static bool draw_moves(uint32_t s, uint64_t position)
{
    return position == 0 || isfinite(es_like_span[s]);
}

/* A component of span s goes on by a token, and stays normal with variance 1: noise becomes what it is now. */
static void draw_move(float *component, float *noise, uint32_t count, uint32_t s, uint64_t position)
{
    const double span = es_like_span[s];
    if (position == 0) {
        memcpy(component, noise, count * sizeof *component);
    } else if (span == 0.0) {
        for (uint32_t i = 0; i < count; i++) {
            const float now = noise[i];
            noise[i] = 0.70710678f * (component[i] + now);
            component[i] = now;
        }
    } else if (isfinite(span)) {
        const float keeps = (float)exp(-1.0 / span), moves = (float)sqrt(1.0 - exp(-2.0 / span));
        for (uint32_t i = 0; i < count; i++)
            component[i] = noise[i] = keeps * component[i] + moves * noise[i];
    } else {
        memcpy(noise, component, count * sizeof *component);
    }
}

static void draw_factors(es_like_draw *d, uint64_t request, uint64_t position)
{
    const es_likeness *like = d->like;
    const uint32_t count = like->factors;
    draw_normals(draw_stream(d, request, position, DRAW_FACTOR_ANEW), count, d->common);
    for (uint32_t f = 0; f < count; f++) {
        const double left = 1.0 - draw_sum(like->factor_memory + (size_t)f * ES_LIKE_SPANS);
        d->common[f] *= left > 0.0 ? (float)sqrt(left) : 0.0f;
    }
    for (uint32_t s = 0; s < ES_LIKE_SPANS; s++) {
        if (draw_moves(s, position))
            draw_normals(draw_stream(d, request, position, DRAW_PURPOSES + s), count, d->noise);
        draw_move(d->factor + (size_t)s * count, d->noise, count, s, position);
        for (uint32_t f = 0; f < count; f++)
            d->common[f] += (float)sqrt(like->factor_memory[(size_t)f * ES_LIKE_SPANS + s]) * d->noise[f];
    }
}

static void draw_own(es_like_draw *d, uint64_t request, uint64_t position)
{
    const es_likeness *like = d->like;
    for (uint32_t s = 0; s < ES_LIKE_SPANS; s++) {
        if (!d->used[s])
            continue;
        if (draw_moves(s, position))
            draw_normals(draw_stream(d, request, position, DRAW_PURPOSES + ES_LIKE_SPANS + s), d->cells, d->noise);
        draw_move(d->own + (size_t)s * d->cells, d->noise, d->cells, s, position);
        for (uint32_t l = 0, i = 0; l < like->layers; l++) {
            const float share = (float)sqrt(like->own_memory[(size_t)l * ES_LIKE_SPANS + s]);
            for (const uint32_t end = i + like->experts; i < end; i++)
                d->score[i] += share * d->noise[i];
        }
    }
}

/* Own parts as they would be now, in `score`, stay as they were with their layer's probability. */
static void draw_hold(es_like_draw *d, uint64_t request, uint64_t position)
{
    const es_likeness *like = d->like;
    const es_stream stream = draw_stream(d, request, position, DRAW_HOLD);
    for (uint32_t l = 0, i = 0; l < like->layers; l++) {
        const uint64_t holds = position == 0 ? 0 : (uint64_t)(like->hold[l] * 0x1p32);
        for (const uint32_t end = i + like->experts; i < end; i++) {
            if (es_mix(stream ^ i) >> 32 < holds)
                d->score[i] = d->held[i];
            d->held[i] = d->score[i];
        }
    }
}

/* The highest scores, best first; equals in the order of experts. */
static void draw_best(const float *score, uint32_t experts, uint32_t want, uint16_t *out)
{
    float best[ES_TRACE_TOP_K_MAX];
    for (uint32_t e = 0, have = 0; e < experts; e++) {
        if (have == want && !(score[e] > best[want - 1]))
            continue;
        uint32_t at = have < want ? have++ : want - 1;
        for (; at > 0 && score[e] > best[at - 1]; at--) {
            best[at] = best[at - 1];
            out[at] = out[at - 1];
        }
        best[at] = score[e];
        out[at] = (uint16_t)e;
    }
}

void es_like_draw_token(es_like_draw *d, uint64_t request, uint64_t position, uint16_t *ids)
{
    const es_likeness *like = d->like;
    draw_factors(d, request, position);
    draw_normals(draw_stream(d, request, position, DRAW_OWN_ANEW), d->cells, d->score);
    for (uint32_t i = 0; i < d->cells; i++)
        d->score[i] *= d->anew[i];
    if (d->holds) {
        draw_own(d, request, position);
        draw_hold(d, request, position);
    }
    for (uint32_t i = 0; i < d->cells; i++)
        d->score[i] -= (float)like->threshold[i];
    for (uint32_t f = 0; f < like->factors; f++) {
        const float *loading = like->loading + (size_t)f * d->cells, amount = d->common[f];
        for (uint32_t i = 0; i < d->cells; i++)
            d->score[i] += loading[i] * amount;
    }
    if (!d->holds)
        draw_own(d, request, position);
    for (uint32_t l = 0; l < like->layers; l++)
        draw_best(d->score + (size_t)l * like->experts, like->experts, like->top_k, ids + (size_t)l * like->top_k);
}

void es_like_draw_weights(const es_like_draw *d, uint64_t request, uint64_t position, float *weights)
{
    const es_likeness *like = d->like;
    const es_stream stream = draw_stream(d, request, position, DRAW_WEIGHT);
    for (uint32_t l = 0, i = 0; l < like->layers; l++) {
        double log_weight = 0.0, sum = 0.0, weight[ES_TRACE_TOP_K_MAX];
        for (uint32_t k = 0; k < like->top_k; k++, i++) {
            const double u = ((double)(es_mix(stream ^ i) >> 12) + 0.5) * 0x1p-52;
            log_weight += like->weight_gap[i] * log(u);
            sum += weight[k] = exp(log_weight);
        }
        for (uint32_t k = 0; k < like->top_k; k++)
            weights[(size_t)l * like->top_k + k] = (float)(weight[k] / sum * like->weight_sum[l]);
    }
}
