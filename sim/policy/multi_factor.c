/* Multi-factor: who was not used for long and seldom leaves first (Metal Marlin's pool).
 *
 *   score = age_weight * seconds since the last use + frequency_weight / (uses + 1),  the largest leaves, of equals the first that came
 *
 * One use is worth at most 0.15 and an hour 2520: with the weights as published it is the count that decides among those used within
 * the same 0.2 s, and age among all others. As all scores grow alike with time, their order changes only by uses: whoever has
 *
 *   key = age_weight * time of the last use - frequency_weight / (uses + 1)       in billionths
 *
 * least is next, and a use can only raise a key. So each bucket keeps its residents on a wheel (wheel.h).
 *
 * Uses are counted while an expert is in a tier, a guess counting as one; or for ever. Time is simulated, or the number of the event
 * times `event_time`; it never runs backwards. */
#include <string.h>

#include "sim/policy/recency.h"
#include "sim/policy/wheel.h"

enum { FACTOR_TABLE = 1024 };

typedef struct factor {
    double age_weight, frequency_weight;
    int counts, time;           /* 0 resident, 1 persistent; 0 clock, 1 events */
    int64_t event_ns;
    const es_json *avoid;
    const es_view *view;
    es_stream stream;
    wheel *wheel;               /* [buckets] */
    wheel *serving;             /* of the first bucket of the serving tier */
    wheel_use *use;             /* [tiers * objects] */
    int64_t worth[FACTOR_TABLE];/* by uses */
    uint64_t *avoided;          /* [words] */
    bool avoids;
    bool special;               /* uses go one by one: ties, avoided experts, tiers below, or counts that are kept */
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
static __attribute__((noinline)) int64_t factor_rarity(const factor *s, uint64_t uses)
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

static inline wheel_use *factor_uses(const factor *s, uint32_t tier)
{
    return s->use + (size_t)tier * s->view->objects;
}

static void factor_empty(factor *s)
{
    for (size_t i = 0; i < (size_t)s->view->tiers * s->view->objects; i++)
        s->use[i].next = WHEEL_APART;
    for (uint32_t b = 0; b < s->view->buckets; b++)
        wheel_clear(&s->wheel[b]);
}

static es_code factor_init(void *self, const es_site *site, es_err *err)
{
    factor *s = self;
    const es_view *view = s->view = site->view;
    s->stream = es_stream_of(site->seed, site->replication, site->path, "ties");
    s->use = ES_NEW_ARRAY(site->arena, (size_t)view->tiers * view->objects, wheel_use);
    s->wheel = ES_NEW_ARRAY(site->arena, view->buckets, wheel);
    s->avoided = ES_NEW_ARRAY(site->arena, view->words, uint64_t);
    const uint32_t most = view->per_layer ? view->stride : view->objects;
    wheel_entry *few = ES_NEW_ARRAY(site->arena, (size_t)view->buckets * most, wheel_entry);
    if (!s->use || !s->wheel || !s->avoided || !few)
        return es_err_nomem(err, "uses and times of last use");
    for (uint32_t t = 0; t < view->tiers; t++)
        for (uint32_t l = 0; l < (view->per_layer ? view->layers : 1); l++, few += most)
            s->wheel[view->tier[t].first_bucket + l] = (wheel){.tier = &view->tier[t], .use = factor_uses(s, t), .few = few, .most = most, .shift = 20, .least = recency_least(view, &view->tier[t], l)};
    s->serving = &s->wheel[view->tier[view->serving].first_bucket];
    for (uint64_t n = 0; n < FACTOR_TABLE; n++)
        s->worth[n] = factor_rarity(s, n);
    factor_empty(s);
    es_code code = factor_avoid(s, err);
    s->special = view->ties >= 2 || view->tiers > 2 || s->avoids || s->counts;
    return code;
}

/* ---- facts ---- */

static inline wheel *factor_wheel_of(const factor *s, uint32_t tier, es_oid object)
{
    return &s->wheel[es_bucket_of(s->view, tier, object)];
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

static inline int64_t factor_key(const factor *s, int64_t aged, uint64_t count)
{
    return aged - (count < FACTOR_TABLE ? s->worth[count] : factor_rarity(s, count));
}

static inline void factor_came(factor *s, wheel_use *u, es_oid object)
{
    u->order = factor_order(s, object);
    u->count = s->counts ? u->count : 0;
}

/* Used so often at once; here: it was in the tier before. */
static ES_COLD void factor_touch(factor *s, uint32_t tier, es_oid object, bool here, int64_t aged, uint64_t times)
{
    wheel *w = factor_wheel_of(s, tier, object);
    wheel_use *u = &w->use[object];
    if (!here) {
        wheel_forget(w, object);
        factor_came(s, u, object);
    }
    u->count += times;
    u->key = factor_key(s, aged, u->count);
    if (u->next == WHEEL_APART && !es_mask_has(s->avoided, object))
        wheel_enter(w, object);
}

/* A use of one object in the serving tier, and where copies lie below (inclusive tiers) there too. */
static ES_COLD void factor_use_one(factor *s, es_oid object, int64_t aged, uint64_t times)
{
    const uint32_t tier = s->view->serving;
    const es_tier_view *serving = &s->view->tier[tier];
    const bool shunned = es_mask_has(s->avoided, object), known = es_mask_has(serving->resident, object) || es_mask_has(serving->inbound, object);
    factor_touch(s, tier, object, shunned ? known : factor_uses(s, tier)[object].next != WHEEL_APART, aged, times);
    for (uint32_t t = 0; t < s->view->tiers; t++)
        if (t != tier && factor_uses(s, t)[object].next != WHEEL_APART)
            factor_touch(s, t, object, true, aged, times);
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
    const int64_t aged = factor_aged(s, fact), once = aged - s->worth[1];
    s->events_ns += s->event_ns;
    if (s->special || event->kept || event->repeats) {
        factor_use_each(s, event, aged);
        return;
    }
    wheel *w = s->serving + (s->view->per_layer ? event->layer : 0);
    wheel_use *const use = w->use + event->base;
    uint64_t clock = s->clock;
    uint32_t came = WHEEL_END;
    wheel_use *last = NULL;            /* of the list that begins with it */
    for (const uint16_t *touch = event->touch, *end = touch + event->count; touch < end; touch++) {
        wheel_use *u = &use[*touch];
        if (u->next == WHEEL_APART) {
            *u = (wheel_use){once, ++clock, 1, came};
            last = last ? last : u;
            came = event->base + *touch;
        } else {
            u->count++;
            u->key = factor_key(s, aged, u->count);
        }
    }
    if (came != WHEEL_END)
        wheel_newcomers(w, came, last, (uint32_t)(clock - s->clock));
    s->clock = clock;
}

/* It brings its uses and its age with it. */
static ES_COLD void factor_arrive(factor *s, uint32_t from, uint32_t to, es_oid object)
{
    wheel *w = factor_wheel_of(s, to, object);
    const wheel_use *before = &factor_uses(s, from)[object];
    wheel_use *u = &w->use[object];
    wheel_forget(w, object);
    u->key = before->key;
    u->count = before->count;
    u->order = factor_order(s, object);
    if (!es_mask_has(s->avoided, object))
        wheel_enter(w, object);
}

static ES_COLD void factor_reset(factor *s)
{
    if (!s->counts)
        memset(s->use, 0, (size_t)s->view->tiers * s->view->objects * sizeof *s->use);
    factor_empty(s);
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
            factor_touch(s, fact->to, fact->objects[i], false, factor_aged(s, fact), 1);
        break;
    case ES_FACT_ARRIVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            factor_arrive(s, fact->from, fact->to, fact->objects[i]);
        break;
    case ES_FACT_LEAVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++)
            wheel_forget(factor_wheel_of(s, fact->from, fact->objects[i]), fact->objects[i]);
        break;
    default:        /* RESET */
        factor_reset(s);
    }
}

