/* Planted: a part that breaks its contract ends the run with an error that names it and what it did, under both clocks; what the core
 * can take as it is changes nothing. Faults of the core itself are planted into the facts in tests/unit/test_audit.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/part/allocator.h"
#include "sim/part/dispatcher.h"
#include "sim/part/observer.h"
#include "sim/part/predictor.h"
#include "sim/part/scheduler.h"
#include "tests/support/rig.h"

enum { LAYERS = 2, EXPERTS = 8, TOP_K = 2, STEPS = 12 };

typedef enum fault {
    SOUND,
    NAMES_PINNED, NAMES_TWICE, NAMES_ABSENT, NAMES_NO_OBJECT, NAMES_TOO_FEW, NAMES_TOO_MANY, NAMES_OTHER_LAYER, STARTS_TWICE, STARTS_NO_OBJECT, STARTS_OVERFULL,
    GUESSES_NO_OBJECT, GUESSES_ONE_AGAIN_AND_AGAIN, GUESSES_TOO_MANY,
    LEAVES_VERDICTS_OUT, NO_SUCH_VERDICT, NO_SUCH_UNIT,
    PICKS_NONE, PICKS_WHAT_DOES_NOT_WAIT, PICKS_NO_CLASS, BATCH_OF_NONE, BATCH_OF_TOO_MANY,
    TAKES_NOTHING, GIVES_SPACE, TAKES_TOO_MUCH,
    FIXED_BACKWARDS, WORK_BACKWARDS, FOR_EVER,
    CHANGES_A_MASK, FINDS_FAULT
} fault;

typedef struct bad {            /* the state of all of them */
    fault fault;
    const es_view *view;
} bad;

static es_code bad_init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    ((bad *)self)->view = site->view;
    return ES_OK;
}

#define BAD_PART(...) {.abi = ES_ABI, .name = "bad", .size = sizeof(bad), .init = bad_init, __VA_ARGS__}

/* ---- a policy: the lowest ids leave first ---- */

static bool bad_may_leave(const bad *p, const es_need *need, es_oid o)
{
    const es_view *view = p->view;
    if (p->fault == NAMES_PINNED && es_mask_has(view->tier[need->tier].resident, o))
        return es_mask_has(view->guard, o);
    return es_may_evict(view, o, need->tier) && (p->fault == NAMES_OTHER_LAYER) != (es_bucket_of(view, need->tier, o) == need->bucket);
}

static size_t bad_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    const bad *p = self;
    const es_view *view = p->view;
    int64_t freed = 0;
    size_t count = 0;
    for (es_oid o = 0; o < view->objects && freed < need->units && count + 2 < most; o++) {
        if (!bad_may_leave(p, need, o))
            continue;
        out[count++] = o;
        if (p->fault == NAMES_TWICE)
            out[count++] = o;
        freed += view->tier[need->tier].unit[o >> 6];
    }
    if (p->fault == NAMES_TOO_FEW || p->fault == NAMES_TOO_MANY)
        return p->fault == NAMES_TOO_FEW ? 0 : most + 1;
    if (p->fault == NAMES_NO_OBJECT && count > 0)
        out[0] = view->objects;
    if (p->fault == NAMES_ABSENT && count > 0)
        for (es_oid o = 0; o < EXPERTS; o++)
            if (!es_mask_has(view->tier[need->tier].resident, o))
                out[0] = o;
    return need->all && freed < need->units ? 0 : count;
}

static size_t bad_initial(void *self, uint32_t tier, es_oid *out, size_t most)
{
    const bad *p = self;
    size_t count = 0;
    (void)tier, (void)most;
    for (; p->fault == STARTS_TWICE && count < 2; count++)
        out[count] = 3;
    if (p->fault == STARTS_NO_OBJECT)
        out[count++] = EXPERTS;         /* its layer has no such expert */
    for (; p->fault == STARTS_OVERFULL && count < EXPERTS; count++)
        out[count] = (es_oid)count;
    return count;
}

static const es_policy bad_policy = {.part = BAD_PART(.notify = NULL), .victims = bad_victims, .initial = bad_initial};

/* ---- the others ---- */

static uint32_t bad_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    const bad *p = self;
    uint32_t n = 0;
    (void)ask;
    if (p->fault == GUESSES_TOO_MANY)
        return most + 1;
    if (p->fault == GUESSES_ONE_AGAIN_AND_AGAIN)
        while (n < most)
            out[n++] = (es_guess){3, 1};
    if (p->fault == GUESSES_NO_OBJECT) {
        out[n++] = (es_guess){p->view->objects, 1};
        out[n++] = (es_guess){ES_NO_OBJECT, 1};
        out[n++] = (es_guess){EXPERTS, 1};
    }
    return n;
}

