/* Empirical compute: a compute unit (unit.h) with the noise that was measured around its experts (noise.h). The dense part, the predictor
 * and the management of the cache were not measured: they take what they are said to. */
#include "models/noise.h"
#include "models/unit.h"

typedef struct empirical_compute {
    es_compute_unit unit;       /* first: es_compute_unit_cost() takes it */
    es_noise noise;
} empirical_compute;

static const es_option empirical_compute_options[] = {
    ES_COMPUTE_UNIT_OPTIONS(empirical_compute, unit),
    ES_NOISE_OPTION(empirical_compute, noise),
    {0},
};

static es_code empirical_compute_init(void *self, const es_site *site, es_err *err)
{
    empirical_compute *e = self;
    es_code code = es_compute_unit_init(&e->unit, site->arena, err);
    return code ? code : es_noise_init(&e->noise, "empirical_compute", site, err);
}

static es_cost empirical_compute_cost(void *self, const es_op *op)
{
    empirical_compute *e = self;
    es_cost cost = es_compute_unit_cost(&e->unit, op);
    return op->kind == ES_OP_EXPERT ? es_noise_cost(&e->noise, cost, op) : cost;
}

const es_timing es_timing_empirical_compute = {
    .part = {
        .abi = ES_ABI,
        .name = "empirical_compute",
        .brief = "A compute unit whose experts have the noise and the stalls that were measured.",
        .options = empirical_compute_options,
        .size = sizeof(empirical_compute),
        .init = empirical_compute_init,
        .flags = ES_TIMING_DRAWS | ES_TIMING_CONTEXT | ES_TIMING_MANAGES,
    },
    .cost = empirical_compute_cost,
};
