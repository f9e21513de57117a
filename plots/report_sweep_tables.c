/* Tables of a sweep: what is worth its memory, the best of each policy, two axes crossed, all points, and those that failed.
 * See report_sweep.h. */
#include <string.h>

#include "plots/report_sweep.h"

/* The most that is shown: points of a table, values of an axis one below another, and side by side. */
enum { SWEEP_ROWS = 2000, SWEEP_VALUES = 200, SWEEP_ACROSS = 12 };

static const char *sweep_room_head(const sweep_view *v)
{
    return v->room_unit == HTML_BYTES ? "room" : "room in slots";
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

static void sweep_front(const sweep_view *v, es_text *page)
{
    const html_column columns[] = {{"point", false}, {sweep_room_head(v), true}, {v->goal ? v->goal : "", true}};
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
        sweep_view_what(v, row, &what);
        html_row(page, what.at ? what.at : "");
        html_cell_number(page, row->room, v->room_unit);
        html_cell_number(page, row->goal, sweep_view_unit(v, v->goal));
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
        if (sweep_view_is_axis(v, c))
            first = c;
    for (size_t c = 0; c < v->columns; c++) {
        const char *name = report_text(sweep_view_column(v, c), "name");
        if (sweep_view_is_axis(v, c) && name && (strcmp(name, "policy") == 0 || strcmp(name, "policy.name") == 0))
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
        if (sweep_same(&v->row[i], with, column) && isfinite(v->row[i].goal) && (!best || sweep_view_better(v, v->row[i].goal, best->goal)))
            best = &v->row[i];
    return best;
}

static void sweep_each_row(const sweep_view *v, const sweep_row *best, size_t axis, es_text *page)
{
    es_text value = {0}, what = {0};
    sweep_view_cell_text(best, axis, &value);
    sweep_view_what(v, best, &what);
    html_row(page, value.at ? value.at : "");
    html_cell_number(page, best->goal, sweep_view_unit(v, v->goal));
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
    const char *name = report_text(sweep_view_column(v, axis), "name");
    const html_column columns[] = {{name, false}, {v->goal, true}, {sweep_room_head(v), true}, {"where", false}, {"reads the future", false}};
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
        if (sweep_view_is_axis(v, c)) {
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
        sweep_view_cell_text(down[r], axis[0], &value);
        html_row(page, value.at ? value.at : "");
        for (size_t c = 0; c < count; c++)
            html_cell_number(page, cell[r * count + c], sweep_view_unit(v, v->goal));
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
    columns[0] = (html_column){report_text(sweep_view_column(v, axis[0]), "name"), false};
    for (size_t c = 0; c < count; c++) {
        sweep_view_cell_text(across[c], axis[1], &head[c]);
        columns[c + 1] = (html_column){head[c].at ? head[c].at : "", true};
    }
    es_text_add(&caption, "%s by %s and %s", v->goal, columns[0].head, report_text(sweep_view_column(v, axis[1]), "name"));
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

typedef enum sweep_kind { SWEEP_NOTHING, SWEEP_SAME, SWEEP_VARIES } sweep_kind;

/* What a metric is over all points: not known or 0 everywhere, the same everywhere, or of interest. */
static sweep_kind sweep_kind_of(const sweep_view *v, int metric)
{
    const double first = v->rows > 0 ? sweep_view_mean(&v->row[0], metric) : (double)NAN;
    bool some = false, same = isfinite(first);
    for (size_t i = 0; i < v->rows; i++) {
        const double value = sweep_view_mean(&v->row[i], metric);
        some = some || (isfinite(value) && value != 0.0);
        same = same && value == first;
    }
    return !some ? SWEEP_NOTHING : same ? SWEEP_SAME : SWEEP_VARIES;
}

static void sweep_point(const sweep_view *v, const sweep_row *row, const int *shown, size_t count, es_text *page)
{
    const es_json *metrics = es_json_at(v->table, "metrics");
    bool first = true;
    for (size_t c = 0; c < v->columns; c++) {
        es_text value = {0};
        if (!sweep_view_is_axis(v, c))
            continue;
        sweep_view_cell_text(row, c, &value);
        (first ? html_row : html_cell)(page, value.at ? value.at : "");
        first = false;
        es_text_free(&value);
    }
    if (first)
        html_row(page, "all");
    for (size_t i = 0; i < count; i++)
        html_cell_number(page, sweep_view_mean(row, shown[i]), sweep_view_unit(v, cJSON_GetArrayItem(metrics, shown[i])->string));
    html_cell(page, row->causal ? "" : "reads the future");
    html_add(page, "<td class=\"id\">%s</td>", report_word(row->first, "id", "?"));
    html_row_end(page);
}

/* The numbers of the metrics that are shown, what is judged by first: [metrics]. Returns how many. */
static size_t sweep_shown(const sweep_view *v, int *shown)
{
    const int first[] = {v->goal ? sweep_view_metric_at(v, v->goal) : -1, sweep_view_metric_at(v, "room")};
    size_t count = 0;
    for (size_t i = 0; i < 2; i++)
        if (first[i] >= 0)
            shown[count++] = first[i];
    for (int m = 0; m < (int)v->metrics; m++)
        if (m != first[0] && m != first[1] && sweep_kind_of(v, m) == SWEEP_VARIES)
            shown[count++] = m;
    return count;
}

static void sweep_alike(const sweep_view *v, es_text *page)
{
    const es_json *metric;
    int at = 0, said = 0;
    cJSON_ArrayForEach(metric, es_json_at(v->table, "metrics")) {
        if (v->rows > 1 && sweep_kind_of(v, at) == SWEEP_SAME) {
            html_add(page, "%s%s ", said++ ? ", " : "The same for all: ", metric->string);
            html_number(page, sweep_view_mean(&v->row[0], at), sweep_view_unit(v, metric->string));
        }
        at++;
    }
}

static void sweep_points_table(const sweep_view *v, html_column *columns, const int *shown, size_t metrics, es_text *page)
{
    size_t count = 0;
    for (size_t c = 0; c < v->columns; c++)
        if (sweep_view_is_axis(v, c))
            columns[count++] = (html_column){report_text(sweep_view_column(v, c), "name"), false};
    if (count == 0)
        columns[count++] = (html_column){"point", false};
    for (size_t i = 0; i < metrics; i++) {
        const char *name = cJSON_GetArrayItem(es_json_at(v->table, "metrics"), shown[i])->string;
        columns[count++] = (html_column){strcmp(name, "room") == 0 ? sweep_room_head(v) : name, true};
    }
    columns[count++] = (html_column){"note", false};
    columns[count++] = (html_column){"result", false};
    html_table(page, "Points; a result lies in points/ID.h5 and can be reported by itself", columns, count);
    for (size_t i = 0; i < v->rows && i < SWEEP_ROWS; i++)
        sweep_point(v, &v->row[i], shown, metrics, page);
    html_table_end(page);
}

static void sweep_points(const sweep_view *v, es_text *page)
{
    html_column *columns = calloc(v->columns + v->metrics + 4, sizeof *columns);
    int *shown = calloc(v->metrics + 1, sizeof *shown);
    html_section(page, "points", "All points");
    if (v->rows > SWEEP_ROWS)
        html_add(page, "<p class=\"muted\">The first %d of %zu; expertsim sweep collect has all of them.</p>\n", SWEEP_ROWS, v->rows);
    page->failed = page->failed || !columns || !shown;
    if (columns && shown)
        sweep_points_table(v, columns, shown, sweep_shown(v, shown), page);
    html_add(page, "<p class=\"muted\">");
    sweep_alike(v, page);
    html_add(page, "</p>\n");
    html_fold(page, "What the metrics are", false);
    report_all(es_json_at(v->table, "metrics"), "Metrics and their formulas over keys of a result", page);
    html_fold_end(page);
    html_section_end(page);
    free(columns);
    free(shown);
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
        html_row(page, report_word(one, "id", "?"));
        html_cell(page, report_word(one, "what", ""));
        html_cell(page, report_word(one, "reason", ""));
        html_row_end(page);
    }
    html_table_end(page);
    html_section_end(page);
}

void report_sweep(const report_ask *ask, es_text *page)
{
    sweep_view v;
    if (!sweep_view_open(&v, ask->result)) {
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
