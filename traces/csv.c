/* Neutral CSV: one row per (token, layer), a header that names the columns. Three forms, told apart by their names:
 *
 *     request_id,token_index,phase,layer,...              by request: steps follow from the requests (see stream.h)
 *     step,batch_pos,phase,layer,...                      batched: rows of one step number are one step; request = batch_pos, token = step
 *     step,request_id,token_index,phase,layer,...         both: what a server with continuous batching writes
 *
 * and then, in any order, e0..e(k-1) expert ids, w0.. gate weights, r0.. recorded residency (0 miss, 1 hit, 2 prefetched), g0..
 * experts that were predicted for this row and c0.. the confidence in them. phase is P (prompt) or D (generated). Empty id fields make a shorter row; they
 * stand at its end. For a last line without line feed see lines.h. Plain, gzip or zstd. */
#include "traces/asked.h"
#include "traces/assume.h"
#include "traces/field.h"
#include "traces/lines.h"
#include "traces/stream.h"

#include <stdio.h>

enum { CSV_COLUMNS_MAX = 5 * ES_TRACE_TOP_K_MAX + 8, CSV_HEADER = 4096 };     /* CSV_HEADER: bytes of one that does not begin as ours do */

typedef enum csv_kind {
    CSV_STEP, CSV_REQUEST, CSV_POSITION, CSV_PHASE, CSV_LAYER, CSV_ID, CSV_WEIGHT, CSV_RESIDENCY, CSV_GUESS, CSV_CONFIDENCE, CSV_UNREAD, CSV_KINDS
} csv_kind;

typedef struct csv_column { uint8_t kind; uint16_t index; } csv_column;

typedef struct csv {
    es_row_stream *stream;              /* first: the reading half of the source works on it */
} csv;

typedef struct csv_parse {              /* lives while the file is read */
    es_reader *reader;
    es_row_stream *stream;              /* the state's */
    csv_column *column;
    uint32_t columns;
    uint32_t width[CSV_KINDS];          /* how many columns of each kind the header has */
    bool batched;
    bool weights, residency, guesses;   /* asked for and there */
    uint16_t *id, *guess;               /* the row that is being read */
    float *weight, *confidence;
    uint32_t weighed, weighed_to;       /* weights of the row at hand: how many, and the place behind the last */
    uint8_t *residence;
    char header[64];                    /* its first columns, for messages */
} csv_parse;

/* Fields without blanks and quotes around them, as Python and spreadsheets write some, in place. */
static void csv_plain(char *line)
{
    char *to = line;
    if (!strpbrk(line, " \t\""))
        return;
    for (const char *p = line; ; p++) {
        const char *end = p + strcspn(p, ","), *next = end;
        for (; p < end && (*p == ' ' || *p == '\t'); p++)
            ;
        for (; end > p && (end[-1] == ' ' || end[-1] == '\t'); end--)
            ;
        const bool quoted = end - p >= 2 && *p == '"' && end[-1] == '"';
        for (const char *from = p + quoted; from < end - quoted; from++)
            *to++ = *from;
        p = next;
        if (*p == '\0')
            break;
        *to++ = ',';
    }
    *to = '\0';
}

/* --- header --------------------------------------------------------------------------------------------------------------------- */

static const char *const csv_word[] = { "step", "request_id", "token_index", "phase", "layer" };
static const char csv_letter[] = "ewrgc";  /* of CSV_ID ... CSV_CONFIDENCE */

static es_code csv_name(csv_parse *parse, const char *name, size_t length, csv_column *column, es_err *err)
{
    char word[32] = "";
    if (length < sizeof word)
        memcpy(word, name, length);
    for (int i = 0; i < 5; i++)
        if (strcmp(word, csv_word[i]) == 0) {
            *column = (csv_column){ (uint8_t)(CSV_STEP + i), 0 };
            return ES_OK;
        }
    if (strcmp(word, "batch_pos") == 0) {
        parse->batched = true;
        *column = (csv_column){ CSV_REQUEST, 0 };
        return ES_OK;
    }
    const char *letter = word[0] ? strchr(csv_letter, word[0]) : NULL, *end;
    uint32_t index;
    if (letter && (end = es_field_u32(word + 1, &index)) != NULL && *end == '\0' && index < ES_TRACE_TOP_K_MAX) {
        *column = (csv_column){ (uint8_t)(CSV_ID + (letter - csv_letter)), (uint16_t)index };
        return ES_OK;
    }
    return es_err_set(err, ES_EINPUT, "column \"%.*s\" is unknown; columns are step, request_id, token_index, batch_pos, phase, layer, e0, w0, r0, g0, c0 and so on",
        (int)(length < 40 ? length : 40), name);
}

