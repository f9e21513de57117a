/* Files: whole files and streams, gzip and zstd read through transparently (by content, not by name). */
#ifndef ES_BASE_FILE_H
#define ES_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"
#include "sim/base/text.h"

typedef struct es_reader es_reader;

/* Opens for reading; "-" is standard input. The error names the path and the reason. A descriptor ("-", "/dev/stdin", "/dev/fd/N") that is a
 * file is read from where it stands and left there, so it can be opened again. */
es_code es_reader_open(es_reader **out, const char *path, es_err *err);
/* Up to `count` decompressed bytes; fewer only at the end. A truncated or corrupt stream is an error. */
es_code es_reader_read(es_reader *reader, void *buffer, size_t count, size_t *got, es_err *err);
/* The next line without its end (LF or CRLF), terminated; NULL in *line at the end. Valid until the next call. Lines may be of any length.
 * A byte order mark before the first is passed over. */
es_code es_reader_line(es_reader *reader, char **line, size_t *length, es_err *err);
/* Whole lines that were read ahead, with their ends, for who takes many at once; *length 0: there are none, es_reader_line reads on. They
 * are consumed by es_reader_took, which counts them; the line given last is none then. */
const char *es_reader_lines(const es_reader *reader, size_t *length);
void es_reader_took(es_reader *reader, size_t bytes, uint64_t lines);
bool es_reader_line_ended(const es_reader *reader);         /* false: the line last given is the last one and lacks its line feed */
uint64_t es_reader_line_number(const es_reader *reader);    /* of the line last given, from 1 */
const char *es_reader_path(const es_reader *reader);
/* sha256 (64 hex digits) over the raw bytes of the file as read so far; the whole file once the end was met. */
void es_reader_sha256(const es_reader *reader, char hex[65]);
/* From here on the bytes are not hashed: for who reads a file a second time. */
void es_reader_unhashed(es_reader *reader);
/* Of a compressed stream that stops early: true: it ends there, and es_reader_cut says behind how many bytes; false: the error names --lenient. */
void es_reader_lenient(es_reader *reader, bool lenient);
bool es_reader_cut(const es_reader *reader, uint64_t *bytes);
void es_reader_close(es_reader *reader);
/* Makes a descriptor that gives its bytes once (a pipe, a socket, a terminal) one that can be opened again and again: they are copied into a
 * file without a name in TMPDIR, which the descriptor then is. Any other path is left as it is. */
es_code es_file_settle(const char *path, es_err *err);

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
