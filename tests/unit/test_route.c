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

extern const es_router es_router_max_rank, es_router_cache_aware;

/* ---- the part alone ---- */

static const es_view alone = {.top_k = 6, .weights = true, .layers = 2, .experts = 9, .slice = 64};

/* A router with its options, outside a run. */
static void *route_open(const es_router *router, const char *options, es_arena *arena)
{
    es_err err = {0};
    es_json *json;
    void *self = es_arena_alloc(arena, 1, router->part.size);
    assert_int_equal(es_json_parse(&json, options, strlen(options), &err), ES_OK);
    assert_int_equal(es_options_parse(router->part.options, self, json, NULL, arena, &err), ES_OK);
    if (router->part.init(self, &(es_site){.view = &alone, .arena = arena}, &err) != ES_OK)
        fail_msg("%s", err.text);
    cJSON_Delete(json);
    return self;
}

static void expect_chosen(const es_router *router, void *self, const es_route_ask *ask, const char *want)
{
    uint16_t out[6];
    char text[64] = "";
    uint32_t n = router->route(self, ask, out);
    for (uint32_t k = 0; k < n; k++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%u", k ? " " : "", out[k]);
    if (strcmp(text, want) != 0)
        fail_msg("is %s, want %s", text, want);
    assert_int_equal(router->uses(self, ask->count), n);
}

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
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_arena arena = {0};
        void *self = route_open(&es_router_max_rank, cases[i].options, &arena);
        const es_route_ask ask = {.ids = row, .weights = weights, .count = cases[i].count, .resident = &cases[i].resident};
        expect_chosen(&es_router_max_rank, self, &ask, cases[i].chosen);
        es_arena_free(&arena);
    }
}

