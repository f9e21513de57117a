/* Front: memory against time, the points that no other beats in both, and where the curve bends. See figures_inside.h.
 *
 * The knee is the point of the front farthest below the straight line between its ends, both axes drawn from 0 to 1: as in docs/search.md. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plots/figures_inside.h"

typedef struct front_point {
    double x, y;                /* y: less is better */
    const char *label;
    bool best, knee, causal;
} front_point;

typedef struct front {
    front_point *point;
    size_t count;
    bool in_bytes;
    const char *label, *note;   /* of the y axis */
    plot_unit unit;
    double sign;                /* -1: more is better, and y is drawn with its sign turned back */
} front;

/* ---- the points ---- */

static bool front_point_ok(const front_point *p)
{
    return isfinite(p->x) && isfinite(p->y);
}

static void front_judge(front *f)
{
    for (size_t i = 0; i < f->count; i++) {
        front_point *p = &f->point[i];
        p->best = p->causal && front_point_ok(p);
        for (size_t k = 0; k < f->count && p->best; k++) {
            const front_point *o = &f->point[k];
            if (k != i && o->causal && front_point_ok(o) && o->x <= p->x && o->y <= p->y)
                p->best = !(o->x < p->x || o->y < p->y || k < i);
        }
    }
}

static int front_order(const void *a, const void *b)
{
    const front_point *p = a, *o = b;
    return p->x < o->x ? -1 : p->x > o->x ? 1 : p->y < o->y ? 1 : p->y > o->y ? -1 : 0;
}

/* NULL: fewer than three points are no curve. */
static front_point *front_knee(front *f)
{
    front_point *first = NULL, *last = NULL, *knee = NULL;
    size_t best = 0;
    double most = 0.0;
    for (size_t i = 0; i < f->count; i++)
        if (f->point[i].best) {
            first = first ? first : &f->point[i];
            last = &f->point[i];
            best++;
        }
    for (size_t i = 0; i < f->count && best >= 3; i++) {
        front_point *p = &f->point[i];
        const double across = (p->x - first->x) / (last->x - first->x), down = (p->y - last->y) / (first->y - last->y), below = 1.0 - across - down;
        if (p->best && below > most) {
            most = below;
            knee = p;
        }
    }
    if (knee)
        knee->knee = true;
    return knee;
}

/* Replications of a point are one, at their mean. */
static es_code front_of_points(figures *all, front *f, es_err *err)
{
    bool timed = false;
    f->point = ES_NEW_ARRAY(&all->arena, all->points, front_point);
    if (!f->point)
        return es_err_nomem(err, "a front");
    for (size_t i = 0; i < all->points; i++)
        timed = timed || isfinite(all->point[i].latency);
    f->label = timed ? "mean time of a decode token" : "miss ratio";
    f->unit = timed ? PLOT_SECONDS : PLOT_SHARE;
    f->sign = 1.0;
    f->note = all->note;
    f->in_bytes = true;
    for (size_t i = 0; i < all->points; i++)
        f->in_bytes = f->in_bytes && all->point[i].in_bytes;
    for (size_t i = 0, end; i < all->points; i = end) {
        double sum = 0.0;
        for (end = i; end < all->points && all->point[end].combination == all->point[i].combination; end++)
            sum += timed ? all->point[end].latency : all->point[end].miss;
        f->point[f->count++] = (front_point){.x = f->in_bytes ? all->point[i].memory : all->point[i].room, .y = sum / (double)(end - i), .label = all->point[i].label, .causal = all->point[i].causal};
    }
    return ES_OK;
}

static const char *front_values(figures *all, const es_json *values)
{
    const es_json *one;
    es_text text = {0};
    cJSON_ArrayForEach(one, values)
        es_text_add(&text, "%s%s", text.length ? ", " : "", cJSON_IsString(one) ? one->valuestring : "");
    return figures_keep(all, &text);
}

/* Whatever the search ran in full, and the front that it found. */
static es_code front_of_search(figures *all, const es_json *search, front *f, es_err *err)
{
    const es_json *points = cJSON_GetObjectItemCaseSensitive(search, "points"), *one, *target = es_json_at(search, "targets.0");
    const char *against = figures_word(search, "front.against");
    const bool higher = strcmp(figures_word(search, "front.better"), "higher") == 0;
    es_text note = {0};
    f->point = ES_NEW_ARRAY(&all->arena, cJSON_GetArraySize(points), front_point);
    if (!f->point)
        return es_err_nomem(err, "a front");
    const bool share = strstr(against, "rate") || strstr(against, "coverage");
    f->label = strcmp(against, "latency") == 0 ? "mean time of a decode token" : *against ? against : "metric";
    f->unit = strstr(against, "latency") || strcmp(against, "ttft") == 0 || strcmp(against, "stall") == 0 ? PLOT_SECONDS : share ? PLOT_SHARE : PLOT_NUMBER;
    f->in_bytes = strcmp(figures_word(search, "front.memory_in"), "bytes") == 0;
    f->sign = higher ? -1.0 : 1.0;
    cJSON_ArrayForEach(one, points)
        if (figures_number(one, "share") >= 1.0)
            f->point[f->count++] = (front_point){.x = figures_number(one, "memory"), .y = f->sign * figures_number(one, "against"), .causal = true,
                .label = front_values(all, cJSON_GetObjectItemCaseSensitive(one, "values"))};
    es_text_add(&note, "search, %s: %zu points run%s%s", figures_word(search, "method"), f->count, cJSON_IsString(target) ? "; target " : "",
        cJSON_IsString(target) ? target->valuestring : "");
    f->note = figures_keep(all, &note);
    return ES_OK;
}

