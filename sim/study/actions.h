/* Actions: reads the log that observer `actions` wrote, and holds it against what a machine can have. */
#ifndef ES_STUDY_ACTIONS_H
#define ES_STUDY_ACTIONS_H

#include "sim/base/err.h"
#include "sim/part/action.h"

/* Every row, checked: ids ascend from 0, rows wait only for earlier ones, slots hold what is read from them. Errors name the file and the line.
 * es_actions_free() in any case. */
es_code es_actions_load(es_actions *log, const char *path, es_err *err);
void es_actions_free(es_actions *log);
/* All sizes times `factor`, in multiples of 4096: the same decisions about smaller (or larger) experts. */
void es_actions_scale(es_actions *log, double factor);

#endif
