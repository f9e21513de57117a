/* Static: hits of the best set of experts that is resident from the start and stays, at every size: the most used ones.
 *
 * As policy static has it: uses are those of decode events, of equals the lowest object comes first, what was never used is not held, and
 * what no longer fits is passed over. In slots that is the best set for decode there is where caches are not emptied; in bytes of unequal
 * experts it is a rule and no optimum, for filling a knapsack best is another problem. Where caches are emptied at a request, the first
 * use in it brings an expert back and misses. */
#ifndef ES_CURVE_STATIC_H
#define ES_CURVE_STATIC_H

#include "sim/curve/curve.h"
#include "sim/curve/groups.h"

/* Decode uses of each object, [events->objects] in the arena; NULL: no memory. Of another trace of the same shape they make a frozen set. */
uint64_t *es_static_uses(const es_events *events, es_arena *arena);

/* One curve, or one for each layer (es_curve_count), of the sets that `uses` chooses; the rule of `ask` changes nothing. */
es_code es_static(const es_events *events, const uint64_t *uses, const es_curve_ask *ask, es_curve *curves, es_arena *arena, es_err *err);

/* The best set in bytes, of all objects in one cache: a knapsack, exact where the search is not given up (groups.h), which it is not for experts of
 * one size or of two. What an object is worth is `uses`; `bytes`: of an expert of each layer. */
typedef struct es_static_best {
    uint64_t uses;              /* of the set */
    uint64_t bound;             /* of no set more; where it is above `uses` say bound, not optimum */
    uint64_t bytes;             /* that the set takes */
    uint64_t objects;           /* in it, unused ones that would still fit left out */
} es_static_best;

es_code es_static_bytes(const es_events *events, const uint64_t *uses, const int64_t *bytes, const uint64_t *capacity, uint32_t sizes, es_static_best *out,
    es_arena *arena, es_err *err);

#endif
