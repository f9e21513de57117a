/* Host: a probe that every machine has. A second arena of its memory stands for the device, a thread per way for the copy
 * engines, locked pages for pinned memory, the processor for the GPU. What it measures is real: the cost of moving and
 * computing experts in this machine's own memory, and its disk. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "calib/blas.h"
#include "calib/disk.h"
#include "calib/dma.h"
#include "calib/environment.h"
#include "calib/movers.h"
#include "calib/pages.h"
#include "sim/base/file.h"

enum { HOST_COMPUTE = ES_WAYS, HOST_DISK, HOST_ENGINES, HOST_WAITING = 64, HOST_BLOCKS = 32, HOST_EXPERTS = 128, HOST_TOKENS = 256, HOST_WIDTH = 8192, HOST_TRIED = 64 << 20 };

typedef struct host_block {     /* memory that is allocated */
    void *at;
    int64_t bytes;
    es_memory kind;
} host_block;

typedef struct host_expert {    /* an expert that is queued */
    struct host *owner;
    es_probe_expert ask;
} host_expert;

typedef struct host_io {        /* what the disk is to do on its stream */
    struct host *owner;
    es_probe_io ask;
} host_io;

typedef struct host {
    const char *folder, *asked_blas;
    bool huge;
    int64_t threads, node;

    dma *engines;
    disk *disk;
    blas *blas;
    movers *movers;
    float *activations;         /* [3][HOST_TOKENS * HOST_WIDTH] */
    unsigned can;
    int64_t cache_bytes, memory_bytes;
    es_err no_disk, no_lock;    /* why there is none; why memory is not locked */
    int64_t locked;             /* bytes of it */
    int bound;                  /* NUMA node that the arena of the device is bound to; -1: none */
    es_err not_bound;           /* why not, where it was asked for or there are several */
    unsigned char *heap;        /* of `get`: written from end to end, its pieces are handed out again and again */
    int64_t heap_bytes;
    host_block block[HOST_BLOCKS];
    host_expert expert[HOST_EXPERTS];
    unsigned experts;           /* queued since the last sync */
    host_io io[ES_PROBE_EVENTS];
    unsigned ios;               /* queued since the last sync */
    es_err disk_failed;         /* the first of them that went wrong; its code is ES_OK when none did */
    int64_t stamp[ES_PROBE_EVENTS];
    struct {
        unsigned engine;        /* of the last that was queued */
        dma_job waiting[HOST_WAITING];      /* events recorded or waited for before the first of a way: they go to its engine */
        unsigned count;
        bool fresh;             /* nothing was queued since the last sync */
    } stream[ES_PROBE_STREAMS];
} host;

static const es_option host_options[] = {
    {.name = "folder", .type = ES_OPT_TEXT, .offset = offsetof(host, folder), .def_text = ".", .help = "Where the scratch file lies: on the disk that holds the experts."},
    {.name = "huge", .type = ES_OPT_BOOL, .offset = offsetof(host, huge), .def = 1, .help = "Ask for huge pages where the system gives them."},
    {.name = "threads", .type = ES_OPT_INT, .offset = offsetof(host, threads), .max = 1024, .help = "Threads that compute an expert; 0: as many as the library takes."},
    {.name = "blas", .type = ES_OPT_TEXT, .offset = offsetof(host, asked_blas), .help = "The library that computes an expert, with the calls of CBLAS; absent: OpenBLAS where it is found; none: own loops."},
    {.name = "node", .type = ES_OPT_INT, .offset = offsetof(host, node), .def = -1, .min = -1, .max = 63, .help = "NUMA node of the arena that stands for the device; -1: another than the first where there are several."},
    {0},
};

/* ---- what there is ---- */

/* The last level of the first processor. The kernel knows a virtual machine's share of it, cpuid (and so sysconf) does not. */
static int64_t host_cache(void)
{
    int64_t bytes = 0;
    for (int level = 4; level >= 2 && bytes == 0; level--) {
        char path[64], *text = NULL;
        size_t length = 0;
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", level);
        if (es_file_load(path, 4096, &text, &length, NULL) == ES_OK)
            bytes = strtoll(text, NULL, 10) << 10;          /* "32768K" */
        free(text);
    }
#ifdef _SC_LEVEL3_CACHE_SIZE
    if (bytes <= 0)
        bytes = sysconf(_SC_LEVEL3_CACHE_SIZE);
#endif
    return bytes > 0 ? bytes : 32 << 20;        /* not told: larger than most */
}

