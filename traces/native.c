/* The native format: HDF5, read as a stream (FORMAT.md says what a file holds).
 *
 * A window of tokens is read at a time and steps are handed out of it; it begins with a step, and grows when one step is longer than
 * it. What it costs to read an id is one load, one comparison kept as a running maximum, one widening store, all in loops that compile
 * to vector code: no id is looked at alone unless something is wrong. The file is not trusted. Shapes and totals are checked when it
 * is opened, values as they are read, totals against what was read at the end. That the ids of a row differ is left to `trace check`. */
#include "traces/native.h"

#include <stdlib.h>
#include <string.h>

enum { NATIVE_TOKENS = 4096, NATIVE_LANES = 32 };
static const uint64_t native_window_start = 8u << 20, native_window_most = 4ull << 30;  /* bytes of ids in memory */

/* --- the window ----------------------------------------------------------------------------------------------------------------- */

static es_code native_grow(es_native *state, uint64_t room, es_err *err)
{
    uint64_t narrow = state->width > state->guesses ? state->width : state->guesses;
    if (room > state->tokens)
        room = state->tokens;
    if (room * state->width * sizeof *state->ids > native_window_most)
        return es_err_set(err, ES_EINPUT, "%s: /tokens/step: step %llu is longer than %llu tokens, more than can be read at once", state->path,
            (unsigned long long)state->steps, (unsigned long long)state->room);
    bool good = ES_TRACE_RESIZE(state->token, room, 1) && ES_TRACE_RESIZE(state->column, room, 1) && ES_TRACE_RESIZE(state->step, room, 1);
    good = good && ES_TRACE_RESIZE(state->narrow, room, narrow) && ES_TRACE_RESIZE(state->ids, room, state->width);
    good = good && (!state->set[ES_NATIVE_WEIGHTS] || ES_TRACE_RESIZE(state->weights, room, state->width));
    good = good && (!state->set[ES_NATIVE_RESIDENCY] || ES_TRACE_RESIZE(state->residency, room, state->width));
    good = good && (!state->set[ES_NATIVE_GUESS] || ES_TRACE_RESIZE(state->guess, room, state->guesses));
    good = good && (!state->set[ES_NATIVE_CONFIDENCE] || ES_TRACE_RESIZE(state->guess_confidence, room, state->guesses));
    good = good && (!state->set[ES_NATIVE_ATTENDED] || (ES_TRACE_RESIZE(state->attended, room, state->info.attends) && ES_TRACE_RESIZE(state->attention, room, state->info.attends)));
    if (!good)
        return es_err_nomem(err, "the window of a trace");
    state->room = room;
    return ES_OK;
}

/* The rules of order, over a window that begins with step number state->steps. */
static es_code native_check_tokens(const es_native *state, es_err *err)
{
    for (uint64_t i = 0; i < state->count; i++) {
        const es_token *token = &state->token[i], *before = token - 1;
        unsigned long long row = state->first + i;
        uint32_t step = state->step[i];
        if (token->phase > ES_DECODE)
            return es_native_fault(state, ES_NATIVE_PHASE, err, "row %llu: phase %u is neither 0 (prompt) nor 1 (generated)", row, token->phase);
        if (i == 0 && step != state->steps)
            return es_native_fault(state, ES_NATIVE_STEP, err, "row %llu: step %u stands where step %llu is expected; steps count from 0 without a gap", row, step, (unsigned long long)state->steps);
        if (i == 0 || step == (uint64_t)state->step[i - 1] + 1)
            continue;
        if (step != state->step[i - 1])
            return es_native_fault(state, ES_NATIVE_STEP, err, "row %llu: step %u follows step %u; steps count from 0 without a gap", row, step, state->step[i - 1]);
        if (token->request < before->request || (token->request == before->request && token->position <= before->position))
            return es_native_fault(state, ES_NATIVE_POSITION, err, "row %llu: request %u token %u follows request %u token %u in one step, which is not ascending", row,
                token->request, token->position, before->request, before->position);
        if (token->request == before->request && token->phase != before->phase)
            return es_native_fault(state, ES_NATIVE_PHASE, err, "row %llu: request %u has tokens of both phases in one step", row, token->request);
    }
    return ES_OK;
}

