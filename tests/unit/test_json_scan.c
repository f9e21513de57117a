/* JSON scan: what it takes and what it refuses, with the place; values that the window cuts; files that end anywhere. */
#include "tests/support/trace_kit.h"
#include "traces/json_scan.h"

enum { WINDOW = 256 * 1024 };           /* of json_scan_inside.h: what crosses its end is read like anything else */

static es_json_scan *scan_of(const char *name)
{
    es_json_scan *scan;
    es_err err = { 0 };
    good(es_json_scan_open(&scan, at(name), false, &err), &err);
    return scan;
}

static es_json_scan *scan_text(const char *text)
{
    put("t.json", text);
    return scan_of("t.json");
}

static void fine(es_json_scan *scan)
{
    es_err err = { 0 };
    assert_false(es_json_scan_more(scan));
    good(es_json_scan_end(scan, &err), &err);
    es_json_scan_close(scan);
}

/* Passes over all values of a text. */
static es_code skip_all(es_json_scan *scan, es_err *err)
{
    while (es_json_scan_more(scan) && es_json_scan_skip(scan))
        ;
    return es_json_scan_end(scan, err);
}

static void expect_skipped(const char *text)
{
    es_err err = { 0 };
    es_json_scan *scan = scan_text(text);
    good(skip_all(scan, &err), &err);
    es_json_scan_close(scan);
}

static void expect_refused(const char *text, const char *words)
{
    es_err err = { 0 };
    es_json_scan *scan = scan_text(text);
    expect_fault(skip_all(scan, &err), &err, words);
    assert_false(es_json_scan_more(scan));
    es_json_scan_close(scan);
}

static const char *const NAMES[] = { "layer", "ids", "weights", "text", NULL };
enum { LAYER, IDS, WEIGHTS, TEXT };

/* Reads objects with the four keys and writes down what they hold. */
static es_code walk(es_json_scan *scan, es_text *out, es_err *err)
{
    while (es_json_scan_more(scan) && es_json_scan_object(scan)) {
        uint32_t layer = 0, count;
        uint16_t ids[8];
        float weights[8];
        const char *text;
        size_t length;
        for (int key; (key = es_json_scan_key(scan, NAMES)) >= 0;) {
            if (key == LAYER && es_json_scan_u32(scan, &layer))
                es_text_add(out, "layer %u;", layer);
            if (key == IDS && es_json_scan_ids(scan, ids, 8, &count))
                for (uint32_t i = 0; i < count; i++)
                    es_text_add(out, " %u", ids[i]);
            if (key == WEIGHTS && es_json_scan_floats(scan, weights, 8, &count))
                for (uint32_t i = 0; i < count; i++)
                    es_text_add(out, " %.9g", (double)weights[i]);
            if (key == TEXT && es_json_scan_text(scan, &text, &length))
                es_text_add(out, " <%s>", text);
        }
        es_text_add(out, "\n");
    }
    return es_json_scan_end(scan, err);
}

static void expect_walk(const char *text, const char *want)
{
    es_err err = { 0 };
    es_text out = { 0 };
    es_json_scan *scan = scan_text(text);
    good(walk(scan, &out, &err), &err);
    assert_string_equal(out.at ? out.at : "", want);
    es_text_free(&out);
    es_json_scan_close(scan);
}

static void expect_walk_fault(const char *text, const char *words)
{
    es_err err = { 0 };
    es_text out = { 0 };
    es_json_scan *scan = scan_text(text);
    expect_fault(walk(scan, &out, &err), &err, words);
    es_text_free(&out);
    es_json_scan_close(scan);
}

/* --- what is read --------------------------------------------------------------------------------------------------------------- */

