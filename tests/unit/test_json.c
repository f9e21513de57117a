/* JSON: where a fault is, paths, merging, and the printer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sim/base/json.h"
#include "sim/base/rng.h"

static es_json *parsed(const char *text)
{
    es_json *value;
    es_err err = {0};
    if (es_json_parse(&value, text, strlen(text), &err))
        fail_msg("%s", err.text);
    return value;
}

static void expect_text(const es_json *value, const char *expected)
{
    char *text = es_json_text(value);
    assert_string_equal(text, expected);
    free(text);
}

static void expect_fault_in(const char *text, size_t length, const char *error)
{
    es_json *value = (es_json *)-1;
    es_err err = {0};
    assert_int_equal(es_json_parse(&value, text, length, &err), ES_EINPUT);
    assert_string_equal(err.text, error);
    assert_null(value);
    assert_int_equal(es_json_parse(&value, text, length, NULL), ES_EINPUT);
}

static void expect_fault(const char *text, const char *error)
{
    expect_fault_in(text, strlen(text), error);
}

/* ---- parsing ---- */

static void every_kind_of_value_is_read(void **state)
{
    (void)state;
    es_json *value = parsed("\xef\xbb\xbf {\"a\": [1, -2.5e3, 0, 1E+2], \"b\": {}, \"c\": [ ],\r\n\t\"d\": \"\\u00e9\\ud83d\\ude00\\n\\/\xc3\xa9\", "
                            "\"e\": true, \"f\": false, \"g\": null} \n");
    expect_text(value, "{\n  \"a\": [1, -2500, 0, 100],\n  \"b\": {},\n  \"c\": [],\n  \"d\": \"\xc3\xa9\xf0\x9f\x98\x80\\n/\xc3\xa9\",\n"
                       "  \"e\": true,\n  \"f\": false,\n  \"g\": null\n}\n");
    cJSON_Delete(value);
}

