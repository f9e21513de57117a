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
 * loaded again, into its own pool when that has a place now (the spilled copy stays and takes up a slot) or where it lies. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/text.h"
#include "sim/part/allocator.h"
#include "sim/part/fact.h"

enum { POOLS_MOST = 8 };

typedef struct pools_pool {
    uint32_t bits, slots;
    int64_t bytes, tail;        /* its share of the capacity; what its slots left of it */
    int64_t slot_bytes;
    int64_t short_bytes;        /* that its one slot has more than its share */
    uint32_t *free, free_count, free_room;  /* the stack; as coded it may hold a slot twice */
    uint64_t held, peak;        /* experts in it: as coded there may be more than slots */
    uint64_t placed, spilled_in, released;
    int64_t waste;              /* bytes of taken slots that their experts do not need, now */
} pools_pool;

typedef struct pools_copy {
    uint32_t pool;              /* `count`: in none */
    int64_t bytes;              /* what lies there */
    es_time used;               /* last */
    uint64_t order;             /* of coming in */
    bool dropped;               /* by a compaction: its slot is another's */
} pools_copy;

typedef struct pools_shift {    /* what a defragmentation would do */
    uint32_t donor, receiver;
    uint32_t remove, add;       /* slots */
    int64_t bytes;
} pools_shift;

typedef struct pools_row {      /* a copy of a pool that is laid out anew */
    es_oid object;
    bool fixed;
    es_time used;
    uint64_t order;
} pools_row;

typedef struct pools {
    const es_json *distribution;
    int64_t min_pool;
    int mode, spill;
    int defrag;
    double full, idle, free_share, slot_share;
    int64_t least, cooldown;
    pools_pool pool[POOLS_MOST];
    es_pool_view view[POOLS_MOST];
    uint32_t count;
    int64_t capacity;
    pools_copy *copy;           /* [objects] */
    uint32_t objects;
    uint64_t order;
    pools_row *row;             /* [objects] scratch */
    bool ran;                   /* defragmented before, at ran_at */
    es_time ran_at;
    int64_t shifted, lost;      /* bytes that defragmentation took, and of these what rounding lost */
} pools;

enum { POOLS_DOCUMENTED, POOLS_CODED };
enum { POOLS_WHEN_LOCKED, POOLS_BEFORE_EVICTION, POOLS_NEVER };

static const char *const pools_modes[] = {"as_documented", "as_coded", NULL};
static const char *const pools_spills[] = {"when_locked", "before_eviction", "never", NULL};

enum { POOLS_BY_MODE, POOLS_OFF, POOLS_WHEN_FULL, POOLS_LOCKED };
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

static es_code pools_open(void *self, int64_t capacity, uint32_t objects, const es_place_ask *kind, uint32_t kinds, es_arena *arena, es_err *err)
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
    s->objects = objects;
    s->copy = ES_NEW_ARRAY(arena, objects, pools_copy);
    s->row = ES_NEW_ARRAY(arena, objects, pools_row);
    if (!s->copy || !s->row)
        return es_err_nomem(err, "the pools");
    for (uint32_t o = 0; o < objects; o++)
        s->copy[o].pool = s->count;
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

