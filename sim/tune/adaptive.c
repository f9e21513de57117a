/* Adaptive: turns the two confidence thresholds of a policy that places by confidence. What it does with them stands in adaptive.h.
 *
 * A sample is a step: how much of what its layers wanted was resident, in how many of them all was, the time per layer, which share of
 * the guesses fetched meanwhile was used, and how full the serving tiers are at its end. */
#include "sim/tune/adaptive.h"

#include "sim/tune/tune.h"

typedef struct adaptive_sample {
    double coverage, perfect, latency_ns, pressure;
    uint64_t guesses, used;
} adaptive_sample;

typedef struct adaptive {
    adaptive_rules rules;
    const char *l2, *l3;
    int64_t window, retry_ns;
    const es_view *view;
    size_t l2_knob, l3_knob;
    adaptive_state state;
    bool adapted;               /* at the wake at hand */
    adaptive_sample *sample;    /* [window] a ring */
    uint64_t samples;
    double covered;             /* of the step at hand, added up over its events */
    uint64_t events, perfect;
    uint64_t guesses, used;     /* up to the last sample */
} adaptive;

static const char *const adaptive_strategies[] = {"conservative", "aggressive", "balanced", "dynamic", NULL};
static const char *const adaptive_modes[] = {"as_coded", "as_documented", NULL};

#define ADAPTIVE_REAL(word, field, value, text) \
    {.name = word, .type = ES_OPT_REAL, .offset = offsetof(adaptive, rules.field), .def = value, .min = 0, .max = 1, .help = text}
#define ADAPTIVE_SCALE(word, field, value, text) \
    {.name = word, .type = ES_OPT_REAL, .offset = offsetof(adaptive, rules.field), .def = value, .min = 1e-9, .max = 1e9, .help = text}
#define ADAPTIVE_TIME(word, field, value, text) \
    {.name = word, .type = ES_OPT_TIME, .offset = offsetof(adaptive, field), .def = value, .min = 1, .max = 1e18, .help = text}

static const es_option adaptive_options[] = {
    {.name = "strategy", .type = ES_OPT_ENUM, .offset = offsetof(adaptive, rules.strategy), .def = ADAPTIVE_BALANCED, .choices = adaptive_strategies,
        .help = "How thresholds follow: seldom and little, boldly, in between, or one of these by pressure and score."},
    {.name = "mode", .type = ES_OPT_ENUM, .offset = offsetof(adaptive, rules.mode), .def = ADAPTIVE_AS_DOCUMENTED, .choices = adaptive_modes,
        .help = "Compare the target with average coverage and let thresholds leave their bounds, as coded; with perfect coverage and within bounds, as documented."},
    {.name = "l2", .type = ES_OPT_TEXT, .offset = offsetof(adaptive, l2), .def_text = "policy.l2_threshold", .help = "Where the threshold of the upper level stands."},
    {.name = "l3", .type = ES_OPT_TEXT, .offset = offsetof(adaptive, l3), .def_text = "policy.l3_threshold", .help = "Where the threshold of the lower level stands."},
    ADAPTIVE_TIME("interval", rules.interval_ns, 10e9, "At least so long between two adaptations."),
    ADAPTIVE_TIME("retry", retry_ns, 10e6, "As coded, where nothing was adapted: how long until it looks again (the source: at the next request)."),
    {.name = "window", .type = ES_OPT_INT, .offset = offsetof(adaptive, window), .def = 20, .min = 1, .max = 1e6, .unit = "steps", .help = "Means are taken over the last so many."},
    ADAPTIVE_REAL("rate", rate, 0.05, "Unit of all steps below: r."),
    ADAPTIVE_REAL("target", target, 0.39, "Coverage to reach; d is what there is beyond it."),
    ADAPTIVE_REAL("t2_min", t2_min, 0.5, "Least threshold of the upper level."),
    ADAPTIVE_REAL("t2_max", t2_max, 0.9, "Highest threshold of the upper level."),
    ADAPTIVE_REAL("t3_min", t3_min, 0.1, "Least threshold of the lower level."),
    ADAPTIVE_REAL("t3_max", t3_max, 0.6, "Highest threshold of the lower level."),
    ADAPTIVE_REAL("coverage_weight", coverage_weight, 0.4, "Part of coverage in the score."),
    ADAPTIVE_SCALE("coverage_full", coverage_full, 0.5, "Coverage that counts in full."),
    ADAPTIVE_REAL("latency_weight", latency_weight, 0.3, "Part of latency in the score."),
    {.name = "latency_best", .type = ES_OPT_TIME, .offset = offsetof(adaptive, rules.latency_best_ns), .def = 5e6, .min = 0, .max = 1e18,
        .help = "Time per layer that counts in full; a shorter one counts more."},
    ADAPTIVE_TIME("latency_span", rules.latency_span_ns, 10e6, "So much more counts nothing."),
    ADAPTIVE_REAL("accuracy_weight", accuracy_weight, 0.2, "Part of accuracy in the score."),
    ADAPTIVE_SCALE("accuracy_full", accuracy_full, 0.5, "Accuracy that counts in full; a higher one counts more."),
    ADAPTIVE_REAL("pressure_weight", pressure_weight, 0.1, "Part of free room in the score."),
    ADAPTIVE_REAL("calm", calm, 0.05, "Conservative: d must be beyond this."),
    ADAPTIVE_REAL("calm_poor", calm_poor, 0.7, "Conservative: lowers thresholds only at a score below this."),
    ADAPTIVE_REAL("calm_good", calm_good, 0.8, "Conservative: raises them only above this."),
    ADAPTIVE_SCALE("calm_l2", calm_t2, 0.5, "Conservative: step of the upper threshold, in r."),
    ADAPTIVE_SCALE("calm_l3", calm_t3, 0.25, "Conservative: step of the lower threshold, in r."),
    ADAPTIVE_SCALE("bold", bold, 2, "Aggressive: step of both, in r."),
    ADAPTIVE_REAL("even", even, 0.02, "Balanced: d must be beyond this."),
    ADAPTIVE_REAL("even_poor", even_poor, 0.6, "Balanced: below this score it counts as adapted in any case."),
    ADAPTIVE_SCALE("even_l3", even_t3, 0.7, "Balanced: step of the lower threshold, in r; that of the upper is the score, or what it lacks of 1."),
    ADAPTIVE_REAL("tight", tight, 0.9, "Dynamic: conservative above this pressure."),
    ADAPTIVE_REAL("poor", poor, 0.4, "Dynamic: else aggressive below this score."),
    {0},
};

