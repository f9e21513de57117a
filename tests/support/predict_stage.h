/* The stage of predictors: 3 layers of 8 experts (objects 0-7, 64-71, 128-135). Events made by hand go in, guesses come out, as
 * text: "64 66". A token uses one expert. Include it behind cmocka.h and what that needs. */
#ifndef ES_TESTS_PREDICT_STAGE_H
#define ES_TESTS_PREDICT_STAGE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/part/predictor.h"

enum { LAYERS = 3, STRIDE = 64, EXPERTS = 8, OBJECTS = LAYERS * STRIDE };

typedef struct stage {
    es_arena arena;
    es_view view;
    es_tier_view tier[1];
    uint64_t mask[3][LAYERS];
    uint32_t layer_of[LAYERS];
    uint64_t exists[LAYERS];    /* indices of experts: a bit each */
    es_future future;           /* of an oracle: set it once the stage is open */
    const es_predictor *predictor;
    void *self;
    es_event event;             /* the last one told */
    uint16_t list[64];
    uint64_t wanted;
} stage;

static inline es_code stage_try(stage *s, const es_predictor *predictor, const char *options, uint64_t seed, es_err *err)
{
    memset(s, 0, sizeof *s);
    s->predictor = predictor;
    s->view = (es_view){.top_k = 1, .layers = LAYERS, .spaces = LAYERS, .experts = EXPERTS, .population = EXPERTS, .stride = STRIDE, .slice = STRIDE, .ids = EXPERTS, .matrices = 1, .exists = s->exists, .current = s->exists, .variants = 1, .objects = OBJECTS, .words = LAYERS, .words_per_layer = 1,
        .tiers = 1, .buckets = 1, .tier = s->tier, .layer_of = s->layer_of, .future = predictor->part.flags & ES_ORACLE ? &s->future : NULL};
    for (uint32_t l = 0; l < LAYERS; l++)
        s->exists[l] = (1ull << EXPERTS) - 1;
    for (uint32_t w = 0; w < LAYERS; w++)
        s->layer_of[w] = w;
    s->tier[0] = (es_tier_view){.serving = true, .resident = s->mask[0], .inbound = s->mask[1], .queued = s->mask[2]};
    s->self = es_arena_alloc(&s->arena, 1, predictor->part.size);
    if (predictor->part.options) {
        es_json *json;
        assert_int_equal(es_json_parse(&json, options, strlen(options), err), ES_OK);
        es_code code = es_options_parse(predictor->part.options, s->self, json, NULL, &s->arena, err);
        cJSON_Delete(json);
        if (code != ES_OK)
            return code;
    }
    s->view.guesses = 3;
    es_site site = {.view = &s->view, .arena = &s->arena, .path = "predictor", .seed = seed};
    return predictor->part.init(s->self, &site, err);
}

static inline void stage_open(stage *s, const es_predictor *predictor, const char *options, uint64_t seed)
{
    es_err err = {0};
    if (stage_try(s, predictor, options, seed, &err) != ES_OK)
        fail_msg("%s", err.text);
}

static inline void stage_close(stage *s)
{
    es_arena_free(&s->arena);
}

/* The gate of a layer; part 0 of 1 is the whole of it. */
static inline void stage_gate_part(stage *s, uint64_t step, uint32_t layer, const char *indices, bool first, bool last)
{
    size_t calls = s->arena.calls;
    s->wanted = 0;
    s->event = (es_event){.index = s->event.index, .step = step, .request = s->event.request, .layer = layer, .first = first,
        .last = last, .tokens = 1, .base = layer * STRIDE, .list = s->list, .touch = s->list, .word = layer, .words = 1, .mask = &s->wanted, .rows = s->event.rows, .row = s->event.row};
    for (char *end; *indices; indices = *end ? end + 1 : end) {
        s->list[s->event.count] = (uint16_t)strtoul(indices, &end, 10);
        s->wanted |= 1ull << s->list[s->event.count++];
    }
    if (s->predictor->part.hears >> ES_FACT_USE & 1)
        s->predictor->part.notify(s->self, &(es_fact){.kind = ES_FACT_USE, .event = &s->event});
    assert_int_equal(s->arena.calls, calls);        /* nothing is allocated once a run has begun */
}

static inline void stage_gate(stage *s, uint64_t step, uint32_t layer, const char *indices)
{
    stage_gate_part(s, step, layer, indices, true, true);
}

static inline uint32_t stage_ask(stage *s, es_point point, uint32_t layer, bool next_step, es_guess *out, uint32_t most)
{
    es_predict_ask ask = {.point = point, .event = point == ES_STEP_END ? NULL : &s->event, .layer = layer, .next_step = next_step};
    size_t calls = s->arena.calls;
    uint32_t n = s->predictor->predict(s->self, &ask, out, most);
    assert_int_equal(s->arena.calls, calls);
    assert_true(n <= most);
    return n;
}

static inline void expect_most(stage *s, es_point point, uint32_t layer, bool next_step, uint32_t most, const char *expected)
{
    es_guess out[64];
    char text[512] = "";
    uint32_t n = stage_ask(s, point, layer, next_step, out, most);
    for (uint32_t i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%u", i ? " " : "", out[i].object);
    assert_string_equal(text, expected);
}

static inline void expect_guesses(stage *s, uint32_t layer, bool next_step, const char *expected)
{
    expect_most(s, ES_AFTER_GATE, layer, next_step, 64, expected);
}

#endif
