/* Spool: bytes written once from front to back and then read as often as one likes.
 *
 * The first 16 MiB stay in memory; a longer spool moves to a file without a name in TMPDIR (or /tmp), which is gone when the spool
 * is freed or the process ends. So what it holds costs no more memory the longer it gets. */
#ifndef ES_TRACES_SPOOL_H
#define ES_TRACES_SPOOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"

enum { ES_SPOOL_MEMORY = 16 << 20, ES_SPOOL_VIEW = 1 << 20 };

typedef struct es_spool es_spool;

es_code es_spool_new(es_spool **out, es_err *err);
void es_spool_free(es_spool *spool);
es_code es_spool_add(es_spool *spool, const void *bytes, size_t count, es_err *err);
uint64_t es_spool_length(const es_spool *spool);

/* The `count` bytes at `at`, which must have been written; valid until the next call. At most ES_SPOOL_VIEW; going forward is quick. */
es_code es_spool_view(es_spool *spool, uint64_t at, size_t count, const unsigned char **bytes, es_err *err);
/* All of it at once, for reading in any order; nothing is added afterwards. */
es_code es_spool_map(es_spool *spool, const unsigned char **bytes, es_err *err);

#endif
