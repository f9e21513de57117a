/* Knobs and wakes: parts wake when they asked to, and a tuner turns what may be turned and nothing else.
 *
 * The machine: one slot less than the trace wants, copies of 1000 ns, 100 ns of compute per layer. The policy is the test's own: it
 * gives up the lowest id when `high` is below a half, else the highest. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "sim/part/observer.h"
#include "sim/part/policy.h"
#include "sim/part/tuner.h"
#include "tests/support/rig.h"

/* ---- a policy with options to turn ---- */

typedef struct pick {
    double high;
    int64_t whole;
    int word;
    bool flag, refuses;
    const es_view *view;
} pick;

static const char *const pick_words[] = {"a", "b", "c", NULL};

static const es_option pick_options[] = {
    {.name = "high", .type = ES_OPT_REAL, .offset = offsetof(pick, high), .min = 0, .max = 0.9, .tunable = true, .help = "Which end."},
    {.name = "whole", .type = ES_OPT_INT, .offset = offsetof(pick, whole), .def = 5, .min = 1, .max = 9, .tunable = true, .help = "A number."},
    {.name = "word", .type = ES_OPT_ENUM, .offset = offsetof(pick, word), .choices = pick_words, .tunable = true, .help = "A word."},
    {.name = "flag", .type = ES_OPT_BOOL, .offset = offsetof(pick, flag), .tunable = true, .help = "A switch."},
    {.name = "refuses", .type = ES_OPT_BOOL, .offset = offsetof(pick, refuses), .help = "Not to be turned."},
    {0},
};

static es_code pick_init(void *self, const es_site *site, es_err *err)
{
    (void)err;
    assert_null(site->knobs);
    ((pick *)self)->view = site->view;
    return ES_OK;
}

static size_t pick_victims(void *self, const es_need *need, es_oid *out, size_t most)
{
    const pick *s = self;
    size_t count = 0;
    for (es_oid i = 0; i < s->view->objects && (int64_t)count < need->units && count < most && !s->refuses; i++) {
        es_oid object = s->high < 0.5 ? i : s->view->objects - 1 - i;
        if (es_may_evict(s->view, object, need->tier))
            out[count++] = object;
    }
    return count;
}

static const es_policy pick_policy = {
    .part = {.abi = ES_ABI, .name = "pick", .brief = "One end.", .options = pick_options, .size = sizeof(pick), .init = pick_init},
    .victims = pick_victims,
};

/* ---- a tuner that plays a script, and an observer that writes down what it hears and when it wakes ---- */

enum { NOTES = 64 };

typedef struct note {
    es_time at;
    char what;                  /* w: wake of the observer, a: of the tuner, t: turn */
    double value;
    char path[32];
} note;

typedef struct notes {
    note note[NOTES];
    size_t count;
} notes;

typedef struct script {
    notes *notes;
    const es_view *view;
    es_time every, at;          /* wakes every so often, the values are set at `at` */
    const char *path;
    double value, became;
    bool must;                  /* the knob must be there */
} script;

static void note_down(notes *n, char what, es_time at, const es_turn *turn)
{
    if (n && n->count < NOTES) {
        n->note[n->count] = (note){.at = at, .what = what, .value = turn ? turn->to : 0};
        snprintf(n->note[n->count++].path, sizeof n->note[0].path, "%s", turn ? turn->path : "");
    }
}

static es_code script_init(void *self, const es_site *site, es_err *err)
{
    script *s = self;
    s->view = site->view;
    if (s->must && es_knob_find(site->knobs, s->path) == site->knobs->count)
        return es_err_set(err, ES_EINPUT, "there is no knob %s", s->path);
    return ES_OK;
}

static es_time script_wake(void *self, es_time now)
{
    script *s = self;
    note_down(s->notes, 'a', now, NULL);
    return s->every == ES_NEVER ? ES_NEVER : now + s->every;
}

