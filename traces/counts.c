/* counts: how often each expert was used, as NumPy saves it: [layers][experts], the weights that EPLB takes, or [sets][layers][experts],
 * the expert activation matrices of MoE-Infinity (a set is a sequence) and the logical_count of SGLang (a set is a forward pass). It is no
 * trace, so tokens are drawn that meet the counts (see drawn.h). */
#include "traces/asked.h"
#include "traces/bytes.h"
#include "traces/drawn.h"
#include "traces/npy_head.h"
#include "traces/placed.h"

#include <math.h>
#include <string.h>

typedef struct counts {
    es_drawn drawn;                     /* first: it is the reading half of the source */
    es_bytes bytes;
    es_npy_head head;
    es_ids_type type;                   /* of whole numbers */
    uint32_t columns;                   /* of a layer: experts, or places */
    const es_places *places;            /* NULL: columns are experts */
    uint64_t record;                    /* the set that comes next */
    char sha256[65];
} counts;

static double counts_number(const counts *state, const unsigned char *at, size_t i)
{
    const uint32_t size = state->head.size;
    if (state->head.kind != 'f')
        return (double)es_ids_number(at, state->type, i);
    if (size == 2)
        return (double)es_bytes_half(es_bytes_u16(at + 2 * i));
    float narrow;
    double wide;
    memcpy(&narrow, at + i * size, size == 4 ? 4 : 0);
    memcpy(&wide, at + i * size, size == 8 ? 8 : 0);
    return size == 4 ? (double)narrow : wide;
}

/* Which expert a column is; ES_NO_EXPERT: of none. */
static uint32_t counts_expert(const counts *state, size_t layer, size_t column)
{
    return state->places ? state->places->expert[layer * state->columns + column] : (uint32_t)column;
}

/* Adds one number to its expert's. Two axes in Fortran order have the layers fastest. */
static es_code counts_add(counts *state, size_t i, double number, double *to, es_err *err)
{
    const size_t layers = state->drawn.form.layers, columns = state->columns, layer = state->head.fortran ? i % layers : i / columns,
        column = state->head.fortran ? i / layers : i % columns;
    const uint32_t expert = counts_expert(state, layer, column), experts = state->drawn.form.experts;
    const uint64_t offset = state->bytes.offset + i * state->head.size;
    if (!(number >= 0.0) || number > 1e18)
        return es_bytes_fault(&state->bytes, state->record, offset, err, "layer %zu, expert %zu: %g is no number of uses", layer, column, number);
    if (expert < experts)
        to[layer * experts + expert] += number;
    else if (number > 0.0 && state->places)
        return es_bytes_fault(&state->bytes, state->record, offset, err, "layer %zu, place %zu: has %.17g uses, but no expert in %s", layer, column, number, state->places->path);
    else if (number > 0.0)
        return es_bytes_fault(&state->bytes, state->record, offset, err, "layer %zu, place %zu: has %.17g uses, but there are %u experts: these are loads of places of a load balancer; "
            "trace import --map makes experts of them", layer, column, number, experts);
    return ES_OK;
}

static es_code counts_load(void *self, double *to, es_err *err)
{
    counts *state = self;
    const uint32_t layers = state->drawn.form.layers, size = state->head.size;
    const size_t cells = (size_t)layers * state->columns;
    const unsigned char *at;
    size_t got;
    es_code code = es_bytes_peek(&state->bytes, cells * size, &at, &got, err);
    if (!code && got < cells * size)
        code = es_bytes_fault(&state->bytes, state->record, state->bytes.offset, err, "the file ends with %zu of the %zu bytes of a set of counts", got, cells * size);
    if (code)
        return code;
    if (state->head.big_endian)
        es_ids_swap(state->bytes.buffer + state->bytes.at, size, cells);
    memset(to, 0, (size_t)layers * state->drawn.form.experts * sizeof *to);
    for (size_t i = 0; i < cells && !code; i++)
        code = counts_add(state, i, counts_number(state, at, i), to, err);
    if (code)
        return code;
    es_bytes_take(&state->bytes, cells * size);
    state->record++;
    return ES_OK;
}

static es_code counts_again(void *self, es_err *err)
{
    counts *state = self;
    state->record = 0;
    es_code code = es_bytes_rewind(&state->bytes, err);
    return code ? code : es_bytes_skip(&state->bytes, state->head.bytes, err);
}

