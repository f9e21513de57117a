/* CUDA: a probe of the first NVIDIA GPU. This file opens and closes it and queues on its streams; cuda_inside.h says where the rest is.
 *
 * Times are those of the device's events, less what two events take that have nothing between them. The streams are held by a host
 * function until all is queued, so that the time to queue is in none of them. A held queue is finite: when it is full, the thread that
 * queues waits for a function that waits for it, so the function gives up after a while, and the sample is refused. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "calib/cuda_inside.h"
#include "calib/environment.h"
#include "sim/base/file.h"

enum { CUDA_PAIRS = 21, CUDA_PROPERTIES = 4096 };

static const es_option cuda_options[] = {
    {.name = "library", .type = ES_OPT_TEXT, .offset = offsetof(cuda, asked_library), .help = "The CUDA runtime, of version 12 or 13; absent: the newest libcudart.so that is found."},
    {.name = "blas", .type = ES_OPT_TEXT, .offset = offsetof(cuda, asked_blas), .help = "cuBLAS of the same version; absent: wherever it is found, beside the runtime first; none: experts are not computed with it."},
    {.name = "gds", .type = ES_OPT_TEXT, .offset = offsetof(cuda, asked_file), .help = "The library of GPUDirect Storage; absent: libcufile.so.0 where the loader finds it; none: without."},
    {.name = "folder", .type = ES_OPT_TEXT, .offset = offsetof(cuda, folder), .def_text = ".", .help = "Where the scratch file lies: on the disk that holds the experts."},
    {.name = "gate", .type = ES_OPT_TIME, .offset = offsetof(cuda, gate_ns), .def = 20e9, .min = 1, .max = 1e12, .help = "How long streams are held at most while they are filled."},
    {.name = "huge", .type = ES_OPT_BOOL, .offset = offsetof(cuda, huge), .help = "Ask for huge pages for pageable and registered memory."},
    {0},
};

/* ---- errors ---- */

es_code cuda_failed(const cuda *c, cudaError_t error, const char *what, es_err *err)
{
    return es_err_set(err, ES_EDEVICE, "%s: %s (cudaError %d)", what, c->rt.cudaGetErrorString(error), (int)error);
}

static es_code cuda_unusable(const cuda *c, cudaError_t error, es_err *err)
{
    const char *hint = error == cudaErrorStubLibrary ? "; the libcuda that was found is NVIDIA's stub to link with, take its folder out of LD_LIBRARY_PATH"
        : c->driver == 0 ? "; no NVIDIA driver is loaded" : "";
    return es_err_set(err, ES_EDEVICE, "no usable CUDA device: %s (cudaError %d)%s. Try --backend host.", c->rt.cudaGetErrorString(error), (int)error, hint);
}

/* ---- opening ---- */

static es_code cuda_attribute(const cuda *c, int attribute, int *value, es_err *err)
{
    CUDA_TRY(c, cudaDeviceGetAttribute(value, attribute, 0), "an attribute of the device", err);
    return ES_OK;
}

/* The name is the first member of every version of the properties; the rest of them is not looked at. */
static void cuda_named(cuda *c)
{
    char *properties = calloc(1, CUDA_PROPERTIES);
    if (properties && c->rt.properties && c->rt.properties(properties, 0) == cudaSuccess)
        memcpy(c->name, properties, sizeof c->name - 1);
    if (!c->name[0])
        snprintf(c->name, sizeof c->name, "CUDA device");
    free(properties);
}

static es_code cuda_sizes(cuda *c, es_err *err)
{
    size_t free_bytes = 0, all = 0;
    int l2 = 0;
    CUDA_TRY(c, cudaMemGetInfo(&free_bytes, &all), "the memory of the device", err);
    es_code code = cuda_attribute(c, cudaDevAttrL2CacheSize, &l2, err);
    int64_t host = sysconf(_SC_AVPHYS_PAGES) / 4 * (int64_t)sysconf(_SC_PAGESIZE), device = (int64_t)(free_bytes / 2);
    c->memory_bytes = host < device ? host : device;
    c->cache_bytes = l2 > 32 << 20 ? l2 : 32 << 20;
    if (c->rt.cudaDeviceGetPCIBusId(c->bus, sizeof c->bus, 0) != cudaSuccess)
        c->bus[0] = '\0';
    c->node = -1;
    if (c->rt.cudaDeviceGetAttribute(&c->node, cudaDevAttrHostNumaId, 0) != cudaSuccess)
        c->node = -1;           /* before 12.2 it is not known */
    return code;
}

