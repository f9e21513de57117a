/* Perform: does what action logs say, for real: reads, copies and computes experts on a probe, and tells when each began and ended.
 *
 * Slots are memory of the probe, an expert is as many random bytes as the log says, with its name in front. In the first run of a log every
 * copy of each step is compared, byte for byte; after each run the first and the last page of what lies in the slots then. Two modes:
 *   serial       one row after another, each waited for; a step takes the sum
 *   overlapped   a stream per queue; rows wait for each other by events. Held until a window of rows is queued (es_actions_window), so that
 *                queueing is in no time */
#ifndef ES_CALIB_PERFORM_H
#define ES_CALIB_PERFORM_H

#include "sim/part/action.h"
#include "sim/part/probe.h"
#include "sim/part/registry.h"

typedef struct perform_ask {
    const char *backend;                /* name of a probe */
    const es_json *options;             /* of it; NULL: none */
    const es_plugins *plugins;          /* whose probes are known, too; NULL: none */
    const es_actions *const *logs;      /* all that will be performed, in the same memory */
    size_t count;
    bool overlapped;
    bool pageable;                      /* host slots are pageable memory; serial only */
    uint64_t seed;                      /* of the bytes */
} perform_ask;

typedef struct perform perform;

/* Opens the probe, takes the memory. perform_close() in any case, also of NULL. Errors begin with the probe's name; ES_EINPUT when the experts
 * do not fit, ES_EDEVICE when there is no device, no memory or no disk. */
es_code perform_open(perform **out, const perform_ask *ask, es_err *err);
/* One performance of logs[log]; the arrays of `run` are the caller's. ES_ECHECK: a slot holds another expert, or other bytes, than it should. */
es_code perform_run(perform *p, size_t log, es_action_run *run, es_err *err);
bool perform_computes(const perform *p);                    /* false: gemms take no time, this probe computes no experts */
void perform_environment(perform *p, es_json *out);
es_time perform_now(perform *p);                            /* the probe's clock */
void perform_close(perform *p);

#endif
