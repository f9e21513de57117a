/* Hybrid: the experts most used in a calibration trace are pinned, the rest of the room is an LRU cache for the others.
 *
 * Three limits say how many are pinned, and all of them hold: `pins` in number, `share` of each bucket's room, `min_uses` in the
 * calibration trace. The pinned are in no queue, so they are never victims. */
#include "sim/policy/pins.h"
#include "sim/policy/recency.h"

typedef struct hybrid {
    const char *calibrate;
    int64_t most, min_uses;
    double share;
    pins pins;
    recency lists;
} hybrid;

static const es_option hybrid_options[] = {
    {.name = "calibrate", .type = ES_OPT_TEXT, .offset = offsetof(hybrid, calibrate), .def_text = "in_sample",
        .help = "Trace whose uses are counted, or in_sample for the one that is replayed."},
    {.name = "pins", .type = ES_OPT_INT, .offset = offsetof(hybrid, most), .def = 0, .min = 0, .max = 1e9, .unit = "experts",
        .help = "How many are pinned at most; 0: as many as the other limits allow."},
    {.name = "share", .type = ES_OPT_REAL, .offset = offsetof(hybrid, share), .def = 0.5, .min = 0, .max = 1,
        .help = "Part of each bucket's room that pins may take."},
    {.name = "min_uses", .type = ES_OPT_INT, .offset = offsetof(hybrid, min_uses), .def = 1, .min = 1, .max = 1e15, .unit = "uses",
        .help = "Uses in the calibration trace that make an expert worth a pin."},
    {0},
};

static es_code hybrid_init(void *self, const es_site *site, es_err *err)
{
    hybrid *s = self;
    es_code code = recency_init(&s->lists, site, err);
    if (code != ES_OK)
        return code;
    return pins_choose(&s->pins, site, &(pins_rule){(uint64_t)s->most, (uint64_t)s->min_uses, s->share}, err);
}

static void hybrid_use(hybrid *s, const es_event *event)
{
    recency *r = &s->lists;
    recency_queue *q = recency_of_event(r, event);
    const uint64_t *pinned = s->pins.mask + event->word;
    for (uint32_t i = 0; i < event->count; i++) {
        uint16_t index = event->touch[i];
        if (es_mask_has(pinned, index) || !es_event_keeps(event, index))
            continue;
        recency_append(q, event->base + index);
        if (r->stamp)
            recency_stamp(r, r->view->serving, event->base + index);
    }
}

static void hybrid_notify(void *self, const es_fact *fact)
{
    hybrid *s = self;
    if (fact->kind == ES_FACT_USE)
        hybrid_use(s, fact->event);
    else
        recency_moved(&s->lists, fact);
}

static size_t hybrid_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    hybrid *s = self;
    return recency_victims(&s->lists, need, out, most);
}

/* Where the pins leave no room for even one, the others are read in place. */
static void hybrid_admit(void *self, const es_admit_ask *ask, bool *keep)
{
    hybrid *s = self;
    const es_view *view = s->lists.view;
    es_oid base = ask->event->base;
    int64_t room = s->pins.left[es_bucket_of(view, ask->tier, base)];
    for (uint32_t i = 0; i < ask->count; i++)
        keep[i] = room >= view->tier[ask->tier].unit[(base + ask->missing[i]) >> 6] || es_mask_has(s->pins.mask, base + ask->missing[i]);
}

static bool hybrid_admits(const void *self)
{
    const hybrid *s = self;
    const es_view *view = s->lists.view;
    for (uint32_t w = 0; w < view->words; w++)
        if (s->pins.left[es_bucket_of(view, view->serving, w * 64)] < view->tier[view->serving].unit[w])
            return true;
    return false;
}

static size_t hybrid_initial(void *self, uint32_t tier, es_oid *out, size_t most)
{
    hybrid *s = self;
    return pins_initial(&s->pins, s->lists.view, tier, out, most);
}

const es_policy es_policy_hybrid = {
    .part = {
        .abi = ES_ABI,
        .name = "hybrid",
        .brief = "The most used experts are pinned; LRU for the others in the rest of the room.",
        .options = hybrid_options,
        .size = sizeof(hybrid),
        .init = hybrid_init,
        .notify = hybrid_notify,
        .flags = ES_POPULARITY,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_ARRIVE_LOW) | ES_HEARS(ES_FACT_LEAVE_LOW) |
                 ES_HEARS(ES_FACT_RESET),
    },
    .victims = hybrid_victims,
    .admit = hybrid_admit,
    .admits = hybrid_admits,
    .initial = hybrid_initial,
};
