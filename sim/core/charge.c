/* Charge: what takes time besides copies and computing, and what compute stands still for. Only under the simulated clock; a run
 * in which all of it is free never comes here. At the gate of an event, in this order:
 *
 *   predict   a question before the lookup: compute stands still, then the guesses are queued
 *   await     compute.guess_cost serial: until their copies are there, one after another; one that finds no room is dropped
 *   lookup    of every object of the event: compute stands still, then replay.c goes on
 *   predict   a question about the coming layers: the gpu answers it before it computes an expert; the guesses are queued then,
 *             and the layer ends no earlier, nor, with guess_cost serial, before their copies are there
 *   access    before its first expert the gpu pays once for all that the event found
 *   evict     before every expert it pays for the victims since the one before, and for copies that an allocator has moved
 *
 * Standing still for a copy is a stall for its channel; the rest is times.predict, manage and access. Waiting for the host, which both
 * layer.c and train.c do, is told here too. */
#include "sim/core/core.h"

/* ---- opening ---- */

static es_code charge_open_access(es_run *run, es_err *err)
{
    for (uint32_t t = 0; t < run->tiers; t++) {
        const es_plan_part *row = &run->plan->tiers[t].access;
        if (!row->part)
            continue;
        if (!run->tier[t].serving)
            return es_err_set(err, ES_EINPUT, "tiers.%s.access: events do not read from %s, which has no compute unit", run->tier[t].name, run->tier[t].name);
        es_code code = es_assemble_part(run, row, NULL, &run->tier[t].access_state, err);
        if (code != ES_OK)
            return code;
        run->tier[t].access = (const es_timing *)(const void *)row->part;
        run->charge.accesses = true;
    }
    return ES_OK;
}

/* A compute unit that manages in no time need not be asked again. */
static void charge_open_costs(es_run *run)
{
    const es_chan *gpu = &run->chan[run->gpu];
    if (!(gpu->timing->part.flags & ES_TIMING_MANAGES))
        return;
    for (es_op_kind kind = ES_OP_PREDICT; kind <= ES_OP_EVICT; kind++) {
        es_cost cost = gpu->timing->cost(gpu->timing_state, &(es_op){.kind = kind, .count = 1});
        run->charge.costs |= cost.fixed + cost.work != 0 ? 1u << kind : 0;
    }
}

static es_code charge_open_moves(es_run *run, es_err *err)
{
    for (uint32_t t = 0; t < run->tiers; t++) {
        const es_plan_part *row = &run->plan->tiers[t].moves;
        es_ground *g = run->tier[t].ground;
        if (!row->part)
            continue;
        if (!g || !g->dropped)
            return es_err_set(err, ES_EINPUT, "tiers.%s.moves: the tier's allocator moves nothing; leave it out", run->tier[t].name);
        es_code code = es_assemble_part(run, row, NULL, &g->moving_state, err);
        if (code != ES_OK)
            return code;
        g->moving = (const es_timing *)(const void *)row->part;
        run->charge.moves = true;
    }
    return ES_OK;
}

es_code es_charge_open(es_run *run, es_err *err)
{
    es_charge *c = &run->charge;
    es_code code = charge_open_access(run, err);
    if (code == ES_OK)
        code = charge_open_moves(run, err);
    if (code != ES_OK || !run->view.timed)
        return code;
    charge_open_costs(run);
    c->serial = run->predictor && run->plan->compute.guess_cost == ES_GUESS_SERIAL;
    c->free = run->predictor && run->plan->compute.guess_cost == ES_GUESS_FREE;
    c->on = c->costs || c->serial || c->free || c->accesses || c->moves;
    if (c->serial)
        ES_NEED(c->held = ES_NEW_ARRAY(&run->arena, (size_t)es_guess_questions(run) * run->guesses_most, es_held), "guesses");
    return ES_OK;
}

/* ---- costs ---- */

static es_time charge_cost(es_run *run, es_op_kind kind, uint64_t count)
{
    es_chan *gpu = &run->chan[run->gpu];
    if (!(run->charge.costs >> kind & 1) || count == 0)
        return 0;
    return es_channel_op_ns(run, gpu->timing, gpu->timing_state, "channel", gpu->view->name, &(es_op){.kind = kind, .count = (uint32_t)count,
        .step = run->composer.steps, .object = run->composer.layer, .occurrence = run->composer.events});
}

