/* What the files of mrc share.
 *
 *     mrc_ask.c   options into a config and a list of policies      mrc_sizes.c  the text of --sizes into capacities
 *     mrc.c       the passes, the cliff, the splits                 mrc_runs.c   policies without a curve
 *     mrc_statistics.c   what decode steps ask                      mrc_report.c, mrc_h5.c   what is told */
#ifndef ES_STUDY_MRC_INSIDE_H
#define ES_STUDY_MRC_INSIDE_H

#include "sim/study/mrc.h"

/* ---- mrc_ask.c ---- */

/* The config that stands for the ask, its plan, and the lines without their numbers. */
es_code mrc_read(es_mrc *mrc, const es_mrc_ask *ask, es_err *err);

/* ---- mrc_sizes.c ---- */

/* Units, what a capacity counts, and what holds everything; `list` NULL: slots, or what the config's own capacity counts. */
es_code mrc_units(es_mrc *mrc, const char *list, bool own_in_bytes, es_err *err);
/* Into mrc->capacity, with the config's own. */
es_code mrc_sizes(es_mrc *mrc, const char *list, es_err *err);
/* At which capacities a policy without a curve is run; all of them are among those of a curve. NULL: no memory. */
const uint64_t *mrc_grid(es_mrc *mrc, uint32_t *count);

/* ---- mrc_runs.c ---- */

/* The config's own run, its capacity of one cache, and its line, which is the first; no line where no tier serves within a capacity. */
es_code mrc_own(es_mrc *mrc, bool *in_bytes, const es_progress *progress, es_err *err);
/* `named`: the sizes were, and the config is run at each of them, else at its own alone. */
es_code mrc_run(es_mrc *mrc, es_mrc_line *line, bool named, const es_progress *progress, es_err *err);

/* ---- mrc_statistics.c ---- */

es_code mrc_statistics(es_mrc *mrc, es_err *err);

/* ---- mrc_report.c ---- */

typedef struct mrc_row {        /* numbers of a row; -1: not known */
    char policy[32], made[8];   /* for mrc_h5.c */
    int64_t capacity, accesses, hits, all_accesses, all_hits, decode_accesses, decode_hits, access_bytes, hit_bytes;
} mrc_row;

mrc_row mrc_row_at(const es_mrc *mrc, const es_mrc_line *line, uint32_t at);

#endif
