/* Machine: what bounds on time need to know of a described machine, as plain numbers, and of a trace: when each object is used next.
 *
 * The machine is the plainest one that takes time (tests/oracle, tests/golden/timed.py): one tier that computes, one link into it, one
 * unit that computes. Events follow one another: dense compute, then the gate, then the event's experts as they are there; the next
 * begins when the last of them is computed. Until then all of an event's objects stay. A copy needs the link, and room in the tier from
 * its start on. Whoever decides decides which object is copied when and which ones leave for it, and nothing else. */
#ifndef ES_CURVE_MACHINE_H
#define ES_CURVE_MACHINE_H

#include "sim/base/time.h"
#include "sim/curve/events.h"

typedef enum es_machine_order { ES_MACHINE_RESIDENT_FIRST, ES_MACHINE_IN_ORDER, ES_MACHINE_BARRIER } es_machine_order;     /* compute.overlap */

typedef struct es_machine {
    int64_t capacity;           /* of the tier, in units: slots, or bytes */
    const int64_t *unit;        /* [spaces] units that an object takes, from 1 */
    const es_time *copy_ns;     /* [spaces] how long its copy holds a lane of the link; where copies go in batches, the least share of one */
    uint32_t lanes;             /* copies that go at a time, at most */
    const es_time *dense_ns;    /* [events + 1] compute without experts before the gate of each event, and behind the last event */
    const es_time *expert_ns;   /* [layers][served] an expert of the layer that serves so many tokens, from 1 */
    uint32_t served;
    es_machine_order order;
    bool reset;                 /* the tier is emptied at each ES_EVENT_FRESH */
    bool warm;                  /* it may hold anything before the first event, for nothing */
    bool overshoots;            /* what an event used may stay behind its end although the tier is full (contract.overflow persist) */
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

/* Units and copy of an object: those of its layer, or of all. */
static inline uint32_t es_machine_space(const es_events *events, uint32_t object)
{
    return object / events->stride;
}

/* Computing the expert of a lookup of this event. */
static inline es_time es_machine_expert_ns(const es_machine *machine, const es_events *events, uint32_t event, uint64_t position)
{
    const uint32_t further = events->repeats ? events->repeats[position] : 0;
    return machine->expert_ns[(size_t)events->layer[event] * machine->served + further];
}

#endif
