/* The runs of a comparison: configs that are compared, and bounds of results that have none. At once, as far as processes are allowed. */
#ifndef ES_CLI_COMPARE_RUNS_H
#define ES_CLI_COMPARE_RUNS_H

#include <stdbool.h>

#include "sim/study/compare.h"
#include "sim/study/config.h"

typedef struct compare_run {
    es_config *config;
    char *name, *dir;
} compare_run;

typedef struct compare_runs {
    const char *dir;            /* results lie in DIR/1, DIR/2 ... in the order in which they were added */
    size_t at_once;
    bool quiet;
    compare_run *run;
    size_t count;
    es_compare *compare;        /* of the bounds that are looked for now */
} compare_runs;

/* The config is one of the runs from now on; frees it when that fails. *path: where its result will lie, as long as the runs. */
es_code compare_runs_add(compare_runs *runs, es_config *config, const char *name, const char **path, es_err *err);
es_code compare_runs_go(compare_runs *runs, es_err *err);
/* Finds the bounds that results lack. `most`: of more sets than that nothing is done; *lacking says how many there are. */
es_code compare_runs_bounds(compare_runs *runs, es_compare *compare, size_t most, size_t *lacking, es_err *err);
void compare_runs_free(compare_runs *runs);

#endif