static void a_value_may_be_plain_and_short(void **state)
{
    (void)state;
    static const char *const texts[] = { "7", "\"\"", "null", "\xef\xbb\xbf[]", "[]" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        cJSON_Delete(parsed(texts[i]));
}

static void the_place_of_a_fault_is_exact(void **state)
{
    (void)state;
    expect_fault("", "line 1, column 1: ends here, needs a value");
    expect_fault("\xef\xbb\xbf", "line 1, column 1: ends here, needs a value");
    expect_fault(" \n ", "line 2, column 2: ends here, needs a value");
    expect_fault("{\"a\": 1,\n \"b\": 2,\n}", "line 3, column 1: found '}', needs a name in quotes");
    expect_fault("{\"a\": 1\n \"b\": 2}", "line 2, column 2: found '\"', needs ',' or '}'");
    expect_fault("{\"\xc3\xa9\" 1}", "line 1, column 6: found '1', needs ':' behind the name");
    expect_fault("{\"a\"", "line 1, column 5: ends here, needs ':' behind the name");
    expect_fault("{a: 1}", "line 1, column 2: found 'a', needs a name in quotes");
    expect_fault("{", "line 1, column 2: ends here, needs a name in quotes");
    expect_fault("{\"a\": tru}", "line 1, column 7: found 't', needs a value");
    expect_fault("{\"a\": ", "line 1, column 7: ends here, needs a value");
    expect_fault("[1 2]", "line 1, column 4: found '2', needs ',' or ']'");
    expect_fault("[1,]", "line 1, column 4: found ']', needs a value");
    expect_fault("[1", "line 1, column 3: ends here, needs ',' or ']'");
    expect_fault("[1}", "line 1, column 3: found '}', needs ',' or ']'");
    expect_fault("[\xc3\xa9]", "line 1, column 2: found byte 0xc3, needs a value");
    expect_fault("'a'", "line 1, column 1: found ''', needs a value");
    expect_fault("{} {}", "line 1, column 4: found '{', needs nothing behind the value");
    expect_fault("nullx", "line 1, column 5: found 'x', needs nothing behind the value");
    expect_fault("// no comments\n1", "line 1, column 1: found '/', needs a value");
}

static void numbers_are_those_of_json(void **state)
{
    (void)state;
    expect_fault("-", "line 1, column 2: ends here, needs a digit");
    expect_fault("[-x]", "line 1, column 3: found 'x', needs a digit");
    expect_fault("1.", "line 1, column 3: ends here, needs a digit behind the point");
    expect_fault("[1.e3]", "line 1, column 4: found 'e', needs a digit behind the point");
    expect_fault("1e+", "line 1, column 4: ends here, needs a digit of the exponent");
    expect_fault("007", "line 1, column 2: found '0', needs nothing behind the value");
    expect_fault("+1", "line 1, column 1: found '+', needs a value");
    expect_fault(".5", "line 1, column 1: found '.', needs a value");
    expect_fault("NaN", "line 1, column 1: found 'N', needs a value");
    expect_fault("[1, 1e999]", "line 1, column 5: 1e999 is too large a number");
    expect_fault("1234567890123456789012345678901234567890123456789012345678901234", "line 1, column 1: a number of more than 63 characters");
    cJSON_Delete(parsed("123456789012345678901234567890123456789012345678901234567890123"));
}

static void texts_are_those_of_json(void **state)
{
    (void)state;
    expect_fault("{\"a: 1\n}", "line 1, column 7: the line ends inside a text; is a quote missing?");
    expect_fault("\"abc", "line 1, column 5: ends inside a text; is a quote missing?");
    expect_fault("\"a\\", "line 1, column 3: needs one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\u with four hexadecimal digits");
    expect_fault("\"\\x\"", "line 1, column 2: needs one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\u with four hexadecimal digits");
    expect_fault("\"\\u12g4\"", "line 1, column 2: needs one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\u with four hexadecimal digits");
    expect_fault("\"\\u12", "line 1, column 2: needs one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\u with four hexadecimal digits");
    expect_fault("\"\\u0000\"", "line 1, column 2: \\u0000 cannot be part of a text");
    expect_fault("\"\\ud83d\"", "line 1, column 2: half a surrogate pair");
    expect_fault("\"\\ud83d\\u0041\"", "line 1, column 2: half a surrogate pair");
    expect_fault("\"\\ude00\\ude00\"", "line 1, column 2: half a surrogate pair");
    expect_fault("\"a\tb\"", "line 1, column 3: found byte 0x09 inside a text; write \\u0009");
}

static void nul_bytes_and_broken_utf8_are_faults_not_crashes(void **state)
{
    (void)state;
    expect_fault_in("\0", 1, "line 1, column 1: found byte 0x00, needs a value");
    expect_fault_in("1\0", 2, "line 1, column 2: found byte 0x00, needs nothing behind the value");
    expect_fault_in("\"a\0b\"", 5, "line 1, column 3: found byte 0x00 inside a text; write \\u0000");
    expect_fault_in("\"\\\0\"", 4, "line 1, column 2: needs one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\u with four hexadecimal digits");
    expect_fault("\"\xff\"", "line 1, column 2: byte 0xff is not UTF-8");
    expect_fault("\"\x80\"", "line 1, column 2: byte 0x80 is not UTF-8");
    expect_fault("\"\xc3\"", "line 1, column 2: byte 0xc3 is not UTF-8");
    expect_fault("\"\xc0\x80\"", "line 1, column 2: byte 0xc0 is not UTF-8");
    expect_fault("\"\xe0\x80\x80\"", "line 1, column 2: byte 0xe0 is not UTF-8");
    expect_fault("\"\xed\xa0\x80\"", "line 1, column 2: byte 0xed is not UTF-8");
    expect_fault("\"\xf4\x90\x80\x80\"", "line 1, column 2: byte 0xf4 is not UTF-8");
    expect_fault("\"\xf0\x9f\x98", "line 1, column 2: byte 0xf0 is not UTF-8");
    cJSON_Delete(parsed("\"\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80\x7f\""));
}

static void every_cut_and_every_bent_byte_is_survived(void **state)
{
    (void)state;
    static const char whole[] = "{\"a\": [1, -2.5e3, {\"b\": \"x\\u00e9\\ud83d\\ude00\xc3\xa9\"}], \"c\": null, \"d\": true}";
    for (size_t length = 0; length < sizeof whole - 1; length++) {
        es_json *value;
        char *cut = malloc(length + 1);     /* of exact size, so that the sanitizer sees a read beyond */
        memcpy(cut, whole, length);
        cut = realloc(cut, length ? length : 1);
        assert_int_equal(es_json_parse(&value, cut, length, NULL), ES_EINPUT);
        free(cut);
    }
    for (uint64_t i = 0; i < 20000; i++) {
        char bent[sizeof whole];
        memcpy(bent, whole, sizeof whole);
        bent[es_draw_below(3, sizeof whole - 1, i, 0, 0, 0)] = (char)es_draw(3, i, 1, 0, 0);
        bent[es_draw_below(3, sizeof whole - 1, i, 2, 0, 0)] = (char)es_draw(3, i, 3, 0, 0);
        es_json *value;
        es_err err = {0};
        es_code code = es_json_parse(&value, bent, sizeof whole - 1, &err);
        assert_true(code == ES_OK || code == ES_EINPUT);        /* never "no memory": what the check takes cJSON takes */
        cJSON_Delete(value);
    }
}

static void nesting_ends_at_64(void **state)
{
    (void)state;
    char text[131] = "";
    memset(text, '[', 64), memset(text + 64, ']', 64);
    cJSON_Delete(parsed(text));
    memset(text, '[', 65), memset(text + 65, ']', 65);
    expect_fault(text, "line 1, column 65: nested more than 64 deep");
}

static void a_name_given_twice_is_refused(void **state)
{
    (void)state;
    expect_fault("{\"b\": 1, \"a\": 2, \"b\": 1}", "\"b\" is given twice");
    expect_fault("{\"tiers\": {\"x\": 1, \"\\u0078\": 2}}", "\"x\" is given twice in \"tiers\"");
    expect_fault("{\"links\": [{}, {\"to\": 1, \"to\": 1}]}", "\"to\" is given twice in \"links\"");
    cJSON_Delete(parsed("{\"a\": {\"a\": 1}, \"A\": 2}"));
}

/* ---- files ---- */

static const char *file_with(const char *bytes, size_t length)
{
    static const char name[] = "test_json.tmp";
    FILE *file = fopen(name, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
    return name;
}

static void a_file_is_loaded_and_its_faults_name_it(void **state)
{
    (void)state;
    es_json *value;
    es_err err = {0};
    assert_int_equal(es_json_load(&value, file_with("{\"a\": 1}\n", 9), &err), ES_OK);
    expect_text(value, "{\n  \"a\": 1\n}\n");
    cJSON_Delete(value);
    assert_int_equal(es_json_load(&value, file_with("{\n\n  \"a\" 1}", 11), &err), ES_EINPUT);
    assert_string_equal(err.text, "test_json.tmp: line 3, column 7: found '1', needs ':' behind the name");
    assert_null(value);
    assert_int_equal(es_json_load(&value, file_with("", 0), &err), ES_EINPUT);
    assert_string_equal(err.text, "test_json.tmp: line 1, column 1: ends here, needs a value");
    unlink("test_json.tmp");
    assert_int_equal(es_json_load(&value, "test_json.tmp", &err), ES_EINPUT);
    assert_string_equal(err.text, "test_json.tmp: cannot open: No such file or directory");
    assert_int_equal(es_json_load(&value, "test_json.tmp", NULL), ES_EINPUT);
    assert_int_equal(es_json_load(&value, ".", &err), ES_EINPUT);
    assert_string_equal(err.text, ".: cannot read: Is a directory");
}

static void a_file_beyond_64_mib_is_refused(void **state)
{
    (void)state;
    const char *name = file_with("1", 1);
    es_json *value;
    es_err err = {0};
    assert_int_equal(truncate(name, 64 * 1024 * 1024 + 1), 0);
    assert_int_equal(es_json_load(&value, name, &err), ES_EINPUT);
    assert_string_equal(err.text, "test_json.tmp: is larger than 64 MiB");
    unlink(name);
}

/* ---- paths ---- */

static void a_path_reaches_members_and_entries(void **state)
{
    (void)state;
    es_json *root = parsed("{\"a\": {\"b\": {\"c\": 1}}, \"links\": [10, {\"to\": 11}], \"0\": 12}");
    assert_true(es_json_at(root, "a.b.c")->valuedouble == 1.0);
    assert_true(es_json_at(root, "links.0")->valuedouble == 10.0);
    assert_true(es_json_at(root, "links.1.to")->valuedouble == 11.0);
    assert_true(es_json_at(root, "0")->valuedouble == 12.0);
    static const char *const absent[] = { "", "A", "a.", ".a", "a..b", "a.b.c.d", "a.b.cc", "a.bb", "links.2", "links.", "links.x", "links.-1",
        "links.99999999999999999999999999" };
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        assert_null(es_json_at(root, absent[i]));
    assert_null(es_json_at(NULL, "a"));
    cJSON_Delete(root);
}

static void put_replaces_in_place_and_makes_what_is_missing(void **state)
{
    (void)state;
    es_json *root = parsed("{\"a\": 1, \"b\": {\"x\": 2}, \"l\": [1, 2], \"z\": 9}");
    assert_int_equal(es_json_put(root, "a", cJSON_CreateString("one"), NULL), ES_OK);
    assert_int_equal(es_json_put(root, "b.x", cJSON_CreateNumber(3), NULL), ES_OK);
    assert_int_equal(es_json_put(root, "b.y.w", cJSON_CreateNumber(4), NULL), ES_OK);
    assert_int_equal(es_json_put(root, "l.1", cJSON_CreateTrue(), NULL), ES_OK);
    expect_text(root, "{\n  \"a\": \"one\",\n  \"b\": {\n    \"x\": 3,\n    \"y\": {\n      \"w\": 4\n    }\n  },\n  \"l\": [1, true],\n  \"z\": 9\n}\n");
    /* a value that had a name loses it */
    es_json *taken = cJSON_DetachItemFromObject(root, "z");
    assert_int_equal(es_json_put(root, "a", taken, NULL), ES_OK);
    assert_true(es_json_at(root, "a")->valuedouble == 9.0);
    assert_null(es_json_at(root, "z"));
    cJSON_Delete(root);
}

static void put_refuses_what_has_no_members(void **state)
{
    (void)state;
    static const struct {
        const char *path, *error;
    } rows[] = {
        { "a.x", "a.x: a number has no member \"x\"" }, { "a.x.y", "a.x.y: a number has no member \"x\"" },
        { "l.2", "l.2: a list of 2 has no entry \"2\"" }, { "l.x.y", "l.x.y: a list of 2 has no entry \"x\"" },
        { "b..c", "b..c: a name is empty" }, { "", ": a name is empty" },
    };
    es_json *root = parsed("{\"a\": 1, \"l\": [1, 2]}");
    es_err err = {0};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(es_json_put(root, rows[i].path, cJSON_CreateNumber(1), &err), ES_EINPUT);
        assert_string_equal(err.text, rows[i].error);
        assert_int_equal(es_json_put(root, rows[i].path, cJSON_CreateNumber(1), NULL), ES_EINPUT);
    }
    assert_int_equal(es_json_put(root, "n", NULL, &err), ES_EINTERNAL);
    assert_string_equal(err.text, "n: no memory for a JSON value");
    cJSON_Delete(root);
}

static void merging_goes_into_objects_and_replaces_the_rest(void **state)
{
    (void)state;
    es_json *base = parsed("{\"a\": {\"x\": 1, \"y\": [1, 2]}, \"b\": {\"x\": 1}, \"c\": 3, \"d.e\": 4}");
    es_json *over = parsed("{\"a\": {\"y\": [3], \"z\": 5}, \"b\": null, \"c\": {\"n\": 6}, \"d.e\": 7}");
    assert_int_equal(es_json_merge(base, over, NULL), ES_OK);
    cJSON_Delete(over);
    expect_text(base, "{\n  \"a\": {\n    \"x\": 1,\n    \"y\": [3],\n    \"z\": 5\n  },\n  \"b\": null,\n  \"c\": {\n    \"n\": 6\n  },\n  \"d.e\": 7\n}\n");
    es_json *list = parsed("[1]");
    es_err err = {0};
    assert_int_equal(es_json_merge(base, list, &err), ES_EINPUT);
    assert_string_equal(err.text, "found a list, needs an object");
    assert_int_equal(es_json_merge(list, base, &err), ES_EINPUT);
    assert_string_equal(err.text, "found a list, needs an object");
    cJSON_Delete(list);
    cJSON_Delete(base);
}

/* ---- printing ---- */

static void members_keep_their_order_and_plain_lists_one_line(void **state)
{
    (void)state;
    es_json *root = cJSON_CreateObject();
    es_json_add_text(root, "z", "tab\t quote\" back\\ bell\a line\n\b\f\r/");
    es_json_add_text(root, "none", NULL);
    es_json_add_bool(root, "yes", true);
    es_json *list = es_json_add_array(root, "list");
    cJSON_AddItemToArray(list, cJSON_CreateNumber(1));
    es_json *inner = cJSON_CreateObject();
    cJSON_AddItemToArray(list, inner);
    es_json_add_int(inner, "i", -7);
    es_json_add_object(es_json_add_object(root, "o"), "empty");
    expect_text(root, "{\n  \"z\": \"tab\\t quote\\\" back\\\\ bell\\u0007 line\\n\\b\\f\\r/\",\n  \"none\": null,\n  \"yes\": true,\n"
                      "  \"list\": [\n    1,\n    {\n      \"i\": -7\n    }\n  ],\n  \"o\": {\n    \"empty\": {}\n  }\n}\n");
    cJSON_Delete(root);
}

static void integers_are_exact_at_any_size(void **state)
{
    (void)state;
    es_json *root = cJSON_CreateObject();
    es_json_add_int(root, "a", 9007199254740991);
    es_json_add_int(root, "b", 9007199254740993);
    es_json_add_int(root, "c", INT64_MAX);
    es_json_add_int(root, "d", INT64_MIN);
    es_json_add_int(root, "e", 0);
    expect_text(root, "{\n  \"a\": 9007199254740991,\n  \"b\": 9007199254740993,\n  \"c\": 9223372036854775807,\n  \"d\": -9223372036854775808,\n  \"e\": 0\n}\n");
    cJSON_Delete(root);
}

static void reals_are_written_as_short_as_they_read_back(void **state)
{
    (void)state;
    es_json *root = cJSON_CreateObject();
    static const double values[] = { 0.1, 1.0 / 3.0, 1e21, -0.0, 123456789012345680.0, 5e-324, 1e15, 100.0, NAN, INFINITY, 0.30000000000000004 };
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        es_json_add_real(root, (char[]){ (char)('a' + i), '\0' }, values[i]);
    expect_text(root, "{\n  \"a\": 0.1,\n  \"b\": 0.3333333333333333,\n  \"c\": 1e+21,\n  \"d\": 0,\n  \"e\": 1.2345678901234568e+17,\n"
                      "  \"f\": 4.94065645841247e-324,\n  \"g\": 1000000000000000,\n  \"h\": 100,\n  \"i\": null,\n  \"j\": null,\n  \"k\": 0.30000000000000004\n}\n");
    cJSON_Delete(root);
    es_json *nan = cJSON_CreateNumber(NAN);
    expect_text(nan, "null\n");
    cJSON_Delete(nan);
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t bits = es_draw(11, i, 0, 0, 0);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value))
            continue;
        es_json *number = cJSON_CreateNumber(value);
        char *text = es_json_text(number);
        es_json *back = parsed(text);
        assert_true(back->valuedouble == value);
        free(text);
        cJSON_Delete(back);
        cJSON_Delete(number);
    }
}

