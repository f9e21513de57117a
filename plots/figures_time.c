/* Time: how long tokens take, and where it goes, of runs beside each other. See figures_inside.h. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plots/figures_inside.h"

enum { TIME_CURVES = 8, TIME_BARS = 16, TIME_CAUSES = 48, TIME_SHOWN = 12, TIME_CAUSE = 160, TIME_BINS = 58 * 128 };

/* ---- which points ---- */

typedef struct time_picked {    /* as many points as one figure has room for */
    size_t point[TIME_BARS], count;
    const char *label[TIME_BARS], *where;       /* where: what they have in common; NULL: they are all there are */
    bool repeats;               /* of several replications the first is shown */
} time_picked;

static void time_take(const figures *all, size_t point, const char *label, time_picked *out)
{
    if (out->count > 0 && all->point[out->point[out->count - 1]].combination == all->point[point].combination) {
        out->repeats = true;
        return;
    }
    out->point[out->count] = point;
    out->label[out->count++] = label;
}

/* The x at which most curves have a point, of these the one nearest to the middle. */
static double time_common(const figures_across *across)
{
    double best = 0.0, best_off = INFINITY;
    size_t most = 0;
    for (size_t c = 0; c < across->curves; c++)
        for (size_t i = 0; i < across->curve[c].count; i++) {
            const double x = across->curve[c].x[i], off = fabs((double)i - 0.5 * (double)(across->curve[c].count - 1));
            size_t have = 0;
            for (size_t o = 0; o < across->curves; o++)
                for (size_t k = 0; k < across->curve[o].count; k++)
                    if (across->curve[o].x[k] == x) {
                        have++;
                        break;
                    }
            if (have > most || (have == most && off < best_off)) {
                most = have;
                best = x;
                best_off = off;
            }
        }
    return best;
}

/* Of one curve alone: points spread over all of it. */
static void time_spread(const figures *all, const figures_across *across, size_t most, time_picked *out)
{
    const figures_curve *curve = &across->curve[0];
    const size_t count = curve->count < most ? curve->count : most;
    for (size_t i = 0; i < count; i++) {
        const size_t at = count > 1 ? i * (curve->count - 1) / (count - 1) : 0;
        time_take(all, curve->point[at], all->point[curve->point[at]].label, out);
    }
}

/* All points where there are few, else those of one x: a curve each. */
static es_code time_pick(figures *all, size_t most, time_picked *out, es_err *err)
{
    figures_across across;
    bool fits;
    *out = (time_picked){.count = 0};
    for (size_t i = 0; i < all->points && all->points <= most; i++)
        time_take(all, i, all->point[i].label, out);
    if (all->points <= most)
        return ES_OK;
    es_code code = figures_sort(all, &across, &fits, err);
    if (code || across.curves == 0)
        return code;
    if (across.curves == 1) {
        time_spread(all, &across, most, out);
        return ES_OK;
    }
    const double x = time_common(&across);
    es_text where = {0};
    for (size_t c = 0; c < across.curves && out->count < most; c++)
        for (size_t i = 0; i < across.curve[c].count; i++)
            if (across.curve[c].x[i] == x) {
                time_take(all, across.curve[c].point[i], across.curve[c].label, out);
                out->repeats = out->repeats || (i + 1 < across.curve[c].count && across.curve[c].x[i + 1] == x);
                break;
            }
    es_text_add(&where, "at ");
    if (across.memory)
        figures_say_memory(&where, x, across.unit == PLOT_BYTES);
    else
        es_text_add(&where, "%s %.6g", across.label, x);
    out->where = figures_keep(all, &where);
    return ES_OK;
}

static const char *time_note(figures *all, const time_picked *picked)
{
    es_text note = {0};
    bool future = false;
    for (size_t i = 0; i < picked->count; i++)
        future = future || strstr(picked->label[i], FIGURES_FUTURE);
    es_text_add(&note, "%s%s%s%s%s", all->note, picked->where ? "; " : "", picked->where ? picked->where : "", picked->repeats ? "; the first replication" : "", future ? FIGURES_FUTURE_NOTE : "");
    return figures_keep(all, &note);
}

