/* What tuners have in common: finding their knobs, and how full the machine is. */
#ifndef ES_TUNE_TUNE_H
#define ES_TUNE_TUNE_H

#include "sim/part/tuner.h"

/* The knob whose path the option `option` of the tuner says. */
static inline es_code tune_knob(const es_knobs *knobs, const char *option, const char *path, size_t *knob, es_err *err)
{
    *knob = es_knob_find(knobs, path);
    if (*knob < knobs->count)
        return ES_OK;
    return es_err_set(err, ES_EINPUT, "%s: no part of this run has a tunable option %s", option, path);
}

/* How full the serving tiers are together; what is everywhere at home is not under pressure. */
static inline double tune_fullness(const es_view *view)
{
    double used = 0.0, room = 0.0;
    for (uint32_t t = 0; t < view->tiers; t++) {
        const es_tier_view *tier = &view->tier[t];
        if (!tier->serving || tier->home)
            continue;
        for (uint32_t w = 0; w < view->words; w++)
            used += (double)__builtin_popcountll(tier->resident[w]) * (double)tier->unit[w];
        room += (double)es_room_of(view, t);
    }
    return room > 0.0 ? used / room : 0.0;
}

#endif
