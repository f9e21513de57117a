/* Observers: each is told facts by hand and must report the numbers they imply. */
#include <hdf5.h>

#include "sim/base/h5.h"
#include "tests/support/observe_stage.h"

/* ---- summary ---- */

static void the_summary_adds_up_events_and_quotes_the_tally(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_summary, true, "{}");
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    s.event.counted = true;
    stage_gate(&s, 0, 0, 0x3);                      /* prefill: 2 misses */
    s.tally = (es_counts){.compulsory = 3, .refused = 1, .prefetch_hits = 1, .fetched_bytes = 500, .decode_fetched_bytes = 300, .foreseen = 1};
    s.mask[CACHE][2][0] = 0x7;
    s.mask[CACHE][1][0] = 0x8;
    s.event.phase = ES_DECODE;
    stage_gate(&s, 0, 0, 0xf);                      /* 3 hits, 1 late */
    s.tally.evictions = 5;
    stage_gate(&s, 0, 1, 0x3);                      /* 2 misses, the first warm event */
    s.tier[CACHE].insertions = 6;
    s.times = (es_times){.total = 4000000000, .decode_total = 2000000000, .dense = 1500000000, .stall = 2500000000};
    s.channel[0].wait_ns = 2500000000;
    stage_step(&s, 0, 0, 1, ES_DECODE, 3, 0);
    stage_step(&s, 1, 0, 1, ES_PREFILL, 7, 0);
    stage_report(&s);
    expect(&s, "cache.lookups", 8);
    expect(&s, "cache.hits", 3);
    expect(&s, "cache.late", 1);
    expect(&s, "cache.misses", 4);
    expect(&s, "cache.foreseen", 1);
    expect(&s, "cache.hit_rate", 3.0 / 8);
    expect(&s, "cache.headline_hit_rate", 0.5);
    expect(&s, "cache.decode.lookups", 6);
    expect(&s, "cache.decode.hits", 3);
    expect(&s, "cache.decode.hit_rate", 0.5);
    expect(&s, "cache.prefill.lookups", 2);
    expect(&s, "cache.prefill.hit_rate", 0);
    expect(&s, "cache.assignments", 8);
    expect(&s, "cache.hits_resident", 2);
    expect(&s, "cache.hits_prefetched", 1);
    expect(&s, "cache.misses_compulsory", 3);
    expect(&s, "cache.misses_refused", 1);
    expect(&s, "cache.misses_capacity", 0);
    expect(&s, "cache.fetched_bytes", 500);
    expect(&s, "cache.decode_fetched_bytes", 300);
    expect(&s, "cache.evictions", 5);
    expect(&s, "cache.insertions", 6);
    expect(&s, "cache.warm.lookups", 2);
    expect(&s, "cache.warm.hit_rate", 0);
    expect(&s, "time.tokens_per_s", 1.5);
    expect(&s, "time.total_s", 4);
    expect(&s, "time.stall_s", 2.5);
    expect(&s, "time.attribution.dense", 1.5);
    expect(&s, "time.attribution.wait.pcie", 2.5);
    assert_null(es_json_at(s.out, "time.attribution.wait.gpu"));
    stage_close(&s);
}

static void what_is_not_counted_is_left_out_of_the_summary(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_summary, false, "{}");
    s.view.count_prefill = true;
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    stage_gate(&s, 0, 0, 0x3);
    s.tally = (es_counts){.evictions = 2, .initial_bytes = 50};
    s.tier[CACHE].insertions = 2;
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    s.event.counted = true;
    stage_gate(&s, 0, 0, 0x1);
    s.tally.evictions = 7;
    s.tier[CACHE].insertions = 3;
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    stage_report(&s);
    expect(&s, "cache.lookups", 1);
    expect(&s, "cache.evictions", 5);
    expect(&s, "cache.insertions", 1);
    expect(&s, "cache.initial_bytes", 50);
    expect(&s, "cache.headline_hit_rate", 0);
    expect(&s, "cache.decode.hit_rate", NAN);
    expect(&s, "time.tokens_per_s", NAN);
    expect(&s, "time.attribution", NAN);
    stage_close(&s);
}

/* ---- coverage ---- */

