/* Inside explain: what its files share.
 *
 *     explain.c        the run and its causes      explain_free.c   the runs in which one thing is free      explain_say.c   in words */
#ifndef ES_STUDY_EXPLAIN_INSIDE_H
#define ES_STUDY_EXPLAIN_INSIDE_H

#include "sim/study/explain.h"

typedef struct explain_ran {    /* what a run took; decode: of decode steps, 0 without */
    double total_s, decode_s;
} explain_ran;

typedef struct explain {
    const es_plan *plan;
    const es_json *report;      /* of its run */
    const es_progress *progress;
    explain_ran ran;
    bool decodes;               /* there are decode steps, and of these is spoken */
    es_arena arena;
} explain;

/* What the run took that `explain` speaks of. */
static inline double explain_time(const explain *x, const explain_ran *ran)
{
    return x->decodes ? ran->decode_s : ran->total_s;
}

/* Runs a plan; `report`: what its observers say, or NULL when nobody asks. */
es_code explain_run(const es_plan *plan, const es_progress *progress, explain_ran *ran, es_json *report, es_err *err);
/* Adds `what_if` to out: a list, what saves most first. */
es_code explain_what_if(explain *x, es_json *out, es_err *err);

double explain_number(const es_json *of, const char *path);    /* 0 when there is none */
/* Adds the list to out, largest `key` first, equals as they were; takes it. */
void explain_sorted(es_json *out, const char *name, es_json *list, const char *key);
/* "waiting for guesses on their way over pcie" of cause "wait.pcie.late" or operation "copy.pcie.guess"; free nothing. */
void explain_says(const char *cause, es_text *out);
/* Adds `verdict`, a sentence, out of the lists of out. */
void explain_verdict(const explain *x, es_json *out);

#endif
