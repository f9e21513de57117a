/* A sweep: which point is best, what is worth its memory, the best of each policy, all points, and those that failed. See report_inside.h.
 *
 * Replications of a combination are one point, their mean. What is best is judged by the first of tokens per second, latency and hit rate
 * that the points have, or by the first metric of a sweep that chose its own. */
#include <string.h>

#include "plots/report_inside.h"

/* The most that is shown: points of a table, values of an axis one below another, and side by side. */
enum { SWEEP_ROWS = 2000, SWEEP_VALUES = 200, SWEEP_ACROSS = 12 };

typedef struct sweep_row {      /* a combination */
    const es_json *first;       /* of its replications, one behind another */
    size_t replications;
    bool causal;
    double goal, room;
} sweep_row;

typedef struct sweep_view {
    const es_json *table;
    sweep_row *row;
    size_t rows, columns, metrics;
    const char *goal;           /* name of the metric that says what is best; NULL: there is none */
    bool lower;                 /* less of it is better */
    html_unit room_unit;
    const sweep_row *best;      /* of those that an engine can be, else of all; NULL: nothing is known */
} sweep_view;

/* ---- numbers ---- */

static int sweep_metric_at(const sweep_view *v, const char *name)
{
    const es_json *metric;
    int at = 0;
    cJSON_ArrayForEach(metric, es_json_at(v->table, "metrics")) {
        if (strcmp(metric->string, name) == 0)
            return at;
        at++;
    }
    return -1;
}

/* The mean over replications; NaN where one has none. */
static double sweep_mean(const sweep_row *row, int metric)
{
    const es_json *one = row->first;
    double sum = 0.0;
    for (size_t i = 0; i < row->replications && metric >= 0; i++, one = one->next)
        sum += report_value(cJSON_GetArrayItem(es_json_at(one, "metrics"), metric));
    return metric >= 0 && row->replications > 0 ? sum / (double)row->replications : (double)NAN;
}

static html_unit sweep_unit(const sweep_view *v, const char *name)
{
    return strcmp(name, "room") == 0 || strcmp(name, "peak") == 0 ? v->room_unit : report_unit(name);
}

static bool sweep_less_is_better(const char *name)
{
    static const char *const words[] = {"latency", "stall", "miss", "evict", "bytes", "wasted", "ttft", "total", "time"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(name, words[i]))
            return true;
    return false;
}

static bool sweep_better(const sweep_view *v, double a, double b)
{
    return isfinite(a) && (!isfinite(b) || (v->lower ? a < b : a > b));
}

/* ---- the points ---- */

static bool sweep_known(const sweep_view *v, const char *name)
{
    const int at = sweep_metric_at(v, name);
    for (size_t i = 0; at >= 0 && i < v->rows; i++)
        if (isfinite(sweep_mean(&v->row[i], at)))
            return true;
    return false;
}

static void sweep_choose(sweep_view *v)
{
    static const char *const usual[] = {"tokens_per_s", "latency_mean_s", "decode_hit_rate", "hit_rate"};
    const es_json *metric;
    for (size_t i = 0; i < sizeof usual / sizeof *usual && !v->goal; i++)
        v->goal = sweep_known(v, usual[i]) ? usual[i] : NULL;
    cJSON_ArrayForEach(metric, es_json_at(v->table, "metrics"))
        if (!v->goal && sweep_known(v, metric->string))
            v->goal = metric->string;
    v->lower = v->goal && sweep_less_is_better(v->goal);
}

