/* colibri: one line per call of a layer and position, with as many experts as the row kept.
 *
 *     call pos layer id:weight id:weight ...
 *
 * A call is one layer for all tokens of a pass; `pos` counts them, from 0 in every call or through the request. A call whose layer is
 * not above that of the call before begins another pass. Rows may be shorter than others (top-p routing). */
#include "traces/assume.h"
#include "traces/field.h"
#include "traces/lines.h"
#include "traces/passes.h"

typedef struct colibri { es_row_stream *stream; } colibri;

typedef struct colibri_parse {          /* lives while the file is read */
    es_lines lines;
    es_row_stream *stream;
    es_passes *passes;
    bool any;
    uint32_t call, pos, layer;          /* of the line before */
    uint16_t id[ES_TRACE_TOP_K_MAX];
    float weight[ES_TRACE_TOP_K_MAX];
} colibri_parse;

static const char colibri_expected[] = "\"call pos layer id:weight ...\"";

/* The pairs behind the three numbers. */
static es_code colibri_pairs(colibri_parse *parse, const char *p, uint32_t *count, es_err *err)
{
    while (*p == ' ') {
        const char *field = ++p;
        uint32_t id = 0;
        float weight = 0.0f;
        if (*field == '\0')
            break;                      /* a blank at the end */
        if (*count == ES_TRACE_TOP_K_MAX)
            return es_err_set(err, ES_EINPUT, "lists more than %d experts", ES_TRACE_TOP_K_MAX);
        p = es_field_u32(p, &id);
        if (p && *p == ':')
            p = es_field_f32(p + 1, &weight);
        else
            p = NULL;
        if (!p || (*p != ' ' && *p != '\0') || id >= ES_NO_EXPERT)
            return es_err_set(err, ES_EINPUT, "expert %u of the line is \"%.*s\", not id:weight", *count + 1, (int)strcspn(field, " ") < 40 ? (int)strcspn(field, " ") : 40, field);
        parse->id[*count] = (uint16_t)id;
        parse->weight[(*count)++] = weight;
    }
    if (*p != '\0')
        return es_err_set(err, ES_EINPUT, "holds \"%.20s\" where %s is expected", p, colibri_expected);
    return *count > 0 ? ES_OK : es_err_set(err, ES_EINPUT, "lists no expert; %s is expected", colibri_expected);
}

static es_code colibri_line(colibri_parse *parse, const char *p, es_err *err)
{
    uint32_t head[3] = { 0, 0, 0 }, count = 0;
    for (int i = 0; i < 3; i++) {
        const char *next = es_field_u32(p, &head[i]);
        if (!next || (*next != ' ' && *next != '\0'))
            return es_err_set(err, ES_EINPUT, "%s is \"%.*s\", not a whole number", i == 0 ? "call" : i == 1 ? "pos" : "layer", (int)strcspn(p, " ") < 40 ? (int)strcspn(p, " ") : 40, p);
        p = next + (i < 2 && *next == ' ');
    }
    const bool same = parse->any && head[0] == parse->call;
    if (parse->any && head[0] < parse->call)
        return es_err_set(err, ES_EINPUT, "call %u comes after call %u; calls must ascend", head[0], parse->call);
    if (same && head[2] != parse->layer)
        return es_err_set(err, ES_EINPUT, "call %u is of layer %u, but was of layer %u before", head[0], head[2], parse->layer);
    if (same && head[1] <= parse->pos)
        return es_err_set(err, ES_EINPUT, "pos %u of call %u comes after pos %u; positions of a call must ascend", head[1], head[0], parse->pos);
    es_code code = colibri_pairs(parse, p, &count, err);
    if (!code && parse->any && !same && head[2] <= parse->layer)
        code = es_passes_end(parse->passes, err);
    if (code)
        return code;
    parse->any = true;
    parse->call = head[0];
    parse->pos = head[1];
    parse->layer = head[2];
    return es_passes_add(parse->passes, &(es_pass_row){ .layer = head[2], .token = ES_PASSES_NEXT, .phase = ES_PASSES_BY_SIZE, .count = count, .ids = parse->id,
        .weights = parse->weight, .record = es_reader_line_number(parse->lines.reader) }, err);
}

static es_code colibri_read(colibri_parse *parse, es_err *err)
{
    for (;;) {
        char *line;
        size_t length;
        es_code code = es_lines_next(&parse->lines, colibri_expected, &line, &length, err);
        if (code)
            return code;
        if (line && (code = colibri_line(parse, line, err)) != ES_OK)
            return es_lines_at(&parse->lines, err), code;
        if (!line) {
            code = es_passes_end(parse->passes, err);
            return code ? (es_lines_at(&parse->lines, err), code) : ES_OK;
        }
    }
}

static es_code colibri_finish(colibri_parse *parse, es_text *notes, es_arena *arena, es_err *err)
{
    es_passes_tell(parse->passes, notes);
    es_assume(notes, "layers are numbered as the log has them");
    es_code code = es_stream_finish(parse->stream, notes, err);
    if (code)
        return es_err_at(err, "%s", es_reader_path(parse->lines.reader)), code;
    es_trace_info *info = es_stream_about(parse->stream);
    info->has_weights = true;
    return es_imported(info, "colibri", parse->lines.reader, notes, arena, err);
}

static es_code colibri_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    colibri *state = self;
    es_text notes = { 0 };
    colibri_parse *parse = ES_NEW(arena, colibri_parse);
    if (!parse)
        return es_err_nomem(err, "a trace");
    parse->lines = (es_lines){ .notes = &notes, .lenient = ask->lenient };
    const es_trace_info shape = { .experts = ask->experts, .top_k = ask->top_k, .has_weights = ask->weights };
    es_code code = es_reader_open(&parse->lines.reader, ask->path, err);
    if (!code)
        code = es_stream_new(&state->stream, &shape, &(es_stream_rules){ .whole_tokens = true, .weigh = true, .lenient = ask->lenient }, err);
    parse->stream = state->stream;
    if (!code)
        code = es_passes_new(&parse->passes, parse->stream, err);
    if (!code)
        code = colibri_read(parse, err);
    if (!code)
        code = colibri_finish(parse, &notes, arena, err);
    es_passes_free(parse->passes);
    es_reader_close(parse->lines.reader);
    es_text_free(&notes);
    return code;
}

static int colibri_sniff(const unsigned char *head, size_t length)
{
    const char *p = (const char *)head, *end = p + length;
    for (int i = 0; i < 4; i++) {       /* three numbers and the first id */
        const char *start = p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        if (p == start || p == end || *p != (i < 3 ? ' ' : ':'))
            return 0;
        p++;
    }
    return p < end && ((*p >= '0' && *p <= '9') || *p == '.' || *p == 'n') ? 85 : 0;
}

const es_source es_source_colibri = {
    .part = { .abi = ES_ABI, .name = "colibri", .brief = "colibri route log: call pos layer id:weight ... per token and layer.", .size = sizeof(colibri), .fini = es_stream_fini },
    .sniff = colibri_sniff,
    .open = colibri_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "requests, phases, positions, how many experts there are",
};
