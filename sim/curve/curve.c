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
    const bool weighed = curves[0].hit_bytes;
    uint64_t *row[4];
    for (int i = 0; i < 4; i++)
        if (!(row[i] = ES_NEW_ARRAY(arena, sizes, uint64_t)))
            return es_err_nomem(err, "a curve");
    *out = (es_curve){.sizes = sizes, .capacity = curves[0].capacity, .hits = row[0], .decode_hits = row[1]};
    out->hit_bytes = weighed ? row[2] : NULL;
    out->decode_hit_bytes = weighed ? row[3] : NULL;
    for (uint32_t c = 0; c < count; c++) {
        assert(curves[c].sizes == sizes);
        out->accesses += curves[c].accesses;
        out->decode_accesses += curves[c].decode_accesses;
        out->access_bytes += curves[c].access_bytes;
        out->decode_access_bytes += curves[c].decode_access_bytes;
        for (uint32_t i = 0; i < sizes; i++) {
            row[0][i] += curves[c].hits[i];
            row[1][i] += curves[c].decode_hits[i];
            row[2][i] += weighed ? curves[c].hit_bytes[i] : 0;
            row[3][i] += weighed ? curves[c].decode_hit_bytes[i] : 0;
        }
    }
    return ES_OK;
}
