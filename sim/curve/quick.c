/* Quick: see quick.h. */
#include "sim/curve/quick.h"

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#include "sim/curve/narrow.h"
#include "sim/curve/ranks.h"
#include "sim/curve/stack.h"

#define QUICK __attribute__((target("avx2,popcnt")))
#define QUICK_INLINE QUICK __attribute__((always_inline)) inline

enum {
    QUICK_LANES = 32,           /* bytes of a vector */
    QUICK_WORDS = 2048          /* most of a stack: beyond, counts of blocks cost less than counts of words */
};

bool es_quick_fits(const es_events *events, const es_curve_ask *ask)
{
    const bool plain = ask->rule == ES_CURVE_WAVES || ask->rule == ES_CURVE_TRIM || ask->rule == ES_CURVE_KEEP_BEST;
    const uint64_t objects = ask->per_layer ? events->experts : events->objects;
    return ask->means == ES_CURVE_QUICKEST && __builtin_cpu_supports("avx2") && plain && es_narrow_fits(events) && events->widest > 0 && events->lookups < UINT32_MAX &&
        (ask->per_layer ? objects <= ES_RANKS_MOST : objects <= QUICK_WORDS * 64 / 8);
}

static inline uint32_t quick_kind(uint8_t flags)
{
    return flags & ES_EVENT_SKIPPED ? 2 : flags & ES_EVENT_DECODE;
}

/* ---- one cache for each layer ---- */

typedef struct quick_layer {
    __m256i there;              /* lane d: bit 4 * (c - 1) is set where the cache of c slots has the object of depth d + 1 */
    __m256i hits[ES_QUICK_KINDS];   /* lane c - 1 of so many slots */
    int8_t *rank;               /* [vectors * QUICK_LANES] less 128 */
    uint64_t *found;
} quick_layer;

/* Sums over the lanes up to each. */
QUICK_INLINE static __m256i quick_sums(__m256i x)
{
    x = _mm256_add_epi32(x, _mm256_slli_si256(x, 4));
    x = _mm256_add_epi32(x, _mm256_slli_si256(x, 8));
    const __m256i half = _mm256_permutevar8x32_epi32(x, _mm256_set1_epi32(3));
    return _mm256_add_epi32(x, _mm256_blend_epi32(_mm256_setzero_si256(), half, 0xf0));
}

/* narrow.h for all lookups at once: the last of the event stands in lane 0, its caches are digits of four bits. `ranks` has a byte for each,
 * 255 where there is none. */
QUICK_INLINE static void quick_narrow(quick_layer *layer, uint32_t kind, uint64_t ranks, uint32_t n)
{
    const __m256i ones = _mm256_set1_epi32(0x11111111), place = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i used = _mm256_and_si256(ones, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), place));
    const __m256i reach = _mm256_set1_epi32((int)0xfedcba98);   /* 8 + c - 1 less k keeps its highest bit while k < c */
    const __m256i rank = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)ranks));
    const __m256i had = _mm256_and_si256(_mm256_permutevar8x32_epi32(layer->there, rank), _mm256_cmpgt_epi32(_mm256_set1_epi32(8), rank));
    const __m256i missed = _mm256_xor_si256(used, had), sums = quick_sums(missed), before = _mm256_sub_epi32(sums, missed);
    const __m256i all = _mm256_permutevar8x32_epi32(sums, _mm256_set1_epi32(7));
    const __m256i behind = _mm256_sub_epi32(_mm256_add_epi32(all, _mm256_mullo_epi32(place, ones)), before);
    const __m256i stays = _mm256_and_si256(_mm256_srli_epi32(_mm256_sub_epi32(reach, before), 3), missed);
    const __m256i keeps = _mm256_and_si256(_mm256_srli_epi32(_mm256_sub_epi32(reach, behind), 3), had);
    const __m256i hits = _mm256_sub_epi32(_mm256_set1_epi32((int)(0x11111111u * n)), all);
    const __m256i digit = _mm256_and_si256(_mm256_srlv_epi32(hits, _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28)), _mm256_set1_epi32(15));
    layer->there = _mm256_or_si256(stays, keeps);
    layer->hits[kind] = _mm256_add_epi32(layer->hits[kind], digit);
}

