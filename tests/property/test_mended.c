/* Mended: runs that once went wrong, each as small as it can be. What found them are the random tests beside this one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/part/predictor.h"
#include "tests/support/rig.h"

/* ---- a predictor that names so many experts once, at the gate of the first event's layer ---- */

typedef struct foresight {
    uint32_t count;
    struct { uint32_t layer, expert; } guess[4];
    const es_view *view;
} foresight;

static es_code foresight_init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    ((foresight *)self)->view = site->view;
    return ES_OK;
}

static uint32_t foresight_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    const foresight *f = self;
    uint32_t n = 0;
    for (; ask->event->index == 0 && n < f->count && n < most; n++)
        out[n] = (es_guess){f->guess[n].layer * f->view->stride + f->guess[n].expert, 1};
    return n;
}

static const es_predictor foresight_predictor = {
    .part = {.abi = ES_ABI, .name = "foresight", .size = sizeof(foresight), .init = foresight_init}, .predict = foresight_predict};

/* ---- two runs ---- */

static void row(uint16_t *ids, uint32_t top_k, uint32_t layer, uint32_t count, const uint16_t *of)
{
    for (uint32_t i = 0; i < count; i++)
        ids[layer * top_k + i] = of[i];
}

#define ROW(ids, top_k, layer, ...) row(ids, top_k, layer, sizeof((const uint16_t[]){__VA_ARGS__}) / sizeof(uint16_t), (const uint16_t[]){__VA_ARGS__})

/* Copies take no time; a layer takes 1000 ns and each of its experts 100. */
static void machine(rig *r, bool timed, const char *capacity)
{
    rig_plain(r, timed, capacity, NULL, "{\"dense\": \"1us\", \"expert\": \"100ns\"}");
    rig_observe(r, "digest");
    rig_observe(r, "audit");
}

static void runs_well(rig *r)
{
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
}

/* ---- the quick way ---- */

/* A pin takes one of two slots, so an event of two that lack room goes in waves; the quick way asked for two victims. */
static void pins_leave_the_quick_way_no_room(void **state)
{
    (void)state;
    rig r;
    rig_open(&r, 1, 8, 2, 0, 4);
    for (uint16_t i = 0; i < 4; i++)
        ROW(rig_token(&r, 0, ES_DECODE, false), 2, 0, (uint16_t)(i ? 2 * i : 0), (uint16_t)(2 * i + 1));
    rig_plain(&r, false, "2slots", NULL, NULL);
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, "hybrid", "{\"pins\": 1}", "policy");
    rig_observe(&r, "summary");
    runs_well(&r);
    assert_int_equal(rig_count(&r, "cache.overflow_events"), 3);
    rig_close(&r);
}

/* ---- guesses that wait ---- */

/* All room is pinned, so the guess waits; the next request empties the caches, and it starts. */
static void a_reset_wakes_a_guess_that_waits(void **state)
{
    (void)state;
    for (int timed = 0; timed < 2; timed++) {
        rig r;
        foresight f = {.count = 1, .guess = {{1, 5}}};
        rig_open(&r, 2, 8, 1, 0, 2);
        ROW(rig_token(&r, 0, ES_DECODE, false), 1, 0, 0);
        ROW(rig_token(&r, 1, ES_DECODE, false), 1, 1, 5);
        machine(&r, timed, "1slots");
        r.plan.contract.reset = 1;
        r.plan.policy = rig_part(&r, ES_KIND_POLICY, "hybrid", "{\"share\": 1}", "policy");
        r.plan.predictor = rig_own(&foresight_predictor.part, &f, "predictor");
        runs_well(&r);
        assert_int_equal(rig_view(&r)->tally->guess_copies, 1);
        assert_int_equal(rig_view(&r)->tally->prefetch_hits, 1);
        rig_close(&r);
    }
}

/* Two experts of layer 1 are guessed and protected; the guess for layer 2 waits for the gate at which one of them is wanted and the other
 * is not: at 2100 ns, when it has waited for 1100, and the second one for the 100 until layer 0 ended. */
