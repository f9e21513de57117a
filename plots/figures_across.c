/* Across: points sorted into curves, by what is drawn from left to right. See figures_inside.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plots/figures_inside.h"

enum { ACROSS_CURVES = 12 };    /* more could not be told apart */

/* ---- what is drawn across ---- */

static size_t across_values(const figures *all, size_t axis)
{
    size_t values = 0;
    for (size_t i = 0; i < all->points; i++) {
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = all->point[k].number[axis] == all->point[i].number[axis];
        values += !seen && isfinite(all->point[i].number[axis]);
    }
    return values;
}

static bool across_is_capacity(const char *axis)
{
    const size_t length = strlen(axis);
    return length >= 8 && strcmp(axis + length - 8, "capacity") == 0;
}

/* -1: there is none. */
static int across_capacity(const figures *all)
{
    for (size_t a = 0; a < all->axes; a++)
        if (!all->repeats[a] && across_is_capacity(all->axis[a]))
            return (int)a;
    return -1;
}

static int across_axis(const figures *all)
{
    int best = -1;
    size_t most = 1;
    for (size_t a = 0; a < all->axes; a++) {
        const size_t values = all->repeats[a] ? 0 : across_values(all, a);
        if (values > most) {
            most = values;
            best = (int)a;
        }
    }
    return best;
}

static bool across_memory_differs(const figures *all)
{
    for (size_t i = 1; i < all->points; i++)
        if (all->point[i].memory != all->point[0].memory || all->point[i].in_bytes != all->point[0].in_bytes)
            return true;
    return false;
}

static bool across_all_bytes(const figures *all)
{
    for (size_t i = 0; i < all->points; i++)
        if (!all->point[i].in_bytes)
            return false;
    return true;
}

/* ---- curves ---- */

static bool across_axis_differs(const figures *all, size_t axis)
{
    for (size_t i = 1; i < all->points; i++)
        if (strcmp(all->point[i].cell[axis], all->point[0].cell[axis]) != 0)
            return true;
    return false;
}

/* What the other axes say of a point; of one curve alone, its policy. */
static const char *across_key(figures *all, const figures_point *p, int across)
{
    es_text key = {0};
    for (size_t a = 0; a < all->axes; a++)
        if ((int)a != across && !all->repeats[a] && across_axis_differs(all, a))
            es_text_add(&key, "%s%s", key.length ? ", " : "", p->cell[a]);
    if (key.length == 0)
        es_text_add(&key, "%s", *p->policy ? p->policy : "run");
    if (!p->causal)
        es_text_add(&key, FIGURES_FUTURE);
    return figures_keep(all, &key);
}

static figures_curve *across_curve(figures_across *across, const char *label)
{
    for (size_t c = 0; c < across->curves; c++)
        if (strcmp(across->curve[c].label, label) == 0)
            return &across->curve[c];
    return NULL;
}

/* Behind those that are not above it, so that replications stay in their order. */
static void across_insert(figures_curve *curve, size_t point, double x)
{
    size_t at = curve->count++;
    for (; at > 0 && curve->x[at - 1] > x; at--) {
        curve->x[at] = curve->x[at - 1];
        curve->point[at] = curve->point[at - 1];
    }
    curve->x[at] = x;
    curve->point[at] = point;
}

static es_code across_fill(figures *all, figures_across *out, int axis, es_err *err)
{
    out->curve = ES_NEW_ARRAY(&all->arena, ACROSS_CURVES, figures_curve);
    if (!out->curve)
        return es_err_nomem(err, "curves");
    for (size_t i = 0; i < all->points; i++) {
        const figures_point *p = &all->point[i];
        const double x = !out->memory ? p->number[axis] : out->unit == PLOT_BYTES ? p->memory : p->room;
        const char *key = across_key(all, p, axis);
        figures_curve *curve = across_curve(out, key);
        const bool full = !curve && out->curves == ACROSS_CURVES;
        out->left_out += full && isfinite(x);
        if (!isfinite(x) || full)
            continue;
        if (!curve) {
            curve = &out->curve[out->curves++];
            *curve = (figures_curve){.label = key, .causal = p->causal, .point = ES_NEW_ARRAY(&all->arena, all->points, size_t), .x = figures_column(all, all->points)};
            if (!curve->point || !curve->x)
                return es_err_nomem(err, "a curve");
        }
        across_insert(curve, i, x);
    }
    return ES_OK;
}

es_code figures_sort(figures *all, figures_across *out, bool *fits, es_err *err)
{
    int axis = across_capacity(all);
    *out = (figures_across){.unit = PLOT_NUMBER};
    *fits = false;
    out->memory = all->points > 1 && across_memory_differs(all) && (axis >= 0 || (all->axes > 0 && strcmp(all->axis[0], "policy") == 0));
    if (out->memory) {
        out->unit = across_all_bytes(all) ? PLOT_BYTES : PLOT_NUMBER;
        out->label = out->unit == PLOT_BYTES ? "capacity" : "capacity, slots";
    } else if ((axis = across_axis(all)) >= 0) {
        out->label = all->axis[axis];
    } else {
        return ES_OK;
    }
    es_code code = across_fill(all, out, axis, err);
    for (size_t c = 0; c < out->curves; c++)
        *fits = *fits || (out->curve[c].count > 1 && out->curve[c].x[0] != out->curve[c].x[out->curve[c].count - 1]);
    return code;
}
