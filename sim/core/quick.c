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
    q->victims = run->policy->victims;
    q->victim = tier->victims;
    for (uint32_t i = 0; i < 64; i++)
        q->bit[i] = 1ull << i;
}

/* How many of a row that ends in ES_NO_EXPERT are experts. */
static ES_COLD uint32_t quick_short(const uint16_t *ids, uint32_t n)
{
    while (n > 0 && ids[n - 1] == ES_NO_EXPERT)
        n--;
    return n;
}

/* The ids as bits. From a table: that takes two instructions per id, a shift takes four. */
static inline uint64_t quick_mask(const uint64_t bit[64], const uint16_t *ids, uint32_t n)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; i < n; i++)
        mask |= bit[ids[i]];
    return mask;
}

/* Misses that are the first use of an expert. */
static ES_COLD void quick_first(es_run *run, uint32_t layer, uint64_t first)
{
    if (!run->composer.event.counted)
        return;
    run->tally.compulsory += (uint64_t)__builtin_popcountll(first);
    run->seen[layer] |= first;
}

/* Room for what the event lacks: victims leave. */
static inline void quick_room(es_run *run)
{
    es_quick *q = &run->quick;
    uint64_t *guard = &run->view.guard[run->composer.event.layer];
    q->need.units = -q->spare;
    *guard = q->mask;
    size_t gone = q->victims(run->policy_state, &q->need, q->victim, run->view.objects);
    *guard = 0;
    q->spare += (int64_t)gone * q->unit;
    run->tally.evictions += gone;
    uint64_t *resident = q->resident;
    for (const es_oid *v = q->victim, *end = v + gone; v < end; v++)
        resident[*v >> 6] &= ~1ull << (*v & 63) | ~1ull >> (-*v & 63);      /* all but one bit: a rotation */
}

/* What is missing of the event arrives. Nothing is kept in a register while victims are asked for. */
static inline void quick_fetch(es_run *run, uint32_t layer, uint32_t misses)
{
    es_quick *q = &run->quick;
    uint64_t first = q->mask & ~q->hit & ~run->seen[layer];
    if (first)
        quick_first(run, layer, first);
    q->fetched += misses;
    q->bytes += misses * run->bytes[layer];
    q->spare -= misses * q->unit;
    if (q->spare < 0)
        quick_room(run);
    q->resident[run->composer.event.layer] |= q->mask;
}

/* What a step changed in its tier and in the tally is brought there at its end, for who looks then. */
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
    }
}

/* The events of a step. Inlined for the usual numbers of experts per token, whose loops then fall away. */
static inline __attribute__((always_inline)) void quick_events(es_run *run, const uint16_t *ids, size_t top_k)
{
    es_composer *c = &run->composer;
    es_event *e = &c->event;
    es_quick *q = &run->quick;
    for (const uint16_t *end = ids + c->info->layers * top_k; ids < end; ids += top_k, e->layer++, e->word++, e->base += 64) {
        uint32_t n = (uint32_t)top_k;
        uint64_t mask;
        if (ids[top_k - 1] != ES_NO_EXPERT)
            mask = quick_mask(q->bit, ids, n);
        else if ((n = quick_short(ids, n)) > 0)
            mask = quick_mask(q->bit, ids, n);
        else
            continue;
        q->mask = mask;
        q->hit = mask & q->resident[e->word];
        if ((uint32_t)__builtin_popcountll(mask) != n) {
            c->layer = e->layer;
            es_composer_fault(run, c->row);
            return;
        }
        e->list = e->touch = ids;
        e->count = e->assignments = n;
        e->hits = (uint32_t)__builtin_popcountll(q->hit);
        for (const es_listener *l = run->hears[ES_FACT_USE]; l->notify; l++)
            l->notify(l->self, &run->use);
        if (e->hits != e->count)
            quick_fetch(run, e->layer, e->count - e->hits);
        for (const es_listener *l = run->hears[ES_FACT_RELEASE]; l->notify; l++)
            l->notify(l->self, &run->release);
        e->index++;
        e->at += e->count;
    }
}

void es_quick_step(es_run *run)
{
    es_composer *c = &run->composer;
    es_event *e = &c->event;
    es_quick *q = &run->quick;
    es_tier *tier = &run->tier[run->serving];
    const uint32_t top_k = c->info->top_k;
    const uint16_t *ids = c->step.ids + (size_t)c->row * c->info->layers * top_k;
    const uint64_t evictions = run->tally.evictions;
    q->spare = tier->room[0] - tier->used[0];
    q->fetched = 0;
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
    switch (top_k) {
    case 4:
        quick_events(run, ids, 4);
        break;
    case 6:
        quick_events(run, ids, 6);
        break;
    case 8:
        quick_events(run, ids, 8);
        break;
    default:
        quick_events(run, ids, top_k);
    }
    c->events = e->index;
    c->positions = e->at;
    quick_settle(run, tier, evictions);
}
