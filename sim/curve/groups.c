/* Groups: see groups.h. The bound of the groups from some one on is the sum of their concave majorants, cut into straight pieces and taken in the order
 * of worth per cost; the pieces of each tail of groups are sorted once, so that a bound is a search in a row of sums. */
#include "sim/curve/groups.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

typedef struct groups_piece {   /* of a majorant */
    double cost, value;
} groups_piece;

typedef struct groups_tail {    /* groups from one on */
    groups_piece *sum;          /* [pieces + 1] of the first so many, the most worth per cost first */
    uint32_t pieces;
} groups_tail;

typedef struct groups_search {
    const es_group *group;
    uint32_t count;
    groups_tail *tail;          /* [count + 1] */
    uint32_t *now;              /* [count] */
    uint64_t tries;
    bool found;                 /* there is a best choice */
    es_groups *best;
} groups_search;

/* The pieces of a group's majorant: one for each thing, and what rises more steeply than what stands before it is joined to that. */
static uint32_t groups_majorant(const es_group *g, groups_piece *piece)
{
    uint32_t pieces = 0;
    for (uint32_t n = 0; n < g->most; n++) {
        groups_piece last = {(double)g->cost, (double)(g->value[n + 1] - g->value[n])};
        for (; pieces > 0 && piece[pieces - 1].value * last.cost <= last.value * piece[pieces - 1].cost; pieces--) {
            last.cost += piece[pieces - 1].cost;
            last.value += piece[pieces - 1].value;
        }
        piece[pieces++] = last;
    }
    return pieces;
}

static int groups_order(const void *a, const void *b)
{
    const groups_piece *x = a, *y = b;
    const double left = x->value * y->cost, right = y->value * x->cost;
    return left < right ? 1 : left > right ? -1 : 0;
}

static bool groups_tails(groups_search *s, es_arena *arena)
{
    size_t all = 0, pieces = 0;
    for (uint32_t g = 0; g < s->count; g++)
        all += s->group[g].most;
    groups_piece *piece = ES_NEW_ARRAY(arena, all, groups_piece), *sorted = ES_NEW_ARRAY(arena, all, groups_piece);
    s->tail = ES_NEW_ARRAY(arena, s->count + 1, groups_tail);
    for (uint32_t g = s->count + 1; piece && sorted && s->tail && g-- > 0;) {
        groups_tail *tail = &s->tail[g];
        pieces += g < s->count ? groups_majorant(&s->group[g], piece + pieces) : 0;
        tail->pieces = (uint32_t)pieces;
        if (!(tail->sum = ES_NEW_ARRAY(arena, pieces + 1, groups_piece)))
            return false;
        memcpy(sorted, piece, pieces * sizeof *piece);
        qsort(sorted, pieces, sizeof *sorted, groups_order);
        for (size_t i = 0; i < pieces; i++)
            tail->sum[i + 1] = (groups_piece){tail->sum[i].cost + sorted[i].cost, tail->sum[i].value + sorted[i].value};
    }
    return piece && sorted && s->tail;
}

/* No choice of the groups from g on that fits is worth more. */
static uint64_t groups_bound(const groups_search *s, uint32_t g, uint64_t capacity)
{
    const groups_tail *tail = &s->tail[g];
    const double left = (double)capacity;
    uint32_t low = 0, high = tail->pieces;
    while (low < high) {
        const uint32_t middle = (low + high + 1) / 2;
        if (tail->sum[middle].cost <= left)
            low = middle;
        else
            high = middle - 1;
    }
    const groups_piece *at = &tail->sum[low];
    double value = at->value;
    if (low < tail->pieces)
        value += (left - at->cost) / (at[1].cost - at->cost) * (at[1].value - at->value);
    return (uint64_t)(value + 1e-6 * (1.0 + value * 1e-6));     /* worth is counted in whole ones; what is added is what sums may have lost */
}

/* Groups below g are chosen and worth `value`. */
static void groups_from(groups_search *s, uint32_t g, uint64_t left, uint64_t value)
{
    const es_group *group = &s->group[g];
    const uint32_t most = left / group->cost < group->most ? (uint32_t)(left / group->cost) : group->most;
    if (g + 1 == s->count) {
        s->now[g] = most;
        if (value + group->value[most] > s->best->value || !s->found) {
            s->best->value = value + group->value[most];
            memcpy(s->best->taken, s->now, s->count * sizeof *s->now);
            s->found = true;
        }
        return;
    }
    for (uint32_t n = most + 1; n-- > 0 && s->tries > 0;) {
        const uint64_t here = value + group->value[n], beyond = left - n * group->cost;
        s->tries--;
        s->now[g] = n;
        if (!s->found || here + groups_bound(s, g + 1, beyond) > s->best->value)
            groups_from(s, g + 1, beyond, here);
    }
}

es_code es_groups_best(const es_group *groups, uint32_t count, uint64_t capacity, uint64_t tries, es_groups *out, es_arena *arena, es_err *err)
{
    groups_search s = {.group = groups, .count = count, .tries = tries, .best = out};
    *out = (es_groups){.taken = ES_NEW_ARRAY(arena, count, uint32_t)};
    s.now = ES_NEW_ARRAY(arena, count, uint32_t);
    if (!out->taken || !s.now || !groups_tails(&s, arena))
        return es_err_nomem(err, "the best choice by size");
    if (count == 0)
        return ES_OK;
    groups_from(&s, 0, capacity, 0);
    out->bound = s.tries > 0 || count == 1 ? out->value : groups_bound(&s, 0, capacity);
    return ES_OK;
}
