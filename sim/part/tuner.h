/* Tuner: turns options while the run goes on, at its wake or when a step begins, or gives experts another precision. It moves nothing
 * and sees what every part sees.
 *
 * A knob is an option marked `tunable` of one of the run's parts (policy, predictor, dispatcher, router and the parts of the machine)
 * or of the core: compute.guess_top and compute.guess_confidence in a run with a predictor, tiers.NAME.share of every tier but home and those whose allocator places.
 * Its path is that of the config. A value set is first brought inside the option's bounds and, where the option is
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

/* What the field of an option that may be turned says. */
static inline double es_knob_read(const es_option *option, const void *field)
{
    switch (option->type) {
    case ES_OPT_BOOL:
        return *(const bool *)field;
    case ES_OPT_ENUM:
        return *(const int *)field;
    case ES_OPT_INT:
    case ES_OPT_TIME:
    case ES_OPT_BYTES:
        return (double)*(const int64_t *)field;
    default:
        return *(const double *)field;
    }
}

/* The knob at a path; knobs->count: there is none. */
static inline size_t es_knob_find(const es_knobs *knobs, const char *path)
{
    size_t i = 0;
    while (i < knobs->count && strcmp(knobs->knob[i].path, path) != 0)
        i++;
    return i;
}

typedef struct es_tuner {
    es_part part;               /* its wake says when next */
    void (*adjust)(void *self, const es_knobs *knobs);  /* after each of its wakes; NULL: it turns none then */
    void (*step)(void *self, uint64_t step, const es_knobs *knobs);     /* step number `step` of the run begins, from 0; under either clock.
                                                         * With it a wake is not needed. NULL: it goes by time only */
    /* After each of its wakes: which precision the experts have from now on, [spaces][ids] numbers below view->variants, which come in as
     * they are. Set, every expert exists at every precision; one tuner of a run may set it. NULL: they stay as they are. */
    void (*assign)(void *self, uint8_t *variant);
} es_tuner;

#endif
