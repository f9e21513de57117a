/* A trace of buffers as the CSV that traces/buffers.c reads, with the lifetime of each in its own row. */
#ifndef ES_TRACES_BUFFERS_CSV_H
#define ES_TRACES_BUFFERS_CSV_H

#include "sim/base/text.h"
#include "sim/part/source.h"

/* All steps of an open source, from its beginning. How many tokens a step makes is not in the file: it is an option of its reader. */
es_code es_buffers_csv(const es_source *source, void *self, es_text *out, es_err *err);

#endif
