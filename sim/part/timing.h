/* Timing: what an operation costs. Used by channels (copies, reads, writes), compute units (dense, expert) and management.
 *
 * A cost has two parts: `fixed` passes whatever else goes on (launch, latency); `work` is the time at the full rate of the
 * channel and stretches when the channel is shared or slowed. On a first-come-first-served channel both simply add up. */
#ifndef ES_PART_TIMING_H
#define ES_PART_TIMING_H

#include "sim/part/part.h"

typedef enum es_op_kind {
    ES_OP_COPY,                 /* bytes, count objects in one batch */
    ES_OP_READ, ES_OP_WRITE,    /* the same on a disk */
    ES_OP_ALLOC,                /* bytes, from a pool */
    ES_OP_DENSE,                /* attention and the rest of one layer: tokens of the step, context of the longest */
    ES_OP_EXPERT,               /* one expert: tokens it serves, bytes of its weights */
    ES_OP_ACCESS,               /* an event reads what it found in a tier: count objects, bytes of all; a step with buffers: count heaps and buffers beside them */
    ES_OP_PREDICT,              /* count questions to the predictor */
    ES_OP_LOOKUP, ES_OP_EVICT,  /* cache management: count objects, count victims */
    ES_OP_ALLOC_DEVICE,         /* bytes, by the device beside a pool, or without one */
    ES_OP_ALLOC_HOST,           /* bytes, by the host's malloc */
    ES_OP_HEAP,                 /* a heap of so many bytes is made */
    ES_OP_WARM,                 /* count allocations that warm heaps up */
    ES_OP_MOVE,                 /* bytes of count buffers are moved within a pool (compaction) */
    ES_OP_UPDATE                /* an optimizer step of one expert: bytes of its weights */
} es_op_kind;

typedef struct es_op {
    es_op_kind kind;
    int64_t bytes;
    uint32_t count;             /* objects; 1 for a single copy */
    uint32_t tokens;
    uint32_t context;           /* position of the newest token */
    bool backward;              /* DENSE, EXPERT: the backward pass of it */
    uint64_t step, object, occurrence;  /* coordinates for timings that draw */
    bool copied;                /* EXPERT: a copy is known to have brought its weights */
    bool handed;                /* beside copied: while this queue worked */
    int64_t since;              /* beside copied: bytes of memory touched between that copy and this */
} es_op;

typedef struct es_cost {
    es_time fixed, work;
} es_cost;

enum {
    ES_TIMING_DRAWS = 0x100u,   /* flag: the cost of equal operations may differ (jitter); never cached */
    ES_TIMING_CONTEXT = 0x200u, /* flag: the dense cost depends on context */
    ES_TIMING_MANAGES = 0x400u  /* flag: knows PREDICT, LOOKUP and EVICT; a compute unit of another timing does these in no time */
};

typedef struct es_timing {
    es_part part;
    es_cost (*cost)(void *self, const es_op *op);
} es_timing;

#endif
