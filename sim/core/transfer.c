/* Transfer: what happens to a copy from its queue to its landing. When an instant is over, each channel's scheduler picks what
 * starts next on a free lane.
 *
 *   start   1. the scheduler picks a class   2. room.c finds space, or the class is blocked until something lands or is unpinned
 *           3. the copy is INBOUND and its end is known: fixed + work
 *   end     of a chunk: the rest goes back to the head of its queue, where a demand may overtake a guess
 *           of all: the copy is RESIDENT; who waits for it goes on, one hop further where the way has several
 *
 * A copy on a link whose rates may change is elastic: its fixed part passes first, then its work is shared (share.c). */
#include "sim/core/channel.h"

/* ---- ending ---- */

/* x goes on from a tier that let it through. */
static void transfer_through(es_run *run, es_xfer *x, uint32_t from)
{
    uint32_t link = run->tier[x->tier].way[from], next = run->link[link].to;
    if (run->tier[x->tier].hops[from] > 1) {
        es_xfer *before = &run->tier[next].xfer[x->object];
        if (before->queued || before->running || before->hopping) {
            if (x->kind == ES_CLASS_DEMAND && before->hopping)
                before->kind = ES_CLASS_DEMAND;
            else if (x->kind == ES_CLASS_DEMAND)
                es_channel_hurry(run, next, x->object);
            return;
        }
        es_xfer *stage = es_channel_new(run, next, x->object, (es_class)x->kind, false);
        stage->via = true;
        transfer_through(run, stage, from);
        es_bus_objects(run, ES_FACT_QUEUE, channel_why(x), &x->object, 1, from, next);
        return;
    }
    x->hopping = false;
    x->passing = true;
    x->link = (uint16_t)link;
    channel_enter(run, x, false);
}

/* Copies that wait for this object to come one tier nearer go on from there. */
static void transfer_onward(es_run *run, const es_xfer *landed)
{
    for (uint32_t t = 0; t < run->tiers; t++) {
        es_xfer *x = &run->tier[t].xfer[landed->object];
        if (x->hopping && (!landed->transient || landed->kind == ES_CLASS_WRITE))
            es_channel_route(run, x);
        else if (x->hopping && run->tier[t].hops[landed->tier] != ES_NONE)
            transfer_through(run, x, landed->tier);
    }
}

static void transfer_landed(es_run *run, es_xfer *x)
{
    uint32_t from = run->link[x->link].from;
    const bool awaited = x->awaited;        /* x may be on its way again, with a newer version, before that is told */
    if (!x->transient) {
        es_store_land(run, x->tier, x->object);
        es_bus_objects(run, ES_FACT_LAND, channel_why(x), &x->object, 1, from, x->tier);
        if (x->tier != run->serving)
            es_bus_objects(run, ES_FACT_ARRIVE_LOW, channel_why(x), &x->object, 1, from, x->tier);
        else if (x->kind == ES_CLASS_GUESS)
            es_room_settle(run, x->object);
    }
    if (x->kind == ES_CLASS_WRITE) {
        const bool down = x->tier == run->tier[from].demote;
        es_dirty_landed(run, x);
        if (down)
            es_store_written(run, from, x->object);
    }
    if (run->tiers > 2)
        transfer_onward(run, x);
    if (x->kind != ES_CLASS_WRITE || !x->transient)     /* what only goes down through a tier serves nobody there */
        es_layer_landed(run, x);
    if (awaited)
        es_charge_came(run, x);
}

/* All of it, or a chunk, has moved. */
static void transfer_tell(es_run *run, const es_xfer *x, const es_chan *chan)
{
    const es_copy copy = {.asked = x->asked, .alone = x->alone, .begun = channel_class_why(x->begun_as), .last = x->left == 0};
    es_bus_deliver(run, &(es_fact){.kind = ES_FACT_COPY, .why = channel_why(x), .at = run->now, .since = x->began, .objects = &x->object, .count = 1,
        .from = run->link[x->link].from, .to = x->tier, .channel = (uint32_t)(chan - run->chan), .bytes = x->moving, .step = run->composer.steps,
        .copy = &copy});
}

void es_channel_ended(es_run *run, es_due *due)
{
    es_xfer *x = (es_xfer *)(void *)due;        /* due is its first member */
    es_chan *chan = channel_of(run, x);
    if (es_bus_heard(run, ES_FACT_COPY))
        transfer_tell(run, x, chan);
    if (x->place != ES_NONE)
        es_share_leave(run, x);
    *(x->prev ? &x->prev->next : &chan->running) = x->next;
    if (x->next)
        x->next->prev = x->prev;
    x->running = false;
    chan->busy -= x->holds_lane;
    for (uint32_t k = 0; k < run->link[x->link].channel_count; k++) {
        run->chan_view[run->link[x->link].channel[k]].active--;
        run->reshare |= run->chan[run->link[x->link].channel[k]].slows;
    }
    channel_wake(run, x);
    es_channels_unblock(run);
    if (x->left > 0)
        channel_enter(run, x, true);            /* between chunks: at the head of its class */
    else
        transfer_landed(run, x);
}

