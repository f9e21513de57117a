/* Bracket: between which two times the best that a policy or predictor could do on a config's machine lies.
 *
 *     lower_bound_s   nobody can be faster: sim/curve/bound.h
 *     clairvoyant_s   who knows the trace can be as fast: the better of two schedules of sim/curve/clairvoyant.h */
#ifndef ES_STUDY_BRACKET_H
#define ES_STUDY_BRACKET_H

#include "sim/core/run.h"
#include "sim/curve/bound.h"
#include "sim/curve/clairvoyant.h"

typedef struct es_bracket {
    const char *no_bound, *no_schedule; /* why there is none; NULL: there is */
    es_bound bound;
    const char *from, *to;      /* tiers of the first link of the cut that bound.link_ns is of, as the plan names them; NULL: nothing need be copied */
    es_schedule aggressive, conservative;
    es_time least_ns;           /* of both schedules */
} es_bracket;

/* `plan` is timed. Texts live as long as the program. */
es_code es_bracket_find(es_bracket *out, const es_plan *plan, es_err *err);

#endif
