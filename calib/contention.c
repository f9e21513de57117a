/* Contention: see contention.h. */
#include "calib/contention.h"

#include <gsl/gsl_sort.h>
#include <math.h>

#include "calib/bench.h"

#define CONTENTION_FASTER 1.1       /* so much more is no noise */
#define CONTENTION_SERIES 8e6       /* ns that a series lasts alone, if it may have so many: several slices of a scheduler */
enum { CONTENTION_SMALL = 4096, CONTENTION_LEAST = 3, CONTENTION_PIECES = 8, CONTENTION_TOKENS = 1024, CONTENTION_TINY = 128, CONTENTION_LEAD = 3, CONTENTION_OUTLASTS = 4 };
enum { CONTENTION_MEASURED = 16, CONTENTION_BESIDE = 100 };     /* of one series, at most: a probe queues 128 experts */
enum { EVENT_START, EVENT_END, EVENT_BESIDE, EVENT_SMALL, EVENT_STREAM };      /* the last: of the first stream, others follow */

typedef struct contention_case {    /* what is measured on stream 0, and what runs beside it on stream 1 */
    enum { WHAT_COPY, WHAT_PIECES, WHAT_SPACED, WHAT_EXPERT, WHAT_PRODUCT, WHAT_READ } what;
    es_way way;
    enum { BESIDE_COPY, BESIDE_SMALL, BESIDE_SMALL_FIRST, BESIDE_EXPERT, BESIDE_PRODUCT, BESIDE_STREAMS, BESIDE_AWAITED } beside;
    es_way beside_way;
    unsigned streams;               /* BESIDE_STREAMS: that many equal copies, the first of them on stream 0 */
} contention_case;

#define STREAMS(way, count) {WHAT_COPY, way, BESIDE_STREAMS, way, count}

static const contention_case contention_cases[CALIB_QUESTIONS] = {
    [CALIB_H2D_BEHIND] = {WHAT_COPY, ES_WAY_H2D, BESIDE_SMALL, ES_WAY_H2D, 0},
    [CALIB_D2H_BEHIND] = {WHAT_COPY, ES_WAY_D2H, BESIDE_SMALL, ES_WAY_D2H, 0},
    [CALIB_D2H_ACROSS] = {WHAT_COPY, ES_WAY_H2D, BESIDE_SMALL, ES_WAY_D2H, 0},
    [CALIB_H2D_FIRST] = {WHAT_COPY, ES_WAY_H2D, BESIDE_SMALL_FIRST, ES_WAY_H2D, 0},
    [CALIB_H2D_CHUNKED] = {WHAT_PIECES, ES_WAY_H2D, BESIDE_SMALL, ES_WAY_H2D, 0},
    [CALIB_H2D_SPACED] = {WHAT_SPACED, ES_WAY_H2D, BESIDE_SMALL, ES_WAY_H2D, 0},
    [CALIB_H2D_STREAMS_1] = STREAMS(ES_WAY_H2D, 1),
    [CALIB_H2D_STREAMS_2] = STREAMS(ES_WAY_H2D, 2),
    [CALIB_H2D_STREAMS_4] = STREAMS(ES_WAY_H2D, 4),
    [CALIB_H2D_STREAMS_8] = STREAMS(ES_WAY_H2D, 8),
    [CALIB_D2H_STREAMS_1] = STREAMS(ES_WAY_D2H, 1),
    [CALIB_D2H_STREAMS_2] = STREAMS(ES_WAY_D2H, 2),
    [CALIB_D2H_STREAMS_4] = STREAMS(ES_WAY_D2H, 4),
    [CALIB_D2H_STREAMS_8] = STREAMS(ES_WAY_D2H, 8),
    [CALIB_H2D_OPPOSITE] = {WHAT_COPY, ES_WAY_H2D, BESIDE_COPY, ES_WAY_D2H, 0},
    [CALIB_D2H_OPPOSITE] = {WHAT_COPY, ES_WAY_D2H, BESIDE_COPY, ES_WAY_H2D, 0},
    [CALIB_H2D_COMPUTING] = {WHAT_COPY, ES_WAY_H2D, BESIDE_EXPERT, ES_WAY_D2D, 0},
    [CALIB_D2H_COMPUTING] = {WHAT_COPY, ES_WAY_D2H, BESIDE_EXPERT, ES_WAY_D2D, 0},
    [CALIB_H2D_MULTIPLYING] = {WHAT_COPY, ES_WAY_H2D, BESIDE_PRODUCT, ES_WAY_D2D, 0},
    [CALIB_D2H_MULTIPLYING] = {WHAT_COPY, ES_WAY_D2H, BESIDE_PRODUCT, ES_WAY_D2D, 0},
    [CALIB_EXPERT_COPYING] = {WHAT_EXPERT, ES_WAY_D2D, BESIDE_COPY, ES_WAY_H2D, 0},
    [CALIB_EXPERT_SENDING] = {WHAT_EXPERT, ES_WAY_D2D, BESIDE_COPY, ES_WAY_D2H, 0},
    [CALIB_PRODUCT_COPYING] = {WHAT_PRODUCT, ES_WAY_D2D, BESIDE_COPY, ES_WAY_H2D, 0},
    [CALIB_H2D_WAITING] = {WHAT_COPY, ES_WAY_H2D, BESIDE_AWAITED, ES_WAY_D2D, 0},
    [CALIB_D2H_WAITING] = {WHAT_COPY, ES_WAY_D2H, BESIDE_AWAITED, ES_WAY_D2D, 0},
    [CALIB_EXPERT_WAITING] = {WHAT_EXPERT, ES_WAY_D2D, BESIDE_AWAITED, ES_WAY_H2D, 0},
    [CALIB_READ_WAITING] = {WHAT_READ, ES_WAY_H2H, BESIDE_AWAITED, ES_WAY_D2D, 0},
};