/* ---- the figure ---- */

static void front_say_y(const front *f, double y, es_text *out)
{
    if (f->unit == PLOT_SECONDS)
        figures_say_time(out, f->sign * y);
    else if (f->unit == PLOT_SHARE)
        figures_say_share(out, f->sign * y);
    else
        figures_say_number(out, f->sign * y);
}

static const char *front_title(figures *all, const front *f, const front_point *knee)
{
    es_text title = {0};
    const front_point *last = NULL;
    for (size_t i = 0; i < f->count; i++)
        last = f->point[i].best ? &f->point[i] : last;
    if (!knee && last) {
        es_text_add(&title, "Nobody beats %s with ", last->label);
        figures_say_memory(&title, last->x, f->in_bytes);
        es_text_add(&title, " and ");
        front_say_y(f, last->y, &title);
        return figures_keep(all, &title);
    }
    es_text_add(&title, "The knee is at ");
    figures_say_memory(&title, knee->x, f->in_bytes);
    es_text_add(&title, " with ");
    front_say_y(f, knee->y, &title);
    es_text_add(&title, " (%s); all the way to ", knee->label);
    figures_say_memory(&title, last->x, f->in_bytes);
    es_text_add(&title, " it becomes ");
    front_say_y(f, last->y, &title);
    return figures_keep(all, &title);
}

/* Points of one sort as a series. */
static es_code front_series(figures *all, const front *f, int sort, plot_series *out, es_err *err)
{
    double *x = figures_column(all, f->count), *y = figures_column(all, f->count);
    if (!x || !y)
        return es_err_nomem(err, "a figure");
    out->x = x;
    out->y = y;
    out->count = 0;
    for (size_t i = 0; i < f->count; i++) {
        const front_point *p = &f->point[i];
        const bool in = sort == 0 ? p->causal : sort == 1 ? !p->causal : sort == 2 ? p->best : p->knee;
        if (in && front_point_ok(p)) {
            x[out->count] = p->x;
            y[out->count++] = f->sign * p->y;
        }
    }
    return ES_OK;
}

static es_code front_draw(figures *all, front *f, es_err *err)
{
    plot_series series[] = {{.label = "on the front: nobody is better in both", .style = PLOT_STEPS}, {.label = "what was run", .style = PLOT_POINTS},
        {.label = "knows the future", .style = PLOT_POINTS}, {.label = "knee", .style = PLOT_POINTS, .large = true}};
    static const int sort[] = {2, 0, 1, 3};
    plot_series shown[4];
    size_t count = 0;
    qsort(f->point, f->count, sizeof *f->point, front_order);
    front_judge(f);
    front_point *knee = front_knee(f);
    for (size_t i = 0; i < 4; i++) {
        es_code code = front_series(all, f, sort[i], &series[i], err);
        if (code)
            return code;
        if (series[i].count > 0)
            shown[count++] = series[i];
    }
    if (series[1].count == 0)
        return figures_lack(all, "pareto", err, "needs points that know no more than the past, with a time or a miss ratio");
    const plot_figure figure = {.title = front_title(all, f, knee), .note = f->note, .x = {.label = f->in_bytes ? "memory of the serving tier" : "memory of the serving tier, slots",
        .unit = f->in_bytes ? PLOT_BYTES : PLOT_NUMBER}, .y = {.label = f->label, .unit = f->unit}, .series = shown, .count = count};
    return figures_add(all, "pareto", &figure, err);
}

es_code figures_front(figures *all, es_err *err)
{
    const figures_source *search = figures_of(all, FORM_SEARCH);
    front f = {.count = 0};
    if (search) {
        es_code code = front_of_search(all, search->json, &f, err);
        return code ? code : front_draw(all, &f, err);
    }
    bool differs = false;
    for (size_t i = 1; i < all->points; i++)
        differs = differs || all->point[i].memory != all->point[0].memory;
    if (!differs)
        return ES_OK;
    es_code code = front_of_points(all, &f, err);
    return code ? code : front_draw(all, &f, err);
}
