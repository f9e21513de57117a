/* Coverage: L1, L2 and L3 of one device, filled by what was used and by what a predictor is sure enough of.
 *
 * L1 holds what was used last. A guess enters L2 when its confidence reaches l2_threshold, else L3 when it reaches l3_threshold.
 * The aim is that all experts of a layer are there at once, somewhere (perfect coverage). Two modes:
 *
 *   as_coded       scripts/simulation/coverage_aware_memory_manager.py as it behaves: L2 and L3 lose their oldest, whatever was used since;
 *                  L2 takes what is not in L1 or L2 though it be in L3, L3 takes what is nowhere, and only while the pressure of the last
 *                  request was below l3_pressure; pressure above `high` raises both thresholds by `raise`, below `low` lowers them by
 *                  `lower`, between bounds. Pressure counts an expert once per level and never falls.
 *   as_documented  what its text and adaptive_cache_policy.py promise: one copy per expert below L1; thresholds move with pressure and
 *                  with what is known of the expert (admission.h), a tuner may turn them; L2 and L3 lose what has the least priority,
 *                  confidence + popularity + freshness + pattern.
 *
 * Levels are the serving tiers in the order of the config; with more than three the last has L3's rules, with one it is LRU. Guesses count by rank: the
 * predictor's first `l2_reach` are looked at for L2. */
#include "sim/policy/priority.h"
#include "sim/policy/recency.h"

#include "sim/part/predictor.h"

enum { COVERAGE_MOST_LEVELS = 16 };

typedef struct coverage {
    int documented;
    double l2_threshold, l3_threshold;
    int64_t l2_reach, l3_reach;
    double l3_pressure;
    double high, low, raise, lower;
    double l2_least, l2_most, l3_least, l3_most;
    bool promotes;
    admission_rules rules;
    const es_view *view;
    recency lists;
    priority order;             /* as documented: below the first level */
    uint32_t level[COVERAGE_MOST_LEVELS], levels;
    uint64_t asked;             /* lists of guesses so far */
    uint64_t *guessed;          /* [words] brought by a guess and not wanted since */
    double *sure;               /* [objects] confidence of the last guess */
    admission_expert *expert;   /* [objects] */
    es_time now;
} coverage;

static const char *const coverage_modes[] = {"as_coded", "as_documented", NULL};

static const es_option coverage_options[] = {
    {.name = "mode", .type = ES_OPT_ENUM, .offset = offsetof(coverage, documented), .choices = coverage_modes,
        .help = "As the published source behaves, or as its text promises."},
    {.name = "l2_threshold", .type = ES_OPT_REAL, .offset = offsetof(coverage, l2_threshold), .def = 0.7, .min = 0, .max = 1, .tunable = true,
        .help = "Confidence from which a guess enters the second level."},
    {.name = "l3_threshold", .type = ES_OPT_REAL, .offset = offsetof(coverage, l3_threshold), .def = 0.3, .min = 0, .max = 1, .tunable = true,
        .help = "Confidence from which a guess enters the third level."},
    {.name = "l2_reach", .type = ES_OPT_INT, .offset = offsetof(coverage, l2_reach), .def = 20, .min = 0, .max = 65535, .unit = "guesses",
        .help = "So many first guesses of a list are looked at for the second level."},
    {.name = "l3_reach", .type = ES_OPT_INT, .offset = offsetof(coverage, l3_reach), .def = 40, .min = 0, .max = 65535, .unit = "guesses",
        .help = "So many first guesses of a list are looked at for the third level."},
    {.name = "l3_pressure", .type = ES_OPT_REAL, .offset = offsetof(coverage, l3_pressure), .def = 0.8, .min = 0, .max = 2,
        .help = "The third level takes guesses only below this pressure (share of all slots in use)."},
    {.name = "high", .type = ES_OPT_REAL, .offset = offsetof(coverage, high), .def = 0.9, .min = 0, .max = 2, .help = "As coded: pressure above which thresholds rise."},
    {.name = "low", .type = ES_OPT_REAL, .offset = offsetof(coverage, low), .def = 0.5, .min = 0, .max = 2, .help = "As coded: pressure below which they fall."},
    {.name = "raise", .type = ES_OPT_REAL, .offset = offsetof(coverage, raise), .def = 0.05, .min = 0, .max = 1, .help = "By how much they rise after each list."},
    {.name = "lower", .type = ES_OPT_REAL, .offset = offsetof(coverage, lower), .def = 0.02, .min = 0, .max = 1, .help = "By how much they fall."},
    {.name = "l2_least", .type = ES_OPT_REAL, .offset = offsetof(coverage, l2_least), .def = 0.6, .min = 0, .max = 1, .help = "The second level's threshold falls no further."},
    {.name = "l2_most", .type = ES_OPT_REAL, .offset = offsetof(coverage, l2_most), .def = 0.9, .min = 0, .max = 1, .help = "And rises no further."},
    {.name = "l3_least", .type = ES_OPT_REAL, .offset = offsetof(coverage, l3_least), .def = 0.2, .min = 0, .max = 1, .help = "The third level's threshold falls no further."},
    {.name = "l3_most", .type = ES_OPT_REAL, .offset = offsetof(coverage, l3_most), .def = 0.7, .min = 0, .max = 1, .help = "And rises no further."},
    {.name = "promotes", .type = ES_OPT_BOOL, .offset = offsetof(coverage, promotes), .def = 1, .help = "What is used rises to the first level; else it is used where it is."},
    ADMISSION_OPTIONS(coverage, rules),
    {0},
};

