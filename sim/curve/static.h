/* Static: hits of the best set of experts that is resident from the start and stays, at every size: the most used ones.
 *
 * As policy static has it: uses are those of decode events, of equals the lowest object comes first, what was never used is not held, and
 * what no longer fits is passed over. In slots that is the best set for decode there is where caches are not emptied; in bytes of unequal
 * experts it is a rule and no optimum, for filling a knapsack best is another problem. Where caches are emptied at a request, the first
 * use in it brings an expert back and misses. */
#ifndef ES_CURVE_STATIC_H
#define ES_CURVE_STATIC_H

#include "sim/curve/curve.h"

/* Decode uses of each object, [events->objects] in the arena; NULL: no memory. Of another trace of the same shape they make a frozen set. */
uint64_t *es_static_uses(const es_events *events, es_arena *arena);

/* One curve, or one for each layer (es_curve_count), of the sets that `uses` chooses; the rule of `ask` changes nothing. */
es_code es_static(const es_events *events, const uint64_t *uses, const es_curve_ask *ask, es_curve *curves, es_arena *arena, es_err *err);

#endif
