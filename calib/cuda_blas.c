/* CUDA experts: see cuda_inside.h. The products of one expert by cuBLAS, or by our own kernel for 4-bit weights. No activation function
 * lies between them: it is one launch that reads no weights.
 *
 * What is made at the first use (the handle, its workspace, the activations) allocates, which may wait for the whole device: so the
 * first expert of a stream, and the first with more tokens, must not be queued while streams are held. */
#include <stdlib.h>
#include <string.h>

#include "calib/cuda_inside.h"

/* As the guide recommends for Hopper; the most that is recommended for any (cuBLAS guide, cublasSetWorkspace). */
enum { BLAS_WORKSPACE = 32 << 20, BLAS_ALIGNED = 256, BLAS_FLOAT = 4 };

typedef struct blas_type {      /* by precision */
    int weights, out, compute;
    unsigned bytes;
} blas_type;

static const blas_type blas_types[ES_WEIGHTS] = {
    [ES_WEIGHTS_FP32] = {CUDA_R_32F, CUDA_R_32F, CUBLAS_COMPUTE_32F, 4},
    [ES_WEIGHTS_BF16] = {CUDA_R_16BF, CUDA_R_16BF, CUBLAS_COMPUTE_32F, 2},
    [ES_WEIGHTS_INT8] = {CUDA_R_8I, CUDA_R_32I, CUBLAS_COMPUTE_32I, 1},
};

static es_code blas_failed(const cuda *c, cublasStatus_t status, const char *what, es_err *err)
{
    return es_err_set(err, ES_EDEVICE, "%s: %s (cuBLAS %d)", what, c->blas.cublasGetStatusString(status), (int)status);
}

#define BLAS_TRY(c, call, what, err) \
    do { \
        cublasStatus_t tried = (c)->blas.call; \
        if (tried != CUBLAS_STATUS_SUCCESS) \
            return blas_failed(c, tried, what, err); \
    } while (0)

/* ---- what is made once ---- */

/* A handle per stream: another stream for a handle would take its workspace from it (cuBLAS guide, cublasSetStream). */
static es_code work_handle(cuda *c, unsigned stream, es_err *err)
{
    cuda_work *w = &c->work[stream];
    if (w->blas)
        return ES_OK;
    BLAS_TRY(c, cublasCreate_v2(&w->blas), "cuBLAS", err);
    BLAS_TRY(c, cublasSetStream_v2(w->blas, c->stream[stream]), "cuBLAS", err);
    CUDA_TRY(c, cudaMalloc(&w->workspace, BLAS_WORKSPACE), "the workspace of cuBLAS", err);
    BLAS_TRY(c, cublasSetWorkspace_v2(w->blas, w->workspace, BLAS_WORKSPACE), "cuBLAS", err);
    if (c->blas.cublasGetVersion_v2(w->blas, &c->blas_version) != CUBLAS_STATUS_SUCCESS)
        c->blas_version = 0;
    return ES_OK;
}

static size_t work_aligned(size_t bytes)
{
    return (bytes + BLAS_ALIGNED - 1) / BLAS_ALIGNED * BLAS_ALIGNED;
}

/* Random halves of numbers between a half and one: products of zeros are faster than others. */
static es_code work_fill(cuda *c, cuda_work *w, es_err *err)
{
    uint32_t *random = malloc(w->bytes);
    if (!random)
        return es_err_nomem(err, "activations");
    for (size_t i = 0; i < w->bytes / sizeof *random; i++)
        random[i] = ((uint32_t)es_mix(i) & 0x807f807fu) | 0x3f003f00u;
    cudaError_t error = c->rt.cudaMemcpyAsync(w->at, random, w->bytes, cudaMemcpyHostToDevice, c->stream[0]);
    if (error == cudaSuccess)
        error = c->rt.cudaStreamSynchronize(c->stream[0]);
    free(random);
    return error == cudaSuccess ? ES_OK : cuda_failed(c, error, "activations", err);
}

static es_code work_activations(cuda *c, unsigned stream, size_t bytes, es_err *err)
{
    cuda_work *w = &c->work[stream];
    if (w->bytes >= bytes)
        return ES_OK;
    if (c->held)
        return es_err_set(err, ES_EINTERNAL, "the first expert of its size on a stream was queued while streams were held");
    if (w->at)
        c->rt.cudaFree(w->at);
    w->at = NULL;
    w->bytes = 0;
    CUDA_TRY(c, cudaMalloc((void **)&w->at, bytes), "activations", err);
    w->bytes = bytes;
    return work_fill(c, w, err);
}

