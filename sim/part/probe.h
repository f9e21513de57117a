/* Probe: a machine that can be measured. It has memory of several kinds, streams on which copies and experts run one after
 * another, events that stamp a stream, a disk, and a clock. What is measured when is decided by calib/; a probe only does it.
 *
 * Streams work by themselves: copy, batch, record and expert only queue, sync waits until all streams are empty. Copies of one
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
    ES_MEMORY_PORTABLE,         /* ES_PROBE_FLAVOURS: pinned for every device; */
    ES_MEMORY_COMBINED,         /* write-combined, slow for the host to read; */
    ES_MEMORY_REGISTERED,       /* pageable memory of malloc, pinned after the fact; */
    ES_MEMORY_MAPPED,           /* the same of mmap */
    ES_MEMORIES
} es_memory;

typedef enum es_way { ES_WAY_H2D, ES_WAY_D2H, ES_WAY_D2D, ES_WAY_H2H, ES_WAYS } es_way;

enum {                          /* what a probe can do */
    ES_PROBE_PINS = 1u,         /* ES_MEMORY_PINNED */
    ES_PROBE_EXPERT = 2u,       /* computes an expert */
    ES_PROBE_DISK = 4u,         /* reads and writes past the page cache, one block at a time */
    ES_PROBE_DISK_QUEUE = 8u,   /* and several blocks at a time */
    ES_PROBE_LOCKS = 16u,       /* pinning has a price that can be timed */
    ES_PROBE_FLAVOURS = 32u,    /* the kinds of memory behind ES_MEMORY_DEVICE */
    ES_PROBE_BATCH_CALL = 64u,  /* `batch` by a call that takes many copies */
    ES_PROBE_GATHER = 128u,     /* `batch` by a kernel that reads the host's memory */
    ES_PROBE_PRICES = 256u,     /* `price` of memory */
    ES_PROBE_POOLS = 512u,      /* `price` of memory from a pool, in the order of a stream */
    ES_PROBE_PENDING = 1024u,   /* `price` of memory while a kernel runs */
    ES_PROBE_LAUNCHES = 2048u,  /* `price` of starting kernels */
    ES_PROBE_BF16 = 4096u, ES_PROBE_INT8 = 8192u, ES_PROBE_INT4 = 16384u,      /* `expert` in these */
    ES_PROBE_MIXES = 32768u,    /* a stream takes copies of any way and experts, in their order */
    ES_PROBE_UNIFIED = 1u << 16, /* host and device share the memory: nothing crosses a link */
    ES_PROBE_GETS = 1u << 17,   /* `get`: buffers, heaps, and pieces of these */
    ES_PROBE_WRAPS = 1u << 18,  /* and shared buffers, and wrapping what the host has */
    ES_PROBE_RESIDES = 1u << 19, /* `reside`: buffers one by one, or in a heap */
    ES_PROBE_SETS = 1u << 20,   /* and as a set */
    ES_PROBE_THREADS = 1u << 21, /* `move`: copies within the host's memory by several threads */
    ES_PROBE_HUGE = 1u << 22, ES_PROBE_FAR = 1u << 23,  /* the same in huge pages, and to another NUMA node */
    ES_PROBE_DIRECT = 1u << 24, /* `fetch`: the device reads the disk by itself (GPUDirect Storage) */
    ES_PROBE_WAITS = 1u << 25,  /* `wait`: streams wait for each other */
    ES_PROBE_DISK_BUFFERED = 1u << 26   /* `disk` reads through the page cache, too, and can make it forget */
};

enum { ES_PROBE_STREAMS = 8, ES_PROBE_EVENTS = 160, ES_PROBE_DEPTH = 32 };

typedef struct es_probe_facts {
    unsigned can;               /* ES_PROBE_ bits */
    int64_t cache_bytes;        /* last level: what was used within so many bytes may still be near */
    int64_t memory_bytes;       /* most that all kinds of memory together should take */
    const char *device;         /* lives as long as the probe */
    uint32_t threads;           /* ES_PROBE_THREADS: at most so many at once */
} es_probe_facts;

typedef enum es_weights { ES_WEIGHTS_FP32, ES_WEIGHTS_BF16, ES_WEIGHTS_INT8, ES_WEIGHTS_INT4, ES_WEIGHTS } es_weights;

typedef struct es_probe_expert { /* one expert, or as many weights in another order */
    /* Device memory. FP32: up and down projection, 2 * hidden * inter weights of 4 bytes. Others: gate, up and down, 3 * hidden * inter
     * weights of 2, 1 and a half byte; behind those of INT4 a scale of 2 bytes for each 128 of them. */
    const void *weights;
    uint32_t hidden, inter, tokens;
    int precision;              /* es_weights; what is not FP32 needs its ES_PROBE_ bit */
} es_probe_expert;

typedef enum es_form {          /* ways to move several objects at once */
    ES_FORM_COPIES,             /* a copy each: `copy` does it */
    ES_FORM_WHOLE,              /* one copy, as they lie side by side: `copy`, too */
    ES_FORM_CALL,               /* one call that takes them all */
    ES_FORM_GATHER,             /* a kernel that reads them where they are */
    ES_FORMS
} es_form;