static es_code native_read_tokens(es_native *state, es_err *err)
{
    uint64_t n = state->count;
    es_code code = es_h5_data_read(state->set[ES_NATIVE_REQUEST], ES_H5_U32, state->first, n, state->column, err);
    for (uint64_t i = 0; !code && i < n; i++)
        state->token[i].request = state->column[i];
    if (!code)
        code = es_h5_data_read(state->set[ES_NATIVE_POSITION], ES_H5_U32, state->first, n, state->column, err);
    for (uint64_t i = 0; !code && i < n; i++)
        state->token[i].position = state->column[i];
    if (!code)
        code = es_h5_data_read(state->set[ES_NATIVE_PHASE], ES_H5_U8, state->first, n, state->narrow, err);
    for (uint64_t i = 0; !code && i < n; i++)
        state->token[i].phase = state->narrow[i];
    if (!code)
        code = es_h5_data_read(state->set[ES_NATIVE_STEP], ES_H5_U32, state->first, n, state->step, err);
    return code ? code : native_check_tokens(state, err);
}

typedef struct native_range { unsigned low, high; } native_range;   /* of id + 1, so that an empty place counts as 0 */

/* Widens ids of one byte. 255 + 1 wraps to 0, the lowest, and 0 - 1 in 16 bits is ES_NO_EXPERT: no branch is needed for it. Extremes are
 * kept per lane: with a fixed number of lanes gcc and clang make vector code of this from -O2 on (about one instruction per id), unless it is inlined: then gcc forgets `restrict`. */
__attribute__((noinline)) static native_range native_widen(uint16_t *restrict to, const uint8_t *restrict from, size_t count)
{
    uint8_t low[NATIVE_LANES], high[NATIVE_LANES];
    native_range range = { UINT8_MAX, 0 };
    size_t i = 0;
    memset(low, 0xff, sizeof low);
    memset(high, 0, sizeof high);
    for (; i + NATIVE_LANES <= count; i += NATIVE_LANES)
        for (size_t j = 0; j < NATIVE_LANES; j++) {
            uint8_t next = (uint8_t)(from[i + j] + 1);
            low[j] = next < low[j] ? next : low[j];
            high[j] = next > high[j] ? next : high[j];
            to[i + j] = (uint16_t)(next - 1);
        }
    for (; i < count; i++) {
        uint8_t next = (uint8_t)(from[i] + 1);
        low[0] = next < low[0] ? next : low[0];
        high[0] = next > high[0] ? next : high[0];
        to[i] = (uint16_t)(next - 1);
    }
    for (size_t j = 0; j < NATIVE_LANES; j++) {
        range.low = low[j] < range.low ? low[j] : range.low;
        range.high = high[j] > range.high ? high[j] : range.high;
    }
    return range;
}

/* The same for ids that are wide already. */
static native_range native_range_of(const uint16_t *ids, size_t count)
{
    uint16_t low[NATIVE_LANES], high[NATIVE_LANES];
    native_range range = { UINT16_MAX, 0 };
    size_t i = 0;
    memset(low, 0xff, sizeof low);
    memset(high, 0, sizeof high);
    for (; i + NATIVE_LANES <= count; i += NATIVE_LANES)
        for (size_t j = 0; j < NATIVE_LANES; j++) {
            uint16_t next = (uint16_t)(ids[i + j] + 1);
            low[j] = next < low[j] ? next : low[j];
            high[j] = next > high[j] ? next : high[j];
        }
    for (; i < count; i++) {
        uint16_t next = (uint16_t)(ids[i] + 1);
        low[0] = next < low[0] ? next : low[0];
        high[0] = next > high[0] ? next : high[0];
    }
    for (size_t j = 0; j < NATIVE_LANES; j++) {
        range.low = low[j] < range.low ? low[j] : range.low;
        range.high = high[j] > range.high ? high[j] : range.high;
    }
    return range;
}

/* Somewhere in the window an id is too high: where, and which. */
static es_code native_blame(const es_native *state, es_native_set set, const uint16_t *ids, uint64_t width, es_err *err)
{
    uint64_t i = 0;
    while (i + 1 < state->count * state->info.layers * width && (ids[i] == ES_NO_EXPERT || ids[i] < state->info.experts))
        i++;
    return es_native_fault(state, set, err, "row %llu, layer %u, place %llu: expert %u is above %u, the highest", (unsigned long long)(state->first + i / (state->info.layers * width)),
        state->info.layer_number[i / width % state->info.layers], (unsigned long long)(i % width), ids[i], state->info.experts - 1);
}

