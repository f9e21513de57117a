/* Events: see events.h. Nearly every event of a real run is one row of one token: such steps are copied as a block. Unions, with what is
 * repeated in them and the order of last use, are made only where several rows meet. */
#include "sim/curve/events.h"

typedef struct events_reader {
    es_events *out;
    const es_events_ask *ask;
    const es_trace_info *info;
    es_arena *arena;
    es_err *err;
    uint16_t *id, *touch, *repeats;     /* touch and repeats: NULL until several rows meet */
    uint64_t *begin;
    uint16_t *layer;
    uint32_t *step, *request;
    uint8_t *flags;
    uint64_t lookups, room, event_room;
    uint32_t count, last_request;
    uint8_t fresh;                      /* ES_EVENT_FRESH: the next event is the first of its request */
    uint32_t words;                     /* of a mask of a layer's experts */
    uint64_t *mask, *seen;              /* [words] */
    uint16_t *slot;                     /* [experts] place in the event at hand */
    bool repeated;                      /* some event repeats an expert */
} events_reader;

static uint32_t events_length(const uint16_t *ids, uint32_t top_k)
{
    uint32_t n = top_k;
    while (n > 0 && ids[n - 1] == ES_NO_EXPERT)
        n--;
    return n;
}

static const uint16_t *events_row(const events_reader *r, const es_step *step, uint32_t row, uint32_t layer, uint32_t *count)
{
    const uint16_t *ids = step->ids + ((size_t)row * r->info->layers + layer) * r->info->top_k;
    *count = events_length(ids, r->info->top_k);
    return ids;
}

static es_code events_twice(const events_reader *r, const es_token *token, uint32_t layer)
{
    return es_err_set(r->err, ES_EINPUT, "trace: request %u, token %u, layer %u lists an expert twice; the ids of a row must differ", token->request,
        token->position, r->info->layer_number[layer]);
}

static es_code events_long(const events_reader *r)
{
    return es_err_set(r->err, ES_EINPUT, "trace: lists more than the %llu experts it says", (unsigned long long)r->room);
}

/* ---- one step ---- */

/* Do the ids of a row differ? */
static inline bool events_differ(const events_reader *r, const uint16_t *ids, uint32_t n)
{
    uint32_t distinct = 0;
    if (r->words == 1) {
        uint64_t word = 0;
        for (uint32_t i = 0; i < n; i++)
            word |= 1ull << (ids[i] & 63);
        return (uint32_t)__builtin_popcountll(word) == n;
    }
    memset(r->mask, 0, r->words * sizeof *r->mask);
    for (uint32_t i = 0; i < n; i++)
        r->mask[ids[i] >> 6] |= 1ull << (ids[i] & 63);
    for (uint32_t w = 0; w < r->words; w++)
        distinct += (uint32_t)__builtin_popcountll(r->mask[w]);
    return distinct == n;
}

/* An event of n lookups that stand in id[lookups ..]. */
static inline void events_add(events_reader *r, uint32_t layer, uint32_t n, uint32_t request, uint8_t flags)
{
    const uint32_t e = r->count++;
    es_events *out = r->out;
    r->begin[e] = r->lookups;
    r->layer[e] = (uint16_t)layer;
    r->step[e] = out->steps;
    r->request[e] = request;
    r->flags[e] = flags | r->fresh;
    r->fresh = 0;
    r->lookups += n;
    out->widest = n > out->widest ? n : out->widest;
    out->least = n < out->least ? n : out->least;
}

/* Room for the events of one more row? Behind the end there is room for one row more, so that this is asked once a row. */
static inline bool events_fit(const events_reader *r)
{
    return r->lookups <= r->room && r->count <= r->event_room;
}

/* The event of one row in a layer. */
static inline es_code events_one(events_reader *r, const es_step *step, uint32_t row, uint32_t layer, const uint16_t *ids, uint32_t request, uint8_t flags)
{
    const uint32_t top_k = r->info->top_k, n = ids[top_k - 1] != ES_NO_EXPERT ? top_k : events_length(ids, top_k);
    if (!events_differ(r, ids, n))
        return events_twice(r, &step->token[row], layer);
    uint16_t *to = r->id + r->lookups;
    for (uint32_t i = 0; i < n; i++)
        to[i] = ids[i];
    if (n > 0)
        events_add(r, layer, n, request, flags);
    return ES_OK;
}

/* Has each of the layers `n` experts, all different? Nearly every step of a real run is such a one. Numbers that differ in their last six bits
 * differ, which is quick to see; what is left is looked at more closely. */
