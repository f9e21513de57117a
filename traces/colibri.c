/* colibri: one line per call of a layer and position, with as many experts as the row kept.
 *
 *     call pos layer id:weight id:weight ...
 *
 * A call is one layer for all tokens of a pass; `pos` counts them, from 0 in every call or through the request. A call whose layer is
 * not above that of the call before begins another pass. Rows may be shorter than others (top-p routing). */
#include "traces/log.h"
#include "traces/sums.h"

typedef struct colibri { es_row_stream *stream; } colibri;

typedef struct colibri_parse {
    bool any;
    uint32_t call, pos, layer;          /* of the line before */
    uint16_t id[ES_TRACE_TOP_K_MAX];
    float weight[ES_TRACE_TOP_K_MAX];
    es_sums sums;
} colibri_parse;

static const char colibri_expected[] = "\"call pos layer id:weight ...\"";

/* The pairs behind the three numbers. */
static es_code colibri_pairs(colibri_parse *parse, const char *p, const es_log *log, uint32_t *count, es_err *err)
{
    float sum = 0.0f;
    while (*p != '\0') {
        const char *field = p;
        uint32_t id = 0;
        float weight = 0.0f;
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
        sum += weight;
        p += *p == ' ';
    }
    for (uint32_t i = 0; isnan(sum) && i < *count; i++)
        if (isnan(parse->weight[i]))
            return es_err_set(err, ES_EINPUT, "expert %u of the line has the weight NaN", i + 1);
    if (*count > 0)
        es_sums_row(&parse->sums, sum, log->record);
    return *count > 0 ? ES_OK : es_err_set(err, ES_EINPUT, "lists no expert; %s is expected", colibri_expected);
}

static es_code colibri_line(es_log *log, char *line, size_t length, es_err *err)
{
    colibri_parse *parse = log->parse;
    const char *p = es_log_squeeze(line);
    uint32_t call = 0, pos = 0, layer = 0, count = 0;
    (void)length;
    es_code code = es_log_u32(&p, ' ', "call", &call, err);
    if (!code)
        code = es_log_u32(&p, ' ', "pos", &pos, err);
    if (!code)
        code = es_log_u32(&p, ' ', "layer", &layer, err);
    if (!code)
        code = colibri_pairs(parse, p, log, &count, err);
    if (code)
        return code;
    const bool same = parse->any && call == parse->call;
    if (parse->any && call < parse->call)
        return es_err_set(err, ES_EINPUT, "call %u comes after call %u; calls must ascend", call, parse->call);
    if (same && layer != parse->layer)
        return es_err_set(err, ES_EINPUT, "call %u is of layer %u, but was of layer %u before", call, layer, parse->layer);
    if (same && pos <= parse->pos)
        return es_err_set(err, ES_EINPUT, "pos %u of call %u comes after pos %u; positions of a call must ascend", pos, call, parse->pos);
    if (parse->any && !same && layer <= parse->layer)
        code = es_passes_end(log->passes, err);
    if (code)
        return code;
    parse->any = true;
    parse->call = call;
    parse->pos = pos;
    parse->layer = layer;
    return es_passes_add(log->passes, &(es_pass_row){ .layer = layer, .token = ES_PASSES_NEXT, .phase = ES_PASSES_BY_SIZE, .count = count, .ids = parse->id,
        .weights = log->ask->weights ? parse->weight : NULL, .record = log->record }, err);
}

static es_code colibri_end(es_log *log, es_err *err)
{
    (void)err;
    es_sums_tell(&((colibri_parse *)log->parse)->sums, "line", &log->notes);
    return ES_OK;
}

static const es_log_format colibri_log = {
    .name = "colibri", .expected = colibri_expected, .parse_bytes = sizeof(colibri_parse), .passes = true, .weights = true,
    .rules = { .whole_tokens = true, .weigh = true }, .line = colibri_line, .end = colibri_end,
};

static es_code colibri_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    return es_log_open(&colibri_log, &((colibri *)self)->stream, ask, arena, err);
}

static int colibri_sniff(const unsigned char *head, size_t length)
{
    const char *p = (const char *)head, *end = p + length;
    for (int i = 0; i < 4; i++) {       /* three numbers and the first id */
        while (p < end && (*p == ' ' || *p == '\t'))
            p++;
        const char *start = p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        if (p == start || p == end || (i < 3 ? *p != ' ' && *p != '\t' : *p != ':'))
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
