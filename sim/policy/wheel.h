/* Wheel: residents in the order of a key that uses only raise: who has the least is next.
 *
 * A use does nothing to the wheel: an object stands in the slot of the key that it had, which is at most that of the key it has.
 *
 *   slot (span of keys)     41   42      43   44 ...    the first that is taken is emptied: whoever belongs further on is put there,
 *   objects                 7    2 9 4        1         and the others become the *few*, by key, of whom the first is next
 *
 * What belongs beyond the last slot stands in the last one. The spans are halved when many come out of a slot whom that would part, and
 * doubled when many have been put beyond the last, or all stand there and none of them comes out. */
#ifndef ES_POLICY_WHEEL_H
#define ES_POLICY_WHEEL_H

#include <stdbool.h>
#include <string.h>

#include "sim/part/policy.h"

enum { WHEEL_SLOTS = 512, WHEEL_MANY = 24 };

#define WHEEL_END UINT32_MAX            /* of a slot's list */
#define WHEEL_FEW (UINT32_MAX - 1)      /* in no slot: one of the few */
#define WHEEL_APART (UINT32_MAX - 2)    /* not there */

typedef struct wheel_use {      /* of an object in a tier */
    int64_t key;                /* whoever uses it raises it here, and tells the wheel nothing */
    uint64_t order;             /* in which it came: decides between equal keys */
    uint64_t count;
    uint32_t next;              /* in its slot, or one of the above */
} wheel_use;

typedef struct wheel_entry {
    int64_t key;                /* as it was when it was put here: at most what it is now */
    uint32_t object;
} wheel_entry;

typedef struct wheel {          /* of a bucket; use, few, most and shift are set, then it is cleared */
    const es_tier_view *tier;
    wheel_use *use;             /* [objects] of its tier, all WHEEL_APART at first */
    wheel_entry *few;           /* [most] from .. to - 1: all with a key below `bound`, by key and order */
    uint32_t from, to, most;
    uint32_t count;             /* in slots */
    int64_t bound;
    int64_t first;              /* the first slot that may be taken; number n is stored at n modulo WHEEL_SLOTS */
    int64_t least;              /* units that any victim frees */
    uint32_t shift;             /* a slot spans so many bits of a key */
    uint32_t beyond;            /* put beyond the last slot since the spans were changed */
    uint32_t passed;            /* slots, since then */
    uint32_t head[WHEEL_SLOTS];
} wheel;

static inline void wheel_free_slots(wheel *w)
{
    for (uint32_t slot = 0; slot < WHEEL_SLOTS; slot++)
        w->head[slot] = WHEEL_END;
}

static inline void wheel_clear(wheel *w)
{
    wheel_free_slots(w);
    w->count = w->from = w->to = 0;
    w->bound = INT64_MIN;
}

static inline uint32_t *wheel_slot(wheel *w, int64_t n)
{
    return &w->head[(uint32_t)n % WHEEL_SLOTS];
}

static inline int64_t wheel_number(const wheel *w, int64_t key)
{
    const int64_t n = key >> w->shift;
    return n < w->first + WHEEL_SLOTS ? n : w->first + WHEEL_SLOTS - 1;
}

/* The slots begin with the first: what belongs before it is of the few. */
static inline void wheel_bound(wheel *w)
{
    const int64_t begin = w->first * ((int64_t)1 << w->shift);
    w->bound = w->bound < begin ? begin : w->bound;
}

/* Its key is not below the bound. */
static inline void wheel_move(wheel *w, uint32_t object, wheel_use *u)
{
    const int64_t n = wheel_number(w, u->key);
    uint32_t *head = wheel_slot(w, n);
    w->beyond += n < u->key >> w->shift;
    u->next = *head;
    *head = object;
}

static inline void wheel_put(wheel *w, uint32_t object)
{
    wheel_move(w, object, &w->use[object]);
    w->count++;
}

/* One more of the few, where it belongs. */
static inline void wheel_sort(wheel *w, uint32_t object)
{
    wheel_use *u = &w->use[object];
    if (w->to == w->most) {
        memmove(w->few, w->few + w->from, (w->to - w->from) * sizeof *w->few);
        w->to -= w->from;
        w->from = 0;
    }
    const wheel_entry *begin = w->few + w->from;
    const int64_t key = u->key;
    wheel_entry *e = w->few + w->to++;
    for (; e > begin && (e[-1].key > key || (e[-1].key == key && w->use[e[-1].object].order > u->order)); e--)
        *e = e[-1];
    *e = (wheel_entry){key, object};
    u->next = WHEEL_FEW;
}

static ES_COLD void wheel_drop(wheel *w, uint32_t i)
{
    w->to--;
    memmove(w->few + i, w->few + i + 1, (w->to - i) * sizeof *w->few);
}

/* Where it belongs by its key: on an empty wheel the first slot is that. */
static inline void wheel_enter(wheel *w, uint32_t object)
{
    if (w->use[object].key < w->bound) {
        wheel_sort(w, object);
        return;
    }
    if (w->count == 0) {
        w->first = w->use[object].key >> w->shift;
        wheel_bound(w);
    }
    wheel_put(w, object);
}

