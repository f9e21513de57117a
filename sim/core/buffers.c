/* Buffers: see buffers.h. The time of a run is one sum, so it needs no calendar: requests, compute and moves follow one another. */
#include "sim/core/buffers_inside.h"

#include <assert.h>
#include <string.h>

/* ---- the parts ---- */

static es_code buffers_part(buffers *b, const es_plan_part *row, const char *path, void **state, es_err *err)
{
    const es_part *part = row->part;
    *state = es_arena_alloc(&b->arena, 1, part->size);
    if (!*state)
        return es_err_nomem(err, part->name);
    if (row->state && part->size)
        memcpy(*state, row->state, part->size);
    const es_site site = {.arena = &b->arena, .path = path, .seed = b->plan->seed, .replication = b->plan->replication};
    return part->init && part->init(*state, &site, err) != ES_OK ? es_err_at(err, "%s", path) : ES_OK;
}

static es_code buffers_allocator(buffers *b, const es_plan_tier *tier, es_err *err)
{
    const es_plan_part *row = &tier->allocator;
    b->allocator = (const es_allocator *)(const void *)row->part;
    if (!b->allocator)
        return es_err_set(err, ES_EINPUT, "tiers.%s.allocator: is missing; a trace of buffers needs one that places them, such as heaps", tier->name);
    if (!b->allocator->open || !b->allocator->reserve || !b->allocator->release || !b->allocator->pools)
        return es_err_set(err, ES_EINPUT, "tiers.%s.allocator: %s only counts; a trace of buffers needs one that places them, such as heaps", tier->name, row->part->name);
    es_code code = buffers_part(b, row, row->path, &b->allocator_state, err);
    if (code == ES_OK && (code = b->allocator->open(b->allocator_state, INT64_MAX, 0, b->slots, NULL, 0, &b->arena, err)) != ES_OK)
        es_err_at(err, "%s", row->path);
    return code;
}

static es_code buffers_timings(buffers *b, const es_plan_tier *tier, es_err *err)
{
    const es_plan *plan = b->plan;
    es_code code = ES_OK;
    if (tier->allocation.part) {
        b->allocation = (const es_timing *)(const void *)tier->allocation.part;
        code = buffers_part(b, &tier->allocation, tier->allocation.path, &b->allocation_state, err);
    }
    for (size_t i = 0; tier->compute && i < plan->channel_count && code == ES_OK; i++) {
        const es_plan_channel *channel = &plan->channels[i];
        if (strcmp(channel->name, tier->compute) != 0 || !channel->timing.part)
            continue;
        b->unit = (const es_timing *)(const void *)channel->timing.part;
        code = buffers_part(b, &channel->timing, channel->timing.path, &b->unit_state, err);
    }
    if (code == ES_OK && tier->compute && !b->unit)
        return es_err_set(err, ES_EINPUT, "tiers.%s.compute: there is no channel \"%s\" with a timing", tier->name, tier->compute);
    return code;
}

static es_code buffers_new(buffers *b, const es_plan *plan, es_err *err)
{
    *b = (buffers){.plan = plan, .slots = plan->source->info(plan->source_state)->buffers};
    if (plan->tier_count != 1)
        return es_err_set(err, ES_EINPUT, "tiers: a trace of buffers runs over one tier; there are %zu", plan->tier_count);
    if (plan->predictor.part || plan->tuner_count > 0)
        return es_err_set(err, ES_EINPUT, "%s: a trace of buffers has no experts and nothing to turn; leave it out", plan->predictor.part ? "predictor" : "tuner");
    es_code code = buffers_allocator(b, &plan->tiers[0], err);
    if (code == ES_OK)
        code = buffers_timings(b, &plan->tiers[0], err);
    if (code)
        return code;
    const size_t words = b->slots / 64 + 1;
    uint64_t *fixed = ES_NEW_ARRAY(&b->arena, words, uint64_t);
    b->block = ES_NEW_ARRAY(&b->arena, b->slots, es_block);
    b->held = ES_NEW_ARRAY(&b->arena, b->slots, bool);
    b->compaction = (es_compaction){.block = b->block, .fixed = fixed, .dropped = ES_NEW_ARRAY(&b->arena, b->slots, es_drop)};
    if (!b->block || !b->held || !fixed || !b->compaction.dropped || !es_hist_init(&b->token, &b->arena, plan->stream ? 0 : BUFFERS_SAMPLES))
        return es_err_nomem(err, "the buffers");
    memset(fixed, 0xff, words * sizeof *fixed);
    return ES_OK;
}

static void buffers_free(buffers *b)
{
    es_hist_free(&b->token);
    es_arena_free(&b->arena);
}

