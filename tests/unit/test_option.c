/* Options: one row drives parsing, bounds, errors, echo, description and schema. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/option.h"
#include "sim/base/rng.h"

typedef struct part {
    bool strict;
    int order;
    int64_t count, latency, capacity, limit;
    double threshold, rate, cap;
    const char *path, *label;
    es_reals levels;
    const es_json *extra;
} part;

static const char *const orders[] = { "resident_first", "in_order", "barrier", NULL };

static const es_option part_options[] = {
    { .name = "strict", .type = ES_OPT_BOOL, .offset = offsetof(part, strict), .def = 1, .help = "Refuse a|b." },
    { .name = "order", .type = ES_OPT_ENUM, .offset = offsetof(part, order), .def = 1, .choices = orders, .help = "Which first." },
    { .name = "count", .type = ES_OPT_INT, .offset = offsetof(part, count), .def = 7, .min = -2, .max = 100, .unit = "tokens", .help = "How many." },
    { .name = "latency", .type = ES_OPT_TIME, .offset = offsetof(part, latency), .def = 3.4e6, .min = 1e3, .max = 1e7, .tunable = true, .help = "How long." },
    { .name = "capacity", .type = ES_OPT_BYTES, .offset = offsetof(part, capacity), .def = 0, .min = 1024, .max = INFINITY, .help = "0: no limit." },
    { .name = "limit", .type = ES_OPT_TIME, .offset = offsetof(part, limit), .def = 0x1p63 },
    { .name = "threshold", .type = ES_OPT_REAL, .offset = offsetof(part, threshold), .def = 0.7, .min = 0.5, .max = 0.9, .tunable = true, .help = "Confidence." },
    { .name = "rate", .type = ES_OPT_RATE, .offset = offsetof(part, rate), .def = 12e9 },
    { .name = "cap", .type = ES_OPT_RATE, .offset = offsetof(part, cap), .def = INFINITY },
    { .name = "path", .type = ES_OPT_TEXT, .offset = offsetof(part, path), .required = true, .help = "The file." },
    { .name = "label", .type = ES_OPT_TEXT, .offset = offsetof(part, label) },
    { .name = "levels", .type = ES_OPT_REALS, .offset = offsetof(part, levels), .min = 0, .max = 1, .help = "Steps." },
    { .name = "extra", .type = ES_OPT_JSON, .offset = offsetof(part, extra) },
    { 0 },
};

static es_json *parsed(const char *text)
{
    es_json *value;
    es_err err = {0};
    if (es_json_parse(&value, text, strlen(text), &err))
        fail_msg("%s: %s", text, err.text);
    return value;
}

static void expect_fault_of(const es_option *rows, void *target, const char *text, const char *error)
{
    es_json *json = parsed(text);
    es_arena arena = {0};
    es_err err = {0};
    assert_int_equal(es_options_parse(rows, target, json, NULL, &arena, &err), ES_EINPUT);
    assert_string_equal(err.text, error);
    assert_int_equal(es_options_parse(rows, target, json, NULL, &arena, NULL), ES_EINPUT);
    es_arena_free(&arena);
    cJSON_Delete(json);
}

/* A member beside the required one. */
static void expect_fault(const char *member, const char *error)
{
    char text[512] = "{\"path\": \"p\", ";
    strcat(strcat(text, member), "}");
    part p;
    expect_fault_of(part_options, &p, text, error);
}

/* ---- parsing ---- */

static void options_not_given_have_their_defaults(void **state)
{
    (void)state;
    part p;
    memset(&p, 0x55, sizeof p);
    es_options_default(part_options, &p);
    assert_true(p.strict);
    assert_int_equal(p.order, 1);
    assert_int_equal(p.count, 7);
    assert_int_equal(p.latency, 3400000);
    assert_int_equal(p.capacity, 0);
    assert_true(p.limit == INT64_MAX);
    assert_true(p.threshold == 0.7 && p.rate == 12e9 && isinf(p.cap));
    assert_null(p.path);
    assert_null(p.label);
    assert_null(p.extra);
    assert_int_equal(p.levels.count, 0);
}

