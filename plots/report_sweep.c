/* A sweep: its points made numbers, and what they say in words. See report_sweep.h.
 *
 * Replications of a combination are one point, their mean. What is best is judged by the first of tokens per second, latency and hit rate
 * that the points have, or by the first metric of a sweep that chose its own. */
#include <string.h>

#include "plots/report_sweep.h"

/* ---- numbers ---- */

int sweep_view_metric_at(const sweep_view *v, const char *name)
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

double sweep_view_mean(const sweep_row *row, int metric)
{
    const es_json *one = row->first;
    double sum = 0.0;
    for (size_t i = 0; i < row->replications && metric >= 0; i++, one = one->next)
        sum += report_value(cJSON_GetArrayItem(es_json_at(one, "metrics"), metric));
    return metric >= 0 && row->replications > 0 ? sum / (double)row->replications : (double)NAN;
}

html_unit sweep_view_unit(const sweep_view *v, const char *name)
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

bool sweep_view_better(const sweep_view *v, double a, double b)
{
    return isfinite(a) && (!isfinite(b) || (v->lower ? a < b : a > b));
}

/* ---- the points ---- */

static bool sweep_known(const sweep_view *v, const char *name)
{
    const int at = sweep_view_metric_at(v, name);
    for (size_t i = 0; at >= 0 && i < v->rows; i++)
        if (isfinite(sweep_view_mean(&v->row[i], at)))
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

bool sweep_view_open(sweep_view *v, const es_json *table)
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
    const int goal = v->goal ? sweep_view_metric_at(v, v->goal) : -1, room = sweep_view_metric_at(v, "room");
    for (size_t i = 0; i < v->rows; i++) {
        v->row[i].goal = sweep_view_mean(&v->row[i], goal);
        v->row[i].room = sweep_view_mean(&v->row[i], room);
    }
    for (int causal = 1; causal >= 0 && !v->best; causal--)
        for (size_t i = 0; i < v->rows; i++)
            if (v->row[i].causal >= causal && isfinite(v->row[i].goal) && (!v->best || sweep_view_better(v, v->row[i].goal, v->best->goal)))
                v->best = &v->row[i];
    return true;
}

/* ---- words ---- */

const es_json *sweep_view_column(const sweep_view *v, size_t at)
{
    return cJSON_GetArrayItem(es_json_at(v->table, "columns"), (int)at);
}

bool sweep_view_is_axis(const sweep_view *v, size_t at)
{
    return report_text(sweep_view_column(v, at), "axis") != NULL;
}

void sweep_view_cell_text(const sweep_row *row, size_t at, es_text *out)
{
    const es_json *cell = cJSON_GetArrayItem(es_json_at(row->first, "values"), (int)at);
    if (cJSON_IsString(cell))
        es_text_add(out, "%s", cell->valuestring);
    else
        es_text_add(out, "%.10g", report_value(cell));
}

void sweep_view_what(const sweep_view *v, const sweep_row *row, es_text *out)
{
    for (size_t c = 0; c < v->columns; c++) {
        if (!sweep_view_is_axis(v, c))
            continue;
        es_text_add(out, "%s%s ", out->length ? ", " : "", report_text(sweep_view_column(v, c), "name"));
        sweep_view_cell_text(row, c, out);
    }
    es_text_add(out, "%s", "");
}

static void sweep_put_what(const sweep_view *v, const sweep_row *row, es_text *page)
{
    es_text what = {0};
    sweep_view_what(v, row, &what);
    html_put(page, what.at);
    page->failed = page->failed || what.failed;
    es_text_free(&what);
}

/* "98.3 tokens_per_s" reads badly: units of those that everybody has are words. */
static void sweep_put_goal(const sweep_view *v, double value, es_text *page)
{
    html_number(page, value, sweep_view_unit(v, v->goal));
    html_add(page, " %s", strcmp(v->goal, "tokens_per_s") == 0 ? "tokens/s" : strcmp(v->goal, "latency_mean_s") == 0 ? "per token" :
        strcmp(v->goal, "decode_hit_rate") == 0 ? "of decode lookups hit" : v->goal);
}

/* The smallest room that has nine tenths of the best. */
static const sweep_row *sweep_enough(const sweep_view *v)
{
    const sweep_row *least = NULL;
    for (size_t i = 0; i < v->rows; i++) {
        const sweep_row *row = &v->row[i];
        const bool near = v->lower ? row->goal * 0.9 <= v->best->goal : row->goal >= 0.9 * v->best->goal;
        if (row->causal && isfinite(row->room) && near && (!least || row->room < least->room || (row->room == least->room && sweep_view_better(v, row->goal, least->goal))))
            least = row;
    }
    return least;
}

/* ---- in words ---- */

static void sweep_say_worst(const sweep_view *v, es_text *page)
{
    const sweep_row *worst = NULL, *ideal = NULL;
    for (size_t i = 0; i < v->rows; i++) {
        const sweep_row *row = &v->row[i];
        if (row->causal && isfinite(row->goal) && (!worst || sweep_view_better(v, worst->goal, row->goal)))
            worst = row;
        if (!row->causal && isfinite(row->goal) && (!ideal || sweep_view_better(v, row->goal, ideal->goal)))
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
    if (!sweep_view_open(&v, ask->result)) {
        page->failed = true;
        return;
    }
    html_add(page, "<p class=\"lead\">");
    if (v.best) {
        html_add(page, v.best->causal ? "Best: " : "Best, reading the future: ");
        sweep_put_goal(&v, v.best->goal, page);
        html_add(page, " with ");
        sweep_put_what(&v, v.best, page);
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
