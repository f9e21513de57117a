/* How sure a fit is, the noise around it, several at a time, and what is said of rows that fit badly. */
#include <gsl/gsl_cdf.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics_double.h>

#include "calib/expert.h"
#include "calib/fit.h"
#include "calib/maxrate.h"
#include "calib/report.h"
#include "calib/rounds.h"
#include "sim/part/timing.h"
#include "tests/support/calib_kit.h"

extern const es_timing es_timing_empirical, es_timing_empirical_compute;

enum { RESAMPLES = 400, ROUNDS = 60, SIZES = 12 };

static double normal_of(uint64_t seed, uint64_t a, uint64_t b)
{
    return gsl_cdf_ugaussian_Pinv(es_draw_real(es_mix(seed), a, b, 0, 0) + 0x1p-54);    /* seed ^ a alone would meet the same numbers again */
}

static void add(calib_samples *samples, const char *row, int64_t bytes, uint32_t count, uint32_t round, double ns)
{
    es_err err = {0};
    calib_sample sample = {.bytes = bytes, .count = count, .round = round, .ns = llround(ns), .host_ns = llround(ns)};
    fine(calib_series_add(&samples->row[calib_row_find(row) - calib_rows], &sample, &err), &err);
}

/* ---- rounds ---- */

static void a_resample_is_as_many_rounds_in_blocks(void **state)
{
    (void)state;
    uint32_t times[ROUNDS], again[ROUNDS], drawn = 0;
    es_stream draws = es_stream_of(1, 0, "test", "rounds");
    for (uint64_t n = 0; n < 200; n++)
        for (size_t block = 1; block <= 15; block += 7) {
            uint32_t sum = 0, alone = 0;
            rounds_draw(draws, n, block, times, ROUNDS);
            rounds_draw(draws, n, block, again, ROUNDS);
            assert_memory_equal(times, again, sizeof times);
            for (size_t i = 0; i < ROUNDS; i++) {
                sum += times[i];
                alone += times[i] && !times[(i + 1) % ROUNDS] && !times[(i + ROUNDS - 1) % ROUNDS];
            }
            assert_int_equal(sum, ROUNDS);
            assert_true(block == 1 || alone <= 1);      /* the last block may be cut */
            drawn += alone;
        }
    assert_true(drawn > 0);
    assert_int_equal(rounds_block(0.2, 100), 1);
    assert_int_equal(rounds_block(-0.5, 100), 1);
    assert_int_equal(rounds_block(0.5, 100), 6);        /* ((4 / 3)^2 * 100)^(1/3) = 5.6 */
    assert_int_equal(rounds_block(0.99, 100), 25);
    assert_int_equal(rounds_block(0.9, 3), 1);
}

/* Times that only the round disturbs, all sizes alike. `along`: what a round keeps of the one before. */
static void disturbed(calib_samples *samples, double along, bool shuffled, uint64_t seed)
{
    double factor[ROUNDS], last = normal_of(seed, 0, 0);
    *samples = (calib_samples){0};
    for (uint64_t r = 0; r < ROUNDS; r++) {
        factor[r] = exp(0.1 * last);
        last = along * last + sqrt(1.0 - along * along) * normal_of(seed, r + 1, 0);
    }
    for (uint32_t r = 0; r < ROUNDS; r++)
        for (int s = 0; s < SIZES; s++) {
            double bytes = 65536.0 * (double)(1 << s), ns = 1e6 + bytes / 2.0;
            add(samples, "pcie.h2d", (int64_t)bytes, 1, r, ns * factor[shuffled ? (r * 23u) % ROUNDS : r]);
        }
}

static void fitted_of(calib_fit *fit, const calib_samples *samples, es_arena *arena, uint64_t seed)
{
    es_err err = {0};
    fine(calib_fit_series(fit, series_of(samples, "pcie.h2d"), &(fit_ask){.count = 1, .resamples = RESAMPLES, .seed = seed}, arena, &err), &err);
    assert_true(fit->resampled);
    assert_int_equal(fit->curve.pieces, 1);
}

