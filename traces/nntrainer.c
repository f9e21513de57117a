/* nntrainer: one line per layer of a forward pass.
 *
 *     layer tokens | distinct ids that the pass uses | ids of each token, best first
 *
 * The third list has as many ids for each token as were ranked, of which the first k are used: k is the number for which the ids used are
 * those of the second list, and must be the same on every line (--top-k says it where the first lines leave it open). One token generates. */
#include "traces/log.h"

#include <string.h>

typedef struct nntrainer { es_row_stream *stream; } nntrainer;

typedef struct nntrainer_parse {
    uint32_t top_k, width;              /* used and ranked ids of a token; 0: not known yet */
    uint32_t routed, ranked, room;
    bool any;
    uint32_t layer;                     /* of the line before; a line is a layer of a pass, so one that is not above it begins another */
    uint16_t *list;                     /* [room] the second list, then the third */
    uint64_t listed[(UINT16_MAX + 1) / 64], met[(UINT16_MAX + 1) / 64];     /* bits of the second list; of those that tokens have */
} nntrainer_parse;

enum { NNTRAINER_IDS_MAX = 1 << 24 };   /* of a line; it grows on the way there */

static const char nntrainer_expected[] = "\"layer tokens | ids | ids of each token\"";

/* Ids up to the next bar or the end of the line. */
static es_code nntrainer_ids(es_log *log, const char **p, uint32_t *total, es_err *err)
{
    nntrainer_parse *parse = log->parse;
    const char *at = *p;
    uint16_t *list = parse->list;       /* they would be read again for each id */
    uint32_t count = *total;
    while (*at != '\0' && *at != '|') {
        uint32_t one = 0;
        if (count == parse->room) {
            const uint32_t room = parse->room ? 2 * parse->room : 4096;
            uint16_t *more = room <= NNTRAINER_IDS_MAX ? es_arena_alloc(log->arena, room, sizeof *more) : NULL;
            if (!more)
                return es_err_nomem(err, "the ids of a line");
            if (parse->room > 0)
                memcpy(more, parse->list, parse->room * sizeof *more);
            parse->list = list = more;
            parse->room = room;
        }
        es_code code = es_log_id(&at, ' ', list + count, &one, err);
        if (code)
            return code;
        count++;
    }
    *total = count;
    *p = at;
    return ES_OK;
}

/* Are the first k of each token just the ids of the second list? */
static bool nntrainer_same(nntrainer_parse *parse, uint32_t tokens, uint32_t k)
{
    const uint16_t *ranked = parse->list + parse->routed;
    uint32_t distinct = 0;
    bool within = true;
    for (uint32_t i = 0; i < parse->routed; i++)
        parse->listed[parse->list[i] >> 6] |= 1ull << (parse->list[i] & 63);
    for (uint32_t t = 0; t < tokens && within; t++)
        for (uint32_t i = 0; i < k && within; i++) {
            const uint16_t id = ranked[(size_t)t * parse->width + i];
            const uint64_t bit = 1ull << (id & 63);
            within = (parse->listed[id >> 6] & bit) != 0;
            distinct += within && !(parse->met[id >> 6] & bit);
            parse->met[id >> 6] |= within ? bit : 0;
        }
    for (uint32_t i = 0; i < parse->routed; i++) {
        parse->listed[parse->list[i] >> 6] = 0;
        parse->met[parse->list[i] >> 6] = 0;
    }
    return within && distinct == parse->routed;
}

/* The lists of a line against each other; finds out how many ids of a token are used where nobody has said it. */
static es_code nntrainer_check(nntrainer_parse *parse, uint32_t tokens, es_err *err)
{
    if (tokens == 0 || parse->ranked % tokens != 0 || parse->ranked == 0)
        return es_err_set(err, ES_EINPUT, "ranks %u ids for %u tokens; as many for each are expected", parse->ranked, tokens);
    const uint32_t width = parse->ranked / tokens;
    if (parse->width != 0 && width != parse->width)
        return es_err_set(err, ES_EINPUT, "ranks %u ids for each token, the lines before %u", width, parse->width);
    parse->width = width;
    for (uint32_t k = 1; parse->top_k == 0 && k <= width; k++)
        if (nntrainer_same(parse, tokens, k))
            parse->top_k = k;
    if (parse->top_k == 0)
        return es_err_set(err, ES_EINPUT, "uses %u distinct ids, which are not the first of its tokens for any number of them", parse->routed);
    if (parse->top_k > width)
        return es_err_set(err, ES_EINPUT, "ranks %u ids for each token, fewer than the %u that are used", width, parse->top_k);
    if (!nntrainer_same(parse, tokens, parse->top_k))
        return es_err_set(err, ES_EINPUT, "uses %u distinct ids, which are not the first %u of each token; --top-k says how many are used", parse->routed, parse->top_k);
    return ES_OK;
}

