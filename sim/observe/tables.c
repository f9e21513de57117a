/* Tables: one row per decode token, per request and per layer, for who wants to look closer than a summary goes. They are kept in
 * memory and saved as /tables/{tokens,requests,layers} of result.h5, fixed-width compound rows that pandas reads with [:].
 * What goes beyond `rows` tokens is left out and said; the other two tables do not grow with the trace's length. */
#include <stdlib.h>

#include "sim/base/h5.h"
#include "sim/part/observer.h"

typedef struct tables_sum {
    uint64_t lookups, hits, late;
    int64_t fetched_bytes;
} tables_sum;

typedef struct tables_token {
    uint32_t request, position;
    int64_t start_ns, end_ns, stall_ns;
    tables_sum sum;
} tables_token;

typedef struct tables_request {
    uint32_t request, prompt_tokens, decode_tokens;
    int64_t start_ns, first_token_ns, end_ns, stall_ns;
    tables_sum sum;
} tables_request;

typedef struct tables_layer {
    uint32_t layer;
    uint64_t events, perfect, zero;
    tables_sum sum;
} tables_layer;

typedef struct tables {
    int64_t most;               /* option rows */
    const es_view *view;
    tables_layer *layer;        /* [layers] */
    tables_token *token;
    tables_request *request;
    uint64_t tokens, token_room, requests, request_room, left_out;
    tables_sum step;            /* of the step at hand */
    es_time stall;              /* view->times->stall when it began */
    bool failed;                /* memory ran out */
} tables;

static const es_option tables_options[] = {
    {.name = "rows", .type = ES_OPT_INT, .offset = offsetof(tables, most), .def = 1e6, .min = 0, .max = 1e9, .unit = "tokens",
        .help = "Most rows kept of the table of tokens, and of requests."},
    {0},
};

static es_code tables_init(void *self, const es_site *site, es_err *err)
{
    tables *s = self;
    s->view = site->view;
    s->most = s->view->stream ? 0 : s->most;
    s->layer = ES_NEW_ARRAY(site->arena, s->view->layers, tables_layer);
    if (!s->layer)
        return es_err_nomem(err, "tables");
    for (uint32_t l = 0; l < s->view->layers; l++)
        s->layer[l].layer = s->view->layer_number[l];
    return ES_OK;
}

static void tables_add(tables_sum *sum, const tables_sum *more)
{
    sum->lookups += more->lookups;
    sum->hits += more->hits;
    sum->late += more->late;
    sum->fetched_bytes += more->fetched_bytes;
}

/* What the misses of an event weigh: what is neither there nor on its way. */
static int64_t tables_bytes(const es_view *view, const es_event *event)
{
    int64_t bytes = 0;
    if (view->slice == view->stride)                            /* whole experts of one precision: alike in a layer */
        return (int64_t)(event->count - event->hits - event->late) * view->bytes[event->word];
    for (uint32_t w = 0; w < event->words; w++) {
        uint64_t missed = event->mask[w] & ~event->hit[w];
        for (uint32_t t = 0; t < view->tiers && event->late > 0; t++)
            if (view->tier[t].serving)
                missed &= ~view->tier[t].inbound[event->word + w];
        bytes += __builtin_popcountll(missed) * view->bytes[event->word + w];
    }
    return bytes;
}

static void tables_use(tables *s, const es_event *event)
{
    tables_sum one = {event->count, event->hits, event->late, tables_bytes(s->view, event)};
    tables_layer *layer = &s->layer[event->layer];
    layer->events++;
    layer->perfect += event->hits == event->count;
    layer->zero += event->hits == 0;
    tables_add(&layer->sum, &one);
    tables_add(&s->step, &one);
}

/* Room for one more row of an array, doubled as it grows. */
static bool tables_room(tables *s, void **rows, uint64_t *room, uint64_t count, size_t size)
{
    if (count < *room)
        return true;
    if (count >= (uint64_t)s->most || s->failed) {
        s->left_out++;
        return false;
    }
    uint64_t more = *room ? 2 * *room : 256;
    void *grown = realloc(*rows, more * size);
    s->failed = grown == NULL;
    if (s->failed) {
        s->left_out++;
        return false;
    }
    *rows = grown;
    *room = more;
    return true;
}

static void tables_request_row(tables *s, const es_fact *fact, es_time stall)
{
    bool decode = fact->from == ES_DECODE;
    if (s->requests == 0 || s->request[s->requests - 1].request != fact->to) {
        void *rows = s->request;
        if (!tables_room(s, &rows, &s->request_room, s->requests, sizeof *s->request))
            return;
        s->request = rows;
        s->request[s->requests++] = (tables_request){.request = fact->to, .start_ns = fact->since, .first_token_ns = -1};
    }
    tables_request *row = &s->request[s->requests - 1];
    *(decode ? &row->decode_tokens : &row->prompt_tokens) += fact->count;
    if (row->first_token_ns < 0 && !decode)
        row->first_token_ns = fact->at;
    row->end_ns = fact->at;
    row->stall_ns += stall;
    tables_add(&row->sum, &s->step);
}

static void tables_step_ended(tables *s, const es_fact *fact)
{
    es_time stall = s->view->times->stall - s->stall;
    tables_request_row(s, fact, stall);
    for (uint32_t i = 0; fact->from == ES_DECODE && i < fact->count; i++) {
        void *rows = s->token;
        if (!tables_room(s, &rows, &s->token_room, s->tokens, sizeof *s->token))
            break;
        s->token = rows;
        const tables_request *request = s->requests ? &s->request[s->requests - 1] : NULL;
        s->token[s->tokens++] = (tables_token){.request = fact->to,
            .position = request ? request->prompt_tokens + request->decode_tokens - fact->count + i : 0, .start_ns = fact->since, .end_ns = fact->at,
            .stall_ns = stall, .sum = s->step};
    }
}

