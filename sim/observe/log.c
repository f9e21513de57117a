/* Log: the counters of a run every so often in simulated time, as engines print their statistics; one comma-separated row each:
 *
 *     t_s,steps,lookups,hits,hit_rate,evictions,fetched_bytes,guess_bytes,cache.resident,cache.4bit.experts,cache.4bit.used_bytes,cache.4bit.capacity_bytes
 *     60,1200,51230,48112,0.9391,3002,...
 *
 * Counts are those since the run began, hit_rate is that of the time since the row before, and the last row stands at the end of the run.
 * Each bounded tier has its residents, and a tier whose allocator places the experts, bytes and capacity of each pool. The file is written
 * as PATH.tmp and gets its name when it is whole. */
#include "sim/observe/observe.h"
#include "sim/observe/partial.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct log_counts {
    uint64_t lookups, hits;
} log_counts;

typedef struct logged {
    const char *path;
    int64_t interval_ns;
    const es_view *view;
    partial out;
    uint64_t steps, rows;
    log_counts now, before;     /* so far; at the last row */
} logged;

static const es_option log_options[] = {
    {.name = "path", .type = ES_OPT_TEXT, .offset = offsetof(logged, path), .required = true, .help = "File to write."},
    {.name = "interval", .type = ES_OPT_TIME, .offset = offsetof(logged, interval_ns), .def = 60e9, .min = 1, .max = 1e18, .help = "Simulated time from one row to the next."},
    {0},
};

static void log_head(const logged *s)
{
    const es_view *view = s->view;
    fputs("t_s,steps,lookups,hits,hit_rate,evictions,fetched_bytes,guess_bytes", s->out.file);
    for (uint32_t t = 0; t < view->tiers; t++) {
        const es_tier_view *tier = &view->tier[t];
        if (!tier->home)
            fprintf(s->out.file, ",%s.resident", tier->name);
        for (uint32_t p = 0; p < tier->pools; p++) {
            const char *pool = tier->pool[0][p].name;
            fprintf(s->out.file, ",%s.%s.experts,%s.%s.used_bytes,%s.%s.capacity_bytes", tier->name, pool, tier->name, pool, tier->name, pool);
        }
    }
    fputs("\n", s->out.file);
}

static es_code log_init(void *self, const es_site *site, es_err *err)
{
    logged *s = self;
    s->view = site->view;
    if (!s->view->timed)
        return es_err_set(err, ES_EINPUT, "rows stand at times; clock \"none\" has none, use \"simulated\"");
    es_code code = partial_open(&s->out, s->path, "log", err);
    if (code != ES_OK)
        return code;
    log_head(s);
    return ES_OK;
}

/* Experts that are resident in this pool, of all layers. */
static uint64_t log_experts(const es_view *view, const es_tier_view *tier, uint32_t pool)
{
    uint64_t count = 0;
    for (uint32_t w = 0; w < view->words; w++)
        for (uint64_t left = tier->resident[w]; left; left &= left - 1)
            count += tier->block[w * 64 + (es_oid)__builtin_ctzll(left)].pool == pool;
    return count;
}

static void log_tier(const logged *s, const es_tier_view *tier)
{
    uint64_t resident = 0;
    for (uint32_t w = 0; w < s->view->words; w++)
        resident += (uint64_t)__builtin_popcountll(tier->resident[w]);
    fprintf(s->out.file, ",%" PRIu64, resident);
    for (uint32_t p = 0; p < tier->pools; p++) {
        const es_pool_view pool = es_pool_of(s->view, tier, p);
        fprintf(s->out.file, ",%" PRIu64 ",%" PRId64 ",%" PRId64, log_experts(s->view, tier, p), pool.used, pool.capacity);
    }
}

static void log_row(logged *s, es_time at)
{
    const es_counts *tally = s->view->tally;
    const uint64_t lookups = s->now.lookups - s->before.lookups, hits = s->now.hits - s->before.hits;
    if (!s->out.file)
        return;
    fprintf(s->out.file, "%.9g,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",", (double)at * 1e-9, s->steps, s->now.lookups, s->now.hits);
    if (lookups > 0)
        fprintf(s->out.file, "%.6g", (double)hits / (double)lookups);
    fprintf(s->out.file, ",%" PRIu64 ",%" PRId64 ",%" PRId64, tally->evictions, tally->fetched_bytes, tally->guess_bytes);
    for (uint32_t t = 0; t < s->view->tiers; t++)
        if (!s->view->tier[t].home)
            log_tier(s, &s->view->tier[t]);
    fputs("\n", s->out.file);
    s->before = s->now;
    s->rows++;
    partial_line(&s->out);
}

static es_time log_wake(void *self, es_time now)
{
    logged *s = self;
    if (now > 0)
        log_row(s, now);
    return now + s->interval_ns;
}

static void log_notify(void *self, const es_fact *fact)
{
    logged *s = self;
    if (fact->kind == ES_FACT_USE) {
        s->now.lookups += fact->event->count;
        s->now.hits += fact->event->hits;
    } else if (fact->kind == ES_FACT_STEP_END) {
        s->steps++;
    } else {
        log_row(s, fact->at);
        s->out.ended = true;
    }
}

static void log_report(void *self, es_json *out)
{
    const logged *s = self;
    es_json *members = observe_object(out, "log");
    es_json_add_text(members, "path", s->path);
    observe_count(members, "rows", s->rows);
}

static es_code log_verdict(void *self, es_err *err)
{
    logged *s = self;
    return partial_verdict(&s->out, s->rows, "log", err);
}

static void log_fini(void *self)
{
    logged *s = self;
    partial_close(&s->out, s->rows);
}

const es_observer es_observer_log = {
    .part = {
        .abi = ES_ABI,
        .name = "log",
        .brief = "Writes the counters every so often in simulated time, those of pools too.",
        .options = log_options,
        .size = sizeof(logged),
        .init = log_init,
        .notify = log_notify,
        .wake = log_wake,
        .fini = log_fini,
        .hears = ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_STEP_END) | ES_HEARS(ES_FACT_END),
    },
    .report = log_report,
    .verdict = log_verdict,
};
