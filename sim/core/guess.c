/* Guess: asks the predictor for the coming layers and keeps what it says until its gate.
 *
 * A guess that is RESIDENT, QUEUED or INBOUND stays as it is; one that is ABSENT is queued behind earlier guesses. It starts
 * when there is room without taking any from the event at hand, and dies at the gate of its layer if it still waits. Under the
 * simulated clock guesses wait in their channel's queue; under `clock: none`, and with compute.guess_cost free, they wait here.
 * With compute.guess_cost serial each has its turn when the one before is there, and is looked up then: a burst of guesses may
 * have driven it out. */
#include "sim/core/core.h"

/* An object that is ABSENT in the tier, or where no expert is. */
static void guess_queue(es_run *run, uint32_t t, es_oid object, bool at_gate)
{
    const es_event *e = &run->composer.event;
    size_t w = object >> 6;
    if (!es_mask_has(run->view.exists, object))
        return;                             /* there is no such expert */
    if (run->ahead.held && !es_ahead_wants(run, object))
        return;
    if (at_gate && w >= e->word && w < e->word + e->words && e->mask[w - e->word] & es_bit(object))
        return;                             /* the event at hand fetches it already */
    if (run->view.timed && !run->charge.free) {
        const es_xfer *x = &run->tier[t].xfer[object];
        if (x->queued || x->running || x->hopping)
            return;                         /* a write-back goes through that tier just now, or a copy to another level, where it will be found */
        es_channel_ask(run, t, object, ES_CLASS_GUESS, false);
        if (run->charge.serial)
            es_charge_await(run, &run->tier[t].xfer[object]);
        return;
    }
    run->tier_view[t].queued[w] |= es_bit(object);
    run->pending_to[run->pending_count] = (uint8_t)t;
    run->pending[run->pending_count++] = object;
    es_bus_objects(run, ES_FACT_QUEUE, ES_GUESS, &object, 1, run->home, t);
}

/* A guess that should arrive in the tier. Nearly all guesses of a large cache are there already. */
static inline void guess_one(es_run *run, uint32_t t, es_oid object, uint32_t layer, bool at_gate)
{
    const es_tier_view *tier = &run->tier_view[t];
    const size_t w = object >> 6;
    if (object >= run->view.objects)
        return;
    if (run->aim)
        run->aim[object] = layer;
    if (run->grace.avoids)
        es_grace_guessed(run, object);
    if (!((tier->resident[w] | tier->inbound[w] | tier->queued[w] | tier->outbound[w]) >> (object & 63) & 1))
        guess_queue(run, t, object, at_gate);       /* outbound: a demand needs its room */
}

/* Where the guesses should go: with several serving tiers the policy says it, for all of an answer at once. */
static ES_COLD void guess_place(es_run *run, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        run->places[i] = run->serving;
    if (run->policy->place && count > 0)
        run->policy->place(run->policy_state, run->guesses, count, run->places);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t t = run->places[i];
        if (t == ES_NO_TIER || (t < run->tiers && run->tier[t].serving))
            continue;
        if (run->code == ES_OK)
            run->code = es_err_set(run->err, ES_EINTERNAL, "policy %s places a guess in tier %u, which does not serve", run->policy->part.name, t);
        run->places[i] = ES_NO_TIER;
        run->stopped = true;
    }
}

static inline void guess_take(es_run *run, uint32_t count, uint32_t layer, bool at_gate)
{
    if (run->levels > 1)
        guess_place(run, count);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t t = run->levels > 1 ? run->places[i] : run->guess_tier;
        if (t != ES_NO_TIER)
            guess_one(run, t, run->guesses[i].object, layer, at_gate);
    }
}

/* Who judges guesses hears them as they were given, before the core drops what is there already. */
static void guess_tell(es_run *run, const es_predict_ask *ask, uint32_t count)
{
    es_bus_deliver(run, &(es_fact){.kind = ES_FACT_GUESS, .why = ES_GUESS, .at = run->now, .since = run->now, .event = ask->event, .count = count,
        .from = ES_NO_TIER, .to = run->serving, .channel = ES_NONE, .step = run->composer.steps, .ask = ask, .guesses = run->guesses});
}

/* Of an answer what is to be fetched: the surest of those that are sure enough; equal ones stay in the predictor's order. */
static uint32_t guess_best(const es_run *run, es_guess *list, uint32_t count)
{
    const es_plan_compute *compute = &run->compute;
    const float least = (float)compute->guess_confidence;
    uint32_t kept = 0;
    if (compute->guess_top == 0 && !(least > 0.0f))
        return count;
    for (uint32_t i = 0; i < count; i++) {
        es_guess guess = list[i];
        if (guess.confidence < least)
            continue;
        uint32_t at = kept++;
        for (; compute->guess_top > 0 && at > 0 && list[at - 1].confidence < guess.confidence; at--)
            list[at] = list[at - 1];
        list[at] = guess;
    }
    return compute->guess_top > 0 && kept > compute->guess_top ? (uint32_t)compute->guess_top : kept;
}

