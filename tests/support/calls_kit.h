/* Calls kit: what the tests of traces that list experts call by call share: small files of each format, put together byte by byte. */
#ifndef ES_TESTS_CALLS_KIT_H
#define ES_TESTS_CALLS_KIT_H

#include "tests/support/bytes_kit.h"

extern const es_source es_source_moet, es_source_rtrc, es_source_q4rt, es_source_k3_pairs, es_source_fuctrace, es_source_ggml_fnv;

/* A prompt of two tokens, two generated ones, a prompt of two and one; layers 1 and 4. */
static const char talk[] = "P 0.0(1 2;3 4) 0.1(5 6;7 0)\nD 0.2(2 1;4 3)\nD 0.3(0 1;2 3)\nP 1.0(4 5;6 7) 1.1(0 3;5 1)\nD 1.2(6 2;7 4)\n";

static inline void expect_trace(const es_source *source, const pack *p, const es_source_ask *ask, const char *want)
{
    opened o = open_pack(source, "x.bin", p, ask);
    expect_steps(&o, want);
    close_source(&o);
}

/* Cut anywhere it is an error, unless a pass ends there; leniently what is whole is left. */
static inline void expect_cut(const es_source *source, const pack *p, const es_source_ask *ask, size_t head, const size_t *ends, const uint64_t *tokens, size_t passes)
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

/* --- the talk above in each format ------------------------------------------------------------------------------------------------- */

static inline void moet_talk(pack *p)
{
    pack_bytes(p, "MOET", 4);
    PACK(p, 4, 8, 2);
    PACK(p, 4, 1, 2, 1, 2, 5, 6, 4, 2, 3, 4, 7, 0);
    PACK(p, 4, 1, 1, 2, 1, 4, 1, 4, 3);
    PACK(p, 4, 1, 1, 0, 1, 4, 1, 2, 3);
    PACK(p, 4, 1, 2, 4, 5, 0, 3, 4, 2, 6, 7, 5, 1);
    PACK(p, 4, 1, 1, 6, 2, 4, 1, 7, 4);
}

static inline void rtrc_row(pack *p, int phase, int position, int layer, int a, int b)
{
    pack_number(p, phase, 1);
    pack_number(p, position, 4);
    PACK(p, 1, layer, a, b);
}

static inline void rtrc_talk(pack *p)
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

static inline void pairs_talk(pack *p)
{
    PACK(p, 4, 1, 1, 1, 2, 1, 5, 1, 6, 4, 3, 4, 4, 4, 7, 4, 0);
    PACK(p, 4, 1, 2, 1, 1, 4, 4, 4, 3);
    PACK(p, 4, 1, 0, 1, 1, 4, 2, 4, 3);
    PACK(p, 4, 1, 4, 1, 5, 1, 0, 1, 3, 4, 6, 4, 7, 4, 5, 4, 1);
    PACK(p, 4, 1, 6, 1, 2, 4, 7, 4, 4);
}

enum { HALF_1 = 0x3c00, HALF_2 = 0x4000, HALF_MINUS_1 = 0xbc00, HALF_TINY = 0x0001, HALF_INFINITE = 0x7c00 };

static inline void q4rt_head(pack *p, int tokens)
{
    pack_bytes(p, "Q4RT", 4);
    PACK(p, 2, 1, 2, 8, 3);
    pack_number(p, tokens, 4);
}

static inline void q4rt_two(pack *p, int tokens)
{
    q4rt_head(p, tokens);
    PACK(p, 2, 1, 2, 3, HALF_2, HALF_1, HALF_MINUS_1, 4, 5, 6, HALF_1, HALF_2, HALF_1);
    PACK(p, 2, 7, 0, 1, HALF_TINY, 0, HALF_MINUS_1, 2, 3, 4, HALF_2, HALF_2, HALF_2);
}

static inline void ggml_call(pack *p, int layer, const char *const *matrix, size_t matrices, size_t count, const int *ids)
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

#endif
