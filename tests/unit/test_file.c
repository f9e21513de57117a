/* Files: streams of three kinds read alike, torn ones are told apart from short ones, saving is all or nothing. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <cmocka.h>

#include "sim/base/descriptor.h"
#include "sim/base/file.h"
#include "sim/base/reader.h"
#include "sim/base/sha256.h"
#include "tests/support/folder.h"

static void put(const char *name, const void *data, size_t length)
{
    FILE *file = fopen(at(name), "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    fclose(file);
}

static size_t pack(const char *text, size_t length, bool zstd, unsigned char *to, size_t room)
{
    if (zstd) {
        ZSTD_CCtx *context = ZSTD_createCCtx();
        assert_non_null(context);
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
        size_t size = ZSTD_compress2(context, to, room, text, length);
        assert_false(ZSTD_isError(size));
        ZSTD_freeCCtx(context);
        return size;
    }
    z_stream z = { 0 };
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (unsigned char *)(uintptr_t)text;
    z.avail_in = (uInt)length;
    z.next_out = to;
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static es_reader *open_reader(const char *name)
{
    es_reader *reader;
    es_err err = { 0 };
    if (es_reader_open(&reader, at(name), &err))
        fail_msg("%s", err.text);
    return reader;
}

static void expect_lines(const char *name, const char *const *lines)
{
    es_reader *reader = open_reader(name);
    es_err err = { 0 };
    char *line;
    size_t length;
    uint64_t number = 0;
    do {
        if (es_reader_line(reader, &line, &length, &err))
            fail_msg("%s", err.text);
        if (!*lines) {
            assert_null(line);
        } else {
            assert_non_null(line);
            assert_string_equal(line, *lines);
            assert_int_equal(length, strlen(*lines));
            assert_int_equal(es_reader_line_number(reader), ++number);
        }
    } while (*lines++);
    es_reader_close(reader);
}

static void lines_end_with_lf_or_crlf_and_the_last_may_end_with_neither(void **state)
{
    (void)state;
    put("a", "one\ntwo\r\n\nfour", 14);
    expect_lines("a", (const char *const[]){ "one", "two", "", "four", NULL });
    put("b", "one\n", 4);
    expect_lines("b", (const char *const[]){ "one", NULL });
    put("c", "", 0);
    expect_lines("c", (const char *const[]){ NULL });
}

static void a_last_line_tells_whether_it_ended(void **state)
{
    (void)state;
    char *line;
    size_t length;
    for (int ended = 0; ended < 2; ended++) {
        put("a", "one\ntwo\n", ended ? 8 : 7);
        es_reader *reader = open_reader("a");
        assert_int_equal(es_reader_line(reader, &line, &length, NULL), ES_OK);
        assert_true(es_reader_line_ended(reader));
        assert_int_equal(es_reader_line(reader, &line, &length, NULL), ES_OK);
        assert_int_equal(es_reader_line_ended(reader), ended);
        es_reader_close(reader);
    }
}

static void gzip_and_zstd_are_known_by_content_and_may_be_concatenated(void **state)
{
    (void)state;
    unsigned char data[4096];
    for (int zstd = 0; zstd < 2; zstd++) {
        size_t size = pack("one\ntw", 6, zstd, data, sizeof data);
        size += pack("", 0, zstd, data + size, sizeof data - size);
        size += pack("o\nthree", 7, zstd, data + size, sizeof data - size);
        put("packed.txt", data, size);
        expect_lines("packed.txt", (const char *const[]){ "one", "two", "three", NULL });
    }
}

static void a_line_may_be_longer_than_any_buffer(void **state)
{
    (void)state;
    size_t length = 3000000;
    char *text = malloc(length + 5), *line;
    assert_non_null(text);
    memset(text, 'x', length);
    memcpy(text + length, "\nend\n", 5);
    put("long", text, length + 5);
    es_reader *reader = open_reader("long");
    size_t got;
    assert_int_equal(es_reader_line(reader, &line, &got, NULL), ES_OK);
    assert_int_equal(got, length);
    assert_int_equal(es_reader_line(reader, &line, &got, NULL), ES_OK);
    assert_string_equal(line, "end");
    assert_int_equal(es_reader_line(reader, &line, &got, NULL), ES_OK);
    assert_null(line);
    es_reader_close(reader);
    free(text);
}

static void expect_torn(const char *name, const char *text)
{
    es_reader *reader = open_reader(name);
    es_err err = { 0 };
    char buffer[65536], want[4400];
    size_t got;
    es_code code;
    do
        code = es_reader_read(reader, buffer, sizeof buffer, &got, &err);
    while (!code && got > 0);
    assert_int_equal(code, ES_EINPUT);
    snprintf(want, sizeof want, "%s: %s", at(name), text);
    if (strncmp(err.text, want, strlen(want)) != 0)
        fail_msg("is: %s\nwant: %s", err.text, want);
    assert_int_equal(es_reader_read(reader, buffer, sizeof buffer, &got, &err), ES_EINPUT);     /* and stays failed */
    es_reader_close(reader);
}

