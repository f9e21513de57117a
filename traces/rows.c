/* Rows: see rows.h.
 *
 * Rows are kept as they come, each with the number of its token and its layer, until all layers are known; then every row is copied
 * to its cell. A file that lists every cell in order, which most do, is in place already and is not copied. */
#include "traces/rows.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_LAYER_MAX = 65535 };

struct es_rows {
    es_trace_info info;
    bool confidence;                    /* rows come with guess_confidence */
    /* rows, in the order of the file */
    uint64_t rows, room;
    uint32_t *token_of;
    uint16_t *layer;
    uint16_t *ids, *guess;
    float *weights, *guess_confidence;
    uint8_t *residency;
    /* tokens and steps */
    es_token *token;
    uint64_t tokens, token_room;
    uint64_t *step_end, *step_record, steps, step_room;
    /* the step that is being read */
    uint64_t step_first, row_first;     /* its first token and row */
    uint32_t step_number;
    uint64_t hint, highest;             /* token of the row before; highest key of a token so far */
    bool sorted;                        /* its tokens came in order */
    uint32_t *hash;                     /* tokens of the step by key, 1 + number in the step; filled only when they come in no order */
    uint64_t hash_room, hashed;
    uint32_t highest_id;
};

es_code es_rows_new(es_rows **out, const es_trace_info *info, es_err *err)
{
    *out = NULL;
    es_rows *rows = calloc(1, sizeof *rows);
    if (!rows)
        return es_err_nomem(err, "a trace");
    rows->info = *info;
    rows->sorted = true;
    *out = rows;
    return ES_OK;
}

void es_rows_free(es_rows *rows)
{
    if (!rows)
        return;
    free(rows->token_of);
    free(rows->layer);
    free(rows->ids);
    free(rows->guess);
    free(rows->weights);
    free(rows->guess_confidence);
    free(rows->residency);
    free(rows->token);
    free(rows->step_end);
    free(rows->step_record);
    free(rows->hash);
    free(rows);
}

/* --- room ----------------------------------------------------------------------------------------------------------------------- */

static bool rows_room(es_rows *rows)
{
    uint64_t room = rows->room ? 2 * rows->room : 256, k = rows->info.top_k, g = rows->info.guesses;
    if (rows->rows < rows->room)
        return true;
    bool good = ES_TRACE_RESIZE(rows->token_of, room, 1) && ES_TRACE_RESIZE(rows->layer, room, 1) && ES_TRACE_RESIZE(rows->ids, room, k);
    good = good && (!rows->info.has_weights || ES_TRACE_RESIZE(rows->weights, room, k));
    good = good && (!rows->info.has_residency || ES_TRACE_RESIZE(rows->residency, room, k));
    good = good && (g == 0 || ES_TRACE_RESIZE(rows->guess, room, g));
    good = good && (!rows->confidence || ES_TRACE_RESIZE(rows->guess_confidence, room, g));
    if (good)
        rows->room = room;
    return good;
}

static bool rows_token_room(es_rows *rows)
{
    uint64_t room = rows->token_room ? 2 * rows->token_room : 256;
    if (rows->tokens < rows->token_room)
        return true;
    if (rows->tokens >= UINT32_MAX || !ES_TRACE_RESIZE(rows->token, room, 1))
        return false;
    rows->token_room = room;
    return true;
}

static bool rows_step_room(es_rows *rows)
{
    uint64_t room = rows->step_room ? 2 * rows->step_room : 256;
    if (rows->steps < rows->step_room)
        return true;
    if (!ES_TRACE_RESIZE(rows->step_end, room, 1) || !ES_TRACE_RESIZE(rows->step_record, room, 1))
        return false;
    rows->step_room = room;
    return true;
}

/* --- tokens of the step --------------------------------------------------------------------------------------------------------- */

static uint64_t rows_key(const es_token *token)
{
    return (uint64_t)token->request << 32 | token->position;
}

