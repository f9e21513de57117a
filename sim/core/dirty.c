/* Dirty: what was changed is written down before it is lost.
 *
 * A copy is dirty when it is newer than every copy below it. It is made so by who changes it (training), stays so until a
 * write-back has read it, and takes that with it when it moves without one. tiers.NAME.write_back says which copies are written when
 * they leave their tier (store.c asks); a write-back is a copy like others, over the link down, in the class for write-backs.
 *
 *   put     the tier below has room, or has a copy that the newer one overwrites in its place
 *   onward  it has neither: what must not be lost goes through, over the next link down
 *   join    a copy is on its way up into that tier just now: it brings the newer version when it lands
 *
 * While a version is held by no tier, because it goes through one or finds no room to come back from a write buffer, who wants it waits until it has landed (es_dirty_comes). */
#include "sim/core/core.h"

#include <assert.h>

/* ---- opening ---- */

es_code es_dirty_open(es_run *run, es_err *err)
{
    for (uint32_t t = 0; t < run->tiers; t++) {
        es_tier *tier = &run->tier[t];
        run->writes |= tier->write_back != ES_WRITE_NEVER;
        if (tier->write_back == ES_WRITE_NEVER && (tier->write_through || tier->write_every))
            return es_err_set(err, ES_EINPUT, "tiers.%s.%s: its write_back is never", tier->name, tier->write_through ? "write_through" : "write_every");
        if (tier->write_back == ES_WRITE_NEVER)
            continue;
        if (tier->home)
            return es_err_set(err, ES_EINPUT, "tiers.%s.write_back: nothing leaves the home tier", tier->name);
        if (tier->demote == ES_NO_TIER || run->tier[tier->demote].hops[t] != 1)
            return es_err_set(err, ES_EINPUT, "tiers.%s.write_back: needs `demote` and a link to the tier it names", tier->name);
        if (tier->demote == run->home && run->plan->tiers[run->home].holds == ES_HOLDS_NOTHING)
            return es_err_set(err, ES_EINPUT, "tiers.%s.write_back: tier %s holds nothing, so there is nothing to write to it", tier->name, run->tier[run->home].name);
    }
    run->singly = run->tiers > 2 || run->writes || run->made || run->trains;
    for (uint32_t t = 0; (run->writes || run->trains) && t < run->tiers; t++)
        ES_NEED(run->tier[t].dirty = es_new_mask(run), "tiers");
    return ES_OK;
}

/* ---- the bit ---- */

static bool dirty_take(es_tier *tier, es_oid object)
{
    if (!tier->dirty || !es_mask_has(tier->dirty, object))
        return false;
    tier->dirty[object >> 6] &= ~es_bit(object);
    return true;
}

static void dirty_set(es_tier *tier, es_oid object)
{
    if (tier->home || !tier->dirty)
        return;
    tier->dirtied += !es_mask_has(tier->dirty, object);
    tier->dirty[object >> 6] |= es_bit(object);
}

/* A change arrives in the tier: it goes on at once where that is the rule. */
static void dirty_came(es_run *run, uint32_t t, es_oid object)
{
    dirty_set(&run->tier[t], object);
    if (run->tier[t].write_through)
        es_dirty_copied(run, t, object);
}

void es_dirty_make(es_run *run, uint32_t t, es_oid object)
{
    dirty_came(run, t, object);
}

void es_dirty_moved(es_run *run, uint32_t from, uint32_t to, es_oid object)
{
    if (!dirty_take(&run->tier[from], object))
        return;
    run->tier[from].dirtied--;              /* it is dirty as before, elsewhere */
    dirty_set(&run->tier[to], object);
}

void es_dirty_left(es_run *run, uint32_t t, uint32_t to, es_oid object)
{
    es_tier *tier = &run->tier[t];
    if (!dirty_take(tier, object))
        return;
    const bool nowhere = to == ES_NO_TIER || (to == run->home && run->plan->tiers[to].holds == ES_HOLDS_NOTHING);
    const es_tier_view *low = nowhere ? NULL : &run->tier_view[to];
    if (!low || (!low->home && !((low->resident[object >> 6] | low->inbound[object >> 6] | low->queued[object >> 6]) & es_bit(object)))) {
        tier->lost++;
        return;
    }
    tier->cleaned++;
    dirty_set(&run->tier[to], object);
}

