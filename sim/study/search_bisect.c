/* One range, for each combination of the lists: bisection, and a look at whether the range is monotone at all. See search.h.
 *
 *   1. Both ends are run. If the upper one meets the target and the lower one does not, the interval between is halved until its ends are
 *      neighbours: the upper one is the smallest that meets it, provided that more is never worse.
 *   2. BISECT_PROBES points on either side are run. Of all that were, none that meets the target may lie below one that does not, and no
 *      margin may fall by more than BISECT_SLACK of their span: a cache that grows by a slot may well lose a hit, but not more.
 *   3. Otherwise a grid is run, and the interval between its first point that meets the target and the one below is halved. */
#include <math.h>
#include <string.h>

#include "sim/study/search_inside.h"

enum { BISECT_PROBES = 4 };
#define BISECT_SLACK 0.02

typedef struct bisect {
    search_work *w;
    size_t at[SEARCH_AXES];     /* the combination; of the range whatever was asked last */
    size_t axis;                /* the range */
} bisect;

static es_code bisect_try(bisect *b, size_t i, bool *met, es_err *err)
{
    size_t point;
    b->at[b->axis] = i;
    es_code code = search_try(b->w, b->at, 1.0, &point, err);
    *met = code == ES_OK && b->w->point[point].met && !b->w->point[point].failed;
    return code;
}

/* These of the range will be tried. */
static es_code bisect_ahead(bisect *b, const size_t *i, size_t count, es_err *err)
{
    size_t at[SEARCH_AHEAD][SEARCH_AXES];
    for (size_t k = 0; k < count && k < SEARCH_AHEAD; k++) {
        memcpy(at[k], b->at, sizeof at[k]);
        at[k][b->axis] = i[k];
    }
    return search_ahead(b->w, at, count < SEARCH_AHEAD ? count : SEARCH_AHEAD, 1.0, err);
}

/* `low` does not meet the target, `high` does: makes them neighbours. */
static es_code bisect_halve(bisect *b, size_t low, size_t *high, es_err *err)
{
    es_code code = ES_OK;
    while (code == ES_OK && *high - low > 1) {
        const size_t middle = low + (*high - low) / 2;
        bool met;
        code = bisect_try(b, middle, &met, err);
        if (met)
            *high = middle;
        else
            low = middle;
    }
    return code;
}

static size_t bisect_between(size_t low, size_t high, size_t k)
{
    return low + (high - low) * k / (BISECT_PROBES + 1);
}

static es_code bisect_probe(bisect *b, size_t low, size_t high, es_err *err)
{
    es_code code = ES_OK;
    bool met;
    for (size_t k = 1; k <= BISECT_PROBES && high > low && code == ES_OK; k++)
        code = bisect_try(b, bisect_between(low, high, k), &met, err);
    return code;
}

/* ---- monotone? ---- */

static bool bisect_of(const bisect *b, const search_point *p)
{
    bool same = p->share == 1.0;
    for (size_t i = 0; i < b->w->axes; i++)
        same = same && (i == b->axis || p->at[i] == b->at[i]);
    return same;
}

/* What cannot be run lies below all that can. */
static double bisect_margin(const search_point *p)
{
    return p->failed ? -1e300 : p->margin;
}

static bool bisect_monotone(const bisect *b)
{
    const search_work *w = b->w;
    double least = (double)INFINITY, most = -(double)INFINITY;
    for (size_t i = 0; i < w->points; i++)
        if (bisect_of(b, &w->point[i]) && !w->point[i].failed) {
            least = fmin(least, w->point[i].margin);
            most = fmax(most, w->point[i].margin);
        }
    for (size_t i = 0; i < w->points; i++)
        for (size_t j = 0; j < w->points; j++) {
            const search_point *low = &w->point[i], *high = &w->point[j];
            if (!bisect_of(b, low) || !bisect_of(b, high) || low->at[b->axis] >= high->at[b->axis])
                continue;
            const bool turned = low->met && !low->failed && (!high->met || high->failed);
            if (turned || bisect_margin(high) < bisect_margin(low) - BISECT_SLACK * (most - least))
                return false;
        }
    return true;
}

/* ---- the grid ---- */

static es_code bisect_grid(bisect *b, es_err *err)
{
    const search_axis *axis = &b->w->axis[b->axis];
    const size_t most = 2 * b->w->ask->points, count = axis->count < most ? axis->count : most;
    const size_t ahead = count < SEARCH_AHEAD ? count : SEARCH_AHEAD;
    size_t all[SEARCH_AHEAD] = {0};
    for (size_t i = 0; i < ahead; i++)
        all[i] = search_grid_at(axis, count, i);
    es_code code = bisect_ahead(b, all, ahead, err);
    size_t first = count, before = 0, at = 0;
    for (size_t i = 0; i < count && code == ES_OK; i++) {
        bool met;
        const size_t value = search_grid_at(axis, count, i);
        code = bisect_try(b, value, &met, err);
        if (met && first == count) {
            first = i;
            at = value;
        }
        before = first == count ? value : before;
    }
    return code == ES_OK && first > 0 && first < count ? bisect_halve(b, before, &at, err) : code;
}

/* ---- one combination, all combinations ---- */

static es_code bisect_one(bisect *b, es_err *err)
{
    const size_t last = b->w->axis[b->axis].count - 1;
    bool high_met, low_met;
    es_code code = bisect_ahead(b, (const size_t[]){last, 0}, last > 0 ? 2 : 1, err);
    if (code == ES_OK)
        code = bisect_try(b, last, &high_met, err);
    if (code == ES_OK)
        code = bisect_try(b, 0, &low_met, err);
    if (code)
        return code;
    size_t found = low_met ? 0 : last;
    if (high_met && !low_met)
        code = bisect_halve(b, 0, &found, err);
    size_t probe[2 * BISECT_PROBES];
    for (size_t k = 1; k <= BISECT_PROBES; k++) {
        probe[k - 1] = bisect_between(0, found, k);
        probe[BISECT_PROBES + k - 1] = bisect_between(found, last, k);
    }
    if (code == ES_OK)
        code = bisect_ahead(b, probe, 2 * BISECT_PROBES, err);
    if (code == ES_OK)
        code = bisect_probe(b, 0, found, err);
    if (code == ES_OK)
        code = bisect_probe(b, found, last, err);
    if (code || bisect_monotone(b))
        return code;
    b->w->monotone = 0;
    b->w->method = "grid";
    b->w->note = "more is not always better here, so bisection proves nothing; a grid was run, and what lies between its points is not known";
    return bisect_grid(b, err);
}

es_code search_bisect(search_work *w, es_err *err)
{
    bisect b = {.w = w};
    size_t combinations = 1;
    es_code code = ES_OK;
    w->monotone = 1;
    for (size_t i = 0; i < w->axes; i++) {
        combinations *= w->axis[i].range ? 1 : w->axis[i].count;
        b.axis = w->axis[i].range ? i : b.axis;
    }
    for (size_t c = 0; c < combinations && code == ES_OK; c++) {
        size_t rest = c;
        for (size_t i = w->axes; i-- > 0;)          /* the last list turns fastest */
            if (!w->axis[i].range) {
                b.at[i] = rest % w->axis[i].count;
                rest /= w->axis[i].count;
            }
        code = bisect_one(&b, err);
    }
    return code;
}
