/* The machine the tests run on, measured: that it works and what is kept, never how fast it is. */
#include <pthread.h>

#include "calib/dma.h"
#include "calib/fit.h"
#include "tests/support/calib_kit.h"

/* ---- engines ---- */

static void engines_are_first_come_first_served(void **state)
{
    (void)state;
    enum { N = 100 };
    dma *d;
    es_err err = {0};
    int64_t stamp[N];
    static unsigned char a[65536], b[65536];
    memset(a, 7, sizeof a);
    fine(dma_open(&d, 2, &err), &err);
    for (int round = 0; round < 20; round++) {
        dma_hold(d, true);
        for (int i = 0; i < N; i++) {
            fine(dma_push(d, 0, &(dma_job){.to = b, .from = a, .bytes = sizeof a}, &err), &err);
            fine(dma_push(d, 0, &(dma_job){.stamp = &stamp[i]}, &err), &err);
        }
        es_time opened = dma_clock();
        dma_hold(d, false);
        dma_sync(d);
        assert_true(stamp[0] >= opened);
        for (int i = 1; i < N; i++)
            assert_true(stamp[i] >= stamp[i - 1]);
    }
    assert_memory_equal(a, b, sizeof a);
    dma_close(d);
}

static void a_queue_that_is_full_is_an_error(void **state)
{
    (void)state;
    dma *d;
    es_err err = {0};
    int64_t stamp;
    es_code code = ES_OK;
    fine(dma_open(&d, 1, &err), &err);
    dma_hold(d, true);
    for (int i = 0; i < 10000 && code == ES_OK; i++)
        code = dma_push(d, 0, &(dma_job){.stamp = &stamp}, &err);
    assert_int_equal(code, ES_EINTERNAL);
    says(&err, "jobs queued");
    dma_close(d);               /* lets them go first */
}

/* ---- all of it ---- */

static void this_machine_can_be_measured(void **state)
{
    (void)state;
    machine m;
    calib_samples samples;
    es_err err = {0};
    fine(machine_open(&m, &es_probe_host, "{}", &(calib_ask){.quick = true, .most = 512 * KIB}, &err), &err);
    unsigned can = m.probe->facts(m.self).can;
    fine(machine_measure(&m, ES_SECOND, &samples, &err), &err);
    m.probe->environment(m.self, samples.environment);
    for (size_t i = 0; i < CALIB_ROWS; i++) {
        const calib_series *series = &samples.row[i];
        assert_int_equal(series->count > 0, (calib_rows[i].needs & ~can) == 0);
        for (size_t k = 0; k < series->count; k++)
            assert_true(series->at[k].ns > 0);
    }
    calib_fit fit;
    fine(calib_fit_series(&fit, series_of(&samples, "pcie.h2d"), &(fit_ask){.count = 1}, &m.arena, &err), &err);
    assert_true(fit.fitted && fit.sizes == 8);
    assert_non_null(es_json_at(samples.environment, "pinned"));
    calib_samples_free(&samples);
    machine_close(&m);
}

static void a_folder_that_is_not_there_leaves_the_disk_out(void **state)
{
    (void)state;
    machine m;
    es_err err = {0};
    fine(machine_open(&m, &es_probe_host, "{\"folder\": \"/nowhere/at/all\"}", &(calib_ask){.quick = true, .most = 512 * KIB}, &err), &err);
    assert_int_equal(m.probe->facts(m.self).can & (ES_PROBE_DISK | ES_PROBE_DISK_QUEUE), 0);
    es_json *environment = cJSON_CreateObject();
    m.probe->environment(m.self, environment);
    assert_string_equal(es_json_at(environment, "disk")->valuestring, "/nowhere/at/all: cannot hold a scratch file that goes past the page cache: No such file or directory");
    cJSON_Delete(environment);
    machine_close(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engines_are_first_come_first_served),
        cmocka_unit_test(a_queue_that_is_full_is_an_error),
        cmocka_unit_test(this_machine_can_be_measured),
        cmocka_unit_test(a_folder_that_is_not_there_leaves_the_disk_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
