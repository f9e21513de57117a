/* Metal for the tests: what calib/metal*.m use of it, transcribed from Apple's documentation; the address stands beside each. All are below
 * developer.apple.com/documentation/metal/. See Foundation/Foundation.h. */
#ifndef TESTS_STUBS_METAL_H
#define TESTS_STUBS_METAL_H

#import <Foundation/Foundation.h>

typedef NS_ENUM(NSUInteger, MTLStorageMode) {       /* mtlstoragemode */
    MTLStorageModeShared = 0,
    MTLStorageModeManaged = 1,
    MTLStorageModePrivate = 2,
};

typedef NS_OPTIONS(NSUInteger, MTLResourceOptions) {        /* mtlresourceoptions: the storage mode, from bit 4 on */
    MTLResourceStorageModeShared = MTLStorageModeShared << 4,
    MTLResourceStorageModeManaged = MTLStorageModeManaged << 4,
    MTLResourceStorageModePrivate = MTLStorageModePrivate << 4,
};

typedef NS_OPTIONS(NSUInteger, MTLResourceUsage) {  /* mtlresourceusage */
    MTLResourceUsageRead = 1 << 0,
    MTLResourceUsageWrite = 1 << 1,
};

typedef NS_ENUM(NSUInteger, MTLCommandBufferStatus) {       /* mtlcommandbufferstatus */
    MTLCommandBufferStatusNotEnqueued = 0,
    MTLCommandBufferStatusEnqueued = 1,
    MTLCommandBufferStatusCommitted = 2,
    MTLCommandBufferStatusScheduled = 3,
    MTLCommandBufferStatusCompleted = 4,
    MTLCommandBufferStatusError = 5,
};

typedef struct {                    /* mtlsize */
    NSUInteger width, height, depth;
} MTLSize;

static inline MTLSize MTLSizeMake(NSUInteger width, NSUInteger height, NSUInteger depth)    /* mtlsizemake */
{
    return (MTLSize){width, height, depth};
}

typedef struct {                    /* mtlsizeandalign */
    NSUInteger size, align;
} MTLSizeAndAlign;

@protocol MTLAllocation <NSObject>  /* mtlallocation */
@end

@protocol MTLResource <MTLAllocation>       /* mtlresource */
@end

@protocol MTLBuffer <MTLResource>   /* mtlbuffer */
- (void *)contents;                 /* mtlbuffer/contents(); NULL of a private one */
@property (readonly) NSUInteger length;     /* mtlbuffer/length */
@end

@interface MTLHeapDescriptor : NSObject     /* mtlheapdescriptor */
{
    NSUInteger size;
    MTLStorageMode storageMode;
}
@property (readwrite, nonatomic) NSUInteger size;           /* mtlheapdescriptor/size */
@property (readwrite, nonatomic) MTLStorageMode storageMode;        /* mtlheapdescriptor/storagemode; private unless it is set */
@end

@protocol MTLHeap <MTLAllocation>   /* mtlheap */
- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options;        /* mtlheap/makebuffer(length:options:); its storage mode is the heap's */
@end

@interface MTLResidencySetDescriptor : NSObject     /* mtlresidencysetdescriptor, macOS 15 */
{
    NSUInteger initialCapacity;
}
@property (readwrite, nonatomic) NSUInteger initialCapacity;        /* mtlresidencysetdescriptor/initialcapacity */
@end

@protocol MTLResidencySet <NSObject>        /* mtlresidencyset, macOS 15 */
- (void)addAllocation:(id<MTLAllocation>)allocation;        /* mtlresidencyset/addallocation(_:) */
- (void)commit;                     /* mtlresidencyset/commit(): applies what was added */
- (void)requestResidency;           /* mtlresidencyset/requestresidency() */
@end

@protocol MTLFunction <NSObject>    /* mtlfunction */
@end

@protocol MTLLibrary <NSObject>     /* mtllibrary */
- (id<MTLFunction>)newFunctionWithName:(NSString *)name;    /* mtllibrary/makefunction(name:) */
@end

@protocol MTLComputePipelineState <NSObject>        /* mtlcomputepipelinestate */
@end

@protocol MTLCommandEncoder <NSObject>      /* mtlcommandencoder */
- (void)endEncoding;                /* mtlcommandencoder/endencoding() */
@end

@protocol MTLBlitCommandEncoder <MTLCommandEncoder> /* mtlblitcommandencoder */
- (void)copyFromBuffer:(id<MTLBuffer>)from sourceOffset:(NSUInteger)from_offset toBuffer:(id<MTLBuffer>)to destinationOffset:(NSUInteger)to_offset
    size:(NSUInteger)size;          /* mtlblitcommandencoder/copy(from:sourceoffset:to:destinationoffset:size:) */
