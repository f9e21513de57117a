/* Place: where copies lie, in a tier whose allocator places them (sim/part/allocator.h).
 *
 * Room in a bucket of such a tier is a place: a block that the allocator reserves. es_room_make leads here. What it finds is kept for the
 * copy that begins next (`ready`); store.c takes it then and gives it back when the copy has left. Whoever would not bring a place
 * nearer is fenced off from the policy, so that any policy can name victims without knowing of pools.
 *
 * A demand that finds no place, and for which nothing that ends by itself would make one, lies `beyond`, outside of the capacity,
 * until its event ends. Pins that bring their own room (contract.pins_take_room off) lie `beside`, outside of it too, and stay. */
#include "sim/core/place_inside.h"

#include <string.h>

/* ---- opening ---- */

/* The sizes and precisions there are among the objects of a bucket, each once; how many. */
static uint32_t place_kinds(const es_run *run, const es_tier *tier, uint32_t bucket, es_place_ask *kind)
{
    const es_view *view = &run->view;
    const es_words words = es_place_words(run, bucket);
    uint32_t count = 0;
    for (uint32_t w = words.from; w < words.end; w++) {
        uint32_t k = 0;
        while (k < count && (kind[k].bytes != es_place_bytes(run, tier, w) || kind[k].bits != view->bits[w]))
            k++;
        if (view->exists[w] && k == count)
            kind[count++] = (es_place_ask){.bytes = es_place_bytes(run, tier, w), .bits = view->bits[w], .pool = ES_NONE_POOL, .object = ES_NO_OBJECT};
    }
    return count;
}

/* One bucket: its state, which for the first is there already, and the pools it has. */
static es_code place_open_bucket(es_run *run, es_tier *tier, const es_plan_tier *row, uint32_t b, es_place_ask *kind, es_err *err)
{
    es_ground *g = tier->ground;
    const es_words words = es_place_words(run, b);
    es_code code = b == 0 ? ES_OK : es_assemble_part(run, &row->allocator, NULL, &g->state[b], err);
    if (code == ES_OK) {
        code = g->allocator->open(g->state[b], tier->full[b], words.from * 64, (words.end - words.from) * 64, kind, place_kinds(run, tier, b, kind), &run->arena, err);
        if (code && run->view.per_layer)
            return es_err_at(err, "tiers.%s.allocator (the share of layer %u)", tier->name, run->view.layer_number[b]), code;
        if (code)
            return es_err_at(err, "tiers.%s.allocator", tier->name), code;
    }
    if (code)
        return code;
    g->pools = g->allocator->pools(g->state[b], &g->pool[b]);
    if (b > 0 && g->pools != tier->view->pools)
        return es_err_set(err, ES_EINTERNAL, "tiers.%s.allocator: %s makes %u pools for one layer and %u for another", tier->name, g->allocator->part.name, tier->view->pools, g->pools);
    tier->view->pools = g->pools;
    return ES_OK;
}

/* What is kept of each pool. */
static bool place_open_pools(es_run *run, es_ground *g)
{
    const es_view *view = &run->view;
    const bool compacts = g->allocator->compact, hides = g->allocator->hides && g->allocator->overcommits(g->state[0]);
    if (hides) {
        g->hidden = ES_NEW_ARRAY(&run->arena, (size_t)g->pools * view->words, uint64_t);
        g->missed = ES_NEW_ARRAY(&run->arena, (size_t)g->buckets * g->pools, bool);
    }
    g->choice = ES_NEW_ARRAY(&run->arena, g->pools + 1, uint32_t);
    g->count = ES_NEW_ARRAY(&run->arena, g->pools + 1, int64_t);
    g->member = ES_NEW_ARRAY(&run->arena, (size_t)g->pools * view->words + 1, uint64_t);
    if (compacts)
        g->dropped = ES_NEW_ARRAY(&run->arena, (size_t)g->pools * view->objects, es_drop);
    return g->choice && g->count && g->member && (g->dropped || !compacts) && ((g->hidden && g->missed) || !hides);
}

