/* Spans: a stretch of addresses cut into used and free pieces, as the free list of a heap keeps them.
 *
 * All pieces hang on one list in the order of their addresses, so a piece that is given back finds its neighbours at once and becomes
 * one with those that are free. The free ones also stand in a treap by address (Seidel and Aragon 1996; the priority is a hash of
 * the address, so the tree's shape depends on what is free, not on how it came about) in which every node knows the largest piece
 * below it: the lowest address that fits is found in O(log n), and the largest free piece is known at the root.
 *
 * Several stretches take their nodes from one pool, made once. Piece 0 is none. */
#ifndef ES_ALLOC_SPANS_H
#define ES_ALLOC_SPANS_H

#include "sim/part/part.h"

typedef struct span {
    int64_t at, bytes;
    int64_t widest;             /* of the free pieces in its subtree */
    uint32_t left, right;       /* in the tree */
    uint32_t before, after;     /* in order of address; of a vacant node, the next vacant one */
    uint32_t owner;             /* whose it is, as the caller said */
    bool used;
} span;

typedef struct span_pool {
    span *at;                   /* [room]; at[0] is nobody's */
    uint32_t vacant;
} span_pool;

typedef struct spans {
    span_pool *pool;
    int64_t bytes, free;
    uint32_t root;              /* of the free pieces */
    uint32_t first;             /* lowest address */
    uint32_t used;              /* pieces in use */
} spans;

/* For `pieces` in use at once over `stretches`: no two free pieces are neighbours. false: no memory. */
static inline bool span_pool_init(span_pool *pool, uint32_t pieces, uint32_t stretches, es_arena *arena)
{
    const uint32_t room = 2 * pieces + stretches + 2;
    pool->at = ES_NEW_ARRAY(arena, room, span);
    if (!pool->at)
        return false;
    for (uint32_t i = 1; i + 1 < room; i++)
        pool->at[i].after = i + 1;
    pool->vacant = 1;
    return true;
}

/* ---- the tree ---- */

static inline void spans_pull(span *s, uint32_t i)
{
    int64_t widest = s[i].bytes;
    if (s[s[i].left].widest > widest)
        widest = s[s[i].left].widest;
    if (s[s[i].right].widest > widest)
        widest = s[s[i].right].widest;
    s[i].widest = widest;
}

/* Everything in a lies before everything in b. */
static inline uint32_t spans_join(span *s, uint32_t a, uint32_t b)
{
    if (!a || !b)
        return a ? a : b;
    if (es_mix((uint64_t)s[a].at) > es_mix((uint64_t)s[b].at)) {
        s[a].right = spans_join(s, s[a].right, b);
        spans_pull(s, a);
        return a;
    }
    s[b].left = spans_join(s, a, s[b].left);
    spans_pull(s, b);
    return b;
}

/* Cuts a tree into what lies below an address, and the rest. */
static inline void spans_split(span *s, uint32_t tree, int64_t at, uint32_t *below, uint32_t *rest)
{
    if (!tree) {
        *below = *rest = 0;
        return;
    }
    if (s[tree].at < at) {
        spans_split(s, s[tree].right, at, &s[tree].right, rest);
        *below = tree;
    } else {
        spans_split(s, s[tree].left, at, below, &s[tree].left);
        *rest = tree;
    }
    spans_pull(s, tree);
}

static inline void spans_hang(spans *h, uint32_t i)
{
    span *s = h->pool->at;
    uint32_t below, rest;
    s[i].left = s[i].right = 0;
    s[i].used = false;
    spans_pull(s, i);
    spans_split(s, h->root, s[i].at, &below, &rest);
    h->root = spans_join(s, spans_join(s, below, i), rest);
}

static inline void spans_unhang(spans *h, uint32_t i)
{
    span *s = h->pool->at;
    uint32_t below, itself, rest;
    spans_split(s, h->root, s[i].at, &below, &rest);
    spans_split(s, rest, s[i].at + 1, &itself, &rest);
    h->root = spans_join(s, below, rest);
}

