/* route_trace v1, as BigMoeOnEdge writes it: a preamble with the model's shape and sizes, then one line per (token, layer, slot).
 *
 *     # route_trace v1
 *     # model=PATH arch=NAME n_layer=L n_expert=E n_expert_used=K
 *     # layer=I expert_bytes=B dense_bytes=D                  one per layer
 *     turn,phase,step,layer,slot,expert,weight,residency,expert_bytes[,dropped]
 *
 * A turn is a request, a step a position in it, a slot the rank in the router's order (0, 1, ... without a gap; fewer than K make a
 * short row). The prompt comes layer by layer, generation token by token; the lines of a layer may stand in any order, as engines write them expert by expert.
 * Lines that begin with # behind the header are comments. `expert_bytes` of a line is what was read for it and follows
 * from the residency; `dropped` experts were routed and count as such. A weight may be "nan". */
#include "traces/asked.h"
#include "traces/assume.h"
#include "traces/field.h"
#include "traces/lines.h"
#include "traces/stream.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct route_trace {
    es_row_stream *stream;              /* first: the reading half of the source works on it */
} route_trace;

typedef struct route_sizes { bool known; int64_t expert_bytes, dense_bytes; } route_sizes;

typedef struct route_parse {            /* lives while the file is read */
    es_reader *reader;
    es_row_stream *stream;              /* the state's */
    char *model;
    uint32_t layers, experts, top_k;
    route_sizes *size;                  /* [ES_TRACE_LAYERS_MAX] by layer number */
    uint32_t sized;
    bool with_dropped;
    uint64_t dropped;
    struct route_entry *entry;          /* [room] lines of the layer at hand: they may stand in any order */
    size_t entries, room;
    bool sorted;                        /* they stand in the order of steps and slots */
    es_row row;                         /* the cell whose slots are put together; row.count of them are there */
    uint16_t id[ES_TRACE_TOP_K_MAX];
    float weight[ES_TRACE_TOP_K_MAX];
    uint8_t residency[ES_TRACE_TOP_K_MAX];
} route_parse;

static const char route_header[] = "turn,phase,step,layer,slot,expert,weight,residency,expert_bytes";

/* --- preamble ------------------------------------------------------------------------------------------------------------------- */

/* " name=NUMBER" somewhere in a line. */
static bool route_value(const char *line, const char *name, int64_t *value)
{
    size_t length = strlen(name);
    for (const char *p = line; (p = strstr(p, name)) != NULL; p += length)
        if (p > line && p[-1] == ' ' && p[length] == '=') {
            const char *end = es_field_i64(p + length + 1, value);
            return end && (*end == ' ' || *end == '\0');
        }
    return false;
}

static es_code route_model(route_parse *parse, const char *line, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    int64_t layers, experts, used;
    const char *name = strstr(line, "model=") + 6, *end = name, *next;
    while ((next = strstr(end, " arch=")) != NULL)      /* a path may hold blanks, so the last one ends it */
        end = next + 1;
    size_t length = end > name ? (size_t)(end - name) - 1 : strcspn(name, " ");
    if (!route_value(line, "n_layer", &layers) || !route_value(line, "n_expert", &experts) || !route_value(line, "n_expert_used", &used))
        return es_err_set(err, ES_EINPUT, "n_layer=, n_expert= and n_expert_used= with whole numbers are expected");
    if (layers < 1 || layers > ES_TRACE_LAYERS_MAX || experts < 1 || experts > ES_TRACE_EXPERTS_MAX || used < 1 || used > ES_TRACE_TOP_K_MAX || used > experts)
        return es_err_set(err, ES_EINPUT, "n_layer=%lld n_expert=%lld n_expert_used=%lld are not 1 to %d, 1 to %d and 1 to n_expert", (long long)layers,
            (long long)experts, (long long)used, ES_TRACE_LAYERS_MAX, ES_TRACE_EXPERTS_MAX);
    parse->layers = (uint32_t)layers;
    parse->experts = (uint32_t)experts;
    parse->top_k = (uint32_t)used;
    parse->model = ES_NEW_ARRAY(arena, length + 1, char);
    if (!parse->model)
        return es_err_nomem(err, "a trace");
    memcpy(parse->model, name, length);
    return es_asked(ask, &(es_said){ .experts = parse->experts, .top_k = parse->top_k }, err);
}