static es_code coverage_crossed(const coverage *s, es_err *err)
{
    if (s->l3_threshold > s->l2_threshold)
        return es_err_set(err, ES_EINPUT, "l3_threshold: %.15g is above l2_threshold, %.15g; the third level is for guesses that are less sure", s->l3_threshold,
            s->l2_threshold);
    if (s->l2_least > s->l2_most)
        return es_err_set(err, ES_EINPUT, "l2_least: %.15g is above l2_most, %.15g", s->l2_least, s->l2_most);
    if (s->l3_least > s->l3_most)
        return es_err_set(err, ES_EINPUT, "l3_least: %.15g is above l3_most, %.15g", s->l3_least, s->l3_most);
    return ES_OK;
}

static es_code coverage_init(void *self, const es_site *site, es_err *err)
{
    coverage *s = self;
    const es_view *view = s->view = site->view;
    es_code code = coverage_crossed(s, err);
    if (code != ES_OK)
        return code;
    s->rules.documented = s->documented;
    for (uint32_t t = 0; t < view->tiers; t++)
        if (view->tier[t].serving && !view->tier[t].home)
            s->level[s->levels++] = t;
    s->guessed = ES_NEW_ARRAY(site->arena, view->words, uint64_t);
    s->sure = ES_NEW_ARRAY(site->arena, view->objects, double);
    s->expert = ES_NEW_ARRAY(site->arena, view->objects, admission_expert);
    if (!s->guessed || !s->sure || !s->expert)
        return es_err_nomem(err, "what is known of experts");
    code = recency_init(&s->lists, site, err);
    s->lists.stamp = NULL;      /* levels keep their own orders: use moves nobody below the first */
    return code == ES_OK && s->documented ? priority_init(&s->order, site, &s->rules, s->expert, s->sure, err) : code;
}

/* ---- facts ---- */

static void coverage_use(coverage *s, const es_fact *fact)
{
    const es_event *event = fact->event;
    s->now = fact->at;
    recency_use(&s->lists, event);
    for (uint32_t i = 0; s->documented && i < event->count; i++) {
        es_oid object = event->base + event->list[i];
        admission_used(&s->expert[object], fact->at);
        priority_used(&s->order, object, fact->at);
        if (!es_mask_has(s->guessed, object))
            continue;
        s->guessed[object >> 6] &= ~(1ull << (object & 63));
        admission_outcome(&s->expert[object], true);
    }
}

static void coverage_notify(void *self, const es_fact *fact)
{
    coverage *s = self;
    switch (fact->kind) {
    case ES_FACT_USE:
        coverage_use(s, fact);
        break;
    case ES_FACT_START_GUESS:
    case ES_FACT_ARRIVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++) {
            recency_append(recency_of(&s->lists, fact->to, fact->objects[i]), fact->objects[i]);
            if (s->documented && fact->to != s->view->serving)
                priority_enter(&s->order, fact->to, fact->objects[i], s->now);
            if (fact->why == ES_GUESS)
                s->guessed[fact->objects[i] >> 6] |= 1ull << (fact->objects[i] & 63);
        }
        break;
    case ES_FACT_LEAVE_LOW:
        for (uint32_t i = 0; i < fact->count; i++) {
            recency_forget(&s->lists, fact->from, fact->objects[i]);
            if (s->documented)
                priority_leave(&s->order, fact->from, fact->objects[i]);
        }
        break;
    default:        /* RESET */
        recency_empty(&s->lists);
        if (s->documented)
            priority_empty(&s->order);
        for (uint32_t w = 0; w < s->view->words; w++)
            s->guessed[w] = 0;
    }
}

/* ---- where guesses go ---- */

static double coverage_pressure(const coverage *s)
{
    int64_t held = 0, room = 0;
    for (uint32_t l = 0; l < s->levels; l++) {
        const es_tier_view *tier = &s->view->tier[s->level[l]];
        for (uint32_t w = 0; w < s->view->words; w++)
            held += __builtin_popcountll(tier->resident[w] | tier->inbound[w]) * tier->unit[w];
        room += (int64_t)es_room_of(s->view, s->level[l]);
    }
    return (double)held / (double)room;
}

static void coverage_move(double *threshold, double by, double least, double most)
{
    double moved = *threshold + by;
    *threshold = moved < least ? least : moved > most ? most : moved;
}

