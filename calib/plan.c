/* Plan: see plan.h. */
#include "calib/plan.h"

#include <stdlib.h>
#include <string.h>

#include "calib/copied.h"
#include "calib/onto.h"

#define KIB 1024LL
#define MIB (1024 * KIB)

#define PRICE(row, need, text, price, share) \
    {row, CALIB_PRICE, ES_WAY_H2H, ES_MEMORY_PAGEABLE, need, text, price, share}
#define LAUNCH(row, text, price, share) \
    {row, CALIB_LAUNCH, ES_WAY_H2H, ES_MEMORY_PAGEABLE, ES_PROBE_LAUNCHES, text, price, share}
#define EXPERT(row, need, text, weights, warm) \
    {row, CALIB_EXPERT, ES_WAY_D2D, ES_MEMORY_DEVICE, need, text, weights, warm}

const calib_row calib_rows[CALIB_ROWS] = {
    {"pcie.h2d", CALIB_COPY, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_PINS, "pinned host memory to the device", 0, 0},
    {"pcie.d2h", CALIB_COPY, ES_WAY_D2H, ES_MEMORY_PINNED, ES_PROBE_PINS, "the device to pinned host memory", 0, 0},
    {"pcie.pageable", CALIB_COPY, ES_WAY_H2D, ES_MEMORY_PAGEABLE, 0, "pageable host memory to the device", 0, 0},
    {"pcie.batch", CALIB_BATCH, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_PINS, "several experts to the device, queued at once", 0, 0},
    {"device.read", CALIB_COPY, ES_WAY_D2D, ES_MEMORY_DEVICE, 0, "a copy within the device", 0, 0},
    {"device.alloc", CALIB_ALLOC, ES_WAY_D2D, ES_MEMORY_DEVICE, 0, "allocating device memory, first touch included", 0, 0},
    {"host.pin", CALIB_ALLOC, ES_WAY_H2H, ES_MEMORY_PINNED, ES_PROBE_LOCKS, "allocating pinned host memory", 0, 0},
    {"gpu.expert", CALIB_EXPERT, ES_WAY_D2D, ES_MEMORY_DEVICE, ES_PROBE_EXPERT, "computing one expert", ES_WEIGHTS_FP32, CALIB_COLD},
    {"disk.read", CALIB_READ, ES_WAY_H2H, ES_MEMORY_PAGEABLE, ES_PROBE_DISK, "reading the disk past the page cache", 0, 0},
    {"disk.buffered", CALIB_READ, ES_WAY_H2H, ES_MEMORY_PAGEABLE, ES_PROBE_DISK_BUFFERED, "reading the disk through the page cache, which has none of it", ES_DISK_BUFFERED, 0},
    {"disk.write", CALIB_WRITE, ES_WAY_H2H, ES_MEMORY_PAGEABLE, ES_PROBE_DISK, "writing the disk, safe when it returns", 0, 0},

    {"pcie.h2d_portable", CALIB_COPY, ES_WAY_H2D, ES_MEMORY_PORTABLE, ES_PROBE_FLAVOURS, "memory pinned for every device to the device", 0, 0},
    {"pcie.h2d_combined", CALIB_COPY, ES_WAY_H2D, ES_MEMORY_COMBINED, ES_PROBE_FLAVOURS, "write-combined pinned memory to the device", 0, 0},
    {"pcie.h2d_registered", CALIB_COPY, ES_WAY_H2D, ES_MEMORY_REGISTERED, ES_PROBE_FLAVOURS, "memory of malloc, registered, to the device", 0, 0},
    {"pcie.h2d_mapped", CALIB_COPY, ES_WAY_H2D, ES_MEMORY_MAPPED, ES_PROBE_FLAVOURS, "memory of mmap, registered, to the device", 0, 0},
    {"pcie.d2h_registered", CALIB_COPY, ES_WAY_D2H, ES_MEMORY_REGISTERED, ES_PROBE_FLAVOURS, "the device to memory of malloc, registered", 0, 0},
    {"pcie.pageable_d2h", CALIB_COPY, ES_WAY_D2H, ES_MEMORY_PAGEABLE, ES_PROBE_FLAVOURS, "the device to pageable host memory", 0, 0},
    {"pcie.h2d_host", CALIB_SEEN, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_PINS | ES_PROBE_LAUNCHES, "pinned host memory to the device, from the call until it is known to be done", 0, 0},
    {"pcie.d2h_host", CALIB_SEEN, ES_WAY_D2H, ES_MEMORY_PINNED, ES_PROBE_PINS | ES_PROBE_LAUNCHES, "the device to pinned host memory, from the call until it is known to be done", 0, 0},

    {"pcie.batch_whole", CALIB_BATCH, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_PINS, "several experts that lie side by side, as one copy", ES_FORM_WHOLE, 0},
    {"pcie.batch_call", CALIB_BATCH, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_PINS | ES_PROBE_BATCH_CALL, "several experts by one call for batches", ES_FORM_CALL, 0},
    {"pcie.batch_gather", CALIB_BATCH, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_PINS | ES_PROBE_GATHER, "several experts by a kernel that reads the host's memory", ES_FORM_GATHER, 0},

    PRICE("device.take", ES_PROBE_PRICES, "memory of the device", ES_PRICE_DEVICE, ES_PRICED_TAKE),
    PRICE("device.give", ES_PROBE_PRICES, "giving back memory of the device", ES_PRICE_DEVICE, ES_PRICED_GIVE),
    PRICE("device_pending.take", ES_PROBE_PRICES | ES_PROBE_PENDING, "memory of the device while a kernel of 2 ms runs", ES_PRICE_DEVICE_PENDING, ES_PRICED_TAKE),
    PRICE("device_pending.give", ES_PROBE_PRICES | ES_PROBE_PENDING, "giving it back while a kernel of 2 ms runs", ES_PRICE_DEVICE_PENDING, ES_PRICED_GIVE),
    PRICE("pool_kept.take", ES_PROBE_POOLS, "memory of a pool that has it", ES_PRICE_POOL_KEPT, ES_PRICED_TAKE),
    PRICE("pool_kept.give", ES_PROBE_POOLS, "giving it back to the pool, and waiting", ES_PRICE_POOL_KEPT, ES_PRICED_GIVE),
    PRICE("pool_kept.stream", ES_PROBE_POOLS, "both, on the device", ES_PRICE_POOL_KEPT, ES_PRICED_STREAM),
    PRICE("pool_returned.take", ES_PROBE_POOLS, "memory of a pool that has to ask for it", ES_PRICE_POOL_RETURNED, ES_PRICED_TAKE),
    PRICE("pool_returned.give", ES_PROBE_POOLS, "giving it back to a pool that returns it, and waiting", ES_PRICE_POOL_RETURNED, ES_PRICED_GIVE),
    PRICE("pinned.take", ES_PROBE_PRICES, "pinned memory of the host", ES_PRICE_PINNED, ES_PRICED_TAKE),
    PRICE("pinned.give", ES_PROBE_PRICES, "giving back pinned memory", ES_PRICE_PINNED, ES_PRICED_GIVE),
    PRICE("registered.take", ES_PROBE_PRICES | ES_PROBE_FLAVOURS, "registering memory that is there", ES_PRICE_REGISTERED, ES_PRICED_TAKE),
    PRICE("registered.give", ES_PROBE_PRICES | ES_PROBE_FLAVOURS, "unregistering it", ES_PRICE_REGISTERED, ES_PRICED_GIVE),

    LAUNCH("launch.latency", "a kernel that does nothing, until it is known to be done", ES_PRICE_LAUNCH, ES_PRICED_TAKE),
    LAUNCH("launch.queued", "one of 1000 such kernels", ES_PRICE_QUEUED, ES_PRICED_TAKE),
    LAUNCH("launch.issue", "the host's part of one of 1000", ES_PRICE_QUEUED, ES_PRICED_GIVE),
    LAUNCH("launch.replay", "one of 1000 in a graph", ES_PRICE_REPLAY, ES_PRICED_TAKE),

    EXPERT("gpu_bf16.cold", ES_PROBE_BF16, "an expert in bf16", ES_WEIGHTS_BF16, CALIB_COLD),
    EXPERT("gpu_bf16.warm", ES_PROBE_BF16, "an expert in bf16 that was used just before", ES_WEIGHTS_BF16, CALIB_USED),
    EXPERT("gpu_int8.cold", ES_PROBE_INT8, "an expert in 8 bits", ES_WEIGHTS_INT8, CALIB_COLD),
    EXPERT("gpu_int8.warm", ES_PROBE_INT8, "an expert in 8 bits that was used just before", ES_WEIGHTS_INT8, CALIB_USED),
    EXPERT("gpu_int4.cold", ES_PROBE_INT4, "an expert in 4 bits", ES_WEIGHTS_INT4, CALIB_COLD),
    EXPERT("gpu_int4.warm", ES_PROBE_INT4, "an expert in 4 bits that was used just before", ES_WEIGHTS_INT4, CALIB_USED),

    {"memory.h2d", CALIB_COPY, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_UNIFIED, "a shared buffer to a private one, by the device", 0, 0},
    {"memory.d2h", CALIB_COPY, ES_WAY_D2H, ES_MEMORY_PINNED, ES_PROBE_UNIFIED, "a private buffer to a shared one, by the device", 0, 0},
    {"memory.write", CALIB_COPY, ES_WAY_H2H, ES_MEMORY_PAGEABLE, ES_PROBE_UNIFIED, "a shared buffer written by the processor", 0, 0},
    {"memory.batch", CALIB_BATCH, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_UNIFIED, "several experts to private buffers, in one command buffer", 0, 0},
    {.name = "get.buffer", .op = CALIB_GET, .needs = ES_PROBE_GETS, .what = "a buffer of the device", .which = ES_GET_BUFFER},
    {.name = "get.shared", .op = CALIB_GET, .needs = ES_PROBE_WRAPS, .what = "a buffer that the host can write, too", .which = ES_GET_SHARED},
    {.name = "get.heap", .op = CALIB_GET, .needs = ES_PROBE_GETS, .what = "a heap", .which = ES_GET_HEAP},
    {.name = "get.piece", .op = CALIB_GET, .needs = ES_PROBE_GETS, .what = "a piece of a heap that is there", .which = ES_GET_PIECE},
    {.name = "get.wrap", .op = CALIB_GET, .needs = ES_PROBE_WRAPS, .what = "host memory made a buffer where it lies", .which = ES_GET_WRAP},
    {.name = "disk.fetch", .op = CALIB_FETCH, .needs = ES_PROBE_DIRECT, .what = "reading the disk into memory of the device, by the device", .which = ES_FETCH_DIRECT},
    {.name = "disk.staged", .op = CALIB_FETCH, .needs = ES_PROBE_DIRECT, .what = "the same past the page cache into pinned memory, and a copy", .which = ES_FETCH_STAGED},
    {.name = "dram.copy", .op = CALIB_MOVE, .needs = ES_PROBE_THREADS, .what = "a copy within the host's memory, in small pages", .which = ES_RAM_SMALL},
    {.name = "dram.copy_huge", .op = CALIB_MOVE, .needs = ES_PROBE_THREADS | ES_PROBE_HUGE, .what = "the same in huge pages", .which = ES_RAM_HUGE},
    {.name = "dram.copy_far", .op = CALIB_MOVE, .needs = ES_PROBE_THREADS | ES_PROBE_FAR, .what = "the same to memory of another NUMA node", .which = ES_RAM_FAR},
    {.name = "reside.buffers", .op = CALIB_RESIDE, .needs = ES_PROBE_RESIDES, .what = "a kernel that may read so many buffers", .which = ES_RESIDE_BUFFERS},
    {.name = "reside.heap", .op = CALIB_RESIDE, .needs = ES_PROBE_RESIDES, .what = "the same, in one heap", .which = ES_RESIDE_HEAP},
    {.name = "reside.set", .op = CALIB_RESIDE, .needs = ES_PROBE_SETS, .what = "the same, in a residency set", .which = ES_RESIDE_SET},

    {"gpu.copied", CALIB_EXPERT, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_EXPERT | ES_PROBE_PINS, "an expert that was copied just before", ES_WEIGHTS_FP32, CALIB_COPIED},
    {"gpu.handed", CALIB_EXPERT, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_EXPERT | ES_PROBE_PINS | ES_PROBE_WAITS, "an expert that was copied while another was computed", ES_WEIGHTS_FP32, CALIB_HANDED},
    {"gpu.faded", CALIB_EXPERT, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_EXPERT | ES_PROBE_PINS, "an expert that was copied so many KiB before", ES_WEIGHTS_FP32, CALIB_FADED},
    {"pcie.onto", CALIB_ONTO, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_PINS, "a copy to where another went so many KiB before", 0, 0},
};

