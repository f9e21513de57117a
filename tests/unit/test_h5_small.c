/* Small HDF5 files, made without the library: the library reads of one what it reads of a file that it made itself, and goes on writing in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <hdf5.h>
#include <cmocka.h>

#include "sim/base/file.h"
#include "sim/base/h5.h"
#include "sim/base/rng.h"
#include "sim/base/text.h"
#include "tests/support/folder.h"

static void good(es_code code, const es_err *err)
{
    if (code)
        fail_msg("%s", err->text);
}

/* ---- all that the library finds in a file, as text ---- */

static herr_t note_attribute(hid_t object, const char *name, const H5A_info_t *about, void *to)
{
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT), type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    const size_t bytes = H5Tget_size(type);
    const bool text = H5Tget_class(type) == H5T_STRING;
    unsigned char *value = calloc(1, bytes + 1);
    (void)about;
    assert_non_null(value);
    assert_true(H5Sget_simple_extent_type(space) == H5S_SCALAR);
    assert_true(H5Aread(attribute, type, value) >= 0);
    es_text_add(to, "  %s class %d bytes %zu pad %d set %d sign %d:", name, (int)H5Tget_class(type), bytes, text ? (int)H5Tget_strpad(type) : -1,
        text ? (int)H5Tget_cset(type) : -1, H5Tget_class(type) == H5T_INTEGER ? (int)H5Tget_sign(type) : -1);
    if (H5Tget_class(type) == H5T_FLOAT)
        assert_true(H5Tequal(type, H5T_IEEE_F64LE) > 0);
    for (size_t i = 0; i < bytes; i++)
        es_text_add(to, " %02x", value[i]);
    es_text_add(to, "\n");
    free(value);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return 0;
}

static void note_data(hid_t object, es_text *to)
{
    hid_t type = H5Dget_type(object), space = H5Dget_space(object);
    hsize_t length = 0;
    assert_int_equal(H5Sget_simple_extent_dims(space, &length, NULL), 1);
    assert_true(H5Tequal(type, H5T_STD_U8LE) > 0);
    unsigned char *bytes = calloc(1, (size_t)length + 1);
    assert_non_null(bytes);
    assert_true(H5Dread(object, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes) >= 0);
    es_text_add(to, "  %llu bytes: ", (unsigned long long)length);
    es_text_put(to, (const char *)bytes, (size_t)length);
    es_text_add(to, "\n");
    free(bytes);
    H5Sclose(space);
    H5Tclose(type);
}

static herr_t note_object(hid_t file, const char *name, const H5O_info_t *about, void *to)
{
    hid_t object = H5Oopen(file, name, H5P_DEFAULT);
    assert_true(object >= 0);
    es_text_add(to, "%s: type %d, links to it %u, attributes %d, times %ld\n", name, (int)about->type, about->rc, (int)about->num_attrs, (long)about->mtime);
    hsize_t from = 0;
    assert_true(H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, &from, note_attribute, to) >= 0);
    if (about->type == H5O_TYPE_DATASET)
        note_data(object, to);
    H5Oclose(object);
    return 0;
}

static char *all_of(const char *path)
{
    es_text text = {0};
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    assert_true(H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, note_object, &text) >= 0);
    H5Fclose(file);
    assert_false(text.failed);
    return text.at;
}

/* ---- the same calls, twice ---- */

/* Names of 1 to 300 letters (the length of a link's name takes one byte or two), values of all lengths, things put twice, groups made by what is in
 * them; a dozen members and attributes are more than the library keeps in a header. */
static uint64_t below(uint64_t *state, uint64_t n)
{
    return es_mix((*state)++) % n;
}

