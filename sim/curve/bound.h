/* Bound: a time below which no policy, no predictor and no scheduler can bring a run on this machine.
 *
 * Theorem. Let events 0 .. n-1 be served by any schedule of es_machine (machine.h): copies may start at any time from 0 on, of
 * anything, known to be needed or not, and anything that is not in use may leave. For each cut let
 *
 *     U(i)   be the fewest units that must come in before the last expert of event i can be computed,
 *     L(i)   the least time that the links leading in need for them, on all their lanes together,
 *
 * and let
 *     d(i), x(i), m(i)   be the dense compute before event i, the compute of its experts, and the cheapest of these,
 *     E(i)               the time at which event i ends.
 *
 * Then  (1) E(i) >= E(i-1) + d(i) + x(i)                          one unit computes, event after event
 *       (2) E(i) >= L(i) + m(i)                                   whichever of its experts comes last is still to be computed
 *       (3) E(i) >= E(k) + L(i) - L(k) - L(a full inside) + m(i)  for every k < i, where all objects are alike, no overflow outlasts its
 *                                                                event and no copy for later takes no room
 *
 * and the run takes at least E(n-1) and the dense compute behind it. (2) and (3) hold for every cut by itself, so each E is the greatest of
 * (1) and of (2) and (3) over all cuts.
 *
 * (2) U(i): between two events the inside tiers hold at most their capacities together. (Inside an event they may hold more where the
 * contract lets an overflow pass, so only the time between events counts; where the overflow may outlast its event, overshoots, what an
 * event used may stay above the room of its layer until that layer's next event, which is added to the capacity until then.) An object that
 * an event uses came in unless it was kept over every boundary since its use before: nothing else brings it in, for es_costs makes no cut
 * over which something demotes inwards or is taken in hand by a link before its room is given up. A schedule that copies ahead of need
 * copies no fewer: delay each copy to the event that first uses it, and leave out those that nobody uses; at every boundary the inside
 * holds a part of what it held before. So U(i) is what is left when the intervals between uses that can be kept within the capacity weigh
 * the most. If objects may be cut, units are paging with bypass on pages of one size, where keeping those used soonest is optimal, at once
 * for every i: Belady 1966, and as packing of intervals Carlisle and Lloyd 1995. Whole objects of one size need no cutting, then U(i) is
 * exact; with unequal sizes a piece of one object at a boundary may stay, which no schedule can do, and U(i) is a bound from below.
 * First uses cannot be kept from before (unless warm: then the best content to begin with is free).
 * L(i): an object's first copy costs what a copy of it costs; every further unit at least the least cost of a unit of any object. A
 * copy's fixed cost counts, because copies are of whole objects (of whole pieces where they come in pieces). l lanes do l ns of copying in
 * a ns. A link that is shared, slowed or limited elsewhere only takes longer. Several channels that lead in are one whose copies cost the
 * least of y(c) * cost on channel c, for any weights y(c) >= 0 of which the lanes' sum is 1: in T ns channel c does at most lanes(c) * T
 * of work, so that the weighted work of all copies is at most T (linear programming duality).
 * A use that a host unit computes needs no copy, but time of that unit: it is one more channel over every cut, and m(i) is 0.
 * (3) The link can be ahead of compute by no more than a full inside: with S inside (or on its way in) when event k ends, all else that
 * events k+1 .. i need comes after E(k). Belady up to k, then a copy of S, then what the schedule copies, would be a way to serve events up
 * to i, so it copies at least U(i) - U(k) - capacity after E(k).
 * (1) With a host unit an event's experts are shared by two units, so that x(i) is the least of max(sum on the one, sum on the other): for
 * any 0 <= y <= 1 at least the sum of the lesser of y * gpu and (1 - y) * host, again by duality.
 *
 * Grace does not enter: it makes copies wait, and an overflow leaves at the end of its event although it is in grace (es_room_trim).
 *
 * Not said here: who cannot see the future does worse; bypassing Belady at every gate cannot always be overlapped. The best schedule
 * lies above this bound; clairvoyant.h finds schedules, so that it lies below those. */
#ifndef ES_CURVE_BOUND_H
#define ES_CURVE_BOUND_H

#include "sim/curve/machine.h"

typedef struct es_bound {
    es_time total_ns;           /* the bound */
    es_time compute_ns;         /* all dense and expert compute: (1) alone, the run in which nothing is waited for */
    es_time link_ns;            /* the greatest L of the last event: the copies that must be made, one behind the other on all lanes */
    uint32_t slowest;           /* the cut that has it; 0 where there is none */
    uint64_t units;             /* its U of the last event */
    uint64_t misses;            /* the same in objects where all take alike; 0: they do not */
} es_bound;

es_code es_bound_find(es_bound *out, const es_events *events, const es_machine *machine, const es_uses *uses, es_arena *arena, es_err *err);

#endif
