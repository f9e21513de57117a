/* Bounds: what the run is to be measured against.
 *
 *     belady_hits     hits of the best policy that knows the future, same capacity and contract (prefill included)
 *     belady_uniform_hits   instead, when sizes differ and Belady is not optimal: the same with as many slots as the smallest
 *                     objects would fit, which no policy can beat
 *     never_cache_s   the run's time when every use is fetched and nothing is kept
 *     all_resident_s  the run's time when nothing ever has to be fetched */
#ifndef ES_STUDY_BOUNDS_H
#define ES_STUDY_BOUNDS_H

#include "sim/core/run.h"

/* Adds the bounds to `out`. What cannot be had is null with a reason. `on` false: all of them are, because of `why_off`. */
es_code es_bounds_add(const es_plan *plan, bool on, const char *why_off, const es_progress *progress, es_json *out, es_err *err);
/* The plan is watched by the observer summary and by no other; its state lies in `arena`, `path` names it in errors. */
es_code es_bounds_summary(es_plan *plan, const char *path, es_arena *arena, es_err *err);

#endif