static void write_some(es_h5 *file, uint64_t seed)
{
    static const char *const groups[] = {"/", "/a", "/a/b", "/a/b/c", "/z", "/a/y"};
    uint64_t rng = seed << 32;
    es_err err = {0};
    char name[301], path[400], value[600];
    const uint64_t things = 1 + below(&rng, 60);
    for (uint64_t i = 0; i < things; i++) {
        const char *group = groups[below(&rng, 6)];
        const size_t length = 1 + (size_t)below(&rng, below(&rng, 8) ? 12 : 300), bytes = (size_t)below(&rng, sizeof value);
        for (size_t k = 0; k < length; k++)
            name[k] = (char)('a' + below(&rng, 26));
        for (size_t k = 0; k < bytes; k++)
            value[k] = (char)(1 + below(&rng, 255));
        name[length] = value[bytes] = '\0';
        good(es_h5_group(file, group, &err), &err);
        snprintf(path, sizeof path, "%s/T%d%s", strcmp(group, "/") ? group : "", (int)i, name);
        switch (below(&rng, 6)) {
        case 0: good(es_h5_save_text(file, path, value, bytes, &err), &err), good(es_h5_put_text(file, path, "units", value, &err), &err); break;
        case 1: good(es_h5_put_int(file, group, name, (int64_t)es_mix(rng++), &err), &err); break;
        case 2: good(es_h5_put_real(file, group, name, (double)below(&rng, 1u << 30) * 0x1p-30 - 0.5, &err), &err); break;
        case 3: good(es_h5_put_text(file, group, "often", value, &err), &err); break;
        case 4: good(es_h5_group(file, path, &err), &err); break;
        default: good(es_h5_put_text(file, group, name, value, &err), &err);
        }
    }
}

static void the_library_reads_the_same_from_a_small_file_as_from_its_own(void **state)
{
    (void)state;
    es_err err = {0};
    for (uint64_t seed = 1; seed <= 300; seed++) {
        es_h5 *own, *small;
        good(es_h5_create(&own, at("own"), &err), &err);
        good(es_h5_create_small(&small, at("small"), &err), &err);
        write_some(own, seed);
        write_some(small, seed);
        good(es_h5_close(own, &err), &err);
        good(es_h5_close(small, &err), &err);
        char *a = all_of(at("own")), *b = all_of(at("small"));
        if (strcmp(a, b) != 0)
            fail_msg("seed %llu\n--- the library's\n%s\n--- small\n%s", (unsigned long long)seed, a, b);
        free(a);
        free(b);
    }
}

static void an_empty_file_and_empty_texts_are_fine(void **state)
{
    (void)state;
    es_err err = {0};
    es_h5 *file;
    uint64_t length;
    char *text;
    good(es_h5_create_small(&file, at("empty"), &err), &err);
    good(es_h5_close(file, &err), &err);
    assert_true(es_h5_is(at("empty")));
    text = all_of(at("empty"));
    assert_string_equal(text, ".: type 0, links to it 1, attributes 0, times 0\n");
    free(text);
    good(es_h5_create_small(&file, at("empty"), &err), &err);
    good(es_h5_save_text(file, "/nothing", "", 0, &err), &err);
    good(es_h5_put_text(file, "/nothing", "said", "", &err), &err);
    good(es_h5_close(file, &err), &err);
    good(es_h5_open(&file, at("empty"), false, &err), &err);
    good(es_h5_load_text(file, "/nothing", 0, &text, &length, &err), &err);
    assert_int_equal(length, 0);
    free(text);
    good(es_h5_get_text(file, "/nothing", "said", &text, &err), &err);
    assert_string_equal(text, "");
    free(text);
    good(es_h5_close(file, &err), &err);
}

