/* Ids: see ids.h. */
#include "traces/ids.h"

#include <string.h>

#if defined(__SSSE3__)
#include <immintrin.h>
#define IDS_TURNS 1
#else
#define IDS_TURNS 0
#endif

enum { IDS_SHORT = 8 };

size_t es_ids_size(es_ids_type type)
{
    return (size_t)1 << (type / 2);
}

/* As plain as it can be: gcc and clang make vector code of reductions, which lanes that are kept by hand only hinder. */
#define IDS_WIDEN(NAME, TYPE)                                                                                                              \
    __attribute__((noinline)) static es_ids_range NAME(uint16_t *restrict to, const unsigned char *restrict from, size_t count)           \
    {                                                                                                                                      \
        TYPE low, high;                                                                                                                    \
        memcpy(&low, from, sizeof low);                                                                                                    \
        high = low;                                                                                                                        \
        for (size_t i = 0; i < count; i++) {                                                                                               \
            TYPE x;                                                                                                                        \
            memcpy(&x, from + i * sizeof x, sizeof x);                                                                                     \
            low = x < low ? x : low;                                                                                                       \
            high = x > high ? x : high;                                                                                                    \
            to[i] = (uint16_t)x;                                                                                                           \
        }                                                                                                                                  \
        return (es_ids_range){ (int64_t)low, (int64_t)high };                                                                              \
    }

IDS_WIDEN(ids_widen_u8, uint8_t)
IDS_WIDEN(ids_widen_i8, int8_t)
IDS_WIDEN(ids_widen_u16, uint16_t)
IDS_WIDEN(ids_widen_i16, int16_t)
IDS_WIDEN(ids_widen_u32, uint32_t)
IDS_WIDEN(ids_widen_i32, int32_t)
IDS_WIDEN(ids_widen_i64, int64_t)

es_ids_range es_ids_widen(uint16_t *to, const unsigned char *from, es_ids_type type, size_t count)
{
    if (count == 0)
        return (es_ids_range){ 0, 0 };
    switch (type) {
    case ES_IDS_U8:
        return ids_widen_u8(to, from, count);
    case ES_IDS_I8:
        return ids_widen_i8(to, from, count);
    case ES_IDS_U16:
        return ids_widen_u16(to, from, count);
    case ES_IDS_I16:
        return ids_widen_i16(to, from, count);
    case ES_IDS_U32:
        return ids_widen_u32(to, from, count);
    case ES_IDS_I32:
        return ids_widen_i32(to, from, count);
    case ES_IDS_U64:                    /* what is beyond 2^63 reads as below 0, and neither is an expert */
    case ES_IDS_I64:
    case ES_IDS_TYPES:
        break;
    }
    return ids_widen_i64(to, from, count);
}

int64_t es_ids_number(const unsigned char *from, es_ids_type type, size_t i)
{
    size_t size = es_ids_size(type);
    uint64_t value = 0;
    for (size_t b = 0; b < size; b++)
        value |= (uint64_t)from[i * size + b] << (8 * b);
    bool negative = type % 2 == 1 && size < 8 && value >> (8 * size - 1) != 0;
    return negative ? (int64_t)(value - (1ull << (8 * size))) : (int64_t)value;
}

uint16_t es_ids_highest(const uint16_t *ids, size_t count)
{
    uint16_t high = 0;
    for (size_t i = 0; i < count; i++)
        high = ids[i] > high ? ids[i] : high;
    return high;
}

void es_ids_swap(unsigned char *numbers, size_t size, size_t count)
{
    for (size_t i = 0; i < count; i++, numbers += size)
        for (size_t b = 0; b < size / 2; b++) {
            unsigned char held = numbers[b];
            numbers[b] = numbers[size - 1 - b];
            numbers[size - 1 - b] = held;
        }
}

/* --- twice ---------------------------------------------------------------------------------------------------------------------- */

void es_ids_twice_init(es_ids_twice *twice, uint32_t k)
{
    *twice = (es_ids_twice){ .k = k };
#if IDS_TURNS
    twice->wide = __builtin_cpu_supports("avx2");
#endif
    for (uint32_t d = 1; d < k && k <= ES_IDS_NARROW; d++)
        for (uint32_t i = 0; i < ES_IDS_ROWS * k; i++)
            twice->mask[d][i] = i % k + d < k ? UINT16_MAX : 0;
    for (uint32_t i = 0; i < IDS_SHORT; i++) {
        twice->lanes[i] = i < k ? UINT16_MAX : 0;
        for (uint32_t d = 0; d < 4; d++)
            for (uint32_t b = 0; b < 2; b++)
                twice->turn[d][2 * i + b] = (uint8_t)(i < k ? 2 * ((i + d + 1) % k) + b : 0x80);
    }
}

static bool ids_row_twice(es_ids_twice *twice, const uint16_t *row)
{
    bool again = false;
    for (uint32_t i = 0; i < twice->k; i++) {
        uint64_t *word = &twice->seen[row[i] >> 6], bit = 1ull << (row[i] & 63);
        again = again || (*word & bit) != 0;
        *word |= bit;
    }
    for (uint32_t i = 0; i < twice->k; i++)
        twice->seen[row[i] >> 6] = 0;
    return again;
}

typedef uint16_t ids_eight __attribute__((vector_size(16)));

static inline ids_eight ids_load(const uint16_t *from)
{
    ids_eight eight;
    memcpy(&eight, from, sizeof eight);
    return eight;
}

