/* ShiftCache: keeps what was used often, lately and before the like of this token; and forgets faster while the routing shifts.
 *
 *   value  = L * long / max long + S * short / max short + T * foreseen / max foreseen + R * age,  the lowest leaves first
 *   long, short   uses in the last `long_factor * window` and `window` tokens; maxima over all experts, at least 1
 *   foreseen      how often the sets of the last token were followed by the expert (sim/base/transition.h)
 *   age           0 for the least, 1 for the most recently used of the tier
 *   L = 0.55 - 0.45 a, S = 0.15 + 0.3 a, T = 0.05 + 0.1 a, R = the rest;  a = min(1, score / shift_bits)
 *   score         Jensen-Shannon divergence in bits between the uses of the short window and those before it in the long one
 *
 * So a = 0 weighs long habits and a = 1 the latest tokens. A shift is counted when the score reaches `shift_bits`, and the
 * detector is armed again at `rearm_bits`. Counts, score and foresight move once per token, after all its demands: a victim of
 * a demand sees the state after the token before, a victim of a prefetch that of this token. A token is a step; a step of
 * several tokens counts each expert once. The prefetch half is the predictor `shift_transition`. */
#include <math.h>

#include "sim/base/transition.h"
#include "sim/part/policy.h"

typedef struct shift {
    int64_t window, long_factor, sets;
    double shift_bits, rearm_bits, near;
    bool reweighting, retention, persistent, triggered;
    int64_t persist_tokens, cooldown_tokens, triggered_tokens;
    const es_view *view;
    es_transition transitions;
    uint32_t *shorts, *longs;   /* [objects] uses in either window */
    uint32_t most_short, most_long;
    uint64_t short_uses, long_uses;
    uint64_t *ring;             /* [long window * words] what the last tokens used */
    uint64_t *stamp;            /* [objects] order of last use, whatever tier it is in */
    uint64_t *left;             /* [words] scratch: residents not yet named */
    uint64_t clock;
    uint64_t tokens;            /* folded in so far */
    double score, shift;        /* of the last token; the `a` of the formula */
    bool armed;
    uint64_t above;             /* tokens in a row with a score of at least shift_bits */
    uint64_t shifts, last_shift; /* counted so far; token number of the last, from 1 */
} shift;

static const es_option shift_options[] = {
    {.name = "window", .type = ES_OPT_INT, .offset = offsetof(shift, window), .def = 12, .min = 1, .max = 4096, .unit = "tokens",
        .help = "The short window; ShiftCache takes 5 % of the trace, within 4 and 12."},
    {.name = "long_factor", .type = ES_OPT_INT, .offset = offsetof(shift, long_factor), .def = 4, .min = 2, .max = 64,
        .help = "The long window is so many short ones."},
    {.name = "shift_bits", .type = ES_OPT_REAL, .offset = offsetof(shift, shift_bits), .def = 0.28, .min = 0.001, .max = 1, .unit = "bits",
        .help = "Score at which the routing counts as shifted and recent use weighs most."},
    {.name = "rearm_bits", .type = ES_OPT_REAL, .offset = offsetof(shift, rearm_bits), .def = 0.12, .min = 0, .max = 1, .unit = "bits",
        .help = "Score at or below which the next shift may be counted."},
    {.name = "jsd_reweighting", .type = ES_OPT_BOOL, .offset = offsetof(shift, reweighting), .def = 1,
        .help = "The score moves the weights from long habits to recent use."},
    {.name = "transition_retention", .type = ES_OPT_BOOL, .offset = offsetof(shift, retention), .def = 1,
        .help = "What often followed the last token's experts is worth keeping."},
    {.name = "near", .type = ES_OPT_REAL, .offset = offsetof(shift, near), .def = 0.8, .min = 0, .max = 1,
        .help = "Targets with at least this part of the largest count of their set are foreseen."},
    {.name = "sets", .type = ES_OPT_INT, .offset = offsetof(shift, sets), .def = 16384, .min = 1, .max = 1 << 24, .unit = "sets",
        .help = "How many different sets, over all layers, are remembered."},
    {.name = "persistent_detector", .type = ES_OPT_BOOL, .offset = offsetof(shift, persistent),
        .help = "Count a shift only after several high scores in a row, and then none for a while."},
    {.name = "persist_tokens", .type = ES_OPT_INT, .offset = offsetof(shift, persist_tokens), .def = 3, .min = 1, .max = 1e6, .unit = "tokens",
        .help = "High scores in a row that the persistent detector asks for."},
    {.name = "cooldown_tokens", .type = ES_OPT_INT, .offset = offsetof(shift, cooldown_tokens), .def = 64, .min = 0, .max = 1e9, .unit = "tokens",
        .help = "Tokens after a shift in which the persistent detector counts no other."},
    {.name = "triggered_reweighting", .type = ES_OPT_BOOL, .offset = offsetof(shift, triggered),
        .help = "Recent use weighs most for a while after each counted shift, whatever the score."},
    {.name = "triggered_tokens", .type = ES_OPT_INT, .offset = offsetof(shift, triggered_tokens), .def = 64, .min = 1, .max = 1e9, .unit = "tokens",
        .help = "How long that lasts."},
    {0},
};

