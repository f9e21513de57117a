/* Quick: a step of one token in the plainest machine: one cache before home, nobody dispatches or holds back, nobody listens to
 * single copies, all objects alike, at most 128 experts, room for what a token wants of a layer. Without a clock the policy may
 * refuse. It does what replay.c and fetch.c do, in the same order, in a fraction of the instructions; tests/property compares both
 * ways.
 *
 * Without a clock a pure cache simulator spends its time here, with one in quick_timed.c. */
#include "sim/core/quick.h"

/* One link that one copy uses at a time, at known cost; demands before guesses, if somebody guesses. */
static bool quick_link(const es_run *run)
{
    const es_tier *tier = &run->tier[run->serving];
    if (tier->hops[run->home] != 1 || !run->expert_ns || run->plan->compute.overlap != ES_RESIDENT_FIRST)
        return false;
    const es_link *link = &run->link[tier->way[run->home]];
    const es_chan *chan = &run->chan[link->channel[0]];
    const es_scheduler *scheduler = chan->scheduler;
    const es_queue many = {.waiting = {[ES_CLASS_DEMAND] = ES_MOST_CHANNELS, [ES_CLASS_GUESS] = ES_MOST_CHANNELS}};
    for (uint32_t l = 0; l < run->view.layers; l++)
        if (chan->chunk > 0 && chan->chunk < run->bytes[l * run->view.words_per_layer])
            return false;
    for (int k = ES_CLASS_DEMAND; k <= ES_CLASS_GUESS; k++)
        if (scheduler->batch && scheduler->batch(chan->scheduler_state, (es_class)k, &many) > 1)
            return false;
    return link->channel_count == 1 && !run->gpu_unit && !link->elastic && chan->lanes == 1 && !chan->slows && !chan->timing_varies && chan->timing &&
        (!run->predictor || scheduler->demands_first);
}

/* Does nobody but the policy decide how misses are served, and it only where a refusal is known here? */
static bool quick_decides(const es_run *run)
{
    return !run->decides || (run->admits && !run->view.timed && !(run->dispatcher && run->dispatcher->serve));
}

void es_quick_open(es_run *run)
{
    const es_tier *tier = &run->tier[run->serving];
    int overflow = run->contract->overflow;
    unsigned single = ES_HEARS(ES_FACT_QUEUE) | ES_HEARS(ES_FACT_START) | ES_HEARS(ES_FACT_LAND) | ES_HEARS(ES_FACT_EVICT) |
        ES_HEARS(ES_FACT_STALL) | ES_HEARS(ES_FACT_COMPUTE) | ES_HEARS(ES_FACT_COPY) |
        ES_HEARS(ES_FACT_WAITING) | ES_HEARS(ES_FACT_DEPART);
    es_quick *q = &run->quick;
    const es_plan_compute *compute = &run->plan->compute;
    bool plain = !run->charge.on && !(run->points >> ES_BEFORE_LOOKUP & 1) && compute->guess_top == 0 && !(compute->guess_confidence > 0);
    q->roomy = (int64_t)run->composer.info->top_k * tier->unit[0] <= tier->room[0] - tier->settled[0];
    q->fits = run->tiers == 2 && !run->singly && plain && run->tuners == 0 && run->composer.whole && !run->composer.routes && run->view.spaces == run->view.layers &&
        quick_decides(run) && !run->grace.on && tier->uniform &&
        !run->view.per_layer && tier->demote == ES_NO_TIER && (overflow == ES_WAVES || overflow == ES_TRIM) && !(run->heard & single) &&
        run->view.words_per_layer <= ES_QUICK_WORDS &&
        (q->roomy || run->admits) &&
        (run->view.timed ? run->wakes == 0 && quick_link(run) : !run->predictor);
    if (!q->fits)
        return;
    q->unit = tier->unit[0];
    q->resident = tier->view->resident;
    q->need = (es_need){.tier = run->serving, .bucket = tier->view->first_bucket, .why = ES_DEMAND};
    q->victims = run->policy->victims;
    q->victim = tier->victims;
    q->link = tier->way[run->home];
    q->channel = run->view.timed ? run->link[q->link].channel[0] : ES_NONE;
    for (uint32_t i = 0; i < 64 * ES_QUICK_WORDS; i++)
        q->bit[i >> 6][i] = 1ull << (i & 63);
}

