/* What observers keep in result.h5: curves, histograms, and who was where. */
#include <hdf5.h>

#include "sim/base/h5.h"
#include "tests/support/observe_stage.h"

typedef struct saved_row {
    int64_t first, second, third;
} saved_row;

/* What the observer keeps, in a file of that template. */
static hid_t saved_file(stage *s, char *file)
{
    int fd = mkstemp(file);
    es_err err = {0};
    es_h5 *h5;
    assert_true(fd >= 0 && close(fd) == 0);
    assert_int_equal(es_h5_create(&h5, file, &err), ES_OK);
    if (s->observer->save(s->self, h5, &err) != ES_OK || es_h5_close(h5, &err) != ES_OK)
        fail_msg("%s", err.text);
    return H5Fopen(file, H5F_ACC_RDONLY, H5P_DEFAULT);
}

/* One of its tables of three integers. */
static size_t saved(stage *s, const char *path, const char *const names[3], saved_row *rows, size_t most)
{
    char file[] = "/tmp/es_observe_XXXXXX";
    hid_t id = saved_file(s, file), data = H5Dopen2(id, path, H5P_DEFAULT), type = H5Tcreate(H5T_COMPOUND, sizeof(saved_row));
    for (size_t i = 0; i < 3; i++)
        H5Tinsert(type, names[i], i * sizeof(int64_t), H5T_NATIVE_INT64);
    hid_t space = H5Dget_space(data);
    size_t count = (size_t)H5Sget_simple_extent_npoints(space);
    assert_true(count <= most);
    assert_true(count == 0 || H5Dread(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, rows) >= 0);
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(data);
    H5Fclose(id);
    assert_int_equal(unlink(file), 0);
    return count;
}

static bool is_saved(stage *s, const char *path)
{
    char file[] = "/tmp/es_observe_XXXXXX";
    hid_t id = saved_file(s, file), data = -1;
    H5E_BEGIN_TRY {
        data = H5Dopen2(id, path, H5P_DEFAULT);
        H5Dclose(data);
    } H5E_END_TRY
    H5Fclose(id);
    assert_int_equal(unlink(file), 0);
    return data >= 0;
}

/* 2 layers of 4 experts. */
static void saved_grid(stage *s, const char *path, double cells[8])
{
    char file[] = "/tmp/es_observe_XXXXXX";
    hid_t id = saved_file(s, file), data = H5Dopen2(id, path, H5P_DEFAULT), space = H5Dget_space(data);
    assert_int_equal(H5Sget_simple_extent_npoints(space), 8);
    assert_true(H5Dread(data, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, cells) >= 0);
    H5Sclose(space);
    H5Dclose(data);
    H5Fclose(id);
    assert_int_equal(unlink(file), 0);
}

static size_t curve(stage *s, const char *path, saved_row *rows, size_t most)
{
    static const char *const names[] = {"t_ns", "tokens", "value"};
    return saved(s, path, names, rows, most);
}

static void expect_point(const saved_row *row, int64_t t_ns, int64_t tokens, int64_t value)
{
    if (row->first != t_ns || row->second != tokens || row->third != value)
        fail_msg("is (%lld, %lld, %lld), expected (%lld, %lld, %lld)", (long long)row->first, (long long)row->second, (long long)row->third, (long long)t_ns,
            (long long)tokens, (long long)value);
}

/* Eleven steps in four bins: after the fourth two are one, after the eighth four. The last bin is not full, and what its copies still
 * waited for when the run ended is in it. */
static void a_curve_keeps_its_sums_when_neighbours_are_merged(void **state)
{
    (void)state;
    saved_row rows[4];
    stage s;
    stage_open(&s, &es_observer_series, true, "{\"bins\": 5}");
    s.event.counted = true;
    for (uint64_t step = 0; step < 11; step++) {
        s.tier[CACHE].resident[0] = (1ull << (step % 3 + 1)) - 1;
        stage_gate(&s, 0, 0, step < 6 ? 0x1 : 0x3);
        s.times.stall += 10;
        s.channel[0].queue_ns += 7;
        stage_step(&s, step, (es_time)step * 100, (es_time)step * 100 + 100, step == 0 ? ES_PREFILL : ES_DECODE, step == 0 ? 5 : 1, 0);
    }
    s.channel[0].queue_ns += 1000;
    stage_tell(&s, (es_fact){.kind = ES_FACT_END, .at = 1100});
    assert_int_equal(curve(&s, "/series/steps", rows, 4), 3);
    expect_point(&rows[0], 400, 8, 4);
    expect_point(&rows[1], 800, 12, 4);
    expect_point(&rows[2], 1100, 15, 3);
    curve(&s, "/series/lookups", rows, 4);
    expect_point(&rows[1], 800, 12, 6);
    curve(&s, "/series/hits", rows, 4);
    expect_point(&rows[0], 400, 8, 4);
    expect_point(&rows[2], 1100, 15, 5);            /* 0x7, 0x1, 0x3: 2, 1 and 2 of 2 */
    curve(&s, "/series/stall_ns", rows, 4);
    expect_point(&rows[2], 1100, 15, 30);
    curve(&s, "/series/decode_tokens", rows, 4);
    expect_point(&rows[0], 400, 8, 3);
    curve(&s, "/series/channels/pcie/queue_ns", rows, 4);
    expect_point(&rows[0], 400, 8, 28);
    expect_point(&rows[2], 1100, 15, 1021);
    curve(&s, "/series/tiers/cache/resident", rows, 4);
    expect_point(&rows[1], 800, 12, 2);             /* what is there when the bin ends, step 7: 0x3 */
    curve(&s, "/series/tiers/cache/resident_bytes", rows, 4);
    expect_point(&rows[1], 800, 12, 200);
    stage_close(&s);
}

