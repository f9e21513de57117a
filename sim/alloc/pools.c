/* Pools: a pool of equal slots for each precision, as expert memory pools of engines have them.
 *
 *   bytes of a pool  max(floor(capacity * share), min_pool)      slots  max(1, floor(bytes / bytes of an expert))
 *
 * What is left of a pool behind its last slot is its tail. Free slots are a stack, at first 0 .. n-1, so the highest is taken first. An
 * expert whose own pool is full, and from which nobody may leave, spills into the first other pool, in the order of `distribution`,
 * whose slots are large enough; with `spill: before_eviction` already when there is one free there.
 *
 * Defragmentation takes slots from the emptiest pool (the donor, below 45 % and larger than 64 MiB) and gives what they had to the fullest
 * (the receiver, above 90 %): bytes = min(25 % of the donor's free slots, 10 % of all its slots), in whole slots of either side, so memory
 * gets lost by rounding; at most every 5 s. As documented it goes by utilisation, at every newcomer, and all copies are kept: those in
 * slots that go move to free ones (when_full). As coded (when_locked) it is reached only when a pool is full of what may not leave, and both pools are laid out
 * anew, the most recently used first; what no longer fits is dropped.
 *
 * mode as_coded is what the source of Metal Marlin's enhanced pool does: a victim's slot is given to the newcomer and stays on the
 * stack, so the next newcomer takes it too and two experts lie in one slot; and what has spilled is not found by later lookups, so it is
 * loaded again, into its own pool when that has a place now (the spilled copy stays and takes up a slot) or where it lies. It has no grace
 * where it lies, for locks are kept with its own pool, and leaves by the source's score, which knows each copy apart (pools_names). */
#include <math.h>
#include <stdlib.h>

#include "sim/alloc/pools_shift.h"
#include "sim/base/text.h"
#include "sim/part/fact.h"

static const char *const pools_modes[] = {"as_documented", "as_coded", NULL};
static const char *const pools_spills[] = {"when_locked", "before_eviction", "never", NULL};

static const char *const pools_defrags[] = {"by_mode", "off", "when_full", "when_locked", NULL};

static const es_option pools_options[] = {
    {.name = "distribution", .type = ES_OPT_JSON, .offset = offsetof(pools, distribution),
        .help = "Share of the capacity by bits of a weight, adding up to 1; absent: {\"2\": 0.25, \"4\": 0.5, \"8\": 0.25}."},
    {.name = "min_pool", .type = ES_OPT_BYTES, .offset = offsetof(pools, min_pool), .def = 67108864, .min = 0, .max = 9e15,
        .help = "A pool is at least so large, even if all together are then larger than the capacity."},
    {.name = "mode", .type = ES_OPT_ENUM, .offset = offsetof(pools, mode), .choices = pools_modes,
        .help = "as_coded: a victim's slot is given to the newcomer and to the one after it, as Metal Marlin's source does, lookups do not find what has spilled, and a pool too small for one expert has a slot all the same."},
    {.name = "spill", .type = ES_OPT_ENUM, .offset = offsetof(pools, spill), .choices = pools_spills,
        .help = "An expert goes into a wider pool when nobody may leave its own, already when its own is full, or never."},
    {.name = "defrag", .type = ES_OPT_ENUM, .offset = offsetof(pools, defrag), .choices = pools_defrags,
        .help = "Idle pools give slots to full ones: never (off), by utilisation and keeping all data (when_full), or as the source does it (when_locked); by_mode: when_full as documented, when_locked as coded."},
    {.name = "defrag_full", .type = ES_OPT_REAL, .offset = offsetof(pools, full), .def = 0.90, .min = 0, .max = 1, .help = "Utilisation above which a pool receives."},
    {.name = "defrag_idle", .type = ES_OPT_REAL, .offset = offsetof(pools, idle), .def = 0.45, .min = 0, .max = 1, .help = "Utilisation below which a pool gives."},
    {.name = "defrag_least", .type = ES_OPT_BYTES, .offset = offsetof(pools, least), .def = 67108864, .min = 0, .max = 9e15, .help = "Only a pool larger than this gives."},
    {.name = "defrag_free_share", .type = ES_OPT_REAL, .offset = offsetof(pools, free_share), .def = 0.25, .min = 0, .max = 1, .help = "Of its free slots it gives at most so much at once."},
    {.name = "defrag_slot_share", .type = ES_OPT_REAL, .offset = offsetof(pools, slot_share), .def = 0.10, .min = 0, .max = 1, .help = "And of all its slots."},
    {.name = "defrag_cooldown", .type = ES_OPT_TIME, .offset = offsetof(pools, cooldown), .def = 5e9, .min = 0, .max = 9e15, .help = "Time from one defragmentation to the next."},
    {0},
};

