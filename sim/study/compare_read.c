/* Units of a comparison out of results: rows of /tables/tokens or /tables/requests, or a whole run where it kept none. See compare.h. */
#include <stdlib.h>
#include <string.h>

#include "sim/base/h5.h"
#include "sim/study/compare_inside.h"
#include "sim/study/compare_stats.h"
#include "sim/study/formula.h"
#include "sim/study/sweep_inside.h"

enum { READ_MANY = 20 };        /* so many runs or requests are units enough */

/* ---- metrics ---- */

static double read_seconds(int64_t ns)
{
    return (double)ns / 1e9;
}

static bool read_latency(const compare_row *row, double *above, double *below)
{
    *above = read_seconds(row->end_ns - row->start_ns);
    *below = 1.0;
    return true;
}

static bool read_rate(const compare_row *row, double *above, double *below)
{
    *above = 1.0;
    *below = read_seconds(row->end_ns - row->start_ns);
    return true;
}

static bool read_hits(const compare_row *row, double *above, double *below)
{
    *above = (double)row->hits;
    *below = (double)row->lookups;
    return true;
}

static bool read_stall(const compare_row *row, double *above, double *below)
{
    *above = read_seconds(row->stall_ns);
    *below = 1.0;
    return true;
}

static bool read_fetched(const compare_row *row, double *above, double *below)
{
    *above = (double)row->fetched_bytes;
    *below = 1.0;
    return true;
}

static bool read_ttft(const compare_row *row, double *above, double *below)
{
    *above = read_seconds(row->first_ns - row->start_ns);
    *below = 1.0;
    return row->first_ns >= 0;
}

const compare_metric *compare_metric_at(size_t i)
{
    static const compare_metric metrics[] = {
        {"latency", "time of a decode token, mean", "s", false, true, false, read_latency, "time.token_latency_s.mean"},
        {"hit_rate", "hits of decode / its lookups", "share", true, false, false, read_hits, "cache.decode.hits / cache.decode.lookups"},
        {"tokens_per_s", "decode tokens / their time", "1/s", true, true, false, read_rate, "time.tokens_per_s"},
        {"ttft", "time to the first token of a request, mean", "s", false, true, true, read_ttft, "time.ttft_s"},
        {"stall", "stall of a decode token, mean", "s", false, true, false, read_stall, NULL},
        {"fetched", "bytes of a decode token's misses, mean", "B", false, false, false, read_fetched, "cache.decode_fetched_bytes / traffic.decode_tokens"},
    };
    return i < sizeof metrics / sizeof *metrics ? &metrics[i] : NULL;
}

/* ---- one result ---- */

#define SUMS \
    {.name = "lookups", .type = ES_H5_I64, .offset = offsetof(compare_row, lookups)}, {.name = "hits", .type = ES_H5_I64, .offset = offsetof(compare_row, hits)}, \
    {.name = "fetched_bytes", .type = ES_H5_I64, .offset = offsetof(compare_row, fetched_bytes)}, \
    {.name = "request", .type = ES_H5_U32, .offset = offsetof(compare_row, request)}, \
    {.name = "start_ns", .type = ES_H5_I64, .offset = offsetof(compare_row, start_ns)}, {.name = "end_ns", .type = ES_H5_I64, .offset = offsetof(compare_row, end_ns)}, \
    {.name = "stall_ns", .type = ES_H5_I64, .offset = offsetof(compare_row, stall_ns)}

static const es_h5_column read_tokens[] = {SUMS};
static const es_h5_column read_requests[] = {SUMS, {.name = "first_token_ns", .type = ES_H5_I64, .offset = offsetof(compare_row, first_ns)}};

static es_code read_whole(es_h5 *file, const char *path, const es_h5_column *columns, size_t count, compare_row **rows, size_t *length, es_err *err)
{
    es_h5_data *table = NULL;
    es_code code = es_h5_table_open(&table, file, path, columns, count, sizeof **rows, err);
    if (code)
        return code;
    *length = es_h5_data_rank(table) == 1 ? (size_t)es_h5_data_dims(table)[0] : 0;
    *rows = calloc(*length + 1, sizeof **rows);
    code = *rows ? es_h5_table_read(table, 0, *length, *rows, err) : es_err_nomem(err, "the rows of a result");
    es_h5_data_close(table);
    return code;
}

