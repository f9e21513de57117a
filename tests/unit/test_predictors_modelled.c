/* Predictors that know what comes and err by a law: the laws come out, within four standard deviations of the counts at hand.
 *
 * The stage: layers of so many experts and a future made by hand, one event after another; nothing else of a run. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_randist.h>

#include "sim/part/predictor.h"

extern const es_predictor es_predictor_noisy_oracle, es_predictor_ranked;

enum { EVENTS = 12000, TOP_K = 4, EXPERTS_MAX = 128 };

typedef struct stage {
    es_arena arena;
    es_view view;
    es_future future;
    const es_predictor *predictor;
    void *self;
    uint32_t top_k;
    uint16_t list[EVENTS * TOP_K];
    uint64_t first[EVENTS + 1];
    uint32_t layer[EVENTS];
    uint8_t kind[EVENTS];
    es_guess guess[EXPERTS_MAX];
    uint64_t exists[12 * EXPERTS_MAX / 64];
} stage;

/* Event i is layer i % layers and wants top_k experts in a row, from a drawn one on. */
static es_code stage_try(stage *s, const es_predictor *predictor, uint32_t layers, uint32_t experts, uint32_t top_k, const char *options, es_err *err)
{
    es_json *json;
    memset(s, 0, sizeof *s);
    s->predictor = predictor;
    s->top_k = top_k;
    for (uint32_t i = 0; i < EVENTS; i++) {
        uint32_t from = es_draw_below(1, experts, i, 0, 0, 0);
        for (uint32_t j = 0; j < top_k; j++)
            s->list[i * top_k + j] = (uint16_t)((from + j) % experts);
        s->first[i] = i * top_k;
        s->layer[i] = i % layers;
        s->kind[i] = i % layers == 0 ? ES_COMING_STEP : 0;
    }
    s->first[EVENTS] = EVENTS * top_k;
    s->future = (es_future){.list = s->list, .first = s->first, .layer = s->layer, .kind = s->kind, .events = EVENTS};
    s->view = (es_view){.layers = layers, .spaces = layers, .experts = experts, .population = experts, .stride = EXPERTS_MAX, .slice = EXPERTS_MAX, .ids = experts, .matrices = 1, .variants = 1, .exists = s->exists, .current = s->exists, .words_per_layer = EXPERTS_MAX / 64, .words = layers * EXPERTS_MAX / 64,
        .objects = layers * EXPERTS_MAX, .future = &s->future};
    assert_true(layers <= 12);
    for (uint32_t i = 0; i < layers * EXPERTS_MAX; i++)
        s->exists[i >> 6] |= (uint64_t)(i % EXPERTS_MAX < experts) << (i & 63);
    s->self = es_arena_alloc(&s->arena, 1, predictor->part.size);
    assert_int_equal(es_json_parse(&json, options, strlen(options), err), ES_OK);
    es_code code = es_options_parse(predictor->part.options, s->self, json, NULL, &s->arena, err);
    cJSON_Delete(json);
    es_site site = {.view = &s->view, .arena = &s->arena, .path = "predictor", .seed = 1};
    return code ? code : predictor->part.init(s->self, &site, err);
}

static stage *stage_open(const es_predictor *predictor, uint32_t layers, uint32_t experts, uint32_t top_k, const char *options)
{
    es_err err = {0};
    stage *s = malloc(sizeof *s);
    if (stage_try(s, predictor, layers, experts, top_k, options, &err) != ES_OK)
        fail_msg("%s", err.text);
    return s;
}

static void stage_close(stage *s)
{
    es_arena_free(&s->arena);
    free(s);
}

