/* okuvshynov: the expert selection log of okuvshynov's llama.cpp (scripts/moe-analysis), one line per token and layer of a pass.
 *
 *     layer_id,expert_ids
 *     3,52 40 85 110 79 113 60 130
 *
 * Lines "gate_input,..." of the same log are other data and passed over. */
#include "traces/log.h"

#include <string.h>

typedef struct okuvshynov { es_row_stream *stream; } okuvshynov;

typedef struct okuvshynov_parse {
    uint64_t others;
    uint16_t id[ES_TRACE_TOP_K_MAX];
} okuvshynov_parse;

static const char okuvshynov_header[] = "layer_id,expert_ids";

static es_code okuvshynov_line(es_log *log, char *line, size_t length, es_err *err)
{
    okuvshynov_parse *parse = log->parse;
    const char *p = line;
    uint32_t layer = 0, count = 0;
    (void)length;
    if (strcmp(line, okuvshynov_header) == 0)
        return ES_OK;
    if (strncmp(line, "gate_input,", 11) == 0) {
        parse->others++;
        return ES_OK;
    }
    es_code code = es_log_u32(&p, ',', "layer_id", &layer, err);
    while (!code && *p != '\0')
        code = es_log_id(&p, ' ', parse->id, &count, err);
    if (!code && count == 0)
        code = es_err_set(err, ES_EINPUT, "lists no expert; \"layer_id,expert_ids\" is expected");
    return code ? code : es_passes_add(log->passes, &(es_pass_row){ .layer = layer, .token = ES_PASSES_NEXT, .phase = ES_PASSES_BY_SIZE, .count = count, .ids = parse->id,
        .record = log->record }, err);
}

static es_code okuvshynov_end(es_log *log, es_err *err)
{
    const okuvshynov_parse *parse = log->parse;
    (void)err;
    es_assume(&log->notes, "layers are numbered as the log has them; ids of a row stand in its order");
    if (parse->others > 0)
        es_assume(&log->notes, "%llu lines of gate inputs were left out", (unsigned long long)parse->others);
    return ES_OK;
}

static const es_log_format okuvshynov_log = {
    .name = "okuvshynov", .expected = "\"layer_id,id id ...\"", .parse_bytes = sizeof(okuvshynov_parse), .passes = true, .outputs = true, .rules = { .whole_tokens = true },
    .line = okuvshynov_line, .end = okuvshynov_end,
};

static es_code okuvshynov_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    return es_log_open(&okuvshynov_log, &((okuvshynov *)self)->stream, ask, arena, err);
}

static int okuvshynov_sniff(const unsigned char *head, size_t length)
{
    const size_t most = sizeof okuvshynov_header - 1;
    return length > most && memcmp(head, okuvshynov_header, most) == 0 && (head[most] == '\n' || head[most] == '\r') ? 95 : 0;
}

const es_source es_source_okuvshynov = {
    .part = { .abi = ES_ABI, .name = "okuvshynov", .brief = "okuvshynov's llama.cpp log: layer_id,expert_ids with ids between blanks.", .size = sizeof(okuvshynov), .fini = es_stream_fini },
    .sniff = okuvshynov_sniff,
    .open = okuvshynov_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "requests, phases, positions, weights, how many experts there are",
};
