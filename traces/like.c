/* Like: routing drawn after a likeness, which `expertsim trace fit` makes of a trace (likeness.h says what it is). Requests are as long as
 * those of the trace, in an order of their own, until there are enough tokens; the prompt is one step, each generated token is one. With
 * `layers`, `experts` or `top_k` the likeness takes another shape first: layers by their depth, experts by the old ones in turn.
 *
 * All draws are by counter: the same seed gives the same trace, a longer trace begins with the shorter. */
#include <stdlib.h>

#include "traces/generated.h"
#include "traces/likeness_draw.h"

typedef struct like {
    /* options */
    const char *file;
    int64_t tokens, layers, experts, top_k, seed;
    /* what follows from them */
    es_likeness likeness;
    es_like_draw draw;
    es_trace_info info;
    es_stream lengths;
    bool weights;
    /* where it stands */
    uint64_t request, position, given;  /* of the next token; tokens given */
    es_token *token;                    /* [longest step] */
    uint16_t *ids;                      /* [longest step][layers][top_k] */
    float *gates;
} like;

extern const es_source es_source_like;

/* Tokens of a request, of which `left` are still to come at most. */
static es_like_length like_length(const like *s, uint64_t request, uint64_t left)
{
    es_like_length length = s->likeness.length[es_draw_below(s->lengths, s->likeness.lengths, request, 0, 0, 0)];
    length.prompt = length.prompt < left ? length.prompt : (uint32_t)left;
    length.decode = length.decode < left - length.prompt ? length.decode : (uint32_t)(left - length.prompt);
    return length;
}

/* Counts what will come: requests are drawn, tokens are not. */
static uint32_t like_count(like *s)
{
    uint32_t longest = 1;
    for (uint64_t given = 0; given < (uint64_t)s->tokens; s->info.requests++) {
        const es_like_length length = like_length(s, s->info.requests, (uint64_t)s->tokens - given);
        s->info.prompt_tokens += length.prompt;
        s->info.decode_tokens += length.decode;
        s->info.steps += (length.prompt > 0) + length.decode;
        longest = length.prompt > longest ? length.prompt : longest;
        given += length.prompt + length.decode;
    }
    return longest;
}

static es_code like_load(like *s, es_arena *arena, es_err *err)
{
    es_likeness from;
    es_json *json = NULL;
    es_code code = s->file ? es_json_load(&json, s->file, err) : es_err_set(err, ES_EINPUT, "file: needs the path of what `expertsim trace fit` wrote");
    if (code == ES_OK) {
        code = es_likeness_read(&from, json, arena, err);
        if (code)
            es_err_at(err, "%s", s->file);
    }
    cJSON_Delete(json);
    if (code)
        return code;
    const uint32_t experts = s->experts ? (uint32_t)s->experts : from.experts, top_k = s->top_k ? (uint32_t)s->top_k : from.top_k;
    if (top_k > experts)
        return es_err_set(err, ES_EINPUT, "top_k: %u is above experts, %u", top_k, experts);
    return es_likeness_shape(&from, s->layers ? (uint32_t)s->layers : from.layers, experts, top_k, &s->likeness, arena, err);
}

static es_code like_rewind(void *self, es_err *err)
{
    like *s = self;
    (void)err;
    s->request = s->position = s->given = 0;
    return ES_OK;
}

static es_code like_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    like *s = self;
    es_code code = like_load(s, arena, err);
    if (code == ES_OK)
        code = es_like_draw_init(&s->draw, &s->likeness, (uint64_t)s->seed, arena, err);
    if (code)
        return code;
    const es_likeness *l = &s->likeness;
    s->lengths = es_stream_of((uint64_t)s->seed, 0, "like", "lengths");
    s->weights = ask->weights && l->weight_sum;
    s->info = (es_trace_info){ .format = "like", .model = l->model, .layers = l->layers, .layer_number = l->layer_number, .experts = l->experts, .top_k = l->top_k,
        .expert_bytes = l->expert_bytes, .dense_bytes = l->dense_bytes, .counted = true, .synthetic = true, .has_weights = l->weight_sum != NULL };
    const uint32_t longest = like_count(s);
    const size_t row = (size_t)l->layers * l->top_k;
    s->info.accesses = (uint64_t)s->tokens * row;
    s->token = ES_NEW_ARRAY(arena, longest, es_token);
    s->ids = ES_NEW_ARRAY(arena, longest * row, uint16_t);
    s->gates = ES_NEW_ARRAY(arena, longest * row, float);
    if (!s->token || !s->ids || !s->gates)
        return es_err_nomem(err, "a generator");
    return es_generated_provenance(&s->info, &es_source_like.part, s, arena, err);
}

static const es_trace_info *like_info(void *self)
{
    return &((like *)self)->info;
}

static es_code like_next(void *self, es_step *step, bool *more, es_err *err)
{
    like *s = self;
    (void)err;
    *step = (es_step){ 0 };
    *more = s->given < (uint64_t)s->tokens;
    if (!*more)
        return ES_OK;
    const es_like_length length = like_length(s, s->request, (uint64_t)s->tokens - (s->given - s->position));
    const size_t row = (size_t)s->likeness.layers * s->likeness.top_k;
    const bool prefill = s->position < length.prompt;
    *step = (es_step){ .tokens = prefill ? length.prompt : 1, .token = s->token, .ids = s->ids, .weights = s->weights ? s->gates : NULL, .record = s->given };
    for (uint32_t i = 0; i < step->tokens; i++, s->position++) {
        s->token[i] = (es_token){ (uint32_t)s->request, (uint32_t)s->position, prefill ? ES_PREFILL : ES_DECODE };
        es_like_draw_token(&s->draw, s->request, s->position, s->ids + i * row);
        if (s->weights)
            es_like_draw_weights(&s->draw, s->request, s->position, s->gates + i * row);
    }
    s->given += step->tokens;
    if (s->position == (uint64_t)length.prompt + length.decode) {
        s->position = 0;
        s->request++;
    }
    return ES_OK;
}

static const es_option like_options[] = {
    { .name = "file", .type = ES_OPT_TEXT, .offset = offsetof(like, file), .help = "What `expertsim trace fit` wrote." },
    { .name = "tokens", .type = ES_OPT_INT, .offset = offsetof(like, tokens), .def = 10000, .min = 1, .max = 1e11, .unit = "tokens", .help = "Tokens of all requests together." },
    { .name = "layers", .type = ES_OPT_INT, .offset = offsetof(like, layers), .def = 0, .min = 0, .max = ES_TRACE_LAYERS_MAX, .help = "MoE layers; 0: as fitted." },
    { .name = "experts", .type = ES_OPT_INT, .offset = offsetof(like, experts), .def = 0, .min = 0, .max = ES_TRACE_EXPERTS_MAX, .help = "Experts per layer; 0: as fitted." },
    { .name = "top_k", .type = ES_OPT_INT, .offset = offsetof(like, top_k), .def = 0, .min = 0, .max = ES_TRACE_TOP_K_MAX, .help = "Experts that a token uses in a layer; 0: as fitted." },
    { .name = "seed", .type = ES_OPT_INT, .offset = offsetof(like, seed), .def = 1, .min = 0, .max = 9e15, .help = "Other seeds draw other traces." },
    { 0 },
};

const es_source es_source_like = {
    .part = { .abi = ES_ABI, .name = "like", .brief = "Routing drawn so that it behaves like a trace that was fitted.", .options = like_options, .size = sizeof(like) },
    .open = like_open,
    .info = like_info,
    .next = like_next,
    .rewind = like_rewind,
};