QUICK_INLINE static void quick_layer_event(quick_layer *layer, const uint16_t *id, uint32_t kind, uint32_t depths, uint32_t n, uint32_t vectors, bool narrow)
{
    int8_t *rank = layer->rank;
    uint64_t *found = layer->found + (size_t)kind * depths + (1 - ES_RANKS_FIRST);      /* by rank, which is negative for half of them */
    uint64_t ranks = ~0ull;
    __m256i stood[ES_NARROW_MOST];
    for (uint32_t i = 0; i < n; i++) {
        const int8_t was = rank[id[i]];
        found[was]++;
        stood[i] = _mm256_set1_epi8(was);
        if (narrow)
            ranks = ranks << 8 | (uint8_t)was;
    }
    for (uint32_t v = 0; v < vectors; v++) {
        const __m256i was = _mm256_load_si256((__m256i *)rank + v);
        __m256i now = was;
        for (uint32_t i = 0; i < n; i++)
            now = _mm256_sub_epi8(now, _mm256_cmpgt_epi8(stood[i], was));
        _mm256_store_si256((__m256i *)rank + v, now);
    }
    for (uint32_t i = 0; i < n; i++)
        rank[id[i]] = (int8_t)(ES_RANKS_FIRST + (int)(n - 1 - i));
    if (narrow)
        quick_narrow(layer, kind, ranks ^ 0x8080808080808080 >> (64 - 8 * n), n);
}

QUICK_INLINE static void quick_layers_walk(const es_events *events, bool reset, quick_layer *layers, uint32_t depths, uint32_t n, uint32_t vectors, bool narrow)
{
    const uint16_t *id = events->id;
    for (uint32_t e = 0; e < events->count; e++, id += n) {
        const uint8_t flags = events->flags[e];
        for (uint32_t l = 0; reset && flags & ES_EVENT_FRESH && l < events->layers; l++)
            memset(layers[l].rank, INT8_MAX, (size_t)vectors * QUICK_LANES);    /* and nobody finds his way to `there` */
        quick_layer_event(&layers[events->layer[e]], id, quick_kind(flags), depths, n, vectors, narrow);
    }
}

QUICK static void quick_layers_any(const es_events *events, bool reset, quick_layer *layers, uint32_t depths, uint32_t vectors, bool narrow)
{
    /* with the usual numbers as constants the inner loops fall away */
    if (narrow && events->widest == 4 && vectors == 1)
        quick_layers_walk(events, reset, layers, depths, 4, 1, true);
    else if (narrow && events->widest == 8)
        quick_layers_walk(events, reset, layers, depths, 8, vectors, true);
    else if (narrow && events->widest == 6)
        quick_layers_walk(events, reset, layers, depths, 6, vectors, true);
    else
        quick_layers_walk(events, reset, layers, depths, events->widest, vectors, narrow);
}

QUICK static es_code quick_layers(const es_events *events, const es_curve_ask *ask, const es_quick_cache *cache, uint32_t depths, es_arena *arena, es_err *err)
{
    const uint32_t vectors = (events->experts + QUICK_LANES - 1) / QUICK_LANES, n = events->widest;
    quick_layer *layers = ES_NEW_ARRAY(arena, events->layers, quick_layer);
    bool enough = layers != NULL;
    for (uint32_t l = 0; enough && l < events->layers; l++) {
        layers[l].found = cache[l].found;
        if (!(layers[l].rank = ES_NEW_ARRAY(arena, (size_t)vectors * QUICK_LANES, int8_t)))
            enough = false;
        else
            memset(layers[l].rank, INT8_MAX, (size_t)vectors * QUICK_LANES);
    }
    if (!enough)
        return es_err_nomem(err, "the ranks of an LRU curve");
    quick_layers_any(events, ask->reset, layers, depths, vectors, cache[0].more != NULL);
    for (uint32_t l = 0; l < events->layers; l++)
        for (uint32_t kind = 0; kind < ES_QUICK_KINDS; kind++)
            for (uint32_t c = 1; cache[l].more && c < n; c++)
                cache[l].more[(size_t)kind * n + c] = ((const uint32_t *)&layers[l].hits[kind])[c - 1];
    return ES_OK;
}

