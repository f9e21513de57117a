/* Multi-factor: who was not used for long and seldom leaves first (Metal Marlin's pool).
 *
 *   score = age_weight * seconds since the last use + frequency_weight / (uses + 1),  the largest leaves, of equals the first that came
 *
 * One use is worth at most 0.15 and an hour 2520: with the weights as published it is the count that decides among those used within
 * the same 0.2 s, and age among all others. As all scores grow alike with time, their order changes only by uses: whoever has
 *
 *   key = age_weight * time of the last use - frequency_weight / (uses + 1)       in billionths
 *
 * least is next. An elder who was used no more often has the lesser key, so nobody is next while such an elder may leave. Whoever has
 * none is a *low*; a handful of the residents are, and only they are compared. A low that has been used since or has left is noticed
 * when it is next to leave: then those who stood behind it are looked through for new lows, as far as the first who was used as seldom.
 *
 *   uses, from the oldest on        5  7  3  9  3  4  1  2  1        lows: 5, 3 and 1; without the 5 also the 7
 *                                   *     *           *
 *
 * Uses are counted while an expert is in a tier, a guess counting as one; or for ever. Time is simulated, or the number of the event
 * times `event_time`. */
#include <string.h>

#include "sim/policy/recency.h"

enum { FACTOR_TABLE = 1024 };

#define FACTOR_NOBODY ((factor_low){.use = NULL, .key = INT64_MAX, .order = UINT64_MAX})     /* next after everybody */

typedef struct factor_use {     /* of an object in a tier */
    int64_t aged;               /* age_weight * time of the last use, ns */
    uint64_t order;             /* in which it came */
    uint64_t count;
} factor_use;

typedef struct factor_low {
    const es_oid *use;          /* its place in the queue */
    int64_t key, worth;         /* worth: frequency_weight / (uses + 1), in billionths */
    uint64_t order;
} factor_low;

typedef struct factor_lows {    /* of one bucket */
    factor_low *low;            /* [count] the oldest first */
    uint32_t count, most;       /* most: objects of the bucket; as many again fit */
    const es_oid *seen;         /* entries from here on were not looked at */
    size_t length;              /* of the queue when it was written anew; at three times that it is again, for what no longer counts is in the way */
    uint64_t moves;             /* the places are those after so many moves of the queue */
} factor_lows;

typedef struct factor {
    double age_weight, frequency_weight;
    int counts, time;           /* 0 resident, 1 persistent; 0 clock, 1 events */
    int64_t event_ns;
    const es_json *avoid;
    const es_view *view;
    es_stream stream;
    recency lists;              /* without those to be avoided */
    factor_use *use;            /* [tiers * objects] */
    factor_lows *lows;          /* [buckets] */
    factor_low *spare;          /* scratch */
    int64_t worth[FACTOR_TABLE];/* by uses */
    uint64_t *avoided;          /* [words] */
    bool avoids;
    es_time events_ns;          /* what the events so far took, as counted */
    uint64_t clock;
} factor;

static const char *const factor_counts[] = {"resident", "persistent", NULL};

static const char *const factor_times[] = {"clock", "events", NULL};

static const es_option factor_options[] = {
    {.name = "age_weight", .type = ES_OPT_REAL, .offset = offsetof(factor, age_weight), .def = 0.7, .min = 0, .max = 1e6, .unit = "1/s",
        .help = "What a second since the last use adds to the score."},
    {.name = "frequency_weight", .type = ES_OPT_REAL, .offset = offsetof(factor, frequency_weight), .def = 0.3, .min = 0, .max = 1e6,
        .help = "What is added besides, over one more than the uses."},
    {.name = "counts", .type = ES_OPT_ENUM, .offset = offsetof(factor, counts), .choices = factor_counts,
        .help = "Whether uses are remembered only while the expert is resident or for ever."},
    {.name = "time", .type = ES_OPT_ENUM, .offset = offsetof(factor, time), .choices = factor_times,
        .help = "Whether age is simulated time or counted in events; under clock none it is events."},
    {.name = "event_time", .type = ES_OPT_TIME, .offset = offsetof(factor, event_ns), .def = 1e6, .min = 0, .max = 1e15,
        .help = "What an event takes where they are counted."},
    {.name = "avoid", .type = ES_OPT_JSON, .offset = offsetof(factor, avoid),
        .help = "Experts that leave only when no other may: a list of [layer, expert], layers as the model numbers them."},
    {0},
};

