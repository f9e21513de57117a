/* Formulas: numbers of a report, conditions over values of a config. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "sim/study/formula.h"

static const char report_text[] =
    "{\"a\": 6, \"b\": {\"c\": 2, \"yes\": true, \"null\": null}, \"policy\": \"lru\", \"room\": \"4GiB\", \"share\": \"25%\", \"slots\": \"192slots\", \"notes\": 1}";

static es_json *report(void)
{
    es_json *json = NULL;
    assert_int_equal(es_json_parse(&json, report_text, strlen(report_text), NULL), ES_OK);
    return json;
}

static void numbers_follow_the_rules_of_arithmetic(void **state)
{
    static const struct { const char *text; double value; } rows[] = {
        {"1 + 2 * 3", 7}, {"(1 + 2) * 3", 9}, {"10 - 4 - 3", 3}, {"16 / 4 / 2", 2}, {"- 2 * 3", -6}, {"--2", 2}, {"2 - -2", 4}, {"1e3 + .5", 1000.5},
        {"a / b.c", 3}, {"1 - a / (3 * b.c)", 0}, {"b.yes * 5", 5},
    };
    (void)state;
    es_json *json = report();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double value;
        assert_int_equal(es_formula(rows[i].text, json, &value, NULL), ES_OK);
        assert_true(value == rows[i].value);
    }
    cJSON_Delete(json);
}

static void conditions_are_one_or_zero(void **state)
{
    static const struct { const char *text; double value; } rows[] = {
        {"a == 6", 1}, {"a != 6", 0}, {"a < 6", 0}, {"a <= 6", 1}, {"a > 5", 1}, {"a >= 7", 0}, {"a + 1 == 2 * b.c + 3", 1},
        {"policy == 'lru'", 1}, {"policy != \"lru\"", 0}, {"policy == 'lfu' or a == 6", 1}, {"policy == 'lru' and a == 5", 0}, {"not a == 5", 1}, {"not not a", 1},
        {"1 or 0 and 0", 1}, {"(1 or 0) and 0", 0}, {"policy == 3", 0}, {"notes == 1", 1}, {"not notes", 0},
        {"2 and 3", 1}, {"1 + (a == 6)", 2},
    };
    (void)state;
    es_json *json = report();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double value;
        assert_int_equal(es_formula(rows[i].text, json, &value, NULL), ES_OK);
        assert_true(value == rows[i].value);
    }
    cJSON_Delete(json);
}

static void texts_that_are_quantities_count_as_numbers(void **state)
{
    static const struct { const char *text; double value; } rows[] = {
        {"room", 4294967296.0}, {"room == 4096MiB", 1}, {"room <= '3.9GiB'", 0}, {"share * 8", 2}, {"share < 30%", 1}, {"slots / 2", 96}, {"2ms", 2e6}, {"12GB/s / 4GB/s", 3},
    };
    (void)state;
    es_json *json = report();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double value;
        assert_int_equal(es_formula(rows[i].text, json, &value, NULL), ES_OK);
        assert_true(value == rows[i].value);
    }
    cJSON_Delete(json);
}

static void what_is_no_formula_is_said(void **state)
{
    static const struct { const char *text, *said; } rows[] = {
        {"", "\"\": a number, a path or a parenthesis should stand at \"\""},
        {"1 +", "\"1 +\": a number, a path or a parenthesis should stand at \"\""},
        {"(1", "\"(1\": a parenthesis is not closed"},
        {"1 2", "\"1 2\": \"2\" is left over"},
        {"a / 0", "\"a / 0\": divides by 0"},
        {"x.y", "\"x.y\": the report has nothing at x.y, not a number"},
        {"b.null", "\"b.null\": the report has null at b.null, not a number"},
        {"policy", "\"policy\": \"lru\" is a text, not a number; it can only be compared by == and !="},
        {"policy < 3", "\"policy < 3\": \"lru\" is a text, not a number; it can only be compared by == and !="},
        {"a and policy", "\"a and policy\": \"lru\" is a text, not a number; it can only be compared by == and !="},
        {"policy == 'lru", "\"policy == 'lru\": a text needs a quote on either side and 1 to 127 characters between"},
        {"3GB2", "\"3GB2\": \"2\" is left over"},
        {"3parsecs", "\"3parsecs\": \"3parsecs\" is no number and no quantity"},
        {"a = 6", "\"a = 6\": \"= 6\" is left over"},
    };
    (void)state;
    es_json *json = report();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        es_err err = {0};
        double value;
        assert_int_equal(es_formula(rows[i].text, json, &value, &err), ES_EINPUT);
        assert_string_equal(err.text, rows[i].said);
    }
    cJSON_Delete(json);
}

static void depth_is_bounded(void **state)
{
    char text[200];
    es_err err = {0};
    double value;
    (void)state;
    for (int minus = 0; minus < 2; minus++) {
        memset(text, minus ? '-' : '(', sizeof text - 2);
        text[sizeof text - 2] = '1';
        text[sizeof text - 1] = '\0';
        assert_int_equal(es_formula(text, NULL, &value, &err), ES_EINPUT);
        assert_non_null(strstr(err.text, "more than 32"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_follow_the_rules_of_arithmetic),
        cmocka_unit_test(conditions_are_one_or_zero),
        cmocka_unit_test(texts_that_are_quantities_count_as_numbers),
        cmocka_unit_test(what_is_no_formula_is_said),
        cmocka_unit_test(depth_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
