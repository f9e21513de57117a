/* Split: see split.h. most[t] is the most hits of the layers so far with t slots; each further layer takes what it gains most from, and
 * remembers how much that was, so that the division can be read off backwards. */
#include "sim/curve/split.h"

#include <string.h>

/* Hits of a layer with so many slots. */
static inline uint64_t split_hits(const es_curve *curve, bool decode, uint32_t slots)
{
    const uint64_t *hits = decode ? curve->decode_hits : curve->hits;
    return slots == 0 ? 0 : hits[(slots < curve->sizes ? slots : curve->sizes) - 1];
}

static void split_layer(const es_curve *curve, bool decode, uint32_t total, const uint64_t *before, uint64_t *most, uint32_t *taken)
{
    for (uint32_t t = 0; t <= total; t++) {
        most[t] = before[t];
        taken[t] = 0;
        for (uint32_t s = 1; s <= t && s <= curve->sizes; s++) {
            const uint64_t hits = before[t - s] + split_hits(curve, decode, s);
            if (hits > most[t]) {
                most[t] = hits;
                taken[t] = s;
            }
        }
    }
}

es_code es_split_slots(const es_curve *curves, uint32_t layers, uint64_t total, bool decode, es_split *out, es_arena *arena, es_err *err)
{
    const uint64_t all = (uint64_t)layers * (layers > 0 ? curves[0].sizes : 0);
    const uint32_t slots = (uint32_t)(total < all ? total : all);
    const size_t width = (size_t)slots + 1;
    uint64_t *before = ES_NEW_ARRAY(arena, width, uint64_t), *most = ES_NEW_ARRAY(arena, width, uint64_t);
    uint32_t *taken = ES_NEW_ARRAY(arena, width * layers, uint32_t), *chosen = ES_NEW_ARRAY(arena, layers, uint32_t);
    if (!before || !most || !taken || !chosen)
        return es_err_nomem(err, "the division over layers");
    *out = (es_split){.total = slots, .slots = chosen};
    for (uint32_t l = 0; l < layers; l++) {
        split_layer(&curves[l], decode, slots, before, most, taken + l * width);
        memcpy(before, most, width * sizeof *before);
        out->equal += split_hits(&curves[l], decode, slots / layers + (l < slots % layers));
    }
    out->best = before[slots];
    for (uint32_t l = layers, left = slots; l-- > 0; left -= chosen[l])
        chosen[l] = taken[l * width + left];
    return ES_OK;
}