static es_code shift_init(void *self, const es_site *site, es_err *err)
{
    shift *s = self;
    const es_view *view = s->view = site->view;
    if (s->rearm_bits > s->shift_bits)
        return es_err_set(err, ES_EINPUT, "rearm_bits: %g is above shift_bits, %g; a shift would be counted again at once", s->rearm_bits, s->shift_bits);
    s->shorts = ES_NEW_ARRAY(site->arena, view->objects, uint32_t);
    s->longs = ES_NEW_ARRAY(site->arena, view->objects, uint32_t);
    s->ring = ES_NEW_ARRAY(site->arena, (size_t)(s->window * s->long_factor) * view->words, uint64_t);
    s->stamp = ES_NEW_ARRAY(site->arena, view->objects, uint64_t);
    s->left = ES_NEW_ARRAY(site->arena, view->words, uint64_t);
    if (!s->shorts || !s->longs || !s->ring || !s->stamp || !s->left)
        return es_err_nomem(err, "use counts");
    s->armed = true;
    return es_transition_init(&s->transitions, site->arena, site->view->words / site->view->words_per_layer, site->view->words_per_layer, (uint32_t)s->sets, err);
}

/* ---- once per token ---- */

/* Adds 1 or -1 to the uses of all that a token used. */
static uint64_t shift_count(const shift *s, const uint64_t *used, uint32_t *uses, uint32_t change)
{
    uint64_t count = 0;
    for (uint32_t w = 0; w < s->view->words; w++)
        for (uint64_t rest = used[w]; rest; rest &= rest - 1, count++)
            uses[w * 64 + (uint32_t)__builtin_ctzll(rest)] += change;
    return count;
}

static void shift_windows(shift *s)
{
    const uint64_t window = (uint64_t)s->window, all = window * (uint64_t)s->long_factor;
    const size_t words = s->view->words;
    const uint64_t *now = s->transitions.now;
    uint64_t *place = s->ring + s->tokens % all * words;
    s->short_uses += shift_count(s, now, s->shorts, 1);
    s->long_uses += shift_count(s, now, s->longs, 1);
    if (s->tokens >= window)
        s->short_uses -= shift_count(s, s->ring + (s->tokens - window) % all * words, s->shorts, UINT32_MAX);
    if (s->tokens >= all)
        s->long_uses -= shift_count(s, place, s->longs, UINT32_MAX);
    memcpy(place, now, words * sizeof *place);
    s->tokens++;
    s->most_short = s->most_long = 1;
    for (es_oid o = 0; o < s->view->objects; o++) {
        s->most_short = s->shorts[o] > s->most_short ? s->shorts[o] : s->most_short;
        s->most_long = s->longs[o] > s->most_long ? s->longs[o] : s->most_long;
    }
}

/* Lin 1991, in bits; rounded to 12 places as ShiftCache does, so that thresholds do not hang on the last bit. */
static double shift_divergence(const shift *s)
{
    const double lately = (double)s->short_uses, before = (double)(s->long_uses - s->short_uses);
    double bits = 0.0;
    if (s->short_uses == 0 || s->long_uses == s->short_uses)
        return 0.0;
    for (es_oid o = 0; o < s->view->objects; o++) {
        if (s->longs[o] == 0)
            continue;
        double p = s->shorts[o] / lately, q = (s->longs[o] - s->shorts[o]) / before, mean = (p + q) / 2.0;
        if (p > 0.0)
            bits += 0.5 * p * log2(p / mean);
        if (q > 0.0)
            bits += 0.5 * q * log2(q / mean);
    }
    return floor(bits * 1e12 + 0.5) / 1e12;
}

static void shift_detect(shift *s)
{
    bool high = s->score >= s->shift_bits;
    bool waits = s->persistent && s->shifts > 0 && s->tokens - s->last_shift < (uint64_t)s->cooldown_tokens;
    s->above = high ? s->above + 1 : 0;
    if (s->armed && !waits && s->above >= (s->persistent ? (uint64_t)s->persist_tokens : 1)) {
        s->armed = false;
        s->shifts++;
        s->last_shift = s->tokens;
    } else if (s->score <= s->rearm_bits) {
        s->armed = true;
    }
}

static void shift_fold(shift *s)
{
    shift_windows(s);
    s->score = s->tokens < 2 * (uint64_t)s->window ? 0.0 : shift_divergence(s);
    shift_detect(s);
    s->shift = s->reweighting ? fmin(1.0, s->score / s->shift_bits) : 0.0;
    if (s->triggered && s->shifts > 0 && s->tokens - s->last_shift < (uint64_t)s->triggered_tokens)
        s->shift = 1.0;
    es_transition_fold(&s->transitions, s->near);
}