/* ---- without a clock ---- */

/* What is held follows from what is spare, and the other way round: the tier's own figures are right between steps. */
static void quick_hold(es_run *run)
{
    const es_quick *q = &run->quick;
    es_tier *tier = &run->tier[run->serving];
    tier->used[0] = tier->held = tier->room[0] - q->spare;
    if (tier->held > tier->peak)
        tier->peak = tier->held;
}

static void quick_spare(es_run *run)
{
    const es_tier *tier = &run->tier[run->serving];
    run->quick.spare = tier->room[0] - tier->used[0];
}

/* The policy named too little: it is asked once more when the event is over. */
static ES_COLD void quick_trim(es_run *run)
{
    quick_hold(run);
    es_room_exceed(run);
    es_room_trim(run, &run->composer.event);
    run->exceeded = false;
    quick_spare(run);
}

/* Room for so many more, then what `stays` of the event is there. No register lives across the question for victims. */
QUICK_INLINE void quick_enter(es_run *run, const uint64_t *stays, uint32_t more, uint32_t words)
{
    const es_event *e = &run->composer.event;
    es_quick *q = &run->quick;
    bool enough = true;
    q->fetched += more;
    if ((q->spare -= more * q->unit) < 0) {
        uint64_t *guard = &run->view.guard[e->word];
        for (uint32_t w = 0; w < words; w++)
            guard[w] = q->mask[w];
        q->need.units = -q->spare;
        enough = (q->spare += quick_evict(run) * q->unit) >= 0;
        for (uint32_t w = 0; w < words; w++)
            guard[w] = 0;
    }
    for (uint32_t w = 0; w < words; w++)
        q->resident[e->word + w] |= stays[w];
    if (!enough)
        quick_trim(run);
}

/* The policy says which misses stay. */
static void quick_ask(es_run *run)
{
    es_event *e = &run->composer.event;
    es_quick *q = &run->quick;
    uint32_t n = 0;
    for (uint32_t i = 0; i < e->count; i++)
        if (!es_mask_has(q->hit, e->list[i])) {
            run->missing[n] = e->list[i];
            run->keep[n++] = true;
        }
    run->missing_count = n;
    run->policy->admit(run->policy_state, &(es_admit_ask){.event = e, .missing = run->missing, .count = n, .tier = run->serving, .free_units = q->spare},
        run->keep);
    for (uint32_t w = 0; w < e->words; w++)
        q->kept[w] = q->mask[w];
    for (uint32_t i = 0; i < n; i++)
        if (!run->keep[i]) {
            q->kept[run->missing[i] >> 6] ^= q->bit[0][run->missing[i] & 63];
            run->tally.refused++;
        }
    e->kept = q->kept;
}

/* What the event keeps has not room at once. */
static ES_COLD void quick_waves(es_run *run, uint32_t misses)
{
    quick_hold(run);
    es_fetch_instant(run, misses);
    for (uint32_t w = 0; w < run->composer.event.words; w++)
        run->view.guard[run->composer.event.word + w] = 0;
    if (run->exceeded)
        es_room_trim(run, &run->composer.event);
    run->exceeded = false;
    quick_spare(run);
}

/* All of an event of which some may be refused, but its release. */
static void quick_refuse(es_run *run, uint32_t misses)
{
    const es_event *e = &run->composer.event;
    es_quick *q = &run->quick;
    uint32_t more = 0;
    for (uint32_t w = 0; w < e->words; w++)
        run->view.guard[e->word + w] = q->mask[w];
    quick_ask(run);
    quick_use(run);
    if (!q->roomy && run->contract->overflow == ES_WAVES && es_room_exceeds(run, e, e->kept)) {
        quick_waves(run, misses);
        return;
    }
    for (uint32_t w = 0; w < e->words; w++) {
        run->view.guard[e->word + w] = 0;
        quick_missed(run, e->word + w, q->mask[w] & ~q->hit[w]);
        more += (uint32_t)__builtin_popcountll(q->kept[w] & ~q->hit[w]);
    }
    q->bytes += misses * run->bytes[e->word];
    quick_enter(run, q->kept, more, e->words);
}