static void keys_may_stand_in_any_order_and_unknown_ones_are_passed_over(void **state)
{
    (void)state;
    expect_walk("{\"layer\": 3, \"ids\": [1, 22,65534,0], \"weights\": [0.5, 1e-3, -2]}\n", "layer 3; 1 22 65534 0 0.5 0.00100000005 -2\n");
    expect_walk("\xef\xbb\xbf{\"x\":{\"ids\":[9]},\"weights\":[ ],\"ids\" : [ 7 , 8 ] ,\"y\":[[1],\"}\"],\"layer\":0}\r\n\r\n{\"ids\":[]}", " 7 8layer 0;\n\n");
    expect_walk("{\"l\\u0061yer\":5,\"text\":\"a\\n\\u00e9\\ud83d\\ude00\\\"\"}", "layer 5; <a\n\xc3\xa9\xf0\x9f\x98\x80\">\n");
    expect_walk("", "");
    expect_walk(" \n\t", "");
    expect_walk("{\"layer\": 3.0, \"ids\": [33.0, 32e0, 1,  3.1E+1 ,65534.00]}{\"layer\":20e-1}", "layer 3; 33 32 1 31 65534\nlayer 2;\n");
}

static void floats_are_the_nearest(void **state)
{
    (void)state;
    static const char *const number[] = { "0", "-0.0", "1", "0.359193", "0.35919299721717834", "123456789012345678", "16777217", "1e22", "1.5e-22", "3.4028235e38",
        "1.401298464324817e-45", "1e-46", "0.1000000000000000055511151231257827", "0.50000002980232238769531250000001", "0.500000029802322387695312500000", "9007199791611905",
        "9007199791611904.0000001", "1.00000005960464477", "1.00000017881393432617187", "33554435", "33554434.9999999999999", "8.5e+2", "100000e-5" };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
        char text[128];
        float is, list;
        uint32_t count;
        snprintf(text, sizeof text, "{\"a\":%s,\"b\":[%s]}", number[i], number[i]);
        static const char *const names[] = { "a", "b", NULL };
        es_json_scan *scan = scan_text(text);
        assert_true(es_json_scan_object(scan));
        assert_int_equal(es_json_scan_key(scan, names), 0);
        assert_true(es_json_scan_f32(scan, &is));
        assert_int_equal(es_json_scan_key(scan, names), 1);
        assert_true(es_json_scan_floats(scan, &list, 1, &count));
        assert_int_equal(es_json_scan_key(scan, names), -1);
        float want = (float)strtod(number[i], NULL);
        if (memcmp(&is, &want, sizeof is) != 0 || memcmp(&list, &want, sizeof is) != 0)
            fail_msg("%s is %.9g and %.9g, want %.9g", number[i], (double)is, (double)list, (double)want);
        fine(scan);
    }
}

static void nan_is_a_number_for_who_takes_one(void **state)
{
    (void)state;
    float value[3];
    uint32_t count;
    es_json_scan *scan = scan_text("[NaN,1]");
    assert_true(es_json_scan_floats(scan, value, 3, &count));
    assert_int_equal(count, 2);
    assert_true(isnan(value[0]) && value[1] == 1.0f);
    fine(scan);
    expect_skipped("[NaN, Infinity, -Infinity]");
    expect_walk_fault("{\"ids\": [NaN]}", "ids[0]: found NaN, needs an expert id from 0 to 65534");
    expect_walk_fault("{\"weights\": [1, Infinity]}", "weights[1]: found Infinity, needs a number");
}

static void words_names_and_pieces(void **state)
{
    (void)state;
    bool yes = false, no = true;
    const char *text;
    size_t length;
    es_json_scan *scan = scan_text("{\"a long key, of which only the beginning is given to who asks\": [true, false, null, \"YWJj\"], \"\": null} 5 -0.5e1");
    assert_true(es_json_scan_object(scan));
    assert_true(es_json_scan_name(scan, &text, &length));
    assert_int_equal(length, 60);
    assert_int_equal(strlen(text), 39);
    assert_true(es_json_scan_array(scan));
    assert_true(es_json_scan_item(scan) && es_json_scan_bool(scan, &yes));
    assert_true(es_json_scan_item(scan) && !es_json_scan_null(scan) && es_json_scan_bool(scan, &no));
    assert_true(yes && !no);
    assert_true(es_json_scan_item(scan) && es_json_scan_null(scan));
    assert_true(es_json_scan_item(scan) && es_json_scan_peek(scan) == '"');
    assert_true(es_json_scan_piece(scan, true, &text, &length));
    assert_int_equal(length, 4);
    assert_memory_equal(text, "YWJj", 4);
    assert_true(es_json_scan_piece(scan, false, &text, &length));
    assert_int_equal(length, 0);
    assert_false(es_json_scan_item(scan));
    assert_true(es_json_scan_name(scan, &text, &length));
    assert_string_equal(text, "");
    assert_true(es_json_scan_null(scan));
    assert_false(es_json_scan_name(scan, &text, &length));
    assert_true(es_json_scan_more(scan) && es_json_scan_skip(scan));
    assert_true(es_json_scan_more(scan) && es_json_scan_skip(scan));
    fine(scan);
}

