/* Curves: what one pass over a trace says of every capacity, as `expertsim mrc` keeps it. See figures_inside.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plots/figures_inside.h"

enum { CURVES_LINES = 24, CURVES_POINTS = 64, CURVES_COLUMNS = 64 };

typedef struct curves_line {    /* rows of one policy, made in one way */
    const char *policy, *made;
    double *x, *miss;
    size_t count, room;
} curves_line;

typedef struct curves {
    const es_json *json;
    curves_line line[CURVES_LINES];
    size_t lines;
    bool in_bytes, per_layer;
    const char *note, *scope;
} curves;

static bool curves_own(const curves_line *line)
{
    return strcmp(line->made, "config") == 0;
}

static curves_line *curves_find(curves *c, const char *policy, const char *made)
{
    for (size_t i = 0; i < c->lines; i++)
        if (strcmp(c->line[i].policy, policy) == 0 && strcmp(c->line[i].made, made) == 0)
            return &c->line[i];
    if (c->lines == CURVES_LINES)
        return NULL;
    c->line[c->lines] = (curves_line){.policy = policy, .made = made};
    return &c->line[c->lines++];
}

static es_code curves_rows(figures *all, curves *c, es_err *err)
{
    const es_json *row, *rows = cJSON_GetObjectItemCaseSensitive(c->json, "rows");
    for (int pass = 0; pass < 2; pass++) {
        cJSON_ArrayForEach(row, rows) {
            curves_line *line = curves_find(c, figures_word(row, "policy"), figures_word(row, "made"));
            const double accesses = figures_number(row, "accesses");
            if (!line)
                continue;
            if (pass == 0) {
                line->room++;
                continue;
            }
            line->x[line->count] = figures_number(row, "capacity");
            line->miss[line->count++] = accesses > 0.0 ? 1.0 - figures_number(row, "hits") / accesses : (double)NAN;
        }
        for (size_t i = 0; i < c->lines && pass == 0; i++) {
            c->line[i].x = figures_column(all, c->line[i].room);
            c->line[i].miss = figures_column(all, c->line[i].room);
            if (!c->line[i].x || !c->line[i].miss)
                return es_err_nomem(err, "curves");
        }
    }
    return ES_OK;
}

static es_code curves_open(figures *all, const es_json *json, const char *scope, curves *c, es_err *err)
{
    const es_json *row = cJSON_GetArrayItem(cJSON_GetObjectItemCaseSensitive(json, "rows"), 0);
    const char *trace = figures_word(json, "trace"), *slash = strrchr(trace, '/');
    es_text note = {0};
    *c = (curves){.json = json, .in_bytes = strcmp(figures_word(json, "counts"), "bytes") == 0, .scope = scope ? scope : figures_word(row, "scope")};
    c->per_layer = strcmp(figures_word(row, "scope"), "layer") == 0;
    es_text_add(&note, "%s: %.0f layers x %.0f experts; scope %s, contract %s%s", slash ? slash + 1 : trace, figures_number(json, "layers"), figures_number(json, "experts"),
        c->scope, figures_word(row, "contract"), *figures_word(json, "warning") ? "; too short to say much" : "");
    c->note = figures_keep(all, &note);
    return curves_rows(all, c, err);
}

/* ---- miss ratio against capacity ---- */

static const curves_line *curves_named(const curves *c, const char *policy)
{
    for (size_t i = 0; i < c->lines; i++)
        if (strcmp(c->line[i].policy, policy) == 0 && !curves_own(&c->line[i]))
            return &c->line[i];
    return NULL;
}

/* With what a cache of that capacity can hold: the largest size that is no larger. Sizes ascend. */
static double curves_at(const curves_line *line, double capacity)
{
    double miss = (double)NAN;
    for (size_t i = 0; i < line->count && line->x[i] <= capacity; i++)
        miss = line->miss[i];
    return miss;
}

/* The line whose misses the title tells: the config's own, else LRU, else the first. */
static const curves_line *curves_subject(const curves *c)
{
    const curves_line *lru = curves_named(c, "lru");
    for (size_t i = 0; i < c->lines; i++)
        if (curves_own(&c->line[i]))
            return &c->line[i];
    return lru ? lru : &c->line[0];
}

