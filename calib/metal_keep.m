/* Metal, keeping: what it costs to get memory in each way, and to have many buffers resident.
 *
 * Memory is backed lazily: the call gives a buffer, its pages come when the device writes it first. So a sample has three times, the
 * call, the first use and the second, and what the pages cost is the difference of the last two.
 *
 * Before a kernel runs, what it may read is made resident. An engine found that this grew with every buffer of its cache, and that one
 * heap instead, or a residency set, took it away (colibri, issues 379 and 392). The price is what the host waits for a tiny kernel
 * beyond what the GPU worked. */
#include "calib/metal_inside.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- getting ---- */

static id<MTLHeap> heap_new(metal *m, int64_t bytes)
{
    MTLHeapDescriptor *descriptor = [[MTLHeapDescriptor alloc] init];
    [descriptor setSize:(NSUInteger)bytes];
    [descriptor setStorageMode:MTLStorageModePrivate];
    id<MTLHeap> heap = [m->device newHeapWithDescriptor:descriptor];
    [descriptor release];
    return heap;
}

/* What a piece of `bytes` takes of a heap. */
static int64_t heap_share(metal *m, int64_t bytes)
{
    MTLSizeAndAlign need = [m->device heapBufferSizeAndAlignWithLength:(NSUInteger)bytes options:MTLResourceStorageModePrivate];
    return (int64_t)((need.size + need.align - 1) / need.align * need.align);
}

static es_code heap_out(es_err *err, int64_t bytes)
{
    return es_err_set(err, ES_EDEVICE, "out of memory: a heap of %lld bytes: Metal gave none", (long long)bytes);
}

/* A heap that pieces of `bytes` fit into and that was touched from end to end. */
static es_code pool_ready(metal *m, int64_t bytes, es_err *err)
{
    int64_t share = heap_share(m, bytes);
    if (m->pool && share <= m->pool_bytes)
        return ES_OK;
    [m->pool release];
    m->pool_bytes = 0;
    m->pool = heap_new(m, share);
    if (!m->pool)
        return heap_out(err, share);
    id<MTLBuffer> all = [m->pool newBufferWithLength:(NSUInteger)bytes options:MTLResourceStorageModePrivate];
    es_code code = all ? metal_fill(m, all, bytes, NULL, err) : metal_nil(err, "a piece of a heap");
    [all release];
    m->pool_bytes = code ? 0 : share;
    return code;
}

typedef struct getting {        /* what one sample holds until it is over */
    id<MTLBuffer> buffer;
    id<MTLHeap> heap;
    void *memory;               /* of the host, to be wrapped */
} getting;

static void getting_over(getting *g)
{
    [g->buffer release];
    [g->heap release];
    free(g->memory);
}

/* What has to be there before the call. A wrapped buffer begins and ends with a page. */
static es_code getting_ready(metal *m, getting *g, es_get how, int64_t *bytes, es_err *err)
{
    if (how == ES_GET_PIECE)
        return pool_ready(m, *bytes, err);
    if (how == ES_GET_WRAP) {
        int64_t page = sysconf(_SC_PAGESIZE);
        *bytes = (*bytes + page - 1) / page * page;
        if (posix_memalign(&g->memory, (size_t)page, (size_t)*bytes) != 0)
            return es_err_nomem(err, "memory to be wrapped");
        memset(g->memory, 1, (size_t)*bytes);
    }
    return ES_OK;
}

static void getting_call(metal *m, getting *g, es_get how, int64_t bytes)
{
    NSUInteger length = (NSUInteger)bytes;
    switch (how) {
    case ES_GET_BUFFER:
        g->buffer = [m->device newBufferWithLength:length options:MTLResourceStorageModePrivate];
        break;
    case ES_GET_SHARED:
        g->buffer = [m->device newBufferWithLength:length options:MTLResourceStorageModeShared];
        break;
    case ES_GET_HEAP:
        g->heap = heap_new(m, bytes);
        break;
    case ES_GET_PIECE:
        g->buffer = [m->pool newBufferWithLength:length options:MTLResourceStorageModePrivate];
        break;
    case ES_GET_WRAP:
        g->buffer = [m->device newBufferWithBytesNoCopy:g->memory length:length options:MTLResourceStorageModeShared deallocator:nil];
        break;
    case ES_GETS:
        break;
    }
}

