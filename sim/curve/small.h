/* Small: LRU caches that an event does not fit into, under overflow waves.
 *
 * Where every event fits, an LRU cache of c slots holds the c objects used last, and one stack answers for all sizes. An event of n > c
 * objects goes through the cache in waves: those that were there first, then the others as they come, in the order of the event; the last
 * c of these stay. So after it the cache is out of step with the stack until c other objects have been used. Until then it holds
 *
 *     the `newest` objects of the stack (those used since)  +  what is left of the event, of which the least recently used leaves first
 *
 * and what it hits less or more than the stack says is counted here. */
#ifndef ES_CURVE_SMALL_H
#define ES_CURVE_SMALL_H

#include "sim/curve/events.h"

typedef struct es_small_size {  /* a cache of so many slots */
    uint32_t event;             /* that did not fit; UINT32_MAX: in step with the stack */
    uint32_t newest, left;      /* objects used since; what is left of the event */
    uint32_t cursor;            /* all before this place of the event's touch order have left */
} es_small_size;

typedef struct es_small {
    uint32_t most, words;       /* sizes are 1 .. most; words of a mask of a layer's experts */
    uint32_t upto;              /* no size above is out of step */
    uint32_t last;              /* event that went before; UINT32_MAX: none */
    bool plain;                 /* all sizes up to `upto` hold the last of that event's list, and nothing of it is written down */
    es_small_size *size;        /* [most + 1] */
    uint64_t *mask;             /* [most + 1][words] experts of the event that are left */
    uint64_t *wanted;           /* [words] scratch: experts of the event at hand */
    bool *had;                  /* [experts] scratch: by place in the event, was it there? */
} es_small;

bool es_small_init(es_small *small, uint32_t most, uint32_t experts, es_arena *arena);
void es_small_empty(es_small *small);
/* After event `e`, whose objects stood at depth[] in the stack before it: more[c] += hits of the cache of c slots that the stack does not
 * count, less those that it counts and that are none; more_bytes[c] (or NULL) the same times weight. */
void es_small_event(es_small *small, const es_events *events, uint32_t e, const uint32_t *depth, int64_t *more, int64_t *more_bytes, int64_t weight);

#endif