static void coverage_is_of_decode_events_unless_prefill_counts(void **state)
{
    (void)state;
    for (int count = 0; count <= 1; count++) {
        stage s;
        stage_open(&s, &es_observer_coverage, false, "{}");
        s.view.count_prefill = count;
        s.event.counted = true;
        s.mask[CACHE][2][0] = 0x3;
        stage_gate(&s, 0, 0, 0x3);                  /* prefill, perfect */
        s.event.phase = ES_DECODE;
        s.event.step = 1;
        stage_gate(&s, 0, 0, 0x7);                  /* 2 of 3 */
        stage_gate(&s, 0, 1, 0x1);                  /* 0 of 1 */
        s.event.step = 2;
        stage_gate(&s, 0, 0, 0x1);                  /* perfect */
        stage_report(&s);
        expect(&s, "coverage.perfect", 1 + count);
        expect(&s, "coverage.partial", 1);
        expect(&s, "coverage.zero", 1);
        expect(&s, "coverage.events", 3 + count);
        expect(&s, "coverage.mean", (2.0 / 3 + 1 + count) / (3 + count));
        expect(&s, "coverage.token.tokens", 2 + count);
        expect(&s, "coverage.token.perfect", 1 + count);
        expect(&s, "coverage.token.partial", 1);
        expect(&s, "coverage.token.mean", (0.5 + 1 + count) / (2 + count));
        stage_close(&s);
    }
}

static void units_below_the_union_are_joined_into_their_layer(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_coverage, false, "{}");
    static const struct { uint32_t hits, count, row; bool first, last; } units[] = {{2, 2, 0, true, false}, {0, 2, 1, false, false}, {2, 2, 2, false, true}};
    for (size_t i = 0; i < 3; i++) {
        es_event event = {.counted = true, .phase = ES_DECODE, .tokens = 1, .row = units[i].row, .hits = units[i].hits, .count = units[i].count,
            .first = units[i].first, .last = units[i].last};
        stage_tell(&s, (es_fact){.kind = ES_FACT_USE, .event = &event});
    }
    stage_report(&s);
    expect(&s, "coverage.events", 1);
    expect(&s, "coverage.partial", 1);
    expect(&s, "coverage.mean", 4.0 / 6);
    expect(&s, "coverage.token.perfect", 2);
    expect(&s, "coverage.token.zero", 1);
    stage_close(&s);
}

static void the_tokens_of_a_batch_are_covered_one_by_one(void **state)
{
    (void)state;
    for (int known = 0; known <= 1; known++) {
        stage s;
        stage_open(&s, &es_observer_coverage, false, "{}");
        s.view.top_k = known ? 2 : 0;
        const es_token token[] = {{.phase = ES_DECODE}, {.phase = ES_DECODE}, {.phase = ES_PREFILL}};
        const uint16_t ids[] = {0, 1, 0, 1, 2, ES_NO_EXPERT, 0, 2, 3, 3, 3, 3};     /* [token][layer][2] */
        const es_step step = {.tokens = 3, .token = token, .ids = ids};
        static const uint64_t hit[] = {0x3, 0x2};
        for (uint32_t layer = 0; layer < 2; layer++) {
            es_event event = {.counted = true, .phase = ES_DECODE, .tokens = 3, .layer = layer, .hits = 1, .count = 4, .first = true, .last = true,
                .hit = &hit[layer], .rows = &step};
            stage_tell(&s, (es_fact){.kind = ES_FACT_USE, .event = &event});
        }
        stage_report(&s);
        expect(&s, "coverage.events", 2);
        expect(&s, "coverage.token.tokens", known ? 2 : 0);
        expect(&s, "coverage.token.perfect", 0);
        expect(&s, "coverage.token.partial", known ? 1 : 0);    /* token 0: 0 1 | 0 1, hits 0 1 | 1 */
        expect(&s, "coverage.token.zero", known ? 1 : 0);       /* token 1: 2 | 0 2, no hits */
        expect(&s, "coverage.token.mean", known ? 0.75 / 2 : (double)NAN);
        expect(&s, "coverage.token.left_out", known ? 0 : 3);
        stage_close(&s);
    }
}

/* ---- latency, traffic, memory ---- */

static void token_latency_counts_a_step_for_each_of_its_tokens(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_latency, true, "{}");
    stage_step(&s, 0, 0, 100, ES_PREFILL, 8, 0);    /* request 0: a prefill of two steps */
    stage_step(&s, 1, 100, 150, ES_PREFILL, 8, 0);
    stage_step(&s, 2, 150, 160, ES_DECODE, 1, 0);
    stage_step(&s, 3, 160, 190, ES_DECODE, 3, 0);
    stage_step(&s, 4, 190, 200, ES_PREFILL, 8, 1);  /* request 1, then request 2 with a prompt only */
    stage_step(&s, 5, 200, 230, ES_PREFILL, 8, 2);
    s.times.prefill_total = 190;
    stage_report(&s);
    expect(&s, "time.token_latency_s.samples", 4);
    expect(&s, "time.token_latency_s.mean", 25e-9);
    expect(&s, "time.token_latency_s.p50", 30e-9);
    expect(&s, "time.token_latency_s.max", 30e-9);
    expect(&s, "time.ttft_quantiles_s.samples", 3);
    expect(&s, "time.ttft_s", (150 + 10 + 30) / 3.0 * 1e-9);
    expect(&s, "time.ttft_quantiles_s.p50", 30e-9);
    expect(&s, "time.ttft_quantiles_s.p99", 150e-9);
    expect(&s, "time.prefill_s", 190e-9);
    stage_report(&s);                               /* asking twice changes nothing */
    expect(&s, "time.ttft_quantiles_s.samples", 3);
    stage_close(&s);
}

