/* Course: what changed while a run went on: where time went, coverage, what tuners turned. See figures_inside.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plots/figures_series.h"

enum { COURSE_RUNS = 4, COURSE_NAMES = 16, COURSE_AREAS = 12, COURSE_NAME = 96 };

static const char *course_note(figures *all, const figures_point *p)
{
    es_text note = {0};
    es_text_add(&note, "%s%s%s", all->points > 1 ? p->label : "", all->points > 1 ? "; " : "", all->note);
    return figures_keep(all, &note);
}

/* ---- where time went ---- */

typedef struct course_areas {   /* one on the other */
    const char *name[SERIES_CAUSES];
    double *value[SERIES_CAUSES];       /* [bins] s */
    double *end, *total;                /* [bins] s */
    size_t count, bins;
} course_areas;

static void course_area(course_areas *a, const char *name, double *value)
{
    double sum = 0.0;
    for (size_t b = 0; b < a->bins; b++)
        sum += value[b];
    if (sum > 0.0 && a->count < SERIES_CAUSES) {
        a->name[a->count] = name;
        a->value[a->count++] = value;
    }
}

typedef struct course_names {
    char at[COURSE_NAMES][COURSE_NAME];
    size_t count;
} course_names;

static bool course_met(void *self, const char *name)
{
    course_names *n = self;
    if (n->count < COURSE_NAMES && strlen(name) < COURSE_NAME)
        snprintf(n->at[n->count++], COURSE_NAME, "%s", name);
    return n->count < COURSE_NAMES;
}

static es_code course_channel(figures *all, es_h5 *file, const char *channel, course_areas *a, es_err *err)
{
    char path[2 * COURSE_NAME];
    series_curve curve;
    es_text name = {0};
    snprintf(path, sizeof path, "/series/channels/%s/wait_ns", channel);
    es_code code = series_load(all, file, path, false, &curve, err);
    for (size_t b = 0; b < curve.count; b++)
        curve.value[b] /= 1e9;
    es_text_add(&name, "waiting for %s", channel);
    const char *kept = figures_keep(all, &name);
    if (code == ES_OK && curve.count == a->bins)
        course_area(a, kept, curve.value);
    return code;
}

/* From the curves that every run has; what they leave of a bin's time is management and the like. */
static es_code course_series(figures *all, es_h5 *file, course_areas *a, es_err *err)
{
    static const struct { const char *path, *name; } own[] = {
        {"/series/dense_ns", "dense compute"}, {"/series/expert_gpu_ns", "experts on the gpu"}, {"/series/expert_cpu_ns", "experts on the cpu"}};
    course_names names = {.count = 0};
    series_curve total;
    es_code code = series_load(all, file, "/series/total_ns", false, &total, err);
    if (code || total.count == 0)
        return code;
    a->bins = total.count;
    a->end = total.end;
    a->total = total.value;
    for (size_t b = 0; b < a->bins; b++)
        a->total[b] /= 1e9;
    for (size_t i = 0; i < sizeof own / sizeof *own && code == ES_OK; i++) {
        series_curve curve;
        code = series_load(all, file, own[i].path, false, &curve, err);
        for (size_t b = 0; b < curve.count; b++)
            curve.value[b] /= 1e9;
        if (code == ES_OK && curve.count == a->bins)
            course_area(a, own[i].name, curve.value);
    }
    if (code == ES_OK)
        code = es_h5_each(file, "/series/channels", course_met, &names, err);
    for (size_t i = 0; i < names.count && code == ES_OK; i++)
        code = course_channel(all, file, names.at[i], a, err);
    return code;
}

/* From the finer causes of observer attribution. */
static es_code course_attribution(figures *all, es_h5 *file, course_areas *a, es_err *err)
{
    series_table *table = ES_NEW(&all->arena, series_table);
    if (!table)
        return es_err_nomem(err, "curves");
    es_code code = series_load_table(all, file, "/attribution/series", table, err);
    if (code || table->count == 0)
        return code;
    a->bins = table->bins;
    a->end = table->end;
    a->total = figures_column(all, a->bins);
    if (!a->total)
        return es_err_nomem(err, "curves");
    for (size_t c = 0; c < table->count; c++) {
        for (size_t b = 0; b < a->bins; b++)
            a->total[b] += table->value[c][b];
        course_area(a, figures_cause(all, table->name[c]), table->value[c]);
    }
    return ES_OK;
}

