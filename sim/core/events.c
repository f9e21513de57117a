/* Events: what is looked up together. A step of the trace is cut by contract.prefill, a layer of it by contract.unit and
 * contract.judge, and each piece is one es_event: the union of its tokens' experts with duplicates removed.
 *
 * Nearly every event of a real run is one row of one token. Its list then points straight into the packed trace and only the
 * mask is built; unions with counts and recency order are made only where several rows meet. */
#include "sim/core/row.h"

#include <assert.h>
#include <string.h>

es_code es_composer_init(es_composer *c, es_run *run, es_err *err)
{
    uint32_t stride = run->view.stride, words = run->view.words_per_layer;
    es_arena *arena = &run->arena;
    c->list = ES_NEW_ARRAY(arena, stride, uint16_t);
    c->touch = ES_NEW_ARRAY(arena, stride, uint16_t);
    c->served = ES_NEW_ARRAY(arena, stride, uint16_t);
    c->repeats = ES_NEW_ARRAY(arena, stride, uint16_t);
    c->scratch = ES_NEW_ARRAY(arena, stride, uint16_t);
    c->slot = ES_NEW_ARRAY(arena, stride, uint16_t);
    c->mask = ES_NEW_ARRAY(arena, words, uint64_t);
    c->call = ES_NEW_ARRAY(arena, words, uint64_t);
    c->seen = ES_NEW_ARRAY(arena, words, uint64_t);
    if (!c->list || !c->touch || !c->served || !c->repeats || !c->scratch || !c->slot || !c->mask || !c->call || !c->seen)
        return es_err_nomem(err, "events");
    return es_prefill_read(&c->prefill, run->contract->prefill, err);
}

es_code es_composer_rewind(es_run *run, es_err *err)
{
    es_composer *c = &run->composer;
    c->step = (es_step){0};
    c->row = c->rows = 0;
    c->steps = c->events = c->positions = c->tokens = 0;
    c->fresh_request = false;
    return c->source->rewind(c->source_state, err);
}

es_code es_composer_step(es_run *run, bool *more, es_err *err)
{
    es_composer *c = &run->composer;
    uint32_t request = c->request;
    bool first = c->steps == 0 && c->tokens == 0;
    c->tokens += c->rows;
    c->row += c->rows;
    for (;;) {
        if (c->row >= c->step.tokens) {
            es_code code = c->source->next(c->source_state, &c->step, more, err);
            if (code != ES_OK || !*more)
                return code;
            c->row = 0;
            if (c->step.tokens == 0)
                continue;
            if (c->routes && (code = es_route_step(run, err)) != ES_OK)
                return code;
        }
        bool dropped;
        c->rows = es_prefill_rows(&c->prefill, &c->step.token[c->row], c->step.tokens - c->row, &dropped);
        if (!dropped)
            break;
        c->row += c->rows;
        c->rows = 0;
    }
    c->request = c->step.token[c->row].request;
    c->fresh_request = !first && c->request != request;
    c->steps++;
    c->train = run->trains && (run->plan->training.steps == ES_TRAIN_ALL || c->step.train);
    c->places = run->view.layers << c->train;
    c->plain = !c->train && c->rows == 1 && c->whole && run->contract->unit != ES_ID && run->contract->judge == ES_JUDGE_EVENT && !c->routes;
    *more = true;
    return ES_OK;
}

void es_composer_fault(es_run *run, uint32_t row)
{
    const es_composer *c = &run->composer;
    const es_token *token = &c->step.token[row];
    run->code = es_err_set(run->err, ES_EINPUT, "trace: request %u, token %u, layer %u lists an expert twice; the ids of a row must differ",
        token->request, token->position, c->info->layer_number[c->layer]);
}

/* One row as it stands in the trace. */
static bool events_plain(es_run *run, uint32_t row)
{
    es_composer *c = &run->composer;
    es_event *e = &c->event;
    uint32_t listed;
    e->served = e->repeats = NULL;
    e->tokens = 1;
    e->row = row;
    if (es_row_event(c, row, c->layer, &listed))
        return true;
    if (listed > 0)
        es_composer_fault(run, row);
    return false;
}

/* The index of each expert of a layer; NULL: its number. */
static const uint16_t *events_indices(const es_run *run, uint32_t layer)
{
    const es_view *view = &run->view;
    return view->index_of ? view->index_of + (view->spaces == 1 ? 0 : (size_t)layer * view->ids) : NULL;
}

