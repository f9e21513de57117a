/* Learned: a network of a few weights made by hand, what it must say, and files that are refused.
 *
 * Layers, experts and experts per token are the stage's: 3, 8 and 1. One layer of context, one hidden unit, two distances, two
 * position buckets, two knots. All weights are 0 but those that a test sets. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
#include <cmocka.h>

#include "sim/base/file.h"
#include "sim/base/h5.h"
#include "tests/support/predict_stage.h"

extern const es_predictor es_predictor_learned;

/* libhdf5 loses a few blocks of its own when it meets a corrupt header. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

enum { PLACES = 2, AHEAD = 2, BUCKETS = 2, KNOTS = 2 };

typedef struct network {
    const char *format;
    int64_t version, layers, experts, top_k, context, ahead, hidden, buckets, knots;
    float in[LAYERS][PLACES][EXPERTS], threshold[LAYERS], out[LAYERS][EXPERTS];
    float bias[AHEAD][LAYERS][EXPERTS], position[LAYERS][BUCKETS][EXPERTS], repeat[LAYERS][EXPERTS];
    double calibration[AHEAD][KNOTS][2];
    const char *without;        /* a dataset that is left out */
} network;

static char folder[] = "/tmp/es_learned_XXXXXX";
static char path[256];

static network plain(void)
{
    return (network){.format = "expertsim-predictor", .version = 1, .layers = LAYERS, .experts = EXPERTS, .top_k = 1, .context = PLACES - 1, .ahead = AHEAD,
        .hidden = 1, .buckets = BUCKETS, .knots = KNOTS, .calibration = {{{-1, 0.1}, {1, 0.9}}, {{-1, 0.2}, {1, 0.6}}}};
}

static void put(es_h5 *file, const network *n, const char *name, es_h5_type type, int rank, const uint64_t *dims, const void *values)
{
    es_err err = {0};
    es_h5_data *data;
    if (n->without && strcmp(n->without, name) == 0)
        return;
    if (es_h5_data_create(&data, file, name, type, rank, dims, 1, 0, &err) || es_h5_data_append(data, type, dims[0], values, &err))
        fail_msg("%s", err.text);
    es_h5_data_close(data);
}

static void save(const network *n)
{
    const struct { const char *name; int64_t value; } rows[] = {{"version", n->version}, {"layers", n->layers}, {"experts", n->experts}, {"top_k", n->top_k},
        {"context", n->context}, {"ahead", n->ahead}, {"hidden", n->hidden}, {"buckets", n->buckets}, {"knots", n->knots}};
    es_h5 *file;
    assert_int_equal(es_h5_create(&file, path, NULL), ES_OK);
    assert_int_equal(es_h5_put_text(file, "/", "format", n->format, NULL), ES_OK);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(es_h5_put_int(file, "/", rows[i].name, rows[i].value, NULL), ES_OK);
    put(file, n, "/hidden/weights", ES_H5_F32, 4, (uint64_t[]){LAYERS, PLACES, EXPERTS, 1}, n->in);
    put(file, n, "/hidden/bias", ES_H5_F32, 2, (uint64_t[]){LAYERS, 1}, n->threshold);
    put(file, n, "/out/weights", ES_H5_F32, 3, (uint64_t[]){LAYERS, 1, EXPERTS}, n->out);
    put(file, n, "/out/bias", ES_H5_F32, 3, (uint64_t[]){AHEAD, LAYERS, EXPERTS}, n->bias);
    put(file, n, "/out/position", ES_H5_F32, 3, (uint64_t[]){LAYERS, BUCKETS, EXPERTS}, n->position);
    put(file, n, "/out/repeat", ES_H5_F32, 2, (uint64_t[]){LAYERS, EXPERTS}, n->repeat);
    put(file, n, "/calibration", ES_H5_F64, 3, (uint64_t[]){AHEAD, KNOTS, 2}, n->calibration);
    assert_int_equal(es_h5_close(file, NULL), ES_OK);
}

static const char *with(const char *more)
{
    static char text[512];
    snprintf(text, sizeof text, "{\"weights\": \"%s\"%s}", path, more);
    return text;
}

static void stage_of(stage *s, const network *n, const char *more)
{
    save(n);
    stage_open(s, &es_predictor_learned, with(more), 0);
}

static void expect_sure(stage *s, uint32_t layer, bool next_step, double expected)
{
    es_guess out[EXPERTS];
    assert_true(stage_ask(s, ES_AFTER_GATE, layer, next_step, out, EXPERTS) > 0);
    if (fabs((double)out[0].confidence - expected) > 1e-6)
        fail_msg("%.6f, expected %.6f", (double)out[0].confidence, expected);
}