static es_code read_rows(es_h5 *file, bool requests, compare_row **rows, size_t *length, es_err *err)
{
    int64_t left_out = 0;
    es_code code = es_h5_has_attr(file, "/tables", "left_out") ? es_h5_get_int(file, "/tables", "left_out", &left_out, err) : ES_OK;
    if (code == ES_OK && left_out > 0)
        return es_err_set(err, ES_EINPUT, "its tables leave out %lld rows; run it with observer {\"name\": \"tables\", \"rows\": ...} of more", (long long)left_out);
    if (code)
        return code;
    return requests ? read_whole(file, "/tables/requests", read_requests, sizeof read_requests / sizeof *read_requests, rows, length, err)
                    : read_whole(file, "/tables/tokens", read_tokens, sizeof read_tokens / sizeof *read_tokens, rows, length, err);
}

static bool read_alloc(compare_cell *cell, size_t rows)
{
    cell->above = calloc(rows + 1, sizeof *cell->above);
    cell->below = calloc(rows + 1, sizeof *cell->below);
    cell->request = calloc(rows + 1, sizeof *cell->request);
    return cell->above && cell->below && cell->request;
}

static es_code read_measure(const compare_metric *metric, compare_cell *cell, const compare_row *row, size_t rows, es_err *err)
{
    double *value = malloc((rows + 1) * sizeof *value);
    if (!value || !read_alloc(cell, rows)) {
        free(value);
        return es_err_nomem(err, "the units");
    }
    for (size_t i = 0; i < rows; i++) {
        const size_t at = cell->rows;
        if (!metric->row(&row[i], &cell->above[at], &cell->below[at]))
            continue;
        cell->request[at] = row[i].request;
        value[at] = cell->below[at] > 0.0 ? cell->above[at] / cell->below[at] : 0.0;
        cell->rows++;
    }
    cell->settled = es_mser5(value, cell->rows, &cell->cut);
    free(value);
    return ES_OK;
}

static const es_json *read_path(void *self, const char *path)
{
    return es_json_at(self, path);
}

/* All of a run that kept no rows is one. */
static es_code read_single(const compare_metric *metric, compare_cell *cell, es_json *report, es_err *err)
{
    if (!metric->whole)
        return es_err_set(err, ES_EINPUT, "it has no tables, which metric %s needs; run it with observer tables", metric->name);
    if (!read_alloc(cell, 1))
        return es_err_nomem(err, "the units");
    cell->rows = 1;
    cell->below[0] = 1.0;
    return es_formula_measure(metric->whole, read_path, report, &cell->above[0], err);
}

static void read_fact(es_json *facts, const es_json *report, const char *path, const char *name)
{
    const es_json *value = es_json_at(report, path);
    es_json_add_real(facts, name, cJSON_IsNumber(value) ? value->valuedouble : (double)NAN);
}

static void read_share(es_json *facts, const es_json *report, const char *part, const char *whole, const char *name)
{
    const es_json *above = es_json_at(report, part), *below = es_json_at(report, whole);
    const bool known = cJSON_IsNumber(above) && cJSON_IsNumber(below) && below->valuedouble > 0.0;
    es_json_add_real(facts, name, known ? above->valuedouble / below->valuedouble : (double)NAN);
}

static es_json *read_facts(const es_json *report)
{
    es_json *facts = cJSON_CreateObject();
    es_json_add_bool(facts, "causal", !cJSON_IsFalse(es_json_at(report, "provenance.causal")));
    read_fact(facts, report, "time.total_s", "total_s");
    es_json *why = es_json_add_object(facts, "why"), *causes = cJSON_Duplicate(es_json_at(report, "time.attribution"), true);
    read_share(why, report, "cache.decode.hits", "cache.decode.lookups", "decode_hit_rate");
    read_share(why, report, "coverage.perfect", "coverage.events", "perfect_coverage");
    read_fact(why, report, "cache.fetched_bytes", "fetched_bytes");
    read_fact(why, report, "cache.guess_bytes", "guess_bytes");
    read_fact(why, report, "cache.wasted_bytes", "wasted_bytes");
    if (causes && !cJSON_AddItemToObject(why, "attribution", causes))
        cJSON_Delete(causes);
    return facts;
}

/* ---- what to compare, seen from the first result ---- */

static bool read_timed(const es_json *report)
{
    const char *clock = cJSON_GetStringValue(es_json_at(report, "clock"));
    return clock && strcmp(clock, "simulated") == 0;
}

static compare_unit read_unit(const es_compare *c, bool tables, size_t runs, size_t requests)
{
    const char *asked = c->ask.unit;
    compare_unit unit = asked ? (*asked == 't' ? COMPARE_TOKEN : strcmp(asked, "run") == 0 ? COMPARE_RUN : COMPARE_REQUEST)
        : !tables || runs >= READ_MANY ? COMPARE_RUN : requests >= READ_MANY ? COMPARE_REQUEST : COMPARE_TOKEN;
    return unit == COMPARE_TOKEN && c->metric->requests ? COMPARE_REQUEST : unit;
}

