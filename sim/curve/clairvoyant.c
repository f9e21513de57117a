/* Clairvoyant: see clairvoyant.h. Both know what is in the tier by its next uses; the time of an event is arithmetic once it is known
 * when its objects arrive. */
#include "sim/curve/clairvoyant.h"

#include <assert.h>

#include "sim/curve/farthest.h"

typedef struct clair {
    const es_events *events;
    const es_machine *machine;
    const es_uses *uses;
    es_schedule *out;
    es_farthest set;            /* next uses of what may leave one day: resident or on its way */
    bool *here;                 /* [objects] resident or on its way */
    es_time *arrive;            /* [objects] when it came, or will have come */
    es_time *free_from;         /* [objects] end of the event that used it last (conservative) */
    uint64_t *victims;          /* [objects] positions */
    int64_t used;
    uint32_t event;             /* the one that is computed, or will be next */
    es_time ended;              /* when the one before it ended */
    es_time link;               /* from when on the link is free */
} clair;

static es_code clair_open(clair *c, es_schedule *out, es_arena *arena, es_err *err)
{
    const uint32_t objects = c->events->spaces * c->events->stride;
    *out = (es_schedule){.fits = true};
    c->out = out;
    c->here = ES_NEW_ARRAY(arena, objects, bool);
    c->arrive = ES_NEW_ARRAY(arena, objects, es_time);
    c->free_from = ES_NEW_ARRAY(arena, objects, es_time);
    c->victims = ES_NEW_ARRAY(arena, objects, uint64_t);
    if (!c->here || !c->arrive || !c->free_from || !c->victims)
        return es_err_nomem(err, "a clairvoyant's schedule");
    return es_farthest_open(&c->set, c->events->lookups + objects, arena, err);
}

static int64_t clair_units(const clair *c, uint32_t object)
{
    return c->machine->cut->unit[object];
}

/* ---- time ---- */

static es_time clair_gate(const clair *c)
{
    return c->ended + c->machine->dense_ns[c->event];
}

/* The end of the event at hand, all of whose objects are here or on their way. Those that arrive later than the gate were asked for in
 * the event's own order, and arrive in it. */
static es_time clair_end(const clair *c)
{
    const es_events *events = c->events;
    const es_machine *m = c->machine;
    const uint64_t begin = events->begin[c->event], end = events->begin[c->event + 1];
    const es_time gate = clair_gate(c);
    es_time now = gate;
    for (uint64_t p = begin; p < end; p++) {
        const es_time came = c->arrive[c->uses->object[p]];
        if (m->order == ES_MACHINE_BARRIER && came > now)
            now = came;
        if (m->order == ES_MACHINE_RESIDENT_FIRST && came <= gate)
            now += es_machine_expert_ns(m, events, c->event, p);
    }
    for (uint64_t p = begin; p < end; p++) {
        const es_time came = c->arrive[c->uses->object[p]];
        if (m->order == ES_MACHINE_RESIDENT_FIRST && came <= gate)
            continue;
        now = (came > now ? came : now) + es_machine_expert_ns(m, events, c->event, p);
    }
    return now;
}

/* ---- what both do ---- */

/* The copy starts; its room is taken. */
static void clair_copy(clair *c, uint32_t object, es_time at)
{
    const es_time took = c->machine->cut->copy_ns[object];
    c->here[object] = true;
    c->used += clair_units(c, object);
    c->link = c->arrive[object] = at + took;
    c->out->link_ns += took;
    c->out->copies++;
}

static void clair_leave(clair *c, uint64_t position)
{
    const uint32_t object = es_uses_object(c->uses, c->events, position);
    assert(c->here[object]);
    c->here[object] = false;
    c->used -= clair_units(c, object);
}

/* The tier is emptied. */
static void clair_reset(clair *c)
{
    for (; !es_farthest_empty(&c->set);) {
        const uint64_t position = es_farthest_top(&c->set);
        es_farthest_remove(&c->set, position);
        clair_leave(c, position);
    }
}

static bool clair_resets(const clair *c, uint32_t event)
{
    return c->machine->reset && event > 0 && c->events->flags[event] & ES_EVENT_FRESH;
}

static void clair_done(clair *c)
{
    if (c->out->fits)
        c->out->total_ns = c->ended + c->machine->dense_ns[c->events->count];
    else
        *c->out = (es_schedule){.too_large = c->event};
}

/* ---- aggressive ---- */

/* The event at hand is over; its objects may leave, each as late as it is used again. */
static void clair_next(clair *c, es_time end)
{
    const es_events *events = c->events;
    for (uint64_t p = events->begin[c->event]; p < events->begin[c->event + 1]; p++) {
        es_farthest_remove(&c->set, p);
        es_farthest_add(&c->set, c->uses->next[p]);
    }
    c->ended = end;
    c->event++;
}

