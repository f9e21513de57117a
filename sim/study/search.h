/* Search: the smallest capacity, or the cheapest machine, precision or layer split, that meets a target; and what memory buys.
 *
 * Points are combinations of values of axes; who asks runs them. With one axis of ascending numbers the search bisects it for every
 * combination of the others, and looks at points between whether more of it is never worse; where it is, it says so and tries a grid. With
 * several such axes it halves a grid successively: all points on a short beginning of the trace, the better half on one twice as long, and
 * so on. docs/search.md says what the numbers mean. */
#ifndef ES_STUDY_SEARCH_H
#define ES_STUDY_SEARCH_H

#include "sim/base/json.h"
#include "sim/base/text.h"

typedef struct es_search_ask {
    const char *const *targets; /* [target_count] "tokens_per_s>=20", "latency_p95<=50ms", or a formula over a result; none: only the front */
    size_t target_count;
    const char *const *over;    /* [over_count] "PATH=A..B", "PATH=A..B/STEP", "PATH=V,V,V" cheapest first, or a capacity's path alone */
    size_t over_count;
    const char *cost;           /* formula; NULL: bytes of the serving tier where a range is searched, then the order of the lists */
    const char *against;        /* what the front sets against memory; NULL: latency, or hit_rate where there is no time */
    const char *method;         /* "bisect", "halving", "grid"; NULL: as said above */
    size_t points;              /* of a range in a grid; 0: 17 */
} es_search_ask;

typedef struct es_search_run {
    /* The result of the config with these settings ("PATH=VALUE") on the first `share` of its trace; delete it. ES_EINPUT: there can be none. */
    es_code (*run)(void *self, const char *const *sets, size_t count, double share, es_json **result, es_err *err);
    /* These points will be asked for next, each with `count` settings, one behind the other: who can run several at once does. NULL: nobody can. */
    es_code (*ahead)(void *self, const char *const *sets, size_t points, size_t count, double share, es_err *err);
    void *self;
} es_search_run;

/* What was found, as docs/search.md lists it; delete it. ES_EINPUT: what is asked makes no sense, or no point can be run. That nothing
 * meets the target is an answer. */
es_code es_search_find(const es_search_ask *ask, const es_search_run *run, es_json **out, es_err *err);
/* The same for people. */
void es_search_text(const es_json *found, es_text *out);

/* Names that stand for formulas in targets; false behind the last. */
bool es_search_metric_at(size_t i, const char **name, const char **formula);

#endif
