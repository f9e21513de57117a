/* Stream, the half that takes rows: see stream.h. */
#include "traces/stream_inside.h"

#include <stdlib.h>
#include <string.h>

#include "traces/assume.h"

es_code es_stream_new(es_row_stream **out, const es_trace_info *shape, const es_stream_rules *rules, es_err *err)
{
    es_row_stream *stream = calloc(1, sizeof *stream);
    *out = stream;
    if (!stream)
        return es_err_nomem(err, "a trace");
    stream->info = *shape;
    stream->weighted = shape->has_weights;
    stream->resident = shape->has_residency;
    stream->guesses = shape->guesses;
    stream->rules = *rules;
    stream->rules.unit = rules->unit ? rules->unit : "line";
    stream->sorted = stream->rising[0] = stream->rising[1] = true;
    return es_spool_new(&stream->spool, err);
}

void es_stream_free(es_row_stream *stream)
{
    if (!stream)
        return;
    es_spool_free(stream->spool);
    es_tally_free(&stream->tally);
    free(stream->rows_of[0]);
    free(stream->rows_of[1]);
    free(stream->occurs);
    free(stream->token);
    free(stream->hash);
    free(stream->bytes);
    free(stream->layer_number);
    free(stream->rank);
    free(stream->given);
    free(stream->ids);
    free(stream->guess);
    free(stream->weights);
    free(stream->confidence);
    free(stream->residency);
    free(stream);
}

/* --- tokens of the step --------------------------------------------------------------------------------------------------------- */

static uint64_t stream_key(const es_token *token)
{
    return (uint64_t)token->request << 32 | token->position;
}

static uint64_t stream_slot(const es_row_stream *stream, uint64_t key)
{
    uint64_t mask = stream->hash_room - 1, at = es_mix(key) & mask;
    while (stream->hash[at] != 0 && stream_key(&stream->token[stream->hash[at] - 1]) != key)
        at = (at + 1) & mask;
    return at;
}

/* Brings the hash up to date with the tokens of the step. It is made only when they come in no order. */
static bool stream_hash(es_row_stream *stream)
{
    uint64_t room = stream->hash_room ? stream->hash_room : 256;
    while (room < 2 * stream->tokens + 2)
        room *= 2;
    if (room != stream->hash_room) {
        uint32_t *hash = calloc(room, sizeof *hash);
        if (!hash)
            return false;
        free(stream->hash);
        stream->hash = hash;
        stream->hash_room = room;
        stream->hashed = 0;
    }
    for (; stream->hashed < stream->tokens; stream->hashed++)
        stream->hash[stream_slot(stream, stream_key(&stream->token[stream->hashed]))] = (uint32_t)stream->hashed + 1;
    return true;
}

bool stream_token_room(es_row_stream *stream)
{
    uint64_t room = stream->token_room ? 2 * stream->token_room : 64;
    if (stream->tokens < stream->token_room)
        return true;
    if (stream->tokens >= UINT32_MAX || !ES_TRACE_RESIZE(stream->token, room, 1))
        return false;
    stream->token_room = room;
    return true;
}

/* The row's token among those of the step, made when it is new. Most rows belong to the token of the row before, to the one behind
 * it, or begin the next layer with the first; a key above all others is a new token; only then is anything searched for. */
static es_code stream_token(es_row_stream *stream, const es_row *row, uint64_t *out, es_err *err)
{
    const es_token token = { row->request, row->position, row->phase };
    const uint64_t key = stream_key(&token), likely[3] = { stream->hint, stream->hint + 1, 0 };
    for (int i = 0; i < 3; i++)
        if (likely[i] < stream->tokens && stream_key(&stream->token[likely[i]]) == key) {
            *out = likely[i];
            return ES_OK;
        }
    if (stream->tokens > 0 && key < stream->highest) {
        if (!stream_hash(stream))
            return es_err_nomem(err, "the tokens of a step");
        uint32_t found = stream->hash[stream_slot(stream, key)];
        if (found > 0) {
            *out = found - 1;
            return ES_OK;
        }
        stream->sorted = false;
    }
    if (!stream_token_room(stream))
        return es_err_nomem(err, "the tokens of a step");
    if (stream->tokens == 0 || key > stream->highest)
        stream->highest = key;
    *out = stream->tokens;
    stream->token[stream->tokens++] = token;
    return ES_OK;
}

