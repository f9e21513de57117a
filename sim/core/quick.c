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

/* The ids as bits. From a table: it takes two instructions per id, a shift takes four. */
static inline uint64_t quick_mask(const uint64_t bit[64], const uint16_t *id, uint32_t n)
{
    uint64_t mask = 0;
    for (const uint16_t *end = id + (n & ~3u); id < end; id += 4)
        mask |= bit[id[0]] | bit[id[1]] | bit[id[2]] | bit[id[3]];
    if (n & 2) {
        mask |= bit[id[0]] | bit[id[1]];
        id += 2;
    }
    return n & 1 ? mask | bit[*id] : mask;
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
static inline void quick_room(es_run *run, uint32_t layer)
{
    es_quick *q = &run->quick;
    es_oid *victim = run->tier[run->serving].victims;
    q->need.units = -q->spare;
    run->view.guard[layer] = q->mask;
    size_t gone = q->victims(run->policy_state, &q->need, victim, run->view.objects);
    run->view.guard[layer] = 0;
    q->spare += (int64_t)gone * q->unit;
    run->tally.evictions += gone;
    uint64_t *resident = q->resident;
    for (const es_oid *end = victim + gone; victim < end; victim++)
        resident[*victim >> 6] &= ~1ull << (*victim & 63) | ~1ull >> (-*victim & 63);     /* a rotation */
}

/* What is missing of the event arrives. */
static inline void quick_fetch(es_run *run, uint32_t layer, uint32_t misses)
{
    es_quick *q = &run->quick;
    q->spare -= misses * q->unit;
    if (q->spare < 0)
        quick_room(run, layer);
    uint64_t missed = q->mask & ~q->hit, first = missed & ~run->seen[layer];
    q->resident[layer] |= missed;
    q->fetched += misses;
    q->bytes += misses * run->bytes[layer];
    if (first)
        quick_first(run, layer, first);
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

void es_quick_step(es_run *run)
{
    es_composer *c = &run->composer;
    es_event *e = &c->event;
    es_quick *q = &run->quick;
    es_tier *tier = &run->tier[run->serving];
    const size_t top_k = c->info->top_k, width = c->info->layers * top_k;
    const uint16_t *ids = c->step.ids + c->row * width, *end = ids + width;
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

    for (; ids < end; ids += top_k, e->layer++, e->word++, e->base += 64) {
        uint32_t n = (uint32_t)top_k;
        if (ids[top_k - 1] == ES_NO_EXPERT && (n = quick_short(ids, n)) == 0)
            continue;
        q->mask = quick_mask(q->bit, ids, n);
        if ((uint32_t)__builtin_popcountll(q->mask) != n) {
            c->layer = e->layer;
            es_composer_fault(run, c->row);
            break;
        }
        q->hit = q->mask & q->resident[e->word];
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
    c->events = e->index;
    c->positions = e->at;
    quick_settle(run, tier, evictions);
}
