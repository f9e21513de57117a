/* CUDA: a probe of the first NVIDIA GPU. The runtime is loaded when it is asked for, through a table whose types come from its
 * header, so one program builds and runs with and without CUDA; without the header this probe only says so.
 *
 * What it measures: copies between the device and pinned or pageable memory, within the device, in batches and against each
 * other, allocation, pinning, and the disk. Times are those of the device's events; the streams are held by a host function
 * until all is queued, so that the time to queue is in none of them. Experts need cuBLAS and are not among it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "calib/disk.h"
#include "calib/dma.h"
#include "sim/base/file.h"

typedef struct cuda_asked {     /* the options are the same in every build */
    const char *library, *folder;
} cuda_asked;

static const es_option cuda_options[] = {
    {.name = "library", .type = ES_OPT_TEXT, .offset = offsetof(cuda_asked, library), .help = "The CUDA runtime; absent: libcudart.so of the version this was built for, wherever it is found."},
    {.name = "folder", .type = ES_OPT_TEXT, .offset = offsetof(cuda_asked, folder), .def_text = ".", .help = "Where the scratch file lies: on the disk that holds the experts."},
    {0},
};

#ifdef ES_CUDA

#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <stdatomic.h>
#include <unistd.h>

#define CUDA_CALLS(X) \
    X(cudaRuntimeGetVersion) X(cudaDriverGetVersion) X(cudaGetDeviceCount) X(cudaSetDevice) X(cudaGetErrorString) X(cudaDeviceGetAttribute) \
    X(cudaDeviceGetPCIBusId) X(cudaMemGetInfo) X(cudaMalloc) X(cudaFree) X(cudaHostAlloc) X(cudaFreeHost) X(cudaStreamCreateWithFlags) \
    X(cudaStreamDestroy) X(cudaStreamSynchronize) X(cudaStreamWaitEvent) X(cudaEventCreate) X(cudaEventDestroy) X(cudaEventRecord) \
    X(cudaEventElapsedTime) X(cudaMemcpyAsync) X(cudaLaunchHostFunc)

typedef struct cuda_runtime {   /* the header renames some by macro: field and symbol are what it says */
#define X(call) __typeof__(&call) call;
    CUDA_CALLS(X)
#undef X
} cuda_runtime;

#define CUDA_GATE_NS (20 * ES_SECOND)

typedef struct cuda_gate {      /* what holds the streams; read by a thread of the driver */
    atomic_int open, late;
    es_time until;
} cuda_gate;

typedef struct cuda_io {        /* what the disk is to do on its stream */
    struct cuda *owner;
    es_probe_io ask;
} cuda_io;

typedef struct cuda {
    cuda_asked asked;           /* first: the options fill it */

    void *handle;
    cuda_runtime rt;
    cudaStream_t stream[ES_PROBE_STREAMS];
    cudaEvent_t event[ES_PROBE_EVENTS], gated;
    unsigned streams, events;
    cuda_gate gate;
    disk *disk;
    es_err no_disk;
    cuda_io io[ES_PROBE_EVENTS];
    unsigned ios;               /* queued since the last sync */
    es_err disk_failed;         /* the first of them that went wrong; its code is ES_OK when none did */
    unsigned can;
    int64_t cache_bytes, memory_bytes;
    char bus[32];
    int runtime, driver;
} cuda;

/* ---- errors ---- */

static es_code cuda_failed(const cuda *c, cudaError_t error, const char *what, es_err *err)
{
    return es_err_set(err, ES_EDEVICE, "%s: %s (cudaError %d)", what, c->rt.cudaGetErrorString(error), (int)error);
}

#define CUDA_TRY(c, call, what, err) \
    do { \
        cudaError_t tried = (c)->rt.call; \
        if (tried != cudaSuccess) \
            return cuda_failed(c, tried, what, err); \
    } while (0)

static es_code cuda_unusable(const cuda *c, cudaError_t error, es_err *err)
{
    return es_err_set(err, ES_EDEVICE, "no usable CUDA device: %s (cudaError %d)%s. Try --backend host.", c->rt.cudaGetErrorString(error), (int)error,
        c->driver == 0 ? "; no NVIDIA driver is loaded" : "");
}

/* ---- opening ---- */

#define CUDA_TEXT_OF(name) #name
#define CUDA_TEXT(name) CUDA_TEXT_OF(name)
#define CUDA_MAJOR_TEXT CUDA_TEXT(ES_CUDA)              /* the build says it: the header has it only times a thousand */

