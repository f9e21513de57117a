/* CUDA API: what is used of the C interfaces of the CUDA runtime and of cuBLAS, as NVIDIA documents them for CUDA 12 and 13
 * (docs.nvidia.com/cuda/cuda-runtime-api, docs.nvidia.com/cuda/cublas). The libraries are loaded when they are asked for, and these
 * declarations are our own, so every build of this program can use a GPU and none needs NVIDIA's headers.
 *
 * Everything stands in lists, because each is used three ways: as types and tables here; with ES_CUDA_DECLARE as prototypes, for the
 * runtime by formula of the tests; and with ES_CUDA_CHECK beside NVIDIA's own headers, where a constant, a layout or a prototype that
 * differs does not compile (tests/unit/cuda_header.c). */
#ifndef ES_CALIB_CUDA_API_H
#define ES_CALIB_CUDA_API_H

#include <stddef.h>

/* ---- constants ---- */

#define CUDA_ERRORS(X) \
    X(cudaSuccess, 0) X(cudaErrorInvalidValue, 1) X(cudaErrorMemoryAllocation, 2) X(cudaErrorStubLibrary, 34) X(cudaErrorInsufficientDriver, 35) \
    X(cudaErrorDevicesUnavailable, 46) X(cudaErrorNoDevice, 100) X(cudaErrorInvalidDevice, 101) X(cudaErrorInvalidKernelImage, 200) \
    X(cudaErrorNotSupported, 801) X(cudaErrorUnknown, 999)
#define CUDA_COPY_KINDS(X) X(cudaMemcpyHostToHost, 0) X(cudaMemcpyHostToDevice, 1) X(cudaMemcpyDeviceToHost, 2) X(cudaMemcpyDeviceToDevice, 3)
#define CUDA_ATTRIBUTES(X) \
    X(cudaDevAttrMultiProcessorCount, 16) X(cudaDevAttrL2CacheSize, 38) X(cudaDevAttrAsyncEngineCount, 40) X(cudaDevAttrComputeCapabilityMajor, 75) \
    X(cudaDevAttrComputeCapabilityMinor, 76) X(cudaDevAttrHostRegisterSupported, 99) X(cudaDevAttrMemoryPoolsSupported, 115) X(cudaDevAttrHostNumaId, 134)
#define CUDA_LOCATIONS(X) X(cudaMemLocationTypeDevice, 1)
#define CUDA_ALLOCATIONS(X) X(cudaMemAllocationTypePinned, 1)
#define CUDA_HANDLES(X) X(cudaMemHandleTypeNone, 0)
#define CUDA_POOL_ATTRIBUTES(X) X(cudaMemPoolAttrReleaseThreshold, 4)
#define CUDA_ORDERS(X) X(cudaMemcpySrcAccessOrderStream, 1)
#define CUDA_CAPTURES(X) X(cudaStreamCaptureModeThreadLocal, 1)

enum {                          /* flags: macros of NVIDIA's header, and so by other names */
    CUDA_STREAM_NON_BLOCKING = 1, CUDA_HOST_DEFAULT = 0, CUDA_HOST_PORTABLE = 1, CUDA_HOST_WRITE_COMBINED = 4, CUDA_REGISTER_DEFAULT = 0,
    CUDA_BATCH_SINCE = 13000    /* cudaMemcpyBatchAsync of 12.8 had a parameter more */
};

#define CUBLAS_STATUSES(X) X(CUBLAS_STATUS_SUCCESS, 0) X(CUBLAS_STATUS_NOT_INITIALIZED, 1) X(CUBLAS_STATUS_ALLOC_FAILED, 3) X(CUBLAS_STATUS_EXECUTION_FAILED, 13) X(CUBLAS_STATUS_NOT_SUPPORTED, 15)
#define CUBLAS_OPERATIONS(X) X(CUBLAS_OP_N, 0) X(CUBLAS_OP_T, 1)
#define CUBLAS_COMPUTES(X) X(CUBLAS_COMPUTE_32F, 68) X(CUBLAS_COMPUTE_32I, 72)
#define CUBLAS_ALGORITHMS(X) X(CUBLAS_GEMM_DEFAULT, -1)
#define CUDA_DATA_TYPES(X) X(CUDA_R_32F, 0) X(CUDA_R_8I, 3) X(CUDA_R_32I, 10) X(CUDA_R_16BF, 14)

/* ---- types ---- */

#ifdef ES_CUDA_CHECK
#define CUDA_SAME(name, value) _Static_assert((int)name == value, #name);
#define CUDA_ENUM(list) list(CUDA_SAME)
#else
#define CUDA_NAMED(name, value) name = value,
#define CUDA_ENUM(list) enum { list(CUDA_NAMED) };

typedef int cudaError_t;
typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;
typedef struct CUlib_st *cudaLibrary_t;
typedef struct CUkern_st *cudaKernel_t;
typedef struct CUmemPoolHandle_st *cudaMemPool_t;
typedef void (*cudaHostFn_t)(void *data);
typedef struct cublasContext *cublasHandle_t;

struct dim3 {
    unsigned x, y, z;
};

