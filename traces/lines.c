/* Lines: see lines.h. */
#include "traces/lines.h"

#include <string.h>

#include "traces/assume.h"

es_code es_lines_at(const es_lines *lines, es_err *err)
{
    return es_err_at(err, "%s: line %llu", es_reader_path(lines->reader), (unsigned long long)es_reader_line_number(lines->reader));
}

static es_code lines_torn(es_lines *lines, const char *expected, es_err *err)
{
    const unsigned long long number = es_reader_line_number(lines->reader);
    if (lines->lenient) {
        es_assume(lines->notes, "line %llu, the last, is cut short; it was left out", number);
        return ES_OK;
    }
    es_code code = es_err_set(err, ES_EINPUT, "the file ends here without a line feed: it was cut, or one is missing; %s is expected, --lenient leaves the line out", expected);
    es_lines_at(lines, err);
    return code;
}

es_code es_lines_failed(es_lines *lines, es_code code, const char *expected, es_err *err)
{
    if (lines->open && code == ES_EINPUT)
        return lines_torn(lines, expected, err);
    return es_lines_at(lines, err), code;
}

/* Does it end with a bracket that closes something, but for blanks? */
static bool lines_closed(const char *line, size_t length)
{
    while (length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\t'))
        length--;
    return length > 0 && (line[length - 1] == ']' || line[length - 1] == '}');
}

/* A call costs more than looking at a few bytes. */
static inline bool lines_zero(const char *line, size_t length)
{
    if (length > 24)
        return memchr(line, '\0', length) != NULL;
    bool zero = false;
    for (size_t i = 0; i < length; i++)
        zero |= line[i] == '\0';
    return zero;
}

es_code es_lines_next(es_lines *lines, const char *expected, char **line, size_t *length, es_err *err)
{
    for (;;) {
        es_code code = es_reader_line(lines->reader, line, length, err);
        if (code || !*line)
            return code;
        if (lines_zero(*line, *length)) {
            code = es_err_set(err, ES_EINPUT, "holds a byte 0; %s is expected", expected);
            return es_lines_at(lines, err), code;
        }
        lines->open = !es_reader_line_ended(lines->reader);
        if (lines->open && !lines_closed(*line, *length)) {
            *line = NULL;
            return lines_torn(lines, expected, err);
        }
        if (*length == 0)
            continue;
        return code;
    }
}
