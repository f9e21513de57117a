/* Dense, inside: what its halves share. dense.c looks through the array once, dense_read.c gives steps. */
#ifndef ES_TRACES_DENSE_INSIDE_H
#define ES_TRACES_DENSE_INSIDE_H

#include "traces/dense.h"

enum { DENSE_BLOCK = 32 * 1024 };       /* bytes looked at together: they and their ids stay in the cache */

/* Bytes of a token, where tokens are slowest. */
static inline size_t dense_token_bytes(const es_dense *dense)
{
    return (size_t)dense->form.layers * dense->form.top_k * es_ids_size(dense->form.type);
}

/* Number `i` of the array is no expert: an error that says where it stands. */
es_code dense_fault(const es_dense *dense, uint64_t i, es_err *err, const char *fmt, ...) ES_PRINTF(4, 5);
/* The next `count` numbers of the array, which were peeked at, as ids; those out of range are errors. `empty`: some are -1. */
es_code dense_widen(es_dense *dense, const unsigned char *from, uint64_t first, size_t count, uint16_t *to, bool *empty, es_err *err);
/* Leaves of rows of the file those of layers that are kept, in place. Layers that are left out for their zeros must hold nothing else. */
es_code dense_keep(const es_dense *dense, uint16_t *ids, uint64_t first, uint64_t tokens, es_err *err);
/* Are rows, as they are given, each of different experts with empty places at the end? `empty`: there are some. */
es_code dense_rows(es_dense *dense, const uint16_t *ids, uint64_t first, uint64_t tokens, bool empty, es_err *err);
/* Nothing may stand behind an array whose length is known. */
es_code dense_behind(es_dense *dense, es_err *err);
/* The array of any other order, kept in memory; sets form.tokens. */
es_code dense_load(es_dense *dense, es_err *err);
/* Looks at the ids of whole tokens for what they say about layers, and counts. `first`: their first token. */
void dense_count(es_dense *dense, const uint16_t *ids, uint64_t first, uint64_t tokens, bool empty);

#endif
