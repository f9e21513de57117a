/* Core, inside: what its files ask of each other, by the file that answers (state.h lists them). */
#ifndef ES_CORE_CORE_H
#define ES_CORE_CORE_H

#include "sim/core/state.h"

/* ---- assemble ---- */
/* In a function with `es_err *err`: what could not be had for want of memory is the error. */
#define ES_NEED(pointer, what)                                                                                                             \
    do {                                                                                                                                   \
        if (!(pointer))                                                                                                                    \
            return es_err_nomem(err, what);                                                                                                \
    } while (0)
/* Of its mask word. */
static inline uint64_t es_bit(es_oid object)
{
    return 1ull << (object & 63);
}
static inline uint64_t *es_new_mask(es_run *run)
{
    return ES_NEW_ARRAY(&run->arena, run->view.words, uint64_t);
}
es_code es_catalog_open(es_run *run, es_err *err);
es_code es_topology_open(es_run *run, es_err *err);
/* Copies the part's state into the run and calls its init. */
es_code es_assemble_part(es_run *run, const es_plan_part *row, const uint64_t *popularity, void **state, es_err *err);
/* The same for a part that knows another view of the run. */
es_code es_assemble_seen(es_run *run, const es_view *view, const es_plan_part *row, const uint64_t *popularity, void **state, es_err *err);
/* What the core concludes from the options of parts, once and after each turn of a knob. */
void es_assemble_conclude(es_run *run);

/* ---- catalog ---- */
/* The tuner says which precision experts have from now on. */
es_code es_catalog_assigns(es_run *run, const es_tuner *tuner, void *state, es_err *err);       /* it will */
void es_catalog_reassign(es_run *run);

/* ---- bus ---- */
void es_bus_deliver(es_run *run, const es_fact *fact);
static inline bool es_bus_heard(const es_run *run, es_fact_kind kind)
{
    return run->heard >> kind & 1;
}
void es_bus_tell(es_run *run, es_fact_kind kind, es_why why, const es_oid *objects, uint32_t count, uint32_t from, uint32_t to);
/* Tells of objects; costs a test when nobody listens. */
static inline void es_bus_objects(es_run *run, es_fact_kind kind, es_why why, const es_oid *objects, uint32_t count, uint32_t from, uint32_t to)
{
    if (es_bus_heard(run, kind) && count > 0)
        es_bus_tell(run, kind, why, objects, count, from, to);
}
void es_bus_close(es_run *run);                     /* observers hear nothing any more */
bool es_bus_open(es_run *run);                      /* when all listeners are known; false: no memory */
/* Tells of the event at hand: its gate (run->use) or its release. */
static inline void es_bus_event(es_run *run, es_fact *fact)
{
    fact->at = run->now;
    fact->since = run->gate;
    fact->step = run->composer.event.step;
    for (const es_listener *l = run->hears[fact->kind]; l->notify; l++)
        l->notify(l->self, fact);
}

/* ---- events ---- */
es_code es_composer_init(es_composer *c, es_run *run, es_err *err);
/* The next step, cut by contract.prefill. *more false at the end of the trace. */
es_code es_composer_step(es_run *run, bool *more, es_err *err);
/* Begins a layer of the step; then es_composer_event yields its events one by one; false when there are no more. */
void es_composer_layer(es_run *run, uint32_t layer);
bool es_composer_event(es_run *run);
/* The same for the layer at this place of the step, forwards or back. */
void es_composer_place(es_run *run, uint32_t place);
void es_composer_fault(es_run *run, uint32_t row);      /* the row lists an expert twice */
es_code es_composer_rewind(es_run *run, es_err *err);
/* Fills run->future by one pass over the source; with lists when `peek`. Counts uses when `popularity` is not NULL. */
es_code es_future_fill(es_run *run, bool next, bool peek, uint64_t *popularity, es_err *err);
static inline uint8_t es_step_phase(const es_composer *c)
{
    return c->step.token[c->row].phase;
}

/* ---- route: only where composer.routes ---- */
es_code es_route_open(es_run *run, es_err *err);
es_code es_route_step(es_run *run, es_err *err);        /* the source has given another step */
void es_route_layer(es_run *run, uint32_t layer);       /* its rows are as recorded until their gate */
bool es_route_rows(es_run *run, uint32_t row, uint32_t rows);   /* asks the router; false: run->code */
void es_route_report(const es_run *run, es_json *out);