/* ---- time ---- */

/* Charges an operation on memory to one of the sums. */
static void buffers_pay(buffers *b, es_op_kind kind, int64_t bytes, uint32_t count, es_time *sum)
{
    if (!b->allocation || !b->plan->timed || count == 0)
        return;
    const es_op op = {.kind = kind, .bytes = bytes, .count = count, .step = b->steps, .occurrence = b->requests};
    const es_cost cost = b->allocation->cost(b->allocation_state, &op);
    b->now += cost.fixed + cost.work;
    *sum += cost.fixed + cost.work;
}

/* Heaps that were not there before are made now. */
static void buffers_heaps(buffers *b, es_time *sum)
{
    const es_pool_view *pool = NULL;
    const uint32_t pools = b->allocator->pools(b->allocator_state, &pool);
    for (; b->pools < pools; b->pools++) {
        buffers_pay(b, ES_OP_HEAP, pool[b->pools].capacity, 1, sum);
        buffers_pay(b, ES_OP_WARM, 0, pool[b->pools].warmed, sum);
        b->warmed += pool[b->pools].warmed;
    }
}

static void buffers_gauge_add(buffers_gauge *g, double value)
{
    g->sum += value;
    g->last = value;
    g->count++;
    if (value > g->peak)
        g->peak = value;
}

static void buffers_curve_merge(buffers_curve *c)
{
    for (uint32_t i = 0; i < BUFFERS_BINS / 2; i++) {
        const buffers_bin *x = &c->bin[2 * i], *y = x + 1;
        c->bin[i] = (buffers_bin){x->utilization + y->utilization, x->fragmentation + y->fragmentation, x->live + y->live, x->missed + y->missed};
    }
    for (uint32_t i = BUFFERS_BINS / 2; i < BUFFERS_BINS; i++)
        c->bin[i] = (buffers_bin){0};
    c->stride *= 2;
}

static void buffers_curve_add(buffers *b)
{
    buffers_curve *c = &b->curve;
    if (c->stride == 0)
        c->stride = 1;
    if (b->steps / c->stride == BUFFERS_BINS)
        buffers_curve_merge(c);
    buffers_bin *bin = &c->bin[b->steps / c->stride];
    bin->utilization += b->utilization.last;
    bin->fragmentation += b->fragmentation.last;
    bin->live += (double)b->live;
    bin->missed += (double)(b->fallback + b->refused - b->missed);
    b->missed = b->fallback + b->refused;
}

/* How full the pool is, and in how small pieces what is free of it: per heap 1 - largest / free, weighted by what is free there. */
static void buffers_look(buffers *b)
{
    const es_pool_view *pool = NULL;
    const uint32_t pools = b->allocator->pools(b->allocator_state, &pool);
    int64_t capacity = 0, used = 0, largest = 0;
    uint32_t busy = 0;
    for (uint32_t i = 0; i < pools; i++) {
        capacity += pool[i].capacity;
        used += pool[i].used;
        largest += pool[i].largest;
        busy += pool[i].used > 0;
    }
    if (capacity > 0) {
        buffers_gauge_add(&b->utilization, (double)used / (double)capacity);
        buffers_gauge_add(&b->fragmentation, used < capacity ? 1.0 - (double)largest / (double)(capacity - used) : 0.0);
        buffers_gauge_add(&b->used, (double)used);
        buffers_gauge_add(&b->busy, busy);
    }
    buffers_curve_add(b);
}

/* ---- a step ---- */

static void buffers_log(buffers *b, const es_buffer_op *op, bool refused)
{
    const uint64_t place = b->fallback + b->refused - 1;
    if (place < BUFFERS_LOG)
        b->miss[place] = (buffers_miss){.at = b->now, .step = b->steps, .id = op->id, .bytes = op->bytes, .refused = refused};
}

