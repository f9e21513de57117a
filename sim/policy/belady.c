/* Belady: who is used again last leaves first (Belady 1966). Reads the future, so its results are labelled non-causal.
 *
 * Next uses are indices of events. With `bypass` a newcomer that would itself be the next to leave is not kept; without, every
 * miss goes in (forced admission); the difference between the two is what admission can win. With unequal sizes neither is
 * optimal and nobody says so.
 *
 * The farthest of a layer is remembered. A use can only move it up: what is used now had the nearest next use of its layer, and
 * its new one is behind it. So only a departure makes the layer be looked through again, about `residents per layer` steps. */
#include "sim/part/policy.h"

#include <string.h>

typedef struct belady_top {     /* the farthest of a layer in a tier; object ES_NO_OBJECT with stale set: look again */
    uint32_t next;
    es_oid object;
    bool stale;
} belady_top;

typedef struct belady {
    bool bypass;
    es_stream stream;
    const es_view *view;
    uint32_t *next;             /* [objects] index of the event that uses it next */
    uint64_t *order;            /* [objects] between equals the lower leaves first */
    uint64_t *listed;           /* [tiers * words] */
    belady_top *top;            /* [tiers * layers] */
    es_oid *claimed;            /* [objects] scratch of admit */
    uint32_t *rank;             /* [stride] scratch of admit */
    uint32_t *position;         /* [stride] */
    uint64_t clock;
} belady;

static const es_option belady_options[] = {
    {.name = "bypass", .type = ES_OPT_BOOL, .offset = offsetof(belady, bypass),
        .help = "A miss that would be used again later than all that could leave is read in place and not kept."},
    {0},
};

static es_code belady_init(void *self, const es_site *site, es_err *err)
{
    belady *s = self;
    const es_view *view = s->view = site->view;
    s->stream = es_stream_of(site->seed, site->replication, site->path, "ties");
    s->next = ES_NEW_ARRAY(site->arena, view->objects, uint32_t);
    s->order = ES_NEW_ARRAY(site->arena, view->objects, uint64_t);
    s->listed = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->words, uint64_t);
    s->top = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->layers, belady_top);
    s->claimed = ES_NEW_ARRAY(site->arena, view->objects, es_oid);
    s->rank = ES_NEW_ARRAY(site->arena, view->stride, uint32_t);
    s->position = ES_NEW_ARRAY(site->arena, view->stride, uint32_t);
    if (!s->next || !s->order || !s->listed || !s->top || !s->claimed || !s->rank || !s->position)
        return es_err_nomem(err, "next uses");
    memcpy(s->next, view->future->start, view->objects * sizeof *s->next);
    for (size_t i = 0; i < (size_t)view->tiers * view->layers; i++)
        s->top[i] = (belady_top){0, ES_NO_OBJECT, false};
    return ES_OK;
}

static inline bool belady_before(const belady *s, es_oid a, es_oid b)
{
    return s->next[a] > s->next[b] || (s->next[a] == s->next[b] && s->order[a] < s->order[b]);
}

static inline void belady_offer(const belady *s, belady_top *top, es_oid object)
{
    if (top->object == ES_NO_OBJECT || belady_before(s, object, top->object))
        *top = (belady_top){s->next[object], object, top->stale};
}

static inline void belady_list(belady *s, uint32_t tier, es_oid object)
{
    uint64_t *word = &s->listed[(size_t)tier * s->view->words + (object >> 6)], bit = 1ull << (object & 63);
    if (*word & bit)
        return;
    *word |= bit;
    s->order[object] = s->view->ties == 2 ? object : s->view->ties == 3 ? es_draw(s->stream, object, ++s->clock, 0, 0) : ++s->clock;
}

static inline void belady_unlist(belady *s, uint32_t tier, es_oid object)
{
    s->listed[(size_t)tier * s->view->words + (object >> 6)] &= ~(1ull << (object & 63));
    belady_top *top = &s->top[tier * s->view->layers + s->view->layer_of[object >> 6]];
    if (top->object == object)
        *top = (belady_top){0, ES_NO_OBJECT, true};
}

static void belady_use(belady *s, const es_event *event)
{
    uint32_t tier = s->view->serving;
    belady_top *top = &s->top[tier * s->view->layers + event->layer];
    const uint32_t *next = s->view->future->next + event->at;
    bool used = top->object != ES_NO_OBJECT && event->mask[(top->object - event->base) >> 6] >> ((top->object - event->base) & 63) & 1;
    if (used)
        top->object = ES_NO_OBJECT;
    for (uint32_t i = 0; i < event->count; i++) {
        es_oid object = event->base + event->list[i];
        s->next[object] = next[i];
        if (es_event_keeps(event, event->list[i])) {
            belady_list(s, tier, object);
            belady_offer(s, top, object);
        }
    }
    if (used && top->object == ES_NO_OBJECT)
        top->stale = true;
}

static void belady_notify(void *self, const es_fact *fact)
{
    belady *s = self;
    switch (fact->kind) {
    case ES_FACT_USE:
        belady_use(s, fact->event);
        break;
    case ES_FACT_START_GUESS:
    case ES_FACT_ARRIVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++) {
            belady_list(s, fact->to, fact->objects[i]);
            belady_offer(s, &s->top[fact->to * s->view->layers + s->view->layer_of[fact->objects[i] >> 6]], fact->objects[i]);
        }
        break;
    case ES_FACT_LEAVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            belady_unlist(s, fact->from, fact->objects[i]);
        break;
    default:        /* RESET */
        memset(s->listed, 0, (size_t)s->view->tiers * s->view->words * sizeof *s->listed);
        for (size_t i = 0; i < (size_t)s->view->tiers * s->view->layers; i++)
            s->top[i] = (belady_top){0, ES_NO_OBJECT, false};
    }
}