/* ---- store ---- */
static inline es_oid es_object(const es_event *e, uint16_t index)
{
    return e->base + index;
}
void es_store_reset(es_run *run);
/* Space is taken and the object is INBOUND (instant: RESIDENT at once, see es_store_land). */
void es_store_take(es_run *run, uint32_t tier, es_oid object);
void es_store_land(es_run *run, uint32_t tier, es_oid object);
/* The victims leave `tier`: dropped or demoted, told once. */
void es_store_evict(es_run *run, uint32_t tier, const es_oid *victims, size_t count, es_why why);
/* The tier nearest to `to` (fewest links) that holds the object. */
uint32_t es_store_nearest(const es_run *run, uint32_t to, es_oid object);
static inline uint32_t es_store_source(const es_run *run, uint32_t to, es_oid object)
{
    return run->tiers == 2 ? run->home : es_store_nearest(run, to, object);
}
/* A write-back has landed below: its space in `tier` is free unless it was wanted again. */
void es_store_written(es_run *run, uint32_t tier, es_oid object);
/* The events's objects that were on their way out stay after all. */
void es_store_recall(es_run *run, const es_event *event);
/* INBOUND -> ABSENT: a guess that was cancelled between chunks. */
void es_store_abandon(es_run *run, uint32_t tier, es_oid object);
/* The copy in an exclusive lower tier leaves it, because the tier `to` above takes it; put back when there was no room there. */
bool es_store_lift(es_run *run, uint32_t from, uint32_t to, es_oid object);
/* Only when there is room in `to`, for else its place in `from` might be taken meanwhile: where copies have places some may leave and there is none
 * all the same, and what is wanted again comes back from a write buffer. */
static inline bool es_store_lifts_last(const es_run *run, uint32_t from, uint32_t to)
{
    return run->tier[to].ground || run->tier[from].spool.holds;
}
/* A write-back finds no room below: the copy in `tier` leaves all the same, home has another. */
void es_store_give_up(es_run *run, uint32_t tier, es_oid object);
/* A copy on its way out of a lower tier is wanted there or above after all. */
void es_store_recall_low(es_run *run, es_oid object);
void es_store_recall_at(es_run *run, uint32_t tier, es_oid object);     /* of this lower tier only */
void es_store_put_back(es_run *run, uint32_t tier, uint32_t to, es_oid object);
void es_store_arrive(es_run *run, uint32_t from, uint32_t to, es_oid object);   /* by demotion, in an instant, when there is room */
/* The event wants these objects of a word: what a guess brought is used now, as a hit or late. */
void es_store_widen(es_run *run, es_tier *tier, es_oid object, int64_t units);   /* what lay outside of the capacity takes so much of it from now on */
void es_store_used_guess(es_run *run, uint32_t word, uint64_t wanted, uint64_t hits);
void es_store_waste(es_run *run, uint32_t tier, const es_oid *victims, size_t count);    /* guesses that leave without having been used */
es_code es_store_initial(es_run *run, es_err *err);
void es_start_beside(es_run *run);                  /* contract.pins_take_room off: the pins bring their own room */
es_code es_start_fill(es_run *run, es_err *err);    /* contract.start, behind the policy's pins */

/* ---- room ---- */
typedef enum es_room { ES_ROOM_OK, ES_ROOM_WAIT, ES_ROOM_LEAVING, ES_ROOM_NEVER } es_room;
/* Makes room for `units` in the bucket of `object`. A demand takes what may leave even when it is not enough (ES_ROOM_WAIT
 * then), a guess all or nothing. LEAVING: enough is on its way out; wait for the write-backs. */
es_room es_room_make(es_run *run, uint32_t tier, es_oid object, int64_t units, es_why why);
/* An overshoot ends: residents leave until the bucket of the event fits, others first, then its own; under `persist` only others. */
/* A demand goes above the room there is: counted once per event. */
void es_room_exceed(es_run *run);
void es_room_fault(es_run *run, uint32_t tier, es_oid object);  /* the error: a victim that may not leave */
void es_room_trim(es_run *run, const es_event *event);
void es_room_settle(es_run *run, es_oid object);            /* a guess has landed */
/* Is what the event keeps larger than its room, settled objects left out on both sides? */
bool es_room_exceeds(es_run *run, const es_event *event, const uint64_t *kept);