/* Each column once, and those of a list numbered from 0 without a gap. */
static es_code csv_header_check(csv_parse *parse, es_err *err)
{
    uint32_t *width = parse->width;
    for (uint32_t i = 0; i < parse->columns; i++)
        for (uint32_t j = 0; j < i; j++)
            if (parse->column[i].kind == parse->column[j].kind && parse->column[i].index == parse->column[j].index)
                return es_err_set(err, ES_EINPUT, "column %u is there twice", i + 1);
    for (uint32_t i = 0; i < parse->columns; i++)
        if (parse->column[i].index >= width[parse->column[i].kind])
            return es_err_set(err, ES_EINPUT, "columns %c0 to %c%u are not all there", csv_letter[parse->column[i].kind - CSV_ID],
                csv_letter[parse->column[i].kind - CSV_ID], parse->column[i].index);
    for (int i = CSV_REQUEST; i <= CSV_LAYER; i++)
        if (width[i] == 0 && !(parse->batched && i == CSV_POSITION))
            return es_err_set(err, ES_EINPUT, "column %s is missing", csv_word[i]);
    if (parse->batched && (width[CSV_STEP] == 0 || width[CSV_POSITION] != 0))
        return es_err_set(err, ES_EINPUT, "batch_pos goes with step and without token_index");
    if (width[CSV_ID] == 0)
        return es_err_set(err, ES_EINPUT, "column e0 is missing");
    for (int i = CSV_WEIGHT; i <= CSV_RESIDENCY; i++)
        if (width[i] != 0 && width[i] != width[CSV_ID])
            return es_err_set(err, ES_EINPUT, "there are %u columns e0.. but %u columns %c0..", width[CSV_ID], width[i], csv_letter[i - CSV_ID]);
    if (width[CSV_CONFIDENCE] != 0 && width[CSV_CONFIDENCE] != width[CSV_GUESS])
        return es_err_set(err, ES_EINPUT, "there are %u columns g0.. but %u columns c0..", width[CSV_GUESS], width[CSV_CONFIDENCE]);
    return ES_OK;
}

static es_code csv_header(csv_parse *parse, es_arena *arena, es_err *err)
{
    char *line;
    size_t length;
    es_code code = es_reader_line(parse->reader, &line, &length, err);
    if (code)
        return code;
    if (!line || length == 0)
        return es_err_set(err, ES_EINPUT, "%s: line 1: the header is missing", es_reader_path(parse->reader));
    csv_plain(line);
    parse->column = ES_NEW_ARRAY(arena, CSV_COLUMNS_MAX, csv_column);
    if (!parse->column)
        return es_err_nomem(err, "a trace");
    for (const char *name = line, *end; !code; name = end + 1) {
        end = strchr(name, ',');
        if (parse->columns == CSV_COLUMNS_MAX)
            code = es_err_set(err, ES_EINPUT, "there are more than %d columns", CSV_COLUMNS_MAX);
        else
            code = csv_name(parse, name, end ? (size_t)(end - name) : strlen(name), &parse->column[parse->columns], err);
        if (!code)
            parse->width[parse->column[parse->columns++].kind]++;
        if (!end)
            break;
    }
    if (!code)
        code = csv_header_check(parse, err);
    if (code)
        es_err_at(err, "%s: line 1", es_reader_path(parse->reader));
    return code;
}

/* --- rows ----------------------------------------------------------------------------------------------------------------------- */

