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

/* ---- in bytes ---- */

enum { SPLIT_TRIES = 4000000 };         /* of groups.h: some tenths of a second, for experts of three sizes and more */

typedef struct split_size {     /* the layers whose experts are of one size */
    uint32_t layers, width;     /* width: slots of all of them, and one */
    uint32_t *layer;            /* [layers] */
    uint64_t *most;             /* [width] hits of the best division of so many slots among them */
    uint32_t *taken;            /* [layers][width] */
} split_size;

/* The layers of the size of layer `first`, none where an earlier layer has that size. */
static bool split_size_make(split_size *size, const es_curve *curves, uint32_t layers, const int64_t *bytes, uint32_t first, bool decode, es_arena *arena)
{
    *size = (split_size){.layer = ES_NEW_ARRAY(arena, layers, uint32_t)};
    for (uint32_t l = 0; size->layer && l < layers; l++)
        if (bytes[l] == bytes[first] && l < first)
            return true;
        else if (bytes[l] == bytes[first])
            size->layer[size->layers++] = l;
    size->width = size->layers * curves[0].sizes + 1;
    uint64_t *before = ES_NEW_ARRAY(arena, size->width, uint64_t);
    size->most = ES_NEW_ARRAY(arena, size->width, uint64_t);
    size->taken = ES_NEW_ARRAY(arena, (size_t)size->width * size->layers, uint32_t);
    if (!size->layer || !before || !size->most || !size->taken)
        return false;
    for (uint32_t i = 0; i < size->layers; i++) {
        split_layer(&curves[size->layer[i]], decode, size->width - 1, before, size->most, size->taken + (size_t)i * size->width);
        memcpy(before, size->most, size->width * sizeof *before);
    }
    return true;
}

/* Slots of a layer that gets as many bytes as each other. */
static uint32_t split_even(const es_curve *curve, uint32_t layers, int64_t bytes, uint64_t total)
{
    const uint64_t slots = total / layers / (uint64_t)bytes;
    return slots < curve->sizes ? (uint32_t)slots : curve->sizes;
}

es_code es_split_in_bytes(const es_curve *curves, uint32_t layers, const int64_t *bytes, uint64_t total, bool decode, es_split_bytes *out, es_arena *arena,
    es_err *err)
{
    split_size *size = ES_NEW_ARRAY(arena, layers, split_size);
    es_group *group = ES_NEW_ARRAY(arena, layers, es_group);
    uint32_t *slots = ES_NEW_ARRAY(arena, layers, uint32_t), count = 0;
    bool enough = size && group && slots;
    *out = (es_split_bytes){.slots = slots};
    for (uint32_t l = 0; enough && l < layers; l++) {
        enough = split_size_make(&size[count], curves, layers, bytes, l, decode, arena);
        group[count] = (es_group){.cost = (uint64_t)bytes[l], .most = size[count].width - 1, .value = size[count].most};
        count += size[count].layers > 0;
        out->equal += split_hits(&curves[l], decode, split_even(&curves[l], layers, bytes[l], total));
    }
    if (!enough)
        return es_err_nomem(err, "the division over layers");
    es_groups best;
    es_code code = es_groups_best(group, count, total, SPLIT_TRIES, &best, arena, err);
    for (uint32_t g = 0; g < count && code == ES_OK; g++)
        for (uint32_t i = size[g].layers, left = best.taken[g]; i-- > 0; left -= slots[size[g].layer[i]])
            slots[size[g].layer[i]] = size[g].taken[(size_t)i * size[g].width + left];
    for (uint32_t l = 0; l < layers && code == ES_OK && best.value < out->equal; l++)       /* given up too early to have met it */
        slots[l] = split_even(&curves[l], layers, bytes[l], total);
    out->best = best.value < out->equal ? out->equal : best.value;
    out->bound = best.bound;
    return code;
}