es_code es_place_open(es_run *run, es_tier *tier, const es_plan_tier *row, void *state, es_err *err)
{
    const es_view *view = &run->view;
    const es_allocator *allocator = (const es_allocator *)(const void *)row->allocator.part;
    const uint32_t buckets = view->per_layer ? view->layers : 1;
    if (!run->plan->expert_bytes)
        return es_err_set(err, ES_EINPUT, "tiers.%s.allocator: %s does not go with a model of which nobody says how large an expert is (model.expert_bytes)", tier->name,
            allocator->part.name);
    es_ground *g = tier->ground = ES_NEW(&run->arena, es_ground);
    es_place_ask *kind = ES_NEW_ARRAY(&run->arena, view->words, es_place_ask);
    ES_NEED(g && kind, "an allocator");
    *g = (es_ground){.allocator = allocator, .buckets = buckets, .state = ES_NEW_ARRAY(&run->arena, buckets, void *), .pool = ES_NEW_ARRAY(&run->arena, buckets, const es_pool_view *),
        .block = ES_NEW_ARRAY(&run->arena, view->objects, es_block), .ready = es_new_mask(run), .beyond = es_new_mask(run), .fence = es_new_mask(run), .guard = es_new_mask(run)};
    ES_NEED(g->state && g->pool && g->block && g->ready && g->beyond && g->fence && g->guard, "an allocator");
    if (view->pins_beside)
        ES_NEED(g->beside = es_new_mask(run), "an allocator");
    g->state[0] = state;
    tier->view->pool = g->pool;
    tier->view->block = g->block;
    for (uint32_t b = 0; b < buckets; b++) {
        es_code code = place_open_bucket(run, tier, row, b, kind, err);
        if (code)
            return code;
        tier->room[b] = tier->full[b] = es_place_capacity(tier->view, b);
    }
    ES_NEED(place_open_pools(run, g), "an allocator");
    tier->uniform = false;
    run->view.as_coded |= allocator->overcommits && allocator->overcommits(state);
    return ES_OK;
}

/* ---- a place ---- */

uint32_t es_place_choices(es_ground *g, void *state, const es_place_ask *ask)
{
    if (g->allocator->choices)
        return g->allocator->choices(state, ask, g->choice);
    g->choice[0] = ES_NONE_POOL;
    return 1;
}

bool es_place_reserve(es_run *run, es_ground *g, const es_place_ask *ask)
{
    es_place place = g->allocator->reserve(es_place_state(run, g, ask->object), ask, &g->block[ask->object]);
    if (place == ES_FULL)
        return false;
    g->ready[ask->object >> 6] |= es_bit(ask->object);
    if (place == ES_AGAIN) {
        es_place_reveal(run, g, ask->object, g->block[ask->object].pool);
        return true;
    }
    g->placed++;
    g->spills += place == ES_SPILLED;
    g->fallbacks += place == ES_FALLBACK;
    return true;
}

static bool place_beside(const es_ground *g, es_oid object)
{
    return g->beside && es_mask_has(g->beside, object);
}

bool es_place_beside(es_run *run, uint32_t t, es_oid object)
{
    es_ground *g = run->tier[t].ground;
    if (g->beside)
        g->beside[object >> 6] |= es_bit(object);
    return g->beside != NULL;
}

bool es_place_free(es_run *run, uint32_t t, es_oid object)
{
    es_ground *g = run->tier[t].ground;
    es_place_ask ask = es_place_asked(run, &run->tier[t], object);
    if (es_mask_has(g->ready, object) || es_place_reserve(run, g, &ask))
        return true;
    uint32_t choices = es_place_choices(g, es_place_state(run, g, object), &ask);
    for (uint32_t i = 0; i < choices; i++) {
        ask.pool = g->choice[i];
        if (es_place_reserve(run, g, &ask))
            return true;
    }
    return false;
}

