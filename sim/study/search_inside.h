/* Inside a search: what its files share. See search.h.
 *
 *     search.c        points that were run; the methods' choice; JSON     search_read.c   axes and targets as the user writes them
 *     search_bisect.c one range, and whether it is monotone                search_grid.c   grids, successive halving
 *     search_front.c  the Pareto front, its knee, the value of a GiB       search_text.c   for people */
#ifndef ES_STUDY_SEARCH_INSIDE_H
#define ES_STUDY_SEARCH_INSIDE_H

#include "sim/base/arena.h"
#include "sim/study/search.h"

enum { SEARCH_AXES = 8, SEARCH_TARGETS = 8, SEARCH_VALUES = 1000000, SEARCH_GRID = 17, SEARCH_GRID_MOST = 100000 };

typedef struct search_axis {
    const char *path;
    bool range;                 /* ascending numbers; otherwise a list, cheapest first */
    size_t count;
    const char **text;          /* [count] of a list */
    double from, step;          /* of a range: value i is from + i * step */
    const char *suffix;         /* "slots", "B", "%", "" */
    bool whole;                 /* its values are whole numbers */
    bool population;            /* its end is what there is of experts, which the first run says */
} search_axis;

typedef struct search_target {
    const char *text, *formula;
    bool least, strict;         /* at least (or above) the value; otherwise at most (or below) */
    double value;
} search_target;

typedef struct search_point {
    size_t at[SEARCH_AXES];
    double share;
    double metric[SEARCH_TARGETS];
    double margin;              /* the least over targets: by how much of its value each is met; below 0: it is not */
    bool met;
    double cost, memory, against;       /* memory: bytes, or slots where nobody knows bytes */
    const char *failed;         /* why it cannot be run; NULL: it can */
} search_point;

typedef struct search_work {
    const es_search_ask *ask;
    const es_search_run *run;
    es_arena arena;
    search_axis axis[SEARCH_AXES];
    size_t axes, ranges;
    search_target target[SEARCH_TARGETS];
    size_t targets;
    const char *cost, *against, *against_name;
    bool against_higher, timed, bytes;  /* bytes: memory is in them */
    search_point *point;        /* in the order in which they were run */
    size_t points, room;
    const char *method, *note;  /* what was done; what is to be said about it */
    int monotone;               /* 1 as far as was seen, 0 no, -1 nobody looked */
    es_err first;               /* of the first point that could not be run */
} search_work;

/* ---- search_read.c ---- */
es_code search_read(search_work *w, es_err *err);
/* "PATH=VALUE"; the same without "PATH=". */
void search_setting(const search_axis *axis, size_t i, es_text *out);
void search_value(const search_axis *axis, size_t i, es_text *out);

/* ---- search.c ---- */
/* Runs a point, or finds it among those that were run. *out is its index. A point that cannot be run is no error. */
es_code search_try(search_work *w, const size_t *at, double share, size_t *out, es_err *err);
enum { SEARCH_AHEAD = 256 };    /* so many points are told of at once */
/* So many points, [points][SEARCH_AXES], will be tried next; those that were run are left out. */
es_code search_ahead(search_work *w, const size_t (*at)[SEARCH_AXES], size_t points, double share, es_err *err);
/* The cheapest point of the full trace that meets all targets; `points` when there is none. Of equal costs the first in axis order. */
size_t search_best(const search_work *w);

/* ---- search_bisect.c ---- */
es_code search_bisect(search_work *w, es_err *err);

/* ---- search_grid.c ---- */
/* All points of a grid with at most ask->points values of each range; on the whole trace. */
es_code search_grid(search_work *w, es_err *err);
es_code search_halve(search_work *w, es_err *err);
/* The i-th of `count` values of an axis that stand for it in a grid. */
size_t search_grid_at(const search_axis *axis, size_t count, size_t i);

/* ---- search_front.c ---- */
void search_front(const search_work *w, es_json *out);
/* Values, metrics and costs of a point. */
void search_tell(const search_work *w, const search_point *p, es_json *out);

#endif
