/* Channel: what is contended for. Each has a first-come-first-served queue per class (demand, guess, write-back); when an
 * instant is over, its scheduler picks what starts next on a free lane.
 *
 *   ask     the object is QUEUED behind its class; nothing moves, no space is held
 *   start   1. the scheduler picks a class   2. room.c finds space, or the class is blocked until something lands or is unpinned
 *           3. the copy is INBOUND and its end is known: fixed + work
 *   end     of a chunk: the rest goes back to the head of its queue, where a demand may overtake a guess
 *           of all: the copy is RESIDENT; who waits for it goes on, one hop further where the way has several
 *
 * A copy on a link whose rates may change is elastic: its fixed part passes first, then its work is shared (share.c). */
#include "sim/core/state.h"

#include <assert.h>

static void fifo_append(es_fifo *fifo, es_xfer *x)
{
    x->next = NULL;
    x->prev = fifo->tail;
    *(fifo->tail ? &fifo->tail->next : &fifo->head) = x;
    fifo->tail = x;
    fifo->count++;
}

/* What has begun goes on before what has not, in the order of asking. */
static void fifo_resume(es_fifo *fifo, es_xfer *x)
{
    es_xfer *next = fifo->head;
    while (next && next->begun && next->order < x->order)
        next = next->next;
    x->next = next;
    x->prev = next ? next->prev : fifo->tail;
    *(x->prev ? &x->prev->next : &fifo->head) = x;
    *(next ? &next->prev : &fifo->tail) = x;
    fifo->count++;
}

static void fifo_remove(es_fifo *fifo, es_xfer *x)
{
    *(x->prev ? &x->prev->next : &fifo->head) = x->next;
    *(x->next ? &x->next->prev : &fifo->tail) = x->prev;
    fifo->count--;
}

static inline uint64_t channel_bit(es_oid object)
{
    return 1ull << (object & 63);
}

static es_chan *channel_of(es_run *run, const es_xfer *x)
{
    return &run->chan[run->link[x->link].channel[0]];
}

static void channel_wake(es_run *run, const es_xfer *x)
{
    run->dirty |= 1ull << run->link[x->link].channel[0];
}

/* The number waiting changes by one: the area under it grows by what was, for Little's law. */
static void channel_depth(es_run *run, es_chan *chan)
{
    int64_t waiting = (int64_t)chan->queue[0].count + chan->queue[1].count + chan->queue[2].count;
    chan->depth_area += waiting * (run->now - chan->depth_since);
    chan->depth_since = run->now;
}

static void channel_enter(es_run *run, es_xfer *x, bool ahead)
{
    es_chan *chan = channel_of(run, x);
    channel_depth(run, chan);
    x->queued = true;
    x->asked = run->now;
    if (ahead) {
        fifo_resume(&chan->queue[x->kind], x);
        chan->blocked[x->kind] &= ~(1u << x->tier);
    } else {
        fifo_append(&chan->queue[x->kind], x);
    }
    channel_wake(run, x);
}

static void channel_leave(es_run *run, es_xfer *x)
{
    es_chan *chan = channel_of(run, x);
    channel_depth(run, chan);
    chan->blocked[x->kind] &= ~(1u << x->tier);
    fifo_remove(&chan->queue[x->kind], x);
    chan->view->queue_ns += run->now - x->asked;
    x->queued = false;
    channel_wake(run, x);
}

/* ---- asking ---- */

static es_why channel_why(const es_xfer *x)
{
    return x->kind == ES_CLASS_GUESS ? ES_GUESS : x->kind == ES_CLASS_WRITE ? ES_DEMOTE : ES_DEMAND;
}

static void channel_route(es_run *run, es_xfer *x);

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
        channel_route(run, x);
}

/* Queues the copy on the last link of its way, or first asks for it one tier nearer. */
static void channel_route(es_run *run, es_xfer *x)
{
    es_tier *tier = &run->tier[x->tier];
    if (run->tiers > 2)
        es_store_recall_low(run, x->object);
    uint32_t from = es_store_source(run, x->tier, x->object);
    uint32_t link = tier->way[from];
    if (tier->hops[from] > 1) {
        es_xfer *before = &run->tier[run->link[link].to].xfer[x->object];
        x->hopping = true;
        if (!before->queued && !before->running && !before->hopping)
            es_channel_ask(run, run->link[link].to, x->object, (es_class)x->kind, false);
        else if (x->kind == ES_CLASS_DEMAND && before->kind == ES_CLASS_GUESS)
            channel_urge(run, before);
        return;
    }
    x->hopping = false;
    x->link = (uint16_t)link;
    channel_enter(run, x, false);
}

