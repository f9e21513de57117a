/* fuctrace: FUCTRCE1, the number of layers (32 bits) and of pairs (64 bits), then the pairs of 32 bits, layer and expert (see pairs.h).
 * The file FUCEXPT1 that stands beside one holds counts of uses, which pin experts; it is no trace and says so. */
#include "traces/pairs.h"

#include <string.h>

enum { FUCTRACE_HEAD = 20 };

typedef struct fuctrace {
    es_pairs pairs;                     /* first: it is the reading half of the source */
    uint64_t count;                     /* of pairs, as the head says */
} fuctrace;

static es_code fuctrace_head(fuctrace *state, es_calls_form *form, es_err *err)
{
    es_bytes *bytes = &state->pairs.calls.bytes;
    const unsigned char *at;
    size_t got;
    es_code code = es_bytes_peek(bytes, FUCTRACE_HEAD, &at, &got, err);
    if (code)
        return code;
    if (got >= 8 && memcmp(at, "FUCEXPT1", 8) == 0)
        return es_bytes_fault(bytes, 0, 0, err, "FUCEXPT1 holds how often experts were used, not when: give the trace FUCTRCE1 that it was made with");
    if (got < 8 || memcmp(at, "FUCTRCE1", 8) != 0)
        return es_bytes_fault(bytes, 0, 0, err, "does not begin with FUCTRCE1");
    if (got < FUCTRACE_HEAD)
        return es_bytes_fault(bytes, 0, 8, err, "the file ends in its head, which has %d bytes", FUCTRACE_HEAD);
    form->layers = es_bytes_u32(at + 8);
    state->count = es_bytes_u64(at + 12);
    return ES_OK;
}

/* Does the file have as many pairs as its head promises? Known when it was read to its end. */
static es_code fuctrace_count(fuctrace *state, es_err *err)
{
    es_calls *calls = &state->pairs.calls;
    const uint64_t pairs = calls->record;
    if (pairs == state->count)
        return ES_OK;
    if (pairs > state->count)
        return es_bytes_fault(&calls->bytes, state->count, FUCTRACE_HEAD + state->count * ES_PAIR, err, "there are %llu pairs, but the head promises %llu", (unsigned long long)pairs,
            (unsigned long long)state->count);
    if (!calls->lenient)
        return es_bytes_fault(&calls->bytes, pairs, FUCTRACE_HEAD + pairs * ES_PAIR, err, "the file ends behind %llu pairs, but the head promises %llu; --lenient takes those that are there", (unsigned long long)pairs,
            (unsigned long long)state->count);
    es_assume(&calls->notes, "the file is cut: %llu of the %llu pairs that its head promises are missing", (unsigned long long)(state->count - pairs),
        (unsigned long long)state->count);
    return ES_OK;
}

static es_code fuctrace_read(es_calls *calls, bool *more, es_err *err)
{
    es_code code = es_pairs_read(calls, more, err);
    return code || *more || calls->mode == ES_CALLS_READ ? code : fuctrace_count((fuctrace *)calls, err);
}

static es_code fuctrace_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    fuctrace *state = self;
    es_calls *calls = &state->pairs.calls;
    es_calls_form form = { .format = "fuctrace", .header = FUCTRACE_HEAD, .read = fuctrace_read, .block = es_pairs_block, .id_bytes = ES_PAIR, .record_bytes = ES_PAIR, .ahead = ES_PAIR };
    es_code code = es_calls_open(calls, ask, err);
    if (!code)
        code = fuctrace_head(state, &form, err);
    return code ? code : es_calls_scan(calls, &form, ask, arena, err);
}

static int fuctrace_sniff(const unsigned char *head, size_t length)
{
    return length >= 8 && (memcmp(head, "FUCTRCE1", 8) == 0 || memcmp(head, "FUCEXPT1", 8) == 0) ? 100 : 0;
}

const es_source es_source_fuctrace = {
    .part = { .abi = ES_ABI, .name = "fuctrace", .brief = "FUCTRCE1: a head, then pairs of layer and expert in the order of use.", .size = sizeof(fuctrace), .fini = es_pairs_fini },
    .lacks = "requests, phases, positions, tokens, top-k, how many experts there are",
    .sniff = fuctrace_sniff,
    .open = fuctrace_open,
    .info = es_calls_info,
    .next = es_calls_next,
    .rewind = es_calls_rewind,
};
