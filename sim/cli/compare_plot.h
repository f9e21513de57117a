/* Pictures of a comparison: how far each candidate is behind the best, and how all of them warm up. */
#ifndef ES_CLI_COMPARE_PLOT_H
#define ES_CLI_COMPARE_PLOT_H

#include "sim/study/compare.h"

/* DIR/compare-GROUP.* for each group (at most COMPARE_FIGURES of them) and DIR/warm-up.*; *drawn false: there is no gnuplot. */
enum { COMPARE_FIGURES = 12 };
es_code compare_plot(const es_compare *compare, const es_json *compared, const char *dir, bool *drawn, es_err *err);

#endif