/* --- the end of a step ---------------------------------------------------------------------------------------------------------- */

typedef struct stream_order { uint64_t key, from; } stream_order;

static int stream_compare(const void *a, const void *b)
{
    uint64_t x = ((const stream_order *)a)->key, y = ((const stream_order *)b)->key;
    return x != y ? (x > y) - (x < y) : (((const stream_order *)a)->from > ((const stream_order *)b)->from) * 2 - 1;
}

/* Tells the rows of the step the new numbers of their tokens. */
static void stream_renumber(es_row_stream *stream, const uint32_t *place)
{
    for (size_t at = 0; at < stream->held;) {
        stream_row row;
        memcpy(&row, stream->bytes + at, sizeof row);
        row.token = place[row.token];
        memcpy(stream->bytes + at, &row, sizeof row);
        at += stream_row_bytes(stream, &row);
    }
}

static es_code stream_sort_tokens(es_row_stream *stream, es_err *err)
{
    const uint64_t count = stream->tokens;
    stream_order *order = malloc(count * sizeof *order);
    uint32_t *place = malloc(count * sizeof *place);
    es_token *token = malloc(count * sizeof *token);
    if (order && place && token) {
        for (uint64_t i = 0; i < count; i++)
            order[i] = (stream_order){ stream_key(&stream->token[i]), i };
        qsort(order, count, sizeof *order, stream_compare);
        memcpy(token, stream->token, count * sizeof *token);
        for (uint64_t i = 0; i < count; i++) {
            stream->token[i] = token[order[i].from];
            place[order[i].from] = (uint32_t)i;
        }
        stream_renumber(stream, place);
    }
    es_code code = order && place && token ? ES_OK : es_err_nomem(err, "the tokens of a step");
    free(order);
    free(place);
    free(token);
    return code;
}

/* Rows that rise neither by token nor by layer: is one there twice? */
static es_code stream_check_twice(es_row_stream *stream, es_err *err)
{
    stream_order *order = malloc(stream->rows * sizeof *order);
    if (!order)
        return es_err_nomem(err, "the rows of a step");
    uint32_t count = 0;
    for (size_t at = 0; at < stream->held; count++) {
        stream_row row;
        memcpy(&row, stream->bytes + at, sizeof row);
        order[count] = (stream_order){ (uint64_t)row.token << 16 | row.layer, row.record };
        at += stream_row_bytes(stream, &row);
    }
    qsort(order, count, sizeof *order, stream_compare);
    es_code code = ES_OK;
    for (uint32_t i = 1; i < count && !code; i++)
        if (order[i].key == order[i - 1].key) {
            const es_token *token = &stream->token[order[i].key >> 16];
            code = es_err_set(err, ES_EINPUT, "request %u, token %u, layer %u is listed twice, on %s %llu and on %s %llu", token->request, token->position,
                (unsigned)(order[i].key & 0xffff), stream->rules.unit, (unsigned long long)order[i - 1].from, stream->rules.unit, (unsigned long long)order[i].from);
        }
    free(order);
    return code;
}

static void stream_clear(es_row_stream *stream)
{
    if (stream->hashed > 0)
        memset(stream->hash, 0, stream->hash_room * sizeof *stream->hash);
    stream->hashed = stream->tokens = stream->hint = stream->highest = stream->rows = 0;
    stream->held = 0;
    stream->sorted = stream->rising[0] = stream->rising[1] = true;
}

