/* Series of a run's result.h5 for those that draw over time: see figures_inside.h. */
#ifndef ES_PLOTS_FIGURES_SERIES_H
#define ES_PLOTS_FIGURES_SERIES_H

#include "plots/figures_inside.h"

enum { SERIES_BINS = 96, SERIES_CAUSES = 48 };  /* more bins than that are not seen */

typedef struct series_curve {   /* count 0: the run did not keep it */
    double *end, *value;        /* [count] end of a bin; what was added in it, or is there when it ends */
    size_t count;
    bool by_tokens;             /* the run has no time: `end` counts tokens, not seconds */
} series_curve;

typedef struct series_table {   /* columns of one table, in s */
    const char *name[SERIES_CAUSES];
    double *end, *value[SERIES_CAUSES];         /* [bins] */
    size_t count, bins;
} series_table;

/* /series/NAME; of `level` the last value of a bin counts, else their sum. */
es_code series_load(figures *all, es_h5 *file, const char *path, bool level, series_curve *out, es_err *err);
/* Whatever causes of time a table over time has: columns of ns but those that say when ("start_ns") or are of the critical path. */
es_code series_load_table(figures *all, es_h5 *file, const char *path, series_table *out, es_err *err);

#endif
