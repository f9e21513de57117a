/* Row: the event of one token in one layer, which is what nearly every event of a real run is. Inline, because it runs once per
 * layer of every step: the list points straight into the packed trace and only the mask is built. */
#ifndef ES_CORE_ROW_H
#define ES_CORE_ROW_H

#include "sim/core/core.h"

/* How many of a row are experts: ES_NO_EXPERT fill a short one. */
static inline uint32_t es_row_length(const uint16_t *ids, uint32_t top_k)
{
    uint32_t n = top_k;
    while (ids[n - 1] == ES_NO_EXPERT && --n > 0);
    return n;
}

static inline const uint16_t *es_row_ids(const es_composer *c, uint32_t row, uint32_t layer, uint32_t *count)
{
    const uint16_t *ids = c->step.ids + ((size_t)row * c->info->layers + layer) * c->info->top_k;
    *count = es_row_length(ids, c->info->top_k);
    return ids;
}

/* Fills list, mask and counts of the event. false: the row is empty, or (distinct below listed) it lists an expert twice. */
static inline bool es_row_event(es_composer *c, uint32_t row, uint32_t layer, uint32_t *listed)
{
    es_event *e = &c->event;
    uint32_t n, distinct = 0;
    const uint16_t *ids = es_row_ids(c, row, layer, &n);
    uint64_t *mask = c->mask;
    if (e->words == 1) {
        uint64_t word = 0;
        for (uint32_t i = 0; i < n; i++)
            word |= 1ull << (ids[i] & 63);
        mask[0] = word;
        distinct = (uint32_t)__builtin_popcountll(word);
    } else {
        for (uint32_t w = 0; w < e->words; w++)
            mask[w] = 0;
        for (uint32_t i = 0; i < n; i++)
            mask[ids[i] >> 6] |= 1ull << (ids[i] & 63);
        for (uint32_t w = 0; w < e->words; w++)
            distinct += (uint32_t)__builtin_popcountll(mask[w]);
    }
    *listed = n;
    e->list = e->touch = ids;
    e->count = e->assignments = distinct;
    e->index = c->events;
    e->at = c->positions;
    return (n > 0) & (distinct == n);
}

#endif