/* The union of rows [row, row + rows): list in order of first appearance, touch in order of last appearance, and how many rows
 * each serves. With slices an expert stands for its matrices, one after another in both orders; with several precisions it is the
 * object of the one that it has now. */
static bool events_union(es_run *run, uint32_t row, uint32_t rows)
{
    es_composer *c = &run->composer;
    es_event *e = &c->event;
    const uint32_t slices = c->slices, slice = run->view.slice;
    const uint16_t *index_of = events_indices(run, c->layer);
    uint32_t count = 0, assignments = 0;
    memset(c->mask, 0, e->words * sizeof *c->mask);
    for (uint32_t r = row; r < row + rows; r++) {
        uint32_t n;
        const uint16_t *ids = es_row_ids(c, r, c->layer, &n);
        memset(c->seen, 0, e->words * sizeof *c->seen);
        for (uint32_t i = 0; i < n; i++)
            for (uint32_t s = 0; s < slices; s++) {
                uint32_t id = s * slice + (index_of ? index_of[ids[i]] : ids[i]);
                uint64_t bit = 1ull << (id & 63);
                if (c->seen[id >> 6] & bit) {
                    es_composer_fault(run, r);
                    return false;
                }
                c->seen[id >> 6] |= bit;
                if (c->mask[id >> 6] & bit) {
                    c->served[c->slot[id]]++;
                } else {
                    c->mask[id >> 6] |= bit;
                    c->slot[id] = (uint16_t)count;
                    c->served[count] = 1;
                    c->list[count++] = (uint16_t)id;
                }
            }
        assignments += n * slices;
    }
    e->list = e->touch = c->list;
    e->served = c->served;
    e->repeats = run->contract->duplicates == ES_HIT ? c->served : NULL;
    e->count = count;
    e->assignments = assignments;
    e->tokens = rows;
    e->row = row;
    if (assignments > count && run->contract->duplicates != ES_IGNORE) {
        /* walk backwards: the first time an id is met is its last appearance */
        uint32_t left = count;
        memset(c->seen, 0, e->words * sizeof *c->seen);
        for (uint32_t r = row + rows; left > 0 && r-- > row;) {
            uint32_t n;
            const uint16_t *ids = es_row_ids(c, r, c->layer, &n);
            for (uint32_t i = n * slices; i-- > 0;) {
                uint32_t id = i % slices * slice + (index_of ? index_of[ids[i / slices]] : ids[i / slices]);
                uint64_t bit = 1ull << (id & 63);
                if (!(c->seen[id >> 6] & bit)) {
                    c->seen[id >> 6] |= bit;
                    c->touch[--left] = (uint16_t)id;
                }
            }
        }
        e->touch = c->touch;
    }
    return count > 0;
}

static bool events_row(es_run *run, uint32_t row)
{
    return run->composer.whole ? events_plain(run, row) : events_union(run, row, 1);
}

void es_composer_layer(es_run *run, uint32_t layer)
{
    es_composer *c = &run->composer;
    es_event *e = &c->event;
    const es_token *token = &c->step.token[c->row];
    c->layer = layer;
    c->unit_row = c->row;
    c->cut = c->cut_count = 0;
    e->layer = layer;
    e->base = es_layer_base(&run->view, layer);
    e->word = e->base / 64;
    e->words = run->view.words_per_layer;
    e->step = c->steps - 1;
    e->request = token->request;
    e->phase = token->phase;
    e->backward = c->backward;
    e->counted = (int64_t)c->tokens >= run->contract->skip_tokens && !c->backward;
    e->rows = &c->step;
    e->mask = c->mask;
    e->hit = run->hit;
    e->kept = NULL;
    e->first = true;
    e->last = false;
    if (c->routes)
        es_route_layer(run, layer);
}

void es_composer_place(es_run *run, uint32_t place)
{
    es_composer *c = &run->composer;
    const uint32_t layers = run->view.layers;
    c->place = place;
    c->backward = place >= layers;
    es_composer_layer(run, c->backward ? 2 * layers - 1 - place : place);
}

/* One element of the gathered list as an event of its own. */
static void events_cut(es_composer *c)
{
    es_event *e = &c->event;
    const uint16_t *one = &c->scratch[c->cut];
    e->first = e->first && c->cut == 0;
    c->cut++;
    memset(c->mask, 0, e->words * sizeof *c->mask);
    c->mask[*one >> 6] = 1ull << (*one & 63);
    e->list = e->touch = one;
    e->served = c->cut_served ? c->cut_served++ : NULL;
    e->repeats = NULL;
    e->count = e->assignments = 1;
}

