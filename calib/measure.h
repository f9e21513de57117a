/* Measure: performs a plan on a probe, round by round, until every case is known well enough or the time is over.
 *
 * Sources and destinations go round through pools of four times the last-level cache, so what is read was not read lately.
 * They are filled with random bytes, and what arrived is compared: a copy that failed is fast. */
#ifndef ES_CALIB_MEASURE_H
#define ES_CALIB_MEASURE_H

#include "calib/sample.h"

typedef struct calib_told {     /* how far it is */
    const char *stage;          /* "filling memory", "what runs beside what", "warming up", "measuring" */
    uint32_t round, rounds;     /* rounds: how many there are in any case; 0: one stage without */
    size_t cases, done;         /* done: known well enough; cases 0: not counted in this stage */
    es_time left;               /* at most so much longer */
} calib_told;

typedef struct calib_tell {
    void (*call)(void *self, const calib_told *told);
    void *self;
} calib_tell;

typedef struct calib_bench calib_bench;     /* a probe with its pools */

es_code calib_bench_open(calib_bench **out, const es_probe *probe, void *self, const calib_plan *plan, uint64_t seed, es_err *err);
void calib_bench_close(calib_bench *bench);
/* Adds to `samples`. `budget` in the probe's time; three rounds are made even when it is over sooner. `tell` may be NULL. */
es_code calib_measure(calib_bench *bench, const calib_plan *plan, es_time budget, const calib_tell *tell, calib_samples *samples, es_err *err);

#endif
