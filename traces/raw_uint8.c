/* raw_uint8: headerless expert ids of 8 bits (see raw.h), as moe-qlora keeps them. Any bytes could be such an array, so it is read only when it is named. */
#include "traces/raw.h"

static es_code raw_uint8_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    return es_raw_open(self, "raw_uint8", ES_IDS_U8, 0, ask, arena, err);
}

static int raw_uint8_sniff(const unsigned char *head, size_t length)
{
    (void)head;
    (void)length;
    return 0;
}

const es_source es_source_raw_uint8 = {
    .part = { .abi = ES_ABI, .name = "raw_uint8", .brief = "Headerless expert ids of 8 bits (moe-qlora), [tokens][layers][top_k]; layers and top-k are asked for.", .size = sizeof(es_dense), .fini = es_dense_fini },
    .lacks = "everything but ids: layers and top-k must be given",
    .sniff = raw_uint8_sniff,
    .open = raw_uint8_open,
    .info = es_dense_info,
    .next = es_dense_next,
    .rewind = es_dense_rewind,
};