/* ---- opening ---- */

static es_code pools_add(pools *s, uint32_t bits, double share, es_err *err)
{
    for (uint32_t p = 0; p < s->count; p++)
        if (s->pool[p].bits == bits)
            return es_err_set(err, ES_EINPUT, "distribution: %u bits stand there twice", bits);
    if (s->count == POOLS_MOST)
        return es_err_set(err, ES_EINPUT, "distribution: more than %d pools", POOLS_MOST);
    const int64_t bytes = (int64_t)((double)s->capacity * share);
    s->pool[s->count++] = (pools_pool){.bits = bits, .bytes = bytes > s->min_pool ? bytes : s->min_pool};
    return ES_OK;
}

static es_code pools_shares(pools *s, es_err *err)
{
    const es_json *entry;
    double sum = 0;
    if (!s->distribution || cJSON_IsNull(s->distribution)) {
        es_code code = pools_add(s, 2, 0.25, err);
        code = code ? code : pools_add(s, 4, 0.5, err);
        return code ? code : pools_add(s, 8, 0.25, err);
    }
    if (!cJSON_IsObject(s->distribution))
        return es_err_set(err, ES_EINPUT, "distribution: found %s, needs shares by bits such as {\"2\": 0.25, \"4\": 0.5, \"8\": 0.25}", es_json_kind(s->distribution));
    cJSON_ArrayForEach(entry, s->distribution) {
        char *end;
        unsigned long bits = strtoul(entry->string, &end, 10);
        if (end == entry->string || *end || bits < 1 || bits > 64)
            return es_err_set(err, ES_EINPUT, "distribution: \"%s\" is no precision; bits of a weight are a whole number from 1 to 64", entry->string);
        if (!cJSON_IsNumber(entry) || !(entry->valuedouble >= 0 && entry->valuedouble <= 1))
            return es_err_set(err, ES_EINPUT, "distribution.%s: found %s, needs a share from 0 to 1", entry->string, es_json_kind(entry));
        es_code code = pools_add(s, (uint32_t)bits, entry->valuedouble, err);
        if (code)
            return code;
        sum += entry->valuedouble;
    }
    if (!(fabs(sum - 1.0) <= 1e-9))
        return es_err_set(err, ES_EINPUT, "distribution: the shares add up to %.12g, but the whole capacity is 1", sum);
    return ES_OK;
}

/* The largest expert of these bits; where there is none, the largest of other bits taken to these. */
static int64_t pools_slot_bytes(const es_place_ask *kind, uint32_t kinds, uint32_t bits)
{
    int64_t own = 0, other = 0;
    for (uint32_t k = 0; k < kinds; k++) {
        const int64_t taken = kind[k].bytes / kind[k].bits * bits + kind[k].bytes % kind[k].bits * bits / kind[k].bits;
        if (kind[k].bits == bits)
            own = kind[k].bytes > own ? kind[k].bytes : own;
        other = taken > other ? taken : other;
    }
    return own ? own : other > 1 ? other : 1;
}

/* `most`: slots it could have if it got the memory of all. */
static es_code pools_cut(pools *s, pools_pool *pool, es_arena *arena, uint32_t objects, uint32_t most, es_err *err)
{
    int64_t slots = pool->bytes / pool->slot_bytes;
    if (slots < 1 && s->mode != POOLS_CODED)
        return es_err_set(err, ES_EINPUT, "the pool of %u bits has %lld bytes, less than one expert (%lld); give it a larger share or raise min_pool", pool->bits,
            (long long)pool->bytes, (long long)pool->slot_bytes);
    if (slots > UINT32_MAX / 4)
        return es_err_set(err, ES_EINPUT, "the pool of %u bits has %lld slots, more than can be counted", pool->bits, (long long)slots);
    pool->slots = slots < 1 ? 1 : (uint32_t)slots;
    pool->short_bytes = slots < 1 ? pool->slot_bytes - pool->bytes : 0;
    pool->tail = slots < 1 ? 0 : pool->bytes - slots * pool->slot_bytes;
    pool->free_room = most + objects;
    pool->free = ES_NEW_ARRAY(arena, pool->free_room, uint32_t);
    if (!pool->free)
        return es_err_nomem(err, "a pool");
    for (; pool->free_count < pool->slots; pool->free_count++)
        pool->free[pool->free_count] = pool->free_count;
    return ES_OK;
}