/* Of one pool all would help. */
static bool place_fence_pool(es_run *run, uint32_t t, es_words words, uint32_t pool, bool *leaving)
{
    es_ground *g = run->tier[t].ground;
    const es_tier_view *view = &run->tier_view[t];
    const uint64_t *member = es_place_member(run, g, pool);
    uint64_t any = 0, goes = 0;
    for (uint32_t w = words.from; w < words.end; w++) {
        g->fence[w] = ~member[w];
        any |= view->resident[w] & member[w];
        goes |= view->outbound[w] & member[w];
        any |= g->hidden ? es_place_hidden(run, g, pool)[w] : 0;
    }
    *leaving = goes != 0;
    return (any | goes) != 0;
}

/* Fences off who is resident and would not help; is there anybody else, and does such a one leave already? */
static bool place_fence(es_run *run, uint32_t t, const es_place_ask *ask, bool *leaving)
{
    es_ground *g = run->tier[t].ground;
    const es_tier_view *view = &run->tier_view[t];
    const uint32_t bucket = es_place_bucket(run, ask->object);
    const es_words words = es_place_words(run, bucket);
    bool any = false;
    if (!g->allocator->helps && ask->pool != ES_NONE_POOL)
        return place_fence_pool(run, t, words, ask->pool, leaving);
    *leaving = false;
    for (uint32_t w = words.from; w < words.end; w++) {
        g->fence[w] = 0;
        for (uint64_t left = view->resident[w] | view->outbound[w]; left; left &= left - 1) {
            const es_oid object = w * 64 + (es_oid)__builtin_ctzll(left);
            if (g->allocator->helps ? !g->allocator->helps(g->state[bucket], &g->block[object], ask) : g->block[object].pool == ES_NONE_POOL) {
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

/* Victims leave until there is a place where the ask wants it. Of a pool of slots one is enough. */
static es_room place_clear(es_run *run, uint32_t t, es_place_ask *ask, es_why why)
{
    es_ground *g = run->tier[t].ground;
    const uint32_t b = es_place_bucket(run, ask->object);
    const bool slots = ask->pool != ES_NONE_POOL && run->tier_view[t].pool[b][ask->pool].slot_bytes > 0;
    es_need need = {.tier = t, .bucket = run->tier_view[t].first_bucket + b, .units = slots ? 1 : ask->bytes, .why = why, .all = why != ES_DEMAND};
    const bool hides = g->hidden && ask->pool != ES_NONE_POOL && g->missed[b * g->pools + ask->pool];
    bool leaving;
    for (uint32_t round = 0; place_fence(run, t, ask, &leaving) && !leaving; round++) {
        g->freed.pool = ES_NONE_POOL;       /* who has to be written down first has not left yet: nothing is free */
        if (!(hides && es_place_named(run, t, b, ask->pool)) && ((round > 0 && why != ES_DEMAND) || es_room_free(run, &need, g->fence) == 0))
            return ES_ROOM_WAIT;
        ask->freed = &g->freed;
        if (es_place_reserve(run, g, ask))
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
static void place_resize(es_run *run, uint32_t t, uint32_t b)
{
    es_tier *tier = &run->tier[t];
    const int64_t before = tier->room[b];
    tier->room[b] = es_place_capacity(tier->view, b);
    run->bucket_room[tier->view->first_bucket + b] = (uint64_t)tier->room[b];
    if (tier->room[b] != before && es_bus_heard(run, ES_FACT_ROOM))
        es_bus_deliver(run, &(es_fact){.kind = ES_FACT_ROOM, .at = run->now, .since = run->now, .from = ES_NO_TIER, .to = t, .channel = ES_NONE,
            .step = run->composer.steps - 1});
}

/* What found no place when the tier was rearranged: what lookups did not find is gone, the rest are victims. How many these are. */
static uint32_t place_dropped(es_run *run, es_tier *tier, const es_compaction *c)
{
    es_ground *g = tier->ground;
    uint32_t gone = 0;
    for (uint32_t i = 0; i < c->drops; i++)
        if (es_place_reveal(run, g, c->dropped[i].object, c->dropped[i].pool))
            g->allocator->release(es_place_state(run, g, c->dropped[i].object), c->dropped[i].object, &(es_block){.pool = c->dropped[i].pool});
        else
            tier->victims[gone++] = c->dropped[i].object;
    return gone;
}

/* The allocator rearranges the bucket when it is to; true: something has changed. */
static bool place_compact(es_run *run, uint32_t t, uint32_t b, const es_place_ask *ask)
{
    es_tier *tier = &run->tier[t];
    es_ground *g = tier->ground;
    if (!g->dropped || !g->allocator->due(g->state[b], ask, run->now))
        return false;
    es_compaction c = {.block = g->block, .fixed = place_fixed(run, t), .dropped = g->dropped};
    if (!g->allocator->compact(g->state[b], &c, run->now))
        return false;
    const uint32_t gone = place_dropped(run, tier, &c);
    g->compactions++;
    g->drops += c.drops;
    g->moves += c.moves;
    g->moved_bytes += c.bytes;
    g->unpaid += c.moves;
    g->unpaid_bytes += c.bytes;
    place_resize(run, t, b);
    if (gone > 0)
        es_place_evict(run, t, tier->victims, gone);
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
    es_place_ask ask = es_place_asked(run, &run->tier[t], object);
    if (t != run->serving && g->outside > 0)
        es_place_trim_tier(run, t);                 /* nobody else would */
    if (es_mask_has(g->ready, object) || place_beside(g, object))
        return ES_ROOM_OK;
    const uint32_t b = es_place_bucket(run, object);
    place_compact(run, t, b, NULL);
    if (es_place_reserve(run, g, &ask))
        return ES_ROOM_OK;
    const uint32_t choices = es_place_choices(g, g->state[b], &ask);
    bool leaving = false;
    for (uint32_t i = 0; i < choices; i++) {
        ask.pool = g->choice[i];
        ask.freed = NULL;
        if (es_place_reserve(run, g, &ask))
            return ES_ROOM_OK;
        es_room room = place_clear(run, t, &ask, why);
        if (room == ES_ROOM_OK || (room == ES_ROOM_WAIT && i == 0 && place_compact(run, t, b, &ask) && es_place_reserve(run, g, &ask)))
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
    const es_place_ask ask = es_place_asked(run, tier, object);
    if (place_beside(g, object)) {
        *block = (es_block){.pool = ES_NONE_POOL, .bytes = ask.bytes};
        g->beside_bytes += block->bytes;
        return 0;
    }
    if (!es_mask_has(g->ready, object) && !es_place_reserve(run, g, &ask)) {
        *block = (es_block){.pool = ES_NONE_POOL, .bytes = ask.bytes};
        g->beyond[object >> 6] |= es_bit(object);
        g->overshoots++;
    }
    g->ready[object >> 6] &= ~es_bit(object);
    if (block->pool != ES_NONE_POOL) {
        es_place_member(run, g, block->pool)[object >> 6] |= es_bit(object);
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
    if (place_beside(g, object)) {
        g->beside_bytes -= g->freed.bytes;
        return 0;
    }
    g->beyond[object >> 6] &= ~es_bit(object);
    const bool hidden = g->hidden && g->freed.pool != ES_NONE_POOL && es_mask_has(es_place_hidden(run, g, g->freed.pool), object);
    if (!beyond && !hidden)
        g->allocator->release(es_place_state(run, g, object), object, &g->freed);
    if (g->freed.pool != ES_NONE_POOL) {
        es_place_member(run, g, g->freed.pool)[object >> 6] &= ~es_bit(object);
        return g->freed.bytes;
    }
    g->outside -= g->freed.bytes;
    return 0;
}