void cuda_blas_close(cuda *c)
{
    for (unsigned s = 0; s < ES_PROBE_STREAMS; s++) {
        if (c->work[s].blas)
            c->blas.cublasDestroy_v2(c->work[s].blas);
        if (c->work[s].workspace)
            c->rt.cudaFree(c->work[s].workspace);
        if (c->work[s].at)
            c->rt.cudaFree(c->work[s].at);
    }
}

/* ---- products ---- */

typedef struct blas_product {
    const void *weights, *in;
    void *out;
    uint32_t rows, inner, tokens;
} blas_product;

/* Weights lie row by row, [rows][inner], which cuBLAS reads as [inner][rows] by columns: so transposed, in by columns of a token each.
 * 8-bit products need their leading dimensions to be multiples of 4 and factors of 0 and 1 (cuBLAS guide, cublasGemmEx). */
static es_code blas_multiply_queue(cuda *c, unsigned stream, const blas_type *type, const blas_product *p, es_err *err)
{
    static const float one = 1.0f, zero = 0.0f;
    static const int32_t one_int = 1, zero_int = 0;
    bool whole = type->compute == CUBLAS_COMPUTE_32I;
    const void *alpha = whole ? (const void *)&one_int : &one, *beta = whole ? (const void *)&zero_int : &zero;
    BLAS_TRY(c, cublasGemmEx(c->work[stream].blas, CUBLAS_OP_T, CUBLAS_OP_N, (int)p->rows, (int)p->tokens, (int)p->inner, alpha, p->weights, type->weights,
        (int)p->inner, p->in, type->weights, (int)p->inner, beta, p->out, type->out, (int)p->rows, type->compute, CUBLAS_GEMM_DEFAULT), "a product of matrices", err);
    return ES_OK;
}

/* Gate where there is one, up, down. Of 8-bit products the sums are 32 bits wide and go elsewhere than where the next reads. */
static es_code blas_expert(cuda *c, unsigned stream, const es_probe_expert *ask, unsigned char *in, unsigned char *middle, unsigned char *out, es_err *err)
{
    const blas_type *type = &blas_types[ask->precision];
    const unsigned char *weights = ask->weights;
    size_t matrix = (size_t)ask->hidden * ask->inter * type->bytes;
    int wide = ask->precision == ES_WEIGHTS_FP32 ? 1 : 2;       /* matrices that widen */
    unsigned char *up = ask->precision == ES_WEIGHTS_INT8 ? out : middle;
    es_code code = ES_OK;
    for (int i = 0; i < wide && code == ES_OK; i++)
        code = blas_multiply_queue(c, stream, type, &(blas_product){weights + (size_t)i * matrix, in, up, ask->inter, ask->hidden, ask->tokens}, err);
    if (code)
        return code;
    return blas_multiply_queue(c, stream, type, &(blas_product){weights + (size_t)wide * matrix, middle, out, ask->hidden, ask->inter, ask->tokens}, err);
}

es_code cuda_expert(void *self, unsigned stream, const es_probe_expert *ask, es_err *err)
{
    cuda *c = self;
    size_t most = ask->hidden > ask->inter ? ask->hidden : ask->inter, tokens = ask->tokens;
    size_t in = work_aligned(tokens * ask->hidden * BLAS_FLOAT), middle = work_aligned(tokens * 2 * ask->inter * BLAS_FLOAT), out = work_aligned(tokens * most * BLAS_FLOAT);
    bool own = ask->precision == ES_WEIGHTS_INT4;
    if (ask->precision == ES_WEIGHTS_INT8 && (ask->hidden % 4 || ask->inter % 4))
        return es_err_set(err, ES_EINTERNAL, "an expert of %u x %u in 8 bits: both must be multiples of 4", ask->hidden, ask->inter);
    if (!own && !c->work[stream].blas && c->held)
        return es_err_set(err, ES_EINTERNAL, "the first expert of a stream was queued while streams were held");
    es_code code = work_activations(c, stream, in + middle + out, err);
    if (code == ES_OK && !own)
        code = work_handle(c, stream, err);
    if (code)
        return code;
    unsigned char *at = c->work[stream].at;
    if (own)
        return cuda_expert_int4(c, stream, ask, (float *)at, (float *)(at + in), (float *)(at + in + middle), err);
    return blas_expert(c, stream, ask, at, at + in, at + in + middle, err);
}