/* A large product of FP32 would take a processor seconds; who has bf16 has units for products. */
unsigned contention_needs(calib_question question)
{
    const contention_case *c = &contention_cases[question];
    if (c->what == WHAT_PRODUCT || c->beside == BESIDE_PRODUCT)
        return ES_PROBE_EXPERT | ES_PROBE_BF16;
    if (c->what == WHAT_SPACED)
        return ES_PROBE_EXPERT | ES_PROBE_MIXES;
    if (c->what == WHAT_READ)
        return ES_PROBE_EXPERT | ES_PROBE_DISK;
    return c->what == WHAT_EXPERT || c->beside == BESIDE_EXPERT || c->beside == BESIDE_AWAITED ? ES_PROBE_EXPERT : 0;
}

/* ---- what is queued ---- */

static es_code queue_copy(calib_bench *b, unsigned stream, es_way way, int64_t bytes, es_err *err)
{
    bench_pool *host = &b->pool[ES_MEMORY_PINNED], *device = &b->pool[ES_MEMORY_DEVICE];
    unsigned char *from = bench_next(way == ES_WAY_H2D ? host : device, bytes), *to = bench_next(way == ES_WAY_D2H ? host : device, bytes);
    return b->probe->copy(b->self, stream, way, to, from, bytes, err);
}

/* One token: what decoding does, and what reads most memory for its arithmetic. */
static es_code queue_expert(calib_bench *b, unsigned stream, es_err *err)
{
    es_probe_expert expert = {bench_next(&b->pool[ES_MEMORY_DEVICE], 8LL * CALIB_HIDDEN * b->inter), CALIB_HIDDEN, b->inter, 1, ES_WEIGHTS_FP32};
    return b->probe->expert(b->self, stream, &expert, err);
}

/* So many tokens that arithmetic is the limit. */
static es_code queue_product(calib_bench *b, unsigned stream, es_err *err)
{
    es_probe_expert expert = {bench_next(&b->pool[ES_MEMORY_DEVICE], calib_expert_bytes(ES_WEIGHTS_BF16)), CALIB_HIDDEN, CALIB_INTER, CONTENTION_TOKENS, ES_WEIGHTS_BF16};
    return b->probe->expert(b->self, stream, &expert, err);
}

/* The least that is a kernel. */
static es_code queue_tiny(calib_bench *b, unsigned stream, es_err *err)
{
    es_probe_expert expert = {bench_next(&b->pool[ES_MEMORY_DEVICE], 8LL * CONTENTION_TINY * CONTENTION_TINY), CONTENTION_TINY, CONTENTION_TINY, 1, ES_WEIGHTS_FP32};
    return b->probe->expert(b->self, stream, &expert, err);
}

static es_code queue_pieces(calib_bench *b, es_way way, int64_t bytes, bool spaced, es_err *err)
{
    es_code code = ES_OK;
    for (int i = 0; i < CONTENTION_PIECES && code == ES_OK; i++) {
        if (spaced && i > 0)
            code = queue_tiny(b, 0, err);
        if (code == ES_OK)
            code = queue_copy(b, 0, way, bytes / CONTENTION_PIECES, err);
    }
    return code;
}

