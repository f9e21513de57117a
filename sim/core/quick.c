/* Quick: a step of one token in the plainest run there is: no clock, one cache before home, nobody guesses, refuses or dispatches,
 * nobody listens to single copies, all objects alike, at most 64 experts. It does what replay_instant and es_fetch_instant do, in
 * the same order, in half the instructions: a pure cache simulator spends its time here. tests/property compares both ways.
 *
 * Registers are few and every listener is a call, so what changes lives in es_run and is changed there by single instructions. */
#include "sim/core/row.h"

void es_quick_open(es_run *run)
{
    const es_tier *tier = &run->tier[run->serving];
    int overflow = run->contract->overflow;
    unsigned single = ES_HEARS(ES_FACT_START) | ES_HEARS(ES_FACT_LAND) | ES_HEARS(ES_FACT_EVICT);
    es_quick *q = &run->quick;
    q->fits = !run->view.timed && run->tiers == 2 && !run->predictor && !run->decides && tier->uniform && !run->view.per_layer &&
        tier->demote == ES_NO_TIER && (overflow == ES_WAVES || overflow == ES_TRIM) && !(run->heard & single) && run->view.words_per_layer == 1 &&
        (int64_t)run->composer.info->top_k * tier->unit[0] <= tier->room[0];
    q->unit = tier->unit[0];
    q->resident = tier->view->resident;
    q->need = (es_need){.tier = run->serving, .bucket = tier->view->first_bucket, .why = ES_DEMAND};
}

static inline uint64_t quick_mask(const uint16_t *id, const uint16_t *end)
{
    uint64_t mask = 0;
    for (; id + 4 <= end; id += 4)
        mask |= 1ull << (id[0] & 63) | 1ull << (id[1] & 63) | 1ull << (id[2] & 63) | 1ull << (id[3] & 63);
    for (; id < end; id++)
        mask |= 1ull << (*id & 63);
    return mask;
}

/* Space for what is missing of the event in `layer`, then it is there. */
static inline void quick_fetch(es_run *run, es_tier *tier, uint32_t layer, uint64_t missed, uint32_t misses)
{
    es_quick *q = &run->quick;
    q->spare -= misses * q->unit;
    if (q->spare < 0) {
        q->need.units = -q->spare;
        run->view.guard[layer] = q->mask;
        size_t gone = run->policy->victims(run->policy_state, &q->need, tier->victims, run->view.objects);
        run->view.guard[layer] = 0;
        uint64_t *resident = q->resident;
        for (const es_oid *v = tier->victims, *end = v + gone; v < end; v++)
            resident[*v >> 6] &= ~(1ull << (*v & 63));
        q->spare += (int64_t)gone * q->unit;
        run->tally.evictions += gone;
    }
    q->resident[layer] |= missed;
    q->fetched += misses;
    q->bytes += misses * run->bytes[layer];
    if (missed & ~run->seen[layer]) {
        q->compulsory += (uint64_t)__builtin_popcountll(missed & ~run->seen[layer]);
        run->seen[layer] |= missed;
    }
}

/* The locals of a run that are kept in its tier are brought there at the end of each step, for who looks then. */
static void quick_settle(es_run *run, es_tier *tier, uint64_t evictions)
{
    es_quick *q = &run->quick;
    tier->used[0] = tier->held = tier->room[0] - q->spare;
    if (tier->held > tier->peak)
        tier->peak = tier->held;
    tier->view->evictions += run->tally.evictions - evictions;
    tier->view->insertions += q->fetched;
    run->tier_view[run->home].found += q->fetched;
    if (run->composer.event.counted) {
        run->tally.fetched_bytes += q->bytes;
        run->tally.decode_fetched_bytes += run->composer.event.phase == ES_DECODE ? q->bytes : 0;
        run->tally.compulsory += q->compulsory;
    }
}

void es_quick_step(es_run *run)
{
    es_composer *c = &run->composer;
    es_event *e = &c->event;
    es_quick *q = &run->quick;
    es_tier *tier = &run->tier[run->serving];
    const uint32_t top_k = c->info->top_k;
    const uint16_t *ids = c->step.ids + (size_t)c->row * c->info->layers * top_k, *end = ids + (size_t)c->info->layers * top_k;
    const uint64_t evictions = run->tally.evictions;
    q->spare = tier->room[0] - tier->used[0];
    q->fetched = q->compulsory = 0;
    q->bytes = 0;

    es_composer_layer(run, 0);
    e->mask = &q->mask;
    e->hit = &q->hit;
    e->served = e->repeats = NULL;
    e->tokens = 1;
    e->row = c->row;
    e->last = true;
    e->late = e->foreseen = 0;
    e->index = c->events;
    e->at = c->positions;
    run->use.step = run->release.step = e->step;

    for (; ids < end; ids += top_k, e->layer++, e->word++, e->base += 64) {
        uint32_t n = top_k;
        while (n > 0 && ids[n - 1] == ES_NO_EXPERT)
            n--;
        const uint64_t want = quick_mask(ids, ids + n), here = q->resident[e->word] & want;
        if ((uint32_t)__builtin_popcountll(want) != n) {
            c->layer = e->layer;
            es_composer_fault(run, c->row);
            break;
        }
        if (n == 0)
            continue;
        q->mask = want;
        q->hit = here;
        e->list = e->touch = ids;
        e->count = e->assignments = n;
        e->hits = (uint32_t)__builtin_popcountll(here);
        for (const es_listener *l = run->hears[ES_FACT_USE]; l->notify; l++)
            l->notify(l->self, &run->use);
        if (want != here)
            quick_fetch(run, tier, e->layer, want & ~here, n - e->hits);
        for (const es_listener *l = run->hears[ES_FACT_RELEASE]; l->notify; l++)
            l->notify(l->self, &run->release);
        e->index++;
        e->at += n;
    }
    c->events = e->index;
    c->positions = e->at;
    quick_settle(run, tier, evictions);
}