enum { ES_PROBE_BATCH = 64 };   /* objects of a batch, at most: a held queue is finite */

typedef struct es_probe_batch {
    int form;                   /* es_form: CALL or GATHER */
    es_way way;                 /* GATHER: ES_WAY_H2D */
    void *const *to;            /* [count], aligned to 16 */
    const void *const *from;
    int64_t bytes;              /* of each */
    uint32_t count;             /* 1 .. ES_PROBE_BATCH */
} es_probe_batch;

typedef enum es_price {         /* what is timed by the host's clock and has no queue of its own */
    ES_PRICE_DEVICE,            /* memory of the device, nothing else going on */
    ES_PRICE_DEVICE_PENDING,    /* the same while a kernel of 2 ms runs */
    ES_PRICE_POOL_KEPT,         /* from a pool that keeps what is given back */
    ES_PRICE_POOL_RETURNED,     /* from one that returns it to the system whenever somebody waits */
    ES_PRICE_PINNED,            /* pinned memory of the host */
    ES_PRICE_REGISTERED,        /* pinning memory that is there */
    ES_PRICE_LAUNCH,            /* one kernel, until it is known to be done */
    ES_PRICE_QUEUED,            /* one of many kernels queued; give: of it, what the host does */
    ES_PRICE_REPLAY,            /* one of as many kernels of a graph */
    ES_PRICES
} es_price;

enum { ES_PRICED_TAKE, ES_PRICED_GIVE, ES_PRICED_STREAM, ES_PRICED };      /* getting, giving back, what both take on the device */

typedef enum es_disk_way {
    ES_DISK_DIRECT,             /* past the page cache */
    ES_DISK_BUFFERED,           /* a read through it; needs its ES_PROBE_ bit, as the next does */
    ES_DISK_FORGET              /* no read: the page cache is told to have none of these bytes */
} es_disk_way;

typedef struct es_probe_io {
    bool write;
    void *buffer;               /* pinned or pageable memory, aligned to 4096 */
    int64_t offset, bytes;      /* in the probe's scratch file; multiples of 4096 */
    int64_t block;              /* bytes of one request */
    uint32_t depth;             /* requests under way at a time, 1 .. ES_PROBE_DEPTH */
    es_disk_way way;
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

typedef enum es_ram { ES_RAM_SMALL, ES_RAM_HUGE, ES_RAM_FAR, ES_RAMS } es_ram;    /* of the host: small pages; huge ones; these, to another node */

typedef enum es_fetch { ES_FETCH_DIRECT, ES_FETCH_STAGED } es_fetch;   /* by the device; past the page cache into pinned memory, and a copy */

typedef enum es_reside { ES_RESIDE_BUFFERS, ES_RESIDE_HEAP, ES_RESIDE_SET, ES_RESIDES } es_reside;

typedef struct es_probe {
    es_part part;
    es_probe_facts (*facts)(void *self);
    /* Adds what is known of the machine: driver, clocks, page size ... NULL: nothing more than its name. */
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
    /* What is queued on the stream from now on starts when the event, which was recorded on another stream before, has come. NULL: streams
     * cannot wait for each other. */
    es_code (*wait)(void *self, unsigned stream, unsigned event, es_err *err);
    /* The same as `disk`, but queued on a stream, so that it runs while others do; at most ES_PROBE_EVENTS between two syncs. NULL: cannot. */
    es_code (*queue_disk)(void *self, unsigned stream, const es_probe_io *io, es_err *err);
    es_code (*batch)(void *self, unsigned stream, const es_probe_batch *ask, es_err *err);  /* only queues, as copy does */
    /* Times it once, streams empty before and after; what does not apply is -1. Not between hold and go. */
    es_code (*price)(void *self, es_price what, int64_t bytes, es_time ns[ES_PRICED], es_err *err);
    /* Why a bit of `can` is not set, for people; NULL: such machines never have it. May be NULL itself. Lives as long as the probe. */
    const char *(*why)(void *self, unsigned bit);
    /* Gets memory of the device in one way, has the device write it twice, gives it back. */
    es_code (*get)(void *self, es_get how, int64_t bytes, es_got *out, es_err *err);
    /* What the host waits for a tiny kernel that may read `count` buffers of `bytes` each, beyond what the device worked. */
    es_code (*reside)(void *self, es_reside how, uint32_t count, int64_t bytes, es_time *ns, es_err *err);
    /* Copies `bytes` in all within the host's memory by as many threads at once, cold; what it took until the last was done. */
    es_code (*move)(void *self, es_ram kind, uint32_t threads, int64_t bytes, es_time *ns, es_err *err);
    /* Reads the scratch file into memory of the device, multiples of 4096: what it took until the bytes were there, and where they are. */
    es_code (*fetch)(void *self, es_fetch how, int64_t offset, int64_t bytes, const void **at, es_time *ns, es_err *err);
} es_probe;

#endif