/* Ends the part at *p with the bar behind it; *p is the next part then. */
static es_code nntrainer_bar(char **p, char **part, es_err *err)
{
    char *bar = strchr(*p, '|');
    if (!bar)
        return es_err_set(err, ES_EINPUT, "holds \"%.20s\" where a bar is expected: %s", *p, nntrainer_expected);
    *bar = '\0';
    *part = es_log_squeeze(*p);
    *p = bar + 1;
    return ES_OK;
}

static es_code nntrainer_line(es_log *log, char *line, size_t length, es_err *err)
{
    nntrainer_parse *parse = log->parse;
    char *rest = line, *part[2] = { NULL, NULL };
    uint32_t layer = 0, tokens = 0, total = 0;
    (void)length;
    es_code code = nntrainer_bar(&rest, &part[0], err);
    if (!code)
        code = nntrainer_bar(&rest, &part[1], err);
    if (code)
        return code;
    const char *p = part[0], *used = part[1], *ranked = es_log_squeeze(rest);
    used += *used == ' ';
    ranked += *ranked == ' ';
    code = es_log_u32(&p, ' ', "layer", &layer, err);
    if (!code)
        code = es_log_u32(&p, ' ', "tokens", &tokens, err);
    if (!code && *p != '\0')
        code = es_err_set(err, ES_EINPUT, "holds \"%.20s\" where a bar is expected: %s", p, nntrainer_expected);
    if (!code)
        code = nntrainer_ids(log, &used, &total, err);
    parse->routed = total;
    if (!code)
        code = nntrainer_ids(log, &ranked, &total, err);
    parse->ranked = total - parse->routed;
    if (!code && *ranked != '\0')
        code = es_err_set(err, ES_EINPUT, "has more than three parts: %s is expected", nntrainer_expected);
    if (!code)
        code = nntrainer_check(parse, tokens, err);
    if (!code && parse->any && layer <= parse->layer)
        code = es_passes_end(log->passes, err);
    parse->any = true;
    parse->layer = layer;
    for (uint32_t t = 0; t < tokens && !code; t++)
        code = es_passes_add(log->passes, &(es_pass_row){ .layer = layer, .token = t, .phase = ES_PASSES_BY_SIZE, .count = parse->top_k,
            .ids = parse->list + parse->routed + (size_t)t * parse->width, .record = log->record }, err);
    return code;
}

static es_code nntrainer_begin(es_log *log, es_err *err)
{
    (void)err;
    ((nntrainer_parse *)log->parse)->top_k = log->ask->top_k;
    return ES_OK;
}

static es_code nntrainer_end(es_log *log, es_err *err)
{
    const nntrainer_parse *parse = log->parse;
    (void)err;
    if (parse->width > parse->top_k)
        es_assume(&log->notes, "%u ids are ranked for each token, of which the first %u are used; the others were left out", parse->width, parse->top_k);
    es_assume(&log->notes, "layers are numbered as the log has them; ids of a row stand in its order, best first");
    return ES_OK;
}

static const es_log_format nntrainer_log = {
    .name = "nntrainer", .expected = nntrainer_expected, .parse_bytes = sizeof(nntrainer_parse), .passes = true, .top_k = true, .rules = { .whole_tokens = true },
    .begin = nntrainer_begin, .line = nntrainer_line, .end = nntrainer_end,
};

static es_code nntrainer_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    return es_log_open(&nntrainer_log, &((nntrainer *)self)->stream, ask, arena, err);
}

/* Two numbers, a bar and the first id, with blanks between. */
static int nntrainer_sniff(const unsigned char *head, size_t length)
{
    static const char *const parts[] = { " \t", "0123456789", " \t", "0123456789", " \t", "|", " \t", "0123456789" };
    const unsigned char *p = head, *end = head + length;
    for (int i = 0; i < 8; i++) {
        const unsigned char *start = p;
        while (p < end && *p != '\0' && strchr(parts[i], *p) && (i != 5 || p == start))
            p++;
        if (p == start && (i == 2 || i % 2 == 1))
            return 0;
    }
    return 85;
}

const es_source es_source_nntrainer = {
    .part = { .abi = ES_ABI, .name = "nntrainer", .brief = "nntrainer routing log: layer tokens | ids used | ids of each token.", .size = sizeof(nntrainer), .fini = es_stream_fini },
    .sniff = nntrainer_sniff,
    .open = nntrainer_open,
    .info = es_stream_info,
    .next = es_stream_next,
    .rewind = es_stream_rewind,
    .lacks = "requests, phases, positions, weights, how many experts there are",
};
