/* Two things at once on a CUDA runtime by formula: the discipline that was planted is what the probe answers and the profile says, and so
 * is what each way, and computing, slows. */
#include "calib/bench.h"
#include "calib/contention.h"
#include "calib/report.h"
#include "models/profile.h"
#include "tests/support/calib_kit.h"

extern const es_probe es_probe_cuda;

#define WITH_FAKE "{\"folder\": \"/nowhere\", \"library\": \"" ES_FAKE_CUDART "\", \"blas\": \"" ES_FAKE_CUDART "\"}"

typedef struct asked {          /* a machine with a planted model, measured: what comes out */
    calib_samples samples;
    es_json *profile;
    es_text told;
    es_arena arena;
    es_profile read;
} asked;

/* Of the rows only those that a factor is written to. */
static void rows_kept(calib_plan *plan)
{
    static const char *const rows[] = {"pcie.h2d", "pcie.d2h", "gpu.expert"};
    size_t kept = 0;
    for (size_t i = 0; i < plan->count; i++)
        for (size_t r = 0; r < 3; r++)
            if (strcmp(calib_rows[plan->at[i].row].name, rows[r]) == 0)
                plan->at[kept++] = plan->at[i];
    plan->count = kept;
}

static void ask(const char *model, asked *a)
{
    machine m;
    calib_bench *bench = NULL;
    es_err err = {0};
    *a = (asked){.samples = {.environment = cJSON_CreateObject()}};
    unsetenv("FAKE_CUDART");
    setenv("FAKE_CUDART_MODEL", model, 1);
    fine(machine_open(&m, &es_probe_cuda, WITH_FAKE, &(calib_ask){.quick = true, .most = 4 * MIB}, &err), &err);
    rows_kept(&m.plan);
    fine(calib_bench_open(&bench, m.probe, m.self, &m.plan, 1, &err), &err);
    fine(contention_measure(bench, &(contention_ask){2 * MIB, 0, 4}, NULL, &a->samples, &err), &err);
    fine(calib_measure(bench, &m.plan, 2 * ES_SECOND, NULL, &a->samples, &err), &err);
    for (int q = 0; q < CALIB_QUESTIONS; q++)
        assert_int_equal(a->samples.pairs[q].count, contention_needs((calib_question)q) & ~bench->facts.can ? 0 : 4);
    calib_bench_close(bench);
    machine_close(&m);
    es_json_add_text(a->samples.environment, "backend", "cuda");
    fine(calib_report(&a->samples, &(report_ask){0}, &a->profile, &a->told, &err), &err);
    fine(es_profile_parse(&a->read, cJSON_GetObjectItem(a->profile, "machine"), NULL, &a->arena, &err), &err);
    unsetenv("FAKE_CUDART_MODEL");
}

static void answered(asked *a)
{
    calib_samples_free(&a->samples);
    cJSON_Delete(a->profile);
    es_text_free(&a->told);
    es_arena_free(&a->arena);
}

static const es_flow *flow_of(const asked *a, const char *name)
{
    const es_flow *flow = NULL;
    es_err err = {0};
    fine(es_profile_flow(&a->read, name, &flow, &err), &err);
    return flow;
}

/* Of the rate, beside `by`; 1 where the profile says nothing of it. */
static double factor_of(const es_slowdown *slowed, size_t count, const char *by)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(slowed[i].by, by) == 0)
            return slowed[i].factor;
    return 1.0;
}

static void slowed(const asked *a, const char *what, const char *by, double right)
{
    const es_profile_unit *unit = es_profile_unit_find(&a->read, what);
    const es_flow *flow = unit ? NULL : flow_of(a, what);
    double found = unit ? factor_of(unit->slowed, unit->slowdowns, by) : factor_of(flow->slowed, flow->slowdowns, by);
    if (!(fabs(found - right) < 0.01))
        fail_msg("%s beside %s: found %g, right is %g", what, by, found, right);
}

static void says_of(const asked *a, const char *text, bool wanted)
{
    bool found = a->told.at && strstr(a->told.at, text);
    if (found != wanted)
        fail_msg("\"%s\" says%s \"%s\"", a->told.at ? a->told.at : "", found ? "" : " not", text);
}

/* ---- who waits for whom ---- */

