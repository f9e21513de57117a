/* Noise: see noise.h. */
#include "models/noise.h"

#include <math.h>

#include "models/affine.h"

es_code es_noise_init(es_noise *noise, const char *part, const es_site *site, es_err *err)
{
    noise->stream = es_stream_of(site->seed, site->replication, site->path, part);
    es_code code = es_fit_parse_noise(&noise->fit, noise->json, site->arena, err);
    return code ? (es_err_at(err, "noise"), code) : ES_OK;
}

static double noise_uniform(const es_noise *noise, const es_op *op, uint64_t n)
{
    return es_draw_real(noise->stream + n, op->step, (uint64_t)op->kind, op->object, op->occurrence);
}

/* The quantile at u of a distribution known at 0, 1/32 ... 1. */
static double noise_quantile(const es_reals *q, double u)
{
    double place = u * (double)(q->count - 1);
    size_t at = (size_t)place;
    return at + 1 < q->count ? q->at[at] + (place - (double)at) * (q->at[at + 1] - q->at[at]) : q->at[q->count - 1];
}

static double noise_factor(const es_noise *noise, const es_op *op)
{
    double bytes = (double)op->bytes / (op->count ? op->count : 1);
    size_t class = 0;
    while (class + 1 < noise->fit.noises && noise->fit.noise[class].below_bytes > 0.0 && bytes >= noise->fit.noise[class].below_bytes)
        class++;
    return exp(noise_quantile(&noise->fit.noise[class].log_quantile, noise_uniform(noise, op, 0)));
}

es_cost es_noise_cost(const es_noise *noise, es_cost cost, const es_op *op)
{
    double seconds = (double)(cost.fixed + cost.work) / 1e9, factor = noise_factor(noise, op);
    bool stalls = noise->fit.stall_hz > 0.0 && noise_uniform(noise, op, 1) < -expm1(-noise->fit.stall_hz * seconds);
    es_time stall = stalls ? es_affine_term(1e9 * noise_quantile(&noise->fit.stall_s, noise_uniform(noise, op, 2))) : 0;
    return (es_cost){es_affine_term((double)cost.fixed * factor) + stall, es_affine_term((double)cost.work * factor)};
}