/* The same of the row 5 3 8 1 0 2 with weights in sixteenths 8 4 2 1 1 0. */
static void cache_aware_adds_its_bonus_to_what_is_resident(void **state)
{
    (void)state;
    static const uint16_t row[] = {5, 3, 8, 1, 0, 2};
    static const float weights[] = {.5f, .25f, .125f, .0625f, .0625f, 0}, unknown[] = {.5f, .25f, (float)NAN, 0, 0, 0}, logits[] = {-1, -1.5f, -2, -8, -9, -9.5f};
    static const struct { const char *options; const float *weights; uint64_t resident; uint32_t count; const char *chosen; } cases[] = {
        {"{\"experts\": 2, \"bonus\": 1}", weights, 0, 6, "5 3"},
        {"{\"experts\": 2, \"bonus\": 0}", weights, 1 << 8 | 1 << 2, 6, "5 3"},                       /* as the model has it */
        {"{\"experts\": 2, \"bonus\": 0.125}", weights, 1 << 8, 6, "5 3"},                           /* level with 3: the model's order */
        {"{\"experts\": 2, \"bonus\": 0.1875}", weights, 1 << 8, 6, "5 8"},
        {"{\"experts\": 2, \"bonus\": 0.1875}", weights, 1 << 8 | 1 << 3, 6, "5 3"},                 /* both have it */
        {"{\"experts\": 2, \"bonus\": 0.25}", weights, 1 << 8 | 1 << 0 | 1 << 1, 6, "5 8"},
        {"{\"experts\": 3, \"bonus\": 0.25}", weights, 1 << 8 | 1 << 0 | 1 << 1, 6, "5 8 1"},        /* 1 goes before 0, and both before 3 */
        {"{\"experts\": 3, \"bonus\": 1}", weights, 1 << 2 | 1 << 0 | 1 << 1, 6, "1 0 2"},           /* residents first */
        {"{\"experts\": 3, \"bonus\": 1}", weights, 1 << 2, 2, "5 3"},                               /* a short row */
        {"{\"experts\": 1, \"bonus\": 0.5}", weights, 1 << 3, 2, "3"},
        {"{\"experts\": 2, \"bonus\": 1}", unknown, 1 << 1 | 1 << 0, 6, "5 3"},                      /* as recorded */
        {"{\"experts\": 2, \"bonus\": 1}", logits, 1 << 8, 6, "5 8"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_arena arena = {0};
        void *self = route_open(&es_router_cache_aware, cases[i].options, &arena);
        const es_route_ask ask = {.ids = row, .weights = cases[i].weights, .count = cases[i].count, .resident = &cases[i].resident};
        expect_chosen(&es_router_cache_aware, self, &ask, cases[i].chosen);
        es_arena_free(&arena);
    }
}

/* Of 9 experts one is used per row, over 9 rows an even share is one use. Resident 8 has its bonus until it was used more than
 * twice in the 9 rows before; then 5 is used, as the model has it, until a use of 8 is 10 rows ago. Each layer counts its own. */
static void cache_aware_holds_its_limit_of_load(void **state)
{
    (void)state;
    static const uint16_t row[] = {5, 8};
    static const float weights[] = {.75f, .25f};
    const uint64_t resident = 1 << 8;
    es_arena arena = {0};
    void *self = route_open(&es_router_cache_aware, "{\"experts\": 1, \"bonus\": 1, \"limit\": 2, \"window\": 9}", &arena);
    for (uint32_t layer = 0; layer < 2; layer++)
        for (int i = 0; i < 45; i++) {
            const es_route_ask ask = {.layer = layer, .ids = row, .weights = weights, .count = 2, .resident = &resident};
            expect_chosen(&es_router_cache_aware, self, &ask, i % 10 < 3 ? "8" : "5");
        }
    es_arena_free(&arena);
    self = route_open(&es_router_cache_aware, "{\"experts\": 1, \"bonus\": 1, \"limit\": 9, \"window\": 9}", &arena);
    for (int i = 0; i < 45; i++) {
        const es_route_ask ask = {.ids = row, .weights = weights, .count = 2, .resident = &resident};
        expect_chosen(&es_router_cache_aware, self, &ask, "8");
    }
    es_arena_free(&arena);
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

/* Two slots, one expert per token: 0 and 1 come in, then what is there is worth its bonus, until it is used too often. */
static void a_bonus_makes_hits_within_its_limit(void **state)
{
    (void)state;
    static const uint16_t rows[][3] = {{0, 1, 2}, {1, 0, 2}, {2, 1, 0}, {2, 1, 0}, {2, 1, 3}};
    static const float weights[][3] = {{0.5f, 0.25f, 0.25f}, {0.75f, 0.125f, 0.125f}, {0.5f, 0.375f, 0.125f}, {0.5f, 0.375f, 0.125f}, {0.5f, 0.375f, 0.125f}};
    static const struct { const char *options; int64_t hits, replaced; double lost; } cases[] = {
        {"{\"experts\": 1, \"bonus\": 0}", 2, 0, 0},
        {"{\"experts\": 1, \"bonus\": 0.25}", 3, 3, 0.75 / 5},                                      /* 0 1 1 1 1 */
        {"{\"experts\": 1, \"bonus\": 1}", 3, 3, (1 - 0.125 / 0.75 + 2 * 0.75) / 5},                /* 0 0 0 0 2 */
        {"{\"experts\": 1, \"bonus\": 0.25, \"limit\": 1, \"window\": 4}", 2, 1, 0.25 / 5},         /* 0 1 1 2 2 */
    };
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        const bool timed = i & 1;
        rig r;
        rig_open(&r, 1, 4, 3, 0, 5);
        for (int t = 0; t < 5; t++) {
            memcpy(rig_token(&r, 0, ES_DECODE, false), rows[t], sizeof rows[t]);
            memcpy(rig_weights(&r), weights[t], sizeof weights[t]);
        }
        rig_plain(&r, timed, "2slots", "{\"latency\": 0, \"rate\": \"1GB/s\"}", "{\"dense\": \"50ns\", \"expert\": \"50ns\"}");
        r.plan.router = rig_part(&r, ES_KIND_ROUTER, "cache_aware", cases[i / 2].options, "router");
        watched(&r);
        expect_ok(&r);
        assert_string_equal(rig_said(&r, "routing.router"), "cache_aware");
        assert_int_equal(rig_count(&r, "cache.hits"), cases[i / 2].hits);
        assert_int_equal(rig_count(&r, "routing.replaced"), cases[i / 2].replaced);
        assert_true(fabs(real(&r, "routing.gate_mass_lost.mean") - cases[i / 2].lost) < 1e-7);
        rig_close(&r);
    }
}

/* ---- what is refused ---- */

static void expect_refusal(rig *r, const char *router, const char *options, const char *text)
{
    r->plan.router = rig_part(r, ES_KIND_ROUTER, router, options, "router");
    if (rig_run(r) == ES_OK || strcmp(r->err.text, text) != 0)
        fail_msg("is: %s\nwant: %s", r->err.text, text);
    rig_close(r);
}

static void expect_refused(rig *r, const char *options, const char *text)
{
    expect_refusal(r, "max_rank", options, text);
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
    random_trace(&r, 1, true, false);
    expect_refusal(&r, "cache_aware", "{\"experts\": 3}", "router: bonus: 0.1 is added to gate weights, which the trace has not");
    random_trace(&r, 1, false, false);
    expect_refusal(&r, "cache_aware", "{\"experts\": 3}",
        "router: experts: 3 of rows of 3 leave nothing to choose from; the trace must list more candidates than a token uses");
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
        cmocka_unit_test(cache_aware_adds_its_bonus_to_what_is_resident),
        cmocka_unit_test(cache_aware_holds_its_limit_of_load),
        cmocka_unit_test(a_bonus_makes_hits_within_its_limit),
        cmocka_unit_test(what_is_resident_is_used_and_the_loss_is_told),
        cmocka_unit_test(without_promotion_it_is_the_recorded_routing),
        cmocka_unit_test(promotion_makes_hits_and_the_audit_agrees),
        cmocka_unit_test(what_cannot_be_closed_is_said_beforehand),
        cmocka_unit_test(a_wrong_answer_ends_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
