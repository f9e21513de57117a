/* Coming: where the trace's next use of a layer stands in the future. Shared by the predictors that know what comes. */
#ifndef ES_PREDICT_COMING_H
#define ES_PREDICT_COMING_H

#include "sim/part/predictor.h"

/* The events [*from, *to) of the layer asked for, in the step asked for, on the way forward; false when it has none there. Asked before the
 * lookup, the event at hand is itself still to come. */
static inline bool coming_events(const es_view *view, const es_predict_ask *ask, uint64_t *from, uint64_t *to)
{
    const es_future *future = view->future;
    const uint64_t at = ask->event->index;
    bool next_step = false;
    for (uint64_t i = ask->point == ES_BEFORE_LOOKUP ? at : at + 1; i < future->events; i++) {
        const uint32_t layer = future->layer[i];
        if (i > at && future->kind[i] & ES_COMING_STEP) {
            if (next_step)
                return false;
            next_step = true;
        }
        if (next_step != ask->next_step || future->kind[i] & ES_COMING_BACK)
            continue;
        if (layer > ask->layer)
            return false;
        if (layer == ask->layer) {
            *from = i++;
            while (i < future->events && future->layer[i] == layer && !future->kind[i])
                i++;
            *to = i;
            return true;
        }
    }
    return false;
}

/* Choices of the option `point`, in the order of es_point. */
static const char *const coming_points[] = {"before_lookup", "after_gate", "step_end", NULL};

/* How many layers on the one asked for comes; 0 when it is the one whose gate comes now. */
static inline uint32_t coming_distance(const es_view *view, const es_predict_ask *ask)
{
    return ask->layer + (ask->next_step ? view->layers : 0) - ask->event->layer;
}

#endif