/* Streams that do not wait for the default one, and events. */
static es_code cuda_make(cuda *c, es_err *err)
{
    for (; c->streams < ES_PROBE_STREAMS; c->streams++)
        CUDA_TRY(c, cudaStreamCreateWithFlags(&c->stream[c->streams], CUDA_STREAM_NON_BLOCKING), "a stream", err);
    CUDA_TRY(c, cudaEventCreate(&c->gated), "an event", err);
    for (; c->events < ES_PROBE_EVENTS; c->events++)
        CUDA_TRY(c, cudaEventCreate(&c->event[c->events]), "an event", err);
    return ES_OK;
}

static int cuda_order(const void *a, const void *b)
{
    es_time x = *(const es_time *)a, y = *(const es_time *)b;
    return (x > y) - (x < y);
}

/* What two events take by themselves: measured as everything else is, subtracted from it. */
static es_code cuda_pair(cuda *c, es_err *err)
{
    es_time ns[CUDA_PAIRS] = {0};
    es_code code = cuda_hold(c, err);
    for (unsigned e = 0; e < 2 * CUDA_PAIRS && code == ES_OK; e++)
        code = cuda_record(c, 0, e, err);
    es_code opened = cuda_go(c, code ? NULL : err);
    if (code == ES_OK && (code = opened) == ES_OK)
        code = cuda_sync(c, err);
    for (unsigned i = 0; i < CUDA_PAIRS && code == ES_OK; i++)
        code = cuda_elapsed(c, 2 * i, 2 * i + 1, &ns[i], err);
    qsort(ns, CUDA_PAIRS, sizeof *ns, cuda_order);
    c->pair_ns = code == ES_OK ? ns[CUDA_PAIRS / 2] : 0;
    return code;
}

/* What the device and its libraries are able to do. */
static es_code cuda_abilities(cuda *c, es_err *err)
{
    int registers = 0, pools = 0;
    es_code code = cuda_attribute(c, cudaDevAttrHostRegisterSupported, &registers, err);
    if (code == ES_OK)
        code = cuda_attribute(c, cudaDevAttrMemoryPoolsSupported, &pools, err);
    c->can = ES_PROBE_PINS | ES_PROBE_LOCKS | ES_PROBE_PRICES | ES_PROBE_LAUNCHES | ES_PROBE_MIXES | ES_PROBE_WAITS;
    c->can |= (registers ? ES_PROBE_FLAVOURS : 0) | (pools ? ES_PROBE_POOLS : 0);
    if (!pools)
        es_err_set(&c->no_pools, ES_EDEVICE, "this device has no memory pools");
    if (c->runtime >= CUDA_BATCH_SINCE && c->rt.cudaMemcpyBatchAsync)
        c->can |= ES_PROBE_BATCH_CALL;
    else
        es_err_set(&c->no_batch, ES_EDEVICE, "cudaMemcpyBatchAsync needs a runtime of version 13, this is %d.%d", c->runtime / 1000, c->runtime % 1000 / 10);
    cuda_load_blas(c);
    if (c->blas_handle && !c->no_blas.text[0])
        c->can |= ES_PROBE_EXPERT | ES_PROBE_BF16 | ES_PROBE_INT8;
    if (code == ES_OK)
        code = cuda_kernels_open(c, err);
    if (code)
        return code;
    if (!c->no_kernels.text[0])
        c->can |= ES_PROBE_GATHER | ES_PROBE_PENDING | ES_PROBE_INT4;
    else
        CUDA_TRY(c, cudaMalloc(&c->mark, 4), "device memory", err);
    return ES_OK;
}

