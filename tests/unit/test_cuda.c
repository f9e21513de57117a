/* The CUDA probe on a runtime that is a formula: loader, gate, timing, plan and fit give back what it was told, and what is no curve,
 * tables. */
#ifdef __linux__
#include <sched.h>
#endif

#include "calib/bench.h"
#include "calib/contention.h"
#include "calib/fit.h"
#include "calib/report.h"
#include "calib/report_tables.h"
#include "models/profile_tables.h"
#include "tests/support/calib_kit.h"

extern const es_probe es_probe_cuda;
extern const char cuda_kernels_ptx[];

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
    fine(report_tables(samples, out, arena, &err), &err);
    for (size_t i = 0; i < 4; i++)
        fine(es_profile_table_check(cJSON_GetObjectItem(out, (const char *const[]){"alloc", "gemm", "batches", "launch"}[i]), arena, &err), &err);
    assert_true(cJSON_GetArraySize(es_json_at(out, "alloc.device.take.size_B")) >= 3);
    assert_int_equal(cJSON_GetArraySize(es_json_at(out, "gemm.bf16.cold.tokens")), 7);
    near(es_json_at(out, "batches.copies.loggp.alpha_s")->valuedouble, 9e-6, 0.01);
    near(1.0 / es_json_at(out, "batches.call.loggp.G_spB")->valuedouble, 25e9, 0.01);
    assert_int_equal(cJSON_GetArraySize(es_json_at(out, "gemm.bf16.cold.noise.classes.0.log_quantiles")), 33);
    assert_true(es_json_at(out, "gemm.int4.warm.mean_over_median")->valuedouble >= 1.0);
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

/* The time of `count` objects of `bytes` by one form of batch. */
static double batch_s(const es_json *out, const char *form, int count, double bytes)
{
    const es_json *table = cJSON_GetObjectItem(cJSON_GetObjectItem(out, "batches"), form);
    const es_json *counts = cJSON_GetObjectItem(table, "count"), *sizes = cJSON_GetObjectItem(table, "size_B"), *times = cJSON_GetObjectItem(table, "time_s");
    for (int i = 0; i < cJSON_GetArraySize(counts); i++)
        if (cJSON_GetArrayItem(counts, i)->valueint == count && cJSON_GetArrayItem(sizes, i)->valuedouble == bytes)
            return cJSON_GetArrayItem(times, i)->valuedouble;
    fail_msg("batches.%s has no %d of %g bytes", form, count, bytes);
    return 0.0;
}

/* As was reported of cudaMemcpyBatchAsync on an H100 (vllm, issue 42212): slow below 28 KiB, where a kernel that gathers wins. */
static void a_cliff_of_the_batch_call_is_in_the_tables(void **state)
{
    (void)state;
    machine m;
    calib_samples samples;
    es_err err = {0};
    es_json *out = cJSON_CreateObject();
    unsetenv("FAKE_CUDART");
    setenv("FAKE_CUDART_MODEL", "spans=28672,slow=8", 1);
    fine(machine_open(&m, &es_probe_cuda, WITH_FAKE, &(calib_ask){.most = 2 * MIB}, &err), &err);
    size_t kept = 0;
    for (size_t i = 0; i < m.plan.count; i++)
        if (calib_rows[m.plan.at[i].row].op == CALIB_BATCH)
            m.plan.at[kept++] = m.plan.at[i];
    m.plan.count = kept;
    fine(machine_measure(&m, 2 * ES_SECOND, &samples, &err), &err);
    fine(report_tables(&samples, out, &m.arena, &err), &err);
    unsetenv("FAKE_CUDART_MODEL");
    for (int i = 0; i < 2; i++) {
        double bytes = i ? 32768 : 24576, call = 9e-6 + 20 * (i ? 1 : 8) * bytes / 25e9;
        near(batch_s(out, "call", 20, bytes), call, 0.01);
        near(batch_s(out, "copies", 20, bytes), 20 * (9e-6 + bytes / 25e9), 0.01);
        near(batch_s(out, "whole", 20, bytes), 9e-6 + 20 * bytes / 25e9, 0.01);
        if (m.probe->facts(m.self).can & ES_PROBE_GATHER)
            assert_int_equal(batch_s(out, "gather", 20, bytes) < call, i == 0);
    }
    cJSON_Delete(out);
    calib_samples_free(&samples);
    machine_close(&m);
}