int64_t calib_expert_bytes(int precision)
{
    int64_t matrix = (int64_t)CALIB_HIDDEN * CALIB_INTER;
    switch (precision) {
    case ES_WEIGHTS_BF16:
        return 3 * matrix * 2;
    case ES_WEIGHTS_INT8:
        return 3 * matrix;
    case ES_WEIGHTS_INT4:
        return 3 * matrix / 2 + 3 * matrix / 128 * 2;
    default:
        return 2 * matrix * 4;
    }
}

uint32_t calib_expert_inter(int precision, int64_t bytes)
{
    return precision == ES_WEIGHTS_FP32 ? (uint32_t)(bytes / (8 * CALIB_HIDDEN)) : CALIB_INTER;
}

const calib_row *calib_row_find(const char *name)
{
    for (size_t i = 0; i < CALIB_ROWS; i++)
        if (strcmp(calib_rows[i].name, name) == 0)
            return &calib_rows[i];
    return NULL;
}

/* ---- sizes ---- */

enum { PLAN_SIZES = 96, BATCH_EXPERTS = 4 };
#define PLAN_RAISED (512 * MIB) /* so far the largest copy follows experts by itself */
#define PLAN_ENGINES (1024 * MIB) /* so far plain copies to and from a card go: its copy engines take whole layers, too */
#define EXPERT_MOST (64 * MIB)  /* no expert that is computed is larger: 4096 wide inside */

