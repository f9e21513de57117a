/* CUDA prices: see cuda_inside.h. What memory and launches cost, by the host's clock, with nothing else going on unless it says so. */
#include <stdlib.h>
#include <string.h>

#include "calib/cuda_inside.h"

enum { PRICE_LAUNCHES = 1000, PRICE_PENDING_NS = 2000000, PRICE_FROM = 0, PRICE_TO = 1 };

/* As CUDA_TRY, of memory. */
#define PRICE_TRY(c, call, kind, bytes, err) \
    do { \
        cudaError_t priced = (c)->rt.call; \
        if (priced != cudaSuccess) \
            return cuda_memory_failed(c, priced, kind, bytes, err); \
    } while (0)

/* ---- memory of the device ---- */

/* A kernel that runs for 2 ms is started ahead of either call. cudaFree waits for it, as it does for all work of the device. */
static es_code price_device(cuda *c, int64_t bytes, bool pending, es_time ns[ES_PRICED], es_err *err)
{
    void *at = NULL;
    es_code code = pending ? cuda_spin(c, 0, PRICE_PENDING_NS, err) : ES_OK;
    if (code)
        return code;
    es_time start = dma_clock();
    PRICE_TRY(c, cudaMalloc(&at, (size_t)bytes), "device", bytes, err);
    ns[ES_PRICED_TAKE] = dma_clock() - start;
    code = cuda_sync_stream(c, 0, err);
    if (code == ES_OK && pending)
        code = cuda_spin(c, 0, PRICE_PENDING_NS, err);
    start = dma_clock();
    cudaError_t error = c->rt.cudaFree(at);
    ns[ES_PRICED_GIVE] = dma_clock() - start;
    if (code == ES_OK && error != cudaSuccess)
        code = cuda_failed(c, error, "freeing device memory", err);
    return code ? code : cuda_sync_stream(c, 0, err);
}

/* ---- pools ---- */

/* Pools of our own, so that nobody else's settings are measured. What is unused beyond the threshold goes back to the system whenever a
 * stream, an event or the device is waited for; it is 0 unless set. */
static es_code price_pool_make(cuda *c, unsigned which, es_err *err)
{
    struct cudaMemPoolProps props = {.allocType = cudaMemAllocationTypePinned, .handleTypes = cudaMemHandleTypeNone};
    unsigned long long threshold = which == 0 ? UINT64_MAX : 0;
    props.location.type = cudaMemLocationTypeDevice;
    if (c->pool[which])
        return ES_OK;
    CUDA_TRY(c, cudaMemPoolCreate(&c->pool[which], &props), "a pool of memory", err);
    CUDA_TRY(c, cudaMemPoolSetAttribute(c->pool[which], cudaMemPoolAttrReleaseThreshold, &threshold), "a pool of memory", err);
    return ES_OK;
}

/* Once through the pool; giving back includes the wait after it, in which a pool returns what it does not keep. */
static es_code price_pool_once(cuda *c, unsigned which, int64_t bytes, es_time ns[ES_PRICED], es_err *err)
{
    void *at = NULL;
    es_time start = dma_clock();
    PRICE_TRY(c, cudaMallocFromPoolAsync(&at, (size_t)bytes, c->pool[which], c->stream[0]), "pooled", bytes, err);
    ns[ES_PRICED_TAKE] = dma_clock() - start;
    es_code code = cuda_sync_stream(c, 0, err);
    start = dma_clock();
    cudaError_t error = c->rt.cudaFreeAsync(at, c->stream[0]);
    if (code == ES_OK && error != cudaSuccess)
        code = cuda_failed(c, error, "giving back memory of a pool", err);
    if (code == ES_OK)
        code = cuda_sync_stream(c, 0, err);
    ns[ES_PRICED_GIVE] = dma_clock() - start;
    return code;
}

static es_code price_pool_queue(cuda *c, int64_t bytes, es_err *err)
{
    void *at = NULL;
    es_code code = cuda_record(c, 0, PRICE_FROM, err);
    if (code)
        return code;
    PRICE_TRY(c, cudaMallocFromPoolAsync(&at, (size_t)bytes, c->pool[0], c->stream[0]), "pooled", bytes, err);
    CUDA_TRY(c, cudaFreeAsync(at, c->stream[0]), "giving back memory of a pool", err);
    return cuda_record(c, 0, PRICE_TO, err);
}

/* What both take on the device. Held, so only where the pool needs nothing of the system, which could wait for what is held. */
static es_code price_pool_stream(cuda *c, int64_t bytes, es_time *ns, es_err *err)
{
    es_code code = cuda_hold(c, err);
    if (code == ES_OK)
        code = price_pool_queue(c, bytes, err);
    es_code opened = cuda_go(c, code ? NULL : err);
    if (code == ES_OK && (code = opened) == ES_OK)
        code = cuda_sync(c, err);
    return code ? code : cuda_elapsed(c, PRICE_FROM, PRICE_TO, ns, err);
}

static es_code price_pool(cuda *c, unsigned which, int64_t bytes, es_time ns[ES_PRICED], es_err *err)
{
    es_code code = price_pool_make(c, which, err);
    if (code == ES_OK && which == 0)        /* the first of a size is new memory, those after it are what the pool kept */
        code = price_pool_once(c, which, bytes, ns, err);
    if (code == ES_OK)
        code = price_pool_once(c, which, bytes, ns, err);
    return code || which != 0 ? code : price_pool_stream(c, bytes, &ns[ES_PRICED_STREAM], err);
}

/* ---- memory of the host ---- */

