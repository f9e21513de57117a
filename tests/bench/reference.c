/* Reference: the least that exact LRU over a trace costs, to have something to divide by. No parts, no facts, no machine.
 *
 *     reference TRACE.h5 SLOTS        prints {"lookups": N, "hits": N}
 *
 * One global cache of equal slots, as expertsim has it under clock none with contract event_atomic: an event is one layer of one
 * token; its lookups see the state before the event, and nothing of an event leaves because of it. Here that takes one pass: ids of a
 * row differ, so looking one up cannot see what another did as long as victims leave behind the row, and those touched last stand at
 * the other end of the list. Recency is a ring of 16-bit links; an object that is not in it has itself as its neighbour.
 * The trace is read as expertsim reads it. Expected: 35 instructions per access where 40 % miss. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/part/source.h"

extern const es_source es_source_native;

typedef struct lru {
    struct { uint16_t older, newer; } *link;    /* [objects + 1]; the last is the ring's head: newer is the oldest, older the newest */
    uint16_t head;
    uint64_t room;                              /* slots still free */
    uint64_t lookups, hits;
} lru;

static void lru_cut(lru *c, uint16_t object)
{
    c->link[c->link[object].older].newer = c->link[object].newer;
    c->link[c->link[object].newer].older = c->link[object].older;
}

static void lru_renew(lru *c, uint16_t object)
{
    uint16_t newest = c->link[c->head].older;
    c->link[object].older = newest;
    c->link[object].newer = c->head;
    c->link[newest].newer = object;
    c->link[c->head].older = object;
}

static void lru_drop_oldest(lru *c)
{
    uint16_t oldest = c->link[c->head].newer;
    lru_cut(c, oldest);
    c->link[oldest].older = c->link[oldest].newer = oldest;
}

/* One event; `first` is the object of the layer's expert 0. */
static void lru_event(lru *c, const uint16_t *ids, uint32_t count, uint32_t first)
{
    uint64_t missed = 0;
    uint32_t i = 0;
    for (; i < count && ids[i] != ES_NO_EXPERT; i++) {
        uint16_t object = (uint16_t)(first + ids[i]);
        if (c->link[object].newer == object)
            missed++;
        else
            lru_cut(c, object);
        lru_renew(c, object);
    }
    c->lookups += i;
    c->hits += i - missed;
    for (; missed > c->room; missed--)
        lru_drop_oldest(c);
    c->room -= missed;
}

static int fail(const char *what)
{
    fprintf(stderr, "reference: %s\n", what);
    return EXIT_FAILURE;
}

static int replay(lru *c, const es_source *source, void *state, es_err *err)
{
    const es_trace_info *info = source->info(state);
    es_step step;
    bool more;
    while (source->next(state, &step, &more, err) == ES_OK) {
        if (!more)
            return EXIT_SUCCESS;
        if (step.tokens != 1)
            return fail("a step has several tokens; only traces of single tokens are compared");
        for (uint32_t layer = 0; layer < info->layers; layer++)
            lru_event(c, step.ids + (size_t)layer * info->top_k, info->top_k, layer * info->experts);
    }
    return fail(err->text);
}

static int lru_new(lru *c, const es_trace_info *info, uint64_t slots)
{
    uint64_t objects = (uint64_t)info->layers * info->experts;
    if (objects >= UINT16_MAX || slots < info->top_k)
        return fail("objects must be below 65535 and an event must fit the slots");
    c->link = malloc((objects + 1) * sizeof *c->link);
    if (!c->link)
        return fail("out of memory");
    for (uint64_t i = 0; i <= objects; i++)
        c->link[i].older = c->link[i].newer = (uint16_t)i;
    c->head = (uint16_t)objects;
    c->room = slots;
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    es_err err = {0};
    es_arena arena = {0};
    lru cache = {0};
    if (argc != 3)
        return fail("needs a native trace and a number of slots");
    const es_source *source = &es_source_native;
    const es_source_ask ask = {.path = argv[1]};
    void *state = es_arena_alloc(&arena, 1, source->part.size);
    if (!state || source->open(state, &ask, &arena, &err) != ES_OK)
        return fail(err.text);
    int status = lru_new(&cache, source->info(state), strtoull(argv[2], NULL, 10));
    if (status == EXIT_SUCCESS)
        status = replay(&cache, source, state, &err);
    if (status == EXIT_SUCCESS)
        printf("{\"lookups\": %" PRIu64 ", \"hits\": %" PRIu64 "}\n", cache.lookups, cache.hits);
    free(cache.link);
    source->part.fini(state);
    es_arena_free(&arena);
    return status;
}
