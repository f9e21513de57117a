/* The rest of the fake CUDA runtime (fake_cudart.c): registering, pools, graphs, kernels and cuBLAS, which take no time of its clock but for products and experts: each that
 * of a copy of 4 bytes within the device. */
#include <stdlib.h>
#include <string.h>

#define ES_CUDA_DECLARE
#include "calib/cuda_api.h"

struct CUmemPoolHandle_st { int kept; };
struct CUgraph_st { int nodes; };
struct CUgraphExec_st { int nodes; };
struct CUlib_st { int loaded; };
struct CUkern_st { int known; };
struct cublasContext { cudaStream_t stream; };

typedef struct table {          /* as kernels.cu has it */
    const void *from[64];
    void *to[64];
} table;

static struct CUkern_st nothing, gather, int4;

static cudaError_t made(void *out, size_t bytes)
{
    void *at = calloc(1, bytes);
    memcpy(out, &at, sizeof at);
    return at ? cudaSuccess : cudaErrorMemoryAllocation;
}

cudaError_t cudaHostRegister(void *at, size_t bytes, unsigned flags)
{
    (void)flags;
    return at && bytes ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaHostUnregister(void *at)
{
    return at ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaMemsetAsync(void *at, int value, size_t bytes, cudaStream_t stream)
{
    (void)stream;
    memset(at, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t *pool, const struct cudaMemPoolProps *props)
{
    return props->allocType == cudaMemAllocationTypePinned && props->location.type == cudaMemLocationTypeDevice ? made(pool, sizeof **pool) : cudaErrorInvalidValue;
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool)
{
    free(pool);
    return cudaSuccess;
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, int attribute, void *value)
{
    pool->kept = *(unsigned long long *)value != 0;
    return attribute == cudaMemPoolAttrReleaseThreshold ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaMallocFromPoolAsync(void **at, size_t bytes, cudaMemPool_t pool, cudaStream_t stream)
{
    (void)stream;
    return pool ? cudaMalloc(at, bytes) : cudaErrorInvalidValue;
}

cudaError_t cudaFreeAsync(void *at, cudaStream_t stream)
{
    (void)stream;
    return cudaFree(at);
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, int mode)
{
    return stream && mode == cudaStreamCaptureModeThreadLocal ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    (void)stream;
    return made(graph, sizeof **graph);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    return graph && flags == 0 ? made(exec, sizeof **exec) : cudaErrorInvalidValue;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    return exec && stream ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    free(exec);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    free(graph);
    return cudaSuccess;
}

cudaError_t cudaLibraryLoadData(cudaLibrary_t *library, const void *code, int *options, void **values, unsigned count, int *more, void **more_values, unsigned more_count)
{
    (void)options, (void)values, (void)count, (void)more, (void)more_values, (void)more_count;
    return strstr(code, ".entry es_gather") ? made(library, sizeof **library) : cudaErrorInvalidKernelImage;
}

cudaError_t cudaLibraryUnload(cudaLibrary_t library)
{
    free(library);
    return cudaSuccess;
}

cudaError_t cudaLibraryGetKernel(cudaKernel_t *kernel, cudaLibrary_t library, const char *name)
{
    *kernel = strcmp(name, "es_gather") == 0 ? &gather : strcmp(name, "es_int4") == 0 ? &int4 : &nothing;
    return library ? cudaSuccess : cudaErrorInvalidValue;
}

/* Gathering is k copies at once here. Of an expert: weights, scales, in, its stride, out, its stride, rows, inner, tokens. */
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *kernel, void **args)
{
    cudaError_t error = config->blockDim.x && config->gridDim.x ? cudaSuccess : cudaErrorInvalidValue;
    for (unsigned i = 0; kernel == &gather && i < config->gridDim.y && error == cudaSuccess; i++) {
        const table *t = args[0];
        size_t bytes = (size_t)*(const unsigned long long *)args[1];
        if (bytes)
            error = cudaMemcpyAsync(t->to[i], t->from[i], bytes, cudaMemcpyHostToDevice, config->stream);
    }
    if (kernel == &int4 && *(const unsigned *)args[8] > 0)
        error = cudaMemcpyAsync(*(void **)args[4], *(const void **)args[0], 4, cudaMemcpyDeviceToDevice, config->stream);
    return error;
}

cudaError_t cudaMemcpyBatchAsync(void *const *to, const void *const *from, const size_t *bytes, size_t count, struct cudaMemcpyAttributes *attributes,
    size_t *firsts, size_t kinds, cudaStream_t stream)
{
    cudaError_t error = stream && kinds == 1 && firsts[0] == 0 && attributes->srcAccessOrder == cudaMemcpySrcAccessOrderStream ? cudaSuccess : cudaErrorInvalidValue;
    for (size_t i = 0; i < count && error == cudaSuccess; i++)
        error = cudaMemcpyAsync(to[i], from[i], bytes[i], cudaMemcpyHostToDevice, stream);
    return error;
}

/* ---- cuBLAS ---- */

cublasStatus_t cublasCreate_v2(cublasHandle_t *handle)
{
    return made(handle, sizeof **handle) == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle)
{
    free(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t handle, int *version)
{
    *version = handle ? 130000 : 0;
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasGetStatusString(cublasStatus_t status)
{
    return status == CUBLAS_STATUS_EXECUTION_FAILED ? "the GPU program failed to execute" : status == CUBLAS_STATUS_NOT_SUPPORTED ? "the requested functionality is not supported" : "another status";
}

cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, cudaStream_t stream)
{
    handle->stream = stream;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *workspace, size_t bytes)
{
    return handle->stream && workspace && bytes ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t transa, cublasOperation_t transb, int m, int n, int k, const void *alpha, const void *a,
    cudaDataType atype, int lda, const void *b, cudaDataType btype, int ldb, const void *beta, void *c, cudaDataType ctype, int ldc, cublasComputeType_t compute,
    cublasGemmAlgo_t algorithm)
{
    int whole = compute == CUBLAS_COMPUTE_32I, fits = transa == CUBLAS_OP_T && transb == CUBLAS_OP_N && lda == k && ldb == k && ldc == m && n > 0 && atype == btype;
    (void)alpha, (void)beta, (void)algorithm;
    if (whole && (atype != CUDA_R_8I || ctype != CUDA_R_32I || lda % 4 || ldb % 4))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    if (!handle || !fits || !a || !b || !c)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return cudaMemcpyAsync(c, a, 4, cudaMemcpyDeviceToDevice, handle->stream) == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
