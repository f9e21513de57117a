/* Compute: a compute unit that takes the same time for the same work (unit.h). */
#include "models/unit.h"

typedef struct compute {
    es_compute_unit unit;
} compute;

static const es_option compute_options[] = {
    ES_COMPUTE_UNIT_OPTIONS(compute, unit),
    {0},
};

static es_code compute_init(void *self, const es_site *site, es_err *err)
{
    return es_compute_unit_init(&((compute *)self)->unit, site->arena, err);
}

const es_timing es_timing_compute = {
    .part = {.abi = ES_ABI, .name = "compute", .brief = "Compute unit: dense part per layer, experts by tokens served and bytes read.",
        .options = compute_options, .size = sizeof(compute), .init = compute_init, .flags = ES_TIMING_CONTEXT | ES_TIMING_MANAGES},
    .cost = es_compute_unit_cost,
};
