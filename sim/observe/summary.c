/* Summary: what a run says first: lookups, hits and misses, bytes, tokens per second, and where the time went.
 *
 * Lookups, hits and late are added up here, once per event; everything else is quoted from the core's tally and times
 * when the run is over. Events before contract.skip_tokens are left out of `cache`: the tally as it stood when the first counted
 * step began is subtracted. `time` is of the whole run.
 *
 * Warm is what came after the first eviction: from then on no miss is owed to room that was never filled. */
#include "sim/observe/observe.h"

#include <string.h>

typedef struct summary_sum {
    uint64_t events, lookups, hits, late, assignments;
} summary_sum;

typedef struct summary {
    const es_view *view;
    summary_sum phase[2];       /* by es_phase_of */
    summary_sum cold[2];        /* what phase[] was when the first eviction was seen */
    summary_sum *sum;           /* of phase[]: where events of this step go; NULL: that is not settled yet */
    uint64_t decode_tokens;
    bool warm, skipping, counting;
    es_counts before;            /* of the steps that are not counted */
    uint64_t inserted_before;
} summary;

static es_code summary_init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    summary *s = self;
    s->view = site->view;
    return ES_OK;
}

/* Where the event is added; NULL: nowhere. From the second event of a step on, when warm, it is known beforehand. */
static ES_COLD summary_sum *summary_find(summary *s, const es_event *event)
{
    if (!event->counted) {
        s->skipping = true;
        return NULL;
    }
    s->counting = true;
    if (!s->warm && s->view->tally->evictions != 0) {
        s->warm = true;
        memcpy(s->cold, s->phase, sizeof s->cold);
    }
    summary_sum *sum = &s->phase[event->phase & 1];
    if (s->warm && !s->view->trains)
        s->sum = sum;
    return sum;
}

static inline void summary_use(summary *s, const es_event *event)
{
    summary_sum *sum = s->sum;
    if (!sum && !(sum = summary_find(s, event)))
        return;
    sum->events++;
    sum->lookups += event->count;
    sum->hits += event->hits;
    sum->late += event->late;
    sum->assignments += event->assignments;
}

static ES_COLD void summary_step(summary *s)
{
    s->sum = NULL;
    if (s->counting)
        return;
    s->before = s->skipping ? *s->view->tally : s->before;      /* the last step so far may be the first that counts */
    s->inserted_before = s->view->tier[s->view->serving].insertions;
}

static void summary_notify(void *self, const es_fact *fact)
{
    summary *s = self;
    if (fact->kind == ES_FACT_USE)
        summary_use(s, fact->event);
    else if (fact->kind == ES_FACT_STEP_END)
        s->decode_tokens += fact->from == ES_DECODE ? fact->count : 0;
    else
        summary_step(s);
}

static void summary_add(es_json *out, const summary_sum *sum)
{
    observe_count(out, "events", sum->events);
    observe_count(out, "lookups", sum->lookups);
    observe_count(out, "hits", sum->hits);
    observe_count(out, "misses", sum->lookups - sum->hits - sum->late);
    observe_count(out, "late", sum->late);
    es_json_add_real(out, "hit_rate", observe_ratio((double)sum->hits, (double)sum->lookups));
    observe_count(out, "assignments", sum->assignments);
}

static summary_sum summary_both(const summary_sum phase[2])
{
    const summary_sum *p = &phase[ES_PREFILL], *d = &phase[ES_DECODE];
    return (summary_sum){p->events + d->events, p->lookups + d->lookups, p->hits + d->hits, p->late + d->late,
        p->assignments + d->assignments};
}

