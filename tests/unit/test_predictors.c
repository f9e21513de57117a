/* Predictors, and the dispatchers that serve what nobody foresaw: events made by hand go in, guesses and verdicts come out.
 *
 * Their stage is that of tests/support/predict_stage.h. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/part/dispatcher.h"
#include "sim/part/router.h"
#include "tests/support/predict_stage.h"

extern const es_predictor es_predictor_none, es_predictor_previous_token, es_predictor_recorded, es_predictor_noisy_oracle, es_predictor_shift_transition;
extern const es_dispatcher es_dispatcher_fetch, es_dispatcher_host_compute;
extern const es_router es_router_trace;

static void what_does_nothing_says_so_by_an_unset_function(void **state)
{
    (void)state;
    assert_null(es_predictor_none.predict);
    assert_null(es_dispatcher_fetch.serve);
    assert_null(es_router_trace.route);
}

/* ---- previous_token ---- */

static void previous_token_repeats_the_layers_last_union_in_order(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_predictor_previous_token, "{}", 0);
    stage_gate(&s, 0, 0, "3 1");
    expect_guesses(&s, 1, false, "");           /* never seen */
    stage_gate(&s, 0, 1, "5 2 7");
    stage_gate(&s, 1, 0, "4");
    expect_guesses(&s, 1, false, "69 66 71");
    expect_guesses(&s, 0, true, "4");
    expect_most(&s, ES_AFTER_GATE, 1, false, 2, "69 66");
    stage_close(&s);
}

static void previous_token_merges_the_parts_of_a_layer(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_predictor_previous_token, "{}", 0);
    stage_gate(&s, 0, 1, "0");
    stage_gate_part(&s, 1, 1, "5", true, false);
    stage_gate_part(&s, 1, 1, "2 5", false, false);
    stage_gate_part(&s, 1, 1, "7", false, true);
    expect_guesses(&s, 1, true, "69 66 71");
    stage_gate_part(&s, 2, 1, "7", true, false);
    stage_gate_part(&s, 2, 1, "3", false, true);
    expect_guesses(&s, 1, true, "71 67");
    stage_close(&s);
}

/* ---- recorded ---- */

enum { NO = ES_NO_EXPERT };

static void recorded_names_what_the_trace_foresaw(void **state)
{
    (void)state;
    static const uint16_t guess[2][LAYERS][3] = {{{0, 1, 2}, {3, 4, NO}, {5, NO, NO}}, {{6, 7, 0}, {4, 5, 1}, {NO, NO, NO}}};
    static const float sure[2][LAYERS][3] = {{{0, 0, 0}, {.9f, .8f, 0}, {.5f, 0, 0}}, {{0, 0, 0}, {.7f, .6f, .1f}, {0, 0, 0}}};
    es_step step = {.tokens = 2, .guess = &guess[0][0][0], .guess_confidence = &sure[0][0][0]};
    stage s;
    es_guess out[8];
    stage_open(&s, &es_predictor_recorded, "{}", 0);
    s.event.rows = &step;
    stage_gate(&s, 0, 0, "0");
    s.event.tokens = 2;
    expect_guesses(&s, 1, false, "67 68 69 65");
    expect_most(&s, ES_AFTER_GATE, 1, false, 3, "67 68 69");
    expect_guesses(&s, 2, false, "133");
    expect_guesses(&s, 0, true, "");            /* rows of the next step are not known */
    assert_int_equal(stage_ask(&s, ES_AFTER_GATE, 1, false, out, 8), 4);
    assert_true(fabsf(out[1].confidence - .8f) < 1e-6f);     /* named by both tokens: the first one's */
    assert_true(fabsf(out[2].confidence - .6f) < 1e-6f);
    stage_close(&s);
}

