/* Predictions: in a run of the quickstart trace `transition` and `learned` say what models/predictors/reference.py says, case by case:
 * the same experts in the same order, and the same confidence. predictions.json is written by models/predictors/train.py.
 *
 * A witness stands in the predictor's place, passes everything on to it and keeps what it answers. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/base/file.h"
#include "sim/core/run.h"
#include "sim/part/predictor.h"
#include "sim/part/registry.h"
#include "sim/study/config.h"

enum { NAMED = 6 };

typedef struct named {          /* a case of the file */
    const char *predictor;
    uint64_t step;
    uint32_t layer, ahead;
    uint32_t expert[NAMED];
    double sure[NAMED];
    uint32_t answers;
} named;

typedef struct expected {
    es_json *json;
    named *at;
    size_t count;
} expected;

typedef struct witness {        /* the state of the predictor behind it follows */
    const es_predictor *real;
    const char *options;
    expected *expected;
    const es_view *view;
    void *self;
} witness;

static es_code witness_init(void *self, const es_site *site, es_err *err)
{
    witness *w = self;
    es_json *options = NULL;
    w->view = site->view;
    w->self = es_arena_alloc(site->arena, 1, w->real->part.size);
    assert_non_null(w->self);
    es_code code = es_json_parse(&options, w->options, strlen(w->options), err);
    if (code == ES_OK)
        code = es_options_parse(w->real->part.options, w->self, options, NULL, site->arena, err);
    cJSON_Delete(options);
    return code ? code : w->real->part.init(w->self, site, err);
}

static void witness_notify(void *self, const es_fact *fact)
{
    witness *w = self;
    w->real->part.notify(w->self, fact);
}

static void witness_compare(const witness *w, named *want, const es_guess *guess, uint32_t count)
{
    assert_int_equal(count, NAMED);
    want->answers++;
    for (uint32_t i = 0; i < NAMED; i++)
        if (guess[i].object % w->view->stride != want->expert[i] || fabs((double)guess[i].confidence - want->sure[i]) > 2e-6)
            fail_msg("%s, step %u, layer %u, %u ahead, place %u: expert %u at %.6f, wanted %u at %.6f", want->predictor, (unsigned)want->step, want->layer,
                want->ahead, i, guess[i].object % w->view->stride, (double)guess[i].confidence, want->expert[i], want->sure[i]);
}

static uint32_t witness_predict(void *self, const es_predict_ask *ask, es_guess *out, uint32_t most)
{
    witness *w = self;
    uint32_t count = w->real->predict(w->self, ask, out, most);
    uint32_t ahead = ask->layer + (ask->next_step ? w->view->layers : 0) - ask->event->layer;
    for (size_t i = 0; i < w->expected->count; i++) {
        named *want = &w->expected->at[i];
        if (want->step == ask->event->step + ask->next_step && want->layer == ask->layer && want->ahead == ahead && strcmp(want->predictor, w->real->part.name) == 0)
            witness_compare(w, want, out, count);
    }
    return count;
}

static const es_predictor witness_table = {
    .part = {.abi = ES_ABI, .name = "witness", .brief = "Compares what a predictor says.", .size = sizeof(witness), .init = witness_init,
        .notify = witness_notify, .hears = ES_HEARS(ES_FACT_USE)},
    .predict = witness_predict,
};

static void expected_read(expected *all, const char *path)
{
    char *text;
    size_t size;
    es_err err = {0};
    if (es_file_load(path, 1 << 20, &text, &size, &err) || es_json_parse(&all->json, text, size, &err))
        fail_msg("%s", err.text);
    free(text);
    all->count = 0;
    all->at = calloc((size_t)cJSON_GetArraySize(all->json), sizeof *all->at);
    assert_non_null(all->at);
    const es_json *row;
    cJSON_ArrayForEach(row, all->json) {
        named *want = &all->at[all->count++];
        want->predictor = cJSON_GetObjectItem(row, "predictor")->valuestring;
        want->step = (uint64_t)cJSON_GetObjectItem(row, "step")->valuedouble;
        want->layer = (uint32_t)cJSON_GetObjectItem(row, "layer")->valueint;
        want->ahead = (uint32_t)cJSON_GetObjectItem(row, "ahead")->valueint;
        for (int i = 0; i < NAMED; i++) {
            want->expert[i] = (uint32_t)cJSON_GetArrayItem(cJSON_GetObjectItem(row, "experts"), i)->valueint;
            want->sure[i] = cJSON_GetArrayItem(cJSON_GetObjectItem(row, "confidence"), i)->valuedouble;
        }
    }
}

static void run_with(const witness *state)
{
    const char *const sets[] = {"bounds=false", "compute.lookahead=3", "clock=none", "observers=[]"};
    es_err err = {0};
    es_config *config = NULL;
    const es_plan *plan = NULL;
    es_run *run = NULL;
    if (es_config_load(&config, ES_SOURCE_ROOT "/configs/quickstart.json", sets, sizeof sets / sizeof *sets, &err) || es_config_plan(config, &plan, &err))
        fail_msg("%s", err.text);
    es_plan mine = *plan;
    mine.predictor = (es_plan_part){.part = &witness_table.part, .state = state, .path = "predictor"};
    if (es_run_new(&run, &mine, &err) || es_run_go(run, NULL, &err))
        fail_msg("%s", err.text);
    es_run_free(run);
    es_config_free(config);
}

static void expect_as_the_reference(const char *predictor, const char *options)
{
    expected all = {0};
    const es_part *part = NULL;
    size_t asked = 0;
    assert_int_equal(es_part_find(ES_KIND_PREDICTOR, predictor, &part, NULL), ES_OK);
    expected_read(&all, ES_SOURCE_ROOT "/tests/golden/predictions.json");
    run_with(&(witness){.real = (const es_predictor *)(const void *)part, .options = options, .expected = &all});
    for (size_t i = 0; i < all.count; i++)
        if (strcmp(all.at[i].predictor, predictor) == 0) {
            assert_int_equal(all.at[i].answers, 1);
            asked++;
        }
    assert_true(asked >= 150);
    free(all.at);
    cJSON_Delete(all.json);
}

static void transition_says_what_the_reference_says(void **state)
{
    (void)state;
    expect_as_the_reference("transition", "{\"most\": 6}");
}

static void learned_says_what_the_reference_says(void **state)
{
    (void)state;
    expect_as_the_reference("learned", "{\"most\": 6, \"weights\": \"" ES_SOURCE_ROOT "/models/predictors/quickstart.h5\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(transition_says_what_the_reference_says),
        cmocka_unit_test(learned_says_what_the_reference_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
