/* CUDA kernels: see cuda_inside.h. Those of kernels.cu, loaded as PTX; and batches, by the call for them or by the kernel that gathers. */
#include <string.h>

#include "calib/cuda_inside.h"

enum { KERNEL_THREADS = 256, KERNEL_WARPS = KERNEL_THREADS / 32, KERNEL_BLOCKS = 32, KERNEL_GROUP = 128 };

static const char *const kernel_names[CUDA_KERNELS] = {"es_nothing", "es_spin", "es_gather", "es_int4"};

typedef struct kernel_table {   /* as kernels.cu has it; passed by value */
    const void *from[ES_PROBE_BATCH];
    void *to[ES_PROBE_BATCH];
} kernel_table;

/* The runtime takes a cudaKernel_t where it takes the address of a function (cudaLaunchKernelExC, "Can be a cudaKernel_t"). */
static es_code kernel_launch(cuda *c, unsigned stream, cuda_kernel kernel, unsigned columns, unsigned rows, unsigned threads, void **args, es_err *err)
{
    cudaLaunchConfig_t config = {.gridDim = {columns, rows, 1}, .blockDim = {threads, 1, 1}, .stream = c->stream[stream]};
    CUDA_TRY(c, cudaLaunchKernelExC(&config, c->kernel[kernel], args), "a kernel", err);
    return ES_OK;
}

static es_code kernel_gather(cuda *c, unsigned stream, const kernel_table *table, int64_t bytes, uint32_t count, es_err *err)
{
    unsigned long long each = (unsigned long long)bytes;
    int64_t blocks = (bytes / 16 + KERNEL_THREADS - 1) / KERNEL_THREADS;
    void *args[] = {(void *)table, &each};
    return kernel_launch(c, stream, CUDA_GATHER, blocks < 1 ? 1 : blocks > KERNEL_BLOCKS ? KERNEL_BLOCKS : (unsigned)blocks, count, KERNEL_THREADS, args, err);
}

/* ---- loading ---- */

static cudaError_t kernels_load(cuda *c)
{
    cudaError_t error = c->rt.cudaLibraryLoadData(&c->library, cuda_kernels_ptx, NULL, NULL, 0, NULL, NULL, 0);
    for (int k = 0; k < CUDA_KERNELS && error == cudaSuccess; k++)
        error = c->rt.cudaLibraryGetKernel(&c->kernel[k], c->library, kernel_names[k]);
    return error;
}

/* Each once. The first launch of a kernel may wait for the whole device (CUDA programming guide, lazy loading), and would wait for ever
 * behind streams that are held. */
static es_code kernels_warm(cuda *c, es_err *err)
{
    kernel_table table = {{0}, {0}};
    const es_probe_expert nothing = {0};
    es_code code = cuda_nothing(c, 0, err);
    if (code == ES_OK)
        code = cuda_spin(c, 0, 0, err);
    if (code == ES_OK)
        code = kernel_gather(c, 0, &table, 0, 1, err);
    if (code == ES_OK)
        code = cuda_expert_int4(c, 0, &nothing, NULL, NULL, NULL, err);
    return code ? code : cuda_sync_stream(c, 0, err);
}

es_code cuda_kernels_open(cuda *c, es_err *err)
{
    if (!cuda_kernels_ptx[0]) {
        es_err_set(&c->no_kernels, ES_EDEVICE, "this program was built without nvcc and without a clang that makes PTX");
        return ES_OK;
    }
    if (!c->rt.cudaLibraryLoadData || !c->rt.cudaLibraryUnload || !c->rt.cudaLibraryGetKernel) {
        es_err_set(&c->no_kernels, ES_EDEVICE, "this CUDA runtime cannot load kernels: it has no cudaLibraryLoadData, which came with 12.8");
        return ES_OK;
    }
    cudaError_t error = kernels_load(c);
    if (error != cudaSuccess) {
        cuda_failed(c, error, "the driver does not take the kernels", &c->no_kernels);
        return ES_OK;
    }
    return kernels_warm(c, err);
}

void cuda_kernels_close(cuda *c)
{
    if (c->library)
        c->rt.cudaLibraryUnload(c->library);
}

/* ---- waiting ---- */

