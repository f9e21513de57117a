/* Mrc as a library: what its HDF5 file holds, and that a fault of the ask leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim/base/h5.h"
#include "sim/study/mrc.h"
#include "tests/support/folder.h"

#define SAMPLE ES_SOURCE_ROOT "/traces/samples/quickstart.h5"
#define UNWEIGHED ES_SOURCE_ROOT "/tests/fuzz/corpus/csv/small"    /* does not say what an expert weighs */

static void fine(es_code code, const es_err *err)
{
    if (code != ES_OK)
        print_error("%s\n", err->text);
    assert_int_equal(code, ES_OK);
}

typedef struct row {
    int64_t capacity, accesses, hits, hit_bytes;
} row;

#define COLUMN(of, member) {.name = #member, .type = ES_H5_I64, .offset = offsetof(of, member)}

static void check_rows(es_h5 *file, const es_mrc *mrc)
{
    static const es_h5_column columns[] = {COLUMN(row, capacity), COLUMN(row, accesses), COLUMN(row, hits), COLUMN(row, hit_bytes)};
    es_h5_data *table;
    es_err err = {0};
    uint64_t at = 0;
    fine(es_h5_table_open(&table, file, "/rows", columns, 4, sizeof(row), &err), &err);
    for (uint32_t l = 0; l < mrc->lines; l++)
        for (uint32_t i = 0; i < mrc->line[l].curve.sizes; i++, at++) {
            const es_curve *curve = &mrc->line[l].curve;
            row one;
            fine(es_h5_table_read(table, at, 1, &one, &err), &err);
            assert_int_equal(one.capacity, curve->capacity[i]);
            assert_int_equal(one.accesses, es_mrc_accesses(mrc, curve));
            assert_int_equal(one.hits, es_mrc_hits(mrc, curve, i));
            assert_int_equal(one.hit_bytes, curve->decode_hits[i] * 1048576);
        }
    assert_int_equal(es_h5_data_dims(table)[0], at);
    es_h5_data_close(table);
}

typedef struct layer_row {
    int64_t layer, capacity, hits;
} layer_row;

static void check_layers(es_h5 *file, const es_mrc *mrc)
{
    static const es_h5_column columns[] = {COLUMN(layer_row, layer), COLUMN(layer_row, capacity), COLUMN(layer_row, hits)};
    es_h5_data *table;
    es_err err = {0};
    fine(es_h5_table_open(&table, file, "/layers", columns, 3, sizeof(layer_row), &err), &err);
    assert_int_equal(es_h5_data_dims(table)[0], 24 * 32);
    for (uint64_t i = 0; i < 24 * 32; i++) {
        layer_row one;
        fine(es_h5_table_read(table, i, 1, &one, &err), &err);
        assert_int_equal(one.layer, i / 32);
        assert_int_equal(one.capacity, i % 32 + 1);
        assert_int_equal(one.hits, mrc->layer[i / 32].decode_hits[i % 32]);
    }
    es_h5_data_close(table);
}

static void its_file_holds_all_of_it(void **state)
{
    (void)state;
    const char *const sets[] = {"model.expert_bytes=1MiB"};
    const es_mrc_ask ask = {.path = SAMPLE, .policies = "lru,belady,lfu", .sizes = "8MiB,100MiB,25%", .sets = sets, .set_count = 1};
    es_mrc mrc;
    es_err err = {0};
    es_h5 *file;
    char *report, *counts;
    fine(es_mrc_make(&mrc, &ask, NULL, &err), &err);
    assert_int_equal(mrc.lines, 3);
    assert_int_equal(mrc.runs, 3);
    assert_int_equal(mrc.line[0].curve.sizes, 3);
    assert_int_equal(mrc.line[0].curve.capacity[2], 192 * 1048576);
    fine(es_mrc_h5(&mrc, at("mrc.h5"), &err), &err);
    fine(es_h5_open(&file, at("mrc.h5"), false, &err), &err);
    check_rows(file, &mrc);
    check_layers(file, &mrc);
    fine(es_h5_get_text(file, "/", "report", &report, &err), &err);
    fine(es_h5_get_text(file, "/", "counts", &counts, &err), &err);
    es_json *tree = es_mrc_json(&mrc, false);
    char *text = es_json_text(tree);
    assert_string_equal(report, text);
    assert_string_equal(counts, "bytes");
    assert_null(cJSON_GetObjectItem(tree, "rows"));
    cJSON_Delete(tree);
    free(text);
    free(report);
    free(counts);
    fine(es_h5_close(file, &err), &err);
    es_mrc_free(&mrc);
}

static void a_capacity_that_a_line_has_not_got_is_none(void **state)
{
    (void)state;
    const es_mrc_ask every = {.path = SAMPLE, .policies = "lru,lfu"}, named = {.path = SAMPLE, .policies = "lru", .sizes = "9,99"};
    es_mrc mrc;
    es_err err = {0};
    uint32_t at;
    fine(es_mrc_make(&mrc, &every, NULL, &err), &err);
    assert_true(es_mrc_at(&mrc, &mrc.line[0], 1, &at) && at == 0);
    assert_true(es_mrc_at(&mrc, &mrc.line[0], 768, &at) && at == 767);
    assert_true(es_mrc_at(&mrc, &mrc.line[0], 100000, &at) && at == 767);
    assert_false(es_mrc_at(&mrc, &mrc.line[0], 0, &at));
    assert_true(es_mrc_at(&mrc, &mrc.line[1], 192, &at) && mrc.line[1].curve.capacity[at] == 192);
    assert_false(es_mrc_at(&mrc, &mrc.line[1], 193, &at));
    es_mrc_free(&mrc);
    fine(es_mrc_make(&mrc, &named, NULL, &err), &err);
    assert_true(es_mrc_at(&mrc, &mrc.line[0], 99, &at) && at == 1);
    assert_false(es_mrc_at(&mrc, &mrc.line[0], 98, &at));
    es_mrc_free(&mrc);
}

static void a_fault_leaves_nothing_behind(void **state)
{
    (void)state;
    const es_mrc_ask asks[] = {{.path = "no/such.h5"}, {.path = SAMPLE, .sizes = "x"}, {.path = SAMPLE, .policies = "lfu", .contract = "none"},
        {.path = SAMPLE, .calibrate = "no/such.h5"}, {.config = "no/such.json"}, {.path = UNWEIGHED, .policies = "lfu", .sizes = "1MiB"}};
    for (size_t i = 0; i < sizeof asks / sizeof *asks; i++) {
        es_mrc mrc;
        es_err err = {0};
        assert_int_equal(es_mrc_make(&mrc, &asks[i], NULL, &err), ES_EINPUT);
        assert_int_not_equal(strlen(err.text), 0);
        es_mrc_free(&mrc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_file_holds_all_of_it),
        cmocka_unit_test(a_capacity_that_a_line_has_not_got_is_none),
        cmocka_unit_test(a_fault_leaves_nothing_behind),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
