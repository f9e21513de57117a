/* Rows to steps: what traces/stream.h promises. Traces are compared as text (support/trace_kit.h). */
#include "tests/support/trace_kit.h"

#include "traces/passes.h"
#include "traces/spool.h"
#include "traces/stream.h"

typedef struct line { uint32_t request, position, layer; uint8_t phase; uint32_t count; uint16_t ids[4]; } line;

static es_row row_of(const line *l, uint64_t record)
{
    return (es_row){ .step = ES_ROW_NO_STEP, .request = l->request, .position = l->position, .layer = l->layer, .phase = l->phase, .count = l->count, .ids = l->ids, .record = record };
}

static es_code feed(es_row_stream **stream, const line *lines, size_t count, const es_stream_rules *rules, es_text *notes, es_err *err)
{
    es_code code = es_stream_new(stream, &(es_trace_info){ .experts = 0 }, rules, err);
    for (size_t i = 0; i < count && !code; i++) {
        const es_row row = row_of(&lines[i], i + 1);
        code = es_stream_add(*stream, &row, err);
    }
    return code ? code : es_stream_finish(*stream, notes, err);
}

static void expect(const line *lines, size_t count, es_stream_rules rules, const char *want, const char *note)
{
    es_row_stream *stream;
    es_text notes = { 0 };
    es_err err = { 0 };
    good(feed(&stream, lines, count, &rules, &notes, &err), &err);
    for (int turn = 0; turn < 2; turn++) {
        es_text text = { 0 };
        es_step step;
        good(es_stream_rewind(&stream, &err), &err);
        for (bool more = true; more;) {
            good(es_stream_next(&stream, &step, &more, &err), &err);
            if (more)
                step_text(&text, es_stream_info(&stream), &step);
        }
        assert_string_equal(text.at, want);
        es_text_free(&text);
    }
    if (note ? !notes.at || !strstr(notes.at, note) : notes.length > 0)
        fail_msg("notes are: %s\n  want: %s", notes.at ? notes.at : "none", note ? note : "none");
    es_text_free(&notes);
    es_stream_fini(&stream);
}

static void refuse(const line *lines, size_t count, es_stream_rules rules, const char *part)
{
    es_row_stream *stream;
    es_text notes = { 0 };
    es_err err = { 0 };
    expect_fault(feed(&stream, lines, count, &rules, &notes, &err), &err, part);
    es_text_free(&notes);
    es_stream_fini(&stream);
}

#define ROWS(...) (const line[]){ __VA_ARGS__ }, sizeof((const line[]){ __VA_ARGS__ }) / sizeof(line)

static void steps_follow_from_requests(void **state)
{
    (void)state;
    expect(ROWS({ 0, 0, 3, 0, 2, { 1, 2 } }, { 0, 1, 3, 0, 2, { 0, 5 } }, { 0, 0, 7, 0, 2, { 3, 4 } }, { 0, 1, 7, 0, 2, { 4, 3 } }, { 0, 2, 3, 1, 2, { 6, 1 } }, { 0, 2, 7, 1, 2, { 0, 2 } }),
        (es_stream_rules){ .lenient = false }, "P 0.0(1 2;3 4) 0.1(0 5;4 3)\nD 0.2(6 1;0 2)\n", NULL);
}

static void tokens_of_a_step_are_sorted(void **state)
{
    (void)state;
    expect(ROWS({ 0, 4, 0, 0, 1, { 4 } }, { 0, 1, 0, 0, 1, { 1 } }, { 0, 3, 0, 0, 1, { 3 } }, { 0, 2, 0, 0, 1, { 2 } }), (es_stream_rules){ .lenient = false },
        "P 0.1(1) 0.2(2) 0.3(3) 0.4(4)\n", NULL);
}