/* Asks the policy for victims, with preferences first without those whom they hold; fenced: [words] whom it may not name besides, or
 * NULL. Returns the units that left. */
int64_t es_room_free(es_run *run, const es_need *need, const uint64_t *fenced);

/* ---- place: tiers whose allocator places ---- */
es_code es_place_open(es_run *run, es_tier *tier, const es_plan_tier *row, void *state, es_err *err);  /* capacity of each bucket: tier->full */
bool es_place_free(es_run *run, uint32_t tier, es_oid object);      /* is there a place without anybody leaving? Then it is kept for it */
es_room es_place_make(es_run *run, uint32_t tier, es_oid object, es_why why);
int64_t es_place_take(es_run *run, es_tier *tier, es_oid object);   /* a copy begins: what it takes of the capacity */
int64_t es_place_give(es_run *run, es_tier *tier, es_oid object);   /* it has left */
bool es_place_exceeds(es_run *run, const es_event *event, const uint64_t *kept);
void es_place_trim(es_run *run);                                    /* what lies above the room there is leaves, or who is worth less */
void es_place_bypass(es_run *run, const es_event *event, uint32_t misses);  /* which of run->missing find a place: the rest is not kept */
bool es_place_beside(es_run *run, uint32_t tier, es_oid object);    /* a pin: true when it brings its own room */
void es_place_reset(es_run *run, es_tier *tier);     /* the caches were emptied */
void es_place_hide(es_run *run);                     /* what the event at hand does not find although it is there */
bool es_place_hides(const es_run *run, es_oid object);  /* while run->hides: will the next lookup not find it where it lies? */
void es_place_report(const es_tier *tier, es_json *out);

/* Residents leave until the bucket has its room again, as far as they may (resize.c). */
void es_room_shrink(es_run *run, uint32_t tier, uint32_t bucket);

/* ---- resize: tiers whose share a tuner turns ---- */
int64_t es_resize_room(const es_run *run, const es_tier *tier, uint32_t bucket, double share);    /* bucket: of this tier, from 0 */
void es_resize(es_run *run);                        /* while run->resizing, when nothing is pinned */

/* ---- make: experts that home does not hold yet ---- */
es_code es_make_links(es_run *run, es_err *err);    /* more links, before anything is concluded from them */
void es_make_adopt(es_run *run);                    /* what is there before the first step was made before it */
uint32_t es_make_count(es_run *run, uint32_t link, es_oid object);  /* a copy from home over it begins: the link that it is counted on */
static inline uint32_t es_make_link(const es_run *run, uint32_t link, es_oid object)
{
    return run->made && run->link[link].make != ES_NONE && !es_mask_has(run->made, object) ? run->link[link].make : link;
}
void es_make_left(es_run *run, es_oid object);      /* a copy has left a tier */
void es_make_report(const es_run *run, es_json *out);

/* ---- run ---- */
/* What went over each link: where copies are followed one by one, under both clocks. */
void es_links_report(const es_run *run, const es_link *links, es_json *out);

/* ---- flush: behind the last step ---- */
es_code es_flush_open(es_run *run, es_err *err);
es_code es_flush_go(es_run *run, es_err *err);
void es_flush_report(const es_run *run, es_json *out);

/* ---- train: the way back ---- */
bool es_train_any(const es_run *run);               /* may some step train? */
es_code es_train_open(es_run *run, es_err *err);
es_code es_train_step(es_run *run);                 /* a step begins; only where run->trains, as all below */
void es_train_ended(es_run *run);
es_time es_train_expert_ns(es_run *run, es_oid object, uint32_t tokens);    /* of the event at hand, on its way back */
void es_train_update(es_run *run, es_oid object);   /* its backward pass is computed: once in a step it is updated */
void es_train_update_event(es_run *run, bool hits); /* clock none: all of the event, or its hits */
void es_train_gradient(es_run *run, es_oid object); /* it has come to the host, which makes the optimizer step */
void es_train_computed(es_run *run, es_oid object, es_time since);      /* a unit that is slowed has made one */
void es_train_report(const es_run *run, es_json *out);