static es_code price_pinned(cuda *c, int64_t bytes, es_time ns[ES_PRICED], es_err *err)
{
    void *at = NULL;
    es_time start = dma_clock();
    PRICE_TRY(c, cudaHostAlloc(&at, (size_t)bytes, CUDA_HOST_DEFAULT), "pinned", bytes, err);
    ns[ES_PRICED_TAKE] = dma_clock() - start;
    start = dma_clock();
    CUDA_TRY(c, cudaFreeHost(at), "freeing pinned memory", err);
    ns[ES_PRICED_GIVE] = dma_clock() - start;
    return ES_OK;
}

/* Of memory that has its pages: they are none of the price. */
static es_code price_register(cuda *c, void *at, int64_t bytes, es_time ns[ES_PRICED], es_err *err)
{
    es_time start = dma_clock();
    PRICE_TRY(c, cudaHostRegister(at, (size_t)bytes, CUDA_REGISTER_DEFAULT), "registered", bytes, err);
    ns[ES_PRICED_TAKE] = dma_clock() - start;
    start = dma_clock();
    CUDA_TRY(c, cudaHostUnregister(at), "unregistering memory", err);
    ns[ES_PRICED_GIVE] = dma_clock() - start;
    return ES_OK;
}

static es_code price_registered(cuda *c, int64_t bytes, es_time ns[ES_PRICED], es_err *err)
{
    void *at = NULL;
    es_code code = cuda_alloc(c, ES_MEMORY_PAGEABLE, bytes, &at, err);
    if (code == ES_OK)
        code = price_register(c, at, bytes, ns, err);
    free(at);
    return code;
}

/* ---- launches ---- */

static es_code price_launch(cuda *c, es_time ns[ES_PRICED], es_err *err)
{
    es_time start = dma_clock();
    es_code code = cuda_nothing(c, 0, err);
    if (code == ES_OK)
        code = cuda_sync_stream(c, 0, err);
    ns[ES_PRICED_TAKE] = dma_clock() - start;
    return code;
}

static es_code price_many(cuda *c, es_err *err)
{
    es_code code = ES_OK;
    for (int i = 0; i < PRICE_LAUNCHES && code == ES_OK; i++)
        code = cuda_nothing(c, 0, err);
    return code;
}

static es_code price_queued(cuda *c, es_time ns[ES_PRICED], es_err *err)
{
    es_time start = dma_clock();
    es_code code = price_many(c, err);
    ns[ES_PRICED_GIVE] = (dma_clock() - start) / PRICE_LAUNCHES;
    if (code == ES_OK)
        code = cuda_sync_stream(c, 0, err);
    ns[ES_PRICED_TAKE] = (dma_clock() - start) / PRICE_LAUNCHES;
    return code;
}

/* As many launches, captured once; replayed once, too, before it is timed. */
static es_code price_capture(cuda *c, es_err *err)
{
    if (c->replay)
        return ES_OK;
    CUDA_TRY(c, cudaStreamBeginCapture(c->stream[0], cudaStreamCaptureModeThreadLocal), "capturing a graph", err);
    es_code code = price_many(c, err);
    cudaError_t error = c->rt.cudaStreamEndCapture(c->stream[0], &c->graph);
    if (code == ES_OK && error != cudaSuccess)
        code = cuda_failed(c, error, "capturing a graph", err);
    if (code)
        return code;
    CUDA_TRY(c, cudaGraphInstantiate(&c->replay, c->graph, 0), "a graph", err);
    CUDA_TRY(c, cudaGraphLaunch(c->replay, c->stream[0]), "a graph", err);
    return cuda_sync_stream(c, 0, err);
}

static es_code price_replay(cuda *c, es_time ns[ES_PRICED], es_err *err)
{
    es_code code = price_capture(c, err);
    if (code)
        return code;
    es_time start = dma_clock();
    CUDA_TRY(c, cudaGraphLaunch(c->replay, c->stream[0]), "a graph", err);
    code = cuda_sync_stream(c, 0, err);
    ns[ES_PRICED_TAKE] = (dma_clock() - start) / PRICE_LAUNCHES;
    return code;
}

/* ---- all of them ---- */

es_code cuda_price(void *self, es_price what, int64_t bytes, es_time ns[ES_PRICED], es_err *err)
{
    cuda *c = self;
    for (int i = 0; i < ES_PRICED; i++)
        ns[i] = -1;
    switch (what) {
    case ES_PRICE_DEVICE:
    case ES_PRICE_DEVICE_PENDING:
        return price_device(c, bytes, what == ES_PRICE_DEVICE_PENDING, ns, err);
    case ES_PRICE_POOL_KEPT:
    case ES_PRICE_POOL_RETURNED:
        return price_pool(c, what == ES_PRICE_POOL_RETURNED, bytes, ns, err);
    case ES_PRICE_PINNED:
        return price_pinned(c, bytes, ns, err);
    case ES_PRICE_REGISTERED:
        return price_registered(c, bytes, ns, err);
    case ES_PRICE_LAUNCH:
        return price_launch(c, ns, err);
    case ES_PRICE_QUEUED:
        return price_queued(c, ns, err);
    default:
        return price_replay(c, ns, err);
    }
}

void cuda_price_close(cuda *c)
{
    if (c->replay)
        c->rt.cudaGraphExecDestroy(c->replay);
    if (c->graph)
        c->rt.cudaGraphDestroy(c->graph);
    for (int i = 0; i < 2; i++)
        if (c->pool[i])
            c->rt.cudaMemPoolDestroy(c->pool[i]);
}