/* The farthest listed object of a layer; with `free` only among those that may leave now. */
static es_oid belady_farthest(const belady *s, uint32_t tier, uint32_t layer, bool may_leave)
{
    const es_view *view = s->view;
    uint32_t first = layer * view->words_per_layer;
    es_oid best = ES_NO_OBJECT;
    for (uint32_t w = first; w < first + view->words_per_layer; w++) {
        uint64_t left = s->listed[(size_t)tier * view->words + w];
        if (may_leave)
            left &= view->tier[tier].resident[w] & ~view->guard[w];
        for (; left; left &= left - 1) {
            es_oid object = w * 64 + (es_oid)__builtin_ctzll(left);
            if (best == ES_NO_OBJECT || belady_before(s, object, best))
                best = object;
        }
    }
    return best;
}

/* The layer's candidate that may leave: the remembered one, or a search where that is pinned or gone. */
static es_oid belady_candidate(belady *s, uint32_t tier, uint32_t layer)
{
    belady_top *top = &s->top[tier * s->view->layers + layer];
    if (top->stale) {
        *top = (belady_top){0, belady_farthest(s, tier, layer, false), false};
        if (top->object != ES_NO_OBJECT)
            top->next = s->next[top->object];
    }
    if (top->object == ES_NO_OBJECT || es_may_evict(s->view, top->object, tier))
        return top->object;
    return belady_farthest(s, tier, layer, true);
}

static es_oid belady_worst(belady *s, uint32_t tier, uint32_t bucket)
{
    const es_view *view = s->view;
    if (view->per_layer)
        return belady_candidate(s, tier, bucket - view->tier[tier].first_bucket);
    es_oid best = ES_NO_OBJECT;
    uint32_t reach = 0;
    const belady_top *top = &s->top[tier * view->layers];
    for (uint32_t l = 0; l < view->layers; l++) {
        if (best != ES_NO_OBJECT && !top[l].stale && top[l].next < reach)
            continue;
        es_oid one = belady_candidate(s, tier, l);
        if (one != ES_NO_OBJECT && (best == ES_NO_OBJECT || belady_before(s, one, best))) {
            best = one;
            reach = s->next[one];
        }
    }
    return best;
}

static size_t belady_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    belady *s = self;
    const int64_t *unit = s->view->tier[need->tier].unit;
    size_t count = 0;
    int64_t freed = 0;
    while (freed < need->units && count < most) {
        es_oid worst = belady_worst(s, need->tier, need->bucket);
        if (worst == ES_NO_OBJECT)
            break;
        belady_unlist(s, need->tier, worst);
        freed += unit[worst >> 6];
        out[count++] = worst;
    }
    if (need->all && freed < need->units) {
        for (size_t i = 0; i < count; i++) {
            uint64_t order = s->order[out[i]];
            belady_list(s, need->tier, out[i]);
            s->order[out[i]] = order;
            belady_offer(s, &s->top[need->tier * s->view->layers + s->view->layer_of[out[i] >> 6]], out[i]);
        }
        return 0;
    }
    return count;
}

/* The misses that are used soonest take the free room, then the places of residents that are used later than they are. */
static void belady_admit(void *self, const es_admit_ask *ask, bool *keep)
{
    belady *s = self;
    const es_event *event = ask->event;
    const uint32_t *next = s->view->future->next + event->at;
    int64_t unit = s->view->tier[ask->tier].unit[event->base >> 6], room = ask->free_units;
    uint32_t claims = 0;
    for (uint32_t i = 0, at = 0; i < ask->count; i++) {
        while (event->list[at] != ask->missing[i])
            at++;
        s->position[i] = next[at];
        uint32_t j = i;
        for (; j > 0 && s->position[s->rank[j - 1]] > next[at]; j--)
            s->rank[j] = s->rank[j - 1];
        s->rank[j] = i;
    }
    uint32_t bucket = es_bucket_of(s->view, ask->tier, event->base);
    for (uint32_t r = 0; r < ask->count; r++) {
        uint32_t i = s->rank[r];
        while (room < unit) {
            es_oid worst = belady_worst(s, ask->tier, bucket);
            if (worst == ES_NO_OBJECT || s->next[worst] <= s->position[i])
                break;
            belady_unlist(s, ask->tier, worst);
            room += s->view->tier[ask->tier].unit[worst >> 6];
            s->claimed[claims++] = worst;
        }
        keep[i] = room >= unit;
        room -= keep[i] ? unit : 0;
    }
    while (claims > 0) {
        es_oid object = s->claimed[--claims];
        uint64_t order = s->order[object];
        belady_list(s, ask->tier, object);
        s->order[object] = order;
        belady_offer(s, &s->top[ask->tier * s->view->layers + s->view->layer_of[object >> 6]], object);
    }
}

static bool belady_admits(const void *self)
{
    return ((const belady *)self)->bypass;
}

const es_policy es_policy_belady = {
    .part = {
        .abi = ES_ABI,
        .name = "belady",
        .brief = "The expert whose next use is farthest leaves first (reads the future).",
        .options = belady_options,
        .size = sizeof(belady),
        .init = belady_init,
        .notify = belady_notify,
        .flags = ES_ORACLE,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_ARRIVE_LOW) | ES_HEARS(ES_FACT_LEAVE_LOW) |
                 ES_HEARS(ES_FACT_RESET),
    },
    .victims = belady_victims,
    .admit = belady_admit,
    .admits = belady_admits,
};