/* A change that nothing writes any further. */
static void dirty_lose(es_tier *tier)
{
    tier->dirtied++;
    tier->lost++;
}

/* ---- where there is no room ---- */

static uint32_t dirty_below(const es_run *run, uint32_t t)
{
    const uint32_t to = run->tier[t].demote;
    return to == ES_NO_TIER || run->tier[to].hops[t] != 1 ? ES_NO_TIER : to;
}

/* ---- clock none ---- */

/* Into a tier that has room for it: by demotion, or as a copy of what stays above. */
static void dirty_enter(es_run *run, uint32_t from, uint32_t to, es_oid object, bool left)
{
    if (left) {
        es_store_arrive(run, from, to, object);
        return;
    }
    es_store_take(run, to, object);
    es_bus_objects(run, ES_FACT_START, ES_DEMOTE, &object, 1, from, to);
    es_store_land(run, to, object);
    es_bus_objects(run, ES_FACT_LAND, ES_DEMOTE, &object, 1, from, to);
    es_bus_objects(run, ES_FACT_ARRIVE_LOW, ES_DEMOTE, &object, 1, from, to);
}

typedef struct dirty_version { /* on its way down */
    uint32_t first;             /* tier that it comes from */
    bool left, changed;         /* its copy there is gone; it is newer than what is below */
} dirty_version;

static void dirty_put(es_run *run, dirty_version v, uint32_t from, uint32_t to, es_oid object)
{
    es_tier *low = &run->tier[to];
    es_link_count(run, low->way[from], object);
    run->tier[from].written++;
    run->tally.writeback_bytes += run->bytes[object >> 6];
    if (low->home)
        return;
    if (es_mask_has(low->view->resident, object)) {
        es_rank_used(run, to, object);
    } else if (es_room_make(run, to, object, low->unit[object >> 6], ES_DEMOTE) == ES_ROOM_OK) {
        dirty_enter(run, v.first, to, object, v.left);
    } else {
        const uint32_t below = dirty_below(run, to);
        if (below != ES_NO_TIER)
            dirty_put(run, v, to, below, object);
        if (below == ES_NO_TIER && v.changed)
            dirty_lose(low);
        return;
    }
    if (v.changed)
        dirty_came(run, to, object);
}

/* What home holds anew is not dirty there; where the copy has left meanwhile the whole expert comes. */
void es_dirty_put(es_run *run, uint32_t from, uint32_t to, es_oid object)
{
    es_tier *low = &run->tier[to];
    if (low->home)
        return;
    if (!es_mask_has(low->view->resident, object) && es_room_make(run, to, object, low->unit[object >> 6], ES_DEMOTE) == ES_ROOM_OK)
        dirty_enter(run, from, to, object, false);
    if (es_mask_has(low->view->resident, object)) {
        es_rank_used(run, to, object);
        dirty_came(run, to, object);
    } else {
        es_dirty_pass(run, to, object);
    }
}

void es_dirty_pass(es_run *run, uint32_t t, es_oid object)
{
    const uint32_t below = dirty_below(run, t);
    es_tier *tier = &run->tier[t];
    if (below == ES_NO_TIER || tier->write_back == ES_WRITE_NEVER) {
        dirty_lose(tier);
        return;
    }
    tier->dirtied++;
    tier->cleaned++;
    if (run->view.timed)
        es_channel_write_back(run, t, below, object, true);
    else
        dirty_put(run, (dirty_version){.first = t, .changed = true}, t, below, object);
}

