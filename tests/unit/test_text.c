/* Text: strings that grow, the nearest name, quantities. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "sim/base/rng.h"
#include "sim/base/text.h"

/* ---- a growing string ---- */

static void a_text_grows_and_is_always_terminated(void **state)
{
    (void)state;
    es_text text = {0};
    es_text_add(&text, "%s", "");
    assert_string_equal(text.at, "");
    for (int i = 0; i < 1000; i++) {
        es_text_add(&text, "%03d", i);
        es_text_put(&text, ",x", 1);
        assert_int_equal(text.length, 4 * (i + 1));
        assert_int_equal(strlen(text.at), text.length);
    }
    assert_memory_equal(text.at + 4 * 999, "999,", 5);
    assert_false(text.failed);
    es_text_free(&text);
    assert_null(text.at);
    assert_int_equal(text.length, 0);
}

static void put_takes_nul_bytes_and_nothing(void **state)
{
    (void)state;
    es_text text = {0};
    es_text_put(&text, NULL, 0);
    assert_string_equal(text.at, "");
    es_text_put(&text, "a\0b", 3);
    assert_int_equal(text.length, 3);
    assert_memory_equal(text.at, "a\0b", 4);
    es_text_free(&text);
}

static void a_text_without_memory_keeps_what_it_had_and_says_so(void **state)
{
    (void)state;
    es_text text = {0};
    es_text_add(&text, "kept");
    es_text_put(&text, "", SIZE_MAX / 2);
    assert_true(text.failed);
    es_text_add(&text, "lost");
    es_text_put(&text, "lost", 4);
    assert_string_equal(text.at, "kept");
    es_text_free(&text);
    assert_false(text.failed);
}

/* ---- the nearest name ---- */

static void the_nearest_name_is_a_slip_away(void **state)
{
    (void)state;
    static const char *const names[] = { "latency", "lru", "lfu", "resident_first", "l2_threshold" };
    static const struct {
        const char *word, *nearest;
    } rows[] = {
        { "latancy", "latency" }, { "ltaency", "latency" }, { "latenc", "latency" }, { "LATENCY", "latency" }, { "residnt_first", "resident_first" },
        { "l2-threshold", "l2_threshold" }, { "lru", "lru" }, { "lfu", "lfu" }, { "lxu", "lru" }, { "rlu", "lru" },
        { "bandwidth", NULL }, { "x", NULL }, { "", NULL }, { "tiers", NULL },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *nearest = es_text_nearest(rows[i].word, names, 5);
        if (rows[i].nearest)
            assert_string_equal(nearest, rows[i].nearest);
        else
            assert_null(nearest);
    }
    assert_null(es_text_nearest("latency", names, 0));
}

static void names_too_long_to_compare_are_not_suggested(void **state)
{
    (void)state;
    char most[64], more[65];
    memset(most, 'a', 63), most[63] = '\0';
    memset(more, 'a', 64), more[64] = '\0';
    const char *names[] = { more, most };
    assert_ptr_equal(es_text_nearest(most, names, 2), most);
    assert_null(es_text_nearest(most, names, 1));
    assert_null(es_text_nearest(more, names, 2));
}

/* ---- quantities ---- */

static void a_quantity_is_a_number_and_a_unit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        es_unit unit;
        double value;
    } rows[] = {
        { "24GiB", ES_UNIT_BYTES, 24.0 * (1 << 30) }, { "4000MiB", ES_UNIT_BYTES, 4194304000.0 }, { "64MB", ES_UNIT_BYTES, 64e6 },
        { "512B", ES_UNIT_BYTES, 512.0 }, { "1KiB", ES_UNIT_BYTES, 1024.0 }, { "1KB", ES_UNIT_BYTES, 1000.0 }, { "2GB", ES_UNIT_BYTES, 2e9 },
        { "3TB", ES_UNIT_BYTES, 3e12 }, { "0.5TiB", ES_UNIT_BYTES, 0x1p39 }, { "0", ES_UNIT_BYTES, 0.0 }, { "0B", ES_UNIT_BYTES, 0.0 },
        { "3.4ms", ES_UNIT_TIME, 3.4e6 }, { "4.35us", ES_UNIT_TIME, 4350.0 }, { "1.001us", ES_UNIT_TIME, 1001.0 }, { "7ns", ES_UNIT_TIME, 7.0 },
        { "2s", ES_UNIT_TIME, 2e9 }, { "1e-3s", ES_UNIT_TIME, 1e6 }, { "1e+3 us", ES_UNIT_TIME, 1e6 }, { ".5s", ES_UNIT_TIME, 5e8 },
        { "5.s", ES_UNIT_TIME, 5e9 }, { "-3ms", ES_UNIT_TIME, -3e6 }, { "0.0", ES_UNIT_TIME, 0.0 }, { "1e-99999999999999999999s", ES_UNIT_TIME, 0.0 },
        { "12GB/s", ES_UNIT_RATE, 12e9 }, { "800MiB/s", ES_UNIT_RATE, 800.0 * (1 << 20) }, { "12.3GB/s", ES_UNIT_RATE, 12.3e9 },
        { "0", ES_UNIT_RATE, 0.0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double value = -1.0;
        es_err err = {0};
        assert_int_equal(es_text_quantity(rows[i].text, rows[i].unit, &value, &err), ES_OK);
        assert_true(value == rows[i].value);
    }
}