static void experts_of_one_score_are_named_by_id(void **state)
{
    (void)state;
    stage s;
    network n = plain();
    n.bias[0][1][6] = 0.5f;
    n.bias[0][1][2] = 0.5f;
    stage_of(&s, &n, ", \"most\": 4");
    stage_gate(&s, 0, 0, "3");
    expect_guesses(&s, 1, false, "66 70 64 65");
    expect_most(&s, ES_AFTER_GATE, 1, false, 1, "66");
    stage_close(&s);
}

static void the_hidden_unit_hears_the_layer_before_and_the_token_before(void **state)
{
    (void)state;
    stage s;
    network n = plain();
    n.in[1][0][3] = 2;          /* layer 0 used 3 */
    n.in[1][1][5] = -4;         /* this layer used 5 */
    n.threshold[1] = -1;
    n.out[1][7] = 1;
    stage_of(&s, &n, "");
    stage_gate(&s, 0, 0, "3");
    expect_guesses(&s, 1, false, "71");         /* 2 - 1 = 1 */
    expect_sure(&s, 1, false, 0.9);
    stage_gate(&s, 0, 1, "5");
    stage_gate(&s, 1, 0, "3");
    expect_guesses(&s, 1, false, "64");         /* below 0: silent */
    expect_sure(&s, 1, false, 0.5);
    stage_close(&s);
}

static void from_further_away_layers_that_have_not_run_are_not_heard(void **state)
{
    (void)state;
    stage s;
    network n = plain();
    n.in[2][0][4] = 1;
    n.out[2][6] = 1;
    n.bias[1][2][1] = 0.5f;
    stage_of(&s, &n, "");
    stage_gate(&s, 0, 1, "4");
    stage_gate(&s, 1, 0, "0");
    expect_guesses(&s, 2, false, "129");        /* two ahead: layer 1 used 4 in the step before only */
    expect_sure(&s, 2, false, 0.5);             /* 0.2 + 0.4 * 1.5 / 2 */
    stage_gate(&s, 1, 1, "4");
    expect_guesses(&s, 2, false, "134");
    stage_gate(&s, 1, 2, "7");
    expect_guesses(&s, 2, true, "129");         /* three ahead: as two, the most it was trained for */
    stage_close(&s);
}

static void to_repeat_has_a_weight_of_its_own(void **state)
{
    (void)state;
    stage s;
    network n = plain();
    for (uint32_t e = 0; e < EXPERTS; e++)
        n.repeat[0][e] = 0.5f;
    stage_of(&s, &n, ", \"most\": 3");
    stage_gate(&s, 0, 0, "6");
    stage_gate(&s, 0, 2, "1");
    expect_guesses(&s, 0, true, "6 0 1");
    expect_sure(&s, 0, true, 0.7);
    stage_gate(&s, 1, 0, "6 2");                /* a union of two: each counts one half */
    stage_gate(&s, 1, 2, "1");
    expect_guesses(&s, 0, true, "2 6 0");
    expect_sure(&s, 0, true, 0.6);
    s.event.request = 1;
    stage_gate(&s, 2, 2, "1");
    expect_guesses(&s, 0, true, "0 1 2");       /* of another request */
    stage_close(&s);
}

static void positions_fall_into_buckets_of_the_token_foreseen(void **state)
{
    (void)state;
    stage s;
    network n = plain();
    es_token token = {.position = 0};
    es_step rows = {.tokens = 1, .token = &token};
    n.position[1][0][2] = 1;
    n.position[1][1][3] = 1;
    n.position[0][1][4] = 1;
    stage_of(&s, &n, "");
    s.event.rows = &rows;
    stage_gate(&s, 0, 0, "0");
    expect_guesses(&s, 1, false, "66");         /* position 0 */
    expect_guesses(&s, 0, true, "4");           /* position 1 */
    token.position = UINT32_MAX - 1;
    expect_guesses(&s, 1, false, "67");
    expect_guesses(&s, 0, true, "4");
    stage_close(&s);
}

static void beyond_the_knots_confidence_stays_and_too_little_is_left_out(void **state)
{
    (void)state;
    stage s;
    network n = plain();
    n.bias[0][1][1] = 9;
    n.bias[0][1][2] = -9;
    stage_of(&s, &n, ", \"most\": 8");
    stage_gate(&s, 0, 0, "0");
    expect_sure(&s, 1, false, 0.9);
    es_guess out[EXPERTS];
    assert_int_equal(stage_ask(&s, ES_AFTER_GATE, 1, false, out, EXPERTS), EXPERTS);
    assert_true(out[7].object == 66 && fabs((double)out[7].confidence - 0.1) < 1e-6);
    stage_close(&s);
    stage_open(&s, &es_predictor_learned, with(", \"most\": 8, \"least\": 0.6"), 0);
    stage_gate(&s, 0, 0, "0");
    expect_guesses(&s, 1, false, "65");
    stage_close(&s);
}