/* For what the event finds in each serving tier. */
static es_time charge_access(es_run *run)
{
    const es_event *e = &run->composer.event;
    es_time cost = 0;
    for (uint32_t l = 0; l < run->levels; l++) {
        const es_tier *tier = &run->tier[run->level[l]];
        const uint32_t count = run->levels > 1 ? tier->touched : e->hits;
        if (tier->access && count > 0)
            cost += es_channel_op_ns(run, tier->access, tier->access_state, "tier", tier->name, &(es_op){.kind = ES_OP_ACCESS, .count = count,
                .bytes = run->levels > 1 ? tier->touched_bytes : es_event_sum(e, e->hit, run->bytes), .step = run->composer.steps,
                .object = e->base, .occurrence = run->composer.events});
    }
    return cost;
}

/* For copies that allocators have moved since. */
static es_time charge_moves(es_run *run)
{
    es_time cost = 0;
    for (uint32_t t = 0; t < run->tiers; t++) {
        es_ground *g = run->tier[t].ground;
        if (!g || !g->moving || g->unpaid == 0)
            continue;
        cost += es_channel_op_ns(run, g->moving, g->moving_state, "tier", run->tier[t].name, &(es_op){.kind = ES_OP_COPY, .count = g->unpaid,
            .bytes = g->unpaid_bytes, .step = run->composer.steps, .object = run->composer.event.base, .occurrence = run->composer.events});
        g->unpaid = 0;
        g->unpaid_bytes = 0;
    }
    return cost;
}

/* The step went through it until `at`. */
static void charge_account(es_run *run, es_charged charge, es_time cost, es_time at)
{
    es_times *t = &run->times;
    es_time *const account[ES_CHARGES] = {&t->access, &t->lookup, &t->evict, &t->move, &t->predict, &t->expert_cpu};
    *account[charge] += cost;
    t->manage += charge == ES_CHARGED_LOOKUP || charge == ES_CHARGED_EVICT || charge == ES_CHARGED_MOVE ? cost : 0;
    if (cost > 0 && es_bus_heard(run, ES_FACT_CHARGE))
        es_bus_deliver(run, &(es_fact){.kind = ES_FACT_CHARGE, .at = at, .since = at - cost, .count = charge, .from = ES_NO_TIER, .to = ES_NO_TIER,
            .channel = charge == ES_CHARGED_HOST ? run->cpu : run->gpu, .step = run->composer.steps - 1});
}

void es_charge_host(es_run *run, es_time until)
{
    es_chan *gpu = &run->chan[run->gpu];
    charge_account(run, ES_CHARGED_HOST, until - gpu->free_at, until);
    gpu->free_at = until;
}

/* ---- on the gpu ---- */

/* The gpu does it next; one that is slowed takes it as a job. */
static void charge_work(es_run *run, es_charged charge, es_time cost)
{
    es_chan *gpu = &run->chan[run->gpu];
    if (cost == 0)
        return;
    if (es_unit_slowed(run->gpu_unit)) {
        run->wanted.computing++;
        es_unit_ask(run, run->gpu_unit, ES_CHARGE_OBJECT(charge), cost);
        return;
    }
    gpu->free_at += cost;
    charge_account(run, charge, cost, gpu->free_at);
    if (run->gpu_unit)
        es_unit_until(run, run->gpu_unit, gpu->free_at);
}

void es_charge_expert(es_run *run)
{
    es_charge *c = &run->charge;
    uint64_t victims = run->tally.evictions - c->evictions;
    if (!c->accessed && c->accesses && run->composer.event.hits > 0)
        charge_work(run, ES_CHARGED_ACCESS, charge_access(run));
    c->accessed = true;
    c->evictions += victims;
    charge_work(run, ES_CHARGED_EVICT, charge_cost(run, ES_OP_EVICT, victims));
    if (c->moves)
        charge_work(run, ES_CHARGED_MOVE, charge_moves(run));
}

