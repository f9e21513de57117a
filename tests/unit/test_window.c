/* The predictors of Metal Marlin's pool, by hand: what a layer used in its last tokens, counted in four ways and asked for in three. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/predict_stage.h"

extern const es_predictor es_predictor_topk_recency, es_predictor_repeat, es_predictor_history, es_predictor_attention;

/* ---- the three by tokens ---- */

/* Layer 1 uses 1 2, then 3 1, then 2 5; layer 0 after it 4 6. */
static void stage_three(stage *s, const es_predictor *predictor, const char *options)
{
    stage_open(s, predictor, options, 0);
    stage_gate(s, 0, 1, "1 2");
    stage_gate(s, 1, 1, "3 1");
    stage_gate(s, 2, 1, "2 5");
    stage_gate(s, 3, 0, "4 6");
}

static void recency_weighs_uses_and_adds_for_the_newest(void **state)
{
    (void)state;
    stage s;
    es_guess out[8];
    stage_three(&s, &es_predictor_topk_recency, "{}");
    expect_guesses(&s, 1, false, "66 69 65 67");    /* 2: 1 + .81 + 2, 5: 1 + 2, 1: .9 + .81, 3: .9 */
    assert_int_equal(stage_ask(&s, ES_AFTER_GATE, 1, false, out, 8), 4);
    assert_float_equal(out[0].confidence, 3.81f / 4.71f, 1e-6f);
    assert_float_equal(out[3].confidence, .9f / 4.71f, 1e-6f);
    expect_most(&s, ES_AFTER_GATE, 1, false, 2, "66 69");
    expect_guesses(&s, 2, false, "");               /* never seen */
    stage_close(&s);
    stage_three(&s, &es_predictor_topk_recency, "{\"most\": 3, \"decay\": 0, \"bonus\": 0}");
    expect_guesses(&s, 1, false, "66 69 67");       /* only the newest is worth anything; then who is met first */
    stage_close(&s);
}

static void the_window_ends_and_equals_stand_as_they_are_met(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_predictor_topk_recency, "{\"window\": 2, \"decay\": 1, \"bonus\": 0, \"most\": 8}", 0);
    stage_gate(&s, 0, 1, "7");
    stage_gate(&s, 1, 1, "3 1");
    stage_gate(&s, 2, 1, "2 5");
    expect_guesses(&s, 1, true, "66 69 67 65");
    stage_gate(&s, 3, 1, "1 7");
    expect_guesses(&s, 1, true, "65 71 66 69");
    stage_close(&s);
}

