/* Buffers: see buffers.h. The time of a run is one sum, so it needs no calendar: requests, compute and moves follow one another. */
#include "sim/core/buffers.h"

#include <math.h>
#include <string.h>

#include "sim/base/hist.h"
#include "sim/part/allocator.h"
#include "sim/part/timing.h"

enum { BUFFERS_LOG = 16, BUFFERS_BINS = 128, BUFFERS_SAMPLES = 10000000 };

typedef struct buffers_seat {   /* of a live buffer */
    es_block block;
    bool held;                  /* it found room somewhere */
} buffers_seat;

typedef struct buffers_miss {   /* a request that the pool had no room for */
    es_time at;
    uint64_t step, id;
    int64_t bytes;
    bool refused;
} buffers_miss;

typedef struct buffers_gauge {  /* looked at when every step computes */
    double sum, peak, last;
    uint64_t count;
} buffers_gauge;

typedef struct buffers_bin {    /* sums over some steps */
    double utilization, fragmentation, live, missed;
} buffers_bin;

typedef struct buffers_curve {  /* when all bins are used up, neighbours are merged */
    buffers_bin bin[BUFFERS_BINS];
    uint64_t stride;            /* steps of a bin */
} buffers_curve;

typedef struct buffers {
    const es_plan *plan;
    const es_allocator *allocator;
    const es_timing *allocation, *unit;         /* NULL: no cost */
    void *allocator_state, *allocation_state, *unit_state;
    es_arena arena;
    buffers_seat *seat;         /* [slots] */
    es_block_move *move;        /* [slots] */
    uint32_t slots;
    es_time now;
    uint64_t steps, tokens;
    uint64_t requests, placed, spilled, fallback, refused, released, again;
    uint64_t missed;            /* fallbacks and refusals that the curve has */
    uint64_t live, live_peak, beside, compactions, moves;   /* beside: of those that live, outside of the heaps */
    int64_t moved_bytes, bytes_largest, live_bytes, live_bytes_peak;
    double bytes_sum;
    uint32_t pools, pools_first, warmed;
    es_time setup, dense, pool, device, host, made, resident, moving;   /* where the time went; made: heaps added later */
    es_time first;              /* of the first step */
    buffers_gauge utilization, fragmentation, used, busy;   /* used: bytes; busy: heaps with something in them */
    buffers_curve curve;
    buffers_miss miss[BUFFERS_LOG];
    es_hist token;              /* ns, once for each token of a step */
} buffers;

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
    if (code == ES_OK && (code = b->allocator->open(b->allocator_state, INT64_MAX, b->slots, NULL, 0, &b->arena, err)) != ES_OK)
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
    b->seat = ES_NEW_ARRAY(&b->arena, b->slots, buffers_seat);
    b->move = ES_NEW_ARRAY(&b->arena, b->slots, es_block_move);
    if (!b->seat || !b->move || !es_hist_init(&b->token, &b->arena, plan->stream ? 0 : BUFFERS_SAMPLES))
        return es_err_nomem(err, "the buffers");
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
    buffers_seat *seat = &b->seat[op->slot];
    const es_place_ask ask = {.bytes = op->bytes, .pool = ES_NONE_POOL, .object = op->slot, .now = b->now};
    const es_place place = b->allocator->reserve(b->allocator_state, &ask, &seat->block);
    buffers_heaps(b, &b->made);
    seat->held = place != ES_FULL;
    b->bytes_sum += (double)op->bytes;
    if (op->bytes > b->bytes_largest)
        b->bytes_largest = op->bytes;
    if (place == ES_FULL) {
        b->refused++;
        buffers_log(b, op, true);
    } else if (place == ES_FALLBACK) {
        b->fallback++;
        buffers_log(b, op, false);
        buffers_pay(b, ES_OP_ALLOC_DEVICE, seat->block.bytes, 1, &b->device);
        if (b->pools == 0)              /* without a pool the host allocates too */
            buffers_pay(b, ES_OP_ALLOC_HOST, seat->block.bytes, 1, &b->host);
    } else {
        b->placed++;
        b->spilled += place == ES_SPILLED;
        buffers_pay(b, ES_OP_ALLOC, seat->block.bytes, 1, &b->pool);
    }
    b->requests++;
    if (!seat->held)
        return;
    b->live_bytes += op->bytes;
    b->beside += seat->block.pool == ES_NONE_POOL;
    if (++b->live > b->live_peak)
        b->live_peak = b->live;
    if (b->live_bytes > b->live_bytes_peak)
        b->live_bytes_peak = b->live_bytes;
}

static void buffers_release(buffers *b, const es_buffer_op *op)
{
    buffers_seat *seat = &b->seat[op->slot];
    if (!seat->held)
        return;
    b->allocator->release(b->allocator_state, op->slot, &seat->block);
    seat->held = false;
    b->released++;
    b->live--;
    b->beside -= seat->block.pool == ES_NONE_POOL;
    b->live_bytes -= op->bytes;
}