/* ---- start ---- */

/* What so few uses add to the score. */
static int64_t factor_rarity(const factor *s, uint64_t uses)
{
    return (int64_t)(1e9 * s->frequency_weight / ((double)uses + 1.0) + 0.5);
}

static uint32_t factor_layer(const es_view *view, double number)
{
    uint32_t layer = 0;
    while (layer < view->layers && view->layer_number[layer] != number)
        layer++;
    return layer;
}

/* All matrices of the experts listed, in every precision. */
static es_code factor_avoid(factor *s, es_err *err)
{
    const es_view *view = s->view;
    const es_json *pair;
    if (s->avoid && !cJSON_IsArray(s->avoid))
        return es_err_set(err, ES_EINPUT, "avoid: needs a list of [layer, expert]");
    cJSON_ArrayForEach(pair, s->avoid)
    {
        const es_json *number = cJSON_GetArrayItem(pair, 0), *expert = cJSON_GetArrayItem(pair, 1);
        if (!cJSON_IsArray(pair) || cJSON_GetArraySize(pair) != 2 || !cJSON_IsNumber(number) || !cJSON_IsNumber(expert))
            return es_err_set(err, ES_EINPUT, "avoid: an entry is not [layer, expert]");
        const uint32_t layer = factor_layer(view, number->valuedouble);
        const double e = expert->valuedouble;
        if (layer == view->layers || !(e >= 0 && e < view->ids && e == (uint32_t)e))
            return es_err_set(err, ES_EINPUT, "avoid: the model has no expert [%g, %g]", number->valuedouble, e);
        for (uint32_t index = (uint32_t)e; index < view->stride; index += view->slice) {
            const es_oid object = es_layer_base(view, layer) + index;
            s->avoided[object >> 6] |= 1ull << (object & 63);
            s->avoids = true;
        }
    }
    return ES_OK;
}

static es_code factor_init(void *self, const es_site *site, es_err *err)
{
    factor *s = self;
    const es_view *view = s->view = site->view;
    const size_t most = view->per_layer ? view->stride : view->objects;
    s->stream = es_stream_of(site->seed, site->replication, site->path, "ties");
    s->use = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->objects, factor_use);
    s->lows = ES_NEW_ARRAY(site->arena, view->buckets, factor_lows);
    s->spare = ES_NEW_ARRAY(site->arena, (2 * (size_t)view->buckets + 1) * most, factor_low);
    s->avoided = ES_NEW_ARRAY(site->arena, view->words, uint64_t);
    if (!s->use || !s->lows || !s->spare || !s->avoided)
        return es_err_nomem(err, "uses and times of last use");
    for (uint32_t b = 0; b < view->buckets; b++)
        s->lows[b] = (factor_lows){.low = s->spare + (2 * (size_t)b + 1) * most, .most = (uint32_t)most, .moves = UINT64_MAX};
    for (uint64_t n = 0; n < FACTOR_TABLE; n++)
        s->worth[n] = factor_rarity(s, n);
    es_code code = recency_init(&s->lists, site, err);
    return code ? code : factor_avoid(s, err);
}

/* ---- facts ---- */

static inline factor_use *factor_uses(const factor *s, uint32_t tier)
{
    return s->use + (size_t)tier * s->view->objects;
}

static inline int64_t factor_aged(const factor *s, const es_fact *fact)
{
    return (int64_t)(s->age_weight * (double)(s->view->timed && !s->time ? fact->at : s->events_ns) + 0.5);
}

/* What decides between equal keys. */
static inline uint64_t factor_order(factor *s, es_oid object)
{
    const uint64_t order = ++s->clock;
    return s->view->ties < 2 ? order : s->view->ties == 2 ? object : es_draw(s->stream, object, order, 0, 0);
}

