/* Tuner: turns options marked tunable, inside their bounds, at its wake. */
#ifndef ES_PART_TUNER_H
#define ES_PART_TUNER_H

#include "sim/part/fact.h"

typedef struct es_knob {        /* one tunable option of one part of the run */
    const char *path;           /* "policy.l2_threshold" */
    const es_option *option;
    double *value;              /* REAL options only */
} es_knob;

typedef struct es_tuner {
    es_part part;
    void (*adjust)(void *self, const es_knob *knobs, size_t count);  /* may write *value within [min, max] */
} es_tuner;

#endif
