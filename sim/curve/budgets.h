/* Budgets: LRU at capacities in bytes where experts of one cache differ in size, each followed by itself, all in one pass.
 *
 * Victims leave whole and what has left does not come back when a larger one leaves too, so what a cache holds is still the newest of the
 * stack, but how many they are depends on what happened at that budget. The order of last use is the same for all of them. */
#ifndef ES_CURVE_BUDGETS_H
#define ES_CURVE_BUDGETS_H

#include "sim/curve/curve.h"

/* One global cache; ask->bytes and ask->capacity must be there, no budget below the largest expert unless the rule is persist. */
es_code es_curve_budgets(const es_events *events, const es_curve_ask *ask, es_curve *out, es_arena *arena, es_err *err);

#endif
