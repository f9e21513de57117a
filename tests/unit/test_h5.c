/* HDF5 made small: what is put comes back, the same calls write the same bytes, and hostile files are refused before anything is
 * allocated for them. Hostile files are made with the library's own interface, which can do all that es_h5 does not offer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <hdf5.h>
#include <zlib.h>
#include <cmocka.h>

#include "sim/base/file.h"
#include "sim/base/h5.h"
#include "tests/support/folder.h"

/* libhdf5 loses a few blocks of its own when it meets a corrupt header. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libhdf5";
}

static void good(es_code code, const es_err *err)
{
    if (code)
        fail_msg("%s", err->text);
}

static void expect_fault(es_code code, const es_err *err, const char *part)
{
    assert_int_equal(code, ES_EINPUT);
    if (!strstr(err->text, part))
        fail_msg("is: %s\nwant: ... %s ...", err->text, part);
}

static es_h5 *opened(const char *name)
{
    es_h5 *file;
    es_err err = { 0 };
    good(es_h5_open(&file, at(name), false, &err), &err);
    return file;
}

static void attributes_come_back_as_they_were_put(void **state)
{
    (void)state;
    es_err err = { 0 };
    es_h5 *file;
    char *text;
    int64_t number;
    double real;
    good(es_h5_create(&file, at("attributes"), &err), &err);
    good(es_h5_group(file, "/run/inner", &err), &err);
    good(es_h5_group(file, "/run/inner", &err), &err);
    good(es_h5_put_text(file, "/", "empty", "", &err), &err);
    good(es_h5_put_text(file, "/run/inner", "model", "first", &err), &err);
    good(es_h5_put_text(file, "/run/inner", "model", "Mixtral \xc3\xa9", &err), &err);
    good(es_h5_put_int(file, "/run", "seed", INT64_MIN, &err), &err);
    good(es_h5_put_real(file, "/run", "rate", 0.1, &err), &err);
    good(es_h5_close(file, &err), &err);
    file = opened("attributes");
    good(es_h5_get_text(file, "/", "empty", &text, &err), &err);
    assert_string_equal(text, "");
    free(text);
    good(es_h5_get_text(file, "/run/inner", "model", &text, &err), &err);
    assert_string_equal(text, "Mixtral \xc3\xa9");
    free(text);
    good(es_h5_get_int(file, "/run", "seed", &number, &err), &err);
    assert_true(number == INT64_MIN);
    good(es_h5_get_real(file, "/run", "rate", &real, &err), &err);
    assert_true(real == 0.1);
    good(es_h5_get_real(file, "/run", "seed", &real, &err), &err);
    assert_true(es_h5_has(file, "/run/inner"));
    assert_true(es_h5_has(file, "/"));
    assert_false(es_h5_has(file, "/run/other"));
    assert_false(es_h5_has(file, "/none/inner"));
    assert_true(es_h5_has_attr(file, "/run", "seed"));
    assert_false(es_h5_has_attr(file, "/run", "speed"));
    expect_fault(es_h5_get_int(file, "/run", "rate", &number, &err), &err, "attributes: /run attribute rate: is not an integer");
    expect_fault(es_h5_get_text(file, "/run", "rate", &text, &err), &err, "/run attribute rate: is not text");
    expect_fault(es_h5_get_int(file, "/run", "none", &number, &err), &err, "/run attribute none: is missing");
    expect_fault(es_h5_get_int(file, "/walk", "none", &number, &err), &err, "/walk: is missing");
    good(es_h5_close(file, &err), &err);
}

static void a_text_attribute_may_be_longer_than_64_kib(void **state)
{
    (void)state;
    es_err err = { 0 };
    es_h5 *file;
    size_t length = 300000;
    char *text = malloc(length + 1), *back;
    assert_non_null(text);
    memset(text, 'j', length);
    text[length] = '\0';
    good(es_h5_create(&file, at("long"), &err), &err);
    good(es_h5_put_text(file, "/", "provenance", text, &err), &err);
    good(es_h5_close(file, &err), &err);
    file = opened("long");
    good(es_h5_get_text(file, "/", "provenance", &back, &err), &err);
    assert_string_equal(text, back);
    free(back);
    free(text);
    good(es_h5_close(file, &err), &err);
}

static void rows_appended_in_any_portions_read_back_converted(void **state)
{
    (void)state;
    es_err err = { 0 };
    es_h5 *file;
    es_h5_data *data;
    uint8_t row[5][2][3];
    uint16_t wide[4][2][3];
    for (int i = 0; i < 30; i++)
        ((uint8_t *)row)[i] = (uint8_t)(250 - i);
    good(es_h5_create(&file, at("rows"), &err), &err);
    good(es_h5_data_create(&data, file, "/deep/ids", ES_H5_U8, 3, (const uint64_t[]){ 0, 2, 3 }, 2, 0, &err), &err);
    good(es_h5_data_append(data, ES_H5_U8, 1, row[0], &err), &err);
    good(es_h5_data_append(data, ES_H5_U8, 0, NULL, &err), &err);
    good(es_h5_data_append(data, ES_H5_U8, 4, row[1], &err), &err);
    es_h5_data_close(data);
    good(es_h5_close(file, &err), &err);
    file = opened("rows");
    good(es_h5_data_open(&data, file, "/deep/ids", &err), &err);
    assert_int_equal(es_h5_data_rank(data), 3);
    assert_int_equal(es_h5_data_type(data), ES_H5_U8);
    assert_int_equal(es_h5_data_dims(data)[0], 5);
    assert_int_equal(es_h5_data_dims(data)[2], 3);
    good(es_h5_data_read(data, ES_H5_U16, 1, 4, wide, &err), &err);
    for (int i = 0; i < 24; i++)
        assert_int_equal(((uint16_t *)wide)[i], 250 - 6 - i);
    expect_fault(es_h5_data_read(data, ES_H5_U16, 2, 4, wide, &err), &err, "rows: /deep/ids: rows 2 to 6 are asked for, it has 5");
    es_h5_data_close(data);
    expect_fault(es_h5_data_open(&data, file, "/deep", &err), &err, "/deep: cannot open as a dataset");
    expect_fault(es_h5_data_open(&data, file, "/ids", &err), &err, "/ids: is missing");
    assert_null(data);
    good(es_h5_close(file, &err), &err);
}

static void every_type_and_compression_keeps_its_values(void **state)
{
    (void)state;
    es_err err = { 0 };
    double value[100], back[100];
    for (int i = 0; i < 100; i++)
        value[i] = i;
    for (es_h5_type type = ES_H5_U8; type < ES_H5_TEXT; type++)
        for (int deflate = 0; deflate <= 4; deflate += 4) {
            es_h5 *file;
            es_h5_data *data;
            good(es_h5_create(&file, at("types"), &err), &err);
            good(es_h5_data_create(&data, file, "/x", type, 1, (const uint64_t[]){ 0 }, 7, deflate, &err), &err);
            for (int i = 0; i < 100; i += 10)
                good(es_h5_data_append(data, ES_H5_F64, 10, value + i, &err), &err);
            es_h5_data_close(data);
            good(es_h5_close(file, &err), &err);
            file = opened("types");
            good(es_h5_data_open(&data, file, "/x", &err), &err);
            assert_int_equal(es_h5_data_type(data), type);
            good(es_h5_data_read(data, ES_H5_F64, 0, 100, back, &err), &err);
            assert_memory_equal(value, back, sizeof value);
            es_h5_data_close(data);
            good(es_h5_close(file, &err), &err);
        }
}

typedef struct sample_row { double time; uint32_t layer; char kind[8]; int64_t bytes; } sample_row;

static const es_h5_column sample_columns[] = {
    { "time", ES_H5_F64, offsetof(sample_row, time), 0, "s", "start of the step" },
    { "layer", ES_H5_U32, offsetof(sample_row, layer), 0, NULL, NULL },
    { "kind", ES_H5_TEXT, offsetof(sample_row, kind), 8, NULL, NULL },
    { "bytes", ES_H5_I64, offsetof(sample_row, bytes), 0, "B", NULL },
};

static void write_sample(const char *name)
{
    es_err err = { 0 };
    es_h5 *file;
    es_h5_data *table, *data;
    sample_row row[3] = { { 0.5, 1, "hit", 10 }, { 1.5, 2, "miss", -20 }, { 2.5, 3, "", 30 } };
    memset(row[2].kind, 'x', 8);
    good(es_h5_create(&file, at(name), &err), &err);
    good(es_h5_put_text(file, "/", "format", "sample", &err), &err);
    good(es_h5_table_create(&table, file, "/run/steps", sample_columns, 4, sizeof(sample_row), 0, &err), &err);
    good(es_h5_table_append(table, 1, row, &err), &err);
    good(es_h5_table_append(table, 2, row + 1, &err), &err);
    good(es_h5_data_create(&data, file, "/run/x", ES_H5_F32, 2, (const uint64_t[]){ 0, 3 }, 1000, 4, &err), &err);
    good(es_h5_data_append(data, ES_H5_F32, 1, (const float[]){ 1, 2, 3 }, &err), &err);
    es_h5_data_close(data);
    es_h5_data_close(table);
    good(es_h5_close(file, &err), &err);
}

static void a_table_is_a_packed_compound_with_its_units_beside_it(void **state)
{
    (void)state;
    es_err err = { 0 };
    char *text;
    sample_row back[3];
    write_sample("table");
    hid_t file = H5Fopen(at("table"), H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(file, "/run/steps", H5P_DEFAULT), type = H5Dget_type(set);
    assert_int_equal(H5Tget_size(type), 8 + 4 + 8 + 8);
    hid_t memory = H5Tcreate(H5T_COMPOUND, sizeof(sample_row)), name = H5Tcopy(H5T_C_S1);
    H5Tset_size(name, 8);
    H5Tset_strpad(name, H5T_STR_NULLPAD);
    H5Tset_cset(name, H5T_CSET_UTF8);
    H5Tinsert(memory, "bytes", offsetof(sample_row, bytes), H5T_NATIVE_INT64);
    H5Tinsert(memory, "kind", offsetof(sample_row, kind), name);
    assert_true(H5Dread(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, back) >= 0);
    assert_int_equal(back[1].bytes, -20);
    assert_memory_equal(back[1].kind, "miss\0\0\0\0", 8);
    assert_memory_equal(back[2].kind, "xxxxxxxx", 8);
    H5Tclose(name);
    H5Tclose(memory);
    H5Tclose(type);
    H5Dclose(set);
    H5Fclose(file);
    es_h5 *again = opened("table");
    good(es_h5_get_text(again, "/run/steps", "time.units", &text, &err), &err);
    assert_string_equal(text, "s");
    free(text);
    good(es_h5_get_text(again, "/run/steps", "time.long_name", &text, &err), &err);
    assert_string_equal(text, "start of the step");
    free(text);
    assert_false(es_h5_has_attr(again, "/run/steps", "layer.units"));
    good(es_h5_close(again, &err), &err);
}

static void the_columns_of_a_table_that_are_asked_for_come_back(void **state)
{
    typedef struct part { int64_t bytes, layer; } part;
    static const es_h5_column wanted[] = {
        { "bytes", ES_H5_I64, offsetof(part, bytes), 0, NULL, NULL },
        { "layer", ES_H5_I64, offsetof(part, layer), 0, NULL, NULL },       /* stored as 32 bits */
    };
    static const es_h5_column absent[] = { { "megabytes", ES_H5_I64, 0, 0, NULL, NULL } }, text[] = { { "kind", ES_H5_I64, 0, 0, NULL, NULL } };
    (void)state;
    es_err err = { 0 };
    es_h5_data *table;
    part back[3] = { 0 };
    write_sample("columns");
    es_h5 *file = opened("columns");
    good(es_h5_table_open(&table, file, "/run/steps", wanted, 2, sizeof(part), &err), &err);
    assert_int_equal(es_h5_data_dims(table)[0], 3);
    good(es_h5_table_read(table, 1, 2, back, &err), &err);
    assert_int_equal(back[0].bytes, -20);
    assert_int_equal(back[0].layer, 2);
    assert_int_equal(back[1].bytes, 30);
    expect_fault(es_h5_table_read(table, 2, 2, back, &err), &err, "/run/steps: rows 2 to 4 are asked for, it has 3");
    es_h5_data_close(table);
    expect_fault(es_h5_table_open(&table, file, "/run/steps", absent, 1, 8, &err), &err, "/run/steps: has no column megabytes of numbers");
    expect_fault(es_h5_table_open(&table, file, "/run/steps", text, 1, 8, &err), &err, "/run/steps: has no column kind of numbers");
    expect_fault(es_h5_table_open(&table, file, "/run/x", wanted, 2, sizeof(part), &err), &err, "/run/x: is no table");
    expect_fault(es_h5_table_open(&table, file, "/run/y", wanted, 2, sizeof(part), &err), &err, "/run/y: is missing");
    good(es_h5_close(file, &err), &err);
}

