/* Place: where copies lie, in a tier whose allocator places them (sim/part/allocator.h).
 *
 * Such a tier has one bucket, and room in it is a place: a block that the allocator reserves. es_room_make leads here. What it finds is
 * kept for the copy that begins next (`ready`); store.c takes it then and gives it back when the copy has left. Whoever would not
 * bring a place nearer is fenced off from the policy, so that any policy can name victims without knowing of pools.
 *
 * A demand that finds no place, and for which nothing that ends by itself would make one, lies `beyond`, outside of the capacity,
 * until its event ends.
 *
 * As some published source has it, lookups may not find a copy where it lies (`hides`). At the gate of an event that wants it such a copy
 * is evicted but keeps its block: the newcomer takes that when it would come to lie there again, others when the source would evict it
 * for them (`names`): among what lies there and what lookups find, it does not tell one from the other. */
#include "sim/core/core.h"

#include <string.h>

/* ---- opening ---- */

/* What a copy takes in the tier: its weights, and the state of the optimizer where the tier keeps it. */
static int64_t place_bytes(const es_run *run, const es_tier *tier, uint32_t word)
{
    return tier->weight * run->bytes[word];
}

/* The sizes and precisions there are among the objects, each once; how many. */
static uint32_t place_kinds(const es_run *run, const es_tier *tier, es_place_ask *kind)
{
    const es_view *view = &run->view;
    uint32_t count = 0;
    for (uint32_t w = 0; w < view->words; w++) {
        uint32_t k = 0;
        while (k < count && (kind[k].bytes != place_bytes(run, tier, w) || kind[k].bits != view->bits[w]))
            k++;
        if (view->exists[w] && k == count)
            kind[count++] = (es_place_ask){.bytes = place_bytes(run, tier, w), .bits = view->bits[w], .pool = ES_NONE_POOL, .object = ES_NO_OBJECT};
    }
    return count;
}

/* What does not go with an allocator that places. */
static es_code place_contract(const es_run *run, const es_tier *tier, const es_allocator *allocator, es_err *err)
{
    const es_contract *contract = run->contract;
    const char *wrong = NULL;
    if (run->view.per_layer)
        wrong = "contract.scope: layer";
    else if (contract->overflow == ES_KEEP_BEST || contract->overflow == ES_BYPASS)
        wrong = contract->overflow == ES_BYPASS ? "contract.overflow: bypass" : "contract.overflow: keep_best";
    else if (!contract->pins_take_room)
        wrong = "contract.pins_take_room: false";
    else if (!run->plan->expert_bytes)
        wrong = "a model of which nobody says how large an expert is (model.expert_bytes)";
    return wrong ? es_err_set(err, ES_EINPUT, "tiers.%s.allocator: %s does not go with %s", tier->name, allocator->part.name, wrong) : ES_OK;
}

static int64_t place_capacity(const es_tier_view *view)
{
    int64_t capacity = 0;
    for (uint32_t p = 0; p < view->pools; p++)
        capacity += view->pool[p].capacity;
    return capacity;
}

es_code es_place_open(es_run *run, es_tier *tier, const es_allocator *allocator, void *state, int64_t *capacity, es_err *err)
{
    const es_view *view = &run->view;
    es_code code = place_contract(run, tier, allocator, err);
    if (code != ES_OK)
        return code;
    es_ground *g = tier->ground = ES_NEW(&run->arena, es_ground);
    es_place_ask *kind = ES_NEW_ARRAY(&run->arena, view->words, es_place_ask);
    ES_NEED(g && kind, "an allocator");
    *g = (es_ground){.allocator = allocator, .state = state, .block = ES_NEW_ARRAY(&run->arena, view->objects, es_block), .ready = es_new_mask(run),
        .beyond = es_new_mask(run), .fence = es_new_mask(run), .guard = es_new_mask(run)};
    ES_NEED(g->block && g->ready && g->beyond && g->fence && g->guard, "an allocator");
    if ((code = allocator->open(state, *capacity, view->objects, kind, place_kinds(run, tier, kind), &run->arena, err)) != ES_OK)
        return es_err_at(err, "tiers.%s.allocator", tier->name), code;
    tier->view->pools = allocator->pools(state, &tier->view->pool);
    tier->view->block = g->block;
    if (allocator->hides && allocator->overcommits(state)) {
        g->hidden = ES_NEW_ARRAY(&run->arena, (size_t)tier->view->pools * view->words, uint64_t);
        g->hides = ES_NEW_ARRAY(&run->arena, tier->view->pools, uint32_t);
        g->missed = ES_NEW_ARRAY(&run->arena, tier->view->pools, bool);
        ES_NEED(g->hidden && g->hides && g->missed, "an allocator");
    }
    g->choice = ES_NEW_ARRAY(&run->arena, tier->view->pools + 1, uint32_t);
    g->count = ES_NEW_ARRAY(&run->arena, tier->view->pools + 1, int64_t);
    g->member = ES_NEW_ARRAY(&run->arena, (size_t)tier->view->pools * view->words + 1, uint64_t);
    if (allocator->compact)
        g->dropped = ES_NEW_ARRAY(&run->arena, (size_t)tier->view->pools * view->objects, es_drop);
    ES_NEED(g->member && g->choice && g->count && (g->dropped || !allocator->compact), "an allocator");
    tier->uniform = false;
    tier->room[0] = *capacity = place_capacity(tier->view);
    run->view.as_coded |= allocator->overcommits && allocator->overcommits(state);
    return ES_OK;
}