static double course_sum(const double *value, size_t from, size_t end)
{
    double sum = 0.0;
    for (size_t i = from; i < end; i++)
        sum += value[i];
    return sum;
}

/* The largest stay by themselves, the others are one. */
static es_code course_merge(figures *all, course_areas *a, es_err *err)
{
    double *rest = figures_column(all, a->bins);
    bool merged = a->count > COURSE_AREAS;
    if (!rest)
        return es_err_nomem(err, "curves");
    while (a->count > COURSE_AREAS - 1 && merged) {
        size_t least = 0;
        for (size_t i = 1; i < a->count; i++)
            least = course_sum(a->value[i], 0, a->bins) < course_sum(a->value[least], 0, a->bins) ? i : least;
        for (size_t b = 0; b < a->bins; b++)
            rest[b] += a->value[least][b];
        memmove(&a->name[least], &a->name[least + 1], (a->count - least - 1) * sizeof *a->name);
        memmove(&a->value[least], &a->value[least + 1], (a->count - least - 1) * sizeof *a->value);
        a->count--;
    }
    for (size_t b = 0; b < a->bins && !merged; b++) {
        double known = 0.0;
        for (size_t i = 0; i < a->count; i++)
            known += a->value[i][b];
        rest[b] = fmax(0.0, a->total[b] - known);
    }
    if (course_sum(rest, 0, a->bins) > 1e-6 * course_sum(a->total, 0, a->bins))
        course_area(a, "everything else", rest);
    return ES_OK;
}

/* The cause whose share changes most from the first tenth of the run to its last. */
static const char *course_title(figures *all, const course_areas *a)
{
    const size_t tenth = a->bins < 10 ? 1 : a->bins / 10;
    const double first = course_sum(a->total, 0, tenth), last = course_sum(a->total, a->bins - tenth, a->bins);
    double most = -1.0, from = 0.0, to = 0.0;
    size_t at = 0;
    es_text title = {0};
    for (size_t i = 0; i < a->count; i++) {
        const double begin = course_sum(a->value[i], 0, tenth) / first, end = course_sum(a->value[i], a->bins - tenth, a->bins) / last;
        if (fabs(end - begin) > most) {
            most = fabs(end - begin);
            from = begin;
            to = end;
            at = i;
        }
    }
    es_text_add(&title, "%s %s ", a->name[at], fabs(to - from) < 0.01 ? "stays at" : to < from ? "falls from" : "rises from");
    figures_say_share(&title, from);
    if (fabs(to - from) >= 0.01) {
        es_text_add(&title, " of the time in the first tenth of the run to ");
        figures_say_share(&title, to);
        es_text_add(&title, " in the last");
    } else {
        es_text_add(&title, " of the time from beginning to end");
    }
    figures_begin(&title);
    return figures_keep(all, &title);
}

/* Each bin is drawn from its beginning to its end; the first begins at 0. */
static es_code course_draw(figures *all, const figures_point *p, const course_areas *a, es_err *err)
{
    plot_series series[COURSE_AREAS + 1];
    double *x = figures_column(all, 2 * a->bins), *below = figures_column(all, 2 * a->bins);
    if (!x || !below)
        return es_err_nomem(err, "a figure");
    for (size_t b = 0; b < a->bins; b++) {
        x[2 * b] = b ? a->end[b - 1] : 0.0;
        x[2 * b + 1] = a->end[b];
    }
    for (size_t i = 0; i < a->count; i++) {
        double *low = figures_column(all, 2 * a->bins), *high = figures_column(all, 2 * a->bins);
        if (!low || !high)
            return es_err_nomem(err, "a figure");
        for (size_t k = 0; k < 2 * a->bins; k++) {
            const double share = a->total[k / 2] > 0.0 ? a->value[i][k / 2] / a->total[k / 2] : 0.0;
            low[k] = below[k];
            high[k] = below[k] += share;
        }
        series[i] = (plot_series){.label = a->name[i], .style = PLOT_AREA, .x = x, .low = low, .high = high, .count = 2 * a->bins};
    }
    const plot_figure figure = {.title = course_title(all, a), .note = course_note(all, p), .x = {.label = "simulated time", .unit = PLOT_SECONDS, .low = 0.0, .high = a->end[a->bins - 1]},
        .y = {.label = "share of the time", .unit = PLOT_SHARE, .low = 0.0, .high = 1.0}, .series = series, .count = a->count};
    return figures_add(all, "stalls-time", &figure, err);
}

