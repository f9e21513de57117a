/* Assemble: from a plan's plain rows to a run that can begin.
 *
 *   1. catalog.c   ids, bytes        2. topology.c   tiers, channels, links, ways
 *   3. parts       state copied, init, listeners     4. what oracles and pins want to know beforehand
 * Every check names the key of the config that is wrong. */
#include "sim/core/core.h"

#include <stdlib.h>
#include <string.h>

static bool assemble_tunes(const es_plan *plan, const es_plan_part *row)
{
    return plan->tuner_count > 0 && row >= plan->tuners && row < plan->tuners + plan->tuner_count;
}

es_code es_assemble_part(es_run *run, const es_plan_part *row, const uint64_t *popularity, void **state, es_err *err)
{
    return es_assemble_seen(run, &run->view, row, popularity, state, err);
}

es_code es_assemble_seen(es_run *run, const es_view *view, const es_plan_part *row, const uint64_t *popularity, void **state, es_err *err)
{
    const es_part *part = row->part;
    if (part->abi != ES_ABI)
        return es_err_set(err, ES_EINPUT, "%s: part %s was built for interface %u, this is %u", row->path, part->name, part->abi, ES_ABI);
    es_placed *placed = ES_NEW(&run->arena, es_placed);
    *state = es_arena_alloc(&run->arena, 1, part->size);
    ES_NEED(placed && *state, part->name);
    *placed = (es_placed){.part = part, .self = *state, .path = row->path, .phase = ES_PHASE_TUNE,
        .tuner = assemble_tunes(run->plan, row) ? (const es_tuner *)(const void *)part : NULL};
    *run->place = placed;
    run->place = &placed->next;
    run->wakes += part->wake != NULL;
    if (row->state && part->size)
        memcpy(*state, row->state, part->size);
    es_site site = {.view = view, .arena = &run->arena, .path = row->path, .seed = run->plan->seed, .replication = run->plan->replication,
        .popularity = row->popularity ? row->popularity : popularity, .knobs = assemble_tunes(run->plan, row) ? &run->knobs : NULL};
    if (part->init && part->init(*state, &site, err) != ES_OK)
        return es_err_at(err, "%s", row->path);
    return ES_OK;
}

static void assemble_listen(es_run *run, const es_part *part, void *state)
{
    if (!part->notify || !part->hears)
        return;
    run->listener[run->listeners++] = (es_listener){state, part->notify, part->hears};
    run->heard |= part->hears;
}

/* Under clock none nobody is woken: there a tuner must go by steps. */
static es_code assemble_tuner(es_run *run, const es_plan_part *row, es_err *err)
{
    const es_tuner *tuner = (const es_tuner *)(const void *)row->part;
    void *state = NULL;
    if (!run->view.timed && !tuner->step)
        return es_err_set(err, ES_EINPUT, "%s: %s needs clock \"simulated\"; under clock \"none\" no time passes and it would never wake", row->path, row->part->name);
    if (!tuner->step && (!row->part->wake || (!tuner->adjust && !tuner->assign)))
        return es_err_set(err, ES_EINPUT, "%s: %s has no wake or adjusts nothing; a tuner needs both", row->path, row->part->name);
    es_code code = es_assemble_part(run, row, NULL, &state, err);
    if (code == ES_OK)
        assemble_listen(run, row->part, state);
    run->tuners++;
    return code == ES_OK && tuner->assign ? es_catalog_assigns(run, tuner, state, err) : code;
}

static es_code assemble_tuners(es_run *run, es_err *err)
{
    const es_plan *plan = run->plan;
    es_code code = es_knobs_open(run, err);
    for (size_t i = 0; i < plan->tuner_count && code == ES_OK; i++)
        code = assemble_tuner(run, &plan->tuners[i], err);
    return code;
}

static es_code assemble_observers(es_run *run, const uint64_t *popularity, es_err *err)
{
    const es_plan *plan = run->plan;
    es_placed **first = run->place;
    for (size_t i = 0; i < plan->observer_count; i++) {
        run->observer[i] = (const es_observer *)(const void *)plan->observers[i].part;
        es_code code = es_assemble_part(run, &plan->observers[i], popularity, &run->observer_state[i], err);
        if (code != ES_OK)
            return code;
        run->observers++;
        assemble_listen(run, plan->observers[i].part, run->observer_state[i]);
    }
    for (es_placed *p = *first; p; p = p->next)
        p->phase = ES_PHASE_REPORT;
    return ES_OK;
}