static inline __attribute__((always_inline)) bool events_full_of(const events_reader *r, const uint16_t *ids, uint32_t n)
{
    const uint32_t layers = r->info->layers;
    for (uint32_t layer = 0; layer < layers; layer++, ids += n) {
        uint64_t word = 0;
        for (uint32_t i = 0; i < n; i++)
            word |= 1ull << (ids[i] & 63);
        if (ids[n - 1] == ES_NO_EXPERT || ((uint32_t)__builtin_popcountll(word) != n && !events_differ(r, ids, n)))
            return false;
    }
    return true;
}

static bool events_full(const events_reader *r, const uint16_t *ids)
{
    /* with the usual numbers as constants the inner loops fall away */
    switch (r->info->top_k) {
    case 4: return events_full_of(r, ids, 4);
    case 6: return events_full_of(r, ids, 6);
    case 8: return events_full_of(r, ids, 8);
    default: return events_full_of(r, ids, r->info->top_k);
    }
}

/* The events of one row, which has top_k experts in every layer. */
static void events_block(events_reader *r, const uint16_t *ids, uint32_t request, uint8_t flags)
{
    es_events *out = r->out;
    const uint32_t top_k = r->info->top_k, layers = r->info->layers, step = out->steps;
    uint64_t *begin = r->begin + r->count;
    uint32_t *steps = r->step + r->count, *requests = r->request + r->count;
    uint16_t *layer = r->layer + r->count;
    memcpy(r->id + r->lookups, ids, (size_t)layers * top_k * sizeof *ids);
    for (uint32_t l = 0; l < layers; l++)
        begin[l] = r->lookups + (uint64_t)l * top_k;
    for (uint32_t l = 0; l < layers; l++)
        layer[l] = (uint16_t)l;
    for (uint32_t l = 0; l < layers; l++)
        steps[l] = step;
    for (uint32_t l = 0; l < layers; l++)
        requests[l] = request;
    memset(r->flags + r->count, flags, layers);
    r->flags[r->count] |= r->fresh;
    r->fresh = 0;
    r->count += layers;
    r->lookups += (uint64_t)layers * top_k;
    out->widest = top_k > out->widest ? top_k : out->widest;
    out->least = top_k < out->least ? top_k : out->least;
}

/* The events of one row, layer after layer. */
static es_code events_plain(events_reader *r, const es_step *step, uint32_t row, uint8_t flags)
{
    const uint32_t top_k = r->info->top_k, layers = r->info->layers, request = step->token[row].request;
    const uint16_t *ids = step->ids + (size_t)row * layers * top_k;
    const uint64_t first = r->lookups;
    es_code code = events_fit(r) ? ES_OK : events_long(r);
    if (code == ES_OK && events_full(r, ids))
        events_block(r, ids, request, flags);
    else
        for (uint32_t layer = 0; layer < layers && code == ES_OK; layer++, ids += top_k)
            code = events_one(r, step, row, layer, ids, request, flags);
    if (r->touch)
        memcpy(r->touch + first, r->id + first, (r->lookups - first) * sizeof *r->id);
    return code;
}

/* Rows [row, row + rows), each an event of its own, layer after layer. The step's first row says whose they are. */
static es_code events_rows(events_reader *r, const es_step *step, uint32_t row, uint32_t rows, uint8_t flags)
{
    const uint32_t top_k = r->info->top_k, layers = r->info->layers;
    es_code code = ES_OK;
    for (uint32_t layer = 0; layer < layers; layer++)
        for (uint32_t at = row; at < row + rows && code == ES_OK; at++)
            code = events_fit(r) ? events_one(r, step, at, layer, step->ids + ((size_t)at * layers + layer) * top_k, step->token[row].request, flags) : events_long(r);
    return code;
}

/* The arrays that only repeated experts need. */
static es_code events_repeat(events_reader *r)
{
    if (r->repeats)
        return ES_OK;
    const uint64_t room = r->room + (uint64_t)r->info->layers * r->info->top_k;
    r->repeats = ES_NEW_ARRAY(r->arena, room, uint16_t);
    if (r->repeats && !r->ask->ignores_repeats && (r->touch = ES_NEW_ARRAY(r->arena, room, uint16_t)) != NULL)
        memcpy(r->touch, r->id, r->lookups * sizeof *r->id);
    return r->repeats && (r->touch || r->ask->ignores_repeats) ? ES_OK : es_err_nomem(r->err, "the events of a trace");
}

