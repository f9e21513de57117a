/* Train: the backward pass and the update of a training step (training.steps).
 *
 * Such a step goes forward through the layers and back through them. On the way back an event is one like on the way forward, with
 * the cost of a backward pass, but what it finds and fetches is not counted as lookups: nobody chose anything again. An expert that
 * has left in between is loaded again and its forward pass is computed again, for what the backward pass needs of it is gone; both
 * are counted. Each expert of a step is updated once, when its backward pass is computed:
 *
 *   device   the copy there becomes dirty; one that was only read in place is written down at once
 *   host     its gradient, as large as its weights, goes down to the tier that the device is served from and makes the copy there
 *            dirty; where there is none any more the whole expert goes. There the tier's compute unit, if it has one, makes the optimizer
 *            step, one after another; then the new weights come up. The layer waits for all three */
#include "sim/core/core.h"

#include <assert.h>
#include <string.h>

static const es_plan_training *train_plan(const es_run *run)
{
    return &run->plan->training;
}

/* The tier that the serving one is filled from: the last before it on the way from home. */
static uint32_t train_host(const es_run *run)
{
    const es_tier *serving = &run->tier[run->serving];
    uint32_t t = run->home;
    while (serving->hops[t] > 1)
        t = run->link[serving->way[t]].to;
    return t;
}

bool es_train_any(const es_run *run)
{
    const es_plan_training *plan = train_plan(run);
    return plan->steps == ES_TRAIN_ALL || (plan->steps == ES_TRAIN_AS_TRACED && run->composer.info->has_training);
}

/* Gradients go down, and the unit of the tier they come to makes the step; one that is the gpu itself would compute the way back meanwhile. */
static es_code train_open_host(es_run *run, es_err *err)
{
    const es_tier *serving = &run->tier[run->serving], *host = &run->tier[run->train.host];
    if (serving->home || host->hops[run->serving] != 1)
        return es_err_set(err, ES_EINPUT, "training.update: host needs a link from %s to %s for the gradients", serving->name, host->name);
    if (!run->view.timed || host->compute == ES_NONE)
        return ES_OK;
    if (host->compute == run->gpu || host->compute != run->cpu)
        return es_err_set(err, ES_EINPUT, "training.update: host updates in tier %s, whose compute unit %s %s; give it one of its own", host->name,
            run->chan_view[host->compute].name, host->compute == run->gpu ? "is that of the device" : "is not the host's");
    if (!run->chan[host->compute].timing)
        return es_err_set(err, ES_EINPUT, "channels.%s.timing: is missing; it says what an optimizer step costs", run->chan_view[host->compute].name);
    run->train.unit = host->compute;
    ES_NEED(run->train.stepping = ES_NEW_ARRAY(&run->arena, run->view.stride, es_computed), "training");
    return ES_OK;
}

es_code es_train_open(es_run *run, es_err *err)
{
    if (!run->trains)
        return ES_OK;
    const es_tier *serving = &run->tier[run->serving];
    if ((run->dispatcher && run->dispatcher->serve) || run->composer.routes)
        return es_err_set(err, ES_EINPUT, "training.steps: a step that trains uses each expert on the device, as the trace says; leave %s out",
            run->composer.routes ? "the router" : "the dispatcher");
    if (run->levels > 1)
        return es_err_set(err, ES_EINPUT, "training.steps: one tier serves a step that trains, here are several (%s, %s)", serving->name, run->tier[run->level[1]].name);
    run->train.host = train_host(run);
    run->train.unit = ES_NONE;
    if (train_plan(run)->update == ES_UPDATE_HOST) {
        es_code code = train_open_host(run, err);
        if (code != ES_OK)
            return code;
    }
    run->train.updated = es_new_mask(run);
    run->train.used = es_new_mask(run);
    ES_NEED(run->train.updated && run->train.used, "training");
    return ES_OK;
}

/* ---- a step ---- */