/* A copy into `t` that is asked for, not yet on any way. */
static es_xfer *channel_new(es_run *run, uint32_t t, es_oid object, es_class kind, bool transient)
{
    es_tier *tier = &run->tier[t];
    es_xfer *x = &tier->xfer[object];
    assert(!x->queued && !x->running && !x->hopping);
    x->object = object;
    x->tier = (uint16_t)t;
    x->source = (uint16_t)es_store_source(run, t, object);
    x->kind = (uint8_t)kind;
    x->transient = transient;
    x->begun = x->passing = false;
    x->order = run->asks++;
    x->place = ES_NONE;
    x->bytes = x->left = run->bytes[object >> 6];
    if (!transient)
        tier->view->queued[object >> 6] |= channel_bit(object);
    return x;
}

void es_channel_ask(es_run *run, uint32_t t, es_oid object, es_class kind, bool transient)
{
    es_xfer *x = channel_new(run, t, object, kind, transient);
    channel_route(run, x);
    if (!transient)                         /* facts of copies are of those that hold space */
        es_bus_objects(run, ES_FACT_QUEUE, channel_why(x), &object, 1, run->link[x->link].from, t);
}

/* A guess that waits goes away: never begun, or between two chunks. */
static void channel_withdraw(es_run *run, es_xfer *x, es_why why)
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
        run->tier_view[x->tier].queued[object >> 6] &= ~channel_bit(object);
    }
    es_bus_objects(run, ES_FACT_CANCEL, why, &object, 1, from, x->tier);
}

void es_channel_raise(es_run *run, uint32_t t, es_oid object)
{
    es_xfer *x = &run->tier[t].xfer[object];
    assert((x->queued || x->hopping) && x->kind == ES_CLASS_GUESS);
    channel_withdraw(run, x, ES_DEMAND);
}

void es_channel_hurry(es_run *run, uint32_t t, es_oid object)
{
    es_xfer *x = &run->tier[t].xfer[object];
    if (x->kind == ES_CLASS_GUESS)
        channel_urge(run, x);
}

void es_channel_gate(es_run *run, const es_event *event)
{
    es_tier *tier = &run->tier[run->serving];
    for (uint32_t w = 0; w < event->words; w++) {
        uint64_t not_here = tier->view->queued[event->word + w] | tier->view->inbound[event->word + w];
        for (uint64_t dead = not_here & ~event->mask[w]; dead; dead &= dead - 1) {
            es_xfer *x = &tier->xfer[(event->word + w) * 64 + (es_oid)__builtin_ctzll(dead)];
            if (x->kind != ES_CLASS_GUESS || x->running)
                continue;
            run->tally.cancelled++;
            channel_withdraw(run, x, ES_GUESS);
        }
    }
}

void es_channel_write_back(es_run *run, uint32_t from, uint32_t to, es_oid object)
{
    es_xfer *x = &run->tier[to].xfer[object];
    if (x->queued || x->running)
        return;                             /* wanted again and given up again while the first write-back is still running */
    assert(!x->hopping);
    *x = (es_xfer){.object = object, .tier = (uint16_t)to, .link = (uint16_t)run->tier[to].way[from], .kind = ES_CLASS_WRITE,
        .order = run->asks++, .place = ES_NONE, .bytes = run->bytes[object >> 6], .left = run->bytes[object >> 6]};
    run->tier_view[to].queued[object >> 6] |= channel_bit(object);
    channel_enter(run, x, false);
    es_bus_objects(run, ES_FACT_QUEUE, ES_DEMOTE, &object, 1, from, to);
}

bool es_channel_stop_write(es_run *run, uint32_t to, es_oid object)
{
    es_xfer *x = &run->tier[to].xfer[object];
    if (!x->queued || x->begun)
        return false;
    channel_withdraw(run, x, ES_DEMOTE);
    return true;
}

/* ---- costs ---- */

/* A cost below 0, or of more than 36 years, would turn time back: it ends the run. */
static es_cost channel_sane(es_run *run, const es_chan *chan, es_cost cost)
{
    if (((uint64_t)cost.fixed | (uint64_t)cost.work) >> 60 == 0)
        return cost;
    run->code = es_err_set(run->err, ES_EINTERNAL, "timing %s of channel %s says that an operation takes %lld + %lld ns", chan->timing->part.name,
        chan->view->name, (long long)cost.fixed, (long long)cost.work);
    run->stopped = true;
    return (es_cost){0, 0};
}

