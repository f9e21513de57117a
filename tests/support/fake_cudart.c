/* A CUDA runtime without a GPU: the calls that the probe makes, with memory of the host and a clock by formula.
 *
 * A copy takes 9 us and its bytes at 25 GB/s (within the device 0.9 us and 250 GB/s); each way has one engine, first come first
 * served. What is queued is done when somebody waits for it, in the order it was queued, which such engines allow.
 * FAKE_CUDART in the environment says what goes wrong: driver, none, memory@N (the N-th allocation), lost@N (the N-th copy). */
#include <stdlib.h>
#include <string.h>

#define ES_CUDA_DECLARE
#include "calib/cuda_api.h"

enum { STREAMS = 16, EVENTS = 256, JOBS = 4096 };

struct CUstream_st { double at; };
struct CUevent_st { double at; };

typedef struct job {
    enum { COPY, RECORD, WAIT, CALL } kind;
    struct CUstream_st *stream;
    struct CUevent_st *event;
    int way;
    void *to;
    const void *from;
    size_t bytes;
    cudaHostFn_t call;
} job;

static job queue[JOBS];
static size_t queued;
static double engine[8];
static long allocations, copies;

/* Is this the N-th of what NAME@N counts? */
static int fails(const char *name, long n)
{
    const char *told = getenv("FAKE_CUDART");
    size_t length = strlen(name);
    if (!told || strncmp(told, name, length) != 0)
        return 0;
    return told[length] != '@' || n >= atol(told + length + 1);
}

static cudaError_t push(job j)
{
    if (queued == JOBS)
        return cudaErrorUnknown;
    queue[queued++] = j;
    return cudaSuccess;
}

static void perform(const job *j)
{
    double scale = j->way == cudaMemcpyDeviceToDevice ? 0.1 : 1.0;
    if (j->kind == CALL)
        j->call(j->to);
    else if (j->kind == RECORD)
        j->event->at = j->stream->at;
    else if (j->kind == WAIT)
        j->stream->at = j->stream->at > j->event->at ? j->stream->at : j->event->at;
    else {
        double start = j->stream->at > engine[j->way] ? j->stream->at : engine[j->way];
        memcpy(j->to, j->from, j->bytes);
        j->stream->at = engine[j->way] = start + scale * (9000.0 + (double)j->bytes / 25.0);
    }
}

static double now;      /* all streams stand here when nothing is queued */

static void drain(void)
{
    for (size_t i = 0; i < queued; i++)
        queue[i].stream->at = queue[i].stream->at > now ? queue[i].stream->at : now;
    for (size_t i = 0; i < queued; i++) {
        perform(&queue[i]);
        now = queue[i].stream->at > now ? queue[i].stream->at : now;
    }
    queued = 0;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = getenv("FAKE_CUDART") && strcmp(getenv("FAKE_CUDART"), "old") == 0 ? 11080 : 13000;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = fails("driver", 0) ? 0 : 13000;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    allocations = copies = 0;
    if (fails("driver", 0))
        return cudaErrorInsufficientDriver;     /* as the real one: the count stays what it was */
    if (fails("stub", 0))
        return cudaErrorStubLibrary;
    if (fails("none", 0))
        return cudaErrorNoDevice;
    *count = 1;
    return cudaSuccess;
}

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
    case cudaErrorInsufficientDriver: return "CUDA driver version is insufficient for CUDA runtime version";
    case cudaErrorStubLibrary: return "CUDA driver is a stub library";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorDevicesUnavailable: return "CUDA-capable device(s) is/are busy or unavailable";
    default: return "unknown error";
    }
}

cudaError_t cudaSetDevice(int device)
{
    return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaDeviceGetAttribute(int *value, int attribute, int device)
{
    (void)device;
    *value = attribute == cudaDevAttrL2CacheSize ? 1 << 20 : attribute == cudaDevAttrHostNumaId ? -1 : 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *bus, int length, int device)
{
    (void)device;
    strncpy(bus, "0000:FA:CE.0", (size_t)length);
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *unused, size_t *all)
{
    *unused = *all = (size_t)1 << 30;
    return cudaSuccess;
}

static cudaError_t allocate(void **at, size_t bytes)
{
    if (fails("memory", ++allocations))
        return cudaErrorMemoryAllocation;
    return posix_memalign(at, 4096, bytes) == 0 ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaMalloc(void **at, size_t bytes)
{
    return allocate(at, bytes);
}

cudaError_t cudaFree(void *at)
{
    free(at);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **at, size_t bytes, unsigned flags)
{
    (void)flags;
    return allocate(at, bytes);
}

cudaError_t cudaFreeHost(void *at)
{
    free(at);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    (void)flags;
    *stream = calloc(1, sizeof **stream);
    return *stream ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    drain();
    free(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    (void)stream;
    drain();
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    *event = calloc(1, sizeof **event);
    return *event ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    drain();
    free(event);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    return push((job){.kind = RECORD, .stream = stream, .event = event});
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    (void)flags;
    return push((job){.kind = WAIT, .stream = stream, .event = event});
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    *ms = (float)((to->at - from->at) / 1e6);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, int way, cudaStream_t stream)
{
    if (fails("lost", ++copies))
        return cudaErrorDevicesUnavailable;
    return push((job){.kind = COPY, .stream = stream, .way = way, .to = to, .from = from, .bytes = bytes});
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t call, void *arg)
{
    return push((job){.kind = CALL, .stream = stream, .call = call, .to = arg});
}
