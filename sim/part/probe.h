/* Probe: a machine that can be measured. It has memory of three kinds, streams on which copies and experts run one after
 * another, events that stamp a stream, a disk, and a clock. What is measured when is decided by calib/; a probe only does it.
 *
 * Streams work by themselves: copy, record and expert only queue, sync waits until all streams are empty. Copies of one
 * way share an engine (or not: that is what the discipline probe asks), and a stream is used for one way at a time.
 * `init` opens the machine, `fini` gives everything back, also after an `init` that failed. Exit codes: ES_EDEVICE when the machine, its driver or a library
 * is absent or was lost; what a machine merely cannot do stands in `can`, and nobody asks for it. */
#ifndef ES_PART_PROBE_H
#define ES_PART_PROBE_H

#include "sim/base/json.h"
#include "sim/part/part.h"

typedef enum es_memory {
    ES_MEMORY_PAGEABLE,         /* of the host, written once so that its pages are there */
    ES_MEMORY_PINNED,           /* of the host, never paged out: what a copy engine reads by itself */
    ES_MEMORY_DEVICE,
    ES_MEMORIES
} es_memory;

typedef enum es_way { ES_WAY_H2D, ES_WAY_D2H, ES_WAY_D2D, ES_WAY_H2H, ES_WAYS } es_way;

enum {                          /* what a probe can do */
    ES_PROBE_PINS = 1u,         /* ES_MEMORY_PINNED */
    ES_PROBE_EXPERT = 2u,       /* computes an expert */
    ES_PROBE_DISK = 4u,         /* reads and writes past the page cache, one block at a time */
    ES_PROBE_DISK_QUEUE = 8u,   /* and several blocks at a time */
    ES_PROBE_LOCKS = 16u,       /* pinning has a price that can be timed */
    ES_PROBE_UNIFIED = 1u << 16, /* host and device share the memory: nothing crosses a link */
    ES_PROBE_GETS = 1u << 17,   /* `get`: buffers, heaps, and pieces of these */
    ES_PROBE_WRAPS = 1u << 18,  /* and shared buffers, and wrapping what the host has */
    ES_PROBE_RESIDES = 1u << 19, /* `reside`: buffers one by one, or in a heap */
    ES_PROBE_SETS = 1u << 20    /* and as a set */
};

enum { ES_PROBE_STREAMS = 4, ES_PROBE_EVENTS = 160, ES_PROBE_DEPTH = 32 };

typedef struct es_probe_facts {
    unsigned can;               /* ES_PROBE_ bits */
    int64_t cache_bytes;        /* last level: what was used within so many bytes may still be near */
    int64_t memory_bytes;       /* most that all kinds of memory together should take */
    const char *device;         /* lives as long as the probe */
} es_probe_facts;

typedef struct es_probe_expert { /* up and down projection of one expert, or as many weights in another order */
    const void *weights;        /* device memory, 2 * hidden * inter weights of 4 bytes */
    uint32_t hidden, inter, tokens;
} es_probe_expert;

typedef struct es_probe_io {
    bool write;
    void *buffer;               /* pageable memory, aligned to 4096 */
    int64_t offset, bytes;      /* in the probe's scratch file; multiples of 4096 */
    int64_t block;              /* bytes of one request */
    uint32_t depth;             /* requests under way at a time, 1 .. ES_PROBE_DEPTH */
} es_probe_io;

typedef enum es_get {           /* ways to get memory of the device */
    ES_GET_BUFFER,              /* a buffer of its own, from the system */
    ES_GET_SHARED,              /* the same, and the host can write it */
    ES_GET_HEAP,                /* a heap for pieces of that size altogether */
    ES_GET_PIECE,               /* a piece of a heap that is there and was used before */
    ES_GET_WRAP,                /* what the host has already, where it lies */
    ES_GETS
} es_get;

typedef struct es_got {
    es_time call;               /* until the memory is given */
    es_time first, again;       /* the device writes it from end to end, for the first time (its pages come now) and for the second */
} es_got;

typedef enum es_reside { ES_RESIDE_BUFFERS, ES_RESIDE_HEAP, ES_RESIDE_SET, ES_RESIDES } es_reside;

typedef struct es_probe {
    es_part part;
    es_probe_facts (*facts)(void *self);
    /* Adds what is known of the machine: driver, clocks, page size ... */
    void (*environment)(void *self, es_json *out);
    es_time (*now)(void *self);                         /* the host's clock, monotonic */
    es_code (*alloc)(void *self, es_memory kind, int64_t bytes, void **out, es_err *err);   /* aligned to 4096; its pages are there */
    void (*release)(void *self, es_memory kind, void *at, int64_t bytes);
    /* From or to pageable memory it may return before the copy is done or after it, as the machine has it. */
    es_code (*copy)(void *self, unsigned stream, es_way way, void *to, const void *from, int64_t bytes, es_err *err);
    es_code (*expert)(void *self, unsigned stream, const es_probe_expert *ask, es_err *err);
    es_code (*record)(void *self, unsigned stream, unsigned event, es_err *err);            /* event 0 .. ES_PROBE_EVENTS - 1 */
    /* Between hold and go the streams only collect, so that what was queued starts at one instant. NULL: they cannot be held. */
    es_code (*hold)(void *self, es_err *err);
    es_code (*go)(void *self, es_err *err);
    es_code (*sync)(void *self, es_err *err);           /* tells what went wrong on a stream, too */
    es_code (*elapsed)(void *self, unsigned from, unsigned to, es_time *ns, es_err *err);   /* after sync */
    es_code (*disk)(void *self, const es_probe_io *io, es_err *err);                        /* returns when all is read, or safely written */
    /* Gets memory of the device in one way, has the device write it twice, gives it back. */
    es_code (*get)(void *self, es_get how, int64_t bytes, es_got *out, es_err *err);
    /* What the host waits for a tiny kernel that may read `count` buffers of `bytes` each, beyond what the device worked. */
    es_code (*reside)(void *self, es_reside how, uint32_t count, int64_t bytes, es_time *ns, es_err *err);
} es_probe;

#endif
