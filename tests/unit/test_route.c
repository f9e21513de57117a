/* Route: who decides anew at the gate decides for everybody, is labelled, and what its choices cost is said. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/base/rng.h"
#include "sim/part/router.h"
#include "tests/support/rig.h"

extern const es_router es_router_max_rank;

/* ---- the part alone ---- */

/* Options and what is resident give the chosen ones of the row 5 3 8 1 0 2 with weights 8 4 2 1 1 0. */
static void max_rank_chooses_by_hand(void **state)
{
    (void)state;
    static const uint16_t row[] = {5, 3, 8, 1, 0, 2};
    static const float weights[] = {8, 4, 2, 1, 1, 0};
    static const struct { const char *options; uint64_t resident; uint32_t count; const char *chosen; } cases[] = {
        {"{\"experts\": 3, \"keep\": 0}", 0, 6, "5 3 8"},                                   /* nothing there: as the model */
        {"{\"experts\": 3, \"keep\": 0}", 1 << 0 | 1 << 2, 6, "5 0 2"},                     /* two promoted, one other left */
        {"{\"experts\": 3, \"keep\": 0}", 1 << 8 | 1 << 1 | 1 << 0 | 1 << 2, 6, "8 1 0"},   /* as many as are used, the first of them */
        {"{\"experts\": 3, \"keep\": 2}", 1 << 8 | 1 << 1 | 1 << 0, 6, "5 3 8"},
        {"{\"experts\": 3, \"keep\": 2}", 1 << 2, 6, "5 3 2"},
        {"{\"experts\": 3, \"keep\": 3}", 1 << 2, 6, "5 3 8"},                              /* all kept */
        {"{\"experts\": 3, \"keep\": 0, \"within\": 4}", 1 << 1 | 1 << 2, 6, "5 3 1"},      /* 2 stands behind */
        {"{\"experts\": 3, \"keep\": 0, \"within\": 3}", 1 << 1 | 1 << 2, 6, "5 3 8"},
        {"{\"experts\": 3, \"keep\": 0, \"within\": 1}", 1 << 1 | 1 << 2, 6, "5 3 8"},
        {"{\"experts\": 2, \"keep\": 0, \"mass\": 0.875}", 1 << 8 | 1 << 1, 6, "5 8"},      /* 14 of 16: 5 3 8 */
        {"{\"experts\": 2, \"keep\": 0, \"mass\": 0.75}", 1 << 8 | 1 << 1, 6, "5 3"},       /* 12 of 16: 5 3 */
        {"{\"experts\": 2, \"keep\": 0, \"mass\": 0}", 1 << 8 | 1 << 1, 6, "5 3"},
        {"{\"experts\": 3, \"keep\": 0}", 1 << 2, 2, "5 3"},                                /* a short row */
        {"{\"experts\": 1, \"keep\": 0}", 1 << 3, 2, "3"},
    };
    const es_view view = {.top_k = 6, .weights = true};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_arena arena = {0};
        es_err err = {0};
        es_json *json;
        void *self = es_arena_alloc(&arena, 1, es_router_max_rank.part.size);
        assert_int_equal(es_json_parse(&json, cases[i].options, strlen(cases[i].options), &err), ES_OK);
        assert_int_equal(es_options_parse(es_router_max_rank.part.options, self, json, NULL, &arena, &err), ES_OK);
        assert_int_equal(es_router_max_rank.part.init(self, &(es_site){.view = &view}, &err), ES_OK);
        uint16_t out[6];
        char text[64] = "";
        const es_route_ask ask = {.ids = row, .weights = weights, .count = cases[i].count, .resident = &cases[i].resident};
        uint32_t n = es_router_max_rank.route(self, &ask, out);
        for (uint32_t k = 0; k < n; k++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%u", k ? " " : "", out[k]);
        if (strcmp(text, cases[i].chosen) != 0)
            fail_msg("case %zu: is %s, want %s", i, text, cases[i].chosen);
        assert_int_equal(es_router_max_rank.uses(self, cases[i].count), n);
        cJSON_Delete(json);
        es_arena_free(&arena);
    }
}

/* ---- runs ---- */

static void watched(rig *r)
{
    rig_observe(r, "audit");
    rig_observe(r, "digest");
    rig_observe(r, "summary");
}

static void expect_ok(rig *r)
{
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
    assert_int_equal(r->allocations[0], r->allocations[1]);
}

static double real(const rig *r, const char *path)
{
    const es_json *value = es_json_at(r->report, path);
    assert_non_null(value);
    return cJSON_IsNull(value) ? (double)NAN : value->valuedouble;
}