static inline void factor_count(factor *s, factor_use *use, es_oid object, bool here, int64_t aged, uint64_t times)
{
    if (!here) {
        use->order = factor_order(s, object);
        use->count = s->counts ? use->count : 0;
    }
    use->count += times;
    use->aged = aged;
}

/* A use of one object in the serving tier, and where copies lie below (inclusive tiers) there too. */
static ES_COLD void factor_use_one(factor *s, es_oid object, int64_t aged, uint64_t times)
{
    const uint32_t tier = s->view->serving;
    const es_tier_view *serving = &s->view->tier[tier];
    const bool shunned = es_mask_has(s->avoided, object), known = es_mask_has(serving->resident, object) || es_mask_has(serving->inbound, object);
    const bool here = shunned ? known : recency_has(&s->lists, tier, object);
    factor_count(s, &factor_uses(s, tier)[object], object, here, aged, times);
    for (uint32_t t = 0; t < s->view->tiers; t++)
        if (t != tier && recency_has(&s->lists, t, object))
            factor_count(s, &factor_uses(s, t)[object], object, true, aged, times);
    if (!shunned)
        recency_touch(&s->lists, tier, object);
}

static ES_COLD void factor_use_each(factor *s, const es_event *event, int64_t aged)
{
    for (uint32_t i = 0; i < event->count; i++) {
        const uint16_t index = event->touch[i];
        uint32_t place = 0;
        if (!es_event_keeps(event, index))
            continue;
        while (event->repeats && event->list[place] != index)
            place++;
        factor_use_one(s, event->base + index, aged, event->repeats ? event->repeats[place] : 1);
    }
}

static inline void factor_event(factor *s, const es_fact *fact)
{
    const es_event *event = fact->event;
    recency_queue *q = recency_of_event(&s->lists, event);
    const int64_t aged = factor_aged(s, fact);
    const size_t base = event->base, count = event->count;
    es_oid *next = q->next;
    s->events_ns += s->event_ns;
    if (event->kept || event->repeats || s->lists.stamp || s->avoids || q->end < next + count) {
        factor_use_each(s, event, aged);
        return;
    }
    q->next = next + count;
    es_oid **place = q->place;
    factor_use *uses = factor_uses(s, s->view->serving);
    for (const uint16_t *touch = event->touch, *end = touch + count; touch < end; touch++) {
        const size_t object = base + *touch;
        factor_count(s, &uses[object], (es_oid)object, place[object] != NULL, aged, 1);
        place[object] = next;
        *next++ = (es_oid)object;
    }
}

static ES_COLD void factor_guess(factor *s, const es_fact *fact, es_oid object)
{
    factor_count(s, &factor_uses(s, fact->to)[object], object, false, factor_aged(s, fact), 1);
    if (!es_mask_has(s->avoided, object))
        recency_touch(&s->lists, fact->to, object);
}

/* It brings its uses and its age with it. */
static ES_COLD void factor_arrive(factor *s, uint32_t from, uint32_t to, es_oid object)
{
    factor_use *use = &factor_uses(s, to)[object];
    *use = factor_uses(s, from)[object];
    use->order = factor_order(s, object);
    if (!es_mask_has(s->avoided, object))
        recency_place(&s->lists, to, object);
}

static ES_COLD void factor_reset(factor *s)
{
    recency_empty(&s->lists);
    if (!s->counts)
        memset(s->use, 0, (size_t)s->view->tiers * s->view->objects * sizeof *s->use);
}

static void factor_notify(void *self, const es_fact *fact)
{
    factor *s = self;
    switch (fact->kind) {
    case ES_FACT_USE:
        factor_event(s, fact);
        break;
    case ES_FACT_START_GUESS:
        for (uint32_t i = 0; i < fact->count; i++)
            factor_guess(s, fact, fact->objects[i]);
        break;
    case ES_FACT_ARRIVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            factor_arrive(s, fact->from, fact->to, fact->objects[i]);
        break;
    case ES_FACT_LEAVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            recency_forget(&s->lists, fact->from, fact->objects[i]);
        break;
    default:        /* RESET */
        factor_reset(s);
    }
}