/* ---- files that are refused ---- */

static void expect_refused(const char *words)
{
    stage s;
    es_err err = {0};
    assert_int_equal(stage_try(&s, &es_predictor_learned, with(""), 0, &err), ES_EINPUT);
    if (!strstr(err.text, words) || !strstr(err.text, path) || strncmp(err.text, "weights: ", 9) != 0)
        fail_msg("is: %s\nwant: weights: %s ... %s ...", err.text, path, words);
    stage_close(&s);
}

#define REFUSED(change, words) do { network n = plain(); change; save(&n); expect_refused(words); } while (0)

static void a_network_of_another_model_is_refused(void **state)
{
    (void)state;
    REFUSED(n.layers = 24, "was trained for layers 24, the run has 3; train one on a trace of this model");
    REFUSED(n.experts = 32, "was trained for experts 32, the run has 8");
    REFUSED(n.top_k = 4, "was trained for top_k 4, the run has 1");
}

static void a_file_of_another_kind_is_refused(void **state)
{
    (void)state;
    REFUSED(n.format = "expertsim-trace", "is \"expertsim-trace\", needs \"expertsim-predictor\"");
    REFUSED(n.version = 2, "attribute version is 2, needs 1 to 1");
    assert_int_equal(es_file_save(path, "no HDF5", 7, NULL), ES_OK);
    expect_refused("is no HDF5 file; needs one that models/predictors/train.py wrote");
    unlink(path);
    expect_refused("cannot open: No such file or directory");
}

static void shapes_must_be_those_that_the_attributes_say(void **state)
{
    (void)state;
    REFUSED(n.context = 3, "attribute context is 3, needs 0 to 2");
    REFUSED(n.context = 0, "/hidden/weights: dimension 1 is 2, needs 1");
    REFUSED(n.ahead = 0, "attribute ahead is 0, needs 1 to 3");
    REFUSED(n.ahead = 3, "/out/bias: dimension 0 is 2, needs 3");
    REFUSED(n.hidden = 65537, "attribute hidden is 65537, needs 1 to 65536");
    REFUSED(n.hidden = 2, "/hidden/weights: dimension 3 is 1, needs 2");
    REFUSED(n.buckets = 64, "/out/position: dimension 1 is 2, needs 64");
    REFUSED(n.knots = 1, "attribute knots is 1, needs 2 to 1024");
    REFUSED(n.knots = 3, "/calibration: dimension 1 is 2, needs 3");
    REFUSED(n.without = "/out/repeat", "/out/repeat: is missing");
}

static void values_must_make_sense(void **state)
{
    (void)state;
    REFUSED(n.in[2][1][7] = NAN, "/hidden/weights holds a value that is not a finite number");
    REFUSED(n.calibration[1][1][1] = (double)INFINITY, "/calibration holds a value that is not a finite number");
    REFUSED(n.calibration[1][1][0] = -1, "/calibration: knot 1 of distance 2 does not rise, or is no chance");
    REFUSED(n.calibration[0][1][1] = 0.05, "/calibration: knot 1 of distance 1 does not rise, or is no chance");
    REFUSED(n.calibration[0][1][1] = 1.5, "/calibration: knot 1 of distance 1 does not rise, or is no chance");
}

static void a_file_cut_anywhere_is_refused(void **state)
{
    (void)state;
    network n = plain();
    char *data;
    size_t length;
    save(&n);
    assert_int_equal(es_file_load(path, 1 << 20, &data, &length, NULL), ES_OK);
    for (size_t cut = 0; cut < length; cut += 97) {
        assert_int_equal(es_file_save(path, data, cut, NULL), ES_OK);
        expect_refused("");
    }
    free(data);
}

static int make_folder(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/weights.h5", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(experts_of_one_score_are_named_by_id),
        cmocka_unit_test(the_hidden_unit_hears_the_layer_before_and_the_token_before),
        cmocka_unit_test(from_further_away_layers_that_have_not_run_are_not_heard),
        cmocka_unit_test(to_repeat_has_a_weight_of_its_own),
        cmocka_unit_test(positions_fall_into_buckets_of_the_token_foreseen),
        cmocka_unit_test(beyond_the_knots_confidence_stays_and_too_little_is_left_out),
        cmocka_unit_test(a_network_of_another_model_is_refused),
        cmocka_unit_test(a_file_of_another_kind_is_refused),
        cmocka_unit_test(shapes_must_be_those_that_the_attributes_say),
        cmocka_unit_test(values_must_make_sense),
        cmocka_unit_test(a_file_cut_anywhere_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
