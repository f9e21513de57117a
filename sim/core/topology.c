/* Topology: tiers, channels and links from the plan, names made into indices, and the ways that experts can take. What cannot work
 * is refused here: no home, nobody who serves, a tier too small for one expert, a place that nothing reaches. */
#include "sim/core/core.h"

#include <stdlib.h>
#include <string.h>

static uint32_t topology_name(const void *rows, size_t count, size_t row_bytes, const char *name)
{
    for (uint32_t i = 0; i < count; i++)
        if (!strcmp(*(const char *const *)(const void *)((const char *)rows + i * row_bytes), name))
            return i;
    return ES_NONE;
}

/* What is known of a name that was not found: the nearest there is, or all there are. */
static es_code topology_unknown(const void *rows, size_t count, size_t row_bytes, const char *kind, const char *name, es_err *err)
{
    const char *names[ES_MOST_CHANNELS];
    for (size_t i = 0; i < count; i++)
        names[i] = *(const char *const *)(const void *)((const char *)rows + i * row_bytes);
    const char *near = es_text_nearest(name, names, count);
    if (near)
        return es_err_set(err, ES_EINPUT, "there is no %s \"%s\"; did you mean \"%s\"?", kind, name, near);
    return es_err_set(err, ES_EINPUT, "there is no %s \"%s\"", kind, name);
}

static es_code topology_channel(es_run *run, es_chan *chan, es_channel_view *view, const es_plan_channel *row, es_err *err)
{
    chan->view = view;
    view->name = row->name;
    chan->discipline = row->discipline;
    chan->lanes = row->discipline == ES_FIFO ? 1 : row->discipline == ES_LANES ? (uint32_t)row->lanes : UINT32_MAX;
    view->lanes = row->discipline == ES_LANES ? chan->lanes : 1;
    chan->chunk = row->chunk;
    if (row->timing.part) {
        es_code code = es_assemble_part(run, &row->timing, NULL, &chan->timing_state, err);
        if (code != ES_OK)
            return code;
        chan->timing = (const es_timing *)(const void *)row->timing.part;
        chan->timing_varies = row->timing.part->flags & ES_TIMING_DRAWS;
    }
    if (row->scheduler.part) {
        chan->scheduler = (const es_scheduler *)(const void *)row->scheduler.part;
        return es_assemble_part(run, &row->scheduler, NULL, &chan->scheduler_state, err);
    }
    return ES_OK;
}

static es_code topology_channels(es_run *run, es_err *err)
{
    const es_plan *plan = run->plan;
    run->gpu = run->cpu = ES_NONE;
    if (plan->channel_count + plan->link_count > ES_MOST_CHANNELS)
        return es_err_set(err, ES_EINPUT, "channels: %zu channels and links are more than %d", plan->channel_count + plan->link_count, ES_MOST_CHANNELS);
    for (size_t i = 0; i < plan->channel_count; i++) {
        es_code code = topology_channel(run, &run->chan[i], &run->chan_view[i], &plan->channels[i], err);
        if (code != ES_OK)
            return code;
    }
    run->chans = (uint32_t)plan->channel_count;
    for (uint32_t i = 0; i < run->chans; i++) {
        const es_json *slow, *by = plan->channels[i].slowed_by;
        cJSON_ArrayForEach(slow, by)
        {
            es_chan *chan = &run->chan[i];
            const char *name = slow->string ? slow->string : "";
            uint32_t other = topology_name(plan->channels, plan->channel_count, sizeof *plan->channels, name);
            if (!cJSON_IsNumber(slow) || !(slow->valuedouble > 0 && slow->valuedouble <= 1) || chan->slower_count == 4 || other == i)
                return es_err_set(err, ES_EINPUT, "channels.%s.slowed_by: needs {\"CHANNEL\": factor}, at most 4 others, each factor above 0 and at most 1",
                    plan->channels[i].name);
            if (other == ES_NONE) {
                topology_unknown(plan->channels, plan->channel_count, sizeof *plan->channels, "channel", name, err);
                return es_err_at(err, "channels.%s.slowed_by", plan->channels[i].name);
            }
            run->chan[other].slows = true;
            chan->slower[chan->slower_count] = other;
            chan->slowing[chan->slower_count++] = slow->valuedouble;
        }
    }
    run->view.channel = run->chan_view;
    return ES_OK;
}