/* ---- the list ---- */

/* A vacant node, put before piece i. */
static inline uint32_t spans_insert(spans *h, uint32_t i)
{
    span *s = h->pool->at;
    const uint32_t fresh = h->pool->vacant;
    h->pool->vacant = s[fresh].after;
    s[fresh].after = i;
    s[fresh].before = s[i].before;
    if (s[i].before)
        s[s[i].before].after = fresh;
    else
        h->first = fresh;
    s[i].before = fresh;
    return fresh;
}

static inline void spans_remove(spans *h, uint32_t i)
{
    span *s = h->pool->at;
    if (s[i].before)
        s[s[i].before].after = s[i].after;
    else
        h->first = s[i].after;
    if (s[i].after)
        s[s[i].after].before = s[i].before;
    s[i].after = h->pool->vacant;
    h->pool->vacant = i;
}

/* ---- what an allocator does ---- */

static inline void spans_begin(spans *h, span_pool *pool, int64_t bytes)
{
    const uint32_t whole = pool->vacant;
    *h = (spans){.pool = pool, .bytes = bytes, .free = bytes, .first = whole};
    pool->vacant = pool->at[whole].after;
    pool->at[whole] = (span){.bytes = bytes};
    spans_hang(h, whole);
}

static inline int64_t spans_largest(const spans *h)
{
    return h->pool->at[h->root].widest;
}

/* The piece at the lowest address that is large enough, cut to size; 0: there is none. */
static inline uint32_t spans_take(spans *h, int64_t bytes, uint32_t owner)
{
    span *s = h->pool->at;
    uint32_t i = h->root;
    if (s[i].widest < bytes)
        return 0;
    while (s[s[i].left].widest >= bytes || s[i].bytes < bytes)
        i = s[s[i].left].widest >= bytes ? s[i].left : s[i].right;
    spans_unhang(h, i);
    if (s[i].bytes > bytes) {
        const uint32_t rest = i;
        i = spans_insert(h, rest);
        s[i].at = s[rest].at;
        s[i].bytes = bytes;
        s[rest].at += bytes;
        s[rest].bytes -= bytes;
        spans_hang(h, rest);
    }
    s[i].used = true;
    s[i].owner = owner;
    h->free -= bytes;
    h->used++;
    return i;
}

/* Gives a piece back, and makes it one with the free ones beside it. */
static inline void spans_give(spans *h, uint32_t i)
{
    span *s = h->pool->at;
    h->free += s[i].bytes;
    h->used--;
    const uint32_t next = s[i].after;
    if (next && !s[next].used) {
        spans_unhang(h, next);
        s[i].bytes += s[next].bytes;
        spans_remove(h, next);
    }
    const uint32_t last = s[i].before;
    if (last && !s[last].used) {
        spans_unhang(h, last);
        s[i].at = s[last].at;
        s[i].bytes += s[last].bytes;
        spans_remove(h, last);
    }
    spans_hang(h, i);
}

/* Slides the used pieces down to the lowest addresses, in their order, and tells of each that moved. */
static inline void spans_slide(spans *h, void (*moved)(void *self, const span *piece), void *self)
{
    span *s = h->pool->at;
    int64_t at = 0;
    uint32_t last = 0;
    for (uint32_t i = h->first, next; i; i = next) {
        next = s[i].after;
        if (!s[i].used) {
            spans_remove(h, i);
            continue;
        }
        const int64_t from = s[i].at;
        s[i].at = at;
        at += s[i].bytes;
        last = i;
        if (from != s[i].at)
            moved(self, &s[i]);
    }
    h->root = 0;
    if (h->free == 0)
        return;
    const uint32_t whole = h->pool->vacant;
    h->pool->vacant = s[whole].after;
    s[whole] = (span){.at = at, .bytes = h->free, .before = last};
    if (last)
        s[last].after = whole;
    else
        h->first = whole;
    spans_hang(h, whole);
}

#endif
