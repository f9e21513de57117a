/* Attended positions in native traces: written and read whole, left alone by who does not ask, and lies about them found. */
#include "tests/support/trace_kit.h"

enum { WIDE = 3, LAYERS = 2 };

static const uint32_t attention_number[LAYERS] = {1, 3};
static const es_trace_info attention_info = {.format = "", .model = "", .layers = LAYERS, .layer_number = attention_number, .experts = 8, .top_k = 1,
    .attends = WIDE, .sha256 = "", .provenance = ""};
static const es_token attention_token[] = {{0, 0, ES_PREFILL}, {0, 1, ES_PREFILL}, {0, 2, ES_DECODE}};
static const uint16_t attention_ids[] = {1, 2, 3, 4, 5, 6};
static const uint32_t attention_position[] = {0, ES_NO_POSITION, ES_NO_POSITION, 1, 0, ES_NO_POSITION, 0, 2, 1};
static const float attention_weight[] = {1, 0, 0, .75f, .25f, 0, .5f, .25f, .125f};

static es_step attention_step(uint32_t first, uint32_t count)
{
    return (es_step){.tokens = count, .token = attention_token + first, .ids = attention_ids + first * LAYERS,
        .attended = attention_position + first * WIDE, .attention = attention_weight + first * WIDE};
}

static void attention_file(const char *name)
{
    es_trace_writer *writer;
    es_err err = {0};
    const es_step prompt = attention_step(0, 2), decode = attention_step(2, 1);
    good(es_trace_writer_open(&writer, at(name), &attention_info, &err), &err);
    good(es_trace_writer_step(writer, &prompt, &err), &err);
    good(es_trace_writer_step(writer, &decode, &err), &err);
    good(es_trace_writer_close(writer, true, &err), &err);
}

static void expect_attention(const es_source *source, void *self)
{
    es_err err = {0};
    es_step step;
    bool more;
    assert_int_equal(source->info(self)->attends, WIDE);
    for (uint32_t first = 0; first < 3; first += step.tokens) {
        good(source->next(self, &step, &more, &err), &err);
        assert_true(more);
        assert_memory_equal(step.attended, attention_position + first * WIDE, step.tokens * WIDE * sizeof *step.attended);
        assert_memory_equal(step.attention, attention_weight + first * WIDE, step.tokens * WIDE * sizeof *step.attention);
    }
}

static void what_is_written_is_read_and_kept_in_memory(void **state)
{
    (void)state;
    es_trace *trace;
    es_err err = {0};
    attention_file("a.h5");
    opened o = open_good(&es_source_native, "a.h5", &ask_all);
    expect_attention(&es_source_native, o.self);
    good(es_source_native.rewind(o.self, &err), &err);
    good(es_trace_load(&trace, &es_source_native, o.self, &ask_all, &err), &err);
    es_trace_cursor cursor = {.trace = trace};
    expect_attention(&es_trace_source, &cursor);
    es_trace_free(trace);
    char one[65], other[65];
    good(es_trace_check(&es_source_native, o.self, NULL, one, &err), &err);
    good(es_trace_write(at("b.h5"), &es_source_native, o.self, &ask_all, false, &err), &err);
    close_source(&o);
    digest_of(&es_source_native, at("b.h5"), other);
    assert_string_equal(one, other);
}

static void who_does_not_ask_does_not_get_it(void **state)
{
    (void)state;
    es_step step;
    es_trace *trace;
    bool more;
    es_err err = {0};
    attention_file("a.h5");
    opened o = open_good(&es_source_native, "a.h5", &ask_ids);
    assert_int_equal(es_source_native.info(o.self)->attends, WIDE);
    good(es_source_native.next(o.self, &step, &more, &err), &err);
    assert_null(step.attended);
    assert_null(step.attention);
    good(es_source_native.rewind(o.self, &err), &err);
    good(es_trace_load(&trace, &es_source_native, o.self, &ask_ids, &err), &err);
    assert_null(trace->attended);
    es_trace_free(trace);
    good(es_trace_write(at("c.h5"), &es_source_native, o.self, &ask_ids, false, &err), &err);
    close_source(&o);
    o = open_good(&es_source_native, "c.h5", &ask_all);
    assert_int_equal(es_source_native.info(o.self)->attends, 0);
    close_source(&o);
}