/* Capacity: "192slots", "25%", or a number of bytes. Returns units and what they count. */
static es_code topology_capacity(es_run *run, const es_plan_tier *row, int64_t *units, bool *bytes, es_err *err)
{
    const char *text = row->capacity;
    char *end;
    double number = strtod(text, &end);
    while (*end == ' ')
        end++;
    *bytes = false;
    if (end != text && number >= 0 && number <= 0x1p53 && (!strcmp(end, "slots") || !strcmp(end, "slot"))) {
        *units = (int64_t)number;
        if ((double)*units != number)
            return es_err_set(err, ES_EINPUT, "tiers.%s.capacity: \"%s\" is not a whole number of slots", row->name, text);
        return ES_OK;
    }
    if (end != text && number >= 0 && number <= 100 && !strcmp(end, "%")) {
        /* exact for decimal percentages: 0.1 % of 768000 must not become one less by rounding */
        *units = (int64_t)(number / 100.0 * (double)run->view.spaces * (double)run->view.population + 1e-9);
        return ES_OK;
    }
    double value;
    if (es_text_quantity(text, ES_UNIT_BYTES, &value, NULL) != ES_OK)
        return es_err_set(err, ES_EINPUT, "tiers.%s.capacity: \"%s\" is none of bytes (\"24GiB\"), slots (\"192slots\") or a share of all experts (\"25%%\")",
            row->name, text);
    *units = (int64_t)value;
    *bytes = true;
    return ES_OK;
}

/* Shares of the layers under scope layer: floor, round (half to even), remainder_low, or a list. */
static es_code topology_quota(es_run *run, const es_plan_tier *row, int64_t total, int64_t *room, es_err *err)
{
    const es_json *quota = run->contract->quota;
    uint32_t layers = run->view.layers;
    if (cJSON_IsArray(quota)) {
        if ((uint32_t)cJSON_GetArraySize(quota) != layers)
            return es_err_set(err, ES_EINPUT, "contract.quota: has %d numbers, the trace has %u layers", cJSON_GetArraySize(quota), layers);
        uint32_t l = 0;
        const es_json *share;
        cJSON_ArrayForEach(share, quota)
        {
            if (!cJSON_IsNumber(share) || share->valuedouble < 0)
                return es_err_set(err, ES_EINPUT, "contract.quota: entry %u is not a number of at least 0", l);
            room[l++] = (int64_t)share->valuedouble;
        }
        return ES_OK;
    }
    const char *rule = cJSON_IsString(quota) ? quota->valuestring : "floor";
    int64_t share = total / layers, rest = total % layers;
    if (!strcmp(rule, "round")) {
        int64_t twice = 2 * rest;
        share += twice > layers || (twice == layers && share % 2 == 1);
        share = share < 1 && total > 0 ? 1 : share;
    } else if (strcmp(rule, "floor") != 0 && strcmp(rule, "remainder_low") != 0) {
        return es_err_set(err, ES_EINPUT, "contract.quota: \"%s\" is not one of floor, round, remainder_low or a list of %u numbers", rule, layers);
    }
    (void)row;
    for (uint32_t l = 0; l < layers; l++)
        room[l] = share + (!strcmp(rule, "remainder_low") && l < rest);
    return ES_OK;
}

