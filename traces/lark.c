/* lark: the route trace of L-Ark's llama.cpp (GGML_MOE_ROUTE_TRACE_OUT), one line for each slice of an expert that is used.
 *
 *     seq,expert_bytes,tensor_base,expert_idx,tensor
 *     1,4608000,0x0,17,blk.3.ffn_up_exps.weight
 *
 * Columns may stand in any order; tensor, expert_idx and expert_bytes are read. An expert has a line for each of its matrices (up, gate,
 * down, or two of them fused), which are one use here. There are no tokens: a forward pass, which ends where the block number goes back or
 * a slice comes again, is read as one token that uses the union. With --top-k a pass with a longer row is a prompt. */
#include "traces/log.h"

#include <string.h>

typedef struct lark { es_row_stream *stream; } lark;

enum { LARK_TENSOR, LARK_EXPERT, LARK_BYTES, LARK_OTHER, LARK_COLUMNS_MAX = 16, LARK_MATRICES = 4 };

typedef struct lark_parse {
    uint32_t columns;
    uint8_t column[LARK_COLUMNS_MAX];
    bool any;
    uint32_t layer, count;              /* of the row at hand */
    uint64_t record;
    uint16_t id[ES_TRACE_TOP_K_MAX];
    uint8_t seen[UINT16_MAX + 1];       /* matrices of an expert that the row has, a bit each */
    int64_t bytes[ES_TRACE_LAYERS_MAX][LARK_MATRICES];  /* of one expert's slice; 0: not seen */
} lark_parse;

static const char *const lark_name[] = { "tensor", "expert_idx", "expert_bytes" };
static const char *const lark_matrix[LARK_MATRICES] = { "gate_exps", "up_exps", "down_exps", "gate_up_exps" };

/* The columns of a header; false: it is of something else. Counts and events of a cache have such columns too. */
static bool lark_columns(const char *p, size_t length, uint8_t *column, uint32_t *columns)
{
    const char *end = p + length;
    uint32_t kinds = 0;
    for (*columns = 0; p <= end; p++) {
        const char *stop = memchr(p, ',', (size_t)(end - p));
        const size_t size = (size_t)((stop ? stop : end) - p);
        uint32_t kind = 0;
        while (kind < LARK_OTHER && !(strlen(lark_name[kind]) == size && memcmp(p, lark_name[kind], size) == 0))
            kind++;
        if (*columns == LARK_COLUMNS_MAX || (size == 5 && memcmp(p, "count", 5) == 0) || (size == 2 && memcmp(p, "op", 2) == 0) || (kind < LARK_OTHER && (kinds >> kind & 1)))
            return false;
        column[(*columns)++] = (uint8_t)kind;
        kinds |= 1u << kind;
        p += size;
    }
    return (kinds & 7) == 7;
}

/* "blk.3.ffn_up_exps.weight" */
static es_code lark_tensor(const char **p, uint32_t *layer, uint32_t *matrix, es_err *err)
{
    const char *name = *p, *at = name + 4;
    const size_t length = strcspn(name, ",");
    if (strncmp(name, "blk.", 4) == 0 && es_log_u32(&at, '.', "block", layer, NULL) == ES_OK && strncmp(at, "ffn_", 4) == 0)
        for (at += 4, *matrix = 0; *matrix < LARK_MATRICES; ++*matrix) {
            const size_t size = strlen(lark_matrix[*matrix]);
            if (strncmp(at, lark_matrix[*matrix], size) == 0 && (at[size] == '.' || at[size] == ',' || at[size] == '\0') && *layer < ES_TRACE_LAYERS_MAX) {
                *p = name + length + (name[length] == ',');
                return ES_OK;
            }
        }
    return es_err_set(err, ES_EINPUT, "tensor is \"%.*s\", not blk.N.ffn_{gate,up,down,gate_up}_exps with N below %d", length < 60 ? (int)length : 60, name, ES_TRACE_LAYERS_MAX);
}

static es_code lark_flush(es_log *log, es_err *err)
{
    lark_parse *parse = log->parse;
    if (parse->count == 0)
        return ES_OK;
    es_code code = es_passes_add(log->passes, &(es_pass_row){ .layer = parse->layer, .token = 0, .phase = ES_PASSES_BY_SIZE, .count = parse->count, .ids = parse->id,
        .record = parse->record }, err);
    if (log->ask->top_k > 0 && parse->count > log->ask->top_k)
        es_passes_phase(log->passes, ES_PREFILL);
    for (uint32_t i = 0; i < parse->count; i++)
        parse->seen[parse->id[i]] = 0;
    parse->count = 0;
    return code;
}

