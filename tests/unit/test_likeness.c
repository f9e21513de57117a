/* Likeness: the mathematics against closed forms, what is drawn against what was asked for, and the estimate against what was drawn. */
#include "tests/support/trace_kit.h"
#include "traces/likeness_draw.h"
#include "traces/moments.h"

extern const es_source es_source_like;

static void near(double got, double want, double within)
{
    if (!(fabs(got - want) <= within))
        fail_msg("is %g, want %g within %g", got, want, within);
}

/* --- moments -------------------------------------------------------------------------------------------------------------------- */

/* At threshold 0 the probability is known: 1/4 + asin(r) / 2 pi (Sheppard 1899). */
static void both_above_zero_is_the_arc_sine(void **state)
{
    (void)state;
    const double z[] = { 0.0, INFINITY };
    double above[ES_MOMENTS_GRID];
    es_both_above(z, 2, above);
    for (int g = 0; g < ES_MOMENTS_GRID; g++)
        near(above[g], 0.25 + asin(g / (double)ES_MOMENTS_GRID) / (2.0 * M_PI), 2e-6);
}

static void a_correlation_is_found_again(void **state)
{
    (void)state;
    const double z[] = { 0.5, 1.0, 1.5, 2.5 };
    double above[ES_MOMENTS_GRID];
    es_both_above(z, 4, above);
    for (int g = 1; g < ES_MOMENTS_GRID; g++)
        near(es_correlation_of(above, above[g]), g / (double)ES_MOMENTS_GRID, 1e-12);
    near(es_correlation_of(above, 0.0), 0.0, 0.0);
    near(es_correlation_of(above, 1.0), (ES_MOMENTS_GRID - 1) / (double)ES_MOMENTS_GRID, 1e-12);
}

/* Least squares by hand: where the free answer is not negative it is the answer; where one part is, that part is 0. */
static void shares_are_never_negative(void **state)
{
    (void)state;
    const double a[] = { 1, 0, 0, 2, 1, 1 }, inside[] = { 0.3, 0.4, 0.5 }, outside[] = { 1.0, -1.0, 0.2 };
    double c[2];
    es_nonnegative(a, inside, 3, 2, 10.0, c);
    near(c[0], 0.3, 1e-6);
    near(c[1], 0.2, 1e-6);
    es_nonnegative(a, outside, 3, 2, 10.0, c);
    near(c[0], 0.6, 1e-6);           /* (1 * 1 + 1 * 0.2) / 2 */
    near(c[1], 0.0, 0.0);
    es_nonnegative(a, inside, 3, 2, 0.25, c);
    near(c[0] + c[1], 0.25, 1e-9);
}

/* --- drawing -------------------------------------------------------------------------------------------------------------------- */

enum { LAYERS = 2, EXPERTS = 16, TOP_K = 2, CELLS = LAYERS * EXPERTS };

static const uint32_t layer_number[LAYERS] = { 0, 3 };

/* Two layers; one factor moves all experts, even ones up and odd ones down. */
static void make(es_likeness *like, es_arena *arena, double loading, int factor_span, double factor_share, int own_span, double own_share)
{
    es_err err = { 0 };
    *like = (es_likeness){ .layers = LAYERS, .experts = EXPERTS, .top_k = TOP_K, .factors = 1, .layer_number = layer_number, .lengths = 2, .model = "made" };
    good(es_likeness_make(like, arena, &err), &err);
    for (int i = 0; i < CELLS; i++) {
        like->popularity[i] = i % EXPERTS < 4 ? 0.35 : 0.05;
        like->threshold[i] = i % EXPERTS < 4 ? 0.385 : 1.645;
        like->loading[i] = (float)(i % 2 ? -loading : loading);
    }
    if (factor_share > 0.0)
        like->factor_memory[factor_span] = factor_share;
    for (int l = 0; l < LAYERS && own_share > 0.0; l++)
        like->own_memory[l * ES_LIKE_SPANS + own_span] = own_share;
    for (int l = 0; l < LAYERS; l++) {
        like->weight_gap[l * TOP_K + 1] = 0.7;
        like->weight_sum[l] = 2.0;
    }
    like->length[0] = (es_like_length){ 8, 40 };
    like->length[1] = (es_like_length){ 0, 100 };
}

typedef struct drawn { double uses[CELLS], same_layer, lag[4], parity; } drawn;     /* shares of tokens */

