/* Trace: arrays that double, and cursors over them. See trace.h. */
#include "traces/trace.h"

#include <stdlib.h>
#include <string.h>

static es_code trace_nomem(es_err *err)
{
    return es_err_nomem(err, "a trace");
}

static void *trace_copy(es_arena *arena, const void *from, size_t count, size_t size, bool *failed)
{
    if (!from)
        return NULL;
    void *to = es_arena_alloc(arena, count, size);
    if (to)
        memcpy(to, from, count * size);
    else
        *failed = true;
    return to;
}

es_code es_trace_copy_info(es_trace_info *to, const es_trace_info *from, es_arena *arena, es_err *err)
{
    bool failed = false;
    const char *const text[] = { from->format, from->model, from->sha256, from->provenance };
    const char **const copy[] = { &to->format, &to->model, &to->sha256, &to->provenance };
    *to = *from;
    for (int i = 0; i < 4; i++) {
        *copy[i] = es_arena_text(arena, text[i] ? text[i] : "");
        failed = failed || !*copy[i];
    }
    to->assumed = from->assumed ? es_arena_text(arena, from->assumed) : NULL;
    failed = failed || (from->assumed && !to->assumed);
    to->layer_number = trace_copy(arena, from->layer_number, from->layers, sizeof *from->layer_number, &failed);
    to->expert_bytes = trace_copy(arena, from->expert_bytes, from->layers, sizeof *from->expert_bytes, &failed);
    to->dense_bytes = trace_copy(arena, from->dense_bytes, from->layers, sizeof *from->dense_bytes, &failed);
    return failed ? trace_nomem(err) : ES_OK;
}

es_code es_trace_new(es_trace **out, const es_trace_info *info, es_err *err)
{
    *out = NULL;
    es_code code = es_trace_check_shape(info, err);
    if (code)
        return code;
    es_trace *trace = calloc(1, sizeof *trace);
    if (!trace)
        return trace_nomem(err);
    code = es_trace_copy_info(&trace->info, info, &trace->arena, err);
    if (code) {
        es_trace_free(trace);
        return code;
    }
    trace->keeps_weights = info->has_weights;
    trace->keeps_residency = info->has_residency;
    trace->keeps_guesses = info->guesses > 0;
    trace->keeps_attention = info->attends > 0;
    es_tally_into(&trace->tally, &trace->info);
    *out = trace;
    return ES_OK;
}

void es_trace_free(es_trace *trace)
{
    if (!trace)
        return;
    es_tally_free(&trace->tally);
    free(trace->token);
    free(trace->ids);
    free(trace->guess);
    free(trace->weights);
    free(trace->guess_confidence);
    free(trace->residency);
    free(trace->attended);
    free(trace->attention);
    free(trace->step_end);
    free(trace->step_record);
    es_arena_free(&trace->arena);
    free(trace);
}

/* --- growing -------------------------------------------------------------------------------------------------------------------- */

bool es_trace_resize(void *array, uint64_t count, uint64_t cells, size_t size)
{
    void *old, *more;
    if (cells != 0 && count > SIZE_MAX / 2 / size / cells)
        return false;
    memcpy(&old, array, sizeof old);
    more = realloc(old, count * cells * size);
    if (more)
        memcpy(array, &more, sizeof more);
    return more != NULL;
}

static bool trace_room(es_trace *trace, uint64_t tokens)
{
    uint64_t width = (uint64_t)trace->info.layers * trace->info.top_k, guesses = (uint64_t)trace->info.layers * trace->info.guesses;
    uint64_t room = trace->room ? trace->room : 64;
    if (tokens <= trace->room)
        return true;
    while (room < tokens)
        room *= 2;
    bool good = ES_TRACE_RESIZE(trace->token, room, 1) && ES_TRACE_RESIZE(trace->ids, room, width);
    good = good && (!trace->keeps_weights || ES_TRACE_RESIZE(trace->weights, room, width));
    good = good && (!trace->keeps_residency || ES_TRACE_RESIZE(trace->residency, room, width));
    good = good && (!trace->keeps_guesses || ES_TRACE_RESIZE(trace->guess, room, guesses));
    good = good && (!trace->keeps_confidence || ES_TRACE_RESIZE(trace->guess_confidence, room, guesses));
    good = good && (!trace->keeps_attention || (ES_TRACE_RESIZE(trace->attended, room, trace->info.attends) && ES_TRACE_RESIZE(trace->attention, room, trace->info.attends)));
    if (good)
        trace->room = room;
    return good;
}

static bool trace_step_room(es_trace *trace)
{
    uint64_t room = trace->step_room ? 2 * trace->step_room : 64;
    if (trace->info.steps < trace->step_room)
        return true;
    if (!ES_TRACE_RESIZE(trace->step_end, room, 1) || !ES_TRACE_RESIZE(trace->step_record, room, 1))
        return false;
    trace->step_room = room;
    return true;
}