static es_code csv_fault(const csv_parse *parse, uint32_t column, const char *field, const char *right, es_err *err)
{
    const csv_column *c = &parse->column[column];
    char name[32];
    if (c->kind >= CSV_ID)
        snprintf(name, sizeof name, "%c%u", csv_letter[c->kind - CSV_ID], c->index);
    else
        snprintf(name, sizeof name, "%s", parse->batched && c->kind == CSV_REQUEST ? "batch_pos" : csv_word[c->kind]);
    return es_err_set(err, ES_EINPUT, "%s is \"%.*s\", not %s", name, (int)(strcspn(field, ",") < 40 ? strcspn(field, ",") : 40), field, right);
}

/* An id of a row or of its guesses; `count` is how many stand before it. */
static const char *csv_id(const char *p, uint32_t index, uint16_t *to, uint32_t *count, const char **right)
{
    uint32_t id;
    if (*p == ',' || *p == '\0')
        return p;
    *right = "a whole number below 65535";
    p = es_field_u32(p, &id);
    if (!p || id >= ES_NO_EXPERT)
        return NULL;
    if (index != *count) {              /* columns may stand in any order, but then no row can be short */
        *right = "empty, as the id before it is";
        return NULL;
    }
    to[index] = (uint16_t)id;
    *count = index + 1;
    return p;
}

static const char *csv_real(const char *p, float *to)
{
    *to = NAN;
    return *p == ',' || *p == '\0' ? p : es_field_f32(p, to);
}

static const char *csv_weight(csv_parse *parse, const char *p, uint32_t index)
{
    if (*p != ',' && *p != '\0') {
        parse->weighed++;
        parse->weighed_to = index >= parse->weighed_to ? index + 1 : parse->weighed_to;
    }
    return csv_real(p, &parse->weight[index]);
}

/* A row has a weight for each of its ids, or none: then they are not known. */
static es_code csv_weighed(const csv_parse *parse, uint32_t count, es_err *err)
{
    if (parse->weighed == 0 || (parse->weighed == count && parse->weighed_to == count))
        return ES_OK;
    if (parse->weighed == count)
        return es_err_set(err, ES_EINPUT, "has a weight w%u, but no expert e%u", parse->weighed_to - 1, parse->weighed_to - 1);
    return es_err_set(err, ES_EINPUT, "has %u weights for %u experts", parse->weighed, count);
}

/* A field that is no plain number may be a whole one all the same, 33.0 or 33e0, where one is meant: behind it. */
__attribute__((noinline, cold)) static const char *csv_other(csv_parse *parse, const csv_column *column, const char *field, es_row *row)
{
    uint32_t *const to[CSV_KINDS] = { [CSV_STEP] = &row->step, [CSV_REQUEST] = &row->request, [CSV_POSITION] = &row->position, [CSV_LAYER] = &row->layer };
    const csv_kind kind = (csv_kind)column->kind;
    const bool id = kind == CSV_ID || kind == CSV_GUESS;
    uint32_t number = 0, *count = kind == CSV_GUESS ? &row->guesses : &row->count;
    const char *end = id || to[kind] ? es_field_whole(field, &number) : NULL;
    if (!end || (*end != ',' && *end != '\0') || (id && number >= ES_NO_EXPERT) || (kind == CSV_STEP && number == ES_ROW_NO_STEP))
        return NULL;
    if (!id) {
        *to[kind] = number;
        return end;
    }
    if (column->index != *count && column->index + 1u != *count)    /* the second: its first digits were read as one */
        return NULL;
    (kind == CSV_ID ? parse->id : parse->guess)[column->index] = (uint16_t)number;
    *count = column->index + 1u;
    return end;
}

