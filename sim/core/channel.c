/* Channel: what is contended for, and asking for it. Each has a first-come-first-served queue per class (demand, guess, write-back).
 *
 *   ask        the object is QUEUED behind its class; nothing moves, no space is held
 *   urge       what a guess asked for is demanded now: it goes on as a demand
 *   withdraw   a guess or a write-back that nobody wants any more leaves its queue
 *
 * What becomes of it once a lane is free is told in transfer.c. */
#include "sim/core/channel.h"

#include <assert.h>

/* ---- asking ---- */

/* The last link of its way. */
static inline void channel_from(es_run *run, es_xfer *x, uint32_t link)
{
    x->hopping = false;
    x->link = (uint16_t)es_make_link(run, link, x->object);
    if (!x->begun)
        x->bytes = x->left = run->link[x->link].weight * run->bytes[x->object >> 6];
    channel_enter(run, x, false);
}

/* What a guess asked for is demanded now: it goes on as a demand, as does what it waits for itself. */
static void channel_urge(es_run *run, es_xfer *x)
{
    bool waits = x->queued;
    if (waits)
        channel_leave(run, x);
    x->kind = ES_CLASS_DEMAND;
    if (waits)
        channel_enter(run, x, x->begun);
    else if (x->hopping)
        es_channel_route(run, x);
}

/* The tier that the copy comes to next over `link`, or one behind it for which a copy is under way already: a tier that lets go of what is
 * read need not hold what has gone on from there. */
static uint32_t channel_stage(const es_run *run, const es_xfer *x, uint32_t link)
{
    const es_tier *tier = &run->tier[x->tier];
    uint32_t stage = run->link[link].to;
    for (uint32_t t = stage; t != x->tier; t = run->link[tier->way[t]].to) {
        const es_xfer *other = &run->tier[t].xfer[x->object];
        if (other->queued || other->running || other->hopping)
            stage = t;
    }
    return stage;
}

/* Queues the copy on the last link of its way, or first asks for it one tier nearer. */
void es_channel_route(es_run *run, es_xfer *x)
{
    es_tier *tier = &run->tier[x->tier];
    if (run->tiers > 2) {
        es_store_recall_low(run, x->object);
        if ((x->hopping = es_dirty_comes(run, x->object)))
            return;
    }
    uint32_t from = es_store_source(run, x->tier, x->object);
    uint32_t link = tier->way[from];
    if (tier->hops[from] > 1) {
        const uint32_t stage = channel_stage(run, x, link);
        es_xfer *before = &run->tier[stage].xfer[x->object];
        x->hopping = true;
        if (!before->queued && !before->running && !before->hopping) {
            es_channel_ask(run, stage, x->object, (es_class)x->kind, false);
            before->via = true;
        } else if (x->kind == ES_CLASS_DEMAND && before->kind == ES_CLASS_GUESS) {
            es_ahead_waits(run, before);
            channel_urge(run, before);
        }
        return;
    }
    channel_from(run, x, link);
}

/* A copy into `t` that is asked for, not yet on any way. */
es_xfer *es_channel_new(es_run *run, uint32_t t, es_oid object, es_class kind, bool transient)
{
    es_tier *tier = &run->tier[t];
    es_xfer *x = &tier->xfer[object];
    assert(!x->queued && !x->running && !x->hopping);
    x->object = object;
    x->tier = (uint16_t)t;
    x->source = (uint16_t)es_store_source(run, t, object);
    x->kind = (uint8_t)kind;
    x->transient = transient;
    x->begun = x->passing = x->via = false;
    x->order = run->asks++;
    x->place = ES_NONE;
    x->bytes = x->left = run->bytes[object >> 6];
    if (!transient)
        tier->view->queued[object >> 6] |= es_bit(object);
    return x;
}

void es_channel_ask(es_run *run, uint32_t t, es_oid object, es_class kind, bool transient)
{
    es_xfer *x = es_channel_new(run, t, object, kind, transient);
    if (run->tiers == 2) {
        channel_from(run, x, run->tier[t].way[run->home]);
    } else {
        es_channel_route(run, x);
        if (!x->hopping) {
            es_rank_used(run, run->link[x->link].from, object);
            if (kind == ES_CLASS_DEMAND)
                es_ahead_found(run, run->link[x->link].from, object);
        }
    }
    if (!transient)                         /* facts of copies are of those that hold space */
        es_bus_objects(run, ES_FACT_QUEUE, channel_why(x), &object, 1, run->link[x->link].from, t);
}

