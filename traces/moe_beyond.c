/* moe_beyond: the CSV that moe-beyond's gate hook writes for a prompt, layer by layer, with the text of each token.
 *
 *     Layer ID,Batch Number,Token,Activated Expert IDs
 *     1,0,",","[4, 8, 11, 43, 51, 56]"
 *
 * The text may hold quotes, commas and line breaks, as CSV quotes them; it is passed over. A file is one forward pass over whole prompts:
 * rows of a layer and batch number are its tokens in order, a batch number is a request. Where the layer goes back another pass begins. */
#include "traces/log.h"

#include <string.h>

typedef struct moe_beyond { es_row_stream *stream; } moe_beyond;

typedef struct moe_beyond_parse {
    bool any, header, text;             /* text: inside the quoted text of a token, which goes on */
    uint32_t layer, batch, token;       /* of the row at hand, or the one before */
    uint32_t pass, first, batches;      /* requests of the pass are numbered from `first`; how many it has */
    uint32_t rows, most, last;          /* of the layer at hand; of a layer of the pass; the highest last layer of a pass before */
    uint64_t record;
    uint16_t id[ES_TRACE_TOP_K_MAX];
} moe_beyond_parse;

static const char moe_beyond_header[] = "Layer ID,Batch Number,Token,Activated Expert IDs";
static const char moe_beyond_expected[] = "layer,batch,token,\"[id, id, ...]\"";

/* Behind the closing quote of a text; NULL: it goes on in the next line. */
static const char *moe_beyond_quoted(const char *p)
{
    while ((p = strchr(p, '"')) != NULL && p[1] == '"')
        p += 2;
    return p ? p + 1 : NULL;
}

/* "[8, 26]" with or without quotes around. */
static es_code moe_beyond_list(moe_beyond_parse *parse, const char *p, uint32_t *count, es_err *err)
{
    const bool quoted = *p == '"';
    p += quoted;
    if (*p++ != '[')
        return es_err_set(err, ES_EINPUT, "has \"%.20s\" where a list of ids in brackets is expected", p - 1);
    while (*p != ']') {
        const size_t length = strcspn(p, ",]");
        char number[12] = "";
        const char *at = number;
        memcpy(number, p, length < sizeof number - 1 ? length : sizeof number - 1);
        es_code code = es_log_id(&at, '\0', parse->id, count, err);
        if (code)
            return code;
        p += length;
        p += *p == ',';
        p += strspn(p, " ");
    }
    return strcmp(p + 1, quoted ? "\"" : "") == 0 ? ES_OK : es_err_set(err, ES_EINPUT, "holds \"%.20s\" behind the list of ids", p + 1);
}

/* The numbers before the text. */
static es_code moe_beyond_head(es_log *log, const char **p, es_err *err)
{
    moe_beyond_parse *parse = log->parse;
    uint32_t layer = 0, batch = 0;
    es_code code = es_log_u32(p, ',', "Layer ID", &layer, err);
    if (!code)
        code = es_log_u32(p, ',', "Batch Number", &batch, err);
    if (code)
        return code;
    const bool same = parse->any && layer == parse->layer;
    if (same && batch < parse->batch)
        return es_err_set(err, ES_EINPUT, "batch %u comes after batch %u in layer %u; they must ascend", batch, parse->batch, layer);
    parse->most = parse->rows > parse->most ? parse->rows : parse->most;
    parse->rows = (same ? parse->rows : 0) + 1;
    if (parse->any && layer < parse->layer) {
        parse->last = parse->layer > parse->last ? parse->layer : parse->last;
        parse->most = 0;
        parse->pass++;
        parse->first += parse->batches;
        parse->batches = 0;
    }
    if (batch >= UINT32_MAX / 2 || parse->first >= UINT32_MAX / 2)
        return es_err_set(err, ES_EINPUT, "batch number %u is above %u, the highest", batch, UINT32_MAX / 2 - 1);
    parse->token = same && batch == parse->batch ? parse->token + 1 : 0;
    parse->batches = batch >= parse->batches ? batch + 1 : parse->batches;
    parse->layer = layer;
    parse->batch = batch;
    parse->any = true;
    parse->record = log->record;
    return ES_OK;
}

