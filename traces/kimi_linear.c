/* kimi_linear: the routing tracer of pmains' llama.cpp (KIMI_TRACE_MOE), one line per token and layer of a pass.
 *
 *     phase,n_tokens,layer,token_idx,e0,e1,...[,start_pos]
 *
 * phase is prefill or decode, token_idx counts the n_tokens of the pass. The header may stand behind "# " or be missing; other lines that
 * begin with "#" are passed over. */
#include "traces/log.h"

#include <string.h>

typedef struct kimi_linear { es_row_stream *stream; } kimi_linear;

typedef struct kimi_linear_parse {
    bool start;                         /* a column start_pos stands last */
    bool any;
    uint32_t layer, token;              /* of the line before */
    uint32_t width;                     /* ids of a row; 0: none read yet */
    uint16_t id[ES_TRACE_TOP_K_MAX];
} kimi_linear_parse;

static const char kimi_linear_header[] = "phase,n_tokens,layer,token_idx,";

/* "prefill," or "decode,"; NULL: neither. */
static const char *kimi_linear_phase(const char *p, uint8_t *phase)
{
    const bool prefill = strncmp(p, "prefill,", 8) == 0, decode = strncmp(p, "decode,", 7) == 0;
    *phase = prefill ? ES_PREFILL : ES_DECODE;
    return prefill ? p + 8 : decode ? p + 7 : NULL;
}

static es_code kimi_linear_ids(kimi_linear_parse *parse, const char *p, uint32_t *count, es_err *err)
{
    es_code code = ES_OK;
    while (!code && *p != '\0' && !(parse->start && !strchr(p, ',')))
        code = es_log_id(&p, ',', parse->id, count, err);
    uint32_t start = 0;
    if (!code && parse->start)
        code = es_log_u32(&p, '\0', "start_pos", &start, err);
    if (!code && (*count == 0 || (parse->width != 0 && *count != parse->width)))
        code = es_err_set(err, ES_EINPUT, "lists %u experts, %s", *count, *count == 0 ? "needs some" : "not as many as the rows before");
    parse->width = *count;
    return code;
}

static es_code kimi_linear_line(es_log *log, char *line, size_t length, es_err *err)
{
    kimi_linear_parse *parse = log->parse;
    uint32_t tokens = 0, layer = 0, token = 0, count = 0;
    uint8_t phase;
    const char *header = line + (strncmp(line, "# ", 2) == 0 ? 2 : 0), *p;
    if (strncmp(header, kimi_linear_header, sizeof kimi_linear_header - 1) == 0) {
        parse->start = length > 10 && strcmp(line + length - 10, ",start_pos") == 0;
        return ES_OK;
    }
    if (line[0] == '#')
        return ES_OK;
    if (!(p = kimi_linear_phase(line, &phase)))
        return es_err_set(err, ES_EINPUT, "phase is \"%.*s\", not prefill or decode", (int)strcspn(line, ",") < 40 ? (int)strcspn(line, ",") : 40, line);
    es_code code = es_log_u32(&p, ',', "n_tokens", &tokens, err);
    if (!code)
        code = es_log_u32(&p, ',', "layer", &layer, err);
    if (!code)
        code = es_log_u32(&p, ',', "token_idx", &token, err);
    if (!code && token >= tokens)
        code = es_err_set(err, ES_EINPUT, "token_idx %u is not below n_tokens %u", token, tokens);
    if (!code)
        code = kimi_linear_ids(parse, p, &count, err);
    if (!code && parse->any && layer == parse->layer && token <= parse->token)
        code = es_passes_end(log->passes, err);     /* a model with one layer of experts */
    parse->any = true;
    parse->layer = layer;
    parse->token = token;
    return code ? code : es_passes_add(log->passes, &(es_pass_row){ .layer = layer, .token = token, .phase = phase, .count = count, .ids = parse->id, .record = log->record }, err);
}

static es_code kimi_linear_end(es_log *log, es_err *err)
{
    (void)err;
    es_assume(&log->notes, "layers are numbered as the log has them; ids of a row stand in its order");
    if (((const kimi_linear_parse *)log->parse)->start)
        es_assume(&log->notes, "column start_pos was left out");
    return ES_OK;
}

static const es_log_format kimi_linear_log = {
    .name = "kimi_linear", .expected = "\"phase,n_tokens,layer,token_idx,e0,...\"", .parse_bytes = sizeof(kimi_linear_parse), .passes = true, .outputs = true, .rules = { .whole_tokens = true },
    .line = kimi_linear_line, .end = kimi_linear_end,
};

static es_code kimi_linear_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    return es_log_open(&kimi_linear_log, &((kimi_linear *)self)->stream, ask, arena, err);
}

static int kimi_linear_sniff(const unsigned char *head, size_t length)
{
    const size_t skip = length > 2 && memcmp(head, "# ", 2) == 0 ? 2 : 0, most = sizeof kimi_linear_header - 1;
    if (length >= skip + most && memcmp(head + skip, kimi_linear_header, most) == 0)
        return 95;
    return length > 9 && (memcmp(head, "prefill,", 8) == 0 || memcmp(head, "decode,", 7) == 0) && head[length > 9 ? 8 : 0] <= '9' ? 70 : 0;
}

const es_source es_source_kimi_linear = {
    .part = { .abi = ES_ABI, .name = "kimi_linear", .brief = "pmains' llama.cpp tracer: phase,n_tokens,layer,token_idx,e0.. per token and layer.", .size = sizeof(kimi_linear), .fini = es_stream_fini },
    .sniff = kimi_linear_sniff,
    .open = kimi_linear_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "requests, weights, how many experts there are",
};