static es_cost channel_cost(es_run *run, es_chan *chan, es_oid object, int64_t bytes, uint32_t count)
{
    es_op op = {.kind = ES_OP_COPY, .bytes = bytes, .count = count, .step = run->composer.steps, .object = object, .occurrence = run->asks};
    return chan->timing ? channel_sane(run, chan, chan->timing->cost(chan->timing_state, &op)) : (es_cost){0, 0};
}

es_time es_channel_copy_ns(es_run *run, uint32_t link, es_oid object)
{
    es_cost cost = channel_cost(run, &run->chan[run->link[link].channel[0]], object, run->bytes[object >> 6], 1);
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
    es_cost cost = channel_sane(run, chan, chan->timing->cost(chan->timing_state, &op));
    return cost.fixed + cost.work;
}

es_time es_channel_dense_ns(es_run *run, uint32_t tokens, uint32_t context)
{
    es_chan *chan = &run->chan[run->gpu];
    es_op op = {.kind = ES_OP_DENSE, .count = 1, .tokens = tokens, .context = context, .step = run->composer.steps, .object = run->composer.layer,
        .occurrence = run->composer.events};
    es_cost cost = channel_sane(run, chan, chan->timing->cost(chan->timing_state, &op));
    return cost.fixed + cost.work;
}

/* ---- ending ---- */

/* x goes on from a tier that let it through. */
static void channel_through(es_run *run, es_xfer *x, uint32_t from)
{
    uint32_t link = run->tier[x->tier].way[from], next = run->link[link].to;
    if (run->tier[x->tier].hops[from] > 1) {
        es_xfer *before = &run->tier[next].xfer[x->object];
        if (before->queued || before->running || before->hopping)
            return;
        channel_through(run, channel_new(run, next, x->object, (es_class)x->kind, false), from);
        es_bus_objects(run, ES_FACT_QUEUE, channel_why(x), &x->object, 1, from, next);
        return;
    }
    x->hopping = false;
    x->passing = true;
    x->link = (uint16_t)link;
    channel_enter(run, x, false);
}

/* Copies that wait for this object to come one tier nearer go on from there. */
static void channel_onward(es_run *run, const es_xfer *landed)
{
    for (uint32_t t = 0; t < run->tiers; t++) {
        es_xfer *x = &run->tier[t].xfer[landed->object];
        if (x->hopping && !landed->transient)
            channel_route(run, x);
        else if (x->hopping && run->tier[t].hops[landed->tier] != ES_NONE)
            channel_through(run, x, landed->tier);
    }
}

static void channel_landed(es_run *run, es_xfer *x)
{
    uint32_t from = run->link[x->link].from;
    if (!x->transient) {
        es_store_land(run, x->tier, x->object);
        es_bus_objects(run, ES_FACT_LAND, channel_why(x), &x->object, 1, from, x->tier);
        if (x->tier != run->serving)
            es_bus_objects(run, ES_FACT_ARRIVE_LOW, channel_why(x), &x->object, 1, from, x->tier);
        else if (x->kind == ES_CLASS_GUESS)
            es_room_settle(run, x->object);
    }
    if (x->kind == ES_CLASS_WRITE)
        es_store_written(run, from, x->object);
    if (run->tiers > 2)
        channel_onward(run, x);
    es_replay_landed(run, x);
}

void es_channel_ended(es_run *run, es_due *due)
{
    es_xfer *x = (es_xfer *)(void *)due;        /* due is its first member */
    es_chan *chan = channel_of(run, x);
    if (x->place != ES_NONE)
        es_share_leave(run, x);
    *(x->prev ? &x->prev->next : &chan->running) = x->next;
    if (x->next)
        x->next->prev = x->prev;
    x->running = false;
    chan->busy -= x->holds_lane;
    for (uint32_t k = 0; k < run->link[x->link].channel_count; k++)
        run->chan_view[run->link[x->link].channel[k]].active--;
    run->reshare |= chan->slows;
    channel_wake(run, x);
    es_channels_unblock(run);
    if (x->left > 0)
        channel_enter(run, x, true);            /* between chunks: at the head of its class */
    else
        channel_landed(run, x);
}

/* An elastic transfer's fixed part is over. */
static void channel_works(es_run *run, es_due *due)
{
    es_share_join(run, (es_xfer *)(void *)due);
}

