/* Foresight: how fast a config's machine is when what decides knows the trace: real runs of the core, with Belady (bypassing) as the policy
 * of all tiers, without guesses and with those of an oracle that names everything 4 and 16 layers ahead. What they reach can be reached, on
 * any machine that the core knows: several tiers and links, lanes, host compute, matrices, precisions. */
#ifndef ES_STUDY_FORESIGHT_H
#define ES_STUDY_FORESIGHT_H

#include "sim/core/run.h"

/* The least total time of those runs. `plan` is timed. ES_EINPUT where a policy that knows the future does not go with the plan. */
es_code es_foresight_find(es_time *least_ns, const es_plan *plan, const es_progress *progress, es_err *err);

/* Policy belady, that may read in place what is not worth keeping. In `arena`. */
es_code es_foresight_belady(es_plan_part *out, es_arena *arena, es_err *err);

#endif
