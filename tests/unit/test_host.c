/* The machine the tests run on, measured: that it works and what is kept, never how fast it is. */
#include <pthread.h>
#include <sys/mman.h>

#include "calib/blas.h"
#include "calib/dma.h"
#include "calib/fit.h"
#include "calib/movers.h"
#include "calib/pages.h"
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

/* Two engines that wait for each other in turns: nobody sleeps through a stamp, and nothing goes before what it waits for. */
static void engines_that_wait_for_each_other_go_on(void **state)
{
    (void)state;
    enum { N = 100 };
    dma *d;
    es_err err = {0};
    fine(dma_open(&d, 2, &err), &err);
    for (int round = 0; round < 100; round++) {
        int64_t stamp[2 * N] = {0};
        dma_hold(d, round % 2);
        for (int i = 0; i < 2 * N; i++) {
            if (i > 0)
                fine(dma_push(d, (unsigned)i % 2, &(dma_job){.until = &stamp[i - 1]}, &err), &err);
            fine(dma_push(d, (unsigned)i % 2, &(dma_job){.stamp = &stamp[i]}, &err), &err);
        }
        dma_hold(d, false);
        dma_sync(d);
        for (int i = 1; i < 2 * N; i++)
            assert_true(stamp[i] >= stamp[i - 1] && stamp[i - 1] > 0);
    }
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
    assert_true(can & ES_PROBE_GETS);       /* the call, the first use and the second of a mapping; of a piece of one there is no first */
    const calib_series *buffers = series_of(&samples, "get.buffer"), *pieces = series_of(&samples, "get.piece");
    for (size_t k = 0; k < buffers->count; k++)
        assert_true(buffers->at[k].issue_ns > 0 && buffers->at[k].host_ns > 0);
    for (size_t k = 0; k < pieces->count; k++)
        assert_int_equal(pieces->at[k].issue_ns, pieces->at[k].host_ns);
    calib_samples_free(&samples);
    machine_close(&m);
}

/* An expert is read, and written, as so many pieces at a time: the size of a piece is its bytes by that many. */
static void the_disk_is_asked_by_block_and_depth(void **state)
{
    (void)state;
    machine m;
    es_err err = {0};
    fine(machine_open(&m, &es_probe_fake, "{}", &(calib_ask){.most = 32 * MIB}, &err), &err);
    static const struct { const char *row; uint32_t depth; bool there; } cases[] = {
        {"disk.read", 1, true}, {"disk.read", 2, true}, {"disk.read", 8, true}, {"disk.read", 32, true}, {"disk.write", 1, true}, {"disk.write", 8, true},
        {"disk.write", 32, false},      /* a write is safe when it returns: how many go at once matters less, and each is dear */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool small = false, large = false;
        for (size_t k = 0; k < m.plan.count; k++) {
            const calib_case *c = &m.plan.at[k];
            if (strcmp(calib_rows[c->row].name, cases[i].row) == 0 && c->count == cases[i].depth) {
                small = small || c->bytes == 128 * KIB;
                large = large || c->bytes == 32 * MIB;
            }
        }
        assert_true(small == cases[i].there && large == cases[i].there);
    }
    machine_close(&m);
}