static void a_curve_that_ends_with_a_full_bin_still_hears_of_the_end(void **state)
{
    (void)state;
    saved_row rows[4];
    stage s;
    stage_open(&s, &es_observer_series, true, "{\"bins\": 4}");
    s.channel[0].queue_ns = 5;
    stage_step(&s, 0, 0, 100, ES_DECODE, 1, 0);
    s.channel[0].queue_ns = 9;
    stage_tell(&s, (es_fact){.kind = ES_FACT_END, .at = 100});
    assert_int_equal(curve(&s, "/series/channels/pcie/queue_ns", rows, 4), 1);
    expect_point(&rows[0], 100, 1, 9);
    stage_close(&s);
}

static void without_a_clock_a_curve_is_over_tokens_and_knows_no_time(void **state)
{
    (void)state;
    saved_row rows[4];
    stage s;
    stage_open(&s, &es_observer_series, false, "{}");
    s.event.counted = true;
    stage_gate(&s, 0, 0, 0x3);
    stage_step(&s, 0, 0, 0, ES_DECODE, 2, 0);
    s.event.counted = false;                        /* before contract.skip_tokens */
    stage_gate(&s, 0, 0, 0x3);
    stage_step(&s, 0, 0, 0, ES_DECODE, 2, 0);
    stage_tell(&s, (es_fact){.kind = ES_FACT_END});
    assert_int_equal(curve(&s, "/series/lookups", rows, 4), 2);
    expect_point(&rows[0], 0, 2, 2);
    expect_point(&rows[1], 0, 4, 0);
    stage_close(&s);
}

/* An option that its own part turns is seen as one that a tuner turns; what stays as it is has no curve. */
static void options_that_were_turned_have_a_curve(void **state)
{
    (void)state;
    static const es_option real = {.name = "l2_threshold", .type = ES_OPT_REAL}, whole = {.name = "guess_top", .type = ES_OPT_INT};
    double threshold = 7.0;
    int64_t top = 3;
    const es_dial_view dials[] = {{"policy.l2_threshold", &real, &threshold}, {"compute.guess_top", &whole, &top}};
    saved_row rows[4];
    stage s;
    es_err err = {0};
    es_json *options;
    stage_open(&s, &es_observer_series, true, "{}");
    memset(s.self, 0, s.observer->part.size);       /* and again, now that there is something to be turned */
    s.view.dials = 2;
    s.view.dial = dials;
    assert_int_equal(es_json_parse(&options, "{\"bins\": 4}", 11, &err), ES_OK);
    assert_int_equal(es_options_parse(s.observer->part.options, s.self, options, NULL, &s.arena, &err), ES_OK);
    assert_int_equal(s.observer->part.init(s.self, &(es_site){.view = &s.view, .arena = &s.arena, .path = "observers.0"}, &err), ES_OK);
    cJSON_Delete(options);
    for (uint64_t step = 0; step < 6; step++) {
        threshold = step < 4 ? 7.0 : 9.0;
        stage_step(&s, step, (es_time)step * 100, (es_time)step * 100 + 100, ES_DECODE, 1, 0);
    }
    stage_tell(&s, (es_fact){.kind = ES_FACT_END, .at = 600});
    assert_int_equal(curve(&s, "/series/knobs/policy.l2_threshold", rows, 4), 3);   /* two steps to a bin by now */
    expect_point(&rows[1], 400, 4, 7);
    expect_point(&rows[2], 600, 6, 9);
    assert_false(is_saved(&s, "/series/knobs/compute.guess_top"));
    stage_close(&s);
}