struct cudaMemLocation {
    int type, id;
};

struct cudaMemcpyAttributes {
    int srcAccessOrder;
    struct cudaMemLocation srcLocHint, dstLocHint;
    unsigned flags;
};

struct cudaMemPoolProps {       /* maxSize and usage were reserved before 12.2 and 12.8; 0 is what they then had to be */
    int allocType, handleTypes;
    struct cudaMemLocation location;
    void *win32SecurityAttributes;
    size_t maxSize;
    unsigned short usage;
    unsigned char reserved[54];
};

typedef struct cudaLaunchConfig_st {
    struct dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
    void *attrs;
    unsigned numAttrs;
} cudaLaunchConfig_t;
#endif

CUDA_ENUM(CUDA_ERRORS)
CUDA_ENUM(CUDA_COPY_KINDS)
CUDA_ENUM(CUDA_ATTRIBUTES)
CUDA_ENUM(CUDA_LOCATIONS)
CUDA_ENUM(CUDA_ALLOCATIONS)
CUDA_ENUM(CUDA_HANDLES)
CUDA_ENUM(CUDA_POOL_ATTRIBUTES)
CUDA_ENUM(CUDA_ORDERS)
CUDA_ENUM(CUDA_CAPTURES)
CUDA_ENUM(CUDA_DATA_TYPES)
#if !defined ES_CUDA_CHECK || defined ES_CUDA_CHECK_BLAS
CUDA_ENUM(CUBLAS_STATUSES)
CUDA_ENUM(CUBLAS_OPERATIONS)
CUDA_ENUM(CUBLAS_COMPUTES)
CUDA_ENUM(CUBLAS_ALGORITHMS)
#endif

#define CUDA_AT(type, member, offset) _Static_assert(offsetof(type, member) == offset, #type "." #member)
_Static_assert(sizeof(struct cudaMemPoolProps) == 88 && sizeof(struct cudaMemcpyAttributes) == 24 && sizeof(cudaLaunchConfig_t) == 56, "layout");
CUDA_AT(struct cudaMemPoolProps, allocType, 0);
CUDA_AT(struct cudaMemPoolProps, location, 8);
CUDA_AT(struct cudaMemPoolProps, maxSize, 24);
CUDA_AT(struct cudaMemLocation, id, 4);
CUDA_AT(struct cudaMemcpyAttributes, srcAccessOrder, 0);
CUDA_AT(struct cudaMemcpyAttributes, dstLocHint, 12);
CUDA_AT(cudaLaunchConfig_t, blockDim, 12);
CUDA_AT(cudaLaunchConfig_t, dynamicSmemBytes, 24);
CUDA_AT(cudaLaunchConfig_t, stream, 32);
CUDA_AT(cudaLaunchConfig_t, numAttrs, 48);

/* ---- calls ---- */

/* An enumeration is passed as an int is: by NVIDIA's header its name is the type, by ours int. */
#ifdef ES_CUDA_CHECK
#define CUDA_E(name) enum name
#else
#define CUDA_E(name) int
#endif

/* X(result, name, parameters) */
#define CUDA_CALLS(X) \
    X(cudaError_t, cudaRuntimeGetVersion, (int *version)) \
    X(cudaError_t, cudaDriverGetVersion, (int *version)) \
    X(cudaError_t, cudaGetDeviceCount, (int *count)) \
    X(cudaError_t, cudaSetDevice, (int device)) \
    X(const char *, cudaGetErrorString, (cudaError_t error)) \
    X(cudaError_t, cudaDeviceGetAttribute, (int *value, CUDA_E(cudaDeviceAttr) attribute, int device)) \
    X(cudaError_t, cudaDeviceGetPCIBusId, (char *bus, int length, int device)) \
    X(cudaError_t, cudaMemGetInfo, (size_t *unused, size_t *all)) \
    X(cudaError_t, cudaMalloc, (void **at, size_t bytes)) \
    X(cudaError_t, cudaFree, (void *at)) \
    X(cudaError_t, cudaHostAlloc, (void **at, size_t bytes, unsigned flags)) \
    X(cudaError_t, cudaFreeHost, (void *at)) \
    X(cudaError_t, cudaHostRegister, (void *at, size_t bytes, unsigned flags)) \
    X(cudaError_t, cudaHostUnregister, (void *at)) \
    X(cudaError_t, cudaStreamCreateWithFlags, (cudaStream_t *stream, unsigned flags)) \
    X(cudaError_t, cudaStreamDestroy, (cudaStream_t stream)) \
    X(cudaError_t, cudaStreamSynchronize, (cudaStream_t stream)) \
    X(cudaError_t, cudaStreamWaitEvent, (cudaStream_t stream, cudaEvent_t event, unsigned flags)) \
    X(cudaError_t, cudaEventCreate, (cudaEvent_t *event)) \
    X(cudaError_t, cudaEventDestroy, (cudaEvent_t event)) \
    X(cudaError_t, cudaEventRecord, (cudaEvent_t event, cudaStream_t stream)) \
    X(cudaError_t, cudaEventElapsedTime, (float *ms, cudaEvent_t from, cudaEvent_t to)) \
    X(cudaError_t, cudaMemcpyAsync, (void *to, const void *from, size_t bytes, CUDA_E(cudaMemcpyKind) kind, cudaStream_t stream)) \
    X(cudaError_t, cudaMemsetAsync, (void *at, int value, size_t bytes, cudaStream_t stream)) \
    X(cudaError_t, cudaLaunchHostFunc, (cudaStream_t stream, cudaHostFn_t call, void *data)) \
    X(cudaError_t, cudaMemPoolCreate, (cudaMemPool_t *pool, const struct cudaMemPoolProps *props)) \
    X(cudaError_t, cudaMemPoolDestroy, (cudaMemPool_t pool)) \
    X(cudaError_t, cudaMemPoolSetAttribute, (cudaMemPool_t pool, CUDA_E(cudaMemPoolAttr) attribute, void *value)) \
    X(cudaError_t, cudaMallocFromPoolAsync, (void **at, size_t bytes, cudaMemPool_t pool, cudaStream_t stream)) \
    X(cudaError_t, cudaFreeAsync, (void *at, cudaStream_t stream)) \
    X(cudaError_t, cudaStreamBeginCapture, (cudaStream_t stream, CUDA_E(cudaStreamCaptureMode) mode)) \
    X(cudaError_t, cudaStreamEndCapture, (cudaStream_t stream, cudaGraph_t *graph)) \
    X(cudaError_t, cudaGraphInstantiate, (cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)) \
    X(cudaError_t, cudaGraphLaunch, (cudaGraphExec_t exec, cudaStream_t stream)) \
    X(cudaError_t, cudaGraphExecDestroy, (cudaGraphExec_t exec)) \
    X(cudaError_t, cudaGraphDestroy, (cudaGraph_t graph)) \
    X(cudaError_t, cudaLaunchKernelExC, (const cudaLaunchConfig_t *config, const void *kernel, void **args))

