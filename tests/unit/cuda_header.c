/* CUDA header: NVIDIA's own declarations beside ours. Nothing here runs: a constant, a layout or a prototype of calib/cuda_api.h that is
 * not NVIDIA's does not compile. Built where the headers are. */
#include <cuda_runtime_api.h>
#if __has_include(<cublas_v2.h>)
#include <cublas_v2.h>
#define ES_CUDA_CHECK_BLAS
#endif

#define ES_CUDA_CHECK
#include "calib/cuda_api.h"

_Static_assert(CUDA_STREAM_NON_BLOCKING == cudaStreamNonBlocking && CUDA_HOST_DEFAULT == cudaHostAllocDefault && CUDA_HOST_PORTABLE == cudaHostAllocPortable
    && CUDA_HOST_WRITE_COMBINED == cudaHostAllocWriteCombined && CUDA_REGISTER_DEFAULT == cudaHostRegisterDefault, "flags");
_Static_assert(sizeof(((struct cudaDeviceProp *)0)->name) == 256 && offsetof(struct cudaDeviceProp, name) == 0, "the name of a device");
_Static_assert(sizeof(struct cudaDeviceProp) <= 4096, "the room for its properties");
