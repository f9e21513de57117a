/* Flush: behind the last step what is only in the tiers is written down (contract.flush). Nobody waits for it, and the run's own
 * counts and times are closed before it begins: what it does is counted apart and reported as `flush`.
 *
 *   1. copies on their way land, guesses that wait are forgotten
 *   2. the first serving tier is emptied, in the order in which its policy gives copies up; each leaves by the tier's rule, when the
 *      one before has left, so that the tiers below see the same under both clocks
 *   3. the tiers below, from the top: every copy that its tier's rule would write when it leaves is written, and stays */
#include "sim/core/core.h"

#include <string.h>

struct es_flush {
    es_time took;
    es_link *link;              /* [links] what went over each in the flush */
    es_tier *tier;              /* [tiers] as they were when the run ended */
    es_tier_view *tier_view;
    es_channel_view *channel;   /* [channels] likewise */
    es_counts tally;
};

es_code es_flush_open(es_run *run, es_err *err)
{
    if (!run->contract->flush)
        return ES_OK;
    if (!run->writes)
        return es_err_set(err, ES_EINPUT, "contract.flush: no tier writes back; set tiers.%s.write_back", run->tier[run->serving].name);
    es_flush *f = ES_NEW(&run->arena, es_flush);
    ES_NEED(f, "the flush");
    f->link = ES_NEW_ARRAY(&run->arena, run->links, es_link);
    f->tier = ES_NEW_ARRAY(&run->arena, run->tiers, es_tier);
    f->tier_view = ES_NEW_ARRAY(&run->arena, run->tiers, es_tier_view);
    f->channel = ES_NEW_ARRAY(&run->arena, run->chans, es_channel_view);
    ES_NEED(f->link && f->tier && f->tier_view && f->channel, "the flush");
    run->flush = f;
    return ES_OK;
}

/* ---- the account ---- */

static void flush_begin(es_run *run, es_flush *f)
{
    memcpy(f->link, run->link, run->links * sizeof *f->link);
    memcpy(f->tier_view, run->tier_view, run->tiers * sizeof *f->tier_view);
    memcpy(f->channel, run->chan_view, run->chans * sizeof *f->channel);
    f->tally = run->tally;
    for (uint32_t t = 0; t < run->tiers; t++) {
        run->tier[t].unsaved = es_dirty_held(run, &run->tier[t]);
        f->tier[t] = run->tier[t];
    }
    f->took = -run->now;
}

/* The run's counts are what they were; what came to them is the flush's. */
static void flush_end(es_run *run, es_flush *f)
{
    f->took += run->now;
    for (uint32_t i = 0; i < run->links; i++) {
        const es_link before = f->link[i];
        es_link *link = &run->link[i];
        f->link[i].copies = link->copies - before.copies;
        f->link[i].bytes = link->bytes - before.bytes;
        f->link[i].busy_ns = link->busy_ns - before.busy_ns;
        link->copies = before.copies;
        link->bytes = before.bytes;
        link->busy_ns = before.busy_ns;
    }
    memcpy(run->chan_view, f->channel, run->chans * sizeof *f->channel);
    run->tally = f->tally;
    for (uint32_t t = 0; t < run->tiers; t++) {
        es_tier *tier = &run->tier[t];
        const es_tier *before = &f->tier[t];
        tier->view->insertions = f->tier_view[t].insertions;
        tier->view->evictions = f->tier_view[t].evictions;
        tier->peak = before->peak;
        tier->held = before->held;
        tier->dirtied = before->dirtied;
        tier->cleaned = before->cleaned;
        tier->lost = before->lost;
        tier->written = before->written;
        tier->spool = before->spool;
    }
}

/* ---- the work ---- */

static void flush_drain(es_run *run)
{
    if (run->view.timed)
        es_replay_drain(run);
}

/* Is anything there? Asked of residents, for what an allocator has put beside the tier's room takes none of it. */
static bool flush_left(const es_run *run, uint32_t t, uint32_t bucket)
{
    for (uint32_t w = 0; w < run->view.words; w++)
        if (run->tier_view[t].resident[w] && es_bucket_of(&run->view, t, w * 64) == bucket)
            return true;
    return false;
}

static void flush_empty(es_run *run, uint32_t t)
{
    es_tier *tier = &run->tier[t];
    for (uint32_t b = 0; b < (run->view.per_layer ? run->view.layers : 1); b++) {
        const es_need need = {.tier = t, .bucket = tier->view->first_bucket + b, .units = 1, .why = ES_DEMAND};
        while (flush_left(run, t, need.bucket) && run->policy->victims(run->policy_state, &need, tier->victims, 1) == 1) {
            es_store_evict(run, t, tier->victims, 1, ES_DEMAND);
            flush_drain(run);
        }
    }
}

/* How many tiers a copy may go down through from here. */
static uint32_t flush_depth(const es_run *run, uint32_t t)
{
    uint32_t depth = 0;
    for (; run->tier[t].demote != ES_NO_TIER; t = run->tier[t].demote)
        depth++;
    return depth;
}

es_code es_flush_go(es_run *run, es_err *err)
{
    es_flush *f = run->flush;
    if (!f)
        return ES_OK;
    run->err = err;
    run->ended = true;
    es_bus_close(run);
    flush_begin(run, f);
    es_channels_forget(run);
    flush_drain(run);
    if (run->tier[run->serving].write_back != ES_WRITE_NEVER)
        flush_empty(run, run->serving);
    flush_drain(run);
    for (uint32_t depth = run->tiers; depth > 0; depth--)
        for (uint32_t t = 0; t < run->tiers; t++)
            if (flush_depth(run, t) == depth) {
                es_dirty_write_all(run, t, false);
                flush_drain(run);
            }
    flush_end(run, f);
    return run->code;
}

void es_flush_report(const es_run *run, es_json *out)
{
    const es_flush *f = run->flush;
    es_json *flush = f ? es_json_add_object(out, "flush") : NULL;
    if (!flush)
        return;
    uint64_t unsaved = 0;
    for (uint32_t t = 0; t < run->tiers; t++)
        unsaved += es_dirty_held(run, &run->tier[t]);
    if (run->view.timed)
        es_json_add_real(flush, "time_s", (double)f->took / 1e9);
    else
        cJSON_AddNullToObject(flush, "time_s");
    es_json_add_int(flush, "unsaved", (int64_t)unsaved);
    es_links_report(run, f->link, es_json_add_object(flush, "links"));
}
