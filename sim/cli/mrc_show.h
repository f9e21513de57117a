/* Mrc for people: a table and what follows from it, and two figures. */
#ifndef ES_CLI_MRC_SHOW_H
#define ES_CLI_MRC_SHOW_H

#include "sim/study/mrc.h"

/* At most 30 lines. */
void mrc_show_text(const es_mrc *mrc, es_text *out);
/* "96" or "1.50 GiB": a capacity in what the curves count. */
void mrc_show_capacity(const es_mrc *mrc, uint64_t capacity, es_text *out);
/* Miss ratio against capacity as mrc.gp, and by layer as mrc-layers.gp, each with its data, drawn as svg and png where there is a gnuplot.
 * Nothing where nothing was looked up. A line of `out` for each says what came of it. */
es_code mrc_show_figures(const es_mrc *mrc, const char *dir, es_text *out, es_err *err);

#endif