typedef struct plan_sizes {
    int64_t at[PLAN_SIZES];
    size_t count;
} plan_sizes;

static void sizes_add(plan_sizes *sizes, int64_t bytes)
{
    if (sizes->count < PLAN_SIZES)
        sizes->at[sizes->count++] = bytes;
}

static int sizes_order(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

typedef enum plan_grid { PLAN_FINE, PLAN_PAGED, PLAN_TWOS, PLAN_FOURS } plan_grid;

/* Ascending, each once. */
static void sizes_settle(plan_sizes *sizes)
{
    qsort(sizes->at, sizes->count, sizeof *sizes->at, sizes_order);
    size_t kept = 0;
    for (size_t i = 0; i < sizes->count; i++)
        if (kept == 0 || sizes->at[i] != sizes->at[kept - 1])
            sizes->at[kept++] = sizes->at[i];
    sizes->count = kept;
}

/* From `least` to `most`, and the experts between them; ascending, each once. FINE: 2^k and 1.5 * 2^k; PAGED: these, as multiples of
 * 4096; TWOS: 2^k; FOURS: 4^k, of what is dear. */
static void sizes_make(plan_sizes *sizes, const calib_ask *ask, int64_t least, int64_t most, plan_grid grid)
{
    bool paged = grid == PLAN_PAGED, halves = !ask->quick && grid <= PLAN_PAGED;
    *sizes = (plan_sizes){0};
    for (int64_t n = least; n <= most; n *= grid == PLAN_FOURS ? 4 : 2) {
        sizes_add(sizes, n);
        if (halves && n + n / 2 <= most)
            sizes_add(sizes, n + n / 2);
    }
    for (size_t i = 0; i < ask->experts; i++) {
        int64_t bytes = paged ? (ask->expert[i] + 4095) / 4096 * 4096 : ask->expert[i];
        if (bytes >= least && bytes <= most)
            sizes_add(sizes, bytes);
    }
    sizes_settle(sizes);
}

/* Of the sizes above only 3 MiB fills a huge page and not all of the next: two more tell what a rest costs. */
static void sizes_broken(plan_sizes *sizes, const calib_ask *ask, int64_t most)
{
    static const int64_t broken[] = {2 * MIB + 512 * KIB, 5 * MIB};
    for (size_t i = 0; i < sizeof broken / sizeof *broken && !ask->quick; i++)
        if (broken[i] <= most)
            sizes_add(sizes, broken[i]);
    sizes_settle(sizes);
}

/* ---- cases ---- */

typedef struct plan_writer {
    calib_case *at;             /* NULL: only counts */
    size_t count;
    int64_t most;
} plan_writer;

static void writer_add(plan_writer *w, size_t row, uint32_t count, int64_t bytes)
{
    if (w->at)
        w->at[w->count] = (calib_case){(uint32_t)row, count, bytes};
    w->count++;
    int64_t whole = calib_rows[row].op == CALIB_BATCH ? bytes * count : bytes;
    if (whole > w->most)
        w->most = whole;
}

static void writer_sizes(plan_writer *w, size_t row, uint32_t count, const plan_sizes *sizes)
{
    for (size_t i = 0; i < sizes->count; i++)
        writer_add(w, row, count, sizes->at[i]);
}

/* Experts in batches, as an engine that fetches all misses of a layer at once would, those that were asked for among them; and pieces as small as their scales are, where
 * calls for batches were slow below 28 KiB (github.com/vllm-project/vllm issue 42212). */
static void writer_batch(plan_writer *w, size_t row, const calib_ask *ask, int64_t most)
{
    static const uint32_t counts[] = {1, 4, 10, 20, 64};
    static const int64_t bytes[] = {4 * KIB, 16 * KIB, 24 * KIB, 32 * KIB, 64 * KIB, 256 * KIB, 1 * MIB, 9 * MIB};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        plan_sizes sizes = {0};
        for (size_t b = 0; b < sizeof bytes / sizeof *bytes; b++)
            if (!ask->quick || bytes[b] == 64 * KIB || bytes[b] >= MIB)
                sizes_add(&sizes, bytes[b]);
        for (size_t i = 0; i < ask->experts && i < BATCH_EXPERTS; i++)
            sizes_add(&sizes, ask->expert[i]);
        sizes_settle(&sizes);
        for (size_t b = 0; b < sizes.count && !(ask->quick && (counts[c] == 10 || counts[c] == 64)); b++)
            if (counts[c] * sizes.at[b] <= most)
                writer_add(w, row, counts[c], sizes.at[b]);
    }
}

