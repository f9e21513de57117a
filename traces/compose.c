/* Compose: see compose.h. */
#include "traces/compose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim/base/rng.h"
#include "traces/requests.h"

typedef struct compose_request {
    const es_trace *trace;
    const uint64_t *token;      /* [tokens] of the trace */
    uint32_t tokens, prompt;
    uint32_t arrives;           /* step */
    uint32_t done;              /* tokens */
    uint32_t takes;             /* of the step at hand */
} compose_request;

struct es_compose {
    es_compose_ask ask;
    es_trace_info info;
    es_compose_counts counts;
    es_arena arena;
    compose_request *request;   /* [requests] in the order of arrival, which numbers them */
    uint32_t requests;
    uint32_t *served;           /* [batch] in the order of admission */
    uint32_t serving, next;     /* next: to be admitted */
    uint64_t step;              /* time, in steps; those without a token are passed over */
    uint32_t room;              /* tokens that the arrays hold */
    es_token *token;
    uint16_t *ids;
    float *weights;
    uint32_t *user;             /* [layers][experts] request that used it in this step, and 1; 0: nobody */
    uint64_t *stamp;            /* [layers][experts] step in which `user` was written */
    es_stream arrivals, accepts;
};

/* --- set-up ----------------------------------------------------------------------------------------------------------------------- */

static es_code compose_check(es_trace *const *traces, uint32_t count, const es_compose_ask *ask, es_err *err)
{
    if (ask->budget > 0 && ask->budget / ask->window < ask->batch)
        return es_err_set(err, ES_EINPUT, "budget: %u tokens a step are fewer than %u requests of %u tokens; it needs at least %llu", ask->budget, ask->batch,
            ask->window, (unsigned long long)ask->batch * ask->window);
    for (uint32_t i = 1; i < count; i++) {
        const es_trace_info *a = &traces[0]->info, *b = &traces[i]->info;
        if (a->layers != b->layers || a->experts != b->experts || a->top_k != b->top_k)
            return es_err_set(err, ES_EINPUT, "trace %u has %u layers of %u experts, top-%u, and the first %u of %u, top-%u; one model serves a batch", i + 1, b->layers,
                b->experts, b->top_k, a->layers, a->experts, a->top_k);
        if (memcmp(a->layer_number, b->layer_number, a->layers * sizeof *a->layer_number) != 0)
            return es_err_set(err, ES_EINPUT, "trace %u has other layer numbers than the first", i + 1);
    }
    return ES_OK;
}

/* All requests of all traces, in order; they arrive in it, some time after each other. */
static es_code compose_gather(es_compose *c, es_trace *const *traces, uint32_t count, es_err *err)
{
    uint64_t all = 0;
    double time = 0.0;
    for (uint32_t i = 0; i < count; i++)
        all += traces[i]->info.requests;
    c->request = all < UINT32_MAX ? ES_NEW_ARRAY(&c->arena, all, compose_request) : NULL;
    if (!c->request)
        return es_err_nomem(err, "a batch");
    for (uint32_t i = 0; i < count; i++) {
        es_requests own;
        es_code code = es_requests_of(&own, traces[i], &c->arena, err);
        if (code)
            return code;
        for (uint32_t r = 0; r < own.count; r++) {
            const double draw = ((double)(es_draw(c->arrivals, c->requests, 0, 0, 0) >> 12) + 0.5) * 0x1p-52;
            time += c->requests > 0 ? -c->ask.gap * log(draw) : 0.0;
            c->request[c->requests++] = (compose_request){ .trace = traces[i], .token = own.token + own.begin[r], .prompt = own.prompt[r],
                .tokens = (uint32_t)(own.begin[r + 1] - own.begin[r]), .arrives = time < 4e9 ? (uint32_t)time : UINT32_MAX };
        }
    }
    return ES_OK;
}