/* Among the sizes of the printed table the one at which it tells most: the config's own, else where the subject is farthest above its rival. */
static double curves_told(const curves *c, const curves_line *subject, const curves_line *rival)
{
    const es_json *size;
    double best = subject->x[0], most = -2.0;
    const double own = figures_number(c->json, "configured_capacity");
    if (own > 0.0 && isfinite(curves_at(subject, own)) && (!rival || isfinite(curves_at(rival, own))))
        return own;
    cJSON_ArrayForEach(size, cJSON_GetObjectItemCaseSensitive(c->json, "sizes")) {
        const double at = figures_number(size, "capacity"), miss = curves_at(subject, at), other = rival ? curves_at(rival, at) : 0.0;
        if (isfinite(miss) && isfinite(other) && miss - other > most) {
            most = miss - other;
            best = at;
        }
    }
    return best;
}

static const char *curves_title(figures *all, const curves *c)
{
    const curves_line *subject = curves_subject(c), *rival = curves_named(c, "belady");
    es_text title = {0};
    rival = rival ? rival : curves_named(c, "belady_bypass");
    rival = rival == subject ? NULL : rival;
    const double at = curves_told(c, subject, rival), miss = curves_at(subject, at), other = rival ? curves_at(rival, at) : (double)NAN;
    es_text_add(&title, "%s at ", subject->policy);
    figures_say_memory(&title, at, c->in_bytes);
    es_text_add(&title, "%s", c->per_layer ? " per layer" : "");
    if (other > 0.0)
        es_text_add(&title, ": %.1fx the misses of %s (", miss / other, rival->policy);
    else
        es_text_add(&title, " misses ");
    figures_say_share(&title, miss);
    es_text_add(&title, "%s", other > 0.0 ? " against " : "");
    if (other > 0.0)
        figures_say_share(&title, other);
    es_text_add(&title, other > 0.0 ? ")" : " of %s lookups", figures_word(c->json, "phase"));
    return figures_keep(all, &title);
}

static const char *curves_label(figures *all, const curves *c, const curves_line *line)
{
    es_text label = {0};
    const bool optimum = strcmp(figures_word(c->json, "belady"), "optimum") == 0;
    if (curves_own(line))
        es_text_add(&label, "%s, as %s has it", line->policy, figures_word(c->json, "config"));
    else if (strncmp(line->policy, "belady", 6) == 0)
        es_text_add(&label, "%s (%s)", line->policy, optimum ? "knows the future" : "uniform-size optimum, no bound");
    else
        es_text_add(&label, "%s", line->policy);
    return figures_keep(all, &label);
}

/* The cliff of LRU, and what one step looks up, as upright lines. */
static es_code curves_mark(figures *all, const curves *c, double at, const char *what, plot_series *series, size_t *count, es_err *err)
{
    double *x = figures_column(all, 1);
    es_text label = {0};
    if (!x)
        return es_err_nomem(err, "a figure");
    if (!(at > 0.0))
        return ES_OK;
    *x = at;
    es_text_add(&label, "%s: ", what);
    figures_say_memory(&label, at, c->in_bytes);
    series[(*count)++] = (plot_series){.label = figures_keep(all, &label), .style = PLOT_MARKS, .x = x, .count = 1};
    return ES_OK;
}

static void curves_ends(const curves *c, double *least, double *most)
{
    *least = INFINITY;
    *most = 0.0;
    for (size_t i = 0; i < c->lines; i++)
        for (size_t k = 0; k < c->line[i].count; k++) {
            *least = fmin(*least, c->line[i].x[k]);
            *most = fmax(*most, c->line[i].x[k]);
        }
}

static es_code curves_miss_ratio(figures *all, const es_json *json, es_err *err)
{
    curves c;
    plot_series series[CURVES_LINES + 2];
    size_t count = 0;
    double least, most;
    es_code code = curves_open(all, json, NULL, &c, err);
    if (code || c.lines == 0)
        return code ? code : figures_lack(all, "miss-ratio", err, "the file has no rows; the trace made no lookup");
    for (int own = 0; own < 2; own++)               /* the config's own above the others */
        for (size_t i = 0; i < c.lines; i++) {
            const curves_line *line = &c.line[i];
            if (curves_own(line) == (own > 0))
                series[count++] = (plot_series){.label = curves_label(all, &c, line), .style = own ? PLOT_POINTS : line->count < CURVES_POINTS ? PLOT_BOTH : PLOT_LINE,
                    .large = own > 0, .x = line->x, .y = line->miss, .count = line->count};
        }
    curves_ends(&c, &least, &most);
    const char *const cliff_key = c.in_bytes ? "statistics.cliff_bytes" : "statistics.cliff_slots", *const cycle_key = c.in_bytes ? "statistics.cycle_bytes" : "statistics.cycle_slots";
    const double cycle = c.per_layer ? c.in_bytes ? (double)NAN : figures_number(json, "statistics.event_demand") : figures_number(json, cycle_key);
    code = curves_mark(all, &c, figures_number(json, cliff_key), "cliff of LRU", series, &count, err);
    if (code == ES_OK && cycle <= most)
        code = curves_mark(all, &c, cycle, c.per_layer ? "one event" : "one cycle", series, &count, err);
    if (code)
        return code;
    const bool log = cycle > 0.0 && cycle < most / 16.0;
    const plot_figure figure = {.title = curves_title(all, &c), .note = c.note,
        .x = {.label = c.in_bytes ? c.per_layer ? "capacity of a layer's cache" : "capacity" : c.per_layer ? "capacity of a layer's cache, slots" : "capacity, slots",
            .unit = c.in_bytes ? PLOT_BYTES : PLOT_NUMBER, .log = log, .low = log && !c.in_bytes ? least : 0.0, .high = log && !c.in_bytes ? most : 0.0},
        .y = {.label = strcmp(figures_word(json, "phase"), "decode") == 0 ? "miss ratio, decode" : "miss ratio", .unit = PLOT_SHARE, .low = 0.0, .high = 1.0},
        .series = series, .count = count};
    return figures_add(all, "miss-ratio", &figure, err);
}

