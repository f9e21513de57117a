/* Replay: steps, gates and releases, under either clock.
 *
 * One layer of a step, in time (architecture, "One step"; the plainest machine is written out in full in tests/oracle):
 *   dense   the gpu computes what is not an expert
 *   gate    1. the event is composed and looked up against the state before it     2. queued guesses of this layer that it does
 *           not want die   3. how misses are served is decided, all of it is pinned, everybody is told   4. misses are asked for
 *           in union order   5. what is there is computed   6. the predictor is asked for the coming layers
 *   land    what arrives is computed as soon as the gpu is free
 *   release the layer's last expert ends: an overshoot leaves, pins go, the next layer begins
 *
 * The gpu serves first come, first served with known times, so its queue is arithmetic: start = max(ready, free). Only events
 * that go in waves need an entry of the calendar per expert. Under `clock: none` gate, copies and release are one instant. */
#include "sim/core/row.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static void replay_layer(es_run *run, uint32_t layer);

/* Goes the call of a serialized_pinned event in waves? What was computed of it may leave then. */
static bool replay_call_waves(const es_run *run)
{
    return run->contract->overflow == ES_WAVES && es_room_exceeds(run, &run->composer.event, run->composer.call);
}

/* What is protected while the event lasts: all of it, or under serialized_pinned all of its call. */
static inline const uint64_t *replay_pins(const es_run *run)
{
    bool call = run->contract->judge == ES_SERIALIZED_PINNED && !replay_call_waves(run);
    return call ? run->composer.call : run->composer.event.mask;
}

static inline void replay_pin(es_run *run)
{
    const es_event *e = &run->composer.event;
    const uint64_t *pins = replay_pins(run);
    run->tally.overflow_events += run->contract->judge == ES_SERIALIZED_PINNED && run->composer.cut == 1 && replay_call_waves(run);
    for (uint32_t w = 0; w < e->words; w++)
        run->view.guard[e->word + w] |= pins[w];
}

static inline void replay_unpin(es_run *run)
{
    const es_event *e = &run->composer.event;
    const uint64_t *pins = replay_pins(run);
    for (uint32_t w = 0; w < e->words; w++)
        run->view.guard[e->word + w] &= ~pins[w];
}

/* Looks the event up; returns its misses, late ones not counted. */
static inline uint32_t replay_lookup(es_run *run)
{
    es_event *e = &run->composer.event;
    es_tier_view *tier = &run->tier_view[run->serving];
    uint32_t hits = 0, late = 0, foreseen = 0;
    if (run->levels > 1)
        return es_levels_lookup(run);
    e->late = e->foreseen = 0;
    if (!run->predictor) {
        for (uint32_t w = 0; w < e->words; w++) {
            uint64_t hit = run->hit[w] = e->mask[w] & tier->resident[e->word + w];
            hits += (uint32_t)__builtin_popcountll(hit);
        }
        e->hits = hits;
        return e->count - hits;
    }
    for (uint32_t w = 0; w < e->words; w++) {
        uint64_t hit = e->mask[w] & tier->resident[e->word + w];
        run->hit[w] = hit;
        hits += (uint32_t)__builtin_popcountll(hit);
        late += (uint32_t)__builtin_popcountll(e->mask[w] & tier->inbound[e->word + w]);
        foreseen += (uint32_t)__builtin_popcountll(e->mask[w] & tier->queued[e->word + w]);
        es_store_used_guess(run, e->word + w, e->mask[w], hit);
    }
    e->hits = hits;
    e->late = late;
    e->foreseen = foreseen;
    run->tally.late += late;
    return e->count - hits - late;
}

/* ---- clock none ---- */