/* As all sizes of a round are off by one factor, every resample is the curve times a median of factors: alpha and 1 / rate move together. Were
 * rounds drawn for each size by itself, the sizes would make up for each other and each interval would be far too narrow. */
static void all_sizes_of_a_round_are_drawn_together(void **state)
{
    (void)state;
    double width = 0.0;
    calib_fit *fit = calloc(1, sizeof *fit);
    for (uint64_t seed = 1; seed <= 10; seed++) {
        calib_samples samples;
        es_arena arena = {0};
        disturbed(&samples, 0.0, false, seed);
        fitted_of(fit, &samples, &arena, 1);
        assert_true(fit->block == 1 || fit->lag1 > ROUNDS_ALIKE);
        assert_true(fabs(fit->alpha.low * fit->rate[0].high / (1e6 * 2e9) - 1.0) < 1e-4);
        assert_true(fabs(fit->alpha.high * fit->rate[0].low / (1e6 * 2e9) - 1.0) < 1e-4);
        width += log(fit->alpha.high / fit->alpha.low) / 10.0;
        calib_samples_free(&samples);
        es_arena_free(&arena);
    }
    free(fit);
    if (!(width > 0.045 && width < 0.085))      /* 2 * 1.96 * 1.253 * 0.1 / sqrt(60) = 0.063 */
        fail_msg("the intervals are %.4f wide", width);
}

/* The truth has to be in an interval of 95 % about as often. Rounds that keep 0.8 of the one before: drawn one by one they would be too sure. */
static void rounds_that_are_alike_are_drawn_in_blocks(void **state)
{
    (void)state;
    int held = 0, shuffled = 0, seeds = 60;
    double wider = 0.0;
    calib_fit *fit = calloc(1, sizeof *fit);
    for (uint64_t seed = 1; seed <= (uint64_t)seeds; seed++) {
        double width[2];
        for (int s = 0; s < 2; s++) {
            calib_samples samples;
            es_arena arena = {0};
            disturbed(&samples, 0.8, s, seed);
            fitted_of(fit, &samples, &arena, seed);
            bool holds = fit->rate[0].low <= 2e9 && fit->rate[0].high >= 2e9;
            held += !s && holds;
            shuffled += s && holds;
            width[s] = fit->rate[0].high - fit->rate[0].low;
            if (!s)
                assert_true(fit->lag1 > ROUNDS_ALIKE && fit->block >= 2);
            calib_samples_free(&samples);
            es_arena_free(&arena);
        }
        wider += width[0] / width[1] / seeds;
    }
    if (!(held >= seeds * 7 / 10 && shuffled <= seeds * 6 / 10 && wider > 1.5))
        fail_msg("of %d seeds %d hold the truth, %d with the rounds shuffled; intervals are %.2f times as wide", seeds, held, shuffled, wider);
    free(fit);
}

/* ---- several at a time ---- */

static size_t requests(batch_point *point, double alpha, double one, double link, double noise)
{
    size_t count = 0;
    for (double k = 1; k <= 32; k *= 2)
        for (double bytes = 131072; bytes <= 33554432; bytes *= 2, count++)
            point[count] = (batch_point){k, bytes, (alpha + bytes * 1e9 / fmin(link, k * one)) * exp(noise * normal_of(7, count, 1))};
    return count;
}