/* ---- making room ---- */

static void place_trim(es_run *run, uint32_t t);

static es_place_ask place_ask(const es_run *run, const es_tier *tier, es_oid object)
{
    const uint32_t word = object >> 6;
    return (es_place_ask){.bytes = place_bytes(run, tier, word), .bits = run->view.bits[word], .pool = ES_NONE_POOL, .object = object, .now = run->now};
}

/* Where the ask may lie, best first: how many. */
static uint32_t place_choices(es_ground *g, const es_place_ask *ask)
{
    if (g->allocator->choices)
        return g->allocator->choices(g->state, ask, g->choice);
    g->choice[0] = ES_NONE_POOL;
    return 1;
}

/* ---- copies that lookups do not find ---- */

/* Whom the store has in a pool: its words. */
static uint64_t *place_member(const es_run *run, const es_ground *g, uint32_t pool)
{
    return g->member + (size_t)pool * run->view.words;
}

/* Who lies in a pool unknown to them: its words. */
static uint64_t *place_hidden(const es_run *run, const es_ground *g, uint32_t pool)
{
    return g->hidden + (size_t)pool * run->view.words;
}

static void place_hide(const es_run *run, es_ground *g, es_oid object, uint32_t pool)
{
    place_hidden(run, g, pool)[object >> 6] |= es_bit(object);
    g->hides[pool]++;
    g->missed[pool] = true;
}

/* True: it was hidden there. */
static bool place_reveal(const es_run *run, es_ground *g, es_oid object, uint32_t pool)
{
    if (!g->hidden || pool == ES_NONE_POOL || !es_mask_has(place_hidden(run, g, pool), object))
        return false;
    place_hidden(run, g, pool)[object >> 6] &= ~es_bit(object);
    g->hides[pool]--;
    return true;
}

bool es_place_hides(const es_run *run, es_oid object)
{
    const es_tier *tier = &run->tier[run->serving];
    const es_ground *g = tier->ground;
    const es_place_ask ask = place_ask(run, tier, object);
    return g->block[object].pool != ES_NONE_POOL && g->allocator->hides(g->state, &g->block[object], &ask);
}

/* They leave although the policy has not named them: it is told as of a lower tier, for its victims it knows itself. */
static void place_evict(es_run *run, uint32_t t, const es_oid *objects, uint32_t count)
{
    es_store_evict(run, t, objects, count, ES_RELEASE);
    if (t == run->serving && run->policy->part.hears >> ES_FACT_LEAVE_LOW & 1)
        run->policy->part.notify(run->policy_state, &(es_fact){.kind = ES_FACT_LEAVE_LOW, .why = ES_RELEASE, .at = run->now, .since = run->now, .objects = objects,
            .count = count, .from = t, .to = ES_NO_TIER, .channel = ES_NONE, .step = run->composer.steps - 1});
}