typedef struct told { char text[128]; size_t most; } told;

static bool note_column(void *self, const es_h5_column *column)
{
    told *t = self;
    size_t used = strlen(t->text);
    snprintf(t->text + used, sizeof t->text - used, "%s:%s%zu ", column->name, column->type == ES_H5_I64 ? "i" : column->type == ES_H5_F64 ? "f" : "t", column->width);
    return --t->most > 0;
}

static void a_table_tells_its_columns_and_texts_are_read_as_texts(void **state)
{
    static const es_h5_column kind[] = { { "kind", ES_H5_TEXT, 0, 4, NULL, NULL } }, number[] = { { "bytes", ES_H5_TEXT, 0, 4, NULL, NULL } };
    (void)state;
    es_err err = { 0 };
    es_h5_data *table;
    told all = { .most = 9 }, two = { .most = 2 };
    char back[3][4];
    write_sample("told");
    es_h5 *file = opened("told");
    good(es_h5_table_each(file, "/run/steps", note_column, &all, &err), &err);
    assert_string_equal(all.text, "time:f0 layer:i0 kind:t8 bytes:i0 ");
    good(es_h5_table_each(file, "/run/steps", note_column, &two, &err), &err);
    assert_string_equal(two.text, "time:f0 layer:i0 ");
    expect_fault(es_h5_table_each(file, "/run/x", note_column, &all, &err), &err, "/run/x: is no table");
    good(es_h5_table_open(&table, file, "/run/steps", kind, 1, 4, &err), &err);
    good(es_h5_table_read(table, 1, 2, back, &err), &err);
    assert_memory_equal(back[0], "miss", 4);        /* as much as there is room for */
    assert_memory_equal(back[1], "xxxx", 4);
    es_h5_data_close(table);
    expect_fault(es_h5_table_open(&table, file, "/run/steps", number, 1, 4, &err), &err, "/run/steps: has no column bytes of texts");
    good(es_h5_close(file, &err), &err);
}