/* One slice into the row at hand, or into the next one. */
static es_code lark_slice(es_log *log, uint32_t layer, uint32_t matrix, uint32_t expert, es_err *err)
{
    lark_parse *parse = log->parse;
    const bool again = parse->any && layer == parse->layer && (parse->seen[expert] >> matrix & 1);
    es_code code = parse->any && (layer != parse->layer || again) ? lark_flush(log, err) : ES_OK;
    if (!code && again)
        code = es_passes_end(log->passes, err);
    if (code)
        return code;
    if (parse->count == 0)
        parse->record = log->record;
    parse->any = true;
    parse->layer = layer;
    if (parse->seen[expert] == 0) {
        if (parse->count == ES_TRACE_TOP_K_MAX)
            return es_err_set(err, ES_EINPUT, "a pass uses more than %d experts of layer %u", ES_TRACE_TOP_K_MAX, layer);
        parse->id[parse->count++] = (uint16_t)expert;
    }
    parse->seen[expert] |= (uint8_t)(1u << matrix);
    return ES_OK;
}

static es_code lark_line(es_log *log, char *line, size_t length, es_err *err)
{
    lark_parse *parse = log->parse;
    uint32_t layer = 0, matrix = 0, expert = 0, bytes = 0;
    const char *p = line;
    es_code code = ES_OK;
    if (parse->columns == 0)
        return lark_columns(line, length, parse->column, &parse->columns) ? ES_OK
            : es_err_set(err, ES_EINPUT, "a header with tensor, expert_idx and expert_bytes, each once, is expected");
    for (uint32_t i = 0; i < parse->columns && !code; i++) {
        if (*p == '\0')
            return es_err_set(err, ES_EINPUT, "has fewer fields than the header, which has %u", parse->columns);
        if (parse->column[i] == LARK_TENSOR)
            code = lark_tensor(&p, &layer, &matrix, err);
        else if (parse->column[i] == LARK_OTHER)
            p += strcspn(p, ","), p += *p == ',';
        else
            code = es_log_u32(&p, ',', lark_name[parse->column[i]], parse->column[i] == LARK_EXPERT ? &expert : &bytes, err);
    }
    if (!code && *p != '\0')
        code = es_err_set(err, ES_EINPUT, "has more fields than the header, which has %u", parse->columns);
    if (!code && expert >= ES_NO_EXPERT)
        code = es_err_set(err, ES_EINPUT, "expert_idx %u is not below %u", expert, ES_NO_EXPERT);
    if (code)
        return code;
    if (parse->bytes[layer][matrix] != 0 && parse->bytes[layer][matrix] != bytes)
        return es_err_set(err, ES_EINPUT, "expert_bytes is %u, but %lld for the same tensor before", bytes, (long long)parse->bytes[layer][matrix]);
    parse->bytes[layer][matrix] = bytes;
    return lark_slice(log, layer, matrix, expert, err);
}

static es_code lark_end(es_log *log, es_err *err)
{
    es_code code = lark_flush(log, err);
    es_assume(&log->notes, "a forward pass is read as one token that uses the union of its experts; the matrices of an expert are one use; layers are block numbers");
    if (log->ask->top_k == 0)
        es_assume(&log->notes, "all passes are read as generated tokens; with --top-k those with longer rows are prompts");
    return code;
}

/* The bytes of an expert are those of its matrices. */
static es_code lark_about(es_log *log, es_trace_info *info, es_err *err)
{
    const lark_parse *parse = log->parse;
    int64_t *bytes = ES_NEW_ARRAY(log->arena, info->layers, int64_t);
    if (!bytes)
        return es_err_nomem(err, "a trace");
    for (uint32_t i = 0; i < info->layers; i++)
        for (uint32_t m = 0; m < LARK_MATRICES; m++)
            bytes[i] += parse->bytes[info->layer_number[i]][m];
    info->expert_bytes = bytes;
    return ES_OK;
}

static const es_log_format lark_log = {
    .name = "lark", .expected = "a field for each column of the header", .parse_bytes = sizeof(lark_parse), .passes = true, .top_k = true, .rules = { .whole_tokens = true, .whole_rows = true }, .line = lark_line, .end = lark_end,
    .about = lark_about,
};

static es_code lark_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    return es_log_open(&lark_log, &((lark *)self)->stream, ask, arena, err);
}

static int lark_sniff(const unsigned char *head, size_t length)
{
    uint8_t column[LARK_COLUMNS_MAX];
    uint32_t columns;
    const size_t size = es_log_first(head, length);
    return size > 0 && lark_columns((const char *)head, size, column, &columns) ? 90 : 0;
}

const es_source es_source_lark = {
    .part = { .abi = ES_ABI, .name = "lark", .brief = "L-Ark's route trace: a line for each slice (tensor,expert_idx,expert_bytes) of an expert used.", .size = sizeof(lark), .fini = es_stream_fini },
    .sniff = lark_sniff,
    .open = lark_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "tokens, requests, phases, weights, how many experts there are",
};