void es_place_hide(es_run *run)
{
    const uint32_t t = run->serving;
    es_ground *g = run->tier[t].ground;
    const es_event *e = &run->composer.event;
    for (uint32_t w = 0; w < e->words; w++)
        for (uint64_t left = e->mask[w] & run->tier_view[t].resident[e->word + w]; left; left &= left - 1) {
            const es_oid object = (e->word + w) * 64 + (es_oid)__builtin_ctzll(left);
            if (!es_place_hides(run, object))
                continue;
            place_hide(run, g, object, g->block[object].pool);
            g->hidden_hits++;
            place_evict(run, t, &object, 1);
        }
}

void es_place_reset(es_run *run, es_tier *tier)
{
    es_ground *g = tier->ground;
    for (uint32_t p = 0; g->hidden && p < tier->view->pools; p++)
        for (uint32_t w = 0; w < run->view.words && g->hides[p] > 0; w++)
            for (uint64_t left = place_hidden(run, g, p)[w]; left; left &= left - 1) {
                const es_oid object = w * 64 + (es_oid)__builtin_ctzll(left);
                place_reveal(run, g, object, p);
                g->allocator->release(g->state, object, &(es_block){.pool = p});
            }
}

/* ---- a place ---- */

static bool place_reserve(es_run *run, es_ground *g, const es_place_ask *ask)
{
    es_place place = g->allocator->reserve(g->state, ask, &g->block[ask->object]);
    if (place == ES_FULL)
        return false;
    g->ready[ask->object >> 6] |= es_bit(ask->object);
    if (place == ES_AGAIN) {
        place_reveal(run, g, ask->object, g->block[ask->object].pool);
        return true;
    }
    g->placed++;
    g->spills += place == ES_SPILLED;
    g->fallbacks += place == ES_FALLBACK;
    return true;
}

bool es_place_free(es_run *run, uint32_t t, es_oid object)
{
    es_ground *g = run->tier[t].ground;
    es_place_ask ask = place_ask(run, &run->tier[t], object);
    if (es_mask_has(g->ready, object) || place_reserve(run, g, &ask))
        return true;
    uint32_t choices = place_choices(g, &ask);
    for (uint32_t i = 0; i < choices; i++) {
        ask.pool = g->choice[i];
        if (place_reserve(run, g, &ask))
            return true;
    }
    return false;
}

/* Of one pool all would help. */
static bool place_fence_pool(es_run *run, uint32_t t, uint32_t pool, bool *leaving)
{
    es_ground *g = run->tier[t].ground;
    const es_tier_view *view = &run->tier_view[t];
    const uint64_t *member = place_member(run, g, pool);
    uint64_t any = 0, goes = 0;
    for (uint32_t w = 0; w < run->view.words; w++) {
        g->fence[w] = ~member[w];
        any |= view->resident[w] & member[w];
        goes |= view->outbound[w] & member[w];
        any |= g->hidden ? place_hidden(run, g, pool)[w] : 0;
    }
    *leaving = goes != 0;
    return (any | goes) != 0;
}

/* Fences off who is resident and would not help; is there anybody else, and does such a one leave already? */
static bool place_fence(es_run *run, uint32_t t, const es_place_ask *ask, bool *leaving)
{
    es_ground *g = run->tier[t].ground;
    const es_tier_view *view = &run->tier_view[t];
    bool any = false;
    if (!g->allocator->helps && ask->pool != ES_NONE_POOL)
        return place_fence_pool(run, t, ask->pool, leaving);
    *leaving = false;
    for (uint32_t w = 0; w < run->view.words; w++) {
        g->fence[w] = 0;
        for (uint64_t left = view->resident[w] | view->outbound[w]; left; left &= left - 1) {
            const es_oid object = w * 64 + (es_oid)__builtin_ctzll(left);
            if (g->allocator->helps ? !g->allocator->helps(g->state, &g->block[object], ask) : g->block[object].pool == ES_NONE_POOL) {
                g->fence[w] |= left & -left;
                continue;
            }
            *leaving |= es_mask_has(view->outbound, object);
            any = true;
        }
    }
    return any;
}

/* ---- victims ---- */

/* Where lookups did not find all that lay in the pool its source names who leaves. Somebody whom they do not find leaves at once (true), from
 * anybody else the fence is lifted, and raised before all others. */
