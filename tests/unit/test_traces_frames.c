/* Traces whose records say their layer and tokens: MOET, RTRC and Q4RT on files small enough to see through, cut at every byte, and every fault. */
#include "tests/support/calls_kit.h"

/* --- MOET ----------------------------------------------------------------------------------------------------------------------- */

static void moet_frames_are_calls(void **state)
{
    (void)state;
    pack p = { 0 };
    moet_talk(&p);
    opened o = open_pack(&es_source_moet, "x.bin", &p, &ask_ids);
    const es_trace_info *info = es_source_moet.info(o.self);
    expect_steps(&o, talk);
    assert_int_equal(info->layers, 2);
    assert_int_equal(info->layer_number[1], 4);
    assert_int_equal(info->experts, 8);
    assert_int_equal(info->requests, 2);
    assert_int_equal(info->steps, 5);
    assert_int_equal(info->prompt_tokens, 4);
    assert_int_equal(info->decode_tokens, 3);
    assert_int_equal(info->accesses, 28);
    assert_int_equal(info->missing_cells, 0);
    assert_non_null(strstr(info->assumed, "a layer that does not rise begins a pass"));
    close_source(&o);
    static const size_t ends[] = { 60, 92, 124, 172, 204 };
    static const uint64_t tokens[] = { 2, 3, 4, 6, 7 };
    expect_cut(&es_source_moet, &p, &ask_ids, 12, ends, tokens, 5);
}

/* llama.cpp computes the last layer only for tokens that give an output. */
static void a_layer_may_be_used_for_the_last_tokens_only(void **state)
{
    (void)state;
    pack p = { 0 };
    pack_bytes(&p, "MOET", 4);
    PACK(&p, 4, 8, 2);
    PACK(&p, 4, 0, 3, 1, 2, 3, 4, 5, 6, 1, 1, 7, 0);
    PACK(&p, 4, 0, 1, 1, 2, 1, 1, 3, 4);
    opened o = open_pack(&es_source_moet, "x.bin", &p, &ask_ids);
    expect_steps(&o, "P 0.0(1 2;-) 0.1(3 4;-) 0.2(5 6;7 0)\nD 0.3(1 2;3 4)\n");
    assert_int_equal(es_source_moet.info(o.self)->missing_cells, 2);
    assert_non_null(strstr(es_source_moet.info(o.self)->assumed, "the first in record 1, are taken as used for its last tokens only"));
    close_source(&o);
}

static void a_pass_without_a_layer_is_told(void **state)
{
    (void)state;
    pack p = { 0 };
    pack_bytes(&p, "MOET", 4);
    PACK(&p, 4, 8, 2);
    PACK(&p, 4, 0, 1, 1, 2, 1, 1, 3, 4);
    PACK(&p, 4, 1, 1, 5, 6);
    opened o = open_pack(&es_source_moet, "x.bin", &p, &ask_ids);
    expect_steps(&o, "D 0.0(1 2;3 4)\nD 0.1(-;5 6)\n");
    assert_non_null(strstr(es_source_moet.info(o.self)->assumed, "that from record 2 on has 1, the first has 2"));
    close_source(&o);
}

