/* What is reported of a tier whose allocator places: its pools, those of all its buckets added up, and what became of newcomers. */
#include "sim/core/place_inside.h"

/* Of one pool in all buckets. */
static void place_report_pool(const es_tier *tier, uint32_t p, es_json *row)
{
    const es_ground *g = tier->ground;
    int64_t capacity = 0, used = 0, slots = 0;
    for (uint32_t b = 0; b < g->buckets; b++) {
        const es_pool_view *pool = &g->pool[b][p];
        capacity += pool->capacity;
        used += pool->used;
        slots += pool->slot_bytes ? pool->capacity / pool->slot_bytes : 0;
    }
    es_json_add_int(row, "capacity_bytes", capacity);
    es_json_add_int(row, "used_bytes", used);
    if (g->pool[0][p].slot_bytes) {
        es_json_add_int(row, "slot_bytes", g->pool[0][p].slot_bytes);
        es_json_add_int(row, "slots", slots);
    }
}

void es_place_report(const es_tier *tier, es_json *out)
{
    const es_ground *g = tier->ground;
    es_json *one = es_json_add_object(out, "allocator");
    es_json *pools = one ? es_json_add_object(one, "pools") : NULL;
    if (!pools)
        return;
    for (uint32_t p = 0; p < g->pools; p++) {
        es_json *row = es_json_add_object(pools, g->pool[0][p].name);
        if (!row)
            return;
        place_report_pool(tier, p, row);
    }
    es_json_add_int(one, "placed", (int64_t)g->placed);
    es_json_add_int(one, "spills", (int64_t)g->spills);
    es_json_add_int(one, "fallbacks", (int64_t)g->fallbacks);
    es_json_add_int(one, "overshoots", (int64_t)g->overshoots);
    es_json_add_int(one, "outside_peak_bytes", g->outside_peak);
    if (g->beside)
        es_json_add_int(one, "pinned_bytes", g->beside_bytes);
    if (g->hidden)
        es_json_add_int(one, "hidden_hits", (int64_t)g->hidden_hits);
    if (g->dropped) {
        es_json_add_int(one, "compactions", (int64_t)g->compactions);
        es_json_add_int(one, "compaction_moves", (int64_t)g->moves);
        es_json_add_int(one, "compaction_bytes", g->moved_bytes);
        es_json_add_int(one, "compaction_drops", (int64_t)g->drops);
    }
    if (g->allocator->report)
        g->allocator->report((const void *const *)g->state, g->buckets, one);
}
