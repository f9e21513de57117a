/* Bracket: see bracket.h. The core says what its machine costs, the trace is decoded once, and sim/curve does the rest. */
#include "sim/study/bracket.h"

#include "sim/core/costs.h"
#include "sim/part/policy.h"
#include "sim/study/curves.h"
#include "sim/study/foresight.h"

typedef struct bracket_work {
    const es_plan *plan;
    es_events events;
    es_costs costs;
    es_machine machine;
    es_uses uses;
    es_arena arena;
} bracket_work;

static uint32_t bracket_served(const es_events *events)
{
    uint32_t most = 0;
    for (uint64_t p = 0; events->repeats && p < events->lookups; p++)
        most = events->repeats[p] > most ? events->repeats[p] : most;
    return most + 1;
}

static es_code bracket_costs(bracket_work *w, es_err *err)
{
    es_run *run = NULL;
    es_code code = w->plan->source->rewind(w->plan->source_state, err);
    if (code == ES_OK)
        code = es_run_new(&run, w->plan, err);
    if (code == ES_OK)
        code = es_costs_find(&w->costs, run, bracket_served(&w->events), &w->arena, err);
    es_run_free(run);
    return code;
}

/* Dense compute before the gate of each event: of its layer, and of all since the event before in which nothing was looked up. */
static es_code bracket_dense(bracket_work *w, es_err *err)
{
    const es_events *e = &w->events;
    es_time *dense = ES_NEW_ARRAY(&w->arena, (size_t)e->count + 1, es_time);
    if (!dense)
        return es_err_nomem(err, "bounds on time");
    if (e->steps != w->costs.steps)
        return es_err_set(err, ES_EINTERNAL, "bounds on time: %u steps are replayed, %u were decoded", w->costs.steps, e->steps);
    uint32_t step = 0, layers = 0;      /* of `step` behind which we are */
    for (uint32_t i = 0; i <= e->count; i++) {
        const bool behind = i == e->count;
        const uint32_t to = behind ? e->steps : e->step[i], upto = behind ? 0 : e->layer[i] + 1u;
        for (; step < to; step++, layers = 0)
            dense[i] += (e->layers - layers) * w->costs.dense_ns[step];
        if (upto > layers) {            /* else one more event of the same layer */
            dense[i] += (upto - layers) * w->costs.dense_ns[step];
            layers = upto;
        }
    }
    w->machine.dense_ns = dense;
    return ES_OK;
}

static es_code bracket_machine(bracket_work *w, es_err *err)
{
    static const es_machine_order orders[] = {
        [ES_RESIDENT_FIRST] = ES_MACHINE_RESIDENT_FIRST, [ES_IN_ORDER] = ES_MACHINE_IN_ORDER, [ES_BARRIER] = ES_MACHINE_BARRIER};
    const es_costs *c = &w->costs;
    const es_policy *policy = (const es_policy *)(const void *)w->plan->policy.part;
    es_cut *cut = ES_NEW_ARRAY(&w->arena, c->cuts, es_cut);
    if (!cut)
        return es_err_nomem(err, "bounds on time");
    if (c->stride != w->events.stride)
        return es_err_set(err, ES_EINTERNAL, "bounds on time: layers are %u experts apart, decoded ones %u", c->stride, w->events.stride);
    for (uint32_t i = 0; i < c->cuts; i++) {
        const es_costs_cut *of = &c->cut[i];
        cut[i] = (es_cut){.capacity = of->capacity, .unit = of->unit, .copy_ns = of->copy_ns, .lanes = of->lanes, .piece_ns = of->piece_ns, .piece_units = of->piece_units,
            .passes = of->passes, .overshoots = of->overshoots};
    }
    w->machine = (es_machine){.cut = cut, .cuts = c->cuts, .per_layer = w->plan->contract.scope == ES_PER_LAYER, .expert_ns = c->expert_ns, .host_ns = c->host_ns,
        .served = c->served, .kinds = c->kinds, .kind = c->kind, .order = orders[w->plan->compute.overlap], .reset = w->plan->contract.reset == 1,
        .warm = w->plan->start_count > 0 || (policy && policy->initial)};
    return ES_OK;
}

/* By arithmetic where that is possible, else by the core. */
static es_code bracket_schedules(es_bracket *out, bracket_work *w, const es_progress *progress, es_err *err)
{
    es_code code = ES_OK;
    if (!w->costs.no_schedule) {
        code = es_clairvoyant_aggressive(&out->aggressive, &w->events, &w->machine, &w->uses, &w->arena, err);
        if (code == ES_OK)
            code = es_clairvoyant_conservative(&out->conservative, &w->events, &w->machine, &w->uses, &w->arena, err);
        out->least_ns = out->aggressive.total_ns < out->conservative.total_ns ? out->aggressive.total_ns : out->conservative.total_ns;
        if (code != ES_OK || out->aggressive.fits)
            return code;
    }
    out->foreseen = true;
    if (es_foresight_find(&out->least_ns, w->plan, progress, &out->why) != ES_OK)
        out->no_schedule = out->why.text;
    return ES_OK;
}

static es_code bracket_go(es_bracket *out, bracket_work *w, const es_progress *progress, es_err *err)
{
    es_code code = w->events.begin ? ES_OK : es_curves_events(w->plan, &w->events, &w->arena, err);
    if (code == ES_OK)
        code = bracket_costs(w, err);
    if (code != ES_OK)
        return code;
    out->no_bound = out->no_schedule = w->costs.no_bound;
    if (out->no_bound)
        return ES_OK;
    code = bracket_machine(w, err);
    if (code == ES_OK)
        code = bracket_dense(w, err);
    if (code == ES_OK)
        code = es_uses_find(&w->uses, &w->events, &w->arena, err);
    if (code == ES_OK)
        code = es_bound_find(&out->bound, &w->events, &w->machine, &w->uses, &w->arena, err);
    if (w->costs.cuts > 0) {
        out->from = w->costs.cut[out->bound.slowest].from;
        out->to = w->costs.cut[out->bound.slowest].to;
    }
    return code ? code : bracket_schedules(out, w, progress, err);
}

es_code es_bracket_find(es_bracket *out, const es_plan *plan, const es_events *events, const es_progress *progress, es_err *err)
{
    bracket_work work = {.plan = plan};
    if (events)
        work.events = *events;
    *out = (es_bracket){0};
    es_code code = bracket_go(out, &work, progress, err);
    es_arena_free(&work.arena);
    return code;
}
