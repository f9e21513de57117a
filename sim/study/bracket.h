/* Bracket: between which two times the best that a policy or predictor could do on a config's machine lies.
 *
 *     lower_bound_s   nobody can be faster: sim/curve/bound.h
 *     clairvoyant_s   who knows the trace can be as fast: on the plainest machine the better of two schedules of sim/curve/clairvoyant.h,
 *                     elsewhere the best of some runs of the core (foresight.h) */
#ifndef ES_STUDY_BRACKET_H
#define ES_STUDY_BRACKET_H

#include "sim/core/run.h"
#include "sim/curve/bound.h"
#include "sim/curve/clairvoyant.h"

typedef struct es_bracket {
    const char *no_bound, *no_schedule; /* why there is none; NULL: there is */
    es_bound bound;
    const char *from, *to;      /* tiers of the first link of the cut that bound.link_ns is of, as the plan names them; NULL: nothing need be copied */
    es_schedule aggressive, conservative;   /* where `foreseen` is not set */
    es_time least_ns;           /* of both schedules, or of the runs */
    bool foreseen;              /* by runs of the core */
    es_err why;                 /* what kept them from being run */
} es_bracket;

/* `plan` is timed. `events`: the trace as its contract cuts it, as es_curves_events (curves.h) decodes it; NULL: it is decoded. Reasons live as long as
 * the program or as the bracket. */
es_code es_bracket_find(es_bracket *out, const es_plan *plan, const es_events *events, const es_progress *progress, es_err *err);

#endif
