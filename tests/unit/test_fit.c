/* What was put into the fake comes out of the fit; and what is only noise does not. */
#include <gsl/gsl_cdf.h>

#include "calib/batch.h"
#include "calib/expert.h"
#include "calib/fit.h"
#include "tests/support/calib_kit.h"

/* ---- the whole way: probe, plan, samples, fit ---- */

typedef struct truth {
    double alpha_us, gbps, knee, gbps_beyond;   /* knee 0: none */
} truth;

static const truth truths[] = {{9, 25, 0, 0}, {2, 50, 0, 0}, {30, 12, 0, 0}, {1, 14, 1048576, 9}, {9, 25, 524288, 6}};
static const char *const noises[] = {"", ", \"noise\": 0.05", ", \"noise\": 0.05, \"stalls\": 60"};
static const double beta_error[] = {0.01, 0.02, 0.03}, alpha_error[] = {0.02, 0.10, 0.15};

static void near(double found, double right, double share, const char *what)
{
    if (!(fabs(found - right) <= share * right))
        fail_msg("%s: found %g, right is %g within %g %%", what, found, right, share * 100.0);
}

static void recovered(const truth *t, size_t noise)
{
    char options[256];
    snprintf(options, sizeof options, "{\"alpha\": \"%gus\", \"rate\": \"%gGB/s\", \"knee\": \"%.0fB\", \"rate_beyond\": \"%gGB/s\"%s}", t->alpha_us, t->gbps, t->knee,
        t->knee > 0.0 ? t->gbps_beyond : t->gbps, noises[noise]);
    machine m;
    calib_samples samples;
    calib_fit fit;
    es_err err = {0};
    fine(machine_open(&m, &es_probe_fake, options, &(calib_ask){.most = 16 * MIB}, &err), &err);
    machine_only(&m, "pcie.h2d");
    fine(machine_measure(&m, 3 * ES_SECOND, &samples, &err), &err);
    fine(calib_fit_series(&fit, series_of(&samples, "pcie.h2d"), &(fit_ask){.count = 1}, &m.arena, &err), &err);
    assert_true(fit.fitted);
    assert_int_equal(fit.curve.pieces, t->knee > 0.0 ? 2 : 1);
    near(fit.curve.fixed[0], t->alpha_us * 1000.0, alpha_error[noise], "alpha");
    near(1.0 / fit.curve.slope[0], t->gbps, beta_error[noise], "beta");
    if (t->knee > 0.0) {
        near(1.0 / fit.curve.slope[1], t->gbps_beyond, beta_error[noise], "beta beyond the knee");
        assert_true(fit.curve.from[1] > t->knee / 1.5 && fit.curve.from[1] < t->knee * 1.5);
    }
    assert_true(fit.error_holdout < 0.03);
    assert_true(noise == 2 || fit.noise.stalls == 0);
    calib_samples_free(&samples);
    machine_close(&m);
}

static void what_the_fake_was_told_comes_out(void **state)
{
    (void)state;
    for (size_t noise = 0; noise < 3; noise++)
        for (size_t t = 0; t < sizeof truths / sizeof *truths; t++)
            recovered(&truths[t], noise);
}

/* ---- knees ---- */

enum { SEEDS = 200, ROUNDS = 30 };

/* Medians of `ROUNDS` lognormal draws at 4 KiB .. 256 MiB, as a curve gives them. */
static size_t drawn(const calib_curve *curve, double noise, uint64_t seed, curve_point *point)
{
    size_t count = 0;
    for (double bytes = 4096; bytes <= 268435456.0; bytes *= 2)
        for (int half = 0; half < 2 && bytes * (1 + 0.5 * half) <= 268435456.0; half++) {
            double size = bytes * (1.0 + 0.5 * half), ns[ROUNDS];
            for (uint64_t i = 0; i < ROUNDS; i++) {
                double value = curve_ns(curve, size) * exp(noise * gsl_cdf_ugaussian_Pinv(es_draw_real(seed, count, i, 0, 0) + 0x1p-54));
                size_t at = i;
                for (; at > 0 && ns[at - 1] > value; at--)
                    ns[at] = ns[at - 1];
                ns[at] = value;
            }
            point[count++] = (curve_point){size, 0.5 * (ns[ROUNDS / 2 - 1] + ns[ROUNDS / 2])};
        }
    return count;
}