/* More experts than there is room for? In units of the bucket. */
static es_code train_refuse(es_run *run)
{
    const es_composer *c = &run->composer;
    const es_tier *tier = &run->tier[run->serving];
    uint64_t *used = run->train.used;
    memset(used, 0, run->view.words * sizeof *used);
    for (uint32_t r = c->row; r < c->row + c->rows; r++)
        for (uint32_t l = 0; l < run->view.layers; l++) {
            const uint16_t *ids = c->step.ids + ((size_t)r * c->info->layers + l) * c->info->top_k;
            for (uint32_t i = 0; i < c->info->top_k && ids[i] != ES_NO_EXPERT; i++)
                for (uint32_t s = 0; s < c->slices; s++) {
                    const es_oid object = es_layer_base(&run->view, l) + s * run->view.slice + ids[i];
                    used[object >> 6] |= es_bit(object);
                }
        }
    for (uint32_t b = 0; b < (run->view.per_layer ? run->view.layers : 1); b++) {
        int64_t units = 0;
        for (uint32_t w = 0; w < run->view.words; w++)
            if (!run->view.per_layer || run->view.layer_of[w] == b)
                units += __builtin_popcountll(used[w]) * tier->unit[w];
        if (units > tier->room[b])
            return es_err_set(run->err, ES_EINPUT, "training.exceed: step %llu uses experts of %lld %s, tier %s has room for %lld; give it more, or set exceed to "
                "\"recompute\"", (unsigned long long)c->steps - 1, (long long)units, tier->counts, tier->name, (long long)tier->room[b]);
    }
    return ES_OK;
}

es_code es_train_step(es_run *run)
{
    memset(run->train.updated, 0, run->view.words * sizeof *run->train.updated);
    if (!run->composer.train)
        return ES_OK;
    run->train.steps++;
    return train_plan(run)->exceed == ES_EXCEED_REFUSE && !run->tier[run->serving].home ? train_refuse(run) : ES_OK;
}

void es_train_ended(es_run *run)
{
    for (uint32_t t = 0; t < run->tiers; t++)
        if (run->tier[t].write_every > 0 && run->composer.steps % (uint64_t)run->tier[t].write_every == 0)
            es_dirty_write_all(run, t, true);
}

/* ---- an expert on the way back ---- */

static es_time train_op_ns(es_run *run, uint32_t unit, es_op op)
{
    es_chan *chan = &run->chan[unit];
    op.count = 1;
    op.step = run->composer.steps;
    op.occurrence = run->composer.events;
    return es_channel_op_ns(run, chan->timing, chan->timing_state, "channel", chan->view->name, &op);
}

es_time es_train_expert_ns(es_run *run, es_oid object, uint32_t tokens)
{
    const es_event *e = &run->composer.event;
    const int64_t bytes = run->bytes[object >> 6];
    es_op op = {.kind = ES_OP_EXPERT, .bytes = bytes, .tokens = tokens, .object = object, .backward = true};
    es_time cost = train_op_ns(run, run->gpu, op);
    op.backward = false;
    if (!es_mask_has(e->hit, object - e->base))
        cost += train_op_ns(run, run->gpu, op);
    if (train_plan(run)->update == ES_UPDATE_DEVICE && !es_mask_has(run->train.updated, object))
        cost += train_op_ns(run, run->gpu, (es_op){.kind = ES_OP_UPDATE, .bytes = bytes, .object = object});
    return cost;
}

static void train_on_device(es_run *run, es_oid object)
{
    if (es_mask_has(run->tier_view[run->serving].resident, object))
        es_dirty_make(run, run->serving, object);
    else
        es_dirty_pass(run, run->serving, object);
}

static void train_on_host(es_run *run, es_oid object)
{
    const uint32_t host = run->train.host;
    run->train.gradients++;
    if (run->view.timed) {
        es_xfer *x = &run->tier[host].xfer[object];
        const bool busy = x->queued || x->running || x->hopping;
        es_channel_write_back(run, run->serving, host, object, true);
        if (busy)
            return;                         /* what is on its way there takes it along */
        x->gradient = true;
        es_charge_await(run, x);
        return;
    }
    es_link_count(run, run->tier[host].way[run->serving], object);
    es_dirty_put(run, run->serving, host, object);
    es_link_count(run, run->tier[run->serving].way[host], object);
    run->train.resyncs++;
}

/* ---- the optimizer on the host ---- */

