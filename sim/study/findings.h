/* Findings: what a result of a trace of buffers means and what to change, by the formulas, bands and advice of the Metal memory pool's
 * guide (seed 003, sections Key Metrics and Tuning Recommendations), read off the figures of the report.
 *
 *     hit rate      (total - fallback) / total      above 95 % excellent, 90 % good, 80 % fair, below that poor
 *     utilization   used / capacity                 50 to 80 % optimal, above that under-provisioned, above 95 % critical, below over-provisioned
 *     fallback rate fallback / total                0 excellent, below 5 % acceptable, below 10 % some, else frequent
 *
 * The guide's pseudo-code counts `total` only when the pool had room; then its hit rate can be negative. Here every request counts. */
#ifndef ES_STUDY_FINDINGS_H
#define ES_STUDY_FINDINGS_H

#include "sim/base/json.h"

/* Adds "findings": [{"about", "band" | null, "text"}], the bands first, to a result that has "buffers". */
void es_findings_buffers(es_json *result);

#endif
