/* Inside a comparison: what its files share. See compare.h.
 *
 *     compare.c        groups, candidates, runs; the folder of a sweep       compare_read.c   units out of results
 *     compare_decide.c intervals, Holm, ranks, JSON                          compare_text.c   for people
 *     compare_bounds.c bounds of results that were made without              compare_stats.c  intervals */
#ifndef ES_STUDY_COMPARE_INSIDE_H
#define ES_STUDY_COMPARE_INSIDE_H

#include "sim/base/arena.h"
#include "sim/study/compare.h"

typedef enum compare_unit { COMPARE_TOKEN, COMPARE_REQUEST, COMPARE_RUN } compare_unit;

typedef struct compare_row {    /* of a table of tokens or requests */
    uint32_t request, index;
    int64_t start_ns, first_ns, end_ns, stall_ns, lookups, hits, fetched_bytes;
} compare_row;

typedef struct compare_metric { /* the sum of `above` over that of `below`, over units */
    const char *name, *brief, *unit;    /* "s" */
    bool higher, timed, requests;       /* higher is better; null without time; rows are requests, otherwise tokens */
    bool (*row)(const compare_row *row, double *above, double *below);  /* false: the row has no such thing */
    const char *whole;          /* formula over a result, for runs without tables; NULL: there is none */
} compare_metric;

typedef struct compare_cell {   /* a result; the rest is there once it was read */
    const char *path;           /* NULL: there is none */
    es_json *facts;             /* its bounds, total_s, causal */
    double lookups, decode_lookups;
    size_t lacking;             /* 0: it has bounds; otherwise 1 + the set of results with the same ones */
    double *above, *below;      /* [rows] */
    uint32_t *request;          /* [rows] as the trace numbers them */
    size_t rows;                /* 1 and all of the run where it has no tables */
    size_t cut;                 /* rows of the beginning that MSER-5 leaves out */
    bool tables, settled;       /* settled: MSER-5 can say so */
} compare_cell;

typedef struct compare_group {
    const char *name;           /* "" when there is only one */
    const char **candidate, **run;
    size_t candidates, runs, room;
    compare_cell *cell;         /* [candidates][room] by run */
} compare_group;

struct es_compare {
    es_compare_ask ask;
    es_arena arena;
    const compare_metric *metric;
    compare_unit unit;
    compare_group *group;
    size_t groups;
    struct compare_lack { uint64_t key; const char *path; } *lack;      /* [lacks] sets of results without bounds */
    size_t lacks;
    bool read;
};

static inline compare_cell *compare_at(const compare_group *g, size_t candidate, size_t run)
{
    return &g->cell[candidate * g->room + run];
}

/* ---- compare_read.c ---- */
const compare_metric *compare_metric_at(size_t i);      /* NULL behind the last */
/* Rows and facts of all results; chooses metric and unit. */
es_code compare_read(es_compare *compare, es_err *err);

/* ---- compare_bounds.c ---- */
/* What a report says of bounds, in the facts of its cell. */
es_code compare_bounds_read(es_compare *compare, compare_cell *cell, const es_json *report, es_err *err);

/* ---- compare_decide.c ---- */
es_code compare_json(es_compare *compare, es_json *out, es_err *err);

#endif
