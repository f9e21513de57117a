/* Likeness, estimated: memory.
 *
 *   of a factor   the autocorrelation of its scores
 *   of an expert  at how many tokens' distance it is used twice how often, told as a correlation of normals
 *   rounds        choosing the top-k of scores is not the same as comparing each with its threshold. So the process is drawn, its
 *                 popularity and correlations are measured as the trace's were, and thresholds and memory are moved by the difference
 *   holding       scores that jump, where they do: how many experts stay that have just come
 *
 * Memory is told as shares of components of given spans, none negative. */
#include <math.h>
#include <string.h>

#include "traces/likeness_inside.h"

enum {
    FIT_ROUNDS = 5,
    FIT_HOLDS = 2,              /* times that holding is moved */
    FIT_DRAWN = 40, FIT_DRAWN_TOKENS = 300      /* requests that are drawn for correlations, and their length */
};

const uint32_t fit_lag[FIT_LAGS] = { 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256 };
/* What an expert does by itself is told by fewer spans, for each of them costs a draw per expert and token. */
static const bool fit_own_span[ES_LIKE_SPANS] = { true, false, true, true, false, true, false, false, true, true };
static const double fit_excess = 0.03;          /* of newcomers that stay, for scores to jump; recorded traces have -0.02 to 0.00 */

/* --- memory --------------------------------------------------------------------------------------------------------------------- */

/* How often an expert is used at both ends of a distance, of those that moved on between; the others stayed, and use it at both or at none. */
static double fit_moved(const fit_work *w, uint32_t layer, uint32_t lag, double both)
{
    const double stayed = w->like->hold[layer] > 0.0 ? pow(w->like->hold[layer], fit_lag[lag]) : 0.0;
    return (both - stayed * w->rows.top_k / w->rows.experts) / (1.0 - stayed);
}

/* For each layer and distance: how often an expert is used at both ends, as a correlation of scores. */
static void fit_correlations(const fit_work *w, const fit_rows *rows, double *out)
{
    const uint32_t k = rows->top_k, layers = rows->layers;
    const size_t width = (size_t)layers * k;
    for (uint32_t l = 0; l < layers; l++)
        for (uint32_t g = 0; g < FIT_LAGS; g++) {
            double both = 0.0, pairs = 0.0;
            for (uint64_t t = fit_lag[g]; t < rows->tokens; t++) {
                if (rows->request[t] != rows->request[t - fit_lag[g]])
                    continue;
                const uint16_t *now = rows->ids + t * width + (size_t)l * k, *then = now - fit_lag[g] * width;
                pairs += 1.0;
                for (uint32_t i = 0; i < k && now[i] != ES_NO_EXPERT; i++)
                    for (uint32_t j = 0; j < k && then[j] != ES_NO_EXPERT; j++)
                        both += now[i] == then[j] ? 1.0 : 0.0;
            }
            const double before = g > 0 ? out[(size_t)l * FIT_LAGS + g - 1] : 0.0;
            out[(size_t)l * FIT_LAGS + g] = pairs < FIT_PAIRS_LEAST ? before
                : es_correlation_of(w->grid + (size_t)l * ES_MOMENTS_GRID, fit_moved(w, l, g, both / pairs / rows->experts));
        }
}

static bool fit_lists(const uint16_t *row, uint32_t top_k, uint16_t id)
{
    for (uint32_t i = 0; i < top_k; i++)
        if (row[i] == id)
            return true;
    return false;
}

/* For each layer: of the experts that a token uses and the one before did not, the share that the next one uses too. */
static void fit_newcomers(const fit_rows *rows, double *out)
{
    const uint32_t k = rows->top_k, layers = rows->layers;
    const size_t width = (size_t)layers * k;
    for (uint32_t l = 0; l < layers; l++) {
        double came = 0.0, stayed = 0.0;
        for (uint64_t t = 2; t < rows->tokens; t++) {
            if (rows->request[t] != rows->request[t - 2])
                continue;
            const uint16_t *next = rows->ids + t * width + (size_t)l * k, *now = next - width, *before = now - width;
            for (uint32_t i = 0; i < k && now[i] != ES_NO_EXPERT; i++)
                if (!fit_lists(before, k, now[i])) {
                    came += 1.0;
                    stayed += fit_lists(next, k, now[i]);
                }
        }
        out[l] = came >= FIT_PAIRS_LEAST ? stayed / came : 0.0;
    }
}

/* From correlations to shares of spans: factors first, the rest is the experts' own. */
static void fit_solve(fit_work *w)
{
    es_likeness *like = w->like;
    double target[FIT_LAGS], own[FIT_LAGS][ES_LIKE_SPANS] = {{0}};
    for (uint32_t f = 0; f < like->factors; f++) {
        for (uint32_t g = 0; g < FIT_LAGS; g++)
            target[g] = fmin(1.0, w->scale[g] * w->factor_seen[(size_t)f * FIT_LAGS + g]);
        es_nonnegative(&w->span[0][0], target, FIT_LAGS, ES_LIKE_SPANS, 0.995, like->factor_memory + (size_t)f * ES_LIKE_SPANS);
    }
    for (uint32_t g = 0; g < FIT_LAGS; g++)
        for (uint32_t s = 0; s < ES_LIKE_SPANS; s++)
            own[g][s] = fit_own_span[s] ? w->span[g][s] : 0.0;
    for (uint32_t l = 0; l < like->layers; l++) {
        double left = 1.0;
        for (uint32_t f = 0; f < like->factors; f++)
            left -= w->share[(size_t)l * like->factors + f];
        for (uint32_t g = 0; g < FIT_LAGS; g++) {
            target[g] = w->aim[(size_t)l * FIT_LAGS + g];
            for (uint32_t f = 0; f < like->factors; f++)
                for (uint32_t s = 0; s < ES_LIKE_SPANS; s++)
                    target[g] -= w->share[(size_t)l * like->factors + f] * like->factor_memory[(size_t)f * ES_LIKE_SPANS + s] * w->span[g][s];
            target[g] = fmax(0.0, target[g]);
        }
        es_nonnegative(&own[0][0], target, FIT_LAGS, ES_LIKE_SPANS, 0.98 * left, like->own_memory + (size_t)l * ES_LIKE_SPANS);
    }
}

