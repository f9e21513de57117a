/* FIFO: what came in first leaves first; being used changes nothing.
 *
 * Newcomers of one event enter in union order, a guess when its copy starts, a demoted object when it comes down. */
#include "sim/policy/recency.h"

typedef struct fifo {
    recency lists;
} fifo;

static es_code fifo_init(void *self, const es_site *site, es_err *err)
{
    fifo *s = self;
    return recency_init(&s->lists, site, err);
}

/* What is in the list already has its place: hits, and what a guess is bringing. */
static void fifo_use(recency *r, const es_event *event)
{
    recency_queue *q = recency_of_event(r, event);
    es_oid *const *place = q->place + event->base;
    for (uint32_t i = 0; i < event->count; i++) {
        uint16_t index = event->list[i];
        if (place[index] == NULL && es_event_keeps(event, index))
            recency_append(q, event->base + index);
    }
}

static void fifo_notify(void *self, const es_fact *fact)
{
    recency *r = &((fifo *)self)->lists;
    switch (fact->kind) {
    case ES_FACT_USE:
        fifo_use(r, fact->event);
        break;
    case ES_FACT_START_GUESS:
    case ES_FACT_ARRIVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            recency_touch(r, fact->to, fact->objects[i]);
        break;
    case ES_FACT_LEAVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            recency_forget(r, fact->from, fact->objects[i]);
        break;
    default:        /* RESET */
        recency_empty(r);
    }
}

static size_t fifo_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    fifo *s = self;
    return recency_victims(&s->lists, need, out, most);
}

const es_policy es_policy_fifo = {
    .part = {
        .abi = ES_ABI,
        .name = "fifo",
        .brief = "The expert that came in first leaves first.",
        .size = sizeof(fifo),
        .init = fifo_init,
        .notify = fifo_notify,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_ARRIVE_LOW) | ES_HEARS(ES_FACT_LEAVE_LOW) |
                 ES_HEARS(ES_FACT_RESET),
    },
    .victims = fifo_victims,
};