static void every_type_is_read(void **state)
{
    (void)state;
    es_json *json = parsed("{\"strict\": false, \"order\": \"barrier\", \"count\": -2, \"latency\": \"10ms\", \"capacity\": \"24GiB\", \"limit\": 0,"
                           "\"threshold\": 0.5, \"rate\": \"800MiB/s\", \"cap\": \"0\", \"path\": \"a b\", \"label\": \"\", \"levels\": [0, 0.25, 1],"
                           "\"extra\": {\"x\": 1}}");
    part p;
    es_arena arena = {0};
    assert_int_equal(es_options_parse(part_options, &p, json, NULL, &arena, NULL), ES_OK);
    assert_false(p.strict);
    assert_int_equal(p.order, 2);
    assert_int_equal(p.count, -2);
    assert_int_equal(p.latency, 10000000);
    assert_true(p.capacity == 25769803776);
    assert_int_equal(p.limit, 0);
    assert_true(p.threshold == 0.5 && p.rate == 838860800.0 && p.cap == 0.0);
    assert_int_equal(p.levels.count, 3);
    assert_true(p.levels.at[0] == 0.0 && p.levels.at[1] == 0.25 && p.levels.at[2] == 1.0);
    assert_ptr_equal(p.extra, es_json_at(json, "extra"));
    cJSON_Delete(json);
    assert_string_equal(p.path, "a b");     /* texts do not need the JSON any more */
    assert_string_equal(p.label, "");
    es_arena_free(&arena);
}

static void no_rows_and_no_object_are_fine(void **state)
{
    (void)state;
    static const es_option none[] = { { 0 } };
    es_json *empty = parsed("{}");
    es_options_default(NULL, NULL);
    assert_int_equal(es_options_parse(NULL, NULL, NULL, NULL, NULL, NULL), ES_OK);
    assert_int_equal(es_options_parse(NULL, NULL, empty, NULL, NULL, NULL), ES_OK);
    assert_int_equal(es_options_parse(none, NULL, empty, NULL, NULL, NULL), ES_OK);
    cJSON_Delete(empty);
    expect_fault_of(NULL, NULL, "{\"x\": 1}", "unknown option \"x\"; there are no options here");
    expect_fault_of(none, NULL, "[1]", "found a list, needs an object");
}

static void a_required_option_must_be_there(void **state)
{
    (void)state;
    part p;
    expect_fault_of(part_options, &p, "{}", "path: is missing");
    expect_fault_of(part_options, &p, "{\"path\": null}", "path: is missing");
    es_err err = {0};
    es_arena arena = {0};
    assert_int_equal(es_options_parse(part_options, &p, NULL, NULL, &arena, &err), ES_EINPUT);
    assert_string_equal(err.text, "path: is missing");
}

static void a_required_number_is_not_excused_by_a_default_of_zero(void **state)
{
    (void)state;
    int64_t slots;
    const es_option rows[] = { { .name = "slots", .type = ES_OPT_INT, .min = 1, .max = 8, .required = true }, { 0 } };
    expect_fault_of(rows, &slots, "{\"slots\": 0}", "slots: 0 is below 1, the least it may be");
}

static void an_unknown_option_is_an_error_that_helps(void **state)
{
    (void)state;
    expect_fault("\"latancy\": 1", "unknown option \"latancy\"; did you mean \"latency\"?");
    expect_fault("\"Count\": 1", "unknown option \"Count\"; did you mean \"count\"?");
    expect_fault("\"xyzzy\": 1", "unknown option \"xyzzy\"; the options are strict, order, count, latency, capacity, limit, threshold, rate, cap, path, "
                                 "label, levels, extra");
    part p;
    expect_fault_of(part_options, &p, "{\"paht\": \"p\"}", "unknown option \"paht\"; did you mean \"path\"?");
}