static void latency_is_null_where_nothing_is_known(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_latency, false, "{}");
    stage_step(&s, 0, 0, 0, ES_DECODE, 1, 0);
    stage_report(&s);
    expect(&s, "time.token_latency_s", NAN);
    expect(&s, "time.ttft_s", NAN);
    expect(&s, "time.prefill_s", NAN);
    stage_close(&s);
    stage_open(&s, &es_observer_latency, true, "{}");
    stage_step(&s, 0, 0, 7, ES_DECODE, 1, 0);
    stage_report(&s);
    expect(&s, "time.token_latency_s.p99", 7e-9);
    expect(&s, "time.ttft_s", NAN);
    stage_close(&s);
}

static void traffic_is_per_channel_and_per_token(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_traffic, true, "");
    s.channel[0].lanes = 2;
    s.channel[0].busy_ns = 1000000000;
    s.channel[0].bytes = 4000;
    s.times.total = 2000000000;
    s.tally.decode_fetched_bytes = 3000;
    s.tally.guess_bytes = 100;
    s.tally.wasted_bytes = 25;
    stage_step(&s, 0, 0, 0, ES_DECODE, 4, 0);
    stage_report(&s);
    expect(&s, "channels.pcie.busy_fraction", 0.25);
    expect(&s, "channels.pcie.mean_bytes_per_s", 2000);
    expect(&s, "traffic.bytes_per_decode_token", 750);
    expect(&s, "traffic.wasted_fraction", 0.25);
    stage_close(&s);
    stage_open(&s, &es_observer_traffic, false, "");
    stage_report(&s);
    expect(&s, "channels", NAN);
    expect(&s, "traffic.bytes_per_decode_token", NAN);
    stage_close(&s);
}

static void memory_tells_turnover_and_the_age_of_residents(void **state)
{
    (void)state;
    stage s;
    stage_open(&s, &es_observer_memory, false, "");
    s.mask[CACHE][2][1] = 0x4;                      /* there from the start */
    stage_gate(&s, 0, 0, 0x1);
    stage_copy(&s, ES_FACT_START, 0, 0);
    stage_copy(&s, ES_FACT_LAND, 0, 0);
    stage_release(&s, 0);
    stage_step(&s, 0, 0, 0, ES_DECODE, 1, 0);
    s.event.step = 9;
    stage_gate(&s, 0, 0, 0x1);
    stage_release(&s, 0);
    stage_copy(&s, ES_FACT_START_GUESS, 0, L1);
    stage_copy(&s, ES_FACT_LAND, 0, L1);
    stage_step(&s, 9, 0, 0, ES_DECODE, 1, 0);
    s.tier[CACHE].evictions = 3;
    s.tally.evictions = 5;                          /* two of them from the tier below */
    stage_report(&s);
    expect(&s, "capacity.turnover_per_token", 1.5);
    expect(&s, "capacity.residents", 3);
    expect(&s, "capacity.resident_age_steps", (10 + 9 + 0) / 3.0);
    stage_close(&s);
}

/* ---- what is saved ---- */

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

/* ---- digest ---- */

static const char *digest_of(stage *s, const char *which)
{
    stage_report(s);
    return es_json_at(s->out, which)->valuestring;
}

