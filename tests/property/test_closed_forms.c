/* Closed forms: a channel is a queue, and of queues one knows the answers.
 *
 * How arrivals are made: layer 0 of every step uses the one expert that is there after the first step, so no step ever waits; its
 * dense time is the time between two arrivals, for at its gate the test's predictor names experts of layer 1, which no step uses.
 * These guesses queue at the link, cost the same each and never die, for layer 1 has no gate: an open queue with deterministic
 * service. The tier holds fewer experts than there are names, so that names come round again after their copies have left.
 *
 * Every run is audited, which checks Little's law on the link. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "sim/part/predictor.h"
#include "tests/support/rig.h"

enum { NAMES = 512, SLOTS = 400, SERVICE = 1000, LANDINGS = 16 };

/* ---- parts of the test's own ---- */

typedef struct arrivals {
    uint64_t gates;             /* at which guesses are made, the first step apart */
    uint32_t each;              /* guesses per gate */
    es_time apart;              /* between gates: always, or as the mean of exponential draws */
    bool exponential;
    uint64_t seed;
} arrivals;

/* The time before the gate of a step, counted from 0. */
static es_time arrivals_before(const arrivals *a, uint64_t step)
{
    if (!a->exponential)
        return a->apart;
    double u = es_draw_real(es_stream_of(a->seed, 0, "queue", "arrival"), step, 0, 0, 0);
    return es_ns_round(-(double)a->apart * log1p(-u));
}

static es_cost arrivals_cost(void *self, const es_op *op)
{
    const arrivals *a = self;
    return (es_cost){.fixed = op->kind == ES_OP_DENSE && op->object == 0 ? arrivals_before(a, op->step - 1) : 0};
}

static const es_timing arrivals_timing = {
    .part = {.abi = ES_ABI, .name = "arrivals", .size = sizeof(arrivals), .flags = ES_TIMING_DRAWS},
    .cost = arrivals_cost,
};

typedef struct namer {
    uint64_t gates;
    uint32_t each, stride;
    uint64_t named;
} namer;

static es_code namer_init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    ((namer *)self)->stride = site->view->stride;
    return ES_OK;
}

static uint32_t namer_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    namer *n = self;
    uint32_t count = 0;
    if (ask->event->step > 0 && ask->event->step <= n->gates)
        for (; count < n->each && count < most; count++)
            out[count] = (es_guess){n->stride + (es_oid)(n->named++ % NAMES), 1};
    return count;
}

static const es_predictor namer_predictor = {
    .part = {.abi = ES_ABI, .name = "namer", .size = sizeof(namer), .init = namer_init},
    .predict = namer_predict,
};

typedef struct landings {       /* when copies of layer 1 started and landed */
    es_time at[LANDINGS];       /* the first so many */
    uint64_t count;
    uint32_t stride;
    es_time *started;           /* [NAMES] */
    double *sojourn;            /* [gates] in order of landing; NULL: not wanted */
} landings;

typedef struct watch {
    landings *to;
} watch;

static void watch_notify(void *self, const es_fact *fact)
{
    landings *l = ((const watch *)self)->to;
    for (uint32_t i = 0; i < fact->count; i++) {
        es_oid object = fact->objects[i];
        if (object < l->stride)
            continue;
        if (fact->kind == ES_FACT_START_GUESS) {
            l->started[object - l->stride] = fact->at;
            continue;
        }
        if (l->count < LANDINGS)
            l->at[l->count] = fact->at;
        if (l->sojourn)
            l->sojourn[l->count] = (double)(fact->at - l->started[object - l->stride]);
        l->count++;
    }
}

static const es_observer watch_observer = {
    .part = {.abi = ES_ABI, .name = "watch", .size = sizeof(watch), .notify = watch_notify, .hears = ES_HEARS(ES_FACT_START_GUESS) | ES_HEARS(ES_FACT_LAND)},
};

/* A long trace that is one row again and again. */
typedef struct again {
    const es_trace_info *info;
    uint64_t steps, at;
    es_token token;
    uint16_t ids[2];
} again;

static const es_trace_info *again_info(void *self)
{
    return ((again *)self)->info;
}

static es_code again_next(void *self, es_step *step, bool *more, es_err *err)
{
    (void)err;
    again *s = self;
    *more = s->at < s->steps;
    s->token.position = (uint32_t)s->at++;
    *step = *more ? (es_step){.tokens = 1, .token = &s->token, .ids = s->ids} : (es_step){0};
    return ES_OK;
}