static void tables_notify(void *self, const es_fact *fact)
{
    tables *s = self;
    if (fact->kind == ES_FACT_USE) {
        tables_use(s, fact->event);
    } else if (fact->kind == ES_FACT_STEP_END) {
        tables_step_ended(s, fact);
    } else {
        s->step = (tables_sum){0};
        s->stall = s->view->times->stall;
    }
}

#define SUM_COLUMNS(row) \
    {"lookups", ES_H5_I64, offsetof(row, sum.lookups), 0, "1", "distinct experts looked up"}, \
    {"hits", ES_H5_I64, offsetof(row, sum.hits), 0, "1", "resident at the gate"}, \
    {"late", ES_H5_I64, offsetof(row, sum.late), 0, "1", "in flight at the gate"}, \
    {"fetched_bytes", ES_H5_I64, offsetof(row, sum.fetched_bytes), 0, "B", "bytes of what was missing"}

static const es_h5_column tables_token_columns[] = {
    {"request", ES_H5_U32, offsetof(tables_token, request), 0, "1", "request as the trace numbers it"},
    {"index", ES_H5_U32, offsetof(tables_token, position), 0, "1", "index of the token in what was replayed of its request"},
    {"start_ns", ES_H5_I64, offsetof(tables_token, start_ns), 0, "ns", "start of its decode step"},
    {"end_ns", ES_H5_I64, offsetof(tables_token, end_ns), 0, "ns", "end of its decode step"},
    {"stall_ns", ES_H5_I64, offsetof(tables_token, stall_ns), 0, "ns", "compute waited only for weights"},
    SUM_COLUMNS(tables_token),
};

static const es_h5_column tables_request_columns[] = {
    {"request", ES_H5_U32, offsetof(tables_request, request), 0, "1", "request as the trace numbers it"},
    {"prompt_tokens", ES_H5_U32, offsetof(tables_request, prompt_tokens), 0, "1", "prompt tokens replayed"},
    {"decode_tokens", ES_H5_U32, offsetof(tables_request, decode_tokens), 0, "1", "decode tokens replayed"},
    {"start_ns", ES_H5_I64, offsetof(tables_request, start_ns), 0, "ns", "start of its first step"},
    {"first_token_ns", ES_H5_I64, offsetof(tables_request, first_token_ns), 0, "ns", "end of its first prefill step; -1 without prefill"},
    {"end_ns", ES_H5_I64, offsetof(tables_request, end_ns), 0, "ns", "end of its last step"},
    {"stall_ns", ES_H5_I64, offsetof(tables_request, stall_ns), 0, "ns", "compute waited only for weights"},
    SUM_COLUMNS(tables_request),
};

static const es_h5_column tables_layer_columns[] = {
    {"layer", ES_H5_U32, offsetof(tables_layer, layer), 0, "1", "layer as the model numbers it"},
    {"events", ES_H5_I64, offsetof(tables_layer, events), 0, "1", "gates passed"},
    {"perfect", ES_H5_I64, offsetof(tables_layer, perfect), 0, "1", "events with all experts resident"},
    {"zero", ES_H5_I64, offsetof(tables_layer, zero), 0, "1", "events with none resident"},
    SUM_COLUMNS(tables_layer),
};

static es_code tables_write(es_h5 *file, const char *path, const char *long_name, const es_h5_column *columns, size_t column_count, size_t row_bytes,
    const void *rows, uint64_t count, es_err *err)
{
    es_h5_data *table = NULL;
    es_code code = es_h5_table_create(&table, file, path, columns, column_count, row_bytes, count, err);
    if (code == ES_OK && count > 0)
        code = es_h5_table_append(table, count, rows, err);
    if (table)
        es_h5_data_close(table);
    if (code == ES_OK)
        code = es_h5_put_text(file, path, "units", "of each column: COLUMN.units", err);
    return code ? code : es_h5_put_text(file, path, "long_name", long_name, err);
}

#define TABLE(name, long_name, row, rows, count) \
    tables_write(file, name, long_name, row##_columns, sizeof row##_columns / sizeof *row##_columns, sizeof(row), rows, count, err)

static es_code tables_save(void *self, es_h5 *file, es_err *err)
{
    const tables *s = self;
    es_code code;
    if ((code = es_h5_group(file, "/tables", err)) != ES_OK ||
        (code = TABLE("/tables/tokens", "one row per decode token", tables_token, s->token, s->tokens)) != ES_OK ||
        (code = TABLE("/tables/requests", "one row per request", tables_request, s->request, s->requests)) != ES_OK ||
        (code = TABLE("/tables/layers", "one row per layer", tables_layer, s->layer, s->view->layers)) != ES_OK)
        return code;
    return es_h5_put_int(file, "/tables", "left_out", (int64_t)s->left_out, err);
}

static void tables_fini(void *self)
{
    tables *s = self;
    free(s->token);
    free(s->request);
}

const es_observer es_observer_tables = {
    .part = {
        .abi = ES_ABI,
        .name = "tables",
        .brief = "One row per token, request and layer in result.h5.",
        .options = tables_options,
        .size = sizeof(tables),
        .init = tables_init,
        .notify = tables_notify,
        .fini = tables_fini,
        .hears = ES_HEARS(ES_FACT_STEP) | ES_HEARS(ES_FACT_USE) | ES_HEARS(ES_FACT_STEP_END),
    },
    .save = tables_save,
};
