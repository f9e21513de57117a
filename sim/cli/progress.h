/* Progress: one line on a terminal's stderr that is rewritten while a run goes on. Nothing where stderr is no terminal. */
#ifndef ES_CLI_PROGRESS_H
#define ES_CLI_PROGRESS_H

#include <time.h>

#include "sim/core/run.h"

typedef struct progress {
    es_progress told;           /* what the run is given */
    const char *name;
    struct timespec start, last;
    bool shown;
} progress;

/* The one to give to a run; NULL when nothing is to be shown. */
const es_progress *progress_begin(progress *p, const char *name, bool quiet);
/* Another line in its place, for what is no run; not more often than ten times a second. */
void progress_say(progress *p, const char *fmt, ...) ES_PRINTF(2, 3);
void progress_end(progress *p);             /* takes the line away */
double progress_seconds(const progress *p); /* since it began */

#endif