static void recorded_reads_all_rows_of_a_layer_in_parts(void **state)
{
    (void)state;
    static const uint16_t guess[2][LAYERS][3] = {{{0, NO, NO}, {3, NO, NO}, {5, NO, NO}}, {{6, NO, NO}, {4, NO, NO}, {1, NO, NO}}};
    es_step step = {.tokens = 2, .guess = &guess[0][0][0]};
    stage s;
    stage_open(&s, &es_predictor_recorded, "{}", 0);
    s.event.rows = &step;
    stage_gate_part(&s, 0, 0, "0", true, false);
    s.event.row = 1;
    stage_gate_part(&s, 0, 0, "6", false, true);
    expect_guesses(&s, 1, false, "67 68");
    stage_close(&s);
}

static void recorded_may_take_the_first_ranks_only(void **state)
{
    (void)state;
    static const uint16_t guess[1][LAYERS][3] = {{{0, 1, 2}, {3, 4, 5}, {5, NO, NO}}};
    es_step step = {.tokens = 1, .guess = &guess[0][0][0]};
    stage s;
    stage_open(&s, &es_predictor_recorded, "{\"first\": 2}", 0);
    s.event.rows = &step;
    stage_gate(&s, 0, 0, "0");
    expect_guesses(&s, 1, false, "67 68");
    step.guess = NULL;
    expect_guesses(&s, 1, false, "");
    stage_close(&s);
}

/* ---- noisy_oracle ---- */

/* Two steps of three layers; the second has no layer 1. */
static const uint16_t coming[] = {0, 1, 2, 3, 4, 5, 6, 7, 0, 1};
static const uint64_t coming_first[] = {0, 2, 4, 6, 8, 10};
static const uint32_t coming_layer[] = {0, 1, 2, 0, 2};
static const uint8_t coming_kind[] = {ES_COMING_STEP, 0, 0, ES_COMING_STEP, 0};

static void oracle_open(stage *s, const char *options, uint64_t seed)
{
    stage_open(s, &es_predictor_noisy_oracle, options, seed);
    s->future = (es_future){.list = coming, .first = coming_first, .layer = coming_layer, .kind = coming_kind, .events = 5, .positions = 10};
}

static void a_perfect_oracle_names_what_comes_and_knows_where(void **state)
{
    (void)state;
    stage s;
    oracle_open(&s, "{\"accuracy\": 1}", 0);
    stage_gate(&s, 0, 0, "0 1");
    expect_guesses(&s, 1, false, "66 67");
    expect_guesses(&s, 2, false, "132 133");
    expect_guesses(&s, 0, true, "6 7");
    expect_guesses(&s, 1, true, "");            /* the next step has no such layer */
    expect_most(&s, ES_AFTER_GATE, 2, false, 1, "132");
    s.event.index = 2;
    stage_gate(&s, 0, 2, "4 5");
    expect_guesses(&s, 0, true, "6 7");
    expect_guesses(&s, 2, true, "128 129");
    s.event.index = 3;
    stage_gate(&s, 1, 0, "6 7");
    expect_guesses(&s, 1, false, "");
    expect_guesses(&s, 2, false, "128 129");
    expect_guesses(&s, 0, true, "");            /* the trace ends */
    stage_close(&s);
}

static void an_oracle_of_no_accuracy_names_only_wrong_ones(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        stage s;
        es_guess out[64];
        uint64_t named = 0;
        oracle_open(&s, "{\"accuracy\": 0, \"extra\": 3}", seed);
        stage_gate(&s, 0, 0, "0 1");
        assert_int_equal(stage_ask(&s, ES_AFTER_GATE, 1, false, out, 64), 5);
        for (uint32_t i = 0; i < 5; i++) {
            assert_in_range(out[i].object, 64, 64 + EXPERTS - 1);
            named |= 1ull << (out[i].object - 64);
        }
        assert_int_equal(__builtin_popcountll(named), 5);
        assert_int_equal(named & (1u << 2 | 1u << 3), 0);
        stage_close(&s);
    }
}