/* ---- latency ---- */

typedef struct time_bin {
    int64_t low, high, count;
} time_bin;

static const es_h5_column time_columns[] = {
    {"low", ES_H5_I64, offsetof(time_bin, low), 0, NULL, NULL},
    {"high", ES_H5_I64, offsetof(time_bin, high), 0, NULL, NULL},
    {"count", ES_H5_I64, offsetof(time_bin, count), 0, NULL, NULL},
};

/* The bins of /hist/token_latency_ns; *count 0: there are none. */
static es_code time_bins(figures *all, const char *path, time_bin **out, size_t *count, es_err *err)
{
    es_h5 *file = NULL;
    es_h5_data *table = NULL;
    *count = 0;
    es_code code = es_h5_open(&file, path, false, err);
    if (code)
        return code;
    if (es_h5_has(file, "/hist/token_latency_ns")) {
        code = es_h5_table_open(&table, file, "/hist/token_latency_ns", time_columns, 3, sizeof(time_bin), err);
        const uint64_t rows = code == ES_OK ? es_h5_data_dims(table)[0] : 0;
        *count = rows < TIME_BINS ? (size_t)rows : TIME_BINS;
        *out = ES_NEW_ARRAY(&all->arena, *count, time_bin);
        if (code == ES_OK)
            code = *out ? es_h5_table_read(table, 0, *count, *out, err) : es_err_nomem(err, "a histogram");
        es_h5_data_close(table);
    }
    es_h5_close(file, NULL);
    return code;
}

/* What lies between bins holds no sample, so the curve is level there. */
static es_code time_curve(figures *all, const time_bin *bin, size_t bins, const char *label, plot_series *out, es_err *err)
{
    double *x = figures_column(all, 2 * bins + 1), *y = figures_column(all, 2 * bins + 1), sum = 0.0, of = 0.0;
    size_t count = 0;
    if (!x || !y)
        return es_err_nomem(err, "a curve");
    for (size_t i = 0; i < bins; i++)
        of += (double)bin[i].count;
    for (size_t i = 0; i < bins; i++) {
        if (i == 0 || bin[i].low > bin[i - 1].high) {
            x[count] = (double)bin[i].low / 1e9;
            y[count++] = sum / of;
        }
        sum += (double)bin[i].count;
        x[count] = (double)bin[i].high / 1e9;
        y[count++] = sum / of;
    }
    *out = (plot_series){.label = label, .style = PLOT_LINE, .x = x, .y = y, .count = count};
    return ES_OK;
}

static const char *time_latency_title(figures *all, const time_picked *picked)
{
    const figures_point *best = NULL, *worst = NULL;
    const char *best_label = "", *worst_label = "";
    es_text title = {0};
    for (size_t i = 0; i < picked->count; i++) {
        const figures_point *p = &all->point[picked->point[i]];
        if (isfinite(p->p99) && (!best || p->p99 < best->p99)) {
            best = p;
            best_label = picked->label[i];
        }
        if (isfinite(p->p99) && (!worst || p->p99 > worst->p99)) {
            worst = p;
            worst_label = picked->label[i];
        }
    }
    if (!best)
        return "How long tokens take";
    if (best == worst && picked->count > 1) {
        es_text_add(&title, "1 token in 100 takes more than ");
        figures_say_time(&title, best->p99);
        es_text_add(&title, " in all of them");
    } else if (best == worst) {
        es_text_add(&title, "Half of all tokens take ");
        figures_say_time(&title, best->p50);
        es_text_add(&title, " or less, 1 in 100 more than ");
        figures_say_time(&title, best->p99);
    } else {
        es_text_add(&title, "1 token in 100 takes more than ");
        figures_say_time(&title, best->p99);
        es_text_add(&title, " with %s, ", best_label);
        figures_say_time(&title, worst->p99);
        es_text_add(&title, " with %s", worst_label);
    }
    return figures_keep(all, &title);
}