static es_code cuda_init(void *self, const es_site *site, es_err *err)
{
    cuda *c = self;
    unsigned disk_can;
    int devices = 0;
    (void)site;
    es_code code = cuda_load(c, err);
    if (code)
        return code;
    if (c->rt.cudaDriverGetVersion(&c->driver) != cudaSuccess)
        c->driver = 0;
    cudaError_t found = c->rt.cudaGetDeviceCount(&devices);     /* on failure the count is untouched: not to be read */
    if (found != cudaSuccess)
        return cuda_unusable(c, found, err);
    if (devices == 0)
        return cuda_unusable(c, cudaErrorNoDevice, err);
    CUDA_TRY(c, cudaSetDevice(0), "the first device", err);
    if ((code = cuda_sizes(c, err)) != ES_OK || (code = cuda_make(c, err)) != ES_OK || (code = cuda_pair(c, err)) != ES_OK)
        return code;
    cuda_named(c);
    cuda_bind(c);
    if ((code = cuda_abilities(c, err)) != ES_OK)
        return code;
    if (disk_open(&c->disk, c->folder, &disk_can, &c->no_disk) == ES_OK)
        c->can |= disk_can;
    cuda_file_open(c);
    return ES_OK;
}

/* What still runs may use what is given back: the streams first, and what was lost is given back all the same. */
static void cuda_fini(void *self)
{
    cuda *c = self;
    atomic_store(&c->gate.open, 1);
    for (unsigned s = 0; s < c->streams; s++)
        c->rt.cudaStreamSynchronize(c->stream[s]);
    cuda_file_close(c);
    cuda_price_close(c);
    cuda_blas_close(c);
    cuda_kernels_close(c);
    if (c->mark)
        c->rt.cudaFree(c->mark);
    while (c->events > 0)
        c->rt.cudaEventDestroy(c->event[--c->events]);
    if (c->gated)
        c->rt.cudaEventDestroy(c->gated);
    while (c->streams > 0)
        c->rt.cudaStreamDestroy(c->stream[--c->streams]);
    cuda_unbind(c);
    disk_close(c->disk);
    cuda_unload(c);
}

/* ---- what it is ---- */

static es_probe_facts cuda_facts(void *self)
{
    const cuda *c = self;
    return (es_probe_facts){c->can, c->cache_bytes, c->memory_bytes, c->name, 0};
}

static const char *cuda_why(void *self, unsigned bit)
{
    const cuda *c = self;
    switch (bit) {
    case ES_PROBE_BATCH_CALL:
        return c->no_batch.text;
    case ES_PROBE_EXPERT:
    case ES_PROBE_BF16:
    case ES_PROBE_INT8:
        return c->no_blas.text;
    case ES_PROBE_GATHER:
    case ES_PROBE_PENDING:
    case ES_PROBE_INT4:
        return c->no_kernels.text;
    case ES_PROBE_POOLS:
        return c->no_pools.text;
    case ES_PROBE_FLAVOURS:
        return "this device cannot register memory";
    case ES_PROBE_DIRECT:
        return c->no_file.text;
    case ES_PROBE_DISK:
    case ES_PROBE_DISK_BUFFERED:
        return c->no_disk.text;
    default:
        return NULL;
    }
}

/* A line of a file of the PCI device. */
static void cuda_sysfs(const cuda *c, const char *name, const char *key, es_json *out)
{
    char path[128], *text = NULL;
    size_t length = 0;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/%s", c->bus, name);
    for (char *at = path; *at; at++)
        if (*at >= 'A' && *at <= 'F')
            *at = (char)(*at - 'A' + 'a');      /* the runtime writes upper case, sysfs lower */
    if (c->bus[0] && es_file_load(path, 4096, &text, &length, NULL) == ES_OK) {
        text[strcspn(text, "\n")] = '\0';
        es_json_add_text(out, key, text);
    }
    free(text);
}

static es_time cuda_now(void *self)
{
    (void)self;
    return dma_clock();
}

/* ---- streams ---- */

static es_code cuda_copy(void *self, unsigned stream, es_way way, void *to, const void *from, int64_t bytes, es_err *err)
{
    static const int kinds[ES_WAYS] = {cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice, cudaMemcpyHostToHost};
    cuda *c = self;
    CUDA_TRY(c, cudaMemcpyAsync(to, from, (size_t)bytes, kinds[way], c->stream[stream]), "a copy", err);
    return ES_OK;
}