/* The n experts of the union in order of last appearance: backwards, the first time that one is met is its last appearance. */
static void events_touch(events_reader *r, const es_step *step, uint32_t row, uint32_t rows, uint32_t layer, uint32_t n)
{
    uint16_t *touch = r->touch + r->lookups;
    memset(r->seen, 0, r->words * sizeof *r->seen);
    for (uint32_t left = n, at = row + rows; left > 0 && at-- > row;) {
        uint32_t count;
        const uint16_t *ids = events_row(r, step, at, layer, &count);
        while (count-- > 0) {
            const uint64_t bit = 1ull << (ids[count] & 63);
            if (!(r->seen[ids[count] >> 6] & bit)) {
                r->seen[ids[count] >> 6] |= bit;
                touch[--left] = ids[count];
            }
        }
    }
}

/* A row joins the union at hand, of which `*n` experts stand at `list`. */
static es_code events_join(events_reader *r, const uint16_t *ids, uint32_t count, uint16_t *list, uint32_t *n, uint32_t *further)
{
    for (uint32_t i = 0; i < count; i++) {
        const uint64_t bit = 1ull << (ids[i] & 63);
        if (r->mask[ids[i] >> 6] & bit) {
            r->repeats[r->lookups + r->slot[ids[i]]]++;
            ++*further;
            continue;
        }
        if (r->lookups + *n >= r->room)
            return events_long(r);
        r->mask[ids[i] >> 6] |= bit;
        r->slot[ids[i]] = (uint16_t)*n;
        list[(*n)++] = ids[i];
    }
    return ES_OK;
}

/* The union of rows [row, row + rows) in a layer. */
static es_code events_union(events_reader *r, const es_step *step, uint32_t row, uint32_t rows, uint32_t layer, uint8_t flags)
{
    uint16_t *list = r->id + r->lookups;
    uint32_t n = 0, further = 0, count;
    es_code code = events_repeat(r);
    for (uint32_t at = row; code == ES_OK && at < row + rows; at++) {
        const uint16_t *ids = events_row(r, step, at, layer, &count);
        if (!events_differ(r, ids, count))
            return events_twice(r, &step->token[at], layer);
    }
    memset(r->mask, 0, r->words * sizeof *r->mask);
    for (uint32_t at = row; code == ES_OK && at < row + rows; at++) {
        const uint16_t *ids = events_row(r, step, at, layer, &count);
        code = events_join(r, ids, count, list, &n, &further);
    }
    if (code != ES_OK || n == 0)
        return code;
    if (!events_fit(r))
        return events_long(r);
    if (r->touch && further > 0)
        events_touch(r, step, row, rows, layer, n);
    else if (r->touch)
        memcpy(r->touch + r->lookups, list, n * sizeof *list);
    r->repeated |= further > 0;
    events_add(r, layer, n, step->token[row].request, flags);
    return ES_OK;
}

/* Rows [row, row + rows) of a step of the trace, which the contract makes one step: layer after layer. */
static es_code events_step(events_reader *r, const es_step *step, uint32_t row, uint32_t rows)
{
    es_events *out = r->out;
    const es_token *token = &step->token[row];
    es_code code = ES_OK;
    uint8_t flags = token->phase == ES_DECODE ? ES_EVENT_DECODE : 0;
    if ((int64_t)out->tokens < r->ask->skip_tokens)
        flags |= ES_EVENT_SKIPPED;
    if (out->steps == 0 || token->request != r->last_request)
        r->fresh = ES_EVENT_FRESH;
    r->last_request = token->request;
    const uint64_t before = r->lookups;
    if (rows == 1)
        code = events_plain(r, step, row, flags);
    else if (r->ask->by_token)
        code = events_rows(r, step, row, rows, flags);
    else
        for (uint32_t layer = 0; code == ES_OK && layer < r->info->layers; layer++)
            code = events_union(r, step, row, rows, layer, flags);
    out->tokens += rows;
    out->decode_tokens += flags & ES_EVENT_DECODE ? rows : 0;
    out->steps++;
    out->accesses += flags & ES_EVENT_SKIPPED ? 0 : r->lookups - before;
    out->decode_accesses += (flags & (ES_EVENT_SKIPPED | ES_EVENT_DECODE)) == ES_EVENT_DECODE ? r->lookups - before : 0;
    return code;
}

/* ---- all of them ---- */

static es_code events_walk(events_reader *r, const es_source *source, void *state)
{
    es_step step;
    bool more = true, dropped;
    for (;;) {
        es_code code = source->next(state, &step, &more, r->err);
        if (code != ES_OK || !more)
            return code;
        for (uint32_t row = 0, rows; row < step.tokens; row += rows) {
            rows = es_prefill_rows(&r->ask->prefill, &step.token[row], step.tokens - row, &dropped);
            if (!dropped && (code = events_step(r, &step, row, rows)) != ES_OK)
                return code;
        }
    }
}