/* How many of 200 seeds give a curve of that many pieces; of a family, where it is above affine. */
static int with_pieces_of(const calib_curve *curve, double noise, size_t pieces, int family, bool pages)
{
    int found = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        curve_point point[FIT_SIZES];
        calib_curve fitted;
        size_t count = drawn(curve, noise, seed, point);
        assert_true(curve_fit(point, count, pages ? CURVE_ANY : CURVE_BY_SIZE, &fitted));
        found += fitted.pieces == pieces && (family == CURVE_AFFINE || fitted.family == family);
    }
    return found;
}

static int with_pieces(const calib_curve *curve, double noise, size_t pieces)
{
    return with_pieces_of(curve, noise, pieces, CURVE_AFFINE, false);
}

static void noise_makes_no_knees(void **state)
{
    (void)state;
    const calib_curve affine = {.pieces = 1, .fixed = {9000}, .slope = {1 / 25.0}};
    assert_int_equal(with_pieces(&affine, 0.0, 1), SEEDS);
    assert_true(with_pieces(&affine, 0.05, 1) > SEEDS * 95 / 100);
    assert_true(with_pieces(&affine, 0.3, 1) > SEEDS * 95 / 100);
}

static void knees_that_are_there_are_found(void **state)
{
    (void)state;
    const double k = 3e6;
    const calib_curve knee = {.pieces = 2, .from = {0, k}, .fixed = {9000, 9000 + k * (1 / 25.0 - 1 / 12.0)}, .slope = {1 / 25.0, 1 / 12.0}};
    const calib_curve jump = {.pieces = 2, .from = {0, k}, .fixed = {9000, 200000}, .slope = {1 / 25.0, 1 / 50.0}};
    const calib_curve knees = {.pieces = 3, .from = {0, 65536, 8e6}, .fixed = {1000, 1000 + 65536 * (1 / 44.0 - 1 / 14.0),
        1000 + 65536 * (1 / 44.0 - 1 / 14.0) + 8e6 * (1 / 14.0 - 1 / 7.0)}, .slope = {1 / 44.0, 1 / 14.0, 1 / 7.0}};
    assert_true(with_pieces(&knee, 0.05, 2) > SEEDS * 95 / 100);
    assert_true(with_pieces(&jump, 0.05, 2) > SEEDS * 95 / 100);
    assert_true(with_pieces(&knees, 0.05, 3) > SEEDS * 95 / 100);
    curve_point point[FIT_SIZES];
    calib_curve fitted;
    assert_true(curve_fit(point, drawn(&jump, 0.05, 1, point), CURVE_BY_SIZE, &fitted));
    assert_int_equal(fitted.family, CURVE_JUMP);
    near(fitted.fixed[1], 200000, 0.05, "latency beyond the jump");
}

/* Memory in huge pages and small ones: 2 MiB are dear to find among sizes of which only one, 3 MiB, fills some pages and not all. */
static void pages_that_are_there_are_found_and_no_others(void **state)
{
    (void)state;
    const double page = 2.0 * MIB, k = 3e6;
    const calib_curve paged = {.family = CURVE_PAGES, .pieces = 2, .from = {0, page}, .fixed = {9000, 9000}, .slope = {1 / 3.0, 1 / 12.0}};
    const calib_curve affine = {.pieces = 1, .fixed = {9000}, .slope = {1 / 25.0}};
    const calib_curve knee = {.pieces = 2, .from = {0, k}, .fixed = {9000, 9000 + k * (1 / 25.0 - 1 / 12.0)}, .slope = {1 / 25.0, 1 / 12.0}};
    assert_true(with_pieces_of(&paged, 0.05, 2, CURVE_PAGES, true) > SEEDS * 95 / 100);
    assert_true(with_pieces_of(&affine, 0.05, 1, CURVE_AFFINE, true) > SEEDS * 95 / 100);
    assert_true(with_pieces_of(&affine, 0.3, 1, CURVE_AFFINE, true) > SEEDS * 95 / 100);
    assert_true(with_pieces_of(&knee, 0.05, 2, CURVE_KNEE, true) > SEEDS * 95 / 100);
    curve_point point[FIT_SIZES];
    calib_curve fitted, again;
    size_t count = drawn(&paged, 0.0, 1, point);
    assert_true(curve_fit(point, count, CURVE_ANY, &fitted) && curve_refit(point, count, &fitted, &again));
    assert_true(fitted.from[1] == page && again.from[1] == page);
    near(curve_ns(&again, 7.5 * MIB), 9000 + 1.5 * MIB / 3.0 + 6.0 * MIB / 12.0, 1e-6, "three pages and three quarters of one");
    assert_true(curve_fit(point, count, CURVE_BY_SIZE, &fitted) && fitted.family != CURVE_PAGES);
}