static es_code moe_beyond_row(es_log *log, const char *p, es_err *err)
{
    moe_beyond_parse *parse = log->parse;
    uint32_t count = 0;
    if (*p != ',')
        return es_err_set(err, ES_EINPUT, "lacks the ids: %s is expected", moe_beyond_expected);
    es_code code = moe_beyond_list(parse, p + 1, &count, err);
    return code ? code : es_stream_add(log->stream, &(es_row){ .step = parse->pass, .request = parse->first + parse->batch, .position = parse->token, .layer = parse->layer,
        .phase = ES_PREFILL, .count = count, .ids = parse->id, .record = parse->record }, err);
}

static es_code moe_beyond_line(es_log *log, char *line, size_t length, es_err *err)
{
    moe_beyond_parse *parse = log->parse;
    const char *p = line;
    (void)length;
    if (!parse->header) {
        parse->header = strcmp(line, moe_beyond_header) == 0;
        return parse->header ? ES_OK : es_err_set(err, ES_EINPUT, "the header \"%s\" is expected", moe_beyond_header);
    }
    if (!parse->text) {
        es_code code = moe_beyond_head(log, &p, err);
        if (code)
            return code;
        parse->text = *p == '"';
        p += parse->text ? 1 : strcspn(p, ",");
    }
    if (parse->text) {
        p = moe_beyond_quoted(p);
        parse->text = p == NULL;
    }
    return p ? moe_beyond_row(log, p, err) : ES_OK;
}

/* The last layer has all tokens of its pass, and the pass goes as far as those before: else the file was cut, at the end of a line. */
static es_code moe_beyond_whole(es_log *log, es_err *err)
{
    const moe_beyond_parse *parse = log->parse;
    const uint32_t rows = parse->rows - parse->text;    /* of the last one only the beginning may be there */
    if (rows < parse->most && !log->lines.lenient)
        return es_err_set(err, ES_EINPUT, "ends in layer %u with %u of %u tokens; --lenient takes the others as missing", parse->layer, rows, parse->most);
    if (rows < parse->most)
        es_assume(&log->notes, "the file ends in layer %u with %u of %u tokens: the others are taken as missing in it, and layers behind it are left out", parse->layer, rows, parse->most);
    if (parse->layer < parse->last && !log->lines.lenient)
        return es_err_set(err, ES_EINPUT, "ends behind layer %u of a pass; those before go on to layer %u; --lenient takes the others as missing", parse->layer, parse->last);
    es_assume(&log->notes, "nothing says whether layers stood behind layer %u: --layers N refuses another number", parse->layer > parse->last ? parse->layer : parse->last);
    return ES_OK;
}

static es_code moe_beyond_end(es_log *log, es_err *err)
{
    const moe_beyond_parse *parse = log->parse;
    es_assume(&log->notes, "all tokens are of prompts; a batch number is a request, and a forward pass ends where the layer goes back");
    es_assume(&log->notes, "layers are the model's own numbers; ids of a row stand in no order (sorted=False); the text of tokens was left out");
    if (parse->text && !log->lines.lenient)
        return es_err_set(err, ES_EINPUT, "the file ends inside the text of a token that begins on line %llu: %s is expected; --lenient leaves the row out",
            (unsigned long long)parse->record, moe_beyond_expected);
    if (parse->text)
        es_assume(&log->notes, "the file ends inside the text of a token that begins on line %llu; the row was left out", (unsigned long long)parse->record);
    return moe_beyond_whole(log, err);
}

static const es_log_format moe_beyond_log = {
    .name = "moe_beyond", .expected = moe_beyond_expected, .parse_bytes = sizeof(moe_beyond_parse), .line = moe_beyond_line, .end = moe_beyond_end,
};

static es_code moe_beyond_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    return es_log_open(&moe_beyond_log, &((moe_beyond *)self)->stream, ask, arena, err);
}

static int moe_beyond_sniff(const unsigned char *head, size_t length)
{
    const size_t most = sizeof moe_beyond_header - 1;
    return length >= most && memcmp(head, moe_beyond_header, most) == 0 ? 95 : 0;
}

const es_source es_source_moe_beyond = {
    .part = { .abi = ES_ABI, .name = "moe_beyond", .brief = "moe-beyond's CSV of a prompt: Layer ID,Batch Number,Token,Activated Expert IDs.", .size = sizeof(moe_beyond), .fini = es_stream_fini },
    .sniff = moe_beyond_sniff,
    .open = moe_beyond_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "weights, how many experts there are; generated tokens",
};
