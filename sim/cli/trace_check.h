/* trace check, of a file that is open. */
#ifndef ES_CLI_TRACE_CHECK_H
#define ES_CLI_TRACE_CHECK_H

#include "sim/study/feed.h"

/* Prints what was found. model_path: a file of models/shapes to compare with; NULL: the one that the trace names, if it is known. */
es_code trace_check_feed(es_feed *feed, const char *path, const char *model_path, bool as_json, es_err *err);

#endif