static void a_trace_goes_on_only_with_rows_as_wide(void **state)
{
    (void)state;
    es_trace_writer *writer;
    es_err err = {0};
    es_trace_info narrow = attention_info;
    attention_file("a.h5");
    narrow.attends = 2;
    expect_fault(es_trace_writer_append(&writer, at("a.h5"), &narrow, &err), &err, "cannot be continued: it has attended positions 3, what is added has 2");
    opened o = open_good(&es_source_native, "a.h5", &ask_all);
    good(es_trace_write(at("a.h5"), &es_source_native, o.self, &ask_all, true, &err), &err);
    close_source(&o);
    o = open_good(&es_source_native, "a.h5", &ask_all);
    expect_attention(&es_source_native, o.self);
    expect_attention(&es_source_native, o.self);
    close_source(&o);
}

/* Each is a row of token 2, and what is said of it. */
static void a_row_that_cannot_be_is_refused(void **state)
{
    (void)state;
    static const uint32_t NONE = ES_NO_POSITION;
    const struct { uint32_t position[WIDE]; float weight[WIDE]; const char *words; } cases[] = {
        {{3, NONE, NONE}, {1, 0, 0}, "request 0, token 2: attends to token 3, which comes later"},
        {{0, 1, 0}, {.1f, .1f, .1f}, "request 0, token 2: attends to token 0 twice"},
        {{0, NONE, 1}, {.1f, .1f, .1f}, "request 0, token 2: attended token 1 stands behind an empty place"},
        {{0, 1, NONE}, {.1f, 1.5f, 0}, "request 0, token 2: attention 1.5 is not 0 to 1"},
        {{0, 1, NONE}, {.1f, NAN, 0}, "request 0, token 2: attention nan is not 0 to 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_trace_writer *writer;
        es_err err = {0};
        es_step step = attention_step(2, 1);
        step.attended = cases[i].position;
        step.attention = cases[i].weight;
        good(es_trace_writer_open(&writer, at("bad.h5"), &attention_info, &err), &err);
        expect_fault(es_trace_writer_step(writer, &step, &err), &err, cases[i].words);
        good(es_trace_writer_close(writer, false, &err), &err);
    }
}

/* A file whose dataset is another than the writer's. */
static void expect_lie(const char *path, es_h5_type type, int rank, const uint64_t *dims, const void *rows, const char *words)
{
    es_h5 *file;
    es_h5_data *data;
    es_err err = {0};
    opened o;
    es_step step;
    attention_file("lie.h5");
    hid_t raw = H5Fopen(at("lie.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(raw >= 0 && H5Ldelete(raw, path, H5P_DEFAULT) >= 0 && H5Fclose(raw) >= 0);
    if (type != ES_H5_TEXT) {
        good(es_h5_open(&file, at("lie.h5"), true, &err), &err);
        good(es_h5_data_create(&data, file, path, type, rank, dims, 3, 0, &err), &err);
        good(es_h5_data_append(data, type, 3, rows, &err), &err);
        es_h5_data_close(data);
        good(es_h5_close(file, &err), &err);
    }
    es_code code = open_source(&o, &es_source_native, at("lie.h5"), &ask_all, &err);
    for (bool more = true; !code && more;)
        code = es_source_native.next(o.self, &step, &more, &err);
    expect_fault(code, &err, words);
    close_source(&o);
}

static void lies_are_found(void **state)
{
    (void)state;
    static const uint32_t later[] = {0, 9, 9, 1, 0, 9, 0, 2, 1};
    static const uint64_t flat[] = {0}, wide[] = {0, WIDE}, narrow[] = {0, 2};
    expect_lie("/attention/weight", ES_H5_TEXT, 0, NULL, NULL, "/attention/weight: is missing");
    expect_lie("/attention/position", ES_H5_U32, 1, flat, attention_position, "/attention/position: is not [tokens][1 to 1024]");
    expect_lie("/attention/position", ES_H5_U16, 2, wide, attention_position, "/attention/position: is of type u16, not u32");
    expect_lie("/attention/weight", ES_H5_F32, 2, narrow, attention_weight, "/attention/weight: has rows of 2, not 3");
    expect_lie("/attention/position", ES_H5_U32, 2, wide, later, "lie.h5: row 0: request 0, token 0: attends to token 9, which comes later");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_and_kept_in_memory),
        cmocka_unit_test(who_does_not_ask_does_not_get_it),
        cmocka_unit_test(a_trace_goes_on_only_with_rows_as_wide),
        cmocka_unit_test(a_row_that_cannot_be_is_refused),
        cmocka_unit_test(lies_are_found),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