static void what_is_no_quantity_is_refused_with_what_would_be_right(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        es_unit unit;
        const char *error;
    } rows[] = {
        { "12GB", ES_UNIT_RATE, "\"12GB\" has no unit of a rate; write for example \"12GB/s\"" },
        { "12", ES_UNIT_RATE, "\"12\" has no unit of a rate; write for example \"12GB/s\"" },
        { "4096", ES_UNIT_BYTES, "\"4096\" has no unit of a size; write for example \"24GiB\"" },
        { "7", ES_UNIT_TIME, "\"7\" has no unit of a time; write for example \"3.4ms\"" },
        { "7GiB", ES_UNIT_TIME, "\"7GiB\" has no unit of a time; write for example \"3.4ms\"" },
        { "3 min", ES_UNIT_TIME, "\"3 min\" has no unit of a time (ns, us, ms, s); write for example \"3.4ms\"" },
        { "3MS", ES_UNIT_TIME, "\"3MS\" has no unit of a time (ns, us, ms, s); write for example \"3.4ms\"" },
        { "3ms ", ES_UNIT_TIME, "\"3ms \" has no unit of a time (ns, us, ms, s); write for example \"3.4ms\"" },
        { "1es", ES_UNIT_TIME, "\"1es\" has no unit of a time (ns, us, ms, s); write for example \"3.4ms\"" },
        { "12Gb/s", ES_UNIT_RATE,
            "\"12Gb/s\" has no unit of a rate (B/s, KB/s, KiB/s, MB/s, MiB/s, GB/s, GiB/s, TB/s, TiB/s); write for example \"12GB/s\"" },
        { "", ES_UNIT_TIME, "\"\" is not a time; write for example \"3.4ms\"" },
        { "fast", ES_UNIT_RATE, "\"fast\" is not a rate; write for example \"12GB/s\"" },
        { "infs", ES_UNIT_TIME, "\"infs\" is not a time; write for example \"3.4ms\"" },
        { " 3ms", ES_UNIT_TIME, "\" 3ms\" is not a time; write for example \"3.4ms\"" },
        { "-.s", ES_UNIT_TIME, "\"-.s\" is not a time; write for example \"3.4ms\"" },
        { "1e400B", ES_UNIT_BYTES, "\"1e400B\" is too large a size" },
        { "1e99999999999999999999TiB", ES_UNIT_BYTES, "\"1e99999999999999999999TiB\" is too large a size" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double value = -1.0;
        es_err err = {0};
        assert_int_equal(es_text_quantity(rows[i].text, rows[i].unit, &value, &err), ES_EINPUT);
        assert_string_equal(err.text, rows[i].error);
        assert_true(value == -1.0);
        assert_int_equal(es_text_quantity(rows[i].text, rows[i].unit, &value, NULL), ES_EINPUT);
    }
}

static void a_number_of_63_characters_is_the_longest(void **state)
{
    (void)state;
    char text[80];
    double value = -1.0;
    es_err err = {0};
    snprintf(text, sizeof text, "%063dTiB", 1);
    assert_int_equal(es_text_quantity(text, ES_UNIT_BYTES, &value, &err), ES_OK);
    assert_true(value == 0x1p40);
    snprintf(text, sizeof text, "%061de9s", 1);
    assert_int_equal(es_text_quantity(text, ES_UNIT_TIME, &value, &err), ES_OK);
    assert_true(value == 1e18);
    snprintf(text, sizeof text, "%064ds", 1);
    assert_int_equal(es_text_quantity(text, ES_UNIT_TIME, &value, &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "1s\" has more than 63 characters before the unit"));
}

static void expect_unit(double value, es_unit unit, const char *expected)
{
    es_text text = {0};
    es_text_unit(&text, value, unit);
    assert_string_equal(text.at, expected);
    es_text_free(&text);
}

