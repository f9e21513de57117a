/* Transition: counts made by hand and the guesses and confidences that follow from them. Of a witness that was seen n times and
 * followed c times by e, with weight 1, remains (c + prior * m(e)) / (n + prior); m(e) = (uses + 1/8) / (events + 1). */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/predict_stage.h"

extern const es_predictor es_predictor_transition;

static void stage_of(stage *s, const char *options)
{
    stage_open(s, &es_predictor_transition, options, 0);
}

/* One step: what its three layers use; an empty text leaves the layer out. */
static void step(stage *s, uint64_t number, const char *l0, const char *l1, const char *l2)
{
    const char *layers[LAYERS] = {l0, l1, l2};
    for (uint32_t l = 0; l < LAYERS; l++)
        if (*layers[l])
            stage_gate(s, number, l, layers[l]);
}

static double sure_of(stage *s, uint32_t layer, bool next_step, es_oid object)
{
    es_guess out[EXPERTS];
    uint32_t n = stage_ask(s, ES_AFTER_GATE, layer, next_step, out, EXPERTS);
    for (uint32_t i = 0; i < n; i++)
        if (out[i].object == object)
            return (double)out[i].confidence;
    fail_msg("object %u is not named", object);
    return 0.0;
}

static void expect_sure(stage *s, uint32_t layer, es_oid object, double expected)
{
    double sure = sure_of(s, layer, false, object);
    if (fabs(sure - expected) > 1e-6)
        fail_msg("object %u: %.6f, expected %.6f", object, sure, expected);
}

static void before_anything_was_seen_all_are_alike(void **state)
{
    (void)state;
    stage s;
    stage_of(&s, "{\"most\": 8}");
    stage_gate(&s, 0, 0, "3");
    expect_guesses(&s, 1, false, "64 65 66 67 68 69 70 71");
    expect_sure(&s, 1, 69, 0.125);
    stage_close(&s);
}

static void a_token_s_experts_are_named_unless_told_otherwise(void **state)
{
    (void)state;
    stage s;
    stage_of(&s, "{}");
    step(&s, 0, "3", "5", "");
    stage_gate(&s, 1, 0, "3");
    expect_guesses(&s, 1, false, "69");
    expect_most(&s, ES_AFTER_GATE, 1, false, 0, "");
    stage_close(&s);
    stage_of(&s, "{\"most\": 3}");
    step(&s, 0, "3", "5", "");
    stage_gate(&s, 1, 0, "3");
    expect_guesses(&s, 1, false, "69 64 65");
    expect_most(&s, ES_AFTER_GATE, 1, false, 2, "69 64");
    stage_close(&s);
}

/* Three times after expert 3 of layer 0, layer 1 used 5, 5 and 6. */
static void teach(stage *s)
{
    step(s, 0, "3", "5", "0");
    step(s, 1, "3", "5", "0");
    step(s, 2, "3", "6", "0");
    stage_gate(s, 3, 0, "3");
}

static void taught(stage *s, const char *options)
{
    stage_of(s, options);
    teach(s);
}

static void one_witness_of_full_weight_is_believed_to_the_count(void **state)
{
    (void)state;
    stage s;
    taught(&s, "{\"layers\": 1, \"token\": false, \"weight\": 1, \"most\": 8}");
    expect_guesses(&s, 1, false, "69 70 64 65 66 67 68 71");
    expect_sure(&s, 1, 69, (2 + 4 * 2.125 / 4) / 7);
    expect_sure(&s, 1, 70, (1 + 4 * 1.125 / 4) / 7);
    expect_sure(&s, 1, 64, (0 + 4 * 0.125 / 4) / 7);
    stage_close(&s);
}