static void wrong_ones_end_when_all_are_named(void **state)
{
    (void)state;
    stage s;
    es_guess out[64];
    oracle_open(&s, "{\"accuracy\": 1, \"extra\": 50}", 1);
    stage_gate(&s, 0, 0, "0 1");
    assert_int_equal(stage_ask(&s, ES_AFTER_GATE, 1, false, out, 64), EXPERTS);
    stage_close(&s);
}

static uint32_t right_ones(const char *options, uint32_t layer, uint64_t seeds, double *mean, double *least, double *most)
{
    uint32_t right = 0;
    *mean = 0.0;
    *least = 1.0;
    *most = 0.0;
    for (uint64_t seed = 0; seed < seeds; seed++) {
        stage s;
        es_guess out[64];
        oracle_open(&s, options, seed);
        stage_gate(&s, 0, 0, "0 1");
        uint32_t n = stage_ask(&s, ES_AFTER_GATE, layer, false, out, 64);
        for (uint32_t i = 0; i < n; i++) {
            uint32_t index = out[i].object % STRIDE;
            double c = (double)out[i].confidence;
            if (index / 2 != layer)
                continue;
            right++;
            *mean += c;
            *least = c < *least ? c : *least;
            *most = c > *most ? c : *most;
        }
        stage_close(&s);
    }
    *mean /= right;
    return right;
}

static void recall_falls_with_the_distance_as_it_is_told_to(void **state)
{
    (void)state;
    double mean, least, most;
    const char *options = "{\"accuracy\": 0.1, \"recall\": [0.9, 0.5]}";
    uint32_t near = right_ones(options, 1, 2000, &mean, &least, &most), far = right_ones(options, 2, 2000, &mean, &least, &most);
    assert_in_range(near, 3600 - 80, 3600 + 80);    /* of 4000; 4 standard deviations */
    assert_in_range(far, 2000 - 130, 2000 + 130);
}

static void what_is_named_from_afar_is_named_again_nearer(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 200; seed++) {
        stage s;
        es_guess out[64];
        uint64_t far = 0, near = 0;
        oracle_open(&s, "{\"recall\": [0.9, 0.5]}", seed);
        stage_gate(&s, 0, 0, "0 1");
        for (uint32_t n = stage_ask(&s, ES_AFTER_GATE, 2, false, out, 64); n-- > 0;)
            far |= 1ull << (out[n].object - 128);
        s.event.index = 1;
        stage_gate(&s, 0, 1, "2 3");
        for (uint32_t n = stage_ask(&s, ES_AFTER_GATE, 2, false, out, 64); n-- > 0;)
            near |= 1ull << (out[n].object - 128);
        assert_int_equal(far & (1u << 4 | 1u << 5) & ~near, 0);
        stage_close(&s);
    }
}

static void confidence_lies_about_its_mean(void **state)
{
    (void)state;
    double mean, least, most;
    right_ones("{\"accuracy\": 1, \"confidence_right\": 0.7, \"confidence_spread\": 0.1}", 1, 1000, &mean, &least, &most);
    assert_true(fabs(mean - 0.7) < 0.01);
    assert_true(least >= 0.5999 && most <= 0.8001 && most - least > 0.19);
}

static void a_recall_that_is_no_chance_is_refused(void **state)
{
    (void)state;
    stage s = {0};
    es_err err = {0};
    assert_int_equal(stage_try(&s, &es_predictor_noisy_oracle, "{\"recall\": [0.9, 1.5]}", 0, &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "recall"));
    assert_non_null(strstr(err.text, "1.5"));
    stage_close(&s);
}

/* ---- shift_transition ---- */

static void stage_token(stage *s, uint64_t step, const char *low, const char *middle, const char *high)
{
    stage_gate(s, step, 0, low);
    stage_gate(s, step, 1, middle);
    stage_gate(s, step, 2, high);
}