static void summary_cache(const summary *s, es_json *cache)
{
    const es_counts *t = s->view->tally, *b = &s->before;
    summary_sum all = summary_both(s->phase), cold = summary_both(s->cold);
    const summary_sum *headline = s->view->count_prefill ? &all : &s->phase[ES_DECODE];
    uint64_t misses = all.lookups - all.hits - all.late, compulsory = t->compulsory - b->compulsory, refused = t->refused - b->refused;
    uint64_t prefetched = t->prefetch_hits - b->prefetch_hits;

    summary_add(cache, &all);
    observe_count(cache, "foreseen", t->foreseen - b->foreseen);
    es_json_add_real(cache, "headline_hit_rate", observe_ratio((double)headline->hits, (double)headline->lookups));
    summary_add(es_json_add_object(cache, "decode"), &s->phase[ES_DECODE]);
    summary_add(es_json_add_object(cache, "prefill"), &s->phase[ES_PREFILL]);
    observe_count(cache, "hits_resident", all.hits > prefetched ? all.hits - prefetched : 0);
    observe_count(cache, "hits_prefetched", prefetched);
    observe_count(cache, "misses_compulsory", compulsory);
    observe_count(cache, "misses_capacity", misses > compulsory + refused ? misses - compulsory - refused : 0);
    observe_count(cache, "misses_refused", refused);
    es_json_add_int(cache, "fetched_bytes", t->fetched_bytes - b->fetched_bytes);
    es_json_add_int(cache, "decode_fetched_bytes", t->decode_fetched_bytes - b->decode_fetched_bytes);
    observe_count(cache, "evictions", t->evictions - b->evictions);
    observe_count(cache, "insertions", s->view->tier[s->view->serving].insertions - s->inserted_before);
    observe_count(cache, "demotions", t->demotions - b->demotions);
    es_json_add_int(cache, "writeback_bytes", t->writeback_bytes - b->writeback_bytes);
    observe_count(cache, "guess_copies", t->guess_copies - b->guess_copies);
    es_json_add_int(cache, "guess_bytes", t->guess_bytes - b->guess_bytes);
    observe_count(cache, "cancelled", t->cancelled - b->cancelled);
    observe_count(cache, "wasted", t->wasted - b->wasted);
    es_json_add_int(cache, "wasted_bytes", t->wasted_bytes - b->wasted_bytes);
    observe_count(cache, "overflow_events", t->overflow_events - b->overflow_events);
    observe_count(cache, "initial_loads", t->initial_loads);
    es_json_add_int(cache, "initial_bytes", t->initial_bytes);

    es_json *warm = es_json_add_object(cache, "warm");
    uint64_t lookups = s->warm ? all.lookups - cold.lookups : 0, hits = s->warm ? all.hits - cold.hits : 0;
    observe_count(warm, "lookups", lookups);
    observe_count(warm, "hits", hits);
    es_json_add_real(warm, "hit_rate", observe_ratio((double)hits, (double)lookups));
}

/* Where the wall time went. The members add up to total_s. */
static void summary_attribution(const es_view *view, es_json *out)
{
    const es_times *t = view->times;
    es_json_add_real(out, "dense", observe_seconds(t->dense));
    es_json_add_real(out, "expert_gpu", observe_seconds(t->expert_gpu));
    es_json_add_real(out, "expert_cpu", observe_seconds(t->expert_cpu));
    es_json_add_real(out, "access", observe_seconds(t->access));
    es_json_add_real(out, "manage", observe_seconds(t->manage));
    es_json_add_real(out, "predict", observe_seconds(t->predict));
    es_json *wait = es_json_add_object(out, "wait");
    for (uint32_t c = 0; c < view->channels; c++)
        if (!view->channel[c].compute || view->channel[c].wait_ns != 0)
            es_json_add_real(wait, view->channel[c].name, observe_seconds(view->channel[c].wait_ns));
}

static void summary_time(const summary *s, es_json *time)
{
    const es_view *view = s->view;
    if (!view->timed) {
        static const char *const members[] = {"tokens_per_s", "total_s", "stall_s", "attribution"};
        for (size_t i = 0; i < sizeof members / sizeof *members; i++)
            cJSON_AddNullToObject(time, members[i]);
        return;
    }
    es_json_add_real(time, "tokens_per_s", observe_ratio((double)s->decode_tokens * 1e9, (double)view->times->decode_total));
    es_json_add_real(time, "total_s", observe_seconds(view->times->total));
    es_json_add_real(time, "stall_s", observe_seconds(view->times->stall));
    summary_attribution(view, es_json_add_object(time, "attribution"));
}

static void summary_report(void *self, es_json *out)
{
    summary_cache(self, observe_object(out, "cache"));
    summary_time(self, observe_object(out, "time"));
}

const es_observer es_observer_summary = {
    .part = {
        .abi = ES_ABI,
        .name = "summary",
        .brief = "Lookups, hits, misses, bytes, tokens per second, and where the time went.",
        .size = sizeof(summary),
        .init = summary_init,
        .notify = summary_notify,
        .hears = ES_HEARS(ES_FACT_STEP) | ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_STEP_END),
    },
    .report = summary_report,
};