/* Kernels want widths that are multiples of 16. */
enum { EXPERT_UNIT = 16 * 8 * CALIB_HIDDEN };

/* In FP32 several sizes, so that what does not grow with the size is told apart: down to a sixteenth, and those asked for, as far as a probe
 * can compute them. The other precisions are compared at one size. */
static void expert_sizes(plan_sizes *sizes, size_t row, const calib_ask *ask, int64_t most)
{
    int64_t whole = calib_expert_bytes(calib_rows[row].which);
    *sizes = (plan_sizes){0};
    sizes_add(sizes, whole);
    if (calib_rows[row].which != ES_WEIGHTS_FP32)
        return;
    for (int part = 2; part <= 16; part *= 2)
        if (!ask->quick || part != 8)
            sizes_add(sizes, whole / part);
    for (size_t i = 0; i < ask->experts; i++) {
        int64_t bytes = (ask->expert[i] + EXPERT_UNIT - 1) / EXPERT_UNIT * EXPERT_UNIT;
        if (bytes <= most)
            sizes_add(sizes, bytes);
    }
    sizes_settle(sizes);
}

static void writer_expert(plan_writer *w, size_t row, const calib_ask *ask, int64_t largest)
{
    uint32_t most = ask->quick ? 64 : 256;
    plan_sizes sizes;
    expert_sizes(&sizes, row, ask, largest);
    for (uint32_t tokens = 1; tokens <= most; tokens *= 2) {
        writer_sizes(w, row, tokens, &sizes);
        if (tokens > 1 && !ask->quick && tokens + tokens / 2 <= most && calib_rows[row].part == CALIB_COLD)
            writer_sizes(w, row, tokens + tokens / 2, &sizes);
    }
}