static es_code course_stalls(figures *all, const figures_point *p, es_h5 *file, es_err *err)
{
    course_areas areas = {.count = 0};
    es_code code = course_attribution(all, file, &areas, err);
    if (code == ES_OK && areas.count == 0)
        code = course_series(all, file, &areas, err);
    if (code || areas.count == 0)
        return code;
    code = course_merge(all, &areas, err);
    return code ? code : course_draw(all, p, &areas, err);
}

/* ---- coverage ---- */

typedef struct course_turn {
    int64_t t_ns, tokens;
    double value;
} course_turn;

static const es_h5_column course_turn_columns[] = {
    {"t_ns", ES_H5_I64, offsetof(course_turn, t_ns), 0, NULL, NULL},
    {"tokens", ES_H5_I64, offsetof(course_turn, tokens), 0, NULL, NULL},
    {"value", ES_H5_F64, offsetof(course_turn, value), 0, NULL, NULL},
};

static es_code course_knob(figures *all, es_h5 *file, const char *name, const plot_series *beside, bool by_tokens, plot_series *out, bool *share, es_err *err)
{
    char path[2 * COURSE_NAME];
    es_h5_data *table = NULL;
    snprintf(path, sizeof path, "/series/knobs/%s", name);
    es_code code = es_h5_table_open(&table, file, path, course_turn_columns, 3, sizeof(course_turn), err);
    const size_t rows = code == ES_OK ? (size_t)es_h5_data_dims(table)[0] : 0;
    course_turn *turn = ES_NEW_ARRAY(&all->arena, rows, course_turn);
    double *x = figures_column(all, rows + 1), *y = figures_column(all, rows + 1);
    if (code == ES_OK)
        code = turn && x && y ? es_h5_table_read(table, 0, rows, turn, err) : es_err_nomem(err, "a curve");
    es_h5_data_close(table);
    *share = true;
    for (size_t i = 0; i < rows && code == ES_OK; i++) {
        x[i] = by_tokens ? (double)turn[i].tokens : (double)turn[i].t_ns / 1e9;
        y[i] = turn[i].value;
        *share = *share && y[i] >= 0.0 && y[i] <= 1.0;
    }
    if (rows > 0) {
        x[rows] = beside->x[beside->count - 1];
        y[rows] = y[rows - 1];
    }
    *out = (plot_series){.label = es_arena_text(&all->arena, name), .style = PLOT_STEPS, .x = x, .y = y, .count = rows ? rows + 1 : 0};
    return code;
}

static es_code course_share(figures *all, es_h5 *file, const char *path, const char *of, const char *label, plot_series *out, bool *by_tokens, es_err *err)
{
    series_curve some, every = {.count = 0};
    es_code code = series_load(all, file, path, false, &some, err);
    if (code == ES_OK)
        code = series_load(all, file, of, false, &every, err);
    for (size_t i = 0; i < some.count && i < every.count; i++)
        some.value[i] = every.value[i] > 0.0 ? some.value[i] / every.value[i] : (double)NAN;
    *by_tokens = some.by_tokens;
    *out = (plot_series){.label = label, .style = PLOT_LINE, .x = some.end, .y = some.value, .count = some.count == every.count ? some.count : 0};
    return code;
}

/* Mean of the first tenth, and of the last. */
static void course_ends(const plot_series *s, double *first, double *last)
{
    const size_t tenth = s->count < 10 ? 1 : s->count / 10;
    *first = course_sum(s->y, 0, tenth) / (double)tenth;
    *last = course_sum(s->y, s->count - tenth, s->count) / (double)tenth;
}

