/* Against capacity: misses and speed of points, as curves where something goes from left to right, else as bars. See figures_inside.h. */
#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "plots/figures_inside.h"

enum { CAPACITY_BARS = 24 };    /* more have no room for their names */

typedef struct capacity_what {  /* which number of a point, and how it is drawn */
    size_t offset;
    const char *kind, *label;
    plot_unit unit;
} capacity_what;

static double capacity_value(const figures_point *p, const capacity_what *what)
{
    double value;
    memcpy(&value, (const char *)p + what->offset, sizeof value);
    return value;
}

/* ---- replications ---- */

typedef struct capacity_mean {
    double mean, half;          /* of the interval; NaN: there is one alone */
    size_t count;
} capacity_mean;

/* Student's interval of the mean: replications are independent draws. */
static capacity_mean capacity_means(const figures *all, const figures_curve *curve, size_t from, size_t end, const capacity_what *what)
{
    capacity_mean m = {0.0, (double)NAN, end - from};
    double squares = 0.0;
    for (size_t i = from; i < end; i++)
        m.mean += capacity_value(&all->point[curve->point[i]], what) / (double)m.count;
    for (size_t i = from; i < end; i++) {
        const double off = capacity_value(&all->point[curve->point[i]], what) - m.mean;
        squares += off * off;
    }
    if (m.count > 1)
        m.half = gsl_cdf_tdist_Pinv(0.975, (double)m.count - 1.0) * sqrt(squares / (double)(m.count - 1) / (double)m.count);
    return m;
}

typedef struct capacity_line {  /* a curve with its replications made one */
    double *x, *y, *low, *high;
    size_t count, replications; /* the most of any x */
} capacity_line;

static es_code capacity_line_of(figures *all, const figures_curve *curve, const capacity_what *what, capacity_line *out, es_err *err)
{
    *out = (capacity_line){figures_column(all, curve->count), figures_column(all, curve->count), figures_column(all, curve->count), figures_column(all, curve->count), 0, 0};
    if (!out->x || !out->y || !out->low || !out->high)
        return es_err_nomem(err, "a curve");
    for (size_t from = 0, end; from < curve->count; from = end) {
        for (end = from + 1; end < curve->count && curve->x[end] == curve->x[from]; end++)
            ;
        const capacity_mean m = capacity_means(all, curve, from, end, what);
        out->x[out->count] = curve->x[from];
        out->y[out->count] = m.mean;
        out->low[out->count] = m.mean - m.half;
        out->high[out->count++] = m.mean + m.half;
        out->replications = m.count > out->replications ? m.count : out->replications;
    }
    return ES_OK;
}

/* ---- the figure ---- */

typedef struct capacity_lines {
    figures_across across;
    capacity_line line[PLOT_SERIES];
    size_t replications;
} capacity_lines;

static es_code capacity_lines_of(figures *all, const capacity_what *what, capacity_lines *out, es_err *err)
{
    es_code code = ES_OK;
    out->replications = 0;
    for (size_t c = 0; c < out->across.curves && code == ES_OK; c++) {
        code = capacity_line_of(all, &out->across.curve[c], what, &out->line[c], err);
        out->replications = out->line[c].replications > out->replications ? out->line[c].replications : out->replications;
    }
    return code;
}

static const char *capacity_note(figures *all, const capacity_lines *lines)
{
    es_text note = {0};
    es_text_add(&note, "%s", all->note);
    if (lines->replications > 1)
        es_text_add(&note, "; bands: 95 %% of the mean of %zu replications", lines->replications);
    if (lines->across.left_out)
        es_text_add(&note, "; the first %zu curves, without %zu points", lines->across.curves, lines->across.left_out);
    for (size_t c = 0; c < lines->across.curves; c++)
        if (!lines->across.curve[c].causal) {
            es_text_add(&note, FIGURES_FUTURE_NOTE);
            break;
        }
    return figures_keep(all, &note);
}

/* Does the x axis want to be logarithmic? Where its largest is 16 times its least. */
static bool capacity_log(const capacity_lines *lines)
{
    double least = INFINITY, most = 0.0;
    for (size_t c = 0; c < lines->across.curves; c++)
        for (size_t i = 0; i < lines->line[c].count; i++) {
            least = fmin(least, lines->line[c].x[i]);
            most = fmax(most, lines->line[c].x[i]);
        }
    return least > 0.0 && most >= 16.0 * least;
}

/* Belady at each capacity, where the bounds of the points have it and no curve of its own does. */
static bool capacity_belady(figures *all, const capacity_lines *lines, plot_series *out)
{
    static const capacity_what belady = {.offset = offsetof(figures_point, belady_miss)};
    for (size_t c = 0; c < lines->across.curves; c++) {
        const figures_curve *curve = &lines->across.curve[c];
        capacity_line line;
        if (curve->count == 0 || isnan(all->point[curve->point[0]].belady_miss) || capacity_line_of(all, curve, &belady, &line, NULL) != ES_OK)
            continue;
        *out = (plot_series){.label = "Belady (knows the future)", .style = PLOT_BOTH, .x = line.x, .y = line.y, .count = line.count};
        return true;
    }
    return false;
}

