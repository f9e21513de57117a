/* Every way in which CUDA can fail, on a runtime that is told to: what is not there, and each call at the first time, at the second, and
 * later. The message is compared whole; the runtime aborts when it is closed and has not got everything back. */
#include "calib/bench.h"
#include "calib/contention.h"
#include "tests/support/calib_kit.h"

extern const es_probe es_probe_cuda;

#define FAKE "\"folder\": \"/nowhere\", \"library\": \"" ES_FAKE_CUDART "\", \"blas\": \"" ES_FAKE_CUDART "\""

/* Of the experts that are copied before, the first case of each row: all of them make the same calls, and move gigabytes. */
static void plan_fewer(calib_plan *plan)
{
    size_t kept = 0;
    bool seen[CALIB_ROWS] = {false};
    for (size_t i = 0; i < plan->count; i++) {
        const calib_row *row = &calib_rows[plan->at[i].row];
        bool copied = row->op == CALIB_EXPERT && row->part >= CALIB_COPIED;
        if (!copied || !seen[plan->at[i].row])
            plan->at[kept++] = plan->at[i];
        seen[plan->at[i].row] = true;
    }
    plan->count = kept;
}

static es_code tried(const char *fake, const char *options, es_err *err)
{
    machine m;
    calib_bench *bench = NULL;
    calib_samples samples = {.environment = cJSON_CreateObject()};
    setenv("FAKE_CUDART", fake, 1);
    es_code code = machine_open(&m, &es_probe_cuda, options, &(calib_ask){.quick = true, .most = 64 * KIB}, err);
    if (code == ES_OK) {
        plan_fewer(&m.plan);
        code = calib_bench_open(&bench, m.probe, m.self, &m.plan, 1, err);
    }
    if (code == ES_OK)
        code = contention_measure(bench, &(contention_ask){32 * KIB, 0, 3}, NULL, &samples, err);
    if (code == ES_OK)
        code = calib_measure(bench, &m.plan, ES_SECOND / 1000, NULL, &samples, err);
    calib_bench_close(bench);
    calib_samples_free(&samples);
    machine_close(&m);
    unsetenv("FAKE_CUDART");
    return code;
}

/* ---- what is not there ---- */