static es_code pools_name(pools *s, uint32_t p, es_arena *arena, es_err *err)
{
    es_text text = {0};
    es_text_add(&text, "%ubit", s->pool[p].bits);
    const char *name = text.failed ? NULL : es_arena_text(arena, text.at);
    es_text_free(&text);
    if (!name)
        return es_err_nomem(err, "a pool");
    s->view[p] = (es_pool_view){.name = name, .capacity = s->pool[p].slots * s->pool[p].slot_bytes, .slot_bytes = s->pool[p].slot_bytes};
    return ES_OK;
}

static uint32_t pools_native(const pools *s, uint32_t bits)
{
    uint32_t p = 0;
    while (p < s->count && s->pool[p].bits != bits)
        p++;
    return p;
}

static es_code pools_kinds(const pools *s, const es_place_ask *kind, uint32_t kinds, es_err *err)
{
    for (uint32_t k = 0; k < kinds; k++) {
        if (kind[k].bits == 0)
            return es_err_set(err, ES_EINPUT, "nobody says how many bits a weight has; set catalog.bits");
        if (pools_native(s, kind[k].bits) == s->count)
            return es_err_set(err, ES_EINPUT, "distribution: there are experts of %u bits, but no pool for them", kind[k].bits);
    }
    return ES_OK;
}

static es_code pools_open(void *self, int64_t capacity, es_oid first, uint32_t objects, const es_place_ask *kind, uint32_t kinds, es_arena *arena, es_err *err)
{
    pools *s = self;
    s->capacity = capacity;
    es_code code = pools_shares(s, err);
    if (code == ES_OK)
        code = pools_kinds(s, kind, kinds, err);
    int64_t all = 0;
    for (uint32_t p = 0; p < s->count && code == ES_OK; p++) {
        s->pool[p].slot_bytes = pools_slot_bytes(kind, kinds, s->pool[p].bits);
        all += s->pool[p].bytes + s->pool[p].slot_bytes;
    }
    for (uint32_t p = 0; p < s->count && code == ES_OK; p++) {
        const int64_t most = all / s->pool[p].slot_bytes;
        code = pools_cut(s, &s->pool[p], arena, objects, most < UINT32_MAX / 4 ? (uint32_t)most : UINT32_MAX / 4, err);
        if (code == ES_OK)
            code = pools_name(s, p, arena, err);
    }
    if (code)
        return code;
    s->first = first;
    s->objects = objects;
    s->copy = ES_NEW_ARRAY(arena, (size_t)s->count * objects, pools_copy);
    s->row = ES_NEW_ARRAY(arena, objects, pools_row);
    if (!s->copy || !s->row)
        return es_err_nomem(err, "the pools");
    return ES_OK;
}

static es_code pools_init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    ((pools *)self)->run = site->view;
    return ES_OK;
}

/* ---- placing ---- */

static int64_t pools_unit(void *self, int64_t bytes)
{
    (void)self;
    return bytes;
}

/* The native pool, then those that take what spills. */
static uint32_t pools_choices(const void *self, const es_place_ask *ask, uint32_t *pool)
{
    const pools *s = self;
    uint32_t native = pools_native(s, ask->bits), count = 0;
    pool[count++] = native;
    for (uint32_t p = 0; p < s->count && s->spill != POOLS_NEVER; p++)
        if (p != native && s->pool[p].slot_bytes >= ask->bytes)
            pool[count++] = p;
    return count;
}

static es_time pools_now(const pools *s, es_time clock)
{
    return s->run && !s->run->timed ? s->now : clock;
}

static es_block pools_block(const pools *s, uint32_t p, uint32_t slot)
{
    return (es_block){.pool = p, .slot = slot, .at = slot * s->pool[p].slot_bytes, .bytes = s->pool[p].slot_bytes};
}

