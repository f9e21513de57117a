/* Inside a sweep: what its files share. See sweep.h.
 *
 *     sweep.c         the file, its tables, replications                        sweep_axes.c   axes and their values
 *     sweep_points.c  combinations, constraints, configs of points              sweep_range.c  ranges and designs
 *     sweep_id.c      ids of points, digests of files                           sweep_rooms.c  points that differ in a capacity alone
 *     sweep_plan.c    the plan as JSON
 *     sweep_once.c    points that one pass tells                                  sweep_curve.c  their results
 *     sweep_folder.c  a plan read back; what is done                            sweep_collect.c, sweep_hist.c   the table of all results
 *     sweep_table.c   all results as JSON */
#ifndef ES_STUDY_SWEEP_INSIDE_H
#define ES_STUDY_SWEEP_INSIDE_H

#include "sim/base/sha256.h"
#include "sim/study/key.h"
#include "sim/study/sweep.h"
#include "sim/study/tree.h"

enum { ES_SWEEP_AXES = 32, ES_SWEEP_PATHS = 64 };   /* the most that is read: axes; paths of all axes together */

typedef enum sweep_unit { SWEEP_PLAIN, SWEEP_BYTES, SWEEP_TIME, SWEEP_RATE, SWEEP_PERCENT, SWEEP_SLOTS } sweep_unit;

typedef struct sweep_range {
    sweep_unit unit;
    double from, to, step;      /* step 0: none */
    int64_t count;              /* 0: as step says */
    bool log;
} sweep_range;

typedef struct sweep_axis {
    const char *name;
    const char **path;          /* [paths] keys of the config */
    size_t paths;
    size_t count;
    es_json **value;            /* [count][paths] as the file has them */
    const char **set;           /* [count][paths] "PATH=VALUE" as the config takes them */
    const es_json *labels;      /* list of `count` texts; NULL: none were given */
    bool sampled;               /* by the design; `range` says where */
    sweep_range range;
    bool *number;               /* [paths] all values are numbers */
    size_t wheel;               /* axes of one wheel turn together */
} sweep_axis;

typedef struct sweep_design {
    int kind;
    int64_t points, seed;
} sweep_design;

typedef struct sweep_replications {
    int64_t count, first;
    const es_json *vary, *traces;
} sweep_replications;

typedef struct sweep_file {     /* the top level */
    const char *name, *brief;
    const es_json *base, *axes, *design, *constraints, *replications, *metrics, *limits;
} sweep_file;

typedef struct sweep_digest {
    const char *path;
    char hex[65];
} sweep_digest;

struct es_sweep {
    const char *path;           /* of the file */
    bool many;                  /* more than ES_SWEEP_MANY points are meant */
    es_arena arena;
    es_json *root;              /* of the file */
    sweep_file file;
    es_tree base;
    const char *base_path;      /* as errors name it */
    const char *fixed[2];       /* settings for all points, under the axes' own */
    size_t fixed_count;

    sweep_axis axis[ES_SWEEP_AXES];
    size_t axes;
    size_t wheel[ES_SWEEP_AXES], wheels;    /* how many positions each has */
    sweep_design design;
    sweep_replications replications;
    bool replicated;            /* the file says so */
    size_t traces;              /* of replications, 0: the base's own */
    const char **trace_set;     /* [traces] "trace=..." */
    es_json *metrics;           /* {name: formula}, of the file or the usual ones */
    es_sweep_limits limits;

    es_sweep_point *point;
    size_t points, combinations, left_out, alike, feeds;
    sweep_digest *digest;
    size_t digests;
};

/* ---- sweep_axes.c ---- */
extern const es_option sweep_axis_options[];
es_code sweep_axes_read(es_sweep *sweep, es_err *err);

/* ---- sweep_range.c ---- */
extern const es_option sweep_design_options[];
/* From "from", "to", "step", "count", "scale" of an axis. */
es_code sweep_range_read(sweep_range *range, const es_json *from, const es_json *to, const es_json *step, int64_t count, bool log, es_err *err);
/* How many values it has by itself; *count 0: it takes a design to say so. */
es_code sweep_range_count(const sweep_range *range, size_t *count, es_err *err);
/* The i-th of `count` values. */
es_json *sweep_range_at(const sweep_range *range, size_t i, size_t count);
/* The value at a share of the way, 0 <= u < 1. */
es_json *sweep_range_share(const sweep_range *range, double u);
/* Fills u[points][dimensions]. */
es_code sweep_design_fill(const sweep_design *design, size_t dimensions, double *u, es_err *err);

