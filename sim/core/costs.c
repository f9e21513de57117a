/* Costs: see costs.h. First whether the machine is one of which bounds are known, then its numbers, asked of the same timings as in a
 * run. */
#include "sim/core/costs.h"

#include <string.h>

#include "sim/core/channel.h"

/* ---- which machines ---- */

static bool costs_hosts(const es_run *run)
{
    return run->plan->dispatcher.part && strcmp(run->plan->dispatcher.part->name, "host_compute") == 0;
}

static const char *costs_unknown(const es_run *run)
{
    const es_plan *plan = run->plan;
    if (run->trains)
        return "steps train";
    if (run->composer.routes)
        return "the router decides by what is resident";
    if (plan->dispatcher.part && strcmp(plan->dispatcher.part->name, "fetch") != 0 && !costs_hosts(run))
        return "the dispatcher may leave experts out";
    if (run->chan[run->gpu].timing_varies || (costs_hosts(run) && run->cpu != ES_NONE && run->chan[run->cpu].timing_varies))
        return "the time of compute is drawn";
    return NULL;
}

/* Schedules are arithmetic on the plainest machine alone. */
static const char *costs_unscheduled(const es_costs *out, const es_run *run)
{
    const es_plan *plan = run->plan;
    const es_tier *tier = &run->tier[run->serving];
    if (run->levels != 1 || run->tiers != 2 || tier->home || run->made || tier->ground || out->cuts != 1)
        return "there is more than one tier that serves and a link into it";
    const es_link *link = &run->link[tier->way[run->home]];
    const es_chan *chan = &run->chan[link->channel[0]];
    if (chan->discipline != ES_FIFO || link->elastic || chan->chunk > 0 || (chan->scheduler->batch && chan->scheduler->batch(chan->scheduler_state, ES_CLASS_DEMAND, NULL) > 1))
        return "copies need not go one after another at full speed";
    if (run->charge.on || plan->compute.guess_cost != ES_GUESS_LINK)
        return "lookups or predictions take time";
    if (run->gpu_unit)
        return "compute is slowed by copies or slows them";
    if (tier->write_back)
        return "what leaves is written back";
    if (plan->contract.judge != ES_JUDGE_EVENT || plan->contract.unit == ES_ID || out->cut->piece_units)
        return "experts are looked up one by one or in pieces";
    if (run->view.per_layer)
        return "each layer has a room of its own";
    if (costs_hosts(run) || run->view.pins_beside)
        return "there is more than one cache and one unit that computes";
    return plan->tuner_count > 0 ? "a tuner may change the machine" : NULL;
}

/* ---- numbers ---- */

/* All matrices of an expert; precisions of which an expert changes from one to another count as the one that is least. */
static es_time costs_expert_ns(es_run *run, uint32_t unit, uint32_t layer, uint32_t kind, uint32_t served)
{
    const es_view *view = &run->view;
    es_time least = ES_NEVER;
    for (uint32_t v = run->assigner ? 0 : kind; v <= (run->assigner ? view->variants - 1 : kind); v++) {
        es_time sum = 0;
        for (uint32_t m = 0; m < view->matrices; m++)
            sum += es_channel_expert_ns(run, unit, es_layer_base(view, layer) + (v * view->matrices + m) * view->slice, served);
        least = sum < least ? sum : least;
    }
    return least;
}

static const es_time *costs_experts(const es_costs *out, es_run *run, uint32_t unit, es_arena *arena)
{
    const uint32_t layers = run->view.layers;
    es_time *table = ES_NEW_ARRAY(arena, (size_t)layers * out->kinds * out->served, es_time);
    for (uint32_t l = 0; table && l < layers; l++)
        for (uint32_t k = 0; k < out->kinds; k++)
            for (uint32_t n = 0; n < out->served; n++)
                table[((size_t)l * out->kinds + k) * out->served + n] = costs_expert_ns(run, unit, l, k, n + 1);
    return table;
}

/* The precision of each expert, where all keep theirs. */
static es_code costs_kinds(es_costs *out, const es_run *run, es_arena *arena, es_err *err)
{
    const es_view *view = &run->view;
    out->kinds = 1;
    out->stride = view->slice;
    if (view->variants == 1 || run->assigner)
        return ES_OK;
    uint8_t *kind = ES_NEW_ARRAY(arena, (size_t)view->spaces * out->stride, uint8_t);
    if (!kind)
        return es_err_nomem(err, "the machine's costs");
    for (uint32_t s = 0; s < view->spaces; s++)
        for (uint32_t i = 0; i < view->ids; i++)
            kind[s * out->stride + i] = (uint8_t)(view->index_of[(size_t)s * view->ids + i] / (view->matrices * view->slice));
    out->kinds = view->variants;
    out->kind = kind;
    return ES_OK;
}

static es_code costs_compute(es_costs *out, es_run *run, es_arena *arena, es_err *err)
{
    const bool hosts = costs_hosts(run) && run->cpu != ES_NONE;
    es_code code = costs_kinds(out, run, arena, err);
    if (code != ES_OK)
        return code;
    out->expert_ns = costs_experts(out, run, run->gpu, arena);
    out->host_ns = hosts ? costs_experts(out, run, run->cpu, arena) : NULL;
    return out->expert_ns && (out->host_ns || !hosts) ? run->code : es_err_nomem(err, "the machine's costs");
}

/* Twice over the steps: how many there are, what each takes. */
static es_code costs_steps(es_costs *out, es_run *run, es_arena *arena, es_err *err)
{
    es_time *dense = NULL;
    es_code code = ES_OK;
    for (int pass = 0; pass < 2 && code == ES_OK; pass++) {
        bool more = true;
        uint32_t count = 0;
        code = es_composer_rewind(run, err);
        while (code == ES_OK && (code = es_composer_step(run, &more, err)) == ES_OK && more) {
            const es_composer *c = &run->composer;
            if (dense)
                dense[count] = es_channel_dense_ns(run, c->rows, c->step.token[c->row + c->rows - 1].position);
            count++;
        }
        out->steps = count;
        if (code == ES_OK && !dense && !(dense = ES_NEW_ARRAY(arena, count + 1, es_time)))
            code = es_err_nomem(err, "the machine's costs");
    }
    out->dense_ns = dense;
    return code ? code : run->code;
}

es_code es_costs_find(es_costs *out, es_run *run, uint32_t served, es_arena *arena, es_err *err)
{
    *out = (es_costs){.served = served, .no_bound = costs_unknown(run)};
    out->no_schedule = out->no_bound;
    run->err = err;
    if (out->no_bound)
        return ES_OK;
    es_code code = costs_compute(out, run, arena, err);
    if (code == ES_OK)
        code = es_costs_cuts(out, run, arena, err);
    if (code == ES_OK)
        out->no_schedule = costs_unscheduled(out, run);
    return code ? code : costs_steps(out, run, arena, err);
}
