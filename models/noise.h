/* Noise: what was measured around a cost: T = cost * exp(e) + S. Shared by empirical.c and empirical_compute.c.
 *
 * e is drawn from the quantiles of the object's class of size, by inversion; a stall S comes with probability 1 - exp(-rate * cost)
 * and has quantiles of its own. Unlike jitter, the mean is not kept: noise of a machine is one-sided, and what it costs belongs to
 * the answer. Draws are by counter over (step, kind, object, occurrence), so two policies that do the same copy meet the same noise. */
#ifndef ES_MODELS_NOISE_H
#define ES_MODELS_NOISE_H

#include "models/profile_fit.h"
#include "sim/part/timing.h"

typedef struct es_noise {
    const es_json *json;
    es_fit fit;                 /* only its noise is set */
    es_stream stream;
} es_noise;

/* Reads `json`, after the options are parsed. `part` names the stream of its draws. */
es_code es_noise_init(es_noise *noise, const char *part, const es_site *site, es_err *err);
/* What the operation takes this time, by the cost that it has without noise. */
es_cost es_noise_cost(const es_noise *noise, es_cost cost, const es_op *op);

/* The option row of an es_noise that is the member `at` of a part's state. */
#define ES_NOISE_OPTION(state, at) \
    {.name = "noise", .type = ES_OPT_JSON, .offset = offsetof(state, at.json), .required = true, \
        .help = "As calibration writes it: {classes: [{below_B, log_quantiles}], stall: {rate_Hz, quantiles_s}}."}

#endif