/* The object lies in this slot from now on. */
static es_place pools_lie(pools *s, uint32_t p, uint32_t slot, const es_place_ask *ask, es_block *block)
{
    pools_pool *pool = &s->pool[p];
    const bool native = pool->bits == ask->bits;
    *block = pools_block(s, p, slot);
    *pools_copy_of(s, p, ask->object) = (pools_copy){.held = true, .slot = slot, .bytes = ask->bytes, .used = pools_now(s, ask->now), .uses = 1, .order = s->order++};
    s->view[p].used += pool->slot_bytes;
    pool->held++;
    pool->peak = pool->held > pool->peak ? pool->held : pool->peak;
    pool->waste += pool->slot_bytes - ask->bytes;
    *(native ? &pool->placed : &pool->spilled_in) += 1;
    return native ? ES_PLACED : ES_SPILLED;
}

static es_place pools_reserve_in(pools *s, uint32_t p, const es_place_ask *ask, es_block *block)
{
    pools_pool *pool = &s->pool[p];
    pools_copy *copy = pools_copy_of(s, p, ask->object);
    if (copy->held) {
        copy->used = pools_now(s, ask->now);
        copy->uses++;
        *block = pools_block(s, p, copy->slot);
        return ES_AGAIN;
    }
    if (s->mode == POOLS_CODED && ask->freed && ask->freed->pool == p)
        return pools_lie(s, p, ask->freed->slot, ask, block);       /* and it stays on the stack */
    if (pool->free_count == 0)
        return ES_FULL;
    return pools_lie(s, p, pool->free[--pool->free_count], ask, block);
}

static es_place pools_reserve(void *self, const es_place_ask *ask, es_block *block)
{
    pools *s = self;
    if (ask->pool != ES_NONE_POOL)
        return pools_reserve_in(s, ask->pool, ask, block);
    const uint32_t native = pools_native(s, ask->bits);
    es_place place = pools_reserve_in(s, native, ask, block);
    for (uint32_t p = 0; p < s->count && place == ES_FULL && s->spill == POOLS_BEFORE_EVICTION; p++)
        if (p != native && s->pool[p].slot_bytes >= ask->bytes)
            place = pools_reserve_in(s, p, ask, block);
    return place;
}

static void pools_release(void *self, es_oid object, const es_block *block)
{
    pools *s = self;
    pools_pool *pool = &s->pool[block->pool];
    pools_copy *copy = pools_copy_of(s, block->pool, object);
    const bool dropped = copy->dropped;
    copy->dropped = false;
    if (dropped)
        return;
    pools_forget(s, object, block->pool);
    if (pool->free_count < pool->free_room)
        pool->free[pool->free_count++] = copy->slot;
}

static void pools_notify(void *self, const es_fact *fact)
{
    pools *s = self;
    const es_event *event = fact->event;
    const bool own = event->base >= s->first && event->base < s->first + s->objects;
    for (uint32_t i = 0; own && i < event->count; i++) {
        const es_oid object = event->base + event->list[i];
        const uint32_t native = pools_native(s, s->run->bits[object >> 6]);
        for (uint32_t p = 0; p < s->count; p++) {
            pools_copy *copy = pools_copy_of(s, p, object);
            if (!copy->held || (s->mode == POOLS_CODED && p != native))
                continue;
            copy->used = pools_now(s, fact->at);
            copy->uses++;
        }
    }
    s->now += POOLS_EVENT;
}

static uint32_t pools_pools(const void *self, const es_pool_view **pool)
{
    const pools *s = self;
    *pool = s->view;
    return s->count;
}

/* As coded an expert is looked up in its own pool only. */
static bool pools_hides(const void *self, const es_block *block, const es_place_ask *ask)
{
    const pools *s = self;
    return s->mode == POOLS_CODED && s->pool[block->pool].bits != ask->bits;
}

/* The source's score, 0.7 * age in seconds + 0.3 / (uses + 1), grows alike for all; in billionths, without what all have: the least leaves. */
static int64_t pools_key(const pools_copy *copy)
{
    return (int64_t)(0.7 * (double)copy->used + 0.5) - (int64_t)(0.3e9 / ((double)copy->uses + 1.0) + 0.5);
}