static bool sweep_open(sweep_view *v, const es_json *table)
{
    const es_json *rows = es_json_at(table, "rows"), *one;
    *v = (sweep_view){.table = table, .columns = (size_t)cJSON_GetArraySize(es_json_at(table, "columns")), .metrics = (size_t)cJSON_GetArraySize(es_json_at(table, "metrics")),
        .row = calloc((size_t)cJSON_GetArraySize(rows) + 1, sizeof(sweep_row)), .room_unit = HTML_COUNT};
    double before = NAN;
    if (!v->row)
        return false;
    cJSON_ArrayForEach(one, rows) {
        const double point = report_number(one, "point");
        const char *counts = report_text(one, "counts");
        if (point != before)
            v->row[v->rows++] = (sweep_row){.first = one, .causal = true};
        sweep_row *row = &v->row[v->rows - 1];
        row->replications++;
        row->causal = row->causal && !cJSON_IsFalse(es_json_at(one, "causal"));
        v->room_unit = counts && strcmp(counts, "bytes") == 0 ? HTML_BYTES : v->room_unit;
        before = point;
    }
    sweep_choose(v);
    const int goal = v->goal ? sweep_metric_at(v, v->goal) : -1, room = sweep_metric_at(v, "room");
    for (size_t i = 0; i < v->rows; i++) {
        v->row[i].goal = sweep_mean(&v->row[i], goal);
        v->row[i].room = sweep_mean(&v->row[i], room);
    }
    for (int causal = 1; causal >= 0 && !v->best; causal--)
        for (size_t i = 0; i < v->rows; i++)
            if (v->row[i].causal >= causal && isfinite(v->row[i].goal) && (!v->best || sweep_better(v, v->row[i].goal, v->best->goal)))
                v->best = &v->row[i];
    return true;
}

/* ---- words ---- */

static const es_json *sweep_column(const sweep_view *v, size_t at)
{
    return cJSON_GetArrayItem(es_json_at(v->table, "columns"), (int)at);
}

/* Axes have a name; replications and their traces have none, and are averaged. */
static bool sweep_is_axis(const sweep_view *v, size_t at)
{
    return report_text(sweep_column(v, at), "axis") != NULL;
}

static void sweep_cell_text(const sweep_row *row, size_t at, es_text *out)
{
    const es_json *cell = cJSON_GetArrayItem(es_json_at(row->first, "values"), (int)at);
    if (cJSON_IsString(cell))
        es_text_add(out, "%s", cell->valuestring);
    else
        es_text_add(out, "%.10g", report_value(cell));
}

/* "policy lru, tiers.cache.capacity 80%" */
static void sweep_what(const sweep_view *v, const sweep_row *row, es_text *out)
{
    for (size_t c = 0; c < v->columns; c++) {
        if (!sweep_is_axis(v, c))
            continue;
        es_text_add(out, "%s%s ", out->length ? ", " : "", report_text(sweep_column(v, c), "name"));
        sweep_cell_text(row, c, out);
    }
    es_text_add(out, "%s", "");
}

static void sweep_put_what(const sweep_view *v, const sweep_row *row, es_text *page)
{
    es_text what = {0};
    sweep_what(v, row, &what);
    html_put(page, what.at);
    page->failed = page->failed || what.failed;
    es_text_free(&what);
}

/* "98.3 tokens_per_s" reads badly: units of those that everybody has are words. */
static void sweep_put_goal(const sweep_view *v, double value, es_text *page)
{
    html_number(page, value, sweep_unit(v, v->goal));
    html_add(page, " %s", strcmp(v->goal, "tokens_per_s") == 0 ? "tokens/s" : strcmp(v->goal, "latency_mean_s") == 0 ? "per token" :
        strcmp(v->goal, "decode_hit_rate") == 0 ? "of decode lookups hit" : v->goal);
}

/* ---- what is worth its memory ---- */

typedef struct sweep_offer {
    double room, cost;          /* cost: the less the better */
    size_t at;
} sweep_offer;