es_code stream_end_step(es_row_stream *stream, es_err *err)
{
    es_code code = ES_OK;
    if (stream->tokens == 0)
        return ES_OK;
    if (!stream->rising[0] && !stream->rising[1])
        code = stream_check_twice(stream, err);
    if (!code && !stream->sorted)
        code = stream_sort_tokens(stream, err);
    if (code)
        return code;
    stream->back = stream->back || (stream->rules.any_order && stream->token[0].position < es_tally_next(&stream->tally, stream->token[0].request));
    if (!stream->back) {
        code = es_tally_tokens(&stream->tally, &(es_step){ .token = stream->token, .tokens = (uint32_t)stream->tokens }, err);
        stream->tally.steps++;
        if (code)
            return es_err_at(err, "the step that begins on %s %llu", stream->rules.unit, (unsigned long long)stream->record), code;
    }
    const stream_step head = { stream->record, stream->held, stream->rows, stream->tokens };
    code = es_spool_add(stream->spool, &head, sizeof head, err);
    if (!code)
        code = es_spool_add(stream->spool, stream->token, stream->tokens * sizeof *stream->token, err);
    if (!code)
        code = es_spool_add(stream->spool, stream->bytes, stream->held, err);
    stream_clear(stream);
    return code;
}

static bool stream_same_step(const es_row_stream *stream, const es_row *row)
{
    if (stream->tokens == 0)
        return false;
    if (row->step != ES_ROW_NO_STEP)
        return row->step == stream->number;
    const es_token *token = &stream->token[0];
    return token->request == row->request && token->phase == row->phase && (row->phase == ES_PREFILL || token->position == row->position);
}

static es_code stream_begin(es_row_stream *stream, const es_row *row, es_err *err)
{
    const bool first = stream->tokens == 0 && es_spool_length(stream->spool) == 0;
    es_code code = stream_end_step(stream, err);
    if (code)
        return code;
    if (row->step != ES_ROW_NO_STEP && !first && row->step < stream->number)
        return es_err_set(err, ES_EINPUT, "step %u comes after step %u; steps must ascend, and the rows of a step stand together", row->step, stream->number);
    stream->number = row->step;
    stream->record = row->record;
    return ES_OK;
}

/* --- one row -------------------------------------------------------------------------------------------------------------------- */

/* Is an id of a row there twice? Pairs for a short row, a bit per expert for a long one. */
static bool stream_twice(const uint16_t *ids, uint32_t count, uint16_t *which)
{
    if (count <= 16) {
        for (uint32_t i = 1; i < count; i++)
            for (uint32_t j = 0; j < i; j++)
                if (ids[j] == ids[i]) {
                    *which = ids[i];
                    return true;
                }
        return false;
    }
    uint64_t seen[(UINT16_MAX + 1) / 64] = { 0 };
    for (uint32_t i = 0; i < count; i++) {
        if (seen[ids[i] >> 6] >> (ids[i] & 63) & 1) {
            *which = ids[i];
            return true;
        }
        seen[ids[i] >> 6] |= 1ull << (ids[i] & 63);
    }
    return false;
}

static es_code stream_ids(es_row_stream *stream, const char *what, const uint16_t *ids, uint32_t count, uint32_t width, es_err *err)
{
    const uint32_t experts = stream->info.experts > 0 ? stream->info.experts : ES_TRACE_EXPERTS_MAX;
    uint32_t highest = 0;
    if (width > 0 && count > width)
        return es_err_set(err, ES_EINPUT, "lists %u %ss, more than %u, as many as a row has", count, what, width);
    if (count > ES_TRACE_TOP_K_MAX)
        return es_err_set(err, ES_EINPUT, "lists %u %ss, more than %d, the most", count, what, ES_TRACE_TOP_K_MAX);
    for (uint32_t i = 0; i < count; i++)
        highest = ids[i] > highest ? ids[i] : highest;
    if (count > 0 && highest >= experts)
        return es_err_set(err, ES_EINPUT, "%s %u is above %u, the highest%s", what, highest, experts - 1, es_trace_places(stream->info.experts > 0));
    stream->highest_id = highest > stream->highest_id ? highest : stream->highest_id;
    return ES_OK;
}

