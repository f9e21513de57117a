/* HDF5 made small: files, attributes, one-dimensional and n-dimensional arrays that can be appended to, byte-identical output.
 *
 * Every error names the file and the object. No HDF5 message is printed on stderr. Dataset times are not tracked and the
 * library version bounds are fixed, so the same calls write the same bytes. */
#ifndef ES_BASE_H5_H
#define ES_BASE_H5_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"

typedef struct es_h5 es_h5;             /* an open file */
typedef struct es_h5_data es_h5_data;   /* an open dataset */

typedef enum es_h5_type { ES_H5_U8, ES_H5_U16, ES_H5_U32, ES_H5_I32, ES_H5_I64, ES_H5_F32, ES_H5_F64, ES_H5_TEXT } es_h5_type;

es_code es_h5_create(es_h5 **out, const char *path, es_err *err);     /* replaces what is there */
es_code es_h5_open(es_h5 **out, const char *path, bool write, es_err *err);
bool es_h5_is(const char *path);                                      /* by signature */
es_code es_h5_close(es_h5 *file, es_err *err);                        /* reports what could not be written; frees in any case */

bool es_h5_has(es_h5 *file, const char *path);
es_code es_h5_group(es_h5 *file, const char *path, es_err *err);      /* with its parents; fine when there */
/* Names of what a group holds, in the order of their bytes; `tell` stops by returning false. A group that is missing holds nothing. */
es_code es_h5_each(es_h5 *file, const char *group, bool (*tell)(void *self, const char *name), void *self, es_err *err);
/* A link to an object of another file, whose path is relative to this file. Readers here do not follow it; h5py and h5dump do. */
es_code es_h5_link_outside(es_h5 *file, const char *path, const char *other, const char *object, es_err *err);
es_code es_h5_put_text(es_h5 *file, const char *object, const char *name, const char *value, es_err *err);     /* attributes */
es_code es_h5_put_int(es_h5 *file, const char *object, const char *name, int64_t value, es_err *err);
es_code es_h5_put_real(es_h5 *file, const char *object, const char *name, double value, es_err *err);
es_code es_h5_get_text(es_h5 *file, const char *object, const char *name, char **value, es_err *err);          /* free() it */
es_code es_h5_get_int(es_h5 *file, const char *object, const char *name, int64_t *value, es_err *err);
es_code es_h5_get_real(es_h5 *file, const char *object, const char *name, double *value, es_err *err);
bool es_h5_has_attr(es_h5 *file, const char *object, const char *name);

/* A dataset of rank 1..4 whose first dimension grows; `chunk_rows` rows per chunk; deflate 0..9 (0: none, with shuffle otherwise).
 * dims[1..] are fixed. */
es_code es_h5_data_create(es_h5_data **out, es_h5 *file, const char *path, es_h5_type type, int rank, const uint64_t *dims, uint64_t chunk_rows, int deflate, es_err *err);
es_code es_h5_data_open(es_h5_data **out, es_h5 *file, const char *path, es_err *err);
int es_h5_data_rank(const es_h5_data *data);
const uint64_t *es_h5_data_dims(const es_h5_data *data);              /* rank entries, current */
es_h5_type es_h5_data_type(const es_h5_data *data);                   /* of the file */
/* Rows [first, first + count) converted to `type` in memory; beyond the end is an error. */
es_code es_h5_data_read(es_h5_data *data, es_h5_type type, uint64_t first, uint64_t count, void *out, es_err *err);
es_code es_h5_data_append(es_h5_data *data, es_h5_type type, uint64_t count, const void *rows, es_err *err);
es_code es_h5_data_replace(es_h5_data *data, es_h5_type type, uint64_t count, const void *rows, es_err *err);   /* all rows, by these */
void es_h5_data_close(es_h5_data *data);
/* A dataset of bytes as a text that ends with 0; free() it. Longer than `most` is ES_EINPUT. */
es_code es_h5_load_text(es_h5 *file, const char *path, uint64_t most, char **text, uint64_t *length, es_err *err);

/* A table of compound rows with fixed-width members (what pandas reads with [:]). */
typedef struct es_h5_column {
    const char *name;
    es_h5_type type;            /* ES_H5_TEXT: char[width], padded with 0 */
    size_t offset, width;       /* width only for text */
    const char *units, *long_name;
} es_h5_column;
/* `rows`: about how many there will be, so that a short table takes a short chunk; 0: not known. */
es_code es_h5_table_create(es_h5_data **out, es_h5 *file, const char *path, const es_h5_column *columns, size_t column_count, size_t row_bytes,
    uint64_t rows, es_err *err);
/* The columns of these names and types of a table that is there, into rows of memory like those that were appended. */
es_code es_h5_table_open(es_h5_data **out, es_h5 *file, const char *path, const es_h5_column *columns, size_t column_count, size_t row_bytes, es_err *err);
/* The columns that a table has, in its order; `tell` stops by returning false. Of each: name, type (I64 for all integers, F64 for all others that
 * are numbers, TEXT and its width), the rest empty. What is none of these is left out. Valid within `tell`. */
es_code es_h5_table_each(es_h5 *file, const char *path, bool (*tell)(void *self, const es_h5_column *column), void *self, es_err *err);
es_code es_h5_table_read(es_h5_data *table, uint64_t first, uint64_t count, void *rows, es_err *err);
es_code es_h5_table_append(es_h5_data *table, uint64_t count, const void *rows, es_err *err);

#endif