static bool place_named(es_run *run, uint32_t t, uint32_t pool)
{
    es_ground *g = run->tier[t].ground;
    const es_tier_view *view = &run->tier_view[t];
    const uint64_t *member = place_member(run, g, pool), *hidden = place_hidden(run, g, pool);
    es_block block;
    for (uint32_t w = 0; w < run->view.words; w++) {
        const uint64_t held = run->view.guard[w] | (run->grace.on && t == run->serving ? run->grace.held[w] : 0);
        g->guard[w] = hidden[w] | (view->resident[w] & member[w] & ~held);
    }
    const es_oid object = g->allocator->names(g->state, pool, g->guard, &block);
    if (object == ES_NO_OBJECT)
        return false;           /* grace may yet yield */
    if (place_reveal(run, g, object, pool)) {
        g->freed = block;
        g->allocator->release(g->state, object, &g->freed);
        return true;
    }
    for (uint32_t w = 0; w < run->view.words; w++)
        g->fence[w] = UINT64_MAX;
    g->fence[object >> 6] = ~es_bit(object);
    return false;
}

/* Victims leave until there is a place where the ask wants it. Of a pool of slots one is enough. */
static es_room place_clear(es_run *run, uint32_t t, es_place_ask *ask, es_why why)
{
    es_ground *g = run->tier[t].ground;
    const bool slots = ask->pool != ES_NONE_POOL && run->tier_view[t].pool[ask->pool].slot_bytes > 0;
    es_need need = {.tier = t, .bucket = run->tier_view[t].first_bucket, .units = slots ? 1 : ask->bytes, .why = why, .all = why != ES_DEMAND};
    const bool hides = g->hidden && ask->pool != ES_NONE_POOL && g->missed[ask->pool];
    bool leaving;
    for (uint32_t round = 0; place_fence(run, t, ask, &leaving) && !leaving; round++) {
        g->freed.pool = ES_NONE_POOL;       /* who has to be written down first has not left yet: nothing is free */
        if (!(hides && place_named(run, t, ask->pool)) && ((round > 0 && why != ES_DEMAND) || es_room_free(run, &need, g->fence) == 0))
            return ES_ROOM_WAIT;
        ask->freed = &g->freed;
        if (place_reserve(run, g, ask))
            return ES_ROOM_OK;
        need.units = 1;
    }
    return leaving ? ES_ROOM_LEAVING : ES_ROOM_WAIT;
}

/* Who may not be dropped when the tier is rearranged, into the fence. */
static const uint64_t *place_fixed(es_run *run, uint32_t t)
{
    es_ground *g = run->tier[t].ground;
    const es_tier_view *view = &run->tier_view[t];
    for (uint32_t w = 0; w < run->view.words; w++) {
        g->fence[w] = run->view.guard[w] | view->inbound[w] | view->outbound[w] | g->ready[w];
        g->fence[w] |= run->grace.on && t == run->serving ? run->grace.held[w] : 0;
    }
    return g->fence;
}

/* Rearranging has made more or less of the capacity usable. */
static void place_resize(es_run *run, uint32_t t)
{
    es_tier *tier = &run->tier[t];
    const int64_t before = tier->room[0];
    tier->room[0] = place_capacity(tier->view);
    run->bucket_room[tier->view->first_bucket] = (uint64_t)tier->room[0];
    if (tier->room[0] != before && es_bus_heard(run, ES_FACT_ROOM))
        es_bus_deliver(run, &(es_fact){.kind = ES_FACT_ROOM, .at = run->now, .since = run->now, .from = ES_NO_TIER, .to = t, .channel = ES_NONE,
            .step = run->composer.steps - 1});
}

/* What found no place when the tier was rearranged: what lookups did not find is gone, the rest are victims. How many these are. */
static uint32_t place_dropped(es_run *run, es_tier *tier, const es_compaction *c)
{
    es_ground *g = tier->ground;
    uint32_t gone = 0;
    for (uint32_t i = 0; i < c->drops; i++)
        if (place_reveal(run, g, c->dropped[i].object, c->dropped[i].pool))
            g->allocator->release(g->state, c->dropped[i].object, &(es_block){.pool = c->dropped[i].pool});
        else
            tier->victims[gone++] = c->dropped[i].object;
    return gone;
}