/* ---- dirty: what was changed is written down ---- */
es_code es_dirty_open(es_run *run, es_err *err);
/* Is the copy written to the tier below when it leaves, whatever is there? */
static inline bool es_dirty_must(const es_run *run, uint32_t t, es_oid object)
{
    const es_tier *tier = &run->tier[t];
    if (tier->write_back == ES_WRITE_NEVER || tier->demote == ES_NO_TIER)
        return false;
    return tier->write_back == ES_WRITE_ALWAYS || (tier->dirty && es_mask_has(tier->dirty, object));
}
void es_dirty_make(es_run *run, uint32_t tier, es_oid object);      /* the copy there was changed */
void es_dirty_write_all(es_run *run, uint32_t tier, bool changed);  /* what is there and would be written when it leaves, or only what was changed */
void es_dirty_pass(es_run *run, uint32_t tier, es_oid object);      /* changed there, but not kept: it goes down at once */
void es_dirty_put(es_run *run, uint32_t from, uint32_t to, es_oid object);  /* clock none: a change arrives */
void es_dirty_copied(es_run *run, uint32_t tier, es_oid object);    /* its version is written down, whether the copy stays or has left */
void es_dirty_left(es_run *run, uint32_t tier, uint32_t to, es_oid object);     /* it has left without a transfer, for `to` or for nowhere */
void es_dirty_moved(es_run *run, uint32_t from, uint32_t to, es_oid object);    /* the only copy of its version is now in `to` */
void es_dirty_begins(es_run *run, es_xfer *xfer);   /* a write-back reads what it writes */
void es_dirty_landed(es_run *run, es_xfer *xfer);
bool es_dirty_comes(const es_run *run, es_oid object);      /* its newest version is on its way down, held by no tier: wait for it */
/* A copy begins. Of an expert that home does not hold yet it is its creation. */
static inline void es_link_count(es_run *run, uint32_t link, es_oid object)
{
    if (run->made && run->link[link].from == run->home)
        link = es_make_count(run, link, object);
    run->link[link].copies++;
    run->link[link].bytes += run->link[link].weight * run->bytes[object >> 6];
}
uint64_t es_dirty_held(const es_run *run, const es_tier *tier);     /* copies that are dirty now */
void es_dirty_report(const es_run *run, const es_tier *tier, es_json *out);

/* ---- spool: write-backs that hold no room of their tier ---- */
es_code es_spool_open(es_run *run, es_err *err);
static inline bool es_spool_has(const es_tier *tier, es_oid object)
{
    return tier->spool.holds && es_mask_has(tier->spool.holds, object);
}
bool es_spool_enter(es_run *run, es_tier *tier, es_oid object);     /* false: there is no buffer, or no room in it */
void es_spool_leave(es_run *run, es_tier *tier, es_oid object);     /* it has landed below, or is in the tier again */
void es_spool_report(const es_tier *tier, es_json *out);

/* ---- rank: a lower tier's own policy ---- */
es_code es_rank_open(es_run *run, es_err *err);     /* when the run's policy is placed */
void es_rank_use(es_run *run, es_rank *rank, es_oid object);    /* read from there, or put over the copy there */
static inline void es_rank_used(es_run *run, uint32_t t, es_oid object)
{
    if (run->tier[t].rank)
        es_rank_use(run, run->tier[t].rank, object);
}
size_t es_rank_victims(es_run *run, es_rank *rank, const es_need *need, es_oid *out, size_t most);

/* ---- grace ---- */
bool es_grace_open(es_run *run, es_time grace, bool yields, bool avoids);   /* false: no memory */
void es_grace_begin(es_run *run, const es_event *event);    /* the event ended: what it used is in grace */
void es_grace_guessed(es_run *run, es_oid object);          /* where guesses are avoided */
void es_grace_gate(es_run *run, const es_event *event);     /* guesses of this layer were for now */
void es_grace_prefer(es_run *run, bool avoids);             /* view.guard: pins and preferences, until es_grace_relent */
void es_grace_relent(es_run *run);

