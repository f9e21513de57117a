/* Pictures: what was measured and what was made of it, as figures (plots/plot.h): of each row
 *
 *   ROW-time        medians with their intervals, the fit with its interval and its knees, over size
 *   ROW-residuals   what the samples of each size differ from the fit: median and quartiles
 *   ROW-qq          quantiles of the log residuals against those of a normal distribution of the same quartiles: the tail is what leaves the line
 *
 * of an expert its time over size by tokens, and of the questions what a thing takes beside another. */
#ifndef ES_CALIB_PICTURES_H
#define ES_CALIB_PICTURES_H

#include "calib/sample.h"
#include "sim/base/text.h"

typedef struct pictures_ask {
    const char *folder;         /* is made */
    size_t resamples;           /* for the intervals of fits; 0: none are drawn */
    uint64_t seed;
    bool svg, png;              /* what gnuplot is to draw; neither: both */
    /* Is this one wanted? `kind` is fit, residuals, qq or contention (those of plots/figures.h), `name` that of its files. NULL: all are. */
    bool (*wants)(void *self, const char *kind, const char *name, const char *title);
    void *self;
} pictures_ask;

/* Data and scripts, and what gnuplot draws of them. Where there is none, `told` gets a line how to draw them elsewhere. ES_EINPUT: the folder
 * cannot be written; ES_EDEVICE: gnuplot failed. */
es_code calib_pictures(const calib_samples *samples, const pictures_ask *ask, es_text *told, es_err *err);

#endif