/* The list for event i, asked for at its own gate: guesses of its layer, none twice. */
static uint32_t stage_ask(stage *s, uint64_t i)
{
    uint64_t seen[EXPERTS_MAX / 64] = {0};
    es_event event = {.index = i, .layer = s->layer[i]};
    es_predict_ask ask = {.point = ES_BEFORE_LOOKUP, .event = &event, .layer = s->layer[i]};
    size_t calls = s->arena.calls;
    uint32_t n = s->predictor->predict(s->self, &ask, s->guess, EXPERTS_MAX);
    assert_int_equal(s->arena.calls, calls);
    for (uint32_t g = 0; g < n; g++) {
        uint32_t index = s->guess[g].object - s->layer[i] * EXPERTS_MAX;
        assert_true(index < s->view.experts);
        assert_false(es_mask_has(seen, index));
        seen[index >> 6] |= 1ull << (index & 63);
    }
    return n;
}

/* Where the j-th wanted of event i stands in the last list; -1: nowhere. */
static int stage_place(const stage *s, uint32_t n, uint64_t i, uint32_t j)
{
    for (uint32_t g = 0; g < n; g++)
        if (s->guess[g].object == s->layer[i] * EXPERTS_MAX + s->list[i * s->top_k + j])
            return (int)g;
    return -1;
}

static void expect_share(uint64_t count, uint64_t of, double share)
{
    double seen = (double)count / (double)of, bound = 4.0 * sqrt(share * (1.0 - share) / (double)of);
    if (fabs(seen - share) > bound)
        fail_msg("%g of %llu, expected %g +- %g", seen, (unsigned long long)of, share, bound);
}

static void expect_falling(const stage *s, uint32_t n)
{
    for (uint32_t g = 1; g < n; g++)
        assert_true(s->guess[g].confidence <= s->guess[g - 1].confidence);
}

/* ---- both ---- */

/* The point decides when they are asked, not what they say: of one event the same, from its own gate, from the one before, from
 * the end of a step. */
static void the_same_is_said_at_every_point(void **state)
{
    (void)state;
    static const struct { const char *options; es_point point; } points[] = {{"{\"point\": \"before_lookup\"}", ES_BEFORE_LOOKUP},
        {"{}", ES_AFTER_GATE}, {"{\"point\": \"step_end\"}", ES_STEP_END}};
    const es_predictor *both[] = {&es_predictor_noisy_oracle, &es_predictor_ranked};
    for (int b = 0; b < 2; b++) {
        es_guess said[EXPERTS_MAX];
        uint32_t first = 0;
        for (int p = 0; p < 3; p++) {
            stage *s = stage_open(both[b], 2, 64, TOP_K, points[p].options);
            assert_int_equal(both[b]->asked(s->self), 1u << points[p].point);
            bool own = points[p].point == ES_BEFORE_LOOKUP;     /* event 8 is layer 0 of its step, event 7 the layer before */
            es_event event = {.index = own ? 8 : 7, .layer = own ? 0 : 1};
            es_predict_ask ask = {.point = points[p].point, .event = &event, .layer = 0, .next_step = !own};
            uint32_t n = both[b]->predict(s->self, &ask, s->guess, EXPERTS_MAX);
            assert_int_not_equal(n, 0);
            if (p == 0) {
                memcpy(said, s->guess, sizeof said);
                first = n;
            }
            assert_int_equal(n, first);
            for (uint32_t g = 0; g < n; g++)
                assert_true(s->guess[g].object == said[g].object && s->guess[g].confidence == said[g].confidence);
            stage_close(s);
        }
    }
}

/* ---- ranked ---- */

static void an_unrelated_list_is_right_by_chance_only(void **state)
{
    (void)state;
    stage *s = stage_open(&es_predictor_ranked, 1, 60, TOP_K, "{}");
    uint64_t head = 0, twenty = 0, sure = 0;
    for (uint64_t i = 0; i < EVENTS; i++) {
        uint32_t n = stage_ask(s, i);
        assert_int_equal(n, 60);
        expect_falling(s, n);
        bool said = false;
        for (uint32_t g = 0; g < n; g++)
            said |= s->guess[g].confidence == 0.85f;
        sure += said;
        int place = stage_place(s, n, i, 0);
        head += place == 0;
        twenty += place < 20;
    }
    expect_share(head, EVENTS, 1.0 / 60);
    expect_share(twenty, EVENTS, 20.0 / 60);
    expect_share(sure, EVENTS, 0.4755);
    stage_close(s);
}

