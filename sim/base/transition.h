/* Transition: which set of ids follows which, counted per row from one step to the next.
 *
 * A row is a layer, an id an expert, a step a token. For each row: (set of the step before) -> how often each id followed it.
 * Sets are found by hashing in a table of fixed size; once it is full, sets not seen before are not learned. For top-1 routing
 * sets are single experts and few; with k experts a set rarely comes back, and there is little to learn.
 *
 *   es_transition_add ... add   what a step uses      es_transition_fold   the step is over: learn, foresee */
#ifndef ES_BASE_TRANSITION_H
#define ES_BASE_TRANSITION_H

#include <stdbool.h>
#include <string.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"
#include "sim/base/rng.h"

typedef struct es_transition {
    uint32_t rows, words;       /* rows; words of 64 ids in a row */
    uint32_t room, sets;        /* sets that can be held; sets held */
    uint32_t slots;             /* of the hash table, a power of two of at least 2 * room */
    uint32_t *slot;             /* [slots] set + 1; 0: free */
    uint32_t *row;              /* [room] */
    uint64_t *key;              /* [room][words] */
    uint32_t *count;            /* [room + 1][words * 64] the last: nothing follows */
    uint32_t *top;              /* [room + 1] the largest of a set's counts */
    uint64_t *now;              /* [rows][words] used in this step */
    uint32_t *set;              /* [rows] the set of the last step; `room` when it was empty or is not held */
    const uint32_t **next;      /* [rows * words] its counts */
    uint32_t *least;            /* [rows * words] from which on they are foreseen */
    uint32_t most;              /* the largest that is foreseen */
    uint64_t step;              /* whose uses `now` holds */
    bool open;                  /* `now` holds uses that were not folded in */
} es_transition;

static inline es_code es_transition_init(es_transition *t, es_arena *arena, uint32_t rows, uint32_t words, uint32_t room, es_err *err)
{
    t->rows = rows;
    t->words = words;
    t->room = room;
    for (t->slots = 16; t->slots < 2 * room;)
        t->slots *= 2;
    t->slot = ES_NEW_ARRAY(arena, t->slots, uint32_t);
    t->row = ES_NEW_ARRAY(arena, room, uint32_t);
    t->key = ES_NEW_ARRAY(arena, (size_t)room * words, uint64_t);
    t->count = ES_NEW_ARRAY(arena, ((size_t)room + 1) * words * 64, uint32_t);
    t->top = ES_NEW_ARRAY(arena, (size_t)room + 1, uint32_t);
    t->now = ES_NEW_ARRAY(arena, (size_t)rows * words, uint64_t);
    t->set = ES_NEW_ARRAY(arena, rows, uint32_t);
    t->next = ES_NEW_ARRAY(arena, (size_t)rows * words, const uint32_t *);
    t->least = ES_NEW_ARRAY(arena, (size_t)rows * words, uint32_t);
    if (!t->slot || !t->row || !t->key || !t->count || !t->top || !t->now || !t->set || !t->next || !t->least)
        return es_err_nomem(err, "transitions between expert sets");
    for (uint32_t r = 0; r < rows; r++)
        t->set[r] = room;
    for (size_t w = 0; w < (size_t)rows * words; w++) {
        t->next[w] = t->count + (size_t)room * words * 64;
        t->least[w] = 1;
    }
    return ES_OK;
}

/* Is a step over that was not folded in, because `step` is another? */
static inline bool es_transition_over(const es_transition *t, uint64_t step)
{
    return t->open && step != t->step;
}

/* The step uses these ids of a row, given as a mask. The step before must have been folded in. */
static inline void es_transition_add(es_transition *t, uint64_t step, uint32_t row, const uint64_t *mask)
{
    t->step = step;
    t->open = true;
    for (uint32_t w = 0; w < t->words; w++)
        t->now[(size_t)row * t->words + w] |= mask[w];
}

static inline bool es_transition_is(const es_transition *t, uint32_t i, uint32_t row, const uint64_t *set)
{
    const uint64_t *key = t->key + (size_t)i * t->words;
    bool same = t->row[i] == row;
    for (uint32_t w = 0; same && w < t->words; w++)
        same = key[w] == set[w];
    return same;
}

/* The set of a row; `room` when it is empty or there is no room for it. */
static inline uint32_t es_transition_set(es_transition *t, uint32_t row, const uint64_t *set)
{
    uint64_t hash = row, any = 0;
    for (uint32_t w = 0; w < t->words; w++) {
        hash = es_mix(hash ^ set[w]);
        any |= set[w];
    }
    if (!any)
        return t->room;
    uint32_t s = (uint32_t)hash & (t->slots - 1);
    for (; t->slot[s]; s = (s + 1) & (t->slots - 1))
        if (es_transition_is(t, t->slot[s] - 1, row, set))
            return t->slot[s] - 1;
    if (t->sets == t->room)
        return t->room;
    t->row[t->sets] = row;
    memcpy(t->key + (size_t)t->sets * t->words, set, t->words * sizeof *set);
    t->slot[s] = t->sets + 1;
    return t->sets++;
}

/* This step followed that set of a row. */
static inline void es_transition_learn(es_transition *t, uint32_t set, const uint64_t *now)
{
    uint32_t *count = t->count + (size_t)set * t->words * 64, top = t->top[set];
    for (uint32_t w = 0; w < t->words; w++, count += 64)
        for (uint64_t left = now[w]; left; left &= left - 1) {
            uint32_t n = ++count[__builtin_ctzll(left)];
            top = n > top ? n : top;
        }
    t->top[set] = top;
}

/* The step is over: learns how it followed the one before, and foresees the next. Ids with at least `near` of the largest count
 * of their set are foreseen. */
static inline void es_transition_fold(es_transition *t, double near)
{
    t->most = 0;
    for (uint32_t row = 0; row < t->rows; row++) {
        uint64_t *now = t->now + (size_t)row * t->words;
        if (t->set[row] < t->room)
            es_transition_learn(t, t->set[row], now);
        uint32_t set = t->set[row] = es_transition_set(t, row, now), top = t->top[set];
        const double bound = near * top;
        const uint32_t whole = (uint32_t)bound, least = whole + (whole < bound);    /* a whole number is >= bound when it is >= least */
        t->most = top > t->most ? top : t->most;
        for (uint32_t w = 0; w < t->words; w++) {
            t->next[row * t->words + w] = t->count + ((size_t)set * t->words + w) * 64;
            t->least[row * t->words + w] = least > 0 ? least : 1;
            now[w] = 0;
        }
    }
    t->open = false;
}

/* How often the last step's set of its row was followed by this id, which is bit `id & 63` of word `id >> 6` over all rows; 0: not
 * often enough to be foreseen. */
static inline uint32_t es_transition_foreseen(const es_transition *t, uint32_t id)
{
    uint32_t count = t->next[id >> 6][id & 63];
    return count >= t->least[id >> 6] ? count : 0;
}

#endif