/* Makes room for an object of an event that ends before position `behind`. false: too little could leave without harm; all stays. */
static bool clair_room(clair *c, uint32_t object, uint64_t behind)
{
    int64_t lack = c->used + clair_units(c, object) - c->machine->cut->capacity;
    size_t count = 0;
    for (; lack > 0 && !es_farthest_empty(&c->set); count++) {
        const uint64_t position = es_farthest_top(&c->set);
        if (position < behind)
            break;
        es_farthest_remove(&c->set, position);
        c->victims[count] = position;
        lack -= clair_units(c, es_uses_object(c->uses, c->events, position));
    }
    for (size_t i = 0; i < count; i++)
        if (lack > 0)
            es_farthest_add(&c->set, c->victims[i]);
        else
            clair_leave(c, c->victims[i]);
    return lack <= 0;
}

/* Up to an event before which the tier is emptied, or the last. What is before position p is here or was used; objects leave only if
 * they are used later than p's event, so p never goes back. false: an event does not fit. */
static bool clair_race(clair *c, uint32_t last)
{
    const es_events *events = c->events;
    const uint64_t stop = events->begin[last];
    uint64_t p = events->begin[c->event];
    for (uint32_t of = c->event;;) {
        for (; p < stop && c->here[c->uses->object[p]]; p++);
        if (p == stop)
            break;
        for (; events->begin[of + 1] <= p; of++);
        for (es_time end; c->event < of && (end = clair_end(c)) <= c->link;)     /* what ends now ends before a copy starts */
            clair_next(c, end);
        if (clair_room(c, c->uses->object[p], events->begin[of + 1])) {
            clair_copy(c, c->uses->object[p], c->link);
            es_farthest_add(&c->set, p);
        } else if (c->event == of) {
            return false;               /* all that is left in the tier is the event's own */
        } else {
            c->link = clair_end(c);     /* nothing can change before */
            clair_next(c, c->link);
        }
    }
    while (c->event < last)
        clair_next(c, clair_end(c));
    return true;
}

es_code es_clairvoyant_aggressive(es_schedule *out, const es_events *events, const es_machine *machine, const es_uses *uses, es_arena *arena, es_err *err)
{
    clair c = {.events = events, .machine = machine, .uses = uses};
    es_code code = clair_open(&c, out, arena, err);
    if (code != ES_OK)
        return code;
    while (c.event < events->count && out->fits) {
        uint32_t last = c.event + 1;
        while (last < events->count && !clair_resets(&c, last))
            last++;
        if (c.event > 0) {              /* emptied when the request begins: from its first gate on it is certainly over */
            clair_reset(&c);
            c.link = clair_gate(&c) > c.link ? clair_gate(&c) : c.link;
        }
        out->fits = clair_race(&c, last);
    }
    clair_done(&c);
    return ES_OK;
}

/* ---- conservative ---- */

/* Belady's victims for an object of the event at hand, none of whose objects is in the set. *from: when all have had their last use.
 * false: there are none. */
static bool clair_replace(clair *c, uint32_t object, es_time *from)
{
    const int64_t units = clair_units(c, object);
    while (c->used + units > c->machine->cut->capacity) {
        if (es_farthest_empty(&c->set))
            return false;
        const uint64_t position = es_farthest_top(&c->set);
        const uint32_t victim = es_uses_object(c->uses, c->events, position);
        es_farthest_remove(&c->set, position);
        clair_leave(c, position);
        if (c->free_from[victim] > *from)
            *from = c->free_from[victim];
    }
    return true;
}

/* false: it does not fit. */
static bool clair_serve(clair *c)
{
    const es_events *events = c->events;
    const uint64_t begin = events->begin[c->event], end = events->begin[c->event + 1];
    for (uint64_t p = begin; p < end; p++)
        if (c->here[c->uses->object[p]])
            es_farthest_remove(&c->set, p);
    for (uint64_t p = begin; p < end; p++) {
        const uint32_t object = c->uses->object[p];
        es_time from = c->link;
        if (c->here[object])
            continue;
        if (!clair_replace(c, object, &from))
            return false;
        clair_copy(c, object, from);
    }
    c->ended = clair_end(c);
    for (uint64_t p = begin; p < end; p++) {
        es_farthest_add(&c->set, c->uses->next[p]);
        c->free_from[c->uses->object[p]] = c->ended;
    }
    return true;
}

es_code es_clairvoyant_conservative(es_schedule *out, const es_events *events, const es_machine *machine, const es_uses *uses, es_arena *arena, es_err *err)
{
    clair c = {.events = events, .machine = machine, .uses = uses};
    es_code code = clair_open(&c, out, arena, err);
    if (code != ES_OK)
        return code;
    while (c.event < events->count && out->fits) {
        if (clair_resets(&c, c.event)) {
            clair_reset(&c);
            c.link = clair_gate(&c) > c.link ? clair_gate(&c) : c.link;
        }
        out->fits = clair_serve(&c);
        c.event += out->fits;
    }
    clair_done(&c);
    return ES_OK;
}