es_code cuda_record(void *self, unsigned stream, unsigned event, es_err *err)
{
    cuda *c = self;
    CUDA_TRY(c, cudaEventRecord(c->event[event], c->stream[stream]), "an event", err);
    return ES_OK;
}

/* Runs on a thread of the driver and may call nothing of CUDA. */
static void cuda_wait(void *arg)
{
    cuda_gate *gate = arg;
    while (!atomic_load_explicit(&gate->open, memory_order_acquire))
        if (dma_clock() > gate->until) {
            atomic_store(&gate->late, 1);
            return;
        }
}

/* The first stream is held by the function, the others by an event behind it. */
es_code cuda_hold(void *self, es_err *err)
{
    cuda *c = self;
    atomic_store(&c->gate.open, 0);
    atomic_store(&c->gate.late, 0);
    c->gate.until = dma_clock() + c->gate_ns;
    c->held = true;
    CUDA_TRY(c, cudaLaunchHostFunc(c->stream[0], cuda_wait, &c->gate), "the gate", err);
    CUDA_TRY(c, cudaEventRecord(c->gated, c->stream[0]), "the gate", err);
    for (unsigned s = 1; s < ES_PROBE_STREAMS; s++)
        CUDA_TRY(c, cudaStreamWaitEvent(c->stream[s], c->gated, 0), "the gate", err);
    return ES_OK;
}

es_code cuda_go(void *self, es_err *err)
{
    cuda *c = self;
    bool late = dma_clock() > c->gate.until;
    atomic_store_explicit(&c->gate.open, 1, memory_order_release);
    c->held = false;
    if (late || atomic_load(&c->gate.late))
        return es_err_set(err, ES_EDEVICE, "the streams could not be held until all was queued: the driver's queue is full, or it took more than %g s",
            (double)c->gate_ns / 1e9);
    return ES_OK;
}

/* The link's speed and width while copies run: an idle link is downtrained. */
static void cuda_link(cuda *c, es_json *out)
{
    enum { BYTES = 16 << 20, COPIES = 16 };
    void *from = NULL, *to = NULL;
    es_code code = cuda_alloc(c, ES_MEMORY_PINNED, BYTES, &from, NULL);
    if (code == ES_OK)
        code = cuda_alloc(c, ES_MEMORY_DEVICE, BYTES, &to, NULL);
    for (int i = 0; i < COPIES && code == ES_OK; i++)
        code = cuda_copy(c, 0, ES_WAY_H2D, to, from, BYTES, NULL);
    cuda_sysfs(c, "current_link_speed", "pci_link_speed", out);
    cuda_sysfs(c, "current_link_width", "pci_link_width", out);
    es_json_add_bool(out, "pci_link_busy", code == ES_OK);
    if (to)
        cuda_release(c, ES_MEMORY_DEVICE, to, BYTES);       /* waits for the copies */
    if (from)
        cuda_release(c, ES_MEMORY_PINNED, from, BYTES);
}

static void cuda_environment(void *self, es_json *out)
{
    static const struct { int attribute; const char *key; } numbers[] = {
        {cudaDevAttrMultiProcessorCount, "multiprocessors"}, {cudaDevAttrAsyncEngineCount, "copy_engines"},
        {cudaDevAttrComputeCapabilityMajor, "compute_major"}, {cudaDevAttrComputeCapabilityMinor, "compute_minor"},
    };
    cuda *c = self;
    int value;
    es_json_add_int(out, "cuda_runtime", c->runtime);
    es_json_add_int(out, "cuda_driver", c->driver);
    es_json_add_int(out, "cublas", c->blas_version);
    es_json_add_text(out, "kernels", c->no_kernels.text[0] ? c->no_kernels.text : "own, from PTX");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (c->rt.cudaDeviceGetAttribute(&value, numbers[i].attribute, 0) == cudaSuccess)
            es_json_add_int(out, numbers[i].key, value);
    es_json_add_text(out, "gds", c->can & ES_PROBE_DIRECT ? "used, compatibility mode is off" : c->no_file.text);
    es_json_add_text(out, "pci_bus", c->bus);
    cuda_link(c, out);
    cuda_sysfs(c, "numa_node", "pci_numa_node", out);
    es_json_add_int(out, "numa_node", c->node);
    es_json_add_bool(out, "numa_bound", c->bound);
    es_json_add_bool(out, "thread_bound", c->pinned);
    es_json_add_bool(out, "huge_pages_asked", c->huge);
    es_json_add_real(out, "event_pair_s", (double)c->pair_ns / 1e9);
    es_json_add_int(out, "cache_B", c->cache_bytes);
    environment_filesystem(c->folder, out);
    es_json_add_text(out, "disk", c->can & ES_PROBE_DISK ? c->can & ES_PROBE_DISK_QUEUE ? "O_DIRECT, io_uring" : "O_DIRECT" : c->no_disk.text);
}

