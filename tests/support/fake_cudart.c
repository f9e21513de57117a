/* A CUDA runtime without a GPU: the calls that the probe makes, with memory of the host and a clock by formula (fake_engine.c).
 *
 * FAKE_CUDART in the environment says what goes wrong: driver, stub, none, old (what there is), near (it hangs on node 0), or, of calls that are counted, the N-th and
 * all after it: memory@N, host@N (pinned), stream@N, event@N, lost@N (copies), record@N, sync@N, time@N, gate@N, memset@N; and fake_gpu.c's. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/fake_engine.h"

enum { FAILED = 719 };          /* cudaErrorLaunchFailure: what a device that crashed says of everything */

static long allocations, pinned, streams, events, copies, records, syncs, times, gates, sets;

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = engine_fails("old", 0) ? 11080 : 13000;
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = engine_fails("driver", 0) ? 0 : 13000;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    allocations = pinned = streams = events = copies = records = syncs = times = gates = sets = 0;
    if (engine_fails("driver", 0))
        return cudaErrorInsufficientDriver;     /* as the real one: the count stays what it was */
    if (engine_fails("stub", 0))
        return cudaErrorStubLibrary;
    if (engine_fails("none", 0))
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
    case FAILED: return "unspecified launch failure";
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
    *value = attribute == cudaDevAttrL2CacheSize ? 1 << 20 : attribute == cudaDevAttrHostNumaId ? (engine_fails("near", 0) ? 0 : -1) : 1;
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
    *unused = *all = (size_t)1 << (getenv("FAKE_CUDART") ? 28 : 30);      /* failures are tried hundreds of times */
    return cudaSuccess;
}

static cudaError_t allocate(void **at, size_t bytes)
{
    if (engine_fails("memory", ++allocations) || posix_memalign(at, 4096, bytes) != 0)
        return cudaErrorMemoryAllocation;
    engine_made("memory");
    return cudaSuccess;
}

static cudaError_t give_back(void *at)
{
    if (!at)
        return cudaSuccess;     /* as the real one: freeing nothing is fine */
    engine_drain();
    engine_gone();
    free(at);
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **at, size_t bytes)
{
    return allocate(at, bytes);
}

cudaError_t cudaFree(void *at)
{
    return give_back(at);
}

cudaError_t cudaHostAlloc(void **at, size_t bytes, unsigned flags)
{
    (void)flags;
    return engine_fails("host", ++pinned) ? cudaErrorMemoryAllocation : allocate(at, bytes);
}

cudaError_t cudaFreeHost(void *at)
{
    return give_back(at);
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    if (engine_fails("stream", ++streams) || flags != CUDA_STREAM_NON_BLOCKING || !(*stream = calloc(1, sizeof **stream)))
        return cudaErrorMemoryAllocation;
    engine_made("a stream");
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    engine_drain();
    engine_gone();
    free(stream);
    return cudaSuccess;
}

/* A device that crashed still lets go of all that was queued: nothing is under way when this returns. */
cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    (void)stream;
    engine_drain();
    return engine_fails("sync", ++syncs) ? FAILED : cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    if (engine_fails("event", ++events) || !(*event = calloc(1, sizeof **event)))
        return cudaErrorMemoryAllocation;
    engine_made("an event");
    return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    engine_drain();
    engine_gone();
    free(event);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    return engine_fails("record", ++records) ? FAILED : engine_record(stream, event);
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    return flags ? cudaErrorInvalidValue : engine_wait(stream, event);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t from, cudaEvent_t to)
{
    *ms = (float)((to->at - from->at) / 1e6);
    return engine_fails("time", ++times) ? FAILED : cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, int way, cudaStream_t stream)
{
    return engine_fails("lost", ++copies) ? cudaErrorDevicesUnavailable : engine_copy(stream, way, to, from, bytes);
}

cudaError_t cudaMemsetAsync(void *at, int value, size_t bytes, cudaStream_t stream)
{
    if (engine_fails("memset", ++sets) || !stream)
        return cudaErrorInvalidValue;
    memset(at, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t call, void *arg)
{
    return engine_fails("gate", ++gates) ? FAILED : engine_call(stream, call, arg);
}
