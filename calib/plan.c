/* Plan: see plan.h. */
#include "calib/plan.h"

#include <stdlib.h>
#include <string.h>

#define KIB 1024LL
#define MIB (1024 * KIB)

const calib_row calib_rows[CALIB_ROWS] = {
    {"pcie.h2d", CALIB_COPY, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_PINS, "pinned host memory to the device", 0},
    {"pcie.d2h", CALIB_COPY, ES_WAY_D2H, ES_MEMORY_PINNED, ES_PROBE_PINS, "the device to pinned host memory", 0},
    {"pcie.pageable", CALIB_COPY, ES_WAY_H2D, ES_MEMORY_PAGEABLE, 0, "pageable host memory to the device", 0},
    {"pcie.batch", CALIB_BATCH, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_PINS, "several experts to the device, queued at once", 0},
    {"device.read", CALIB_COPY, ES_WAY_D2D, ES_MEMORY_DEVICE, 0, "a copy within the device", 0},
    {"device.alloc", CALIB_ALLOC, ES_WAY_D2D, ES_MEMORY_DEVICE, 0, "allocating device memory, first touch included", 0},
    {"host.pin", CALIB_ALLOC, ES_WAY_H2H, ES_MEMORY_PINNED, ES_PROBE_LOCKS, "allocating pinned host memory", 0},
    {"gpu.expert", CALIB_EXPERT, ES_WAY_D2D, ES_MEMORY_DEVICE, ES_PROBE_EXPERT, "computing one expert", 0},
    {"disk.read", CALIB_READ, ES_WAY_H2H, ES_MEMORY_PAGEABLE, ES_PROBE_DISK, "reading the disk past the page cache", 0},
    {"disk.write", CALIB_WRITE, ES_WAY_H2H, ES_MEMORY_PAGEABLE, ES_PROBE_DISK, "writing the disk, safe when it returns", 0},
    {"memory.h2d", CALIB_COPY, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_UNIFIED, "a shared buffer to a private one, by the device", 0},
    {"memory.d2h", CALIB_COPY, ES_WAY_D2H, ES_MEMORY_PINNED, ES_PROBE_UNIFIED, "a private buffer to a shared one, by the device", 0},
    {"memory.write", CALIB_COPY, ES_WAY_H2H, ES_MEMORY_PAGEABLE, ES_PROBE_UNIFIED, "a shared buffer written by the processor", 0},
    {"memory.batch", CALIB_BATCH, ES_WAY_H2D, ES_MEMORY_PINNED, ES_PROBE_UNIFIED, "several experts to private buffers, in one command buffer", 0},
    {.name = "get.buffer", .op = CALIB_GET, .needs = ES_PROBE_GETS, .what = "a buffer of the device", .how = ES_GET_BUFFER},
    {.name = "get.shared", .op = CALIB_GET, .needs = ES_PROBE_WRAPS, .what = "a buffer that the host can write, too", .how = ES_GET_SHARED},
    {.name = "get.heap", .op = CALIB_GET, .needs = ES_PROBE_GETS, .what = "a heap", .how = ES_GET_HEAP},
    {.name = "get.piece", .op = CALIB_GET, .needs = ES_PROBE_GETS, .what = "a piece of a heap that is there", .how = ES_GET_PIECE},
    {.name = "get.wrap", .op = CALIB_GET, .needs = ES_PROBE_WRAPS, .what = "host memory made a buffer where it lies", .how = ES_GET_WRAP},
    {.name = "reside.buffers", .op = CALIB_RESIDE, .needs = ES_PROBE_RESIDES, .what = "a kernel that may read so many buffers", .how = ES_RESIDE_BUFFERS},
    {.name = "reside.heap", .op = CALIB_RESIDE, .needs = ES_PROBE_RESIDES, .what = "the same, in one heap", .how = ES_RESIDE_HEAP},
    {.name = "reside.set", .op = CALIB_RESIDE, .needs = ES_PROBE_SETS, .what = "the same, in a residency set", .how = ES_RESIDE_SET},
};

const calib_row *calib_row_find(const char *name)
{
    for (size_t i = 0; i < CALIB_ROWS; i++)
        if (strcmp(calib_rows[i].name, name) == 0)
            return &calib_rows[i];
    return NULL;
}

/* ---- sizes ---- */

enum { PLAN_SIZES = 96 };

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

