/* Measure: see measure.h. Rounds, warm-ups, the budget. */
#include "calib/measure.h"

#include "calib/bench.h"

enum { MEASURE_WARM = 5, MEASURE_LEAST = 3 };       /* warm-ups of a case; rounds whatever the budget says */

typedef struct measure {
    calib_bench *bench;
    const calib_plan *plan;
    const calib_tell *tell;
    calib_case_state *state;    /* [plan->count] */
    uint32_t *order;            /* [plan->count] */
    es_time start, budget;
    uint32_t round;
    size_t done;
} measure;

static es_time measure_left(const measure *m)
{
    es_time left = m->budget - (m->bench->probe->now(m->bench->self) - m->start);
    return left > 0 ? left : 0;
}

static void measure_tell(const measure *m, const char *stage)
{
    calib_told told = {stage, m->round, MEASURE_LEAST, m->plan->count, m->done, measure_left(m)};
    if (m->tell)
        m->tell->call(m->tell->self, &told);
}

/* Once with all bytes compared, then until caches, clocks and page tables have seen it; a slow case is warm after one time. */
static es_code measure_warm(measure *m, const calib_case *c, es_err *err)
{
    calib_sample sample;
    es_time slow = m->budget / (es_time)(m->plan->count * 4 * MEASURE_WARM);
    es_code code = bench_perform(m->bench, c, true, &sample, err);
    for (int i = 1; i < MEASURE_WARM && code == ES_OK && sample.ns <= slow; i++)
        code = bench_perform(m->bench, c, false, &sample, err);
    return code;
}

static es_code measure_round(measure *m, calib_samples *samples, es_err *err)
{
    es_code code = ES_OK;
    calib_plan_shuffle(m->plan, m->round, m->order);
    for (uint32_t i = 0; i < m->plan->count && code == ES_OK; i++) {
        const calib_case *c = &m->plan->at[m->order[i]];
        calib_case_state *state = &m->state[m->order[i]];
        if (state->stopped || (m->round >= MEASURE_LEAST && measure_left(m) == 0))
            continue;
        calib_sample sample;
        if (m->round == 0)
            code = measure_warm(m, c, err);
        if (code == ES_OK)
            code = bench_perform(m->bench, c, false, &sample, err);
        if (code)
            break;
        if (sample.ns < 0) {    /* does not apply to this machine, and will not the next time */
            *state = (calib_case_state){.stopped = true, .stop = CALIB_PRECISE};
            m->done++;
            continue;
        }
        sample.round = m->round;
        sample.order = i;
        code = calib_series_add(&samples->row[c->row], &sample, err);
        calib_case_take(state, (double)sample.ns);
        m->done += state->stopped;
        measure_tell(m, m->round == 0 ? "warming up" : "measuring");
    }
    return code;
}

/* A row is as sure as the least sure of its cases. */
static void measure_verdict(const measure *m, calib_samples *samples)
{
    for (size_t i = 0; i < m->plan->count; i++) {
        calib_series *series = &samples->row[m->plan->at[i].row];
        const calib_case_state *state = &m->state[i];
        if (state->stop > series->stop)
            series->stop = state->stop;
        series->open += state->stop == CALIB_BUDGET;
    }
}

es_code calib_measure(calib_bench *bench, const calib_plan *plan, es_time budget, const calib_tell *tell, calib_samples *samples, es_err *err)
{
    es_arena arena = {0};
    measure m = {.bench = bench, .plan = plan, .tell = tell, .budget = budget};
    m.state = ES_NEW_ARRAY(&arena, plan->count, calib_case_state);
    m.order = ES_NEW_ARRAY(&arena, plan->count, uint32_t);
    es_code code = m.state && m.order ? ES_OK : es_err_nomem(err, "a calibration");
    m.start = bench->probe->now(bench->self);
    for (; code == ES_OK && m.done < plan->count && (m.round < MEASURE_LEAST || measure_left(&m) > 0); m.round++)
        code = measure_round(&m, samples, err);
    if (code == ES_OK)
        measure_verdict(&m, samples);
    es_arena_free(&arena);
    return code;
}
