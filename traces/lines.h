/* Lines: the lines of a text format, one after the other, with the two things that every such reader has to care for: where a fault
 * is, and a file that was cut.
 *
 * A line is whole when its line feed is there. A last line without one may have lost digits of its last number, which nothing else
 * would show, so it is an error, or with `lenient` it is left out and told. One that ends with a bracket which closes it has lost nothing: it
 * is given like any other, and is a torn one when it cannot be read (es_lines_read). */
#ifndef ES_TRACES_LINES_H
#define ES_TRACES_LINES_H

#include "sim/base/reader.h"
#include "sim/base/text.h"

typedef struct es_lines {
    es_reader *reader;          /* the caller's */
    es_text *notes;             /* where what was left out is told (assume.h); the caller's */
    bool lenient;
    bool open;                  /* the line given last has no line feed */
} es_lines;

/* The next line that is not empty, terminated; *line NULL: the end. `expected` says what would stand in a line, for the error. */
es_code es_lines_next(es_lines *lines, const char *expected, char **line, size_t *length, es_err *err);
/* What came of reading that line, `code`: its error gets the place, or the line is a torn one. */
es_code es_lines_failed(es_lines *lines, es_code code, const char *expected, es_err *err);
static inline es_code es_lines_read(es_lines *lines, es_code code, const char *expected, es_err *err)
{
    return code ? es_lines_failed(lines, code, expected, err) : ES_OK;
}
/* Puts "FILE: line N: " before an error that is about the line last given; returns its code. */
es_code es_lines_at(const es_lines *lines, es_err *err);

#endif