/* The allocator rearranges itself when it is to; true: something has changed. */
static bool place_compact(es_run *run, uint32_t t, const es_place_ask *ask)
{
    es_tier *tier = &run->tier[t];
    es_ground *g = tier->ground;
    if (!g->dropped || !g->allocator->due(g->state, ask, run->now))
        return false;
    es_compaction c = {.block = g->block, .fixed = place_fixed(run, t), .dropped = g->dropped};
    if (!g->allocator->compact(g->state, &c, run->now))
        return false;
    const uint32_t gone = place_dropped(run, tier, &c);
    g->compactions++;
    g->drops += c.drops;
    g->moves += c.moves;
    g->moved_bytes += c.bytes;
    g->unpaid += c.moves;
    g->unpaid_bytes += c.bytes;
    place_resize(run, t);
    if (gone > 0)
        place_evict(run, t, tier->victims, gone);
    return true;
}

/* Will something end by itself that may be in the way: a copy that lands, in waves a compute (else its expert stays pinned), a grace? */
static bool place_hopes(const es_run *run, uint32_t t)
{
    bool hopes = (run->wanted.waves && run->wanted.computing > 0) || (run->grace.on && run->grace.due.slot != 0);
    for (uint32_t w = 0; w < run->view.words && !hopes; w++)
        hopes = run->tier_view[t].inbound[w] != 0;
    return hopes;
}

es_room es_place_make(es_run *run, uint32_t t, es_oid object, es_why why)
{
    es_ground *g = run->tier[t].ground;
    es_place_ask ask = place_ask(run, &run->tier[t], object);
    if (t != run->serving && g->outside > 0)
        place_trim(run, t);                 /* nobody else would */
    if (es_mask_has(g->ready, object))
        return ES_ROOM_OK;
    place_compact(run, t, NULL);
    if (place_reserve(run, g, &ask))
        return ES_ROOM_OK;
    const uint32_t choices = place_choices(g, &ask);
    bool leaving = false;
    for (uint32_t i = 0; i < choices; i++) {
        ask.pool = g->choice[i];
        ask.freed = NULL;
        if (place_reserve(run, g, &ask))
            return ES_ROOM_OK;
        es_room room = place_clear(run, t, &ask, why);
        if (room == ES_ROOM_OK || (room == ES_ROOM_WAIT && i == 0 && place_compact(run, t, &ask) && place_reserve(run, g, &ask)))
            return ES_ROOM_OK;
        leaving |= room == ES_ROOM_LEAVING;
    }
    if (leaving)
        return ES_ROOM_LEAVING;
    return choices == 0 || (why == ES_DEMAND && !place_hopes(run, t)) ? ES_ROOM_NEVER : ES_ROOM_WAIT;
}

/* ---- taking and giving back ---- */

int64_t es_place_take(es_run *run, es_tier *tier, es_oid object)
{
    es_ground *g = tier->ground;
    es_block *block = &g->block[object];
    const es_place_ask ask = place_ask(run, tier, object);
    if (!es_mask_has(g->ready, object) && !place_reserve(run, g, &ask)) {
        *block = (es_block){.pool = ES_NONE_POOL, .bytes = ask.bytes};
        g->beyond[object >> 6] |= es_bit(object);
        g->overshoots++;
    }
    g->ready[object >> 6] &= ~es_bit(object);
    if (block->pool != ES_NONE_POOL) {
        place_member(run, g, block->pool)[object >> 6] |= es_bit(object);
        return block->bytes;
    }
    g->outside += block->bytes;
    g->outside_peak = g->outside > g->outside_peak ? g->outside : g->outside_peak;
    return 0;
}

int64_t es_place_give(es_run *run, es_tier *tier, es_oid object)
{
    es_ground *g = tier->ground;
    const bool beyond = es_mask_has(g->beyond, object);
    g->freed = g->block[object];
    g->beyond[object >> 6] &= ~es_bit(object);
    const bool hidden = g->hidden && g->freed.pool != ES_NONE_POOL && es_mask_has(place_hidden(run, g, g->freed.pool), object);
    if (!beyond && !hidden)
        g->allocator->release(g->state, object, &g->freed);
    if (g->freed.pool != ES_NONE_POOL) {
        place_member(run, g, g->freed.pool)[object >> 6] &= ~es_bit(object);
        return g->freed.bytes;
    }
    g->outside -= g->freed.bytes;
    return 0;
}

/* ---- events larger than the tier ---- */