static void replay_instant(es_run *run)
{
    es_event *e = &run->composer.event;
    if (run->points >> ES_BEFORE_LOOKUP & 1 && e->first)
        es_guess_ask_before(run);
    uint32_t misses = replay_lookup(run);
    e->kept = NULL;
    run->exceeded = false;
    if (misses == 0 && !run->predictor && run->levels == 1) {
        es_bus_event(run, &run->use);
    } else {
        if (run->pending_count)
            es_guess_gate(run);
        if (run->predictor)
            es_grace_gate(run, e);
        replay_pin(run);
        if (run->decides)
            es_fetch_decide(run, misses);
        if (run->levels > 1)
            es_levels_rise(run);
        es_bus_event(run, &run->use);
        if (run->predictor && e->last)
            es_guess_ask(run);
        if (misses)
            es_fetch_instant(run, misses);
        if (run->pending_count)
            es_guess_try(run);
        replay_unpin(run);
    }
    if (run->exceeded || run->contract->overflow == ES_PERSIST)
        es_room_trim(run, e);
    es_bus_event(run, &run->release);
    /* what follows at once in time (the next event of the layer, the next step) comes before the copies of this instant */
    if (run->pending_count && e->last && e->layer + 1 < run->view.layers)
        es_guess_try(run);
}

static void replay_progress(es_run *run, uint64_t every)
{
    if (run->progress && run->composer.steps % every == 0)
        run->progress->tell(run->progress->self, run->composer.steps, run->composer.info->steps, run->now);
}

static void replay_step_fact(es_run *run, es_fact_kind kind)
{
    if (!es_bus_heard(run, kind))
        return;
    const es_composer *c = &run->composer;
    es_bus_deliver(run, &(es_fact){.kind = kind, .at = run->now, .since = run->step_start, .count = c->rows, .from = es_step_phase(c),
        .to = c->request, .channel = ES_NONE, .step = c->steps - 1});
}

/* The next step, or the end of the run. */
static bool replay_next_step(es_run *run)
{
    bool more = false;
    es_code code = es_composer_step(run, &more, run->err);
    if (code != ES_OK) {
        run->code = code;
        return false;
    }
    if (!more)
        return false;
    if (run->composer.fresh_request && run->contract->reset)
        es_store_reset(run);
    if (run->predictor && !run->charge.on)      /* else it may take time: charge.c */
        es_guess_ask_at_end(run);
    run->step_start = run->now;
    replay_step_fact(run, ES_FACT_STEP);
    replay_progress(run, run->view.timed ? 64 : 1024);
    return true;
}

static es_code replay_none(es_run *run)
{
    while (replay_next_step(run)) {
        if (run->pending_count)
            es_guess_try(run);
        if (run->quick.fits && run->composer.plain) {
            es_quick_step(run);
        } else {
            for (uint32_t layer = 0; layer < run->view.layers; layer++) {
                es_composer_layer(run, layer);
                while (es_composer_event(run))
                    replay_instant(run);
            }
        }
        if (run->code != ES_OK)
            break;
        replay_step_fact(run, ES_FACT_STEP_END);
    }
    return run->code;
}

/* ---- simulated clock ---- */

static es_time replay_expert_ns(es_run *run, uint32_t place)
{
    const es_event *e = &run->composer.event;
    uint32_t served = e->served ? e->served[place] : 1;
    if (run->expert_ns && served == 1)
        return run->expert_ns[e->layer];
    return es_channel_expert_ns(run, run->gpu, es_object(e, e->list[place]), served);
}

static uint32_t replay_place(const es_event *e, uint16_t index)
{
    uint32_t i = 0;
    while (e->list[i] != index)
        i++;
    return i;
}

static void replay_span(es_run *run, es_fact_kind kind, uint32_t channel, es_oid object, es_time since, es_time at)
{
    if (es_bus_heard(run, kind) && at > since)
        es_bus_deliver(run, &(es_fact){.kind = kind, .at = at, .since = since, .event = &run->composer.event, .objects = &object, .count = 1,
            .from = ES_NO_TIER, .to = run->serving, .channel = channel, .step = run->composer.steps - 1});
}

static void replay_computed(es_run *run, es_due *due);

void es_replay_stall(es_run *run, uint32_t channel, es_oid object)
{
    es_chan *gpu = &run->chan[run->gpu];
    if (run->now <= gpu->free_at)
        return;
    es_time since = gpu->free_at, stall = run->now - since;
    gpu->free_at = run->now;
    run->times.stall += stall;
    if (channel != ES_NONE)
        run->chan_view[channel].wait_ns += stall;
    replay_span(run, ES_FACT_STALL, channel, object, since, run->now);
}