/* Of equals the first that came. */
static es_oid pools_names(const void *self, uint32_t pool, const uint64_t *open, es_block *block)
{
    const pools *s = self;
    const pools_copy *best = NULL;
    es_oid named = ES_NO_OBJECT;
    for (es_oid o = s->first; o < s->first + s->objects; o++) {
        const pools_copy *copy = pools_copy_of(s, pool, o);
        if (!copy->held || !es_mask_has(open, o))
            continue;
        const int64_t key = pools_key(copy), least = best ? pools_key(best) : INT64_MAX;
        if (key < least || (key == least && copy->order < best->order)) {
            best = copy;
            named = o;
        }
    }
    if (best)
        *block = pools_block(s, pool, best->slot);
    return named;
}

static bool pools_overcommits(const void *self)
{
    return ((const pools *)self)->mode == POOLS_CODED;
}

/* ---- the report ---- */

/* What the states have of a pool. */
static void pools_report_pool(const void *const *self, uint32_t states, uint32_t p, es_json *row)
{
    pools_pool all = {0};
    for (uint32_t i = 0; i < states; i++) {
        const pools_pool *pool = &((const pools *)self[i])->pool[p];
        all.bytes += pool->bytes;
        all.tail += pool->tail;
        all.short_bytes += pool->short_bytes;
        all.held += pool->held;
        all.peak += pool->peak;
        all.slots += pool->slots;
        all.placed += pool->placed;
        all.spilled_in += pool->spilled_in;
        all.released += pool->released;
        all.waste += pool->waste;
    }
    es_json_add_int(row, "bits", ((const pools *)self[0])->pool[p].bits);
    es_json_add_int(row, "share_bytes", all.bytes);
    es_json_add_int(row, "tail_bytes", all.tail);
    es_json_add_int(row, "short_bytes", all.short_bytes);
    es_json_add_int(row, "experts", (int64_t)all.held);
    es_json_add_int(row, "peak_experts", (int64_t)all.peak);
    es_json_add_real(row, "utilisation", pools_utilisation(&all));
    es_json_add_int(row, "allocations", (int64_t)all.placed);
    es_json_add_int(row, "spilled_in", (int64_t)all.spilled_in);
    es_json_add_int(row, "released", (int64_t)all.released);
    es_json_add_int(row, "slot_waste_bytes", all.waste);
}

static void pools_report(const void *const *self, uint32_t states, es_json *out)
{
    int64_t configured = 0, tail = 0, waste = 0, sum = 0, shifted = 0, lost = 0;
    const pools *one = self[0];
    es_json *rows = cJSON_GetObjectItemCaseSensitive(out, "pools");
    for (uint32_t p = 0; p < one->count; p++)
        pools_report_pool(self, states, p, cJSON_GetObjectItemCaseSensitive(rows, one->view[p].name));
    for (uint32_t i = 0; i < states; i++) {
        const pools *s = self[i];
        configured += s->capacity;
        shifted += s->shifted;
        lost += s->lost;
        for (uint32_t p = 0; p < s->count; p++) {
            tail += s->pool[p].tail;
            waste += s->pool[p].waste;
            sum += s->pool[p].bytes;
        }
    }
    es_json_add_int(out, "configured_bytes", configured);
    es_json_add_int(out, "pool_bytes", sum);
    es_json_add_int(out, "tail_bytes", tail);
    es_json_add_real(out, "tail_share", sum > 0 ? (double)tail / (double)sum : 0.0);
    es_json_add_int(out, "slot_waste_bytes", waste);
    es_json_add_int(out, "shifted_bytes", shifted);
    es_json_add_int(out, "lost_bytes", lost);
}

const es_allocator es_allocator_pools = {
    .part = {.abi = ES_ABI, .name = "pools", .brief = "A pool of equal slots for each precision; what finds none spills into a wider one.", .options = pools_options,
        .size = sizeof(pools), .init = pools_init, .notify = pools_notify, .hears = ES_HEARS(ES_FACT_USE)},
    .unit = pools_unit,
    .counts = "bytes",
    .open = pools_open,
    .reserve = pools_reserve,
    .release = pools_release,
    .choices = pools_choices,
    .due = pools_due,
    .compact = pools_compact,
    .pools = pools_pools,
    .overcommits = pools_overcommits,
    .hides = pools_hides,
    .names = pools_names,
    .report = pools_report,
};
