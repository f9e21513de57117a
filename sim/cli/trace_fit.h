/* trace fit: a trace told by numbers, and how alike what is drawn from them behaves. */
#ifndef ES_CLI_TRACE_FIT_H
#define ES_CLI_TRACE_FIT_H

#include "sim/base/err.h"

/* Estimates a likeness from the trace at `path`, writes it to `out` (NULL: nowhere) and prints how far the curves of what it draws are from
 * those of requests that it was not estimated from. */
es_code cmd_trace_fit(const char *path, const char *format, const char *out, bool json, es_err *err);

#endif