static void ids_can_be_taken_in_runs(void **state)
{
    (void)state;
    uint16_t ids[4];
    uint32_t count;
    char *text = malloc(WINDOW + 64);
    assert_non_null(text);
    for (size_t before = 0; before < 24; before++) {    /* bytes of the array that the first window has */
        memset(text, ' ', WINDOW);
        strcpy(text + WINDOW - before, "[11, 22,33 , 44, 5, 65534]");
        es_json_scan *scan = scan_text(text);
        assert_true(es_json_scan_array(scan));
        assert_true(es_json_scan_run(scan, ids, 4, &count));
        assert_int_equal(count, 4);
        assert_true(ids[0] == 11 && ids[1] == 22 && ids[2] == 33 && ids[3] == 44);
        assert_true(es_json_scan_run(scan, ids, 4, &count));
        assert_int_equal(count, 2);
        assert_true(ids[0] == 5 && ids[1] == 65534);
        fine(scan);
    }
    free(text);
    static const char *const bad[][2] = { { "[1, 65535]", "[1]: 65535 is above 65534" }, { "[1, x]", "[1]: found x, needs a whole number" }, { "[1 2]", "[0]: found 2, needs a comma or ]" },
        { "[1,]", "[1]: found ], needs a value" }, { "[1", "[0]: the file ends here" } };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        es_err err = { 0 };
        es_json_scan *scan = scan_text(bad[i][0]);
        assert_true(es_json_scan_array(scan));
        assert_false(es_json_scan_run(scan, ids, 4, &count));
        expect_fault(es_json_scan_end(scan, &err), &err, bad[i][1]);
        es_json_scan_close(scan);
    }
}

/* --- what is refused ------------------------------------------------------------------------------------------------------------ */

static void faults_say_where_what_and_what_is_right(void **state)
{
    (void)state;
    expect_walk_fault("{\"layer\": 1}\n\n{\"ids\": [1, 2, x]}", "t.json: line 3, column 16: ids[2]: found x, needs an expert id from 0 to 65534");
    expect_walk_fault("{\"ids\": [1, 65535]}", "line 1, column 13: ids[1]: found 65535, needs an expert id");
    expect_walk_fault("{\"ids\": [-1]}", "ids[0]: found -1,");
    expect_walk_fault("{\"ids\": [1, 1.5]}", "ids[1]: found 1.5, needs an expert id");
    expect_walk_fault("{\"ids\": [655350e-1, 65534.5]}", "ids[0]: found 655350e-1, needs an expert id");
    expect_walk_fault("{\"ids\": [33e, 1]}", "ids[0]: found 33e, needs an expert id");
    expect_walk_fault("{\"layer\": 3e9999}", "layer: found 3e9999, needs a whole number");
    expect_walk_fault("{\"ids\": [01]}", "ids[0]: found 01,");
    expect_walk_fault("{\"ids\": [1 2]}", "ids[0]: found 2, needs a comma or ]");
    expect_walk_fault("{\"ids\": [1,]}", "ids[1]: found ], needs an expert id");
    expect_walk_fault("{\"ids\": 5}", "ids: found 5, needs an array of numbers");
    expect_walk_fault("{\"ids\": [0,1,2,3,4,5,6,7,8]}", "column 26: ids: the array has more than 8 numbers");
    expect_walk_fault("{\"weights\": [0.5, .5]}", "weights[1]: found .5, needs a number");
    expect_walk_fault("{\"weights\": [1e999]}", "weights[0]: found 1e999, needs a number");
    expect_walk_fault("{\"weights\": [00.5]}", "weights[0]: found 00.5, needs a number");
    expect_walk_fault("{\"layer\": 4294967295}", "layer: found 4294967295, needs a whole number from 0 to 4294967294");
    expect_walk_fault("{\"layer\": 1.5}", "layer: found 1.5, needs a whole number");
    expect_walk_fault("{\"layer\": -1}", "layer: found -1, needs a whole number");
    expect_walk_fault("{\"layer\": 1, \"layer\": 1}", "column 22: layer: this key is there twice");
    expect_walk_fault("{\"layer\" 1}", "layer: found 1, needs a colon");
    expect_walk_fault("{\"layer\": 1,}", "found }, needs a key in quotes");
    expect_walk_fault("{layer: 1}", "found layer:, needs a key in quotes");
    expect_walk_fault("[1]", "line 1, column 1: found [1, needs an object {...}");
    expect_walk_fault("{\"text\": \"\\ud800\"}", "text: the string is no UTF-8 text");
    expect_walk_fault("{\"text\": \"\xff\"}", "text: the string is no UTF-8 text");
    expect_walk_fault("{\"text\": \"\\u0000\"}", "text: the string is no UTF-8 text");
    expect_walk_fault("{\"text\": \"a\nb\"}", "text: found ?b\", needs the rest of a string");
}

