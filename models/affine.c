/* Affine timing: a fixed time plus work in proportion (affine.h has the formula). Hockney's model of a link, and enough for most. */
#include "models/affine.h"

typedef struct affine {
    es_affine base;
} affine;

static const es_option affine_options[] = {
    ES_AFFINE_OPTIONS(affine, base),
    { 0 },
};

static es_cost affine_cost(void *self, const es_op *op)
{
    const affine *a = self;
    return es_affine_cost(&a->base, op);
}

const es_timing es_timing_affine = {
    .part = {
        .abi = ES_ABI,
        .name = "affine",
        .brief = "A fixed latency, then time in proportion to bytes, objects, tokens and context.",
        .options = affine_options,
        .size = sizeof(affine),
        .flags = ES_TIMING_CONTEXT,
    },
    .cost = affine_cost,
};