static void requests_at_a_time_have_a_rate_of_one_and_of_all(void **state)
{
    (void)state;
    static const struct { double alpha, one, link, lanes; } truths[] = {{61000, 0.55e9, 1.2e9, 3}, {0, 1e9, 1e9, 1}, {20000, 0.1e9, 100e9, 31}, {9000, 2e9, 15e9, 8}};
    for (int noise = 0; noise < 2; noise++)
        for (size_t t = 0; t < sizeof truths / sizeof *truths; t++) {
            batch_point point[SIZES * 8];
            calib_maxrate m;
            double share = noise ? 0.05 : 1e-6, link = fmin(truths[t].link, 32 * truths[t].one);
            assert_true(maxrate_fit(point, requests(point, truths[t].alpha, truths[t].one, truths[t].link, 0.05 * noise), &m));
            assert_true(fabs(m.one / truths[t].one - 1.0) < share);
            assert_true(fabs(m.link / link - 1.0) < share);
            assert_true(fabs(m.alpha_ns - truths[t].alpha) <= fmax(truths[t].alpha * (noise ? 0.15 : 1e-6), noise ? 5000.0 : 1e-3));
            assert_true(noise || m.lanes == truths[t].lanes);
        }
    batch_point single[] = {{1, 1000, 10}, {1, 2000, 20}, {1, 3000, 30}, {1, 4000, 40}};
    calib_maxrate m;
    assert_false(maxrate_fit(single, 4, &m));           /* one depth says nothing of others */
}

/* ---- noise ---- */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Kolmogorov and Smirnov's distance of two samples; sorts both. */
static double distance_of(double *a, size_t as, double *b, size_t bs)
{
    double most = 0.0;
    qsort(a, as, sizeof *a, ascending);
    qsort(b, bs, sizeof *b, ascending);
    for (size_t i = 0, j = 0; i < as && j < bs;) {
        double at = fmin(a[i], b[j]);
        while (i < as && a[i] <= at)
            i++;
        while (j < bs && b[j] <= at)
            j++;
        most = fmax(most, fabs((double)i / (double)as - (double)j / (double)bs));
    }
    return most;
}

/* From the samples of a noisy machine to its profile, and from that to a timing which draws: what is drawn lies about the curve as what was
 * measured does, stalls and all; and the same seed draws the same. */
static void what_the_profile_draws_is_distributed_as_what_was_measured(void **state)
{
    (void)state;
    enum { DRAWN = 20 };
    machine m;
    calib_samples samples;
    es_json *profile;
    es_text told = {0};
    es_err err = {0};
    fine(machine_open(&m, &es_probe_fake, "{\"noise\": 0.1, \"stalls\": 60}", &(calib_ask){.most = 16 * MIB}, &err), &err);
    machine_only(&m, "pcie.h2d");
    fine(machine_measure(&m, 5 * ES_SECOND, &samples, &err), &err);
    fine(calib_report(&samples, &(report_ask){0}, &profile, &told, &err), &err);
    const es_json *fit = es_json_at(profile, "machine.links.pcie.h2d.fit");
    es_json *options = cJSON_CreateObject(), *piece = cJSON_CreateObject();
    double alpha = es_json_at(fit, "alpha_s")->valuedouble * 1e9, rate = es_json_at(fit, "beta_Bps.0")->valuedouble;
    char text[64];
    snprintf(text, sizeof text, "%.0fns", alpha);
    es_json_add_text(options, "latency", text);
    snprintf(text, sizeof text, "%.0fB/s", rate);
    es_json_add_text(piece, "rate", text);
    cJSON_AddItemToArray(es_json_add_array(options, "pieces"), piece);
    cJSON_AddItemToObject(options, "noise", cJSON_Duplicate(es_json_at(fit, "noise"), true));
    void *self[2];
    for (int i = 0; i < 2; i++) {
        es_site site = {.arena = &m.arena, .path = "channels.pcie.timing", .seed = 5};
        self[i] = es_arena_alloc(&m.arena, 1, es_timing_empirical.part.size);
        fine(es_options_parse(es_timing_empirical.part.options, self[i], options, NULL, &m.arena, &err), &err);
        fine(es_timing_empirical.part.init(self[i], &site, &err), &err);
    }
    const calib_series *series = series_of(&samples, "pcie.h2d");
    double *measured = ES_NEW_ARRAY(&m.arena, series->count, double), *drawn = ES_NEW_ARRAY(&m.arena, DRAWN * series->count, double);
    for (size_t i = 0; i < series->count; i++) {
        double curve = alpha + (double)series->at[i].bytes * 1e9 / rate;
        measured[i] = log((double)series->at[i].ns / curve);
        for (uint32_t k = 0; k < DRAWN; k++) {
            es_op op = {.kind = ES_OP_COPY, .bytes = series->at[i].bytes, .count = 1, .step = i, .object = k};
            es_cost one = es_timing_empirical.cost(self[0], &op), two = es_timing_empirical.cost(self[1], &op);
            assert_true(one.fixed == two.fixed && one.work == two.work);
            drawn[i * DRAWN + k] = log((double)(one.fixed + one.work) / curve);
        }
    }
    size_t n = series->count;
    double distance = distance_of(measured, n, drawn, DRAWN * n), critical = 1.358 * sqrt((1.0 + DRAWN) / (double)(DRAWN * n));
    if (!(n > 500 && distance < critical))
        fail_msg("of %zu samples what is drawn differs by %.4f, critical is %.4f", n, distance, critical);
    for (size_t i = 0; i < n; i++)              /* the test could fail: a tenth wider is told apart */
        measured[i] = 1.3 * measured[i];
    assert_true(distance_of(measured, n, drawn, DRAWN * n) > critical);
    cJSON_Delete(options);
    cJSON_Delete(profile);
    es_text_free(&told);
    calib_samples_free(&samples);
    machine_close(&m);
}