static es_code queue_piece(calib_bench *b, const contention_case *c, int64_t bytes, es_err *err)
{
    switch (c->what) {
    case WHAT_COPY:
        return queue_copy(b, 0, c->way, bytes, err);
    case WHAT_PIECES:
    case WHAT_SPACED:
        return queue_pieces(b, c->way, bytes, c->what == WHAT_SPACED, err);
    case WHAT_EXPERT:
        return queue_expert(b, 0, err);
    default:
        return queue_product(b, 0, err);
    }
}

static es_code queue_small(calib_bench *b, es_way way, es_err *err)
{
    es_code code = b->probe->record(b->self, 1, EVENT_BESIDE, err);
    if (code == ES_OK)
        code = queue_copy(b, 1, way, CONTENTION_SMALL, err);
    return code ? code : b->probe->record(b->self, 1, EVENT_SMALL, err);
}

/* ---- one time ---- */

enum { OF_COPY, OF_EXPERT, OF_PRODUCT, OFS };

typedef struct contention {
    calib_bench *bench;
    int64_t bytes;
    double each_ns[OFS];        /* of one, alone; 0: not known */
    unsigned measured, beside;  /* how many of what is measured, and of what runs beside it */
} contention;

static int of_what(const contention_case *c)
{
    return c->what == WHAT_EXPERT ? OF_EXPERT : c->what == WHAT_PRODUCT ? OF_PRODUCT : OF_COPY;
}

static int of_beside(const contention_case *c)
{
    return c->beside == BESIDE_EXPERT ? OF_EXPERT : c->beside == BESIDE_PRODUCT ? OF_PRODUCT : OF_COPY;
}

/* Copies and what computes, in series; what else is asked is asked of one. */
static bool is_series(const contention_case *c)
{
    return of_what(c) != of_beside(c) && (c->what == WHAT_COPY || of_what(c) != OF_COPY) && c->beside != BESIDE_AWAITED;
}

static unsigned series_count(double wanted, unsigned most)
{
    return wanted < 1.0 ? 1 : wanted < (double)most ? (unsigned)ceil(wanted) : most;
}

/* So many of both that it takes long enough, and that what runs beside outlasts what it slows to no less than a quarter. */
static void series_size(contention *m, const contention_case *c)
{
    const double each = m->each_ns[of_what(c)], other = m->each_ns[of_beside(c)];
    const double lasting = other > 0.0 && each > 0.0 ? CONTENTION_BESIDE * other / (CONTENTION_OUTLASTS * each) : 1.0;
    m->measured = is_series(c) ? series_count(fmin(floor(lasting), each > 0.0 ? CONTENTION_SERIES / each : 1.0), CONTENTION_MEASURED) : 1;
    m->beside = is_series(c) && other > 0.0 ? series_count((double)(CONTENTION_OUTLASTS * (m->measured + CONTENTION_LEAD)) * each / other, CONTENTION_BESIDE) : CONTENTION_OUTLASTS;
}

/* Copies of four times the bytes of what is measured, for between two there is a gap: of one, one is enough. A pool holds six times the bytes. */
static es_code queue_beside(const contention *m, const contention_case *c, es_err *err)
{
    calib_bench *b = m->bench;
    const unsigned count = of_beside(c) == OF_COPY ? (m->beside + CONTENTION_OUTLASTS - 1) / CONTENTION_OUTLASTS : m->beside;
    es_code code = ES_OK;
    if (c->beside == BESIDE_SMALL)
        return queue_small(b, c->beside_way, err);
    for (unsigned i = 0; i < count && code == ES_OK; i++)
        code = c->beside == BESIDE_EXPERT ? queue_expert(b, 1, err) : c->beside == BESIDE_PRODUCT ? queue_product(b, 1, err) :
            queue_copy(b, 1, c->beside_way, CONTENTION_OUTLASTS * m->bytes, err);
    return code;
}

/* An expert is shorter than what a copy needs to get going: a few of its kind run ahead of those that are measured. */
static es_code queue_lead(const contention *m, const contention_case *c, es_err *err)
{
    es_code code = ES_OK;
    for (int i = 0; i < CONTENTION_LEAD && (c->what == WHAT_EXPERT || c->what == WHAT_PRODUCT) && code == ES_OK; i++)
        code = queue_piece(m->bench, c, 0, err);
    return code;
}