static es_code route_layer(route_parse *parse, const char *line, es_err *err)
{
    int64_t layer, expert_bytes, dense_bytes;
    if (!route_value(line, "layer", &layer) || !route_value(line, "expert_bytes", &expert_bytes) || !route_value(line, "dense_bytes", &dense_bytes))
        return es_err_set(err, ES_EINPUT, "layer=, expert_bytes= and dense_bytes= with whole numbers are expected");
    if (layer >= (parse->layers ? parse->layers : ES_TRACE_LAYERS_MAX))
        return es_err_set(err, ES_EINPUT, "layer=%lld is not below n_layer=%u", (long long)layer, parse->layers);
    parse->sized += !parse->size[layer].known;
    parse->size[layer] = (route_sizes){ true, expert_bytes, dense_bytes };
    return ES_OK;
}

static es_code route_preamble(route_parse *parse, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    for (;;) {
        char *line;
        size_t length;
        es_code code = es_reader_line(parse->reader, &line, &length, err);
        if (code)
            return code;
        uint64_t number = es_reader_line_number(parse->reader);
        if (number == 0 || (line && number == 1 && strcmp(line, "# route_trace v1") != 0))
            code = es_err_set(err, ES_EINPUT, "\"# route_trace v1\" is expected");
        else if (!line)
            code = es_err_set(err, ES_EINPUT, "the file ends before the header \"%s\"", route_header);
        else if (line[0] == '#' && strncmp(line, "# model=", 8) == 0)
            code = route_model(parse, line, ask, arena, err);
        else if (line[0] == '#' && strncmp(line, "# layer=", 8) == 0)
            code = route_layer(parse, line, err);
        else if (line[0] != '#' && strncmp(line, route_header, sizeof route_header - 1) != 0)
            code = es_err_set(err, ES_EINPUT, "the header \"%s\" is expected", route_header);
        else if (line[0] != '#' && parse->top_k == 0)
            code = es_err_set(err, ES_EINPUT, "the line \"# model=... n_layer=... n_expert=... n_expert_used=...\" is missing above");
        if (code) {
            es_err_at(err, "%s: line %llu", es_reader_path(parse->reader), (unsigned long long)(number ? number : 1));
            return code;
        }
        if (line[0] != '#') {
            const char *rest = line + sizeof route_header - 1;
            parse->with_dropped = strcmp(rest, ",dropped") == 0;
            return *rest == '\0' || parse->with_dropped ? ES_OK : es_err_set(err, ES_EINPUT, "%s: line %llu: column \"%s\" is unknown; \"dropped\" may follow expert_bytes",
                es_reader_path(parse->reader), (unsigned long long)number, rest + (*rest == ','));
        }
    }
}

/* --- lines ---------------------------------------------------------------------------------------------------------------------- */

typedef struct route_entry { uint64_t record; uint32_t step; uint16_t slot, expert; float weight; uint8_t residency; } route_entry;

static int route_compare(const void *a, const void *b)
{
    const route_entry *x = a, *y = b;
    const uint64_t p = (uint64_t)x->step << 16 | x->slot, q = (uint64_t)y->step << 16 | y->slot;
    return p != q ? (p > q) - (p < q) : (x->record > y->record) - (x->record < y->record);
}

static es_code route_at(const route_parse *parse, uint64_t record, es_err *err)
{
    return es_err_at(err, "%s: line %llu", es_reader_path(parse->reader), (unsigned long long)record);
}

/* The row that is being put together, from its first entry. */
static es_code route_row(route_parse *parse, es_err *err)
{
    if (parse->row.count == 0)
        return ES_OK;
    es_code code = es_stream_add(parse->stream, &parse->row, err);
    if (code)
        route_at(parse, parse->row.record, err);
    parse->row.count = 0;
    return code;
}

/* Gives the entries that are held, of one layer: in the order of steps and slots, whatever theirs is. */
static es_code route_flush(route_parse *parse, es_err *err)
{
    es_row *row = &parse->row;
    es_code code = ES_OK;
    if (!parse->sorted && parse->entries > 1)
        qsort(parse->entry, parse->entries, sizeof *parse->entry, route_compare);
    for (size_t i = 0; i < parse->entries && !code; i++) {
        const route_entry *e = &parse->entry[i];
        if (row->count > 0 && e->step != row->position)
            code = route_row(parse, err);
        if (code)
            break;
        if (e->slot != row->count) {
            es_err_set(err, ES_EINPUT, "slot %u comes where slot %u is expected", e->slot, row->count);
            return route_at(parse, e->record, err), ES_EINPUT;
        }
        if (row->count == 0) {
            row->position = e->step;
            row->record = e->record;
        }
        parse->id[row->count] = e->expert;
        parse->weight[row->count] = e->weight;
        parse->residency[row->count] = e->residency;
        row->count++;
    }
    parse->entries = 0;
    parse->sorted = true;
    return code ? code : route_row(parse, err);
}