static ES_COLD void wheel_forget(wheel *w, es_oid object)
{
    wheel_use *u = &w->use[object];
    const uint32_t next = u->next;
    if (next == WHEEL_APART)
        return;
    u->next = WHEEL_APART;
    for (uint32_t i = w->from; next == WHEEL_FEW && i < w->to; i++)
        if (w->few[i].object == object) {
            wheel_drop(w, i);
            return;
        }
    for (uint32_t slot = 0; slot < WHEEL_SLOTS; slot++)
        for (uint32_t *link = &w->head[slot]; *link != WHEEL_END; link = &w->use[*link].next)
            if (*link == object) {
                *link = next;
                w->count--;
                return;
            }
}

/* Spans of another size: all in slots are put anew. */
static ES_COLD void wheel_respan(wheel *w, uint32_t shift)
{
    uint32_t all = WHEEL_END;
    int64_t least = INT64_MAX;
    for (uint32_t slot = 0; slot < WHEEL_SLOTS; slot++)
        for (uint32_t object = w->head[slot], next; object != WHEEL_END; object = next) {
            next = w->use[object].next;
            w->use[object].next = all;
            all = object;
            least = w->use[object].key < least ? w->use[object].key : least;
        }
    wheel_free_slots(w);
    w->shift = shift;
    w->first = least >> shift;
    w->count = 0;
    wheel_bound(w);
    for (uint32_t object = all, next; object != WHEEL_END; object = next) {
        next = w->use[object].next;
        wheel_put(w, object);
    }
    w->beyond = w->passed = 0;
}

/* The few take up who belongs in the first slot that is taken; the rest of it is put further on. There is somebody on the wheel. */
static __attribute__((noinline)) void wheel_empty_slot(wheel *w)
{
    int64_t n = w->first, least = INT64_MAX, most = INT64_MIN;      /* keys of who came */
    uint32_t *head, came = 0;
    while (*(head = wheel_slot(w, n)) == WHEEL_END)
        n++;
    const bool last = n - w->first == WHEEL_SLOTS - 1;
    w->passed += (uint32_t)(n - w->first) + 1;
    w->first = n + 1;
    wheel_bound(w);
    const int64_t bound = w->bound;
    uint32_t object = *head;
    *head = WHEEL_END;
    for (uint32_t next; object != WHEEL_END; object = next) {
        wheel_use *u = &w->use[object];
        next = u->next;
        if (u->key >= bound) {
            wheel_move(w, object, u);
            continue;
        }
        wheel_sort(w, object);
        least = u->key < least ? u->key : least;
        most = u->key > most ? u->key : most;
        came++;
    }
    w->count -= came;
    if (w->count == 0)
        return;
    if (came > WHEEL_MANY && w->shift > 0 && least >> (w->shift - 1) != most >> (w->shift - 1))    /* or halves would not part them */
        wheel_respan(w, w->shift - 1);
    else if (w->shift < 50 && ((last && came == 0) || (w->beyond > w->count && w->beyond > w->passed)))
        wheel_respan(w, w->shift + 1);
}

/* A list of who was used once at the same time: one slot has them all. */
static inline void wheel_newcomers(wheel *w, uint32_t object, wheel_use *last, uint32_t count)
{
    const int64_t key = last->key, n = key >> w->shift;
    if (w->count == 0 || key < w->bound || n >= w->first + WHEEL_SLOTS) {
        for (uint32_t next; object != WHEEL_END; object = next) {
            next = w->use[object].next;
            wheel_enter(w, object);
        }
        return;
    }
    uint32_t *head = wheel_slot(w, n);
    last->next = *head;
    *head = object;
    w->count += count;
}

static inline bool wheel_may_leave(const uint64_t *resident, const uint64_t *guard, uint32_t object)
{
    return (resident[object >> 6] & ~guard[object >> 6]) >> (object & 63) & 1;
}

/* The place among the few of who is next, with more of them until somebody may leave; w->to: nobody may. Whose key has grown goes. */
static ES_COLD uint32_t wheel_search(wheel *w, const uint64_t *resident, const uint64_t *guard)
{
    for (uint32_t i = w->from;;) {
        if (i == w->to) {
            const uint32_t seen = i - w->from;
            if (w->count == 0)
                return w->to;
            wheel_empty_slot(w);
            i = w->from + seen;
            continue;
        }
        const wheel_entry e = w->few[i];
        if (w->use[e.object].key != e.key) {
            wheel_drop(w, i);
            wheel_enter(w, e.object);
        } else if (wheel_may_leave(resident, guard, e.object)) {
            return i;
        } else {
            i++;
        }
    }
}

/* Takes who is next; ES_NO_OBJECT: nobody may leave. */
static inline es_oid wheel_take(wheel *w, const uint64_t *resident, const uint64_t *guard)
{
    while (w->from < w->to || w->count > 0) {
        if (w->from == w->to) {
            w->from = w->to = 0;
            wheel_empty_slot(w);
            continue;
        }
        const wheel_entry e = w->few[w->from];
        if (w->use[e.object].key != e.key) {
            w->from++;
            wheel_enter(w, e.object);
            continue;
        }
        if (!wheel_may_leave(resident, guard, e.object))
            break;
        w->from++;
        w->use[e.object].next = WHEEL_APART;
        return e.object;
    }
    const uint32_t i = wheel_search(w, resident, guard);
    if (i == w->to)
        return ES_NO_OBJECT;
    const es_oid object = w->few[i].object;
    wheel_drop(w, i);
    w->use[object].next = WHEEL_APART;
    return object;
}

#endif