static void a_planted_discipline_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        bool behind, first, across, chunked, spaced;
        int lanes;
    } cases[] = {
        {"", true, false, false, true, false, 1},                       /* by readiness, the same stream first: what was reported of GPUs */
        {"sticks=0", true, false, false, false, false, 1},              /* by readiness */
        {"issue=1", true, false, false, true, true, 1},                 /* by issue, whatever is ready */
        {"shared=1", false, false, false, false, false, 1},
        {"shared=1,single=0.5", false, false, false, false, false, 2},  /* one stream alone gets half */
        {"shared=1,single=0.25", false, false, false, false, false, 4},
        {"one_engine=1", true, false, true, true, false, 1},
        {"switches=20000", true, false, false, true, false, 1},
        {"alpha=2000,rate=55,rate_d2h=40", true, false, false, true, false, 1},
        {"knee=262144,rate_beyond=12,computing=0.7", true, false, false, true, false, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const bool wanted[] = {cases[i].behind, cases[i].first, cases[i].across, cases[i].chunked, cases[i].spaced};
        asked a;
        ask(cases[i].model, &a);
        const es_flow *h2d = flow_of(&a, "pcie.h2d"), *d2h = flow_of(&a, "pcie.d2h");
        assert_int_equal(h2d->discipline, cases[i].behind ? ES_FLOW_FIFO : ES_FLOW_SHARED);
        assert_int_equal(d2h->discipline, h2d->discipline);
        const es_json *waits = es_json_at(a.profile, "machine.links.pcie.h2d.waits");
        for (size_t w = 0; w < 5; w++) {
            const char *key = ((const char *const[]){"behind", "first", "across", "chunked", "spaced"})[w];
            if (!cJSON_IsBool(cJSON_GetObjectItem(waits, key)) || cJSON_IsTrue(cJSON_GetObjectItem(waits, key)) != wanted[w])
                fail_msg("\"%s\": waits.%s should be %d", cases[i].model, key, wanted[w]);
        }
        assert_int_equal(h2d->lanes, cases[i].lanes);
        says_of(&a, "both ways have one engine", cases[i].across);
        says_of(&a, "neither fifo nor shared", false);
        answered(&a);
    }
}

/* First and last of 1, 2, 4 and 8 copies of half a MiB: n times t, or all at the end. */
static void copies_on_several_streams_end_as_they_were_told_to(void **state)
{
    (void)state;
    const double fixed = 9000, work = 524288.0 / 25;
    for (int shared = 0; shared < 2; shared++) {
        asked a;
        ask(shared ? "shared=1" : "", &a);
        contention_streams streams = contention_streams_of(&a.samples, CALIB_H2D_STREAMS_1, 0);
        for (int i = 0; i < CONTENTION_STREAMS; i++) {
            double n = 1 << i, last = shared ? fixed + n * work : n * (fixed + work), first = shared ? last : fixed + work;
            assert_true(fabs(streams.last[i] / last - 1.0) < 0.001 && fabs(streams.first[i] / first - 1.0) < 0.001);
        }
        assert_int_equal(cJSON_GetArraySize(es_json_at(a.profile, "machine.contention.h2d_streams.last_s")), CONTENTION_STREAMS);
        answered(&a);
    }
}

/* ---- what slows what ---- */

static void what_one_way_takes_from_the_other_is_found(void **state)
{
    (void)state;
    static const struct { const char *model; double h2d, d2h; } cases[] = {
        {"h2d_opposite=0.5,d2h_opposite=0.95", 0.5, 0.95},      /* as was reported of A100s (nvbandwidth, issue 11) */
        {"d2h_opposite=0.4", 1.0, 0.4}, {"", 1.0, 1.0}, {"shared=1,h2d_opposite=0.7,d2h_opposite=0.7", 0.7, 0.7},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        asked a;
        ask(cases[i].model, &a);
        slowed(&a, "pcie.h2d", "pcie.d2h", cases[i].h2d);
        slowed(&a, "pcie.d2h", "pcie.h2d", cases[i].d2h);
        slowed(&a, "pcie.h2d", "gpu", 1.0);
        answered(&a);
    }
}

static void what_computing_takes_from_copies_and_they_from_it_is_found(void **state)
{
    (void)state;
    asked a;
    ask("launch=0,computing=0.8,multiplying=0.6,copying=0.7,sending=0.9", &a);
    slowed(&a, "pcie.h2d", "gpu", 0.8);
    slowed(&a, "pcie.d2h", "gpu", 0.8);
    slowed(&a, "gpu", "pcie.h2d", 0.7);
    slowed(&a, "gpu", "pcie.d2h", 0.9);
    says_of(&a, "pcie.h2d: runs at 80 % of its rate beside experts of one token and at 60 % beside those of many; the profile has the first", true);
    contention_answer product = contention_of(&a.samples, CALIB_PRODUCT_COPYING);
    assert_true(product.slower && fabs(contention_factor(&product, 0.0) - 0.7) < 0.01);
    const es_json *times = es_json_at(a.profile, "machine.contention.h2d_multiplying");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(times, "slower")));
    answered(&a);
    ask("launch=0", &a);
    slowed(&a, "pcie.h2d", "gpu", 1.0);
    slowed(&a, "gpu", "pcie.h2d", 1.0);
    says_of(&a, "beside those of many", false);
    answered(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_planted_discipline_is_found),
        cmocka_unit_test(copies_on_several_streams_end_as_they_were_told_to),
        cmocka_unit_test(what_one_way_takes_from_the_other_is_found),
        cmocka_unit_test(what_computing_takes_from_copies_and_they_from_it_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
