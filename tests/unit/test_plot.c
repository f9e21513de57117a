/* Figures: the files of one, drawn where there is gnuplot; texts that are no commands; what cannot be drawn. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "plots/plot.h"
#include "sim/base/file.h"
#include "tests/support/folder.h"

static void fine(es_code code, const es_err *err)
{
    if (code != ES_OK)
        print_error("%s\n", err->text);
    assert_int_equal(code, ES_OK);
}

static char *loaded(const char *path)
{
    char *text = NULL;
    size_t length;
    es_err err = {0};
    fine(es_file_load(path, 1 << 24, &text, &length, &err), &err);
    return text;
}

static void has(const char *path, const char *wanted)
{
    char *text = loaded(path);
    if (!strstr(text, wanted))
        fail_msg("%s has no \"%s\":\n%s", path, wanted, text);
    free(text);
}

static bool have_gnuplot(void)
{
    return system("gnuplot --version >/dev/null 2>&1") == 0;
}

/* ---- figures ---- */

static const double bytes[] = {4096, 65536, 1048576, 16777216}, seconds[] = {9e-6, 12e-6, 52e-6, 700e-6};
static const double low[] = {8e-6, 11e-6, 51e-6, 600e-6}, high[] = {10e-6, 13e-6, 55e-6, 900e-6}, marks[] = {524288};

static const plot_series copy_series[] = {
    {.label = "95 % of fits", .style = PLOT_BAND, .x = bytes, .low = low, .high = high, .count = 4},
    {.label = "fit", .style = PLOT_LINE, .x = bytes, .y = seconds, .count = 4},
    {.label = "median, 95 %", .style = PLOT_RANGES, .x = bytes, .y = seconds, .low = low, .high = high, .count = 4},
    {.label = "knee", .style = PLOT_MARKS, .x = marks, .count = 1},
};

static const plot_figure copies = {
    .name = "copies", .title = "A copy to the device", .note = "Made up for a test.",
    .x = {.label = "size", .unit = PLOT_BYTES, .log = true}, .y = {.label = "time", .unit = PLOT_SECONDS, .log = true},
    .series = copy_series, .count = 4,
};

/* All styles there are, linear axes, bars by category. */
static const double place[] = {0, 1, 2}, rates[] = {9e9, 7.5e9, 8e9}, gap[] = {9e9, NAN, 8e9}, rates_low[] = {8e9, 7e9, 7.9e9}, rates_high[] = {9.5e9, 8e9, 8.2e9};
static const char *const names[] = {"alone", "95 % beside it", "beside 'expert_1'"};

static const plot_series rate_series[] = {
    {.label = "to the device", .style = PLOT_BARS, .x = place, .y = rates, .low = rates_low, .high = rates_high, .count = 3},
    {.label = "to the host", .style = PLOT_BARS, .x = place, .y = gap, .count = 3},
    {.label = "joined", .style = PLOT_BOTH, .x = place, .y = rates, .count = 3},
    {.label = "steps", .style = PLOT_STEPS, .x = place, .y = gap, .count = 3},
    {.label = "points", .style = PLOT_POINTS, .x = place, .y = rates_low, .count = 3},
    {.label = "nothing", .style = PLOT_LINE, .count = 0},
};

static const plot_figure bars = {
    .name = "bars", .title = "Rates", .x = {.label = "what"}, .y = {.label = "rate", .unit = PLOT_BYTES_PER_SECOND},
    .category = names, .categories = 3, .series = rate_series, .count = 6,
};

/* ---- writing ---- */