static const es_predictor bad_predictor = {.part = BAD_PART(.notify = NULL), .predict = bad_predict};

static void bad_serve(void *self, const es_serve_ask *ask, es_verdict *verdict)
{
    const bad *p = self;
    for (uint32_t i = 0; i < ask->count && p->fault != LEAVES_VERDICTS_OUT; i++)
        verdict[i] = p->fault == NO_SUCH_VERDICT ? (es_verdict)(ES_SKIP + 1) : ES_HOST_COMPUTE;   /* the machine has no cpu unit */
}

static const es_dispatcher bad_dispatcher = {.part = BAD_PART(.notify = NULL), .serve = bad_serve};

static uint32_t bad_pick(void *self, const es_queue *queue)
{
    const bad *p = self;
    if (p->fault == PICKS_WHAT_DOES_NOT_WAIT)
        return ES_CLASS_WRITE;
    if (p->fault == PICKS_NO_CLASS)
        return ES_CLASSES;
    return p->fault != PICKS_NONE && queue->waiting[ES_CLASS_DEMAND] ? ES_CLASS_DEMAND : ES_NONE;
}

static uint32_t bad_batch(void *self, es_class which, const es_queue *queue)
{
    (void)which, (void)queue;
    return ((const bad *)self)->fault == BATCH_OF_NONE ? 0 : 1000000;
}

static const es_scheduler bad_scheduler = {.part = BAD_PART(.notify = NULL), .pick = bad_pick, .batch = bad_batch};

static int64_t bad_unit(void *self, int64_t bytes)
{
    const bad *p = self;
    return p->fault == TAKES_NOTHING ? 0 : p->fault == GIVES_SPACE ? -1 : bytes;
}

static const es_allocator bad_allocator = {.part = BAD_PART(.notify = NULL), .unit = bad_unit, .counts = "slots"};

static es_cost bad_cost(void *self, const es_op *op)
{
    const bad *p = self;
    (void)op;
    return p->fault == FIXED_BACKWARDS ? (es_cost){-1, 2} : p->fault == WORK_BACKWARDS ? (es_cost){2, -1} : (es_cost){0, INT64_MAX};
}

static const es_timing bad_timing = {.part = BAD_PART(.notify = NULL), .cost = bad_cost};

static void bad_hear(void *self, const es_fact *fact)
{
    const bad *p = self;
    if (p->fault == CHANGES_A_MASK && fact->step == 1)
        p->view->tier[0].outbound[0] |= 1ull << 63;     /* no expert: the core never looks at it, but the mask is wrong */
}

static es_code bad_verdict(void *self, es_err *err)
{
    return ((const bad *)self)->fault == FINDS_FAULT ? es_err_set(err, ES_ECHECK, "bad: this run is not as it should be") : ES_OK;
}

static const es_observer bad_observer = {.part = BAD_PART(.notify = bad_hear, .hears = ES_HEARS(ES_FACT_STEP_END)), .verdict = bad_verdict};

/* ---- the machine ---- */

static void planted_open(rig *r, bool timed)
{
    rig_open(r, LAYERS, EXPERTS, TOP_K, 0, STEPS);
    for (uint16_t i = 0; i < STEPS; i++) {
        uint16_t *ids = rig_token(r, 0, ES_DECODE, false);
        for (uint16_t j = 0; j < LAYERS * TOP_K; j++)
            ids[j] = (uint16_t)((i * 3 + j * 5) % EXPERTS);
    }
    rig_plain(r, timed, "4slots", "{\"rate\": \"1GB/s\"}", "{\"dense\": \"1us\", \"expert\": \"100ns\"}");
    rig_observe(r, "audit");
    rig_observe(r, "digest");
}

static void planted_put(rig *r, es_kind kind, const bad *p)
{
    switch (kind) {
    case ES_KIND_POLICY:
        r->plan.policy = rig_own(&bad_policy.part, p, "policy");
        break;
    case ES_KIND_PREDICTOR:
        r->plan.predictor = rig_own(&bad_predictor.part, p, "predictor");
        break;
    case ES_KIND_DISPATCHER:
        r->plan.dispatcher = rig_own(&bad_dispatcher.part, p, "dispatcher");
        break;
    case ES_KIND_SCHEDULER:
        r->channel[0].scheduler = rig_own(&bad_scheduler.part, p, "channels.link.scheduler");
        break;
    case ES_KIND_ALLOCATOR:
        r->tier[0].allocator = rig_own(&bad_allocator.part, p, "tiers.cache.allocator");
        break;
    case ES_KIND_OBSERVER:
        r->observer[r->plan.observer_count++] = rig_own(&bad_observer.part, p, "observers.bad");
        break;
    default:
        fail_msg("kind %d has no bad part", (int)kind);
    }
    r->plan.contract.scope = p->fault == NAMES_OTHER_LAYER ? ES_PER_LAYER : ES_GLOBAL;
}

