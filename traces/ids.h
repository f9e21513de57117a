/* Ids: lists of experts as arrays hold them, made 16 bits wide and looked through many at a time.
 *
 * Nothing is looked at alone unless something is wrong: the extremes of a block and "some row lists one twice" come out of loops
 * that compile to vector code, and who is told so goes through the rows to find the place. */
#ifndef ES_TRACES_IDS_H
#define ES_TRACES_IDS_H

#include "traces/trace.h"

typedef enum es_ids_type { ES_IDS_U8, ES_IDS_I8, ES_IDS_U16, ES_IDS_I16, ES_IDS_U32, ES_IDS_I32, ES_IDS_U64, ES_IDS_I64, ES_IDS_TYPES } es_ids_type;

typedef struct es_ids_range { int64_t low, high; } es_ids_range;

size_t es_ids_size(es_ids_type type);   /* bytes of one */

/* Makes `count` little-endian numbers 16 bits wide; says the lowest and the highest as they were. -1 becomes ES_NO_EXPERT. */
es_ids_range es_ids_widen(uint16_t *to, const unsigned char *from, es_ids_type type, size_t count);
/* Number `i` of them as it was, for messages. */
int64_t es_ids_number(const unsigned char *from, es_ids_type type, size_t i);
/* The highest of at least one id. */
uint16_t es_ids_highest(const uint16_t *ids, size_t count);
/* Turns big-endian numbers into little-endian ones. */
void es_ids_swap(unsigned char *numbers, size_t size, size_t count);

enum { ES_IDS_NARROW = 16, ES_IDS_ROWS = 8 };   /* rows up to this wide are compared in place, so many at a time */

typedef struct es_ids_twice {
    uint32_t k;
    uint8_t turn[4][16];                /* rows of up to 8: bytes of the row turned by 1, 2, 3, 4 places; beyond the row 0x80, nothing */
    uint16_t lanes[8];                  /* all ones within such a row */
    uint16_t mask[ES_IDS_NARROW][ES_IDS_ROWS * ES_IDS_NARROW];  /* [d]: all ones where the id `d` places on is of the same row */
    uint64_t seen[(ES_TRACE_EXPERTS_MAX + 1) / 64];             /* of a wide row; all 0 between rows */
} es_ids_twice;

void es_ids_twice_init(es_ids_twice *twice, uint32_t k);
/* Does a row list an id twice? Also true of a row with two empty places. */
bool es_ids_repeat(es_ids_twice *twice, const uint16_t *ids, size_t rows);

#endif
