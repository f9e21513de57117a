/* Formula: a number made from the numbers of a report: "cache.hits / cache.lookups", "1 - cache.hits / (3 * 500)"; or a condition:
 * "compute.guess_top <= 10 and policy != 'lru'".
 *
 * Numbers, paths into the report ("time.token_latency_s.p95"; a name with other characters than letters, digits and _ stands in brackets:
 * "links[dram-disk].operations"), + - * / and parentheses, == != < <= > >=, and, or, not. True is 1, false 0.
 * A text is compared as it stands ('lru'), or as a quantity where both are one: 8GiB, 3.4ms, 12GB/s, 25% (a quarter), 192slots (192). */
#ifndef ES_STUDY_FORMULA_H
#define ES_STUDY_FORMULA_H

#include "sim/base/json.h"

/* What stands at a path; NULL: nothing. The value lives until the formula is done. */
typedef const es_json *es_formula_find(void *self, const char *path);

/* ES_EINPUT: the text is no formula, a path leads to no number, or something is divided by 0. `report` NULL: no path is known. */
es_code es_formula(const char *text, const es_json *report, double *value, es_err *err);
/* The same where paths are looked up by the caller. */
es_code es_formula_with(const char *text, es_formula_find *find, void *self, double *value, es_err *err);
/* The same for measurements: what is divided by 0 is not a number, and no error. */
es_code es_formula_measure(const char *text, es_formula_find *find, void *self, double *value, es_err *err);

#endif
