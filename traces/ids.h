/* Ids: lists of experts as arrays hold them, made 16 bits wide and looked through many at a time.
 *
 * Nothing is looked at alone unless something is wrong: the extremes of a block and "some row lists one twice" come out of loops
 * that compile to vector code, and who is told so goes through the rows to find the place. */
#ifndef ES_TRACES_IDS_H
#define ES_TRACES_IDS_H

#include <string.h>
#if defined(__SSE4_1__)
#include <smmintrin.h>
#endif

#include "traces/trace.h"

typedef enum es_ids_type { ES_IDS_U8, ES_IDS_I8, ES_IDS_U16, ES_IDS_I16, ES_IDS_U32, ES_IDS_I32, ES_IDS_U64, ES_IDS_I64, ES_IDS_TYPES } es_ids_type;

typedef struct es_ids_range { int64_t low, high; } es_ids_range;

size_t es_ids_size(es_ids_type type);   /* bytes of one */

/* Makes `count` little-endian numbers 16 bits wide; says the lowest and the highest as they were. -1 becomes ES_NO_EXPERT. */
es_ids_range es_ids_widen(uint16_t *to, const unsigned char *from, es_ids_type type, size_t count);
enum { ES_IDS_EIGHT = 8 };              /* ids that the functions for one row take and write at a time: up to seven more than it has */

/* For the loop over rows of a format: it is compiled for rows of eight, which most are, and for all others. */
#define ES_IDS_INLINE static inline __attribute__((always_inline))

typedef uint8_t es_ids_bytes __attribute__((vector_size(8)));
typedef uint16_t es_ids_words __attribute__((vector_size(16)));

static inline uint32_t es_ids_words_all(es_ids_words words)
{
    uint32_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits |= words[i];
    return bits;
}

/* What of eight ids is of a row that has `left` more. */
ES_IDS_INLINE es_ids_words es_ids_within(size_t left)
{
    const uint16_t f = UINT16_MAX;
    const es_ids_words all = { f, f, f, f, f, f, f, f }, place = { 0, 1, 2, 3, 4, 5, 6, 7 };
    const uint16_t count = (uint16_t)(left < ES_IDS_EIGHT ? left : ES_IDS_EIGHT);
    return left >= ES_IDS_EIGHT ? all : (es_ids_words)(place < count);
}

/* Eight bytes made words: one instruction, which gcc does not find. */
ES_IDS_INLINE es_ids_words es_ids_wide(const unsigned char *from)
{
#if defined(__SSE4_1__)
    return (es_ids_words)_mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)from));
#else
    es_ids_bytes bytes;
    memcpy(&bytes, from, sizeof bytes);
    return __builtin_convertvector(bytes, es_ids_words);
#endif
}

/* A row of ids alone, made 16 bits wide; *seen gathers all bits that are set in one. */
ES_IDS_INLINE void es_ids_row_u8(uint16_t *restrict to, const unsigned char *restrict from, size_t k, es_ids_words *seen)
{
    for (size_t i = 0; i < k; i += ES_IDS_EIGHT) {
        const es_ids_words words = es_ids_wide(from + i);
        memcpy(to + i, &words, sizeof words);
        *seen |= words & es_ids_within(k - i);
    }
}

ES_IDS_INLINE void es_ids_row_u16(uint16_t *restrict to, const unsigned char *restrict from, size_t k, es_ids_words *seen)
{
    for (size_t i = 0; i < k; i += ES_IDS_EIGHT) {
        es_ids_words words;
        memcpy(&words, from + 2 * i, sizeof words);
        memcpy(to + i, &words, sizeof words);
        *seen |= words & es_ids_within(k - i);
    }
}

/* Rows of 32 bits, of which all bits are gathered: those beyond 16 say that an id is none. */
typedef uint32_t es_ids_four __attribute__((vector_size(16)));
typedef struct es_ids_bits { es_ids_four bits, last[2]; } es_ids_bits;    /* last: all ones in what a row has behind its whole eights */

static inline es_ids_bits es_ids_bits_of(size_t k)
{
    es_ids_bits out = { { 0 }, { { 0 }, { 0 } } };
    for (size_t j = 0; j < k % ES_IDS_EIGHT; j++)
        out.last[j / 4][j % 4] = UINT32_MAX;
    return out;
}

ES_IDS_INLINE void es_ids_row_u32(uint16_t *restrict to, const unsigned char *restrict from, size_t k, es_ids_bits *seen)
{
    for (size_t i = 0; i < k; i += ES_IDS_EIGHT) {
        es_ids_four a, b;
        memcpy(&a, from + 4 * i, sizeof a);
        memcpy(&b, from + 4 * i + sizeof a, sizeof b);
        seen->bits |= i + ES_IDS_EIGHT <= k ? a | b : (a & seen->last[0]) | (b & seen->last[1]);
        for (size_t j = 0; j < ES_IDS_EIGHT; j++) {
            uint32_t id;
            memcpy(&id, from + 4 * (i + j), sizeof id);
            to[i + j] = (uint16_t)id;
        }
    }
}

static inline uint32_t es_ids_bits_all(const es_ids_bits *seen)
{
    return seen->bits[0] | seen->bits[1] | seen->bits[2] | seen->bits[3];
}

/* Number `i` of them as it was, for messages. */
int64_t es_ids_number(const unsigned char *from, es_ids_type type, size_t i);
/* The highest of at least one id. */
uint16_t es_ids_highest(const uint16_t *ids, size_t count);
/* Turns big-endian numbers into little-endian ones. */
void es_ids_swap(unsigned char *numbers, size_t size, size_t count);

enum { ES_IDS_NARROW = 16, ES_IDS_ROWS = 8 };   /* rows up to this wide are compared in place, so many at a time */

typedef struct es_ids_twice {
    uint32_t k;
    bool wide;                  /* the processor has registers for two of these rows (AVX2) */
    uint8_t turn[4][16];                /* rows of up to 8: bytes of the row turned by 1, 2, 3, 4 places; beyond the row 0x80, nothing */
    uint16_t lanes[8];                  /* all ones within such a row */
    uint16_t mask[ES_IDS_NARROW][ES_IDS_ROWS * ES_IDS_NARROW];  /* [d]: all ones where the id `d` places on is of the same row */
    uint64_t seen[(ES_TRACE_EXPERTS_MAX + 1) / 64];             /* of a wide row; all 0 between rows */
} es_ids_twice;

void es_ids_twice_init(es_ids_twice *twice, uint32_t k);
/* Does a row list an id twice? Also true of a row with two empty places. */
bool es_ids_repeat(es_ids_twice *twice, const uint16_t *ids, size_t rows);

#endif