static void what_is_absent_is_said(void **state)
{
    (void)state;
    static const struct { const char *fake, *options, *says; } cases[] = {
        {"driver", "{" FAKE "}", "no usable CUDA device: CUDA driver version is insufficient for CUDA runtime version (cudaError 35); no NVIDIA driver is loaded. Try --backend host."},
        {"none", "{" FAKE "}", "no usable CUDA device: no CUDA-capable device is detected (cudaError 100). Try --backend host."},
        {"stub", "{" FAKE "}", "no usable CUDA device: CUDA driver is a stub library (cudaError 34); the libcuda that was found is NVIDIA's stub to link with, take its folder out "
            "of LD_LIBRARY_PATH. Try --backend host."},
        {"old", "{" FAKE "}", "this CUDA runtime is of version 11, needs 12 or 13: the layout of what is passed differs"},
        {"", "{\"library\": \"no_such_cudart.so\"}", "no CUDA runtime: no_such_cudart.so: cannot open shared object file: No such file or directory; name it with --set library=PATH. "
            "Try --backend host."},
        {"", "{\"library\": \"libm.so.6\"}", "this CUDA runtime has no cudaRuntimeGetVersion; needs one of version 12 or 13"},
        {"", "{\"gate\": \"1ns\", " FAKE "}", "the streams could not be held until all was queued: the driver's queue is full, or it took more than 1e-09 s"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        es_err err = {0};
        assert_int_equal(tried(cases[i].fake, cases[i].options, &err), ES_EDEVICE);
        assert_string_equal(err.text, cases[i].says);
    }
}

/* What can be done without is left out, and told by its row. */
static void what_is_optional_is_told(void **state)
{
    (void)state;
    static const struct { const char *fake, *options; unsigned bit; const char *says; } cases[] = {
        {"ptx", "{" FAKE "}", ES_PROBE_GATHER, "the driver does not take the kernels: unknown error (cudaError 200)"},
        {"", "{\"folder\": \"/nowhere\", \"library\": \"" ES_FAKE_CUDART "\", \"blas\": \"none\"}", ES_PROBE_BF16, "blas: none was asked for"},
        {"", "{\"folder\": \"/nowhere\", \"library\": \"" ES_FAKE_CUDART "\", \"blas\": \"libm.so.6\"}", ES_PROBE_EXPERT, "this cuBLAS has no cublasCreate_v2"},
        {"", "{" FAKE "}", ES_PROBE_DISK, "/nowhere: cannot hold a scratch file that goes past the page cache: No such file or directory"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        machine m;
        es_err err = {0};
        setenv("FAKE_CUDART", cases[i].fake, 1);
        fine(machine_open(&m, &es_probe_cuda, cases[i].options, &(calib_ask){.quick = true, .most = 64 * KIB}, &err), &err);
        assert_int_equal(m.probe->facts(m.self).can & cases[i].bit, 0);
        assert_string_equal(m.probe->why(m.self, cases[i].bit), cases[i].says);
        machine_close(&m);
        unsetenv("FAKE_CUDART");
    }
}

/* ---- the n-th call ---- */

#define NO_MEMORY ": out of memory (cudaError 2)"
#define CRASHED ": unspecified launch failure (cudaError 719)"
#define INVALID ": unknown error (cudaError 1)"

static const struct call_case {
    const char *call;
    const char *says[6];        /* one of these, at whichever time */
} call_cases[] = {
    {"memory", {"%n bytes of device memory" NO_MEMORY, "%n bytes of pinned memory" NO_MEMORY, "%n bytes of pooled memory" NO_MEMORY, "activations" NO_MEMORY,
        "the workspace of cuBLAS" NO_MEMORY}},
    {"host", {"%n bytes of pinned memory" NO_MEMORY}},
    {"stream", {"a stream" NO_MEMORY}},
    {"event", {"an event" NO_MEMORY}},
    {"lost", {"a copy: CUDA-capable device(s) is/are busy or unavailable (cudaError 46)", "activations: CUDA-capable device(s) is/are busy or unavailable (cudaError 46)",
        "a kernel: CUDA-capable device(s) is/are busy or unavailable (cudaError 46)"}},
    {"record", {"the gate" CRASHED, "an event" CRASHED}},
    {"sync", {"a stream" CRASHED, "activations" CRASHED}},
    {"time", {"the time between two events" CRASHED}},
    {"gate", {"the gate" CRASHED}},
    {"register", {"%n bytes of registered memory" NO_MEMORY}},
    {"unregister", {"unregistering memory" INVALID}},
    {"pool", {"a pool of memory" NO_MEMORY}},
    {"taken", {"%n bytes of pooled memory" NO_MEMORY}},
    {"given", {"giving back memory of a pool" INVALID}},
    {"capture", {"capturing a graph" INVALID}},
    {"graph", {"capturing a graph" NO_MEMORY, "a graph" NO_MEMORY}},
    {"replay", {"a graph" INVALID}},
    {"kernel", {"a kernel" INVALID}},
    {"batch", {"a batch of copies" INVALID}},
    {"blas", {"cuBLAS: the resource allocation failed (cuBLAS 3)"}},
    {"product", {"a product of matrices: the GPU program failed to execute (cuBLAS 13)"}},
};

static void says_one_of(const struct call_case *c, int at, const es_err *err)
{
    for (size_t i = 0; i < sizeof c->says / sizeof *c->says && c->says[i]; i++)
        if (matches(err->text, c->says[i]))
            return;
    fail_msg("%s@%d: \"%s\" is none of its messages", c->call, at, err->text);
}

/* From that time on each call of its kind fails, as a device that is lost has it. */
static void every_call_that_fails_has_its_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof call_cases / sizeof *call_cases; i++) {
        const struct call_case *c = &call_cases[i];
        es_code code = ES_EDEVICE;
        int failed = 0;
        for (int at = 1; code != ES_OK && at < 2000; at = 3 * at) {
            char fake[32];
            es_err err = {0};
            snprintf(fake, sizeof fake, "%s@%d", c->call, at);
            code = tried(fake, "{" FAKE "}", &err);
            if (code == ES_OK)
                break;
            assert_int_equal(code, ES_EDEVICE);
            says_one_of(c, at, &err);
            failed++;
        }
        bool needs_kernels = strcmp(c->call, "kernel") == 0;
        if (failed == 0 && !needs_kernels)      /* a build without nvcc has no kernels to launch */
            fail_msg("%s is never called", c->call);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_absent_is_said),
        cmocka_unit_test(what_is_optional_is_told),
        cmocka_unit_test(every_call_that_fails_has_its_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
