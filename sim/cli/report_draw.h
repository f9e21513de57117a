/* The figures of a report: drawn by gnuplot in a folder of our own, read back, and the folder removed. */
#ifndef ES_CLI_REPORT_DRAW_H
#define ES_CLI_REPORT_DRAW_H

#include "plots/figures.h"
#include "plots/report.h"

enum { REPORT_SOURCES = 2 };

typedef struct report_draw {    /* {0}; report_draw_free in any case */
    report_figure *figure;      /* [count] */
    size_t count;
    es_text undrawn;            /* why none is drawn; empty: they are */
    figures *all[REPORT_SOURCES];   /* own the titles */
} report_draw;

/* All that the result at `path` can give, and the verdict.json beside it (NULL: there is none). What cannot be drawn is left out and said: it
 * takes nothing from the rest of a report. */
es_code report_draw_all(report_draw *draw, report_kind kind, const char *path, const char *verdict, es_err *err);
void report_draw_free(report_draw *draw);

#endif
