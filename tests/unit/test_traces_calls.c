/* Traces call by call: MOET, RTRC, Q4RT, pairs and GGML keys on files small enough to see through, cut at every byte, and every fault. */
#include "tests/support/bytes_kit.h"

extern const es_source es_source_moet, es_source_rtrc, es_source_q4rt, es_source_k3_pairs, es_source_fuctrace, es_source_ggml_fnv;

/* A prompt of two tokens, two generated ones, a prompt of two and one; layers 1 and 4. */
static const char talk[] = "P 0.0(1 2;3 4) 0.1(5 6;7 0)\nD 0.2(2 1;4 3)\nD 0.3(0 1;2 3)\nP 1.0(4 5;6 7) 1.1(0 3;5 1)\nD 1.2(6 2;7 4)\n";

static void expect_trace(const es_source *source, const pack *p, const es_source_ask *ask, const char *want)
{
    opened o = open_pack(source, "x.bin", p, ask);
    expect_steps(&o, want);
    close_source(&o);
}

/* Cut anywhere it is an error, unless a pass ends there; leniently what is whole is left. */
static void expect_cut(const es_source *source, const pack *p, const es_source_ask *ask, size_t head, const size_t *ends, const uint64_t *tokens, size_t passes)
{
    for (size_t length = 0; length < p->length; length++) {
        pack cut = { .length = length };
        es_source_ask lenient = *ask;
        es_err err = { 0 };
        uint64_t got = 0, want = 0;
        bool whole = false;
        memcpy(cut.at, p->at, length);
        put_pack("cut", &cut);
        for (size_t i = 0; i < passes; i++) {
            want = length >= ends[i] ? tokens[i] : want;
            whole = whole || length == ends[i];
        }
        es_code code = read_all(source, "cut", ask, &got, &err);
        if (code == ES_OK ? length < ends[1] ? got > tokens[1] : !whole || got != want : code != ES_EINPUT || err.text[0] == '\0')
            fail_msg("cut after %zu bytes: code %d, %llu tokens: %s", length, (int)code, (unsigned long long)got, err.text);
        lenient.lenient = true;
        code = read_all(source, "cut", &lenient, &got, &err);
        if (length >= ends[1] ? code != ES_OK || got != want : code != ES_OK && code != ES_EINPUT)
            fail_msg("cut after %zu bytes, leniently: code %d, %llu tokens, not %llu: %s", length, (int)code, (unsigned long long)got, (unsigned long long)want, err.text);
        if (length < head)
            assert_int_equal(code, ES_EINPUT);
    }
}

/* --- MOET ----------------------------------------------------------------------------------------------------------------------- */

static void moet_talk(pack *p)
{
    pack_bytes(p, "MOET", 4);
    PACK(p, 4, 8, 2);
    PACK(p, 4, 1, 2, 1, 2, 5, 6, 4, 2, 3, 4, 7, 0);
    PACK(p, 4, 1, 1, 2, 1, 4, 1, 4, 3);
    PACK(p, 4, 1, 1, 0, 1, 4, 1, 2, 3);
    PACK(p, 4, 1, 2, 4, 5, 0, 3, 4, 2, 6, 7, 5, 1);
    PACK(p, 4, 1, 1, 6, 2, 4, 1, 7, 4);
}

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
    expect_bad(&es_source_moet, &p, &ask_ids, "record 5 (byte 108): the file ends behind layer 1 of a pass; those before go on to layer 4");
}

/* --- RTRC ----------------------------------------------------------------------------------------------------------------------- */

static void rtrc_row(pack *p, int phase, int position, int layer, int a, int b)
{
    pack_number(p, phase, 1);
    pack_number(p, position, 4);
    PACK(p, 1, layer, a, b);
}

static void rtrc_talk(pack *p)
{
    pack_bytes(p, "RTRC", 4);
    PACK(p, 1, 1, 5, 2, 8, 0);
    rtrc_row(p, 0, 0, 1, 1, 2);
    rtrc_row(p, 0, 1, 1, 5, 6);
    rtrc_row(p, 0, 0, 4, 3, 4);
    rtrc_row(p, 0, 1, 4, 7, 0);
    rtrc_row(p, 1, 2, 1, 2, 1);
    rtrc_row(p, 1, 2, 4, 4, 3);
    rtrc_row(p, 1, 3, 1, 0, 1);
    rtrc_row(p, 1, 3, 4, 2, 3);
    rtrc_row(p, 0, 0, 1, 4, 5);
    rtrc_row(p, 0, 1, 1, 0, 3);
    rtrc_row(p, 0, 0, 4, 6, 7);
    rtrc_row(p, 0, 1, 4, 5, 1);
    rtrc_row(p, 1, 2, 1, 6, 2);
    rtrc_row(p, 1, 2, 4, 7, 4);
}

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