/* The expert that is simulated, where it fits into a cache that has room for others too. */
static int64_t faded_bytes(const calib_ask *ask, int64_t cache)
{
    for (size_t i = 0; i < ask->experts; i++)
        if (ask->expert[i] <= cache / 4)
            return (ask->expert[i] + EXPERT_UNIT - 1) / EXPERT_UNIT * EXPERT_UNIT;
    return copied_expert(cache, EXPERT_UNIT);
}

/* One expert at several distances from its copy. */
static void writer_faded(plan_writer *w, size_t row, const calib_ask *ask, int64_t cache, int64_t largest)
{
    int64_t between[COPIED_DISTANCES], bytes = faded_bytes(ask, cache);
    size_t count = copied_between(cache, ask->quick, between);
    for (size_t i = 0; i < count; i++)
        writer_add(w, row, (uint32_t)(between[i] / KIB), bytes <= largest ? bytes : EXPERT_UNIT);
}

/* A copy to where one went before, right behind it and at several distances. */
static void writer_onto(plan_writer *w, size_t row, const calib_ask *ask, int64_t cache, int64_t largest)
{
    int64_t between[COPIED_DISTANCES], bytes = onto_bytes(cache < 8 * largest ? cache : 8 * largest);
    size_t count = copied_between(cache, ask->quick, between);
    writer_add(w, row, 1, bytes);
    for (size_t i = 0; i < count; i++)
        writer_add(w, row, (uint32_t)(between[i] / KIB), bytes);
}