static void members_left_to_the_caller_are_allowed_and_suggested(void **state)
{
    (void)state;
    static const char *const allow[] = { "name", "comment", NULL };
    const es_option rows[] = { { .name = "count", .type = ES_OPT_INT }, { 0 } };
    int64_t count;
    es_err err = {0};
    es_json *json = parsed("{\"name\": [], \"count\": 3, \"comment\": 1}");
    assert_int_equal(es_options_parse(rows, &count, json, allow, NULL, NULL), ES_OK);
    assert_int_equal(count, 3);
    cJSON_Delete(json);
    json = parsed("{\"coment\": 1}");
    assert_int_equal(es_options_parse(rows, &count, json, allow, NULL, &err), ES_EINPUT);
    assert_string_equal(err.text, "unknown option \"coment\"; did you mean \"comment\"?");
    cJSON_Delete(json);
    json = parsed("{\"xyzzy\": 1}");
    assert_int_equal(es_options_parse(rows, &count, json, allow, NULL, &err), ES_EINPUT);
    assert_string_equal(err.text, "unknown option \"xyzzy\"; the options are count, name, comment");
    cJSON_Delete(json);
}

static void a_value_of_the_wrong_kind_says_what_is_needed(void **state)
{
    (void)state;
    expect_fault("\"strict\": 1", "strict: found a number, needs true or false");
    expect_fault("\"order\": 1", "order: found a number, needs one of resident_first, in_order, barrier");
    expect_fault("\"count\": \"7\"", "count: found a text, needs a whole number");
    expect_fault("\"count\": null", "count: found null, needs a whole number");
    expect_fault("\"threshold\": true", "threshold: found true, needs a number");
    expect_fault("\"rate\": 12000000000", "rate: found a number, needs a text with a unit such as \"12GB/s\"");
    expect_fault("\"latency\": 5", "latency: found a number, needs a text with a unit such as \"3.4ms\"");
    expect_fault("\"capacity\": 4096", "capacity: found a number, needs a text with a unit such as \"24GiB\"");
    expect_fault("\"capacity\": []", "capacity: found a list, needs a text with a unit such as \"24GiB\"");
    expect_fault("\"label\": {}", "label: found an object, needs a text");
    expect_fault("\"levels\": 1", "levels: found a number, needs a list of numbers");
    expect_fault("\"levels\": [1, \"2\"]", "levels: [1]: found a text, needs a number");
}

static void a_value_that_makes_no_sense_is_refused(void **state)
{
    (void)state;
    expect_fault("\"count\": 1.5", "count: 1.5 is not a whole number");
    expect_fault("\"count\": 9007199254740993", "count: 9007199254740992 is too large to be exact; whole numbers in JSON go up to 9007199254740991");
    expect_fault("\"count\": -1e300", "count: -1e+300 is too large to be exact; whole numbers in JSON go up to 9007199254740991");
    expect_fault("\"rate\": \"12GB\"", "rate: \"12GB\" has no unit of a rate; write for example \"12GB/s\"");
    expect_fault("\"capacity\": \"4096\"", "capacity: \"4096\" has no unit of a size; write for example \"24GiB\"");
    expect_fault("\"limit\": \"1e10s\"", "limit: \"1e10s\" is too large a time");
    expect_fault("\"order\": \"residnt_first\"",
        "order: \"residnt_first\" is not one of resident_first, in_order, barrier; did you mean \"resident_first\"?");
    expect_fault("\"order\": \"whatever\"", "order: \"whatever\" is not one of resident_first, in_order, barrier");
}