es_code cuda_sync_stream(cuda *c, unsigned stream, es_err *err)
{
    CUDA_TRY(c, cudaStreamSynchronize(c->stream[stream]), "a stream", err);
    return ES_OK;
}

es_code cuda_sync(void *self, es_err *err)
{
    es_code code = ES_OK;
    cuda *c = self;
    for (unsigned s = 0; s < ES_PROBE_STREAMS && code == ES_OK; s++)
        code = cuda_sync_stream(c, s, err);
    c->ios = 0;
    if (code == ES_OK && c->disk_failed.code)
        code = es_err_set(err, c->disk_failed.code, "%s", c->disk_failed.text);
    c->disk_failed.code = ES_OK;
    return code;
}

es_code cuda_elapsed(void *self, unsigned from, unsigned to, es_time *ns, es_err *err)
{
    cuda *c = self;
    float ms = 0.0f;
    CUDA_TRY(c, cudaEventElapsedTime(&ms, c->event[from], c->event[to]), "the time between two events", err);
    *ns = es_ns_round((double)ms * 1e6) - c->pair_ns;
    if (*ns < 0)
        *ns = 0;
    return ES_OK;
}

static es_code cuda_disk(void *self, const es_probe_io *io, es_err *err)
{
    return disk_io(((cuda *)self)->disk, io, err);
}

static es_code cuda_stream_wait(void *self, unsigned stream, unsigned event, es_err *err)
{
    cuda *c = self;
    CUDA_TRY(c, cudaStreamWaitEvent(c->stream[stream], c->event[event], 0), "waiting for an event", err);
    return ES_OK;
}

/* Runs on a thread of the driver; reading a file is none of CUDA's calls. */
static void cuda_perform(void *arg)
{
    cuda_io *io = arg;
    es_err err = {0};
    if (disk_io(io->owner->disk, &io->ask, &err) != ES_OK && io->owner->disk_failed.code == ES_OK)
        io->owner->disk_failed = err;
}

static es_code cuda_queue_disk(void *self, unsigned stream, const es_probe_io *io, es_err *err)
{
    cuda *c = self;
    if (c->ios == ES_PROBE_EVENTS)
        return es_err_set(err, ES_EINTERNAL, "more than %d reads and writes without a sync", ES_PROBE_EVENTS);
    c->io[c->ios] = (cuda_io){c, *io};
    CUDA_TRY(c, cudaLaunchHostFunc(c->stream[stream], cuda_perform, &c->io[c->ios++]), "a read of the disk", err);
    return ES_OK;
}

const es_probe es_probe_cuda = {
    .part = {
        .abi = ES_ABI,
        .name = "cuda",
        .brief = "The first NVIDIA GPU of this machine, and its disk.",
        .options = cuda_options,
        .size = sizeof(cuda),
        .init = cuda_init,
        .fini = cuda_fini,
    },
    .facts = cuda_facts,
    .environment = cuda_environment,
    .now = cuda_now,
    .alloc = cuda_alloc,
    .release = cuda_release,
    .copy = cuda_copy,
    .expert = cuda_expert,
    .record = cuda_record,
    .hold = cuda_hold,
    .go = cuda_go,
    .sync = cuda_sync,
    .elapsed = cuda_elapsed,
    .disk = cuda_disk,
    .wait = cuda_stream_wait,
    .queue_disk = cuda_queue_disk,
    .batch = cuda_batch,
    .price = cuda_price,
    .fetch = cuda_fetch,
    .why = cuda_why,
};
