/* Compare: which of several candidates (policies, machines, sizes ...) is better, and which differences are noise.
 *
 * Candidates replayed the same requests with the same draws, so they are compared unit by unit: what differs between them is not hidden
 * behind what differs between requests. A unit is a decode token, a request or a whole run; neighbouring units are alike, so intervals come
 * from blocks of them (sim/study/compare_stats.h). All pairs of a comparison are one family (Holm). A difference that could be noise is a
 * tie, and ties are not ranked. docs/compare.md says what the numbers mean.
 *
 *     es_compare_new      what is asked
 *     es_compare_result   a result of a candidate, as `run --out` and `sweep run` write it; or es_compare_folder: those of a sweep
 *     es_compare_decide   the numbers, as JSON */
#ifndef ES_STUDY_COMPARE_H
#define ES_STUDY_COMPARE_H

#include "sim/base/json.h"
#include "sim/base/text.h"

typedef struct es_compare es_compare;

typedef struct es_compare_ask {
    const char *metric;         /* es_compare_metrics names them; NULL: latency, or hit_rate where there is no time */
    const char *unit;           /* "token", "request", "run"; NULL: run or request where there are 20 of them, otherwise token */
    double confidence;          /* of intervals and of the family: 0.95 */
    size_t resamples;           /* 4999 */
    uint64_t seed;              /* of the resamples */
} es_compare_ask;

es_code es_compare_new(es_compare **out, const es_compare_ask *ask, es_err *err);
void es_compare_free(es_compare *compare);

/* A result.h5. `group`: candidates of a group are compared with each other; `run`: results of the same run number are paired. Texts are
 * copied. Candidates and groups are told in the order in which they came. */
es_code es_compare_result(es_compare *compare, const char *group, const char *candidate, const char *run, const char *path, es_err *err);
/* All results of a sweep's folder: the values of column `by` (NULL: of the first axis) are the candidates, those of other axes the groups,
 * traces and replications the runs. Points that are not there are left out. */
es_code es_compare_folder(es_compare *compare, const char *dir, const char *by, es_err *err);

/* Reads all results; es_compare_decide does it where nobody did. ES_EINPUT as there. */
es_code es_compare_read(es_compare *compare, es_err *err);
/* Results that were made without bounds, one for each set of results with the same ones: they differ in what bounds do not depend on (policy,
 * predictor ...). The path of the i-th; NULL behind the last. Once they were read. */
const char *es_compare_lacking(const es_compare *compare, size_t i);
/* Tells them: `bounds` as a report has them (es_result_bounds), for all results of the i-th set; or {"failed": why there are none}. */
void es_compare_bounds(es_compare *compare, size_t i, const es_json *bounds);

/* Everything that is known, as docs/compare.md lists it; delete it. ES_EINPUT: less than two candidates, or they replayed different requests. */
es_code es_compare_decide(es_compare *compare, es_json **out, es_err *err);
/* The same for people, at most 100 columns. */
void es_compare_text(const es_json *compared, es_text *out);
/* A row per token (request, run) of each candidate: what was compared, to be checked by others. After es_compare_decide. */
void es_compare_units(const es_compare *compare, es_text *csv);

/* Names of metrics with a sentence; false behind the last. */
bool es_compare_metric_at(size_t i, const char **name, const char **brief);

#endif
