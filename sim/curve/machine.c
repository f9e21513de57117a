/* Uses: see machine.h. One walk backwards; `last` holds where each object is used next of all that lies behind. */
#include "sim/curve/machine.h"

es_code es_uses_find(es_uses *uses, const es_events *events, es_arena *arena, es_err *err)
{
    const uint64_t lookups = events->lookups;
    const uint32_t objects = events->spaces * events->stride;
    if (lookups + objects > UINT32_MAX)
        return es_err_set(err, ES_EINPUT, "the trace has %llu lookups; bounds on time look ahead over fewer than %u", (unsigned long long)lookups,
            UINT32_MAX - objects);
    uint32_t *last = ES_NEW_ARRAY(arena, objects, uint32_t);
    uses->next = ES_NEW_ARRAY(arena, lookups + 1, uint32_t);
    uses->object = ES_NEW_ARRAY(arena, lookups + 1, uint32_t);
    if (!last || !uses->next || !uses->object)
        return es_err_nomem(err, "the next uses of the trace");
    for (uint32_t o = 0; o < objects; o++)
        last[o] = (uint32_t)lookups + o;
    for (uint32_t e = events->count; e-- > 0;) {
        const uint32_t base = es_events_base(events, e);
        for (uint64_t p = events->begin[e + 1]; p-- > events->begin[e];) {
            const uint32_t object = base + events->id[p];
            uses->object[p] = object;
            uses->next[p] = last[object];
            last[object] = (uint32_t)p;
        }
    }
    return ES_OK;
}