static void writer_disk(plan_writer *w, size_t row, const calib_ask *ask, bool queues, int64_t most)
{
    static const uint32_t depths[] = {1, 2, 4, 8, 16, 32};
    plan_sizes sizes;
    sizes_make(&sizes, ask, 128 * KIB, most < 32 * MIB ? most : 32 * MIB, PLAN_PAGED);
    bool writes = calib_rows[row].op == CALIB_WRITE;
    for (size_t d = 0; d < (queues ? sizeof depths / sizeof *depths : 1); d++)
        if (depths[d] == 1 || (depths[d] == 8 && !(writes && ask->quick)) || !(writes || ask->quick))
            writer_sizes(w, row, depths[d], &sizes);
}

/* All sizes for one thread; for more a few, which tell what all of them get. */
static void writer_move(plan_writer *w, size_t row, const calib_ask *ask, uint32_t most_threads, int64_t most)
{
    plan_sizes sizes;
    for (uint32_t threads = 1; threads <= most_threads; threads = threads < most_threads && threads * 2 > most_threads ? most_threads : threads * 2) {
        if (ask->quick && threads > 1 && threads < most_threads)
            continue;
        sizes_make(&sizes, ask, threads == 1 ? 64 * KIB : 256 * KIB, most, threads == 1 ? PLAN_TWOS : PLAN_FOURS);
        writer_sizes(w, row, threads, &sizes);
    }
}

/* A kind of memory that is compared with plain pinned memory: fewer sizes do, and smaller pools. */
static bool plan_flavoured(const calib_row *row)
{
    return (row->needs & ES_PROBE_FLAVOURS) && row->op == CALIB_COPY;
}

/* What memory has room for: three pools of three copies each and what is compared beside each other, and pools of a quarter for other
 * kinds of memory. */
static int64_t plan_fits(const es_probe_facts *facts)
{
    return facts->memory_bytes / (facts->can & ES_PROBE_FLAVOURS ? 16 : 12);
}

/* Between pinned memory and a card, 1 GiB unless told otherwise: a link takes 20 to 80 ms for it. */
static int64_t plan_pinned(const calib_ask *ask, const es_probe_facts *facts, int64_t most)
{
    int64_t fits = plan_fits(facts);
    if (!(facts->can & ES_PROBE_FLAVOURS) || ask->quick || ask->most)
        return most;
    return fits < PLAN_ENGINES ? fits : PLAN_ENGINES;
}

/* Powers of four: what one buffer more costs is a slope, and it needs many of them to be seen. */
static void writer_reside(plan_writer *w, size_t row, const calib_ask *ask, int64_t memory)
{
    const int64_t bytes = 16 * KIB;
    for (uint32_t count = 1; count <= (ask->quick ? 1024 : 4096) && count * bytes <= memory / 12; count *= 4) {
        writer_add(w, row, count, bytes);
        if (!ask->quick && count > 1)
            writer_add(w, row, count / 2, bytes);
    }
}

/* Where host and device share their memory nothing goes through PCIe: the rows of `memory` stand for it. */
static bool row_is_of(const calib_row *row, const es_probe_facts *facts)
{
    return (row->needs & facts->can) == row->needs && !((facts->can & ES_PROBE_UNIFIED) && strncmp(row->name, "pcie.", 5) == 0);
}