static void half_the_weight_takes_the_root_of_what_it_says(void **state)
{
    (void)state;
    stage s;
    taught(&s, "{\"layers\": 1, \"token\": false, \"most\": 8}");
    double five = 2.125 / 4 * sqrt((2 / (2.125 / 4) + 4) / 7), six = 1.125 / 4 * sqrt((1 / (1.125 / 4) + 4) / 7), other = 0.125 / 4 * sqrt(4. / 7);
    double sum = five + six + 6 * other;
    expect_sure(&s, 1, 69, five / sum);
    expect_sure(&s, 1, 70, six / sum);
    expect_sure(&s, 1, 71, other / sum);
    stage_close(&s);
}

static void the_token_before_is_a_witness(void **state)
{
    (void)state;
    stage s;
    stage_of(&s, "{\"layers\": 0, \"most\": 2}");
    for (uint64_t t = 0; t < 7; t++)
        step(&s, t, "", t % 2 ? "6" : "5", "");         /* 5 was used more often, and used last */
    expect_guesses(&s, 1, true, "70 69");
    stage_close(&s);
    stage_of(&s, "{\"layers\": 0, \"token\": false, \"most\": 2}");
    for (uint64_t t = 0; t < 7; t++)
        step(&s, t, "", t % 2 ? "6" : "5", "");
    expect_guesses(&s, 1, true, "69 70");
    stage_close(&s);
}

static void from_further_away_only_layers_that_have_run_are_heard(void **state)
{
    (void)state;
    stage s;
    stage_of(&s, "{\"layers\": 2, \"token\": false, \"weight\": 1, \"most\": 8}");
    for (uint64_t t = 0; t < 5; t++)
        step(&s, t, t < 2 ? "1" : "3", "2", t < 2 ? "4" : "6");
    stage_gate(&s, 5, 0, "1");
    expect_guesses(&s, 2, false, "132 134 128 129 130 131 133 135");
    expect_sure(&s, 2, 132, (2 + 4 * 2.125 / 6) / 6);   /* layer 1 of the step before, which speaks for 6, is silent */
    stage_close(&s);
}

static void the_last_layers_of_the_step_before_foresee_the_first(void **state)
{
    (void)state;
    stage s;
    stage_of(&s, "{\"layers\": 1, \"token\": false, \"weight\": 1, \"most\": 8}");
    step(&s, 0, "7", "0", "2");
    step(&s, 1, "4", "0", "3");
    step(&s, 2, "5", "0", "2");
    expect_guesses(&s, 0, true, "4 5 7 0 1 2 3 6");     /* after 2 came 4, after 3 came 5 */
    stage_close(&s);
}

static void another_request_has_no_memory_of_this_one(void **state)
{
    (void)state;
    stage s;
    stage_of(&s, "{\"layers\": 0, \"weight\": 1, \"most\": 8}");
    for (uint64_t t = 0; t < 4; t++)
        step(&s, t, "0", t % 2 ? "6" : "5", "0");
    s.event.request = 1;
    stage_gate(&s, 4, 0, "0");
    expect_sure(&s, 1, 69, 2.125 / 5);                  /* what it is used for at all, and no witness */
    stage_gate(&s, 4, 1, "6");
    stage_gate(&s, 5, 0, "0");
    double often = 2.125 / 6;                           /* one of two steps after a 6 brought 5; the change of request is none */
    expect_sure(&s, 1, 69, (1 + 4 * often) / 5);
    stage_close(&s);
}

static void a_union_weighs_as_much_as_one_token(void **state)
{
    (void)state;
    stage s;
    stage_of(&s, "{\"layers\": 1, \"token\": false, \"weight\": 1, \"most\": 8}");
    step(&s, 0, "3 4", "5", "");
    stage_gate(&s, 1, 0, "3 4");
    double five = 1.125 / 2 * (1 / (1.125 / 2) + 4) / 5, other = 0.125 / 2 * 4 / 5;     /* two witnesses of half weight each */
    expect_sure(&s, 1, 69, five / (five + 7 * other));
    stage_close(&s);
}

