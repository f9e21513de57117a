/* Metal without a Mac: the objects that calib/metal*.m ask for, on GCC's Objective-C runtime, with memory of the host and a clock by formula.
 *
 * A copy between shared and private buffers takes 9 us and its bytes at 25 GB/s (within private memory 0.9 us and 250 GB/s); each way has one
 * engine. Getting memory takes 180 us (buffer), 150 (shared), 300 (heap), 9 (piece) or 20 (wrapped), a page of 16 KiB 400 ns at its first use
 * (wrapped 100). Each buffer that a kernel may read takes 250 ns of the host, in a residency set 10 ns, a heap 2 us for all.
 * FAKE_METAL in the environment says what goes wrong: none (no device), nil@N (the N-th object that is asked for), error@N (the N-th
 * command buffer), old (no residency sets). Objects are counted, so that what is not released is seen. */
#import <Foundation/Foundation.h>
#import <Metal/Metal.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/fake_metal.h"

/* The runtime's own header lies where only GCC finds it. */
id class_createInstance(Class, size_t);
id object_dispose(id);
void *object_getIndexedIvars(id);
BOOL class_respondsToSelector(Class, SEL);

enum { PAGE = 16384, POOLED = 4096 };

static double now;                          /* ns */
static double engine[3];                    /* until when each is busy: to private, to shared, within */
static long live, asked, committed;
static id pooled[POOLED];
static int pools;

long fake_metal_live(void) { return live; }

void fake_metal_reset(void)
{
    asked = committed = 0;
}

static bool fails(const char *name, long n)
{
    const char *told = getenv("FAKE_METAL");
    size_t length = strlen(name);
    if (!told || strncmp(told, name, length) != 0)
        return false;
    return told[length] != '@' || n == atol(told + length + 1);
}

uint64_t clock_gettime_nsec_np(clockid_t clock)
{
    (void)clock;
    return (uint64_t)now;
}

void *fake_metal_memcpy(void *to, const void *from, size_t bytes)
{
    now += 500.0 + (double)bytes / 10.0;
    return (memcpy)(to, from, bytes);
}

/* ---- Foundation ---- */

@implementation NSObject
+ (instancetype)alloc
{
    id object = class_createInstance(self, sizeof(long));
    *(long *)object_getIndexedIvars(object) = 1;
    live++;
    return object;
}
- (instancetype)init { return self; }
- (instancetype)retain
{
    ++*(long *)object_getIndexedIvars(self);
    return self;
}
- (oneway void)release
{
    if (--*(long *)object_getIndexedIvars(self) == 0)
        [self dealloc];
}
- (instancetype)autorelease
{
    if (pools == POOLED)
        abort();
    pooled[pools++] = self;
    return self;
}
- (BOOL)respondsToSelector:(SEL)selector
{
    return class_respondsToSelector(isa, selector);
}
- (void)dealloc
{
    live--;
    object_dispose(self);
}
@end

@implementation NSAutoreleasePool
- (instancetype)init
{
    from = pools;
    return self;
}
- (void)drain
{
    while (pools > from)
        [pooled[--pools] release];
    [self release];
}
@end

@implementation NSString
+ (instancetype)stringWithUTF8String:(const char *)given
{
    NSString *string = [[[NSString alloc] init] autorelease];
    strncpy(string->text, given, sizeof string->text - 1);
    return string;
}
- (const char *)UTF8String { return text; }
@end

@implementation NSError
- (NSString *)localizedDescription { return [NSString stringWithUTF8String:"Caused GPU Timeout Error (made up)"]; }
@end

/* Objects that the N-th of may be missing. */
static id given(id object)
{
    if (!fails("nil", ++asked))
        return object;
    [object release];
    return nil;
}

/* ---- memory ---- */

@interface FakeBuffer : NSObject <MTLBuffer>
{
@public
    unsigned char *memory;
    NSUInteger length;
    bool shared, owned, touched;
    double page;
}
@end

@implementation FakeBuffer
- (void *)contents { return shared ? memory : NULL; }
- (NSUInteger)length { return length; }
- (void)dealloc
{
    if (owned)
        free(memory);
    [super dealloc];
}
@end

static FakeBuffer *buffer_new(void *memory, NSUInteger length, bool shared, double call, double page)
{
    FakeBuffer *b = [[FakeBuffer alloc] init];
    b->owned = !memory;
    if (!memory && posix_memalign(&memory, PAGE, length) != 0)
        abort();
    b->memory = memory;
    b->length = length;
    b->shared = shared;
    b->page = page;
    now += call;
    return given(b);
}

@implementation MTLHeapDescriptor
@synthesize size, storageMode;
@end

@interface FakeHeap : NSObject <MTLHeap>
{
@public
    NSUInteger size;
    bool touched;
}
@end

