/* Files as a whole: loaded, written so that a reader sees all of one or none, and the folders for them. */
#ifndef ES_BASE_FILE_H
#define ES_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"
#include "sim/base/text.h"

/* The whole file, terminated by an extra 0 byte. Free *data with free(). Larger than `limit` is an error. */
es_code es_file_load(const char *path, size_t limit, char **data, size_t *length, es_err *err);

/* Where a file that is to appear whole is written: beside the one that it replaces, to which links are followed. What is no file, a named pipe
 * or a device, is never replaced: it takes the bytes as they come. */
typedef struct es_file_target {
    char *path;                         /* that is replaced */
    char *name;                         /* to write under: path.tmp, or the path itself */
    bool through;                       /* it is that of a pipe or a device */
} es_file_target;

es_code es_file_target_find(es_file_target *target, const char *path, es_err *err);
es_code es_file_target_keep(const es_file_target *target, es_err *err);    /* gives what was written its name */
void es_file_target_drop(const es_file_target *target);                     /* removes it */
void es_file_target_free(es_file_target *target);
/* Writes a target, flushes it to the disk and gives it its name: a reader sees the whole file or none. */
es_code es_file_save(const char *path, const void *data, size_t length, es_err *err);
es_code es_file_make_dirs(const char *path, es_err *err);
/* A new empty folder that is ours alone, in TMPDIR or /tmp: "/tmp/expertsim-WHAT-x8Kq2v" is added to *path. */
es_code es_file_make_scratch(const char *what, es_text *path, es_err *err);

#endif