static uint64_t rows_slot(const es_rows *rows, uint64_t key)
{
    uint64_t mask = rows->hash_room - 1, at = es_mix(key) & mask;
    while (rows->hash[at] != 0 && rows_key(&rows->token[rows->step_first + rows->hash[at] - 1]) != key)
        at = (at + 1) & mask;
    return at;
}

/* Brings the hash up to date with the tokens of the step. */
static bool rows_hash(es_rows *rows)
{
    uint64_t count = rows->tokens - rows->step_first, room = rows->hash_room ? rows->hash_room : 256;
    while (room < 2 * count + 2)
        room *= 2;
    if (room != rows->hash_room) {
        uint32_t *hash = calloc(room, sizeof *hash);
        if (!hash)
            return false;
        free(rows->hash);
        rows->hash = hash;
        rows->hash_room = room;
        rows->hashed = 0;
    }
    for (; rows->hashed < count; rows->hashed++)
        rows->hash[rows_slot(rows, rows_key(&rows->token[rows->step_first + rows->hashed]))] = (uint32_t)rows->hashed + 1;
    return true;
}

/* The row's token among those of the step, made when it is new. Most rows belong to the token of the row before, to the one behind
 * it, or begin the next layer with the first; a key above all others is a new token; only then is anything searched for. */
static es_code rows_token(es_rows *rows, const es_row *row, uint64_t *out, es_err *err)
{
    es_token token = { row->request, row->position, row->phase };
    uint64_t key = rows_key(&token), guess[3] = { rows->hint, rows->hint + 1, rows->step_first };
    bool first = rows->tokens == rows->step_first;
    for (int i = 0; i < 3; i++) {
        if (guess[i] >= rows->step_first && guess[i] < rows->tokens && rows_key(&rows->token[guess[i]]) == key) {
            *out = guess[i];
            return ES_OK;
        }
    }
    if (!first && key < rows->highest) {
        if (!rows_hash(rows))
            return es_err_nomem(err, "the tokens of a step");
        uint32_t found = rows->hash[rows_slot(rows, key)];
        if (found > 0) {
            *out = rows->step_first + found - 1;
            return ES_OK;
        }
        rows->sorted = false;
    }
    if (!rows_token_room(rows))
        return es_err_nomem(err, "the tokens of a trace");
    if (first || key > rows->highest)
        rows->highest = key;
    *out = rows->tokens;
    rows->token[rows->tokens++] = token;
    return ES_OK;
}

typedef struct rows_order { uint64_t key; uint32_t from; } rows_order;

static int rows_compare(const void *a, const void *b)
{
    uint64_t x = ((const rows_order *)a)->key, y = ((const rows_order *)b)->key;
    return (x > y) - (x < y);
}

/* Sorts the step's tokens and tells its rows their new numbers. */
static es_code rows_sort(es_rows *rows, es_err *err)
{
    uint64_t count = rows->tokens - rows->step_first;
    rows_order *order = malloc(count * sizeof *order);
    uint32_t *place = malloc(count * sizeof *place);
    es_token *token = malloc(count * sizeof *token), *held = rows->token + rows->step_first;
    if (order && place && token) {
        for (uint64_t i = 0; i < count; i++)
            order[i] = (rows_order){ rows_key(&held[i]), (uint32_t)i };
        qsort(order, count, sizeof *order, rows_compare);
        memcpy(token, held, count * sizeof *token);
        for (uint64_t i = 0; i < count; i++) {
            held[i] = token[order[i].from];
            place[order[i].from] = (uint32_t)i;
        }
        for (uint64_t i = rows->row_first; i < rows->rows; i++)
            rows->token_of[i] = (uint32_t)rows->step_first + place[rows->token_of[i] - rows->step_first];
    }
    es_code code = order && place && token ? ES_OK : es_err_nomem(err, "the tokens of a step");
    free(order);
    free(place);
    free(token);
    return code;
}

/* --- steps ---------------------------------------------------------------------------------------------------------------------- */