void es_dirty_write_all(es_run *run, uint32_t t, bool changed)
{
    const es_tier *tier = &run->tier[t];
    for (uint32_t w = 0; tier->dirty && w < run->view.words; w++)
        for (uint64_t left = tier->view->resident[w] & (changed ? tier->dirty[w] : ~0ull); left; left &= left - 1) {
            const es_oid object = w * 64 + (es_oid)__builtin_ctzll(left);
            if (es_dirty_must(run, t, object))
                es_dirty_copied(run, t, object);
        }
}

void es_dirty_copied(es_run *run, uint32_t t, es_oid object)
{
    es_tier *tier = &run->tier[t];
    const bool stays = run->view.timed && es_mask_has(tier->view->resident, object);    /* it is read when the transfer begins */
    const bool changed = !stays && dirty_take(tier, object);
    tier->cleaned += changed;
    if (run->view.timed)
        es_channel_write_back(run, t, tier->demote, object, changed);
    else
        dirty_put(run, (dirty_version){t, !es_mask_has(tier->view->resident, object), changed}, t, tier->demote, object);
}

/* ---- simulated clock ---- */

void es_dirty_begins(es_run *run, es_xfer *x)
{
    es_tier *from = &run->tier[run->link[x->link].from];
    if (x->gradient || x->tier == run->serving)
        return;
    from->written++;
    if (!dirty_take(from, x->object))
        return;
    from->cleaned++;
    x->changed = true;
}

/* It found no copy to overwrite and no room. */
static void dirty_onward(es_run *run, uint32_t t, es_oid object, bool changed)
{
    const uint32_t below = dirty_below(run, t);
    if (below != ES_NO_TIER)
        es_channel_write_back(run, t, below, object, changed);
    else if (changed)
        dirty_lose(&run->tier[t]);
}

void es_dirty_landed(es_run *run, es_xfer *x)
{
    es_tier *low = &run->tier[x->tier];
    const uint32_t from = run->link[x->link].from;
    const bool changed = x->changed, again = x->again, gradient = x->gradient;
    x->changed = x->again = x->gradient = false;
    if (x->tier == run->serving)
        return;                             /* new weights from the host */
    if (!low->home) {
        if (x->transient)
            es_store_recall_at(run, x->tier, x->object);
        if (!es_mask_has(low->view->resident, x->object))
            dirty_onward(run, x->tier, x->object, changed);
        else if (changed)
            dirty_came(run, x->tier, x->object);
        if (x->transient && es_mask_has(low->view->resident, x->object))
            es_rank_used(run, x->tier, x->object);
    }
    if (again)
        es_channel_write_back(run, from, x->tier, x->object, true);
    if (gradient)
        es_train_gradient(run, x->object);
}

bool es_dirty_comes(const es_run *run, es_oid object)
{
    for (uint32_t t = 0; run->writes && t < run->tiers; t++) {
        const es_xfer *x = &run->tier[t].xfer[object];
        const es_tier *from = &run->tier[run->link[x->link].from];
        if ((x->queued || x->running) && x->kind == ES_CLASS_WRITE && (x->transient || es_spool_has(from, object)) && !es_mask_has(from->view->resident, object))
            return true;
    }
    return false;
}

/* ---- the report ---- */

uint64_t es_dirty_held(const es_run *run, const es_tier *tier)
{
    uint64_t held = 0;
    for (uint32_t w = 0; tier->dirty && w < run->view.words; w++)
        held += (uint64_t)__builtin_popcountll(tier->dirty[w]);
    return held;
}

void es_dirty_report(const es_run *run, const es_tier *tier, es_json *out)
{
    if (!tier->dirty || tier->home)
        return;
    es_json_add_int(out, "written_back", (int64_t)tier->written);
    es_json_add_int(out, "dirtied", (int64_t)tier->dirtied);
    es_json_add_int(out, "cleaned", (int64_t)tier->cleaned);
    es_json_add_int(out, "lost_changes", (int64_t)tier->lost);
    es_json_add_int(out, "dirty", (int64_t)(run->flush ? tier->unsaved : es_dirty_held(run, tier)));
    es_spool_report(tier, out);
}
