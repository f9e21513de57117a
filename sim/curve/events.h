/* Events: the lookups of a trace as a contract cuts them, decoded once, for every pass over it.
 *
 * An event is one layer of one step, or of one row of it (by_token): the distinct experts that are looked up together. What the core's
 * composer (sim/core/events.c) makes of the same contract one at a time is here in arrays; steps that go back through their layers
 * (training) and rewritten rows (routers) are not. Events without an expert are left out. */
#ifndef ES_CURVE_EVENTS_H
#define ES_CURVE_EVENTS_H

#include "sim/base/arena.h"
#include "sim/part/prefill.h"

enum {
    ES_EVENT_DECODE = 1,        /* its first token is a decode token */
    ES_EVENT_FRESH = 2,         /* the first event of a request, or of a request that goes on after another: contract.reset empties caches here */
    ES_EVENT_SKIPPED = 4        /* of the contract's skip_tokens: it warms caches and is not counted */
};

typedef struct es_events_ask {
    bool by_token;              /* contract.unit token or id: each row is an event; else the rows of a step are one */
    bool ignores_repeats;       /* contract.duplicates ignore: recency goes by first appearance, `touch` is `id` */
    bool shared;                /* catalog.key expert: an expert is the same in all layers */
    es_prefill prefill;
    int64_t skip_tokens;
} es_events_ask;

typedef struct es_events {
    uint32_t layers, experts;   /* as in the trace (experts per layer) */
    uint32_t spaces;            /* layers, or 1 where an expert is the same in all layers */
    uint32_t stride;            /* experts rounded up to 64: object = space * stride + expert */
    uint32_t objects;           /* spaces * stride: objects are below this */
    uint32_t count;             /* events, in order of time */
    uint64_t lookups;           /* distinct experts over all events = begin[count] */
    const uint16_t *id;         /* [lookups] experts of each event in order of first appearance */
    const uint16_t *touch;      /* [lookups] in order of last appearance; == id where no event repeats an expert */
    const uint16_t *repeats;    /* [lookups] further uses inside the event, beside `id`; NULL when there are none */
    const uint64_t *begin;      /* [count + 1] */
    const uint16_t *layer;      /* [count] */
    const uint32_t *step, *request; /* [count]: steps as the contract cuts them, from 0; request as the trace numbers it */
    const uint8_t *flags;       /* [count] ES_EVENT_... */
    uint32_t least, widest;     /* lookups of the smallest and of the largest event; equal: all are alike */
    uint32_t steps;             /* as the contract cuts them */
    uint64_t tokens, decode_tokens;             /* rows in those steps; decode_tokens: in steps that begin with a decode token */
    uint64_t accesses, decode_accesses;         /* lookups that are counted, and of these in decode events */
    const uint32_t *layer_number;   /* [layers] the model's own numbers; owned by the arena */
} es_events;

/* Reads the source from its beginning, twice where it does not know how much it holds; everything is in the arena. ES_EINPUT: a fault of
 * the trace (an expert twice in a row, a trace of buffers, more than 2^32 - 2 events). A trace without any lookup is no fault here. */
es_code es_events_read(es_events *out, const es_source *source, void *state, const es_events_ask *ask, es_arena *arena, es_err *err);

/* Where the experts of an event's layer begin among the objects. */
static inline uint32_t es_events_base(const es_events *events, uint32_t event)
{
    return events->spaces == 1 ? 0 : events->layer[event] * events->stride;
}

/* ES_EVENT_DECODE where it is a decode event and counted; 0: a counted one of a prompt; else it is not counted. */
static inline uint32_t es_events_kind(const es_events *events, uint32_t event)
{
    return events->flags[event] & (ES_EVENT_DECODE | ES_EVENT_SKIPPED);
}

static inline uint32_t es_events_width(const es_events *events, uint32_t event)
{
    return (uint32_t)(events->begin[event + 1] - events->begin[event]);
}

#endif
