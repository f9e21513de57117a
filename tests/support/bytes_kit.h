/* Bytes kit: what the tests of binary traces share: files put together byte by byte, and cut at every byte. */
#ifndef ES_TESTS_BYTES_KIT_H
#define ES_TESTS_BYTES_KIT_H

#include "tests/support/trace_kit.h"

typedef struct pack { size_t length; unsigned char at[1 << 16]; } pack;

static inline void pack_bytes(pack *p, const void *bytes, size_t count)
{
    assert_true(p->length + count <= sizeof p->at);
    memcpy(p->at + p->length, bytes, count);
    p->length += count;
}

/* A number of `size` bytes, little endian. */
static inline void pack_number(pack *p, int64_t value, size_t size)
{
    for (size_t b = 0; b < size; b++) {
        unsigned char byte = (unsigned char)((uint64_t)value >> (8 * b));
        pack_bytes(p, &byte, 1);
    }
}

static inline void pack_numbers(pack *p, size_t size, size_t count, const int *values)
{
    for (size_t i = 0; i < count; i++)
        pack_number(p, values[i], size);
}
#define PACK(p, size, ...) pack_numbers((p), (size), sizeof((int[]){ __VA_ARGS__ }) / sizeof(int), (int[]){ __VA_ARGS__ })

/* The head of a .npy file, as NumPy pads it. */
static inline void pack_npy(pack *p, int version, const char *descr, bool fortran, const char *shape)
{
    char text[256];
    size_t from = version == 1 ? 10 : 12;
    int used = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': %s, 'shape': %s, }", descr, fortran ? "True" : "False", shape);
    size_t length = (size_t)used + 1;
    while ((from + length) % 64 != 0)
        length++;
    pack_bytes(p, "\x93NUMPY", 6);
    pack_number(p, version, 1);
    pack_number(p, 0, 1);
    pack_number(p, (int64_t)length, version == 1 ? 2 : 4);
    for (size_t i = 0; i < length; i++)
        pack_bytes(p, i < (size_t)used ? &text[i] : i + 1 < length ? " " : "\n", 1);
}

static inline void put_pack(const char *name, const pack *p)
{
    put_bytes(name, p->at, p->length);
}

/* Opens and reads all; ES_OK when nothing was wrong, and then how many tokens there were. */
static inline es_code read_all(const es_source *source, const char *name, const es_source_ask *ask, uint64_t *tokens, es_err *err)
{
    opened o;
    es_code code = open_source(&o, source, at(name), ask, err);
    es_tally counts = { 0 };
    if (!code)
        code = es_trace_check(source, o.self, &counts, NULL, err);
    *tokens = counts.prompt_tokens + counts.decode_tokens;
    es_tally_free(&counts);
    close_source(&o);
    return code;
}

static inline void expect_bad(const es_source *source, const pack *p, const es_source_ask *ask, const char *part)
{
    es_err err = { 0 };
    uint64_t tokens;
    put_pack("bad", p);
    expect_fault(read_all(source, "bad", ask, &tokens, &err), &err, part);
}

static inline opened open_pack(const es_source *source, const char *name, const pack *p, const es_source_ask *ask)
{
    put_pack(name, p);
    return open_good(source, name, ask);
}

/* Cut after every byte: only where `whole(length)` says that nothing is torn it is read, and then with `tokens(length)` tokens; everywhere
 * else it is an error, or with `lenient` the whole tokens before. */
static inline void expect_torn(const es_source *source, const pack *p, const es_source_ask *ask, size_t head, size_t record, bool open_end)
{
    for (size_t length = 0; length < p->length; length++) {
        pack cut = { .length = length };
        es_err err = { 0 };
        uint64_t tokens = 0;
        es_source_ask lenient = *ask;
        lenient.lenient = true;
        memcpy(cut.at, p->at, length);
        put_pack("cut", &cut);
        uint64_t whole = length > head ? (length - head) / record : 0;
        es_code code = read_all(source, "cut", ask, &tokens, &err);
        if (code == ES_OK && !(open_end && whole > 0 && (length - head) % record == 0 && tokens == whole))
            fail_msg("cut after %zu bytes it reads as %llu tokens", length, (unsigned long long)tokens);
        assert_true(code == ES_OK || (code == ES_EINPUT && err.text[0] != '\0'));
        code = read_all(source, "cut", &lenient, &tokens, &err);
        if (whole > 0 ? code != ES_OK || tokens != whole : code != ES_EINPUT)
            fail_msg("cut after %zu bytes, leniently: code %d, %llu tokens, not %llu: %s", length, (int)code, (unsigned long long)tokens, (unsigned long long)whole, err.text);
    }
}

#endif
