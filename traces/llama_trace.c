/* llama_trace: what llama-moe-trace of llama.cpp writes (MOE_TRACE_OUT): no header, one line for each expert that a token uses.
 *
 *     layer,expert
 *
 * Nothing says where a token ends: within a layer of a pass every --top-k lines are one. The last layer has only the tokens whose
 * output is wanted (passes.h). */
#include "traces/log.h"

typedef struct llama_trace { es_row_stream *stream; } llama_trace;

typedef struct llama_trace_parse {
    uint32_t layer, count;              /* of the token that is being read */
    uint64_t record;
    uint16_t id[ES_TRACE_TOP_K_MAX];
} llama_trace_parse;

static es_code llama_trace_begin(es_log *log, es_err *err)
{
    return log->ask->top_k > 0 ? ES_OK : es_err_set(err, ES_EINPUT, "llama_trace does not say where a token ends; --top-k K says how many experts each uses");
}

static es_code llama_trace_flush(es_log *log, es_err *err)
{
    llama_trace_parse *parse = log->parse;
    const es_pass_row row = { .layer = parse->layer, .token = ES_PASSES_NEXT, .phase = ES_PASSES_BY_SIZE, .count = parse->count, .ids = parse->id, .record = parse->record };
    parse->count = 0;
    return es_passes_add(log->passes, &row, err);
}

static es_code llama_trace_line(es_log *log, char *line, size_t length, es_err *err)
{
    llama_trace_parse *parse = log->parse;
    const char *p = line;
    uint32_t layer = 0;
    (void)length;
    es_code code = es_log_u32(&p, ',', "layer", &layer, err);
    if (code)
        return code;
    if (parse->count > 0 && layer != parse->layer)
        return es_err_set(err, ES_EINPUT, "begins layer %u where expert %u of %u of a token of layer %u is expected (its first is line %llu); --top-k may be wrong", layer,
            parse->count + 1, log->ask->top_k, parse->layer, (unsigned long long)parse->record);
    if (parse->count == 0)
        parse->record = log->record;
    parse->layer = layer;
    code = es_log_id(&p, '\0', parse->id, &parse->count, err);
    return code || parse->count < log->ask->top_k ? code : llama_trace_flush(log, err);
}

/* A number of up to five digits, which `end` follows; NULL: it is another one. */
static inline const char *llama_trace_number(const char *p, char end, uint32_t *value)
{
    const char *start = p;
    uint32_t v = 0;
    for (; (unsigned)(*p - '0') <= 9; p++)
        v = v * 10 + (uint32_t)(*p - '0');
    *value = v;
    return *p == end && p > start && p - start <= 5 ? p + 1 : NULL;
}

/* Two short numbers a line and nothing else, which are most; whatever is not goes to llama_trace_line, which says what is wrong with it. */
static es_code llama_trace_lines(es_log *log, const char *text, size_t length, es_log_taken *taken, es_err *err)
{
    llama_trace_parse *parse = log->parse;
    const char *p = text, *const end = text + length;
    const uint64_t before = es_reader_line_number(log->lines.reader);
    es_code code = ES_OK;
    while (p < end && !code) {
        uint32_t layer, id;
        const char *next = llama_trace_number(p, ',', &layer);
        next = next ? llama_trace_number(next, '\n', &id) : NULL;
        if (!next || id >= ES_NO_EXPERT || parse->count == ES_TRACE_TOP_K_MAX || (parse->count > 0 && layer != parse->layer))
            break;
        p = next;
        taken->lines++;
        if (parse->count == 0)
            parse->record = before + taken->lines;
        parse->layer = layer;
        parse->id[parse->count++] = (uint16_t)id;
        code = parse->count < log->ask->top_k ? ES_OK : llama_trace_flush(log, err);
    }
    taken->bytes = (size_t)(p - text);
    return code;
}

static es_code llama_trace_end(es_log *log, es_err *err)
{
    llama_trace_parse *parse = log->parse;
    es_assume(&log->notes, "every %u lines of a layer are a token (--top-k); layers are numbered as the log has them", log->ask->top_k);
    if (parse->count > 0 && !log->lines.lenient)
        return es_err_set(err, ES_EINPUT, "the file ends inside a token that begins on line %llu: expert %u of %u is expected; --lenient leaves the token out",
            (unsigned long long)parse->record, parse->count + 1, log->ask->top_k);
    if (parse->count > 0)
        es_assume(&log->notes, "the file ends inside a token that begins on line %llu, with %u of %u experts; the row was left out", (unsigned long long)parse->record,
            parse->count, log->ask->top_k);
    return ES_OK;
}

static const es_log_format llama_trace_log = {
    .name = "llama_trace", .expected = "\"layer,expert\"", .parse_bytes = sizeof(llama_trace_parse), .passes = true, .top_k = true, .outputs = true, .rules = { .whole_tokens = true },
    .begin = llama_trace_begin, .line = llama_trace_line, .lines = llama_trace_lines, .end = llama_trace_end,
};

static es_code llama_trace_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    return es_log_open(&llama_trace_log, &((llama_trace *)self)->stream, ask, arena, err);
}

/* Two numbers on each of the first lines. */
static int llama_trace_sniff(const unsigned char *head, size_t length)
{
    size_t at = 0;
    for (int line = 0; line < 2; line++)
        for (int field = 0; field < 2; field++) {
            const size_t start = at;
            while (at < length && head[at] >= '0' && head[at] <= '9')
                at++;
            if (field == 1 && at < length && head[at] == '\r')
                at++;
            if (at == start || at >= length || head[at++] != (field == 0 ? ',' : '\n'))
                return 0;
        }
    return 60;
}

const es_source es_source_llama_trace = {
    .part = { .abi = ES_ABI, .name = "llama_trace", .brief = "llama-moe-trace of llama.cpp: layer,expert for each expert a token uses; needs --top-k.", .size = sizeof(llama_trace), .fini = es_stream_fini },
    .sniff = llama_trace_sniff,
    .open = llama_trace_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "tokens, requests, phases, weights, how many experts there are",
};
