/* Tuner: turns options of other parts while the run goes on, at its wake, or gives experts another precision. It moves nothing and sees what
 * every part sees.
 *
 * A knob is an option marked `tunable` of one of the run's parts: policy, predictor, dispatcher, router and the parts of the
 * machine. Its path is that of the config. A value set is first brought inside the option's bounds and, where the option is
 * whole, rounded; the part reads it from then on, and ES_FACT_TURN tells of it when it is another than before. */
#ifndef ES_PART_TUNER_H
#define ES_PART_TUNER_H

#include <string.h>

#include "sim/part/fact.h"

typedef struct es_knob {
    const char *path;           /* "policy.l2_threshold" */
    const es_option *option;    /* bounds, unit; values are in the unit of its field, of an enum the place among its choices */
} es_knob;

typedef struct es_knobs {       /* as es_site.knobs too, so that a tuner can say at init what it does not find */
    const es_knob *knob;        /* [count], in the order of parts and options */
    size_t count;
    double (*get)(const struct es_knobs *knobs, size_t i);
    double (*set)(const struct es_knobs *knobs, size_t i, double value);    /* returns what it has now; NaN changes nothing */
    void *core;
} es_knobs;

/* The knob at a path; knobs->count: there is none. */
static inline size_t es_knob_find(const es_knobs *knobs, const char *path)
{
    size_t i = 0;
    while (i < knobs->count && strcmp(knobs->knob[i].path, path) != 0)
        i++;
    return i;
}

typedef struct es_tuner {
    es_part part;               /* with a wake, which says when next */
    void (*adjust)(void *self, const es_knobs *knobs);  /* after each of its wakes; NULL: it turns none */
    /* After each of its wakes: which precision the experts have from now on, [spaces][ids] numbers below view->variants, which come in as
     * they are. Set, every expert exists at every precision. NULL: they stay as they are. */
    void (*assign)(void *self, uint8_t *variant);
} es_tuner;

#endif