/* false: the row is faulty (run->code). */
QUICK_INLINE bool quick_event(es_run *run, const uint16_t *ids, uint32_t n, uint32_t words, bool admits)
{
    es_event *e = &run->composer.event;
    es_quick *q = &run->quick;
    if (!quick_lookup(run, ids, n, words))
        return false;
    if (admits && e->hits != n) {
        quick_refuse(run, n - e->hits);
        quick_release(run, n);
        e->kept = NULL;
        return true;
    }
    quick_use(run);
    if (e->hits != n) {
        for (uint32_t w = 0; w < words; w++)
            quick_missed(run, e->word + w, q->mask[w] & ~q->hit[w]);
        q->bytes += (n - e->hits) * run->bytes[e->word];
        quick_enter(run, q->mask, n - e->hits, words);
    }
    quick_release(run, n);
    return true;
}

static ES_COLD bool quick_short(es_run *run, const uint16_t *ids, uint32_t top_k)
{
    const uint32_t n = es_row_length(ids, top_k);
    return n == 0 || quick_event(run, ids, n, run->composer.event.words, run->admits);
}

QUICK_INLINE void quick_events(es_run *run, const uint16_t *ids, size_t top_k, uint32_t words, bool admits)
{
    es_event *e = &run->composer.event;
    for (const uint16_t *end = ids + run->view.layers * top_k; ids < end; ids += top_k, e->layer++, e->word += words, e->base += 64 * words)
        if (!(ids[top_k - 1] != ES_NO_EXPERT ? quick_event(run, ids, (uint32_t)top_k, words, admits) : quick_short(run, ids, (uint32_t)top_k)))
            return;
}

/* Inlined for the usual numbers of experts, whose loops then fall away, and for a policy that never refuses. */
static void quick_untimed(es_run *run, const uint16_t *ids, size_t top_k)
{
    const uint32_t words = run->view.words_per_layer;
    quick_spare(run);
    if (run->admits)
        quick_events(run, ids, top_k, words, true);
    else if (words == 2 && top_k == 8)
        quick_events(run, ids, 8, 2, false);
    else if (words == 2)
        quick_events(run, ids, top_k, 2, false);
    else if (top_k == 4)
        quick_events(run, ids, 4, 1, false);
    else if (top_k == 6)
        quick_events(run, ids, 6, 1, false);
    else if (top_k == 8)
        quick_events(run, ids, 8, 1, false);
    else
        quick_events(run, ids, top_k, 1, false);
    quick_hold(run);
}

/* ---- the step ---- */

/* What a step changed in its tier and the tally is brought there at its end, for who looks then. */
static void quick_settle(es_run *run)
{
    const es_quick *q = &run->quick;
    run->tier_view[run->serving].evictions = run->tally.evictions;      /* nobody leaves another tier */
    run->tier_view[run->serving].insertions += q->fetched;
    run->tier_view[run->home].found += q->fetched;
    if (run->composer.event.counted) {
        run->tally.fetched_bytes += q->bytes;
        run->tally.decode_fetched_bytes += run->composer.event.phase == ES_DECODE ? q->bytes : 0;
    }
}

void es_quick_step(es_run *run)
{
    es_composer *c = &run->composer;
    es_event *e = &c->event;
    es_quick *q = &run->quick;
    const uint32_t top_k = c->info->top_k;
    const uint16_t *ids = c->step.ids + (size_t)c->row * c->info->layers * top_k;
    q->fetched = 0;
    q->bytes = 0;
    es_composer_layer(run, 0);
    e->mask = q->mask;
    e->hit = q->hit;
    e->served = e->repeats = NULL;
    e->tokens = 1;
    e->row = c->row;
    e->last = true;
    e->late = e->foreseen = 0;
    e->index = c->events;
    e->at = c->positions;
    run->use.step = run->release.step = e->step;
    if (run->view.timed)
        es_quick_timed(run, ids, top_k);
    else
        quick_untimed(run, ids, top_k);
    c->events = e->index;
    c->positions = e->at;
    if (run->code == ES_OK) {   /* the last layer stays the event at hand until the next step */
        e->layer--;
        e->word -= e->words;
        e->base -= 64 * e->words;
    }
    quick_settle(run);
}