static es_code rows_end_step(es_rows *rows, es_err *err)
{
    if (rows->tokens == rows->step_first)
        return ES_OK;
    if (!rows->sorted) {
        es_code code = rows_sort(rows, err);
        if (code)
            return code;
    }
    if (rows->hashed > 0)
        memset(rows->hash, 0, rows->hash_room * sizeof *rows->hash);
    rows->hashed = 0;
    rows->sorted = true;
    rows->step_end[rows->steps++] = rows->tokens;
    rows->step_first = rows->hint = rows->tokens;
    rows->row_first = rows->rows;
    return ES_OK;
}

static bool rows_same_step(const es_rows *rows, const es_row *row)
{
    if (rows->tokens == rows->step_first)
        return false;
    if (row->step != ES_ROWS_NO_STEP)
        return row->step == rows->step_number;
    const es_token *token = &rows->token[rows->step_first];
    return token->request == row->request && token->phase == row->phase && (row->phase == ES_PREFILL || token->position == row->position);
}

static es_code rows_step(es_rows *rows, const es_row *row, es_err *err)
{
    if (rows_same_step(rows, row))
        return ES_OK;
    es_code code = rows_end_step(rows, err);
    if (code)
        return code;
    if (row->step != ES_ROWS_NO_STEP && rows->steps > 0 && row->step < rows->step_number)
        return es_err_set(err, ES_EINPUT, "step %u comes after step %u; steps must ascend, and the rows of a step stand together", row->step, rows->step_number);
    if (!rows_step_room(rows))
        return es_err_nomem(err, "the steps of a trace");
    rows->step_number = row->step;
    rows->step_record[rows->steps] = row->record;
    return ES_OK;
}

/* --- one row -------------------------------------------------------------------------------------------------------------------- */

static es_code rows_check(es_rows *rows, const es_row *row, es_err *err)
{
    if (row->layer > ROWS_LAYER_MAX)
        return es_err_set(err, ES_EINPUT, "layer %u is above %d, the highest", row->layer, ROWS_LAYER_MAX);
    for (uint32_t i = 0; i < row->count; i++) {
        uint16_t id = row->ids[i];
        if (id == ES_NO_EXPERT || (rows->info.experts > 0 && id >= rows->info.experts))
            return es_err_set(err, ES_EINPUT, "expert %u is above %u, the highest", id, rows->info.experts > 0 ? rows->info.experts - 1 : ES_TRACE_EXPERTS_MAX - 1);
        for (uint32_t j = 0; j < i; j++)
            if (row->ids[j] == id)
                return es_err_set(err, ES_EINPUT, "expert %u is listed twice", id);
        if (id > rows->highest_id)
            rows->highest_id = id;
    }
    for (uint32_t i = 0; i < row->guesses; i++) {
        uint16_t id = row->guess[i];
        if (id == ES_NO_EXPERT || (rows->info.experts > 0 && id >= rows->info.experts))
            return es_err_set(err, ES_EINPUT, "guessed expert %u is above %u, the highest", id, rows->info.experts > 0 ? rows->info.experts - 1 : ES_TRACE_EXPERTS_MAX - 1);
        if (id > rows->highest_id)
            rows->highest_id = id;
    }
    return ES_OK;
}

static void rows_ids(uint16_t *to, const uint16_t *from, uint32_t count, uint32_t width)
{
    for (uint32_t i = 0; i < width; i++)
        to[i] = i < count ? from[i] : ES_NO_EXPERT;
}

