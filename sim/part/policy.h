/* Policy: who stays. It orders what is resident and names victims; it never moves anything.
 *
 * victims: asked when space is short. Names objects that may leave `tier` (es_may_evict) and belong to `bucket`, until what they
 * take (view->tier[t].unit) adds up to need->units or nothing more may leave. With need->all it names nothing unless it reaches
 * the need. An answer is final: the policy forgets what it names. Under `clock: none` it is asked once per event, under the
 * simulated clock once per copy.
 * A policy learns of newcomers from facts: ES_FACT_USE for demands (event->kept says which stay in the first serving tier, among them
 * those that rise to it), ES_FACT_START_GUESS for guesses that come there, ES_FACT_ARRIVE_LOW and ES_FACT_LEAVE_LOW for all other tiers. */
#ifndef ES_PART_POLICY_H
#define ES_PART_POLICY_H

#include "sim/part/fact.h"

struct es_guess;

typedef struct es_need {
    uint32_t tier, bucket;
    int64_t units;              /* to be freed */
    es_why why;                 /* DEMAND, GUESS, RELEASE (the tier is over its room), DEMOTE (room for what comes down), SHRINK (it has become smaller) */
    bool all;                   /* all of it or nothing (guesses) */
} es_need;

typedef struct es_admit_ask {  /* the misses of one event, before any of them is fetched */
    const es_event *event;
    const uint16_t *missing;    /* [count] indices, union order */
    uint32_t count;
    uint32_t tier;              /* where they would stay */
    int64_t free_units;         /* of their bucket, before anything leaves */
} es_admit_ask;

typedef struct es_policy {
    es_part part;
    size_t (*victims)(void *self, const es_need *need, es_oid *out, size_t most);
    /* Which misses stay? keep[count] comes in all true. What is not kept is used once in place and never becomes resident.
     * NULL: all stay. Asked once per event that has misses. */
    void (*admit)(void *self, const es_admit_ask *ask, bool *keep);
    bool (*admits)(const void *self);   /* does it ever refuse, with these options? NULL: yes when admit is set */
    /* What the tier holds before the first step, at most its capacity; returns how many. NULL: nothing. */
    size_t (*initial)(void *self, uint32_t tier, es_oid *out, size_t most);
    void (*report)(const void *self, es_json *out);     /* what it alone knows, as members of `policy` in the result */
    /* Tier to which a victim goes; NULL: the tier's `demote` of the config. */
    uint32_t (*demote)(void *self, es_oid object, uint32_t tier);
    /* With several serving tiers: the one in which each guess should arrive, or ES_NO_TIER for a guess that is refused. Asked once for
     * all that a predictor names. NULL: all go to the first. */
    void (*place)(void *self, const struct es_guess *guesses, uint32_t count, uint32_t *tier);
    /* An object of the event at hand is in the serving tier `from`, not in the first: does it rise there? NULL: yes. */
    bool (*rises)(void *self, es_oid object, uint32_t from);
} es_policy;

#endif