/* --- pairs ---------------------------------------------------------------------------------------------------------------------- */

static void pairs_talk(pack *p)
{
    PACK(p, 4, 1, 1, 1, 2, 1, 5, 1, 6, 4, 3, 4, 4, 4, 7, 4, 0);
    PACK(p, 4, 1, 2, 1, 1, 4, 4, 4, 3);
    PACK(p, 4, 1, 0, 1, 1, 4, 2, 4, 3);
    PACK(p, 4, 1, 4, 1, 5, 1, 0, 1, 3, 4, 6, 4, 7, 4, 5, 4, 1);
    PACK(p, 4, 1, 6, 1, 2, 4, 7, 4, 4);
}

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
}

/* --- Q4RT ----------------------------------------------------------------------------------------------------------------------- */

enum { HALF_1 = 0x3c00, HALF_2 = 0x4000, HALF_MINUS_1 = 0xbc00, HALF_TINY = 0x0001, HALF_INFINITE = 0x7c00 };

static void q4rt_head(pack *p, int tokens)
{
    pack_bytes(p, "Q4RT", 4);
    PACK(p, 2, 1, 2, 8, 3);
    pack_number(p, tokens, 4);
}

static void q4rt_two(pack *p, int tokens)
{
    q4rt_head(p, tokens);
    PACK(p, 2, 1, 2, 3, HALF_2, HALF_1, HALF_MINUS_1, 4, 5, 6, HALF_1, HALF_2, HALF_1);
    PACK(p, 2, 7, 0, 1, HALF_TINY, 0, HALF_MINUS_1, 2, 3, 4, HALF_2, HALF_2, HALF_2);
}

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

/* --- GGML keys ------------------------------------------------------------------------------------------------------------------ */

static void ggml_call(pack *p, int layer, const char *const *matrix, size_t matrices, size_t count, const int *ids)
{
    for (size_t m = 0; m < matrices; m++) {
        char name[64];
        uint64_t hash = 1469598103934665603ull;
        snprintf(name, sizeof name, "blk.%d.ffn_%s_exps.weight", layer, matrix[m]);
        for (const char *c = name; *c; c++)
            hash = (hash ^ (unsigned char)*c) * 0x100000001b3ull;
        for (size_t i = 0; i < count; i++) {
            pack_number(p, (int64_t)hash, 8);
            pack_number(p, ids[i], 4);
        }
    }
}
static const char *const three[] = { "up", "gate", "down" }, *const fused[] = { "gate_up", "down" };
#define GGML(p, layer, ...) ggml_call((p), (layer), three, 3, sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), (int[]){ __VA_ARGS__ })

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

/* --- long ones -------------------------------------------------------------------------------------------------------------------- */

enum { LONG_PASSES = 120, LONG_LAYERS = 3 };

/* Id of a place; five apart within a row, so that none is there twice. */
static int long_id(int pass, int layer, int i)
{
    return (7 * pass + 3 * layer + 5 * i) % 97;
}

/* Passes 40 and 80 lack a layer: the first, or the last but one; what is looked at as a whole must see it. */
static bool long_lacks(int pass, int layer)
{
    return (pass == 40 && layer == 0) || (pass == 80 && layer == 1);
}

static void long_call(pack *p, const es_source *source, int pass, int layer, int k)
{
    static const int number[LONG_LAYERS] = { 2, 3, 7 };
    int ids[16];
    for (int i = 0; i < k; i++)
        ids[i] = long_id(pass, layer, i);
    if (source == &es_source_moet)
        PACK(p, 4, number[layer], 1);
    if (source == &es_source_rtrc) {
        PACK(p, 1, 1);
        PACK(p, 4, pass);
        PACK(p, 1, number[layer]);
    }
    if (source == &es_source_ggml_fnv)
        ggml_call(p, number[layer], three, 3, (size_t)k, ids);
    for (int i = 0; i < k && source != &es_source_ggml_fnv; i++) {
        if (source == &es_source_k3_pairs)
            PACK(p, 4, number[layer]);
        PACK(p, source == &es_source_rtrc ? 1 : 4, ids[i]);
    }
}

