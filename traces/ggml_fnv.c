/* ggml_fnv: headerless records of 12 bytes, the key of a tensor (64 bits) and an expert (32 bits), one for each matrix of an expert that
 * is read. The key is FNV-1a of the tensor's name, blk.L.ffn_{up,gate,down}_exps.weight, with another basis than the usual one.
 *
 * A layer that does not rise begins the next pass. Of a prompt only the distinct experts of a layer are there, not which token used
 * which: they are laid over as few tokens as can hold them, so that a cache sees the same set. */
#include "traces/calls.h"

#include <stdlib.h>
#include <string.h>

enum { GGML_RECORD = 12, GGML_MATRICES = 4, GGML_LAYERS = 1024, GGML_SLOTS = 16384, GGML_BLOCK = 1024 };

typedef struct ggml_key { uint64_t hash; uint16_t layer; uint8_t matrix; } ggml_key;

typedef struct ggml_list { uint64_t count, room; bool left; uint32_t *ids; uint64_t seen[(ES_TRACE_EXPERTS_MAX + 1) / 64]; } ggml_list;

typedef struct ggml_fnv {
    es_calls calls;                     /* first: it is the reading half of the source */
    ggml_key *key;                      /* [GGML_SLOTS] by hash; 0: free */
    ggml_list *list;                    /* [GGML_MATRICES] experts of the layer at hand, by matrix; left: another matrix came since */
    unsigned matrices;                  /* those that layers have, a bit each; 0: none was met yet */
    uint8_t turn[GGML_MATRICES];        /* [turns] in the order in which they come */
    uint32_t turns;
    uint64_t (*hash)[GGML_MATRICES];    /* [GGML_LAYERS] their keys */
} ggml_fnv;

static const char *const ggml_matrix[GGML_MATRICES] = { "up", "gate", "down", "gate_up" };