/* What the predictor answers; one that says it wrote more than there is room for ends the run. */
static uint32_t guess_predict(es_run *run, const es_predict_ask *ask)
{
    uint32_t n = run->predictor->predict(run->predictor_state, ask, run->guesses, run->guesses_most);
    if (n <= run->guesses_most) {
        if (es_bus_heard(run, ES_FACT_GUESS))
            guess_tell(run, ask, n);
        return guess_best(run, run->guesses, n);
    }
    run->code = es_err_set(run->err, ES_EINTERNAL, "predictor %s names %u guesses where at most %u were asked for", run->predictor->part.name, n,
        run->guesses_most);
    run->stopped = true;
    return 0;
}

/* Until their turn comes they are kept with what is known of them. */
static void guess_hold(es_run *run, uint32_t count, uint32_t layer, bool at_gate)
{
    es_charge *c = &run->charge;
    if (run->levels > 1)
        guess_place(run, count);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t t = run->levels > 1 ? run->places[i] : run->guess_tier;
        if (t != ES_NO_TIER)
            c->held[c->held_count++] = (es_held){run->guesses[i], t, layer, at_gate};
    }
}

void es_guess_next(es_run *run)
{
    es_charge *c = &run->charge;
    const uint32_t awaited = c->awaited;
    while (c->next < c->held_count && c->awaited == awaited) {
        const es_held *h = &c->held[c->next++];
        guess_one(run, h->tier, h->guess.object, h->layer, h->at_gate);
    }
    if (c->next == c->held_count)
        c->next = c->held_count = 0;
}

void es_guess_ask(es_run *run)
{
    const es_event *e = &run->composer.event;
    if (!(run->points >> ES_AFTER_GATE & 1))
        return;
    uint32_t layers = run->view.layers, ahead = (uint32_t)run->plan->compute.lookahead;
    for (uint32_t d = 1, layer = e->layer + 1; d <= ahead && d <= layers; d++, layer++) {
        const bool next = layer >= layers;
        const es_predict_ask ask = {.point = ES_AFTER_GATE, .event = e, .layer = next ? layer - layers : layer, .next_step = next};
        uint32_t n = guess_predict(run, &ask);
        if (run->charge.serial)
            guess_hold(run, n, ask.layer, true);
        else
            guess_take(run, n, ask.layer, true);
    }
    if (run->charge.serial)
        es_guess_next(run);
}

uint32_t es_guess_questions(const es_run *run)
{
    uint32_t ahead = (uint32_t)run->plan->compute.lookahead;
    return ahead < run->view.layers ? ahead : run->view.layers;
}

/* In an instant they come one after another too: a burst may drive out what stood there when it was asked for. */
static void guess_take_in_turn(es_run *run, uint32_t count, uint32_t layer)
{
    if (run->levels > 1)
        guess_place(run, count);
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t t = run->levels > 1 ? run->places[i] : run->guess_tier;
        if (t != ES_NO_TIER)
            guess_one(run, t, run->guesses[i].object, layer, false);
        if (run->pending_count)
            es_guess_try(run);
    }
}

void es_guess_ask_before(es_run *run)
{
    const es_event *e = &run->composer.event;
    uint32_t layers = run->view.layers, end = e->layer + es_guess_questions(run);
    for (uint32_t layer = e->layer; layer < end; layer++) {
        const bool next = layer >= layers;
        const es_predict_ask ask = {.point = ES_BEFORE_LOOKUP, .event = e, .layer = next ? layer - layers : layer, .next_step = next};
        uint32_t n = guess_predict(run, &ask);
        if (run->charge.serial)
            guess_hold(run, n, ask.layer, false);
        else
            guess_take_in_turn(run, n, ask.layer);
    }
    if (run->charge.serial)
        es_guess_next(run);
}

bool es_guess_asked_at_end(const es_run *run)
{
    return run->points >> ES_STEP_END & 1 && run->composer.events > 0;
}

void es_guess_ask_at_end(es_run *run)
{
    es_event *e = &run->composer.event;
    if (!es_guess_asked_at_end(run))
        return;
    e->rows = NULL;                         /* the step is over and may be gone */
    es_predict_ask ask = {.point = ES_STEP_END, .event = e, .layer = 0, .next_step = true};
    uint32_t n = guess_predict(run, &ask);
    if (run->charge.serial) {
        guess_hold(run, n, ask.layer, false);
        es_guess_next(run);
        return;
    }
    guess_take(run, n, ask.layer, false);
    if (run->pending_count)
        es_guess_try(run);
}