static void a_quantity_is_written_in_its_shortest_unit(void **state)
{
    (void)state;
    expect_unit(4194304000.0, ES_UNIT_BYTES, "4000MiB");
    expect_unit(25769803776.0, ES_UNIT_BYTES, "24GiB");
    expect_unit(1610612736.0, ES_UNIT_BYTES, "1.5GiB");
    expect_unit(64e6, ES_UNIT_BYTES, "64MB");
    expect_unit(1023.0, ES_UNIT_BYTES, "1023B");
    expect_unit(1.0, ES_UNIT_BYTES, "1B");
    expect_unit(9007199254740991.0, ES_UNIT_BYTES, "9007199254740991B");
    expect_unit(10000.0, ES_UNIT_TIME, "10us");
    expect_unit(3.4e6, ES_UNIT_TIME, "3.4ms");
    expect_unit(100e6, ES_UNIT_TIME, "100ms");
    expect_unit(1234567.0, ES_UNIT_TIME, "1234567ns");
    expect_unit(3600e9, ES_UNIT_TIME, "3600s");
    expect_unit(0.25, ES_UNIT_TIME, "0.25ns");
    expect_unit(-3e6, ES_UNIT_TIME, "-3ms");
    expect_unit(12.3e9, ES_UNIT_RATE, "12.3GB/s");
    expect_unit(0.0, ES_UNIT_RATE, "0");
    expect_unit(-0.0, ES_UNIT_TIME, "0");
    expect_unit(INFINITY, ES_UNIT_RATE, "inf");
}

static void what_a_unit_writes_reads_back_equal(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 60000; i++) {
        uint64_t bits = es_draw(7, i, 0, 0, 0);
        es_unit unit = (es_unit)(i % 3);
        /* whole numbers of every size, short decimals, any double at all */
        double any, value, back = -1.0;
        memcpy(&any, &bits, sizeof any);
        value = i % 4 == 0 ? (double)(bits >> (i % 64)) : i % 4 == 1 ? (double)(bits % 100000) * 1e4 : i % 4 == 2 ? (double)(bits % 1000) / 100.0 : any;
        if (!isfinite(value))
            continue;
        es_text text = {0};
        es_text_unit(&text, value, unit);
        assert_int_equal(es_text_quantity(text.at, unit, &back, NULL), ES_OK);
        assert_true(back == value);
        es_text_free(&text);
    }
}

/* ---- for people ---- */

static void expect_shown(void (*show)(es_text *, double), double value, const char *expected)
{
    es_text text = {0};
    show(&text, value);
    assert_string_equal(text.at, expected);
    es_text_free(&text);
}

static void people_see_three_digits(void **state)
{
    (void)state;
    expect_shown(es_text_bytes, 4194304000.0, "3.91 GiB");
    expect_shown(es_text_bytes, 25769803776.0, "24 GiB");
    expect_shown(es_text_bytes, 0.0, "0 B");
    expect_shown(es_text_bytes, 1023.0, "1023 B");
    expect_shown(es_text_bytes, 1024.0, "1 KiB");
    expect_shown(es_text_bytes, 1048575.0, "1.00 MiB");
    expect_shown(es_text_bytes, -1536.0, "-1.50 KiB");
    expect_shown(es_text_bytes, 0x1p60, "1048576 TiB");
    expect_shown(es_text_duration, 12.3e6, "12.3 ms");
    expect_shown(es_text_duration, 123.4e3, "123 us");
    expect_shown(es_text_duration, 999.7e3, "1.00 ms");
    expect_shown(es_text_duration, 7.0, "7 ns");
    expect_shown(es_text_duration, 9.996, "10.0 ns");
    expect_shown(es_text_duration, 0.126, "0.13 ns");
    expect_shown(es_text_duration, 86400e9, "86400 s");
    expect_shown(es_text_duration, INFINITY, "inf s");
}

static void counts_have_commas(void **state)
{
    (void)state;
    static const struct {
        int64_t count;
        const char *text;
    } rows[] = {
        { 0, "0" }, { 999, "999" }, { 1000, "1,000" }, { 1763712, "1,763,712" }, { -12345, "-12,345" }, { -100, "-100" },
        { INT64_MAX, "9,223,372,036,854,775,807" }, { INT64_MIN, "-9,223,372,036,854,775,808" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        es_text text = {0};
        es_text_count(&text, rows[i].count);
        assert_string_equal(text.at, rows[i].text);
        es_text_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_grows_and_is_always_terminated),
        cmocka_unit_test(put_takes_nul_bytes_and_nothing),
        cmocka_unit_test(a_text_without_memory_keeps_what_it_had_and_says_so),
        cmocka_unit_test(the_nearest_name_is_a_slip_away),
        cmocka_unit_test(names_too_long_to_compare_are_not_suggested),
        cmocka_unit_test(a_quantity_is_a_number_and_a_unit),
        cmocka_unit_test(what_is_no_quantity_is_refused_with_what_would_be_right),
        cmocka_unit_test(a_number_of_63_characters_is_the_longest),
        cmocka_unit_test(a_quantity_is_written_in_its_shortest_unit),
        cmocka_unit_test(what_a_unit_writes_reads_back_equal),
        cmocka_unit_test(people_see_three_digits),
        cmocka_unit_test(counts_have_commas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