- (void)fillBuffer:(id<MTLBuffer>)buffer range:(NSRange)range value:(uint8_t)value;         /* mtlblitcommandencoder/fill(buffer:range:value:) */
@end

@protocol MTLComputeCommandEncoder <MTLCommandEncoder>      /* mtlcomputecommandencoder */
- (void)setComputePipelineState:(id<MTLComputePipelineState>)state; /* mtlcomputecommandencoder/setcomputepipelinestate(_:) */
- (void)setBuffer:(id<MTLBuffer>)buffer offset:(NSUInteger)offset atIndex:(NSUInteger)index;        /* mtlcomputecommandencoder/setbuffer(_:offset:index:) */
- (void)useResources:(const id<MTLResource> [])resources count:(NSUInteger)count usage:(MTLResourceUsage)usage;     /* mtlcomputecommandencoder/useresources:count:usage: */
- (void)useHeap:(id<MTLHeap>)heap;  /* mtlcomputecommandencoder/useheap(_:) */
- (void)dispatchThreadgroups:(MTLSize)groups threadsPerThreadgroup:(MTLSize)threads;        /* mtlcomputecommandencoder/dispatchthreadgroups(_:threadsperthreadgroup:) */
@end

@protocol MTLCommandBuffer <NSObject>       /* mtlcommandbuffer */
- (id<MTLBlitCommandEncoder>)blitCommandEncoder;    /* mtlcommandbuffer/makeblitcommandencoder() */
- (id<MTLComputeCommandEncoder>)computeCommandEncoder;      /* mtlcommandbuffer/makecomputecommandencoder() */
- (void)useResidencySet:(id<MTLResidencySet>)set;   /* mtlcommandbuffer/useresidencyset(_:), macOS 15 */
- (void)commit;                     /* mtlcommandbuffer/commit() */
- (void)waitUntilCompleted;         /* mtlcommandbuffer/waituntilcompleted() */
@property (readonly) MTLCommandBufferStatus status; /* mtlcommandbuffer/status */
@property (readonly) NSError *error;        /* mtlcommandbuffer/error */
@property (readonly) CFTimeInterval GPUStartTime;   /* mtlcommandbuffer/gpustarttime; 0 until it is complete */
@property (readonly) CFTimeInterval GPUEndTime;     /* mtlcommandbuffer/gpuendtime */
@end

@protocol MTLCommandQueue <NSObject>        /* mtlcommandqueue */
- (id<MTLCommandBuffer>)commandBuffer;      /* mtlcommandqueue/makecommandbuffer() */
@end

@class MTLCompileOptions;           /* mtlcompileoptions */

@protocol MTLDevice <NSObject>      /* mtldevice */
@property (readonly) NSString *name;        /* mtldevice/name */
@property (readonly) BOOL hasUnifiedMemory; /* mtldevice/hasunifiedmemory */
@property (readonly) uint64_t recommendedMaxWorkingSetSize; /* mtldevice/recommendedmaxworkingsetsize */
- (id<MTLCommandQueue>)newCommandQueue;     /* mtldevice/makecommandqueue() */
- (id<MTLBuffer>)newBufferWithLength:(NSUInteger)length options:(MTLResourceOptions)options;        /* mtldevice/makebuffer(length:options:) */
- (id<MTLBuffer>)newBufferWithBytesNoCopy:(void *)pointer length:(NSUInteger)length options:(MTLResourceOptions)options
    deallocator:(void (^)(void *pointer, NSUInteger length))deallocator;    /* mtldevice/makebuffer(bytesnocopy:length:options:deallocator:); whole pages */
- (id<MTLHeap>)newHeapWithDescriptor:(MTLHeapDescriptor *)descriptor;       /* mtldevice/makeheap(descriptor:) */
- (MTLSizeAndAlign)heapBufferSizeAndAlignWithLength:(NSUInteger)length options:(MTLResourceOptions)options; /* mtldevice/heapbuffersizeandalign(length:options:) */
- (id<MTLLibrary>)newLibraryWithSource:(NSString *)source options:(MTLCompileOptions *)options error:(NSError **)error;     /* mtldevice/makelibrary(source:options:) */
- (id<MTLComputePipelineState>)newComputePipelineStateWithFunction:(id<MTLFunction>)function error:(NSError **)error;      /* mtldevice/makecomputepipelinestate(function:) */
- (id<MTLResidencySet>)newResidencySetWithDescriptor:(MTLResidencySetDescriptor *)descriptor error:(NSError **)error;      /* mtldevice/makeresidencyset(descriptor:), macOS 15 */
@end

id<MTLDevice> MTLCreateSystemDefaultDevice(void);   /* mtlcreatesystemdefaultdevice(); owned by the caller, NULL when there is none */

#endif
