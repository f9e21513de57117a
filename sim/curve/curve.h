/* Curve: hits as a function of capacity, for one policy and one cache. All passes of this folder answer in this form.
 *
 * A cache is global, or one layer's own (scope layer): a pass then gives a curve for each layer. Capacities are those of one cache: slots,
 * or bytes. Lookups are those of es_events that are counted; those of prefill are all less those of decode. */
#ifndef ES_CURVE_CURVE_H
#define ES_CURVE_CURVE_H

#include "sim/curve/events.h"

/* How a cache treats what is looked up together; each is named as in a contract. */
typedef enum es_curve_rule {
    ES_CURVE_WAVES,             /* judge event, overflow waves: the contract event_atomic */
    ES_CURVE_TRIM,              /* judge event, overflow trim */
    ES_CURVE_KEEP_BEST,         /* judge event, overflow keep_best */
    ES_CURVE_PERSIST,           /* judge event, overflow persist: the contract after_batch */
    ES_CURVE_SERIALIZED,        /* judge serialized, any overflow but bypass */
    ES_CURVE_SERIALIZED_PINNED  /* judge serialized_pinned, overflow waves */
} es_curve_rule;

/* What a pass may make use of; results are the same, so that only tests and benchmarks ask for less. */
typedef enum es_curve_means {
    ES_CURVE_QUICKEST,          /* what the processor has, found out when the program runs */
    ES_CURVE_COMPILED,          /* what the compiler was told that every processor has */
    ES_CURVE_SCALAR             /* no vectors, and nothing that is only quicker */
} es_curve_means;

typedef struct es_curve_ask {
    es_curve_rule rule;
    bool per_layer;             /* a cache for each layer */
    bool reset;                 /* caches are emptied at each ES_EVENT_FRESH */
    const uint64_t *capacity;   /* [sizes] ascending, from 1; NULL: every number of slots up to that which holds everything */
    uint32_t sizes;
    const int64_t *bytes;       /* [layers] of one expert: capacities are bytes; NULL: they are slots */
    const int64_t *weight;      /* [layers] bytes of one expert: hits are counted in bytes too; NULL: they are not */
    bool cover;                 /* es_belady alone, a cache for all layers, lookups judged by event: events are counted too */
    es_curve_means means;
} es_curve_ask;

typedef struct es_curve {
    uint32_t sizes;
    const uint64_t *capacity;   /* [sizes] ascending, of one cache */
    const uint64_t *hits, *decode_hits; /* [sizes] */
    uint64_t accesses, decode_accesses;
    const uint64_t *whole, *some;       /* [sizes] decode events that hit all, and anything, of what they want; NULL unless they were asked for */
    const uint64_t *hit_bytes, *decode_hit_bytes;   /* [sizes] what the hits weigh; NULL unless they were asked for */
    uint64_t access_bytes, decode_access_bytes;
} es_curve;

/* How many curves a pass gives: 1, or one for each layer. */
static inline uint32_t es_curve_count(const es_events *events, const es_curve_ask *ask)
{
    return ask->per_layer ? events->layers : 1;
}

/* Slots that hold everything a cache may be asked for: the last capacity of a curve of all sizes. */
static inline uint64_t es_curve_most(const es_events *events, const es_curve_ask *ask)
{
    return (uint64_t)events->experts * (ask->per_layer ? 1 : events->spaces);
}

/* The capacities to answer for: those asked, or 1 .. es_curve_most slots in the arena; NULL: no memory. */
const uint64_t *es_curve_capacities(const es_events *events, const es_curve_ask *ask, uint32_t *sizes, es_arena *arena);
/* The layers' curves added up: capacities stay those of one layer. `out` gets arrays of its own; all must have the same capacities. */
es_code es_curve_sum(const es_curve *curves, uint32_t count, es_curve *out, es_arena *arena, es_err *err);

#endif