static es_code compose_describe(es_compose *c, es_trace *const *traces, uint32_t count, es_err *err)
{
    es_code code = es_trace_copy_info(&c->info, &traces[0]->info, &c->arena, err);
    es_trace_info *info = &c->info;
    if (code)
        return code;
    info->format = "composed";
    info->has_residency = info->has_training = info->counted = false;
    info->guesses = info->attends = 0;
    info->requests = info->steps = info->prompt_tokens = info->decode_tokens = info->accesses = info->missing_cells = 0;
    for (uint32_t i = 0; i < count; i++) {
        info->has_weights &= traces[i]->keeps_weights;
        info->synthetic |= traces[i]->info.synthetic;
    }
    return ES_OK;
}

es_code es_compose_new(es_compose **out, es_trace *const *traces, uint32_t count, const es_compose_ask *ask, es_err *err)
{
    es_compose *c = calloc(1, sizeof *c);
    *out = c;
    if (!c)
        return es_err_nomem(err, "a batch");
    c->ask = *ask;
    c->arrivals = es_stream_of(ask->seed, 0, "compose", "arrivals");
    c->accepts = es_stream_of(ask->seed, 0, "compose", "accepts");
    es_code code = compose_check(traces, count, ask, err);
    if (code == ES_OK)
        code = compose_describe(c, traces, count, err);
    if (code == ES_OK)
        code = compose_gather(c, traces, count, err);
    if (code)
        return code;
    const size_t cells = (size_t)c->info.layers * c->info.experts;
    c->served = ES_NEW_ARRAY(&c->arena, ask->batch, uint32_t);
    c->user = ES_NEW_ARRAY(&c->arena, cells, uint32_t);
    c->stamp = ES_NEW_ARRAY(&c->arena, cells, uint64_t);
    return c->served && c->user && c->stamp ? ES_OK : es_err_nomem(err, "a batch");
}

void es_compose_free(es_compose *c)
{
    if (!c)
        return;
    free(c->token);
    free(c->ids);
    free(c->weights);
    es_arena_free(&c->arena);
    free(c);
}

es_compose_counts es_compose_count(const es_compose *compose)
{
    return compose->counts;
}

/* --- steps ------------------------------------------------------------------------------------------------------------------------ */

static void compose_admit(es_compose *c)
{
    if (c->serving == 0 && c->next < c->requests && c->request[c->next].arrives > c->step)
        c->step = c->request[c->next].arrives;
    while (c->serving < c->ask.batch && c->next < c->requests && c->request[c->next].arrives <= c->step)
        c->served[c->serving++] = c->next++;
}

/* Tokens of a window that are taken. */
static uint32_t compose_window(const es_compose *c, uint32_t request, const compose_request *r)
{
    const uint32_t left = r->tokens - r->done, most = left < c->ask.window ? left : c->ask.window;
    uint32_t taken = 1;
    while (taken < most && es_draw_real(c->accepts, request, r->done, taken, 0) < c->ask.accept)
        taken++;
    return taken;
}

/* How many tokens of whom; returns the sum. */
static uint32_t compose_share(es_compose *c)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < c->serving; i++) {
        compose_request *r = &c->request[c->served[i]];
        r->takes = r->done >= r->prompt ? compose_window(c, c->served[i], r) : 0;
        sum += r->takes;
    }
    for (uint32_t i = 0; i < c->serving; i++) {
        compose_request *r = &c->request[c->served[i]];
        const uint64_t left = r->done < r->prompt ? r->prompt - r->done : 0, room = c->ask.budget == 0 ? left : c->ask.budget - sum;
        if (left > 0)
            r->takes = (uint32_t)(left < room ? left : room);
        sum += left > 0 ? r->takes : 0;
    }
    return sum < UINT32_MAX ? (uint32_t)sum : UINT32_MAX;
}

