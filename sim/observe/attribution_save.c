/* Attribution, what is kept: curves over time, /attribution/{tokens,requests,layers,series} of result.h5, and the sums of the report.
 *
 * A cause is a column and has the same name in all of them: "dense", "wait.pcie.behind_guess"; "path.copy.pcie.guess" of the chain. Columns
 * of a channel that are 0 in all of the run are left out. */
#include "sim/observe/attribution_inside.h"
#include "sim/observe/observe.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/h5.h"

/* ---- over time ---- */

static attribution_row *bins_at(const attribution *s, uint64_t i)
{
    return (attribution_row *)(void *)((char *)s->bins.at + i * s->bins.size);
}

/* Two neighbours are one. */
static void bins_merge(attribution *s)
{
    s->bins.count /= 2;
    s->bin_width *= 2;
    for (uint64_t i = 0; i < s->bins.count; i++) {
        attribution_row *to = bins_at(s, i), *a = bins_at(s, 2 * i), *b = bins_at(s, 2 * i + 1);
        const attribution_row head = {.prompt_tokens = a->prompt_tokens + b->prompt_tokens, .decode_tokens = a->decode_tokens + b->decode_tokens,
            .start_ns = a->start_ns, .end_ns = b->end_ns};
        for (uint32_t c = 0; c < s->columns; c++)
            attribution_values(to)[c] = attribution_values(a)[c] + attribution_values(b)[c];
        *to = head;
    }
}

void attribution_bins_end(attribution *s)
{
    attribution_row *row = s->bin_left < s->bin_width ? attribution_log_add(s, &s->bins) : NULL;
    if (!row)
        return;
    *row = s->bin_row;
    memcpy(attribution_values(row), s->bin, s->columns * sizeof *s->bin);
    if (s->bins.count == (uint64_t)s->points)
        bins_merge(s);
    memset(s->bin, 0, s->columns * sizeof *s->bin);
    s->bin_left = s->bin_width;
}

void attribution_bins_add(attribution *s, const es_fact *fact)
{
    if (s->bin_left == s->bin_width)
        s->bin_row = (attribution_row){.start_ns = fact->since};
    *(fact->from == ES_DECODE ? &s->bin_row.decode_tokens : &s->bin_row.prompt_tokens) += fact->count;
    s->bin_row.end_ns = fact->at;
    for (uint32_t c = 0; c < s->columns; c++)
        s->bin[c] += s->step[c];
    if (--s->bin_left == 0)
        attribution_bins_end(s);
}

/* ---- names ---- */

enum { SAVE_NAME = 256 };

static const char *const save_cause_says[CAUSES_ONCE] = {
    "compute of the dense part", "compute of experts where demands hit", "experts or optimizer steps on the host that nothing else hides",
    "reading experts from their tier", "looking experts up", "taking victims out", "moving copies inside a tier", "asking the predictor",
};
static const char *const save_wait_says[WAITS] = {
    "waiting for a copy on its way", "waiting for a copy on its way that a guess began", "what others on the channel made that copy longer",
    "waiting in the queue behind another demand", "waiting in the queue behind a guess", "waiting for a write-back, ahead or for room",
    "waiting in the queue behind a demand of another serving tier", "waiting for room",
};
static const char *const save_way_says[WAYS] = {
    "demands on the critical path", "guesses on the critical path", "write-backs on the critical path", "lack of room on the critical path",
};

/* Is the column one of those that every run has? */
static bool save_always(const attribution *s, uint32_t column)
{
    return column < CAUSES_ONCE || (column >= s->width && column < s->width + CAUSES_ONCE);
}

/* Says what it is; NULL: of a compute unit, over which nothing is copied. */
static const char *save_name(const attribution *s, uint32_t column, char name[SAVE_NAME])
{
    const bool path = column >= s->width;
    const uint32_t at = path ? column - s->width : column;
    if (at < CAUSES_ONCE) {
        snprintf(name, SAVE_NAME, "%s%s", path ? "path." : "", attribution_causes[at]);
        return save_cause_says[at];
    }
    const uint32_t each = path ? WAYS : WAITS, channel = (at - CAUSES_ONCE) / each, kind = (at - CAUSES_ONCE) % each;
    snprintf(name, SAVE_NAME, "%s.%.200s.%s", path ? "path.copy" : "wait", s->view->channel[channel].name,
        path ? attribution_ways[kind] : attribution_waits[kind]);
    return path ? save_way_says[kind] : save_wait_says[kind];
}

