/* CUDA memory: see cuda_inside.h. The kinds of memory, each whole and touched when it is handed out. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/syscall.h>
#endif

#include "calib/cuda_inside.h"
#include "sim/base/file.h"

/* ---- where it comes from ---- */

#ifdef __linux__
/* "0-3,8" as a set; false: nothing in it. */
static bool node_processors(int node, cpu_set_t *set)
{
    char path[64], *text = NULL;
    size_t length = 0;
    snprintf(path, sizeof path, "/sys/devices/system/node/node%d/cpulist", node);
    CPU_ZERO(set);
    if (es_file_load(path, 4096, &text, &length, NULL) != ES_OK)
        return false;
    for (char *at = text; *at >= '0' && *at <= '9';) {
        long first = strtol(at, &at, 10), last = *at == '-' ? strtol(at + 1, &at, 10) : first;
        for (long i = first; i <= last && i < CPU_SETSIZE; i++)
            CPU_SET((size_t)i, set);
        at += *at == ',';
    }
    free(text);
    return CPU_COUNT(set) > 0;
}
#endif

/* A node's memory is near the GPU or behind another processor, which cost a P100 two thirds of its rate (github.com/mpicbg-scicomp/
 * gearshifft pull 82). The policy is this thread's, and cudaHostAlloc takes pages by it; the thread itself goes there, too, for it is what
 * stages pageable memory and queues. */
void cuda_bind(cuda *c)
{
#if defined(__linux__) && defined(SYS_set_mempolicy)
    enum { CUDA_MPOL_PREFERRED = 1 };       /* of linux/mempolicy.h, which is not installed everywhere */
    unsigned long nodes = c->node >= 0 && c->node < 63 ? 1ul << c->node : 0;
    cpu_set_t near;
    c->bound = nodes && syscall(SYS_set_mempolicy, CUDA_MPOL_PREFERRED, &nodes, 8 * sizeof nodes) == 0;
    c->pinned = nodes && node_processors(c->node, &near) && sched_getaffinity(0, sizeof c->everywhere, &c->everywhere) == 0 &&
        sched_setaffinity(0, sizeof near, &near) == 0;
#else
    (void)c;
#endif
}

void cuda_unbind(cuda *c)
{
#if defined(__linux__) && defined(SYS_set_mempolicy)
    if (c->bound)
        syscall(SYS_set_mempolicy, 0, NULL, 0);
    if (c->pinned)
        sched_setaffinity(0, sizeof c->everywhere, &c->everywhere);
#endif
    c->bound = c->pinned = false;
}

/* ---- kinds ---- */

es_code cuda_memory_failed(const cuda *c, cudaError_t error, const char *kind, int64_t bytes, es_err *err)
{
    char what[64];
    snprintf(what, sizeof what, "%lld bytes of %s memory", (long long)bytes, kind);
    return cuda_failed(c, error, what, err);
}

/* Before its pages come. */
static void memory_huge(const cuda *c, void *at, int64_t bytes)
{
#ifdef MADV_HUGEPAGE
    if (c->huge)
        madvise(at, (size_t)bytes, MADV_HUGEPAGE);
#else
    (void)c, (void)at, (void)bytes;
#endif
}

static es_code memory_pageable(const cuda *c, int64_t bytes, void **out, es_err *err)
{
    if (posix_memalign(out, 4096, (size_t)bytes) != 0) {
        *out = NULL;
        return es_err_nomem(err, "pageable memory");
    }
    memory_huge(c, *out, bytes);
    memset(*out, 1, (size_t)bytes);
    return ES_OK;
}

static es_code memory_mapped(const cuda *c, int64_t bytes, void **out, es_err *err)
{
    void *at = mmap(NULL, (size_t)bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return es_err_set(err, ES_EDEVICE, "mapped memory: %lld bytes: %s", (long long)bytes, strerror(errno));
    memory_huge(c, at, bytes);
    memset(at, 1, (size_t)bytes);
    *out = at;
    return ES_OK;
}

static void memory_plain_free(es_memory kind, void *at, int64_t bytes)
{
    if (kind == ES_MEMORY_MAPPED)
        munmap(at, (size_t)bytes);
    else
        free(at);
}

static es_code memory_registered(cuda *c, es_memory kind, int64_t bytes, void **out, es_err *err)
{
    es_code code = kind == ES_MEMORY_MAPPED ? memory_mapped(c, bytes, out, err) : memory_pageable(c, bytes, out, err);
    if (code)
        return code;
    cudaError_t error = c->rt.cudaHostRegister(*out, (size_t)bytes, CUDA_REGISTER_DEFAULT);
    if (error == cudaSuccess)
        return ES_OK;
    memory_plain_free(kind, *out, bytes);
    *out = NULL;
    return cuda_memory_failed(c, error, "registered", bytes, err);
}

es_code cuda_alloc(void *self, es_memory kind, int64_t bytes, void **out, es_err *err)
{
    static const unsigned flags[ES_MEMORIES] = {
        [ES_MEMORY_PINNED] = CUDA_HOST_DEFAULT, [ES_MEMORY_PORTABLE] = CUDA_HOST_PORTABLE, [ES_MEMORY_COMBINED] = CUDA_HOST_WRITE_COMBINED,
    };
    cuda *c = self;
    cudaError_t error = cudaSuccess;
    switch (kind) {
    case ES_MEMORY_PAGEABLE:
        return memory_pageable(c, bytes, out, err);
    case ES_MEMORY_REGISTERED:
    case ES_MEMORY_MAPPED:
        return memory_registered(c, kind, bytes, out, err);
    case ES_MEMORY_DEVICE:
        error = c->rt.cudaMalloc(out, (size_t)bytes);
        return error == cudaSuccess ? ES_OK : cuda_memory_failed(c, error, "device", bytes, err);
    default:
        error = c->rt.cudaHostAlloc(out, (size_t)bytes, flags[kind]);
        return error == cudaSuccess ? ES_OK : cuda_memory_failed(c, error, "pinned", bytes, err);
    }
}

void cuda_release(void *self, es_memory kind, void *at, int64_t bytes)
{
    cuda *c = self;
    cuda_sync(c, NULL);         /* after an error copies may still be under way that use it */
    switch (kind) {
    case ES_MEMORY_REGISTERED:
    case ES_MEMORY_MAPPED:
        c->rt.cudaHostUnregister(at);
        memory_plain_free(kind, at, bytes);
        break;
    case ES_MEMORY_PAGEABLE:
        free(at);
        break;
    case ES_MEMORY_DEVICE:
        c->rt.cudaFree(at);
        break;
    default:
        c->rt.cudaFreeHost(at);
        break;
    }
}
