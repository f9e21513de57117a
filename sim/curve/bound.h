/* Bound: a time below which no policy, no predictor and no scheduler can bring a run on this machine.
 *
 * Theorem. Let events 0 .. n-1 be served by any schedule of es_machine (machine.h): copies may start at any time from 0 on, of
 * anything, known to be needed or not, and anything that is not in use may leave. Let
 *
 *     U(i)   be the fewest units that must be copied before the last expert of event i can be computed,
 *     L(i)   the least time that the link needs for them, on all its lanes together,
 *     d(i), x(i), m(i)   the dense compute before event i, the compute of its experts, and the cheapest of these,
 *     E(i)   the time at which event i ends.
 *
 * Then  (1) E(i) >= E(i-1) + d(i) + x(i)                          one unit computes, event after event
 *       (2) E(i) >= L(i) + m(i)                                   whichever of its experts comes last is still to be computed
 *       (3) E(i) >= E(k) + L(i) - L(k) - L(a full tier) + m(i)    for every k < i, where all objects are
 *                                                                alike and no overflow outlasts its event
 *
 * and the run takes at least E(n-1) and the dense compute behind it. Taking each E as the greatest of the three gives the bound.
 *
 * (2) U(i): between two events the tier holds at most its capacity. (Inside an event it may hold more where the contract lets an
 * overflow pass, so only the time between events counts; where the overflow may outlast its event, overshoots, the boundary behind an
 * event counts as the greater of the capacity and the event.) An object that an event uses is copied unless it was kept over every
 * boundary since its use before. A schedule that copies ahead of need copies no fewer: delay each copy to the event that first uses
 * it, and leave out those that nobody uses; at every boundary the tier holds a part of what it held before. So U(i) is what is left
 * when the intervals between uses that can be kept within the capacity weigh the most. If objects may be cut, units are paging with
 * bypass on pages of one size, where keeping those used soonest is optimal, at once for every i: Belady 1966, and as packing of
 * intervals Carlisle and Lloyd 1995. Whole objects of one size need no cutting, then U(i) is exact; with unequal sizes a piece of one
 * object at a boundary may stay, which no schedule can do, and U(i) is a bound from below.
 * First uses cannot be kept from before (unless warm: then the best content to begin with is free).
 * L(i): an object's first copy costs what a copy of it costs; every further unit at least the least cost of a unit of any object. A
 * copy's fixed cost counts, because copies are of whole objects. l lanes do l ns of copying in a ns. A link that is shared, slowed or
 * limited elsewhere only takes longer.
 * (3) The link can be ahead of compute by no more than a full tier: with S in the tier (or on its way into it) when event k ends, all
 * else that events k+1 .. i need comes after E(k). Belady up to k, then a copy of S, then what the schedule copies, would be a way to
 * serve events up to i, so it copies at least U(i) - U(k) - capacity after E(k).
 *
 * Not said here: who cannot see the future does worse; bypassing Belady at every gate cannot always be overlapped. The best schedule
 * lies above this bound; clairvoyant.h finds schedules, so that it lies below those. */
#ifndef ES_CURVE_BOUND_H
#define ES_CURVE_BOUND_H

#include "sim/curve/machine.h"

typedef struct es_bound {
    es_time total_ns;           /* the bound */
    es_time compute_ns;         /* all dense and expert compute: (1) alone, the run in which nothing is waited for */
    es_time link_ns;            /* L of the last event: the copies that must be made, one behind the other on all lanes */
    uint64_t units;             /* U of the last event */
    uint64_t misses;            /* the same in objects where all take alike; 0: they do not */
} es_bound;

es_code es_bound_find(es_bound *out, const es_events *events, const es_machine *machine, const es_uses *uses, es_arena *arena, es_err *err);

#endif
