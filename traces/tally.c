/* Tally: the rules every step must satisfy, checked in one place for every reader and writer, and the totals. See trace.h. */
#include "traces/ids.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

es_code es_trace_check_shape(const es_trace_info *info, es_err *err)
{
    if (info->layers == 0 || info->layers > ES_TRACE_LAYERS_MAX)
        return es_err_set(err, ES_EINPUT, "%u layers are not 1 to %d", info->layers, ES_TRACE_LAYERS_MAX);
    if (info->experts == 0 || info->experts > ES_TRACE_EXPERTS_MAX)
        return es_err_set(err, ES_EINPUT, "%u experts are not 1 to %d", info->experts, ES_TRACE_EXPERTS_MAX);
    if (info->top_k == 0 || info->top_k > ES_TRACE_TOP_K_MAX)
        return es_err_set(err, ES_EINPUT, "top_k %u is not 1 to %d", info->top_k, ES_TRACE_TOP_K_MAX);
    if (info->guesses > ES_TRACE_TOP_K_MAX)
        return es_err_set(err, ES_EINPUT, "%u guesses per row are above %d, the most", info->guesses, ES_TRACE_TOP_K_MAX);
    if (info->attends > ES_TRACE_TOP_K_MAX)
        return es_err_set(err, ES_EINPUT, "%u attended positions per token are above %d, the most", info->attends, ES_TRACE_TOP_K_MAX);
    for (uint32_t i = 1; i < info->layers; i++)
        if (info->layer_number[i] <= info->layer_number[i - 1])
            return es_err_set(err, ES_EINPUT, "layer numbers must ascend, but %u follows %u", info->layer_number[i], info->layer_number[i - 1]);
    return ES_OK;
}

/* --- which position of a request may come next ---------------------------------------------------------------------------------- */

static uint64_t tally_place(const es_tally *tally, uint32_t request)
{
    uint64_t mask = tally->slots - 1, at = es_mix(request) & mask;
    while (tally->slot[at].next != 0 && tally->slot[at].request != request)
        at = (at + 1) & mask;
    return at;
}

uint32_t es_tally_next(const es_tally *tally, uint32_t request)
{
    return tally->slots ? tally->slot[tally_place(tally, request)].next : 0;
}

static es_code tally_grow(es_tally *tally, es_err *err)
{
    es_tally old = *tally;
    tally->slots = old.slots ? 2 * old.slots : 64;
    tally->slot = calloc(tally->slots, sizeof *tally->slot);
    if (!tally->slot) {
        *tally = old;
        return es_err_nomem(err, "the requests of a trace");
    }
    for (uint64_t i = 0; i < old.slots; i++)
        if (old.slot[i].next != 0)
            tally->slot[tally_place(tally, old.slot[i].request)] = old.slot[i];
    free(old.slot);
    return ES_OK;
}

static es_code tally_request(es_tally *tally, const es_token *first, const es_token *last, es_err *err)
{
    if (2 * tally->requests >= tally->slots) {
        es_code code = tally_grow(tally, err);
        if (code)
            return code;
    }
    es_tally_request *slot = &tally->slot[tally_place(tally, first->request)];
    if (first->position < slot->next)
        return es_err_set(err, ES_EINPUT, "request %u: token %u comes after token %u; positions must ascend from step to step, and the rows of a token stand together",
            first->request, first->position, slot->next - 1);
    if (last->position == UINT32_MAX)
        return es_err_set(err, ES_EINPUT, "request %u: token %u is above %u, the highest", first->request, last->position, UINT32_MAX - 1);
    if (slot->next == 0)
        tally->requests++;
    *slot = (es_tally_request){ first->request, last->position + 1 };
    if (first->request > tally->highest_request)
        tally->highest_request = first->request;
    return ES_OK;
}

/* --- one step ------------------------------------------------------------------------------------------------------------------- */

/* Tokens in order, one phase per request, and later than what the request had before. */
es_code es_tally_tokens(es_tally *tally, const es_step *step, es_err *err)
{
    const es_token *token = step->token;
    for (uint32_t i = 0, next; i < step->tokens; i = next) {
        if (token[i].phase > ES_DECODE)
            return es_err_set(err, ES_EINPUT, "request %u, token %u: phase %u is neither 0 (prompt) nor 1 (generated)", token[i].request, token[i].position, token[i].phase);
        if (i > 0 && token[i].request < token[i - 1].request)
            return es_err_set(err, ES_EINPUT, "request %u follows request %u in one step; tokens of a step stand in order of request and position",
                token[i].request, token[i - 1].request);
        for (next = i + 1; next < step->tokens && token[next].request == token[i].request; next++) {
            if (token[next].position <= token[next - 1].position)
                return es_err_set(err, ES_EINPUT, "request %u: token %u follows token %u in one step; tokens of a step stand in order of request and position",
                    token[i].request, token[next].position, token[next - 1].position);
            if (token[next].phase != token[i].phase)
                return es_err_set(err, ES_EINPUT, "request %u: tokens %u and %u of one step have different phases", token[i].request, token[i].position, token[next].position);
        }
        es_code code = tally_request(tally, &token[i], &token[next - 1], err);
        if (code)
            return code;
        uint64_t *total = token[i].phase == ES_PREFILL ? &tally->prompt_tokens : &tally->decode_tokens;
        *total += next - i;
    }
    return ES_OK;
}