/* A guess that waits goes away: never begun, or between two chunks. */
void es_channel_withdraw(es_run *run, es_xfer *x, es_why why)
{
    es_oid object = x->object;
    uint32_t from = run->link[x->link].from;
    if (x->queued)
        channel_leave(run, x);
    x->hopping = false;
    if (x->begun) {
        run->tally.wasted_bytes += x->bytes - x->left;
        es_store_abandon(run, x->tier, object);
    } else {
        run->tier_view[x->tier].queued[object >> 6] &= ~es_bit(object);
    }
    if (!x->transient)
        es_bus_objects(run, ES_FACT_CANCEL, why, &object, 1, from, x->tier);
    if (x->awaited)
        es_charge_came(run, x);
}

void es_channel_raise(es_run *run, uint32_t t, es_oid object)
{
    es_xfer *x = &run->tier[t].xfer[object];
    assert((x->queued || x->hopping) && x->kind == ES_CLASS_GUESS);
    es_channel_withdraw(run, x, ES_DEMAND);
}

void es_channel_hurry(es_run *run, uint32_t t, es_oid object)
{
    es_xfer *x = &run->tier[t].xfer[object];
    if (x->kind == ES_CLASS_GUESS)
        channel_urge(run, x);
}

static void channel_gate(es_run *run, es_tier *tier, const es_event *event)
{
    for (uint32_t w = 0; w < event->words; w++) {
        uint64_t not_here = tier->view->queued[event->word + w] | tier->view->inbound[event->word + w];
        for (uint64_t dead = not_here & ~event->mask[w]; dead; dead &= dead - 1) {
            es_xfer *x = &tier->xfer[(event->word + w) * 64 + (es_oid)__builtin_ctzll(dead)];
            if (x->kind != ES_CLASS_GUESS || x->running || !es_guess_is_for(run, x->object, event))
                continue;
            run->tally.cancelled++;
            es_channel_withdraw(run, x, ES_GUESS);
        }
    }
}

void es_channel_gate(es_run *run, const es_event *event)
{
    for (uint32_t l = 0; l < run->levels; l++)
        channel_gate(run, &run->tier[run->level[l]], event);
}

/* Asked to write back while a copy into that tier is on its way already: wanted again and given up again while the first write-back is
 * still running; or a newer version comes, which the one that waits takes along, the one that runs does not. */
static void channel_write_more(es_run *run, es_xfer *x, bool changed)
{
    if (x->kind == ES_CLASS_WRITE && x->begun)
        x->again |= changed;
    else if (x->kind == ES_CLASS_WRITE)
        x->changed |= changed;
    else if (changed)
        es_dirty_make(run, x->tier, x->object);
}

void es_channel_write_back(es_run *run, uint32_t from, uint32_t to, es_oid object, bool changed)
{
    es_xfer *x = &run->tier[to].xfer[object];
    const es_tier_view *low = &run->tier_view[to];
    if (x->queued || x->running || x->hopping) {
        channel_write_more(run, x, changed || (run->tier[from].dirty && es_mask_has(run->tier[from].dirty, object)));
        return;
    }
    const uint32_t link = run->tier[to].way[from];
    const int64_t bytes = run->link[link].weight * run->bytes[object >> 6];
    const bool over = low->home || (low->resident[object >> 6] | low->outbound[object >> 6]) & es_bit(object);  /* it has room there */
    *x = (es_xfer){.object = object, .tier = (uint16_t)to, .link = (uint16_t)link, .kind = ES_CLASS_WRITE, .transient = over,
        .changed = changed, .order = run->asks++, .place = ES_NONE, .bytes = bytes, .left = bytes};
    if (!over)
        low->queued[object >> 6] |= es_bit(object);
    channel_enter(run, x, false);
    if (!over)
        es_bus_objects(run, ES_FACT_QUEUE, ES_DEMOTE, &object, 1, from, to);
}

bool es_channel_stop_write(es_run *run, uint32_t to, es_oid object)
{
    es_xfer *x = &run->tier[to].xfer[object];
    if (!x->queued || x->begun)
        return false;
    es_channel_withdraw(run, x, ES_DEMOTE);
    return true;
}

/* ---- costs ---- */