static void a_figure_is_its_numbers_and_a_script(void **state)
{
    (void)state;
    es_err err = {0};
    fine(plot_write(&copies, at("made/on the way"), &err), &err);
    has(at("made/on the way/copies.dat"), "# 95 % of fits\n# x low high\n 4096 8e-06 1e-05\n");
    has(at("made/on the way/copies.dat"), "\n\n\n# fit\n# x y\n 4096 9e-06\n");
    has(at("made/on the way/copies.dat"), "# median, 95 %\n# x y low high\n 4096 9e-06 8e-06 1e-05\n");
    has(at("made/on the way/copies.gp"), "set logscale x 2\nset format x '%g'\nset xtics ('4 KiB' 4096, '16 KiB' 16384, ");
    has(at("made/on the way/copies.gp"), "set format y '%.0s %cs'\n");
    has(at("made/on the way/copies.gp"), "'copies.dat' index 1 using");
    fine(plot_write(&bars, at("."), &err), &err);
    has(at("bars.gp"), "set ylabel 'rate, GB/s'\n");        /* a linear axis names the unit once */
    has(at("bars.gp"), "($2*1e-09)");
    has(at("bars.gp"), "'95 %% beside it' 1, 'beside \xe2\x80\x99" "expert_1\xe2\x80\x99' 2");
    has(at("bars.dat"), " 1 NaN\n");
}

static void the_same_figure_is_the_same_bytes(void **state)
{
    (void)state;
    es_err err = {0};
    for (int i = 0; i < 2; i++)
        fine(plot_write(&copies, at(i ? "two" : "one"), &err), &err);
    for (int i = 0; i < 2; i++) {
        char *one = loaded(at(i ? "one/copies.gp" : "one/copies.dat")), *two = loaded(at(i ? "two/copies.gp" : "two/copies.dat"));
        assert_string_equal(one, two);
        free(one);
        free(two);
    }
}

static void no_two_series_look_alike_without_colour(void **state)
{
    (void)state;
    plot_series lines[12];
    plot_figure many = copies;
    char *look[12], *rest = NULL;
    size_t found = 0;
    es_err err = {0};
    for (size_t i = 0; i < 12; i++)
        lines[i] = (plot_series){.label = "x", .style = PLOT_BOTH, .x = bytes, .y = seconds, .count = 4};
    many.name = "many";
    many.series = lines;
    many.count = 12;
    fine(plot_write(&many, at("."), &err), &err);
    char *text = loaded(at("many.gp"));
    for (char *line = strtok_r(text, "\n", &rest); line && found < 12; line = strtok_r(NULL, "\n", &rest))
        if (strstr(line, "index ") && strstr(line, " dt "))
            look[found++] = strstr(line, " dt ");       /* dash and point; the colour stands before */
    assert_int_equal(found, 12);
    for (size_t i = 0; i < found; i++)
        for (size_t j = 0; j < 7 && j < i; j++)
            assert_string_not_equal(look[i], look[i - 1 - j]);
    free(text);
}

static void bars_are_never_empty_and_go_below_zero_where_numbers_do(void **state)
{
    (void)state;
    static const double x[] = {0, 1}, up[] = {0.5, 0.25}, down[] = {0.0, -0.125};
    static const char *two[] = {"lru", "lfu"};
    plot_series nine[9];
    es_err err = {0};
    for (size_t i = 0; i < 9; i++)
        nine[i] = (plot_series){.label = "x", .style = PLOT_BARS, .x = x, .y = up, .count = 2};
    plot_figure figure = {.name = "up", .title = "t", .x = {.label = "candidate"}, .y = {.label = "hits", .unit = PLOT_SHARE}, .category = two, .categories = 2, .series = nine, .count = 9};
    fine(plot_write(&figure, at("."), &err), &err);
    has(at("up.gp"), "set yrange [0:*]");
    char *text = loaded(at("up.gp"));
    assert_non_null(strstr(text, "fs pattern "));
    assert_null(strstr(text, "fs pattern 0"));
    free(text);
    nine[8].y = down;
    figure.name = "down";
    fine(plot_write(&figure, at("."), &err), &err);
    has(at("down.gp"), "set yrange [*<0:0<*]");
    nine[8] = (plot_series){.label = "x", .style = PLOT_BARS, .x = x, .y = up, .low = down, .high = up, .count = 2};
    figure.name = "known";
    fine(plot_write(&figure, at("."), &err), &err);
    has(at("known.gp"), "set yrange [*<0:0<*]");
}