/* One slot, one expert per token of rows of three. What is there is taken whatever the row says. */
static void what_is_resident_is_used_and_the_loss_is_told(void **state)
{
    (void)state;
    static const uint16_t rows[][3] = {{0, 1, 2}, {1, 0, 2}, {2, 1, 0}, {3, 2, 1}};
    static const float weights[][3] = {{0.5f, 0.25f, 0.25f}, {0.5f, 0.25f, 0.25f}, {0.5f, 0.375f, 0.125f}, {1, 0, 0}};
    for (int timed = 0; timed <= 1; timed++) {
        rig r;
        rig_open(&r, 1, 4, 3, 0, 4);
        for (int i = 0; i < 4; i++) {
            memcpy(rig_token(&r, 0, ES_DECODE, false), rows[i], sizeof rows[i]);
            memcpy(rig_weights(&r), weights[i], sizeof weights[i]);
        }
        rig_plain(&r, timed, "1slots", "{\"latency\": 0, \"rate\": \"1GB/s\"}", "{\"dense\": \"50ns\", \"expert\": \"50ns\"}");
        r.plan.router = rig_part(&r, ES_KIND_ROUTER, "max_rank", "{\"experts\": 1, \"keep\": 0}", "router");
        watched(&r);
        expect_ok(&r);
        assert_true(es_run_closed_loop(r.run));
        assert_int_equal(rig_count(&r, "cache.lookups"), 4);
        assert_int_equal(rig_count(&r, "cache.hits"), 2);       /* 0, 0 and 0; then 3, for 0 is not in its row */
        assert_int_equal(rig_count(&r, "routing.rows"), 4);
        assert_int_equal(rig_count(&r, "routing.changed_rows"), 2);
        assert_int_equal(rig_count(&r, "routing.replaced"), 2);
        assert_int_equal(rig_count(&r, "routing.dropped"), 0);
        assert_string_equal(rig_said(&r, "routing.loop"), "closed");
        assert_true(real(&r, "routing.gate_mass_lost.mean") == (0.5 + 0.75) / 4);
        assert_true(real(&r, "routing.gate_mass_lost.max") == 0.75);
        assert_int_equal(rig_count(&r, "capacity.cycle_objects"), 1);
        assert_int_equal(r.trace.ids[3], 1);                    /* the recording is as it was */
        rig_close(&r);
    }
}

/* A random trace of wide rows; `wide` 0: of the first three of each row only. */
static void random_trace(rig *r, uint64_t seed, bool wide, bool timed)
{
    enum { LAYERS = 3, EXPERTS = 10, WIDTH = 7, USED = 3, TOKENS = 40 };
    uint64_t at = 0;
    rig_open(r, LAYERS, EXPERTS, wide ? WIDTH : USED, 0, TOKENS);
    for (uint32_t t = 0; t < TOKENS; t++) {
        bool prompt = t % 20 < 6;
        uint16_t *ids = rig_token(r, t / 20, prompt ? ES_PREFILL : ES_DECODE, prompt && t % 20 > 0);
        for (uint32_t l = 0; l < LAYERS; l++) {
            uint16_t order[EXPERTS];
            uint32_t width = es_draw_below(seed, 8, at++, 1, 0, 0) == 0 ? 0 : es_draw_below(seed, 6, at++, 2, 0, 0) == 0 ? 2 : WIDTH;
            for (uint16_t i = 0; i < EXPERTS; i++)
                order[i] = i;
            for (uint32_t i = 0; i < width; i++) {
                uint32_t j = i + es_draw_below(seed, EXPERTS - i, at++, 0, 0, 0);
                uint16_t one = order[j];
                order[j] = order[i];
                order[i] = one;
                if (i < (wide ? WIDTH : USED))
                    ids[l * (wide ? WIDTH : USED) + i] = one;
            }
        }
    }
    rig_plain(r, timed, "9slots", "{\"latency\": \"100ns\", \"rate\": \"1GB/s\"}", "{\"dense\": \"500ns\", \"expert\": \"500ns\"}");
    r->plan.predictor = rig_part(r, ES_KIND_PREDICTOR, "previous_token", NULL, "predictor");
    watched(r);
}

