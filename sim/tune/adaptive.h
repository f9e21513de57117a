/* Adaptive: how two confidence thresholds follow coverage, latency, accuracy and pressure. Arithmetic only; adaptive.c wires it.
 *
 * The rules are those of scripts/simulation/adaptive_cache_policy.py of the coverage-aware hierarchy; d is coverage - target, s the
 * score, r the rate:
 *
 *     s = .4 min(1, coverage / .5) + .3 max(0, 1 - (latency - 5 ms) / 10 ms) + .2 accuracy / .5 + .1 max(0, 1 - pressure)
 *     conservative  d < -.05 and s < .7: t2 -= .5 r, t3 -= .25 r;  d > .05 and s > .8: the opposite;  else nothing
 *     aggressive    d < 0: both -= 2 r;  d > 0: both += 2 r
 *     balanced      if |d| > .02 or s < .6:  d < -.02: t2 -= r (1 - s), t3 -= .7 r;  d > .02: t2 += r s, t3 += .7 r;  between: nothing,
 *                   but it counts as adapted
 *     dynamic       pressure > .9: conservative;  else s < .4: aggressive;  else balanced
 *
 * As coded, coverage is the average one though the target is a rate of perfect coverage, thresholds may leave their bounds, and only
 * what adapted waits for the interval to pass again. As documented, coverage is the perfect one, thresholds keep their bounds, and the
 * interval passes between any two looks. */
#ifndef ES_TUNE_ADAPTIVE_H
#define ES_TUNE_ADAPTIVE_H

#include <math.h>
#include <stdbool.h>

#include "sim/base/time.h"

enum { ADAPTIVE_CONSERVATIVE, ADAPTIVE_AGGRESSIVE, ADAPTIVE_BALANCED, ADAPTIVE_DYNAMIC };
enum { ADAPTIVE_AS_CODED, ADAPTIVE_AS_DOCUMENTED };

typedef struct adaptive_rules {
    int strategy, mode;
    double rate, target;
    int64_t interval_ns;
    double t2_min, t2_max, t3_min, t3_max;
    double coverage_weight, coverage_full;                  /* .4 min(1, coverage / .5) */
    double latency_weight;                                  /* .3 max(0, 1 - (latency - 5 ms) / 10 ms) */
    int64_t latency_best_ns, latency_span_ns;
    double accuracy_weight, accuracy_full;                  /* .2 accuracy / .5 */
    double pressure_weight;                                 /* .1 max(0, 1 - pressure) */
    double calm, calm_poor, calm_good, calm_t2, calm_t3;    /* conservative: .05, .7, .8, .5 r, .25 r */
    double bold;                                            /* aggressive: 2 r */
    double even, even_poor, even_t3;                        /* balanced: .02, .6, .7 r */
    double tight, poor;                                     /* dynamic: .9, .4 */
} adaptive_rules;

typedef struct adaptive_means { /* over the last samples */
    double coverage, perfect;   /* share of the wanted that was there; of the events of which all was there */
    double latency_ns, accuracy, pressure;
} adaptive_means;

typedef struct adaptive_state {
    double t2, t3;
    es_time last;               /* when it last adapted, at first when it began */
} adaptive_state;

/* Latency and accuracy may count above their weights: nothing caps them. */
static inline double adaptive_score(const adaptive_rules *r, const adaptive_means *m)
{
    double coverage = (r->mode == ADAPTIVE_AS_CODED ? m->coverage : m->perfect) / r->coverage_full;
    double latency = 1.0 - (m->latency_ns - (double)r->latency_best_ns) / (double)r->latency_span_ns, room = 1.0 - m->pressure;
    return r->coverage_weight * (coverage < 1.0 ? coverage : 1.0) + r->latency_weight * (latency > 0.0 ? latency : 0.0) +
        r->accuracy_weight * (m->accuracy / r->accuracy_full) + r->pressure_weight * (room > 0.0 ? room : 0.0);
}

static inline void adaptive_move(adaptive_state *state, double t2, double t3)
{
    state->t2 += t2;
    state->t3 += t3;
}

static inline bool adaptive_conservative(const adaptive_rules *r, adaptive_state *state, double d, double s)
{
    double t2 = r->calm_t2 * r->rate, t3 = r->calm_t3 * r->rate;
    if (d < -r->calm && s < r->calm_poor)
        adaptive_move(state, -t2, -t3);
    else if (d > r->calm && s > r->calm_good)
        adaptive_move(state, t2, t3);
    else
        return false;
    return true;
}

static inline bool adaptive_aggressive(const adaptive_rules *r, adaptive_state *state, double d)
{
    double step = d < 0.0 ? -r->bold * r->rate : d > 0.0 ? r->bold * r->rate : 0.0;
    adaptive_move(state, step, step);
    return d != 0.0;
}

static inline bool adaptive_balanced(const adaptive_rules *r, adaptive_state *state, double d, double s)
{
    if (!(fabs(d) > r->even || s < r->even_poor))
        return false;
    if (d < -r->even)
        adaptive_move(state, -r->rate * (1.0 - s), -r->even_t3 * r->rate);
    else if (d > r->even)
        adaptive_move(state, r->rate * s, r->even_t3 * r->rate);
    return true;
}

static inline bool adaptive_turn(const adaptive_rules *r, adaptive_state *state, const adaptive_means *m)
{
    double d = (r->mode == ADAPTIVE_AS_CODED ? m->coverage : m->perfect) - r->target, s = adaptive_score(r, m);
    int strategy = r->strategy;
    if (strategy == ADAPTIVE_DYNAMIC)
        strategy = m->pressure > r->tight ? ADAPTIVE_CONSERVATIVE : s < r->poor ? ADAPTIVE_AGGRESSIVE : ADAPTIVE_BALANCED;
    switch (strategy) {
    case ADAPTIVE_CONSERVATIVE:
        return adaptive_conservative(r, state, d, s);
    case ADAPTIVE_AGGRESSIVE:
        return adaptive_aggressive(r, state, d);
    default:
        return adaptive_balanced(r, state, d, s);
    }
}

static inline double adaptive_within(double value, double least, double most)
{
    return value < least ? least : value > most ? most : value;
}

/* One look: nothing before the interval has passed, and nothing without a sample. True when it adapted. */
static inline bool adaptive_look(const adaptive_rules *r, adaptive_state *state, const adaptive_means *m, uint64_t samples, es_time now)
{
    if (now - state->last < r->interval_ns || samples == 0)
        return false;
    bool adapted = adaptive_turn(r, state, m);
    if (r->mode == ADAPTIVE_AS_DOCUMENTED) {
        state->t2 = adaptive_within(state->t2, r->t2_min, r->t2_max);
        state->t3 = adaptive_within(state->t3, r->t3_min, r->t3_max);
    }
    if (adapted || r->mode == ADAPTIVE_AS_DOCUMENTED)
        state->last = now;
    return adapted;
}

#endif
