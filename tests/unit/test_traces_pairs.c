/* Traces that say no more than which expert was asked for: pairs and GGML keys, whose passes follow from the order; cut at every byte, and every fault. */
#include "tests/support/calls_kit.h"

/* --- pairs ---------------------------------------------------------------------------------------------------------------------- */

static void pairs_become_passes_by_their_layers(void **state)
{
    (void)state;
    pack p = { 0 }, f = { 0 };
    pairs_talk(&p);
    opened o = open_pack(&es_source_k3_pairs, "x.bin", &p, &ask_ids);
    expect_steps(&o, talk);
    assert_int_equal(es_source_k3_pairs.info(o.self)->experts, 8);
    assert_non_null(strstr(es_source_k3_pairs.info(o.self)->assumed, "a row lists 2 experts, as many as the shortest call"));
    close_source(&o);
    expect_trace(&es_source_k3_pairs, &p, &(es_source_ask){ .top_k = 2 }, talk);
    pack_bytes(&f, "FUCTRCE1", 8);
    pack_number(&f, 5, 4);
    pack_number(&f, 28, 8);
    pairs_talk(&f);
    expect_trace(&es_source_fuctrace, &f, &ask_ids, talk);
    static const size_t ends[] = { 64, 96, 128, 192, 224 }, ends_head[] = { 84, 116, 148, 212, 244 };
    static const uint64_t tokens[] = { 2, 3, 4, 6, 7 };
    expect_cut(&es_source_k3_pairs, &p, &(es_source_ask){ .top_k = 2 }, 8, ends, tokens, 5);
    for (size_t length = 0; length < f.length; length++) {       /* a head that promises more than there is is always an error */
        pack cut = f;
        es_err err = { 0 };
        uint64_t got;
        cut.length = length;
        put_pack("cut", &cut);
        assert_int_equal(read_all(&es_source_fuctrace, "cut", &ask_ids, &got, &err), ES_EINPUT);
    }
    pack cut = f;
    cut.length = ends_head[2] + 5;
    o = open_pack(&es_source_fuctrace, "x.bin", &cut, &(es_source_ask){ .lenient = true });
    assert_int_equal(es_source_fuctrace.info(o.self)->decode_tokens, 2);
    assert_non_null(strstr(es_source_fuctrace.info(o.self)->assumed, "12 of the 28 pairs that its head promises are missing"));
    close_source(&o);
}

/* A cut call is shorter than all others, and must not pass for the width of a row. */
static void the_width_of_a_row_does_not_follow_from_a_cut_call(void **state)
{
    (void)state;
    pack p = { 0 };
    pairs_talk(&p);
    p.length -= 8;
    expect_bad(&es_source_k3_pairs, &p, &ask_ids, "record 26 (byte 208): layer 4 lists 1 experts, no multiple of the 2 of a row, and the file ends there");
    opened o = open_pack(&es_source_k3_pairs, "x.bin", &p, &(es_source_ask){ .lenient = true });
    assert_int_equal(es_source_k3_pairs.info(o.self)->steps, 4);
    close_source(&o);
}

/* Where a prompt ends with fewer experts in its last layer, the file may be cut; where others did so before, it is not. */
static void pairs_that_end_short_are_doubted(void **state)
{
    (void)state;
    pack p = { 0 };
    const es_source_ask two = { .top_k = 2 }, lenient = { .top_k = 2, .lenient = true };
    PACK(&p, 4, 0, 1, 0, 2, 0, 3, 0, 4, 1, 5, 1, 6, 0, 1, 0, 2, 1, 3, 1, 4);
    expect_trace(&es_source_k3_pairs, &p, &two, "P 0.0(1 2;-) 0.1(3 4;5 6)\nD 0.2(1 2;3 4)\n");
    PACK(&p, 4, 0, 5, 0, 6, 0, 7, 0, 0, 1, 5, 1, 6);
    expect_trace(&es_source_k3_pairs, &p, &two, "P 0.0(1 2;-) 0.1(3 4;5 6)\nD 0.2(1 2;3 4)\nP 1.0(5 6;-) 1.1(7 0;5 6)\n");
    pack q = { 0 };
    PACK(&q, 4, 0, 1, 0, 2, 1, 3, 1, 4, 0, 5, 0, 6, 0, 7, 0, 0, 1, 5, 1, 6);
    expect_bad(&es_source_k3_pairs, &q, &two, "record 10 (byte 80): the file ends in layer 1 of a pass, with fewer experts than the layer before it has");
    expect_trace(&es_source_k3_pairs, &q, &lenient, "D 0.0(1 2;3 4)\n");
}