static es_code queue_measured(const contention *m, const contention_case *c, es_err *err)
{
    es_code code = ES_OK;
    for (unsigned i = 0; i < m->measured && code == ES_OK; i++)
        code = queue_piece(m->bench, c, m->bytes, err);
    return code;
}

/* Everything starts at one instant. A small copy that comes first is queued first. */
static es_code contention_queue(contention *m, const contention_case *c, bool together, es_err *err)
{
    calib_bench *b = m->bench;
    bool first = c->beside == BESIDE_SMALL_FIRST;
    es_code code = queue_lead(m, c, err);
    if (code == ES_OK)
        code = b->probe->record(b->self, 0, EVENT_START, err);
    if (code == ES_OK && together && first)
        code = queue_small(b, c->beside_way, err);
    if (code == ES_OK)
        code = queue_measured(m, c, err);
    if (code == ES_OK)
        code = b->probe->record(b->self, 0, EVENT_END, err);
    return code || !together || first ? code : queue_beside(m, c, err);
}

static es_code queue_least(calib_bench *b, const contention_case *c, es_err *err)
{
    if (c->what == WHAT_READ)
        return b->probe->queue_disk(b->self, 0, &(es_probe_io){false, b->check, 0, CONTENTION_SMALL, CONTENTION_SMALL, 1, ES_DISK_DIRECT}, err);
    return c->what == WHAT_EXPERT ? queue_tiny(b, 0, err) : queue_copy(b, 0, c->way, CONTENTION_SMALL, err);
}

/* Something small on stream 0, so that it is up; then it waits for what stream 1 does meanwhile, which is much longer, and goes on. */
static es_code waiting_queue(contention *m, const contention_case *c, es_err *err)
{
    calib_bench *b = m->bench;
    const bool computes = c->what == WHAT_EXPERT;
    es_code code = queue_least(b, c, err);
    if (code == ES_OK)
        code = b->probe->record(b->self, 1, EVENT_START, err);
    if (code == ES_OK)
        code = computes ? queue_copy(b, 1, c->beside_way, m->bytes, err) : queue_expert(b, 1, err);
    if (code == ES_OK)
        code = b->probe->record(b->self, 1, EVENT_END, err);
    if (code == ES_OK)
        code = b->probe->wait(b->self, 0, EVENT_END, err);
    if (code == ES_OK)
        code = b->probe->record(b->self, 0, EVENT_BESIDE, err);
    return code ? code : queue_least(b, c, err);
}

/* A quarter of the bytes each, so that eight are twice as many as what else is measured. */
static es_code streams_queue(contention *m, const contention_case *c, es_err *err)
{
    calib_bench *b = m->bench;
    es_code code = b->probe->record(b->self, 0, EVENT_START, err);
    for (unsigned s = 0; s < c->streams && code == ES_OK; s++) {
        code = queue_copy(b, s, c->way, m->bytes / 4, err);
        if (code == ES_OK)
            code = b->probe->record(b->self, s, EVENT_STREAM + s, err);
    }
    return code;
}

static es_code contention_run(contention *m, const contention_case *c, bool together, es_err *err)
{
    calib_bench *b = m->bench;
    es_code code = b->probe->hold(b->self, err);
    if (code == ES_OK)
        code = c->beside == BESIDE_STREAMS ? streams_queue(m, c, err) : c->beside == BESIDE_AWAITED ? waiting_queue(m, c, err) : contention_queue(m, c, together, err);
    es_code opened = b->probe->go(b->self, code ? NULL : err);
    if (code == ES_OK)
        code = opened;
    return code ? code : b->probe->sync(b->self, err);
}

static es_code contention_time(contention *m, const contention_case *c, bool together, es_time *ns, es_err *err)
{
    calib_bench *b = m->bench;
    bool small = c->beside == BESIDE_SMALL || c->beside == BESIDE_SMALL_FIRST;
    es_code code = contention_run(m, c, together, err);
    if (code)
        return code;
    if (!together || !small) {
        code = b->probe->elapsed(b->self, EVENT_START, EVENT_END, ns, err);
        *ns = (*ns + m->measured / 2) / m->measured;
        return code;
    }
    /* Behind one of its way: since that began. Else by events of its own stream: of two ways, engines that wake one after the other make
     * stamps of two streams differ by that; and what comes first may be done before the large one begins. */
    bool behind = c->beside == BESIDE_SMALL && c->way == c->beside_way;
    return b->probe->elapsed(b->self, behind ? EVENT_START : EVENT_BESIDE, EVENT_SMALL, ns, err);
}

