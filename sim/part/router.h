/* Router: which experts a token uses. `trace` takes what was recorded; any other decides anew at each gate, from the recorded row
 * and what is resident. Such a run is closed-loop: later tokens would have been others, so its results are labelled, and the gate
 * mass that its choices lose is reported by the core.
 *
 * A recorded row is the router's order, the most wanted expert first. To leave something to choose from it must list more experts
 * than the model uses: all of them, with their probabilities, where the recording has them. */
#ifndef ES_PART_ROUTER_H
#define ES_PART_ROUTER_H

#include "sim/part/fact.h"

typedef struct es_route_ask {   /* one token in one layer; all tokens of an event are asked for before any of it is fetched */
    const es_token *token;
    uint32_t layer;             /* ordinal */
    const uint16_t *ids;        /* [count] as recorded */
    const float *weights;       /* [count] their gate weights, NaN where unknown; NULL: the trace has none (view->weights) */
    uint32_t count;             /* at least 1 */
    const uint64_t *resident;   /* mask by expert: it is in the serving tier now, all of it */
} es_route_ask;

typedef struct es_router {
    es_part part;
    /* Writes the experts that the token uses, each once, and returns how many: at least one, at most ask->count. An expert that
     * is not in the row may be among them; it brings no gate mass. NULL: as recorded. */
    uint32_t (*route)(void *self, const es_route_ask *ask, uint16_t *out);
    /* How many of a row of `count`, its first ones, the model itself would use. NULL: all. */
    uint32_t (*uses)(const void *self, uint32_t count);
} es_router;

#endif
