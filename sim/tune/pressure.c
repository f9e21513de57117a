/* Pressure: how many guesses are fetched at a time follows what they do to the cache.
 *
 * Looked at every `interval`: how full the serving tiers are, and which share of the guesses whose fate was decided since the last look
 * left without having been used. While there is free room, one more is fetched of each answer (`step`); under pressure one more when few
 * were wasted, one less when many were, and where neither or nothing is known it stays. Always between `least` and `most`. */
#include "sim/tune/tune.h"

typedef struct pressure {
    const char *knob;
    int64_t least, most, step, interval_ns;
    double high, frugal, wasteful;
    const es_view *view;
    size_t turns;               /* which knob */
    int64_t count;              /* fetched of each answer now */
    uint64_t used, wasted;      /* guesses up to the last look */
    bool looked;
} pressure;

static const es_option pressure_options[] = {
    {.name = "knob", .type = ES_OPT_TEXT, .offset = offsetof(pressure, knob), .def_text = "compute.guess_top", .help = "What says how many guesses are fetched."},
    {.name = "least", .type = ES_OPT_INT, .offset = offsetof(pressure, least), .def = 1, .min = 1, .max = 65535, .unit = "experts", .help = "It falls no further."},
    {.name = "most", .type = ES_OPT_INT, .offset = offsetof(pressure, most), .def = 16, .min = 1, .max = 65535, .unit = "experts",
        .help = "It rises no further; it begins here when what it has at first is not between the two."},
    {.name = "step", .type = ES_OPT_INT, .offset = offsetof(pressure, step), .def = 1, .min = 1, .max = 65535, .unit = "experts", .help = "By so much it rises or falls."},
    {.name = "interval", .type = ES_OPT_TIME, .offset = offsetof(pressure, interval_ns), .def = 100e6, .min = 1, .max = 1e18, .help = "Time between two looks."},
    {.name = "high", .type = ES_OPT_REAL, .offset = offsetof(pressure, high), .def = 0.9, .min = 0, .max = 1,
        .help = "Serving tiers fuller than this are under pressure."},
    {.name = "frugal", .type = ES_OPT_REAL, .offset = offsetof(pressure, frugal), .def = 0.3, .min = 0, .max = 1,
        .help = "Under pressure it rises when a smaller share of the guesses was wasted."},
    {.name = "wasteful", .type = ES_OPT_REAL, .offset = offsetof(pressure, wasteful), .def = 0.6, .min = 0, .max = 1,
        .help = "Under pressure it falls when a larger share was."},
    {0},
};

static es_code pressure_init(void *self, const es_site *site, es_err *err)
{
    pressure *s = self;
    s->view = site->view;
    if (s->least > s->most)
        return es_err_set(err, ES_EINPUT, "least: %lld is above most, %lld", (long long)s->least, (long long)s->most);
    if (s->frugal > s->wasteful)
        return es_err_set(err, ES_EINPUT, "frugal: %g is above wasteful, %g", s->frugal, s->wasteful);
    es_code code = tune_knob(site->knobs, "knob", s->knob, &s->turns, err);
    if (code != ES_OK)
        return code;
    s->count = (int64_t)site->knobs->get(site->knobs, s->turns);
    if (s->count < s->least || s->count > s->most)
        s->count = s->most;
    return ES_OK;
}

/* Which way, -1, 0 or 1. */
static int pressure_way(const pressure *s, uint64_t used, uint64_t wasted)
{
    if (tune_fullness(s->view) <= s->high)
        return 1;
    if (used + wasted == 0)
        return 0;
    double share = (double)wasted / (double)(used + wasted);
    return share > s->wasteful ? -1 : share < s->frugal;
}

static es_time pressure_wake(void *self, es_time now)
{
    pressure *s = self;
    const es_counts *tally = s->view->tally;
    if (s->looked)
        s->count += s->step * pressure_way(s, tally->prefetch_hits - s->used, tally->wasted - s->wasted);
    s->count = s->count < s->least ? s->least : s->count > s->most ? s->most : s->count;
    s->used = tally->prefetch_hits;
    s->wasted = tally->wasted;
    s->looked = true;
    return now + s->interval_ns;
}

static void pressure_adjust(void *self, const es_knobs *knobs)
{
    const pressure *s = self;
    knobs->set(knobs, s->turns, (double)s->count);
}

const es_tuner es_tuner_pressure = {
    .part = {
        .abi = ES_ABI,
        .name = "pressure",
        .brief = "Fetches fewer guesses when the cache is full and many are wasted, more when it has room or few are.",
        .options = pressure_options,
        .size = sizeof(pressure),
        .init = pressure_init,
        .wake = pressure_wake,
    },
    .adjust = pressure_adjust,
};