/* Mean of max(floor, normal). */
static double above(double floor, double mean, double sd)
{
    double z = (mean - floor) / sd;
    return floor + sd * gsl_ran_ugaussian_pdf(z) + (mean - floor) * gsl_cdf_ugaussian_P(z);
}

static void confidence_falls_with_rank_as_it_is_told_to(void **state)
{
    (void)state;
    double sum[2], seen[2] = {0, 0};
    for (int unsure = 0; unsure < 2; unsure++) {
        double first = unsure ? 0.45 : 0.85;
        sum[unsure] = first;
        for (int r = 1; r < 60; r++)
            sum[unsure] += r < 4 ? above(0.1, first - 0.15 * r, 0.05) : r < 20 ? above(0.05, 0.6 - 0.02 * r, 0.02) : above(0.01, 0.2 - 0.005 * r, 0.01);
        stage *s = stage_open(&es_predictor_ranked, 1, 60, TOP_K, unsure ? "{\"accuracy\": 0}" : "{\"accuracy\": 1}");
        for (uint64_t i = 0; i < 4000; i++) {
            uint32_t n = stage_ask(s, i);
            for (uint32_t g = 0; g < n; g++)
                seen[unsure] += (double)s->guess[g].confidence / 4000;
            if (!unsure && s->guess[0].confidence != 0.85f)     /* the second may be above it: 3 standard deviations */
                assert_true(s->guess[1].confidence == 0.85f || s->guess[2].confidence == 0.85f);
        }
        stage_close(s);
        /* The noise of a sum is sqrt(3 * .05^2 + 16 * .02^2 + 40 * .01^2) = .13 or less. */
        assert_true(fabs(seen[unsure] - sum[unsure]) < 4.0 * 0.13 / sqrt(4000.0));
    }
}

static void a_calibrated_list_meets_what_was_measured(void **state)
{
    (void)state;
    static const struct { int ranks; double first, all; } law[] = {
        {1, .4755, -1}, {5, .7385, .179}, {10, .8743, .307}, {15, .9387, .347}, {20, .9702, .390}, {30, -1, .506},
    };
    uint64_t first[6] = {0}, all[6] = {0};
    stage *s = stage_open(&es_predictor_ranked, 1, 60, TOP_K, "{\"placement\": \"calibrated\"}");
    for (uint64_t i = 0; i < EVENTS; i++) {
        uint32_t n = stage_ask(s, i);
        int worst = 0;
        expect_falling(s, n);
        for (uint32_t j = 0; j < TOP_K; j++)
            worst = stage_place(s, n, i, j) > worst ? stage_place(s, n, i, j) : worst;
        for (int l = 0; l < 6; l++) {
            first[l] += stage_place(s, n, i, 0) < law[l].ranks;
            all[l] += worst < law[l].ranks;
        }
    }
    for (int l = 0; l < 6; l++) {
        if (law[l].first > 0)
            expect_share(first[l], EVENTS, law[l].first);
        if (law[l].all > 0)
            expect_share(all[l], EVENTS, law[l].all);
    }
    stage_close(s);
}

static void a_list_is_the_same_whenever_it_is_asked_for(void **state)
{
    (void)state;
    stage *s = stage_open(&es_predictor_ranked, 3, 60, TOP_K, "{\"placement\": \"calibrated\", \"length\": 7}");
    for (uint64_t i = 3; i < 300; i++) {
        assert_int_equal(stage_ask(s, i), 7);
        es_guess near[7], far[7];
        memcpy(near, s->guess, sizeof near);
        es_event event = {.index = i - 2, .layer = s->layer[i - 2]};
        es_predict_ask ask = {.point = ES_AFTER_GATE, .event = &event, .layer = s->layer[i], .next_step = s->layer[i - 2] + 2 >= 3};
        assert_int_equal(s->predictor->predict(s->self, &ask, far, 7), 7);
        for (int g = 0; g < 7; g++)
            assert_true(near[g].object == far[g].object && near[g].confidence == far[g].confidence);
    }
    stage_close(s);
}