static void bounds_hold_in_the_unit_of_the_field(void **state)
{
    (void)state;
    expect_fault("\"threshold\": 1.4", "threshold: 1.4 is above 0.9, the most it may be");
    expect_fault("\"threshold\": 0.49", "threshold: 0.49 is below 0.5, the least it may be");
    expect_fault("\"count\": 101", "count: 101 is above 100, the most it may be");
    expect_fault("\"count\": -3", "count: -3 is below -2, the least it may be");
    expect_fault("\"latency\": \"0.02s\"", "latency: 20ms is above 10ms, the most it may be");
    expect_fault("\"latency\": 0", "latency: 0 is below 1us, the least it may be");
    expect_fault("\"latency\": \"10000001ns\"", "latency: 10000001ns is above 10ms, the most it may be");
    expect_fault("\"capacity\": \"1023B\"", "capacity: 1023B is below 1KiB, the least it may be");
    expect_fault("\"rate\": \"-1GB/s\"", "rate: -1GB/s is below 0, the least it may be");
    expect_fault("\"levels\": [1, 0, 1.5]", "levels: [2]: 1.5 is above 1, the most it may be");
}

static void the_default_passes_even_outside_the_bounds(void **state)
{
    (void)state;
    es_json *json = parsed("{\"path\": \"\", \"capacity\": \"0B\", \"limit\": \"9223372036854775807ns\", \"cap\": null, \"label\": null, \"extra\": null}");
    part p;
    es_arena arena = {0};
    assert_int_equal(es_options_parse(part_options, &p, json, NULL, &arena, NULL), ES_OK);
    assert_int_equal(p.capacity, 0);
    assert_true(p.limit == INT64_MAX && isinf(p.cap));
    assert_null(p.label);
    assert_null(p.extra);
    es_arena_free(&arena);
    cJSON_Delete(json);
}

static void null_is_no_value_where_the_default_is_none(void **state)
{
    (void)state;
    es_json *json = parsed("{\"path\": \"\", \"limit\": null}");
    part p;
    es_arena arena = {0};
    assert_int_equal(es_options_parse(part_options, &p, json, NULL, &arena, NULL), ES_OK);
    assert_true(p.limit == INT64_MAX);
    es_arena_free(&arena);
    cJSON_Delete(json);
    const es_option rows[] = { { .name = "most", .type = ES_OPT_INT, .def = INFINITY }, { 0 } };
    int64_t most;
    json = parsed("{\"most\": null}");
    assert_int_equal(es_options_parse(rows, &most, json, NULL, NULL, NULL), ES_OK);
    assert_true(most == INT64_MAX);
    cJSON_Delete(json);
    expect_fault("\"capacity\": null", "capacity: found null, needs a text with a unit such as \"24GiB\"");
    expect_fault("\"levels\": null", "levels: found null, needs a list of numbers");
}

static void times_and_sizes_are_rounded_to_whole_ones(void **state)
{
    (void)state;
    es_json *json = parsed("{\"path\": \"\", \"latency\": \"1234.5678us\", \"capacity\": \"3.9GiB\", \"limit\": \"0.5ns\"}");
    part p;
    es_arena arena = {0};
    assert_int_equal(es_options_parse(part_options, &p, json, NULL, &arena, NULL), ES_OK);
    assert_int_equal(p.latency, 1234568);
    assert_true(p.capacity == 4187593114);
    assert_int_equal(p.limit, 1);
    es_arena_free(&arena);
    cJSON_Delete(json);
}

/* ---- echo ---- */

static void expect_equal(const part *a, const part *b)
{
    assert_int_equal(a->strict, b->strict);
    assert_int_equal(a->order, b->order);
    assert_true(a->count == b->count && a->latency == b->latency && a->capacity == b->capacity && a->limit == b->limit);
    assert_true(a->threshold == b->threshold && a->rate == b->rate && a->cap == b->cap);
    assert_string_equal(a->path, b->path);
    assert_int_equal(a->label == NULL, b->label == NULL);
    if (a->label)
        assert_string_equal(a->label, b->label);
    assert_int_equal(a->levels.count, b->levels.count);
    for (size_t i = 0; i < a->levels.count; i++)
        assert_true(a->levels.at[i] == b->levels.at[i]);
    assert_int_equal(a->extra == NULL || cJSON_IsNull(a->extra), b->extra == NULL);
    if (a->extra && b->extra)
        assert_true(cJSON_Compare(a->extra, b->extra, true));
}

