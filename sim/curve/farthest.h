/* Farthest: a set of positions, of which the greatest is asked for. A tree of bitmaps, 64 wide: adding and removing nearly always touch
 * one word, and the greatest of some millions is four words away. Positions of next uses are all different, so that a set of them needs
 * no order among equals. */
#ifndef ES_CURVE_FARTHEST_H
#define ES_CURVE_FARTHEST_H

#include <stdbool.h>
#include <stdint.h>

#include "sim/base/arena.h"
#include "sim/base/err.h"

enum { ES_FARTHEST_LEVELS = 6 };        /* 64^6 positions */

typedef struct es_farthest {
    uint32_t levels;
    uint64_t *word[ES_FARTHEST_LEVELS]; /* bit i of a level: word i of the level below is not 0 */
} es_farthest;

/* An empty set of positions below `size`. */
static inline es_code es_farthest_open(es_farthest *set, uint64_t size, es_arena *arena, es_err *err)
{
    *set = (es_farthest){0};
    for (uint64_t words = size / 64 + 1;; words = (words + 63) / 64) {
        if (!(set->word[set->levels++] = ES_NEW_ARRAY(arena, words, uint64_t)))
            return es_err_nomem(err, "the coming uses of what is resident");
        if (words == 1)
            return ES_OK;
    }
}

static inline void es_farthest_add(es_farthest *set, uint64_t at)
{
    for (uint32_t l = 0; l < set->levels; l++, at >>= 6) {
        uint64_t *word = &set->word[l][at >> 6], before = *word;
        *word = before | 1ull << (at & 63);
        if (before)
            return;
    }
}

/* One that is in it. */
static inline void es_farthest_remove(es_farthest *set, uint64_t at)
{
    for (uint32_t l = 0; l < set->levels; l++, at >>= 6) {
        uint64_t *word = &set->word[l][at >> 6];
        *word &= ~(1ull << (at & 63));
        if (*word)
            return;
    }
}

static inline bool es_farthest_empty(const es_farthest *set)
{
    return set->word[set->levels - 1][0] == 0;
}

/* The greatest of a set that is not empty. */
static inline uint64_t es_farthest_top(const es_farthest *set)
{
    uint64_t at = 0;
    for (uint32_t l = set->levels; l-- > 0;)
        at = at * 64 + 63 - (uint64_t)__builtin_clzll(set->word[l][at]);
    return at;
}

#endif
