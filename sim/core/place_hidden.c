/* Copies that lookups do not find, as some published source has it (the allocator's `hides`).
 *
 * At the gate of an event that wants it such a copy is evicted but keeps its block: the newcomer takes that when it would come to lie there
 * again, others when the source would evict it for them (`names`): among what lies there and what lookups find, it does not tell one
 * from the other. */
#include "sim/core/place_inside.h"

uint64_t *es_place_hidden(const es_run *run, const es_ground *g, uint32_t pool)
{
    return g->hidden + (size_t)pool * run->view.words;
}

static void place_hide(const es_run *run, es_ground *g, es_oid object, uint32_t pool)
{
    es_place_hidden(run, g, pool)[object >> 6] |= es_bit(object);
    g->missed[es_place_bucket(run, object) * g->pools + pool] = true;
}

bool es_place_reveal(const es_run *run, es_ground *g, es_oid object, uint32_t pool)
{
    if (!g->hidden || pool == ES_NONE_POOL || !es_mask_has(es_place_hidden(run, g, pool), object))
        return false;
    es_place_hidden(run, g, pool)[object >> 6] &= ~es_bit(object);
    return true;
}

bool es_place_hides(const es_run *run, es_oid object)
{
    const es_tier *tier = &run->tier[run->serving];
    const es_ground *g = tier->ground;
    const es_place_ask ask = es_place_asked(run, tier, object);
    return g->block[object].pool != ES_NONE_POOL && g->allocator->hides(es_place_state(run, g, object), &g->block[object], &ask);
}

void es_place_evict(es_run *run, uint32_t t, const es_oid *objects, uint32_t count)
{
    es_store_evict(run, t, objects, count, ES_RELEASE);
    if (t == run->serving && run->policy->part.hears >> ES_FACT_LEAVE_LOW & 1)
        run->policy->part.notify(run->policy_state, &(es_fact){.kind = ES_FACT_LEAVE_LOW, .why = ES_RELEASE, .at = run->now, .since = run->now, .objects = objects,
            .count = count, .from = t, .to = ES_NO_TIER, .channel = ES_NONE, .step = run->composer.steps - 1});
}

void es_place_hide(es_run *run)
{
    const uint32_t t = run->serving;
    es_ground *g = run->tier[t].ground;
    const es_event *e = &run->composer.event;
    for (uint32_t w = 0; w < e->words; w++)
        for (uint64_t left = e->mask[w] & run->tier_view[t].resident[e->word + w]; left; left &= left - 1) {
            const es_oid object = (e->word + w) * 64 + (es_oid)__builtin_ctzll(left);
            if (!es_place_hides(run, object))
                continue;
            place_hide(run, g, object, g->block[object].pool);
            g->hidden_hits++;
            es_place_evict(run, t, &object, 1);
        }
}

void es_place_reset(es_run *run, es_tier *tier)
{
    es_ground *g = tier->ground;
    for (uint32_t p = 0; g->hidden && p < tier->view->pools; p++)
        for (uint32_t w = 0; w < run->view.words; w++)
            for (uint64_t left = es_place_hidden(run, g, p)[w]; left; left &= left - 1) {
                const es_oid object = w * 64 + (es_oid)__builtin_ctzll(left);
                es_place_reveal(run, g, object, p);
                g->allocator->release(es_place_state(run, g, object), object, &(es_block){.pool = p});
            }
}

bool es_place_named(es_run *run, uint32_t t, uint32_t bucket, uint32_t pool)
{
    es_ground *g = run->tier[t].ground;
    const es_tier_view *view = &run->tier_view[t];
    const uint64_t *member = es_place_member(run, g, pool), *hidden = es_place_hidden(run, g, pool);
    const es_words words = es_place_words(run, bucket);
    es_block block;
    for (uint32_t w = words.from; w < words.end; w++) {
        const uint64_t held = run->view.guard[w] | (run->grace.on && t == run->serving ? run->grace.held[w] : 0);
        g->guard[w] = hidden[w] | (view->resident[w] & member[w] & ~held);
    }
    const es_oid object = g->allocator->names(g->state[bucket], pool, g->guard, &block);
    if (object == ES_NO_OBJECT)
        return false;           /* grace may yet yield */
    if (es_place_reveal(run, g, object, pool)) {
        g->freed = block;
        g->allocator->release(g->state[bucket], object, &g->freed);
        return true;
    }
    for (uint32_t w = words.from; w < words.end; w++)
        g->fence[w] = UINT64_MAX;
    g->fence[object >> 6] = ~es_bit(object);
    return false;
}