/* The same of experts: around the medians of their sizes and tokens; what was not measured, the dense part, does not vary. */
static void what_an_expert_draws_is_distributed_as_what_was_measured(void **state)
{
    (void)state;
    enum { DRAWN = 10 };
    machine m;
    calib_samples samples;
    calib_expert expert;
    es_json *profile;
    es_text told = {0};
    es_err err = {0};
    fine(machine_open(&m, &es_probe_fake, "{\"noise\": 0.1, \"stalls\": 30}", &(calib_ask){.most = 16 * MIB}, &err), &err);
    machine_only(&m, "gpu.expert");
    fine(machine_measure(&m, 60 * ES_SECOND, &samples, &err), &err);
    fine(calib_report(&samples, &(report_ask){0}, &profile, &told, &err), &err);
    fine(calib_expert_fit(&expert, series_of(&samples, "gpu.expert"), &m.arena, &err), &err);
    const es_json *unit = es_json_at(profile, "machine.compute.gpu");
    assert_true(es_json_at(unit, "mean_over_median")->valuedouble > 1.0 && expert.noise.stalls > 10);
    es_json *options = cJSON_CreateObject();
    es_json_add_text(options, "dense", "7us");
    cJSON_AddItemToObject(options, "points", cJSON_Duplicate(es_json_at(unit, "points"), true));
    cJSON_AddItemToObject(options, "noise", cJSON_Duplicate(es_json_at(unit, "noise"), true));
    es_site site = {.arena = &m.arena, .path = "channels.gpu.timing", .seed = 5};
    const es_timing *timing = &es_timing_empirical_compute;
    void *self = es_arena_alloc(&m.arena, 1, timing->part.size);
    fine(es_options_parse(timing->part.options, self, options, NULL, &m.arena, &err), &err);
    fine(timing->part.init(self, &site, &err), &err);
    const calib_series *series = series_of(&samples, "gpu.expert");
    size_t n = series->count;
    double *measured = ES_NEW_ARRAY(&m.arena, n, double), *drawn = ES_NEW_ARRAY(&m.arena, DRAWN * n, double);
    for (size_t i = 0; i < n; i++) {
        size_t at = 0;
        while (expert.curve[at].tokens != (double)series->at[i].count)
            at++;
        double median = calib_expert_ns(&expert.curve[at], (double)series->at[i].bytes);
        measured[i] = log((double)series->at[i].ns / median);
        for (uint32_t k = 0; k < DRAWN; k++) {
            es_op op = {.kind = ES_OP_EXPERT, .bytes = series->at[i].bytes, .count = 1, .tokens = series->at[i].count, .step = i, .object = k};
            es_cost one = timing->cost(self, &op), two = timing->cost(self, &op);
            assert_true(one.fixed == two.fixed && one.work == two.work);
            drawn[i * DRAWN + k] = log((double)(one.fixed + one.work) / median);
            op.kind = ES_OP_DENSE;
            assert_int_equal(timing->cost(self, &op).work, 7000);
        }
    }
    double distance = distance_of(measured, n, drawn, DRAWN * n), critical = 1.358 * sqrt((1.0 + DRAWN) / (double)(DRAWN * n));
    if (!(n > 2000 && distance < critical))
        fail_msg("of %zu samples what is drawn differs by %.4f, critical is %.4f", n, distance, critical);
    for (size_t i = 0; i < n; i++)
        measured[i] = 1.3 * measured[i];
    assert_true(distance_of(measured, n, drawn, DRAWN * n) > critical);
    cJSON_Delete(options);
    cJSON_Delete(profile);
    es_text_free(&told);
    calib_samples_free(&samples);
    machine_close(&m);
}