/* An elastic transfer's fixed part is over. */
static void transfer_works(es_run *run, es_due *due)
{
    es_share_join(run, (es_xfer *)(void *)due);
}

/* ---- starting ---- */

/* Space and state at the first chunk. */
static void transfer_take(es_run *run, es_xfer *x)
{
    uint32_t from = run->link[x->link].from;
    bool guess = x->kind == ES_CLASS_GUESS;
    x->begun = true;
    const bool serves = run->tier[x->tier].serving;
    if (serves && !x->via)
        *(guess ? &run->tier_view[x->source].guessed : &run->tier_view[x->source].found) += 1;
    if (!x->transient) {
        es_store_take(run, x->tier, x->object);
        es_fact_kind kind = guess && x->tier == run->serving ? ES_FACT_START_GUESS : ES_FACT_START;
        es_bus_objects(run, kind, channel_why(x), &x->object, 1, from, x->tier);
    }
    es_link_count(run, x->link, x->object);
    if (x->kind == ES_CLASS_WRITE) {
        run->tally.writeback_bytes += x->gradient || x->tier == run->serving ? 0 : x->bytes;
        es_dirty_begins(run, x);
    } else if (guess && !serves && !x->via) {
        es_ahead_begins(run, x->object);
    } else if (guess && serves && !x->transient) {
        run->fresh[x->object >> 6] |= es_bit(x->object);
        run->tally.guess_copies++;
        run->tally.guess_bytes += run->bytes[x->object >> 6];
    }
}

/* Puts x on a lane until `now + after`, when its chunk has moved; elastic work begins after the fixed part. */
static void transfer_run(es_run *run, es_chan *chan, es_xfer *x, int64_t bytes, es_cost cost, es_time after, bool holds_lane)
{
    const es_link *link = &run->link[x->link];
    x->left -= bytes;
    x->moving = bytes;
    x->began = run->now;
    x->alone = after;
    x->begun_as = x->kind;
    x->running = true;
    x->holds_lane = holds_lane;
    x->place = ES_NONE;
    x->prev = NULL;
    x->next = chan->running;
    if (x->next)
        x->next->prev = x;
    chan->running = x;
    chan->view->transfers++;
    for (uint32_t k = 0; k < link->channel_count; k++) {
        run->chan_view[link->channel[k]].bytes += bytes;
        run->chan_view[link->channel[k]].active++;
        run->reshare |= run->chan[link->channel[k]].slows;
    }
    if (!link->elastic || cost.work == 0) {
        x->due.fire = es_channel_ended;
        es_calendar_add(&run->calendar, &x->due, run->now + after, ES_PHASE_COMPLETE);
        return;
    }
    x->work = (double)cost.work;
    x->ns_per_byte[0] = (double)cost.work / (double)bytes;
    for (uint32_t k = 1; k < link->channel_count; k++) {
        es_time work = es_channel_cost(run, &run->chan[link->channel[k]], x->object, bytes, 1).work;
        run->chan_view[link->channel[k]].busy_ns += work;
        x->ns_per_byte[k] = (double)work / (double)bytes;
    }
    if (cost.fixed == 0) {
        es_share_join(run, x);
        return;
    }
    x->due.fire = transfer_works;
    es_calendar_add(&run->calendar, &x->due, run->now + cost.fixed, ES_PHASE_COMPLETE);
}

typedef enum transfer_may { TRANSFER_GO, TRANSFER_WAITS, TRANSFER_GONE } transfer_may;

/* It will not come after all: who waited for it on the way takes another. */
static void transfer_reroute(es_run *run, es_oid object)
{
    for (uint32_t t = 0; t < run->tiers; t++)
        if (run->tier[t].xfer[object].hopping)
            es_channel_route(run, &run->tier[t].xfer[object]);
}

/* Room was not to be had below the serving tier. Who may wait for write-backs that make it does; else a copy on its way up goes through
 * without staying, as does what must be written further down, and any other write-back is given up. So nothing waits for a lower tier
 * but what ends by itself. */
