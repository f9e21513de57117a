/* Ranks: recency of up to 255 objects as a byte each, its rank, so that a use is the same few vector operations wherever the object stood.
 *
 * A use of an object makes every object of a smaller rank one rank older. Uses one after another come to the same as all of them at once:
 * an object that is not among them grows older by the number of those that stood behind it; these take the first ranks. So a handful of uses
 * reads and writes each vector once. What stack.h answers is answered alike, but for the distance of what was never used.
 *
 *   order of use   a b c b      rank[] = 2 (a), 0 (b), 1 (c): distances 3, 1, 2
 *
 * Ranks are kept less 128, for SSE2 compares only signed bytes. The vectors are those of GCC and Clang, which make plain code of them on
 * processors without any. */
#ifndef ES_CURVE_RANKS_H
#define ES_CURVE_RANKS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "sim/base/arena.h"

typedef int8_t es_rank_lanes __attribute__((vector_size(16)));

enum {
    ES_RANKS_MOST = 255,        /* objects */
    ES_RANKS_NEVER = ES_RANKS_MOST + 1,     /* distance of an object that was never used */
    ES_RANKS_LANES = sizeof(es_rank_lanes),
    ES_RANKS_FIRST = INT8_MIN,  /* rank of the object used last */
    ES_RANKS_TOGETHER = 8       /* uses at once */
};

typedef struct es_ranks {
    uint32_t vectors;
    es_rank_lanes *rank;        /* [vectors] of all objects, and some that are never used */
} es_ranks;

static inline void es_ranks_empty(es_ranks *ranks)
{
    memset(ranks->rank, INT8_MAX, ranks->vectors * sizeof *ranks->rank);
}

/* false: no memory. */
static inline bool es_ranks_init(es_ranks *ranks, uint32_t objects, es_arena *arena)
{
    ranks->vectors = (objects + ES_RANKS_LANES - 1) / ES_RANKS_LANES;
    ranks->rank = ES_NEW_ARRAY(arena, ranks->vectors, es_rank_lanes);
    if (ranks->rank)
        es_ranks_empty(ranks);
    return ranks->rank;
}

/* Distance of an object: 1 for the one used last; ES_RANKS_NEVER for one that was never used. */
static inline uint32_t es_ranks_depth(const es_ranks *ranks, uint32_t object)
{
    return (uint32_t)(((const int8_t *)ranks->rank)[object] - ES_RANKS_FIRST + 1);
}

/* count <= ES_RANKS_TOGETHER */
static inline __attribute__((always_inline)) void es_ranks_together(es_ranks *ranks, const uint16_t *index, uint32_t count, uint32_t vectors)
{
    es_rank_lanes *lanes = ranks->rank, stood[ES_RANKS_TOGETHER];
    int8_t *rank = (int8_t *)lanes;
    for (uint32_t i = 0; i < count; i++)
        stood[i] = (es_rank_lanes){0} + rank[index[i]];
    for (uint32_t v = 0; v < vectors; v++) {
        const es_rank_lanes was = lanes[v];
        es_rank_lanes now = was;
        for (uint32_t i = 0; i < count; i++)
            now -= stood[i] > was;      /* true is -1 */
        lanes[v] = now;
    }
    for (uint32_t i = 0; i < count; i++)
        rank[index[i]] = (int8_t)(ES_RANKS_FIRST + (int)(count - 1 - i));
}

static inline void es_ranks_any(es_ranks *ranks, const uint16_t *index, uint32_t count)
{
    for (; count > ES_RANKS_TOGETHER; count -= ES_RANKS_TOGETHER, index += ES_RANKS_TOGETHER)
        es_ranks_together(ranks, index, ES_RANKS_TOGETHER, ranks->vectors);
    if (count == 8)
        es_ranks_together(ranks, index, 8, ranks->vectors);
    else if (count == 6)
        es_ranks_together(ranks, index, 6, ranks->vectors);
    else if (count == 4)
        es_ranks_together(ranks, index, 4, ranks->vectors);
    else
        es_ranks_together(ranks, index, count, ranks->vectors);
}

/* The objects index[0 .. count), all different, become the newest, the last of them last. */
static inline __attribute__((always_inline)) void es_ranks_use(es_ranks *ranks, const uint16_t *index, uint32_t count)
{
    /* with the usual numbers as constants the loops fall away */
    if (count == 4 && ranks->vectors == 2)
        es_ranks_together(ranks, index, 4, 2);
    else
        es_ranks_any(ranks, index, count);
}

#endif