static void the_library_goes_on_writing_in_a_small_file(void **state)
{
    (void)state;
    es_err err = {0};
    es_h5 *file;
    int64_t sum = 0, value;
    char name[32], *text;
    uint64_t length;
    good(es_h5_create_small(&file, at("more"), &err), &err);
    good(es_h5_save_text(file, "/said", "hello", 5, &err), &err);
    good(es_h5_put_int(file, "/", "first", 7, &err), &err);
    good(es_h5_close(file, &err), &err);
    good(es_h5_open(&file, at("more"), true, &err), &err);
    for (int i = 0; i < 30; i++) {      /* its header has room for none of them */
        snprintf(name, sizeof name, "/more/group%d", i);
        good(es_h5_group(file, name, &err), &err);
        snprintf(name, sizeof name, "number%d", i);
        good(es_h5_put_int(file, "/", name, i, &err), &err);
        good(es_h5_put_int(file, "/said", name, i, &err), &err);
    }
    good(es_h5_put_int(file, "/", "first", 70, &err), &err);
    good(es_h5_close(file, &err), &err);
    good(es_h5_open(&file, at("more"), false, &err), &err);
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof name, "/more/group%d", i);
        assert_true(es_h5_has(file, name));
        snprintf(name, sizeof name, "number%d", i);
        good(es_h5_get_int(file, "/said", name, &value, &err), &err);
        sum += value;
    }
    assert_int_equal(sum, 29 * 30 / 2);
    good(es_h5_get_int(file, "/", "first", &value, &err), &err);
    assert_int_equal(value, 70);
    good(es_h5_load_text(file, "/said", 5, &text, &length, &err), &err);
    assert_string_equal(text, "hello");
    free(text);
    good(es_h5_close(file, &err), &err);
}

static void what_cannot_be_kept_or_written_is_said(void **state)
{
    (void)state;
    es_err err = {0};
    es_h5 *file;
    char *much = calloc(1, 70000), *whole;
    size_t length;
    assert_non_null(much);
    memset(much, 'x', 69999);
    good(es_h5_create_small(&file, at("much"), &err), &err);
    assert_int_equal(es_h5_put_int(file, "/none", "n", 1, &err), ES_EINPUT);
    assert_string_equal(err.text, "/none: is missing");
    good(es_h5_save_text(file, "/a/text", "said", 4, &err), &err);
    assert_int_equal(es_h5_save_text(file, "/a/text", "anew", 4, &err), ES_EINPUT);
    assert_string_equal(err.text, "/a/text: cannot create: name already exists");
    assert_int_equal(es_h5_put_text(file, "/", "much", much, &err), ES_EINTERNAL);
    assert_string_equal(err.text, "/: attribute much has more than 65000 bytes");
    much[65000 - strlen("most") - 1] = '\0';
    good(es_h5_put_text(file, "/", "most", much, &err), &err);
    good(es_h5_close(file, &err), &err);
    good(es_h5_open(&file, at("much"), false, &err), &err);
    good(es_h5_get_text(file, "/", "most", &whole, &err), &err);
    assert_string_equal(whole, much);
    free(whole);
    free(much);
    good(es_h5_close(file, &err), &err);
    good(es_h5_create_small(&file, at("no/folder"), &err), &err);
    assert_int_equal(es_h5_close(file, &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "no/folder: cannot create the HDF5 file: No such file or directory"));
    good(es_h5_create_small(&file, "/dev/full", &err), &err);
    assert_int_equal(es_h5_close(file, &err), ES_EINPUT);
    assert_string_equal(err.text, "/dev/full: cannot write: No space left on device");
    good(es_h5_create_small(&file, at("cut"), &err), &err);     /* a byte that differs is found by a sum, but in a text */
    good(es_h5_put_int(file, "/", "n", 1, &err), &err);
    good(es_h5_close(file, &err), &err);
    good(es_file_load(at("cut"), 4096, &whole, &length, &err), &err);
    for (size_t i = 0; i < length; i++) {
        whole[i] ^= 0x40;
        good(es_file_save(at("cut"), whole, length, &err), &err);
        file = NULL;
        int64_t value;
        const bool refused = es_h5_open(&file, at("cut"), false, &err) != ES_OK || es_h5_get_int(file, "/", "n", &value, &err) != ES_OK;
        if (!refused)
            fail_msg("byte %zu of %zu was not missed", i, length);
        es_h5_close(file, NULL);
        whole[i] ^= 0x40;
    }
    free(whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_library_reads_the_same_from_a_small_file_as_from_its_own),
        cmocka_unit_test(an_empty_file_and_empty_texts_are_fine),
        cmocka_unit_test(the_library_goes_on_writing_in_a_small_file),
        cmocka_unit_test(what_cannot_be_kept_or_written_is_said),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