static es_code adaptive_init(void *self, const es_site *site, es_err *err)
{
    adaptive *s = self;
    const adaptive_rules *r = &s->rules;
    s->view = site->view;
    if (r->t2_min > r->t2_max)
        return es_err_set(err, ES_EINPUT, "t2_min: %g is above t2_max, %g", r->t2_min, r->t2_max);
    if (r->t3_min > r->t3_max)
        return es_err_set(err, ES_EINPUT, "t3_min: %g is above t3_max, %g", r->t3_min, r->t3_max);
    es_code code = tune_knob(site->knobs, "l2", s->l2, &s->l2_knob, err);
    if (!code)
        code = tune_knob(site->knobs, "l3", s->l3, &s->l3_knob, err);
    if (code)
        return code;
    s->state = (adaptive_state){site->knobs->get(site->knobs, s->l2_knob), site->knobs->get(site->knobs, s->l3_knob), 0};
    s->sample = ES_NEW_ARRAY(site->arena, s->window, adaptive_sample);
    return s->sample ? ES_OK : es_err_nomem(err, "samples of coverage");
}

static void adaptive_step_end(adaptive *s, const es_fact *fact)
{
    const es_counts *tally = s->view->tally;
    if (s->events == 0)
        return;
    s->sample[s->samples++ % (uint64_t)s->window] = (adaptive_sample){
        .coverage = s->covered / (double)s->events, .perfect = (double)s->perfect / (double)s->events,
        .latency_ns = (double)(fact->at - fact->since) / (double)s->events, .pressure = tune_fullness(s->view),
        .guesses = tally->guess_copies - s->guesses, .used = tally->prefetch_hits - s->used,
    };
    s->guesses = tally->guess_copies;
    s->used = tally->prefetch_hits;
    s->covered = 0.0;
    s->events = s->perfect = 0;
}

static void adaptive_notify(void *self, const es_fact *fact)
{
    adaptive *s = self;
    if (fact->kind == ES_FACT_STEP_END) {
        adaptive_step_end(s, fact);
    } else if (fact->event->count > 0) {
        s->covered += (double)fact->event->hits / fact->event->count;
        s->perfect += fact->event->hits == fact->event->count;
        s->events++;
    }
}

static adaptive_means adaptive_mean(const adaptive *s)
{
    uint64_t count = s->samples < (uint64_t)s->window ? s->samples : (uint64_t)s->window, guesses = 0, used = 0;
    adaptive_means m = {0};
    for (uint64_t i = 0; i < count; i++) {
        const adaptive_sample *sample = &s->sample[i];
        m.coverage += sample->coverage / (double)count;
        m.perfect += sample->perfect / (double)count;
        m.latency_ns += sample->latency_ns / (double)count;
        m.pressure += sample->pressure / (double)count;
        guesses += sample->guesses;
        used += sample->used;
    }
    m.accuracy = guesses > 0 ? (double)used / (double)guesses : 0.0;
    return m;
}

static es_time adaptive_wake(void *self, es_time now)
{
    adaptive *s = self;
    adaptive_means means = adaptive_mean(s);
    s->adapted = adaptive_look(&s->rules, &s->state, &means, s->samples, now);
    es_time next = s->state.last + s->rules.interval_ns;
    return next > now ? next : now + s->retry_ns;
}

static void adaptive_adjust(void *self, const es_knobs *knobs)
{
    adaptive *s = self;
    if (!s->adapted)
        return;
    knobs->set(knobs, s->l2_knob, s->state.t2);
    knobs->set(knobs, s->l3_knob, s->state.t3);
}

const es_tuner es_tuner_adaptive = {
    .part = {
        .abi = ES_ABI,
        .name = "adaptive",
        .brief = "Moves two confidence thresholds after coverage, latency, accuracy and pressure.",
        .options = adaptive_options,
        .size = sizeof(adaptive),
        .init = adaptive_init,
        .notify = adaptive_notify,
        .wake = adaptive_wake,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_STEP_END),
    },
    .adjust = adaptive_adjust,
};
