/* npy head: what a NumPy .npy file says before its numbers (format versions 1 to 3). */
#ifndef ES_TRACES_NPY_HEAD_H
#define ES_TRACES_NPY_HEAD_H

#include "traces/ids.h"

enum { ES_NPY_RANK = 8, ES_NPY_HEAD = 1 << 20 };        /* most axes, most bytes of a head */

typedef struct es_npy_head {
    char kind;                          /* 'i', 'u', 'f', as NumPy names types; '{': a record of several */
    uint32_t size;                      /* bytes of a number */
    bool big_endian, fortran;           /* fortran: the first axis is the fastest */
    uint32_t rank;
    uint64_t shape[ES_NPY_RANK];
    uint64_t bytes;                     /* of the head: the numbers follow */
} es_npy_head;

/* How many bytes a head that begins so has; 0: this is no .npy file, or too short to tell. */
uint64_t es_npy_length(const unsigned char *head, size_t length);
/* Parses it; the caller adds the file. */
es_code es_npy_parse(es_npy_head *out, const unsigned char *head, size_t length, es_err *err);

/* The integer type of its numbers; false: they are no integers of 1, 2, 4 or 8 bytes. */
bool es_npy_ids_type(const es_npy_head *head, es_ids_type *type);
/* Do integers that begin so look like counts of uses? Along the last axis ids of a row differ; counts do not for long. One row in many whose
 * ids repeat is a fault of ids, unless the layers of a set have as many uses each, as counts have. */
bool es_npy_counts(const es_npy_head *npy, const unsigned char *head, size_t length);

#endif