static void shift_notify(void *self, const es_fact *fact)
{
    shift *s = self;
    const es_event *event = fact->event;
    switch (fact->kind) {
    case ES_FACT_USE:
        if (es_transition_over(&s->transitions, event->step))
            shift_fold(s);
        es_transition_add(&s->transitions, event->step, event->word / event->words, event->mask);
        for (uint32_t i = 0; i < event->count; i++)
            s->stamp[event->base + event->touch[i]] = ++s->clock;
        break;
    case ES_FACT_START_GUESS:
        for (uint32_t i = 0; i < fact->count; i++)
            s->stamp[fact->objects[i]] = ++s->clock;
        break;
    default:        /* RELEASE */
        if (event->last && event->layer == s->view->layers - 1 && s->transitions.open)
            shift_fold(s);
    }
}

/* ---- victims ---- */

typedef struct shift_weights {
    double longs, shorts, foreseen, age;
    double most_long, most_short, most_foreseen;    /* at least 1 */
    uint64_t oldest;
    double span;                /* of the stamps of the tier, 0: all alike */
} shift_weights;

static double shift_most(uint32_t count)
{
    return count > 0 ? count : 1.0;
}

static shift_weights shift_weigh(const shift *s)
{
    shift_weights w = {.most_long = shift_most(s->most_long), .most_short = shift_most(s->most_short),
        .most_foreseen = shift_most(s->transitions.most), .oldest = UINT64_MAX};
    uint64_t newest = 0;
    w.longs = 0.55 - 0.45 * s->shift;
    w.shorts = 0.15 + 0.3 * s->shift;
    w.foreseen = s->retention ? 0.05 + 0.1 * s->shift : 0.0;
    w.age = 1.0 - w.longs - w.shorts - w.foreseen;
    for (uint32_t i = 0; i < s->view->words; i++)
        for (uint64_t rest = s->left[i]; rest; rest &= rest - 1) {
            uint64_t stamp = s->stamp[i * 64 + (uint32_t)__builtin_ctzll(rest)];
            w.oldest = stamp < w.oldest ? stamp : w.oldest;
            newest = stamp > newest ? stamp : newest;
        }
    w.span = newest > w.oldest ? (double)(newest - w.oldest) : 0.0;
    return w;
}

/* Term by term as it is published: in another order values that tie would differ in their last bits. */
static double shift_value(const shift *s, const shift_weights *w, es_oid object)
{
    double age = w->span > 0.0 ? (double)(s->stamp[object] - w->oldest) / w->span : 0.0;
    return w->longs * s->longs[object] / w->most_long + w->shorts * s->shorts[object] / w->most_short +
        w->foreseen * s->transitions.foreseen[object] / w->most_foreseen + w->age * age;
}

/* The least valuable of s->left that may leave; values within 2^-52 of each other count as equal, then the oldest leaves, then
 * the lowest id. */
static es_oid shift_least(const shift *s, uint32_t tier)
{
    const shift_weights weights = shift_weigh(s);
    es_oid least = ES_NO_OBJECT;
    double lowest = 0.0;
    for (uint32_t w = 0; w < s->view->words; w++)
        for (uint64_t rest = s->left[w]; rest; rest &= rest - 1) {
            es_oid object = w * 64 + (uint32_t)__builtin_ctzll(rest);
            if (!es_may_evict(s->view, object, tier))
                continue;
            double value = shift_value(s, &weights, object);
            if (least == ES_NO_OBJECT || value < lowest - 0x1p-52 ||
                (value <= lowest + 0x1p-52 && s->stamp[object] < s->stamp[least])) {
                least = object;
                lowest = value;
            }
        }
    return least;
}

static size_t shift_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    shift *s = self;
    const es_view *view = s->view;
    const es_tier_view *tier = &view->tier[need->tier];
    size_t count = 0;
    int64_t freed = 0;
    for (uint32_t w = 0; w < view->words; w++)
        s->left[w] = es_bucket_of(view, need->tier, w * 64) == need->bucket ? tier->resident[w] : 0;
    while (freed < need->units && count < most) {
        es_oid object = shift_least(s, need->tier);
        if (object == ES_NO_OBJECT)
            break;
        s->left[object >> 6] &= ~(1ull << (object & 63));
        out[count++] = object;
        freed += tier->unit[object >> 6];
    }
    return need->all && freed < need->units ? 0 : count;
}

static void shift_report(const void *self, es_json *out)
{
    const shift *s = self;
    es_json_add_int(out, "detected_shifts", (int64_t)s->shifts);
}

const es_policy es_policy_shift_cache = {
    .part = {
        .abi = ES_ABI,
        .name = "shift_cache",
        .brief = "Value of long and recent use, foresight and age; forgets faster while the routing shifts (ShiftCache).",
        .options = shift_options,
        .size = sizeof(shift),
        .init = shift_init,
        .notify = shift_notify,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_RELEASE),
    },
    .victims = shift_victims,
    .report = shift_report,
};
