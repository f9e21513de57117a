/* trace check, of a file that is open. */
#ifndef ES_CLI_TRACE_CHECK_H
#define ES_CLI_TRACE_CHECK_H

#include "sim/study/feed.h"

/* Prints what was found, or adds it to a list, `all`. model_path: a file of models/shapes to compare with; NULL: the one that the trace names, if it is known. */
es_code trace_check_feed(es_feed *feed, const char *path, const char *model_path, es_json *all, es_err *err);

#endif