/* The object lies in this slot from now on. */
static es_place pools_lie(pools *s, uint32_t p, uint32_t slot, const es_place_ask *ask, es_block *block)
{
    pools_pool *pool = &s->pool[p];
    const bool native = pool->bits == ask->bits;
    *block = (es_block){.pool = p, .slot = slot, .at = slot * pool->slot_bytes, .bytes = pool->slot_bytes};
    s->copy[ask->object] = (pools_copy){p, ask->bytes, ask->now, s->order++, false};
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

/* It lies in its pool no longer; its slot is another matter. */
static void pools_forget(pools *s, es_oid object, uint32_t p)
{
    pools_copy *copy = &s->copy[object];
    pools_pool *pool = &s->pool[p];
    s->view[p].used -= pool->slot_bytes;
    pool->held--;
    pool->released++;
    pool->waste -= pool->slot_bytes - copy->bytes;
    if (copy->pool == p)        /* as coded it may have a second copy at home */
        copy->pool = s->count;
}

static void pools_release(void *self, es_oid object, const es_block *block)
{
    pools *s = self;
    pools_pool *pool = &s->pool[block->pool];
    const bool dropped = s->copy[object].dropped;
    s->copy[object].dropped = false;
    if (dropped)
        return;
    pools_forget(s, object, block->pool);
    if (pool->free_count < pool->free_room)
        pool->free[pool->free_count++] = block->slot;
}

/* ---- defragmentation ---- */

/* Does defragmentation go the source's way? */
static bool pools_locked(const pools *s)
{
    return s->defrag == POOLS_LOCKED || (s->defrag == POOLS_BY_MODE && s->mode == POOLS_CODED);
}

static double pools_utilisation(const pools_pool *pool)
{
    return (double)pool->held / pool->slots;
}

/* The fullest that is full enough to receive and the emptiest that is idle enough to give, the first of equals. */
static bool pools_pair(const pools *s, pools_shift *shift)
{
    shift->receiver = shift->donor = s->count;
    for (uint32_t p = 0; p < s->count; p++) {
        const double now = pools_utilisation(&s->pool[p]);
        if (now > s->full && (shift->receiver == s->count || now > pools_utilisation(&s->pool[shift->receiver])))
            shift->receiver = p;
        if (now < s->idle && s->view[p].capacity > s->least && (shift->donor == s->count || now < pools_utilisation(&s->pool[shift->donor])))
            shift->donor = p;
    }
    return shift->receiver < s->count && shift->donor < s->count && shift->receiver != shift->donor;
}

static bool pools_shiftable(const pools *s, pools_shift *shift)
{
    if (!pools_pair(s, shift))
        return false;
    const pools_pool *donor = &s->pool[shift->donor], *receiver = &s->pool[shift->receiver];
    const int64_t free_bytes = (int64_t)(s->free_share * (double)((int64_t)donor->free_count * donor->slot_bytes));
    const int64_t slot_bytes = (int64_t)(s->slot_share * (double)((int64_t)donor->slots * donor->slot_bytes));
    shift->bytes = free_bytes < slot_bytes ? free_bytes : slot_bytes;
    shift->remove = (uint32_t)(shift->bytes / donor->slot_bytes);
    shift->add = (uint32_t)(shift->bytes / receiver->slot_bytes);
    if (!pools_locked(s) && shift->remove > donor->slots - donor->held)
        return false;           /* data is kept */
    return shift->remove > 0 && shift->remove < donor->slots && shift->add > 0;
}

static bool pools_due(const void *self, const es_place_ask *ask, es_time now)
{
    const pools *s = self;
    pools_shift shift;
    if (s->defrag == POOLS_OFF || pools_locked(s) != (ask != NULL) || (s->ran && now - s->ran_at < s->cooldown))
        return false;
    return pools_shiftable(s, &shift);
}

static int pools_recent(const void *a, const void *b)
{
    const pools_row *x = a, *y = b;
    if (x->fixed != y->fixed)
        return x->fixed ? -1 : 1;
    if (x->used != y->used)
        return x->used > y->used ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

/* The copies of a pool in the order of their new places: what may not be dropped, then the most recently used. */
static uint32_t pools_rows(pools *s, uint32_t p, const uint64_t *fixed, uint32_t *kept)
{
    uint32_t count = 0;
    *kept = 0;
    for (es_oid o = 0; o < s->objects; o++)
        if (s->copy[o].pool == p) {
            const bool stays = es_mask_has(fixed, o);
            s->row[count++] = (pools_row){o, stays, s->copy[o].used, s->copy[o].order};
            *kept += stays;
        }
    qsort(s->row, count, sizeof *s->row, pools_recent);
    return count;
}

static void pools_move(pools *s, es_oid object, uint32_t slot, es_compaction *c)
{
    es_block *block = &c->block[object];
    if (block->slot == slot)
        return;
    block->slot = slot;
    block->at = slot * s->pool[block->pool].slot_bytes;
    c->moves++;
    c->bytes += s->copy[object].bytes;
}

/* As coded: all copies of a pool of so many slots from now on get new ones, and what finds none is dropped. */
static void pools_lay_out(pools *s, uint32_t p, uint32_t slots, es_compaction *c)
{
    pools_pool *pool = &s->pool[p];
    uint32_t kept;
    const uint32_t count = pools_rows(s, p, c->fixed, &kept);
    for (uint32_t i = 0; i < count; i++) {
        if (i < slots) {
            pools_move(s, s->row[i].object, i, c);
            continue;
        }
        pools_forget(s, s->row[i].object, p);
        s->copy[s->row[i].object].dropped = true;
        c->dropped[c->drops++] = s->row[i].object;
    }
    pool->free_count = 0;
    for (uint32_t slot = count; slot < slots; slot++)
        pool->free[pool->free_count++] = slot;
    pool->slots = slots;
}

/* As documented: what lies in slots that go moves to free ones. There are enough. */
static void pools_shrink(pools *s, uint32_t p, uint32_t slots, es_compaction *c)
{
    pools_pool *pool = &s->pool[p];
    uint32_t left = 0;
    for (uint32_t i = 0; i < pool->free_count; i++)
        if (pool->free[i] < slots)
            pool->free[left++] = pool->free[i];
    pool->free_count = left;
    for (es_oid o = 0; o < s->objects; o++)
        if (s->copy[o].pool == p && c->block[o].slot >= slots)
            pools_move(s, o, pool->free[--pool->free_count], c);
    pool->slots = slots;
}

static void pools_grow(pools_pool *pool, uint32_t slots)
{
    for (; pool->slots < slots; pool->slots++)
        pool->free[pool->free_count++] = pool->slots;
}

static bool pools_compact(void *self, es_compaction *c, es_time now)
{
    pools *s = self;
    pools_shift shift;
    uint32_t kept;
    if (!pools_shiftable(s, &shift))
        return false;
    pools_pool *donor = &s->pool[shift.donor], *receiver = &s->pool[shift.receiver];
    const uint32_t less = donor->slots - shift.remove, more = receiver->slots + shift.add;
    if (pools_locked(s)) {
        if ((pools_rows(s, shift.donor, c->fixed, &kept), kept > less) || (pools_rows(s, shift.receiver, c->fixed, &kept), kept > more))
            return false;
        pools_lay_out(s, shift.donor, less, c);
        pools_lay_out(s, shift.receiver, more, c);
    } else {
        pools_shrink(s, shift.donor, less, c);
        pools_grow(receiver, more);
    }
    s->view[shift.donor].capacity = donor->slots * donor->slot_bytes;
    s->view[shift.receiver].capacity = receiver->slots * receiver->slot_bytes;
    s->shifted += shift.bytes;
    s->lost += shift.remove * donor->slot_bytes - shift.add * receiver->slot_bytes;
    s->ran = true;
    s->ran_at = now;
    return true;
}

static void pools_notify(void *self, const es_fact *fact)
{
    pools *s = self;
    const es_event *event = fact->event;
    for (uint32_t i = 0; i < event->count; i++)
        s->copy[event->base + event->list[i]].used = fact->at;
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

static bool pools_overcommits(const void *self)
{
    return ((const pools *)self)->mode == POOLS_CODED;
}

/* ---- the report ---- */

static void pools_report(const void *self, es_json *out)
{
    const pools *s = self;
    int64_t tail = 0, waste = 0, sum = 0;
    es_json *rows = cJSON_GetObjectItemCaseSensitive(out, "pools");
    for (uint32_t p = 0; p < s->count; p++) {
        const pools_pool *pool = &s->pool[p];
        es_json *row = cJSON_GetObjectItemCaseSensitive(rows, s->view[p].name);
        es_json_add_int(row, "bits", pool->bits);
        es_json_add_int(row, "share_bytes", pool->bytes);
        es_json_add_int(row, "tail_bytes", pool->tail);
        es_json_add_int(row, "short_bytes", pool->short_bytes);
        es_json_add_int(row, "experts", (int64_t)pool->held);
        es_json_add_int(row, "peak_experts", (int64_t)pool->peak);
        es_json_add_real(row, "utilisation", pools_utilisation(pool));
        es_json_add_int(row, "allocations", (int64_t)pool->placed);
        es_json_add_int(row, "spilled_in", (int64_t)pool->spilled_in);
        es_json_add_int(row, "released", (int64_t)pool->released);
        es_json_add_int(row, "slot_waste_bytes", pool->waste);
        tail += pool->tail;
        waste += pool->waste;
        sum += pool->bytes;
    }
    es_json_add_int(out, "configured_bytes", s->capacity);
    es_json_add_int(out, "pool_bytes", sum);
    es_json_add_int(out, "tail_bytes", tail);
    es_json_add_real(out, "tail_share", sum > 0 ? (double)tail / (double)sum : 0.0);
    es_json_add_int(out, "slot_waste_bytes", waste);
    es_json_add_int(out, "shifted_bytes", s->shifted);
    es_json_add_int(out, "lost_bytes", s->lost);
}

const es_allocator es_allocator_pools = {
    .part = {.abi = ES_ABI, .name = "pools", .brief = "A pool of equal slots for each precision; what finds none spills into a wider one.", .options = pools_options,
        .size = sizeof(pools), .notify = pools_notify, .hears = ES_HEARS(ES_FACT_USE)},
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
    .report = pools_report,
};
