/* Router: which experts a token uses. `trace` takes what was recorded; any other makes the run closed-loop and is labelled so. */
#ifndef ES_PART_ROUTER_H
#define ES_PART_ROUTER_H

#include "sim/part/fact.h"

typedef struct es_router {
    es_part part;
    /* Rewrites the row of one (token, layer) in place; `resident` is the mask of the layer. Returns the gate mass lost. NULL: as recorded. */
    double (*route)(void *self, const es_token *token, uint32_t layer, const float *weights, const uint64_t *resident, uint16_t *ids, uint32_t k);
} es_router;

#endif