/* How much a source holds that did not say so. */
static es_code events_count(const es_source *source, void *state, uint64_t *tokens, uint64_t *accesses, es_err *err)
{
    const es_trace_info *info = source->info(state);
    es_step step;
    bool more = true;
    for (;;) {
        es_code code = source->next(state, &step, &more, err);
        if (code != ES_OK)
            return code;
        if (!more)
            return source->rewind(state, err);
        *tokens += step.tokens;
        for (uint64_t cell = 0; cell < (uint64_t)step.tokens * info->layers; cell++)
            *accesses += events_length(step.ids + cell * info->top_k, info->top_k);
    }
}

static es_code events_room(events_reader *r, const es_source *source, void *state)
{
    const es_trace_info *info = r->info;
    uint64_t tokens = info->prompt_tokens + info->decode_tokens, accesses = info->accesses;
    if (!info->counted) {
        tokens = accesses = 0;
        es_code code = events_count(source, state, &tokens, &accesses, r->err);
        if (code != ES_OK)
            return code;
    }
    r->room = accesses;
    r->event_room = tokens > accesses / info->layers ? accesses : tokens * info->layers;
    if (r->event_room >= UINT32_MAX - info->layers)
        return es_err_set(r->err, ES_EINPUT, "the trace has up to %llu events (tokens times layers); a curve can be made of fewer than %llu",
            (unsigned long long)r->event_room, (unsigned long long)UINT32_MAX - info->layers);
    return ES_OK;
}

static es_code events_make(events_reader *r)
{
    const uint64_t room = r->room + (uint64_t)r->info->layers * r->info->top_k, events = r->event_room + r->info->layers + 1;
    es_arena *arena = r->arena;
    r->words = (r->info->experts + 63) / 64;
    r->id = ES_NEW_ARRAY(arena, room, uint16_t);
    r->begin = ES_NEW_ARRAY(arena, events, uint64_t);
    r->layer = ES_NEW_ARRAY(arena, events, uint16_t);
    r->step = ES_NEW_ARRAY(arena, events, uint32_t);
    r->request = ES_NEW_ARRAY(arena, events, uint32_t);
    r->flags = ES_NEW_ARRAY(arena, events, uint8_t);
    r->mask = ES_NEW_ARRAY(arena, r->words, uint64_t);
    r->seen = ES_NEW_ARRAY(arena, r->words, uint64_t);
    r->slot = ES_NEW_ARRAY(arena, r->info->experts, uint16_t);
    uint32_t *number = ES_NEW_ARRAY(arena, r->info->layers, uint32_t);
    if (!r->id || !r->begin || !r->layer || !r->step || !r->request || !r->flags || !r->mask || !r->seen || !r->slot || !number)
        return es_err_nomem(r->err, "the events of a trace");
    memcpy(number, r->info->layer_number, r->info->layers * sizeof *number);
    r->out->layer_number = number;
    return ES_OK;
}

es_code es_events_read(es_events *out, const es_source *source, void *state, const es_events_ask *ask, es_arena *arena, es_err *err)
{
    es_code code = source->rewind(state, err);
    const es_trace_info *info = source->info(state);
    if (code != ES_OK)
        return code;
    if (info->buffers > 0)
        return es_err_set(err, ES_EINPUT, "the trace is one of buffers, which has no routing; `expertsim run` replays it");
    events_reader r = {.out = out, .ask = ask, .info = info, .arena = arena, .err = err, .fresh = ES_EVENT_FRESH};
    const uint32_t stride = (info->experts + 63) / 64 * 64, spaces = ask->shared ? 1 : info->layers;
    *out = (es_events){.layers = info->layers, .experts = info->experts, .spaces = spaces, .stride = stride, .objects = spaces * stride, .least = UINT32_MAX};
    if ((code = events_room(&r, source, state)) != ES_OK || (code = events_make(&r)) != ES_OK || (code = events_walk(&r, source, state)) != ES_OK)
        return code;
    if (!events_fit(&r))
        return events_long(&r);
    r.begin[r.count] = r.lookups;
    out->count = r.count;
    out->lookups = r.lookups;
    out->id = r.id;
    out->touch = r.touch && r.repeated ? r.touch : r.id;
    out->repeats = r.repeated ? r.repeats : NULL;
    out->begin = r.begin;
    out->layer = r.layer;
    out->step = r.step;
    out->request = r.request;
    out->flags = r.flags;
    out->least = r.count > 0 ? out->least : 0;
    return source->rewind(state, err);
}
