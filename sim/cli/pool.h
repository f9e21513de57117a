/* Pool: some processes at a time, one for each job. Whatever a job does to itself (a crash, a loop, all the memory it can get) happens to
 * its process alone, and the pool says what it was.
 *
 * The pool is of the tool and not of the library, which neither forks nor ends processes. While it exists SIGINT and SIGTERM wait: the
 * pool looks for them, kills what runs, and lets them through when it is freed. */
#ifndef ES_CLI_POOL_H
#define ES_CLI_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"

typedef struct pool pool;

typedef struct pool_end {       /* how a job ended */
    size_t job;
    es_code code;               /* what its work returned; ES_OK with a signal or late means nothing */
    int signal;                 /* that killed it; 0: none did */
    bool late;                  /* it was killed for its time */
    const char *said;           /* the last of what it wrote to its standard output and error */
} pool_end;

typedef struct pool_owner {
    es_code (*work)(void *self, size_t job, es_err *err);  /* in the job's own process; an error's text becomes part of `said` */
    void (*ended)(void *self, const pool_end *end);        /* here */
    void (*tick)(void *self);                              /* here, several times a second */
    void *self;
} pool_owner;

typedef struct pool_limits {
    int64_t time;               /* ns of wall time for a job, 0: any */
    int64_t memory;             /* bytes beyond what this process has when the job starts, 0: any */
} pool_limits;

es_code pool_new(pool **out, const pool_owner *owner, size_t at_once, pool_limits limits, es_err *err);
/* Starts a job as soon as there is room for it. */
es_code pool_start(pool *p, size_t job, es_err *err);
/* Starts one at once, beside the others: work that waits for a disk needs no processor. At most one such job runs. */
es_code pool_start_beside(pool *p, size_t job, es_err *err);
/* Until no job runs any more. */
void pool_wait(pool *p);
/* Did a signal ask to stop? Then nothing runs any more, and nothing is started. */
bool pool_stopped(const pool *p);
/* Signals that wait are delivered now: this may be the end of the process. */
void pool_free(pool *p);

#endif
