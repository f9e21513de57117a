/* Allocator: how the capacity of a tier is counted, and where in it copies lie.
 *
 * One that only counts (slots, bytes) says with `unit` what an object takes: any free unit is as good as another, so no layout is
 * kept. One that places (pools, heaps) sets `reserve` and the functions below it: free capacity may then be of no use to a newcomer,
 * because it lies in another pool or in pieces. The core asks it for a block before a copy begins and gives the block back when the
 * copy has left. */
#ifndef ES_PART_ALLOCATOR_H
#define ES_PART_ALLOCATOR_H

#include "sim/part/part.h"

typedef struct es_block {       /* where something lies */
    uint32_t pool;              /* below es_allocator.pools; ES_NONE_POOL: outside of all (ES_FALLBACK) */
    uint32_t slot;              /* of a pool of equal slots */
    int64_t at, bytes;          /* address in the pool, and what it takes there (alignment, tail of a slot) */
} es_block;
#define ES_NONE_POOL UINT32_MAX

typedef enum es_place {
    ES_PLACED,                  /* where it belongs */
    ES_SPILLED,                 /* in another pool, because its own was full */
    ES_FALLBACK,                /* outside of the capacity (a device or host allocation) */
    ES_FULL                     /* nowhere; something must leave first */
} es_place;

typedef struct es_place_ask {
    int64_t bytes;
    uint32_t bits;              /* precision of the weights; 0: unknown */
    es_oid object;              /* of buffers the place in the table of those that live, so that a move can name it */
    es_time now;
} es_place_ask;

typedef struct es_pool_view {   /* of one pool, for reports and for policies that look before they name */
    const char *name;
    int64_t capacity, used;     /* bytes; of slots their full size */
    int64_t slot_bytes;         /* 0: not cut into slots */
    int64_t largest;            /* free bytes in one piece; not of slots */
    uint32_t warmed;            /* allocations made to warm it up */
} es_pool_view;

typedef struct es_block_move {  /* compaction: what lay at `from` lies at `to` */
    es_oid object;
    es_block from, to;
} es_block_move;

typedef struct es_allocator {
    es_part part;
    int64_t (*unit)(void *self, int64_t bytes);     /* what an object of so many bytes takes of the capacity */
    const char *counts;                             /* "slots" or "bytes": the unit of capacity and of the report */

    /* Only where it places. `open` follows init: capacity in bytes, and the sizes and precisions that may be asked for
     * ([kinds], kinds 0 when they are not known beforehand). */
    es_code (*open)(void *self, int64_t capacity, const es_place_ask *kind, uint32_t kinds, es_arena *arena, es_err *err);
    es_place (*reserve)(void *self, const es_place_ask *ask, es_block *block);
    void (*release)(void *self, const es_block *block);
    /* What a source does that does not check: the block is given back a second time. NULL: nothing comes of it. */
    void (*release_again)(void *self, const es_block *block);
    bool (*helps)(const void *self, const es_block *block, const es_place_ask *ask);   /* would its release bring the ask nearer? */
    uint32_t (*pools)(const void *self, const es_pool_view **pool);
    /* Asked now and then: what is to be moved now, at most as many as there are blocks; they lie there when it returns. NULL: never any. */
    size_t (*compact)(void *self, es_time now, es_block_move *move, size_t most);
    void (*report)(const void *self, es_json *out);
} es_allocator;

#endif