static void buffers_release_again(buffers *b, const es_buffer_op *op)
{
    b->again++;
    if (b->allocator->release_again)
        b->allocator->release_again(b->allocator_state, op->slot, &b->seat[op->slot].block);
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

static void buffers_compact(buffers *b)
{
    if (!b->allocator->compact)
        return;
    const size_t moves = b->allocator->compact(b->allocator_state, b->now, b->move, b->slots);
    b->compactions += moves > 0;
    for (size_t i = 0; i < moves; i++) {
        b->seat[b->move[i].object].block = b->move[i].to;
        b->moved_bytes += b->move[i].to.bytes;
        b->moves++;
        buffers_pay(b, ES_OP_MOVE, b->move[i].to.bytes, 1, &b->moving);
    }
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

/* ---- the report ---- */

static double buffers_seconds(const buffers *b, es_time ns)
{
    return b->plan->timed ? (double)ns / 1e9 : (double)NAN;
}

static double buffers_ratio(double part, double whole)
{
    return whole > 0.0 ? part / whole : (double)NAN;
}

static void buffers_report_time(buffers *b, es_json *out)
{
    static const struct { const char *name; double q; } rows[] = {{"p50", 0.50}, {"p95", 0.95}, {"p99", 0.99}};
    const es_time total = b->now - b->setup;
    es_json *time = es_json_add_object(out, "time");
    es_json_add_real(time, "total_s", buffers_seconds(b, total));
    es_json_add_real(time, "tokens_per_s", buffers_ratio((double)b->tokens, buffers_seconds(b, total)));
    es_json_add_real(time, "setup_s", buffers_seconds(b, b->setup));
    es_json_add_real(time, "cold_first_token_s", buffers_seconds(b, b->setup + b->first));
    if (!b->plan->timed) {
        cJSON_AddNullToObject(time, "token_latency_s");
        cJSON_AddNullToObject(time, "attribution");
        return;
    }
    es_json *latency = es_json_add_object(time, "token_latency_s"), *parts = es_json_add_object(time, "attribution");
    es_json_add_real(latency, "mean", es_hist_mean(&b->token) / 1e9);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        es_json_add_real(latency, rows[i].name, (double)es_hist_quantile(&b->token, rows[i].q) / 1e9);
    es_json_add_real(latency, "max", (double)b->token.max / 1e9);
    es_json_add_int(latency, "samples", (int64_t)b->token.count);
    es_json_add_bool(latency, "exact", b->token.exact);
    es_json_add_real(parts, "dense", buffers_seconds(b, b->dense));
    es_json_add_real(parts, "allocate", buffers_seconds(b, b->pool + b->device + b->host + b->made));
    es_json_add_real(parts, "resident", buffers_seconds(b, b->resident));
    es_json_add_real(parts, "compact", buffers_seconds(b, b->moving));
}

static void buffers_report_counts(const buffers *b, es_json *out)
{
    const double requests = (double)b->requests;
    es_json_add_int(out, "steps", (int64_t)b->steps);
    es_json_add_int(out, "tokens", (int64_t)b->tokens);
    es_json_add_int(out, "requests", (int64_t)b->requests);
    es_json_add_int(out, "placed", (int64_t)b->placed);
    es_json_add_int(out, "spilled", (int64_t)b->spilled);
    es_json_add_int(out, "fallback", (int64_t)b->fallback);
    es_json_add_int(out, "refused", (int64_t)b->refused);
    es_json_add_real(out, "hit_rate", buffers_ratio((double)b->placed, requests));
    es_json_add_real(out, "fallback_rate", buffers_ratio((double)(b->fallback + b->refused), requests));
    es_json_add_int(out, "released", (int64_t)b->released);
    es_json_add_int(out, "released_again", (int64_t)b->again);
    es_json_add_int(out, "leaked", (int64_t)b->live);
    es_json_add_int(out, "leaked_bytes", b->live_bytes);
    es_json_add_int(out, "live_peak", (int64_t)b->live_peak);
    es_json_add_int(out, "live_peak_bytes", b->live_bytes_peak);
    es_json_add_int(out, "largest_bytes", b->bytes_largest);
    es_json_add_real(out, "mean_bytes", buffers_ratio(b->bytes_sum, requests));
    es_json_add_real(out, "per_token", buffers_ratio(requests, (double)b->tokens));
}

static void buffers_report_gauge(const buffers_gauge *g, const char *name, es_json *out)
{
    if (g->count == 0) {
        cJSON_AddNullToObject(out, name);
        return;
    }
    es_json *one = es_json_add_object(out, name);
    es_json_add_real(one, "mean", g->sum / (double)g->count);
    es_json_add_real(one, "peak", g->peak);
    es_json_add_real(one, "last", g->last);
}

/* Means over the steps of each bin. */
static void buffers_report_curve(const buffers *b, es_json *out)
{
    const buffers_curve *c = &b->curve;
    es_json *curve = es_json_add_object(out, "curve");
    es_json_add_int(curve, "steps_per_point", (int64_t)c->stride);
    es_json *utilization = es_json_add_array(curve, "utilization"), *fragmentation = es_json_add_array(curve, "fragmentation"), *live = es_json_add_array(curve, "live"),
            *missed = es_json_add_array(curve, "missed");
    for (uint64_t first = 0; first < b->steps; first += c->stride) {
        const buffers_bin *bin = &c->bin[first / c->stride];
        const double steps = (double)(b->steps - first < c->stride ? b->steps - first : c->stride);
        cJSON_AddItemToArray(utilization, cJSON_CreateNumber(bin->utilization / steps));
        cJSON_AddItemToArray(fragmentation, cJSON_CreateNumber(bin->fragmentation / steps));
        cJSON_AddItemToArray(live, cJSON_CreateNumber(bin->live / steps));
        cJSON_AddItemToArray(missed, cJSON_CreateNumber(bin->missed / steps));
    }
}

/* What memory costs a token, by who gave it. */
static void buffers_report_overhead(const buffers *b, es_json *out)
{
    const struct { const char *name; es_time ns; } rows[] = {{"pool", b->pool}, {"device", b->device}, {"host", b->host}, {"growth", b->made}, {"resident", b->resident}, {"compaction", b->moving}};
    es_json *each = es_json_add_object(out, "per_token_s");
    es_time all = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        es_json_add_real(each, rows[i].name, buffers_ratio(buffers_seconds(b, rows[i].ns), (double)b->tokens));
        all += rows[i].ns;
    }
    es_json_add_real(each, "all", buffers_ratio(buffers_seconds(b, all), (double)b->tokens));
}

static void buffers_report_pools(const buffers *b, es_json *out)
{
    const es_pool_view *pool = NULL;
    const uint32_t pools = b->allocator->pools(b->allocator_state, &pool);
    int64_t capacity = 0;
    es_json_add_int(out, "heaps_first", b->pools_first);
    es_json_add_int(out, "heaps_last", pools);
    es_json_add_int(out, "warmed", b->warmed);
    es_json *list = es_json_add_array(out, "heaps");
    for (uint32_t i = 0; i < pools; i++) {
        es_json *one = cJSON_CreateObject();
        es_json_add_text(one, "name", pool[i].name);
        es_json_add_int(one, "capacity_bytes", pool[i].capacity);
        es_json_add_int(one, "used_bytes", pool[i].used);
        es_json_add_int(one, "largest_free_bytes", pool[i].largest);
        cJSON_AddItemToArray(list, one);
        capacity += pool[i].capacity;
    }
    es_json_add_int(out, "capacity_bytes", capacity);
    es_json_add_int(out, "compactions", (int64_t)b->compactions);
    es_json_add_int(out, "moves", (int64_t)b->moves);
    es_json_add_int(out, "moved_bytes", b->moved_bytes);
}

static void buffers_report_misses(const buffers *b, es_json *out)
{
    const uint64_t all = b->fallback + b->refused, shown = b->pools == 0 ? 0 : all < BUFFERS_LOG ? all : BUFFERS_LOG;
    es_json *exhaustion = es_json_add_object(out, "exhaustion");
    es_json_add_int(exhaustion, "events", b->pools == 0 ? 0 : (int64_t)all);
    es_json *list = es_json_add_array(exhaustion, "first");
    for (uint64_t i = 0; i < shown; i++) {
        const buffers_miss *m = &b->miss[i];
        es_json *one = cJSON_CreateObject();
        es_json_add_real(one, "at_s", buffers_seconds(b, m->at));
        es_json_add_int(one, "step", (int64_t)m->step);
        es_json_add_int(one, "id", (int64_t)m->id);
        es_json_add_int(one, "request_bytes", m->bytes);
        es_json_add_bool(one, "refused", m->refused);
        cJSON_AddItemToArray(list, one);
    }
}

es_code es_buffers_run(const es_plan *plan, const es_progress *progress, es_json *out, es_err *err)
{
    buffers b;
    es_code code = buffers_new(&b, plan, err);
    if (code == ES_OK)
        code = buffers_go(&b, progress, err);
    if (code == ES_OK) {
        buffers_report_time(&b, out);
        es_json *own = es_json_add_object(out, "buffers");
        buffers_report_counts(&b, own);
        buffers_report_gauge(&b.utilization, "utilization", own);
        buffers_report_gauge(&b.fragmentation, "fragmentation", own);
        buffers_report_gauge(&b.used, "used_bytes", own);
        buffers_report_gauge(&b.busy, "heaps_in_use", own);
        buffers_report_curve(&b, own);
        buffers_report_overhead(&b, own);
        buffers_report_pools(&b, own);
        buffers_report_misses(&b, own);
        es_json *said = es_json_add_object(own, "allocator");
        es_json_add_text(said, "name", b.allocator->part.name);
        if (b.allocator->report)
            b.allocator->report(b.allocator_state, said);
    }
    buffers_free(&b);
    return code;
}