/* ---- victims ---- */

static inline bool factor_stays(const recency_queue *q, const es_oid *use)
{
    return q->place[*use] == use;
}

static inline factor_low factor_of(const factor *s, const factor_use *uses, const es_oid *use)
{
    const factor_use *u = &uses[*use];
    const int64_t worth = u->count < FACTOR_TABLE ? s->worth[u->count] : factor_rarity(s, u->count);
    return (factor_low){use, u->aged - worth, worth, u->order};
}

static inline bool factor_before(const factor_low *a, const factor_low *b)
{
    return a->key < b->key || (a->key == b->key && a->order < b->order);
}

/* Is one behind the last low a low? */
static inline bool factor_is_low(const factor_low *a, const factor_low *last)
{
    return a->worth > last->worth || (a->worth == last->worth && a->key == last->key && a->order < last->order);
}

/* The lows from one entry to another, behind `last`, into out; how many they are. Nobody there is worth more than `most`, so whoever
 * is worth that much is the last of them, but for others of the same time. The end of what was looked at is left in *from. */
static inline uint32_t factor_find(const factor *s, const recency_queue *q, const factor_use *uses, const es_oid **from, const es_oid *to, const factor_low *last,
    int64_t most, factor_low *out)
{
    uint32_t count = 0;
    const es_oid *use = *from;
    for (; use < to; use++) {
        if (!factor_stays(q, use))
            continue;
        if (last && last->worth >= most && uses[*use].aged != last->key + last->worth)
            break;
        const factor_low a = factor_of(s, uses, use);
        if (!last || factor_is_low(&a, last)) {
            out[count] = a;
            last = &out[count++];
        }
    }
    *from = use;
    return count;
}

/* Low i is gone: those for whom it stood in the way take its place. */
static void factor_replace(factor *s, const recency_queue *q, const factor_use *uses, factor_lows *lows, uint32_t i)
{
    factor_low *low = lows->low + i;
    const es_oid *from = low->use + 1, *end = i + 1 < lows->count ? low[1].use : lows->seen;
    const uint32_t count = factor_find(s, q, uses, &from, end, i > 0 ? low - 1 : NULL, low->worth, s->spare);
    if (count != 1)
        memmove(low + count, low + 1, (lows->count - i - 1) * sizeof *low);
    for (uint32_t j = 0; j < count; j++)
        low[j] = s->spare[j];
    lows->count += count - 1;
}

/* Looks at the entries that nobody has looked at. */
static inline void factor_see(const factor *s, const recency_queue *q, const factor_use *uses, factor_lows *lows)
{
    const factor_low *last = lows->count > 0 ? &lows->low[lows->count - 1] : NULL;
    lows->count += factor_find(s, q, uses, &lows->seen, q->next, last, s->worth[1], lows->low + lows->count);
}

/* Low i may not leave, and so whoever stands behind it may be next. */
static ES_COLD void factor_behind(const factor *s, const recency_queue *q, const factor_use *uses, const factor_lows *lows, uint32_t i, factor_low *best)
{
    const es_oid *end = i + 1 < lows->count ? lows->low[i + 1].use : q->next;
    for (const es_oid *use = lows->low[i].use + 1; use < end; use++)
        if (factor_stays(q, use) && recency_may_leave(s->view, q->tier, *use)) {
            const factor_low a = factor_of(s, uses, use);
            if (factor_before(&a, best))
                *best = a;
        }
}

/* The low that is next, of those after another one where `after` tells of one; lows->count: there is none. */
static inline uint32_t factor_least(const factor_lows *lows, const factor_low *after)
{
    const factor_low *found = lows->low + lows->count;
    int64_t key = INT64_MAX;
    for (const factor_low *low = lows->low, *end = found; low < end; low++) {
        if (low->key > key || (low->key == key && found < end && low->order > found->order) || (after->use && !factor_before(after, low)))
            continue;
        found = low;
        key = low->key;
    }
    return (uint32_t)(found - lows->low);
}