/* Each thread brings its share, whatever does not divide; more threads than processors are as many as these. */
static void threads_bring_all_bytes_between_them(void **state)
{
    (void)state;
    movers *m = NULL;
    es_err err = {0};
    fine(movers_open(&m, 1 << 20, &err), &err);
    for (int kind = 0; kind < ES_RAM_FAR; kind++)
        for (unsigned threads = 1; threads <= movers_most() + 1; threads++)
            for (int64_t bytes = 1; bytes <= 3 << 20; bytes = bytes * 37 + 11) {
                es_time ns = 0;
                fine(movers_copy(m, (es_ram)kind, threads, bytes, &ns, &err), &err);
                assert_true(ns > 0);
            }
    movers_close(m);
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

/* Memory that the host stands for a device with, read back by the kernel's own account: bound where there is another node, else not. */
static void the_arena_is_bound_where_there_is_another_node(void **state)
{
    (void)state;
    machine m;
    void *at = NULL;
    es_err err = {0};
    fine(machine_open(&m, &es_probe_host, "{\"folder\": \"/nowhere\"}", &(calib_ask){.quick = true, .most = 512 * KIB}, &err), &err);
    fine(m.probe->alloc(m.self, ES_MEMORY_DEVICE, MIB, &at, &err), &err);
    es_json *environment = cJSON_CreateObject();
    m.probe->environment(m.self, environment);
    bool several = access("/sys/devices/system/node/node1", F_OK) == 0;
    assert_true(cJSON_IsNumber(es_json_at(environment, "numa_node")));
    assert_true(several || es_json_at(environment, "numa_node")->valueint == -1);
    cJSON_Delete(environment);
    m.probe->release(m.self, ES_MEMORY_DEVICE, at, MIB);
    machine_close(&m);
    fine(machine_open(&m, &es_probe_host, "{\"folder\": \"/nowhere\", \"node\": 63}", &(calib_ask){.quick = true, .most = 512 * KIB}, &err), &err);
    fine(m.probe->alloc(m.self, ES_MEMORY_DEVICE, MIB, &at, &err), &err);      /* a node that is not there hinders nothing, and is told */
    environment = cJSON_CreateObject();
    m.probe->environment(m.self, environment);
    assert_int_equal(strncmp(es_json_at(environment, "numa_not_bound")->valuestring, "node 63: ", 9), 0);
    cJSON_Delete(environment);
    m.probe->release(m.self, ES_MEMORY_DEVICE, at, MIB);
    machine_close(&m);
}

/* ---- products ---- */

/* One row is a product of a matrix and a vector; several are one of matrices. OpenBLAS, where it is, and own loops against sums in double. */
static void products_are_right_with_and_without_a_library(void **state)
{
    (void)state;
    enum { INNER = 96, COLUMNS = 72, ROWS = 5 };
    static float left[ROWS * INNER], right[INNER * COLUMNS], out[ROWS * COLUMNS];
    for (int i = 0; i < ROWS * INNER; i++)
        left[i] = (float)(i % 11) - 5.0f;
    for (int i = 0; i < INNER * COLUMNS; i++)
        right[i] = (float)(i % 13) * 0.25f - 1.0f;
    for (int own = 0; own < 2; own++) {
        blas *b = blas_open(own ? "none" : NULL, 1);
        assert_true(b && (!own || blas_own(b)));
        for (uint32_t rows = 1; rows <= ROWS; rows += ROWS - 1) {
            blas_multiply(b, rows, INNER, COLUMNS, left, right, out);
            for (uint32_t i = 0; i < rows * COLUMNS; i++) {
                double sum = 0.0;
                for (int k = 0; k < INNER; k++)
                    sum += (double)left[i / COLUMNS * INNER + (uint32_t)k] * (double)right[(uint32_t)k * COLUMNS + i % COLUMNS];
                assert_true(fabs((double)out[i] - sum) < 1e-3);
            }
        }
        blas_close(b);
    }
}

/* Three quarters of all mappings of 2.5 MiB would have no room for a whole huge page. */
static void a_mapping_of_huge_pages_begins_with_one(void **state)
{
    (void)state;
    static const struct { int64_t bytes; bool begins; } cases[] = {{5 * MIB / 2, true}, {2 * MIB, true}, {2 * MIB + 1, true}, {9 * MIB, true}, {4 * KIB, false}, {1, false}};
    void *at[2 * sizeof cases / sizeof *cases];
    es_err err = {0};
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {          /* huge ones, and between them others that move them on */
        const int64_t bytes = cases[i / 2].bytes;
        fine(pages_map(bytes, i % 2 == 0, &at[i], &err), &err);
        assert_true(i % 2 || !cases[i / 2].begins || (uintptr_t)at[i] % (2 * MIB) == 0);
        memset(at[i], (int)i + 1, (size_t)bytes);
    }
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        const size_t bytes = (size_t)cases[i / 2].bytes;
        for (size_t k = 0; k < bytes; k++)
            if (((unsigned char *)at[i])[k] != i + 1)
                fail_msg("byte %zu of mapping %zu is another's", k, i);
        assert_int_equal(munmap(at[i], bytes), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(engines_are_first_come_first_served),
        cmocka_unit_test(engines_that_wait_for_each_other_go_on),
        cmocka_unit_test(a_queue_that_is_full_is_an_error),
        cmocka_unit_test(this_machine_can_be_measured),
        cmocka_unit_test(the_disk_is_asked_by_block_and_depth),
        cmocka_unit_test(threads_bring_all_bytes_between_them),
        cmocka_unit_test(a_folder_that_is_not_there_leaves_the_disk_out),
        cmocka_unit_test(the_arena_is_bound_where_there_is_another_node),
        cmocka_unit_test(a_mapping_of_huge_pages_begins_with_one),
        cmocka_unit_test(products_are_right_with_and_without_a_library),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
