/* Retime: what an action log takes by a model: the timings of a config's channels, in the order and with the waits of the log.
 *
 * Two modes, as calib/perform.h has them. Overlapped, each channel serves its rows first come, first served (or in lanes, or sharing its
 * rate), slowed by others as the config says; a window of rows ends before the next begins. No decision is made here: for a policy without
 * guesses and an event that fits, it is to the nanosecond what the core's simulated clock says (tests/unit/test_retime.c). */
#ifndef ES_STUDY_RETIME_H
#define ES_STUDY_RETIME_H

#include "sim/core/plan.h"
#include "sim/part/action.h"

typedef struct es_retime es_retime;

typedef struct es_retime_ask {
    bool overlapped;
    bool computes;                          /* false: gemms take no time */
    double factor[ES_ACTION_QUEUES];        /* of every time of that queue; 0: 1 */
} es_retime_ask;

/* The timings of the plan's channels with states of their own; `replication` is that of their draws. es_retime_free() in any case. */
es_code es_retime_open(es_retime **out, const es_plan *plan, uint64_t replication, es_err *err);
/* The plan's channel that serves an op; NULL: none. */
const es_plan_channel *es_retime_channel(const es_retime *r, es_action_op op);
es_code es_retime_run(es_retime *r, const es_actions *log, const es_retime_ask *ask, es_action_run *run, es_err *err);
void es_retime_free(es_retime *r);

#endif
