/* What the two files of the verdict share: what was measured, and what follows from it. */
#ifndef ES_STUDY_VERDICT_INSIDE_H
#define ES_STUDY_VERDICT_INSIDE_H

#include "sim/study/bracket.h"

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
} verdict_ran;

typedef struct verdict {
    verdict_ran now, more;      /* more: one GiB more */
    int64_t capacity, capacity_more;    /* of the serving tier, all layers, in slots or bytes */
    bool in_bytes, per_layer;
    double slots, demand;       /* of one cache; experts of an event, mean */
    uint64_t tokens;
    double lru, belady, lru_more, belady_more;  /* hit rates of the curves */
    bool unequal;               /* sizes differ: belady is the rule, not the best */
    double split_equal, split_best;     /* hit rates of LRU with a cache for each layer */
    const uint32_t *split;      /* [layers] slots of the best */
    uint32_t layers;
    es_bracket bracket;
    const char *no_curves, *no_more, *no_split, *no_bracket;    /* why there are none; NULL: there are */

    const char *verdict, *by;   /* decided by "time" or "hit rate" */
    bool hopeless;              /* ratio below VERDICT_RATIO */
    double gain_policy, gain_size, gain_split;  /* what each could win, in terms of `by`; NaN: unknown */
} verdict;

void verdict_decide(verdict *v);
/* Sentences for people into an array of texts. */
void verdict_say(const verdict *v, es_json *sentences);

static inline double verdict_seconds(es_time ns)
{
    return (double)ns / 1e9;
}

#endif
