/* Allocator: how capacity is counted. */
#ifndef ES_PART_ALLOCATOR_H
#define ES_PART_ALLOCATOR_H

#include "sim/part/part.h"

typedef struct es_allocator {
    es_part part;
    int64_t (*unit)(void *self, int64_t bytes);     /* what an object of so many bytes takes of the capacity */
    const char *counts;                             /* "slots" or "bytes": the unit of capacity and of the report */
} es_allocator;

#endif
