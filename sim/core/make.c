/* Make: experts that home does not hold from the start (tiers.NAME.holds).
 *
 *   touched   an expert is created when it is first wanted. That costs a write to home, over the link back to it from the tier that it
 *             comes into, and no read. To the rest of the core it is a copy from home over a link of its own, which takes the way
 *             back's channels and is counted there
 *   nothing   there is no store: an expert that no tier has is made anew, at what the link from home costs. What leaves the last tier
 *             that had it is lost, and counted
 *
 * A run on what an earlier run of the same trace has left is one whose home holds all. */
#include "sim/core/core.h"

#include <string.h>

static uint32_t make_back(const es_run *run, const es_link *link)
{
    for (uint32_t i = 0; i < run->links; i++)
        if (run->link[i].counts == i && run->link[i].from == link->to && run->link[i].to == link->from)
            return i;
    return ES_NONE;
}

es_code es_make_links(es_run *run, es_err *err)
{
    const es_tier *home = &run->tier[run->home];
    const uint32_t links = run->links;
    for (uint32_t t = 0; t < run->tiers; t++)
        if (run->plan->tiers[t].holds != ES_HOLDS_ALL && t != run->home)
            return es_err_set(err, ES_EINPUT, "tiers.%s.holds: is for the home tier, which is %s", run->tier[t].name, home->name);
    if (run->plan->tiers[run->home].holds == ES_HOLDS_ALL)
        return ES_OK;
    ES_NEED(run->made = es_new_mask(run), "created experts");
    for (uint32_t i = 0; i < links && run->plan->link_count > 0 && run->plan->tiers[run->home].holds == ES_HOLDS_TOUCHED; i++) {
        es_link *link = &run->link[i];
        if (link->from != run->home)
            continue;
        const uint32_t back = make_back(run, link);
        if (back == ES_NONE)
            return es_err_set(err, ES_EINPUT, "tiers.%s.holds: touched needs a link from %s back to %s, over which new experts are written", home->name,
                run->tier[link->to].name, home->name);
        link->make = run->links;
        es_link *make = &run->link[run->links++];
        *make = run->link[back];
        make->from = run->home;
        make->to = link->to;
        make->make = ES_NONE;
        make->counts = back;
    }
    return ES_OK;
}

void es_make_adopt(es_run *run)
{
    if (run->made)
        memcpy(run->made, run->tier_view[run->serving].resident, run->view.words * sizeof *run->made);
}

uint32_t es_make_count(es_run *run, uint32_t link, es_oid object)
{
    const uint32_t make = es_make_link(run, link, object);
    if (es_mask_has(run->made, object)) {
        run->remade += run->plan->tiers[run->home].holds == ES_HOLDS_NOTHING;
    } else {
        run->created++;
        run->made[object >> 6] |= es_bit(object);
    }
    return run->link[make].counts;
}

void es_make_left(es_run *run, es_oid object)
{
    if (run->plan->tiers[run->home].holds != ES_HOLDS_NOTHING || object == run->in_hand)
        return;
    for (uint32_t t = 0; t < run->tiers; t++) {
        const es_tier_view *tier = &run->tier_view[t];
        if (!tier->home && (tier->resident[object >> 6] | tier->inbound[object >> 6] | tier->outbound[object >> 6]) & es_bit(object))
            return;
        if (run->view.timed && run->tier[t].xfer[object].queued && run->tier[t].xfer[object].passing)
            return;
    }
    run->forgotten++;
}

void es_make_report(const es_run *run, es_json *out)
{
    if (!run->made)
        return;
    es_json_add_int(out, "created", (int64_t)run->created);
    es_json_add_int(out, "remade", (int64_t)run->remade);
    es_json_add_int(out, "forgotten", (int64_t)run->forgotten);
}