/* ---- starting ---- */

/* Space and state at the first chunk. */
static void channel_take(es_run *run, es_xfer *x)
{
    uint32_t from = run->link[x->link].from;
    bool guess = x->kind == ES_CLASS_GUESS;
    x->begun = true;
    if (x->tier == run->serving)
        *(guess ? &run->tier_view[x->source].guessed : &run->tier_view[x->source].found) += 1;
    if (!x->transient) {
        es_store_take(run, x->tier, x->object);
        es_fact_kind kind = guess && x->tier == run->serving ? ES_FACT_START_GUESS : ES_FACT_START;
        es_bus_objects(run, kind, channel_why(x), &x->object, 1, from, x->tier);
    }
    if (x->kind == ES_CLASS_WRITE) {
        run->tally.writeback_bytes += x->bytes;
    } else if (guess && x->tier == run->serving) {
        run->fresh[x->object >> 6] |= channel_bit(x->object);
        run->tally.guess_copies++;
        run->tally.guess_bytes += x->bytes;
    }
}

/* Puts x on a lane until `now + after`, when its chunk has moved; elastic work begins after the fixed part. */
static void channel_run(es_run *run, es_chan *chan, es_xfer *x, int64_t bytes, es_cost cost, es_time after, bool holds_lane)
{
    const es_link *link = &run->link[x->link];
    x->left -= bytes;
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
    }
    run->reshare |= chan->slows;
    if (!link->elastic || cost.work == 0) {
        x->due.fire = es_channel_ended;
        es_calendar_add(&run->calendar, &x->due, run->now + after, ES_PHASE_COMPLETE);
        return;
    }
    x->work = (double)cost.work;
    x->ns_per_byte[0] = (double)cost.work / (double)bytes;
    for (uint32_t k = 1; k < link->channel_count; k++) {
        es_time work = channel_cost(run, &run->chan[link->channel[k]], x->object, bytes, 1).work;
        run->chan_view[link->channel[k]].busy_ns += work;
        x->ns_per_byte[k] = (double)work / (double)bytes;
    }
    if (cost.fixed == 0) {
        es_share_join(run, x);
        return;
    }
    x->due.fire = channel_works;
    es_calendar_add(&run->calendar, &x->due, run->now + cost.fixed, ES_PHASE_COMPLETE);
}

typedef enum channel_may { CHANNEL_GO, CHANNEL_WAITS, CHANNEL_GONE } channel_may;

/* Room was not to be had below the serving tier: a write-back waits for those that make room for it or is given up, a copy on its
 * way up goes through without staying. So nothing waits for a lower tier but what ends by itself. */
static channel_may channel_low(es_run *run, es_xfer *x, es_room room)
{
    if (x->kind == ES_CLASS_WRITE && room == ES_ROOM_LEAVING)
        return CHANNEL_WAITS;
    if (x->kind == ES_CLASS_WRITE) {
        uint32_t from = run->link[x->link].from;
        channel_withdraw(run, x, ES_DEMOTE);
        es_store_give_up(run, from, x->object);
        return CHANNEL_GONE;
    }
    x->transient = true;
    run->tier_view[x->tier].queued[x->object >> 6] &= ~channel_bit(x->object);
    es_bus_objects(run, ES_FACT_CANCEL, channel_why(x), &x->object, 1, run->link[x->link].from, x->tier);
    return CHANNEL_GO;
}

/* May the head of the queue start? A guess gets its room or waits; a demand exceeds its tier unless the event goes in waves or
 * write-backs are making room for it. */
static channel_may channel_room(es_run *run, es_xfer *x)
{
    if (x->transient || x->begun)
        return CHANNEL_GO;
    bool lifted = x->kind != ES_CLASS_WRITE && es_store_lift(run, run->link[x->link].from, x->object);
    es_tier *tier = &run->tier[x->tier];
    bool demand = x->kind == ES_CLASS_DEMAND && x->tier == run->serving;
    if (demand && run->contract->overflow == ES_KEEP_BEST) {
        run->exceeded = true;
        return CHANNEL_GO;
    }
    es_why why = demand ? ES_DEMAND : x->kind == ES_CLASS_GUESS ? ES_GUESS : ES_DEMOTE;
    es_room room = es_room_make(run, x->tier, x->object, tier->unit[x->object >> 6], why);
    if (room == ES_ROOM_OK)
        return CHANNEL_GO;
    bool waits = room == ES_ROOM_LEAVING || !demand || run->contract->overflow == ES_WAVES;
    if (waits && lifted)
        es_store_put_back(run, run->link[x->link].from, x->object);
    if (x->tier != run->serving)
        return channel_low(run, x, room);
    if (room == ES_ROOM_NEVER) {            /* a guess larger than the tier */
        run->tally.cancelled++;
        channel_withdraw(run, x, ES_GUESS);
        return CHANNEL_GONE;
    }
    if (waits)
        return CHANNEL_WAITS;
    es_room_exceed(run);
    return CHANNEL_GO;
}