static int sweep_offer_order(const void *a, const void *b)
{
    const sweep_offer *x = a, *y = b;
    if (x->room != y->room)
        return x->room < y->room ? -1 : 1;
    if (x->cost != y->cost)
        return x->cost < y->cost ? -1 : 1;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* Those that nothing that can be built beats with as little room, from the smallest room up; returns how many. [rows] */
static size_t sweep_find_front(const sweep_view *v, sweep_offer *front)
{
    size_t offers = 0, count = 0;
    double least = INFINITY;
    for (size_t i = 0; i < v->rows; i++)
        if (v->row[i].causal && isfinite(v->row[i].goal) && isfinite(v->row[i].room))
            front[offers++] = (sweep_offer){v->row[i].room, v->lower ? v->row[i].goal : -v->row[i].goal, i};
    qsort(front, offers, sizeof *front, sweep_offer_order);
    for (size_t i = 0; i < offers; i++)
        if (front[i].cost < least) {
            least = front[i].cost;
            front[count++] = front[i];
        }
    return count;
}

/* The smallest room that has nine tenths of the best. */
static const sweep_row *sweep_enough(const sweep_view *v)
{
    const sweep_row *least = NULL;
    for (size_t i = 0; i < v->rows; i++) {
        const sweep_row *row = &v->row[i];
        const bool near = v->lower ? row->goal * 0.9 <= v->best->goal : row->goal >= 0.9 * v->best->goal;
        if (row->causal && isfinite(row->room) && near && (!least || row->room < least->room || (row->room == least->room && sweep_better(v, row->goal, least->goal))))
            least = row;
    }
    return least;
}

static void sweep_front(const sweep_view *v, es_text *page)
{
    const html_column columns[] = {{"point", false}, {"room", true}, {v->goal ? v->goal : "", true}};
    sweep_offer *front = calloc(v->rows + 1, sizeof *front);
    const size_t count = front ? sweep_find_front(v, front) : 0;
    page->failed = page->failed || !front;
    if (count > 0) {
        html_section(page, "front", "What memory buys");
        html_add(page, "<p>Points that no other beats with as little room (Pareto); those that read the future are left out.</p>\n");
        html_table(page, "Pareto front", columns, sizeof columns / sizeof *columns);
    }
    for (size_t i = 0; i < count; i++) {
        const sweep_row *row = &v->row[front[i].at];
        es_text what = {0};
        sweep_what(v, row, &what);
        html_row(page, what.at ? what.at : "");
        html_cell_number(page, row->room, v->room_unit);
        html_cell_number(page, row->goal, sweep_unit(v, v->goal));
        html_row_end(page);
        es_text_free(&what);
    }
    if (count > 0) {
        html_table_end(page);
        html_section_end(page);
    }
    free(front);
}

/* ---- the best of each value of an axis ---- */

/* The policies, where they differ; else the first axis. */
static size_t sweep_main_axis(const sweep_view *v)
{
    size_t first = v->columns;
    for (size_t c = v->columns; c-- > 0;)
        if (sweep_is_axis(v, c))
            first = c;
    for (size_t c = 0; c < v->columns; c++) {
        const char *name = report_text(sweep_column(v, c), "name");
        if (sweep_is_axis(v, c) && name && (strcmp(name, "policy") == 0 || strcmp(name, "policy.name") == 0))
            return c;
    }
    return first;
}

static bool sweep_same(const sweep_row *a, const sweep_row *b, size_t column)
{
    const es_json *x = cJSON_GetArrayItem(es_json_at(a->first, "values"), (int)column), *y = cJSON_GetArrayItem(es_json_at(b->first, "values"), (int)column);
    return cJSON_Compare(x, y, true);
}

/* A row of each value of the column, in the order of the plan: [SWEEP_VALUES]. Returns how many, SWEEP_VALUES + 1: more. */
static size_t sweep_values(const sweep_view *v, size_t column, const sweep_row **each)
{
    size_t count = 0;
    for (size_t i = 0; i < v->rows; i++) {
        size_t at = 0;
        while (at < count && !sweep_same(each[at], &v->row[i], column))
            at++;
        if (at < count)
            continue;
        if (count == SWEEP_VALUES)
            return SWEEP_VALUES + 1;
        each[count++] = &v->row[i];
    }
    return count;
}

static const sweep_row *sweep_best_of(const sweep_view *v, const sweep_row *with, size_t column)
{
    const sweep_row *best = NULL;
    for (size_t i = 0; i < v->rows; i++)
        if (sweep_same(&v->row[i], with, column) && isfinite(v->row[i].goal) && (!best || sweep_better(v, v->row[i].goal, best->goal)))
            best = &v->row[i];
    return best;
}

static void sweep_each_row(const sweep_view *v, const sweep_row *best, size_t axis, es_text *page)
{
    es_text value = {0}, what = {0};
    sweep_cell_text(best, axis, &value);
    sweep_what(v, best, &what);
    html_row(page, value.at ? value.at : "");
    html_cell_number(page, best->goal, sweep_unit(v, v->goal));
    html_cell_number(page, best->room, v->room_unit);
    html_cell(page, what.at ? what.at : "");
    html_cell(page, best->causal ? "no" : "yes: non-causal");
    html_row_end(page);
    es_text_free(&value);
    es_text_free(&what);
}

static void sweep_each(const sweep_view *v, es_text *page)
{
    const sweep_row *each[SWEEP_VALUES];
    const size_t axis = sweep_main_axis(v), count = v->goal && axis < v->columns ? sweep_values(v, axis, each) : 0;
    if (count == 0 || count > SWEEP_VALUES)
        return;
    const char *name = report_text(sweep_column(v, axis), "name");
    const html_column columns[] = {{name, false}, {v->goal, true}, {"room", true}, {"where", false}, {"reads the future", false}};
    html_section(page, "best", strncmp(name, "policy", 6) == 0 ? "The best of each policy" : "The best of each value");
    html_table(page, "Best point of each", columns, sizeof columns / sizeof *columns);
    for (size_t i = 0; i < count; i++) {
        const sweep_row *best = sweep_best_of(v, each[i], axis);
        if (best)
            sweep_each_row(v, best, axis, page);
    }
    html_table_end(page);
    html_section_end(page);
}

/* ---- two axes crossed ---- */

static size_t sweep_axes(const sweep_view *v, size_t axis[2])
{
    size_t count = 0;
    for (size_t c = 0; c < v->columns; c++)
        if (sweep_is_axis(v, c)) {
            if (count < 2)
                axis[count] = c;
            count++;
        }
    return count;
}

static size_t sweep_place(const sweep_row *const *each, size_t count, const sweep_row *row, size_t column)
{
    size_t at = 0;
    while (at < count && !sweep_same(each[at], row, column))
        at++;
    return at;
}

static void sweep_grid_rows(const sweep_view *v, const size_t axis[2], const sweep_row *const *down, size_t rows, const sweep_row *const *across, size_t count, es_text *page)
{
    double *cell = calloc(rows * count + 1, sizeof *cell);
    page->failed = page->failed || !cell;
    for (size_t i = 0; cell && i < rows * count; i++)
        cell[i] = NAN;
    for (size_t i = 0; cell && i < v->rows; i++)
        cell[sweep_place(down, rows, &v->row[i], axis[0]) * count + sweep_place(across, count, &v->row[i], axis[1])] = v->row[i].goal;
    for (size_t r = 0; cell && r < rows; r++) {
        es_text value = {0};
        sweep_cell_text(down[r], axis[0], &value);
        html_row(page, value.at ? value.at : "");
        for (size_t c = 0; c < count; c++)
            html_cell_number(page, cell[r * count + c], sweep_unit(v, v->goal));
        html_row_end(page);
        es_text_free(&value);
    }
    free(cell);
}

static void sweep_grid(const sweep_view *v, es_text *page)
{
    size_t axis[2] = {0};
    const sweep_row *across[SWEEP_VALUES], *down[SWEEP_VALUES];
    es_text head[SWEEP_ACROSS] = {{0}}, caption = {0};
    html_column columns[SWEEP_ACROSS + 1];
    if (!v->goal || sweep_axes(v, axis) != 2)
        return;
    const size_t count = sweep_values(v, axis[1], across), rows = sweep_values(v, axis[0], down);
    if (count > SWEEP_ACROSS || rows > SWEEP_VALUES)
        return;
    columns[0] = (html_column){report_text(sweep_column(v, axis[0]), "name"), false};
    for (size_t c = 0; c < count; c++) {
        sweep_cell_text(across[c], axis[1], &head[c]);
        columns[c + 1] = (html_column){head[c].at ? head[c].at : "", true};
    }
    es_text_add(&caption, "%s by %s and %s", v->goal, columns[0].head, report_text(sweep_column(v, axis[1]), "name"));
    html_section(page, "grid", "At a glance");
    html_table(page, caption.at ? caption.at : "", columns, count + 1);
    sweep_grid_rows(v, axis, down, rows, across, count, page);
    html_table_end(page);
    html_section_end(page);
    for (size_t c = 0; c < count; c++)
        es_text_free(&head[c]);
    es_text_free(&caption);
}

/* ---- all points ---- */

/* Metrics that say something: known somewhere, and not nothing everywhere. */
static bool sweep_says(const sweep_view *v, int metric)
{
    for (size_t i = 0; i < v->rows; i++) {
        const double value = sweep_mean(&v->row[i], metric);
        if (isfinite(value) && value != 0.0)
            return true;
    }
    return false;
}

static void sweep_point(const sweep_view *v, const sweep_row *row, const bool *says, es_text *page)
{
    const es_json *metric;
    int at = 0;
    html_row(page, report_text(row->first, "id") ? report_text(row->first, "id") : "?");
    for (size_t c = 0; c < v->columns; c++) {
        es_text value = {0};
        if (!sweep_is_axis(v, c))
            continue;
        sweep_cell_text(row, c, &value);
        html_cell(page, value.at ? value.at : "");
        es_text_free(&value);
    }
    cJSON_ArrayForEach(metric, es_json_at(v->table, "metrics")) {
        if (says[at])
            html_cell_number(page, sweep_mean(row, at), sweep_unit(v, metric->string));
        at++;
    }
    html_cell(page, row->causal ? "" : "reads the future");
    html_row_end(page);
}

static void sweep_points(const sweep_view *v, es_text *page)
{
    html_column *columns = calloc(v->columns + v->metrics + 2, sizeof *columns);
    bool *says = calloc(v->metrics + 1, sizeof *says);
    const es_json *metric;
    size_t count = 0;
    int at = 0;
    if (!columns || !says) {
        page->failed = true;
        free(columns);
        free(says);
        return;
    }
    columns[count++] = (html_column){"result", false};
    for (size_t c = 0; c < v->columns; c++)
        if (sweep_is_axis(v, c))
            columns[count++] = (html_column){report_text(sweep_column(v, c), "name"), false};
    cJSON_ArrayForEach(metric, es_json_at(v->table, "metrics")) {
        if ((says[at] = sweep_says(v, at)))
            columns[count++] = (html_column){metric->string, true};
        at++;
    }
    columns[count++] = (html_column){"note", false};
    html_section(page, "points", "All points");
    if (v->rows > SWEEP_ROWS)
        html_add(page, "<p class=\"muted\">The first %d of %zu; expertsim sweep collect has all of them.</p>\n", SWEEP_ROWS, v->rows);
    html_table(page, "Points; a result lies in points/ID.h5 and can be reported by itself", columns, count);
    for (size_t i = 0; i < v->rows && i < SWEEP_ROWS; i++)
        sweep_point(v, &v->row[i], says, page);
    html_table_end(page);
    html_fold(page, "What the metrics are");
    report_all(es_json_at(v->table, "metrics"), "Metrics and their formulas over keys of a result", page);
    html_fold_end(page);
    html_section_end(page);
    free(columns);
    free(says);
}

static void sweep_failures(const sweep_view *v, es_text *page)
{
    static const html_column columns[] = {{"point", false}, {"what", false}, {"why", false}};
    const es_json *failed = es_json_at(v->table, "status.failed"), *one;
    if (cJSON_GetArraySize(failed) == 0)
        return;
    html_section(page, "failures", "Points that failed");
    html_facts(page, "Failures", columns, sizeof columns / sizeof *columns);
    cJSON_ArrayForEach(one, failed) {
        html_row(page, report_text(one, "id") ? report_text(one, "id") : "?");
        html_cell(page, report_text(one, "what") ? report_text(one, "what") : "");
        html_cell(page, report_text(one, "reason") ? report_text(one, "reason") : "");
        html_row_end(page);
    }
    html_table_end(page);
    html_section_end(page);
}

/* ---- in words ---- */

static void sweep_say_worst(const sweep_view *v, es_text *page)
{
    const sweep_row *worst = NULL, *ideal = NULL;
    for (size_t i = 0; i < v->rows; i++) {
        const sweep_row *row = &v->row[i];
        if (row->causal && isfinite(row->goal) && (!worst || sweep_better(v, worst->goal, row->goal)))
            worst = row;
        if (!row->causal && isfinite(row->goal) && (!ideal || sweep_better(v, row->goal, ideal->goal)))
            ideal = row;
    }
    if (worst && worst != v->best) {
        html_add(page, "<li><strong>Worst:</strong> ");
        sweep_put_what(v, worst, page);
        html_add(page, ", ");
        sweep_put_goal(v, worst->goal, page);
        html_add(page, ".</li>\n");
    }
    if (ideal && ideal != v->best) {
        html_add(page, "<li><strong>What could be had:</strong> ");
        sweep_put_what(v, ideal, page);
        html_add(page, ", ");
        sweep_put_goal(v, ideal->goal, page);
        html_add(page, "; it reads the future, no engine can do this.</li>\n");
    }
}

static void sweep_say_enough(const sweep_view *v, es_text *page)
{
    const sweep_row *enough = sweep_enough(v);
    if (!enough || enough == v->best || !(enough->room < v->best->room))
        return;
    html_add(page, "<li><strong>Nearly as good:</strong> ");
    sweep_put_what(v, enough, page);
    html_add(page, " has ");
    sweep_put_goal(v, enough->goal, page);
    html_add(page, " with ");
    html_number(page, enough->room, v->room_unit);
    html_add(page, "%s instead of ", v->room_unit == HTML_COUNT ? " slots" : "");
    html_number(page, v->best->room, v->room_unit);
    html_add(page, ".</li>\n");
}

static void sweep_say_state(const sweep_view *v, es_text *page)
{
    const double points = report_number(v->table, "status.points"), done = report_number(v->table, "status.done"), left = report_number(v->table, "status.left");
    const int failed = cJSON_GetArraySize(es_json_at(v->table, "status.failed"));
    html_add(page, "<li><strong>State.</strong> ");
    html_number(page, done, HTML_COUNT);
    html_add(page, " of ");
    html_number(page, points, HTML_COUNT);
    html_add(page, " points are done");
    if (failed > 0)
        html_add(page, ", %d failed", failed);
    if (left > 0.0) {
        html_add(page, ", ");
        html_number(page, left, HTML_COUNT);
        html_add(page, " are left");
    }
    html_add(page, "%s.</li>\n", v->rows > 0 && v->row[0].replications > 1 ? "; numbers are means over replications" : "");
}

void report_sweep_verdict(const report_ask *ask, es_text *page)
{
    sweep_view v;
    if (!sweep_open(&v, ask->result)) {
        page->failed = true;
        return;
    }
    html_add(page, "<p class=\"lead\">");
    if (v.best) {
        html_add(page, v.best->causal ? "Best: " : "Best, reading the future: ");
        sweep_put_what(&v, v.best, page);
        html_add(page, ", ");
        sweep_put_goal(&v, v.best->goal, page);
    } else {
        html_add(page, "No point has a metric that is known yet");
    }
    html_add(page, ".</p>\n<ul class=\"points\">\n");
    if (v.best) {
        sweep_say_enough(&v, page);
        sweep_say_worst(&v, page);
    }
    sweep_say_state(&v, page);
    html_add(page, "</ul>\n");
    free(v.row);
}

void report_sweep(const report_ask *ask, es_text *page)
{
    sweep_view v;
    if (!sweep_open(&v, ask->result)) {
        page->failed = true;
        return;
    }
    sweep_failures(&v, page);
    sweep_grid(&v, page);
    sweep_front(&v, page);
    sweep_each(&v, page);
    sweep_points(&v, page);
    free(v.row);
}