static transfer_may transfer_low(es_run *run, es_xfer *x, es_room room)
{
    uint32_t from = run->link[x->link].from;
    if (room == ES_ROOM_LEAVING)
        return TRANSFER_WAITS;
    if (x->kind == ES_CLASS_GUESS && !x->via) {     /* this tier is as far as it goes */
        run->tally.cancelled++;
        es_channel_withdraw(run, x, ES_GUESS);
        return TRANSFER_GONE;
    }
    if (x->kind == ES_CLASS_WRITE && !x->changed && !es_dirty_must(run, from, x->object)) {
        es_channel_withdraw(run, x, ES_DEMOTE);
        es_store_give_up(run, from, x->object);
        transfer_reroute(run, x->object);
        return TRANSFER_GONE;
    }
    x->transient = true;
    run->tier_view[x->tier].queued[x->object >> 6] &= ~es_bit(x->object);
    es_bus_objects(run, ES_FACT_CANCEL, channel_why(x), &x->object, 1, from, x->tier);
    return TRANSFER_GO;
}

/* May the head of the queue start? A guess gets its room or waits; a demand exceeds its tier unless the event goes in waves or
 * write-backs are making room for it. */
static transfer_may transfer_room(es_run *run, es_xfer *x)
{
    if (x->transient || x->begun)
        return TRANSFER_GO;
    es_tier *tier = &run->tier[x->tier];
    const uint32_t from = run->link[x->link].from;
    const bool lifts = run->tiers > 2 && x->kind != ES_CLASS_WRITE, last = lifts && es_store_lifts_last(run, from, x->tier);
    const bool lifted = lifts && !last && es_store_lift(run, from, x->tier, x->object);
    bool demand = x->kind == ES_CLASS_DEMAND && x->tier == run->serving;
    if (demand && run->contract->overflow == ES_KEEP_BEST) {
        run->exceeded = true;
        return TRANSFER_GO;
    }
    es_why why = demand ? ES_DEMAND : x->kind == ES_CLASS_GUESS ? ES_GUESS : ES_DEMOTE;
    es_room room = es_room_make(run, x->tier, x->object, tier->unit[x->object >> 6], why);
    bool waits = room != ES_ROOM_OK && (room == ES_ROOM_LEAVING || !demand || (run->contract->overflow == ES_WAVES && room != ES_ROOM_NEVER));
    if (last && !waits)
        es_store_lift(run, from, x->tier, x->object);
    if (room == ES_ROOM_OK)
        return TRANSFER_GO;
    if (waits && lifted)
        es_store_put_back(run, from, x->tier, x->object);
    bool destined = tier->serving && !x->via && x->kind != ES_CLASS_WRITE;     /* not on its way further up, nor down */
    if (!destined)
        return transfer_low(run, x, room);
    if ((room == ES_ROOM_NEVER && !demand) || (room == ES_ROOM_WAIT && x->awaited)) {    /* a guess larger than the tier; one that compute stands still for */
        run->tally.cancelled++;
        es_channel_withdraw(run, x, ES_GUESS);
        return TRANSFER_GONE;
    }
    if (waits)
        return TRANSFER_WAITS;
    es_room_exceed(run);
    return TRANSFER_GO;
}

/* The first of a class that does not wait for room. */
static es_xfer *transfer_first(const es_run *run, const es_chan *chan, uint32_t kind)
{
    es_xfer *x = chan->queue[kind].head;
    if (!chan->blocked[kind])
        return x;
    if (run->tiers == 2)
        return NULL;                        /* all go to the same tier */
    while (x && chan->blocked[kind] >> x->tier & 1)
        x = x->next;
    return x;
}

/* Has the copy's source gone since it was asked for? Then it takes another way, perhaps over another channel. */
static bool transfer_moved(const es_run *run, const es_xfer *x)
{
    return run->tiers > 2 && !x->begun && !x->passing && x->kind != ES_CLASS_WRITE &&
        !es_mask_has(run->tier_view[run->link[x->link].from].resident, x->object);
}

/* It has what it needs: it leaves its queue, at its first chunk with space and state. */
static void transfer_leave(es_run *run, es_chan *chan, es_xfer *x)
{
    channel_remove(run, chan, x);
    if (!x->begun)
        transfer_take(run, x);
}

/* A lane is taken for so long. */
static inline void transfer_charge(es_chan *chan, es_link *link, es_cost cost)
{
    link->busy_ns += cost.fixed + cost.work;
    chan->busy++;
    chan->view->batches++;
    chan->view->busy_ns += chan->discipline == ES_SHARED || chan->limits ? cost.work : cost.fixed + cost.work;  /* shared: latencies overlap */
}

