/* Costs: see costs.h. First whether the machine is one of which bounds are known, then its numbers, asked of the same timings as in a
 * run. */
#include "sim/core/costs.h"

#include <string.h>

#include "sim/core/channel.h"

/* ---- which machines ---- */

static const es_chan *costs_channel(const es_run *run)
{
    return &run->chan[run->link[run->tier[run->serving].way[run->home]].channel[0]];
}

static const char *costs_link_unknown(const es_run *run)
{
    const es_chan *chan = costs_channel(run);
    if (chan->timing_varies || run->chan[run->gpu].timing_varies)
        return "the time of a copy or of compute is drawn";
    if (chan->chunk > 0)
        return "copies are cut into chunks";
    if (chan->scheduler && chan->scheduler->batch && strcmp(chan->scheduler->part.name, "demand_first") != 0)
        return "the scheduler decides how many copies go as one";
    return NULL;
}

static const char *costs_unknown(const es_run *run)
{
    const es_plan *plan = run->plan;
    const es_tier *tier = &run->tier[run->serving];
    if (run->trains)
        return "steps train";
    if (run->composer.routes)
        return "the router decides by what is resident";
    if (plan->dispatcher.part && strcmp(plan->dispatcher.part->name, "fetch") != 0)
        return "misses need not be fetched";
    if (!run->composer.whole)
        return "the experts of a layer differ in size";
    if (run->levels != 1 || run->tiers != 2 || tier->home)
        return "there are other tiers than one that serves and home";
    if (run->made || tier->ground || tier->weight != 1)
        return "what comes into the serving tier is not always a copy of one size";
    if (run->view.pins_beside)
        return "pinned experts take no room";
    if (plan->compute.guess_cost == ES_GUESS_FREE)
        return "guesses cost nothing";
    return costs_link_unknown(run);
}

/* How many copies go as one, at most. */
static uint32_t costs_batch(const es_run *run)
{
    const es_chan *chan = costs_channel(run);
    return chan->scheduler && chan->scheduler->batch ? chan->scheduler->batch(chan->scheduler_state, ES_CLASS_DEMAND, NULL) : 1;
}

static const char *costs_unscheduled(const es_run *run)
{
    const es_plan *plan = run->plan;
    const es_link *link = &run->link[run->tier[run->serving].way[run->home]];
    if (costs_channel(run)->discipline != ES_FIFO || link->elastic || costs_batch(run) > 1)
        return "copies need not go one after another at full speed";
    if (run->charge.on || plan->compute.guess_cost != ES_GUESS_LINK)
        return "lookups or predictions take time";
    if (run->gpu_unit)
        return "compute is slowed by copies or slows them";
    if (run->tier[run->serving].write_back)
        return "what leaves is written back";
    if (plan->contract.judge != ES_JUDGE_EVENT || plan->contract.unit == ES_ID)
        return "experts are looked up one by one";
    return plan->tuner_count > 0 ? "a tuner may change the machine" : NULL;
}

/* ---- numbers ---- */

/* A copy alone, or its least share of a batch. On a link that copies share, the fixed parts of several pass at once. */
static es_time costs_copy_ns(es_run *run, int64_t bytes)
{
    es_chan *chan = &run->chan[run->link[run->tier[run->serving].way[run->home]].channel[0]];
    es_time least = ES_NEVER;
    for (uint32_t n = 1; n <= costs_batch(run); n++) {
        const es_cost cost = es_channel_cost(run, chan, 0, bytes * n, n);
        const es_time share = ((chan->discipline == ES_SHARED ? 0 : cost.fixed) + cost.work) / n;
        least = share < least ? share : least;
    }
    return least;
}

static es_code costs_objects(es_costs *out, es_run *run, es_arena *arena, es_err *err)
{
    const es_view *view = &run->view;
    const es_tier *tier = &run->tier[run->serving];
    int64_t *unit = ES_NEW_ARRAY(arena, view->spaces, int64_t);
    es_time *copy = ES_NEW_ARRAY(arena, view->spaces, es_time), *expert = ES_NEW_ARRAY(arena, (size_t)view->layers * out->served, es_time);
    if (!unit || !copy || !expert)
        return es_err_nomem(err, "the machine's costs");
    for (uint32_t s = 0; s < view->spaces; s++) {
        unit[s] = tier->unit[s * view->words_per_layer];
        copy[s] = costs_copy_ns(run, run->bytes[s * view->words_per_layer]);
    }
    for (uint32_t l = 0; l < view->layers; l++)
        for (uint32_t n = 0; n < out->served; n++)
            expert[(size_t)l * out->served + n] = es_channel_expert_ns(run, run->gpu, es_layer_base(view, l), n + 1);
    for (uint32_t b = 0; b < (view->per_layer ? view->layers : 1); b++)
        out->capacity += tier->full[b];
    const es_chan *chan = costs_channel(run);
    out->lanes = chan->discipline == ES_LANES ? chan->lanes : 1;
    out->unit = unit;
    out->copy_ns = copy;
    out->expert_ns = expert;
    return run->code;
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
    out->no_schedule = out->no_bound ? out->no_bound : costs_unscheduled(run);
    run->err = err;
    if (out->no_bound)
        return ES_OK;
    es_code code = costs_objects(out, run, arena, err);
    return code ? code : costs_steps(out, run, arena, err);
}
