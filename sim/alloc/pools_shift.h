/* Shift: the defragmentation of pools. Slots go from the emptiest pool to the fullest (pools.c says when, and by how much). */
#ifndef ES_ALLOC_POOLS_SHIFT_H
#define ES_ALLOC_POOLS_SHIFT_H

#include <stdlib.h>

#include "sim/alloc/pools.h"

/* Does defragmentation go the source's way? */
static bool pools_locked(const pools *s)
{
    return s->defrag == POOLS_LOCKED || (s->defrag == POOLS_BY_MODE && s->mode == POOLS_CODED);
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
static uint32_t pools_rows(pools *s, uint32_t p, const es_compaction *c, uint32_t *kept)
{
    uint32_t count = 0;
    *kept = 0;
    for (es_oid o = s->first; o < s->first + s->objects; o++) {
        const pools_copy *copy = pools_copy_of(s, p, o);
        const bool stays = copy->held && c->block[o].pool == p && es_mask_has(c->fixed, o);
        if (copy->held)
            s->row[count++] = (pools_row){o, stays, copy->used, copy->order};
        *kept += stays;
    }
    qsort(s->row, count, sizeof *s->row, pools_recent);
    return count;
}

/* As coded lookups may find another copy of it, or none: then its block is not this one. */
static void pools_move(pools *s, uint32_t p, es_oid object, uint32_t slot, es_compaction *c)
{
    pools_copy *copy = pools_copy_of(s, p, object);
    es_block *block = &c->block[object];
    if (copy->slot == slot)
        return;
    copy->slot = slot;
    if (block->pool == p) {
        block->slot = slot;
        block->at = slot * s->pool[p].slot_bytes;
    }
    c->moves++;
    c->bytes += copy->bytes;
}

/* As coded: all copies of a pool of so many slots from now on get new ones, and what finds none is dropped. */
static void pools_lay_out(pools *s, uint32_t p, uint32_t slots, es_compaction *c)
{
    pools_pool *pool = &s->pool[p];
    uint32_t kept;
    const uint32_t count = pools_rows(s, p, c, &kept);
    for (uint32_t i = 0; i < count; i++) {
        if (i < slots) {
            pools_move(s, p, s->row[i].object, i, c);
            continue;
        }
        pools_forget(s, s->row[i].object, p);
        pools_copy_of(s, p, s->row[i].object)->dropped = true;
        c->dropped[c->drops++] = (es_drop){s->row[i].object, p};
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
    for (es_oid o = s->first; o < s->first + s->objects; o++)
        if (pools_copy_of(s, p, o)->held && pools_copy_of(s, p, o)->slot >= slots)
            pools_move(s, p, o, pool->free[--pool->free_count], c);
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
        if ((pools_rows(s, shift.donor, c, &kept), kept > less) || (pools_rows(s, shift.receiver, c, &kept), kept > more))
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

#endif
