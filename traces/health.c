/* Health: counting. See health.h; what the counts mean is said in health_say.c.
 *
 * Memory: a few words for each expert, request and token (for up to HEALTH_TOKENS of these, by whose hashes what comes again is found). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "traces/health_inside.h"
#include "traces/trace.h"

es_code es_health_new(es_health **out, const es_trace_info *info, const es_health_model *model, es_err *err)
{
    es_health *h = *out = calloc(1, sizeof *h);
    const size_t layers = info->layers ? info->layers : 1;
    if (!h)
        return es_err_nomem(err, "a health report");
    h->info = info;
    h->model = model ? *model : (es_health_model){0};
    h->uses = calloc(layers * (info->experts ? info->experts : 1), sizeof *h->uses);
    h->layer_rows = calloc(layers, sizeof *h->layer_rows);
    h->missing[0] = calloc(layers, sizeof **h->missing);
    h->missing[1] = calloc(layers, sizeof **h->missing);
    h->last = calloc(layers * (info->top_k ? info->top_k : 1), sizeof *h->last);
    h->common = calloc(layers, sizeof *h->common);
    h->pairs = calloc(layers, sizeof *h->pairs);
    return h->uses && h->layer_rows && h->missing[0] && h->missing[1] && h->last && h->common && h->pairs ? ES_OK : es_err_nomem(err, "a health report");
}

static es_health_place health_place(const es_health *h, const es_token *token, int64_t layer)
{
    return (es_health_place){true, token->request, token->position, layer < 0 ? -1 : (int64_t)h->info->layer_number[layer]};
}

static void health_count_one(const es_health *h, health_count *c, const es_token *token, int64_t layer)
{
    if (c->count++ == 0)
        c->first = health_place(h, token, layer);
}

/* ---- a row ---- */

static void health_weights(es_health *h, const float *weight, uint32_t count, const es_token *token, uint32_t layer)
{
    bool ordered = true, strange = false;
    double sum = 0.0;
    for (uint32_t i = 0; i < count; i++) {
        strange |= !isfinite(weight[i]) || weight[i] < 0.0f;
        ordered &= i == 0 || !(weight[i] > weight[i - 1]);
        sum += (double)weight[i];
    }
    h->weighed++;
    if (strange) {
        health_count_one(h, &h->strange, token, layer);
        return;
    }
    if (fabs(sum - 1.0) <= HEALTH_SUM)
        h->whole++;
    else if (count == h->info->top_k)   /* one that was trimmed has less */
        health_count_one(h, &h->uneven, token, layer);
    if (!ordered)
        health_count_one(h, &h->disorder, token, layer);
}

static bool row_has(const uint16_t *row, uint32_t top_k, uint16_t id)
{
    for (uint32_t i = 0; i < top_k && row[i] != ES_NO_EXPERT; i++)
        if (row[i] == id)
            return true;
    return false;
}

static void health_row(es_health *h, const uint16_t *row, const float *weight, const es_token *token, uint32_t layer, bool follows)
{
    const es_trace_info *info = h->info;
    const uint16_t *last = h->last + (size_t)layer * info->top_k;
    const int64_t experts = h->model.experts > 0 ? h->model.experts : ES_NO_EXPERT;
    uint32_t count = 0, common = 0, beyond = 0;
    bool ascending = true;
    for (; count < info->top_k && row[count] != ES_NO_EXPERT; count++) {
        h->uses[(size_t)layer * info->experts + row[count]]++;
        ascending &= count == 0 || row[count] > row[count - 1];
        common += follows && row_has(last, info->top_k, row[count]);
        beyond += row[count] >= experts;
    }
    if (count == 0) {
        h->missing[token->phase == ES_DECODE][layer]++;
        health_count_one(h, &h->gone[token->phase == ES_DECODE], token, layer);
        return;
    }
    h->rows++;
    h->accesses += count;
    h->layer_rows[layer] += count == info->top_k;
    if (count < info->top_k)
        health_count_one(h, &h->narrow, token, layer);
    if (beyond > 0)
        health_count_one(h, &h->beyond, token, layer);
    if (count > 1) {
        h->listed++;
        h->ascending += ascending;
    }
    if (weight)
        health_weights(h, weight, count, token, layer);
    if (follows && last[0] != ES_NO_EXPERT) {
        h->common[layer] += common;
        h->pairs[layer]++;
    }
}

