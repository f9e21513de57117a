/* Likeness, estimated: from a trace to the numbers of likeness.h.
 *
 *   popularity    how many tokens use an expert
 *   factors       principal components of the standardised uses, over all layers, by orthogonal iteration (Rutishauser 1970): as many as
 *                 have, found in one half of the trace, their variance in the other half too
 *   memory        likeness_memory.c
 *   weights       the mean distance of neighbouring ranks in ln weight, and the mean sum of a row */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_eigen.h>

#include "traces/likeness_inside.h"
#include "traces/requests.h"

enum {
    FIT_TOKENS = 32768,         /* most that correlations are taken from */
    FIT_TOKENS_LEAST = 64,
    FIT_TURNS = 12              /* of the iteration for factors */
};

static const double fit_communality = 0.9;      /* most of an expert's variance that factors may have */
static const double fit_variance = 1.5;         /* least of a direction that is a factor */

/* --- rows ----------------------------------------------------------------------------------------------------------------------- */

/* Whole requests, evenly spaced over the trace, until there are enough tokens; the last one may be cut. */
static void fit_choose(const es_requests *requests, const es_trace *trace, fit_rows *rows)
{
    const size_t row = (size_t)rows->layers * rows->top_k;
    const uint64_t apart = trace->tokens > FIT_TOKENS ? (trace->tokens + FIT_TOKENS - 1) / FIT_TOKENS : 1;
    for (uint32_t r = 0; r < requests->count; r++)
        for (uint64_t i = requests->begin[r]; i < requests->begin[r + 1] && rows->tokens < FIT_TOKENS; i++) {
            if (requests->count >= 2 * apart && r % apart != 0)
                continue;
            memcpy(rows->ids + rows->tokens * row, trace->ids + requests->token[i] * row, row * sizeof *rows->ids);
            rows->request[rows->tokens++] = r;
        }
}

static void fit_lengths(const es_requests *requests, es_likeness *like)
{
    for (uint32_t r = 0; r < like->lengths; r++)
        like->length[r] = (es_like_length){ requests->prompt[r], (uint32_t)(requests->begin[r + 1] - requests->begin[r]) - requests->prompt[r] };
}

static uint32_t fit_requests(const es_trace *trace)
{
    return trace->info.requests < ES_LIKE_LENGTHS ? (uint32_t)trace->info.requests : ES_LIKE_LENGTHS;
}

es_code es_likeness_lengths(es_likeness *like, const es_trace *trace, es_arena *arena, es_err *err)
{
    es_requests requests;
    like->lengths = fit_requests(trace);
    like->length = ES_NEW_ARRAY(arena, like->lengths, es_like_length);
    es_code code = like->length ? es_requests_of(&requests, trace, arena, err) : es_err_nomem(err, "a fit");
    if (code == ES_OK)
        fit_lengths(&requests, like);
    return code;
}

static es_code fit_read(fit_work *w, const es_trace *trace, es_arena *arena, es_err *err)
{
    const uint64_t kept = trace->tokens < FIT_TOKENS ? trace->tokens : FIT_TOKENS;
    const es_trace_info *info = &trace->info;
    es_requests requests;
    w->rows = (fit_rows){ .layers = info->layers, .experts = info->experts, .top_k = info->top_k };
    w->rows.ids = ES_NEW_ARRAY(arena, kept * info->layers * info->top_k, uint16_t);
    w->rows.request = ES_NEW_ARRAY(arena, kept, uint32_t);
    if (!w->rows.ids || !w->rows.request)
        return es_err_nomem(err, "a fit");
    es_code code = es_requests_of(&requests, trace, arena, err);
    if (code == ES_OK) {
        fit_lengths(&requests, w->like);
        fit_choose(&requests, trace, &w->rows);
    }
    return code;
}

/* --- popularity and weights ----------------------------------------------------------------------------------------------------- */

