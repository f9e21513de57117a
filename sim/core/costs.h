/* Costs: the machine of a run as plain numbers, for bounds on time: what no policy and no predictor can change. */
#ifndef ES_CORE_COSTS_H
#define ES_CORE_COSTS_H

#include "sim/core/run.h"

typedef struct es_costs {
    const char *no_bound;       /* why no bound on time is known for such a machine, as the rest of a sentence; NULL: there is one */
    const char *no_schedule;    /* the same of a schedule that it could follow; set with no_bound too */
    int64_t capacity;           /* of the serving tier, all its buckets, in units */
    const int64_t *unit;        /* [spaces] units that an expert takes */
    const es_time *copy_ns;     /* [spaces] how long its copy holds the link, at least */
    uint32_t lanes;
    uint32_t served;            /* width of the next */
    const es_time *expert_ns;   /* [layers][served] computing one that serves so many tokens, from 1 */
    uint32_t steps;             /* as the contract cuts them */
    const es_time *dense_ns;    /* [steps] dense compute of one layer */
} es_costs;

/* Of a run that has not begun, which is of no further use: its trace is read to the end. In `arena`. `served`: tokens that an expert of
 * an event serves, at most. */
es_code es_costs_find(es_costs *out, es_run *run, uint32_t served, es_arena *arena, es_err *err);

#endif
