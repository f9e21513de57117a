/* Uses: see machine.h. */
#include "sim/curve/machine.h"

#include "sim/curve/next_use.h"

es_code es_uses_find(es_uses *uses, const es_events *events, es_arena *arena, es_err *err)
{
    const uint64_t lookups = events->lookups;
    const uint32_t objects = events->spaces * events->stride;
    if (lookups + objects > UINT32_MAX)
        return es_err_set(err, ES_EINPUT, "the trace has %llu lookups; bounds on time look ahead over fewer than %u", (unsigned long long)lookups,
            UINT32_MAX - objects);
    es_code code = es_next_use(events, true, &uses->next, arena, err);
    if (code)
        return code;
    uses->object = ES_NEW_ARRAY(arena, lookups + 1, uint32_t);
    if (!uses->object)
        return es_err_nomem(err, "the next uses of the trace");
    for (uint32_t e = 0; e < events->count; e++) {
        const uint32_t base = es_events_base(events, e);
        for (uint64_t p = events->begin[e]; p < events->begin[e + 1]; p++) {
            uses->object[p] = base + events->id[p];
            if (uses->next[p] == ES_NEVER_USED)
                uses->next[p] = (uint32_t)lookups + uses->object[p];
        }
    }
    return ES_OK;
}