/* From `least` to `most`, and the experts between them; ascending, each once, multiples of 4096 where `paged`. */
static void sizes_make(plan_sizes *sizes, const calib_ask *ask, int64_t least, int64_t most, bool paged)
{
    *sizes = (plan_sizes){0};
    for (int64_t n = least; n <= most; n *= 2) {
        sizes_add(sizes, n);
        if (!ask->quick && n + n / 2 <= most)
            sizes_add(sizes, n + n / 2);
    }
    for (size_t i = 0; i < ask->experts; i++) {
        int64_t bytes = paged ? (ask->expert[i] + 4095) / 4096 * 4096 : ask->expert[i];
        if (bytes >= least && bytes <= most)
            sizes_add(sizes, bytes);
    }
    qsort(sizes->at, sizes->count, sizeof *sizes->at, sizes_order);
    size_t kept = 0;
    for (size_t i = 0; i < sizes->count; i++)
        if (kept == 0 || sizes->at[i] != sizes->at[kept - 1])
            sizes->at[kept++] = sizes->at[i];
    sizes->count = kept;
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

/* One expert in batches, as an engine that fetches all misses of a layer at once would. */
static void writer_batch(plan_writer *w, size_t row, const calib_ask *ask, int64_t most)
{
    static const uint32_t counts[] = {1, 4, 10, 20};
    static const int64_t bytes[] = {64 * KIB, 1 * MIB, 9 * MIB};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
        for (size_t b = 0; b < sizeof bytes / sizeof *bytes; b++)
            if (counts[c] * bytes[b] <= most && !(ask->quick && counts[c] == 10))
                writer_add(w, row, counts[c], bytes[b]);
}

static void writer_expert(plan_writer *w, size_t row, const calib_ask *ask)
{
    uint32_t most = ask->quick ? 64 : 256;
    for (uint32_t tokens = 1; tokens <= most; tokens *= 2) {
        writer_add(w, row, tokens, 2LL * CALIB_HIDDEN * CALIB_INTER * 4);
        if (tokens > 1 && !ask->quick && tokens + tokens / 2 <= most)
            writer_add(w, row, tokens + tokens / 2, 2LL * CALIB_HIDDEN * CALIB_INTER * 4);
    }
}

static void writer_disk(plan_writer *w, size_t row, const calib_ask *ask, bool queues, int64_t most)
{
    static const uint32_t depths[] = {1, 2, 4, 8, 16, 32};
    plan_sizes sizes;
    sizes_make(&sizes, ask, 128 * KIB, most < 32 * MIB ? most : 32 * MIB, true);
    for (size_t d = 0; d < (queues ? sizeof depths / sizeof *depths : 1); d++)
        if (!ask->quick || depths[d] == 1 || depths[d] == 8)
            writer_sizes(w, row, depths[d], &sizes);
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
    const calib_row *r = &calib_rows[row];
    if (!row_is_of(r, facts))
        return;
    switch (r->op) {
    case CALIB_COPY:
        sizes_make(&sizes, ask, 4 * KIB, most, false);
        writer_sizes(w, row, 1, &sizes);
        break;
    case CALIB_BATCH:
        writer_batch(w, row, ask, most);
        break;
    case CALIB_ALLOC:
    case CALIB_GET:
        sizes_make(&sizes, ask, 64 * KIB, most < 64 * MIB ? most : 64 * MIB, false);
        writer_sizes(w, row, 1, &sizes);
        break;
    case CALIB_EXPERT:
        writer_expert(w, row, ask);
        break;
    case CALIB_READ:
    case CALIB_WRITE:
        writer_disk(w, row, ask, (facts->can & ES_PROBE_DISK_QUEUE) && r->op == CALIB_READ, most);
        break;
    case CALIB_RESIDE:
        writer_reside(w, row, ask, facts->memory_bytes);
        break;
    }
}

es_code calib_plan_make(calib_plan *plan, const calib_ask *ask, const es_probe_facts *facts, es_arena *arena, es_err *err)
{
    /* Three pools of three copies each and what is compared have to fit beside each other. */
    int64_t most = ask->most ? ask->most : ask->quick ? 16 * MIB : 256 * MIB, fits = facts->memory_bytes / 12;
    if (most > fits)
        most = fits;
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
    *plan = (calib_plan){w.at, w.count, w.most, es_stream_of(ask->seed, 0, "calibrate", "order")};
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