/* From threads of the fake, which get 25 GB/s each and 62.5 GB/s together, to the flow of the profile. */
static void threads_that_copy_memory_share_its_rate(void **state)
{
    (void)state;
    static const char *const options[] = {"{}", "{\"noise\": 0.05}"};
    for (int noise = 0; noise < 2; noise++) {
        machine m;
        calib_samples samples;
        es_json *profile;
        es_text told = {0};
        es_err err = {0};
        fine(machine_open(&m, &es_probe_fake, options[noise], &(calib_ask){.most = 64 * MIB}, &err), &err);
        machine_only(&m, "dram.copy");
        fine(machine_measure(&m, 60 * ES_SECOND, &samples, &err), &err);
        fine(calib_report(&samples, &(report_ask){0}, &profile, &told, &err), &err);
        const es_json *flow = es_json_at(profile, "machine.links.dram.copy");
        double share = noise ? 0.02 : 1e-3, one = es_json_at(flow, "max_rate.one_Bps")->valuedouble, all = es_json_at(flow, "max_rate.link_Bps")->valuedouble;
        assert_true(fabs(one / 25e9 - 1.0) < share && fabs(all / 62.5e9 - 1.0) < share);
        assert_int_equal(es_json_at(flow, "lanes")->valueint, 3);
        assert_string_equal(es_json_at(profile, "machine.links.dram.kind")->valuestring, "dram");
        assert_true(fabs(es_json_at(flow, "fit.beta_Bps.0")->valuedouble / 25e9 - 1.0) < share);    /* the curve is of one thread */
        cJSON_Delete(profile);
        es_text_free(&told);
        calib_samples_free(&samples);
        machine_close(&m);
    }
}

/* ---- what is said ---- */

/* A line whose held-out sizes, every fourth from the third on, lie above it by a share. */
static es_code line_reported(double off, es_json **profile, es_text *told, es_err *err)
{
    calib_samples samples = {.environment = cJSON_CreateObject()};
    for (int s = 0; s < 16; s++)
        for (uint32_t r = 0; r < 12; r++) {
            double bytes = 4096.0 * (double)(1 << s), ns = 9000.0 + bytes / 25.0;
            add(&samples, "pcie.h2d", (int64_t)bytes, 1, r, ns * (s % 4 == 2 ? 1.0 + off : 1.0));
            add(&samples, "pcie.d2h", (int64_t)bytes, 1, r, ns);
        }
    es_code code = calib_report(&samples, &(report_ask){0}, profile, told, err);
    calib_samples_free(&samples);
    return code;
}