static void a_stream_that_stops_inside_is_a_fault(void **state)
{
    (void)state;
    unsigned char data[200000];
    char *text = malloc(100000);
    assert_non_null(text);
    for (size_t i = 0; i < 100000; i++)
        text[i] = (char)('a' + i * i % 23);
    size_t size = pack(text, 100000, false, data, sizeof data);
    put("torn.gz", data, size - 9);
    expect_torn("torn.gz", "the gzip stream ends early, after 100000 bytes");
    put("torn.gz", data, 5);
    expect_torn("torn.gz", "the gzip stream ends early, after 0 bytes");
    size = pack(text, 100000, true, data, sizeof data);
    put("torn.zst", data, size - 1);
    expect_torn("torn.zst", "the zstd stream ends early, after ");
    data[size / 2] ^= 0x55;
    data[size / 2 + 1] ^= 0x55;
    put("bad.zst", data, size);
    expect_torn("bad.zst", "the zstd stream is corrupt after ");
    free(text);
}

static void who_is_lenient_takes_what_came_before_a_cut(void **state)
{
    (void)state;
    unsigned char data[200000];
    char *text = malloc(100000), *back = malloc(100001);
    assert_non_null(text);
    assert_non_null(back);
    for (size_t i = 0; i < 100000; i++)
        text[i] = (char)('a' + i * i % 23);
    for (int zstd = 0; zstd < 2; zstd++) {
        const size_t size = pack(text, 100000, zstd, data, sizeof data);
        put("cut", data, size - 3);
        es_reader *reader = open_reader("cut");
        size_t got, more;
        uint64_t bytes;
        es_err err = { 0 };
        es_reader_lenient(reader, true);
        assert_false(es_reader_cut(reader, &bytes));
        assert_int_equal(es_reader_read(reader, back, 100001, &got, &err), ES_OK);
        assert_true(got > 0 && got <= 100000);
        assert_memory_equal(back, text, got);
        assert_int_equal(es_reader_read(reader, back, 1, &more, &err), ES_OK);
        assert_int_equal(more, 0);
        assert_true(es_reader_cut(reader, &bytes));
        assert_int_equal(bytes, got);
        es_reader_close(reader);
        reader = open_reader("cut");
        es_reader_lenient(reader, false);
        while (!es_reader_read(reader, back, 100000, &got, &err))
            assert_true(got > 0);
        assert_non_null(strstr(err.text, "; --lenient uses what came before"));
        es_reader_close(reader);
    }
    free(text);
    free(back);
}

static void what_follows_a_gzip_stream_must_be_gzip_or_padding(void **state)
{
    (void)state;
    unsigned char data[1024];
    size_t size = pack("one\n", 4, false, data, sizeof data);
    memset(data + size, 0, 100);
    put("padded.gz", data, size + 100);
    expect_lines("padded.gz", (const char *const[]){ "one", NULL });
    data[size] = 'x';
    put("behind.gz", data, size + 100);
    expect_torn("behind.gz", "the gzip stream is corrupt after 4 bytes: incorrect header check");
}