/* What the source does at the end of a request: it has no effect before the next. */
static void coverage_adapt(coverage *s, double pressure)
{
    if (pressure > s->high) {
        coverage_move(&s->l2_threshold, s->raise, 0.0, s->l2_most);
        coverage_move(&s->l3_threshold, s->raise, 0.0, s->l3_most);
    } else if (pressure < s->low) {
        coverage_move(&s->l2_threshold, -s->lower, s->l2_least, 1.0);
        coverage_move(&s->l3_threshold, -s->lower, s->l3_least, 1.0);
    }
}

static bool coverage_in(const coverage *s, uint32_t level, es_oid object)
{
    const es_tier_view *tier = &s->view->tier[s->level[level]];
    return (tier->resident[object >> 6] | tier->inbound[object >> 6] | tier->queued[object >> 6]) >> (object & 63) & 1;
}

static bool coverage_anywhere(const coverage *s, es_oid object)
{
    bool found = false;
    for (uint32_t l = 0; l < s->levels; l++)
        found |= coverage_in(s, l, object);
    return found;
}

static uint32_t coverage_coded(const coverage *s, const es_guess *guess, int64_t rank, double pressure)
{
    if (rank < s->l2_reach && guess->confidence >= (float)s->l2_threshold && !coverage_in(s, 0, guess->object) && !coverage_in(s, 1, guess->object))
        return s->level[1];
    if (s->levels > 2 && pressure < s->l3_pressure && rank < s->l3_reach && guess->confidence >= (float)s->l3_threshold && !coverage_anywhere(s, guess->object))
        return s->level[s->levels - 1];
    return ES_NO_TIER;
}

static uint32_t coverage_documented(coverage *s, const es_guess *guess, int64_t rank, double pressure)
{
    const es_oid object = guess->object;
    if (coverage_anywhere(s, object))
        return ES_NO_TIER;
    double by_pressure = admission_by_pressure(&s->rules, pressure), by_expert = admission_by_expert(&s->rules, &s->expert[object], s->now);
    double second = admission_threshold(s->l2_threshold, by_pressure, by_expert, s->l2_least, s->l2_most);
    double third = admission_threshold(s->l3_threshold, by_pressure, by_expert, s->l3_least, s->l3_most);
    s->sure[object] = (double)guess->confidence;
    if (rank < s->l2_reach && guess->confidence >= (float)second)
        return s->level[1];
    return s->levels > 2 && rank < s->l3_reach && guess->confidence >= (float)third ? s->level[s->levels - 1] : ES_NO_TIER;
}

static void coverage_place(void *self, const es_guess *guesses, uint32_t count, uint32_t *tier)
{
    coverage *s = self;
    double pressure = s->asked++ == 0 ? 0.0 : coverage_pressure(s);
    if (!s->documented && s->asked > 1)
        coverage_adapt(s, pressure);
    for (uint32_t i = 0; i < count; i++) {
        if (guesses[i].object >= s->view->objects)
            continue;
        tier[i] = s->documented ? coverage_documented(s, &guesses[i], i, pressure) : coverage_coded(s, &guesses[i], i, pressure);
    }
}

static bool coverage_rises(void *self, es_oid object, uint32_t from)
{
    (void)object, (void)from;
    return ((const coverage *)self)->promotes;
}

/* ---- victims ---- */

/* A guess that leaves unused was wrong. */
static void coverage_judge(coverage *s, const es_oid *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (es_mask_has(s->guessed, out[i])) {
            s->guessed[out[i] >> 6] &= ~(1ull << (out[i] & 63));
            admission_outcome(&s->expert[out[i]], false);
        }
}

static size_t coverage_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    coverage *s = self;
    size_t count = 0;
    if (!s->documented || need->tier == s->view->serving)
        return recency_victims(&s->lists, need, out, most);
    int64_t freed = 0;
    while (freed < need->units && count < most) {
        es_oid object = priority_take(&s->order, need, s->now);
        if (object == ES_NO_OBJECT)
            break;
        out[count++] = object;
        freed += s->view->tier[need->tier].unit[object >> 6];
    }
    if (need->all && freed < need->units) {
        for (size_t i = 0; i < count; i++)
            priority_insert(&s->order, need->tier, out[i]);
        return 0;
    }
    for (size_t i = 0; i < count; i++)
        recency_forget(&s->lists, need->tier, out[i]);
    coverage_judge(s, out, count);
    return count;
}

static void coverage_report(const void *self, es_json *out)
{
    const coverage *s = self;
    es_json_add_real(out, "l2_threshold", s->l2_threshold);
    es_json_add_real(out, "l3_threshold", s->l3_threshold);
    es_json_add_real(out, "pressure", coverage_pressure(s));
}

const es_policy es_policy_coverage = {
    .part = {
        .abi = ES_ABI,
        .name = "coverage",
        .brief = "Levels filled by use and by guesses that are sure enough, so that all experts of a layer are there at once.",
        .options = coverage_options,
        .size = sizeof(coverage),
        .init = coverage_init,
        .notify = coverage_notify,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_ARRIVE_LOW) | ES_HEARS(ES_FACT_LEAVE_LOW) |
                 ES_HEARS(ES_FACT_RESET),
    },
    .victims = coverage_victims,
    .place = coverage_place,
    .rises = coverage_rises,
    .report = coverage_report,
};