/* Both criteria are of the same loss: they differ by their terms, and where there are few points they may differ in what they take. */
static void schwarzs_criterion_stands_beside_akaikes(void **state)
{
    (void)state;
    static const double parameters[CURVE_FAMILIES] = {2, 4, 4, 5, 6};
    const calib_curve knee = {.pieces = 2, .from = {0, 1e6}, .fixed = {9000, 9000 + 1e6 * (1 / 25.0 - 1 / 15.0)}, .slope = {1 / 25.0, 1 / 15.0}};
    int differ = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        curve_point all[FIT_SIZES], point[FIT_SIZES];
        calib_curve fitted;
        size_t count = 0, drew = drawn(&knee, 0.2, seed, all);
        for (size_t i = 0; i < drew; i += 3)
            point[count++] = all[i];
        assert_true(curve_fit(point, count, CURVE_BY_SIZE, &fitted));
        for (int f = 0; f < CURVE_FAMILIES; f++) {
            double n = (double)count, p = parameters[f];
            if (!isnan(fitted.aicc[f]))
                assert_true(fabs(fitted.aicc[f] - fitted.bic[f] - (2 * p + 2 * p * (p + 1) / (n - p - 1) - p * log(n))) < 1e-9);
        }
        assert_true(isnan(fitted.aicc[CURVE_PAGES]));
        differ += fitted.family_bic != fitted.family;
    }
    assert_true(differ > 0 && differ < SEEDS / 2);
}

/* What is shipped: sizes of 3 MiB were 92 and 75 % off as long as no family knew huge pages, and those between whole ones by 50 % as long as it was
 * luck how many of these a mapping had. */
static void the_shipped_allocations_are_known_at_every_size(void **state)
{
    (void)state;
    static const char *const rows[] = {"device.alloc", "host.pin"};
    calib_samples samples;
    calib_fit fit;
    es_arena arena = {0};
    es_err err = {0};
    fine(calib_samples_load(&samples, ES_SOURCE_ROOT "/models/profiles/host-epyc-vm.h5", &err), &err);
    for (size_t row = 0; row < 2; row++) {
        fine(calib_fit_series(&fit, series_of(&samples, rows[row]), &(fit_ask){.pages = true, .count = 1}, &arena, &err), &err);
        assert_int_equal(fit.curve.family, CURVE_PAGES);
        assert_true(fit.curve.from[1] == 2.0 * MIB);
        for (size_t s = 0; s < fit.sizes; s++)
            near(curve_ns(&fit.curve, fit.size[s].bytes), fit.size[s].median, 0.15, rows[row]);
    }
    calib_samples_free(&samples);
    es_arena_free(&arena);
}

/* ---- one size off, none at all, too few ---- */

static void a_size_that_is_off_moves_nothing(void **state)
{
    (void)state;
    const calib_curve affine = {.pieces = 1, .fixed = {9000}, .slope = {1 / 25.0}};
    curve_point point[FIT_SIZES];
    calib_curve fitted;
    size_t count = drawn(&affine, 0.0, 1, point);
    point[12].ns *= 2.4;
    point[25].ns *= 2.4;
    assert_true(curve_fit(point, count, CURVE_BY_SIZE, &fitted));
    assert_int_equal(fitted.pieces, 1);
    near(fitted.fixed[0], 9000, 0.01, "alpha");
    near(fitted.slope[0], 1 / 25.0, 0.01, "slope");
}

