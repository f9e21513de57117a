/* Bound: see bound.h, whose names stand here. One walk over the events, over all cuts at once; what is inside of each is known by its next
 * uses. */
#include "sim/curve/bound.h"

#include "sim/curve/farthest.h"

typedef struct bound_pass {     /* of one cut */
    const es_events *events;
    const es_machine *machine;
    const es_cut *cut;
    const es_uses *uses;
    es_farthest set;            /* next uses of what is held, whole or in part */
    int64_t *held;              /* [objects] units of each */
    bool *seen;                 /* [objects] it was copied before */
    bool windows;               /* (3) holds */
    int64_t scale;              /* units of an object where all take the same: these are one then, objects being what is counted */
    int64_t capacity, used;
    int64_t *over;              /* [layers, or 1] units above its room that the last event of a layer may have left; NULL: none */
    int64_t moved;              /* U so far */
    int64_t first;              /* of these, units of first copies */
    es_time first_ns;
    es_time least_ns;           /* the cheapest unit costs least_ns / least_units */
    int64_t least_units;
    es_time full;               /* L(a full inside) */
    es_time link;               /* L so far */
    es_time ahead;              /* the greatest E(k) - L(k) - L(a full inside), once there is a k */
} bound_pass;

static int64_t bound_units(const bound_pass *b, uint32_t object)
{
    return b->scale ? 1 : b->cut->unit[object];
}

/* Are all experts of one size, or of one cost? */
static bool bound_alike(const es_events *events, const int64_t *of)
{
    for (uint32_t s = 0; s < events->spaces; s++)
        for (uint32_t i = 0; i < events->experts; i++)
            if (of[s * events->stride + i] != of[0])
                return false;
    return true;
}

static void bound_costs(bound_pass *b)
{
    const es_cut *cut = b->cut;
    const es_events *events = b->events;
    const bool whole = cut->piece_units == 0, one_size = whole && bound_alike(events, cut->unit);
    b->windows = one_size && bound_alike(events, cut->copy_ns) && !cut->overshoots && !cut->passes;
    b->scale = one_size ? cut->unit[0] : 0;
    b->capacity = b->scale ? cut->capacity / b->scale : cut->capacity;
    b->least_ns = cut->piece_ns;
    b->least_units = cut->piece_units;
    for (uint32_t s = 0; whole && s < events->spaces; s++)
        for (uint32_t i = 0; i < events->experts; i++) {
            const uint32_t object = s * events->stride + i;
            const int64_t units = bound_units(b, object);
            if (b->least_units == 0 || (__int128)cut->copy_ns[object] * b->least_units < (__int128)b->least_ns * units) {
                b->least_ns = cut->copy_ns[object];
                b->least_units = units;
            }
        }
    /* A nanosecond less, for L is rounded down. */
    b->full = (es_time)(((__int128)b->capacity * b->least_ns + cut->lanes - 1) / cut->lanes) + 1;
}

static es_code bound_open(bound_pass *b, es_arena *arena, es_err *err)
{
    const uint32_t objects = b->events->spaces * b->events->stride;
    bound_costs(b);
    b->held = ES_NEW_ARRAY(arena, objects, int64_t);
    b->seen = ES_NEW_ARRAY(arena, objects, bool);
    b->over = b->cut->overshoots ? ES_NEW_ARRAY(arena, b->events->layers, int64_t) : NULL;
    if (!b->held || !b->seen || (b->cut->overshoots && !b->over))
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

/* What an event that wanted so much leaves above the room of its layer counts as capacity until that layer's next event. */
static void bound_overshoot(bound_pass *b, uint32_t event, int64_t wanted)
{
    const uint32_t layer = b->machine->per_layer ? b->events->layer[event] : 0;
    const int64_t room = b->cut->overshoots[layer] / (b->scale ? b->scale : 1), over = wanted > room ? wanted - room : 0;
    b->capacity += over - b->over[layer];
    b->over[layer] = over;
}

/* The event is served and the boundary behind it is passed. */
static void bound_event(bound_pass *b, uint32_t event)
{
    const es_events *events = b->events;
    int64_t wanted = 0;
    if (event > 0 && b->machine->reset && events->flags[event] & ES_EVENT_FRESH)
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
            b->first_ns += b->cut->copy_ns[object];
        }
        b->moved += missing;
        b->used += missing;
        b->held[object] = units;
        es_farthest_add(&b->set, b->uses->next[p]);
    }
    if (b->over)
        bound_overshoot(b, event, wanted);
    bound_cut(b, b->capacity);
    const __int128 further = (__int128)(b->moved - b->first) * b->least_ns / b->least_units;
    b->link = (es_time)((b->first_ns + further) / b->cut->lanes);
}