/* ---- victims ---- */

/* Who is next of those to be avoided that were not named yet; ES_NO_OBJECT: none may leave. */
static ES_COLD es_oid factor_last_resort(const factor *s, const es_need *need, const es_oid *named, size_t count)
{
    const es_view *view = s->view;
    const wheel_use *use = factor_uses(s, need->tier);
    es_oid best = ES_NO_OBJECT;
    for (es_oid object = 0; object < view->objects; object++) {
        size_t i = 0;
        if (!es_mask_has(s->avoided, object) || !es_may_evict(view, object, need->tier) || es_bucket_of(view, need->tier, object) != need->bucket)
            continue;
        while (i < count && named[i] != object)
            i++;
        if (i == count && (best == ES_NO_OBJECT || use[object].key < use[best].key || (use[object].key == use[best].key && use[object].order < use[best].order)))
            best = object;
    }
    return best;
}

static size_t factor_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    factor *s = self;
    wheel *w = &s->wheel[need->bucket];
    const es_tier_view *tier = w->tier;
    const uint64_t *resident = tier->resident, *guard = s->view->guard;
    int64_t lacking = need->units;
    size_t count = 0;
    if (need->all && lacking > w->least && !recency_enough(s->view, need))
        return 0;
    while (lacking > 0 && count < most) {
        es_oid object = wheel_take(w, resident, guard);
        if (object == ES_NO_OBJECT && s->avoids)
            object = factor_last_resort(s, need, out, count);
        if (object == ES_NO_OBJECT)
            break;
        out[count++] = object;
        lacking -= tier->unit[object >> 6];
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