/* A quarter of what is free now: others work here, too. */
static int64_t host_memory(void)
{
    int64_t page = sysconf(_SC_PAGESIZE), pages = 0;
#ifdef _SC_AVPHYS_PAGES
    pages = sysconf(_SC_AVPHYS_PAGES);
#endif
    return pages > 0 ? pages / 4 * page : (int64_t)1 << 30;
}

/* What keeps `bytes` more from being locked, and what lifts it. The limit on locked memory is often a few MiB; processes of root have none. */
static es_code host_not_locked(const host *h, int64_t bytes, int why, es_err *err)
{
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    es_text wanted = {0}, may = {0};
    getrlimit(RLIMIT_MEMLOCK, &limit);
    bool limited = limit.rlim_cur != RLIM_INFINITY && (uint64_t)(h->locked + bytes) > limit.rlim_cur;
    es_text_bytes(&wanted, (double)(h->locked + bytes));
    es_text_bytes(&may, (double)limit.rlim_cur);
    if (limited)
        es_err_set(err, ES_EDEVICE, "cannot lock %s of memory, the limit is %s (RLIMIT_MEMLOCK): `ulimit -l unlimited` in the same shell lifts it, or as root a line "
            "\"USER - memlock unlimited\" in /etc/security/limits.conf and a new login", wanted.at ? wanted.at : "?", may.at ? may.at : "?");
    else
        es_err_set(err, ES_EDEVICE, "cannot lock %s of memory: %s: so much is not free, --most with a smaller size needs less", wanted.at ? wanted.at : "?", strerror(why));
    es_text_free(&wanted);
    es_text_free(&may);
    return ES_EDEVICE;
}