static void shift_transition_names_what_followed_often_enough(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_predictor_shift_transition, "{\"sets\": 64}", 0);
    stage_token(&s, 0, "0", "1", "2");
    stage_token(&s, 1, "3", "4", "5");
    stage_token(&s, 2, "0", "1", "2");
    expect_most(&s, ES_STEP_END, 0, true, 64, "");      /* 3 followed 0 once */
    stage_token(&s, 3, "3", "4", "5");
    stage_token(&s, 4, "0", "1", "2");
    expect_most(&s, ES_STEP_END, 0, true, 64, "3 68");  /* twice; two at most, lowest id first */
    stage_token(&s, 5, "3", "4", "5");
    stage_token(&s, 6, "0", "1", "2");
    s.mask[0][0] = 1u << 3;
    expect_most(&s, ES_STEP_END, 0, true, 64, "68 133"); /* 3 is resident */
    expect_most(&s, ES_STEP_END, 0, true, 1, "68");
    stage_close(&s);
}

static void shift_transition_names_the_most_often_seen_first(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_predictor_shift_transition, "{\"sets\": 64, \"most\": 3}", 0);
    for (uint64_t t = 0; t < 8; t += 2) {
        stage_token(&s, t, "0", "1", "2");
        stage_token(&s, t + 1, t < 4 ? "6" : "7", "4", "5");
    }
    stage_token(&s, 8, "0", "1", "2");
    expect_most(&s, ES_STEP_END, 0, true, 64, "68 133 6");     /* 4, 4, 2; 7 comes behind 6 */
    stage_close(&s);
}

static void shift_transition_answers_after_the_last_gate_only_for_what_is_not_being_served(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_predictor_shift_transition, "{\"sets\": 64, \"most\": 8}", 0);
    for (uint64_t t = 0; t < 4; t++)
        stage_token(&s, t, "0", "1", "2");
    expect_guesses(&s, 0, true, "0 65");                /* 2 of the last layer is being fetched */
    expect_guesses(&s, 1, true, "");                    /* asked once per token */
    stage_gate(&s, 4, 0, "0");
    expect_guesses(&s, 1, false, "");
    stage_close(&s);
}

static void shift_transition_learns_no_more_sets_than_it_has_room_for(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_predictor_shift_transition, "{\"sets\": 3, \"most\": 8}", 0);
    for (uint64_t t = 0; t < 8; t += 2) {
        stage_token(&s, t, "0", "1", "2");
        stage_token(&s, t + 1, "3", "4", "5");
    }
    expect_most(&s, ES_STEP_END, 0, true, 64, "");
    stage_token(&s, 8, "0", "1", "2");
    expect_most(&s, ES_STEP_END, 0, true, 64, "3 68 133");
    stage_close(&s);
}

/* ---- host_compute ---- */