/* An expert that was never met is taken to be met by the quarter of a token. */
static void fit_popularity(const es_trace *trace, es_likeness *like)
{
    const size_t row = (size_t)like->layers * like->top_k;
    for (uint64_t t = 0; t < trace->tokens; t++)
        for (size_t i = 0; i < row; i++)
            if (trace->ids[t * row + i] != ES_NO_EXPERT)
                like->popularity[i / like->top_k * like->experts + trace->ids[t * row + i]] += 1.0;
    for (size_t i = 0; i < (size_t)like->layers * like->experts; i++) {
        const double uses = like->popularity[i] > 0.0 ? like->popularity[i] : 0.25, share = uses / (double)trace->tokens;
        like->popularity[i] = share < 0.9999 ? share : 0.9999;
        like->threshold[i] = gsl_cdf_ugaussian_Qinv(like->popularity[i]);
    }
}

static int fit_falling(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

static void fit_weights(const es_trace *trace, es_likeness *like)
{
    const uint32_t k = like->top_k;
    double weight[ES_TRACE_TOP_K_MAX];
    for (uint32_t l = 0; l < like->layers; l++) {
        double *gap = like->weight_gap + (size_t)l * k, sums = 0.0, rows = 0.0;
        for (uint64_t t = 0; t < trace->tokens; t++) {
            const float *from = trace->weights + (t * like->layers + l) * k;
            uint32_t good = 0;
            for (uint32_t i = 0; i < k && trace->ids[(t * like->layers + l) * k + i] != ES_NO_EXPERT && from[i] > 0.0f; i++)
                weight[good++] = (double)from[i];
            if (good < k)
                continue;               /* short, unknown, or a weight of 0 */
            qsort(weight, k, sizeof *weight, fit_falling);
            for (uint32_t i = 0; i < k; i++) {
                sums += weight[i];
                gap[i] += i > 0 ? log(weight[i - 1] / weight[i]) : 0.0;
            }
            rows += 1.0;
        }
        like->weight_sum[l] = rows > 0.0 ? sums / rows : 1.0;
        for (uint32_t i = 0; i < k && rows > 0.0; i++)
            gap[i] /= rows;
    }
}

/* --- factors -------------------------------------------------------------------------------------------------------------------- */

/* The score of a row in a direction: sum over its experts, standardised. */
static double fit_score(const fit_work *w, const uint16_t *row, const double *direction, double middle)
{
    const uint32_t k = w->rows.top_k, experts = w->rows.experts;
    double sum = -middle;
    for (uint32_t l = 0, base = 0; l < w->rows.layers; l++, base += experts, row += k)
        for (uint32_t i = 0; i < k && row[i] != ES_NO_EXPERT; i++)
            sum += direction[base + row[i]] / w->spread[base + row[i]];
    return sum;
}

static double fit_middle(const fit_work *w, const double *direction)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < w->cells; i++)
        sum += w->mean[i] / w->spread[i] * direction[i];
    return sum;
}

/* out = (correlation matrix of the uses in these rows) * direction, without making the matrix. */
static void fit_times(const fit_work *w, const fit_rows *rows, const double *direction, double *out)
{
    const uint32_t k = rows->top_k, experts = rows->experts;
    const size_t width = (size_t)rows->layers * k;
    const double middle = fit_middle(w, direction);
    double all = 0.0;
    memset(out, 0, w->cells * sizeof *out);
    for (uint64_t t = 0; t < rows->tokens; t++) {
        const uint16_t *row = rows->ids + t * width;
        const double score = fit_score(w, row, direction, middle);
        all += score;
        for (uint32_t l = 0, base = 0; l < rows->layers; l++, base += experts, row += k)
            for (uint32_t i = 0; i < k && row[i] != ES_NO_EXPERT; i++)
                out[base + row[i]] += score;
    }
    for (uint32_t i = 0; i < w->cells; i++)
        out[i] = (out[i] - w->mean[i] * all) / w->spread[i] / (double)rows->tokens;
}

