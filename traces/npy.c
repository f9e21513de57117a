/* npy: an array of expert ids as NumPy saves it, [tokens][layers][top_k] (or [layers][tokens][top_k], asked for), of any integer type and
 * byte order, in C or Fortran order. The routed_experts of vLLM and SGLang are such arrays. */
#include "traces/dense.h"
#include "traces/npy_head.h"

#include "traces/assume.h"

typedef struct npy {
    es_dense dense;                     /* first: it is the reading half of the source */
} npy;

static es_code npy_types(const es_npy_head *head, es_ids_type *type, es_err *err)
{
    if (head->kind == 'O')
        return es_err_set(err, ES_EINPUT, "the array holds Python objects (pickle), which can run any code when they are read and are not read here; save the arrays of the "
            "requests one by one, or joined as integers with their lengths beside them: numpy.save(\"x.npy\", numpy.concatenate(list(a)).astype(\"int16\")) "
            "and json.dump([len(r) for r in a], open(\"x.lens.json\", \"w\")); "
            "traces/capture/convert.py does so with .pt and pickle files");
    if (head->kind == 'f')
        return es_err_set(err, ES_EINPUT, "the array holds real numbers, not expert ids; if they count the uses of experts, its format is counts");
    if (!es_npy_ids_type(head, type))
        return es_err_set(err, ES_EINPUT, "the array is not of integers of 1, 2, 4 or 8 bytes");
    return ES_OK;
}

static es_code npy_form(es_dense_form *form, const es_npy_head *head, const es_source_ask *ask, es_err *err)
{
    const bool flat = head->rank == 2;  /* one layer */
    const uint64_t layers = flat ? 1 : head->shape[ask->layer_first ? 0 : 1], tokens = head->shape[ask->layer_first && !flat ? 1 : 0];
    es_code code = npy_types(head, &form->type, err);
    if (code)
        return code;
    if (head->rank != 3 && !flat)
        return es_err_set(err, ES_EINPUT, "the array has %u axes, where tokens, layers and top-k are expected", head->rank);
    const uint64_t top_k = head->shape[head->rank - 1];
    if (layers > ES_TRACE_LAYERS_MAX || top_k > ES_TRACE_TOP_K_MAX || tokens >= UINT32_MAX)
        return es_err_set(err, ES_EINPUT, "an array of %llu tokens, %llu layers and %llu experts in a row is too large; --axes says how its axes stand", (unsigned long long)tokens,
            (unsigned long long)layers, (unsigned long long)top_k);
    if ((ask->layers && ask->layers != layers) || (ask->top_k && ask->top_k != top_k))
        return es_err_set(err, ES_EINPUT, "the array has %llu layers and rows of %llu experts, not %u and %u as asked for; --axes says how its axes stand", (unsigned long long)layers,
            (unsigned long long)top_k, ask->layers ? ask->layers : (uint32_t)layers, ask->top_k ? ask->top_k : (uint32_t)top_k);
    form->layers = (uint32_t)layers;
    form->top_k = (uint32_t)top_k;
    form->tokens = tokens;
    form->header = head->bytes;
    form->big_endian = head->big_endian;
    const es_dense_axis first = ask->layer_first && !flat ? ES_DENSE_LAYER : ES_DENSE_TOKEN, second = first == ES_DENSE_TOKEN ? ES_DENSE_LAYER : ES_DENSE_TOKEN;
    const es_dense_axis order[ES_DENSE_AXES] = { first, second, ES_DENSE_PLACE };
    for (int a = 0; a < ES_DENSE_AXES; a++)
        form->axis[a] = order[head->fortran ? 2 - a : a];
    return ES_OK;
}

static es_code npy_head(const char *path, bool lenient, es_npy_head *head, es_err *err)
{
    es_bytes bytes;
    const unsigned char *at;
    size_t got;
    es_code code = es_bytes_open(&bytes, path, err);
    if (code)
        return code;
    es_bytes_lenient(&bytes, lenient);
    code = es_bytes_peek(&bytes, 12, &at, &got, err);
    uint64_t length = code ? 0 : es_npy_length(at, got);
    if (!code && length <= ES_NPY_HEAD)
        code = es_bytes_peek(&bytes, length ? length : got, &at, &got, err);
    if (!code && (code = es_npy_parse(head, at, got, err)) != ES_OK)
        es_err_at(err, "%s", path);
    es_bytes_close(&bytes);
    return code;
}

static es_code npy_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    es_dense *dense = self;
    es_npy_head head;
    es_dense_form form = { .format = "npy" };
    es_code code = npy_head(ask->path, ask->lenient, &head, err);
    if (!code && (code = npy_form(&form, &head, ask, err)) != ES_OK)
        es_err_at(err, "%s", ask->path);
    if (!code && head.rank == 3)
        es_assume(&dense->notes, "axes are taken as [%s][top_k]; --axes says otherwise", ask->layer_first ? "layers][tokens" : "tokens][layers");
    return code ? code : es_dense_open(dense, &form, ask, arena, err);
}

/* Three axes of integers, unless the rows at the beginning list ids twice, as only counts do. */
static int npy_sniff(const unsigned char *head, size_t length)
{
    es_npy_head what;
    es_ids_type type;
    if (es_npy_length(head, length) == 0)
        return 0;
    if (es_npy_parse(&what, head, length, NULL) != ES_OK || what.kind == 'O')
        return 40;                      /* so that opening it says what is wrong */
    if (!es_npy_ids_type(&what, &type) || what.rank != 3 || what.shape[2] == 0)
        return 0;
    return es_npy_counts(&what, head, length) ? 0 : 90;
}

const es_source es_source_npy = {
    .part = { .abi = ES_ABI, .name = "npy", .brief = "NumPy array of expert ids: tokens, layers, top-k; vLLM's and SGLang's routed experts.", .size = sizeof(npy), .fini = es_dense_fini },
    .lacks = "which axis is which, requests, phases, how many experts there are",
    .sniff = npy_sniff,
    .open = npy_open,
    .info = es_dense_info,
    .next = es_dense_next,
    .rewind = es_dense_rewind,
};
