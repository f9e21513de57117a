/* Are the chunks of a dataset as long as they should be?
 *
 * A chunk that went through filters (shuffle, deflate, fletcher32) has no length of its own: the library (libhdf5 1.10 at least) copies a whole
 * chunk out of whatever the filters leave, and reads beyond it where a damaged file left less. So each chunk is taken through its filters
 * here first, by length alone; rows that were looked at are not looked at again while reading goes on in their order. */
#ifndef ES_BASE_H5_CHUNKS_H
#define ES_BASE_H5_CHUNKS_H

#include <hdf5.h>

#include "sim/base/err.h"

enum { H5_RANK_MAX = 4, H5_FILTERS_MAX = 3 };

typedef struct es_h5_chunks {
    int rank, filters;                          /* filters 0: nothing to look at */
    hsize_t side[H5_RANK_MAX];                  /* of a chunk */
    uint64_t bytes;                             /* of a whole chunk */
    H5Z_filter_t filter[H5_FILTERS_MAX];        /* as written: the last is the first to read */
    hsize_t first, end;                         /* rows that were looked at */
    unsigned char *stored;                      /* a chunk as the file has it */
    size_t room;
} es_h5_chunks;

/* Looks at the chunks of rows [first, end) of DATA, whose dimensions are AT. NAME begins an error. */
es_code es_h5_chunks_look(es_h5_chunks *chunks, hid_t data, const hsize_t *at, hsize_t first, hsize_t end, const char *name, es_err *err);
void es_h5_chunks_free(es_h5_chunks *chunks);

#endif
