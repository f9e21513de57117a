/* Mrc: miss ratio curves of a trace, and what else can be said about caching it.
 *
 * Curves are made without simulating any one cache; their counts are those of `expertsim run` with clock none at each capacity. Policies
 * that have no curve are run, size by size. Nothing is printed here. docs/curves.md says what the numbers mean. */
#ifndef ES_STUDY_MRC_H
#define ES_STUDY_MRC_H

#include "sim/base/json.h"
#include "sim/base/text.h"
#include "sim/core/run.h"
#include "sim/curve/split.h"
#include "sim/curve/statistics.h"
#include "sim/study/config.h"

enum {
    ES_MRC_LINES = 24,          /* policies at a time, the config's own included */
    ES_MRC_WINDOWS = 64,
    ES_MRC_SHOWN = 8,           /* sizes of the text, beside the config's own */
    ES_MRC_SEGMENTS = 4,        /* lengths of windows of which consistency is told: 4, 16, 64 and 256 steps */
    ES_MRC_SHORT = 64           /* tokens; fewer are mostly the cold start */
};

typedef struct es_mrc_ask {     /* texts as the user wrote them; NULL: the default */
    const char *path;           /* of the trace; NULL: the config's */
    const char *config;         /* whose contract, trace, model, phase and policy are taken; NULL: none */
    const char *const *sets;    /* [set_count] "PATH=VALUE" on it, or on what stands in its place */
    size_t set_count;
    const char *model, *precision;  /* a file of models/shapes, and which of its precisions */
    const char *calibrate;      /* another trace of the same model, on which the policy static_frozen is chosen */
    const char *policies;       /* default "lru,belady,static", with `calibrate` static_frozen too */
    const char *scope;          /* "global" (default) or "layer" */
    const char *contract;       /* "event_atomic" (default), "serialized", "keep_best", "after_batch" */
    const char *sizes;          /* "8,16,50%", "4GiB": of one cache; default: every size, a grid for what is run */
    const char *phase;          /* "decode" (default) or "all": what accesses and hits count */
    const char *reset;          /* "never" (default) or "request" */
    const char *prefill;        /* "union" (default), "tokens", "tiles:N", "skip" */
} es_mrc_ask;

typedef struct es_mrc_line {    /* one policy at several capacities */
    const char *policy;         /* "lru", "static_frozen"; a config's own by the name of its policy */
    const char *made;           /* "curve"; "run": on demand alone, without time; "config": as the config has it */
    es_curve curve;             /* with scope layer the sum over layers, capacities being one layer's; hit_bytes NULL: not known */
} es_mrc_line;

typedef struct es_mrc_size {    /* a size of the text */
    uint64_t capacity;
    double share;               /* of all that a cache may be asked for */
    double slots;               /* of one cache; experts of mean size where sizes differ */
    bool own;                   /* the config's */
    bool has_split;
    es_split split;             /* that total divided over layers, of LRU, by decode hits; the total in bytes where experts differ in size */
    uint64_t split_bound;       /* no division hits more: split.best, unless experts differ in size and the search was given up */
} es_mrc_size;

typedef struct es_mrc {         /* {0} is empty */
    es_arena arena;
    es_config *config;          /* the user's, or one that says the same as the options */
    const es_plan *plan;
    const es_trace_info *info;
    const char *path, *name;    /* of the trace; of the config, NULL: none was given */
    const char *scope, *contract, *prefill, *calibrate;
    bool decode, per_layer, reset;
    const int64_t *bytes;       /* [layers] of an expert; NULL: nobody says */
    bool in_bytes;              /* capacities are bytes; else slots */
    bool unequal;               /* experts of one cache, or of the layers' caches, differ in size and capacities are bytes */
    uint64_t unit;              /* bytes of a slot where capacities are bytes and sizes equal, else 1 */
    uint64_t most;              /* capacity that holds all that a cache may be asked for */
    es_events events;
    es_mrc_line line[ES_MRC_LINES];
    uint32_t lines;
    uint32_t runs;              /* that were made */
    const uint64_t *capacity;   /* [sizes] ascending: those asked and the config's own; NULL: every size */
    uint32_t sizes;
    uint64_t own;               /* the config's, of one cache; 0: there is none */
    uint64_t *own_at;           /* capacity of its line's only point */
    es_statistics statistics;
    double working_set[ES_MRC_WINDOWS];
    es_reuse reuse;             /* of one cache over all layers; with scope layer the sum over layers, each alone */
    double *layer_overlap, overlap;     /* [layers]; of all of them */
    es_segments segments[ES_MRC_SEGMENTS];
    const es_curve *layer;      /* [layers] LRU with a cache for each layer, every number of slots */
    uint64_t cliff;             /* slots: the most at which LRU hits nothing in decode; 0: none */
    double cliff_bytes;         /* the same in bytes; where experts differ in size the largest of the capacities that have a row; NaN: not known */
    es_mrc_size shown[ES_MRC_SHOWN + 1];    /* the sizes asked, at most these many of them evenly, or halvings of the whole; the config's own */
    uint32_t shown_count;
    const char *warning;        /* NULL: none */
} es_mrc;

/* Opens the trace and makes all of it. ES_EINPUT: a fault of the ask or of the trace. es_mrc_free in any case. */
es_code es_mrc_make(es_mrc *mrc, const es_mrc_ask *ask, const es_progress *progress, es_err *err);
void es_mrc_free(es_mrc *mrc);

/* The place of a capacity in a line's curve; false: the line has not got it. */
bool es_mrc_at(const es_mrc *mrc, const es_mrc_line *line, uint64_t capacity, uint32_t *at);
/* Hits and lookups of a curve as the phase asked counts them. */
uint64_t es_mrc_hits(const es_mrc *mrc, const es_curve *curve, uint32_t at);
uint64_t es_mrc_accesses(const es_mrc *mrc, const es_curve *curve);
/* Slots of one cache for each expert that an event asks it for; below ES_MRC_HOPELESS no policy helps. NaN without decode events. */
double es_mrc_ratio(const es_mrc *mrc, const es_mrc_size *size);
#define ES_MRC_HOPELESS 0.25
/* Segment cache best hit rate (statistics.h) of a cache of that size; with scope layer of one for each layer. NaN without a window. */
double es_mrc_sch(const es_mrc *mrc, const es_segments *segments, const es_mrc_size *size);

/* The whole as JSON (docs/curves.md); `rows` false: without them and those of layers. NULL: no memory. The caller deletes it. */
es_json *es_mrc_json(const es_mrc *mrc, bool rows);
/* The rows as CSV, with a header. */
void es_mrc_csv(const es_mrc *mrc, es_text *out);
/* LRU of each layer's own cache, a row for each layer and number of slots. */
void es_mrc_layers_csv(const es_mrc *mrc, es_text *out);
/* The rows as table /rows of a new HDF5 file, those of layers as /layers; its attribute `report` is es_mrc_json without them. */
es_code es_mrc_h5(const es_mrc *mrc, const char *path, es_err *err);

#endif
