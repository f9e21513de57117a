/* Admission: how sure a guess must be to enter a level, and which of the admitted comes first. Arithmetic only, for policies that
 * place by confidence.
 *
 * The rules are those of scripts/simulation/adaptive_cache_policy.py of the coverage-aware hierarchy:
 *
 *     threshold = the level's, + by pressure, + by what is known of the expert, within the level's bounds
 *     pressure  p > .8: min(.2, .15 (p - .8) / .2);  p < .3: max(-.1, -.1 (.3 - p) / .3);  else 0
 *     expert    more than 10 uses -.05, (more than 50 -.10);  used less than 60 s ago -.03, (less than 10 s ago -.06);
 *               of at least 5 outcomes the last 10 right by more than .6: -.04, by less than .2: +.04
 *     priority  confidence + min(.2, uses / 100) + max(0, .1 - age / 600 s) + pattern
 *     pattern   of at least 3 uses: min(.1, .05 / (1 + sd / mean of the intervals))
 *
 * As coded, what stands in brackets is never reached, because the weaker test comes first; as documented it is. Seconds are
 * simulated. An expert that was never used has no age. */
#ifndef ES_POLICY_ADMISSION_H
#define ES_POLICY_ADMISSION_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sim/base/option.h"
#include "sim/base/time.h"

enum { ADMISSION_KEPT = 20 };           /* outcomes and times of use that are remembered of an expert */

typedef struct admission_rules {
    bool documented;
    double full, full_span, full_slope, full_most;          /* p > .8: min(.2, .15 (p - .8) / .2) */
    double empty, empty_slope, empty_most;                  /* p < .3: max(-.1, -.1 (.3 - p) / .3) */
    int64_t often, very_often;                              /* uses */
    double often_gain, very_often_gain;
    int64_t recent_ns, just_ns;
    double recent_gain, just_gain;
    int64_t outcomes, outcomes_read;
    double right, wrong, right_gain, wrong_loss;
    double popularity_per, popularity_most;
    double fresh;
    int64_t fresh_span_ns;
    int64_t pattern_uses;
    double pattern, pattern_most;
} admission_rules;

typedef struct admission_expert {
    uint64_t uses;
    es_time used[ADMISSION_KEPT];       /* a ring: the i-th use stands at i % ADMISSION_KEPT */
    uint32_t outcome;                   /* the newest is bit 0 */
    uint32_t outcomes;                  /* up to ADMISSION_KEPT */
} admission_expert;

#define ADMISSION_REAL(owner, field, word, value, least, most, text) \
    {.name = word, .type = ES_OPT_REAL, .offset = offsetof(owner, field), .def = value, .min = least, .max = most, .help = text}
#define ADMISSION_INT(owner, field, word, value, most, of, text) \
    {.name = word, .type = ES_OPT_INT, .offset = offsetof(owner, field), .def = value, .min = 1, .max = most, .unit = of, .help = text}
#define ADMISSION_TIME(owner, field, word, value, text) \
    {.name = word, .type = ES_OPT_TIME, .offset = offsetof(owner, field), .def = value, .min = 1, .max = 1e18, .help = text}

/* Rows for the option table of a part whose state has the rules as the member `rules`. */
#define ADMISSION_OPTIONS(owner, rules) \
    ADMISSION_REAL(owner, rules.full, "pressure_full", 0.8, 0, 1, "Pressure above which guesses must be surer."), \
    ADMISSION_REAL(owner, rules.full_slope, "pressure_full_slope", 0.15, 0, 1, "By how much over each span above it."), \
    ADMISSION_REAL(owner, rules.full_span, "pressure_full_span", 0.2, 1e-9, 1, "That span of pressure."), \
    ADMISSION_REAL(owner, rules.full_most, "pressure_full_most", 0.2, 0, 1, "And at most by so much."), \
    ADMISSION_REAL(owner, rules.empty, "pressure_empty", 0.3, 1e-9, 1, "Pressure below which guesses may be less sure."), \
    ADMISSION_REAL(owner, rules.empty_slope, "pressure_empty_slope", 0.1, 0, 1, "By how much when there is none."), \
    ADMISSION_REAL(owner, rules.empty_most, "pressure_empty_most", 0.1, 0, 1, "And at most by so much."), \
    ADMISSION_INT(owner, rules.often, "often", 10, 1e9, "uses", "More uses than this lower the threshold."), \
    ADMISSION_REAL(owner, rules.often_gain, "often_gain", 0.05, 0, 1, "By so much."), \
    ADMISSION_INT(owner, rules.very_often, "very_often", 50, 1e9, "uses", "More than this lower it further; only as documented."), \
    ADMISSION_REAL(owner, rules.very_often_gain, "very_often_gain", 0.1, 0, 1, "By so much."), \
    ADMISSION_TIME(owner, rules.recent_ns, "recent", 60e9, "A use less than so long ago lowers the threshold."), \
    ADMISSION_REAL(owner, rules.recent_gain, "recent_gain", 0.03, 0, 1, "By so much."), \
    ADMISSION_TIME(owner, rules.just_ns, "just", 10e9, "A use less than so long ago lowers it further; only as documented."), \
    ADMISSION_REAL(owner, rules.just_gain, "just_gain", 0.06, 0, 1, "By so much."), \
    ADMISSION_INT(owner, rules.outcomes, "outcomes", 5, ADMISSION_KEPT, "outcomes", "Fewer tell nothing of an expert."), \
    ADMISSION_INT(owner, rules.outcomes_read, "outcomes_read", 10, ADMISSION_KEPT, "outcomes", "Of the last so many the share of right ones is taken."), \
    ADMISSION_REAL(owner, rules.right, "outcomes_right", 0.6, 0, 1, "A share above this lowers the threshold."), \
    ADMISSION_REAL(owner, rules.right_gain, "outcomes_right_gain", 0.04, 0, 1, "By so much."), \
    ADMISSION_REAL(owner, rules.wrong, "outcomes_wrong", 0.2, 0, 1, "A share below this raises it."), \
    ADMISSION_REAL(owner, rules.wrong_loss, "outcomes_wrong_loss", 0.04, 0, 1, "By so much."), \
    ADMISSION_REAL(owner, rules.popularity_per, "popularity_per", 100, 1, 1e9, "Uses over this are added to the priority."), \
    ADMISSION_REAL(owner, rules.popularity_most, "popularity_most", 0.2, 0, 1, "At most so much of it."), \
    ADMISSION_REAL(owner, rules.fresh, "fresh", 0.1, 0, 1, "Added to the priority of what was used just now."), \
    ADMISSION_TIME(owner, rules.fresh_span_ns, "fresh_span", 600e9, "Of it is taken the time since over this."), \
    ADMISSION_INT(owner, rules.pattern_uses, "pattern_uses", 3, ADMISSION_KEPT, "uses", "Fewer have no pattern."), \
    ADMISSION_REAL(owner, rules.pattern, "pattern", 0.05, 0, 1, "Added to the priority of what is used at even intervals; less the more they vary."), \
    ADMISSION_REAL(owner, rules.pattern_most, "pattern_most", 0.1, 0, 1, "At most so much of it.")

