/* Static: see static.h. What an object hits when it is held does not depend on who else is, so it is counted once and added up. */
#include "sim/curve/static.h"

#include <stdlib.h>
#include <string.h>

typedef struct static_object {
    uint64_t uses;              /* by which it is chosen */
    uint64_t hits, decode_hits; /* when it is held */
    uint32_t object;
} static_object;

uint64_t *es_static_uses(const es_events *events, es_arena *arena)
{
    uint64_t *uses = ES_NEW_ARRAY(arena, events->objects, uint64_t);
    for (uint32_t e = 0; uses && e < events->count; e++)
        for (uint64_t i = events->begin[e]; events->flags[e] & ES_EVENT_DECODE && i < events->begin[e + 1]; i++)
            uses[es_events_base(events, e) + events->id[i]]++;
    return uses;
}

static int static_order(const void *a, const void *b)
{
    const static_object *x = a, *y = b;
    if (x->uses != y->uses)
        return x->uses > y->uses ? -1 : 1;
    return x->object < y->object ? -1 : x->object > y->object;
}

/* `back`: where caches are emptied, whether the object is there again; all are before the first event. */
static void static_count(const es_events *events, bool reset, static_object *all, bool *back)
{
    for (uint32_t e = 0; e < events->count; e++) {
        const uint32_t base = es_events_base(events, e);
        const uint8_t flags = events->flags[e];
        if (e == 0 || (reset && flags & ES_EVENT_FRESH))
            memset(back, e == 0, events->objects * sizeof *back);
        for (uint64_t i = events->begin[e]; i < events->begin[e + 1]; i++) {
            static_object *one = &all[base + events->id[i]];
            const bool hit = back[one->object] && !(flags & ES_EVENT_SKIPPED);
            back[one->object] = true;
            one->hits += hit;
            one->decode_hits += hit && flags & ES_EVENT_DECODE;
        }
    }
}

/* The set of one cache at each size, out of `count` objects in their order. */
static es_code static_curve(const es_events *events, const es_curve_ask *ask, const static_object *ranked, uint32_t count, es_curve *curve, es_arena *arena, es_err *err)
{
    uint32_t sizes;
    const uint64_t *capacity = es_curve_capacities(events, ask, &sizes, arena);
    uint64_t *hits = ES_NEW_ARRAY(arena, sizes, uint64_t), *decode = ES_NEW_ARRAY(arena, sizes, uint64_t);
    if (!capacity || !hits || !decode)
        return es_err_nomem(err, "a curve");
    for (uint32_t s = 0; s < sizes; s++) {
        uint64_t left = capacity[s];
        for (uint32_t i = 0; i < count && ranked[i].uses > 0 && left > 0; i++) {
            const uint64_t unit = ask->bytes ? (uint64_t)ask->bytes[events->spaces == 1 ? 0 : ranked[i].object / events->stride] : 1;
            if (unit > left)
                continue;
            left -= unit;
            hits[s] += ranked[i].hits;
            decode[s] += ranked[i].decode_hits;
        }
    }
    *curve = (es_curve){.sizes = sizes, .capacity = capacity, .hits = hits, .decode_hits = decode};
    return ES_OK;
}

es_code es_static(const es_events *events, const uint64_t *uses, const es_curve_ask *ask, es_curve *curves, es_arena *arena, es_err *err)
{
    const uint32_t count = es_curve_count(events, ask), each = count > 1 ? events->stride : events->objects;
    static_object *all = ES_NEW_ARRAY(arena, events->objects, static_object);
    bool *back = ES_NEW_ARRAY(arena, events->objects, bool);
    es_code code = ES_OK;
    if (!all || !back)
        return es_err_nomem(err, "the static sets");
    for (uint32_t o = 0; o < events->objects; o++)
        all[o] = (static_object){.uses = uses[o], .object = o};
    static_count(events, ask->reset, all, back);
    for (uint32_t c = 0; c < count && code == ES_OK; c++) {
        qsort(all + (size_t)c * each, each, sizeof *all, static_order);
        code = static_curve(events, ask, all + (size_t)c * each, each, &curves[c], arena, err);
    }
    for (uint32_t e = 0; code == ES_OK && e < events->count; e++) {
        const uint32_t width = events->flags[e] & ES_EVENT_SKIPPED ? 0 : es_events_width(events, e);
        curves[count > 1 ? events->layer[e] : 0].accesses += width;
        curves[count > 1 ? events->layer[e] : 0].decode_accesses += events->flags[e] & ES_EVENT_DECODE ? width : 0;
    }
    return code;
}
