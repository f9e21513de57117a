/* Draws by counter: see rng.h. */
#include "sim/base/rng.h"

static uint64_t rng_text(uint64_t h, const char *text)
{
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        h = es_mix(h ^ *p);
    return es_mix(h);
}

es_stream es_stream_of(uint64_t seed, uint64_t replication, const char *path, const char *purpose)
{
    return rng_text(rng_text(es_mix(es_mix(seed) ^ replication), path), purpose);
}
