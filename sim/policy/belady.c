/* Belady: who is used again last leaves first (Belady 1966). Reads the future, so its results are labelled non-causal.
 *
 * Next uses are indices of events. With `bypass` a newcomer that would itself be the next to leave is not kept; without, every
 * miss goes in (forced admission); the difference between the two is what admission can win. With unequal sizes neither is
 * optimal and nobody says so.
 *
 * The farthest of a layer is remembered, and a victim is the farthest of these. A use can only move it up: what is used now had
 * the nearest next use of its layer, and its new one is behind it. So only a departure makes its layer be looked through again,
 * about `residents per layer` steps.
 *
 * The experts of the event at hand are pinned, and being used again late they would often be the farthest in vain: they count
 * from the next event on, or as soon as one of them may leave (belady_settle). */
#include "sim/part/policy.h"

#include <string.h>

enum { BELADY_LAYERS = 1 << 20 };   /* most there may be */

typedef struct belady_top {     /* the farthest of each layer in one tier */
    es_oid *object;             /* [layers] ES_NO_OBJECT: nothing is listed */
    double *most;               /* [layers, in fours] its next use * BELADY_LAYERS + layer; 0 where there is none. An exact integer:
                                   the greater of two doubles is one instruction */
} belady_top;

typedef struct belady_now {     /* the event at hand, while it does not count: its experts in the word of its layer */
    uint64_t mask;              /* 0: it counts */
    uint32_t word, layer;
    es_oid farthest;            /* of them */
    double most;                /* as in belady_top */
} belady_now;

typedef struct belady {
    bool bypass;
    es_stream stream;
    const es_view *view;
    uint32_t *next;             /* [objects] index of the event that uses it next */
    uint64_t *order;            /* [objects] between equals the lower leaves first */
    uint64_t *listed;           /* [tiers * words] */
    belady_top *top;            /* [tiers] */
    belady_now now;             /* in the serving tier */
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

static void belady_empty(belady *s)
{
    const es_view *view = s->view;
    s->now.mask = 0;
    memset(s->listed, 0, (size_t)view->tiers * view->words * sizeof *s->listed);
    for (uint32_t t = 0; t < view->tiers; t++) {
        for (uint32_t l = 0; l < view->spaces; l++) {
            s->top[t].object[l] = ES_NO_OBJECT;
            s->top[t].most[l] = 0.0;
        }
    }
}

static es_code belady_init(void *self, const es_site *site, es_err *err)
{
    belady *s = self;
    const es_view *view = s->view = site->view;
    s->stream = es_stream_of(site->seed, site->replication, site->path, "ties");
    s->next = ES_NEW_ARRAY(site->arena, view->objects, uint32_t);
    s->order = ES_NEW_ARRAY(site->arena, view->objects, uint64_t);
    s->listed = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->words, uint64_t);
    s->top = ES_NEW_ARRAY(site->arena, view->tiers, belady_top);
    s->claimed = ES_NEW_ARRAY(site->arena, view->objects, es_oid);
    s->rank = ES_NEW_ARRAY(site->arena, view->stride, uint32_t);
    s->position = ES_NEW_ARRAY(site->arena, view->stride, uint32_t);
    bool good = s->next && s->order && s->listed && s->top && s->claimed && s->rank && s->position;
    for (uint32_t t = 0; good && t < view->tiers; t++) {
        belady_top *top = &s->top[t];
        top->most = ES_NEW_ARRAY(site->arena, view->spaces + 3, double);
        top->object = ES_NEW_ARRAY(site->arena, view->spaces, es_oid);
        good = top->most && top->object;
    }
    if (!good)
        return es_err_nomem(err, "next uses");
    memcpy(s->next, view->future->start, view->objects * sizeof *s->next);
    belady_empty(s);
    return ES_OK;
}

static inline bool belady_before(const belady *s, es_oid a, es_oid b)
{
    return s->next[a] > s->next[b] || (s->next[a] == s->next[b] && s->order[a] < s->order[b]);
}

static inline double belady_key(uint32_t next, uint32_t layer)
{
    return (double)((int64_t)next * BELADY_LAYERS + layer);
}

/* The farthest of the layer is now this one, or nothing. */
static inline void belady_crown(const belady *s, uint32_t tier, uint32_t layer, es_oid object)
{
    s->top[tier].object[layer] = object;
    s->top[tier].most[layer] = object == ES_NO_OBJECT ? 0.0 : belady_key(s->next[object], layer);
}

static inline void belady_offer(const belady *s, uint32_t tier, uint32_t layer, es_oid object)
{
    es_oid farthest = s->top[tier].object[layer];
    if (farthest == ES_NO_OBJECT || belady_before(s, object, farthest))
        belady_crown(s, tier, layer, object);
}

/* The farthest of these objects of one word. */
static inline es_oid belady_farthest_of(const belady *s, uint64_t left, es_oid base)
{
    const uint32_t *next = s->next + base;
    const uint64_t *order = s->order + base;
    if (!left)
        return ES_NO_OBJECT;
    size_t best = (uint32_t)__builtin_ctzll(left);
    uint32_t reach = next[best];
    while (left &= left - 1) {
        const size_t i = (uint32_t)__builtin_ctzll(left);
        const uint32_t coming = next[i];
        if (coming < reach)
            continue;
        if (coming > reach || order[i] < order[best])
            best = i;
        reach = coming;
    }
    return base + (es_oid)best;
}

