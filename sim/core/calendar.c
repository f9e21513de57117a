/* Calendar: a 4-ary heap of (time, phase, order of adding). See calendar.h.
 *
 * Entry i's children are 4i - 8 ... 4i - 5 with the root at 3, which puts the four children of every entry side by side in 96
 * bytes. The entries behind the last one are sentinels later than everything, so choosing the smallest of four needs no bounds.
 * A pop leaves a hole at the root; in a simulation the next thing is nearly always an addition, which then sifts down from
 * there instead of up from the end, once instead of twice. */
#include "sim/core/calendar.h"

#include <assert.h>

enum { ROOT = 3, PHASE_SHIFT = 60 };

static const es_calendar_entry calendar_sentinel = {ES_NEVER, UINT64_MAX, NULL};

bool es_calendar_init(es_calendar *c, es_arena *arena, uint32_t room)
{
    size_t entries = (size_t)room + ROOT + 8;
    *c = (es_calendar){.entry = ES_NEW_ARRAY(arena, entries, es_calendar_entry), .room = room};
    if (!c->entry)
        return false;
    for (size_t i = 0; i < entries; i++)
        c->entry[i] = calendar_sentinel;
    return true;
}

static inline bool calendar_before(const es_calendar_entry *a, const es_calendar_entry *b)
{
    return (a->at < b->at) | ((a->at == b->at) & (a->order < b->order));
}

static inline void calendar_set(es_calendar *c, uint32_t i, es_calendar_entry e)
{
    c->entry[i] = e;
    e.due->slot = i;
}

static void calendar_down(es_calendar *c, uint32_t i, es_calendar_entry e)
{
    uint32_t end = ROOT + c->count;
    for (;;) {
        uint32_t child = 4 * i - 8;
        if (child >= end)
            break;
        const es_calendar_entry *four = &c->entry[child];
        uint32_t left = calendar_before(&four[1], &four[0]);
        uint32_t right = 2u + calendar_before(&four[3], &four[2]);
        uint32_t least = calendar_before(&four[right], &four[left]) ? right : left;
        if (!calendar_before(&four[least], &e))
            break;
        calendar_set(c, i, four[least]);
        i = child + least;
    }
    calendar_set(c, i, e);
}

static void calendar_up(es_calendar *c, uint32_t i, es_calendar_entry e)
{
    while (i > ROOT) {
        uint32_t parent = (i + 8) / 4;
        if (!calendar_before(&e, &c->entry[parent]))
            break;
        calendar_set(c, i, c->entry[parent]);
        i = parent;
    }
    calendar_set(c, i, e);
}

/* Takes the last entry out of the array and returns it. */
static es_calendar_entry calendar_last(es_calendar *c)
{
    uint32_t last = ROOT + --c->count;
    es_calendar_entry e = c->entry[last];
    c->entry[last] = calendar_sentinel;
    return e;
}

static void calendar_mend(es_calendar *c)
{
    c->hole = false;
    es_calendar_entry e = calendar_last(c);
    if (c->count > 0 && e.due)
        calendar_down(c, ROOT, e);
}

void es_calendar_add(es_calendar *c, es_due *due, es_time at, es_phase phase)
{
    assert(due->slot == 0);
    due->at = at;
    es_calendar_entry e = {at, (uint64_t)phase << PHASE_SHIFT | c->seq++, due};
    if (c->hole) {
        c->hole = false;
        calendar_down(c, ROOT, e);
        return;
    }
    assert(c->count < c->room);
    calendar_up(c, ROOT + c->count++, e);
}

bool es_calendar_cancel(es_calendar *c, es_due *due)
{
    uint32_t i = due->slot;
    if (i == 0)
        return false;
    if (c->hole)
        calendar_mend(c);
    i = due->slot;
    due->slot = 0;
    es_calendar_entry e = calendar_last(c);
    if (e.due == due)
        return true;
    if (i > ROOT && calendar_before(&e, &c->entry[(i + 8) / 4]))
        calendar_up(c, i, e);
    else
        calendar_down(c, i, e);
    return true;
}

es_due *es_calendar_pop(es_calendar *c)
{
    if (c->hole)
        calendar_mend(c);
    if (c->count == 0)
        return NULL;
    es_due *due = c->entry[ROOT].due;
    due->slot = 0;
    c->entry[ROOT].due = NULL;
    c->hole = true;
    return due;
}

bool es_calendar_holds(es_calendar *c, es_time at)
{
    const es_calendar_entry *e = &c->entry[ROOT];
    if (!c->hole)
        return e->at <= at && c->count > 0;
    /* the root is a hole: the earliest is one of its children, which are entries or sentinels */
    e++;
    return (e[0].at <= at) | (e[1].at <= at) | (e[2].at <= at) | (e[3].at <= at);
}