static void the_digest_is_of_the_raw_bytes(void **state)
{
    (void)state;
    unsigned char data[1024];
    char want[65], is[65], *line;
    size_t length, size = pack("one\ntwo\n", 8, false, data, sizeof data);
    es_sha256 sha;
    es_sha256_begin(&sha);
    es_sha256_add(&sha, data, size);
    es_sha256_hex(&sha, want);
    put("digest.gz", data, size);
    es_reader *reader = open_reader("digest.gz");
    do
        assert_int_equal(es_reader_line(reader, &line, &length, NULL), ES_OK);
    while (line);
    es_reader_sha256(reader, is);
    assert_string_equal(is, want);
    es_reader_close(reader);
}

static void a_missing_file_and_a_folder_are_named(void **state)
{
    (void)state;
    es_reader *reader;
    es_err err = { 0 };
    char want[4400];
    assert_int_equal(es_reader_open(&reader, at("none"), &err), ES_EINPUT);
    assert_null(reader);
    snprintf(want, sizeof want, "%s: cannot open: No such file or directory", at("none"));
    assert_string_equal(err.text, want);
    assert_int_equal(es_reader_open(&reader, folder, &err), ES_EINPUT);
    snprintf(want, sizeof want, "%s: is a folder, not a file", folder);
    assert_string_equal(err.text, want);
}

static void a_whole_file_is_loaded_up_to_a_limit(void **state)
{
    (void)state;
    char *data = NULL;
    size_t length;
    es_err err = { 0 };
    put("whole", "0123456789", 10);
    assert_int_equal(es_file_load(at("whole"), 10, &data, &length, &err), ES_OK);
    assert_int_equal(length, 10);
    assert_string_equal(data, "0123456789");
    free(data);
    assert_int_equal(es_file_load(at("whole"), 9, &data, &length, &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "is larger than 9 bytes, the most it may be"));
    assert_null(data);
}

static void saving_replaces_the_whole_file_and_leaves_nothing_else(void **state)
{
    (void)state;
    char *data;
    size_t length;
    es_err err = { 0 };
    assert_int_equal(es_file_save(at("saved"), "first version", 13, &err), ES_OK);
    assert_int_equal(es_file_save(at("saved"), "second", 6, &err), ES_OK);
    assert_int_equal(es_file_load(at("saved"), 100, &data, &length, &err), ES_OK);
    assert_string_equal(data, "second");
    free(data);
    assert_int_not_equal(access(at("saved.tmp"), F_OK), 0);
    assert_int_equal(es_file_save(at("no/such/folder"), "x", 1, &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "cannot create: No such file"));
}

static void folders_are_made_with_their_parents(void **state)
{
    (void)state;
    struct stat about;
    es_err err = { 0 };
    assert_int_equal(es_file_make_dirs(at("p/q/r"), &err), ES_OK);
    assert_int_equal(es_file_make_dirs(at("p/q/r/"), &err), ES_OK);
    assert_int_equal(stat(at("p/q/r"), &about), 0);
    put("plain", "x", 1);
    assert_int_equal(es_file_make_dirs(at("plain/x"), &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "plain: cannot make the folder"));
}

static void saving_follows_links(void **state)
{
    (void)state;
    char *data, real[4096];
    size_t length;
    es_err err = { 0 };
    struct stat about;
    assert_int_equal(es_file_make_dirs(at("far"), &err), ES_OK);
    assert_int_equal(symlink("far/real", at("link")), 0);
    assert_int_equal(symlink("link", at("link2")), 0);
    for (int turn = 0; turn < 2; turn++) {      /* to what is not there yet, and to what is */
        assert_int_equal(es_file_save(at("link2"), "linked", 6, &err), ES_OK);
        assert_int_equal(es_file_load(at("far/real"), 100, &data, &length, &err), ES_OK);
        assert_string_equal(data, "linked");
        free(data);
        assert_int_equal(readlink(at("link2"), real, sizeof real), 4);
        assert_int_equal(lstat(at("far/real"), &about), 0);
        assert_true(S_ISREG(about.st_mode));
    }
    assert_int_equal(symlink("round", at("round")), 0);
    assert_int_equal(es_file_save(at("round"), "x", 1, &err), ES_EINPUT);
    assert_non_null(strstr(err.text, "cannot follow the link: Too many levels"));
}