/* The farther of two, of which the second may be none. */
static inline es_oid belady_farther(const belady *s, es_oid a, es_oid b)
{
    return a == ES_NO_OBJECT || (b != ES_NO_OBJECT && belady_before(s, b, a)) ? b : a;
}

/* The farthest of a layer that is listed, of several words. */
static ES_COLD es_oid belady_farthest_each(const belady *s, const uint64_t *listed, uint32_t first)
{
    es_oid best = ES_NO_OBJECT;
    for (uint32_t w = first; w < first + s->view->words_per_layer; w++)
        best = belady_farther(s, best, belady_farthest_of(s, listed[w], w * 64));
    return best;
}

static inline es_oid belady_farthest(const belady *s, uint32_t tier, uint32_t layer)
{
    const uint64_t *listed = s->listed + (size_t)tier * s->view->words;
    const uint32_t words = s->view->words_per_layer;
    return words == 1 ? belady_farthest_of(s, listed[layer], layer * 64) : belady_farthest_each(s, listed, layer * words);
}

/* The same only among those that may leave now. */
static ES_COLD es_oid belady_farthest_free(const belady *s, uint32_t tier, uint32_t layer)
{
    const es_view *view = s->view;
    const uint32_t words = view->words_per_layer, first = layer * words;
    const uint64_t *listed = s->listed + (size_t)tier * view->words;
    es_oid best = ES_NO_OBJECT;
    for (uint32_t w = first; w < first + words; w++)
        best = belady_farther(s, best, belady_farthest_of(s, listed[w] & view->tier[tier].resident[w] & ~view->guard[w], w * 64));
    return best;
}

static inline uint64_t belady_order(belady *s, es_oid object)
{
    switch (s->view->ties) {
    case 2:
        return object;
    case 3:
        return es_draw(s->stream, object, ++s->clock, 0, 0);
    default:
        return ++s->clock;
    }
}

/* Enters the tier, or stays in it with another next use. */
static void belady_list(belady *s, uint32_t tier, es_oid object)
{
    uint64_t *word = &s->listed[(size_t)tier * s->view->words + (object >> 6)], bit = 1ull << (object & 63);
    if (!(*word & bit))
        s->order[object] = belady_order(s, object);
    *word |= bit;
    belady_offer(s, tier, s->view->layer_of[object >> 6], object);
}

/* The same for one that was named and stays after all: it keeps its order. */
static void belady_relist(belady *s, uint32_t tier, es_oid object)
{
    s->listed[(size_t)tier * s->view->words + (object >> 6)] |= 1ull << (object & 63);
    belady_offer(s, tier, s->view->layer_of[object >> 6], object);
}

static inline void belady_unlist(belady *s, uint32_t tier, es_oid object)
{
    uint32_t layer = s->view->layer_of[object >> 6];
    s->listed[(size_t)tier * s->view->words + (object >> 6)] &= ~(1ull << (object & 63));
    if (s->top[tier].object[layer] == object)
        belady_crown(s, tier, layer, belady_farthest(s, tier, layer));
}

/* Newcomers of a layer of one word. */
static inline void belady_enter(belady *s, const es_event *event, uint64_t fresh)
{
    s->listed[(size_t)s->view->serving * s->view->words + event->word] |= fresh;
    uint64_t *order = s->order + event->base;
    if (s->view->ties >= 2) {
        for (uint32_t i = 0; i < event->count; i++)
            if (fresh >> event->list[i] & 1)
                order[event->list[i]] = belady_order(s, event->base + event->list[i]);
        return;
    }
    uint64_t clock = s->clock;
    for (const uint16_t *id = event->list, *end = id + event->count; id < end; id++)
        if (fresh >> *id & 1)
            order[*id] = ++clock;
    s->clock = clock;
}

/* The event that was at hand counts like all others. Was the farthest of its layer among it, that was to be used then: now is later. */
static inline void belady_settle(belady *s)
{
    if (!s->now.mask)
        return;
    es_oid *object = &s->top[s->view->serving].object[s->now.layer];
    double *most = &s->top[s->view->serving].most[s->now.layer];
    s->now.mask = 0;
    if (s->now.most > *most || (s->now.most == *most && s->order[s->now.farthest] < s->order[*object])) {
        *object = s->now.farthest;
        *most = s->now.most;
    }
}

/* Only some of the event stay, or a layer has several words. */
static ES_COLD void belady_use_each(belady *s, const es_event *event)
{
    const uint32_t *coming = s->view->future->next + event->at, tier = s->view->serving;
    es_oid farthest = s->top[tier].object[s->view->layer_of[event->word]];
    for (uint32_t i = 0; i < event->count; i++)
        s->next[event->base + event->list[i]] = coming[i];
    if (farthest != ES_NO_OBJECT && es_mask_has(event->mask, farthest - event->base))
        belady_crown(s, tier, s->view->layer_of[event->word], ES_NO_OBJECT);
    for (uint32_t i = 0; i < event->count; i++)
        if (es_event_keeps(event, event->list[i]))
            belady_list(s, tier, event->base + event->list[i]);
}