enum { ROUTE_TURN, ROUTE_PHASE, ROUTE_STEP, ROUTE_LAYER, ROUTE_SLOT, ROUTE_EXPERT, ROUTE_WEIGHT, ROUTE_RESIDENCY, ROUTE_BYTES, ROUTE_DROPPED, ROUTE_FIELDS };

typedef struct route_line { uint32_t field[ROUTE_FIELDS]; float weight; } route_line;

/* The fields of a line, each with the highest value it may have. */
static es_code route_fields(const route_parse *parse, const char *p, route_line *line, es_err *err)
{
    static const char *const name[ROUTE_FIELDS] = { "turn", "phase", "step", "layer", "slot", "expert", "weight", "residency", "expert_bytes", "dropped" };
    const uint32_t most[ROUTE_FIELDS] = { UINT32_MAX, 1, UINT32_MAX - 1, parse->layers - 1, parse->top_k - 1, parse->experts - 1, 0, 2, 0, 1 };
    int fields = parse->with_dropped ? ROUTE_FIELDS : ROUTE_DROPPED;
    line->field[ROUTE_DROPPED] = 0;
    for (int i = 0; i < fields; i++) {
        const char *field = p, *end;
        int64_t bytes;
        if (i == ROUTE_WEIGHT)
            end = es_field_f32(p, &line->weight);
        else if (i == ROUTE_BYTES)
            end = es_field_i64(p, &bytes);
        else
            end = es_field_u32(p, &line->field[i]);
        if (end && *end != ',' && *end != '\0' && i != ROUTE_WEIGHT && i != ROUTE_BYTES)
            end = es_field_whole(p, &line->field[i]);
        size_t length = strcspn(field, ",");
        if (!end || (size_t)(end - field) != length)
            return es_err_set(err, ES_EINPUT, "%s is \"%.*s\", not a %snumber", name[i], (int)(length < 40 ? length : 40), field, i == ROUTE_WEIGHT ? "" : "whole ");
        if (i != ROUTE_WEIGHT && i != ROUTE_BYTES && line->field[i] > most[i])
            return es_err_set(err, ES_EINPUT, "%s is %u, above %u, the highest", name[i], line->field[i], most[i]);
        if ((*end == ',') != (i + 1 < fields))
            return es_err_set(err, ES_EINPUT, "has %s than %d fields", *end == ',' ? "more" : "fewer", fields);
        p = end + 1;
    }
    return ES_OK;
}

/* Is the line of the layer, and of the token when it is generated, whose entries are held? */
static bool route_same(const route_parse *parse, const uint32_t *f)
{
    const es_row *row = &parse->row;
    return row->request == f[ROUTE_TURN] && row->layer == f[ROUTE_LAYER] && row->phase == f[ROUTE_PHASE] &&
           (row->phase == ES_PREFILL || parse->entry[parse->entries - 1].step == f[ROUTE_STEP]);
}

static es_code route_add(route_parse *parse, const route_line *line, es_err *err)
{
    const uint32_t *f = line->field;
    if (parse->entries == parse->room) {
        const size_t room = parse->room ? 2 * parse->room : 1024;
        if (!ES_TRACE_RESIZE(parse->entry, room, 1))
            return es_err_nomem(err, "the rows of a step");
        parse->room = room;
    }
    const route_entry *last = parse->entries > 0 ? &parse->entry[parse->entries - 1] : NULL;
    parse->sorted = !last ? true : parse->sorted && (f[ROUTE_STEP] > last->step || (f[ROUTE_STEP] == last->step && f[ROUTE_SLOT] > last->slot));
    parse->entry[parse->entries++] = (route_entry){ es_reader_line_number(parse->reader), f[ROUTE_STEP], (uint16_t)f[ROUTE_SLOT], (uint16_t)f[ROUTE_EXPERT], line->weight,
        (uint8_t)f[ROUTE_RESIDENCY] };
    parse->row.request = f[ROUTE_TURN];
    parse->row.layer = f[ROUTE_LAYER];
    parse->row.phase = (uint8_t)f[ROUTE_PHASE];
    parse->dropped += f[ROUTE_DROPPED];
    return ES_OK;
}