/* Younger than the oldest runtime that will do: what needs them is skipped where they are not. */
#define CUDA_OPTIONAL_CALLS(X) \
    X(cudaError_t, cudaMemcpyBatchAsync, (void *const *to, const void *const *from, const size_t *bytes, size_t count, \
        struct cudaMemcpyAttributes *attributes, size_t *firsts, size_t kinds, cudaStream_t stream)) \
    X(cudaError_t, cudaLibraryLoadData, (cudaLibrary_t *library, const void *code, CUDA_E(cudaJitOption) *options, void **values, unsigned count, \
        CUDA_E(cudaLibraryOption) *library_options, void **library_values, unsigned library_count)) \
    X(cudaError_t, cudaLibraryUnload, (cudaLibrary_t library)) \
    X(cudaError_t, cudaLibraryGetKernel, (cudaKernel_t *kernel, cudaLibrary_t library, const char *name))

#if !defined ES_CUDA_CHECK
typedef int cublasStatus_t, cublasOperation_t, cublasComputeType_t, cublasGemmAlgo_t, cudaDataType;
#endif

#define CUBLAS_CALLS(X) \
    X(cublasStatus_t, cublasCreate_v2, (cublasHandle_t *handle)) \
    X(cublasStatus_t, cublasDestroy_v2, (cublasHandle_t handle)) \
    X(cublasStatus_t, cublasGetVersion_v2, (cublasHandle_t handle, int *version)) \
    X(const char *, cublasGetStatusString, (cublasStatus_t status)) \
    X(cublasStatus_t, cublasSetStream_v2, (cublasHandle_t handle, cudaStream_t stream)) \
    X(cublasStatus_t, cublasSetWorkspace_v2, (cublasHandle_t handle, void *workspace, size_t bytes)) \
    X(cublasStatus_t, cublasGemmEx, (cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k, const void *alpha, \
        const void *a, cudaDataType atype, int lda, const void *b, cudaDataType btype, int ldb, const void *beta, void *c, cudaDataType ctype, int ldc, \
        cublasComputeType_t compute, cublasGemmAlgo_t algorithm))

#define CUDA_DECLARATION(result, name, parameters) result name parameters;
#if defined ES_CUDA_CHECK || defined ES_CUDA_DECLARE
CUDA_CALLS(CUDA_DECLARATION)
CUDA_OPTIONAL_CALLS(CUDA_DECLARATION)
#endif
#if defined ES_CUDA_CHECK_BLAS || defined ES_CUDA_DECLARE
CUBLAS_CALLS(CUDA_DECLARATION)
#endif

#define CUDA_FIELD(result, name, parameters) result (*name) parameters;

typedef struct cuda_runtime {
    CUDA_CALLS(CUDA_FIELD)
    CUDA_OPTIONAL_CALLS(CUDA_FIELD)
    cudaError_t (*properties)(void *out, int device);   /* cudaGetDeviceProperties: of its result, which no two versions lay out alike, only the name is read */
} cuda_runtime;

#if !defined ES_CUDA_CHECK || defined ES_CUDA_CHECK_BLAS
typedef struct cublas_calls {
    CUBLAS_CALLS(CUDA_FIELD)
} cublas_calls;
#endif

#endif
