/* Next use: for each lookup, when its object is looked up next.
 *
 * Time is counted in events (an event is judged as a whole) or in lookups (serialized: each on its own). It does not depend on the size
 * of any cache, so it is made once and shared by all of them. */
#ifndef ES_CURVE_NEXT_USE_H
#define ES_CURVE_NEXT_USE_H

#include "sim/curve/events.h"

#define ES_NEVER_USED UINT32_MAX        /* greater than any time */

/* One entry per lookup of `events`, from `arena`. ES_EINPUT where there are 2^32 lookups or more. */
es_code es_next_use(const es_events *events, bool serialized, uint32_t **next, es_arena *arena, es_err *err);

#endif
