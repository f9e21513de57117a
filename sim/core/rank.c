/* Rank: a lower tier with a policy of its own (tiers.NAME.policy).
 *
 * The run's policy orders every tier by last use: a hit further up makes the copies below young too. A tier with its own policy knows
 * only what happens to it, as a cache of its own would. To that policy the tier is the serving one, and its uses are
 *   what is read from it, for a copy on its way up;      what comes into it, from above or below, or is put over the copy it has.
 * A guess comes as a guess. What leaves for another reason than being named leaves as from any lower tier. */
#include "sim/core/core.h"

static void rank_event(es_run *run, es_rank *rank, es_oid object)
{
    const es_composer *c = &run->composer;
    const uint32_t layer = run->view.layer_of[object >> 6];
    es_event *e = &rank->event;
    if (e->count > 0)
        rank->mask[rank->index >> 6] = rank->hit[rank->index >> 6] = 0;
    const es_oid base = es_layer_base(&run->view, layer);
    rank->index = (uint16_t)(object - base);
    rank->mask[rank->index >> 6] = 1ull << (rank->index & 63);
    rank->hit[rank->index >> 6] = es_mask_has(run->tier_view[rank->tier].resident, object) ? rank->mask[rank->index >> 6] : 0;
    *e = (es_event){.index = c->events, .at = c->positions, .step = c->event.step, .layer = layer, .request = c->request, .phase = c->event.phase, .first = true,
        .last = true, .counted = c->event.counted, .tokens = 1, .assignments = 1, .base = base, .count = 1, .list = &rank->index, .touch = &rank->index,
        .word = base / 64, .words = run->view.words_per_layer, .mask = rank->mask, .hit = rank->hit,
        .hits = rank->hit[rank->index >> 6] != 0, .rows = &c->step, .row = c->row};
}

static void rank_tell(es_run *run, es_rank *rank, es_fact fact)
{
    const es_part *part = &rank->policy->part;
    rank->view.now = run->now;
    rank->view.guard = run->view.guard;
    if (part->notify && part->hears >> fact.kind & 1)
        part->notify(rank->state, &fact);
}

void es_rank_use(es_run *run, es_rank *rank, es_oid object)
{
    rank_event(run, rank, object);
    rank_tell(run, rank, (es_fact){.kind = ES_FACT_USE, .why = ES_DEMAND, .at = run->now, .since = run->now, .event = &rank->event, .from = ES_NO_TIER,
        .to = rank->tier, .channel = ES_NONE, .step = rank->event.step});
}

static void rank_notify(void *self, const es_fact *fact)
{
    es_rank *rank = self;
    es_run *run = rank->run;
    es_fact told = *fact;
    if (fact->kind == ES_FACT_RESET) {
        rank_tell(run, rank, told);
    } else if (fact->kind == ES_FACT_LEAVE_LOW) {
        if (fact->from == rank->tier && fact->why == ES_TOUCH)     /* victims it has named itself */
            rank_tell(run, rank, told);
    } else if (fact->to == rank->tier) {
        told.kind = ES_FACT_START_GUESS;
        if (fact->why == ES_GUESS)
            rank_tell(run, rank, told);
        for (uint32_t i = 0; i < fact->count && fact->why != ES_GUESS; i++)
            es_rank_use(run, rank, fact->objects[i]);
    }
}

size_t es_rank_victims(es_run *run, es_rank *rank, const es_need *need, es_oid *out, size_t most)
{
    rank->view.now = run->now;
    rank->view.guard = run->view.guard;
    return rank->policy->victims(rank->state, need, out, most);
}

static es_code rank_open(es_run *run, uint32_t t, es_err *err)
{
    const es_plan_part *row = &run->plan->tiers[t].policy;
    const es_policy *policy = (const es_policy *)(const void *)row->part;
    const es_tier *tier = &run->tier[t];
    if (tier->home || tier->serving)
        return es_err_set(err, ES_EINPUT, "tiers.%s.policy: %s; a policy of its own is for a tier between it and home", tier->name,
            tier->home ? "nothing has to leave the home tier" : "the serving tiers are ordered by the run's `policy`");
    if (row->part->flags & (ES_ORACLE | ES_POPULARITY) || policy->initial)
        return es_err_set(err, ES_EINPUT, "tiers.%s.policy: %s knows the trace beforehand, not what of it comes to this tier; take one that goes by what it has seen",
            tier->name, row->part->name);
    es_rank *rank = ES_NEW(&run->arena, es_rank);
    ES_NEED(rank, "a tier's policy");
    rank->run = run;
    rank->tier = t;
    rank->policy = policy;
    rank->view = run->view;
    rank->view.serving = t;
    rank->mask = ES_NEW_ARRAY(&run->arena, run->view.words_per_layer, uint64_t);
    rank->hit = ES_NEW_ARRAY(&run->arena, run->view.words_per_layer, uint64_t);
    ES_NEED(rank->mask && rank->hit, "a tier's policy");
    const unsigned hears = ES_HEARS(ES_FACT_ARRIVE_LOW) | ES_HEARS(ES_FACT_LEAVE_LOW) | ES_HEARS(ES_FACT_RESET);
    run->listener[run->listeners++] = (es_listener){rank, rank_notify, hears};
    run->heard |= hears;
    run->tier[t].rank = rank;
    return es_assemble_seen(run, &rank->view, row, NULL, &rank->state, err);
}

es_code es_rank_open(es_run *run, es_err *err)
{
    es_code code = ES_OK;
    for (uint32_t t = 0; t < run->tiers && code == ES_OK; t++)
        if (run->plan->tiers[t].policy.part)
            code = rank_open(run, t, err);
    return code;
}
