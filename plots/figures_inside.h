/* What the files of figures ask of each other: see figures.h. figures.c opens and lists, figures_read.c tells what a path is,
 * figures_points.c makes runs and sweeps alike, figures_say.c words numbers; the others draw a kind or two each. */
#ifndef ES_PLOTS_FIGURES_INSIDE_H
#define ES_PLOTS_FIGURES_INSIDE_H

#include "plots/figures.h"
#include "plots/plot.h"
#include "sim/base/arena.h"
#include "sim/base/h5.h"
#include "sim/base/json.h"
#include "sim/base/text.h"

/* ---- what was read ---- */

typedef enum figures_form { FORM_RUN, FORM_SWEEP, FORM_TABLE, FORM_COMPARE, FORM_CURVES, FORM_SEARCH, FORM_VERDICT, FORM_VALIDATION, FORM_PROFILE, FORMS } figures_form;

typedef struct figures_source { /* a path */
    const char *label, *path;
    figures_form form;
    es_json *json;              /* its content; of a sweep the plan, of a table NULL */
    const char *h5;             /* result.h5 of a run, the collected table; NULL: there is none */
} figures_source;

enum { FIGURES_AXES = 8 };

typedef struct figures_point {  /* a run: one by itself, or one of a sweep. NaN: not known */
    const char *label;          /* what tells it from the others */
    const char *h5;             /* NULL: there is none */
    const char *cell[FIGURES_AXES];     /* values of the axes, as texts */
    double number[FIGURES_AXES];        /* the same; NaN where it is no number */
    int64_t combination;        /* replications share it */
    bool causal, decode;        /* of `decode` steps alone are the ratios; else of all */
    const char *policy;
    const char *counts;         /* of the room of the serving tier: "slots", "bytes"; NULL: not known */
    double room;                /* in these */
    double memory;              /* bytes; or slots, where nobody knows what an expert weighs */
    bool in_bytes;              /* memory is */
    double miss, belady_miss;   /* misses / lookups */
    double speed, latency, p50, p95, p99, total, stall;
    double never_cache, all_resident, lower_bound, clairvoyant; /* s, as `total` */
    es_json *attribution;       /* time.attribution, NULL: none */
} figures_point;

typedef struct figures_drawing {
    figures_entry entry;
    plot_figure *figure;        /* one of them, or neither: missing */
    plot_heat *heat;
} figures_drawing;

struct figures {
    es_arena arena;
    unsigned formats;
    figures_source *source;     /* [sources] */
    size_t sources;
    const char *axis[FIGURES_AXES];     /* names of what differs between points: [axes] */
    bool repeats[FIGURES_AXES]; /* it tells replications of one combination apart, or says in other words what another says */
    size_t axes;
    figures_point *point;       /* [points] of runs, sweeps and tables */
    size_t points, point_room;
    const char *note;           /* where points come from */
    figures_drawing *drawing;
    size_t drawings, drawing_room;
};

/* What a path is; adds a source. */
es_code figures_read(figures *all, const char *word, es_err *err);
/* Points of all sources that are runs, sweeps or tables. */
es_code figures_points(figures *all, es_err *err);
/* Those of a collected table of a sweep, when nothing else was given. */
es_code figures_table(figures *all, const figures_source *source, es_err *err);
const figures_source *figures_of(const figures *all, figures_form form);       /* the first of the form; NULL: none */

/* ---- what is drawn ---- */

/* A figure of a kind, copied with everything that is in it but the numbers, which the arena keeps. */
es_code figures_add(figures *all, const char *kind, const plot_figure *figure, es_err *err);
es_code figures_add_heat(figures *all, const char *kind, const plot_heat *heat, es_err *err);
/* A kind that cannot be drawn of what there is, and what it takes. */
es_code figures_lack(figures *all, const char *kind, es_err *err, const char *fmt, ...) ES_PRINTF(4, 5);

double *figures_column(figures *all, size_t count);                             /* NULL: no memory */
const char *figures_keep(figures *all, es_text *text);                          /* the arena's copy; frees the text. "" when there is no memory */
double figures_number(const es_json *json, const char *path);                   /* NaN: absent, or none */
const char *figures_word(const es_json *json, const char *path);                /* "": absent, or none */

plot_unit figures_unit(const es_json *compared);                                /* of the metric of a comparison */

/* ---- a kind each: adds figures, or says what is missing; adding nothing says what figures.c has for it ---- */

es_code figures_miss_ratio(figures *all, es_err *err);
es_code figures_miss_layers(figures *all, es_err *err);
es_code figures_speed(figures *all, es_err *err);
es_code figures_front(figures *all, es_err *err);
es_code figures_latency(figures *all, es_err *err);
es_code figures_stalls(figures *all, es_err *err);
es_code figures_stalls_time(figures *all, es_err *err);
es_code figures_coverage(figures *all, es_err *err);
es_code figures_layers(figures *all, es_err *err);
es_code figures_residency(figures *all, es_err *err);
es_code figures_differences(figures *all, es_err *err);
es_code figures_warm_up(figures *all, es_err *err);
es_code figures_gains(figures *all, es_err *err);
es_code figures_agreement(figures *all, es_err *err);
es_code figures_fit(figures *all, es_err *err);
es_code figures_contention(figures *all, es_err *err);

/* ---- shared by those that draw against capacity ---- */

typedef struct figures_curve {  /* points that differ in what is drawn across alone */
    const char *label;
    bool causal;
    size_t *point;              /* [count], ascending in x; replications of one x side by side */
    double *x;                  /* [count] */
    size_t count;
} figures_curve;

typedef struct figures_across { /* points sorted into curves; free() nothing: the arena keeps it */
    const char *label;          /* of the x axis */
    plot_unit unit;
    bool memory;                /* it is the capacity */
    figures_curve *curve;
    size_t curves, left_out;    /* points of more curves than can be told apart */
} figures_across;

/* Behind the name of who knows the future; the note says what it means. */
#define FIGURES_FUTURE " *"
#define FIGURES_FUTURE_NOTE "; * knows the future"

/* Sorts the points by what is drawn across: the capacity where it differs, else the numeric axis with most values. *fits is false when there is
 * nothing to draw across: all points have the same. */
es_code figures_sort(figures *all, figures_across *out, bool *fits, es_err *err);

/* The miss ratio of points; figures_miss_ratio is it, or the curves of mrc. */
es_code figures_miss_ratio_points(figures *all, es_err *err);

/* ---- words ---- */

void figures_say_memory(es_text *out, double value, bool in_bytes);             /* "3.9 GiB", "192 slots" */
void figures_say_time(es_text *out, double seconds);                            /* "16.7 ms" */
void figures_say_share(es_text *out, double share);                             /* "12.3 %" */
void figures_say_number(es_text *out, double value);                            /* three digits that count: "1,234", "59.8" */
void figures_begin(es_text *title);                                             /* its first letter is a capital one, where it is a word of ours */
/* "wait.pcie.behind_guess" is "waiting for pcie: behind guess"; the arena's, or one that lasts. */
const char *figures_cause(figures *all, const char *path);

#endif
