/* Profile fit: what a calibration knows of a flow beyond its rate: the curve with its pieces, its errors, how sure it is, the noise.
 *
 *     "fit": {"model": "knee", "alpha_s": 9e-06, "beta_Bps": [25e9, 12e9], "knee_B": [1048576], "n_half_B": 225000,
 *             "error": {...}, "ci95": {...}, "noise": {...}, "samples": 4200, "stop": "precise"}
 *
 * Units are SI and stand in the keys: seconds, bytes, bytes per second. */
#ifndef ES_MODELS_PROFILE_FIT_H
#define ES_MODELS_PROFILE_FIT_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "sim/base/json.h"
#include "sim/base/option.h"

#define ES_FIT_REFUSED 0.15     /* error of held-out sizes above which nothing should be simulated with a fit */
#define ES_FIT_WARNED 0.08

enum { ES_FIT_PIECES = 3, ES_FIT_QUANTILES = 33 };

typedef enum es_fit_model { ES_FIT_AFFINE, ES_FIT_KNEE, ES_FIT_JUMP, ES_FIT_KNEES, ES_FIT_PAGES } es_fit_model;

typedef struct es_fit_noise {   /* a class of sizes */
    double below_bytes;         /* 0: all that are left */
    es_reals log_quantile;      /* [ES_FIT_QUANTILES] of ln(time / curve), ascending */
} es_fit_noise;

typedef struct es_fit {
    int model;                  /* es_fit_model */
    double alpha_s;             /* fixed time of one copy */
    double alpha_beyond_s;      /* jump: the fixed time beyond it */
    es_reals beta;              /* bytes per second, one per piece; of pages: of what fills no page, of what does */
    es_reals knee;              /* bytes, one fewer, ascending; of pages: their size */
    double n_half;              /* bytes at which half of the first rate is reached */
    double first_s, each_s;     /* of a batch, and of each copy in it; each_s 0: not known */
    double error_median, error_p95, error_holdout;      /* relative; holdout 0: not known */
    double mean_over_median;
    const es_fit_noise *noise;
    size_t noises;              /* 0: not known */
    double stall_hz;            /* stalls per second of operation */
    es_reals stall_s;           /* [ES_FIT_QUANTILES] their lengths, ascending; none when stall_hz is 0 */
} es_fit;

/* Errors name the key: "noise.classes.0.log_quantiles: 3 is below 4, its predecessor; quantiles ascend". */
es_code es_fit_parse(es_fit *fit, const es_json *object, bool forced, es_arena *arena, es_err *err);
/* Only `noise` and `stall_hz`, `stall_s`. */
es_code es_fit_parse_noise(es_fit *fit, const es_json *object, es_arena *arena, es_err *err);
/* {median, p95, holdout_median} of something else that was fitted. */
es_code es_fit_parse_error(const es_json *object, es_arena *arena, es_err *err);

/* What a fit says of a copy, in seconds. */
double es_fit_seconds(const es_fit *fit, double bytes);

extern const es_option es_fit_options[];

#endif
