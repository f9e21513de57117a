/* LRU: its hits at every capacity, exactly those of a run of each, by stack distance in one pass (Mattson, Gecsei, Slutz, Traiger 1970).
 *
 *   rule                what the distance is taken from                             what differs at sizes that an event does not fit into
 *   waves               the stack before the event                                  counted beside it (small.h)
 *   trim, keep_best     the same                                                    nothing
 *   persist             the same; what the event before touched is always there     nothing: that is the overshoot
 *   serialized          the stack before each lookup                                nothing: one object fits
 *   serialized_pinned   before the event where it fits, else before each lookup     the same
 *
 * Capacities in bytes are slots where all experts of a cache are of one size. One cache for experts of unequal sizes has no stack distance in
 * bytes, because victims leave whole; there the capacities asked for are followed one by one in the same pass (budgets.h). */
#ifndef ES_CURVE_LRU_H
#define ES_CURVE_LRU_H

#include "sim/curve/curve.h"

/* `out` has es_curve_count(events, ask) curves, in the order of the layers. Everything is in the arena. ES_EINPUT: capacities in bytes, with
 * unequal sizes, that are not named. */
es_code es_curve_lru(const es_events *events, const es_curve_ask *ask, es_curve *out, es_arena *arena, es_err *err);

/* Are capacities in bytes those of one cache for experts of unequal sizes? */
bool es_curve_unequal(const es_events *events, const es_curve_ask *ask);

#endif