static void a_figure_without_a_point_is_refused(void **state)
{
    (void)state;
    const double zero[] = {0, 0, 0, 0}, nowhere[] = {NAN, INFINITY, -1, 0};
    plot_series series[2] = {{.label = "m", .style = PLOT_MARKS, .x = bytes, .count = 4}, {.label = "l", .style = PLOT_LINE, .x = zero, .y = seconds, .count = 4}};
    plot_figure none = copies;
    es_err err = {0};
    none.series = series;
    none.count = 2;
    assert_int_equal(plot_write(&none, at("."), &err), ES_EINTERNAL);
    assert_string_equal(err.text, "figure copies: has 2 series, needs at least one with a point to draw, and at most 32");
    series[1].x = bytes;
    series[1].y = nowhere;
    assert_int_equal(plot_write(&none, at("."), &err), ES_EINTERNAL);
    static const char *const wrong[] = {"../up", "", ".hidden", "-rf", "a b", "a'b"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        plot_figure named = copies;
        named.name = wrong[i];
        assert_int_equal(plot_write(&named, at("."), &err), ES_EINTERNAL);
        assert_non_null(strstr(err.text, "a figure cannot be called \""));
    }
    assert_int_equal(plot_write(&copies, "/proc/no/such", &err), ES_EINPUT);
}

/* ---- drawing ---- */

static void drawing_gives_the_same_picture_each_time(void **state)
{
    (void)state;
    es_err err = {0};
    bool drawn = false;
    if (!have_gnuplot())
        skip();
    for (int i = 0; i < 2; i++) {
        fine(plot_write(&copies, at(i ? "two" : "one"), &err), &err);
        fine(plot_draw("copies", at(i ? "two" : "one"), &drawn, &err), &err);
        assert_true(drawn);
    }
    char *one = loaded(at("one/copies.svg")), *two = loaded(at("two/copies.svg"));
    assert_string_equal(one, two);
    assert_non_null(strstr(one, "A copy to the device"));
    assert_non_null(strstr(one, "16 MiB"));
    assert_non_null(strstr(one, "Made up for a test."));
    free(one);
    free(two);
    has(at("one/copies.png"), "\x89PNG");
    fine(plot_write(&bars, at("."), &err), &err);
    fine(plot_draw("bars", at("."), &drawn, &err), &err);
    has(at("bars.svg"), "95 % beside it");
    has(at("bars.svg"), "expert_1");
}

static void nothing_in_a_text_is_a_command(void **state)
{
    (void)state;
    es_err err = {0};
    bool drawn = false;
    plot_series line = {.label = "`touch label`' \n!touch shell\n", .style = PLOT_LINE, .x = bytes, .y = seconds, .count = 4};
    plot_figure bad = copies;
    bad.name = "bad";
    bad.title = "it's `touch title` \"; system('touch system') @x_1^2 \\n {/=90 a}";
    bad.note = "'.system('touch note').'\nset output";
    bad.series = &line;
    bad.count = 1;
    if (!have_gnuplot())
        skip();
    fine(plot_write(&bad, at("."), &err), &err);
    fine(plot_draw("bad", at("."), &drawn, &err), &err);
    assert_true(drawn);
    static const char *const made[] = {"label", "shell", "title", "system", "note"};
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        assert_int_not_equal(access(at(made[i]), F_OK), 0);
    has(at("bad.svg"), "@x_1^2 \\n {/=90 a}");
}

static void what_gnuplot_says_is_told(void **state)
{
    (void)state;
    es_err err = {0};
    bool drawn = true;
    if (!have_gnuplot())
        skip();
    fine(es_file_save(at("wrong.gp"), "set nonsense\n", 13, &err), &err);
    assert_int_equal(plot_draw("wrong", at("."), &drawn, &err), ES_EDEVICE);
    assert_false(drawn);
    assert_non_null(strstr(err.text, "wrong.gp: gnuplot failed: "));
    assert_non_null(strstr(err.text, "line 1: "));
    assert_int_equal(plot_draw("wrong", at("nowhere"), &drawn, &err), ES_EDEVICE);
}

