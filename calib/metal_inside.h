/* Inside Metal: what its two files share. Objective-C without ARC and without blocks: every new... is owned and released by hand. */
#ifndef ES_CALIB_METAL_INSIDE_H
#define ES_CALIB_METAL_INSIDE_H

#import <Foundation/Foundation.h>
#import <Metal/Metal.h>

#include "calib/metal.h"

enum { METAL_BLOCKS = 16, METAL_JOBS = 1024, METAL_STAGE = 8 << 20 };

typedef struct metal_block {    /* memory that is allocated */
    id<MTLBuffer> buffer;       /* nil: pageable */
    unsigned char *at;          /* of the device: a range of addresses without anything behind */
    int64_t bytes;
    es_memory kind;
} metal_block;

typedef struct metal_job {      /* a command buffer since the last sync */
    id<MTLCommandBuffer> buffer;
    double start, end;          /* s of the GPU's clock, once it is done */
    bool committed;
} metal_job;

typedef struct metal_event {    /* between two jobs of its stream; METAL_JOBS: there is none on that side */
    size_t behind, ahead;
} metal_event;

typedef struct metal_stream {
    id<MTLCommandQueue> queue;
    id<MTLBlitCommandEncoder> encoder;  /* of the job `last`, while it is open */
    size_t last;
    unsigned waiting[ES_PROBE_EVENTS], count;   /* events that were recorded since: the next job is ahead of them */
} metal_stream;

struct metal {
    id<MTLDevice> device;
    id<MTLBuffer> stage;        /* what pageable memory is copied through */
    metal_facts facts;
    metal_block block[METAL_BLOCKS];
    metal_stream stream[ES_PROBE_STREAMS];
    metal_job job[METAL_JOBS];
    size_t jobs;
    metal_event event[ES_PROBE_EVENTS];
    double before[ES_PROBE_EVENTS], behind[ES_PROBE_EVENTS];    /* s: when what is ahead of an event began, what is behind it ended */
    bool held;

    id<MTLHeap> pool;           /* metal_keep.m: a heap that was touched, to take pieces from */
    int64_t pool_bytes;
    id<MTLComputePipelineState> reads;  /* a kernel that reads one byte */
    id<MTLHeap> heap;           /* of the buffers in `piece` */
    id<MTLBuffer> *own, *piece; /* [kept] buffers by themselves, and in one heap */
    uint32_t kept;
    int64_t kept_bytes;
};

/* "a buffer: Metal gave none" */
es_code metal_nil(es_err *err, const char *what);
/* Waits for a command buffer that was committed; what it failed with. */
es_code metal_wait(id<MTLCommandBuffer> buffer, es_err *err);
/* Writes the buffer from end to end on the device and waits; *ns, which may be NULL, as the host sees it. */
es_code metal_fill(metal *m, id<MTLBuffer> buffer, int64_t bytes, es_time *ns, es_err *err);
void metal_keep_close(metal *m);

#endif
