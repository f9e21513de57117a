/* Environments: batches of a top-1 layer whose tokens come from environments that last, as in the out-of-core prototype of seed 004.
 *
 * A walk names an environment at each call:
 *
 *     episode   a new one, perhaps the same, at every `episode_length`-th call
 *     markov    a new one, perhaps the same, with probability 1 - `stay` at every call, the first included
 *
 * A step makes `envs_per_batch` calls and then gives each of its tokens one of these environments, equally likely, and one expert of the
 * `spread` neighbours that begin with the environment's number modulo the number of experts. The prototype's cache benchmark has 1
 * environment and a spread of 8, its training run a spread of 1. All requests of a step decode side by side, and stand in the order of
 * their experts, for that is the order in which the prototype touches them.
 *
 * `stream: mt19937` draws as the prototype does, word for word: environments from a 32-bit Mersenne Twister seeded with seed + 1, which
 * expert (and where there are several, which environment) from one seeded with seed + 2; an integer is one word modulo n, a real its lower 24
 * bits; an environment is drawn and not used before the first. `stream: counter` draws by counter, so that no draw shifts another. */
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_rng.h>

#include "traces/generated.h"

typedef enum environments_sampler { ENVIRONMENTS_EPISODE, ENVIRONMENTS_MARKOV } environments_sampler;

typedef enum environments_draws { ENVIRONMENTS_COUNTER, ENVIRONMENTS_MT19937 } environments_draws;

typedef struct environments {
    /* options */
    int64_t experts, envs, steps, tokens, envs_per_batch, spread, episode_length, expert_bytes, seed;
    int sampler, stream;
    double stay;
    /* what follows from them */
    es_trace_info info;
    es_stream move, place, which, pick; /* whether to move, where to; a token's environment, its expert */
    gsl_rng walk, jitter;               /* stream mt19937 */
    /* where it stands */
    uint64_t step, call;
    uint32_t env;
    uint32_t *batch;                    /* [envs_per_batch] environments of the step */
    es_token *token;                    /* [tokens] */
    uint16_t *ids;                      /* [tokens] */
} environments;

#define ENVIRONMENTS_WORDS 4294967296.0 /* seeds of a Mersenne Twister */

extern const es_source es_source_environments;

/* --- draws ---------------------------------------------------------------------------------------------------------------------- */

static uint32_t environments_word_below(gsl_rng *rng, uint32_t n)
{
    return (uint32_t)(gsl_rng_get(rng) % n);
}

static uint32_t environments_anywhere(environments *s)
{
    if (s->stream == ENVIRONMENTS_MT19937)
        return environments_word_below(&s->walk, (uint32_t)s->envs);
    return es_draw_below(s->place, (uint32_t)s->envs, s->call, 0, 0, 0);
}

static bool environments_moves(environments *s)
{
    if (s->sampler == ENVIRONMENTS_EPISODE)
        return s->call % (uint64_t)s->episode_length == 0;
    if (s->stream == ENVIRONMENTS_MT19937)
        return (double)(gsl_rng_get(&s->walk) & 0xffffff) * 0x1p-24 > s->stay;
    return s->call == 0 || es_draw_real(s->move, s->call, 0, 0, 0) >= s->stay;
}

/* The environment of the next call. */
static uint32_t environments_walk(environments *s)
{
    if (environments_moves(s))
        s->env = environments_anywhere(s);
    s->call++;
    return s->env;
}

/* One of n for a token; of one there is nothing to draw. */
static uint32_t environments_below(environments *s, es_stream stream, uint32_t n, uint32_t token)
{
    if (n == 1)
        return 0;
    return s->stream == ENVIRONMENTS_MT19937 ? environments_word_below(&s->jitter, n) : es_draw_below(stream, n, s->step, token, 0, 0);
}

static uint16_t environments_expert(environments *s, uint32_t token)
{
    const uint32_t env = s->batch[environments_below(s, s->which, (uint32_t)s->envs_per_batch, token)];
    const uint32_t experts = (uint32_t)s->experts;
    return (uint16_t)((env % experts + environments_below(s, s->pick, (uint32_t)s->spread, token)) % experts);
}

