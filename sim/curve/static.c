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

/* ---- in bytes ---- */

enum { STATIC_TRIES = 4000000 };        /* of groups.h: some tenths of a second, for experts of three sizes and more */

static int static_more(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x > y ? -1 : x < y;
}

/* The used objects that cost as much as those of layer `first`, as sums of the most used; a size that an earlier layer has has none of its own. */
static bool static_group(const es_events *events, const uint64_t *uses, const int64_t *bytes, uint32_t first, es_group *group, es_arena *arena)
{
    uint64_t *value = ES_NEW_ARRAY(arena, (size_t)events->spaces * events->experts + 1, uint64_t);
    *group = (es_group){.cost = (uint64_t)bytes[first], .value = value};
    for (uint32_t l = 0; value && l < events->spaces; l++)
        for (uint32_t i = 0; bytes[l] == bytes[first] && i < events->experts; i++)
            if (l < first)
                return true;
            else if (uses[(size_t)l * events->stride + i] > 0)
                value[++group->most] = uses[(size_t)l * events->stride + i];
    if (!value)
        return false;
    qsort(value + 1, group->most, sizeof *value, static_more);
    for (uint32_t n = 1; n <= group->most; n++)
        value[n] += value[n - 1];
    return true;
}

es_code es_static_bytes(const es_events *events, const uint64_t *uses, const int64_t *bytes, const uint64_t *capacity, uint32_t sizes, es_static_best *out,
    es_arena *arena, es_err *err)
{
    es_group *groups = ES_NEW_ARRAY(arena, events->spaces, es_group);
    uint32_t count = 0;
    for (uint32_t l = 0; groups && l < events->spaces; l++) {
        if (!static_group(events, uses, bytes, l, &groups[count], arena))
            return es_err_nomem(err, "the best static set");
        count += groups[count].most > 0;
    }
    es_code code = groups ? ES_OK : es_err_nomem(err, "the best static set");
    for (uint32_t c = 0; c < sizes && code == ES_OK; c++) {
        es_groups best;
        code = es_groups_best(groups, count, capacity[c], STATIC_TRIES, &best, arena, err);
        out[c] = (es_static_best){.uses = best.value, .bound = best.bound};
        for (uint32_t g = 0; g < count && code == ES_OK; g++) {
            out[c].objects += best.taken[g];
            out[c].bytes += best.taken[g] * groups[g].cost;
        }
    }
    return code;
}