static void what_never_comes_true_loses_its_confidence(void **state)
{
    (void)state;
    stage s;
    stage_of(&s, "{\"layers\": 0, \"token\": false, \"most\": 8}");
    for (uint64_t t = 0; t < 41; t++) {
        stage_gate(&s, t, 0, "0");
        stage_ask(&s, ES_AFTER_GATE, 1, false, (es_guess[EXPERTS]){{0}}, EXPERTS);
        stage_gate(&s, t, 1, t % 2 ? "6" : "5");
    }
    /* Whenever 5 leads, at a little more than one half, 6 comes; whoever is at a little less comes in two cases of three. */
    stage_gate(&s, 41, 0, "0");
    assert_true(sure_of(&s, 1, false, 69) < 0.15);
    assert_true(sure_of(&s, 1, false, 70) > 0.55);
    expect_most(&s, ES_AFTER_GATE, 1, false, 1, "69");
    stage_close(&s);
}

static void halved_counts_let_new_habits_win(void **state)
{
    (void)state;
    static const char *const used[] = {"1", "2", "1", "2", "1", "2", "1", "2", "1", "3", "1", "3", "1", "3", "1"};
    stage s;
    for (int halve = 0; halve < 2; halve++) {
        stage_of(&s, halve ? "{\"layers\": 0, \"prior\": 0.001, \"weight\": 1, \"half_at\": 4}" : "{\"layers\": 0, \"prior\": 0.001, \"weight\": 1}");
        for (uint64_t t = 0; t < sizeof used / sizeof *used; t++)
            step(&s, t, used[t], "", "");
        expect_guesses(&s, 0, true, halve ? "3" : "2");  /* 2 followed 4 times, then 3 did 3 times */
        stage_close(&s);
    }
}

static void guesses_of_too_little_confidence_are_left_out(void **state)
{
    (void)state;
    stage s;
    taught(&s, "{\"layers\": 1, \"token\": false, \"weight\": 1, \"most\": 8, \"least\": 0.3}");
    expect_guesses(&s, 1, false, "69 70");
    stage_close(&s);
}

static void a_layer_in_parts_is_learned_once(void **state)
{
    (void)state;
    stage s;
    stage_of(&s, "{\"layers\": 1, \"token\": false, \"weight\": 1, \"most\": 8}");
    stage_gate(&s, 0, 0, "3");
    stage_gate_part(&s, 0, 1, "5", true, false);
    stage_gate_part(&s, 0, 1, "5 6", false, true);
    stage_gate(&s, 1, 0, "3");
    double five = (1 + 4 * 1.125 / 2) / 5, other = 4 * 0.125 / 2 / 5;
    expect_sure(&s, 1, 69, five / (2 * five + 6 * other));
    expect_sure(&s, 1, 70, five / (2 * five + 6 * other));
    expect_most(&s, ES_AFTER_GATE, 1, false, 2, "69 70");
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(before_anything_was_seen_all_are_alike),
        cmocka_unit_test(a_token_s_experts_are_named_unless_told_otherwise),
        cmocka_unit_test(one_witness_of_full_weight_is_believed_to_the_count),
        cmocka_unit_test(half_the_weight_takes_the_root_of_what_it_says),
        cmocka_unit_test(the_token_before_is_a_witness),
        cmocka_unit_test(from_further_away_only_layers_that_have_run_are_heard),
        cmocka_unit_test(the_last_layers_of_the_step_before_foresee_the_first),
        cmocka_unit_test(another_request_has_no_memory_of_this_one),
        cmocka_unit_test(a_union_weighs_as_much_as_one_token),
        cmocka_unit_test(what_never_comes_true_loses_its_confidence),
        cmocka_unit_test(halved_counts_let_new_habits_win),
        cmocka_unit_test(guesses_of_too_little_confidence_are_left_out),
        cmocka_unit_test(a_layer_in_parts_is_learned_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
