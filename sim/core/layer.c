/* Layer: one layer of a step under the simulated clock (architecture, "One step"; the plainest machine is written out in full in
 * tests/oracle):
 *   dense   the gpu computes what is not an expert
 *   gate    1. the event is composed and looked up against the state before it     2. queued guesses of this layer that it does
 *           not want die   3. how misses are served is decided, all of it is pinned, everybody is told   4. misses are asked for
 *           in union order   5. what is there is computed   6. the predictor is asked for the coming layers
 *   land    what arrives is computed as soon as the gpu is free
 *   release the layer's last expert ends: an overshoot leaves, pins go, the next layer begins
 *
 * The gpu serves first come, first served with known times, so its queue is arithmetic: start = max(ready, free). Only events
 * that go in waves need an entry of the calendar per expert. */
#include "sim/core/layer.h"

#include <assert.h>
#include <string.h>

static es_time layer_expert_ns(es_run *run, uint32_t place)
{
    const es_event *e = &run->composer.event;
    uint32_t served = e->served ? e->served[place] : 1;
    if (e->backward)
        return es_train_expert_ns(run, es_object(e, e->list[place]), served);
    if (run->expert_ns && served == 1)
        return run->expert_ns[e->layer];
    return es_channel_expert_ns(run, run->gpu, es_object(e, e->list[place]), served);
}

static uint32_t layer_place(const es_event *e, uint16_t index)
{
    uint32_t i = 0;
    while (e->list[i] != index)
        i++;
    return i;
}

static void layer_span(es_run *run, es_fact_kind kind, uint32_t channel, es_oid object, es_time since, es_time at)
{
    if (es_bus_heard(run, kind) && at > since)
        es_bus_deliver(run, &(es_fact){.kind = kind, .at = at, .since = since, .event = &run->composer.event, .objects = &object, .count = 1,
            .from = ES_NO_TIER, .to = run->serving, .channel = channel, .step = run->composer.steps - 1});
}

static void layer_computed(es_run *run, es_due *due);

void es_layer_stall(es_run *run, uint32_t channel, es_oid object)
{
    es_chan *gpu = &run->chan[run->gpu];
    if (run->now <= gpu->free_at)
        return;
    es_time since = gpu->free_at, stall = run->now - since;
    gpu->free_at = run->now;
    run->times.stall += stall;
    if (channel != ES_NONE)
        run->chan_view[channel].wait_ns += stall;
    layer_span(run, ES_FACT_STALL, channel, object, since, run->now);
}

/* The expert at `place` of the list is there: the gpu computes it when it is free. Waiting for it was the work of `channel`. */
static void layer_compute(es_run *run, uint32_t place, uint32_t channel)
{
    es_event *e = &run->composer.event;
    es_chan *gpu = &run->chan[run->gpu];
    es_oid object = es_object(e, e->list[place]);
    es_time ready = run->now > gpu->free_at ? run->now : gpu->free_at;
    es_time cost = layer_expert_ns(run, place);
    if (ready > gpu->free_at)
        es_layer_stall(run, channel, object);
    if (run->charge.on) {
        es_charge_expert(run);
        ready = gpu->free_at;
    }
    if (es_unit_slowed(run->gpu_unit)) {
        run->wanted.computing++;
        es_unit_ask(run, run->gpu_unit, object, cost);
        return;
    }
    gpu->free_at = ready + cost;
    if (run->gpu_unit)
        es_unit_until(run, run->gpu_unit, gpu->free_at);
    run->times.expert_gpu += cost;
    layer_span(run, ES_FACT_COMPUTE, run->gpu, object, ready, gpu->free_at);
    if (run->wanted.waves || e->backward) {
        es_computed *c = &run->wanted.computed[e->list[place]];
        c->object = object;
        c->due.fire = layer_computed;
        run->wanted.computing++;
        es_calendar_add(&run->calendar, &c->due, gpu->free_at, ES_PHASE_RELEASE);
    }
}