static void bytes_are_loaded_as_a_text_that_ends(void **state)
{
    (void)state;
    es_err err = { 0 };
    es_h5 *file;
    es_h5_data *data;
    char *text;
    uint64_t length;
    good(es_h5_create(&file, at("text"), &err), &err);
    good(es_h5_data_create(&data, file, "/said", ES_H5_U8, 1, (uint64_t[]){ 0 }, 4, 6, &err), &err);
    good(es_h5_data_append(data, ES_H5_U8, 5, "hello", &err), &err);
    es_h5_data_close(data);
    good(es_h5_load_text(file, "/said", 5, &text, &length, &err), &err);
    assert_int_equal(length, 5);
    assert_string_equal(text, "hello");
    free(text);
    expect_fault(es_h5_load_text(file, "/said", 4, &text, &length, &err), &err, "/said: is no text of at most 4 bytes");
    assert_null(text);
    expect_fault(es_h5_load_text(file, "/unsaid", 4, &text, &length, &err), &err, "/unsaid: is missing");
    good(es_h5_close(file, &err), &err);
}

typedef struct names { char text[64]; int most; } names;

static bool note_name(void *self, const char *name)
{
    names *n = self;
    strncat(n->text, name, sizeof n->text - strlen(n->text) - 2);
    strcat(n->text, ".");
    return --n->most > 0;
}