static void a_law_that_is_none_is_refused(void **state)
{
    static const struct { const char *options, *fault; } bad[] = {
        {"{\"accuracy\": 1.2}", "accuracy"},
        {"{\"unsure\": 0.9}", "unsure: 0.9 is above sure, 0.85"},
        {"{\"middle_ranks\": 3}", "middle_ranks: 3 is below near_ranks, 4"},
        {"{\"placement\": \"calibrated\", \"first_ranks\": [1, 60]}", "first_shares: 0 numbers for 2 ranks; each rank needs one"},
        {"{\"placement\": \"calibrated\", \"first_ranks\": [5, 1], \"first_shares\": [0.5, 1]}", "first_ranks: 1 is no rank here; they are whole, from 1 on and ascending"},
        {"{\"placement\": \"calibrated\", \"other_ranks\": [1, 60], \"other_shares\": [0.5, 0.4]}", "other_shares: 0.4 is no share up to a rank; they lie within 0 and 1 and do not fall"},
        {"{\"placement\": \"calibrated\", \"other_ranks\": [1, 60], \"other_shares\": [0.5, 0.9]}", "other_shares: end at 0.9, not at 1, so they are no distribution"},
        {"{\"placement\": \"calibrated\", \"other_ranks\": [1, 61], \"other_shares\": [0.5, 1]}", "other_ranks: rank 61 is beyond the 60 experts of a layer"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        es_err err = {0};
        stage *s = malloc(sizeof *s);
        assert_int_equal(stage_try(s, &es_predictor_ranked, 1, 60, TOP_K, bad[i].options, &err), ES_EINPUT);
        if (!strstr(err.text, bad[i].fault))
            fail_msg("is: %s\n  want: %s", err.text, bad[i].fault);
        stage_close(s);
    }
}

/* ---- noisy_oracle, blind ---- */

/* A model whose first guess is right in 33.86 % of cases among ten that are named. */
static void a_blind_one_is_right_by_chance_as_well(void **state)
{
    (void)state;
    stage *s = stage_open(&es_predictor_noisy_oracle, 1, 128, 1, "{\"accuracy\": 0.3386, \"extra\": 9, \"blind\": true, \"confidence_right\": 0.75, "
        "\"confidence_spread\": 0.15, \"confidence_wrong\": 0.4, \"confidence_spread_wrong\": 0.3}");
    uint64_t head = 0, member = 0, surer = 0;
    for (uint64_t i = 0; i < EVENTS; i++) {
        uint32_t n = stage_ask(s, i);
        assert_int_equal(n, 10);
        int place = stage_place(s, n, i, 0);
        head += place == 0;
        member += place >= 0;
        surer += s->guess[0].confidence > 0.7f;
        for (uint32_t g = 0; g < n; g++)
            assert_true(s->guess[g].confidence >= 0.0999f && s->guess[g].confidence <= (g == 0 ? 0.9001f : 0.7001f));
    }
    expect_share(head, EVENTS, 0.3386 + 0.6614 / 128);
    expect_share(member, EVENTS, 0.3386 + 0.6614 * 10 / 128);
    expect_share(surer, EVENTS, 0.3386 * 2 / 3);        /* .7 to .9 of .6 to .9 */
    stage_close(s);
}

static void one_that_is_not_blind_is_never_right_by_chance(void **state)
{
    (void)state;
    stage *s = stage_open(&es_predictor_noisy_oracle, 1, 128, 1, "{\"accuracy\": 0.3386, \"extra\": 9}");
    uint64_t member = 0;
    for (uint64_t i = 0; i < EVENTS; i++)
        member += stage_place(s, stage_ask(s, i), i, 0) >= 0;
    expect_share(member, EVENTS, 0.3386);
    stage_close(s);
}

static void a_lucky_head_is_as_sure_as_a_known_one(void **state)
{
    (void)state;
    for (int lucky = 0; lucky < 2; lucky++) {
        char options[256];
        uint64_t heads = 0, unsure = 0;
        snprintf(options, sizeof options, "{\"accuracy\": 0, \"extra\": 4, \"blind\": true, \"confidence_right\": 0.75, \"confidence_spread\": 0.15, "
            "\"confidence_wrong\": 0.5, \"confidence_spread_wrong\": 0.4, \"lucky\": %s}", lucky ? "true" : "false");
        stage *s = stage_open(&es_predictor_noisy_oracle, 1, 8, 1, options);
        for (uint64_t i = 0; i < EVENTS; i++)
            if (stage_place(s, stage_ask(s, i), i, 0) == 0) {
                heads++;
                unsure += s->guess[0].confidence < 0.6f;
            }
        expect_share(heads, EVENTS, 1.0 / 8);
        if (lucky)
            assert_int_equal(unsure, 0);
        else
            expect_share(unsure, heads, 0.5 / 0.8);
        stage_close(s);
    }
}

static void blind_names_none_twice_where_several_are_wanted(void **state)
{
    (void)state;
    stage *s = stage_open(&es_predictor_noisy_oracle, 1, 6, TOP_K, "{\"accuracy\": 0.5, \"extra\": 9, \"blind\": true}");
    for (uint64_t i = 0; i < 2000; i++)
        assert_int_equal(stage_ask(s, i), 6);           /* and stage_ask sees to it that none comes twice */
    stage_close(s);
}

static void confidences_are_normalised_and_sorted_when_asked_for(void **state)
{
    (void)state;
    stage *s = stage_open(&es_predictor_noisy_oracle, 1, 128, 1, "{\"accuracy\": 0.5, \"extra\": 9, \"normalise\": true, \"sorted\": true, \"confidence_spread_wrong\": 0.4}");
    bool moved = false;
    for (uint64_t i = 0; i < 1000; i++) {
        double sum = 0.0;
        uint32_t n = stage_ask(s, i);
        for (uint32_t g = 0; g < n; g++)
            sum += (double)s->guess[g].confidence;
        assert_true(fabs(sum - 1.0) < 1e-6);
        expect_falling(s, n);
        moved |= stage_place(s, n, i, 0) > 0;
    }
    assert_true(moved);
    stage_close(s);
}

static void layers_without_enough_context_are_not_predicted(void **state)
{
    (void)state;
    stage *s = stage_open(&es_predictor_noisy_oracle, 12, 128, 1, "{\"accuracy\": 1, \"context\": 3}");
    for (uint64_t i = 0; i < 48; i++)
        assert_int_equal(stage_ask(s, i), i % 12 < 3 ? 0 : 1);
    stage_close(s);
}

static void before_the_lookup_the_distance_is_none(void **state)
{
    (void)state;
    stage *s = stage_open(&es_predictor_noisy_oracle, 3, 128, 1, "{\"recall\": [1, 0]}");
    for (uint64_t i = 0; i < 30; i++)
        assert_int_equal(stage_place(s, stage_ask(s, i), i, 0), 0);
    stage_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_is_said_at_every_point),
        cmocka_unit_test(an_unrelated_list_is_right_by_chance_only),
        cmocka_unit_test(confidence_falls_with_rank_as_it_is_told_to),
        cmocka_unit_test(a_calibrated_list_meets_what_was_measured),
        cmocka_unit_test(a_list_is_the_same_whenever_it_is_asked_for),
        cmocka_unit_test(a_law_that_is_none_is_refused),
        cmocka_unit_test(a_blind_one_is_right_by_chance_as_well),
        cmocka_unit_test(one_that_is_not_blind_is_never_right_by_chance),
        cmocka_unit_test(a_lucky_head_is_as_sure_as_a_known_one),
        cmocka_unit_test(blind_names_none_twice_where_several_are_wanted),
        cmocka_unit_test(confidences_are_normalised_and_sorted_when_asked_for),
        cmocka_unit_test(layers_without_enough_context_are_not_predicted),
        cmocka_unit_test(before_the_lookup_the_distance_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