static void layer_gate(es_run *run, es_due *due);
static void layer_release(es_run *run, es_due *due);

/* All that the layer waits for is there (or computed, in waves): it ends when gpu and cpu are done. */
static void layer_finish(es_run *run)
{
    es_time end = run->chan[run->gpu].free_at;
    if (run->wanted.cpu_end > end) {
        end = run->wanted.cpu_end;
        es_charge_host(run, end);
    }
    run->turn.fire = layer_release;
    es_calendar_add(&run->calendar, &run->turn, end, ES_PHASE_RELEASE);
}

/* Nothing that the layer waits for is missing: no copy, no expert in a queue of compute, no guess. */
static inline bool layer_complete(const es_run *run)
{
    return run->wanted.count == 0 && run->wanted.computing == 0 && run->charge.awaited == 0;
}

void es_layer_go_on(es_run *run)
{
    if (layer_complete(run))
        layer_finish(run);
}

/* The compute of one expert has ended: on the way back it is updated, in waves it may leave. */
static void layer_ended(es_run *run, es_oid object)
{
    if (run->composer.backward)
        es_train_update(run, object);
    if (run->wanted.waves) {
        run->view.guard[object >> 6] &= ~(1ull << (object & 63));
        es_channels_unblock(run);
    }
    run->wanted.computing--;
    es_layer_go_on(run);
}

static void layer_computed(es_run *run, es_due *due)
{
    layer_ended(run, ((const es_computed *)(const void *)due)->object);
}

void es_layer_computed(es_run *run, uint32_t unit, es_oid object, es_time since)
{
    if (es_charge_is(object)) {
        es_charge_worked(run, object, run->now - since);
        return;
    }
    if (run->train.stepping && unit == run->train.unit) {   /* no step that trains computes experts there */
        es_train_computed(run, object, since);
        return;
    }
    layer_span(run, ES_FACT_COMPUTE, unit, object, since, run->now);
    if (object == ES_NO_OBJECT) {
        run->times.dense += run->now - since;
        run->turn.fire = layer_gate;
        es_calendar_add(&run->calendar, &run->turn, run->now, ES_PHASE_GATE);
        return;
    }
    if (unit == run->gpu)
        run->times.expert_gpu += run->now - since;
    else
        run->wanted.cpu_end = run->now;
    layer_ended(run, object);
}

/* Computes what is ready under the event's overlap rule, after something arrived or at the gate. */
static void layer_advance(es_run *run, uint32_t channel)
{
    const es_event *e = &run->composer.event;
    es_wanted *wanted = &run->wanted;
    if (wanted->overlap == ES_BARRIER && wanted->count > 0)
        return;
    for (; wanted->next < e->count && !es_mask_has(wanted->waiting, e->list[wanted->next]); wanted->next++)
        if (!es_mask_has(run->stay, e->list[wanted->next]))     /* stay: not for the gpu */
            layer_compute(run, wanted->next, channel);
}

void es_layer_landed(es_run *run, es_xfer *x)
{
    const es_event *e = &run->composer.event;
    es_wanted *wanted = &run->wanted;
    uint32_t index = x->object - e->base;
    if (wanted->count == 0 || !run->tier[x->tier].serving || x->object < e->base || index >= run->view.stride || !es_mask_has(wanted->waiting, index))
        return;
    if (x->tier != run->serving && es_levels_passes(run, x))
        return;
    uint32_t channel = run->link[x->link].channel[0];
    wanted->waiting[index >> 6] &= ~(1ull << (index & 63));
    wanted->count--;
    if (wanted->overlap == ES_RESIDENT_FIRST)
        layer_compute(run, layer_place(e, (uint16_t)index), channel);
    else
        layer_advance(run, channel);
    es_layer_go_on(run);
}