static void script_adjust(void *self, const es_knobs *knobs)
{
    script *s = self;
    size_t i = s->path ? es_knob_find(knobs, s->path) : knobs->count;
    if (i < knobs->count && s->view->now >= s->at) {
        s->became = knobs->set(knobs, i, s->value);
        assert_true(knobs->get(knobs, i) == s->became);
    }
}

static const es_tuner script_tuner = {
    .part = {.abi = ES_ABI, .name = "script", .brief = "A script.", .size = sizeof(script), .init = script_init, .wake = script_wake},
    .adjust = script_adjust,
};

typedef struct watch {
    notes *notes;
    es_time every;
} watch;

static void watch_notify(void *self, const es_fact *fact)
{
    note_down(((watch *)self)->notes, 't', fact->at, fact->turn);
}

static es_time watch_wake(void *self, es_time now)
{
    const watch *s = self;
    note_down(s->notes, 'w', now, NULL);
    return s->every == ES_NEVER ? ES_NEVER : now + s->every;
}

static const es_observer watch_observer = {
    .part = {.abi = ES_ABI, .name = "watch", .brief = "Watches.", .size = sizeof(watch), .notify = watch_notify, .wake = watch_wake,
        .hears = ES_HEARS(ES_FACT_TURN)},
};

/* ---- the machine ---- */

/* Experts 0, 1, 2 in turn, in one layer and two slots: who gives up the lowest id keeps 2, who gives up the highest keeps 0. */
static void stage(rig *r, bool timed, uint32_t tokens)
{
    rig_open(r, 1, 4, 1, 0, tokens);
    for (uint32_t i = 0; i < tokens; i++)
        *rig_token(r, 0, ES_DECODE, false) = (uint16_t)(i % 3);
    rig_plain(r, timed, "2slots", "{\"latency\": 0, \"rate\": \"1GB/s\"}", "{\"dense\": \"50ns\", \"expert\": \"50ns\"}");
    r->plan.policy = (es_plan_part){.part = &pick_policy.part, .state = NULL, .path = "policy"};
}

static void stage_policy(rig *r, pick *state)
{
    *state = (pick){.whole = 5, .refuses = state->refuses};
    r->plan.policy = rig_own(&pick_policy.part, state, "policy");
}

static void stage_watch(rig *r, notes *n, es_time every, watch *state)
{
    *state = (watch){n, every};
    r->observer[r->plan.observer_count++] = rig_own(&watch_observer.part, state, "observers.watch");
}

static void expect_ok(rig *r)
{
    if (rig_run(r) != ES_OK)
        fail_msg("%s", r->err.text);
    assert_int_equal(r->allocations[0], r->allocations[1]);
}

/* ---- wakes ---- */

static void parts_wake_when_they_asked_and_not_after_the_end(void **state)
{
    (void)state;
    rig r;
    notes n = {0};
    watch w;
    script s = {.notes = &n, .every = 700};
    stage(&r, true, 2);                         /* two misses of 1100 ns */
    stage_watch(&r, &n, 350, &w);
    rig_tune(&r, rig_own(&script_tuner.part, &s, "tuner"));
    rig_observe(&r, "audit");
    expect_ok(&r);
    static const struct { es_time at; char what; } expected[] = {{0, 'a'}, {0, 'w'}, {350, 'w'}, {700, 'a'}, {700, 'w'}, {1050, 'w'}, {1400, 'a'}, {1400, 'w'},
        {1750, 'w'}, {2100, 'a'}, {2100, 'w'}};
    assert_int_equal(rig_view(&r)->times->total, 2200);
    assert_int_equal(n.count, sizeof expected / sizeof *expected);
    for (size_t i = 0; i < n.count; i++) {
        assert_int_equal(n.note[i].at, expected[i].at);
        assert_int_equal(n.note[i].what, expected[i].what);
    }
    rig_close(&r);
}

