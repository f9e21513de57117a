/* Jobs: things that do not depend on each other, done at once by as many processes as are asked for. Where one process is enough they are done
 * here, one after the other: what comes out is the same. */
#ifndef ES_CLI_JOBS_H
#define ES_CLI_JOBS_H

#include <stddef.h>

#include "sim/base/err.h"

/* What --jobs says; NULL: as many as there are processors for this process. */
es_code jobs_count(const char *text, size_t *count, es_err *err);

typedef struct jobs_owner {
    es_code (*work)(void *self, size_t job, es_err *err);      /* in a process of its own: what it leaves it leaves in files */
    void (*done)(void *self, size_t count);                    /* here: so many have ended; NULL: nobody asks */
    void *self;
} jobs_owner;

/* Does all of them. The error is that of the first that had one, in their order. */
es_code jobs_run(const jobs_owner *owner, size_t count, size_t at_once, es_err *err);

#endif
