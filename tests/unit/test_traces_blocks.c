/* Traces by the block: what is looked at many rows at a time, or guessed from the beginning of a file, is as if it had been looked at
 * alone, or asked for. */
#include "tests/support/bytes_kit.h"

#include "sim/base/sha256.h"
#include "traces/ids.h"

extern const es_source es_source_k3_pairs, es_source_ggml_fnv, es_source_q4rt;

/* --- rows ------------------------------------------------------------------------------------------------------------------------ */

/* Rows of every width and number, without a double and with one in every two places of the row, in registers of either size. */
static void a_double_is_seen_wherever_it_stands(void **state)
{
    (void)state;
    es_ids_twice *twice = malloc(sizeof *twice);
    assert_non_null(twice);
    for (uint32_t k = 1; k <= 18; k++)
        for (size_t rows = 0; rows <= 11; rows++)
            for (int wide = 0; wide < 2; wide++) {
                uint16_t *ids = malloc((rows * k + 1) * sizeof *ids);       /* exactly what is there: nothing behind may be looked at */
                assert_non_null(ids);
                es_ids_twice_init(twice, k);
                twice->wide = twice->wide && wide != 0;
                for (size_t i = 0; i < rows * k; i++)
                    ids[i] = (uint16_t)(i % k + 3 * (i / k));
                assert_false(es_ids_repeat(twice, ids, rows));
                for (size_t row = 0; row < rows; row++)
                    for (uint32_t a = 0; a < k; a++)
                        for (uint32_t b = 0; b < a; b++) {
                            uint16_t *at = ids + row * k, held = at[a];
                            at[a] = at[b];
                            assert_true(es_ids_repeat(twice, ids, rows));
                            at[a] = held;
                        }
                free(ids);
            }
    free(twice);
}

#define EXPECT_WIDE(TYPE, KIND, LOW, HIGH)                                                                                                 \
    for (size_t count = 1; count < 70; count++)                                                                                            \
        for (size_t at = 0; at < count; at++) {                                                                                            \
            TYPE number[70];                                                                                                               \
            uint16_t to[70];                                                                                                               \
            for (size_t i = 0; i < count; i++)                                                                                             \
                number[i] = (TYPE)(5 + i);                                                                                                 \
            number[at] = (TYPE)(HIGH);                                                                                                     \
            es_ids_range range = es_ids_widen(to, (const unsigned char *)number, KIND, count);                                             \
            assert_int_equal(range.high, HIGH);                                                                                            \
            number[at] = (TYPE)(LOW);                                                                                                      \
            range = es_ids_widen(to, (const unsigned char *)number, KIND, count);                                                          \
            assert_int_equal(range.low, LOW);                                                                                              \
            for (size_t i = 0; i < count; i++)                                                                                             \
                assert_int_equal(to[i], (uint16_t)number[i]);                                                                              \
        }

static void the_extremes_of_every_type_are_seen_wherever_they_stand(void **state)
{
    (void)state;
    EXPECT_WIDE(uint8_t, ES_IDS_U8, 0, 255)
    EXPECT_WIDE(int8_t, ES_IDS_I8, -1, 127)
    EXPECT_WIDE(uint16_t, ES_IDS_U16, 0, 65535)
    EXPECT_WIDE(int16_t, ES_IDS_I16, -1, 32767)
    EXPECT_WIDE(uint32_t, ES_IDS_U32, 0, 4294967295)
    EXPECT_WIDE(int32_t, ES_IDS_I32, -7, 2147483647)
    EXPECT_WIDE(int64_t, ES_IDS_I64, -7000000000, 7000000000)
}

/* --- the width of a row ----------------------------------------------------------------------------------------------------------- */

enum { PASSES = 320, LAYERS = 3, NARROW = 300 };    /* rows are narrower in this pass, far behind what a guess is made from */

/* Pairs, or records of three matrices whose rows are a third as wide, so that a file has as many bytes. */
static void width_file(pack *p, const es_source *source, int k, int narrow)
{
    static const char *const matrix[] = { "up", "gate", "down" };
    for (int pass = 0; pass < PASSES; pass++)
        for (int layer = 0; layer < LAYERS; layer++) {
            const int count = pass == NARROW ? narrow : k;
            for (int m = 0; m < (source == &es_source_ggml_fnv ? 3 : 1); m++)
                for (int i = 0; i < count; i++) {
                    const int id = (7 * pass + 3 * layer + 5 * i) % 97;
                    char name[64];
                    uint64_t hash = 1469598103934665603ull;
                    snprintf(name, sizeof name, "blk.%d.ffn_%s_exps.weight", layer, matrix[m]);
                    for (const char *c = name; *c; c++)
                        hash = (hash ^ (unsigned char)*c) * 0x100000001b3ull;
                    pack_number(p, source == &es_source_ggml_fnv ? (int64_t)hash : layer, source == &es_source_ggml_fnv ? 8 : 4);
                    pack_number(p, id, 4);
                }
        }
}

