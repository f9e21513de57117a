/* Groups: how much of each of several groups to take so that what is taken fits and is worth most, for things that cost the same within a group.
 *
 * A knapsack: experts of a few different sizes, or the slots of layers whose experts are of one size. Two groups are gone through completely; of
 * more, what cannot get better than the best so far is left out (branch and bound, Land and Doig 1960; the bound lets parts of things be taken). */
#ifndef ES_CURVE_GROUPS_H
#define ES_CURVE_GROUPS_H

#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"

typedef struct es_group {
    uint64_t cost;              /* of one, at least 1 */
    uint32_t most;              /* there are so many */
    const uint64_t *value;      /* [most + 1] of the first n taken: from 0, never falling; need not be concave */
} es_group;

typedef struct es_groups {
    uint64_t value;             /* of the best choice found */
    uint64_t bound;             /* no choice is worth more; equal to `value` unless the search was given up: then this is a bound and no optimum */
    uint32_t *taken;            /* [count] */
} es_groups;

/* `tries`: so many choices of a group are looked at before the search is given up. Everything is in the arena. */
es_code es_groups_best(const es_group *groups, uint32_t count, uint64_t capacity, uint64_t tries, es_groups *out, es_arena *arena, es_err *err);

#endif
