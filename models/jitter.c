/* Jitter timing: an affine cost times a random factor of mean 1.
 *
 * The mean stays that of the affine cost, so switching jitter on tells what variation does, not what a slower machine would.
 * Fixed time and work share one factor: it stands for the operation as a whole. Draws are by counter over (step, kind, object,
 * occurrence), so two policies that do the same copy see the same factor.
 *
 * Measured noise is a narrow body plus rare stalls of milliseconds; lognormal or gamma describe the body only. */
#include "models/affine.h"

#include <gsl/gsl_cdf.h>
#include <math.h>

typedef enum jitter_kind { JITTER_LOGNORMAL, JITTER_GAMMA } jitter_kind;

typedef struct jitter {
    es_affine base;
    int distribution;           /* jitter_kind */
    double cv;                  /* standard deviation over mean */
    double sigma;               /* lognormal: of the logarithm */
    es_stream stream;
} jitter;

static const char *const jitter_distributions[] = { "lognormal", "gamma", NULL };

static const es_option jitter_options[] = {
    ES_AFFINE_OPTIONS(jitter, base),
    { .name = "distribution", .type = ES_OPT_ENUM, .offset = offsetof(jitter, distribution), .choices = jitter_distributions,
      .help = "Of the factor: lognormal (longer tail) or gamma." },
    { .name = "cv", .type = ES_OPT_REAL, .offset = offsetof(jitter, cv), .def = 0.1, .max = 3,
      .help = "Coefficient of variation of the factor, whose mean is 1; 0: no jitter." },
    { 0 },
};

static es_code jitter_init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    jitter *j = self;
    j->stream = es_stream_of(site->seed, site->replication, site->path, "jitter");
    /* exp(sigma z - sigma^2 / 2) has mean 1 and variance exp(sigma^2) - 1. */
    j->sigma = sqrt(log1p(j->cv * j->cv));
    return ES_OK;
}

/* The n-th uniform draw of one operation, in (0, 1): half a step up, so that its logarithm and quantile exist. */
static double jitter_uniform(const jitter *j, const es_op *op, uint64_t n)
{
    return es_draw_real(j->stream + n, op->step, (uint64_t)op->kind, op->object, op->occurrence) + 0x1p-54;
}

/* Gamma of mean 1 by rejection (Marsaglia and Tsang 2000; a shape below 1 by their boost). GSL's inverse of the gamma
 * distribution is not used: where it fails to converge it calls an error handler that aborts. */
static double jitter_gamma(const jitter *j, const es_op *op)
{
    double shape = 1.0 / (j->cv * j->cv), boost = 1.0;
    if (shape < 1.0) {
        boost = pow(jitter_uniform(j, op, 0), 1.0 / shape);
        shape += 1.0;
    }
    double d = shape - 1.0 / 3.0, c = 1.0 / sqrt(9.0 * d), v = 1.0;
    for (uint64_t n = 1; n < 128; n += 2) {     /* accepts 95 of 100 and more; the bound is there to have one */
        double z = gsl_cdf_ugaussian_Pinv(jitter_uniform(j, op, n));
        v = 1.0 + c * z;
        if (v <= 0.0)
            continue;
        v = v * v * v;
        if (log(jitter_uniform(j, op, n + 1)) < 0.5 * z * z + d - d * v + d * log(v))
            break;
    }
    return boost * d * v * j->cv * j->cv;
}

static double jitter_factor(const jitter *j, const es_op *op)
{
    if (j->distribution == JITTER_GAMMA)
        return jitter_gamma(j, op);
    return exp(j->sigma * gsl_cdf_ugaussian_Pinv(jitter_uniform(j, op, 0)) - 0.5 * j->sigma * j->sigma);
}

static es_cost jitter_cost(void *self, const es_op *op)
{
    const jitter *j = self;
    es_cost cost = es_affine_cost(&j->base, op);
    if (j->cv <= 0.0)           /* the affine cost itself, to the nanosecond */
        return cost;
    double factor = jitter_factor(j, op);
    return (es_cost){ es_affine_term((double)cost.fixed * factor), es_affine_term((double)cost.work * factor) };
}

const es_timing es_timing_jitter = {
    .part = {
        .abi = ES_ABI,
        .name = "jitter",
        .brief = "An affine cost times a random factor of mean 1, lognormal or gamma.",
        .options = jitter_options,
        .size = sizeof(jitter),
        .init = jitter_init,
        .flags = ES_TIMING_DRAWS | ES_TIMING_CONTEXT,
    },
    .cost = jitter_cost,
};