/* Eight rows against themselves moved by 1, 2 ... k - 1 places: eight ids in one comparison, whatever k is. Reads up to k - 1 ids
 * behind them. */
static bool ids_rows_twice(const es_ids_twice *twice, const uint16_t *ids)
{
    const size_t k = twice->k;
    ids_eight found = { 0 };
    for (size_t d = 1; d < k; d++) {
        const uint16_t *mask = twice->mask[d];
        for (size_t i = 0; i < ES_IDS_ROWS * k; i += 8)
            found |= (ids_eight)(ids_load(ids + i) == ids_load(ids + i + d)) & ids_load(mask + i);
    }
    uint64_t words[2];
    memcpy(words, &found, sizeof words);
    return (words[0] | words[1]) != 0;
}

#if IDS_TURNS
/* Rows of up to eight ids, each in one register: every two places of a row meet when it is turned by up to half its length. Reads
 * eight ids from the beginning of the last row. */
static bool ids_short_twice(const es_ids_twice *twice, const uint16_t *ids, size_t rows)
{
    const size_t k = twice->k;
    __m128i turn[4], found = _mm_setzero_si128();
    for (size_t d = 0; d < 4; d++)
        turn[d] = _mm_loadu_si128((const __m128i *)twice->turn[d < k / 2 ? d : k / 2 - 1]);
    for (size_t row = 0; row < rows; row++, ids += k) {
        const __m128i a = _mm_loadu_si128((const __m128i *)ids);
        const __m128i b = _mm_or_si128(_mm_cmpeq_epi16(a, _mm_shuffle_epi8(a, turn[0])), _mm_cmpeq_epi16(a, _mm_shuffle_epi8(a, turn[1])));
        const __m128i c = _mm_or_si128(_mm_cmpeq_epi16(a, _mm_shuffle_epi8(a, turn[2])), _mm_cmpeq_epi16(a, _mm_shuffle_epi8(a, turn[3])));
        found = _mm_or_si128(found, _mm_or_si128(b, c));
    }
    found = _mm_and_si128(found, _mm_loadu_si128((const __m128i *)twice->lanes));
    return _mm_movemask_epi8(found) != 0;
}

/* The same with two rows to a register. */
__attribute__((target("avx2"))) static bool ids_short_twice_wide(const es_ids_twice *twice, const uint16_t *ids, size_t rows)
{
    const size_t k = twice->k;
    __m256i turn[4], found = _mm256_setzero_si256();
    for (size_t d = 0; d < 4; d++)
        turn[d] = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)twice->turn[d < k / 2 ? d : k / 2 - 1]));
    for (size_t row = 0; row < rows; row += 2, ids += 2 * k) {
        const __m256i a = _mm256_loadu2_m128i((const __m128i *)(row + 1 < rows ? ids + k : ids), (const __m128i *)ids);
        const __m256i b = _mm256_or_si256(_mm256_cmpeq_epi16(a, _mm256_shuffle_epi8(a, turn[0])), _mm256_cmpeq_epi16(a, _mm256_shuffle_epi8(a, turn[1])));
        const __m256i c = _mm256_or_si256(_mm256_cmpeq_epi16(a, _mm256_shuffle_epi8(a, turn[2])), _mm256_cmpeq_epi16(a, _mm256_shuffle_epi8(a, turn[3])));
        found = _mm256_or_si256(found, _mm256_or_si256(b, c));
    }
    return !_mm256_testz_si256(found, _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)twice->lanes)));
}

/* Short rows: those that a register may be loaded from, and then copies of the last ones with room behind them. */
static bool ids_short(const es_ids_twice *twice, const uint16_t *ids, size_t rows)
{
    const size_t k = twice->k, inside = rows * k < IDS_SHORT ? 0 : (rows * k - IDS_SHORT) / k + 1;
    uint16_t last[2 * IDS_SHORT] = { 0 };
    memcpy(last, ids + inside * k, (rows - inside) * k * sizeof *ids);
    return (twice->wide ? ids_short_twice_wide : ids_short_twice)(twice, ids, inside) || ids_short_twice(twice, last, rows - inside);
}
#endif

/* Narrow rows, eight at a time: likewise, the rows behind the last ones each of ids that differ. */
static bool ids_narrow(const es_ids_twice *twice, const uint16_t *ids, size_t rows)
{
    const size_t k = twice->k;
    uint16_t last[(ES_IDS_ROWS + 1) * ES_IDS_NARROW] = { 0 };
    size_t row = 0;
    for (; row + ES_IDS_ROWS < rows; row += ES_IDS_ROWS)
        if (ids_rows_twice(twice, ids + row * k))
            return true;
    for (size_t i = 0; i < ES_IDS_ROWS * k; i++)
        last[i] = (uint16_t)(i % k);
    memcpy(last, ids + row * k, (rows - row) * k * sizeof *ids);
    return ids_rows_twice(twice, last);
}

bool es_ids_repeat(es_ids_twice *twice, const uint16_t *ids, size_t rows)
{
    const size_t k = twice->k;
    bool again = false;
    if (k < 2)
        return false;
#if IDS_TURNS
    if (k <= IDS_SHORT)
        return ids_short(twice, ids, rows);
#endif
    if (k <= ES_IDS_NARROW)
        return ids_narrow(twice, ids, rows);
    for (size_t row = 0; row < rows && !again; row++)
        again = ids_row_twice(twice, ids + row * k);
    return again;
}