static void held_out_sizes_that_are_off_are_warned_of_and_refused(void **state)
{
    (void)state;
    static const struct { double off; const char *says; } cases[] = {
        {0.07, NULL},
        {0.12, "pcie.h2d: sizes held out of the fit are off by 10.7 % (median), above 8 %: use it with care\n"},
        {0.17, "pcie.h2d: sizes held out of the fit are off by 14.5 % (median), above 8 %: use it with care\n"},
        {0.19, "pcie.h2d: left out: sizes held out of the fit are off by 16.0 % (median), and above 15 % nothing should be simulated with it\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_json *profile;
        es_text told = {0};
        es_err err = {0};
        fine(line_reported(cases[i].off, &profile, &told, &err), &err);
        if (cases[i].says)
            assert_string_equal(told.at, cases[i].says);
        else
            assert_null(told.at);
        const es_json *skipped = cJSON_GetObjectItemCaseSensitive(es_json_at(profile, "machine.skipped"), "pcie.h2d");
        assert_int_equal(es_json_at(profile, "machine.links.pcie.h2d") != NULL, cases[i].off < 0.18);
        assert_int_equal(skipped != NULL, cases[i].off > 0.18);
        if (skipped)
            assert_string_equal(skipped->valuestring, "sizes held out of the fit are off by 16.0 % (median), and above 15 % nothing should be simulated with it");
        assert_non_null(es_json_at(profile, "machine.links.pcie.d2h"));
        cJSON_Delete(profile);
        es_text_free(&told);
    }
}

/* One copy and batches of 28 MiB experts, as a published study reports them and calls batching efficient; beside single copies of its size. */
static void the_batches_of_a_seed_are_told_to_be_slower(void **state)
{
    (void)state;
    static const struct { uint32_t count; double ms; } batches[] = {{1, 4.35}, {4, 19.14}, {20, 97.16}};
    calib_samples samples = {.environment = cJSON_CreateObject()};
    es_json *profile;
    es_text told = {0};
    es_err err = {0};
    for (uint32_t r = 0; r < 10; r++) {
        for (int64_t mib = 1; mib <= 64; mib *= 2)
            add(&samples, "pcie.h2d", mib * MIB, 1, r, 4.35e6 * (double)mib / 28.0);
        for (int b = 0; b < 3; b++)
            add(&samples, "pcie.batch", 28 * MIB, batches[b].count, r, batches[b].ms * 1e6);
    }
    fine(calib_report(&samples, &(report_ask){0}, &profile, &told, &err), &err);
    assert_string_equal(told.at, "pcie.batch: batching is slower than single copies (efficiency 0.90); its fixed time would be below 0 and is held there\n");
    const es_json *batch = es_json_at(profile, "machine.links.pcie.h2d.fit.batch");
    assert_true(cJSON_IsTrue(es_json_at(batch, "slower")));
    assert_true(es_json_at(batch, "first_s")->valuedouble == 0.0);
    assert_true(fabs(es_json_at(batch, "efficiency")->valuedouble - 20 * 4.35 / 97.16) < 1e-12);
    cJSON_Delete(profile);
    es_text_free(&told);
    calib_samples_free(&samples);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_resample_is_as_many_rounds_in_blocks),
        cmocka_unit_test(all_sizes_of_a_round_are_drawn_together),
        cmocka_unit_test(rounds_that_are_alike_are_drawn_in_blocks),
        cmocka_unit_test(requests_at_a_time_have_a_rate_of_one_and_of_all),
        cmocka_unit_test(what_the_profile_draws_is_distributed_as_what_was_measured),
        cmocka_unit_test(threads_that_copy_memory_share_its_rate),
        cmocka_unit_test(what_an_expert_draws_is_distributed_as_what_was_measured),
        cmocka_unit_test(held_out_sizes_that_are_off_are_warned_of_and_refused),
        cmocka_unit_test(the_batches_of_a_seed_are_told_to_be_slower),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
