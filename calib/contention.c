/* Contention: see contention.h. */
#include "calib/contention.h"

#include <gsl/gsl_sort.h>
#include <math.h>

#include "calib/bench.h"

enum { CONTENTION_SMALL = 4096, CONTENTION_EXPERTS = 48, CONTENTION_LEAST = 3 };

typedef struct contention_case {    /* what is measured on stream 0, and what runs beside it on stream 1 */
    es_way way;
    bool expert;                    /* measures an expert, not a copy */
    enum { BESIDE_COPY, BESIDE_EXPERT, BESIDE_SMALL } beside;
    es_way beside_way;
} contention_case;

static const contention_case contention_cases[CALIB_QUESTIONS] = {
    [CALIB_H2D_BEHIND] = {ES_WAY_H2D, false, BESIDE_SMALL, ES_WAY_H2D},
    [CALIB_D2H_BEHIND] = {ES_WAY_D2H, false, BESIDE_SMALL, ES_WAY_D2H},
    [CALIB_D2H_ACROSS] = {ES_WAY_H2D, false, BESIDE_SMALL, ES_WAY_D2H},
    [CALIB_H2D_OPPOSITE] = {ES_WAY_H2D, false, BESIDE_COPY, ES_WAY_D2H},
    [CALIB_D2H_OPPOSITE] = {ES_WAY_D2H, false, BESIDE_COPY, ES_WAY_H2D},
    [CALIB_H2D_COMPUTING] = {ES_WAY_H2D, false, BESIDE_EXPERT, ES_WAY_D2D},
    [CALIB_D2H_COMPUTING] = {ES_WAY_D2H, false, BESIDE_EXPERT, ES_WAY_D2D},
    [CALIB_EXPERT_COPYING] = {ES_WAY_D2D, true, BESIDE_COPY, ES_WAY_H2D},
};

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
    es_probe_expert expert = {bench_next(&b->pool[ES_MEMORY_DEVICE], 8LL * CALIB_HIDDEN * CALIB_INTER), CALIB_HIDDEN, CALIB_INTER, 1, ES_WEIGHTS_FP32};
    return b->probe->expert(b->self, stream, &expert, err);
}

/* Experts that outlast `ns`, as far as is known how long one takes. */
static es_code queue_experts(calib_bench *b, double ns, double expert_ns, es_err *err)
{
    double wanted = expert_ns > 0.0 ? ceil(2.0 * ns / expert_ns) : CONTENTION_EXPERTS;
    es_code code = ES_OK;
    for (int i = 0; i < CONTENTION_EXPERTS && i < wanted && code == ES_OK; i++)
        code = queue_expert(b, 1, err);
    return code;
}

/* Twice the bytes of what is measured, so that they outlast it. */
static es_code queue_beside(calib_bench *b, const contention_case *c, int64_t bytes, double ns, double expert_ns, es_err *err)
{
    if (c->beside == BESIDE_EXPERT)
        return queue_experts(b, ns, expert_ns, err);
    if (c->beside == BESIDE_SMALL) {
        es_code code = b->probe->record(b->self, 1, 2, err);
        if (code == ES_OK)
            code = queue_copy(b, 1, c->beside_way, CONTENTION_SMALL, err);
        return code ? code : b->probe->record(b->self, 1, 3, err);
    }
    es_code code = queue_copy(b, 1, c->beside_way, bytes, err);
    return code ? code : queue_copy(b, 1, c->beside_way, bytes, err);
}

/* ---- one time ---- */

typedef struct contention {
    calib_bench *bench;
    int64_t bytes;
    double alone_ns, expert_ns;     /* the newest time of what is measured, alone; of one expert; 0: not known yet */
} contention;

/* Event 0 before, 1 after what is measured, 2 before and 3 after the small copy beside it; everything starts at one instant. */
static es_code contention_queue(contention *m, const contention_case *c, bool together, es_err *err)
{
    calib_bench *b = m->bench;
    es_code code = b->probe->record(b->self, 0, 0, err);
    if (code == ES_OK)
        code = c->expert ? queue_expert(b, 0, err) : queue_copy(b, 0, c->way, m->bytes, err);
    if (code == ES_OK)
        code = b->probe->record(b->self, 0, 1, err);
    return code || !together ? code : queue_beside(b, c, m->bytes, m->alone_ns, m->expert_ns, err);
}

static es_code contention_time(contention *m, const contention_case *c, bool together, es_time *ns, es_err *err)
{
    calib_bench *b = m->bench;
    es_code code = b->probe->hold(b->self, err);
    if (code == ES_OK)
        code = contention_queue(m, c, together, err);
    es_code opened = b->probe->go(b->self, code ? NULL : err);
    if (code == ES_OK)
        code = opened;
    if (code == ES_OK)
        code = b->probe->sync(b->self, err);
    if (code)
        return code;
    if (!together || c->beside != BESIDE_SMALL)
        return b->probe->elapsed(b->self, 0, 1, ns, err);
    /* Of one way: since the large copy began. Of two: by events of its own stream, for engines that wake one after the other make
     * stamps of two streams differ by that. */
    return b->probe->elapsed(b->self, c->way == c->beside_way ? 0 : 2, 3, ns, err);
}

static es_code contention_ask(contention *m, calib_question question, uint32_t pairs, calib_pairs *out, es_err *err)
{
    const contention_case *c = &contention_cases[question];
    es_code code = ES_OK;
    for (uint32_t i = 0; i < pairs + 1 && code == ES_OK; i++) {
        es_time alone = 0, together = 0;
        code = contention_time(m, c, false, &alone, err);
        m->alone_ns = (double)alone;
        if (c->expert)
            m->expert_ns = (double)alone;
        if (code == ES_OK)
            code = contention_time(m, c, true, &together, err);
        if (i == 0)                 /* the first pair warms up */
            continue;
        out->alone[out->count] = alone;
        out->together[out->count++] = together;
    }
    return code;
}

/* The first expert of a stream with nothing held: what a library makes and loads then may have to wait for the device. */
static es_code contention_warm(calib_bench *b, es_err *err)
{
    es_code code = queue_expert(b, 0, err);
    if (code == ES_OK)
        code = queue_expert(b, 1, err);
    return code ? code : b->probe->sync(b->self, err);
}

es_code contention_measure(calib_bench *bench, int64_t bytes, uint32_t pairs, calib_samples *samples, es_err *err)
{
    contention m = {.bench = bench, .bytes = bytes};
    es_code code = ES_OK;
    if (!bench->probe->hold || !(bench->facts.can & ES_PROBE_PINS))
        return ES_OK;
    if (bench->facts.can & ES_PROBE_EXPERT)
        code = contention_warm(bench, err);
    for (int q = CALIB_QUESTIONS; q-- > 0 && code == ES_OK;) {      /* experts first: how long one takes is needed by others */
        const contention_case *c = &contention_cases[q];
        if ((c->expert || c->beside == BESIDE_EXPERT) && !(bench->facts.can & ES_PROBE_EXPERT))
            continue;
        code = contention_ask(&m, (calib_question)q, pairs < CALIB_PAIRS ? pairs : CALIB_PAIRS, &samples->pairs[q], err);
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

bool contention_waits(const contention_answer *answer)
{
    return answer->together.median > 0.5 * answer->alone.median;
}