static void passes_that_are_looked_at_as_a_whole_are_the_same(void **state)
{
    (void)state;
    const es_source *const source[] = { &es_source_moet, &es_source_k3_pairs, &es_source_rtrc, &es_source_ggml_fnv };
    static const int width[] = { 3, 8, 11 };
    for (int n = 0; n < 12; n++) {
        const es_source *one = source[n % 4];
        const int k = one == &es_source_ggml_fnv ? 3 : width[n / 4];
        pack *p = calloc(1, sizeof *p);
        es_text want = { 0 };
        size_t at90 = 0, twice = 0;
        if (one == &es_source_moet) {
            pack_bytes(p, "MOET", 4);
            PACK(p, 4, 97, k);
        }
        if (one == &es_source_rtrc) {
            pack_bytes(p, "RTRC", 4);
            PACK(p, 1, 1, 8, k, 97, 0);
        }
        for (int pass = 0; pass < LONG_PASSES; pass++) {
            es_text_add(&want, "D 0.%d(", pass);
            for (int layer = 0; layer < LONG_LAYERS; layer++) {
                es_text_add(&want, "%s%s", layer ? ";" : "", long_lacks(pass, layer) ? "-" : "");
                if (long_lacks(pass, layer))
                    continue;
                at90 = pass == 90 && layer == 1 ? p->length : at90;
                long_call(p, one, pass, layer, k);
                twice = pass == 90 && layer == 1 ? p->length : twice;
                for (int i = 0; i < k; i++)
                    es_text_add(&want, "%s%d", i ? " " : "", long_id(pass, layer, i));
            }
            es_text_add(&want, ")\n");
        }
        const es_source_ask ask = { .top_k = (uint32_t)k };
        opened o = open_pack(one, "x.bin", p, &ask);
        expect_steps(&o, want.at);
        assert_int_equal(one->info(o.self)->missing_cells, 2);
        close_source(&o);
        if (one != &es_source_ggml_fnv) {       /* the last id of layer 3 in pass 90 is that before it */
            const size_t size = one == &es_source_rtrc ? 1 : 4, step = one == &es_source_k3_pairs ? 8 : size;
            char says[96];
            memcpy(p->at + twice - size, p->at + twice - step - size, size);
            snprintf(says, sizeof says, "(byte %zu): layer 3, token 0 from here, place %d: expert %d is listed twice", at90, k - 1, long_id(90, 1, k - 2));
            expect_bad(one, p, &ask, says);
            p->at[twice - 1] = 0xff;
            snprintf(says, sizeof says, "(byte %zu): layer 3, place %d: expert ", at90, k - 1);
            expect_bad(one, p, &ask, says);
        }
        es_text_free(&want);
        free(p);
    }
}

/* --- all of them ----------------------------------------------------------------------------------------------------------------- */

static void formats_know_their_own_and_no_others(void **state)
{
    (void)state;
    const es_source *const source[] = { &es_source_moet, &es_source_rtrc, &es_source_q4rt, &es_source_k3_pairs, &es_source_fuctrace, &es_source_ggml_fnv };
    pack file[6] = { { 0 } };
    moet_talk(&file[0]);
    rtrc_talk(&file[1]);
    q4rt_two(&file[2], 2);
    pairs_talk(&file[3]);
    pack_bytes(&file[4], "FUCTRCE1", 8);
    pack_number(&file[4], 5, 4);
    pack_number(&file[4], 28, 8);
    pairs_talk(&file[4]);
    GGML(&file[5], 1, 1, 2);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++)
            assert_int_equal(source[i]->sniff(file[j].at, file[j].length) > 0, i == j);
}

static void compressed_files_read_as_plain_ones(void **state)
{
    (void)state;
    pack p = { 0 };
    moet_talk(&p);
    gzFile file = gzopen(at("x.gz"), "wb");
    assert_int_equal(gzwrite(file, p.at, (unsigned)p.length), p.length);
    gzclose(file);
    opened o = open_good(&es_source_moet, "x.gz", &ask_ids);
    expect_steps(&o, talk);
    close_source(&o);
    pack z = { 0 };
    z.length = ZSTD_compress(z.at, sizeof z.at, p.at, p.length, 3);
    expect_trace(&es_source_moet, &z, &ask_ids, talk);
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
        cmocka_unit_test(pairs_become_passes_by_their_layers),
        cmocka_unit_test(the_width_of_a_row_does_not_follow_from_a_cut_call),
        cmocka_unit_test(pairs_that_end_short_are_doubted),
        cmocka_unit_test(faults_of_pairs_are_named),
        cmocka_unit_test(q4rt_keeps_the_best_candidates),
        cmocka_unit_test(q4rt_tokens_in_order_are_read_as_others_are),
        cmocka_unit_test(faults_of_q4rt_are_named),
        cmocka_unit_test(keys_become_layers_and_prompts_their_distinct_experts),
        cmocka_unit_test(faults_of_keys_are_named),
        cmocka_unit_test(passes_that_are_looked_at_as_a_whole_are_the_same),
        cmocka_unit_test(formats_know_their_own_and_no_others),
        cmocka_unit_test(compressed_files_read_as_plain_ones),
    };
    return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
