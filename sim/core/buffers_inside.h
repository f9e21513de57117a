/* Inside a run of a trace of buffers: what the files of buffers.h share.
 *
 *     buffers.c          the run: parts, time, steps      buffers_report.c   what is reported of it */
#ifndef ES_CORE_BUFFERS_INSIDE_H
#define ES_CORE_BUFFERS_INSIDE_H

#include "sim/base/hist.h"
#include "sim/core/buffers.h"
#include "sim/part/allocator.h"
#include "sim/part/timing.h"

enum { BUFFERS_LOG = 16, BUFFERS_BINS = 128, BUFFERS_SAMPLES = 10000000 };

typedef struct buffers_miss {   /* a request that the pool had no room for */
    es_time at;
    uint64_t step, id;
    int64_t bytes;
    bool refused;
} buffers_miss;

typedef struct buffers_gauge {  /* looked at when every step computes */
    double sum, peak, last;
    uint64_t count;
} buffers_gauge;

typedef struct buffers_bin {    /* sums over some steps */
    double utilization, fragmentation, live, missed;
} buffers_bin;

typedef struct buffers_curve {  /* when all bins are used up, neighbours are merged */
    buffers_bin bin[BUFFERS_BINS];
    uint64_t stride;            /* steps of a bin */
} buffers_curve;

typedef struct buffers {
    const es_plan *plan;
    const es_allocator *allocator;
    const es_timing *allocation, *unit;         /* NULL: no cost */
    void *allocator_state, *allocation_state, *unit_state;
    es_arena arena;
    es_block *block;            /* [slots] where each buffer lies */
    bool *held;                 /* [slots] it found room somewhere, and lives */
    es_compaction compaction;
    uint32_t slots;
    es_time now;
    uint64_t steps, tokens;
    uint64_t requests, placed, spilled, fallback, refused, released, again;
    uint64_t missed;            /* fallbacks and refusals that the curve has */
    uint64_t live, live_peak, beside, compactions, moves;   /* beside: of those that live, outside of the heaps */
    int64_t moved_bytes, bytes_largest, live_bytes, live_bytes_peak;
    double bytes_sum, placed_sum;   /* of requests; of those that the pool had room for */
    uint32_t pools, pools_first, warmed;
    es_time setup, dense, pool, device, host, made, resident, moving;   /* where the time went; made: heaps added later */
    es_time first;              /* of the first step */
    buffers_gauge utilization, fragmentation, used, busy;   /* used: bytes; busy: heaps with something in them */
    buffers_curve curve;
    buffers_miss miss[BUFFERS_LOG];
    es_hist token;              /* ns, once for each token of a step */
} buffers;

/* Adds `time` and `buffers`. */
void buffers_report(buffers *b, es_json *out);

#endif
