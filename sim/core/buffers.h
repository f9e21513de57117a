/* Buffers: runs a trace of buffers over one tier: what its allocator makes of the requests, and what that costs each token.
 *
 * Steps follow one another. In a step its requests are served in order, each at the cost of where it found room (tiers.NAME.allocation);
 * then the step computes, as the tier's compute unit says, and gives back what expires with it; compaction, where there is any, comes last.
 * One thread allocates, so everything adds up. Heaps are made and warmed up before the first step, in setup time.
 *
 * Policies, predictors and observers have no say here: there are no experts. */
#ifndef ES_CORE_BUFFERS_H
#define ES_CORE_BUFFERS_H

#include "sim/core/run.h"

/* Adds `time` and `buffers` to a result. Errors name the config's key. */
es_code es_buffers_run(const es_plan *plan, const es_progress *progress, es_json *out, es_err *err);

#endif