static es_code capacity_curves(figures *all, const capacity_what *what, const capacity_lines *lines, const char *title, bool belady, es_err *err)
{
    plot_series series[PLOT_SERIES];
    size_t count = 0;
    bool futures = false;
    for (size_t c = 0; c < lines->across.curves; c++) {
        const capacity_line *line = &lines->line[c];
        futures = futures || !lines->across.curve[c].causal;
        if (line->replications > 1)
            series[count++] = (plot_series){.style = PLOT_BAND, .x = line->x, .low = line->low, .high = line->high, .count = line->count};
        series[count++] = (plot_series){.label = lines->across.curve[c].label, .style = PLOT_BOTH, .x = line->x, .y = line->y, .count = line->count};
    }
    if (belady && !futures && capacity_belady(all, lines, &series[count]))
        count++;
    const plot_figure figure = {.title = title, .note = capacity_note(all, lines),
        .x = {.label = lines->across.label, .unit = lines->across.unit, .log = capacity_log(lines)}, .y = {.label = what->label, .unit = what->unit},
        .series = series, .count = count};
    return figures_add(all, what->kind, &figure, err);
}

static size_t capacity_shown(const figures *all)
{
    return all->points < CAPACITY_BARS ? all->points : CAPACITY_BARS;
}

/* "sweep policies; 30 of 30 points; the first 24; * knows the future" */
static const char *capacity_bars_note(figures *all)
{
    es_text note = {0};
    bool future = false;
    for (size_t i = 0; i < capacity_shown(all); i++)
        future = future || !all->point[i].causal;
    es_text_add(&note, "%s", all->note);
    if (capacity_shown(all) < all->points)
        es_text_add(&note, "; the first %zu are drawn", capacity_shown(all));
    if (future)
        es_text_add(&note, FIGURES_FUTURE_NOTE);
    return figures_keep(all, &note);
}

/* Bars where nothing goes from left to right: a run beside a run. */
static es_code capacity_bars(figures *all, const capacity_what *what, const char *title, bool belady, es_err *err)
{
    const size_t shown = capacity_shown(all);
    const char *category[CAPACITY_BARS];
    double *x = figures_column(all, shown), *y = figures_column(all, shown), *low = figures_column(all, shown);
    bool has = false, bounds = false;
    if (!x || !y || !low)
        return es_err_nomem(err, "a figure");
    for (size_t i = 0; i < shown; i++) {
        const figures_point *p = &all->point[i];
        es_text name = {0};
        es_text_add(&name, "%s%s", p->label, p->causal ? "" : FIGURES_FUTURE);
        category[i] = figures_keep(all, &name);
        x[i] = (double)i;
        y[i] = capacity_value(p, what);
        low[i] = p->belady_miss;
        has = has || isfinite(y[i]);
        bounds = bounds || isfinite(low[i]);
    }
    const plot_series series[] = {
        {.label = belady && bounds ? "as run" : NULL, .style = PLOT_BARS, .x = x, .y = y, .count = shown},
        {.label = "Belady (knows the future)", .style = PLOT_BARS, .x = x, .y = low, .count = shown},
    };
    const plot_figure figure = {.title = title, .note = capacity_bars_note(all), .x = {.label = all->axes && all->points > 1 ? all->axis[0] : ""}, .y = {.label = what->label, .unit = what->unit},
        .category = category, .categories = shown, .series = series, .count = belady && bounds ? 2 : 1};
    if (all->points == 1 && !bounds)
        return figures_lack(all, what->kind, err, "needs something to compare with: several runs, or the bounds of one (--set bounds=true)");
    return has ? figures_add(all, what->kind, &figure, err) : ES_OK;
}

/* ---- titles ---- */

typedef struct capacity_found { /* curves at one x; -1: there is none */
    int best, worst, future;    /* of those that know no more than the past; of the others the best */
    size_t alike;               /* how many more are as good as the best */
    double x, y_best, y_worst, y_future;
} capacity_found;

static double capacity_at(const capacity_line *line, double x)
{
    for (size_t i = 0; i < line->count; i++)
        if (line->x[i] == x)
            return line->y[i];
    return (double)NAN;
}