static void buffers_ask(buffers *b, const es_buffer_op *op)
{
    es_block *block = &b->block[op->slot];
    const es_place_ask ask = {.bytes = op->bytes, .pool = ES_NONE_POOL, .object = op->slot, .now = b->now};
    const es_place place = b->allocator->reserve(b->allocator_state, &ask, block);
    buffers_heaps(b, &b->made);
    b->held[op->slot] = place != ES_FULL;
    b->bytes_sum += (double)op->bytes;
    if (op->bytes > b->bytes_largest)
        b->bytes_largest = op->bytes;
    if (place == ES_FULL) {
        b->refused++;
        buffers_log(b, op, true);
    } else if (place == ES_FALLBACK) {
        b->fallback++;
        buffers_log(b, op, false);
        buffers_pay(b, ES_OP_ALLOC_DEVICE, block->bytes, 1, &b->device);
        if (b->pools == 0)              /* without a pool the host allocates too */
            buffers_pay(b, ES_OP_ALLOC_HOST, block->bytes, 1, &b->host);
    } else {
        b->placed++;
        b->spilled += place == ES_SPILLED;
        b->placed_sum += (double)op->bytes;
        buffers_pay(b, ES_OP_ALLOC, block->bytes, 1, &b->pool);
    }
    b->requests++;
    if (place == ES_FULL)
        return;
    b->live_bytes += op->bytes;
    b->beside += block->pool == ES_NONE_POOL;
    if (++b->live > b->live_peak)
        b->live_peak = b->live;
    if (b->live_bytes > b->live_bytes_peak)
        b->live_bytes_peak = b->live_bytes;
}

static void buffers_release(buffers *b, const es_buffer_op *op)
{
    const es_block block = b->block[op->slot];
    if (!b->held[op->slot])
        return;
    b->allocator->release(b->allocator_state, op->slot, &block);
    b->held[op->slot] = false;
    b->released++;
    b->live--;
    b->beside -= block.pool == ES_NONE_POOL;
    b->live_bytes -= op->bytes;
}

static void buffers_release_again(buffers *b, const es_buffer_op *op)
{
    b->again++;
    if (b->allocator->release_again)
        b->allocator->release_again(b->allocator_state, op->slot, &b->block[op->slot]);
}

static void buffers_compute(buffers *b, const es_step *step)
{
    buffers_look(b);
    buffers_pay(b, ES_OP_ACCESS, 0, b->pools + (uint32_t)b->beside, &b->resident);
    if (!b->unit || !b->plan->timed)
        return;
    const es_op op = {.kind = ES_OP_DENSE, .count = 1, .tokens = step->tokens, .step = b->steps};
    const es_cost cost = b->unit->cost(b->unit_state, &op);
    b->now += cost.fixed + cost.work;
    b->dense += cost.fixed + cost.work;
}

/* All are fixed: a buffer that is dropped would be lost to its program, for there is no other copy. */
static void buffers_compact(buffers *b)
{
    es_compaction *c = &b->compaction;
    if (!b->allocator->due || !b->allocator->due(b->allocator_state, NULL, b->now))
        return;
    c->drops = c->moves = 0;
    c->bytes = 0;
    if (!b->allocator->compact(b->allocator_state, c, b->now))
        return;
    assert(c->drops == 0);
    b->compactions++;
    b->moves += c->moves;
    b->moved_bytes += c->bytes;
    buffers_pay(b, ES_OP_MOVE, c->bytes, c->moves, &b->moving);
}

static void buffers_step(buffers *b, const es_step *step)
{
    const es_time since = b->now;
    uint32_t i = 0;
    for (; i < step->buffers && step->buffer[i].kind != ES_BUFFER_EXPIRE; i++) {
        const es_buffer_op *op = &step->buffer[i];
        if (op->kind == ES_BUFFER_REQUEST)
            buffers_ask(b, op);
        else if (op->kind == ES_BUFFER_RELEASE)
            buffers_release(b, op);
        else
            buffers_release_again(b, op);
    }
    buffers_compute(b, step);
    for (; i < step->buffers; i++)
        buffers_release(b, &step->buffer[i]);
    buffers_compact(b);
    for (uint32_t t = 0; t < step->tokens; t++)
        es_hist_add(&b->token, b->now - since);
    if (b->steps++ == 0)
        b->first = b->now - since;
    b->tokens += step->tokens;
}

static es_code buffers_go(buffers *b, const es_progress *progress, es_err *err)
{
    const es_plan *plan = b->plan;
    const uint64_t all = plan->source->info(plan->source_state)->steps;
    es_code code = plan->source->rewind(plan->source_state, err);
    buffers_heaps(b, &b->setup);
    b->pools_first = b->pools;
    while (code == ES_OK) {
        es_step step = {0};
        bool more = false;
        code = plan->source->next(plan->source_state, &step, &more, err);
        if (code || !more)
            break;
        buffers_step(b, &step);
        if (progress && b->steps % 1024 == 0)
            progress->tell(progress->self, b->steps, all, b->now);
    }
    return code;
}

es_code es_buffers_run(const es_plan *plan, const es_progress *progress, es_json *out, es_err *err)
{
    buffers b;
    es_code code = buffers_new(&b, plan, err);
    if (code == ES_OK)
        code = buffers_go(&b, progress, err);
    if (code == ES_OK)
        buffers_report(&b, out);
    buffers_free(&b);
    return code;
}