/* Echoes the part, once as the tree it is and once through its text, and parses what it wrote. */
static void expect_round_trip(const part *p)
{
    es_arena arena = {0};
    es_err err = {0};
    part back;
    es_json *echo = cJSON_CreateObject(), *again;
    es_options_echo(part_options, p, echo);
    char *text = es_json_text(echo);
    if (es_options_parse(part_options, &back, echo, NULL, &arena, &err))
        fail_msg("%s", err.text);
    expect_equal(p, &back);
    assert_int_equal(es_json_parse(&again, text, strlen(text), NULL), ES_OK);
    if (es_options_parse(part_options, &back, again, NULL, &arena, &err))
        fail_msg("%s: %s", err.text, text);
    expect_equal(p, &back);
    free(text);
    cJSON_Delete(again);
    cJSON_Delete(echo);
    es_arena_free(&arena);
}

static void the_echo_shows_every_option_in_order(void **state)
{
    (void)state;
    part p;
    es_options_default(part_options, &p);
    p.path = "x.json";
    es_json *echo = cJSON_CreateObject();
    es_options_echo(part_options, &p, echo);
    char *text = es_json_text(echo);
    assert_string_equal(text,
        "{\n  \"strict\": true,\n  \"order\": \"in_order\",\n  \"count\": 7,\n  \"latency\": \"3.4ms\",\n  \"capacity\": \"0\",\n"
        "  \"limit\": null,\n  \"threshold\": 0.7,\n  \"rate\": \"12GB/s\",\n  \"cap\": null,\n  \"path\": \"x.json\",\n"
        "  \"label\": null,\n  \"levels\": [],\n  \"extra\": null\n}\n");
    free(text);
    cJSON_Delete(echo);
    expect_round_trip(&p);
}

static void what_the_echo_writes_parses_to_the_same_values(void **state)
{
    (void)state;
    es_json *extra = parsed("{\"deep\": [1, {\"x\": null}]}");
    for (uint64_t i = 0; i < 2000; i++) {
        double levels[3] = { es_draw_real(1, i, 0, 0, 0), es_draw_real(1, i, 1, 0, 0), 1.0 };
        part p = {
            .strict = i % 2,
            .order = (int)(i % 3),
            .count = (int64_t)es_draw_below(2, 103, i, 0, 0, 0) - 2,
            .latency = 1000 + es_draw_below(3, 9999001, i, 0, 0, 0),
            .capacity = 1024 + (int64_t)(es_draw(4, i, 0, 0, 0) >> (12 + i % 40)),
            .limit = (int64_t)(es_draw(5, i, 0, 0, 0) >> (11 + i % 50)),
            .threshold = 0.5 + 0.4 * es_draw_real(6, i, 0, 0, 0),
            .rate = 1e12 * es_draw_real(7, i, 0, 0, 0),
            .cap = i % 5 ? ldexp(es_draw_real(8, i, 0, 0, 0), (int)(i % 200) - 60) : INFINITY,
            .path = "p\"\\\n\xc3\xa9",
            .label = i % 2 ? "l" : NULL,
            .levels = { levels, i % 4 },
            .extra = i % 2 ? extra : NULL,
        };
        expect_round_trip(&p);
    }
    cJSON_Delete(extra);
}

static void a_whole_number_beyond_2_to_53_echoes_when_it_is_the_default(void **state)
{
    (void)state;
    const es_option rows[] = { { .name = "most", .type = ES_OPT_INT, .def = 1e18 }, { 0 } };
    int64_t most, back = 0;
    es_options_default(rows, &most);
    es_json *echo = cJSON_CreateObject();
    es_options_echo(rows, &most, echo);
    char *text = es_json_text(echo);
    assert_string_equal(text, "{\n  \"most\": 1000000000000000000\n}\n");
    assert_int_equal(es_options_parse(rows, &back, echo, NULL, NULL, NULL), ES_OK);
    assert_true(back == 1000000000000000000);
    es_json *again = parsed(text);
    assert_int_equal(es_options_parse(rows, &back, again, NULL, NULL, NULL), ES_OK);
    assert_true(back == 1000000000000000000);
    cJSON_Delete(again);
    cJSON_Delete(echo);
    free(text);
}

