/* What the verbs of `expertsim sweep` share; each is one file. */
#ifndef ES_CLI_SWEEP_H
#define ES_CLI_SWEEP_H

#include "sim/cli/cmd.h"
#include "sim/study/sweep.h"

typedef struct sweep_args {
    cmd_words words;            /* the verb, then a file or folder */
    const char *out, *shard, *jobs, *time, *memory, *shards, *at_once, *hosts;
    bool json, quiet, many, partial, slurm, parallel, simulate;
} sweep_args;

es_code sweep_plan(const sweep_args *args, const char *file, es_err *err);
es_code sweep_run(const sweep_args *args, const char *file, es_err *err);
es_code sweep_status(const sweep_args *args, const char *dir, es_err *err);
es_code sweep_script(const sweep_args *args, const char *file, es_err *err);
es_code sweep_collect(const sweep_args *args, const char *dir, es_err *err);

#endif