/* Begins anew: the queue has given its entries other places, or lows that are none any more have piled up. */
static ES_COLD void factor_begin(recency_queue *q, factor_lows *lows)
{
    recency_renew(q);
    *lows = (factor_lows){.low = lows->low, .most = lows->most, .seen = q->oldest, .moves = q->moves, .length = (size_t)(q->next - q->oldest)};
}

/* Takes who is next out of the queue; ES_NO_OBJECT: nobody may leave. */
static es_oid factor_take(factor *s, recency_queue *q, const factor_use *uses, factor_lows *lows)
{
    factor_low best = FACTOR_NOBODY, after = {0};
    es_oid object = ES_NO_OBJECT;
    if (lows->moves != q->moves || lows->count > lows->most || (size_t)(q->next - q->oldest) > 3 * lows->length + 64)
        factor_begin(q, lows);
    for (;;) {
        factor_see(s, q, uses, lows);
        const uint32_t i = factor_least(lows, &after);
        const factor_low *low = &lows->low[i];
        if (i == lows->count || (best.use && !factor_before(low, &best)))
            break;
        const bool stays = factor_stays(q, low->use);
        if (stays && recency_may_leave(s->view, q->tier, *low->use)) {
            object = *low->use;
            q->place[object] = NULL;
            factor_replace(s, q, uses, lows, i);
            return object;
        }
        if (stays || after.use)         /* after.use: among those behind may be some for whom a low that may not leave stands in the way */
            factor_behind(s, q, uses, lows, i, &best);
        if (stays)
            after = *low;
        else
            factor_replace(s, q, uses, lows, i);
    }
    if (best.use) {
        object = *best.use;
        q->place[object] = NULL;
    }
    return object;
}

/* Who is next of those to be avoided that were not named yet; ES_NO_OBJECT: none may leave. */
static ES_COLD es_oid factor_last_resort(const factor *s, const es_need *need, const es_oid *named, size_t count)
{
    const es_view *view = s->view;
    const factor_use *uses = factor_uses(s, need->tier);
    factor_low best = FACTOR_NOBODY;
    es_oid found = ES_NO_OBJECT;
    for (es_oid object = 0; object < view->objects; object++) {
        size_t i = 0;
        if (!es_mask_has(s->avoided, object) || !es_may_evict(view, object, need->tier) || es_bucket_of(view, need->tier, object) != need->bucket)
            continue;
        while (i < count && named[i] != object)
            i++;
        const factor_low a = factor_of(s, uses, &object);
        if (i == count && factor_before(&a, &best)) {
            best = a;
            found = object;
        }
    }
    return found;
}

static size_t factor_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    factor *s = self;
    recency_queue *q = &s->lists.queue[need->bucket];
    const factor_use *uses = factor_uses(s, need->tier);
    int64_t lacking = need->units;
    size_t count = 0;
    if (need->all && lacking > q->least && !recency_enough(s->view, need))
        return 0;
    while (lacking > 0 && count < most) {
        es_oid object = factor_take(s, q, uses, &s->lows[need->bucket]);
        if (object == ES_NO_OBJECT && s->avoids)
            object = factor_last_resort(s, need, out, count);
        if (object == ES_NO_OBJECT)
            break;
        out[count++] = object;
        lacking -= q->tier->unit[object >> 6];
    }
    return count;
}

const es_policy es_policy_multi_factor = {
    .part = {
        .abi = ES_ABI,
        .name = "multi_factor",
        .brief = "Age in seconds and rarity of use, weighed; the highest score leaves first (Metal Marlin's pool).",
        .options = factor_options,
        .size = sizeof(factor),
        .init = factor_init,
        .notify = factor_notify,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_ARRIVE_LOW) | ES_HEARS(ES_FACT_LEAVE_LOW) |
                 ES_HEARS(ES_FACT_RESET),
    },
    .victims = factor_victims,
};