es_code figures_latency(figures *all, es_err *err)
{
    plot_series series[TIME_CURVES];
    time_picked picked;
    size_t count = 0;
    bool files = false;
    es_code code = all->points ? time_pick(all, TIME_CURVES, &picked, err) : ES_OK;
    if (code || all->points == 0)
        return code;
    for (size_t i = 0; i < picked.count && code == ES_OK; i++) {
        const figures_point *p = &all->point[picked.point[i]];
        time_bin *bin;
        size_t bins = 0;
        files = files || p->h5;
        code = p->h5 ? time_bins(all, p->h5, &bin, &bins, err) : ES_OK;
        if (code == ES_OK && bins > 0)
            code = time_curve(all, bin, bins, picked.label[i], &series[count++], err);
    }
    if (code)
        return code;
    if (count == 0)
        return figures_lack(all, "latency", err, files ? "needs time and the observer latency: --set clock=simulated, and without observers of its own a config has it"
                                                       : "needs the result.h5 of a run: `expertsim run --out DIR` keeps it beside result.json");
    const plot_figure figure = {.title = time_latency_title(all, &picked), .note = time_note(all, &picked), .x = {.label = "time of a decode token", .unit = PLOT_SECONDS, .log = true},
        .y = {.label = "tokens that take no longer", .unit = PLOT_SHARE, .low = 0.0, .high = 1.0}, .series = series, .count = count};
    return figures_add(all, "latency", &figure, err);
}

/* ---- where time goes ---- */

typedef struct time_causes {    /* of all points that are shown: whatever names their attribution has */
    char name[TIME_CAUSES][TIME_CAUSE];
    double value[TIME_CAUSES][TIME_BARS];       /* s */
    size_t count;
} time_causes;

/* A cause that finds no place adds to the last. */
static size_t time_cause(time_causes *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->name[i], name) == 0)
            return i;
    if (c->count == TIME_CAUSES)
        return TIME_CAUSES - 1;
    snprintf(c->name[c->count++], TIME_CAUSE, "%s", name);
    return c->count - 1;
}

/* All numbers below, by their paths; what is 0 everywhere has no place in the legend. */
static void time_collect(time_causes *c, const es_json *object, const char *path, size_t bar)
{
    const es_json *one;
    cJSON_ArrayForEach(one, object) {
        char name[TIME_CAUSE];
        snprintf(name, sizeof name, "%.100s%s%.50s", path, *path ? "." : "", one->string ? one->string : "");
        if (cJSON_IsObject(one) && strlen(path) < 100)
            time_collect(c, one, name, bar);
        else if (cJSON_IsNumber(one) && one->valuedouble > 0.0)
            c->value[time_cause(c, name)][bar] += one->valuedouble;
    }
}

/* The largest stay by themselves, the others are one. */
static void time_merge(time_causes *c, size_t bars)
{
    double rest[TIME_BARS] = {0.0};
    if (c->count <= TIME_SHOWN)
        return;
    while (c->count >= TIME_SHOWN) {
        size_t least = 0;
        double least_most = INFINITY;
        for (size_t i = 0; i < c->count; i++) {
            double most = 0.0;
            for (size_t b = 0; b < bars; b++)
                most = fmax(most, c->value[i][b]);
            least = most < least_most ? i : least;
            least_most = fmin(most, least_most);
        }
        for (size_t b = 0; b < bars; b++)
            rest[b] += c->value[least][b];
        c->count--;
        memmove(c->name[least], c->name[least + 1], (c->count - least) * sizeof *c->name);
        memmove(c->value[least], c->value[least + 1], (c->count - least) * sizeof *c->value);
    }
    snprintf(c->name[c->count], TIME_CAUSE, "everything else");
    memcpy(c->value[c->count++], rest, sizeof rest);
}