static es_code assemble_parts(es_run *run, const uint64_t *popularity, es_err *err)
{
    const es_plan *plan = run->plan;
    es_code code;
    run->listener = ES_NEW_ARRAY(&run->arena, plan->observer_count + plan->tuner_count + 2 * ES_MOST_TIERS + 5, es_listener);
    run->observer = ES_NEW_ARRAY(&run->arena, plan->observer_count + 1, const es_observer *);
    run->observer_state = ES_NEW_ARRAY(&run->arena, plan->observer_count + 1, void *);
    run->guesses_most = run->view.stride;
    run->guesses = ES_NEW_ARRAY(&run->arena, run->guesses_most, es_guess);
    run->places = ES_NEW_ARRAY(&run->arena, run->guesses_most, uint32_t);
    run->pending = ES_NEW_ARRAY(&run->arena, (size_t)run->levels * run->view.objects, es_oid);
    run->pending_to = ES_NEW_ARRAY(&run->arena, (size_t)run->levels * run->view.objects, uint8_t);
    ES_NEED(run->listener && run->observer && run->observer_state && run->guesses && run->places && run->pending && run->pending_to, "parts");
    for (uint32_t t = 0; t < run->tiers; t++)
        for (uint32_t b = 0; run->tier[t].ground && b < run->tier[t].ground->buckets; b++)
            assemble_listen(run, plan->tiers[t].allocator.part, run->tier[t].ground->state[b]);
    run->policy = (const es_policy *)(const void *)plan->policy.part;
    if ((code = es_assemble_part(run, &plan->policy, popularity, &run->policy_state, err)) != ES_OK)
        return code;
    assemble_listen(run, plan->policy.part, run->policy_state);
    if ((code = es_rank_open(run, err)) != ES_OK)
        return code;
    if (plan->predictor.part) {
        run->predictor = (const es_predictor *)(const void *)plan->predictor.part;
        if ((code = es_assemble_part(run, &plan->predictor, popularity, &run->predictor_state, err)) != ES_OK)
            return code;
        assemble_listen(run, plan->predictor.part, run->predictor_state);
        if (!run->predictor->predict)
            run->predictor = NULL;      /* the predictor `none` */
    }
    if (plan->dispatcher.part) {
        run->dispatcher = (const es_dispatcher *)(const void *)plan->dispatcher.part;
        if ((code = es_assemble_part(run, &plan->dispatcher, popularity, &run->dispatcher_state, err)) != ES_OK)
            return code;
        assemble_listen(run, plan->dispatcher.part, run->dispatcher_state);
    }
    if (plan->router.part) {
        run->router = (const es_router *)(const void *)plan->router.part;
        if ((code = es_assemble_part(run, &plan->router, popularity, &run->router_state, err)) != ES_OK)
            return code;
        assemble_listen(run, plan->router.part, run->router_state);
        if (run->router->route && (code = es_route_open(run, err)) != ES_OK)
            return code;
    }
    if ((code = assemble_tuners(run, err)) != ES_OK)
        return code;
    return assemble_observers(run, popularity, err);
}

static es_code assemble_clock(es_run *run, es_err *err)
{
    es_view *view = &run->view;
    run->in_hand = ES_NO_OBJECT;
    if (run->tiers > 2)
        ES_NEED(run->reading = es_new_mask(run), "tiers");
    if (!view->timed)
        return ES_OK;
    if (run->gpu == ES_NONE || !run->chan[run->gpu].timing)
        return es_err_set(err, ES_EINPUT, "tiers.%s.compute: clock \"simulated\" needs a compute unit with a timing", run->tier[run->serving].name);
    for (uint32_t t = 0; t < run->tiers; t++) {
        run->tier[t].xfer = ES_NEW_ARRAY(&run->arena, view->objects, es_xfer);
        ES_NEED(run->tier[t].xfer, "transfers");
    }
    for (uint32_t i = 0; i < run->links; i++)
        if (!run->chan[run->link[i].channel[0]].scheduler)
            return es_err_set(err, ES_EINPUT, "channels.%s.scheduler: is missing", run->chan_view[run->link[i].channel[0]].name);
    ES_NEED(run->wanted.computed = ES_NEW_ARRAY(&run->arena, view->stride, es_computed), "compute times");
    if (!es_calendar_init(&run->calendar, &run->arena, run->tiers * view->objects + 2 * view->stride + run->wakes + 8))
        return es_err_nomem(err, "the calendar");
    if (!run->chan[run->gpu].timing_varies && view->variants == 1)
        ES_NEED(run->expert_ns = ES_NEW_ARRAY(&run->arena, view->layers, es_time), "compute times");
    return ES_OK;
}