static es_code csv_row(csv_parse *parse, const char *p, es_row *row, es_err *err)
{
    const csv_column *column = parse->column;
    parse->weighed = parse->weighed_to = 0;
    for (uint32_t i = 0; i < parse->columns; i++) {
        const char *field = p, *right = "a whole number";
        uint32_t number = 0;
        if (i > 0) {
            if (*p != ',')
                return es_err_set(err, ES_EINPUT, "has %u fields, the header has %u", i, parse->columns);
            field = ++p;
        }
        switch ((csv_kind)column[i].kind) {
        case CSV_ID:
            p = csv_id(p, column[i].index, parse->id, &row->count, &right);
            break;
        case CSV_UNREAD:
            while (*p != ',' && *p != '\0')
                p++;
            break;
        case CSV_WEIGHT:
            right = "a number";
            p = csv_weight(parse, p, column[i].index);
            break;
        case CSV_RESIDENCY:
            right = "0 (miss), 1 (hit) or 2 (prefetched)";
            if (*p != ',' && *p != '\0')
                p = es_field_u32(p, &number);
            if (number > 2)
                p = NULL;
            parse->residence[column[i].index] = (uint8_t)number;
            break;
        case CSV_GUESS:
            p = csv_id(p, column[i].index, parse->guess, &row->guesses, &right);
            break;
        case CSV_CONFIDENCE:
            right = "a number";
            p = csv_real(p, &parse->confidence[column[i].index]);
            break;
        case CSV_PHASE:
            right = "P (prompt) or D (generated)";
            row->phase = *p == 'P' ? ES_PREFILL : ES_DECODE;
            p = *p == 'P' || *p == 'D' ? p + 1 : NULL;
            break;
        case CSV_STEP:
            p = es_field_u32(p, &row->step);
            if (row->step == ES_ROW_NO_STEP)
                p = NULL;
            break;
        case CSV_REQUEST:
            p = es_field_u32(p, &row->request);
            break;
        case CSV_POSITION:
            p = es_field_u32(p, &row->position);
            break;
        case CSV_LAYER:
            p = es_field_u32(p, &row->layer);
            break;
        case CSV_KINDS:
            break;
        }
        if ((!p || (*p != ',' && *p != '\0')) && !(p = csv_other(parse, &column[i], field, row)))
            return csv_fault(parse, i, field, right, err);
    }
    return *p == '\0' ? ES_OK : es_err_set(err, ES_EINPUT, "has more fields than the header, which has %u", parse->columns);
}

static es_code csv_line(csv_parse *parse, const char *line, es_err *err)
{
    es_row row = { .step = parse->width[CSV_STEP] ? 0 : ES_ROW_NO_STEP, .ids = parse->id, .record = es_reader_line_number(parse->reader) };
    row.weights = parse->weights ? parse->weight : NULL;
    row.residency = parse->residency ? parse->residence : NULL;
    row.guess = parse->guess;
    row.guess_confidence = parse->guesses && parse->width[CSV_CONFIDENCE] ? parse->confidence : NULL;
    es_code code = csv_row(parse, line, &row, err);
    if (parse->batched)
        row.position = row.step;
    if (!code && parse->weights)
        code = csv_weighed(parse, row.count, err);
    return code ? code : es_stream_add(parse->stream, &row, err);
}

static es_code csv_lines(csv_parse *parse, bool lenient, es_text *notes, es_err *err)
{
    es_lines lines = { .reader = parse->reader, .notes = notes, .lenient = lenient };
    for (;;) {
        char *line;
        size_t length;
        es_code code = es_lines_next(&lines, "a field for each column", &line, &length, err);
        if (code || !line)
            return code;
        csv_plain(line);
        code = csv_line(parse, line, err);
        if (code)
            return es_lines_at(&lines, err), code;
    }
}

/* --- the source ----------------------------------------------------------------------------------------------------------------- */