es_code es_rows_add(es_rows *rows, const es_row *row, es_err *err)
{
    uint32_t k = rows->info.top_k, g = rows->info.guesses;
    uint64_t at = 0;
    if (rows->rows == 0)
        rows->confidence = g > 0 && row->guess_confidence;
    es_code code = rows_check(rows, row, err);
    if (!code)
        code = rows_step(rows, row, err);
    if (!code)
        code = rows_token(rows, row, &at, err);
    if (code)
        return code;
    if (rows->token[at].phase != row->phase)
        return es_err_set(err, ES_EINPUT, "request %u, token %u was of the other phase before", row->request, row->position);
    rows->hint = at;
    if (!rows_room(rows))
        return es_err_nomem(err, "the rows of a trace");
    uint64_t r = rows->rows++;
    rows->token_of[r] = (uint32_t)at;
    rows->layer[r] = (uint16_t)row->layer;
    rows_ids(rows->ids + r * k, row->ids, row->count, k);
    for (uint32_t i = 0; rows->info.has_weights && i < k; i++)
        rows->weights[r * k + i] = i < row->count ? row->weights[i] : 0.0f;
    for (uint32_t i = 0; rows->info.has_residency && i < k; i++)
        rows->residency[r * k + i] = i < row->count ? row->residency[i] : 0;
    if (g > 0)
        rows_ids(rows->guess + r * g, row->guess, row->guesses, g);
    for (uint32_t i = 0; rows->confidence && i < g; i++)
        rows->guess_confidence[r * g + i] = i < row->guesses ? row->guess_confidence[i] : 0.0f;
    return ES_OK;
}

/* --- the trace ------------------------------------------------------------------------------------------------------------------ */

/* Which layers occur, ascending; rank[] says which of them a layer is. */
static uint32_t rows_layers(const es_rows *rows, uint32_t *number, uint16_t *rank)
{
    uint32_t layers = 0;
    for (uint64_t r = 0; r < rows->rows; r++)
        rank[rows->layer[r]] = 1;
    for (uint32_t i = 0; i <= ROWS_LAYER_MAX; i++)
        if (rank[i]) {
            rank[i] = (uint16_t)layers;
            number[layers++] = i;
        }
    return layers;
}

static bool rows_in_place(const es_rows *rows, uint32_t layers, const uint16_t *rank)
{
    if (rows->rows != rows->tokens * layers)
        return false;
    for (uint64_t r = 0; r < rows->rows; r++)
        if (rows->token_of[r] * (uint64_t)layers + rank[rows->layer[r]] != r)
            return false;
    return true;
}

/* Copies what the rows have to their cells; a cell that is filled already was listed before. */
static es_code rows_place(const es_rows *rows, es_trace *trace, const uint16_t *rank, es_err *err)
{
    uint64_t k = trace->info.top_k, g = trace->info.guesses, cells = trace->tokens * trace->info.layers;
    bool good = ES_TRACE_RESIZE(trace->ids, cells, k) && (!trace->keeps_weights || ES_TRACE_RESIZE(trace->weights, cells, k));
    good = good && (!trace->keeps_residency || ES_TRACE_RESIZE(trace->residency, cells, k)) && (g == 0 || ES_TRACE_RESIZE(trace->guess, cells, g));
    good = good && (!rows->confidence || ES_TRACE_RESIZE(trace->guess_confidence, cells, g));
    uint64_t *seen = good ? calloc(cells / 64 + 1, sizeof *seen) : NULL;
    if (!seen)
        return es_err_nomem(err, "a trace");
    memset(trace->ids, 0xff, cells * k * sizeof *trace->ids);
    if (trace->weights)
        memset(trace->weights, 0, cells * k * sizeof *trace->weights);
    if (trace->residency)
        memset(trace->residency, 0, cells * k);
    if (trace->guess)
        memset(trace->guess, 0xff, cells * g * sizeof *trace->guess);
    if (trace->guess_confidence)
        memset(trace->guess_confidence, 0, cells * g * sizeof *trace->guess_confidence);
    es_code code = ES_OK;
    for (uint64_t r = 0; r < rows->rows && !code; r++) {
        uint64_t cell = rows->token_of[r] * (uint64_t)trace->info.layers + rank[rows->layer[r]];
        const es_token *token = &trace->token[rows->token_of[r]];
        if (seen[cell >> 6] >> (cell & 63) & 1)
            code = es_err_set(err, ES_EINPUT, "request %u, token %u, layer %u is listed twice", token->request, token->position, rows->layer[r]);
        seen[cell >> 6] |= 1ull << (cell & 63);
        memcpy(trace->ids + cell * k, rows->ids + r * k, k * sizeof *rows->ids);
        if (trace->weights)
            memcpy(trace->weights + cell * k, rows->weights + r * k, k * sizeof *rows->weights);
        if (trace->residency)
            memcpy(trace->residency + cell * k, rows->residency + r * k, k);
        if (trace->guess)
            memcpy(trace->guess + cell * g, rows->guess + r * g, g * sizeof *rows->guess);
        if (trace->guess_confidence)
            memcpy(trace->guess_confidence + cell * g, rows->guess_confidence + r * g, g * sizeof *rows->guess_confidence);
    }
    free(seen);
    return code;
}