void es_assemble_conclude(es_run *run)
{
    run->admits = run->policy->admit && (!run->policy->admits || run->policy->admits(run->policy_state));
    run->points = !run->predictor ? 0 : run->predictor->asked ? run->predictor->asked(run->predictor_state) : run->predictor->points;
    if (run->predictor && !run->points)
        run->points = 1u << ES_AFTER_GATE;
    run->charge.on |= run->view.timed && run->points >> ES_BEFORE_LOOKUP & 1;
    run->hides = run->tier[run->serving].ground && run->tier[run->serving].ground->hidden;
    run->decides = run->levels > 1 || run->admits || (run->dispatcher && run->dispatcher->serve) || run->contract->overflow == ES_BYPASS;
    for (uint32_t l = 0; run->expert_ns && l < run->view.layers; l++)
        run->expert_ns[l] = es_channel_expert_ns(run, run->gpu, es_layer_base(&run->view, l), 1);
}

/* ---- 4. the future ---- */

static bool assemble_wants(const es_plan *plan, unsigned flag)
{
    bool wants = plan->policy.part->flags & flag;
    wants |= plan->predictor.part && plan->predictor.part->flags & flag;
    for (size_t i = 0; i < plan->observer_count; i++)
        wants |= (plan->observers[i].part->flags & flag) != 0;
    return wants;
}

/* What reads the trace beforehand would read what is not going to happen. */
static es_code assemble_closed_loop(const es_plan *plan, es_err *err)
{
    const es_router *router = (const es_router *)(const void *)plan->router.part;
    if (!router || !router->route)
        return ES_OK;
    const es_plan_part *readers[] = {&plan->policy, &plan->predictor};
    for (size_t i = 0; i < sizeof readers / sizeof *readers + plan->observer_count; i++) {
        const es_plan_part *row = i < 2 ? readers[i] : &plan->observers[i - 2];
        const es_part *part = row->part;
        if (part && part->flags & ES_ORACLE)
            return es_err_set(err, ES_EINPUT, "%s: %s reads the future of the trace, which router %s changes; use router \"trace\"", row->path, part->name, router->part.name);
        if (part && part->flags & ES_POPULARITY && !row->popularity)
            return es_err_set(err, ES_EINPUT, "%s: %s counts the uses of the trace it replays, which router %s changes; set %s.calibrate to another trace", row->path,
                part->name, router->part.name, row->path);
    }
    return ES_OK;
}

static es_code assemble(es_run *run, es_err *err)
{
    const es_plan *plan = run->plan;
    es_code code;
    run->view.timed = plan->timed;
    run->view.stream = plan->stream;
    run->view.per_layer = run->contract->scope == ES_PER_LAYER;
    run->view.tally = &run->tally;
    run->view.times = &run->times;
    if ((code = es_catalog_open(run, err)) != ES_OK || (code = es_topology_open(run, err)) != ES_OK)
        return code;
    if ((code = assemble_closed_loop(plan, err)) != ES_OK)
        return code;
    run->oracle = assemble_wants(plan, ES_ORACLE);
    run->view.as_coded |= assemble_wants(plan, ES_AS_CODED);
    uint64_t *popularity = NULL;
    if (assemble_wants(plan, ES_POPULARITY)) {
        popularity = ES_NEW_ARRAY(&run->arena, run->view.objects, uint64_t);
        ES_NEED(popularity, "popularity");
    }
    if (run->oracle || popularity) {
        bool peek = plan->predictor.part && plan->predictor.part->flags & ES_ORACLE;
        if ((code = es_future_fill(run, run->oracle, peek, popularity, err)) != ES_OK)
            return code;
        if (run->oracle)
            run->view.future = &run->future;
    }
    if ((code = assemble_parts(run, popularity, err)) != ES_OK)
        return code;
    ES_NEED(es_bus_open(run), "listeners");
    const es_plan_tier *serving = &plan->tiers[run->serving];
    ES_NEED(es_grace_open(run, serving->grace, serving->grace_yields, plan->compute.protect_guesses), "grace");
    if ((code = es_train_open(run, err)) != ES_OK || (code = assemble_clock(run, err)) != ES_OK || (code = es_charge_open(run, err)) != ES_OK)
        return code;
    es_assemble_conclude(run);
    if (run->code != ES_OK)
        return run->code;
    if ((code = es_store_initial(run, err)) != ES_OK)
        return code;
    es_start_beside(run);
    if ((code = es_start_fill(run, err)) != ES_OK)
        return code;
    es_make_adopt(run);
    if ((code = es_flush_open(run, err)) != ES_OK)
        return code;
    es_quick_open(run);
    return ES_OK;
}

es_code es_run_new(es_run **out, const es_plan *plan, es_err *err)
{
    *out = NULL;
    es_run *run = calloc(1, sizeof *run);
    ES_NEED(run, "the run");
    run->plan = plan;
    run->err = err;
    run->contract = &plan->contract;
    run->compute = plan->compute;
    run->place = &run->placed;
    es_code code = assemble(run, err);
    if (code != ES_OK) {
        es_run_free(run);
        return code;
    }
    *out = run;
    return ES_OK;
}
