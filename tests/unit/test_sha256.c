/* SHA-256: the published vectors, both implementations, any cutting of the input. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "sim/base/sha256.h"

static void sha_of(const void *data, size_t count, bool fast, char hex[65])
{
    es_sha256 sha;
    es_sha256_begin(&sha);
    sha.fast = sha.fast && fast;
    es_sha256_add(&sha, data, count);
    es_sha256_hex(&sha, hex);
}

static void the_vectors_of_fips_180_come_out(void **state)
{
    static const struct { const char *text, *hex; } vector[] = {
        { "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
        { "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
        { "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
        { "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
          "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1" },
    };
    (void)state;
    for (size_t i = 0; i < sizeof vector / sizeof vector[0]; i++)
        for (int fast = 0; fast < 2; fast++) {
            char hex[65];
            sha_of(vector[i].text, strlen(vector[i].text), fast != 0, hex);
            assert_string_equal(hex, vector[i].hex);
        }
}

static void a_million_letters_come_out(void **state)
{
    (void)state;
    char *text = malloc(1000000), hex[65];
    assert_non_null(text);
    memset(text, 'a', 1000000);
    for (int fast = 0; fast < 2; fast++) {
        sha_of(text, 1000000, fast != 0, hex);
        assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
    free(text);
}

static void every_length_agrees_between_the_plain_and_the_fast_way(void **state)
{
    (void)state;
    unsigned char data[300];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (unsigned char)(i * 37 + 11);
    for (size_t length = 0; length <= sizeof data; length++) {
        char plain[65], fast[65];
        sha_of(data, length, false, plain);
        sha_of(data, length, true, fast);
        assert_string_equal(plain, fast);
    }
}

static void the_input_may_be_cut_anywhere_and_the_digest_asked_in_between(void **state)
{
    (void)state;
    unsigned char data[200];
    char whole[65], cut[65];
    memset(data, 7, sizeof data);
    sha_of(data, sizeof data, true, whole);
    for (size_t at = 0; at <= sizeof data; at++) {
        es_sha256 sha;
        es_sha256_begin(&sha);
        es_sha256_add(&sha, data, at);
        es_sha256_hex(&sha, cut);
        es_sha256_add(&sha, data + at, sizeof data - at);
        es_sha256_hex(&sha, cut);
        assert_string_equal(whole, cut);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_fips_180_come_out),
        cmocka_unit_test(a_million_letters_come_out),
        cmocka_unit_test(every_length_agrees_between_the_plain_and_the_fast_way),
        cmocka_unit_test(the_input_may_be_cut_anywhere_and_the_digest_asked_in_between),
    };
    return cmocka_run_group_tests_name("sha256", tests, NULL, NULL);
}