/* Requests of 50 tokens: how often an expert is used, and used again so many tokens later; how often both layers agree on odd or even. */
static void draw(const es_likeness *like, uint32_t requests, drawn *out)
{
    static const uint32_t lags[] = { 1, 2, 8, 32 };
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_like_draw d;
    uint16_t row[50][LAYERS * TOP_K];
    *out = (drawn){ 0 };
    good(es_like_draw_init(&d, like, 7, &arena, &err), &err);
    for (uint32_t r = 0; r < requests; r++)
        for (uint32_t t = 0; t < 50; t++) {
            es_like_draw_token(&d, r, t, row[t]);
            out->parity += (row[t][0] % 2 == row[t][TOP_K] % 2) / (50.0 * requests);
            for (uint32_t i = 0; i < LAYERS * TOP_K; i++)
                out->uses[i / TOP_K * EXPERTS + row[t][i]] += 1.0 / (50.0 * requests);
            for (uint32_t g = 0; g < 4; g++)
                for (uint32_t i = 0; i < LAYERS * TOP_K && t >= lags[g]; i++)
                    for (uint32_t j = i / TOP_K * TOP_K; j < i / TOP_K * TOP_K + TOP_K; j++)
                        out->lag[g] += (row[t][i] == row[t - lags[g]][j]) / ((50.0 - lags[g]) * requests * LAYERS);
        }
    es_arena_free(&arena);
}

static void settled(es_likeness *like)
{
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_like_draw d;
    good(es_like_draw_init(&d, like, 1, &arena, &err), &err);
    for (uint32_t round = 0; round < 3; round++)
        good(es_likeness_settle(like, &d, round, &err), &err);
    es_arena_free(&arena);
}

static void experts_are_as_popular_as_asked(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_likeness like;
    drawn seen;
    make(&like, &arena, 0.5, 4, 0.5, 3, 0.3);
    settled(&like);
    draw(&like, 400, &seen);
    for (int i = 0; i < CELLS; i++)
        near(seen.uses[i], like.popularity[i], 0.02);
    es_arena_free(&arena);
}

static void memory_lasts_as_long_as_its_span(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_likeness like;
    drawn none, pairs, some, whole;
    make(&like, &arena, 0.0, 0, 0.0, 0, 0.0);
    draw(&like, 400, &none);
    make(&like, &arena, 0.0, 0, 0.0, 0, 0.95);
    draw(&like, 400, &pairs);
    make(&like, &arena, 0.0, 0, 0.0, 3, 0.95);
    draw(&like, 400, &some);
    make(&like, &arena, 0.0, 0, 0.0, ES_LIKE_SPANS - 1, 0.95);
    draw(&like, 400, &whole);
    for (int g = 1; g < 4; g++)
        near(none.lag[g], none.lag[0], 0.02);
    assert_true(pairs.lag[0] > none.lag[0] + 0.1);
    near(pairs.lag[1], none.lag[1], 0.02);
    assert_true(some.lag[0] > some.lag[1] + 0.05 && some.lag[1] > some.lag[2] + 0.05 && some.lag[2] > none.lag[2] + 0.05);
    near(some.lag[3], none.lag[3], 0.02);
    near(whole.lag[0], whole.lag[3], 0.02);
    assert_true(whole.lag[3] > some.lag[0]);
    es_arena_free(&arena);
}

/* Held scores leave popularity alone and forget all at once: between two tokens that are far apart nothing is left, near ones share what was
 * held at both, less where another one jumped above it. */
static void held_scores_jump(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_likeness like;
    drawn none, held, still;
    make(&like, &arena, 0.0, 0, 0.0, 0, 0.0);
    draw(&like, 400, &none);
    like.hold[0] = like.hold[1] = 0.7;
    draw(&like, 400, &held);
    like.hold[0] = like.hold[1] = 0.999;
    draw(&like, 400, &still);
    for (int i = 0; i < CELLS; i++)
        near(held.uses[i], none.uses[i], 0.03);
    near(held.lag[3], none.lag[3], 0.02);
    const double first = (held.lag[0] - none.lag[0]) / (TOP_K - none.lag[0]), second = (held.lag[1] - none.lag[0]) / (TOP_K - none.lag[0]);
    assert_true(first > 0.45 && first < 0.7);
    near(second, first * first, 0.06);
    assert_true(still.lag[0] > 0.98 * TOP_K && still.lag[2] > 0.9 * TOP_K);
    es_arena_free(&arena);
}

