/* Fit: what the samples of one row say: a curve, how wrong it is, how sure it is, and the noise around it.
 *
 * The error that counts is that of sizes which the fit did not see: every fourth is held out, the curve is fitted to the rest,
 * knees and all. Above ES_FIT_REFUSED nothing should be simulated with it, above ES_FIT_WARNED one is warned. */
#ifndef ES_CALIB_FIT_H
#define ES_CALIB_FIT_H

#include "calib/curve.h"
#include "calib/noise.h"
#include "calib/sample.h"
#include "models/profile_fit.h"

enum { FIT_SIZES = 96, FIT_RESAMPLES = 400 };

typedef struct fit_size {       /* the samples of one size, in the order of their rounds */
    double bytes, median;
    double *ns;                 /* 0 ns as half of the clock's last digit: logarithms need something */
    uint32_t *round;            /* of each */
    size_t count;
} fit_size;

typedef struct fit_interval {
    double low, high;           /* 95 % */
} fit_interval;

typedef struct calib_fit {
    fit_size size[FIT_SIZES];   /* ascending; their medians are times that the clock told from none */
    size_t sizes, samples;
    size_t instant, instant_samples;    /* sizes whose median is 0 ns: below the clock's last digit, in none of the above; their samples */
    bool fitted;                /* false: fewer than three sizes; nothing below is set */
    calib_curve curve;
    double error_median, error_p95, error_holdout;  /* relative, of the medians; holdout NaN: fewer than eight sizes */
    double mean_over_median;    /* of all samples, by their size: what totals are larger by than medians promise */
    double lag1;                /* autocorrelation of the log residuals of a size from one round to the next */
    size_t block;               /* rounds that a resample draws together */
    bool resampled;
    fit_interval alpha, rate[CURVE_PIECES], knee[CURVE_PIECES];     /* ns, bytes per second, bytes; [0] of knee is not used */
    fit_interval band[FIT_SIZES];   /* ns: what the resamples say of each size */
    calib_noise noise;
} calib_fit;

typedef struct fit_ask {
    bool pages;                 /* memory is taken: its pages may be of two sizes */
    uint32_t count;             /* only the samples with this count; 0: all */
    size_t resamples;           /* of the rounds, for the intervals; 0: none */
    uint64_t seed;
} fit_ask;

/* Memory comes from the arena. The only error is that there is none. */
es_code calib_fit_series(calib_fit *fit, const calib_series *series, const fit_ask *ask, es_arena *arena, es_err *err);
/* Only the sizes with their samples and medians, nothing fitted. */
es_code calib_fit_medians(calib_fit *fit, const calib_series *series, const fit_ask *ask, es_arena *arena, es_err *err);
/* Bytes at which half the rate is reached. */
double calib_fit_half(const calib_fit *fit);

#endif
