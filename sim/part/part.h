/* Part: the head every replaceable piece begins with (policy, predictor, allocator, scheduler, timing, source, observer ...).
 *
 * A part hears facts and answers questions; it never moves anything. Its table is one static const at the bottom of its file,
 * named es_KIND_NAME, and one line ES_PART(KIND, NAME) in sim/parts.def registers it. Unset functions mean "nothing to do". */
#ifndef ES_PART_PART_H
#define ES_PART_PART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "sim/base/option.h"
#include "sim/base/rng.h"
#include "sim/base/time.h"

#define ES_ABI 9u               /* raised when a struct that plug-ins inline changes */

typedef enum es_kind {          /* order of `expertsim list` */
    ES_KIND_POLICY, ES_KIND_PREDICTOR, ES_KIND_DISPATCHER, ES_KIND_ROUTER, ES_KIND_SCHEDULER, ES_KIND_ALLOCATOR,
    ES_KIND_TIMING, ES_KIND_TUNER, ES_KIND_OBSERVER, ES_KIND_SOURCE, ES_KIND_PROBE, ES_KINDS
} es_kind;

typedef uint32_t es_oid;        /* object id, dense: layer ordinal * stride + index; stride is a multiple of 64 */
#define ES_NO_OBJECT UINT32_MAX
#define ES_NO_TIER UINT32_MAX

/* Keeps what is rare out of what is not: inlined, it would take the registers of the loop beside it. */
#if defined(__GNUC__)
#define ES_COLD __attribute__((noinline, cold, unused))
#else
#define ES_COLD
#endif

struct es_view;
struct es_fact;
struct es_knobs;

typedef struct es_site {        /* what a part is told once, at init; lives as long as the run */
    const struct es_view *view; /* NULL for parts that serve outside a run (sources, timings of a probe) */
    es_arena *arena;            /* take all memory here, now: after the first event nothing is allocated */
    const char *path;           /* where in the config it stands: "policy", "channels.pcie.timing" */
    uint64_t seed, replication; /* for es_stream_of(seed, replication, path, purpose) */
    const uint64_t *popularity; /* uses of every object in the calibration trace (or in this one); only with ES_POPULARITY */
    const struct es_knobs *knobs; /* for tuners: what there is to turn (tuner.h); NULL for others */
} es_site;

enum {                          /* flags of a part */
    ES_ORACLE = 1u,             /* reads the future: results are labelled non-causal, the view has es_future */
    ES_AS_CODED = 2u,           /* may overcommit as a published source does; audit reports that instead of failing */
    ES_POPULARITY = 4u,         /* wants site->popularity; its option `calibrate` names the trace, "in_sample" is the run's own */
    ES_READS_WEIGHTS = 8u,      /* what it reads of a step besides ids: what no part reads may be NULL */
    ES_READS_GUESSES = 16u,
    ES_READS_RESIDENCY = 32u,
    ES_READS_ATTENTION = 64u
};

typedef struct es_part {
    unsigned abi;                                       /* ES_ABI */
    const char *name, *brief;                           /* "lru"; one sentence for `expertsim list` */
    const es_option *options;                           /* ends with {0}; NULL: none */
    size_t size;                                        /* of the state: zeroed and filled from the options before init */
    es_code (*init)(void *self, const es_site *site, es_err *err);
    void (*notify)(void *self, const struct es_fact *fact);
    es_time (*wake)(void *self, es_time now);           /* does its periodic work, returns when next (later than now), or ES_NEVER.
                                                         * Called first at time 0, before the first step; under clock none never */
    void (*fini)(void *self);                           /* for what does not live in the arena (files) */
    unsigned flags;
    unsigned hears;                                     /* bit per es_fact_kind; 0: none (see fact.h) */
} es_part;

#endif
