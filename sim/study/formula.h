/* Formula: a number made from the numbers of a report: "cache.hits / cache.lookups", "1 - cache.hits / (3 * 500)".
 *
 * Numbers, paths into the report ("time.token_latency_s.p95"; a name with other characters than letters, digits and _ stands in brackets:
 * "links[dram-disk].operations"), + - * / and parentheses. true counts as 1, false as 0. */
#ifndef ES_STUDY_FORMULA_H
#define ES_STUDY_FORMULA_H

#include "sim/base/json.h"

/* ES_EINPUT: the text is no formula, a path leads to no number, or something is divided by 0. `report` NULL: no path is known. */
es_code es_formula(const char *text, const es_json *report, double *value, es_err *err);

#endif
