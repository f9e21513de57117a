/* Replay: the steps of the trace one after another, under either clock. Without one the gate of a layer, its copies and its release
 * are one instant (replay_instant); with one a layer takes its course in layer.c, and the loop at the end of this file is all that
 * drives it. */
#include "sim/core/layer.h"

#include <assert.h>
#include <stdio.h>

/* ---- clock none ---- */

/* The misses that will stay are QUEUED or no longer. */
static void replay_queue(es_run *run, bool queued)
{
    const es_event *e = &run->composer.event;
    uint64_t *mask = run->tier_view[run->serving].queued + e->word;
    for (uint32_t w = 0; w < e->words; w++) {
        const uint64_t stays = (e->kept ? e->kept[w] : e->mask[w]) & ~e->hit[w];
        mask[w] = queued ? mask[w] | stays : mask[w] & ~stays;
    }
}

/* Guesses are looked up after the demands of their gate were queued and before any copy of it starts. With one serving tier who is
 * demanded now is left out when the guess is to be queued; with several the policy is asked before, and looks at who is QUEUED. */
static inline void replay_ask_guesses(es_run *run)
{
    if (run->levels > 1)
        replay_queue(run, true);
    es_guess_ask(run);
    if (run->levels > 1)
        replay_queue(run, false);
}

static void replay_instant(es_run *run)
{
    es_event *e = &run->composer.event;
    if (run->points >> ES_BEFORE_LOOKUP & 1 && e->first && !e->backward)
        es_guess_ask_before(run);
    if (run->hides)
        es_place_hide(run);
    uint32_t misses = layer_lookup(run);
    e->kept = NULL;
    run->exceeded = false;
    if (misses == 0 && !run->predictor && run->levels == 1 && !e->backward) {
        es_bus_event(run, &run->use);
    } else {
        if (run->pending_count)
            es_guess_gate(run);
        if (run->predictor && !e->backward)
            es_grace_gate(run, e);
        layer_pin(run);
        if (run->decides)
            es_fetch_decide(run, misses);
        if (run->levels > 1)
            es_levels_rise(run);
        es_bus_event(run, &run->use);
        if (run->predictor && e->last && !e->backward)
            replay_ask_guesses(run);
        if (e->backward)
            es_train_update_event(run, true);
        if (misses)
            es_fetch_instant(run, misses);
        if (e->backward)
            es_train_update_event(run, false);
        if (run->pending_count)
            es_guess_try(run);
        layer_unpin(run);
    }
    if (run->exceeded || run->contract->overflow == ES_PERSIST)
        es_room_trim(run, e);
    es_bus_event(run, &run->release);
    if (run->resizing)
        es_resize(run);
    /* what follows at once in time (the next event of the layer, the next step) comes before the copies of this instant */
    if (run->pending_count && e->last && run->composer.place + 1 < run->composer.places)
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
        .to = c->request, .channel = ES_NONE, .step = c->steps - 1, .tokens = c->step.token ? c->step.token + c->row : NULL});
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
    if (run->trains && (code = es_train_step(run)) != ES_OK) {
        run->code = code;
        return false;
    }
    if (run->composer.fresh_request && run->contract->reset)
        es_store_reset(run);
    if (run->predictor && !run->charge.on)      /* else it may take time: charge.c */
        es_guess_ask_at_end(run);
    run->step_start = run->now;
    replay_step_fact(run, ES_FACT_STEP);
    if (run->tuners)
        es_knobs_step(run);
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
            for (uint32_t place = 0; place < run->composer.places; place++) {
                es_composer_place(run, place);
                while (es_composer_event(run))
                    replay_instant(run);
            }
        }
        if (run->code != ES_OK)
            break;
        replay_step_fact(run, ES_FACT_STEP_END);
        if (run->trains)
            es_train_ended(run);
    }
    return run->code;
}

/* ---- simulated clock ---- */

static void replay_end_step(es_run *run)
{
    es_time took = run->now - run->step_start;
    *(es_step_phase(&run->composer) == ES_DECODE ? &run->times.decode_total : &run->times.prefill_total) += took;
    run->times.total += took;
    replay_step_fact(run, ES_FACT_STEP_END);
    if (run->trains)
        es_train_ended(run);
}

/* The next step begins; those in which nothing needs the calendar are done at once. */
static void replay_begin_step(es_run *run)
{
    while (replay_next_step(run)) {
        if (!run->quick.fits || !run->composer.plain) {
            if (run->charge.on)
                es_charge_step(run);
            else
                es_layer_begin(run, 0);
            return;
        }
        es_quick_step(run);
        if (run->code != ES_OK)
            break;
        replay_end_step(run);
    }
    run->stopped = true;
}

void es_replay_next(es_run *run)
{
    replay_end_step(run);
    replay_begin_step(run);
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

void es_replay_drain(es_run *run)
{
    for (es_due *due;;) {
        if ((run->dirty | run->reshare) && !es_calendar_holds(&run->calendar, run->now))
            es_channels_start(run);
        if (run->code != ES_OK || !(due = es_calendar_pop(&run->calendar)))
            break;
        run->now = due->at;
        due->fire(run, due);
    }
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