static es_code topology_room(es_run *run, es_tier *tier, const es_plan_tier *row, es_err *err)
{
    es_view *view = &run->view;
    uint32_t buckets = view->per_layer ? view->layers : 1;
    int64_t total = 0;
    bool bytes = false;
    tier->unit = ES_NEW_ARRAY(&run->arena, view->words, int64_t);
    tier->room = ES_NEW_ARRAY(&run->arena, buckets, int64_t);
    tier->used = ES_NEW_ARRAY(&run->arena, buckets, int64_t);
    tier->leaving = ES_NEW_ARRAY(&run->arena, buckets, int64_t);
    tier->settled = ES_NEW_ARRAY(&run->arena, buckets, int64_t);
    tier->full = ES_NEW_ARRAY(&run->arena, buckets, int64_t);
    tier->shrinking = ES_NEW_ARRAY(&run->arena, buckets, bool);
    ES_NEED(tier->full && tier->shrinking && tier->unit && tier->room && tier->used && tier->leaving && tier->settled, "a tier");
    if (!tier->home) {
        if (!row->capacity)
            return es_err_set(err, ES_EINPUT, "tiers.%s.capacity: is missing; write for example \"24GiB\", \"192slots\" or \"25%%\"", row->name);
        es_code code = topology_capacity(run, row, &total, &bytes, err);
        if (code != ES_OK)
            return code;
    }
    const es_allocator *allocator = (const es_allocator *)(const void *)row->allocator.part;
    void *state = NULL;
    if (allocator) {
        es_code code = es_assemble_part(run, &row->allocator, NULL, &state, err);
        if (code != ES_OK)
            return code;
        if (!tier->home && bytes != !strcmp(allocator->counts, "bytes"))
            return es_err_set(err, ES_EINPUT, "tiers.%s.capacity: \"%s\" does not fit allocator %s, which counts %s", row->name, row->capacity,
                allocator->part.name, allocator->counts);
    }
    tier->counts = bytes ? "bytes" : "slots";
    const bool places = allocator && allocator->reserve;
    if (bytes && !run->plan->expert_bytes)
        return es_err_set(err, ES_EINPUT, "tiers.%s.capacity: \"%s\" is in bytes, but neither the trace nor the model says how large an expert is; "
            "set model.expert_bytes or give the capacity in slots", row->name, row->capacity);
    for (uint32_t w = 0; w < view->words; w++) {
        tier->unit[w] = allocator ? allocator->unit(state, tier->weight * run->bytes[w]) : bytes ? tier->weight * run->bytes[w] : 1;
        if (tier->unit[w] < 1)
            return es_err_set(err, ES_EINTERNAL, "tiers.%s.allocator: %s says that an expert of %lld bytes takes %lld %s; it must take at least 1", row->name,
                allocator->part.name, (long long)run->bytes[w], (long long)tier->unit[w], tier->counts);
    }
    tier->uniform = true;
    for (uint32_t w = 0; w < view->words; w++)
        tier->uniform &= tier->unit[w] == tier->unit[0];
    if (tier->home)
        return ES_OK;
    if (places && row->share < 1)
        return es_err_set(err, ES_EINPUT, "tiers.%s.share: found %g, but allocator %s has laid out all of the capacity; give it less", row->name, row->share,
            allocator->part.name);
    if (view->per_layer) {
        es_code code = topology_quota(run, row, total, tier->full, err);
        if (code != ES_OK)
            return code;
    } else {
        tier->full[0] = total;
    }
    if (places)
        return es_place_open(run, tier, row, state, err);
    for (uint32_t w = 0; w < view->words; w++) {
        int64_t room = tier->full[view->per_layer ? view->layer_of[w] : 0];
        if (total == 0 && !tier->serving)
            continue;                       /* it lets everything through */
        if (tier->unit[w] > room && run->contract->overflow != ES_PERSIST && run->contract->overflow != ES_BYPASS)
            return es_err_set(err, ES_EINPUT, "tiers.%s.capacity: \"%s\"%s is %lld %s, smaller than one expert of layer %u (%lld)", row->name,
                row->capacity, view->per_layer ? " shared by the layers" : "", (long long)room, tier->counts,
                view->layer_number[view->layer_of[w]], (long long)tier->unit[w]);
    }
    tier->share = row->share;
    for (uint32_t b = 0; b < buckets; b++)
        tier->room[b] = es_resize_room(run, tier, b, row->share);
    return ES_OK;
}

/* The first tier with a compute unit serves demands; others that the same unit reads serve beside it, one with another is the host's. */
static es_code topology_compute(es_run *run, uint32_t t, es_err *err)
{
    const es_plan *plan = run->plan;
    const es_plan_tier *row = &plan->tiers[t];
    es_tier *tier = &run->tier[t];
    if (!row->compute)
        return ES_OK;
    tier->compute = topology_name(plan->channels, plan->channel_count, sizeof *plan->channels, row->compute);
    if (tier->compute == ES_NONE && plan->timed) {
        topology_unknown(plan->channels, plan->channel_count, sizeof *plan->channels, "channel", row->compute, err);
        return es_err_at(err, "tiers.%s.compute", row->name);
    }
    if (tier->compute != ES_NONE)
        run->chan_view[tier->compute].compute = true;
    bool first = run->serving == ES_NO_TIER && !(row->home && plan->tier_count > 1);
    bool beside = !first && !row->home && run->serving != ES_NO_TIER && strcmp(row->compute, plan->tiers[run->serving].compute) == 0;
    if (first) {
        run->serving = t;
        run->gpu = tier->compute;
    } else if (!beside) {
        run->host = t;
        run->cpu = tier->compute;
    }
    tier->serving = tier->view->serving = first || beside;
    if (tier->serving)
        run->level[run->levels++] = t;
    return ES_OK;
}

