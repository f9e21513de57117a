/* Random: any resident may leave, each as likely as the others. The floor that every policy has to beat.
 *
 * Each bucket's residents stand in an array in no particular order; a victim's place is taken by the last. What is drawn but may
 * not leave now is put behind the candidates, so a victim costs one draw as long as few are pinned, and the draw is uniform over
 * those that may leave. Draw number n of a bucket is the same whatever anybody else draws. */
#include "sim/part/policy.h"

typedef struct random_bag {     /* residents of one bucket */
    es_oid *item;
    uint32_t count;
    uint64_t left;              /* victims so far: coordinate of the next draw */
} random_bag;

typedef struct random_state {
    es_stream stream;
    const es_view *view;
    random_bag *bag;            /* [buckets] */
    uint32_t *place;            /* [tiers * objects] place in its bag + 1; 0: in none */
} random_state;

static void random_empty(random_state *s)
{
    for (uint32_t b = 0; b < s->view->buckets; b++)
        s->bag[b].count = 0;
    for (size_t i = 0; i < (size_t)s->view->tiers * s->view->objects; i++)
        s->place[i] = 0;
}

static es_code random_init(void *self, const es_site *site, es_err *err)
{
    random_state *s = self;
    const es_view *view = s->view = site->view;
    uint32_t most = view->per_layer ? view->stride : view->objects;
    s->stream = es_stream_of(site->seed, site->replication, site->path, "victim");
    s->bag = ES_NEW_ARRAY(site->arena, view->buckets, random_bag);
    s->place = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->objects, uint32_t);
    es_oid *item = ES_NEW_ARRAY(site->arena, (size_t)view->buckets * most, es_oid);
    if (!s->bag || !s->place || !item)
        return es_err_nomem(err, "the residents");
    for (uint32_t b = 0; b < view->buckets; b++)
        s->bag[b].item = item + (size_t)b * most;
    return ES_OK;
}

static inline void random_enter(random_state *s, uint32_t tier, es_oid object)
{
    uint32_t *place = &s->place[(size_t)tier * s->view->objects + object];
    random_bag *bag = &s->bag[es_bucket_of(s->view, tier, object)];
    if (*place)
        return;
    bag->item[bag->count++] = object;
    *place = bag->count;
}

static inline void random_put(random_bag *bag, uint32_t *place, uint32_t i, es_oid object)
{
    bag->item[i] = object;
    place[object] = i + 1;
}

static void random_leave(random_state *s, uint32_t tier, es_oid object)
{
    uint32_t *place = s->place + (size_t)tier * s->view->objects;
    random_bag *bag = &s->bag[es_bucket_of(s->view, tier, object)];
    if (!place[object])
        return;
    random_put(bag, place, place[object] - 1, bag->item[bag->count - 1]);
    bag->count--;
    place[object] = 0;
}

/* What is in the bag already stays where it is: hits, and what a guess is bringing. */
static void random_use(random_state *s, const es_event *event)
{
    uint32_t *place = s->place + (size_t)s->view->serving * s->view->objects + event->base;
    random_bag *bag = &s->bag[es_bucket_of(s->view, s->view->serving, event->base)];
    for (const uint16_t *index = event->list, *end = index + event->count; index < end; index++)
        if (!place[*index] && es_event_keeps(event, *index)) {
            bag->item[bag->count] = event->base + *index;
            place[*index] = ++bag->count;
        }
}

static void random_notify(void *self, const es_fact *fact)
{
    random_state *s = self;
    switch (fact->kind) {
    case ES_FACT_USE:
        random_use(s, fact->event);
        break;
    case ES_FACT_START_GUESS:
    case ES_FACT_ARRIVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            random_enter(s, fact->to, fact->objects[i]);
        break;
    case ES_FACT_LEAVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            random_leave(s, fact->from, fact->objects[i]);
        break;
    default:        /* RESET */
        random_empty(s);
    }
}

/* item[0 .. live) are candidates, item[live .. count) were drawn and may not leave now. */
static size_t random_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    random_state *s = self;
    random_bag *bag = &s->bag[need->bucket];
    uint32_t *place = s->place + (size_t)need->tier * s->view->objects;
    const int64_t *unit = s->view->tier[need->tier].unit;
    uint32_t live = bag->count;
    size_t count = 0;
    int64_t freed = 0;
    while (freed < need->units && live > 0 && count < most) {
        uint32_t i = es_draw_below(s->stream, live, need->bucket, bag->left + count, live, 0);
        es_oid object = bag->item[i];
        live--;
        random_put(bag, place, i, bag->item[live]);
        if (!es_may_evict(s->view, object, need->tier)) {
            random_put(bag, place, live, object);
            continue;
        }
        bag->count--;
        if (live < bag->count)
            random_put(bag, place, live, bag->item[bag->count]);
        place[object] = 0;
        out[count++] = object;
        freed += unit[object >> 6];
    }
    if (need->all && freed < need->units) {
        for (size_t i = 0; i < count; i++)
            random_enter(s, need->tier, out[i]);
        return 0;
    }
    bag->left += count;
    return count;
}

const es_policy es_policy_random = {
    .part = {
        .abi = ES_ABI,
        .name = "random",
        .brief = "Any resident expert leaves, each as likely as the others (seeded).",
        .size = sizeof(random_state),
        .init = random_init,
        .notify = random_notify,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_ARRIVE_LOW) | ES_HEARS(ES_FACT_LEAVE_LOW) |
                 ES_HEARS(ES_FACT_RESET),
    },
    .victims = random_victims,
};