/* ---- tables ---- */

typedef struct save_columns {
    es_h5_column *column;
    char (*name)[SAVE_NAME];
    size_t count;
} save_columns;

static void save_column(save_columns *columns, const char *name, es_h5_type type, size_t offset, const char *units, const char *long_name)
{
    snprintf(columns->name[columns->count], SAVE_NAME, "%s", name);
    columns->column[columns->count] = (es_h5_column){columns->name[columns->count], type, offset, 0, units, long_name};
    columns->count++;
}

/* The values of a row, of `count` columns. */
static void save_values(const attribution *s, save_columns *columns, uint32_t count)
{
    char name[SAVE_NAME];
    for (uint32_t c = 0; c < count; c++) {
        const char *says = save_name(s, c, name);
        if (save_always(s, c) || s->total[c] != 0)
            save_column(columns, name, ES_H5_I64, sizeof(attribution_row) + c * sizeof(int64_t), "ns", says);
    }
}

static es_code save_table(es_h5 *file, const char *path, const char *long_name, const save_columns *columns, const attribution_log *rows, es_err *err)
{
    es_h5_data *table = NULL;
    es_code code = es_h5_table_create(&table, file, path, columns->column, columns->count, rows->size, rows->count, err);
    if (code == ES_OK && rows->count > 0)
        code = es_h5_table_append(table, rows->count, rows->at, err);
    es_h5_data_close(table);
    if (code == ES_OK)
        code = es_h5_put_text(file, path, "units", "of each column: COLUMN.units", err);
    return code ? code : es_h5_put_text(file, path, "long_name", long_name, err);
}

#define SAVE_HEAD(field) ES_H5_I64, offsetof(attribution_row, field)
#define SAVE_ID(field) ES_H5_U32, offsetof(attribution_row, field)

static es_code save_tokens(const attribution *s, save_columns *columns, es_h5 *file, es_err *err)
{
    columns->count = 0;
    save_column(columns, "request", SAVE_ID(request), "1", "request as the trace numbers it");
    save_column(columns, "index", SAVE_ID(index), "1", "index of the token in what was replayed of its request");
    save_column(columns, "start_ns", SAVE_HEAD(start_ns), "ns", "start of its decode step");
    save_column(columns, "end_ns", SAVE_HEAD(end_ns), "ns", "end of its decode step");
    save_values(s, columns, s->columns);
    return save_table(file, "/attribution/tokens", "where the time of each decode token went; causes, and those of path., add up to end - start", columns,
        &s->tokens, err);
}

static es_code save_requests(const attribution *s, save_columns *columns, es_h5 *file, es_err *err)
{
    columns->count = 0;
    save_column(columns, "request", SAVE_ID(request), "1", "request as the trace numbers it");
    save_column(columns, "prompt_tokens", SAVE_HEAD(prompt_tokens), "1", "prompt tokens replayed");
    save_column(columns, "decode_tokens", SAVE_HEAD(decode_tokens), "1", "decode tokens replayed");
    save_column(columns, "start_ns", SAVE_HEAD(start_ns), "ns", "start of its first step");
    save_column(columns, "end_ns", SAVE_HEAD(end_ns), "ns", "end of its last step");
    save_values(s, columns, s->columns);
    return save_table(file, "/attribution/requests", "the same of each request, prompts included", columns, &s->requests, err);
}

static es_code save_series(const attribution *s, save_columns *columns, es_h5 *file, es_err *err)
{
    columns->count = 0;
    save_column(columns, "start_ns", SAVE_HEAD(start_ns), "ns", "start of the bin");
    save_column(columns, "end_ns", SAVE_HEAD(end_ns), "ns", "end of the bin");
    save_column(columns, "prompt_tokens", SAVE_HEAD(prompt_tokens), "1", "prompt tokens in it");
    save_column(columns, "decode_tokens", SAVE_HEAD(decode_tokens), "1", "decode tokens in it");
    save_values(s, columns, s->columns);
    es_code code = save_table(file, "/attribution/series", "the same over time", columns, &s->bins, err);
    return code ? code : es_h5_put_int(file, "/attribution/series", "steps_per_bin", s->bin_width, err);
}

