/* Predictor: which objects will be wanted soon. Its guesses are queued behind all demands, in its order. */
#ifndef ES_PART_PREDICTOR_H
#define ES_PART_PREDICTOR_H

#include "sim/part/fact.h"

typedef struct es_guess {
    es_oid object;
    float confidence;           /* 0..1 */
} es_guess;

typedef enum es_point {
    ES_BEFORE_LOOKUP,           /* at a gate, before its event is looked up: for that event's layer first of all */
    ES_AFTER_GATE, ES_STEP_END  /* for the layer that comes next */
} es_point;

typedef struct es_predict_ask {
    es_point point;
    const es_event *event;      /* whose gate was just passed (BEFORE_LOOKUP: is); the rows of its step are readable through it */
    uint32_t layer;             /* ordinal of the layer to guess for: the one that runs next (BEFORE_LOOKUP: now), or further ahead */
    bool next_step;             /* that layer belongs to the step after this one */
} es_predict_ask;

typedef struct es_predictor {
    es_part part;
    uint32_t (*predict)(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most);
    uint32_t points;            /* bit per es_point at which it wants to be asked; 0: AFTER_GATE */
    uint32_t (*asked)(const void *self);    /* the same where options decide it; NULL: points */
} es_predictor;

#endif