static void a_factor_moves_all_layers(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_likeness like;
    drawn alone, together;
    make(&like, &arena, 0.0, 0, 0.0, 0, 0.0);
    draw(&like, 200, &alone);
    make(&like, &arena, 0.9, 0, 0.0, 0, 0.0);
    draw(&like, 200, &together);
    near(alone.parity, 0.5, 0.03);
    assert_true(together.parity > 0.85);
    es_arena_free(&arena);
}

static void weights_fall_and_sum(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_likeness like;
    es_like_draw d;
    float weight[LAYERS * TOP_K];
    double gap = 0.0;
    make(&like, &arena, 0.0, 0, 0.0, 0, 0.0);
    good(es_like_draw_init(&d, &like, 7, &arena, &err), &err);
    for (uint32_t t = 0; t < 4000; t++) {
        es_like_draw_weights(&d, 0, t, weight);
        assert_true(weight[0] >= weight[1] && weight[1] > 0.0f);
        near((double)weight[0] + (double)weight[1], 2.0, 1e-5);
        gap += log((double)weight[0] / (double)weight[1]) / 4000.0;
    }
    near(gap, 0.7, 0.03);
    es_arena_free(&arena);
}

/* --- fitting -------------------------------------------------------------------------------------------------------------------- */

static es_trace *trace_of(const es_likeness *like, uint32_t requests, uint32_t tokens)
{
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_like_draw d;
    es_trace *trace = NULL;
    uint16_t ids[LAYERS * TOP_K];
    float weights[LAYERS * TOP_K];
    const es_trace_info info = { .format = "", .model = "made", .layers = LAYERS, .layer_number = layer_number, .experts = EXPERTS, .top_k = TOP_K, .has_weights = true };
    good(es_trace_new(&trace, &info, &err), &err);
    good(es_like_draw_init(&d, like, 11, &arena, &err), &err);
    for (uint32_t r = 0; r < requests; r++)
        for (uint32_t t = 0; t < tokens; t++) {
            es_like_draw_token(&d, r, t, ids);
            es_like_draw_weights(&d, r, t, weights);
            const es_token token = { r, t, ES_DECODE };
            good(es_trace_append(trace, &(es_step){ .tokens = 1, .token = &token, .ids = ids, .weights = weights }, &err), &err);
        }
    es_arena_free(&arena);
    return trace;
}

/* What is drawn from the estimate behaves like what was drawn from the likeness: popularity, repetition and company. */
static void the_estimate_draws_alike(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_likeness like, again;
    drawn wanted, got;
    make(&like, &arena, 0.6, 3, 0.5, 5, 0.3);
    settled(&like);
    es_trace *trace = trace_of(&like, 40, 300);
    good(es_likeness_fit(&again, trace, &arena, &err), &err);
    draw(&like, 400, &wanted);
    draw(&again, 400, &got);
    assert_true(again.factors >= 1);
    for (int i = 0; i < CELLS; i++)
        near(got.uses[i], wanted.uses[i], 0.04);
    for (int g = 0; g < 4; g++)
        near(got.lag[g], wanted.lag[g], 0.06);
    near(got.parity, wanted.parity, 0.06);
    near(again.weight_gap[1], 0.7, 0.03);
    near(again.weight_sum[0], 2.0, 1e-3);
    assert_int_equal(again.lengths, 40);
    assert_int_equal(again.length[39].decode, 300);
    es_trace_free(trace);
    es_arena_free(&arena);
}

/* Newcomers that stay tell scores that jump from such as move a little at every token. */
static void holding_is_found_where_scores_jump(void **state)
{
    (void)state;
    static const double hold[] = { 0.8, 0.5, 0.0 };
    for (int h = 0; h < 3; h++) {
        es_arena arena = { 0 };
        es_err err = { 0 };
        es_likeness like, again;
        drawn wanted, got;
        make(&like, &arena, 0.0, 0, 0.0, 3, hold[h] > 0.0 ? 0.0 : 0.95);
        like.hold[0] = like.hold[1] = hold[h];
        settled(&like);
        es_trace *trace = trace_of(&like, 40, 300);
        good(es_likeness_fit(&again, trace, &arena, &err), &err);
        draw(&like, 400, &wanted);
        draw(&again, 400, &got);
        for (int l = 0; l < LAYERS; l++) {
            assert_true((again.hold[l] > 0.0) == (hold[h] > 0.0));
            assert_true(again.hold[l] >= 0.5 * hold[h] && again.hold[l] <= hold[h] + 0.1);    /* what short memory tells as well is not held */
        }
        for (int g = 0; g < 4; g++)
            near(got.lag[g], wanted.lag[g], 0.06);
        es_trace_free(trace);
        es_arena_free(&arena);
    }
}