/* Rows with empty places, counted one by one; an id behind an empty place is a fault. */
static es_code native_count(es_native *state, es_err *err)
{
    uint64_t k = state->info.top_k, cells = state->count * state->info.layers, from = (state->counted - state->first) * state->info.layers;
    for (uint64_t cell = from; cell < cells; cell++) {
        const uint16_t *row = state->ids + cell * k;
        uint64_t count = 0;
        while (count < k && row[count] != ES_NO_EXPERT)
            count++;
        for (uint64_t i = count; i < k; i++)
            if (row[i] != ES_NO_EXPERT)
                return es_native_fault(state, ES_NATIVE_IDS, err, "row %llu, layer %u, place %llu: expert %u stands behind an empty place",
                    (unsigned long long)(state->first + cell / state->info.layers), state->info.layer_number[cell % state->info.layers], (unsigned long long)i, row[i]);
        state->accesses += count;
        state->missing_cells += count == 0;
    }
    return ES_OK;
}

static es_code native_read_ids(es_native *state, es_native_set set, uint16_t *ids, uint64_t cells, native_range *range, es_err *err)
{
    uint64_t n = state->count * cells;
    es_code code;
    if (state->info.experts <= ES_NATIVE_NARROW) {
        code = es_h5_data_read(state->set[set], ES_H5_U8, state->first, state->count, state->narrow, err);
        if (!code)
            *range = native_widen(ids, state->narrow, n);
    } else {
        code = es_h5_data_read(state->set[set], ES_H5_U16, state->first, state->count, ids, err);
        if (!code)
            *range = native_range_of(ids, n);
    }
    if (!code && range->high > state->info.experts)
        code = native_blame(state, set, ids, cells / state->info.layers, err);
    return code;
}

static es_code native_read_attention(es_native *state, es_err *err)
{
    const uint64_t width = state->info.attends;
    es_code code = es_h5_data_read(state->set[ES_NATIVE_ATTENDED], ES_H5_U32, state->first, state->count, state->attended, err);
    if (!code)
        code = es_h5_data_read(state->set[ES_NATIVE_ATTENTION], ES_H5_F32, state->first, state->count, state->attention, err);
    for (uint64_t i = 0; !code && i < state->count; i++) {
        const es_step token = {.tokens = 1, .token = &state->token[i], .attended = state->attended + i * width, .attention = state->attention + i * width};
        code = es_tally_attention(&state->info, &token, err);
        if (code)
            es_err_at(err, "%s: row %llu", state->path, (unsigned long long)(state->first + i));
    }
    return code;
}

/* A window begins with the step that comes next; tokens that an earlier window held are not counted again. */
static es_code native_fill(es_native *state, es_err *err)
{
    native_range range = { 0, 0 };
    state->first = state->at;
    state->count = state->room < state->tokens - state->first ? state->room : state->tokens - state->first;
    es_code code = native_read_tokens(state, err);
    if (!code)
        code = native_read_ids(state, ES_NATIVE_IDS, state->ids, state->width, &range, err);
    if (!code && range.low == 0)
        code = native_count(state, err);
    else
        state->accesses += (state->first + state->count - state->counted) * state->width;
    for (uint64_t i = state->counted - state->first; !code && i < state->count; i++)
        state->decode_tokens += state->token[i].phase;
    state->counted = state->first + state->count;
    if (!code && state->set[ES_NATIVE_WEIGHTS])
        code = es_h5_data_read(state->set[ES_NATIVE_WEIGHTS], ES_H5_F32, state->first, state->count, state->weights, err);
    if (!code && state->set[ES_NATIVE_RESIDENCY])
        code = es_h5_data_read(state->set[ES_NATIVE_RESIDENCY], ES_H5_U8, state->first, state->count, state->residency, err);
    if (!code && state->set[ES_NATIVE_GUESS])
        code = native_read_ids(state, ES_NATIVE_GUESS, state->guess, state->guesses, &range, err);
    if (!code && state->set[ES_NATIVE_CONFIDENCE])
        code = es_h5_data_read(state->set[ES_NATIVE_CONFIDENCE], ES_H5_F32, state->first, state->count, state->guess_confidence, err);
    if (!code && state->set[ES_NATIVE_ATTENDED])
        code = native_read_attention(state, err);
    for (uint64_t i = 0; !code && state->set[ES_NATIVE_RESIDENCY] && i < state->count * state->width; i++)
        if (state->residency[i] > 2)
            code = es_native_fault(state, ES_NATIVE_RESIDENCY, err, "row %llu: %u is not 0 (miss), 1 (hit) or 2 (prefetched)",
                (unsigned long long)(state->first + i / state->width), state->residency[i]);
    if (code)
        state->count = 0;
    return code;
}

