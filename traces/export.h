/* Exporting a trace to the formats that others read; through gzip or zstd when the name ends in ".gz" or ".zst". */
#ifndef ES_TRACES_EXPORT_H
#define ES_TRACES_EXPORT_H

#include "sim/base/text.h"
#include "traces/trace.h"

struct es_export;

typedef struct es_trace_form {          /* a format that can be written */
    const char *name, *brief;
    const char *lacks;                  /* what it cannot hold; NULL: nothing */
    const char *ending;                 /* of a file's name that means it, ".csv"; NULL: none does */
    bool plain;                         /* goes to a plain file only, not to a pipe and not compressed: something stands beside it */
    es_code (*write)(struct es_export *out, es_err *err);
} es_trace_form;

/* The i-th format, NULL past the end; the one that a file's name means, NULL: none. */
const es_trace_form *es_trace_form_at(size_t i);
const es_trace_form *es_trace_form_of(const char *path);

/* All steps of an open source, from its beginning; `ask` says what to write beside the ids (it must have been opened with it). What a
 * format cannot hold is an error where it is routing, and a sentence in `notes` (assume.h; may be NULL) where it goes with routing. "-" is
 * standard output. The file appears whole or not at all; a pipe or a device gets it as it comes. */
es_code es_trace_export(const es_trace_form *form, const char *path, const es_source *source, void *self, const es_source_ask *ask, es_text *notes, es_err *err);
/* Neutral CSV. The plainest of its three forms that loses nothing is chosen: by request, batched, or with both step and request. */
es_code es_trace_export_csv(const char *path, const es_source *source, void *self, const es_source_ask *ask, es_err *err);

#endif