/* Step 4 of the gate: everything missing is asked for, waited for, computed on the host or left out. */
static void layer_ask(es_run *run)
{
    es_event *e = &run->composer.event;
    es_wanted *wanted = &run->wanted;
    const uint64_t *inbound = es_levels_inbound(run, e);
    for (uint32_t i = 0, m = 0; i < e->count; i++) {
        uint16_t index = e->list[i];
        es_oid object = es_object(e, index);
        if (es_mask_has(e->hit, index))
            continue;
        if (es_mask_has(inbound, index)) {
            es_levels_urge(run, object);
            wanted->waiting[index >> 6] |= 1ull << (index & 63);
            wanted->count++;
            continue;
        }
        es_verdict verdict = ES_FETCH;
        if (e->kept) {
            assert(run->missing[m] == index);
            verdict = run->verdicts[m++];
        }
        run->tally.foreseen += es_levels_raise(run, object);
        if (verdict == ES_FETCH) {
            es_channel_ask(run, run->serving, object, ES_CLASS_DEMAND, !es_event_keeps(e, index));
            wanted->waiting[index >> 6] |= 1ull << (index & 63);
            wanted->count++;
            if (e->counted) {
                run->tally.fetched_bytes += run->bytes[object >> 6];
                if (e->phase == ES_DECODE)
                    run->tally.decode_fetched_bytes += run->bytes[object >> 6];
                uint64_t *seen = &run->seen[object >> 6], bit = 1ull << (object & 63);
                run->tally.compulsory += !(*seen & bit);
                *seen |= bit;
            }
        } else {
            run->stay[index >> 6] |= 1ull << (index & 63);
            if (verdict == ES_HOST_COMPUTE) {
                es_chan *cpu = &run->chan[run->cpu];
                es_time start = run->now > cpu->free_at ? run->now : cpu->free_at;
                es_time cost = es_channel_expert_ns(run, run->cpu, object, e->served ? e->served[i] : 1);
                cpu->view->busy_ns += cost;
                cpu->view->transfers++;
                if (es_unit_slowed(run->cpu_unit)) {
                    wanted->computing++;
                    es_unit_ask(run, run->cpu_unit, object, cost);
                    continue;
                }
                cpu->free_at = wanted->cpu_end = start + cost;
                if (run->cpu_unit)
                    es_unit_until(run, run->cpu_unit, cpu->free_at);
                layer_span(run, ES_FACT_COMPUTE, run->cpu, object, start, cpu->free_at);
            }
        }
    }
}

/* What is there at the gate is computed in union order: one after another, so when nobody watches it is a product. */
static void layer_hits(es_run *run)
{
    const es_event *e = &run->composer.event;
    if (!run->wanted.waves && !run->charge.on && run->expert_ns && !e->served && !e->backward && !run->gpu_unit && !es_bus_heard(run, ES_FACT_COMPUTE)) {
        es_time cost = e->hits * run->expert_ns[e->layer];
        run->chan[run->gpu].free_at += cost;
        run->times.expert_gpu += cost;
        return;
    }
    for (uint32_t i = 0; i < e->count; i++)
        if (es_mask_has(e->hit, e->list[i]))
            layer_compute(run, i, ES_NONE);
}

/* The next event of the layer; in a step of one token that is its row. */
static inline bool layer_next_event(es_run *run)
{
    es_composer *c = &run->composer;
    es_event *e = &c->event;
    uint32_t listed;
    if (!c->plain)
        return es_composer_event(run);
    e->served = e->repeats = NULL;
    e->tokens = 1;
    e->row = c->row;
    e->last = true;
    if (!es_row_event(c, c->row, c->layer, &listed)) {
        if (listed > 0)
            es_composer_fault(run, c->row);
        return false;
    }
    c->events++;
    c->positions += listed;
    return true;
}

static void layer_gate(es_run *run, es_due *due)
{
    if (!layer_next_event(run)) {
        if (run->code != ES_OK)
            run->stopped = true;
        else
            es_layer_begin(run, run->composer.place + 1);
        return;
    }
    if (run->charge.on)
        es_charge_gate(run);
    else
        es_layer_look(run, due);
}