es_code metal_get(metal *m, es_get how, int64_t bytes, es_got *out, es_err *err)
{
    getting g = {0};
    int64_t size = bytes;
    es_code code;
    @autoreleasepool {
        if (how == ES_GET_HEAP)
            bytes = heap_share(m, size);
        code = getting_ready(m, &g, how, &bytes, err);
        if (code == ES_OK) {
            es_time start = metal_now();
            getting_call(m, &g, how, bytes);
            out->call = metal_now() - start;
            if (!g.buffer && !g.heap)
                code = es_err_set(err, ES_EDEVICE, "out of memory: %lld bytes: Metal gave none", (long long)bytes);
        }
        if (code == ES_OK && g.heap && !(g.buffer = [g.heap newBufferWithLength:(NSUInteger)size options:MTLResourceStorageModePrivate]))
            code = metal_nil(err, "a piece of a heap");
        if (code == ES_OK)
            code = metal_fill(m, g.buffer, size, &out->first, err);
        if (code == ES_OK)
            code = metal_fill(m, g.buffer, size, &out->again, err);
        getting_over(&g);
    }
    return code;
}

/* ---- keeping resident ---- */

static const char keep_source[] =
    "#include <metal_stdlib>\n"
    "kernel void reads(device const uchar *at [[buffer(0)]], device uchar *to [[buffer(1)]]) { to[0] = at[0]; }\n";

static es_code keep_failed(es_err *err, const char *what, NSError *error)
{
    const char *why = [[error localizedDescription] UTF8String];
    return es_err_set(err, ES_EDEVICE, "%s: %s", what, why ? why : "Metal does not say why");
}

static es_code keep_kernel(metal *m, es_err *err)
{
    NSError *error = nil;
    if (m->reads)
        return ES_OK;
    id<MTLLibrary> library = [m->device newLibraryWithSource:[NSString stringWithUTF8String:keep_source] options:nil error:&error];
    if (!library)
        return keep_failed(err, "compiling a kernel", error);
    id<MTLFunction> function = [library newFunctionWithName:[NSString stringWithUTF8String:"reads"]];
    [library release];
    if (!function)
        return metal_nil(err, "a kernel");
    m->reads = [m->device newComputePipelineStateWithFunction:function error:&error];
    [function release];
    return m->reads ? ES_OK : keep_failed(err, "a kernel", error);
}

static void keep_drop(metal *m)
{
    for (uint32_t i = 0; i < m->kept; i++) {
        [m->own[i] release];
        [m->piece[i] release];
    }
    [m->heap release];
    free(m->own);
    free(m->piece);
    m->heap = nil;
    m->own = m->piece = NULL;
    m->kept = 0;
    m->kept_bytes = 0;
}

void metal_keep_close(metal *m)
{
    keep_drop(m);
    [m->pool release];
    [m->reads release];
}