static es_code compose_reserve(es_compose *c, uint32_t tokens, es_err *err)
{
    const size_t row = (size_t)c->info.layers * c->info.top_k;
    if (tokens <= c->room)
        return ES_OK;
    if (!ES_TRACE_RESIZE(c->token, tokens, 1) || !ES_TRACE_RESIZE(c->ids, tokens, row) || !ES_TRACE_RESIZE(c->weights, tokens, row))
        return es_err_nomem(err, "a batch");
    c->room = tokens;
    return ES_OK;
}

/* Counts a row: what its request, or another one, already used in this step is not another expert to have. */
static void compose_row(es_compose *c, uint32_t request, const uint16_t *ids)
{
    const uint32_t k = c->info.top_k;
    for (uint32_t l = 0; l < c->info.layers; l++, ids += k)
        for (uint32_t i = 0; i < k && ids[i] != ES_NO_EXPERT; i++) {
            const size_t cell = (size_t)l * c->info.experts + ids[i];
            const bool used = c->stamp[cell] == c->counts.steps + 1;
            c->counts.listed++;
            c->counts.distinct += !used;
            c->counts.within += used && c->user[cell] == request;
            c->counts.across += used && c->user[cell] != request;
            c->stamp[cell] = c->counts.steps + 1;
            c->user[cell] = used ? c->user[cell] : request;
        }
}

static void compose_take(es_compose *c, uint32_t request, uint32_t *at)
{
    compose_request *r = &c->request[request];
    const size_t row = (size_t)c->info.layers * c->info.top_k;
    const bool prompt = r->done < r->prompt;
    for (uint32_t i = 0; i < r->takes; i++, r->done++, (*at)++) {
        const uint64_t token = r->token[r->done];
        c->token[*at] = (es_token){ request, r->done, prompt ? ES_PREFILL : ES_DECODE };
        memcpy(c->ids + *at * row, r->trace->ids + token * row, row * sizeof *c->ids);
        if (c->info.has_weights)
            memcpy(c->weights + *at * row, r->trace->weights + token * row, row * sizeof *c->weights);
        compose_row(c, request, c->ids + *at * row);
    }
}

/* Requests are admitted in the order of their numbers, so `served` ascends. */
static void compose_leave(es_compose *c)
{
    uint32_t stay = 0;
    for (uint32_t i = 0; i < c->serving; i++)
        if (c->request[c->served[i]].done < c->request[c->served[i]].tokens)
            c->served[stay++] = c->served[i];
    c->counts.requests += c->serving - stay;
    c->serving = stay;
}

static es_code compose_next(void *self, es_step *step, bool *more, es_err *err)
{
    es_compose *c = self;
    *step = (es_step){ .record = c->counts.steps };
    compose_admit(c);
    *more = c->serving > 0;
    if (!*more)
        return ES_OK;
    const uint32_t tokens = compose_share(c);
    es_code code = compose_reserve(c, tokens, err);
    if (code)
        return code;
    uint32_t at = 0;
    for (uint32_t i = 0; i < c->serving; i++)
        compose_take(c, c->served[i], &at);
    step->tokens = at;
    step->token = c->token;
    step->ids = c->ids;
    step->weights = c->info.has_weights ? c->weights : NULL;
    c->counts.steps++;
    c->counts.tokens += at;
    c->counts.most_tokens = at > c->counts.most_tokens ? at : c->counts.most_tokens;
    c->step++;
    compose_leave(c);
    return ES_OK;
}

static es_code compose_rewind(void *self, es_err *err)
{
    es_compose *c = self;
    (void)err;
    c->serving = c->next = 0;
    c->step = 0;
    c->counts = (es_compose_counts){0};
    memset(c->stamp, 0, (size_t)c->info.layers * c->info.experts * sizeof *c->stamp);
    for (uint32_t i = 0; i < c->requests; i++)
        c->request[i].done = 0;
    return ES_OK;
}

static const es_trace_info *compose_info(void *self)
{
    return &((es_compose *)self)->info;
}

const es_source es_compose_source = {
    .part = { .abi = ES_ABI, .name = "composed" },
    .info = compose_info,
    .next = compose_next,
    .rewind = compose_rewind,
};
