/* Piecewise timing: a latency and rates that change with size (piecewise.h has the formula). What calibration finds where one line
 * does not fit. */
#include "models/piecewise.h"

#include <math.h>
#include <stddef.h>

#include "models/affine.h"

static const es_option piece_options[] = {
    {.name = "from", .type = ES_OPT_BYTES, .offset = offsetof(es_piece, from), .max = 0x1p53, .help = "Size from which the piece holds."},
    {.name = "rate", .type = ES_OPT_RATE, .offset = offsetof(es_piece, rate), .min = 1, .max = 1e18, .required = true, .help = "Of the bytes beyond it."},
    {.name = "latency", .type = ES_OPT_TIME, .offset = offsetof(es_piece, latency_ns), .def = -1, .min = -1, .max = 9e15,
        .help = "Starts anew: this and all bytes at the rate; absent: goes on from the piece before."},
    {0},
};

es_code es_piecewise_init(es_piecewise *p, es_arena *arena, es_err *err)
{
    const es_json *item;
    if (!cJSON_IsArray(p->list) || !p->list->child)
        return es_err_set(err, ES_EINPUT, "pieces: needs a list of at least one piece, found %s", cJSON_IsArray(p->list) ? "an empty one" : es_json_kind(p->list));
    cJSON_ArrayForEach(item, p->list) {
        es_piece *piece = &p->piece[p->pieces];
        if (p->pieces == ES_PIECES)
            return es_err_set(err, ES_EINPUT, "pieces: has more than %d", ES_PIECES);
        es_code code = es_options_parse(piece_options, piece, item, NULL, arena, err);
        if (code == ES_OK && (p->pieces == 0 ? piece->from != 0 : piece->from <= piece[-1].from))
            code = es_err_set(err, ES_EINPUT, "from: %s", p->pieces == 0 ? "the first piece is from 0" : "pieces must ascend");
        if (code != ES_OK) {
            es_err_at(err, "pieces.%zu", p->pieces);
            return code;
        }
        p->pieces++;
    }
    if (p->page && (p->pieces != 2 || p->piece[0].latency_ns >= 0 || p->piece[1].latency_ns >= 0))
        return es_err_set(err, ES_EINPUT, "page: needs two pieces without latencies: of what fills no page, of what does");
    return ES_OK;
}

es_cost es_piecewise_cost(const es_piecewise *p, const es_op *op)
{
    double count = op->count ? op->count : 1, bytes = (double)op->bytes / count, ns = 0.0;
    es_time latency = p->latency_ns;
    if (p->page) {
        double rest = fmod(bytes, (double)p->page);
        ns = rest * 1e9 / p->piece[0].rate + (bytes - rest) * 1e9 / p->piece[1].rate;
        return (es_cost){latency + p->per_object_ns * (es_time)op->count, es_affine_term(count * ns)};
    }
    for (size_t i = 0; i < p->pieces && (i == 0 || bytes >= (double)p->piece[i].from); i++) {
        const es_piece *piece = &p->piece[i];
        double from = (double)piece->from, to = i + 1 < p->pieces && bytes >= (double)piece[1].from ? (double)piece[1].from : bytes;
        if (piece->latency_ns >= 0) {
            latency = piece->latency_ns;
            ns = from = 0.0;
        }
        ns += (to - from) * 1e9 / piece->rate;
    }
    return (es_cost){latency + p->per_object_ns * (es_time)op->count, es_affine_term(count * ns)};
}

typedef struct piecewise {
    es_piecewise base;
} piecewise;

static const es_option piecewise_options[] = {
    ES_PIECEWISE_OPTIONS(piecewise, base),
    {0},
};

static es_code piecewise_init(void *self, const es_site *site, es_err *err)
{
    return es_piecewise_init(&((piecewise *)self)->base, site->arena, err);
}

static es_cost piecewise_cost(void *self, const es_op *op)
{
    return es_piecewise_cost(&((const piecewise *)self)->base, op);
}

const es_timing es_timing_piecewise = {
    .part = {
        .abi = ES_ABI,
        .name = "piecewise",
        .brief = "A latency, then bytes at rates that change with size.",
        .options = piecewise_options,
        .size = sizeof(piecewise),
        .init = piecewise_init,
    },
    .cost = piecewise_cost,
};
