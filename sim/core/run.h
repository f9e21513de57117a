/* Run: one simulation, from a plan to a report. */
#ifndef ES_CORE_RUN_H
#define ES_CORE_RUN_H

#include "sim/core/plan.h"
#include "sim/part/observer.h"

struct es_h5;
typedef struct es_run es_run;

typedef struct es_progress {    /* told now and then, never more often than every few thousand events */
    void (*tell)(void *self, uint64_t steps, uint64_t of_steps, es_time now);
    void *self;
} es_progress;

/* Checks the plan as a whole (capacities, links, reachability) and builds the run. Errors name the config's key. */
es_code es_run_new(es_run **out, const es_plan *plan, es_err *err);
/* Runs to the end of the trace. ES_ESTUCK when nothing can go on: the text says what waits for what. */
es_code es_run_go(es_run *run, const es_progress *progress, es_err *err);
/* Adds what core and observers know to a result: contract, capacity, then each observer's members in config order.
 * ES_ECHECK when an observer (audit) found a fault; the report is whole in any case. */
es_code es_run_report(es_run *run, es_json *out, es_err *err);
/* Lets every observer add its tables to an open result file. */
es_code es_run_save(es_run *run, struct es_h5 *file, es_err *err);
const es_view *es_run_view(const es_run *run);
bool es_run_oracle(const es_run *run);      /* some part read the future: label the result non-causal */
bool es_run_closed_loop(const es_run *run); /* the router decided what was used: label it too */
size_t es_run_allocations(const es_run *run);   /* of the run's arena so far */
void es_run_free(es_run *run);

#endif
