/* Curves: a plan as the passes of sim/curve see it, and runs of the same plan at other capacities, whose counts stand beside theirs. */
#ifndef ES_STUDY_CURVES_H
#define ES_STUDY_CURVES_H

#include "sim/core/run.h"
#include "sim/curve/curve.h"

/* Why there are no curves under this plan; NULL: there are. Texts live as long as the program. */
const char *es_curves_none(const es_plan *plan);
/* The lookups as the plan's contract cuts them; the source is read from its beginning. */
es_code es_curves_events(const es_plan *plan, es_events *out, es_arena *arena, es_err *err);
/* The plan's rule, scope and reset; capacities are every number of slots. */
es_curve_ask es_curves_ask(const es_plan *plan);

typedef struct es_curves_ran {  /* what one run counted */
    uint64_t lookups, hits, decode_lookups, decode_hits;
    uint64_t capacity;          /* of the serving tier, all layers, in slots or bytes; 0: no tier serves within a capacity */
    bool in_bytes;
} es_curves_ran;

/* Runs the plan, watched by the observer summary alone. `capacity`, unless NULL, takes the place of the serving tier's: "192slots", "4096B".
 * What it needs is freed again. */
es_code es_curves_run(const es_plan *plan, const char *capacity, const es_progress *progress, es_curves_ran *out, es_err *err);

#endif