/* One more object of the event finds its place among what the pools hold when nobody else is there. */
static bool place_counts(const es_run *run, es_ground *g, es_oid object)
{
    const es_tier_view *view = &run->tier_view[run->serving];
    const es_place_ask ask = place_ask(run, &run->tier[run->serving], object);
    if (!g->allocator->choices)
        return (g->count[0] -= ask.bytes) >= 0;
    uint32_t choices = g->allocator->choices(g->state, &ask, g->choice);
    for (uint32_t i = 0; i < choices; i++) {
        const uint32_t p = g->choice[i];
        const int64_t takes = view->pool[p].slot_bytes ? view->pool[p].slot_bytes : ask.bytes;
        if (g->count[p] >= takes) {
            g->count[p] -= takes;
            return true;
        }
    }
    return false;
}

bool es_place_exceeds(es_run *run, const es_event *event, const uint64_t *kept)
{
    es_ground *g = run->tier[run->serving].ground;
    const es_tier_view *view = &run->tier_view[run->serving];
    for (uint32_t p = 0; p < view->pools; p++)
        g->count[p] = view->pool[p].capacity;
    if (!g->allocator->choices)
        g->count[0] = place_capacity(view);
    for (uint32_t w = 0; run->settled && w < run->view.words; w++)
        for (uint64_t left = run->settled[w] & view->resident[w]; left; left &= left - 1) {
            const es_block *block = &g->block[w * 64 + (es_oid)__builtin_ctzll(left)];
            g->count[g->allocator->choices && block->pool != ES_NONE_POOL ? block->pool : 0] -= block->bytes;
        }
    for (uint32_t i = 0; i < event->count; i++) {
        const es_oid object = es_object(event, event->list[i]);
        const bool stays = !kept || es_mask_has(kept, event->list[i]);
        const bool settled = run->settled && es_mask_has(run->settled, object) && es_mask_has(view->resident, object);
        if (stays && !settled && !place_counts(run, g, object))
            return true;
    }
    return false;
}

static void place_trim(es_run *run, uint32_t t)
{
    const es_tier *tier = &run->tier[t];
    es_ground *g = tier->ground;
    int64_t units = 0;
    for (uint32_t w = 0; w < run->view.words; w++) {
        const uint64_t over = g->beyond[w] & tier->view->resident[w];
        g->fence[w] = tier->view->resident[w] & ~over;
        units += __builtin_popcountll(over) * tier->unit[w];
    }
    if (units > 0)
        es_room_free(run, &(es_need){.tier = t, .bucket = tier->view->first_bucket, .units = units, .why = ES_RELEASE}, g->fence);
}

void es_place_trim(es_run *run)
{
    place_trim(run, run->serving);
}

/* ---- the report ---- */

void es_place_report(const es_tier *tier, es_json *out)
{
    const es_ground *g = tier->ground;
    es_json *one = es_json_add_object(out, "allocator");
    es_json *pools = one ? es_json_add_object(one, "pools") : NULL;
    if (!pools)
        return;
    for (uint32_t p = 0; p < tier->view->pools; p++) {
        const es_pool_view *pool = &tier->view->pool[p];
        es_json *row = es_json_add_object(pools, pool->name);
        if (!row)
            return;
        es_json_add_int(row, "capacity_bytes", pool->capacity);
        es_json_add_int(row, "used_bytes", pool->used);
        if (pool->slot_bytes) {
            es_json_add_int(row, "slot_bytes", pool->slot_bytes);
            es_json_add_int(row, "slots", pool->capacity / pool->slot_bytes);
        }
    }
    es_json_add_int(one, "placed", (int64_t)g->placed);
    es_json_add_int(one, "spills", (int64_t)g->spills);
    es_json_add_int(one, "fallbacks", (int64_t)g->fallbacks);
    es_json_add_int(one, "overshoots", (int64_t)g->overshoots);
    es_json_add_int(one, "outside_peak_bytes", g->outside_peak);
    if (g->hidden)
        es_json_add_int(one, "hidden_hits", (int64_t)g->hidden_hits);
    if (g->dropped) {
        es_json_add_int(one, "compactions", (int64_t)g->compactions);
        es_json_add_int(one, "compaction_moves", (int64_t)g->moves);
        es_json_add_int(one, "compaction_bytes", g->moved_bytes);
        es_json_add_int(one, "compaction_drops", (int64_t)g->drops);
    }
    if (g->allocator->report)
        g->allocator->report(g->state, one);
}