static void the_members_of_a_group_are_told_in_the_order_of_their_names(void **state)
{
    (void)state;
    es_err err = { 0 };
    es_h5 *file;
    names all = { "", 9 }, two = { "", 2 }, none = { "", 9 };
    good(es_h5_create(&file, at("names"), &err), &err);
    for (size_t i = 0; i < 4; i++)
        good(es_h5_group(file, (const char *[]){ "/g/c", "/g/a", "/g/d/e", "/g/b" }[i], &err), &err);
    good(es_h5_each(file, "/g", note_name, &all, &err), &err);
    good(es_h5_each(file, "/g", note_name, &two, &err), &err);
    good(es_h5_each(file, "/h", note_name, &none, &err), &err);
    assert_string_equal(all.text, "a.b.c.d.");
    assert_string_equal(two.text, "a.b.");
    assert_string_equal(none.text, "");
    good(es_h5_close(file, &err), &err);
}

static void a_link_to_another_file_is_made_and_not_followed(void **state)
{
    (void)state;
    es_err err = { 0 };
    es_h5 *file;
    es_h5_data *data;
    write_sample("there");
    good(es_h5_create(&file, at("here"), &err), &err);
    good(es_h5_link_outside(file, "/results/one", "there", "/run/x", &err), &err);
    expect_fault(es_h5_data_open(&data, file, "/results/one", &err), &err, "/results/one: is a soft or external link, which is not followed");
    good(es_h5_close(file, &err), &err);
    hid_t id = H5Fopen(at("here"), H5F_ACC_RDONLY, H5P_DEFAULT), set = H5Dopen2(id, "/results/one", H5P_DEFAULT);
    assert_true(set >= 0);          /* relative to this file, wherever that is */
    H5Dclose(set);
    H5Fclose(id);
}

