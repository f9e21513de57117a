/* Curve: what passes share: see curve.h. */
#include "sim/curve/curve.h"

#include <assert.h>

const uint64_t *es_curve_capacities(const es_events *events, const es_curve_ask *ask, uint32_t *sizes, es_arena *arena)
{
    *sizes = ask->sizes;
    if (ask->capacity)
        return ask->capacity;
    *sizes = (uint32_t)es_curve_most(events, ask);
    uint64_t *every = ES_NEW_ARRAY(arena, *sizes, uint64_t);
    for (uint32_t i = 0; every && i < *sizes; i++)
        every[i] = i + 1;
    return every;
}

es_code es_curve_sum(const es_curve *curves, uint32_t count, es_curve *out, es_arena *arena, es_err *err)
{
    const uint32_t sizes = curves[0].sizes;
    uint64_t *hits = ES_NEW_ARRAY(arena, sizes, uint64_t), *decode = ES_NEW_ARRAY(arena, sizes, uint64_t);
    if (!hits || !decode)
        return es_err_nomem(err, "a curve");
    *out = (es_curve){.sizes = sizes, .capacity = curves[0].capacity, .hits = hits, .decode_hits = decode};
    for (uint32_t c = 0; c < count; c++) {
        assert(curves[c].sizes == sizes);
        out->accesses += curves[c].accesses;
        out->decode_accesses += curves[c].decode_accesses;
        for (uint32_t i = 0; i < sizes; i++) {
            hits[i] += curves[c].hits[i];
            decode[i] += curves[c].decode_hits[i];
        }
    }
    return ES_OK;
}
