/* gguf: the head of a GGUF file (versions 2 and 3, little endian): its tensors, the numbers among its keys, and tensors in the order in
 * which they stand. Just what the importance matrix of llama.cpp needs; text and arrays are passed over. */
#ifndef ES_TRACES_GGUF_H
#define ES_TRACES_GGUF_H

#include "sim/base/arena.h"
#include "traces/bytes.h"

enum { ES_GGUF_F32 = 0 };               /* type of a tensor */

typedef struct es_gguf_tensor { const char *name; uint64_t count, offset; uint32_t type; } es_gguf_tensor;     /* offset: in the data */

typedef struct es_gguf_value { const char *key; uint64_t value; } es_gguf_value;

typedef struct es_gguf {
    es_bytes bytes;
    uint64_t tensors, values, room;
    es_gguf_tensor *tensor;             /* [tensors] by offset; free with es_gguf_close */
    es_gguf_value *value;               /* [values] whole numbers that are not negative */
    uint64_t data;                      /* where the data begin */
    char sha256[65];                    /* after es_gguf_end */
} es_gguf;

/* Names live in the arena. */
es_code es_gguf_open(es_gguf *gguf, const char *path, es_arena *arena, es_err *err);
bool es_gguf_number(const es_gguf *gguf, const char *key, uint64_t *value);
/* The numbers of a tensor of 32-bit floats, until the next call. Tensors are read in their order. */
es_code es_gguf_read(es_gguf *gguf, const es_gguf_tensor *tensor, const unsigned char **at, es_err *err);
/* Goes to the end of the file, for its hash. */
es_code es_gguf_end(es_gguf *gguf, es_err *err);
void es_gguf_close(es_gguf *gguf);

#endif