/* ---- one cache for all ---- */

typedef struct quick_stack {
    es_stack stack;
    uint8_t *count;             /* [words, and up to a whole vector] bits of each word; of word 0 anything */
    es_narrow narrow;
    bool apart;                 /* nothing of the event before was in a cache that it does not fit into: `narrow` is not written down */
} quick_stack;

/* Bytes from 31 - i on: those of the words behind word i of a vector. */
static const uint8_t quick_behind[2 * QUICK_LANES] __attribute__((aligned(64))) = {
    [32] = 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255};

QUICK_INLINE static uint32_t quick_depth(const quick_stack *q, uint32_t object)
{
    const es_stack *stack = &q->stack;
    const uint32_t place = stack->place[object], word = place >> 6, block = word / QUICK_LANES, last = (stack->next - 1) >> 6;
    const __m256i *count = (const __m256i *)q->count, none = _mm256_setzero_si256();
    const __m256i behind = _mm256_loadu_si256((const __m256i *)(quick_behind + QUICK_LANES - 1 - word % QUICK_LANES));
    __m256i sum = _mm256_sad_epu8(_mm256_and_si256(count[block], behind), none);
    for (uint32_t b = block + 1; b <= last / QUICK_LANES; b++)
        sum = _mm256_add_epi64(sum, _mm256_sad_epu8(count[b], none));
    const __m128i half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    const uint32_t far = (uint32_t)_mm_cvtsi128_si32(_mm_add_epi64(half, _mm_unpackhi_epi64(half, half)));
    return place ? far + (uint32_t)__builtin_popcountll(stack->live[word] >> (place & 63)) : stack->objects + 1;
}

static void quick_renew(quick_stack *q)
{
    es_stack_renew(&q->stack);
    for (uint32_t w = 0; w < q->stack.slots / 64; w++)
        q->count[w] = (uint8_t)__builtin_popcountll(q->stack.live[w]);
}

QUICK_INLINE static void quick_use(quick_stack *q, const uint16_t *id, uint32_t base, uint32_t n)
{
    es_stack *stack = &q->stack;
    const uint32_t next = stack->next, word = next >> 6, at = next & 63, left = 64 - at;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t *place = &stack->place[base + id[i]];
        stack->live[*place >> 6] &= ~(1ull << (*place & 63));
        q->count[*place >> 6]--;
        *place = next + i;
    }
    const uint64_t bits = (1ull << n) - 1;
    stack->live[word] |= bits << at;
    q->count[word] = (uint8_t)(q->count[word] + (n < left ? n : left));
    if (n > left) {
        stack->live[word + 1] |= bits >> left;
        q->count[word + 1] = (uint8_t)(q->count[word + 1] + n - left);
    }
    stack->next = next + n;
}

/* narrow.h, where nearly always nothing of the event was in any of its caches, for the events before were of other layers. */
QUICK_INLINE static void quick_follow(quick_stack *q, const uint32_t *depth, uint32_t nearest, uint32_t n, int64_t *more, int64_t *more_bytes, int64_t weight)
{
    static const uint32_t nowhere[ES_NARROW_MOST];
    if (nearest > n) {
        q->apart = true;
        return;
    }
    if (q->apart)
        es_narrow_event(&q->narrow, nowhere, n);
    q->apart = false;
    uint64_t hits = es_narrow_event(&q->narrow, depth, n);
    for (uint32_t c = 1; c < n; c++, hits >>= 8) {
        more[c] += (int64_t)(hits & 0xff);
        if (more_bytes)
            more_bytes[c] += (int64_t)(hits & 0xff) * weight;
    }
}