static void writer_row(plan_writer *w, size_t row, const calib_ask *ask, const es_probe_facts *facts, int64_t most)
{
    plan_sizes sizes;
    int64_t largest;
    const calib_row *r = &calib_rows[row];
    if (!row_is_of(r, facts))
        return;
    switch (r->op) {
    case CALIB_COPY:
        largest = plan_flavoured(r) ? most / 4 : r->memory == ES_MEMORY_PINNED ? plan_pinned(ask, facts, most) : most;
        sizes_make(&sizes, ask, 4 * KIB, largest, plan_flavoured(r) ? PLAN_TWOS : PLAN_FINE);
        writer_sizes(w, row, 1, &sizes);
        break;
    case CALIB_SEEN:
        sizes_make(&sizes, ask, 4 * KIB, most / 4, PLAN_TWOS);
        writer_sizes(w, row, 1, &sizes);
        break;
    case CALIB_PRICE:
        sizes_make(&sizes, ask, 64 * KIB, most, PLAN_FOURS);
        writer_sizes(w, row, 1, &sizes);
        break;
    case CALIB_LAUNCH:
        writer_add(w, row, 1, 1);
        break;
    case CALIB_BATCH:
        writer_batch(w, row, ask, most);
        break;
    case CALIB_ALLOC:
    case CALIB_GET:
        sizes_make(&sizes, ask, 64 * KIB, most < 64 * MIB ? most : 64 * MIB, PLAN_FINE);
        sizes_broken(&sizes, ask, most);
        writer_sizes(w, row, 1, &sizes);
        break;
    case CALIB_EXPERT:
        if (r->part == CALIB_FADED)
            writer_faded(w, row, ask, facts->cache_bytes, most);
        else
            writer_expert(w, row, ask, most < EXPERT_MOST ? most : EXPERT_MOST);
        break;
    case CALIB_READ:
    case CALIB_WRITE:
        writer_disk(w, row, ask, (facts->can & ES_PROBE_DISK_QUEUE) && r->which == ES_DISK_DIRECT, most);
        break;
    case CALIB_FETCH:
        sizes_make(&sizes, ask, 128 * KIB, most < 32 * MIB ? most : 32 * MIB, PLAN_PAGED);
        writer_sizes(w, row, 1, &sizes);
        break;
    case CALIB_MOVE:
        writer_move(w, row, ask, facts->threads, most / 4);
        break;
    case CALIB_ONTO:
        writer_onto(w, row, ask, facts->cache_bytes, most);
        break;
    case CALIB_RESIDE:
        writer_reside(w, row, ask, facts->memory_bytes);
        break;
    }
}

static int64_t plan_largest(const calib_ask *ask, const es_probe_facts *facts)
{
    int64_t most = ask->quick ? 16 * MIB : 256 * MIB, fits = plan_fits(facts);
    for (size_t i = 0; i < ask->experts; i++)
        if (ask->expert[i] > most && ask->expert[i] <= PLAN_RAISED)
            most = ask->expert[i];
    most = ask->most ? ask->most : most;
    return most < fits ? most : fits;
}

es_code calib_plan_make(calib_plan *plan, const calib_ask *ask, const es_probe_facts *facts, es_arena *arena, es_err *err)
{
    const int64_t most = plan_largest(ask, facts);
    if (most < 64 * KIB)
        return es_err_set(err, ES_EINPUT, "copies of at most %lld bytes are too few to fit a line through; 64KiB is the least that makes sense", (long long)most);
    plan_writer w = {0};
    for (size_t row = 0; row < CALIB_ROWS; row++)
        writer_row(&w, row, ask, facts, most);
    w.at = ES_NEW_ARRAY(arena, w.count, calib_case);
    if (!w.at)
        return es_err_nomem(err, "the plan of a calibration");
    w.count = 0;
    for (size_t row = 0; row < CALIB_ROWS; row++)
        writer_row(&w, row, ask, facts, most);
    *plan = (calib_plan){w.at, w.count, w.most, most, plan_pinned(ask, facts, most), es_stream_of(ask->seed, 0, "calibrate", "order")};
    return ES_OK;
}

/* Fisher and Yates, with draws by counter: a case more shifts no other round. */
void calib_plan_shuffle(const calib_plan *plan, uint32_t round, uint32_t *order)
{
    for (uint32_t i = 0; i < plan->count; i++) {
        uint32_t j = es_draw_below(plan->shuffle, i + 1, round, i, 0, 0);
        order[i] = order[j];
        order[j] = i;
    }
}