/* --- set-up --------------------------------------------------------------------------------------------------------------------- */

/* What the bounds of single options cannot say. */
static es_code environments_check(const environments *s, es_err *err)
{
    if (s->spread > s->experts)
        return es_err_set(err, ES_EINPUT, "spread: %lld is above experts, %lld", (long long)s->spread, (long long)s->experts);
    if (s->stream == ENVIRONMENTS_MT19937 && (double)s->seed + 2.0 >= ENVIRONMENTS_WORDS)
        return es_err_set(err, ES_EINPUT, "seed: %lld is above 4294967293, the highest for stream mt19937", (long long)s->seed);
    return ES_OK;
}

static es_code environments_describe(environments *s, es_arena *arena, es_err *err)
{
    uint32_t *number = ES_NEW_ARRAY(arena, 1, uint32_t);
    int64_t *bytes = ES_NEW_ARRAY(arena, 1, int64_t);
    if (!number || !bytes)
        return es_err_nomem(err, "a generator");
    *bytes = s->expert_bytes;
    uint64_t all = (uint64_t)s->tokens * (uint64_t)s->steps;
    s->info = (es_trace_info){
        .format = "synthetic", .model = "", .layers = 1, .layer_number = number, .experts = (uint32_t)s->experts, .top_k = 1,
        .expert_bytes = s->expert_bytes > 0 ? bytes : NULL, .requests = (uint64_t)s->tokens, .steps = (uint64_t)s->steps,
        .decode_tokens = all, .accesses = all, .counted = true, .synthetic = true,
    };
    return es_generated_provenance(&s->info, &es_source_environments.part, s, arena, err);
}

/* A generator whose state lies in the arena, so that there is nothing to free. */
static bool environments_twister(gsl_rng *rng, es_arena *arena)
{
    rng->type = gsl_rng_mt19937;
    rng->state = es_arena_alloc(arena, 1, gsl_rng_mt19937->size);
    return rng->state != NULL;
}

static es_code environments_rewind(void *self, es_err *err)
{
    environments *s = self;
    (void)err;
    s->step = s->call = 0;
    s->env = 0;
    if (s->stream == ENVIRONMENTS_MT19937) {
        gsl_rng_set(&s->walk, (unsigned long)s->seed + 1);
        gsl_rng_set(&s->jitter, (unsigned long)s->seed + 2);
        s->env = environments_anywhere(s);
    }
    return ES_OK;
}

static es_code environments_open(void *self, const es_source_ask *ask, es_arena *arena, es_err *err)
{
    environments *s = self;
    (void)ask;
    es_code code = environments_check(s, err);
    if (!code)
        code = environments_describe(s, arena, err);
    if (code)
        return code;
    if (s->envs == 0)
        s->envs = s->experts;
    const char *const purpose[] = { "move", "place", "which", "pick" };
    es_stream *const stream[] = { &s->move, &s->place, &s->which, &s->pick };
    for (int i = 0; i < 4; i++)
        *stream[i] = es_stream_of((uint64_t)s->seed, 0, "environments", purpose[i]);
    s->batch = es_arena_alloc(arena, (size_t)s->envs_per_batch, sizeof *s->batch);
    s->token = es_arena_alloc(arena, (size_t)s->tokens, sizeof *s->token);
    s->ids = es_arena_alloc(arena, (size_t)s->tokens, sizeof *s->ids);
    if (!s->batch || !s->token || !s->ids || !environments_twister(&s->walk, arena) || !environments_twister(&s->jitter, arena))
        return es_err_nomem(err, "a generator");
    return environments_rewind(s, err);
}

/* --- steps ---------------------------------------------------------------------------------------------------------------------- */

static const es_trace_info *environments_info(void *self)
{
    return &((environments *)self)->info;
}

static int environments_compare(const void *a, const void *b)
{
    const uint16_t x = *(const uint16_t *)a, y = *(const uint16_t *)b;
    return (x > y) - (x < y);
}

