/* Passes: see passes.h. */
#include "traces/passes.h"

#include <stdlib.h>
#include <string.h>

#include "traces/assume.h"

typedef struct pass_row { uint32_t layer, token, count; uint64_t record; size_t at; } pass_row;    /* at: its first id */

struct es_passes {
    es_row_stream *stream;
    pass_row *row;
    size_t rows, room;
    uint16_t *ids;
    float *weights;
    size_t held, id_room;
    bool weighted, outputs;
    uint8_t phase;                      /* of the pass, as its first row has it */
    uint32_t layer_tokens;              /* rows of the layer at hand */
    uint32_t pass, request, position;   /* of the next pass */
    bool generated;                     /* the request has generated tokens */
    uint64_t prompts, aligned;          /* passes of several tokens; layers with fewer rows than their pass has tokens */
};

es_code es_passes_new(es_passes **out, es_row_stream *stream, bool outputs, es_err *err)
{
    *out = calloc(1, sizeof **out);
    if (!*out)
        return es_err_nomem(err, "the rows of a pass");
    (*out)->stream = stream;
    (*out)->outputs = outputs;
    return ES_OK;
}

void es_passes_free(es_passes *p)
{
    if (!p)
        return;
    free(p->row);
    free(p->ids);
    free(p->weights);
    free(p);
}

/* --- the end of a pass ---------------------------------------------------------------------------------------------------------- */

static uint32_t passes_tokens(const es_passes *p)
{
    uint32_t tokens = 0;
    for (size_t i = 0; i < p->rows; i++)
        tokens = p->row[i].token >= tokens ? p->row[i].token + 1 : tokens;
    return tokens;
}

/* The rows of a layer that has fewer than the pass has tokens belong to the last of them. */
static void passes_align(es_passes *p, uint32_t tokens)
{
    for (size_t first = 0, end; first < p->rows; first = end) {
        end = first + 1;
        while (end < p->rows && p->row[end].layer == p->row[first].layer)
            end++;
        const uint32_t have = p->row[end - 1].token + 1;
        if (have == end - first && have < tokens) {
            for (size_t i = first; i < end; i++)
                p->row[i].token += tokens - have;
            p->aligned++;
        }
    }
}

static es_code passes_emit(es_passes *p, uint8_t phase, es_err *err)
{
    for (size_t i = 0; i < p->rows; i++) {
        const pass_row *r = &p->row[i];
        const es_row row = { .step = p->pass, .request = p->request, .position = p->position + r->token, .layer = r->layer, .phase = phase, .count = r->count,
            .ids = p->ids + r->at, .weights = p->weighted ? p->weights + r->at : NULL, .record = r->record };
        es_code code = es_stream_add(p->stream, &row, err);
        if (code)
            return code;
    }
    return ES_OK;
}

es_code es_passes_end(es_passes *p, es_err *err)
{
    if (p->rows == 0)
        return ES_OK;
    const uint32_t tokens = passes_tokens(p);
    const uint8_t phase = p->phase != ES_PASSES_BY_SIZE ? p->phase : tokens > 1 ? ES_PREFILL : ES_DECODE;
    if (phase == ES_PREFILL && p->generated) {
        p->request++;
        p->position = 0;
        p->generated = false;
    }
    if (p->position > UINT32_MAX - 1 - tokens)
        return es_err_set(err, ES_EINPUT, "there are more than %u tokens", UINT32_MAX - 1);
    if (p->outputs)
        passes_align(p, tokens);
    es_code code = passes_emit(p, phase, err);
    p->prompts += phase == ES_PREFILL;
    p->generated = p->generated || phase == ES_DECODE;
    p->position += tokens;
    p->pass++;
    p->rows = 0;
    p->held = 0;
    p->layer_tokens = 0;
    return code;
}

es_code es_passes_finish(es_passes *p, es_err *err)
{
    p->outputs = false;
    return es_passes_end(p, err);
}

/* --- one row -------------------------------------------------------------------------------------------------------------------- */

static bool passes_room(es_passes *p, uint32_t count)
{
    if (p->rows == p->room) {
        const size_t room = p->room ? 2 * p->room : 256;
        if (!ES_TRACE_RESIZE(p->row, room, 1))
            return false;
        p->room = room;
    }
    if (p->held + count > p->id_room) {
        const size_t room = 2 * (p->id_room + count) + 1024;
        if (!ES_TRACE_RESIZE(p->ids, room, 1) || (p->weighted && !ES_TRACE_RESIZE(p->weights, room, 1)))
            return false;
        p->id_room = room;
    }
    return true;
}

es_code es_passes_add(es_passes *p, const es_pass_row *row, es_err *err)
{
    const pass_row *last = p->rows > 0 ? &p->row[p->rows - 1] : NULL;
    if (last && row->layer < last->layer) {
        es_code code = es_passes_end(p, err);
        if (code)
            return code;
        last = NULL;
    }
    if (!last) {
        p->phase = row->phase;
        if (p->pass == 0)
            p->weighted = row->weights != NULL;
    } else if (row->phase != p->phase && row->phase != ES_PASSES_BY_SIZE) {
        return es_err_set(err, ES_EINPUT, "is of another phase than the rows of its pass before");
    }
    if (!passes_room(p, row->count))
        return es_err_nomem(err, "the rows of a pass");
    if (!last || last->layer != row->layer)
        p->layer_tokens = 0;
    const uint32_t token = row->token == ES_PASSES_NEXT ? p->layer_tokens : row->token;
    p->layer_tokens++;
    p->row[p->rows++] = (pass_row){ row->layer, token, row->count, row->record, p->held };
    memcpy(p->ids + p->held, row->ids, row->count * sizeof *p->ids);
    if (p->weighted)
        memcpy(p->weights + p->held, row->weights, row->count * sizeof *p->weights);
    p->held += row->count;
    return ES_OK;
}

void es_passes_phase(es_passes *p, es_phase_of phase)
{
    p->phase = (uint8_t)phase;
}

void es_passes_tell(const es_passes *p, es_text *notes)
{
    es_assume(notes, "a forward pass ends where the layer number goes back; positions are counted");
    if (p->prompts > 0)
        es_assume(notes, "a pass of several tokens is (part of) a prompt, one of a single token generates; a prompt behind generated tokens begins another request");
    else
        es_assume(notes, "every token is a generated one of request 0: no pass has several");
    if (p->aligned > 0)
        es_assume(notes, "layers with fewer rows than their pass has tokens (%llu times) have its last tokens, as where only wanted outputs are computed", (unsigned long long)p->aligned);
}
