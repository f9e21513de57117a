/* Sweep: many runs of one config, each with other values of some options.
 *
 * A sweep file names a base config, axes (values for any key of the config), constraints, replications and the metrics to collect;
 * `expertsim describe sweep` lists its keys. Loading it gives the points in axis order, the first axis slowest, replications innermost.
 * A point's id is a hash of its resolved config, of the content of every file the config names, and of the version: what has the same
 * id gives the same result, wherever and whenever it runs, so results are kept by id and points that are alike are one point. */
#ifndef ES_STUDY_SWEEP_H
#define ES_STUDY_SWEEP_H

#include "sim/core/run.h"
#include "sim/study/config.h"

enum { ES_SWEEP_ID = 16, ES_SWEEP_MANY = 1000000 };      /* hexadecimal digits of an id; so many points are not made by accident */

typedef struct es_sweep es_sweep;

typedef struct es_sweep_point {
    char id[ES_SWEEP_ID + 1];
    uint32_t number;            /* of the combination of axis values, from 0; its replications share it */
    uint32_t replication;       /* from 0 */
    uint32_t trace;             /* index in replications.traces */
    uint32_t feed;              /* points with the same number read the same trace in the same way */
    uint32_t once;              /* points with the same number differ in a capacity alone and are told by one pass; 0: it is run by itself */
    uint64_t combination;       /* its place among all combinations, those that a constraint left out included */
} es_sweep_point;

typedef struct es_sweep_limits {
    int64_t time;               /* ns of wall time for a point, 0: any */
    int64_t memory;             /* bytes that a point may take beside the trace, 0: any */
} es_sweep_limits;

/* Reads the file and its base, and resolves every point, so that whatever is wrong with one is found now. `many`: more than
 * ES_SWEEP_MANY are meant. */
es_code es_sweep_load(es_sweep **out, const char *file, bool many, es_err *err);
void es_sweep_free(es_sweep *sweep);

const char *es_sweep_name(const es_sweep *sweep);
const char *es_sweep_brief(const es_sweep *sweep);      /* NULL: none */
es_sweep_limits es_sweep_limits_of(const es_sweep *sweep);
size_t es_sweep_count(const es_sweep *sweep);
const es_sweep_point *es_sweep_at(const es_sweep *sweep, size_t i);
size_t es_sweep_feeds(const es_sweep *sweep);           /* how many different traces (and ways to read them) there are */

/* The config of a point, as a run takes it. */
es_code es_sweep_config(const es_sweep *sweep, const es_sweep_point *point, es_config **out, es_err *err);
/* "policy=lru, tiers.cache.capacity=5%", for people. */
void es_sweep_describe(const es_sweep *sweep, const es_sweep_point *point, es_text *out);

/* Results of points with the same `once`, all from one pass over the trace but the two ends of the range and what a curve cannot tell, which are
 * run; each is handed to `keep`, in any order. Metrics of the sweep come out as from runs, number for number; a result says `one_pass` where it
 * has no more than these. `source`: what the points read, decoded; NULL: it is opened here. Any error: run each of them by itself, which
 * says what is wrong, if anything is (ES_ECHECK: a run and the curve differ). */
typedef struct es_sweep_keep {
    es_code (*keep)(void *self, size_t point, es_json *result, es_run *run, es_err *err);   /* run NULL: it was not run */
    void *self;
} es_sweep_keep;
es_code es_sweep_once(const es_sweep *sweep, const size_t *points, size_t count, const es_source *source, void *state, const es_sweep_keep *keep, es_err *err);

/* In an error that says "--set KEY" of a point's config: names the axis instead, for it was the axis that said so. Returns the code. */
es_code es_sweep_blame(const es_sweep *sweep, es_err *err);

/* The plan as JSON, what status and collect go by:
 *     name, brief, version; counts {combinations, left_out, points, replications, alike, traces};
 *     columns [{name, axis, values}...]; metrics {name: formula}; points [[id, number, replication, a value per column]...] */
es_json *es_sweep_plan(const es_sweep *sweep);

/* ---- a folder of results: DIR/plan.json, which is the plan, and DIR/points/ID.h5, or ID.err where a point failed ---- */

/* {name, points, done, left, failed [{id, what, reason, said}...]}: what: its values; reason: one sentence; said: the last of what it wrote. */
es_code es_sweep_status(const char *dir, es_json **out, es_err *err);

/* Makes one table of all results: `h5` with /points (a row per point: id, number, values of the axes, metrics), /hist (histograms of the
 * points, replications added up) and, when it lies in the folder itself, /results (a link to each result); `csv` with the rows. They
 * depend on the plan and the results alone, not on who made them when. `some`: points that are not there are left out; otherwise they
 * are an error. Both are whole or not there. */
es_code es_sweep_collect(const char *dir, const char *h5, const char *csv, bool some, es_err *err);

/* All results that are there, with what the plan says of them:
 *     name, brief, version, counts, columns, metrics   of the plan
 *     status    as es_sweep_status has it
 *     rows [{id, point, values [a cell per column], causal, clock, counts, metrics [a number or null per metric]}...] in the plan's order */
es_code es_sweep_table(const char *dir, es_json **out, es_err *err);

/* The tables behind the keys of a sweep file, for `describe` and the README: keys "sweep", "sweep.axes.NAME" ... `i` walks them. */
const es_config_table *es_sweep_table_at(size_t i);
/* JSON Schema of a sweep file; NULL: no memory. */
es_json *es_sweep_schema(void);

#endif