static es_code again_rewind(void *self, es_err *err)
{
    (void)err;
    ((again *)self)->at = 0;
    return ES_OK;
}

static const es_source again_source = {
    .part = {.abi = ES_ABI, .name = "again", .size = sizeof(again)}, .info = again_info, .next = again_next, .rewind = again_rewind};

/* ---- the queue ---- */

typedef struct queue {
    rig rig;
    again trace;
    arrivals arrivals;
    namer namer;
    landings landings;
    watch watch;
    es_time started[NAMES];
} queue;

/* Runs the arrivals, and `after` steps without any, over a link of the discipline. Guesses take `service` each. */
static void queue_run(queue *q, const arrivals *a, uint64_t after, int discipline, es_time service, double *sojourn)
{
    rig *r = &q->rig;
    rig_open(r, 2, NAMES, 1, 0, 1);
    q->arrivals = *a;
    q->namer = (namer){.gates = a->gates, .each = a->each};
    q->landings = (landings){.stride = NAMES, .started = q->started, .sojourn = sojourn};
    q->watch = (watch){&q->landings};
    q->trace = (again){.info = &r->trace.info, .steps = 1 + a->gates + after, .token = {0, 0, ES_DECODE}, .ids = {0, ES_NO_EXPERT}};
    r->trace.info.counted = false;
    r->trace.bytes[1] = service;
    r->plan.source = &again_source;
    r->plan.source_state = &q->trace;
    rig_plain(r, true, rig_text(r, "%dslots", SLOTS), "{\"rate\": \"1GB/s\"}", NULL);
    r->channel[0].discipline = discipline;
    r->channel[1].timing = rig_own(&arrivals_timing.part, &q->arrivals, "channels.gpu.timing");
    r->plan.predictor = rig_own(&namer_predictor.part, &q->namer, "predictor");
    rig_observe(r, "audit");
    r->observer[r->plan.observer_count++] = rig_own(&watch_observer.part, &q->watch, "observers.watch");
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
}

static const es_channel_view *queue_link(const queue *q)
{
    return &rig_view(&q->rig)->channel[0];
}

/* Lindley's recursion: what the last one still has to wait for when the next comes. The wait of each guess; its sum. */
static double queue_waits(const arrivals *a, es_time service, double *wait)
{
    double sum = 0, left = 0;
    for (uint64_t i = 0; i < a->gates; i++) {
        left -= i ? (double)arrivals_before(a, i + 1) : left;
        left = left > 0 ? left : 0;
        wait[i] = left;
        sum += left;
        left += (double)service;
    }
    return sum;
}

/* ---- statistics ---- */

enum { BATCHES = 50 };

typedef struct estimate {
    double mean, error;         /* standard error by batch means: neighbours depend on each other, batches hardly */
} estimate;

static estimate estimate_of(const double *value, uint64_t n)
{
    double batch[BATCHES] = {0}, mean = 0, square = 0;
    uint64_t size = n / BATCHES;
    for (uint64_t i = 0; i < size * BATCHES; i++)
        batch[i / size] += value[i] / (double)size;
    for (int b = 0; b < BATCHES; b++)
        mean += batch[b] / BATCHES;
    for (int b = 0; b < BATCHES; b++)
        square += (batch[b] - mean) * (batch[b] - mean);
    return (estimate){mean, sqrt(square / (BATCHES - 1) / BATCHES)};
}

/* Within four standard errors, which a right run fails once in 15000 seeds; and those are less than a twentieth of what is expected,
 * or the bound would say nothing. */
static void estimate_expect(const char *what, estimate got, double want)
{
    printf("  %s: %.1f, expected %.1f, standard error %.1f\n", what, got.mean, want, got.error);
    assert_true(got.error * 20 < want);
    assert_true(fabs(got.mean - want) < 4 * got.error);
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("ES_SEED");
    return text && *text ? strtoull(text, NULL, 0) : 1;
}

static void *need(void *memory)
{
    assert_non_null(memory);
    return memory;
}

/* ---- first come, first served ---- */

static void evenly_spaced_copies_never_wait(void **state)
{
    (void)state;
    queue *q = need(calloc(1, sizeof *q));
    queue_run(q, &(arrivals){.gates = 3000, .each = 1, .apart = SERVICE}, 2, ES_FIFO, SERVICE, NULL);     /* as full as can be */
    assert_int_equal(queue_link(q)->queue_ns, 0);
    assert_int_equal(q->landings.count, 3000);
    rig_close(&q->rig);
    free(q);
}