/* --- rounds --------------------------------------------------------------------------------------------------------------------- */

static void fit_draw(es_like_draw *d, fit_rows *to)
{
    const size_t width = (size_t)to->layers * to->top_k;
    for (to->tokens = 0; to->tokens < FIT_DRAWN * FIT_DRAWN_TOKENS; to->tokens++) {
        to->request[to->tokens] = (uint32_t)(to->tokens / FIT_DRAWN_TOKENS);
        es_like_draw_token(d, to->request[to->tokens], to->tokens % FIT_DRAWN_TOKENS, to->ids + to->tokens * width);
    }
}

/* Factors are moved by the ratio of both correlations at a distance, over all layers. */
static void fit_rescale(fit_work *w)
{
    for (uint32_t g = 0; g < FIT_LAGS; g++) {
        double seen = 0.0, drawn = 0.0;
        for (uint32_t l = 0; l < w->like->layers; l++) {
            seen += w->seen[(size_t)l * FIT_LAGS + g];
            drawn += w->drawn[(size_t)l * FIT_LAGS + g];
        }
        w->scale[g] *= drawn > 0.0 ? fmin(1.25, fmax(0.8, seen / drawn)) : 1.0;
    }
}

/* Solved for what holding leaves, and moved until what is drawn has it; `rows` are of the last but one draw. */
static es_code fit_rounds(fit_work *w, es_like_draw *d, fit_rows *rows, es_err *err)
{
    es_likeness *like = w->like;
    es_code code = ES_OK;
    fit_correlations(w, &w->rows, w->seen);
    memcpy(w->aim, w->seen, (size_t)like->layers * FIT_LAGS * sizeof *w->aim);
    for (uint32_t g = 0; g < FIT_LAGS; g++)
        w->scale[g] = 1.0;
    fit_solve(w);
    es_like_draw_again(d);
    for (uint32_t round = 0; round < FIT_ROUNDS && code == ES_OK; round++) {
        code = es_likeness_settle(like, d, round, err);
        if (code || round + 1 == FIT_ROUNDS)
            break;
        fit_draw(d, rows);
        fit_correlations(w, rows, w->drawn);
        for (size_t i = 0; i < (size_t)like->layers * FIT_LAGS; i++)
            w->aim[i] += w->seen[i] - w->drawn[i];
        fit_rescale(w);
        fit_solve(w);
        es_like_draw_again(d);
    }
    return code;
}

/* --- holding -------------------------------------------------------------------------------------------------------------------- */

/* How often an expert that is used is used at any other time. */
static double fit_met_again(const es_likeness *like, uint32_t layer)
{
    const double *p = like->popularity + (size_t)layer * like->experts;
    double sum = 0.0, squares = 0.0;
    for (uint32_t e = 0; e < like->experts; e++) {
        sum += p[e];
        squares += p[e] * p[e];
    }
    return squares / sum;
}

/* A newcomer's score is just above its threshold, so where scores move a little at every token it soon falls below again. Where more of them
 * stay than that gives, scores jump: an expert's own part stays as it is, or is drawn anew. With a share q that would stay anyway, hold +
 * (1 - hold) q stay: from what was drawn follows q, which is at first that of a score without memory, and from the trace how many are
 * held. false: none is. */
static bool fit_hold(fit_work *w, const fit_rows *rows)
{
    es_likeness *like = w->like;
    double excess = 0.0;
    fit_newcomers(rows, w->stay_drawn);
    for (uint32_t l = 0; l < like->layers; l++)
        excess += (w->stay[l] - w->stay_drawn[l]) / like->layers;
    if (like->hold[0] == 0.0 && excess < fit_excess)
        return false;
    for (uint32_t l = 0; l < like->layers; l++) {
        const double anyway = like->hold[l] > 0.0 ? (w->stay_drawn[l] - like->hold[l]) / (1.0 - like->hold[l]) : fit_met_again(like, l);
        like->hold[l] = fmin(0.99, fmax(1e-4, (w->stay[l] - anyway) / (1.0 - anyway)));
    }
    return true;
}

es_code es_likeness_memory(fit_work *w, es_arena *arena, es_err *err)
{
    es_likeness *like = w->like;
    es_like_draw d;
    const uint32_t most = FIT_DRAWN * FIT_DRAWN_TOKENS;
    fit_rows rows = { .layers = like->layers, .experts = like->experts, .top_k = like->top_k };
    rows.ids = ES_NEW_ARRAY(arena, (size_t)most * like->layers * like->top_k, uint16_t);
    rows.request = ES_NEW_ARRAY(arena, most, uint32_t);
    es_code code = rows.ids && rows.request ? es_like_draw_init(&d, like, 1, arena, err) : es_err_nomem(err, "a fit");
    if (code == ES_OK)
        code = fit_rounds(w, &d, &rows, err);
    fit_newcomers(&w->rows, w->stay);
    for (uint32_t turn = 0; turn < FIT_HOLDS && code == ES_OK && fit_hold(w, &rows); turn++)
        code = fit_rounds(w, &d, &rows, err);
    return code;
}
