/* Calibrate: opens a probe, plans, measures, closes: what `expertsim calibrate` does before it fits. */
#ifndef ES_CALIB_CALIBRATE_H
#define ES_CALIB_CALIBRATE_H

#include "calib/measure.h"
#include "sim/part/registry.h"

typedef struct calibrate_ask {
    const char *backend;        /* name of a probe */
    const es_json *options;     /* of it; NULL: none */
    const es_plugins *plugins;  /* whose probes are known, too; NULL: none */
    calib_ask plan;
    es_time budget;
} calibrate_ask;

/* Errors begin with the probe's name. calib_samples_free() in any case. `tell` may be NULL. */
es_code calibrate(const calibrate_ask *ask, const calib_tell *tell, calib_samples *samples, es_err *err);

#endif
