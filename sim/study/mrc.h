/* Mrc: miss ratio curves of a trace, and what else can be said about caching it without simulating any one cache.
 *
 * The counts of a curve are those of `expertsim run` with clock none at each capacity. Nothing is printed here. */
#ifndef ES_STUDY_MRC_H
#define ES_STUDY_MRC_H

#include "sim/base/json.h"
#include "sim/base/text.h"
#include "sim/curve/curve.h"
#include "sim/curve/split.h"
#include "sim/curve/statistics.h"
#include "sim/study/feed.h"

typedef enum es_mrc_policy { ES_MRC_LRU, ES_MRC_BELADY, ES_MRC_BELADY_BYPASS, ES_MRC_STATIC, ES_MRC_POLICIES } es_mrc_policy;

enum { ES_MRC_WINDOWS = 64, ES_MRC_SHOWN = 8, ES_MRC_SHORT = 64 };  /* ES_MRC_SHORT: tokens; fewer are mostly the cold start */

typedef struct es_mrc_ask {     /* texts as the user wrote them; NULL: the default */
    const char *path;
    const char *policies;       /* "lru,belady,belady_bypass,static"; default "lru,belady,static" */
    const char *scope;          /* "global" (default) or "layer" */
    const char *contract;       /* "event_atomic" (default), "serialized", "keep_best", "after_batch" */
    const char *sizes;          /* "8,16,50%": slots of one cache, or a share of the experts it may be asked for; default: every size */
    const char *phase;          /* "decode" (default) or "all": what accesses and hits count */
    const char *reset;          /* "never" (default) or "request" */
    const char *prefill;        /* "union" (default), "tokens", "tiles:N", "skip" */
} es_mrc_ask;

typedef struct es_mrc_size {    /* a size of the text, and the division of that total over layers */
    uint64_t capacity;
    uint32_t at;                /* in the curves */
    es_split split;             /* of LRU, by decode hits */
} es_mrc_size;

typedef struct es_mrc {         /* {0} is empty; everything is in the arena */
    es_arena arena;
    es_feed feed;
    const es_trace_info *info;
    const char *path, *scope, *contract;
    bool decode, per_layer, reset;
    es_events events;
    bool policy[ES_MRC_POLICIES];
    es_curve curve[ES_MRC_POLICIES];    /* of the policies asked for; with scope layer the sum over layers, capacities being one layer's */
    uint64_t *capacity;         /* what was asked, ascending; NULL: every size */
    uint32_t sizes;
    es_statistics statistics;
    double working_set[ES_MRC_WINDOWS];
    uint64_t cliff;             /* the largest capacity at which LRU hits nothing in decode; 0: none */
    es_mrc_size shown[ES_MRC_SHOWN];    /* the sizes asked, at most these many of them evenly; or halvings of the whole */
    uint32_t shown_count;
    const char *warning;        /* NULL: none */
} es_mrc;

/* Opens the trace and makes all of it. ES_EINPUT: a fault of the ask or of the trace. es_mrc_free in any case. */
es_code es_mrc_make(es_mrc *mrc, const es_mrc_ask *ask, es_err *err);
void es_mrc_free(es_mrc *mrc);

const char *es_mrc_policy_name(es_mrc_policy policy);
/* Hits and lookups of a curve as the phase asked counts them. */
uint64_t es_mrc_hits(const es_mrc *mrc, es_mrc_policy policy, uint32_t at);
uint64_t es_mrc_accesses(const es_mrc *mrc, es_mrc_policy policy);
/* The whole as JSON (docs/curves.md); NULL: no memory. The caller deletes it. */
es_json *es_mrc_json(const es_mrc *mrc);
/* The rows as CSV, with a header. */
void es_mrc_csv(const es_mrc *mrc, es_text *out);

/* The rows as table /rows of a new HDF5 file; scope, contract and phase are attributes of it. */
es_code es_mrc_h5(const es_mrc *mrc, const char *path, es_err *err);

#endif
