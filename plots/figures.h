/* Figures: which pictures a result can give, and drawing them.
 *
 *     figures *all;
 *     figures_open(&all, &(figures_ask){.path = paths, .count = 1}, err);
 *     for (size_t i = 0; i < figures_count(all); i++)
 *         if (!figures_at(all, i)->missing)
 *             figures_save(all, i, "out/figures", &drawn, err);      -> out/figures/NAME.svg, .png, .gp and .dat
 *     figures_free(all);
 *
 * A path is what other commands wrote, recognised by what is in it: a result.json or result.h5 or the folder of both, the folder of a
 * sweep or its collected table, compare.json, mrc.json, search.json, verdict.json, validate.json, or a machine's profile (the folder of one
 * of them will do). Several runs are a comparison: they are drawn into the same figures.
 *
 * Every kind of figure is listed, in the order of figures_kinds: with its title, which is worked out from the numbers, or with what is
 * missing for it. The same results give the same names, titles and bytes. Stable for callers: these functions, the names of kinds, and
 * that a figure is NAME.svg in the folder. Titles and notes are for people and may be worded otherwise. */
#ifndef ES_PLOTS_FIGURES_H
#define ES_PLOTS_FIGURES_H

#include <stdbool.h>
#include <stddef.h>

#include "sim/base/err.h"

typedef struct figures figures;

typedef struct figures_kind {
    const char *name;           /* "latency" */
    const char *asks;           /* the question it answers: "How long do tokens take, from the best to the worst?" */
} figures_kind;

extern const figures_kind figures_kinds[];      /* ends with a NULL name */

typedef struct figures_entry {
    const char *kind;           /* of figures_kinds */
    const char *name;           /* of its files: the kind, and "-2" ... where there are several of it */
    const char *title;          /* the finding: "Half of all tokens take 21.4 ms; 1 in 100 more than 63 ms"; NULL: it is missing */
    const char *missing;        /* "needs the series of a run: --set ..."; NULL: it can be drawn */
} figures_entry;

typedef struct figures_ask {
    const char *const *path;    /* "LABEL=PATH" names a run in legends */
    size_t count;
    bool svg, png;              /* what gnuplot is to draw; neither: both */
} figures_ask;

/* ES_EINPUT: a path that cannot be read, or is none of these; results of different sorts that cannot be set beside each other. figures_free() in
 * any case. */
es_code figures_open(figures **out, const figures_ask *ask, es_err *err);
void figures_free(figures *all);

size_t figures_count(const figures *all);
const figures_entry *figures_at(const figures *all, size_t i);  /* valid until figures_free */

/* Data and script into the folder, which is made, and what gnuplot draws of them. *drawn is false, and all else is well, where there is no
 * gnuplot on the PATH. ES_EINPUT: the folder cannot be written, or the figure is missing; ES_EDEVICE: gnuplot failed. */
es_code figures_save(const figures *all, size_t i, const char *folder, bool *drawn, es_err *err);

/* All that can be drawn of a path, in one call. *written: how many; with none of them *drawn is true. */
es_code figures_draw(const char *path, const char *folder, size_t *written, bool *drawn, es_err *err);

#endif