bool es_composer_event(es_run *run)
{
    es_composer *c = &run->composer;
    es_event *e = &c->event;
    const es_contract *contract = run->contract;
    const uint32_t end = c->row + c->rows;
    if (c->cut >= c->cut_count) {
        uint32_t row = c->unit_row;
        bool some;
        if (row >= end)
            return false;
        if (row > c->row)
            e->first = false;
        bool whole = contract->unit == ES_UNION || contract->unit == ES_SLICE || end - row == 1;
        if (c->routes && !es_route_rows(run, row, whole ? end - row : 1))
            return false;
        if (whole) {
            some = end - row == 1 ? events_row(run, row) : events_union(run, row, end - row);
            c->unit_row = end;
        } else {
            some = events_row(run, row);
            c->unit_row = row + 1;
            for (uint32_t n = 0; c->unit_row < end && (es_row_ids(c, c->unit_row, c->layer, &n), n == 0);)
                c->unit_row++;
        }
        if (!some)
            return run->code == ES_OK && c->unit_row < end ? es_composer_event(run) : false;
        if (contract->unit == ES_ID || contract->judge != ES_JUDGE_EVENT) {
            c->cut = 0;
            c->cut_count = e->count;
            c->cut_served = e->served;
            memcpy(c->scratch, e->list, e->count * sizeof *c->scratch);
            memcpy(c->call, c->mask, e->words * sizeof *c->call);
        }
    }
    if (c->cut < c->cut_count)
        events_cut(c);
    else if (e->first == false && c->unit_row == c->row)
        e->first = true;
    e->last = c->cut >= c->cut_count && c->unit_row >= end;
    e->index = c->events++;
    e->at = c->positions;
    c->positions += e->count;
    return true;
}

/* ---- the future, for oracles ---- */

typedef struct future_pass {    /* what a pass over the trace notes down; NULL: not that */
    uint32_t *start, *next;     /* as in es_future; `next` follows `start` in memory, so that both are written alike */
    uint32_t *last;             /* [objects] place in `start` that its next use is written to: its own, or that of the use before */
    uint64_t *popularity;
    uint16_t *list;
    uint64_t *first;
    uint32_t *layer;
    uint8_t *kind;
    uint64_t step;              /* index of the first event of the step at hand */
    uint64_t room;              /* of next: positions */
} future_pass;

static inline void future_use(const future_pass *p, size_t object, uint32_t event, size_t place)
{
    p->start[p->last[object]] = event;
    p->last[object] = (uint32_t)place;
}

/* The same of a row, of which every run with an oracle spends its time before the first step. */
static inline void future_uses(uint32_t *start, uint32_t *last, const uint16_t *id, const uint16_t *end, uint32_t event, uint32_t place)
{
    for (; id < end; id++) {
        uint32_t *before = &last[*id];
        start[*before] = event;
        *before = place++;
    }
}

/* A trace that has more accesses than it says: found before anything is written behind the end. */
static ES_COLD es_code future_long(es_run *run, const future_pass *p)
{
    return es_err_set(run->err, ES_EINPUT, "trace: lists more than the %llu experts it says", (unsigned long long)p->room);
}

static void future_popular(uint64_t *popularity, const uint16_t *id, const es_run *run, size_t stride)
{
    const uint32_t top_k = run->composer.info->top_k;
    for (size_t l = 0; l < run->view.layers; l++, popularity += stride, id += top_k)
        for (uint32_t i = 0; i < top_k && id[i] != ES_NO_EXPERT; i++)
            popularity[id[i]]++;
}

/* The events of a step of one token, read straight from its row. That its ids differ is seen when it is replayed. */
static es_code future_row(es_run *run, const future_pass *p)
{
    es_composer *c = &run->composer;
    const uint32_t top_k = c->info->top_k, layers = run->view.layers;
    const size_t stride = run->view.spaces == 1 ? 0 : run->view.stride, start = run->view.objects;
    const uint16_t *row = c->step.ids + (size_t)c->row * layers * top_k, *id = row, *end = row + (size_t)layers * top_k;
    uint64_t event = c->events, at = c->positions;
    if (p->popularity && es_step_phase(c) == ES_DECODE)
        future_popular(p->popularity, row, run, stride);
    const bool next = p->next;              /* else there is no `last` to go along */
    for (uint32_t *last = p->last; id < end; id += top_k) {
        const uint32_t n = es_row_length(id, top_k);
        if (next) {
            if (at + n > p->room)
                return future_long(run, p);
            future_uses(p->start, last, id, id + n, (uint32_t)event, (uint32_t)(start + at));
            last += stride;
        }
        event += n > 0;
        at += n;
    }
    c->events = event;
    c->positions = at;
    return ES_OK;
}