static void the_same_calls_write_the_same_bytes_a_second_later(void **state)
{
    (void)state;
    char *a, *b;
    size_t a_length, b_length;
    write_sample("same1");
    sleep(1);                           /* times in HDF5 are whole seconds */
    usleep(100000);
    write_sample("same2");
    assert_int_equal(es_file_load(at("same1"), 1 << 20, &a, &a_length, NULL), ES_OK);
    assert_int_equal(es_file_load(at("same2"), 1 << 20, &b, &b_length, NULL), ES_OK);
    assert_int_equal(a_length, b_length);
    assert_memory_equal(a, b, a_length);
    free(a);
    free(b);
}

static void a_torn_or_foreign_file_is_named_with_the_reason(void **state)
{
    (void)state;
    es_err err = { 0 };
    es_h5 *file;
    char *data;
    size_t length;
    write_sample("torn");
    assert_true(es_h5_is(at("torn")));
    assert_int_equal(es_file_load(at("torn"), 1 << 20, &data, &length, NULL), ES_OK);
    assert_int_equal(truncate(at("torn"), (off_t)length - 100), 0);
    expect_fault(es_h5_open(&file, at("torn"), false, &err), &err, "torn: cannot open as HDF5: the file is cut, it has ");
    assert_null(file);
    free(data);
    assert_int_equal(es_file_save(at("text"), "hello, this is no HDF5 file", 27, NULL), ES_OK);
    assert_false(es_h5_is(at("text")));
    assert_false(es_h5_is(at("none")));
    expect_fault(es_h5_open(&file, at("text"), false, &err), &err, "text: cannot open as HDF5: ");
    expect_fault(es_h5_open(&file, at("none"), false, &err), &err, "No such file or directory");
    expect_fault(es_h5_create(&file, at("no/folder"), &err), &err, "cannot create the HDF5 file");
}