/* --- the source ----------------------------------------------------------------------------------------------------------------- */

static es_code native_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    es_native *state = self;
    es_code code = es_native_open(state, ask, arena, err);
    if (code)
        return code;
    uint64_t room = native_window_start / (state->width * sizeof *state->ids);
    return native_grow(state, room < 1 ? 1 : room > NATIVE_TOKENS ? NATIVE_TOKENS : room, err);
}

static const es_trace_info *native_info(void *self)
{
    return &((es_native *)self)->info;
}

/* Everything was read: are the recorded totals those of the data? */
static es_code native_end(es_native *state, es_err *err)
{
    const es_trace_info *info = &state->info;
    const struct { const char *name; uint64_t said, is; } total[] = {
        { "steps", info->steps, state->steps }, { "decode_tokens", info->decode_tokens, state->decode_tokens },
        { "accesses", info->accesses, state->accesses }, { "missing_cells", info->missing_cells, state->missing_cells },
    };
    for (size_t i = 0; i < sizeof total / sizeof total[0]; i++)
        if (total[i].said != total[i].is)
            return es_err_set(err, ES_EINPUT, "%s: attribute %s is %llu, but the data have %llu", state->path, total[i].name,
                (unsigned long long)total[i].said, (unsigned long long)total[i].is);
    return ES_OK;
}

static es_code native_next(void *self, es_step *step, bool *more, es_err *err)
{
    es_native *state = self;
    *step = (es_step){ 0 };
    *more = false;
    if (state->at == state->tokens)
        return native_end(state, err);
    uint64_t i, end;
    for (;;) {                          /* until the window holds the whole step and, unless it is the last, the token behind it */
        i = state->at - state->first;
        end = i;
        while (end < state->count && state->step[end] == state->steps)
            end++;
        if (end > i && (end < state->count || state->first + end == state->tokens))
            break;
        es_code code = ES_OK;
        if (state->count == state->room && state->at == state->first)
            code = native_grow(state, 2 * state->room, err);
        if (!code)
            code = native_fill(state, err);
        if (code)
            return code;
    }
    step->tokens = (uint32_t)(end - i);
    step->token = state->token + i;
    step->ids = state->ids + i * state->width;
    step->weights = state->set[ES_NATIVE_WEIGHTS] ? state->weights + i * state->width : NULL;
    step->residency = state->set[ES_NATIVE_RESIDENCY] ? state->residency + i * state->width : NULL;
    step->guess = state->set[ES_NATIVE_GUESS] ? state->guess + i * state->guesses : NULL;
    step->guess_confidence = state->set[ES_NATIVE_CONFIDENCE] ? state->guess_confidence + i * state->guesses : NULL;
    step->attended = state->set[ES_NATIVE_ATTENDED] ? state->attended + i * state->info.attends : NULL;
    step->attention = state->set[ES_NATIVE_ATTENDED] ? state->attention + i * state->info.attends : NULL;
    step->record = state->at;
    state->at += step->tokens;
    state->steps++;
    *more = true;
    return ES_OK;
}

static es_code native_rewind(void *self, es_err *err)
{
    es_native *state = self;
    (void)err;
    state->first = state->count = state->at = state->steps = state->counted = 0;
    state->decode_tokens = state->accesses = state->missing_cells = 0;
    return ES_OK;
}

static void native_fini(void *self)
{
    es_native *state = self;
    for (int i = 0; i < ES_NATIVE_SETS; i++) {
        es_h5_data_close(state->set[i]);
        state->set[i] = NULL;
    }
    (void)!es_h5_close(state->file, NULL);
    state->file = NULL;
    void *const buffer[] = { state->token, state->column, state->step, state->narrow, state->ids, state->guess, state->weights,
        state->guess_confidence, state->residency, state->attended, state->attention };
    for (size_t i = 0; i < sizeof buffer / sizeof buffer[0]; i++)
        free(buffer[i]);
}

static int native_sniff(const unsigned char *head, size_t length)
{
    return length >= 8 && memcmp(head, ES_NATIVE_MAGIC, 8) == 0 ? 80 : 0;   /* HDF5 holds other things too */
}

const es_source es_source_native = {
    .part = { .abi = ES_ABI, .name = "native", .brief = "The simulator's own trace format (HDF5), read as a stream.", .size = sizeof(es_native), .fini = native_fini },
    .sniff = native_sniff,
    .open = native_open,
    .info = native_info,
    .next = native_next,
    .rewind = native_rewind,
};
