/* Audit: every kind of planted fault is caught and named; what is legal passes. */
#include "tests/support/observe_stage.h"

/* ---- audit ---- */

typedef enum plant {
    NOTHING, QUEUED_TWICE, STARTED_UNASKED, LANDED_TWICE, PINNED_LEAVES, NEGATIVE, BACKWARDS, NEVER_LANDS, BYTES, WRONG_BYTES, GUESS_BYTES, EXCEEDS,
    GUESS_EXCEEDS, MASK, HIT, LATE, LITTLE, SUM, BUSY, STALL, STEPS, NOT_RELEASED, RELEASED_TWICE, ARRIVES, NO_TIER, NO_OBJECT, TURNED_TOO_FAR, NOT_TURNED,
    UNTOLD_ROOM, SHRUNK, STAYS, SHRINKS_AT_HAND
} plant;

/* Two steps' worth of a run that is right but for what is planted: layer 0 wants 1 and 2, layer 1 wants 3 of its own, for which 1 leaves. */
static void audit_play(stage *s, plant p)
{
    s->event.counted = true;
    stage_tell(s, (es_fact){.kind = ES_FACT_STEP});
    stage_gate(s, 100, 0, 0x6);
    stage_copy(s, ES_FACT_QUEUE, 100, 1);
    if (p == QUEUED_TWICE)
        stage_copy(s, ES_FACT_QUEUE, 100, 1);
    if (p != STARTED_UNASKED)
        stage_copy(s, ES_FACT_QUEUE, 100, 2);
    stage_copy(s, ES_FACT_START, 100, 1);
    stage_copy(s, ES_FACT_LAND, 110, 1);
    if (p == LANDED_TWICE)
        stage_copy(s, ES_FACT_LAND, 110, 1);
    stage_span(s, ES_FACT_STALL, 100, 110, 0);
    if (p == PINNED_LEAVES)
        stage_copy(s, ES_FACT_EVICT, 110, 1);
    if (p == WRONG_BYTES)
        stage_tell(s, (es_fact){.kind = ES_FACT_START, .at = 110, .objects = (const es_oid[]){2}, .count = 1, .from = HOME, .to = CACHE, .bytes = 99});
    else
        stage_copy(s, ES_FACT_START, 110, 2);
    if (p != NEVER_LANDS)
        stage_copy(s, ES_FACT_LAND, 120, 2);
    if (p != NOT_RELEASED)
        stage_release(s, p == BACKWARDS ? 90 : 130);
    if (p == RELEASED_TWICE)
        stage_release(s, 130);
    if (p == MASK)
        s->mask[CACHE][0][1] |= 2;
    if (p == NEGATIVE)
        s->unit[0] = 5;
    if (p == GUESS_EXCEEDS) {
        stage_copy(s, ES_FACT_QUEUE, 130, L1);
        stage_copy(s, ES_FACT_START_GUESS, 130, L1);
    }
    if (p == ARRIVES)
        stage_move(s, ES_FACT_ARRIVE_LOW, 130, 0, CACHE, DRAM, ES_DEMOTE);
    if (p == NO_TIER)
        stage_tell(s, (es_fact){.kind = ES_FACT_LAND, .at = 130, .objects = (const es_oid[]){2}, .count = 1, .to = 7});
    if (p == NO_OBJECT)
        stage_tell(s, (es_fact){.kind = ES_FACT_LAND, .at = 130, .objects = (const es_oid[]){128}, .count = 1, .to = CACHE});
    static const es_option share = {.name = "share", .type = ES_OPT_REAL, .min = 0, .max = 1};
    const es_turn turn = {"policy.share", &share, 0.5, p == TURNED_TOO_FAR ? 1.5 : p == NOT_TURNED ? 0.5 : 0.75};
    stage_tell(s, (es_fact){.kind = ES_FACT_TURN, .at = 130, .turn = &turn});
    if (p == UNTOLD_ROOM)
        s->room[CACHE] = 1;
    if (p == SHRUNK || p == STAYS) {
        s->room[CACHE] = 1;
        stage_tell(s, (es_fact){.kind = ES_FACT_ROOM, .at = 130, .to = CACHE});
    }
    if (p == SHRUNK)
        stage_move(s, ES_FACT_EVICT, 130, 2, CACHE, ES_NO_TIER, ES_SHRINK);
    if (p == HIT)
        s->mask[CACHE][2][1] |= 8;
    if (p == LATE)
        s->mask[CACHE][1][1] |= 8;
    stage_gate(s, 200, 1, 0x8);
    if (p == SHRINKS_AT_HAND)
        stage_tell(s, (es_fact){.kind = ES_FACT_ROOM, .at = 200, .to = CACHE});
    if (p != EXCEEDS)
        stage_copy(s, ES_FACT_EVICT, 200, 1);
    stage_fetch(s, 200, 210, L1 + 3);
    stage_span(s, ES_FACT_STALL, 200, 210, 0);
    stage_release(s, 220);
    s->times = (es_times){.total = 220, .dense = 150 + (p == SUM), .expert_gpu = 50, .stall = 20 + (p == STALL)};
    s->channel[0].busy_ns = p == BUSY ? 230 : 30;
    s->channel[0].wait_ns = 20;
    s->channel[0].queue_ns = 10;
    s->channel[0].depth_area = p == LITTLE ? 11 : 10;
    s->tally.fetched_bytes += p == BYTES;
    s->tally.guess_bytes += p == GUESS_BYTES;
    stage_step(s, 0, p == STEPS, 220, ES_DECODE, 1, 0);
    stage_tell(s, (es_fact){.kind = ES_FACT_END, .at = 220});
}

