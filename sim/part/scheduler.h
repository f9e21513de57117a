/* Scheduler: which queued transfer starts next on a free lane. A channel keeps one first-come-first-served queue per class;
 * the scheduler looks at the heads. */
#ifndef ES_PART_SCHEDULER_H
#define ES_PART_SCHEDULER_H

#include "sim/part/part.h"

typedef enum es_class { ES_CLASS_DEMAND, ES_CLASS_GUESS, ES_CLASS_WRITE, ES_CLASSES } es_class;

typedef struct es_queue {
    uint32_t waiting[ES_CLASSES];   /* how many of each class */
    uint64_t order[ES_CLASSES];     /* sequence number of each head: lower came first */
    bool blocked[ES_CLASSES];       /* its head lacks room */
} es_queue;

#define ES_NONE UINT32_MAX

typedef struct es_scheduler {
    es_part part;
    bool demands_first;             /* it always picks a demand that has room before any guess: then the core need not ask */
    uint32_t (*pick)(void *self, const es_queue *queue);    /* an es_class that waits and is not blocked, or ES_NONE */
    uint32_t (*batch)(void *self, es_class which, const es_queue *queue);   /* how many of its first go as one; NULL: one */
} es_scheduler;

#endif