/* The expert at `place` of the list is there: the gpu computes it when it is free. Waiting for it was the work of `channel`. */
static void replay_compute(es_run *run, uint32_t place, uint32_t channel)
{
    es_event *e = &run->composer.event;
    es_chan *gpu = &run->chan[run->gpu];
    es_oid object = es_object(e, e->list[place]);
    es_time ready = run->now > gpu->free_at ? run->now : gpu->free_at;
    es_time cost = replay_expert_ns(run, place);
    if (ready > gpu->free_at)
        es_replay_stall(run, channel, object);
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
    replay_span(run, ES_FACT_COMPUTE, run->gpu, object, ready, gpu->free_at);
    if (run->wanted.waves) {
        es_computed *c = &run->wanted.computed[e->list[place]];
        c->object = object;
        c->due.fire = replay_computed;
        run->wanted.computing++;
        es_calendar_add(&run->calendar, &c->due, gpu->free_at, ES_PHASE_RELEASE);
    }
}

static void replay_gate(es_run *run, es_due *due);
static void replay_release(es_run *run, es_due *due);

/* All that the layer waits for is there (or computed, in waves): it ends when gpu and cpu are done. */
static void replay_finish(es_run *run)
{
    es_time end = run->chan[run->gpu].free_at;
    if (run->wanted.cpu_end > end) {
        run->times.expert_cpu += run->wanted.cpu_end - end;
        end = run->wanted.cpu_end;
    }
    run->turn.fire = replay_release;
    es_calendar_add(&run->calendar, &run->turn, end, ES_PHASE_RELEASE);
}

/* Nothing that the layer waits for is missing: no copy, no expert in a queue of compute, no guess. */
static inline bool replay_complete(const es_run *run)
{
    return run->wanted.count == 0 && run->wanted.computing == 0 && run->charge.awaited == 0;
}

void es_replay_go_on(es_run *run)
{
    if (replay_complete(run))
        replay_finish(run);
}

/* The compute of one expert has ended; in waves it may leave. */
static void replay_ended(es_run *run, es_oid object)
{
    if (run->wanted.waves) {
        run->view.guard[object >> 6] &= ~(1ull << (object & 63));
        es_channels_unblock(run);
    }
    run->wanted.computing--;
    es_replay_go_on(run);
}

static void replay_computed(es_run *run, es_due *due)
{
    replay_ended(run, ((const es_computed *)(const void *)due)->object);
}

void es_replay_computed(es_run *run, uint32_t unit, es_oid object, es_time since)
{
    if (es_charge_is(object)) {
        es_charge_worked(run, object, run->now - since);
        return;
    }
    replay_span(run, ES_FACT_COMPUTE, unit, object, since, run->now);
    if (object == ES_NO_OBJECT) {
        run->times.dense += run->now - since;
        run->turn.fire = replay_gate;
        es_calendar_add(&run->calendar, &run->turn, run->now, ES_PHASE_GATE);
        return;
    }
    if (unit == run->gpu)
        run->times.expert_gpu += run->now - since;
    else
        run->wanted.cpu_end = run->now;
    replay_ended(run, object);
}

/* Computes what is ready under the event's overlap rule, after something arrived or at the gate. */
static void replay_advance(es_run *run, uint32_t channel)
{
    const es_event *e = &run->composer.event;
    es_wanted *wanted = &run->wanted;
    if (wanted->overlap == ES_BARRIER && wanted->count > 0)
        return;
    for (; wanted->next < e->count && !es_mask_has(wanted->waiting, e->list[wanted->next]); wanted->next++)
        if (!es_mask_has(run->stay, e->list[wanted->next]))     /* stay: not for the gpu */
            replay_compute(run, wanted->next, channel);
}

