/* What the files of the verdict share: what was measured, and what follows from it.
 *
 *   verdict_runs.c    the run itself, and the runs with one GiB more
 *   verdict.c         curves and bounds beside them, and all of it as JSON
 *   verdict_decide.c  the rule
 *   verdict_say.c     the sentences */
#ifndef ES_STUDY_VERDICT_INSIDE_H
#define ES_STUDY_VERDICT_INSIDE_H

#include "sim/study/bracket.h"
#include "sim/study/config.h"

/* Thresholds; docs/verdict.md says why. Shares of the run's time, or of its lookups where hits decide. */
#define VERDICT_COMPUTE 0.95    /* so much of the time is compute: nothing else matters */
#define VERDICT_POLICY  0.10    /* who knows the future wins so much */
#define VERDICT_SIZE    0.05    /* one GiB more wins so much */
#define VERDICT_LINK    0.10    /* even who knows the future waits so much */
#define VERDICT_HITS    0.05    /* hits that a better policy could have more, of lookups */
#define VERDICT_HITS_SURE 0.02  /* the same of what is to be had: one GiB more, a better split */
#define VERDICT_RATIO   0.25    /* slots of a cache against experts of an event: below it no policy helps */
#define VERDICT_TOKENS  64      /* fewer are dominated by the cold start */

typedef struct verdict_ran {    /* what a run said; NaN: nothing */
    double hit_rate, total_s, stall_s, tokens_per_s;
    const uint64_t *room;       /* [buckets] units of the first serving tier, its whole or by layer */
} verdict_ran;

typedef struct verdict_more {   /* a tier with one GiB more */
    const char *tier;
    int64_t capacity;           /* with it, all layers, in the tier's slots or bytes */
    const char *counts;         /* "slots" or "bytes" */
    const char *why;            /* why it was not run; NULL: it was */
    verdict_ran ran;
} verdict_more;

typedef struct verdict {
    const char *policy;         /* name of the config's */
    const char *tier;           /* of the first serving tier; of several: NULL */
    verdict_ran now;
    const verdict_more *more;   /* [mores] the first serving tier, then those below it */
    uint32_t mores, most;       /* most: of them the one that wins most */
    int64_t capacity;           /* of the serving tiers, all layers, in slots or bytes */
    bool in_bytes, per_layer, everything;   /* everything: all experts fit */
    double slots, demand, cycle; /* of one cache; experts of an event, mean; those of a step over all layers, mean */
    uint64_t tokens;
    double lru, belady, lru_more, belady_more;  /* hit rates of the curves */
    bool unequal;               /* sizes differ: belady is the rule, not the best */
    double split_equal, split_best;     /* hit rates of LRU with a cache for each layer */
    uint64_t split_total;       /* slots of all layers */
    const uint32_t *split;      /* [layers] slots of the best */
    verdict_ran divided;        /* the run under that division, where the layers have rooms of their own */
    uint32_t layers;
    es_bracket bracket;
    double clairvoyant_s;       /* the best that is known: of the bracket, or the run itself */
    const char *no_curves, *no_more, *no_split, *no_bracket;    /* why there are none; NULL: there are */
    const char *no_divided;     /* why it was not run */

    const char *verdict, *by;   /* decided by "time" or "hit rate" */
    bool hopeless;              /* ratio below VERDICT_RATIO */
    double busy, waits;         /* shares: of the run's time that is compute, of the clairvoyant's (else the run's) that is not; NaN: no time */
    double gain_policy, gain_size, gain_split;  /* what each could win, in terms of `by`; NaN: unknown */
} verdict;

typedef struct verdict_work {
    es_config *config;
    const es_plan *plan;
    const es_progress *progress;
    es_events events;
    es_arena arena;
    verdict v;
    const int64_t *unit;        /* [layers] units that an expert takes in the first serving tier, where all of a layer take the same */
    int64_t largest;            /* bytes of the largest object */
    uint64_t population;        /* objects that events can ask for */
    uint32_t levels;            /* serving tiers */
    bool placed;                /* the first has an allocator that divides it */
    bool routes;                /* the router decides what is used */
} verdict_work;

/* The first serving tier of the plan; tier_count: none has a capacity. */
size_t verdict_serving(const es_plan *plan);
/* The run as it is, and what the machine is. */
es_code verdict_run_now(verdict_work *w, const es_plan *plan, es_err *err);
/* One run more for each tier that has a capacity. */
es_code verdict_run_more(verdict_work *w, const es_plan *plan, es_err *err);
/* One under the best division over layers, which is known. */
es_code verdict_run_divided(verdict_work *w, const es_plan *plan, es_err *err);
void verdict_decide(verdict *v);
/* Sentences for people into an array of texts. */
void verdict_say(const verdict *v, es_json *sentences);

static inline double verdict_seconds(es_time ns)
{
    return (double)ns / 1e9;
}

#endif