/* `more`: more is better. */
static capacity_found capacity_look(const capacity_lines *lines, double x, bool more)
{
    capacity_found f = {.best = -1, .worst = -1, .future = -1, .x = x, .y_best = (double)NAN, .y_worst = (double)NAN, .y_future = (double)NAN};
    for (size_t c = 0; c < lines->across.curves; c++) {
        const double y = capacity_at(&lines->line[c], x);
        const bool causal = lines->across.curve[c].causal;
        if (!isfinite(y))
            continue;
        if (!causal && (f.future < 0 || (more ? y > f.y_future : y < f.y_future))) {
            f.future = (int)c;
            f.y_future = y;
        }
        if (causal && f.best >= 0 && y == f.y_best)
            f.alike++;
        if (causal && (f.best < 0 || (more ? y > f.y_best : y < f.y_best))) {
            f.best = (int)c;
            f.y_best = y;
            f.alike = 0;
        }
        if (causal && (f.worst < 0 || (more ? y < f.y_worst : y > f.y_worst))) {
            f.worst = (int)c;
            f.y_worst = y;
        }
    }
    return f;
}

/* How much is there to tell at an x? The best beside the future, or beside the worst. */
static double capacity_tells(const capacity_found *f, bool future)
{
    const double a = future ? f->y_best : fmax(f->y_best, f->y_worst), b = future ? f->y_future : fmin(f->y_best, f->y_worst);
    return (future ? f->future >= 0 && f->best >= 0 : f->best != f->worst) && b > 0.0 ? a / b : 0.0;
}

/* Where most is to be told; false: nowhere. */
static bool capacity_gap(const capacity_lines *lines, bool future, bool more, capacity_found *found)
{
    double most = 0.0;
    for (size_t c = 0; c < lines->across.curves; c++)
        for (size_t i = 0; i < lines->line[c].count; i++) {
            const capacity_found f = capacity_look(lines, lines->line[c].x[i], more);
            const double tells = capacity_tells(&f, future);
            if (tells > most) {
                most = tells;
                *found = f;
            }
        }
    return most > 0.0;
}

static void capacity_say_x(const capacity_lines *lines, double x, es_text *out)
{
    if (lines->across.memory)
        figures_say_memory(out, x, lines->across.unit == PLOT_BYTES);
    else
        es_text_add(out, "%s %.6g", lines->across.label, x);
}

/* The name without what the legend adds to it. */
static void capacity_say_curve(const figures_curve *curve, es_text *out)
{
    const char *added = curve->causal ? NULL : strstr(curve->label, FIGURES_FUTURE);
    es_text_put(out, curve->label, added ? (size_t)(added - curve->label) : strlen(curve->label));
}

/* "lru and 1 more, the best" */
static void capacity_say_best(const capacity_lines *lines, const capacity_found *f, bool best, es_text *out)
{
    capacity_say_curve(&lines->across.curve[f->best], out);
    if (f->alike)
        es_text_add(out, " and %zu more", f->alike);
    if (best && f->y_best != f->y_worst)
        es_text_add(out, ", the best");
}

static const char *capacity_miss_title(figures *all, const capacity_lines *lines)
{
    es_text title = {0};
    capacity_found found = {0};
    const capacity_line *line = &lines->line[0];
    if (capacity_gap(lines, true, false, &found)) {
        capacity_say_best(lines, &found, true, &title);
        es_text_add(&title, " at ");
        capacity_say_x(lines, found.x, &title);
        es_text_add(&title, ": %.1fx the misses of ", found.y_best / found.y_future);
        capacity_say_curve(&lines->across.curve[found.future], &title);
        es_text_add(&title, " (");
        figures_say_share(&title, found.y_best);
        es_text_add(&title, " against ");
        figures_say_share(&title, found.y_future);
        es_text_add(&title, ")");
    } else {
        capacity_say_curve(&lines->across.curve[0], &title);
        es_text_add(&title, ": ");
        figures_say_share(&title, line->y[0]);
        es_text_add(&title, " of lookups miss at ");
        capacity_say_x(lines, line->x[0], &title);
        es_text_add(&title, ", ");
        figures_say_share(&title, line->y[line->count - 1]);
        es_text_add(&title, " at ");
        capacity_say_x(lines, line->x[line->count - 1], &title);
    }
    return figures_keep(all, &title);
}

static const char *capacity_speed_title(figures *all, const capacity_lines *lines)
{
    es_text title = {0};
    capacity_found found = {0};
    const capacity_line *line = &lines->line[0];
    if (capacity_gap(lines, false, true, &found)) {
        capacity_say_best(lines, &found, false, &title);
        es_text_add(&title, " at ");
        capacity_say_x(lines, found.x, &title);
        es_text_add(&title, ": ");
        figures_say_number(&title, found.y_best / found.y_worst);
        es_text_add(&title, "x the speed of ");
        capacity_say_curve(&lines->across.curve[found.worst], &title);
        es_text_add(&title, " (");
        figures_say_number(&title, found.y_best);
        es_text_add(&title, " against ");
        figures_say_number(&title, found.y_worst);
        es_text_add(&title, " tokens/s)");
    } else {
        capacity_say_curve(&lines->across.curve[0], &title);
        es_text_add(&title, ": from ");
        figures_say_number(&title, line->y[0]);
        es_text_add(&title, " tokens/s at ");
        capacity_say_x(lines, line->x[0], &title);
        es_text_add(&title, " to ");
        figures_say_number(&title, line->y[line->count - 1]);
        es_text_add(&title, " at ");
        capacity_say_x(lines, line->x[line->count - 1], &title);
    }
    return figures_keep(all, &title);
}

