/* Share: elastic transfers, whose rate depends on who else is there.
 *
 * A transfer on a link with the channels c0, c1, ... does `work` nanoseconds at c0's full rate. Moving one byte takes
 * ns_per_byte[c] of channel c's time; c has as much time per time as it has servers (1, or its lanes), times the factors of the
 * channels that slow it while they are busy. Rates are max-min fair in bytes per second (Bertsekas and Gallager, Data Networks,
 * 6.5.2): all rise together until a transfer reaches its own full rate or a channel is full; those are fixed, the rest go on.
 * With one channel of discipline `shared` and equal sizes this is processor sharing.
 *
 * Whenever something starts or ends, each transfer whose rate changes by it has its remaining work brought up to date and its end
 * set anew. */
#include "sim/core/core.h"

void es_share_join(es_run *run, es_xfer *x)
{
    x->place = run->elastic_count;
    x->since = run->now;
    x->rate = 0;
    run->elastic[run->elastic_count++] = x;
    run->reshare = true;
}

void es_share_leave(es_run *run, es_xfer *x)
{
    es_xfer *last = run->elastic[--run->elastic_count];
    run->elastic[x->place] = last;
    last->place = x->place;
    x->place = ES_NONE;
    run->reshare = true;
}

/* Time per time that a channel has now. */
static double share_capacity(const es_run *run, uint32_t c)
{
    const es_chan *chan = &run->chan[c];
    double capacity = chan->discipline == ES_LANES ? (double)chan->lanes : 1.0;
    for (uint32_t i = 0; i < chan->slower_count; i++)
        if (es_channel_busy(run, chan->slower[i]))
            capacity *= chan->slowing[i];
    return capacity;
}

/* One lane serves one transfer: it cannot be faster than its channel's full rate, slowed as the channel is. */
static double share_most(const es_run *run, const es_xfer *x)
{
    const es_chan *chan = &run->chan[run->link[x->link].channel[0]];
    double servers = chan->discipline == ES_LANES ? (double)chan->lanes : 1.0;
    return share_capacity(run, run->link[x->link].channel[0]) / servers / x->ns_per_byte[0];
}

/* Progressive filling: writes bytes per ns into x->rate of every elastic transfer. */
static void share_fill(es_run *run)
{
    double left[ES_MOST_CHANNELS], load[ES_MOST_CHANNELS];
    uint32_t open = run->elastic_count;
    for (uint32_t c = 0; c < run->chans; c++)
        left[c] = share_capacity(run, c);
    for (uint32_t i = 0; i < run->elastic_count; i++)
        run->elastic[i]->filling = ES_FILL_OPEN;
    while (open > 0) {
        for (uint32_t c = 0; c < run->chans; c++)
            load[c] = 0;
        for (uint32_t i = 0; i < run->elastic_count; i++) {
            const es_xfer *x = run->elastic[i];
            const es_link *link = &run->link[x->link];
            for (uint32_t k = 0; x->filling == ES_FILL_OPEN && k < link->channel_count; k++)
                load[link->channel[k]] += x->ns_per_byte[k];
        }
        /* the common rate at which the first channel is full or the first transfer at its most */
        double level = 1e300;
        for (uint32_t c = 0; c < run->chans; c++)
            if (load[c] > 0 && left[c] / load[c] < level)
                level = left[c] / load[c];
        double full = level;
        for (uint32_t i = 0; i < run->elastic_count; i++)
            if (run->elastic[i]->filling == ES_FILL_OPEN && share_most(run, run->elastic[i]) < level)
                level = share_most(run, run->elastic[i]);
        for (uint32_t i = 0; i < run->elastic_count; i++) {
            es_xfer *x = run->elastic[i];
            const es_link *link = &run->link[x->link];
            if (x->filling != ES_FILL_OPEN)
                continue;
            bool stops = level < full ? share_most(run, x) <= level : false;
            for (uint32_t k = 0; level >= full && k < link->channel_count; k++)
                stops |= left[link->channel[k]] / load[link->channel[k]] <= level;
            if (!stops)
                continue;
            x->filling = ES_FILL_NOW;           /* the channels are charged below, when all of this round are known */
            open--;
        }
        for (uint32_t i = 0; i < run->elastic_count; i++) {
            es_xfer *x = run->elastic[i];
            const es_link *link = &run->link[x->link];
            if (x->filling != ES_FILL_NOW)
                continue;
            x->filling = ES_FILL_DONE;
            x->rate = level;
            for (uint32_t k = 0; k < link->channel_count; k++) {
                double *rest = &left[link->channel[k]];
                *rest -= level * x->ns_per_byte[k];
                if (*rest < 0)
                    *rest = 0;
            }
        }
    }
}

void es_share_settle(es_run *run)
{
    run->reshare = false;
    es_units_settle(run);
    for (uint32_t i = 0; i < run->elastic_count; i++)
        run->rate_before[i] = run->elastic[i]->rate;
    share_fill(run);
    for (uint32_t i = 0; i < run->elastic_count; i++) {
        es_xfer *x = run->elastic[i];
        double before = run->rate_before[i];
        if (before > 0 && x->rate == before)
            continue;               /* its end stands as it was rounded: what does not concern it does not move it */
        x->work -= before * x->ns_per_byte[0] * (double)(run->now - x->since);
        if (x->work < 0)
            x->work = 0;
        x->since = run->now;
        double speed = x->rate * x->ns_per_byte[0];
        es_calendar_cancel(&run->calendar, &x->due);
        x->due.fire = es_channel_ended;
        es_calendar_add(&run->calendar, &x->due, run->now + es_ns_round(speed > 0 ? x->work / speed : 0), ES_PHASE_COMPLETE);
    }
}