/* `count` buffers of each kind that stay until the end: what is made anew would be timed with them. */
static es_code keep_buffers(metal *m, uint32_t count, int64_t bytes, es_err *err)
{
    if (count <= m->kept && bytes == m->kept_bytes)
        return ES_OK;
    keep_drop(m);
    m->own = calloc(count, sizeof *m->own);
    m->piece = calloc(count, sizeof *m->piece);
    if (!m->own || !m->piece)
        return es_err_nomem(err, "buffers to be kept");
    m->kept = count;            /* those that are nil are released, too, which does nothing */
    int64_t all = heap_share(m, bytes) * count;
    m->heap = heap_new(m, all);
    if (!m->heap)
        return heap_out(err, all);
    for (uint32_t i = 0; i < count; i++) {
        m->own[i] = [m->device newBufferWithLength:(NSUInteger)bytes options:MTLResourceStorageModePrivate];
        m->piece[i] = [m->heap newBufferWithLength:(NSUInteger)bytes options:MTLResourceStorageModePrivate];
        if (!m->own[i] || !m->piece[i])
            return es_err_set(err, ES_EDEVICE, "out of memory: buffer %u of %u: Metal gave none", i + 1, count);
    }
    m->kept_bytes = bytes;
    return ES_OK;
}

#ifdef __MAC_15_0
/* nil and an error where there are none. Owned by the caller. */
static id<MTLResidencySet> set_new(metal *m, uint32_t count, NSError **error)
{
    if (@available(macOS 15, *)) {
        MTLResidencySetDescriptor *descriptor = [[MTLResidencySetDescriptor alloc] init];
        [descriptor setInitialCapacity:count];
        id<MTLResidencySet> set = [m->device newResidencySetWithDescriptor:descriptor error:error];
        [descriptor release];
        for (uint32_t i = 0; i < count; i++)
            [set addAllocation:m->own[i]];
        [set commit];
        [set requestResidency];
        return set;
    }
    return nil;
}

static void set_use(id<MTLCommandBuffer> commands, id set)
{
    if (@available(macOS 15, *))
        if (set)
            [commands useResidencySet:set];
}
#else
static id set_new(metal *m, uint32_t count, NSError **error)
{
    (void)m, (void)count, (void)error;
    return nil;
}

static void set_use(id<MTLCommandBuffer> commands, id set)
{
    (void)commands, (void)set;
}
#endif

/* One kernel that may read all of them and reads one byte. */
static es_code keep_run(metal *m, es_reside how, uint32_t count, id set, es_time *ns, es_err *err)
{
    es_time start = metal_now();
    id<MTLCommandBuffer> commands = [m->stream[0].queue commandBuffer];
    set_use(commands, set);
    id<MTLComputeCommandEncoder> encoder = [commands computeCommandEncoder];
    if (!encoder)
        return metal_nil(err, "an encoder of kernels");
    [encoder setComputePipelineState:m->reads];
    [encoder setBuffer:how == ES_RESIDE_HEAP ? m->piece[0] : m->own[0] offset:0 atIndex:0];
    [encoder setBuffer:m->stage offset:0 atIndex:1];
    if (how == ES_RESIDE_BUFFERS)
        [encoder useResources:(const id<MTLResource> *)m->own count:count usage:MTLResourceUsageRead];
    else if (how == ES_RESIDE_HEAP)
        [encoder useHeap:m->heap];
    [encoder dispatchThreadgroups:MTLSizeMake(1, 1, 1) threadsPerThreadgroup:MTLSizeMake(1, 1, 1)];
    [encoder endEncoding];
    [commands commit];
    es_code code = metal_wait(commands, err);
    double worked = ([commands GPUEndTime] - [commands GPUStartTime]) * 1e9;
    *ns = metal_now() - start - es_ns_round(worked);
    return code;
}

es_code metal_reside(metal *m, es_reside how, uint32_t count, int64_t bytes, es_time *ns, es_err *err)
{
    es_code code;
    @autoreleasepool {
        NSError *error = nil;
        id set = nil;
        code = keep_kernel(m, err);
        if (code == ES_OK)
            code = keep_buffers(m, count > m->kept ? count : m->kept, bytes, err);
        if (code == ES_OK && how == ES_RESIDE_SET && !(set = set_new(m, count, &error)))
            code = keep_failed(err, "a residency set", error);
        if (code == ES_OK)
            code = keep_run(m, how, count, set, ns, err);
        [set release];
    }
    return code;
}