es_code es_trace_append(es_trace *trace, const es_step *step, es_err *err)
{
    if (trace->tokens == 0)
        trace->keeps_confidence = trace->keeps_guesses && step->guess_confidence;
    if ((trace->keeps_weights && !step->weights) || (trace->keeps_residency && !step->residency) || (trace->keeps_guesses && !step->guess) ||
        (trace->keeps_confidence && !step->guess_confidence) || (trace->keeps_attention && !step->attended))
        return es_err_set(err, ES_EINTERNAL, "a step lacks the weights, residency, guesses or attention that the trace keeps");
    es_code code = es_tally_step(&trace->tally, &trace->info, step, err);
    if (code)
        return code;
    if (!trace_room(trace, trace->tokens + step->tokens) || !trace_step_room(trace))
        return trace_nomem(err);
    uint64_t width = (uint64_t)trace->info.layers * trace->info.top_k, guesses = (uint64_t)trace->info.layers * trace->info.guesses;
    uint64_t at = trace->tokens, n = step->tokens;
    memcpy(trace->token + at, step->token, n * sizeof *trace->token);
    memcpy(trace->ids + at * width, step->ids, n * width * sizeof *trace->ids);
    if (trace->keeps_weights)
        memcpy(trace->weights + at * width, step->weights, n * width * sizeof *trace->weights);
    if (trace->keeps_residency)
        memcpy(trace->residency + at * width, step->residency, n * width);
    if (trace->keeps_guesses)
        memcpy(trace->guess + at * guesses, step->guess, n * guesses * sizeof *trace->guess);
    if (trace->keeps_confidence)
        memcpy(trace->guess_confidence + at * guesses, step->guess_confidence, n * guesses * sizeof *trace->guess_confidence);
    if (trace->keeps_attention) {
        memcpy(trace->attended + at * trace->info.attends, step->attended, n * trace->info.attends * sizeof *trace->attended);
        memcpy(trace->attention + at * trace->info.attends, step->attention, n * trace->info.attends * sizeof *trace->attention);
    }
    trace->tokens += n;
    trace->step_end[trace->info.steps] = trace->tokens;
    trace->step_record[trace->info.steps] = step->record;
    es_tally_into(&trace->tally, &trace->info);
    return ES_OK;
}

es_code es_trace_load(es_trace **out, const es_source *source, void *self, const es_source_ask *ask, es_err *err)
{
    es_trace_info info = *source->info(self);
    bool weights = info.has_weights, residency = info.has_residency;
    es_trace *trace;
    *out = NULL;
    info.has_weights = info.has_weights && ask->weights;
    info.has_residency = info.has_residency && ask->residency;
    uint32_t guesses = ask->guesses ? info.guesses : 0;
    info.guesses = guesses;
    info.attends = ask->attention ? info.attends : 0;
    es_code code = es_trace_new(&trace, &info, err);
    bool more = !code;
    while (more && !code) {
        es_step step;
        code = source->next(self, &step, &more, err);
        if (!code && more)
            code = es_trace_append(trace, &step, err);
    }
    if (code) {
        es_trace_free(trace);
        return code;
    }
    trace->info.has_weights = weights;  /* what the file has, not what was kept of it */
    trace->info.has_residency = residency;
    *out = trace;
    return ES_OK;
}

/* --- cursors -------------------------------------------------------------------------------------------------------------------- */

const es_trace_info *es_trace_cursor_info(void *self)
{
    const es_trace_cursor *cursor = self;
    return &cursor->trace->info;
}

es_code es_trace_cursor_next(void *self, es_step *step, bool *more, es_err *err)
{
    es_trace_cursor *cursor = self;
    const es_trace *trace = cursor->trace;
    uint64_t width = (uint64_t)trace->info.layers * trace->info.top_k, guesses = (uint64_t)trace->info.layers * trace->info.guesses;
    (void)err;
    *step = (es_step){ 0 };
    *more = cursor->at < trace->info.steps;
    if (!*more)
        return ES_OK;
    uint64_t first = cursor->at > 0 ? trace->step_end[cursor->at - 1] : 0;
    step->tokens = (uint32_t)(trace->step_end[cursor->at] - first);
    step->token = trace->token + first;
    step->ids = trace->ids + first * width;
    step->weights = trace->weights ? trace->weights + first * width : NULL;
    step->residency = trace->residency ? trace->residency + first * width : NULL;
    step->guess = trace->guess ? trace->guess + first * guesses : NULL;
    step->guess_confidence = trace->guess_confidence ? trace->guess_confidence + first * guesses : NULL;
    step->attended = trace->attended ? trace->attended + first * trace->info.attends : NULL;
    step->attention = trace->attention ? trace->attention + first * trace->info.attends : NULL;
    step->record = trace->step_record[cursor->at];
    cursor->at++;
    return ES_OK;
}

es_code es_trace_cursor_rewind(void *self, es_err *err)
{
    (void)err;
    ((es_trace_cursor *)self)->at = 0;
    return ES_OK;
}

void es_trace_cursor_fini(void *self)
{
    es_trace_cursor *cursor = self;
    es_trace_free(cursor->trace);
    cursor->trace = NULL;
}

const es_source es_trace_source = {
    .part = { .abi = ES_ABI, .name = "memory", .brief = "A trace that is in memory already.", .size = sizeof(es_trace_cursor) },
    .info = es_trace_cursor_info,
    .next = es_trace_cursor_next,
    .rewind = es_trace_cursor_rewind,
};
