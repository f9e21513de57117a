/* Wake: the periodic work of parts, as entries of the calendar. Under clock none no time passes and nobody is woken.
 *
 * At one instant parts wake when copies have landed, layers have ended and gates are passed: first the parts of the machine, then
 * policy, predictor, dispatcher, router and tuner, observers last. */
#include "sim/core/core.h"

static void wake_part(es_run *run, es_placed *p);

static void wake_fire(es_run *run, es_due *due)
{
    es_placed *p = (es_placed *)(void *)due;    /* due is its first member */
    run->waking--;
    /* When only wakes are left the run is stuck, for nothing waits for a wake: without them it ends and says so. */
    bool others = run->calendar.count > run->waking + run->calendar.hole;
    if (!run->ended && (others || (run->dirty | run->reshare)))
        wake_part(run, p);
}

static ES_COLD void wake_fault(es_run *run, const es_placed *p, es_time next)
{
    run->code = es_err_set(run->err, ES_EINTERNAL, "%s: %s wants to be woken at %lld ns, which is not after %lld ns, the time it is", p->path, p->part->name,
        (long long)next, (long long)run->now);
    run->stopped = true;
}

static void wake_part(es_run *run, es_placed *p)
{
    run->view.now = run->now;
    es_time next = p->part->wake(p->self, run->now);
    if (p->tuner && p->tuner->adjust)
        p->tuner->adjust(p->self, &run->knobs);
    if (run->assigner && p->self == run->assigner_state)
        es_catalog_reassign(run);
    if (next == ES_NEVER)
        return;
    if (next <= run->now) {
        wake_fault(run, p, next);
        return;
    }
    p->due.fire = wake_fire;
    es_calendar_add(&run->calendar, &p->due, next, p->phase);
    run->waking++;
}

void es_wakes_begin(es_run *run)
{
    for (es_placed *p = run->wakes ? run->placed : NULL; p; p = p->next)
        if (p->part->wake)
            wake_part(run, p);
}
