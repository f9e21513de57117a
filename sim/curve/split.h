/* Split: the best division of a total capacity over layers that each have a cache of their own.
 *
 * Exact for any curves by dynamic programming over layers; curves need not be concave (an LRU curve often is not). */
#ifndef ES_CURVE_SPLIT_H
#define ES_CURVE_SPLIT_H

#include "sim/curve/curve.h"
#include "sim/curve/groups.h"

typedef struct es_split {
    uint64_t total;             /* slots, of all layers */
    uint64_t best;              /* hits of the best division */
    uint64_t equal;             /* hits when each layer gets total / layers; what is left goes to the first layers, one slot each */
    const uint32_t *slots;      /* [layers] of the best division; of several the one that gives the later layers least */
} es_split;

/* `curves` hold every number of slots from 1 on, the same number of sizes for each layer, as a pass without capacities gives per layer.
 * `decode`: by hits of decode events. A total above what all layers have is cut to that. layers * total * sizes additions;
 * 4 bytes for each layer and slot of the total. */
es_code es_split_slots(const es_curve *curves, uint32_t layers, uint64_t total, bool decode, es_split *out, es_arena *arena, es_err *err);

/* The same in bytes, where experts of different layers may differ in size: `bytes` of an expert of each layer. Layers of one size are divided as above,
 * and the sizes among each other as groups.h does: exactly for one size or two. */
typedef struct es_split_bytes {
    uint64_t best;              /* hits of the best division found */
    uint64_t bound;             /* of no division more; where it is above `best` say bound, not optimum */
    uint64_t equal;             /* hits when each layer gets total / layers bytes */
    const uint32_t *slots;      /* [layers] of the division found */
} es_split_bytes;

es_code es_split_in_bytes(const es_curve *curves, uint32_t layers, const int64_t *bytes, uint64_t total, bool decode, es_split_bytes *out, es_arena *arena,
    es_err *err);

#endif
