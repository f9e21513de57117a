/* Verdict: the rule of docs/verdict.md. */
#include <math.h>

#include "sim/study/verdict_inside.h"

/* What each could win; of the time where there is one, else of the lookups. */
static void verdict_gains(verdict *v, bool timed)
{
    v->gain_policy = v->gain_size = v->gain_split = NAN;
    if (timed) {
        if (!v->no_bracket)
            v->gain_policy = 1.0 - v->clairvoyant_s / v->now.total_s;
        if (!v->no_more)
            v->gain_size = 1.0 - v->more[v->most].ran.total_s / v->now.total_s;
        if (!v->no_divided)
            v->gain_split = 1.0 - v->divided.total_s / v->now.total_s;
        return;
    }
    if (!v->no_curves)
        v->gain_policy = v->belady - v->now.hit_rate;
    if (!v->no_more)
        v->gain_size = v->more[v->most].ran.hit_rate - v->now.hit_rate;
    if (!v->no_divided)
        v->gain_split = v->divided.hit_rate - v->now.hit_rate;
}

/* The greatest gain of those that reach their thresholds; of equal ones the first, for it costs nothing to buy. */
static const char *verdict_lever(const verdict *v, bool timed)
{
    const struct {
        const char *name;
        double gain, least;
    } levers[] = {
        {"layer split", v->gain_split, timed ? VERDICT_SIZE : VERDICT_HITS_SURE},
        {"policy", v->hopeless ? (double)NAN : v->gain_policy, timed ? VERDICT_POLICY : VERDICT_HITS},
        {"size", v->gain_size, timed ? VERDICT_SIZE : VERDICT_HITS_SURE},
    };
    const char *best = NULL;
    double most = 0.0;
    for (size_t i = 0; i < sizeof levers / sizeof *levers; i++)
        if (levers[i].gain >= levers[i].least && levers[i].gain > most) {
            best = levers[i].name;
            most = levers[i].gain;
        }
    return best;
}

void verdict_decide(verdict *v)
{
    const bool timed = v->now.total_s > 0.0, known = timed && !v->no_bracket;
    const double total = v->now.total_s, compute = verdict_seconds(v->bracket.bound.compute_ns);
    v->by = timed ? "time" : "hit rate";
    v->hopeless = v->slots / v->demand < VERDICT_RATIO;
    verdict_gains(v, timed);
    v->busy = known ? compute / total : 1.0 - v->now.stall_s / total;
    v->waits = known ? (v->clairvoyant_s - compute) / v->clairvoyant_s : v->now.stall_s / total;
    const char *lever = v->busy >= VERDICT_COMPUTE ? "compute" : verdict_lever(v, timed);
    v->verdict = lever ? lever : v->waits >= VERDICT_LINK ? "link" : "nothing helps";
}
