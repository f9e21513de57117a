/* Narrow: what small.h counts, where all events are of the same few lookups and no event repeats an expert. Then every smaller cache is out of
 * step after every event and holds nothing but a part of the last one, so that all of them are the bytes of a word: byte c - 1 is 1 where the
 * cache of c slots has the object. */
#ifndef ES_CURVE_NARROW_H
#define ES_CURVE_NARROW_H

#include "sim/curve/events.h"

enum { ES_NARROW_MOST = 8 };    /* lookups of an event */

typedef struct es_narrow {
    uint64_t there[ES_NARROW_MOST + 1]; /* by depth in the stack; 0 stands for all that are deeper than the last event: nowhere */
} es_narrow;

static inline bool es_narrow_fits(const es_events *events)
{
    return events->least == events->widest && events->widest <= ES_NARROW_MOST && events->touch == events->id;
}

/* After an event of n objects that stood at depth[]; returns the hits of the cache of c slots in byte c - 1, for c < n. */
static inline uint64_t es_narrow_event(es_narrow *narrow, const uint32_t *depth, uint32_t n)
{
    const uint64_t ones = 0x0101010101010101, reach = 0x8786858483828180;   /* 0x80 + c - 1 less k keeps its highest bit while k < c */
    uint64_t had[ES_NARROW_MOST], stays[ES_NARROW_MOST], hits = 0, behind = 0;
    for (uint32_t i = 0; i < n; i++) {
        had[i] = narrow->there[depth[i] <= n ? depth[i] : 0];
        hits += had[i];
    }
    /* the last c of those that were there and then those that were not: counted from the end */
    for (uint32_t i = n; i-- > 0;) {
        const uint64_t missed = ones ^ had[i];
        stays[i] = (reach - behind) >> 7 & missed;
        behind += missed;
    }
    for (uint32_t i = n; i-- > 0;) {
        narrow->there[n - i] = stays[i] | ((reach - behind) >> 7 & had[i]);
        behind += had[i];
    }
    return hits;
}

#endif