/* The answer is there: what waited for the question waits for its guesses now. */
static void charge_answered(es_run *run, es_due *due)
{
    (void)due;
    run->charge.asking = false;
    es_guess_ask(run);
    run->charge.awaited--;
    es_layer_go_on(run);
}

void es_charge_question(es_run *run)
{
    es_charge *c = &run->charge;
    es_time cost = run->points >> ES_AFTER_GATE & 1 ? charge_cost(run, ES_OP_PREDICT, es_guess_questions(run)) : 0;
    if (cost == 0)
        return;
    c->asking = true;
    c->awaited++;
    charge_work(run, ES_CHARGED_PREDICT, cost);
    if (es_unit_slowed(run->gpu_unit))
        return;
    c->asked.fire = charge_answered;
    es_calendar_add(&run->calendar, &c->asked, run->now + cost, ES_PHASE_COMPLETE);
}

void es_charge_worked(es_run *run, es_oid charge, es_time took)
{
    charge_account(run, (es_charged)(ES_NO_OBJECT - 1 - charge), took, run->now);
    run->wanted.computing--;
    if (charge == ES_CHARGE_OBJECT(ES_CHARGED_PREDICT))
        charge_answered(run, NULL);
    else
        es_layer_go_on(run);
}

/* ---- standing still ---- */

static void charge_later(es_run *run, es_time cost, void (*then)(es_run *run, es_due *due))
{
    run->turn.fire = then;
    es_calendar_add(&run->calendar, &run->turn, run->now + cost, ES_PHASE_GATE);
}

static void charge_after(es_run *run, es_charged charge, es_time cost, void (*then)(es_run *run, es_due *due))
{
    charge_account(run, charge, cost, run->now + cost);
    if (cost == 0)
        then(run, NULL);
    else
        charge_later(run, cost, then);
}

/* Goes on when all guesses that are awaited are there. */
static void charge_stand(es_run *run, void (*then)(es_run *run, es_due *due))
{
    if (run->charge.awaited == 0) {
        then(run, NULL);
        return;
    }
    run->charge.then = then;
    run->chan[run->gpu].free_at = run->now;
}

void es_charge_await(es_run *run, es_xfer *x)
{
    x->awaited = true;
    run->charge.awaited++;
}

void es_charge_came(es_run *run, es_xfer *x)
{
    es_charge *c = &run->charge;
    const bool idle = run->wanted.count == 0 && run->wanted.computing == 0;     /* compute has no work and waits for guesses only */
    x->awaited = false;
    c->awaited--;
    if (idle)
        es_layer_stall(run, run->link[x->link].channel[0], x->object);
    es_guess_next(run);
    if (!idle || c->awaited > 0)
        return;
    if (!c->then) {
        es_layer_go_on(run);
        return;
    }
    charge_later(run, 0, c->then);
    c->then = NULL;
}

/* ---- before a lookup, before a step ---- */

static void charge_lookup(es_run *run, es_due *due)
{
    (void)due;
    charge_after(run, ES_CHARGED_LOOKUP, charge_cost(run, ES_OP_LOOKUP, run->composer.event.count), es_layer_look);
}

static void charge_ask_before(es_run *run, es_due *due)
{
    (void)due;
    es_guess_ask_before(run);
    charge_stand(run, charge_lookup);
}

void es_charge_gate(es_run *run)
{
    run->charge.accessed = false;
    if (run->points >> ES_BEFORE_LOOKUP & 1 && run->composer.event.first && !run->composer.backward)
        charge_after(run, ES_CHARGED_PREDICT, charge_cost(run, ES_OP_PREDICT, es_guess_questions(run)), charge_ask_before);
    else
        charge_lookup(run, NULL);
}

static void charge_ask_at_end(es_run *run, es_due *due)
{
    (void)due;
    es_guess_ask_at_end(run);
    charge_stand(run, es_layer_first);
}

void es_charge_step(es_run *run)
{
    if (es_guess_asked_at_end(run))
        charge_after(run, ES_CHARGED_PREDICT, charge_cost(run, ES_OP_PREDICT, 1), charge_ask_at_end);
    else
        es_layer_first(run, NULL);
}