/* Neither a factor nor memory is seen in tokens that know nothing of each other. */
static void independent_tokens_have_no_factor(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_likeness like, again;
    make(&like, &arena, 0.0, 0, 0.0, 0, 0.0);
    es_trace *trace = trace_of(&like, 20, 300);
    good(es_likeness_fit(&again, trace, &arena, &err), &err);
    assert_int_equal(again.factors, 0);
    for (int s = 0; s < ES_LIKE_SPANS; s++)
        assert_true(again.own_memory[s] < 0.1);
    es_trace_free(trace);
    trace = trace_of(&like, 1, 63);
    expect_fault(es_likeness_fit(&again, trace, &arena, &err), &err, "63 tokens tell nothing about routing; a fit needs at least 64");
    es_trace_free(trace);
    es_arena_free(&arena);
}

/* --- JSON ----------------------------------------------------------------------------------------------------------------------- */

static char *written(const es_likeness *like)
{
    es_json *json = cJSON_CreateObject();
    assert_true(es_likeness_write(like, json));
    char *text = es_json_text(json);
    cJSON_Delete(json);
    return text;
}

static void json_holds_all_of_it(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_err err = { 0 };
    es_likeness like, back;
    es_json *json = NULL;
    make(&like, &arena, 0.5, 4, 0.5, 3, 0.3);
    like.hold[0] = like.hold[1] = 0.25;
    char *text = written(&like);
    assert_non_null(strstr(text, "\"hold\": [0.25, 0.25]"));
    good(es_json_parse(&json, text, strlen(text), &err), &err);
    good(es_likeness_read(&back, json, &arena, &err), &err);
    char *second = written(&back);
    assert_string_equal(text, second);
    free(text);
    free(second);
    cJSON_Delete(json);
    es_arena_free(&arena);
}

/* The value at "a.b.2" becomes another. */
static void replace(es_json *json, const char *path, es_json *value)
{
    char before[64];
    const char *last = strrchr(path, '.');
    snprintf(before, sizeof before, "%.*s", last ? (int)(last - path) : 0, path);
    es_json *parent = last ? es_json_at(json, before) : json;
    assert_non_null(parent);
    if (cJSON_IsArray(parent))
        assert_true(cJSON_ReplaceItemInArray(parent, atoi(last + 1), value));
    else
        assert_true(cJSON_ReplaceItemInObjectCaseSensitive(parent, last ? last + 1 : path, value));
}

static void wrong_json_is_named(void **state)
{
    (void)state;
    static const struct { const char *path, *value, *words; } cases[] = {
        { "format", "\"other\"", "is not what `expertsim trace fit` writes" },
        { "version", "2", "is not what `expertsim trace fit` writes" },
        { "layers", "[3, 0]", "layers: needs whole numbers that ascend" },
        { "layers", "[]", "layers: needs a list of 1 to 4096 layer numbers" },
        { "experts", "0", "experts: found a number, needs a whole number from 1 to 65535" },
        { "experts", "17", "popularity: found a list, needs a list of 17 numbers" },
        { "top_k", "17", "top_k: found a number, needs a whole number from 1 to 16" },
        { "requests", "[[0, 0]]", "requests: a request of no token" },
        { "requests", "[]", "factors, requests: need lists of at most 48 and of 1 to 4096" },
        { "popularity.0.0", "2", "popularity: found a number beyond, needs numbers from 0 to 1" },
        { "threshold.1", "[1]", "threshold: found a list, needs a list of 16 numbers" },
        { "own_memory.0.2", "\"x\"", "own_memory: found a text, needs numbers from 0 to 1" },
        { "factors.0.memory", "null", "factors.memory: found null, needs a list of 10 numbers" },
        { "factors.0.loading.0.0", "1.5", "loading: found a number beyond, needs numbers from -1 to 1" },
        { "hold", "[0.5, 1]", "hold: found a number beyond, needs numbers from 0 to 0.9999" },
        { "weight_sum", "[1, -1]", "weight_sum: found a number beyond" },
    };
    es_arena arena = { 0 };
    es_likeness like, back;
    make(&like, &arena, 0.5, 4, 0.5, 3, 0.3);
    like.hold[0] = like.hold[1] = 0.25;
    char *text = written(&like);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_err err = { 0 };
        es_json *json = NULL, *value = NULL;
        good(es_json_parse(&json, text, strlen(text), &err), &err);
        good(es_json_parse(&value, cases[i].value, strlen(cases[i].value), &err), &err);
        replace(json, cases[i].path, value);
        expect_fault(es_likeness_read(&back, json, &arena, &err), &err, cases[i].words);
        cJSON_Delete(json);
    }
    free(text);
    es_arena_free(&arena);
}