static es_code future_event(es_run *run, const future_pass *p)
{
    const es_event *e = &run->composer.event;
    if (p->next && e->at + e->count > p->room)
        return future_long(run, p);
    for (uint32_t i = 0; i < e->count; i++) {
        es_oid object = es_object(e, e->list[i]);
        if (p->next)
            future_use(p, object, (uint32_t)e->index, run->view.objects + e->at + i);
        if (p->popularity && e->phase == ES_DECODE && !e->backward)
            p->popularity[object]++;
    }
    if (p->list) {
        memcpy(p->list + e->at, e->list, e->count * sizeof *p->list);
        p->first[e->index] = e->at;
        p->layer[e->index] = e->layer;
        p->kind[e->index] = (uint8_t)((e->index == p->step ? ES_COMING_STEP : 0) | (e->backward ? ES_COMING_BACK : 0));
    }
    return ES_OK;
}

static es_code future_walk(es_run *run, future_pass *p, es_err *err)
{
    es_composer *c = &run->composer;
    bool more = true;
    es_code code;
    run->err = err;
    while ((code = es_composer_step(run, &more, err)) == ES_OK && more) {
        p->step = c->events;
        if (c->plain && !p->list) {
            if ((code = future_row(run, p)) != ES_OK)
                return code;
            continue;
        }
        for (uint32_t l = 0; l < c->places; l++) {
            es_composer_place(run, l);
            while (es_composer_event(run))
                if ((code = future_event(run, p)) != ES_OK)
                    return code;
            if (run->code != ES_OK)
                return run->code;
        }
    }
    run->future.positions = c->positions;
    run->future.events = c->events;
    if (p->first)
        p->first[c->events] = c->positions;
    return code;
}

es_code es_future_fill(es_run *run, bool next, bool peek, uint64_t *popularity, es_err *err)
{
    es_future *f = &run->future;
    const es_trace_info *info = run->composer.info;
    uint64_t positions = (info->accesses * run->composer.slices) << run->trains, events = 0;
    es_code code = ES_OK;
    if (!info->counted || peek) {
        code = future_walk(run, &(future_pass){0}, err);
        if (code != ES_OK || (code = es_composer_rewind(run, err)) != ES_OK)
            return code;
        positions = f->positions;
        events = f->events;
    }
    const uint64_t objects = run->view.objects, most = UINT32_MAX - objects;
    if (positions >= most)
        return es_err_set(err, ES_EINPUT, "the trace has %llu accesses; oracles and bounds can look ahead over fewer than %llu", (unsigned long long)positions,
            (unsigned long long)most);
    future_pass p = {.popularity = popularity, .room = positions};
    if (next) {
        p.start = ES_NEW_ARRAY(&run->arena, objects + positions + 1, uint32_t);
        p.last = ES_NEW_ARRAY(&run->arena, objects, uint32_t);
        if (!p.start || !p.last)
            return es_err_nomem(err, "the next uses of the trace");
        p.next = p.start + objects;
        memset(p.start, 0xff, (objects + positions) * sizeof *p.start);
        for (uint32_t o = 0; o < objects; o++)
            p.last[o] = o;
    }
    if (peek) {
        p.list = ES_NEW_ARRAY(&run->arena, positions + 1, uint16_t);
        p.first = ES_NEW_ARRAY(&run->arena, events + 1, uint64_t);
        p.layer = ES_NEW_ARRAY(&run->arena, events + 1, uint32_t);
        p.kind = ES_NEW_ARRAY(&run->arena, events + 1, uint8_t);
        if (!p.list || !p.first || !p.layer || !p.kind)
            return es_err_nomem(err, "the coming events of the trace");
    }
    code = future_walk(run, &p, err);
    f->next = p.next;
    f->start = p.start;
    f->list = p.list;
    f->first = p.first;
    f->layer = p.layer;
    f->kind = p.kind;
    return code == ES_OK ? es_composer_rewind(run, err) : code;
}
