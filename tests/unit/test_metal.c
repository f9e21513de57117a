/* The Metal probe on a device that is a formula: plan, streams, stamps, memory and fit give back what it was told; every object that Metal
 * does not give and every command buffer that fails has its message, and all objects are released in the end. */
#include "calib/bench.h"
#include "calib/contention.h"
#include "calib/fit.h"
#include "calib/memory.h"
#include "calib/report.h"
#include "models/profile.h"
#include "tests/support/calib_kit.h"
#include "tests/support/fake_metal.h"

extern const es_probe es_probe_metal_faked;

/* Without a disk: its times are real ones. */
#define OPTIONS "{\"folder\": \"/nowhere\"}"

static void near(double found, double right, double share, const char *what)
{
    if (!(fabs(found - right) <= share * right))
        fail_msg("%s: found %g, right is %g within %g %%", what, found, right, 100.0 * share);
}

static void opened(machine *m, bool quick)
{
    es_err err = {0};
    fake_metal_reset();
    fine(machine_open(m, &es_probe_metal_faked, OPTIONS, &(calib_ask){.quick = quick, .most = 4 * MIB}, &err), &err);
}

static void closed(machine *m)
{
    machine_close(m);
    assert_int_equal(fake_metal_live(), 0);
}

/* ---- copies ---- */

static void what_the_device_was_told_comes_out(void **state)
{
    (void)state;
    machine m;
    calib_samples samples;
    calib_fit fit;
    es_err err = {0};
    unsetenv("FAKE_METAL");
    opened(&m, false);
    fine(machine_measure(&m, 2 * ES_SECOND, &samples, &err), &err);
    static const struct { const char *row; double alpha, gbps; } rows[] = {
        {"memory.h2d", 9000, 25}, {"memory.d2h", 9000, 25}, {"device.read", 900, 250}, {"memory.write", 500, 10}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fine(calib_fit_series(&fit, series_of(&samples, rows[i].row), &(fit_ask){.count = 1}, &m.arena, &err), &err);
        assert_int_equal(fit.curve.pieces, 1);
        near(fit.curve.fixed[0], rows[i].alpha, 0.01, rows[i].row);
        near(1.0 / fit.curve.slope[0], rows[i].gbps, 0.01, rows[i].row);
    }
    for (size_t i = 0; i < CALIB_ROWS; i++) {       /* PCIe there is none, nor experts, a disk, CUDA's prices, threads; all else there is */
        const calib_row *row = &calib_rows[i];
        bool there = strncmp(row->name, "pcie.", 5) != 0 && row->op != CALIB_EXPERT && row->op != CALIB_READ && row->op != CALIB_WRITE &&
            row->op != CALIB_PRICE && row->op != CALIB_LAUNCH && row->op != CALIB_MOVE && row->op != CALIB_FETCH;
        assert_int_equal(samples.row[i].count > 0, there);
    }
    calib_samples_free(&samples);
    closed(&m);
}

static void its_engines_are_first_come_first_served(void **state)
{
    (void)state;
    machine m;
    calib_bench *bench = NULL;
    calib_samples samples = {0};
    es_err err = {0};
    unsetenv("FAKE_METAL");
    opened(&m, true);
    machine_only(&m, "memory.h2d");
    fine(calib_bench_open(&bench, m.probe, m.self, &m.plan, 1, &err), &err);
    fine(contention_measure(bench, &(contention_ask){2 * MIB, 0, 8}, NULL, &samples, &err), &err);
    contention_answer behind = contention_of(&samples, CALIB_H2D_BEHIND), across = contention_of(&samples, CALIB_D2H_ACROSS);
    assert_true(behind.asked && contention_waits(&behind));
    assert_true(across.asked && !contention_waits(&across));
    assert_false(contention_of(&samples, CALIB_H2D_OPPOSITE).slower);
    calib_bench_close(bench);
    closed(&m);
}

/* ---- memory ---- */

static void the_price_of_memory_lands_in_the_profile(void **state)
{
    (void)state;
    machine m;
    calib_samples samples;
    es_json *profile = NULL;
    es_text told = {0};
    es_err err = {0};
    es_profile read;
    unsetenv("FAKE_METAL");
    opened(&m, false);
    fine(machine_measure(&m, 2 * ES_SECOND, &samples, &err), &err);
    es_json_add_text(samples.environment, "backend", "metal");
    es_json_add_int(samples.environment, "page_B", 16384);
    m.probe->environment(m.self, samples.environment);
    fine(calib_report(&samples, &(report_ask){0}, &profile, &told, &err), &err);
    fine(es_profile_parse(&read, cJSON_GetObjectItem(profile, "machine"), NULL, &m.arena, &err), &err);
    assert_non_null(strstr(read.unverified, "has not run on a Mac yet"));
    assert_non_null(strstr(told.at, "unverified: "));
    assert_string_equal(read.link[0].name, "device");
    const es_flow *h2d;
    fine(es_profile_flow(&read, "memory.h2d", &h2d, &err), &err);
    assert_true(h2d->discipline == ES_FLOW_UNSTATED && h2d->fit->each_s > 8e-6);       /* k blits of one command buffer: each costs its 9 us */
    const es_profile_memory *memory = es_profile_memory_find(read.memory, read.memories, "device");
    assert_non_null(memory);
    near((double)memory->pool, 9000, 0.02, "a piece, at least");
    near((double)memory->pool_most, 9000, 0.02, "a piece, at most");
    near((double)memory->device, 180e3, 0.02, "a buffer");
    near((double)memory->shared, 150e3, 0.02, "a shared buffer");
    near((double)memory->heap, 300e3, 0.02, "a heap");
    near((double)memory->touch, 400, 0.02, "a page");
    near((double)memory->wire, 20e3, 0.02, "wrapping");
    near((double)memory->fault, 100, 0.02, "a wrapped page");
    near((double)memory->resident, 250, 0.02, "a resident buffer");
    near((double)memory->resident_set, 10, 0.15, "one of a set");
    assert_int_equal(memory->resident_heap, 0);
    assert_int_equal(memory->page, 16384);
    assert_int_equal(memory->huge, 0);
    cJSON_Delete(profile);
    es_text_free(&told);
    calib_samples_free(&samples);
    closed(&m);
}

