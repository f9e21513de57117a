/* Alloc: what memory costs to get. The defaults are the figures of the Metal memory pool's guide (seed 003), which gives ranges and
 * measured none: a piece of a pool 10 to 20 us, a buffer of the device 200 to 500 us, malloc 50 to 100 us, warming a heap up 10 ms for
 * each size. Within a range every time is equally likely.
 *
 * Memory that the device hands out anew is not there yet: each page is mapped and zeroed when it is touched first, huge ones by what
 * fills them where the system gives these, the rest by small ones. A pool has paid for that when its heap was made. Moves within a pool
 * (compaction) read and write every byte.
 *
 * `resident` is what a step pays to make what it may read known to the GPU: once for each heap, and once for each buffer beside them. The
 * guide does not speak of it; a Metal engine found its submissions slower with every resident buffer, and one heap instead of many buffers
 * took the GPU's stall from 25.9 to 3.9 s (colibri, issues 379 and 392).
 *
 * `statistics` is the guide's price of track_statistics, 1 to 2 % that it calls atomic increments; of what, it does not say. Here it is a
 * share of an allocation from the pool, whose counters they are. It is 0 by default: the ranges above are given for a pool that counts. */
#include "sim/part/timing.h"

typedef struct alloc_range { es_time least, most; } alloc_range;

typedef struct alloc {
    alloc_range pool, device, host;
    es_time heap, warm, move, touch, huge_touch, resident;
    int64_t page, huge;
    double rate, statistics;
    es_stream stream;
} alloc;

#define ALLOC(field) offsetof(alloc, field)
#define ALLOC_LIMIT 9e15

static const es_option alloc_options[] = {
    {.name = "pool", .type = ES_OPT_TIME, .offset = ALLOC(pool.least), .def = 10e3, .max = ALLOC_LIMIT, .help = "An allocation from a pool, at least."},
    {.name = "pool_most", .type = ES_OPT_TIME, .offset = ALLOC(pool.most), .def = 20e3, .max = ALLOC_LIMIT, .help = "And at most; not above `pool`: always that."},
    {.name = "statistics", .type = ES_OPT_REAL, .offset = ALLOC(statistics), .max = 1, .help = "Counting: the share of its time that an allocation from a pool takes longer. Seed 003 says 0.01 to 0.02."},
    {.name = "device", .type = ES_OPT_TIME, .offset = ALLOC(device.least), .def = 200e3, .max = ALLOC_LIMIT, .help = "A buffer that the device allocates, at least."},
    {.name = "device_most", .type = ES_OPT_TIME, .offset = ALLOC(device.most), .def = 500e3, .max = ALLOC_LIMIT, .help = "And at most."},
    {.name = "host", .type = ES_OPT_TIME, .offset = ALLOC(host.least), .def = 50e3, .max = ALLOC_LIMIT, .help = "The malloc beside each buffer where there is no pool, at least."},
    {.name = "host_most", .type = ES_OPT_TIME, .offset = ALLOC(host.most), .def = 100e3, .max = ALLOC_LIMIT, .help = "And at most."},
    {.name = "heap", .type = ES_OPT_TIME, .offset = ALLOC(heap), .max = ALLOC_LIMIT, .help = "Making a heap, beside its pages."},
    {.name = "warm", .type = ES_OPT_TIME, .offset = ALLOC(warm), .def = 10e6, .max = ALLOC_LIMIT, .help = "Warming up one heap for one size."},
    {.name = "page", .type = ES_OPT_BYTES, .offset = ALLOC(page), .def = 16384, .min = 1, .max = 0x1p40, .help = "What is mapped at once."},
    {.name = "touch", .type = ES_OPT_TIME, .offset = ALLOC(touch), .max = 1e9, .help = "Mapping and zeroing a page at its first use: of device buffers each time, of a heap once."},
    {.name = "huge", .type = ES_OPT_BYTES, .offset = ALLOC(huge), .max = 0x1p40, .help = "A huge page: what fills whole ones is mapped by them, the rest by pages; 0: none."},
    {.name = "huge_touch", .type = ES_OPT_TIME, .offset = ALLOC(huge_touch), .max = ALLOC_LIMIT, .help = "Mapping and zeroing a huge page."},
    {.name = "resident", .type = ES_OPT_TIME, .offset = ALLOC(resident), .max = 1e9, .help = "In every step, for each heap and each buffer beside them: making it resident for the GPU."},
    {.name = "move", .type = ES_OPT_TIME, .offset = ALLOC(move), .max = ALLOC_LIMIT, .help = "Moving a buffer within a pool, beside its bytes."},
    {.name = "move_rate", .type = ES_OPT_RATE, .offset = ALLOC(rate), .max = 1e18, .help = "Bytes moved per second (each is read and written); 0: bytes cost nothing."},
    {0},
};

static es_code alloc_init(void *self, const es_site *site, es_err *err)
{
    alloc *a = self;
    (void)err;
    a->stream = es_stream_of(site->seed, site->replication, site->path, "alloc");
    return ES_OK;
}

static es_time alloc_draw(const alloc *a, const alloc_range *range, const es_op *op)
{
    if (range->most <= range->least)
        return range->least;
    return range->least + (es_time)(es_draw_real(a->stream, op->kind, op->occurrence, 0, 0) * (double)(range->most - range->least + 1));
}

static es_time alloc_counted(const alloc *a, es_time bare)
{
    return bare + es_ns_round((double)bare * a->statistics);
}

static es_time alloc_pages(const alloc *a, int64_t bytes)
{
    int64_t huge = a->huge > 0 ? bytes / a->huge : 0, rest = bytes - huge * a->huge;
    return es_ns_round((double)a->huge_touch * (double)huge + (double)a->touch * (double)((rest + a->page - 1) / a->page));
}

static es_cost alloc_cost(void *self, const es_op *op)
{
    const alloc *a = self;
    switch (op->kind) {
    case ES_OP_ALLOC:
        return (es_cost){alloc_counted(a, alloc_draw(a, &a->pool, op)), 0};
    case ES_OP_ALLOC_DEVICE:
        return (es_cost){alloc_draw(a, &a->device, op), alloc_pages(a, op->bytes)};
    case ES_OP_ALLOC_HOST:
        return (es_cost){alloc_draw(a, &a->host, op), 0};
    case ES_OP_HEAP:
        return (es_cost){a->heap, alloc_pages(a, op->bytes)};
    case ES_OP_WARM:
        return (es_cost){a->warm * op->count, 0};
    case ES_OP_ACCESS:
        return (es_cost){a->resident * op->count, 0};
    case ES_OP_MOVE:
        return (es_cost){a->move * op->count, a->rate > 0.0 ? es_ns_round((double)op->bytes * 1e9 / a->rate) : 0};
    default:
        return (es_cost){0, 0};
    }
}

const es_timing es_timing_alloc = {
    .part = {.abi = ES_ABI, .name = "alloc", .brief = "Getting memory: from a pool, the device or the host; heaps, their pages and warm-up; moves.",
        .options = alloc_options, .size = sizeof(alloc), .init = alloc_init, .flags = ES_TIMING_DRAWS},
    .cost = alloc_cost,
};
