/* Verdict: is a low hit rate, or a slow run, a matter of the policy, the size, the layer split, the link or of compute, and what would one
 * more GiB buy? The rule and its thresholds: docs/verdict.md. */
#ifndef ES_STUDY_VERDICT_H
#define ES_STUDY_VERDICT_H

#include "sim/core/run.h"
#include "sim/study/config.h"

/* Runs the config, once more for each tier with one GiB more, and compares these with what knows the future. `out`: the verdict, its numbers and
 * `sentences`, at most 24; delete it. ES_EINPUT as a run has it, and for a trace of buffers. */
es_code es_verdict_find(es_config *config, const es_progress *progress, es_json **out, es_err *err);

#endif