static const char *course_coverage_title(figures *all, const plot_series *told, bool perfect, const plot_series *knob)
{
    es_text title = {0};
    double first, last;
    course_ends(told, &first, &last);
    es_text_add(&title, perfect ? "All experts are there for " : "Resident are ");
    figures_say_share(&title, first);
    es_text_add(&title, perfect ? " of layers at first, for " : " of lookups at first, ");
    figures_say_share(&title, last);
    es_text_add(&title, " at last");
    if (knob)
        es_text_add(&title, "; %s goes from %.3g to %.3g", knob->label, knob->y[0], knob->y[knob->count - 1]);
    return figures_keep(all, &title);
}

static es_code course_coverage(figures *all, const figures_point *p, es_h5 *file, es_err *err)
{
    plot_series series[PLOT_SERIES], other[COURSE_NAMES];
    course_names knobs = {.count = 0};
    size_t count = 1, others = 0;
    bool by_tokens, perfect = false;
    es_code code = course_share(all, file, "/series/hits", "/series/lookups", "hits, of all lookups", &series[0], &by_tokens, err);
    if (code == ES_OK && es_h5_has(file, "/series/perfect"))
        code = course_share(all, file, "/series/perfect", "/series/events", "all experts there, of all layers of steps", &series[count++], &by_tokens, err);
    perfect = count > 1;
    if (code == ES_OK && es_h5_has(file, "/series/zero"))
        code = course_share(all, file, "/series/zero", "/series/events", "none there, of all layers of steps", &series[count++], &by_tokens, err);
    const size_t shares = count;
    if (code == ES_OK)
        code = es_h5_each(file, "/series/knobs", course_met, &knobs, err);
    if (code || series[0].count == 0)
        return code;
    for (size_t i = 0; i < knobs.count && code == ES_OK && count < PLOT_SERIES; i++) {
        bool share;
        plot_series one;
        code = course_knob(all, file, knobs.at[i], &series[0], by_tokens, &one, &share, err);
        if (code == ES_OK && one.count > 0)
            *(share ? &series[count++] : &other[others++]) = one;
    }
    if (code)
        return code;
    const plot_axis x = {.label = by_tokens ? "tokens" : "simulated time", .unit = by_tokens ? PLOT_NUMBER : PLOT_SECONDS, .low = 0.0, .high = series[0].x[series[0].count - 1]};
    const plot_figure figure = {.title = course_coverage_title(all, &series[perfect], perfect, count > shares ? &series[shares] : NULL), .note = course_note(all, p), .x = x,
        .y = {.label = count > shares ? "share, and thresholds" : "share", .unit = PLOT_SHARE, .low = 0.0, .high = 1.0}, .series = series, .count = count};
    code = figures_add(all, "coverage", &figure, err);
    for (size_t i = 0; i < others && code == ES_OK; i++) {
        es_text title = {0};
        es_text_add(&title, "%s goes from %.4g to %.4g", other[i].label, other[i].y[0], other[i].y[other[i].count - 1]);
        const plot_figure turned = {.title = figures_keep(all, &title), .note = course_note(all, p), .x = x, .y = {.label = other[i].label}, .series = &other[i], .count = 1};
        code = figures_add(all, "coverage", &turned, err);
    }
    return code;
}

/* ---- both ---- */

static es_code course_each(figures *all, es_code (*draw)(figures *, const figures_point *, es_h5 *, es_err *), const char *kind, const char *needs, es_err *err)
{
    const size_t before = all->drawings;
    size_t opened = 0;
    es_code code = ES_OK;
    for (size_t i = 0; i < all->points && opened < COURSE_RUNS && code == ES_OK; i++) {
        es_h5 *file = NULL;
        if (!all->point[i].h5)
            continue;
        opened++;
        code = es_h5_open(&file, all->point[i].h5, false, err);
        if (code == ES_OK)
            code = draw(all, &all->point[i], file, err);
        es_h5_close(file, NULL);
    }
    if (code || all->drawings > before || all->points == 0)
        return code;
    return figures_lack(all, kind, err, "%s", opened ? needs : "needs the result.h5 of a run: `expertsim run --out DIR` keeps it beside result.json");
}

es_code figures_stalls_time(figures *all, es_err *err)
{
    return course_each(all, course_stalls, "stalls-time", "needs time and the observer series: --set clock=simulated; without observers of its own a config has it", err);
}

es_code figures_coverage(figures *all, es_err *err)
{
    return course_each(all, course_coverage, "coverage", "needs the observer series; without observers of its own a config has it", err);
}