static void under_clock_none_nobody_is_woken(void **state)
{
    (void)state;
    rig r;
    notes n = {0};
    watch w;
    stage(&r, false, 6);
    r.plan.policy = rig_part(&r, ES_KIND_POLICY, "lru", NULL, "policy");
    stage_watch(&r, &n, 1, &w);
    expect_ok(&r);
    assert_int_equal(n.count, 0);
    rig_close(&r);
}

/* Who only looks changes nothing: the quick way without a wake and the calendar with one come to the same. */
static void a_wake_costs_no_simulated_time(void **state)
{
    (void)state;
    es_times times[2];
    es_counts tally[2];
    for (int wakes = 0; wakes <= 1; wakes++) {
        rig r;
        watch w;
        stage(&r, true, 30);
        r.plan.policy = rig_part(&r, ES_KIND_POLICY, "lru", NULL, "policy");
        if (wakes)
            stage_watch(&r, NULL, 70, &w);
        expect_ok(&r);
        times[wakes] = *rig_view(&r)->times;
        tally[wakes] = *rig_view(&r)->tally;
        rig_close(&r);
    }
    assert_memory_equal(&times[0], &times[1], sizeof times[0]);
    assert_memory_equal(&tally[0], &tally[1], sizeof tally[0]);
}

static void a_wake_that_is_not_later_is_an_error(void **state)
{
    (void)state;
    rig r;
    watch w;
    stage(&r, true, 3);
    stage_watch(&r, NULL, 0, &w);
    assert_int_equal(rig_run(&r), ES_EINTERNAL);
    assert_string_equal(r.err.text, "observers.watch: watch wants to be woken at 0 ns, which is not after 0 ns, the time it is");
    rig_close(&r);
}

static void wakes_do_not_keep_a_stuck_run_alive(void **state)
{
    (void)state;
    rig r;
    watch w;
    pick p = {.refuses = true};
    script s = {.every = 300};
    stage(&r, true, 3);
    stage_policy(&r, &p);
    stage_watch(&r, NULL, 500, &w);
    rig_tune(&r, rig_own(&script_tuner.part, &s, "tuner"));
    assert_int_equal(rig_run(&r), ES_ESTUCK);
    assert_non_null(strstr(r.err.text, "layer 0 of step 2 waits for 1 experts"));
    rig_close(&r);
}

/* ---- knobs ---- */

static void a_turned_option_is_followed_from_then_on(void **state)
{
    (void)state;
    for (int turned = 0; turned <= 1; turned++) {
        rig r;
        notes n = {0};
        watch w;
        pick p = {0};
        script s = {.every = 400, .at = 4000, .path = turned ? "policy.high" : NULL, .value = 0.75};
        stage(&r, true, 41);
        stage_policy(&r, &p);
        stage_watch(&r, &n, ES_NEVER, &w);
        rig_tune(&r, rig_own(&script_tuner.part, &s, "tuner"));
        rig_observe(&r, "audit");
        expect_ok(&r);
        assert_int_equal(rig_view(&r)->tier[0].resident[0], turned ? 1u << 0 | 1u << 1 : 1u << 1 | 1u << 2);
        assert_int_equal(n.count, 1 + (size_t)turned);
        const es_json *knob = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(r.report, "knobs"), "policy.high");
        assert_non_null(knob);
        assert_true(cJSON_GetObjectItemCaseSensitive(knob, "last")->valuedouble == (turned ? 0.75 : 0));
        if (turned) {
            assert_int_equal(n.note[1].at, 4000);
            assert_string_equal(n.note[1].path, "policy.high");
            assert_true(n.note[1].value == 0.75);
        }
        rig_close(&r);
    }
}

