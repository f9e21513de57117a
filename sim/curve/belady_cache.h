/* Belady cache: one size of belady.h, and what an event does to it. What all sizes share, such as when everything is used next, is with the event. */
#ifndef ES_CURVE_BELADY_CACHE_H
#define ES_CURVE_BELADY_CACHE_H

#include "sim/curve/belady.h"

typedef struct es_belady_cache {    /* one size */
    int64_t room;
    int64_t *used;              /* [buckets] */
    uint64_t *resident;         /* [spaces][words] */
    uint64_t *reach;            /* [spaces] of its farthest: next use << 32 | what became resident first is greater; 0: none, or only of the event at hand */
    uint32_t *farthest;         /* [spaces] object */
    uint32_t top;               /* space of the greatest reach; UINT32_MAX: to be looked for */
    uint32_t *entered;          /* [objects] when it became resident: between equals the first leaves first */
    uint32_t clock;
    uint64_t *count;            /* [2][rows] */
    uint64_t *whole, *some;     /* one each, as in es_hits; NULL: not counted */
} es_belady_cache;

enum { ES_BELADY_BITS = 64 };           /* experts of a space, at most, where they are ranked */

/* Experts of a space from the one used last of all to the one used next: the same for every size, so that the farthest of a cache is found by halving. */
typedef struct es_belady_ranks {
    uint8_t expert[ES_BELADY_BITS];
    uint64_t upto[ES_BELADY_BITS];      /* the first, the first two, ... */
    uint64_t tied;                      /* bit r: expert[r] and expert[r + 1] are used next at the same time */
} es_belady_ranks;

typedef struct es_belady_sizes {    /* what all sizes share */
    const es_curve_ask *ask;
    bool bypass, serial;
    bool simple;                /* what is quicker will do where the event fits */
    uint32_t spaces, words, stride, experts;
    uint32_t buckets;           /* caches of each size: one, or one for every space */
    uint32_t *coming;           /* [objects] next use, from the event at hand on */
    /* the event at hand */
    const uint16_t *id;
    const uint32_t *next;       /* of its lookups */
    uint32_t count, space, bucket, now;
    uint64_t *mask;             /* [words] */
    uint64_t *call;             /* [words] serialized: all that were asked for together with it */
    uint32_t called;
    const uint64_t *pinned;     /* `call` or `mask`: what may not leave */
    uint64_t *stay;             /* [words] its misses that are kept */
    uint64_t *guard;            /* [words] its experts that may not leave yet */
    uint32_t last;              /* object of the event that is used last */
    uint32_t last_use;
    bool tied;                  /* another one is used as late */
    uint16_t *order;            /* [stride] its lookups, the soonest used first; equals as they come */
    es_belady_ranks *ranks;     /* [spaces] where an expert is a bit of a word; NULL: it is not */
    uint16_t *rank;             /* [stride] scratch */
    uint32_t *claimed;          /* [objects] scratch */
} es_belady_sizes;

/* An event of `count` experts of a space at time `now`: its masks, and when its experts are used next. */
void es_belady_begin(es_belady_sizes *b, const uint16_t *id, const uint32_t *next, uint32_t count, uint32_t space, uint32_t now);
/* What the event does to one size; *counted grows by its hits. */
void es_belady_event(es_belady_sizes *b, es_belady_cache *c, uint64_t *counted);
void es_belady_empty(const es_belady_sizes *b, es_belady_cache *c);

#endif