static void decisions_do_not_depend_on_grouping_interleaving_or_time(void **state)
{
    (void)state;
    static const es_oid in[] = {1, 2, 65}, out[] = {3, 66};
    stage a, b, c;
    stage_open(&a, &es_observer_digest, true, "");
    stage_open(&b, &es_observer_digest, true, "");
    stage_open(&c, &es_observer_digest, true, "");
    stage_tell(&a, (es_fact){.kind = ES_FACT_EVICT, .objects = out, .count = 2, .from = CACHE});
    stage_tell(&a, (es_fact){.kind = ES_FACT_START, .objects = in, .count = 3, .to = CACHE});
    for (uint32_t i = 0; i < 3; i++) {
        stage_tell(&b, (es_fact){.kind = i == 1 ? ES_FACT_START_GUESS : ES_FACT_START, .at = i * 10, .objects = &in[i], .count = 1, .to = CACHE});
        if (i < 2)
            stage_tell(&b, (es_fact){.kind = ES_FACT_EVICT, .at = i * 10, .objects = &out[i], .count = 1, .from = CACHE});
    }
    stage_tell(&c, (es_fact){.kind = ES_FACT_EVICT, .objects = out, .count = 2, .from = CACHE});
    stage_tell(&c, (es_fact){.kind = ES_FACT_START, .objects = in, .count = 2, .to = CACHE});
    stage_tell(&c, (es_fact){.kind = ES_FACT_START, .objects = &in[2], .count = 1, .to = DRAM});
    assert_string_equal(digest_of(&a, "digest.decisions"), digest_of(&b, "digest.decisions"));
    assert_string_not_equal(digest_of(&a, "digest.decisions"), digest_of(&c, "digest.decisions"));
    assert_string_not_equal(digest_of(&a, "digest.facts"), digest_of(&b, "digest.facts"));
    assert_int_equal(strlen(digest_of(&a, "digest.facts")), 16);
    stage_close(&a);
    stage_close(&b);
    stage_close(&c);
}

/* A digest that someone wrote down must come out again from a later version. */
static void kinds_of_facts_keep_their_numbers(void **state)
{
    (void)state;
    assert_int_equal(ES_FACT_STEP, 0);
    assert_int_equal(ES_FACT_STEP_END, 15);
    assert_int_equal(ES_FACT_RESET, 16);
    assert_int_equal(ES_FACT_END, 17);
    assert_int_equal(ES_FACT_GUESS, 18);
    assert_int_equal(ES_FACT_TURN, 19);
}

/* ---- events ---- */

