/* Bound: see bound.h, whose names stand here. One walk over the events; what the tier keeps is known by its next uses. */
#include "sim/curve/bound.h"

#include "sim/curve/farthest.h"

typedef struct bound_pass {
    const es_events *events;
    const es_machine *machine;
    const es_uses *uses;
    es_farthest set;            /* next uses of what is held, whole or in part */
    int64_t *held;              /* [objects] units of each */
    bool *seen;                 /* [objects] it was copied before */
    bool alike;                 /* all take the same and cost the same */
    int64_t scale;              /* units of an object where all take the same: these are one then, objects being what is counted */
    int64_t capacity, used;
    int64_t moved;              /* U so far */
    int64_t first;              /* of these, units of first copies */
    es_time first_ns;
    es_time least_ns;           /* the cheapest unit costs least_ns / least_units */
    int64_t least_units;
} bound_pass;

static int64_t bound_units(const bound_pass *b, uint32_t object)
{
    return b->scale ? 1 : b->machine->unit[es_machine_space(b->events, object)];
}

static void bound_costs(bound_pass *b)
{
    const es_machine *m = b->machine;
    bool one_size = true;
    b->alike = true;
    for (uint32_t s = 1; s < b->events->spaces; s++) {
        one_size = one_size && m->unit[s] == m->unit[0];
        b->alike = b->alike && m->copy_ns[s] == m->copy_ns[0];
    }
    b->alike = b->alike && one_size;
    b->scale = one_size ? m->unit[0] : 0;
    b->capacity = b->scale ? m->capacity / b->scale : m->capacity;
    b->least_ns = m->copy_ns[0];
    b->least_units = b->scale ? 1 : m->unit[0];
    for (uint32_t s = 1; s < b->events->spaces; s++) {
        const int64_t units = b->scale ? 1 : m->unit[s];
        if ((__int128)m->copy_ns[s] * b->least_units < (__int128)b->least_ns * units) {
            b->least_ns = m->copy_ns[s];
            b->least_units = units;
        }
    }
}

static es_code bound_open(bound_pass *b, es_arena *arena, es_err *err)
{
    const uint32_t objects = b->events->spaces * b->events->stride;
    bound_costs(b);
    b->held = ES_NEW_ARRAY(arena, objects, int64_t);
    b->seen = ES_NEW_ARRAY(arena, objects, bool);
    if (!b->held || !b->seen)
        return es_err_nomem(err, "a bound");
    return es_farthest_open(&b->set, b->events->lookups + objects, arena, err);
}

/* What is used last gives way until no more is held than `most`; of the last of them a part may stay. */
static void bound_cut(bound_pass *b, int64_t most)
{
    while (b->used > most) {
        const uint64_t position = es_farthest_top(&b->set);
        int64_t *held = &b->held[es_uses_object(b->uses, b->events, position)];
        const int64_t give = *held < b->used - most ? *held : b->used - most;
        *held -= give;
        b->used -= give;
        if (*held == 0)
            es_farthest_remove(&b->set, position);
    }
}

/* Every object as if an event before the first had used it. */
static void bound_warm(bound_pass *b)
{
    const es_events *events = b->events;
    for (uint64_t p = 0; p < events->lookups; p++) {
        const uint32_t object = b->uses->object[p];
        if (b->seen[object])
            continue;
        b->seen[object] = true;
        b->held[object] = bound_units(b, object);
        b->used += b->held[object];
        es_farthest_add(&b->set, p);
    }
    bound_cut(b, b->capacity);
}

/* The event is served and the boundary behind it is passed. */
static void bound_event(bound_pass *b, uint32_t event)
{
    const es_events *events = b->events;
    int64_t wanted = 0;
    if (b->machine->reset && events->flags[event] & ES_EVENT_FRESH)
        bound_cut(b, 0);
    for (uint64_t p = events->begin[event]; p < events->begin[event + 1]; p++) {
        const uint32_t object = b->uses->object[p];
        const int64_t units = bound_units(b, object), missing = units - b->held[object];
        wanted += units;
        if (missing < units)
            es_farthest_remove(&b->set, p);
        if (!b->seen[object]) {
            b->seen[object] = true;
            b->first += units;
            b->first_ns += b->machine->copy_ns[es_machine_space(events, object)];
        }
        b->moved += missing;
        b->used += missing;
        b->held[object] = units;
        es_farthest_add(&b->set, b->uses->next[p]);
    }
    bound_cut(b, b->machine->overshoots && wanted > b->capacity ? wanted : b->capacity);
}

/* L: what has moved so far. */
static es_time bound_link(const bound_pass *b)
{
    const __int128 further = (__int128)(b->moved - b->first) * b->least_ns / b->least_units;
    return (es_time)((b->first_ns + further) / b->machine->lanes);
}

typedef struct bound_compute {
    es_time all, least;         /* x(i) and m(i) */
} bound_compute;

static bound_compute bound_experts(const bound_pass *b, uint32_t event)
{
    bound_compute sum = {.least = ES_NEVER};
    for (uint64_t p = b->events->begin[event]; p < b->events->begin[event + 1]; p++) {
        const es_time cost = es_machine_expert_ns(b->machine, b->events, event, p);
        sum.all += cost;
        sum.least = cost < sum.least ? cost : sum.least;
    }
    return sum;
}

es_code es_bound_find(es_bound *out, const es_events *events, const es_machine *machine, const es_uses *uses, es_arena *arena, es_err *err)
{
    bound_pass b = {.events = events, .machine = machine, .uses = uses};
    es_code code = bound_open(&b, arena, err);
    if (code != ES_OK)
        return code;
    *out = (es_bound){0};
    if (machine->warm)
        bound_warm(&b);
    /* A nanosecond less, for L is rounded down. */
    const es_time full = (es_time)(((__int128)b.capacity * b.least_ns + machine->lanes - 1) / machine->lanes) + 1;
    const bool windows = b.alike && !machine->overshoots;
    es_time end = 0, ahead = 0;         /* E(i); the greatest E(k) - L(k) - L(a full tier), once there is a k */
    for (uint32_t i = 0; i < events->count; i++) {
        const bound_compute x = bound_experts(&b, i);
        bound_event(&b, i);
        out->link_ns = bound_link(&b);
        es_time by = end + machine->dense_ns[i] + x.all;                        /* (1) */
        if (out->link_ns + x.least > by)                                        /* (2) */
            by = out->link_ns + x.least;
        if (windows && i > 0 && ahead + out->link_ns + x.least > by)            /* (3) */
            by = ahead + out->link_ns + x.least;
        out->compute_ns += machine->dense_ns[i] + x.all;
        end = by;
        ahead = i == 0 || end - out->link_ns - full > ahead ? end - out->link_ns - full : ahead;
    }
    out->compute_ns += machine->dense_ns[events->count];
    out->total_ns = end + machine->dense_ns[events->count];
    out->units = (uint64_t)(b.scale ? b.moved * b.scale : b.moved);
    out->misses = b.scale ? (uint64_t)b.moved : 0;
    return ES_OK;
}
