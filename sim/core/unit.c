/* Unit: a compute unit (gpu, cpu) whose work and copies slow each other: `slowed_by` names it, or it has one itself.
 *
 * Any other serves first come, first served with known times, so that its queue is arithmetic and nothing of this is used.
 *   it slows others   it counts as busy from now until the end of what it was given; both ends change the rates of copies
 *   it is slowed      its work is a queue of jobs, and the one at hand is remaining work times a rate: the product of the factors of
 *                     what is busy now, brought up to date whenever something begins or ends (share.c). free_at is ES_NEVER while
 *                     there is work. */
#include "sim/core/core.h"

static es_code unit_new(es_run *run, uint32_t c, es_compute_unit **out, es_err *err)
{
    es_chan *chan = c == ES_NONE ? NULL : &run->chan[c];
    if (!run->view.timed || !chan || (!chan->slows && chan->slower_count == 0))
        return ES_OK;
    es_compute_unit *u = *out = ES_NEW(&run->arena, es_compute_unit);
    ES_NEED(u, "a compute unit");
    u->chan = chan;
    u->elastic = chan->slower_count > 0;
    u->job = ES_NEW_ARRAY(&run->arena, u->elastic ? 3 * (size_t)run->view.stride : 1, es_job)     /* experts, and what each pays first */;
    ES_NEED(u->job, "a compute unit");
    return ES_OK;
}

es_code es_units_open(es_run *run, es_err *err)
{
    es_code code = unit_new(run, run->gpu, &run->gpu_unit, err);
    if (code == ES_OK && run->cpu == run->gpu)
        run->cpu_unit = run->gpu_unit;
    else if (code == ES_OK)
        code = unit_new(run, run->cpu, &run->cpu_unit, err);
    return code;
}

static void unit_busy(es_run *run, es_chan *chan, bool busy)
{
    run->reshare |= chan->slows && chan->busy != busy;
    chan->busy = busy;
}

/* ---- it slows others ---- */

static void unit_idle(es_run *run, es_due *due)
{
    unit_busy(run, ((es_compute_unit *)(void *)due)->chan, false);
}

void es_unit_until(es_run *run, es_compute_unit *u, es_time at)
{
    if (at <= run->now)
        return;
    unit_busy(run, u->chan, true);
    es_calendar_cancel(&run->calendar, &u->due);
    u->due.fire = unit_idle;
    es_calendar_add(&run->calendar, &u->due, at, ES_PHASE_RELEASE);
}

/* ---- it is slowed ---- */

static double unit_rate(const es_run *run, const es_chan *chan)
{
    double rate = 1.0;
    for (uint32_t i = 0; i < chan->slower_count; i++)
        if (es_channel_busy(run, chan->slower[i]))
            rate *= chan->slowing[i];
    return rate;
}

static void unit_done(es_run *run, es_due *due);

static void unit_due(es_run *run, es_compute_unit *u)
{
    u->due.fire = unit_done;
    es_calendar_add(&run->calendar, &u->due, run->now + es_ns_round(u->work / u->rate), ES_PHASE_RELEASE);
}

static void unit_begin(es_run *run, es_compute_unit *u)
{
    unit_busy(run, u->chan, true);
    u->chan->free_at = ES_NEVER;
    u->began = u->since = run->now;
    u->work = (double)u->job[u->head].cost;
    u->rate = unit_rate(run, u->chan);
    unit_due(run, u);
}

static void unit_done(es_run *run, es_due *due)
{
    es_compute_unit *u = (es_compute_unit *)(void *)due;        /* due is its first member */
    es_oid object = u->job[u->head++].object;
    es_time began = u->began;
    if (u->head < u->count) {
        unit_begin(run, u);
    } else {
        u->head = u->count = 0;
        u->chan->free_at = run->now;
        unit_busy(run, u->chan, false);
    }
    es_layer_computed(run, (uint32_t)(u->chan - run->chan), object, began);
}

void es_unit_ask(es_run *run, es_compute_unit *u, es_oid object, es_time cost)
{
    u->job[u->count++] = (es_job){object, cost};
    if (u->count - u->head == 1)
        unit_begin(run, u);
}

static void unit_settle(es_run *run, es_compute_unit *u)
{
    double rate = u && u->count > u->head ? unit_rate(run, u->chan) : 0;
    if (rate == 0 || rate == u->rate)
        return;
    u->work -= u->rate * (double)(run->now - u->since);
    if (u->work < 0)
        u->work = 0;
    u->since = run->now;
    u->rate = rate;
    es_calendar_cancel(&run->calendar, &u->due);
    unit_due(run, u);
}

void es_units_settle(es_run *run)
{
    unit_settle(run, run->gpu_unit);
    if (run->cpu_unit != run->gpu_unit)
        unit_settle(run, run->cpu_unit);
}
