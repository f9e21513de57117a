/* What memory buys: the points that no other beats in both memory and speed, where the curve bends, and what one GiB more is worth there.
 * See search.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/study/search_inside.h"

#define FRONT_GIB 1073741824.0

void search_tell(const search_work *w, const search_point *p, es_json *out)
{
    es_json *values = es_json_add_object(out, "values");
    for (size_t i = 0; i < w->axes; i++) {
        es_text value = {0};
        search_value(&w->axis[i], p->at[i], &value);
        es_json_add_text(values, w->axis[i].path, value.at);
        es_text_free(&value);
    }
    es_json_add_real(out, "share", p->share);
    if (w->targets)
        es_json_add_bool(out, "met", p->met && !p->failed);
    es_json *metrics = w->targets ? es_json_add_object(out, "metrics") : NULL;
    for (size_t i = 0; i < w->targets; i++)
        es_json_add_real(metrics, w->target[i].formula, p->failed ? (double)NAN : p->metric[i]);
    es_json_add_real(out, "cost", p->cost);
    es_json_add_real(out, "memory", p->memory);
    es_json_add_real(out, "against", p->against);
    if (p->failed)
        es_json_add_text(out, "reason", p->failed);
}

/* ---- the front ---- */

static const search_point *const *front_cast(const void *at)
{
    return at;
}

static int front_order(const void *a, const void *b)
{
    const search_point *x = *front_cast(a), *y = *front_cast(b);
    return x->memory < y->memory ? -1 : x->memory > y->memory;
}

/* Lower is better from here on. */
static double front_loss(const search_work *w, const search_point *p)
{
    return w->against_higher ? -p->against : p->against;
}

/* Is there a point with no more memory and no more loss, and less of one? Of equals the first that was run counts. */
static bool front_beaten(const search_work *w, const search_point *p)
{
    for (size_t i = 0; i < w->points; i++) {
        const search_point *o = &w->point[i];
        if (o == p || o->share < 1.0 || o->failed || isnan(o->against) || o->memory > p->memory || front_loss(w, o) > front_loss(w, p))
            continue;
        if (o->memory < p->memory || front_loss(w, o) < front_loss(w, p) || o < p)
            return true;
    }
    return false;
}

/* Farthest below the straight line from the first to the last point, both axes drawn from 0 to 1 (Satopaa et al. 2011); `count`: it does not
 * bend downwards. */
static size_t front_knee(const search_work *w, const search_point *const *front, size_t count)
{
    size_t knee = count;
    double most = 1e-9;
    if (count < 3)
        return count;
    const double x0 = front[0]->memory, x1 = front[count - 1]->memory, y0 = front_loss(w, front[0]), y1 = front_loss(w, front[count - 1]);
    for (size_t i = 1; i + 1 < count; i++) {
        const double x = (front[i]->memory - x0) / (x1 - x0), y = (y0 - front_loss(w, front[i])) / (y0 - y1);
        if (y - x > most) {
            most = y - x;
            knee = i;
        }
    }
    return knee;
}

void search_front(const search_work *w, es_json *out)
{
    const search_point **front = calloc(w->points + 1, sizeof *front);
    size_t count = 0;
    es_json *told = es_json_add_object(out, "front");
    es_json_add_text(told, "against", w->against_name);
    es_json_add_text(told, "better", w->against_higher ? "higher" : "lower");
    es_json_add_text(told, "memory_in", w->bytes ? "bytes" : "slots");
    es_json *points = es_json_add_array(told, "points");
    for (size_t i = 0; i < w->points && front; i++) {
        const search_point *p = &w->point[i];
        if (p->share == 1.0 && !p->failed && !isnan(p->against) && !isnan(p->memory) && !front_beaten(w, p))
            front[count++] = p;
    }
    if (front)
        qsort(front, count, sizeof *front, front_order);
    const size_t knee = front ? front_knee(w, front, count) : count;
    for (size_t i = 0; i < count; i++) {
        es_json *one = cJSON_CreateObject();
        const double more = i + 1 < count ? front[i + 1]->memory - front[i]->memory : (double)NAN;
        search_tell(w, front[i], one);
        es_json_add_real(one, "per_gib", w->bytes && more > 0.0 ? (front[i + 1]->against - front[i]->against) / more * FRONT_GIB : (double)NAN);
        es_json_add_bool(one, "knee", i == knee);
        if (!cJSON_AddItemToArray(points, one))
            cJSON_Delete(one);
    }
    free(front);
}