/* ---- levels: several serving tiers ---- */
uint32_t es_levels_lookup(es_run *run);             /* as replay's own lookup; returns the misses, late ones not counted */
void es_levels_rise(es_run *run);                   /* hits below the first serving tier go up; settles event->kept */
void es_levels_urge(es_run *run, es_oid object);    /* late: what brings it goes on as a demand */
bool es_levels_passes(es_run *run, const es_xfer *x);    /* x has come to a serving tier on its way to the first: is the wait not over? */
bool es_levels_raise(es_run *run, es_oid object);   /* queued as a guess somewhere? Then no longer */
static inline const uint64_t *es_levels_inbound(const es_run *run, const es_event *event)
{
    return run->levels > 1 ? run->coming : run->tier_view[run->serving].inbound + event->word;
}

/* ---- fetch ---- */
/* How the misses of the event are served: dispatcher, policy.admit, overflow bypass. Sets event->kept and run->verdicts (by
 * place in run->missing); without any of them event->kept stays NULL and everything missing is fetched to stay. */
void es_fetch_decide(es_run *run, uint32_t misses);
void es_fetch_instant(es_run *run, uint32_t misses);        /* clock none */

/* Clock none: brings the object to a tier that has a link to `to`, leaving copies in the tiers between; returns it. */
uint32_t es_fetch_near(es_run *run, uint32_t to, es_oid object, es_why why);

/* ---- guess ---- */
/* Is the guess of this object for the gate of `event`? Asked of objects in the words of the event. */
static inline bool es_guess_is_for(const es_run *run, es_oid object, const es_event *event)
{
    return !run->aim || run->aim[object] == event->layer;
}
void es_guess_ask(es_run *run);                     /* asks the predictor after the gate of the event; queues its guesses */
void es_guess_ask_at_end(es_run *run);              /* the same between two steps, for predictors that want it */
void es_guess_ask_before(es_run *run);              /* the same before the event is looked up */
bool es_guess_asked_at_end(const es_run *run);      /* does es_guess_ask_at_end ask now? */
uint32_t es_guess_questions(const es_run *run);     /* of a gate: one per layer ahead */
void es_guess_next(es_run *run);                    /* of those held back the next that is not there has its turn */
void es_guess_gate(es_run *run);                    /* clock none: pending guesses of this layer die or are foreseen */
void es_guess_try(es_run *run);                     /* clock none: pending guesses start while there is room */

/* ---- ahead: guesses into a lower tier ---- */
es_code es_ahead_open(es_run *run, es_err *err);
bool es_ahead_wants(const es_run *run, es_oid object);          /* neither in the serving tier nor on its way there */
void es_ahead_begins(es_run *run, es_oid object);
void es_ahead_found(es_run *run, uint32_t from, es_oid object); /* a demand reads it from there */
void es_ahead_waits(es_run *run, const es_xfer *before);        /* a demand waits for this guess */
void es_ahead_report(const es_run *run, es_json *out);

/* ---- charge: simulated clock, only where charge.on ---- */
es_code es_charge_open(es_run *run, es_err *err);
void es_charge_gate(es_run *run);                   /* the event is composed: what comes before its lookup, then es_layer_look */
void es_charge_step(es_run *run);                   /* the step begins: what comes before its first layer, then es_layer_first */
void es_charge_expert(es_run *run);                 /* the gpu is about to compute an expert: what it has to pay first */
void es_charge_question(es_run *run);               /* behind the lookup: the question about the coming layers, when it takes time */
void es_charge_worked(es_run *run, es_oid charge, es_time took);    /* a gpu that is slowed has ended what was no expert */
void es_charge_await(es_run *run, es_xfer *xfer);   /* compute stands still for this guess */
void es_charge_came(es_run *run, es_xfer *xfer);    /* it has landed or was dropped */
void es_charge_host(es_run *run, es_time until);    /* the gpu is done and waits for the host until then */
/* What the job of a slowed gpu stands for, when it is neither an expert nor the dense part: an es_charged. */
#define ES_CHARGE_OBJECT(kind) (ES_NO_OBJECT - 1 - (es_oid)(kind))
static inline bool es_charge_is(es_oid object)
{
    return object >= ES_CHARGE_OBJECT(ES_CHARGES - 1) && object < ES_NO_OBJECT;
}