/* ---- for people and editors ---- */

static void rows_are_found_by_their_exact_name(void **state)
{
    (void)state;
    assert_ptr_equal(es_options_find(part_options, "strict"), &part_options[0]);
    assert_string_equal(es_options_find(part_options, "extra")->name, "extra");
    assert_null(es_options_find(part_options, "Strict"));
    assert_null(es_options_find(part_options, ""));
    assert_null(es_options_find(NULL, "strict"));
}

static void describe_tells_all_of_a_row(void **state)
{
    (void)state;
    es_text text = {0};
    es_options_describe(part_options, "  ", &text);
    assert_string_equal(text.at,
        "  strict: true or false, default true\n      Refuse a|b.\n"
        "  order: one of resident_first, in_order, barrier, default in_order\n      Which first.\n"
        "  count: whole number (tokens), default 7, -2 to 100\n      How many.\n"
        "  latency: time, default 3.4ms, 1us to 10ms, tunable\n      How long.\n"
        "  capacity: size, default 0, at least 1KiB\n      0: no limit.\n"
        "  limit: time, default none\n"
        "  threshold: number, default 0.7, 0.5 to 0.9, tunable\n      Confidence.\n"
        "  rate: rate, default 12GB/s\n"
        "  cap: rate, default none\n"
        "  path: text, required\n      The file.\n"
        "  label: text, default none\n"
        "  levels: list of numbers, default [], 0 to 1\n      Steps.\n"
        "  extra: JSON, default none\n");
    es_text_free(&text);
}

static void markdown_is_one_row_per_option(void **state)
{
    (void)state;
    const es_option rows[] = {
        part_options[0], part_options[3], { .name = "top", .type = ES_OPT_REAL, .min = -INFINITY, .max = 2 },
        { .name = "title", .type = ES_OPT_TEXT, .def_text = "x" }, { 0 },
    };
    es_text text = {0};
    es_options_markdown(rows, "policy.", &text);
    assert_string_equal(text.at,
        "| `policy.strict` | true or false | true |  | Refuse a\\|b. |\n"
        "| `policy.latency` | time | 3.4ms | 1us to 10ms | How long. Tunable. |\n"
        "| `policy.top` | number | 0 | at most 2 |  |\n"
        "| `policy.title` | text | \"x\" |  |  |\n");
    es_text_free(&text);
}