es_code figures_miss_ratio(figures *all, es_err *err)
{
    const figures_source *source = figures_of(all, FORM_CURVES);
    return source ? curves_miss_ratio(all, source->json, err) : figures_miss_ratio_points(all, err);
}

/* ---- miss ratio by layer ---- */

static const char *curves_layers_title(figures *all, const es_json *layers, const double *value, size_t columns, size_t at, double slots)
{
    es_text title = {0};
    int least = -1, most = -1, row = 0;
    const es_json *layer;
    double low = NAN, high = NAN;
    cJSON_ArrayForEach(layer, layers) {
        const double miss = value[(size_t)row * columns + at];
        if (isfinite(miss) && !(miss >= low)) {
            low = miss;
            least = row;
        }
        if (isfinite(miss) && !(miss <= high)) {
            high = miss;
            most = row;
        }
        row++;
    }
    if (least < 0)
        return "Miss ratio of an LRU cache of each layer";
    es_text_add(&title, "With %.0f %s each, layer %.0f misses ", slots, slots == 1.0 ? "slot" : "slots", figures_number(cJSON_GetArrayItem(layers, most), "layer"));
    figures_say_share(&title, high);
    es_text_add(&title, ", layer %.0f ", figures_number(cJSON_GetArrayItem(layers, least), "layer"));
    figures_say_share(&title, low);
    return figures_keep(all, &title);
}

es_code figures_miss_layers(figures *all, es_err *err)
{
    const figures_source *source = figures_of(all, FORM_CURVES);
    const es_json *layers = source ? cJSON_GetObjectItemCaseSensitive(source->json, "layer_lru") : NULL, *layer;
    const int rows = cJSON_GetArraySize(layers), experts = cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(cJSON_GetArrayItem(layers, 0), "hits"));
    const size_t columns = experts < CURVES_COLUMNS ? (size_t)experts : CURVES_COLUMNS;
    curves c;
    if (rows == 0 || experts == 0)
        return ES_OK;
    es_code code = curves_open(all, source->json, "layer", &c, err);
    double *x = figures_column(all, columns), *y = figures_column(all, (size_t)rows), *value = figures_column(all, columns * (size_t)rows);
    if (code || !x || !y || !value)
        return code ? code : es_err_nomem(err, "a figure");
    for (size_t i = 0; i < columns; i++)
        x[i] = (double)(i + 1) * experts / (double)columns;
    size_t row = 0;
    cJSON_ArrayForEach(layer, layers) {
        const es_json *hits = cJSON_GetObjectItemCaseSensitive(layer, "hits");
        const double accesses = figures_number(layer, "accesses");
        y[row] = (double)row;
        for (size_t i = 0; i < columns; i++) {
            const es_json *hit = cJSON_GetArrayItem(hits, (int)x[i] - 1);
            value[row * columns + i] = hit && accesses > 0.0 ? 1.0 - hit->valuedouble / accesses : (double)NAN;
        }
        row++;
    }
    const size_t quarter = columns >= 4 ? columns / 4 - 1 : 0;
    const plot_heat heat = {.title = curves_layers_title(all, layers, value, columns, quarter, floor(x[quarter])), .note = c.note, .x_label = "capacity of a layer's cache, slots",
        .y_label = "layer, in the trace's order", .value_label = "miss ratio of LRU, %", .x = x, .y = y, .value = value, .columns = columns, .rows = (size_t)rows};
    return figures_add_heat(all, "miss-layers", &heat, err);
}
