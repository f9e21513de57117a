/* Empirical timing: a piecewise cost with the noise that was measured around it (noise.h). */
#include "models/noise.h"
#include "models/piecewise.h"

typedef struct empirical {
    es_piecewise base;
    es_noise noise;
} empirical;

static const es_option empirical_options[] = {
    ES_PIECEWISE_OPTIONS(empirical, base),
    ES_NOISE_OPTION(empirical, noise),
    {0},
};

static es_code empirical_init(void *self, const es_site *site, es_err *err)
{
    empirical *e = self;
    es_code code = es_piecewise_init(&e->base, site->arena, err);
    return code ? code : es_noise_init(&e->noise, "empirical", site, err);
}

static es_cost empirical_cost(void *self, const es_op *op)
{
    const empirical *e = self;
    return es_noise_cost(&e->noise, es_piecewise_cost(&e->base, op), op);
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
