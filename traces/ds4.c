/* ds4: headerless expert ids of 32 bits, six of a layer, the layers of a token after each other. How many layers there are must be
 * asked for. */
#include "traces/raw.h"

enum { DS4_TOP_K = 6, DS4_EXPERTS = 4096 };

static es_code ds4_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    return es_raw_open(self, "ds4", ES_IDS_I32, DS4_TOP_K, ask, arena, err);
}

/* Six small numbers that differ, and again, as far as one can see; other things look so too, hence it is not sure. */
static int ds4_sniff(const unsigned char *head, size_t length)
{
    const size_t row = DS4_TOP_K * sizeof(uint32_t);
    if (length < row || (length < 4096 && length % row != 0))
        return 0;
    for (size_t at = 0; at + row <= length; at += row)
        for (int i = 0; i < DS4_TOP_K; i++) {
            uint32_t id = es_bytes_u32(head + at + 4 * (size_t)i);
            if (id >= DS4_EXPERTS)
                return 0;
            for (int j = 0; j < i; j++)
                if (es_bytes_u32(head + at + 4 * (size_t)j) == id)
                    return 0;
        }
    return 20;
}

const es_source es_source_ds4 = {
    .part = { .abi = ES_ABI, .name = "ds4", .brief = "ds4: headerless expert ids of 32 bits, six of a layer; layers are asked for.", .size = sizeof(es_dense), .fini = es_dense_fini },
    .lacks = "everything but ids: layers must be given",
    .sniff = ds4_sniff,
    .open = ds4_open,
    .info = es_dense_info,
    .next = es_dense_next,
    .rewind = es_dense_rewind,
};