typedef struct bound_compute {
    es_time all, least;         /* x(i) and m(i) */
} bound_compute;

/* On two units: the sum of the lesser of y * gpu and (1 - y) * host, with the y at which both are the same for the first expert. */
static es_time bound_shared(const es_events *events, const es_machine *m, uint32_t event)
{
    __int128 sum = 0;
    es_time y = 0, rest = 0;
    for (uint64_t p = events->begin[event]; p < events->begin[event + 1]; p++) {
        const es_time gpu = es_machine_expert_ns(m, events, event, p), host = es_machine_unit_ns(m, m->host_ns, events, event, p);
        if (p == events->begin[event]) {
            y = host;
            rest = gpu;
        }
        const __int128 here = (__int128)y * gpu, there = (__int128)rest * host;
        sum += here < there ? here : there;
    }
    return y + rest > 0 ? (es_time)(sum / (y + rest)) : 0;
}

static bound_compute bound_experts(const es_events *events, const es_machine *m, uint32_t event)
{
    bound_compute sum = {.least = ES_NEVER};
    if (m->host_ns)
        return (bound_compute){.all = bound_shared(events, m, event)};
    for (uint64_t p = events->begin[event]; p < events->begin[event + 1]; p++) {
        const es_time cost = es_machine_expert_ns(m, events, event, p);
        sum.all += cost;
        sum.least = cost < sum.least ? cost : sum.least;
    }
    return sum;
}

/* (2) and (3). */
static es_time bound_ends(const bound_pass *b, uint32_t event, es_time least)
{
    const es_time last = b->cut->piece_units ? 0 : least;
    return b->link + last + (b->windows && event > 0 && b->ahead > 0 ? b->ahead : 0);
}

static void bound_walk(es_bound *out, const es_events *events, const es_machine *machine, bound_pass *pass)
{
    es_time end = 0;                    /* E(i) */
    for (uint32_t i = 0; i < events->count; i++) {
        const bound_compute x = bound_experts(events, machine, i);
        end += machine->dense_ns[i] + x.all;            /* (1) */
        out->compute_ns += machine->dense_ns[i] + x.all;
        for (uint32_t c = 0; c < machine->cuts; c++) {
            bound_event(&pass[c], i);
            const es_time by = bound_ends(&pass[c], i, x.least);
            end = by > end ? by : end;
        }
        for (uint32_t c = 0; c < machine->cuts; c++) {
            bound_pass *b = &pass[c];
            const es_time ahead = end - b->link - b->full;
            b->ahead = i == 0 || ahead > b->ahead ? ahead : b->ahead;
        }
    }
    out->compute_ns += machine->dense_ns[events->count];
    out->total_ns = end + machine->dense_ns[events->count];
}

es_code es_bound_find(es_bound *out, const es_events *events, const es_machine *machine, const es_uses *uses, es_arena *arena, es_err *err)
{
    bound_pass *pass = ES_NEW_ARRAY(arena, machine->cuts + 1, bound_pass);
    es_code code = pass ? ES_OK : es_err_nomem(err, "a bound");
    *out = (es_bound){0};
    for (uint32_t c = 0; c < machine->cuts && code == ES_OK; c++) {
        pass[c] = (bound_pass){.events = events, .machine = machine, .cut = &machine->cut[c], .uses = uses};
        code = bound_open(&pass[c], arena, err);
        if (code == ES_OK && machine->warm)
            bound_warm(&pass[c]);
    }
    if (code != ES_OK)
        return code;
    bound_walk(out, events, machine, pass);
    for (uint32_t c = 0; c < machine->cuts; c++) {
        const bound_pass *b = &pass[c];
        if (c > 0 && b->link <= out->link_ns)
            continue;
        out->slowest = c;
        out->link_ns = b->link;
        out->units = (uint64_t)(b->scale ? b->moved * b->scale : b->moved);
        out->misses = b->scale ? (uint64_t)b->moved : 0;
    }
    return ES_OK;
}