/* ---- what comes again ---- */

static uint64_t health_mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * 0x9e3779b97f4a7c15ull;
    return hash ^ hash >> 29;
}

/* false: no memory. */
static bool again_grow(health_again *a)
{
    const uint64_t room = a->room ? 2 * a->room : 1024, slots = 4 * room;
    if (!ES_TRACE_RESIZE(a->row, room, 1) || !ES_TRACE_RESIZE(a->token, room, 1))
        return false;
    uint32_t *slot = calloc(slots, sizeof *slot);
    if (!slot)
        return false;
    free(a->slot);
    a->slot = slot;
    a->room = room;
    a->slots = slots;
    for (uint64_t i = 0; i < a->tokens; i++) {
        uint64_t at = a->row[i] & (slots - 1);
        while (slot[at] && a->row[slot[at] - 1] != a->row[i])
            at = (at + 1) & (slots - 1);
        slot[at] = (uint32_t)(i + 1);
    }
    return true;
}

/* The last token with these rows, or UINT64_MAX; from now on it is the one that will be added next. */
static uint64_t again_find(health_again *a, uint64_t row)
{
    uint64_t at = row & (a->slots - 1);
    while (a->slot[at] && a->row[a->slot[at] - 1] != row)
        at = (at + 1) & (a->slots - 1);
    const uint32_t before = a->slot[at];
    a->slot[at] = (uint32_t)(a->tokens + 1);
    return before ? before - 1 : UINT64_MAX;
}

enum { AGAIN_PASS = 2 };            /* in the phase of a token: another pass over what there is so far begins with it */

/* A request, or another pass over all that there is so far, begins there. */
static bool again_begins(const health_again *a, uint64_t i)
{
    return i == 0 || a->token[i].request != a->token[i - 1].request || a->token[i].phase & AGAIN_PASS;
}

static void again_prefix(es_health *h)
{
    health_again *a = &h->again;
    if (a->prefixes == 0)
        a->first_prefix = health_place(h, &a->began, -1);
    a->longer += a->prefixes > 0 && a->run > a->last;
    a->prefixes++;
    a->grown += a->run;
    a->last = a->run;
}

static void again_end(es_health *h)
{
    health_again *a = &h->again;
    if (a->run >= HEALTH_RUN) {
        if (a->runs++ == 0)
            a->first = health_place(h, &a->began, -1);
        a->repeated += a->run;
    }
    if (a->run >= HEALTH_PASS && again_begins(a, a->from) && (a->run >= HEALTH_RUN || again_begins(a, a->from + a->run)))
        again_prefix(h);
    a->run = 0;
}

static void again_same(es_health *h, const es_token *token)
{
    health_again *a = &h->again;
    if (a->same++ == 0)
        a->same_at = health_place(h, token, -1);
    if (a->same > a->longest) {
        a->longest = a->same;
        a->longest_at = a->same_at;
    }
}

static es_code again_token(es_health *h, uint64_t row, const es_token *token, es_err *err)
{
    health_again *a = &h->again;
    if (a->tokens == HEALTH_TOKENS) {
        h->partial = true;
        again_end(h);
        return ES_OK;
    }
    if (a->tokens == a->room && !again_grow(a))
        return es_err_nomem(err, "a health report");
    const bool same = a->tokens > 0 && a->row[a->tokens - 1] == row;
    const uint64_t before = again_find(a, row);
    uint8_t pass = 0;
    if (same) {
        again_end(h);
        again_same(h, token);
    } else if (a->run > 0 && a->at < a->tokens && a->row[a->at] == row && a->token[a->tokens - 1].request == token->request && !again_begins(a, a->at)) {
        a->run++;
        a->at++;
    } else {
        again_end(h);
        if (before != UINT64_MAX) {
            a->run = 1;
            a->from = before;
            a->at = before + 1;
            a->began = *token;
            pass = again_begins(a, before) ? AGAIN_PASS : 0;
        }
    }
    a->same = same ? a->same : 0;
    a->row[a->tokens] = row;
    a->token[a->tokens] = *token;
    a->token[a->tokens++].phase |= pass;
    return ES_OK;
}

/* ---- requests ---- */

static health_request *request_slot(health_request *table, uint64_t slots, uint32_t request)
{
    uint64_t at = (request * 0x9e3779b1u) & (slots - 1);
    while (table[at].tokens && table[at].request != request)
        at = (at + 1) & (slots - 1);
    return &table[at];
}