static void what_is_not_utf8_is_written_as_the_replacement_character(void **state)
{
    (void)state;
    es_json *value = cJSON_CreateString("a\xff\xc3" "b\xc3\xa9");
    expect_text(value, "\"a\xef\xbf\xbd\xef\xbf\xbd" "b\xc3\xa9\"\n");
    cJSON_Delete(value);
}

static void kinds_have_names_for_people(void **state)
{
    (void)state;
    static const char *const kinds[] = { "a number", "a text", "a list", "an object", "true", "false", "null" };
    es_json *list = parsed("[1, \"\", [], {}, true, false, null]");
    for (int i = 0; i < 7; i++)
        assert_string_equal(es_json_kind(cJSON_GetArrayItem(list, i)), kinds[i]);
    assert_string_equal(es_json_kind(NULL), "nothing");
    assert_null(es_json_text(NULL));
    cJSON_Delete(list);
}

/* ---- no memory ---- */

static int allocations_left;    /* of cJSON; -1: any number */

static void *scarce_malloc(size_t size)
{
    if (allocations_left == 0)
        return NULL;
    allocations_left -= allocations_left > 0;
    return malloc(size);
}

static int scarce_memory(void **state)
{
    (void)state;
    cJSON_InitHooks(&(cJSON_Hooks){ scarce_malloc, free });
    allocations_left = -1;
    return 0;
}

