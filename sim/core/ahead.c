/* Ahead: guesses that are brought no further than a tier below the serving one (compute.guess_tier), from disk to DRAM say, so that a
 * demand has the short way only.
 *
 * A demand that finds one there has used it; one that comes while it is on its way waits for it, as a demand from then on. One for
 * which there is no room is dropped; what the serving tier has, or is getting, is not brought. Nothing of it dies at a gate: what is
 * read ahead for the next step is of use later too. */
#include "sim/core/core.h"

#include <string.h>

es_code es_ahead_open(es_run *run, es_err *err)
{
    const char *name = run->plan->compute.guess_tier;
    run->guess_tier = run->serving;
    if (!name)
        return ES_OK;
    for (uint32_t t = 0; t < run->tiers; t++)
        if (strcmp(run->tier[t].name, name) == 0)
            run->guess_tier = t;
    const es_tier *tier = &run->tier[run->guess_tier];
    if (strcmp(tier->name, name) != 0)
        return es_err_set(err, ES_EINPUT, "compute.guess_tier: there is no tier \"%s\"", name);
    if (run->guess_tier == run->serving)
        return ES_OK;
    if (tier->home || run->levels > 1)
        return es_err_set(err, ES_EINPUT, "compute.guess_tier: %s", tier->home ? "the home tier has nothing to wait for; name one between it and the serving tier" :
            "with several serving tiers the policy says where guesses go");
    if (tier->hops[run->home] == ES_NONE || run->tier[run->serving].hops[run->guess_tier] == ES_NONE)
        return es_err_set(err, ES_EINPUT, "compute.guess_tier: %s is on no way from %s to %s", name, run->tier[run->home].name, run->tier[run->serving].name);
    ES_NEED(run->ahead.held = es_new_mask(run), "guesses");
    return ES_OK;
}

bool es_ahead_wants(const es_run *run, es_oid object)
{
    const es_tier_view *tier = &run->tier_view[run->serving];
    return !((tier->resident[object >> 6] | tier->inbound[object >> 6] | tier->queued[object >> 6]) & es_bit(object));
}

void es_ahead_begins(es_run *run, es_oid object)
{
    run->ahead.copies++;
    run->ahead.held[object >> 6] |= es_bit(object);
}

static bool ahead_take(es_run *run, es_oid object)
{
    const bool held = es_mask_has(run->ahead.held, object);
    run->ahead.held[object >> 6] &= ~es_bit(object);
    return held;
}

void es_ahead_found(es_run *run, uint32_t from, es_oid object)
{
    if (run->ahead.held && ahead_take(run, object) && from == run->guess_tier)      /* else it has left again before */
        run->ahead.used++;
}

void es_ahead_waits(es_run *run, const es_xfer *before)
{
    if (!run->ahead.held || before->tier != run->guess_tier || before->via)
        return;
    ahead_take(run, before->object);
    run->ahead.waited++;
}

void es_ahead_report(const es_run *run, es_json *out)
{
    if (!run->ahead.held)
        return;
    es_json_add_int(out, "prefetched", (int64_t)run->ahead.copies);
    es_json_add_int(out, "prefetch_used", (int64_t)run->ahead.used);
    es_json_add_int(out, "prefetch_waited", (int64_t)run->ahead.waited);
}