/* Runs with the fault; the error must hold these words. NULL: nothing must come of it. */
static void planted_expect(es_kind kind, fault which, bool timed, es_code code, const char *words)
{
    rig r;
    bad p = {.fault = which};
    planted_open(&r, timed);
    planted_put(&r, kind, &p);
    es_code got = rig_run(&r);
    if (got != code || (words && !strstr(r.err.text, words)))
        fail_msg("fault %d, clock %s: code %d \"%s\", expected code %d and \"%s\"", (int)which, timed ? "simulated" : "none", (int)got, r.err.text, (int)code,
            words ? words : "");
    rig_close(&r);
}

typedef struct planted_fault {
    es_kind kind;
    fault fault;
    es_code code;
    const char *words;          /* of the error */
} planted_fault;

static void planted_all(const planted_fault *faults, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (int timed = 0; timed < 2; timed++)
            planted_expect(faults[i].kind, faults[i].fault, timed, faults[i].code, faults[i].words);
}

#define PLANTED_ALL(faults) planted_all(faults, sizeof(faults) / sizeof *(faults))

/* ---- what is caught ---- */

static void a_policy_that_names_whom_it_must_not_is_named(void **state)
{
    (void)state;
    static const planted_fault faults[] = {
        {ES_KIND_POLICY, SOUND, ES_OK, NULL},
        {ES_KIND_POLICY, NAMES_PINNED, ES_EINTERNAL, "policy bad names layer 0 expert"},
        {ES_KIND_POLICY, NAMES_TWICE, ES_EINTERNAL, "it is not there, may not leave now or was named before"},
        {ES_KIND_POLICY, NAMES_ABSENT, ES_EINTERNAL, "it is not there, may not leave now or was named before"},
        {ES_KIND_POLICY, NAMES_NO_OBJECT, ES_EINTERNAL, "it is not there, may not leave now or was named before"},
        {ES_KIND_POLICY, NAMES_TOO_MANY, ES_EINTERNAL, "policy bad names 129 victims where at most 128 were asked for"},
        {ES_KIND_POLICY, NAMES_OTHER_LAYER, ES_EINTERNAL, "it belongs to another layer's share"},
    };
    PLANTED_ALL(faults);
}

static void a_policy_that_names_too_few_does_not_hang_the_run(void **state)
{
    (void)state;
    planted_expect(ES_KIND_POLICY, NAMES_TOO_FEW, false, ES_EINTERNAL, "policy bad names no victims: tier cache is 1 slots above its room");
    planted_expect(ES_KIND_POLICY, NAMES_TOO_FEW, true, ES_ESTUCK, "no copy is in flight or can find room in tier cache, where policy bad names no victims");
}

static void a_policy_that_starts_with_what_cannot_be_is_named(void **state)
{
    (void)state;
    static const planted_fault faults[] = {
        {ES_KIND_POLICY, STARTS_TWICE, ES_EINTERNAL, "policy bad: initial names object 3 twice or out of range"},
        {ES_KIND_POLICY, STARTS_NO_OBJECT, ES_EINTERNAL, "policy bad: initial names object 8 twice or out of range"},
        {ES_KIND_POLICY, STARTS_OVERFULL, ES_EINTERNAL, "policy bad: initial names more than tier cache has room for"},
    };
    PLANTED_ALL(faults);
}

static void a_predictor_that_says_it_wrote_more_than_fits_is_named(void **state)
{
    (void)state;
    static const planted_fault faults[] = {
        {ES_KIND_PREDICTOR, SOUND, ES_OK, NULL},
        {ES_KIND_PREDICTOR, GUESSES_ONE_AGAIN_AND_AGAIN, ES_OK, NULL},
        {ES_KIND_PREDICTOR, GUESSES_TOO_MANY, ES_EINTERNAL, "predictor bad names 65 guesses where at most 64 were asked for"},
    };
    PLANTED_ALL(faults);
}

static void a_verdict_that_there_is_not_is_an_error(void **state)
{
    (void)state;
    static const planted_fault faults[] = {{ES_KIND_DISPATCHER, NO_SUCH_VERDICT, ES_EINTERNAL, "dispatcher bad gives verdict 3, which there is not"}};
    PLANTED_ALL(faults);
}