static void rows_that_go_back_are_sorted_where_they_may(void **state)
{
    (void)state;
    static const line lines[] = { { 0, 0, 1, 0, 1, { 0 } }, { 0, 1, 1, 1, 1, { 1 } }, { 0, 2, 1, 1, 1, { 2 } }, { 1, 0, 1, 1, 1, { 9 } },
        { 0, 0, 2, 0, 1, { 3 } }, { 0, 1, 2, 1, 1, { 4 } }, { 0, 2, 2, 1, 1, { 5 } }, { 1, 0, 2, 1, 1, { 8 } } };
    expect(lines, 8, (es_stream_rules){ .any_order = true }, "P 0.0(0;3)\nD 0.1(1;4)\nD 0.2(2;5)\nD 1.0(9;8)\n", NULL);
    refuse(lines, 8, (es_stream_rules){ .any_order = false }, "positions must ascend from step to step");
    line twice[9], other[9];
    memcpy(twice, lines, sizeof lines);
    twice[8] = lines[2];
    refuse(twice, 9, (es_stream_rules){ .any_order = true }, "request 0, token 2, layer 1 is listed twice, on line 3 and on line 9");
    memcpy(other, lines, sizeof lines);
    other[8] = (line){ 0, 1, 3, 0, 1, { 0 } };
    refuse(other, 9, (es_stream_rules){ .any_order = true }, "request 0, token 1 is of another phase on line 6 than on line 9");
}

static void what_is_missing_or_mixed_is_told_with_its_first_place(void **state)
{
    (void)state;
    expect(ROWS({ 0, 0, 1, 1, 2, { 0, 1 } }, { 0, 0, 2, 1, 2, { 0, 1 } }, { 0, 1, 1, 1, 2, { 1, 2 } }, { 0, 2, 1, 1, 2, { 1, 2 } }, { 0, 2, 2, 1, 2, { 1, 2 } }),
        (es_stream_rules){ .whole_tokens = true }, "D 0.0(0 1;0 1)\nD 0.1(1 2;-)\nD 0.2(1 2;1 2)\n",
        "1 of 6 rows (token, layer) are missing; the first is layer 2 of request 0, token 1, a generated token in the step that begins on line 3");
    expect(ROWS({ 0, 0, 1, 1, 2, { 0, 1 } }, { 0, 1, 1, 1, 1, { 1 } }, { 0, 2, 1, 1, 3, { 1, 2, 3 } }), (es_stream_rules){ .lenient = false }, "D 0.0(0 1)\nD 0.1(1)\nD 0.2(1 2 3)\n",
        "rows list 1 to 3 experts; the first of another length than those before is line 2 (request 0, token 1, layer 1) with 1");
}

static void a_torn_end_is_an_error_or_left_out(void **state)
{
    (void)state;
    static const line lines[] = { { 0, 0, 1, 1, 2, { 0, 1 } }, { 0, 0, 2, 1, 2, { 0, 1 } }, { 0, 0, 3, 1, 2, { 0, 1 } }, { 0, 1, 1, 1, 2, { 1, 2 } } };
    refuse(lines, 4, (es_stream_rules){ .whole_tokens = true }, "ends inside request 0, token 1, which begins on line 4: layer 2 and 1 more layers of it are missing");
    expect(lines, 4, (es_stream_rules){ .whole_tokens = true, .lenient = true }, "D 0.0(0 1;0 1;0 1)\n", "the token was left out");
    static const line rows[] = { { 0, 0, 1, 0, 2, { 0, 1 } }, { 0, 1, 1, 0, 1, { 2 } } };
    refuse(rows, 2, (es_stream_rules){ .whole_rows = true }, "ends inside the row that begins on line 2: expert 2 of 2 is expected");
    expect(rows, 2, (es_stream_rules){ .whole_rows = true, .lenient = true }, "P 0.0(0 1)\n", "with 1 of 2 experts; it was left out");
    refuse(rows, 1, (es_stream_rules){ .layers = 2 }, "has rows of 1 layers, not of 2 as was said");
}