/* Nothing promoted: as if the rows had been recorded without the candidates behind. */
static void without_promotion_it_is_the_recorded_routing(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 96; i++) {
        char digest[2][32];
        for (int wide = 0; wide <= 1; wide++) {
            rig r;
            random_trace(&r, i, wide, i & 1);
            r.plan.contract.unit = (int)(i >> 1 & 1 ? ES_TOKEN : i >> 2 & 1 ? ES_ID : ES_UNION);
            r.plan.contract.judge = (int)(i >> 3 & 1 ? ES_SERIALIZED : ES_JUDGE_EVENT);
            r.plan.contract.prefill = i >> 4 & 1 ? "tiles:4" : "union";
            if (wide)
                r.plan.router = rig_part(&r, ES_KIND_ROUTER, "max_rank", "{\"experts\": 3, \"within\": 3}", "router");
            expect_ok(&r);
            snprintf(digest[wide], sizeof digest[wide], "%s", rig_said(&r, "digest.facts"));
            if (wide) {
                assert_int_equal(rig_count(&r, "routing.changed_rows"), 0);
                assert_true(isnan(real(&r, "routing.gate_mass_lost.mean")));
                assert_string_equal(rig_said(&r, "routing.gate_mass_lost.reason"), "the trace has no gate weights");
            }
            rig_close(&r);
        }
        assert_string_equal(digest[0], digest[1]);
    }
}

/* Every event is looked up against the state at its gate, so with promotion there are more hits than without. */
static void promotion_makes_hits_and_the_audit_agrees(void **state)
{
    (void)state;
    int64_t hits[2] = {0};
    for (uint64_t i = 0; i < 60; i++)
        for (int on = 0; on <= 1; on++) {
            rig r;
            random_trace(&r, i, true, i & 1);
            r.plan.contract.unit = (int)(i % 4);
            if (r.plan.contract.unit == ES_SLICE)
                r.plan.slices = 2;
            r.plan.router = rig_part(&r, ES_KIND_ROUTER, "max_rank", on ? "{\"experts\": 3, \"keep\": 1}" : "{\"experts\": 3, \"keep\": 3}", "router");
            expect_ok(&r);
            hits[on] += rig_count(&r, "cache.hits");
            rig_close(&r);
        }
    assert_true(hits[1] > hits[0]);
}

/* ---- what is refused ---- */

static void expect_refused(rig *r, const char *router, const char *text)
{
    r->plan.router = rig_part(r, ES_KIND_ROUTER, "max_rank", router, "router");
    if (rig_run(r) == ES_OK || strcmp(r->err.text, text) != 0)
        fail_msg("is: %s\nwant: %s", r->err.text, text);
    rig_close(r);
}

static void what_cannot_be_closed_is_said_beforehand(void **state)
{
    (void)state;
    rig r;
    random_trace(&r, 1, true, false);
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, "belady", NULL, "policy");
    expect_refused(&r, "{\"experts\": 3}", "policy: belady reads the future of the trace, which router max_rank changes; use router \"trace\"");
    random_trace(&r, 1, true, false);
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, "static", NULL, "policy");
    expect_refused(&r, "{\"experts\": 3}",
        "policy: static counts the uses of the trace it replays, which router max_rank changes; set policy.calibrate to another trace");
    random_trace(&r, 1, false, false);
    expect_refused(&r, "{\"experts\": 3}",
        "router: experts: 3 of rows of 3 leave nothing to choose from; the trace must list more candidates than a token uses");
    random_trace(&r, 1, true, false);
    expect_refused(&r, "{\"experts\": 3, \"mass\": 0.5}", "router: mass: 0.5 needs gate weights, which the trace has not");
}

/* ---- a router that does wrong ---- */

static uint32_t wrong_route(void *self, const es_route_ask *ask, uint16_t *out)
{
    const int how = *(const int *)self;
    for (uint32_t i = 0; i < ask->count; i++)
        out[i] = ask->ids[i];
    if (how == 1)
        out[1] = out[0];
    if (how == 2)
        out[0] = 10;
    return how == 0 ? 0 : ask->count;
}

static const es_router wrong_router = {.part = {.abi = ES_ABI, .name = "wrong", .brief = "Wrong.", .size = sizeof(int)}, .route = wrong_route};

static void a_wrong_answer_ends_the_run(void **state)
{
    (void)state;
    static const char *const says[] = {"chooses another number of experts than 1 to the recorded ones: 0", "chooses twice expert", "chooses an expert that is not there: 10"};
    for (int how = 0; how < 3; how++)
        for (int timed = 0; timed <= 1; timed++) {
            rig r;
            random_trace(&r, 1, true, timed);
            r.plan.router = rig_own(&wrong_router.part, &how, "router");
            assert_int_equal(rig_run(&r), ES_EINTERNAL);
            assert_non_null(strstr(r.err.text, "router wrong: for request 0, token"));
            assert_non_null(strstr(r.err.text, says[how]));
            rig_close(&r);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(max_rank_chooses_by_hand),
        cmocka_unit_test(what_is_resident_is_used_and_the_loss_is_told),
        cmocka_unit_test(without_promotion_it_is_the_recorded_routing),
        cmocka_unit_test(promotion_makes_hits_and_the_audit_agrees),
        cmocka_unit_test(what_cannot_be_closed_is_said_beforehand),
        cmocka_unit_test(a_wrong_answer_ends_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