static int plenty_of_memory(void **state)
{
    (void)state;
    cJSON_InitHooks(NULL);
    return 0;
}

static void running_out_of_memory_is_said_and_leaks_nothing(void **state)
{
    (void)state;
    static const char text[] = "{\"a\": [1, \"x\"], \"b\": {\"c\": 2}}";
    es_json *over = parsed("{\"a\": [1, 2], \"b\": {\"d\": 3}, \"e\": 4}");
    es_code code = ES_EINTERNAL;
    for (int most = 0; code; most++) {      /* one allocation more each time, until it is enough */
        es_json *root;
        es_err err = {0};
        allocations_left = most;
        code = es_json_parse(&root, text, sizeof text - 1, &err);
        if (code == ES_OK)
            code = es_json_put(root, "p.q.r", cJSON_CreateNumber(1), &err);
        if (code == ES_OK)
            code = es_json_merge(root, over, &err);
        allocations_left = -1;
        assert_true(code == ES_OK || (code == ES_EINTERNAL && strstr(err.text, "no memory for a JSON value")));
        cJSON_Delete(root);
    }
    es_json *root = cJSON_CreateObject();
    allocations_left = 0;
    es_json_add_int(root, "a", 1);
    es_json_add_int(root, "b", INT64_MAX);
    es_json_add_real(root, "c", 0.5);
    es_json_add_real(root, "d", NAN);
    es_json_add_text(root, "e", "x");
    es_json_add_bool(root, "f", true);
    assert_null(es_json_add_array(root, "g"));
    es_json_add_int(es_json_add_object(root, "h"), "i", 1);
    allocations_left = -1;
    expect_text(root, "{}\n");
    cJSON_Delete(root);
    cJSON_Delete(over);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_read),
        cmocka_unit_test(a_value_may_be_plain_and_short),
        cmocka_unit_test(the_place_of_a_fault_is_exact),
        cmocka_unit_test(numbers_are_those_of_json),
        cmocka_unit_test(texts_are_those_of_json),
        cmocka_unit_test(nul_bytes_and_broken_utf8_are_faults_not_crashes),
        cmocka_unit_test(every_cut_and_every_bent_byte_is_survived),
        cmocka_unit_test(nesting_ends_at_64),
        cmocka_unit_test(a_name_given_twice_is_refused),
        cmocka_unit_test(a_file_is_loaded_and_its_faults_name_it),
        cmocka_unit_test(a_file_beyond_64_mib_is_refused),
        cmocka_unit_test(a_path_reaches_members_and_entries),
        cmocka_unit_test(put_replaces_in_place_and_makes_what_is_missing),
        cmocka_unit_test(put_refuses_what_has_no_members),
        cmocka_unit_test(merging_goes_into_objects_and_replaces_the_rest),
        cmocka_unit_test(members_keep_their_order_and_plain_lists_one_line),
        cmocka_unit_test(integers_are_exact_at_any_size),
        cmocka_unit_test(reals_are_written_as_short_as_they_read_back),
        cmocka_unit_test(what_is_not_utf8_is_written_as_the_replacement_character),
        cmocka_unit_test(kinds_have_names_for_people),
        cmocka_unit_test_setup_teardown(running_out_of_memory_is_said_and_leaks_nothing, scarce_memory, plenty_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