static es_code counts_head(counts *state, es_err *err)
{
    const unsigned char *at;
    size_t got;
    es_npy_head *head = &state->head;
    es_code code = es_bytes_peek(&state->bytes, 12, &at, &got, err);
    uint64_t length = code ? 0 : es_npy_length(at, got);
    if (!code && length <= ES_NPY_HEAD)
        code = es_bytes_peek(&state->bytes, length ? length : got, &at, &got, err);
    if (!code)
        code = es_npy_parse(head, at, got, err);
    if (code)
        return code;
    if (head->kind == 'f' ? head->size != 2 && head->size != 4 && head->size != 8 : !es_npy_ids_type(head, &state->type))
        return es_err_set(err, ES_EINPUT, "counts are whole or real numbers of 1, 2, 4 or 8 bytes, which these are not");
    if (head->rank != 2 && head->rank != 3)
        return es_err_set(err, ES_EINPUT, "the array has %u axes, where layers and experts are expected, or sets, layers and experts", head->rank);
    if (head->rank == 3 && head->fortran)
        return es_err_set(err, ES_EINPUT, "three axes of counts are read in C order only; numpy.ascontiguousarray makes it");
    const uint64_t *shape = head->shape + head->rank - 2;
    if (shape[0] == 0 || shape[0] > ES_TRACE_LAYERS_MAX || shape[1] == 0 || shape[1] > ES_TRACE_EXPERTS_MAX)
        return es_err_set(err, ES_EINPUT, "counts of %llu layers and %llu experts are not of 1 to %d and 1 to %d", (unsigned long long)shape[0], (unsigned long long)shape[1],
            ES_TRACE_LAYERS_MAX, ES_TRACE_EXPERTS_MAX);
    return ES_OK;
}

/* To the end of the file, which must be where the head says, for its hash and so that nothing is allocated for what is not there. */
static es_code counts_whole(counts *state, const es_drawn_form *form, es_err *err)
{
    const uint64_t set = (uint64_t)form->layers * state->columns * state->head.size;
    const unsigned char *at;
    size_t got;
    if (form->sets > UINT64_MAX / 2 / (set ? set : 1))
        return es_err_set(err, ES_EINPUT, "%s: %llu sets of counts are more than any file holds", form->path, (unsigned long long)form->sets);
    es_code code = es_bytes_skip(&state->bytes, state->head.bytes + form->sets * set, err);
    if (!code)
        code = es_bytes_peek(&state->bytes, 1, &at, &got, err);
    if (!code && got > 0)
        code = es_bytes_fault(&state->bytes, form->sets, state->bytes.offset, err, "bytes follow the counts, which end here");
    es_bytes_sha256(&state->bytes, state->sha256);
    return code ? code : counts_again(state, err);
}

/* How many experts the columns of a layer are of: their number, or as the map or who asks says. */
static es_code counts_experts(counts *state, const es_source_ask *ask, uint32_t layers, uint32_t columns, uint32_t *experts, es_err *err)
{
    es_places *map = ask->places;
    state->columns = columns;
    state->places = map;
    *experts = map ? map->experts : ask->experts ? ask->experts : columns;
    if (!map)
        return ES_OK;
    map->applied = true;
    if (map->layers != layers || map->places != columns)
        return es_err_set(err, ES_EINPUT, "%s: has %u layers of %u places, the counts are of %u layers and %u places", map->path, map->layers, map->places, layers, columns);
    es_assume(&state->drawn.notes, "counts were of places of a load balancer and were added up to those of experts by %s: %u places, %u experts", map->path, map->places, map->experts);
    return ES_OK;
}

static es_code counts_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    counts *state = self;
    es_code code = es_bytes_open(&state->bytes, ask->path, err);
    if (!code && (code = counts_head(state, err)) != ES_OK)
        es_err_at(err, "%s", ask->path);
    if (code)
        return code;
    const uint64_t *shape = state->head.shape + state->head.rank - 2;
    uint32_t experts;
    code = es_asked(ask, &(es_said){ .layers = (uint32_t)shape[0] }, err);
    if (code)
        return es_err_at(err, "%s: the array", ask->path), code;
    code = counts_experts(state, ask, (uint32_t)shape[0], (uint32_t)shape[1], &experts, err);
    if (code)
        return code;
    const es_drawn_form form = { .format = "counts", .sha256 = state->sha256, .path = ask->path, .sets = state->head.rank == 3 ? state->head.shape[0] : 1, .layers = (uint32_t)shape[0],
        .experts = experts, .top_k = ask->top_k, .load = counts_load, .again = counts_again };
    code = counts_whole(state, &form, err);
    return code ? code : es_drawn_open(&state->drawn, &form, arena, err);
}

static void counts_fini(void *self)
{
    counts *state = self;
    es_bytes_close(&state->bytes);
    es_drawn_fini(self);
}

/* Real numbers, two axes, or three whose rows hold the same number more than once, as ids do not. */
static int counts_sniff(const unsigned char *head, size_t length)
{
    es_npy_head npy;
    es_ids_type type;
    if (es_npy_length(head, length) == 0 || es_npy_parse(&npy, head, length, NULL) != ES_OK || (npy.rank != 2 && npy.rank != 3))
        return 0;
    if (npy.kind == 'f')
        return 80;
    if (!es_npy_ids_type(&npy, &type))
        return 0;
    return npy.rank == 2 ? 60 : es_npy_counts(&npy, head, length) ? 70 : 0;
}

const es_source es_source_counts = {
    .part = { .abi = ES_ABI, .name = "counts", .brief = "NumPy array of uses by layer and expert (EPLB, MoE-Infinity, SGLang); tokens are drawn to meet them.", .options = es_drawn_table,
              .size = sizeof(counts), .fini = counts_fini },
    .lacks = "when an expert was used, tokens, phases, top-k",
    .sniff = counts_sniff,
    .open = counts_open,
    .info = es_drawn_info,
    .next = es_drawn_next,
    .rewind = es_drawn_rewind,
};
