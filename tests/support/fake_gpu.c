/* The rest of the fake CUDA runtime (fake_cudart.c): registering, pools, graphs, kernels and cuBLAS. Products and experts take the time that
 * reading their weights takes, or their arithmetic (fake_engine.c); the rest takes none of its clock.
 *
 * FAKE_CUDART: register@N, unregister@N, pool@N (making one), taken@N (memory of one), given@N, capture@N, graph@N, replay@N, kernel@N
 * (launches), batch@N, ptx (the driver takes no kernels), blas@N (handles), product@N. */
#include <stdlib.h>
#include <string.h>

#include "tests/support/fake_engine.h"

enum { GROUP = 128 };           /* weights that share a scale of 2 bytes */

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

static long registered, unregistered, pools, taken, given, captures, graphs, replays, launches, batches, handles, products;

static struct CUkern_st nothing, gather, int4;

/* The N-th of what is counted may be missing. */
static cudaError_t made(void *out, size_t bytes, const char *what, const char *fails, long *count)
{
    void *at = engine_fails(fails, ++*count) ? NULL : calloc(1, bytes);
    if (!at)
        return cudaErrorMemoryAllocation;
    memcpy(out, &at, sizeof at);
    engine_made(what);
    return cudaSuccess;
}

static cudaError_t gone(void *at)
{
    engine_gone();
    free(at);
    return cudaSuccess;
}

cudaError_t cudaHostRegister(void *at, size_t bytes, unsigned flags)
{
    (void)flags;
    if (engine_fails("register", ++registered) || !at || !bytes)
        return cudaErrorMemoryAllocation;
    engine_made("registered memory");
    return cudaSuccess;
}

cudaError_t cudaHostUnregister(void *at)
{
    engine_drain();
    engine_gone();
    return engine_fails("unregister", ++unregistered) || !at ? cudaErrorInvalidValue : cudaSuccess;
}

cudaError_t cudaMemPoolCreate(cudaMemPool_t *pool, const struct cudaMemPoolProps *props)
{
    return props->allocType == cudaMemAllocationTypePinned && props->location.type == cudaMemLocationTypeDevice ? made(pool, sizeof **pool, "a pool", "pool", &pools) : cudaErrorInvalidValue;
}

cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool)
{
    return gone(pool);
}

cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t pool, int attribute, void *value)
{
    pool->kept = *(unsigned long long *)value != 0;
    return attribute == cudaMemPoolAttrReleaseThreshold ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaMallocFromPoolAsync(void **at, size_t bytes, cudaMemPool_t pool, cudaStream_t stream)
{
    (void)stream;
    return engine_fails("taken", ++taken) ? cudaErrorMemoryAllocation : pool ? cudaMalloc(at, bytes) : cudaErrorInvalidValue;
}

cudaError_t cudaFreeAsync(void *at, cudaStream_t stream)
{
    cudaError_t error = engine_fails("given", ++given) ? cudaErrorInvalidValue : cudaSuccess;
    engine_gone();              /* in its order, for what is queued may use it until then; where it fails all the same, or nobody could give it back */
    cudaError_t queued = engine_call(stream, free, at);
    return error ? error : queued;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, int mode)
{
    return !engine_fails("capture", ++captures) && stream && mode == cudaStreamCaptureModeThreadLocal ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph)
{
    (void)stream;
    return made(graph, sizeof **graph, "a graph", "graph", &graphs);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    return graph && flags == 0 ? made(exec, sizeof **exec, "a graph to run", "graph", &graphs) : cudaErrorInvalidValue;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream)
{
    return !engine_fails("replay", ++replays) && exec && stream ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    return gone(exec);
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    return gone(graph);
}

cudaError_t cudaLibraryLoadData(cudaLibrary_t *library, const void *code, int *options, void **values, unsigned count, int *more, void **more_values, unsigned more_count)
{
    (void)options, (void)values, (void)count, (void)more, (void)more_values, (void)more_count;
    static long libraries;
    return strstr(code, ".entry es_gather") && !engine_fails("ptx", 0) ? made(library, sizeof **library, "a library", "library", &libraries) : cudaErrorInvalidKernelImage;
}

cudaError_t cudaLibraryUnload(cudaLibrary_t library)
{
    return gone(library);
}

cudaError_t cudaLibraryGetKernel(cudaKernel_t *kernel, cudaLibrary_t library, const char *name)
{
    *kernel = strcmp(name, "es_gather") == 0 ? &gather : strcmp(name, "es_int4") == 0 ? &int4 : &nothing;
    return library ? cudaSuccess : cudaErrorInvalidValue;
}

/* Of gathering: a table and the bytes of each. Of an expert: weights, scales, in, its stride, out, its stride, rows, inner, tokens. */
cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *kernel, void **args)
{
    cudaError_t error = config->blockDim.x && config->gridDim.x && !engine_fails("kernel", ++launches) ? cudaSuccess : cudaErrorInvalidValue;
    const table *t = kernel == &gather ? args[0] : NULL;
    size_t bytes = t ? (size_t)*(const unsigned long long *)args[1] : 0;
    if (bytes > 0 && error == cudaSuccess)
        return engine_batch(config->stream, t->to, t->from, bytes, config->gridDim.y, true);
    if (kernel != &int4 || error != cudaSuccess)
        return error;
    double weights = (double)*(const unsigned *)args[6] * *(const unsigned *)args[7], tokens = *(const unsigned *)args[8];
    return tokens > 0.0 ? engine_kernel(config->stream, weights / 2 + weights / GROUP * 2, 2.0 * weights * tokens) : error;
}

cudaError_t cudaMemcpyBatchAsync(void *const *to, const void *const *from, const size_t *bytes, size_t count, struct cudaMemcpyAttributes *attributes,
    size_t *firsts, size_t kinds, cudaStream_t stream)
{
    bool right = stream && kinds == 1 && firsts[0] == 0 && attributes->srcAccessOrder == cudaMemcpySrcAccessOrderStream && count > 0;
    return right && !engine_fails("batch", ++batches) ? engine_batch(stream, to, from, bytes[0], count, false) : cudaErrorInvalidValue;
}

/* ---- cuBLAS ---- */

cublasStatus_t cublasCreate_v2(cublasHandle_t *handle)
{
    return made(handle, sizeof **handle, "a handle of cuBLAS", "blas", &handles) == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_ALLOC_FAILED;
}

cublasStatus_t cublasDestroy_v2(cublasHandle_t handle)
{
    gone(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion_v2(cublasHandle_t handle, int *version)
{
    *version = handle ? 130000 : 0;
    return CUBLAS_STATUS_SUCCESS;
}

const char *cublasGetStatusString(cublasStatus_t status)
{
    if (status == CUBLAS_STATUS_ALLOC_FAILED)
        return "the resource allocation failed";
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
    if (engine_fails("product", ++products))
        return CUBLAS_STATUS_EXECUTION_FAILED;
    double weights = (double)m * k, size = atype == CUDA_R_32F ? 4.0 : atype == CUDA_R_16BF ? 2.0 : 1.0;
    return engine_kernel(handle->stream, weights * size, 2.0 * weights * n) == cudaSuccess ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_EXECUTION_FAILED;
}