static void faults_of_pairs_are_named(void **state)
{
    (void)state;
    static const struct { size_t at; unsigned char byte; const char *says; } bad[] = {
        { 64, 2, "record 8 (byte 64): layer 2 lists 1 experts, no multiple of the 2" },
        { 4, 2, "record 0 (byte 0): layer 1, token 0 from here, place 1: expert 2 is listed twice" },
        { 7, 0x80, "record 0 (byte 0): layer 1, place 0: expert 2147483649 is not 0 to 65534" },
    };
    const es_source_ask two = { .top_k = 2 };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pack p = { 0 };
        pairs_talk(&p);
        p.at[bad[i].at] = bad[i].byte;
        expect_bad(&es_source_k3_pairs, &p, &two, bad[i].says);
    }
    pack grows = { 0 };
    PACK(&grows, 4, 0, 1, 0, 2, 1, 3, 1, 4, 1, 5, 1, 6, 0, 1, 0, 2, 1, 3, 1, 4);
    expect_bad(&es_source_k3_pairs, &grows, &two, "record 2 (byte 16): layer 1 lists 4 experts, more than the 2 of the layers before in this pass");
    expect_bad(&es_source_k3_pairs, &grows, &(es_source_ask){ .top_k = 2000 }, "rows of 2000 experts are not 1 to 1024");
    pack none = { 0 };
    expect_bad(&es_source_k3_pairs, &none, &ask_ids, "holds no routing");
    pack head = { 0 };
    pack_bytes(&head, "FUCEXPT1", 8);
    expect_bad(&es_source_fuctrace, &head, &ask_ids, "FUCEXPT1 holds how often experts were used, not when: give the trace FUCTRCE1");
    pack more = { 0 };
    pack_bytes(&more, "FUCTRCE1", 8);
    pack_number(&more, 2, 4);
    pack_number(&more, 1, 8);
    PACK(&more, 4, 0, 1, 0, 2);
    expect_bad(&es_source_fuctrace, &more, &ask_ids, "record 1 (byte 28): there are 2 pairs, but the head promises 1");
    pack beyond = { 0 };
    pack_bytes(&beyond, "FUCTRCE1", 8);
    pack_number(&beyond, 0x46000003, 4);
    pack_number(&beyond, 1, 8);
    PACK(&beyond, 4, 0x01000000, 1);
    expect_bad(&es_source_fuctrace, &beyond, &ask_ids, "1174405123 layers of 0 experts are more than 4096 of 65535, the most");
}

/* --- GGML keys ------------------------------------------------------------------------------------------------------------------ */

static void keys_become_layers_and_prompts_their_distinct_experts(void **state)
{
    (void)state;
    pack p = { 0 };
    GGML(&p, 1, 1, 2, 5, 6, 7);
    GGML(&p, 4, 0, 3, 4);
    GGML(&p, 1, 2, 1);
    GGML(&p, 4, 4, 3);
    GGML(&p, 1, 0, 1);
    GGML(&p, 4, 2, 3);
    static const char want[] = "P 0.0(1 2;0 3) 0.1(5 6;4) 0.2(7;-)\nD 0.3(2 1;4 3)\nD 0.4(0 1;2 3)\n";
    opened o = open_pack(&es_source_ggml_fnv, "x.bin", &p, &ask_ids);
    expect_steps(&o, want);
    assert_non_null(strstr(es_source_ggml_fnv.info(o.self)->assumed, "distinct experts"));
    assert_int_equal(es_source_ggml_fnv.info(o.self)->accesses, 16);
    assert_int_equal(es_source_ggml_fnv.info(o.self)->missing_cells, 1);
    close_source(&o);
    pack q = { 0 };
    static const int ids[] = { 3, 1 }, again[] = { 0, 2 };
    ggml_call(&q, 0, fused, 2, 2, ids);
    ggml_call(&q, 0, fused, 2, 2, again);                       /* one layer alone */
    ggml_call(&q, 0, fused, 2, 2, ids);
    expect_trace(&es_source_ggml_fnv, &q, &ask_ids, "D 0.0(3 1)\nD 0.1(0 2)\nD 0.2(3 1)\n");
}

static void faults_of_keys_are_named(void **state)
{
    (void)state;
    pack p = { 0 };
    GGML(&p, 1, 1, 2);
    GGML(&p, 4, 4, 3);
    GGML(&p, 1, 0, 1);
    GGML(&p, 4, 2, 3);
    for (size_t length = 0; length < p.length; length++) {
        pack cut = p;
        es_err err = { 0 };
        uint64_t got;
        cut.length = length;
        put_pack("cut", &cut);
        es_code code = read_all(&es_source_ggml_fnv, "cut", &(es_source_ask){ .top_k = 2 }, &got, &err);
        if (code == ES_OK && length != 24 && length != 48 && length != 72 && length != 144)
            fail_msg("cut after %zu bytes it reads as %llu tokens", length, (unsigned long long)got);
        assert_true(code == ES_OK || code == ES_EINPUT);
        code = read_all(&es_source_ggml_fnv, "cut", &(es_source_ask){ .top_k = 2, .lenient = true }, &got, &err);
        if (length >= 144 && (code != ES_OK || got != 1))
            fail_msg("cut after %zu bytes, leniently: code %d, %llu tokens: %s", length, (int)code, (unsigned long long)got, err.text);
    }
    pack other = p;
    other.at[20] = 9;                   /* the second expert of the first matrix */
    expect_bad(&es_source_ggml_fnv, &other, &ask_ids, "record 0 (byte 0): layer 1 (2 experts of up first): its matrices have different experts");
    pack key = p;
    key.at[12] ^= 1;
    expect_bad(&es_source_ggml_fnv, &key, &ask_ids, "record 1 (byte 12): key ");
    pack high = p;
    high.at[11] = 1;
    expect_bad(&es_source_ggml_fnv, &high, &ask_ids, "record 0 (byte 8): expert 16777217 is not 0 to 65534");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_become_passes_by_their_layers),
        cmocka_unit_test(the_width_of_a_row_does_not_follow_from_a_cut_call),
        cmocka_unit_test(pairs_that_end_short_are_doubted),
        cmocka_unit_test(faults_of_pairs_are_named),
        cmocka_unit_test(keys_become_layers_and_prompts_their_distinct_experts),
        cmocka_unit_test(faults_of_keys_are_named),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