static void without_gnuplot_the_files_stay(void **state)
{
    (void)state;
    es_err err = {0};
    bool drawn = true;
    char *path = strdup(getenv("PATH"));
    setenv("PATH", "/nowhere", 1);
    fine(plot_write(&copies, at("without"), &err), &err);
    fine(plot_draw("copies", at("without"), &drawn, &err), &err);
    setenv("PATH", path, 1);
    free(path);
    assert_false(drawn);
    assert_int_equal(access(at("without/copies.gp"), F_OK), 0);
    assert_int_equal(access(at("without/copies.dat"), F_OK), 0);
    assert_int_not_equal(access(at("without/copies.svg"), F_OK), 0);
}

/* ---- heat maps ---- */

static const double slots[] = {1, 2, 3}, layers[] = {0, 1}, misses[] = {1.0, 0.5, 0.25, 0.75, NAN, 0.0};

static const plot_heat heat = {.name = "heat", .title = "Layer 1's misses", .note = "Made up.", .x_label = "slots", .y_label = "layer", .value_label = "misses, %",
    .x = slots, .y = layers, .value = misses, .columns = 3, .rows = 2};

static void a_heat_map_is_its_cells_and_a_script(void **state)
{
    (void)state;
    es_err err = {0};
    bool drawn;
    fine(plot_write_heat(&heat, at("."), &err), &err);
    char *data = loaded(at("heat.dat"));
    assert_string_equal(data, "# x y value\n 1 0 1\n 2 0 0.5\n 3 0 0.25\n 1 1 0.75\n 2 1 NaN\n 3 1 0\n");
    free(data);
    has(at("heat.gp"), "set title 'Layer 1\xe2\x80\x99s misses'");
    has(at("heat.gp"), "set xrange [0.5:3.5]");
    has(at("heat.gp"), "set yrange [-0.5:1.5]");
    has(at("heat.gp"), "set ytics (0, 1)");
    has(at("heat.gp"), "set cblabel 'misses, %'");
    if (!have_gnuplot())
        skip();
    fine(plot_draw("heat", at("."), &drawn, &err), &err);
    assert_true(drawn);
    char *first = loaded(at("heat.svg"));
    fine(plot_draw("heat", at("."), &drawn, &err), &err);
    char *second = loaded(at("heat.svg"));
    assert_string_equal(first, second);
    assert_int_equal(access(at("heat.png"), F_OK), 0);
    free(first);
    free(second);
}

static void a_heat_map_without_a_cell_is_refused(void **state)
{
    (void)state;
    es_err err = {0};
    const double none[] = {NAN, NAN, NAN, NAN, NAN, NAN}, beyond[] = {0, 0, 0, 0, 0, 1.5};
    plot_heat bad = heat;
    bad.value = none;
    assert_int_equal(plot_write_heat(&bad, at("."), &err), ES_EINTERNAL);
    bad.value = beyond;
    assert_int_equal(plot_write_heat(&bad, at("."), &err), ES_EINTERNAL);
    bad.value = misses;
    bad.name = "../heat";
    assert_int_equal(plot_write_heat(&bad, at("."), &err), ES_EINTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_figure_is_its_numbers_and_a_script),
        cmocka_unit_test(the_same_figure_is_the_same_bytes),
        cmocka_unit_test(no_two_series_look_alike_without_colour),
        cmocka_unit_test(bars_are_never_empty_and_go_below_zero_where_numbers_do),
        cmocka_unit_test(a_figure_without_a_point_is_refused),
        cmocka_unit_test(drawing_gives_the_same_picture_each_time),
        cmocka_unit_test(nothing_in_a_text_is_a_command),
        cmocka_unit_test(what_gnuplot_says_is_told),
        cmocka_unit_test(without_gnuplot_the_files_stay),
        cmocka_unit_test(a_heat_map_is_its_cells_and_a_script),
        cmocka_unit_test(a_heat_map_without_a_cell_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