static void an_old_system_has_no_residency_sets(void **state)
{
    (void)state;
    machine m;
    setenv("FAKE_METAL", "old", 1);
    opened(&m, true);
    assert_int_equal(m.probe->facts(m.self).can & ES_PROBE_SETS, 0);
    closed(&m);
}

/* ---- what goes wrong ---- */

static es_code tried(const char *fake, es_err *err)
{
    machine m;
    calib_samples samples = {0};
    setenv("FAKE_METAL", fake, 1);
    fake_metal_reset();
    es_code code = machine_open(&m, &es_probe_metal_faked, OPTIONS, &(calib_ask){.quick = true, .most = 256 * KIB}, err);
    if (code == ES_OK)
        code = machine_measure(&m, ES_SECOND / 100, &samples, err);
    calib_samples_free(&samples);
    closed(&m);
    return code;
}

static void failing(const char *fake, const char *text)
{
    es_err err = {0};
    assert_int_equal(tried(fake, &err), ES_EDEVICE);
    if (!matches(err.text, text))
        fail_msg("%s: \"%s\" is not \"%s\"", fake, err.text, text);
}

/* "nil@N": the device comes first, then the buffer to copy through, a queue for each stream, and what is asked for. */
static const char *nil_at(char fake[32], int n)
{
    snprintf(fake, 32, "nil@%d", n);
    return fake;
}

static void every_way_to_fail_has_its_message(void **state)
{
    (void)state;
    char fake[32];
    failing("none", "no usable Metal device. Try --backend host.");
    failing("nil@1", "no usable Metal device. Try --backend host.");
    failing("nil@2", "a buffer to copy through: Metal gave none");
    failing("nil@3", "a command queue: Metal gave none");
    failing(nil_at(fake, 2 + ES_PROBE_STREAMS), "a command queue: Metal gave none");
    failing(nil_at(fake, 3 + ES_PROBE_STREAMS), "out of memory: a shared buffer of %n bytes: Metal gave none");
    failing(nil_at(fake, 4 + ES_PROBE_STREAMS), "out of memory: a private buffer of %n bytes: Metal gave none");
    failing(nil_at(fake, 5 + ES_PROBE_STREAMS), "an encoder of copies: Metal gave none");
    for (int n = 1; n < 400; n = 3 * n + 1) {
        snprintf(fake, sizeof fake, "error@%d", n);
        failing(fake, "the device failed: Caused GPU Timeout Error (made up)");
    }
}

static bool says_what_is_missing(const es_err *err)
{
    static const char *const says[] = {
        "out of memory: a shared buffer of %n bytes: Metal gave none", "out of memory: a private buffer of %n bytes: Metal gave none", "a command buffer: Metal gave none",
        "an encoder of copies: Metal gave none", "out of memory: a heap of %n bytes: Metal gave none", "a piece of a heap: Metal gave none",
        "out of memory: %n bytes: Metal gave none", "compiling a kernel: Caused GPU Timeout Error (made up)", "a kernel: Metal gave none",
        "a kernel: Caused GPU Timeout Error (made up)", "out of memory: buffer %n of %n: Metal gave none", "an encoder of kernels: Metal gave none",
        "a residency set: Caused GPU Timeout Error (made up)",
    };
    for (size_t i = 0; i < sizeof says / sizeof *says; i++)
        if (matches(err->text, says[i]))
            return true;
    return false;
}

/* Whichever object is missing, it is an error of the device with its message, nothing is used that is not there, and nothing stays. */
static void every_object_may_be_missing(void **state)
{
    (void)state;
    int failed = 0;
    for (int n = 6 + ES_PROBE_STREAMS; n < 6000; n += n < 200 ? 1 : 37) {
        char fake[32];
        es_err err = {0};
        es_code code = tried(nil_at(fake, n), &err);
        if (code != ES_OK && (code != ES_EDEVICE || !says_what_is_missing(&err)))
            fail_msg("nil@%d: exit code %d, \"%s\"", n, (int)code, err.text);
        failed += code != ES_OK;
    }
    assert_true(failed > 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_device_was_told_comes_out),
        cmocka_unit_test(its_engines_are_first_come_first_served),
        cmocka_unit_test(the_price_of_memory_lands_in_the_profile),
        cmocka_unit_test(an_old_system_has_no_residency_sets),
        cmocka_unit_test(every_way_to_fail_has_its_message),
        cmocka_unit_test(every_object_may_be_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