static void the_schema_has_a_property_per_option(void **state)
{
    (void)state;
    es_json *properties = cJSON_CreateObject();
    es_options_schema(part_options, properties);
    assert_int_equal(cJSON_GetArraySize(properties), 13);
    static const struct {
        const char *name, *schema;
    } rows[] = {
        { "strict", "{\"type\": \"boolean\", \"default\": true, \"description\": \"Refuse a|b.\"}" },
        { "order", "{\"type\": \"string\", \"enum\": [\"resident_first\", \"in_order\", \"barrier\"], \"default\": \"in_order\", \"description\": \"Which first.\"}" },
        { "count", "{\"type\": \"integer\", \"minimum\": -2, \"maximum\": 100, \"default\": 7, \"description\": \"How many.\"}" },
        { "limit", "{\"type\": [\"string\", \"number\", \"null\"], \"pattern\": \"^0$|^-?[0-9.]+(e[+-]?[0-9]+)? *(ns|us|ms|s)$\", \"minimum\": 0, \"maximum\": 0,"
                   "\"default\": null}" },
        { "cap", "{\"type\": [\"string\", \"number\", \"null\"], \"pattern\": \"^0$|^-?[0-9.]+(e[+-]?[0-9]+)? *([KMGT]i?)?B/s$\", \"minimum\": 0,"
                 "\"maximum\": 0, \"default\": null}" },
        { "path", "{\"type\": \"string\", \"description\": \"The file.\"}" },
        { "label", "{\"type\": [\"string\", \"null\"], \"default\": null}" },
        { "levels", "{\"type\": \"array\", \"items\": {\"type\": \"number\", \"minimum\": 0, \"maximum\": 1}, \"default\": [], \"description\": \"Steps.\"}" },
        { "extra", "{\"default\": null}" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        es_json *expected = parsed(rows[i].schema);
        char *got = es_json_text(es_json_at(properties, rows[i].name)), *want = es_json_text(expected);
        assert_string_equal(got, want);
        free(got);
        free(want);
        cJSON_Delete(expected);
    }
    cJSON_Delete(properties);
}

static void a_schema_admits_the_default_and_leaves_out_infinite_bounds(void **state)
{
    (void)state;
    const es_option rows[] = { { .name = "most", .type = ES_OPT_INT, .def = 0, .min = 1, .max = INFINITY }, { 0 } };
    es_json *properties = cJSON_CreateObject();
    es_options_schema(rows, properties);
    char *text = es_json_text(properties);
    assert_string_equal(text, "{\n  \"most\": {\n    \"type\": \"integer\",\n    \"minimum\": 0,\n    \"default\": 0\n  }\n}\n");
    free(text);
    cJSON_Delete(properties);
}

/* ---- no memory ---- */

static int allocations_left;

static void *scarce_malloc(size_t size)
{
    return allocations_left-- > 0 ? malloc(size) : NULL;
}

static int plenty_of_memory(void **state)
{
    (void)state;
    cJSON_InitHooks(NULL);
    return 0;
}

static void an_echo_that_runs_out_of_memory_leaks_nothing(void **state)
{
    (void)state;
    es_json *extra = parsed("{\"deep\": [1, {\"x\": null}]}");
    double levels[] = { 0.1, 0.2 };
    part p;
    es_options_default(part_options, &p);
    p.levels = (es_reals){ levels, 2 };
    p.extra = extra;
    cJSON_InitHooks(&(cJSON_Hooks){ scarce_malloc, free });
    for (int most = 0; most < 120; most++) {
        allocations_left = most;
        es_json *echo = cJSON_CreateObject(), *properties = cJSON_CreateObject();
        es_options_echo(part_options, &p, echo);
        es_options_schema(part_options, properties);
        cJSON_Delete(echo);
        cJSON_Delete(properties);
    }
    cJSON_Delete(extra);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_not_given_have_their_defaults),
        cmocka_unit_test(every_type_is_read),
        cmocka_unit_test(no_rows_and_no_object_are_fine),
        cmocka_unit_test(a_required_option_must_be_there),
        cmocka_unit_test(a_required_number_is_not_excused_by_a_default_of_zero),
        cmocka_unit_test(an_unknown_option_is_an_error_that_helps),
        cmocka_unit_test(members_left_to_the_caller_are_allowed_and_suggested),
        cmocka_unit_test(a_value_of_the_wrong_kind_says_what_is_needed),
        cmocka_unit_test(a_value_that_makes_no_sense_is_refused),
        cmocka_unit_test(bounds_hold_in_the_unit_of_the_field),
        cmocka_unit_test(the_default_passes_even_outside_the_bounds),
        cmocka_unit_test(null_is_no_value_where_the_default_is_none),
        cmocka_unit_test(times_and_sizes_are_rounded_to_whole_ones),
        cmocka_unit_test(the_echo_shows_every_option_in_order),
        cmocka_unit_test(what_the_echo_writes_parses_to_the_same_values),
        cmocka_unit_test(a_whole_number_beyond_2_to_53_echoes_when_it_is_the_default),
        cmocka_unit_test(rows_are_found_by_their_exact_name),
        cmocka_unit_test(describe_tells_all_of_a_row),
        cmocka_unit_test(markdown_is_one_row_per_option),
        cmocka_unit_test(the_schema_has_a_property_per_option),
        cmocka_unit_test(a_schema_admits_the_default_and_leaves_out_infinite_bounds),
        cmocka_unit_test_teardown(an_echo_that_runs_out_of_memory_leaks_nothing, plenty_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
