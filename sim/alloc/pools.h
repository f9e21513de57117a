/* Pools: what pools.c and its defragmentation (pools_shift.h) both know of them. */
#ifndef ES_ALLOC_POOLS_H
#define ES_ALLOC_POOLS_H

#include <string.h>

#include "sim/part/allocator.h"

enum { POOLS_MOST = 8, POOLS_EVENT = 1000000 /* ns of an event where there is no clock */ };

typedef struct pools_pool {
    uint32_t bits, slots;
    int64_t bytes, tail;        /* its share of the capacity; what its slots left of it */
    int64_t slot_bytes;
    int64_t short_bytes;        /* that its one slot has more than its share */
    uint32_t *free, free_count, free_room;  /* the stack; as coded it may hold a slot twice */
    uint64_t held, peak;        /* experts in it: as coded there may be more than slots */
    uint64_t placed, spilled_in, released;
    int64_t waste;              /* bytes of taken slots that their experts do not need, now */
} pools_pool;

typedef struct pools_copy {     /* of an object in a pool */
    bool held;
    bool dropped;               /* by a compaction: its slot is another's */
    uint32_t slot;
    int64_t bytes;              /* what lies there */
    es_time used;               /* last */
    uint64_t uses, order;       /* since it came; of coming in */
} pools_copy;

typedef struct pools_shift {    /* what a defragmentation would do */
    uint32_t donor, receiver;
    uint32_t remove, add;       /* slots */
    int64_t bytes;
} pools_shift;

typedef struct pools_row {      /* a copy of a pool that is laid out anew */
    es_oid object;
    bool fixed;
    es_time used;
    uint64_t order;
} pools_row;

typedef struct pools {
    const es_view *run;         /* NULL: alone, with the time of whoever asks */
    const es_json *distribution;
    int64_t min_pool;
    int mode, spill;
    int defrag;
    double full, idle, free_share, slot_share;
    int64_t least, cooldown;
    pools_pool pool[POOLS_MOST];
    es_pool_view view[POOLS_MOST];
    uint32_t count;
    int64_t capacity;
    pools_copy *copy;           /* [pools][objects] */
    es_oid first;               /* whose ids begin here */
    uint32_t objects;
    uint64_t order;
    es_time now;                /* without a clock an event takes a millisecond */
    pools_row *row;             /* [objects] scratch */
    bool ran;                   /* defragmented before, at ran_at */
    es_time ran_at;
    int64_t shifted, lost;      /* bytes that defragmentation took, and of these what rounding lost */
} pools;

enum { POOLS_DOCUMENTED, POOLS_CODED };
enum { POOLS_WHEN_LOCKED, POOLS_BEFORE_EVICTION, POOLS_NEVER };
enum { POOLS_BY_MODE, POOLS_OFF, POOLS_WHEN_FULL, POOLS_LOCKED };

static inline pools_copy *pools_copy_of(const pools *s, uint32_t p, es_oid object)
{
    return s->copy + (size_t)p * s->objects + (object - s->first);
}

static inline double pools_utilisation(const pools_pool *pool)
{
    return (double)pool->held / pool->slots;
}

/* It lies in its pool no longer; its slot is another matter. */
static inline void pools_forget(pools *s, es_oid object, uint32_t p)
{
    pools_copy *copy = pools_copy_of(s, p, object);
    pools_pool *pool = &s->pool[p];
    s->view[p].used -= pool->slot_bytes;
    pool->held--;
    pool->released++;
    pool->waste -= pool->slot_bytes - copy->bytes;
    copy->held = false;
}

#endif
