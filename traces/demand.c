/* demand: three numbers of 32 bits, tokens, layers and top-k, then the expert ids of 16 bits, [tokens][layers][top_k]. Small programs
 * that measure reading experts from disk take it. */
#include "traces/assume.h"
#include "traces/dense.h"

enum { DEMAND_HEAD = 12, DEMAND_ROWS = 4 };     /* rows that must be seen where the length is wrong */

static void demand_form(es_dense_form *form, const unsigned char *head, bool layer_first)
{
    const es_dense_axis first = layer_first ? ES_DENSE_LAYER : ES_DENSE_TOKEN, second = layer_first ? ES_DENSE_TOKEN : ES_DENSE_LAYER;
    *form = (es_dense_form){ .format = "demand", .type = ES_IDS_U16, .header = DEMAND_HEAD, .axis = { first, second, ES_DENSE_PLACE } };
    form->tokens = es_bytes_u32(head);
    form->layers = es_bytes_u32(head + 4);
    form->top_k = es_bytes_u32(head + 8);
}

static es_code demand_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    es_bytes bytes;
    es_dense_form form;
    const unsigned char *at;
    size_t got;
    es_code code = es_bytes_open(&bytes, ask->path, err);
    if (code)
        return code;
    es_bytes_lenient(&bytes, ask->lenient);
    code = es_bytes_peek(&bytes, DEMAND_HEAD, &at, &got, err);
    if (!code && got < DEMAND_HEAD)
        code = es_bytes_fault(&bytes, 0, 0, err, "%zu bytes are no head of %d: tokens, layers, top-k", got, DEMAND_HEAD);
    if (!code)
        demand_form(&form, at, ask->layer_first);
    es_bytes_close(&bytes);
    if (!code && ask->layer_first)
        es_assume(&((es_dense *)self)->notes, "axes are taken as [layers][tokens][top_k], as asked for");
    return code ? code : es_dense_open(self, &form, ask, arena, err);
}

/* There is no magic number: the shape must be possible and no row, as far as one can see, list an id twice. A file that ends early or late is
 * known by as many rows as are seen by chance hardly ever: opening it says what is wrong. */
static int demand_sniff(const unsigned char *head, size_t length)
{
    es_dense_form form;
    if (length < DEMAND_HEAD)
        return 0;
    demand_form(&form, head, false);
    if (form.tokens == 0 || form.layers == 0 || form.layers > ES_TRACE_LAYERS_MAX || form.top_k == 0 || form.top_k > 64)
        return 0;
    const size_t row = 2 * (size_t)form.top_k, behind = length - DEMAND_HEAD;
    const uint64_t all = form.tokens * row * form.layers;
    const bool torn = length < 4096 && behind < all, more = all < behind;
    const size_t end = DEMAND_HEAD + (more ? (size_t)all : behind);
    if (end < DEMAND_HEAD + row || ((torn || more) && (form.top_k == 1 || end < DEMAND_HEAD + DEMAND_ROWS * row)))
        return 0;
    for (size_t at = DEMAND_HEAD; at + row <= end; at += row)
        for (size_t i = 0; i < row; i += 2)
            for (size_t j = 0; j < i; j += 2)
                if (es_bytes_u16(head + at + i) == es_bytes_u16(head + at + j))
                    return 0;
    return torn || more ? 45 : form.top_k > 1 ? 60 : 30;
}

const es_source es_source_demand = {
    .part = { .abi = ES_ABI, .name = "demand", .brief = "Tokens, layers, top-k as 32-bit numbers, then expert ids of 16 bits.", .size = sizeof(es_dense), .fini = es_dense_fini },
    .lacks = "requests, phases, how many experts there are",
    .sniff = demand_sniff,
    .open = demand_open,
    .info = es_dense_info,
    .next = es_dense_next,
    .rewind = es_dense_rewind,
};