/* What does not go with several serving tiers. */
static es_code topology_levels(const es_run *run, es_err *err)
{
    for (uint32_t l = 1; l < run->levels; l++)
        if (run->plan->tiers[run->level[l]].write_back)
            return es_err_set(err, ES_EINPUT, "tiers.%s.write_back: is for the first serving tier only", run->tier[run->level[l]].name);
    if (run->levels > 1 && run->contract->overflow == ES_BYPASS)
        return es_err_set(err, ES_EINPUT, "contract.overflow: bypass does not go with several serving tiers (%s, %s)", run->tier[run->level[0]].name,
            run->tier[run->level[1]].name);
    return ES_OK;
}

static es_code topology_tiers(es_run *run, es_err *err)
{
    const es_plan *plan = run->plan;
    es_view *view = &run->view;
    run->home = run->serving = run->host = ES_NO_TIER;
    if (plan->tier_count > ES_MOST_TIERS)
        return es_err_set(err, ES_EINPUT, "tiers: %zu are more than %d", plan->tier_count, ES_MOST_TIERS);
    run->tiers = view->tiers = (uint32_t)plan->tier_count;
    view->tier = run->tier_view;
    for (uint32_t t = 0; t < run->tiers; t++) {
        const es_plan_tier *row = &plan->tiers[t];
        es_tier *tier = &run->tier[t];
        tier->view = &run->tier_view[t];
        tier->name = tier->view->name = row->name;
        tier->home = tier->view->home = row->home;
        tier->exclusive = row->exclusive;
        tier->lets_go = !row->hold_reads;
        tier->write_back = row->write_back;
        tier->write_through = row->write_through;
        tier->write_every = row->write_every;
        tier->compute = tier->demote = ES_NONE;
        if (row->home && run->home != ES_NO_TIER)
            return es_err_set(err, ES_EINPUT, "tiers.%s.home: tier %s is home already; exactly one tier holds every expert from the start", row->name,
                run->tier[run->home].name);
        if (row->home)
            run->home = t;
        es_code code = topology_compute(run, t, err);
        if (code != ES_OK)
            return code;
    }
    if (run->home == ES_NO_TIER)
        return es_err_set(err, ES_EINPUT, "tiers: none is home; mark the one that holds every expert with \"home\": true");
    for (uint32_t t = 0; t < run->tiers; t++)
        if (run->tier[t].lets_go && (run->tier[t].home || run->tier[t].serving))
            return es_err_set(err, ES_EINPUT, "tiers.%s.hold_reads: false is for a tier between home and the serving ones; %s %s", run->tier[t].name,
                run->tier[t].name, run->tier[t].home ? "is home, which nothing leaves" : "serves");
    if (run->serving == ES_NO_TIER)
        return es_err_set(err, ES_EINPUT, "tiers: none serves; give the one from which experts are computed a compute unit, for example \"compute\": \"gpu\"");
    for (uint32_t t = 0; t < run->tiers; t++) {
        const es_plan_tier *row = &plan->tiers[t];
        es_tier *tier = &run->tier[t];
        const bool state = run->trains && (!tier->serving || run->plan->training.state_on_device);
        tier->weight = 1 + (state ? run->plan->training.optimizer : 0);
        tier->view->first_bucket = view->buckets;
        view->buckets += view->per_layer ? view->layers : 1;
        tier->view->resident = es_new_mask(run);
        tier->view->inbound = es_new_mask(run);
        tier->view->queued = es_new_mask(run);
        tier->view->outbound = es_new_mask(run);
        tier->victims = ES_NEW_ARRAY(&run->arena, view->objects, es_oid);
        ES_NEED(tier->view->resident && tier->view->inbound && tier->view->queued && tier->view->outbound && tier->victims, "a tier");
        if (row->demote) {
            tier->demote = topology_name(plan->tiers, plan->tier_count, sizeof *plan->tiers, row->demote);
            if (tier->demote == ES_NONE || tier->demote == t) {
                topology_unknown(plan->tiers, plan->tier_count, sizeof *plan->tiers, "other tier", row->demote, err);
                return es_err_at(err, "tiers.%s.demote", row->name);
            }
        }
        es_code code = topology_room(run, tier, row, err);
        if (code != ES_OK)
            return code;
        tier->view->unit = tier->unit;
        if (tier->home)
            memset(tier->view->resident, 0xff, view->words * sizeof *tier->view->resident);
    }
    for (uint32_t t = 0, steps = 0; t != ES_NO_TIER; t = run->tier[t].demote == ES_NONE ? ES_NO_TIER : run->tier[t].demote)
        if (steps++ > run->tiers)
            return es_err_set(err, ES_EINPUT, "tiers.%s.demote: the tiers demote in a circle", run->tier[t].name);
    view->serving = run->serving;
    es_code code = topology_levels(run, err);
    if (code != ES_OK)
        return code;
    uint64_t *room = ES_NEW_ARRAY(&run->arena, view->buckets, uint64_t);
    ES_NEED(room, "tiers");
    for (uint32_t t = 0; t < run->tiers; t++)
        for (uint32_t b = 0; b < (view->per_layer ? view->layers : 1); b++)
            room[run->tier[t].view->first_bucket + b] = (uint64_t)run->tier[t].room[b];
    view->bucket_room = run->bucket_room = room;
    return ES_OK;
}