/* What was not asked for is passed over, and what will be kept has its room. */
static es_code csv_begin(csv_parse *parse, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    if (es_asked(ask, &(es_said){ .top_k = parse->width[CSV_ID] }, err))
        return es_err_at(err, "%s: the header", ask->path), ES_EINPUT;
    parse->weights = ask->weights && parse->width[CSV_WEIGHT];
    parse->residency = ask->residency && parse->width[CSV_RESIDENCY];
    parse->guesses = ask->guesses && parse->width[CSV_GUESS];
    for (uint32_t i = 0; i < parse->columns; i++) {
        csv_kind kind = (csv_kind)parse->column[i].kind;
        if ((kind == CSV_WEIGHT && !parse->weights) || (kind == CSV_RESIDENCY && !parse->residency) || (kind >= CSV_GUESS && !parse->guesses))
            parse->column[i] = (csv_column){ CSV_UNREAD, 0 };
    }
    parse->id = ES_NEW_ARRAY(arena, ES_TRACE_TOP_K_MAX, uint16_t);
    parse->guess = ES_NEW_ARRAY(arena, ES_TRACE_TOP_K_MAX, uint16_t);
    parse->weight = ES_NEW_ARRAY(arena, ES_TRACE_TOP_K_MAX, float);
    parse->confidence = ES_NEW_ARRAY(arena, ES_TRACE_TOP_K_MAX, float);
    parse->residence = ES_NEW_ARRAY(arena, ES_TRACE_TOP_K_MAX, uint8_t);
    if (!parse->id || !parse->guess || !parse->weight || !parse->confidence || !parse->residence)
        return es_err_nomem(err, "a trace");
    es_trace_info shape = { .experts = ask->experts, .top_k = parse->width[CSV_ID], .guesses = parse->guesses ? parse->width[CSV_GUESS] : 0,
        .has_weights = parse->weights, .has_residency = parse->residency };
    return es_stream_new(&parse->stream, &shape, &(es_stream_rules){ .lenient = ask->lenient, .whole_tokens = true, .layers = ask->layers }, err);
}

static es_code csv_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    csv *state = self;
    csv_parse parse = { 0 };
    es_text notes = { 0 };
    es_code code = es_reader_open(&parse.reader, ask->path, err);
    if (!code) {
        es_reader_lenient(parse.reader, ask->lenient);
        code = csv_header(&parse, arena, err);
    }
    if (!code)
        code = csv_begin(&parse, ask, arena, err);
    if (!code)
        code = csv_lines(&parse, ask->lenient, &notes, err);
    state->stream = parse.stream;
    if (!code && (code = es_stream_finish(parse.stream, &notes, err)) != ES_OK)
        es_err_at(err, "%s", es_reader_path(parse.reader));
    if (!code) {
        es_trace_info *info = es_stream_about(state->stream);
        info->has_weights = parse.width[CSV_WEIGHT] > 0;
        info->has_residency = parse.width[CSV_RESIDENCY] > 0;
        info->guesses = parse.width[CSV_GUESS];
        code = es_imported(info, "csv", parse.reader, &notes, arena, err);
    }
    es_text_free(&notes);
    es_reader_close(parse.reader);
    return code;
}

static bool csv_named(const char *line, const char *name)
{
    const size_t length = strlen(name);
    for (const char *p = line; (p = strchr(p, ',')) != NULL; p++)
        if (strncmp(p + 1, name, length) == 0 && p[1 + length] == ',')
            return true;
    return false;
}

/* The names of its columns, which may stand in any order. */
static int csv_sniff(const unsigned char *head, size_t length)
{
    static const char *const begin[] = { "request_id,token_index,", "step,batch_pos,", "step,request_id," }, *const need[] = { "phase", "layer", "e0" };
    char line[CSV_HEADER + 3] = ",";
    const unsigned char *end = memchr(head, '\n', length);
    size_t size = end ? (size_t)(end - head) : length;
    for (size_t i = 0; i < sizeof begin / sizeof begin[0]; i++)
        if (length >= strlen(begin[i]) && memcmp(head, begin[i], strlen(begin[i])) == 0)
            return 95;
    if (size > CSV_HEADER || memchr(head, '\0', size))
        return 0;
    memcpy(line + 1, head, size);
    size -= size > 0 && line[size] == '\r';
    line[size + 1] = '\0';
    csv_plain(line + 1);
    strcat(line, ",");
    bool all = csv_named(line, "request_id") ? csv_named(line, "token_index") : csv_named(line, "batch_pos") && csv_named(line, "step");
    for (size_t i = 0; i < sizeof need / sizeof need[0]; i++)
        all = all && csv_named(line, need[i]);
    return all ? 90 : 0;
}

const es_source es_source_csv = {
    .part = { .abi = ES_ABI, .name = "csv", .brief = "Neutral CSV: one row per token and layer; plain, gzip or zstd.", .size = sizeof(csv),
              .fini = es_stream_fini },
    .sniff = csv_sniff,
    .open = csv_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "bytes of experts, the model's name, attention",
};