static es_code environments_next(void *self, es_step *step, bool *more, es_err *err)
{
    environments *s = self;
    const uint32_t tokens = (uint32_t)s->tokens;
    (void)err;
    *step = (es_step){ 0 };
    *more = s->step < (uint64_t)s->steps;
    if (!*more)
        return ES_OK;
    for (uint32_t i = 0; i < (uint32_t)s->envs_per_batch; i++)
        s->batch[i] = environments_walk(s);
    for (uint32_t i = 0; i < tokens; i++) {
        s->token[i] = (es_token){ i, (uint32_t)s->step, ES_DECODE };
        s->ids[i] = environments_expert(s, i);
    }
    qsort(s->ids, tokens, sizeof *s->ids, environments_compare);
    *step = (es_step){ .tokens = tokens, .token = s->token, .ids = s->ids, .record = s->step };
    s->step++;
    return ES_OK;
}

/* --- table ---------------------------------------------------------------------------------------------------------------------- */

static const char *const environments_samplers[] = { "episode", "markov", NULL };
static const char *const environments_streams[] = { "counter", "mt19937", NULL };

static const es_option environments_options[] = {
    { .name = "experts", .type = ES_OPT_INT, .offset = offsetof(environments, experts), .def = 1024, .min = 1, .max = ES_TRACE_EXPERTS_MAX, .help = "Experts of the one layer." },
    { .name = "envs", .type = ES_OPT_INT, .offset = offsetof(environments, envs), .def = 0, .min = 0, .max = 1 << 27, .help = "Environments; 0: as many as experts." },
    { .name = "steps", .type = ES_OPT_INT, .offset = offsetof(environments, steps), .def = 2000, .min = 1, .max = 1e9, .help = "Steps, a batch each." },
    { .name = "tokens", .type = ES_OPT_INT, .offset = offsetof(environments, tokens), .def = 4, .min = 1, .max = 1e6, .unit = "tokens", .help = "Tokens of a batch, each of a request of its own, with one expert each." },
    { .name = "envs_per_batch", .type = ES_OPT_INT, .offset = offsetof(environments, envs_per_batch), .def = 1, .min = 1, .max = 1e6, .help = "Environments that a batch mixes; the walk makes so many calls per step." },
    { .name = "spread", .type = ES_OPT_INT, .offset = offsetof(environments, spread), .def = 8, .min = 1, .max = ES_TRACE_EXPERTS_MAX, .help = "Neighbouring experts that an environment uses, equally likely." },
    { .name = "sampler", .type = ES_OPT_ENUM, .offset = offsetof(environments, sampler), .def = ENVIRONMENTS_EPISODE, .choices = environments_samplers,
      .help = "The walk over environments: a new one after so many calls, or with a chance at each." },
    { .name = "episode_length", .type = ES_OPT_INT, .offset = offsetof(environments, episode_length), .def = 20, .min = 1, .max = 1e9, .help = "Calls from one new environment to the next (episode)." },
    { .name = "stay", .type = ES_OPT_REAL, .offset = offsetof(environments, stay), .def = 0.9, .min = 0, .max = 1, .help = "Probability that a call draws no new environment (markov)." },
    { .name = "stream", .type = ES_OPT_ENUM, .offset = offsetof(environments, stream), .def = ENVIRONMENTS_COUNTER, .choices = environments_streams,
      .help = "Draws by counter, or a 32-bit Mersenne Twister as the prototype has it, word for word." },
    { .name = "expert_bytes", .type = ES_OPT_BYTES, .offset = offsetof(environments, expert_bytes), .def = 0, .min = 0, .max = 1e15, .help = "Size of one expert; 0: the trace does not say." },
    { .name = "seed", .type = ES_OPT_INT, .offset = offsetof(environments, seed), .def = 1, .min = 0, .max = 9e15, .help = "Other seeds draw other traces." },
    { 0 },
};

const es_source es_source_environments = {
    .part = { .abi = ES_ABI, .name = "environments", .brief = "Batches drawn from environments that last, each with a few neighbouring experts.", .options = environments_options, .size = sizeof(environments) },
    .open = environments_open,
    .info = environments_info,
    .next = environments_next,
    .rewind = environments_rewind,
};
