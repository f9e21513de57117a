/* Channel, inside: the queues of a channel as channel.c (asking) and transfer.c (moving) use them. Inline, because
 * every copy enters one and leaves it. */
#ifndef ES_CORE_CHANNEL_H
#define ES_CORE_CHANNEL_H

#include "sim/core/core.h"

static inline void fifo_append(es_fifo *fifo, es_xfer *x)
{
    x->next = NULL;
    x->prev = fifo->tail;
    *(fifo->tail ? &fifo->tail->next : &fifo->head) = x;
    fifo->tail = x;
    fifo->count++;
}

/* What has begun goes on before what has not, in the order of asking. */
static inline void fifo_resume(es_fifo *fifo, es_xfer *x)
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

static inline void fifo_remove(es_fifo *fifo, es_xfer *x)
{
    *(x->prev ? &x->prev->next : &fifo->head) = x->next;
    *(x->next ? &x->next->prev : &fifo->tail) = x->prev;
    fifo->count--;
}

static inline es_chan *channel_of(es_run *run, const es_xfer *x)
{
    return &run->chan[run->link[x->link].channel[0]];
}

static inline void channel_wake(es_run *run, const es_xfer *x)
{
    run->dirty |= 1ull << run->link[x->link].channel[0];
}

/* The number waiting changes by one: the area under it grows by what was, for Little's law. */
static inline void channel_depth(es_run *run, es_chan *chan)
{
    int64_t waiting = (int64_t)chan->queue[0].count + chan->queue[1].count + chan->queue[2].count;
    chan->depth_area += waiting * (run->now - chan->depth_since);
    chan->depth_since = run->now;
}

static inline void channel_waiting(es_run *run, const es_chan *chan)
{
    if (es_bus_heard(run, ES_FACT_WAITING))
        es_bus_deliver(run, &(es_fact){.kind = ES_FACT_WAITING, .at = run->now, .since = run->now, .from = ES_NO_TIER, .to = ES_NO_TIER,
            .channel = (uint32_t)(chan - run->chan), .count = chan->queue[0].count + chan->queue[1].count + chan->queue[2].count,
            .step = run->composer.steps});
}

static inline void channel_enter(es_run *run, es_xfer *x, bool ahead)
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
    channel_waiting(run, chan);
    channel_wake(run, x);
}

static inline void channel_remove(es_run *run, es_chan *chan, es_xfer *x)
{
    channel_depth(run, chan);
    chan->blocked[x->kind] &= ~(1u << x->tier);
    fifo_remove(&chan->queue[x->kind], x);
    chan->view->queue_ns += run->now - x->asked;
    x->queued = false;
    channel_waiting(run, chan);
}

static inline void channel_leave(es_run *run, es_xfer *x)
{
    channel_remove(run, channel_of(run, x), x);
    channel_wake(run, x);
}

static inline es_why channel_class_why(unsigned kind)
{
    return kind == ES_CLASS_GUESS ? ES_GUESS : kind == ES_CLASS_WRITE ? ES_DEMOTE : ES_DEMAND;
}

static inline es_why channel_why(const es_xfer *x)
{
    return channel_class_why(x->kind);
}

/* Queues the copy on the last link of its way, or first asks for it one tier nearer. */
void es_channel_route(es_run *run, es_xfer *x);
/* A copy into `tier` that is asked for, not yet on any way. */
es_xfer *es_channel_new(es_run *run, uint32_t tier, es_oid object, es_class kind, bool transient);
/* A copy that waits goes away: never begun, or between two chunks. */
void es_channel_withdraw(es_run *run, es_xfer *x, es_why why);
/* What `count` copies of `bytes` in all cost on the channel. */
es_cost es_channel_cost(es_run *run, es_chan *chan, es_oid object, int64_t bytes, uint32_t count);

#endif