static es_code save_layers(const attribution *s, save_columns *columns, es_h5 *file, es_err *err)
{
    const size_t size = sizeof(attribution_row) + s->width * sizeof(int64_t);
    attribution_log rows = {.at = calloc(s->view->layers, size), .size = size, .count = s->view->layers};
    if (!rows.at)
        return es_err_nomem(err, "attribution");
    for (uint32_t l = 0; l < s->view->layers; l++) {
        attribution_row *row = (attribution_row *)(void *)((char *)rows.at + l * size);
        row->request = s->view->layer_number[l];
        memcpy(attribution_values(row), s->layers + (size_t)l * s->width, s->width * sizeof(int64_t));
    }
    columns->count = 0;
    save_column(columns, "layer", SAVE_ID(request), "1", "layer as the model numbers it");
    save_values(s, columns, s->width);
    es_code code = save_table(file, "/attribution/layers", "the same of each layer, over all steps", columns, &rows, err);
    free(rows.at);
    return code;
}

es_code attribution_save(void *self, es_h5 *file, es_err *err)
{
    const attribution *s = self;
    if (!s->view->timed)
        return ES_OK;
    const size_t most = s->columns + 5;
    save_columns columns = {.column = calloc(most, sizeof *columns.column), .name = calloc(most, sizeof *columns.name)};
    es_code code = columns.column && columns.name ? es_h5_group(file, "/attribution", err) : es_err_nomem(err, "attribution");
    if (code == ES_OK)
        code = save_tokens(s, &columns, file, err);
    if (code == ES_OK)
        code = save_requests(s, &columns, file, err);
    if (code == ES_OK)
        code = save_layers(s, &columns, file, err);
    if (code == ES_OK)
        code = save_series(s, &columns, file, err);
    free(columns.column);
    free(columns.name);
    return code ? code : es_h5_put_int(file, "/attribution", "left_out", (int64_t)s->left_out, err);
}

/* ---- the report ---- */

static void report_channels(const attribution *s, es_json *out, const char *name, const int64_t *ns, uint32_t each, const char *const *kinds)
{
    es_json *all = es_json_add_object(out, name);
    for (uint32_t c = 0; c < s->waits; c++, ns += each) {
        es_json *one = s->view->channel[c].compute ? NULL : es_json_add_object(all, s->view->channel[c].name);
        for (uint32_t k = 0; one && k < each; k++)
            es_json_add_real(one, kinds[k], observe_seconds(ns[k]));
    }
}

static void report_once(es_json *out, const int64_t *ns)
{
    for (uint32_t c = 0; c < CAUSES_ONCE; c++)
        es_json_add_real(out, attribution_causes[c], observe_seconds(ns[c]));
}

/* causes and path, of columns that add up to the same. */
static void report_sums(const attribution *s, es_json *out, const char *causes, const char *path, const int64_t *ns)
{
    es_json *one = es_json_add_object(out, causes);
    report_once(one, ns);
    report_channels(s, one, "wait", ns + CAUSES_ONCE, WAITS, attribution_waits);
    one = es_json_add_object(out, path);
    report_once(one, ns + s->width);
    report_channels(s, one, "copy", ns + s->width + CAUSES_ONCE, WAYS, attribution_ways);
}

/* The decode token that took longest, and what most of that was. */
static void report_slowest(const attribution *s, es_json *out)
{
    const es_time took = s->slowest_row.end_ns - s->slowest_row.start_ns;
    char name[SAVE_NAME];
    uint32_t most = 0;
    if (took == 0) {
        cJSON_AddNullToObject(out, "slowest_token");
        return;
    }
    for (uint32_t c = 1; c < s->width; c++)
        most = s->slowest[c] > s->slowest[most] ? c : most;
    save_name(s, most, name);
    es_json *one = es_json_add_object(out, "slowest_token");
    observe_count(one, "request", s->slowest_row.request);
    observe_count(one, "index", s->slowest_row.index);
    es_json_add_real(one, "time_s", observe_seconds(took));
    es_json_add_text(one, "cause", name);
    es_json_add_real(one, "cause_s", observe_seconds(s->slowest[most]));
}

void attribution_report(void *self, es_json *out)
{
    const attribution *s = self;
    es_json *members = observe_object(out, "attribution");
    if (!s->view->timed) {
        es_json_add_text(members, "reason", "clock none has no time to attribute");
        return;
    }
    report_sums(s, members, "causes", "path", s->total);
    report_sums(s, members, "decode_causes", "decode_path", s->decode);
    report_slowest(s, members);
    observe_count(members, "left_out", s->left_out);
}
