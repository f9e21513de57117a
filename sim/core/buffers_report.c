/* What is reported of a run over a pool: time, counts, gauges, the curve, the heaps, and what found no room. See buffers.h. */
#include "sim/core/buffers_inside.h"

#include <math.h>

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
    es_json_add_real(out, "hit_rate_bytes", buffers_ratio(b->placed_sum, b->bytes_sum));
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

void buffers_report(buffers *b, es_json *out)
{
    buffers_report_time(b, out);
    es_json *own = es_json_add_object(out, "buffers");
    buffers_report_counts(b, own);
    buffers_report_gauge(&b->utilization, "utilization", own);
    buffers_report_gauge(&b->fragmentation, "fragmentation", own);
    buffers_report_gauge(&b->used, "used_bytes", own);
    buffers_report_gauge(&b->busy, "heaps_in_use", own);
    buffers_report_curve(b, own);
    buffers_report_overhead(b, own);
    buffers_report_pools(b, own);
    buffers_report_misses(b, own);
    es_json *said = es_json_add_object(own, "allocator");
    es_json_add_text(said, "name", b->allocator->part.name);
    if (b->allocator->report)
        b->allocator->report((const void *const[]){b->allocator_state}, 1, said);
}
