/* Grids: all combinations of values, on the whole trace or by successive halving. See search.h.
 *
 * Successive halving (Jamieson and Talwalkar 2016), for a cheapest point that meets a target instead of a best one:
 *   1. All points are run on the first 1/8 of the trace (of small grids: 1/4, 1/2).
 *   2. Half of them stay: half of these the cheapest that meet the target, half those that miss it by least, for the answer lies on the border
 *      between both. The rest is run on twice as much, until the whole trace is reached.
 *   3. By how much a short run was wrong at most is seen on those that were run in full. What was left out, is cheaper than the best and was
 *      short of the target by no more than that is run in full too. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/search_inside.h"

enum { GRID_LEAST = 8 };        /* so many points are run in full at least */

size_t search_grid_at(const search_axis *axis, size_t count, size_t i)
{
    return count >= axis->count || count < 2 ? i : (size_t)floor((double)i * (double)(axis->count - 1) / (double)(count - 1) + 0.5);
}

typedef struct grid {
    search_work *w;
    size_t count[SEARCH_AXES], all;
} grid;

static void grid_make(grid *g, search_work *w)
{
    *g = (grid){.w = w, .all = 1};
    for (size_t i = 0; i < w->axes; i++) {
        g->count[i] = w->axis[i].range && w->axis[i].count > w->ask->points ? w->ask->points : w->axis[i].count;
        g->all *= g->count[i];
    }
}

/* The values of a point by its number; the last axis turns fastest. */
static void grid_at(const grid *g, size_t number, size_t at[SEARCH_AXES])
{
    for (size_t i = g->w->axes; i-- > 0;) {
        at[i] = search_grid_at(&g->w->axis[i], g->count[i], number % g->count[i]);
        number /= g->count[i];
    }
}

static es_code grid_try(const grid *g, size_t number, double share, size_t *point, es_err *err)
{
    size_t at[SEARCH_AXES] = {0};
    grid_at(g, number, at);
    return search_try(g->w, at, share, point, err);
}

es_code search_grid(search_work *w, es_err *err)
{
    grid g;
    size_t point, at[SEARCH_AHEAD][SEARCH_AXES] = {{0}};
    es_code code = ES_OK;
    grid_make(&g, w);
    for (size_t i = 0; i < g.all && code == ES_OK; i++) {
        if (i % SEARCH_AHEAD == 0) {
            const size_t left = g.all - i, some = left < SEARCH_AHEAD ? left : SEARCH_AHEAD;
            for (size_t k = 0; k < some; k++)
                grid_at(&g, i + k, at[k]);
            code = search_ahead(w, at, some, 1.0, err);
        }
        if (code == ES_OK)
            code = grid_try(&g, i, 1.0, &point, err);
    }
    return code;
}

/* ---- successive halving ---- */

typedef struct grid_entry {
    size_t number;              /* of the point in the grid */
    double share, margin, cost; /* of its last run */
    bool met, failed;
} grid_entry;

static es_code halve_try(const grid *g, grid_entry *e, double share, es_err *err)
{
    size_t point;
    es_code code = grid_try(g, e->number, share, &point, err);
    if (code)
        return code;
    const search_point *p = &g->w->point[point];
    e->share = share;
    e->margin = p->margin;
    e->cost = p->cost;
    e->met = p->met && !p->failed;
    e->failed = p->failed != NULL;
    return ES_OK;
}

static es_code halve_all(const grid *g, grid_entry *e, size_t count, double share, es_err *err)
{
    size_t at[SEARCH_AHEAD][SEARCH_AXES] = {{0}};
    es_code code = ES_OK;
    for (size_t i = 0; i < count && code == ES_OK; i++) {
        if (i % SEARCH_AHEAD == 0) {
            const size_t left = count - i, some = left < SEARCH_AHEAD ? left : SEARCH_AHEAD;
            for (size_t k = 0; k < some; k++)
                grid_at(g, e[i + k].number, at[k]);
            code = search_ahead(g->w, at, some, share, err);
        }
        if (code == ES_OK)
            code = halve_try(g, &e[i], share, err);
    }
    return code;
}

/* Those that meet the target first, the cheapest first of all; then those that miss it, the nearest first; then what cannot be run. */
static int halve_order(const void *a, const void *b)
{
    const grid_entry *x = a, *y = b;
    if (x->failed != y->failed)
        return x->failed ? 1 : -1;
    if (x->met != y->met)
        return x->met ? -1 : 1;
    const double left = x->met ? x->cost : -x->margin, right = y->met ? y->cost : -y->margin;
    if (left != right)
        return left < right ? -1 : 1;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* Puts those that stay before the others; returns how many. */
static size_t halve_keep(grid_entry *e, size_t count, size_t least)
{
    size_t met = 0, keep = (count + 1) / 2;
    keep = keep < least ? (least < count ? least : count) : keep;
    qsort(e, count, sizeof *e, halve_order);
    while (met < count && e[met].met)
        met++;
    size_t above = (keep + 1) / 2, below = keep - above;
    if (met < above) {
        below += above - met;
        above = met;
    } else if (count - met < below) {
        above += below - (count - met);
        below = count - met;
    }
    for (size_t i = 0; i < below; i++) {        /* the nearest that miss it change places with met ones that leave */
        grid_entry other = e[above + i];
        e[above + i] = e[met + i];
        e[met + i] = other;
    }
    return above + below;
}

/* The most by which a short run of one that was run in full was off. */
static double halve_error(const search_work *w)
{
    double most = 0.0;
    for (size_t i = 0; i < w->points; i++)
        for (size_t j = 0; j < w->points; j++) {
            const search_point *full = &w->point[i], *part = &w->point[j];
            if (full->share == 1.0 && part->share < 1.0 && !full->failed && !part->failed && memcmp(full->at, part->at, sizeof full->at) == 0)
                most = fmax(most, fabs(full->margin - part->margin));
        }
    return most;
}

/* What was left out, but might be the answer for all that is known. */
static es_code halve_rescue(const grid *g, grid_entry *e, size_t count, es_err *err)
{
    const search_work *w = g->w;
    const double error = halve_error(w);
    es_code code = ES_OK;
    for (size_t i = 0; i < count && code == ES_OK; i++) {
        const size_t best = search_best(w);
        const bool cheaper = best == w->points || e[i].cost <= w->point[best].cost;
        if (e[i].share < 1.0 && !e[i].failed && cheaper && e[i].margin >= -error)
            code = halve_try(g, &e[i], 1.0, err);
    }
    return code;
}

es_code search_halve(search_work *w, es_err *err)
{
    grid g;
    grid_make(&g, w);
    grid_entry *e = calloc(g.all + 1, sizeof *e);
    double share = 1.0;
    es_code code = e ? ES_OK : es_err_nomem(err, "the grid");
    for (size_t left = g.all; left > GRID_LEAST && share > 0.125; left = (left + 1) / 2)
        share /= 2.0;
    for (size_t i = 0; i < g.all && e; i++)
        e[i].number = i;
    for (size_t count = g.all; code == ES_OK; share *= 2.0) {
        code = halve_all(&g, e, count, share, err);
        if (share >= 1.0)
            break;
        count = code == ES_OK ? halve_keep(e, count, GRID_LEAST) : count;
    }
    if (code == ES_OK)
        code = halve_rescue(&g, e, g.all, err);
    w->note = "points were compared on shorter parts of the trace first; what is told was run on all of it";
    free(e);
    return code;
}