static void a_log_gets_its_name_when_the_run_has_ended(void **state)
{
    (void)state;
    char folder[] = "/tmp/es_observe_XXXXXX", path[64], options[128];
    assert_non_null(mkdtemp(folder));
    for (int jsonl = 0; jsonl <= 1; jsonl++) {
        stage s;
        es_err err = {0};
        snprintf(path, sizeof path, "%s/log", folder);
        snprintf(options, sizeof options, "{\"path\": \"%s\", \"limit\": 5, \"format\": \"%s\"}", path, jsonl ? "jsonl" : "csv");
        stage_open(&s, &es_observer_events, true, options);
        stage_tell(&s, (es_fact){.kind = ES_FACT_STEP, .step = 4});
        stage_gate(&s, 10, 1, 0x3);
        stage_tell(&s, (es_fact){.kind = ES_FACT_EVICT, .at = 20, .objects = (const es_oid[]){2, L1 + 1}, .count = 2, .from = CACHE, .to = DRAM});
        stage_span(&s, ES_FACT_STALL, 20, 30, 0);
        stage_release(&s, 30);
        stage_tell(&s, (es_fact){.kind = ES_FACT_END, .at = 30});
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(s.observer->verdict(s.self, &err), ES_OK);
        stage_report(&s);
        expect(&s, "events.lines", 5);
        expect(&s, "events.left_out", 2);
        char *text;
        size_t length;
        assert_int_equal(es_file_load(path, 4096, &text, &length, &err), ES_OK);
        assert_string_equal(text, jsonl ?
            "{\"t_ns\":0,\"kind\":\"step\",\"step\":4}\n"
            "{\"t_ns\":10,\"kind\":\"use\",\"step\":0,\"layer\":4,\"count\":2}\n"
            "{\"t_ns\":20,\"kind\":\"evict\",\"layer\":3,\"expert\":2,\"from\":\"cache\",\"to\":\"dram\",\"why\":\"demand\",\"bytes\":100,\"count\":1}\n"
            "{\"t_ns\":20,\"kind\":\"evict\",\"layer\":4,\"expert\":1,\"from\":\"cache\",\"to\":\"dram\",\"why\":\"demand\",\"bytes\":100,\"count\":1}\n"
            "{\"t_ns\":30,\"kind\":\"stall\",\"channel\":\"pcie\",\"since_ns\":20}\n" :
            "t_ns,kind,step,layer,expert,from,to,channel,why,since_ns,bytes,count,knob,value\n"
            "0,step,4,,,,,,,,,,,\n"
            "10,use,0,4,,,,,,,,2,,\n"
            "20,evict,,3,2,cache,dram,,demand,,100,1,,\n"
            "20,evict,,4,1,cache,dram,,demand,,100,1,,\n"
            "30,stall,,,,,,pcie,,20,,,,\n");
        free(text);
        stage_close(&s);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(rmdir(folder), 0);
}

/* Every kind of fact has a name, and a turn says what was turned to what. */
static void every_kind_of_fact_has_a_line(void **state)
{
    (void)state;
    static const es_option option = {.name = "share", .type = ES_OPT_REAL, .max = 1};
    const es_turn turn = {"policy.share", &option, 0.25, 0.75};
    char folder[] = "/tmp/es_observe_XXXXXX", path[64], options[128];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(options, sizeof options, "{\"path\": \"%s\"}", path);
    stage s;
    es_err err = {0};
    stage_open(&s, &es_observer_events, true, options);
    s.event.list = s.list;
    for (int kind = 0; kind < ES_FACTS; kind++)
        stage_tell(&s, (es_fact){.kind = (es_fact_kind)kind, .event = &s.event, .objects = (const es_oid[]){1}, .count = 1, .turn = &turn, .step = 9});
    assert_int_equal(s.observer->verdict(s.self, &err), ES_OK);
    char *text;
    size_t length;
    assert_int_equal(es_file_load(path, 4096, &text, &length, &err), ES_OK);
    assert_null(strstr(text, "null"));
    assert_non_null(strstr(text, "\n0,turn,9,,,,,,,,,,policy.share,0.75\n"));
    free(text);
    stage_close(&s);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_log_of_a_failed_run_does_not_get_its_name(void **state)
{
    (void)state;
    char folder[] = "/tmp/es_observe_XXXXXX", path[64], partial[72], options[128];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(partial, sizeof partial, "%s.tmp", path);
    snprintf(options, sizeof options, "{\"path\": \"%s\"}", path);
    stage s;
    stage_open(&s, &es_observer_events, true, options);
    stage_close(&s);                                /* the run never began: nothing is left */
    stage_open(&s, &es_observer_events, true, options);
    stage_tell(&s, (es_fact){.kind = ES_FACT_STEP});
    stage_close(&s);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(unlink(partial), 0);
    assert_int_equal(rmdir(folder), 0);
}

static void a_log_that_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    stage s = {0};
    es_err err = {0};
    assert_int_equal(stage_try(&s, &es_observer_events, "{\"path\": \"/no/such/folder/log\"}", &err), ES_EINPUT);
    assert_string_equal(err.text, "path: cannot write \"/no/such/folder/log.tmp\": No such file or directory");
    stage_close(&s);
    assert_int_equal(stage_try(&s, &es_observer_events, "{\"path\": \"\"}", &err), ES_EINPUT);
    stage_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_summary_adds_up_events_and_quotes_the_tally),
        cmocka_unit_test(what_is_not_counted_is_left_out_of_the_summary),
        cmocka_unit_test(coverage_is_of_decode_events_unless_prefill_counts),
        cmocka_unit_test(units_below_the_union_are_joined_into_their_layer),
        cmocka_unit_test(the_tokens_of_a_batch_are_covered_one_by_one),
        cmocka_unit_test(token_latency_counts_a_step_for_each_of_its_tokens),
        cmocka_unit_test(latency_is_null_where_nothing_is_known),
        cmocka_unit_test(traffic_is_per_channel_and_per_token),
        cmocka_unit_test(memory_tells_turnover_and_the_age_of_residents),
        cmocka_unit_test(a_curve_keeps_its_sums_when_neighbours_are_merged),
        cmocka_unit_test(a_curve_that_ends_with_a_full_bin_still_hears_of_the_end),
        cmocka_unit_test(without_a_clock_a_curve_is_over_tokens_and_knows_no_time),
        cmocka_unit_test(options_that_were_turned_have_a_curve),
        cmocka_unit_test(complete_and_empty_layers_are_told_apart),
        cmocka_unit_test(occupancy_says_who_stays_and_who_is_used),
        cmocka_unit_test(latencies_are_saved_in_bins_beside_exact_quantiles),
        cmocka_unit_test(decisions_do_not_depend_on_grouping_interleaving_or_time),
        cmocka_unit_test(kinds_of_facts_keep_their_numbers),
        cmocka_unit_test(a_log_gets_its_name_when_the_run_has_ended),
        cmocka_unit_test(every_kind_of_fact_has_a_line),
        cmocka_unit_test(a_log_of_a_failed_run_does_not_get_its_name),
        cmocka_unit_test(a_log_that_cannot_be_written_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