static hid_t hostile_data(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims, const hsize_t *chunk, hid_t creation)
{
    static const hsize_t most[5] = { H5S_UNLIMITED, H5S_UNLIMITED, H5S_UNLIMITED, H5S_UNLIMITED, H5S_UNLIMITED };
    hid_t space = H5Screate_simple(rank, dims, chunk ? most : NULL);
    if (chunk)
        H5Pset_chunk(creation, rank, chunk);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
    assert_true(set >= 0);
    H5Sclose(space);
    H5Pclose(creation);
    return set;
}

static void hostile_datasets_are_refused_before_memory_is_taken(void **state)
{
    (void)state;
    es_err err = { 0 };
    es_h5_data *data;
    char *text;
    int64_t number;
    hid_t file = H5Fcreate(at("hostile"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Dclose(hostile_data(file, "/sparse", H5T_STD_U8LE, 1, (const hsize_t[]){ 1ull << 40 }, (const hsize_t[]){ 1024 }, H5Pcreate(H5P_DATASET_CREATE)));
    hid_t deflated = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_deflate(deflated, 9);
    H5Dclose(hostile_data(file, "/bomb", H5T_STD_U8LE, 1, (const hsize_t[]){ 1ull << 40 }, (const hsize_t[]){ 1024 }, deflated));
    H5Dclose(hostile_data(file, "/chunk", H5T_STD_U8LE, 1, (const hsize_t[]){ 10 }, (const hsize_t[]){ 1u << 30 }, H5Pcreate(H5P_DATASET_CREATE)));
    H5Dclose(hostile_data(file, "/rank", H5T_STD_U8LE, 5, (const hsize_t[]){ 1, 1, 1, 1, 1 }, NULL, H5Pcreate(H5P_DATASET_CREATE)));
    H5Dclose(hostile_data(file, "/opaque", H5T_STD_REF_OBJ, 1, (const hsize_t[]){ 1 }, NULL, H5Pcreate(H5P_DATASET_CREATE)));
    hid_t outside = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(outside, "/etc/passwd", 0, 10);
    H5Dclose(hostile_data(file, "/outside", H5T_STD_U8LE, 1, (const hsize_t[]){ 10 }, NULL, outside));
    hid_t scaled = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_scaleoffset(scaled, H5Z_SO_INT, 0);
    H5Dclose(hostile_data(file, "/scaled", H5T_STD_I32LE, 1, (const hsize_t[]){ 10 }, (const hsize_t[]){ 10 }, scaled));
    H5Lcreate_external("/etc/passwd", "/x", file, "/link", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/self", file, "/self", H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(1, (const hsize_t[]){ 4 }, NULL), four = H5Acreate2(file, "four", H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    H5Aclose(four);
    H5Sclose(space);
    hid_t variable = H5Tcopy(H5T_C_S1), scalar = H5Screate(H5S_SCALAR);
    H5Tset_size(variable, H5T_VARIABLE);
    hid_t python = H5Acreate2(file, "python", variable, scalar, H5P_DEFAULT, H5P_DEFAULT);
    const char *held = "as h5py writes it";
    H5Awrite(python, variable, &held);
    H5Aclose(python);
    H5Sclose(scalar);
    H5Tclose(variable);
    H5Fclose(file);

    es_h5 *es = opened("hostile");
    static const struct { const char *path, *fault; } expect[] = {
        { "/sparse", "/sparse: claims 1099511627776 bytes of data, but only 0 are stored" },
        { "/bomb", "/bomb: claims 1099511627776 bytes of data, but only 0 are stored" },
        { "/chunk", "/chunk: a chunk is above 67108864 bytes, the most that is read" },
        { "/rank", "/rank: has rank 5, not 1 to 4" },
        { "/opaque", "/opaque: has a type that is not read here" },
        { "/outside", "/outside: keeps its data in another file, which is not read" },
        { "/scaled", "/scaled: uses filter 6; only deflate, shuffle and fletcher32 are read" },
        { "/link", "/link: is a soft or external link, which is not followed" },
        { "/self", "/self: is a soft or external link, which is not followed" },
    };
    for (size_t i = 0; i < sizeof expect / sizeof expect[0]; i++)
        expect_fault(es_h5_data_open(&data, es, expect[i].path, &err), &err, expect[i].fault);
    expect_fault(es_h5_get_int(es, "/", "four", &number, &err), &err, "/ attribute four: holds not exactly one value");
    good(es_h5_get_text(es, "/", "python", &text, &err), &err);
    assert_string_equal(text, "as h5py writes it");
    free(text);
    good(es_h5_close(es, &err), &err);
}

enum { SHUFFLED = 1, DEFLATED = 2, SUMMED = 4 };

/* A dataset of six rows of four 32-bit numbers in chunks of two rows, filtered by `filters`; the chunk of row 2 is written as the bytes given. */
static void filtered_data(hid_t file, const char *name, int filters, uint32_t mask, const void *stored, size_t length)
{
    uint32_t numbers[24];
    hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    if (filters & SHUFFLED)
        H5Pset_shuffle(creation);
    if (filters & DEFLATED)
        H5Pset_deflate(creation, 6);
    if (filters & SUMMED)
        H5Pset_fletcher32(creation);
    hid_t set = hostile_data(file, name, H5T_STD_U32LE, 2, (const hsize_t[]){ 6, 4 }, (const hsize_t[]){ 2, 2 }, creation);
    for (uint32_t i = 0; i < 24; i++)
        numbers[i] = i;
    assert_true(H5Dwrite(set, H5T_NATIVE_UINT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, numbers) >= 0);
    if (stored)
        assert_true(H5Dwrite_chunk(set, H5P_DEFAULT, mask, (const hsize_t[]){ 2, 2 }, length, stored) >= 0);
    H5Dclose(set);
}

static void a_chunk_that_its_filters_leave_too_short_is_refused(void **state)
{
    (void)state;
    es_err err = { 0 };
    unsigned char plain[4096] = { 0 }, short_one[64], right[64], long_one[128];
    unsigned long shorts = sizeof short_one, rights = sizeof right, longs = sizeof long_one;
    compress(short_one, &shorts, plain, 12);
    compress(right, &rights, plain, 16);
    compress(long_one, &longs, plain, 4096);
    hid_t file = H5Fcreate(at("chunks"), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    filtered_data(file, "/whole", SHUFFLED | DEFLATED | SUMMED, 0, NULL, 0);
    filtered_data(file, "/right", SHUFFLED | DEFLATED, 0, right, rights);
    filtered_data(file, "/plain", SHUFFLED | DEFLATED, 2, plain, 16);           /* as the library writes what deflate does not shorten */
    filtered_data(file, "/short", SHUFFLED | DEFLATED, 0, short_one, shorts);
    filtered_data(file, "/long", SHUFFLED | DEFLATED, 0, long_one, longs);
    filtered_data(file, "/left", SHUFFLED | DEFLATED, 3, plain, 12);
    filtered_data(file, "/torn", SHUFFLED | DEFLATED, 0, right, rights - 6);
    filtered_data(file, "/wide", SHUFFLED | DEFLATED, 0, plain, 4096);
    filtered_data(file, "/sum", SUMMED, 0, plain, 3);
    H5Fclose(file);

    es_h5 *es = opened("chunks");
    static const struct { const char *path, *fault; } expect[] = {
        { "/whole", NULL }, { "/right", NULL }, { "/plain", NULL },
        { "/short", "/short: the chunk from row 2 on has 12 bytes, needs 16" },
        { "/long", "/long: the chunk from row 2 on has 4096 bytes, needs 16" },
        { "/left", "/left: the chunk from row 2 on has 12 bytes, needs 16" },
        { "/torn", "/torn: the chunk from row 2 on is no deflate stream" },
        { "/wide", "/wide: the chunk from row 2 on is stored in 4096 bytes, needs 16" },
        { "/sum", "/sum: the chunk from row 2 on has 3 bytes, needs 4" },
    };
    for (size_t i = 0; i < sizeof expect / sizeof expect[0]; i++) {
        es_h5_data *data;
        uint32_t row[8];
        good(es_h5_data_open(&data, es, expect[i].path, &err), &err);
        good(es_h5_data_read(data, ES_H5_U32, 0, 2, row, &err), &err);          /* the chunks before it are sound */
        assert_int_equal(row[7], 7);
        const es_code code = es_h5_data_read(data, ES_H5_U32, 1, 2, row, &err);
        if (expect[i].fault) {
            expect_fault(code, &err, expect[i].fault);
        } else {
            good(code, &err);
            assert_int_equal(row[5], 9);
            assert_int_equal(row[7], i == 0 ? 11 : 0);
        }
        good(es_h5_data_read(data, ES_H5_U32, 5, 1, row, &err), &err);          /* and those behind */
        assert_int_equal(row[3], 23);
        es_h5_data_close(data);
    }
    good(es_h5_close(es, &err), &err);
}

static void any_byte_of_a_file_may_be_wrong_without_harm(void **state)
{
    (void)state;
    char *data;
    size_t length;
    write_sample("flip");
    assert_int_equal(es_file_load(at("flip"), 1 << 20, &data, &length, NULL), ES_OK);
    for (size_t i = 0; i < length; i += 1 + length / 1500) {
        es_err err = { 0 };
        es_h5 *file;
        es_h5_data *x;
        data[i] ^= (char)(1 << (i % 8));
        assert_int_equal(es_file_save(at("flipped"), data, length, NULL), ES_OK);
        data[i] ^= (char)(1 << (i % 8));
        if (es_h5_open(&file, at("flipped"), false, &err))
            continue;
        if (!es_h5_data_open(&x, file, "/run/x", &err)) {
            float row[3];
            if (es_h5_data_rank(x) == 2 && es_h5_data_dims(x)[0] == 1 && es_h5_data_dims(x)[1] == 3)
                (void)!es_h5_data_read(x, ES_H5_F32, 0, 1, row, &err);
            es_h5_data_close(x);
        }
        if (!es_h5_table_open(&x, file, "/run/steps", sample_columns, 2, sizeof(sample_row), &err)) {
            sample_row row[3];
            if (es_h5_data_rank(x) == 1 && es_h5_data_dims(x)[0] == 3)
                (void)!es_h5_table_read(x, 0, 3, row, &err);
            es_h5_data_close(x);
        }
        (void)!es_h5_close(file, &err);
    }
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attributes_come_back_as_they_were_put),
        cmocka_unit_test(a_text_attribute_may_be_longer_than_64_kib),
        cmocka_unit_test(rows_appended_in_any_portions_read_back_converted),
        cmocka_unit_test(every_type_and_compression_keeps_its_values),
        cmocka_unit_test(a_table_is_a_packed_compound_with_its_units_beside_it),
        cmocka_unit_test(the_columns_of_a_table_that_are_asked_for_come_back),
        cmocka_unit_test(a_table_tells_its_columns_and_texts_are_read_as_texts),
        cmocka_unit_test(bytes_are_loaded_as_a_text_that_ends),
        cmocka_unit_test(the_members_of_a_group_are_told_in_the_order_of_their_names),
        cmocka_unit_test(a_link_to_another_file_is_made_and_not_followed),
        cmocka_unit_test(the_same_calls_write_the_same_bytes_a_second_later),
        cmocka_unit_test(a_torn_or_foreign_file_is_named_with_the_reason),
        cmocka_unit_test(hostile_datasets_are_refused_before_memory_is_taken),
        cmocka_unit_test(a_chunk_that_its_filters_leave_too_short_is_refused),
        cmocka_unit_test(any_byte_of_a_file_may_be_wrong_without_harm),
    };
    return cmocka_run_group_tests_name("h5", tests, make_folder, drop_folder);
}
