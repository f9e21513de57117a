/* Lines: the lines of a text format, one after the other, with the two things that every such reader has to care for: where a fault
 * is, and a file that was cut.
 *
 * A line is whole when its line feed is there. A last line without one may have lost digits of its last number, which nothing else
 * would show, so it is an error, or with `lenient` it is left out and told. */
#ifndef ES_TRACES_LINES_H
#define ES_TRACES_LINES_H

#include "sim/base/file.h"

typedef struct es_lines {
    es_reader *reader;          /* the caller's */
    es_text *notes;             /* where what was left out is told (assume.h); the caller's */
    bool lenient;
    bool closed;                /* a line shows by itself whether it is whole (JSON): one without line feed is given like any other */
} es_lines;

/* The next line that is not empty, terminated; *line NULL: the end. `expected` says what would stand in a line, for the error. */
es_code es_lines_next(es_lines *lines, const char *expected, char **line, size_t *length, es_err *err);
/* Puts "FILE: line N: " before an error that is about the line last given; returns its code. */
es_code es_lines_at(const es_lines *lines, es_err *err);
/* A line of which only the beginning is there (`closed` formats): the error, or with `lenient` a note and ES_OK. */
es_code es_lines_torn(es_lines *lines, const char *expected, es_err *err);

#endif
