/* Fake engine: what is queued on the fake CUDA runtime, and when it is done on a device that is a formula.
 *
 * The formula is in the environment, FAKE_CUDART_MODEL="shared=1,computing=0.8"; fake_engine.c has its terms and what they are when they
 * are not told. Nothing runs until somebody waits: then all of it does, by a clock of its own. */
#ifndef ES_TESTS_FAKE_ENGINE_H
#define ES_TESTS_FAKE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

#define ES_CUDA_DECLARE
#include "calib/cuda_api.h"

struct CUstream_st {
    int turn;                   /* of the pass that saw it last: what is seen first is its next */
};

struct CUevent_st {
    double at;                  /* ns */
};

/* Each is queued; cudaErrorUnknown when the queue is full. */
cudaError_t engine_copy(cudaStream_t stream, int way, void *to, const void *from, size_t bytes);
/* One after another, with one fixed time for all: by the call for batches, or by a kernel that reads the host's memory at half the rate. */
cudaError_t engine_batch(cudaStream_t stream, void *const *to, const void *const *from, size_t bytes, size_t count, bool kernel);
cudaError_t engine_kernel(cudaStream_t stream, double bytes, double operations);
cudaError_t engine_record(cudaStream_t stream, cudaEvent_t event);
cudaError_t engine_wait(cudaStream_t stream, cudaEvent_t event);
cudaError_t engine_call(cudaStream_t stream, cudaHostFn_t call, void *arg);
void engine_drain(void);

/* Objects that were made and not destroyed; all have to be gone when the library is closed. */
void engine_made(const char *what);
void engine_gone(void);

/* FAKE_CUDART="NAME@N": is this the N-th call of those that NAME counts, or a later one? */
bool engine_fails(const char *name, long n);

#endif
