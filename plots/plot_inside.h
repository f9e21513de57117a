/* What the kinds of figures share: see plot.h. */
#ifndef ES_PLOTS_PLOT_INSIDE_H
#define ES_PLOTS_PLOT_INSIDE_H

#include "plots/plot.h"
#include "sim/base/text.h"

/* In single quotes, so that nothing in it is a command; quotes become apostrophes. */
void plot_put_quoted(es_text *out, const char *text);
/* " 0.25", or " NaN" where it is no number. */
void plot_put_number(es_text *out, double value);
/* `set title`, over two lines where one is too short, and the note below it. */
void plot_put_title(es_text *out, const char *title, const char *note);
/* The comment that a script begins with, and what every figure sets. */
void plot_put_head(es_text *out, const char *name, unsigned formats);
/* `plot` once for each format: what was written by `plot` is what follows it. */
void plot_put_terminals(es_text *out, const char *name, unsigned formats, const es_text *plot);
bool plot_name_is_sound(const char *name);
/* FOLDER/NAME.ENDING */
es_code plot_save(const es_text *text, const char *folder, const char *name, const char *ending, es_err *err);

#endif