/* When the first and when the last of them ended. */
static es_code streams_time(contention *m, const contention_case *c, es_time *first, es_time *last, es_err *err)
{
    calib_bench *b = m->bench;
    es_code code = contention_run(m, c, true, err);
    for (unsigned s = 0; s < c->streams && code == ES_OK; s++) {
        es_time ended = 0;
        code = b->probe->elapsed(b->self, EVENT_START, EVENT_STREAM + s, &ended, err);
        *first = s == 0 || ended < *first ? ended : *first;
        *last = s == 0 || ended > *last ? ended : *last;
    }
    return code;
}

/* Of one run both: what is waited for differs from time to time by more than a hand-over takes. */
static es_code waiting_time(contention *m, const contention_case *c, es_time *done, es_time *went, es_err *err)
{
    calib_bench *b = m->bench;
    es_code code = contention_run(m, c, true, err);
    if (code == ES_OK)
        code = b->probe->elapsed(b->self, EVENT_START, EVENT_END, done, err);
    return code ? code : b->probe->elapsed(b->self, EVENT_START, EVENT_BESIDE, went, err);
}

static es_code contention_pair(contention *m, const contention_case *c, es_time *alone, es_time *together, es_err *err)
{
    if (c->beside == BESIDE_STREAMS)
        return streams_time(m, c, alone, together, err);
    if (c->beside == BESIDE_AWAITED)
        return waiting_time(m, c, alone, together, err);
    es_code code = contention_time(m, c, false, alone, err);
    return code ? code : contention_time(m, c, true, together, err);
}

static es_code contention_ask_once(contention *m, calib_question question, bool warms, calib_pairs *out, es_err *err)
{
    es_time alone = 0, together = 0;
    series_size(m, &contention_cases[question]);
    es_code code = contention_pair(m, &contention_cases[question], &alone, &together, err);
    if (code == ES_OK && !warms) {
        out->alone[out->count] = alone;
        out->together[out->count++] = together;
    }
    return code;
}

/* The first expert of a kind on a stream with nothing held: what a library makes and loads then may have to wait for the device. */
static es_code contention_warm(calib_bench *b, es_err *err)
{
    bool products = (b->facts.can & ES_PROBE_BF16) != 0;
    es_code code = ES_OK;
    for (unsigned stream = 0; stream < 2 && code == ES_OK; stream++) {
        if (products)
            code = queue_product(b, stream, err);
        if (code == ES_OK)
            code = queue_expert(b, stream, err);
        if (code == ES_OK && (b->facts.can & ES_PROBE_MIXES))
            code = queue_tiny(b, stream, err);
    }
    return code ? code : b->probe->sync(b->self, err);
}

/* How long one of each takes alone, the second time: how many make a series. */
static es_code contention_each(contention *m, es_err *err)
{
    static const calib_question of[OFS] = {CALIB_H2D_COMPUTING, CALIB_EXPERT_COPYING, CALIB_PRODUCT_COPYING};
    es_code code = ES_OK;
    m->measured = 1;
    for (int i = 0; i < OFS; i++)
        for (int again = 0; again < 2 && (contention_needs(of[i]) & ~m->bench->facts.can) == 0 && code == ES_OK; again++) {
            es_time ns = 0;
            code = contention_time(m, &contention_cases[of[i]], false, &ns, err);
            m->each_ns[i] = (double)ns;
        }
    return code;
}

static bool contention_asks(const calib_bench *bench, calib_question question)
{
    const contention_case *c = &contention_cases[question];
    return (contention_needs(question) & ~bench->facts.can) == 0 && (c->beside != BESIDE_AWAITED || bench->probe->wait) && (c->what != WHAT_READ || bench->probe->queue_disk);
}

/* Widths are multiples of 16, and four copies of the expert are to fit where one copy of four times the bytes does. */
static uint32_t contention_inter(const contention_ask *ask)
{
    const int64_t most = ask->bytes > calib_expert_bytes(ES_WEIGHTS_FP32) ? ask->bytes : calib_expert_bytes(ES_WEIGHTS_FP32);
    const int64_t inter = (ask->expert < most ? ask->expert : most) / (8 * CALIB_HIDDEN) / 16 * 16;
    return ask->expert > 0 && inter > 0 ? (uint32_t)inter : CALIB_INTER;
}

/* In another order each round: a slow second is noise of many answers, and no factor of one. */
static void contention_shuffle(const calib_bench *bench, uint32_t round, calib_question *question, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        const uint32_t j = es_draw_below(bench->random, i + 1, round, i, 0, 0);
        const calib_question moved = question[i];
        question[i] = question[j];
        question[j] = moved;
    }
}

