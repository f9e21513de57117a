/* Log: a text format that is read line by line into a stream (stream.h). A format is a description of itself and a function that takes
 * a line; opening, the place of a fault, a cut end, notes and provenance are the same for all and done here.
 *
 *     typedef struct NAME { es_row_stream *stream; } NAME;
 *     static es_code NAME_open(...) { return es_log_open(&NAME_log, &((NAME *)self)->stream, ask, arena, err); } */
#ifndef ES_TRACES_LOG_H
#define ES_TRACES_LOG_H

#include "traces/assume.h"
#include "traces/field.h"
#include "traces/lines.h"
#include "traces/passes.h"

typedef struct es_log {                 /* lives while the file is read */
    es_lines lines;
    es_text notes;
    const es_source_ask *ask;
    es_arena *arena;
    es_row_stream *stream;
    es_passes *passes;                  /* NULL where rows say which token they belong to */
    void *parse;                        /* the format's own, zeroed */
    uint64_t record;                    /* the number of the line at hand */
} es_log;

typedef struct es_log_taken { size_t bytes; uint64_t lines; } es_log_taken;

typedef struct es_log_format {
    const char *name;
    const char *expected;               /* what a line looks like, for errors */
    size_t parse_bytes;                 /* of es_log.parse */
    bool passes, outputs, weights;      /* rows go to es_passes_add, with its `outputs`; rows carry weights */
    bool top_k;                         /* --top-k says how lines are read; else the rows must be as long */
    es_stream_rules rules;
    es_code (*begin)(es_log *log, es_err *err);             /* before the first line: is everything said that must be? NULL: it is */
    es_code (*line)(es_log *log, char *line, size_t length, es_err *err);
    /* Takes lines as they most often are, of whole ones with their ends, as far as they come; NULL: all lines go one by one to `line`. */
    es_code (*lines)(es_log *log, const char *text, size_t length, es_log_taken *taken, es_err *err);
    es_code (*end)(es_log *log, es_err *err);               /* behind the last line; NULL: nothing is left to be done */
    es_code (*about)(es_log *log, es_trace_info *info, es_err *err);    /* what else the format says; NULL: nothing */
} es_log_format;

/* Reads all of it. *stream is to be freed with es_stream_fini in any case. */
es_code es_log_open(const es_log_format *format, es_row_stream **stream, const es_source_ask *ask, es_arena *arena, es_err *err);

/* Bytes of the first line without its end; 0: it does not end here. For who knows a format by its header. */
static inline size_t es_log_first(const unsigned char *head, size_t length)
{
    const unsigned char *end = memchr(head, '\n', length);
    return end ? (size_t)(end - head) - (end > head && end[-1] == '\r') : 0;
}

/* Makes one blank of each run of blanks and tabs, and none at the ends, for formats whose fields stand between blanks. Returns the line. */
char *es_log_squeeze(char *line);

/* What is wrong with a field; it ends with `end` or the line. */
es_code es_log_fault(const char *p, char end, const char *name, const char *right, es_err *err);

/* The same field where it is no plain number: 33.0 or 33e0 are whole ones too. */
es_code es_log_other(const char **p, char end, const char *name, const char *right, uint32_t most, uint32_t *value, es_err *err);

/* A field that is a whole number below 2^32 and ends with `end` or the line; steps behind it, and behind `end`. */
static inline es_code es_log_u32(const char **p, char end, const char *name, uint32_t *value, es_err *err)
{
    const char *next = es_field_u32(*p, value);
    if (!next || (*next != end && *next != '\0'))
        return es_log_other(p, end, name, "a whole number below 4294967296", UINT32_MAX, value, err);
    *p = next + (*next == end && end != '\0');
    return ES_OK;
}

/* The same for the id of an expert, put behind the `*count` that are there. */
static inline es_code es_log_id(const char **p, char end, uint16_t *ids, uint32_t *count, es_err *err)
{
    uint32_t id = 0;
    const char *next = es_field_u32(*p, &id);
    if (!next || (*next != end && *next != '\0') || id >= ES_NO_EXPERT) {
        es_code code = es_log_other(p, end, "an expert", "a whole number below 65535", ES_NO_EXPERT - 1, &id, err);
        if (code)
            return code;
    } else {
        *p = next + (*next == end && end != '\0');
    }
    if (*count == ES_TRACE_TOP_K_MAX)
        return es_err_set(err, ES_EINPUT, "lists more than %d experts", ES_TRACE_TOP_K_MAX);
    ids[(*count)++] = (uint16_t)id;
    return ES_OK;
}

#endif
