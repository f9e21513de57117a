/* CUDA, inside: what the files of the CUDA probe share. cuda.c is the probe, its streams and its gate; cuda_load.c finds the libraries;
 * cuda_memory.c has the kinds of memory, cuda_price.c what they and launches cost, cuda_kernels.c our own kernels and batches,
 * cuda_blas.c experts, cuda_file.c reads of the disk into the device's memory. */
#ifndef ES_CALIB_CUDA_INSIDE_H
#define ES_CALIB_CUDA_INSIDE_H

#include <stdatomic.h>
#ifdef __linux__
#include <sched.h>
#endif

#include "calib/cuda_api.h"
#include "calib/cufile_api.h"
#include "calib/disk.h"
#include "calib/dma.h"

typedef struct cuda_gate {      /* what holds the streams; read by a thread of the driver */
    atomic_int open, late;
    es_time until;
} cuda_gate;

typedef struct cuda_work {      /* what computing on one stream needs; made when that is first asked for */
    cublasHandle_t blas;
    void *workspace;            /* CUDA_WORKSPACE bytes, of cuBLAS */
    unsigned char *at;          /* activations: in, middle, out */
    size_t bytes;
} cuda_work;

typedef struct cuda_io {        /* what the disk is to do on its stream */
    struct cuda *owner;
    es_probe_io ask;
} cuda_io;

typedef enum cuda_kernel { CUDA_NOTHING, CUDA_SPIN, CUDA_GATHER, CUDA_INT4, CUDA_KERNELS } cuda_kernel;

typedef struct cuda {
    const char *asked_library, *asked_blas, *asked_file, *folder;
    es_time gate_ns;
    bool huge;

    void *handle, *blas_handle;
    cuda_runtime rt;
    cublas_calls blas;
    int runtime, driver, blas_version;
    cudaStream_t stream[ES_PROBE_STREAMS];
    cudaEvent_t event[ES_PROBE_EVENTS], gated;
    unsigned streams, events;
    cuda_gate gate;
    bool held;
    es_time pair_ns;            /* between two events with nothing between them */
    cuda_work work[ES_PROBE_STREAMS];
    cudaLibrary_t library;
    cudaKernel_t kernel[CUDA_KERNELS];
    void *mark;                 /* a few bytes of the device: what is set where there is no kernel to launch */
    cudaMemPool_t pool[2];      /* keeps, returns */
    cudaGraph_t graph;
    cudaGraphExec_t replay;
    disk *disk;
    cuda_io io[ES_PROBE_EVENTS];
    unsigned ios;               /* queued since the last sync */
    es_err disk_failed;         /* the first of them that went wrong; its code is ES_OK when none did */
    void *file_library, *file_handle;   /* of cuFile */
    cufile_calls file;
    void *file_at, *file_stage; /* memory of the device that is read into; pinned memory on the way there */
    int64_t file_next;          /* bytes of the former that are used */
    bool file_opened, file_registered;
    es_err no_file, no_disk, no_blas, no_kernels, no_batch, no_pools;
    unsigned can;
    int64_t cache_bytes, memory_bytes;
    int node;                   /* NUMA node of the host that is near the device; -1: not known */
    bool bound, pinned;         /* memory of the host comes from there; this thread runs there */
#ifdef __linux__
    cpu_set_t everywhere;       /* where it ran before */
#endif
    char bus[32], name[256];
} cuda;

es_code cuda_failed(const cuda *c, cudaError_t error, const char *what, es_err *err);

#define CUDA_TRY(c, call, what, err) \
    do { \
        cudaError_t tried = (c)->rt.call; \
        if (tried != cudaSuccess) \
            return cuda_failed(c, tried, what, err); \
    } while (0)

/* ---- cuda_load.c ---- */

es_code cuda_load(cuda *c, es_err *err);
/* What cannot be loaded is not an error: no_blas says why. */
void cuda_load_blas(cuda *c);
void cuda_unload(cuda *c);
void cuda_load_call(void *handle, const char *name, void *field);      /* NULL in the field: it has no such call */

/* ---- cuda.c ---- */

es_code cuda_sync_stream(cuda *c, unsigned stream, es_err *err);
es_code cuda_hold(void *self, es_err *err);
es_code cuda_go(void *self, es_err *err);
es_code cuda_sync(void *self, es_err *err);
es_code cuda_record(void *self, unsigned stream, unsigned event, es_err *err);
es_code cuda_elapsed(void *self, unsigned from, unsigned to, es_time *ns, es_err *err);

/* ---- cuda_memory.c ---- */

void cuda_bind(cuda *c);        /* memory of the host comes from the node near the device from here on, and this thread runs there */
void cuda_unbind(cuda *c);
/* Which memory, how much, and why not. */
es_code cuda_memory_failed(const cuda *c, cudaError_t error, const char *kind, int64_t bytes, es_err *err);
es_code cuda_alloc(void *self, es_memory kind, int64_t bytes, void **out, es_err *err);
void cuda_release(void *self, es_memory kind, void *at, int64_t bytes);

/* ---- cuda_price.c ---- */

es_code cuda_price(void *self, es_price what, int64_t bytes, es_time ns[ES_PRICED], es_err *err);
void cuda_price_close(cuda *c);

/* ---- cuda_kernels.c ---- */

extern const char cuda_kernels_ptx[];           /* "": built without a compiler for them */
/* That there are none is not an error: no_kernels says why. */
es_code cuda_kernels_open(cuda *c, es_err *err);
void cuda_kernels_close(cuda *c);
es_code cuda_spin(cuda *c, unsigned stream, es_time ns, es_err *err);
/* A kernel that does nothing, or 4 bytes that are set where there are no kernels. */
es_code cuda_nothing(cuda *c, unsigned stream, es_err *err);
es_code cuda_batch(void *self, unsigned stream, const es_probe_batch *ask, es_err *err);
es_code cuda_expert_int4(cuda *c, unsigned stream, const es_probe_expert *ask, float *in, float *middle, float *out, es_err *err);

/* ---- cuda_file.c ---- */

/* That it is not there is not an error: no_file says why. Behind the disk. */
void cuda_file_open(cuda *c);
void cuda_file_close(cuda *c);
es_code cuda_fetch(void *self, es_fetch how, int64_t offset, int64_t bytes, const void **at, es_time *ns, es_err *err);

/* ---- cuda_blas.c ---- */

es_code cuda_expert(void *self, unsigned stream, const es_probe_expert *ask, es_err *err);
void cuda_blas_close(cuda *c);

#endif