/* The first of a class that does not wait for room. */
static es_xfer *channel_first(const es_run *run, const es_chan *chan, uint32_t kind)
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
static bool channel_moved(const es_run *run, const es_xfer *x)
{
    return run->tiers > 2 && !x->begun && !x->passing && x->kind != ES_CLASS_WRITE &&
        !es_mask_has(run->tier_view[run->link[x->link].from].resident, x->object);
}

/* Starts x, for which there is room, and with it as many of its followers as go in one batch. */
static void channel_begin(es_run *run, es_chan *chan, es_xfer *first, uint32_t most)
{
    es_xfer *batch[64], *next = first;
    uint32_t count = 0;
    int64_t bytes = 0;
    for (es_xfer *x; count < most && count < 64 && (x = next) != NULL; count++) {
        next = x->next;
        if (count > 0 && (x->link != first->link || channel_moved(run, x) || channel_room(run, x) != CHANNEL_GO))
            break;
        channel_leave(run, x);
        if (!x->begun)
            channel_take(run, x);
        batch[count] = x;
        bytes += x->left;
    }
    bool alone = count == 1;
    int64_t piece = alone && chan->chunk > 0 && bytes > chan->chunk ? chan->chunk : bytes;
    es_cost cost = channel_cost(run, chan, first->object, piece, count);
    chan->busy++;
    chan->view->batches++;
    chan->view->busy_ns += chan->discipline == ES_SHARED || chan->limits ? cost.work : cost.fixed + cost.work;  /* shared: latencies overlap */
    /* the objects of a batch land one after another, as their bytes arrive */
    int64_t moved = 0;
    for (uint32_t i = 0; i < count; i++) {
        es_xfer *x = batch[i];
        int64_t part = alone ? piece : x->left;
        moved += part;
        es_time after = moved == bytes || alone ? cost.fixed + cost.work : cost.fixed + es_ns_round((double)cost.work * (double)moved / (double)bytes);
        channel_run(run, chan, x, part, cost, after, i + 1 == count);
    }
}

static void channel_start(es_run *run, es_chan *chan)
{
    while (chan->busy < chan->lanes) {
        es_queue queue;
        es_xfer *first[ES_CLASSES];
        for (uint32_t k = 0; k < ES_CLASSES; k++) {
            first[k] = channel_first(run, chan, k);
            queue.waiting[k] = chan->queue[k].count;
            queue.order[k] = first[k] ? first[k]->order : UINT64_MAX;
            queue.blocked[k] = !first[k];
        }
        uint32_t k = chan->scheduler->pick(chan->scheduler_state, &queue);
        if (k >= ES_CLASSES || !first[k])
            return;
        es_xfer *x = first[k];
        if (channel_moved(run, x)) {
            channel_leave(run, x);
            channel_route(run, x);
            continue;
        }
        channel_may may = channel_room(run, x);
        if (may == CHANNEL_WAITS)
            chan->blocked[k] |= 1u << x->tier;
        if (may != CHANNEL_GO)
            continue;
        uint32_t most = chan->scheduler->batch && !run->link[x->link].elastic ? chan->scheduler->batch(chan->scheduler_state, (es_class)k, &queue) : 1;
        channel_begin(run, chan, x, most < 1 ? 1 : most);
    }
}

void es_channels_start(es_run *run)
{
    while (run->dirty) {
        uint32_t c = (uint32_t)__builtin_ctzll(run->dirty);
        run->dirty &= run->dirty - 1;
        channel_start(run, &run->chan[c]);
    }
    if (run->reshare)
        es_share_settle(run);
}

void es_channels_unblock(es_run *run)
{
    for (uint32_t c = 0; c < run->chans; c++)
        for (int k = 0; k < ES_CLASSES; k++)
            if (run->chan[c].blocked[k]) {
                run->chan[c].blocked[k] = 0;
                run->dirty |= 1ull << c;
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
