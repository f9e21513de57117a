/* What the files of `sweep run` share: sweep_run.c starts points and hears how they end, sweep_run_files.c knows the folder. */
#ifndef ES_CLI_SWEEP_RUNNER_H
#define ES_CLI_SWEEP_RUNNER_H

#include "sim/cli/pool.h"
#include "sim/cli/shard.h"
#include "sim/cli/sweep.h"
#include "sim/cli/tally.h"
#include "sim/study/result.h"
#include "traces/trace.h"

enum { SPAN_NOT_BEGUN, SPAN_BEGUN, SPAN_WRITTEN };

typedef struct sweep_span {     /* in memory that all processes see */
    uint64_t ns, points;        /* of the processor that points took so far; how many */
    uint32_t *length;           /* [count] of the span that begins with an entry of todo; set here */
    unsigned char *state;       /* [count] of an entry of todo; set there */
    size_t bytes;               /* of all this */
} sweep_span;

typedef struct sweep_runner {
    const sweep_args *args;
    es_sweep *sweep;
    shard part;
    size_t jobs;
    pool *pool;
    pool_limits limits;
    size_t *todo, count;        /* points of this part that are not there, trace by trace */
    size_t there;               /* that are */
    size_t *again;              /* [count] points that one pass was to tell and could not: they are run */
    size_t agains;
    size_t *written;            /* [count] points that ended well, in the order in which they did */
    double batched;             /* s into the run, when the last batch began */
    size_t named, batch, ended; /* of these: those that have their names, those that are being given them, all */
    sweep_span *span;           /* what processes of several points tell while they run; NULL: each point has its own */
    bool spans;                 /* points that are being started may share a process */
    es_trace *trace;            /* decoded for the points that are being started; NULL: each opens its own */
    tally tally;
    int folder;                 /* of the results, open since before the first was written: what goes wrong on the way to the disk is told to it; or -1 */
    char host[64];
    char *first;                /* why the first point failed that did; NULL: none */
    long pid;                   /* of this process, not of a point's */
    es_result_like like;        /* in the process of a pass: what its results are copies of */
} sweep_runner;

/* "DIR/points/ID.h5", or what a point writes before it has that name. */
void sweep_run_path(const sweep_runner *r, const char *id, const char *suffix, char *path, size_t room);
void sweep_run_temporary(const sweep_runner *r, const char *id, char *path, size_t room);
/* Gives points `from` to `to` of those that were written their names, when they are on the disk. What was not written is gone. */
es_code sweep_run_name(const sweep_runner *r, size_t from, size_t to, es_err *err);
/* Makes the folder, or finds that it holds this sweep, and writes the plan. */
es_code sweep_run_folder(const sweep_runner *r, es_err *err);
es_code sweep_run_try(const sweep_runner *r, es_err *err);
void sweep_run_clean(const sweep_runner *r);

#endif