static void what_is_passed_over_is_checked_too(void **state)
{
    (void)state;
    expect_skipped("{\"a\":[1,-2.5e+3,0,0.0],\"b\":{\"\":[[],{}]},\"c\":\"\\\"\\\\\\u12aF/\xc3\xa9 a text of more than eight bytes\",\"d\":true,\"e\":false,\"f\":null} [] {} \"x\" 1 ");
    static const char *const bad[] = { "{", "}", "[1,,2]", "[1,]", "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "[01]", "[1.]", "[.5]", "[1e]", "[+1]", "[tru]", "[nul]", "[-]", "[\"\\x\"]",
        "[\"\\u12g4\"]", "[\"\t\"]", "[1}", "{\"a\":1]", "[1] ]", "nothing", "[\"a", "[\"a\\", "[\"a\\u00", "\x01", "[1 2]", "{\"a\" 1}", "{1:2}", "['a']", "[-Inf]" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_refused(bad[i], "need");
}

static void depth_is_bounded(void **state)
{
    (void)state;
    char text[200] = "";
    for (int i = 0; i < 64; i++)
        strcat(text, "[");
    size_t deep = strlen(text);
    for (int i = 0; i < 64; i++)
        strcat(text, "]");
    expect_skipped(text);
    memmove(text + 1, text, strlen(text) + 1);
    text[deep] = '[';
    expect_refused(text, "64 values lie inside one another, which is the most");
}

static void a_byte_0_is_no_end(void **state)
{
    (void)state;
    es_err err = { 0 };
    assert_int_equal(es_file_save(at("z.json"), "[1]\0[2]", 7, NULL), ES_OK);
    es_json_scan *scan = scan_of("z.json");
    expect_fault(skip_all(scan, &err), &err, "column 4: found ?");
    assert_false(es_json_scan_torn(scan));
    es_json_scan_close(scan);
}

/* --- ends ----------------------------------------------------------------------------------------------------------------------- */

static const char RECORD[] = "{\"layer\": 117, \"ids\": [33, 50, 68 ,7, 126, 65534], \"weights\":[0.359193,1.25e-1, NaN,0.35919299721717834], \"text\": \"a\\u00e9\\\"b\", "
                             "\"other\": [true, null, -1.5e3, \"x\\\\\\u1234\", {\"z\": false}]}";
static const char RECORD_IS[] = "layer 117; 33 50 68 7 126 65534 0.359192997 0.125 nan 0.359192997 <a\xc3\xa9\"b>\n";

static void a_file_that_ends_anywhere_is_torn(void **state)
{
    (void)state;
    char text[sizeof RECORD];
    for (size_t cut = 1; cut < strlen(RECORD); cut++) {
        memcpy(text, RECORD, cut);
        text[cut] = '\0';
        for (int skips = 0; skips < 2; skips++) {
            es_err err = { 0 };
            es_text out = { 0 };
            es_json_scan *scan = scan_text(text);
            es_code code = skips ? skip_all(scan, &err) : walk(scan, &out, &err);
            if (code != ES_EINPUT || !es_json_scan_torn(scan) || !strstr(err.text, "the file ends here, where "))
                fail_msg("%s\n(skips %d): code %d, %s", text, skips, (int)code, err.text);
            es_text_free(&out);
            es_json_scan_close(scan);
        }
    }
}

static void a_window_may_end_anywhere(void **state)
{
    (void)state;
    size_t length = strlen(RECORD);
    char *text = malloc(WINDOW + 2 * sizeof RECORD);
    assert_non_null(text);
    for (size_t before = 0; before <= length; before++) {
        memset(text, ' ', WINDOW);
        text[5] = '\n';
        strcpy(text + WINDOW - before, RECORD);
        for (int skips = 0; skips < 2; skips++) {
            es_err err = { 0 };
            es_text out = { 0 };
            es_json_scan *scan = scan_text(text);
            es_code code = skips ? skip_all(scan, &err) : walk(scan, &out, &err);
            if (code || (!skips && strcmp(out.at, RECORD_IS) != 0))
                fail_msg("%zu bytes before the window's end (skips %d): %s: %s", before, skips, err.text, out.at);
            assert_int_equal(es_json_scan_line(scan), 2);
            es_text_free(&out);
            es_json_scan_close(scan);
        }
    }
    free(text);
}

static void strings_that_are_passed_over_or_given_in_pieces_have_any_length(void **state)
{
    (void)state;
    enum { LONG = 3 * WINDOW };
    char *text = malloc(LONG + 16);
    const char *piece;
    size_t length, total = 0;
    assert_non_null(text);
    memset(text, 'A', LONG);
    text[0] = '"';
    text[WINDOW] = '\\';
    text[WINDOW + 1] = '"';
    strcpy(text + LONG, "\" 7");
    expect_skipped(text);
    text[WINDOW] = text[WINDOW + 1] = 'A';
    es_json_scan *scan = scan_text(text);
    for (bool first = true; es_json_scan_piece(scan, first, &piece, &length) && length > 0; first = false)
        total += length;
    assert_int_equal(total, LONG - 1);
    assert_true(es_json_scan_skip(scan));
    fine(scan);
    scan = scan_text(text);
    assert_false(es_json_scan_text(scan, &piece, &length));
    es_err err = { 0 };
    expect_fault(es_json_scan_end(scan, &err), &err, "the string is longer than 65536 bytes");
    es_json_scan_close(scan);
    free(text);
}

static void it_can_be_read_again(void **state)
{
    (void)state;
    es_json_scan *scan = scan_text("[1, 2] x");
    es_err err = { 0 };
    char first[65], second[65];
    expect_fault(skip_all(scan, &err), &err, "found x");
    good(es_json_scan_rewind(scan, &err), &err);
    assert_true(es_json_scan_more(scan) && es_json_scan_skip(scan));
    assert_false(es_json_scan_failed(scan));
    es_json_scan_close(scan);
    scan = scan_text("[1, 2]\n");
    good(skip_all(scan, &err), &err);
    es_json_scan_sha256(scan, first);
    es_json_scan_close(scan);
    es_sha256 sha;
    es_sha256_begin(&sha);
    es_sha256_add(&sha, "[1, 2]\n", 7);
    es_sha256_hex(&sha, second);
    assert_string_equal(first, second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_may_stand_in_any_order_and_unknown_ones_are_passed_over),
        cmocka_unit_test(floats_are_the_nearest),
        cmocka_unit_test(nan_is_a_number_for_who_takes_one),
        cmocka_unit_test(words_names_and_pieces),
        cmocka_unit_test(ids_can_be_taken_in_runs),
        cmocka_unit_test(faults_say_where_what_and_what_is_right),
        cmocka_unit_test(what_is_passed_over_is_checked_too),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(a_byte_0_is_no_end),
        cmocka_unit_test(a_file_that_ends_anywhere_is_torn),
        cmocka_unit_test(a_window_may_end_anywhere),
        cmocka_unit_test(strings_that_are_passed_over_or_given_in_pieces_have_any_length),
        cmocka_unit_test(it_can_be_read_again),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