static uint64_t ggml_add_text(uint64_t hash, const char *text)
{
    for (; *text; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3ull;
    return hash;
}

/* Of "blk.LAYER.ffn_MATRIX_exps.weight". */
static uint64_t ggml_hash(unsigned layer, int matrix)
{
    char number[8];
    char *p = number + sizeof number - 1;
    *p = '\0';
    do
        *--p = (char)('0' + layer % 10);
    while ((layer /= 10) > 0);
    uint64_t hash = ggml_add_text(1469598103934665603ull, "blk.");
    hash = ggml_add_text(ggml_add_text(hash, p), ".ffn_");
    return ggml_add_text(ggml_add_text(hash, ggml_matrix[matrix]), "_exps.weight");
}

static void ggml_keys(ggml_key *key, uint64_t (*hashes)[GGML_MATRICES])
{
    for (uint16_t layer = 0; layer < GGML_LAYERS; layer++)
        for (uint8_t m = 0; m < GGML_MATRICES; m++) {
            uint64_t hash = ggml_hash(layer, m), at = hash % GGML_SLOTS;
            while (key[at].hash != 0)
                at = (at + 1) % GGML_SLOTS;
            key[at] = (ggml_key){ hash, layer, m };
            hashes[layer][m] = hash;
        }
}

static const ggml_key *ggml_find(const ggml_key *key, uint64_t hash)
{
    uint64_t at = hash % GGML_SLOTS;
    while (key[at].hash != 0 && key[at].hash != hash)
        at = (at + 1) % GGML_SLOTS;
    return key[at].hash == hash ? &key[at] : NULL;
}

/* --- lists of a layer ------------------------------------------------------------------------------------------------------------ */

/* false in *added: the matrix had its turn or has the expert already, so this record is of the next pass. */
static es_code ggml_add(ggml_fnv *state, uint8_t matrix, uint32_t id, bool *added, es_err *err)
{
    es_calls *calls = &state->calls;
    ggml_list *list = &state->list[matrix];
    if (id >= ES_TRACE_EXPERTS_MAX)
        return es_bytes_fault(&calls->bytes, calls->record, calls->bytes.offset + 8, err, "expert %u is not 0 to %d", id, ES_TRACE_EXPERTS_MAX - 1);
    *added = !list->left && (list->seen[id >> 6] >> (id & 63) & 1) == 0;
    if (!*added)
        return ES_OK;
    for (int m = 0; m < GGML_MATRICES && list->count == 0; m++)
        state->list[m].left = state->list[m].count > 0;
    if (list->count == 0 && state->matrices == 0) {     /* of the first layer */
        state->turn[state->turns++] = matrix;
        calls->form.id_bytes = state->turns * GGML_RECORD;
    }
    if (list->count == list->room) {
        uint64_t room = list->room ? 2 * list->room : 64;
        if (!ES_TRACE_RESIZE(list->ids, room, 1))
            return es_err_nomem(err, "a pass");
        list->room = room;
    }
    list->seen[id >> 6] |= 1ull << (id & 63);
    list->ids[list->count++] = id;
    return ES_OK;
}

static void ggml_clear(ggml_fnv *state)
{
    for (int m = 0; m < GGML_MATRICES; m++) {
        ggml_list *list = &state->list[m];
        for (uint64_t i = 0; i < list->count; i++)
            list->seen[list->ids[i] >> 6] = 0;
        list->count = 0;
        list->left = false;
    }
}

/* A reading begins, wherever the one before ended. */
static void ggml_begin(ggml_fnv *state)
{
    ggml_clear(state);
    state->matrices = state->turns = 0;
    state->calls.form.id_bytes = 0;
}

/* Every matrix of a layer has the same experts, whatever their order, and every layer the same matrices; else the file was cut there,
 * or records are lost. NULL: all is well, else what is not. */
static const char *ggml_wrong(ggml_fnv *state, const ggml_list *first)
{
    unsigned matrices = 0;
    for (int m = 0; m < GGML_MATRICES; m++) {
        const ggml_list *list = &state->list[m];
        matrices |= (unsigned)(list->count > 0) << m;
        if (list->count > 0 && list->count != first->count)
            return "its matrices have different numbers of experts";
        for (uint64_t i = 0; i < list->count; i++)
            if ((first->seen[list->ids[i] >> 6] >> (list->ids[i] & 63) & 1) == 0)
                return "its matrices have different experts";
    }
    if (state->matrices == 0)
        state->matrices = matrices;
    if (state->matrices != matrices)
        return "it has other matrices than the layers before";
    return first->count < state->calls.form.top_k ? "it has fewer experts than a row" : NULL;
}

/* Hands over the layer at hand. `last`: nothing follows in the file, so what is wrong may come of a cut. */
static es_code ggml_flush(ggml_fnv *state, es_call *call, bool last, bool *prompt, es_err *err)
{
    es_calls *calls = &state->calls;
    const ggml_list *first = state->list;
    while (first->count == 0 && first < state->list + GGML_MATRICES - 1)
        first++;
    if (first->count == 0)
        return ES_OK;
    const char *wrong = ggml_wrong(state, first);
    es_code code = ES_OK;
    if (wrong && (!last || !calls->lenient)) {
        code = es_bytes_fault(&calls->bytes, call->record, call->offset, err, "layer %u (%llu experts of %s first): %s%s", call->layer, (unsigned long long)first->count,
            ggml_matrix[first - state->list], wrong, last ? ", and the file ends there; --lenient leaves it out" : "");
    } else if (wrong) {
        es_assume(&calls->notes, "the file is cut: layer %u at its end is left out, for %s", call->layer, wrong);
    } else {
        call->ids = (uint32_t)first->count;
        *prompt = *prompt || call->ids > calls->form.top_k;
        code = es_calls_add(calls, call, (const unsigned char *)first->ids, ES_IDS_U32, err);
    }
    ggml_clear(state);
    return code;
}

/* --- passes --------------------------------------------------------------------------------------------------------------------- */

typedef struct ggml_walk { es_call call; bool any, prompt, over, end; } ggml_walk;   /* over: the pass is; end: the file is */

static es_code ggml_record(ggml_fnv *state, const unsigned char *at, const ggml_key **key, ggml_walk *walk, es_err *err)
{
    es_calls *calls = &state->calls;
    const uint64_t hash = es_bytes_u64(at);
    bool added = false;
    if (!*key || (*key)->hash != hash)
        *key = ggml_find(state->key, hash);
    if (!*key)
        return es_bytes_fault(&calls->bytes, calls->record, calls->bytes.offset, err, "key %016llx is of no tensor blk.0 to blk.%d.ffn_{up,gate,down,gate_up}_exps.weight", (unsigned long long)hash,
            GGML_LAYERS - 1);
    if (walk->any && (*key)->layer != walk->call.layer) {
        es_code code = ggml_flush(state, &walk->call, false, &walk->prompt, err);
        walk->over = (*key)->layer < walk->call.layer;
        walk->any = false;
        if (code || walk->over)
            return code;
    }
    if (!walk->any)
        walk->call = (es_call){ .layer = (*key)->layer, .record = calls->record, .offset = calls->bytes.offset };
    walk->any = true;
    es_code code = ggml_add(state, (*key)->matrix, es_bytes_u32(at + 8), &added, err);
    if (code || added)
        return code;
    walk->over = true;                  /* one layer alone, again */
    walk->any = false;
    return ggml_flush(state, &walk->call, false, &walk->prompt, err);
}

static es_code ggml_read(es_calls *calls, bool *more, es_err *err)
{
    ggml_fnv *state = (ggml_fnv *)calls;
    const ggml_key *key = NULL;
    const bool first = calls->record == 0;
    ggml_walk walk = { .any = false };
    if (first)
        ggml_begin(state);
    es_code code = ES_OK;
    while (!code && !walk.over && !walk.end) {
        const unsigned char *at;
        size_t got, i = 0;
        code = es_bytes_peek(&calls->bytes, GGML_BLOCK * GGML_RECORD, &at, &got, err);
        for (; !code && i < got / GGML_RECORD && !walk.over; i++) {
            code = ggml_record(state, at + i * GGML_RECORD, &key, &walk, err);
            if (code || walk.over)
                break;
            es_bytes_take(&calls->bytes, GGML_RECORD);
            calls->record++;
        }
        walk.end = !code && !walk.over && got < GGML_BLOCK * GGML_RECORD;
        if (walk.end && got % GGML_RECORD != 0)
            code = es_calls_torn(calls, got % GGML_RECORD, GGML_RECORD, "a record", err);
    }
    if (!code && walk.end && walk.any)
        code = ggml_flush(state, &walk.call, true, &walk.prompt, err);
    *more = calls->called > 0;
    if (*more)
        calls->doubtful = first && calls->called == 1;      /* if nothing follows, matrices may be missing */
    return code || !*more ? code : es_calls_end(calls, walk.prompt ? ES_PREFILL : ES_DECODE, ES_NO_POSITION, err);
}

/* The keys of a layer's matrices in the order in which the pass before had them, each for the same experts. */
static bool ggml_block(es_calls *calls, es_calls_block *block)
{
    const ggml_fnv *state = (const ggml_fnv *)calls;
    const size_t k = calls->form.top_k, row = GGML_RECORD * k;
    const unsigned char *at = block->at;
    uint16_t *to = block->ids;
    uint64_t wrong = 0;
    uint32_t over = 0;
    for (uint32_t l = 0; l < block->layers; l++, to += k)
        for (uint32_t m = 0; m < state->turns; m++, at += row) {
            const uint64_t hash = state->hash[block->layer[l]][state->turn[m]];
            for (size_t i = 0; i < k; i++) {
                const uint32_t id = es_bytes_u32(at + i * GGML_RECORD + 8);
                wrong |= es_bytes_u64(at + i * GGML_RECORD) ^ hash;
                if (m == 0)
                    to[i] = (uint16_t)id;
                wrong |= (uint64_t)(to[i] ^ (uint16_t)id);
                over |= id;
            }
        }
    block->bits = over;
    if (wrong != 0 || block->got < block->bytes + GGML_RECORD)
        return false;
    const ggml_key *next = ggml_find(state->key, es_bytes_u64(at));
    return next && next->layer < block->layer[block->layers - 1];
}

static es_code ggml_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    ggml_fnv *state = self;
    es_calls *calls = self;
    const es_calls_form form = { .format = "ggml_fnv", .layers = GGML_LAYERS, .read = ggml_read, .block = ggml_block, .record_bytes = GGML_RECORD, .ahead = GGML_RECORD };
    state->key = ES_NEW_ARRAY(arena, GGML_SLOTS, ggml_key);
    state->list = ES_NEW_ARRAY(arena, GGML_MATRICES, ggml_list);
    state->hash = (uint64_t (*)[GGML_MATRICES])ES_NEW_ARRAY(arena, GGML_LAYERS * GGML_MATRICES, uint64_t);
    if (!state->key || !state->list || !state->hash)
        return es_err_nomem(err, "a trace");
    ggml_keys(state->key, state->hash);
    es_code code = es_calls_open(calls, ask, err);
    es_assume(&calls->notes, "a layer that lists more experts than a row is of a prompt; these are its distinct experts, laid over as few tokens as can hold them");
    return code ? code : es_calls_scan(calls, &form, ask, arena, err);
}

static void ggml_fini(void *self)
{
    ggml_fnv *state = self;
    for (int m = 0; state->list && m < GGML_MATRICES; m++)
        free(state->list[m].ids);
    es_calls_fini(self);
}

static int ggml_sniff(const unsigned char *head, size_t length)
{
    if (length < GGML_RECORD)
        return 0;
    for (unsigned layer = 0; layer < GGML_LAYERS; layer++)
        for (int m = 0; m < GGML_MATRICES; m++)
            if (ggml_hash(layer, m) == es_bytes_u64(head))
                return 95;
    return 0;
}

const es_source es_source_ggml_fnv = {
    .part = { .abi = ES_ABI, .name = "ggml_fnv", .brief = "Headerless records of 12 bytes: a hashed GGML tensor name and an expert.", .size = sizeof(ggml_fnv), .fini = ggml_fini },
    .lacks = "requests, phases, positions, tokens of a prompt, top-k, how many experts there are",
    .sniff = ggml_sniff,
    .open = ggml_open,
    .info = es_calls_info,
    .next = es_calls_next,
    .rewind = es_calls_rewind,
};
