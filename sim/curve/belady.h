/* Belady: hits of the policy that gives up who is used again last (Belady 1966), for many sizes in one pass over the events.
 *
 * The counts are those of `expertsim run` with policy belady, at every size and under every rule. Forced admission is the most that any
 * policy can hit which keeps what it fetched until the event ends. With bypass a miss may be read in place instead, while hits keep their
 * places to the end of their event: the most where lookups come singly, and with wider events now and then a hit below it. Under
 * ES_CURVE_KEEP_BEST the best of residents and event stay, which is the most of all. All that holds for
 * experts of one size. With unequal sizes no rule is optimal: then this is the rule of the uniform-size optimum, and no bound. */
#ifndef ES_CURVE_BELADY_H
#define ES_CURVE_BELADY_H

#include "sim/curve/curve.h"
#include "sim/curve/next_use.h"

typedef struct es_hits {        /* prompt tokens and decode counted apart */
    uint32_t sizes, rows;       /* rows: one for each space (layer), or 1 for all of them together */
    uint64_t *count;            /* [sizes][2][rows]: prefill, decode */
    uint64_t *whole, *some;     /* [sizes] decode events that hit all, and anything; NULL: not counted */
} es_hits;

static inline const uint64_t *es_hits_row(const es_hits *hits, uint32_t size, bool decode)
{
    return hits->count + ((size_t)size * 2 + decode) * hits->rows;
}

/* One curve, or one for each layer (es_curve_count), with `next` from es_next_use, serialized where the rule is. About 8 ns per lookup and
 * size; with forced admission in slots all sizes that no event exceeds together cost some 300 ns per lookup, being read off one stack.
 * `layers`, unless NULL: the hits of one global cache, layer by layer. */
es_code es_belady(const es_events *events, const uint32_t *next, const es_curve_ask *ask, bool bypass, es_curve *curves, es_hits *layers, es_arena *arena,
    es_err *err);

/* Forced admission in slots at every size from 0 to the number of objects (per_layer: of a layer), by Mattson's stack algorithm (1970) for
 * events; capacity and bytes of `ask` are not read. Under a rule but ES_CURVE_TRIM, KEEP_BEST and SERIALIZED, sizes below the widest
 * event are not what es_belady says. `by_layer`: a row for each space. */
es_code es_belady_stack(const es_events *events, const uint32_t *next, const es_curve_ask *ask, bool by_layer, es_hits *hits, es_arena *arena, es_err *err);

/* Is each lookup an event of its own? */
static inline bool es_curve_serial(const es_curve_ask *ask)
{
    return ask->rule == ES_CURVE_SERIALIZED || ask->rule == ES_CURVE_SERIALIZED_PINNED;
}

static inline uint32_t es_events_space(const es_events *events, uint32_t event)
{
    return events->spaces == 1 ? 0 : events->layer[event];
}

#endif