/* The new weights go up, unless the device has given the expert up meanwhile. */
static void train_resync(es_run *run, es_oid object)
{
    es_xfer *x = &run->tier[run->serving].xfer[object];
    if (x->queued || x->running || x->hopping || !es_mask_has(run->tier_view[run->serving].resident, object))
        return;
    run->train.resyncs++;
    es_channel_write_back(run, run->train.host, run->serving, object, false);
    es_charge_await(run, x);
}

/* The layer stood still for this update; where the gpu has no work either, that is time of the host. */
static void train_stepped(es_run *run, es_oid object)
{
    if (run->now > run->chan[run->gpu].free_at)
        es_charge_host(run, run->now);
    train_resync(run, object);
    run->charge.awaited--;
    es_layer_go_on(run);
}

static void train_step_ends(es_run *run, es_due *due)
{
    train_stepped(run, ((const es_computed *)(const void *)due)->object);
}

static void train_span(es_run *run, es_oid object, es_time since, es_time at)
{
    if (es_bus_heard(run, ES_FACT_COMPUTE))
        es_bus_deliver(run, &(es_fact){.kind = ES_FACT_COMPUTE, .at = at, .since = since, .event = &run->composer.event, .objects = &object, .count = 1,
            .from = ES_NO_TIER, .to = run->train.host, .channel = run->train.unit, .step = run->composer.steps - 1});
}

void es_train_computed(es_run *run, es_oid object, es_time since)
{
    train_span(run, object, since, run->now);
    train_stepped(run, object);
}

void es_train_gradient(es_run *run, es_oid object)
{
    const es_event *e = &run->composer.event;
    es_chan *cpu = run->train.unit == ES_NONE ? NULL : &run->chan[run->train.unit];
    const es_time cost = cpu ? train_op_ns(run, run->train.unit, (es_op){.kind = ES_OP_UPDATE, .bytes = run->bytes[object >> 6], .object = object}) : 0;
    if (cost == 0) {
        train_resync(run, object);
        return;
    }
    cpu->view->busy_ns += cost;
    cpu->view->transfers++;
    run->charge.awaited++;
    if (es_unit_slowed(run->cpu_unit)) {
        es_unit_ask(run, run->cpu_unit, object, cost);
        return;
    }
    const es_time start = run->now > cpu->free_at ? run->now : cpu->free_at;
    es_computed *c = &run->train.stepping[object - e->base];
    assert(object - e->base < run->view.stride);     /* the layer waits, so all that are pending are of the event at hand */
    cpu->free_at = start + cost;
    if (run->cpu_unit)
        es_unit_until(run, run->cpu_unit, cpu->free_at);
    train_span(run, object, start, cpu->free_at);
    c->object = object;
    c->due.fire = train_step_ends;
    es_calendar_add(&run->calendar, &c->due, cpu->free_at, ES_PHASE_RELEASE);
}

void es_train_update(es_run *run, es_oid object)
{
    const es_event *e = &run->composer.event;
    if (es_mask_has(run->train.updated, object))
        return;
    run->train.updated[object >> 6] |= es_bit(object);
    run->train.updates++;
    run->train.again += !es_mask_has(e->hit, object - e->base);
    if (train_plan(run)->update == ES_UPDATE_DEVICE)
        train_on_device(run, object);
    else
        train_on_host(run, object);
}

void es_train_update_event(es_run *run, bool hits)
{
    const es_event *e = &run->composer.event;
    for (uint32_t i = 0; i < e->count; i++)
        if (!hits || es_mask_has(e->hit, e->list[i]))
            es_train_update(run, es_object(e, e->list[i]));
}

/* ---- the report ---- */

void es_train_report(const es_run *run, es_json *out)
{
    es_json *train = run->trains ? es_json_add_object(out, "training") : NULL;
    if (!train)
        return;
    es_json_add_int(train, "steps", (int64_t)run->train.steps);
    es_json_add_int(train, "updates", (int64_t)run->train.updates);
    es_json_add_int(train, "recomputed", (int64_t)run->train.again);
    es_json_add_int(train, "gradients_down", (int64_t)run->train.gradients);
    es_json_add_int(train, "weights_up", (int64_t)run->train.resyncs);
}
