/* k3_pairs: headerless pairs of 32 bits, layer and expert, one for each expert that is used (see pairs.h); kimi-k3-in-c writes them. */
#include "traces/pairs.h"

static es_code k3_pairs_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    es_pairs *pairs = self;
    const es_calls_form form = { .format = "k3_pairs", .read = es_pairs_read, .block = es_pairs_block, .id_bytes = ES_PAIR, .record_bytes = ES_PAIR, .ahead = ES_PAIR };
    es_code code = es_calls_open(&pairs->calls, ask, err);
    return code ? code : es_calls_scan(&pairs->calls, &form, ask, arena, err);
}

static int k3_pairs_sniff(const unsigned char *head, size_t length)
{
    return es_pairs_sniff(head, length);
}

const es_source es_source_k3_pairs = {
    .part = { .abi = ES_ABI, .name = "k3_pairs", .brief = "Headerless pairs of 32 bits, layer and expert, in the order of use.", .size = sizeof(es_pairs), .fini = es_pairs_fini },
    .lacks = "requests, phases, positions, tokens, top-k, how many experts there are",
    .sniff = k3_pairs_sniff,
    .open = k3_pairs_open,
    .info = es_calls_info,
    .next = es_calls_next,
    .rewind = es_calls_rewind,
};
