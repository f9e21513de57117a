/* Dispatcher: how a miss is served. Asked once per event with all its misses, so that they can be split. */
#ifndef ES_PART_DISPATCHER_H
#define ES_PART_DISPATCHER_H

#include "sim/part/fact.h"

typedef enum es_verdict { ES_FETCH, ES_HOST_COMPUTE, ES_SKIP } es_verdict;

typedef struct es_serve_ask {
    const es_event *event;
    const uint16_t *missing;    /* [count] indices, union order; absent or queued, not those in flight */
    uint32_t count;
    const es_time *fetch_ns;    /* [count] duration of the copy alone, 0 under clock none */
    const es_time *cpu_ns, *gpu_ns; /* [count] compute on either unit */
    es_time link_free, cpu_free;/* when each could begin */
} es_serve_ask;

typedef struct es_dispatcher {
    es_part part;
    void (*serve)(void *self, const es_serve_ask *ask, es_verdict *verdict);    /* NULL: fetch all */
} es_dispatcher;

#endif