static void a_pipe_is_written_to_and_not_replaced(void **state)
{
    (void)state;
    es_err err = { 0 };
    struct stat about;
    char bytes[16];
    assert_int_equal(mkfifo(at("pipe"), 0600), 0);
    int end = open(at("pipe"), O_RDONLY | O_NONBLOCK);
    assert_true(end >= 0);
    assert_int_equal(es_file_save(at("pipe"), "through", 7, &err), ES_OK);
    assert_int_equal(read(end, bytes, sizeof bytes), 7);
    close(end);
    assert_int_equal(lstat(at("pipe"), &about), 0);
    assert_true(S_ISFIFO(about.st_mode));
    assert_int_not_equal(access(at("pipe.tmp"), F_OK), 0);
}

/* What is looked at and then read from its beginning must be there twice. */
static void a_descriptor_that_gives_its_bytes_once_is_settled(void **state)
{
    (void)state;
    int end[2];
    char path[32], hex[65], first[65] = "";
    es_err err = { 0 };
    assert_int_equal(pipe(end), 0);
    assert_int_equal(write(end[1], "one\ntwo\n", 8), 8);
    close(end[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", end[0]);
    assert_int_equal(es_descriptor_settle(path, &err), ES_OK);
    for (int turn = 0; turn < 3; turn++) {
        es_reader *reader;
        char bytes[16];
        size_t got;
        assert_int_equal(es_reader_open(&reader, path, &err), ES_OK);
        assert_int_equal(es_reader_read(reader, bytes, turn == 0 ? 3 : sizeof bytes, &got, &err), ES_OK);
        assert_int_equal(got, turn == 0 ? 3 : 8);
        assert_memory_equal(bytes, "one\ntwo\n", got);
        es_reader_sha256(reader, hex);
        assert_true(turn < 2 || strcmp(hex, first) == 0);
        memcpy(first, hex, sizeof hex);
        es_reader_close(reader);
    }
    assert_int_equal(close(end[0]), 0);         /* a reader leaves it to whom it belongs */
    put("file", "x", 1);
    assert_int_equal(es_descriptor_settle(at("file"), &err), ES_OK);
    assert_int_equal(es_descriptor_settle(at("none"), &err), ES_OK);
    assert_int_equal(es_descriptor_settle("/dev/fd/9999999", &err), ES_OK);
}

static void a_byte_order_mark_is_no_text(void **state)
{
    (void)state;
    put("a", "\xef\xbb\xbf" "one\n\xef\xbb\xbftwo\n", 14);
    expect_lines("a", (const char *const[]){ "one", "\xef\xbb\xbftwo", NULL });
    put("b", "\xef\xbb\xbf", 3);
    expect_lines("b", (const char *const[]){ "", NULL });
    put("c", "\xef\xbb\n", 3);
    expect_lines("c", (const char *const[]){ "\xef\xbb", NULL });
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_end_with_lf_or_crlf_and_the_last_may_end_with_neither),
        cmocka_unit_test(a_last_line_tells_whether_it_ended),
        cmocka_unit_test(gzip_and_zstd_are_known_by_content_and_may_be_concatenated),
        cmocka_unit_test(a_line_may_be_longer_than_any_buffer),
        cmocka_unit_test(a_stream_that_stops_inside_is_a_fault),
        cmocka_unit_test(who_is_lenient_takes_what_came_before_a_cut),
        cmocka_unit_test(what_follows_a_gzip_stream_must_be_gzip_or_padding),
        cmocka_unit_test(the_digest_is_of_the_raw_bytes),
        cmocka_unit_test(a_missing_file_and_a_folder_are_named),
        cmocka_unit_test(a_whole_file_is_loaded_up_to_a_limit),
        cmocka_unit_test(saving_replaces_the_whole_file_and_leaves_nothing_else),
        cmocka_unit_test(folders_are_made_with_their_parents),
        cmocka_unit_test(saving_follows_links),
        cmocka_unit_test(a_pipe_is_written_to_and_not_replaced),
        cmocka_unit_test(a_descriptor_that_gives_its_bytes_once_is_settled),
        cmocka_unit_test(a_byte_order_mark_is_no_text),
    };
    return cmocka_run_group_tests_name("file", tests, make_folder, drop_folder);
}
