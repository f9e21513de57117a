/* Run: its end and its report. What observers know they add themselves; here stand the facts about capacity that decide
 * everything else, and the contract. */
#include "sim/core/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

es_code es_run_go(es_run *run, const es_progress *progress, es_err *err)
{
    run->progress = progress;
    es_code code = es_replay(run, err);
    for (uint32_t c = 0; c < run->chans; c++)
        if (c == run->gpu)
            run->chan_view[c].busy_ns = run->times.dense + run->times.expert_gpu;
    if (code == ES_OK && run->composer.steps == 0)
        return es_err_set(err, ES_EINPUT, "the trace has no steps to replay under contract.prefill \"%s\"", run->contract->prefill);
    if (code == ES_OK && !run->composer.event.counted && !run->composer.event.backward)
        return es_err_set(err, ES_EINPUT, "contract.skip_tokens: %lld leaves nothing to count; %llu tokens were replayed", (long long)run->contract->skip_tokens,
            (unsigned long long)run->composer.tokens);
    if (code == ES_OK && es_bus_heard(run, ES_FACT_END))
        es_bus_deliver(run, &(es_fact){.kind = ES_FACT_END, .at = run->now, .since = 0, .from = ES_NO_TIER, .to = ES_NO_TIER,
            .channel = ES_NONE, .step = run->composer.steps});
    return code == ES_OK ? es_flush_go(run, err) : code;
}

/* Experts that a token uses in a layer. */
static uint32_t run_row(const es_run *run)
{
    uint32_t width = run->composer.info->top_k;
    return run->composer.routes && run->router->uses ? run->router->uses(run->router_state, width) : width;
}

/* Of all experts of a layer, each at the precision it has. */
static int64_t run_layer_bytes(const es_run *run, uint32_t layer)
{
    const uint32_t first = es_layer_base(&run->view, layer) / 64;
    int64_t bytes = 0;
    for (uint32_t w = first; w < first + run->view.words_per_layer; w++)
        bytes += __builtin_popcountll(run->current[w]) * run->bytes[w];
    return bytes;
}

/* One token's experts over all layers: with less room LRU scores exactly zero on decode. Layers that share their experts may all
 * want different ones, but no more than there are. */
static int64_t run_cycle_objects(const es_run *run)
{
    int64_t wanted = (int64_t)run->view.layers * run_row(run) * run->composer.slices, all = (int64_t)run->view.spaces * run->view.population;
    return wanted < all ? wanted : all;
}

/* Where the experts of a layer differ in precision, of so many that weigh as much as they do on average. */
static int64_t run_cycle_bytes(const es_run *run)
{
    int64_t bytes = 0;
    if (run->view.spaces < run->view.layers)
        return run_cycle_objects(run) * run_layer_bytes(run, 0) / run->view.population;
    for (uint32_t l = 0; l < run->view.layers; l++)
        bytes += run_row(run) * run_layer_bytes(run, l) / run->view.ids;
    return bytes;
}

/* Room of a tier at the start, without what the policy's pins take where they stand beside it. */
static int64_t run_room(const es_run *run, const es_tier *tier)
{
    int64_t room = 0;
    for (uint32_t b = 0; b < (run->view.per_layer ? run->view.layers : 1); b++)
        room += es_resize_room(run, tier, b, run->plan->tiers[tier - run->tier].share) - (run->view.pins_beside && !tier->ground ? tier->settled[b] : 0);
    return room;
}

static void run_report_tiers(const es_run *run, es_json *out)
{
    es_json *tiers = es_json_add_object(out, "tiers");
    for (uint32_t t = 0; tiers && t < run->tiers; t++) {
        const es_tier *tier = &run->tier[t];
        es_json *one = es_json_add_object(tiers, tier->name);
        if (!one)
            return;
        es_json_add_bool(one, "home", tier->home);
        es_json_add_bool(one, "serving", tier->serving);
        if (!tier->home) {
            es_json_add_text(one, "counts", tier->counts);
            es_json_add_int(one, "capacity", run_room(run, tier));
            es_json_add_int(one, "peak", tier->peak);
            es_json_add_int(one, "held", tier->held);
            es_json_add_int(one, "insertions", (int64_t)tier->view->insertions);
            es_json_add_int(one, "evictions", (int64_t)tier->view->evictions);
            if (tier->ground)
                es_place_report(tier, one);
        }
        es_dirty_report(run, tier, one);
        if (tier->home)
            es_make_report(run, one);
        if (t == run->guess_tier)
            es_ahead_report(run, one);
        if (run->levels > 1 && tier->serving) {
            es_json_add_int(one, "present", (int64_t)tier->present);
            es_json_add_int(one, "risen", (int64_t)tier->risen);
        }
        if (!tier->serving || run->levels > 1) {
            es_json_add_int(one, "found", (int64_t)tier->view->found);
            es_json_add_int(one, "guessed", (int64_t)tier->view->guessed);
        }
    }
}

