/* Next use: see next_use.h. One walk backwards; `seen` holds when each object is used next of all that lies behind. */
#include "sim/curve/next_use.h"

es_code es_next_use(const es_events *events, bool serialized, uint32_t **next, es_arena *arena, es_err *err)
{
    if (events->lookups >= ES_NEVER_USED)
        return es_err_set(err, ES_EINPUT, "the trace has %llu lookups; who looks ahead can do so over fewer than %llu", (unsigned long long)events->lookups,
            (unsigned long long)ES_NEVER_USED);
    uint32_t *out = ES_NEW_ARRAY(arena, events->lookups + 1, uint32_t), *seen = ES_NEW_ARRAY(arena, events->objects, uint32_t);
    if (!out || !seen)
        return es_err_nomem(err, "the next uses of the trace");
    for (uint32_t o = 0; o < events->objects; o++)
        seen[o] = ES_NEVER_USED;
    for (uint32_t e = events->count; e-- > 0;) {
        uint32_t *last = seen + es_events_base(events, e);
        for (uint64_t i = events->begin[e + 1]; i-- > events->begin[e];) {
            out[i] = last[events->id[i]];
            last[events->id[i]] = serialized ? (uint32_t)i : e;
        }
    }
    *next = out;
    return ES_OK;
}