static void the_gate_that_ends_a_protection_wakes_who_waits_for_it(void **state)
{
    (void)state;
    rig r;
    foresight f = {.count = 3, .guess = {{1, 1}, {1, 2}, {2, 3}}};
    rig_open(&r, 3, 8, 1, 0, 1);
    uint16_t *ids = rig_token(&r, 0, ES_DECODE, false);
    ROW(ids, 1, 0, 0);
    ROW(ids, 1, 1, 1);
    ROW(ids, 1, 2, 3);
    machine(&r, true, "2slots");
    r.plan.compute.protect_guesses = true;
    r.plan.predictor = rig_own(&foresight_predictor.part, &f, "predictor");
    runs_well(&r);
    assert_int_equal(rig_view(&r)->tally->prefetch_hits, 2);
    assert_int_equal(rig_view(&r)->channel[0].queue_ns, 100 + 1100);
    rig_close(&r);
}

/* Layer 1 is asked for id by id. A guess for it that is wrong is protected up to the first of these gates, under both clocks: so it is the
 * first to leave, never having been used. Clock none kept it to the last. */
static void a_protection_ends_at_the_first_gate_of_its_layer(void **state)
{
    (void)state;
    rig r[2];
    for (int timed = 0; timed < 2; timed++) {
        foresight f = {.count = 1, .guess = {{1, 7}}};
        rig_open(&r[timed], 2, 8, 2, 0, 1);
        uint16_t *ids = rig_token(&r[timed], 0, ES_DECODE, false);
        ROW(ids, 2, 0, 0);
        ROW(ids, 2, 1, 1, 2);
        machine(&r[timed], timed, "2slots");
        r[timed].plan.contract.unit = ES_ID;
        r[timed].plan.compute.protect_guesses = true;
        r[timed].plan.policy = rig_part(&r[timed], ES_KIND_POLICY, "lfu", NULL, "policy");
        r[timed].plan.predictor = rig_own(&foresight_predictor.part, &f, "predictor");
        runs_well(&r[timed]);
        assert_int_equal(rig_view(&r[timed])->tally->wasted, 1);
    }
    assert_string_equal(rig_said(&r[0], "digest.decisions"), rig_said(&r[1], "digest.decisions"));
    rig_close(&r[0]);
    rig_close(&r[1]);
}

/* ---- a policy that gives nobody up and places the second guess below the first tier ---- */

static size_t keeper_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    (void)self, (void)need, (void)out, (void)most;
    return 0;
}

static void keeper_place(void *self, const es_guess *guesses, uint32_t count, uint32_t *tiers)
{
    (void)self, (void)guesses;
    for (uint32_t i = 1; i < count; i++)
        tiers[i]++;
}

static const es_policy keeper_policy = {.part = {.abi = ES_ABI, .name = "keeper"}, .victims = keeper_victims, .place = keeper_place};

/* Named for both tiers: on its way to the first, where there is no room, it comes to rest in the second, and is not brought there again. */
static void a_guess_that_came_by_on_its_way_is_not_brought_again(void **state)
{
    foresight f = {.count = 2, .guess = {{1, 1}, {1, 1}}};
    rig r;
    (void)state;
    rig_open(&r, 2, 4, 1, 0, 1);
    uint16_t *ids = rig_token(&r, 0, ES_DECODE, false);
    ids[0] = 0;
    ids[1] = 1;
    rig_tier(&r, "first", "1slots", "gpu");
    rig_tier(&r, "second", "2slots", "gpu");
    rig_tier(&r, "home", NULL, NULL);
    rig_link(&r, "home", "second", NULL);
    rig_link(&r, "second", "first", NULL);
    r.plan.policy = rig_own(&keeper_policy.part, NULL, "policy");
    r.plan.predictor = rig_own(&foresight_predictor.part, &f, "predictor");
    rig_observe(&r, "audit");
    runs_well(&r);
    assert_int_equal(rig_view(&r)->tally->guess_copies, 1);
    assert_int_equal(rig_view(&r)->tally->cancelled, 2);
    assert_int_equal(rig_view(&r)->tally->prefetch_hits, 1);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pins_leave_the_quick_way_no_room),
        cmocka_unit_test(a_reset_wakes_a_guess_that_waits),
        cmocka_unit_test(the_gate_that_ends_a_protection_wakes_who_waits_for_it),
        cmocka_unit_test(a_guess_that_came_by_on_its_way_is_not_brought_again),
        cmocka_unit_test(a_protection_ends_at_the_first_gate_of_its_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