/* May copies over link `i` be stretched at channel `c`? Where it is shared, where others have it as a limit, where it is slowed. */
static bool topology_elastic(const es_run *run, uint32_t i, uint32_t c)
{
    if (run->chan[c].discipline == ES_SHARED || run->chan[c].slower_count > 0 || run->link[i].channel[0] != c)
        return true;
    for (uint32_t j = 0; j < run->links; j++)
        for (uint32_t k = 1; k < run->link[j].channel_count; k++)
            if (run->link[j].channel[k] == c)
                return true;
    return false;
}

/* The shortest ways to tier `to`, by breadth-first search against the links; earlier links win. */
static void topology_ways(es_run *run, uint32_t to)
{
    es_tier *tier = &run->tier[to];
    for (uint32_t from = 0; from < run->tiers; from++)
        tier->hops[from] = tier->way[from] = ES_NONE;
    tier->hops[to] = 0;
    for (uint32_t far = 1; far < run->tiers; far++)
        for (uint32_t i = 0; i < run->links; i++) {
            const es_link *link = &run->link[i];
            if (link->counts == i && tier->hops[link->to] == far - 1 && tier->hops[link->from] == ES_NONE) {
                tier->hops[link->from] = far;
                tier->way[link->from] = i;
            }
        }
}

static es_code topology_links(es_run *run, es_err *err)
{
    const es_plan *plan = run->plan;
    size_t count = plan->link_count ? plan->link_count : run->levels;
    run->link = ES_NEW_ARRAY(&run->arena, 2 * count, es_link);     /* es_make_links */
    ES_NEED(run->link, "links");
    for (uint32_t l = 0; plan->link_count == 0 && l < run->levels; l++)    /* without links everything comes straight from home */
        run->link[run->links++] = (es_link){.from = run->home, .to = run->level[l], .make = ES_NONE, .counts = l};
    for (size_t i = 0; i < plan->link_count; i++) {
        const es_plan_link *row = &plan->links[i];
        es_link *link = &run->link[run->links];
        link->make = ES_NONE;
        link->counts = run->links++;
        link->from = topology_name(plan->tiers, plan->tier_count, sizeof *plan->tiers, row->from);
        link->to = topology_name(plan->tiers, plan->tier_count, sizeof *plan->tiers, row->to);
        if (link->from == ES_NONE || link->to == ES_NONE) {
            topology_unknown(plan->tiers, plan->tier_count, sizeof *plan->tiers, "tier", link->from == ES_NONE ? row->from : row->to, err);
            return es_err_at(err, "links[%zu].%s", i, link->from == ES_NONE ? "from" : "to");
        }
        if (link->from == link->to)
            return es_err_set(err, ES_EINPUT, "links[%zu]: goes from %s to itself", i, row->from);
        const es_json *name;
        cJSON_ArrayForEach(name, row->channels)
        {
            uint32_t c = cJSON_IsString(name) ? topology_name(plan->channels, plan->channel_count, sizeof *plan->channels, name->valuestring) : ES_NONE;
            if (c == ES_NONE) {
                topology_unknown(plan->channels, plan->channel_count, sizeof *plan->channels, "channel", cJSON_IsString(name) ? name->valuestring : "?", err);
                return es_err_at(err, "links[%zu].channels", i);
            }
            if (run->chan_view[c].compute)
                return es_err_set(err, ES_EINPUT, "links[%zu].channels: %s is a compute unit, not a channel for copies", i, name->valuestring);
            if (link->channel_count == ES_MOST_HOPS)
                return es_err_set(err, ES_EINPUT, "links[%zu].channels: more than %d", i, ES_MOST_HOPS);
            link->channel[link->channel_count++] = c;
        }
    }
    es_code made = es_make_links(run, err);
    if (made != ES_OK)
        return made;
    for (uint32_t i = 0; i < run->links; i++) {
        es_link *link = &run->link[i];
        if (link->channel_count)
            continue;                   /* a link without channels costs nothing, but its copies still start in order */
        es_plan_channel free = {.name = "free", .discipline = ES_FIFO, .lanes = 1, .scheduler = {0}};
        for (size_t c = 0; c < plan->channel_count; c++)
            if (plan->channels[c].scheduler.part)
                free.scheduler = plan->channels[c].scheduler;
        link->channel[link->channel_count++] = run->chans;
        es_code code = topology_channel(run, &run->chan[run->chans], &run->chan_view[run->chans], &free, err);
        if (code != ES_OK)
            return code;
        run->chans++;
    }
    run->view.channels = run->chans;
    run->view.gpu = run->gpu;
    for (uint32_t i = 0; i < run->links; i++) {
        const es_tier *from = &run->tier[run->link[i].from], *to = &run->tier[run->link[i].to];
        run->link[i].weight = from->weight < to->weight ? from->weight : to->weight;
    }
    for (uint32_t i = 0; i < run->links; i++)
        for (uint32_t k = 0; k < run->link[i].channel_count; k++) {
            run->link[i].elastic |= topology_elastic(run, i, run->link[i].channel[k]);
            run->chan[run->link[i].channel[k]].limits |= k > 0;
        }
    for (uint32_t t = 0; t < run->tiers; t++)
        topology_ways(run, t);
    for (uint32_t l = 0; l < run->levels; l++)
        if (run->tier[run->level[l]].hops[run->home] == ES_NONE)
            return es_err_set(err, ES_EINPUT, "links: no way leads from the home tier %s to %s, so experts could never arrive there",
                run->tier[run->home].name, run->tier[run->level[l]].name);
    for (uint32_t t = 0; t < run->tiers; t++) {
        const es_tier *tier = &run->tier[t];
        if (!tier->serving && !tier->home && tier->hops[run->home] == ES_NONE && run->tier[run->serving].demote == ES_NONE)
            return es_err_set(err, ES_EINPUT, "tiers.%s: nothing ever comes here; add a link to it or let another tier demote to it", tier->name);
    }
    run->elastic = ES_NEW_ARRAY(&run->arena, run->view.timed ? (size_t)run->tiers * run->view.objects : 1, es_xfer *);
    run->rate_before = ES_NEW_ARRAY(&run->arena, run->view.timed ? (size_t)run->tiers * run->view.objects : 1, double);
    ES_NEED(run->elastic && run->rate_before, "links");
    return ES_OK;
}

es_code es_topology_open(es_run *run, es_err *err)
{
    run->trains = run->view.trains = es_train_any(run);
    es_code code = topology_channels(run, err);
    if (code == ES_OK)
        code = topology_tiers(run, err);
    if (code == ES_OK)
        code = es_units_open(run, err);
    if (code == ES_OK)
        code = topology_links(run, err);
    if (code == ES_OK)
        code = es_ahead_open(run, err);
    if (code == ES_OK)
        code = es_dirty_open(run, err);
    return code == ES_OK ? es_spool_open(run, err) : code;
}