static health_request *health_request_of(es_health *h, uint32_t request)
{
    if (2 * h->requests >= h->request_slots) {
        const uint64_t slots = h->request_slots ? 2 * h->request_slots : 256;
        health_request *table = calloc(slots, sizeof *table);
        for (uint64_t i = 0; table && i < h->request_slots; i++)
            if (h->request[i].tokens)
                *request_slot(table, slots, h->request[i].request) = h->request[i];
        if (!table)
            return NULL;
        free(h->request);
        h->request = table;
        h->request_slots = slots;
    }
    return request_slot(h->request, h->request_slots, request);
}

static es_code health_request_token(es_health *h, uint64_t row, const es_token *token, es_err *err)
{
    health_request *r = health_request_of(h, token->request);
    if (!r)
        return es_err_nomem(err, "a health report");
    if (r->tokens == 0) {
        h->requests++;
        r->request = token->request;
        if (token->position > 0)
            health_count_one(h, &h->late, token, -1);
    } else if (token->position != r->next) {
        health_count_one(h, &h->gaps, token, -1);
    }
    r->next = token->position + 1;
    r->tokens++;
    r->digest = health_mix(r->digest, row);
    return ES_OK;
}

static int request_order(const void *a, const void *b)
{
    const health_request *x = a, *y = b;
    if (x->digest != y->digest)
        return x->digest < y->digest ? -1 : 1;
    return x->request < y->request ? -1 : x->request > y->request;
}

/* Those with the same rows throughout stand side by side when they are sorted; the hash is not needed any more. */
static void health_twins(es_health *h)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < h->request_slots; i++)
        if (h->request[i].tokens)
            h->request[count++] = h->request[i];
    if (count)
        qsort(h->request, count, sizeof *h->request, request_order);
    for (uint64_t i = 1; i < count; i++) {
        const health_request *a = &h->request[i - 1], *b = &h->request[i];
        if (a->digest != b->digest || a->tokens != b->tokens || a->tokens < HEALTH_RUN)
            continue;
        if (h->twins++ == 0 || b->request < h->twin.request)
            h->twin = (es_health_place){true, b->request, 0, -1};
    }
}

/* ---- the pass ---- */

static es_code health_token(es_health *h, const es_step *step, uint32_t t, es_err *err)
{
    const es_trace_info *info = h->info;
    const es_token *token = &step->token[t];
    const size_t cells = (size_t)info->layers * info->top_k;
    const uint16_t *ids = step->ids + t * cells;
    const bool follows = h->any && token->request == h->before.request && token->position == h->before.position + 1;
    uint64_t hash = 0;
    h->tokens[token->phase == ES_DECODE]++;
    for (uint32_t l = 0; l < info->layers; l++)
        health_row(h, ids + (size_t)l * info->top_k, step->weights ? step->weights + t * cells + (size_t)l * info->top_k : NULL, token, l, follows);
    for (size_t i = 0; i < cells; i++)
        hash = health_mix(hash, ids[i]);
    memcpy(h->last, ids, cells * sizeof *ids);
    h->before = *token;
    h->any = true;
    es_code code = health_request_token(h, hash, token, err);
    return code ? code : again_token(h, hash, token, err);
}

es_code es_health_step(es_health *h, const es_step *step, es_err *err)
{
    es_code code = ES_OK;
    h->train += step->train;
    for (uint32_t t = 0; t < step->tokens && step->ids && code == ES_OK; t++)
        code = health_token(h, step, t, err);
    return code;
}

es_code es_health_end(es_health *h, es_err *err)
{
    if (h->again.tokens > 0)
        again_end(h);
    health_twins(h);
    return health_judge(h, err);
}

const es_health_finding *es_health_findings(const es_health *h, size_t *count)
{
    *count = h->findings;
    return h->finding;
}

void es_health_free(es_health *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->findings; i++) {
        free(h->finding[i].found);
        free(h->finding[i].distorts);
    }
    free(h->uses);
    free(h->layer_rows);
    free(h->missing[0]);
    free(h->missing[1]);
    free(h->last);
    free(h->common);
    free(h->pairs);
    free(h->request);
    free(h->again.row);
    free(h->again.token);
    free(h->again.slot);
    free(h);
}
