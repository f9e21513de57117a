/* Reproduce: what published systems claimed, beside what comes out when their rules are simulated.
 *
 * A claims file (configs/seeds/claims.json) says which configs to run and what to read from their reports:
 *
 *     "experiments": {"001-A": {"config": "001-coverage.json", "replications": 40, "vary": ["trace.source.seed"],
 *                               "as_coded": ["policy.mode=as_coded"], "as_documented": ["policy.mode=as_documented"]}}
 *     "rows": [{"seed": "001", "experiment": "001-A", "id": "hit_rate", "what": "hit rate", "claimed": 0.808,
 *               "value": "cache.hits / cache.lookups", "note": "..."}]
 *
 * Each replication is a run with other draws; the keys of vary get its number too, because a trace that is drawn does not depend on it.
 * as_coded is the published source's behaviour with its oddities, as_documented what its text promises; a mode left out is not run. A row
 * without experiment is arithmetic on published numbers. A row without claim is a baseline. "statistic": "median" compares that
 * instead of the mean.
 *
 * A claim is one run of somebody else's generator, so it is called reproduced when it lies within two standard deviations of a
 * single as-coded run, or within 1 % of its centre. "refuted": true says that its own project published a measurement that contradicts
 * it, which is then the value; the verdict is "refuted upstream", whatever comes out. */
#ifndef ES_STUDY_REPRODUCE_H
#define ES_STUDY_REPRODUCE_H

#include "sim/core/run.h"

typedef struct es_reproduce_ask {
    const char *claims;         /* the file; its configs are relative to it */
    const char *seed;           /* only rows of this one; NULL: all */
    int64_t replications;       /* instead of what the file says; 0: as it says */
    /* Told before each experiment, with its number, how many there are, and its name; NULL: nobody. */
    void (*tell)(void *self, size_t number, size_t count, const char *name);
    void *self;
} es_reproduce_ask;

/* {"rows": [{"seed", "id", "what", "experiment", "claimed", "as_coded": {"mean", "sd", "n", "median", "min", "max"} | null,
 * "as_documented": the same | null, "verdict", "note"}]}; *out is owned by the caller. */
es_code es_reproduce(const es_reproduce_ask *ask, es_json **out, es_err *err);

#endif
