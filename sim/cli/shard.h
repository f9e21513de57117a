/* Shard: which part of a list is this process's. Part i of n has every n-th entry, beginning with the i-th, so parts are apart and together
 * they are everything. */
#ifndef ES_CLI_SHARD_H
#define ES_CLI_SHARD_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"

typedef struct shard {
    size_t index, count;        /* 0 <= index < count */
    const char *from;           /* who says it: "--shard", "SLURM_ARRAY_TASK_ID" ...; NULL: nobody, it is all of it */
} shard;

/* From "i/n" (NULL: not given), otherwise from the environment that Slurm and MPI make for a task: job arrays, and the processes of a
 * step or of mpirun; a process of an array task has a part of that task's part. */
es_code shard_find(shard *out, const char *given, es_err *err);
bool shard_has(const shard *s, size_t entry);

#endif