void es_replay_landed(es_run *run, es_xfer *x)
{
    const es_event *e = &run->composer.event;
    es_wanted *wanted = &run->wanted;
    uint32_t index = x->object - e->base;
    if (wanted->count == 0 || !run->tier[x->tier].serving || x->object < e->base || index >= run->view.stride || !es_mask_has(wanted->waiting, index))
        return;
    if (x->via && es_levels_passes(run, x))
        return;
    uint32_t channel = run->link[x->link].channel[0];
    wanted->waiting[index >> 6] &= ~(1ull << (index & 63));
    wanted->count--;
    if (wanted->overlap == ES_RESIDENT_FIRST)
        replay_compute(run, replay_place(e, (uint16_t)index), channel);
    else
        replay_advance(run, channel);
    es_replay_go_on(run);
}

/* Step 4 of the gate: everything missing is asked for, waited for, computed on the host or left out. */
static void replay_ask(es_run *run)
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
                replay_span(run, ES_FACT_COMPUTE, run->cpu, object, start, cpu->free_at);
            }
        }
    }
}

/* What is there at the gate is computed in union order: one after another, so when nobody watches it is a product. */
static void replay_hits(es_run *run)
{
    const es_event *e = &run->composer.event;
    if (!run->wanted.waves && !run->charge.on && run->expert_ns && !e->served && !run->gpu_unit && !es_bus_heard(run, ES_FACT_COMPUTE)) {
        es_time cost = e->hits * run->expert_ns[e->layer];
        run->chan[run->gpu].free_at += cost;
        run->times.expert_gpu += cost;
        return;
    }
    for (uint32_t i = 0; i < e->count; i++)
        if (es_mask_has(e->hit, e->list[i]))
            replay_compute(run, i, ES_NONE);
}

/* The next event of the layer; in a step of one token that is its row. */
static inline bool replay_next_event(es_run *run)
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

static void replay_gate(es_run *run, es_due *due)
{
    if (!replay_next_event(run)) {
        if (run->code != ES_OK)
            run->stopped = true;
        else
            replay_layer(run, run->composer.layer + 1);
        return;
    }
    if (run->charge.on)
        es_charge_gate(run);
    else
        es_replay_look(run, due);
}

void es_replay_look(es_run *run, es_due *due)
{
    (void)due;
    es_event *e = &run->composer.event;
    es_wanted *wanted = &run->wanted;
    /* 1. */
    if (run->tier[run->serving].write_back)
        es_store_recall(run, e);
    uint32_t misses = replay_lookup(run);
    run->gate = run->now;
    run->exceeded = false;
    wanted->count = wanted->next = wanted->computing = 0;
    wanted->cpu_end = 0;
    for (uint32_t w = 0; w < e->words; w++)
        wanted->waiting[w] = run->stay[w] = 0;
    /* 2. */
    if (run->predictor) {
        if (run->pending_count)
            es_guess_gate(run);
        es_channel_gate(run, e);
        es_grace_gate(run, e);
    }
    /* 3. */
    replay_pin(run);
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
        replay_ask(run);
    /* 5. */
    run->chan[run->gpu].free_at = run->now;
    if (run->charge.on && e->last)
        es_charge_question(run);
    if (wanted->overlap == ES_RESIDENT_FIRST) {
        replay_hits(run);
    } else {
        replay_advance(run, ES_NONE);
    }
    /* 6. */
    if (run->predictor && e->last && !run->charge.asking)
        es_guess_ask(run);
    es_replay_go_on(run);
}

static void replay_release(es_run *run, es_due *due)
{
    (void)due;
    es_event *e = &run->composer.event;
    run->wanted.waves = false;
    if (run->pending_count)                 /* guesses that cost nothing: as without a clock */
        es_guess_try(run);
    replay_unpin(run);
    es_grace_begin(run, e);
    if (run->exceeded || run->contract->overflow == ES_PERSIST)
        es_room_trim(run, e);
    run->exceeded = false;
    es_channels_unblock(run);
    es_bus_event(run, &run->release);
    if (run->pending_count && e->last && e->layer + 1 < run->view.layers)
        es_guess_try(run);
    if (!e->last) {
        run->turn.fire = replay_gate;
        es_calendar_add(&run->calendar, &run->turn, run->now, ES_PHASE_GATE);
    } else {
        replay_layer(run, e->layer + 1);
    }
}

void es_replay_first(es_run *run, es_due *due)
{
    (void)due;
    if (run->pending_count)
        es_guess_try(run);
    replay_layer(run, 0);
}