/* Opened with the width asked for and without, it is the same trace; only the notes say that the width was not said. */
static void expect_width(const es_source *source, const pack *p, uint32_t k)
{
    char hex[65], asked[65], found[65], says[64];
    es_tally counts = { 0 };
    es_err err = { 0 };
    es_sha256 sha;
    es_sha256_begin(&sha);
    es_sha256_add(&sha, p->at, p->length);
    es_sha256_hex(&sha, hex);
    opened o = open_pack(source, "x.bin", p, &(es_source_ask){ .top_k = k });
    assert_int_equal(es_trace_check(source, o.self, &counts, asked, &err), ES_OK);
    es_tally_free(&counts);
    close_source(&o);
    o = open_pack(source, "x.bin", p, &(es_source_ask){ 0 });
    const es_trace_info *info = source->info(o.self);
    assert_int_equal(info->top_k, k);
    assert_non_null(strstr(info->provenance, hex));
    snprintf(says, sizeof says, "a row lists %u experts, as many as the shortest call", k);
    const char *said = strstr(info->assumed, "a row lists ");
    assert_ptr_equal(said, strstr(info->assumed, says));
    assert_null(strstr(said + 1, "a row lists "));
    counts = (es_tally){ 0 };
    assert_int_equal(es_trace_check(source, o.self, &counts, found, &err), ES_OK);
    es_tally_free(&counts);
    close_source(&o);
    assert_string_equal(asked, found);
}

static void a_width_that_was_guessed_wrong_is_found(void **state)
{
    (void)state;
    pack *p = calloc(1, sizeof *p);
    assert_non_null(p);
    width_file(p, &es_source_k3_pairs, 8, 8);
    expect_width(&es_source_k3_pairs, p, 8);
    p->length = 0;
    width_file(p, &es_source_k3_pairs, 8, 4);
    expect_width(&es_source_k3_pairs, p, 4);
    p->length = 0;
    width_file(p, &es_source_ggml_fnv, 1, 1);
    expect_width(&es_source_ggml_fnv, p, 1);
    free(p);
}

/* A fault behind a guess is told as if nothing had been guessed. */
static void a_fault_is_the_same_whether_the_width_was_guessed_or_asked_for(void **state)
{
    (void)state;
    pack *p = calloc(1, sizeof *p);
    assert_non_null(p);
    width_file(p, &es_source_k3_pairs, 8, 8);
    const size_t row = 64, at = (310 * LAYERS + 1) * row;
    memset(p->at + at + 7 * 8 + 4, 0xff, 4);
    expect_bad(&es_source_k3_pairs, p, &(es_source_ask){ .top_k = 8 }, "record 7448 (byte 59584): layer 1, place 7: expert 4294967295 is not 0 to 65534");
    expect_bad(&es_source_k3_pairs, p, &(es_source_ask){ 0 }, "record 7448 (byte 59584): layer 1, place 7: expert 4294967295 is not 0 to 65534");
    p->length = at + 20;                /* cut there, inside a pair */
    expect_bad(&es_source_k3_pairs, p, &(es_source_ask){ 0 }, "record 7450 (byte 59600): the file ends with 4 of the 8 bytes of a pair of layer and expert");
    free(p);
}

/* --- logits ----------------------------------------------------------------------------------------------------------------------- */

static uint32_t draw(uint32_t *seed)
{
    return (*seed = *seed * 1664525u + 1013904223u) >> 16;
}

/* Wide rows, in order and not, of logits above, at and below 0: without weights they are looked at in registers, with weights alone. */
static void logits_in_registers_are_sorted_as_others_are(void **state)
{
    (void)state;
    static const int half[] = { 0x4400, 0x4200, 0x3c00, 0x0001, 0x0000, 0x8000, 0x8001, 0xbc00, 0xc200, 0xc400 };
    uint32_t seed = 1;
    for (int m = 7; m <= 17; m++) {
        pack *p = calloc(1, sizeof *p);
        assert_non_null(p);
        pack_bytes(p, "Q4RT", 4);
        PACK(p, 2, 1, 2, 32, m);
        pack_number(p, 0, 4);
        for (int row = 0; row < 400; row++) {
            int place = 0;
            for (int i = 0; i < m; i++)
                pack_number(p, (i + row) % 32, 2);
            for (int i = 0; i < m; i++) {
                place += place < 9 && draw(&seed) % 3 == 0;
                pack_number(p, half[draw(&seed) % 40 == 0 ? (int)(draw(&seed) % 10) : place], 2);
            }
        }
        const es_source_ask ids = { .top_k = 5 }, weights = { .top_k = 5, .weights = true };
        put_pack("q.bin", p);
        opened a = open_good(&es_source_q4rt, "q.bin", &ids), b = open_good(&es_source_q4rt, "q.bin", &weights);
        for (bool more = true; more;) {
            es_step one, two;
            bool again;
            assert_int_equal(es_source_q4rt.next(a.self, &one, &more, NULL), ES_OK);
            assert_int_equal(es_source_q4rt.next(b.self, &two, &again, NULL), ES_OK);
            assert_int_equal(more, again);
            assert_int_equal(one.tokens, two.tokens);
            if (more)
                assert_memory_equal(one.ids, two.ids, 2 * 5 * sizeof *one.ids);
        }
        close_source(&a);
        close_source(&b);
        free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_double_is_seen_wherever_it_stands),
        cmocka_unit_test(the_extremes_of_every_type_are_seen_wherever_they_stand),
        cmocka_unit_test(a_width_that_was_guessed_wrong_is_found),
        cmocka_unit_test(a_fault_is_the_same_whether_the_width_was_guessed_or_asked_for),
        cmocka_unit_test(logits_in_registers_are_sorted_as_others_are),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