static es_code read_choose(es_compare *c, es_h5 *file, const es_json *report, es_err *err)
{
    const bool timed = read_timed(report), tables = es_h5_has(file, "/tables/tokens");
    size_t requests = 0;
    compare_row *rows = NULL;
    if (!c->metric)
        c->metric = compare_metric_at(timed ? 0 : 1);
    if (c->metric->timed && !timed)
        return es_err_set(err, ES_EINPUT, "has no times, for its clock is none; metric %s needs them", c->metric->name);
    if (!tables && c->ask.unit && strcmp(c->ask.unit, "run") != 0)
        return es_err_set(err, ES_EINPUT, "has no tables; units of a %s need observer tables", c->ask.unit);
    es_code code = tables ? read_rows(file, true, &rows, &requests, err) : ES_OK;
    free(rows);
    c->unit = read_unit(c, tables, c->group[0].runs, requests * c->group[0].runs);
    return code;
}

static es_code read_file(es_compare *c, compare_cell *cell, es_h5 *file, es_json *report, es_err *err)
{
    compare_row *rows = NULL;
    size_t count = 0;
    es_code code = c->metric && cell != c->group[0].cell ? ES_OK : read_choose(c, file, report, err);
    if (code)
        return code;
    if (c->metric->timed && !read_timed(report))
        return es_err_set(err, ES_EINPUT, "has no times, for its clock is none; others have");
    cell->tables = es_h5_has(file, "/tables/tokens");
    cell->facts = read_facts(report);
    code = compare_bounds_read(c, cell, report, err);
    if (code)
        return code;
    if (!cell->tables && c->unit != COMPARE_RUN)
        return es_err_set(err, ES_EINPUT, "has no tables, others have; run it with observer tables, or compare with --unit run");
    if (!cell->tables)
        return read_single(c->metric, cell, report, err);
    code = read_rows(file, c->metric->requests, &rows, &count, err);
    if (code == ES_OK)
        code = read_measure(c->metric, cell, rows, count, err);
    free(rows);
    return code;
}

static es_code read_cell(es_compare *c, compare_cell *cell, es_err *err)
{
    es_h5 *file = NULL;
    es_json *report = NULL;
    es_code code = es_h5_open(&file, cell->path, false, err);
    if (code)
        return code;
    code = sweep_summary(file, &report, err);
    if (code == ES_OK)
        code = read_file(c, cell, file, report, err);
    es_h5_close(file, NULL);
    cJSON_Delete(report);
    return code ? es_err_at(err, "%s", cell->path) : ES_OK;
}

/* ---- all of them ---- */

static es_code read_paired(const compare_cell *a, const compare_cell *b, es_err *err)
{
    bool same = a->rows == b->rows;
    for (size_t i = 0; same && i < a->rows; i++)
        same = a->request[i] == b->request[i];
    return same ? ES_OK : es_err_set(err, ES_EINPUT, "%s and %s did not replay the same requests (%zu and %zu rows); what is compared must", a->path, b->path, a->rows, b->rows);
}

/* Runs that not all candidates have are no pairs: the last takes the place of one that is left out. */
static void read_common(compare_group *g)
{
    for (size_t r = g->runs; r-- > 0;) {
        bool all = true;
        for (size_t k = 0; k < g->candidates; k++)
            all = all && compare_at(g, k, r)->path;
        if (all)
            continue;
        g->runs--;
        g->run[r] = g->run[g->runs];
        for (size_t k = 0; k < g->candidates; k++)
            *compare_at(g, k, r) = *compare_at(g, k, g->runs);
    }
}

static es_code read_group(es_compare *c, compare_group *g, es_err *err)
{
    es_code code = ES_OK;
    if (g->candidates < 2)
        return es_err_set(err, ES_EINPUT, "%s%s\"%s\" is alone; a comparison needs two candidates", g->name, *g->name ? ": " : "", g->candidate[0]);
    read_common(g);
    if (g->runs == 0)
        return es_err_set(err, ES_EINPUT, "%s%sno run is there for all candidates; run the rest of the sweep", g->name, *g->name ? ": " : "");
    for (size_t r = 0; r < g->runs; r++)
        for (size_t k = 0; k < g->candidates && code == ES_OK; k++) {
            code = read_cell(c, compare_at(g, k, r), err);
            if (code == ES_OK && k > 0)
                code = read_paired(compare_at(g, 0, r), compare_at(g, k, r), err);
        }
    return code;
}

es_code compare_read(es_compare *c, es_err *err)
{
    es_code code = c->groups ? ES_OK : es_err_set(err, ES_EINPUT, "there is nothing to compare");
    for (size_t g = 0; g < c->groups && code == ES_OK; g++)
        code = read_group(c, &c->group[g], err);
    return code;
}
