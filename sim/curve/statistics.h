/* Statistics: what the decode events of a trace ask of any cache, whatever its policy.
 *
 * A step counts when its events are decode events and not skipped; prompts are left out throughout. */
#ifndef ES_CURVE_STATISTICS_H
#define ES_CURVE_STATISTICS_H

#include "sim/curve/curve.h"

enum { ES_SHARES = 4 };         /* of the most used 10, 20, 30 and 40 % */

typedef struct es_statistics {
    uint64_t steps, events, lookups;
    double cycle;               /* objects that a step looks up over all layers, mean; a cache below that cannot hold one token's */
    double cycle_bytes;         /* the same in bytes; 0 without sizes */
    double demand;              /* objects that an event looks up, mean */
    double share[ES_SHARES];    /* of all lookups that go to the most used p % of the experts there are (of the product the floor, at least one) */
    double entropy;             /* of the uses of a layer's experts, bits, mean over layers that are used; at most log2 of the experts */
    double overlap;             /* of an event's lookups those that the step before of the same request made in this layer too; over events with such a
                                   step; 0 where there are none */
    double turnover;            /* lookups of a step that the step before did not make, mean over the same events, of all layers of the trace */
} es_statistics;

/* `bytes`: of an expert of each layer, or NULL. */
es_code es_statistics_read(const es_events *events, const int64_t *bytes, es_statistics *out, es_arena *arena, es_err *err);

/* distinct[w - 1], w = 1 .. windows: objects that w decode steps in a row look up, the mean over all such windows (Denning 1968), exactly, from the
 * intervals between uses. Windows longer than the trace give 0. */
es_code es_working_set(const es_events *events, uint32_t windows, double *distinct, es_arena *arena, es_err *err);

/* Of the lookups of each layer the share whose expert has the number of one that the same step looked up in the layer before it; share[0] is 0.
 * `whole`: of all lookups of steps in layers with such a layer before them. Experts of two layers are different experts: far above top_k / experts
 * says that numbers carry over, as where routers are alike or a generator repeats itself. */
es_code es_layer_overlap(const es_events *events, double *share /* [layers] */, double *whole, es_arena *arena, es_err *err);

/* ---- reuse distances ---- */

enum { ES_REUSE_BUCKETS = 33 };

typedef struct es_reuse {       /* decode lookups by the number of distinct objects used since the object's use before, itself included (Mattson 1970) */
    uint64_t first;             /* never used before, prompts included */
    uint64_t count[ES_REUSE_BUCKETS];   /* [0]: distance 1; [b]: above 2^(b-1), up to 2^b */
    uint32_t buckets;           /* so many of them reach up to the largest distance there can be */
} es_reuse;

/* `out`: one of the trace, in the order of its lookups; `per_layer`: [layers], each of its own layer's lookups alone. */
es_code es_reuse_read(const es_events *events, bool per_layer, es_reuse *out, es_arena *arena, es_err *err);

/* ---- local routing consistency ----
 *
 * After Liang et al., "Not All Models Suit Expert Offloading" (arXiv 2505.16056, versions 1 and 2), over every window of `length` counted decode steps
 * in a row of one request:
 *   SRP (segment routing best performance): the best F1 of a router that gives each expert to all or none of a window's tokens. It takes experts
 *       that at least p of the tokens use; the threshold p is one for all windows and experts, and the best there is.
 *   SCH (segment cache best hit rate): the share of lookups that hit when each window has the best set of c experts, chosen for it alone.
 * An expert that a step of several rows uses more than once counts once. */
typedef struct es_segments {
    uint32_t length;            /* steps of a window */
    uint64_t windows;           /* 0: no request has so many steps; then all that follows is 0 */
    double srp;                 /* one threshold for all layers */
    double *layer_srp;          /* [layers] a threshold for each */
    uint64_t lookups;           /* over all windows: those of each, so that a step counts in up to `length` windows */
    uint64_t *hits;             /* [layers * experts] SCH of c experts out of all layers is hits[c - 1] / lookups */
    uint64_t *layer_lookups;    /* [layers] */
    uint64_t *layer_hits;       /* [layers][experts] of c experts of the layer */
} es_segments;

/* `length` from 1 on. Time does not grow with it. */
es_code es_segments_read(const es_events *events, uint32_t length, es_segments *out, es_arena *arena, es_err *err);

/* The largest capacity of a curve that gets no more than `share` of the decode lookups; 0 when the smallest gets more. With share 0 and a global LRU
 * curve: the cliff, where the curve leaves zero. */
uint64_t es_curve_cliff(const es_curve *curve, double share);

#endif