/* ---- channel: simulated clock ---- */
void es_channel_ask(es_run *run, uint32_t tier, es_oid object, es_class kind, bool transient);
void es_channel_gate(es_run *run, const es_event *event);     /* queued guesses of this layer that are not wanted die */
void es_channel_raise(es_run *run, uint32_t tier, es_oid object);   /* a queued guess leaves the queue: it is asked anew as a demand */
void es_channel_hurry(es_run *run, uint32_t tier, es_oid object);   /* a guess in flight is late: its next chunks go as a demand's */
/* changed: of a version that no tier holds any more. */
void es_channel_write_back(es_run *run, uint32_t from, uint32_t to, es_oid object, bool changed);
bool es_channel_stop_write(es_run *run, uint32_t to, es_oid object); /* a write-back that has not started: forget it */
void es_channels_start(es_run *run);
void es_channels_unblock_all(es_run *run);
static inline void es_channels_unblock(es_run *run)         /* what lacked room asks again */
{
    if (run->blocked)
        es_channels_unblock_all(run);
}
void es_channels_finish(es_run *run);
void es_channels_forget(es_run *run);               /* queued guesses, when there is no gate to come */

/* ---- share: elastic transfers ---- */
void es_share_join(es_run *run, es_xfer *xfer);     /* its fixed part is over: its work begins */
void es_share_leave(es_run *run, es_xfer *xfer);
void es_share_settle(es_run *run);                  /* new rates for all, from now on */
void es_channel_ended(es_run *run, es_due *due);    /* what fires when a transfer (or a chunk) is done */
es_time es_channel_copy_ns(es_run *run, uint32_t link, es_oid object);      /* of one copy alone */
es_time es_channel_free_at(const es_run *run, uint32_t link);                /* when the link could take one more demand, as far as is known */
es_time es_channel_expert_ns(es_run *run, uint32_t unit, es_oid object, uint32_t tokens);
es_time es_channel_dense_ns(es_run *run, uint32_t tokens, uint32_t context);
/* Of anything else; `what` and `name` tell whose timing it is: "channel", "gpu". */
es_time es_channel_op_ns(es_run *run, const es_timing *timing, void *state, const char *what, const char *name, const es_op *op);

/* ---- wake, knobs ---- */
void es_wakes_begin(es_run *run);       /* the first wake of every part that has one */
es_code es_knobs_open(es_run *run, es_err *err);    /* when all parts that may be turned are placed */
void es_knobs_step(es_run *run);        /* a step begins: tuners that go by steps turn what they turn */
void es_knobs_report(const es_run *run, es_json *out);

/* ---- unit ---- */
es_code es_units_open(es_run *run, es_err *err);
void es_unit_until(es_run *run, es_compute_unit *unit, es_time at);     /* it has work until then */
void es_unit_ask(es_run *run, es_compute_unit *unit, es_oid object, es_time cost);  /* elastic: one job more */
void es_units_settle(es_run *run);      /* what is busy has changed */
/* For those it slows: it has work of its own, or copies that queue elsewhere pass through it. */
static inline bool es_channel_busy(const es_run *run, uint32_t channel)
{
    return run->chan[channel].busy > 0 || (run->chan[channel].limits && run->chan_view[channel].active > 0);
}
static inline bool es_unit_slowed(const es_compute_unit *unit)
{
    return unit && unit->elastic;
}

/* ---- quick: the plainest run, under either clock ---- */
void es_quick_open(es_run *run);        /* does the run fit? */
void es_quick_step(es_run *run);

/* ---- replay ---- */
es_code es_replay(es_run *run, es_err *err);
void es_replay_drain(es_run *run);                      /* simulated clock: until nothing is left to happen */
void es_replay_next(es_run *run);                       /* the step's last layer has ended */
void es_replay_stuck(es_run *run);                      /* the error: nothing is left to happen and the trace is not over */

/* ---- layer: simulated clock ---- */
void es_layer_begin(es_run *run, uint32_t place);       /* the dense part of the layer at this place of the step; behind the last it ends */
void es_layer_first(es_run *run, es_due *due);          /* the first layer of the step at hand */
void es_layer_look(es_run *run, es_due *due);           /* the event at hand is looked up */
void es_layer_landed(es_run *run, es_xfer *xfer);       /* something the layer may wait for is there */
void es_layer_go_on(es_run *run);                       /* the layer ends if it waits for nothing */
/* Compute was idle and `channel` delivers: it waited since it was free. */
void es_layer_stall(es_run *run, uint32_t channel, es_oid object);
void es_layer_computed(es_run *run, uint32_t unit, es_oid object, es_time since);     /* a unit that is slowed has ended a job */

#endif
