/* Exporting a trace as neutral CSV (see csv.c for the columns), through gzip when the name ends in ".gz". */
#ifndef ES_TRACES_EXPORT_H
#define ES_TRACES_EXPORT_H

#include "traces/trace.h"

/* All steps of an open source, from its beginning; `ask` says what to write beside the ids (it must have been opened with it).
 * The plainest of the three forms that loses nothing is chosen: by request, batched, or with both step and request. "-" is standard
 * output. The file appears whole or not at all. */
es_code es_trace_export_csv(const char *path, const es_source *source, void *self, const es_source_ask *ask, es_err *err);

#endif