/* Room for what is counted of a layer. */
static bool stream_layer_room(es_row_stream *stream, uint32_t layer)
{
    uint32_t old = stream->layer_room, room = old ? old : 64;
    while (room <= layer)
        room *= 2;
    if (room == old)
        return true;
    if (!ES_TRACE_RESIZE(stream->rows_of[0], room, 1) || !ES_TRACE_RESIZE(stream->rows_of[1], room, 1) || !ES_TRACE_RESIZE(stream->occurs, room, 1))
        return false;
    memset(stream->rows_of[0] + old, 0, (room - old) * sizeof *stream->rows_of[0]);
    memset(stream->rows_of[1] + old, 0, (room - old) * sizeof *stream->rows_of[1]);
    memset(stream->occurs + old, 0, room - old);
    stream->layer_room = room;
    return true;
}

static es_code stream_check(es_row_stream *stream, const es_row *row, es_err *err)
{
    uint16_t twice = 0;
    if (row->layer >= STREAM_LAYERS)
        return es_err_set(err, ES_EINPUT, "layer %u is above %d, the highest", row->layer, STREAM_LAYERS - 1);
    if (row->layer >= stream->layer_room && !stream_layer_room(stream, row->layer))
        return es_err_nomem(err, "the layers of a trace");
    if (row->position == UINT32_MAX)
        return es_err_set(err, ES_EINPUT, "request %u: token %u is above %u, the highest", row->request, row->position, UINT32_MAX - 1);
    es_code code = stream_ids(stream, "expert", row->ids, row->count, stream->info.top_k, err);
    if (!code && row->guesses > 0)
        code = stream_ids(stream, "guessed expert", row->guess, row->guesses, stream->guesses, err);
    if (!code && stream_twice(row->ids, row->count, &twice))
        code = es_err_set(err, ES_EINPUT, "expert %u is listed twice", twice);
    return code;
}

/* What the row says about the whole: layers, lengths. */
static void stream_mark(es_row_stream *stream, const es_row *row)
{
    stream->occurs[row->layer] = 1;
    stream->longest_guess = row->guesses > stream->longest_guess ? row->guesses : stream->longest_guess;
    if (row->count == 0)
        return;
    stream->rows_of[row->phase == ES_DECODE][row->layer]++;
    stream->tally.accesses += row->count;
    if (stream->filled++ == 0)
        stream->longest = stream->shortest = row->count;
    if ((row->count > stream->longest || row->count < stream->shortest) && !stream->mixed) {
        stream->mixed = true;
        stream->mixed_count = row->count;
        stream->first_mixed = (stream_place){ row->request, row->position, row->layer, row->record };
    }
    stream->longest = row->count > stream->longest ? row->count : stream->longest;
    stream->shortest = row->count < stream->shortest ? row->count : stream->shortest;
}

bool stream_bytes_room(es_row_stream *stream, size_t bytes)
{
    const size_t room = stream->room ? 2 * stream->room : 2 * STREAM_ROW_MOST;
    if (stream->held + bytes <= stream->room)
        return true;
    if (!ES_TRACE_RESIZE(stream->bytes, room, 1))
        return false;
    stream->room = room;
    return true;
}

/* What a row's weights sum to, and whether they fall from expert to expert. */
static void stream_weigh(es_row_stream *stream, const es_row *row)
{
    float sum = 0.0f;
    bool falls = true;
    for (uint32_t i = 0; i < row->count; i++) {
        sum += row->weights[i];
        falls = falls && (i == 0 || row->weights[i] <= row->weights[i - 1]);
    }
    if (row->count == 0 || sum != sum)
        return;
    if (!falls && stream->unordered++ == 0)
        stream->first_unordered = (stream_place){ row->request, row->position, row->layer, row->record };
    if (stream->summed++ == 0)
        stream->least_sum = stream->most_sum = sum;
    stream->least_sum = sum < stream->least_sum ? sum : stream->least_sum;
    stream->most_sum = sum > stream->most_sum ? sum : stream->most_sum;
}

