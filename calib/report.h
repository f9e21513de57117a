/* Report: from samples to a profile of the machine, and what is to be said about it. */
#ifndef ES_CALIB_REPORT_H
#define ES_CALIB_REPORT_H

#include "calib/sample.h"
#include "sim/base/text.h"

typedef struct report_kind {    /* what a link is physically: bounds its rates */
    const char *link, *kind;    /* "pcie", "pcie4_x16" */
} report_kind;

typedef struct report_ask {
    const char *name;           /* of the machine; NULL: what its environment says */
    const report_kind *kind;
    size_t kinds;
    size_t resamples;
    uint64_t seed;
} report_ask;

/* {"machine": ...} for a config to include (cJSON_Delete it), with every row that could be fitted. `told` gets a line for each
 * row that was left out or is to be used with care. A rate above what its kind can carry is ES_EINPUT with both numbers;
 * no row at all is ES_ECHECK. */
es_code calib_report(const calib_samples *samples, const report_ask *ask, es_json **out, es_text *told, es_err *err);

/* The same as a table for people. */
es_code calib_report_table(const es_json *profile, es_text *out, es_err *err);

#endif