/* k at a time, far enough apart: the i-th of each waits for i others. */
static void copies_that_come_together_wait_for_each_other(void **state)
{
    (void)state;
    for (uint32_t k = 1; k <= 8; k++) {
        queue *q = need(calloc(1, sizeof *q));
        queue_run(q, &(arrivals){.gates = 100, .each = k, .apart = 8 * SERVICE}, 1, ES_FIFO, SERVICE, NULL);
        assert_int_equal(queue_link(q)->queue_ns, 100 * SERVICE * (int64_t)(k * (k - 1) / 2));
        assert_int_equal(queue_link(q)->busy_ns, (1 + 100 * (int64_t)k) * SERVICE);
        rig_close(&q->rig);
        free(q);
    }
}

/* One more comes than can be served: every wait is longer than the last by what is lacking. */
static void an_overloaded_link_falls_behind_by_a_constant(void **state)
{
    (void)state;
    enum { N = 100, SHORT = 200 };
    queue *q = need(calloc(1, sizeof *q));
    queue_run(q, &(arrivals){.gates = N, .each = 1, .apart = SERVICE - SHORT}, 50, ES_FIFO, SERVICE, NULL);
    assert_int_equal(queue_link(q)->queue_ns, (int64_t)SHORT * N * (N - 1) / 2);
    assert_int_equal(q->landings.count, N);
    rig_close(&q->rig);
    free(q);
}

/* Poisson arrivals, load 0.8. Every wait is Lindley's to the nanosecond, and their mean is that of Pollaczek and Khinchine for
 * deterministic service: load * service / (2 * (1 - load)). */
static void poisson_arrivals_wait_as_pollaczek_and_khinchine_say(void **state)
{
    (void)state;
    enum { N = 150000 };
    const double load = 0.8;
    const arrivals a = {.gates = N, .each = 1, .apart = (es_time)(SERVICE / load), .exponential = true, .seed = seed_of_run()};
    double *wait = need(calloc(N, sizeof *wait));
    queue *q = need(calloc(1, sizeof *q));
    printf("%s: %d arrivals, seed %" PRIu64 "\n", __func__, N, a.seed);
    queue_run(q, &a, 2000, ES_FIFO, SERVICE, NULL);
    assert_int_equal(q->landings.count, N);
    assert_true((double)queue_link(q)->queue_ns == queue_waits(&a, SERVICE, wait));
    assert_true(queue_link(q)->depth_area == (double)queue_link(q)->queue_ns);      /* Little */
    estimate_expect("mean wait in ns", estimate_of(wait, N), load * SERVICE / (2 * (1 - load)));
    rig_close(&q->rig);
    free(q);
    free(wait);
}

/* ---- processor sharing ---- */

static void landed_at(const queue *q, es_time first_gate, const es_time *want, uint64_t count)
{
    assert_int_equal(q->landings.count, count);
    for (uint64_t i = 0; i < count; i++)
        assert_int_equal(q->landings.at[i] - first_gate, want[i]);
}

static void equal_copies_that_share_land_together_after_as_many_times(void **state)
{
    (void)state;
    for (uint32_t n = 1; n <= 12; n++) {
        queue *q = need(calloc(1, sizeof *q));
        es_time want[12];
        for (uint32_t i = 0; i < n; i++)
            want[i] = (es_time)n * SERVICE;
        queue_run(q, &(arrivals){.gates = 1, .each = n, .apart = 20000}, 2, ES_SHARED, SERVICE, NULL);
        landed_at(q, 20000 + SERVICE + 20000, want, n);                 /* the first step waits for its expert */
        rig_close(&q->rig);
        free(q);
    }
}

/* Copies of 4000 ns come every 2000 ns. Two: the first has done half when the second comes, then both go at half speed for 4000 ns, and
 * the second does its other half alone. Three: 1000 are left of the first when the third comes, and so on. */
static void staggered_copies_share_what_is_left(void **state)
{
    (void)state;
    static const es_time want[][3] = {{4000}, {6000, 8000}, {7000, 11000, 12000}};
    for (uint64_t n = 1; n <= 3; n++) {
        queue *q = need(calloc(1, sizeof *q));
        queue_run(q, &(arrivals){.gates = n, .each = 1, .apart = 2000}, 10, ES_SHARED, 4000, NULL);
        landed_at(q, 2000 + SERVICE + 2000, want[n - 1], n);
        rig_close(&q->rig);
        free(q);
    }
}

