/* moepager: logs with a line for each expert of a token, and a header that names the columns.
 *
 *     token,layer,expert,t_ns                 moepager (its moe_trace tool)
 *     phase,token,layer,rank,expert           a fork of llama-moe-trace
 *     token,layer,expert                      triples of smaller engines
 *
 * Columns may stand in any order. A row of the trace is the lines that stand together for one token and layer; tokens may come in any
 * order. `rank` must count them from 0; what other columns hold is left out. */
#include "traces/log.h"

#include <string.h>

typedef struct moepager { es_row_stream *stream; } moepager;

enum { MOEPAGER_PHASE, MOEPAGER_TOKEN, MOEPAGER_LAYER, MOEPAGER_RANK, MOEPAGER_EXPERT, MOEPAGER_OTHER, MOEPAGER_KINDS };
enum { MOEPAGER_COLUMNS_MAX = 32 };

typedef struct moepager_parse {
    uint32_t columns, kinds;            /* kinds: a bit each */
    uint8_t column[MOEPAGER_COLUMNS_MAX];
    es_row row;                         /* that is being read; row.count of its ids are there */
    uint16_t id[ES_TRACE_TOP_K_MAX];
} moepager_parse;

static const char *const moepager_name[MOEPAGER_KINDS] = { "phase", "token", "layer", "rank", "expert" };

/* The kinds of the columns of a header, as bits; 0: it lacks one that is needed, or has one twice. */
static uint32_t moepager_header(const char *p, size_t length, uint8_t *column, uint32_t *columns)
{
    const char *end = p + length;
    uint32_t kinds = 0;
    for (*columns = 0; p <= end; p++) {
        const char *stop = memchr(p, ',', (size_t)(end - p));
        const size_t size = (size_t)((stop ? stop : end) - p);
        uint32_t kind = 0;
        while (kind < MOEPAGER_OTHER && !(strlen(moepager_name[kind]) == size && memcmp(p, moepager_name[kind], size) == 0))
            kind++;
        if (*columns == MOEPAGER_COLUMNS_MAX || (kind < MOEPAGER_OTHER && (kinds >> kind & 1)))
            return 0;
        column[(*columns)++] = (uint8_t)kind;
        kinds |= 1u << kind;
        p += size;
    }
    const uint32_t needed = 1u << MOEPAGER_TOKEN | 1u << MOEPAGER_LAYER | 1u << MOEPAGER_EXPERT;
    return (kinds & needed) == needed ? kinds : 0;
}

static es_code moepager_flush(es_log *log, es_err *err)
{
    moepager_parse *parse = log->parse;
    if (parse->row.count == 0)
        return ES_OK;
    es_code code = es_stream_add(log->stream, &parse->row, err);
    if (code)
        es_err_at(err, "the row that begins on line %llu", (unsigned long long)parse->row.record);
    parse->row.count = 0;
    return code;
}

static es_code moepager_phase(const char **p, uint32_t *phase, es_err *err)
{
    static const char *const words[] = { "prefill", "prompt", "P", "0", "decode", "generated", "D", "1" };
    const size_t length = strcspn(*p, ",");
    for (uint32_t i = 0; i < 8; i++)
        if (strlen(words[i]) == length && memcmp(*p, words[i], length) == 0) {
            *phase = i < 4 ? ES_PREFILL : ES_DECODE;
            *p += length + ((*p)[length] == ',');
            return ES_OK;
        }
    return es_err_set(err, ES_EINPUT, "phase is \"%.*s\", not prefill or decode", length < 40 ? (int)length : 40, *p);
}