static bool host_locks(host *h)
{
    void *at = mmap(NULL, HOST_TRIED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return host_not_locked(h, HOST_TRIED, errno, &h->no_lock), false;
    bool locks = mlock(at, HOST_TRIED) == 0;
    if (!locks)
        host_not_locked(h, HOST_TRIED, errno, &h->no_lock);
    munmap(at, HOST_TRIED);
    return locks;
}

static es_code host_init(void *self, const es_site *site, es_err *err)
{
    host *h = self;
    unsigned disk_can;
    (void)site;
    h->cache_bytes = host_cache();
    h->memory_bytes = host_memory();
    h->bound = -1;
    h->can = ES_PROBE_PINS | ES_PROBE_EXPERT | ES_PROBE_WAITS | ES_PROBE_GETS | ES_PROBE_THREADS | (h->huge ? ES_PROBE_HUGE : 0) | (pages_last_node() > 0 ? ES_PROBE_FAR : 0) |
        (host_locks(h) ? ES_PROBE_LOCKS : 0);
    for (unsigned s = 0; s < ES_PROBE_STREAMS; s++)
        h->stream[s].fresh = true;
    if (disk_open(&h->disk, h->folder, &disk_can, &h->no_disk) == ES_OK)
        h->can |= disk_can;
    h->activations = calloc((size_t)3 * HOST_TOKENS * HOST_WIDTH, sizeof *h->activations);
    if (!h->activations)
        return es_err_nomem(err, "the activations of an expert");
    for (size_t i = 0; i < (size_t)HOST_TOKENS * HOST_WIDTH; i++)
        h->activations[i] = 1.0f + (float)(i % 7) * 0.125f;
    return dma_open(&h->engines, HOST_ENGINES, err);
}

static void host_fini(void *self)
{
    host *h = self;
    dma_close(h->engines);
    disk_close(h->disk);
    blas_close(h->blas);
    movers_close(h->movers);
    free(h->activations);
    if (h->heap)
        munmap(h->heap, (size_t)h->heap_bytes);
}

static es_probe_facts host_facts(void *self)
{
    const host *h = self;
    return (es_probe_facts){h->can, h->cache_bytes, h->memory_bytes, "host memory", movers_most()};
}

static const char *host_why(void *self, unsigned bit)
{
    const host *h = self;
    switch (bit) {
    case ES_PROBE_DISK:
    case ES_PROBE_DISK_BUFFERED:
        return h->no_disk.text;
    case ES_PROBE_DISK_QUEUE:
        return "io_uring is absent, so the disk takes one request at a time";
    case ES_PROBE_LOCKS:
        return h->no_lock.text;
    default:
        return NULL;
    }
}

static void host_environment(void *self, es_json *out)
{
    const host *h = self;
    es_json_add_text(out, "pinned", h->can & ES_PROBE_LOCKS ? "locked" : "not locked");
    es_json_add_text(out, "disk", h->disk && h->can & ES_PROBE_DISK ? h->can & ES_PROBE_DISK_QUEUE ? "O_DIRECT, io_uring" : "O_DIRECT" : h->no_disk.text);
    environment_filesystem(h->folder, out);
    es_json_add_text(out, "blas", h->blas ? blas_name(h->blas) : "not used");
    es_json_add_bool(out, "huge_pages_asked", h->huge);
    es_json_add_int(out, "numa_node", h->bound);
    if (h->not_bound.text[0])
        es_json_add_text(out, "numa_not_bound", h->not_bound.text);
    es_json_add_int(out, "cache_B", h->cache_bytes);
}

static es_time host_now(void *self)
{
    (void)self;
    return dma_clock();
}

/* ---- memory ---- */

/* A node far from the processor's stands best for a device. Where the kernel refuses, memory lies where it comes to lie, and the
 * environment says so. */
static void host_bind(host *h, void *at, size_t bytes)
{
    int64_t node = h->node >= 0 ? h->node : pages_last_node();
    if (node == 0 && h->node < 0)
        return;                     /* the only one */
    if (pages_bind(at, bytes, node, &h->not_bound) == ES_OK)
        h->bound = (int)node;
}

static es_code host_alloc(void *self, es_memory kind, int64_t bytes, void **out, es_err *err)
{
    host *h = self;
    size_t free = 0;
    while (free < HOST_BLOCKS && h->block[free].at)
        free++;
    if (free == HOST_BLOCKS)
        return es_err_set(err, ES_EINTERNAL, "more than %d blocks of memory at a time", HOST_BLOCKS);
    void *at = NULL;
    es_code mapped = pages_map(bytes, h->huge && kind != ES_MEMORY_PAGEABLE, &at, err);
    if (mapped)
        return mapped;
    if (kind == ES_MEMORY_DEVICE)
        host_bind(h, at, (size_t)bytes);
    if (kind != ES_MEMORY_PINNED || !(h->can & ES_PROBE_LOCKS))
        pages_touch(at, (size_t)bytes);
    else if (mlock(at, (size_t)bytes) != 0) {
        es_code code = host_not_locked(h, bytes, errno, err);
        munmap(at, (size_t)bytes);
        return code;
    } else {
        h->locked += bytes;
    }
    h->block[free] = (host_block){at, bytes, kind};
    *out = at;
    return ES_OK;
}

static void host_release(void *self, es_memory kind, void *at, int64_t bytes)
{
    host *h = self;
    if (kind == ES_MEMORY_PINNED && (h->can & ES_PROBE_LOCKS))
        h->locked -= bytes;
    for (size_t i = 0; i < HOST_BLOCKS; i++)
        if (h->block[i].at == at)
            h->block[i].at = NULL;
    munmap(at, (size_t)bytes);
}

/* ---- getting memory ---- */

/* A heap that a piece of `bytes` fits into, its pages there. */
static es_code heap_ready(host *h, int64_t bytes, es_err *err)
{
    void *at = NULL;
    if (bytes <= h->heap_bytes)
        return ES_OK;
    if (h->heap)
        munmap(h->heap, (size_t)h->heap_bytes);
    h->heap = NULL;
    h->heap_bytes = 0;
    es_code code = pages_map(bytes, h->huge, &at, err);
    if (code)
        return code;
    pages_touch(at, (size_t)bytes);
    h->heap = at;
    h->heap_bytes = bytes;
    return ES_OK;
}

static es_time host_write(void *at, int64_t bytes, int value)
{
    es_time start = dma_clock();
    memset(at, value, (size_t)bytes);
    return dma_clock() - start;
}

/* A buffer or a heap is a mapping of its own; a piece is a place in one, which costs the arithmetic. */
static es_code host_get(void *self, es_get how, int64_t bytes, es_got *out, es_err *err)
{
    host *h = self;
    void *at = NULL;
    es_code code = how == ES_GET_PIECE ? heap_ready(h, bytes, err) : ES_OK;
    es_time start = dma_clock();
    if (code == ES_OK && how == ES_GET_PIECE)
        at = h->heap;
    else if (code == ES_OK)
        code = pages_map(bytes, h->huge, &at, err);
    out->call = dma_clock() - start;
    if (code)
        return code;
    out->first = out->again = host_write(at, bytes, 1);
    if (how == ES_GET_PIECE)
        return ES_OK;           /* its pages are there: a second time would tell what the cache is worth */
    out->again = host_write(at, bytes, 2);
    munmap(at, (size_t)bytes);
    return ES_OK;
}

static bool host_is_pageable(const host *h, const void *at)
{
    for (size_t i = 0; i < HOST_BLOCKS; i++) {
        const unsigned char *first = h->block[i].at;
        if (first && (const unsigned char *)at >= first && (const unsigned char *)at < first + h->block[i].bytes)
            return h->block[i].kind == ES_MEMORY_PAGEABLE;
    }
    return false;
}

static es_code host_move(void *self, es_ram kind, uint32_t threads, int64_t bytes, es_time *ns, es_err *err)
{
    host *h = self;
    int64_t cold = 2 * h->cache_bytes < h->memory_bytes / 12 ? 2 * h->cache_bytes : h->memory_bytes / 12;
    es_code code = h->movers ? ES_OK : movers_open(&h->movers, cold, err);
    return code ? code : movers_copy(h->movers, kind, threads, bytes, ns, err);
}

/* ---- streams ---- */

/* Events recorded before it was known which engine the stream uses go ahead of its first job. */
static es_code stream_settle(host *h, unsigned stream, unsigned engine, es_err *err)
{
    es_code code = ES_OK;
    h->stream[stream].engine = engine;
    h->stream[stream].fresh = false;
    for (unsigned i = 0; i < h->stream[stream].count && code == ES_OK; i++)
        code = dma_push(h->engines, engine, &h->stream[stream].waiting[i], err);
    h->stream[stream].count = 0;
    return code;
}

static es_code host_copy(void *self, unsigned stream, es_way way, void *to, const void *from, int64_t bytes, es_err *err)
{
    host *h = self;
    if (host_is_pageable(h, to) || host_is_pageable(h, from)) {    /* as a driver does it: the caller's thread waits */
        dma_sync(h->engines);
        memcpy(to, from, (size_t)bytes);
        return ES_OK;
    }
    es_code code = stream_settle(h, stream, (unsigned)way, err);
    return code ? code : dma_push(h->engines, (unsigned)way, &(dma_job){.to = to, .from = from, .bytes = (size_t)bytes}, err);
}

static void expert_compute(void *arg)
{
    host_expert *e = arg;
    const es_probe_expert *a = &e->ask;
    float *in = e->owner->activations, *middle = in + (size_t)HOST_TOKENS * HOST_WIDTH, *out = middle + (size_t)HOST_TOKENS * HOST_WIDTH;
    const float *up = a->weights, *down = up + (size_t)a->hidden * a->inter;
    blas_multiply(e->owner->blas, a->tokens, a->hidden, a->inter, in, up, middle);
    blas_multiply(e->owner->blas, a->tokens, a->inter, a->hidden, middle, down, out);
}

static es_code host_expert_queue(void *self, unsigned stream, const es_probe_expert *ask, es_err *err)
{
    host *h = self;
    if (ask->tokens > HOST_TOKENS || ask->hidden > HOST_WIDTH || ask->inter > HOST_WIDTH)
        return es_err_set(err, ES_EINTERNAL, "an expert of %u x %u for %u tokens is larger than %d x %d for %d", ask->hidden, ask->inter, ask->tokens, HOST_WIDTH, HOST_WIDTH,
            HOST_TOKENS);
    if (!h->blas && !(h->blas = blas_open(h->asked_blas, (int)h->threads)))
        return es_err_nomem(err, "a library of matrix products");
    if (h->asked_blas && strcmp(h->asked_blas, "none") != 0 && blas_own(h->blas))
        return es_err_set(err, ES_EDEVICE, "blas: %.400s cannot be loaded or has no cblas_sgemm and cblas_sgemv; --set blas=none computes with own loops", h->asked_blas);
    if (h->experts == HOST_EXPERTS)
        return es_err_set(err, ES_EINTERNAL, "more than %d experts without a sync", HOST_EXPERTS);
    host_expert *e = &h->expert[h->experts++];
    *e = (host_expert){h, *ask};
    es_code code = stream_settle(h, stream, HOST_COMPUTE, err);
    return code ? code : dma_push(h->engines, HOST_COMPUTE, &(dma_job){.call = expert_compute, .arg = e}, err);
}

/* A job that is none of a way: it goes behind what its stream has, or waits until it is known which engine that is. */
static es_code stream_mark(host *h, unsigned stream, const dma_job *job, es_err *err)
{
    if (!h->stream[stream].fresh)
        return dma_push(h->engines, h->stream[stream].engine, job, err);
    if (h->stream[stream].count == HOST_WAITING)
        return es_err_set(err, ES_EINTERNAL, "more than %d events on a stream before anything else", HOST_WAITING);
    h->stream[stream].waiting[h->stream[stream].count++] = *job;
    return ES_OK;
}

static es_code host_record(void *self, unsigned stream, unsigned event, es_err *err)
{
    host *h = self;
    h->stamp[event] = 0;
    return stream_mark(h, stream, &(dma_job){.stamp = &h->stamp[event]}, err);
}

static es_code host_wait(void *self, unsigned stream, unsigned event, es_err *err)
{
    host *h = self;
    return stream_mark(h, stream, &(dma_job){.until = &h->stamp[event]}, err);
}

static es_code host_hold(void *self, es_err *err)
{
    (void)err;
    dma_hold(((host *)self)->engines, true);
    return ES_OK;
}

static es_code host_go(void *self, es_err *err)
{
    (void)err;
    dma_hold(((host *)self)->engines, false);
    return ES_OK;
}

static es_code host_sync(void *self, es_err *err)
{
    host *h = self;
    dma_sync(h->engines);
    for (unsigned s = 0; s < ES_PROBE_STREAMS; s++) {
        for (unsigned i = 0; i < h->stream[s].count; i++)
            if (h->stream[s].waiting[i].stamp)
                *h->stream[s].waiting[i].stamp = dma_clock();
        h->stream[s].count = 0;
        h->stream[s].fresh = true;
    }
    h->experts = h->ios = 0;
    es_code code = h->disk_failed.code ? es_err_set(err, h->disk_failed.code, "%s", h->disk_failed.text) : ES_OK;
    h->disk_failed.code = ES_OK;
    return code;
}

static es_code host_elapsed(void *self, unsigned from, unsigned to, es_time *ns, es_err *err)
{
    const host *h = self;
    (void)err;
    *ns = h->stamp[to] - h->stamp[from];
    return ES_OK;
}

static es_code host_disk(void *self, const es_probe_io *io, es_err *err)
{
    return disk_io(((host *)self)->disk, io, err);
}

/* On the engine's thread; nobody else uses the disk until the next sync. */
static void disk_perform(void *arg)
{
    host_io *io = arg;
    es_err err = {0};
    if (disk_io(io->owner->disk, &io->ask, &err) != ES_OK && io->owner->disk_failed.code == ES_OK)
        io->owner->disk_failed = err;
}

static es_code host_queue_disk(void *self, unsigned stream, const es_probe_io *io, es_err *err)
{
    host *h = self;
    if (h->ios == ES_PROBE_EVENTS)
        return es_err_set(err, ES_EINTERNAL, "more than %d reads and writes without a sync", ES_PROBE_EVENTS);
    h->io[h->ios] = (host_io){h, *io};
    es_code code = stream_settle(h, stream, HOST_DISK, err);
    return code ? code : dma_push(h->engines, HOST_DISK, &(dma_job){.call = disk_perform, .arg = &h->io[h->ios++]}, err);
}

const es_probe es_probe_host = {
    .part = {
        .abi = ES_ABI,
        .name = "host",
        .brief = "This machine's own memory, processor and disk; a second arena stands for the device.",
        .options = host_options,
        .size = sizeof(host),
        .init = host_init,
        .fini = host_fini,
    },
    .facts = host_facts,
    .environment = host_environment,
    .now = host_now,
    .alloc = host_alloc,
    .release = host_release,
    .copy = host_copy,
    .expert = host_expert_queue,
    .record = host_record,
    .hold = host_hold,
    .go = host_go,
    .sync = host_sync,
    .elapsed = host_elapsed,
    .disk = host_disk,
    .wait = host_wait,
    .queue_disk = host_queue_disk,
    .why = host_why,
    .get = host_get,
    .move = host_move,
};