void es_layer_look(es_run *run, es_due *due)
{
    (void)due;
    es_event *e = &run->composer.event;
    es_wanted *wanted = &run->wanted;
    /* 1. */
    if (run->tier[run->serving].write_back)
        es_store_recall(run, e);
    if (run->hides)
        es_place_hide(run);
    uint32_t misses = layer_lookup(run);
    run->gate = run->now;
    run->exceeded = false;
    wanted->count = wanted->next = wanted->computing = 0;
    wanted->cpu_end = 0;
    for (uint32_t w = 0; w < e->words; w++)
        wanted->waiting[w] = run->stay[w] = 0;
    /* 2. */
    if (run->pending_count)
        es_guess_gate(run);
    if (run->predictor && !e->backward) {
        es_channel_gate(run, e);
        es_grace_gate(run, e);
    }
    /* 3. */
    layer_pin(run);
    e->kept = NULL;
    if (run->decides)
        es_fetch_decide(run, misses);
    if (run->levels > 1)
        es_levels_rise(run);
    wanted->waves = run->contract->overflow == ES_WAVES && es_room_exceeds(run, e, e->kept);
    wanted->overlap = run->plan->compute.overlap;
    if (wanted->waves) {
        run->tally.overflow_events++;
        wanted->overlap = ES_RESIDENT_FIRST;
    }
    es_bus_event(run, &run->use);
    /* 4. */
    if (misses || e->late)
        layer_ask(run);
    /* 5. */
    run->chan[run->gpu].free_at = run->now;
    if (run->charge.on && e->last && !e->backward)
        es_charge_question(run);
    if (wanted->overlap == ES_RESIDENT_FIRST) {
        layer_hits(run);
    } else {
        layer_advance(run, ES_NONE);
    }
    /* 6. */
    if (run->predictor && e->last && !e->backward && !run->charge.asking)
        es_guess_ask(run);
    es_layer_go_on(run);
}

static void layer_release(es_run *run, es_due *due)
{
    (void)due;
    es_event *e = &run->composer.event;
    run->wanted.waves = false;
    if (run->pending_count)                 /* guesses that cost nothing: as without a clock */
        es_guess_try(run);
    layer_unpin(run);
    es_grace_begin(run, e);
    if (run->exceeded || run->contract->overflow == ES_PERSIST)
        es_room_trim(run, e);
    run->exceeded = false;
    es_channels_unblock(run);
    es_bus_event(run, &run->release);
    if (run->resizing)
        es_resize(run);
    if (run->pending_count && e->last && run->composer.place + 1 < run->composer.places)
        es_guess_try(run);
    if (!e->last) {
        run->turn.fire = layer_gate;
        es_calendar_add(&run->calendar, &run->turn, run->now, ES_PHASE_GATE);
    } else {
        es_layer_begin(run, run->composer.place + 1);
    }
}

void es_layer_first(es_run *run, es_due *due)
{
    (void)due;
    if (run->pending_count)
        es_guess_try(run);
    es_layer_begin(run, 0);
}

void es_layer_begin(es_run *run, uint32_t place)
{
    es_composer *c = &run->composer;
    if (place == c->places) {
        es_replay_next(run);
        return;
    }
    es_composer_place(run, place);
    if (place == 0 || place == run->view.layers || run->chan[run->gpu].timing_varies)   /* tokens and context are the same for all layers of a step */
        run->dense_ns = es_channel_dense_ns(run, c->rows, c->step.token[c->row + c->rows - 1].position);
    es_time dense = run->dense_ns;
    if (es_unit_slowed(run->gpu_unit)) {
        es_unit_ask(run, run->gpu_unit, ES_NO_OBJECT, dense);
        return;
    }
    if (run->gpu_unit)
        es_unit_until(run, run->gpu_unit, run->now + dense);
    run->times.dense += dense;
    layer_span(run, ES_FACT_COMPUTE, run->gpu, ES_NO_OBJECT, run->now, run->now + dense);
    run->turn.fire = layer_gate;
    es_calendar_add(&run->calendar, &run->turn, run->now + dense, ES_PHASE_GATE);
}
