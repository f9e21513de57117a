/* A small HDF5 file, made without the library: what es_h5_create_small opens. See h5_small.c. */
#ifndef ES_BASE_H5_SMALL_H
#define ES_BASE_H5_SMALL_H

#include "sim/base/h5.h"

typedef struct es_h5_small es_h5_small;

es_h5_small *es_h5_small_new(void);     /* NULL: no memory */
void es_h5_small_free(es_h5_small *small);
es_code es_h5_small_group(es_h5_small *small, const char *path, es_err *err);
/* An attribute of ES_H5_TEXT (its final 0 is among the bytes), ES_H5_I64 or ES_H5_F64; one of that name is replaced. */
es_code es_h5_small_put(es_h5_small *small, const char *object, const char *name, es_h5_type type, const void *value, size_t bytes, es_err *err);
es_code es_h5_small_text(es_h5_small *small, const char *path, const char *bytes, uint64_t length, es_err *err);
/* Once. */
es_code es_h5_small_write(es_h5_small *small, const char *path, es_err *err);

#endif