static void nothing_is_negative(void **state)
{
    (void)state;
    curve_point point[8];
    calib_curve fitted;
    for (size_t i = 0; i < 8; i++)      /* the line through these meets 0 bytes below 0 ns */
        point[i] = (curve_point){4096.0 * (double)(1 << i), pow(2.0, 1.3 * (double)i)};
    assert_true(curve_fit(point, 8, CURVE_BY_SIZE, &fitted));
    for (size_t i = 0; i < fitted.pieces; i++)
        assert_true(fitted.slope[i] >= 0.0);
    assert_true(fitted.fixed[0] == 0.0 && fitted.clamped);
    assert_false(curve_fit(point, 2, CURVE_BY_SIZE, &fitted));
}

/* ---- batches ---- */

/* One copy and batches of 28 MiB experts, as a published study of expert caching reports them and calls batching efficient. */
static void the_batches_of_a_seed_are_slower_than_single_copies(void **state)
{
    (void)state;
    const double bytes = 28.0 * 1048576.0;
    const batch_point point[] = {{1, bytes, 4.35e6}, {4, bytes, 19.14e6}, {20, bytes, 97.16e6}};
    calib_batch batch;
    assert_true(batch_fit(point, 3, &batch));
    assert_true(batch.clamped && batch.first_ns == 0.0);
    assert_true(batch.slower);
    near(batch.efficiency, 20 * 4.35 / 97.16, 1e-12, "efficiency");
    near(batch.efficiency, 0.90, 0.01, "efficiency");
}

static void a_batch_tells_its_gap_from_its_bytes(void **state)
{
    (void)state;
    batch_point point[12];
    size_t count = 0;
    for (double k = 1; k <= 64; k *= 4)
        for (double n = 65536; n <= 16777216; n *= 16)
            point[count++] = (batch_point){k, n, 9000 + k * (1500 + n / 25.0)};
    calib_batch batch;
    assert_true(batch_fit(point, count, &batch));
    near(batch.first_ns, 9000, 1e-6, "first");
    near(batch.each_ns, 1500, 1e-6, "each");
    near(batch.ns_per_byte, 1 / 25.0, 1e-6, "rate");
    assert_false(batch.slower);
    assert_true(batch.efficiency > 1.0);
}

/* ---- experts ---- */

/* The fake's: a fixed time, and the larger of reading the weights and two operations for each of them and token. */
static double expert_right(double bytes, double tokens)
{
    return 20000 + fmax(bytes / 100.0, bytes * tokens / 400.0);
}

static void an_expert_is_known_at_sizes_that_were_not_measured(void **state)
{
    (void)state;
    static const char *const options[] = {"{\"alpha\": \"20us\", \"rate\": \"10GB/s\"}", "{\"alpha\": \"20us\", \"rate\": \"10GB/s\", \"noise\": 0.05}"};
    for (int noise = 0; noise < 2; noise++) {
        machine m;
        calib_samples samples;
        calib_expert expert;
        es_err err = {0};
        fine(machine_open(&m, &es_probe_fake, options[noise], &(calib_ask){.most = 16 * MIB}, &err), &err);
        machine_only(&m, "gpu.expert");
        fine(machine_measure(&m, 60 * ES_SECOND, &samples, &err), &err);
        fine(calib_expert_fit(&expert, series_of(&samples, "gpu.expert"), &m.arena, &err), &err);
        assert_int_equal(expert.curves, 16);
        assert_true(expert.most_bytes == 12.0 * MIB && expert.least_bytes == 0.75 * MIB);
        for (size_t i = 0; i < expert.curves; i++)
            for (double bytes = (noise ? 0.75 : 0.25) * MIB; bytes <= (noise ? 12.0 : 64.0) * MIB; bytes *= 1.5)
                near(calib_expert_ns(&expert.curve[i], bytes), expert_right(bytes, expert.curve[i].tokens), noise ? 0.05 : 1e-4, "an expert");
        assert_true(expert.error_holdout < (noise ? 0.03 : 1e-4));
        calib_samples_free(&samples);
        machine_close(&m);
    }
}