/* A cost below 0, or of more than 36 years, would turn time back: it ends the run. */
static es_cost channel_sane(es_run *run, const es_timing *timing, const char *what, const char *name, es_cost cost)
{
    if (((uint64_t)cost.fixed | (uint64_t)cost.work) >> 60 == 0)
        return cost;
    run->code = es_err_set(run->err, ES_EINTERNAL, "timing %s of %s %s says that an operation takes %lld + %lld ns", timing->part.name, what, name,
        (long long)cost.fixed, (long long)cost.work);
    run->stopped = true;
    return (es_cost){0, 0};
}

es_cost es_channel_cost(es_run *run, es_chan *chan, es_oid object, int64_t bytes, uint32_t count)
{
    if (chan->cost_bytes == bytes && chan->cost_count == count && !chan->timing_varies)
        return chan->cost;
    es_op op = {.kind = ES_OP_COPY, .bytes = bytes, .count = count, .step = run->composer.steps, .object = object, .occurrence = run->asks};
    chan->cost_bytes = bytes;
    chan->cost_count = count;
    chan->cost = chan->timing ? channel_sane(run, chan->timing, "channel", chan->view->name, chan->timing->cost(chan->timing_state, &op)) : (es_cost){0, 0};
    return chan->cost;
}

es_time es_channel_copy_ns(es_run *run, uint32_t link, es_oid object)
{
    es_cost cost = es_channel_cost(run, &run->chan[run->link[link].channel[0]], object, run->bytes[object >> 6], 1);
    return cost.fixed + cost.work;
}

es_time es_channel_free_at(const es_run *run, uint32_t link)
{
    const es_chan *chan = &run->chan[run->link[link].channel[0]];
    es_time at = run->now;
    if (chan->busy >= chan->lanes && chan->running && chan->running->due.at > at)
        at = chan->running->due.at;
    return at;
}

es_time es_channel_expert_ns(es_run *run, uint32_t unit, es_oid object, uint32_t tokens)
{
    es_chan *chan = &run->chan[unit];
    es_op op = {.kind = ES_OP_EXPERT, .bytes = run->bytes[object >> 6], .count = 1, .tokens = tokens, .step = run->composer.steps,
        .object = object, .occurrence = run->composer.events};
    const es_time decode = run->decode_ns ? run->decode_ns[object >> 6] : 0;
    return decode + es_channel_op_ns(run, chan->timing, chan->timing_state, "channel", chan->view->name, &op);
}

es_time es_channel_dense_ns(es_run *run, uint32_t tokens, uint32_t context)
{
    es_chan *chan = &run->chan[run->gpu];
    es_op op = {.kind = ES_OP_DENSE, .count = 1, .tokens = tokens, .context = context, .backward = run->composer.backward, .step = run->composer.steps, .object = run->composer.layer,
        .occurrence = run->composer.events};
    return es_channel_op_ns(run, chan->timing, chan->timing_state, "channel", chan->view->name, &op);
}

es_time es_channel_op_ns(es_run *run, const es_timing *timing, void *state, const char *what, const char *name, const es_op *op)
{
    es_cost cost = channel_sane(run, timing, what, name, timing->cost(state, op));
    return cost.fixed + cost.work;
}

/* ---- all of them ---- */

void es_channels_unblock_all(es_run *run)
{
    run->blocked = false;
    for (uint32_t c = 0; c < run->chans; c++)
        for (int k = 0; k < ES_CLASSES; k++)
            if (run->chan[c].blocked[k]) {
                run->chan[c].blocked[k] = 0;
                run->dirty |= 1ull << c;
            }
}

void es_channels_forget(es_run *run)
{
    for (uint32_t c = 0; c < run->chans; c++)
        for (es_xfer *x = run->chan[c].queue[ES_CLASS_GUESS].head, *next; x; x = next) {
            next = x->next;
            es_channel_withdraw(run, x, ES_GUESS);
        }
}

void es_channels_finish(es_run *run)
{
    for (uint32_t c = 0; c < run->chans; c++) {
        es_chan *chan = &run->chan[c];
        channel_depth(run, chan);
        for (int k = 0; k < ES_CLASSES; k++)
            for (es_xfer *x = chan->queue[k].head; x; x = x->next)
                chan->view->queue_ns += run->now - x->asked;
        for (es_xfer *x = chan->running; x; x = x->next)
            chan->tail += x->holds_lane && x->due.at > run->now ? x->due.at - run->now : 0;
        chan->view->depth_area = (double)chan->depth_area;
    }
}
