/* LRU: the least recently used leaves first.
 *
 * Recency is what the contract says it is: the event's `touch` order for demands, the start of the copy for guesses. An object
 * that is demoted takes its place in the tier below by the time of its last use. */
#include "sim/policy/recency.h"

typedef struct lru {
    recency lists;
} lru;

static es_code lru_init(void *self, const es_site *site, es_err *err)
{
    lru *s = self;
    return recency_init(&s->lists, site, err);
}

static void lru_notify(void *self, const es_fact *fact)
{
    lru *s = self;
    if (fact->kind == ES_FACT_USE)
        recency_use(&s->lists, fact->event);
    else
        recency_moved(&s->lists, fact);
}

static size_t lru_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    lru *s = self;
    return recency_victims(&s->lists, need, out, most);
}

const es_policy es_policy_lru = {
    .part = {
        .abi = ES_ABI,
        .name = "lru",
        .brief = "The least recently used expert leaves first.",
        .size = sizeof(lru),
        .init = lru_init,
        .notify = lru_notify,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_ARRIVE_LOW) | ES_HEARS(ES_FACT_LEAVE_LOW) |
                 ES_HEARS(ES_FACT_RESET),
    },
    .victims = lru_victims,
};
