/* Quick: the LRU walk of lru.h where the processor has AVX2 and all events are alike. It counts what the plain walk counts, number for number.
 *
 * One cache for each layer: ranks of bytes as in ranks.h, 32 at once, and what narrow.h follows with the lookups of an event side by side.
 * One cache for all: the stack of stack.h, with the bits of every word counted in a byte, so that those behind a word are a few sums of 32. */
#ifndef ES_CURVE_QUICK_H
#define ES_CURVE_QUICK_H

#include "sim/curve/curve.h"

enum { ES_QUICK_KINDS = 3 };    /* of events: prefill, decode (as ES_EVENT_DECODE), not counted */

typedef struct es_quick_cache { /* what is counted, as lru.c has it */
    uint64_t *found;            /* [ES_QUICK_KINDS][depths] */
    uint64_t *bytes;            /* the same, or NULL */
    int64_t *more;              /* [ES_QUICK_KINDS][widest], or NULL: caches that events do not fit into are not followed */
    int64_t *more_bytes;        /* the same, or NULL */
} es_quick_cache;

/* Can these events be gone through so, here? Only rules that take the distance before the event. */
bool es_quick_fits(const es_events *events, const es_curve_ask *ask);
/* `cache`: of each layer, or the one. `depths`: of the one cache objects + 2, of layers ES_RANKS_MOST + 2; the last stands for what was never used.
 * ES_EINTERNAL: no memory. */
es_code es_quick_lru(const es_events *events, const es_curve_ask *ask, const es_quick_cache *cache, uint32_t depths, es_arena *arena, es_err *err);

#endif
