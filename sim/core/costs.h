/* Costs: the machine of a run as plain numbers, for bounds on time: what no policy and no predictor can change.
 *
 * A cut parts the tiers into inside, all serving tiers and perhaps others, and outside (sim/curve/machine.h says what it is for). Those
 * cuts are given over which an expert comes only as a copy over a link. */
#ifndef ES_CORE_COSTS_H
#define ES_CORE_COSTS_H

#include "sim/core/run.h"

typedef struct es_costs_cut {
    const char *from, *to;      /* tiers of the first link that leads in */
    int64_t capacity;           /* of all inside tiers, all their buckets, in units */
    const int64_t *unit;        /* [objects] units that an expert takes, in the precision that it has or, where that changes, the least */
    const es_time *copy_ns;     /* [objects] how long its copy holds a lane of what leads in, at least */
    uint32_t lanes;
    es_time piece_ns;           /* experts come in matrices: the cheapest unit costs piece_ns / piece_units; 0 units: they come as a whole */
    int64_t piece_units;
    bool passes;                /* a guess may be on its way inside without room there */
    const int64_t *overshoots;  /* [layers, or 1] room of the serving tier, in units, where contract.overflow is persist; else NULL */
} es_costs_cut;

typedef struct es_costs {
    const char *no_bound;       /* why no bound on time is known for such a machine, as the rest of a sentence; NULL: there is one */
    const char *no_schedule;    /* why sim/curve/clairvoyant.h knows no schedule for it; set with no_bound too */
    uint32_t stride;            /* experts of a layer rounded up to 64: object = space * stride + expert, as es_events has it */
    const es_costs_cut *cut;    /* [cuts] */
    uint32_t cuts;
    uint32_t served, kinds;     /* widths of the next */
    const es_time *expert_ns;   /* [layers][kinds][served] computing one that serves so many tokens, from 1 */
    const es_time *host_ns;     /* the same on the host's unit, where a dispatcher may have misses computed there; NULL: none does */
    const uint8_t *kind;        /* [objects] precision; NULL: all are of kind 0 */
    uint32_t steps;             /* as the contract cuts them */
    const es_time *dense_ns;    /* [steps] dense compute of one layer */
} es_costs;

/* Of a run that has not begun, which is of no further use: its trace is read to the end. In `arena`. `served`: tokens that an expert of
 * an event serves, at most. */
es_code es_costs_find(es_costs *out, es_run *run, uint32_t served, es_arena *arena, es_err *err);

/* Part of it: all cuts. kinds, host_ns and served are set. (costs_cuts.c) */
es_code es_costs_cuts(es_costs *out, es_run *run, es_arena *arena, es_err *err);

#endif
