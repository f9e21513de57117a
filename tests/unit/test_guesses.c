/* Guesses judged: an observer is told what a predictor said and what the gates then wanted. */
#include "tests/support/observe_stage.h"

#include "sim/part/predictor.h"

extern const es_observer es_observer_predictor;

/* Asked at the last gate told: the guesses for a layer, best first, all of one confidence. */
static void say(stage *s, uint32_t layer, bool next_step, const char *experts, float sure)
{
    es_predict_ask ask = {.point = ES_AFTER_GATE, .event = &s->event, .layer = layer, .next_step = next_step};
    es_guess guess[8];
    uint32_t count = 0;
    for (; *experts; experts++)
        guess[count++] = (es_guess){layer * 64 + (es_oid)(*experts - '0'), sure};
    stage_tell(s, (es_fact){.kind = ES_FACT_GUESS, .event = &s->event, .ask = &ask, .guesses = guess, .count = count});
}

static void guesses_are_held_against_the_next_gate_of_their_layer(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_predictor, true, "{\"ahead\": 2}");
    s.event.counted = true;
    s.event.phase = ES_DECODE;
    stage_gate(&s, 0, 0, 0x1);
    say(&s, 1, false, "20", 0.875f);
    say(&s, 0, true, "3", 0.25f);                       /* two ahead */
    stage_gate(&s, 0, 1, 0x5);                          /* 0 and 2: both, the second in place 2 */
    say(&s, 0, true, "13", 0.9375f);
    stage_gate(&s, 0, 0, 0x9);                          /* 0 and 3 */
    stage_gate(&s, 0, 1, 0xf);                          /* nobody spoke of it */
    stage_report(&s);
    expect(&s, "predictor.ahead_1.asks", 2);
    expect(&s, "predictor.ahead_1.guesses", 4);
    expect(&s, "predictor.ahead_1.precision", 0.75);
    expect(&s, "predictor.ahead_1.recall", 0.75);
    expect(&s, "predictor.ahead_1.first_right", 0.5);
    expect(&s, "predictor.ahead_1.top.1", 0.25);
    expect(&s, "predictor.ahead_1.top.5", 0.75);
    expect(&s, "predictor.ahead_1.all.1", 0);
    expect(&s, "predictor.ahead_1.all.5", 0.5);
    expect(&s, "predictor.ahead_1.bins.8.guesses", 2);
    expect(&s, "predictor.ahead_1.bins.8.came", 1);
    expect(&s, "predictor.ahead_1.bins.9.came", 0.5);
    expect(&s, "predictor.ahead_1.calibration_error", (0.25 + 0.875) / 4);
    expect(&s, "predictor.ahead_2.asks", 1);
    expect(&s, "predictor.ahead_2.precision", 1);
    expect(&s, "predictor.ahead_2.recall", 0.5);
    stage_close(&s);
}

/* What is said of a layer before its lookup is held against that gate; what is said at the end of a step is not judged. */
static void guesses_of_the_layer_at_hand_count_as_one_ahead(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_predictor, true, "{}");
    s.event.counted = true;
    s.event.phase = ES_DECODE;
    stage_gate(&s, 0, 0, 0x1);
    const es_event before = s.event;
    for (int end = 0; end < 2; end++) {
        s.event.layer = 1;
        es_predict_ask ask = {.point = end ? ES_STEP_END : ES_BEFORE_LOOKUP, .event = &s.event, .layer = end ? 0 : 1, .next_step = end};
        es_guess guess[] = {{end ? 0 : 64, 0.5f}, {end ? 1 : 65, 0.5f}};
        stage_tell(&s, (es_fact){.kind = ES_FACT_GUESS, .event = &s.event, .ask = &ask, .guesses = guess, .count = 2});
        s.event = before;
        stage_gate(&s, 0, end ? 0 : 1, 0x2);
    }
    stage_report(&s);
    expect(&s, "predictor.ahead_1.asks", 1);
    expect(&s, "predictor.ahead_1.guesses", 2);
    expect(&s, "predictor.ahead_1.recall", 1);
    stage_close(&s);
}

static void prefill_is_judged_only_where_it_counts(void **state)
{
    (void)state;
    for (int together = 0; together < 2; together++) {
        stage s;
        stage_open(&s, &es_observer_predictor, true, "{}");
        s.view.count_prefill = together;
        s.event.counted = true;
        stage_gate(&s, 0, 0, 0x1);
        say(&s, 1, false, "2", 0.5f);
        stage_gate(&s, 0, 1, 0x4);
        stage_report(&s);
        expect(&s, "predictor.ahead_1.asks", together);
        stage_close(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guesses_are_held_against_the_next_gate_of_their_layer),
        cmocka_unit_test(guesses_of_the_layer_at_hand_count_as_one_ahead),
        cmocka_unit_test(prefill_is_judged_only_where_it_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