static void rows_hand_over(es_rows *rows, es_trace *trace)
{
    trace->ids = rows->ids;
    trace->weights = rows->weights;
    trace->residency = rows->residency;
    trace->guess = rows->guess;
    trace->guess_confidence = rows->guess_confidence;
    rows->ids = rows->guess = NULL;
    rows->weights = rows->guess_confidence = NULL;
    rows->residency = NULL;
    rows->rows = rows->room = 0;
}

/* The steps once more, against the rules that hold for every trace. */
static es_code rows_tally(es_trace *trace, uint64_t steps, es_err *err)
{
    es_trace_cursor cursor = { trace, 0 };
    es_code code = ES_OK;
    trace->info.steps = steps;
    for (bool more = true; !code && more;) {
        es_step step;
        code = es_trace_cursor_next(&cursor, &step, &more, err);
        if (!code && more && (code = es_tally_step(&trace->tally, &trace->info, &step, err)) != ES_OK)
            es_err_at(err, "the step that begins on line %llu", (unsigned long long)step.record);
    }
    es_tally_into(&trace->tally, &trace->info);
    return code;
}

es_code es_rows_finish(es_rows *rows, es_trace **out, es_err *err)
{
    es_trace *trace = NULL;
    *out = NULL;
    es_code code = rows_end_step(rows, err);
    uint32_t *number = calloc(ROWS_LAYER_MAX + 1, sizeof *number);
    uint16_t *rank = calloc(ROWS_LAYER_MAX + 1, sizeof *rank);
    if (!code && (!number || !rank))
        code = es_err_nomem(err, "a trace");
    else if (!code && rows->rows == 0)
        code = es_err_set(err, ES_EINPUT, "there are no rows");
    if (!code) {
        rows->info.layers = rows_layers(rows, number, rank);
        rows->info.layer_number = number;
        if (rows->info.experts == 0)
            rows->info.experts = rows->highest_id + 1;
        /* a small file could otherwise ask for any amount of memory: a layer per row, a token per row */
        if (rows->tokens * rows->info.layers > 64 * rows->rows + (1u << 20))
            code = es_err_set(err, ES_EINPUT, "%llu rows are too few for %llu tokens of %u layers", (unsigned long long)rows->rows,
                (unsigned long long)rows->tokens, rows->info.layers);
    }
    if (!code)
        code = es_trace_new(&trace, &rows->info, err);
    if (!code) {
        trace->token = rows->token;
        trace->step_end = rows->step_end;
        trace->step_record = rows->step_record;
        trace->tokens = trace->room = rows->tokens;
        trace->step_room = rows->steps;
        trace->keeps_confidence = rows->confidence;
        rows->token = NULL;
        rows->step_end = rows->step_record = NULL;
        if (rows_in_place(rows, trace->info.layers, rank))
            rows_hand_over(rows, trace);
        else
            code = rows_place(rows, trace, rank, err);
    }
    if (!code)
        code = rows_tally(trace, rows->steps, err);
    free(number);
    free(rank);
    if (code)
        es_trace_free(trace);
    else
        *out = trace;
    return code;
}
