/* Statistics: what the decode events of a trace ask of any cache, whatever its policy.
 *
 * A step counts when its events are decode events and not skipped; prompts are left out throughout. */
#ifndef ES_CURVE_STATISTICS_H
#define ES_CURVE_STATISTICS_H

#include "sim/curve/curve.h"

enum { ES_SHARES = 4 };         /* of the most used 10, 20, 30 and 40 % */

typedef struct es_statistics {
    uint64_t steps, events, lookups;
    double cycle;               /* objects that a step looks up over all layers, mean; a cache below that cannot hold one token's */
    double cycle_bytes;         /* the same in bytes; 0 without sizes */
    double demand;              /* objects that an event looks up, mean */
    double share[ES_SHARES];    /* of all lookups that go to the most used p % of the experts there are (of the product the floor, at least one) */
    double entropy;             /* of the uses of a layer's experts, bits, mean over layers that are used; at most log2 of the experts */
    double overlap;             /* of an event's lookups those that the step before of the same request made in this layer too; over events with such a
                                   step; 0 where there are none */
    double turnover;            /* lookups of a step that the step before did not make, mean over the same events, of all layers of the trace */
} es_statistics;

/* `bytes`: of an expert of each layer, or NULL. */
es_code es_statistics_read(const es_events *events, const int64_t *bytes, es_statistics *out, es_arena *arena, es_err *err);

/* distinct[w - 1], w = 1 .. windows: objects that w decode steps in a row look up, the mean over all such windows (Denning 1968), exactly, from the
 * intervals between uses. Windows longer than the trace give 0. */
es_code es_working_set(const es_events *events, uint32_t windows, double *distinct, es_arena *arena, es_err *err);

/* The largest capacity of a curve that gets no more than `share` of the decode lookups; 0 when the smallest gets more. With share 0 and a global LRU
 * curve: the cliff, where the curve leaves zero. */
uint64_t es_curve_cliff(const es_curve *curve, double share);

#endif