static es_code cuda_load(cuda *c, es_err *err)
{
    static const char *const names[] = {"libcudart.so." CUDA_MAJOR_TEXT, "/usr/local/cuda/lib64/libcudart.so." CUDA_MAJOR_TEXT, "/opt/cuda/lib64/libcudart.so." CUDA_MAJOR_TEXT};
    es_err why = {0};
    for (size_t i = 0; !c->handle && i < (c->asked.library ? 1 : sizeof names / sizeof *names); i++) {
        c->handle = dlopen(c->asked.library ? c->asked.library : names[i], RTLD_NOW | RTLD_LOCAL);
        if (!c->handle && i == 0)
            es_err_set(&why, ES_EDEVICE, "%s", dlerror());
    }
    if (!c->handle)
        return es_err_set(err, ES_EDEVICE, "no CUDA runtime: %.600s; name it with --set library=PATH. Try --backend host.", why.text);
#define X(call) \
    *(void **)&c->rt.call = dlsym(c->handle, CUDA_TEXT(call)); \
    if (!c->rt.call) \
        return es_err_set(err, ES_EDEVICE, "this CUDA runtime has no %s; needs one of version " CUDA_MAJOR_TEXT, CUDA_TEXT(call));
    CUDA_CALLS(X)
#undef X
    CUDA_TRY(c, cudaRuntimeGetVersion(&c->runtime), "the version of the runtime", err);
    if (c->runtime / 1000 != CUDART_VERSION / 1000)
        return es_err_set(err, ES_EDEVICE, "this CUDA runtime is of version %d, needs %d: the layout of what is passed differs", c->runtime / 1000, CUDART_VERSION / 1000);
    return ES_OK;
}

/* Streams that do not wait for the default one, and events. */
static es_code cuda_make(cuda *c, es_err *err)
{
    for (; c->streams < ES_PROBE_STREAMS; c->streams++)
        CUDA_TRY(c, cudaStreamCreateWithFlags(&c->stream[c->streams], cudaStreamNonBlocking), "a stream", err);
    CUDA_TRY(c, cudaEventCreate(&c->gated), "an event", err);
    for (; c->events < ES_PROBE_EVENTS; c->events++)
        CUDA_TRY(c, cudaEventCreate(&c->event[c->events]), "an event", err);
    return ES_OK;
}

static es_code cuda_sizes(cuda *c, es_err *err)
{
    size_t free_bytes = 0, all = 0;
    int l2 = 0;
    CUDA_TRY(c, cudaMemGetInfo(&free_bytes, &all), "the memory of the device", err);
    CUDA_TRY(c, cudaDeviceGetAttribute(&l2, cudaDevAttrL2CacheSize, 0), "the cache of the device", err);
    int64_t host = sysconf(_SC_AVPHYS_PAGES) / 4 * (int64_t)sysconf(_SC_PAGESIZE), device = (int64_t)(free_bytes / 2);
    c->memory_bytes = host < device ? host : device;
    c->cache_bytes = l2 > 32 << 20 ? l2 : 32 << 20;
    if (c->rt.cudaDeviceGetPCIBusId(c->bus, sizeof c->bus, 0) != cudaSuccess)
        c->bus[0] = '\0';
    return ES_OK;
}

static es_code cuda_init(void *self, const es_site *site, es_err *err)
{
    cuda *c = self;
    bool queues = false;
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
    if ((code = cuda_sizes(c, err)) != ES_OK || (code = cuda_make(c, err)) != ES_OK)
        return code;
    c->can = ES_PROBE_PINS | ES_PROBE_LOCKS;
    if (disk_open(&c->disk, c->asked.folder, &queues, &c->no_disk) == ES_OK)
        c->can |= ES_PROBE_DISK | (queues ? ES_PROBE_DISK_QUEUE : 0);
    return ES_OK;
}

static void cuda_fini(void *self)
{
    cuda *c = self;
    while (c->events > 0)
        c->rt.cudaEventDestroy(c->event[--c->events]);
    if (c->gated)
        c->rt.cudaEventDestroy(c->gated);
    while (c->streams > 0)
        c->rt.cudaStreamDestroy(c->stream[--c->streams]);
    disk_close(c->disk);
    if (c->handle)
        dlclose(c->handle);
}

/* ---- what it is ---- */

static es_probe_facts cuda_facts(void *self)
{
    const cuda *c = self;
    return (es_probe_facts){c->can, c->cache_bytes, c->memory_bytes, "CUDA device"};
}

/* A line of a file of the PCI device: the link's speed and width as they are now, downtrained when idle. */
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

static void cuda_environment(void *self, es_json *out)
{
    const cuda *c = self;
    es_json_add_int(out, "cuda_runtime", c->runtime);
    es_json_add_int(out, "cuda_driver", c->driver);
    es_json_add_text(out, "pci_bus", c->bus);
    cuda_sysfs(c, "current_link_speed", "pci_link_speed", out);
    cuda_sysfs(c, "current_link_width", "pci_link_width", out);
    cuda_sysfs(c, "numa_node", "pci_numa_node", out);
    es_json_add_int(out, "cache_B", c->cache_bytes);
    es_json_add_text(out, "disk", c->can & ES_PROBE_DISK ? c->can & ES_PROBE_DISK_QUEUE ? "O_DIRECT, io_uring" : "O_DIRECT" : c->no_disk.text);
}

static es_time cuda_now(void *self)
{
    (void)self;
    return dma_clock();
}

/* ---- memory ---- */

