/* SHA-256: the plain rounds of FIPS 180-4, and the same rounds with the CPU's SHA instructions. Which of the two is asked of the
 * CPU once per digest (cpuid is slow inside a virtual machine, and a cached answer would be a global). */
#include "sim/base/sha256.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define SHA_HAS_NI 1
#include <cpuid.h>
#include <immintrin.h>
#else
#define SHA_HAS_NI 0
#endif

static const uint32_t sha_round[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t sha_turn(uint32_t x, int by)
{
    return (x >> by) | (x << (32 - by));
}

static uint32_t sha_word(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

static void sha_blocks_plain(uint32_t state[8], const unsigned char *data, size_t blocks)
{
    for (; blocks > 0; blocks--, data += 64) {
        uint32_t w[64], s[8];
        for (int i = 0; i < 16; i++)
            w[i] = sha_word(data + 4 * i);
        for (int i = 16; i < 64; i++) {
            uint32_t a = w[i - 15], b = w[i - 2];
            w[i] = w[i - 16] + w[i - 7] + (sha_turn(a, 7) ^ sha_turn(a, 18) ^ (a >> 3)) + (sha_turn(b, 17) ^ sha_turn(b, 19) ^ (b >> 10));
        }
        memcpy(s, state, sizeof s);
        for (int i = 0; i < 64; i++) {
            uint32_t choose = (s[4] & s[5]) ^ (~s[4] & s[6]), most = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
            uint32_t t1 = s[7] + (sha_turn(s[4], 6) ^ sha_turn(s[4], 11) ^ sha_turn(s[4], 25)) + choose + sha_round[i] + w[i];
            uint32_t t2 = (sha_turn(s[0], 2) ^ sha_turn(s[0], 13) ^ sha_turn(s[0], 22)) + most;
            memmove(s + 1, s, 7 * sizeof s[0]);
            s[4] += t1;
            s[0] = t1 + t2;
        }
        for (int i = 0; i < 8; i++)
            state[i] += s[i];
    }
}

#if SHA_HAS_NI
/* The instructions keep the state as (A B E F) and (C D G H); each does two rounds, so four rounds take one load of constants. */
__attribute__((target("sha,sse4.1,ssse3"))) static void sha_blocks_ni(uint32_t state[8], const unsigned char *data, size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)&state[0]), 0xB1);
    __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(const void *)&state[4]), 0x1B);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xF0);
    for (; blocks > 0; blocks--, data += 64) {
        const __m128i abef_old = abef, cdgh_old = cdgh;
        __m128i w[4];
        for (int i = 0; i < 4; i++)
            w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(data + 16 * i)), swap);
        for (int i = 0; i < 16; i++) {
            const __m128i now = w[i & 3];
            __m128i sum = _mm_add_epi32(now, _mm_loadu_si128((const __m128i *)(const void *)&sha_round[4 * i]));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0E));
            /* w[t+16] from w[t], w[t+1], w[t+9] and w[t+14], four at a time; the last three turns make words nobody reads */
            __m128i next = _mm_add_epi32(_mm_sha256msg1_epu32(now, w[(i + 1) & 3]), _mm_alignr_epi8(w[(i + 3) & 3], w[(i + 2) & 3], 4));
            w[i & 3] = _mm_sha256msg2_epu32(next, w[(i + 3) & 3]);
        }
        abef = _mm_add_epi32(abef, abef_old);
        cdgh = _mm_add_epi32(cdgh, cdgh_old);
    }
    __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)(void *)&state[0], _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(void *)&state[4], _mm_alignr_epi8(dchg, feba, 8));
}
#endif

static bool sha_cpu_has(void)
{
#if SHA_HAS_NI
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSE4_1) || !(c & bit_SSSE3))
        return false;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
#else
    return false;
#endif
}

static void sha_blocks(es_sha256 *sha, const unsigned char *data, size_t blocks)
{
#if SHA_HAS_NI
    if (sha->fast) {
        sha_blocks_ni(sha->state, data, blocks);
        return;
    }
#endif
    sha_blocks_plain(sha->state, data, blocks);
}

void es_sha256_begin(es_sha256 *sha)
{
    static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    memset(sha, 0, sizeof *sha);
    memcpy(sha->state, start, sizeof start);
    sha->fast = sha_cpu_has();
}

void es_sha256_add(es_sha256 *sha, const void *data, size_t count)
{
    const unsigned char *from = data;
    size_t held = (size_t)(sha->bytes % 64);
    if (count == 0)
        return;
    sha->bytes += count;
    if (held > 0) {
        size_t take = 64 - held < count ? 64 - held : count;
        memcpy(sha->block + held, from, take);
        if (held + take < 64)
            return;
        sha_blocks(sha, sha->block, 1);
        from += take;
        count -= take;
    }
    sha_blocks(sha, from, count / 64);
    memcpy(sha->block, from + (count & ~(size_t)63), count % 64);
}

void es_sha256_hex(const es_sha256 *sha, char hex[65])
{
    es_sha256 last = *sha;
    unsigned char pad[72] = { 0x80 };
    size_t held = (size_t)(sha->bytes % 64), fill = (held < 56 ? 56 : 120) - held;
    for (int i = 0; i < 8; i++)
        pad[fill + (size_t)i] = (unsigned char)((sha->bytes * 8) >> (56 - 8 * i));
    es_sha256_add(&last, pad, fill + 8);
    for (int i = 0; i < 64; i++)
        hex[i] = "0123456789abcdef"[(last.state[i / 8] >> (28 - 4 * (i % 8))) & 15];
    hex[64] = '\0';
}