static unsigned char *stream_put(unsigned char *to, const void *from, size_t bytes)
{
    const unsigned char *p = from;
    for (size_t i = 0; i < bytes; i++)      /* a few bytes: a call would cost more */
        to[i] = p[i];
    return to + bytes;
}

static es_code stream_pack(es_row_stream *stream, const es_row *row, uint32_t token, es_err *err)
{
    const bool confident = row->guess_confidence && row->guesses > 0;
    const stream_row head = { row->record, token, (uint16_t)row->layer, (uint16_t)row->count, (uint16_t)row->guesses, confident, row->phase };
    const size_t bytes = stream_row_bytes(stream, &head);
    if (!stream_bytes_room(stream, bytes))
        return es_err_nomem(err, "the rows of a step");
    unsigned char *to = stream_put(stream->bytes + stream->held, &head, sizeof head);
    if (stream->weighted)
        to = stream_put(to, row->weights, row->count * sizeof *row->weights);
    if (confident)
        to = stream_put(to, row->guess_confidence, row->guesses * sizeof *row->guess_confidence);
    to = stream_put(to, row->ids, row->count * sizeof *row->ids);
    if (row->guesses > 0)
        to = stream_put(to, row->guess, row->guesses * sizeof *row->guess);
    if (stream->resident)
        stream_put(to, row->residency, row->count);
    stream->held += bytes;
    return ES_OK;
}

es_code es_stream_expect(es_row_stream *stream, uint32_t experts, uint32_t top_k, uint32_t guesses, es_err *err)
{
    if (experts > ES_TRACE_EXPERTS_MAX || top_k > ES_TRACE_TOP_K_MAX || guesses > ES_TRACE_TOP_K_MAX)
        return es_err_set(err, ES_EINPUT, "%u experts, top_k %u and %u guesses are not up to %d, %d and %d", experts, top_k, guesses, ES_TRACE_EXPERTS_MAX, ES_TRACE_TOP_K_MAX,
            ES_TRACE_TOP_K_MAX);
    stream->info.experts = experts > 0 ? experts : stream->info.experts;
    stream->info.top_k = top_k > 0 ? top_k : stream->info.top_k;
    stream->guesses = stream->info.guesses = guesses > 0 ? guesses : stream->guesses;
    return ES_OK;
}

es_code es_stream_add(es_row_stream *stream, const es_row *row, es_err *err)
{
    uint64_t at = 0;
    if (stream->rules.carried && stream->tokens == 0 && es_spool_length(stream->spool) == 0) {
        stream->weighted = row->weights != NULL;
        stream->resident = row->residency != NULL;
    }
    es_code code = stream_check(stream, row, err);
    if (!code && !stream_same_step(stream, row))
        code = stream_begin(stream, row, err);
    const uint64_t before = stream->tokens;
    if (!code)
        code = stream_token(stream, row, &at, err);
    if (code)
        return code;
    stream->last_new = stream->tokens > before;
    stream->last_at = stream->held;
    stream->last_record = row->record;
    if (stream->token[at].phase != row->phase)
        return es_err_set(err, ES_EINPUT, "request %u, token %u was of the other phase before", row->request, row->position);
    stream->hint = at;
    const uint64_t order[2] = { at << 16 | row->layer, (uint64_t)row->layer << 32 | at };
    for (int i = 0; i < 2; i++) {
        stream->rising[i] = stream->rising[i] && (stream->rows == 0 || order[i] > stream->last[i]);
        stream->last[i] = order[i];
    }
    stream->rows++;
    stream->last_layer = row->layer;
    stream->confident = stream->confident || (row->guess_confidence && row->guesses > 0);
    stream_mark(stream, row);
    if (stream->rules.weigh && stream->weighted)
        stream_weigh(stream, row);
    return stream_pack(stream, row, (uint32_t)at, err);
}