es_code contention_measure(calib_bench *bench, const contention_ask *ask, const calib_tell *tell, calib_samples *samples, es_err *err)
{
    contention m = {.bench = bench, .bytes = ask->bytes};
    const uint32_t pairs = ask->pairs < CALIB_PAIRS ? ask->pairs : CALIB_PAIRS;
    calib_question question[CALIB_QUESTIONS];
    uint32_t count = 0;
    es_code code = ES_OK;
    bench->inter = contention_inter(ask);
    if (!bench->probe->hold || !(bench->facts.can & ES_PROBE_PINS))
        return ES_OK;
    if (bench->facts.can & ES_PROBE_EXPERT)
        code = contention_warm(bench, err);
    if (code == ES_OK)
        code = contention_each(&m, err);
    for (int q = 0; q < CALIB_QUESTIONS; q++)
        if (contention_asks(bench, (calib_question)q))
            question[count++] = (calib_question)q;
    for (uint32_t round = 0; round <= pairs && code == ES_OK; round++) {        /* the first warms up */
        if (tell)
            tell->call(tell->self, &(calib_told){.stage = "what runs beside what", .round = round, .rounds = pairs + 1});
        contention_shuffle(bench, round, question, count);
        for (uint32_t i = 0; i < count && code == ES_OK; i++)
            code = contention_ask_once(&m, question[i], round == 0, &samples->pairs[question[i]], err);
    }
    return code;
}

/* ---- what they mean ---- */

static calib_interval contention_interval(const int64_t *ns, uint32_t count)
{
    double sorted[CALIB_PAIRS];
    for (uint32_t i = 0; i < count; i++)
        sorted[i] = (double)ns[i];
    gsl_sort(sorted, 1, count);
    return calib_median(sorted, count);
}

contention_answer contention_of(const calib_samples *samples, calib_question question)
{
    const calib_pairs *pairs = &samples->pairs[question];
    contention_answer answer = {.asked = pairs->count >= CONTENTION_LEAST};
    if (!answer.asked)
        return answer;
    answer.alone = contention_interval(pairs->alone, pairs->count);
    answer.together = contention_interval(pairs->together, pairs->count);
    answer.slower = answer.together.low > answer.alone.high;
    return answer;
}

double contention_factor(const contention_answer *answer, double fixed_ns)
{
    if (!answer->slower)
        return 1.0;
    double fixed = fmin(fixed_ns, 0.5 * answer->alone.median);
    return (answer->alone.median - fixed) / (answer->together.median - fixed);
}

bool contention_handover(const calib_samples *samples, calib_question question, double *ns)
{
    const calib_pairs *pairs = &samples->pairs[question];
    double sorted[CALIB_PAIRS];
    if (pairs->count < CONTENTION_LEAST)
        return false;
    for (uint32_t i = 0; i < pairs->count; i++)
        sorted[i] = (double)(pairs->together[i] - pairs->alone[i]);
    gsl_sort(sorted, 1, pairs->count);
    *ns = fmax(0.0, calib_median(sorted, pairs->count).median);
    return true;
}

bool contention_waits(const contention_answer *answer)
{
    return answer->together.median > 0.5 * answer->alone.median;
}

contention_streams contention_streams_of(const calib_samples *samples, calib_question one, double fixed_ns)
{
    contention_streams streams = {.asked = true, .lanes = 1};
    double best = 0.0;
    for (int i = 0; i < CONTENTION_STREAMS; i++) {
        contention_answer answer = contention_of(samples, (calib_question)((int)one + i));
        if (!answer.asked)
            return (contention_streams){0};
        streams.first[i] = answer.alone.median;
        streams.last[i] = answer.together.median;
    }
    /* One after another the first of eight ends when an eighth is done, at once when all are. */
    streams.together = streams.first[CONTENTION_STREAMS - 1] > 0.5 * streams.last[CONTENTION_STREAMS - 1];
    double fixed = fmin(fixed_ns, 0.5 * streams.last[0]);
    for (int i = 0; i < CONTENTION_STREAMS; i++) {
        double rate = (double)(1u << i) * (streams.last[0] - fixed) / (streams.last[i] - fixed);     /* of one stream's */
        if (rate > CONTENTION_FASTER * best) {
            best = rate;
            streams.lanes = 1u << i;
        }
    }
    return streams;
}