/* ---- sweep_points.c ---- */
enum { SWEEP_VARY = 8, SWEEP_SETS = 2 + ES_SWEEP_PATHS + 2 + SWEEP_VARY };
typedef struct sweep_settings { /* of a point, under the base, as a config takes them */
    const char *set[SWEEP_SETS];
    char vary[1 + SWEEP_VARY][ES_KEY / 4 + 32];
} sweep_settings;
/* How many they are. */
size_t sweep_settings_of(const es_sweep *sweep, const es_sweep_point *point, sweep_settings *out);
es_code sweep_points_make(es_sweep *sweep, es_err *err);
/* The position of an axis at a combination. */
size_t sweep_position(const es_sweep *sweep, const sweep_axis *axis, uint64_t combination);

/* ---- sweep_once.c ---- */
/* The tier whose capacities one pass may tell: the one cache of a config without time. NULL: it has time, or other tiers. */
const char *sweep_once_room(const es_config *config);
/* Does one pass tell them? */
bool sweep_once_fits(const es_sweep *sweep, const es_config *config);
/* The cache of a config that has one cache and a home; NULL: it has other tiers. */
const char *sweep_once_tier(const es_json *config);

/* ---- sweep_folder.c ---- */
typedef struct sweep_plan {     /* plan.json, checked */
    const char *dir;
    es_json *json;
    const char *name;
    const es_json *columns, *metrics, *points;
    size_t column_count, metric_count, count;
    bool usual;                 /* nobody chose the metrics */
} sweep_plan;
es_code sweep_plan_open(sweep_plan *plan, const char *dir, es_err *err);
void sweep_plan_close(sweep_plan *plan);
const char *sweep_row_id(const es_json *row);
/* "DIR/points/ID.h5" */
void sweep_point_path(const char *dir, const char *id, const char *suffix, char *path, size_t room);

/* ---- sweep_collect.c ---- */
struct es_h5;
/* The report in a result.h5. */
es_code sweep_summary(struct es_h5 *result, es_json **report, es_err *err);

/* ---- sweep_hist.c ---- */
typedef struct sweep_hists sweep_hists;
es_code sweep_hists_new(sweep_hists **out, struct es_h5 *to, es_err *err);
/* Adds what a result has under /hist to that of the point with this number; numbers come in ascending order. */
es_code sweep_hists_add(sweep_hists *h, struct es_h5 *result, int64_t number, es_err *err);
/* Writes the last point's. */
es_code sweep_hists_end(sweep_hists *h, es_err *err);
void sweep_hists_free(sweep_hists *h);

/* ---- sweep_id.c ---- */
typedef struct sweep_identity { /* what the id of a resolved config is made of, with a hole where one text stands */
    es_text text;
    size_t from, to;            /* the hole; both the length when there is none */
    es_sha256 before;           /* of what stands before it */
    uint64_t feed;              /* the same for points that read the same trace in the same way */
} sweep_identity;
/* `hole`: the key of a text; NULL: none. Free it, also after an error. */
es_code sweep_identify(es_sweep *sweep, const es_config *config, const char *hole, sweep_identity *out, es_err *err);
void sweep_identity_free(sweep_identity *identity);
/* The id of the config with this text in the hole; NULL: with its own. */
void sweep_identity_id(const sweep_identity *identity, const char *value, char id[ES_SWEEP_ID + 1]);
/* A number for all but the hole. */
uint64_t sweep_identity_rest(const sweep_identity *identity);

/* ---- sweep_rooms.c ---- */
/* Points that differ in one capacity alone: their configs are the same but for one text, so one of them is resolved for all. */
typedef struct sweep_rooms sweep_rooms;
es_code sweep_rooms_new(sweep_rooms **out, const es_sweep *sweep, es_err *err);
void sweep_rooms_free(sweep_rooms *rooms);
/* Sets id and `once` of a point that differs in its capacity alone from one that was kept; false: it is to be resolved. */
bool sweep_rooms_know(const sweep_rooms *rooms, es_sweep_point *point, uint64_t *feed);
/* The key whose value a point's identity is to leave a hole for; NULL: none. */
const char *sweep_rooms_key(const sweep_rooms *rooms);
/* Keeps what is known of a point that was resolved, for those that differ in that value; takes the identity's text where it does. */
void sweep_rooms_keep(sweep_rooms *rooms, const es_sweep_point *point, sweep_identity *identity);
/* What a point has as capacity of this tier; NULL: no axis of its own says so. */
const char *sweep_rooms_text(const es_sweep *sweep, const es_sweep_point *point, const char *tier);

#endif