/* Copies of one link take a lane for so long. */
static void transfer_depart(es_run *run, const es_chan *chan, es_xfer *const *batch, uint32_t count, int64_t bytes, es_cost cost)
{
    es_oid object[ES_MOST_BATCH];
    const es_xfer *x = batch[0];
    if (!es_bus_heard(run, ES_FACT_DEPART))
        return;
    for (uint32_t i = 0; i < count; i++)
        object[i] = batch[i]->object;
    es_bus_deliver(run, &(es_fact){.kind = ES_FACT_DEPART, .why = channel_why(x), .at = run->now + cost.fixed + cost.work, .since = run->now, .objects = object,
        .count = count, .from = run->link[x->link].from, .to = x->tier, .channel = (uint32_t)(chan - run->chan), .bytes = bytes,
        .step = run->composer.steps});
}

static void transfer_alone(es_run *run, es_chan *chan, es_xfer *x)
{
    int64_t piece = chan->chunk > 0 && x->left > chan->chunk ? chan->chunk : x->left;
    es_cost cost = es_channel_cost(run, chan, x->object, piece, 1);
    if (piece < x->left && cost.fixed + cost.work == 0) {       /* what takes no time is not cut: nothing comes between, nor lands before it */
        const es_cost whole = es_channel_cost(run, chan, x->object, x->left, 1);
        piece = whole.fixed + whole.work == 0 ? x->left : piece;
    }
    transfer_charge(chan, &run->link[run->link[x->link].counts], cost);
    transfer_depart(run, chan, &x, 1, piece, cost);
    transfer_run(run, chan, x, piece, cost, cost.fixed + cost.work, true);
}

/* Starts x, for which there is room, and with it as many of its followers as go in one batch. */
static void transfer_begin(es_run *run, es_chan *chan, es_xfer *first, uint32_t most)
{
    es_xfer *batch[ES_MOST_BATCH], *next = first->next;
    uint32_t count = 0;
    int64_t bytes = first->left, moved = 0;
    transfer_leave(run, chan, first);
    for (batch[count++] = first; count < most && count < ES_MOST_BATCH && next; count++) {
        es_xfer *x = next;
        next = x->next;
        if (x->link != first->link || transfer_moved(run, x) || transfer_room(run, x) != TRANSFER_GO)
            break;
        transfer_leave(run, chan, x);
        batch[count] = x;
        bytes += x->left;
    }
    if (count == 1) {
        transfer_alone(run, chan, first);
        return;
    }
    es_cost cost = es_channel_cost(run, chan, first->object, bytes, count);
    transfer_charge(chan, &run->link[run->link[first->link].counts], cost);
    transfer_depart(run, chan, batch, count, bytes, cost);
    /* the objects of a batch land one after another, as their bytes arrive */
    for (uint32_t i = 0; i < count; i++) {
        es_xfer *x = batch[i];
        moved += x->left;
        es_time after = moved == bytes ? cost.fixed + cost.work : cost.fixed + es_ns_round((double)cost.work * (double)moved / (double)bytes);
        transfer_run(run, chan, x, x->left, cost, after, i + 1 == count);
    }
}

static void transfer_start(es_run *run, es_chan *chan)
{
    while (chan->busy < chan->lanes && chan->queue[0].count + chan->queue[1].count + chan->queue[2].count > 0) {
        es_queue queue = {.order = {UINT64_MAX, UINT64_MAX, UINT64_MAX}, .blocked = {true, true, true}};
        es_xfer *first[ES_CLASSES] = {NULL};
        for (uint32_t k = 0; k < ES_CLASSES; k++) {
            queue.waiting[k] = chan->queue[k].count;
            if (queue.waiting[k] == 0 || !(first[k] = transfer_first(run, chan, k)))
                continue;
            queue.order[k] = first[k]->order;
            queue.blocked[k] = false;
        }
        uint32_t k = chan->scheduler->pick(chan->scheduler_state, &queue);
        if (k >= ES_CLASSES || !first[k])
            return;
        es_xfer *x = first[k];
        if (transfer_moved(run, x)) {
            channel_leave(run, x);
            es_channel_route(run, x);
            continue;
        }
        transfer_may may = transfer_room(run, x);
        if (may == TRANSFER_WAITS) {
            chan->blocked[k] |= 1u << x->tier;
            run->blocked = true;
        }
        if (may != TRANSFER_GO)
            continue;
        uint32_t most = chan->scheduler->batch && !run->link[x->link].elastic ? chan->scheduler->batch(chan->scheduler_state, (es_class)k, &queue) : 1;
        transfer_begin(run, chan, x, most < 1 ? 1 : most);
    }
}

void es_channels_start(es_run *run)
{
    while (run->dirty) {
        uint32_t c = (uint32_t)__builtin_ctzll(run->dirty);
        run->dirty &= run->dirty - 1;
        transfer_start(run, &run->chan[c]);
    }
    if (run->reshare)
        es_share_settle(run);
}