static void replay_end_step(es_run *run)
{
    es_time took = run->now - run->step_start;
    *(es_step_phase(&run->composer) == ES_DECODE ? &run->times.decode_total : &run->times.prefill_total) += took;
    run->times.total += took;
    replay_step_fact(run, ES_FACT_STEP_END);
}

/* The next step begins; those in which nothing needs the calendar are done at once. */
static void replay_begin_step(es_run *run)
{
    while (replay_next_step(run)) {
        if (!run->quick.fits || !run->composer.plain) {
            if (run->charge.on)
                es_charge_step(run);
            else
                replay_layer(run, 0);
            return;
        }
        es_quick_step(run);
        if (run->code != ES_OK)
            break;
        replay_end_step(run);
    }
    run->stopped = true;
}

static void replay_layer(es_run *run, uint32_t layer)
{
    es_composer *c = &run->composer;
    if (layer == run->view.layers) {
        replay_end_step(run);
        replay_begin_step(run);
        return;
    }
    es_composer_layer(run, layer);
    if (layer == 0 || run->chan[run->gpu].timing_varies)   /* tokens and context are the same for all layers of a step */
        run->dense_ns = es_channel_dense_ns(run, c->rows, c->step.token[c->row + c->rows - 1].position);
    es_time dense = run->dense_ns;
    if (es_unit_slowed(run->gpu_unit)) {
        es_unit_ask(run, run->gpu_unit, ES_NO_OBJECT, dense);
        return;
    }
    if (run->gpu_unit)
        es_unit_until(run, run->gpu_unit, run->now + dense);
    run->times.dense += dense;
    replay_span(run, ES_FACT_COMPUTE, run->gpu, ES_NO_OBJECT, run->now, run->now + dense);
    run->turn.fire = replay_gate;
    es_calendar_add(&run->calendar, &run->turn, run->now + dense, ES_PHASE_GATE);
}

/* Nothing is left to happen and the trace is not over: who waits for what. */
ES_COLD void es_replay_stuck(es_run *run)
{
    const es_tier *tier = &run->tier[run->serving];
    char cause[256];
    uint32_t may = 0;
    for (uint32_t w = 0; w < run->view.words; w++)
        may += (uint32_t)__builtin_popcountll(tier->view->resident[w] & ~run->view.guard[w]);
    snprintf(cause, sizeof cause, "no copy is in flight or can find room in tier %s, where policy %s names no victims and %u experts may leave",
        tier->name, run->policy->part.name, may);
    for (uint32_t c = 0; c < run->chans; c++)
        for (uint32_t k = 0; k < ES_CLASSES; k++)
            if (run->chan[c].queue[k].count > 0 && !run->chan[c].blocked[k] && run->chan[c].busy < run->chan[c].lanes)
                snprintf(cause, sizeof cause, "scheduler %s of channel %s starts none of the %u copies that could start", run->chan[c].scheduler->part.name,
                    run->chan_view[c].name, run->chan[c].queue[k].count);
    run->code = es_err_set(run->err, ES_ESTUCK, "nothing can go on at %.6f s: layer %u of step %llu waits for %u experts, and %s", (double)run->now * 1e-9,
        run->composer.info->layer_number[run->composer.layer], (unsigned long long)run->composer.steps - 1, run->wanted.count, cause);
}

static es_code replay_timed(es_run *run)
{
    es_wakes_begin(run);
    replay_begin_step(run);
    for (es_due *due;;) {
        if ((run->dirty | run->reshare) && !es_calendar_holds(&run->calendar, run->now))
            es_channels_start(run);             /* the instant is over: copies start */
        if (run->stopped || !(due = es_calendar_pop(&run->calendar)))
            break;
        assert(due->at >= run->now);
        run->now = due->at;
        due->fire(run, due);
    }
    es_channels_finish(run);
    if (run->code == ES_OK && !run->stopped)
        es_replay_stuck(run);
    return run->code;
}

es_code es_replay(es_run *run, es_err *err)
{
    run->err = err;
    return run->view.timed ? replay_timed(run) : replay_none(run);
}