static double fit_dot(const double *a, const double *b, uint32_t count)
{
    double sum = 0.0;
    for (uint32_t i = 0; i < count; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Makes the rows of v orthonormal (Gram and Schmidt, twice for accuracy). */
static void fit_orthonormal(double *v, uint32_t count, uint32_t cells)
{
    for (uint32_t a = 0; a < count; a++) {
        double *row = v + (size_t)a * cells;
        for (uint32_t b = 0; b < 2 * a; b++) {
            const double *other = v + (size_t)(b % a) * cells;
            const double part = fit_dot(row, other, cells);
            for (uint32_t i = 0; i < cells; i++)
                row[i] -= part * other[i];
        }
        const double length = sqrt(fit_dot(row, row, cells));
        for (uint32_t i = 0; i < cells && length > 0.0; i++)
            row[i] /= length;
    }
}

/* Turns the basis v into eigenvectors within its space, the greatest first; av is scratch of its size and holds A v. */
static es_code fit_ritz(double *v, double *av, double *value, uint32_t count, uint32_t cells, es_err *err)
{
    gsl_matrix *m = gsl_matrix_alloc(count, count), *turn = gsl_matrix_alloc(count, count);
    gsl_vector *values = gsl_vector_alloc(count);
    gsl_eigen_symmv_workspace *work = gsl_eigen_symmv_alloc(count);
    if (m && turn && values && work) {
        for (uint32_t a = 0; a < count; a++)
            for (uint32_t b = 0; b < count; b++)
                gsl_matrix_set(m, a, b, 0.5 * (fit_dot(v + (size_t)a * cells, av + (size_t)b * cells, cells) + fit_dot(v + (size_t)b * cells, av + (size_t)a * cells, cells)));
        gsl_eigen_symmv(m, values, turn, work);
        gsl_eigen_symmv_sort(values, turn, GSL_EIGEN_SORT_VAL_DESC);
        memcpy(av, v, (size_t)count * cells * sizeof *v);
        memset(v, 0, (size_t)count * cells * sizeof *v);
        for (uint32_t a = 0; a < count; a++) {
            value[a] = gsl_vector_get(values, a);
            for (uint32_t b = 0; b < count; b++) {
                const double part = gsl_matrix_get(turn, b, a);
                for (uint32_t i = 0; i < cells; i++)
                    v[(size_t)a * cells + i] += part * av[(size_t)b * cells + i];
            }
        }
    }
    const es_code code = m && turn && values && work ? ES_OK : es_err_nomem(err, "a fit");
    gsl_matrix_free(m);
    gsl_matrix_free(turn);
    gsl_vector_free(values);
    gsl_eigen_symmv_free(work);
    return code;
}

/* The first directions [count][cells] of these rows, and their eigenvalues. */
static es_code fit_directions(const fit_work *w, const fit_rows *rows, uint32_t count, double *v, double *av, double *value, es_err *err)
{
    const uint32_t cells = w->cells;
    const es_stream stream = es_stream_of(1, 0, "like", "directions");
    es_code code = ES_OK;
    for (size_t i = 0; i < (size_t)count * cells; i++)
        v[i] = es_draw_real(stream, i, 0, 0, 0) - 0.5;
    for (uint32_t turn = 0; turn < FIT_TURNS && code == ES_OK; turn++) {
        fit_orthonormal(v, count, cells);
        for (uint32_t f = 0; f < count; f++)
            fit_times(w, rows, v + (size_t)f * cells, av + (size_t)f * cells);
        if (turn + 1 < FIT_TURNS)
            memcpy(v, av, (size_t)count * cells * sizeof *v);
        else
            code = fit_ritz(v, av, value, count, cells, err);
    }
    return code;
}

/* As many as matter: what varies in a direction of the first half of the rows does so in the second half too, and is not noise, however
 * long that lasts. (A direction of noise has variance 1.) */
static es_code fit_components(const fit_work *w, uint32_t *count, double *v, double *av, double *value, es_err *err)
{
    const size_t width = (size_t)w->rows.layers * w->rows.top_k;
    const uint64_t half = w->rows.tokens / 2;
    fit_rows first = w->rows, second = w->rows;
    first.tokens = half;
    second.tokens -= half;
    second.ids += half * width;
    es_code code = fit_directions(w, &first, *count, v, av, value, err);
    uint32_t kept = 0;
    for (uint32_t f = 0; f < *count && code == ES_OK; f++) {
        fit_times(w, &second, v + (size_t)f * w->cells, av);
        kept += fit_dot(v + (size_t)f * w->cells, av, w->cells) >= fit_variance && value[f] >= fit_variance;
    }
    *count = kept;
    return code == ES_OK && kept > 0 ? fit_directions(w, &w->rows, kept, v, av, value, err) : code;
}

/* Loadings in terms of the latent scores: a use tells of its score as a step tells of a normal, hence sqrt(p (1 - p)) / density. */
static void fit_loadings(fit_work *w, const double *v, const double *value)
{
    es_likeness *like = w->like;
    for (uint32_t i = 0; i < w->cells; i++) {
        const double density = exp(-0.5 * like->threshold[i] * like->threshold[i]) * 0.39894228040143268;
        double squares = 0.0;
        for (uint32_t f = 0; f < like->factors; f++)
            squares += v[(size_t)f * w->cells + i] * v[(size_t)f * w->cells + i] * value[f];
        const double amplify = w->spread[i] / density, communality = squares * amplify * amplify;
        const double scale = communality > fit_communality ? sqrt(fit_communality / squares) : amplify;
        for (uint32_t f = 0; f < like->factors; f++) {
            const double loading = v[(size_t)f * w->cells + i] * sqrt(value[f]) * scale;
            like->loading[(size_t)f * w->cells + i] = (float)loading;
            w->share[(size_t)(i / like->experts) * like->factors + f] += loading * loading / like->experts;
        }
    }
}

/* Autocorrelation of each factor's scores; what is noise in them is independent from token to token and is taken out. */
static es_code fit_factor_memory(fit_work *w, const double *v, const double *value, es_err *err)
{
    const uint64_t tokens = w->rows.tokens;
    const size_t width = (size_t)w->rows.layers * w->rows.top_k;
    double *score = malloc(tokens * sizeof *score);
    if (!score)
        return es_err_nomem(err, "a fit");
    for (uint32_t f = 0; f < w->like->factors; f++) {
        const double *direction = v + (size_t)f * w->cells, middle = fit_middle(w, direction);
        for (uint64_t t = 0; t < tokens; t++)
            score[t] = fit_score(w, w->rows.ids + t * width, direction, middle);
        for (uint32_t g = 0; g < FIT_LAGS; g++) {
            double sum = 0.0, pairs = 0.0;
            for (uint64_t t = fit_lag[g]; t < tokens; t++)
                if (w->rows.request[t] == w->rows.request[t - fit_lag[g]]) {
                    sum += score[t] * score[t - fit_lag[g]];
                    pairs += 1.0;
                }
            const double before = g > 0 ? w->factor_seen[(size_t)f * FIT_LAGS + g - 1] : 0.0;
            const double r = pairs >= FIT_PAIRS_LEAST ? sum / pairs / (value[f] - 1.0) : before;
            w->factor_seen[(size_t)f * FIT_LAGS + g] = r > 0.0 ? r < 1.0 ? r : 1.0 : 0.0;
        }
    }
    free(score);
    return ES_OK;
}

static es_code fit_factors(fit_work *w, es_arena *arena, es_err *err)
{
    es_likeness *like = w->like;
    const size_t all = (size_t)ES_LIKE_FACTORS * w->cells;
    double *v = malloc(all * sizeof *v), *av = malloc(all * sizeof *av), value[ES_LIKE_FACTORS];
    uint32_t count = w->cells / 4 < ES_LIKE_FACTORS ? w->cells / 4 : ES_LIKE_FACTORS;
    es_code code = v && av ? fit_components(w, &count, v, av, value, err) : es_err_nomem(err, "a fit");
    like->factors = count;
    w->share = ES_NEW_ARRAY(arena, (size_t)like->layers * count, double);
    w->factor_seen = ES_NEW_ARRAY(arena, (size_t)count * FIT_LAGS, double);
    if (code == ES_OK && (!w->share || !w->factor_seen))
        code = es_err_nomem(err, "a fit");
    if (code == ES_OK) {
        fit_loadings(w, v, value);
        code = fit_factor_memory(w, v, value, err);
    }
    free(v);
    free(av);
    return code;
}

/* --- all of it ------------------------------------------------------------------------------------------------------------------ */

static es_code fit_shape(es_likeness *like, const es_trace *trace, es_arena *arena, es_err *err)
{
    const es_trace_info *info = &trace->info;
    es_trace_info *copy = ES_NEW(arena, es_trace_info);
    es_code code = copy ? es_trace_copy_info(copy, info, arena, err) : es_err_nomem(err, "a fit");
    if (code)
        return code;
    *like = (es_likeness){ .layers = info->layers, .experts = info->experts, .top_k = info->top_k, .factors = ES_LIKE_FACTORS, .layer_number = copy->layer_number,
        .expert_bytes = copy->expert_bytes, .dense_bytes = copy->dense_bytes, .model = copy->model,
        .lengths = fit_requests(trace) };
    code = es_likeness_make(like, arena, err);
    if (code == ES_OK && !trace->keeps_weights)
        like->weight_sum = NULL;
    return code;
}

static es_code fit_work_make(fit_work *w, es_arena *arena, es_err *err)
{
    const size_t lags = (size_t)w->like->layers * FIT_LAGS;
    w->cells = w->like->layers * w->like->experts;
    w->mean = ES_NEW_ARRAY(arena, w->cells, double);
    w->spread = ES_NEW_ARRAY(arena, w->cells, double);
    w->grid = ES_NEW_ARRAY(arena, (size_t)w->like->layers * ES_MOMENTS_GRID, double);
    w->aim = ES_NEW_ARRAY(arena, lags, double);
    w->seen = ES_NEW_ARRAY(arena, lags, double);
    w->drawn = ES_NEW_ARRAY(arena, lags, double);
    w->stay = ES_NEW_ARRAY(arena, w->like->layers, double);
    w->stay_drawn = ES_NEW_ARRAY(arena, w->like->layers, double);
    if (!w->mean || !w->spread || !w->grid || !w->aim || !w->seen || !w->drawn || !w->stay || !w->stay_drawn)
        return es_err_nomem(err, "a fit");
    for (uint32_t g = 0; g < FIT_LAGS; g++)
        for (uint32_t s = 0; s < ES_LIKE_SPANS; s++)
            w->span[g][s] = es_like_left(s, fit_lag[g]);
    return ES_OK;
}

es_code es_likeness_fit(es_likeness *like, const es_trace *trace, es_arena *arena, es_err *err)
{
    fit_work w = { .like = like };
    if (trace->tokens < FIT_TOKENS_LEAST)
        return es_err_set(err, ES_EINPUT, "%llu tokens tell nothing about routing; a fit needs at least %d", (unsigned long long)trace->tokens, FIT_TOKENS_LEAST);
    es_code code = fit_shape(like, trace, arena, err);
    if (code == ES_OK)
        code = fit_work_make(&w, arena, err);
    if (code == ES_OK)
        code = fit_read(&w, trace, arena, err);
    if (code)
        return code;
    fit_popularity(trace, like);
    if (like->weight_sum)
        fit_weights(trace, like);
    for (uint32_t i = 0; i < w.cells; i++) {
        w.mean[i] = like->popularity[i];
        w.spread[i] = sqrt(like->popularity[i] * (1.0 - like->popularity[i]));
    }
    for (uint32_t l = 0; l < like->layers; l++)
        es_both_above(like->threshold + (size_t)l * like->experts, like->experts, w.grid + (size_t)l * ES_MOMENTS_GRID);
    code = fit_factors(&w, arena, err);
    return code == ES_OK ? es_likeness_memory(&w, arena, err) : code;
}