static void expect_served(const char *options, uint32_t count, const es_time *fetch, const es_time *cpu, const es_time *gpu, es_time link_free,
    es_time cpu_free, const char *expected)
{
    const es_dispatcher *d = &es_dispatcher_host_compute;
    es_arena arena = {0};
    es_err err = {0};
    es_json *json;
    es_verdict verdict[8] = {ES_FETCH};
    uint16_t missing[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    char text[16] = "";
    void *self = es_arena_alloc(&arena, 1, d->part.size);
    assert_int_equal(es_json_parse(&json, options, strlen(options), &err), ES_OK);
    if (es_options_parse(d->part.options, self, json, NULL, &arena, &err) != ES_OK)
        fail_msg("%s", err.text);
    cJSON_Delete(json);
    d->serve(self, &(es_serve_ask){.missing = missing, .count = count, .fetch_ns = fetch, .cpu_ns = cpu, .gpu_ns = gpu, .link_free = link_free,
        .cpu_free = cpu_free}, verdict);
    for (uint32_t i = 0; i < count; i++)
        text[i] = verdict[i] == ES_HOST_COMPUTE ? 'h' : 'f';
    assert_string_equal(text, expected);
    es_arena_free(&arena);
}

static void host_compute_takes_all_or_the_first_n(void **state)
{
    (void)state;
    const es_time t[4] = {1, 1, 1, 1};
    expect_served("{\"rule\": \"always\"}", 4, t, t, t, 0, 0, "hhhh");
    expect_served("{\"rule\": \"n\", \"count\": 2}", 4, t, t, t, 0, 0, "hhff");
    expect_served("{\"rule\": \"n\", \"count\": 0}", 4, t, t, t, 0, 0, "ffff");
    expect_served("{\"rule\": \"n\", \"count\": 9}", 4, t, t, t, 0, 0, "hhhh");
}

static void host_compute_sends_each_where_it_is_finished_first(void **state)
{
    (void)state;
    const es_time fetch[4] = {100, 100, 100, 100}, gpu[4] = {10, 10, 10, 10}, cpu[4] = {90, 90, 90, 90};
    /* host 90 < 110; host 180 > 110; host 180 < 210; host 270 > 210 */
    expect_served("{\"rule\": \"cheaper\"}", 4, fetch, cpu, gpu, 1000, 1000, "hfhf");
    expect_served("{\"rule\": \"cheaper\"}", 4, fetch, cpu, gpu, 1000, 2000, "ffff");
    expect_served("{\"rule\": \"cheaper\"}", 4, fetch, cpu, gpu, 2000, 1000, "hhhh");
    const es_time long_gpu[2] = {500, 500}, slow[2] = {700, 700};
    /* the gpu is the bottleneck: 600, then 1100 against 700 */
    expect_served("{\"rule\": \"cheaper\"}", 2, fetch, slow, long_gpu, 0, 0, "fh");
}

static void host_compute_fetches_when_nothing_is_gained(void **state)
{
    (void)state;
    const es_time zero[3] = {0, 0, 0}, one[3] = {1, 1, 1}, never[3] = {ES_NEVER, ES_NEVER, ES_NEVER};
    expect_served("{\"rule\": \"cheaper\"}", 3, zero, zero, zero, 0, 0, "fff");             /* clock none */
    expect_served("{\"rule\": \"cheaper\"}", 3, one, never, one, 5, 5, "fff");              /* no cpu */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_does_nothing_says_so_by_an_unset_function),
        cmocka_unit_test(previous_token_repeats_the_layers_last_union_in_order),
        cmocka_unit_test(previous_token_merges_the_parts_of_a_layer),
        cmocka_unit_test(recorded_names_what_the_trace_foresaw),
        cmocka_unit_test(recorded_reads_all_rows_of_a_layer_in_parts),
        cmocka_unit_test(recorded_may_take_the_first_ranks_only),
        cmocka_unit_test(a_perfect_oracle_names_what_comes_and_knows_where),
        cmocka_unit_test(an_oracle_of_no_accuracy_names_only_wrong_ones),
        cmocka_unit_test(wrong_ones_end_when_all_are_named),
        cmocka_unit_test(recall_falls_with_the_distance_as_it_is_told_to),
        cmocka_unit_test(what_is_named_from_afar_is_named_again_nearer),
        cmocka_unit_test(confidence_lies_about_its_mean),
        cmocka_unit_test(a_recall_that_is_no_chance_is_refused),
        cmocka_unit_test(shift_transition_names_what_followed_often_enough),
        cmocka_unit_test(shift_transition_names_the_most_often_seen_first),
        cmocka_unit_test(shift_transition_answers_after_the_last_gate_only_for_what_is_not_being_served),
        cmocka_unit_test(shift_transition_learns_no_more_sets_than_it_has_room_for),
        cmocka_unit_test(host_compute_takes_all_or_the_first_n),
        cmocka_unit_test(host_compute_sends_each_where_it_is_finished_first),
        cmocka_unit_test(host_compute_fetches_when_nothing_is_gained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