static es_code moepager_fields(const moepager_parse *parse, const char *p, uint32_t field[MOEPAGER_KINDS], es_err *err)
{
    es_code code = ES_OK;
    for (uint32_t i = 0; i < parse->columns && !code; i++) {
        const uint8_t kind = parse->column[i];
        if (*p == '\0')
            return es_err_set(err, ES_EINPUT, "has fewer fields than the header, which has %u", parse->columns);
        if (kind == MOEPAGER_PHASE)
            code = moepager_phase(&p, &field[kind], err);
        else if (kind == MOEPAGER_OTHER)
            p += strcspn(p, ","), p += *p == ',';
        else
            code = es_log_u32(&p, ',', moepager_name[kind], &field[kind], err);
    }
    return code || *p == '\0' ? code : es_err_set(err, ES_EINPUT, "has more fields than the header, which has %u", parse->columns);
}

static es_code moepager_line(es_log *log, char *line, size_t length, es_err *err)
{
    moepager_parse *parse = log->parse;
    es_row *row = &parse->row;
    uint32_t field[MOEPAGER_KINDS] = { [MOEPAGER_PHASE] = ES_DECODE };
    if (parse->columns == 0) {
        parse->kinds = moepager_header(line, length, parse->column, &parse->columns);
        return parse->kinds ? ES_OK : es_err_set(err, ES_EINPUT, "a header with token, layer and expert, each once, is expected");
    }
    es_code code = moepager_fields(parse, line, field, err);
    if (code)
        return code;
    const bool same = row->count > 0 && row->position == field[MOEPAGER_TOKEN] && row->layer == field[MOEPAGER_LAYER] && row->phase == field[MOEPAGER_PHASE];
    if (!same && (code = moepager_flush(log, err)) != ES_OK)
        return code;
    if ((parse->kinds >> MOEPAGER_RANK & 1) && field[MOEPAGER_RANK] != row->count)
        return es_err_set(err, ES_EINPUT, "rank is %u where %u is expected", field[MOEPAGER_RANK], row->count);
    if (field[MOEPAGER_EXPERT] >= ES_NO_EXPERT || row->count == ES_TRACE_TOP_K_MAX)
        return es_err_set(err, ES_EINPUT, "expert %u is not below %u, or comes behind %u others", field[MOEPAGER_EXPERT], ES_NO_EXPERT, row->count);
    if (row->count == 0)
        *row = (es_row){ .step = ES_ROW_NO_STEP, .position = field[MOEPAGER_TOKEN], .layer = field[MOEPAGER_LAYER], .phase = (uint8_t)field[MOEPAGER_PHASE], .ids = parse->id,
            .record = log->record };
    parse->id[row->count++] = (uint16_t)field[MOEPAGER_EXPERT];
    return ES_OK;
}

static es_code moepager_end(es_log *log, es_err *err)
{
    const moepager_parse *parse = log->parse;
    es_assume(&log->notes, "all tokens are of one request; layers are numbered as the log has them; ids of a row stand in its order");
    if (!(parse->kinds >> MOEPAGER_PHASE & 1))
        es_assume(&log->notes, "the log does not say which tokens are the prompt: all are read as generated");
    return moepager_flush(log, err);
}

static const es_log_format moepager_log = {
    .name = "moepager", .expected = "a number for each column of the header", .parse_bytes = sizeof(moepager_parse), .rules = { .any_order = true, .whole_tokens = true, .whole_rows = true },
    .line = moepager_line, .end = moepager_end,
};

static es_code moepager_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    return es_log_open(&moepager_log, &((moepager *)self)->stream, ask, arena, err);
}

static int moepager_sniff(const unsigned char *head, size_t length)
{
    uint8_t column[MOEPAGER_COLUMNS_MAX];
    uint32_t columns;
    const size_t size = es_log_first(head, length);
    return size > 0 && moepager_header((const char *)head, size, column, &columns) ? 90 : 0;
}

const es_source es_source_moepager = {
    .part = { .abi = ES_ABI, .name = "moepager", .brief = "Lines token,layer,expert with a header, as moepager and forks of llama-moe-trace write.", .size = sizeof(moepager), .fini = es_stream_fini },
    .sniff = moepager_sniff,
    .open = moepager_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "requests, weights, how many experts there are; mostly phases",
};