QUICK_INLINE static void quick_stack_walk(quick_stack *q, const es_events *events, const es_curve_ask *ask, const es_quick_cache *cache, uint32_t depths, uint32_t n)
{
    const uint16_t *id = events->id;
    for (uint32_t e = 0; e < events->count; e++, id += n) {
        const uint8_t flags = events->flags[e];
        const uint32_t kind = quick_kind(flags), base = es_events_base(events, e);
        uint64_t *found = cache->found + (size_t)kind * depths, *bytes = cache->bytes ? cache->bytes + (size_t)kind * depths : NULL;
        uint32_t depth[ES_NARROW_MOST], nearest = UINT32_MAX;
        if (ask->reset && flags & ES_EVENT_FRESH) {
            es_stack_empty(&q->stack);
            memset(q->count, 0, q->stack.slots / 64);
            q->narrow = (es_narrow){0};
            q->apart = false;
        }
        if (!es_stack_has_room(&q->stack, n))
            quick_renew(q);
        for (uint32_t i = 0; i < n; i++) {
            depth[i] = quick_depth(q, base + id[i]);
            nearest = depth[i] < nearest ? depth[i] : nearest;
            found[depth[i]]++;
        }
        const int64_t weight = bytes ? ask->weight[events->layer[e]] : 0;
        for (uint32_t i = 0; bytes && i < n; i++)
            bytes[depth[i]] += (uint64_t)weight;
        if (cache->more)
            quick_follow(q, depth, nearest, n, cache->more + (size_t)kind * n, cache->more_bytes ? cache->more_bytes + (size_t)kind * n : NULL, weight);
        quick_use(q, id, base, n);
    }
}

QUICK static es_code quick_one(const es_events *events, const es_curve_ask *ask, const es_quick_cache *cache, uint32_t depths, es_arena *arena, es_err *err)
{
    quick_stack q = {0};
    if (!es_stack_init(&q.stack, events->objects, es_curve_most(events, ask), arena))
        return es_err_nomem(err, "the stack of an LRU curve");
    q.stack.block = NULL;       /* words are counted here */
    if (!(q.count = ES_NEW_ARRAY(arena, (q.stack.slots / 64 + QUICK_LANES - 1) / QUICK_LANES * QUICK_LANES, uint8_t)))
        return es_err_nomem(err, "the stack of an LRU curve");
    if (events->widest == 4)
        quick_stack_walk(&q, events, ask, cache, depths, 4);
    else if (events->widest == 8)
        quick_stack_walk(&q, events, ask, cache, depths, 8);
    else
        quick_stack_walk(&q, events, ask, cache, depths, events->widest);
    return ES_OK;
}

es_code es_quick_lru(const es_events *events, const es_curve_ask *ask, const es_quick_cache *cache, uint32_t depths, es_arena *arena, es_err *err)
{
    return ask->per_layer ? quick_layers(events, ask, cache, depths, arena, err) : quick_one(events, ask, cache, depths, arena, err);
}

#else

bool es_quick_fits(const es_events *events, const es_curve_ask *ask)
{
    (void)events;
    (void)ask;
    return false;
}

es_code es_quick_lru(const es_events *events, const es_curve_ask *ask, const es_quick_cache *cache, uint32_t depths, es_arena *arena, es_err *err)
{
    (void)events;
    (void)ask;
    (void)cache;
    (void)depths;
    (void)arena;
    return es_err_set(err, ES_EINTERNAL, "no quick walk on this processor");
}

#endif