@implementation FakeHeap
- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options
{
    if (options != MTLResourceStorageModePrivate || length > size)
        return nil;                         /* as the heap's own mode, which is private here */
    FakeBuffer *piece = buffer_new(NULL, length, false, 9000.0, touched ? 0.0 : 400.0);
    touched = true;
    return piece;
}
@end

@implementation MTLResidencySetDescriptor
@synthesize initialCapacity;
@end

@interface FakeSet : NSObject <MTLResidencySet>
{
@public
    long staged, members;
}
@end

@implementation FakeSet
- (void)addAllocation:(id<MTLAllocation>)allocation { staged += allocation != nil; }
- (void)commit { members = staged; }
- (void)requestResidency { }
@end

/* ---- kernels ---- */

@interface FakeFunction : NSObject <MTLFunction>
@end
@implementation FakeFunction
@end

@interface FakeState : NSObject <MTLComputePipelineState>
@end
@implementation FakeState
@end

@interface FakeLibrary : NSObject <MTLLibrary>
{
@public
    char source[512];
}
@end
@implementation FakeLibrary
- (id<MTLFunction>)newFunctionWithName:(NSString *)name
{
    char wanted[128];
    snprintf(wanted, sizeof wanted, "kernel void %s(", [name UTF8String]);
    return strstr(source, wanted) ? given([[FakeFunction alloc] init]) : nil;
}
@end

/* ---- commands ---- */

@interface FakeCommands : NSObject <MTLCommandBuffer>
{
@public
    double work[3], host, start, end;
    bool open;
    MTLCommandBufferStatus status;
}
@end

@interface FakeBlit : NSObject <MTLBlitCommandEncoder>
{
@public
    FakeCommands *commands;
}
@end

@implementation FakeBlit
- (void)copyFromBuffer:(id<MTLBuffer>)from sourceOffset:(NSUInteger)from_offset toBuffer:(id<MTLBuffer>)to destinationOffset:(NSUInteger)to_offset size:(NSUInteger)size
{
    FakeBuffer *f = (FakeBuffer *)from, *t = (FakeBuffer *)to;
    int way = f->shared == t->shared ? 2 : t->shared;
    if (from_offset + size > f->length || to_offset + size > t->length)
        abort();                            /* beyond the end of a buffer: the real one may do anything */
    (memcpy)(t->memory + to_offset, f->memory + from_offset, size);
    commands->work[way] += (way == 2 ? 0.1 : 1.0) * (9000.0 + (double)size / 25.0);
}
- (void)fillBuffer:(id<MTLBuffer>)buffer range:(NSRange)range value:(uint8_t)value
{
    FakeBuffer *b = (FakeBuffer *)buffer;
    memset(b->memory + range.location, value, range.length);
    commands->work[2] += (double)range.length / 50.0 + (b->touched ? 0.0 : b->page * (double)((range.length + PAGE - 1) / PAGE));
    b->touched = true;
}
- (void)endEncoding { commands->open = false; }
@end

@interface FakeCompute : NSObject <MTLComputeCommandEncoder>
{
@public
    FakeCommands *commands;
    bool state;
}
@end

@implementation FakeCompute
- (void)setComputePipelineState:(id<MTLComputePipelineState>)given_state { state = given_state != nil; }
- (void)setBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index { (void)buffer, (void)offset, (void)index; }
- (void)useResources:(const id<MTLResource> [])resources count:(NSUInteger)count usage:(MTLResourceUsage)usage
{
    (void)usage;
    for (NSUInteger i = 0; i < count; i++)
        if (!resources[i])
            abort();
    now += 250.0 * (double)count;
}
- (void)useHeap:(id<MTLHeap>)heap { now += heap ? 2000.0 : 0.0; }
- (void)dispatchThreadgroups:(MTLSize)groups threadsPerThreadgroup:(MTLSize)threads
{
    if (!state || groups.width * threads.width != 1)
        abort();
    commands->work[2] += 5000.0;
}
- (void)endEncoding { commands->open = false; }
@end