/* The best and the worst of the bars that are drawn; of those that know no more than the past, where there are any. */
static void capacity_ends(const figures *all, size_t offset, const figures_point **least, const figures_point **most)
{
    const capacity_what what = {.offset = offset};
    bool causal = false;
    for (size_t i = 0; i < capacity_shown(all); i++)
        causal = causal || (all->point[i].causal && isfinite(capacity_value(&all->point[i], &what)));
    *least = *most = NULL;
    for (size_t i = 0; i < capacity_shown(all); i++) {
        const figures_point *p = &all->point[i];
        const double y = capacity_value(p, &what);
        if (!isfinite(y) || (causal && !p->causal))
            continue;
        *least = !*least || y < capacity_value(*least, &what) ? p : *least;
        *most = !*most || y > capacity_value(*most, &what) ? p : *most;
    }
}

/* Of runs beside each other: the one with most misses over its bound, or the worst and the best. */
static const char *capacity_miss_bars_title(figures *all)
{
    es_text title = {0};
    const figures_point *worst, *best;
    capacity_ends(all, offsetof(figures_point, miss), &best, &worst);
    if (!worst)
        return "";
    es_text_add(&title, "%s misses ", worst->label);
    figures_say_share(&title, worst->miss);
    es_text_add(&title, " of %s lookups", worst->decode ? "decode" : "all");
    if (worst->miss != best->miss) {
        es_text_add(&title, ", %s ", best->label);
        figures_say_share(&title, best->miss);
    } else if (worst->belady_miss > 0.0) {
        es_text_add(&title, ", %.1fx as many as Belady (", worst->miss / worst->belady_miss);
        figures_say_share(&title, worst->belady_miss);
        es_text_add(&title, ")");
    }
    return figures_keep(all, &title);
}

static const char *capacity_speed_bars_title(figures *all)
{
    es_text title = {0};
    const figures_point *worst, *best;
    capacity_ends(all, offsetof(figures_point, speed), &worst, &best);
    if (!worst)
        return "";
    es_text_add(&title, "%s makes ", best->label);
    figures_say_number(&title, best->speed);
    es_text_add(&title, " tokens/s");
    if (best->speed != worst->speed)
        es_text_add(&title, ", %.2fx as many as %s", best->speed / worst->speed, worst->label);
    return figures_keep(all, &title);
}

/* ---- the kinds ---- */

static bool capacity_has(const figures *all, const capacity_what *what)
{
    for (size_t i = 0; i < all->points; i++)
        if (isfinite(capacity_value(&all->point[i], what)))
            return true;
    return false;
}

es_code figures_miss_ratio_points(figures *all, es_err *err)
{
    const capacity_what what = {offsetof(figures_point, miss), "miss-ratio", all->points && all->point[0].decode ? "miss ratio, decode" : "miss ratio", PLOT_SHARE};
    capacity_lines lines;
    bool fits;
    if (all->points == 0)
        return ES_OK;
    if (!capacity_has(all, &what))
        return figures_lack(all, what.kind, err, "needs runs of experts; these looked none up");
    es_code code = figures_sort(all, &lines.across, &fits, err);
    if (code || !fits)
        return code ? code : capacity_bars(all, &what, capacity_miss_bars_title(all), true, err);
    code = capacity_lines_of(all, &what, &lines, err);
    return code ? code : capacity_curves(all, &what, &lines, capacity_miss_title(all, &lines), true, err);
}

es_code figures_speed(figures *all, es_err *err)
{
    static const capacity_what what = {offsetof(figures_point, speed), "speed", "decode tokens/s", PLOT_NUMBER};
    capacity_lines lines;
    bool fits;
    if (all->points < 2)
        return ES_OK;
    if (!capacity_has(all, &what))
        return figures_lack(all, what.kind, err, "needs time: --set clock=simulated, with timings of the channels");
    es_code code = figures_sort(all, &lines.across, &fits, err);
    if (code || !fits)
        return code ? code : capacity_bars(all, &what, capacity_speed_bars_title(all), false, err);
    code = capacity_lines_of(all, &what, &lines, err);
    return code ? code : capacity_curves(all, &what, &lines, capacity_speed_title(all, &lines), false, err);
}