/* Without memory that can be got in two steps, what the driver's call costs is the profile's price of memory. */
static void the_price_of_memory_is_a_memory_of_the_profile(void **state)
{
    (void)state;
    machine m;
    calib_samples samples;
    es_json *profile = NULL;
    es_text told = {0};
    es_err err = {0};
    unsetenv("FAKE_CUDART");
    fine(machine_open(&m, &es_probe_cuda, WITH_FAKE, &(calib_ask){.quick = true, .most = 4 * MIB}, &err), &err);
    size_t kept = 0;
    for (size_t i = 0; i < m.plan.count; i++)
        if (calib_rows[m.plan.at[i].row].op == CALIB_PRICE || strcmp(calib_rows[m.plan.at[i].row].name, "pcie.h2d") == 0)
            m.plan.at[kept++] = m.plan.at[i];
    m.plan.count = kept;
    fine(machine_measure(&m, ES_SECOND, &samples, &err), &err);
    for (size_t row = 0; row < CALIB_ROWS; row++)       /* the host's clock is real: what it says is put in, 50 us and 2 us for each MiB */
        for (size_t i = 0; i < samples.row[row].count && calib_rows[row].op == CALIB_PRICE; i++)
            samples.row[row].at[i].ns = calib_rows[row].which == ES_PRICE_POOL_KEPT ? 3000 : 50000 + samples.row[row].at[i].bytes * 2000 / MIB;
    es_json_add_text(samples.environment, "backend", "cuda");
    es_json_add_int(samples.environment, "page_B", MIB);
    fine(calib_report(&samples, &(report_ask){0}, &profile, &told, &err), &err);
    const es_json *memory = es_json_at(profile, "machine.memory.device");
    assert_string_equal(cJSON_GetObjectItem(memory, "pool")->valuestring, "3us");
    assert_string_equal(cJSON_GetObjectItem(memory, "device")->valuestring, "50us");
    assert_string_equal(cJSON_GetObjectItem(memory, "touch")->valuestring, "2us");
    cJSON_Delete(profile);
    es_text_free(&told);
    calib_samples_free(&samples);
    machine_close(&m);
}

#ifdef __linux__
/* The device hangs on node 0: the thread runs on processors of it, and where it ran before when the probe is closed. */
static void the_thread_is_near_the_device(void **state)
{
    (void)state;
    machine m;
    cpu_set_t before, meanwhile, after;
    es_err err = {0};
    setenv("FAKE_CUDART", "near", 1);
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    fine(machine_open(&m, &es_probe_cuda, WITH_FAKE, &(calib_ask){.quick = true, .most = 64 * KIB}, &err), &err);
    es_json *environment = cJSON_CreateObject();
    m.probe->environment(m.self, environment);
    assert_int_equal(es_json_at(environment, "numa_node")->valueint, 0);
    assert_int_equal(cJSON_IsTrue(es_json_at(environment, "thread_bound")), access("/sys/devices/system/node/node0/cpulist", R_OK) == 0);
    assert_int_equal(sched_getaffinity(0, sizeof meanwhile, &meanwhile), 0);
    assert_true(CPU_COUNT(&meanwhile) > 0);
    cJSON_Delete(environment);
    machine_close(&m);
    assert_int_equal(sched_getaffinity(0, sizeof after, &after), 0);
    assert_true(CPU_EQUAL(&before, &after));
    unsetenv("FAKE_CUDART");
}
#endif

/* All four kernels are in what was embedded, or a build without a compiler for them says so. */
static void what_the_kernels_are_is_embedded(void **state)
{
    (void)state;
    static const char *const names[] = {".entry es_nothing(", ".entry es_spin(", ".entry es_gather(", ".entry es_int4("};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(strstr(cuda_kernels_ptx, names[i]) != NULL, cuda_kernels_ptx[0] != '\0');
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
    fine(contention_measure(bench, &(contention_ask){2 * MIB, 0, 8}, NULL, &samples, &err), &err);
    contention_answer behind = contention_of(&samples, CALIB_H2D_BEHIND), across = contention_of(&samples, CALIB_D2H_ACROSS);
    assert_true(behind.asked && contention_waits(&behind));
    assert_true(across.asked && !contention_waits(&across));
    assert_false(contention_of(&samples, CALIB_H2D_OPPOSITE).slower);
    calib_bench_close(bench);
    machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_runtime_was_told_comes_out),
        cmocka_unit_test(a_cliff_of_the_batch_call_is_in_the_tables),
        cmocka_unit_test(the_price_of_memory_is_a_memory_of_the_profile),
#ifdef __linux__
        cmocka_unit_test(the_thread_is_near_the_device),
#endif
        cmocka_unit_test(what_the_kernels_are_is_embedded),
        cmocka_unit_test(its_engines_are_first_come_first_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