static void rows_are_checked(void **state)
{
    (void)state;
    refuse(ROWS({ 0, 0, 1, 1, 2, { 3, 3 } }), (es_stream_rules){ .lenient = false }, "expert 3 is listed twice");
    refuse(ROWS({ 0, 0, 70000, 1, 1, { 3 } }), (es_stream_rules){ .lenient = false }, "layer 70000 is above 65535");
    refuse(ROWS({ 0, 0, 1, 0, 1, { 3 } }, { 0, 0, 2, 0, 1, { 3 } }, { 0, 0, 1, 0, 1, { 2 } }), (es_stream_rules){ .lenient = false }, "layer 1 is listed twice, on line 1 and on line 3");
    refuse(NULL, 0, (es_stream_rules){ .lenient = false }, "there are no rows");
}

/* Longer than the spool keeps in memory: what comes back from the scratch file, in order and sorted, is what was given. */
static void a_long_trace_comes_back_from_the_scratch_file(void **state)
{
    (void)state;
    enum { TOKENS = 300000, LAYERS = 2 };
    for (int order = 0; order < 2; order++) {
        es_row_stream *stream;
        es_text notes = { 0 };
        es_err err = { 0 };
        es_step step;
        good(es_stream_new(&stream, &(es_trace_info){ .top_k = 4, .experts = 999 }, &(es_stream_rules){ .any_order = order }, &err), &err);
        for (uint32_t i = 0; i < TOKENS * LAYERS; i++) {
            const uint32_t token = order ? i % TOKENS : i / LAYERS, layer = order ? i / TOKENS : i % LAYERS;
            const line l = { 0, token, layer, 1, 4, { (uint16_t)(token % 499), (uint16_t)(500 + token % 301), (uint16_t)(900 + layer), 998 } };
            const es_row row = row_of(&l, i + 1);
            good(es_stream_add(stream, &row, &err), &err);
        }
        good(es_stream_finish(stream, &notes, &err), &err);
        assert_int_equal(es_stream_about(stream)->accesses, 4ull * TOKENS * LAYERS);
        assert_int_equal(es_stream_about(stream)->steps, TOKENS);
        assert_int_equal(notes.length, 0);
        bool more = true;
        for (uint32_t token = 0; token < TOKENS; token++) {
            good(es_stream_next(&stream, &step, &more, &err), &err);
            assert_true(more && step.tokens == 1 && step.token[0].position == token);
            assert_true(step.ids[0] == token % 499 && step.ids[1] == 500 + token % 301 && step.ids[2] == 900 && step.ids[6] == 901 && step.ids[7] == 998);
        }
        good(es_stream_next(&stream, &step, &more, &err), &err);
        assert_false(more);
        es_stream_fini(&stream);
    }
}

static void a_spool_keeps_what_it_was_given(void **state)
{
    (void)state;
    enum { PIECE = 70001, PIECES = 300 };
    es_spool *spool;
    es_err err = { 0 };
    unsigned char *piece = malloc(PIECE);
    const unsigned char *bytes;
    assert_non_null(piece);
    good(es_spool_new(&spool, &err), &err);
    for (int i = 0; i < PIECES; i++) {
        memset(piece, i, PIECE);
        good(es_spool_add(spool, piece, PIECE, &err), &err);
    }
    assert_int_equal(es_spool_length(spool), (uint64_t)PIECE * PIECES);
    for (int i = PIECES - 1; i >= 0; i--) {
        good(es_spool_view(spool, (uint64_t)i * PIECE, PIECE, &bytes, &err), &err);
        assert_true(bytes[0] == (unsigned char)i && bytes[PIECE - 1] == (unsigned char)i);
    }
    good(es_spool_map(spool, &bytes, &err), &err);
    for (int i = 0; i < PIECES; i++)
        assert_int_equal(bytes[(size_t)i * PIECE + 5], (unsigned char)i);
    es_spool_free(spool);
    free(piece);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_follow_from_requests),
        cmocka_unit_test(tokens_of_a_step_are_sorted),
        cmocka_unit_test(rows_that_go_back_are_sorted_where_they_may),
        cmocka_unit_test(what_is_missing_or_mixed_is_told_with_its_first_place),
        cmocka_unit_test(a_torn_end_is_an_error_or_left_out),
        cmocka_unit_test(rows_are_checked),
        cmocka_unit_test(a_long_trace_comes_back_from_the_scratch_file),
        cmocka_unit_test(a_spool_keeps_what_it_was_given),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