static void complete_and_empty_layers_are_told_apart(void **state)
{
    (void)state;
    saved_row rows[4];
    stage s;
    stage_open(&s, &es_observer_series, true, "{}");
    s.event.counted = true;
    s.tier[CACHE].resident[0] = 0x3;
    stage_gate(&s, 0, 0, 0x3);                      /* all there */
    stage_gate(&s, 0, 0, 0x6);                      /* one of two */
    stage_gate(&s, 0, 0, 0xc);                      /* none */
    stage_gate(&s, 0, 0, 0x8);
    stage_step(&s, 0, 0, 100, ES_DECODE, 1, 0);
    stage_tell(&s, (es_fact){.kind = ES_FACT_END, .at = 100});
    curve(&s, "/series/events", rows, 4);
    expect_point(&rows[0], 100, 1, 4);
    curve(&s, "/series/perfect", rows, 4);
    expect_point(&rows[0], 100, 1, 1);
    curve(&s, "/series/zero", rows, 4);
    expect_point(&rows[0], 100, 1, 2);
    stage_close(&s);
}

/* Experts 0 and 1 of layer 0 stay, 2 is there in one step of two, all others never. */
static void occupancy_says_who_stays_and_who_is_used(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_occupancy, true, "{}");
    s.event.counted = true;
    s.tier[CACHE].resident[0] = 0x7;
    stage_gate(&s, 0, 0, 0x5);
    stage_step(&s, 0, 0, 100, ES_DECODE, 1, 0);
    s.tier[CACHE].resident[0] = 0x3;
    stage_gate(&s, 100, 0, 0x5);
    stage_gate(&s, 100, 1, 0x1);
    s.event.counted = false;
    stage_gate(&s, 100, 1, 0x1);                    /* before contract.skip_tokens */
    stage_step(&s, 1, 100, 200, ES_DECODE, 1, 0);
    double resident[8], uses[8], hits[8];
    saved_grid(&s, "/occupancy/resident", resident);
    saved_grid(&s, "/occupancy/uses", uses);
    saved_grid(&s, "/occupancy/hits", hits);
    assert_memory_equal(resident, ((double[]){1, 1, 0.5, 0, 0, 0, 0, 0}), sizeof resident);
    assert_memory_equal(uses, ((double[]){2, 0, 2, 0, 1, 0, 0, 0}), sizeof uses);
    assert_memory_equal(hits, ((double[]){2, 0, 1, 0, 0, 0, 0, 0}), sizeof hits);
    stage_report(&s);
    expect(&s, "occupancy.steps", 2);
    expect(&s, "occupancy.stays", 2);
    expect(&s, "occupancy.rare", 5);
    stage_close(&s);
}

static void latencies_are_saved_in_bins_beside_exact_quantiles(void **state)
{
    (void)state;
    static const char *const names[] = {"low", "high", "count"};
    saved_row rows[8];
    stage s;
    stage_open(&s, &es_observer_latency, true, "{}");
    s.times.stall = 40;
    stage_step(&s, 0, 0, 500, ES_PREFILL, 4, 0);
    s.times.stall = 52;                             /* 12 of the next step, which has two tokens */
    stage_step(&s, 1, 500, 600, ES_DECODE, 2, 0);
    stage_step(&s, 2, 600, 1600, ES_DECODE, 1, 0);
    stage_report(&s);
    assert_int_equal(saved(&s, "/hist/token_latency_ns", names, rows, 8), 2);
    expect_point(&rows[0], 100, 101, 2);
    expect_point(&rows[1], 1000, 1004, 1);          /* from 512 on four values share a bin */
    assert_int_equal(saved(&s, "/hist/token_stall_ns", names, rows, 8), 2);
    expect_point(&rows[0], 0, 1, 1);
    expect_point(&rows[1], 12, 13, 2);
    assert_int_equal(saved(&s, "/hist/ttft_ns", names, rows, 8), 1);
    expect_point(&rows[0], 500, 502, 1);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_curve_keeps_its_sums_when_neighbours_are_merged),
        cmocka_unit_test(a_curve_that_ends_with_a_full_bin_still_hears_of_the_end),
        cmocka_unit_test(without_a_clock_a_curve_is_over_tokens_and_knows_no_time),
        cmocka_unit_test(options_that_were_turned_have_a_curve),
        cmocka_unit_test(complete_and_empty_layers_are_told_apart),
        cmocka_unit_test(occupancy_says_who_stays_and_who_is_used),
        cmocka_unit_test(latencies_are_saved_in_bins_beside_exact_quantiles),
    };
    return cmocka_run_group_tests_name("saved", tests, NULL, NULL);
}
