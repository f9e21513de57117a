/* Start: what the serving tier holds before the first step, beside the pins of the policy: the experts of contract.start.
 *
 * They come in the order of their file, as if each had been guessed: the policy keeps them in that order (for lru the first is the
 * oldest) and may give them up. They were there before the run, so nothing is charged for them, and none of them is new later. */
#include "sim/core/core.h"

void es_start_beside(es_run *run)
{
    es_tier *tier = &run->tier[run->serving];
    if (!run->view.pins_beside || tier->ground)         /* what is laid out has no more room for it: they lie outside */
        return;
    for (uint32_t b = 0; b < (run->view.per_layer ? run->view.layers : 1); b++) {
        tier->room[b] += tier->settled[b];      /* as es_resize_room has it */
        run->bucket_room[tier->view->first_bucket + b] += (uint64_t)tier->settled[b];
    }
}

static es_code start_full(const es_run *run, const es_plan_start *row, es_err *err)
{
    const es_tier *tier = &run->tier[run->serving];
    return es_err_set(err, ES_EINPUT, "contract.start: %s: line %llu: no room is left in tier %s for layer %u expert %u; its capacity is %s%s", run->contract->start,
        (unsigned long long)row->line, tier->name, run->view.layer_number[row->layer], row->expert, run->plan->tiers[run->serving].capacity,
        run->view.per_layer ? ", shared by the layers" : "");
}

/* false: there is no room. An expert that is pinned is there already. */
static bool start_place(es_run *run, es_oid object)
{
    es_tier *tier = &run->tier[run->serving];
    uint32_t bucket = run->view.per_layer ? run->view.layer_of[object >> 6] : 0;
    if (es_mask_has(tier->view->resident, object))
        return true;
    if (tier->ground ? !es_place_free(run, run->serving, object) : tier->used[bucket] + tier->unit[object >> 6] > tier->room[bucket])
        return false;
    es_store_take(run, run->serving, object);
    es_store_land(run, run->serving, object);
    run->seen[object >> 6] |= 1ull << (object & 63);
    run->moved[run->tally.initial_loads++] = object;
    return true;
}

es_code es_start_fill(es_run *run, es_err *err)
{
    const es_plan *plan = run->plan;
    const uint32_t slices = run->composer.slices;
    const uint64_t before = run->tally.initial_loads;
    for (size_t i = 0; i < plan->start_count; i++) {
        es_oid first = es_object_of(&run->view, plan->start[i].layer, plan->start[i].expert);
        for (uint32_t s = 0; s < slices; s++)
            if (!start_place(run, first + s * run->view.slice))
                return start_full(run, &plan->start[i], err);
    }
    const es_oid *moved = run->moved + before;
    uint32_t count = (uint32_t)(run->tally.initial_loads - before);
    if (count > 0 && run->policy->part.hears >> ES_FACT_START_GUESS & 1)
        run->policy->part.notify(run->policy_state, &(es_fact){.kind = ES_FACT_START_GUESS, .why = ES_INITIAL, .objects = moved, .count = count, .from = run->home,
            .to = run->serving, .channel = ES_NONE});
    es_bus_objects(run, ES_FACT_START, ES_INITIAL, moved, count, run->home, run->serving);
    es_bus_objects(run, ES_FACT_LAND, ES_INITIAL, moved, count, run->home, run->serving);
    return ES_OK;
}