static inline double admission_by_pressure(const admission_rules *r, double pressure)
{
    if (pressure > r->full) {
        double more = r->full_slope * (pressure - r->full) / r->full_span;
        return more < r->full_most ? more : r->full_most;
    }
    if (pressure < r->empty) {
        double less = -r->empty_slope * (r->empty - pressure) / r->empty;
        return less > -r->empty_most ? less : -r->empty_most;
    }
    return 0.0;
}

static inline es_time admission_age(const admission_expert *e, es_time now)
{
    return e->uses == 0 ? ES_NEVER : now - e->used[(e->uses - 1) % ADMISSION_KEPT];
}

static inline double admission_by_expert(const admission_rules *r, const admission_expert *e, es_time now)
{
    es_time age = admission_age(e, now);
    double change = 0.0;
    if (r->documented && e->uses > (uint64_t)r->very_often)
        change -= r->very_often_gain;
    else if (e->uses > (uint64_t)r->often)
        change -= r->often_gain;
    if (r->documented && age < r->just_ns)
        change -= r->just_gain;
    else if (age < r->recent_ns)
        change -= r->recent_gain;
    if (e->outcomes < (uint32_t)r->outcomes)
        return change;
    uint32_t read = e->outcomes < (uint32_t)r->outcomes_read ? e->outcomes : (uint32_t)r->outcomes_read;
    double share = (double)__builtin_popcount(e->outcome & ((1u << read) - 1)) / read;
    return share > r->right ? change - r->right_gain : share < r->wrong ? change + r->wrong_loss : change;
}

/* What a guess needs at least: the level's threshold, adjusted, within its bounds. */
static inline double admission_threshold(double level, double by_pressure, double by_expert, double least, double most)
{
    double threshold = level + by_pressure + by_expert;
    return threshold < least ? least : threshold > most ? most : threshold;
}

static inline double admission_pattern(const admission_rules *r, const admission_expert *e)
{
    uint64_t kept = e->uses < ADMISSION_KEPT ? e->uses : ADMISSION_KEPT, first = e->uses - kept;
    double mean = 0.0, square = 0.0;
    if (kept < (uint64_t)r->pattern_uses || kept < 2)
        return 0.0;
    for (uint64_t i = first + 1; i < e->uses; i++)
        mean += (double)(e->used[i % ADMISSION_KEPT] - e->used[(i - 1) % ADMISSION_KEPT]);
    mean /= (double)(kept - 1);
    if (!(mean > 0.0))
        return 0.0;
    for (uint64_t i = first + 1; i < e->uses; i++) {
        double off = (double)(e->used[i % ADMISSION_KEPT] - e->used[(i - 1) % ADMISSION_KEPT]) - mean;
        square += off * off;
    }
    double boost = r->pattern / (1.0 + sqrt(square / (double)(kept - 1)) / mean);
    return boost < r->pattern_most ? boost : r->pattern_most;
}

static inline double admission_priority(const admission_rules *r, const admission_expert *e, double confidence, es_time now)
{
    double popular = (double)e->uses / r->popularity_per;
    double fresh = e->uses == 0 ? 0.0 : r->fresh - (double)admission_age(e, now) / (double)r->fresh_span_ns;
    return confidence + (popular < r->popularity_most ? popular : r->popularity_most) + (fresh > 0.0 ? fresh : 0.0) + admission_pattern(r, e);
}

static inline void admission_used(admission_expert *e, es_time now)
{
    e->used[e->uses++ % ADMISSION_KEPT] = now;
}

/* Whether a guess of this expert turned out right. */
static inline void admission_outcome(admission_expert *e, bool right)
{
    e->outcome = (e->outcome << 1 | right) & ((1u << ADMISSION_KEPT) - 1);
    e->outcomes += e->outcomes < ADMISSION_KEPT;
}

#endif
