/* Draws by counter: value = hash(stream, a, b, c, d). There is no state to advance, so a consumer that draws more shifts nobody
 * else's values, and policies can be compared under common random numbers.
 *
 * A stream is derived once from (seed, replication, config path of the consumer, purpose); a, b, c, d are the coordinates of
 * the draw: step, layer, expert, occurrence. The mixing function is the finaliser of SplitMix64 (Steele, Lea, Flood 2014). */
#ifndef ES_BASE_RNG_H
#define ES_BASE_RNG_H

#include <stdint.h>

typedef uint64_t es_stream;

static inline uint64_t es_mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* The stream of one consumer and purpose. */
es_stream es_stream_of(uint64_t seed, uint64_t replication, const char *path, const char *purpose);

static inline uint64_t es_draw(es_stream s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return es_mix(es_mix(es_mix(es_mix(s ^ a) ^ b) ^ c) ^ d);
}

/* Uniform in [0, 1), 53 bits. */
static inline double es_draw_real(es_stream s, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return (double)(es_draw(s, a, b, c, d) >> 11) * 0x1p-53;
}

/* Uniform in [0, n), n > 0, by Lemire's multiply-shift on 32 bits (bias below n / 2^32). */
static inline uint32_t es_draw_below(es_stream s, uint32_t n, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return (uint32_t)(((es_draw(s, a, b, c, d) >> 32) * n) >> 32);
}

#endif