/* What was measured before there were several sizes: all of it grows with the bytes, for nothing else is known. */
static void of_one_size_nothing_is_fixed(void **state)
{
    (void)state;
    calib_expert expert;
    calib_sample sample[] = {{.bytes = 4000, .count = 1, .ns = 3000}, {.bytes = 4000, .count = 1, .ns = 5000}, {.bytes = 4000, .count = 2, .ns = 6000}};
    calib_series series = {.at = sample, .count = 3};
    es_arena arena = {0};
    es_err err = {0};
    fine(calib_expert_fit(&expert, &series, &arena, &err), &err);
    assert_int_equal(expert.curves, 2);
    assert_true(isnan(expert.error_holdout));
    near(calib_expert_ns(&expert.curve[0], 1000), 1000, 1e-9, "a quarter of it");
    near(calib_expert_ns(&expert.curve[1], 1000), 1500, 1e-9, "a quarter of it");
    es_arena_free(&arena);
}

/* ---- sureness and noise ---- */

static void the_intervals_hold_the_truth_and_the_noise_its_quantiles(void **state)
{
    (void)state;
    machine m;
    calib_samples samples;
    calib_fit fit;
    es_err err = {0};
    fine(machine_open(&m, &es_probe_fake, "{\"noise\": 0.1, \"stalls\": 100, \"stall\": \"4ms\"}", &(calib_ask){.most = 16 * MIB}, &err), &err);
    machine_only(&m, "pcie.h2d");
    fine(machine_measure(&m, 3 * ES_SECOND, &samples, &err), &err);
    fine(calib_fit_series(&fit, series_of(&samples, "pcie.h2d"), &(fit_ask){.count = 1, .resamples = FIT_RESAMPLES, .seed = 1}, &m.arena, &err), &err);
    assert_true(fit.resampled);
    assert_true(fit.alpha.low < 9000 && fit.alpha.high > 9000 && fit.alpha.high - fit.alpha.low < 3000);
    assert_true(fit.rate[0].low < 25e9 && fit.rate[0].high > 25e9 && fit.rate[0].high - fit.rate[0].low < 2e9);
    for (size_t class = 0; class < NOISE_CLASSES; class++) {
        const double *q = fit.noise.log_quantile[class];
        assert_true(fit.noise.count[class] > 100);
        for (size_t i = 1; i < NOISE_QUANTILES; i++)
            assert_true(q[i] >= q[i - 1]);
        near(q[24] - q[8], 2 * 0.6745 * 0.1, 0.25, "distance of the quartiles");
    }
    near(fit.noise.stall_ns[16], 4e6, 0.25, "median stall");
    near(fit.noise.stall_rate, 100.0, 0.6, "stalls per second");
    assert_true(fit.mean_over_median > 1.0);
    calib_samples_free(&samples);
    machine_close(&m);
}

static void without_noise_there_are_no_stalls(void **state)
{
    (void)state;
    machine m;
    calib_samples samples;
    calib_fit fit;
    es_err err = {0};
    fine(machine_open(&m, &es_probe_fake, "{}", &(calib_ask){.quick = true, .most = 4 * MIB}, &err), &err);
    fine(machine_measure(&m, ES_SECOND, &samples, &err), &err);
    for (size_t row = 0; row < CALIB_ROWS; row++) {
        fine(calib_fit_series(&fit, &samples.row[row], &(fit_ask){.count = 1}, &m.arena, &err), &err);
        assert_int_equal(fit.noise.stalls, 0);
    }
    assert_false(fit.resampled);
    calib_samples_free(&samples);
    machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_fake_was_told_comes_out),
        cmocka_unit_test(noise_makes_no_knees),
        cmocka_unit_test(knees_that_are_there_are_found),
        cmocka_unit_test(pages_that_are_there_are_found_and_no_others),
        cmocka_unit_test(schwarzs_criterion_stands_beside_akaikes),
        cmocka_unit_test(the_shipped_allocations_are_known_at_every_size),
        cmocka_unit_test(a_size_that_is_off_moves_nothing),
        cmocka_unit_test(nothing_is_negative),
        cmocka_unit_test(the_batches_of_a_seed_are_slower_than_single_copies),
        cmocka_unit_test(a_batch_tells_its_gap_from_its_bytes),
        cmocka_unit_test(an_expert_is_known_at_sizes_that_were_not_measured),
        cmocka_unit_test(of_one_size_nothing_is_fixed),
        cmocka_unit_test(the_intervals_hold_the_truth_and_the_noise_its_quantiles),
        cmocka_unit_test(without_noise_there_are_no_stalls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