static es_code tally_fault(const es_trace_info *info, const es_step *step, uint64_t cell, const char *what, unsigned id, es_err *err)
{
    const es_token *token = &step->token[cell / info->layers];
    return es_err_set(err, ES_EINPUT, "request %u, token %u, layer %u: expert %u %s", token->request, token->position, info->layer_number[cell % info->layers], id, what);
}

/* Marks in a bit per expert which ids of a row were seen; taken back row by row, so a wide model costs no more than a narrow one. */
static es_code tally_row(const es_trace_info *info, const es_step *step, uint64_t cell, const uint16_t *row, uint64_t *seen, uint32_t *listed, es_err *err)
{
    uint32_t count = 0, k = info->top_k;
    while (count < k && row[count] != ES_NO_EXPERT) {
        unsigned id = row[count];
        if (id >= info->experts)
            return tally_fault(info, step, cell, "is above the highest of the trace", id, err);
        if (seen[id >> 6] >> (id & 63) & 1)
            return tally_fault(info, step, cell, "is listed twice", id, err);
        seen[id >> 6] |= 1ull << (id & 63);
        count++;
    }
    for (uint32_t i = count; i < k; i++)
        if (row[i] != ES_NO_EXPERT)
            return tally_fault(info, step, cell, "stands behind an empty place", row[i], err);
    for (uint32_t i = 0; i < count; i++)
        seen[row[i] >> 6] = 0;
    *listed = count;
    return ES_OK;
}

static es_code tally_attended(const es_token *token, const uint32_t *position, const float *weight, uint32_t width, es_err *err)
{
    uint32_t count = 0;
    for (; count < width && position[count] != ES_NO_POSITION; count++) {
        if (position[count] > token->position)
            return es_err_set(err, ES_EINPUT, "request %u, token %u: attends to token %u, which comes later", token->request, token->position, position[count]);
        if (!(weight[count] >= 0.0f && weight[count] <= 1.0f))
            return es_err_set(err, ES_EINPUT, "request %u, token %u: attention %g is not 0 to 1", token->request, token->position, (double)weight[count]);
        for (uint32_t i = 0; i < count; i++)
            if (position[i] == position[count])
                return es_err_set(err, ES_EINPUT, "request %u, token %u: attends to token %u twice", token->request, token->position, position[count]);
    }
    for (uint32_t i = count; i < width; i++)
        if (position[i] != ES_NO_POSITION)
            return es_err_set(err, ES_EINPUT, "request %u, token %u: attended token %u stands behind an empty place", token->request, token->position, position[i]);
    return ES_OK;
}

es_code es_tally_attention(const es_trace_info *info, const es_step *step, es_err *err)
{
    es_code code = ES_OK;
    for (uint32_t i = 0; !code && step->attended && i < step->tokens; i++)
        code = tally_attended(&step->token[i], step->attended + (size_t)i * info->attends, step->attention + (size_t)i * info->attends, info->attends, err);
    return code;
}

/* Full rows in which nothing is wrong, all at once. *full false: that is not what the step has, or something is wrong with it. */
static es_code tally_full(es_tally *tally, const es_trace_info *info, const es_step *step, uint64_t cells, bool *full, es_err *err)
{
    if (!tally->twice || tally->twice->k != info->top_k) {
        if (!tally->twice && !(tally->twice = malloc(sizeof *tally->twice)))
            return es_err_nomem(err, "a trace");
        es_ids_twice_init(tally->twice, info->top_k);
    }
    *full = es_ids_highest(step->ids, cells * info->top_k) < info->experts && !es_ids_repeat(tally->twice, step->ids, cells);
    if (*full)
        tally->accesses += cells * info->top_k;
    return ES_OK;
}

static es_code tally_rows(es_tally *tally, const es_trace_info *info, const es_step *step, uint64_t cells, es_err *err)
{
    uint64_t seen[(ES_TRACE_EXPERTS_MAX + 1) / 64] = { 0 };
    es_code code = ES_OK;
    for (uint64_t cell = 0; !code && cell < cells; cell++) {
        uint32_t listed = 0;
        code = tally_row(info, step, cell, step->ids + cell * info->top_k, seen, &listed, err);
        tally->accesses += listed;
        tally->missing_cells += listed == 0;
    }
    return code;
}

es_code es_tally_step(es_tally *tally, const es_trace_info *info, const es_step *step, es_err *err)
{
    const uint64_t cells = (uint64_t)step->tokens * info->layers;
    bool full = false;
    if (step->tokens == 0)
        return es_err_set(err, ES_EINPUT, "a step has no tokens");
    es_code code = es_tally_tokens(tally, step, err);
    if (!code)
        code = tally_full(tally, info, step, cells, &full, err);
    if (!code && !full)
        code = tally_rows(tally, info, step, cells, err);
    tally->steps++;
    return code ? code : es_tally_attention(info, step, err);
}

void es_tally_into(const es_tally *tally, es_trace_info *info)
{
    info->requests = tally->requests;
    info->steps = tally->steps;
    info->prompt_tokens = tally->prompt_tokens;
    info->decode_tokens = tally->decode_tokens;
    info->accesses = tally->accesses;
    info->missing_cells = tally->missing_cells;
    info->counted = true;
}

void es_tally_free(es_tally *tally)
{
    free(tally->slot);
    free(tally->twice);
    *tally = (es_tally){ 0 };
}
