/* raw_int16: headerless expert ids of 16 bits (see raw.h): what vLLM gives. Any bytes could be such an array, so it is read only when it is named. */
#include "traces/raw.h"

static es_code raw_int16_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    return es_raw_open(self, "raw_int16", ES_IDS_I16, 0, ask, arena, err);
}

static int raw_int16_sniff(const unsigned char *head, size_t length)
{
    (void)head;
    (void)length;
    return 0;
}

const es_source es_source_raw_int16 = {
    .part = { .abi = ES_ABI, .name = "raw_int16", .brief = "Headerless expert ids of 16 bits (vLLM), [tokens][layers][top_k]; layers and top-k are asked for.", .size = sizeof(es_dense), .fini = es_dense_fini },
    .lacks = "everything but ids: layers and top-k must be given",
    .sniff = raw_int16_sniff,
    .open = raw_int16_open,
    .info = es_dense_info,
    .next = es_dense_next,
    .rewind = es_dense_rewind,
};