static es_code route_lines(route_parse *parse, bool lenient, es_text *notes, es_err *err)
{
    es_lines lines = { .reader = parse->reader, .notes = notes, .lenient = lenient };
    for (;;) {
        route_line fields = { .weight = 0.0f };
        char *line;
        size_t length;
        es_code code = es_lines_next(&lines, "a field for each column", &line, &length, err);
        if (code)
            return code;
        if (!line)
            return route_flush(parse, err);
        if (line[0] == '#')             /* a comment, as "# summary" at the end is one */
            continue;
        code = route_fields(parse, line, &fields, err);
        if (code)
            return es_lines_at(&lines, err), code;
        if (parse->entries > 0 && !route_same(parse, fields.field) && (code = route_flush(parse, err)) != ES_OK)
            return code;
        if ((code = route_add(parse, &fields, err)) != ES_OK)
            return es_lines_at(&lines, err), code;
    }
}

/* --- the source ----------------------------------------------------------------------------------------------------------------- */

/* The sizes of the layers that occur; a preamble that has some must have all of them. */
static es_code route_sizes_of(const route_parse *parse, es_trace_info *info, es_arena *arena, es_err *err)
{
    if (parse->sized == 0)
        return ES_OK;
    int64_t *expert_bytes = ES_NEW_ARRAY(arena, info->layers, int64_t), *dense_bytes = ES_NEW_ARRAY(arena, info->layers, int64_t);
    if (!expert_bytes || !dense_bytes)
        return es_err_nomem(err, "a trace");
    for (uint32_t i = 0; i < info->layers; i++) {
        const route_sizes *size = &parse->size[info->layer_number[i]];
        if (!size->known)
            return es_err_set(err, ES_EINPUT, "layer %u occurs, but has no line \"# layer=%u expert_bytes=... dense_bytes=...\"", info->layer_number[i], info->layer_number[i]);
        expert_bytes[i] = size->expert_bytes;
        dense_bytes[i] = size->dense_bytes;
    }
    info->expert_bytes = expert_bytes;
    info->dense_bytes = dense_bytes;
    return ES_OK;
}

static es_code route_finish(route_parse *parse, es_text *notes, es_arena *arena, es_err *err)
{
    es_code code = es_stream_finish(parse->stream, notes, err);
    if (code)
        return code;
    es_trace_info *info = es_stream_about(parse->stream);
    if (parse->dropped > 0)
        es_assume(notes, "%llu experts are marked dropped; they were routed and count as such", (unsigned long long)parse->dropped);
    info->model = parse->model;
    info->has_weights = info->has_residency = true;
    code = es_imported(info, "route_trace", parse->reader, notes, arena, err);
    return code ? code : route_sizes_of(parse, info, arena, err);
}

static es_code route_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    route_trace *state = self;
    route_parse *parse = ES_NEW(arena, route_parse);
    es_text notes = { 0 };
    if (!parse || !(parse->size = ES_NEW_ARRAY(arena, ES_TRACE_LAYERS_MAX, route_sizes)))
        return es_err_nomem(err, "a trace");
    es_code code = es_reader_open(&parse->reader, ask->path, err);
    if (!code) {
        es_reader_lenient(parse->reader, ask->lenient);
        code = route_preamble(parse, ask, arena, err);
    }
    if (!code) {
        es_trace_info shape = { .experts = parse->experts, .top_k = parse->top_k, .has_weights = ask->weights, .has_residency = ask->residency };
        parse->row = (es_row){ .step = ES_ROW_NO_STEP, .ids = parse->id, .weights = parse->weight, .residency = parse->residency };
        code = es_stream_new(&parse->stream, &shape, &(es_stream_rules){ .lenient = ask->lenient, .layers = ask->layers, .whole_rows = true, .whole_tokens = true }, err);
        state->stream = parse->stream;
    }
    if (!code)
        code = route_lines(parse, ask->lenient, &notes, err);
    if (!code && (code = route_finish(parse, &notes, arena, err)) != ES_OK)
        es_err_at(err, "%s", es_reader_path(parse->reader));
    free(parse->entry);
    es_text_free(&notes);
    es_reader_close(parse->reader);
    return code;
}

static int route_sniff(const unsigned char *head, size_t length)
{
    static const char magic[] = "# route_trace v1";
    return length >= sizeof magic - 1 && memcmp(head, magic, sizeof magic - 1) == 0 ? 100 : 0;
}

const es_source es_source_route_trace = {
    .part = { .abi = ES_ABI, .name = "route_trace", .brief = "route_trace v1 of BigMoeOnEdge: one line per token, layer and slot.", .size = sizeof(route_trace),
              .fini = es_stream_fini },
    .sniff = route_sniff,
    .open = route_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "predictions, attention, steps of several requests",
};