@implementation FakeCommands
- (id<MTLBlitCommandEncoder>)blitCommandEncoder
{
    FakeBlit *encoder = given([[FakeBlit alloc] init]);
    if (encoder)
        encoder->commands = self;
    open = encoder != nil;
    return [encoder autorelease];
}
- (id<MTLComputeCommandEncoder>)computeCommandEncoder
{
    FakeCompute *encoder = given([[FakeCompute alloc] init]);
    if (encoder)
        encoder->commands = self;
    open = encoder != nil;
    return [encoder autorelease];
}
- (void)useResidencySet:(id<MTLResidencySet>)set { now += 10.0 * (double)((FakeSet *)set)->members; }
- (void)commit
{
    if (open || status != MTLCommandBufferStatusNotEnqueued)
        abort();                            /* an encoder that is open, or twice: the real one throws */
    start = now;
    for (int i = 0; i < 3; i++)
        if (work[i] > 0.0 && engine[i] > start)
            start = engine[i];
    end = start;
    for (int i = 0; i < 3; i++)
        if (work[i] > 0.0)
            engine[i] = end += work[i];
    status = MTLCommandBufferStatusCommitted;
    if (fails("error", ++committed))
        status = MTLCommandBufferStatusError;
}
- (void)waitUntilCompleted
{
    if (status == MTLCommandBufferStatusNotEnqueued)
        abort();                            /* not committed: the real one never returns */
    now = end > now ? end : now;
    if (status != MTLCommandBufferStatusError)
        status = MTLCommandBufferStatusCompleted;
}
- (MTLCommandBufferStatus)status { return status; }
- (NSError *)error { return status == MTLCommandBufferStatusError ? [[[NSError alloc] init] autorelease] : nil; }
- (CFTimeInterval)GPUStartTime { return status >= MTLCommandBufferStatusCompleted ? start / 1e9 : 0.0; }
- (CFTimeInterval)GPUEndTime { return status >= MTLCommandBufferStatusCompleted ? end / 1e9 : 0.0; }
@end

@interface FakeQueue : NSObject <MTLCommandQueue>
@end

@implementation FakeQueue
- (id<MTLCommandBuffer>)commandBuffer { return [given([[FakeCommands alloc] init]) autorelease]; }
@end

/* ---- the device ---- */

@interface FakeDevice : NSObject <MTLDevice>
@end

@implementation FakeDevice
- (NSString *)name { return [NSString stringWithUTF8String:"Apple M0 (made up)"]; }
- (BOOL)hasUnifiedMemory { return true; }
- (uint64_t)recommendedMaxWorkingSetSize { return getenv("FAKE_METAL") ? 64ull << 20 : 1ull << 30; }     /* failures are tried hundreds of times */
- (id<MTLCommandQueue>)newCommandQueue { return given([[FakeQueue alloc] init]); }
- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options
{
    bool shared = options == MTLResourceStorageModeShared;
    return buffer_new(NULL, length, shared, shared ? 150e3 : 180e3, 400.0);
}
- (id<MTLBuffer>)newBufferWithBytesNoCopy:(void *)pointer length:(NSUInteger)length options:(MTLResourceOptions)options
    deallocator:(void (^)(void *pointer, NSUInteger length))deallocator
{
    (void)options;
    if (deallocator || (uintptr_t)pointer % 4096 || length % 4096)
        return nil;                         /* as the real one: whole pages */
    return buffer_new(pointer, length, true, 20e3, 100.0);
}
- (id<MTLHeap>)newHeapWithDescriptor:(MTLHeapDescriptor *)descriptor
{
    FakeHeap *heap = [[FakeHeap alloc] init];
    heap->size = [descriptor size];
    now += 300e3;
    return [descriptor storageMode] == MTLStorageModePrivate ? given(heap) : nil;
}
- (MTLSizeAndAlign)heapBufferSizeAndAlignWithLength:(NSUInteger)length options:(MTLResourceOptions)options
{
    (void)options;
    return (MTLSizeAndAlign){length, PAGE};
}
- (id<MTLLibrary>)newLibraryWithSource:(NSString *)source options:(MTLCompileOptions *)options error:(NSError **)error
{
    FakeLibrary *library = [[FakeLibrary alloc] init];
    (void)options;
    strncpy(library->source, [source UTF8String], sizeof library->source - 1);
    library = given(library);
    *error = library ? nil : [[[NSError alloc] init] autorelease];
    return library;
}
- (id<MTLComputePipelineState>)newComputePipelineStateWithFunction:(id<MTLFunction>)function error:(NSError **)error
{
    FakeState *state = function ? given([[FakeState alloc] init]) : nil;
    *error = state ? nil : [[[NSError alloc] init] autorelease];
    return state;
}
- (id<MTLResidencySet>)newResidencySetWithDescriptor:(MTLResidencySetDescriptor *)descriptor error:(NSError **)error
{
    FakeSet *set = [descriptor initialCapacity] ? given([[FakeSet alloc] init]) : nil;
    *error = set ? nil : [[[NSError alloc] init] autorelease];
    return set;
}
- (BOOL)respondsToSelector:(SEL)selector
{
    return fails("old", 0) ? false : [super respondsToSelector:selector];
}
@end

id<MTLDevice> MTLCreateSystemDefaultDevice(void)
{
    return fails("none", 0) ? nil : given([[FakeDevice alloc] init]);
}
