/* Empirical timing: a piecewise cost with the noise that was measured around it: T = cost * exp(e) + S.
 *
 * e is drawn from the quantiles of the object's class of size, by inversion; a stall S comes with probability 1 - exp(-rate * cost)
 * and has quantiles of its own. Unlike jitter, the mean is not kept: noise of a machine is one-sided, and what it costs belongs to
 * the answer. Draws are by counter over (step, kind, object, occurrence), so two policies that do the same copy meet the same noise. */
#include <math.h>
#include <stddef.h>

#include "models/affine.h"
#include "models/piecewise.h"
#include "models/profile_fit.h"

typedef struct empirical {
    es_piecewise base;
    const es_json *noise;
    es_fit fit;                 /* only its noise is set */
    es_stream stream;
} empirical;

static const es_option empirical_options[] = {
    ES_PIECEWISE_OPTIONS(empirical, base),
    {.name = "noise", .type = ES_OPT_JSON, .offset = offsetof(empirical, noise), .required = true,
        .help = "As calibration writes it: {classes: [{below_B, log_quantiles}], stall: {rate_Hz, quantiles_s}}."},
    {0},
};

static es_code empirical_init(void *self, const es_site *site, es_err *err)
{
    empirical *e = self;
    e->stream = es_stream_of(site->seed, site->replication, site->path, "empirical");
    es_code code = es_piecewise_init(&e->base, site->arena, err);
    if (code == ES_OK && (code = es_fit_parse_noise(&e->fit, e->noise, site->arena, err)) != ES_OK)
        es_err_at(err, "noise");
    return code;
}

static double empirical_uniform(const empirical *e, const es_op *op, uint64_t n)
{
    return es_draw_real(e->stream + n, op->step, (uint64_t)op->kind, op->object, op->occurrence);
}

/* The quantile at u of a distribution known at 0, 1/32 ... 1. */
static double empirical_quantile(const es_reals *q, double u)
{
    double place = u * (double)(q->count - 1);
    size_t at = (size_t)place;
    return at + 1 < q->count ? q->at[at] + (place - (double)at) * (q->at[at + 1] - q->at[at]) : q->at[q->count - 1];
}

static double empirical_factor(const empirical *e, const es_op *op)
{
    double bytes = (double)op->bytes / (op->count ? op->count : 1);
    size_t class = 0;
    while (class + 1 < e->fit.noises && e->fit.noise[class].below_bytes > 0.0 && bytes >= e->fit.noise[class].below_bytes)
        class++;
    return exp(empirical_quantile(&e->fit.noise[class].log_quantile, empirical_uniform(e, op, 0)));
}

static es_cost empirical_cost(void *self, const es_op *op)
{
    const empirical *e = self;
    es_cost cost = es_piecewise_cost(&e->base, op);
    double seconds = (double)(cost.fixed + cost.work) / 1e9, factor = empirical_factor(e, op);
    bool stalls = e->fit.stall_hz > 0.0 && empirical_uniform(e, op, 1) < -expm1(-e->fit.stall_hz * seconds);
    es_time stall = stalls ? es_affine_term(1e9 * empirical_quantile(&e->fit.stall_s, empirical_uniform(e, op, 2))) : 0;
    return (es_cost){es_affine_term((double)cost.fixed * factor) + stall, es_affine_term((double)cost.work * factor)};
}

const es_timing es_timing_empirical = {
    .part = {
        .abi = ES_ABI,
        .name = "empirical",
        .brief = "A piecewise cost with the noise and the stalls that were measured.",
        .options = empirical_options,
        .size = sizeof(empirical),
        .init = empirical_init,
        .flags = ES_TIMING_DRAWS,
    },
    .cost = empirical_cost,
};