/* The mean stay under processor sharing depends on the service by its mean alone: service / (1 - load) (Kleinrock 1967). */
static void poisson_arrivals_stay_as_processor_sharing_says(void **state)
{
    (void)state;
    enum { N = 60000 };
    const double load = 0.7;
    const arrivals a = {.gates = N, .each = 1, .apart = (es_time)(SERVICE / load), .exponential = true, .seed = seed_of_run()};
    double *stay = need(calloc(N, sizeof *stay));
    queue *q = need(calloc(1, sizeof *q));
    printf("%s: %d arrivals, seed %" PRIu64 "\n", __func__, N, a.seed);
    queue_run(q, &a, 2000, ES_SHARED, SERVICE, stay);
    assert_int_equal(q->landings.count, N);
    estimate_expect("mean stay in ns", estimate_of(stay, N), SERVICE / (1 - load));
    rig_close(&q->rig);
    free(q);
    free(stay);
}

/* ---- several servers ---- */

static void lanes_serve_as_many_at_a_time(void **state)
{
    (void)state;
    for (uint32_t lanes = 1; lanes <= 4; lanes++) {
        rig r;
        rig_open(&r, 1, 8, 8, 0, 1);
        uint16_t *ids = rig_token(&r, 0, ES_DECODE, false);
        for (uint16_t i = 0; i < 8; i++)
            ids[i] = i;
        rig_plain(&r, true, "8slots", "{\"rate\": \"1GB/s\"}", NULL);
        r.channel[0].discipline = ES_LANES;
        r.channel[0].lanes = lanes;
        rig_observe(&r, "audit");
        assert_int_equal(rig_run(&r), ES_OK);
        assert_int_equal(rig_view(&r)->times->total, (8 + lanes - 1) / lanes * SERVICE);
        assert_int_equal(rig_view(&r)->channel[0].busy_ns, 8 * SERVICE);
        rig_close(&r);
    }
}

/* ---- chunks ---- */

/* 3000 bytes in chunks of 700: four whole ones and a rest, and each pays the latency. */
static void each_chunk_pays_the_latency(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, 1, 8, 1, 0, 1);
    rig_token(&r, 0, ES_DECODE, false)[0] = 0;
    r.trace.bytes[0] = 3000;
    rig_plain(&r, true, "1slots", "{\"rate\": \"1GB/s\", \"latency\": \"500ns\"}", NULL);
    r.channel[0].chunk = 700;
    rig_observe(&r, "audit");
    assert_int_equal(rig_run(&r), ES_OK);
    assert_int_equal(rig_view(&r)->times->total, 5 * 500 + 3000);
    assert_int_equal(rig_view(&r)->channel[0].bytes, 3000);
    rig_close(&r);
}

/* ---- grace ---- */

/* The only slot is used by the expert of layer 0; what is guessed at its gate waits until it is computed and its grace is over. */
static void a_guess_waits_for_the_end_of_grace(void **state)
{
    (void)state;
    for (int64_t grace = 0; grace <= 1400; grace += 700) {
        rig r;
        namer n = {.gates = 1, .each = 1};
        rig_open(&r, 2, 8, 1, 0, 2);
        rig_token(&r, 0, ES_DECODE, false)[0] = 0;
        rig_token(&r, 0, ES_DECODE, false)[0] = 0;
        rig_plain(&r, true, "1slots", NULL, "{\"dense\": \"2us\", \"expert\": \"100ns\"}");
        r.tier[0].grace = grace;
        r.plan.predictor = rig_own(&namer_predictor.part, &n, "predictor");
        rig_observe(&r, "audit");
        assert_int_equal(rig_run(&r), ES_OK);
        assert_int_equal(rig_view(&r)->tally->guess_copies, 1);
        assert_int_equal(rig_view(&r)->channel[0].queue_ns, 100 + grace);
        rig_close(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(evenly_spaced_copies_never_wait),
        cmocka_unit_test(copies_that_come_together_wait_for_each_other),
        cmocka_unit_test(an_overloaded_link_falls_behind_by_a_constant),
        cmocka_unit_test(poisson_arrivals_wait_as_pollaczek_and_khinchine_say),
        cmocka_unit_test(equal_copies_that_share_land_together_after_as_many_times),
        cmocka_unit_test(staggered_copies_share_what_is_left),
        cmocka_unit_test(poisson_arrivals_stay_as_processor_sharing_says),
        cmocka_unit_test(lanes_serve_as_many_at_a_time),
        cmocka_unit_test(each_chunk_pays_the_latency),
        cmocka_unit_test(a_guess_waits_for_the_end_of_grace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