/* Links between the same two tiers are one. */
void es_links_report(const es_run *run, const es_link *links, es_json *out)
{
    for (uint32_t i = 0; out && i < run->links; i++) {
        char name[256];
        uint64_t copies = 0;
        int64_t bytes = 0;
        es_time busy = 0;
        bool before = links[i].counts != i;
        for (uint32_t j = 0; j < run->links; j++) {
            const es_link *link = &links[j];
            if (link->counts != j || link->from != links[i].from || link->to != links[i].to)
                continue;
            before |= j < i;
            copies += link->copies;
            bytes += link->bytes;
            busy += link->busy_ns;
        }
        snprintf(name, sizeof name, "%.120s-%.120s", run->tier[links[i].from].name, run->tier[links[i].to].name);
        es_json *one = before ? NULL : es_json_add_object(out, name);
        if (!one)
            continue;
        es_json_add_int(one, "operations", (int64_t)copies);
        es_json_add_int(one, "bytes", bytes);
        if (run->view.timed)
            es_json_add_real(one, "busy_s", (double)busy / 1e9);
        else
            cJSON_AddNullToObject(one, "busy_s");
    }
}

/* Of all serving tiers together, where they count alike. */
static int64_t run_serving_room(const es_run *run)
{
    const es_tier *first = &run->tier[run->serving];
    int64_t room = 0;
    for (uint32_t l = 0; l < run->levels; l++) {
        const es_tier *tier = &run->tier[run->level[l]];
        room += strcmp(tier->counts, first->counts) == 0 ? run_room(run, tier) : 0;
    }
    return room;
}

static void run_report_capacity(const es_run *run, es_json *out)
{
    const es_tier *tier = &run->tier[run->serving];
    es_json *capacity = cJSON_GetObjectItemCaseSensitive(out, "capacity");
    if (!capacity)
        capacity = es_json_add_object(out, "capacity");
    if (!capacity)
        return;
    const int64_t room = run_serving_room(run), population = (int64_t)run->view.spaces * run->view.population;
    int64_t population_bytes = 0;
    for (uint32_t l = 0; l < run->view.spaces; l++)
        population_bytes += run_layer_bytes(run, l);
    es_json_add_int(capacity, "objects", population);
    if (tier->home)
        cJSON_AddNullToObject(capacity, "slots_or_bytes");
    else
        es_json_add_int(capacity, "slots_or_bytes", room);
    es_json_add_text(capacity, "counts", tier->counts);
    es_json_add_bool(capacity, "beyond_population", !tier->home && room > (strcmp(tier->counts, "slots") == 0 ? population : population_bytes));
    if (run->plan->expert_bytes) {
        es_json_add_int(capacity, "cycle_bytes", run_cycle_bytes(run));
        es_json_add_int(capacity, "population_bytes", population_bytes);
    } else {
        cJSON_AddNullToObject(capacity, "cycle_bytes");
        cJSON_AddNullToObject(capacity, "population_bytes");
    }
    es_json_add_int(capacity, "cycle_objects", run_cycle_objects(run));
    es_json_add_int(capacity, "peak", tier->peak);
}

es_code es_run_report(es_run *run, es_json *out, es_err *err)
{
    es_code code = ES_OK;
    for (uint32_t i = 0; i < run->observers; i++)
        if (run->observer[i]->report)
            run->observer[i]->report(run->observer_state[i], out);
    es_json *policy = run->policy->report ? es_json_add_object(out, "policy") : NULL;
    if (policy)
        run->policy->report(run->policy_state, policy);
    es_route_report(run, out);
    es_knobs_report(run, out);
    run_report_capacity(run, out);
    run_report_tiers(run, out);
    if (run->singly)
        es_links_report(run, run->link, es_json_add_object(out, "links"));
    es_flush_report(run, out);
    es_train_report(run, out);
    for (uint32_t i = 0; i < run->observers && code == ES_OK; i++)
        if (run->observer[i]->verdict)
            code = run->observer[i]->verdict(run->observer_state[i], err);
    return code;
}

es_code es_run_save(es_run *run, struct es_h5 *file, es_err *err)
{
    es_code code = ES_OK;
    for (uint32_t i = 0; i < run->observers && code == ES_OK; i++)
        if (run->observer[i]->save)
            code = run->observer[i]->save(run->observer_state[i], file, err);
    return code;
}

const es_view *es_run_view(const es_run *run)
{
    return &run->view;
}

bool es_run_oracle(const es_run *run)
{
    return run->oracle;
}

bool es_run_closed_loop(const es_run *run)
{
    return run->composer.routes;
}

size_t es_run_allocations(const es_run *run)
{
    return run->arena.calls;
}

void es_run_free(es_run *run)
{
    if (!run)
        return;
    for (const es_placed *p = run->placed; p; p = p->next)
        if (p->part->fini)
            p->part->fini(p->self);
    es_arena_free(&run->arena);
    free(run);
}