static void a_value_is_brought_inside_the_bounds(void **state)
{
    (void)state;
    static const struct { const char *path; double value, becomes; size_t turns; } cases[] = {
        {"policy.high", 7, 0.9, 1}, {"policy.high", -7, 0, 0}, {"policy.high", (double)NAN, 0, 0}, {"policy.high", 0.25, 0.25, 1},
        {"policy.whole", 6.4, 6, 1}, {"policy.whole", 1e300, 9, 1}, {"policy.whole", 5, 5, 0}, {"policy.word", 2, 2, 1}, {"policy.word", 3, 2, 1},
        {"policy.flag", 5, 1, 1}, {"policy.flag", 0.4, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        rig r;
        notes n = {0};
        watch w;
        pick p = {0};
        script s = {.every = ES_NEVER, .path = cases[i].path, .value = cases[i].value, .must = true};
        stage(&r, true, 3);
        stage_policy(&r, &p);
        stage_watch(&r, &n, ES_NEVER, &w);
        rig_tune(&r, rig_own(&script_tuner.part, &s, "tuner"));
        rig_observe(&r, "audit");
        expect_ok(&r);
        assert_int_equal(n.count, 1 + cases[i].turns);
        if (cases[i].turns)
            assert_true(n.note[0].what == 't' && n.note[0].value == cases[i].becomes);
        rig_close(&r);
    }
}

static void turning_is_part_of_the_digest(void **state)
{
    (void)state;
    char digest[2][32];
    for (int i = 0; i <= 1; i++) {
        rig r;
        pick p = {0};
        script s = {.every = ES_NEVER, .path = "policy.whole", .value = 6 + i};
        stage(&r, true, 3);
        stage_policy(&r, &p);
        rig_tune(&r, rig_own(&script_tuner.part, &s, "tuner"));
        rig_observe(&r, "digest");
        expect_ok(&r);
        snprintf(digest[i], sizeof digest[i], "%s", rig_said(&r, "digest.facts"));
        rig_close(&r);
    }
    assert_string_not_equal(digest[0], digest[1]);
}

/* ---- what is refused ---- */

static void expect_refused(rig *r, const char *text)
{
    if (rig_run(r) == ES_OK || strcmp(r->err.text, text) != 0)
        fail_msg("is: %s\nwant: %s", r->err.text, text);
    rig_close(r);
}

static void what_cannot_be_tuned_is_said_beforehand(void **state)
{
    (void)state;
    rig r;
    pick p = {0};
    script s = {.every = 100, .path = "policy.refuses", .must = true};
    stage(&r, true, 3);
    stage_policy(&r, &p);
    rig_tune(&r, rig_own(&script_tuner.part, &s, "tuner"));
    expect_refused(&r, "tuner: there is no knob policy.refuses");

    stage(&r, false, 3);
    rig_tune(&r, rig_own(&script_tuner.part, &s, "tuner"));
    expect_refused(&r, "tuner: script needs clock \"simulated\"; under clock \"none\" no time passes and it would never wake");

    es_tuner sleeper = script_tuner;
    sleeper.part.wake = NULL;
    stage(&r, true, 3);
    rig_tune(&r, rig_own(&sleeper.part, &s, "tuner"));
    expect_refused(&r, "tuner: script has no wake or adjusts nothing; a tuner needs both");

    static const es_option loose[] = {{.name = "high", .type = ES_OPT_REAL, .offset = offsetof(pick, high), .tunable = true, .help = "No bounds."}, {0}};
    es_policy endless = pick_policy;
    endless.part.options = loose;
    stage(&r, true, 3);
    r.plan.policy = rig_own(&endless.part, &p, "policy");
    rig_tune(&r, rig_own(&script_tuner.part, &s, "tuner"));
    expect_refused(&r, "policy: option high of part pick is tunable but has no bounds");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_wake_when_they_asked_and_not_after_the_end),
        cmocka_unit_test(under_clock_none_nobody_is_woken),
        cmocka_unit_test(a_wake_costs_no_simulated_time),
        cmocka_unit_test(a_wake_that_is_not_later_is_an_error),
        cmocka_unit_test(wakes_do_not_keep_a_stuck_run_alive),
        cmocka_unit_test(a_turned_option_is_followed_from_then_on),
        cmocka_unit_test(a_value_is_brought_inside_the_bounds),
        cmocka_unit_test(turning_is_part_of_the_digest),
        cmocka_unit_test(what_cannot_be_tuned_is_said_beforehand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