void es_guess_gate(es_run *run)
{
    es_event *e = &run->composer.event;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < run->pending_count; i++) {
        es_oid object = run->pending[i];
        uint32_t t = run->pending_to[i];
        size_t w = object >> 6;
        bool wanted = w >= e->word && w < e->word + e->words && e->mask[w - e->word] & es_bit(object);
        if (!wanted && (e->backward || w < e->word || w >= e->word + e->words || !es_guess_is_for(run, object, e))) {
            run->pending_to[kept] = (uint8_t)t;
            run->pending[kept++] = object;
            continue;
        }
        run->tier_view[t].queued[w] &= ~es_bit(object);
        if (wanted && !(run->levels > 1 && es_mask_has(e->hit, object - e->base)))
            run->tally.foreseen++;
        else
            run->tally.cancelled++;
        es_bus_objects(run, ES_FACT_CANCEL, ES_GUESS, &object, 1, run->home, t);
    }
    run->pending_count = kept;
}

/* The guess arrives at once. */
static void guess_land(es_run *run, uint32_t t, es_oid object, uint32_t from)
{
    const bool first = t == run->serving;
    es_store_take(run, t, object);
    es_bus_objects(run, first ? ES_FACT_START_GUESS : ES_FACT_START, ES_GUESS, &object, 1, from, t);
    es_store_land(run, t, object);
    es_bus_objects(run, ES_FACT_LAND, ES_GUESS, &object, 1, from, t);
    if (!first)
        es_bus_objects(run, ES_FACT_ARRIVE_LOW, ES_GUESS, &object, 1, from, t);
    if (!run->tier[t].serving) {
        es_ahead_begins(run, object);
        return;
    }
    run->fresh[object >> 6] |= es_bit(object);
    run->tally.guess_copies++;
    run->tally.guess_bytes += run->bytes[object >> 6];
}

/* A guess that waits has its turn: OK, it is there; NEVER, it is gone; else it waits on. */
static es_room guess_start(es_run *run, uint32_t t, es_oid object)
{
    const size_t w = object >> 6;
    if (es_mask_has(run->tier_view[t].resident, object)) {      /* it came through here on its way to another serving tier */
        run->tally.cancelled++;
        return ES_ROOM_NEVER;
    }
    /* in time it must not get in the way of copies between the tiers on its way */
    uint32_t source = es_store_source(run, t, object), from = run->view.timed ? source : es_fetch_near(run, t, object, ES_GUESS);
    const bool last = es_store_lifts_last(run, from, t), lifted = !last && es_store_lift(run, from, t, object);
    es_room room = es_room_make(run, t, object, run->tier[t].unit[w], ES_GUESS);
    if (room == ES_ROOM_OK && last)
        es_store_lift(run, from, t, object);
    if (room != ES_ROOM_OK && lifted)
        es_store_put_back(run, from, t, object);
    if (room == ES_ROOM_WAIT || room == ES_ROOM_LEAVING)
        return room;
    run->tier_view[t].queued[w] &= ~es_bit(object);
    if (room == ES_ROOM_NEVER) {
        run->tally.cancelled++;
        es_bus_objects(run, ES_FACT_CANCEL, ES_GUESS, &object, 1, from, t);
        return room;
    }
    run->tier_view[source].guessed++;
    es_link_count(run, run->tier[t].way[from], object);
    guess_land(run, t, object, from);
    return room;
}

/* In turn; but who waits for room holds up only its own tier, until the next one lands. */
void es_guess_try(es_run *run)
{
    uint32_t done = 0, blocked = 0;
    for (uint32_t i = 0; i < run->pending_count;) {
        const uint32_t t = run->pending_to[i];
        const es_room room = blocked >> t & 1 ? ES_ROOM_WAIT : guess_start(run, t, run->pending[i]);
        if (room == ES_ROOM_WAIT || room == ES_ROOM_LEAVING) {
            if (run->levels == 1)
                break;                      /* all go to the same tier */
            blocked |= 1u << t;
            i++;
            continue;
        }
        for (uint32_t k = i; k > done; k--) {       /* those that wait move up */
            run->pending[k] = run->pending[k - 1];
            run->pending_to[k] = run->pending_to[k - 1];
        }
        done++;
        blocked = room == ES_ROOM_OK ? 0 : blocked;
        i = room == ES_ROOM_OK ? done : i + 1;
    }
    for (uint32_t i = done; i < run->pending_count; i++) {
        run->pending[i - done] = run->pending[i];
        run->pending_to[i - done] = run->pending_to[i];
    }
    run->pending_count -= done;
}
