/* Static: the experts most used in a calibration trace are resident from the start and stay; nothing else ever comes in.
 *
 * `calibrate: in_sample` counts the uses of the very trace that is replayed: the best that any fixed set can do, and no honest
 * forecast. A calibration trace of its own tells what such pins are worth. */
#include "sim/policy/pins.h"

typedef struct static_state {
    const char *calibrate;
    int64_t count;
    const es_view *view;
    pins pins;
} static_state;

static const es_option static_options[] = {
    {.name = "calibrate", .type = ES_OPT_TEXT, .offset = offsetof(static_state, calibrate), .def_text = "in_sample",
        .help = "Trace whose uses are counted, or in_sample for the one that is replayed."},
    {.name = "count", .type = ES_OPT_INT, .offset = offsetof(static_state, count), .def = 0, .min = 0, .max = 1e9, .unit = "experts",
        .help = "How many to pin in all; 0: as many used ones as fit."},
    {0},
};

static es_code static_init(void *self, const es_site *site, es_err *err)
{
    static_state *s = self;
    s->view = site->view;
    return pins_choose(&s->pins, site, &(pins_rule){.most = (uint64_t)s->count, .min_uses = 1, .share = 1.0}, err);
}

/* A pin is missing only after the caches were emptied (contract.reset): its first use brings it back. */
static void static_admit(void *self, const es_admit_ask *ask, bool *keep)
{
    const static_state *s = self;
    for (uint32_t i = 0; i < ask->count; i++)
        keep[i] = es_mask_has(s->pins.mask, ask->event->base + ask->missing[i]);
}

/* What is no pin came in by a guess: it gives way. */
static size_t static_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    const static_state *s = self;
    const es_tier_view *tier = &s->view->tier[need->tier];
    int64_t freed = 0;
    size_t count = 0;
    for (uint32_t w = 0; w < s->view->words; w++) {
        if (es_bucket_of(s->view, need->tier, w * 64) != need->bucket)
            continue;
        uint64_t left = tier->resident[w] & ~s->view->guard[w] & ~(need->tier == s->view->serving ? s->pins.mask[w] : 0);
        for (; left && freed < need->units && count < most; left &= left - 1, freed += tier->unit[w])
            out[count++] = w * 64 + (es_oid)__builtin_ctzll(left);
    }
    return need->all && freed < need->units ? 0 : count;
}

static size_t static_initial(void *self, uint32_t tier, es_oid *out, size_t most)
{
    static_state *s = self;
    return pins_initial(&s->pins, s->view, tier, out, most);
}

const es_policy es_policy_static = {
    .part = {
        .abi = ES_ABI,
        .name = "static",
        .brief = "The experts most used in a calibration trace are pinned; all others are read in place.",
        .options = static_options,
        .size = sizeof(static_state),
        .init = static_init,
        .flags = ES_POPULARITY,
    },
    .victims = static_victims,
    .admit = static_admit,
    .initial = static_initial,
};