/* Under clock none nothing is queued and no scheduler is asked. */
static void a_scheduler_that_starts_nothing_ends_the_run(void **state)
{
    (void)state;
    static const fault faults[] = {PICKS_NONE, PICKS_WHAT_DOES_NOT_WAIT, PICKS_NO_CLASS};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        planted_expect(ES_KIND_SCHEDULER, faults[i], true, ES_ESTUCK, "scheduler bad of channel link starts none of the 2 copies that could start");
}

static void an_allocator_that_takes_nothing_or_everything_is_refused(void **state)
{
    (void)state;
    static const planted_fault faults[] = {
        {ES_KIND_ALLOCATOR, TAKES_NOTHING, ES_EINTERNAL, "tiers.cache.allocator: bad says that an expert of 1000 bytes takes 0 slots"},
        {ES_KIND_ALLOCATOR, GIVES_SPACE, ES_EINTERNAL, "tiers.cache.allocator: bad says that an expert of 1000 bytes takes -1 slots"},
        {ES_KIND_ALLOCATOR, TAKES_TOO_MUCH, ES_EINPUT, "smaller than one expert of layer 0 (1000)"},
    };
    PLANTED_ALL(faults);
}

/* Of the link, and of the gpu. */
static void a_timing_that_turns_time_back_is_named(void **state)
{
    (void)state;
    static const fault faults[] = {FIXED_BACKWARDS, WORK_BACKWARDS, FOR_EVER};
    static const char *const words[] = {"timing bad of channel link says that an operation takes", "timing bad of channel gpu says that an operation takes"};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        for (int c = 0; c < 2; c++) {
            rig r;
            bad p = {.fault = faults[i]};
            planted_open(&r, true);
            r.channel[c].timing = rig_own(&bad_timing.part, &p, "channels.timing");
            assert_int_equal(rig_run(&r), ES_EINTERNAL);
            assert_non_null(strstr(r.err.text, words[c]));
            rig_close(&r);
        }
}

static void an_observer_that_changes_the_view_is_found_by_audit(void **state)
{
    (void)state;
    static const planted_fault faults[] = {
        {ES_KIND_OBSERVER, SOUND, ES_OK, NULL},
        {ES_KIND_OBSERVER, CHANGES_A_MASK, ES_ECHECK, "layer 0 expert 63 in tier cache is"},
        {ES_KIND_OBSERVER, FINDS_FAULT, ES_ECHECK, "bad: this run is not as it should be"},
    };
    PLANTED_ALL(faults);
}

/* ---- what does no harm ---- */

/* The facts of a run with the part are those of the run without. */
static void planted_same(es_kind kind, fault which, bool timed)
{
    rig with, without;
    bad p = {.fault = which};
    planted_open(&with, timed);
    planted_open(&without, timed);
    planted_put(&with, kind, &p);
    assert_int_equal(rig_run(&with), ES_OK);
    assert_int_equal(rig_run(&without), ES_OK);
    assert_string_equal(rig_said(&with, "digest.facts"), rig_said(&without, "digest.facts"));
    rig_close(&with);
    rig_close(&without);
}

static void what_can_be_left_out_changes_nothing(void **state)
{
    (void)state;
    for (int timed = 0; timed < 2; timed++) {
        planted_same(ES_KIND_PREDICTOR, GUESSES_NO_OBJECT, timed);
        planted_same(ES_KIND_DISPATCHER, LEAVES_VERDICTS_OUT, timed);       /* then they are fetched */
        planted_same(ES_KIND_DISPATCHER, NO_SUCH_UNIT, timed);
        planted_same(ES_KIND_SCHEDULER, BATCH_OF_NONE, timed);              /* then of one */
    }
    planted_expect(ES_KIND_SCHEDULER, BATCH_OF_TOO_MANY, true, ES_OK, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_policy_that_names_whom_it_must_not_is_named),
        cmocka_unit_test(a_policy_that_names_too_few_does_not_hang_the_run),
        cmocka_unit_test(a_policy_that_starts_with_what_cannot_be_is_named),
        cmocka_unit_test(a_predictor_that_says_it_wrote_more_than_fits_is_named),
        cmocka_unit_test(a_verdict_that_there_is_not_is_an_error),
        cmocka_unit_test(a_scheduler_that_starts_nothing_ends_the_run),
        cmocka_unit_test(an_allocator_that_takes_nothing_or_everything_is_refused),
        cmocka_unit_test(a_timing_that_turns_time_back_is_named),
        cmocka_unit_test(an_observer_that_changes_the_view_is_found_by_audit),
        cmocka_unit_test(what_can_be_left_out_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
