/* The CUDA probe on a runtime that is a formula: loader, gate, timing, plan and fit give back what it was told; every way to fail has
 * its message, and nothing is leaked (the same under the sanitisers). */
#include "calib/bench.h"
#include "calib/contention.h"
#include "calib/fit.h"
#include "calib/report_tables.h"
#include "models/profile_tables.h"
#include "tests/support/calib_kit.h"

extern const es_probe es_probe_cuda;

/* Without a disk: its times are real ones, and take real time. */
#define WITH_FAKE "{\"folder\": \"/nowhere\", \"library\": \"" ES_FAKE_CUDART "\", \"blas\": \"" ES_FAKE_CUDART "\"}"

static void near(double found, double right, double share)
{
    if (!(fabs(found - right) <= share * right))
        fail_msg("found %g, right is %g", found, right);
}

/* What is no curve: by size, by count, by tokens. */
static void tables_are_whole(const calib_samples *samples, es_arena *arena)
{
    es_json *out = cJSON_CreateObject();
    es_err err = {0};
    report_tables(samples, out, arena);
    for (size_t i = 0; i < 4; i++)
        fine(es_profile_table_check(cJSON_GetObjectItem(out, (const char *const[]){"alloc", "gemm", "batches", "launch"}[i]), arena, &err), &err);
    assert_true(cJSON_GetArraySize(es_json_at(out, "alloc.device.take.size_B")) >= 3);
    assert_int_equal(cJSON_GetArraySize(es_json_at(out, "gemm.bf16.cold.tokens")), 7);
    near(es_json_at(out, "batches.copies.loggp.alpha_s")->valuedouble, 9e-6, 0.01);
    near(1.0 / es_json_at(out, "batches.call.loggp.G_spB")->valuedouble, 25e9, 0.01);
    cJSON_Delete(out);
}

static void what_the_runtime_was_told_comes_out(void **state)
{
    (void)state;
    machine m;
    calib_samples samples;
    calib_fit fit;
    es_err err = {0};
    unsetenv("FAKE_CUDART");
    fine(machine_open(&m, &es_probe_cuda, WITH_FAKE, &(calib_ask){.quick = true, .most = 4 * MIB}, &err), &err);
    fine(machine_measure(&m, 2 * ES_SECOND, &samples, &err), &err);
    static const struct { const char *row; double alpha, gbps; } rows[] = {{"pcie.h2d", 9000, 25}, {"pcie.d2h", 9000, 25}, {"device.read", 900, 250}};
    for (size_t i = 0; i < 3; i++) {
        fine(calib_fit_series(&fit, series_of(&samples, rows[i].row), &(fit_ask){.count = 1}, &m.arena, &err), &err);
        assert_int_equal(fit.curve.pieces, 1);
        near(fit.curve.fixed[0], rows[i].alpha, 0.01);
        near(1.0 / fit.curve.slope[0], rows[i].gbps, 0.01);
    }
    unsigned can = m.probe->facts(m.self).can;
    for (size_t i = 0; i < CALIB_ROWS; i++)
        assert_int_equal(samples.row[i].count > 0, (calib_rows[i].needs & can) == calib_rows[i].needs);
    assert_int_equal(can & (ES_PROBE_EXPERT | ES_PROBE_POOLS | ES_PROBE_BATCH_CALL | ES_PROBE_FLAVOURS), ES_PROBE_EXPERT | ES_PROBE_POOLS | ES_PROBE_BATCH_CALL | ES_PROBE_FLAVOURS);
    tables_are_whole(&samples, &m.arena);
    es_json *environment = samples.environment;
    m.probe->environment(m.self, environment);
    assert_string_equal(es_json_at(environment, "pci_bus")->valuestring, "0000:FA:CE.0");
    calib_samples_free(&samples);
    machine_close(&m);
}

static void its_engines_are_first_come_first_served(void **state)
{
    (void)state;
    machine m;
    calib_bench *bench = NULL;
    calib_samples samples = {0};
    es_err err = {0};
    unsetenv("FAKE_CUDART");
    fine(machine_open(&m, &es_probe_cuda, WITH_FAKE, &(calib_ask){.quick = true, .most = 4 * MIB}, &err), &err);
    machine_only(&m, "pcie.h2d");
    fine(calib_bench_open(&bench, m.probe, m.self, &m.plan, 1, &err), &err);
    fine(contention_measure(bench, 2 * MIB, 8, &samples, &err), &err);
    contention_answer behind = contention_of(&samples, CALIB_H2D_BEHIND), across = contention_of(&samples, CALIB_D2H_ACROSS);
    assert_true(behind.asked && contention_waits(&behind));
    assert_true(across.asked && !contention_waits(&across));
    assert_false(contention_of(&samples, CALIB_H2D_OPPOSITE).slower);
    calib_bench_close(bench);
    machine_close(&m);
}

static void failing(const char *fake, const char *options, const char *text)
{
    machine m;
    calib_samples samples = {0};
    es_err err = {0};
    setenv("FAKE_CUDART", fake, 1);
    es_code code = machine_open(&m, &es_probe_cuda, options, &(calib_ask){.quick = true, .most = MIB}, &err);
    if (code == ES_OK)
        code = machine_measure(&m, ES_SECOND, &samples, &err);
    assert_int_equal(code, ES_EDEVICE);
    says(&err, text);
    calib_samples_free(&samples);
    machine_close(&m);
}

static void every_way_to_fail_has_its_message(void **state)
{
    (void)state;
    failing("driver", WITH_FAKE, "no usable CUDA device: CUDA driver version is insufficient for CUDA runtime version (cudaError 35); no NVIDIA driver is loaded. Try --backend host.");
    failing("none", WITH_FAKE, "no usable CUDA device: no CUDA-capable device is detected (cudaError 100). Try --backend host.");
    failing("stub", WITH_FAKE, "no usable CUDA device: CUDA driver is a stub library (cudaError 34); the libcuda that was found is NVIDIA's stub");
    failing("old", WITH_FAKE, "this CUDA runtime is of version 11, needs ");
    failing("", "{\"library\": \"no_such_cudart.so\"}", "no CUDA runtime: no_such_cudart.so: cannot open shared object file");
    failing("", "{\"library\": \"libm.so.6\"}", "this CUDA runtime has no cudaRuntimeGetVersion; needs one of version ");
    failing("memory@1", WITH_FAKE, "memory: out of memory (cudaError 2)");
    failing("memory@2", WITH_FAKE, "memory: out of memory (cudaError 2)");
    failing("memory@9", WITH_FAKE, ": out of memory (cudaError 2)");
    failing("", "{\"gate\": \"1ns\", \"library\": \"" ES_FAKE_CUDART "\"}", "the streams could not be held until all was queued: the driver's queue is full, or it took more than 1e-09 s");
    for (int n = 1; n < 300; n = 4 * n + 1) {
        char fake[32];
        snprintf(fake, sizeof fake, "lost@%d", n);
        failing(fake, WITH_FAKE, " (cu");       /* "(cudaError 46)", or of a product "(cuBLAS 13)" */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_runtime_was_told_comes_out),
        cmocka_unit_test(its_engines_are_first_come_first_served),
        cmocka_unit_test(every_way_to_fail_has_its_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
