/* Allocator: how the capacity of a tier is counted, and where in it copies lie.
 *
 * One that only counts (slots, bytes) says with `unit` what an object takes: any free unit is as good as another, so no layout is
 * kept. One that places (pools, heaps) sets `reserve` and the functions below it: free capacity may then be of no use to a newcomer,
 * because it lies in another pool or in pieces. The core asks it for a block before a copy begins and gives the block back when the
 * copy has left. To make room it asks the policy for victims among those whose release would help (all others are guarded), gives
 * their blocks back and asks again:
 *
 *   1. reserve, pool ES_NONE_POOL: wherever it likes, as long as nobody has to leave
 *   2. for each of `choices` in turn (without it: once, for ES_NONE_POOL): reserve there, victims from there, reserve again
 *   3. a demand that found nothing lies outside of the capacity until its event ends; a guess waits
 *
 * One that rearranges itself sets `due` and `compact`. It is asked at every newcomer, and when a newcomer found no place in the first of
 * its choices. Copies that move cost what tiers.NAME.moves says. In a trace of buffers it is asked between steps (buffers.h). */
#ifndef ES_PART_ALLOCATOR_H
#define ES_PART_ALLOCATOR_H

#include "sim/part/view.h"

typedef enum es_place {
    ES_PLACED,                  /* where it belongs */
    ES_SPILLED,                 /* in another pool, because its own was full */
    ES_AGAIN,                   /* where a copy of it lies that lookups did not find: that one is used again */
    ES_FALLBACK,                /* outside of the capacity (a device or host allocation): block.pool is ES_NONE_POOL */
    ES_FULL                     /* nowhere; something must leave first */
} es_place;

typedef struct es_place_ask {
    int64_t bytes;
    uint32_t bits;              /* precision of the weights; 0: unknown */
    uint32_t pool;              /* only there; ES_NONE_POOL: anywhere */
    es_oid object;              /* of a trace of buffers the slot of the buffer */
    const es_block *freed;      /* what a victim has just left for it; NULL: nobody had to leave */
    es_time now;
} es_place_ask;

typedef struct es_drop {        /* a copy that finds no place any more */
    es_oid object;
    uint32_t pool;              /* in which it lay */
} es_drop;

typedef struct es_compaction {
    es_block *block;            /* [objects] where copies lie; compact writes where they lie afterwards */
    const uint64_t *fixed;      /* [words] copies that may not be dropped: pinned, in grace or in flight */
    es_drop *dropped;           /* [pools * objects] out: the core evicts these, or forgets them where lookups did not find them; both are released */
    uint32_t drops, moves;      /* out: how many; copies whose data moved */
    int64_t bytes;              /* out: they weigh */
} es_compaction;

typedef struct es_allocator {
    es_part part;
    int64_t (*unit)(void *self, int64_t bytes);     /* what an object of so many bytes takes of the capacity */
    const char *counts;                             /* "slots" or "bytes": the unit of capacity and of the report */

    /* Only where it places. `open` follows init: capacity in bytes, objects that may be asked for (so many ids from `first` on), and what
     * differs among them in size or precision ([kinds]; 0 when that is not known beforehand). Under contract.scope layer every layer has
     * a state of its own, opened with its share of the capacity and its objects, each with as many pools; arrays by object are of all. */
    es_code (*open)(void *self, int64_t capacity, es_oid first, uint32_t objects, const es_place_ask *kind, uint32_t kinds, es_arena *arena, es_err *err);
    es_place (*reserve)(void *self, const es_place_ask *ask, es_block *block);
    void (*release)(void *self, es_oid object, const es_block *block);
    /* What a source does that does not check: the block is given back a second time. NULL: nothing comes of it. */
    void (*release_again)(void *self, es_oid object, const es_block *block);
    /* Pools in which room may be made for the ask, the best first, into pool[pools]; how many. NULL: ES_NONE_POOL once. */
    uint32_t (*choices)(const void *self, const es_place_ask *ask, uint32_t *pool);
    /* Would the release of this block bring the ask nearer? NULL: when it lies in the pool that is asked for. */
    bool (*helps)(const void *self, const es_block *block, const es_place_ask *ask);
    /* Would compact do something now? `ask` is what found no place; NULL: a newcomer that was not tried yet. */
    bool (*due)(const void *self, const es_place_ask *ask, es_time now);
    bool (*compact)(void *self, es_compaction *c, es_time now);         /* false: nothing has changed */
    uint32_t (*pools)(const void *self, const es_pool_view **pool);     /* they stay where they are as long as the run lasts */
    bool (*overcommits)(const void *self);          /* as its published source does, with these options; NULL: never */
    /* Will lookups not find a copy that lies here, as in a published source? It stays until its slot is wanted; NULL: they find all.
     * An object may then have a copy in every pool, of which they find one at most; `reserve` where one lies already gives that (ES_AGAIN). */
    bool (*hides)(const void *self, const es_block *block, const es_place_ask *ask);
    /* Whom that source would evict from a pool: of the objects in `open` ([words]) whose copies there, found or not, may leave. Where that one lies
     * into *block; ES_NO_OBJECT: there is none. Asked once lookups have not found something there. */
    es_oid (*names)(const void *self, uint32_t pool, const uint64_t *open, es_block *block);
    void (*report)(const void *const *self, uint32_t states, es_json *out); /* members of tiers.NAME.allocator; of several states added up */
} es_allocator;

#endif