static es_code cuda_alloc(void *self, es_memory kind, int64_t bytes, void **out, es_err *err)
{
    cuda *c = self;
    if (kind == ES_MEMORY_PAGEABLE) {
        if (posix_memalign(out, 4096, (size_t)bytes) != 0)
            return es_err_nomem(err, "pageable memory");
        memset(*out, 1, (size_t)bytes);
        return ES_OK;
    }
    if (kind == ES_MEMORY_PINNED) {
        CUDA_TRY(c, cudaHostAlloc(out, (size_t)bytes, cudaHostAllocDefault), "pinned memory", err);
        return ES_OK;
    }
    CUDA_TRY(c, cudaMalloc(out, (size_t)bytes), "device memory", err);
    return ES_OK;
}

static void cuda_release(void *self, es_memory kind, void *at, int64_t bytes)
{
    cuda *c = self;
    (void)bytes;
    if (kind == ES_MEMORY_PAGEABLE)
        free(at);
    else if (kind == ES_MEMORY_PINNED)
        c->rt.cudaFreeHost(at);
    else
        c->rt.cudaFree(at);
}

/* ---- streams ---- */

static es_code cuda_copy(void *self, unsigned stream, es_way way, void *to, const void *from, int64_t bytes, es_err *err)
{
    static const enum cudaMemcpyKind kinds[ES_WAYS] = {cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice, cudaMemcpyHostToHost};
    cuda *c = self;
    CUDA_TRY(c, cudaMemcpyAsync(to, from, (size_t)bytes, kinds[way], c->stream[stream]), "a copy", err);
    return ES_OK;
}

static es_code cuda_record(void *self, unsigned stream, unsigned event, es_err *err)
{
    cuda *c = self;
    CUDA_TRY(c, cudaEventRecord(c->event[event], c->stream[stream]), "an event", err);
    return ES_OK;
}

/* Runs on a thread of the driver and may call nothing of CUDA. Without an end a full queue would wait for it for ever. */
static void CUDART_CB cuda_wait(void *arg)
{
    cuda_gate *gate = arg;
    while (!atomic_load_explicit(&gate->open, memory_order_acquire))
        if (dma_clock() > gate->until) {
            atomic_store(&gate->late, 1);
            return;
        }
}

/* The first stream is held by the function, the others by an event behind it. */
static es_code cuda_hold(void *self, es_err *err)
{
    cuda *c = self;
    atomic_store(&c->gate.open, 0);
    atomic_store(&c->gate.late, 0);
    c->gate.until = dma_clock() + CUDA_GATE_NS;
    CUDA_TRY(c, cudaLaunchHostFunc(c->stream[0], cuda_wait, &c->gate), "the gate", err);
    CUDA_TRY(c, cudaEventRecord(c->gated, c->stream[0]), "the gate", err);
    for (unsigned s = 1; s < ES_PROBE_STREAMS; s++)
        CUDA_TRY(c, cudaStreamWaitEvent(c->stream[s], c->gated, 0), "the gate", err);
    return ES_OK;
}

static es_code cuda_go(void *self, es_err *err)
{
    cuda *c = self;
    atomic_store_explicit(&c->gate.open, 1, memory_order_release);
    if (atomic_load(&c->gate.late))
        return es_err_set(err, ES_EDEVICE, "the streams could not be held until all was queued: the driver's queue is full, or it took more than 20 s");
    return ES_OK;
}

static es_code cuda_sync(void *self, es_err *err)
{
    cuda *c = self;
    for (unsigned s = 0; s < ES_PROBE_STREAMS; s++)
        CUDA_TRY(c, cudaStreamSynchronize(c->stream[s]), "a stream", err);
    c->ios = 0;
    es_code code = c->disk_failed.code ? es_err_set(err, c->disk_failed.code, "%s", c->disk_failed.text) : ES_OK;
    c->disk_failed.code = ES_OK;
    return code;
}

static es_code cuda_elapsed(void *self, unsigned from, unsigned to, es_time *ns, es_err *err)
{
    cuda *c = self;
    float ms = 0.0f;
    CUDA_TRY(c, cudaEventElapsedTime(&ms, c->event[from], c->event[to]), "the time between two events", err);
    *ns = es_ns_round((double)ms * 1e6);
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
static void CUDART_CB cuda_perform(void *arg)
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
    .record = cuda_record,
    .hold = cuda_hold,
    .go = cuda_go,
    .sync = cuda_sync,
    .elapsed = cuda_elapsed,
    .disk = cuda_disk,
    .wait = cuda_stream_wait,
    .queue_disk = cuda_queue_disk,
};

#else

static es_code cuda_init(void *self, const es_site *site, es_err *err)
{
    (void)self;
    (void)site;
    return es_err_set(err, ES_EDEVICE, "this program was built without CUDA: cuda_runtime_api.h was not found. Try --backend host.");
}

const es_probe es_probe_cuda = {
    .part = {
        .abi = ES_ABI,
        .name = "cuda",
        .brief = "The first NVIDIA GPU of this machine, and its disk.",
        .options = cuda_options,
        .size = sizeof(cuda_asked),
        .init = cuda_init,
    },
};

#endif
