/* Clairvoyant: schedules of copies that somebody could find who knows the whole trace. What they reach can be reached, so the best
 * there is lies between the bound (bound.h) and the better of them.
 *
 * After Cao, Felten, Karlin and Li, "A study of integrated prefetching and caching strategies", SIGMETRICS 1995, who decide for
 * single blocks of one size that each take F units of time to fetch, into a cache of K blocks, from one disk:
 *
 *     aggressive    whenever the link is free, fetch the next object in the order of use that is not there; for it, those leave
 *                   that are used farthest ahead, but none that is used before it (do no harm); while there are none, wait
 *     conservative  bring in and replace exactly what Belady's forced replacement does on demand, in that order, each copy as
 *                   early as the link is free and its victims have had their last use
 *
 * There the time of aggressive is at most min(1 + F/K, 2) times the best, that of conservative at most twice the best. Here an event
 * needs several objects, which stay until it ends, and compute takes what it takes; nothing is proven then, and both are only what they
 * are: schedules that keep every rule of es_machine, one copy at a time, with times exact to the nanosecond. */
#ifndef ES_CURVE_CLAIRVOYANT_H
#define ES_CURVE_CLAIRVOYANT_H

#include "sim/curve/machine.h"

typedef struct es_schedule {
    bool fits;                  /* every event fits the tier as a whole; else there is no schedule and nothing below is set */
    uint32_t too_large;         /* the first event that does not */
    es_time total_ns;
    es_time link_ns;            /* all copies */
    uint64_t copies;
} es_schedule;

/* What follows about `machine`: one cut of one lane and whole objects, no host unit, not warm; `overshoots` makes no use of itself. */
es_code es_clairvoyant_aggressive(es_schedule *out, const es_events *events, const es_machine *machine, const es_uses *uses, es_arena *arena, es_err *err);
es_code es_clairvoyant_conservative(es_schedule *out, const es_events *events, const es_machine *machine, const es_uses *uses, es_arena *arena, es_err *err);

#endif