/* --- the source ----------------------------------------------------------------------------------------------------------------- */

static void open_like(opened *o, const char *options)
{
    es_err err = { 0 };
    *o = (opened){ .source = &es_source_like };
    es_json *json = NULL;
    good(es_json_parse(&json, options, strlen(options), &err), &err);
    o->self = es_arena_alloc(&o->arena, 1, es_source_like.part.size);
    good(es_options_parse(es_source_like.part.options, o->self, json, NULL, &o->arena, &err), &err);
    good(es_source_like.open(o->self, &ask_all, &o->arena, &err), &err);
    cJSON_Delete(json);
}

/* Totals are known before, rules of traces hold, the shorter trace is the beginning of the longer. */
static void traces_keep_the_rules(void **state)
{
    (void)state;
    es_arena arena = { 0 };
    es_likeness like;
    make(&like, &arena, 0.5, 4, 0.5, 3, 0.3);
    char *text = written(&like), options[2][512];
    put("fit.json", text);
    free(text);
    snprintf(options[0], sizeof options[0], "{\"file\": \"%s\", \"tokens\": 333}", at("fit.json"));
    snprintf(options[1], sizeof options[1], "{\"file\": \"%s\", \"tokens\": 1000, \"layers\": 3, \"experts\": 40, \"top_k\": 3}", at("fit.json"));
    for (int i = 0; i < 2; i++) {
        opened o;
        es_err err = { 0 };
        es_tally counts = { 0 };
        open_like(&o, options[i]);
        const es_trace_info *info = o.source->info(o.self);
        good(es_trace_check(o.source, o.self, &counts, NULL, &err), &err);
        assert_int_equal(counts.prompt_tokens + counts.decode_tokens, i ? 1000 : 333);
        assert_int_equal(counts.prompt_tokens, info->prompt_tokens);
        assert_int_equal(counts.requests, info->requests);
        assert_int_equal(counts.steps, info->steps);
        assert_int_equal(counts.accesses, info->accesses);
        assert_int_equal(info->layers * 1000 + info->experts * 10 + info->top_k, i ? 3403 : 2162);
        assert_int_equal(info->layer_number[1], i ? 1 : 3);
        es_tally_free(&counts);
        es_arena_free(&o.arena);
    }
    opened shorter, longer;
    es_err err = { 0 };
    snprintf(options[1], sizeof options[1], "{\"file\": \"%s\", \"tokens\": 700}", at("fit.json"));
    open_like(&shorter, options[0]);
    open_like(&longer, options[1]);
    for (bool more = true, also = true;;) {
        es_step a, b;
        good(es_source_like.next(shorter.self, &a, &more, &err), &err);
        good(es_source_like.next(longer.self, &b, &also, &err), &err);
        if (!more)
            break;
        assert_memory_equal(a.ids, b.ids, a.tokens * LAYERS * TOP_K * sizeof *a.ids);
        assert_memory_equal(a.weights, b.weights, a.tokens * LAYERS * TOP_K * sizeof *a.weights);
    }
    es_arena_free(&shorter.arena);
    es_arena_free(&longer.arena);
    es_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_above_zero_is_the_arc_sine),
        cmocka_unit_test(a_correlation_is_found_again),
        cmocka_unit_test(shares_are_never_negative),
        cmocka_unit_test(experts_are_as_popular_as_asked),
        cmocka_unit_test(memory_lasts_as_long_as_its_span),
        cmocka_unit_test(held_scores_jump),
        cmocka_unit_test(a_factor_moves_all_layers),
        cmocka_unit_test(weights_fall_and_sum),
        cmocka_unit_test(the_estimate_draws_alike),
        cmocka_unit_test(holding_is_found_where_scores_jump),
        cmocka_unit_test(independent_tokens_have_no_factor),
        cmocka_unit_test(json_holds_all_of_it),
        cmocka_unit_test(wrong_json_is_named),
        cmocka_unit_test(traces_keep_the_rules),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
