/* Inside the report of a sweep: its points as numbers, see report_sweep.c; report_sweep_tables.c shows them. */
#ifndef ES_PLOTS_REPORT_SWEEP_H
#define ES_PLOTS_REPORT_SWEEP_H

#include "plots/report_inside.h"

typedef struct sweep_row {      /* a combination */
    const es_json *first;       /* of its replications, one behind another */
    size_t replications;
    bool causal;
    double goal, room;
} sweep_row;

typedef struct sweep_view {
    const es_json *table;
    sweep_row *row;
    size_t rows, columns, metrics;
    const char *goal;           /* name of the metric that says what is best; NULL: there is none */
    bool lower;                 /* less of it is better */
    html_unit room_unit;
    const sweep_row *best;      /* of those that an engine can be, else of all; NULL: nothing is known */
} sweep_view;

/* false: no memory. free() the rows. */
bool sweep_view_open(sweep_view *v, const es_json *table);
/* The place of a metric among those of the plan; -1: it has none of this name. */
int sweep_view_metric_at(const sweep_view *v, const char *name);
/* The mean over replications; NaN where one has none. */
double sweep_view_mean(const sweep_row *row, int metric);
html_unit sweep_view_unit(const sweep_view *v, const char *metric);
/* Is the first of two values of what is judged by better? What is not known never is. */
bool sweep_view_better(const sweep_view *v, double a, double b);
const es_json *sweep_view_column(const sweep_view *v, size_t at);
/* Axes have a name; replications and their traces have none, and are averaged. */
bool sweep_view_is_axis(const sweep_view *v, size_t at);
void sweep_view_cell_text(const sweep_row *row, size_t at, es_text *out);
/* "policy lru, tiers.cache.capacity 80%" */
void sweep_view_what(const sweep_view *v, const sweep_row *row, es_text *out);

#endif