es_code cuda_spin(cuda *c, unsigned stream, es_time ns, es_err *err)
{
    unsigned long long wait = (unsigned long long)ns;
    void *args[] = {&wait};
    return kernel_launch(c, stream, CUDA_SPIN, 1, 1, 1, args, err);
}

es_code cuda_nothing(cuda *c, unsigned stream, es_err *err)
{
    if (c->kernel[CUDA_NOTHING])
        return kernel_launch(c, stream, CUDA_NOTHING, 1, 1, 1, NULL, err);
    CUDA_TRY(c, cudaMemsetAsync(c->mark, 0, 4, c->stream[stream]), "setting memory", err);
    return ES_OK;
}

/* ---- batches ---- */

/* In the order of the stream: a source may be read before what makes it is done, where "any" is allowed (github.com/vllm-project/vllm
 * pull 39306). One set of attributes holds for all copies, so its first index is 0. */
static es_code batch_call(cuda *c, unsigned stream, const es_probe_batch *ask, es_err *err)
{
    struct cudaMemcpyAttributes attributes = {.srcAccessOrder = cudaMemcpySrcAccessOrderStream};
    size_t first = 0, bytes[ES_PROBE_BATCH];
    for (uint32_t i = 0; i < ask->count; i++)
        bytes[i] = (size_t)ask->bytes;
    CUDA_TRY(c, cudaMemcpyBatchAsync(ask->to, ask->from, bytes, ask->count, &attributes, &first, 1, c->stream[stream]), "a batch of copies", err);
    return ES_OK;
}

es_code cuda_batch(void *self, unsigned stream, const es_probe_batch *ask, es_err *err)
{
    cuda *c = self;
    kernel_table table = {{0}, {0}};
    if (ask->count == 0 || ask->count > ES_PROBE_BATCH)
        return es_err_set(err, ES_EINTERNAL, "a batch of %u copies, may be 1 to %d", ask->count, ES_PROBE_BATCH);
    if (ask->form == ES_FORM_CALL)
        return batch_call(c, stream, ask, err);
    memcpy(table.from, ask->from, ask->count * sizeof *table.from);
    memcpy(table.to, ask->to, ask->count * sizeof *table.to);
    return kernel_gather(c, stream, &table, ask->bytes, ask->count, err);
}

/* ---- experts of 4-bit weights ---- */

typedef struct int4_product {
    const void *weights, *scales;
    const float *in;
    float *out;
    unsigned in_stride, out_stride, rows, inner, tokens;
} int4_product;

static es_code int4_launch(cuda *c, unsigned stream, int4_product *p, es_err *err)
{
    void *args[] = {&p->weights, &p->scales, &p->in, &p->in_stride, &p->out, &p->out_stride, &p->rows, &p->inner, &p->tokens};
    unsigned blocks = (p->rows + KERNEL_WARPS - 1) / KERNEL_WARPS;
    return kernel_launch(c, stream, CUDA_INT4, blocks ? blocks : 1, 1, KERNEL_THREADS, args, err);
}

/* Gate and up are one product, as their rows follow each other. */
es_code cuda_expert_int4(cuda *c, unsigned stream, const es_probe_expert *ask, float *in, float *middle, float *out, es_err *err)
{
    size_t first = (size_t)2 * ask->inter * ask->hidden, all = first + (size_t)ask->hidden * ask->inter;
    const unsigned char *weights = ask->weights, *scales = weights ? weights + all / 2 : NULL;
    if (ask->hidden % KERNEL_GROUP || ask->inter % KERNEL_GROUP)
        return es_err_set(err, ES_EINTERNAL, "an expert of %u x %u in 4 bits: both must be multiples of %d", ask->hidden, ask->inter, KERNEL_GROUP);
    int4_product up = {weights, scales, in, middle, ask->hidden, 2 * ask->inter, 2 * ask->inter, ask->hidden, ask->tokens};
    int4_product down = {weights ? weights + first / 2 : NULL, scales ? scales + first / KERNEL_GROUP * 2 : NULL, middle, out, 2 * ask->inter, ask->hidden,
        ask->hidden, ask->inter, ask->tokens};
    es_code code = int4_launch(c, stream, &up, err);
    return code ? code : int4_launch(c, stream, &down, err);
}