static void history_counts_alike_and_leaves_out_small_shares(void **state)
{
    (void)state;
    static const struct { const char *options, *guesses; } cases[] = {
        {"{}", "66 65 69 67"}, {"{\"floor\": 0.2}", "66 65"}, {"{\"floor\": 0.34}", "66 69"}, {"{\"window\": 1}", "66 69"}, {"{\"most\": 1}", "66"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {     /* 1 and 2 have two of six uses, the others one; .34: nobody, so the last */
        stage s;
        stage_three(&s, &es_predictor_history, cases[i].options);
        expect_guesses(&s, 1, false, cases[i].guesses);
        stage_close(&s);
    }
}

/* Twenty experts with one use in twenty each have .05 exactly. */
static void a_share_at_the_floor_is_enough(void **state)
{
    (void)state;
    stage s;
    es_guess out[64];
    stage_open(&s, &es_predictor_history, "{\"most\": 64}", 0);
    for (uint64_t t = 0; t < 20; t++) {
        char text[8];
        snprintf(text, sizeof text, "%u", (unsigned)(t % 20));
        stage_gate(&s, t, 1, text);
    }
    assert_int_equal(stage_ask(&s, ES_AFTER_GATE, 1, true, out, 64), 20);
    assert_float_equal(out[0].confidence, .05f, 1e-6f);
    stage_gate(&s, 20, 1, "20");
    assert_int_equal(stage_ask(&s, ES_AFTER_GATE, 1, true, out, 64), 1);    /* 1 / 21: nobody; then the last one */
    assert_int_equal(out[0].object, 64 + 20);
    stage_close(&s);
}

static void repeat_takes_the_first_few(void **state)
{
    (void)state;
    stage s;
    stage_three(&s, &es_predictor_repeat, "{\"most\": 1}");
    expect_guesses(&s, 1, false, "66");
    stage_close(&s);
    stage_three(&s, &es_predictor_repeat, "{}");
    expect_guesses(&s, 1, false, "66 69");
    stage_close(&s);
}

static void layers_ahead_have_their_own_or_what_is_carried_or_as_coded_nothing(void **state)
{
    (void)state;
    static const struct { const char *options, *next, *after; } cases[] = {
        {"{}", "66 69 65 67", ""},                                      /* layer 1's own; layer 2 was never seen */
        {"{\"ahead\": \"carried\"}", "68 70", "132 134"},               /* 4 and 6, which layer 0 uses */
        {"{\"ahead\": \"as_coded\", \"most\": 1}", "4 6", ""},          /* for layer 0 again: 4 ranked, and 6 for being used now */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        stage s;
        stage_three(&s, &es_predictor_topk_recency, cases[i].options);
        expect_guesses(&s, 1, false, cases[i].next);
        expect_guesses(&s, 2, false, cases[i].after);
        stage_close(&s);
    }
}

static void a_layer_in_parts_is_one_token(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_predictor_history, "{}", 0);
    stage_gate_part(&s, 0, 1, "5", true, false);
    stage_gate_part(&s, 0, 1, "2 5", false, true);
    stage_gate(&s, 1, 1, "2");
    expect_guesses(&s, 1, true, "66 69");
    stage_close(&s);
}

/* ---- attention ---- */

static void stage_token(stage *s, es_token *token, uint32_t request, uint32_t position, const uint32_t *attended, const float *weight, const char *used)
{
    *token = (es_token){request, position, ES_DECODE};
    es_step *step = (es_step *)s->event.rows;
    *step = (es_step){.tokens = 1, .token = token, .attended = attended, .attention = weight};
    stage_gate(s, position, 1, used);
}

static void attention_takes_what_the_attended_tokens_used(void **state)
{
    (void)state;
    static const uint32_t near[] = {1, ES_NO_POSITION, ES_NO_POSITION}, both[] = {0, 1, ES_NO_POSITION}, gone[] = {9, ES_NO_POSITION, ES_NO_POSITION};
    static const float weight[] = {.2f, .3f, 0}, whole[] = {1, 0, 0};
    es_step step;
    es_token token;
    stage s;
    es_guess out[8];
    stage_open(&s, &es_predictor_attention, "{}", 0);
    s.view.attends = 3;
    s.event.rows = &step;
    stage_token(&s, &token, 7, 0, near, whole, "4");
    stage_token(&s, &token, 7, 1, near, whole, "6");
    stage_token(&s, &token, 7, 2, both, weight, "5");
    expect_guesses(&s, 1, true, "70 68");
    assert_int_equal(stage_ask(&s, ES_AFTER_GATE, 1, true, out, 8), 2);
    assert_float_equal(out[0].confidence, .6f, 1e-6f);
    stage_token(&s, &token, 7, 3, gone, whole, "5");
    expect_guesses(&s, 1, true, "69 70 68");        /* nothing is known of token 9: the last tokens, 1 + .9, .81, .729 */
    stage_token(&s, &token, 8, 0, both, weight, "3");
    expect_guesses(&s, 1, true, "67");              /* another request: only its own token 0 is known */
    stage_close(&s);
}

static void without_a_table_attention_falls_off_with_distance(void **state)
{
    (void)state;
    es_step step;
    es_token token;
    stage s;
    es_guess out[8];
    stage_open(&s, &es_predictor_attention, "{\"decay\": 0.5, \"positions\": 2}", 0);
    s.event.rows = &step;
    stage_token(&s, &token, 0, 0, NULL, NULL, "4");
    stage_token(&s, &token, 0, 1, NULL, NULL, "6");
    stage_token(&s, &token, 0, 2, NULL, NULL, "5");
    expect_guesses(&s, 1, true, "69 70");           /* token 0 is beyond the two that are remembered */
    assert_int_equal(stage_ask(&s, ES_AFTER_GATE, 1, true, out, 8), 2);
    assert_float_equal(out[0].confidence, 1 / 1.5f, 1e-6f);
    stage_token(&s, &token, 0, 4, NULL, NULL, "3"); /* nothing is known of token 3 */
    expect_guesses(&s, 1, true, "67");
    stage_close(&s);
}

/* Tokens 0 and 1 of request 0, then one of request 1, each in a part of its own; the newest of request 0 attends to its token 0. */
static void a_prompt_is_remembered_token_by_token_and_one_request_of_a_step(void **state)
{
    (void)state;
    static const es_token tokens[] = {{0, 0, ES_PREFILL}, {0, 1, ES_PREFILL}, {1, 0, ES_PREFILL}};
    static const uint16_t ids[3][LAYERS] = {{0, 4, 0}, {0, 6, 0}, {0, 7, 0}};
    static const uint32_t attended[3] = {1, 0, 1};
    static const float weight[3] = {1, 1, 1};
    const es_step step = {.tokens = 3, .token = tokens, .ids = &ids[0][0], .attended = attended, .attention = weight};
    stage s;
    stage_open(&s, &es_predictor_attention, "{}", 0);
    s.view.attends = 1;
    s.event.rows = &step;
    for (uint32_t row = 0; row < 3; row++) {
        static const char *const used[] = {"4", "6", "7"};
        s.event.row = row;
        stage_gate_part(&s, 0, 1, used[row], row == 0, row == 2);
    }
    expect_guesses(&s, 1, true, "68");
    stage_close(&s);
}

static void attention_needs_whole_experts(void **state)
{
    (void)state;
    stage s;
    es_err err = {0};
    const es_view slices = {.top_k = 0, .layers = 1, .stride = 64, .words_per_layer = 1};
    es_site site = {.view = &slices, .arena = &s.arena, .path = "predictor"};
    stage_open(&s, &es_predictor_attention, "{}", 0);
    assert_int_equal(es_predictor_attention.part.init(s.self, &site, &err), ES_EINPUT);
    assert_string_equal(err.text, "attention remembers whole experts; contract.unit must not be slice");
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recency_weighs_uses_and_adds_for_the_newest),
        cmocka_unit_test(the_window_ends_and_equals_stand_as_they_are_met),
        cmocka_unit_test(history_counts_alike_and_leaves_out_small_shares),
        cmocka_unit_test(a_share_at_the_floor_is_enough),
        cmocka_unit_test(repeat_takes_the_first_few),
        cmocka_unit_test(layers_ahead_have_their_own_or_what_is_carried_or_as_coded_nothing),
        cmocka_unit_test(a_layer_in_parts_is_one_token),
        cmocka_unit_test(attention_takes_what_the_attended_tokens_used),
        cmocka_unit_test(without_a_table_attention_falls_off_with_distance),
        cmocka_unit_test(a_prompt_is_remembered_token_by_token_and_one_request_of_a_step),
        cmocka_unit_test(attention_needs_whole_experts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
