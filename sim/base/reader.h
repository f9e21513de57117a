/* Streams of bytes and lines, gzip and zstd read through transparently (by content, not by name). */
#ifndef ES_BASE_READER_H
#define ES_BASE_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/err.h"

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

#endif