static void expect_verdict(stage *s, const char *fault)
{
    es_err err = {0};
    es_code code = s->observer->verdict(s->self, &err);
    stage_report(s);
    if (!fault) {
        if (code != ES_OK)
            fail_msg("%s", err.text);
        expect(s, "audit.faults", 0);
        assert_true(stage_number(s, "audit.checks") > 0);
        expect(s, "audit.first_fault", NAN);
        return;
    }
    assert_int_equal(code, ES_ECHECK);
    if (!strstr(err.text, fault))
        fail_msg("is: %s\nwant: ... %s ...", err.text, fault);
    assert_true(stage_number(s, "audit.faults") > 0);
}

static void each_planted_fault_is_caught(void **state)
{
    (void)state;
    static const struct { plant plant; const char *fault; } cases[] = {
        {NOTHING, NULL},
        {QUEUED_TWICE, "at 100 ns, queue: layer 3 expert 1 in tier cache queued, expected absent"},
        {STARTED_UNASKED, "at 110 ns, start: layer 3 expert 2 in tier cache absent, expected queued"},
        {LANDED_TWICE, "at 110 ns, land: layer 3 expert 1 in tier cache resident, expected inbound"},
        {PINNED_LEAVES, "at 110 ns, evict: layer 3 expert 1 in tier cache leaves while pinned by the event at hand"},
        {NEGATIVE, "at 200 ns, evict: tier cache holds -3 units, expected 0 or more"},
        {BACKWARDS, "release is told at 90 ns, expected no earlier time"},
        {NEVER_LANDS, "at 130 ns, release: layer 3 expert 2 in tier cache has not landed by the release of its event"},
        {BYTES, "fetched bytes are 301, expected 300 to 300"},
        {WRONG_BYTES, "1 objects carry 99 bytes, expected 100"},
        {GUESS_BYTES, "bytes of guesses is 1, expected 0"},
        {EXCEEDS, "at 220 ns, release: event 2 leaves 3 units in tier cache, expected at most 2 or an overflow that is counted"},
        {GUESS_EXCEEDS, "at 130 ns, start_guess: tier cache holds 3 units, expected at most 2"},
        {MASK, "at 220 ns, release: layer 4 expert 1 in tier cache is in the mask of what is, expected queued"},
        {HIT, "at 200 ns, use: event 2 hits 0000000000000008 in mask word 1, expected 0000000000000000"},
        {LATE, "event 2 says 1 wanted, 0 hits, 1 late, expected 1, 0, 0"},
        {LITTLE, "the area under a queue (Little's law) is 11, expected 10"},
        {SUM, "the attribution adds up to 221 ns, expected 220 ns"},
        {BUSY, "channel pcie was busy for 230 ns, expected at most 1 lanes of 220 ns"},
        {STALL, "the stalled time is 21, expected 20"},
        {STEPS, "the total time is 220, expected 219"},
        {NOT_RELEASED, "event 2 is at its gate, expected the release of event 1 before"},
        {RELEASED_TWICE, "event 1 is released, expected the one whose gate was passed last (1)"},
        {TURNED_TOO_FAR, "at 130 ns, turn: policy.share is turned to 1.5, expected 0 to 1"},
        {NOT_TURNED, "at 130 ns, turn: policy.share is turned to the 0.5 it has, expected another value"},
        {UNTOLD_ROOM, "at 220 ns, release: tier cache has room for 1 units, expected 2, for no change was told"},
        {SHRUNK, NULL},
        {STAYS, "at 200 ns, use: 2 units stay in tier cache, expected at most the 1 of its new room"},
        {SHRINKS_AT_HAND, "at 200 ns, room: tier cache changes while event 2 is at hand, expected it to wait for the release"},
        {ARRIVES, "layer 3 expert 0 in tier dram arrives by demotion, expected it to have left the tier above"},
        {NO_TIER, "tier 7, expected below 3"},
        {NO_OBJECT, "object 128, expected below 128"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage s;
        stage_open(&s, &es_observer_audit, true, "{}");
        audit_play(&s, cases[i].plant);
        expect_verdict(&s, cases[i].fault);
        stage_close(&s);
    }
}

/* ---- the line of a step ---- */

typedef enum broken { WHOLE, GAP, OVERLAP, SHORT, SUM_OF_LAYER, PAST, TOO_FAST, UNTIMELY } broken;

/* A layer: dense until 100, a copy until 110, which is all of the stall, an expert until 130, 10 ns for what is managed. */
static void line_play(stage *s, broken b)
{
    static const es_oid dense = ES_NO_OBJECT, expert = 1;
    const es_copy copy = {.asked = b == UNTIMELY ? 101 : 100, .alone = b == TOO_FAST ? 12 : 10, .last = true};
    s->view.gpu = 1;
    s->event.counted = true;
    stage_tell(s, (es_fact){.kind = ES_FACT_STEP});
    stage_tell(s, (es_fact){.kind = ES_FACT_COMPUTE, .since = 0, .at = b == SHORT ? 90 : 100, .event = &s->event, .objects = &dense, .count = 1, .channel = 1});
    stage_gate(s, 100, 0, 0x2);
    stage_copy(s, ES_FACT_QUEUE, 100, 1);
    stage_copy(s, ES_FACT_START, 100, 1);
    stage_tell(s, (es_fact){.kind = ES_FACT_COPY, .since = 100, .at = 110, .objects = &expert, .count = 1, .from = HOME, .to = CACHE, .copy = &copy});
    stage_copy(s, ES_FACT_LAND, 110, 1);
    stage_span(s, ES_FACT_STALL, 100, 110, 0);
    stage_tell(s, (es_fact){.kind = ES_FACT_COMPUTE, .since = b == GAP ? 112 : b == OVERLAP ? 108 : 110, .at = 130, .objects = &expert, .count = 1,
        .to = CACHE, .channel = 1});
    stage_tell(s, (es_fact){.kind = ES_FACT_CHARGE, .since = 130, .at = 140, .count = ES_CHARGED_EVICT, .channel = 1});
    s->times = (es_times){.total = 140, .dense = 100, .expert_gpu = 20 + (b == SUM_OF_LAYER), .manage = 10, .evict = 10, .stall = 10};
    s->channel[0].wait_ns = 10;
    stage_release(s, b == PAST ? 141 : 140);
    s->times.expert_gpu = 20;
    stage_step(s, 0, 0, 140 + (b == PAST), ES_DECODE, 1, 0);
    s->times.total += b == PAST;
    stage_tell(s, (es_fact){.kind = ES_FACT_END, .at = 150});
}

static void what_a_step_goes_through_lies_end_to_end(void **state)
{
    (void)state;
    static const struct { broken broken; const char *fault; } cases[] = {
        {WHOLE, NULL},
        {GAP, "compute begins at 112 ns, expected 110 ns, where what the step went through before has ended"},
        {OVERLAP, "compute begins at 108 ns, expected 110 ns"},
        {SHORT, "stall begins at 100 ns, expected 90 ns"},
        {SUM_OF_LAYER, "at 140 ns, release: 141 ns of the step are attributed, expected the 140 ns since it began"},
        {PAST, "what the step went through ends at 140 ns, expected 141 ns"},
        {TOO_FAST, "at 110 ns, copy: a copy took 10 ns, expected at least the 12 ns that it takes alone"},
        {UNTIMELY, "a copy asked for at 101 ns is under way from 100 to 110 ns"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage s;
        stage_open(&s, &es_observer_audit, true, "{}");
        line_play(&s, cases[i].broken);
        expect_verdict(&s, cases[i].fault);
        stage_close(&s);
    }
}

/* The same, heard by the attribution: what is right adds up, what is not fails the run. */
static void what_is_attributed_adds_up(void **state)
{
    (void)state;
    static const struct { broken broken; const char *fault; } cases[] = {
        {WHOLE, NULL},
        {GAP, "attribution: 2 layers or steps do not add up to the time they took, the first by -2 ns"},
        {OVERLAP, "the first by 2 ns"},
        {SHORT, "the first by -10 ns"},
        {PAST, "the first by -1 ns"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage s;
        es_err err = {0};
        stage_open(&s, &es_observer_attribution, true, "{}");
        line_play(&s, cases[i].broken);
        assert_int_equal(s.observer->verdict(s.self, &err), cases[i].fault ? ES_ECHECK : ES_OK);
        if (cases[i].fault && !strstr(err.text, cases[i].fault))
            fail_msg("is: %s\nwant: ... %s ...", err.text, cases[i].fault);
        stage_report(&s);
        expect(&s, "attribution.causes.wait.pcie.transfer", 10e-9);
        expect(&s, "attribution.causes.evict", 10e-9);
        stage_close(&s);
    }
}

/* An event of three in a cache of two. */
static void overflow_play(stage *s, bool announced, bool waves, es_time computed)
{
    s->event.counted = true;
    stage_tell(s, (es_fact){.kind = ES_FACT_STEP});
    stage_gate(s, 0, 0, 0x7);
    s->tally.overflow_events += announced && waves;
    for (es_oid o = 0; o < 3; o++)
        stage_copy(s, ES_FACT_QUEUE, 0, o);
    for (es_oid o = 0; o < 3; o++) {
        if (o == 2 && waves)
            stage_copy(s, ES_FACT_EVICT, 20, 0);
        stage_copy(s, ES_FACT_START, o * 10, o);
        stage_copy(s, ES_FACT_LAND, o * 10 + 10, o);
        stage_tell(s, (es_fact){.kind = ES_FACT_COMPUTE, .since = computed - 5, .at = computed, .objects = &o, .count = 1, .channel = 1});
    }
    s->tally.overflow_events += announced && !waves;
    if (!waves)
        stage_move(s, ES_FACT_EVICT, 40, 0, CACHE, ES_NO_TIER, ES_RELEASE);
    stage_release(s, 40);
    expect_verdict(s, NULL);
}

static void an_overflow_that_is_counted_is_legal(void **state)
{
    (void)state;
    stage s;
    for (int waves = 0; waves <= 1; waves++) {
        stage_open(&s, &es_observer_audit, true, "{}");
        overflow_play(&s, true, waves, 20);
        stage_close(&s);
    }
    stage_open(&s, &es_observer_audit, true, "{}");
    s.view.as_coded = true;
    overflow_play(&s, false, false, 20);            /* a part that overcommits as coded is reported instead */
    expect(&s, "audit.overcommitted", 1);
    stage_close(&s);
}

static void in_waves_nothing_leaves_while_it_is_computed(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_audit, true, "{}");
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    stage_gate(&s, 0, 0, 0x7);
    s.tally.overflow_events++;
    stage_fetch(&s, 0, 10, 0);
    stage_tell(&s, (es_fact){.kind = ES_FACT_COMPUTE, .since = 10, .at = 30, .objects = (const es_oid[]){0}, .count = 1, .channel = 1});
    stage_copy(&s, ES_FACT_EVICT, 20, 0);
    expect_verdict(&s, "leaves while it is computed");
    stage_close(&s);
}

static void a_late_guess_must_land_before_the_release(void **state)
{
    (void)state;
    for (int lands = 0; lands <= 1; lands++) {
        stage s;
        stage_open(&s, &es_observer_audit, true, "{}");
        s.mask[CACHE][2][0] = 0x1;
        stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
        stage_gate(&s, 0, 0, 0x1);
        stage_copy(&s, ES_FACT_QUEUE, 0, L1);
        stage_copy(&s, ES_FACT_START_GUESS, 0, L1);
        stage_release(&s, 5);
        stage_gate(&s, 10, 1, 0x1);
        if (lands)
            stage_copy(&s, ES_FACT_LAND, 20, L1);
        stage_release(&s, 30);
        expect_verdict(&s, lands ? NULL : "at 30 ns, release: layer 4 expert 0 in tier cache has not landed by the release of its event");
        stage_close(&s);
    }
}

static void foreseen_guesses_demotions_and_resets_are_legal(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_audit, true, "{}");
    s.mask[CACHE][2][0] = 0x3;                      /* initial contents: told before the first step, then taken as they are */
    stage_tell(&s, (es_fact){.kind = ES_FACT_START, .why = ES_INITIAL, .objects = (const es_oid[]){0, 1}, .count = 2, .to = CACHE});
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    stage_gate(&s, 0, 0, 0x1);
    stage_copy(&s, ES_FACT_QUEUE, 0, L1);
    stage_copy(&s, ES_FACT_QUEUE, 0, L1 + 1);
    stage_release(&s, 5);
    stage_copy(&s, ES_FACT_CANCEL, 10, L1 + 1);     /* it dies */
    stage_gate(&s, 10, 1, 0x1);
    stage_copy(&s, ES_FACT_CANCEL, 10, L1);         /* foreseen: asked anew */
    stage_copy(&s, ES_FACT_QUEUE, 10, L1);
    stage_move(&s, ES_FACT_EVICT, 10, 1, CACHE, DRAM, ES_DEMAND);
    stage_move(&s, ES_FACT_ARRIVE_LOW, 10, 1, CACHE, DRAM, ES_DEMOTE);
    stage_copy(&s, ES_FACT_START, 10, L1);
    stage_copy(&s, ES_FACT_LAND, 20, L1);
    stage_release(&s, 30);
    stage_gate(&s, 40, 0, 0x2);
    stage_copy(&s, ES_FACT_QUEUE, 40, 1);
    stage_copy(&s, ES_FACT_EVICT, 40, L1);
    stage_move(&s, ES_FACT_LEAVE_LOW, 40, 1, DRAM, CACHE, ES_TOUCH);
    stage_copy(&s, ES_FACT_START, 40, 1);
    stage_copy(&s, ES_FACT_LAND, 50, 1);
    stage_release(&s, 60);
    memset(s.mask[CACHE], 0, sizeof s.mask[CACHE]);
    stage_tell(&s, (es_fact){.kind = ES_FACT_RESET, .at = 60});
    stage_gate(&s, 70, 0, 0x2);
    stage_fetch(&s, 70, 80, 1);
    stage_release(&s, 90);
    expect_verdict(&s, NULL);
    stage_close(&s);
}

static void what_is_read_in_place_has_no_life_in_the_tier(void **state)
{
    (void)state;
    stage s;
    static const uint64_t keep = 0x1, none = 0, wanted = 0x3;
    stage_open(&s, &es_observer_audit, true, "{}");
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    s.event = (es_event){.index = 1, .counted = true, .count = 2, .word = 0, .words = 1, .mask = &wanted, .hit = &none, .kept = &keep, .list = s.list};
    stage_tell(&s, (es_fact){.kind = ES_FACT_USE, .event = &s.event});
    stage_fetch(&s, 0, 10, 0);
    stage_tell(&s, (es_fact){.kind = ES_FACT_QUEUE, .at = 10, .objects = (const es_oid[]){1}, .count = 1, .to = CACHE});
    stage_tell(&s, (es_fact){.kind = ES_FACT_START, .at = 10, .objects = (const es_oid[]){1}, .count = 1, .to = CACHE, .bytes = 100});
    s.tally.fetched_bytes += 100;
    stage_release(&s, 20);
    stage_step(&s, 0, 0, 20, ES_DECODE, 1, 0);
    s.times = (es_times){.total = 20, .dense = 20};
    stage_tell(&s, (es_fact){.kind = ES_FACT_END, .at = 20});
    expect_verdict(&s, NULL);
    stage_close(&s);
}

static void without_a_clock_copies_start_unasked(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_audit, false, "{}");
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    s.event.counted = true;
    stage_gate(&s, 0, 0, 0x3);
    stage_fetch(&s, 0, 0, 0);
    stage_fetch(&s, 0, 0, 1);
    stage_release(&s, 0);
    stage_gate(&s, 0, 1, 0x1);
    stage_copy(&s, ES_FACT_EVICT, 0, 0);
    stage_fetch(&s, 0, 0, L1);
    stage_release(&s, 0);
    stage_tell(&s, (es_fact){.kind = ES_FACT_END});
    expect_verdict(&s, NULL);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_planted_fault_is_caught),
        cmocka_unit_test(what_a_step_goes_through_lies_end_to_end),
        cmocka_unit_test(what_is_attributed_adds_up),
        cmocka_unit_test(an_overflow_that_is_counted_is_legal),
        cmocka_unit_test(in_waves_nothing_leaves_while_it_is_computed),
        cmocka_unit_test(a_late_guess_must_land_before_the_release),
        cmocka_unit_test(foreseen_guesses_demotions_and_resets_are_legal),
        cmocka_unit_test(what_is_read_in_place_has_no_life_in_the_tier),
        cmocka_unit_test(without_a_clock_copies_start_unasked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