static double time_total(const time_causes *c, size_t bar)
{
    double sum = 0.0;
    for (size_t i = 0; i < c->count; i++)
        sum += c->value[i][bar];
    return sum;
}

static double time_waits(const time_causes *c, size_t bar)
{
    double sum = 0.0;
    for (size_t i = 0; i < c->count; i++)
        sum += strncmp(c->name[i], "wait.", 5) == 0 ? c->value[i][bar] : 0.0;
    return sum;
}

static const char *time_stalls_title(figures *all, const time_picked *picked, const time_causes *c)
{
    es_text title = {0};
    size_t most = 0, low = 0, high = 0;
    for (size_t i = 1; i < c->count; i++)
        most = c->value[i][0] > c->value[most][0] ? i : most;
    for (size_t b = 1; b < picked->count; b++) {
        low = time_waits(c, b) / time_total(c, b) < time_waits(c, low) / time_total(c, low) ? b : low;
        high = time_waits(c, b) / time_total(c, b) > time_waits(c, high) / time_total(c, high) ? b : high;
    }
    if (picked->count == 1) {
        es_text_add(&title, "%s: ", picked->label[0]);
        figures_say_share(&title, c->value[most][0] / time_total(c, 0));
        es_text_add(&title, " of ");
        figures_say_time(&title, time_total(c, 0));
        es_text_add(&title, " is %s", figures_cause(all, c->name[most]));
    } else {
        es_text_add(&title, "%s waits ", picked->label[high]);
        figures_say_share(&title, time_waits(c, high) / time_total(c, high));
        es_text_add(&title, " of its time for weights, %s ", picked->label[low]);
        figures_say_share(&title, time_waits(c, low) / time_total(c, low));
    }
    return figures_keep(all, &title);
}

static es_code time_stack(figures *all, const time_picked *picked, const time_causes *c, es_err *err)
{
    plot_series series[TIME_SHOWN];
    double *x = figures_column(all, picked->count), *below = figures_column(all, picked->count);
    if (!x || !below)
        return es_err_nomem(err, "a figure");
    for (size_t b = 0; b < picked->count; b++)
        x[b] = (double)b;
    for (size_t i = 0; i < c->count; i++) {
        double *low = figures_column(all, picked->count), *high = figures_column(all, picked->count);
        const char *name = figures_cause(all, c->name[i]);
        if (!low || !high)
            return es_err_nomem(err, "a figure");
        for (size_t b = 0; b < picked->count; b++) {
            low[b] = below[b];
            high[b] = below[b] += c->value[i][b];
        }
        series[i] = (plot_series){.label = name, .style = PLOT_STACK, .x = x, .low = low, .high = high, .count = picked->count};
    }
    const plot_figure figure = {.title = time_stalls_title(all, picked, c), .note = time_note(all, picked), .x = {.label = ""}, .y = {.label = "time of all steps", .unit = PLOT_SECONDS},
        .category = picked->label, .categories = picked->count, .series = series, .count = c->count};
    return figures_add(all, "stalls", &figure, err);
}

es_code figures_stalls(figures *all, es_err *err)
{
    time_picked picked;
    time_causes *causes = ES_NEW(&all->arena, time_causes);
    if (!causes)
        return es_err_nomem(err, "a figure");
    es_code code = all->points ? time_pick(all, TIME_BARS, &picked, err) : ES_OK;
    if (code || all->points == 0)
        return code;
    for (size_t b = 0; b < picked.count; b++)
        time_collect(causes, all->point[picked.point[b]].attribution, "", b);
    if (causes->count == 0)
        return figures_lack(all, "stalls", err, "needs time: --set clock=simulated, with timings of the channels");
    time_merge(causes, picked.count);
    return time_stack(all, &picked, causes, err);
}