static void belady_use(belady *s, const es_event *event)
{
    belady_settle(s);
    if (event->kept || event->words > 1) {
        belady_use_each(s, event);
        return;
    }
    uint64_t mask = *event->mask, fresh = mask & ~s->listed[(size_t)s->view->serving * s->view->words + event->word];
    if (fresh)
        belady_enter(s, event, fresh);
    const uint32_t *coming = s->view->future->next + event->at;
    const uint16_t *list = event->list;
    const uint64_t *order = s->order + event->base;
    uint32_t *next = s->next + event->base, reach = 0;
    size_t farthest = list[0];
    for (size_t i = 0, count = event->count; i < count; i++) {
        size_t at = list[i];
        uint32_t used = next[at] = coming[i];
        if (used < reach)
            continue;
        if (used > reach || order[at] < order[farthest])
            farthest = at;
        reach = used;
    }
    const uint32_t layer = s->view->layer_of[event->word];
    s->now = (belady_now){mask, event->word, layer, event->base + (es_oid)farthest, belady_key(reach, layer)};
}

/* Everything but use: rare. */
static ES_COLD void belady_moved(belady *s, const es_fact *fact)
{
    switch (fact->kind) {
    case ES_FACT_START_GUESS:
    case ES_FACT_ARRIVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            belady_list(s, fact->to, fact->objects[i]);
        break;
    case ES_FACT_LEAVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            belady_unlist(s, fact->from, fact->objects[i]);
        break;
    default:        /* RESET */
        belady_empty(s);
    }
}

static void belady_notify(void *self, const es_fact *fact)
{
    if (fact->kind == ES_FACT_USE)
        belady_use(self, fact->event);
    else
        belady_moved(self, fact);
}

/* The layer's candidate that may leave: the remembered one, or a search where that is pinned or not there yet. */
static es_oid belady_candidate(const belady *s, uint32_t tier, uint32_t layer)
{
    es_oid object = s->top[tier].object[layer];
    if (object == ES_NO_OBJECT || es_may_evict(s->view, object, tier))
        return object;
    return belady_farthest_free(s, tier, layer);
}

/* Where several are never used again, or the farthest may not leave. */
static ES_COLD es_oid belady_worst_of(const belady *s, uint32_t tier)
{
    const double *most = s->top[tier].most;
    es_oid best = ES_NO_OBJECT;
    uint32_t reach = 0;
    for (uint32_t l = 0; l < s->view->spaces; l++) {
        if (most[l] < belady_key(reach, 0))
            continue;
        es_oid one = belady_candidate(s, tier, l);
        if (one != ES_NO_OBJECT && (best == ES_NO_OBJECT || belady_before(s, one, best))) {
            best = one;
            reach = s->next[one];
        }
    }
    return best;
}

/* The greatest of all layers; of every fourth on its own, or each would wait for the one before. */
static inline uint64_t belady_most(const double *top, uint32_t layers)
{
    double most[4] = {0.0, 0.0, 0.0, 0.0};
    for (const double *end = top + layers; top < end; top += 4)
        for (uint32_t i = 0; i < 4; i++)
            most[i] = most[i] > top[i] ? most[i] : top[i];
    const double a = most[0] > most[1] ? most[0] : most[1], b = most[2] > most[3] ? most[2] : most[3];
    return (uint64_t)(int64_t)(a > b ? a : b);
}

static es_oid belady_worst(const belady *s, uint32_t tier, uint32_t bucket)
{
    if (s->view->per_layer)
        return belady_candidate(s, tier, bucket - s->view->tier[tier].first_bucket);
    const uint64_t most = belady_most(s->top[tier].most, s->view->spaces);
    /* an event is of one layer, so no two layers have the same next use, but for none at all */
    const uint32_t reach = (uint32_t)(most / BELADY_LAYERS);
    es_oid object = s->top[tier].object[most % BELADY_LAYERS];
    return reach != 0 && reach != UINT32_MAX && es_may_evict(s->view, object, tier) ? object : belady_worst_of(s, tier);
}

static size_t belady_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    belady *s = self;
    const int64_t *unit = s->view->tier[need->tier].unit;
    if (s->now.mask & ~s->view->guard[s->now.word])
        belady_settle(s);
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
        for (size_t i = 0; i < count; i++)
            belady_relist(s, need->tier, out[i]);
        return 0;
    }
    return count;
}

/* The misses that are used soonest take the free room, then the places of residents that are used later than they are. */
static void belady_admit(void *self, const es_admit_ask *ask, bool *keep)
{
    belady *s = self;
    const es_event *event = ask->event;
    belady_settle(s);
    const uint32_t *next = s->view->future->next + event->at;
    int64_t room = ask->free_units;
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
        int64_t unit = s->view->tier[ask->tier].unit[(event->base + ask->missing[i]) >> 6];
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
    while (claims > 0)
        belady_relist(s, ask->tier, s->claimed[--claims]);
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