static void faults_of_moet_are_named(void **state)
{
    (void)state;
    static const struct { size_t at; unsigned char byte; const char *says; } bad[] = {
        { 0, 'X', "record 0 (byte 0): does not begin with MOET" },
        { 4, 0, "0 experts, 2 of them in a row" },
        { 8, 0, "8 experts, 0 of them in a row" },
        { 8, 9, "8 experts, 9 of them in a row" },
        { 5, 0xff, NULL },
        { 6, 1, "layers of 65544 experts are more than" },
        { 13, 0x10, "record 0 (byte 12): layer 4097 is above 4095, the highest" },
        { 16, 0, "record 0 (byte 16): layer 1: a frame of 0 tokens" },
        { 19, 0x7f, "layer 1: a frame of 2130706434 tokens" },
        { 20, 2, "record 0 (byte 12): layer 1, token 0 from here, place 1: expert 2 is listed twice" },
        { 36 + 8, 9, "record 1 (byte 36): layer 4, place 0: expert 9 is not 0 to 7" },
        { 23, 0x80, "place 0: expert -2147483647 is not 0 to 7" },
        { 36 + 4, 3, "layer 4 has 3 tokens, more than the 2 of the layers before in this pass" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pack p = { 0 };
        moet_talk(&p);
        p.at[bad[i].at] = bad[i].byte;
        if (bad[i].says)
            expect_bad(&es_source_moet, &p, &ask_ids, bad[i].says);
        else
            expect_trace(&es_source_moet, &p, &ask_ids, talk);
    }
    pack p = { 0 };
    moet_talk(&p);
    p.length = 100;
    expect_bad(&es_source_moet, &p, &ask_ids, "record 4 (byte 92): the file ends with 8 of the 16 bytes of a frame");
    p.length = 108;
    expect_bad(&es_source_moet, &p, &ask_ids, "record 5 (byte 108): the file ends behind layer 1 of a pass; those before go on to layer 4; --lenient leaves the pass out");
    opened o = open_pack(&es_source_moet, "cut", &p, &(es_source_ask){ .lenient = true });
    assert_non_null(strstr(es_source_moet.info(o.self)->assumed, "its last pass ends behind layer 1 and is left out"));
    assert_null(strstr(es_source_moet.info(o.self)->assumed, "counted as missing"));     /* it is not in the trace */
    close_source(&o);
}

/* --- RTRC ----------------------------------------------------------------------------------------------------------------------- */

static void rtrc_has_phases_and_positions(void **state)
{
    (void)state;
    pack p = { 0 };
    rtrc_talk(&p);
    expect_trace(&es_source_rtrc, &p, &ask_ids, talk);
    for (size_t length = 0; length < p.length; length++) {
        pack cut = p;
        es_err err = { 0 };
        uint64_t got;
        cut.length = length;
        put_pack("cut", &cut);
        es_code code = read_all(&es_source_rtrc, "cut", &ask_ids, &got, &err);
        if (code == ES_OK && (length < 9 + 8 || (length - 9) % 8 != 0))
            fail_msg("cut after %zu bytes it reads as %llu tokens", length, (unsigned long long)got);
        assert_true(code == ES_OK || (code == ES_EINPUT && err.text[0] != '\0'));
        code = read_all(&es_source_rtrc, "cut", &(es_source_ask){ .lenient = true }, &got, &err);
        assert_int_equal(code, length < 9 + 8 ? ES_EINPUT : ES_OK);
    }
}

/* A chunk goes on where the one before ended, and belongs to the same request; a later layer may lack tokens. */
static void a_prompt_may_come_in_chunks(void **state)
{
    (void)state;
    pack p = { 0 };
    pack_bytes(&p, "RTRC", 4);
    PACK(&p, 1, 1, 2, 2, 8, 0);
    rtrc_row(&p, 0, 0, 0, 1, 2);
    rtrc_row(&p, 0, 1, 0, 3, 4);
    rtrc_row(&p, 0, 0, 1, 5, 6);
    rtrc_row(&p, 0, 1, 1, 7, 0);
    rtrc_row(&p, 0, 2, 0, 2, 1);
    rtrc_row(&p, 0, 3, 0, 4, 3);
    rtrc_row(&p, 0, 3, 1, 6, 5);
    expect_trace(&es_source_rtrc, &p, &ask_ids, "P 0.0(1 2;5 6) 0.1(3 4;7 0)\nP 0.2(2 1;-) 0.3(4 3;6 5)\n");
}

static void faults_of_rtrc_are_named(void **state)
{
    (void)state;
    static const struct { size_t at; unsigned char byte; const char *says; } bad[] = {
        { 3, 'X', "record 0 (byte 0): does not begin with RTRC" },
        { 4, 2, "record 0 (byte 4): version 2 is not 1" },
        { 5, 0, "0 layers, rows of 2 of 8 experts: none can be 0" },
        { 9, 2, "record 0 (byte 9): phase 2 is neither 0 (prompt) nor 1" },
        { 9 + 8 + 1, 3, "record 1 (byte 17): layer 1: position 3 follows 0 in a prompt" },
        { 9 + 16 + 1, 7, "record 2 (byte 25): layer 4: position 7 does not follow those of the layers before" },
        { 9 + 24 + 5, 5, "record 3 (byte 33): layer 5 is above 4, the highest" },
        { 9 + 6, 8, "record 0 (byte 9): layer 1, place 0: expert 8 is not 0 to 7" },
        { 9 + 6, 2, "record 0 (byte 9): layer 1, token 0 from here, place 1: expert 2 is listed twice" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pack p = { 0 };
        rtrc_talk(&p);
        p.at[bad[i].at] = bad[i].byte;
        expect_bad(&es_source_rtrc, &p, &ask_ids, bad[i].says);
    }
}

/* --- Q4RT ----------------------------------------------------------------------------------------------------------------------- */

static void q4rt_keeps_the_best_candidates(void **state)
{
    (void)state;
    pack p = { 0 }, open = { 0 };
    q4rt_two(&p, 2);
    q4rt_two(&open, 0);
    const es_source_ask two = { .top_k = 2, .weights = true };
    expect_trace(&es_source_q4rt, &p, &ask_ids, "D 0.0(1 2 3;5 4 6)\nD 0.1(7 0 1;2 3 4)\n");
    expect_trace(&es_source_q4rt, &open, &two, "D 0.0(1 2;5 4)\nD 0.1(7 0;2 3)\n");
    opened o = open_pack(&es_source_q4rt, "x.bin", &p, &two);
    const es_trace_info *info = es_source_q4rt.info(o.self);
    assert_non_null(strstr(info->assumed, "the 2 best of 3 candidates of a row are kept"));
    assert_non_null(strstr(info->assumed, "softmax"));
    assert_true(info->has_weights);
    es_step step;
    bool more;
    assert_int_equal(es_source_q4rt.next(o.self, &step, &more, NULL), ES_OK);
    assert_true(fabsf(step.weights[0] - 0.7310586f) < 1e-6f && fabsf(step.weights[1] - 0.2689414f) < 1e-6f);
    assert_true(step.weights[2] > step.weights[3]);
    close_source(&o);
    expect_torn(&es_source_q4rt, &p, &two, 16, 24, false);
    expect_torn(&es_source_q4rt, &open, &two, 16, 24, true);
}

/* Many tokens, one of them out of order and one with a logit that is none: what is looked at as a whole must see both. */
static void q4rt_tokens_in_order_are_read_as_others_are(void **state)
{
    (void)state;
    enum { TOKENS = 60 };
    pack p = { 0 };
    es_text want = { 0 };
    const es_source_ask two = { .top_k = 2 }, weights = { .top_k = 2, .weights = true };
    q4rt_head(&p, TOKENS);
    for (int t = 0; t < TOKENS; t++)
        for (int l = 0; l < 2; l++) {
            const int a = t % 8, b = (t + 3) % 8, c = (t + 5) % 8;
            const bool turned = t == 31 && l == 1;
            PACK(&p, 2, a, b, c, turned ? HALF_MINUS_1 : HALF_2, HALF_1, HALF_1);
            if (l == 0)
                es_text_add(&want, "D 0.%d(%d %d", t, a, b);
            else
                es_text_add(&want, ";%d %d)\n", turned ? b : a, turned ? c : b);
        }
    opened o = open_pack(&es_source_q4rt, "x.bin", &p, &two);
    expect_steps(&o, want.at);
    close_source(&o);
    o = open_pack(&es_source_q4rt, "x.bin", &p, &weights);
    expect_steps(&o, want.at);
    close_source(&o);
    p.at[16 + 24 * 45 + 12 + 11] = 0x7c;         /* token 45, layer 1: the last logit */
    expect_bad(&es_source_q4rt, &p, &two, "record 91 (byte 1108): layer 1, place 2: the logit of expert 2 is no finite number");
    es_text_free(&want);
}

static void faults_of_q4rt_are_named(void **state)
{
    (void)state;
    pack p = { 0 };
    q4rt_two(&p, 1);
    expect_bad(&es_source_q4rt, &p, &ask_ids, "record 2 (byte 40): bytes follow the 1 tokens that the head promises");
    expect_bad(&es_source_q4rt, &p, &(es_source_ask){ .top_k = 4 }, "a row has 3 candidates, fewer than the 4 that are asked for");
    p.at[4] = 2;
    expect_bad(&es_source_q4rt, &p, &ask_ids, "version 2 is not 1");
    pack q = { 0 };
    q4rt_head(&q, 1);
    PACK(&q, 2, 1, 2, 3, HALF_2, HALF_1, HALF_INFINITE, 4, 5, 6, HALF_1, HALF_2, HALF_1);
    expect_bad(&es_source_q4rt, &q, &ask_ids, "record 0 (byte 16): layer 0, place 2: the logit of expert 3 is no finite number");
    pack r = { 0 };
    q4rt_head(&r, 1);
    PACK(&r, 2, 1, 2, 1, HALF_2, HALF_1, HALF_1, 4, 5, 8, HALF_1, HALF_2, HALF_1);
    expect_bad(&es_source_q4rt, &r, &ask_ids, "record 1 (byte 28): layer 1, place 2: expert 8 is not 0 to 7");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moet_frames_are_calls),
        cmocka_unit_test(a_layer_may_be_used_for_the_last_tokens_only),
        cmocka_unit_test(a_pass_without_a_layer_is_told),
        cmocka_unit_test(faults_of_moet_are_named),
        cmocka_unit_test(rtrc_has_phases_and_positions),
        cmocka_unit_test(a_prompt_may_come_in_chunks),
        cmocka_unit_test(faults_of_rtrc_are_named),
        cmocka_unit_test(q4rt_keeps_the_best_candidates),
        cmocka_unit_test(q4rt_tokens_in_order_are_read_as_others_are),
        cmocka_unit_test(faults_of_q4rt_are_named),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
