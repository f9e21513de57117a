/* Machine: what bounds on time need to know of a described machine, as plain numbers, and of a trace: when each object is used next.
 *
 * One unit computes. Events follow one another: dense compute, then the gate, then the event's experts as they are there; the next
 * begins when the last of them is computed. What computes reads experts from the serving tiers; whatever else holds them lies outside
 * of one cut or inside of it.
 *
 * A cut parts the tiers in two: inside are all serving tiers and perhaps others, outside is home and the rest. What an event uses is
 * inside, or comes in over one of the links that lead in. How many copies these take at a time, how long each and how much the inside
 * tiers hold together is all that is known of a cut. With a disk, DRAM and HBM there are two: into HBM, and into DRAM and HBM.
 *
 * The plainest machine (tests/oracle, tests/golden/timed.py) has one cut: one tier that computes, one link into it. There, until an event
 * ends, all of its objects stay. A copy needs the link, and room in the tier from its start on. Whoever decides decides which object is
 * copied when and which ones leave for it, and nothing else. */
#ifndef ES_CURVE_MACHINE_H
#define ES_CURVE_MACHINE_H

#include "sim/base/time.h"
#include "sim/curve/events.h"

typedef enum es_machine_order { ES_MACHINE_RESIDENT_FIRST, ES_MACHINE_IN_ORDER, ES_MACHINE_BARRIER } es_machine_order;     /* compute.overlap */

typedef struct es_cut {
    int64_t capacity;           /* of what is inside, in units: slots, bytes, or a measure that several tiers have in common */
    const int64_t *unit;        /* [objects] units that an object takes, from 1 */
    const es_time *copy_ns;     /* [objects] how long its copy holds a lane; where copies go in batches, the least share of one */
    uint32_t lanes;             /* copies that go at a time, at most */
    es_time piece_ns;           /* objects come in pieces of which some may be missing: the cheapest unit costs piece_ns / piece_units; */
    int64_t piece_units;        /* 0: they are whole */
    bool passes;                /* a copy for later may be on its way inside without taking room there */
    const int64_t *overshoots;  /* [layers, or 1 where all share] room, in units, above which what an event used may stay behind its end
                                 * (contract.overflow persist); NULL: nothing may */
} es_cut;

typedef struct es_machine {
    const es_cut *cut;          /* [cuts]; the plainest machine has one */
    uint32_t cuts;
    bool per_layer;             /* each layer has a room of its own */
    const es_time *dense_ns;    /* [events + 1] compute without experts before the gate of each event, and behind the last event */
    const es_time *expert_ns;   /* [layers][kinds][served] an expert of the layer that serves so many tokens, from 1 */
    const es_time *host_ns;     /* the same on a second unit beside the first, which needs no copy; NULL: there is none */
    uint32_t served, kinds;
    const uint8_t *kind;        /* [objects] precision of an object; NULL: all are of kind 0 */
    es_machine_order order;
    bool reset;                 /* the tiers are emptied at each ES_EVENT_FRESH but the first event's */
    bool warm;                  /* they may hold anything before the first event, for nothing */
} es_machine;

typedef struct es_uses {        /* of each lookup, by its position among all */
    uint32_t *next;             /* position of the object's next lookup; lookups + object: none */
    uint32_t *object;
} es_uses;

/* In `arena`. ES_EINPUT where positions do not fit 32 bits. */
es_code es_uses_find(es_uses *uses, const es_events *events, es_arena *arena, es_err *err);

static inline uint32_t es_uses_object(const es_uses *uses, const es_events *events, uint64_t position)
{
    return position < events->lookups ? uses->object[position] : (uint32_t)(position - events->lookups);
}

/* Computing the expert of a lookup of this event, on the unit of `table` (expert_ns or host_ns). */
static inline es_time es_machine_unit_ns(const es_machine *machine, const es_time *table, const es_events *events, uint32_t event, uint64_t position)
{
    const uint32_t further = events->repeats ? events->repeats[position] : 0;
    const uint32_t kind = machine->kind ? machine->kind[es_events_base(events, event) + events->id[position]] : 0;
    return table[((size_t)events->layer[event] * machine->kinds + kind) * machine->served + further];
}

static inline es_time es_machine_expert_ns(const es_machine *machine, const es_events *events, uint32_t event, uint64_t position)
{
    return es_machine_unit_ns(machine, machine->expert_ns, events, event, position);
}

#endif
