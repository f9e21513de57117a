/* Observer: folds facts into a report; can change nothing. */
#ifndef ES_PART_OBSERVER_H
#define ES_PART_OBSERVER_H

#include "sim/part/fact.h"

struct es_h5;

typedef struct es_observer {
    es_part part;
    void (*report)(void *self, es_json *out);       /* adds its members to the result */
    es_code (*save)(void *self, struct es_h5 *file, es_err *err);  /* adds its tables to result.h5 (sim/base/h5.h); NULL: none */
    es_code (*verdict)(void *self, es_err *err);    /* at the end: ES_ECHECK when what it watches was broken (audit); NULL: fine */
} es_observer;

#endif
