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
    uint32_t *count;            /* [room][words * 64] */
    uint32_t **from;            /* [rows] the counts of the set of the step before; NULL: it was empty or is not held */
    uint64_t *now;              /* [rows][words] used in this step */
    uint32_t *foreseen;         /* [rows][words * 64] count of the transition that leads here from this step's sets; 0: none */
    uint32_t most;              /* the largest of them */
    uint64_t step;              /* whose uses `now` holds */
    bool open;                  /* `now` holds uses that were not folded in */
} es_transition;

static inline es_code es_transition_init(es_transition *t, es_arena *arena, uint32_t rows, uint32_t words, uint32_t room, es_err *err)
{
    const size_t ids = (size_t)words * 64;
    t->rows = rows;
    t->words = words;
    t->room = room;
    for (t->slots = 16; t->slots < 2 * room;)
        t->slots *= 2;
    t->slot = ES_NEW_ARRAY(arena, t->slots, uint32_t);
    t->row = ES_NEW_ARRAY(arena, room, uint32_t);
    t->key = ES_NEW_ARRAY(arena, (size_t)room * words, uint64_t);
    t->count = ES_NEW_ARRAY(arena, room * ids, uint32_t);
    t->from = ES_NEW_ARRAY(arena, rows, uint32_t *);
    t->now = ES_NEW_ARRAY(arena, (size_t)rows * words, uint64_t);
    t->foreseen = ES_NEW_ARRAY(arena, rows * ids, uint32_t);
    if (!t->slot || !t->row || !t->key || !t->count || !t->from || !t->now || !t->foreseen)
        return es_err_nomem(err, "transitions between expert sets");
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

/* The counts that belong to a set of a row; NULL when it is empty or there is no room for it. */
static inline uint32_t *es_transition_counts(es_transition *t, uint32_t row, const uint64_t *set)
{
    uint64_t hash = row, any = 0;
    for (uint32_t w = 0; w < t->words; w++) {
        hash = es_mix(hash ^ set[w]);
        any |= set[w];
    }
    if (!any)
        return NULL;
    uint32_t s = (uint32_t)hash & (t->slots - 1);
    for (; t->slot[s]; s = (s + 1) & (t->slots - 1)) {
        uint32_t i = t->slot[s] - 1;
        if (t->row[i] == row && memcmp(t->key + (size_t)i * t->words, set, t->words * sizeof *set) == 0)
            return t->count + (size_t)i * t->words * 64;
    }
    if (t->sets == t->room)
        return NULL;
    uint32_t i = t->sets++;
    t->slot[s] = i + 1;
    t->row[i] = row;
    memcpy(t->key + (size_t)i * t->words, set, t->words * sizeof *set);
    return t->count + (size_t)i * t->words * 64;
}

/* Writes down what of a row is foreseen; returns the largest count. */
static inline uint32_t es_transition_foresee(const uint32_t *count, uint32_t ids, double near, uint32_t *foreseen)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < ids; i++)
        most = count[i] > most ? count[i] : most;
    if (most == 0)
        return 0;
    const double bound = near * most;
    const uint32_t whole = (uint32_t)bound, least = whole + (whole < bound);   /* an integer is at least `bound` when it is at least this */
    for (uint32_t i = 0; i < ids; i++)
        foreseen[i] = count[i] >= least ? count[i] : 0;
    return most;
}

/* The step is over: learns how it followed the one before, and foresees the next. Ids with at least `near` of the largest count
 * of their set are foreseen. */
static inline void es_transition_fold(es_transition *t, double near)
{
    const uint32_t ids = t->words * 64;
    memset(t->foreseen, 0, (size_t)t->rows * ids * sizeof *t->foreseen);
    t->most = 0;
    for (uint32_t row = 0; row < t->rows; row++) {
        const uint64_t *now = t->now + (size_t)row * t->words;
        uint32_t *count = t->from[row];
        for (uint32_t w = 0; count && w < t->words; w++)
            for (uint64_t left = now[w]; left; left &= left - 1)
                count[w * 64 + (uint32_t)__builtin_ctzll(left)]++;
        t->from[row] = es_transition_counts(t, row, now);
        if (!t->from[row])
            continue;
        uint32_t most = es_transition_foresee(t->from[row], ids, near, t->foreseen + (size_t)row * ids);
        t->most = most > t->most ? most : t->most;
    }
    memset(t->now, 0, (size_t)t->rows * t->words * sizeof *t->now);
    t->open = false;
}

#endif
